//! The hash that identifies an operation, as the EntryPoint of each version computes it.

use super::{EntryPointVersion, UserOperation};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, b256, hex, keccak256};
use alloy_sol_types::{Eip712Domain, SolValue};

/// `keccak256("PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)")`.
const PACKED_USER_OPERATION_TYPE_HASH: B256 =
    b256!("29a0bca4af4be3421398da00295e58e6d7de38cb492214754cb6a47507dd6f8e");

/// How `initCode` begins in an operation whose account is delegated to by EIP-7702 (v0.8 and later), padded
/// with zeros to 20 bytes.
pub const EIP7702_INIT_CODE_MARKER: Address = Address::new(hex!("7702000000000000000000000000000000000000"));

/// What follows a paymaster's signature in `paymasterAndData` (v0.9), after two bytes with
/// the signature's length.
const PAYMASTER_SIGNATURE_MAGIC: [u8; 8] = hex!("22e325a297439656");

/// Paymaster and its two gas limits, before a packed operation's data for the paymaster.
pub(super) const PAYMASTER_DATA_OFFSET: usize = 52;

fn hashed(data: &[u8]) -> B256 {
    if data.is_empty() {
        KECCAK256_EMPTY
    } else {
        keccak256(data)
    }
}

impl UserOperation {
    /// The hash that is signed and that identifies the operation: `EntryPoint.getUserOpHash` of its version.
    ///
    /// For an `initCode` that stands for an EIP-7702 authorization (v0.8 and later), the hash depends on the
    /// account's code: see [`hash_of_delegation`](Self::hash_of_delegation).
    #[must_use]
    pub fn hash(&self, entry_point: Address, chain_id: u64) -> B256 {
        self.hash_with(hashed(&self.init_code), entry_point, chain_id)
    }

    /// The [`hash`](Self::hash) of an operation whose account delegates to this contract (EIP-7702). The same
    /// where `initCode` does not stand for an authorization.
    #[must_use]
    pub fn hash_of_delegation(&self, delegate: Address, entry_point: Address, chain_id: u64) -> B256 {
        let init_code = if self.is_eip7702() {
            let data = self.init_code.get(20..).unwrap_or_default();
            keccak256([delegate.as_slice(), data].concat())
        } else {
            hashed(&self.init_code)
        };
        self.hash_with(init_code, entry_point, chain_id)
    }

    /// Whether `initCode` stands for an EIP-7702 authorization: in v0.8 and later, when it begins with
    /// `0x7702`, padded with zeros to 20 bytes. The padding may be left out where nothing follows.
    #[must_use]
    pub fn is_eip7702(&self) -> bool {
        let start = &self.init_code[..self.init_code.len().min(20)];
        matches!(self.version, EntryPointVersion::V08 | EntryPointVersion::V09)
            && start.len() >= 2
            && Address::right_padding_from(start) == EIP7702_INIT_CODE_MARKER
    }

    fn hash_with(&self, init_code: B256, entry_point: Address, chain_id: u64) -> B256 {
        let call_data = hashed(&self.call_data);
        if self.version == EntryPointVersion::V06 {
            let fields = (
                self.sender,
                self.nonce,
                init_code,
                call_data,
                self.call_gas_limit,
                self.verification_gas_limit,
                self.pre_verification_gas,
                self.max_fee_per_gas,
                self.max_priority_fee_per_gas,
                hashed(&self.paymaster_and_data),
            );
            return bound(keccak256(fields.abi_encode()), entry_point, chain_id);
        }
        let fields = (
            self.sender,
            self.nonce,
            init_code,
            call_data,
            self.account_gas_limits(),
            self.pre_verification_gas,
            self.gas_fees(),
            self.paymaster_hash(),
        );
        if self.version == EntryPointVersion::V07 {
            return bound(keccak256(fields.abi_encode()), entry_point, chain_id);
        }
        let domain = Eip712Domain {
            name: Some("ERC4337".into()),
            version: Some("1".into()),
            chain_id: Some(U256::from(chain_id)),
            verifying_contract: Some(entry_point),
            salt: None,
        };
        let fields = keccak256([PACKED_USER_OPERATION_TYPE_HASH.as_slice(), &fields.abi_encode()].concat());
        keccak256([&[0x19, 0x01], domain.separator().as_slice(), fields.as_slice()].concat())
    }

    /// The hash of `paymasterAndData`. v0.9 leaves the paymaster's signature out, with its length, and keeps
    /// the magic bytes.
    fn paymaster_hash(&self) -> B256 {
        let data = &self.paymaster_and_data;
        let suffix = PAYMASTER_SIGNATURE_MAGIC.len() + 2;
        if self.version == EntryPointVersion::V09
            && data.len() >= PAYMASTER_DATA_OFFSET + suffix
            && let Some(rest) = data.strip_suffix(&PAYMASTER_SIGNATURE_MAGIC)
            && let Some((rest, length)) = rest.split_last_chunk::<2>()
            && let length = usize::from(u16::from_be_bytes(*length))
            // The EntryPoint refuses a signature that begins before the paymaster's data.
            && (1..=rest.len() - PAYMASTER_DATA_OFFSET).contains(&length)
        {
            return keccak256([&rest[..rest.len() - length], &PAYMASTER_SIGNATURE_MAGIC].concat());
        }
        hashed(data)
    }
}

/// Binds the hash of an operation's members to EntryPoint and chain (v0.6 and v0.7).
fn bound(hash: B256, entry_point: Address, chain_id: u64) -> B256 {
    keccak256((hash, entry_point, U256::from(chain_id)).abi_encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_hash() {
        let text = "PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,\
                    uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)";
        assert_eq!(PACKED_USER_OPERATION_TYPE_HASH, keccak256(text));
        assert_eq!(PAYMASTER_SIGNATURE_MAGIC, keccak256("PaymasterSignature")[..8]);
    }
}
