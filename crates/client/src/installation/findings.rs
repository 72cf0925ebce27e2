//! Judges an installation: a pure function of the data read.

use super::{AccountCode, FunctionState, Installation, ValidationState, known::is_known_delegate};
use crate::{
    abi::{Account, AccountV08, Plugin},
    v08::{DIRECT_CALL_ENTITY_ID, FALLBACK_VALIDATION, ModuleEntity, ValidationFlags, known},
};
use alloy::{
    primitives::{Address, Selector},
    sol_types::SolCall,
};
use session_key_bindings::ENTRY_POINT_V07;
use std::fmt;

const USE: Selector = Selector::new(Plugin::executeWithSessionKeyCall::SELECTOR);
pub(super) const EXECUTE: Selector = Selector::new(Account::executeCall::SELECTOR);
pub(super) const BATCH: Selector = Selector::new(Account::executeBatchCall::SELECTOR);
const RUNTIME: Selector = Selector::new(AccountV08::executeWithRuntimeValidationCall::SELECTOR);

/// The module's functions, in the order of its manifest.
pub(super) const FUNCTIONS: [Selector; 5] = [
    USE,
    Selector::new(Plugin::addSessionKeyCall::SELECTOR),
    Selector::new(Plugin::removeSessionKeyCall::SELECTOR),
    Selector::new(Plugin::rotateSessionKeyCall::SELECTOR),
    Selector::new(Plugin::updateKeyPermissionsCall::SELECTOR),
];

/// What a finding means for granting session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing: keys work, and nothing exceeds their permissions.
    Notice,
    /// Not everything could be checked: something may exceed the keys' permissions. Grant no key.
    Unknown,
    /// Session keys, or their management, do not work.
    Incomplete,
    /// Something may exceed the keys' permissions. Grant no key.
    Unsafe,
}

/// Defines the kinds of findings from `Kind = "code", Severity, "description", "advice"`.
macro_rules! kinds {
    ($($kind:ident = $code:literal, $severity:ident, $text:literal, $advice:literal;)*) => {
        /// A possible problem of an installation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FindingKind {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")] $kind,)*
        }

        impl FindingKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns a stable name: letters and dashes.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)*
                }
            }

            /// Returns what it means for session keys.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$kind => Severity::$severity,)*
                }
            }

            /// Returns a description.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }

            /// Returns what the owner can do about it.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$kind => $advice,)*
                }
            }
        }
    };
}

kinds! {
    NotInstalled = "not-installed", Incomplete,
        "nothing of the session key module is installed",
        "install its functions, its validation of operations and its direct-call validation in one batch";
    OtherEntryPoint = "other-entry-point", Incomplete,
        "the account trusts another EntryPoint than v0.7",
        "the module serves EntryPoint v0.7 alone";
    FunctionMissing = "function-missing", Incomplete,
        "a function of the module is not installed",
        "uninstall what is installed of its functions by the manifest that it was installed with (data 0x01 ends all keys, empty data leaves them stored), then install the module's manifest";
    FunctionOfAnotherModule = "function-of-another-module", Unsafe,
        "a function of the module belongs to another module, and runs by its rules",
        "replace it in one batch, including its validation: uninstall the other module, then install this one";
    FunctionWithoutValidation = "function-without-validation", Unsafe,
        "anyone may call a function without validation: the account is open",
        "uninstall the validation of operations, then the module's functions with data 0x01, which removes all keys: anyone may have added some";
    UseIsGlobal = "use-is-global", Unsafe,
        "every global validation may run any key's permissions, without the key's signature",
        "uninstall the module's functions by the manifest that they were installed with (data 0x01 ends all keys, empty data leaves them stored), then install the module's own manifest";
    ManagementIsNotGlobal = "management-is-not-global", Incomplete,
        "the owner's global validation does not apply to a function that manages keys",
        "uninstall the module's functions by the manifest that they were installed with (data 0x01 ends all keys, empty data leaves them stored), then install the module's own manifest";
    OtherFunctionWithoutValidation = "other-function-without-validation", Unsafe,
        "anyone may call a function of another module without validation",
        "uninstall that function, unless it is meant for everyone and its module cannot make the account call";
    FunctionHasHooks = "function-has-hooks", Unsafe,
        "hooks of a module run around a function that keys' calls pass through",
        "find out what the hook does with keys' calls, or uninstall the functions that added it";
    ValidationMissing = "validation-missing", Incomplete,
        "no validation of the module is installed for keys' operations",
        "install the module's validation: flags 0x01, executeWithSessionKey alone, no hooks, empty data";
    ValidationIsGlobal = "validation-is-global", Unsafe,
        "the module's validation is global",
        "uninstall it with empty data and install it with flags 0x01";
    ValidationSigns = "validation-signs", Unsafe,
        "the module's validation may sign for the account",
        "uninstall it with empty data and install it with flags 0x01";
    ValidationIsNotForOperations = "validation-is-not-for-operations", Incomplete,
        "the module's validation does not apply to user operations",
        "uninstall it with empty data and install it with flags 0x01";
    ValidationHasUnknownFlags = "validation-has-unknown-flags", Unsafe,
        "the module's validation has flags that ERC-6900 v0.8 does not define",
        "uninstall it with empty data and install it with flags 0x01";
    ValidationLacksFunction = "validation-lacks-function", Incomplete,
        "the module's validation does not apply to executeWithSessionKey",
        "uninstall it with empty data and install it for executeWithSessionKey";
    ValidationHasOtherFunctions = "validation-has-other-functions", Unsafe,
        "the module's validation applies to functions other than executeWithSessionKey",
        "uninstall it with empty data and install it for executeWithSessionKey only";
    ValidationHasHooks = "validation-has-hooks", Unsafe,
        "validation hooks of another module run before keys' operations are validated",
        "uninstall the validation, with its hooks, and install it without";
    ValidationHasExecutionHooks = "validation-has-execution-hooks", Incomplete,
        "an execution hook on the module's validation stops all keys",
        "uninstall the validation, with its hooks, and install it without";
    SeveralValidations = "several-validations", Notice,
        "the module has several validations: each one serves every key",
        "uninstall all but one with empty data: any other data ends all keys";
    ModuleUncertain = "module-uncertain", Unsafe,
        "the account does not show whose validation the entity is",
        "find out whose it is; the module's own validation can be uninstalled and installed under another entity id";
    DirectCallMissing = "direct-call-missing", Incomplete,
        "the module may not make the account call: keys' operations fail in execution",
        "install the module's direct-call validation: entity 0xffffffff, flags 0, execute and executeBatch, no hooks, empty data";
    DirectCallHasFlags = "direct-call-has-flags", Unsafe,
        "the module's direct-call validation has flags",
        "uninstall it with empty data and install it with flags 0";
    DirectCallLacksFunction = "direct-call-lacks-function", Incomplete,
        "the module's direct-call validation does not apply to execute, or not to executeBatch",
        "uninstall it with empty data and install it for both";
    DirectCallHasOtherFunctions = "direct-call-has-other-functions", Unsafe,
        "the module's direct-call validation applies to functions other than execute and executeBatch",
        "uninstall it with empty data and install it for these two";
    DirectCallHasHooks = "direct-call-has-hooks", Unsafe,
        "hooks of another module run for the module's calls",
        "uninstall it, with its hooks, and install it without";
    ValidationOfAnotherVersion = "validation-of-another-version", Unsafe,
        "a validation of another version of the module remains: it validates by that version's rules",
        "uninstall that validation";
    OtherValidationUsesKeys = "other-validation-uses-keys", Unsafe,
        "another module's validation applies to executeWithSessionKey: it can use any key's permissions without the key's signature, gas budget or paymaster",
        "uninstall that validation, or install it without executeWithSessionKey";
    OtherValidationManagesKeys = "other-validation-manages-keys", Unsafe,
        "another module's validation applies to a function that manages keys, without being global",
        "uninstall that validation unless it is the owner's";
    SignerIsOwner = "signer-is-owner", Unsafe,
        "on this version of the delegate, a validation that signs for the account can act as its owner",
        "uninstall that validation, or delegate to a later version";
    RuntimeCallerIsOwner = "runtime-caller-is-owner", Unsafe,
        "on an account that delegates, a validation that applies to executeWithRuntimeValidation can act as its owner",
        "uninstall that validation";
    KeysLeft = "keys-left", Unsafe,
        "keys remain although they do not work: a remaining operation validation lets them burn the deposit, and an installation without data revives them",
        "install the module with data, which ends all keys, or remove the keys";
    KeysUnknown = "keys-unknown", Unknown,
        "the module does not return the account's keys",
        "ask another node";
    ValidationsUnknown = "validations-unknown", Unknown,
        "not everything installed on the account is known, and the rest was not checked",
        "ask a node that returns the account's logs of the whole chain; if only the module's own validation is not found, name its entity id";
    TooManyValidations = "too-many-validations", Unknown,
        "more than 256 validations or functions were installed on the account: not all were checked",
        "check the rest by hand: getValidationData and getExecutionData of what the account's events name";
}

/// A problem of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of finding.
    pub kind: FindingKind,
    /// The function, validation or hook it is about; empty if there is only one.
    pub about: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())?;
        if self.about.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.about)
        }
    }
}

impl Installation {
    /// Returns the entity id of the module's validation of operations: the lowest, if there are several.
    #[must_use]
    pub fn entity_id(&self) -> Option<u32> {
        self.own_validations()
            .next()
            .map(|validation| validation.entity_id)
    }

    /// Whether keys can be granted: nothing is missing, and nothing is unsafe.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings()
            .iter()
            .all(|finding| finding.kind.severity() == Severity::Notice)
    }

    /// Returns all findings, in a fixed order.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        if self.entry_point != ENTRY_POINT_V07 {
            found.add(FindingKind::OtherEntryPoint, self.entry_point);
        }
        let has_functions = self
            .functions
            .iter()
            .any(|function| FUNCTIONS.contains(&function.selector) && !function.module.is_zero());
        let own = self.own_validations().count();
        let direct = self.direct_call();
        if has_functions || own > 0 || direct.is_some() {
            self.judge_functions(&mut found);
            if own == 0 {
                let about = if self.may_have_own() {
                    "or its entity id is not known"
                } else {
                    ""
                };
                found.add(FindingKind::ValidationMissing, about);
            }
            if own > 1 {
                let ids: Vec<_> = self
                    .own_validations()
                    .map(|validation| entity(validation.entity_id))
                    .collect();
                found.add(FindingKind::SeveralValidations, ids.join(", "));
            }
            for validation in self.own_validations() {
                judge_validation(validation, &mut found);
            }
            match direct {
                None => found.add(FindingKind::DirectCallMissing, ""),
                Some(direct) => judge_direct_call(direct, &mut found),
            }
        } else {
            found.add(FindingKind::NotInstalled, "");
        }
        self.judge_others(&mut found);
        match self.session_keys {
            Some(0) => {}
            Some(keys) if !self.may_keys_work() => found.add(FindingKind::KeysLeft, keys),
            Some(_) => {}
            None => found.add(FindingKind::KeysUnknown, ""),
        }
        if let [first, more @ ..] = &self.missing_blocks[..] {
            let mut about = format!("blocks {} to {}: {}", first.from, first.to, first.reason);
            if !more.is_empty() {
                about.push_str(&format!("; and {} more", more.len()));
            }
            found.add(FindingKind::ValidationsUnknown, about);
        } else if !self.has_all_validations && self.entries_left_out == 0 {
            found.add(FindingKind::ValidationsUnknown, "");
        }
        if self.entries_left_out > 0 {
            let about = format!("{} of them", self.entries_left_out);
            found.add(FindingKind::TooManyValidations, about);
        }
        found.0
    }

    /// Whether the module may have a validation that was not found.
    fn may_have_own(&self) -> bool {
        !self.has_all_validations || self.validations.iter().any(is_nobodys)
    }

    /// Whether keys' operations are validated and executed, as far as known.
    fn may_keys_work(&self) -> bool {
        let has_function = self
            .functions
            .iter()
            .any(|function| function.selector == USE && function.module == self.module);
        let may_call = self.direct_call().is_some_and(|direct| {
            [EXECUTE, BATCH]
                .iter()
                .all(|selector| direct.selectors.contains(selector))
        });
        let mut own = self.own_validations().peekable();
        let is_validated = if own.peek().is_none() {
            self.may_have_own()
        } else {
            own.any(|validation| {
                validation.flags.contains(ValidationFlags::USER_OPERATIONS)
                    && validation.selectors.contains(&USE)
                    && validation.execution_hooks.is_empty()
            })
        };
        has_function && may_call && is_validated
    }

    fn own_validations(&self) -> impl Iterator<Item = &ValidationState> {
        self.validations.iter().filter(|validation| {
            validation.module == self.module && validation.entity_id != DIRECT_CALL_ENTITY_ID
        })
    }

    fn direct_call(&self) -> Option<&ValidationState> {
        self.validations.iter().find(|validation| {
            validation.module == self.module && validation.entity_id == DIRECT_CALL_ENTITY_ID
        })
    }

    fn judge_functions(&self, found: &mut Findings) {
        for function in &self.functions {
            self.judge_function(function, found);
        }
    }

    fn judge_function(&self, function: &FunctionState, found: &mut Findings) {
        let name = function_name(function.selector);
        if FUNCTIONS.contains(&function.selector) {
            if function.module.is_zero() {
                found.add(FindingKind::FunctionMissing, name.clone());
            } else {
                if function.module != self.module {
                    let about = format!("{name}: {}", function.module);
                    found.add(FindingKind::FunctionOfAnotherModule, about);
                }
                if function.skips_runtime_validation {
                    found.add(FindingKind::FunctionWithoutValidation, name.clone());
                }
                if function.selector == USE && function.allows_global_validation {
                    found.add(FindingKind::UseIsGlobal, "");
                }
                if function.selector != USE && !function.allows_global_validation {
                    found.add(FindingKind::ManagementIsNotGlobal, name.clone());
                }
            }
        } else if [EXECUTE, BATCH].contains(&function.selector) {
            if function.skips_runtime_validation {
                found.add(FindingKind::FunctionWithoutValidation, name.clone());
            }
        } else {
            // Keys' calls do not pass through it.
            if function.skips_runtime_validation {
                let about = format!("{name}: {}", function.module);
                found.add(FindingKind::OtherFunctionWithoutValidation, about);
            }
            return;
        }
        for hook in &function.hooks {
            found.add(FindingKind::FunctionHasHooks, format!("{name}: {hook}"));
        }
    }

    /// Checks other modules' validations that reach keys, and those that can act as the owner.
    fn judge_others(&self, found: &mut Findings) {
        let delegate = match self.code {
            AccountCode::Delegation(delegate) => Some(delegate),
            _ => None,
        };
        for validation in &self.validations {
            let name = validation_name(validation);
            if is_nobodys(validation) {
                found.add(FindingKind::ModuleUncertain, entity(validation.entity_id));
            }
            // The owner may act as the owner.
            let is_owners = is_owners(validation);
            if delegate == Some(known::SEMI_MODULAR_ACCOUNT_7702)
                && !is_owners
                && validation.flags.contains(ValidationFlags::SIGNATURES)
            {
                found.add(FindingKind::SignerIsOwner, name.clone());
            }
            if delegate.is_some_and(is_known_delegate)
                && !is_owners
                && validation.selectors.contains(&RUNTIME)
            {
                found.add(FindingKind::RuntimeCallerIsOwner, name.clone());
            }
            if validation.module == self.module || is_nobodys(validation) {
                continue;
            }
            if validation.is_session_key_module {
                found.add(FindingKind::ValidationOfAnotherVersion, name);
            } else if validation.selectors.contains(&USE) {
                found.add(FindingKind::OtherValidationUsesKeys, name);
            } else if !is_owners
                && validation
                    .selectors
                    .iter()
                    .any(|selector| FUNCTIONS.contains(selector))
            {
                found.add(FindingKind::OtherValidationManagesKeys, name);
            }
        }
    }
}

/// Whether neither the account nor an event shows whose validation it is.
fn is_nobodys(validation: &ValidationState) -> bool {
    validation.module.is_zero() && !validation.is_module_certain
}

/// Whether a validation can do everything: a global one, or a built-in owner's.
fn is_owners(validation: &ValidationState) -> bool {
    let is_fallback = validation.is_module_certain
        && ModuleEntity::new(validation.module, validation.entity_id) == FALLBACK_VALIDATION;
    is_fallback || validation.flags.contains(ValidationFlags::GLOBAL)
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, kind: FindingKind, about: impl fmt::Display) {
        let about = about.to_string();
        self.0.push(Finding { kind, about });
    }
}

fn judge_validation(validation: &ValidationState, found: &mut Findings) {
    let name = entity(validation.entity_id);
    let flags = validation.flags;
    let mut add = |kind| found.add(kind, name.clone());
    if !validation.is_module_certain {
        add(FindingKind::ModuleUncertain);
    }
    if flags.contains(ValidationFlags::GLOBAL) {
        add(FindingKind::ValidationIsGlobal);
    }
    if flags.contains(ValidationFlags::SIGNATURES) {
        add(FindingKind::ValidationSigns);
    }
    if !flags.contains(ValidationFlags::USER_OPERATIONS) {
        add(FindingKind::ValidationIsNotForOperations);
    }
    if flags.has_unknown() {
        add(FindingKind::ValidationHasUnknownFlags);
    }
    if !validation.selectors.contains(&USE) {
        add(FindingKind::ValidationLacksFunction);
    }
    for selector in validation.selectors.iter().filter(|selector| **selector != USE) {
        found.add(
            FindingKind::ValidationHasOtherFunctions,
            format!("{name}: {}", function_name(*selector)),
        );
    }
    for hook in &validation.validation_hooks {
        found.add(FindingKind::ValidationHasHooks, format!("{name}: {hook}"));
    }
    for hook in &validation.execution_hooks {
        found.add(
            FindingKind::ValidationHasExecutionHooks,
            format!("{name}: {hook}"),
        );
    }
}

fn judge_direct_call(direct: &ValidationState, found: &mut Findings) {
    if direct.flags != ValidationFlags::NONE {
        found.add(
            FindingKind::DirectCallHasFlags,
            format!("{:#04x}", direct.flags.0),
        );
    }
    for selector in [EXECUTE, BATCH] {
        if !direct.selectors.contains(&selector) {
            found.add(FindingKind::DirectCallLacksFunction, function_name(selector));
        }
    }
    for selector in &direct.selectors {
        if ![EXECUTE, BATCH].contains(selector) {
            found.add(FindingKind::DirectCallHasOtherFunctions, function_name(*selector));
        }
    }
    for hook in direct.validation_hooks.iter().chain(&direct.execution_hooks) {
        found.add(FindingKind::DirectCallHasHooks, hook);
    }
}

fn entity(entity_id: u32) -> String {
    format!("entity {entity_id:#010x}")
}

fn validation_name(validation: &ValidationState) -> String {
    let ValidationState {
        module, entity_id, ..
    } = validation;
    let module: &Address = module;
    if *entity_id == DIRECT_CALL_ENTITY_ID {
        format!("direct calls of {module}")
    } else {
        format!("{module}, {}", entity(*entity_id))
    }
}

fn function_name(selector: Selector) -> String {
    let names = [
        "executeWithSessionKey",
        "addSessionKey",
        "removeSessionKey",
        "rotateSessionKey",
        "updateKeyPermissions",
        "execute",
        "executeBatch",
        "executeWithRuntimeValidation",
    ];
    let selectors = FUNCTIONS.into_iter().chain([EXECUTE, BATCH, RUNTIME]);
    let named = selectors.zip(names).find(|(known, _)| *known == selector);
    named.map_or_else(|| selector.to_string(), |(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::{Head, MissingBlocks},
        v08::HookConfig,
    };
    use alloy::primitives::B256;
    use std::collections::BTreeSet;

    const MODULE: Address = Address::repeat_byte(0x11);
    const OTHER: Address = Address::repeat_byte(0x22);
    const ENTITY: u32 = 0x8000_0001;
    const HOOK: HookConfig = HookConfig {
        hook: ModuleEntity::new(OTHER, 7),
        flags: 4,
    };

    fn good() -> Installation {
        let account = Address::repeat_byte(0xaa);
        let own = FUNCTIONS.map(|selector| FunctionState {
            selector,
            module: MODULE,
            allows_global_validation: selector != USE,
            ..FunctionState::default()
        });
        let native = [EXECUTE, BATCH].map(|selector| FunctionState {
            selector,
            module: account,
            allows_global_validation: true,
            ..FunctionState::default()
        });
        Installation {
            block: Head {
                number: 100,
                hash: B256::ZERO,
                parent_hash: B256::ZERO,
                timestamp: 0,
                base_fee: None,
            },
            account,
            code: AccountCode::Own,
            account_id: "vendor.account.1.0.0".to_owned(),
            entry_point: ENTRY_POINT_V07,
            module: MODULE,
            functions: own.into_iter().chain(native).collect(),
            validations: vec![
                ValidationState {
                    module: MODULE,
                    entity_id: ENTITY,
                    flags: ValidationFlags::USER_OPERATIONS,
                    selectors: vec![USE],
                    is_module_certain: true,
                    is_session_key_module: true,
                    ..ValidationState::default()
                },
                ValidationState {
                    module: MODULE,
                    entity_id: DIRECT_CALL_ENTITY_ID,
                    selectors: vec![EXECUTE, BATCH],
                    is_module_certain: true,
                    is_session_key_module: true,
                    ..ValidationState::default()
                },
            ],
            has_all_validations: true,
            missing_blocks: Vec::new(),
            entries_left_out: 0,
            session_keys: Some(1),
        }
    }

    fn other(selectors: Vec<Selector>, flags: u8) -> ValidationState {
        ValidationState {
            module: OTHER,
            entity_id: 1,
            flags: ValidationFlags(flags),
            selectors,
            is_module_certain: true,
            ..ValidationState::default()
        }
    }

    type Change = fn(&mut Installation);

    /// Each finding, with a change that leads to it alone.
    const CHANGES: &[(&[FindingKind], Change)] = {
        use FindingKind as K;
        &[
            (&[], |_| {}),
            (&[K::NotInstalled], |it| {
                for function in &mut it.functions[..5] {
                    function.module = Address::ZERO;
                    function.allows_global_validation = false;
                }
                it.validations.clear();
                it.session_keys = Some(0);
            }),
            (&[K::NotInstalled, K::KeysLeft], |it| {
                for function in &mut it.functions[..5] {
                    function.module = Address::ZERO;
                }
                it.validations.clear();
            }),
            (&[K::OtherEntryPoint], |it| it.entry_point = OTHER),
            // Keys work without a function that manages them.
            (&[K::FunctionMissing], |it| it.functions[2].module = Address::ZERO),
            (&[K::FunctionMissing, K::KeysLeft], |it| {
                it.functions[0].module = Address::ZERO;
            }),
            (&[K::FunctionOfAnotherModule, K::KeysLeft], |it| {
                it.functions[0].module = OTHER;
            }),
            (&[K::FunctionOfAnotherModule], |it| it.functions[4].module = OTHER),
            (&[K::FunctionWithoutValidation], |it| {
                it.functions[3].skips_runtime_validation = true;
            }),
            (&[K::FunctionWithoutValidation], |it| {
                it.functions[5].skips_runtime_validation = true;
            }),
            (&[K::UseIsGlobal], |it| {
                it.functions[0].allows_global_validation = true;
            }),
            (&[K::ManagementIsNotGlobal], |it| {
                it.functions[1].allows_global_validation = false;
            }),
            (&[K::OtherFunctionWithoutValidation], |it| {
                it.functions.push(FunctionState {
                    selector: Selector::repeat_byte(0x77),
                    module: OTHER,
                    skips_runtime_validation: true,
                    hooks: vec![HOOK],
                    ..FunctionState::default()
                });
            }),
            (&[K::FunctionHasHooks], |it| it.functions[0].hooks.push(HOOK)),
            (&[K::FunctionHasHooks], |it| it.functions[6].hooks.push(HOOK)),
            (&[K::ValidationMissing, K::KeysLeft], |it| {
                it.validations.remove(0);
            }),
            (&[K::ValidationIsGlobal], |it| {
                it.validations[0].flags = ValidationFlags(5)
            }),
            (&[K::ValidationSigns], |it| {
                it.validations[0].flags = ValidationFlags(3)
            }),
            (&[K::ValidationIsNotForOperations, K::KeysLeft], |it| {
                it.validations[0].flags = ValidationFlags(0);
            }),
            (&[K::ValidationHasUnknownFlags], |it| {
                it.validations[0].flags = ValidationFlags(0x11);
            }),
            (
                &[
                    K::ValidationLacksFunction,
                    K::ValidationHasOtherFunctions,
                    K::KeysLeft,
                ],
                |it| it.validations[0].selectors = vec![EXECUTE],
            ),
            (&[K::ValidationHasOtherFunctions], |it| {
                it.validations[0].selectors.push(FUNCTIONS[1]);
            }),
            (&[K::ValidationHasHooks], |it| {
                it.validations[0].validation_hooks.push(HOOK);
            }),
            (&[K::ValidationHasExecutionHooks, K::KeysLeft], |it| {
                it.validations[0].execution_hooks.push(HOOK);
            }),
            (&[K::SeveralValidations], |it| {
                let second = ValidationState {
                    entity_id: 7,
                    ..it.validations[0].clone()
                };
                it.validations.push(second);
            }),
            (&[K::ModuleUncertain], |it| {
                it.validations[0].is_module_certain = false;
            }),
            (&[K::DirectCallMissing, K::KeysLeft], |it| {
                it.validations.remove(1);
            }),
            (&[K::DirectCallHasFlags], |it| {
                it.validations[1].flags = ValidationFlags(1)
            }),
            (&[K::DirectCallLacksFunction, K::KeysLeft], |it| {
                it.validations[1].selectors.pop();
            }),
            (&[K::DirectCallHasOtherFunctions], |it| {
                it.validations[1].selectors.push(FUNCTIONS[1]);
            }),
            (&[K::DirectCallHasHooks], |it| {
                it.validations[1].execution_hooks.push(HOOK);
            }),
            (&[K::DirectCallHasHooks], |it| {
                it.validations[1].validation_hooks.push(HOOK);
            }),
            (&[K::ValidationOfAnotherVersion], |it| {
                let mut old = other(vec![USE], 1);
                old.is_session_key_module = true;
                it.validations.push(old);
            }),
            (&[K::OtherValidationUsesKeys], |it| {
                it.validations.push(other(vec![EXECUTE, USE], 1));
            }),
            (&[K::OtherValidationManagesKeys], |it| {
                it.validations.push(other(vec![FUNCTIONS[4]], 1));
            }),
            // The owner, and another key limited by other means.
            (&[], |it| it.validations.push(other(vec![], 7))),
            (&[], |it| it.validations.push(other(vec![FUNCTIONS[1]], 7))),
            (&[], |it| it.validations.push(other(vec![EXECUTE, BATCH], 1))),
            (&[K::SignerIsOwner], |it| {
                it.code = AccountCode::Delegation(known::SEMI_MODULAR_ACCOUNT_7702);
                it.validations.push(other(vec![EXECUTE], 3));
            }),
            (&[], |it| {
                it.code = AccountCode::Delegation(known::SEMI_MODULAR_ACCOUNT_7702_V1_1);
                it.validations.push(other(vec![EXECUTE], 3));
            }),
            (&[K::RuntimeCallerIsOwner], |it| {
                it.code = AccountCode::Delegation(known::SEMI_MODULAR_ACCOUNT_7702_V1_1);
                it.validations.push(other(vec![RUNTIME], 1));
            }),
            (&[], |it| {
                it.code = AccountCode::Proxy(OTHER);
                it.validations.push(other(vec![RUNTIME], 3));
            }),
            // The owner's own validations.
            (&[], |it| {
                it.code = AccountCode::Delegation(known::SEMI_MODULAR_ACCOUNT_7702);
                it.validations
                    .push(other(vec![EXECUTE, RUNTIME, FUNCTIONS[1]], 7));
            }),
            (&[], |it| {
                it.code = AccountCode::Delegation(known::SEMI_MODULAR_ACCOUNT_7702);
                it.validations.push(ValidationState {
                    module: Address::ZERO,
                    entity_id: 0,
                    ..other(vec![RUNTIME, FUNCTIONS[1]], 3)
                });
            }),
            // A validation of an unknown module, which may be the session key module.
            (&[K::ValidationMissing, K::ModuleUncertain], |it| {
                it.validations[0].module = Address::ZERO;
                it.validations[0].is_module_certain = false;
                it.validations[0].is_session_key_module = false;
            }),
            (&[K::KeysUnknown], |it| it.session_keys = None),
            (&[K::NotInstalled, K::KeysUnknown], |it| {
                for function in &mut it.functions[..5] {
                    function.module = Address::ZERO;
                }
                it.validations.clear();
                it.session_keys = None;
            }),
            (&[K::ValidationsUnknown], |it| it.has_all_validations = false),
            (&[K::ValidationsUnknown], |it| {
                it.has_all_validations = false;
                it.missing_blocks.push(MissingBlocks {
                    from: 1,
                    to: 7,
                    reason: "pruned".to_owned(),
                });
            }),
            (&[K::ValidationMissing, K::ValidationsUnknown], |it| {
                it.has_all_validations = false;
                it.validations.remove(0);
            }),
            // Without the direct-call validation, no validation makes keys work.
            (
                &[
                    K::ValidationMissing,
                    K::DirectCallMissing,
                    K::KeysLeft,
                    K::ValidationsUnknown,
                ],
                |it| {
                    it.has_all_validations = false;
                    it.validations.clear();
                },
            ),
            (&[K::TooManyValidations], |it| {
                it.has_all_validations = false;
                it.entries_left_out = 3;
            }),
        ]
    };

    #[test]
    fn each_finding_has_its_own_cause() {
        for (position, (expected, change)) in CHANGES.iter().enumerate() {
            let mut installation = good();
            change(&mut installation);
            let found: Vec<_> = installation
                .findings()
                .into_iter()
                .map(|finding| finding.kind)
                .collect();
            assert_eq!(found, *expected, "change {position}");
            let is_good = expected
                .iter()
                .all(|kind| *kind == FindingKind::SeveralValidations);
            assert_eq!(installation.is_good(), is_good, "change {position}");
        }
        let tried: BTreeSet<_> = CHANGES.iter().flat_map(|(kinds, _)| *kinds).collect();
        assert_eq!(tried.len(), FindingKind::ALL.len());
    }

    #[test]
    fn codes_are_distinct_and_stable_names() {
        let codes: BTreeSet<_> = FindingKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), FindingKind::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        }
    }

    #[test]
    fn a_finding_names_what_it_is_about() {
        let mut installation = good();
        installation.validations[0].selectors.push(FUNCTIONS[1]);
        let [finding] = &installation.findings()[..] else {
            panic!("one finding");
        };
        assert_eq!(
            finding.to_string(),
            "the module's validation applies to functions other than executeWithSessionKey \
             (entity 0x80000001: addSessionKey)"
        );
        assert_eq!(installation.entity_id(), Some(ENTITY));
    }
}
