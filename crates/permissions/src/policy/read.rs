//! Parses a tree of values into a policy: every member, and no other.

use super::{
    At, End, Entry, Limit, NamedToken, NativeUnit, OnlyPlace, Place, Policy, PolicyError, TokenUnit, agent,
    error::{PolicyErrorCode as Code, Wrong},
    scalar,
    tree::{Node, Table, Value},
};
use crate::{AccessControlType, parse_address, words::clean};
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// The longest name of a token, in characters.
const MAX_NAME: usize = 32;
/// Words that amounts are made of.
const RESERVED: [&str; 9] = [
    "call",
    "calls",
    "native",
    "eth",
    "gwei",
    "wei",
    "unlimited",
    "units",
    "per",
];

/// A table whose members are taken out one by one.
pub(super) struct Members<'a> {
    /// What the table is, for errors.
    what: &'static str,
    place: Place,
    rest: BTreeMap<&'a str, (Place, &'a Node)>,
    known: &'static [&'static str],
}

impl<'a> Members<'a> {
    pub(super) fn new(
        what: &'static str,
        node: &'a Node,
        known: &'static [&'static str],
    ) -> Result<Self, PolicyError> {
        let table = table(what, node)?;
        let rest: BTreeMap<&str, (Place, &Node)> = table
            .iter()
            .map(|(name, (place, node))| (name.as_str(), (*place, node)))
            .collect();
        if let Some((name, (place, _))) = rest.iter().find(|(name, _)| !known.contains(name)) {
            let message = format!(
                "{what} has no member {:?}: it has {}",
                clean(name),
                known.join(", ")
            );
            return Err(PolicyError::new(Code::UnknownMember, *place, message));
        }
        Ok(Self {
            what,
            place: node.place,
            rest,
            known,
        })
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        debug_assert!(self.known.contains(&name));
        self.rest.remove(name).map(|(_, node)| node)
    }

    fn required(&mut self, name: &'static str) -> Result<&'a Node, PolicyError> {
        self.take(name).ok_or_else(|| {
            let message = format!("{} needs the member {name}", self.what);
            PolicyError::new(Code::MissingMember, self.place, message)
        })
    }
}

fn wrong_type(node: &Node, expected: &str) -> PolicyError {
    let message = format!("expected {expected}, found {}", node.value.kind());
    PolicyError::new(Code::WrongType, node.place, message)
}

fn table<'a>(what: &str, node: &'a Node) -> Result<&'a Table, PolicyError> {
    match &node.value {
        Value::Table(table) => Ok(table),
        _ => Err(wrong_type(node, &format!("a table ({what})"))),
    }
}

pub(super) fn list<'a>(node: &'a Node, of: &str) -> Result<&'a [Node], PolicyError> {
    match &node.value {
        Value::List(items) => Ok(items),
        _ => Err(wrong_type(node, &format!("a list of {of}"))),
    }
}

pub(super) fn text<'a>(node: &'a Node, expected: &str) -> Result<&'a str, PolicyError> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(wrong_type(node, &format!("a string, {expected}"))),
    }
}

pub(super) fn at<T>(node: &Node, value: Result<T, Wrong>) -> Result<At<T>, PolicyError> {
    value
        .map(|value| At::new(node.place, value))
        .map_err(|wrong| wrong.at(node.place))
}

pub(super) fn policy(root: &Node) -> Result<Policy, PolicyError> {
    let mut members = Members::new(
        "a policy",
        root,
        &[
            "tag",
            "valid_after",
            "valid_until",
            "valid_for",
            "access",
            "tokens",
            "allow",
            "deny",
            "limits",
            "required_paymaster",
            "agent",
        ],
    )?;
    let tag = members.take("tag").map(tag).transpose()?;
    let valid_after = members.take("valid_after").map(time).transpose()?;
    let valid_until = members.take("valid_until").map(time).transpose()?;
    let valid_for = members.take("valid_for").map(interval).transpose()?;
    let end = match (valid_until, valid_for) {
        (Some(_), Some(valid_for)) => {
            let message = "a policy has valid_until or valid_for, not both";
            return Err(PolicyError::new(Code::Contradiction, valid_for.place, message));
        }
        (Some(until), None) => Some(At::new(until.place, End::At(until.value))),
        (None, Some(valid_for)) => Some(At::new(valid_for.place, End::For(valid_for.value))),
        (None, None) => None,
    };
    let access_node = members.take("access");
    let access = access_node.map_or(Ok(AccessControlType::Allowlist), access)?;
    let tokens = members
        .take("tokens")
        .map(tokens)
        .transpose()?
        .unwrap_or_default();
    let names = Names(&tokens);
    let mut entries = BTreeMap::new();
    let mut first_entry = None;
    for (name, list_type) in [
        ("allow", AccessControlType::Allowlist),
        ("deny", AccessControlType::Denylist),
    ] {
        let Some(node) = members.take(name) else { continue };
        let items = list(node, "tables with a contract")?;
        if access != list_type && !items.is_empty() {
            return Err(stray_list(node, name, access));
        }
        first_entry = items.first().map(|item| item.place);
        for item in items {
            let (contract, entry) = entry(item, &names)?;
            if entries.insert(contract, entry).is_some() {
                let message = format!("{contract} already has an entry: put its functions there");
                return Err(PolicyError::new(Code::Duplicate, item.place, message));
            }
        }
    }
    let (native, gas, token_limits) = match members.take("limits") {
        Some(node) => limits(node, &names)?,
        None => (None, None, BTreeMap::new()),
    };
    let required_paymaster = members.take("required_paymaster").map(paymaster).transpose()?;
    let agent = members
        .take("agent")
        .map(|node| agent::read(node, &names))
        .transpose()?;
    if let (
        Some(start),
        Some(At {
            place,
            value: End::At(until),
        }),
    ) = (valid_after, end)
        && until < start.value
    {
        let message = "the policy ends before it begins";
        return Err(PolicyError::new(Code::Contradiction, place, message));
    }
    Ok(Policy {
        tag,
        valid_after,
        end,
        access,
        access_place: OnlyPlace(access_node.map(|node| node.place).or(first_entry)),
        tokens,
        entries,
        native,
        gas,
        token_limits,
        required_paymaster,
        agent,
    })
}

fn tag(node: &Node) -> Result<At<String>, PolicyError> {
    let text = text(node, "the tag")?;
    at(node, scalar::tag(text).map(|_| text.to_owned()))
}

fn time(node: &Node) -> Result<At<u64>, PolicyError> {
    match &node.value {
        Value::Text(text) | Value::Time(text) => at(node, scalar::time(text)),
        // Reports the error of a string: the format is missing.
        Value::Number(number) => at(node, scalar::time(number)),
        _ => Err(wrong_type(node, "a time such as \"2027-03-01T00:00:00Z\"")),
    }
}

fn interval(node: &Node) -> Result<At<u64>, PolicyError> {
    match &node.value {
        Value::Text(text) => at(node, scalar::interval(text)),
        Value::Number(number) => at(node, scalar::interval(number)),
        _ => Err(wrong_type(node, "an interval such as \"90 days\"")),
    }
}

fn access(node: &Node) -> Result<AccessControlType, PolicyError> {
    match text(node, "\"allowlist\", \"denylist\" or \"everything\"")? {
        "allowlist" => Ok(AccessControlType::Allowlist),
        "denylist" => Ok(AccessControlType::Denylist),
        "everything" => Ok(AccessControlType::AllowAllAccess),
        other => {
            let message = format!(
                "expected \"allowlist\", \"denylist\" or \"everything\", found {:?}",
                clean(other)
            );
            Err(PolicyError::new(Code::BadAccess, node.place, message))
        }
    }
}

fn stray_list(node: &Node, name: &str, access: AccessControlType) -> PolicyError {
    let message = match access {
        AccessControlType::Allowlist => "deny entries need access = \"denylist\"".to_owned(),
        AccessControlType::Denylist => {
            "allow entries need access = \"allowlist\"; this policy has \"denylist\"".to_owned()
        }
        AccessControlType::AllowAllAccess => {
            format!("with access = \"everything\" there is nothing to {name}")
        }
    };
    PolicyError::new(Code::Contradiction, node.place, message)
}

fn tokens(node: &Node) -> Result<BTreeMap<String, At<NamedToken>>, PolicyError> {
    let mut tokens: BTreeMap<String, At<NamedToken>> = BTreeMap::new();
    for (name, (place, node)) in table("tokens by name", node)? {
        if !is_name(name) {
            let message = format!(
                "{:?} cannot be the name of a token: it takes a letter, then letters, digits and . _ - +, at most {MAX_NAME}, \
                 and none of {}",
                clean(name),
                RESERVED.join(", ")
            );
            return Err(PolicyError::new(Code::BadName, *place, message));
        }
        let mut members = Members::new("a token", node, &["address", "decimals"])?;
        let address_node = members.required("address")?;
        let address = address(address_node)?;
        if tokens.values().any(|token| token.value.address == address) {
            let message = format!("{address} already has a name");
            return Err(PolicyError::new(Code::Duplicate, address_node.place, message));
        }
        let decimals = members.take("decimals").map(decimals).transpose()?;
        tokens.insert(name.clone(), At::new(*place, NamedToken { address, decimals }));
    }
    Ok(tokens)
}

/// Whether a token can have this name without being mistaken for something else.
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|character| character.is_ascii_alphanumeric() || "._-+".contains(character))
        && name.len() <= MAX_NAME
        && !RESERVED.contains(&&*name.to_ascii_lowercase())
}

fn decimals(node: &Node) -> Result<u8, PolicyError> {
    let Value::Number(number) = &node.value else {
        return Err(wrong_type(node, "the number of decimals, such as 6"));
    };
    match number.parse() {
        Ok(decimals @ 0..=scalar::MAX_DECIMALS) => Ok(decimals),
        _ => {
            let message = format!("a token has 0 to {} decimals", scalar::MAX_DECIMALS);
            Err(PolicyError::new(Code::OutOfRange, node.place, message))
        }
    }
}

pub(super) fn address(node: &Node) -> Result<Address, PolicyError> {
    let text = text(node, "an address")?;
    parse_address(text).map_err(|_| {
        let message = format!(
            "expected an address, 0x and 40 digits with a correct checksum, found {:?}",
            clean(text)
        );
        PolicyError::new(Code::BadAddress, node.place, message)
    })
}

fn paymaster(node: &Node) -> Result<At<Address>, PolicyError> {
    let paymaster = address(node)?;
    if paymaster.is_zero() {
        let message = "the zero address cannot be a paymaster: leave the member out if any will do";
        return Err(PolicyError::new(Code::BadAddress, node.place, message));
    }
    Ok(At::new(node.place, paymaster))
}

/// The named tokens.
pub(super) struct Names<'a>(pub(super) &'a BTreeMap<String, At<NamedToken>>);

impl Names<'_> {
    /// A contract, by its name or its address.
    pub(super) fn contract(&self, text: &str) -> Result<Address, Wrong> {
        if let Some(token) = self.0.get(text) {
            return Ok(token.value.address);
        }
        if text.starts_with("0x") {
            return parse_address(text).map_err(|_| {
                let message = format!("{:?} is not an address, or its checksum is wrong", clean(text));
                Wrong::new(Code::BadAddress, message)
            });
        }
        let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "no token has a name here (tokens.NAME)".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let message = format!(
            "{:?} is not an address, and no token has this name: {known}",
            clean(text)
        );
        Err(Wrong::new(Code::UnknownName, message))
    }
}

fn entry(node: &Node, names: &Names<'_>) -> Result<(Address, At<Entry>), PolicyError> {
    let mut members = Members::new("an entry", node, &["contract", "functions"])?;
    let contract_node = members.required("contract")?;
    let contract = text(contract_node, "an address or a token's name")?;
    let contract = at(contract_node, names.contract(contract))?.value;
    let functions = match members.take("functions") {
        None => None,
        Some(functions) => {
            let mut listed: BTreeMap<_, At<String>> = BTreeMap::new();
            for item in list(functions, "functions")? {
                let text = text(item, "a function such as \"approve(address,uint256)\"")?.trim();
                let selector = at(item, scalar::function(text))?.value;
                if let Some(other) = listed.insert(selector, At::new(item.place, text.to_owned())) {
                    let message = format!(
                        "{text:?} has the selector of {:?}, which is already listed",
                        other.value
                    );
                    return Err(PolicyError::new(Code::Duplicate, item.place, message));
                }
            }
            Some(listed)
        }
    };
    Ok((contract, At::new(contract_node.place, Entry { functions })))
}

type Limits = (
    Option<At<Limit<NativeUnit>>>,
    Option<At<Limit<NativeUnit>>>,
    BTreeMap<Address, At<Limit<TokenUnit>>>,
);

fn limits(node: &Node, names: &Names<'_>) -> Result<Limits, PolicyError> {
    let mut members = Members::new("limits", node, &["native", "gas", "tokens"])?;
    let native = members.take("native").map(native_limit).transpose()?;
    let gas = members.take("gas").map(native_limit).transpose()?;
    let mut tokens = BTreeMap::new();
    if let Some(node) = members.take("tokens") {
        for item in list(node, "amounts of tokens")? {
            let text = text(item, "such as \"100 USDC per 7 days\"")?;
            let (token, limit) = at(item, token_limit(text, names))?.value;
            if tokens.insert(token, At::new(item.place, limit)).is_some() {
                let message = format!("{token} already has a limit");
                return Err(PolicyError::new(Code::Duplicate, item.place, message));
            }
        }
    }
    Ok((native, gas, tokens))
}

pub(super) fn native_limit(node: &Node) -> Result<At<Limit<NativeUnit>>, PolicyError> {
    let text = match &node.value {
        Value::Text(text) | Value::Number(text) => text,
        _ => return Err(wrong_type(node, "an amount such as \"0.1 ETH per 7 days\"")),
    };
    let limit = scalar::limit(text).map(|limit| Limit {
        amount: limit.amount.map(|(number, unit)| {
            let unit = match unit.to_ascii_lowercase().as_str() {
                "wei" | "" => NativeUnit::Wei,
                "gwei" => NativeUnit::Gwei,
                _ => NativeUnit::Coin(unit.to_owned()),
            };
            (number, unit)
        }),
        refresh_interval: limit.refresh_interval,
    });
    at(node, limit)
}

pub(super) fn token_limit(text: &str, names: &Names<'_>) -> Result<(Address, Limit<TokenUnit>), Wrong> {
    let limit = scalar::limit(text)?;
    let Some((number, unit)) = limit.amount else {
        let message = "an unlimited token is not listed here: leave it out";
        return Err(Wrong::new(Code::BadAmount, message));
    };
    let (name, unit) = match unit.strip_prefix("units of ") {
        Some(name) => (name.trim(), TokenUnit::Base),
        None => (unit, TokenUnit::Whole),
    };
    if name.is_empty() {
        let message = format!("{number} of what? The limit of a token needs its name or address");
        return Err(Wrong::new(Code::MissingUnit, message));
    }
    let token = names.contract(name).map_err(|wrong| match wrong.code {
        Code::UnknownName => Wrong::new(Code::UnknownUnit, wrong.message),
        _ => wrong,
    })?;
    if token.is_zero() {
        return Err(Wrong::new(
            Code::BadAddress,
            "the zero address cannot have a limit",
        ));
    }
    Ok((
        token,
        Limit {
            amount: Some((number, unit)),
            refresh_interval: limit.refresh_interval,
        },
    ))
}
