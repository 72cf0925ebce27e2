//! The plan of a deployment, compared with the record.

use super::{Deployment, account_init_code_hash, known::recorded};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes},
    rpc::types::TransactionRequest,
};
use session_key_bindings::{
    DEPLOYMENT_PROXY,
    deployment::{self, Contract, Creation, DeploymentParameters, EntryPointCodes},
};

/// A deployment cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The factory refuses to be owned by the zero address.
    #[error("the factory's owner must not be the zero address")]
    FactoryOwnerIsZero,

    /// The bytecode leads to another address than recorded: bytecode and record differ in version, or the
    /// given EntryPoint is not the intended release.
    #[error("{contract} would be at {computed}, but is recorded at {recorded}")]
    UnexpectedAddress {
        /// The contract.
        contract: Contract,
        /// The recorded address.
        recorded: Address,
        /// The address computed from the bytecode.
        computed: Address,
    },
}

/// A contract to deploy, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedContract {
    /// The contract.
    pub contract: Contract,
    /// The CREATE2 salt.
    pub salt: B256,
    /// Creation bytecode and constructor arguments.
    pub init_code: Bytes,
    /// Its address.
    pub address: Address,
    /// `keccak256` of the code that it must have; `None` if only a simulation of its creation can determine
    /// it, because it contains its own or another contract's address.
    pub code_hash: Option<B256>,
}

impl PlannedContract {
    fn new((contract, creation): (Contract, Creation)) -> Self {
        let address = creation.address();
        // A CREATE2 address determines salt and init code, so the record's code hash applies at this address
        // only.
        let recorded = recorded(contract);
        let code_hash = recorded.code_hash.filter(|_| recorded.address == address);
        Self {
            contract,
            salt: creation.salt,
            init_code: creation.init_code,
            address,
            code_hash,
        }
    }

    /// Returns the call data for the deployment proxy that creates it.
    pub fn call_data(&self) -> Bytes {
        let creation = Creation {
            salt: self.salt,
            init_code: self.init_code.clone(),
        };
        creation.call_data()
    }

    /// Returns the transaction that creates it, from any sender, on any chain with the deployment proxy.
    pub fn transaction(&self, from: Address) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(from)
            .with_to(DEPLOYMENT_PROXY)
            .with_input(self.call_data())
    }
}

/// The contracts of a deployment, in order of creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPlan {
    contracts: Vec<PlannedContract>,
    deployment: Deployment,
}

impl DeploymentPlan {
    /// Creates the plan with these parameters. The EntryPoints' creation bytecode has another licence and is
    /// not part of this crate; `session_key_entry_point::codes` provides it. The other bytecode is checked in
    /// (`session_key_bindings::bytecode`): solc's output may depend on which files are compiled together, and
    /// an address depends on every byte.
    pub fn new(parameters: &DeploymentParameters, entry_points: EntryPointCodes) -> Result<Self, PlanError> {
        if parameters.factory_owner.is_zero() {
            return Err(PlanError::FactoryOwnerIsZero);
        }
        let standard = Self::unchecked(&DeploymentParameters::default(), entry_points.clone());
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
        Ok(Self::unchecked(parameters, entry_points))
    }

    fn unchecked(parameters: &DeploymentParameters, entry_points: EntryPointCodes) -> Self {
        let contracts = deployment::plan(parameters, entry_points).map(PlannedContract::new);
        let [
            entry_point,
            multi_owner_plugin,
            session_key_plugin,
            implementation,
            factory,
            _,
            _,
        ] = &contracts;
        let deployment = Deployment {
            entry_point: entry_point.address,
            session_key_plugin: session_key_plugin.address,
            multi_owner_plugin: multi_owner_plugin.address,
            factory: factory.address,
            account_init_code_hash: Some(account_init_code_hash(implementation.address)),
        };
        Self {
            contracts: contracts.into(),
            deployment,
        }
    }

    /// Removes EntryPoint v0.7 and the session key module, which only ERC-6900 v0.8 accounts need.
    #[must_use]
    pub fn for_v07_accounts(mut self) -> Self {
        self.contracts.retain(|planned| {
            !matches!(
                planned.contract,
                Contract::EntryPointV07 | Contract::SessionKeyModule
            )
        });
        self
    }

    /// Returns the contracts.
    pub const fn contracts(&self) -> &[PlannedContract] {
        self.contracts.as_slice()
    }

    /// Returns one of the contracts.
    pub(super) fn contract(&self, contract: Contract) -> Option<&PlannedContract> {
        self.contracts.iter().find(|planned| planned.contract == contract)
    }

    /// Returns the planned addresses, for accounts of this repository.
    pub const fn deployment(&self) -> Deployment {
        self.deployment
    }
}
