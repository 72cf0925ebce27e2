//! Addresses of accounts, computed: the factory creates each by CREATE2.

use crate::deployment::account_init_code;
use alloy::primitives::{Address, U256, hex, keccak256};

/// What stands before the implementation's address in the init code of a proxy with 20 bytes of immutable arguments.
const HEAD_WITH_ARGUMENT: [u8; 10] = hex!("6100513d8160233d3973");

/// The entity id that stands for a semi-modular account in the salt.
const SEMI_MODULAR: u32 = u32::MAX;

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

/// The address of the account that the factory makes, or has made, for an owner whose signatures a module validates under this
/// entity id. Asks nobody.
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

/// The address of the semi-modular account that the factory makes, or has made, for an owner. Asks nobody.
#[must_use]
pub fn semi_modular_account_address(
    factory: Address,
    implementation: Address,
    owner: Address,
    user_salt: U256,
) -> Address {
    let plain = account_init_code(implementation);
    // The same proxy, which copies the owner behind its code, too.
    let init_code = [&HEAD_WITH_ARGUMENT, &plain[9..], owner.as_slice()].concat();
    factory.create2_from_code(salt(owner, user_salt, SEMI_MODULAR), init_code)
}
