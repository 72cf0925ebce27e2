//! Every request is in a `tracing` span of this crate.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, key, one},
    own_process,
    wire::{Fault, Wire, provider, wallet},
};
use session_key_client::{
    OwnerAction, OwnerClient, SessionKeyClient, SmartAccount,
    alloy::primitives::{B256, U256},
    deployment::{Deployer, DeploymentParameters, DeploymentPlan, Keeper, KeeperError, SignedCreation},
    explain::{explain, explain_failure, load},
    node::Node,
    operation::{Cause, Gas},
    permissions::{Permissions, SpendLimit},
    submit::{BundlerSubmitter, EntryPointSubmitter, explain_validation, simulate_gas},
};
use session_key_testkit::{dev_accounts, entry_point_codes};

/// Contracts that are not there yet.
fn plan() -> DeploymentPlan {
    let parameters = DeploymentParameters {
        session_key_plugin_salt: B256::repeat_byte(1),
        ..Default::default()
    };
    DeploymentPlan::new(&parameters, entry_point_codes()).unwrap()
}

#[derive(Default)]
struct Kept(Vec<SignedCreation>);

impl Keeper for Kept {
    fn keep(&mut self, transaction: &SignedCreation) -> Result<(), KeeperError> {
        self.0.push(transaction.clone());
        Ok(())
    }
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

    let watched = Wire::new(fixture.testkit.transport());
    let signer = dev_accounts()[3].signer();
    let (from, payer) = (signer.address(), signer.clone());
    let node = wallet(watched.clone(), signer);
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
    let mut keeper = Kept::default();
    deployer.deploy(&survey, &payer, &mut keeper).await.unwrap();
    let last = keeper.0.pop().unwrap();
    deployer
        .resume(&[last], &payer, &mut Kept::default())
        .await
        .unwrap();
    deployer.pending(from).await.unwrap();
    deployer.settle(from).await.unwrap();

    let direct = EntryPointSubmitter::new(node.clone(), deployment.entry_point, from);
    let owner = OwnerClient::new(account.clone(), fixture.owner_signer.clone(), direct);
    owner.sign_digest(B256::ZERO).await.unwrap();
    owner.execute(one()[0].clone()).await.unwrap();
    let again = owner.execute(one()[0].clone()).sign().await.unwrap();
    let _ = owner.submitter().send(&again).await;
    let _ = owner.submitter().send(&again).await;
    // Not its own.
    let unknown = owner.submitter().transaction(B256::repeat_byte(1)).await;
    assert_eq!(unknown.unwrap(), None);
    let bundler = Wire::new(fixture.bundler.transport());
    let submitter = BundlerSubmitter::new(provider(bundler.clone()), deployment.entry_point);
    let agent = SessionKeyClient::new(account.clone(), key(1), submitter.with_node(node.clone()));
    let signed = agent.execute(one()).sign().await.unwrap();
    let _ = agent.submitter().send(&signed).await;
    let _ = agent.submitter().send(&signed).await;
    agent.submitter().transaction(signed.hash).await.unwrap();
    agent.submitter().knows(signed.hash).await.unwrap();
    agent.execute([]).await.unwrap_err();
    // A bundler that tells nothing of what it has sent: logs do.
    for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
        bundler.fault(method, Fault::Answer(Ok(serde_json::Value::Null)));
    }
    agent.execute(one()).await.unwrap();
    agent.check(one()).await.unwrap();
    agent.resume().await.unwrap();
    let entry_point = deployment.entry_point;
    let plain = Node::new(node.clone());
    explain_validation(&plain, entry_point, &signed.operation)
        .await
        .unwrap();
    let next = agent.execute(one()).build().await.unwrap();
    simulate_gas(&plain, entry_point, &next).await.unwrap();
    explain(&account, &next, session_key).await.unwrap();
    let starved = agent.execute(one()).gas_limits(Gas {
        call_gas_limit: U256::from(1_000),
        ..ample_gas()
    });
    let failed = starved.await.unwrap_err();
    let Cause::Reverted { included } = *failed.cause else {
        panic!("{failed:?}")
    };
    let kept = agent.intent(failed.intent.unwrap()).await.unwrap().unwrap();
    explain_failure(
        &account,
        &kept.operations[0].signed,
        included.receipt.transaction_hash,
    )
    .await
    .unwrap()
    .unwrap();
    drop(tracing);

    let requests = [watched.asked(), bundler.asked()].concat();
    for method in [
        "eth_chainId",
        "eth_getBalance",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionReceipt",
        "eth_sendUserOperation",
    ] {
        assert!(requests.iter().any(|asked| asked.method == method), "{method}");
    }
    let outside: Vec<_> = requests
        .iter()
        .filter(|asked| !asked.span.starts_with("session_key_client"))
        .map(|asked| &asked.method)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}
