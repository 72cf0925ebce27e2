//! What token contracts say of themselves: symbols, to describe keys with, and decimals, to read amounts by.
//!
//! Neither is to be trusted: any contract can call itself `USDC`. [`words`](crate::permissions::words) shows
//! symbols with the address beside them where they could mislead.

use crate::{
    Node,
    permissions::{
        ERC20_APPROVE, ERC20_TRANSFER, KeyState,
        words::{Names, Token},
    },
    request::RequestError,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder as _,
    primitives::{Address, B256, Bytes, Selector, U256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolType, sol_data},
};
use futures_util::{StreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of tokens asked at the same time.
const SIDE_BY_SIDE: usize = 8;

alloy::sol! {
    /// Metadata functions of ERC-20 tokens.
    interface IErc20Metadata {
        /// Returns the symbol.
        function symbol() external view returns (string);
        /// Returns the decimals.
        function decimals() external view returns (uint8);
        /// Returns an account's balance.
        function balanceOf(address account) external view returns (uint256);
    }
}

/// A contract does not answer as a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The node could not be reached, or the contract refused.
    #[error(transparent)]
    Rpc(#[from] RequestError),

    /// The answer is no number of decimals.
    #[error("{0} does not return its decimals: is it a token?")]
    NoDecimals(Address),

    /// The answer is no balance.
    #[error("{0} does not return balances: is it a token?")]
    NoBalance(Address),
}

/// Returns the contracts that keys treat as tokens: those with a limit, or with a token function on their
/// list.
#[must_use]
pub fn tokens_of<'a>(states: impl IntoIterator<Item = &'a KeyState>) -> BTreeSet<Address> {
    let is_token = |functions: &BTreeMap<Selector, bool>| {
        [ERC20_TRANSFER, ERC20_APPROVE]
            .iter()
            .any(|function| functions.get(function) == Some(&true))
    };
    let tokens = states.into_iter().flat_map(|state| {
        let contracts = state.contracts.iter();
        contracts
            .filter(|(_, entry)| entry.token_limit.has_limit || is_token(&entry.functions))
            .map(|(contract, _)| *contract)
    });
    tokens.collect()
}

/// Reads symbols and decimals at the latest block. Contracts that do not answer like a token are left out.
pub async fn tokens(node: &Node, addresses: impl IntoIterator<Item = Address>) -> BTreeMap<Address, Token> {
    let addresses: BTreeSet<Address> = addresses.into_iter().collect();
    let questions = addresses.into_iter().map(|address| async move {
        let (symbol, decimals) = tokio::join!(
            view(
                node,
                address,
                IErc20Metadata::symbolCall {}.abi_encode(),
                BlockId::latest()
            ),
            decimals(node, address),
        );
        let symbol = symbol.ok().and_then(|answer| text(&answer))?;
        Some((address, Token::new(symbol, decimals.ok()?)))
    });
    let answers = stream::iter(questions).buffer_unordered(SIDE_BY_SIDE);
    answers.filter_map(async |answer| answer).collect().await
}

/// Reads a token's decimals at the latest block.
pub async fn decimals(node: &Node, token: Address) -> Result<u8, TokenError> {
    let call = IErc20Metadata::decimalsCall {}.abi_encode();
    let answer = view(node, token, call, BlockId::latest()).await?;
    IErc20Metadata::decimalsCall::abi_decode_returns_validate(&answer)
        .map_err(|_| TokenError::NoDecimals(token))
}

/// Reads an account's token balance at a block.
pub async fn balance_of(
    node: &Node,
    token: Address,
    account: Address,
    at: BlockId,
) -> Result<U256, TokenError> {
    let call = IErc20Metadata::balanceOfCall { account }.abi_encode();
    let answer = view(node, token, call, at).await?;
    IErc20Metadata::balanceOfCall::abi_decode_returns_validate(&answer)
        .map_err(|_| TokenError::NoBalance(token))
}

/// Adds the tokens of keys to names, as they name themselves. Tokens that are named already stay as they are.
pub async fn name_tokens<'a>(
    node: &Node,
    states: impl IntoIterator<Item = &'a KeyState>,
    names: Names,
) -> Names {
    let known: BTreeSet<Address> = names.tokens().keys().copied().collect();
    let unknown = tokens_of(states)
        .into_iter()
        .filter(|token| !known.contains(token));
    let found = tokens(node, unknown.collect::<Vec<_>>()).await;
    found
        .into_iter()
        .fold(names, |names, (address, token)| names.token(address, token))
}

async fn view(node: &Node, contract: Address, call: Vec<u8>, at: BlockId) -> Result<Bytes, RequestError> {
    let request = TransactionRequest::default().with_to(contract).with_input(call);
    node.call(&request, at).await
}

/// Decodes a string, or the 32 bytes that some tokens return instead.
fn text(answer: &Bytes) -> Option<String> {
    if let Ok(text) = sol_data::String::abi_decode_validate(answer) {
        return Some(text);
    }
    let word = B256::try_from(answer.as_ref()).ok()?;
    let text = std::str::from_utf8(word.as_slice()).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::sol_types::SolValue as _;

    #[test]
    fn a_symbol_is_a_string_or_32_bytes() {
        let string = "USDC".to_owned().abi_encode();
        assert_eq!(text(&string.into()).as_deref(), Some("USDC"));
        let mut word = B256::ZERO;
        word[..3].copy_from_slice(b"MKR");
        assert_eq!(text(&word.to_vec().into()).as_deref(), Some("MKR"));
        assert_eq!(text(&Bytes::new()), None);
        assert_eq!(text(&vec![0xff; 32].into()), None);
    }
}
