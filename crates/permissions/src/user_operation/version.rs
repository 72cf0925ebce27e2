//! Versions of the EntryPoint, and what differs between them.

use alloy_primitives::{Address, address};
use serde::{Deserialize, Serialize};
use session_key_bindings::{ENTRY_POINT, ENTRY_POINT_V07};
use std::fmt;

/// A version of the ERC-4337 EntryPoint. It decides the form of a user operation and how its
/// hash is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EntryPointVersion {
    /// v0.6, which ERC-6900 v0.7 accounts use.
    #[default]
    #[serde(rename = "0.6")]
    V06,
    /// v0.7, which ERC-6900 v0.8 accounts use: packed operations, and gas limits of the paymaster's own.
    #[serde(rename = "0.7")]
    V07,
    /// v0.8: the hash is that of EIP-712 typed data, and `initCode` can stand for an EIP-7702 authorization.
    #[serde(rename = "0.8")]
    V08,
    /// v0.9, as of npm `@account-abstraction/contracts` 0.9.0-rc.1, a release candidate: a paymaster's
    /// signature at the end of `paymasterAndData` is not part of the hash.
    #[serde(rename = "0.9")]
    V09,
}

impl EntryPointVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V06, Self::V07, Self::V08, Self::V09];

    /// The EntryPoint of this version, at the same address on every chain.
    #[must_use]
    pub const fn entry_point(self) -> Address {
        match self {
            Self::V06 => ENTRY_POINT,
            Self::V07 => ENTRY_POINT_V07,
            Self::V08 => address!("0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"),
            Self::V09 => address!("0x433709009B8330FDa32311DF1C2AFA402eD8D009"),
        }
    }

    /// The version of the EntryPoint at this address. `None`: it is not one of the well-known addresses.
    #[must_use]
    pub fn of(entry_point: Address) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.entry_point() == entry_point)
    }

    /// Whether operations are packed: two numbers to a word, and the paymaster's gas limits inside
    /// `paymasterAndData`.
    #[must_use]
    pub const fn is_packed(self) -> bool {
        !matches!(self, Self::V06)
    }
}

impl fmt::Display for EntryPointVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V06 => "v0.6",
            Self::V07 => "v0.7",
            Self::V08 => "v0.8",
            Self::V09 => "v0.9",
        })
    }
}
