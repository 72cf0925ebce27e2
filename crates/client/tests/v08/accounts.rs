//! What is of v0.8 accounts alone: their three forms, how they are found out, and what they refuse.

use crate::fixture::{ETHER, RECIPIENT, key};
use session_key_bindings::IAccountV08;
use session_key_client::{
    Call, Deployment, NewSessionKey, OwnerAction, OwnerClient, SessionKeyClient, SmartAccount,
    account::{ConnectError, ConnectOptions, Generation, Validations},
    alloy::{
        primitives::{Address, B256, Bytes, U256, aliases::U192},
        providers::Provider as _,
        signers::local::PrivateKeySigner,
        sol_types::{SolCall as _, SolValue as _},
    },
    deployment::manifest_hash,
    operation::{Cause, Happened},
    permissions::{LimitChange, PermissionUpdates, Permissions, SpendLimit, ValidationNonceKey},
    submit::EntryPointSubmitter,
    v08::{
        AccountFactory, FALLBACK_VALIDATION, FactoryAccount, ModuleEntity, SESSION_KEY_ENTITY_ID, Selection,
        ValidationConfig, ValidationFlags, calldata,
    },
};
use session_key_testkit::{StackV08, Testkit, V08_SIGNATURE_ACCOUNT_CODE, dev_accounts};
use std::sync::Arc;

/// An entity id of the owner's that is not 0.
pub(crate) const OWNERS_ENTITY: u32 = 7;

pub(crate) struct World {
    pub(crate) testkit: Testkit,
    pub(crate) stack: StackV08,
    pub(crate) owner: PrivateKeySigner,
}

impl World {
    pub(crate) fn new() -> Self {
        let testkit = Testkit::default();
        let stack = StackV08::deploy(&mut testkit.chain()).unwrap();
        Self {
            testkit,
            stack,
            owner: dev_accounts()[1].signer(),
        }
    }

    pub(crate) const fn deployment(&self) -> Deployment {
        Deployment {
            entry_point: self.stack.entry_point,
            session_key_plugin: self.stack.session_key_module,
            multi_owner_plugin: Address::ZERO,
            factory: self.stack.account_factory,
            account_init_code_hash: None,
        }
    }

    const fn factory(&self) -> AccountFactory {
        AccountFactory {
            address: self.stack.account_factory,
            modular_account: self.stack.account_implementation,
            semi_modular_account: self.stack.semi_modular_implementation,
            owner_module: self.stack.single_signer_module,
        }
    }

    /// An account of the factory, which does not exist yet and has ten ether.
    pub(crate) async fn account(&self, owner_entity_id: Option<u32>) -> SmartAccount {
        let made = FactoryAccount {
            owner: self.owner.address(),
            salt: U256::from(5),
            owner_entity_id,
        };
        let account =
            SmartAccount::from_v08_factory(self.testkit.provider(), self.deployment(), &self.factory(), made)
                .await
                .unwrap();
        self.fund(account.address());
        account
    }

    /// The owner's key is the account (EIP-7702).
    pub(crate) async fn delegated(&self) -> SmartAccount {
        let owner = dev_accounts()[1];
        self.stack
            .delegate_account(&mut self.testkit.chain(), &owner)
            .unwrap();
        self.fund(owner.address);
        self.connect(owner.address, ConnectOptions::new()).await.unwrap()
    }

    /// An account that selects the validation in the signature, with the owner's module under
    /// [`OWNERS_ENTITY`].
    pub(crate) async fn selecting(&self) -> SmartAccount {
        let address = Address::repeat_byte(0x5e);
        let validation = ModuleEntity::new(self.stack.single_signer_module, OWNERS_ENTITY);
        {
            let mut chain = self.testkit.chain();
            let implementation = chain
                .deploy(dev_accounts()[7].address, V08_SIGNATURE_ACCOUNT_CODE.bytes())
                .unwrap();
            let code = chain.code(implementation);
            chain.set_code(address, code).unwrap();
        }
        self.fund(address);
        let flags = ValidationFlags::USER_OPERATIONS
            .union(ValidationFlags::SIGNATURES)
            .union(ValidationFlags::GLOBAL);
        let install_data = (OWNERS_ENTITY, self.owner.address()).abi_encode_params();
        let config = ValidationConfig { validation, flags };
        let install = calldata::install_validation(config, &[], install_data.into(), &[]);
        let request = session_key_client::alloy::rpc::types::TransactionRequest::default()
            .from(address)
            .to(address)
            .input(install.into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
        let options = ConnectOptions::new().owner_validation(validation);
        self.connect(address, options).await.unwrap()
    }

    fn fund(&self, account: Address) {
        self.testkit.chain().set_balance(account, U256::from(10 * ETHER));
    }

    pub(crate) async fn connect(
        &self,
        account: Address,
        options: ConnectOptions,
    ) -> Result<SmartAccount, ConnectError> {
        let options = options.deployments([self.deployment()]);
        SmartAccount::connect_with(&options, self.testkit.provider(), account).await
    }

    pub(crate) fn submitter(&self) -> Arc<EntryPointSubmitter> {
        let bundler = dev_accounts()[3].signer();
        let from = bundler.address();
        let provider = self.testkit.provider_with_signer(bundler);
        Arc::new(EntryPointSubmitter::new(provider, self.stack.entry_point, from))
    }

    pub(crate) fn owner_of(&self, account: &SmartAccount) -> OwnerClient {
        OwnerClient::shared(account.clone(), Arc::new(self.owner.clone()), self.submitter())
    }

    pub(crate) fn agent_of(&self, account: &SmartAccount, number: u8) -> SessionKeyClient {
        SessionKeyClient::shared(account.clone(), Arc::new(key(number)), self.submitter())
    }

    /// A call of the account on itself, as its owner makes it.
    pub(crate) fn own(&self, account: &SmartAccount, data: Bytes) {
        let request = session_key_client::alloy::rpc::types::TransactionRequest::default()
            .from(account.address())
            .to(account.address())
            .input(data.into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
    }
}

pub(crate) fn new_key(number: u8) -> NewSessionKey {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(100)))
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    NewSessionKey::new(key(number).address(), &permissions).unwrap()
}

pub(crate) fn pay(wei: u64) -> [Call; 1] {
    [Call::transfer(RECIPIENT, U256::from(wei))]
}

/// Granted, used, refused, changed, rotated, removed and taken off, with messages in between: whatever the
/// form of the account.
async fn lives(world: &World, account: SmartAccount, owners_validation: ModuleEntity, selection: Selection) {
    let owner = world.owner_of(&account);
    owner.install_session_key_plugin([new_key(1)]).await.unwrap();
    let found = world.connect(account.address(), ConnectOptions::new()).await;
    // An owner's module that is not the deployed one has to be named.
    let options = ConnectOptions::new().owner_validation(owners_validation);
    let connected = world.connect(account.address(), options).await.unwrap();
    if owners_validation == FALLBACK_VALIDATION {
        assert_eq!(found.unwrap().generation(), connected.generation());
    }
    assert_eq!(
        connected.generation(),
        Generation::V08(Validations {
            owner: owners_validation,
            session_keys: SESSION_KEY_ENTITY_ID,
            selection,
        })
    );
    assert_eq!(connected.owners().await.unwrap(), [world.owner.address()]);
    assert!(connected.is_owner(world.owner.address()).await.unwrap());
    assert_eq!(
        connected.connected().unwrap().session_key_plugin,
        Some(world.stack.session_key_module)
    );

    let agent = world.agent_of(&connected, 1);
    let owner = world.owner_of(&connected);
    let before = connected.gas_spend_limit(agent.session_key()).await.unwrap();
    let included = agent.execute(pay(60)).await.unwrap();
    assert_eq!(
        world.testkit.chain().balance(RECIPIENT) % U256::from(1_000),
        U256::from(60)
    );
    let booked = connected.gas_spend_limit(agent.session_key()).await.unwrap();
    let booked = booked.info.limit_used - before.info.limit_used;
    assert!(booked >= included.receipt.actual_gas_cost, "{booked}");
    let error = agent.execute(pay(60)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("not_allowed", Happened::No));

    let digest = B256::repeat_byte(0x5d);
    let signature = owner.sign_digest(digest).await.unwrap();
    assert!(
        connected
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    );
    let other = B256::repeat_byte(0x5e);
    assert!(!connected.is_valid_signature(other, signature).await.unwrap());

    // By a plain transaction of the owner, without any EntryPoint.
    let limit = SpendLimit::total(U256::from(200));
    let actions = [
        OwnerAction::UpdateKeyPermissions {
            key: key(1).address(),
            updates: PermissionUpdates::new().native_token_spend_limit(limit, LimitChange::Afresh),
        },
        OwnerAction::AddSessionKey(new_key(3)),
    ];
    let transaction = connected
        .owner_transaction(world.owner.address(), actions)
        .await
        .unwrap();
    let provider = world.testkit.provider_with_signer(world.owner.clone());
    let sent = provider.send_transaction(transaction).await.unwrap();
    assert!(sent.get_receipt().await.unwrap().status());
    agent.execute(pay(150)).await.unwrap();

    owner
        .rotate_session_key(key(1).address(), key(2).address())
        .await
        .unwrap();
    let error = agent.execute(pay(1)).await.unwrap_err();
    assert_eq!(error.code(), "not_allowed");
    world.agent_of(&connected, 2).execute(pay(40)).await.unwrap();
    let removed = owner.remove_session_key(key(2).address()).await.unwrap();
    // In a lane that nobody knows, by the owner's validation.
    let nonce_key = ValidationNonceKey::from_nonce_key(U192::from(removed.receipt.nonce >> 64));
    assert!(nonce_key.lane > U192::from(u64::MAX), "{nonce_key:?}");
    assert_eq!(
        (nonce_key.entity_id, nonce_key.is_global),
        (owners_validation.entity_id, true)
    );
    assert_eq!(connected.session_keys().await.unwrap(), [key(3).address()]);

    owner.uninstall_session_key_plugin().await.unwrap();
    assert!(connected.session_keys().await.unwrap().is_empty());
    assert!(!connected.is_session_key_plugin_installed().await.unwrap());
    // Nothing is left over that a new installation would bring back.
    owner.install_session_key_plugin([new_key(4)]).await.unwrap();
    assert_eq!(connected.session_keys().await.unwrap(), [key(4).address()]);
}

#[tokio::test]
async fn keys_live_on_a_semi_modular_account() {
    let world = World::new();
    let account = world.account(None).await;
    lives(&world, account, FALLBACK_VALIDATION, Selection::Nonce).await;
}

#[tokio::test]
async fn keys_live_on_an_account_with_a_module_for_its_owner() {
    let world = World::new();
    let account = world.account(Some(OWNERS_ENTITY)).await;
    let validation = ModuleEntity::new(world.stack.single_signer_module, OWNERS_ENTITY);
    lives(&world, account, validation, Selection::Nonce).await;
}

#[tokio::test]
async fn keys_live_on_an_account_that_selects_the_validation_in_the_signature() {
    let world = World::new();
    let account = world.selecting().await;
    let validation = ModuleEntity::new(world.stack.single_signer_module, OWNERS_ENTITY);
    // There is nothing for a grant to ride along with.
    let owner = world.owner_of(&account);
    let error = owner
        .defer_grant(new_key(1), u64::from(u32::MAX))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("other_generation", Happened::No)
    );
    let elsewhere = world.account(None).await;
    let elsewhere = world.owner_of(&elsewhere);
    let grant = elsewhere.defer_grant(new_key(1), u64::from(u32::MAX));
    let agent = world.agent_of(&account, 1);
    let error = agent.execute_first(grant.await.unwrap(), pay(1)).unwrap_err();
    assert_eq!(error.code(), "other_generation");
    lives(&world, account, validation, Selection::Signature).await;
}

#[tokio::test]
async fn keys_live_on_an_externally_owned_account() {
    let world = World::new();
    let account = world.delegated().await;
    assert_eq!(
        account.connected().unwrap().implementation,
        Some(world.stack.delegate)
    );
    lives(&world, account, FALLBACK_VALIDATION, Selection::Nonce).await;
}

#[tokio::test]
async fn a_module_under_another_entity_id_is_found() {
    let world = World::new();
    let account = world.account(None).await;
    let chosen = SmartAccount::new_v08(
        world.testkit.provider(),
        31_337,
        account.address(),
        world.deployment(),
        Validations {
            session_keys: 5,
            ..Validations::default()
        },
    );
    // The first operation makes the account.
    world
        .owner_of(&account)
        .execute(Call::transfer(RECIPIENT, U256::ZERO))
        .await
        .unwrap();
    world
        .owner_of(&chosen)
        .install_session_key_plugin([new_key(1)])
        .await
        .unwrap();
    let connected = world
        .connect(account.address(), ConnectOptions::new())
        .await
        .unwrap();
    let Generation::V08(validations) = connected.generation() else {
        panic!("{:?}", connected.generation())
    };
    assert_eq!(validations.session_keys, 5);
    world.agent_of(&connected, 1).execute(pay(1)).await.unwrap();
    // One that says otherwise has the wrong lane: nothing is sent.
    let options = ConnectOptions::new().entity_id(6);
    let wrong = world.connect(account.address(), options).await.unwrap();
    let error = world.agent_of(&wrong, 1).execute(pay(1)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("refused", Happened::No),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_granted_on_an_unsafe_installation() {
    let world = World::new();
    let account = world.account(None).await;
    let owner = world.owner_of(&account);
    owner.install_session_key_plugin([new_key(1)]).await.unwrap();
    // The validation of session keys becomes one of the account's signatures, too.
    let flags = ValidationFlags::USER_OPERATIONS.union(ValidationFlags::SIGNATURES);
    let config = ValidationConfig {
        validation: ModuleEntity::new(world.stack.session_key_module, SESSION_KEY_ENTITY_ID),
        flags,
    };
    world.own(
        &account,
        calldata::install_validation(config, &[], Bytes::new(), &[]),
    );
    let error = owner.add_session_key(new_key(2)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("unsafe_installation", Happened::No)
    );
    assert!(matches!(&*error.cause, Cause::UnsafeInstallation { findings, .. } if findings.len() == 1));
    assert!(!account.is_session_key(key(2).address()).await.unwrap());
    // What takes away is never refused.
    owner.remove_session_key(key(1).address()).await.unwrap();
}

#[tokio::test]
async fn what_only_v07_accounts_have_is_refused() {
    let world = World::new();
    let account = world.account(None).await;
    let owner = world.owner_of(&account);
    let install = |manifest_hash| OwnerAction::InstallSessionKeyPlugin {
        keys: vec![],
        manifest_hash,
        dependencies: None,
    };
    for action in [
        OwnerAction::UpdateOwners {
            add: vec![RECIPIENT],
            remove: vec![],
        },
        install(Some(manifest_hash::SESSION_KEY_PLUGIN)),
    ] {
        let error = owner.batch([action]).build().await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("other_generation", Happened::No),
            "{error}"
        );
    }
    owner
        .batch([install(Some(manifest_hash::SESSION_KEY_MODULE))])
        .build()
        .await
        .unwrap();
    // Keys that are added in the batch that installs the module come with it.
    let batch = [install(None), OwnerAction::AddSessionKey(new_key(1))];
    owner.batch(batch).await.unwrap();
    assert_eq!(account.session_keys().await.unwrap(), [key(1).address()]);
}

#[tokio::test]
async fn a_first_operation_whose_call_would_revert_is_not_sent() {
    let world = World::new();
    let account = world.account(None).await;
    let owner = world.owner_of(&account);
    let error = owner
        .execute(Call::transfer(RECIPIENT, U256::from(100) * U256::from(ETHER)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("would_revert", Happened::No),
        "{error}"
    );
    assert!(!account.is_deployed().await.unwrap());
    // A function of its own is called as it is, and what is left of a stranger's signature refused in words.
    let stranger = OwnerClient::shared(account.clone(), Arc::new(key(9)), world.submitter());
    let error = stranger
        .execute(Call::transfer(RECIPIENT, U256::ONE))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not_taken", "{error}");
    assert!(!account.is_deployed().await.unwrap());
    owner
        .batch([OwnerAction::OwnFunction {
            data: IAccountV08::executeCall {
                target: RECIPIENT,
                value: U256::ONE,
                data: Bytes::new(),
            }
            .abi_encode()
            .into(),
        }])
        .await
        .unwrap();
    assert_eq!(world.testkit.chain().balance(RECIPIENT), U256::ONE);
}
