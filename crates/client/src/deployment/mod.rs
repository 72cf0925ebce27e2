//! Addresses of the contracts, and their deployment.
//!
//! [`Deployment`] names the contracts to use: known ones by chain ([`Deployment::on_chain`]), or your own.
//! The same contracts can be deployed on any chain, at the same addresses: a [`DeploymentPlan`] computes
//! them, and a [`Deployer`] deploys.

mod account_address;
mod deployer;
mod error;
mod known;
mod plan;
mod send;
mod signed;

pub use account_address::{account_init_code, account_init_code_hash};
pub use deployer::{Deployer, Survey, SurveyedContract};
pub use error::DeployError;
pub use known::{
    ChainDeployments, Compiler, CreationRecord, DeploymentHistory, Deterministic, KnownContract,
    KnownDeployment, MissingContract, Versions, known_chains,
};
pub use plan::{DeploymentPlan, PlanError, PlannedContract};
pub use send::{Created, Fate, Keeper, KeeperError, Resumed};
pub use signed::{KeptError, SignedCreation};

#[doc(inline)]
pub use session_key_bindings::{
    deployment::{Contract, DeploymentParameters, EntryPointCodes},
    manifest_hash,
};

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// Addresses of the contracts that accounts and session keys need. Any with the same ABI work: this
/// repository's, those already deployed, or your own.
///
/// For ERC-6900 v0.8 accounts ([`for_v08_accounts`](Self::for_v08_accounts)), the EntryPoint is v0.7, the
/// session key module takes the plugin's place, and there is no owner plugin.
///
/// A deployment is either complete, or returned by [`SmartAccount::connect`](crate::SmartAccount::connect)
/// with what the account has. In that case a contract may be missing; its address is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// EntryPoint v0.6, or v0.7 for v0.8 accounts.
    pub entry_point: Address,
    /// Session key plugin, or the module for v0.8 accounts.
    pub session_key_plugin: Address,
    /// Owner plugin, on which the session key plugin depends.
    pub multi_owner_plugin: Address,
    /// Account factory. Required only for accounts that do not exist yet.
    pub factory: Address,
    /// `keccak256` of the init code that the factory creates accounts from. With it, the address of an
    /// account that does not exist yet is computed ([`account_address`](Self::account_address)); without it
    /// (`None`), a node must be trusted. For this repository's factory: [`account_init_code_hash`] of the
    /// account implementation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_init_code_hash: Option<B256>,
}

/// Returns the symbol of a chain's native coin; `ETH` by default.
#[must_use]
pub const fn native_symbol(chain_id: u64) -> &'static str {
    match chain_id {
        // Polygon and its testnets.
        137 | 80_001 | 80_002 => "POL",
        // Fraxtal and its testnet.
        252 | 2_523 => "FRAX",
        _ => "ETH",
    }
}

impl Deployment {
    /// Returns the preferred known deployment on a chain: compatible contracts that accounts there already
    /// use. `None` for a chain without one: give the addresses yourself.
    ///
    /// An existing account may use others. [`SmartAccount::connect`](crate::SmartAccount::connect) finds
    /// them.
    pub fn on_chain(chain_id: u64) -> Option<Self> {
        let chain = known_chains().iter().find(|chain| chain.chain_id == chain_id)?;
        chain.deployments.first()?.deployment().ok()
    }

    /// Returns the addresses of this repository's contracts on every chain where they were deployed with the
    /// default parameters. Whether they were, only the chain knows: see `session-key doctor`.
    pub fn deterministic() -> Self {
        let address = |contract| known::recorded(contract).address;
        Self {
            entry_point: address(Contract::EntryPoint),
            session_key_plugin: address(Contract::SessionKeyPlugin),
            multi_owner_plugin: address(Contract::MultiOwnerPlugin),
            factory: address(Contract::ModularAccountFactory),
            account_init_code_hash: Some(account_init_code_hash(address(Contract::ModularAccount))),
        }
    }

    /// Returns the deployment for ERC-6900 v0.8 accounts: EntryPoint v0.7, this repository's session key
    /// module at its address in [`deterministic`](Self::deterministic) deployments, and the factory of
    /// Modular Account v2. Whether they exist on a chain, only the chain knows.
    pub fn for_v08_accounts() -> Self {
        Self {
            entry_point: session_key_bindings::ENTRY_POINT_V07,
            session_key_plugin: known::recorded(Contract::SessionKeyModule).address,
            multi_owner_plugin: Address::ZERO,
            factory: crate::v08::known::FACTORY,
            account_init_code_hash: None,
        }
    }
}
