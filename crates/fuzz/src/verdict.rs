//! `verdict`: what the model says of an operation is what the EntryPoint and the account make of it: refused
//! in validation, and with which code; executed, or refused then, and with which error; from when until when
//! it is valid, and what is left of the limits afterwards. Where waiting is said to help, it does, and not a
//! second earlier; where not, it does not.

use crate::{
    Generation, Outcomes, Property,
    account::{AccountWorld, Bundle, START},
    history::{History, fail},
    model::Expected,
    prepared::Prepared,
    steps::{Action, Change, Key, KeyOperation, OwnerAction, Pause},
};
use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolError,
};
use proptest::prelude::*;
use session_key_bindings::ISessionKeyPlugin::{InvalidSignature, PermissionsCheckFailed};
use session_key_client::{
    permissions::{
        AaCode, MAX_SECONDS, SpendLimitInfo,
        model::{KeyState, Phase, Remaining, Rule, Verdict},
    },
    revert::Revert,
};
use session_key_testkit::ChainError;

/// What happens to the key.
#[derive(Clone, Debug)]
pub enum Step {
    /// The owner updates its permissions.
    Update(Vec<Change>),
    /// It makes an operation.
    Operation(KeyOperation),
}

/// A key with permissions, some of whose limits are used already, and its operations.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the key may do from the start.
    pub permissions: Vec<Change>,
    /// What happens, each so much later than the one before.
    pub steps: Vec<(Pause, Step)>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Verdicts {
    world: AccountWorld,
}

impl Property for Verdicts {
    type Case = Case;

    const NAME: &'static str = "verdict";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = AccountWorld::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let step = prop_oneof![
            1 => Change::any_few().prop_map(Step::Update),
            8 => KeyOperation::any(Just(Key::Number(0)), 0.25).prop_map(Step::Operation),
        ];
        (
            Change::any_permissions(),
            prop::collection::vec((Pause::any(), step), 1..6),
        )
            .prop_map(|(permissions, steps)| Case { permissions, steps })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        check_case(&mut self.world, case, outcomes)
    }
}

fn check_case(world: &mut AccountWorld, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
    let mut history = History::begin(world)?;
    let mut time = START;
    let key = Key::Number(0);
    let add = Action::Owner(OwnerAction::Add(0, case.permissions.clone()));
    history.step(&add, time, &mut Outcomes::default())?;
    for (pause, step) in &case.steps {
        time = pause.until(time, &history.model.states());
        match step {
            Step::Update(changes) => {
                let update = Action::Owner(OwnerAction::Update {
                    key,
                    changes: changes.clone(),
                    spoilt: false,
                });
                history.step(&update, time, &mut Outcomes::default())?;
            }
            Step::Operation(operation) => judge(&mut history, operation, time, outcomes)?,
        }
    }
    Ok(())
}

/// One operation, in a bundle of its own.
fn judge(
    history: &mut History<'_>,
    random: &KeyOperation,
    time: u64,
    outcomes: &mut Outcomes,
) -> Result<(), TestCaseError> {
    let prepared = history
        .model
        .prepare(history.world, random, &[], time)
        .map_err(fail)?;
    let key = prepared.key();
    let unregistered = history.world.unregistered(key);
    let state = history.model.state(key).cloned().unwrap_or(unregistered);
    let verdict = state.check_signed(&prepared.signed, time);
    check_validation(history.world, &prepared, &verdict, time)?;
    check_waiting(history.world, &prepared, &state, &verdict, time, outcomes)?;

    let results = history.bundle(std::slice::from_ref(&prepared), time, &mut Outcomes::default())?;
    let agree = matches!(
        (verdict.phase(), &results[..]),
        (Some(Phase::Validation), [])
            | (
                Some(Phase::Execution),
                [Expected::Refused(_) | Expected::TargetIsModule(_)]
            )
            | (None, [Expected::Success | Expected::CallsFail])
    );
    prop_assert!(agree, "{}, but the chain says {:?}", verdict, results);
    history.compare()?;

    // Judging and advancing the state say the same.
    let mut advanced = state;
    let unsigned = advanced.execute(&prepared.signed.operation, time);
    let is_of_signature = |rule: &Rule| matches!(rule, Rule::WrongSigner { .. } | Rule::MalformedSignature);
    if !verdict
        .violations()
        .iter()
        .any(|violation| is_of_signature(&violation.rule))
    {
        prop_assert_eq!(
            &unsigned,
            &verdict,
            "`execute` (left) differs from `check_signed` (right)"
        );
        if results != [Expected::CallsFail] {
            prop_assert_eq!(history.model.state(key), Some(&advanced), "`execute` (right)");
        }
    }
    match &verdict {
        Verdict::Accepted { remaining, .. } if results == [Expected::Success] => {
            let state = history.model.state(key).ok_or_else(|| fail("no state"))?;
            prop_assert_eq!(remaining, &left(state, time), "what remains");
            outcomes.reached("accepted");
        }
        Verdict::Accepted { .. } => outcomes.reached("accepted, but a call fails"),
        refused => {
            let code = refused.entry_point_code().map_or("", AaCode::as_str);
            outcomes.reached(match refused.phase() {
                Some(Phase::Validation) => format!("refused in validation, {code}"),
                _ => "refused in execution".into(),
            });
            for violation in refused.violations() {
                outcomes.reached(format!("broken in {}: {}", violation.phase, violation.code()));
            }
        }
    }
    Ok(())
}

/// What the account itself answers, of which the EntryPoint shows little.
fn check_validation(
    world: &AccountWorld,
    prepared: &Prepared,
    verdict: &Verdict,
    time: u64,
) -> Result<(), TestCaseError> {
    let signed = &prepared.signed;
    let broken = |is: fn(&Rule) -> bool| verdict.violations().iter().any(|violation| is(&violation.rule));
    // Other functions have other rules.
    if broken(|rule| matches!(rule, Rule::NotExecuteWithSessionKey { .. })) {
        return Ok(());
    }
    let code = verdict.entry_point_code();
    if matches!(
        code,
        Some(AaCode::InvalidPaymasterAndData | AaCode::GasValuesOverflow)
    ) {
        return Ok(());
    }
    let data = match world.validation(&signed.operation, signed.hash) {
        Ok(data) => U256::from_be_slice(&data),
        Err(ChainError::Reverted { output }) => {
            prop_assert_eq!(code, Some(AaCode::AccountReverted), "{}", verdict);
            let is_malformed = broken(|rule| matches!(rule, Rule::MalformedCallData { .. }));
            let expected = if !is_malformed && broken(|rule| matches!(rule, Rule::MalformedSignature)) {
                InvalidSignature {
                    sessionKey: prepared.key(),
                }
                .abi_encode()
            } else {
                PermissionsCheckFailed {}.abi_encode()
            };
            // A v0.8 account wraps what the module says; what it refuses itself, no rule of the
            // module's is about.
            let said = Revert::decode(&output).root().to_bytes();
            prop_assert_eq!(&said[..], &expected[..], "{}", verdict);
            return Ok(());
        }
        Err(error) => return Err(fail(error)),
    };
    let authorizer = data & ((U256::from(1) << 160) - U256::from(1));
    let seconds = |shift: usize| -> u64 { ((data >> shift) & U256::from(MAX_SECONDS)).to() };
    let (valid_until, valid_after) = (seconds(160), seconds(208));
    prop_assert_ne!(code, Some(AaCode::AccountReverted), "{}", verdict);
    let wrong_signer = U256::from(u64::from(code == Some(AaCode::AccountSignature)));
    prop_assert_eq!(authorizer, wrong_signer, "authorizer: {}", verdict);
    if code.is_none() || code == Some(AaCode::ExpiredOrNotDue) {
        let now = data.is_zero()
            || (valid_after <= time && (time <= valid_until || valid_until == 0 && time <= MAX_SECONDS));
        prop_assert_eq!(now, code.is_none(), "valid at {}: {}", time, verdict);
    }
    if let Verdict::Accepted {
        valid_after: after,
        valid_until: until,
        ..
    } = verdict
    {
        prop_assert_eq!((valid_after, valid_until), (*after, *until), "validity");
    }
    Ok(())
}

/// Whether waiting helps.
fn check_waiting(
    world: &mut AccountWorld,
    prepared: &Prepared,
    state: &KeyState,
    verdict: &Verdict,
    time: u64,
    outcomes: &mut Outcomes,
) -> Result<(), TestCaseError> {
    if verdict.is_accepted() {
        return Ok(());
    }
    let mut passes = |at: u64| -> Result<bool, TestCaseError> {
        let snapshot = world.chain.snapshot();
        let bundle = world
            .handle_ops(std::slice::from_ref(&prepared.signed.operation), at)
            .map_err(fail)?;
        world.chain.revert(snapshot).map_err(fail)?;
        Ok(match bundle {
            Bundle::Refused { .. } => false,
            // A call that fails was let through.
            Bundle::Included(included) => included
                .iter()
                .all(|one| one.success || !one.is_plugins_refusal()),
        })
    };
    match verdict.passes_from() {
        Some(from) => {
            prop_assert!(from > time, "refused at {}: {}", time, verdict);
            prop_assert!(passes(from)?, "{}, but it does not pass at {}", verdict, from);
            if from - 1 > time {
                prop_assert!(
                    !passes(from - 1)?,
                    "{}, but it passes at {} already",
                    verdict,
                    from - 1
                );
            }
            outcomes.reached("waiting helps");
        }
        None => {
            // When all that waiting can change has changed, but for the last second that the plugin knows:
            // every interval is over then, even one that has just begun.
            let limits = [&state.native_limit, &state.gas_limit.info]
                .into_iter()
                .chain(state.contracts.values().map(|contract| &contract.token_limit));
            let last = limits
                .filter_map(|limit| limit.refreshes_at())
                .chain([state.time_range.valid_after])
                .max();
            if let Some(last) = last.filter(|last| (time + 1..MAX_SECONDS).contains(last)) {
                prop_assert!(!passes(last)?, "{}, but it passes at {}", verdict, last);
                outcomes.reached("waiting does not help");
            }
        }
    }
    Ok(())
}

/// What is left of every limit: written from the specification, without the model's help.
fn left(state: &KeyState, time: u64) -> Remaining {
    // The plugin keeps 48 bits of the time; of the gas limit, the EntryPoint compares it.
    let plugins_time = time % (MAX_SECONDS + 1);
    let of = |limit: &SpendLimitInfo, time: Option<u64>| {
        let end = (limit.last_used_time + limit.refresh_interval).min(MAX_SECONDS);
        let is_over = limit.refresh_interval != 0 && time.is_some_and(|time| end <= time);
        limit.has_limit.then(|| {
            if is_over {
                limit.limit
            } else {
                limit.limit.checked_sub(limit.limit_used).unwrap_or(U256::ZERO)
            }
        })
    };
    let mut remaining = Remaining::default();
    remaining.native = of(&state.native_limit, Some(plugins_time));
    remaining.gas = of(
        &state.gas_limit.info,
        (!state.gas_limit.should_reset).then_some(time),
    );
    remaining.erc20 = state
        .contracts
        .iter()
        .filter_map(|(token, contract): (&Address, _)| {
            Some((*token, of(&contract.token_limit, Some(plugins_time))?))
        })
        .collect();
    remaining
}
