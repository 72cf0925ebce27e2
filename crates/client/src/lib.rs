#![doc = include_str!("../README.md")]

mod abi;
pub mod calldata;
pub mod key_list;
pub mod permissions;
pub mod revert;
pub mod user_operation;

pub use alloy;
pub use calldata::Call;
pub use revert::Revert;
pub use user_operation::UserOperation;
