//! An account on the simulated chain, with an owner, a session key and someone who sends bundles.

use session_key_client::{
    Deployment, NewSessionKey, OwnerClient, SessionKeyClient, SmartAccount,
    alloy::{
        primitives::{Address, Bytes, U256},
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    permissions::Permissions,
    submit::{EntryPointSubmitter, Submitter},
};
use session_key_testkit::{Stack, TestToken, Testkit, dev_accounts};
use std::sync::Arc;

pub(crate) const ETHER: u64 = 1_000_000_000_000_000_000;

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
        let testkit = Testkit::default();
        let stack = Stack::deploy(&mut testkit.chain()).unwrap();
        let owner_signer = dev_accounts()[1].signer();
        let deployment = Deployment {
            entry_point: stack.entry_point,
            session_key_plugin: stack.session_key_plugin,
            multi_owner_plugin: stack.multi_owner_plugin,
            factory: stack.account_factory,
        };
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
        let fixture = Self::new().await;
        let key = key(1);
        let new = NewSessionKey::new(key.address(), &permissions).unwrap();
        fixture
            .owner
            .install_session_key_plugin([new])
            .execute()
            .await
            .unwrap();
        let client = fixture.session_key(key);
        (fixture, client)
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
