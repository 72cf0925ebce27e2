//! How often the node and the bundler are asked.

use crate::{
    fixture::{Fixture, key, one},
    plain_bundler::Bundler,
    wire::{Count, Wire, account_over, provider, submitter_over},
};
use session_key_client::{SessionKeyClient, submit::BundlerSubmitter};

// The block; everything in it; the bundler's estimate, beside which the node's is asked; the bundler again.
#[tokio::test(start_paused = true)]
async fn at_most_four_round_trips_to_submission() {
    let (fixture, _) = Fixture::with_spender().await;
    let count = Count::default();
    let node = Wire::counted(fixture.testkit.transport(), &count);
    let bundler = Wire::counted(Bundler::new(&fixture), &count);
    let account = account_over(&fixture, node.clone());
    let submitter = BundlerSubmitter::new(provider(bundler.clone()), fixture.stack.entry_point);
    let client = SessionKeyClient::new(account, key(1), submitter);
    for _ in 0..2 {
        let before = count.rounds();
        let pending = client.execute(one()).send().await.unwrap();
        let methods: Vec<_> = node.asked().into_iter().map(|asked| asked.method).collect();
        assert!(count.rounds() - before <= 4, "{} {methods:?}", count.rounds());
        pending.await.unwrap();
    }
}

// More than through a bundler: the bundle is tried before it is sent, and the transaction around it needs a nonce and fees.
#[tokio::test(start_paused = true)]
async fn at_most_six_round_trips_to_the_entry_point() {
    let (fixture, _) = Fixture::with_spender().await;
    let count = Count::default();
    let node = Wire::counted(fixture.testkit.transport(), &count);
    let submitter = submitter_over(&fixture, node.clone());
    let client = SessionKeyClient::new(account_over(&fixture, node.clone()), key(1), submitter);
    client.execute(one()).await.unwrap();
    let before = (count.rounds(), node.asked().len());
    let pending = client.execute(one()).send().await.unwrap();
    let rounds = count.rounds() - before.0;
    let asked = node.asked().split_off(before.1);
    let methods: Vec<_> = asked.into_iter().map(|asked| asked.method).collect();
    assert!(rounds <= 6, "{rounds}: {methods:?}");
    pending.await.unwrap();
}
