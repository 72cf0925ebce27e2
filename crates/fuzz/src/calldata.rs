//! `calldata`: the calls that validation saw are the calls that run, whatever the bytes: those that Rust
//! decodes. What validation refuses, execution refuses too, and then nothing runs.
//!
//! `bundled_calldata`: the same of signed operations, through the EntryPoint and the account.

use crate::{
    ACCOUNT, Generation, Outcomes, Property, World,
    account::{AccountWorld, START, Sent},
    generators::{CONTRACTS, any_word},
    steps::session_key,
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    signers::local::PrivateKeySigner,
    sol_types::SolError,
};
use eyre::ensure;
use proptest::prelude::*;
use session_key_bindings::{
    ENTRY_POINT, ENTRY_POINT_V07,
    ISessionKeyModule::TargetIsModule,
    ISessionKeyPlugin::{ERC20SpendLimitExceeded, PermissionsCheckFailed},
};
use session_key_client::{
    Call, UserOperation,
    calldata::{NewSessionKey, add_session_key},
    permissions::{
        AaCode, AccessControlType, ERC20_APPROVE, ERC20_TRANSFER, EXECUTE_WITH_SESSION_KEY, LimitChange,
        PermissionUpdates, SpendLimit, execute_with_session_key,
        model::{CallDataError, decode_execute_with_session_key},
    },
    revert::Revert,
};
use session_key_testkit::{CallKind, CallOptions, ChainError};
use std::fmt;

const SESSION_KEY: Address = address!("0x0000000000000000000000000000000000005e55");

/// The token whose amounts are counted.
const LIMITED_TOKEN: Address = CONTRACTS[0];

/// The largest limit that there is.
const TOKEN_LIMIT: U256 = U256::MAX.wrapping_sub(U256::ONE);

/// Wei that the account holds in `bundled_calldata`.
const WEI: U256 = U256::MAX.wrapping_shr(1);

/// Call data of an operation. Shown as selector and numbered words.
#[derive(Clone, PartialEq, Eq)]
pub struct Case(Bytes);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (selector, arguments) = self.0.split_at(self.0.len().min(4));
        write!(f, "{}", alloy::hex::encode_prefixed(selector))?;
        for (index, word) in arguments.chunks(32).enumerate() {
            let digits = alloy::hex::encode(word);
            let short = digits.trim_start_matches('0');
            let zeros = if word.len() == 32 {
                ""
            } else {
                &digits[..digits.len() - short.len()]
            };
            write!(
                f,
                " {:x}:{zeros}{}",
                32 * index,
                if short.is_empty() { "0" } else { short }
            )?;
        }
        Ok(())
    }
}

/// A change of well-formed call data.
#[derive(Clone, Debug)]
enum Mutation {
    /// The word at an index, counted modulo the number of words, becomes this.
    SetWord(usize, U256),
    /// It becomes more or less, wrapping.
    Add(usize, U256),
    /// It becomes what the number of bytes from some word to the end is, less this. Offsets and
    /// lengths end there.
    ToTheEnd(usize, usize, u64),
    /// It becomes another word of the call data.
    Copy(usize, usize),
    FlipBit(usize),
    Truncate(usize),
    Extend(Vec<u8>),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        // Most of what counts is at the front.
        let index = || prop_oneof![3 => 0usize..12, 1 => 0usize..40];
        let step = prop_oneof![
            (1u64..4).prop_map(U256::from),
            (1u64..6).prop_map(|words| U256::from(32 * words)),
            (1u64..6).prop_map(|words| U256::from(32 * words).wrapping_neg()),
            (1u64..4).prop_map(|bytes| U256::from(bytes).wrapping_neg()),
        ];
        prop_oneof![
            2 => (index(), any_word()).prop_map(|(index, word)| Self::SetWord(index, word)),
            2 => (index(), (0u64..12).prop_map(|words| U256::from(32 * words)))
                .prop_map(|(index, word)| Self::SetWord(index, word)),
            3 => (index(), step).prop_map(|(index, step)| Self::Add(index, step)),
            3 => (index(), index(), prop_oneof![Just(0u64), Just(31), Just(32), Just(33), Just(64), Just(95), Just(96)])
                .prop_map(|(index, from, less)| Self::ToTheEnd(index, from, less)),
            2 => (index(), index()).prop_map(|(to, from)| Self::Copy(to, from)),
            1 => any::<usize>().prop_map(Self::FlipBit),
            2 => (0usize..100).prop_map(Self::Truncate),
            1 => prop::collection::vec(any::<u8>(), 0..70).prop_map(Self::Extend),
        ]
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        let words = bytes.len().saturating_sub(4) / 32;
        if words == 0 {
            return;
        }
        let start = |index: usize| 4 + 32 * (index % words);
        let word = |bytes: &[u8], index: usize| U256::from_be_slice(&bytes[start(index)..start(index) + 32]);
        let (index, word) = match self {
            Self::SetWord(index, word) => (index, word),
            Self::Add(index, step) => (index, word(bytes, index).wrapping_add(step)),
            Self::ToTheEnd(index, from, less) => {
                let left = bytes.len() - start(from);
                (index, U256::from(left).wrapping_sub(U256::from(less)))
            }
            Self::Copy(to, from) => (to, word(bytes, from)),
            Self::FlipBit(bit) => {
                let bit = bit % (8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
                return;
            }
            Self::Truncate(less) => return bytes.truncate(bytes.len().saturating_sub(less)),
            Self::Extend(more) => return bytes.extend(more),
        };
        let start = start(index);
        bytes[start..start + 32].copy_from_slice(&word.to_be_bytes::<32>());
    }
}

/// EntryPoints of other versions, which the module refuses as targets.
const OTHER_ENTRY_POINTS: [Address; 2] = [
    address!("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"),
    address!("0x433709009B8330FDa32311DF1C2AFA402eD8D009"),
];

/// What calls are made of, and what is asked of them.
#[derive(Clone, Debug)]
struct Rules {
    generation: Generation,
    account: Address,
    session_key: Address,
    /// The session key plugin, or module.
    plugin: Address,
    /// A contract that answers as a module of ERC-6900 v0.8 does, there.
    module: Address,
}

impl Rules {
    /// Contracts with rules of their own, and one without.
    fn targets(&self) -> Vec<Address> {
        let mut targets = vec![Address::ZERO, self.account, ENTRY_POINT];
        if self.generation.is_v08() {
            targets.extend([ENTRY_POINT_V07, self.plugin, self.module]);
            targets.extend(OTHER_ENTRY_POINTS);
        }
        targets
    }

    /// The rules that are left to a key which may do nearly everything.
    fn may_run(&self, calls: &[Call], named: Address) -> Result<(), String> {
        if named != self.session_key {
            return Err("the key is not registered".into());
        }
        if calls.is_empty() {
            return Err("no calls".into());
        }
        let is_v08 = self.generation.is_v08();
        for call in calls {
            if call.target == self.account || call.target == ENTRY_POINT {
                return Err("the account or the EntryPoint as target".into());
            }
            if is_v08 && (call.target == ENTRY_POINT_V07 || OTHER_ENTRY_POINTS.contains(&call.target)) {
                return Err("another EntryPoint as target".into());
            }
            if is_v08 && call.target == self.plugin {
                return Err("the session key module as target".into());
            }
            let counted = [ERC20_TRANSFER, ERC20_APPROVE].contains(&call.selector()) && call.data.len() >= 68;
            if call.target == LIMITED_TOKEN && !counted {
                return Err("a call of the limited token whose amount is unknown".into());
            }
        }
        Ok(())
    }

    /// What execution refuses of calls that may run.
    fn refusal(&self, calls: &[Call]) -> Option<(&'static str, Bytes)> {
        if spent(calls) > TOKEN_LIMIT {
            let error = ERC20SpendLimitExceeded {
                account: self.account,
                sessionKey: self.session_key,
                token: LIMITED_TOKEN,
            };
            return Some(("over the token's limit", error.abi_encode().into()));
        }
        let calls_module = calls.iter().any(|call| call.target == self.module);
        (self.generation.is_v08() && calls_module).then(|| {
            let error = TargetIsModule { target: self.module };
            ("a target is a module", error.abi_encode().into())
        })
    }
}

fn any_call(rules: &Rules) -> impl Strategy<Value = Call> + use<> {
    let target = prop_oneof![
        8 => prop::sample::select(&CONTRACTS),
        1 => prop::sample::select(rules.targets()),
    ];
    let token_call = (
        prop::sample::select(&[ERC20_TRANSFER, ERC20_APPROVE]),
        any_word(),
        any_word(),
        0usize..3,
    )
        .prop_map(|(selector, to, amount, short)| {
            let mut data = selector.to_vec();
            data.extend(to.to_be_bytes::<32>());
            data.extend(amount.to_be_bytes::<32>());
            data.truncate(data.len() - usize::from(short == 2));
            data
        });
    let data = prop_oneof![
        3 => token_call,
        1 => prop::collection::vec(any::<u8>(), 0..70),
        1 => Just(Vec::new()),
    ];
    (target, any_word(), data).prop_map(|(target, value, data)| Call::new(target, data).with_value(value))
}

/// Call data that names the session key, mostly, and the account as a target, now and then.
fn any_call_data(rules: &Rules) -> BoxedStrategy<Case> {
    let session_key = rules.session_key;
    let named = prop_oneof![20 => Just(session_key), 1 => Just(CONTRACTS[1])];
    let crafted = (
        prop::collection::vec(any_call(rules), 0..4),
        named,
        prop::collection::vec(Mutation::any(), 0..4),
    )
        .prop_map(|(calls, named, mutations)| {
            let mut bytes = execute_with_session_key(&calls, named).to_vec();
            for mutation in mutations {
                mutation.apply(&mut bytes);
            }
            bytes
        });
    // Small words are offsets and lengths everywhere.
    let word = prop_oneof![
        4 => (0u64..8).prop_map(|words| U256::from(32 * words)),
        2 => (0u64..3).prop_map(U256::from),
        1 => Just(session_key.into_word().into()),
        1 => any_word(),
    ];
    let words = (prop::collection::vec(word, 0..14), 0usize..64).prop_map(move |(mut words, short)| {
        if let Some(word) = words.get_mut(1) {
            *word = session_key.into_word().into();
        }
        let mut bytes = EXECUTE_WITH_SESSION_KEY.to_vec();
        for word in words {
            bytes.extend(word.to_be_bytes::<32>());
        }
        if short < 32 {
            bytes.truncate(bytes.len().saturating_sub(short));
        }
        bytes
    });
    prop_oneof![
        8 => crafted,
        4 => words,
        1 => prop::collection::vec(any::<u8>(), 0..100),
    ]
    .prop_map(|bytes| Case(bytes.into()))
    .boxed()
}

/// See the [module](self).
#[derive(Debug)]
pub struct Calldata {
    world: World,
    rules: Rules,
}

impl Property for Calldata {
    type Case = Case;

    const NAME: &'static str = "calldata";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let mut world = World::new(generation, plugin)?;
        world
            .add_key(SESSION_KEY, nearly_everything().encode_unchecked()?)?
            .ok()?;
        let rules = Rules {
            generation,
            account: ACCOUNT,
            session_key: SESSION_KEY,
            plugin: world.stack.session_key_plugin,
            module: world.stack.multi_owner_plugin,
        };
        Ok(Self { world, rules })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        any_call_data(&self.rules)
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let Self { world, rules } = self;
        let fail = |error: ChainError| TestCaseError::fail(error.to_string());
        let validation = validate(world, &case.0);
        let (ran, output) = execute(world, &case.0)?;
        let finished = output.is_ok();

        let decoded = decode_execute_with_session_key(&case.0);
        let allowed = match &decoded {
            Ok((calls, session_key)) => rules.may_run(calls, *session_key).map(|()| calls),
            Err(error) => Err(malformed(error)),
        };
        match allowed {
            Ok(calls) => {
                let data = validation.map_err(fail)?;
                // The dummy signature is nobody's; the key has no time range.
                prop_assert_eq!(U256::from_be_slice(&data), U256::ONE, "validation data");
                if let Some((why, error)) = rules.refusal(calls) {
                    prop_assert_eq!(output, Err(error), "{}", why);
                    prop_assert_eq!(ran, [], "ran, but {}", why);
                    outcomes.reached(format!("accepted: refused in execution, {why}"));
                } else {
                    prop_assert!(finished, "validated, but not executed");
                    prop_assert_eq!(&ran, calls, "what ran (left) is not what was validated (right)");
                    let canonical = case.0 == execute_with_session_key(calls, SESSION_KEY);
                    let form = if canonical { "canonical" } else { "another" };
                    outcomes.reached(format!("accepted: {} calls, {form} encoding", calls.len().min(4)));
                }
            }
            Err(reason) => {
                let error = match validation {
                    Err(ChainError::Reverted { output }) => output,
                    other => {
                        return Err(TestCaseError::fail(format!(
                            "{reason}, but validation says {other:?}"
                        )));
                    }
                };
                prop_assert_eq!(
                    &error[..],
                    &PermissionsCheckFailed {}.abi_encode()[..],
                    "{}",
                    reason
                );
                prop_assert_eq!(ran, [], "refused, but it ran");
                prop_assert!(
                    !finished || !case.0.starts_with(&EXECUTE_WITH_SESSION_KEY[..]),
                    "refused, but executed"
                );
                outcomes.reached(format!("refused: {reason}"));
            }
        }
        Ok(())
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct BundledCalldata {
    world: AccountWorld,
    rules: Rules,
    signer: PrivateKeySigner,
}

impl Property for BundledCalldata {
    type Case = Case;

    const NAME: &'static str = "bundled_calldata";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let mut world = AccountWorld::new(generation, plugin)?;
        let signer = session_key(0);
        let updates = nearly_everything().encode_unchecked()?;
        let add = add_session_key(&NewSessionKey {
            key: signer.address(),
            tag: B256::ZERO,
            permissions: updates,
        });
        let (owner, account) = (world.owner.address(), world.account);
        let sent = world.send(owner, account, add, START)?;
        ensure!(
            sent == Sent::Done,
            "the key that all cases use is not added: {sent:?}"
        );
        // Enough for nearly every call.
        world.chain.set_balance(account, WEI);
        world.keep();
        let rules = Rules {
            generation,
            account,
            session_key: signer.address(),
            plugin: world.stack.session_key_plugin,
            module: world.stack.multi_owner_plugin,
        };
        Ok(Self { world, rules, signer })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        any_call_data(&self.rules)
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let Self { world, rules, signer } = self;
        let Rules {
            account,
            plugin,
            session_key,
            ..
        } = *rules;
        let error = |error: ChainError| TestCaseError::fail(error.to_string());
        world.reset().map_err(error)?;
        let gas = U256::from(2_000_000);
        let mut operation = UserOperation {
            version: world.account_generation.entry_point_version(),
            sender: account,
            nonce: world.nonce_key(session_key, None) << 64,
            call_data: case.0.clone(),
            call_gas_limit: gas,
            verification_gas_limit: gas,
            ..Default::default()
        };
        world
            .sign(&mut operation, signer)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        operation.signature = world.formed(&operation.signature);
        let trace = world.trace_ops(&[operation]).map_err(error)?;

        let decoded = decode_execute_with_session_key(&case.0);
        let allowed = match &decoded {
            Ok((calls, named)) => rules.may_run(calls, *named).map(|()| calls),
            Err(error) => Err(malformed(error)),
        };
        // What the account calls, but for its plugins.
        let ran: Vec<Call> = trace
            .iter()
            .filter(|call| call.kind == CallKind::Call && call.from == account && call.to != Some(plugin))
            .filter_map(|call| Some(Call::new(call.to?, call.input.clone()).with_value(call.value?)))
            .collect();
        let calls = match allowed {
            Ok(calls) => calls,
            Err(reason) => {
                prop_assert!(trace.failed(), "{}, but the bundle is included", reason);
                let revert = Revert::decode(&trace.output);
                let function_missing = matches!(decoded, Err(CallDataError::OtherFunction(_)));
                let agree = match revert.aa_code() {
                    Some(AaCode::AccountReverted) => true,
                    // An owner's function is refused for its signature.
                    Some(AaCode::AccountSignature) => function_missing,
                    _ => false,
                };
                prop_assert!(agree, "{}, but: {}", reason, revert);
                prop_assert_eq!(ran, [], "refused, but it ran");
                outcomes.reached(format!("refused: {reason}"));
                return Ok(());
            }
        };
        prop_assert!(
            !trace.failed(),
            "may run, but the bundle is refused: {}",
            Revert::decode(&trace.output)
        );
        let execution = trace
            .iter()
            .find(|call| {
                call.from == world.stack.entry_point && call.to == Some(account) && call.input == case.0
            })
            .ok_or_else(|| TestCaseError::fail("included, but not executed"))?;
        let wei = calls
            .iter()
            .map(|call| call.value)
            .fold(U256::ZERO, U256::saturating_add);
        if let Some((why, error)) = rules.refusal(calls) {
            prop_assert!(execution.failed(), "executed, but {}", why);
            prop_assert_eq!(&execution.output, &error, "{}", why);
            prop_assert_eq!(ran, [], "ran, but {}", why);
            outcomes.reached(format!("accepted: refused in execution, {why}"));
        } else if wei > WEI {
            prop_assert!(execution.failed(), "spent more wei than there are");
            outcomes.reached("accepted: a call cannot be paid for");
        } else if execution.failed() && calls.iter().any(|call| is_precompile(call.target)) {
            prop_assert!(
                calls.starts_with(&ran),
                "ran (right) what was not validated (left)"
            );
            outcomes.reached("accepted: a precompile refuses its input");
        } else {
            prop_assert!(
                !execution.failed(),
                "validated, but: {}",
                Revert::decode(&execution.output)
            );
            prop_assert_eq!(&ran, calls, "what ran (left) is not what was validated (right)");
            let canonical = case.0 == execute_with_session_key(calls, session_key);
            let form = if canonical { "canonical" } else { "another" };
            outcomes.reached(format!("accepted: {} calls, {form} encoding", calls.len().min(4)));
        }
        Ok(())
    }
}

/// Whether it is one of the EVM's own contracts, some of which refuse some input.
fn is_precompile(address: Address) -> bool {
    U256::from_be_slice(address.as_slice()) <= U256::from(0x11)
}

/// Permissions that leave few rules.
fn nearly_everything() -> PermissionUpdates {
    PermissionUpdates::new()
        .access_control_type(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw)
        .erc20_spend_limit(LIMITED_TOKEN, SpendLimit::total(TOKEN_LIMIT), LimitChange::Raw)
}

/// What validation says of call data.
fn validate(world: &World, call_data: &Bytes) -> Result<Bytes, ChainError> {
    let operation = world.operation(call_data.clone(), SESSION_KEY);
    let validate = world.validation(operation, B256::ZERO);
    world.chain.call(&world.as_account(validate))
}

/// The calls that the account is asked to make when it passes these bytes on to the plugin, as it does in the
/// execution of an operation; and what it returns or, as an error, reverts with.
fn execute(world: &World, call_data: &Bytes) -> Result<(Vec<Call>, Result<Bytes, Bytes>), TestCaseError> {
    let trace = world
        .chain
        .trace(&world.as_account(call_data.clone()), &CallOptions::default())
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let calls = world
        .asked_for(&trace)
        .map_err(|error| TestCaseError::fail(format!("a call of the account that is none: {error}")))?;
    let output = trace.output.clone();
    Ok((calls, if trace.failed() { Err(output) } else { Ok(output) }))
}

/// What calls spend of the limited token. They must be allowed.
fn spent(calls: &[Call]) -> U256 {
    calls
        .iter()
        .filter(|call| call.target == LIMITED_TOKEN)
        .map(|call| U256::from_be_slice(&call.data[36..68]))
        .fold(U256::ZERO, U256::saturating_add)
}

fn malformed(error: &CallDataError) -> String {
    match error {
        CallDataError::OtherFunction(_) => "another function".into(),
        // Which of the calls it is does not make another outcome.
        error => error.to_string().replace(|c: char| c.is_ascii_digit(), "#"),
    }
}
