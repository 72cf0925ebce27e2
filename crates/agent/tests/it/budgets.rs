//! Many workers on one budget of the chain.

use crate::world::{agent, balance, operations, pay, workers, world};
use session_key_agent::{
    AgentError, Sharing,
    client::{
        alloy::primitives::U256,
        operation::{Advice, AfterRevert, Happened},
    },
    store::Stores,
};
use std::time::Duration;

const fn sharing(most: usize) -> Option<Sharing> {
    Some(Sharing {
        most,
        wait: Duration::from_millis(300),
        after_revert: AfterRevert::Fail,
    })
}

/// Twenty workers want seven each of one hundred.
async fn twenty_workers(stores: Stores, most: usize) {
    let world = world(100).await;
    let granted = world.devnet.testkit().chain().timestamp();
    let agent = agent(&world, &stores).with_sharing(sharing(most));
    let (served, refused) = workers(std::slice::from_ref(&agent), 20, 7).await;
    assert_eq!((served.len(), refused.len()), (14, 6), "{refused:?}");
    assert_eq!(
        operations(&served),
        14_usize.div_ceil(most),
        "at most {most} share one"
    );
    assert_eq!(balance(&world), U256::from(98));
    // Nothing was refused on the chain, and everybody else was told when.
    assert!(served.iter().all(|included| included.success));
    for error in refused {
        let Some(at) = error.passes_from() else {
            panic!("{error}");
        };
        assert!(at >= granted + 100_000, "{at} is before the refresh");
        assert_eq!((error.code(), error.happened()), ("not_allowed", Happened::No));
    }
    // At that time, they are served.
    let error = agent.execute(pay(7)).await.unwrap_err();
    let Advice::TryAgainFrom { at } = error.advice() else {
        panic!("{error}");
    };
    world.devnet.testkit().chain().mine_at(at).unwrap();
    let (served, refused) = workers(&[agent], 6, 7).await;
    assert_eq!((served.len(), refused.len()), (6, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_are_served_in_one_operation() {
    twenty_workers(Stores::memory(), 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_are_served_in_as_few_operations_as_asked_for() {
    twenty_workers(Stores::memory(), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_are_served_one_by_one() {
    twenty_workers(Stores::memory(), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_workers_are_served_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    twenty_workers(Stores::sqlite(folder.path().join("a.db")).await.unwrap(), 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_on_one_file_share_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(100).await;
    let mut agents = Vec::new();
    for _ in 0..4 {
        let stores = Stores::sqlite(folder.path().join("a.db")).await.unwrap();
        agents.push(agent(&world, &stores).with_sharing(sharing(16)));
    }
    let (served, refused) = workers(&agents, 20, 7).await;
    assert_eq!((served.len(), refused.len()), (14, 6), "{refused:?}");
    assert!(served.iter().all(|included| included.success));
    assert_eq!(balance(&world), U256::from(98));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn groups_never_share_an_operation() {
    let world = world(100).await;
    let stores = Stores::memory();
    let one = agent(&world, &stores).with_sharing(sharing(16));
    // As a service does: one client of the key, and an agent for each group.
    let agents = [one.clone().with_group("a"), one.clone().with_group("b"), one];
    let mut tasks = Vec::new();
    for number in 0..9 {
        tasks.push((
            number % 3,
            tokio::spawn(agents[number % 3].execute(pay(1)).into_future()),
        ));
    }
    let mut groups = std::collections::BTreeMap::new();
    for (group, task) in tasks {
        let hash = task.await.unwrap().unwrap().receipt.user_op_hash;
        assert_eq!(
            *groups.entry(hash).or_insert(group),
            group,
            "two groups share {hash}"
        );
    }
    assert!(groups.len() < 9, "nobody shared anything");
    assert_eq!(balance(&world), U256::from(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_tells_what_is_left_and_when() {
    let world = world(10).await;
    let agent = agent(&world, &Stores::memory());
    let check = agent.execute(pay(7)).check().await.unwrap();
    assert!(check.passes() && check.earliest.is_none());
    agent.execute(pay(7)).await.unwrap();
    let check = agent.execute(pay(7)).check().await.unwrap();
    assert!(!check.passes());
    assert_eq!(check.chain.budgets.native.unwrap().remaining, U256::from(3));
    let error = agent.execute(pay(7)).await.unwrap_err();
    assert!(matches!(error, AgentError::Operation(_)));
    assert_eq!(
        (check.earliest, error.verdict().is_some()),
        (error.passes_from(), true)
    );
    assert_eq!(balance(&world), U256::from(7));
}
