//! A paymaster pays for the key's operations, and the owner makes it required.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient, SessionKeySigner,
    alloy::{
        network::TransactionBuilder, primitives::U256, providers::Provider, rpc::types::TransactionRequest,
        sol_types::SolCall,
    },
    operation::FixedPaymaster,
    permissions::Permissions,
};
use simulated_chain::{RECIPIENT, start};
use std::{error::Error, sync::Arc};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let paymaster = start.stack.paymaster;

    // Someone deposits for the paymaster.
    let wallet = start.testkit.provider_with_signer(start.owner_signer.clone());
    let deposit = session_key_bindings::IEntryPoint::depositToCall { account: paymaster };
    let deposit = TransactionRequest::default()
        .with_to(start.stack.entry_point)
        .with_value(U256::from(10).pow(U256::from(17)))
        .with_input(deposit.abi_encode());
    wallet.send_transaction(deposit).await?.get_receipt().await?;

    let signer = SessionKeySigner::random();
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .required_paymaster(paymaster);
    let key = NewSessionKey::new(signer.address(), &permissions)?;
    start.owner.install_session_key_plugin([key]).await?;

    // A paymaster service would implement the `Paymaster` trait; for this paymaster, its address is enough.
    let agent = SessionKeyClient::shared(start.account.clone(), Arc::new(signer), start.submitter)
        .with_paymaster(FixedPaymaster::new(paymaster));
    let before = start.account.balance().await?;
    let included = agent.execute([Call::transfer(RECIPIENT, U256::ZERO)]).await?;
    assert_eq!(start.account.balance().await?, before);
    println!("the paymaster paid {} wei", included.receipt.actual_gas_cost);

    // Without the paymaster, the key can do nothing.
    let alone = agent
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .paymaster_and_data([]);
    println!("without it: {}", alone.await.expect_err("the rule holds"));
    Ok(())
}
