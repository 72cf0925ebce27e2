//! Several actions in one operation, which take effect together or not at all: for owners and
//! for session keys.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, OwnerAction, SessionKeyClient, SessionKeySigner,
    alloy::primitives::U256,
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit},
};
use simulated_chain::{RECIPIENT, start, transfer};
use std::{error::Error, sync::Arc};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let token = start.stack.token;
    let [first, second] = [SessionKeySigner::random(), SessionKeySigner::random()];
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)))
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)));
    let key = NewSessionKey::new(first.address(), &permissions)?;
    start.owner.install_session_key_plugin([key]).await?;

    // The owner replaces a key and makes a payment. The client finds the keys' predecessors, even as the
    // batch changes them.
    start
        .owner
        .batch([
            OwnerAction::RemoveSessionKey(first.address()),
            OwnerAction::AddSessionKey(NewSessionKey::new(second.address(), &permissions)?),
            OwnerAction::Call(Call::transfer(RECIPIENT, U256::from(5))),
        ])
        .await?;
    assert_eq!(start.account.session_keys().await?, [second.address()]);

    // The key makes three calls. Limits count their sum.
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(second), start.submitter);
    let calls = [
        Call::new(token, transfer(RECIPIENT, 30)),
        Call::new(token, transfer(RECIPIENT, 40)),
        Call::transfer(RECIPIENT, U256::from(10)),
    ];
    let included = agent.execute(calls).await?;
    let limit = start
        .account
        .erc20_spend_limit(agent.session_key(), token)
        .await?;
    assert_eq!(limit.limit_used, U256::from(70));
    println!("three calls for {} gas", included.receipt.actual_gas_used);
    Ok(())
}
