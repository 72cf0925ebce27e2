//! Packed operations (EntryPoint v0.7 and later): two numbers to a word, and the paymaster's gas limits
//! inside `paymasterAndData`.

use super::{EntryPointVersion, UserOperation, hash::PAYMASTER_DATA_OFFSET};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};
use session_key_bindings::PackedUserOperation;

/// An operation has not the form that was asked for: it is of another version of the EntryPoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("the operation is of EntryPoint {found}, which takes another form of operations than {expected}")]
pub struct OtherForm {
    /// The version asked for.
    pub expected: EntryPointVersion,
    /// The operation's.
    pub found: EntryPointVersion,
}

/// `paymasterAndData` of a packed operation, in its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PaymasterFields {
    /// The paymaster.
    pub paymaster: Address,
    /// Gas units for its validation.
    pub verification_gas_limit: u128,
    /// Gas units for what it does after the execution.
    pub post_op_gas_limit: u128,
    /// Data for it.
    pub data: Bytes,
}

impl PaymasterFields {
    /// Takes `paymasterAndData` of a packed operation apart. `None`: it has fewer than 52 bytes.
    #[must_use]
    pub fn unpack(paymaster_and_data: &Bytes) -> Option<Self> {
        let (head, _) = paymaster_and_data.split_first_chunk::<PAYMASTER_DATA_OFFSET>()?;
        let (paymaster, limits) = head.split_at(20);
        let (verification, post_op) = limits.split_at(16);
        Some(Self {
            paymaster: Address::from_slice(paymaster),
            verification_gas_limit: number(verification),
            post_op_gas_limit: number(post_op),
            data: paymaster_and_data.slice(PAYMASTER_DATA_OFFSET..),
        })
    }

    /// `paymasterAndData` of a packed operation.
    #[must_use]
    pub fn pack(&self) -> Bytes {
        let head = [
            self.paymaster.as_slice(),
            &self.verification_gas_limit.to_be_bytes(),
            &self.post_op_gas_limit.to_be_bytes(),
            &self.data,
        ];
        head.concat().into()
    }
}

/// A number of at most 16 bytes.
fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Two numbers in one word. Above 2^128 - 1, they are taken for that: the EntryPoint refuses
/// them long before.
fn word(high: U256, low: U256) -> B256 {
    let (high, low): (u128, u128) = (high.saturating_to(), low.saturating_to());
    let word: U256 = U256::from(high) << 128 | U256::from(low);
    word.into()
}

fn halves(word: B256) -> (U256, U256) {
    let word = U256::from_be_bytes(word.0);
    (word >> 128, word & U256::from(u128::MAX))
}

impl UserOperation {
    /// `verificationGasLimit ‖ callGasLimit` of a packed operation.
    pub(super) fn account_gas_limits(&self) -> B256 {
        word(self.verification_gas_limit, self.call_gas_limit)
    }

    /// `maxPriorityFeePerGas ‖ maxFeePerGas` of a packed operation.
    pub(super) fn gas_fees(&self) -> B256 {
        word(self.max_priority_fee_per_gas, self.max_fee_per_gas)
    }

    /// The paymaster with its gas limits and data, of a packed operation that has one. `None` where
    /// `paymasterAndData` has fewer than 52 bytes, and for the unpacked operations of v0.6.
    #[must_use]
    pub fn paymaster_fields(&self) -> Option<PaymasterFields> {
        if self.version.is_packed() {
            PaymasterFields::unpack(&self.paymaster_and_data)
        } else {
            None
        }
    }

    /// From the form in which the EntryPoint of this version takes operations. With
    /// [`EntryPointVersion::V06`], which does not take packed ones, as v0.7.
    #[must_use]
    pub fn from_packed(operation: PackedUserOperation, version: EntryPointVersion) -> Self {
        let (verification_gas_limit, call_gas_limit) = halves(operation.accountGasLimits);
        let (max_priority_fee_per_gas, max_fee_per_gas) = halves(operation.gasFees);
        Self {
            version: version.max(EntryPointVersion::V07),
            sender: operation.sender,
            nonce: operation.nonce,
            init_code: operation.initCode,
            call_data: operation.callData,
            call_gas_limit,
            verification_gas_limit,
            pre_verification_gas: operation.preVerificationGas,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            paymaster_and_data: operation.paymasterAndData,
            signature: operation.signature,
            authorization: None,
        }
    }
}

/// An operation in the form in which the EntryPoint of its version takes it.
#[derive(Clone, Debug)]
pub enum AbiOperation {
    /// As v0.6 takes it.
    Unpacked(session_key_bindings::UserOperation),
    /// As later versions take it.
    Packed(PackedUserOperation),
}

impl From<UserOperation> for AbiOperation {
    fn from(operation: UserOperation) -> Self {
        if operation.version.is_packed() {
            Self::Packed(PackedUserOperation {
                accountGasLimits: operation.account_gas_limits(),
                gasFees: operation.gas_fees(),
                sender: operation.sender,
                nonce: operation.nonce,
                initCode: operation.init_code,
                callData: operation.call_data,
                preVerificationGas: operation.pre_verification_gas,
                paymasterAndData: operation.paymaster_and_data,
                signature: operation.signature,
            })
        } else {
            Self::Unpacked(session_key_bindings::UserOperation {
                sender: operation.sender,
                nonce: operation.nonce,
                initCode: operation.init_code,
                callData: operation.call_data,
                callGasLimit: operation.call_gas_limit,
                verificationGasLimit: operation.verification_gas_limit,
                preVerificationGas: operation.pre_verification_gas,
                maxFeePerGas: operation.max_fee_per_gas,
                maxPriorityFeePerGas: operation.max_priority_fee_per_gas,
                paymasterAndData: operation.paymaster_and_data,
                signature: operation.signature,
            })
        }
    }
}

impl TryFrom<UserOperation> for PackedUserOperation {
    type Error = OtherForm;

    fn try_from(operation: UserOperation) -> Result<Self, OtherForm> {
        let found = operation.version;
        match operation.into() {
            AbiOperation::Packed(packed) => Ok(packed),
            AbiOperation::Unpacked(_) => Err(OtherForm {
                expected: EntryPointVersion::V07,
                found,
            }),
        }
    }
}

impl TryFrom<UserOperation> for session_key_bindings::UserOperation {
    type Error = OtherForm;

    fn try_from(operation: UserOperation) -> Result<Self, OtherForm> {
        let found = operation.version;
        match operation.into() {
            AbiOperation::Unpacked(unpacked) => Ok(unpacked),
            AbiOperation::Packed(_) => Err(OtherForm {
                expected: EntryPointVersion::V06,
                found,
            }),
        }
    }
}

impl From<session_key_bindings::UserOperation> for UserOperation {
    fn from(operation: session_key_bindings::UserOperation) -> Self {
        Self {
            version: EntryPointVersion::V06,
            sender: operation.sender,
            nonce: operation.nonce,
            init_code: operation.initCode,
            call_data: operation.callData,
            call_gas_limit: operation.callGasLimit,
            verification_gas_limit: operation.verificationGasLimit,
            pre_verification_gas: operation.preVerificationGas,
            max_fee_per_gas: operation.maxFeePerGas,
            max_priority_fee_per_gas: operation.maxPriorityFeePerGas,
            paymaster_and_data: operation.paymasterAndData,
            signature: operation.signature,
            authorization: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::bytes;

    fn operation(version: EntryPointVersion) -> UserOperation {
        UserOperation {
            version,
            sender: Address::repeat_byte(1),
            nonce: U256::from(2),
            init_code: bytes!("03"),
            call_data: bytes!("04"),
            call_gas_limit: U256::from(5),
            verification_gas_limit: U256::from(6),
            pre_verification_gas: U256::from(7),
            max_fee_per_gas: U256::from(8),
            max_priority_fee_per_gas: U256::from(9),
            paymaster_and_data: bytes!("0a"),
            signature: bytes!("0b"),
            authorization: None,
        }
    }

    #[test]
    fn conversions_lose_nothing_and_refuse_the_other_form() {
        for version in EntryPointVersion::ALL {
            let operation = operation(version);
            let packed = PackedUserOperation::try_from(operation.clone());
            let unpacked = session_key_bindings::UserOperation::try_from(operation.clone());
            assert_eq!(packed.is_ok(), version.is_packed());
            assert_eq!(unpacked.is_ok(), !version.is_packed());
            if let Ok(packed) = packed {
                assert_eq!(UserOperation::from_packed(packed, version), operation);
            }
            if let Ok(unpacked) = unpacked {
                assert_eq!(UserOperation::from(unpacked), operation);
            }
        }
    }

    #[test]
    fn paymaster_fields_are_packed_behind_each_other() {
        let fields = PaymasterFields {
            paymaster: Address::repeat_byte(0xaa),
            verification_gas_limit: 1,
            post_op_gas_limit: 2 << 64,
            data: bytes!("cc"),
        };
        let packed = fields.pack();
        assert_eq!(packed.len(), 53);
        assert_eq!(PaymasterFields::unpack(&packed), Some(fields));
        assert_eq!(PaymasterFields::unpack(&packed.slice(..51)), None);
    }

    #[test]
    fn numbers_that_do_not_fit_are_taken_for_the_largest() {
        assert_eq!(word(U256::MAX, U256::ONE), word(U256::from(u128::MAX), U256::ONE));
        assert_eq!(
            halves(word(U256::from(3), U256::from(4))),
            (U256::from(3), U256::from(4))
        );
    }
}
