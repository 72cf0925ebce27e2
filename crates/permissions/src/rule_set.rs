//! Whose rules a plugin or module has.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// What is known of the rules of the plugin or module that a key lives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleSet {
    /// They are those of this project's plugin, all of which the model has.
    #[default]
    Strict,
    /// It is another plugin of the same ABI, so that it has the rules that the ABI documents. The model refuses what this
    /// project's plugin would refuse, and what such a plugin may refuse beyond that. Where the other plugin may let an operation
    /// pass, the verdict is [`MayPass`](crate::Verdict::MayPass).
    Compatible,
    /// They are those of this project's module for ERC-6900 v0.8 accounts, at this address: all of [`Strict`](Self::Strict), and
    /// what v0.8 accounts need on top.
    ///
    /// - Every key uses its own nonce lane, with or without a gas limit.
    /// - The module itself, the EntryPoints v0.6 to v0.9, and targets that answer as ERC-6900 modules are refused.
    /// - Intervals of limits that a key is added with begin with its first use.
    Module(Address),
}

impl RuleSet {
    /// The module, if the key lives on one.
    #[must_use]
    pub const fn module(&self) -> Option<Address> {
        match self {
            Self::Module(module) => Some(*module),
            _ => None,
        }
    }
}
