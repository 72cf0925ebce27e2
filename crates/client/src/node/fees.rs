//! A node's fee suggestions.

use super::{Head, Node};
use crate::request::{RequestError, lenient};
use alloy::{eips::BlockNumberOrTag, primitives::U64};
use serde::{Deserialize, Serialize};

/// The number of past blocks considered.
const BLOCKS: u64 = 10;
/// The percentile of the priority fees paid in a block.
const PERCENTILE: f64 = 20.0;
/// The priority fee in wei per gas unit if a node suggests none: one gwei.
const PRIORITY_FEE: u128 = 1_000_000_000;

/// A node's fee suggestions, in wei per gas unit. They are not bounded: a node can suggest up to `u128::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuggestedFees {
    /// Twice the base fee plus the priority fee, or the gas price if that is higher.
    pub max_fee: u128,
    /// Paid to whoever includes the transaction.
    pub max_priority_fee: u128,
    /// The base fee of the next block, or the last one known; zero on chains without one.
    pub base_fee: u128,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    #[serde(default)]
    base_fee_per_gas: Option<Vec<Fee>>,
    #[serde(default)]
    reward: Option<Vec<Option<Vec<Fee>>>>,
}

/// A fee in any format. Larger ones than `u128::MAX` saturate, and missing ones are zero.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Fee {
    #[serde(deserialize_with = "lenient::optional_saturating")]
    fee: Option<u128>,
}

impl SuggestedFees {
    const fn new(base_fee: u128, max_priority_fee: u128) -> Self {
        Self {
            max_fee: base_fee.saturating_mul(2).saturating_add(max_priority_fee),
            max_priority_fee,
            base_fee,
        }
    }
}

pub(super) async fn suggested(node: &Node, head: &Head) -> Result<SuggestedFees, RequestError> {
    let history = history(node).await?;
    suggested_after(node, head, history).await
}

/// Requests the latest block and the fees concurrently.
pub(super) async fn head_and_suggested(node: &Node) -> Result<(Head, SuggestedFees), RequestError> {
    let (head, history) = tokio::try_join!(node.head(), history(node))?;
    let fees = suggested_after(node, &head, history).await?;
    Ok((head, fees))
}

/// Returns the node's suggested priority fee, in wei per gas unit, or one gwei.
pub(super) async fn priority(node: &Node) -> Result<u128, RequestError> {
    let fee = unless_missing(node.request("eth_maxPriorityFeePerGas", ()).await)?;
    Ok(fee.and_then(Fee::value).unwrap_or(PRIORITY_FEE))
}

/// Returns the node's suggested gas price, in wei.
pub(super) async fn price(node: &Node) -> Result<u128, RequestError> {
    let price: Fee = node.request("eth_gasPrice", ()).await?;
    price.value().ok_or_else(|| RequestError::null("eth_gasPrice"))
}

async fn history(node: &Node) -> Result<Option<History>, RequestError> {
    let params = (U64::from(BLOCKS), BlockNumberOrTag::Latest, [PERCENTILE]);
    Ok(unless_missing(node.request("eth_feeHistory", params).await)?.flatten())
}

async fn suggested_after(
    node: &Node,
    head: &Head,
    history: Option<History>,
) -> Result<SuggestedFees, RequestError> {
    let mut base_fee = head.base_fee.unwrap_or_default();
    if let Some(history) = history {
        base_fee = history.next_base_fee().unwrap_or(base_fee);
        if let Some(fee) = history.priority_fee() {
            return Ok(SuggestedFees::new(base_fee, fee));
        }
    }
    if base_fee > 0
        && let Some(fee) =
            unless_missing(node.request("eth_maxPriorityFeePerGas", ()).await)?.and_then(Fee::value)
    {
        return Ok(SuggestedFees::new(base_fee, fee));
    }
    let price = match node.request("eth_gasPrice", ()).await {
        Ok(price) => Fee::value(price),
        // The node has no suggestion, rather than being unreachable.
        Err(RequestError::Answered(_) | RequestError::Unreadable { .. }) if base_fee > 0 => None,
        Err(error) => return Err(error),
    };
    match price {
        // Base fee and priority fee combined.
        Some(price) => {
            let fees = SuggestedFees::new(base_fee, price.saturating_sub(base_fee));
            Ok(SuggestedFees {
                max_fee: fees.max_fee.max(price),
                ..fees
            })
        }
        None if base_fee > 0 => Ok(SuggestedFees::new(base_fee, PRIORITY_FEE)),
        None => Err(RequestError::unreadable(
            "eth_gasPrice",
            "null, on a chain without base fee",
        )),
    }
}

impl Fee {
    const fn value(self) -> Option<u128> {
        self.fee
    }
}

impl History {
    /// The last entry is the next block's. Chains without a base fee fill in zeros.
    fn next_base_fee(&self) -> Option<u128> {
        self.base_fee_per_gas.as_ref()?.last()?.fee.filter(|fee| *fee > 0)
    }

    /// Returns the median priority fee of blocks in which any was paid, else 1; `None` if the rewards are
    /// missing.
    fn priority_fee(&self) -> Option<u128> {
        let blocks = self.reward.as_ref()?;
        let mut fees: Vec<u128> = blocks
            .iter()
            .flatten()
            .filter_map(|block| block.first()?.fee)
            .collect();
        if fees.is_empty() {
            return None;
        }
        fees.retain(|fee| *fee > 0);
        fees.sort_unstable();
        Some(fees.get(fees.len() / 2).copied().unwrap_or(1))
    }
}

/// Returns `None` if the node lacks the method, however it says so. Other errors are returned.
fn unless_missing<T>(answer: Result<T, RequestError>) -> Result<Option<T>, RequestError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(
            RequestError::Answered(_)
            | RequestError::Unreadable { .. }
            | RequestError::TurnedAway { .. }
            | RequestError::TooLarge { .. }
            | RequestError::NoAnswer { status: Some(_), .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}
