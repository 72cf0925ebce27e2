//! Deploying: from nothing, again, half way, with other parameters, and where it must refuse.

use crate::wire::{Asked, Fault, Wire, provider, wallet, without_overrides};
use serde_json::Value;
use session_key_bindings::{IModularAccountFactory, bytecode};
use session_key_client::{
    Deployment, SmartAccount,
    alloy::{
        network::TransactionBuilder as _,
        primitives::{Address, B256, U256, address, bytes, hex, keccak256},
        providers::DynProvider,
        rpc::types::TransactionRequest,
    },
    deployment::{
        Contract, DeployError, Deployer, DeploymentParameters, DeploymentPlan, Deterministic, PlanError,
        Survey, account_init_code_hash,
    },
    operation::{Bounds, Setting},
};
use session_key_testkit::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, ENTRY_POINT_CODE, Stack, Testkit, dev_accounts,
};
use tokio::time::Instant;

const CHAIN: u64 = 31337;
const GAS_PRICE_ORACLE: Address = address!("0x420000000000000000000000000000000000000F");

session_key_client::alloy::sol! {
    function owner() external view returns (address);
}

/// A chain with the deployment proxy and nothing else.
fn chain() -> Testkit {
    let testkit = Testkit::default();
    testkit
        .chain()
        .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)
        .unwrap();
    testkit
}

fn sender() -> Address {
    dev_accounts()[0].address
}

fn plan(parameters: &DeploymentParameters) -> DeploymentPlan {
    DeploymentPlan::new(parameters, ENTRY_POINT_CODE.bytes()).unwrap()
}

fn deployer_with(testkit: &Testkit, parameters: &DeploymentParameters) -> Deployer {
    let wallet = testkit.provider_with_signer(dev_accounts()[0].signer());
    Deployer::new(wallet, CHAIN, plan(parameters))
}

fn deployer(testkit: &Testkit) -> Deployer {
    deployer_with(testkit, &DeploymentParameters::default())
}

/// Other salts, and another owner of the factory.
fn other_parameters() -> DeploymentParameters {
    DeploymentParameters {
        factory_owner: Address::repeat_byte(0x0f),
        multi_owner_plugin_salt: B256::repeat_byte(1),
        session_key_plugin_salt: B256::repeat_byte(2),
        modular_account_salt: B256::repeat_byte(3),
        modular_account_factory_salt: B256::repeat_byte(4),
    }
}

/// Somebody else creates contracts of the plan. Estimating and creating all five takes seconds: tests that need only some of it
/// missing begin here.
fn create(testkit: &Testkit, deployer: &Deployer, is_created: impl Fn(Contract) -> bool) {
    for planned in deployer.plan().contracts() {
        if is_created(planned.contract) {
            let somebody = planned.transaction(dev_accounts()[7].address);
            testkit.chain().send(somebody).unwrap().ok().unwrap();
        }
    }
}

fn missing(survey: &Survey) -> Vec<Contract> {
    let missing = survey.contracts.iter().filter(|surveyed| !surveyed.is_present());
    missing.map(|surveyed| surveyed.contract).collect()
}

/// Creates what the survey found missing.
async fn deploy_surveyed(deployer: &Deployer, survey: &Survey) -> Result<(), DeployError> {
    let mut created = Vec::new();
    deployer
        .deploy(survey, sender(), |contract| created.push(contract.contract))
        .await?;
    assert_eq!(created, missing(survey));
    Ok(())
}

/// Deploys what is missing, and returns what was created.
async fn deploy(deployer: &Deployer) -> Result<Vec<Contract>, DeployError> {
    let survey = deployer.survey(Some(sender())).await?;
    deploy_surveyed(deployer, &survey).await?;
    Ok(missing(&survey))
}

/// The survey must refuse, and nothing may have been sent.
async fn refusal(testkit: &Testkit, deployer: &Deployer) -> DeployError {
    let block = testkit.chain().block_number();
    let error = deployer.survey(Some(sender())).await.unwrap_err();
    assert_eq!(testkit.chain().block_number(), block);
    error
}

#[test]
fn the_plan_is_the_record() {
    let plan = plan(&DeploymentParameters::default());
    let record = Deterministic::record();
    assert_eq!(record.deployment_proxy, DEPLOYMENT_PROXY);
    assert_eq!(record.contracts.len(), plan.contracts().len());
    for planned in plan.contracts() {
        let recorded = &record.contracts[&planned.contract];
        assert_eq!(planned.address, recorded.address);
        assert_eq!(Some(planned.salt), recorded.salt);
        assert_eq!(Some(keccak256(&planned.init_code)), recorded.init_code_hash);
        assert_eq!(planned.code_hash, recorded.code_hash);
        assert!(planned.code_hash.is_some());
    }
    assert_eq!(plan.deployment(), Deployment::deterministic());
}

#[test]
fn the_testkit_deploys_to_the_same_addresses() {
    let owner = sender();
    let parameters = DeploymentParameters {
        factory_owner: owner,
        ..DeploymentParameters::default()
    };
    let (stack, _) = Stack::plan(owner);
    assert_eq!(
        plan(&parameters).deployment(),
        Deployment {
            entry_point: stack.entry_point,
            session_key_plugin: stack.session_key_plugin,
            multi_owner_plugin: stack.multi_owner_plugin,
            factory: stack.account_factory,
            account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
        }
    );
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let nobody = DeploymentParameters {
        factory_owner: Address::ZERO,
        ..DeploymentParameters::default()
    };
    assert_eq!(
        DeploymentPlan::new(&nobody, ENTRY_POINT_CODE.bytes()),
        Err(PlanError::FactoryOwnerIsZero)
    );
    let another = DeploymentPlan::new(
        &DeploymentParameters::default(),
        bytecode::SESSION_KEY_PLUGIN.bytes(),
    );
    assert!(matches!(
        another,
        Err(PlanError::UnexpectedAddress {
            contract: Contract::EntryPoint,
            recorded: session_key_bindings::ENTRY_POINT,
            ..
        })
    ));
}

#[tokio::test]
async fn everything_is_created_where_and_as_recorded() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    let before = testkit.chain().balance(sender());
    let survey = deployer.survey(Some(sender())).await.unwrap();
    assert_eq!(testkit.chain().block_number(), 0, "a survey sends nothing");
    assert_eq!(missing(&survey).len(), 5);

    deploy_surveyed(&deployer, &survey).await.unwrap();
    for (contract, recorded) in &Deterministic::record().contracts {
        let code = testkit.chain().code(recorded.address);
        assert_eq!(Some(keccak256(&code)), recorded.code_hash, "{contract}");
    }
    let spent = before - testkit.chain().balance(sender());
    assert!(
        spent > U256::ZERO && spent <= survey.cost,
        "{spent} of {}",
        survey.cost
    );

    // The factory makes accounts of the owner plugin.
    let deployment = deployer.plan().deployment();
    let owner = dev_accounts()[1].address;
    let account = SmartAccount::from_factory(testkit.provider(), deployment, [owner], U256::ZERO)
        .await
        .unwrap();
    let create = IModularAccountFactory::createAccountCall {
        salt: U256::ZERO,
        owners: vec![owner],
    };
    testkit
        .chain()
        .transact(owner, deployment.factory, &create)
        .unwrap();
    assert_eq!(account.owners().await.unwrap(), [owner]);
}

#[tokio::test]
async fn a_second_deployment_sends_nothing() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        contract != Contract::ModularAccountFactory
    });
    deploy(&deployer).await.unwrap();
    let block = testkit.chain().block_number();
    testkit.chain().set_balance(sender(), U256::ZERO);
    let survey = deployer.survey(Some(sender())).await.unwrap();
    assert!(survey.is_complete());
    assert_eq!(survey.cost, 0);
    assert_eq!(deploy(&deployer).await.unwrap(), []);
    assert_eq!(testkit.chain().block_number(), block);
}

#[tokio::test]
async fn whatever_is_there_is_completed() {
    for there in [
        &[Contract::EntryPoint, Contract::ModularAccount][..],
        &[
            Contract::SessionKeyPlugin,
            Contract::ModularAccountFactory,
            Contract::EntryPoint,
        ],
    ] {
        let testkit = chain();
        let deployer = deployer(&testkit);
        create(&testkit, &deployer, |contract| there.contains(&contract));
        let created = deploy(&deployer).await.unwrap();
        assert_eq!(created.len() + there.len(), 5);
        assert!(created.iter().all(|contract| !there.contains(contract)));
        assert!(deployer.survey(None).await.unwrap().is_complete());
    }
}

#[tokio::test]
async fn other_parameters_lead_elsewhere_and_are_verified_by_simulation() {
    let testkit = chain();
    let parameters = other_parameters();
    let deployer = deployer_with(&testkit, &parameters);
    let standard = plan(&DeploymentParameters::default());
    for (planned, standard) in deployer.plan().contracts().iter().zip(standard.contracts()) {
        let is_entry_point = planned.contract == Contract::EntryPoint;
        assert_eq!(
            planned.address == standard.address,
            is_entry_point,
            "{}",
            planned.contract
        );
        assert_eq!(
            planned.code_hash.is_some(),
            is_entry_point,
            "{}",
            planned.contract
        );
    }

    let survey = deployer.survey(Some(sender())).await.unwrap();
    assert_eq!(missing(&survey).len(), 5);
    deploy_surveyed(&deployer, &survey).await.unwrap();
    for surveyed in &survey.contracts {
        let code = testkit.chain().code(surveyed.address);
        assert_eq!(keccak256(&code), surveyed.code_hash, "{}", surveyed.contract);
    }
    let factory = deployer.plan().deployment().factory;
    let owner = testkit.chain().read(Address::ZERO, factory, &ownerCall {});
    assert_eq!(owner.unwrap(), parameters.factory_owner);
    assert!(deployer.survey(None).await.unwrap().is_complete());
}

#[tokio::test]
async fn another_chain_is_refused() {
    let testkit = chain();
    let deployer = Deployer::new(testkit.provider(), 1, plan(&DeploymentParameters::default()));
    let error = refusal(&testkit, &deployer).await;
    assert_eq!(error.to_string(), "this is chain 31337, not 1");
}

#[tokio::test]
async fn a_chain_without_the_proxy_is_refused() {
    let testkit = Testkit::default();
    let error = refusal(&testkit, &deployer(&testkit)).await;
    assert!(matches!(
        error,
        DeployError::NoDeploymentProxy { chain_id: CHAIN }
    ));

    testkit.chain().set_code(DEPLOYMENT_PROXY, [0x00]).unwrap();
    let error = refusal(&testkit, &deployer(&testkit)).await;
    let DeployError::UnknownDeploymentProxy { code_hash, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(code_hash, keccak256([0x00]));
}

#[tokio::test]
async fn other_code_in_a_contracts_place_is_refused() {
    for parameters in [DeploymentParameters::default(), other_parameters()] {
        for planned in plan(&parameters).contracts() {
            let testkit = chain();
            testkit.chain().set_code(planned.address, [0x00]).unwrap();
            let deployer = deployer_with(&testkit, &parameters);
            let error = refusal(&testkit, &deployer).await;
            let DeployError::CodeDiffers {
                contract,
                address,
                actual,
                ..
            } = error
            else {
                panic!("{error}");
            };
            assert_eq!((contract, address), (planned.contract, planned.address));
            assert_eq!(actual, keccak256([0x00]));
        }
    }
}

#[tokio::test]
async fn funds_must_be_enough_and_enough_will_do() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        contract <= Contract::SessionKeyPlugin
    });
    let cost = deployer.survey(None).await.unwrap().cost;
    testkit.chain().set_balance(sender(), cost - U256::from(1));
    let error = refusal(&testkit, &deployer).await;
    let DeployError::Underfunded { balance, needed, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((balance, needed), (cost - U256::from(1), cost));

    testkit.chain().set_balance(sender(), cost);
    assert_eq!(deploy(&deployer).await.unwrap().len(), 2);
}

#[tokio::test]
async fn absurd_fees_are_refused_with_both_numbers() {
    const GWEI: u128 = 1_000_000_000;
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        contract != Contract::ModularAccountFactory
    });
    let over = |error| match error {
        DeployError::OverBound(over) => over,
        error => panic!("{error}"),
    };

    // A base fee that nobody can check: what counts is the cost of it all.
    let cost = deployer.survey(None).await.unwrap().cost;
    testkit.chain().set_next_base_fee(1_000_000_000_000_000);
    let error = refusal(&testkit, &deployer).await;
    assert!(
        error
            .to_string()
            .contains("at most 2000000000000000000 is allowed: cost"),
        "{error}"
    );
    let found = over(error);
    assert_eq!(
        (found.setting, found.bound),
        (Setting::MaxCost, deployer.bounds().max_cost)
    );
    assert!(found.asked > found.bound && found.asked > cost);
    let generous = deployer.clone().with_bounds(Bounds {
        max_cost: U256::MAX,
        ..*deployer.bounds()
    });
    assert_eq!(generous.survey(None).await.unwrap().cost, found.asked);

    // Everybody seems to have paid 10,000 gwei on top.
    testkit.chain().set_next_base_fee(1_000_000_000);
    for _ in 0..10 {
        let tip = TransactionRequest::default()
            .with_from(dev_accounts()[7].address)
            .with_to(Address::ZERO)
            .with_gas_limit(21_000)
            .with_max_fee_per_gas(20_000 * GWEI)
            .with_max_priority_fee_per_gas(10_000 * GWEI);
        testkit.chain().send(tip).unwrap().ok().unwrap();
    }
    let found = over(refusal(&testkit, &deployer).await);
    assert_eq!(
        (found.setting, found.asked, found.bound),
        (
            Setting::MaxPriorityFee,
            U256::from(10_000 * GWEI),
            U256::from(100 * GWEI)
        )
    );

    // Where there is nothing to do, fees are of no matter.
    create(&testkit, &deployer, |contract| {
        contract == Contract::ModularAccountFactory
    });
    assert!(deployer.survey(None).await.unwrap().is_complete());
}

#[tokio::test]
async fn the_data_fee_of_the_op_stack_is_counted() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        !matches!(
            contract,
            Contract::MultiOwnerPlugin | Contract::ModularAccountFactory
        )
    });
    let without = deployer.survey(None).await.unwrap().cost;
    // PUSH4 0x3b9aca00, MSTORE at 0, RETURN: a gwei for every transaction.
    let one_gwei = bytes!("633b9aca005f5260205ff3");
    testkit.chain().set_code(GAS_PRICE_ORACLE, one_gwei).unwrap();
    let with = deployer.survey(None).await.unwrap().cost;
    assert_eq!(with - without, U256::from(2 * 2 * 1_000_000_000_u64));
    // An oracle that cannot be asked is no oracle that asks for nothing.
    let selector = hex::encode(&keccak256("getL1Fee(bytes)")[..4]);
    let node = Wire::new(testkit.transport());
    node.rule(move |asked| {
        let is_asked = asked.method == "eth_call" && asked.params.to_string().contains(&selector);
        is_asked.then(|| Fault::refuse(-32000, "rate limit exceeded"))
    });
    let wallet = wallet(node, dev_accounts()[0].signer());
    let limited = Deployer::new(wallet, CHAIN, plan(&DeploymentParameters::default()));
    let error = limited.survey(None).await.unwrap_err();
    assert!(matches!(error, DeployError::Rpc(_)), "{error}");
    // Something else at that address: reverts, has no such instruction, answers nothing.
    for code in [&bytes!("5f5ffd"), &bytes!("fe"), &bytes!("00")] {
        testkit.chain().set_code(GAS_PRICE_ORACLE, code.clone()).unwrap();
        assert_eq!(deployer.survey(None).await.unwrap().cost, without);
    }
}

/// A wallet on the chain, over a wire that fails where it is told to.
fn failing(testkit: &Testkit, fails: impl Fn(&Asked) -> bool + Send + 'static) -> DynProvider {
    let node = Wire::new(testkit.transport());
    node.rule(move |asked| fails(asked).then(|| Fault::refuse(-32000, "the test says no")));
    wallet(node, dev_accounts()[0].signer())
}

#[tokio::test]
async fn a_failure_half_way_is_completed_by_the_next_deployment() {
    for sent in [0, 2] {
        let testkit = chain();
        let provider = failing(&testkit, move |asked| {
            asked.method == "eth_sendRawTransaction" && asked.before == sent
        });
        let deployer = Deployer::new(provider, CHAIN, plan(&DeploymentParameters::default()));
        create(&testkit, &deployer, |contract| {
            matches!(contract, Contract::EntryPoint | Contract::ModularAccount)
        });
        let survey = deployer.survey(Some(sender())).await.unwrap();
        let mut created = Vec::new();
        let error = deployer
            .deploy(&survey, sender(), |contract| created.push(contract.contract))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("the test says no"), "{error}");
        assert_eq!(created.len(), sent);

        let rest = deploy(&deployer).await.unwrap();
        created.extend(rest);
        assert_eq!(created, missing(&survey));
        assert!(deployer.survey(None).await.unwrap().is_complete());
    }
}

/// A deployer on a chain that lacks the factory alone.
fn only_the_factory_is_missing(testkit: &Testkit, node: Wire) -> Deployer {
    let wallet = wallet(node, dev_accounts()[0].signer());
    let deployer = Deployer::new(wallet, CHAIN, plan(&DeploymentParameters::default()));
    create(testkit, &deployer, |contract| {
        contract != Contract::ModularAccountFactory
    });
    deployer
}

#[tokio::test]
async fn what_may_have_been_sent_is_open_until_the_next_deployment() {
    for (fault, is_there) in [
        (Fault::Break, true),
        (Fault::refuse(-32603, "internal error"), false),
    ] {
        let testkit = chain();
        let node = Wire::new(testkit.transport());
        node.once("eth_sendRawTransaction", fault);
        let deployer = only_the_factory_is_missing(&testkit, node);
        let error = deploy(&deployer).await.unwrap_err();
        assert!(
            matches!(
                error,
                DeployError::NoAnswer {
                    contract: Contract::ModularAccountFactory,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.is_open());
        assert_eq!(deployer.survey(None).await.unwrap().is_complete(), is_there);
        deploy(&deployer).await.unwrap();
        assert!(deployer.survey(None).await.unwrap().is_complete());
    }

    // What nobody can sign is not sent.
    let testkit = chain();
    let deployer = only_the_factory_is_missing(&testkit, Wire::new(testkit.transport()));
    let survey = deployer.survey(None).await.unwrap();
    let block = testkit.chain().block_number();
    let stranger = Address::repeat_byte(0x57);
    testkit.chain().set_balance(stranger, survey.cost);
    let error = deployer.deploy(&survey, stranger, |_| {}).await.unwrap_err();
    assert!(
        matches!(error, DeployError::Rpc(_)) && !error.is_open(),
        "{error}"
    );
    assert_eq!(testkit.chain().block_number(), block);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_never_comes_is_waited_for_and_leaves_it_open() {
    for (fault, code) in [
        (Fault::Answer(Ok(Value::Null)), "not_included"),
        (Fault::refuse(-32603, "internal error"), "unread"),
    ] {
        let testkit = chain();
        let node = Wire::new(testkit.transport());
        node.fault("eth_getTransactionReceipt", fault);
        let deployer = only_the_factory_is_missing(&testkit, node.clone());
        let start = Instant::now();
        let error = deploy(&deployer).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.is_open() && error.transaction().is_some());
        assert!((180..=182).contains(&start.elapsed().as_secs()));
        assert!(node.calls("eth_getTransactionReceipt") < 200);
    }
}

#[tokio::test]
async fn somebody_faster_is_no_failure() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        matches!(contract, Contract::EntryPoint | Contract::ModularAccount)
    });
    let survey = deployer.survey(Some(sender())).await.unwrap();
    create(&testkit, &deployer, |contract| {
        contract == Contract::SessionKeyPlugin
    });
    let mut transactions = Vec::new();
    deployer
        .deploy(&survey, sender(), |created| {
            transactions.push(created.transaction.is_some());
        })
        .await
        .unwrap();
    assert_eq!(transactions, [true, false, true]);
}

#[tokio::test]
async fn a_chain_without_the_instructions_is_refused() {
    for (message, is_of_the_chain) in [
        ("invalid opcode: PUSH0", true),
        ("opcode 0x5e not defined", true),
        ("EVM error NotActivated", true),
        ("VM execution error.", true),
        // The node's, of which the chain is not to blame.
        ("rate limit exceeded", false),
        ("the method eth_call does not exist", false),
    ] {
        let testkit = chain();
        let node = Wire::new(testkit.transport());
        node.rule(move |asked| {
            let is_asked = asked.method == "eth_call" && asked.params.to_string().contains("0x5f5f5f5e00");
            is_asked.then(|| Fault::refuse(-32000, message))
        });
        let wallet = wallet(node, dev_accounts()[0].signer());
        let deployer = Deployer::new(wallet, CHAIN, plan(&DeploymentParameters::default()));
        match refusal(&testkit, &deployer).await {
            DeployError::ChainBeforeCancun { reason, .. } if is_of_the_chain => assert_eq!(reason, message),
            DeployError::Rpc(error) if !is_of_the_chain => assert!(error.to_string().contains(message)),
            error => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_node_that_cannot_simulate_is_found_out() {
    let testkit = chain();
    let node = Wire::new(testkit.transport());
    without_overrides(&node);
    let node = provider(node);
    let deployer = Deployer::new(node, CHAIN, plan(&other_parameters()));
    let error = refusal(&testkit, &deployer).await;
    let DeployError::SimulationUnsupported { contract } = error else {
        panic!("{error}");
    };
    assert_eq!(contract, Contract::MultiOwnerPlugin);
}

#[tokio::test]
async fn a_creation_that_fails_is_refused() {
    let testkit = chain();
    let provider = failing(&testkit, |asked| {
        asked.method == "eth_estimateGas" && asked.before == 1
    });
    let deployer = Deployer::new(provider, CHAIN, plan(&DeploymentParameters::default()));
    let error = refusal(&testkit, &deployer).await;
    let DeployError::CreationFails { contract, reason } = error else {
        panic!("{error}");
    };
    assert_eq!(contract, Contract::MultiOwnerPlugin);
    assert_eq!(reason, "the test says no");
}
