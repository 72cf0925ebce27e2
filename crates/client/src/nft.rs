//! Detects NFTs by ERC-165: a token limit on one would count token ids as amounts.

use crate::{
    node::Node,
    request::{RequestError, patiently},
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder as _,
    primitives::{Address, FixedBytes, fixed_bytes},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::BTreeSet;

/// ERC-721.
const NFT: FixedBytes<4> = fixed_bytes!("0x80ac58cd");
/// No contract implements this id: one that claims to says yes to everything.
const NONE: FixedBytes<4> = fixed_bytes!("0xffffffff");
/// The gas that ERC-165 allows for an answer, plus the transaction's own.
const GAS: u64 = 30_000 + 30_000;
/// The maximum number of requests in flight.
const SIDE_BY_SIDE: usize = 8;

alloy::sol! {
    /// ERC-165.
    interface IErc165 {
        /// Whether a contract implements this interface.
        function supportsInterface(bytes4 interfaceId) external view returns (bool);
    }
}

/// Returns the contracts that identify as NFTs (ERC-721), at the latest block. Makes two small calls per
/// contract; one that does not answer as ERC-165 requires is not an NFT.
///
/// ```
/// # use session_key_client::{Node, nft::nfts, alloy::primitives::Address};
/// # async fn lint(node: &Node, permissions: &session_key_client::permissions::Permissions, token: Address)
/// # -> Result<(), session_key_client::RequestError> {
/// use session_key_client::permissions::lint::Lint;
///
/// let warnings = Lint::new(permissions).nfts(nfts(node, [token]).await?).run();
/// # Ok(())
/// # }
/// ```
pub async fn nfts(
    node: &Node,
    contracts: impl IntoIterator<Item = Address>,
) -> Result<BTreeSet<Address>, RequestError> {
    let contracts: BTreeSet<Address> = contracts.into_iter().collect();
    let answers: Vec<Option<Address>> = stream::iter(contracts)
        .map(|contract| async move {
            let (is_nft, is_everything) =
                tokio::try_join!(supports(node, contract, NFT), supports(node, contract, NONE))?;
            Ok::<_, RequestError>((is_nft && !is_everything).then_some(contract))
        })
        .buffered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    Ok(answers.into_iter().flatten().collect())
}

async fn supports(node: &Node, contract: Address, interface: FixedBytes<4>) -> Result<bool, RequestError> {
    let call = IErc165::supportsInterfaceCall {
        interfaceId: interface,
    };
    let request = TransactionRequest::default()
        .with_to(contract)
        .with_input(call.abi_encode())
        .with_gas_limit(GAS);
    match patiently(|| node.call(&request, BlockId::latest())).await {
        Ok(answer) => {
            Ok(IErc165::supportsInterfaceCall::abi_decode_returns_validate(&answer).unwrap_or(false))
        }
        // The call reverts, or runs out of gas.
        Err(RequestError::Answered(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
