//! Who is who: connecting to accounts, and addresses of accounts that do not exist yet.

use crate::{
    fixture::{Fixture, RECIPIENT, deployment, key},
    wire::provider,
};
use session_key_bindings::{ENTRY_POINT, IModularAccount, IModularAccountFactory, IMultiOwnerPlugin};
use session_key_client::{
    Deployment, NewSessionKey, SmartAccount,
    account::{ConnectError, ConnectOptions, MAX_REQUESTS_IN_FLIGHT, ReadError},
    alloy::{
        hex,
        primitives::{Address, B256, Selector, U256, keccak256},
        rpc::json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload},
        sol_types::SolCall,
        transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut},
    },
    calldata::{self, OwnersError},
    deployment::{DeploymentParameters, DeploymentPlan, Deterministic},
    explain::load,
    permissions::{EXECUTE_WITH_SESSION_KEY, Permissions},
};
use session_key_testkit::{
    Chain, DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Stack, Testkit, dev_accounts, entry_point_codes,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

const CHAIN: u64 = 31337;
const BASE: u64 = 8453;

type Lie = dyn Fn(&str, &str) -> Option<serde_json::Value> + Send + Sync;

/// A node in front of the simulated chain: it answers some questions in its own way, and notes how many it
/// has at once.
#[derive(Clone)]
struct Front {
    inner: BoxTransport,
    lie: Arc<Lie>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    in_flight: AtomicUsize,
    most: AtomicUsize,
    rounds: AtomicUsize,
    methods: Mutex<Vec<String>>,
}

impl Front {
    fn honest(testkit: &Testkit) -> Self {
        Self::lying(testkit, |_, _| None)
    }

    /// `lie` gets method and parameters.
    fn lying(
        testkit: &Testkit,
        lie: impl Fn(&str, &str) -> Option<serde_json::Value> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: BoxTransport::new(testkit.transport()),
            lie: Arc::new(lie),
            seen: Arc::default(),
        }
    }

    /// A node that says that it is of this chain.
    fn of_chain(testkit: &Testkit, chain_id: u64) -> Self {
        Self::lying(testkit, move |method, _| {
            (method == "eth_chainId").then(|| format!("{chain_id:#x}").into())
        })
    }

    /// A node that answers a call with this selector so.
    fn answering<C: SolCall>(testkit: &Testkit, answer: &C::Return) -> Self {
        Self::answering_when::<C>(testkit, "", answer)
    }

    /// The same if the parameters of the call contain this text.
    fn answering_when<C: SolCall>(testkit: &Testkit, contained: &'static str, answer: &C::Return) -> Self {
        let (selector, answer) = (
            hex::encode_prefixed(C::SELECTOR),
            hex::encode_prefixed(C::abi_encode_returns(answer)),
        );
        Self::lying(testkit, move |method, params| {
            let is_asked = method == "eth_call" && params.contains(&selector) && params.contains(contained);
            is_asked.then(|| answer.clone().into())
        })
    }

    fn requests(&self) -> usize {
        self.seen.methods.lock().unwrap().len()
    }

    /// Requests in flight at the same time are one round.
    fn rounds(&self) -> usize {
        self.seen.rounds.load(Ordering::SeqCst)
    }

    /// The most requests that were in flight at the same time.
    fn most_in_flight(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let RequestPacket::Single(request) = &packet else {
            return Err(TransportErrorKind::custom_str("no batches"));
        };
        let (method, id) = (request.method().to_owned(), request.id().clone());
        let params = request.params().map_or("", |params| params.get()).to_owned();
        self.seen.methods.lock().unwrap().push(method.clone());
        let before = self.seen.in_flight.fetch_add(1, Ordering::SeqCst);
        if before == 0 {
            self.seen.rounds.fetch_add(1, Ordering::SeqCst);
        }
        self.seen.most.fetch_max(before + 1, Ordering::SeqCst);
        // Long enough for everything that is sent at once to be in flight.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let response = match (self.lie)(&method, &params) {
            Some(value) => Ok(ResponsePacket::Single(Response {
                id,
                payload: ResponsePayload::Success(serde_json::value::to_raw_value(&value).unwrap()),
            })),
            None => self.inner.call(packet).await,
        };
        self.seen.in_flight.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

impl Service<RequestPacket> for Front {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().answer(packet))
    }
}

/// Other salts: other plugins, another account implementation, another factory.
fn other_plan() -> DeploymentPlan {
    let parameters = DeploymentParameters {
        factory_owner: Address::repeat_byte(0x0f),
        multi_owner_plugin_salt: B256::repeat_byte(1),
        session_key_plugin_salt: B256::repeat_byte(2),
        modular_account_salt: B256::repeat_byte(3),
        modular_account_factory_salt: B256::repeat_byte(4),
        session_key_module_salt: B256::repeat_byte(5),
    };
    DeploymentPlan::new(&parameters, entry_point_codes()).unwrap()
}

fn deploy(chain: &mut Chain, plan: &DeploymentPlan) {
    chain.set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE).unwrap();
    for planned in plan.contracts() {
        if chain.code(planned.address).is_empty() {
            let transaction = planned.transaction(dev_accounts()[7].address);
            chain.send(transaction).unwrap().ok().unwrap();
        }
    }
}

fn create(chain: &mut Chain, deployment: &Deployment, owner: Address) -> Address {
    let call = IModularAccountFactory::createAccountCall {
        salt: U256::ZERO,
        owners: vec![owner],
    };
    chain.transact(owner, deployment.factory, &call).unwrap()
}

/// The owner installs a session key plugin with a key by a plain transaction.
fn install(
    chain: &mut Chain,
    account: Address,
    deployment: &Deployment,
    owner: Address,
    session_key: Address,
) {
    let new = NewSessionKey::new(session_key, &Permissions::new()).unwrap();
    let dependencies = calldata::owner_dependencies(deployment.multi_owner_plugin);
    let call = IModularAccount::installPluginCall {
        plugin: deployment.session_key_plugin,
        manifestHash: session_key_bindings::manifest_hash::SESSION_KEY_PLUGIN,
        pluginInstallData: calldata::session_key_plugin_install_data(&[new]),
        dependencies: dependencies.map(Into::into).to_vec(),
    };
    chain.transact(owner, account, &call).unwrap();
}

const fn owner() -> Address {
    dev_accounts()[1].address
}

/// An account of other contracts than those that are known, with a session key of its own plugin.
fn account_of_other_contracts() -> (Testkit, Deployment, Address) {
    let testkit = Testkit::default();
    let own = other_plan().deployment();
    let account = {
        let mut chain = testkit.chain();
        deploy(&mut chain, &other_plan());
        let account = create(&mut chain, &own, owner());
        install(&mut chain, account, &own, owner(), key(1).address());
        account
    };
    (testkit, own, account)
}

/// An account of a stack, without a session key plugin.
fn account_without_keys() -> (Testkit, Stack, Address) {
    let testkit = Testkit::default();
    let (stack, account) = {
        let mut chain = testkit.chain();
        let stack = Stack::deploy(&mut chain).unwrap();
        let account = stack.create_account(&mut chain, U256::ZERO, &[owner()]).unwrap();
        (stack, account)
    };
    (testkit, stack, account)
}

async fn refused(front: Front, account: Address) -> ConnectError {
    SmartAccount::connect(provider(front), account).await.unwrap_err()
}

#[tokio::test]
async fn the_accounts_own_plugins_are_used_on_a_chain_with_known_contracts() {
    let (testkit, own, address) = account_of_other_contracts();
    let known = Deployment::on_chain(BASE).unwrap();
    assert_ne!(known.session_key_plugin, own.session_key_plugin);
    let front = Front::of_chain(&testkit, BASE);
    let account = SmartAccount::connect(provider(front.clone()), address)
        .await
        .unwrap();
    assert!(front.rounds() <= 2, "{} rounds", front.rounds());
    assert_eq!(account.chain_id(), BASE);
    assert!(account.address_is_verified());

    let deployment = account.deployment();
    assert_eq!(deployment.entry_point, ENTRY_POINT);
    assert_eq!(deployment.session_key_plugin, own.session_key_plugin);
    assert_eq!(deployment.multi_owner_plugin, own.multi_owner_plugin);
    // No known factory makes such accounts.
    assert_eq!(
        (deployment.factory, deployment.account_init_code_hash),
        (Address::ZERO, None)
    );

    let connected = account.connected().unwrap();
    assert!(connected.has_session_key_plugin());
    assert_eq!(connected.session_key_plugin, Some(own.session_key_plugin));
    assert_eq!(connected.owner_plugin, Some(own.multi_owner_plugin));
    assert_eq!(
        connected.installed_plugins,
        [own.session_key_plugin, own.multi_owner_plugin]
    );
    assert_eq!(
        connected.implementation,
        Some(other_plan().contracts()[3].address)
    );

    // The key that is alive there reads as alive.
    assert!(account.is_session_key(key(1).address()).await.unwrap());
    assert_eq!(account.session_keys().await.unwrap(), [key(1).address()]);
    assert_eq!(account.owners().await.unwrap(), [owner()]);
    assert!(account.is_session_key_plugin_installed().await.unwrap());
}

#[tokio::test]
async fn with_contracts_that_are_known_connecting_takes_one_round() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let front = Front::honest(&fixture.testkit);
    let account = SmartAccount::connect(provider(front.clone()), fixture.account.address())
        .await
        .unwrap();
    let (found, real) = (account.deployment(), fixture.account.deployment());
    assert_eq!(found.session_key_plugin, real.session_key_plugin);
    assert_eq!(found.multi_owner_plugin, real.multi_owner_plugin);
    // The factory that is recorded for these plugins is not on this chain, which takes a look at its code.
    assert_eq!(found.factory, Address::ZERO);
    assert_eq!((front.rounds(), front.requests()), (2, 10));

    let front = Front::honest(&fixture.testkit);
    let options = ConnectOptions::new().deployments([*real]);
    let account = SmartAccount::connect_with(&options, provider(front.clone()), account.address())
        .await
        .unwrap();
    assert_eq!(account.deployment(), real);
    assert_eq!((front.rounds(), front.requests()), (1, 9));
}

#[tokio::test]
async fn a_missing_account_is_the_error() {
    let (testkit, stack, account) = account_without_keys();
    let error = refused(Front::honest(&testkit), RECIPIENT).await;
    assert!(
        matches!(
            error,
            ConnectError::NotDeployed {
                address: RECIPIENT,
                chain_id: CHAIN
            }
        ),
        "{error:?}"
    );
    // Contracts, but no accounts: one reverts, the other has a fallback that takes everything.
    testkit.chain().set_code(RECIPIENT, [0x00]).unwrap();
    for contract in [stack.token, RECIPIENT] {
        let error = refused(Front::honest(&testkit), contract).await;
        assert!(
            matches!(error, ConnectError::NotModularAccount { address, function: "entryPoint()" } if address == contract),
            "{error:?}"
        );
    }
    // An account without the loupe of ERC-6900 v0.7.
    let selector = hex::encode(IModularAccount::getInstalledPluginsCall::SELECTOR);
    let front = Front::lying(&testkit, move |_, params| {
        params.contains(&selector).then(|| "0x".into())
    });
    let error = refused(front, account).await;
    assert!(
        matches!(
            error,
            ConnectError::NotModularAccount {
                function: "getInstalledPlugins()",
                ..
            }
        ),
        "{error:?}"
    );
    // A node that cannot answer says nothing of the account.
    let front = Front::lying(&testkit, |method, _| {
        (method == "eth_getCode").then(|| "not hex".into())
    });
    let error = refused(front, account).await;
    assert!(
        matches!(error, ConnectError::Read(ReadError::Rpc(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn without_a_session_key_plugin_the_deployment_names_one_to_install() {
    let (testkit, stack, account) = account_without_keys();
    // The account has the recorded owner plugin, and the recorded session key plugin is on the chain, too:
    // not the one that the chain is known for.
    for chain_id in [CHAIN, BASE] {
        let front = Front::of_chain(&testkit, chain_id);
        let connected = SmartAccount::connect(provider(front.clone()), account)
            .await
            .unwrap();
        assert!(front.rounds() <= 2, "{} rounds", front.rounds());
        assert_eq!(
            connected.deployment().session_key_plugin,
            stack.session_key_plugin
        );
        assert_eq!(
            connected.deployment().multi_owner_plugin,
            stack.multi_owner_plugin
        );
        let found = connected.connected().unwrap();
        assert!(!found.has_session_key_plugin());
        assert_eq!(found.installed_plugins, [stack.multi_owner_plugin]);
        assert!(!connected.is_session_key(key(1).address()).await.unwrap());
        assert!(!connected.is_session_key_plugin_installed().await.unwrap());
    }
    // The recorded plugin is not on the chain: then it is the one that the chain is known for, or none.
    testkit
        .chain()
        .set_code(stack.session_key_plugin, [0x00])
        .unwrap();
    let front = Front::of_chain(&testkit, BASE);
    let connected = SmartAccount::connect(provider(front.clone()), account)
        .await
        .unwrap();
    let known = Deployment::on_chain(BASE).unwrap();
    assert_eq!(
        connected.deployment().session_key_plugin,
        known.session_key_plugin
    );
    assert_eq!(
        connected.deployment().multi_owner_plugin,
        stack.multi_owner_plugin
    );
    let error = refused(Front::honest(&testkit), account).await;
    assert!(
        matches!(error, ConnectError::UnknownDeployment { chain_id: CHAIN, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn of_several_deployments_the_one_that_fits_the_account_is_chosen() {
    let testkit = Testkit::default();
    let (first, other) = {
        let mut chain = testkit.chain();
        let first = deployment(&Stack::deploy(&mut chain).unwrap());
        deploy(&mut chain, &other_plan());
        (first, other_plan().deployment())
    };
    // One with the right plugins, but for another EntryPoint.
    let elsewhere = |deployment| Deployment {
        entry_point: Address::repeat_byte(0x0e),
        session_key_plugin: RECIPIENT,
        ..deployment
    };
    let options = ConnectOptions::new().deployments([elsewhere(first), elsewhere(other), first, other]);
    for fitting in [first, other] {
        let address = create(&mut testkit.chain(), &fitting, owner());
        // With nothing but an owner plugin, and with keys.
        for has_keys in [false, true] {
            if has_keys {
                install(&mut testkit.chain(), address, &fitting, owner(), key(1).address());
            }
            let account = SmartAccount::connect_with(&options, testkit.provider(), address)
                .await
                .unwrap();
            assert_eq!(*account.deployment(), fitting);
            assert_eq!(account.connected().unwrap().has_session_key_plugin(), has_keys);
        }
    }
}

#[tokio::test]
async fn another_entry_point_is_taken_only_if_it_was_given() {
    let (testkit, own, address) = account_of_other_contracts();
    let another = Address::repeat_byte(0x0e);
    let front = || Front::answering::<IModularAccount::entryPointCall>(&testkit, &another);
    let error = refused(front(), address).await;
    assert!(
        matches!(error, ConnectError::OtherEntryPoint { account, expected: ENTRY_POINT, found }
            if account == address && found == another),
        "{error:?}"
    );
    let deployment = Deployment {
        entry_point: another,
        ..own
    };
    for options in [
        ConnectOptions::new().entry_point(another),
        ConnectOptions::new().deployments([own, deployment]),
    ] {
        let account = SmartAccount::connect_with(&options, provider(front()), address)
            .await
            .unwrap();
        assert_eq!(account.deployment().entry_point, another);
        assert_eq!(account.deployment().session_key_plugin, own.session_key_plugin);
    }
    // Given is given: the well-known one is another then.
    let options = ConnectOptions::new().entry_point(another);
    let error = SmartAccount::connect_with(&options, testkit.provider(), address)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::OtherEntryPoint { expected, found: ENTRY_POINT, .. } if expected == another),
        "{error:?}"
    );
}

/// The loupe says that a function has this plugin and this validator.
fn loupe(testkit: &Testkit, selector: Selector, plugin: Address, validator: Address) -> Front {
    let config = IModularAccount::ExecutionFunctionConfig {
        plugin,
        userOpValidationFunction: calldata::FunctionReference::new(validator, 0).into(),
        runtimeValidationFunction: calldata::FunctionReference::new(validator, 0).into(),
    };
    let contained: &'static str = hex::encode(selector).leak();
    Front::answering_when::<IModularAccount::getExecutionFunctionConfigCall>(testkit, contained, &config)
}

#[tokio::test]
async fn plugins_that_do_not_fit_together_are_errors() {
    let (testkit, own, address) = account_of_other_contracts();
    let somebody = Address::repeat_byte(0x0a);
    // Keys in one plugin, but another one decides.
    let front = loupe(
        &testkit,
        EXECUTE_WITH_SESSION_KEY,
        own.session_key_plugin,
        somebody,
    );
    let error = refused(front, address).await;
    assert!(
        matches!(error, ConnectError::OtherValidator { executes, validates, .. }
            if executes == own.session_key_plugin && validates == somebody),
        "{error:?}"
    );
    // A plugin that is not installed: two nodes, at different blocks.
    let front = loupe(&testkit, EXECUTE_WITH_SESSION_KEY, somebody, somebody);
    let error = refused(front, address).await;
    assert!(
        matches!(error, ConnectError::Inconsistent { plugin, .. } if plugin == somebody),
        "{error:?}"
    );
    // A plugin of another kind has taken the function's name.
    let front = loupe(
        &testkit,
        EXECUTE_WITH_SESSION_KEY,
        own.multi_owner_plugin,
        own.multi_owner_plugin,
    );
    let error = refused(front, address).await;
    assert!(
        matches!(error, ConnectError::Read(ReadError::Reverted { contract, .. } | ReadError::UnexpectedAnswer { contract, .. })
            if contract == own.multi_owner_plugin),
        "{error:?}"
    );
    // Whoever decides about `execute` is not the plugin that keeps owners: no owner plugin to trust, but the
    // keys are there.
    let execute = Selector::from(IModularAccount::executeCall::SELECTOR);
    let front = loupe(&testkit, execute, address, somebody);
    let account = SmartAccount::connect(provider(front), address).await.unwrap();
    assert_eq!(account.connected().unwrap().owner_plugin, None);
    assert_eq!(account.deployment().multi_owner_plugin, Address::ZERO);
    assert!(account.is_session_key(key(1).address()).await.unwrap());
    account.owners().await.unwrap_err();
}

#[tokio::test]
async fn a_plugin_that_does_not_answer_as_an_owner_plugin_is_not_one() {
    let (testkit, own, address) = account_of_other_contracts();
    let selector = hex::encode(IMultiOwnerPlugin::isOwnerOfCall::SELECTOR);
    let front = Front::lying(&testkit, move |_, params| {
        params.contains(&selector).then(|| "0x".into())
    });
    let account = SmartAccount::connect(provider(front), address).await.unwrap();
    assert_eq!(account.deployment().multi_owner_plugin, Address::ZERO);
    assert_eq!(account.deployment().session_key_plugin, own.session_key_plugin);
}

#[tokio::test]
async fn a_live_key_never_reads_as_revoked_by_another_plugin() {
    let (testkit, own, address) = account_of_other_contracts();
    // A handle that names another plugin, which is on the chain and does not know the key.
    let other = deployment(&Stack::deploy(&mut testkit.chain()).unwrap());
    let wrong = SmartAccount::new(testkit.provider(), CHAIN, address, other);
    let differs = |error: &ReadError| {
        matches!(error, ReadError::OtherSessionKeyPlugin { account, expected, found }
            if *account == address && *expected == other.session_key_plugin && *found == own.session_key_plugin)
    };
    let error = wrong.is_session_key(key(1).address()).await.unwrap_err();
    assert!(differs(&error), "{error:?}");
    let error = wrong.session_keys().await.unwrap_err();
    assert!(differs(&error), "{error:?}");
    let error = load(&wrong, key(1).address(), []).await.unwrap_err();
    assert!(differs(&error), "{error:?}");

    // The account had no plugin when it was connected to, and got another one since.
    let (testkit, stack, address) = account_without_keys();
    let account = SmartAccount::connect(testkit.provider(), address).await.unwrap();
    assert!(!account.is_session_key(key(1).address()).await.unwrap());
    {
        let mut chain = testkit.chain();
        deploy(&mut chain, &other_plan());
        let installed = Deployment {
            session_key_plugin: own.session_key_plugin,
            ..deployment(&stack)
        };
        install(&mut chain, address, &installed, owner(), key(1).address());
    }
    let error = account.is_session_key(key(1).address()).await.unwrap_err();
    assert!(
        matches!(error, ReadError::OtherSessionKeyPlugin { .. }),
        "{error:?}"
    );
    let again = SmartAccount::connect(testkit.provider(), address).await.unwrap();
    assert!(again.is_session_key(key(1).address()).await.unwrap());
    // A key that is on no plugin of the account is not there.
    assert!(!again.is_session_key(key(2).address()).await.unwrap());
}

#[tokio::test]
async fn an_account_that_does_not_exist_has_no_keys() {
    let fixture = Fixture::new().await;
    assert!(!fixture.account.is_session_key(key(1).address()).await.unwrap());
    assert!(fixture.account.session_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_chain_is_pinned_and_compared() {
    let (testkit, stack, address) = account_without_keys();
    let is_wrong = |error: &ReadError| {
        matches!(
            error,
            ReadError::WrongChain {
                expected: 1,
                found: CHAIN
            }
        )
    };
    match SmartAccount::connect_on(1, testkit.provider(), address)
        .await
        .unwrap_err()
    {
        ConnectError::Read(error) => assert!(is_wrong(&error), "{error:?}"),
        error => panic!("{error:?}"),
    }
    // Before it says that there is no account.
    match SmartAccount::connect_on(1, testkit.provider(), RECIPIENT)
        .await
        .unwrap_err()
    {
        ConnectError::Read(error) => {
            assert!(is_wrong(&error), "{error:?}");
            assert_eq!(error.to_string(), "the node is on chain 31337, not on chain 1");
        }
        error => panic!("{error:?}"),
    }
    let made =
        SmartAccount::from_factory_on(1, testkit.provider(), deployment(&stack), [owner()], U256::ZERO);
    match made.await.unwrap_err() {
        ConnectError::Read(error) => assert!(is_wrong(&error), "{error:?}"),
        error => panic!("{error:?}"),
    }

    // The node behind the provider changes: the account stays on its chain.
    let chain_id = Arc::new(Mutex::new(CHAIN));
    let says = chain_id.clone();
    let front = Front::lying(&testkit, move |method, _| {
        (method == "eth_chainId").then(|| format!("{:#x}", *says.lock().unwrap()).into())
    });
    let account = SmartAccount::connect_on(CHAIN, provider(front), address)
        .await
        .unwrap();
    account.check_chain().await.unwrap();
    *chain_id.lock().unwrap() = 1;
    let error = account.check_chain().await.unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::WrongChain {
                expected: CHAIN,
                found: 1
            }
        ),
        "{error:?}"
    );
    assert_eq!(account.chain_id(), CHAIN);
}

#[tokio::test]
async fn computed_addresses_are_those_of_the_factory() {
    let testkit = Testkit::default();
    let stack = Stack::deploy(&mut testkit.chain()).unwrap();
    deploy(&mut testkit.chain(), &other_plan());
    for deployment in [deployment(&stack), other_plan().deployment()] {
        for (number, count) in [1, 1, 2, 3, 7, 33, 99, 100].into_iter().enumerate() {
            let seed = |salt: u64| keccak256([salt.to_be_bytes(), (number as u64).to_be_bytes()].concat());
            let mut owners: Vec<Address> = (0..count).map(|n| Address::from_word(seed(n))).collect();
            let salts = [U256::ZERO, U256::from(number), seed(u64::MAX).into(), U256::MAX];
            owners.sort();
            for salt in salts {
                let call = IModularAccountFactory::getAddressCall {
                    salt,
                    owners: owners.clone(),
                };
                let real = testkit
                    .chain()
                    .read(Address::ZERO, deployment.factory, &call)
                    .unwrap();
                assert_eq!(
                    deployment.account_address(owners.iter().copied(), salt),
                    Ok(Some(real))
                );
                // In any order, twice, and with zero among them.
                let untidy = owners
                    .iter()
                    .rev()
                    .chain([&Address::ZERO])
                    .chain(&owners)
                    .copied();
                let account = SmartAccount::from_factory(testkit.provider(), deployment, untidy, salt)
                    .await
                    .unwrap();
                assert_eq!(account.address(), real);
                assert!(account.address_is_verified());
            }
        }
        // And where the account comes to lie.
        let created = create(&mut testkit.chain(), &deployment, owner());
        assert_eq!(
            deployment.account_address([owner()], U256::ZERO),
            Ok(Some(created))
        );
    }
    let record = Deterministic::record().known();
    assert_eq!(record.deployment().unwrap(), Deployment::deterministic());
    assert_eq!(
        record.account_init_code_hash,
        deployment(&stack).account_init_code_hash,
        "the testkit has the recorded implementation"
    );
}

#[tokio::test]
async fn a_node_that_lies_about_an_address_is_not_believed() {
    let testkit = Testkit::default();
    let deployment = deployment(&Stack::deploy(&mut testkit.chain()).unwrap());
    let real = deployment
        .account_address([owner()], U256::ZERO)
        .unwrap()
        .unwrap();
    let thief = Address::repeat_byte(0xad);
    let front = || Front::answering::<IModularAccountFactory::getAddressCall>(&testkit, &thief);
    let error = SmartAccount::from_factory(provider(front()), deployment, [owner()], U256::ZERO)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ConnectError::AddressMismatch { factory, computed, answered }
            if factory == deployment.factory && computed == real && answered == thief),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(&real.to_string()) && text.contains(&thief.to_string()),
        "{text}"
    );

    // Where the init code hash is not known the node is believed, and the account says so.
    let unknown = Deployment {
        account_init_code_hash: None,
        ..deployment
    };
    for (front, answered) in [(front(), thief), (Front::honest(&testkit), real)] {
        let account = SmartAccount::from_factory(provider(front), unknown, [owner()], U256::ZERO)
            .await
            .unwrap();
        assert_eq!(account.address(), answered);
        assert!(!account.address_is_verified());
        assert!(!account.clone().at(1).address_is_verified());
    }
}

#[tokio::test]
async fn owners_that_the_factory_refuses_are_refused_before_anything_is_asked() {
    let (testkit, stack, _) = account_without_keys();
    let many = (1..=101_u8).map(Address::with_last_byte);
    for (owners, expected) in [
        (Vec::new(), OwnersError::Empty),
        (vec![Address::ZERO], OwnersError::Empty),
        (many.collect(), OwnersError::TooMany { count: 101 }),
    ] {
        let front = Front::honest(&testkit);
        let made =
            SmartAccount::from_factory(provider(front.clone()), deployment(&stack), owners, U256::ZERO);
        match made.await.unwrap_err() {
            ConnectError::Owners(error) => assert_eq!(error, expected),
            error => panic!("{error:?}"),
        }
        assert_eq!(front.requests(), 0);
    }
}

#[tokio::test]
async fn many_views_at_once_are_bounded() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let front = Front::honest(&fixture.testkit);
    let account = SmartAccount::new(
        provider(front.clone()),
        CHAIN,
        fixture.account.address(),
        *fixture.account.deployment(),
    );
    let functions = (0..500_u32).map(|n| {
        let target = Address::from_word(keccak256(n.to_be_bytes()));
        (target, Selector::from(n.to_be_bytes()))
    });
    let state = load(&account, key(1).address(), functions).await.unwrap();
    assert_eq!(state.contracts.len(), 500);
    assert!(front.requests() > 1500, "{} requests", front.requests());
    assert_eq!(front.most_in_flight(), MAX_REQUESTS_IN_FLIGHT);

    // Clones and handles at other blocks share the bound.
    let front = Front::honest(&fixture.testkit);
    let account = SmartAccount::new(
        provider(front.clone()),
        CHAIN,
        fixture.account.address(),
        *fixture.account.deployment(),
    );
    let views: Vec<_> = (0..60)
        .map(|number| {
            let account = account.clone();
            tokio::spawn(async move {
                match number % 5 {
                    0 => account.balance().await.map(drop),
                    1 => account.is_deployed().await.map(drop),
                    2 => account.check_chain().await,
                    3 => account.at(1).deposit().await.map(drop),
                    _ => account.owners().await.map(drop),
                }
            })
        })
        .collect();
    for view in views {
        view.await.unwrap().unwrap();
    }
    assert_eq!(front.requests(), 60);
    assert_eq!(front.most_in_flight(), MAX_REQUESTS_IN_FLIGHT);
}
