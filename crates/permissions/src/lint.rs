//! Warnings about permissions that are dangerous or may not mean what they say.
//!
//! ```
//! use session_key_permissions::{AccessControlType, Permissions, lint::{Lint, Severity}};
//!
//! let everything = Permissions::new().access_control_type(AccessControlType::AllowAllAccess);
//! let warnings = Lint::new(&everything).at(1_800_000_000).run();
//! let codes: Vec<&str> = warnings.iter().map(|warning| warning.code.as_str()).collect();
//! assert_eq!(codes, ["gas_unbounded", "everything_allowed", "never_over"]);
//! assert_eq!(warnings[0].severity, Severity::Error);
//! ```

use crate::{
    AccessControlType, Call, ERC20_APPROVE, ERC20_TRANSFER, KeyState, LATEST_PLAUSIBLE_TIME,
    LONGEST_PLAUSIBLE_INTERVAL, Part, PermissionUpdates, Permissions, SpendLimitInfo,
    model::{ContractState, calls_of, calls_to},
    words::{Lookup, UnixTime, interval},
};
use alloy_primitives::{Address, Selector};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Often not what is meant.
    Warning,
    /// Dangerous, or useless.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Declares the codes of one lint: an enum, with the severity, meaning and remedy of each.
macro_rules! lint_codes {
    ($name:ident; $($(#[doc = $doc:literal])* $variant:ident = $code:literal, $severity:ident, $message:literal, $suggestion:literal;)+) => {
        /// The kind of a warning. Codes never change their meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* #[doc = concat!("\n\n`", $code, "`: ", $message)] #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code, as in JSON and in the documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }

            /// Its meaning, in a sentence.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }

            /// What to do about it.
            #[must_use]
            pub const fn suggestion(self) -> &'static str {
                match self {
                    $(Self::$variant => $suggestion,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use lint_codes;

lint_codes! {
    LintCode;
    /// Neither a gas limit nor a required paymaster.
    GasUnbounded = "gas_unbounded", Error,
        "Anyone who has the key can burn all of the account's native token as gas.",
        "Set a gas limit, or require a paymaster.";
    /// Access control is off.
    EverythingAllowed = "everything_allowed", Error,
        "The key may call everything: every token and NFT without a limit can be taken.",
        "List the contracts and functions that it needs.";
    /// A denylist allows everything that nobody thought of.
    Denylist = "denylist", Warning,
        "A denylist allows every contract that is not on it, including those deployed later.",
        "List what the key needs instead of what it must not call.";
    /// The list allows nothing.
    NothingAllowed = "nothing_allowed", Error,
        "The key may not call anything.",
        "List the contracts and functions that it needs.";
    /// A contract with all its functions.
    AllFunctions = "all_functions", Warning,
        "All functions of the contract are allowed, including those that an upgrade adds.",
        "List the functions that the key needs.";
    /// A limit on a token that the list does not allow the key to call.
    TokenNotListed = "token_not_listed", Warning,
        "The token has a limit, but is not on the list: the key cannot spend any of it.",
        "Put the token on the list, with transfer or approve; or remove the limit.";
    /// A token that may be moved without a limit.
    TokenWithoutLimit = "token_without_limit", Warning,
        "The key may move any amount of the token.",
        "Set a limit on the token.";
    /// A function that the limit of its token forbids.
    FunctionWithoutEffect = "function_without_effect", Warning,
        "The token has a limit, so the key may only call its transfer and approve: the function is not allowed.",
        "Remove the function from the list.";
    /// The list ignores arguments.
    RecipientsUnchecked = "recipients_unchecked", Note,
        "The key may send the token to anyone, or approve anyone to take it: a list names functions, not recipients.",
        "Set the limit no higher than what may be lost.";
    /// A time or an interval past the year 2200.
    Milliseconds = "milliseconds", Error,
        "The time or interval must be in milliseconds: the plugin counts seconds.",
        "Divide it by 1000.";
    /// The end is before the start.
    EndBeforeStart = "end_before_start", Error,
        "The key can never be used: its time ends before it begins.",
        "Swap start and end.";
    /// The end has passed.
    Over = "over", Error,
        "The key can never be used: it has expired.",
        "Set a later end.";
    /// There is no end.
    NeverOver = "never_over", Note,
        "The key never expires.",
        "Set an end, and grant the key again in time.";
    /// A payment is needed, and none is allowed.
    NativeLimitZero = "native_limit_zero", Warning,
        "A call that is needed sends native token, and the key may not send any: its native limit is zero.",
        "Set a native limit.";
    /// The list's type changes, and entries that stay are inverted.
    ListSwitch = "list_switch", Error,
        "The list's type changes, and the entries that stay are inverted: what was allowed is denied, or what was denied is allowed.",
        "Set or remove every entry in the same change (a plan does).";
    /// An allowance outlives the key.
    AllowanceOutlivesKey = "allowance_outlives_key", Note,
        "An allowance that the key gives can be used after the key has expired or was revoked.",
        "Allow transfer instead of approve, or reset allowances when the key ends.";
    /// A limit counts token ids as amounts.
    NftAsToken = "nft_as_token", Error,
        "The contract looks like an NFT: its limit would count token ids as amounts, and the key could take any token with a low id.",
        "Remove the limit and list the functions that the key needs.";
    /// More is used than the limit allows.
    LimitBelowUsed = "limit_below_used", Warning,
        "More is already used than the limit allows: nothing is left until it refreshes.",
        "Set the limit above the amount used, or clear the amount used (afresh).";
}

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Warning {
    /// The kind of warning.
    pub code: LintCode,
    /// How bad it is.
    pub severity: Severity,
    /// The part of the permissions it is about.
    pub part: Part,
    /// Its figures, such as the time or the interval; `None` if there are none.
    pub detail: Option<String>,
}

impl Warning {
    /// The warning in words: the part, the meaning, the suggestion.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        let names = crate::words::Shown(names);
        let what = match self.part {
            Part::AccessControlType => "access".to_owned(),
            Part::Contract { contract } => names.contract(contract),
            Part::Function { contract, selector } => {
                format!(
                    "{} of {}",
                    names.function(contract, selector),
                    names.contract(contract)
                )
            }
            Part::TimeRange => "time range".to_owned(),
            Part::NativeLimit => "native limit".to_owned(),
            Part::TokenLimit { token } => format!("limit of {}", names.contract(token)),
            Part::GasLimit => "gas limit".to_owned(),
            Part::RequiredPaymaster => "required paymaster".to_owned(),
        };
        let detail = self
            .detail
            .as_ref()
            .map(|detail| format!(" ({detail})"))
            .unwrap_or_default();
        format!(
            "{what}{detail}: {} {}",
            self.code.message(),
            self.code.suggestion()
        )
    }
}

/// Checks permissions. The more it is given, the more it finds.
#[derive(Clone, Debug)]
#[must_use]
pub struct Lint {
    permissions: KeyState,
    now: Option<u64>,
    used: Option<KeyState>,
    needs_native: bool,
    nfts: BTreeSet<Address>,
    tokens: BTreeSet<Address>,
}

impl Lint {
    /// Checks a permission set.
    pub fn new(permissions: &Permissions) -> Self {
        let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
        // Includes what no plugin stores: there are warnings for it.
        for update in permissions.updates() {
            state.apply_update(&update, 0);
        }
        Self::of_state(state)
    }

    /// Checks the permissions that a key has on the chain. Of a state that is not
    /// [complete](KeyState::complete), nothing is concluded from what is not in it.
    pub fn of_key(state: &KeyState) -> Self {
        Self {
            used: Some(state.clone()),
            ..Self::of_state(state.clone())
        }
    }

    const fn of_state(permissions: KeyState) -> Self {
        Self {
            permissions,
            now: None,
            used: None,
            needs_native: false,
            nfts: BTreeSet::new(),
            tokens: BTreeSet::new(),
        }
    }

    /// The current time, unix seconds: finds expired permissions.
    pub const fn at(mut self, now: u64) -> Self {
        self.now = Some(now);
        self
    }

    /// The current state of the key that gets the permissions: finds limits below the amount used.
    pub fn on(mut self, state: &KeyState) -> Self {
        self.used = Some(state.clone());
        self
    }

    /// The permissions that the key needs: finds payments that are not allowed.
    pub fn need(mut self, need: &Permissions) -> Self {
        let limit = need.native_token_spend_limit;
        self.needs_native |= limit.is_some_and(|limit| !limit.spend_limit.is_zero());
        self
    }

    /// Calls that the key needs to make: finds payments that are not allowed.
    pub fn calls(mut self, calls: &[Call]) -> Self {
        self.needs_native |= calls.iter().any(|call| !call.value.is_zero());
        self
    }

    /// Contracts known to be NFTs.
    pub fn nfts(mut self, contracts: impl IntoIterator<Item = Address>) -> Self {
        self.nfts.extend(contracts);
        self
    }

    /// Contracts known to be tokens.
    pub fn tokens(mut self, contracts: impl IntoIterator<Item = Address>) -> Self {
        self.tokens.extend(contracts);
        self
    }

    /// The warnings, those of one code together, the codes in the order of [`LintCode::ALL`].
    #[must_use]
    pub fn run(&self) -> Vec<Warning> {
        let mut found = Found::default();
        self.access(&mut found);
        self.limits(&mut found);
        self.time(&mut found);
        if !self.permissions.complete {
            // These say that something is not there, which is not known.
            found.0.retain(|warning| {
                !matches!(
                    warning.code,
                    LintCode::NothingAllowed
                        | LintCode::AllFunctions
                        | LintCode::TokenNotListed
                        | LintCode::TokenWithoutLimit
                )
            });
        }
        found.0.sort_by_key(|warning| (warning.code, warning.part));
        found.0
    }

    fn access(&self, found: &mut Found) {
        let state = &self.permissions;
        match state.access_control_type {
            AccessControlType::AllowAllAccess => {
                found.add(LintCode::EverythingAllowed, Part::AccessControlType);
            }
            AccessControlType::Denylist => found.add(LintCode::Denylist, Part::AccessControlType),
            AccessControlType::Allowlist => {
                let allows = |contract: &Address| {
                    let mut calls = calls_to(*contract, [state, state]).into_iter();
                    calls.any(|call| state.allows_call(&call))
                };
                if !state.contracts.keys().any(allows) {
                    found.add(LintCode::NothingAllowed, Part::AccessControlType);
                }
            }
        }
        for (contract, entry) in &state.contracts {
            self.contract(*contract, entry, found);
        }
    }

    fn contract(&self, contract: Address, entry: &ContractState, found: &mut Found) {
        let state = &self.permissions;
        let part = Part::Contract { contract };
        let is_limited = entry.token_limit.has_limit;
        let is_allowlist = state.access_control_type == AccessControlType::Allowlist;
        let function = |selector| Part::Function { contract, selector };
        let allows = |selector| {
            calls_of(contract, selector)
                .iter()
                .any(|call| state.allows_call(call))
        };
        let is_whole = is_allowlist && entry.is_on_list && !entry.check_selectors;
        if is_whole && !is_limited {
            found.add(LintCode::AllFunctions, part);
        }
        let listed = || {
            let functions = entry.functions.iter().filter(|(_, is_on_list)| **is_on_list);
            functions.map(|(selector, _)| *selector)
        };
        if is_limited {
            if !allows(ERC20_TRANSFER) && !allows(ERC20_APPROVE) {
                found.add(LintCode::TokenNotListed, Part::TokenLimit { token: contract });
            }
            if is_allowlist && entry.is_on_list && entry.check_selectors {
                for selector in listed().filter(|selector| !allows(*selector)) {
                    found.add(LintCode::FunctionWithoutEffect, function(selector));
                }
            }
            if self.nfts.contains(&contract) || listed().any(is_of_nfts) {
                found.add(LintCode::NftAsToken, Part::TokenLimit { token: contract });
            }
        } else if is_allowlist && entry.is_on_list {
            let moves = entry.check_selectors
                && listed().any(|selector| moves_tokens(selector) && !self.nfts.contains(&contract));
            let is_token = self.tokens.contains(&contract) && !entry.check_selectors;
            if moves || is_token {
                found.add(LintCode::TokenWithoutLimit, part);
            }
        }
        // If the list does not restrict it, another warning already says that everything is allowed.
        if is_allowlist && entry.is_on_list {
            for selector in [ERC20_TRANSFER, ERC20_APPROVE] {
                let is_meant = is_limited || entry.check_selectors || self.tokens.contains(&contract);
                if is_meant && allows(selector) {
                    let part = if entry.check_selectors {
                        function(selector)
                    } else {
                        part
                    };
                    found.add_once(LintCode::RecipientsUnchecked, part);
                }
            }
        }
        let is_meant =
            is_limited || is_allowlist && (entry.check_selectors || self.tokens.contains(&contract));
        if is_meant && allows(ERC20_APPROVE) {
            let part = if is_allowlist && entry.check_selectors {
                function(ERC20_APPROVE)
            } else {
                part
            };
            found.add(LintCode::AllowanceOutlivesKey, part);
        }
    }

    fn limits(&self, found: &mut Found) {
        let state = &self.permissions;
        let gas = &state.gas_limit.info;
        if !gas.has_limit && state.required_paymaster.is_none() {
            found.add(LintCode::GasUnbounded, Part::GasLimit);
        }
        let native = &state.native_limit;
        if self.needs_native && native.has_limit && native.limit.is_zero() {
            found.add(LintCode::NativeLimitZero, Part::NativeLimit);
        }
        let tokens: BTreeMap<Address, &SpendLimitInfo> = state
            .contracts
            .iter()
            .map(|(token, contract)| (*token, &contract.token_limit))
            .collect();
        let used = |part: Part| {
            let state = self.used.as_ref()?;
            Some(match part {
                Part::NativeLimit => state.native_limit,
                Part::GasLimit => state.gas_limit.info,
                Part::TokenLimit { token } => state.contracts.get(&token)?.token_limit,
                _ => return None,
            })
        };
        let all = [(Part::NativeLimit, native), (Part::GasLimit, gas)].into_iter();
        let tokens = tokens
            .into_iter()
            .map(|(token, limit)| (Part::TokenLimit { token }, limit));
        for (part, limit) in all.chain(tokens).filter(|(_, limit)| limit.has_limit) {
            if limit.refresh_interval > LONGEST_PLAUSIBLE_INTERVAL {
                found.add_with(LintCode::Milliseconds, part, interval(limit.refresh_interval));
            }
            if let Some(used) = used(part)
                && used.has_limit
                && used.limit_used > limit.limit
                && !self.now.is_some_and(|now| used.is_over(now))
            {
                found.add(LintCode::LimitBelowUsed, part);
            }
        }
    }

    fn time(&self, found: &mut Found) {
        let range = self.permissions.time_range;
        let part = Part::TimeRange;
        for time in [range.valid_after, range.valid_until] {
            if time > LATEST_PLAUSIBLE_TIME {
                found.add_with(LintCode::Milliseconds, part, time.to_string());
            }
        }
        if range.valid_until == 0 {
            found.add(LintCode::NeverOver, part);
        } else if range.valid_until < range.valid_after {
            found.add(LintCode::EndBeforeStart, part);
        } else if self.now.is_some_and(|now| range.valid_until < now) {
            found.add_with(LintCode::Over, part, UnixTime(range.valid_until).to_string());
        }
    }
}

/// Checks a change of a key that is not a plan: finds a list whose type changes while entries stay.
/// [`Lint::of_key`] checks the resulting permissions.
#[must_use]
pub fn lint_updates(state: &KeyState, updates: &PermissionUpdates) -> Vec<Warning> {
    let mut after = state.clone();
    let mut touched = BTreeSet::new();
    for update in updates {
        after.apply_update(update, 0);
        touched.insert(Part::of(update));
    }
    let mut found = Found::default();
    if after.access_control_type == state.access_control_type {
        return found.0;
    }
    for (contract, entry) in &state.contracts {
        let contract = *contract;
        let part = Part::Contract { contract };
        if entry.is_on_list && !touched.contains(&part) {
            found.add(LintCode::ListSwitch, part);
            continue;
        }
        for (selector, is_on_list) in &entry.functions {
            let selector = *selector;
            let part = Part::Function { contract, selector };
            if *is_on_list && !touched.contains(&part) {
                found.add(LintCode::ListSwitch, part);
            }
        }
    }
    found.0
}

#[derive(Debug, Default)]
struct Found(Vec<Warning>);

impl Found {
    fn add(&mut self, code: LintCode, part: Part) {
        self.0.push(Warning {
            code,
            severity: code.severity(),
            part,
            detail: None,
        });
    }

    fn add_once(&mut self, code: LintCode, part: Part) {
        if !self
            .0
            .iter()
            .rev()
            .take(4)
            .any(|warning| (warning.code, warning.part) == (code, part))
        {
            self.add(code, part);
        }
    }

    fn add_with(&mut self, code: LintCode, part: Part, detail: String) {
        self.0.push(Warning {
            code,
            severity: code.severity(),
            part,
            detail: Some(detail),
        });
    }
}

fn is(selector: Selector, signatures: &[&str]) -> bool {
    crate::words::well_known_function(selector).is_some_and(|signature| signatures.contains(&signature))
}

/// A function that moves tokens, or allows others to move them.
fn moves_tokens(selector: Selector) -> bool {
    is(
        selector,
        &[
            "transfer(address,uint256)",
            "approve(address,uint256)",
            "transferFrom(address,address,uint256)",
            "increaseAllowance(address,uint256)",
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        ],
    )
}

/// A function that NFTs have and tokens do not.
fn is_of_nfts(selector: Selector) -> bool {
    is(
        selector,
        &[
            "safeTransferFrom(address,address,uint256)",
            "safeTransferFrom(address,address,uint256,bytes)",
            "setApprovalForAll(address,bool)",
            "safeTransferFrom(address,address,uint256,uint256,bytes)",
            "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpendLimit, TimeRange};
    use alloy_primitives::{U256, hex};

    const TOKEN: Address = Address::repeat_byte(0x70);
    const SHOP: Address = Address::repeat_byte(0x5a);
    const BUY: Selector = Selector::new(hex!("d96a094a"));
    const SET_APPROVAL_FOR_ALL: Selector = Selector::new(hex!("a22cb465"));
    const NOW: u64 = 1_800_000_000;

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    /// Nothing to warn about.
    fn good() -> Permissions {
        Permissions::new()
            .contract_functions(SHOP, [BUY])
            .gas_spend_limit(SpendLimit::per(n(9), 60))
            .valid_until(NOW + 9)
    }

    fn limited() -> Permissions {
        good()
            .contract_functions(TOKEN, [ERC20_TRANSFER])
            .erc20_spend_limit(TOKEN, SpendLimit::per(n(9), 60))
    }

    #[test]
    fn nothing_is_concluded_from_what_is_not_known() {
        let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
        let codes = |state: &KeyState| -> Vec<LintCode> {
            let warnings = Lint::of_key(state).run();
            warnings.iter().map(|warning| warning.code).collect()
        };
        assert!(codes(&state).contains(&LintCode::NothingAllowed));
        state.complete = false;
        assert_eq!(codes(&state), [LintCode::GasUnbounded, LintCode::NeverOver]);
    }

    fn found(lint: &Lint) -> Vec<(LintCode, Part)> {
        let warnings = lint.run();
        for warning in &warnings {
            assert_eq!(warning.severity, warning.code.severity());
            assert!(warning.describe(&()).contains(warning.code.suggestion()));
        }
        warnings
            .iter()
            .map(|warning| (warning.code, warning.part))
            .collect()
    }

    fn of(permissions: &Permissions) -> Vec<(LintCode, Part)> {
        found(&Lint::new(permissions).at(NOW))
    }

    fn used(permissions: &Permissions) -> KeyState {
        let mut state = KeyState::fresh(SHOP, TOKEN);
        state.apply(&permissions.updates().collect(), NOW).unwrap();
        state
    }

    // Each with a good and a bad example.
    #[test]
    fn every_code_is_found_only_where_it_belongs() {
        use LintCode as Code;
        assert_eq!(of(&good()), []);
        let unchecked = (
            Code::RecipientsUnchecked,
            Part::Function {
                contract: TOKEN,
                selector: ERC20_TRANSFER,
            },
        );
        assert_eq!(of(&limited()), [unchecked]);

        let bounded = Permissions {
            gas_spend_limit: None,
            ..good()
        };
        assert_eq!(of(&bounded), [(Code::GasUnbounded, Part::GasLimit)]);
        assert_eq!(of(&bounded.required_paymaster(SHOP)), []);

        let list = |list| Permissions {
            address_entries: Vec::new(),
            function_entries: Vec::new(),
            ..good().access_control_type(list)
        };
        assert_eq!(
            of(&list(AccessControlType::AllowAllAccess)),
            [(Code::EverythingAllowed, Part::AccessControlType)]
        );
        assert_eq!(
            of(&list(AccessControlType::Denylist)),
            [(Code::Denylist, Part::AccessControlType)]
        );
        assert_eq!(
            of(&list(AccessControlType::Allowlist)),
            [(Code::NothingAllowed, Part::AccessControlType)]
        );
        let contract = |contract| Part::Contract { contract };
        assert_eq!(
            of(&good().contract(TOKEN)),
            [(Code::AllFunctions, contract(TOKEN))]
        );

        let unlisted = good().erc20_spend_limit(TOKEN, SpendLimit::total(n(1)));
        let limit = Part::TokenLimit { token: TOKEN };
        assert_eq!(of(&unlisted), [(Code::TokenNotListed, limit)]);

        let without = good().contract_functions(TOKEN, [ERC20_TRANSFER]);
        assert_eq!(
            of(&without),
            [(Code::TokenWithoutLimit, contract(TOKEN)), unchecked]
        );
        let whole = found(&Lint::new(&good().contract(TOKEN)).at(NOW).tokens([TOKEN]));
        assert_eq!(
            whole,
            [
                (Code::AllFunctions, contract(TOKEN)),
                (Code::TokenWithoutLimit, contract(TOKEN)),
                (Code::RecipientsUnchecked, contract(TOKEN)),
                (Code::AllowanceOutlivesKey, contract(TOKEN)),
            ]
        );

        let useless = limited().contract_functions(TOKEN, [BUY]);
        let function = |selector| Part::Function {
            contract: TOKEN,
            selector,
        };
        assert_eq!(
            of(&useless),
            [(Code::FunctionWithoutEffect, function(BUY)), unchecked]
        );

        let nft = limited().contract_functions(TOKEN, [SET_APPROVAL_FOR_ALL]);
        assert_eq!(
            of(&nft),
            [
                (Code::FunctionWithoutEffect, function(SET_APPROVAL_FOR_ALL)),
                unchecked,
                (Code::NftAsToken, limit)
            ]
        );
        let told = found(&Lint::new(&limited()).at(NOW).nfts([TOKEN]));
        assert_eq!(told, [unchecked, (Code::NftAsToken, limit)]);

        let approves = limited().contract_functions(TOKEN, [ERC20_APPROVE]);
        let approve = function(ERC20_APPROVE);
        assert_eq!(
            of(&approves),
            [
                (Code::RecipientsUnchecked, approve),
                unchecked,
                (Code::AllowanceOutlivesKey, approve)
            ]
        );
    }

    #[test]
    fn implausible_times_are_found() {
        use LintCode as Code;
        let range = |valid_after, valid_until| {
            let range = TimeRange {
                valid_after,
                valid_until,
            };
            of(&good().time_range(range))
                .into_iter()
                .map(|(code, _)| code)
                .collect::<Vec<_>>()
        };
        assert_eq!(range(0, NOW), []);
        assert_eq!(range(0, NOW - 1), [Code::Over]);
        assert_eq!(range(NOW, 0), [Code::NeverOver]);
        assert_eq!(range(NOW + 5, NOW + 4), [Code::EndBeforeStart]);
        assert_eq!(range(0, NOW * 1_000), [Code::Milliseconds]);
        assert_eq!(range(NOW * 1_000, 0), [Code::Milliseconds, Code::NeverOver]);
        assert_eq!(range(0, LATEST_PLAUSIBLE_TIME), []);
        let interval = |seconds| of(&good().gas_spend_limit(SpendLimit::per(n(1), seconds)));
        assert_eq!(interval(LONGEST_PLAUSIBLE_INTERVAL), []);
        assert_eq!(
            interval(LONGEST_PLAUSIBLE_INTERVAL + 1),
            [(Code::Milliseconds, Part::GasLimit)]
        );
        // Without the time, nothing is expired.
        assert_eq!(found(&Lint::new(&good())), []);
    }

    #[test]
    fn needed_payments_need_a_limit() {
        let zero = (LintCode::NativeLimitZero, Part::NativeLimit);
        let need = Permissions::new().native_token_spend_limit(SpendLimit::total(n(1)));
        assert_eq!(found(&Lint::new(&good()).need(&need)), [zero]);
        assert_eq!(found(&Lint::new(&good()).need(&Permissions::new())), []);
        assert_eq!(
            found(&Lint::new(&good()).calls(&[Call::transfer(SHOP, n(1))])),
            [zero]
        );
        assert_eq!(
            found(&Lint::new(&good()).calls(&[Call::transfer(SHOP, n(0))])),
            []
        );
        let pays = good().native_token_spend_limit(SpendLimit::total(n(1)));
        assert_eq!(found(&Lint::new(&pays).need(&need)), []);
    }

    #[test]
    fn limits_below_the_amount_used_are_found() {
        let mut state = used(&limited());
        state.gas_limit.info.limit_used = n(8);
        let lower = limited().gas_spend_limit(SpendLimit::per(n(7), 60));
        let below = (LintCode::LimitBelowUsed, Part::GasLimit);
        assert!(found(&Lint::new(&lower).at(NOW).on(&state)).contains(&below));
        assert!(!found(&Lint::new(&limited()).at(NOW).on(&state)).contains(&below));
        // Once the interval is over, nothing is used.
        assert!(!found(&Lint::new(&lower).at(NOW + 60).on(&state)).contains(&below));
        state.gas_limit.info.limit = n(7);
        assert!(found(&Lint::of_key(&state).at(NOW)).contains(&below));
    }

    #[test]
    fn an_inverted_list_is_found() {
        let state = used(&good().contract(TOKEN));
        let switch = PermissionUpdates::new().access_control_type(AccessControlType::Denylist);
        let codes: Vec<Part> = lint_updates(&state, &switch)
            .into_iter()
            .map(|warning| {
                assert_eq!(warning.code, LintCode::ListSwitch);
                warning.part
            })
            .collect();
        let [shop, token] = [SHOP, TOKEN].map(|contract| Part::Contract { contract });
        assert_eq!(codes, [shop, token]);
        let all = switch
            .without_contract(TOKEN)
            .without_contract(SHOP)
            .without_function(SHOP, BUY);
        assert_eq!(lint_updates(&state, &all), []);
        let same = PermissionUpdates::new().access_control_type(AccessControlType::Allowlist);
        assert_eq!(lint_updates(&state, &same), []);
    }

    #[test]
    fn codes_are_what_json_has() {
        for code in LintCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
