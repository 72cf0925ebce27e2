//! Signature formats of Modular Account v2. A module always receives the last part.
//!
//! ```text
//! operation      [ deferred action ]  segments of validation hooks  0xFF  the validation's part
//! message        options  entity id   segments of validation hooks  0xFF  the validation's part
//! ```
//!
//! An owner's part, for the fallback signer or `SingleSignerValidationModule`, is a type byte followed by the
//! signature. A session key's is the signature alone. No hook segments are written here: validations with
//! hooks that need data belong to other modules.

use super::ModuleEntity;
use alloy::primitives::{Address, B256, Bytes, U256, b256, keccak256};

/// The marker before the validation's part.
const FINAL_SEGMENT: u8 = 0xff;

/// An owner's signature by ECDSA: 65 bytes over the EIP-191 message of the hash.
const ECDSA: u8 = 0;
/// An owner's signature by ERC-1271, of an owner that is a contract.
const CONTRACT: u8 = 1;

/// Option of a signature or an authorization: the validation is used as a global one.
const GLOBAL: u8 = 1;
/// Option: the validation is a module's direct-call validation, with the module's address instead of an
/// entity id.
const DIRECT_CALL: u8 = 4;

/// `ReplaySafeHash(bytes32 hash)`.
const REPLAY_SAFE_TYPE_HASH: B256 = b256!("294a8735843d4afb4f017c76faf3b7731def145ed0025fc9b1d5ce30adf113ff");
/// `EIP712Domain(uint256 chainId,address verifyingContract)`.
const ACCOUNT_DOMAIN_TYPE_HASH: B256 =
    b256!("47e79534a245952e8b16893a336b85a3d9ea9fa8c573f3d803afb92a79469218");
/// `EIP712Domain(uint256 chainId,address verifyingContract,bytes32 salt)`.
const MODULE_DOMAIN_TYPE_HASH: B256 =
    b256!("71062c282d40422f744945d587dbf4ecfd4f9cfad1d35d62c944373009d96162");

/// Encodes a session key's signature of an operation: the account passes these 65 bytes to the session key
/// module.
#[must_use]
pub fn session_key(signature: &[u8]) -> Bytes {
    [&[FINAL_SEGMENT], signature].concat().into()
}

/// Encodes an owner key's signature of an operation.
#[must_use]
pub fn owner(signature: &[u8]) -> Bytes {
    [&[FINAL_SEGMENT, ECDSA], signature].concat().into()
}

/// Encodes a contract owner's signature of an operation, which its `isValidSignature` accepts.
#[must_use]
pub fn contract_owner(signature: &[u8]) -> Bytes {
    [&[FINAL_SEGMENT, CONTRACT], signature].concat().into()
}

/// Encodes an owner's part alone, as it authorizes a deferred action.
#[must_use]
pub(super) fn owner_part(signature: &[u8]) -> Vec<u8> {
    [&[ECDSA], signature].concat()
}

/// Encodes a contract owner's part.
#[must_use]
pub(super) fn contract_owner_part(signature: &[u8]) -> Vec<u8> {
    [&[CONTRACT], signature].concat()
}

/// Encodes the validation of a message's signature or a runtime call's authorization.
fn selector(validation: ModuleEntity, is_global: bool) -> Vec<u8> {
    let options = if is_global { GLOBAL } else { 0 };
    if validation.entity_id == super::DIRECT_CALL_ENTITY_ID {
        [&[options | DIRECT_CALL], validation.module.as_slice()].concat()
    } else {
        [&[options], validation.entity_id.to_be_bytes().as_slice()].concat()
    }
}

/// Encodes the authorization of a runtime call (`executeWithRuntimeValidation`) by a validation, which
/// receives this part.
#[must_use]
pub fn authorization(validation: ModuleEntity, is_global: bool, part: &[u8]) -> Bytes {
    [&selector(validation, is_global), &[FINAL_SEGMENT][..], part]
        .concat()
        .into()
}

/// Encodes an owner key's signature of a message (ERC-1271), over [`message_hash`].
#[must_use]
pub fn message(validation: ModuleEntity, signature: &[u8]) -> Bytes {
    authorization(validation, false, &owner_part(signature))
}

/// Encodes a contract owner's signature of a message (ERC-1271), which its `isValidSignature` accepts for
/// [`message_hash`].
#[must_use]
pub fn contract_owners_message(validation: ModuleEntity, signature: &[u8]) -> Bytes {
    authorization(validation, false, &[&[CONTRACT], signature].concat())
}

/// Returns the hash that an owner signs for a message, valid for this account only.
///
/// The domain depends on the validation: for a semi-modular account's fallback signer (whose validation has
/// no module), it is the account; for `SingleSignerValidationModule`, it is the module, with the account as
/// salt.
#[must_use]
pub fn message_hash(validation: ModuleEntity, account: Address, chain_id: u64, hash: B256) -> B256 {
    let domain = if validation.module.is_zero() {
        account_domain(account, chain_id)
    } else {
        hash_words(&[
            MODULE_DOMAIN_TYPE_HASH,
            U256::from(chain_id).into(),
            validation.module.into_word(),
            account.into_word(),
        ])
    };
    typed_data_hash(domain, hash_words(&[REPLAY_SAFE_TYPE_HASH, hash]))
}

/// Returns the domain separator of typed data whose contract is the account.
pub(super) fn account_domain(account: Address, chain_id: u64) -> B256 {
    hash_words(&[
        ACCOUNT_DOMAIN_TYPE_HASH,
        U256::from(chain_id).into(),
        account.into_word(),
    ])
}

pub(super) fn hash_words(words: &[B256]) -> B256 {
    keccak256(words.concat())
}

/// Returns the EIP-712 hash.
pub(super) fn typed_data_hash(domain: B256, data: B256) -> B256 {
    keccak256([&[0x19, 0x01], domain.as_slice(), data.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_hashes() {
        assert_eq!(REPLAY_SAFE_TYPE_HASH, keccak256("ReplaySafeHash(bytes32 hash)"));
        assert_eq!(
            ACCOUNT_DOMAIN_TYPE_HASH,
            keccak256("EIP712Domain(uint256 chainId,address verifyingContract)")
        );
        assert_eq!(
            MODULE_DOMAIN_TYPE_HASH,
            keccak256("EIP712Domain(uint256 chainId,address verifyingContract,bytes32 salt)")
        );
    }

    #[test]
    fn an_authorization_names_its_validation() {
        let module = Address::repeat_byte(0xab);
        let entity = authorization(ModuleEntity::new(module, 5), true, &[9]);
        assert_eq!(entity.as_ref(), [1, 0, 0, 0, 5, 0xff, 9]);
        let direct = authorization(ModuleEntity::direct_call(module), false, &[9]);
        assert_eq!(
            direct.as_ref(),
            [&[4][..], module.as_slice(), &[0xff, 9]].concat()
        );
    }
}
