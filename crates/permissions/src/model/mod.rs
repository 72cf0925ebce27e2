//! A model of the plugin: tells before signing whether the chain will accept a session key's operation.
//!
//! [`KeyState`] is everything that the plugin stores about one key. [`KeyState::check`] returns whether an
//! operation passes and, if not, every rule that it breaks; [`KeyState::execute`] also advances the state as
//! the chain would. Both are pure: no clock, no chain. Their work is linear in the number of calls.
//!
//! For operations in flight, [`KeyState::reserve`] books the [`Spend`] of each, so the next check counts it;
//! [`KeyState::budgets`] returns what is left of each limit.
//!
//! The model knows what the plugin knows. It does not know what the called contracts will do, what the
//! account and its deposit hold, whether the nonce is the next of its lane, whether the gas limits suffice,
//! whether a paymaster agrees, and which other plugins are installed (the account refuses calls to plugins).

mod call_data;
mod check;
mod narrow;
mod reach;
mod spend;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_module;
mod verdict;

pub use call_data::{CallDataError, CallDataPart, decode_execute_with_session_key};
pub use spend::{Budget, Budgets, Spend, SpendError};
pub use state::{ContractState, KeyState};
pub use verdict::{Phase, Remaining, Rule, Spending, Verdict, Violation};

pub(crate) use check::{has_gas_overflow, recover_signer};
pub(crate) use narrow::range_narrows;
pub(crate) use reach::{calls_of, calls_to, some_address, unlisted_contract};

pub use crate::RuleSet;
