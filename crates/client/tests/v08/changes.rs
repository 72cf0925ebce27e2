//! Keys of accounts whose code changes: another delegation (EIP-7702), or another implementation behind
//! the proxy.

use crate::{
    accounts::{OWNERS_ENTITY, World, new_key, pay},
    delegation::{carry_out, granted},
    fixture::{ETHER, RECIPIENT, key},
};
use session_key_bindings::{IInitializable, IModule, ISessionKeyPlugin, bytecode};
use session_key_client::{
    Call, Deployment, OwnerClient, SessionKeyClient, SignedOperation, SmartAccount,
    account::{ConnectError, ConnectOptions, Generation},
    alloy::{
        eips::eip7702::Authorization,
        primitives::{Address, Bytes, U256},
        rpc::types::TransactionRequest,
        signers::{SignerSync as _, local::PrivateKeySigner},
        sol_types::{SolCall as _, SolValue as _},
    },
    calldata,
    delegation::{AuthorizationError, delegation_code},
    deployment::account_init_code_hash,
    operation::{Happened, NotTakenReason, OperationError},
    permissions::AaCode,
    submit::{EntryPointSubmitter, Sent, Submitter as _},
    v08::{ModuleEntity, Selection, ValidationConfig, ValidationFlags},
};
use session_key_testkit::{Stack, V08_DELEGATE_CODE, V08_SIGNATURE_ACCOUNT_CODE, dev_accounts};
use std::sync::Arc;

fn deploy(world: &World, code: Bytes) -> Address {
    let deployer = dev_accounts()[7].address;
    world.testkit.chain().deploy(deployer, code).unwrap()
}

/// The owner's account delegates to this from now on; if it is zero, to nothing.
fn delegate(world: &World, to: Address) {
    let account = world.owner.address();
    let authorization = Authorization {
        chain_id: U256::from(31_337),
        address: to,
        nonce: world.testkit.chain().nonce(account),
    };
    let signature = world
        .owner
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    carry_out(world, &authorization.into_signed(signature));
    let expected = if to.is_zero() {
        Bytes::new()
    } else {
        delegation_code(to)
    };
    assert_eq!(world.testkit.chain().code(account), expected);
}

/// The account makes a call that is not its owner's client's.
fn from_account(world: &World, account: Address, to: Address, data: Bytes) {
    let request = TransactionRequest::default()
        .from(account)
        .to(to)
        .input(data.into());
    world.testkit.chain().send(request).unwrap().ok().unwrap();
}

fn on_uninstall() -> Bytes {
    IModule::onUninstallCall { data: Bytes::new() }
        .abi_encode()
        .into()
}

fn paid(world: &World) -> U256 {
    world.testkit.chain().balance(RECIPIENT)
}

/// The account has the module with a key that has used 60 of its 100 wei, and a wei that it has signed
/// away, but not sent.
async fn used(world: &World, account: &SmartAccount) -> (SessionKeyClient, SignedOperation) {
    let agent = world.agent_of(account, 1);
    let owner = world.owner_of(account);
    owner.install_session_key_plugin([new_key(1)]).await.unwrap();
    agent.execute(pay(60)).await.unwrap();
    let signed = agent.execute(pay(1)).sign().await.unwrap();
    (agent, signed)
}

/// The key has exactly what was left.
async fn goes_on(world: &World, agent: &SessionKeyClient, signed: &SignedOperation) {
    let before = paid(world);
    assert_not_allowed(&agent.execute(pay(41)).await.unwrap_err());
    // An operation that was signed before is as good as it was.
    assert_eq!(world.submitter().send(signed).await, Sent::Taken);
    agent.execute(pay(39)).await.unwrap();
    assert_eq!(paid(world) - before, U256::from(40));
    assert_not_allowed(&agent.execute(pay(1)).await.unwrap_err());
}

fn assert_not_allowed(error: &OperationError) {
    assert_eq!(
        (error.code(), error.happened()),
        ("not_allowed", Happened::No),
        "{error}"
    );
}

/// The account's keys, without asking the account anything.
fn keys_in(world: &World, plugin_or_module: Address, account: &SmartAccount) -> Vec<Address> {
    let call = ISessionKeyPlugin::sessionKeysOfCall {
        account: account.address(),
    };
    let chain = world.testkit.chain();
    chain.read(RECIPIENT, plugin_or_module, &call).unwrap()
}

/// The client sends nothing, and the EntryPoint would not take what was signed before.
async fn rests(
    world: &World,
    agent: &SessionKeyClient,
    signed: &SignedOperation,
    code: &str,
    aa: Option<AaCode>,
) {
    let module = world.stack.session_key_module;
    assert_eq!(keys_in(world, module, agent.account()), [agent.session_key()]);
    let error = agent.execute(pay(1)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), (code, Happened::No), "{error}");
    match world.submitter().send(signed).await {
        Sent::NotTaken(not_taken) => match not_taken.reason {
            NotTakenReason::Refused(refusal) => assert_eq!(refusal.code, aa, "{refusal}"),
            reason => panic!("{reason:?}"),
        },
        sent => panic!("{sent:?}"),
    }
}

#[tokio::test]
async fn keys_rest_while_their_account_delegates_to_nothing() {
    let world = World::new();
    let account = world.delegated().await;
    let (agent, signed) = used(&world, &account).await;
    delegate(&world, Address::ZERO);
    rests(&world, &agent, &signed, "account_not_deployed", None).await;
    delegate(&world, world.stack.delegate);
    goes_on(&world, &agent, &signed).await;
}

#[tokio::test]
async fn keys_rest_while_their_account_delegates_to_what_does_not_know_them() {
    let other_generation = bytecode::modular_account(Stack::plan(Address::ZERO).0.entry_point);
    for code in [V08_SIGNATURE_ACCOUNT_CODE.bytes(), other_generation] {
        let world = World::new();
        let account = world.delegated().await;
        let (agent, signed) = used(&world, &account).await;
        let elsewhere = deploy(&world, code);
        delegate(&world, elsewhere);
        rests(&world, &agent, &signed, "refused", Some(AaCode::AccountReverted)).await;
        // The client does not take the account back by itself.
        let found = SmartAccount::from_eoa(
            world.testkit.provider(),
            world.deployment(),
            account.address(),
            world.stack.delegate,
        );
        assert_eq!(
            found.await.map(drop),
            Err(ConnectError::Delegation(AuthorizationError::DelegatesElsewhere {
                account: account.address(),
                expected: world.stack.delegate,
                found: elsewhere,
            }))
        );
        delegate(&world, world.stack.delegate);
        goes_on(&world, &agent, &signed).await;
    }
}

#[tokio::test]
async fn keys_work_on_another_version_of_the_contract_that_their_account_delegates_to() {
    let world = World::new();
    let account = world.delegated().await;
    let (agent, signed) = used(&world, &account).await;
    let is_earlier = true;
    let code = V08_DELEGATE_CODE.with_constructor_arguments(&is_earlier.abi_encode());
    let earlier = deploy(&world, code);
    delegate(&world, earlier);
    goes_on(&world, &agent, &signed).await;
}

#[tokio::test]
async fn an_account_that_delegates_to_nothing_rules_over_its_keys_by_plain_calls_of_the_module() {
    let world = World::new();
    let account = world.delegated().await;
    let (agent, _) = used(&world, &account).await;
    let module = world.stack.session_key_module;
    delegate(&world, Address::ZERO);
    from_account(&world, account.address(), module, on_uninstall());
    assert!(account.session_keys().await.unwrap().is_empty());
    let added = calldata::add_session_key(&new_key(2));
    from_account(&world, account.address(), module, added);
    delegate(&world, world.stack.delegate);
    // The old key is gone for good. The new one is as good as any: the account still has
    // the module installed.
    assert_not_allowed(&agent.execute(pay(1)).await.unwrap_err());
    world.agent_of(&account, 2).execute(pay(60)).await.unwrap();
}

#[tokio::test]
async fn grants_that_wait_outlast_a_delegation_to_nothing_until_their_nonce_is_used() {
    let world = World::new();
    let account = world.delegated().await;
    let _ = used(&world, &account).await;
    let [one, other] = [
        granted(&world, &account, 2).await,
        granted(&world, &account, 3).await,
    ];
    assert_eq!(one.authorization, None);
    delegate(&world, Address::ZERO);
    delegate(&world, world.stack.delegate);
    let before = paid(&world);
    let agent = world.agent_of(&account, 2);
    agent.execute_first(one, pay(60)).unwrap().await.unwrap();
    assert_eq!(paid(&world) - before, U256::from(60));
    world.owner_of(&account).end_deferred_grant(&other).await.unwrap();
    let agent = world.agent_of(&account, 3);
    let error = agent.execute_first(other, pay(60)).unwrap().await.unwrap_err();
    assert_eq!(error.code(), "nonce_used");
}

#[tokio::test]
async fn keys_and_grants_outlast_an_upgrade_to_what_keeps_the_same_storage() {
    let world = World::new();
    let account = world.account(None).await;
    let (agent, signed) = used(&world, &account).await;
    let grant = granted(&world, &account, 2).await;
    let code = world
        .testkit
        .chain()
        .code(world.stack.semi_modular_implementation);
    let copy = Address::repeat_byte(0xc0);
    world.testkit.chain().set_code(copy, code).unwrap();
    world.owner_of(&account).upgrade(copy, []).await.unwrap();
    let connected = world
        .connect(account.address(), ConnectOptions::new())
        .await
        .unwrap();
    assert_eq!(connected.connected().unwrap().implementation, Some(copy));
    goes_on(&world, &agent, &signed).await;
    let agent = world.agent_of(&account, 2);
    agent.execute_first(grant, pay(60)).unwrap().await.unwrap();
}

/// Call data that makes a module's signer the owner of an account that is not set up yet.
fn initialize(world: &World, owner: &PrivateKeySigner) -> (ModuleEntity, Bytes) {
    let validation = ModuleEntity::new(world.stack.single_signer_module, OWNERS_ENTITY);
    let flags = ValidationFlags::USER_OPERATIONS
        .union(ValidationFlags::SIGNATURES)
        .union(ValidationFlags::GLOBAL);
    let initialize = IInitializable::initializeWithValidationCall {
        validationConfig: ValidationConfig { validation, flags }.into(),
        selectors: Vec::new(),
        installData: (OWNERS_ENTITY, owner.address()).abi_encode_params().into(),
        hooks: Vec::new(),
    };
    (validation, initialize.abi_encode().into())
}

/// The account as its owner's validation is known, with that owner.
async fn owned(
    world: &World,
    account: &SmartAccount,
    validation: ModuleEntity,
    owner: &PrivateKeySigner,
) -> OwnerClient {
    let options = ConnectOptions::new().owner_validation(validation);
    let connected = world.connect(account.address(), options).await.unwrap();
    OwnerClient::shared(connected, Arc::new(owner.clone()), world.submitter())
}

#[tokio::test]
async fn keys_outlast_an_upgrade_that_changes_the_owner_and_the_old_owners_grants_do_not() {
    let world = World::new();
    let account = world.account(None).await;
    let (agent, signed) = used(&world, &account).await;
    let grant = granted(&world, &account, 2).await;
    let next = key(8);
    let (validation, data) = initialize(&world, &next);
    let implementation = world.stack.account_implementation;
    world
        .owner_of(&account)
        .upgrade(implementation, data)
        .await
        .unwrap();
    let error = world
        .agent_of(&account, 2)
        .execute_first(grant, pay(1))
        .unwrap()
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("refused", Happened::No),
        "{error}"
    );
    let error = world
        .owner_of(&account)
        .execute(Call::transfer(RECIPIENT, U256::ONE))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("refused", Happened::No),
        "{error}"
    );
    goes_on(&world, &agent, &signed).await;
    let owner = owned(&world, &account, validation, &next).await;
    owner.remove_session_key(agent.session_key()).await.unwrap();
    assert!(account.session_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_rest_while_their_account_has_an_implementation_that_does_not_know_them() {
    for ends_keys in [false, true] {
        let world = World::new();
        let account = world.account(None).await;
        let (agent, signed) = used(&world, &account).await;
        let (validation, data) = initialize(&world, &world.owner);
        let other = deploy(&world, V08_SIGNATURE_ACCOUNT_CODE.bytes());
        world.owner_of(&account).upgrade(other, data).await.unwrap();
        rests(&world, &agent, &signed, "refused", Some(AaCode::AccountReverted)).await;
        let owner = owned(&world, &account, validation, &world.owner).await;
        let Generation::V08(validations) = owner.account().generation() else {
            panic!("{owner:?}")
        };
        assert_eq!(validations.selection, Selection::Signature);
        if ends_keys {
            let call = Call::new(world.stack.session_key_module, on_uninstall());
            owner.execute(call).await.unwrap();
            assert!(account.session_keys().await.unwrap().is_empty());
        }
        let back = world.stack.semi_modular_implementation;
        owner.upgrade(back, []).await.unwrap();
        if ends_keys {
            assert_not_allowed(&agent.execute(pay(1)).await.unwrap_err());
        } else {
            goes_on(&world, &agent, &signed).await;
        }
    }
}

/// An account of v0.7 becomes one of v0.8, and then what it was.
#[tokio::test]
async fn a_v07_accounts_keys_rest_while_it_is_a_v08_account() {
    for ends_keys in [false, true] {
        let world = World::new();
        let stack = Stack::deploy(&mut world.testkit.chain()).unwrap();
        let deployment = Deployment {
            entry_point: stack.entry_point,
            session_key_plugin: stack.session_key_plugin,
            multi_owner_plugin: stack.multi_owner_plugin,
            factory: stack.account_factory,
            account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
        };
        let owners = [world.owner.address()];
        let account = SmartAccount::from_factory(world.testkit.provider(), deployment, owners, U256::ZERO)
            .await
            .unwrap();
        let funds = U256::from(10 * ETHER);
        world.testkit.chain().set_balance(account.address(), funds);
        let sender = dev_accounts()[6].signer();
        let from = sender.address();
        let submitter = Arc::new(EntryPointSubmitter::new(
            world.testkit.provider_with_signer(sender),
            stack.entry_point,
            from,
        ));
        let owner = OwnerClient::shared(account.clone(), Arc::new(world.owner.clone()), submitter.clone());
        let agent = SessionKeyClient::shared(account.clone(), Arc::new(key(1)), submitter.clone());
        owner.install_session_key_plugin([new_key(1)]).await.unwrap();
        agent.execute(pay(60)).await.unwrap();

        let (validation, data) = initialize(&world, &world.owner);
        owner
            .upgrade(world.stack.account_implementation, data)
            .await
            .unwrap();
        // The plugin has the key; the account does not take operations from EntryPoint v0.6 any more.
        let keys = || keys_in(&world, stack.session_key_plugin, &account);
        assert_eq!(keys(), [agent.session_key()]);
        let error = agent.execute(pay(1)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("refused", Happened::No),
            "{error}"
        );
        // Keys of the module are others.
        let next = owned(&world, &account, validation, &world.owner).await;
        assert!(next.account().session_keys().await.unwrap().is_empty());
        next.install_session_key_plugin([new_key(2)]).await.unwrap();
        assert_eq!(next.account().session_keys().await.unwrap(), [key(2).address()]);
        world.agent_of(next.account(), 2).execute(pay(10)).await.unwrap();
        if ends_keys {
            let call = Call::new(stack.session_key_plugin, on_uninstall());
            next.execute(call).await.unwrap();
            assert!(keys().is_empty());
        }
        next.upgrade(stack.account_implementation, []).await.unwrap();
        let before = paid(&world);
        if ends_keys {
            assert_not_allowed(&agent.execute(pay(1)).await.unwrap_err());
        } else {
            assert_not_allowed(&agent.execute(pay(41)).await.unwrap_err());
            agent.execute(pay(40)).await.unwrap();
            assert_eq!(paid(&world) - before, U256::from(40));
        }
        // The module's rests now.
        let error = world
            .agent_of(next.account(), 2)
            .execute(pay(1))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("refused", Happened::No),
            "{error}"
        );
    }
}
