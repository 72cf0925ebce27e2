//! The account as it should be: what every action and every operation makes of it, without a chain.

use crate::{
    Generation,
    account::{AccountWorld, Holdings},
    prepared::{Maker, NO_UPDATE, Prepared, updates},
    steps::{Change, KEYS, OwnerAction, session_key},
};
use alloy::primitives::{Address, B256, Bytes};
use session_key_client::{
    SignedOperation,
    key_list::KeyList,
    permissions::{
        AaCode, EXECUTE_WITH_SESSION_KEY,
        model::{KeyState, Rule, Verdict, Violation, decode_execute_with_session_key},
    },
    revert::{AccountError, AccountV08Error, PluginError, Revert},
};
use session_key_testkit::ChainError;
use std::collections::BTreeMap;

/// The account as the model has it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// What the plugin stores of every key that turns up, registered or not.
    pub(crate) states: BTreeMap<Address, KeyState>,
    /// The registered ones, newest first.
    pub(crate) keys: KeyList,
    /// Whether the account has the plugin.
    pub(crate) installed: bool,
    pub(crate) holdings: Holdings,
}

/// What an operation comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Everything it asks for.
    Success,
    /// The plugin refuses to execute it.
    Refused(PluginError),
    /// The module refuses to call another module.
    TargetIsModule(Address),
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
    /// The account says so, of v0.8.
    AccountV08(AccountV08Error),
    /// The account has no such function: the plugin is gone.
    NoFunction,
}

impl Refusal {
    pub(crate) fn matches(&self, revert: &Revert) -> bool {
        match (self, revert.root()) {
            (Self::Plugin(expected), Revert::Plugin(found)) => expected == found,
            (Self::Account(expected), Revert::Account(found)) => expected == found,
            (Self::AccountV08(expected), Revert::AccountV08(found)) => expected == found,
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
            .map(|key| (key, world.unregistered(key)))
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

    /// The owner's action, with this call data, in a block with timestamp `time`: all of it, or nothing.
    pub(crate) fn act(
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
        if !action.is_accounts() && !self.installed {
            return Err(Refusal::NoFunction);
        }
        match action {
            OwnerAction::Add(key, changes) => self.add(world, address(key), changes, time),
            OwnerAction::Remove(..) => {
                let key = chosen;
                self.require(key)?;
                self.require_predecessor(call_data, key)?;
                self.keys.remove(key).map_err(|_| invalid(key))?;
                self.states.insert(key, world.unregistered(key));
                Ok(())
            }
            OwnerAction::Rotate(_, _, new) => {
                let (old, new) = (chosen, address(new));
                self.require(old)?;
                self.require_predecessor(call_data, old)?;
                let mut state = self.states[&old].clone();
                self.states.insert(old, world.unregistered(old));
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
            OwnerAction::Uninstall { starved } => self.uninstall(world, !starved),
            OwnerAction::Dismantle(told) => self.uninstall(world, told.contains(&true)),
            OwnerAction::Reassemble => self.install(world),
            OwnerAction::Install(keys) => {
                self.install(world)?;
                self.retire_all(world);
                for (key, changes) in keys {
                    self.add(world, address(key), changes, time)?;
                }
                Ok(())
            }
        }
    }

    fn uninstall(&mut self, world: &AccountWorld, told: bool) -> Result<(), Refusal> {
        if !self.installed {
            return Err(match world.generation {
                Generation::V07 => Refusal::Account(AccountError::PluginNotInstalled {
                    plugin: world.stack.session_key_plugin,
                }),
                Generation::V08 => Refusal::AccountV08(AccountV08Error::ExecutionFunctionNotSet {
                    selector: EXECUTE_WITH_SESSION_KEY,
                }),
            });
        }
        self.installed = false;
        // The plugin that does not notice keeps what it has, until it is told that it is installed again.
        if told {
            self.retire_all(world);
        }
        Ok(())
    }

    const fn install(&mut self, world: &AccountWorld) -> Result<(), Refusal> {
        if self.installed {
            return Err(Refusal::Account(match world.generation {
                Generation::V07 => AccountError::PluginAlreadyInstalled {
                    plugin: world.stack.session_key_plugin,
                },
                Generation::V08 => AccountError::ExecutionFunctionAlreadySet {
                    selector: EXECUTE_WITH_SESSION_KEY,
                },
            }));
        }
        self.installed = true;
        Ok(())
    }

    fn require(&self, key: Address) -> Result<(), Refusal> {
        if self.states[&key].registered {
            Ok(())
        } else {
            Err(invalid(key))
        }
    }

    fn require_addable(&self, key: Address) -> Result<(), Refusal> {
        if self.states[&key].registered {
            Err(invalid(key))
        } else {
            Ok(())
        }
    }

    /// The second argument of `removeSessionKey` and `rotateSessionKey`.
    fn require_predecessor(&self, call_data: &Bytes, key: Address) -> Result<(), Refusal> {
        let given = B256::from_slice(&call_data[36..68]);
        if given.is_zero() || self.keys.predecessor(key) == Ok(given) {
            Ok(())
        } else {
            Err(invalid(key))
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
        self.states.insert(key, world.fresh(key));
        self.keys.add(key);
        if let Some(state) = self.states.get_mut(&key) {
            state
                .apply_at_addition(&updates(world, changes), time)
                .expect("generated updates have an encoding");
        }
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
    pub(crate) fn pending_reset(&self, key: Address, after: &Self) -> Option<&'static str> {
        let is_pending = |model: &Self| {
            model
                .states
                .get(&key)
                .is_some_and(|state| state.gas_limit.should_reset)
        };
        is_pending(self).then(|| {
            if is_pending(after) {
                "still pending after an execution that failed"
            } else {
                "settled by execution"
            }
        })
    }

    fn retire_all(&mut self, world: &AccountWorld) {
        self.keys = KeyList::default();
        for (key, state) in &mut self.states {
            *state = world.unregistered(*key);
        }
    }

    /// The validation of an operation. Returns the EntryPoint's code, and the rules that are broken, if
    /// it is refused.
    pub(crate) fn validate(
        &mut self,
        world: &AccountWorld,
        prepared: &Prepared,
        time: u64,
    ) -> Result<(), (AaCode, Vec<Violation>)> {
        let SignedOperation { operation, hash } = &prepared.signed;
        let key = match &prepared.maker {
            Maker::Key(key) => *key,
            Maker::Owner(action) if action.is_accounts() || self.installed => return Ok(()),
            Maker::Owner(_) => return Err((AaCode::AccountReverted, Vec::new())),
        };
        let state = self.states.entry(key).or_insert_with(|| world.unregistered(key));
        let violations = if self.installed {
            state.execute_validation(operation, Some(*hash), time)
        } else {
            // The EntryPoint's own checks come first.
            world
                .unregistered(key)
                .execute_validation(operation, Some(*hash), time)
        };
        if violations.is_empty() {
            return Ok(());
        }
        let code = code(&violations).expect("rules of validation are broken");
        Err((code, violations))
    }

    /// The execution of an operation that was validated.
    pub(crate) fn execute(&mut self, world: &AccountWorld, prepared: &Prepared, time: u64) -> Expected {
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
        let mut violations = state.execute_calls(&calls, time);
        // The rules of every call come before the questions to targets.
        let module = violations.iter().find_map(|violation| match violation.rule {
            Rule::TargetIsModule { target } => Some(target),
            _ => None,
        });
        violations.retain(|violation| !matches!(violation.rule, Rule::TargetIsModule { .. }));
        if let Some(error) = error(&violations, world.account, key) {
            return Expected::Refused(error);
        }
        if let Some(target) = module {
            *state = before;
            return Expected::TargetIsModule(target);
        }
        if self.holdings.call(world, &calls) {
            Expected::Success
        } else {
            *state = before;
            Expected::CallsFail
        }
    }
}

const fn invalid(key: Address) -> Refusal {
    Refusal::Plugin(PluginError::InvalidSessionKey { session_key: key })
}

/// What the EntryPoint says to these broken rules.
fn code(violations: &[Violation]) -> Option<AaCode> {
    Verdict::Refused {
        violations: violations.to_vec(),
    }
    .entry_point_code()
}

/// What the plugin reverts with in execution when these rules are broken: it checks call by call, amounts
/// included, then the native token, then the gas limit.
pub(crate) fn error(violations: &[Violation], account: Address, session_key: Address) -> Option<PluginError> {
    let place = |violation: &Violation| match &violation.rule {
        Rule::KeyNotRegistered { .. } => (0, 0, 0),
        Rule::NativeLimitExceeded(_) => (3, 0, 0),
        Rule::GasLimitExceeded { .. } => (4, 0, 0),
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
