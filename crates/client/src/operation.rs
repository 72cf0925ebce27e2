//! From an action to an included user operation: build, estimate, sponsor, sign, send, wait.

use crate::{
    account::{ReadError, SmartAccount},
    fees::suggested_fees,
    key_list::KeyNotFound,
    owner::{OwnerAction, encode_actions},
    signer::sign_hash,
    submit::{GasEstimate, Outcome, Receipt, Refusal, SubmitError, Submitter},
};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, Bytes, U256, aliases::U192},
    providers::Provider,
    signers::Signer,
    transports::{RpcError, TransportErrorKind},
};
use async_trait::async_trait;
use session_key_permissions::{
    DUMMY_SIGNATURE, GasSpendLimitInfo, PermissionError, SignedOperation, UserOperation,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long an operation takes at the most, unless another [`timeout`](Operation::timeout) is set.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(90);

/// An operation could not be built, or did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The chain could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// A permission that no plugin would take.
    #[error(transparent)]
    Permission(#[from] PermissionError),

    /// A key to be removed or rotated is not there.
    #[error(transparent)]
    Key(#[from] KeyNotFound),

    /// The signer failed.
    #[error("the signer failed")]
    Signer(#[from] alloy::signers::Error),

    /// The paymaster did not sponsor the operation.
    #[error("the paymaster did not sponsor the operation")]
    Paymaster(#[from] PaymasterError),

    /// The operation could cost more than what is left of the key's gas limit. It was not sent: it would be refused.
    #[error(transparent)]
    GasBudget(#[from] GasBudgetExceeded),

    /// There is nothing to do: no action was given.
    #[error("no action was given")]
    NoAction,

    /// The operation to be replaced is another account's.
    #[error("the operation to be replaced is account {found}'s, not account {expected}'s")]
    ReplacesOtherAccount {
        /// The client's account.
        expected: Address,
        /// The operation's.
        found: Address,
    },

    /// Bundlers take a replacement only if it pays at least a tenth more, in both fees.
    #[error(
        "a replacement must offer at least {max_fee_per_gas} wei per gas unit, {max_priority_fee_per_gas} of it as priority fee"
    )]
    ReplacementUnderpriced {
        /// The least maximum fee, in wei per gas unit.
        max_fee_per_gas: U256,
        /// The least priority fee, in wei per gas unit.
        max_priority_fee_per_gas: U256,
    },

    /// It could not be built and signed in time. Nothing was sent.
    #[error("the operation could not be built and signed within {waited:?}; it was not sent")]
    NotSentInTime {
        /// How long it was waited for.
        waited: Duration,
    },

    /// Not sent, or not known what became of it.
    #[error(transparent)]
    Submit(#[from] SubmitError),

    /// Included and paid for, but its call reverted.
    #[error("the operation was included, but failed: {reason}")]
    Reverted {
        /// The receipt.
        receipt: Box<Receipt>,
        /// Why.
        reason: crate::Revert,
    },

    /// The transaction that carried it failed as a whole.
    #[error("transaction {transaction_hash}, which carried the operation, failed{}", because(.reason))]
    Dropped {
        /// The transaction.
        transaction_hash: B256,
        /// Why, as far as it can be told.
        reason: Option<Refusal>,
    },
}

fn because(reason: &Option<Refusal>) -> String {
    reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default()
}

/// The operation could cost more than what is left of the key's gas limit, also at the lowest fee that may get it included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operation may cost {needed} wei or more, but {remaining} wei are left of the key's gas limit")]
pub struct GasBudgetExceeded {
    /// What must be left for the operation at the least, in wei.
    pub needed: U256,
    /// What is left, in wei.
    pub remaining: U256,
}

/// A paymaster service failed or declined.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PaymasterError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Fills an operation's `paymasterAndData`.
#[async_trait]
pub trait Paymaster: fmt::Debug + Send + Sync {
    /// Data of the right form and length, for gas estimation: the paymaster's contract runs on it. That it reports a failed
    /// signature is no matter, but if it reverts, the estimation fails.
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;

    /// The data that is signed and sent. Gas limits and fees of the operation are final.
    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;
}

/// A paymaster that takes the same data for every operation: its address, and possibly more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPaymaster {
    /// `paymasterAndData`: the paymaster's address, then data for it.
    pub paymaster_and_data: Bytes,
}

impl FixedPaymaster {
    /// A paymaster that needs no data.
    pub fn new(paymaster: Address) -> Self {
        Self {
            paymaster_and_data: Bytes::copy_from_slice(paymaster.as_slice()),
        }
    }
}

#[async_trait]
impl Paymaster for FixedPaymaster {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.paymaster_and_data.clone())
    }

    async fn sponsor(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.paymaster_and_data.clone())
    }
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Nonce, fees, gas limits and paymaster are set.
    Built(Box<UserOperation>),
    /// Signed, and not sent yet. Whoever keeps it can send the very same operation again
    /// ([`Submitter::send`]) or replace it, whatever becomes of the sending.
    Signed(Box<SignedOperation>),
    /// On its way; this is its hash.
    Sent(B256),
    /// In a block.
    Included(Box<Outcome>),
}

/// What both clients are made of.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) account: SmartAccount,
    pub(crate) signer: Arc<dyn Signer + Send + Sync>,
    pub(crate) submitter: Arc<dyn Submitter>,
    pub(crate) paymaster: Option<Arc<dyn Paymaster>>,
}

impl Core {
    pub(crate) fn new(
        account: SmartAccount,
        signer: Arc<dyn Signer + Send + Sync>,
        submitter: Arc<dyn Submitter>,
    ) -> Self {
        Self {
            account,
            signer,
            submitter,
            paymaster: None,
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("account", &self.account.address())
            .field("signer", &self.signer.address())
            .field("submitter", &self.submitter)
            .field("paymaster", &self.paymaster)
            .finish()
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    CallData(Bytes),
    Actions(Vec<OwnerAction>),
}

type OnProgress<'a> = Box<dyn Fn(&Progress) + Send + Sync + 'a>;

/// A user operation to be. Made by the clients' methods; nothing happens until [`build`](Self::build), [`send`](Self::send) or
/// [`execute`](Self::execute).
///
/// Whatever is not set is found out: nonce, fees and gas limits from the chain.
#[must_use = "an operation does nothing until it is sent"]
pub struct Operation<'a> {
    core: &'a Core,
    source: Source,
    /// The key whose gas limit the operation counts against.
    session_key: Option<Address>,
    nonce_key: U192,
    nonce: Option<U256>,
    call_gas_limit: Option<U256>,
    verification_gas_limit: Option<U256>,
    pre_verification_gas: Option<U256>,
    fees: Option<(U256, U256)>,
    paymaster_and_data: Option<Bytes>,
    timeout: Duration,
    on_progress: Option<OnProgress<'a>>,
    replaces: Option<Replaced>,
}

/// What is known of an operation that another one is to replace.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    hash: B256,
    sender: Address,
    max_fee: U256,
    max_priority_fee: U256,
}

impl Replaced {
    /// The fees that a replacement needs: a tenth more than what it replaces, rounded up.
    fn least_fees(&self) -> (U256, U256) {
        let raised = |fee: U256| fee.saturating_add(fee.div_ceil(U256::from(10)).max(U256::ONE));
        (raised(self.max_fee), raised(self.max_priority_fee))
    }
}

impl fmt::Debug for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("core", self.core)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl<'a> Operation<'a> {
    pub(crate) fn new(core: &'a Core, source: Source, nonce_key: U192, session_key: Option<Address>) -> Self {
        Self {
            core,
            source,
            session_key,
            nonce_key,
            nonce: None,
            call_gas_limit: None,
            verification_gas_limit: None,
            pre_verification_gas: None,
            fees: None,
            paymaster_and_data: None,
            timeout: DEFAULT_TIMEOUT,
            on_progress: None,
            replaces: None,
        }
    }

    /// The same operation again, at a higher fee: same call data and nonce, so that one of the two happens at the most.
    pub(crate) fn replacement(
        core: &'a Core,
        pending: &SignedOperation,
        session_key: Option<Address>,
    ) -> Self {
        let operation = &pending.operation;
        // Who paid for the first pays for the second. A paymaster that the client knows is asked anew.
        let keep_paymaster = operation.paymaster_and_data.is_empty() || core.paymaster.is_none();
        Self {
            nonce: Some(operation.nonce),
            paymaster_and_data: keep_paymaster.then(|| operation.paymaster_and_data.clone()),
            replaces: Some(Replaced {
                hash: pending.hash,
                sender: operation.sender,
                max_fee: operation.max_fee_per_gas,
                max_priority_fee: operation.max_priority_fee_per_gas,
            }),
            ..Self::new(
                core,
                Source::CallData(operation.call_data.clone()),
                operation.nonce_key(),
                session_key,
            )
        }
    }

    /// Another nonce lane. A session key with a gas limit must use its own, which is the default.
    pub fn nonce_key(mut self, nonce_key: U192) -> Self {
        self.nonce_key = nonce_key;
        self
    }

    /// This nonce, lane included: to send several operations at once, or to replace one that is not included yet.
    pub const fn nonce(mut self, nonce: U256) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Gas units for the execution.
    pub const fn call_gas_limit(mut self, gas: U256) -> Self {
        self.call_gas_limit = Some(gas);
        self
    }

    /// Gas units for validation.
    pub const fn verification_gas_limit(mut self, gas: U256) -> Self {
        self.verification_gas_limit = Some(gas);
        self
    }

    /// Gas units for what the EntryPoint cannot measure.
    pub const fn pre_verification_gas(mut self, gas: U256) -> Self {
        self.pre_verification_gas = Some(gas);
        self
    }

    /// All three gas limits: then nothing is simulated to find them, and what the call does is seen on chain only. An
    /// [`EntryPointSubmitter`](crate::submit::EntryPointSubmitter) still tries validation before it sends.
    pub const fn gas_limits(mut self, limits: GasEstimate) -> Self {
        self.call_gas_limit = Some(limits.call_gas_limit);
        self.verification_gas_limit = Some(limits.verification_gas_limit);
        self.pre_verification_gas = Some(limits.pre_verification_gas);
        self
    }

    /// Fees in wei per gas unit: the most in all, and the most for the bundler. They are not lowered to fit a key's gas limit.
    pub const fn fees(mut self, max_fee_per_gas: U256, max_priority_fee_per_gas: U256) -> Self {
        self.fees = Some((max_fee_per_gas, max_priority_fee_per_gas));
        self
    }

    /// This `paymasterAndData`, whatever the client's paymaster; empty: the account pays.
    pub fn paymaster_and_data(mut self, paymaster_and_data: impl Into<Bytes>) -> Self {
        self.paymaster_and_data = Some(paymaster_and_data.into());
        self
    }

    /// How long [`execute`](Self::execute) and [`outcome`](Self::outcome) take at the most, all told: building, signing and
    /// sending included. Where the time ends before the operation is sent, the error is [`OperationError::NotSentInTime`]; while
    /// it is being sent, [`SubmitError::MaybeSent`]; after that, [`SubmitError::Timeout`] or, if the node cannot answer, again
    /// [`SubmitError::MaybeSent`].
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tells how far the operation is.
    pub fn on_progress(mut self, callback: impl Fn(&Progress) + Send + Sync + 'a) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// The call data, with predecessors of keys as the chain has them now.
    pub async fn call_data(&self) -> Result<Bytes, OperationError> {
        match &self.source {
            Source::CallData(data) => Ok(data.clone()),
            Source::Actions(actions) => encode_actions(&self.core.account, actions).await,
        }
    }

    /// The complete operation, unsigned.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.core.account.address()))]
    pub async fn build(&self) -> Result<UserOperation, OperationError> {
        let account = &self.core.account;
        if let Some(replaced) = self.replaces
            && replaced.sender != account.address()
        {
            return Err(OperationError::ReplacesOtherAccount {
                expected: account.address(),
                found: replaced.sender,
            });
        }
        let (call_data, nonce, init_code, fees, budget) = tokio::try_join!(
            self.call_data(),
            async {
                match self.nonce {
                    Some(nonce) => Ok(nonce),
                    None => account.nonce(self.nonce_key).await.map_err(OperationError::from),
                }
            },
            async { account.init_code().await.map_err(OperationError::from) },
            self.chosen_fees(),
            self.gas_budget(),
        )?;
        let mut operation = UserOperation {
            sender: account.address(),
            nonce,
            init_code,
            call_data,
            max_fee_per_gas: fees.max_fee,
            max_priority_fee_per_gas: fees.max_priority_fee,
            signature: DUMMY_SIGNATURE,
            ..Default::default()
        };
        let paymaster = match &self.paymaster_and_data {
            Some(data) => {
                operation.paymaster_and_data = data.clone();
                None
            }
            None => self.core.paymaster.as_ref(),
        };
        if let Some(paymaster) = paymaster {
            operation.paymaster_and_data = paymaster.stub(&operation).await?;
        }

        operation.call_gas_limit = self.call_gas_limit.unwrap_or_default();
        operation.verification_gas_limit = self.verification_gas_limit.unwrap_or_default();
        operation.pre_verification_gas = self.pre_verification_gas.unwrap_or_default();
        if self.call_gas_limit.is_none()
            || self.verification_gas_limit.is_none()
            || self.pre_verification_gas.is_none()
        {
            // Simulation would refuse it, too, but could not say why.
            if let Some(budget) = &budget {
                budget.check_least_cost(&operation, &fees)?;
            }
            let estimate = self.core.submitter.estimate_gas(&operation).await?;
            operation.call_gas_limit = self.call_gas_limit.unwrap_or(estimate.call_gas_limit);
            operation.verification_gas_limit = self
                .verification_gas_limit
                .unwrap_or(estimate.verification_gas_limit);
            operation.pre_verification_gas =
                self.pre_verification_gas.unwrap_or(estimate.pre_verification_gas);
        }
        if let Some(budget) = &budget {
            budget.fit(&mut operation, &fees)?;
        }
        if let Some(paymaster) = paymaster {
            operation.paymaster_and_data = paymaster.sponsor(&operation).await?;
            // A paymaster makes validation count three times: also one that the stub did not announce.
            if let Some(budget) = &budget {
                budget.check(&operation)?;
            }
        }
        self.report(|| Progress::Built(Box::new(operation.clone())));
        Ok(operation)
    }

    /// The complete operation, signed.
    pub async fn sign(&self) -> Result<SignedOperation, OperationError> {
        let mut operation = self.build().await?;
        let account = &self.core.account;
        let hash = operation.hash(account.deployment().entry_point, account.chain_id());
        operation.signature = sign_hash(&*self.core.signer, hash).await?;
        let signed = SignedOperation { operation, hash };
        self.report(|| Progress::Signed(Box::new(signed.clone())));
        Ok(signed)
    }

    /// Sends the operation. Returns its hash, without waiting for it to be included.
    ///
    /// After [`SubmitError::MaybeSent`] the very same operation can be sent again: [`Progress::Signed`] hands it out, or else
    /// [`sign`](Self::sign) it and send it by the client's submitter.
    pub async fn send(&self) -> Result<B256, OperationError> {
        let signed = self.sign().await?;
        self.core.submitter.send(&signed).await?;
        Ok(self.sent(&signed))
    }

    /// Sends the operation, or fails when the time is over.
    async fn send_within(&self, limit: Duration) -> Result<B256, OperationError> {
        let started = Instant::now();
        let signed = timeout(limit, self.sign())
            .await
            .map_err(|_| OperationError::NotSentInTime { waited: limit })??;
        let left = limit.saturating_sub(started.elapsed());
        match timeout(left, self.core.submitter.send(&signed)).await {
            Ok(sent) => sent?,
            Err(_) => {
                return Err(OperationError::Submit(SubmitError::MaybeSent {
                    hash: signed.hash,
                    error: TransportErrorKind::custom_str("no answer in time"),
                }));
            }
        }
        Ok(self.sent(&signed))
    }

    fn sent(&self, signed: &SignedOperation) -> B256 {
        self.report(|| Progress::Sent(signed.hash));
        signed.hash
    }

    /// Sends the operation and waits until it is included. What became of it is not an error here.
    ///
    /// Of a replacement, the outcome is that of whichever of the two was included; [`Receipt::user_op_hash`] says which.
    pub async fn outcome(&self) -> Result<Outcome, OperationError> {
        let started = Instant::now();
        let left = || self.timeout.saturating_sub(started.elapsed());
        let outcome = match self.send_within(self.timeout).await {
            Ok(hash) => {
                let replaced = self.replaces.map(|replaced| replaced.hash);
                let hashes: Vec<B256> = replaced.into_iter().chain([hash]).collect();
                self.core.submitter.wait_any(&hashes, left()).await?
            }
            // That the first is included, or about to be, is one reason why its replacement cannot be.
            Err(error) => match timeout(left(), self.outcome_of_replaced(&error)).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) | Err(_) => return Err(error),
            },
        };
        self.report(|| Progress::Included(Box::new(outcome.clone())));
        Ok(outcome)
    }

    /// What became of the operation to be replaced, when its replacement was not taken: if it is included.
    async fn outcome_of_replaced(&self, error: &OperationError) -> Option<Outcome> {
        let submitter = &self.core.submitter;
        let (replaced, nonce) = (self.replaces?.hash, self.nonce?);
        let included = |outcome: Outcome| outcome.receipt().is_some().then_some(outcome);
        if let Some(outcome) = submitter.outcome(replaced).await.ok()?.and_then(included) {
            return Some(outcome);
        }
        if !matches!(error, OperationError::Submit(error) if error.is_invalid_nonce()) {
            return None;
        }
        // Bundlers refuse a replacement by its nonce while they are sending the first: the chain does not know the nonce for used
        // yet. Where it does, it may have been used between the two requests, or by another operation.
        let next = self.core.account.nonce(self.nonce_key).await.ok()?;
        match next > nonce {
            true => submitter.outcome(replaced).await.ok()?.and_then(included),
            false => submitter
                .wait(replaced, self.timeout)
                .await
                .ok()
                .and_then(included),
        }
    }

    /// Sends the operation and waits until it was executed. That its call reverts is an error.
    pub async fn execute(&self) -> Result<Receipt, OperationError> {
        match self.outcome().await? {
            Outcome::Success(receipt) => Ok(receipt),
            Outcome::Reverted { receipt, reason } => Err(OperationError::Reverted {
                receipt: Box::new(receipt),
                reason,
            }),
            Outcome::Dropped {
                transaction_hash,
                reason,
            } => Err(OperationError::Dropped {
                transaction_hash,
                reason,
            }),
        }
    }

    fn report(&self, progress: impl FnOnce() -> Progress) {
        if let Some(callback) = &self.on_progress {
            callback(&progress());
        }
    }

    async fn chosen_fees(&self) -> Result<Fees, OperationError> {
        let (least_fee, least_priority_fee) = self
            .replaces
            .as_ref()
            .map(Replaced::least_fees)
            .unwrap_or_default();
        if let Some((max_fee, max_priority_fee)) = self.fees {
            if max_fee < least_fee || max_priority_fee < least_priority_fee {
                return Err(OperationError::ReplacementUnderpriced {
                    max_fee_per_gas: least_fee,
                    max_priority_fee_per_gas: least_priority_fee,
                });
            }
            return Ok(Fees {
                max_fee,
                max_priority_fee,
                lowest_fee: max_fee,
            });
        }
        let fees = suggested_fees(self.core.account.provider())
            .await
            .map_err(ReadError::from)?;
        let max_fee = U256::from(fees.max_fee_per_gas);
        let max_priority_fee = U256::from(fees.max_priority_fee_per_gas);
        // Twice the base fee, plus the priority fee, is suggested. Below the base fee, nobody would include it.
        let base_fee = max_fee.saturating_sub(max_priority_fee) / U256::from(2);
        let lowest_fee = (base_fee + base_fee / U256::from(8)).max(U256::ONE);
        Ok(Fees {
            max_fee: max_fee.max(least_fee),
            max_priority_fee: max_priority_fee.max(least_priority_fee),
            lowest_fee: lowest_fee.max(least_fee),
        })
    }

    /// What is left of the key's gas limit. `None`: there is no limit, or none that can be read; the chain will judge.
    async fn gas_budget(&self) -> Result<Option<Budget>, OperationError> {
        let Some(session_key) = self.session_key else {
            return Ok(None);
        };
        let account = &self.core.account;
        let (limit, block) = tokio::join!(
            account.gas_spend_limit(session_key),
            account.provider().get_block_by_number(BlockNumberOrTag::Latest),
        );
        let limit = match limit {
            Ok(limit) => limit,
            Err(ReadError::Reverted { .. } | ReadError::UnexpectedAnswer { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let latest = block
            .and_then(|block| block.ok_or(RpcError::NullResp))
            .map_err(ReadError::from)?;
        Ok(Budget::new(&limit, latest.header.timestamp))
    }
}

struct Fees {
    max_fee: U256,
    max_priority_fee: U256,
    /// How far `max_fee` may be lowered to fit a budget.
    lowest_fee: U256,
}

/// Gas units that no operation of a session key gets by with: what a transaction costs that does nothing at all (EIP-2028).
const LEAST_GAS: U256 = U256::from_limbs([21_000, 0, 0, 0]);

struct Budget {
    /// Wei.
    remaining: U256,
}

impl Budget {
    /// Validation takes a cost that fits the current interval, or else a fresh one unless a reset is pending.
    fn new(limit: &GasSpendLimitInfo, now: u64) -> Option<Self> {
        limit.remaining(now).map(|remaining| Self { remaining })
    }

    fn exceeded(&self, needed: U256) -> GasBudgetExceeded {
        GasBudgetExceeded {
            needed,
            remaining: self.remaining,
        }
    }

    /// Whether the most that the operation can cost fits.
    fn check(&self, operation: &UserOperation) -> Result<(), GasBudgetExceeded> {
        let max_cost = operation.max_cost().unwrap_or(U256::MAX);
        match max_cost <= self.remaining {
            true => Ok(()),
            false => Err(self.exceeded(max_cost)),
        }
    }

    /// Whether there is any use in estimating the gas limits that the operation lacks.
    fn check_least_cost(&self, operation: &UserOperation, fees: &Fees) -> Result<(), GasBudgetExceeded> {
        let gas = operation.max_gas().map_or(U256::MAX, |gas| gas.max(LEAST_GAS));
        let needed = gas.saturating_mul(fees.lowest_fee);
        match needed <= self.remaining {
            true => Ok(()),
            false => Err(self.exceeded(needed)),
        }
    }

    /// Lowers the operation's fees so that the most it can cost fits.
    fn fit(&self, operation: &mut UserOperation, fees: &Fees) -> Result<(), GasBudgetExceeded> {
        if self.check(operation).is_ok() {
            return Ok(());
        }
        let gas = operation.max_gas().unwrap_or(U256::MAX);
        let affordable = self.remaining.checked_div(gas).unwrap_or_default();
        if affordable < fees.lowest_fee || affordable.is_zero() {
            return Err(self.exceeded(gas.saturating_mul(fees.lowest_fee.max(U256::ONE))));
        }
        operation.max_fee_per_gas = affordable;
        operation.max_priority_fee_per_gas = operation.max_priority_fee_per_gas.min(affordable);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_permissions::SpendLimitInfo;

    fn operation() -> UserOperation {
        UserOperation {
            call_gas_limit: U256::from(60),
            verification_gas_limit: U256::from(30),
            pre_verification_gas: U256::from(10),
            max_fee_per_gas: U256::from(50),
            max_priority_fee_per_gas: U256::from(20),
            ..Default::default()
        }
    }

    fn fit(remaining: u64, lowest_fee: u64) -> Result<UserOperation, GasBudgetExceeded> {
        let mut operation = operation();
        let fees = Fees {
            max_fee: operation.max_fee_per_gas,
            max_priority_fee: operation.max_priority_fee_per_gas,
            lowest_fee: U256::from(lowest_fee),
        };
        let budget = Budget {
            remaining: U256::from(remaining),
        };
        budget.fit(&mut operation, &fees)?;
        Ok(operation)
    }

    #[test]
    fn fees_are_lowered_to_fit_the_budget_but_not_too_far() {
        assert_eq!(fit(5000, 10).unwrap(), operation());
        let lowered = fit(1999, 10).unwrap();
        assert_eq!(lowered.max_fee_per_gas, U256::from(19));
        assert_eq!(lowered.max_priority_fee_per_gas, U256::from(19));
        assert!(lowered.max_cost().unwrap() <= U256::from(1999));
        // 100 gas units at 10 wei.
        let exceeded = |needed, remaining| {
            Err(GasBudgetExceeded {
                needed: U256::from(needed),
                remaining: U256::from(remaining),
            })
        };
        assert_eq!(fit(999, 10), exceeded(1000, 999));
        assert_eq!(fit(0, 0), exceeded(100, 0));
    }

    #[test]
    fn a_replacement_offers_a_tenth_more_of_each_fee() {
        let least = |max_fee: u64, max_priority_fee: u64| {
            let replaced = Replaced {
                hash: B256::ZERO,
                sender: Address::ZERO,
                max_fee: U256::from(max_fee),
                max_priority_fee: U256::from(max_priority_fee),
            };
            replaced.least_fees()
        };
        assert_eq!(least(100, 10), (U256::from(110), U256::from(11)));
        // Rounded up, and never the same.
        assert_eq!(least(101, 1), (U256::from(112), U256::from(2)));
        assert_eq!(least(5, 0), (U256::from(6), U256::from(1)));
    }

    #[test]
    fn a_pending_reset_blocks_the_next_interval() {
        let info = SpendLimitInfo {
            has_limit: true,
            limit: U256::from(100),
            limit_used: U256::from(90),
            refresh_interval: 10,
            last_used_time: 1000,
        };
        let remaining = |should_reset| {
            Budget::new(&GasSpendLimitInfo { info, should_reset }, 2000).map(|budget| budget.remaining)
        };
        assert_eq!(remaining(false), Some(U256::from(100)));
        assert_eq!(remaining(true), Some(U256::from(10)));
    }
}
