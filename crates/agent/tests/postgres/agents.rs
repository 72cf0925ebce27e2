//! Agents of many processes on one server.

use crate::{
    server::{open, options, restart, schema},
    world::{Clock, agent, balance, operations, pay, workers, world},
};
use session_key_agent::{
    Agent, Sharing,
    client::{
        alloy::primitives::U256,
        operation::{AfterRevert, Happened},
        permissions::policy::{Facts, Policy, PolicyFormat},
    },
    ledger::{Ledger, conformance},
    store::Stores,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SHARING: Option<Sharing> = Some(Sharing {
    most: 16,
    wait: Duration::from_millis(100),
    after_revert: AfterRevert::Fail,
});

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_in_postgres_does_what_ledgers_do() {
    conformance::run(|| async { Arc::new(open(&schema()).await) as Arc<dyn Ledger> }).await;
}

/// As many processes, each with a connection, a desk and an identity of its own.
async fn processes(world: &session_key_devnet::WithKey, count: usize) -> Vec<Agent> {
    let schema = schema();
    let mut agents = Vec::new();
    for _ in 0..count {
        let stores = Stores::postgres(options(&schema)).await.unwrap();
        agents.push(agent(world, &stores).with_sharing(SHARING));
    }
    agents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_of_ten_processes_share_the_budget_of_the_chain() {
    let world = world(100).await;
    let agents = processes(&world, 10).await;
    let (served, refused) = workers(&agents, 20, 7).await;
    assert_eq!((served.len(), refused.len()), (14, 6), "{refused:?}");
    assert!(
        served.iter().all(|included| included.success),
        "one was refused on the chain"
    );
    assert!(refused.iter().all(|error| error.passes_from().is_some()));
    assert_eq!(balance(&world), U256::from(98));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_processes_share_a_window() {
    let world = world(1_000_000).await;
    let clock = Clock::at(1_800_000_000_000);
    let text = "[agent]\nwindows = [\"100 wei per 1 hour\"]";
    let rules = Policy::parse(text, PolicyFormat::Toml)
        .unwrap()
        .agent_rules(&Facts::new())
        .unwrap();
    let agents: Vec<Agent> = processes(&world, 10)
        .await
        .into_iter()
        .map(|agent| agent.with_rules(rules.clone()).with_surroundings(clock.clone()))
        .collect();
    let (served, refused) = workers(&agents, 20, 7).await;
    assert_eq!((served.len(), refused.len()), (14, 6), "{refused:?}");
    for error in refused {
        assert_eq!((error.code(), error.happened()), ("agent_rules", Happened::No));
        assert_eq!(error.passes_from(), Some(1_800_003_600));
    }
    assert_eq!(balance(&world), U256::from(98));
    clock.set(1_800_003_600_000);
    agents[9].execute(pay(7)).await.unwrap();
}

/// A hundred workers on one key, of ten processes, while the server crashes: nothing is doubled, lost or
/// refused on the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_workers_are_served_though_the_server_crashes() {
    let world = world(350).await;
    let agents = processes(&world, 10).await;
    let began = Instant::now();
    let serving = tokio::spawn({
        let agents = agents.clone();
        async move { workers(&agents, 100, 7).await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    restart().await;
    let (served, refused) = serving.await.unwrap();
    println!(
        "{} served in {} operations and {} told when, in {:?}",
        served.len(),
        operations(&served),
        refused.len(),
        began.elapsed()
    );
    assert!(
        served.iter().all(|included| included.success),
        "one was refused on the chain"
    );
    for error in &refused {
        assert_ne!(error.happened(), Happened::Reverted, "{error}");
    }
    // Whoever was given another answer than a verdict is told by the journal.
    agents[0].resume().await.unwrap();
    assert!(balance(&world) <= U256::from(350));
    assert!(balance(&world) >= U256::from(7 * served.len()));
    let told: Vec<_> = refused
        .iter()
        .filter(|error| error.passes_from().is_none())
        .collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!((served.len(), balance(&world)), (50, U256::from(350)));
}
