//! Whether an operation would pass, before it is signed.

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

/// Where the gas limits of a [`Check`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GasSource {
    /// They were estimated, or given.
    Estimated,
    /// Nothing can be estimated, because the calls are refused: [`STATED_VERIFICATION_GAS`] and [`STATED_CALL_GAS`] for each call.
    Stated,
}

/// Gas units for validation, where they cannot be estimated.
pub const STATED_VERIFICATION_GAS: u64 = 150_000;
/// Gas units for each call, where they cannot be estimated.
pub const STATED_CALL_GAS: u64 = 100_000;

/// Whether a session key's operation would pass, all at one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What the plugin says: accepted, refused by which rules, or possibly accepted by a plugin that does not enforce them.
    pub verdict: Verdict,
    /// Whether the operation is [strict](Operation::strict): then what may pass is not sent.
    pub strict: bool,
    /// What is left of the key's limits, before this operation.
    pub budgets: Budgets,
    /// The earliest time at which it would pass as it is, unix seconds. `None`: now, or not by waiting.
    pub earliest: Option<u64>,
    /// The account or its paymaster refuses it for a reason that is not the key's.
    pub refusal: Option<Refusal>,
    /// The plugin lets it pass, and then the call itself reverts with this.
    pub would_revert: Option<Revert>,
    /// The block that it was checked at.
    pub block: BlockRef,
    /// That block's time, unix seconds.
    pub time: u64,
    /// The gas limits that it was checked with.
    pub gas: Gas,
    /// Where they come from.
    pub gas_source: GasSource,
    /// What the operation may cost, in wei.
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
    /// Whether it would pass now, and if not, every rule that it breaks. Nothing is signed and nothing leaves the process but
    /// questions.
    ///
    /// # Errors
    ///
    /// [`Cause::NoVerdict`] for an operation that no session key makes; [`Cause::NoAnswerInTime`] after the operation's
    /// [time limit](Operation::timeout); and whatever keeps the question from being answered.
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
            // The verdict is worked out below, with the rules that the calls alone do not show.
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
        // As the client would: at the lowest fee that may get it included.
        self.fit_gas_limit(&mut operation, &reads, least_fees);
        check.max_cost = operation.max_cost().unwrap_or(U256::MAX);
        check.verdict = state.check(&operation, time);
        check.earliest = check.verdict.passes_from();
        Ok(check)
    }
}
