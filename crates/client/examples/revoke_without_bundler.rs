//! Revokes a key with a plain transaction from the owner. This works when no bundler answers and the account
//! cannot pay for gas.

mod simulated_chain;

use session_key_client::{
    NewSessionKey, OwnerAction, SessionKeySigner, alloy::providers::Provider, permissions::Permissions,
};
use simulated_chain::{RECIPIENT, start};
use std::error::Error;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let [lost, other] = [
        SessionKeySigner::random().address(),
        SessionKeySigner::random().address(),
    ];
    let permissions = Permissions::new().contract(RECIPIENT);
    let keys = [
        NewSessionKey::new(lost, &permissions)?,
        NewSessionKey::new(other, &permissions)?,
    ];
    start.owner.install_session_key_plugin(keys).await?;

    // Any provider that can sign for the owner: a wallet, a hardware key, a node.
    let wallet = start.testkit.provider_with_signer(start.owner_signer.clone());
    let owner = start.owner_signer.address();
    let revoke = [OwnerAction::RemoveSessionKey(lost)];
    let transaction = start.account.owner_transaction(owner, revoke).await?;
    let receipt = wallet.send_transaction(transaction).await?.get_receipt().await?;
    assert!(receipt.status());
    assert_eq!(start.account.session_keys().await?, [other]);
    println!("{lost} revoked in transaction {}", receipt.transaction_hash);
    Ok(())
}
