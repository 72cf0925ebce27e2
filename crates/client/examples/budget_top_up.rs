//! A key has used up its limit; the owner tops it up, or lets it start over. Setting a limit keeps what is already used.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::primitives::U256,
    permissions::{PermissionUpdates, Permissions, SpendLimit},
};
use simulated_chain::{RECIPIENT, start};
use std::{error::Error, sync::Arc};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let signer = SessionKeySigner::random();
    let key = signer.address();
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1_000)));
    start
        .owner
        .install_session_key_plugin([NewSessionKey::new(key, &permissions)?])
        .execute()
        .await?;
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(signer), start.submitter);
    let spend = |wei: u64| agent.execute([Call::transfer(RECIPIENT, U256::from(wei))]);
    spend(1_000).execute().await?;
    assert!(spend(1).execute().await.is_err());

    // 500 more: the new limit is what is used plus 500. Nothing else of the key changes.
    let used = start.account.native_token_spend_limit(key).await?.limit_used;
    let limit = SpendLimit::total(used + U256::from(500));
    let top_up = PermissionUpdates::new().native_token_spend_limit(limit);
    start.owner.update_key_permissions(key, top_up).execute().await?;
    spend(500).execute().await?;

    // Start over with 1000: removing the limit forgets what is used, and both happen at once.
    let start_over = PermissionUpdates::new()
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .native_token_spend_limit(SpendLimit::total(U256::from(1_000)));
    start
        .owner
        .update_key_permissions(key, start_over)
        .execute()
        .await?;
    let limit = start.account.native_token_spend_limit(key).await?;
    println!("{} of {} wei used", limit.limit_used, limit.limit);
    spend(1_000).execute().await?;
    Ok(())
}
