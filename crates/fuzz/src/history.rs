//! A history of an account, on the chain and in the model: every transaction is predicted, made, and compared, with all that
//! the views and the contracts say afterwards.

use crate::{
    Outcomes,
    account::{AccountWorld, Bundle, Holdings, Included, RECIPIENT, Sent},
    steps::{
        Action, BundleOperation, Change, FEE, Fee, GAS, KEYS, Key, KeyOperation, Oddity, OwnerAction,
        Predecessor, SELECTORS, Target, session_key,
    },
    views::{Found, with_entries},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, hex, uint},
    signers::local::PrivateKeySigner,
};
use proptest::prelude::*;
use session_key_client::{
    UserOperation,
    calldata::{self, Call, NewSessionKey, UninstallConfig, execute_with_session_key},
    key_list::{KeyList, SENTINEL},
    permissions::{
        PermissionUpdates,
        model::{KeyState, Rule, Verdict, Violation, decode_execute_with_session_key},
    },
    revert::{AaCode, AccountError, PluginError, Revert},
    submit::SignedOperation,
    user_operation::session_key_nonce_key,
};
use session_key_testkit::ChainError;
use std::collections::{BTreeMap, BTreeSet};

/// Order of secp256k1.
const ORDER: U256 = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);

/// An update that no plugin knows.
const NO_UPDATE: [u8; 4] = hex!("dead0001");

/// Gas units that a callback gets which is to fail.
const STARVED: U256 = uint!(100_U256);

pub(crate) fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// The account as the model has it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// What the plugin stores of every key that turns up, registered or not.
    pub(crate) states: BTreeMap<Address, KeyState>,
    /// The registered ones, newest first.
    keys: KeyList,
    /// Whether the account has the plugin.
    installed: bool,
    pub(crate) holdings: Holdings,
}

/// An operation as it is sent, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) signed: SignedOperation,
    /// Who makes it.
    maker: Maker,
}

impl Prepared {
    /// The session key that the operation names; zero for an owner's.
    pub(crate) fn key(&self) -> Address {
        match &self.maker {
            Maker::Key(key) => *key,
            Maker::Owner(_) => Address::ZERO,
        }
    }
}

#[derive(Clone, Debug)]
enum Maker {
    /// The session key that it names.
    Key(Address),
    Owner(OwnerAction),
}

/// What an operation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Everything it asks for.
    Success,
    /// The plugin refuses to execute it.
    Refused(PluginError),
    /// One of its calls fails.
    CallsFail,
    /// The account refuses to execute it: the plugin is gone.
    NoPlugin,
    /// The owner's action is refused.
    ActionFails(Refusal),
}

/// Why an owner's action fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The plugin says so.
    Plugin(PluginError),
    /// The account says so.
    Account(AccountError),
    /// The account has no such function: the plugin is gone.
    NoFunction,
}

impl Refusal {
    fn matches(&self, revert: &Revert) -> bool {
        match (self, revert.root()) {
            (Self::Plugin(expected), Revert::Plugin(found)) => expected == found,
            (Self::Account(expected), Revert::Account(found)) => expected == found,
            // The one in an operation, the other in a transaction.
            (
                Self::NoFunction,
                Revert::Account(
                    AccountError::UnrecognizedFunction { .. }
                    | AccountError::RuntimeValidationFunctionMissing { .. },
                ),
            ) => true,
            _ => false,
        }
    }
}

impl Model {
    /// An account with the plugin, without keys.
    pub(crate) fn new(world: &AccountWorld) -> Result<Self, ChainError> {
        let states = (0..KEYS)
            .map(|index| session_key(index).address())
            .map(|key| (key, KeyState::unregistered(world.account, key)))
            .collect();
        Ok(Self {
            states,
            keys: KeyList::default(),
            installed: true,
            holdings: world.holdings()?,
        })
    }

    /// The states of all keys, whether registered or not.
    pub(crate) fn states(&self) -> Vec<&KeyState> {
        self.states.values().collect()
    }

    pub(crate) fn state(&self, key: Address) -> Option<&KeyState> {
        self.states.get(&key)
    }

    /// The key that was chosen.
    fn choose(&self, key: Key) -> PrivateKeySigner {
        let registered = self.keys.as_slice();
        let pending: Vec<_> = registered
            .iter()
            .filter(|key| self.states[*key].gas_limit.should_reset)
            .copied()
            .collect();
        let (place, among) = match key {
            Key::Number(number) => (number, &[][..]),
            Key::Pending(place) if !pending.is_empty() => (place, &pending[..]),
            Key::Registered(place) | Key::Pending(place) => (place, registered),
        };
        let number = match among.len() {
            0 => place,
            count => (0..KEYS)
                .find(|number| session_key(*number).address() == among[place % count])
                .unwrap_or_default(),
        };
        session_key(number)
    }

    // What an owner does.

    /// The predecessor that the owner gives.
    fn predecessor(&self, predecessor: Predecessor, key: Address) -> B256 {
        match predecessor {
            Predecessor::Right => self.keys.predecessor(key).unwrap_or(SENTINEL),
            Predecessor::Search => B256::ZERO,
            Predecessor::First => SENTINEL,
            Predecessor::Key(index) => B256::right_padding_from(session_key(index).address().as_slice()),
        }
    }

    /// Call data of an owner's action.
    fn call_data(&self, world: &AccountWorld, action: &OwnerAction) -> eyre::Result<Bytes> {
        let address = |index: &usize| session_key(*index).address();
        Ok(match action {
            OwnerAction::Add(key, changes) => calldata::add_session_key(&new_key(world, *key, changes)?),
            OwnerAction::Remove(key, predecessor) => {
                let key = self.choose(*key).address();
                calldata::remove_session_key(key, self.predecessor(*predecessor, key))
            }
            OwnerAction::Rotate(old, predecessor, new) => {
                let old = self.choose(*old).address();
                calldata::rotate_session_key(old, self.predecessor(*predecessor, old), address(new))
            }
            OwnerAction::Update { key, changes, spoilt } => {
                let mut updates = updates(world, changes).encode()?;
                if *spoilt {
                    updates.push(NO_UPDATE.into());
                }
                calldata::update_key_permissions(self.choose(*key).address(), updates)
            }
            OwnerAction::Uninstall { starved } => {
                let config = match starved {
                    true => UninstallConfig {
                        force: true,
                        callback_gas_limit: STARVED,
                        ..Default::default()
                    },
                    false => UninstallConfig::default(),
                };
                calldata::uninstall_plugin(world.stack.session_key_plugin, &config, Bytes::new())
            }
            OwnerAction::Install(keys) => {
                let keys: Vec<_> = keys
                    .iter()
                    .map(|(key, changes)| new_key(world, *key, changes))
                    .collect::<Result<_, _>>()?;
                world.install(&keys)
            }
        })
    }

    /// The owner's action, with this call data, in a block with timestamp `time`: all of it, or nothing.
    fn act(
        &mut self,
        world: &AccountWorld,
        action: &OwnerAction,
        call_data: &Bytes,
        time: u64,
    ) -> Result<(), Refusal> {
        let mut after = self.clone();
        after.try_act(world, action, call_data, time)?;
        *self = after;
        Ok(())
    }

    fn try_act(
        &mut self,
        world: &AccountWorld,
        action: &OwnerAction,
        call_data: &Bytes,
        time: u64,
    ) -> Result<(), Refusal> {
        let address = |index: &usize| session_key(*index).address();
        // The first argument of most actions: the key that was chosen when the call data were made.
        let chosen = Address::from_slice(&call_data[16..36]);
        let plugin = world.stack.session_key_plugin;
        let is_plugins = !matches!(action, OwnerAction::Install(_) | OwnerAction::Uninstall { .. });
        if is_plugins && !self.installed {
            return Err(Refusal::NoFunction);
        }
        match action {
            OwnerAction::Add(key, changes) => self.add(world, address(key), changes, time),
            OwnerAction::Remove(..) => {
                let key = chosen;
                self.require(key)?;
                self.require_predecessor(call_data, key)?;
                self.keys.remove(key).map_err(|_| invalid(key))?;
                self.states
                    .insert(key, KeyState::unregistered(world.account, key));
                Ok(())
            }
            OwnerAction::Rotate(_, _, new) => {
                let (old, new) = (chosen, address(new));
                self.require(old)?;
                self.require_predecessor(call_data, old)?;
                let mut state = self.states[&old].clone();
                self.states
                    .insert(old, KeyState::unregistered(world.account, old));
                self.require_addable(new)?;
                state.session_key = new;
                self.states.insert(new, state);
                self.keys.rotate(old, new).map_err(|_| invalid(old))?;
                Ok(())
            }
            OwnerAction::Update { changes, spoilt, .. } => {
                let key = chosen;
                self.require(key)?;
                self.apply(world, key, changes, time);
                match spoilt {
                    false => Ok(()),
                    true => Err(Refusal::Plugin(PluginError::InvalidPermissionsUpdate {
                        update_selector: NO_UPDATE.into(),
                    })),
                }
            }
            OwnerAction::Uninstall { starved } => {
                if !self.installed {
                    return Err(Refusal::Account(AccountError::PluginNotInstalled { plugin }));
                }
                self.installed = false;
                // The plugin that does not notice keeps what it has, until it is installed again.
                if !starved {
                    self.retire_all();
                }
                Ok(())
            }
            OwnerAction::Install(keys) => {
                if self.installed {
                    return Err(Refusal::Account(AccountError::PluginAlreadyInstalled { plugin }));
                }
                self.installed = true;
                self.retire_all();
                for (key, changes) in keys {
                    self.add(world, address(key), changes, time)?;
                }
                Ok(())
            }
        }
    }

    fn require(&self, key: Address) -> Result<(), Refusal> {
        match self.states[&key].registered {
            true => Ok(()),
            false => Err(invalid(key)),
        }
    }

    fn require_addable(&self, key: Address) -> Result<(), Refusal> {
        match self.states[&key].registered {
            true => Err(invalid(key)),
            false => Ok(()),
        }
    }

    /// The second argument of `removeSessionKey` and `rotateSessionKey`.
    fn require_predecessor(&self, call_data: &Bytes, key: Address) -> Result<(), Refusal> {
        let given = B256::from_slice(&call_data[36..68]);
        match given.is_zero() || self.keys.predecessor(key) == Ok(given) {
            true => Ok(()),
            false => Err(invalid(key)),
        }
    }

    fn add(
        &mut self,
        world: &AccountWorld,
        key: Address,
        changes: &[Change],
        time: u64,
    ) -> Result<(), Refusal> {
        self.require_addable(key)?;
        self.states.insert(key, KeyState::fresh(world.account, key));
        self.keys.add(key);
        self.apply(world, key, changes, time);
        Ok(())
    }

    fn apply(&mut self, world: &AccountWorld, key: Address, changes: &[Change], time: u64) {
        if let Some(state) = self.states.get_mut(&key) {
            state
                .apply(&updates(world, changes), time)
                .expect("generated updates have an encoding");
        }
    }

    /// What an operation of this key made of a pending gas reset.
    fn pending_reset(&self, key: Address, after: &Self) -> Option<&'static str> {
        let is_pending = |model: &Self| {
            model
                .states
                .get(&key)
                .is_some_and(|state| state.gas_limit.should_reset)
        };
        is_pending(self).then(|| match is_pending(after) {
            true => "still pending after an execution that failed",
            false => "settled by execution",
        })
    }

    fn retire_all(&mut self) {
        self.keys = KeyList::default();
        for (key, state) in &mut self.states {
            *state = KeyState::unregistered(state.account, *key);
        }
    }

    // Operations.

    /// Puts a session key's operation together, and signs it. `before`: operations of the same bundle that come first.
    pub(crate) fn prepare(
        &self,
        world: &AccountWorld,
        random: &KeyOperation,
        before: &[Prepared],
        time: u64,
    ) -> eyre::Result<Prepared> {
        let own = self.choose(random.key);
        let key = own.address();
        let state = &self.states[&key];
        let calls: Vec<Call> = random
            .calls
            .iter()
            .map(|call| call.call(world, state, time))
            .collect();
        let calls = match random.odd {
            Some(Oddity::NoCalls) => Vec::new(),
            _ => calls,
        };
        let gas = U256::from(GAS);
        let mut operation = UserOperation {
            sender: world.account,
            call_data: execute_with_session_key(&calls, key),
            call_gas_limit: gas,
            verification_gas_limit: gas,
            pre_verification_gas: gas,
            ..Default::default()
        };
        if let Some(index) = random.paymaster {
            operation.paymaster_and_data = world.paymasters[index % 2].to_vec().into();
        }
        match random.fee {
            Fee::Free => {}
            Fee::Usual => operation.max_fee_per_gas = U256::from(FEE),
            Fee::Cost(cost) => {
                operation.max_fee_per_gas = U256::from(1);
                let others = UserOperation {
                    pre_verification_gas: U256::ZERO,
                    ..operation.clone()
                };
                let left = state.gas_limit.info.remaining(time);
                // As far as the deposit can pay.
                operation.pre_verification_gas = cost
                    .of(left)
                    .checked_sub(others.max_cost().unwrap_or_default())
                    .filter(|gas| gas.bit_len() <= 90)
                    .unwrap_or(gas);
            }
        }
        let mut lane = U256::from(session_key_nonce_key(key));
        match random.odd {
            Some(Oddity::LaneOfKey(index)) => {
                lane = U256::from(session_key_nonce_key(session_key(index).address()));
            }
            Some(Oddity::Lane(number)) => lane = U256::from(number),
            _ => {}
        }
        if let Some(odd) = &random.odd {
            make_odd(world, &mut operation, odd);
        }
        operation.nonce = next_nonce(world, operation.sender, lane, before)?;
        let other;
        let signer = match random.odd {
            Some(Oddity::SignedByKey(index)) => {
                other = session_key(index);
                &other
            }
            Some(Oddity::SignedByOwner) => &world.owner,
            _ => &own,
        };
        let hash = world.sign(&mut operation, signer)?;
        if let Some(odd) = &random.odd {
            operation.signature = spoil(&operation.signature, odd);
        }
        // The key that it names is what the bytes say.
        let named = match decode_execute_with_session_key(&operation.call_data) {
            Ok((_, named)) => named,
            Err(_) => key,
        };
        Ok(Prepared {
            signed: SignedOperation { operation, hash },
            maker: Maker::Key(named),
        })
    }

    fn prepare_owners(
        &self,
        world: &AccountWorld,
        action: &OwnerAction,
        before: &[Prepared],
    ) -> eyre::Result<Prepared> {
        let gas = U256::from(GAS);
        let mut operation = UserOperation {
            sender: world.account,
            nonce: next_nonce(world, world.account, U256::ZERO, before)?,
            call_data: self.call_data(world, action)?,
            call_gas_limit: gas + gas,
            verification_gas_limit: gas,
            pre_verification_gas: gas,
            max_fee_per_gas: U256::from(FEE),
            ..Default::default()
        };
        let hash = world.sign(&mut operation, &world.owner)?;
        Ok(Prepared {
            signed: SignedOperation { operation, hash },
            maker: Maker::Owner(action.clone()),
        })
    }

    /// The validation of an operation. Returns the EntryPoint's code, and the rules that are broken, if it is refused.
    fn validate(
        &mut self,
        world: &AccountWorld,
        prepared: &Prepared,
        time: u64,
    ) -> Result<(), (AaCode, Vec<Violation>)> {
        let SignedOperation { operation, hash } = &prepared.signed;
        let key = match &prepared.maker {
            Maker::Key(key) => *key,
            Maker::Owner(OwnerAction::Install(_) | OwnerAction::Uninstall { .. }) => return Ok(()),
            Maker::Owner(_) if self.installed => return Ok(()),
            Maker::Owner(_) => return Err((AaCode::AccountReverted, Vec::new())),
        };
        let account = world.account;
        let state = self
            .states
            .entry(key)
            .or_insert_with(|| KeyState::unregistered(account, key));
        let violations = match self.installed {
            true => state.execute_validation(operation, Some(*hash), time),
            // What the EntryPoint itself finds comes first.
            false => KeyState::unregistered(account, key).execute_validation(operation, Some(*hash), time),
        };
        if violations.is_empty() {
            return Ok(());
        }
        let code = code(&violations).expect("rules of validation are broken");
        Err((code, violations))
    }

    /// The execution of an operation that was validated.
    fn execute(&mut self, world: &AccountWorld, prepared: &Prepared, time: u64) -> Expected {
        let operation = &prepared.signed.operation;
        let key = match &prepared.maker {
            Maker::Key(key) => *key,
            Maker::Owner(action) => {
                return match self.act(world, action, &operation.call_data, time) {
                    Ok(()) => Expected::Success,
                    Err(refusal) => Expected::ActionFails(refusal),
                };
            }
        };
        if !self.installed {
            return Expected::NoPlugin;
        }
        let (calls, _) =
            decode_execute_with_session_key(&operation.call_data).expect("validated, so it can be decoded");
        let Some(state) = self.states.get_mut(&key) else {
            return Expected::Refused(PluginError::InvalidSessionKey { session_key: key });
        };
        let before = state.clone();
        let violations = state.execute_calls(&calls, time);
        if let Some(error) = error(&violations, world.account, key) {
            return Expected::Refused(error);
        }
        if self.holdings.call(world, &calls) {
            Expected::Success
        } else {
            *state = before;
            Expected::CallsFail
        }
    }
}

fn invalid(key: Address) -> Refusal {
    Refusal::Plugin(PluginError::InvalidSessionKey { session_key: key })
}

fn updates(world: &AccountWorld, changes: &[Change]) -> PermissionUpdates {
    changes.iter().map(|change| change.update(world)).collect()
}

fn new_key(world: &AccountWorld, key: usize, changes: &[Change]) -> eyre::Result<NewSessionKey> {
    Ok(NewSessionKey {
        key: session_key(key).address(),
        tag: B256::ZERO,
        permissions: updates(world, changes).encode()?,
    })
}

fn next_nonce(
    world: &AccountWorld,
    sender: Address,
    lane: U256,
    before: &[Prepared],
) -> Result<U256, ChainError> {
    let earlier = before
        .iter()
        .map(|prepared| &prepared.signed.operation)
        .filter(|operation| operation.sender == sender && operation.nonce >> 64 == lane)
        .count();
    Ok(world.nonce(sender, lane)? + U256::from(earlier))
}

/// Before it is signed.
fn make_odd(world: &AccountWorld, operation: &mut UserOperation, odd: &Oddity) {
    let mut data = operation.call_data.to_vec();
    match odd {
        Oddity::OtherAccount => operation.sender = world.other_account,
        Oddity::Function(function) => data[..4].copy_from_slice(function.as_slice()),
        Oddity::Flip(index, bits) => {
            let index = index.index(data.len());
            data[index] ^= bits;
        }
        Oddity::Cut(bytes) => data.truncate(data.len() - bytes.min(&data.len())),
        Oddity::PaymasterData(length) => {
            let mut paymaster = world.paymasters[0].to_vec();
            paymaster.resize(*length, 0xff);
            operation.paymaster_and_data = paymaster.into();
        }
        Oddity::ExtremeGas { over } => {
            operation.max_fee_per_gas = U256::ZERO;
            let most = (U256::from(1) << 120) - U256::from(1);
            operation.pre_verification_gas = most + U256::from(u64::from(*over));
        }
        _ => {}
    }
    operation.call_data = data.into();
}

/// After it is signed.
fn spoil(signature: &Bytes, odd: &Oddity) -> Bytes {
    let mut bytes = signature.to_vec();
    match odd {
        Oddity::HighS => {
            let s = U256::from_be_slice(&bytes[32..64]);
            bytes[32..64].copy_from_slice(&(ORDER - s).to_be_bytes::<32>());
            bytes[64] = 27 + 28 - bytes[64];
        }
        Oddity::ShortSignature(length) => bytes.truncate((*length).into()),
        Oddity::V(v) => bytes[64] = *v,
        _ => {}
    }
    bytes.into()
}

/// What the EntryPoint says to these broken rules.
fn code(violations: &[Violation]) -> Option<AaCode> {
    Verdict::Refused {
        violations: violations.to_vec(),
    }
    .entry_point_code()
}

/// What the plugin reverts with in execution when these rules are broken: it checks call by call, amounts included, and the
/// native token last.
pub(crate) fn error(violations: &[Violation], account: Address, session_key: Address) -> Option<PluginError> {
    let place = |violation: &Violation| match &violation.rule {
        Rule::KeyNotRegistered { .. } => (0, 0, 0),
        Rule::NativeLimitExceeded(_) => (3, 0, 0),
        Rule::Erc20LimitExceeded { .. } => (2, violation.call.unwrap_or_default(), 1),
        _ => match violation.call {
            Some(call) => (2, call, 0),
            None => (1, 0, 0),
        },
    };
    let first = violations.iter().min_by_key(|violation| place(violation))?;
    Some(match &first.rule {
        Rule::KeyNotRegistered { .. } => PluginError::InvalidSessionKey { session_key },
        Rule::NativeLimitExceeded(_) => PluginError::NativeTokenSpendLimitExceeded { account, session_key },
        Rule::Erc20LimitExceeded { token, .. } => PluginError::ERC20SpendLimitExceeded {
            account,
            session_key,
            token: *token,
        },
        _ => PluginError::PermissionsCheckFailed,
    })
}

/// The chain and the model, side by side.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub(crate) world: &'a mut AccountWorld,
    pub(crate) model: Model,
}

impl<'a> History<'a> {
    /// An account with the plugin, without keys.
    pub(crate) fn begin(world: &'a mut AccountWorld) -> Result<Self, TestCaseError> {
        world.reset().map_err(fail)?;
        let model = Model::new(world).map_err(fail)?;
        Ok(Self { world, model })
    }

    /// One transaction, in a block with this timestamp.
    pub(crate) fn step(
        &mut self,
        action: &Action,
        time: u64,
        outcomes: &mut Outcomes,
    ) -> Result<(), TestCaseError> {
        match action {
            Action::Owner(action) => self.owner_acts(action, time, outcomes)?,
            Action::Stranger(action) => {
                let call_data = self.model.call_data(self.world, action).map_err(fail)?;
                let (account, stranger) = (self.world.account, RECIPIENT);
                let sent = self
                    .world
                    .send(stranger, account, call_data, time)
                    .map_err(fail)?;
                prop_assert!(matches!(sent, Sent::Reverted(_)), "a stranger acts as the owner");
                outcomes.reached("a stranger is refused");
            }
            Action::ResetGas(key) => {
                let key = self.model.choose(*key).address();
                self.reset_gas(key, time, outcomes)?;
            }
            Action::Bundle(operations) => {
                let mut prepared = Vec::new();
                for operation in operations {
                    let next = match operation {
                        BundleOperation::Key(random) => {
                            self.model.prepare(self.world, random, &prepared, time)
                        }
                        BundleOperation::Owner(action) => {
                            self.model.prepare_owners(self.world, action, &prepared)
                        }
                    };
                    prepared.push(next.map_err(fail)?);
                }
                self.bundle(&prepared, time, outcomes)?;
            }
        }
        self.compare()
    }

    fn owner_acts(
        &mut self,
        action: &OwnerAction,
        time: u64,
        outcomes: &mut Outcomes,
    ) -> Result<(), TestCaseError> {
        let call_data = self.model.call_data(self.world, action).map_err(fail)?;
        let expected = self.model.act(self.world, action, &call_data, time);
        let (owner, account) = (self.world.owner.address(), self.world.account);
        let sent = self.world.send(owner, account, call_data, time).map_err(fail)?;
        let agree = match (&expected, &sent) {
            (Ok(()), Sent::Done) => true,
            (Err(refusal), Sent::Reverted(revert)) => refusal.matches(revert),
            _ => false,
        };
        prop_assert!(
            agree,
            "the owner's action: expected {:?}, found {:?}",
            expected,
            sent
        );
        outcomes.reached(acted("owner", action, expected.is_ok()));
        Ok(())
    }

    fn reset_gas(&mut self, key: Address, time: u64, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let (account, plugin) = (self.world.account, self.world.stack.session_key_plugin);
        let call_data = calldata::reset_session_key_gas_limit_timestamp(account, key);
        let sent = self
            .world
            .send(RECIPIENT, plugin, call_data, time)
            .map_err(fail)?;
        let state = self.model.states.get_mut(&key).ok_or_else(|| fail("no state"))?;
        let kind = if !state.registered {
            prop_assert_eq!(
                sent,
                Sent::Reverted(Revert::Plugin(PluginError::InvalidSessionKey {
                    session_key: key
                }))
            );
            "no such key"
        } else {
            prop_assert_eq!(sent, Sent::Done);
            let pending = state.gas_limit.should_reset;
            state.settle_gas_reset(time);
            match pending {
                true => "settled by anyone",
                false => "none is pending",
            }
        };
        outcomes.reached(format!("gas reset: {kind}"));
        Ok(())
    }

    /// `handleOps`, on the chain and in the model. Returns what became of each operation; none, when the bundle is refused.
    pub(crate) fn bundle(
        &mut self,
        prepared: &[Prepared],
        time: u64,
        outcomes: &mut Outcomes,
    ) -> Result<Vec<Expected>, TestCaseError> {
        let operations: Vec<UserOperation> = prepared
            .iter()
            .map(|prepared| prepared.signed.operation.clone())
            .collect();
        let bundle = self.world.handle_ops(&operations, time).map_err(fail)?;

        // The EntryPoint validates all of them before it executes the first.
        let mut after = self.model.clone();
        for (index, one) in prepared.iter().enumerate() {
            if let Err((code, violations)) = after.validate(self.world, one, time) {
                let rules: Vec<_> = violations.iter().map(Violation::to_string).collect();
                let Bundle::Refused {
                    index: at,
                    code: found,
                } = bundle
                else {
                    return Err(fail(format!(
                        "operation {index} should be refused ({code}: {rules:?}), but: {bundle:?}"
                    )));
                };
                // Of this one the EntryPoint does not say which operation it is.
                let says = code != AaCode::InvalidPaymasterAndData && code != AaCode::GasValuesOverflow;
                prop_assert_eq!(
                    at,
                    says.then_some(index),
                    "which operation is refused; {:?}",
                    rules
                );
                let function_missing = violations
                    .iter()
                    .any(|violation| matches!(violation.rule, Rule::NotExecuteWithSessionKey { .. }));
                // An owner's function is refused for its signature.
                let agree = found == code || function_missing && found == AaCode::AccountSignature;
                prop_assert!(agree, "expected {} ({:?}), found {}", code, rules, found);
                outcomes.reached(format!("validation: {found}"));
                for violation in &violations {
                    outcomes.reached(format!("broken in validation: {}", violation.code()));
                }
                return Ok(Vec::new());
            }
        }
        let included = match bundle {
            Bundle::Included(included) => included,
            Bundle::Refused { index, code } => {
                return Err(fail(format!(
                    "refused with {code} ({index:?}), but no rule is broken"
                )));
            }
        };
        prop_assert_eq!(included.len(), prepared.len(), "operations included");
        let mut results = Vec::new();
        for (one, found) in prepared.iter().zip(&included) {
            let SignedOperation { operation, hash } = &one.signed;
            prop_assert_eq!(found.hash, *hash, "hash");
            let before = after.clone();
            let expected = after.execute(self.world, one, time);
            prop_assert!(
                agrees(&expected, found),
                "execution: expected {:?}, found {:?} {}",
                expected,
                found,
                Revert::decode(&found.revert_data)
            );
            if operation.paymaster_and_data.is_empty() {
                after.holdings.deposit -= found.cost;
            }
            outcomes.reached(match &one.maker {
                Maker::Owner(action) => acted("owner's operation", action, expected == Expected::Success),
                Maker::Key(_) => format!("execution: {}", executed(&expected)),
            });
            if let Some(kind) = before.pending_reset(one.key(), &after) {
                outcomes.reached(format!("gas reset: {kind}"));
            }
            results.push(expected);
        }
        if prepared.len() > 1 {
            let makers: BTreeSet<_> = prepared.iter().map(Prepared::key).collect();
            outcomes.reached(format!(
                "bundle: {} operations of {}",
                prepared.len(),
                makers.len()
            ));
        }
        self.model = after;
        Ok(results)
    }

    /// Every view and every balance is as the model says.
    pub(crate) fn compare(&self) -> Result<(), TestCaseError> {
        let contracts = Target::ALL.map(|target| target.address(self.world));
        let expected: Vec<KeyState> = self
            .model
            .states
            .values()
            .map(|state| with_entries(state, &contracts, &SELECTORS))
            .collect();
        let Found {
            keys,
            predecessors,
            states,
        } = self.world.read(&expected).map_err(fail)?;
        for (found, expected) in states.iter().zip(&expected) {
            prop_assert_eq!(
                found,
                expected,
                "the chain (left) differs from the model (right) of {}",
                expected.session_key
            );
        }
        prop_assert_eq!(&keys[..], self.model.keys.as_slice(), "keys");
        let known: Vec<_> = expected
            .iter()
            .map(|state| self.model.keys.predecessor(state.session_key).ok())
            .collect();
        prop_assert_eq!(predecessors, known, "predecessors");
        let holdings = self.world.holdings().map_err(fail)?;
        prop_assert_eq!(
            &holdings,
            &self.model.holdings,
            "the account holds (left) not what it should (right)"
        );
        Ok(())
    }
}

fn agrees(expected: &Expected, found: &Included) -> bool {
    let revert = Revert::decode(&found.revert_data);
    if found.success {
        return *expected == Expected::Success;
    }
    match expected {
        Expected::Success => false,
        Expected::Refused(error) => revert == Revert::Plugin(error.clone()),
        Expected::CallsFail => !matches!(revert, Revert::Plugin(_)),
        Expected::NoPlugin => matches!(revert, Revert::Account(AccountError::UnrecognizedFunction { .. })),
        Expected::ActionFails(refusal) => refusal.matches(&revert),
    }
}

fn executed(expected: &Expected) -> String {
    match expected {
        Expected::Success => "success".into(),
        Expected::CallsFail => "a call fails".into(),
        Expected::NoPlugin => "the plugin is gone".into(),
        Expected::ActionFails(_) => "the owner's action fails".into(),
        Expected::Refused(error) => match error {
            PluginError::ERC20SpendLimitExceeded { .. } => "over a token's limit".into(),
            PluginError::NativeTokenSpendLimitExceeded { .. } => "over the native limit".into(),
            PluginError::InvalidSessionKey { .. } => "the key is gone".into(),
            _ => "no longer permitted".into(),
        },
    }
}

fn acted(who: &str, action: &OwnerAction, done: bool) -> String {
    let what = match action {
        OwnerAction::Add(..) => "add",
        OwnerAction::Remove(..) => "remove",
        OwnerAction::Rotate(_, _, _) => "rotate",
        OwnerAction::Update { .. } => "update",
        OwnerAction::Uninstall { starved: false } => "uninstall",
        OwnerAction::Uninstall { starved: true } => "starved uninstall",
        OwnerAction::Install(_) => "install",
    };
    let done = if done { "done" } else { "refused" };
    format!("{who}: {what}, {done}")
}
