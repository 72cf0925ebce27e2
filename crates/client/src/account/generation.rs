//! Differences between accounts of ERC-6900 v0.7 and v0.8: the format of operations, nonces and signatures.

use crate::{
    permissions::{EntryPointVersion, ValidationNonceKey, session_key_nonce_key},
    signer::SignatureForm,
    v08::{FALLBACK_VALIDATION, ModuleEntity, SESSION_KEY_ENTITY_ID},
};
use alloy::primitives::{Address, aliases::U192};
use serde::{Deserialize, Serialize};

/// The generation of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "generation", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Generation {
    /// ERC-6900 v0.7, with EntryPoint v0.6: a plugin stores session keys.
    #[default]
    V07,
    /// ERC-6900 v0.8, with EntryPoint v0.7: a module stores session keys. Operations select the validation in
    /// their nonce, as in Modular Account v2.
    V08(Validations),
}

/// The validations of an ERC-6900 v0.8 account that this crate uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validations {
    /// The global validation of the owner's operations: [`FALLBACK_VALIDATION`] of a semi-modular account, or
    /// a module's, which accepts signatures like `SingleSignerValidationModule`.
    pub owner: ModuleEntity,
    /// The entity id under which the session key module validates operations, or will once it is installed.
    pub session_keys: u32,
}

impl Default for Validations {
    /// For a semi-modular account, with the entity id under which this crate installs the module.
    fn default() -> Self {
        Self {
            owner: FALLBACK_VALIDATION,
            session_keys: SESSION_KEY_ENTITY_ID,
        }
    }
}

impl Generation {
    /// Returns the version of the account's EntryPoint.
    #[must_use]
    pub const fn entry_point_version(self) -> EntryPointVersion {
        match self {
            Self::V07 => EntryPointVersion::V06,
            Self::V08(_) => EntryPointVersion::V07,
        }
    }

    /// Returns the nonce key of an owner's operations in this lane. On a v0.8 account, only the lane's lower
    /// 152 bits are used: the rest of the key selects the validation.
    #[must_use]
    pub fn owner_nonce_key(self, lane: U192) -> U192 {
        match self {
            Self::V07 => lane,
            Self::V08(validations) => ValidationNonceKey {
                lane,
                entity_id: validations.owner.entity_id,
                is_global: true,
                has_deferred_action: false,
            }
            .nonce_key(),
        }
    }

    /// Returns the nonce key of a session key's operations, which is its own lane.
    #[must_use]
    pub fn session_key_nonce_key(self, session_key: Address) -> U192 {
        match self {
            Self::V07 => session_key_nonce_key(session_key),
            Self::V08(validations) => {
                ValidationNonceKey::of_session_key(session_key, validations.session_keys).nonce_key()
            }
        }
    }

    /// Returns the nonce key of a session key's operations in another lane. A v0.8 account's module accepts
    /// only the key's own.
    pub(crate) fn session_key_lane(self, lane: U192) -> U192 {
        match self {
            Self::V07 => lane,
            Self::V08(validations) => ValidationNonceKey {
                lane,
                entity_id: validations.session_keys,
                is_global: false,
                has_deferred_action: false,
            }
            .nonce_key(),
        }
    }

    /// Returns the validation of owners' signatures, on a v0.8 account.
    pub(crate) const fn owner_validation(self) -> Option<ModuleEntity> {
        match self {
            Self::V07 => None,
            Self::V08(validations) => Some(validations.owner),
        }
    }

    /// Returns the format of an operation's signature.
    pub(crate) const fn signature_form(self, is_session_keys: bool) -> SignatureForm {
        match self {
            Self::V07 => SignatureForm::Plain,
            Self::V08(_) if is_session_keys => SignatureForm::ModuleSessionKey,
            Self::V08(_) => SignatureForm::ModuleOwner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::uint;

    #[test]
    fn nonce_keys_select_the_validation_on_v08_accounts() {
        let key = Address::repeat_byte(0xab);
        assert_eq!(Generation::V07.owner_nonce_key(uint!(7_U192)), uint!(7_U192));
        assert_eq!(
            Generation::V07.session_key_nonce_key(key),
            session_key_nonce_key(key)
        );
        let account = Generation::V08(Validations {
            owner: ModuleEntity::new(Address::repeat_byte(1), 3),
            session_keys: 5,
        });
        let owner = ValidationNonceKey::from_nonce_key(account.owner_nonce_key(U192::MAX));
        assert_eq!(owner.entity_id, 3);
        assert!(owner.is_global && !owner.has_deferred_action);
        let own = account.session_key_nonce_key(key);
        assert_eq!(own, ValidationNonceKey::of_session_key(key, 5).nonce_key());
        let other = ValidationNonceKey::from_nonce_key(account.session_key_lane(uint!(9_U192)));
        assert_eq!((other.lane, other.entity_id), (uint!(9_U192), 5));
        assert!(!other.is_global);
    }
}
