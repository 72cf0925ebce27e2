//! The lock file next to a policy's file: the facts that its policies were granted with.

use super::{
    Facts, Place, PolicyError, PolicyFormat,
    error::PolicyErrorCode as Code,
    scalar,
    tree::{self, Node, Table, Value},
};
use crate::{parse_address, words::UnixTime};
use alloy_primitives::{Address, B256};
use std::{collections::BTreeMap, fmt::Write as _};

/// The facts, missing in its file, with which a policy was granted: on one chain, to one key of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockedGrant {
    /// The chain.
    pub chain_id: u64,
    /// The account.
    pub account: Address,
    /// The session key.
    pub session_key: Address,
    /// The key's tag.
    pub tag: B256,
    /// When it was granted, unix seconds.
    pub granted_at: u64,
    /// When it ends, unix seconds; 0 if never. Follows from the time of granting and the file; recorded for
    /// readers.
    pub valid_until: u64,
    /// Decimals of tokens that the file does not give.
    pub decimals: BTreeMap<Address, u8>,
}

impl LockedGrant {
    /// A grant at a time (unix seconds), without an end, a tag, and decimals.
    pub const fn new(chain_id: u64, account: Address, session_key: Address, granted_at: u64) -> Self {
        Self {
            chain_id,
            account,
            session_key,
            tag: B256::ZERO,
            granted_at,
            valid_until: 0,
            decimals: BTreeMap::new(),
        }
    }

    /// The facts with which to resolve the policy again.
    pub fn facts(&self) -> Facts {
        let facts = Facts::new().granted_at(self.granted_at);
        self.decimals.iter().fold(facts, |facts, (token, decimals)| {
            facts.decimals(*token, *decimals)
        })
    }
}

/// A lock file: one entry for each chain, account and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyLock(BTreeMap<(u64, Address, Address), LockedGrant>);

impl PolicyLock {
    /// Reads a lock file (TOML).
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let root = tree::parse(text, PolicyFormat::Toml)?;
        let mut lock = Self::default();
        for (name, (place, node)) in table(&root)? {
            if name != "grant" {
                return Err(unknown(*place, name));
            }
            let Value::List(grants) = &node.value else {
                return Err(wrong(node, "a list of grants"));
            };
            for node in grants {
                let grant = grant(node)?;
                if lock.put(grant).is_some() {
                    let message = "this chain, account and key already have an entry";
                    return Err(PolicyError::new(Code::Duplicate, node.place, message));
                }
            }
        }
        Ok(lock)
    }

    /// The entry for a key.
    pub fn grant(&self, chain_id: u64, account: Address, session_key: Address) -> Option<&LockedGrant> {
        self.0.get(&(chain_id, account, session_key))
    }

    /// All entries.
    pub fn grants(&self) -> impl Iterator<Item = &LockedGrant> {
        self.0.values()
    }

    /// Inserts an entry. Returns the previous one for the same chain, account and key.
    pub fn put(&mut self, grant: LockedGrant) -> Option<LockedGrant> {
        self.0
            .insert((grant.chain_id, grant.account, grant.session_key), grant)
    }

    /// The lock file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text =
            "# The facts that the policy next to this file was granted with. Written by session-key.\n"
                .to_owned();
        for grant in self.grants() {
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "\n[[grant]]\nchain_id = {}\naccount = \"{}\"\nkey = \"{}\"\ntag = \"{}\"\ngranted_at = \"{}\"\n",
                grant.chain_id,
                grant.account,
                grant.session_key,
                grant.tag,
                UnixTime(grant.granted_at)
            );
            if grant.valid_until != 0 {
                let _ = writeln!(text, "valid_until = \"{}\"", UnixTime(grant.valid_until));
            }
            if !grant.decimals.is_empty() {
                text.push_str("\n[grant.decimals]\n");
                for (token, decimals) in &grant.decimals {
                    let _ = writeln!(text, "{token} = {decimals}");
                }
            }
        }
        text
    }
}

fn table(node: &Node) -> Result<&Table, PolicyError> {
    match &node.value {
        Value::Table(table) => Ok(table),
        _ => Err(wrong(node, "a table")),
    }
}

fn wrong(node: &Node, expected: &str) -> PolicyError {
    let message = format!("expected {expected}, found {}", node.value.kind());
    PolicyError::new(Code::WrongType, node.place, message)
}

fn unknown(place: Place, name: &str) -> PolicyError {
    let message = format!("a lock file has no member {:?}", crate::words::clean(name));
    PolicyError::new(Code::UnknownMember, place, message)
}

fn grant(node: &Node) -> Result<LockedGrant, PolicyError> {
    let members = table(node)?;
    let known = [
        "chain_id",
        "account",
        "key",
        "tag",
        "granted_at",
        "valid_until",
        "decimals",
    ];
    if let Some((name, (place, _))) = members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(unknown(*place, name));
    }
    let member = |name: &str| {
        members.get(name).map(|(_, node)| node).ok_or_else(|| {
            PolicyError::new(
                Code::MissingMember,
                node.place,
                format!("a grant needs the member {name}"),
            )
        })
    };
    let text = |node: &'_ Node| match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(wrong(node, "a string")),
    };
    let address = |node: &Node| {
        parse_address(&text(node)?)
            .map_err(|error| PolicyError::new(Code::BadAddress, node.place, error.to_string()))
    };
    let time = |node: &Node| scalar::time(&text(node)?).map_err(|wrong| wrong.at(node.place));
    let number = |node: &Node| match &node.value {
        Value::Number(number) => number
            .parse::<u64>()
            .map_err(|_| PolicyError::new(Code::OutOfRange, node.place, "expected a whole number")),
        _ => Err(wrong(node, "a number")),
    };
    let tag = member("tag")?;
    let mut grant = LockedGrant::new(
        number(member("chain_id")?)?,
        address(member("account")?)?,
        address(member("key")?)?,
        time(member("granted_at")?)?,
    );
    grant.tag = text(tag)?
        .parse()
        .map_err(|_| PolicyError::new(Code::BadTag, tag.place, "expected 32 bytes as 0x and 64 digits"))?;
    if let Some((_, until)) = members.get("valid_until") {
        grant.valid_until = time(until)?;
    }
    if let Some((_, decimals)) = members.get("decimals") {
        for (token, (place, node)) in table(decimals)? {
            let token = parse_address(token)
                .map_err(|error| PolicyError::new(Code::BadAddress, *place, error.to_string()))?;
            let decimals = u8::try_from(number(node)?)
                .ok()
                .filter(|decimals| *decimals <= scalar::MAX_DECIMALS);
            let decimals = decimals.ok_or_else(|| {
                let message = format!("a token has 0 to {} decimals", scalar::MAX_DECIMALS);
                PolicyError::new(Code::OutOfRange, node.place, message)
            })?;
            grant.decimals.insert(token, decimals);
        }
    }
    Ok(grant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_reads_back() {
        let [account, key, token] = [1, 2, 3].map(Address::repeat_byte);
        let mut lock = PolicyLock::default();
        assert_eq!(PolicyLock::parse(&lock.to_text()), Ok(PolicyLock::default()));
        let mut grant = LockedGrant::new(8_453, account, key, 1_800_000_000);
        grant.tag = B256::repeat_byte(9);
        grant.valid_until = 1_803_859_200;
        grant.decimals.insert(token, 6);
        lock.put(grant.clone());
        lock.put(LockedGrant::new(1, account, key, 1));
        assert_eq!(
            PolicyLock::parse(&lock.to_text()),
            Ok(lock.clone()),
            "{}",
            lock.to_text()
        );
        assert_eq!(lock.grant(8_453, account, key), Some(&grant));
        assert_eq!(lock.grant(8_453, key, account), None);
        assert_eq!(
            grant.facts(),
            Facts::new().granted_at(1_800_000_000).decimals(token, 6)
        );
    }

    #[test]
    fn a_damaged_lock_file_is_refused() {
        let grant = LockedGrant::new(1, Address::repeat_byte(1), Address::repeat_byte(2), 5);
        let mut lock = PolicyLock::default();
        lock.put(grant);
        let good = lock.to_text();
        let code = |text: &str| PolicyLock::parse(text).unwrap_err().code;
        let replaced = |from: &str, to: &str| {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            code(&bad)
        };
        assert_eq!(replaced("chain_id", "chain"), Code::UnknownMember);
        assert_eq!(replaced("chain_id = 1\n", ""), Code::MissingMember);
        assert_eq!(replaced("chain_id = 1", "chain_id = -1"), Code::OutOfRange);
        assert_eq!(replaced("key = \"0x02", "key = \"0x03zz"), Code::BadAddress);
        assert_eq!(replaced("1970-01-01T00:00:05Z", "then"), Code::BadTime);
        assert_eq!(replaced("[[grant]]", "[grant]"), Code::WrongType);
        let entry = &good[good.find("[[grant]]").unwrap()..];
        assert_eq!(code(&format!("{good}{entry}")), Code::Duplicate);
        assert_eq!(
            code(&format!("{good}\n[grant.decimals]\n{} = 78\n", Address::ZERO)),
            Code::OutOfRange
        );
    }
}
