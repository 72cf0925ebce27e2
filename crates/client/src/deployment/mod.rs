//! Where the contracts are, and how they get there.
//!
//! [`Deployment`] names the contracts to work with: known ones by chain ([`Deployment::on_chain`]), or your own. The same
//! contracts can be put on any chain, at the same addresses: a [`DeploymentPlan`] says where, and a [`Deployer`] does it.

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

/// Addresses of the contracts that accounts and session keys need. Any that speak the same ABI will do: ours, the deployed
/// ones, or your own.
///
/// For ERC-6900 v0.8 accounts ([`for_v08_accounts`](Self::for_v08_accounts)), the EntryPoint is v0.7, the session key module has the
/// place of the plugin, and there is no owner plugin.
///
/// A deployment is either complete, or it comes from [`SmartAccount::connect`](crate::SmartAccount::connect) and names what
/// the account has. Then a contract may be missing; its address is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deployment {
    /// EntryPoint v0.6, or v0.7 for v0.8 accounts.
    pub entry_point: Address,
    /// Session key plugin, or the module for v0.8 accounts.
    pub session_key_plugin: Address,
    /// Owner plugin, which the session key plugin depends on.
    pub multi_owner_plugin: Address,
    /// Account factory. Needed only for accounts that do not exist yet.
    pub factory: Address,
    /// `keccak256` of the init code that the factory creates accounts from. With it the address of an account that does not
    /// exist yet is computed ([`account_address`](Self::account_address)); without it (`None`) a node has to be believed.
    /// For this repository's factory: [`account_init_code_hash`] of the account implementation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_init_code_hash: Option<B256>,
}

/// The symbol of a chain's native coin: `ETH` where no other is known.
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
    /// The preferred known deployment on a chain: compatible contracts that accounts there use already. `None` for a chain
    /// without one: give the addresses yourself.
    ///
    /// An account that exists may use others. [`SmartAccount::connect`](crate::SmartAccount::connect) looks at the account.
    pub fn on_chain(chain_id: u64) -> Option<Self> {
        let chain = known_chains().iter().find(|chain| chain.chain_id == chain_id)?;
        chain.deployments.first()?.deployment().ok()
    }

    /// Where this repository's contracts are on every chain that they were deployed on with the default parameters. This
    /// says nothing about whether they were: ask the chain, or `session-key doctor`.
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

    /// For ERC-6900 v0.8 accounts: EntryPoint v0.7, this repository's session key module where
    /// [`deterministic`](Self::deterministic) deployments have it, and the factory that Modular Account v2 is made by. Whether they
    /// are on a chain, only the chain can say.
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
