//! Operations ready to be sent, with their makers.

use crate::{
    account::AccountWorld,
    steps::{Change, OwnerAction},
};
use alloy::{
    hex,
    primitives::{Address, B256},
};
use session_key_client::{SignedOperation, permissions::PermissionUpdates};

/// Selector of an update that no plugin knows.
pub(crate) const NO_UPDATE: [u8; 4] = hex!("dead0001");

/// An operation ready to be sent, and its maker.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) signed: SignedOperation,
    /// The maker of the operation.
    pub(crate) maker: Maker,
}

impl Prepared {
    /// Returns the session key that the operation names, or zero for an owner's operation.
    pub(crate) const fn key(&self) -> Address {
        match &self.maker {
            Maker::Key(key) => *key,
            Maker::Owner(_) => Address::ZERO,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Maker {
    /// The session key that it names.
    Key(Address),
    Owner(OwnerAction),
}

pub(crate) fn updates(world: &AccountWorld, changes: &[Change]) -> PermissionUpdates {
    changes.iter().map(|change| change.update(world)).collect()
}

/// The tag of all session keys.
pub(crate) const TAG: B256 = B256::repeat_byte(0x7a);
