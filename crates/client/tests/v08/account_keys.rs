//! Keys that were created by the account's own client: read completely, judged as the chain judges,
//! explained. On stand-ins for the permission modules of Modular Account v2, written from their documented
//! rules; and on the deployed code, where a folder has it.

use crate::wire::{Fault, Wire, provider};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};
use session_key_bindings::{
    ExecutionManifest, IAccountFactoryV08, IAccountV08, IEntryPointV07, ManifestHook, PackedUserOperation,
};
use session_key_client::{
    Call, Deployment, Node, Revert, SmartAccount, UserOperation,
    account::ConnectOptions,
    account_keys::{AccountKeys, KnownCode, MissingSetting, ReadOptions, explain_key_failure},
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256, address, hex, keccak256},
        rpc::types::TransactionRequest,
        signers::{SignerSync as _, local::PrivateKeySigner},
        sol_types::{SolCall as _, SolEvent as _, SolValue as _},
    },
    explain::{ExplainOptions, explain_hash},
    permissions::{
        EntryPointVersion, PaymasterFields, ValidationNonceKey,
        account_modules::{
            AccountForm, AccountKey, AccountModule, AllowlistTarget, EXECUTE, EXECUTE_BATCH, EXECUTE_USER_OP,
            Hook, KeyLintCode, KeyVerdict, LeftOf, PERFORM_CREATE, Refusal, Refuser, Settings, Unpredictable,
        },
        erc20,
        model::Phase,
    },
    revert::AccountV08Error,
    v08::{
        AccountFactory, FactoryAccount, HookConfig, ModuleEntity, ValidationConfig, ValidationFlags,
        calldata::{self, NewHook},
        known,
    },
};
use session_key_testkit::{
    Chain, ChainConfig, ErrorAnswer, Execution, PermissionModules, SourceAccount, Stack, StackV08, StateDump,
    Testkit, dev_accounts,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

const ENTITY: u32 = 5;
/// Of the second set of hooks, as the account's client numbers them.
const SECOND: u32 = ENTITY + 0x7fff_ffff;
const SHOP: Address = Address::repeat_byte(0x5a);
const TOKEN: Address = Address::repeat_byte(0x70);
const ELSEWHERE: Address = Address::repeat_byte(0xe1);
const OTHER_PAYMASTER: Address = Address::repeat_byte(0x9b);
const BUY: Selector = Selector::new(hex!("d96a094a"));
const TRANSFER: Selector = Selector::new(hex!("a9059cbb"));
const APPROVE: Selector = Selector::new(hex!("095ea7b3"));
const GWEI: u64 = 1_000_000_000;
/// What an operation may cost at one gwei: three million gas units.
const COST: u64 = 3_000_000 * GWEI;

/// Where the modules are on every chain that has them.
const DEPLOYED: PermissionModules = PermissionModules {
    allowlist: address!("0x00000000003e826473A313E600b5b9B791f5a59a"),
    earlier_allowlist: address!("0x0000000000002311EEE9A2B887af1F144dbb4F6e"),
    native_token_limit: address!("0x00000000000001e541f0D090868FBe24b59Fbe06"),
    time_range: address!("0x00000000000082B8e2012be914dFA4f62A0573eA"),
    paymaster_guard: address!("0x0000000000001aA7A7F7E29abe0be06c72FD42A1"),
};

/// A chain with the modules, and an account whose hooks they are.
#[derive(Clone)]
struct Place {
    testkit: Testkit,
    stack: StackV08,
    account: Address,
    validator: Address,
    modules: PermissionModules,
    known: KnownCode,
}

impl Place {
    /// With stand-ins, on an account of this form.
    fn stand_ins(form: AccountForm) -> Self {
        let mut chain = Chain::default();
        let stack = StackV08::deploy(&mut chain).unwrap();
        let modules = PermissionModules::deploy(&mut chain).unwrap();
        let owner = dev_accounts()[1];
        let account = match form {
            AccountForm::Modular => stack.create_account(&mut chain, owner.address, U256::ZERO, 0),
            AccountForm::SemiModular => {
                stack.create_semi_modular_account(&mut chain, owner.address, U256::ZERO)
            }
            _ => stack.delegate_account(&mut chain, &owner).map(|()| owner.address),
        };
        let implementation = match form {
            AccountForm::Modular => stack.account_implementation,
            AccountForm::SemiModular => stack.semi_modular_implementation,
            _ => stack.delegate,
        };
        let hash = |address: Address| keccak256(chain.code(address));
        let known = KnownCode::new()
            .account(hash(implementation), form)
            .module(
                hash(stack.single_signer_module),
                AccountModule::SingleSignerValidation,
            )
            .module(hash(modules.allowlist), AccountModule::Allowlist)
            .module(hash(modules.earlier_allowlist), AccountModule::EarlierAllowlist)
            .module(hash(modules.native_token_limit), AccountModule::NativeTokenLimit)
            .module(hash(modules.time_range), AccountModule::TimeRange)
            .module(hash(modules.paymaster_guard), AccountModule::PaymasterGuard);
        Self::with(
            chain,
            stack,
            account.unwrap(),
            stack.single_signer_module,
            modules,
            known,
        )
    }

    /// With the deployed code: that of a state dump, `state.json` in a folder, with contracts at their known
    /// addresses.
    fn reference(folder: &Path) -> Self {
        let file = folder.join("state.json");
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let dump = StateDump::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut chain = Chain::fork(ChainConfig::default(), Arc::new(dump));
        let modules = DEPLOYED;
        for module in modules.all().into_iter().chain([
            known::SINGLE_SIGNER_VALIDATION_MODULE,
            known::FACTORY,
            known::SEMI_MODULAR_ACCOUNT,
        ]) {
            assert!(
                !chain.code(module).is_empty(),
                "{}: no code at {module}",
                file.display()
            );
        }
        let stack = StackV08::deploy(&mut chain).unwrap();
        let owner = dev_accounts()[1].address;
        let create = IAccountFactoryV08::createSemiModularAccountCall {
            owner,
            salt: U256::ZERO,
        };
        let account = chain.transact(owner, known::FACTORY, &create).unwrap();
        let validator = known::SINGLE_SIGNER_VALIDATION_MODULE;
        Self::with(chain, stack, account, validator, modules, KnownCode::new())
    }

    fn with(
        mut chain: Chain,
        stack: StackV08,
        account: Address,
        validator: Address,
        modules: PermissionModules,
        known: KnownCode,
    ) -> Self {
        let ether = U256::from(10).pow(U256::from(18));
        chain.set_balance(account, U256::from(1_000) * ether);
        // These take every call.
        for target in [SHOP, TOKEN, ELSEWHERE] {
            chain.set_code(target, vec![0]).unwrap();
        }
        let code = chain.code(stack.paymaster);
        chain.set_code(OTHER_PAYMASTER, code).unwrap();
        for paymaster in [stack.paymaster, OTHER_PAYMASTER] {
            let deposit = IEntryPointV07::depositToCall { account: paymaster };
            let sender = dev_accounts()[4].address;
            let request = TransactionRequest::default()
                .from(sender)
                .to(stack.entry_point)
                .value(U256::from(100) * ether)
                .input(deposit.abi_encode().into());
            chain.send(request).unwrap().ok().unwrap();
        }
        Self {
            testkit: Testkit::from(chain),
            stack,
            account,
            validator,
            modules,
            known,
        }
    }

    /// The same, for itself.
    fn copy(&self) -> Self {
        let chain = self.testkit.chain().clone();
        Self {
            testkit: Testkit::from(chain),
            ..self.clone()
        }
    }

    fn node(&self) -> Node {
        Node::new(self.testkit.provider())
    }

    fn options(&self) -> ReadOptions {
        ReadOptions::new()
            .known(self.known.clone())
            .session_key_module(self.stack.session_key_module)
    }

    async fn read(&self, options: &ReadOptions) -> AccountKeys {
        AccountKeys::read(&self.node(), self.account, options)
            .await
            .unwrap()
            .unwrap()
    }

    async fn key(&self) -> AccountKey {
        let found = self.read(&self.options()).await;
        let read = found.of_entity(ENTITY).expect("the key");
        assert!(read.is_complete(), "{read:?}");
        read.key.clone()
    }

    /// A call of the account to a contract; to itself, one of its functions.
    fn own(&self, to: Address, data: Bytes) {
        let request = TransactionRequest::default()
            .from(self.account)
            .to(to)
            .input(data.into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
    }

    fn install(&self, flags: u8, selectors: &[Selector], hooks: &[(Address, u32, u8, Bytes)]) {
        self.install_as(ENTITY, flags, selectors, hooks);
    }

    fn install_as(
        &self,
        entity_id: u32,
        flags: u8,
        selectors: &[Selector],
        hooks: &[(Address, u32, u8, Bytes)],
    ) {
        let config = ValidationConfig {
            validation: ModuleEntity::new(self.validator, entity_id),
            flags: ValidationFlags(flags),
        };
        let hooks: Vec<NewHook> = hooks
            .iter()
            .map(|(module, entity_id, flags, data)| NewHook {
                config: HookConfig {
                    hook: ModuleEntity::new(*module, *entity_id),
                    flags: *flags,
                },
                install_data: data.clone(),
            })
            .collect();
        let data = (entity_id, signer().address()).abi_encode_params();
        self.own(
            self.account,
            calldata::install_validation(config, selectors, data.into(), &hooks),
        );
    }

    /// A signed operation, for its place in its lane.
    fn signed(&self, operation: UserOperation, signer: &PrivateKeySigner) -> (UserOperation, B256) {
        self.signed_as(operation, signer, false)
    }

    /// A signed operation of the validation, as a global one or for the functions on its list.
    fn signed_as(
        &self,
        mut operation: UserOperation,
        signer: &PrivateKeySigner,
        is_global: bool,
    ) -> (UserOperation, B256) {
        let key = ValidationNonceKey {
            entity_id: ENTITY,
            is_global,
            ..ValidationNonceKey::default()
        }
        .nonce_key();
        let question = IEntryPointV07::getNonceCall {
            sender: self.account,
            key,
        };
        let chain = self.testkit.chain();
        let next = chain
            .read(self.account, self.stack.entry_point, &question)
            .unwrap();
        operation.nonce = next;
        let hash = operation.hash(self.stack.entry_point, chain.chain_id());
        let signature = signer.sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = [&[0xff, 0][..], &signature.as_bytes()].concat().into();
        (operation, hash)
    }

    fn operation(&self, call_data: Bytes) -> UserOperation {
        UserOperation {
            version: EntryPointVersion::V07,
            sender: self.account,
            call_data,
            call_gas_limit: U256::from(2_000_000),
            verification_gas_limit: U256::from(1_000_000),
            max_fee_per_gas: U256::from(GWEI),
            max_priority_fee_per_gas: U256::from(GWEI),
            ..UserOperation::default()
        }
    }

    /// Sends an operation as a bundle, in a block of this time.
    fn send(&self, operation: &UserOperation, time: u64) -> Execution {
        let packed = PackedUserOperation::try_from(operation.clone()).unwrap();
        let bundle = IEntryPointV07::handleOpsCall {
            ops: vec![packed],
            beneficiary: dev_accounts()[3].address,
        };
        let mut chain = self.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        let request = TransactionRequest::default()
            .from(dev_accounts()[3].address)
            .to(self.stack.entry_point)
            .gas_limit(12_000_000)
            .input(bundle.abi_encode().into());
        chain.send(request).unwrap()
    }

    fn next_time(&self) -> u64 {
        self.testkit.chain().next_timestamp()
    }
}

fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x51)).unwrap()
}

type Input = (Address, bool, bool, U256, Vec<Selector>);

/// Data for the installation of an allowlist.
fn listed(entity_id: u32, inputs: Vec<Input>) -> Bytes {
    (entity_id, inputs).abi_encode_params().into()
}

fn number(entity_id: u32, number: U256) -> Bytes {
    (entity_id, number).abi_encode_params().into()
}

/// What the chain says of an operation that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Succeeded,
    /// Included; its call reverted.
    Failed(Bytes),
    /// The EntryPoint's code, and what the account reverted with.
    NotIncluded(String, Option<Bytes>),
}

fn said(place: &Place, execution: &Execution) -> Said {
    if !execution.is_success() {
        let Revert::FailedOp(failed) = Revert::decode(&execution.output) else {
            panic!("{:?}", execution.output)
        };
        let code = failed.reason.get(..4).unwrap_or_default().to_owned();
        return Said::NotIncluded(code, failed.inner.map(|inner| inner.to_bytes()));
    }
    let mut reason = Bytes::new();
    for log in execution
        .logs
        .iter()
        .filter(|log| log.address == place.stack.entry_point)
    {
        if let Ok(event) = IEntryPointV07::UserOperationRevertReason::decode_log(log) {
            reason = event.revertReason.clone();
        }
        if let Ok(event) = IEntryPointV07::UserOperationEvent::decode_log(log) {
            return if event.success {
                Said::Succeeded
            } else {
                Said::Failed(reason)
            };
        }
    }
    panic!("{execution:?}")
}

/// The chain must have done what the verdict says.
fn agrees(verdict: &KeyVerdict, said: &Said) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: the model says {verdict}, the chain {said:?}"));
    let Some(decisive) = verdict.decisive() else {
        return if verdict.is_accepted() && *said == Said::Succeeded {
            Ok(())
        } else {
            wrong("not what was predicted")
        };
    };
    let data = match (decisive.phase, said) {
        (Phase::Validation, Said::NotIncluded(code, inner)) => {
            if verdict
                .entry_point_code()
                .map(|code| code.as_str().to_owned())
                .as_ref()
                != Some(code)
            {
                return wrong("another code");
            }
            inner.clone().unwrap_or_default()
        }
        (Phase::Execution, Said::Failed(reason)) => reason.clone(),
        _ => return wrong("another phase"),
    };
    let Refuser::Hook(hook) = decisive.refuser else {
        return Ok(());
    };
    let Some(error) = decisive.rule.module_error() else {
        return Ok(());
    };
    let (entity, reason) = match Revert::decode(&data) {
        Revert::AccountV08(
            AccountV08Error::PreUserOpValidationHookReverted { hook, reason }
            | AccountV08Error::PreExecHookReverted { hook, reason }
            | AccountV08Error::PostExecHookReverted { hook, reason },
        ) => (hook, reason.to_bytes()),
        _ => return wrong("no hook"),
    };
    if entity != ModuleEntity::new(hook.module.address, hook.entity_id) {
        return wrong("another hook");
    }
    if !reason.starts_with(error) || error.is_empty() && !reason.is_empty() {
        return wrong("another error");
    }
    Ok(())
}

/// A key with its hooks, as generated.
#[derive(Clone, Debug)]
struct Plan {
    flags: u8,
    selectors: Vec<Selector>,
    allowlist: Option<(bool, Vec<Input>)>,
    token_limit: Option<u64>,
    native_limit: Option<(u64, bool)>,
    gas_limit: Option<(u64, bool)>,
    time_range: Option<(u64, u64)>,
    guard: bool,
    operations: Vec<PlannedOperation>,
    /// Hooks are installed in the order of these.
    order: Vec<u8>,
    /// Whether hooks of one module have the same entity id, and so the same settings.
    shares: bool,
}

#[derive(Clone, Debug)]
struct PlannedOperation {
    calls: Vec<PlannedCall>,
    creates: Option<u64>,
    wraps: Option<bool>,
    paymaster: u8,
    gwei: u64,
    is_signed_by_other: bool,
    seconds: u64,
    /// Whether the nonce selects the validation as a global one.
    is_global: bool,
    /// The validation hook that the signature has data for.
    segment: Option<u8>,
}

/// Target, call data, value, and the amount in the call data.
type PlannedCall = (u8, u8, u64, u64);

fn planned_call() -> impl Strategy<Value = PlannedCall> {
    // Mostly payments with a token, without value: a refusal by one rule hides what others would book.
    let data = prop_oneof![4 => Just(0u8), 4 => Just(3u8), 3 => 4..15u8];
    let value = prop_oneof![3 => Just(0u64), 1 => 0..30u64];
    (
        prop_oneof![4 => Just(0u8), 2 => 3..7u8, 1 => Just(7u8)],
        data,
        value,
        0..60u64,
    )
}

fn planned_operation() -> impl Strategy<Value = PlannedOperation> {
    (
        prop::collection::vec(planned_call(), 0..4),
        prop::option::weighted(0.1, 0..30u64),
        prop::option::weighted(0.1, any::<bool>()),
        prop_oneof![12 => Just(0u8), 3 => Just(1), 3 => Just(2), 1 => Just(3)],
        1..3u64,
        prop::bool::weighted(0.03),
        1..30u64,
        prop::bool::weighted(0.5),
        prop::option::weighted(0.05, 0..4u8),
    )
        .prop_map(
            |(calls, creates, wraps, paymaster, gwei, is_signed_by_other, seconds, is_global, segment)| {
                PlannedOperation {
                    calls,
                    creates,
                    wraps,
                    paymaster,
                    gwei,
                    is_signed_by_other,
                    seconds,
                    is_global,
                    segment,
                }
            },
        )
}

fn plan() -> impl Strategy<Value = Plan> {
    let functions = || {
        let all = vec![BUY, TRANSFER, APPROVE];
        prop_oneof![2 => Just(all.clone()), 1 => prop::sample::subsequence(all, 0..=3)]
    };
    let targets =
        prop::sample::subsequence(vec![SHOP, TOKEN, ELSEWHERE], 1..=3).prop_flat_map(move |targets| {
            let inputs: Vec<_> = targets
                .into_iter()
                .map(|target| {
                    (any::<bool>(), functions()).prop_map(move |(has_list, functions)| {
                        (target, has_list, false, U256::ZERO, functions)
                    })
                })
                .collect();
            let any_target = prop::sample::subsequence(vec![Selector::ZERO, BUY, TRANSFER], 0..=3)
                .prop_map(|functions| (Address::ZERO, false, false, U256::ZERO, functions));
            (inputs, prop::option::weighted(0.3, any_target)).prop_map(|(mut inputs, any_target)| {
                inputs.extend(any_target);
                inputs
            })
        });
    let rest = (
        prop::option::weighted(0.25, (0..400u64, 1..400u64)),
        prop::bool::weighted(0.1),
        prop::collection::vec(planned_operation(), 2..6),
        prop::collection::vec(any::<u8>(), 6),
        prop::bool::weighted(0.2),
    );
    (
        prop_oneof![15 => Just(1u8), 1 => Just(0), 4 => Just(5)],
        prop_oneof![
            4 => Just(vec![EXECUTE, EXECUTE_BATCH]),
            2 => Just(vec![EXECUTE, EXECUTE_BATCH, PERFORM_CREATE]),
            1 => Just(vec![EXECUTE]),
        ],
        prop::option::weighted(0.6, (prop::bool::weighted(0.2), targets)),
        prop::option::weighted(0.6, 0..200u64),
        prop::option::weighted(0.3, (0..90u64, prop::bool::weighted(0.05))),
        prop::option::weighted(0.4, (0..12 * COST, any::<bool>())),
        rest,
    )
        .prop_map(
            |(
                flags,
                selectors,
                allowlist,
                token_limit,
                native_limit,
                gas_limit,
                (time_range, guard, operations, order, shares),
            )| {
                Plan {
                    flags,
                    selectors,
                    allowlist,
                    token_limit,
                    native_limit,
                    gas_limit,
                    time_range,
                    guard,
                    operations,
                    order,
                    shares,
                }
            },
        )
}

fn install(place: &Place, plan: &Plan) {
    let modules = &place.modules;
    let second = if plan.shares { ENTITY } else { SECOND };
    let mut hooks = Vec::new();
    if let Some((after, length)) = plan.time_range {
        let from = place.next_time() + after.saturating_sub(200);
        let data = (ENTITY, U256::from(from + length), U256::from(from)).abi_encode_params();
        hooks.push((modules.time_range, ENTITY, 1, data.into()));
    }
    if let Some((limit, has_post)) = plan.native_limit {
        let flags = if has_post {
            Hook::PRE | Hook::POST
        } else {
            Hook::PRE
        };
        hooks.push((
            modules.native_token_limit,
            ENTITY,
            flags,
            number(ENTITY, U256::from(limit)),
        ));
    }
    if let Some(limit) = plan.token_limit {
        let inputs = vec![(TOKEN, false, true, U256::from(limit), vec![])];
        hooks.push((modules.allowlist, second, Hook::PRE, listed(second, inputs)));
    }
    if let Some((limit, _)) = plan.gas_limit {
        let limit = U256::from(limit);
        hooks.push((modules.native_token_limit, second, 5, number(second, limit)));
    }
    if plan.guard {
        let data = (ENTITY, place.stack.paymaster).abi_encode_params();
        hooks.push((modules.paymaster_guard, ENTITY, 1, data.into()));
    }
    if let Some((is_earlier, inputs)) = &plan.allowlist {
        let module = if *is_earlier {
            modules.earlier_allowlist
        } else {
            modules.allowlist
        };
        hooks.push((module, ENTITY, 5, listed(ENTITY, inputs.clone())));
    }
    let mut ordered: Vec<_> = plan.order.iter().zip(hooks).collect();
    ordered.sort_by_key(|(order, _)| **order);
    let hooks: Vec<_> = ordered.into_iter().map(|(_, hook)| hook).collect();
    place.install(plan.flags, &plan.selectors, &hooks);
    if let Some((_, true)) = plan.gas_limit {
        let call = [
            &hex!("5c6e5169")[..],
            &(place.stack.paymaster, true).abi_encode_params(),
        ]
        .concat();
        place.own(modules.native_token_limit, call.into());
    }
}

fn creation(value: u64) -> Bytes {
    let create = IAccountV08::performCreateCall {
        value: U256::from(value),
        initCode: Bytes::from_static(&[0]),
        isCreate2: false,
        salt: B256::ZERO,
    };
    create.abi_encode().into()
}

fn call(account: Address, (target, data, value, amount): PlannedCall) -> Call {
    let target = match target {
        0..=2 => TOKEN,
        3 | 4 => SHOP,
        5 | 6 => ELSEWHERE,
        _ => account,
    };
    let amount = U256::from(amount);
    let data: Bytes = match data {
        0..=2 => erc20::transfer(SHOP, amount),
        3 => erc20::approve(SHOP, amount),
        4 => [&BUY[..], &[0; 64]].concat().into(),
        5 => BUY.into(),
        6 => TRANSFER.into(),
        7 => Bytes::from_static(&[1, 2, 3]),
        8 => Bytes::new(),
        9 => erc20::transfer(SHOP, U256::MAX),
        // One byte less than the amount needs, and one more than it has.
        10 => erc20::transfer(SHOP, amount).slice(..67),
        11 => [&erc20::transfer(SHOP, amount)[..], &[9]].concat().into(),
        12 => creation(0),
        13 => EXECUTE_BATCH.into(),
        _ => Selector::ZERO.into(),
    };
    Call::new(target, data).with_value(U256::from(value))
}

/// Sends what is planned, and compares what happens with what was predicted, and what is stored with what
/// should be.
fn run(place: &Place, plan: &Plan, verdicts: &RefCell<Verdicts>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    install(place, plan);
    for planned in &plan.operations {
        let key = runtime.block_on(place.key());
        let calls: Vec<Call> = planned
            .calls
            .iter()
            .map(|planned| call(place.account, *planned))
            .collect();
        let mut call_data = key.call_data(&calls);
        if let Some(value) = planned.creates {
            let inner = creation(value);
            call_data = if key.execution_hooks().next().is_some() {
                calldata::execute_user_op(&inner)
            } else {
                inner
            };
        }
        if let Some(wraps) = planned.wraps {
            let inner = call_data
                .strip_prefix(EXECUTE_USER_OP.as_slice())
                .unwrap_or(&call_data);
            call_data = if wraps {
                calldata::execute_user_op(inner)
            } else {
                inner.to_vec().into()
            };
        }
        let mut operation = place.operation(call_data);
        operation.max_fee_per_gas = U256::from(planned.gwei * GWEI);
        let paymaster = match planned.paymaster {
            1 => Some(place.stack.paymaster),
            2 => Some(OTHER_PAYMASTER),
            3 => Some(Address::ZERO),
            _ => None,
        };
        if let Some(paymaster) = paymaster {
            let fields = PaymasterFields {
                paymaster,
                verification_gas_limit: 100_000,
                post_op_gas_limit: 50_000,
                data: Bytes::new(),
            };
            operation.paymaster_and_data = fields.pack();
        }
        let other = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x52)).unwrap();
        let signer = if planned.is_signed_by_other {
            other
        } else {
            signer()
        };
        // Seldom where it is no global one.
        let may_be_global = plan.flags & AccountKey::GLOBAL != 0 || planned.seconds < 4;
        let is_global = planned.is_global && may_be_global;
        let (mut operation, hash) = place.signed_as(operation, &signer, is_global);
        if let Some(index) = planned.segment {
            operation.signature = [&[index, 0, 0, 0, 1, 7], &operation.signature[..]]
                .concat()
                .into();
        }
        let time = place.next_time() + planned.seconds;
        let mut expected = key.clone();
        let verdict = expected.execute(&operation, Some(hash), time);
        if let KeyVerdict::Unknown { reasons } = &verdict {
            // A call of the account to itself, by a function that it does not have.
            let is_of_module = matches!(reasons[..], [Unpredictable::ModuleFunction { .. }]);
            let is_global = key.flags & AccountKey::GLOBAL != 0 && is_global;
            prop_assert!(is_of_module && is_global, "{verdict}");
            *verdicts.borrow_mut().entry("unknown").or_default() += 1;
            continue;
        }
        let execution = place.send(&operation, time);
        let said = said(place, &execution);
        agrees(&verdict, &said).map_err(TestCaseError::fail)?;
        let code = verdict.decisive().map_or("accepted", Refusal::code);
        *verdicts.borrow_mut().entry(code).or_default() += 1;
        prop_assert_eq!(runtime.block_on(place.key()).settings, expected.settings);
        if let KeyVerdict::Accepted { remaining, .. } = &verdict {
            for left in remaining.iter().filter(|left| left.of == LeftOf::Native) {
                prop_assert_eq!(left.entity_id, ENTITY);
            }
        }
    }
    Ok(())
}

/// How often the chain agreed with each verdict, by the code of its decisive rule.
type Verdicts = BTreeMap<&'static str, usize>;

fn differential(place: &Place, cases: u32) -> Verdicts {
    let verdicts = RefCell::default();
    let config = ProptestConfig {
        // The same cases every time.
        rng_seed: RngSeed::Fixed(0),
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(plan in plan())| run(&place.copy(), &plan, &verdicts)?);
    let verdicts = verdicts.into_inner();
    eprintln!("{verdicts:?}");
    verdicts
}

/// How many random keys are tried: `PROPTEST_CASES`, or so many.
fn cases(otherwise: u32) -> u32 {
    let given = std::env::var("PROPTEST_CASES").ok();
    given.and_then(|cases| cases.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn verdicts_are_those_of_stand_ins() {
    let verdicts = differential(&Place::stand_ins(AccountForm::SemiModular), cases(40));
    for code in [
        "accepted",
        "target_not_allowed",
        "token_limit_exceeded",
        "gas_limit_exceeded",
    ] {
        assert!(verdicts.contains_key(code), "{code}: {verdicts:?}");
    }
}

#[test]
fn verdicts_are_those_of_stand_ins_on_accounts_of_a_module() {
    differential(&Place::stand_ins(AccountForm::Modular), cases(12));
}

#[test]
fn verdicts_are_those_of_stand_ins_on_delegated_accounts() {
    differential(&Place::stand_ins(AccountForm::Delegated), cases(12));
}

/// The deployed code is not in this project: a state dump of a chain with it, `state.json`, comes into a
/// folder.
#[test]
#[ignore = "needs a folder with a state dump: REFERENCE_CODE=DIR"]
fn verdicts_are_those_of_reference_code() {
    let folder = std::env::var_os("REFERENCE_CODE").expect("REFERENCE_CODE names a folder");
    differential(&Place::reference(Path::new(&folder)), cases(300));
}

/// The same way, with a dump of stand-ins at the addresses of the deployed contracts: it shows that such a
/// dump is read and used, not that the deployed code does the same.
#[test]
fn verdicts_are_those_of_stand_ins_in_a_dump_at_the_deployed_addresses() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let modules = PermissionModules::deploy(&mut chain).unwrap();
    let moved = [
        (modules.allowlist, DEPLOYED.allowlist, 10_336),
        (modules.earlier_allowlist, DEPLOYED.earlier_allowlist, 10_262),
        (modules.native_token_limit, DEPLOYED.native_token_limit, 5_093),
        (modules.time_range, DEPLOYED.time_range, 2_504),
        (modules.paymaster_guard, DEPLOYED.paymaster_guard, 2_097),
        (
            stack.single_signer_module,
            known::SINGLE_SIGNER_VALIDATION_MODULE,
            3_976,
        ),
        (stack.account_implementation, known::MODULAR_ACCOUNT, 23_273),
        (
            stack.semi_modular_implementation,
            known::SEMI_MODULAR_ACCOUNT,
            24_223,
        ),
        (stack.account_factory, known::FACTORY, 6_661),
    ];
    let mut dump = StateDump::default();
    for (from, to, length) in moved {
        // Contracts know one another, and themselves, by addresses in their code.
        let mut code = chain.code(from).to_vec();
        for (old, new, _) in moved {
            for at in 0..code.len().saturating_sub(Address::len_bytes()) {
                if code[at..].starts_with(old.as_slice()) {
                    code[at..at + Address::len_bytes()].copy_from_slice(new.as_slice());
                }
            }
        }
        // As long as the deployed code, by which it is known; what is added never runs.
        assert!(code.len() <= length, "{to}: {} bytes", code.len());
        code.resize(length, 0);
        let account = SourceAccount {
            code: code.into(),
            ..SourceAccount::default()
        };
        dump.insert(to, account);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.json"), dump.to_json().to_string()).unwrap();
    let place = Place::reference(folder.path());
    // The account is the one that the client computes for the deployed factory.
    let account = FactoryAccount::semi_modular(dev_accounts()[1].address, U256::ZERO);
    assert_eq!(place.account, account.address(&AccountFactory::default()));
    let verdicts = differential(&place, cases(10));
    assert!(verdicts.contains_key("accepted"), "{verdicts:?}");
}

/// As the account's client installs a key with everything.
fn install_whole(place: &Place) {
    install_whole_as(place, ENTITY);
}

fn install_whole_as(place: &Place, entity_id: u32) {
    let second = entity_id + 0x7fff_ffff;
    let allowed = vec![
        (SHOP, true, false, U256::ZERO, vec![BUY]),
        (TOKEN, true, false, U256::ZERO, vec![TRANSFER, APPROVE]),
        (Address::ZERO, false, false, U256::ZERO, vec![BUY]),
    ];
    let limits = vec![(TOKEN, false, true, U256::from(100), vec![])];
    let modules = &place.modules;
    let until = (entity_id, U256::from(1_900_000_000), U256::ZERO).abi_encode_params();
    place.install_as(
        entity_id,
        1,
        &[EXECUTE, EXECUTE_BATCH],
        &[
            (modules.time_range, entity_id, 1, until.into()),
            (
                modules.native_token_limit,
                entity_id,
                Hook::PRE,
                number(entity_id, U256::from(50)),
            ),
            (modules.allowlist, second, Hook::PRE, listed(second, limits)),
            (
                modules.native_token_limit,
                second,
                5,
                number(second, U256::from(2 * COST)),
            ),
            (modules.allowlist, entity_id, 5, listed(entity_id, allowed)),
        ],
    );
}

#[tokio::test]
async fn a_key_is_read_completely() {
    let place = Place::stand_ins(AccountForm::Modular);
    install_whole(&place);
    // Setters change what was installed.
    let take_off = (ENTITY, Address::ZERO, BUY, false).abi_encode_params();
    let selector = &keccak256("setSelectorAllowlist(uint32,address,bytes4,bool)")[..4];
    place.own(place.modules.allowlist, [selector, &take_off].concat().into());
    let special = [
        &hex!("5c6e5169")[..],
        &(OTHER_PAYMASTER, true).abi_encode_params(),
    ]
    .concat();
    place.own(place.modules.native_token_limit, special.into());

    let found = place.read(&place.options().owner(0)).await;
    assert!(found.is_complete(), "{found:?}");
    assert_eq!(found.form, AccountForm::Modular);
    let [read] = &found.keys[..] else {
        panic!("{found:?}")
    };
    assert_eq!(found.of_signer(signer().address()).count(), 1);
    let key = &read.key;
    assert_eq!((key.entity_id, key.flags), (ENTITY, 1));
    assert_eq!(key.selectors, [EXECUTE, EXECUTE_BATCH]);
    let hooks: Vec<_> = key
        .hooks
        .iter()
        .map(|hook| (hook.module.kind.unwrap(), hook.entity_id, hook.flags))
        .collect();
    assert_eq!(
        hooks,
        [
            (AccountModule::TimeRange, ENTITY, 1),
            (AccountModule::NativeTokenLimit, SECOND, 5),
            (AccountModule::Allowlist, ENTITY, 5),
            (AccountModule::NativeTokenLimit, ENTITY, Hook::PRE),
            (AccountModule::Allowlist, SECOND, Hook::PRE),
        ]
    );
    let settings = |index: usize| key.settings_of(&key.hooks[index]).unwrap().clone();
    assert_eq!(
        settings(0),
        Settings::TimeRange {
            valid_after: 0,
            valid_until: 1_900_000_000
        }
    );
    assert_eq!(
        settings(1),
        Settings::NativeTokenLimit {
            left: U256::from(2 * COST),
            special_paymasters: [(OTHER_PAYMASTER, true)].into(),
            complete: true,
        }
    );
    let Settings::Allowlist(list) = settings(2) else {
        panic!()
    };
    assert!(list.complete);
    assert_eq!(list.any_target, [(BUY, false)].into());
    assert_eq!(
        list.targets[&SHOP],
        AllowlistTarget {
            allowed: true,
            has_selector_list: true,
            functions: [(BUY, true)].into(),
            ..AllowlistTarget::default()
        }
    );
    let Settings::Allowlist(limits) = settings(4) else {
        panic!()
    };
    assert_eq!(
        (limits.targets[&TOKEN].has_limit, limits.targets[&TOKEN].left),
        (true, U256::from(100))
    );
    // With the owner's validation, which is global, there are two.
    assert_eq!(place.read(&place.options()).await.keys.len(), 2);
}

/// How many requests follow each other, and how many there are, to read so many keys with five hooks each.
async fn round_trips(keys: u32) -> (u128, usize) {
    const LATENCY: Duration = Duration::from_millis(100);
    let place = Place::stand_ins(AccountForm::SemiModular);
    for entity_id in 1..=keys {
        install_whole_as(&place, entity_id);
    }
    Stack::deploy_multicall(&mut place.testkit.chain()).unwrap();
    let wire = Wire::new(place.testkit.transport());
    wire.rule(|_| Some(Fault::Late(LATENCY)));
    let node = Node::new(provider(wire.clone()));
    let start = Instant::now();
    let options = place.options();
    // Executors with several threads take it.
    let reading: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(AccountKeys::read(&node, place.account, &options));
    let found = reading.await.unwrap().unwrap();
    let trips = start.elapsed().as_millis() / LATENCY.as_millis();
    assert!(found.is_complete(), "{found:?}");
    assert_eq!(found.keys.len(), usize::try_from(keys).unwrap());
    (trips, wire.asked().len())
}

#[tokio::test(start_paused = true)]
async fn reading_keys_takes_few_round_trips() {
    let one = round_trips(1).await;
    let twenty = round_trips(20).await;
    eprintln!("{one:?} {twenty:?}");
    assert!(one.0 <= 13 && twenty.0 <= 43, "{one:?} {twenty:?}");
}

#[tokio::test]
async fn what_a_node_does_not_answer_is_said() {
    let place = Place::stand_ins(AccountForm::SemiModular);
    install_whole(&place);
    let allowlist = place.modules.allowlist.to_string().to_lowercase();
    let deaf = place.testkit.transport().intercept(move |method, params| {
        let is_its = params.to_string().to_lowercase().contains(&allowlist);
        (method == "eth_getLogs" && is_its).then(|| Err(ErrorAnswer::new(-32_000, "no logs here")))
    });
    let node = Node::new(deaf.provider());
    let read = async |options: ReadOptions| {
        let found = AccountKeys::read(&node, place.account, &options)
            .await
            .unwrap()
            .unwrap();
        assert!(!found.is_complete());
        found.of_entity(ENTITY).unwrap().clone()
    };
    let blind = read(place.options()).await;
    assert!(
        matches!(blind.missing[..], [MissingSetting::Events { .. }, ..]),
        "{:?}",
        blind.missing
    );
    let calls = [Call::new(SHOP, BUY)];
    let now = place.next_time();
    let verdict = blind.key.verdict_of_calls(&calls, now);
    assert!(matches!(verdict, KeyVerdict::Unknown { .. }), "{verdict}");
    assert!(
        blind
            .key
            .describe(&())
            .to_string()
            .contains("its allowlist is not completely known")
    );
    // Of calls that are named, the views say enough.
    let asked = read(place.options().calls(&calls)).await;
    assert!(asked.key.verdict_of_calls(&calls, now).is_accepted());
    let other = [Call::new(ELSEWHERE, TRANSFER)];
    let asked = read(place.options().calls(&other)).await;
    assert_eq!(
        asked.key.verdict_of_calls(&other, now).refusals()[0].code(),
        "target_not_allowed"
    );
}

/// Has an allowlist run around `performCreate`.
fn hook_creation(place: &Place) {
    let manifest = ExecutionManifest {
        executionFunctions: Vec::new(),
        executionHooks: vec![ManifestHook {
            executionSelector: PERFORM_CREATE,
            entityId: 9,
            isPreHook: true,
            isPostHook: false,
        }],
        interfaceIds: Vec::new(),
    };
    let install = calldata::install_execution(place.modules.allowlist, manifest, Bytes::new());
    place.own(place.account, install);
}

#[tokio::test]
async fn hooks_of_every_function_that_a_key_may_call_are_read() {
    for (flags, selectors, is_hooked) in [
        (1, &[EXECUTE][..], false),
        (1, &[EXECUTE, PERFORM_CREATE][..], true),
        // Global, and so for `performCreate` as well.
        (5, &[][..], true),
        (5, &[EXECUTE][..], true),
    ] {
        let place = Place::stand_ins(AccountForm::SemiModular);
        place.install(flags, selectors, &[]);
        hook_creation(&place);
        let key = place.key().await;
        assert!(key.are_function_hooks_read);
        let modules: Vec<Address> = key
            .function_hooks
            .iter()
            .map(|hook| hook.module.address)
            .collect();
        let verdict = key.verdict_of_calls(&[Call::new(SHOP, BUY)], place.next_time());
        if is_hooked {
            let module = place.modules.allowlist;
            assert_eq!(modules, [module], "{flags} {selectors:?}");
            assert_eq!(
                verdict,
                KeyVerdict::Unknown {
                    reasons: vec![Unpredictable::FunctionHooks { module }]
                }
            );
        } else {
            assert!(modules.is_empty(), "{flags} {selectors:?}: {modules:?}");
            assert!(verdict.is_accepted(), "{verdict}");
        }
    }
}

#[tokio::test]
async fn hooks_of_functions_that_are_not_read_leave_the_verdict_unknown() {
    let verdict_of = async |place: &Place, node: &Node| {
        let found = AccountKeys::read(node, place.account, &place.options())
            .await
            .unwrap()
            .unwrap();
        let read = found.of_entity(ENTITY).unwrap().clone();
        assert!(!read.is_complete());
        let [missing] = &read.missing[..] else {
            panic!("{:?}", read.missing)
        };
        let calls = [Call::new(SHOP, BUY)];
        (
            missing.clone(),
            read.key.verdict_of_calls(&calls, place.next_time()),
        )
    };
    let unknown = KeyVerdict::Unknown {
        reasons: vec![Unpredictable::FunctionHooksNotRead],
    };
    // The node does not answer for one function.
    let place = Place::stand_ins(AccountForm::SemiModular);
    place.install(5, &[EXECUTE], &[]);
    let question = IAccountV08::getExecutionDataCall {
        selector: PERFORM_CREATE,
    };
    let question = hex::encode(question.abi_encode());
    let deaf = place.testkit.transport().intercept(move |method, params| {
        let is_it = method == "eth_call" && params.to_string().contains(&question);
        is_it.then(|| Err(ErrorAnswer::new(-32_000, "no state here")))
    });
    let (missing, verdict) = verdict_of(&place, &Node::new(deaf.provider())).await;
    assert!(
        matches!(missing, MissingSetting::View { module, .. } if module == place.account),
        "{missing}"
    );
    assert_eq!(verdict, unknown);
    // The key has more functions than are asked for.
    let place = Place::stand_ins(AccountForm::SemiModular);
    let many: Vec<Selector> = (1..=70u32)
        .map(|number| number.to_be_bytes().into())
        .chain([EXECUTE])
        .collect();
    place.install(1, &many, &[]);
    let (missing, verdict) = verdict_of(&place, &place.node()).await;
    assert!(
        matches!(missing, MissingSetting::TooMany { left_out: 6, .. }),
        "{missing}"
    );
    assert_eq!(verdict, unknown);
}

/// Answers that no node should give to a request.
fn malformed(method: &str, params: &Value) -> Vec<Value> {
    let words = |words: &[U256]| json!(Bytes::from(words.abi_encode_packed()));
    let bytes = |bytes: Vec<u8>| json!(Bytes::from(bytes));
    let mut answers = vec![
        json!(7),
        json!({}),
        json!("0xz"),
        json!("0x123"),
        bytes(vec![]),
        bytes(vec![1]),
        bytes(vec![0xff; 31]),
        words(&[U256::MAX]),
        words(&[U256::from(32), U256::MAX]),
        words(&[U256::from(32), U256::from(1) << 255, U256::from(32)]),
        // Offsets that turn back on themselves.
        words(&[U256::ZERO; 12]),
        words(&[U256::from(32); 12]),
        bytes(vec![0xff; 1 << 16]),
    ];
    if method != "eth_getLogs" {
        answers.push(json!(null));
        return answers;
    }
    // Logs that are asked for, with too little, too much or the wrong data.
    let mut topics = vec![B256::repeat_byte(0xff); 4];
    for (place, asked) in topics.iter_mut().zip(params[0]["topics"].as_array().unwrap()) {
        *place = serde_json::from_value(asked[0].clone()).unwrap_or(*place);
    }
    let log = |topics: &[B256], data: Vec<u8>| {
        json!([{
            "address": params[0]["address"], "topics": topics, "data": Bytes::from(data),
            "blockNumber": "0x1", "logIndex": "0x0", "transactionIndex": "0x0",
            "blockHash": B256::ZERO, "transactionHash": B256::ZERO, "removed": false,
        }])
    };
    answers.extend([
        log(&topics, vec![]),
        log(&topics, vec![0xff; 32]),
        log(&topics, vec![0xff; 1 << 16]),
        log(&topics[..3], vec![0; 32]),
        json!([null]),
        json!([{ "topics": "0x" }]),
    ]);
    answers
}

#[tokio::test(start_paused = true)]
async fn malformed_answers_of_a_node_are_errors_or_leave_the_verdict_unknown() {
    let place = Place::stand_ins(AccountForm::SemiModular);
    install_whole(&place);
    // Answers one request of a reading with one of the malformed answers, and returns whether it was asked
    // and there is such an answer.
    let read = async |index: usize, choice: usize| {
        let mut seen = 0;
        let lied = Arc::new(Mutex::new(None));
        let lie_of = Arc::clone(&lied);
        let liar = place.testkit.transport().rewrite(move |method, params, answer| {
            let is_it = seen == index;
            seen += 1;
            let lie = is_it.then(|| malformed(method, params).into_iter().nth(choice));
            match lie.flatten() {
                Some(lie) => {
                    *lie_of.lock().unwrap() = Some(method.to_owned());
                    Ok(lie)
                }
                None => answer,
            }
        });
        let found = AccountKeys::read(&Node::new(liar.provider()), place.account, &place.options()).await;
        let method = lied.lock().unwrap().clone();
        method.map(|method| (method, found))
    };
    let calls = [
        Call::new(SHOP, BUY),
        Call::new(TOKEN, erc20::transfer(SHOP, U256::ONE)),
    ];
    let now = place.next_time();
    let truth = place.key().await.verdict_of_calls(&calls, now);
    assert!(truth.is_accepted());
    let (mut errors, mut unknown, mut methods) = (0, 0, BTreeMap::<String, usize>::new());
    for index in 0.. {
        let mut has_lied = false;
        // Not every answer to every request, but every answer to some.
        for choice in (index % 4..20).step_by(4) {
            let Some((method, found)) = read(index, choice).await else {
                break;
            };
            has_lied = true;
            let at = format!("{method}, request {index}, answer {choice}");
            *methods.entry(method).or_default() += 1;
            let Ok(Some(found)) = found else {
                errors += 1;
                continue;
            };
            let Some(read) = found.of_entity(ENTITY) else {
                assert!(!found.is_complete(), "{at}: {found:?}");
                continue;
            };
            let verdict = read.key.verdict_of_calls(&calls, now);
            if matches!(verdict, KeyVerdict::Unknown { .. }) {
                assert!(!found.is_complete(), "{at}");
                unknown += 1;
            } else {
                // Some answers are well-formed for some questions.
                assert!(read.is_complete() || verdict == truth, "{at}: {verdict}");
            }
        }
        if !has_lied {
            break;
        }
    }
    eprintln!("{methods:?}: {errors} errors, {unknown} unknown");
    assert!(errors > 50 && unknown > 30, "{errors} {unknown}");
    assert_eq!(methods.len(), 5, "{methods:?}");
}

#[tokio::test]
async fn nothing_is_predicted_of_code_that_is_not_known() {
    let place = Place::stand_ins(AccountForm::SemiModular);
    install_whole(&place);
    let read = async |known: KnownCode| {
        let found = place.read(&place.options().known(known)).await;
        found.of_entity(ENTITY).unwrap().clone()
    };
    let reasons = |key: &AccountKey| match key.verdict_of_calls(&[Call::new(SHOP, BUY)], place.next_time()) {
        KeyVerdict::Unknown { reasons } => reasons,
        other => panic!("{other}"),
    };
    let strange = read(KnownCode::new()).await;
    assert!(!strange.is_complete());
    let found = reasons(&strange.key);
    assert_eq!(found[0], Unpredictable::AccountCode);
    assert!(found.contains(&Unpredictable::ModuleCode {
        module: place.validator
    }));
    assert!(found.contains(&Unpredictable::ModuleCode {
        module: place.modules.allowlist
    }));
    assert!(strange.key.settings.is_empty() && strange.key.signer.is_none());
    let codes: Vec<KeyLintCode> = strange
        .key
        .lint(None)
        .iter()
        .map(|warning| warning.code)
        .collect();
    assert_eq!(codes[0], KeyLintCode::UnknownModule);
    // One byte more is other code.
    let changed = place.copy();
    let code = changed.testkit.chain().code(place.modules.time_range);
    changed
        .testkit
        .chain()
        .set_code(place.modules.time_range, [&code[..], &[0]].concat())
        .unwrap();
    let found = changed.read(&changed.options()).await;
    assert_eq!(
        reasons(&found.of_entity(ENTITY).unwrap().key),
        [Unpredictable::ModuleCode {
            module: place.modules.time_range
        }]
    );
    // A proxy that does something else first is no account that is known.
    let proxied = place.copy();
    let code = proxied.testkit.chain().code(place.account);
    proxied
        .testkit
        .chain()
        .set_code(place.account, [&code[..], &[0]].concat())
        .unwrap();
    let found = proxied.read(&proxied.options()).await;
    assert_eq!(found.form, AccountForm::Unknown);
}

#[tokio::test]
async fn a_delegated_account_and_its_version_are_told_apart() {
    let place = Place::stand_ins(AccountForm::EarlierDelegated);
    place.install(3, &[EXECUTE], &[]);
    let codes = |key: &AccountKey| -> Vec<KeyLintCode> {
        key.lint(None).iter().map(|warning| warning.code).collect()
    };
    let key = place.key().await;
    assert_eq!(key.form, AccountForm::EarlierDelegated);
    assert!(codes(&key).contains(&KeyLintCode::RootBySignature));
    let place = Place::stand_ins(AccountForm::Delegated);
    place.install(3, &[EXECUTE], &[]);
    assert!(codes(&place.key().await).contains(&KeyLintCode::Signs));
}

#[tokio::test]
async fn a_failed_operation_is_explained_by_its_hook() {
    let place = Place::stand_ins(AccountForm::SemiModular);
    install_whole(&place);
    let options = ConnectOptions::new().deployments([Deployment {
        entry_point: place.stack.entry_point,
        session_key_plugin: place.stack.session_key_module,
        multi_owner_plugin: Address::ZERO,
        factory: place.stack.account_factory,
        account_init_code_hash: None,
    }]);
    let account = SmartAccount::connect_with(&options, place.testkit.provider(), place.account)
        .await
        .unwrap();
    let send = async |calls: &[Call], fee: u64| {
        let mut operation = place.operation(place.key().await.call_data(calls));
        operation.max_fee_per_gas = U256::from(fee * GWEI);
        let (operation, hash) = place.signed(operation, &signer());
        let execution = place.send(&operation, place.next_time() + 1);
        (hash, execution)
    };
    let explain = async |hash: B256| {
        let found = explain_hash(&account, hash, &ExplainOptions::new())
            .await
            .unwrap()
            .unwrap();
        explain_key_failure(&account, &found[0], &place.options())
            .await
            .unwrap()
    };
    // In execution: the second call is over what is left of the token.
    let pay = |amount: u64| Call::new(TOKEN, erc20::transfer(SHOP, U256::from(amount)));
    let (hash, execution) = send(&[pay(60), pay(41)], 1).await;
    assert!(matches!(said(&place, &execution), Said::Failed(_)));
    let failure = explain(hash).await.unwrap();
    let refusal = failure.refusal().unwrap();
    assert_eq!(
        (refusal.code(), refusal.call, failure.has_changed),
        ("token_limit_exceeded", Some(1), false)
    );
    assert!(refusal.to_string().contains("would spend 41"), "{refusal}");
    assert_eq!(failure.hook.map(|hook| hook.entity_id), Some(SECOND));
    // In validation, by a bundle that failed as a whole: too little is left for its gas. Of such a bundle the
    // chain keeps no reason.
    let (_, execution) = send(&[Call::new(SHOP, BUY)], 2).await;
    let failed = Said::NotIncluded("AA23".to_owned(), None);
    assert_eq!(
        std::mem::discriminant(&said(&place, &execution)),
        std::mem::discriminant(&failed)
    );
    let failure = explain(execution.transaction_hash).await.unwrap();
    let refusal = failure.refusal().unwrap();
    assert_eq!(
        (refusal.code(), failure.hook.is_some(), failure.has_changed),
        ("gas_limit_exceeded", false, false)
    );
    // What succeeds needs no explanation.
    let (hash, _) = send(&[pay(60)], 1).await;
    assert_eq!(explain(hash).await, None);
}
