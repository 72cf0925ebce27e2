//! The formats of bundlers' answers.

use super::words::BundlerWords;
use crate::error::reason;
use alloy::primitives::{Address, Bytes, U256};
use serde_json::{Map, Value};

/// The format of a [`Bundler`](crate::Bundler)'s answers. All of these occur in practice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundlerStyle {
    /// The wording of its refusals.
    pub words: BundlerWords,
    /// Numbers in estimates, receipts and operations. The nested transaction receipt is the node's.
    pub numbers: NumberForm,
    /// The member `success` of a receipt.
    pub success: SuccessForm,
    /// The member `paymaster` of a receipt, if the account paid.
    pub no_paymaster: AbsentForm,
    /// The member `reason` of a receipt without a reason.
    pub no_reason: AbsentForm,
    /// The member `reason` of a receipt with a reason.
    pub reason: ReasonForm,
    /// The name of the validation gas limit in estimates.
    pub verification_gas: VerificationGasName,
    /// The data of error -32521, for a call that reverts during estimation.
    pub revert_data: RevertDataForm,
    /// Whether a receipt lacks optional members: `entryPoint`, `nonce`, `logs`, and everything of the
    /// transaction's receipt except its hash.
    pub sparse_receipts: bool,
    /// Whether `eth_getUserOperationByHash` returns null for pending operations.
    pub hides_pending: bool,
}

/// The format of a number.
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
    /// `21000` if it fits a JSON number; else as text.
    Number,
}

/// The format of success.
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

/// The format of an absent value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbsentForm {
    /// `null`
    #[default]
    Null,
    /// `""`
    Empty,
    /// `"0x"`; the zero address for an address.
    Zero,
    /// Omitted.
    Absent,
}

/// The format of a revert reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReasonForm {
    /// The revert data in hex.
    #[default]
    Hex,
    /// The text of an `Error(string)` or `Panic(uint256)`; other revert data in hex.
    Text,
    /// As if there were no reason.
    Unknown,
}

/// The name of the validation gas limit in an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerificationGasName {
    /// `verificationGasLimit`
    #[default]
    VerificationGasLimit,
    /// `verificationGas`, from an early version of ERC-4337.
    VerificationGas,
    /// Both.
    Both,
}

/// The location of the revert data of a call that reverts during estimation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevertDataForm {
    /// `"data": "0x…"`
    #[default]
    Data,
    /// `"data": {"revertData": "0x…"}`
    Object,
    /// Omitted.
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
