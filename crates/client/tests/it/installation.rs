//! How ERC-6900 v0.8 accounts have the session key module, read from accounts of the tests' own.

use super::wire::{Fault, Wire, error, provider};
use session_key_bindings::{
    ENTRY_POINT_V07, ExecutionManifest, IExecutionModule, IModule, ISessionKeyPlugin,
    ManifestExecutionFunction, ManifestHook, bytecode::SESSION_KEY_MODULE,
};
use session_key_client::{
    Node,
    alloy::{
        primitives::{Address, B256, Bytes, FixedBytes, Selector, U256, b256},
        sol_types::{SolCall, SolValue as _},
    },
    installation::{AccountCode, FindingKind as K, Installation},
    v08::DIRECT_CALL_ENTITY_ID,
};
use session_key_testkit::{
    Chain, Testkit, V08_ACCOUNT_CODE, V08_DELEGATE_CODE, V08_SIGNATURE_ACCOUNT_CODE, dev_accounts,
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
        let found: Vec<_> = installation
            .findings()
            .into_iter()
            .map(|finding| finding.kind)
            .collect();
        assert_eq!(found, expected);
        installation
    }
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
    stage.finds(&[K::ValidationMissing, K::DirectCallMissing]).await;
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
    let mut entity = [0; 24];
    for entity_id in [ENTITY, DIRECT_CALL_ENTITY_ID] {
        entity[..20].copy_from_slice(stage.module.as_slice());
        entity[20..].copy_from_slice(&entity_id.to_be_bytes());
        stage.own(&Account::uninstallValidationCall {
            entity: FixedBytes(entity),
            data: Bytes::new(),
            hookData: vec![],
        });
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

/// A node that does not answer logs of the whole chain: then the entity ids are looked at that are named.
#[tokio::test]
async fn without_logs_the_named_entity_is_read() {
    let stage = Stage::modular();
    stage.install();
    let wire = Wire::new(stage.testkit.transport());
    wire.fault(
        "eth_getLogs",
        Fault::Answer(Err(error(-32600, "limited to a 10 blocks range"))),
    );
    let node = Node::new(provider(wire));
    let kinds = async |entity_ids: &[u32]| {
        let read = Installation::read(&node, ACCOUNT, stage.module, entity_ids).await;
        let findings = read.unwrap().unwrap().findings();
        findings
            .into_iter()
            .map(|finding| finding.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[ENTITY]).await, [K::ValidationsUnknown]);
    assert_eq!(kinds(&[]).await, [K::ValidationMissing, K::ValidationsUnknown]);
}

/// Events say who was installed; on accounts that look at the entity id alone, another module may have taken the place.
#[tokio::test]
async fn the_module_of_an_entity_is_what_the_account_stores() {
    let stage = Stage::modular();
    stage.functions(stage.module, |_| {});
    let other = Address::repeat_byte(0x0d);
    stage.validation(other, ENTITY, 1, &[USE], &[]);
    stage.direct_call(0, &[EXECUTE, BATCH], &[]);
    let found = stage.read_with(&[ENTITY]).await;
    let kinds: Vec<_> = found.findings().into_iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [K::ValidationMissing, K::OtherValidationUsesKeys]);
    let validation = &found.validations[0];
    assert_eq!((validation.module, validation.is_module_certain), (other, true));

    // A word of another layout: nothing is certain.
    let slot = session_key_client::alloy::primitives::keccak256(
        (
            U256::from(ENTITY) << 8,
            b256!("596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd02"),
        )
            .abi_encode(),
    );
    let stage = Stage::modular();
    stage.install();
    // The flags stay, and the module goes.
    stage
        .chain()
        .set_storage(ACCOUNT, slot.into(), U256::from(1) << 160);
    stage.finds(&[K::ModuleUncertain]).await;
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
    let page = std::fs::read_to_string(page).unwrap();
    for kind in K::ALL {
        assert!(
            page.contains(&format!("\n| `{}` |", kind.code())),
            "{}",
            kind.code()
        );
    }
}
