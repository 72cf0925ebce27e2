//! Checks whether an operation would pass, before it is signed.

use super::{
    Operation,
    error::{Cause, OperationError},
    gas::Gas,
};
use crate::{
    journal::BlockRef,
    permissions::model::{Budgets, Verdict},
    revert::Revert,
    submit::{Refusal, minimum_pre_verification_gas},
};
use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

/// The origin of the gas limits of a [`Check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GasSource {
    /// Estimated, or given.
    Estimated,
    /// Assumed, because refused calls cannot be estimated: [`STATED_VERIFICATION_GAS`], and
    /// [`STATED_CALL_GAS`] for each call.
    Stated,
}

/// Gas units for validation, if they cannot be estimated.
pub const STATED_VERIFICATION_GAS: u64 = 150_000;
/// Gas units for each call, if they cannot be estimated.
pub const STATED_CALL_GAS: u64 = 100_000;

/// Whether a session key's operation would pass, as of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The plugin's verdict: accepted, refused by which rules, or possibly accepted by a plugin that does not
    /// enforce them.
    pub verdict: Verdict,
    /// Whether the operation is [strict](Operation::strict): if so, an operation that only may pass is not
    /// sent.
    pub strict: bool,
    /// What is left of the key's limits, before this operation.
    pub budgets: Budgets,
    /// The earliest time at which it would pass unchanged, in unix seconds. `None`: now, or never by waiting.
    pub earliest: Option<u64>,
    /// A refusal by the account or its paymaster for a reason unrelated to the key.
    pub refusal: Option<Refusal>,
    /// The revert of the call itself, if the plugin accepts it.
    pub would_revert: Option<Revert>,
    /// The block it was checked at.
    pub block: BlockRef,
    /// That block's time, in unix seconds.
    pub time: u64,
    /// The gas limits it was checked with.
    pub gas: Gas,
    /// Their origin.
    pub gas_source: GasSource,
    /// The operation's maximum cost, in wei.
    pub max_cost: U256,
}

impl Check {
    /// Whether the operation would be sent.
    pub const fn passes(&self) -> bool {
        let is_allowed = match self.verdict {
            Verdict::Accepted { .. } => true,
            Verdict::MayPass { .. } => !self.strict,
            _ => false,
        };
        is_allowed && self.refusal.is_none() && self.would_revert.is_none()
    }
}

impl Operation {
    /// Checks whether it would pass now, and returns every rule that it breaks. Nothing is signed, and only
    /// queries leave the process.
    ///
    /// # Errors
    ///
    /// [`Cause::NoVerdict`] for an operation without a session key; [`Cause::NoAnswerInTime`] after the
    /// operation's [time limit](Operation::timeout); and errors that prevent an answer.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.core.account.address()))]
    pub async fn check(&self) -> Result<Check, OperationError> {
        let waited = self.timeout;
        match tokio::time::timeout(waited, Box::pin(self.checked())).await {
            Ok(checked) => checked,
            Err(_) => Err(Cause::NoAnswerInTime { waited }.into()),
        }
    }

    async fn checked(&self) -> Result<Check, OperationError> {
        let lane = self.core.lane(self.nonce_key);
        let mut reads = self.read(&lane).await?;
        let journal = self.core.desk.journal();
        let mut open = Vec::new();
        for lane in journal
            .unsettled_lanes(Some((lane.chain_id, lane.account)))
            .await?
        {
            open.extend(journal.unsettled(&lane).await?);
        }
        let nonce = reads.nonce;
        self.reserve(&mut reads, &lane, nonce, &open);
        let (Some(state), Some(used)) = (&reads.state, &self.session_key) else {
            return Err(Cause::NoVerdict.into());
        };
        let time = reads.head.timestamp;
        let mut check = Check {
            verdict: state.check_calls(&used.calls, time),
            strict: self.strict,
            budgets: state.budgets(time),
            earliest: None,
            refusal: None,
            would_revert: None,
            block: BlockRef {
                number: reads.head.number,
                hash: reads.head.hash,
            },
            time,
            gas: Gas::default(),
            gas_source: GasSource::Estimated,
            max_cost: U256::ZERO,
        };
        let least_fees = (U256::ZERO, U256::ZERO);
        let salt = self.salt();
        // Refused calls cannot be estimated.
        let prepared = if check.verdict.is_accepted() || matches!(check.verdict, Verdict::MayPass { .. }) {
            Some(self.prepare(&reads, reads.nonce, least_fees, &salt).await)
        } else {
            None
        };
        match prepared {
            Some(Ok(prepared)) => {
                check.gas = Gas::of(&prepared.operation);
                check.max_cost = prepared.operation.max_cost().unwrap_or(U256::MAX);
                if let Some(verdict) = prepared.verdict {
                    check.verdict = verdict;
                }
                return Ok(check);
            }
            Some(Err(Cause::Refused(refusal))) => check.refusal = Some(refusal),
            Some(Err(Cause::WouldRevert { revert })) => check.would_revert = Some(revert),
            // The verdict is computed below, with the rules that the calls alone do not show.
            Some(Err(Cause::NotAllowed { .. } | Cause::GasBudget { .. })) | None => {}
            Some(Err(cause)) => return Err(cause.into()),
        }
        let calls = u64::try_from(used.calls.len()).unwrap_or(u64::MAX).max(1);
        let mut operation = self.unpriced(&reads, reads.nonce);
        self.choose_fees(&mut operation, &reads, least_fees, &salt)?;
        operation.paymaster_and_data = self.stub(self.asked_paymaster(), &operation).await?;
        let stated = Gas {
            call_gas_limit: U256::from(STATED_CALL_GAS.saturating_mul(calls)),
            verification_gas_limit: U256::from(STATED_VERIFICATION_GAS),
            pre_verification_gas: minimum_pre_verification_gas(&operation),
        };
        check.gas = Gas {
            call_gas_limit: self.gas.call_gas_limit.unwrap_or(stated.call_gas_limit),
            verification_gas_limit: self
                .gas
                .verification_gas_limit
                .unwrap_or(stated.verification_gas_limit),
            pre_verification_gas: self
                .gas
                .pre_verification_gas
                .unwrap_or(stated.pre_verification_gas),
        };
        check.gas_source = if self.gas.is_complete() {
            GasSource::Estimated
        } else {
            GasSource::Stated
        };
        check.gas.apply(&mut operation);
        // Like the client: at the lowest fee that may get it included.
        self.fit_gas_limit(&mut operation, &reads, least_fees);
        check.max_cost = operation.max_cost().unwrap_or(U256::MAX);
        check.verdict = state.check(&operation, time);
        check.earliest = check.verdict.passes_from();
        Ok(check)
    }
}
