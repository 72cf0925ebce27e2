//! `calldata`: the calls that validation saw are the calls that run, whatever the bytes: those that Rust decodes. What
//! validation refuses, execution refuses too, and then nothing runs.

use crate::{
    ACCOUNT, Outcomes, Property, World,
    generators::{CONTRACTS, any_word},
    world::operation,
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    sol_types::{SolCall, SolError},
};
use proptest::prelude::*;
use session_key_bindings::{
    ENTRY_POINT, IModularAccount::executeFromPluginExternalCall, IPlugin,
    ISessionKeyPlugin::PermissionsCheckFailed,
};
use session_key_client::{
    calldata::{Call, EXECUTE_WITH_SESSION_KEY, execute_with_session_key},
    permissions::{
        AccessControlType, ERC20_APPROVE, ERC20_TRANSFER, PermissionUpdates, SpendLimit,
        model::{CallDataError, decode_execute_with_session_key},
    },
};
use session_key_testkit::{CallOptions, ChainError};
use std::fmt;

const SESSION_KEY: Address = address!("0x0000000000000000000000000000000000005e55");

/// The token whose amounts are counted.
const LIMITED_TOKEN: Address = CONTRACTS[0];

/// The largest limit that there is.
const TOKEN_LIMIT: U256 = U256::MAX.wrapping_sub(U256::ONE);

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
    /// It becomes what the number of bytes from some word to the end is, less this. Offsets and lengths end there.
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

fn any_call() -> impl Strategy<Value = Call> {
    let target = prop_oneof![
        8 => prop::sample::select(&CONTRACTS),
        1 => prop::sample::select(&[Address::ZERO, ACCOUNT, ENTRY_POINT]),
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

/// See the [module](self).
#[derive(Debug)]
pub struct Calldata {
    world: World,
}

impl Property for Calldata {
    type Case = Case;

    const NAME: &'static str = "calldata";

    fn prepare() -> eyre::Result<Self> {
        let mut world = World::new()?;
        let updates = PermissionUpdates::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .erc20_spend_limit(LIMITED_TOKEN, SpendLimit::total(TOKEN_LIMIT));
        world.add_key(SESSION_KEY, updates.encode()?)?.ok()?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let session_key = prop_oneof![20 => Just(SESSION_KEY), 1 => Just(CONTRACTS[1])];
        let crafted = (
            prop::collection::vec(any_call(), 0..4),
            session_key,
            prop::collection::vec(Mutation::any(), 0..4),
        )
            .prop_map(|(calls, session_key, mutations)| {
                let mut bytes = execute_with_session_key(&calls, session_key).to_vec();
                for mutation in mutations {
                    mutation.apply(&mut bytes);
                }
                bytes
            });
        // Small words are offsets and lengths everywhere.
        let word = prop_oneof![
            4 => (0u64..8).prop_map(|words| U256::from(32 * words)),
            2 => (0u64..3).prop_map(U256::from),
            1 => Just(SESSION_KEY.into_word().into()),
            1 => any_word(),
        ];
        let words = (prop::collection::vec(word, 0..14), 0usize..64).prop_map(|(mut words, short)| {
            if let Some(word) = words.get_mut(1) {
                *word = SESSION_KEY.into_word().into();
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

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let world = &self.world;
        let fail = |error: ChainError| TestCaseError::fail(error.to_string());
        let validation = validate(world, &case.0);
        let (ran, finished) = execute(world, &case.0)?;

        let decoded = decode_execute_with_session_key(&case.0);
        let allowed = match &decoded {
            Ok((calls, session_key)) => may_run(calls, *session_key).map(|()| calls),
            Err(error) => Err(malformed(error)),
        };
        match allowed {
            Ok(calls) => {
                let data = validation.map_err(fail)?;
                // The dummy signature is nobody's; the key has no time range.
                prop_assert_eq!(U256::from_be_slice(&data), U256::ONE, "validation data");
                if spent(calls) > TOKEN_LIMIT {
                    prop_assert!(!finished, "executed over the token's limit");
                    prop_assert_eq!(ran, [], "ran over the token's limit");
                    outcomes.reached("accepted: refused in execution, over the token's limit");
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

/// What validation says of call data.
fn validate(world: &World, call_data: &Bytes) -> Result<Bytes, ChainError> {
    let validate = IPlugin::userOpValidationFunctionCall {
        functionId: 0,
        userOp: operation(call_data.clone(), U256::ZERO),
        userOpHash: B256::ZERO,
    };
    world.chain.call(&world.as_account(validate.abi_encode()))
}

/// The calls that the account is asked to make when it passes these bytes on to the plugin, as it does in the execution of an
/// operation; and whether it came to its end.
fn execute(world: &World, call_data: &Bytes) -> Result<(Vec<Call>, bool), TestCaseError> {
    let trace = world
        .chain
        .trace(&world.as_account(call_data.clone()), &CallOptions::default())
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let mut calls = Vec::new();
    for call in trace.calls.iter().filter(|call| call.to == Some(ACCOUNT)) {
        let arrived = executeFromPluginExternalCall::abi_decode_validate(&call.input)
            .map_err(|error| TestCaseError::fail(format!("a call of the account that is none: {error}")))?;
        calls.push(Call::new(arrived.target, arrived.data).with_value(arrived.value));
    }
    Ok((calls, !trace.failed()))
}

/// The rules that are left to a key which may do nearly everything.
fn may_run(calls: &[Call], session_key: Address) -> Result<(), String> {
    if session_key != SESSION_KEY {
        return Err("the key is not registered".into());
    }
    if calls.is_empty() {
        return Err("no calls".into());
    }
    for call in calls {
        if call.target == ACCOUNT || call.target == ENTRY_POINT {
            return Err("the account or the EntryPoint as target".into());
        }
        let counted = [ERC20_TRANSFER, ERC20_APPROVE].contains(&call.selector()) && call.data.len() >= 68;
        if call.target == LIMITED_TOKEN && !counted {
            return Err("a call of the limited token whose amount is unknown".into());
        }
    }
    Ok(())
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
