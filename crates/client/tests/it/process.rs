//! Processes: each with a desk on a journal, a node that it asks, and a way onto the chain. Their clocks are
//! the runtime's.

use crate::{
    fixture::{Fixture, account, key},
    mortal::Mortal,
    wire::{Wire, account_over, provider, wallet},
};
use session_key_client::{
    OwnerClient, SessionKeyClient, SmartAccount,
    alloy::{signers::local::PrivateKeySigner, transports::IntoBoxTransport},
    journal::{Journal, MemoryJournal},
    operation::{Desk, Surroundings},
    submit::{BundlerSubmitter, EntryPointSubmitter, Submitter},
};
use session_key_testkit::dev_accounts;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Time by the runtime's clock, and randomness that is none.
#[derive(Debug)]
struct Simulated {
    /// When the clock of the machine said [`EPOCH`].
    start: Instant,
    jumps: Clock,
    random: AtomicU64,
}

/// By how many milliseconds the clock of a machine is wrong.
pub(crate) type Clock = Arc<AtomicI64>;

/// Milliseconds since the Unix epoch.
const EPOCH: u64 = 1_800_000_000_000;

/// Every process draws other numbers.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

impl Surroundings for Simulated {
    fn unix_millis(&self) -> u64 {
        let now = EPOCH + u64::try_from(self.start.elapsed().as_millis()).unwrap();
        now.saturating_add_signed(self.jumps.load(Ordering::Relaxed))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        // SplitMix64.
        for bytes in bytes.chunks_mut(8) {
            let next = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = (mixed ^ (mixed >> 31)).to_be_bytes();
            bytes.copy_from_slice(&mixed[..bytes.len()]);
        }
    }
}

/// A desk of a process that starts now.
pub(crate) fn desk(journal: &Arc<dyn Journal>, epoch: Instant) -> Arc<Desk> {
    desk_with_clock(journal, epoch, &Clock::default())
}

/// The same on a machine with this clock.
fn desk_with_clock(journal: &Arc<dyn Journal>, epoch: Instant, clock: &Clock) -> Arc<Desk> {
    let process = PROCESSES.fetch_add(1, Ordering::Relaxed);
    let surroundings = Simulated {
        start: epoch,
        jumps: clock.clone(),
        random: AtomicU64::new(process.wrapping_mul(0x2545_f491_4f6c_dd1d)),
    };
    Arc::new(Desk::with_surroundings(journal.clone(), Arc::new(surroundings)))
}

/// A journal in memory, which outlives the processes of a test.
pub(crate) fn journal() -> Arc<dyn Journal> {
    Arc::new(MemoryJournal::new())
}

/// How operations go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Bundler,
    EntryPoint,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Bundler, Self::EntryPoint];

    /// The method that hands an operation over.
    pub(crate) const fn hands_over(self) -> &'static str {
        match self {
            Self::Bundler => "eth_sendUserOperation",
            Self::EntryPoint => "eth_sendRawTransaction",
        }
    }
}

/// A process at work for the fixture's account.
#[derive(Clone)]
pub(crate) struct Process {
    /// What it reads the chain through.
    pub(crate) node: Wire,
    /// What its operations go out through: to a bundler, or to a node of its own.
    pub(crate) out: Wire,
    pub(crate) account: SmartAccount,
    /// With the fixture's first key.
    pub(crate) agent: SessionKeyClient,
    pub(crate) owner: OwnerClient,
    pub(crate) submitter: Arc<dyn Submitter>,
    journal: Mortal,
}

impl Process {
    /// With a journal of its own.
    pub(crate) fn new(fixture: &Fixture, way: Way) -> Self {
        Self::on(fixture, way, &journal())
    }

    pub(crate) fn on(fixture: &Fixture, way: Way, journal: &Arc<dyn Journal>) -> Self {
        Self::at(fixture, way, journal, fixture.testkit.transport())
    }

    /// It reads the chain through this node.
    pub(crate) fn at(
        fixture: &Fixture,
        way: Way,
        journal: &Arc<dyn Journal>,
        node: impl IntoBoxTransport,
    ) -> Self {
        let node = Wire::new(node);
        let out = match way {
            Way::Bundler => Wire::new(fixture.bundler.transport()),
            Way::EntryPoint => Wire::new(fixture.testkit.transport()),
        };
        Self::with(fixture, way, journal, node, out)
    }

    pub(crate) fn with(
        fixture: &Fixture,
        way: Way,
        journal: &Arc<dyn Journal>,
        node: Wire,
        out: Wire,
    ) -> Self {
        let entry_point = fixture.stack.entry_point;
        let submitter: Arc<dyn Submitter> = match way {
            Way::Bundler => Arc::new(BundlerSubmitter::new(provider(out.clone()), entry_point)),
            Way::EntryPoint => {
                // Nothing else sends from there.
                let number = fixture.processes.fetch_add(1, Ordering::Relaxed);
                let signer: PrivateKeySigner = dev_accounts()[4 + number].signer();
                let from = signer.address();
                Arc::new(EntryPointSubmitter::new(
                    wallet(out.clone(), signer),
                    entry_point,
                    from,
                ))
            }
        };
        let mortal = Mortal::new(journal);
        let journal: Arc<dyn Journal> = Arc::new(mortal.clone());
        let account = account_over(fixture, node.clone()).with_desk(desk(&journal, fixture.epoch));
        Self {
            journal: mortal,
            agent: SessionKeyClient::shared(account.clone(), Arc::new(key(1)), submitter.clone()),
            owner: OwnerClient::shared(
                account.clone(),
                Arc::new(fixture.owner_signer.clone()),
                submitter.clone(),
            ),
            node,
            out,
            account,
            submitter,
        }
    }

    /// The same on a machine with this clock.
    pub(crate) fn by_clock(self, fixture: &Fixture, clock: &Clock) -> Self {
        let journal: Arc<dyn Journal> = Arc::new(self.journal.clone());
        let desk = desk_with_clock(&journal, fixture.epoch, clock);
        let account = self.account.with_desk(desk);
        let (owner, submitter) = (Arc::new(fixture.owner_signer.clone()), self.submitter.clone());
        Self {
            agent: SessionKeyClient::shared(account.clone(), Arc::new(key(1)), submitter.clone()),
            owner: OwnerClient::shared(account.clone(), owner, submitter),
            account,
            ..self
        }
    }

    /// The same with a handle that knows how the account is created.
    pub(crate) async fn creating(self, fixture: &Fixture) -> Self {
        let owner = fixture.owner_signer.address();
        let account = account(provider(self.node.clone()), &fixture.stack, owner)
            .await
            .with_desk(self.account.desk().clone());
        assert_eq!(account.address(), fixture.account.address());
        let (signer, submitter) = (Arc::new(fixture.owner_signer.clone()), self.submitter.clone());
        Self {
            owner: OwnerClient::shared(account.clone(), signer, submitter),
            account,
            ..self
        }
    }

    /// Ends it without a word: nothing more is written or given back.
    pub(crate) fn kill(&self) {
        self.journal.stop(true);
    }

    /// Stops it, as a debugger or a machine that sleeps does, or lets it go on.
    pub(crate) fn stop(&self, is_stopped: bool) {
        self.journal.stop(is_stopped);
    }

    /// A client of another key.
    pub(crate) fn agent_of(&self, number: u8) -> SessionKeyClient {
        SessionKeyClient::shared(
            self.account.clone(),
            Arc::new(key(number)),
            self.submitter.clone(),
        )
    }
}

/// Seconds.
pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
