//! Converts permissions to a policy, and a policy to text.

use super::{
    At, Decimal, End, Entry, Limit, NamedToken, NativeUnit, OnlyPlace, Policy, PolicyFormat, TokenUnit,
    read::is_name,
};
use crate::{
    AccessControlType, KeyState, Part, PermissionError, PermissionUpdate, Permissions, SpendLimit,
    plan::limit_of,
    words::{Lookup, Names, UnixTime, interval, well_known_function},
};
use alloy_primitives::{Address, B256};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// Parts of the permissions that a policy cannot express because they have no current effect: entries of
/// functions whose contract is not on the list, or is on it with all its functions, and contracts off the
/// list whose functions are checked. Applying the policy removes them.
pub type NotShown = Vec<Part>;

impl Policy {
    /// The policy that allows exactly what a new key with these permissions may do, with names for known
    /// tokens. Refuses times that no policy has (past the year 2200, an end before the start).
    pub fn of(
        permissions: &Permissions,
        tag: Option<B256>,
        names: &Names,
    ) -> Result<(Self, NotShown), PermissionError> {
        permissions.encode()?;
        let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
        state.apply(&permissions.updates().collect(), 0)?;
        let (policy, not_shown) = Self::of_state(&state, tag, names);
        Ok((policy, not_shown))
    }

    /// The same for a key's state, used amounts aside.
    pub fn of_key(
        state: &KeyState,
        tag: Option<B256>,
        names: &Names,
    ) -> Result<(Self, NotShown), PermissionError> {
        let limit = |limit: Option<SpendLimit>| limit.unwrap_or(SpendLimit::UNLIMITED);
        PermissionUpdate::TimeRange(state.time_range).encode()?;
        PermissionUpdate::NativeTokenSpendLimit(limit(limit_of(&state.native_limit))).encode()?;
        PermissionUpdate::GasSpendLimit(limit(limit_of(&state.gas_limit.info))).encode()?;
        for contract in state.contracts.values() {
            PermissionUpdate::GasSpendLimit(limit(limit_of(&contract.token_limit))).encode()?;
        }
        Ok(Self::of_state(state, tag, names))
    }

    fn of_state(state: &KeyState, tag: Option<B256>, names: &Names) -> (Self, NotShown) {
        let mut not_shown = Vec::new();
        let mut entries = BTreeMap::new();
        let is_list = state.access_control_type != AccessControlType::AllowAllAccess;
        for (contract, entry) in &state.contracts {
            let contract = *contract;
            let is_shown = is_list && entry.is_on_list;
            if !is_shown && (entry.is_on_list || entry.check_selectors) {
                not_shown.push(Part::Contract { contract });
            }
            let shows_functions = is_shown && entry.check_selectors;
            let listed = entry.functions.iter().filter(|(_, is_on_list)| **is_on_list);
            if !shows_functions {
                let parts = listed.clone().map(|(selector, _)| Part::Function {
                    contract,
                    selector: *selector,
                });
                not_shown.extend(parts);
            }
            if is_shown {
                let functions = shows_functions.then(|| {
                    let text = |selector| {
                        let known = well_known_function(selector).map(str::to_owned);
                        known
                            .or_else(|| names.function(contract, selector))
                            .filter(|text| super::scalar::function(text) == Ok(selector))
                            .unwrap_or_else(|| selector.to_string())
                    };
                    listed
                        .map(|(selector, _)| (*selector, At::nowhere(text(*selector))))
                        .collect()
                });
                entries.insert(contract, At::nowhere(Entry { functions }));
            }
        }
        let native_limit = |limit: SpendLimit| {
            At::nowhere(Limit {
                amount: (!limit.is_unlimited()).then(|| {
                    let coin = NativeUnit::Coin(names.native_symbol().into_owned());
                    (Decimal::of_base_units(limit.spend_limit, 18), coin)
                }),
                refresh_interval: if limit.is_unlimited() {
                    0
                } else {
                    limit.refresh_interval
                },
            })
        };
        let native = match limit_of(&state.native_limit) {
            Some(limit) if limit == SpendLimit::total(alloy_primitives::U256::ZERO) => None,
            limit => Some(native_limit(limit.unwrap_or(SpendLimit::UNLIMITED))),
        };
        let limits: BTreeMap<Address, SpendLimit> = state
            .contracts
            .iter()
            .filter_map(|(token, contract)| Some((*token, limit_of(&contract.token_limit)?)))
            .collect();
        let tokens = named_tokens(limits.keys().chain(entries.keys()).copied(), names);
        let decimals = |token| {
            let named = tokens.values().find(|named| named.value.address == token);
            named.and_then(|named| named.value.decimals)
        };
        let token_limits = limits
            .into_iter()
            .map(|(token, limit)| {
                let amount = match decimals(token) {
                    Some(decimals) => (
                        Decimal::of_base_units(limit.spend_limit, decimals),
                        TokenUnit::Whole,
                    ),
                    None => (Decimal::of_base_units(limit.spend_limit, 0), TokenUnit::Base),
                };
                let limit = Limit {
                    amount: Some(amount),
                    refresh_interval: limit.refresh_interval,
                };
                (token, At::nowhere(limit))
            })
            .collect();
        let range = state.time_range;
        let policy = Self {
            tag: tag
                .filter(|tag| !tag.is_zero())
                .map(|tag| At::nowhere(tag.to_string())),
            valid_after: (range.valid_after != 0).then(|| At::nowhere(range.valid_after)),
            end: (range.valid_until != 0).then(|| At::nowhere(End::At(range.valid_until))),
            access: state.access_control_type,
            access_place: OnlyPlace(None),
            tokens,
            entries,
            native,
            gas: limit_of(&state.gas_limit.info).map(native_limit),
            token_limits,
            required_paymaster: state.required_paymaster.map(At::nowhere),
            agent: None,
        };
        (policy, not_shown)
    }

    /// The policy as text.
    #[must_use]
    pub fn to_text(&self, format: PolicyFormat) -> String {
        match format {
            PolicyFormat::Toml => self.to_toml(),
            PolicyFormat::Json => format!("{:#}\n", self.to_json()),
        }
    }

    fn to_json(&self) -> Value {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        if let Some(tag) = &self.tag {
            put("tag", json!(tag.value));
        }
        if let Some(start) = self.valid_after {
            put("valid_after", json!(UnixTime(start.value).to_string()));
        }
        match self.end.map(|end| end.value) {
            Some(End::At(until)) => _ = put("valid_until", json!(UnixTime(until).to_string())),
            Some(End::For(seconds)) => _ = put("valid_for", json!(interval(seconds))),
            None => {}
        }
        if let Some(access) = self.access_text() {
            put("access", json!(access));
        }
        if !self.tokens.is_empty() {
            let tokens: Map<String, Value> = self
                .tokens
                .iter()
                .map(|(name, token)| {
                    let mut members =
                        Map::from_iter([("address".to_owned(), json!(token.value.address.to_string()))]);
                    if let Some(decimals) = token.value.decimals {
                        members.insert("decimals".to_owned(), json!(decimals));
                    }
                    (name.clone(), Value::Object(members))
                })
                .collect();
            put("tokens", Value::Object(tokens));
        }
        if !self.entries.is_empty() {
            let entries = self.entries.iter().map(|(contract, entry)| {
                let mut members =
                    Map::from_iter([("contract".to_owned(), json!(self.contract_text(*contract)))]);
                if let Some(functions) = &entry.value.functions {
                    let functions: Vec<&str> = functions.values().map(|text| text.value.as_str()).collect();
                    members.insert("functions".to_owned(), json!(functions));
                }
                Value::Object(members)
            });
            put(self.list_name(), entries.collect());
        }
        let mut limits = Map::new();
        if let Some(limit) = &self.native {
            limits.insert("native".to_owned(), json!(native_text(&limit.value)));
        }
        if let Some(limit) = &self.gas {
            limits.insert("gas".to_owned(), json!(native_text(&limit.value)));
        }
        if !self.token_limits.is_empty() {
            limits.insert("tokens".to_owned(), json!(self.token_limit_texts()));
        }
        if !limits.is_empty() {
            put("limits", Value::Object(limits));
        }
        if let Some(paymaster) = self.required_paymaster {
            put("required_paymaster", json!(paymaster.value.to_string()));
        }
        if let Some(agent) = &self.agent {
            let lists = agent
                .lists()
                .into_iter()
                .map(|(name, texts)| (name.to_owned(), json!(texts)));
            put("agent", Value::Object(lists.collect()));
        }
        Value::Object(members)
    }

    fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} = {value}");
        };
        if let Some(tag) = &self.tag {
            line("tag", &quoted(&tag.value));
        }
        if let Some(start) = self.valid_after {
            line("valid_after", &quoted(&UnixTime(start.value).to_string()));
        }
        match self.end.map(|end| end.value) {
            Some(End::At(until)) => line("valid_until", &quoted(&UnixTime(until).to_string())),
            Some(End::For(seconds)) => line("valid_for", &quoted(&interval(seconds))),
            None => {}
        }
        if let Some(access) = self.access_text() {
            line("access", &quoted(access));
        }
        if let Some(paymaster) = self.required_paymaster {
            line("required_paymaster", &quoted(&paymaster.value.to_string()));
        }
        for (name, token) in &self.tokens {
            let NamedToken { address, decimals } = &token.value;
            let _ = write!(text, "\n[tokens.{}]\naddress = \"{address}\"\n", key(name));
            if let Some(decimals) = decimals {
                let _ = writeln!(text, "decimals = {decimals}");
            }
        }
        for (contract, entry) in &self.entries {
            let contract = quoted(&self.contract_text(*contract));
            let _ = write!(text, "\n[[{}]]\ncontract = {contract}\n", self.list_name());
            if let Some(functions) = &entry.value.functions {
                let functions: Vec<String> = functions.values().map(|text| quoted(&text.value)).collect();
                let _ = writeln!(text, "functions = [{}]", functions.join(", "));
            }
        }
        if self.native.is_some() || self.gas.is_some() || !self.token_limits.is_empty() {
            text.push_str("\n[limits]\n");
        }
        if let Some(limit) = &self.native {
            let _ = writeln!(text, "native = {}", quoted(&native_text(&limit.value)));
        }
        if let Some(limit) = &self.gas {
            let _ = writeln!(text, "gas = {}", quoted(&native_text(&limit.value)));
        }
        if !self.token_limits.is_empty() {
            let limits: Vec<String> = self.token_limit_texts().iter().map(|text| quoted(text)).collect();
            let _ = writeln!(text, "tokens = [{}]", limits.join(", "));
        }
        if let Some(agent) = &self.agent {
            text.push_str("\n[agent]\n");
            for (name, texts) in agent.lists() {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                let _ = writeln!(text, "{name} = [{}]", texts.join(", "));
            }
        }
        text
    }

    const fn access_text(&self) -> Option<&'static str> {
        match self.access {
            AccessControlType::Allowlist => None,
            AccessControlType::Denylist => Some("denylist"),
            AccessControlType::AllowAllAccess => Some("everything"),
        }
    }

    const fn list_name(&self) -> &'static str {
        match self.access {
            AccessControlType::Denylist => "deny",
            _ => "allow",
        }
    }

    fn contract_text(&self, contract: Address) -> String {
        let mut names = self.token_names();
        let named = names.find(|(address, _)| *address == contract);
        named.map_or_else(|| contract.to_string(), |(_, name)| name.to_owned())
    }

    fn token_limit_texts(&self) -> Vec<String> {
        let texts = self.token_limits.iter().filter_map(|(token, limit)| {
            let (number, unit) = limit.value.amount?;
            let unit = match unit {
                TokenUnit::Whole => "",
                TokenUnit::Base => "units of ",
            };
            let token = self.contract_text(*token);
            Some(format!(
                "{number} {unit}{token}{}",
                per(limit.value.refresh_interval)
            ))
        });
        texts.collect()
    }
}

/// Names for these tokens, as far as they are known and valid.
fn named_tokens(tokens: impl Iterator<Item = Address>, names: &Names) -> BTreeMap<String, At<NamedToken>> {
    let mut named: BTreeMap<String, At<NamedToken>> = BTreeMap::new();
    let native = names.native_symbol();
    for address in tokens {
        let Some(token) = names.tokens().get(&address) else {
            continue;
        };
        let fits = is_name(&token.symbol)
            && !crate::words::is_like_native(&token.symbol, &native)
            && token.decimals <= super::scalar::MAX_DECIMALS;
        let is_taken = named
            .get(&token.symbol)
            .is_some_and(|other| other.value.address != address);
        if fits && !is_taken {
            let value = NamedToken {
                address,
                decimals: Some(token.decimals),
            };
            named.insert(token.symbol.clone(), At::nowhere(value));
        }
    }
    named
}

fn native_text(limit: &Limit<NativeUnit>) -> String {
    match &limit.amount {
        None => "unlimited".to_owned(),
        Some((number, unit)) => {
            let unit = match unit {
                NativeUnit::Coin(symbol) => symbol,
                NativeUnit::Gwei => "gwei",
                NativeUnit::Wei => "wei",
            };
            format!("{number} {unit}{}", per(limit.refresh_interval))
        }
    }
}

fn per(seconds: u64) -> String {
    if seconds == 0 {
        String::new()
    } else {
        format!(" per {}", interval(seconds))
    }
}

/// A quoted string. TOML accepts JSON's escapes, and requires one more character to be escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// A member's name in TOML.
fn key(name: &str) -> String {
    let is_bare = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || character == '_' || character == '-');
    if is_bare { name.to_owned() } else { quoted(name) }
}
