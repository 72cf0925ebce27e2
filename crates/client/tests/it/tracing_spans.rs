//! Every request is in a `tracing` span of this crate.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, key, one},
    own_process,
    wire::{Bundler, Watched, provider, wallet},
};
use session_key_client::{
    OwnerAction, OwnerClient, SessionKeyClient, SmartAccount,
    alloy::primitives::{B256, U256},
    deployment::{Deployer, DeploymentParameters, DeploymentPlan},
    explain::{explain, explain_failure, load},
    permissions::{Permissions, SpendLimit},
    submit::{BundlerSubmitter, EntryPointSubmitter, GasEstimate, explain_validation, simulate_gas},
};
use session_key_testkit::{ENTRY_POINT_CODE, dev_accounts};

/// Contracts that are not there yet.
fn plan() -> DeploymentPlan {
    let parameters = DeploymentParameters {
        session_key_plugin_salt: B256::repeat_byte(1),
        ..Default::default()
    };
    DeploymentPlan::new(&parameters, ENTRY_POINT_CODE.bytes()).unwrap()
}

#[test]
fn every_request_is_in_a_span() {
    own_process::run("tracing_spans::every_request_of_this_process_is_in_a_span");
}

#[tokio::test]
#[ignore = "run by every_request_is_in_a_span, in a process of its own"]
async fn every_request_of_this_process_is_in_a_span() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(10).pow(U256::from(18))));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let deployment = *fixture.account.deployment();
    let session_key = key(1).address();
    let tracing = tracing::subscriber::set_default(tracing_subscriber::registry());

    let watched = Watched::default();
    let signer = dev_accounts()[3].signer();
    let from = signer.address();
    let node = wallet(watched.over(fixture.testkit.transport()), signer);
    let account = SmartAccount::from_factory(
        node.clone(),
        deployment,
        [fixture.owner_signer.address()],
        U256::ZERO,
    )
    .await
    .unwrap();
    SmartAccount::connect(node.clone(), account.address())
        .await
        .unwrap();
    account.check_chain().await.unwrap();
    account.balance().await.unwrap();
    account.deposit().await.unwrap();
    account.is_deployed().await.unwrap();
    account.erc6492_signature(Default::default()).await.unwrap();
    account.session_keys().await.unwrap();
    let remove = OwnerAction::RemoveSessionKey(session_key);
    account.owner_transaction(from, [remove]).await.unwrap();
    load(&account, session_key, [(RECIPIENT, Default::default())])
        .await
        .unwrap();
    let deployer = Deployer::new(node.clone(), 31337, plan());
    let survey = deployer.survey(Some(from)).await.unwrap();
    deployer.deploy(&survey, from, |_| ()).await.unwrap();

    let direct = EntryPointSubmitter::new(node.clone(), deployment.entry_point, from);
    let owner = OwnerClient::new(account.clone(), fixture.owner_signer.clone(), direct);
    owner.sign_digest(B256::ZERO).await.unwrap();
    owner.execute(one()[0].clone()).execute().await.unwrap();
    let again = owner.execute(one()[0].clone()).sign().await.unwrap();
    owner.submitter().send(&again).await.unwrap();
    owner.submitter().send(&again).await.unwrap();
    // Not its own: it has to look for it.
    assert_eq!(
        owner.submitter().outcome(B256::repeat_byte(1)).await.unwrap(),
        None
    );
    let bundler = provider(watched.over(Bundler::new(&fixture)));
    let bundler = BundlerSubmitter::new(bundler, deployment.entry_point).with_node(node.clone());
    let agent = SessionKeyClient::new(account.clone(), key(1), bundler);
    let signed = agent.execute(one()).sign().await.unwrap();
    agent.submitter().send(&signed).await.unwrap();
    agent.submitter().send(&signed).await.unwrap();
    agent.submitter().outcome(signed.hash).await.unwrap();
    agent.execute([]).execute().await.unwrap_err();
    explain_validation(&node, deployment.entry_point, &signed.operation)
        .await
        .unwrap();
    let next = agent.execute(one()).build().await.unwrap();
    simulate_gas(&node, deployment.entry_point, &next).await.unwrap();
    explain(&account, &next, session_key).await.unwrap();
    let starved = agent.execute(one()).gas_limits(GasEstimate {
        call_gas_limit: U256::from(1_000),
        ..ample_gas()
    });
    let signed = starved.sign().await.unwrap();
    agent.submitter().send(&signed).await.unwrap();
    let failed = agent.submitter().outcome(signed.hash).await.unwrap().unwrap();
    let transaction_hash = failed.receipt().unwrap().transaction_hash;
    explain_failure(&account, &signed, transaction_hash)
        .await
        .unwrap()
        .unwrap();
    drop(tracing);

    let requests = watched.requests();
    for method in [
        "eth_chainId",
        "eth_getBalance",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionReceipt",
        "eth_sendUserOperation",
    ] {
        assert!(requests.iter().any(|(found, _)| found == method), "{method}");
    }
    let outside: Vec<_> = requests
        .iter()
        .filter(|(_, target)| !target.starts_with("session_key_client"))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}
