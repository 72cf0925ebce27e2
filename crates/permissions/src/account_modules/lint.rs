//! Warnings about a key that was created by the account's own client.

use super::{
    AccountForm, AccountKey, AccountModule, AllowlistSettings, AllowlistTarget,
    EXECUTE_WITH_RUNTIME_VALIDATION, Hook, LAST_SECOND, ROOT_FUNCTIONS, Settings,
};
use crate::{
    ERC20_APPROVE, ERC20_TRANSFER,
    lint::{Severity, lint_codes},
    words::{Lookup, Shown, UnixTime},
};
use alloy_primitives::{Address, Selector, hex};
use serde::{Deserialize, Serialize};
use session_key_bindings::ENTRY_POINT_V07;

lint_codes! {
    KeyLintCode;
    RootByGlobal = "key_is_global", Error,
        "The key is a global validation: it may do everything the owner may.",
        "Uninstall it, and install it for execute and executeBatch only.";
    RootFunction = "key_has_root_function", Error,
        "The key may call a function that takes over the account.",
        "Uninstall it, and install it for execute and executeBatch only.";
    RootByRuntime = "key_has_runtime_validation", Error,
        "On an EIP-7702 account, executeWithRuntimeValidation gives the key the owner's rights.",
        "Uninstall it, and install it for execute and executeBatch only.";
    RootBySignature = "key_signs_as_owner", Error,
        "With this version of the EIP-7702 delegate, a key that signs for the account has the owner's rights.",
        "Uninstall it, and install it with flags 0x01, or delegate to version 1.1.0.";
    Signs = "key_signs", Error,
        "The key signs for the account (ERC-1271), unchecked by any hook: permits and orders can take every token.",
        "Uninstall it, and install it with flags 0x01.";
    SignerIsAccount = "key_signer_is_account", Error,
        "The account itself is the signer.",
        "Uninstall it, and install it with a separate signer.";
    UnknownModule = "key_module_unknown", Warning,
        "The module's code is unknown, and so is what it allows.",
        "Identify the module, or uninstall the key.";
    UnknownAccount = "key_account_unknown", Warning,
        "The account's code is unknown: it may not run the key's hooks as Modular Account v2 does.",
        "Identify the account's implementation.";
    EarlierAllowlist = "allowlist_2_0_0", Error,
        "This version of AllowlistModule (2.0.0) accepts every call in an operation that starts with executeUserOp.",
        "Uninstall the key, and install it with AllowlistModule 2.0.1.";
    NoAllowlist = "key_without_allowlist", Error,
        "The key has no allowlist hook: it may call everything.",
        "Install an allowlist hook with the contracts and functions the key needs.";
    ModuleReachable = "key_reaches_its_modules", Error,
        "The key may call a module that stores its settings, and can change them.",
        "Remove the module from the allowlist, and the function from those allowed on every contract.";
    EntryPointReachable = "key_reaches_entry_point", Error,
        "The key may withdraw the account's deposit from the EntryPoint.",
        "Remove the EntryPoint from the allowlist, and withdrawTo from the functions allowed on every contract.";
    ValueToAnyone = "plain_value_to_anyone", Error,
        "Calls without call data are allowed to every address: the key may send the native token to anyone.",
        "Remove the selector 0x00000000 from those allowed on every contract.";
    TokensOfAll = "token_functions_on_every_contract", Error,
        "A token function is allowed on every contract: the key may take every token without a limit.",
        "Allow the token's functions on that token only.";
    AnyTarget = "functions_on_every_contract", Warning,
        "A function is allowed on every contract, including ones deployed later.",
        "Allow the function only on the contracts the key needs.";
    AllFunctions = "key_all_functions", Warning,
        "All functions of the contract are allowed, including those that an upgrade adds.",
        "List the functions the key needs.";
    TokenWithoutLimit = "key_token_without_limit", Warning,
        "The key may move any amount of the token.",
        "Install an execution hook of AllowlistModule with a limit on the token.";
    LimitWithoutHook = "token_limit_without_hook", Error,
        "The token's limit has no effect: the key has no execution hook with its entity id.",
        "Install AllowlistModule's execution hook with the limit's entity id.";
    NativeUnbounded = "key_native_unbounded", Warning,
        "The key may send any amount of the native token.",
        "Install an execution hook of NativeTokenLimitModule.";
    GasUnbounded = "key_gas_unbounded", Error,
        "Anyone who has the key can burn all of the account's native token as gas.",
        "Install a validation hook of NativeTokenLimitModule or PaymasterGuardModule.";
    UncheckedFunction = "key_has_unchecked_function", Warning,
        "The key may use a function of the account that no allowlist checks.",
        "Uninstall the key, and install it for execute and executeBatch only.";
    NoTimeRange = "time_range_not_set", Warning,
        "The key's time range hook has no settings, and sets no bounds.",
        "Set a time range for the hook's entity id.";
    NeverOver = "key_never_over", Note,
        "The key never expires.",
        "Install a TimeRangeModule hook with an end.";
    Over = "key_over", Note,
        "The key has expired, and is still installed.",
        "Uninstall it.";
    Useless = "key_hook_refuses_all", Warning,
        "A hook refuses every operation.",
        "Uninstall the key, and install it without that hook, or with settings for it.";
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeyWarning {
    /// The kind of warning.
    pub code: KeyLintCode,
    /// The contract it is about: a target, a token, a module.
    pub contract: Option<Address>,
    /// The function it is about.
    pub selector: Option<Selector>,
    /// Its figures, such as a time; `None` if there are none.
    pub detail: Option<String>,
}

impl KeyWarning {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// The warning in words: what it is about, the meaning, the suggestion.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        let names = Shown(names);
        let contract = self.contract.map(|contract| names.contract(contract));
        let function = self
            .selector
            .map(|selector| names.function(self.contract.unwrap_or_default(), selector));
        let about = match (function, contract) {
            (Some(function), Some(contract)) => format!("{function} of {contract}: "),
            (Some(about), None) | (None, Some(about)) => format!("{about}: "),
            (None, None) => String::new(),
        };
        let detail = self
            .detail
            .as_ref()
            .map(|detail| format!(" ({detail})"))
            .unwrap_or_default();
        format!(
            "{about}{}{detail} {}",
            self.code.message(),
            self.code.suggestion()
        )
    }
}

/// `withdrawTo(address,uint256)` and `withdrawStake(address)` of the EntryPoint.
const WITHDRAWALS: [Selector; 2] = [Selector::new(hex!("205c2878")), Selector::new(hex!("c23a5cea"))];

/// Functions of the modules by which an account changes what they store.
const SETTERS: [(AccountModule, Selector); 19] = [
    // transferSigner
    (
        AccountModule::SingleSignerValidation,
        Selector::new(hex!("4aeb3b03")),
    ),
    // updateAllowlist, updateLimits, setAddressAllowlist, setSelectorAllowlist, deleteAllowlist
    (AccountModule::Allowlist, Selector::new(hex!("798053f1"))),
    (AccountModule::Allowlist, Selector::new(hex!("4380c278"))),
    (AccountModule::Allowlist, Selector::new(hex!("77a04242"))),
    (AccountModule::Allowlist, Selector::new(hex!("e1ded0b0"))),
    (AccountModule::Allowlist, Selector::new(hex!("c67151f6"))),
    // updateLimits, updateSpecialPaymaster
    (AccountModule::NativeTokenLimit, Selector::new(hex!("71280be3"))),
    (AccountModule::NativeTokenLimit, Selector::new(hex!("5c6e5169"))),
    // setTimeRange
    (AccountModule::TimeRange, Selector::new(hex!("e762c77c"))),
    // onInstall, onUninstall
    (AccountModule::SingleSignerValidation, ON_INSTALL),
    (AccountModule::Allowlist, ON_INSTALL),
    (AccountModule::NativeTokenLimit, ON_INSTALL),
    (AccountModule::TimeRange, ON_INSTALL),
    (AccountModule::PaymasterGuard, ON_INSTALL),
    (AccountModule::SingleSignerValidation, ON_UNINSTALL),
    (AccountModule::Allowlist, ON_UNINSTALL),
    (AccountModule::NativeTokenLimit, ON_UNINSTALL),
    (AccountModule::TimeRange, ON_UNINSTALL),
    (AccountModule::PaymasterGuard, ON_UNINSTALL),
];
const ON_INSTALL: Selector = Selector::new(hex!("6d61fe70"));
const ON_UNINSTALL: Selector = Selector::new(hex!("8a91b0e3"));

impl AccountKey {
    /// Warnings about the key, those of one code together, the codes in the order of [`KeyLintCode::ALL`].
    /// With the current time (unix seconds), also whether it has expired. Of settings that were not read
    /// completely, nothing is concluded from what is not there.
    #[must_use]
    pub fn lint(&self, now: Option<u64>) -> Vec<KeyWarning> {
        let mut found = Found::default();
        self.lint_power(&mut found);
        if self.may_execute() {
            self.lint_calls(&mut found);
        }
        self.lint_budgets(&mut found);
        self.lint_time(now, &mut found);
        let mut warnings = found.0;
        warnings.sort();
        warnings.dedup();
        warnings
    }

    fn lint_power(&self, found: &mut Found) {
        if self.form == AccountForm::Unknown {
            found.add(KeyLintCode::UnknownAccount);
        }
        for module in self.unknown_modules() {
            found.about(KeyLintCode::UnknownModule, module);
        }
        if self.signer == Some(self.account) {
            found.add(KeyLintCode::SignerIsAccount);
        }
        if self.has_flag(Self::SIGNATURES) {
            found.add(match self.form {
                AccountForm::EarlierDelegated => KeyLintCode::RootBySignature,
                _ => KeyLintCode::Signs,
            });
        }
        if self.has_flag(Self::GLOBAL) {
            found.add(KeyLintCode::RootByGlobal);
        }
        for selector in &self.selectors {
            let code = match *selector {
                super::EXECUTE | super::EXECUTE_BATCH => continue,
                EXECUTE_WITH_RUNTIME_VALIDATION if self.form.is_delegated() => KeyLintCode::RootByRuntime,
                selector if ROOT_FUNCTIONS.iter().any(|(root, _)| *root == selector) => {
                    KeyLintCode::RootFunction
                }
                _ => KeyLintCode::UncheckedFunction,
            };
            found.add_of(code, None, Some(*selector));
        }
    }

    fn lint_calls(&self, found: &mut Found) {
        let mut allowlists = self.allowlists().peekable();
        if allowlists.peek().is_none() {
            // One that is not known may be one.
            let is_certain = self.validation_hooks().all(|hook| hook.module.kind.is_some());
            if is_certain {
                found.add(KeyLintCode::NoAllowlist);
            }
            return;
        }
        // Each of them has to agree.
        let lists: Vec<&AllowlistSettings> = self.allowlists().map(|(_, settings)| settings).collect();
        for (hook, settings) in allowlists {
            if hook.module.kind == Some(AccountModule::EarlierAllowlist) {
                found.about(KeyLintCode::EarlierAllowlist, hook.module.address);
            }
            for (target, entry) in settings.targets.iter().filter(|(_, entry)| entry.allowed) {
                self.lint_target(*target, entry, found);
            }
            for (selector, _) in settings.any_target.iter().filter(|(_, is_listed)| **is_listed) {
                let code = if selector.is_zero() {
                    KeyLintCode::ValueToAnyone
                } else if is_of_token(*selector) {
                    KeyLintCode::TokensOfAll
                } else {
                    KeyLintCode::AnyTarget
                };
                found.add_of(code, None, Some(*selector));
            }
            self.lint_limits_without_hook(hook, settings, found);
        }
        let allow =
            |target: Address, selector: Selector| lists.iter().all(|list| may_call(list, target, selector));
        if WITHDRAWALS
            .iter()
            .any(|selector| allow(ENTRY_POINT_V07, *selector))
        {
            found.about(KeyLintCode::EntryPointReachable, ENTRY_POINT_V07);
        }
        let own = std::iter::once(&self.validation).chain(self.hooks.iter().map(|hook| &hook.module));
        for module in own {
            let setters = SETTERS.iter().filter(|(kind, _)| match module.kind {
                Some(AccountModule::EarlierAllowlist) => *kind == AccountModule::Allowlist,
                of => of == Some(*kind),
            });
            if setters
                .into_iter()
                .any(|(_, setter)| allow(module.address, *setter))
            {
                found.about(KeyLintCode::ModuleReachable, module.address);
            }
        }
    }

    fn lint_target(&self, target: Address, entry: &AllowlistTarget, found: &mut Found) {
        if !entry.has_selector_list {
            let is_limited = self.has_token_limit(target);
            if !is_limited {
                found.about(KeyLintCode::AllFunctions, target);
            }
        } else if !self.has_token_limit(target)
            && entry
                .functions
                .iter()
                .any(|(function, is_listed)| *is_listed && is_of_token(*function))
        {
            found.about(KeyLintCode::TokenWithoutLimit, target);
        }
    }

    fn has_token_limit(&self, token: Address) -> bool {
        self.token_limits()
            .any(|(_, settings)| settings.targets.get(&token).is_some_and(|entry| entry.has_limit))
    }

    fn lint_limits_without_hook(&self, hook: &Hook, settings: &AllowlistSettings, found: &mut Found) {
        let is_hooked = self.token_limits().any(|(limit, _)| {
            (limit.module.address, limit.entity_id) == (hook.module.address, hook.entity_id)
        });
        if is_hooked {
            return;
        }
        for (token, _) in settings.targets.iter().filter(|(_, entry)| entry.has_limit) {
            if !self.has_token_limit(*token) {
                found.about(KeyLintCode::LimitWithoutHook, *token);
            }
        }
    }

    fn lint_budgets(&self, found: &mut Found) {
        let has = |kind: AccountModule| self.validation_hooks().any(|hook| hook.module.kind == Some(kind));
        let is_certain = self.hooks.iter().all(|hook| hook.module.kind.is_some());
        let is_for_operations = self.has_flag(Self::USER_OPERATIONS);
        if is_certain && is_for_operations {
            if !has(AccountModule::NativeTokenLimit) && !has(AccountModule::PaymasterGuard) {
                found.add(KeyLintCode::GasUnbounded);
            }
            if self.native_limits(false).next().is_none() && self.may_execute() {
                found.add(KeyLintCode::NativeUnbounded);
            }
        }
        for hook in &self.hooks {
            let is_useless = match (hook.module.kind, self.settings_of(hook)) {
                (None, _) => false,
                (_, Some(Settings::PaymasterGuard { paymaster })) if hook.is_validation() => {
                    paymaster.is_zero()
                }
                (Some(AccountModule::SingleSignerValidation), _) => true,
                (Some(AccountModule::TimeRange | AccountModule::PaymasterGuard), _) => !hook.is_validation(),
                _ => !hook.is_validation() && hook.flags & Hook::POST != 0,
            };
            if is_useless {
                found.about(KeyLintCode::Useless, hook.module.address);
            }
        }
    }

    fn lint_time(&self, now: Option<u64>, found: &mut Found) {
        for hook in self.validation_hooks() {
            if let Some(Settings::TimeRange {
                valid_after: 0,
                valid_until: 0,
            }) = self.settings_of(hook)
            {
                found.about(KeyLintCode::NoTimeRange, hook.module.address);
            }
        }
        let is_certain = self.validation_hooks().all(|hook| hook.module.kind.is_some());
        let (_, until) = self.time_range();
        if until == LAST_SECOND {
            if is_certain {
                found.add(KeyLintCode::NeverOver);
            }
        } else if now.is_some_and(|now| now > until) {
            found.0.push(KeyWarning {
                detail: Some(UnixTime(until).to_string()),
                ..warning(KeyLintCode::Over)
            });
        }
    }
}

/// Whether a list allows some call of a function.
fn may_call(settings: &AllowlistSettings, target: Address, selector: Selector) -> bool {
    let is_listed = |functions: &std::collections::BTreeMap<Selector, bool>| {
        functions.get(&selector).copied().unwrap_or_default()
    };
    match settings.targets.get(&target).filter(|entry| entry.allowed) {
        Some(entry) => !entry.has_selector_list || is_listed(&entry.functions),
        None => is_listed(&settings.any_target),
    }
}

/// Functions that move tokens, or let others move them.
fn is_of_token(selector: Selector) -> bool {
    const OTHERS: [Selector; 4] = [
        // transferFrom, increaseAllowance, setApprovalForAll, safeTransferFrom
        Selector::new(hex!("23b872dd")),
        Selector::new(hex!("39509351")),
        Selector::new(hex!("a22cb465")),
        Selector::new(hex!("42842e0e")),
    ];
    selector == ERC20_TRANSFER || selector == ERC20_APPROVE || OTHERS.contains(&selector)
}

const fn warning(code: KeyLintCode) -> KeyWarning {
    KeyWarning {
        code,
        contract: None,
        selector: None,
        detail: None,
    }
}

#[derive(Default)]
struct Found(Vec<KeyWarning>);

impl Found {
    fn add(&mut self, code: KeyLintCode) {
        self.0.push(warning(code));
    }

    fn about(&mut self, code: KeyLintCode, contract: Address) {
        self.add_of(code, Some(contract), None);
    }

    fn add_of(&mut self, code: KeyLintCode, contract: Option<Address>, selector: Option<Selector>) {
        self.0.push(KeyWarning {
            contract,
            selector,
            ..warning(code)
        });
    }
}
