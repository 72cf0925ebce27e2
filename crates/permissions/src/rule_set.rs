//! Whose rules a plugin has.

use serde::{Deserialize, Serialize};

/// What is known of the rules of the plugin that a key lives on.
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
}
