#![doc = include_str!("../README.md")]

pub mod account;
pub mod calldata;
pub mod covers;
pub mod decoder;
pub mod encoder;
mod generation;
pub mod generators;
mod history;
pub mod inspect;
mod model;
mod outcomes;
pub mod plan;
mod prepare;
mod prepared;
mod property;
pub mod sequence;
pub mod steps;
pub mod user_operation;
pub mod verdict;
mod views;
mod world;

pub use generation::Generation;
pub use outcomes::Outcomes;
pub use property::{Failure, OtherPlugin, Property, Seeded, run_seeds, run_with_regressions};
pub use world::{ACCOUNT, World};
