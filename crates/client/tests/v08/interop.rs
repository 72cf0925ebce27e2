//! The client on v0.8 accounts against a real node and a real bundler: `script/interop.sh` starts both and
//! runs this.

use crate::{
    accounts::{new_key, pay},
    fixture::{ETHER, RECIPIENT, ample_gas, assert_not_allowed, in_form, key, send},
};
use session_key_client::{
    Call, Deployment, OwnerClient, Revert, SessionKeyClient, SmartAccount,
    account::Validations,
    alloy::{
        network::TransactionBuilder as _,
        primitives::{Address, U256},
        providers::{DynProvider, Provider as _, ProviderBuilder},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
    },
    delegation::delegation_code,
    operation::{Happened, NotTaken, NotTakenReason, Operation},
    permissions::{AaCode, execute_with_session_key},
    revert::PluginError,
    signer::sign_user_operation,
    submit::{BundlerSubmitter, EntryPointSubmitter, Refusal, Sent, Submitter},
    v08::{AccountFactory, FactoryAccount},
};
use session_key_testkit::{StackV08, dev_accounts};
use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run script/interop.sh"))
}

fn node(signer: PrivateKeySigner) -> DynProvider {
    let url = url("SESSION_KEY_RPC_URL").parse().unwrap();
    ProviderBuilder::new().wallet(signer).connect_http(url).erased()
}

struct Live {
    node: DynProvider,
    stack: StackV08,
    submitter: Arc<dyn Submitter>,
}

impl Live {
    async fn start(submitter: impl FnOnce(&DynProvider, Address) -> Arc<dyn Submitter>) -> Self {
        let funder = dev_accounts()[4].signer();
        let from = funder.address();
        let node = node(funder);
        let (stack, plan) = StackV08::plan();
        for planned in plan {
            if node.get_code_at(planned.address).await.unwrap().is_empty() {
                send(&node, planned.transaction(from)).await;
            }
        }
        let submitter = submitter(&node, stack.entry_point);
        Self {
            node,
            stack,
            submitter,
        }
    }

    const fn deployment(&self) -> Deployment {
        Deployment {
            entry_point: self.stack.entry_point,
            session_key_plugin: self.stack.session_key_module,
            multi_owner_plugin: Address::ZERO,
            factory: self.stack.account_factory,
            account_init_code_hash: None,
        }
    }

    async fn fund(&self, account: Address) {
        let fund = TransactionRequest::default()
            .with_to(account)
            .with_value(U256::from(ETHER));
        send(&self.node, fund).await;
    }

    /// A semi-modular account of the factory, which does not exist yet.
    async fn semi_modular(&self, owner: &PrivateKeySigner) -> SmartAccount {
        let factory = AccountFactory {
            address: self.stack.account_factory,
            modular_account: self.stack.account_implementation,
            semi_modular_account: self.stack.semi_modular_implementation,
            owner_module: self.stack.single_signer_module,
        };
        let made = FactoryAccount::semi_modular(owner.address(), U256::ZERO);
        let account =
            SmartAccount::from_v08_factory(self.node.clone(), self.deployment(), &factory, made).await;
        let account = account.unwrap();
        self.fund(account.address()).await;
        account
    }

    /// An externally owned account, which does not delegate yet.
    async fn eoa(&self, owner: &PrivateKeySigner) -> SmartAccount {
        let address = owner.address();
        self.fund(address).await;
        let delegate = self.stack.delegate;
        let account = SmartAccount::from_eoa(self.node.clone(), self.deployment(), address, delegate);
        account.await.unwrap()
    }

    fn owner(&self, account: &SmartAccount, owner: &PrivateKeySigner) -> OwnerClient {
        OwnerClient::shared(account.clone(), Arc::new(owner.clone()), self.submitter.clone())
    }

    fn agent(&self, account: &SmartAccount, number: u8) -> SessionKeyClient {
        SessionKeyClient::shared(account.clone(), Arc::new(key(number)), self.submitter.clone())
    }

    /// Granted by the account's first operation, used, refused, granted again, removed and taken off.
    async fn life(&self, kind: &str, owner_signer: &PrivateKeySigner, account: &SmartAccount) {
        let (owner, agent) = (self.owner(account, owner_signer), self.agent(account, 1));
        measured(
            &format!("{kind}: creation, module and key"),
            owner.install_session_key_plugin([new_key(1)]),
        )
        .await;
        assert_eq!(account.session_keys().await.unwrap(), [agent.session_key()]);
        let before = self.node.get_balance(RECIPIENT).await.unwrap();
        measured(
            &format!("{kind}: a key's operation, its first"),
            agent.execute(pay(30)),
        )
        .await;
        measured(&format!("{kind}: a key's operation"), agent.execute(pay(30))).await;
        let paid = self.node.get_balance(RECIPIENT).await.unwrap() - before;
        assert_eq!(paid, U256::from(60));

        // The client sends nothing, and the account would refuse it in validation.
        let stranger = Address::repeat_byte(1);
        let beyond = [Call::transfer(stranger, U256::ZERO)];
        let error = agent.execute(beyond.clone()).await.unwrap_err();
        assert_not_allowed(error, &["contract_not_on_allowlist"]);
        let refused = self.refused(account, &agent, 1, &beyond).await;
        // A bundler reports the account's revert around the module's.
        assert_eq!(
            refused.cause.as_ref().map(Revert::root),
            Some(&Revert::Plugin(PluginError::PermissionsCheckFailed)),
            "{refused}"
        );
        // Signed by another key than the one that it names.
        let harmless = pay(1);
        let refused = self.refused(account, &agent, 9, &harmless).await;
        assert_eq!(refused.code, Some(AaCode::AccountSignature), "{refused}");

        owner.add_session_key(new_key(2)).await.unwrap();
        measured(
            &format!("{kind}: removal of a key"),
            owner.remove_session_key(agent.session_key()),
        )
        .await;
        let error = agent.execute(pay(1)).await.unwrap_err();
        assert_eq!((error.code(), error.happened()), ("not_allowed", Happened::No));
        measured(
            &format!("{kind}: removal of the module"),
            owner.uninstall_session_key_plugin(),
        )
        .await;
        assert!(account.session_keys().await.unwrap().is_empty());
        assert!(!account.is_session_key_plugin_installed().await.unwrap());
    }

    /// Why a key's operation is refused that its client would not make.
    async fn refused(
        &self,
        account: &SmartAccount,
        agent: &SessionKeyClient,
        signer: u8,
        calls: &[Call],
    ) -> Refusal {
        let harmless = agent.execute(pay(1)).gas_limits(ample_gas());
        let mut signed = harmless.sign().await.unwrap();
        signed.operation.call_data = execute_with_session_key(calls, agent.session_key());
        let (entry_point, chain_id) = (self.stack.entry_point, account.chain_id());
        let signer = key(signer);
        let hash = sign_user_operation(&mut signed.operation, &signer, entry_point, chain_id);
        signed.hash = hash.await.unwrap();
        signed.operation.signature = in_form(&signed.operation.signature);
        match self.submitter.send(&signed).await {
            Sent::NotTaken(NotTaken {
                reason: NotTakenReason::Refused(refusal),
                ..
            }) => refusal,
            sent => panic!("{sent:?}"),
        }
    }

    /// A grant that rides along with the key's first operation.
    async fn grant(&self, kind: &str, owner: &PrivateKeySigner, account: &SmartAccount) {
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 86_400;
        let owner = self.owner(account, owner);
        let grant = owner.defer_grant(new_key(3), deadline).await.unwrap();
        // The agent knows nothing else.
        let known = SmartAccount::new_v08(
            self.node.clone(),
            account.chain_id(),
            account.address(),
            self.deployment(),
            Validations::default(),
        );
        let agent = self.agent(&known, 3);
        let first = agent.execute_first(grant.clone(), pay(60)).unwrap();
        measured(
            &format!("{kind}: creation, module, key and call by a grant"),
            first,
        )
        .await;
        assert_eq!(account.session_keys().await.unwrap(), [agent.session_key()]);
        let again = agent.execute_first(grant, pay(1)).unwrap().await.unwrap_err();
        assert_eq!((again.code(), again.happened()), ("nonce_used", Happened::No));
    }

    async fn everything(&self) {
        let owner = PrivateKeySigner::random();
        let account = self.semi_modular(&owner).await;
        self.life("semi-modular", &owner, &account).await;
        let owner = PrivateKeySigner::random();
        let account = self.semi_modular(&owner).await;
        self.grant("semi-modular", &owner, &account).await;

        let owner = PrivateKeySigner::random();
        let account = self.eoa(&owner).await;
        self.life("EIP-7702", &owner, &account).await;
        let code = self.node.get_code_at(account.address()).await.unwrap();
        assert_eq!(code, delegation_code(self.stack.delegate));
        let owner = PrivateKeySigner::random();
        let account = self.eoa(&owner).await;
        self.grant("EIP-7702", &owner, &account).await;
    }
}

/// Carries an operation out, and prints its gas and how long it took.
async fn measured(name: &str, operation: Operation) {
    let started = Instant::now();
    let included = operation
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    println!(
        "v0.8 | {name} | {} gas | {} ms",
        included.receipt.actual_gas_used,
        started.elapsed().as_millis()
    );
}

#[tokio::test]
#[ignore = "needs a node: script/interop.sh"]
async fn interop_of_v08_accounts_through_the_entry_point() {
    let live = Live::start(|_, entry_point| {
        let sender = dev_accounts()[6].signer();
        let from = sender.address();
        Arc::new(EntryPointSubmitter::new(node(sender), entry_point, from))
    });
    live.await.everything().await;
}

#[tokio::test]
#[ignore = "needs a node and a bundler: script/interop.sh"]
async fn interop_of_v08_accounts_through_a_bundler() {
    let live = Live::start(|node, entry_point| {
        let url = url("SESSION_KEY_BUNDLER_URL").parse().unwrap();
        let bundler = ProviderBuilder::new().connect_http(url);
        Arc::new(BundlerSubmitter::new(bundler, entry_point).with_node(node.clone()))
    });
    live.await.everything().await;
}
