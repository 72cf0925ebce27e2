//! The deployed contracts of Modular Account v2: at the same addresses on every chain that has them. Whether
//! a chain has them, only the chain knows.

use alloy::primitives::{Address, address};

/// The factory of [`MODULAR_ACCOUNT`] and [`SEMI_MODULAR_ACCOUNT`] proxies.
pub const FACTORY: Address = address!("0x00000000000017c61b5bEe81050EC8eFc9c6fecd");
/// Modular Account v2, whose owner is validated by a module.
pub const MODULAR_ACCOUNT: Address = address!("0x00000000000002377B26b1EdA7b0BC371C60DD4f");
/// The semi-modular account: its owner is an argument of its proxy.
pub const SEMI_MODULAR_ACCOUNT: Address = address!("0x000000000000c5A9089039570Dd36455b5C07383");
/// The semi-modular account with its owner in storage: for other proxies that are upgraded to it.
pub const SEMI_MODULAR_ACCOUNT_STORAGE_ONLY: Address = address!("0x0000000000006E2f9d80CaEc0Da6500f005EB25A");
/// The EIP-7702 variant, version 1.0.0: its owner is the key at its address.
///
/// In this version, anyone who signs for the account by ERC-1271 has full control: give no session key a
/// validation of signatures.
pub const SEMI_MODULAR_ACCOUNT_7702: Address = address!("0x69007702764179f14F51cdce752f4f775d74E139");
/// The EIP-7702 variant, version 1.1.0.
pub const SEMI_MODULAR_ACCOUNT_7702_V1_1: Address = address!("0x77021100bD87b7008E5E1989d0eB38555d0d0000");
/// Validation by a key or by a contract's ERC-1271.
pub const SINGLE_SIGNER_VALIDATION_MODULE: Address = address!("0x00000000000099DE0BF6fA90dEB851E2A2df7d83");
