//! The forms in which bundlers answer.

use super::words::BundlerWords;
use crate::error::reason;
use alloy::primitives::{Address, Bytes, U256};
use serde_json::{Map, Value};

/// The forms of a [`Bundler`](crate::Bundler)'s answers. Clients meet all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundlerStyle {
    /// How it words its refusals.
    pub words: BundlerWords,
    /// Numbers in estimates, receipts and operations. The transaction's receipt within a receipt is the node's.
    pub numbers: NumberForm,
    /// The member `success` of a receipt.
    pub success: SuccessForm,
    /// The member `paymaster` of a receipt, where the account paid.
    pub no_paymaster: AbsentForm,
    /// The member `reason` of a receipt, where there is none.
    pub no_reason: AbsentForm,
    /// The member `reason` of a receipt, where there is one.
    pub reason: ReasonForm,
    /// The name of the gas limit for validation in estimates.
    pub verification_gas: VerificationGasName,
    /// The data of -32521, for a call that reverts while it is estimated.
    pub revert_data: RevertDataForm,
    /// Whether a receipt lacks what it can lack: `entryPoint`, `nonce`, `logs`, and all of the transaction's receipt but its
    /// hash.
    pub sparse_receipts: bool,
    /// Whether `eth_getUserOperationByHash` answers null to operations that are in no block yet.
    pub hides_pending: bool,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NumberForm {
    /// `"0x5208"`
    #[default]
    Hex,
    /// `"0x0000000000000000000000000000000000000000000000000000000000005208"`
    PaddedHex,
    /// `"21000"`
    DecimalText,
    /// `21000`, where a JSON number can hold it; else as text.
    Number,
}

/// How success is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SuccessForm {
    /// `true`
    #[default]
    Bool,
    /// `"true"`
    Text,
    /// `"0x1"`
    Hex,
    /// `1`
    Number,
}

/// How it is written that there is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbsentForm {
    /// `null`
    #[default]
    Null,
    /// `""`
    Empty,
    /// `"0x"`; for an address, the zero address.
    Zero,
    /// Not written at all.
    Absent,
}

/// How the reason of a revert is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonForm {
    /// The revert data, in hex.
    #[default]
    Hex,
    /// The text of an `Error(string)` or `Panic(uint256)`; the revert data in hex, where there is no text.
    Text,
    /// As if there were none.
    Unknown,
}

/// The name of the gas limit for validation in an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerificationGasName {
    /// `verificationGasLimit`
    #[default]
    VerificationGasLimit,
    /// `verificationGas`, as ERC-4337 once had it.
    VerificationGas,
    /// Both.
    Both,
}

/// Where the revert data of a call is, when it reverts in an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevertDataForm {
    /// `"data": "0x…"`
    #[default]
    Data,
    /// `"data": {"revertData": "0x…"}`
    Object,
    /// Nowhere.
    Absent,
}

impl BundlerStyle {
    pub(super) fn number(&self, number: U256) -> Value {
        match self.numbers {
            NumberForm::Hex => format!("{number:#x}").into(),
            NumberForm::PaddedHex => format!("{number:#066x}").into(),
            NumberForm::Number if number <= U256::from(u64::MAX) => number.as_limbs()[0].into(),
            NumberForm::Number | NumberForm::DecimalText => number.to_string().into(),
        }
    }

    pub(super) fn success(&self, success: bool) -> Value {
        match self.success {
            SuccessForm::Bool => success.into(),
            SuccessForm::Text => success.to_string().into(),
            SuccessForm::Hex => format!("{:#x}", u8::from(success)).into(),
            SuccessForm::Number => u8::from(success).into(),
        }
    }

    pub(super) fn put_paymaster(&self, receipt: &mut Map<String, Value>, paymaster: Address) {
        let paymaster = (!paymaster.is_zero()).then(|| format!("{paymaster:#x}"));
        let zero = format!("{:#x}", Address::ZERO);
        self.put(receipt, "paymaster", paymaster, self.no_paymaster, zero);
    }

    pub(super) fn put_reason(&self, receipt: &mut Map<String, Value>, revert_data: Option<&Bytes>) {
        let reason = match (self.reason, revert_data) {
            (ReasonForm::Unknown, _) | (_, None) => None,
            (ReasonForm::Hex, Some(data)) => Some(data.to_string()),
            (ReasonForm::Text, Some(data)) => Some(reason(data).unwrap_or_else(|| data.to_string())),
        };
        self.put(receipt, "reason", reason, self.no_reason, "0x".into());
    }

    fn put(
        &self,
        receipt: &mut Map<String, Value>,
        name: &str,
        value: Option<String>,
        absent: AbsentForm,
        zero: String,
    ) {
        let value = match (value, absent) {
            (Some(value), _) => value.into(),
            (None, AbsentForm::Null) => Value::Null,
            (None, AbsentForm::Empty) => "".into(),
            (None, AbsentForm::Zero) => zero.into(),
            (None, AbsentForm::Absent) => return,
        };
        receipt.insert(name.into(), value);
    }
}
