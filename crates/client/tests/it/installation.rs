//! How ERC-6900 v0.8 accounts have the session key module, read from accounts of the tests' own.

use super::wire::{Fault, Wire, error, provider};
use serde_json::json;
use session_key_bindings::{
    ENTRY_POINT_V07, ExecutionManifest, IExecutionModule, IModule, ISessionKeyPlugin,
    ManifestExecutionFunction, ManifestHook, bytecode::SESSION_KEY_MODULE,
};
use session_key_client::{
    Node,
    alloy::{
        primitives::{Address, B256, Bytes, FixedBytes, Selector, U256, b256, keccak256},
        sol_types::{SolCall, SolValue as _},
    },
    installation::{AccountCode, FindingKind as K, Installation},
    v08::{DIRECT_CALL_ENTITY_ID, known},
};
use session_key_testkit::{
    Chain, LogLimits, NodeOptions, Testkit, V08_ACCOUNT_CODE, V08_DELEGATE_CODE, V08_SIGNATURE_ACCOUNT_CODE,
    dev_accounts,
};

session_key_client::alloy::sol! {
    interface Account {
        function installValidation(bytes25 config, bytes4[] selectors, bytes data, bytes[] hooks) external;
        function uninstallValidation(bytes24 entity, bytes data, bytes[] hookData) external;
        function execute(address target, uint256 value, bytes data) external payable returns (bytes);
    }

    interface Executions {
        struct Function { bytes4 selector; bool skipRuntimeValidation; bool allowGlobalValidation; }
        struct Hook { bytes4 selector; uint32 entityId; bool isPreHook; bool isPostHook; }
        struct Manifest { Function[] functions; Hook[] hooks; bytes4[] interfaceIds; }

        function installExecution(address module, Manifest manifest, bytes data) external;
        function uninstallExecution(address module, Manifest manifest, bytes data) external;
    }
}

const ACCOUNT: Address = Address::repeat_byte(0xac);
const ENTITY: u32 = 0x8000_0001;
const USE: Selector = Selector::new(ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR);
const ADD: Selector = Selector::new(ISessionKeyPlugin::addSessionKeyCall::SELECTOR);
const EXECUTE: Selector = Selector::new(Account::executeCall::SELECTOR);
const BATCH: Selector = Selector::new([0x34, 0xfc, 0xd5, 0xbe]);
const RUNTIME: Selector = Selector::new([0xf2, 0x68, 0x0c, 0x0f]);
const SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// The code of a minimal ERC-1967 proxy.
const PROXY: [u8; 61] = session_key_client::alloy::hex!(
    "363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
);

struct Stage {
    testkit: Testkit,
    module: Address,
}

impl Stage {
    /// A chain with the module, and an account of this kind without it.
    fn new(implementation: &Bytes) -> Self {
        let testkit = Testkit::default();
        let module = {
            let mut chain = testkit.chain();
            let deployer = dev_accounts()[0].address;
            let module = chain.deploy(deployer, SESSION_KEY_MODULE.bytes()).unwrap();
            let implementation = chain.deploy(deployer, implementation.clone()).unwrap();
            chain.set_code(ACCOUNT, PROXY).unwrap();
            chain.set_storage(ACCOUNT, SLOT.into(), implementation.into_word().into());
            module
        };
        Self { testkit, module }
    }

    fn modular() -> Self {
        Self::new(&V08_ACCOUNT_CODE.bytes())
    }

    fn chain(&self) -> impl std::ops::DerefMut<Target = Chain> + '_ {
        self.testkit.chain()
    }

    /// A call of the account on itself: what its owner's batch does.
    fn own<C: SolCall>(&self, call: &C) {
        self.chain().transact(ACCOUNT, ACCOUNT, call).unwrap();
    }

    fn validation(
        &self,
        module: Address,
        entity_id: u32,
        flags: u8,
        selectors: &[Selector],
        hooks: &[Bytes],
    ) {
        self.own(&Account::installValidationCall {
            config: config(module, entity_id, flags),
            selectors: selectors.to_vec(),
            data: Bytes::new(),
            hooks: hooks.to_vec(),
        });
    }

    fn functions(&self, module: Address, change: impl FnOnce(&mut Executions::Manifest)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        self.own(&Executions::installExecutionCall {
            module,
            manifest,
            data: Bytes::new(),
        });
    }

    fn manifest(&self) -> Executions::Manifest {
        let answer = self
            .chain()
            .read(ACCOUNT, self.module, &IExecutionModule::executionManifestCall {})
            .unwrap();
        Executions::Manifest {
            functions: answer
                .executionFunctions
                .iter()
                .map(|function: &ManifestExecutionFunction| Executions::Function {
                    selector: function.executionSelector,
                    skipRuntimeValidation: function.skipRuntimeValidation,
                    allowGlobalValidation: function.allowGlobalValidation,
                })
                .collect(),
            hooks: vec![],
            interfaceIds: vec![],
        }
    }

    /// As it should be.
    fn install(&self) {
        self.functions(self.module, |_| {});
        self.validation(self.module, ENTITY, 1, &[USE], &[]);
        self.direct_call(0, &[EXECUTE, BATCH], &[]);
    }

    fn direct_call(&self, flags: u8, selectors: &[Selector], hooks: &[Bytes]) {
        self.validation(self.module, DIRECT_CALL_ENTITY_ID, flags, selectors, hooks);
    }

    /// The account's own order to the module.
    fn to_module<C: SolCall>(&self, call: &C) {
        self.chain().transact(ACCOUNT, self.module, call).unwrap();
    }

    fn add_key(&self) {
        self.to_module(&ISessionKeyPlugin::addSessionKeyCall {
            sessionKey: Address::repeat_byte(0x5e),
            tag: B256::ZERO,
            permissionUpdates: vec![],
        });
    }

    async fn read(&self) -> Installation {
        self.read_with(&[]).await
    }

    async fn read_with(&self, entity_ids: &[u32]) -> Installation {
        let node = Node::new(self.testkit.provider());
        Installation::read(&node, ACCOUNT, self.module, entity_ids)
            .await
            .unwrap()
            .unwrap()
    }

    async fn finds(&self, expected: &[K]) -> Installation {
        let installation = self.read().await;
        assert_eq!(kinds(&installation), expected);
        installation
    }

    /// Reads through a wire.
    async fn read_over(&self, wire: &Wire, entity_ids: &[u32]) -> Installation {
        let node = Node::new(provider(wire.clone()));
        Installation::read(&node, ACCOUNT, self.module, entity_ids)
            .await
            .unwrap()
            .unwrap()
    }

    /// A node that answers no more logs than this.
    fn node(&self, logs: LogLimits) -> Node {
        let options = NodeOptions {
            logs,
            ..NodeOptions::default()
        };
        Node::new(self.testkit.node(options).provider())
    }

    fn uninstall(&self, module: Address, entity_id: u32) {
        let mut entity = [0; 24];
        entity[..20].copy_from_slice(module.as_slice());
        entity[20..].copy_from_slice(&entity_id.to_be_bytes());
        self.own(&Account::uninstallValidationCall {
            entity: FixedBytes(entity),
            data: Bytes::new(),
            hookData: vec![],
        });
    }

    /// Puts something else where Modular Account v2 keeps the module of an entity: the flags stay, and the
    /// module goes.
    fn hide_module(&self, entity_id: u32, flags: u8) {
        let base = b256!("596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd02");
        let slot = keccak256((U256::from(entity_id) << 8, base).abi_encode());
        self.chain()
            .set_storage(ACCOUNT, slot.into(), U256::from(flags) << 160);
    }
}

fn kinds(installation: &Installation) -> Vec<K> {
    let findings = installation.findings();
    findings.into_iter().map(|finding| finding.kind).collect()
}

fn config(module: Address, entity_id: u32, flags: u8) -> FixedBytes<25> {
    let mut bytes = [flags; 25];
    bytes[..20].copy_from_slice(module.as_slice());
    bytes[20..24].copy_from_slice(&entity_id.to_be_bytes());
    FixedBytes(bytes)
}

/// A hook of a module that is not told.
fn hook(flags: u8) -> Bytes {
    config(Address::repeat_byte(0x40), 9, flags).0.into()
}

#[tokio::test]
async fn a_good_installation_is_read_as_it_is() {
    let stage = Stage::modular();
    stage.finds(&[K::NotInstalled]).await;
    stage.install();
    stage.add_key();
    let found = stage.finds(&[]).await;
    assert!(found.is_good());
    assert_eq!(found.entity_id(), Some(ENTITY));
    assert_eq!(found.account_id, "session-keys.test-account.1.0.0");
    assert_eq!(found.entry_point, ENTRY_POINT_V07);
    assert_eq!(found.session_keys, Some(1));
    assert_eq!(found.validations.len(), 2);
    assert!(matches!(found.code, AccountCode::Proxy(_)));
}

#[tokio::test]
async fn accounts_that_select_by_module_and_those_that_delegate_are_read_as_well() {
    let stage = Stage::new(&V08_SIGNATURE_ACCOUNT_CODE.bytes());
    stage.install();
    let found = stage.finds(&[]).await;
    assert!(
        found
            .validations
            .iter()
            .all(|validation| validation.is_module_certain)
    );

    for is_earlier in [false, true] {
        let code = V08_DELEGATE_CODE.with_constructor_arguments(&is_earlier.abi_encode());
        let stage = Stage::new(&code);
        let word = stage.chain().storage(ACCOUNT, SLOT.into());
        let delegate = Address::from_word(word.into());
        let designator = [&[0xef, 0x01, 0x00], delegate.as_slice()].concat();
        stage.chain().set_code(ACCOUNT, designator).unwrap();
        stage.install();
        let found = stage.finds(&[]).await;
        assert_eq!(found.code, AccountCode::Delegation(delegate));
        assert_eq!(found.account_id, "session-keys.test-delegated-account.1.0.0");
    }
}

#[tokio::test]
async fn what_is_no_v08_account_is_none() {
    let stage = Stage::modular();
    let node = Node::new(stage.testkit.provider());
    for other in [Address::repeat_byte(0x99), stage.module, ENTRY_POINT_V07] {
        let read = Installation::read(&node, other, stage.module, &[]).await;
        assert_eq!(read, Ok(None));
    }
}

#[tokio::test]
async fn each_half_of_an_installation_is_named() {
    let stage = Stage::modular();
    stage.functions(stage.module, |_| {});
    // That there is no validation at all cannot be told from a node that leaves logs out.
    stage
        .finds(&[K::ValidationMissing, K::DirectCallMissing, K::ValidationsUnknown])
        .await;
    stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
    stage.finds(&[K::DirectCallMissing]).await;
    stage.direct_call(0, &[EXECUTE], &[]);
    stage.finds(&[K::DirectCallLacksFunction]).await;
    stage.add_key();
    stage.finds(&[K::DirectCallLacksFunction, K::KeysLeft]).await;

    let stage = Stage::modular();
    stage.functions(stage.module, |manifest| {
        manifest.functions.remove(2);
    });
    stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
    stage.direct_call(0, &[EXECUTE, BATCH], &[]);
    stage.finds(&[K::FunctionMissing]).await;
}

#[tokio::test]
async fn what_an_uninstallation_without_callbacks_leaves_is_named() {
    let stage = Stage::modular();
    stage.install();
    stage.add_key();
    for entity_id in [ENTITY, DIRECT_CALL_ENTITY_ID] {
        stage.uninstall(stage.module, entity_id);
    }
    let manifest = stage.manifest();
    stage.own(&Executions::uninstallExecutionCall {
        module: stage.module,
        manifest,
        data: Bytes::new(),
    });
    stage.finds(&[K::NotInstalled, K::KeysLeft]).await;
    // Told of it, the module forgets them.
    stage.to_module(&IModule::onUninstallCall { data: Bytes::new() });
    stage.finds(&[K::NotInstalled]).await;
}

#[tokio::test]
async fn functions_that_are_installed_otherwise_are_named() {
    type Change = fn(&mut Executions::Manifest);
    let changes: [(K, Change); 5] = [
        (K::FunctionWithoutValidation, |manifest| {
            manifest.functions[1].skipRuntimeValidation = true;
        }),
        (K::FunctionWithoutValidation, |manifest| {
            manifest.functions[0].skipRuntimeValidation = true;
        }),
        (K::UseIsGlobal, |manifest| {
            manifest.functions[0].allowGlobalValidation = true;
        }),
        (K::ManagementIsNotGlobal, |manifest| {
            manifest.functions[4].allowGlobalValidation = false;
        }),
        (K::FunctionHasHooks, |manifest| {
            manifest.hooks.push(Executions::Hook {
                selector: EXECUTE,
                entityId: 1,
                isPreHook: true,
                isPostHook: false,
            });
        }),
    ];
    for (expected, change) in changes {
        let stage = Stage::modular();
        stage.functions(stage.module, change);
        stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
        stage.direct_call(0, &[EXECUTE, BATCH], &[]);
        stage.finds(&[expected]).await;
    }

    let stage = Stage::modular();
    stage.functions(stage.module, |manifest| {
        manifest.functions.pop();
    });
    let other = Address::repeat_byte(0x0d);
    stage.functions(other, |manifest| {
        manifest.functions.drain(..4);
    });
    stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
    stage.direct_call(0, &[EXECUTE, BATCH], &[]);
    stage.finds(&[K::FunctionOfAnotherModule]).await;
}

/// What is found, and the flags, selectors and hooks that it is found with.
type Case = (&'static [K], u8, &'static [Selector], Vec<Bytes>);

#[tokio::test]
async fn validations_that_are_installed_otherwise_are_named() {
    let validations: [Case; 8] = [
        (&[K::ValidationIsGlobal], 5, &[USE], vec![]),
        (&[K::ValidationSigns], 3, &[USE], vec![]),
        (&[K::ValidationIsNotForOperations], 0, &[USE], vec![]),
        (&[K::ValidationHasUnknownFlags], 0x21, &[USE], vec![]),
        (&[K::ValidationLacksFunction], 1, &[], vec![]),
        (&[K::ValidationHasOtherFunctions], 1, &[USE, ADD], vec![]),
        (&[K::ValidationHasHooks], 1, &[USE], vec![hook(1)]),
        (&[K::ValidationHasExecutionHooks], 1, &[USE], vec![hook(4)]),
    ];
    for (expected, flags, selectors, hooks) in validations {
        let stage = Stage::modular();
        stage.functions(stage.module, |_| {});
        stage.validation(stage.module, ENTITY, flags, selectors, &hooks);
        stage.direct_call(0, &[EXECUTE, BATCH], &[]);
        stage.finds(expected).await;
    }
    let direct_calls: [Case; 4] = [
        (&[K::DirectCallHasFlags], 1, &[EXECUTE, BATCH], vec![]),
        (&[K::DirectCallLacksFunction], 0, &[EXECUTE], vec![]),
        (
            &[K::DirectCallHasOtherFunctions],
            0,
            &[EXECUTE, BATCH, ADD],
            vec![],
        ),
        (&[K::DirectCallHasHooks], 0, &[EXECUTE, BATCH], vec![hook(4)]),
    ];
    for (expected, flags, selectors, hooks) in direct_calls {
        let stage = Stage::modular();
        stage.functions(stage.module, |_| {});
        stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
        stage.direct_call(flags, selectors, &hooks);
        stage.finds(expected).await;
    }
}

#[tokio::test]
async fn validations_of_others_that_reach_keys_are_named() {
    let other = Address::repeat_byte(0x0d);
    for (expected, flags, selectors) in [
        (&[K::OtherValidationUsesKeys][..], 1, &[EXECUTE, USE][..]),
        (&[K::OtherValidationManagesKeys], 1, &[ADD]),
        (&[], 1, &[EXECUTE, BATCH]),
        (&[], 7, &[]),
    ] {
        let stage = Stage::modular();
        stage.install();
        stage.validation(other, 3, flags, selectors, &[]);
        stage.finds(expected).await;
    }

    // An older version, whose validation was left.
    let stage = Stage::modular();
    let old = {
        let mut chain = stage.chain();
        let code = chain.code(stage.module);
        chain.set_code(other, code).unwrap();
        other
    };
    stage.install();
    stage.validation(old, 3, 1, &[USE], &[]);
    stage.finds(&[K::ValidationOfAnotherVersion]).await;
}

#[tokio::test]
async fn several_validations_are_a_notice() {
    let stage = Stage::modular();
    stage.install();
    stage.validation(stage.module, 5, 1, &[USE], &[]);
    let found = stage.finds(&[K::SeveralValidations]).await;
    assert!(found.is_good());
    assert_eq!(found.entity_id(), Some(5));
}

/// Then the entity ids are looked at that are named, and nobody calls the installation good.
#[tokio::test]
async fn without_logs_the_named_entity_is_read() {
    let stage = Stage::modular();
    stage.install();
    for answer in [
        // Refused, however few blocks are asked for.
        Err(error(-32600, "limited to a 10 blocks range")),
        Err(error(-32601, "the method eth_getLogs does not exist")),
        // Pruned without a word: but the account has what no event explains.
        Ok(json!([])),
        Ok(json!(null)),
    ] {
        let wire = Wire::new(stage.testkit.transport());
        wire.fault("eth_getLogs", Fault::Answer(answer));
        let found = stage.read_over(&wire, &[ENTITY]).await;
        assert_eq!(kinds(&found), [K::ValidationsUnknown]);
        assert!(!found.has_all_validations && !found.is_good());
        assert_eq!(found.entity_id(), Some(ENTITY));
        let found = stage.read_over(&wire, &[]).await;
        assert_eq!(kinds(&found), [K::ValidationMissing, K::ValidationsUnknown]);
    }
}

#[tokio::test]
async fn a_node_that_limits_logs_is_asked_for_fewer() {
    let stage = Stage::modular();
    stage.validation(Address::repeat_byte(0x0d), 3, 1, &[USE], &[]);
    for _ in 0..60 {
        stage.chain().mine();
    }
    stage.install();
    let blocks = |limit| LogLimits {
        blocks: Some(limit),
        ..LogLimits::default()
    };
    let results = LogLimits {
        results: Some(1),
        ..LogLimits::default()
    };
    for limits in [blocks(10), blocks(7), results] {
        let node = stage.node(limits);
        let found = Installation::read(&node, ACCOUNT, stage.module, &[]).await;
        let found = found.unwrap().unwrap();
        assert!(found.has_all_validations, "{:?}", found.missing_blocks);
        assert_eq!(kinds(&found), [K::OtherValidationUsesKeys]);
    }

    // A node that has lost the older ones says which.
    let wire = Wire::new(stage.testkit.transport());
    wire.rule(|asked| {
        let from = asked.params[0]["fromBlock"].as_str()?;
        let from = u64::from_str_radix(from.trim_start_matches("0x"), 16).ok()?;
        if from < 30 {
            Some(Fault::refuse(4444, "pruned history unavailable"))
        } else {
            None
        }
    });
    let mut node = Node::new(provider(wire.clone()));
    let read = Installation::read(&node, ACCOUNT, stage.module, &[]).await;
    let found = read.unwrap().unwrap();
    assert_eq!(
        found.missing_blocks[0].reason,
        "error 4444: pruned history unavailable"
    );
    assert!(kinds(&found).contains(&K::ValidationsUnknown));

    // One that answers no more than a block at once would need too many requests.
    for _ in 0..1_000 {
        stage.chain().mine();
    }
    node = stage.node(blocks(1));
    let found = Installation::read(&node, ACCOUNT, stage.module, &[]).await;
    let found = found.unwrap().unwrap();
    assert!(!found.has_all_validations);
    let about = found.findings().pop().unwrap().about;
    assert!(about.contains("too many requests would be needed"), "{about}");
}

#[tokio::test]
async fn more_validations_than_are_looked_at_are_named() {
    let stage = Stage::modular();
    stage.install();
    for entity_id in 1..=255 {
        stage.validation(Address::repeat_byte(0x0d), entity_id, 1, &[BATCH], &[]);
    }
    // With the module's two, and the default entity id that is looked at in any case.
    let found = stage.finds(&[K::TooManyValidations]).await;
    assert_eq!((found.entries_left_out, found.is_good()), (2, false));
    assert!(!found.has_all_validations);
}

/// What changes while an account is read is not seen in part.
#[tokio::test]
async fn everything_is_read_in_one_block() {
    let stage = Stage::modular();
    stage.install();
    let head = Node::new(stage.testkit.provider()).head().await.unwrap();
    let wire = Wire::new(stage.testkit.transport());
    let testkit = stage.testkit.clone();
    let module = stage.module;
    let mut is_over = false;
    wire.rule(move |asked| {
        if asked.method == "eth_getCode" && !std::mem::replace(&mut is_over, true) {
            let validation = Account::installValidationCall {
                config: config(module, 99, 7),
                selectors: vec![USE],
                data: Bytes::new(),
                hooks: vec![],
            };
            let sent = testkit.chain().transact(ACCOUNT, ACCOUNT, &validation);
            sent.unwrap();
        }
        None
    });
    let found = stage.read_over(&wire, &[99]).await;
    assert_eq!(kinds(&found), []);
    assert_eq!(found.block, head);
    let at = json!({ "blockHash": head.hash });
    for asked in wire.asked() {
        match &asked.method[..] {
            "eth_call" | "eth_getCode" | "eth_getStorageAt" => {
                assert_eq!(asked.params.as_array().unwrap().last(), Some(&at), "{asked:?}");
            }
            "eth_getLogs" => {
                assert_eq!(asked.params[0]["toBlock"], format!("{:#x}", head.number));
            }
            _ => {}
        }
    }

    // And in the block that the caller names.
    let now = stage.read().await;
    assert!(now.block.number > head.number && !now.is_good());
    let node = Node::new(stage.testkit.provider());
    let then = Installation::read_at(&node, ACCOUNT, module, &[], &head).await;
    assert_eq!(then.unwrap().unwrap().findings(), []);
}

/// Logs are asked for by number, and the rest by hash.
#[tokio::test]
async fn a_reorganization_meanwhile_leaves_the_validations_unknown() {
    let stage = Stage::modular();
    stage.install();
    let wire = Wire::new(stage.testkit.transport());
    wire.rule(|asked| {
        let is_number = asked.params[0].as_str().is_some_and(|tag| tag.starts_with("0x"));
        (asked.method == "eth_getBlockByNumber" && is_number)
            .then(|| Fault::change(|header| header["hash"] = json!(B256::repeat_byte(1))))
    });
    let found = stage.read_over(&wire, &[]).await;
    assert_eq!(kinds(&found), [K::ValidationsUnknown]);
    assert!(found.missing_blocks[0].reason.contains("reorganized"));
}

/// Events say who was installed; on accounts that look at the entity id alone, another module may
/// have taken the place.
#[tokio::test]
async fn the_module_of_an_entity_is_what_the_account_stores() {
    let stage = Stage::modular();
    stage.functions(stage.module, |_| {});
    let other = Address::repeat_byte(0x0d);
    stage.validation(other, ENTITY, 1, &[USE], &[]);
    stage.direct_call(0, &[EXECUTE, BATCH], &[]);
    let found = stage.read_with(&[ENTITY]).await;
    assert_eq!(kinds(&found), [K::ValidationMissing, K::OtherValidationUsesKeys]);
    let validation = &found.validations[0];
    assert_eq!((validation.module, validation.is_module_certain), (other, true));

    // A word of another layout: nothing is certain. The latest event names the module.
    let stage = Stage::modular();
    stage.validation(other, ENTITY, 1, &[USE], &[]);
    stage.uninstall(other, ENTITY);
    stage.install();
    stage.hide_module(ENTITY, 1);
    let found = stage.finds(&[K::ModuleUncertain]).await;
    assert_eq!(found.validations.len(), 2);
    assert_eq!(found.entity_id(), Some(ENTITY));

    // Without events, that the caller named it does not make it the module's.
    let wire = Wire::new(stage.testkit.transport());
    wire.fault("eth_getLogs", Fault::Answer(Ok(json!([]))));
    let found = stage.read_over(&wire, &[ENTITY]).await;
    assert_eq!(
        kinds(&found),
        [K::ValidationMissing, K::ModuleUncertain, K::ValidationsUnknown]
    );
    assert_eq!(found.entity_id(), None);
}

/// The owner's own validation may do what others must not.
#[tokio::test]
async fn owners_are_not_named() {
    for delegate in [
        known::SEMI_MODULAR_ACCOUNT_7702,
        known::SEMI_MODULAR_ACCOUNT_7702_V1_1,
    ] {
        let code = V08_DELEGATE_CODE.with_constructor_arguments(&true.abi_encode());
        let stage = Stage::new(&code);
        let word = stage.chain().storage(ACCOUNT, SLOT.into());
        let code = stage.chain().code(Address::from_word(word.into()));
        stage.chain().set_code(delegate, code).unwrap();
        let designator = [&[0xef, 0x01, 0x00], delegate.as_slice()].concat();
        stage.chain().set_code(ACCOUNT, designator).unwrap();
        stage.install();
        let other = Address::repeat_byte(0x0d);
        stage.validation(other, 1, 7, &[RUNTIME, ADD], &[]);
        // The owner that is built in has no module, and its flags mean nothing.
        stage.validation(Address::ZERO, 0, 3, &[RUNTIME, ADD], &[]);
        let found = stage.finds(&[]).await;
        assert!(
            found
                .validations
                .iter()
                .all(|validation| validation.is_module_certain)
        );

        stage.validation(other, 2, 3, &[RUNTIME], &[]);
        let expected: &[K] = if delegate == known::SEMI_MODULAR_ACCOUNT_7702 {
            &[K::SignerIsOwner, K::RuntimeCallerIsOwner]
        } else {
            &[K::RuntimeCallerIsOwner]
        };
        stage.finds(expected).await;
    }
}

/// Keys are left where they do not work, and not wherever something is missing.
#[tokio::test]
async fn keys_are_left_only_where_they_do_not_work() {
    let stage = Stage::modular();
    stage.functions(stage.module, |manifest| {
        manifest.functions[4].allowGlobalValidation = false;
        manifest.functions.remove(3);
    });
    stage.validation(stage.module, ENTITY, 1, &[USE], &[]);
    stage.direct_call(0, &[EXECUTE, BATCH], &[]);
    stage.add_key();
    stage.finds(&[K::FunctionMissing, K::ManagementIsNotGlobal]).await;

    let stage = Stage::modular();
    stage.install();
    stage.add_key();
    let wire = Wire::new(stage.testkit.transport());
    let question = ISessionKeyPlugin::sessionKeysOfCall { account: ACCOUNT }.abi_encode();
    let question = Bytes::from(question).to_string();
    wire.rule(move |asked| {
        (asked.method == "eth_call" && asked.params[0]["input"] == question)
            .then(|| Fault::Answer(Ok(json!("0x"))))
    });
    let found = stage.read_over(&wire, &[]).await;
    assert_eq!(kinds(&found), [K::KeysUnknown]);
    assert!(!found.is_good());

    // Where there is no module, it keeps no keys.
    let node = Node::new(stage.testkit.provider());
    let nowhere = Address::repeat_byte(0x99);
    let found = Installation::read(&node, ACCOUNT, nowhere, &[]).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.session_keys, Some(0));
    assert!(!kinds(&found).contains(&K::KeysUnknown));
}

/// Functions that are named by the account's events alone.
#[tokio::test]
async fn functions_of_other_modules_without_validation_are_named() {
    let other = Address::repeat_byte(0x0d);
    for is_open in [true, false] {
        let stage = Stage::modular();
        stage.install();
        stage.functions(other, |manifest| {
            manifest.functions.truncate(1);
            manifest.functions[0].selector = FixedBytes([0x77; 4]);
            manifest.functions[0].skipRuntimeValidation = is_open;
        });
        if is_open {
            let found = stage.finds(&[K::OtherFunctionWithoutValidation]).await;
            let about = &found.findings()[0].about;
            assert_eq!(*about, format!("0x77777777: {other}"));
        } else {
            stage.finds(&[]).await;
        }
    }
}

/// A contract that answers the same to everything: a text, which is also an address, and no
/// data of executions.
#[tokio::test]
async fn an_account_of_another_standard_is_none() {
    let stage = Stage::modular();
    let answer = "vendor.account.1.0.0".abi_encode();
    let length = u8::try_from(answer.len()).unwrap();
    // Copies what follows, and returns it.
    let code = [0x60, length, 0x60, 0x0a, 0x5f, 0x39, 0x60, length, 0x5f, 0xf3];
    let other = Address::repeat_byte(0x75);
    stage
        .chain()
        .set_code(other, [&code[..], &answer].concat())
        .unwrap();
    let node = Node::new(stage.testkit.provider());
    let read = Installation::read(&node, other, stage.module, &[]).await;
    assert_eq!(read, Ok(None));
}

#[tokio::test]
async fn an_account_of_another_entry_point_is_named() {
    let stage = Stage::modular();
    stage.install();
    let word = stage.chain().storage(ACCOUNT, SLOT.into());
    let implementation = Address::from_word(word.into());
    let code = stage.chain().code(implementation);
    let (from, to) = (ENTRY_POINT_V07, session_key_bindings::ENTRY_POINT);
    // A constant, pushed without its leading zero bytes.
    let needle = &from.as_slice()[4..];
    let mut code = code.to_vec();
    let mut place = 0;
    while let Some(at) = code[place..].windows(16).position(|window| window == needle) {
        code[place + at..place + at + 16].copy_from_slice(&to.as_slice()[4..]);
        place += at + 16;
    }
    assert!(place > 0);
    stage.chain().set_code(implementation, code).unwrap();
    let kinds: Vec<_> = stage
        .read()
        .await
        .findings()
        .into_iter()
        .map(|it| it.kind)
        .collect();
    assert_eq!(kinds, [K::OtherEntryPoint]);
}

/// The struct of the bindings and the ABI that installs it are the same.
#[test]
fn the_manifest_is_encoded_as_the_modules() {
    let manifest = Executions::Manifest {
        functions: vec![],
        hooks: vec![],
        interfaceIds: vec![],
    };
    let same = ExecutionManifest {
        executionFunctions: vec![],
        executionHooks: Vec::<ManifestHook>::new(),
        interfaceIds: vec![],
    };
    assert_eq!(manifest.abi_encode(), same.abi_encode());
}

#[test]
fn every_code_is_documented() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/deployment.md");
    let page = std::fs::read_to_string(page).unwrap().replace('`', "");
    for kind in K::ALL {
        let severity = format!("{:?}", kind.severity()).to_lowercase();
        let (code, text, advice) = (kind.code(), kind.text(), kind.advice());
        let row = format!("\n| {code} | {severity} | {text} | {advice} |\n");
        assert!(page.contains(&row), "{row}");
    }
}

/// With other data than none, an uninstallation ends all keys.
#[test]
fn advice_to_uninstall_names_the_data() {
    for kind in K::ALL {
        let advice = kind.advice();
        let is_about_functions = advice.contains("by the manifest");
        let names_data = advice.contains("data 0x01 ends all keys, empty data leaves them stored");
        assert_eq!(is_about_functions, names_data, "{advice}");
    }
}
