#![doc = include_str!("../README.md")]

mod accounts;
mod block;
mod chain;
mod error;
mod rpc;
mod stack;
mod state;
mod testkit;

pub use accounts::{DevAccount, dev_accounts};
pub use chain::{CallOptions, Chain, ChainConfig, Execution, Status};
pub use error::ChainError;
pub use stack::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Deployment, Stack, TestToken};
pub use testkit::{Testkit, Transport};
