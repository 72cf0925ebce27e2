//! Deploying: from nothing, again, half way, with other parameters, and where it must refuse.

use crate::wire::{Asked, Balanced, Fault, Wire, provider, without_overrides};
use serde_json::{Value, json};
use session_key_bindings::{
    IModularAccountFactory, bytecode,
    deployment::{CANCUN_PROBE, DEFAULT_FACTORY_OWNER, GAS_PRICE_ORACLE},
    manifest_hash,
};
use session_key_client::{
    Deployment, SmartAccount,
    alloy::{
        consensus::{Transaction as _, TxEnvelope},
        eips::eip2718::{Decodable2718 as _, Encodable2718 as _},
        network::{TransactionBuilder as _, TxSignerSync as _},
        primitives::{Address, B256, Bytes, U256, bytes, hex, keccak256},
        providers::DynProvider,
        rpc::types::TransactionRequest,
        signers::{Signer as _, local::PrivateKeySigner},
        transports::IntoBoxTransport,
    },
    deployment::{
        Contract, Created, DeployError, Deployer, DeploymentParameters, DeploymentPlan, Deterministic,
        EntryPointCodes, Fate, Keeper, KeeperError, KeptError, PlanError, Resumed, SignedCreation, Survey,
        account_init_code_hash,
    },
    operation::{Bounds, Setting},
    transaction::UnfitTransaction,
};
use session_key_testkit::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Stack, Testkit, dev_accounts, entry_point_codes,
};
use tokio::time::Instant;

const CHAIN: u64 = 31337;
const GWEI: u128 = 1_000_000_000;

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

const fn sender() -> Address {
    dev_accounts()[0].address
}

fn plan(parameters: &DeploymentParameters) -> DeploymentPlan {
    DeploymentPlan::new(parameters, entry_point_codes()).unwrap()
}

fn signer() -> PrivateKeySigner {
    dev_accounts()[0].signer()
}

fn deployer_with(testkit: &Testkit, parameters: &DeploymentParameters) -> Deployer {
    Deployer::new(testkit.provider(), CHAIN, plan(parameters))
}

/// A deployer of the default plan, over a transport.
fn deployer_over(transport: impl IntoBoxTransport) -> Deployer {
    Deployer::new(provider(transport), CHAIN, plan(&DeploymentParameters::default()))
}

/// What a deployment said. It keeps what it is given, and remembers everything.
#[derive(Default)]
struct Notes {
    /// Kept, and not settled.
    kept: Vec<SignedCreation>,
    /// Everything that was ever kept.
    signed: Vec<SignedCreation>,
    fates: Vec<Fate>,
    created: Vec<Created>,
    /// Nothing can be kept.
    is_full: bool,
}

impl Keeper for Notes {
    fn keep(&mut self, transaction: &SignedCreation) -> Result<(), KeeperError> {
        if self.is_full {
            return Err("no space left on device".into());
        }
        self.kept.push(transaction.clone());
        self.signed.push(transaction.clone());
        Ok(())
    }

    fn settled(&mut self, transactions: &[SignedCreation], fate: Fate) {
        assert_eq!(self.kept, transactions, "all that were kept, and no others");
        self.kept.clear();
        self.fates.push(fate);
    }

    fn created(&mut self, created: &Created) {
        self.created.push(created.clone());
    }
}

fn deployer(testkit: &Testkit) -> Deployer {
    deployer_with(testkit, &DeploymentParameters::default())
}

/// Other salts, and another owner of the factory.
const fn other_parameters() -> DeploymentParameters {
    DeploymentParameters {
        factory_owner: Address::repeat_byte(0x0f),
        multi_owner_plugin_salt: B256::repeat_byte(1),
        session_key_plugin_salt: B256::repeat_byte(2),
        modular_account_salt: B256::repeat_byte(3),
        modular_account_factory_salt: B256::repeat_byte(4),
        session_key_module_salt: B256::repeat_byte(5),
    }
}

/// Whether a contract is for ERC-6900 v0.8 accounts: those that are created last.
const fn is_for_modules(contract: Contract) -> bool {
    matches!(contract, Contract::EntryPointV07 | Contract::SessionKeyModule)
}

/// Somebody else creates contracts of the plan. Estimating and creating all of it takes seconds: tests that
/// need only some of it missing begin here.
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
    let mut notes = Notes::default();
    deployer.deploy(survey, &signer(), &mut notes).await?;
    let created: Vec<_> = notes.created.iter().map(|created| created.contract).collect();
    assert_eq!(created, missing(survey));
    assert_eq!(notes.kept, []);
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
    assert_eq!(record.deployment_proxy_code[..], DEPLOYMENT_PROXY_CODE);
    assert_eq!(record.gas_price_oracle, GAS_PRICE_ORACLE);
    assert_eq!(record.cancun_probe[..], CANCUN_PROBE);
    assert_eq!(record.factory_owner, DEFAULT_FACTORY_OWNER);
    assert_eq!(
        record.multi_owner_plugin_manifest_hash,
        manifest_hash::MULTI_OWNER_PLUGIN
    );
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
fn impossible_plans_are_refused() {
    let nobody = DeploymentParameters {
        factory_owner: Address::ZERO,
        ..DeploymentParameters::default()
    };
    assert_eq!(
        DeploymentPlan::new(&nobody, entry_point_codes()),
        Err(PlanError::FactoryOwnerIsZero)
    );
    let plugin = bytecode::SESSION_KEY_PLUGIN.bytes();
    for (entry_points, wrong, at) in [
        (
            EntryPointCodes {
                v06: plugin.clone(),
                ..entry_point_codes()
            },
            Contract::EntryPoint,
            session_key_bindings::ENTRY_POINT,
        ),
        (
            EntryPointCodes {
                v07: plugin,
                ..entry_point_codes()
            },
            Contract::EntryPointV07,
            session_key_bindings::ENTRY_POINT_V07,
        ),
    ] {
        let another = DeploymentPlan::new(&DeploymentParameters::default(), entry_points);
        assert!(matches!(
            another,
            Err(PlanError::UnexpectedAddress { contract, recorded, .. }) if contract == wrong && recorded == at
        ));
    }
}

#[tokio::test]
async fn everything_is_created_where_and_as_recorded() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    let before = testkit.chain().balance(sender());
    let survey = deployer.survey(Some(sender())).await.unwrap();
    assert_eq!(testkit.chain().block_number(), 0, "a survey sends nothing");
    assert_eq!(missing(&survey).len(), Contract::ALL.len());

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
        assert_eq!(created.len() + there.len(), Contract::ALL.len());
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
        let is_entry_point = matches!(planned.contract, Contract::EntryPoint | Contract::EntryPointV07);
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
    assert_eq!(missing(&survey).len(), Contract::ALL.len());
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
        contract <= Contract::SessionKeyPlugin || is_for_modules(contract)
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
    testkit.chain().mine();
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

    // A node that suggests 10,000 gwei on top.
    testkit.chain().set_next_base_fee(1_000_000_000);
    testkit.chain().mine();
    let wire = Wire::new(testkit.transport());
    wire.fault(
        "eth_maxPriorityFeePerGas",
        Fault::Answer(Ok(json!(format!("{:#x}", 10_000 * GWEI)))),
    );
    let found = over(refusal(&testkit, &deployer_over(wire)).await);
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
    let error = deployer_over(node).survey(None).await.unwrap_err();
    assert!(matches!(error, DeployError::Rpc(_)), "{error}");
    // Something else at that address: reverts, has no such instruction, answers nothing.
    for code in [&bytes!("5f5ffd"), &bytes!("fe"), &bytes!("00")] {
        testkit.chain().set_code(GAS_PRICE_ORACLE, code.clone()).unwrap();
        assert_eq!(deployer.survey(None).await.unwrap().cost, without);
    }
}

/// A wire to the chain that fails where it is told to.
fn failing(testkit: &Testkit, fails: impl Fn(&Asked) -> bool + Send + 'static) -> Wire {
    let node = Wire::new(testkit.transport());
    node.rule(move |asked| fails(asked).then(|| Fault::refuse(-32000, "the test says no")));
    node
}

#[tokio::test]
async fn the_need_of_funds_is_a_sum_that_others_can_compute() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        contract <= Contract::SessionKeyPlugin
    });
    testkit.chain().set_next_base_fee(7_000_000_000);
    testkit.chain().mine();
    let mut gas = U256::ZERO;
    let mut limits = Vec::new();
    for planned in &deployer.plan().contracts()[3..] {
        let estimate = estimate(&testkit.provider(), planned.transaction(Address::ZERO)).await;
        limits.push(Some(estimate * 13 / 10));
        gas += U256::from(estimate * 13 / 10);
    }
    let survey = deployer.survey(None).await.unwrap();
    let found: Vec<_> = survey.contracts[3..]
        .iter()
        .map(|surveyed| surveyed.gas_limit)
        .collect();
    assert_eq!(found, limits);
    let fees = (survey.max_fee_per_gas, survey.max_priority_fee_per_gas);
    assert_eq!(
        fees,
        (15 * GWEI, Some(GWEI)),
        "twice the base fee, and the tip that the node suggests"
    );
    assert_eq!(survey.cost, gas * U256::from(15 * GWEI));

    // A node that suggests no tip.
    let wire = Wire::new(testkit.transport());
    wire.fault(
        "eth_maxPriorityFeePerGas",
        Fault::refuse(-32601, "the method does not exist"),
    );
    assert_eq!(deployer_over(wire).survey(None).await.unwrap(), survey);
    // And one that suggests another.
    let wire = Wire::new(testkit.transport());
    wire.fault("eth_maxPriorityFeePerGas", Fault::Answer(Ok(json!("0x77359400"))));
    assert_eq!(
        deployer_over(wire).survey(None).await.unwrap().max_fee_per_gas,
        16 * GWEI
    );

    // What is offered is what was surveyed.
    let mut notes = Notes::default();
    deployer.deploy(&survey, &signer(), &mut notes).await.unwrap();
    for (signed, limit) in notes.signed.iter().zip(limits) {
        let transaction = decoded(signed);
        assert_eq!(Some(transaction.gas_limit()), limit);
        assert_eq!(transaction.max_fee_per_gas(), 15 * GWEI);
        assert_eq!(transaction.max_priority_fee_per_gas(), Some(GWEI));
    }
}

async fn estimate(node: &DynProvider, transaction: TransactionRequest) -> u64 {
    use session_key_client::alloy::providers::Provider as _;
    node.estimate_gas(transaction).await.unwrap()
}

fn decoded(signed: &SignedCreation) -> TxEnvelope {
    TxEnvelope::decode_2718_exact(&signed.raw).unwrap()
}

#[tokio::test]
async fn without_a_base_fee_transactions_offer_the_gas_price() {
    let testkit = chain();
    let wire = Wire::new(testkit.transport());
    wire.fault(
        "eth_getBlockByNumber",
        Fault::change(|block| {
            block.as_object_mut().unwrap().remove("baseFeePerGas");
        }),
    );
    wire.fault("eth_gasPrice", Fault::Answer(Ok(json!("0x2540be400"))));
    let deployer = only_the_factory_is_missing(&testkit, wire);
    let survey = deployer.survey(None).await.unwrap();
    let fees = (survey.max_fee_per_gas, survey.max_priority_fee_per_gas);
    assert_eq!(fees, (10 * GWEI, None));
    let limit = survey.contracts[4].gas_limit.unwrap();
    assert_eq!(survey.cost, U256::from(limit) * U256::from(10 * GWEI));
    let mut notes = Notes::default();
    deployer.deploy(&survey, &signer(), &mut notes).await.unwrap();
    let transaction = decoded(&notes.signed[0]);
    assert!(transaction.is_legacy());
    assert_eq!(
        (transaction.gas_price(), transaction.chain_id()),
        (Some(10 * GWEI), Some(CHAIN))
    );
    assert!(notes.created[0].transaction.is_some());
}

#[tokio::test]
async fn a_failure_half_way_is_completed_by_the_next_deployment() {
    for sent in [0, 2] {
        let testkit = chain();
        let deployer = deployer_over(failing(&testkit, move |asked| {
            asked.method == "eth_sendRawTransaction" && asked.before == sent
        }));
        create(&testkit, &deployer, |contract| {
            matches!(contract, Contract::EntryPoint | Contract::ModularAccount)
        });
        let survey = deployer.survey(Some(sender())).await.unwrap();
        let mut notes = Notes::default();
        let error = deployer.deploy(&survey, &signer(), &mut notes).await.unwrap_err();
        assert!(error.to_string().contains("the test says no"), "{error}");
        assert_eq!(notes.created.len(), sent);
        assert_eq!(notes.kept.len(), 1, "what may have been sent stays");

        let rest = deploy(&deployer).await.unwrap();
        let mut created: Vec<_> = notes.created.iter().map(|created| created.contract).collect();
        created.extend(rest);
        assert_eq!(created, missing(&survey));
        assert!(deployer.survey(None).await.unwrap().is_complete());
    }
}

/// A deployer on a chain that lacks the factory alone.
fn only_the_factory_is_missing(testkit: &Testkit, transport: impl IntoBoxTransport) -> Deployer {
    let deployer = deployer_over(transport);
    create(testkit, &deployer, |contract| {
        contract != Contract::ModularAccountFactory
    });
    deployer
}

#[tokio::test]
async fn every_transaction_is_kept_before_it_is_sent_and_settled_after() {
    let testkit = chain();
    let wire = Wire::new(testkit.transport());
    let deployer = deployer_over(wire.clone());
    create(&testkit, &deployer, |contract| {
        contract <= Contract::SessionKeyPlugin
    });
    let survey = deployer.survey(Some(sender())).await.unwrap();
    // What cannot be kept is not sent.
    let mut full = Notes {
        is_full: true,
        ..Notes::default()
    };
    let block = testkit.chain().block_number();
    let error = deployer.deploy(&survey, &signer(), &mut full).await.unwrap_err();
    assert!(
        matches!(error, DeployError::NotKept { .. }) && !error.is_open(),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with("could not be kept: no space left on device"),
        "{error}"
    );
    assert_eq!(wire.calls("eth_sendRawTransaction"), 0);
    assert_eq!(testkit.chain().block_number(), block);

    let mut notes = Notes::default();
    deployer.deploy(&survey, &signer(), &mut notes).await.unwrap();
    let sent: Vec<Value> = wire
        .asked()
        .into_iter()
        .filter(|asked| asked.method == "eth_sendRawTransaction")
        .map(|asked| asked.params[0].clone())
        .collect();
    let kept: Vec<Value> = notes.signed.iter().map(|signed| json!(signed.raw)).collect();
    assert_eq!(sent, kept);
    assert_eq!(notes.kept, []);
    for (nonce, (signed, created)) in notes.signed.iter().zip(&notes.created).enumerate() {
        assert_eq!(signed.nonce, nonce as u64);
        assert_eq!(signed.hash, keccak256(&signed.raw));
        assert_eq!(
            (signed.contract, Some(signed.hash)),
            (created.contract, created.transaction)
        );
        let receipt = testkit.chain().receipt(signed.hash).unwrap();
        assert_eq!(created.block, receipt.block_number);
        assert_eq!(created.gas_used, receipt.gas_used);
        // Kept as JSON, it comes back as it was.
        let text = serde_json::to_string(signed).unwrap();
        assert_eq!(serde_json::from_str::<SignedCreation>(&text).unwrap(), *signed);
        assert!(signed.cost().unwrap() > U256::ZERO);
    }
}

#[tokio::test]
async fn a_transaction_that_never_left_is_settled_and_one_that_may_have_left_stays() {
    for (fault, code, stays) in [
        (Fault::NotReached, "request_failed", false),
        (Fault::Break, "no_answer", true),
        (Fault::Lose, "no_answer", true),
        (Fault::refuse(-32603, "internal error"), "no_answer", true),
        (
            Fault::refuse(-32000, "max fee per gas less than block base fee"),
            "not_taken",
            true,
        ),
    ] {
        let testkit = chain();
        let node = Wire::new(testkit.transport());
        node.once("eth_sendRawTransaction", fault);
        let deployer = only_the_factory_is_missing(&testkit, node);
        let survey = deployer.survey(Some(sender())).await.unwrap();
        let mut notes = Notes::default();
        let error = deployer.deploy(&survey, &signer(), &mut notes).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.is_open(), code == "no_answer");
        assert_eq!(error.transaction().is_some(), stays, "{error}");
        assert_eq!(notes.kept.len(), usize::from(stays), "{error}");
        if !stays {
            assert_eq!(notes.fates, [Fate::NeverSent]);
        }
        let kept = std::mem::take(&mut notes.kept);
        notes.kept.clone_from(&kept);
        let resumed = deployer.resume(&kept, &signer(), &mut notes).await.unwrap();
        match resumed {
            None => assert!(!stays),
            Some(Resumed::Created(created)) => assert_eq!(created.transaction, Some(kept[0].hash)),
            Some(resumed) => panic!("{resumed:?}"),
        }
        deploy(&deployer).await.unwrap();
        assert!(deployer.survey(None).await.unwrap().is_complete());
        assert_eq!(testkit.chain().nonce(sender()), 1, "nothing was sent twice");
    }
}

#[tokio::test]
async fn a_signer_that_refuses_sends_nothing() {
    let testkit = chain();
    let wire = Wire::new(testkit.transport());
    let deployer = only_the_factory_is_missing(&testkit, wire.clone());
    let survey = deployer.survey(None).await.unwrap();
    // For another chain.
    let refusing = signer().with_chain_id(Some(1));
    let mut notes = Notes::default();
    let error = deployer.deploy(&survey, &refusing, &mut notes).await.unwrap_err();
    assert!(
        matches!(error, DeployError::NotSigned { .. }) && !error.is_open(),
        "{error}"
    );
    assert_eq!((notes.signed.len(), wire.calls("eth_sendRawTransaction")), (0, 0));
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

/// Interrupts a deployment of the factory once its transaction is in the pool, where it stays.
async fn interrupted(testkit: &Testkit) -> (Deployer, Vec<SignedCreation>) {
    let deployer = only_the_factory_is_missing(testkit, testkit.transport());
    let survey = deployer.survey(Some(sender())).await.unwrap();
    testkit.chain().set_automine(false);
    let node = Wire::new(testkit.transport());
    node.once("eth_sendRawTransaction", Fault::Hang);
    let mut notes = Notes::default();
    let (hanging, payer) = (deployer_over(node.clone()), signer());
    tokio::select! {
        biased;
        () = node.hangs() => {}
        outcome = hanging.deploy(&survey, &payer, &mut notes) => panic!("{outcome:?}"),
    }
    assert_eq!(testkit.chain().pool().len(), 1);
    assert_eq!(notes.kept.len(), 1);
    (deployer, notes.kept)
}

fn notes_of(kept: &[SignedCreation]) -> Notes {
    Notes {
        kept: kept.to_vec(),
        ..Notes::default()
    }
}

/// Somebody else creates the factory while the pool is not mined.
fn create_factory_first(testkit: &Testkit, deployer: &Deployer) {
    let pool = testkit.chain().pool();
    for waiting in &pool {
        testkit
            .chain()
            .hold_pooled(*waiting.transaction.inner.tx_hash())
            .unwrap();
    }
    testkit.chain().set_automine(true);
    create(testkit, deployer, |contract| {
        contract == Contract::ModularAccountFactory
    });
    testkit.chain().set_automine(false);
    for waiting in &pool {
        testkit
            .chain()
            .release_pooled(*waiting.transaction.inner.tx_hash())
            .unwrap();
    }
}

/// Another transaction of the deployer, to nobody.
async fn send_another(testkit: &Testkit, nonce: u64, fee: u128) -> B256 {
    use session_key_client::alloy::providers::Provider as _;
    let transaction = TransactionRequest::default()
        .with_from(sender())
        .with_to(Address::repeat_byte(9))
        .with_nonce(nonce)
        .with_chain_id(CHAIN)
        .with_gas_limit(21_000)
        .with_max_fee_per_gas(fee)
        .with_max_priority_fee_per_gas(fee);
    let wallet = testkit.provider_with_signer(signer());
    *wallet.send_transaction(transaction).await.unwrap().tx_hash()
}

#[tokio::test]
async fn a_transaction_included_in_the_meantime_is_reported() {
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    testkit.chain().mine();
    let wire = Wire::new(testkit.transport());
    let mut notes = notes_of(&kept);
    let resumed = deployer_over(wire.clone())
        .resume(&kept, &signer(), &mut notes)
        .await
        .unwrap();
    let Some(Resumed::Created(created)) = resumed else {
        panic!("{resumed:?}");
    };
    assert_eq!(
        (created.contract, created.transaction),
        (Contract::ModularAccountFactory, Some(kept[0].hash))
    );
    assert_eq!(notes.created, [created]);
    assert_eq!(wire.calls("eth_sendRawTransaction"), 0);
    let (transaction, success) = (kept[0].hash, Some(true));
    assert_eq!(notes.fates, [Fate::Included { transaction, success }]);
    assert!(deployer.survey(None).await.unwrap().is_complete());
}

#[tokio::test]
async fn a_transaction_that_waits_is_sent_again_as_it_is_and_awaited() {
    for is_dropped in [false, true] {
        let testkit = chain();
        let (_, kept) = interrupted(&testkit).await;
        if is_dropped {
            testkit.chain().drop_pooled(kept[0].hash).unwrap();
            testkit.chain().set_automine(true);
        }
        let wire = Wire::new(testkit.transport());
        let miner = testkit.clone();
        wire.rule(move |asked| {
            // It is included while it is waited for.
            if asked.method == "eth_getTransactionReceipt" && asked.before == 4 {
                miner.chain().mine();
            }
            None
        });
        let mut notes = notes_of(&kept);
        let resumed = deployer_over(wire.clone())
            .resume(&kept, &signer(), &mut notes)
            .await
            .unwrap();
        assert!(
            matches!(&resumed, Some(Resumed::Created(created)) if created.transaction == Some(kept[0].hash)),
            "{resumed:?}"
        );
        assert_eq!(notes.signed, [], "nothing new was signed");
        let sent: Vec<_> = wire
            .asked()
            .into_iter()
            .filter(|asked| asked.method == "eth_sendRawTransaction")
            .map(|asked| asked.params[0].clone())
            .collect();
        assert_eq!(sent, [json!(kept[0].raw)]);
    }
}

#[tokio::test]
async fn fees_that_are_too_low_by_now_are_raised_in_a_replacement_that_is_also_kept() {
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    let old = decoded(&kept[0]);
    let base_fee = u64::try_from(old.max_fee_per_gas()).unwrap() * 2;
    testkit.chain().hold_pooled(kept[0].hash).unwrap();
    testkit.chain().set_next_base_fee(base_fee);
    testkit.chain().mine();
    testkit.chain().release_pooled(kept[0].hash).unwrap();

    // It is interrupted again, right after it has kept the replacement.
    let node = Wire::new(testkit.transport());
    node.once("eth_sendRawTransaction", Fault::Swallow);
    let mut notes = notes_of(&kept);
    let (hanging, payer) = (deployer_over(node.clone()), signer());
    tokio::select! {
        biased;
        () = node.hangs() => {}
        outcome = hanging.resume(&kept, &payer, &mut notes) => panic!("{outcome:?}"),
    }
    let kept = notes.kept;
    assert_eq!(kept.len(), 2);
    let new = decoded(&kept[1]);
    assert_eq!(
        (new.nonce(), new.input(), new.gas_limit()),
        (old.nonce(), old.input(), old.gas_limit())
    );
    let tip = |transaction: &TxEnvelope| transaction.max_priority_fee_per_gas().unwrap();
    assert!(new.max_fee_per_gas() * 10 >= old.max_fee_per_gas() * 11);
    assert!(tip(&new) * 10 >= tip(&old) * 11);
    assert!(new.max_fee_per_gas() >= 2 * u128::from(base_fee));

    // Whichever of them is included, it is found; here the second, which is sent as it is.
    testkit.chain().set_automine(true);
    let mut notes = notes_of(&kept);
    let resumed = deployer.resume(&kept, &signer(), &mut notes).await.unwrap();
    assert!(
        matches!(&resumed, Some(Resumed::Created(created)) if created.transaction == Some(kept[1].hash)),
        "{resumed:?}"
    );
    assert_eq!(notes.signed, []);

    let testkit = chain();
    let (deployer, first) = interrupted(&testkit).await;
    testkit.chain().mine();
    let both = [
        first[0].clone(),
        SignedCreation {
            contract: first[0].contract,
            ..resigned(&first[0], |_| {})
        },
    ];
    let mut notes = notes_of(&both);
    let resumed = deployer.resume(&both, &signer(), &mut notes).await.unwrap();
    assert!(
        matches!(&resumed, Some(Resumed::Created(created)) if created.transaction == Some(first[0].hash)),
        "{resumed:?}"
    );
}

#[tokio::test]
async fn a_replacement_is_within_the_bounds() {
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    testkit.chain().hold_pooled(kept[0].hash).unwrap();
    testkit.chain().set_next_base_fee(1_000_000_000_000_000);
    testkit.chain().mine();
    let mut notes = notes_of(&kept);
    let error = deployer.resume(&kept, &signer(), &mut notes).await.unwrap_err();
    assert!(
        matches!(&error, DeployError::OverBound(over) if over.setting == Setting::MaxCost),
        "{error}"
    );
    assert_eq!(notes.kept, kept, "the old one stays");
    assert_eq!(notes.signed, []);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_another_transaction_used_makes_it_void() {
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    send_another(&testkit, kept[0].nonce, 50 * GWEI).await;
    testkit.chain().mine();
    let mut notes = notes_of(&kept);
    let resumed = deployer.resume(&kept, &signer(), &mut notes).await.unwrap();
    let expected = Resumed::Void {
        contract: Contract::ModularAccountFactory,
        nonce: kept[0].nonce,
    };
    assert_eq!(resumed, Some(expected));
    assert_eq!(notes.fates, [Fate::Void]);
    assert_eq!(notes.created, []);
    testkit.chain().set_automine(true);
    deploy(&deployer).await.unwrap();
    assert!(deployer.survey(None).await.unwrap().is_complete());
}

#[tokio::test]
async fn a_failed_transaction_is_never_shown_as_done() {
    // Somebody else was faster while it waited.
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    create_factory_first(&testkit, &deployer);
    testkit.chain().mine();
    let mut notes = notes_of(&kept);
    let resumed = deployer.resume(&kept, &signer(), &mut notes).await.unwrap();
    let Some(Resumed::Created(created)) = resumed else {
        panic!("{resumed:?}");
    };
    assert_eq!(
        (created.transaction, created.block, created.failed),
        (None, None, Some(kept[0].hash))
    );
    assert!(created.gas_used > 0);
    let (transaction, success) = (kept[0].hash, Some(false));
    assert_eq!(notes.fates, [Fate::Included { transaction, success }]);

    // It failed for want of gas, and nobody else created the contract.
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    testkit.chain().drop_pooled(kept[0].hash).unwrap();
    let starved = resigned(&kept[0], |transaction| transaction.set_gas_limit(600_000));
    testkit.chain().set_automine(true);
    let mut notes = notes_of(std::slice::from_ref(&starved));
    let resumed = deployer
        .resume(std::slice::from_ref(&starved), &signer(), &mut notes)
        .await
        .unwrap();
    let expected = Resumed::Failed {
        contract: Contract::ModularAccountFactory,
        transaction: starved.hash,
    };
    assert_eq!(resumed, Some(expected));
    assert_eq!((notes.created.len(), notes.kept.len()), (0, 0));

    // Both in one run: the survey's gas limit is too low by the time it is sent.
    let survey = deployer.survey(Some(sender())).await.unwrap();
    let mut starving = survey.clone();
    starving.contracts[4].gas_limit = Some(600_000);
    let mut notes = Notes::default();
    let error = deployer
        .deploy(&starving, &signer(), &mut notes)
        .await
        .unwrap_err();
    assert!(
        matches!(error, DeployError::Reverted { .. }) && !error.is_open(),
        "{error}"
    );
    assert_eq!((notes.created.len(), notes.kept.len()), (0, 0));
}

/// The same creation, with something changed.
fn resigned(signed: &SignedCreation, change: impl FnOnce(&mut TransactionRequest)) -> SignedCreation {
    let mut request = TransactionRequest::from_transaction(decoded(signed));
    request.from = None;
    // Another transaction than the one that it is made from, in any case.
    request.max_fee_per_gas = request.max_fee_per_gas.map(|fee| fee + 1);
    change(&mut request);
    let mut transaction = request.build_typed_tx().unwrap();
    let signature = signer().sign_transaction_sync(&mut transaction).unwrap();
    let envelope: TxEnvelope = transaction.into_envelope(signature);
    SignedCreation {
        contract: signed.contract,
        nonce: envelope.nonce(),
        hash: *envelope.tx_hash(),
        raw: envelope.encoded_2718().into(),
    }
}

#[tokio::test]
async fn contracts_that_somebody_else_created_are_not_sent_again() {
    let testkit = chain();
    let (deployer, kept) = interrupted(&testkit).await;
    create_factory_first(&testkit, &deployer);
    let wire = Wire::new(testkit.transport());
    let mut notes = notes_of(&kept);
    let resumed = deployer_over(wire.clone())
        .resume(&kept, &signer(), &mut notes)
        .await
        .unwrap();
    assert!(
        matches!(&resumed, Some(Resumed::Created(created)) if created.transaction.is_none() && created.failed.is_none()),
        "{resumed:?}"
    );
    assert_eq!(notes.fates, [Fate::Superfluous]);
    assert_eq!(wire.calls("eth_sendRawTransaction"), 0);
}

#[tokio::test]
async fn a_kept_transaction_is_checked_before_it_is_sent() {
    let testkit = chain();
    let (_, kept) = interrupted(&testkit).await;
    let kept = &kept[0];
    testkit.chain().drop_pooled(kept.hash).unwrap();
    let to_somebody = resigned(kept, |transaction| transaction.set_to(Address::repeat_byte(3)));
    let with_ether = resigned(kept, |transaction| transaction.set_value(U256::from(1)));
    let something_else = resigned(kept, |transaction| transaction.set_input(bytes!("00")));
    let other_chain = resigned(kept, |transaction| transaction.set_chain_id(1));
    let plugin = SignedCreation {
        contract: Contract::SessionKeyPlugin,
        ..kept.clone()
    };
    let later = SignedCreation {
        nonce: kept.nonce + 1,
        ..kept.clone()
    };
    let other_hash = SignedCreation {
        hash: B256::repeat_byte(1),
        ..kept.clone()
    };
    let garbage = |raw: Bytes| SignedCreation {
        hash: keccak256(&raw),
        raw,
        ..kept.clone()
    };
    let longer = garbage([&kept.raw[..], &[0]].concat().into());
    let wire = Wire::new(testkit.transport());
    let deployer = deployer_over(wire.clone());
    let refused = async |signer: PrivateKeySigner, kept: &[SignedCreation]| {
        let error = deployer
            .resume(kept, &signer, &mut Notes::default())
            .await
            .unwrap_err();
        assert!(!error.is_open());
        match error {
            DeployError::NotOfThisDeployment { error, .. } => error,
            error => panic!("{error}"),
        }
    };
    for (wrong, expected) in [
        (
            other_hash,
            KeptError::Unfit(UnfitTransaction::HashDiffers { actual: kept.hash }),
        ),
        (
            garbage(bytes!("")),
            KeptError::Unfit(UnfitTransaction::NotATransaction),
        ),
        (
            garbage(bytes!("02c0")),
            KeptError::Unfit(UnfitTransaction::NotATransaction),
        ),
        (longer, KeptError::Unfit(UnfitTransaction::NotATransaction)),
        (to_somebody, KeptError::NotACreation),
        (with_ether, KeptError::NotACreation),
        (
            something_else,
            KeptError::OtherCreation {
                contract: Contract::ModularAccountFactory,
            },
        ),
        (
            plugin,
            KeptError::OtherCreation {
                contract: Contract::SessionKeyPlugin,
            },
        ),
        (
            later,
            KeptError::Unfit(UnfitTransaction::NonceDiffers {
                expected: kept.nonce + 1,
                actual: kept.nonce,
            }),
        ),
        (
            other_chain,
            KeptError::Unfit(UnfitTransaction::ChainDiffers {
                expected: CHAIN,
                actual: Some(1),
            }),
        ),
    ] {
        assert_eq!(refused(signer(), std::slice::from_ref(&wrong)).await, expected);
        assert_eq!(
            refused(signer(), &[kept.clone(), wrong]).await,
            expected,
            "each is checked"
        );
    }
    let stranger = dev_accounts()[5].signer();
    let expected = KeptError::Unfit(UnfitTransaction::SignerDiffers {
        expected: stranger.address(),
        actual: sender(),
    });
    assert_eq!(refused(stranger, std::slice::from_ref(kept)).await, expected);
    let next = resigned(kept, |transaction| transaction.set_nonce(kept.nonce + 1));
    let expected = KeptError::Unfit(UnfitTransaction::NonceDiffers {
        expected: kept.nonce + 1,
        actual: kept.nonce,
    });
    assert_eq!(refused(signer(), &[kept.clone(), next]).await, expected);
    // Of the same contract, with other parameters.
    let other = Deployer::new(testkit.provider(), CHAIN, plan(&other_parameters()));
    let error = other
        .resume(std::slice::from_ref(kept), &signer(), &mut Notes::default())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not create ModularAccountFactory with the parameters given"),
        "{error}"
    );
    let other = Deployer::new(testkit.provider(), 1, plan(&DeploymentParameters::default()));
    let error = other
        .resume(std::slice::from_ref(kept), &signer(), &mut Notes::default())
        .await
        .unwrap_err();
    assert!(matches!(error, DeployError::WrongChain { .. }), "{error}");
    assert_eq!(wire.calls("eth_sendRawTransaction"), 0);
}

#[tokio::test(start_paused = true)]
async fn transactions_that_wait_are_waited_for_before_anything_is_signed() {
    let testkit = chain();
    let deployer = only_the_factory_is_missing(&testkit, testkit.transport());
    let survey = deployer.survey(Some(sender())).await.unwrap();
    testkit.chain().set_automine(false);
    let other = send_another(&testkit, 0, 50 * GWEI).await;
    testkit.chain().hold_pooled(other).unwrap();
    assert_eq!(deployer.pending(sender()).await.unwrap(), 1);
    let start = Instant::now();
    let mut notes = Notes::default();
    for error in [
        deployer.settle(sender()).await.unwrap_err(),
        deployer.deploy(&survey, &signer(), &mut notes).await.unwrap_err(),
    ] {
        let DeployError::TransactionsPending {
            included: 0,
            known: 1,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert!(!error.is_open());
    }
    assert_eq!(notes.signed, []);
    assert!((360..=366).contains(&start.elapsed().as_secs()));

    // Once they are included, it goes on, with the next nonce.
    testkit.chain().release_pooled(other).unwrap();
    testkit.chain().set_automine(true);
    testkit.chain().mine();
    assert_eq!(deployer.pending(sender()).await.unwrap(), 0);
    deployer.settle(sender()).await.unwrap();
    deployer.deploy(&survey, &signer(), &mut notes).await.unwrap();
    assert_eq!(notes.signed[0].nonce, 1);
}

#[tokio::test]
async fn a_faster_deployer_is_not_a_failure() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        matches!(contract, Contract::EntryPoint | Contract::ModularAccount) || is_for_modules(contract)
    });
    let survey = deployer.survey(Some(sender())).await.unwrap();
    create(&testkit, &deployer, |contract| {
        contract == Contract::SessionKeyPlugin
    });
    let mut notes = Notes::default();
    deployer.deploy(&survey, &signer(), &mut notes).await.unwrap();
    let transactions: Vec<_> = notes
        .created
        .iter()
        .map(|created| created.transaction.is_some())
        .collect();
    assert_eq!(transactions, [true, false, true]);
}

/// Two who deploy at the same time, in turns that the chain decides: each creates what the other has not.
#[tokio::test]
async fn two_concurrent_deployers_both_succeed() {
    // Each with an account of its own; both with the same.
    for accounts in [[0, 1], [0, 0]] {
        let testkit = chain();
        let first = deployer(&testkit);
        create(&testkit, &first, |contract| {
            contract <= Contract::MultiOwnerPlugin || is_for_modules(contract)
        });
        let survey = first.survey(None).await.unwrap();
        testkit.chain().set_automine(false);
        let (mut one, mut two) = (Notes::default(), Notes::default());
        let [signer_of_one, signer_of_two] = accounts.map(|index: usize| dev_accounts()[index].signer());
        let second = deployer(&testkit);
        let mining = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                testkit.chain().mine();
            }
        };
        let both = async {
            tokio::join!(
                first.deploy(&survey, &signer_of_one, &mut one),
                second.deploy(&survey, &signer_of_two, &mut two)
            )
        };
        let (first_outcome, second_outcome) = tokio::select! {
            outcomes = both => outcomes,
            () = mining => unreachable!(),
        };
        first_outcome.unwrap();
        second_outcome.unwrap();
        for notes in [&one, &two] {
            let contracts: Vec<_> = notes.created.iter().map(|created| created.contract).collect();
            assert_eq!(contracts, missing(&survey));
            assert_eq!(notes.kept, []);
            for created in &notes.created {
                let is = |hash: Option<B256>, success| {
                    hash.is_none_or(|hash| testkit.chain().receipt(hash).unwrap().status() == success)
                };
                assert!(
                    is(created.transaction, true) && is(created.failed, false),
                    "{created:?}"
                );
            }
        }
        if accounts[0] != accounts[1] {
            let failed = |notes: &Notes| {
                notes
                    .created
                    .iter()
                    .filter(|created| created.failed.is_some())
                    .count()
            };
            assert_eq!(failed(&one) + failed(&two), 3, "one of each two came too late");
        }
        testkit.chain().set_automine(true);
        assert!(first.survey(None).await.unwrap().is_complete());
    }
}

/// Behind one address, some nodes have not heard of the latest block yet.
#[tokio::test(start_paused = true)]
async fn nonces_follow_each_other_on_nodes_that_are_behind() {
    let testkit = chain();
    let deployer = deployer(&testkit);
    create(&testkit, &deployer, |contract| {
        contract <= Contract::MultiOwnerPlugin || is_for_modules(contract)
    });
    let survey = deployer.survey(Some(sender())).await.unwrap();
    // One that never hears of any transaction of the deployer.
    let behind = Wire::new(testkit.transport());
    behind.fault("eth_getTransactionCount", Fault::Answer(Ok(json!("0x0"))));
    let balanced = Balanced::new(
        vec![
            testkit.transport().into_box_transport(),
            behind.into_box_transport(),
        ],
        |method, _| usize::from(method == "eth_getTransactionCount"),
    );
    let mut notes = Notes::default();
    deployer_over(balanced)
        .deploy(&survey, &signer(), &mut notes)
        .await
        .unwrap();
    let nonces: Vec<_> = notes.signed.iter().map(|signed| signed.nonce).collect();
    assert_eq!(nonces, [0, 1, 2]);
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
        match refusal(&testkit, &deployer_over(node)).await {
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
    let deployer = deployer_over(failing(&testkit, |asked| {
        asked.method == "eth_estimateGas" && asked.before == 1
    }));
    let error = refusal(&testkit, &deployer).await;
    let DeployError::CreationFails { contract, reason } = error else {
        panic!("{error}");
    };
    assert_eq!(contract, Contract::MultiOwnerPlugin);
    assert_eq!(reason, "the test says no");
}
