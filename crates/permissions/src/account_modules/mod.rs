//! Session keys of Modular Account v2's own client: a SingleSigner validation with hooks of the account's
//! permission modules.
//!
//! | module | as a hook of validation | as a hook of execution |
//! | --- | --- | --- |
//! | AllowlistModule | targets and functions | ERC-20 limits |
//! | NativeTokenLimitModule | gas limits times fee | value of calls |
//! | TimeRangeModule | first and last second | |
//! | PaymasterGuardModule | required paymaster | |
//!
//! [`AccountKey`] holds everything that the account and these modules store about one key. It
//! [describes](AccountKey::describe) and [lints](AccountKey::lint) the key, and predicts the chain's verdict
//! on [calls](AccountKey::verdict_of_calls) or an [operation](AccountKey::verdict). All of it is pure: no
//! clock, no chain.
//!
//! The verdict is [unknown](KeyVerdict::Unknown) if the code of the account or of a module is unknown
//! ([`Module::kind`]), and for the other reasons in [`Unpredictable`]. Like [the model of the session key
//! plugin](crate::model), this one does not cover what the called contracts do, balances and deposits, the
//! nonce's sequence, or actual gas use.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use session_key_permissions::{Call, account_modules::{
//!     AccountForm, AccountKey, AccountModule, EXECUTE, Hook, Module, ModuleSettings, Settings,
//! }};
//!
//! let known = |at: u8, kind| Module { address: Address::repeat_byte(at), kind: Some(kind) };
//! let limit = known(2, AccountModule::NativeTokenLimit);
//! let mut key = AccountKey::new(Address::repeat_byte(0xac), AccountForm::SemiModular, 5);
//! key.validation = known(1, AccountModule::SingleSignerValidation);
//! key.signer = Some(Address::repeat_byte(9));
//! key.flags = AccountKey::USER_OPERATIONS;
//! key.selectors = vec![EXECUTE];
//! key.hooks = vec![Hook { module: limit, entity_id: 5, flags: Hook::PRE }];
//! key.settings = vec![ModuleSettings {
//!     module: limit.address, entity_id: 5, settings: Settings::native_token_limit(U256::from(100)),
//! }];
//! let verdict = key.verdict_of_calls(&[Call::transfer(Address::repeat_byte(7), U256::from(101))], 1_800_000_000);
//! assert_eq!(verdict.refusals()[0].code(), "native_limit_exceeded");
//! ```

mod call_data;
mod check;
mod lint;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

pub use lint::{KeyLintCode, KeyWarning};
pub use verdict::{HookRule, KeyVerdict, Left, LeftOf, Refusal, Refuser, Unpredictable};

use crate::{ERC20_APPROVE, ERC20_TRANSFER};
use alloy_primitives::{Address, Selector, U256, hex};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// `execute(address,uint256,bytes)` of the account.
pub const EXECUTE: Selector = Selector::new(hex!("b61d27f6"));
/// `executeBatch((address,uint256,bytes)[])` of the account.
pub const EXECUTE_BATCH: Selector = Selector::new(hex!("34fcd5be"));
/// `executeUserOp`, as the first four bytes of an operation's call data: what follows is the call that the
/// account makes of itself.
pub const EXECUTE_USER_OP: Selector = Selector::new(hex!("8dd7712f"));
/// `performCreate(uint256,bytes,bool,bytes32)` of the account: creates a contract.
pub const PERFORM_CREATE: Selector = Selector::new(hex!("5998db5c"));
/// `executeWithRuntimeValidation(bytes,bytes)` of the account.
pub const EXECUTE_WITH_RUNTIME_VALIDATION: Selector = Selector::new(hex!("f2680c0f"));

/// Functions of the account that can take it over or disable it.
const ROOT_FUNCTIONS: [(Selector, &str); 6] = [
    (Selector::new(hex!("1bbf564c")), "installValidation"),
    (Selector::new(hex!("b6b1ccfe")), "uninstallValidation"),
    (Selector::new(hex!("001a63e9")), "installExecution"),
    (Selector::new(hex!("93b1dc61")), "uninstallExecution"),
    (Selector::new(hex!("4f1ef286")), "upgradeToAndCall"),
    (UPDATE_FALLBACK_SIGNER, "updateFallbackSignerData"),
];
const UPDATE_FALLBACK_SIGNER: Selector = Selector::new(hex!("30009d52"));

/// The last second that a module can store.
const LAST_SECOND: u64 = (1 << 48) - 1;

/// Which of the account's modules a contract is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountModule {
    /// SingleSignerValidationModule 1.0.0: validates by a key, or by a contract's ERC-1271.
    SingleSignerValidation,
    /// AllowlistModule 2.0.1.
    Allowlist,
    /// AllowlistModule 2.0.0, whose validation hook does not look into `executeUserOp`.
    EarlierAllowlist,
    /// NativeTokenLimitModule 1.0.0.
    NativeTokenLimit,
    /// TimeRangeModule 1.0.0.
    TimeRange,
    /// PaymasterGuardModule 1.0.0.
    PaymasterGuard,
}

impl AccountModule {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::SingleSignerValidation,
        Self::Allowlist,
        Self::EarlierAllowlist,
        Self::NativeTokenLimit,
        Self::TimeRange,
        Self::PaymasterGuard,
    ];

    /// Its name and, where there are several, its version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleSignerValidation => "SingleSignerValidationModule",
            Self::Allowlist => "AllowlistModule 2.0.1",
            Self::EarlierAllowlist => "AllowlistModule 2.0.0",
            Self::NativeTokenLimit => "NativeTokenLimitModule",
            Self::TimeRange => "TimeRangeModule",
            Self::PaymasterGuard => "PaymasterGuardModule",
        }
    }

    /// Whether it is an allowlist, of any version.
    #[must_use]
    pub const fn is_allowlist(self) -> bool {
        matches!(self, Self::Allowlist | Self::EarlierAllowlist)
    }
}

impl fmt::Display for AccountModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AccountForm {
    /// Unknown code.
    Unknown,
    /// A Modular Account v2 whose owner is a validation module's.
    Modular,
    /// One with a fallback signer.
    SemiModular,
    /// An EIP-7702 account with version 1.0.0 of the delegate: a validation that signs for the account has
    /// the owner's rights.
    EarlierDelegated,
    /// An EIP-7702 account with version 1.1.0.
    Delegated,
}

impl AccountForm {
    /// Whether it is an EIP-7702 account, which owns itself.
    #[must_use]
    pub const fn is_delegated(self) -> bool {
        matches!(self, Self::EarlierDelegated | Self::Delegated)
    }
}

/// A module at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Module {
    /// Its address.
    pub address: Address,
    /// Which module it is; `None` for unknown code.
    pub kind: Option<AccountModule>,
}

/// A hook of the key's validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// The module.
    pub module: Module,
    /// Entity id within the module. Hooks with the same module and entity id share their settings.
    pub entity_id: u32,
    /// The account's byte of flags.
    pub flags: u8,
}

impl Hook {
    /// Flag: it runs in validation; otherwise around execution.
    pub const VALIDATION: u8 = 1;
    /// Flag of an execution hook: it runs afterwards.
    pub const POST: u8 = 2;
    /// Flag of an execution hook: it runs before.
    pub const PRE: u8 = 4;

    /// Whether it runs before the validation.
    #[must_use]
    pub const fn is_validation(&self) -> bool {
        self.flags & Self::VALIDATION != 0
    }
}

/// Settings of one module for one entity id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleSettings {
    /// The module.
    pub module: Address,
    /// The entity.
    pub entity_id: u32,
    /// What is stored.
    pub settings: Settings,
}

/// What a module stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Settings {
    /// An allowlist of either version.
    Allowlist(AllowlistSettings),
    /// NativeTokenLimitModule.
    NativeTokenLimit {
        /// What is left, in wei. It does not refresh.
        left: U256,
        /// Paymasters whose operations count, too (`true`), and those known not to (`false`). They apply to
        /// all entities of the account.
        special_paymasters: BTreeMap<Address, bool>,
        /// Whether all other paymasters are known not to count.
        complete: bool,
    },
    /// TimeRangeModule. Zeros, where nothing is stored: no bounds.
    TimeRange {
        /// First second, unix time.
        valid_after: u64,
        /// Last second, unix time; 2^48 - 1 for no end.
        valid_until: u64,
    },
    /// PaymasterGuardModule.
    PaymasterGuard {
        /// Required paymaster; zero if none is stored, in which case every operation is refused.
        paymaster: Address,
    },
}

impl Settings {
    /// Returns a limit without special paymasters.
    #[must_use]
    pub const fn native_token_limit(left: U256) -> Self {
        Self::NativeTokenLimit {
            left,
            special_paymasters: BTreeMap::new(),
            complete: true,
        }
    }
}

/// Allowlist settings for one entity id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowlistSettings {
    /// Contracts.
    pub targets: BTreeMap<Address, AllowlistTarget>,
    /// Wildcard selectors, allowed (`true`) or known not to be (`false`), for contracts that are not allowed
    /// themselves. Zero stands for calls without call data.
    pub any_target: BTreeMap<Selector, bool>,
    /// Whether everything else is known not to be allowed.
    pub complete: bool,
}

impl Default for AllowlistSettings {
    /// Nothing is allowed.
    fn default() -> Self {
        Self {
            targets: BTreeMap::new(),
            any_target: BTreeMap::new(),
            complete: true,
        }
    }
}

/// What an allowlist stores for a contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowlistTarget {
    /// Whether it may be called.
    pub allowed: bool,
    /// Whether only listed functions may be called.
    pub has_selector_list: bool,
    /// Whether the ERC-20 limit applies.
    pub has_limit: bool,
    /// What is left of the limit, in base units. It does not refresh.
    pub left: U256,
    /// Functions that are listed (`true`) or known not to be (`false`).
    pub functions: BTreeMap<Selector, bool>,
}

/// A session key created by the account's own client: one validation of the account, with its hooks and what
/// their modules store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct AccountKey {
    /// The account.
    pub account: Address,
    /// Which account it is.
    pub form: AccountForm,
    /// Entity id of the validation.
    pub entity_id: u32,
    /// The module that validates.
    pub validation: Module,
    /// The signer: an EOA or a contract; `None` if unknown.
    pub signer: Option<Address>,
    /// Validation flags: [`USER_OPERATIONS`](Self::USER_OPERATIONS), [`SIGNATURES`](Self::SIGNATURES),
    /// [`GLOBAL`](Self::GLOBAL).
    pub flags: u8,
    /// Selectors of the account's functions that it may call, in order.
    pub selectors: Vec<Selector>,
    /// Its hooks: those of validation, then those of execution, each in order.
    pub hooks: Vec<Hook>,
    /// Settings, once per module and entity id.
    pub settings: Vec<ModuleSettings>,
    /// Execution hooks of the account's functions that it may call, which run for every validation.
    pub function_hooks: Vec<Hook>,
    /// Whether `function_hooks` is complete. Otherwise the verdict is unknown.
    pub are_function_hooks_read: bool,
}

impl AccountKey {
    /// Flag: it validates user operations.
    pub const USER_OPERATIONS: u8 = 1;
    /// Flag: it signs for the account (ERC-1271).
    pub const SIGNATURES: u8 = 2;
    /// Flag: it is for every function that global validations are for.
    pub const GLOBAL: u8 = 4;

    /// Creates a key without selectors, hooks or settings.
    #[must_use]
    pub fn new(account: Address, form: AccountForm, entity_id: u32) -> Self {
        Self {
            account,
            form,
            entity_id,
            validation: Module::default(),
            signer: None,
            flags: 0,
            selectors: Vec::new(),
            hooks: Vec::new(),
            settings: Vec::new(),
            function_hooks: Vec::new(),
            are_function_hooks_read: true,
        }
    }

    /// Returns the account's functions that it may call: those on its list, and if it is global, all of the
    /// account's own. A global validation may be for functions of modules, too.
    #[must_use]
    pub fn functions(&self) -> BTreeSet<Selector> {
        let own = self.own_functions().filter(|_| self.has_flag(Self::GLOBAL));
        self.selectors.iter().copied().chain(own).collect()
    }

    /// Returns its validation hooks in order.
    pub fn validation_hooks(&self) -> impl DoubleEndedIterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| hook.is_validation())
    }

    /// Returns its execution hooks in order.
    pub fn execution_hooks(&self) -> impl DoubleEndedIterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| !hook.is_validation())
    }

    /// Returns the contracts treated as tokens: those with an ERC-20 limit, or with `transfer` or `approve`
    /// on the list.
    #[must_use]
    pub fn tokens(&self) -> BTreeSet<Address> {
        let is_token = |entry: &AllowlistTarget| {
            let is_listed = |function| entry.functions.get(function) == Some(&true);
            entry.has_limit || [ERC20_TRANSFER, ERC20_APPROVE].iter().any(is_listed)
        };
        let lists = self.settings.iter().filter_map(|of| match &of.settings {
            Settings::Allowlist(settings) => Some(&settings.targets),
            _ => None,
        });
        let tokens = lists.flatten().filter(|(_, entry)| is_token(entry));
        tokens.map(|(token, _)| *token).collect()
    }

    /// Returns the settings of a hook.
    #[must_use]
    pub fn settings_of(&self, hook: &Hook) -> Option<&Settings> {
        let mut settings = self.settings.iter();
        settings
            .find(|of| (of.module, of.entity_id) == (hook.module.address, hook.entity_id))
            .map(|of| &of.settings)
    }

    fn settings_mut(&mut self, hook: &Hook) -> Option<&mut Settings> {
        let mut settings = self.settings.iter_mut();
        settings
            .find(|of| (of.module, of.entity_id) == (hook.module.address, hook.entity_id))
            .map(|of| &mut of.settings)
    }

    const fn has_flag(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The account's functions that it may be used for.
    fn may_use(&self, selector: Selector) -> bool {
        self.selectors.contains(&selector) || self.has_flag(Self::GLOBAL) && self.is_own(selector)
    }

    /// Whether a function is the account's own. Whether there is another one, and whether global validations
    /// are for it, is up to the module that adds it.
    fn is_own(&self, selector: Selector) -> bool {
        self.own_functions().any(|own| own == selector)
    }

    /// The account's own functions, all of which global validations are for.
    fn own_functions(&self) -> impl Iterator<Item = Selector> {
        let has_fallback_signer = self.form != AccountForm::Modular;
        let roots = ROOT_FUNCTIONS.iter().map(|(selector, _)| *selector);
        [
            EXECUTE,
            EXECUTE_BATCH,
            EXECUTE_USER_OP,
            PERFORM_CREATE,
            EXECUTE_WITH_RUNTIME_VALIDATION,
        ]
        .into_iter()
        .chain(roots)
        .filter(move |selector| *selector != UPDATE_FALLBACK_SIGNER || has_fallback_signer)
    }

    /// The settings of the allowlists among its validation hooks.
    fn allowlists(&self) -> impl Iterator<Item = (&Hook, &AllowlistSettings)> {
        let hooks = self.validation_hooks();
        hooks
            .filter(|hook| hook.module.kind.is_some_and(AccountModule::is_allowlist))
            .filter_map(|hook| match self.settings_of(hook) {
                Some(Settings::Allowlist(settings)) => Some((hook, settings)),
                _ => None,
            })
    }

    /// The settings of the limits on tokens among its execution hooks.
    fn token_limits(&self) -> impl Iterator<Item = (&Hook, &AllowlistSettings)> {
        let hooks = self.execution_hooks();
        hooks
            .filter(|hook| hook.flags & Hook::PRE != 0)
            .filter(|hook| hook.module.kind.is_some_and(AccountModule::is_allowlist))
            .filter_map(|hook| match self.settings_of(hook) {
                Some(Settings::Allowlist(settings)) => Some((hook, settings)),
                _ => None,
            })
    }

    /// What is left to send, by its execution hooks; or to pay for gas, by its validation hooks.
    fn native_limits(&self, of_validation: bool) -> impl Iterator<Item = (&Hook, U256)> {
        let hooks = self.hooks.iter().filter(move |hook| {
            hook.is_validation() == of_validation && (of_validation || hook.flags & Hook::PRE != 0)
        });
        hooks
            .filter(|hook| hook.module.kind == Some(AccountModule::NativeTokenLimit))
            .filter_map(|hook| match self.settings_of(hook) {
                Some(Settings::NativeTokenLimit { left, .. }) => Some((hook, *left)),
                _ => None,
            })
    }

    /// First and last second, by all its time ranges: 0 and 2^48 - 1 without bounds.
    fn time_range(&self) -> (u64, u64) {
        let ranges =
            self.validation_hooks()
                .filter_map(|hook| match (hook.module.kind, self.settings_of(hook)) {
                    (
                        Some(AccountModule::TimeRange),
                        Some(Settings::TimeRange {
                            valid_after,
                            valid_until,
                        }),
                    ) => Some((*valid_after, *valid_until)),
                    _ => None,
                });
        ranges.fold((0, LAST_SECOND), |(after, until), (valid_after, valid_until)| {
            let end = if valid_until == 0 {
                LAST_SECOND
            } else {
                valid_until
            };
            (after.max(valid_after), until.min(end))
        })
    }

    /// The modules that are not known: of the validation, then of the hooks.
    fn unknown_modules(&self) -> Vec<Address> {
        let mut unknown = Vec::new();
        let modules = std::iter::once(self.validation)
            .chain(self.hooks.iter().map(|hook| hook.module))
            .filter(|module| module.kind.is_none());
        for module in modules {
            if !unknown.contains(&module.address) {
                unknown.push(module.address);
            }
        }
        unknown
    }
}
