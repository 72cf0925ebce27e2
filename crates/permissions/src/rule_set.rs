//! The rule set of a plugin or module.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// What is known about the rules of a key's plugin or module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleSet {
    /// The rules of this project's plugin, all of which are modelled.
    #[default]
    Strict,
    /// Another plugin with the same ABI, which has the rules that the ABI documents. The model refuses what
    /// this project's plugin would refuse, and what such a plugin may refuse beyond that. If the other plugin
    /// may accept an operation, the verdict is [`MayPass`](crate::Verdict::MayPass).
    Compatible,
    /// The rules of this project's module for ERC-6900 v0.8 accounts, at this address: those of
    /// [`Strict`](Self::Strict), and in addition:
    ///
    /// - Every key uses its own nonce lane, with or without a gas limit.
    /// - The module itself, the EntryPoints v0.6 to v0.9 and targets that answer as ERC-6900
    ///   modules are refused.
    /// - The intervals of limits that a key is added with begin with its first use.
    Module(Address),
}

impl RuleSet {
    /// The module, if the key is on one.
    #[must_use]
    pub const fn module(&self) -> Option<Address> {
        match self {
            Self::Module(module) => Some(*module),
            _ => None,
        }
    }
}
