//! Which contracts are created where: a pure function of their bytecode and a few parameters.

use super::{
    Deployment, account_init_code_hash,
    known::{Deterministic, recorded},
};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, keccak256},
    rpc::types::TransactionRequest,
};
use serde::{Deserialize, Serialize};
use session_key_bindings::{DEPLOYMENT_PROXY, ENTRY_POINT, bytecode, manifest_hash};
use std::fmt;

/// A contract of a deployment, in the order they are created in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Contract {
    /// EntryPoint v0.6 (ERC-4337).
    EntryPoint,
    /// Keeps the owners of accounts.
    MultiOwnerPlugin,
    /// Keeps the session keys of accounts.
    SessionKeyPlugin,
    /// The implementation behind the accounts' proxies.
    ModularAccount,
    /// Makes accounts.
    ModularAccountFactory,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What can be chosen. Salts are those of CREATE2. The defaults lead to the recorded addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeploymentParameters {
    /// Owns the factory, that is, its stake; not the accounts that it makes. Part of the factory's address.
    pub factory_owner: Address,
    /// Salt of the owner plugin.
    pub multi_owner_plugin_salt: B256,
    /// Salt of the session key plugin.
    pub session_key_plugin_salt: B256,
    /// Salt of the account implementation.
    pub modular_account_salt: B256,
    /// Salt of the factory.
    pub modular_account_factory_salt: B256,
}

impl Default for DeploymentParameters {
    fn default() -> Self {
        Self {
            factory_owner: Deterministic::record().factory_owner,
            multi_owner_plugin_salt: B256::ZERO,
            session_key_plugin_salt: B256::ZERO,
            modular_account_salt: B256::ZERO,
            modular_account_factory_salt: B256::ZERO,
        }
    }
}

/// A deployment cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The factory refuses to be owned by the zero address.
    #[error("the factory's owner must not be the zero address")]
    FactoryOwnerIsZero,

    /// The bytecode leads to another address than recorded: bytecode and record are not of the same version, or what was
    /// given as the EntryPoint is not EntryPoint v0.6.
    #[error("{contract} would come to lie at {computed}, but is recorded at {recorded}")]
    UnexpectedAddress {
        /// The contract.
        contract: Contract,
        /// Where the record has it.
        recorded: Address,
        /// Where its bytecode would be.
        computed: Address,
    },
}

/// A contract, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContract {
    /// Which one.
    pub contract: Contract,
    /// Salt of CREATE2.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
    /// Where it will be.
    pub address: Address,
    /// `keccak256` of the code that it must have there; `None` where only a simulation of its creation can tell, because its
    /// own address or another's is part of it.
    pub code_hash: Option<B256>,
}

impl PlannedContract {
    fn new(contract: Contract, salt: B256, init_code: Bytes) -> Self {
        let address = DEPLOYMENT_PROXY.create2(salt, keccak256(&init_code));
        // An address of CREATE2 stands for salt and init code. What the record says of its code holds there, and only there.
        let recorded = recorded(contract);
        let code_hash = recorded.code_hash.filter(|_| recorded.address == address);
        Self {
            contract,
            salt,
            init_code,
            address,
            code_hash,
        }
    }

    /// The transaction that creates it, from anyone, on any chain that has the deployment proxy.
    pub fn transaction(&self, from: Address) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(from)
            .with_to(DEPLOYMENT_PROXY)
            .with_input([self.salt.as_slice(), &self.init_code].concat())
    }
}

/// The contracts of a deployment, in the order they are created in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    contracts: [PlannedContract; 5],
}

impl DeploymentPlan {
    /// The plan with these parameters. The EntryPoint's creation bytecode is under another licence and not part of this
    /// crate; `session_key_testkit::ENTRY_POINT_CODE` is it. The bytecode of the others is checked in
    /// (`session_key_bindings::bytecode`): solc's output may depend on which files are compiled together, and an address on
    /// every byte.
    pub fn new(parameters: &DeploymentParameters, entry_point_code: Bytes) -> Result<Self, PlanError> {
        if parameters.factory_owner.is_zero() {
            return Err(PlanError::FactoryOwnerIsZero);
        }
        let standard = Self::unchecked(&DeploymentParameters::default(), entry_point_code.clone());
        for planned in &standard.contracts {
            let recorded = recorded(planned.contract).address;
            if planned.address != recorded {
                return Err(PlanError::UnexpectedAddress {
                    contract: planned.contract,
                    recorded,
                    computed: planned.address,
                });
            }
        }
        Ok(Self::unchecked(parameters, entry_point_code))
    }

    fn unchecked(parameters: &DeploymentParameters, entry_point_code: Bytes) -> Self {
        let entry_point = PlannedContract::new(Contract::EntryPoint, B256::ZERO, entry_point_code);
        let multi_owner_plugin = PlannedContract::new(
            Contract::MultiOwnerPlugin,
            parameters.multi_owner_plugin_salt,
            bytecode::MULTI_OWNER_PLUGIN.bytes(),
        );
        let session_key_plugin = PlannedContract::new(
            Contract::SessionKeyPlugin,
            parameters.session_key_plugin_salt,
            bytecode::SESSION_KEY_PLUGIN.bytes(),
        );
        let modular_account = PlannedContract::new(
            Contract::ModularAccount,
            parameters.modular_account_salt,
            bytecode::modular_account(ENTRY_POINT),
        );
        let factory = PlannedContract::new(
            Contract::ModularAccountFactory,
            parameters.modular_account_factory_salt,
            bytecode::modular_account_factory(
                parameters.factory_owner,
                multi_owner_plugin.address,
                modular_account.address,
                manifest_hash::MULTI_OWNER_PLUGIN,
                ENTRY_POINT,
            ),
        );
        Self {
            contracts: [
                entry_point,
                multi_owner_plugin,
                session_key_plugin,
                modular_account,
                factory,
            ],
        }
    }

    /// The contracts.
    pub fn contracts(&self) -> &[PlannedContract] {
        &self.contracts
    }

    /// The addresses that the plan leads to.
    pub fn deployment(&self) -> Deployment {
        let [
            entry_point,
            multi_owner_plugin,
            session_key_plugin,
            implementation,
            factory,
        ] = &self.contracts;
        Deployment {
            entry_point: entry_point.address,
            session_key_plugin: session_key_plugin.address,
            multi_owner_plugin: multi_owner_plugin.address,
            factory: factory.address,
            account_init_code_hash: Some(account_init_code_hash(implementation.address)),
        }
    }
}
