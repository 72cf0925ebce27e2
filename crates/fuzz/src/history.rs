//! A history of an account, on the chain and in the model: every transaction is predicted, made, and
//! compared, with all that the views and the contracts say afterwards.

use crate::{
    Outcomes,
    account::{AccountWorld, Bundle, Included, RECIPIENT, Sent},
    model::{Expected, Model},
    prepared::{Maker, Prepared},
    steps::{Action, BundleOperation, OwnerAction, SELECTORS, Target},
    views::{Found, with_entries},
};
use alloy::primitives::Address;
use proptest::prelude::*;
use session_key_client::{
    SignedOperation, UserOperation, calldata,
    permissions::{
        AaCode,
        model::{KeyState, Rule, Violation},
    },
    revert::{AccountError, ModuleError, PluginError, Revert},
};
use std::collections::BTreeSet;

pub(crate) fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
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
            if pending {
                "settled by anyone"
            } else {
                "none is pending"
            }
        };
        outcomes.reached(format!("gas reset: {kind}"));
        Ok(())
    }

    /// `handleOps`, on the chain and in the model. Returns what became of each operation; none, when the
    /// bundle is refused.
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
        Expected::TargetIsModule(target) => {
            revert == Revert::Module(ModuleError::TargetIsModule { target: *target })
        }
        Expected::CallsFail => !matches!(revert, Revert::Plugin(_) | Revert::Module(_)),
        Expected::NoPlugin => matches!(revert, Revert::Account(AccountError::UnrecognizedFunction { .. })),
        Expected::ActionFails(refusal) => refusal.matches(&revert),
    }
}

fn executed(expected: &Expected) -> String {
    match expected {
        Expected::Success => "success".into(),
        Expected::CallsFail => "a call fails".into(),
        Expected::NoPlugin => "the plugin is gone".into(),
        Expected::TargetIsModule(_) => "a target is a module".into(),
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
        OwnerAction::Dismantle([_, _, false]) => "uninstall, functions quietly",
        OwnerAction::Dismantle(_) => "uninstall, part by part",
        OwnerAction::Reassemble => "quiet install",
    };
    let done = if done { "done" } else { "refused" };
    format!("{who}: {what}, {done}")
}
