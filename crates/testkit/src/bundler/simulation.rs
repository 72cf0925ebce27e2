//! Simulates validations.

use super::{
    operation::{EntryPointVersion, VersionedOperation},
    rehearsal::{Extent, rehearse},
    words::Refusal,
};
use crate::{ChainError, chain::code_of, vantage::Vantage};
use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
    rpc::types::state::StateOverride,
    sol_types::SolError,
};
use session_key_bindings::{IEntryPoint, IEntryPointV07};

/// The result of a validation that did not revert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validation {
    /// The account's result.
    pub(super) account: Answer,
    /// The paymaster's result; good, if there is none.
    pub(super) paymaster: Answer,
}

/// The validation result of an account or a paymaster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) signature_failed: bool,
    /// Unix seconds; `u64::MAX` if there is no end.
    pub(super) valid_until: u64,
    /// Unix seconds.
    pub(super) valid_after: u64,
}

impl Answer {
    /// Unpacks validation data: the signature flag or aggregator (20 bytes), valid until (6 bytes), valid
    /// after (6 bytes).
    fn unpack(data: U256) -> Result<Self, Refusal> {
        let bytes = data.to_be_bytes::<32>();
        let time = |bytes: &[u8]| bytes.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let authorizer = Address::from_slice(&bytes[12..]);
        if authorizer > Address::with_last_byte(1) {
            return Err(Refusal::Aggregator(authorizer));
        }
        Ok(Self {
            signature_failed: !authorizer.is_zero(),
            valid_until: match time(&bytes[6..12]) {
                0 => u64::MAX,
                until => until,
            },
            valid_after: time(&bytes[..6]),
        })
    }
}

/// Simulates the operation's validation, as part of a bundle of the executor. The caller judges
/// signature and times.
pub(super) fn simulate(
    seen: &Vantage<'_>,
    executor: Address,
    operation: &VersionedOperation,
    state: StateOverride,
) -> Result<Validation, Refusal> {
    // Here the EntryPoint would fail without a reason.
    let has_code = |address: Address| -> Result<bool, ChainError> {
        if let Some(code) = state.get(&address).and_then(|account| account.code.as_ref()) {
            return Ok(!code.is_empty());
        }
        let account = seen.account_at(address, BlockId::latest())?;
        Ok(account.is_some_and(|account| !code_of(&account).is_empty()))
    };
    if operation.init_code().is_empty() && !has_code(operation.sender())? {
        return Err(Refusal::Failed("AA20 account not deployed".into()));
    }
    if let Some(paymaster) = operation.paymaster()
        && !has_code(paymaster)?
    {
        return Err(Refusal::Failed("AA30 paymaster not deployed".into()));
    }
    let rehearsed = rehearse(seen, executor, operation, Extent::Validation, state)?;
    let account = Answer::unpack(rehearsed.account_data.unwrap_or_default())?;
    let data = rehearsed.paymaster_data.unwrap_or_default();
    // Any nonzero value means that the paymaster's signature failed.
    let authorizer: U256 = data & (U256::MAX >> 96_usize);
    let paymaster = Answer {
        signature_failed: !authorizer.is_zero(),
        ..Answer::unpack(data ^ authorizer)?
    };
    Ok(Validation { account, paymaster })
}

/// Returns the index of the failed operation of a bundle, and the reason, from the EntryPoint's error.
pub(super) fn failed_operation(version: EntryPointVersion, output: &[u8]) -> Option<(U256, Refusal)> {
    if let Ok(IEntryPoint::FailedOp { opIndex, reason }) = IEntryPoint::FailedOp::abi_decode(output) {
        return Some((opIndex, Refusal::Failed(reason)));
    }
    if version == EntryPointVersion::V06 {
        return None;
    }
    let failed = IEntryPointV07::FailedOpWithRevert::abi_decode(output).ok()?;
    Some((
        failed.opIndex,
        Refusal::FailedWithRevert {
            reason: failed.reason,
            inner: failed.inner,
        },
    ))
}
