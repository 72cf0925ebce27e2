//! Sentences about a key, and about verdicts.

use super::{
    AccountKey, AccountModule, AllowlistSettings, EXECUTE, EXECUTE_BATCH, Hook, HookRule, KeyVerdict,
    LAST_SECOND, Left, LeftOf, PERFORM_CREATE, Refusal, Refuser, Settings,
};
use crate::{
    ERC20_APPROVE, ERC20_TRANSFER,
    model::Phase,
    words::{Lookup, Shown, UnixTime, Words, accepted, enumerated, first_letter_up},
};
use alloy_primitives::{Address, Selector, U256};
use std::collections::BTreeMap;

/// The names of the account's functions.
fn own_function(selector: Selector) -> Option<&'static str> {
    match selector {
        EXECUTE => Some("execute"),
        EXECUTE_BATCH => Some("executeBatch"),
        PERFORM_CREATE => Some("performCreate"),
        super::EXECUTE_USER_OP => Some("executeUserOp"),
        super::EXECUTE_WITH_RUNTIME_VALIDATION => Some("executeWithRuntimeValidation"),
        selector => {
            let mut known = super::ROOT_FUNCTIONS.iter();
            known.find(|(root, _)| *root == selector).map(|(_, name)| *name)
        }
    }
}

impl AccountKey {
    /// Describes what the key may do, a sentence each.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let names = Shown(names);
        let mut lines = vec![self.signer_in_words(&names)];
        lines.extend(self.calls_in_words(&names));
        let others: Vec<String> = self
            .selectors
            .iter()
            .filter(|selector| ![EXECUTE, EXECUTE_BATCH].contains(selector))
            .map(|selector| own_function(*selector).map_or_else(|| selector.to_string(), str::to_owned))
            .collect();
        if self.has_flag(Self::GLOBAL) {
            lines.push("May call every function of the account that global validations are for.".to_owned());
        } else if !others.is_empty() {
            lines.push(format!(
                "May call the account's own functions: {}. No allowlist checks them.",
                enumerated(&others)
            ));
        }
        if self.may_execute() {
            lines.extend(self.native_in_words(&names));
        }
        lines.extend(self.gas_in_words(&names));
        for hook in self.validation_hooks() {
            if let Some(Settings::PaymasterGuard { paymaster }) = self.settings_of(hook) {
                lines.push(if paymaster.is_zero() {
                    "It needs a paymaster, but none is set: it cannot be used.".to_owned()
                } else {
                    format!(
                        "Its operations must be paid for by paymaster {}.",
                        names.contract(*paymaster)
                    )
                });
            }
        }
        lines.push(self.time_in_words());
        if self.has_flag(Self::SIGNATURES) {
            lines.push(
                "May sign for the account (ERC-1271); its hooks do not check what it signs.".to_owned(),
            );
        }
        for module in self.unknown_modules() {
            lines.push(format!(
                "The code of module {module} is unknown, and so is what it allows or refuses."
            ));
        }
        if !self.function_hooks.is_empty() {
            lines.push("Hooks of other modules also run around the account's functions.".to_owned());
        }
        if !self.are_function_hooks_read {
            lines
                .push("Hooks of the account's functions could not be read: they may refuse more.".to_owned());
        }
        Words::new(lines)
    }

    fn signer_in_words(&self, names: &Shown<'_>) -> String {
        match self.signer {
            _ if !self.has_flag(Self::USER_OPERATIONS) && !self.has_flag(Self::SIGNATURES) => {
                "Works for runtime calls only, not for user operations.".to_owned()
            }
            Some(signer) if signer.is_zero() => "Has no signer: it cannot be used.".to_owned(),
            Some(signer) => format!("Signed by {}.", names.contract(signer)),
            None => "Its signer is unknown.".to_owned(),
        }
    }

    pub(super) fn may_execute(&self) -> bool {
        self.may_use(EXECUTE) || self.may_use(EXECUTE_BATCH)
    }

    fn calls_in_words(&self, names: &Shown<'_>) -> Vec<String> {
        if !self.may_execute() {
            return vec!["May not make the account call other contracts.".to_owned()];
        }
        let mut lines = Vec::new();
        let mut allowlists = self.allowlists().peekable();
        if allowlists.peek().is_none() {
            lines.push("May call every function of every contract except the account itself.".to_owned());
        }
        for (index, (hook, settings)) in allowlists.enumerate() {
            if index > 0 {
                lines.push("Another allowlist must allow each call, too:".to_owned());
            }
            lines.extend(allowed_in_words(names, settings));
            if hook.module.kind == Some(AccountModule::EarlierAllowlist) {
                lines.push(
                    "This version of the allowlist (2.0.0) ignores operations that start with executeUserOp: \
                     with them, the key may call everything."
                        .to_owned(),
                );
            }
        }
        for (_, settings) in self.token_limits() {
            for (token, entry) in settings.targets.iter().filter(|(_, entry)| entry.has_limit) {
                lines.push(if entry.left.is_zero() {
                    format!(
                        "May spend nothing of {}: nothing is left of its limit.",
                        names.contract(*token)
                    )
                } else {
                    format!(
                        "May spend at most {} more, by transfer and approve.",
                        names.amount(*token, entry.left)
                    )
                });
            }
        }
        lines
    }

    fn native_in_words(&self, names: &Shown<'_>) -> Vec<String> {
        let mut limits = self.native_limits(false).map(|(_, left)| left).peekable();
        if limits.peek().is_none() {
            return vec![format!(
                "May send any amount of {} to the contracts it may call.",
                names.native_symbol()
            )];
        }
        limits
            .map(|left| format!("May send at most {} more.", names.native(left)))
            .collect()
    }

    fn gas_in_words(&self, names: &Shown<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for (hook, left) in self.native_limits(true) {
            let mut line = format!(
                "Its operations may cost at most {} more, counted by gas limits",
                names.native(left)
            );
            if let Some(Settings::NativeTokenLimit {
                special_paymasters, ..
            }) = self.settings_of(hook)
            {
                let special: Vec<String> = special_paymasters
                    .iter()
                    .filter(|(_, is_special)| **is_special)
                    .map(|(paymaster, _)| names.contract(*paymaster))
                    .collect();
                line += &if special.is_empty() {
                    ", unless a paymaster pays".to_owned()
                } else {
                    format!(", unless a paymaster other than {} pays", enumerated(&special))
                };
            }
            lines.push(line + ".");
        }
        let has_guard = self
            .validation_hooks()
            .any(|hook| hook.module.kind == Some(AccountModule::PaymasterGuard));
        if lines.is_empty() && !has_guard {
            lines.push("Its operations may cost any amount, which the account pays.".to_owned());
        }
        lines
    }

    fn time_in_words(&self) -> String {
        match self.time_range() {
            (0, LAST_SECOND) => "May be used at any time.".to_owned(),
            (0, until) => format!("May be used until {}.", UnixTime(until)),
            (after, LAST_SECOND) => format!("May be used from {} on.", UnixTime(after)),
            (after, until) if until < after => {
                "Can never be used: its time range ends before it starts.".to_owned()
            }
            (after, until) => format!("May be used from {} until {}.", UnixTime(after), UnixTime(until)),
        }
    }
}

/// The functions that are listed: `transfer` and `approve` first.
fn listed(functions: &BTreeMap<Selector, bool>) -> Vec<Selector> {
    let mut listed: Vec<Selector> = functions
        .iter()
        .filter(|(_, is_listed)| **is_listed)
        .map(|(function, _)| *function)
        .collect();
    listed.sort_by_key(|function| match *function {
        ERC20_TRANSFER => (0, *function),
        ERC20_APPROVE => (1, *function),
        _ => (2, *function),
    });
    listed
}

fn allowed_in_words(names: &Shown<'_>, settings: &AllowlistSettings) -> Vec<String> {
    let mut lines = Vec::new();
    for (target, entry) in settings.targets.iter().filter(|(_, entry)| entry.allowed) {
        let name = names.contract(*target);
        if !entry.has_selector_list {
            lines.push(format!("May call every function of {name}."));
            continue;
        }
        let functions: Vec<String> = listed(&entry.functions)
            .into_iter()
            .map(|function| names.function(*target, function))
            .collect();
        if !functions.is_empty() {
            lines.push(format!("May call {} of {name}.", enumerated(&functions)));
        }
    }
    let functions: Vec<String> = listed(&settings.any_target)
        .into_iter()
        .map(|function| names.function(Address::ZERO, function))
        .collect();
    if !functions.is_empty() {
        let except = if settings.targets.values().any(|entry| entry.allowed) {
            " that is not named here"
        } else {
            ""
        };
        lines.push(format!(
            "May call {} of every contract{except}.",
            enumerated(&functions)
        ));
    }
    if !settings.complete {
        lines.push("May call more than this: its allowlist is not completely known.".to_owned());
    } else if lines.is_empty() {
        lines.push("May not call anything.".to_owned());
    }
    lines
}

impl Refusal {
    /// Describes who refuses, and by which rule, in a sentence.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        let names = Shown(names);
        let rule = match &self.rule {
            HookRule::TargetNotAllowed { target, selector } => format!(
                "the key may not call {} of {}",
                names.function(*target, *selector),
                names.contract(*target)
            ),
            HookRule::FunctionNotAllowed { target, selector } => format!(
                "the key may call only listed functions of {}, and {} is not listed",
                names.contract(*target),
                names.function(*target, *selector)
            ),
            HookRule::TokenFunctionNotAllowed { token, selector } => format!(
                "on {}, which has a limit, the key may call only transfer and approve, not {}",
                names.contract(*token),
                names.function(*token, *selector)
            ),
            HookRule::TokenLimitExceeded { token, asked, left } => format!(
                "it spends {}, but {} are left",
                names.amount(*token, *asked),
                names.amount(*token, *left)
            ),
            HookRule::NativeLimitExceeded { asked, left } => {
                format!(
                    "the calls send {}, but {} are left",
                    native(&names, *asked),
                    names.native(*left)
                )
            }
            HookRule::GasLimitExceeded { asked, left } => format!(
                "the operation may cost {}, but {} are left",
                native(&names, *asked),
                names.native(*left)
            ),
            rule => rule.to_string(),
        };
        let sentence = match self.call {
            Some(call) => format!("Call {}: {rule}", call.saturating_add(1)),
            None => first_letter_up(&rule),
        };
        format!("{sentence} ({}).", self.refuser_in_words())
    }

    fn refuser_in_words(&self) -> String {
        match &self.refuser {
            Refuser::EntryPoint => "the EntryPoint refuses it".to_owned(),
            Refuser::Account => "the account refuses it".to_owned(),
            Refuser::Validation => "the validation refuses it".to_owned(),
            Refuser::Hook(hook) => hook.describe(),
        }
    }
}

impl Hook {
    /// Phase, module and entity: `validation hook of AllowlistModule 2.0.1, entity 5`.
    #[must_use]
    pub fn describe(&self) -> String {
        let phase = if self.is_validation() {
            "validation"
        } else {
            "execution"
        };
        let name = match self.module.kind {
            Some(kind) => kind.name().to_owned(),
            None => format!("module {}", self.module.address),
        };
        format!("{phase} hook of {name}, entity {}", self.entity_id)
    }
}

fn native(names: &Shown<'_>, amount: U256) -> String {
    match amount {
        U256::MAX => "more than any limit".to_owned(),
        amount => names.native(amount),
    }
}

impl KeyVerdict {
    /// Describes the verdict, with every refusal and its figures.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let mut lines = Vec::new();
        match self {
            Self::Accepted {
                valid_after,
                valid_until,
                remaining,
            } => {
                lines.push(accepted(*valid_after, *valid_until));
                lines.extend(remaining.iter().map(|left| left.describe(names)));
            }
            Self::Refused { refusals } => {
                lines.push(if self.phase() == Some(Phase::Validation) {
                    "Refused before it costs anything.".to_owned()
                } else {
                    "Refused after inclusion: it would fail, and still cost its gas.".to_owned()
                });
                lines.extend(
                    refusals
                        .iter()
                        .map(|refusal| format!("– {}", refusal.describe(names))),
                );
            }
            Self::Unknown { reasons } => {
                lines.push("Nothing is predicted:".to_owned());
                lines.extend(reasons.iter().map(|reason| format!("– {reason}.")));
            }
        }
        Words::new(lines)
    }
}

impl Left {
    /// Describes what is left after an operation, in a sentence.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        let names = Shown(names);
        match self.of {
            LeftOf::Gas => format!("Left afterwards for operations: {}.", names.native(self.amount)),
            LeftOf::Native => format!("Left afterwards to send: {}.", names.native(self.amount)),
            LeftOf::Token { token } => {
                format!("Left afterwards to spend: {}.", names.amount(token, self.amount))
            }
        }
    }
}
