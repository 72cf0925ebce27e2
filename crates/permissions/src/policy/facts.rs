//! Facts outside a policy's file: the time of the grant and the chain.

use alloy_primitives::Address;
use std::collections::BTreeMap;

/// Facts known besides the file: when the key is, or was, granted; the chain's native coin; decimals of
/// tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Facts {
    pub(super) granted_at: Option<u64>,
    pub(super) native_symbol: Option<String>,
    pub(super) decimals: BTreeMap<Address, u8>,
}

impl Facts {
    /// No facts besides the file. The native coin is `ETH`.
    pub fn new() -> Self {
        Self::default()
    }

    /// When the key is granted, unix seconds; `valid_for` counts from then.
    pub const fn granted_at(mut self, time: u64) -> Self {
        self.granted_at = Some(time);
        self
    }

    /// The symbol of the chain's native coin.
    pub fn native_symbol(mut self, symbol: impl Into<String>) -> Self {
        self.native_symbol = Some(symbol.into());
        self
    }

    /// The decimals of a token, from a source trusted with amounts: wrong decimals scale them by powers of
    /// ten. If the file gives other decimals, the policy is refused.
    pub fn decimals(mut self, token: Address, decimals: u8) -> Self {
        self.decimals.insert(token, decimals);
        self
    }

    pub(super) fn symbol(&self) -> &str {
        self.native_symbol.as_deref().unwrap_or("ETH")
    }
}
