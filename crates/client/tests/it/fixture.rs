//! An account on the simulated chain, with an owner, a session key and someone who sends bundles.

use session_key_client::{
    Call, Deployment, NewSessionKey, OwnerClient, Revert, SessionKeyClient, SmartAccount,
    alloy::{
        primitives::{Address, B256, Bytes, U256},
        providers::Provider,
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    deployment::account_init_code_hash,
    operation::OperationError,
    permissions::{AaCode, PermissionUpdates, Permissions, SpendLimit},
    revert::PluginError,
    submit::{EntryPointSubmitter, GasEstimate, Outcome, SubmitError, Submitter},
};
use session_key_testkit::{Stack, TestToken, Testkit, dev_accounts};
use std::sync::Arc;

pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;

/// Who receives something in the tests.
pub(crate) const RECIPIENT: Address = Address::repeat_byte(0x77);

pub(crate) struct Fixture {
    pub(crate) testkit: Testkit,
    pub(crate) stack: Stack,
    pub(crate) account: SmartAccount,
    pub(crate) owner: OwnerClient,
    pub(crate) owner_signer: PrivateKeySigner,
    pub(crate) submitter: Arc<dyn Submitter>,
}

impl Fixture {
    /// The account does not exist yet, but its address holds 10 ether and 1000 test tokens.
    pub(crate) async fn new() -> Self {
        Self::owned_by(dev_accounts()[1].signer()).await
    }

    /// The same, with this owner.
    pub(crate) async fn owned_by(owner_signer: PrivateKeySigner) -> Self {
        let testkit = Testkit::default();
        let stack = Stack::deploy(&mut testkit.chain()).unwrap();
        let deployment = deployment(&stack);
        let account = SmartAccount::from_factory(
            testkit.provider(),
            deployment,
            [owner_signer.address()],
            U256::ZERO,
        )
        .await
        .unwrap();
        {
            let mut chain = testkit.chain();
            chain.set_balance(account.address(), U256::from(10 * ETHER));
            stack
                .mint(&mut chain, account.address(), U256::from(1_000_000_000))
                .unwrap();
        }
        let bundler = dev_accounts()[0].signer();
        let from = bundler.address();
        let submitter: Arc<dyn Submitter> = Arc::new(EntryPointSubmitter::new(
            testkit.provider_with_signer(bundler),
            stack.entry_point,
            from,
        ));
        let owner = OwnerClient::shared(account.clone(), Arc::new(owner_signer.clone()), submitter.clone());
        Self {
            testkit,
            stack,
            account,
            owner,
            owner_signer,
            submitter,
        }
    }

    /// The account exists, with the plugin and a key that has these permissions.
    pub(crate) async fn with_key(permissions: Permissions) -> (Self, SessionKeyClient) {
        let (fixture, mut clients) = Self::with_keys(1, &permissions).await;
        (fixture, clients.remove(0))
    }

    /// The same with several keys.
    pub(crate) async fn with_keys(count: u8, permissions: &Permissions) -> (Self, Vec<SessionKeyClient>) {
        let fixture = Self::new().await;
        let keys: Vec<_> = (1..=count).map(key).collect();
        let new = keys
            .iter()
            .map(|key| NewSessionKey::new(key.address(), permissions).unwrap());
        fixture
            .owner
            .install_session_key_plugin(new)
            .execute()
            .await
            .unwrap();
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

    /// Installs the plugin with a key that has these permissions.
    pub(crate) async fn grant(&self, session_key: Address, permissions: &Permissions) {
        let new = NewSessionKey::new(session_key, permissions).unwrap();
        let installed = self.owner.install_session_key_plugin([new]);
        installed.execute().await.unwrap();
    }

    /// The owner changes a key's permissions.
    pub(crate) async fn update(&self, session_key: Address, updates: PermissionUpdates) {
        let update = self.owner.update_key_permissions(session_key, updates);
        update.execute().await.unwrap();
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

/// The contracts of a stack that the client works with.
pub(crate) fn deployment(stack: &Stack) -> Deployment {
    Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
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
pub(crate) fn one() -> [Call; 1] {
    [Call::transfer(RECIPIENT, U256::ONE)]
}

/// Limits that are enough for every operation here: with them nothing is simulated.
pub(crate) fn ample_gas() -> GasEstimate {
    GasEstimate {
        call_gas_limit: U256::from(500_000),
        verification_gas_limit: U256::from(500_000),
        pre_verification_gas: U256::from(100_000),
    }
}

/// Sends a transaction, which must succeed.
pub(crate) async fn send(provider: &impl Provider, transaction: TransactionRequest) {
    let pending = provider.send_transaction(transaction).await.unwrap();
    assert!(pending.get_receipt().await.unwrap().status());
}

/// The operation was executed.
pub(crate) async fn assert_executed(submitter: &impl Submitter, hash: B256) {
    let outcome = submitter.outcome(hash).await.unwrap();
    assert!(matches!(outcome, Some(Outcome::Success(_))), "{outcome:?}");
}

/// Refused in validation by the plugin's permission check.
pub(crate) fn assert_permissions_refused(error: OperationError) {
    match error {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::AccountReverted), "{refusal}");
            assert_eq!(
                refusal.cause,
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
                "{refusal}"
            );
        }
        error => panic!("{error:?}"),
    }
}

/// Refused with this code of the EntryPoint.
pub(crate) fn assert_refused(error: SubmitError, code: AaCode) {
    match error {
        SubmitError::Refused(refusal) => assert_eq!(refusal.code, Some(code), "{refusal}"),
        error => panic!("{error:?}"),
    }
}
