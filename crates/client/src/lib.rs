#![doc = include_str!("../README.md")]

mod abi;
pub mod account;
pub mod calldata;
pub mod deployment;
mod fees;
pub mod key_list;
pub mod node;
pub mod operation;
pub mod owner;
pub mod permissions;
pub mod request;
pub mod revert;
pub mod session_key;
pub mod signer;
pub mod submit;
#[cfg(feature = "http")]
pub mod transport;
pub mod user_operation;

pub use account::SmartAccount;
pub use alloy;
pub use calldata::{Call, NewSessionKey};
pub use deployment::Deployment;
pub use node::Node;
pub use operation::Operation;
pub use owner::{OwnerAction, OwnerClient};
pub use request::RequestError;
pub use revert::Revert;
pub use session_key::SessionKeyClient;
pub use signer::SessionKeySigner;
pub use user_operation::UserOperation;
