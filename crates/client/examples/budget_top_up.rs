//! A key has used up its limit, and the owner tops it up or lets it start over. Each change of a limit says
//! what happens to the amount used.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::primitives::U256,
    permissions::{LimitChange, PermissionUpdates, Permissions, SpendLimit},
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
        .await?;
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(signer), start.submitter);
    let spend = |wei: u64| agent.execute([Call::transfer(RECIPIENT, U256::from(wei))]);
    spend(1_000).await?;
    assert!(spend(1).await.is_err());

    // 500 more: the new limit is the amount used plus 500. Nothing else about the key changes.
    let current = start.account.native_token_spend_limit(key).await?;
    let limit = SpendLimit::total(current.limit_used + U256::from(500));
    let at = start.testkit.chain().timestamp();
    let keep = LimitChange::Keep { current, at };
    let top_up = PermissionUpdates::new().native_token_spend_limit(limit, keep);
    start.owner.update_key_permissions(key, top_up).await?;
    spend(500).await?;

    // Start over with 1000: the amount used is zero.
    let thousand = SpendLimit::total(U256::from(1_000));
    let start_over = PermissionUpdates::new().native_token_spend_limit(thousand, LimitChange::Afresh);
    start.owner.update_key_permissions(key, start_over).await?;
    let limit = start.account.native_token_spend_limit(key).await?;
    println!("{} of {} wei used", limit.limit_used, limit.limit);
    spend(1_000).await?;
    Ok(())
}
