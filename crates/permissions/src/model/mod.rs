//! What the chain will say of a session key's operation, before it is signed: a model of the plugin.
//!
//! [`KeyState`] is everything that the plugin stores about one key. [`KeyState::check`] says whether an operation passes
//! and, if not, every rule that it breaks; [`KeyState::execute`] also advances the state as the chain would. Both are
//! pure: no clock, no chain.
//!
//! The model knows what the plugin knows. It does not know what the called contracts will do, what the account and its
//! deposit hold, whether the nonce is the next of its lane, whether the gas limits suffice, what a paymaster thinks, and
//! which other plugins are installed (the account refuses calls to plugins).

mod call_data;
mod check;
mod narrow;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use call_data::{CallDataError, CallDataPart, decode_execute_with_session_key};
pub use state::{ContractState, KeyState, RuleSet};
pub use verdict::{Phase, Remaining, Rule, Spending, Verdict, Violation};
