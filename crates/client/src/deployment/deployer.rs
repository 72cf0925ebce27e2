//! Deploying: look at everything first, then send.

use super::{Contract, DeploymentPlan, PlannedContract};
use crate::{
    Revert,
    node::{Node, SuggestedFees, TransactionReceipt},
    operation::{Bounds, OverBound},
    request::RequestError,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U64, U256, address, bytes, keccak256},
    providers::Provider,
    rpc::types::{
        TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    sol_types::SolCall,
};
use session_key_bindings::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE};
use std::time::Duration;
use tokio::time::{Instant, sleep};

alloy::sol! {
    /// Predeployed on OP Stack chains, where posting a transaction's data is paid for besides its gas.
    interface IGasPriceOracle {
        /// Wei for posting a transaction's data to the layer below.
        function getL1Fee(bytes calldata transaction) external view returns (uint256);
    }
}

const GAS_PRICE_ORACLE: Address = address!("0x420000000000000000000000000000000000000F");

/// Init code that copies nothing: needs PUSH0 (Shanghai) and MCOPY (Cancun), as the contracts do.
const CANCUN_PROBE: Bytes = bytes!("5f5f5f5e00");

/// How many times the bound on an operation's cost all transactions of a deployment may cost, unless other bounds are given: in
/// all they take about 20 million gas units.
const OPERATIONS: u64 = 40;

/// How long a transaction may take to be included.
const INCLUSION_TIMEOUT: Duration = Duration::from_secs(180);
/// How far apart its receipt is asked for, at first and at last.
const RECEIPT_INTERVALS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// How often, and how far apart, a new contract's code is asked for.
const CODE_ATTEMPTS: u32 = 10;
const CODE_INTERVAL: Duration = Duration::from_secs(1);

/// A deployment is refused or has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The node could not be asked, or refused.
    #[error("the node could not answer: {0}")]
    Rpc(RequestError),

    /// The node is of another chain than meant.
    #[error("this is chain {actual}, not {expected}")]
    WrongChain {
        /// The chain that was meant.
        expected: u64,
        /// The chain that answers.
        actual: u64,
    },

    /// There is no deployment proxy.
    #[error(
        "chain {chain_id} has no deployment proxy at {DEPLOYMENT_PROXY}: it has to be deployed there first"
    )]
    NoDeploymentProxy {
        /// The chain.
        chain_id: u64,
    },

    /// Something else is where the deployment proxy should be.
    #[error(
        "what chain {chain_id} has at {DEPLOYMENT_PROXY} is not the deployment proxy (code hash {code_hash})"
    )]
    UnknownDeploymentProxy {
        /// The chain.
        chain_id: u64,
        /// `keccak256` of what is there.
        code_hash: B256,
    },

    /// The chain cannot run the contracts.
    #[error(
        "chain {chain_id} does not run Cancun's instructions, which the contracts are compiled to: {reason}"
    )]
    ChainBeforeCancun {
        /// The chain.
        chain_id: u64,
        /// What the node said.
        reason: String,
    },

    /// A contract is there, but it is another one.
    #[error("{contract} at {address} has code with hash {actual} instead of {expected}")]
    CodeDiffers {
        /// The contract.
        contract: Contract,
        /// Where it belongs.
        address: Address,
        /// `keccak256` of the code that it must have.
        expected: B256,
        /// `keccak256` of the code that is there.
        actual: B256,
    },

    /// The node cannot tell which code a contract will have: it ignores state overrides of `eth_call`.
    #[error("the node does not simulate the creation of {contract}: use another node, or default salts")]
    SimulationUnsupported {
        /// The contract.
        contract: Contract,
    },

    /// The creation of a contract would fail.
    #[error("{contract} cannot be created: {reason}")]
    CreationFails {
        /// The contract.
        contract: Contract,
        /// What the node said.
        reason: String,
    },

    /// The node suggests fees, or asks for gas, beyond the [bounds](Deployer::with_bounds).
    #[error("the deployment costs too much: {0}")]
    OverBound(#[from] OverBound),

    /// The deployer cannot pay for it.
    #[error("{deployer} has {balance} wei, and may need {needed} wei")]
    Underfunded {
        /// Who should pay.
        deployer: Address,
        /// What it has, in wei.
        balance: U256,
        /// What the deployment takes at most, in wei.
        needed: U256,
    },

    /// A transaction was handed over, and nobody said that it was taken. It may still be included. What came before it is in place;
    /// deploying again goes on from there.
    #[error("{contract}: its transaction may have been sent: {error}")]
    NoAnswer {
        /// What it creates.
        contract: Contract,
        /// How the request ended.
        error: RequestError,
    },

    /// A transaction was sent, and the node does not tell what became of it. Deploying again goes on from there.
    #[error("{contract}: transaction {transaction} was sent, but what became of it cannot be read: {error}")]
    Unread {
        /// What it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// How the last question ended.
        error: RequestError,
    },

    /// A transaction was sent and not seen since. What came before it is in place; deploying again goes on from there.
    #[error("{contract}: transaction {transaction} was not included in {} s", INCLUSION_TIMEOUT.as_secs())]
    NotIncluded {
        /// What it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },

    /// A transaction was included and did not create the contract.
    #[error("{contract}: transaction {transaction} did not create it")]
    Reverted {
        /// What it should have created.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },
}

impl DeployError {
    /// A stable code: it never changes its meaning.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rpc(_) => "request_failed",
            Self::WrongChain { .. } => "wrong_chain",
            Self::NoDeploymentProxy { .. } => "no_deployment_proxy",
            Self::UnknownDeploymentProxy { .. } => "unknown_deployment_proxy",
            Self::ChainBeforeCancun { .. } => "chain_before_cancun",
            Self::CodeDiffers { .. } => "code_differs",
            Self::SimulationUnsupported { .. } => "simulation_unsupported",
            Self::CreationFails { .. } => "creation_fails",
            Self::OverBound(_) => "over_bound",
            Self::Underfunded { .. } => "underfunded",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unread { .. } => "unread",
            Self::NotIncluded { .. } => "not_included",
            Self::Reverted { .. } => "reverted",
        }
    }

    /// The transaction that the error is about, once one was sent and its hash is known.
    pub const fn transaction(&self) -> Option<B256> {
        match self {
            Self::Unread { transaction, .. }
            | Self::NotIncluded { transaction, .. }
            | Self::Reverted { transaction, .. } => Some(*transaction),
            _ => None,
        }
    }

    /// Whether a transaction was sent, or may have been, and what became of it is not known.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer { .. } | Self::Unread { .. } | Self::NotIncluded { .. }
        )
    }
}

impl From<RequestError> for DeployError {
    fn from(error: RequestError) -> Self {
        Self::Rpc(error)
    }
}

/// A contract as found on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedContract {
    /// Which one.
    pub contract: Contract,
    /// Where it belongs.
    pub address: Address,
    /// `keccak256` of the code that it must have, and has if it is there.
    pub code_hash: B256,
    /// Gas limit of the transaction that creates it. `None` if it is there.
    pub gas_limit: Option<u64>,
}

impl SurveyedContract {
    /// Whether it is there.
    pub const fn is_present(&self) -> bool {
        self.gas_limit.is_none()
    }
}

/// What a deployment finds, and what it will take. Nothing speaks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The chain.
    pub chain_id: u64,
    /// The contracts, in the order they are created in.
    pub contracts: Vec<SurveyedContract>,
    /// Fee that the transactions offer, in wei per gas unit; 0 if there is nothing to do.
    pub max_fee_per_gas: u128,
    /// Priority fee within it, in wei per gas unit; 0 if there is nothing to do.
    pub max_priority_fee_per_gas: u128,
    /// What the transactions cost at most, in wei.
    pub cost: U256,
}

impl Survey {
    /// Whether there is nothing to do.
    pub fn is_complete(&self) -> bool {
        self.contracts.iter().all(SurveyedContract::is_present)
    }
}

/// A contract that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Which one.
    pub contract: Contract,
    /// Where it is.
    pub address: Address,
    /// Hash of the transaction. `None` if somebody else was faster.
    pub transaction: Option<B256>,
    /// Gas that it used.
    pub gas_used: u64,
}

/// Deploys a plan. What is there already is verified and skipped, so that deploying again completes what a failure left half
/// done.
///
/// ```
/// use session_key_client::deployment::{Deployer, DeploymentParameters, DeploymentPlan};
/// # use session_key_testkit::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, ENTRY_POINT_CODE, Testkit, dev_accounts};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let testkit = Testkit::default();
/// # testkit.chain().set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
/// # let wallet = testkit.provider_with_signer(dev_accounts()[0].signer());
/// # let sender = dev_accounts()[0].address;
/// let plan = DeploymentPlan::new(&DeploymentParameters::default(), ENTRY_POINT_CODE.bytes())?;
/// let deployer = Deployer::new(wallet, 31337, plan);
/// let survey = deployer.survey(Some(sender)).await?;
/// println!("takes at most {} wei", survey.cost);
/// deployer.deploy(&survey, sender, |created| println!("{} is at {}", created.contract, created.address)).await?;
/// assert!(deployer.survey(None).await?.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Deployer {
    node: Node,
    expected_chain_id: u64,
    plan: DeploymentPlan,
    bounds: Bounds,
}

impl Deployer {
    /// A deployer on the chain that the provider reaches, if that is the chain meant. To deploy, the provider must sign for
    /// the sender; all the rest of a transaction is filled in here.
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

    /// Other bounds on what the transactions may cost. Their fees are bounded as an operation's are; [`Bounds::max_cost`] is for all
    /// of them together. By default they are [`Bounds::on_chain`], with 40 times the cost: 2 ether.
    #[must_use]
    pub const fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The bounds on what the transactions may cost.
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The plan.
    pub const fn plan(&self) -> &DeploymentPlan {
        &self.plan
    }

    /// Looks at the chain: everything that could speak against the deployment is an error here. Sends nothing. The funds of
    /// `deployer` are checked if it is given.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn survey(&self, deployer: Option<Address>) -> Result<Survey, DeployError> {
        let chain_id = self.node.chain_id().await?;
        if chain_id != self.expected_chain_id {
            return Err(DeployError::WrongChain {
                expected: self.expected_chain_id,
                actual: chain_id,
            });
        }
        self.check_proxy(chain_id).await?;
        self.check_hard_fork(chain_id).await?;

        // What is there, before what it takes to create what is not: refusals come early.
        let mut found = Vec::new();
        for planned in self.plan.contracts() {
            let code_hash = match planned.code_hash {
                Some(code_hash) => code_hash,
                None => self.simulated_code_hash(planned).await?,
            };
            found.push((planned, code_hash, self.is_present(planned, code_hash).await?));
        }
        let mut contracts = Vec::new();
        for (planned, code_hash, is_present) in found {
            let gas_limit = if is_present {
                None
            } else {
                Some(self.gas_limit(planned).await?)
            };
            contracts.push(SurveyedContract {
                contract: planned.contract,
                address: planned.address,
                code_hash,
                gas_limit,
            });
        }

        let fees = self.fees(&contracts).await?;
        let gas_limits = contracts.iter().filter_map(|surveyed| surveyed.gas_limit);
        // At most five times 2^64 gas units at 2^128 wei: nowhere near the end.
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

    /// Creates what the survey found missing, one contract after the other, and verifies each. `deployer` pays.
    #[tracing::instrument(level = "debug", skip_all, fields(chain_id = survey.chain_id))]
    pub async fn deploy(
        &self,
        survey: &Survey,
        deployer: Address,
        mut on_created: impl FnMut(&Created),
    ) -> Result<(), DeployError> {
        for (planned, surveyed) in self.plan.contracts().iter().zip(&survey.contracts) {
            let Some(gas_limit) = surveyed.gas_limit else {
                continue;
            };
            let mut created = Created {
                contract: planned.contract,
                address: planned.address,
                transaction: None,
                gas_used: 0,
            };
            // The address is the same for everyone: somebody else may have been faster.
            if !self.is_present(planned, surveyed.code_hash).await? {
                // Asked for each time: a count kept elsewhere is off by one once a transaction could not be sent.
                let nonce = self.node.transaction_count(deployer, true).await?;
                let transaction = planned
                    .transaction(deployer)
                    .with_chain_id(survey.chain_id)
                    .with_nonce(nonce)
                    .with_gas_limit(gas_limit)
                    .with_max_fee_per_gas(survey.max_fee_per_gas)
                    .with_max_priority_fee_per_gas(survey.max_priority_fee_per_gas);
                let receipt = self.send(planned, transaction).await?;
                let (contract, hash) = (planned.contract, receipt.transaction_hash);
                let succeeded = receipt.success != Some(false);
                let in_place = self.is_in_place(planned, surveyed.code_hash, succeeded).await;
                let in_place = in_place.map_err(|error| match error {
                    DeployError::Rpc(error) => DeployError::Unread {
                        contract,
                        transaction: hash,
                        error,
                    },
                    error => error,
                })?;
                if !in_place {
                    return Err(DeployError::Reverted {
                        contract,
                        transaction: hash,
                    });
                }
                created.transaction = Some(hash);
                created.gas_used = receipt.gas_used.unwrap_or_default().saturating_to();
            }
            on_created(&created);
        }
        Ok(())
    }

    /// Sends a transaction, and waits until it is included.
    async fn send(
        &self,
        planned: &PlannedContract,
        transaction: TransactionRequest,
    ) -> Result<TransactionReceipt, DeployError> {
        let contract = planned.contract;
        let sent = self.node.provider().send_transaction(transaction).await;
        let hash = match sent {
            Ok(pending) => *pending.tx_hash(),
            Err(error) => {
                let error = RequestError::of("eth_sendRawTransaction", &error);
                return Err(match error {
                    RequestError::NotReached { .. } | RequestError::NotMade { .. } => error.into(),
                    // Whatever else is said: it may have been passed on.
                    error => DeployError::NoAnswer { contract, error },
                });
            }
        };
        let until = Instant::now() + INCLUSION_TIMEOUT;
        let [mut interval, longest] = RECEIPT_INTERVALS;
        loop {
            let error = match self.node.receipt(hash).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if Instant::now() >= until {
                return Err(match error {
                    Some(error) => DeployError::Unread {
                        contract,
                        transaction: hash,
                        error,
                    },
                    None => DeployError::NotIncluded {
                        contract,
                        transaction: hash,
                    },
                });
            }
            sleep(interval).await;
            interval = (interval * 2).min(longest);
        }
    }

    /// The fees that the transactions offer, within the bounds. None, if nothing is missing.
    async fn fees(&self, contracts: &[SurveyedContract]) -> Result<SuggestedFees, DeployError> {
        if contracts.iter().all(SurveyedContract::is_present) {
            return Ok(SuggestedFees {
                max_fee: 0,
                max_priority_fee: 0,
                base_fee: 0,
            });
        }
        let head = self.node.head().await?;
        let fees = self.node.fees(&head).await?;
        self.bounds.check_fees(
            fees.base_fee,
            U256::from(fees.max_fee),
            U256::from(fees.max_priority_fee),
        )?;
        Ok(SuggestedFees {
            max_priority_fee: fees.max_priority_fee.min(fees.max_fee),
            ..fees
        })
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
        let probe = TransactionRequest::default().with_deploy_code(CANCUN_PROBE);
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

    /// Hash of the code that the contract must have: its init code is run at its own address, as if it were its code.
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

    /// Whether the contract is there. Other code in its place is an error.
    async fn is_present(&self, planned: &PlannedContract, expected: B256) -> Result<bool, DeployError> {
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

    /// Whether the contract is there after its transaction was included. Behind one URL there may be many nodes, some of which
    /// have not heard of the block yet.
    async fn is_in_place(
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
        // From nobody in particular: what it costs does not depend on who sends it, and funds are checked later.
        let estimate: U64 = self
            .node
            .request("eth_estimateGas", (planned.transaction(Address::ZERO),))
            .await
            .map_err(|error| creation_fails(planned.contract, error))?;
        let estimate: u64 = estimate.to();
        // Room for what changes until it is sent: on some chains, gas pays for the data fees of the layer below.
        Ok(estimate.saturating_add(estimate / 4))
    }

    /// What is paid besides gas, in wei: the OP Stack's fee for posting the transactions' data.
    async fn data_fees(&self, contracts: &[SurveyedContract]) -> Result<U256, DeployError> {
        let mut fees = U256::ZERO;
        if self.code(GAS_PRICE_ORACLE).await?.is_empty() {
            return Ok(fees);
        }
        for (planned, surveyed) in self.plan.contracts().iter().zip(contracts) {
            if surveyed.is_present() {
                continue;
            }
            let transaction = [planned.salt.as_slice(), &planned.init_code].concat();
            let call = IGasPriceOracle::getL1FeeCall {
                transaction: transaction.into(),
            };
            let question = TransactionRequest::default()
                .with_to(GAS_PRICE_ORACLE)
                .with_input(call.abi_encode());
            // What does not answer like an oracle is something else at its address.
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
        // The fee of the layer below moves until the transactions are sent.
        Ok(fees.saturating_mul(U256::from(2)))
    }
}

/// What the node says, without its code.
fn message(error: RequestError) -> String {
    match error {
        RequestError::Answered(answer) => answer.message,
        error => error.to_string(),
    }
}

/// What the node says of a creation that it only simulates.
fn creation_fails(contract: Contract, error: RequestError) -> DeployError {
    let reason = match (&error, error.revert()) {
        (_, Some(revert)) if revert != Revert::Unknown(Bytes::new()) => revert.to_string(),
        (RequestError::Answered(answer), _) => answer.message.clone(),
        _ => return error.into(),
    };
    DeployError::CreationFails { contract, reason }
}
