//! `sequence`: a long history of an account, with all that can happen to its session keys: owners who add,
//! remove, rotate and update keys, uninstall the plugin and install it again; operations of several keys and
//! of the owner in one bundle; gas resets; time that jumps to where intervals end. After every transaction
//! every view and every balance is as the model says.

use crate::{
    Generation, Outcomes, Property,
    account::{AccountWorld, START},
    history::History,
    steps::{Action, Change, OwnerAction, Pause},
};
use alloy::primitives::Bytes;
use proptest::prelude::*;
use std::ops::Range;

/// A history: keys that there are from the start, and what happens then.
#[derive(Clone, Debug)]
pub struct Case {
    /// Keys, by their numbers, with their permissions.
    pub keys: Vec<(usize, Vec<Change>)>,
    /// Transactions, each so much later than the one before.
    pub steps: Vec<(Pause, Action)>,
}

/// Histories of so many steps, of an account of this generation.
pub(crate) fn histories(generation: Generation, steps: Range<usize>) -> BoxedStrategy<Case> {
    (
        [
            Change::any_permissions(),
            Change::any_permissions(),
            Change::any_permissions(),
        ],
        prop_oneof![1 => Just(0usize), 8 => 1..4usize],
        prop::collection::vec((Pause::any(), Action::any(generation)), steps),
    )
        .prop_map(|(permissions, keys, steps)| Case {
            keys: permissions.into_iter().enumerate().take(keys).collect(),
            steps,
        })
        .boxed()
}

/// Lives through a history. Returns the time of its end.
pub(crate) fn live(
    history: &mut History<'_>,
    case: &Case,
    outcomes: &mut Outcomes,
) -> Result<u64, TestCaseError> {
    let mut time = START;
    for (key, permissions) in &case.keys {
        let add = Action::Owner(OwnerAction::Add(*key, permissions.clone()));
        history.step(&add, time, outcomes)?;
        time += 1;
    }
    time -= 1;
    for (pause, action) in &case.steps {
        time = pause.until(time, &history.model.states());
        history.step(action, time, outcomes)?;
    }
    Ok(time)
}

/// See the [module](self).
#[derive(Debug)]
pub struct Sequence {
    world: AccountWorld,
}

impl Property for Sequence {
    type Case = Case;

    const NAME: &'static str = "sequence";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = AccountWorld::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        histories(self.world.generation, 1..25)
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let mut history = History::begin(&mut self.world)?;
        live(&mut history, case, outcomes)?;
        Ok(())
    }
}
