//! Sentences about permission sets, states, updates and plans.

use super::{
    names::{Lookup, Shown},
    quantity::{UnixTime, every},
};
use crate::{
    AccessControlType, ERC20_APPROVE, ERC20_TRANSFER, KeyState, Part, PermissionUpdate, PermissionUpdates,
    Permissions, SpendLimit, TimeRange,
    model::ContractState,
    plan::{Change, LimitEffect, Plan, Setting, limit_of},
};
use alloy_primitives::{Address, Selector, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Sentences, one per line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(Vec<String>);

impl Words {
    pub(crate) const fn new(lines: Vec<String>) -> Self {
        Self(lines)
    }

    /// The sentences.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl IntoIterator for Words {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Permissions {
    /// Describes what a new key with this set may do.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
        // Includes times that no plugin stores; they are shown as they are.
        for update in self.updates() {
            state.apply_update(&update, 0);
        }
        state.describe(names)
    }
}

impl KeyState {
    /// Describes what the key's permissions allow, without the amounts used. If the state is not
    /// [complete](Self::complete), the last sentence says so.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let names = Shown(names);
        if !self.registered {
            return Words(vec!["Is not registered: may not do anything.".to_owned()]);
        }
        let mut lines = self.calls_in_words(&names);
        for (token, contract) in &self.contracts {
            if let Some(limit) = limit_of(&contract.token_limit) {
                lines.push(self.token_in_words(&names, *token, limit));
            }
        }
        let symbol = names.native_symbol();
        lines.push(match limit_of(&self.native_limit) {
            None => format!("May send any amount of {symbol}."),
            Some(limit) if limit.spend_limit.is_zero() => format!("May not send {symbol}."),
            Some(limit) => format!(
                "May send at most {} {}.",
                names.native(limit.spend_limit),
                every(limit.refresh_interval)
            ),
        });
        match (limit_of(&self.gas_limit.info), self.required_paymaster) {
            (None, None) => {
                lines.push("Its operations may cost any amount, which the account pays.".to_owned())
            }
            (limit, paymaster) => {
                if let Some(limit) = limit {
                    lines.push(format!(
                        "Its operations may cost at most {} {}.",
                        names.native(limit.spend_limit),
                        every(limit.refresh_interval)
                    ));
                }
                if let Some(paymaster) = paymaster {
                    let paymaster = names.contract(paymaster);
                    lines.push(format!(
                        "Its operations must be paid for by paymaster {paymaster}."
                    ));
                }
            }
        }
        lines.push(capitalized(&time_in_words("may be used", &self.time_range)));
        if !self.complete {
            lines.push("May do more or less than this: not all of its permissions are known.".to_owned());
        }
        Words(lines)
    }

    fn calls_in_words(&self, names: &Shown<'_>) -> Vec<String> {
        let listed = || self.contracts.iter().filter(|(_, entry)| entry.is_on_list);
        match self.access_control_type {
            AccessControlType::AllowAllAccess => {
                vec!["May call every function of every contract except the account itself.".to_owned()]
            }
            AccessControlType::Denylist => {
                let mut lines: Vec<String> = listed()
                    .map(|(contract, entry)| {
                        let contract_name = names.contract(*contract);
                        match functions(entry) {
                            None => format!("– any function of {contract_name}"),
                            Some(functions) if functions.is_empty() => {
                                format!("– calls of {contract_name} with fewer than four bytes of call data")
                            }
                            Some(functions) => format!(
                                "– {} of {contract_name}",
                                self.listed_functions(names, *contract, &functions)
                            ),
                        }
                    })
                    .collect();
                let all = "May call every function of every contract except the account itself";
                lines.insert(
                    0,
                    if lines.is_empty() && !self.complete {
                        format!("{all}, and except those on its list, which are not known.")
                    } else if lines.is_empty() {
                        format!("{all}.")
                    } else {
                        format!("{all}, and except:")
                    },
                );
                lines
            }
            AccessControlType::Allowlist => {
                let lines: Vec<String> = listed()
                    .filter_map(|(contract, entry)| self.allowed_in_words(names, *contract, entry))
                    .collect();
                if lines.is_empty() && !self.complete {
                    vec!["It is not known what it may call.".to_owned()]
                } else if lines.is_empty() {
                    vec!["May not call anything.".to_owned()]
                } else {
                    lines
                }
            }
        }
    }

    /// Describes the allowed calls of a contract that is on the allowlist.
    fn allowed_in_words(
        &self,
        names: &Shown<'_>,
        contract: Address,
        entry: &ContractState,
    ) -> Option<String> {
        if contract == self.account && !contract.is_zero() {
            return None;
        }
        let name = names.contract(contract);
        let is_limited = entry.token_limit.has_limit;
        let functions = match functions(entry) {
            None if is_limited => vec![ERC20_TRANSFER, ERC20_APPROVE],
            None => return Some(format!("May call every function of {name}.")),
            Some(functions) => functions
                .into_iter()
                .filter(|function| !is_limited || is_token_function(*function))
                .collect(),
        };
        if functions.is_empty() {
            return None;
        }
        let list = self.listed_functions(names, contract, &functions);
        let recipients = if functions.iter().any(|function| is_token_function(*function)) {
            ", with any recipient"
        } else {
            ""
        };
        Some(format!("May call {list} of {name}{recipients}."))
    }

    fn listed_functions(&self, names: &Shown<'_>, contract: Address, functions: &[Selector]) -> String {
        let mut functions: Vec<Selector> = functions.to_vec();
        // `transfer` and `approve` first, and in this order.
        functions.sort_by_key(|function| match *function {
            ERC20_TRANSFER => (0, *function),
            ERC20_APPROVE => (1, *function),
            _ => (2, *function),
        });
        let functions: Vec<String> = functions
            .iter()
            .map(|function| names.function(contract, *function))
            .collect();
        enumerated(&functions)
    }

    fn token_in_words(&self, names: &Shown<'_>, token: Address, limit: SpendLimit) -> String {
        let amount = names.amount(token, limit.spend_limit);
        let every = every(limit.refresh_interval);
        let spends = [ERC20_TRANSFER, ERC20_APPROVE].into_iter().any(|function| {
            crate::model::calls_of(token, function)
                .iter()
                .any(|call| self.allows_call(call))
        });
        if !spends {
            return format!(
                "May not spend {amount} {every} despite the limit: its list does not allow calls of the token."
            );
        }
        if limit.spend_limit.is_zero() {
            return format!("May not spend any of {}.", names.contract(token));
        }
        format!("May spend at most {amount} {every}.")
    }
}

/// The functions that an entry covers; `None` for all.
fn functions(entry: &ContractState) -> Option<Vec<Selector>> {
    entry.check_selectors.then(|| {
        let listed = entry.functions.iter().filter(|(_, is_on_list)| **is_on_list);
        listed.map(|(function, _)| *function).collect()
    })
}

fn is_token_function(function: Selector) -> bool {
    function == ERC20_TRANSFER || function == ERC20_APPROVE
}

/// `a, b and c`.
pub(crate) fn enumerated(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn time_in_words(start: &str, range: &TimeRange) -> String {
    let TimeRange {
        valid_after,
        valid_until,
    } = *range;
    match (valid_after, valid_until) {
        (0, 0) => format!("{start} at any time."),
        (_, until) if until != 0 && until < valid_after => {
            format!(
                "{start} never: its time ends at {} and begins at {}.",
                UnixTime(until),
                UnixTime(valid_after)
            )
        }
        (0, until) => format!("{start} until {}.", UnixTime(until)),
        (after, 0) => format!("{start} from {} on.", UnixTime(after)),
        (after, until) => format!("{start} from {} until {}.", UnixTime(after), UnixTime(until)),
    }
}

impl PermissionUpdates {
    /// Describes the updates, a sentence each.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let names = Shown(names);
        Words(
            self.as_slice()
                .iter()
                .map(|update| update_in_words(&names, update))
                .collect(),
        )
    }
}

fn update_in_words(names: &Shown<'_>, update: &PermissionUpdate) -> String {
    match update {
        PermissionUpdate::AccessListType(list) => match list {
            AccessControlType::Allowlist => "Allows the key to call only what is on its list.".to_owned(),
            AccessControlType::Denylist => {
                "Allows the key to call everything that is not on its list.".to_owned()
            }
            AccessControlType::AllowAllAccess => {
                "Allows the key to call everything, whatever is on its list.".to_owned()
            }
        },
        PermissionUpdate::AddressEntry(entry) => {
            let contract = names.contract(entry.contract);
            match (entry.is_on_list, entry.check_selectors) {
                (true, false) => format!("Puts all functions of {contract} on the list."),
                (true, true) => {
                    format!("Puts {contract} on the list, for the functions that are on the list themselves.")
                }
                (false, _) => format!("Removes {contract} from the list."),
            }
        }
        PermissionUpdate::FunctionEntry(entry) => {
            let contract = names.contract(entry.contract);
            let function = names.function(entry.contract, entry.selector);
            if entry.is_on_list {
                format!("Puts {function} of {contract} on the list.")
            } else {
                format!("Removes {function} of {contract} from the list.")
            }
        }
        PermissionUpdate::TimeRange(range) => time_in_words("Allows the key to be used", range),
        PermissionUpdate::NativeTokenSpendLimit(limit) => {
            let symbol = names.native_symbol();
            limit_update_in_words(&format!("what the key may send of {symbol}"), limit, |wei| {
                names.native(wei)
            })
        }
        PermissionUpdate::Erc20SpendLimit(update) => {
            let token = names.contract(update.token);
            let amount = |amount| names.amount(update.token, amount);
            limit_update_in_words(
                &format!("what the key may spend of {token}"),
                &update.limit,
                amount,
            )
        }
        PermissionUpdate::GasSpendLimit(limit) => {
            limit_update_in_words("what the key's operations may cost", limit, |wei| {
                names.native(wei)
            })
        }
        PermissionUpdate::RequiredPaymaster(paymaster) if paymaster.is_zero() => {
            "Allows any paymaster to pay for the key's operations, or none.".to_owned()
        }
        PermissionUpdate::RequiredPaymaster(paymaster) => {
            format!(
                "Allows only paymaster {} to pay for the key's operations.",
                names.contract(*paymaster)
            )
        }
    }
}

fn limit_update_in_words(what: &str, limit: &SpendLimit, amount: impl Fn(U256) -> String) -> String {
    if limit.is_unlimited() {
        format!("Removes the limit on {what}, and clears the amount used.")
    } else {
        format!(
            "Limits {what} to {} {}. The amount used stays.",
            amount(limit.spend_limit),
            every(limit.refresh_interval)
        )
    }
}

impl Plan {
    /// Describes the changes, a sentence each: `+` marks those that allow the key more, `–` the rest.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        if self.is_empty() {
            return Words(vec!["Nothing changes.".to_owned()]);
        }
        let lines = self.changes().iter().map(|change| {
            let mark = if change.widens { "+" } else { "–" };
            format!("{mark} {}", change.describe(names))
        });
        Words(lines.collect())
    }
}

impl Change {
    /// Describes the change: the setting, before, after, and the effect on the amount used.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        change_in_words(&Shown(names), self)
    }
}

fn change_in_words(names: &Shown<'_>, change: &Change) -> String {
    let setting = |setting: &Setting| match setting {
        Setting::AccessControlType(list) => match list {
            AccessControlType::Allowlist => "only what is on its list".to_owned(),
            AccessControlType::Denylist => "everything that is not on its list".to_owned(),
            AccessControlType::AllowAllAccess => "everything".to_owned(),
        },
        Setting::Contract {
            is_on_list: true,
            check_selectors,
        } => if *check_selectors {
            "listed functions"
        } else {
            "all functions"
        }
        .to_owned(),
        Setting::Contract { check_selectors, .. } => if *check_selectors {
            "not listed (functions checked)"
        } else {
            "not listed"
        }
        .to_owned(),
        Setting::Function { is_on_list } => if *is_on_list { "listed" } else { "not listed" }.to_owned(),
        Setting::TimeRange(range) => {
            let words = time_in_words("", range);
            words.trim().trim_end_matches('.').to_owned()
        }
        Setting::Limit(None) => "no limit".to_owned(),
        Setting::Limit(Some(limit)) => {
            let amount = match change.part {
                Part::TokenLimit { token } => names.amount(token, limit.spend_limit),
                _ => names.native(limit.spend_limit),
            };
            format!("{amount} {}", every(limit.refresh_interval))
        }
        Setting::RequiredPaymaster(None) => "any or none".to_owned(),
        Setting::RequiredPaymaster(Some(paymaster)) => names.contract(*paymaster),
    };
    let what = match change.part {
        Part::AccessControlType => "May call".to_owned(),
        Part::Contract { contract } => names.contract(contract),
        Part::Function { contract, selector } => {
            // A capital letter would change the name.
            let function = match names.function(contract, selector) {
                words if words.starts_with("the function ") || words.starts_with("plain payments ") => {
                    capitalized(&words)
                }
                name => format!("The function {name}"),
            };
            format!("{function} of {}", names.contract(contract))
        }
        Part::TimeRange => "May be used".to_owned(),
        Part::NativeLimit => format!("May send ({})", names.native_symbol()),
        Part::TokenLimit { token } => format!("May spend of {}", names.contract(token)),
        Part::GasLimit => "Its operations may cost".to_owned(),
        Part::RequiredPaymaster => "Required paymaster".to_owned(),
    };
    let (before, after) = (setting(&change.before), setting(&change.after));
    let effect = match change.limit {
        Some(effect) if change.after != Setting::Limit(None) => {
            format!("; {}", effect_in_words(names, change.part, &effect))
        }
        _ => String::new(),
    };
    format!("{what}: {before} → {after}{effect}")
}

fn effect_in_words(names: &Shown<'_>, part: Part, effect: &LimitEffect) -> String {
    let amount = |amount| match part {
        Part::TokenLimit { token } => names.amount(token, amount),
        _ => names.native(amount),
    };
    let used = if effect.used_after.is_zero() && effect.used_before.is_zero() {
        "nothing counts as used".to_owned()
    } else if effect.used_after.is_zero() {
        format!("the {} used are cleared", amount(effect.used_before))
    } else if effect.used_after == effect.used_before {
        format!("{} stay used", amount(effect.used_after))
    } else {
        format!(
            "{} of an interval that is over count as used again",
            amount(effect.used_after)
        )
    };
    let refresh = match (effect.refreshes_before, effect.refreshes_after) {
        (Some(before), Some(after)) if before == after => {
            format!("; refreshes at {}, as before", UnixTime(after))
        }
        (Some(before), Some(after)) => {
            format!("; refreshes at {}, not at {}", UnixTime(after), UnixTime(before))
        }
        (None, Some(after)) => format!("; refreshes at {}", UnixTime(after)),
        (Some(_), None) => "; no longer refreshes".to_owned(),
        (None, None) => String::new(),
    };
    used + &refresh
}
