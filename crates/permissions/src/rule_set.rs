//! The rule set of a plugin.

use serde::{Deserialize, Serialize};

/// What is known about the rules of a key's plugin.
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
}
