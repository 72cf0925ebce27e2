//! User operations of ERC-4337: one type for all versions of the EntryPoint, its hash, its JSON, nonces.

mod hash;
mod json;
pub mod kept;
mod nonce;
mod packed;
#[cfg(test)]
mod tests;
mod version;

pub use hash::EIP7702_INIT_CODE_MARKER;
pub use nonce::{ValidationNonceKey, nonce, session_key_nonce_key};
pub use packed::{AbiOperation, OtherForm, PaymasterFields};
pub use version::EntryPointVersion;

use alloy_eip7702::SignedAuthorization;
use alloy_primitives::{Address, B256, Bytes, U256, aliases::U192, bytes};
use serde::{Deserialize, Serialize};

/// A well-formed signature of no known signer, for gas estimation; the TypeScript client uses the same.
///
/// It recovers to some address, so the plugin runs its full permission check and reports a wrong signer
/// instead of reverting.
pub const DUMMY_SIGNATURE: Bytes = bytes!(
    "fffffffffffffffffffffffffffffff0000000000000000000000000000000007aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1c"
);

/// A user operation, for an EntryPoint of any [version](EntryPointVersion). Serializes to the JSON of
/// bundlers: in v0.6 with `initCode` and `paymasterAndData`, in later versions with their parts
/// (`factory`, `factoryData`, `paymaster`, …).
///
/// The default is an empty operation for v0.6.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserOperation {
    /// The version of the EntryPoint that it is for.
    pub version: EntryPointVersion,
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
    /// Gas units for validation, creation of the account included; in v0.6 with a paymaster, for its two
    /// functions too.
    pub verification_gas_limit: U256,
    /// Gas units paid to the bundler for what the EntryPoint cannot measure.
    pub pre_verification_gas: U256,
    /// The maximum fee, in wei per gas unit.
    pub max_fee_per_gas: U256,
    /// The maximum fee to the bundler on top of the base fee, in wei per gas unit.
    pub max_priority_fee_per_gas: U256,
    /// Empty, or the paymaster's address followed by data for it; in v0.7 and later, with its two gas
    /// limits between them ([`PaymasterFields`]).
    pub paymaster_and_data: Bytes,
    /// The signature; not part of the hash.
    pub signature: Bytes,
    /// The authorization with which an externally owned account becomes the smart account (EIP-7702). The
    /// transaction that includes the operation carries it. It accompanies the operation and is not part of
    /// the hash. v0.6 has none.
    pub authorization: Option<SignedAuthorization>,
}

impl UserOperation {
    /// The nonce's lane.
    pub fn nonce_key(&self) -> U192 {
        U192::from(self.nonce >> 64)
    }

    /// The maximum cost of the operation, in wei, as the EntryPoint prefunds it and as a key's gas limit
    /// counts it: [`max_gas`](Self::max_gas) times `maxFeePerGas`. `None` if that overflows.
    pub fn max_cost(&self) -> Option<U256> {
        self.max_gas()?.checked_mul(self.max_fee_per_gas)
    }

    /// The gas units that [`max_cost`](Self::max_cost) counts. `None` if that overflows; a sum of
    /// [`U256::MAX`] counts as an overflow too.
    ///
    /// v0.6: `callGasLimit + verificationGasLimit * (paymaster ? 3 : 1) + preVerificationGas`. Later
    /// versions: all five gas limits, those of the paymaster included.
    pub fn max_gas(&self) -> Option<U256> {
        let verification = if !self.version.is_packed() && !self.paymaster_and_data.is_empty() {
            self.verification_gas_limit.checked_mul(U256::from(3))?
        } else {
            self.verification_gas_limit
        };
        let paymaster = self.paymaster_fields().map_or(U256::ZERO, |fields| {
            U256::from(fields.verification_gas_limit) + U256::from(fields.post_op_gas_limit)
        });
        verification
            .checked_add(self.call_gas_limit)?
            .checked_add(self.pre_verification_gas)?
            .checked_add(paymaster)
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
    #[serde(with = "kept")]
    pub operation: UserOperation,
    /// Its hash, for the EntryPoint and chain that it was signed for.
    pub hash: B256,
}
