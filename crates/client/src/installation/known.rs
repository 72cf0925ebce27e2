//! Contracts of the ERC-6900 v0.8 stack with the same address on every chain.

use crate::v08::known;
use alloy::primitives::{Address, address};

/// Address, name, and length of the code in bytes if known.
const KNOWN: [(Address, &str, Option<usize>); 16] = [
    (known::MODULAR_ACCOUNT, "ModularAccount 2.0.0", Some(23_273)),
    (
        known::SEMI_MODULAR_ACCOUNT,
        "SemiModularAccountBytecode 1.0.0",
        Some(24_223),
    ),
    (
        known::SEMI_MODULAR_ACCOUNT_STORAGE_ONLY,
        "SemiModularAccountStorageOnly 1.0.0",
        Some(24_168),
    ),
    (
        known::SEMI_MODULAR_ACCOUNT_7702,
        "SemiModularAccount7702 1.0.0",
        Some(23_741),
    ),
    (
        known::SEMI_MODULAR_ACCOUNT_7702_V1_1,
        "SemiModularAccount7702 1.1.0",
        Some(24_358),
    ),
    (known::FACTORY, "AccountFactory", Some(6_661)),
    (
        address!("0x55010E571dCf07e254994bfc88b9C1C8FAe31960"),
        "WebAuthnFactory",
        None,
    ),
    (
        address!("0x0000000000008e6a39E03C7156e46b238C9E2036"),
        "ExecutionInstallDelegate",
        Some(5_947),
    ),
    (
        known::SINGLE_SIGNER_VALIDATION_MODULE,
        "SingleSignerValidationModule",
        Some(3_976),
    ),
    (
        address!("0x0000000000001D9d34E07D9834274dF9ae575217"),
        "WebAuthnValidationModule",
        None,
    ),
    (
        address!("0x00000000003e826473A313E600b5b9B791f5a59a"),
        "AllowlistModule 2.0.1",
        Some(10_336),
    ),
    (
        address!("0x0000000000002311EEE9A2B887af1F144dbb4F6e"),
        "AllowlistModule 2.0.0",
        Some(10_262),
    ),
    (
        address!("0x00000000000001e541f0D090868FBe24b59Fbe06"),
        "NativeTokenLimitModule",
        Some(5_093),
    ),
    (
        address!("0x00000000000082B8e2012be914dFA4f62A0573eA"),
        "TimeRangeModule",
        Some(2_504),
    ),
    (
        address!("0x0000000000001aA7A7F7E29abe0be06c72FD42A1"),
        "PaymasterGuardModule",
        Some(2_097),
    ),
    (session_key_bindings::ENTRY_POINT_V07, "EntryPoint 0.7", None),
];

/// Returns the name of a deployed contract of the ERC-6900 v0.8 stack, by its address and the length of its
/// code in bytes. `None`: the contract is not known, or the length differs.
#[must_use]
pub fn known_v08_contract(address: Address, code_length: usize) -> Option<&'static str> {
    let (_, name, length) = KNOWN.iter().find(|(known, ..)| *known == address)?;
    length.is_none_or(|length| length == code_length).then_some(*name)
}

/// Whether the address is a known EIP-7702 delegate, of any version.
pub(super) fn is_known_delegate(address: Address) -> bool {
    [
        known::SEMI_MODULAR_ACCOUNT_7702,
        known::SEMI_MODULAR_ACCOUNT_7702_V1_1,
    ]
    .contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_recognized_by_address_and_length() {
        assert_eq!(
            known_v08_contract(known::SEMI_MODULAR_ACCOUNT_7702, 23_741),
            Some("SemiModularAccount7702 1.0.0")
        );
        assert_eq!(known_v08_contract(known::SEMI_MODULAR_ACCOUNT_7702, 23_742), None);
        assert_eq!(known_v08_contract(Address::ZERO, 23_741), None);
    }

    #[test]
    fn known_contracts_are_distinct() {
        let mut addresses = KNOWN.map(|(address, ..)| address);
        addresses.sort();
        assert!(addresses.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
