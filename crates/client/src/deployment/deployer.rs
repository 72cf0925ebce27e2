//! Deploying: survey everything first, then send.

use super::{Contract, DeployError, DeploymentPlan, PlannedContract};
use crate::{
    Revert,
    node::Node,
    operation::{Bounds, OverBound},
    request::RequestError,
    transaction::Fees,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U64, U256, keccak256},
    providers::Provider,
    rpc::types::{
        TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    sol_types::SolCall,
};
use session_key_bindings::{
    DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE,
    deployment::{CANCUN_PROBE, GAS_PRICE_ORACLE},
};
use std::time::Duration;
use tokio::time::sleep;

alloy::sol! {
    /// Predeployed on OP Stack chains, where a transaction's data costs a fee in addition to its gas.
    interface IGasPriceOracle {
        /// Returns the fee for a transaction's data on the layer below, in wei.
        function getL1Fee(bytes calldata transaction) external view returns (uint256);
    }
}

/// The default bound on the cost of all transactions of a deployment, as a multiple of that on an
/// operation's: in all they take about 30 million gas units.
const OPERATIONS: u64 = 40;

/// How many times, and how often, a new contract's code is queried.
const CODE_ATTEMPTS: u32 = 10;
const CODE_INTERVAL: Duration = Duration::from_secs(1);

/// A contract as found on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedContract {
    /// The contract.
    pub contract: Contract,
    /// Its planned address.
    pub address: Address,
    /// `keccak256` of the required code, which it has if it is present.
    pub code_hash: B256,
    /// Gas limit of the transaction that creates it: the node's estimate plus 30%. `None` if it is present.
    pub gas_limit: Option<u64>,
}

impl SurveyedContract {
    /// Whether it is present.
    pub const fn is_present(&self) -> bool {
        self.gas_limit.is_none()
    }
}

/// What a deployment found, and its maximum cost. There are no obstacles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The chain.
    pub chain_id: u64,
    /// The contracts, in the order they are created in.
    pub contracts: Vec<SurveyedContract>,
    /// The maximum fee of the transactions, in wei per gas unit: twice the latest base fee plus the priority
    /// fee, or the gas price on chains without a base fee; 0 if there is nothing to do.
    pub max_fee_per_gas: u128,
    /// The priority fee within it, in wei per gas unit: the node's suggestion, else 1 gwei. `None` on chains
    /// without a base fee, and if there is nothing to do.
    pub max_priority_fee_per_gas: Option<u128>,
    /// The maximum cost of the transactions, in wei: all their gas at their full fee, plus twice the fee for
    /// their data on OP Stack chains.
    pub cost: U256,
}

impl Survey {
    /// Whether there is nothing to do.
    pub fn is_complete(&self) -> bool {
        self.contracts.iter().all(SurveyedContract::is_present)
    }
}

/// Deploys a plan. Existing contracts are verified and skipped, so deploying again completes a partial
/// deployment.
///
/// ```
/// use session_key_client::deployment::{
///     Created, Deployer, DeploymentParameters, DeploymentPlan, Keeper, KeeperError, SignedCreation,
/// };
/// # use session_key_testkit::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Testkit, dev_accounts, entry_point_codes};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let testkit = Testkit::default();
/// # testkit.chain().set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
/// # let (node, signer) = (testkit.provider(), dev_accounts()[0].signer());
/// /// A real one writes to a file, and survives a power failure.
/// #[derive(Default)]
/// struct Memory(Vec<SignedCreation>);
///
/// impl Keeper for Memory {
///     fn keep(&mut self, transaction: &SignedCreation) -> Result<(), KeeperError> {
///         self.0.push(transaction.clone());
///         Ok(())
///     }
///
///     fn created(&mut self, created: &Created) {
///         println!("{} is at {}", created.contract, created.address);
///     }
/// }
///
/// let plan = DeploymentPlan::new(&DeploymentParameters::default(), entry_point_codes())?;
/// let deployer = Deployer::new(node, 31337, plan);
/// let survey = deployer.survey(Some(signer.address())).await?;
/// println!("takes at most {} wei", survey.cost);
/// deployer.deploy(&survey, &signer, &mut Memory::default()).await?;
/// assert!(deployer.survey(None).await?.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Deployer {
    pub(super) node: Node,
    expected_chain_id: u64,
    pub(super) plan: DeploymentPlan,
    pub(super) bounds: Bounds,
}

impl Deployer {
    /// Creates a deployer for the provider's chain, which must be the expected one. The provider signs
    /// nothing.
    pub fn new(provider: impl Provider + 'static, expected_chain_id: u64, plan: DeploymentPlan) -> Self {
        let bounds = Bounds::on_chain(expected_chain_id);
        Self {
            node: Node::new(provider),
            expected_chain_id,
            plan,
            bounds: Bounds {
                max_cost: bounds.max_cost.saturating_mul(U256::from(OPERATIONS)),
                ..bounds
            },
        }
    }

    /// Sets bounds on the cost of the transactions. Their fees are bounded like an operation's;
    /// [`Bounds::max_cost`] applies to all of them together. The default is [`Bounds::on_chain`] with 40
    /// times the cost: 2 ether.
    #[must_use]
    pub const fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Returns the bounds on the cost of the transactions.
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Returns the plan.
    pub const fn plan(&self) -> &DeploymentPlan {
        &self.plan
    }

    /// Surveys the chain: every obstacle to the deployment is an error here. Sends nothing. Checks the funds
    /// of `deployer`, if given.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn survey(&self, deployer: Option<Address>) -> Result<Survey, DeployError> {
        let chain_id = self.check_chain().await?;
        self.check_proxy(chain_id).await?;
        self.check_hard_fork(chain_id).await?;

        // Check what exists before estimating what does not: refusals come early.
        let mut found = Vec::new();
        for planned in self.plan.contracts() {
            let code_hash = self.code_hash(planned).await?;
            found.push((planned, code_hash, self.is_present(planned, code_hash).await?));
        }
        let mut contracts = Vec::new();
        for (planned, code_hash, is_present) in found {
            let gas_limit = if is_present {
                None
            } else {
                match self.gas_limit(planned).await {
                    // Another deployer has created it since.
                    Err(DeployError::CreationFails { .. }) if self.is_present(planned, code_hash).await? => {
                        None
                    }
                    gas_limit => Some(gas_limit?),
                }
            };
            contracts.push(SurveyedContract {
                contract: planned.contract,
                address: planned.address,
                code_hash,
                gas_limit,
            });
        }

        let fees = if contracts.iter().all(SurveyedContract::is_present) {
            Fees::default()
        } else {
            self.current_fees().await?
        };
        self.check_fees(&fees)?;
        let gas_limits = contracts.iter().filter_map(|surveyed| surveyed.gas_limit);
        // At most seven times 2^64 gas units at 2^128 wei: no overflow.
        let gas: U256 = gas_limits.map(U256::from).sum();
        let cost = (gas * U256::from(fees.max_fee)).saturating_add(self.data_fees(&contracts).await?);
        self.bounds.check_cost(cost)?;
        if let Some(deployer) = deployer {
            let balance = self.node.balance(deployer, BlockId::latest()).await?;
            if balance < cost {
                return Err(DeployError::Underfunded {
                    deployer,
                    balance,
                    needed: cost,
                });
            }
        }
        Ok(Survey {
            chain_id,
            contracts,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.max_priority_fee,
            cost,
        })
    }

    /// Returns the current fees, without bounding them.
    pub(super) async fn current_fees(&self) -> Result<Fees, RequestError> {
        let head = self.node.head().await?;
        let base_fee = head.base_fee.unwrap_or_default();
        if base_fee == 0 {
            let price = self.node.gas_price().await?;
            return Ok(Fees {
                base_fee,
                max_fee: price,
                // Blocks without a base fee take transactions with a single price.
                max_priority_fee: head.base_fee.map(|_| price),
            });
        }
        let tip = self.node.priority_fee().await?;
        Ok(Fees {
            base_fee,
            max_fee: base_fee.saturating_mul(2).saturating_add(tip),
            max_priority_fee: Some(tip),
        })
    }

    /// Checks that fees are within the bounds.
    pub(super) fn check_fees(&self, fees: &Fees) -> Result<(), OverBound> {
        let tip = fees.max_priority_fee.unwrap_or(fees.max_fee);
        self.bounds
            .check_fees(fees.base_fee, U256::from(fees.max_fee), U256::from(tip))
    }

    /// Checks the node's chain.
    pub(super) async fn check_chain(&self) -> Result<u64, DeployError> {
        let actual = self.node.chain_id().await?;
        let expected = self.expected_chain_id;
        if actual == expected {
            Ok(actual)
        } else {
            Err(DeployError::WrongChain { expected, actual })
        }
    }

    /// Returns the hash of the code that a contract must have.
    pub(super) async fn code_hash(&self, planned: &PlannedContract) -> Result<B256, DeployError> {
        match planned.code_hash {
            Some(code_hash) => Ok(code_hash),
            None => self.simulated_code_hash(planned).await,
        }
    }

    async fn check_proxy(&self, chain_id: u64) -> Result<(), DeployError> {
        let code = self.code(DEPLOYMENT_PROXY).await?;
        if code.is_empty() {
            return Err(DeployError::NoDeploymentProxy { chain_id });
        }
        if code[..] != DEPLOYMENT_PROXY_CODE {
            return Err(DeployError::UnknownDeploymentProxy {
                chain_id,
                code_hash: keccak256(&code),
            });
        }
        Ok(())
    }

    async fn check_hard_fork(&self, chain_id: u64) -> Result<(), DeployError> {
        let probe = TransactionRequest::default().with_deploy_code(Bytes::from_static(&CANCUN_PROBE));
        match self.node.call(&probe, BlockId::latest()).await {
            Ok(_) => Ok(()),
            Err(error) if error.revert().is_some() => Err(DeployError::ChainBeforeCancun {
                chain_id,
                reason: message(error),
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn code(&self, address: Address) -> Result<Bytes, RequestError> {
        self.node.code_at(address, BlockId::latest()).await
    }

    /// Returns the hash of the code that the contract must have, by running its init code at its own address
    /// as if it were its code.
    async fn simulated_code_hash(&self, planned: &PlannedContract) -> Result<B256, DeployError> {
        let creation = TransactionRequest::default().with_to(planned.address);
        let mut overrides = StateOverride::default();
        overrides.insert(
            planned.address,
            AccountOverride::default().with_code(planned.init_code.clone()),
        );
        let code: Bytes = self
            .node
            .request("eth_call", (creation, BlockNumberOrTag::Latest, overrides))
            .await
            .map_err(|error| creation_fails(planned.contract, error))?;
        // A node that ignores the override calls an empty account, or the contract itself.
        if code.is_empty() {
            return Err(DeployError::SimulationUnsupported {
                contract: planned.contract,
            });
        }
        Ok(keccak256(&code))
    }

    /// Whether the contract is present. Other code at its address is an error.
    pub(super) async fn is_present(
        &self,
        planned: &PlannedContract,
        expected: B256,
    ) -> Result<bool, DeployError> {
        let code = self.code(planned.address).await?;
        if code.is_empty() {
            return Ok(false);
        }
        let actual = keccak256(&code);
        if actual != expected {
            return Err(DeployError::CodeDiffers {
                contract: planned.contract,
                address: planned.address,
                expected,
                actual,
            });
        }
        Ok(true)
    }

    /// Whether the contract is present after its transaction was included. One URL may have many nodes behind
    /// it, some of which do not have the block yet.
    pub(super) async fn is_in_place(
        &self,
        planned: &PlannedContract,
        expected: B256,
        succeeded: bool,
    ) -> Result<bool, DeployError> {
        let attempts = if succeeded { CODE_ATTEMPTS } else { 1 };
        for attempt in 0..attempts {
            if attempt > 0 {
                sleep(CODE_INTERVAL).await;
            }
            if self.is_present(planned, expected).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn gas_limit(&self, planned: &PlannedContract) -> Result<u64, DeployError> {
        // From an arbitrary sender: the cost does not depend on it, and funds are checked later.
        let estimate: U64 = self
            .node
            .request("eth_estimateGas", (planned.transaction(Address::ZERO),))
            .await
            .map_err(|error| creation_fails(planned.contract, error))?;
        // Room for changes until it is sent: on some chains, gas pays for the data fees of the layer below.
        let limit = u128::from(estimate.to::<u64>()).saturating_mul(13) / 10;
        Ok(u64::try_from(limit).unwrap_or(u64::MAX))
    }

    /// Returns the cost in addition to gas, in wei: the OP Stack's fee for the transactions' data.
    async fn data_fees(&self, contracts: &[SurveyedContract]) -> Result<U256, DeployError> {
        let mut fees = U256::ZERO;
        if self.code(GAS_PRICE_ORACLE).await?.is_empty() {
            return Ok(fees);
        }
        for (planned, surveyed) in self.plan.contracts().iter().zip(contracts) {
            if surveyed.is_present() {
                continue;
            }
            let call = IGasPriceOracle::getL1FeeCall {
                transaction: planned.call_data(),
            };
            let question = TransactionRequest::default()
                .with_to(GAS_PRICE_ORACLE)
                .with_input(call.abi_encode());
            // A contract that does not answer like the oracle is a different one.
            match self.node.call(&question, BlockId::latest()).await {
                Ok(answer) => {
                    let fee = IGasPriceOracle::getL1FeeCall::abi_decode_returns_validate(&answer)
                        .unwrap_or_default();
                    fees = fees.saturating_add(fee);
                }
                Err(error) if error.revert().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The layer's fee may change until the transactions are sent.
        Ok(fees.saturating_mul(U256::from(2)))
    }
}

/// Returns the node's message, without its code.
fn message(error: RequestError) -> String {
    match error {
        RequestError::Answered(answer) => answer.message,
        error => error.to_string(),
    }
}

/// Returns the error of a simulated creation.
fn creation_fails(contract: Contract, error: RequestError) -> DeployError {
    let reason = match (&error, error.revert()) {
        (_, Some(revert)) if revert != Revert::Unknown(Bytes::new()) => revert.to_string(),
        (RequestError::Answered(answer), _) => answer.message.clone(),
        _ => return error.into(),
    };
    DeployError::CreationFails { contract, reason }
}
