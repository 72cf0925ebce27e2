//! How often the node and the bundler are asked.

use crate::{
    fixture::{Fixture, key, one},
    wire::{Bundler, Count, client_over, provider},
};
use session_key_client::{SessionKeyClient, SmartAccount, submit::BundlerSubmitter};

#[tokio::test]
async fn at_most_three_round_trips_to_submission() {
    let (fixture, _) = Fixture::with_spender().await;
    let count = Count::default();
    let account = SmartAccount::new(
        provider(count.of(fixture.testkit.transport())),
        31337,
        fixture.account.address(),
        *fixture.account.deployment(),
    );
    let bundler = provider(count.of(Bundler::new(&fixture)));
    let submitter = BundlerSubmitter::new(bundler, fixture.stack.entry_point);
    let client = SessionKeyClient::new(account, key(1), submitter);
    client.execute(one()).send().await.unwrap();
    let methods = count.methods();
    assert_eq!(count.rounds(), 3, "{methods:?}");
    // Nonce, fees, gas limit and block, at the same time; then the bundler, twice.
    assert_eq!(methods.len(), 6, "{methods:?}");
    assert_eq!(
        methods[4..],
        ["eth_estimateUserOperationGas", "eth_sendUserOperation"]
    );
}

// More than through a bundler: the bundle is tried before it is sent, and the transaction around it needs a nonce and fees.
#[tokio::test]
async fn at_most_five_round_trips_to_the_entry_point() {
    let (fixture, _) = Fixture::with_spender().await;
    let count = Count::default();
    let client = client_over(&fixture, count.of(fixture.testkit.transport()));
    client.execute(one()).execute().await.unwrap();
    let before = count.rounds();
    client.execute(one()).send().await.unwrap();
    assert_eq!(count.rounds() - before, 5, "{:?}", count.methods());
}
