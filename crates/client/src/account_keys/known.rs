//! Which of the known contracts a code is.

use crate::installation::known_v08_contract;
use alloy::primitives::{Address, B256, hex, keccak256};
use session_key_permissions::account_modules::{AccountForm, AccountModule};
use std::collections::BTreeMap;

/// What proxies of the factory run; the address of a semi-modular account's owner follows.
const PROXY: [u8; 61] = hex!(
    "363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
);

/// Contracts known by code hash, in addition to the deployed ones, which are known by address and code
/// length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct KnownCode {
    modules: BTreeMap<B256, AccountModule>,
    accounts: BTreeMap<B256, AccountForm>,
}

impl KnownCode {
    /// Knows the deployed contracts only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a module by its code hash: `keccak256` of the runtime code.
    pub fn module(mut self, code_hash: B256, module: AccountModule) -> Self {
        self.modules.insert(code_hash, module);
        self
    }

    /// Adds an account by the code hash of its implementation or delegate.
    pub fn account(mut self, code_hash: B256, form: AccountForm) -> Self {
        self.accounts.insert(code_hash, form);
        self
    }

    /// Returns the module at an address with this code; `None` if it is unknown.
    #[must_use]
    pub fn module_of(&self, address: Address, code: &[u8]) -> Option<AccountModule> {
        if let Some(module) = self.modules.get(&keccak256(code)) {
            return Some(*module);
        }
        let name = known_v08_contract(address, code.len())?;
        let mut modules = AccountModule::ALL.iter();
        modules.find(|module| module.name() == name).copied()
    }

    /// Returns the account form of an implementation or delegate.
    #[must_use]
    pub fn account_of(&self, address: Address, code: &[u8]) -> AccountForm {
        if let Some(form) = self.accounts.get(&keccak256(code)) {
            return *form;
        }
        match known_v08_contract(address, code.len()) {
            Some("ModularAccount 2.0.0") => AccountForm::Modular,
            Some("SemiModularAccountBytecode 1.0.0" | "SemiModularAccountStorageOnly 1.0.0") => {
                AccountForm::SemiModular
            }
            Some("SemiModularAccount7702 1.0.0") => AccountForm::EarlierDelegated,
            Some("SemiModularAccount7702 1.1.0") => AccountForm::Delegated,
            _ => AccountForm::Unknown,
        }
    }
}

/// Whether code is that of the factory's proxies, which do nothing but delegate.
pub(super) fn is_proxy(code: &[u8]) -> bool {
    code.strip_prefix(&PROXY)
        .is_some_and(|owner| owner.is_empty() || owner.len() == Address::len_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::address;

    #[test]
    fn a_module_is_known_by_hash_or_by_address_and_length() {
        let allowlist = address!("0x00000000003e826473A313E600b5b9B791f5a59a");
        let known = KnownCode::new();
        assert_eq!(
            known.module_of(allowlist, &[0; 10_336]),
            Some(AccountModule::Allowlist)
        );
        assert_eq!(known.module_of(allowlist, &[0; 10_335]), None);
        assert_eq!(known.module_of(Address::ZERO, &[0; 10_336]), None);
        let known = known.module(keccak256([7]), AccountModule::TimeRange);
        assert_eq!(
            known.module_of(Address::ZERO, &[7]),
            Some(AccountModule::TimeRange)
        );
        let known = known.account(keccak256([8]), AccountForm::Modular);
        assert_eq!(known.account_of(Address::ZERO, &[8]), AccountForm::Modular);
        assert_eq!(known.account_of(Address::ZERO, &[9]), AccountForm::Unknown);
        // A module's code is no account's.
        assert_eq!(known.account_of(allowlist, &[0; 10_336]), AccountForm::Unknown);
    }

    #[test]
    fn every_module_is_among_the_known_contracts() {
        for (module, at, length) in [
            (
                AccountModule::SingleSignerValidation,
                crate::v08::known::SINGLE_SIGNER_VALIDATION_MODULE,
                3_976,
            ),
            (
                AccountModule::EarlierAllowlist,
                address!("0x0000000000002311EEE9A2B887af1F144dbb4F6e"),
                10_262,
            ),
            (
                AccountModule::NativeTokenLimit,
                address!("0x00000000000001e541f0D090868FBe24b59Fbe06"),
                5_093,
            ),
            (
                AccountModule::TimeRange,
                address!("0x00000000000082B8e2012be914dFA4f62A0573eA"),
                2_504,
            ),
            (
                AccountModule::PaymasterGuard,
                address!("0x0000000000001aA7A7F7E29abe0be06c72FD42A1"),
                2_097,
            ),
        ] {
            assert_eq!(KnownCode::new().module_of(at, &vec![0; length]), Some(module));
        }
        for (at, length, form) in [
            (crate::v08::known::MODULAR_ACCOUNT, 23_273, AccountForm::Modular),
            (
                crate::v08::known::SEMI_MODULAR_ACCOUNT,
                24_223,
                AccountForm::SemiModular,
            ),
            (
                crate::v08::known::SEMI_MODULAR_ACCOUNT_7702,
                23_741,
                AccountForm::EarlierDelegated,
            ),
            (
                crate::v08::known::SEMI_MODULAR_ACCOUNT_7702_V1_1,
                24_358,
                AccountForm::Delegated,
            ),
        ] {
            assert_eq!(KnownCode::new().account_of(at, &vec![0; length]), form);
        }
    }

    #[test]
    fn proxies_of_the_factory_are_known() {
        assert!(is_proxy(&PROXY));
        assert!(is_proxy(&[&PROXY[..], &[1; 20]].concat()));
        assert!(!is_proxy(&[&PROXY[..], &[1; 21]].concat()));
        assert!(!is_proxy(&PROXY[1..]));
    }
}
