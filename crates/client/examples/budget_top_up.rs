//! A key has used up its limit; the owner tops it up, or lets it start over. Whoever changes a limit says what becomes of the
//! amount used.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::{eips::BlockNumberOrTag, primitives::U256, providers::Provider},
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
        .execute()
        .await?;
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(signer), start.submitter);
    let spend = |wei: u64| agent.execute([Call::transfer(RECIPIENT, U256::from(wei))]);
    spend(1_000).execute().await?;
    assert!(spend(1).execute().await.is_err());

    // 500 more: the new limit is what is used plus 500. Nothing else of the key changes.
    let current = start.account.native_token_spend_limit(key).await?;
    let limit = SpendLimit::total(current.limit_used + U256::from(500));
    let at = latest_time(start.account.provider()).await?;
    let top_up = PermissionUpdates::new().native_token_spend_limit(limit, LimitChange::Keep { current, at });
    start.owner.update_key_permissions(key, top_up).execute().await?;
    spend(500).execute().await?;

    // Start over with 1000: the limit is removed, which forgets what is used, and set, both at once.
    let start_over = PermissionUpdates::new()
        .native_token_spend_limit(SpendLimit::total(U256::from(1_000)), LimitChange::Afresh);
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

/// Timestamp of the latest block, unix seconds.
async fn latest_time(node: &impl Provider) -> Result<u64, Box<dyn Error>> {
    let latest = node.get_block_by_number(BlockNumberOrTag::Latest).await?;
    Ok(latest.ok_or("the node has no latest block")?.header.timestamp)
}
