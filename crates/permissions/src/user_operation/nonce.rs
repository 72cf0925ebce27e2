//! Nonces: a key of 192 bits, which is a lane with a sequence of its own, and 64 bits of sequence number.

use alloy_primitives::{Address, U256, aliases::U192};

/// The nonce lane of a session key on an ERC-6900 v0.7 account: its address. The plugin requires it for a key
/// with a gas limit. This project's clients use it by default, so operations of different keys do not wait
/// for each other.
#[must_use]
pub fn session_key_nonce_key(session_key: Address) -> U192 {
    U192::from_be_slice(session_key.as_slice())
}

/// Composes a nonce from nonce key and sequence number.
#[must_use]
pub fn nonce(nonce_key: U192, sequence: u64) -> U256 {
    U256::from(nonce_key) << 64 | U256::from(sequence)
}

/// A nonce key of Modular Account v2, which selects the validation of an operation: the user's lane (19
/// bytes), the validation's entity id (4 bytes), options (1 byte).
///
/// ```
/// use session_key_permissions::ValidationNonceKey;
/// use alloy_primitives::{address, aliases::U192};
///
/// let session_key = address!("0xabababababababababababababababababababab");
/// let key = ValidationNonceKey::of_session_key(session_key, 0x8000_0000);
/// assert_eq!(ValidationNonceKey::from_nonce_key(key.nonce_key()), key);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ValidationNonceKey {
    /// The lane, of which the account uses the lower 152 bits.
    pub lane: U192,
    /// Which of the account's validations validates the operation.
    pub entity_id: u32,
    /// Whether the validation is used as a global one.
    pub is_global: bool,
    /// Whether the signature begins with a deferred action.
    pub has_deferred_action: bool,
}

impl ValidationNonceKey {
    /// Bits of the nonce key below the lane: entity id and options.
    pub const LANE_SHIFT: usize = 40;

    const GLOBAL: u8 = 1;
    const DEFERRED_ACTION: u8 = 2;

    /// The lane that the session key module requires: the lower 19 bytes of the session key's address.
    #[must_use]
    pub fn of_session_key(session_key: Address, entity_id: u32) -> Self {
        Self {
            lane: U192::from_be_slice(&session_key[1..]),
            entity_id,
            ..Self::default()
        }
    }

    /// The same with a deferred action in the signature. It is a lane of its own.
    #[must_use]
    pub const fn with_deferred_action(mut self) -> Self {
        self.has_deferred_action = true;
        self
    }

    /// The nonce key. A lane above 152 bits is cut to its lower ones.
    #[must_use]
    pub fn nonce_key(&self) -> U192 {
        let global = if self.is_global { Self::GLOBAL } else { 0 };
        let deferred_action = if self.has_deferred_action {
            Self::DEFERRED_ACTION
        } else {
            0
        };
        let options = global | deferred_action;
        self.lane << Self::LANE_SHIFT | U192::from(self.entity_id) << 8 | U192::from(options)
    }

    /// Takes a nonce key apart. Options that are not known are left out, as the account ignores them.
    #[must_use]
    pub fn from_nonce_key(nonce_key: U192) -> Self {
        let [.., a, b, c, d, options] = nonce_key.to_be_bytes::<24>();
        Self {
            lane: nonce_key >> Self::LANE_SHIFT,
            entity_id: u32::from_be_bytes([a, b, c, d]),
            is_global: options & Self::GLOBAL != 0,
            has_deferred_action: options & Self::DEFERRED_ACTION != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::uint;

    /// From operations that a deployed Modular Account v2 accepted.
    #[test]
    fn nonce_keys_are_those_of_a_deployed_account() {
        let key = ValidationNonceKey {
            lane: uint!(0x102_U192),
            entity_id: 5,
            ..Default::default()
        };
        assert_eq!(
            nonce(key.nonce_key(), 0),
            uint!(0x0000000000000000000000000000000000010200000005000000000000000000_U256)
        );
        let deferred = ValidationNonceKey {
            entity_id: 6,
            ..Default::default()
        }
        .with_deferred_action();
        assert_eq!(
            nonce(deferred.nonce_key(), 0),
            uint!(0x0000000000000000000000000000000000000000000006020000000000000000_U256)
        );
        let owner = ValidationNonceKey {
            is_global: true,
            ..Default::default()
        };
        assert_eq!(nonce(owner.nonce_key(), 0), uint!(1_U256) << 64);
    }

    #[test]
    fn a_session_keys_lane_is_its_lower_nineteen_bytes() {
        let session_key = Address::from_slice(&std::array::from_fn::<u8, 20, _>(|at| at as u8 + 1));
        let key = ValidationNonceKey::of_session_key(session_key, u32::MAX - 1);
        // What the module checks: `nonce >> 104 == uint152(uint160(sessionKey))`.
        let lane: U256 = nonce(key.nonce_key(), u64::MAX) >> 104;
        assert_eq!(lane, U256::from_be_slice(&session_key[1..]));
        assert_eq!(ValidationNonceKey::from_nonce_key(key.nonce_key()), key);
    }
}
