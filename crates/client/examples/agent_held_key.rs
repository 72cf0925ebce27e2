//! The agent generates its key and stores it in an encrypted file. The owner only sees the address.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::primitives::{Address, B256, U256},
    permissions::{Permissions, SpendLimit},
    signer::KeystoreFile,
};
use simulated_chain::{RECIPIENT, start};
use std::{error::Error, sync::Arc};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let folder = tempfile::tempdir()?;
    let storage = KeystoreFile::new(folder.path().join("agent.json"), "a long password");

    // On the agent's machine, the first time: generates a key.
    let address: Address = SessionKeySigner::open(storage.clone())?.address();

    // On the owner's machine: the address is enough. The tag identifies the key later.
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1_000)))
        .gas_spend_limit(SpendLimit::total(U256::from(10).pow(U256::from(16))));
    let key = NewSessionKey::new(address, &permissions)?.with_tag(B256::left_padding_from(b"agent"));
    start.owner.install_session_key_plugin([key]).await?;

    // On the agent's machine, every time.
    let mut signer = SessionKeySigner::load(storage.clone())?;
    let agent = SessionKeyClient::shared(
        start.account.clone(),
        Arc::new(SessionKeySigner::load(storage.clone())?),
        start.submitter.clone(),
    );
    agent
        .execute([Call::transfer(RECIPIENT, U256::from(400))])
        .await?;

    // Generates a new key in the same file; the owner rotates to it. Amounts used stay used.
    let old = signer.address();
    let new = signer.regenerate()?;
    start.owner.rotate_session_key(old, new).await?;
    let limit = start.account.native_token_spend_limit(new).await?;
    println!(
        "{old} became {new}, which has {} wei left",
        limit.remaining(0).unwrap_or_default()
    );
    let agent = SessionKeyClient::shared(start.account, Arc::new(signer), start.submitter);
    agent
        .execute([Call::transfer(RECIPIENT, U256::from(600))])
        .await?;
    Ok(())
}
