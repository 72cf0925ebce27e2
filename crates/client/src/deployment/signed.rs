//! Signed transactions of a deployment: signed, kept by the caller, and checked on resumption.

use super::{Contract, DeployError, DeploymentPlan, PlannedContract};
use crate::transaction::{Action, Fees, SignedTransaction, Signer, UnfitTransaction};
use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{Address, B256, Bytes, TxKind, U256},
};
use serde::{Deserialize, Serialize};
use session_key_bindings::DEPLOYMENT_PROXY;

/// A signed transaction that creates a contract. Anyone who has it can send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedCreation {
    /// The contract it creates.
    pub contract: Contract,
    /// The nonce of its sender.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The signed transaction (EIP-2718).
    pub raw: Bytes,
}

/// A kept transaction is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// It is not from this sender on this chain.
    #[error(transparent)]
    Unfit(#[from] UnfitTransaction),

    /// It does not just call the deployment proxy without ether.
    #[error("it does not call the deployment proxy, or sends ether")]
    NotACreation,

    /// It creates another contract, or with other parameters.
    #[error(
        "it does not create {contract} with the parameters given: give those of the deployment that it is of"
    )]
    OtherCreation {
        /// The contract that it was kept for.
        contract: Contract,
    },
}

impl Fees {
    /// Returns the fees of a replacement: those of a new transaction, and at least a tenth more than this one
    /// in both fees, as nodes require.
    pub(super) fn replacement(&self, now: &Self) -> Self {
        let more = |fee: u128| fee.saturating_add(fee / 10).saturating_add(1);
        let now_tip = now.max_priority_fee.unwrap_or(now.max_fee);
        Self {
            base_fee: now.base_fee,
            max_fee: more(self.max_fee).max(now.max_fee),
            max_priority_fee: self.max_priority_fee.map(|tip| more(tip).max(now_tip)),
        }
    }
}

/// The contract and fees of a kept transaction, after checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked<'a> {
    pub(super) planned: &'a PlannedContract,
    pub(super) gas_limit: u64,
    pub(super) fees: Fees,
}

impl SignedCreation {
    /// Returns the transaction, whatever it creates.
    pub(super) fn transaction(&self) -> SignedTransaction {
        SignedTransaction {
            nonce: self.nonce,
            hash: self.hash,
            raw: self.raw.clone(),
        }
    }

    /// Returns the transaction's maximum cost, in wei: all its gas at its full fee, plus its value. `None` if
    /// it cannot be decoded.
    pub fn cost(&self) -> Option<U256> {
        let transaction = TxEnvelope::decode_2718_exact(&self.raw).ok()?;
        let gas = U256::from(transaction.gas_limit());
        Some(gas.saturating_mul(U256::from(transaction.max_fee_per_gas())))
    }

    /// Checks that this is a transaction of `sender` that creates the contract of the plan, and nothing else.
    pub(super) fn check<'a>(
        &self,
        chain_id: u64,
        sender: Address,
        plan: &'a DeploymentPlan,
    ) -> Result<Checked<'a>, KeptError> {
        let transaction = self.transaction().check(chain_id, sender)?;
        if transaction.kind() != TxKind::Call(DEPLOYMENT_PROXY) || !transaction.value().is_zero() {
            return Err(KeptError::NotACreation);
        }
        let contract = self.contract;
        let planned = plan.contract(contract);
        let planned = planned
            .filter(|planned| planned.call_data() == *transaction.input())
            .ok_or(KeptError::OtherCreation { contract })?;
        Ok(Checked {
            planned,
            gas_limit: transaction.gas_limit(),
            fees: Fees {
                base_fee: 0,
                max_fee: transaction.max_fee_per_gas(),
                max_priority_fee: transaction.max_priority_fee_per_gas(),
            },
        })
    }

    /// Signs the transaction that creates a contract.
    pub(super) async fn sign(
        planned: &PlannedContract,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        fees: &Fees,
        signer: &Signer,
    ) -> Result<Self, DeployError> {
        let action = Action {
            to: DEPLOYMENT_PROXY,
            value: U256::ZERO,
            input: planned.call_data(),
        };
        let signed = SignedTransaction::sign(action, chain_id, nonce, gas_limit, fees, signer).await;
        let signed = signed.map_err(|error| DeployError::NotSigned {
            contract: planned.contract,
            reason: error.to_string(),
        })?;
        let SignedTransaction { nonce, hash, raw } = signed;
        Ok(Self {
            contract: planned.contract,
            nonce,
            hash,
            raw,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn fees(max_fee: u128, max_priority_fee: Option<u128>) -> Fees {
        Fees {
            base_fee: 0,
            max_fee,
            max_priority_fee,
        }
    }

    #[test]
    fn fees_are_too_low_if_less_than_half_of_the_tip_is_left() {
        let now = Fees {
            base_fee: 100,
            ..fees(210, Some(10))
        };
        for (offer, is_too_low) in [
            (fees(99, Some(50)), true),
            (fees(104, Some(50)), true),
            (fees(105, Some(50)), false),
            (fees(1_000, Some(4)), true),
            (fees(1_000, Some(5)), false),
            // A single gas price.
            (fees(104, None), true),
            (fees(105, None), false),
        ] {
            assert_eq!(offer.is_too_low_for(&now), is_too_low, "{offer:?}");
        }
        let without_base_fee = fees(9, None);
        assert!(fees(4, None).is_too_low_for(&without_base_fee));
        assert!(!fees(5, None).is_too_low_for(&without_base_fee));
    }

    #[test]
    fn a_replacement_raises_both_fees_by_a_tenth_or_to_current_fees() {
        let now = Fees {
            base_fee: 100,
            ..fees(210, Some(10))
        };
        let replaced = fees(1_000, Some(3)).replacement(&now);
        assert_eq!((replaced.max_fee, replaced.max_priority_fee), (1_101, Some(10)));
        let replaced = fees(50, Some(50)).replacement(&now);
        assert_eq!((replaced.max_fee, replaced.max_priority_fee), (210, Some(56)));
        let replaced = fees(200, None).replacement(&now);
        assert_eq!((replaced.max_fee, replaced.max_priority_fee), (221, None));
        for old in [0, 1, 9, 10, 11, 99, 1_000_000_007] {
            let new = fees(old, Some(old)).replacement(&Fees::default());
            // As in geth: higher, and at least 110 %, rounded down.
            assert!(new.max_fee > old && new.max_fee >= old * 110 / 100, "{old}");
            assert!(new.max_priority_fee.unwrap() <= new.max_fee);
        }
        let most = fees(u128::MAX, Some(u128::MAX)).replacement(&now);
        assert_eq!(most.max_fee, u128::MAX);
    }
}
