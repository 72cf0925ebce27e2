#![doc = include_str!("../README.md")]

mod check;
mod operation;
mod rule;
mod trace;
mod validate;

pub use check::{Policy, Report, Stake, Stakes, Violation, check, opcode_name};
pub use operation::{Operation, Parties, Role};
pub use revm;
pub use rule::Rule;
pub use trace::{Answers, Outcome, Place, StorageKey, StorageUse, Trace, ValidationInspector};
pub use validate::{ValidateError, validate};
