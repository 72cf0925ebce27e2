//! Verdicts on a session key's operations before and after they are sent: reads the state of a key from the
//! chain for the [model](session_key_permissions::model).
//!
//! [`explain`] reads the state that an operation touches, and checks; [`explain_failure`] does so afterwards,
//! on the state before the block, replaying everything that touched the key earlier in the block;
//! [`explain_hash`] finds the operation first.

mod by_hash;
mod carried;
mod failure;
mod load;
mod replay;

pub use by_hash::{Became, ExplainOptions, Explanation, NotFound, explain_hash};
pub use failure::{Failure, explain_failure};
pub use load::{explain, load, load_for_calls, rule_set};
pub(crate) use load::{load_modules, load_rule_set};
