//! Fees that a node suggests.

use alloy::{
    eips::eip1559::Eip1559Estimation,
    providers::{
        Provider,
        utils::{Eip1559Estimator, eip1559_default_estimator},
    },
    transports::TransportResult,
};

/// The highest fee in wei per gas unit that counts. The EntryPoint takes none above; and alloy's sums of what a node answers
/// overflow no `u128` up to here.
const MAX_FEE: u128 = (1 << 120) - 1;

/// Fees for an operation or transaction that is to be included soon: alloy's estimate, which is twice the latest base fee plus
/// the priority fee that others paid.
pub(crate) async fn suggested_fees(provider: &impl Provider) -> TransportResult<Eip1559Estimation> {
    let bounded = Eip1559Estimator::new(estimate);
    provider.estimate_eip1559_fees_with(bounded).await
}

fn estimate(base_fee: u128, rewards: &[Vec<u128>]) -> Eip1559Estimation {
    let rewards: Vec<Vec<u128>> = rewards
        .iter()
        .map(|block| block.iter().map(|fee| (*fee).min(MAX_FEE)).collect())
        .collect();
    eip1559_default_estimator(base_fee.min(MAX_FEE), &rewards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_beyond_all_bounds_are_cut_and_others_are_not() {
        let rewards = [vec![3], vec![5]];
        assert_eq!(estimate(100, &rewards), eip1559_default_estimator(100, &rewards));
        let absurd = estimate(u128::MAX, &[vec![u128::MAX], vec![u128::MAX]]);
        assert_eq!(absurd.max_priority_fee_per_gas, MAX_FEE);
        assert_eq!(absurd.max_fee_per_gas, 3 * MAX_FEE);
    }
}
