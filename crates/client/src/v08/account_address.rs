//! Computed addresses of v0.8 accounts: the factory creates each with CREATE2.

use super::{FALLBACK_VALIDATION, ModuleEntity, calldata, known};
use crate::deployment::account_init_code;
use alloy::primitives::{Address, Bytes, U256, hex, keccak256};
use serde::{Deserialize, Serialize};

/// The init code before the implementation's address, for a proxy with 20 bytes of immutable arguments.
const HEAD_WITH_ARGUMENT: [u8; 10] = hex!("6100513d8160233d3973");

/// The entity id of a semi-modular account in the salt.
const SEMI_MODULAR: u32 = u32::MAX;

/// The factory of v0.8 accounts, and its implementations. The default is the deployed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountFactory {
    /// The factory.
    pub address: Address,
    /// The implementation of accounts whose owner is a module's.
    pub modular_account: Address,
    /// The implementation of semi-modular accounts.
    pub semi_modular_account: Address,
    /// The module that validates the owner's signatures, for accounts that are not semi-modular.
    pub owner_module: Address,
}

impl Default for AccountFactory {
    fn default() -> Self {
        Self {
            address: known::FACTORY,
            modular_account: known::MODULAR_ACCOUNT,
            semi_modular_account: known::SEMI_MODULAR_ACCOUNT,
            owner_module: known::SINGLE_SIGNER_VALIDATION_MODULE,
        }
    }
}

/// An account that the factory creates, or has created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FactoryAccount {
    /// Its owner.
    pub owner: Address,
    /// The user's salt.
    pub salt: U256,
    /// The entity id of the owner's validation. `None`: a semi-modular account, which needs no module
    /// for its owner.
    #[serde(default)]
    pub owner_entity_id: Option<u32>,
}

impl FactoryAccount {
    /// Creates the description of a semi-modular account.
    #[must_use]
    pub const fn semi_modular(owner: Address, salt: U256) -> Self {
        Self {
            owner,
            salt,
            owner_entity_id: None,
        }
    }

    /// Computes the account's address, without a node.
    #[must_use]
    pub fn address(&self, factory: &AccountFactory) -> Address {
        let Self { owner, salt, .. } = *self;
        match self.owner_entity_id {
            None => semi_modular_account_address(factory.address, factory.semi_modular_account, owner, salt),
            Some(entity_id) => {
                account_address(factory.address, factory.modular_account, owner, salt, entity_id)
            }
        }
    }

    /// Returns the `initCode` of the account's first operation: the factory, and the call that creates the
    /// account.
    #[must_use]
    pub fn init_code(&self, factory: &AccountFactory) -> Bytes {
        let call = match self.owner_entity_id {
            None => calldata::create_semi_modular_account(self.owner, self.salt),
            Some(entity_id) => calldata::create_account(self.owner, self.salt, entity_id),
        };
        [factory.address.as_slice(), &call].concat().into()
    }

    /// Returns the validation of the owner's operations.
    #[must_use]
    pub const fn owner_validation(&self, factory: &AccountFactory) -> ModuleEntity {
        match self.owner_entity_id {
            None => FALLBACK_VALIDATION,
            Some(entity_id) => ModuleEntity::new(factory.owner_module, entity_id),
        }
    }
}

fn salt(owner: Address, salt: U256, entity_id: u32) -> alloy::primitives::B256 {
    keccak256(
        [
            owner.as_slice(),
            &salt.to_be_bytes::<32>(),
            &entity_id.to_be_bytes(),
        ]
        .concat(),
    )
}

/// Computes the address of the account that the factory creates, or has created, for an owner whose
/// signatures a module validates under this entity id. Needs no node.
#[must_use]
pub fn account_address(
    factory: Address,
    implementation: Address,
    owner: Address,
    user_salt: U256,
    entity_id: u32,
) -> Address {
    factory.create2_from_code(
        salt(owner, user_salt, entity_id),
        account_init_code(implementation),
    )
}

/// Computes the address of the semi-modular account that the factory creates, or has created, for an owner.
/// Needs no node.
#[must_use]
pub fn semi_modular_account_address(
    factory: Address,
    implementation: Address,
    owner: Address,
    user_salt: U256,
) -> Address {
    let plain = account_init_code(implementation);
    // The same proxy, with the owner copied after its code.
    let init_code = [&HEAD_WITH_ARGUMENT, &plain[9..], owner.as_slice()].concat();
    factory.create2_from_code(salt(owner, user_salt, SEMI_MODULAR), init_code)
}
