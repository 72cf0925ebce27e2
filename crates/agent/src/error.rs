//! Why a request was not served.

use crate::{ledger::LedgerError, rules::AgentViolation};
use serde::Serialize;
use session_key_client::{
    OperationError,
    operation::{Advice, Happened},
    permissions::Verdict,
};
use std::fmt;

/// The agent's own rules do not allow the calls. Nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Every broken rule.
    pub violations: Vec<AgentViolation>,
    /// When the calls would pass all of them, unix seconds, if nothing else is spent meanwhile.
    /// `None`: never unchanged.
    pub passes_from: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(violations: Vec<AgentViolation>) -> Self {
        let times = violations.iter().map(AgentViolation::passes_from);
        let passes_from = times
            .collect::<Option<Vec<u64>>>()
            .and_then(|times| times.into_iter().max());
        Self {
            violations,
            passes_from,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        write!(f, "the agent's rules do not allow it: {}", texts.join("; "))
    }
}

/// A request was not served, or it is not known that it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The agent's own rules do not allow the calls.
    #[error("{0}")]
    Rules(Refusal),

    /// The ledger failed. Nothing was signed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),

    /// The operation was refused, failed, or is not decided yet.
    #[error(transparent)]
    Operation(#[from] OperationError),

    /// The task that worked on it has ended with the runtime. The journal knows what was signed.
    #[error("the task that worked on the request is gone")]
    Gone,
}

impl AgentError {
    /// Returns a stable code, whose meaning never changes: the client's, or one of the agent's own.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rules(_) => "agent_rules",
            Self::Ledger(_) => "ledger_failed",
            Self::Operation(error) => error.code(),
            Self::Gone => "task_gone",
        }
    }

    /// Returns whether anything happened.
    pub const fn happened(&self) -> Happened {
        match self {
            Self::Rules(_) | Self::Ledger(_) => Happened::No,
            Self::Operation(error) => error.happened(),
            Self::Gone => Happened::Unknown,
        }
    }

    /// Returns what to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Rules(refusal) => match refusal.passes_from {
                Some(at) => Advice::TryAgainFrom { at },
                None => Advice::Change,
            },
            Self::Ledger(LedgerError::Store { .. }) => Advice::TryAgain { after: 2 },
            Self::Ledger(_) => Advice::Change,
            Self::Operation(error) => error.advice(),
            Self::Gone => Advice::Settle,
        }
    }

    /// Returns the verdict of the chain's rules, if the key's permissions do not allow the calls.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Operation(error) => error.verdict(),
            _ => None,
        }
    }

    /// Returns the earliest time at which the same calls would pass, unix seconds, if waiting helps.
    pub fn passes_from(&self) -> Option<u64> {
        match self.advice() {
            Advice::TryAgainFrom { at } => Some(at),
            _ => None,
        }
    }
}
