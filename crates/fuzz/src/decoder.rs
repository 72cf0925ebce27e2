//! `decoder`: [`PermissionUpdates::decode`] takes a list of updates if and only if the plugin does, with the
//! same effect; what is refused is refused for the same reason, and changes nothing.

use crate::{
    Generation, Outcomes, Property, World,
    generators::{CONTRACTS, any_later_time, any_selector, any_update, any_word},
};
use alloy::{
    primitives::{Address, Bytes, Selector, U256, address, hex},
    sol_types::{SolCall, SolError},
};
use eyre::ensure;
use proptest::prelude::*;
use session_key_bindings::{
    ISessionKeyPermissionsUpdates as Updates,
    ISessionKeyPlugin::{self, InvalidPermissionsUpdate, InvalidToken},
};
use session_key_client::{
    Call,
    permissions::{
        AccessControlType, ERC20_TRANSFER, LimitChange, PermissionError, PermissionUpdate, PermissionUpdates,
        SpendLimit, SpendLimitInfo, execute_with_session_key, model::KeyState,
    },
};
use session_key_testkit::{ChainError, Status};
use std::fmt;

const SESSION_KEY: Address = address!("0x0000000000000000000000000000000000005e55");

/// Names of the updates, by their selectors.
const UPDATES: [(Selector, &str); 8] = [
    (
        Selector::new(Updates::setAccessListTypeCall::SELECTOR),
        "setAccessListType",
    ),
    (
        Selector::new(Updates::updateAccessListAddressEntryCall::SELECTOR),
        "updateAccessListAddressEntry",
    ),
    (
        Selector::new(Updates::updateAccessListFunctionEntryCall::SELECTOR),
        "updateAccessListFunctionEntry",
    ),
    (
        Selector::new(Updates::updateTimeRangeCall::SELECTOR),
        "updateTimeRange",
    ),
    (
        Selector::new(Updates::setNativeTokenSpendLimitCall::SELECTOR),
        "setNativeTokenSpendLimit",
    ),
    (
        Selector::new(Updates::setERC20SpendLimitCall::SELECTOR),
        "setERC20SpendLimit",
    ),
    (
        Selector::new(Updates::setGasSpendLimitCall::SELECTOR),
        "setGasSpendLimit",
    ),
    (
        Selector::new(Updates::setRequiredPaymasterCall::SELECTOR),
        "setRequiredPaymaster",
    ),
];

/// Bytes that may be an update. Shown as selector and words.
#[derive(Clone, PartialEq, Eq)]
pub struct UpdateBytes(Bytes);

impl fmt::Debug for UpdateBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (selector, arguments) = self.0.split_at(self.0.len().min(4));
        f.write_str(&hex::encode_prefixed(selector))?;
        for word in arguments.chunks(32) {
            write!(f, " {}", hex::encode(word))?;
        }
        Ok(())
    }
}

/// A change of bytes that were an update.
#[derive(Clone, Debug)]
enum Mutation {
    SetSelector(Selector),
    SetWord(usize, U256),
    FlipBit(usize),
    Truncate(usize),
    Extend(Vec<u8>),
}

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        let known = prop::sample::select(&UPDATES).prop_map(|(selector, _)| selector);
        prop_oneof![
            1 => prop_oneof![known, any_selector()].prop_map(Self::SetSelector),
            4 => (0usize..3, any_word()).prop_map(|(index, word)| Self::SetWord(index, word)),
            1 => any::<usize>().prop_map(Self::FlipBit),
            2 => (0usize..101).prop_map(Self::Truncate),
            1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Self::Extend),
        ]
    }

    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetSelector(selector) => {
                let length = bytes.len().min(4);
                bytes[..length].copy_from_slice(&selector[..length]);
            }
            Self::SetWord(index, word) => {
                let start = 4 + 32 * index;
                if let Some(slot) = bytes.get_mut(start..start + 32) {
                    slot.copy_from_slice(&word.to_be_bytes::<32>());
                }
            }
            Self::FlipBit(bit) => {
                if !bytes.is_empty() {
                    let bit = bit % (8 * bytes.len());
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            Self::Truncate(length) => bytes.truncate(length),
            Self::Extend(more) => bytes.extend(more),
        }
    }
}

fn any_update_bytes() -> impl Strategy<Value = UpdateBytes> {
    let mutated =
        (any_update(), prop::collection::vec(Mutation::any(), 0..3)).prop_map(|(update, mutations)| {
            let mut bytes = update
                .encode_unchecked()
                .expect("generated updates have an encoding")
                .to_vec();
            for mutation in mutations {
                mutation.apply(&mut bytes);
            }
            bytes
        });
    let words = (
        prop::sample::select(&UPDATES),
        prop::collection::vec(any_word(), 0..5),
        0usize..33,
    )
        .prop_map(|((selector, _), words, short)| {
            let mut bytes = selector.to_vec();
            for word in words {
                bytes.extend(word.to_be_bytes::<32>());
            }
            // Half of them end within a word, or before the selector does.
            if short < 17 {
                bytes.truncate(bytes.len().saturating_sub(short));
            }
            bytes
        });
    prop_oneof![
        6 => mutated,
        4 => words,
        1 => prop::collection::vec(any::<u8>(), 0..120),
    ]
    .prop_map(|bytes| UpdateBytes(bytes.into()))
}

/// Updates of a key that has used some of every limit.
#[derive(Clone, Debug)]
pub struct Case {
    /// The elements of `updates`.
    pub updates: Vec<UpdateBytes>,
    /// Unix seconds of the block in which they arrive.
    pub time: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Decoder {
    world: World,
    before: KeyState,
}

impl Property for Decoder {
    type Case = Case;

    const NAME: &'static str = "decoder";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let mut world = World::new(generation, plugin)?;
        let (token, unused) = (CONTRACTS[0], CONTRACTS[2]);
        let limit = SpendLimit::per(U256::from(100), 60);
        let updates = PermissionUpdates::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .native_token_spend_limit(limit, LimitChange::Raw)
            .erc20_spend_limit(token, limit, LimitChange::Raw)
            .erc20_spend_limit(unused, limit, LimitChange::Raw)
            .gas_spend_limit(limit, LimitChange::Raw);
        world.add_key(SESSION_KEY, updates.encode()?)?.ok()?;

        // Uses some of every limit: 7 wei, 5 base units of the token; gas last, so that its
        // reset stays pending.
        let mut transfer = [0; 68];
        transfer[..4].copy_from_slice(ERC20_TRANSFER.as_slice());
        transfer[67] = 5;
        let calls = [
            Call::transfer(CONTRACTS[1], U256::from(7)),
            Call::new(token, transfer.to_vec()),
        ];
        let call_data = execute_with_session_key(&calls, SESSION_KEY);
        let execute = world.as_account(call_data.clone());
        world.chain.send(execute)?.ok()?;
        for cost in [99, 3] {
            let mut operation = world.operation(call_data.clone(), SESSION_KEY);
            operation.call_gas_limit = U256::from(cost);
            operation.max_fee_per_gas = U256::ONE;
            let validate = world.as_account(world.validation(operation, Default::default()));
            world.chain.send(validate)?.ok()?;
        }
        world.keep();

        let mut footprint = world.fresh(SESSION_KEY);
        for contract in CONTRACTS.into_iter().chain([Address::ZERO]) {
            footprint
                .contracts
                .entry(contract)
                .or_default()
                .functions
                .insert(Selector::ZERO, false);
        }
        let before = world.read_state(&footprint)?;
        let used = |limit: &SpendLimitInfo| limit.limit_used;
        ensure!(
            used(&before.native_limit) == 7
                && used(&before.contracts[&token].token_limit) == 5
                && used(&before.gas_limit.info) == 3
                && before.gas_limit.should_reset
                && (before.contracts[&unused].token_limit.last_used_time == 0) == generation.is_v08(),
            "the limits of the key that all cases start from are not used as planned: {before:?}"
        );
        Ok(Self { world, before })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let updates = prop_oneof![
            4 => prop::collection::vec(any_update_bytes(), 1),
            1 => prop::collection::vec(any_update_bytes(), 0..4),
        ];
        (updates, any_later_time(self.world.chain.timestamp()))
            .prop_map(|(updates, time)| Case { updates, time })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let Self { world, before } = self;
        let fail = |error: ChainError| TestCaseError::fail(error.to_string());
        world.reset().map_err(fail)?;
        world.chain.set_next_timestamp(case.time).map_err(fail)?;
        let updates: Vec<Bytes> = case.updates.iter().map(|update| update.0.clone()).collect();
        let execution = world
            .send(&ISessionKeyPlugin::updateKeyPermissionsCall {
                sessionKey: SESSION_KEY,
                updates: updates.clone(),
            })
            .map_err(fail)?;

        match PermissionUpdates::decode(&updates) {
            Ok(decoded) => {
                prop_assert!(
                    execution.is_success(),
                    "decoded as {:?}, but the plugin refuses: {:?} {}",
                    decoded.as_slice(),
                    execution.status,
                    execution.output
                );
                for (update, bytes) in decoded.as_slice().iter().zip(&updates) {
                    let encoded = update
                        .encode_unchecked()
                        .map_err(|error| TestCaseError::fail(error.to_string()))?;
                    prop_assert_eq!(&bytes[..encoded.len()], &encoded[..], "encodes differently");
                    outcomes.reached(applied(update, bytes.len() > encoded.len()));
                }
                let mut expected = before.clone();
                expected
                    .apply(&decoded, case.time)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
                let found = world.read_state(&expected).map_err(fail)?;
                prop_assert_eq!(found, expected, "the chain (left) differs from the model (right)");
            }
            Err(error) => {
                prop_assert_eq!(
                    execution.status,
                    Status::Reverted,
                    "the plugin takes it, but decoding fails: {}",
                    error
                );
                prop_assert_eq!(
                    execution.output,
                    revert_data(&error),
                    "reverts not as expected for: {}",
                    error
                );
                let found = world.read_state(before).map_err(fail)?;
                prop_assert_eq!(&found, &*before, "refused, but changed something");
                outcomes.reached(refused(&error));
            }
        }
        Ok(())
    }
}

/// What the plugin reverts with where decoding fails like this. Solidity's own decoder reverts without data.
fn revert_data(error: &PermissionError) -> Bytes {
    match error {
        PermissionError::UnknownUpdate(selector) => InvalidPermissionsUpdate {
            updateSelector: *selector,
        }
        .abi_encode()
        .into(),
        PermissionError::InvalidToken(token) => InvalidToken { token: *token }.abi_encode().into(),
        _ => Bytes::new(),
    }
}

fn name(selector: Selector) -> &'static str {
    UPDATES
        .iter()
        .find_map(|(known, name)| (*known == selector).then_some(*name))
        .unwrap_or("an unknown update")
}

fn applied(update: &PermissionUpdate, trailing: bool) -> String {
    let detail = match update {
        PermissionUpdate::NativeTokenSpendLimit(limit) | PermissionUpdate::GasSpendLimit(limit)
            if limit.is_unlimited() =>
        {
            ", no limit"
        }
        PermissionUpdate::Erc20SpendLimit(limit) if limit.limit.is_unlimited() => ", no limit",
        PermissionUpdate::RequiredPaymaster(paymaster) if paymaster.is_zero() => ", none",
        _ => "",
    };
    let trailing = if trailing { ", data follows" } else { "" };
    format!("applied: {}{detail}{trailing}", name(update.selector()))
}

fn refused(error: &PermissionError) -> String {
    match error {
        PermissionError::UnknownUpdate(selector) if selector[3] == 0 => {
            "refused: unknown or short selector".into()
        }
        PermissionError::UnknownUpdate(_) => "refused: unknown selector".into(),
        PermissionError::InvalidToken(_) => "refused: the zero token".into(),
        PermissionError::InvalidAccessControlType(_) => "refused: access control type".into(),
        PermissionError::ShortArguments { selector, .. } => {
            format!("refused: {}, short arguments", name(*selector))
        }
        PermissionError::MalformedArgument { selector, index, .. } => {
            format!("refused: {}, argument {index}", name(*selector))
        }
        error => format!("refused: {error}"),
    }
}
