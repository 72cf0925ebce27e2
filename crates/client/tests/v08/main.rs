//! The client on ERC-6900 v0.8 accounts with EntryPoint v0.7 and the session key module: the tests that hold for both generations
//! (they are in `../it`), and those of v0.8 accounts alone.

#[path = "../it/fixture.rs"]
mod fixture;

#[path = "../it/gas_limit.rs"]
mod gas_limit;
#[path = "../it/lifecycle.rs"]
mod lifecycle;

/// Of which generation the accounts of the [`fixture`] are.
pub(crate) const IS_V08: bool = true;
