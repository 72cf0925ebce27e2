#![doc = include_str!("../README.md")]

#[cfg(feature = "bytecode")]
pub mod bytecode;
#[cfg(feature = "bytecode")]
pub mod deployment;
pub mod function_id;
pub mod interface_id;
pub mod manifest_hash;
pub mod plugin_metadata;
// Solidity has no place for NatSpec on enum variants and struct fields, so those have no docs here.
#[allow(missing_docs)]
mod modular_account;
#[allow(missing_docs)]
mod modular_account_factory;
#[allow(missing_docs)]
mod multi_owner_plugin;
#[allow(missing_docs)]
mod plugin_errors;
#[allow(missing_docs)]
mod session_key_plugin;
#[allow(missing_docs)]
mod standards;

pub use modular_account::*;
pub use modular_account_factory::*;
pub use multi_owner_plugin::*;
pub use plugin_errors::*;
pub use session_key_plugin::*;
pub use standards::*;

use alloy_primitives::{Address, address, hex};

/// EntryPoint v0.6, at the same address on every chain (ERC-4337 v0.6).
pub const ENTRY_POINT: Address = address!("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789");

/// The deterministic deployment proxy: it creates contracts with CREATE2 from `salt ++ init code`. On most chains, and on
/// every anvil, at this address.
pub const DEPLOYMENT_PROXY: Address = address!("0x4e59b44847b379578588920cA78FbF26c0B4956C");

/// Deployed code of the proxy (<https://github.com/Arachnid/deterministic-deployment-proxy>, MIT).
pub const DEPLOYMENT_PROXY_CODE: [u8; 69] = hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe036016000816020"
    "82378035828234f58015156039578182fd5b8082525050506014600cf3"
);
