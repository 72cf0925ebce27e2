//! User operations of ERC-4337, EntryPoint v0.6: the struct, its hash, nonce lanes.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, aliases::U192, bytes, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

/// A well-formed signature of no known signer, for gas estimation; the TypeScript client uses the same.
///
/// It recovers to some address, so the plugin runs its full permission check and reports a wrong signer
/// instead of reverting.
pub const DUMMY_SIGNATURE: Bytes = bytes!(
    "fffffffffffffffffffffffffffffff0000000000000000000000000000000007aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1c"
);

/// A user operation as EntryPoint v0.6 takes it. Serializes to the JSON of bundlers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserOperation {
    /// The account.
    pub sender: Address,
    /// Upper 192 bits: nonce key, a lane with its own sequence; lower 64 bits: sequence number in that lane.
    pub nonce: U256,
    /// Empty, or the factory's address followed by the call that creates the account.
    pub init_code: Bytes,
    /// The call that the EntryPoint makes on the account.
    pub call_data: Bytes,
    /// Gas units for the execution of `call_data`.
    pub call_gas_limit: U256,
    /// Gas units for validation, creation of the account included; with a paymaster, for its two functions too.
    pub verification_gas_limit: U256,
    /// Gas units paid to the bundler for what the EntryPoint cannot measure.
    pub pre_verification_gas: U256,
    /// The maximum fee, in wei per gas unit.
    pub max_fee_per_gas: U256,
    /// The maximum fee to the bundler on top of the base fee, in wei per gas unit.
    pub max_priority_fee_per_gas: U256,
    /// Empty, or the paymaster's address followed by data for it.
    pub paymaster_and_data: Bytes,
    /// The signature; not part of the hash.
    pub signature: Bytes,
}

impl UserOperation {
    /// The hash that is signed and that identifies the operation: `EntryPoint.getUserOpHash`.
    pub fn hash(&self, entry_point: Address, chain_id: u64) -> B256 {
        let hashed = |data: &Bytes| {
            if data.is_empty() {
                KECCAK256_EMPTY
            } else {
                keccak256(data)
            }
        };
        let packed = keccak256(
            (
                self.sender,
                self.nonce,
                hashed(&self.init_code),
                hashed(&self.call_data),
                self.call_gas_limit,
                self.verification_gas_limit,
                self.pre_verification_gas,
                self.max_fee_per_gas,
                self.max_priority_fee_per_gas,
                hashed(&self.paymaster_and_data),
            )
                .abi_encode(),
        );
        keccak256((packed, entry_point, U256::from(chain_id)).abi_encode())
    }

    /// The nonce's lane.
    pub fn nonce_key(&self) -> U192 {
        U192::from(self.nonce >> 64)
    }

    /// The maximum cost of the operation, in wei, as the EntryPoint prefunds it and as a key's gas limit
    /// counts it:
    /// `(callGasLimit + verificationGasLimit * (paymaster ? 3 : 1) + preVerificationGas) * maxFeePerGas`.
    /// `None` if that overflows.
    pub fn max_cost(&self) -> Option<U256> {
        self.max_gas()?.checked_mul(self.max_fee_per_gas)
    }

    /// The gas units that [`max_cost`](Self::max_cost) counts. `None` if that overflows; a sum of
    /// [`U256::MAX`] counts as an overflow too.
    pub fn max_gas(&self) -> Option<U256> {
        let verifications = U256::from(if self.paymaster_and_data.is_empty() { 1 } else { 3 });
        self.verification_gas_limit
            .checked_mul(verifications)?
            .checked_add(self.call_gas_limit)?
            .checked_add(self.pre_verification_gas)
            .filter(|gas| *gas != U256::MAX)
    }

    /// The paymaster, if there is one.
    pub fn paymaster(&self) -> Option<Address> {
        self.paymaster_and_data.get(..20).map(Address::from_slice)
    }
}

/// A signed operation with its hash, which identifies it: however often and by whatever route it is sent, the
/// EntryPoint executes it at most once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedOperation {
    /// The operation.
    pub operation: UserOperation,
    /// Its hash, for the EntryPoint and chain that it was signed for.
    pub hash: B256,
}

/// The nonce lane of a session key: its address. The plugin requires it for a key with a gas limit. This
/// project's clients use it by default, so operations of different keys do not wait for each other.
pub fn session_key_nonce_key(session_key: Address) -> U192 {
    U192::from_be_slice(session_key.as_slice())
}

/// Composes a nonce from lane and sequence number.
pub fn nonce(nonce_key: U192, sequence: u64) -> U256 {
    U256::from(nonce_key) << 64 | U256::from(sequence)
}

impl From<UserOperation> for session_key_bindings::UserOperation {
    fn from(op: UserOperation) -> Self {
        Self {
            sender: op.sender,
            nonce: op.nonce,
            initCode: op.init_code,
            callData: op.call_data,
            callGasLimit: op.call_gas_limit,
            verificationGasLimit: op.verification_gas_limit,
            preVerificationGas: op.pre_verification_gas,
            maxFeePerGas: op.max_fee_per_gas,
            maxPriorityFeePerGas: op.max_priority_fee_per_gas,
            paymasterAndData: op.paymaster_and_data,
            signature: op.signature,
        }
    }
}

impl From<session_key_bindings::UserOperation> for UserOperation {
    fn from(op: session_key_bindings::UserOperation) -> Self {
        Self {
            sender: op.sender,
            nonce: op.nonce,
            init_code: op.initCode,
            call_data: op.callData,
            call_gas_limit: op.callGasLimit,
            verification_gas_limit: op.verificationGasLimit,
            pre_verification_gas: op.preVerificationGas,
            max_fee_per_gas: op.maxFeePerGas,
            max_priority_fee_per_gas: op.maxPriorityFeePerGas,
            paymaster_and_data: op.paymasterAndData,
            signature: op.signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes() {
        let key = Address::repeat_byte(0xab);
        let op = UserOperation {
            nonce: nonce(session_key_nonce_key(key), u64::MAX),
            ..Default::default()
        };
        assert_eq!(op.nonce_key(), session_key_nonce_key(key));
        assert_eq!(op.nonce & U256::from(u64::MAX), U256::from(u64::MAX));
    }

    #[test]
    fn a_paymaster_triples_verification_gas() {
        let mut op = UserOperation {
            call_gas_limit: U256::from(100),
            verification_gas_limit: U256::from(10),
            pre_verification_gas: U256::from(1),
            max_fee_per_gas: U256::from(2),
            ..Default::default()
        };
        assert_eq!(op.max_cost(), Some(U256::from(222)));
        op.paymaster_and_data = Bytes::from_static(&[1]);
        assert_eq!(op.max_cost(), Some(U256::from(262)));
        assert_eq!(op.paymaster(), None);
        op.verification_gas_limit = U256::MAX;
        assert_eq!(op.max_cost(), None);
        // The largest number counts as an overflow, even at a fee of zero.
        let largest = UserOperation {
            call_gas_limit: U256::MAX,
            ..Default::default()
        };
        assert_eq!((largest.max_gas(), largest.max_cost()), (None, None));
    }
}
