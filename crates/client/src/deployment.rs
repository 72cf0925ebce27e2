//! Where the contracts are.

use alloy::primitives::{Address, address};
use serde::{Deserialize, Serialize};

/// Addresses of the contracts that accounts and session keys need. Any that speak the same ABI will do: ours, the deployed
/// ones, or your own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// EntryPoint v0.6.
    pub entry_point: Address,
    /// Session key plugin.
    pub session_key_plugin: Address,
    /// Multi owner plugin, which the session key plugin depends on.
    pub multi_owner_plugin: Address,
    /// Account factory. Needed only for accounts that do not exist yet.
    pub factory: Address,
}

impl Deployment {
    /// The compatible contracts that are deployed on many chains, at the same addresses on each.
    pub const CANONICAL: Self = Self {
        entry_point: session_key_bindings::ENTRY_POINT,
        session_key_plugin: address!("0x0000003E0000a96de4058e1E02a62FaaeCf23d8d"),
        multi_owner_plugin: address!("0xcE0000007B008F50d762D155002600004cD6c647"),
        factory: address!("0x000000e92D78D90000007F0082006FDA09BD5f11"),
    };

    /// Chain ids that [`CANONICAL`](Self::CANONICAL) is known to be deployed on: Ethereum, OP, Polygon, Fraxtal, Base,
    /// Arbitrum, Zora, and test networks of theirs.
    pub const CANONICAL_CHAINS: &[u64] = &[
        1, 10, 137, 252, 2523, 8453, 42161, 80001, 80002, 84532, 421614, 7777777, 11155111, 11155420,
        999999999,
    ];

    /// The known deployment on a chain. `None` for a chain without one: give the addresses yourself.
    pub fn on_chain(chain_id: u64) -> Option<Self> {
        Self::CANONICAL_CHAINS
            .contains(&chain_id)
            .then_some(Self::CANONICAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_chains_have_no_deployment() {
        assert_eq!(Deployment::on_chain(8453), Some(Deployment::CANONICAL));
        assert_eq!(Deployment::on_chain(31337), None);
    }
}
