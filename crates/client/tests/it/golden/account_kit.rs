//! ERC-6900 v0.8 accounts: the same bytes as their TypeScript client makes. Where the vectors come from:
//! `README.md` beside them.
//!
//! The deployed permission modules' own install data are no business of this crate: they are encoded here,
//! and the rest (flags, selectors, hooks and their order) is the crate's.

use super::read;
use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, Selector, U256, address, aliases::U192, fixed_bytes},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolValue,
};
use serde::Deserialize;
use session_key_bindings::{ExecutionManifest, ManifestExecutionFunction, ManifestHook};
use session_key_client::{
    UserOperation, alloy, calldata,
    permissions::{Call, EntryPointVersion, ValidationNonceKey},
    v08::{
        AccountFactory, DeferredAction, FALLBACK_VALIDATION, FactoryAccount, HookConfig, HookKind,
        ModuleEntity, ValidationConfig, ValidationFlags, calldata as account_calldata, calldata::NewHook,
        known, signature,
    },
};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vectors {
    made_by: Vec<String>,
    chain_id: u64,
    entry_point: Address,
    modules: Modules,
    owner: Address,
    owner_private_key: B256,
    session_key: Address,
    session_key_private_key: B256,
    inputs: Inputs,
    module_entities: Vec<PackedEntity>,
    validation_configs: Vec<PackedValidation>,
    hook_configs: Vec<PackedHook>,
    nonce_keys: Vec<NonceKey>,
    accounts: Vec<Account>,
    entity_id: u32,
    installations: BTreeMap<String, Bytes>,
    uninstallations: BTreeMap<String, Bytes>,
    module_entity_id: u32,
    session_key_module: SessionKeyModule,
    call_data: BTreeMap<String, Bytes>,
    operations: BTreeMap<String, Operation>,
    messages: Vec<Message>,
    deferred_actions: BTreeMap<String, Deferred>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Modules {
    single_signer: Address,
    allowlist: Address,
    native_token_limit: Address,
    time_range: Address,
    paymaster_guard: Address,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inputs {
    token: Address,
    other_token: Address,
    target: Address,
    other_target: Address,
    module: Address,
    paymaster: Address,
    functions: Vec<Selector>,
    account_function: Selector,
    native_limit: U256,
    gas_limit: U256,
    token_limit: U256,
    other_token_limit: U256,
    valid_after: u64,
    deadline: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PackedEntity {
    module: Address,
    entity_id: u32,
    packed: FixedBytes<24>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PackedValidation {
    module: Address,
    entity_id: u32,
    is_user_op_validation: bool,
    is_signature_validation: bool,
    is_global: bool,
    packed: FixedBytes<25>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PackedHook {
    module: Address,
    entity_id: u32,
    is_validation: bool,
    has_pre_hooks: bool,
    has_post_hooks: bool,
    packed: FixedBytes<25>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NonceKey {
    lane: U192,
    entity_id: u32,
    is_global_validation: bool,
    is_deferred_action: bool,
    key: U192,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Account {
    salt: U256,
    entity_id: Option<u32>,
    address: Address,
    init_code: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionKeyModule {
    install: [Bytes; 2],
    uninstall: [Bytes; 2],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operation {
    sender: Address,
    nonce: U256,
    #[serde(default)]
    factory: Option<Address>,
    #[serde(default)]
    factory_data: Bytes,
    call_data: Bytes,
    call_gas_limit: U256,
    verification_gas_limit: U256,
    pre_verification_gas: U256,
    max_fee_per_gas: U256,
    max_priority_fee_per_gas: U256,
    #[serde(default)]
    paymaster: Option<Address>,
    #[serde(default)]
    paymaster_verification_gas_limit: U256,
    #[serde(default)]
    paymaster_post_op_gas_limit: U256,
    #[serde(default)]
    paymaster_data: Bytes,
    hash: B256,
    signature: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    name: String,
    account: Address,
    entity_id: Option<u32>,
    hash: B256,
    replay_safe_hash: B256,
    signature: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deferred {
    account: Address,
    nonce: U256,
    deadline: u64,
    call: Bytes,
    typed_data_hash: B256,
    pre_signature_digest: Bytes,
    signature: Bytes,
    digest: Bytes,
}

/// The entity id of the owner's validation on the account whose owner is a module's.
const OWNER_ENTITY_ID: u32 = 9;
/// What that client adds to a key's entity id for the second hook of one module.
const SECOND_HOOK: u32 = 0x7fff_ffff;
const EXECUTE: Selector = fixed_bytes!("b61d27f6");
const EXECUTE_BATCH: Selector = fixed_bytes!("34fcd5be");
const APPROVE: Selector = fixed_bytes!("095ea7b3");
const TRANSFER: Selector = fixed_bytes!("a9059cbb");

fn vectors() -> Vectors {
    read("account-kit.json")
}

fn key(private_key: B256) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&private_key).unwrap()
}

/// An operation's hash as a message (EIP-191).
fn signed(private_key: B256, hash: B256) -> Bytes {
    let signed = key(private_key).sign_message_sync(hash.as_slice());
    signed.unwrap().as_bytes().into()
}

/// A hash of typed data.
fn signed_typed_data(private_key: B256, hash: B256) -> Bytes {
    key(private_key).sign_hash_sync(&hash).unwrap().as_bytes().into()
}

/// All names that are compared, so that none is left out.
fn names<T>(vectors: &BTreeMap<String, T>) -> Vec<&str> {
    vectors.keys().map(String::as_str).collect()
}

#[test]
fn the_vectors_are_of_the_pinned_client_and_the_known_contracts() {
    let vectors = vectors();
    assert_eq!(
        vectors.made_by,
        [
            "@account-kit/smart-contracts 4.88.5",
            "@aa-sdk/core 4.88.5",
            "viem 2.45.0"
        ]
    );
    assert_eq!(
        vectors.modules.single_signer,
        known::SINGLE_SIGNER_VALIDATION_MODULE
    );
    assert_eq!(
        vectors.entry_point,
        address!("0x0000000071727De22E5E9d8BAf0edAc6f37da032")
    );
    assert_eq!(key(vectors.owner_private_key).address(), vectors.owner);
    assert_eq!(
        key(vectors.session_key_private_key).address(),
        vectors.session_key
    );
}

#[test]
fn validations_and_hooks_are_packed_as_that_client_packs_them() {
    let vectors = vectors();
    assert!(!vectors.module_entities.is_empty());
    for PackedEntity {
        module,
        entity_id,
        packed,
    } in vectors.module_entities
    {
        assert_eq!(FixedBytes::from(ModuleEntity::new(module, entity_id)), packed);
    }
    assert_eq!(vectors.validation_configs.len(), 8);
    for config in vectors.validation_configs {
        let flags = [
            (config.is_user_op_validation, ValidationFlags::USER_OPERATIONS),
            (config.is_signature_validation, ValidationFlags::SIGNATURES),
            (config.is_global, ValidationFlags::GLOBAL),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set);
        let ours = ValidationConfig {
            validation: ModuleEntity::new(config.module, config.entity_id),
            flags: flags.fold(ValidationFlags::NONE, |all, (_, flag)| all.union(flag)),
        };
        assert_eq!(FixedBytes::from(ours), config.packed);
    }
    assert_eq!(vectors.hook_configs.len(), 8);
    for config in vectors.hook_configs {
        let hook = ModuleEntity::new(config.module, config.entity_id);
        let (is_pre, is_post) = (config.has_pre_hooks, config.has_post_hooks);
        let execution = HookConfig::new(hook, HookKind::Execution { is_pre, is_post });
        // That client keeps the bits for "before" and "after" in validation hooks, where they mean nothing
        // but are part of the hook's identity. `HookKind::Validation` sets none of them: such a hook is
        // named by its flags.
        let ours = if config.is_validation {
            let flags = execution.flags | HookConfig::new(hook, HookKind::Validation).flags;
            HookConfig { hook, flags }
        } else {
            execution
        };
        assert_eq!(FixedBytes::from(ours), config.packed);
        assert_eq!(HookConfig::from(config.packed), ours);
        assert_eq!(ours.kind() == HookKind::Validation, config.is_validation);
    }
}

#[test]
fn nonce_keys_are_those_of_that_client() {
    let vectors = vectors();
    assert_eq!(vectors.nonce_keys.len(), 64);
    for vector in vectors.nonce_keys {
        let ours = ValidationNonceKey {
            lane: vector.lane,
            entity_id: vector.entity_id,
            is_global: vector.is_global_validation,
            has_deferred_action: vector.is_deferred_action,
        };
        assert_eq!(ours.nonce_key(), vector.key);
        assert_eq!(ValidationNonceKey::from_nonce_key(vector.key), ours);
    }
}

#[test]
fn accounts_have_the_addresses_and_init_codes_of_that_client() {
    let vectors = vectors();
    assert_eq!(vectors.accounts.len(), 5);
    let factory = AccountFactory::default();
    for vector in vectors.accounts {
        let ours = FactoryAccount {
            owner: vectors.owner,
            salt: vector.salt,
            owner_entity_id: vector.entity_id,
        };
        assert_eq!(ours.address(&factory), vector.address);
        assert_eq!(ours.init_code(&factory), vector.init_code);
    }
}

/// What the allowlist module is told of one target.
type Allowed = (Address, bool, bool, U256, Vec<Selector>);

impl Vectors {
    const fn validation(&self, flags: ValidationFlags) -> ValidationConfig {
        ValidationConfig {
            validation: ModuleEntity::new(self.modules.single_signer, self.entity_id),
            flags,
        }
    }

    fn install(&self, flags: ValidationFlags, selectors: &[Selector], hooks: &[NewHook]) -> Bytes {
        let install_data = (self.entity_id, self.session_key).abi_encode_params().into();
        account_calldata::install_validation(self.validation(flags), selectors, install_data, hooks)
    }

    fn install_key(&self, selectors: &[Selector], hooks: &[NewHook]) -> Bytes {
        self.install(ValidationFlags::USER_OPERATIONS, selectors, hooks)
    }

    /// An execution hook before the calls.
    fn execution_hook(module: Address, entity_id: u32, install_data: Vec<u8>) -> NewHook {
        let kind = HookKind::Execution {
            is_pre: true,
            is_post: false,
        };
        NewHook {
            config: HookConfig::new(ModuleEntity::new(module, entity_id), kind),
            install_data: install_data.into(),
        }
    }

    /// A validation hook, with the bit that means nothing.
    fn validation_hook(module: Address, entity_id: u32, install_data: Vec<u8>) -> NewHook {
        NewHook {
            config: HookConfig {
                hook: ModuleEntity::new(module, entity_id),
                flags: 0x05,
            },
            install_data: install_data.into(),
        }
    }

    fn time_range(&self, valid_after: u64) -> NewHook {
        let validation = ModuleEntity::new(self.modules.time_range, self.entity_id);
        let range = [self.inputs.deadline, valid_after].map(U256::from);
        NewHook {
            config: HookConfig::new(validation, HookKind::Validation),
            install_data: (self.entity_id, range[0], range[1]).abi_encode_params().into(),
        }
    }

    fn native_limit(&self) -> NewHook {
        let data = (self.entity_id, self.inputs.native_limit).abi_encode_params();
        Self::execution_hook(self.modules.native_token_limit, self.entity_id, data)
    }

    fn gas_limit(&self) -> NewHook {
        let entity_id = self.entity_id + SECOND_HOOK;
        let data = (entity_id, self.inputs.gas_limit).abi_encode_params();
        Self::validation_hook(self.modules.native_token_limit, entity_id, data)
    }

    fn token_limits(&self, limits: &[(Address, U256)]) -> NewHook {
        let entity_id = self.entity_id + SECOND_HOOK;
        let limits = limits
            .iter()
            .map(|(token, limit)| (*token, false, true, *limit, Vec::new()));
        let data = (entity_id, limits.collect::<Vec<Allowed>>()).abi_encode_params();
        Self::execution_hook(self.modules.allowlist, entity_id, data)
    }

    fn allowlist(&self, allowed: Vec<Allowed>) -> NewHook {
        let data = (self.entity_id, allowed).abi_encode_params();
        Self::validation_hook(self.modules.allowlist, self.entity_id, data)
    }

    fn paymaster_guard(&self) -> NewHook {
        let data = (self.entity_id, self.inputs.paymaster).abi_encode_params();
        Self::validation_hook(self.modules.paymaster_guard, self.entity_id, data)
    }

    const fn whole_target(&self) -> Allowed {
        (self.inputs.target, false, false, U256::ZERO, Vec::new())
    }

    fn functions_anywhere(&self) -> Allowed {
        (
            Address::ZERO,
            false,
            false,
            U256::ZERO,
            self.inputs.functions.clone(),
        )
    }

    fn token_functions(token: Address) -> Allowed {
        (token, true, false, U256::ZERO, vec![APPROVE, TRANSFER])
    }

    fn calls(&self) -> [Call; 2] {
        [
            Call {
                target: self.inputs.target,
                value: U256::ONE,
                data: fixed_bytes!("11223344").into(),
            },
            Call::new(self.inputs.other_target, Bytes::new()),
        ]
    }
}

#[test]
fn session_keys_are_installed_as_that_client_installs_them() {
    let vectors = vectors();
    let inputs = &vectors.inputs;
    let executes = [EXECUTE, EXECUTE_BATCH];
    let functions: Allowed = (
        inputs.other_target,
        true,
        false,
        U256::ZERO,
        inputs.functions.clone(),
    );
    let tokens = [
        (inputs.token, inputs.token_limit),
        (inputs.other_token, inputs.other_token_limit),
    ];
    let global = ValidationFlags::USER_OPERATIONS.union(ValidationFlags::GLOBAL);
    let ours = [
        (
            "accountFunction",
            vectors.install_key(&[inputs.account_function], &[]),
        ),
        (
            "allowlistAndTimeRange",
            vectors.install_key(
                &executes,
                &[
                    vectors.time_range(inputs.valid_after),
                    vectors.allowlist(vec![
                        vectors.whole_target(),
                        functions,
                        vectors.functions_anywhere(),
                    ]),
                ],
            ),
        ),
        ("bare", vectors.install_key(&executes, &[])),
        (
            "everything",
            vectors.install_key(
                &[inputs.account_function, EXECUTE, EXECUTE_BATCH],
                &[
                    vectors.time_range(inputs.valid_after),
                    vectors.native_limit(),
                    vectors.token_limits(&tokens[..1]),
                    vectors.gas_limit(),
                    vectors.allowlist(vec![
                        vectors.functions_anywhere(),
                        vectors.whole_target(),
                        Vectors::token_functions(inputs.token),
                    ]),
                ],
            ),
        ),
        (
            "gasLimit",
            vectors.install_key(
                &executes,
                &[
                    vectors.gas_limit(),
                    vectors.allowlist(vec![vectors.whole_target()]),
                ],
            ),
        ),
        (
            "nativeLimit",
            vectors.install_key(
                &executes,
                &[
                    vectors.native_limit(),
                    vectors.allowlist(vec![vectors.whole_target()]),
                ],
            ),
        ),
        (
            "paymasterGuard",
            vectors.install_key(
                &executes,
                &[
                    vectors.paymaster_guard(),
                    vectors.allowlist(vec![vectors.whole_target()]),
                ],
            ),
        ),
        ("root", vectors.install(global, &[], &[])),
        (
            "tokenLimits",
            vectors.install_key(
                &executes,
                &[
                    vectors.token_limits(&tokens),
                    vectors.allowlist(tokens.map(|(token, _)| Vectors::token_functions(token)).to_vec()),
                ],
            ),
        ),
    ];
    assert_eq!(
        names(&vectors.installations),
        ours.each_ref().map(|(name, _)| *name)
    );
    for (name, ours) in ours {
        assert_eq!(ours, vectors.installations[name], "{name}");
    }
}

#[test]
fn session_keys_are_uninstalled_as_that_client_uninstalls_them() {
    let vectors = vectors();
    let validation = ModuleEntity::new(vectors.modules.single_signer, vectors.entity_id);
    let entity = |entity_id: u32| Bytes::from(entity_id.abi_encode());
    let hooks = vec![
        entity(vectors.entity_id),
        Bytes::new(),
        entity(vectors.entity_id + SECOND_HOOK),
    ];
    let ours = [("bare", Vec::new()), ("withHooks", hooks)];
    assert_eq!(
        names(&vectors.uninstallations),
        ours.each_ref().map(|(name, _)| *name)
    );
    for (name, hooks) in ours {
        let ours = account_calldata::uninstall_validation(validation, entity(vectors.entity_id), hooks);
        assert_eq!(ours, vectors.uninstallations[name], "{name}");
    }
}

/// The validations of the session key module, as an owner who uses that client would install and uninstall
/// them. The module's functions come with keys, which that client knows nothing of.
#[test]
fn the_session_key_modules_validations_are_those_that_the_client_would_install() {
    let vectors = vectors();
    let account = Address::repeat_byte(9);
    let (module, entity_id) = (vectors.inputs.module, vectors.module_entity_id);
    let [_, operations, direct_calls] =
        account_calldata::install_session_key_module(account, module, entity_id, &[]).unwrap();
    assert_eq!(
        [operations.data, direct_calls.data],
        vectors.session_key_module.install
    );
    let [operations, direct_calls, _] =
        account_calldata::uninstall_session_key_module(account, module, entity_id).unwrap();
    assert_eq!(
        [operations.data, direct_calls.data],
        vectors.session_key_module.uninstall
    );
}

#[test]
fn call_data_are_those_of_that_client() {
    let vectors = vectors();
    let calls = vectors.calls();
    let [execute, execute_batch] = [calldata::execute(&calls[0]), calldata::execute_batch(&calls)];
    let module = vectors.inputs.module;
    let manifest = || ExecutionManifest {
        executionFunctions: vec![ManifestExecutionFunction {
            executionSelector: fixed_bytes!("11223344"),
            skipRuntimeValidation: true,
            allowGlobalValidation: false,
        }],
        executionHooks: vec![ManifestHook {
            executionSelector: fixed_bytes!("aabbccdd"),
            entityId: 9,
            isPreHook: true,
            isPostHook: false,
        }],
        interfaceIds: vec![fixed_bytes!("01020304")],
    };
    let data = || Bytes::from(fixed_bytes!("1234"));
    let inner = || Bytes::from(fixed_bytes!("11223344"));
    let ours = [
        // A call of the account to itself is its function alone, not wrapped in `execute`, which the
        // account would refuse.
        ("callOfItself", vectors.installations["bare"].clone()),
        ("execute", execute.clone()),
        ("executeBatch", execute_batch.clone()),
        (
            "executeWithRuntimeValidation",
            account_calldata::execute_with_runtime_validation(
                inner(),
                signature::authorization(FALLBACK_VALIDATION, false, &[0]),
            ),
        ),
        (
            "installExecution",
            account_calldata::install_execution(module, manifest(), data()),
        ),
        (
            "uninstallExecution",
            account_calldata::uninstall_execution(module, manifest(), data()),
        ),
        (
            "updateFallbackSigner",
            account_calldata::update_fallback_signer(vectors.session_key, true),
        ),
        (
            "upgradeToAndCall",
            calldata::upgrade_to_and_call(vectors.inputs.target, inner()),
        ),
        ("wrappedExecute", account_calldata::execute_user_op(&execute)),
        (
            "wrappedExecuteBatch",
            account_calldata::execute_user_op(&execute_batch),
        ),
    ];
    assert_eq!(names(&vectors.call_data), ours.each_ref().map(|(name, _)| *name));
    for (name, ours) in ours {
        assert_eq!(ours, vectors.call_data[name], "{name}");
    }
}

impl Operation {
    fn unpack(&self) -> UserOperation {
        let init_code = self
            .factory
            .map(|factory| [factory.as_slice(), &self.factory_data].concat());
        let paymaster_and_data = self.paymaster.map(|paymaster| {
            let gas = [
                self.paymaster_verification_gas_limit,
                self.paymaster_post_op_gas_limit,
            ];
            let [verification, post_op] = gas.map(|gas| gas.to::<u128>().to_be_bytes());
            [
                paymaster.as_slice(),
                &verification,
                &post_op,
                &self.paymaster_data,
            ]
            .concat()
        });
        UserOperation {
            version: EntryPointVersion::V07,
            sender: self.sender,
            nonce: self.nonce,
            init_code: init_code.unwrap_or_default().into(),
            call_data: self.call_data.clone(),
            call_gas_limit: self.call_gas_limit,
            verification_gas_limit: self.verification_gas_limit,
            pre_verification_gas: self.pre_verification_gas,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            paymaster_and_data: paymaster_and_data.unwrap_or_default().into(),
            signature: self.signature.clone(),
            authorization: None,
        }
    }
}

#[test]
fn operations_have_the_hashes_nonces_and_signatures_of_that_client() {
    let vectors = vectors();
    let lane = |lane: u64, entity_id, is_global, has_deferred_action| ValidationNonceKey {
        lane: U192::from(lane),
        entity_id,
        is_global,
        has_deferred_action,
    };
    let (owner, session_key) = (vectors.owner_private_key, vectors.session_key_private_key);
    let entity_id = vectors.entity_id;
    let ours = [
        (
            "deferredByFallbackSigner",
            session_key,
            lane(0, entity_id, false, true),
            0,
        ),
        (
            "deferredBySingleSigner",
            session_key,
            lane(0, entity_id, false, true),
            0,
        ),
        (
            "deferredWithExecutionHooks",
            session_key,
            lane(0x102, entity_id, false, true),
            0,
        ),
        ("keyExecutes", session_key, lane(0, entity_id, false, false), 4),
        (
            "moduleOwnerExecutes",
            owner,
            lane(0, OWNER_ENTITY_ID, true, false),
            0,
        ),
        ("ownerCreates", owner, lane(0, 0, true, false), 0),
        ("ownerInstallsInALane", owner, lane(0x102, 0, true, false), 0),
    ];
    assert_eq!(names(&vectors.operations), ours.map(|(name, ..)| name));
    for (name, signer, nonce_key, sequence) in ours {
        let theirs = &vectors.operations[name];
        let operation = theirs.unpack();
        assert_eq!(
            operation.hash(vectors.entry_point, vectors.chain_id),
            theirs.hash,
            "{name}"
        );
        let nonce = session_key_client::permissions::nonce(nonce_key.nonce_key(), sequence);
        assert_eq!(nonce, theirs.nonce, "{name}");
        // A key under the accounts' own module signs with a byte for the kind of owner, as an owner does.
        let own = signature::owner(&signed(signer, theirs.hash));
        let prefix = vectors.deferred_actions.get(name).map(|deferred| {
            let action = deferred.action(name);
            let owners = signed_typed_data(owner, action.signing_hash(deferred.account, vectors.chain_id));
            action.signature_prefix(&owners).unwrap()
        });
        let ours = [prefix.unwrap_or_default().as_ref(), &own].concat();
        assert_eq!(Bytes::from(ours), theirs.signature, "{name}");
    }
    // Deliberately different: the session key module takes keys' signatures alone, so there is no such byte.
    let theirs = &vectors.operations["keyExecutes"];
    let ours = signature::session_key(&signed(session_key, theirs.hash));
    assert_eq!(ours[0], theirs.signature[0]);
    assert_eq!((theirs.signature[1], &ours[1..]), (0, &theirs.signature[2..]));
}

#[test]
fn messages_are_signed_as_that_client_signs_them() {
    let vectors = vectors();
    assert_eq!(vectors.messages.len(), 6);
    for message in &vectors.messages {
        let validation = match message.entity_id {
            Some(entity_id) => ModuleEntity::new(vectors.modules.single_signer, entity_id),
            None => FALLBACK_VALIDATION,
        };
        let hash =
            |validation| signature::message_hash(validation, message.account, vectors.chain_id, message.hash);
        let sign = |validation| {
            signature::message(
                validation,
                &signed_typed_data(vectors.owner_private_key, hash(validation)),
            )
        };
        if message.name == "singleSignerOfEntityZero" {
            // Deliberately different: that client takes entity 0 for the fallback signer of a semi-modular
            // account, always. On an account whose owner is `SingleSignerValidationModule`'s entity 0,
            // what it signs is not what the module verifies.
            assert_ne!(hash(validation), message.replay_safe_hash);
            assert_ne!(sign(validation), message.signature);
            assert_eq!(hash(FALLBACK_VALIDATION), message.replay_safe_hash);
            assert_eq!(sign(FALLBACK_VALIDATION), message.signature);
        } else {
            assert_eq!(hash(validation), message.replay_safe_hash, "{}", message.name);
            assert_eq!(sign(validation), message.signature, "{}", message.name);
        }
    }
}

impl Deferred {
    fn action(&self, name: &str) -> DeferredAction {
        let authorized_by = if name == "deferredBySingleSigner" {
            ModuleEntity::new(known::SINGLE_SIGNER_VALIDATION_MODULE, OWNER_ENTITY_ID)
        } else {
            FALLBACK_VALIDATION
        };
        DeferredAction {
            authorized_by,
            is_global: true,
            nonce: self.nonce,
            deadline: self.deadline,
            call: self.call.clone(),
        }
    }
}

#[test]
fn deferred_actions_are_signed_and_carried_as_that_client_does() {
    let vectors = vectors();
    let executes = [EXECUTE, EXECUTE_BATCH];
    let target = vectors.allowlist(vec![vectors.whole_target()]);
    let limited = vectors.install_key(&executes, &[vectors.time_range(0), target.clone()]);
    let with_execution_hooks = vectors.install_key(&executes, &[vectors.native_limit(), target]);
    let [execute, wrapped] = ["execute", "wrappedExecute"].map(|name| &vectors.call_data[name]);
    let ours = [
        (
            "deferredByFallbackSigner",
            vectors.inputs.deadline,
            &limited,
            execute,
            0,
        ),
        (
            "deferredBySingleSigner",
            vectors.inputs.deadline,
            &limited,
            execute,
            0,
        ),
        ("deferredWithExecutionHooks", 0, &with_execution_hooks, wrapped, 1),
    ];
    assert_eq!(names(&vectors.deferred_actions), ours.map(|(name, ..)| name));
    for (name, deadline, call, carrier, has_execution_hooks) in ours {
        let theirs = &vectors.deferred_actions[name];
        assert_eq!((theirs.deadline, &theirs.call), (deadline, call), "{name}");
        assert_eq!(vectors.operations[name].call_data, *carrier, "{name}");
        let action = theirs.action(name);
        // What an owner's module signs is wrapped once more.
        let unwrapped = DeferredAction {
            authorized_by: FALLBACK_VALIDATION,
            ..action.clone()
        };
        let typed_data_hash = unwrapped.signing_hash(theirs.account, vectors.chain_id);
        assert_eq!(typed_data_hash, theirs.typed_data_hash, "{name}");
        let hash = action.signing_hash(theirs.account, vectors.chain_id);
        assert_eq!(
            hash == typed_data_hash,
            action.authorized_by == FALLBACK_VALIDATION
        );
        let owners = signed_typed_data(vectors.owner_private_key, hash);
        assert_eq!(
            [&[0], owners.as_ref()].concat(),
            theirs.signature.as_ref(),
            "{name}"
        );

        // That client keeps the nonce, and whether there are execution hooks, before what goes into the
        // signature. Here they are in `DeferredGrant`, and are known of the module.
        let head = [&[has_execution_hooks], &theirs.nonce.to_be_bytes::<32>()[..]].concat();
        let prefix = action.signature_prefix(&owners).unwrap();
        let digest = Bytes::from([&head[..], &prefix].concat());
        assert_eq!(digest, theirs.digest, "{name}");
        let part = 4 + 1 + owners.len();
        assert_eq!(
            digest[..digest.len() - part],
            theirs.pre_signature_digest[..],
            "{name}"
        );
    }
}
