//! An owner grants a key 100 tokens a day and some gas. The key can spend within these limits,
//! but not beyond.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::primitives::U256,
    operation::{Advice, Happened},
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit},
};
use simulated_chain::{RECIPIENT, start, transfer};
use std::{error::Error, sync::Arc};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let token = start.stack.token;

    // The session key. Other kinds of storage use a file or an environment variable.
    let session_key = SessionKeySigner::random();

    // 100 tokens (6 decimals) a day, by `transfer` only; 0.01 ether for gas in all; until May 2033.
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::per(U256::from(100_000_000), 86_400))
        .gas_spend_limit(SpendLimit::total(U256::from(10).pow(U256::from(16))))
        .valid_until(2_000_000_000);
    let key = NewSessionKey::new(session_key.address(), &permissions)?;

    // One operation creates the account, installs the plugin and registers the key.
    let included = start.owner.install_session_key_plugin([key]).await?;
    println!("granted in transaction {}", included.receipt.transaction_hash);

    // To act, the key needs the account's address and a connection to the chain, but not the owner.
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(session_key), start.submitter);
    agent
        .execute([Call::new(token, transfer(RECIPIENT, 60_000_000))])
        .await?;
    let limit = start
        .account
        .erc20_spend_limit(agent.session_key(), token)
        .await?;
    println!("spent {} of {} today", limit.limit_used, limit.limit);

    let too_much = agent
        .execute([Call::new(token, transfer(RECIPIENT, 60_000_000))])
        .await;
    let error = too_much.err().ok_or("expected the limit to hold")?;
    assert_eq!((error.code(), error.happened()), ("not_allowed", Happened::No));
    println!("not sent: {error}");
    if let Advice::TryAgainFrom { at } = error.advice() {
        println!("it would pass from {at} on");
    }
    Ok(())
}
