//! Histories: processes of an agent that die at any moment, and a ledger that fails or loses its answers. A
//! seed decides who asks for what, and when which fault comes.

use crate::world::{Clock, agent, balance, pay, world};
use async_trait::async_trait;
use session_key_agent::{
    Agent, AgentError,
    client::{
        alloy::primitives::U256,
        journal::IntentId,
        operation::Happened,
        permissions::policy::{Facts, Policy, PolicyFormat},
    },
    ledger::{Ask, Book, End, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted},
    store::Stores,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

const HOUR: u64 = 3_600_000;
const BEGIN: u64 = 1_800_000_000_000;
/// What may be spent within an hour.
const WINDOW: u64 = 40;
/// What is wanted.
const AMOUNTS: [u64; 8] = [15, 3, 9, 11, 15, 7, 12, 5];
/// How many hours the wishes take at most: each hour, one wish may not fit.
const MOST_HOURS: u64 = 8;

/// Numbers that a seed decides (xorshift).
#[derive(Debug)]
struct Dice(AtomicU64);

impl Dice {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)))
    }

    fn below(&self, bound: u64) -> u64 {
        let roll = |mut x: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            Some(x)
        };
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, roll);
        before.unwrap_or_else(|before| before) % bound
    }
}

/// What went wrong on purpose.
#[derive(Debug, Default)]
struct Faults {
    refused: AtomicUsize,
    lost_answers: AtomicUsize,
    deaths: AtomicUsize,
    over: AtomicBool,
}

/// A ledger that fails, or that does what it is asked for and says that it failed.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Ledger>,
    dice: Arc<Dice>,
    faults: Arc<Faults>,
}

impl Faulty {
    async fn perhaps<T>(
        &self,
        work: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        let failed = || LedgerError::Store {
            message: "on purpose".to_owned(),
        };
        if self.faults.over.load(Ordering::SeqCst) {
            return work.await;
        }
        match self.dice.below(10) {
            0 => {
                self.faults.refused.fetch_add(1, Ordering::SeqCst);
                Err(failed())
            }
            1 => {
                self.faults.lost_answers.fetch_add(1, Ordering::SeqCst);
                work.await?;
                Err(failed())
            }
            _ => work.await,
        }
    }
}

#[async_trait]
impl Ledger for Faulty {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        self.perhaps(self.inner.reserve(book, wanted, now)).await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        self.perhaps(self.inner.exceeded(book, asks, now)).await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        self.perhaps(self.inner.end(book, intent, end)).await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        self.perhaps(self.inner.undecided(book)).await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        self.inner.used(book, subject, length, now).await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        self.perhaps(self.inner.prune(book, longest, now)).await
    }
}

/// Where the stores of a process come from.
enum Source<'a> {
    /// From this process: one desk, as tasks of one process have. What dies is a task.
    Memory(Stores),
    File(&'a Path),
}

/// One seed, or as many as `AGENT_HISTORIES` says.
fn seeds(first: u64) -> std::ops::Range<u64> {
    let count = std::env::var("AGENT_HISTORIES")
        .ok()
        .and_then(|count| count.parse().ok());
    first..first + count.unwrap_or(1)
}

/// Lives one history.
async fn history(seed: u64, source: Source<'_>) {
    let world = world(1_000_000).await;
    let clock = Clock::at(BEGIN);
    let (dice, faults) = (Dice::new(seed), Arc::new(Faults::default()));
    let text = format!("[agent]\nwindows = [\"{WINDOW} wei per 1 hour\"]");
    let rules = Policy::parse(&text, PolicyFormat::Toml)
        .unwrap()
        .agent_rules(&Facts::new())
        .unwrap();
    let start = async || -> Agent {
        let stores = match &source {
            Source::Memory(stores) => stores.clone(),
            Source::File(path) => Stores::sqlite(*path).await.unwrap(),
        };
        let ledger = Arc::new(Faulty {
            inner: stores.ledger.clone(),
            dice: dice.clone(),
            faults: faults.clone(),
        });
        agent(&world, &Stores { ledger, ..stores })
            .with_rules(rules.clone())
            .with_surroundings(clock.clone())
    };
    let mut is_paid = [false; AMOUNTS.len()];
    let mut hour = 0;
    while is_paid.iter().any(|is_paid| !is_paid) {
        assert!(
            hour < MOST_HOURS,
            "seed {seed}: not everybody was served: {is_paid:?}"
        );
        clock.set(BEGIN + hour * HOUR);
        // The last hour is without faults: whatever is left is decided.
        faults
            .over
            .store(hour + 1 == MOST_HOURS || hour >= 5, Ordering::SeqCst);
        for _ in 0..3 {
            let agents = [start().await, start().await];
            let mut tasks = Vec::new();
            for (wish, amount) in AMOUNTS.iter().enumerate().filter(|(wish, _)| !is_paid[*wish]) {
                let request = agents[wish % 2].execute(pay(*amount)).id(format!("wish {wish}"));
                let request = request.timeout(Duration::from_secs(40));
                let is_over = faults.over.load(Ordering::SeqCst);
                let dies_after =
                    (!is_over && dice.below(3) == 0).then(|| Duration::from_millis(dice.below(600)));
                let faults = faults.clone();
                tasks.push((
                    wish,
                    tokio::spawn(async move {
                        match dies_after {
                            Some(after) => match tokio::time::timeout(after, request.into_future()).await {
                                Ok(done) => Some(done),
                                Err(_) => {
                                    faults.deaths.fetch_add(1, Ordering::SeqCst);
                                    None
                                }
                            },
                            None => Some(request.await),
                        }
                    }),
                ));
            }
            for (wish, task) in tasks {
                match task.await.unwrap() {
                    Some(Ok(included)) => {
                        assert!(included.success, "seed {seed}: one was refused on the chain");
                        is_paid[wish] = true;
                    }
                    Some(Err(error)) => {
                        assert_ne!(error.happened(), Happened::Reverted, "seed {seed}: {error}");
                        if let AgentError::Rules(refusal) = &error {
                            let earliest = refusal.passes_from.expect("it fits an empty window");
                            assert!(
                                earliest > (BEGIN + hour * HOUR) / 1_000,
                                "seed {seed}: it would pass now"
                            );
                        }
                    }
                    None => {}
                }
            }
            // Whoever was told so was paid for, and never more than the windows of so many hours.
            let paid = balance(&world).to::<u64>();
            assert!(
                paid <= (hour + 1) * WINDOW,
                "seed {seed}: {paid} within {} hours",
                hour + 1
            );
        }
        hour += 1;
    }
    assert_eq!(
        balance(&world),
        U256::from(AMOUNTS.iter().sum::<u64>()),
        "seed {seed}: one was paid twice"
    );
    // Everything is settled once everybody's time is over.
    faults.over.store(true, Ordering::SeqCst);
    clock.set(BEGIN + (hour + 1) * HOUR);
    let agent = start().await;
    agent.resume().await.unwrap();
    assert_eq!(agent.reconcile().await.unwrap(), [], "seed {seed}");
    let count = |faults: &AtomicUsize| faults.load(Ordering::SeqCst);
    println!(
        "seed {seed}: {hour} hours, {} refused, {} lost answers, {} deaths",
        count(&faults.refused),
        count(&faults.lost_answers),
        count(&faults.deaths)
    );
    assert!(count(&faults.refused) + count(&faults.lost_answers) + count(&faults.deaths) >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_die_overshoot_and_double_nothing() {
    for seed in seeds(1) {
        history(seed, Source::Memory(Stores::memory())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_die_overshoot_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for seed in seeds(1_001) {
        let path = folder.path().join(format!("{seed}.db"));
        history(seed, Source::File(&path)).await;
    }
}
