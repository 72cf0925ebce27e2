//! Ids of the plugins' validation functions, and the function references by which other plugins depend on
//! them.

use alloy_primitives::{Address, FixedBytes};

/// Session key plugin, user operation validation: a session key signs.
pub const USER_OP_VALIDATION_SESSION_KEY: u8 = 0;

/// Owner plugin, runtime validation: the caller is an owner or the account itself.
pub const RUNTIME_VALIDATION_OWNER_OR_SELF: u8 = 0;

/// Owner plugin, user operation validation: an owner signs.
pub const USER_OP_VALIDATION_OWNER: u8 = 1;

/// Returns a function reference (`bytes21`): the plugin's address followed by the function id.
#[must_use]
pub fn function_reference(plugin: Address, function_id: u8) -> FixedBytes<21> {
    let mut reference = [0; 21];
    reference[..20].copy_from_slice(plugin.as_slice());
    reference[20] = function_id;
    FixedBytes(reference)
}
