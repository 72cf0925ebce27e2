//! Obstacles to an operation apart from the key's rules: its nonce, and the account's funds.

use super::chain::Chain;
use eyre::Result;
use serde::Serialize;
use session_key_client::{
    SmartAccount, UserOperation,
    alloy::primitives::{Address, U256, aliases::U192},
    permissions::{
        Call, ERC20_TRANSFER,
        words::{Names, decimal, token_amount},
    },
};
use std::{cmp::Ordering, collections::BTreeMap};

/// An obstacle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Obstacle {
    code: &'static str,
    /// Whether it holds regardless of earlier operations and earlier calls of the batch.
    pub(super) is_final: bool,
    pub(super) words: String,
}

/// Compares the nonce with the lane's next one.
fn of_nonce(nonce: U256, next: U256) -> Option<Obstacle> {
    let sequence = |nonce: U256| nonce & U256::from(u64::MAX);
    let (given, next_one) = (sequence(nonce), sequence(next));
    match given.cmp(&next_one) {
        Ordering::Equal => None,
        Ordering::Less => Some(Obstacle {
            code: "nonce_used",
            is_final: true,
            words: format!("its nonce is used: it is number {given} of its lane, and the next is {next_one}"),
        }),
        Ordering::Greater => Some(Obstacle {
            code: "nonce_ahead",
            is_final: false,
            words: format!(
                "its nonce is ahead: it is number {given} of its lane, and the next is {next_one}"
            ),
        }),
    }
}

/// Compares the amounts that calls send with what the account holds. Earlier calls of the batch may bring in
/// more.
fn of_amounts(amounts: impl IntoIterator<Item = (usize, U256)>, holds: U256) -> Option<(bool, U256)> {
    let mut sum = U256::ZERO;
    let mut is_final = false;
    for (index, amount) in amounts {
        sum = sum.saturating_add(amount);
        is_final |= index == 0 && amount > holds;
    }
    (sum > holds).then_some((is_final, sum))
}

/// Sums up `transfer` amounts by token, each with its call index.
fn transfers(calls: &[Call]) -> BTreeMap<Address, Vec<(usize, U256)>> {
    let mut found: BTreeMap<Address, Vec<(usize, U256)>> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        if call.selector() == ERC20_TRANSFER
            && let Some(amount) = call.data.get(36..68)
        {
            let amount = (index, U256::from_be_slice(amount));
            found.entry(call.target).or_default().push(amount);
        }
    }
    found
}

/// Returns all obstacles, at the block that the account is read at.
pub(super) async fn obstacles(
    chain: &Chain,
    account: &SmartAccount,
    block: u64,
    (operation, calls): (Option<&UserOperation>, &[Call]),
    names: &Names,
) -> Result<Vec<Obstacle>> {
    let mut found = Vec::new();
    if let Some(operation) = operation {
        let lane: U192 = (operation.nonce >> 64_u32).to();
        found.extend(of_nonce(operation.nonce, account.nonce(lane).await?));
    }
    let values = || calls.iter().enumerate().map(|(index, call)| (index, call.value));
    if values().any(|(_, value)| !value.is_zero()) {
        let holds = account.balance().await?;
        if let Some((is_final, sum)) = of_amounts(values(), holds) {
            let symbol = chain.symbol();
            found.push(Obstacle {
                code: "native_balance",
                is_final,
                words: format!(
                    "the calls send {} {symbol}, and the account has {} {symbol}",
                    decimal(sum, 18),
                    decimal(holds, 18)
                ),
            });
        }
    }
    for (token, amounts) in transfers(calls) {
        // A contract that does not answer like a token has no balance to compare with.
        let Ok(holds) = chain.balance_of(token, account.address(), block).await else {
            continue;
        };
        if let Some((is_final, sum)) = of_amounts(amounts, holds) {
            found.push(Obstacle {
                code: "token_balance",
                is_final,
                words: format!(
                    "the calls transfer {}, and the account has {}",
                    token_amount(names, token, sum),
                    token_amount(names, token, holds)
                ),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::permissions::erc20;

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    #[test]
    fn a_nonce_is_classified_as_used_next_or_ahead() {
        let nonce = |sequence: u64| (n(7) << 64) | n(sequence);
        assert_eq!(of_nonce(nonce(3), nonce(3)), None);
        let code =
            |given, next| of_nonce(nonce(given), nonce(next)).map(|found| (found.code, found.is_final));
        assert_eq!(code(2, 3), Some(("nonce_used", true)));
        assert_eq!(code(4, 3), Some(("nonce_ahead", false)));
    }

    #[test]
    fn an_earlier_call_may_fund_a_later_one() {
        assert_eq!(of_amounts([(0, n(5)), (1, n(5))], n(10)), None);
        assert_eq!(of_amounts([(0, n(5)), (1, n(6))], n(10)), Some((false, n(11))));
        assert_eq!(of_amounts([(1, n(11))], n(10)), Some((false, n(11))));
        assert_eq!(of_amounts([(0, n(11))], n(10)), Some((true, n(11))));
        assert_eq!(
            of_amounts([(0, U256::MAX), (1, U256::MAX)], n(1)),
            Some((true, U256::MAX))
        );
    }

    #[test]
    fn transfers_are_summed_by_token() {
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let calls = [
            Call::new(one, erc20::transfer(other, n(3))),
            Call::new(other, erc20::approve(one, n(9))),
            Call::new(one, erc20::transfer(other, n(4))),
            Call::new(one, ERC20_TRANSFER.to_vec()),
        ];
        let expected = BTreeMap::from([(one, vec![(0, n(3)), (2, n(4))])]);
        assert_eq!(transfers(&calls), expected);
    }
}
