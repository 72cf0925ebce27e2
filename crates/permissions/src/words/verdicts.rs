//! Sentences about verdicts.

use super::{
    Words,
    names::{Lookup, Shown},
    quantity::UnixTime,
};
use crate::{
    Rule, Verdict, Violation,
    model::{Phase, Remaining, Spending},
};
use alloy_primitives::U256;

/// Says that an operation passes, and within which times, in unix seconds; zero for no bound.
pub(crate) fn accepted(valid_after: u64, valid_until: u64) -> String {
    let from = (valid_after != 0).then(|| format!(" from {}", UnixTime(valid_after)));
    let until = (valid_until != 0).then(|| format!(" until {}", UnixTime(valid_until)));
    match (from, until) {
        (None, None) => "Accepted.".to_owned(),
        (from, until) => format!(
            "Accepted, valid{}{}.",
            from.unwrap_or_default(),
            until.unwrap_or_default()
        ),
    }
}

impl Verdict {
    /// Describes the verdict: whether the operation passes, then every broken rule or what is left, then what
    /// would help.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        let shown = Shown(names);
        let mut lines = Vec::new();
        match self {
            Self::Accepted {
                valid_after,
                valid_until,
                remaining,
            } => {
                lines.push(accepted(*valid_after, *valid_until));
                lines.extend(remaining.lines(&shown, "Left afterwards"));
            }
            Self::Refused { violations } | Self::MayPass { violations } => {
                let is_validation = self.phase() == Some(Phase::Validation);
                lines.push(match (self, is_validation) {
                    (Self::MayPass { .. }, _) => {
                        "May pass or be refused: the key's plugin is not the one whose rules are checked here.".to_owned()
                    }
                    (_, true) => "Refused before it costs anything.".to_owned(),
                    (_, false) => "Refused after inclusion: it would fail, and still cost its gas.".to_owned(),
                });
                for violation in violations {
                    lines.push(format!("– {}", violation.sentence(&shown)));
                }
                if let Some(time) = self.passes_from() {
                    lines.push(format!("It would pass from {} on.", UnixTime(time)));
                }
            }
        }
        Words::new(lines)
    }
}

impl Violation {
    /// Describes the broken rule in a sentence.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> String {
        self.sentence(&Shown(names))
    }

    fn sentence(&self, names: &Shown<'_>) -> String {
        let rule = match &self.rule {
            Rule::ContractNotOnAllowlist { target } => {
                format!("the key may not call {}", names.contract(*target))
            }
            Rule::FunctionNotOnAllowlist { target, selector } => format!(
                "the key may not call {} of {}",
                names.function(*target, *selector),
                names.contract(*target)
            ),
            Rule::ContractOnDenylist { target } => {
                format!("the key may call everything except {}", names.contract(*target))
            }
            Rule::FunctionOnDenylist { target, selector } => format!(
                "the key may not call {} of {}, which is on its denylist",
                names.function(*target, *selector),
                names.contract(*target)
            ),
            Rule::TokenFunctionNotAllowed { token, selector } => format!(
                "on {}, which has a limit, the key may call transfer and approve, not {}",
                names.contract(*token),
                names.function(*token, *selector)
            ),
            Rule::NativeLimitExceeded(spending) => over("the calls send", spending, |wei| names.native(wei)),
            Rule::Erc20LimitExceeded { token, spending } => {
                over("it spends", spending, |amount| names.amount(*token, amount))
            }
            Rule::GasLimitExceeded {
                spending,
                reset_pending,
            } => {
                let words = over("the operation may cost", spending, |wei| names.native(wei));
                if *reset_pending {
                    format!("{words}, and the limit does not refresh until its pending reset is settled")
                } else {
                    words
                }
            }
            Rule::PaymasterRequired {
                required,
                found: None,
            } => {
                format!("paymaster {} must pay", names.contract(*required))
            }
            Rule::PaymasterRequired {
                required,
                found: Some(found),
            } => format!(
                "paymaster {} must pay, not {}",
                names.contract(*required),
                names.contract(*found)
            ),
            Rule::NonceKey { .. } => "the key must use its own nonce lane".to_owned(),
            rule => rule.to_string(),
        };
        match self.call {
            Some(call) => format!("Call {}: {rule}.", call.saturating_add(1)),
            None => format!("{}.", first_letter_up(&rule)),
        }
    }
}

pub(crate) fn first_letter_up(text: &str) -> String {
    // Numbers and addresses stay as they are.
    match text.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => text.to_owned(),
    }
}

fn over(what: &str, spending: &Spending, amount: impl Fn(U256) -> String) -> String {
    let asked = match spending.asked {
        U256::MAX => "more than any limit".to_owned(),
        asked => amount(asked),
    };
    if spending.asked > spending.limit {
        return format!("{what} {asked}, but the limit is {}", amount(spending.limit));
    }
    let until = spending
        .refreshes_at
        .map(|end| format!(" until {}", UnixTime(end)))
        .unwrap_or_default();
    format!(
        "{what} {asked}, but {} are left of {}{until}",
        amount(spending.remaining()),
        amount(spending.limit)
    )
}

impl Remaining {
    /// Describes what is left of the limits, a sentence each; none for unlimited parts.
    #[must_use]
    pub fn describe(&self, names: &dyn Lookup) -> Words {
        Words::new(self.lines(&Shown(names), "Left").collect())
    }

    fn lines<'a>(&'a self, names: &'a Shown<'a>, start: &'a str) -> impl Iterator<Item = String> + 'a {
        let native = self
            .native
            .map(|wei| format!("{start} to send: {}.", names.native(wei)));
        let gas = self
            .gas
            .map(|wei| format!("{start} for operations: {}.", names.native(wei)));
        let tokens = self
            .erc20
            .iter()
            .map(move |(token, amount)| format!("{start} to spend: {}.", names.amount(*token, *amount)));
        native.into_iter().chain(gas).chain(tokens)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        AccessControlType, Call, ERC20_APPROVE, ERC20_TRANSFER, KeyState, LimitChange, PermissionUpdates,
        Permissions, SpendLimit, TimeRange, erc20,
        plan::{LimitMode, Plan},
        words::{Names, Token},
    };
    use alloy_primitives::{Address, Selector, U256, address};

    const ACCOUNT: Address = Address::repeat_byte(0xac);
    const KEY: Address = Address::repeat_byte(0x5e);
    const USDC: Address = address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
    const SHOP: Address = address!("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
    const BUY: Selector = Selector::new(alloy_primitives::hex!("d96a094a"));
    const NOW: u64 = 1_800_000_000;
    const WEEK: u64 = 604_800;

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    fn names() -> Names {
        Names::new()
            .token(USDC, Token::new("USDC", 6))
            .contract(SHOP, "the shop")
            .function(BUY, "buy(uint256)")
    }

    fn weekly_buy() -> Permissions {
        Permissions::new()
            .contract_functions(USDC, [ERC20_APPROVE, ERC20_TRANSFER])
            .contract_functions(SHOP, [BUY, Selector::repeat_byte(0x12)])
            .erc20_spend_limit(USDC, SpendLimit::per(n(1_234_500_000), WEEK))
            .gas_spend_limit(SpendLimit::per(n(10_000_000_000_000_000), WEEK))
            .time_range(TimeRange {
                valid_after: 0,
                valid_until: 1_803_859_200,
            })
    }

    #[test]
    fn a_set_reads_as_in_a_wallet() {
        assert_eq!(
            weekly_buy().describe(&names()).lines(),
            [
                "May call the function 0x12121212 and buy(uint256) of the shop \
 (0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed)."
.to_owned(),
                "May call transfer and approve of USDC (0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48), with any \
                 recipient."
                    .to_owned(),
                "May spend at most 1,234.5 USDC every 7 days.".to_owned(),
                "May not send ETH.".to_owned(),
                "Its operations may cost at most 0.01 ETH every 7 days.".to_owned(),
                "May be used until 2027-03-01T00:00:00Z.".to_owned(),
            ]
        );
    }

    #[test]
    fn sets_that_allow_nothing_or_everything_say_so() {
        let words = |permissions: Permissions| permissions.describe(&()).lines().to_vec();
        assert_eq!(
            words(Permissions::new()),
            [
                "May not call anything.",
                "May not send ETH.",
                "Its operations may cost any amount, which the account pays.",
                "May be used at any time."
            ]
        );
        let everything = Permissions::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .required_paymaster(SHOP);
        assert_eq!(
            words(everything),
            [
                "May call every function of every contract except the account itself.".to_owned(),
                "May send any amount of ETH.".to_owned(),
                format!("Its operations must be paid for by paymaster {SHOP}."),
                "May be used at any time.".to_owned()
            ]
        );
        let denied = Permissions::new()
            .access_control_type(AccessControlType::Denylist)
            .contract(SHOP)
            .contract_functions(USDC, [ERC20_TRANSFER]);
        assert_eq!(
            words(denied)[..3],
            [
                "May call every function of every contract except the account itself, and except:".to_owned(),
                format!("– any function of {SHOP}"),
                format!("– transfer of {USDC}"),
            ]
        );
        // Nothing that the plugin would refuse anyway.
        let useless = Permissions::new()
            .contract_functions(USDC, [BUY])
            .erc20_spend_limit(USDC, SpendLimit::total(n(5)));
        assert_eq!(
            words(useless)[..2],
            [
                "May not call anything.".to_owned(),
                format!(
                    "May not spend 5 base units of {USDC} in total despite the limit: its list does not allow calls of \
                     the token."
                )
            ]
        );
    }

    #[test]
    fn unknown_permissions_are_pointed_out() {
        let mut state = KeyState::fresh(ACCOUNT, KEY);
        state.complete = false;
        let words = state.describe(&());
        assert_eq!(
            words.lines().last().unwrap(),
            "May do more or less than this: not all of its permissions are known."
        );
        // What is not known is not denied.
        assert_eq!(words.lines()[0], "It is not known what it may call.");
        let state = KeyState::unregistered(ACCOUNT, KEY);
        assert_eq!(
            state.describe(&()).lines(),
            ["Is not registered: may not do anything."]
        );
    }

    #[test]
    fn verdicts_read_as_plain_sentences() {
        let mut state = KeyState::fresh(ACCOUNT, KEY);
        state.apply(&weekly_buy().updates().collect(), NOW).unwrap();
        let pay = |amount: u64| Call::new(USDC, erc20::transfer(SHOP, n(amount)));
        let accepted = state.check_calls(&[pay(1_000_000)], NOW);
        assert_eq!(
            accepted.describe(&names()).lines(),
            [
                "Accepted, valid until 2027-03-01T00:00:00Z.",
                "Left afterwards to send: 0 ETH.",
                "Left afterwards for operations: 0.01 ETH.",
                "Left afterwards to spend: 1,233.5 USDC.",
            ]
        );
        let refused = state.check_calls(&[pay(1_234_500_001)], NOW);
        assert_eq!(
            refused.describe(&names()).lines(),
            [
                "Refused after inclusion: it would fail, and still cost its gas.",
                "– Call 1: it spends 1,234.500001 USDC, but the limit is 1,234.5 USDC.",
            ]
        );
        let refused = state.check_calls(&[pay(1), Call::transfer(KEY, n(1))], NOW);
        assert_eq!(
            refused.describe(&names()).lines(),
            [
                "Refused before it costs anything.".to_owned(),
                format!("– Call 2: the key may not call {KEY}."),
                "– The calls send 0.000000000000000001 ETH, but the limit is 0 ETH.".to_owned(),
            ]
        );
    }

    #[test]
    fn updates_and_plans_read_as_changes() {
        let updates = PermissionUpdates::new()
            .contract(SHOP)
            .without_function(USDC, ERC20_APPROVE)
            .erc20_spend_limit(USDC, SpendLimit::per(n(5_000_000), 86_400), LimitChange::Afresh)
            .required_paymaster(Address::ZERO);
        assert_eq!(
            updates.describe(&names()).lines(),
            [
                format!("Puts all functions of the shop ({SHOP}) on the list."),
                format!("Removes approve of USDC ({USDC}) from the list."),
                format!(
                    "Removes the limit on what the key may spend of USDC ({USDC}), and clears the amount used."
                ),
                format!(
                    "Limits what the key may spend of USDC ({USDC}) to 5 USDC every day. The amount used stays."
                ),
                "Allows any paymaster to pay for the key's operations, or none.".to_owned(),
            ]
        );
        let mut state = KeyState::fresh(ACCOUNT, KEY);
        state.apply(&weekly_buy().updates().collect(), NOW).unwrap();
        state.contracts.get_mut(&USDC).unwrap().token_limit.limit_used = n(60_000_000);
        let policy = Permissions::new()
            .contract_functions(USDC, [ERC20_TRANSFER])
            .contract_functions(SHOP, [BUY, Selector::repeat_byte(0x12)])
            .erc20_spend_limit(USDC, SpendLimit::per(n(2_000_000_000), WEEK))
            .gas_spend_limit(SpendLimit::per(n(10_000_000_000_000_000), WEEK));
        let plan = Plan::new(&state, &policy, LimitMode::Keep, NOW + WEEK).unwrap();
        assert_eq!(
            plan.describe(&names()).lines(),
            [
                format!("– The function approve of USDC ({USDC}): listed → not listed"),
                "+ May be used: until 2027-03-01T00:00:00Z → at any time".to_owned(),
                format!(
                    "+ May spend of USDC ({USDC}): 1,234.5 USDC every 7 days → 2,000 USDC every 7 days; nothing counts as \
                     used; refreshes at 2027-01-29T08:00:00Z, not at 2027-01-22T08:00:00Z"
                ),
            ]
        );
        let plan = Plan::new(&state, &policy, LimitMode::Raw, NOW + WEEK).unwrap();
        assert!(
            plan.describe(&names()).lines()[2]
                .contains("60 USDC of an interval that is over count as used again"),
            "{plan:?}"
        );
        let same = Plan::new(&state, &weekly_buy(), LimitMode::Keep, NOW).unwrap();
        assert_eq!(same.describe(&()).lines(), ["Nothing changes."]);
    }
}
