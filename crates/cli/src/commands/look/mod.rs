//! Commands that read the chain and change nothing.

mod abis;
mod address;
mod call;
mod check;
mod explain;
mod inspect;

pub(crate) use address::{AddressArguments, address};
pub(crate) use check::{CheckArguments, check};
pub(crate) use explain::{ExplainArguments, explain};
pub(crate) use inspect::{BudgetArguments, InspectArguments, budget, inspect};
