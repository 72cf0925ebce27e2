//! Rules that an agent keeps besides those of its key: narrower than the chain's, and not enforced by it.

use crate::{Call, ERC20_APPROVE, ERC20_TRANSFER, erc20::TOKEN_CALL_LENGTH};
use alloy_primitives::{Address, Selector, U256};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "asset", content = "token", rename_all = "snake_case")]
pub enum Asset {
    /// The native coin, in wei.
    Native,
    /// A token, in base units: what `transfer` and `approve` calls of it name.
    Token(Address),
    /// Calls.
    Calls,
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("wei"),
            Self::Token(token) => write!(f, "base units of {token}"),
            Self::Calls => f.write_str("calls"),
        }
    }
}

/// The most within any period of a length: unlike the chain's limits, it has no boundary at which twice the
/// amount can be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// What is counted.
    pub asset: Asset,
    /// The most, in its unit.
    pub most: U256,
    /// The length, in seconds; at least one.
    pub seconds: u64,
    /// Whether each recipient is counted apart.
    pub per_recipient: bool,
}

/// The rules. The default allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentRules {
    /// The only recipients: of the coin, of transfers and approvals, and of all other calls. `None`: anyone.
    pub recipients: Option<BTreeSet<Address>>,
    /// The most that one call may move, in each asset's unit.
    pub per_call: BTreeMap<Asset, U256>,
    /// Rolling windows.
    pub windows: BTreeSet<Window>,
}

/// Why calls break an agent's rules. Indices of calls begin at zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AgentViolation {
    /// The recipient is not one of the rules'.
    Recipient {
        /// The call.
        call: usize,
        /// Its recipient.
        recipient: Address,
    },
    /// One call moves too much.
    PerCall {
        /// The call.
        call: usize,
        /// What it moves.
        asset: Asset,
        /// How much, in the asset's unit.
        asked: U256,
        /// The most.
        most: U256,
    },
    /// A token is counted, and the call is another than `transfer` and `approve`: what it moves is unknown.
    Uncounted {
        /// The call.
        call: usize,
        /// The token.
        token: Address,
        /// The function.
        selector: Selector,
    },
    /// A window has too little left.
    Window {
        /// The window.
        window: Window,
        /// The recipient, if each is counted apart.
        recipient: Option<Address>,
        /// How much is asked for, in the asset's unit.
        asked: U256,
        /// How much of the window is used, or reserved.
        used: U256,
        /// When there will be enough, unix seconds. `None`: never.
        passes_from: Option<u64>,
    },
}

impl AgentViolation {
    /// A stable code, whose meaning never changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Recipient { .. } => "recipient_not_listed",
            Self::PerCall { .. } => "call_too_large",
            Self::Uncounted { .. } => "function_not_counted",
            Self::Window { .. } => "window_exceeded",
        }
    }

    /// When the calls would pass this rule, unix seconds. `None`: never.
    pub const fn passes_from(&self) -> Option<u64> {
        match self {
            Self::Window { passes_from, .. } => *passes_from,
            _ => None,
        }
    }
}

impl fmt::Display for AgentViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipient { call, recipient } => {
                write!(
                    f,
                    "call {}: {recipient} is not one of the agent's recipients",
                    call + 1
                )
            }
            Self::PerCall {
                call,
                asset,
                asked,
                most,
            } => write!(
                f,
                "call {}: it moves {asked} {asset}, but one call may move {most}",
                call + 1
            ),
            Self::Uncounted {
                call,
                token,
                selector,
            } => write!(
                f,
                "call {}: the agent counts {token}, and only transfer and approve can be counted, not {selector}",
                call + 1
            ),
            Self::Window {
                window,
                recipient,
                asked,
                used,
                ..
            } => {
                write!(
                    f,
                    "it uses {asked} {}, but {used} of {} are used within {} seconds",
                    window.asset, window.most, window.seconds
                )?;
                match recipient {
                    Some(recipient) => write!(f, " for {recipient}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What calls use of a window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// What is counted.
    pub asset: Asset,
    /// For whom, if each recipient is counted apart.
    pub recipient: Option<Address>,
}

/// One call, as it is counted.
struct Counted {
    recipient: Address,
    native: U256,
    token: Option<(Address, U256)>,
}

impl Counted {
    fn of(call: &Call) -> Self {
        let token = matches!(call.selector(), ERC20_TRANSFER | ERC20_APPROVE)
            .then(|| Some((call.data.get(4..36)?, call.data.get(36..TOKEN_CALL_LENGTH)?)))
            .flatten();
        match token {
            Some((recipient, amount)) => Self {
                recipient: Address::from_slice(&recipient[12..]),
                native: call.value,
                token: Some((call.target, U256::from_be_slice(amount))),
            },
            None => Self {
                recipient: call.target,
                native: call.value,
                token: None,
            },
        }
    }
}

impl AgentRules {
    /// The rules that calls break, windows aside.
    pub fn check(&self, calls: &[Call]) -> Vec<AgentViolation> {
        let mut violations = Vec::new();
        let counts = |token: Address| {
            self.per_call.contains_key(&Asset::Token(token))
                || self
                    .windows
                    .iter()
                    .any(|window| window.asset == Asset::Token(token))
        };
        for (index, call) in calls.iter().enumerate() {
            let counted = Counted::of(call);
            if let Some(recipients) = &self.recipients {
                // A token call that sends the coin along has two recipients.
                let mut all = vec![counted.recipient];
                if !counted.native.is_zero() && call.target != counted.recipient {
                    all.push(call.target);
                }
                violations.extend(
                    all.into_iter()
                        .filter(|recipient| !recipients.contains(recipient))
                        .map(|recipient| AgentViolation::Recipient {
                            call: index,
                            recipient,
                        }),
                );
            }
            if counted.token.is_none() && counts(call.target) && !call.data.is_empty() {
                violations.push(AgentViolation::Uncounted {
                    call: index,
                    token: call.target,
                    selector: call.selector(),
                });
            }
            let token = counted.token.map(|(token, amount)| (Asset::Token(token), amount));
            let moved = [Some((Asset::Native, counted.native)), token];
            for (asset, asked) in moved.into_iter().flatten() {
                if let Some(most) = self.per_call.get(&asset)
                    && asked > *most
                {
                    violations.push(AgentViolation::PerCall {
                        call: index,
                        asset,
                        asked,
                        most: *most,
                    });
                }
            }
        }
        violations
    }

    /// What calls use of the windows. Sums saturate, and then fit no window.
    pub fn uses(&self, calls: &[Call]) -> BTreeMap<Use, U256> {
        let mut uses: BTreeMap<Use, U256> = BTreeMap::new();
        let mut add = |asset: Asset, recipient: Address, amount: U256| {
            // Windows of several lengths count the same.
            for recipient in [None, Some(recipient)] {
                let used = Use { asset, recipient };
                if self.windows_of(&used).next().is_some() {
                    let total = uses.entry(used).or_default();
                    *total = total.saturating_add(amount);
                }
            }
        };
        for call in calls {
            let counted = Counted::of(call);
            add(Asset::Calls, counted.recipient, U256::ONE);
            if !counted.native.is_zero() {
                add(Asset::Native, call.target, counted.native);
            }
            if let Some((token, amount)) = counted.token.filter(|(_, amount)| !amount.is_zero()) {
                add(Asset::Token(token), counted.recipient, amount);
            }
        }
        uses
    }

    /// The windows that count a use.
    pub fn windows_of(&self, used: &Use) -> impl Iterator<Item = &Window> {
        self.windows
            .iter()
            .filter(|window| window.asset == used.asset && window.per_recipient == used.recipient.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erc20;

    const TOKEN: Address = Address::repeat_byte(1);
    const SHOP: Address = Address::repeat_byte(2);
    const OTHER: Address = Address::repeat_byte(3);

    fn window(asset: Asset, most: u64, per_recipient: bool) -> Window {
        Window {
            asset,
            most: U256::from(most),
            seconds: 3600,
            per_recipient,
        }
    }

    fn codes(rules: &AgentRules, calls: &[Call]) -> Vec<&'static str> {
        rules.check(calls).iter().map(AgentViolation::code).collect()
    }

    fn send(to: Address, amount: u64) -> Call {
        Call::new(TOKEN, erc20::transfer(to, U256::from(amount)))
    }

    #[test]
    fn no_rules_allow_everything() {
        let calls = [
            Call::transfer(OTHER, U256::MAX),
            send(OTHER, u64::MAX),
            Call::new(TOKEN, [1, 2, 3, 4]),
        ];
        assert_eq!(AgentRules::default().check(&calls), []);
        assert!(AgentRules::default().uses(&calls).is_empty());
    }

    #[test]
    fn recipients_are_those_of_tokens_coins_and_calls() {
        let rules = AgentRules {
            recipients: Some([SHOP].into()),
            ..AgentRules::default()
        };
        assert_eq!(
            codes(
                &rules,
                &[
                    send(SHOP, 1),
                    Call::transfer(SHOP, U256::ONE),
                    Call::new(SHOP, [1; 4])
                ]
            ),
            [""; 0]
        );
        let approve = Call::new(TOKEN, erc20::approve(OTHER, U256::ONE));
        for call in [
            send(OTHER, 1),
            approve,
            Call::transfer(OTHER, U256::ONE),
            Call::new(OTHER, [1; 4]),
            // The token itself is not a recipient of the coin, nor of what cannot be read.
            send(SHOP, 1).with_value(U256::ONE),
            Call::new(TOKEN, erc20::transfer(SHOP, U256::ONE)[..67].to_vec()),
        ] {
            assert_eq!(
                codes(&rules, std::slice::from_ref(&call)),
                ["recipient_not_listed"],
                "{call:?}"
            );
        }
    }

    #[test]
    fn one_call_moves_at_most_so_much() {
        let rules = AgentRules {
            per_call: [
                (Asset::Native, U256::from(5)),
                (Asset::Token(TOKEN), U256::from(7)),
            ]
            .into(),
            ..AgentRules::default()
        };
        assert_eq!(
            codes(
                &rules,
                &[
                    send(OTHER, 7),
                    send(OTHER, 7),
                    Call::transfer(OTHER, U256::from(5))
                ]
            ),
            [""; 0]
        );
        assert_eq!(codes(&rules, &[send(OTHER, 8)]), ["call_too_large"]);
        assert_eq!(
            codes(&rules, &[Call::transfer(OTHER, U256::from(6))]),
            ["call_too_large"]
        );
        // transferFrom moves an amount that is not counted.
        assert_eq!(
            codes(&rules, &[Call::new(TOKEN, [0x23, 0xb8, 0x72, 0xdd])]),
            ["function_not_counted"]
        );
        assert_eq!(
            codes(&rules, &[Call::new(OTHER, [0x23, 0xb8, 0x72, 0xdd])]),
            [""; 0]
        );
    }

    #[test]
    fn windows_count_each_asset_and_recipient() {
        let rules = AgentRules {
            windows: [
                window(Asset::Token(TOKEN), 10, false),
                window(Asset::Token(TOKEN), 5, true),
                Window {
                    seconds: 86_400,
                    ..window(Asset::Token(TOKEN), 50, false)
                },
                window(Asset::Calls, 3, false),
            ]
            .into(),
            ..AgentRules::default()
        };
        let uses = rules.uses(&[
            send(SHOP, 3),
            send(OTHER, 2),
            send(SHOP, 1),
            Call::transfer(SHOP, U256::ONE),
        ]);
        let token = Asset::Token(TOKEN);
        let used = |asset, recipient| uses.get(&Use { asset, recipient }).copied();
        assert_eq!(used(token, None), Some(U256::from(6)));
        assert_eq!(used(token, Some(SHOP)), Some(U256::from(4)));
        assert_eq!(used(token, Some(OTHER)), Some(U256::from(2)));
        assert_eq!(used(Asset::Calls, None), Some(U256::from(4)));
        assert_eq!(used(Asset::Native, None), None);
        assert_eq!(uses.len(), 4);
        let all = Use {
            asset: token,
            recipient: None,
        };
        assert_eq!(rules.windows_of(&all).count(), 2);
    }

    #[test]
    fn rules_survive_json() {
        let rules = AgentRules {
            recipients: Some([SHOP].into()),
            per_call: BTreeMap::new(),
            windows: [
                window(Asset::Token(TOKEN), 10, false),
                window(Asset::Native, 1, true),
            ]
            .into(),
        };
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<AgentRules>(&json).unwrap(), rules);
    }
}
