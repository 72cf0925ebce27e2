//! The agent's own rules.

use crate::world::{Clock, SHOP, agent, balance, pay, workers, world};
use async_trait::async_trait;
use session_key_agent::{
    Agent, AgentError,
    client::{
        Call,
        alloy::primitives::{Address, B256, FixedBytes, U256, aliases::U192},
        journal::{IntentId, IntentRecord, Lane, Moment, ProcessId, Scope},
        operation::{Advice, Happened, Outcome},
        permissions::policy::{Facts, Policy, PolicyFormat},
    },
    ledger::{Ask, Book, End, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted},
    rules::{AgentRules, Asset, Window},
    store::Stores,
};
use std::{sync::Arc, time::Duration};

const HOUR: u64 = 3_600_000;

fn rules(lines: &str) -> AgentRules {
    let policy = Policy::parse(&format!("[agent]\n{lines}\n"), PolicyFormat::Toml).unwrap();
    policy.agent_rules(&Facts::new()).unwrap()
}

fn refused(error: AgentError) -> Vec<&'static str> {
    let AgentError::Rules(refusal) = error else {
        panic!("{error}");
    };
    refusal
        .violations
        .iter()
        .map(|violation| violation.code())
        .collect()
}

fn scope(agent: &Agent) -> Scope {
    Scope {
        chain_id: agent.client().account().chain_id(),
        account: agent.client().account().address(),
        signer: agent.client().session_key(),
    }
}

async fn undecided(agent: &Agent, ledger: &Arc<dyn Ledger>) -> usize {
    let book = Book {
        scope: scope(agent),
        group: String::new(),
    };
    ledger.undecided(&book).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rules_are_narrower_than_the_chain() {
    let world = world(1_000).await;
    let other = Address::repeat_byte(0x78);
    let text = format!("recipients = [\"{SHOP}\"]\nper_call = [\"50 wei\"]");
    let agent = agent(&world, &Stores::memory()).with_rules(rules(&text));
    agent.execute(pay(50)).await.unwrap();
    assert_eq!(
        refused(agent.execute(pay(51)).await.unwrap_err()),
        ["call_too_large"]
    );
    let error = agent
        .execute([Call::transfer(other, U256::ONE)])
        .await
        .unwrap_err();
    assert_eq!((error.happened(), error.advice()), (Happened::No, Advice::Change));
    assert_eq!(refused(error), ["recipient_not_listed"]);
    let check = agent.execute(pay(51)).check().await.unwrap();
    assert!(!check.passes() && check.chain.passes() && check.earliest.is_none());
    assert_eq!(balance(&world), U256::from(50));
}

async fn a_window_is_shared(stores: [Stores; 2]) {
    let world = world(1_000_000).await;
    let clock = Clock::at(1_800_000_000_000);
    let agents = stores.map(|stores| {
        agent(&world, &stores)
            .with_rules(rules(
                "windows = [\"100 wei per 1 hour\", \"1000 calls per 1 day\"]",
            ))
            .with_surroundings(clock.clone())
    });
    let (served, refused) = workers(&agents, 20, 7).await;
    assert_eq!((served.len(), refused.len()), (14, 6), "{refused:?}");
    for error in refused {
        assert_eq!((error.code(), error.happened()), ("agent_rules", Happened::No));
        assert_eq!(error.passes_from(), Some(1_800_003_600));
    }
    assert_eq!(balance(&world), U256::from(98));
    let [agent, other] = &agents;
    let uses = other.windows(&[]).await.unwrap();
    let used = |asset| uses.iter().find(|used| used.window.asset == asset).unwrap().used;
    assert_eq!(
        (used(Asset::Native), used(Asset::Calls)),
        (U256::from(98), U256::from(14))
    );
    // A moment before the hour is over it does not pass, and then it does.
    clock.set(1_800_000_000_000 + HOUR - 1);
    let check = agent.execute(pay(7)).check().await.unwrap();
    assert_eq!(check.earliest, Some(1_800_003_600));
    agent.execute(pay(7)).await.unwrap_err();
    agent.execute(pay(2)).await.unwrap();
    clock.set(1_800_000_000_000 + HOUR);
    other.execute(pay(7)).await.unwrap();
    assert_eq!(balance(&world), U256::from(107));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_window_is_shared_by_tasks() {
    let stores = Stores::memory();
    a_window_is_shared([stores.clone(), stores]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_window_is_shared_by_processes() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Stores::sqlite(folder.path().join("a.db"));
    a_window_is_shared([open().await.unwrap(), open().await.unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_named_request_is_counted_once() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let agent = agent(&world, &stores).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    let first = agent.execute(pay(6)).id("rent").await.unwrap();
    // It would not fit again, and need not.
    let again = agent.execute(pay(6)).id("rent").await.unwrap();
    assert_eq!(first.receipt, again.receipt);
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(6));
    let error = agent.execute(pay(5)).id("food").await.unwrap_err();
    assert_eq!(refused(error), ["window_exceeded"]);
    // Another request under the name is told what happened, and counts nothing.
    let error = agent.execute(pay(1)).id("rent").await.unwrap_err();
    assert_eq!(error.code(), "name_taken");
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(6));
    assert_eq!(undecided(&agent, &stores.ledger).await, 0);
    assert_eq!(balance(&world), U256::from(6));
}

/// Two requests with one name, admitted before either is signed: the one that fails frees nothing that the
/// other uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_that_is_taken_frees_nothing() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let clock = Clock::at(1_800_000_000_000);
    let agent = agent(&world, &stores)
        .with_rules(rules("windows = [\"10 wei per 1 hour\"]"))
        .with_surroundings(clock.clone());
    let used = async || agent.windows(&[]).await.unwrap()[0].used;
    let first = agent.execute(pay(6)).id("rent").admit().await.unwrap();
    // For the same amount, it shares the reservation; for another one, it needs its own.
    let other = Call::transfer(Address::repeat_byte(0x78), U256::from(6));
    let same = agent.execute([other]).id("rent").admit().await.unwrap();
    assert_eq!(used().await, U256::from(6));
    assert_eq!(
        refused(agent.execute(pay(5)).id("rent").admit().await.unwrap_err()),
        ["window_exceeded"]
    );
    let small = agent.execute(pay(4)).id("rent").admit().await.unwrap();
    assert_eq!(used().await, U256::from(10));
    let included = first.await.unwrap();
    assert!(included.success);
    for late in [same, small] {
        assert_eq!(late.await.unwrap_err().code(), "name_taken");
    }
    assert_eq!(used().await, U256::from(6), "what was paid is counted");
    assert_eq!(agent.reconcile().await.unwrap(), []);
    assert_eq!(used().await, U256::from(6));
    clock.set(1_800_000_000_000 + HOUR);
    assert_eq!(used().await, U256::ZERO);
    assert_eq!(balance(&world), U256::from(6));
}

/// A ledger that does not answer costs a request no more than its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_that_hangs_costs_no_more_than_the_time_limit() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let hanging = Stores {
        ledger: Arc::new(Dying(stores.ledger.clone())),
        ..stores
    };
    let agent = agent(&world, &hanging).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    let began = std::time::Instant::now();
    let error = agent
        .execute(pay(6))
        .timeout(Duration::from_millis(400))
        .await
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((error.code(), error.happened()), ("ledger_failed", Happened::No));
    assert_eq!(balance(&world), U256::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_chain_refuses_is_released() {
    let world = world(5).await;
    let stores = Stores::memory();
    let agent = agent(&world, &stores).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    let error = agent.execute(pay(6)).await.unwrap_err();
    assert_eq!(error.code(), "not_allowed");
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::ZERO);
    assert_eq!(undecided(&agent, &stores.ledger).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_not_decided_stays_reserved_until_it_is() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let agent = agent(&world, &stores).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    world.devnet.testkit().chain().set_automine(false);
    let error = agent
        .execute(pay(6))
        .timeout(Duration::from_secs(3))
        .await
        .unwrap_err();
    assert_eq!(error.happened(), Happened::Unknown, "{error}");
    assert_eq!(undecided(&agent, &stores.ledger).await, 1);
    let error = agent.execute(pay(6)).await.unwrap_err();
    assert_eq!(refused(error), ["window_exceeded"]);
    world.devnet.testkit().chain().mine();
    world.devnet.testkit().chain().set_automine(true);
    agent.resume().await.unwrap();
    assert_eq!(undecided(&agent, &stores.ledger).await, 0);
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(6));
    assert_eq!(balance(&world), U256::from(6));
}

/// One of two requests of a name ends, and what the other one may still spend stays reserved.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_joined_another_frees_nothing() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let agent = agent(&world, &stores).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    let used = async || agent.windows(&[]).await.unwrap()[0].used;
    let first = agent.execute(pay(6)).id("rent").admit().await.unwrap();
    let second = agent.execute(pay(6)).id("rent").admit().await.unwrap();
    second.withdraw().await.unwrap();
    assert_eq!(used().await, U256::from(6));
    let error = agent.execute(pay(6)).await.unwrap_err();
    assert_eq!(refused(error), ["window_exceeded"]);
    first.await.unwrap();
    assert_eq!(agent.reconcile().await.unwrap(), []);
    assert_eq!(used().await, U256::from(6));
    assert_eq!(balance(&world), U256::from(6));
}

/// Somebody took the process for dead, and its operation can no longer happen. It may still sign another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_given_up_by_others_stays_reserved_until_its_time_is_over() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let clock = Clock::at(1_800_000_000_000);
    let agent = agent(&world, &stores)
        .with_rules(rules("windows = [\"10 wei per 1 hour\"]"))
        .with_surroundings(clock.clone());
    let request = agent.execute(pay(6)).id("rent").timeout(Duration::from_secs(30));
    let admitted = request.admit().await.unwrap();
    let scope = scope(&agent);
    let moment = Moment {
        at: 1_800_000_000_000,
        process: ProcessId(FixedBytes::ZERO),
        sequence: 0,
    };
    let record = IntentRecord {
        id: admitted.intent(),
        version: 0,
        lane: Lane {
            chain_id: scope.chain_id,
            entry_point: Address::repeat_byte(1),
            account: scope.account,
            nonce_key: U192::ZERO,
        },
        signer: scope.signer,
        name: Some("rent".to_owned()),
        request: B256::ZERO,
        grants_to: Vec::new(),
        asked: moment,
        deadline: 0,
        given_up: Some(moment),
        told: true,
        told_to: None,
        operations: Vec::new(),
    };
    assert!(
        matches!(record.outcome(), Outcome::NeverSent),
        "{:?}",
        record.outcome()
    );
    stores.journal.put(record, None).await.unwrap();
    assert_eq!(agent.reconcile().await.unwrap().len(), 1);
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(6));
    clock.set(1_800_000_000_000 + 90_001);
    assert_eq!(agent.reconcile().await.unwrap(), []);
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::ZERO);
}

/// A process that dies between its reservation and its signature has reserved for nothing. That of a name is
/// found out: nothing has the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reservation_without_an_operation_ends_with_its_lease() {
    let world = world(1_000).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::at(1_800_000_000_000);
    let open = || Stores::sqlite(folder.path().join("a.db"));
    let made = |stores: &Stores| {
        agent(&world, stores)
            .with_rules(rules("windows = [\"10 wei per 1 hour\"]"))
            .with_surroundings(clock.clone())
    };
    // The process ends once it has reserved.
    let stores = open().await.unwrap();
    let dying = Stores {
        ledger: Arc::new(Dying(stores.ledger.clone())),
        ..stores
    };
    let dead = made(&dying);
    for name in [Some("rent"), None] {
        let request = dead.execute(pay(4)).timeout(Duration::from_secs(30));
        let request = match name {
            Some(name) => request.id(name),
            None => request,
        };
        let ended = tokio::time::timeout(Duration::from_millis(300), request.into_future()).await;
        assert!(ended.is_err());
    }
    let agent = made(&open().await.unwrap());
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(8));
    assert_eq!(agent.reconcile().await.unwrap().len(), 2);
    agent.execute(pay(4)).await.unwrap_err();
    // Its time and a minute are over.
    clock.set(1_800_000_000_000 + 90_001);
    let left = agent.reconcile().await.unwrap();
    assert_eq!(left, []);
    // The unnamed one counts as spent at that time, for an hour.
    assert_eq!(agent.windows(&[]).await.unwrap()[0].used, U256::from(4));
    agent.execute(pay(4)).id("rent").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_submitted_request_goes_on_by_itself() {
    let world = world(1_000).await;
    let agent = agent(&world, &Stores::memory()).with_rules(rules("windows = [\"10 wei per 1 hour\"]"));
    world.devnet.testkit().chain().set_automine(false);
    let ticket = agent.execute(pay(6)).id("rent").submit().await.unwrap();
    assert_eq!((ticket.name(), ticket.is_done()), (Some("rent"), false));
    // It is refused before it returns.
    assert_eq!(
        refused(agent.execute(pay(6)).submit().await.unwrap_err()),
        ["window_exceeded"]
    );
    while world.devnet.testkit().chain().pool().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.devnet.testkit().chain().mine();
    let intent = ticket.intent();
    ticket.await.unwrap();
    let record = agent.client().named("rent").await.unwrap().unwrap();
    assert_eq!(record.id, intent);
    assert_eq!(balance(&world), U256::from(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recipients_and_groups_have_windows_of_their_own() {
    let world = world(1_000).await;
    let stores = Stores::memory();
    let agent = agent(&world, &stores).with_rules(rules("per_recipient = [\"10 wei per 1 hour\"]"));
    agent.execute(pay(6)).await.unwrap();
    let used = agent.windows(&[SHOP, Address::ZERO]).await.unwrap();
    let amounts: Vec<_> = used.iter().map(|used| (used.recipient, used.used)).collect();
    assert_eq!(
        amounts,
        [(Some(SHOP), U256::from(6)), (Some(Address::ZERO), U256::ZERO)]
    );
    assert_eq!(
        refused(agent.execute(pay(6)).await.unwrap_err()),
        ["window_exceeded"]
    );
    agent.clone().with_group("b").execute(pay(6)).await.unwrap();
    let window = Window {
        asset: Asset::Native,
        most: U256::from(10),
        seconds: 3_600,
        per_recipient: true,
    };
    assert_eq!(used[0].window, window);
}

/// A ledger of a process that ends once it has reserved something.
#[derive(Debug)]
struct Dying(Arc<dyn Ledger>);

#[async_trait]
impl Ledger for Dying {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        self.0.reserve(book, wanted, now).await?;
        std::future::pending().await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        self.0.exceeded(book, asks, now).await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        self.0.end(book, intent, end).await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        self.0.undecided(book).await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        self.0.used(book, subject, length, now).await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        self.0.prune(book, longest, now).await
    }
}
