//! The `[agent]` table: rules that the agent keeps itself.

use super::{
    At, Facts, Limit, NativeUnit, Place, Policy, PolicyError, TokenUnit,
    error::{PolicyErrorCode as Code, Wrong},
    read::{Members, Names, at, list, native_limit, text, token_limit},
    resolve::native,
    scalar,
    tree::Node,
};
use crate::agent_rules::{AgentRules, Asset, Window};
use alloy_primitives::{Address, U256};
use std::collections::BTreeMap;

/// The table, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentPolicy {
    recipients: Option<Vec<At<Address>>>,
    per_call: Vec<Line>,
    windows: Vec<Line>,
    per_recipient: Vec<Line>,
}

/// An amount with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    text: String,
    amount: At<Amount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Amount {
    Native(Limit<NativeUnit>),
    Token(Address, Limit<TokenUnit>),
    Calls(U256, u64),
}

impl Amount {
    const fn interval(&self) -> u64 {
        match self {
            Self::Native(limit) => limit.refresh_interval,
            Self::Token(_, limit) => limit.refresh_interval,
            Self::Calls(_, interval) => *interval,
        }
    }
}

pub(super) fn read(node: &Node, names: &Names<'_>) -> Result<AgentPolicy, PolicyError> {
    let known = &["recipients", "per_call", "windows", "per_recipient"];
    let mut members = Members::new("agent", node, known)?;
    let recipients = match members.take("recipients") {
        None => None,
        Some(node) => {
            let mut recipients: Vec<At<Address>> = Vec::new();
            for item in list(node, "addresses")? {
                let text = text(item, "an address or a token's name")?;
                let recipient = at(item, names.contract(text.trim()))?;
                if recipients.contains(&recipient) {
                    let message = format!("{} is listed twice", recipient.value);
                    return Err(PolicyError::new(Code::Duplicate, item.place, message));
                }
                recipients.push(recipient);
            }
            Some(recipients)
        }
    };
    Ok(AgentPolicy {
        recipients,
        per_call: lines(members.take("per_call"), names, false)?,
        windows: lines(members.take("windows"), names, true)?,
        per_recipient: lines(members.take("per_recipient"), names, true)?,
    })
}

fn lines(node: Option<&Node>, names: &Names<'_>, has_interval: bool) -> Result<Vec<Line>, PolicyError> {
    let expected = if has_interval {
        "such as \"100 USDC per 1 day\" or \"20 calls per 1 hour\""
    } else {
        "such as \"100 USDC\""
    };
    let items = node.map_or(Ok(&[][..]), |node| list(node, "amounts"))?;
    let mut lines = Vec::new();
    for item in items {
        let written = text(item, expected)?;
        let amount = amount(item, written, names)?;
        let wrong = |code, message: String| Err(PolicyError::new(code, item.place, message));
        if has_interval && amount.interval() == 0 {
            return wrong(
                Code::BadInterval,
                format!("a window has a length: expected an amount {expected}"),
            );
        }
        if !has_interval && amount.interval() != 0 {
            return wrong(
                Code::BadAmount,
                format!("one call has no interval: expected an amount {expected}"),
            );
        }
        if !has_interval && matches!(amount, Amount::Calls(..)) {
            return wrong(
                Code::UnknownUnit,
                "one call is one call: expected an amount of a coin or token".to_owned(),
            );
        }
        lines.push(Line {
            text: written.to_owned(),
            amount: At::new(item.place, amount),
        });
    }
    Ok(lines)
}

fn amount(node: &Node, text: &str, names: &Names<'_>) -> Result<Amount, PolicyError> {
    let wrong = |wrong: Wrong| wrong.at(node.place);
    let limit = scalar::limit(text).map_err(wrong)?;
    let Some((number, unit)) = limit.amount else {
        let message = "what is unlimited is not listed here: leave it out";
        return Err(PolicyError::new(Code::BadAmount, node.place, message));
    };
    match unit {
        "call" | "calls" => {
            let count = number.base_units(0, "call").map_err(wrong)?;
            Ok(Amount::Calls(count, limit.refresh_interval))
        }
        "" => {
            let message = "an amount of nothing in particular: name the coin, the token, or calls";
            Err(PolicyError::new(Code::MissingUnit, node.place, message))
        }
        _ if unit.starts_with("0x") || unit.starts_with("units of ") || names.0.contains_key(unit) => {
            let (token, limit) = token_limit(text, names).map_err(wrong)?;
            Ok(Amount::Token(token, limit))
        }
        _ => Ok(Amount::Native(native_limit(node)?.value)),
    }
}

impl AgentPolicy {
    /// Its members, as written.
    pub(super) fn lists(&self) -> Vec<(&'static str, Vec<String>)> {
        let texts = |lines: &[Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        let mut lists = Vec::new();
        if let Some(recipients) = &self.recipients {
            let recipients = recipients.iter().map(|recipient| recipient.value.to_string());
            lists.push(("recipients", recipients.collect()));
        }
        for (name, lines) in [
            ("per_call", &self.per_call),
            ("windows", &self.windows),
            ("per_recipient", &self.per_recipient),
        ] {
            if !lines.is_empty() {
                lists.push((name, texts(lines)));
            }
        }
        lists
    }
}

impl Policy {
    /// Whether it has rules for the agent, which the chain does not enforce.
    pub const fn has_agent_rules(&self) -> bool {
        self.agent.is_some()
    }

    /// The rules that the agent keeps itself, completed with the chain's facts. A file without an `agent`
    /// table has none: everything that the chain allows is allowed.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], if a token's decimals are not known, a unit is not the chain's coin, or two
    /// lines say the same.
    pub fn agent_rules(&self, facts: &Facts) -> Result<AgentRules, PolicyError> {
        let Some(agent) = &self.agent else {
            return Ok(AgentRules::default());
        };
        let mut rules = AgentRules {
            recipients: agent
                .recipients
                .as_ref()
                .map(|recipients| recipients.iter().map(|recipient| recipient.value).collect()),
            ..AgentRules::default()
        };
        let twice = |place: Place, text: &str| {
            let message = format!("{text:?}: another line limits the same");
            PolicyError::new(Code::Duplicate, place, message)
        };
        for line in &agent.per_call {
            let (asset, most) = self.agent_amount(line, facts)?;
            if rules.per_call.insert(asset, most).is_some() {
                return Err(twice(line.amount.place, &line.text));
            }
        }
        for (lines, per_recipient) in [(&agent.windows, false), (&agent.per_recipient, true)] {
            let mut seen = BTreeMap::new();
            for line in lines {
                let (asset, most) = self.agent_amount(line, facts)?;
                let seconds = line.amount.value.interval();
                if seen.insert((asset, seconds), ()).is_some() {
                    return Err(twice(line.amount.place, &line.text));
                }
                rules.windows.insert(Window {
                    asset,
                    most,
                    seconds,
                    per_recipient,
                });
            }
        }
        Ok(rules)
    }

    fn agent_amount(&self, line: &Line, facts: &Facts) -> Result<(Asset, U256), PolicyError> {
        let place = line.amount.place;
        Ok(match &line.amount.value {
            Amount::Native(limit) => {
                let limit = native(&At::new(place, limit.clone()), facts.symbol())?;
                (Asset::Native, limit.spend_limit)
            }
            Amount::Token(token, limit) => {
                let limit = At::new(place, limit.clone());
                let limit = self.token(*token, &limit, facts, &mut BTreeMap::new())?;
                (Asset::Token(*token), limit.spend_limit)
            }
            Amount::Calls(count, _) => (Asset::Calls, *count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyFormat;

    const TEXT: &str = r#"
[tokens.USDC]
address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
decimals = 6

[agent]
recipients = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "USDC"]
per_call = ["20 USDC", "0.5 ETH"]
windows = ["30 USDC per 1 hour", "100 USDC per 1 day", "20 calls per 10 minutes", "5 gwei per 1 day"]
per_recipient = ["50 units of USDC per 1 week"]
"#;

    fn parse(text: &str) -> Policy {
        Policy::parse(text, PolicyFormat::Toml).unwrap()
    }

    fn code(lines: &str) -> String {
        let text = TEXT.replace("per_call = [\"20 USDC\", \"0.5 ETH\"]", lines);
        assert_ne!(text, TEXT);
        let error =
            Policy::parse(&text, PolicyFormat::Toml).and_then(|policy| policy.agent_rules(&Facts::new()));
        error.unwrap_err().code.as_str().to_owned()
    }

    #[test]
    fn rules_are_read_in_base_units_and_seconds() {
        let rules = parse(TEXT).agent_rules(&Facts::new()).unwrap();
        let usdc = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48".parse().unwrap();
        assert_eq!(rules.recipients.as_ref().unwrap().len(), 2);
        assert_eq!(rules.per_call[&Asset::Token(usdc)], U256::from(20_000_000));
        assert_eq!(
            rules.per_call[&Asset::Native],
            U256::from(500_000_000_000_000_000_u64)
        );
        let windows: Vec<_> = rules
            .windows
            .iter()
            .map(|window| {
                (
                    window.asset,
                    window.most.to::<u64>(),
                    window.seconds,
                    window.per_recipient,
                )
            })
            .collect();
        let token = Asset::Token(usdc);
        assert_eq!(
            windows,
            [
                (Asset::Native, 5_000_000_000, 86_400, false),
                (token, 50, 604_800, true),
                (token, 30_000_000, 3_600, false),
                (token, 100_000_000, 86_400, false),
                (Asset::Calls, 20, 600, false),
            ]
        );
    }

    #[test]
    fn a_policy_without_rules_has_none() {
        let policy = parse("tag = \"a\"");
        assert!(!policy.has_agent_rules());
        assert_eq!(policy.agent_rules(&Facts::new()).unwrap(), AgentRules::default());
    }

    #[test]
    fn rules_do_not_change_what_the_chain_is_asked_for() {
        let without = TEXT.split("[agent]").next().unwrap();
        let permissions = |text| parse(text).resolve(&Facts::new()).unwrap().permissions;
        assert_eq!(
            permissions(TEXT).encode().unwrap(),
            permissions(without).encode().unwrap()
        );
    }

    #[test]
    fn a_policy_is_written_with_its_rules() {
        let policy = parse(TEXT);
        for format in [PolicyFormat::Toml, PolicyFormat::Json] {
            assert_eq!(Policy::parse(&policy.to_text(format), format).unwrap(), policy);
        }
    }

    #[test]
    fn what_is_not_a_rule_is_an_error() {
        for (lines, expected) in [
            ("per_call = [\"20\"]", "missing_unit"),
            ("per_call = [\"0\"]", "missing_unit"),
            ("per_call = [\"20 DAI\"]", "unknown_unit"),
            ("per_call = [\"20 USDC per 1 day\"]", "bad_amount"),
            ("per_call = [\"3 calls\"]", "unknown_unit"),
            ("per_call = [\"unlimited\"]", "bad_amount"),
            ("per_call = [\"20 USDC\", \"21 USDC\"]", "duplicate"),
            ("per_call = [5]", "wrong_type"),
            ("per_hour = [\"20 USDC\"]", "unknown_member"),
            ("recipient = []", "unknown_member"),
        ] {
            assert_eq!(code(lines), expected, "{lines}");
        }
        let windows = |line: &str| TEXT.replace("30 USDC per 1 hour", line);
        for (line, expected) in [
            ("30 USDC", "bad_interval"),
            ("100 USDC per 24 hours", "duplicate"),
            ("1.5 calls per 1 hour", "too_many_decimals"),
            ("unlimited", "bad_amount"),
        ] {
            let policy = Policy::parse(&windows(line), PolicyFormat::Toml);
            let error = policy
                .and_then(|policy| policy.agent_rules(&Facts::new()))
                .unwrap_err();
            assert_eq!(error.code.as_str(), expected, "{line}");
        }
    }
}
