//! User operations on the wire, for each EntryPoint that a bundler serves.

use super::words::Refusal;
use crate::vantage::Vantage;
use alloy::{
    eips::{BlockId, eip7702::SignedAuthorization},
    primitives::{Address, B256, Bytes, U256, hex, keccak256},
    sol_types::{SolCall, SolValue},
};
use erc7562::Parties;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use session_key_bindings::{
    ENTRY_POINT, ENTRY_POINT_V07, IEntryPoint, IEntryPointV07, PackedUserOperation, UserOperation,
};

/// The slot of `deposits` in both EntryPoints.
const DEPOSITS_SLOT: U256 = U256::ZERO;

/// The slot of `nonceSequenceNumber` in both EntryPoints, after the deposits.
const NONCES_SLOT: U256 = U256::from_limbs([1, 0, 0, 0]);

/// Gas units that bundlers add for a bundle as a whole, and for each of its operations in addition to what
/// the EntryPoint measures.
const GAS_OF_BUNDLE: u64 = 21_000;
const GAS_OF_OPERATION: u64 = 18_300;
const GAS_OF_WORD: u64 = 4;
const GAS_OF_ZERO_BYTE: u64 = 4;
const GAS_OF_BYTE: u64 = 16;
/// Gas units of an authorization (EIP-7702) in a bundle.
pub(super) const GAS_OF_AUTHORIZATION: u64 = 25_000;

/// An EntryPoint that a [`Bundler`](crate::Bundler) can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EntryPointVersion {
    /// EntryPoint v0.6.
    V06,
    /// EntryPoint v0.7.
    V07,
}

impl EntryPointVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 2] = [Self::V06, Self::V07];

    /// Returns its address, the same on every chain.
    #[must_use]
    pub const fn address(self) -> Address {
        match self {
            Self::V06 => ENTRY_POINT,
            Self::V07 => ENTRY_POINT_V07,
        }
    }
}

/// A user operation of either EntryPoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionedOperation {
    /// For EntryPoint v0.6.
    V06(UserOperation),
    /// For EntryPoint v0.7.
    V07 {
        /// The operation.
        operation: PackedUserOperation,
        /// The sender's delegation that the bundle carries (EIP-7702); not part of the operation's hash.
        authorization: Option<SignedAuthorization>,
    },
}

impl From<UserOperation> for VersionedOperation {
    fn from(operation: UserOperation) -> Self {
        Self::V06(operation)
    }
}

impl From<PackedUserOperation> for VersionedOperation {
    fn from(operation: PackedUserOperation) -> Self {
        Self::V07 {
            operation,
            authorization: None,
        }
    }
}

/// An operation's gas limits, in gas units, and fees, in wei per gas unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) call_gas: U256,
    pub(super) verification_gas: U256,
    pub(super) pre_verification_gas: U256,
    pub(super) max_fee: U256,
    pub(super) tip: U256,
    /// The paymaster's validation limit; zero without a paymaster, and with EntryPoint v0.6.
    pub(super) paymaster_verification_gas: U256,
    /// The paymaster's `postOp` limit; zero in the same cases.
    pub(super) post_op_gas: U256,
}

impl VersionedOperation {
    /// Returns its EntryPoint's version.
    #[must_use]
    pub const fn version(&self) -> EntryPointVersion {
        match self {
            Self::V06(_) => EntryPointVersion::V06,
            Self::V07 { .. } => EntryPointVersion::V07,
        }
    }

    pub(super) const fn entry_point(&self) -> Address {
        self.version().address()
    }

    /// Returns its sender.
    #[must_use]
    pub const fn sender(&self) -> Address {
        match self {
            Self::V06(operation) => operation.sender,
            Self::V07 { operation, .. } => operation.sender,
        }
    }

    /// Returns its nonce: the lane in the upper 192 bits, the sequence number in the lower 64.
    #[must_use]
    pub const fn nonce(&self) -> U256 {
        match self {
            Self::V06(operation) => operation.nonce,
            Self::V07 { operation, .. } => operation.nonce,
        }
    }

    /// Returns its maximum fee, in wei per gas unit.
    #[must_use]
    pub fn max_fee_per_gas(&self) -> U256 {
        self.numbers().max_fee
    }

    pub(super) const fn call_data(&self) -> &Bytes {
        match self {
            Self::V06(operation) => &operation.callData,
            Self::V07 { operation, .. } => &operation.callData,
        }
    }

    pub(super) const fn init_code(&self) -> &Bytes {
        match self {
            Self::V06(operation) => &operation.initCode,
            Self::V07 { operation, .. } => &operation.initCode,
        }
    }

    const fn paymaster_and_data(&self) -> &Bytes {
        match self {
            Self::V06(operation) => &operation.paymasterAndData,
            Self::V07 { operation, .. } => &operation.paymasterAndData,
        }
    }

    pub(super) const fn authorization(&self) -> Option<&SignedAuthorization> {
        match self {
            Self::V06(_) => None,
            Self::V07 { authorization, .. } => authorization.as_ref(),
        }
    }

    /// Who takes part.
    pub(super) fn parties(&self) -> Parties {
        Parties::new(
            self.entry_point(),
            self.sender(),
            self.init_code(),
            self.paymaster_and_data(),
        )
    }

    /// The most that it can cost who pays for it, in wei.
    pub(super) fn max_cost(&self) -> U256 {
        let numbers = self.numbers();
        // EntryPoint v0.6 lets the paymaster use the gas for validation twice more.
        let validations = match self {
            Self::V06(_) if self.paymaster().is_some() => 3,
            _ => 1,
        };
        let gas = [
            numbers.verification_gas.saturating_mul(U256::from(validations)),
            numbers.call_gas,
            numbers.pre_verification_gas,
            numbers.paymaster_verification_gas,
            numbers.post_op_gas,
        ];
        let gas = gas.into_iter().fold(U256::ZERO, U256::saturating_add);
        gas.saturating_mul(numbers.max_fee)
    }

    /// Returns its paymaster.
    pub(super) fn paymaster(&self) -> Option<Address> {
        self.paymaster_and_data().get(..20).map(Address::from_slice)
    }

    pub(super) fn numbers(&self) -> Numbers {
        match self {
            Self::V06(operation) => Numbers {
                call_gas: operation.callGasLimit,
                verification_gas: operation.verificationGasLimit,
                pre_verification_gas: operation.preVerificationGas,
                max_fee: operation.maxFeePerGas,
                tip: operation.maxPriorityFeePerGas,
                paymaster_verification_gas: U256::ZERO,
                post_op_gas: U256::ZERO,
            },
            Self::V07 { operation, .. } => {
                let (verification_gas, call_gas) = unpacked(operation.accountGasLimits);
                let (tip, max_fee) = unpacked(operation.gasFees);
                let limits = operation.paymasterAndData.get(20..52);
                let (paymaster_verification_gas, post_op_gas) = limits
                    .map(|limits| unpacked(B256::from_slice(limits)))
                    .unwrap_or_default();
                Numbers {
                    call_gas,
                    verification_gas,
                    pre_verification_gas: operation.preVerificationGas,
                    max_fee,
                    tip,
                    paymaster_verification_gas,
                    post_op_gas,
                }
            }
        }
    }

    /// Returns the operation with other numbers; a paymaster's apply only if there is one.
    pub(super) fn with_numbers(&self, numbers: Numbers) -> Self {
        match self {
            Self::V06(operation) => Self::V06(UserOperation {
                callGasLimit: numbers.call_gas,
                verificationGasLimit: numbers.verification_gas,
                preVerificationGas: numbers.pre_verification_gas,
                maxFeePerGas: numbers.max_fee,
                maxPriorityFeePerGas: numbers.tip,
                ..operation.clone()
            }),
            Self::V07 {
                operation,
                authorization,
            } => {
                let paymaster = &operation.paymasterAndData;
                let paymaster_and_data = match (paymaster.get(..20), paymaster.get(52..)) {
                    (Some(address), Some(data)) => {
                        let limits = packed(numbers.paymaster_verification_gas, numbers.post_op_gas);
                        [address, limits.as_slice(), data].concat().into()
                    }
                    _ => paymaster.clone(),
                };
                Self::V07 {
                    operation: PackedUserOperation {
                        accountGasLimits: packed(numbers.verification_gas, numbers.call_gas),
                        preVerificationGas: numbers.pre_verification_gas,
                        gasFees: packed(numbers.tip, numbers.max_fee),
                        paymasterAndData: paymaster_and_data,
                        ..operation.clone()
                    },
                    authorization: authorization.clone(),
                }
            }
        }
    }

    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::V06(operation) => operation.abi_encode(),
            Self::V07 { operation, .. } => operation.abi_encode(),
        }
    }

    /// Returns its hash, as the EntryPoint's `getUserOpHash` computes it.
    pub(super) fn hash(&self, chain_id: u64) -> B256 {
        let inner = match self {
            Self::V06(operation) => keccak256(
                (
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
                )
                    .abi_encode(),
            ),
            Self::V07 { operation, .. } => keccak256(
                (
                    operation.sender,
                    operation.nonce,
                    keccak256(&operation.initCode),
                    keccak256(&operation.callData),
                    operation.accountGasLimits,
                    operation.preVerificationGas,
                    operation.gasFees,
                    keccak256(&operation.paymasterAndData),
                )
                    .abi_encode(),
            ),
        };
        keccak256((inner, self.entry_point(), U256::from(chain_id)).abi_encode())
    }

    /// Returns its place in the mempool, of which at most one operation can be included.
    pub(super) const fn place(&self) -> Place {
        (self.version(), self.sender(), self.nonce())
    }
}

/// Packs two numbers into one word, capped at 128 bits each.
fn packed(high: U256, low: U256) -> B256 {
    let [high, low] = [high, low].map(|number| number.saturating_to::<u128>());
    ((U256::from(high) << 128_usize) | U256::from(low)).into()
}

fn unpacked(word: B256) -> (U256, U256) {
    let word = U256::from_be_bytes(word.0);
    (word >> 128, word & U256::from(u128::MAX))
}

/// EntryPoint, sender and nonce.
pub(super) type Place = (EntryPointVersion, Address, U256);

/// Returns the data of a transaction that includes these operations; operations for another EntryPoint are
/// left out.
pub(super) fn handle_ops<'a>(
    version: EntryPointVersion,
    operations: impl IntoIterator<Item = &'a VersionedOperation>,
    beneficiary: Address,
) -> Bytes {
    let operations = operations.into_iter();
    match version {
        EntryPointVersion::V06 => {
            let ops = operations.filter_map(|operation| match operation {
                VersionedOperation::V06(operation) => Some(operation.clone()),
                VersionedOperation::V07 { .. } => None,
            });
            IEntryPoint::handleOpsCall {
                ops: ops.collect(),
                beneficiary,
            }
            .abi_encode()
        }
        EntryPointVersion::V07 => {
            let ops = operations.filter_map(|operation| match operation {
                VersionedOperation::V07 { operation, .. } => Some(operation.clone()),
                VersionedOperation::V06(_) => None,
            });
            IEntryPointV07::handleOpsCall {
                ops: ops.collect(),
                beneficiary,
            }
            .abi_encode()
        }
    }
    .into()
}

/// Returns the operations in a transaction built by [`handle_ops`], or `None` for other transactions.
pub(super) fn operations_of(version: EntryPointVersion, input: &[u8]) -> Vec<VersionedOperation> {
    match version {
        EntryPointVersion::V06 => IEntryPoint::handleOpsCall::abi_decode(input)
            .map(|call| call.ops.into_iter().map(Into::into).collect())
            .unwrap_or_default(),
        EntryPointVersion::V07 => IEntryPointV07::handleOpsCall::abi_decode(input)
            .map(|call| call.ops.into_iter().map(Into::into).collect())
            .unwrap_or_default(),
    }
}

/// Returns the lane of a nonce.
pub(super) fn lane(nonce: U256) -> U256 {
    nonce >> 64
}

/// Returns the sequence number of a nonce.
pub(super) const fn sequence(nonce: U256) -> u64 {
    nonce.as_limbs()[0]
}

/// Returns the slot of what an address has deposited; with EntryPoint v0.6, in its lower 112 bits.
pub(super) fn deposit_slot(address: Address) -> U256 {
    keccak256((address, DEPOSITS_SLOT).abi_encode()).into()
}

/// Returns the slot of a lane's next sequence number.
pub(super) fn nonce_slot(sender: Address, lane: U256) -> U256 {
    let lanes = keccak256((sender, NONCES_SLOT).abi_encode());
    keccak256((lane, lanes).abi_encode()).into()
}

/// Returns the next sequence number of the operation's lane.
pub(super) fn next_sequence(seen: &Vantage<'_>, operation: &VersionedOperation) -> u64 {
    let slot = nonce_slot(operation.sender(), lane(operation.nonce()));
    seen.storage_at(operation.entry_point(), slot, BlockId::latest())
        .map(|sequence| sequence.saturating_to())
        .unwrap_or_default()
}

/// Returns the gas that the operation costs in addition to what the EntryPoint measures.
pub(super) fn overhead(operation: &VersionedOperation) -> u64 {
    let encoded = operation.encoded();
    let zeros = encoded.iter().filter(|byte| **byte == 0).count() as u64;
    let length = encoded.len() as u64;
    let of_authorization = if operation.authorization().is_some() {
        GAS_OF_AUTHORIZATION
    } else {
        0
    };
    GAS_OF_BUNDLE
        + GAS_OF_OPERATION
        + of_authorization
        + GAS_OF_WORD * length.div_ceil(32)
        + GAS_OF_ZERO_BYTE * zeros
        + GAS_OF_BYTE * (length - zeros)
}

/// Returns the maximum of [`overhead`] once gas, fees, paymaster data and signature are filled in with the
/// same lengths.
pub(super) fn highest_overhead(operation: &VersionedOperation) -> u64 {
    // The longest encoding of a gas number.
    let number = U256::from(u128::MAX);
    let numbers = Numbers {
        call_gas: number,
        verification_gas: number,
        pre_verification_gas: number,
        max_fee: number,
        tip: number,
        paymaster_verification_gas: number,
        post_op_gas: number,
    };
    let full = |data: &Bytes| Bytes::from(vec![0xff; data.len()]);
    let mut operation = operation.with_numbers(numbers);
    match &mut operation {
        VersionedOperation::V06(operation) => {
            operation.paymasterAndData = full(&operation.paymasterAndData);
            operation.signature = full(&operation.signature);
        }
        VersionedOperation::V07 { operation, .. } => {
            operation.paymasterAndData = full(&operation.paymasterAndData);
            operation.signature = full(&operation.signature);
        }
    }
    overhead(&operation)
}

/// Members that only operations for EntryPoint v0.6 have, and those that only v0.7 has.
const OF_V06: [&str; 2] = ["initCode", "paymasterAndData"];
const OF_V07: [&str; 7] = [
    "factory",
    "factoryData",
    "paymaster",
    "paymasterVerificationGasLimit",
    "paymasterPostOpGasLimit",
    "paymasterData",
    "eip7702Auth",
];

/// Parses an operation strictly: quantities and data are hex with `0x`, and members of another version are
/// errors, as are missing ones. With `estimated`, gas limits and fees may be missing, and are then zero.
pub(super) fn read(
    operation: &Value,
    version: EntryPointVersion,
    estimated: bool,
) -> Result<VersionedOperation, Refusal> {
    let members = operation
        .as_object()
        .ok_or_else(|| Refusal::InvalidFields("the operation is not an object".into()))?;
    let foreign: &[&str] = match version {
        EntryPointVersion::V06 => &OF_V07,
        EntryPointVersion::V07 => &OF_V06,
    };
    if let Some(name) = foreign.iter().find(|name| is_there(members, name)) {
        return Err(Refusal::InvalidFields(format!(
            "{name} is a member of operations for another EntryPoint version"
        )));
    }
    match version {
        EntryPointVersion::V06 => read_v06(members, estimated).map(Into::into),
        EntryPointVersion::V07 => read_v07(members, estimated),
    }
}

fn is_there(members: &Map<String, Value>, name: &str) -> bool {
    members.get(name).is_some_and(|value| !value.is_null())
}

fn read_v06(members: &Map<String, Value>, estimated: bool) -> Result<UserOperation, Refusal> {
    let amount = |name: &str| {
        if estimated && !is_there(members, name) {
            Ok(U256::ZERO)
        } else {
            quantity(members, name)
        }
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

fn read_v07(members: &Map<String, Value>, estimated: bool) -> Result<VersionedOperation, Refusal> {
    let amount = |name: &str| {
        if estimated && !is_there(members, name) {
            return Ok(U256::ZERO);
        }
        let amount = quantity(members, name)?;
        if amount > U256::from(u128::MAX) {
            return Err(Refusal::InvalidFields(format!("{name} is longer than 16 bytes")));
        }
        Ok(amount)
    };
    // Members that require another one.
    let with = |owner: &str, names: &[&str]| match names.iter().find(|name| is_there(members, name)) {
        Some(name) => Err(Refusal::InvalidFields(format!("{name} without {owner}"))),
        None => Ok(()),
    };
    let init_code: Bytes = if is_there(members, "factory") {
        let factory: Address = member(members, "factory")?;
        let data: Bytes = member(members, "factoryData")?;
        [factory.as_slice(), &data].concat().into()
    } else {
        with("factory", &["factoryData"])?;
        Bytes::new()
    };
    let paymaster_and_data: Bytes = if is_there(members, "paymaster") {
        let paymaster: Address = member(members, "paymaster")?;
        let limits = packed(
            amount("paymasterVerificationGasLimit")?,
            amount("paymasterPostOpGasLimit")?,
        );
        let data: Bytes = if is_there(members, "paymasterData") {
            member(members, "paymasterData")?
        } else {
            Bytes::new()
        };
        [paymaster.as_slice(), limits.as_slice(), &data].concat().into()
    } else {
        with(
            "paymaster",
            &[
                "paymasterVerificationGasLimit",
                "paymasterPostOpGasLimit",
                "paymasterData",
            ],
        )?;
        Bytes::new()
    };
    // Clients write it either way.
    let authorization = ["eip7702Auth", "eip7702auth"].iter().find_map(|name| {
        let value = members.get(*name)?;
        (!value.is_null()).then_some(value)
    });
    let authorization = match authorization {
        None => None,
        Some(value) => Some(
            serde_json::from_value::<SignedAuthorization>(value.clone())
                .map_err(|error| Refusal::InvalidFields(format!("eip7702Auth: {error}")))?,
        ),
    };
    Ok(VersionedOperation::V07 {
        operation: PackedUserOperation {
            sender: member(members, "sender")?,
            nonce: quantity(members, "nonce")?,
            initCode: init_code,
            callData: member(members, "callData")?,
            accountGasLimits: packed(amount("verificationGasLimit")?, amount("callGasLimit")?),
            preVerificationGas: amount("preVerificationGas")?,
            gasFees: packed(amount("maxPriorityFeePerGas")?, amount("maxFeePerGas")?),
            paymasterAndData: paymaster_and_data,
            signature: member(members, "signature")?,
        },
        authorization,
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
        // Which ignores underscores.
        .filter(|_| !digits.is_empty() && !digits.contains('_'))
        .ok_or_else(|| Refusal::InvalidFields(format!("{name} is not a quantity")))
}

fn member<T: DeserializeOwned>(members: &Map<String, Value>, name: &str) -> Result<T, Refusal> {
    T::deserialize(&Value::from(text(members, name)?))
        .map_err(|error| Refusal::InvalidFields(format!("{name}: {error}")))
}

/// Formats the operation as `eth_getUserOperationByHash` shows it, without optional members that are empty.
pub(super) fn show(operation: &VersionedOperation, quantity: impl Fn(U256) -> Value) -> Value {
    let numbers = operation.numbers();
    let mut shown = json!({
        "sender": operation.sender(),
        "nonce": quantity(operation.nonce()),
        "callData": operation.call_data(),
        "callGasLimit": quantity(numbers.call_gas),
        "verificationGasLimit": quantity(numbers.verification_gas),
        "preVerificationGas": quantity(numbers.pre_verification_gas),
        "maxFeePerGas": quantity(numbers.max_fee),
        "maxPriorityFeePerGas": quantity(numbers.tip),
    });
    match operation {
        VersionedOperation::V06(operation) => {
            shown["initCode"] = json!(operation.initCode);
            shown["paymasterAndData"] = json!(operation.paymasterAndData);
            shown["signature"] = json!(operation.signature);
        }
        VersionedOperation::V07 {
            operation: packed,
            authorization,
        } => {
            shown["signature"] = json!(packed.signature);
            if let (Some(factory), Some(data)) = (packed.initCode.get(..20), packed.initCode.get(20..)) {
                shown["factory"] = json!(Address::from_slice(factory));
                shown["factoryData"] = json!(hex::encode_prefixed(data));
            }
            if let (Some(paymaster), Some(data)) = (operation.paymaster(), packed.paymasterAndData.get(52..))
            {
                shown["paymaster"] = json!(paymaster);
                shown["paymasterVerificationGasLimit"] = quantity(numbers.paymaster_verification_gas);
                shown["paymasterPostOpGasLimit"] = quantity(numbers.post_op_gas);
                shown["paymasterData"] = json!(hex::encode_prefixed(data));
            }
            if let Some(authorization) = authorization {
                shown["eip7702Auth"] = json!(authorization);
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Stack, StackV08};

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
    fn the_hash_matches_the_entry_points() {
        let mut chain = Chain::default();
        Stack::deploy(&mut chain).unwrap();
        let call = IEntryPoint::getUserOpHashCall { userOp: operation() };
        let expected = chain.read(Address::ZERO, ENTRY_POINT, &call).unwrap();
        let operation = VersionedOperation::from(operation());
        assert_eq!(operation.hash(chain.chain_id()), expected);
        StackV08::deploy(&mut chain).unwrap();
        let call = IEntryPointV07::getUserOpHashCall {
            userOp: operation_v07(),
        };
        let expected = chain.read(Address::ZERO, ENTRY_POINT_V07, &call).unwrap();
        let operation = VersionedOperation::from(operation_v07());
        assert_eq!(operation.hash(chain.chain_id()), expected);
    }

    fn operation_v07() -> PackedUserOperation {
        PackedUserOperation {
            sender: Address::repeat_byte(0x11),
            nonce: (U256::from(0x2233) << 64) | U256::from(4),
            initCode: vec![5; 30].into(),
            callData: vec![0; 40].into(),
            accountGasLimits: packed(U256::from(7), U256::from(6)),
            preVerificationGas: U256::from(8),
            gasFees: packed(U256::from(10), U256::from(9)),
            paymasterAndData: vec![11; 60].into(),
            signature: vec![0; 65].into(),
        }
    }

    #[test]
    fn an_operation_round_trips_through_json() {
        let shown = |number: U256| json!(number);
        for operation in [
            VersionedOperation::from(operation()),
            VersionedOperation::from(operation_v07()),
            VersionedOperation::from(PackedUserOperation {
                initCode: Bytes::new(),
                paymasterAndData: Bytes::new(),
                ..operation_v07()
            }),
        ] {
            let json = show(&operation, shown);
            assert_eq!(read(&json, operation.version(), false), Ok(operation.clone()));
            assert_eq!(operation.with_numbers(operation.numbers()), operation);
        }
        let numbers = VersionedOperation::from(operation_v07()).numbers();
        let word = U256::from_be_slice(&[11; 16]);
        let expected = Numbers {
            call_gas: U256::from(6),
            verification_gas: U256::from(7),
            pre_verification_gas: U256::from(8),
            max_fee: U256::from(9),
            tip: U256::from(10),
            paymaster_verification_gas: word,
            post_op_gas: word,
        };
        assert_eq!(numbers, expected);
    }

    #[test]
    fn nonces_are_read_from_storage_of_both_entry_points() {
        let mut chain = Chain::default();
        Stack::deploy(&mut chain).unwrap();
        StackV08::deploy(&mut chain).unwrap();
        let sender = Address::repeat_byte(0x11);
        // The function is the same in both.
        for (version, lane, times) in [
            (EntryPointVersion::V06, 0u64, 2),
            (EntryPointVersion::V06, 0x2233, 3),
            (EntryPointVersion::V07, 0, 4),
            (EntryPointVersion::V07, 0x2233, 5),
        ] {
            let key = alloy::primitives::Uint::<192, 3>::from(lane);
            for _ in 0..times {
                let increment = IEntryPoint::incrementNonceCall { key };
                chain.transact(sender, version.address(), &increment).unwrap();
            }
            let nonce = chain.read(
                Address::ZERO,
                version.address(),
                &IEntryPoint::getNonceCall { sender, key },
            );
            let nonce = nonce.unwrap();
            let operation = match version {
                EntryPointVersion::V06 => VersionedOperation::from(UserOperation { nonce, ..operation() }),
                EntryPointVersion::V07 => VersionedOperation::from(PackedUserOperation {
                    nonce,
                    ..operation_v07()
                }),
            };
            let next = next_sequence(&chain.vantage(), &operation);
            assert_eq!(nonce, (U256::from(lane) << 64) | U256::from(next));
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
        // Sixteen words: the operation's offset, eleven members, four lengths. Nonzero bytes: 0x20, and two
        // of each of the four offsets.
        assert_eq!(
            overhead(&empty.into()),
            21_000 + 18_300 + 16 * 4 + (512 - 9) * 4 + 9 * 16
        );
    }

    #[test]
    fn a_filled_in_operation_stays_within_the_highest_overhead() {
        let cases = [
            (
                VersionedOperation::from(operation()),
                VersionedOperation::from(UserOperation {
                    callGasLimit: U256::from(u128::MAX),
                    verificationGasLimit: U256::from(u64::MAX),
                    maxFeePerGas: U256::from(u128::MAX),
                    signature: vec![0xfe; 65].into(),
                    ..operation()
                }),
            ),
            (
                VersionedOperation::from(operation_v07()),
                VersionedOperation::from(PackedUserOperation {
                    accountGasLimits: packed(U256::from(u128::MAX), U256::from(u64::MAX)),
                    gasFees: packed(U256::from(u128::MAX), U256::from(u64::MAX)),
                    signature: vec![0xfe; 65].into(),
                    ..operation_v07()
                }),
            ),
        ];
        for (empty, filled) in cases {
            let most = highest_overhead(&empty);
            assert_eq!(most, highest_overhead(&filled));
            assert!(overhead(&empty) < overhead(&filled) && overhead(&filled) < most);
        }
    }
}
