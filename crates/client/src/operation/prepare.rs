//! Prepares an operation for signing: state, verdict, fees, gas, paymaster, bounds.

use super::{
    Operation,
    bounds::Computed,
    error::Cause,
    gas::{Gas, SALT_BITS, Salt},
    paymaster::{Paymaster, PaymasterError, paymaster_of},
};
use crate::{
    explain,
    journal::{IntentRecord, Lane},
    node::{Head, SuggestedFees},
    permissions::{
        UserOperation,
        model::{KeyState, Spend, Verdict},
    },
    request::RequestError,
    submit::{EstimateError, check_call_gas, estimate_call_gas, minimum_pre_verification_gas},
};
use alloy::{
    eips::BlockId,
    primitives::{Bytes, U256},
};
use std::collections::BTreeMap;

/// The data read for an operation, all in one block.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) head: Head,
    /// The lane's next nonce.
    pub(crate) nonce: U256,
    pub(crate) fees: SuggestedFees,
    pub(crate) init_code: Bytes,
    pub(crate) call_data: Bytes,
    /// The session key's state, including reservations.
    pub(crate) state: Option<KeyState>,
}

/// An operation that lacks only its signature.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) operation: UserOperation,
    /// The model's verdict, if it is a session key's.
    pub(crate) verdict: Option<Verdict>,
    /// Whether its random bits distinguish it from every other operation.
    pub(crate) is_unique: bool,
}

/// How many times gas is estimated again because fees or paymaster data changed after an estimate.
const MOST_ESTIMATES: usize = 4;

/// The minimum gas of a session key's operation: a transaction's intrinsic gas (EIP-2028).
const LEAST_GAS: U256 = U256::from_limbs([21_000, 0, 0, 0]);

fn node_failed(error: RequestError) -> Cause {
    Cause::Request {
        by: "node".to_owned(),
        error,
    }
}

impl From<EstimateError> for Cause {
    fn from(error: EstimateError) -> Self {
        match error {
            EstimateError::Refused(refusal) => Self::Refused(refusal),
            EstimateError::WouldRevert(revert) => Self::WouldRevert { revert },
            EstimateError::NotTaken(not_taken) => Self::NotTaken(not_taken),
            EstimateError::Request { by, error } => Self::Request { by, error },
            EstimateError::OtherForm(other) => Self::Read {
                message: other.to_string(),
                is_transient: false,
            },
            EstimateError::NotAnEntryPoint(address) => Self::Read {
                message: format!(
                    "{address} did not answer as an EntryPoint of the operation's version; is this the right address and chain?"
                ),
                is_transient: false,
            },
        }
    }
}

impl Operation {
    /// Reads everything that an operation needs: the latest block, then everything else in that block
    /// concurrently.
    pub(super) async fn read(&self, lane: &Lane) -> Result<Reads, Cause> {
        let core = &self.core;
        let (head, chain_id) =
            tokio::try_join!(core.node.head(), core.node.chain_id()).map_err(node_failed)?;
        if chain_id != core.chain_id() {
            return Err(Cause::WrongChain {
                expected: core.chain_id(),
                found: chain_id,
            });
        }
        let account = core.account.clone().at(head.hash);
        let (nonce, fees, code, call_data, state) = tokio::try_join!(
            async { core.nonce_at(lane, &head).await.map_err(node_failed) },
            async { self.suggested_fees(&head).await },
            async {
                let code = core
                    .node
                    .code_at(account.address(), BlockId::hash(head.hash))
                    .await;
                code.map_err(node_failed)
            },
            async { self.source.call_data(&account, &core.desk).await },
            async {
                match (&self.session_key, self.source.deferred_grant()) {
                    (None, _) => Ok(None),
                    (Some(used), None) => {
                        let state = explain::load_for_calls(&account, used.key, &used.calls).await?;
                        Ok(Some(state))
                    }
                    (Some(used), Some(grant)) => {
                        let mut state = grant.key_state()?;
                        state.modules = explain::load_modules(&account, &used.calls).await?;
                        Ok(Some(state))
                    }
                }
            },
        )?;
        let grant = self.source.deferred_grant();
        let init_code = match grant {
            _ if !code.is_empty() => Bytes::new(),
            Some(grant) => grant.init_code.clone(),
            None => account.creation_code().clone(),
        };
        let is_granted = self.session_key.is_none() || grant.is_some();
        if code.is_empty() && (init_code.is_empty() || !is_granted) {
            return Err(Cause::AccountNotDeployed {
                account: account.address(),
            });
        }
        if let (Some(state), Some(used)) = (&state, &self.session_key)
            && !state.registered
        {
            let plugin = account.deployment().session_key_plugin;
            if !account.installed_plugins().await?.contains(&plugin) {
                return Err(Cause::PluginNotInstalled {
                    account: account.address(),
                    plugin,
                });
            }
            // The model reports an unregistered key.
            debug_assert_eq!(state.session_key, used.key);
        }
        Ok(Reads {
            head,
            nonce,
            fees,
            init_code,
            call_data,
            state,
        })
    }

    async fn suggested_fees(&self, head: &Head) -> Result<SuggestedFees, Cause> {
        if self.fees.is_some() {
            return Ok(SuggestedFees {
                max_fee: 0,
                max_priority_fee: 0,
                base_fee: head.base_fee.unwrap_or_default(),
            });
        }
        let own = self.core.submitter.fees(head).await;
        if let Some(own) = own.map_err(|error| Cause::Request {
            by: "bundler".to_owned(),
            error,
        })? {
            return Ok(own);
        }
        self.core.node.fees(head).await.map_err(node_failed)
    }

    /// Reserves what the key's other open operations may use. Operations with the same lane and nonce exclude
    /// each other: of those, the maximum for each budget counts. Those with the new operation's nonce do not
    /// count.
    pub(super) fn reserve(&self, reads: &mut Reads, lane: &Lane, nonce: U256, open: &[IntentRecord]) {
        let Some(state) = &mut reads.state else {
            return;
        };
        let signer = self.core.signer.address();
        let mut spends: BTreeMap<(Lane, U256), Spend> = BTreeMap::new();
        for record in open.iter().filter(|record| record.signer == signer) {
            for operation in record.open_operations() {
                let place = (record.lane, operation.nonce());
                // Operations that used a nonce are in the state already.
                let is_past =
                    operation.nonce_past.is_some() || record.lane == *lane && operation.nonce() < reads.nonce;
                if is_past || place == (*lane, nonce) {
                    continue;
                }
                // An operation that is not the key's uses nothing of it.
                let Ok(spend) = state.spend_of(&operation.signed.operation) else {
                    continue;
                };
                let largest = spends.entry(place).or_default();
                *largest = largest.max(&spend);
            }
        }
        for spend in spends.values() {
            state.reserve(spend, reads.head.timestamp);
        }
    }

    /// Judges the calls alone: gas limits and fees are not known yet.
    pub(super) fn judge_calls(&self, reads: &Reads) -> Result<(), Cause> {
        let (Some(state), Some(used)) = (&reads.state, &self.session_key) else {
            return Ok(());
        };
        self.judge(state.check_calls(&used.calls, reads.head.timestamp))
            .map(drop)
    }

    /// Refuses what the model refuses and, in strict mode, what it is uncertain about.
    fn judge(&self, verdict: Verdict) -> Result<Verdict, Cause> {
        let is_fine = match &verdict {
            Verdict::MayPass { .. } => !self.strict,
            verdict => verdict.is_accepted(),
        };
        if is_fine {
            Ok(verdict)
        } else {
            Err(Cause::NotAllowed {
                verdict: Box::new(verdict),
            })
        }
    }

    /// Builds the complete operation, with a dummy signature, and at least these fees, in wei per gas unit.
    pub(super) async fn prepare(
        &self,
        reads: &Reads,
        nonce: U256,
        least_fees: (U256, U256),
        salt: &Salt,
    ) -> Result<Prepared, Cause> {
        let core = &self.core;
        let mut operation = self.unpriced(reads, nonce);
        let budget = Budget::of(reads);
        let mut fee_bits = self.choose_fees(&mut operation, reads, least_fees, salt)?;
        let lowest_fee = self.lowest_fee(&operation, reads, least_fees);
        let paymaster = self.asked_paymaster();
        let mut stub = self.stub(paymaster, &operation).await?;
        operation.paymaster_and_data = stub.clone();
        if let Some(state) = &reads.state {
            // The estimation would fail as well, without the reason. Gas rules come last.
            let free = UserOperation {
                max_fee_per_gas: U256::ZERO,
                max_priority_fee_per_gas: U256::ZERO,
                ..operation.clone()
            };
            self.judge(state.check(&free, reads.head.timestamp))?;
        }
        if !self.gas.is_complete() {
            // No estimate makes it cheaper than that.
            let least_cost = LEAST_GAS.saturating_mul(operation.max_fee_per_gas);
            core.bounds.check_cost(least_cost)?;
        }
        for round in 0..MOST_ESTIMATES {
            operation.paymaster_and_data = stub.clone();
            if let Some(budget) = &budget {
                budget
                    .check_least_cost(&operation, lowest_fee)
                    .map_err(|cause| over_budget(reads, &operation, lowest_fee, cause))?;
            }
            let gas_bits = self.choose_gas(&mut operation, fee_bits, salt).await?;
            if let Some(budget) = &budget
                && let Some(lowered) = budget
                    .fit(&operation, lowest_fee, self.fees.is_some())
                    .map_err(|cause| over_budget(reads, &operation, lowest_fee, cause))?
            {
                // At a lower fee, a bundler may require more gas: after that has happened, leave a margin.
                let lowered = if round == 0 {
                    lowered
                } else {
                    with_margin(lowered, lowest_fee)
                };
                (operation.max_fee_per_gas, operation.max_priority_fee_per_gas) = lowered;
                fee_bits = 0;
                continue;
            }
            if let Some(paymaster) = paymaster {
                let data = paymaster.sponsor(&operation).await?;
                let (expected, found) = (paymaster_of(&stub)?, paymaster_of(&data)?);
                if expected != found {
                    return Err(PaymasterError::OtherPaymaster { expected, found }.into());
                }
                let is_estimated = data.len() == stub.len();
                operation.paymaster_and_data = data.clone();
                if !is_estimated {
                    stub = data;
                    continue;
                }
            }
            core.bounds
                .check_cost(operation.max_cost().unwrap_or(U256::MAX))?;
            let verdict = match &reads.state {
                Some(state) => Some(self.judge(state.check(&operation, reads.head.timestamp))?),
                None => None,
            };
            return Ok(Prepared {
                operation,
                verdict,
                is_unique: fee_bits + gas_bits >= SALT_BITS,
            });
        }
        Err(Cause::Request {
            by: "bundler".to_owned(),
            error: RequestError::Unreadable {
                method: "eth_estimateUserOperationGas".to_owned(),
                found: format!("{MOST_ESTIMATES} inconsistent estimates in a row"),
            },
        })
    }

    /// Returns the operation without fees, gas limits and paymaster, with a dummy signature.
    pub(super) fn unpriced(&self, reads: &Reads, nonce: U256) -> UserOperation {
        UserOperation {
            sender: self.core.account.address(),
            nonce,
            init_code: reads.init_code.clone(),
            call_data: reads.call_data.clone(),
            signature: self.with_grant(self.core.signer.dummy_signature(self.signature_form())),
            version: self.core.account.generation().entry_point_version(),
            ..Default::default()
        }
    }

    /// Prepends the operation's grant to a signature.
    pub(super) fn with_grant(&self, signature: Bytes) -> Bytes {
        match self.source.deferred_grant() {
            Some(grant) => [&grant.signature_prefix[..], &signature].concat().into(),
            None => signature,
        }
    }

    /// Lowers the fees to fit what is left of the key's gas limit, if possible.
    pub(super) fn fit_gas_limit(
        &self,
        operation: &mut UserOperation,
        reads: &Reads,
        least_fees: (U256, U256),
    ) {
        let lowest_fee = self.lowest_fee(operation, reads, least_fees);
        let Some(budget) = Budget::of(reads) else {
            return;
        };
        let lowered = match budget.fit(operation, lowest_fee, self.fees.is_some()) {
            Ok(None) => return,
            Ok(Some(lowered)) => lowered,
            Err(_) => (lowest_fee, operation.max_priority_fee_per_gas.min(lowest_fee)),
        };
        (operation.max_fee_per_gas, operation.max_priority_fee_per_gas) = lowered;
    }

    /// Returns the paymaster to ask, unless the caller gave its data.
    pub(super) fn asked_paymaster(&self) -> Option<&dyn Paymaster> {
        match self.paymaster_and_data {
            Some(_) => None,
            None => self.core.paymaster.as_deref(),
        }
    }

    pub(super) async fn stub(
        &self,
        paymaster: Option<&dyn Paymaster>,
        operation: &UserOperation,
    ) -> Result<Bytes, Cause> {
        if let Some(given) = &self.paymaster_and_data {
            return Ok(given.clone());
        }
        let Some(paymaster) = paymaster else {
            return Ok(Bytes::new());
        };
        let stub = paymaster.stub(operation).await?;
        paymaster_of(&stub)?;
        Ok(stub)
    }

    /// Sets the fees. Returns how many random bits they carry.
    pub(super) fn choose_fees(
        &self,
        operation: &mut UserOperation,
        reads: &Reads,
        (least_fee, least_priority_fee): (U256, U256),
        salt: &Salt,
    ) -> Result<u32, Cause> {
        let bounds = &self.core.bounds;
        let base_fee = reads.fees.base_fee;
        if let Some((max_fee, max_priority_fee)) = self.fees {
            operation.max_fee_per_gas = max_fee;
            operation.max_priority_fee_per_gas = max_priority_fee;
            if max_fee < least_fee || max_priority_fee < least_priority_fee {
                return Err(Cause::ReplacementUnderpriced {
                    max_fee_per_gas: least_fee,
                    max_priority_fee_per_gas: least_priority_fee,
                });
            }
            return Ok(0);
        }
        let suggested = (
            U256::from(reads.fees.max_fee),
            U256::from(reads.fees.max_priority_fee),
        );
        bounds.check_fees(base_fee, suggested.0, suggested.1)?;
        let (max_fee, max_priority_fee) = (suggested.0.max(least_fee), suggested.1.max(least_priority_fee));
        // A replacement's fees may exceed the suggestion, but not the bounds.
        bounds.check_fees(base_fee, max_fee, max_priority_fee)?;
        let (max_fee, max_priority_fee, bits) = salt.fees(max_fee, max_priority_fee);
        operation.max_fee_per_gas = max_fee;
        operation.max_priority_fee_per_gas = max_priority_fee;
        Ok(bits)
    }

    /// Returns the minimum fee when lowering it to fit a key's gas limit: below the base fee no one would
    /// include the operation.
    fn lowest_fee(&self, operation: &UserOperation, reads: &Reads, least_fees: (U256, U256)) -> U256 {
        if self.fees.is_some() {
            return operation.max_fee_per_gas;
        }
        let base_fee = U256::from(reads.fees.base_fee);
        (base_fee + base_fee / U256::from(8))
            .max(least_fees.0)
            .max(U256::ONE)
    }

    /// Sets the gas limits: as given, or as estimated within the bounds. Returns how many random bits they
    /// carry.
    async fn choose_gas(
        &self,
        operation: &mut UserOperation,
        fee_bits: u32,
        salt: &Salt,
    ) -> Result<u32, Cause> {
        let given = &self.gas;
        let mut gas = Gas {
            call_gas_limit: given.call_gas_limit.unwrap_or_default(),
            verification_gas_limit: given.verification_gas_limit.unwrap_or_default(),
            pre_verification_gas: given.pre_verification_gas.unwrap_or_default(),
        };
        if !given.is_complete() {
            let (estimate, computed) = self.estimate(operation, &gas).await?;
            self.core.bounds.check_gas(&estimate, &computed)?;
            gas = Gas {
                call_gas_limit: given.call_gas_limit.unwrap_or(estimate.call_gas_limit),
                verification_gas_limit: given
                    .verification_gas_limit
                    .unwrap_or(estimate.verification_gas_limit),
                pre_verification_gas: given
                    .pre_verification_gas
                    .unwrap_or(estimate.pre_verification_gas),
            };
        }
        let free = [
            given.call_gas_limit.is_none(),
            given.verification_gas_limit.is_none(),
        ];
        let bits = salt.gas(&mut gas, fee_bits, free, given.pre_verification_gas.is_none());
        gas.apply(operation);
        Ok(bits)
    }

    /// Returns the submitter's estimate, and the client's own numbers to compare it with.
    async fn estimate(&self, operation: &UserOperation, given: &Gas) -> Result<(Gas, Computed), Cause> {
        let core = &self.core;
        let mut asked = operation.clone();
        given.apply(&mut asked);
        let is_own = core.submitter.estimates_by_node();
        let (node, entry_point) = (&core.node, core.entry_point());
        let at_node = async {
            if is_own || !asked.init_code.is_empty() {
                return None;
            }
            // The bundler's answer is compared with the node's. A missing one does not prevent sending.
            estimate_call_gas(node, entry_point, &asked).await.ok()
        };
        let (estimate, at_node) = tokio::join!(core.submitter.estimate_gas(&asked), at_node);
        let mut estimate = estimate?;
        if let Some(limit) = at_node {
            estimate.call_gas_limit = estimate.call_gas_limit.max(limit);
        }
        // If both name less than any call takes, both are wrong: try the call with that much gas.
        let is_doubtful = !is_own && !asked.call_data.is_empty() && estimate.call_gas_limit < LEAST_CALL_GAS;
        if is_doubtful
            && asked.init_code.is_empty()
            && let Err(EstimateError::WouldRevert(revert)) =
                check_call_gas(node, entry_point, &asked, estimate.call_gas_limit).await
        {
            return Err(Cause::WouldRevert { revert });
        }
        let computed = Computed {
            call_gas_limit: at_node,
            verification_gas_limit: None,
            pre_verification_gas: minimum_pre_verification_gas(&asked),
        };
        Ok((estimate, computed))
    }
}

/// The minimum gas of practically any call of an account.
const LEAST_CALL_GAS: U256 = U256::from_limbs([25_000, 0, 0, 0]);

/// Returns fees lowered by a sixteenth, as far as allowed.
fn with_margin((max_fee, max_priority_fee): (U256, U256), lowest_fee: U256) -> (U256, U256) {
    let lower = (max_fee - max_fee / U256::from(16)).max(lowest_fee).min(max_fee);
    (lower, max_priority_fee.min(lower))
}

/// Returns the model's verdict on an operation that does not fit the key's gas limit even at this fee,
/// including when it would fit; or the amounts, if the model finds nothing.
fn over_budget(reads: &Reads, operation: &UserOperation, lowest_fee: U256, cause: Cause) -> Cause {
    let Some(state) = &reads.state else {
        return cause;
    };
    let mut cheapest = operation.clone();
    cheapest.max_fee_per_gas = lowest_fee.max(U256::ONE);
    cheapest.max_priority_fee_per_gas = cheapest.max_priority_fee_per_gas.min(cheapest.max_fee_per_gas);
    cheapest.pre_verification_gas = cheapest.pre_verification_gas.max(LEAST_GAS);
    let verdict = state.check(&cheapest, reads.head.timestamp);
    if verdict.violations().is_empty() {
        return cause;
    }
    Cause::NotAllowed {
        verdict: Box::new(verdict),
    }
}

/// What is left of the key's gas limit.
struct Budget {
    /// In wei.
    remaining: U256,
}

impl Budget {
    /// Validation accepts a cost that fits the current interval, or a fresh one unless a reset is pending.
    fn of(reads: &Reads) -> Option<Self> {
        let limit = &reads.state.as_ref()?.gas_limit;
        let now = if limit.should_reset {
            0
        } else {
            reads.head.timestamp
        };
        limit.info.remaining(now).map(|remaining| Self { remaining })
    }

    const fn exceeded(&self, needed: U256) -> Cause {
        Cause::GasBudget {
            needed,
            remaining: self.remaining,
        }
    }

    /// Checks whether estimating the missing gas limits can be of any use.
    fn check_least_cost(&self, operation: &UserOperation, lowest_fee: U256) -> Result<(), Cause> {
        let gas = operation.max_gas().map_or(U256::MAX, |gas| gas.max(LEAST_GAS));
        let needed = gas.saturating_mul(lowest_fee);
        if needed <= self.remaining {
            Ok(())
        } else {
            Err(self.exceeded(needed))
        }
    }

    /// Returns the lower fees at which the operation's maximum cost fits; `None` if it fits already.
    fn fit(
        &self,
        operation: &UserOperation,
        lowest_fee: U256,
        are_given: bool,
    ) -> Result<Option<(U256, U256)>, Cause> {
        let max_cost = operation.max_cost().unwrap_or(U256::MAX);
        if max_cost <= self.remaining {
            return Ok(None);
        }
        let gas = operation.max_gas().unwrap_or(U256::MAX);
        let affordable = self.remaining.checked_div(gas).unwrap_or_default();
        if are_given || affordable < lowest_fee || affordable.is_zero() {
            return Err(self.exceeded(gas.saturating_mul(lowest_fee.max(U256::ONE))));
        }
        Ok(Some((
            affordable,
            operation.max_priority_fee_per_gas.min(affordable),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn fees_are_lowered_to_fit_the_budget_within_limits() {
        let fit = |remaining: u64, lowest_fee: u64| {
            Budget {
                remaining: U256::from(remaining),
            }
            .fit(&operation(), U256::from(lowest_fee), false)
        };
        assert_eq!(fit(5000, 10), Ok(None));
        assert_eq!(fit(1999, 10), Ok(Some((U256::from(19), U256::from(19)))));
        // 100 gas units at 10 wei.
        let exceeded = |needed, remaining| {
            Err(Cause::GasBudget {
                needed: U256::from(needed),
                remaining: U256::from(remaining),
            })
        };
        assert_eq!(fit(999, 10), exceeded(1000, 999));
        assert_eq!(fit(0, 0), exceeded(100, 0));
    }
}
