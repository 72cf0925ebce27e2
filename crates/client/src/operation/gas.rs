//! An operation's gas limits and fees, and the random bits in them.

use crate::permissions::UserOperation;
use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

/// An operation's gas limits, in gas units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gas {
    /// For the execution of the call.
    pub call_gas_limit: U256,
    /// For validation.
    pub verification_gas_limit: U256,
    /// For everything the EntryPoint cannot measure.
    pub pre_verification_gas: U256,
}

impl Gas {
    /// Returns an operation's limits.
    pub const fn of(operation: &UserOperation) -> Self {
        Self {
            call_gas_limit: operation.call_gas_limit,
            verification_gas_limit: operation.verification_gas_limit,
            pre_verification_gas: operation.pre_verification_gas,
        }
    }

    /// Sets an operation's limits.
    pub(crate) const fn apply(&self, operation: &mut UserOperation) {
        operation.call_gas_limit = self.call_gas_limit;
        operation.verification_gas_limit = self.verification_gas_limit;
        operation.pre_verification_gas = self.pre_verification_gas;
    }
}

/// Random bits that an operation carries at almost no cost. Two operations with the same calls and nonce then
/// have different hashes, so one cannot be mistaken for the other. They are drawn before anything is
/// estimated.
///
/// Up to a thousandth of each fee and, if that is fewer than 32 bits, up to 16 bits added to each gas limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt {
    fee: u64,
    priority_fee: u64,
    gas: [u16; 2],
}

/// The reciprocal of the random fraction of a fee.
const FEE_PART: u64 = 1_000;
/// The minimum number of random bits, if nothing is fixed by the caller.
pub(crate) const SALT_BITS: u32 = 32;
/// The cost of one more nonzero byte of call data (EIP-2028).
const BYTE_GAS: u64 = 16;

impl Salt {
    pub(crate) const fn new(random: [u8; 20]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t] = random;
        Self {
            fee: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            priority_fee: u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            gas: [u16::from_le_bytes([q, r]), u16::from_le_bytes([s, t])],
        }
    }

    /// Adds a random part of at most a thousandth to a fee, and returns the bits that it carries.
    fn salted(fee: U256, random: u64) -> (U256, u32) {
        let room = fee / U256::from(FEE_PART);
        if room.is_zero() {
            return (fee, 0);
        }
        // Adds at most 2^64 - 1.
        let values = room.saturating_add(U256::ONE).min(U256::from(u64::MAX));
        let part = U256::from(random) % values;
        let bits = u32::try_from(values.bit_len()).unwrap_or(64).saturating_sub(1);
        (fee.saturating_add(part), bits)
    }

    /// Returns fees with random parts, in wei per gas unit, and the total bits that they carry. The priority
    /// fee stays below the fee.
    pub(crate) fn fees(&self, max_fee: U256, max_priority_fee: U256) -> (U256, U256, u32) {
        let (salted_fee, fee_bits) = Self::salted(max_fee, self.fee);
        let (salted_priority, priority_bits) = Self::salted(max_priority_fee, self.priority_fee);
        if salted_priority > salted_fee {
            return (salted_fee, max_priority_fee.min(salted_fee), fee_bits);
        }
        (salted_fee, salted_priority, fee_bits + priority_bits)
    }

    /// Adds random parts to the gas limits for the bits that fees do not carry, and returns the bits added.
    /// Only limits marked in `free` change, only upwards, and pre-verification gas pays for the bytes that
    /// become nonzero.
    pub(crate) fn gas(&self, gas: &mut Gas, bits: u32, free: [bool; 2], pays: bool) -> u32 {
        let mut added = 0;
        for (limit, (random, free)) in [&mut gas.call_gas_limit, &mut gas.verification_gas_limit]
            .into_iter()
            .zip(self.gas.into_iter().zip(free))
        {
            if bits + added >= SALT_BITS || !free {
                continue;
            }
            *limit = limit.saturating_add(U256::from(random));
            added += 16;
            if pays {
                gas.pre_verification_gas = gas.pre_verification_gas.saturating_add(U256::from(2 * BYTE_GAS));
            }
        }
        added
    }
}

/// Returns a replacement's fee: a tenth more, rounded up, as bundlers require.
pub(crate) fn raised(fee: U256) -> U256 {
    fee.saturating_add(fee.div_ceil(U256::from(10)).max(U256::ONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GWEI: u64 = 1_000_000_000;

    #[test]
    fn fees_carry_the_bits_and_rise_by_at_most_a_thousandth() {
        let salt = Salt::new([0xff; 20]);
        let (fee, priority, bits) = salt.fees(U256::from(41 * GWEI), U256::from(GWEI));
        assert!(bits >= SALT_BITS, "{bits}");
        assert!(fee >= U256::from(41 * GWEI) && fee <= U256::from(41 * GWEI + 41 * GWEI / 1_000));
        assert!(priority >= U256::from(GWEI) && priority <= U256::from(GWEI + GWEI / 1_000));
        let (other, ..) = Salt::new([7; 20]).fees(U256::from(41 * GWEI), U256::from(GWEI));
        assert_ne!(other, fee);
    }

    #[test]
    fn gas_limits_carry_the_remaining_bits() {
        let salt = Salt::new([0x5a; 20]);
        let (fee, priority, bits) = salt.fees(U256::from(900), U256::ZERO);
        assert_eq!((fee, priority, bits), (U256::from(900), U256::ZERO, 0));
        let mut gas = Gas::default();
        assert_eq!(salt.gas(&mut gas, bits, [true, true], true), SALT_BITS);
        assert_eq!(gas.call_gas_limit, U256::from(0x5a5a));
        assert_eq!(gas.verification_gas_limit, U256::from(0x5a5a));
        assert_eq!(gas.pre_verification_gas, U256::from(64));
        // With enough bits in the fees, or with given limits, nothing changes.
        let mut untouched = Gas::default();
        assert_eq!(salt.gas(&mut untouched, SALT_BITS, [true, true], true), 0);
        assert_eq!(salt.gas(&mut untouched, 0, [false, false], true), 0);
        assert_eq!(untouched, Gas::default());
    }

    #[test]
    fn the_priority_fee_never_exceeds_the_fee() {
        let mut random = [0; 20];
        random[8..16].fill(0xff);
        let (fee, priority, _) = Salt::new(random).fees(U256::from(GWEI), U256::from(GWEI));
        assert!(priority <= fee);
        let (fee, priority, _) = Salt::new([0xff; 20]).fees(U256::MAX, U256::MAX);
        assert!(priority <= fee);
    }

    #[test]
    fn a_replacement_pays_a_tenth_more_rounded_up() {
        assert_eq!(raised(U256::from(100)), U256::from(110));
        assert_eq!(raised(U256::from(101)), U256::from(112));
        assert_eq!(raised(U256::ZERO), U256::from(1));
        assert_eq!(raised(U256::MAX), U256::MAX);
    }
}
