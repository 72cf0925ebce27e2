//! An account on the simulated chain, with an owner, a session key and someone who sends bundles. Of which
//! generation the account is, the test binary says: [`crate::IS_V08`].

use crate::IS_V08;
use session_key_bindings::IAccountFactoryV08;
use session_key_client::{
    Call, Deployment, NewSessionKey, OwnerClient, Revert, SessionKeyClient, SignedOperation, SmartAccount,
    account::{Generation, Validations},
    alloy::{
        primitives::{Address, B256, Bytes, U256, aliases::U192},
        providers::Provider,
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    deployment::account_init_code_hash,
    node::{Node, OperationFilter},
    operation::{Bounds, Cause, Gas, Happened, NotTaken, NotTakenReason, OperationError},
    permissions::{AaCode, PaymasterFields, PermissionUpdates, Permissions, SpendLimit, Violation},
    signer::sign_user_operation,
    submit::{BundlerSubmitter, EntryPointSubmitter, Sent, Submitter},
    v08::{self, AccountFactory, FactoryAccount},
};
use session_key_testkit::{
    Bundler, BundlerOptions, Chain, ChainConfig, Stack, StackV08, TestToken, Testkit, dev_accounts,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicUsize},
    time::Duration,
};
use tokio::time::Instant;

pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;

/// How many blocks below the latest one the finalized one lies.
pub(crate) const FINALIZED_DISTANCE: u64 = 64;

/// Who receives something in the tests.
pub(crate) const RECIPIENT: Address = Address::repeat_byte(0x77);

pub(crate) struct Fixture {
    pub(crate) testkit: Testkit,
    pub(crate) stack: Stack,
    pub(crate) account: SmartAccount,
    pub(crate) owner: OwnerClient,
    pub(crate) owner_signer: PrivateKeySigner,
    pub(crate) submitter: Arc<dyn Submitter>,
    /// The bundler of the chain. It sends what it takes at once.
    pub(crate) bundler: Bundler,
    /// When the clocks of all processes of the test started.
    pub(crate) epoch: Instant,
    /// How many processes send transactions.
    pub(crate) processes: AtomicUsize,
}

impl Fixture {
    /// The account does not exist yet, but its address holds 10 ether and 1000 test tokens.
    pub(crate) async fn new() -> Self {
        Self::owned_by(dev_accounts()[1].signer()).await
    }

    /// The same, with this owner.
    pub(crate) async fn owned_by(owner_signer: PrivateKeySigner) -> Self {
        let (mut chain, stack) = deployed();
        let owner = owner_signer.address();
        let account = account_address(&stack, owner);
        chain.set_balance(account, U256::from(10 * ETHER));
        stack
            .mint(&mut chain, account, U256::from(1_000_000_000))
            .unwrap();
        Self::over(chain, stack, owner_signer).await
    }

    /// On a chain that is prepared already.
    async fn over(chain: Chain, stack: Stack, owner_signer: PrivateKeySigner) -> Self {
        let testkit = Testkit::from(chain);
        let account = account(testkit.provider(), &stack, owner_signer.address()).await;
        let bundler = dev_accounts()[0].signer();
        let from = bundler.address();
        let submitter: Arc<dyn Submitter> = Arc::new(EntryPointSubmitter::new(
            testkit.provider_with_signer(bundler),
            stack.entry_point,
            from,
        ));
        let owner = OwnerClient::shared(account.clone(), Arc::new(owner_signer.clone()), submitter.clone());
        Self {
            stack,
            account,
            owner,
            owner_signer,
            bundler: testkit.bundler(BundlerOptions {
                executor: dev_accounts()[3],
                auto: true,
                ..BundlerOptions::default()
            }),
            submitter,
            testkit,
            epoch: Instant::now(),
            processes: AtomicUsize::new(0),
        }
    }

    /// The account exists, with the plugin and a key that has these permissions.
    pub(crate) async fn with_key(permissions: Permissions) -> (Self, SessionKeyClient) {
        let (fixture, mut clients) = Self::with_keys(1, &permissions).await;
        (fixture, clients.remove(0))
    }

    /// The same with several keys.
    pub(crate) async fn with_keys(count: u8, permissions: &Permissions) -> (Self, Vec<SessionKeyClient>) {
        /// The keys are granted once.
        static GRANTED: Mutex<BTreeMap<String, Chain>> = Mutex::new(BTreeMap::new());
        let keys: Vec<_> = (1..=count).map(key).collect();
        let name = format!("{count} {}", serde_json::to_string(permissions).unwrap());
        let known = GRANTED.lock().unwrap().get(&name).cloned();
        let fixture = match known {
            Some(chain) => Self::over(chain, deployed().1, dev_accounts()[1].signer()).await,
            None => {
                let fixture = Self::new().await;
                let new = keys
                    .iter()
                    .map(|key| NewSessionKey::new(key.address(), permissions).unwrap());
                fixture.owner.install_session_key_plugin(new).await.unwrap();
                let granted = fixture.testkit.chain().clone();
                GRANTED.lock().unwrap().insert(name, granted.clone());
                // The same for the first and for all others: nobody remembers how it came about.
                Self::over(granted, fixture.stack, fixture.owner_signer).await
            }
        };
        let clients: Vec<_> = keys.into_iter().map(|key| fixture.session_key(key)).collect();
        (fixture, clients)
    }

    /// The same with a key that may send the recipient as much as it likes.
    pub(crate) async fn with_spender() -> (Self, SessionKeyClient) {
        let permissions = Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::UNLIMITED);
        Self::with_key(permissions).await
    }

    /// From now on transactions wait in the pool until the test mines them.
    pub(crate) fn pool(&self) {
        self.testkit.chain().set_automine(false);
    }

    /// A way onto the chain through the bundler.
    pub(crate) fn bundler_submitter(&self) -> BundlerSubmitter {
        BundlerSubmitter::new(self.bundler.provider(), self.stack.entry_point)
    }

    /// How many transactions wait.
    pub(crate) fn waiting(&self) -> usize {
        self.testkit.chain().pool().len()
    }

    /// Returns once so many transactions wait.
    pub(crate) async fn waits(&self, transactions: usize) {
        while self.waiting() < transactions {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Forgets what waits, as nodes do that are restarted or full.
    pub(crate) fn forget_pool(&self) {
        let mut chain = self.testkit.chain();
        for waiting in chain.pool() {
            chain.drop_pooled(*waiting.transaction.inner.tx_hash()).unwrap();
        }
    }

    /// Mines a block with what waits.
    pub(crate) fn mine(&self) {
        self.testkit.chain().mine();
    }

    /// From now on transactions wait in the pool, and a block is mined every so often, by
    /// the runtime's clock.
    pub(crate) fn mine_every(&self, interval: Duration) {
        self.pool();
        let (testkit, bundler) = (self.testkit.clone(), self.bundler.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                {
                    let mut chain = testkit.chain();
                    chain.increase_time(interval.as_secs().saturating_sub(1));
                    chain.mine();
                }
                bundler.bundle_now().unwrap();
            }
        });
    }

    /// Mines so many blocks.
    pub(crate) fn mine_blocks(&self, count: u64) {
        let mut chain = self.testkit.chain();
        (0..count).for_each(|_| chain.mine());
    }

    /// Installs the plugin with a key that has these permissions.
    pub(crate) async fn grant(&self, session_key: Address, permissions: &Permissions) {
        let new = NewSessionKey::new(session_key, permissions).unwrap();
        let installed = self.owner.install_session_key_plugin([new]);
        installed.await.unwrap();
    }

    /// The owner changes a key's permissions.
    pub(crate) async fn update(&self, session_key: Address, updates: PermissionUpdates) {
        let update = self.owner.update_key_permissions(session_key, updates);
        update.await.unwrap();
    }

    pub(crate) fn session_key(&self, key: PrivateKeySigner) -> SessionKeyClient {
        SessionKeyClient::shared(self.account.clone(), Arc::new(key), self.submitter.clone())
    }

    pub(crate) fn token_balance(&self, account: Address) -> U256 {
        let call = TestToken::balanceOfCall { account };
        self.testkit
            .chain()
            .read(Address::ZERO, self.stack.token, &call)
            .unwrap()
    }

    pub(crate) fn balance(&self, account: Address) -> U256 {
        self.testkit.chain().balance(account)
    }
}

/// A chain with the contracts. They are deployed once.
fn deployed() -> (Chain, Stack) {
    static DEPLOYED: OnceLock<(Chain, Stack)> = OnceLock::new();
    DEPLOYED
        .get_or_init(|| {
            let mut chain = Chain::new(ChainConfig {
                finalized_distance: FINALIZED_DISTANCE,
                ..ChainConfig::default()
            });
            let stack = if IS_V08 {
                in_its_place(&StackV08::deploy(&mut chain).unwrap())
            } else {
                Stack::deploy(&mut chain).unwrap()
            };
            (chain, stack)
        })
        .clone()
}

/// The contracts of v0.8, each in the place of the one that does the same in v0.7. The accounts are
/// semi-modular.
const fn in_its_place(stack: &StackV08) -> Stack {
    Stack {
        entry_point: stack.entry_point,
        multi_owner_plugin: Address::ZERO,
        session_key_plugin: stack.session_key_module,
        account_implementation: stack.semi_modular_implementation,
        account_factory: stack.account_factory,
        token: stack.token,
        paymaster: stack.paymaster,
    }
}

/// The factory of semi-modular accounts.
fn factory(stack: &Stack) -> AccountFactory {
    AccountFactory {
        address: stack.account_factory,
        semi_modular_account: stack.account_implementation,
        ..AccountFactory::default()
    }
}

/// Where the factory makes the owner's first account.
fn account_address(stack: &Stack, owner: Address) -> Address {
    if IS_V08 {
        FactoryAccount::semi_modular(owner, U256::ZERO).address(&factory(stack))
    } else {
        let address = deployment(stack).account_address([owner], U256::ZERO);
        address.unwrap().unwrap()
    }
}

/// Makes another account of the owner.
pub(crate) fn create_account(stack: &Stack, chain: &mut Chain, salt: U256, owner: Address) -> Address {
    if IS_V08 {
        let call = IAccountFactoryV08::createSemiModularAccountCall { owner, salt };
        chain.transact(owner, stack.account_factory, &call).unwrap()
    } else {
        stack.create_account(chain, salt, &[owner]).unwrap()
    }
}

/// The owner's first account, through this node.
pub(crate) async fn account(
    provider: impl Provider + 'static,
    stack: &Stack,
    owner: Address,
) -> SmartAccount {
    let account = if IS_V08 {
        let made = FactoryAccount::semi_modular(owner, U256::ZERO);
        SmartAccount::from_v08_factory(provider, deployment(stack), &factory(stack), made).await
    } else {
        SmartAccount::from_factory(provider, deployment(stack), [owner], U256::ZERO).await
    };
    account.unwrap()
}

/// The fixture's account, which exists, through another node or with other contracts.
pub(crate) fn account_at(
    provider: impl Provider + 'static,
    chain_id: u64,
    address: Address,
    deployment: Deployment,
) -> SmartAccount {
    if IS_V08 {
        SmartAccount::new_v08(provider, chain_id, address, deployment, Validations::default())
    } else {
        SmartAccount::new(provider, chain_id, address, deployment)
    }
}

/// `paymasterAndData` with this data for the paymaster.
pub(crate) fn paymaster_data(paymaster: Address, data: &[u8]) -> Bytes {
    if IS_V08 {
        let fields = PaymasterFields {
            paymaster,
            verification_gas_limit: 100_000,
            post_op_gas_limit: 50_000,
            data: data.to_vec().into(),
        };
        fields.pack()
    } else {
        [paymaster.as_slice(), data].concat().into()
    }
}

/// A session key's signature, as the account takes it.
pub(crate) fn in_form(signature: &Bytes) -> Bytes {
    if IS_V08 {
        v08::signature::session_key(signature)
    } else {
        signature.clone()
    }
}

/// The nonce key of a session key.
pub(crate) fn key_lane(session_key: Address) -> U192 {
    let generation = if IS_V08 {
        Generation::V08(Validations::default())
    } else {
        Generation::V07
    };
    generation.session_key_nonce_key(session_key)
}

/// The contracts of a stack that the client works with.
pub(crate) fn deployment(stack: &Stack) -> Deployment {
    Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: (!IS_V08).then(|| account_init_code_hash(stack.account_implementation)),
    }
}

/// A session key that is the same in every run.
pub(crate) fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[number; 32]).unwrap()
}

/// Call data of an ERC-20 transfer.
pub(crate) fn transfer(to: Address, amount: u64) -> Bytes {
    TestToken::transferCall {
        to,
        amount: U256::from(amount),
    }
    .abi_encode()
    .into()
}

/// A call that sends the recipient 1 wei.
pub(crate) const fn one() -> [Call; 1] {
    [Call::transfer(RECIPIENT, U256::ONE)]
}

/// Limits that are enough for every operation here: with them nothing is simulated.
pub(crate) fn ample_gas() -> Gas {
    Gas {
        call_gas_limit: U256::from(500_000),
        verification_gas_limit: U256::from(500_000),
        pre_verification_gas: U256::from(100_000),
    }
}

/// Whether it is not known yet whether anything happened.
pub(crate) const fn is_undecided(happened: Happened) -> bool {
    matches!(happened, Happened::NotYet | Happened::Unknown)
}

/// Bounds that no operation here reaches.
pub(crate) fn unbounded() -> Bounds {
    Bounds {
        max_cost: U256::MAX,
        max_priority_fee: u128::MAX,
        ..Bounds::default()
    }
}

/// Sends a transaction, which must succeed.
pub(crate) async fn send(provider: &impl Provider, transaction: TransactionRequest) {
    let pending = provider.send_transaction(transaction).await.unwrap();
    assert!(pending.get_receipt().await.unwrap().status());
}

/// The operations of the account that the chain includes, in order, and whether their calls took effect.
pub(crate) async fn operations_of(fixture: &Fixture) -> Vec<(B256, bool)> {
    let node = Node::new(fixture.testkit.provider());
    let head = node.head().await.unwrap().number;
    let filter = OperationFilter::of(fixture.account.address());
    let operations = node.operations(fixture.stack.entry_point, &filter, 0, head).await;
    let operations = operations.unwrap().into_iter();
    operations
        .map(|operation| (operation.user_op_hash, operation.success))
        .collect()
}

/// Hands an operation over, which must be taken.
pub(crate) async fn hand_over(submitter: &(impl Submitter + ?Sized), signed: &SignedOperation) {
    assert_eq!(submitter.send(signed).await, Sent::Taken);
}

/// The operation with a new signature of the first key, and with its hash as it is now.
pub(crate) async fn resigned(fixture: &Fixture, mut signed: SignedOperation) -> SignedOperation {
    let entry_point = fixture.stack.entry_point;
    signed.hash = sign_user_operation(&mut signed.operation, &key(1), entry_point, 31337)
        .await
        .unwrap();
    signed.operation.signature = in_form(&signed.operation.signature);
    signed
}

/// The operation is included, and its calls took effect.
pub(crate) async fn assert_executed(fixture: &Fixture, hash: B256) {
    let operations = operations_of(fixture).await;
    assert!(operations.contains(&(hash, true)), "{hash} in {operations:?}");
}

/// The operation is not included.
pub(crate) async fn assert_not_included(fixture: &Fixture, hash: B256) {
    let operations = operations_of(fixture).await;
    assert!(
        operations.iter().all(|(other, _)| *other != hash),
        "{hash} in {operations:?}"
    );
}

/// Not sent, because the key's permissions do not allow it: the model says which rules are broken.
pub(crate) fn assert_not_allowed(error: OperationError, codes: &[&str]) {
    assert_eq!(
        (error.code(), error.happened()),
        ("not_allowed", Happened::No),
        "{error:?}"
    );
    let broken: Vec<_> = error
        .verdict()
        .unwrap()
        .violations()
        .iter()
        .map(Violation::code)
        .collect();
    assert_eq!(broken, codes);
}

/// Not sent, because the account has no such key.
pub(crate) fn assert_key_not_found(error: &OperationError, key: Address) {
    assert_eq!((error.code(), error.happened()), ("key_not_found", Happened::No));
    assert!(
        matches!(&*error.cause, Cause::KeyNotFound { session_key, .. } if *session_key == key),
        "{error:?}"
    );
}

/// Refused before it was sent, with this code of the EntryPoint.
pub(crate) fn assert_refused(error: OperationError, code: AaCode) {
    assert_eq!(error.happened(), Happened::No, "{error:?}");
    match *error.cause {
        Cause::Refused(refusal) => assert_eq!(refusal.code, Some(code), "{refusal}"),
        cause => panic!("{cause:?}"),
    }
}

/// Not sent, because the call would revert with this.
pub(crate) fn assert_would_revert(error: OperationError, expected: &Revert) {
    assert_eq!(
        (error.code(), error.happened()),
        ("would_revert", Happened::No),
        "{error:?}"
    );
    assert_eq!(error.revert(), Some(expected));
}

/// Not taken, because it is refused with this code of the EntryPoint.
pub(crate) fn assert_not_taken(sent: Sent, code: AaCode) {
    match sent {
        Sent::NotTaken(NotTaken {
            reason: NotTakenReason::Refused(refusal),
            ..
        }) => assert_eq!(refusal.code, Some(code), "{refusal}"),
        sent => panic!("{sent:?}"),
    }
}
