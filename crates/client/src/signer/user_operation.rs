//! Signatures of user operations, by any signer.

use alloy::{
    primitives::{Address, B256, Bytes},
    signers::Signer,
};
use session_key_permissions::UserOperation;

/// Signs a user operation: an EIP-191 personal message of its hash. Returns the hash.
///
/// An ERC-6900 v0.8 account takes the signature in its own format: see
/// [`v08::signature`](crate::v08::signature).
pub async fn sign_user_operation<S: Signer + Sync + ?Sized>(
    operation: &mut UserOperation,
    signer: &S,
    entry_point: Address,
    chain_id: u64,
) -> Result<B256, alloy::signers::Error> {
    let hash = operation.hash(entry_point, chain_id);
    operation.signature = sign_hash(signer, hash).await?;
    Ok(hash)
}

/// Signs a user operation's hash as an EIP-191 personal message: 65 bytes r, s, v with v 27 or 28.
pub async fn sign_hash<S: Signer + Sync + ?Sized>(
    signer: &S,
    hash: B256,
) -> Result<Bytes, alloy::signers::Error> {
    Ok(signer.sign_message(hash.as_slice()).await?.as_bytes().into())
}
