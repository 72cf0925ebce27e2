//! User operations of EntryPoint v0.6, as they come over the wire.

use super::words::Refusal;
use crate::vantage::Vantage;
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::SolValue,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use session_key_bindings::{ENTRY_POINT, UserOperation};

/// Slot of `nonceSequenceNumber` in the EntryPoint's storage: the deposits come before it.
const NONCES_SLOT: U256 = U256::from_limbs([1, 0, 0, 0]);

/// Gas units that a bundle costs beside its operations, and that each of its operations costs beside what the EntryPoint
/// measures: what bundlers reckon with.
const GAS_OF_BUNDLE: u64 = 21_000;
const GAS_OF_OPERATION: u64 = 18_300;
const GAS_OF_WORD: u64 = 4;
const GAS_OF_ZERO_BYTE: u64 = 4;
const GAS_OF_BYTE: u64 = 16;

/// Who sends, and in which place: only one operation can be included there.
pub(super) type Place = (Address, U256);

pub(super) const fn place(operation: &UserOperation) -> Place {
    (operation.sender, operation.nonce)
}

/// The lane of a nonce.
pub(super) fn lane(nonce: U256) -> U256 {
    nonce >> 64
}

/// The place of a nonce in its lane.
pub(super) const fn sequence(nonce: U256) -> u64 {
    nonce.as_limbs()[0]
}

/// The slot that holds the next sequence number of a lane.
pub(super) fn nonce_slot(sender: Address, lane: U256) -> U256 {
    let lanes = keccak256((sender, NONCES_SLOT).abi_encode());
    keccak256((lane, lanes).abi_encode()).into()
}

/// The next sequence number of a lane.
pub(super) fn next_sequence(seen: &Vantage<'_>, sender: Address, lane: U256) -> u64 {
    seen.storage_at(ENTRY_POINT, nonce_slot(sender, lane), BlockId::latest())
        .map(|sequence| sequence.saturating_to())
        .unwrap_or_default()
}

/// The hash that identifies an operation: the EntryPoint's `getUserOpHash`.
pub(super) fn hash(operation: &UserOperation, chain_id: u64) -> B256 {
    let packed = (
        operation.sender,
        operation.nonce,
        keccak256(&operation.initCode),
        keccak256(&operation.callData),
        operation.callGasLimit,
        operation.verificationGasLimit,
        operation.preVerificationGas,
        operation.maxFeePerGas,
        operation.maxPriorityFeePerGas,
        keccak256(&operation.paymasterAndData),
    );
    keccak256((keccak256(packed.abi_encode()), ENTRY_POINT, U256::from(chain_id)).abi_encode())
}

/// Gas units that the operation costs beside what the EntryPoint measures.
pub(super) fn overhead(operation: &UserOperation) -> u64 {
    let encoded = operation.abi_encode();
    let zeros = encoded.iter().filter(|byte| **byte == 0).count() as u64;
    let length = encoded.len() as u64;
    GAS_OF_BUNDLE
        + GAS_OF_OPERATION
        + GAS_OF_WORD * length.div_ceil(32)
        + GAS_OF_ZERO_BYTE * zeros
        + GAS_OF_BYTE * (length - zeros)
}

/// The most that [`overhead`] can come to once gas, fees, paymaster data and signature are filled in, as long as their lengths
/// stay.
pub(super) fn highest_overhead(operation: &UserOperation) -> u64 {
    // As many bytes as a number can have that pays for gas.
    let number = U256::from(u128::MAX);
    overhead(&UserOperation {
        callGasLimit: number,
        verificationGasLimit: number,
        preVerificationGas: number,
        maxFeePerGas: number,
        maxPriorityFeePerGas: number,
        paymasterAndData: vec![0xff; operation.paymasterAndData.len()].into(),
        signature: vec![0xff; operation.signature.len()].into(),
        ..operation.clone()
    })
}

/// Reads an operation strictly: quantities and data are hex with `0x`, and nothing is missing, but, where `estimated` says so,
/// gas limits and fees, which are then zero.
pub(super) fn read(operation: &Value, estimated: bool) -> Result<UserOperation, Refusal> {
    let members = operation
        .as_object()
        .ok_or_else(|| Refusal::InvalidFields("the operation is not an object".into()))?;
    let amount = |name: &str| match members.get(name) {
        None | Some(Value::Null) if estimated => Ok(U256::ZERO),
        _ => quantity(members, name),
    };
    Ok(UserOperation {
        sender: member(members, "sender")?,
        nonce: quantity(members, "nonce")?,
        initCode: member(members, "initCode")?,
        callData: member(members, "callData")?,
        callGasLimit: amount("callGasLimit")?,
        verificationGasLimit: amount("verificationGasLimit")?,
        preVerificationGas: amount("preVerificationGas")?,
        maxFeePerGas: amount("maxFeePerGas")?,
        maxPriorityFeePerGas: amount("maxPriorityFeePerGas")?,
        paymasterAndData: member(members, "paymasterAndData")?,
        signature: member(members, "signature")?,
    })
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let value = members
        .get(name)
        .ok_or_else(|| Refusal::InvalidFields(format!("{name} is missing")))?;
    value
        .as_str()
        .filter(|text| text.starts_with("0x"))
        .ok_or_else(|| Refusal::InvalidFields(format!("{name} is not hex with 0x")))
}

fn quantity(members: &Map<String, Value>, name: &str) -> Result<U256, Refusal> {
    let digits = &text(members, name)?[2..];
    U256::from_str_radix(digits, 16)
        .ok()
        .filter(|_| !digits.is_empty())
        .ok_or_else(|| Refusal::InvalidFields(format!("{name} is not a quantity")))
}

fn member<T: DeserializeOwned>(members: &Map<String, Value>, name: &str) -> Result<T, Refusal> {
    T::deserialize(&Value::from(text(members, name)?))
        .map_err(|error| Refusal::InvalidFields(format!("{name}: {error}")))
}

/// The operation as `eth_getUserOperationByHash` shows it.
pub(super) fn show(operation: &UserOperation, quantity: impl Fn(U256) -> Value) -> Value {
    json!({
        "sender": operation.sender,
        "nonce": quantity(operation.nonce),
        "initCode": operation.initCode,
        "callData": operation.callData,
        "callGasLimit": quantity(operation.callGasLimit),
        "verificationGasLimit": quantity(operation.verificationGasLimit),
        "preVerificationGas": quantity(operation.preVerificationGas),
        "maxFeePerGas": quantity(operation.maxFeePerGas),
        "maxPriorityFeePerGas": quantity(operation.maxPriorityFeePerGas),
        "paymasterAndData": operation.paymasterAndData,
        "signature": operation.signature,
    })
}

/// Who is to pay instead of the account.
pub(super) fn paymaster(paymaster_and_data: &Bytes) -> Option<Address> {
    paymaster_and_data.get(..20).map(Address::from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Stack};
    use session_key_bindings::IEntryPoint;

    fn operation() -> UserOperation {
        UserOperation {
            sender: Address::repeat_byte(0x11),
            nonce: (U256::from(0x2233) << 64) | U256::from(4),
            initCode: vec![5; 30].into(),
            callData: vec![0; 40].into(),
            callGasLimit: U256::from(6),
            verificationGasLimit: U256::from(7),
            preVerificationGas: U256::from(8),
            maxFeePerGas: U256::from(9),
            maxPriorityFeePerGas: U256::from(10),
            paymasterAndData: vec![11; 50].into(),
            signature: vec![0; 65].into(),
        }
    }

    #[test]
    fn the_hash_is_the_entry_points() {
        let mut chain = Chain::default();
        Stack::deploy(&mut chain).unwrap();
        let call = IEntryPoint::getUserOpHashCall { userOp: operation() };
        let expected = chain.read(Address::ZERO, ENTRY_POINT, &call).unwrap();
        assert_eq!(hash(&operation(), chain.chain_id()), expected);
    }

    #[test]
    fn nonces_are_read_from_the_entry_points_storage() {
        let mut chain = Chain::default();
        Stack::deploy(&mut chain).unwrap();
        let sender = Address::repeat_byte(0x11);
        for (lane, times) in [(0u64, 2), (0x2233, 3)] {
            let key = alloy::primitives::Uint::<192, 3>::from(lane);
            for _ in 0..times {
                let increment = IEntryPoint::incrementNonceCall { key };
                chain.transact(sender, ENTRY_POINT, &increment).unwrap();
            }
            let nonce = chain.read(
                Address::ZERO,
                ENTRY_POINT,
                &IEntryPoint::getNonceCall { sender, key },
            );
            let next = next_sequence(&chain.vantage(), sender, U256::from(lane));
            assert_eq!(nonce.unwrap(), (U256::from(lane) << 64) | U256::from(next));
            assert_eq!(next, times);
        }
    }

    #[test]
    fn the_overhead_counts_bytes_and_words() {
        let empty = UserOperation {
            sender: Address::ZERO,
            nonce: U256::ZERO,
            initCode: Bytes::new(),
            callData: Bytes::new(),
            callGasLimit: U256::ZERO,
            verificationGasLimit: U256::ZERO,
            preVerificationGas: U256::ZERO,
            maxFeePerGas: U256::ZERO,
            maxPriorityFeePerGas: U256::ZERO,
            paymasterAndData: Bytes::new(),
            signature: Bytes::new(),
        };
        // Sixteen words: the offset of the operation, eleven members, four lengths. Not zero are 0x20, and two bytes of each of
        // four offsets.
        assert_eq!(
            overhead(&empty),
            21_000 + 18_300 + 16 * 4 + (512 - 9) * 4 + 9 * 16
        );
    }

    #[test]
    fn an_operation_that_is_filled_in_costs_no_more_than_was_reckoned() {
        let empty = operation();
        let filled = UserOperation {
            callGasLimit: U256::from(u128::MAX),
            verificationGasLimit: U256::from(u64::MAX),
            maxFeePerGas: U256::from(u128::MAX),
            signature: vec![0xfe; 65].into(),
            ..operation()
        };
        let most = highest_overhead(&empty);
        assert_eq!(most, highest_overhead(&filled));
        assert!(overhead(&empty) < overhead(&filled) && overhead(&filled) < most);
    }
}
