#![doc = include_str!("../README.md")]

pub mod calldata;
pub mod decoder;
pub mod encoder;
pub mod generators;
mod outcomes;
mod property;
pub mod user_operation;
mod world;

pub use outcomes::Outcomes;
pub use property::{Failure, Property, Seeded, run_seeds, run_with_regressions};
pub use world::{ACCOUNT, World};
