#![doc = include_str!("../README.md")]

#[cfg(feature = "bytecode")]
pub mod bytecode;
#[cfg(feature = "bytecode")]
pub mod deployment;
pub mod function_id;
pub mod interface_id;
pub mod manifest_hash;
pub mod plugin_metadata;
// Not every field and enum variant in the Solidity sources has a comment.
#[allow(missing_docs)]
mod abi;

pub use abi::*;

use alloy_primitives::{Address, address, hex};

/// EntryPoint v0.6, at the same address on every chain (ERC-4337 v0.6).
pub const ENTRY_POINT: Address = address!("0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789");

/// EntryPoint v0.7, which the session key module serves, at the same address on every chain (ERC-4337 v0.7).
pub const ENTRY_POINT_V07: Address = address!("0x0000000071727De22E5E9d8BAf0edAc6f37da032");

/// The deterministic deployment proxy, which creates contracts with CREATE2 from `salt ++ init code`. It has
/// this address on most chains and in anvil.
pub const DEPLOYMENT_PROXY: Address = address!("0x4e59b44847b379578588920cA78FbF26c0B4956C");

/// Deployed code of the proxy (<https://github.com/Arachnid/deterministic-deployment-proxy>, MIT).
pub const DEPLOYMENT_PROXY_CODE: [u8; 69] = hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe036016000816020"
    "82378035828234f58015156039578182fd5b8082525050506014600cf3"
);
