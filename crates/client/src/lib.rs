#![doc = include_str!("../README.md")]

mod abi;
pub mod account;
pub mod account_keys;
pub mod calldata;
pub mod client;
pub mod delegation;
pub mod deployment;
pub mod explain;
pub mod inspect;
pub mod installation;
pub mod journal;
pub mod key_list;
pub mod key_request;
pub mod nft;
pub mod node;
pub mod operation;
pub mod request;
pub mod revert;
pub mod signer;
pub mod submit;
pub mod tokens;
pub mod transaction;
#[cfg(feature = "http")]
pub mod transport;
pub mod v08;

pub use account::SmartAccount;
pub use alloy;
pub use calldata::NewSessionKey;
pub use client::{OwnerAction, OwnerClient, SessionKeyClient};
pub use deployment::Deployment;
pub use node::Node;
pub use operation::{Operation, OperationError};
pub use request::RequestError;
pub use revert::Revert;
pub use session_key_permissions as permissions;
pub use session_key_permissions::{Call, SignedOperation, UserOperation};
pub use signer::SessionKeySigner;
