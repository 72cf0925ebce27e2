//! Turns in a lane: one intent at a time, within the process and across processes that share a journal.

use super::{
    error::{Cause, OperationError},
    share::Rider,
};
use crate::journal::{
    Acquired, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, MemoryJournal, Moment, Patient,
    ProcessId,
};
use alloy::{
    primitives::{FixedBytes, aliases::U192},
    signers::k256::elliptic_curve::rand_core::{OsRng, RngCore},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

/// The process's environment. A simulation replaces it.
pub trait Surroundings: fmt::Debug + Send + Sync {
    /// Returns milliseconds since the Unix epoch. May jump.
    fn unix_millis(&self) -> u64;

    /// Fills the bytes with unpredictable randomness.
    fn fill_random(&self, bytes: &mut [u8]);
}

/// The system clock, and the operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        OsRng.fill_bytes(bytes);
    }
}

/// How long a lease on a lane lasts unless it is renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often to check whether another process renews its presence.
const PRESENCE_LOOK: Duration = Duration::from_secs(1);

/// Returns the lane whose lease shows that a process is alive. Its key cannot be guessed, and nothing is
/// signed for it.
const fn presence_lane(lane: Lane, process: ProcessId) -> Lane {
    let FixedBytes(id) = process.0;
    let mut key = [0; 24];
    let mut index = 0;
    while index < id.len() {
        key[index] = id[index];
        index += 1;
    }
    Lane {
        nonce_key: U192::from_be_bytes(key),
        ..lane
    }
}

/// Another process's lease, as last seen.
#[derive(Clone, Copy, Debug)]
struct Held {
    holder: ProcessId,
    until: u64,
    since: Instant,
}

/// A journal, and the queue of this process's intents for their turns. Clients that share a desk share lanes:
/// those of clones of one [`SmartAccount`](crate::SmartAccount), and those given the same desk.
#[derive(Debug)]
pub struct Desk {
    journal: Arc<dyn Journal>,
    surroundings: Arc<dyn Surroundings>,
    process: ProcessId,
    sequence: AtomicU64,
    queues: Mutex<BTreeMap<Lane, Weak<AsyncMutex<()>>>>,
    /// Intents whose futures were dropped while they were open.
    dropped: Mutex<Vec<(IntentId, Moment)>>,
    /// The newest block of each chain in which this process has seen an inclusion.
    newest: Mutex<BTreeMap<u64, u64>>,
    /// Other processes' leases that kept this one waiting, and since when they are unchanged.
    held: Mutex<BTreeMap<Lane, Held>>,
    /// Intents that wait to be taken along in their lane.
    pub(super) riders: Mutex<BTreeMap<Lane, Vec<Rider>>>,
    /// Leases that show that this process is alive, by account.
    presences: AsyncMutex<BTreeMap<Lane, Weak<Turn>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self::new(MemoryJournal::new())
    }
}

impl Desk {
    /// Creates a desk with a journal.
    pub fn new(journal: impl Journal + 'static) -> Self {
        Self::with_surroundings(Arc::new(journal), Arc::new(Machine))
    }

    /// Creates a desk with the caller's clock and randomness.
    pub fn with_surroundings(journal: Arc<dyn Journal>, surroundings: Arc<dyn Surroundings>) -> Self {
        let mut process = FixedBytes::default();
        surroundings.fill_random(process.as_mut_slice());
        Self {
            journal: Arc::new(Patient(journal)),
            surroundings,
            process: ProcessId(process),
            sequence: AtomicU64::new(0),
            queues: Mutex::default(),
            dropped: Mutex::default(),
            newest: Mutex::default(),
            held: Mutex::default(),
            riders: Mutex::default(),
            presences: AsyncMutex::default(),
        }
    }

    /// Returns the journal. Accesses that take longer than 30 seconds fail.
    pub const fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    pub(crate) fn now(&self) -> u64 {
        self.surroundings.unix_millis()
    }

    /// Returns the current moment. Every call returns a later one.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            at: self.now(),
            process: self.process,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.surroundings.fill_random(&mut bytes);
        bytes
    }

    pub(crate) fn new_intent_id(&self) -> IntentId {
        IntentId(FixedBytes(self.random()))
    }

    /// Notes that no one waits for an intent any more. It is recorded in the journal at the lane's next turn.
    pub(crate) fn note_dropped(&self, id: IntentId) {
        let moment = self.moment();
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.push((id, moment));
    }

    pub(crate) fn dropped_at(&self, id: IntentId) -> Option<Moment> {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped
            .iter()
            .find(|(other, _)| *other == id)
            .map(|(_, moment)| *moment)
    }

    pub(crate) fn forget_dropped(&self, id: IntentId) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        dropped.retain(|(other, _)| *other != id);
    }

    /// Returns since when no one waits for an intent: its future was dropped, its process died (it did not
    /// release its lease), or its time is over. `None`: someone may be waiting.
    pub(crate) fn left_alone_at(&self, record: &IntentRecord, lapsed: Option<&Lease>) -> Option<Moment> {
        if let Some(dropped) = self.dropped_at(record.id) {
            return Some(dropped);
        }
        if record.asked.process == self.process {
            return None;
        }
        if let Some(lapsed) = lapsed.filter(|lapsed| lapsed.holder == record.asked.process) {
            return Some(Moment {
                // It was last seen when its process extended the lease.
                at: lapsed.until.saturating_sub(millis(LEASE)),
                ..self.moment()
            });
        }
        let is_over = self.now() > record.deadline;
        is_over.then(|| Moment {
            at: record.deadline,
            ..self.moment()
        })
    }

    /// Notes an inclusion in this block.
    pub(crate) fn note_block(&self, chain_id: u64, number: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.entry(chain_id).or_default();
        *known = number.max(*known);
    }

    /// Returns the newest block with a known inclusion. A node without it lags.
    pub(crate) fn newest_block(&self, chain_id: u64) -> u64 {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get(&chain_id).copied().unwrap_or_default()
    }

    /// Waits for the lane's turn, first come first served within the process.
    pub(crate) async fn turn(self: &Arc<Self>, lane: Lane, until: Instant) -> Result<Turn, TurnError> {
        let queue = self.queue(lane);
        let Ok(guard) = timeout_at(until, queue.lock_owned()).await else {
            return Err(TurnError::Busy);
        };
        let mut pause = Duration::from_millis(20);
        let mut now = self.now();
        loop {
            let acquired = self
                .journal
                .acquire(&lane, self.process, now, now.saturating_add(millis(LEASE)))
                .await
                .map_err(TurnError::Journal)?;
            match acquired {
                Acquired::Lease { lease, lapsed } => {
                    self.note_held(lane, None);
                    return Ok(Turn::new(self.clone(), lease, lapsed, guard));
                }
                Acquired::Held { holder, until: end } => {
                    // The clock may have jumped: a lease that was not extended for a full lease time is over,
                    // whatever it says.
                    if self.note_held(lane, Some((holder, end))) > LEASE && now < end {
                        now = end;
                        continue;
                    }
                    if Instant::now() + pause >= until {
                        return Err(TurnError::Busy);
                    }
                    sleep(pause).await;
                    pause = (pause * 3 / 2).min(Duration::from_secs(1));
                    now = self.now();
                }
            }
        }
    }

    /// Notes another process's lease, and returns for how long it is unchanged: callers with short time
    /// limits wait for it one after another.
    fn note_held(&self, lane: Lane, lease: Option<(ProcessId, u64)>) -> Duration {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((holder, until)) = lease else {
            held.remove(&lane);
            return Duration::ZERO;
        };
        let known = held.get(&lane).copied();
        let same = known.filter(|known| (known.holder, known.until) == (holder, until));
        let since = same.map_or_else(Instant::now, |known| known.since);
        held.insert(lane, Held { holder, until, since });
        since.elapsed()
    }

    /// Shows other processes, while the result is kept, that this one waits for intents of the account
    /// without holding their lane: it holds a lease on a lane that is never signed for. `None`: the journal
    /// does not answer.
    pub(crate) async fn presence(self: &Arc<Self>, lane: Lane) -> Option<Arc<Turn>> {
        let lane = presence_lane(lane, self.process);
        let mut presences = self.presences.lock().await;
        if let Some(presence) = presences.get(&lane).and_then(Weak::upgrade) {
            return Some(presence);
        }
        let turn = self.turn(lane, Instant::now() + LEASE).await.ok()?;
        let presence = Arc::new(turn);
        presences.insert(lane, Arc::downgrade(&presence));
        Some(presence)
    }

    /// Whether the process that waited for an intent has died: it shows no presence, or does not renew it.
    pub(crate) async fn is_gone(&self, record: &IntentRecord) -> Result<bool, JournalError> {
        let process = record.asked.process;
        if process == self.process {
            return Ok(false);
        }
        let lane = presence_lane(record.lane, process);
        let mut seen: Option<(u64, Instant)> = None;
        loop {
            let now = self.now();
            let acquired = self
                .journal
                .acquire(&lane, self.process, now, now.saturating_add(millis(LEASE)))
                .await?;
            match (acquired, seen) {
                (Acquired::Lease { lease, .. }, _) => {
                    self.journal.release(&lease).await?;
                    return Ok(true);
                }
                (Acquired::Held { until, .. }, Some((known, _))) if until != known => return Ok(false),
                (Acquired::Held { .. }, Some((_, since))) if since.elapsed() > LEASE => return Ok(true),
                (Acquired::Held { .. }, Some(_)) => {}
                (Acquired::Held { until, .. }, None) => seen = Some((until, Instant::now())),
            }
            sleep(PRESENCE_LOOK).await;
        }
    }

    fn queue(&self, lane: Lane) -> Arc<AsyncMutex<()>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&lane).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(AsyncMutex::new(()));
        queues.insert(lane, Arc::downgrade(&queue));
        queue
    }
}

pub(crate) const fn millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

/// A turn could not be taken.
#[derive(Debug)]
pub(crate) enum TurnError {
    Busy,
    Journal(JournalError),
}

impl TurnError {
    pub(crate) fn into_error(self, waited: Duration) -> OperationError {
        OperationError::nothing_sent(match self {
            Self::Busy => Cause::LaneBusy { waited },
            Self::Journal(error) => error.into(),
        })
    }
}

/// A lane's turn: no one else signs for the lane while it is held. Its lease is renewed in the background
/// while the turn lives, and released at its end.
#[derive(Debug)]
pub(crate) struct Turn {
    held: Option<Arc<Holding>>,
    renewal: AbortHandle,
    /// The lease of a process that did not release it.
    pub(crate) lapsed: Option<Lease>,
    _queue: OwnedMutexGuard<()>,
}

/// A lease and its holder.
#[derive(Debug)]
struct Holding {
    desk: Arc<Desk>,
    lease: AsyncMutex<Renewed>,
}

/// A lease, and when it was last renewed.
#[derive(Debug)]
struct Renewed {
    lease: Lease,
    at: Instant,
}

impl Turn {
    fn new(desk: Arc<Desk>, lease: Lease, lapsed: Option<Lease>, queue: OwnedMutexGuard<()>) -> Self {
        let at = Instant::now();
        let held = Arc::new(Holding {
            desk,
            lease: AsyncMutex::new(Renewed { lease, at }),
        });
        let renewal = tokio::spawn(held.clone().keep()).abort_handle();
        Self {
            held: Some(held),
            renewal,
            lapsed,
            _queue: queue,
        }
    }

    /// Writes records in the transaction that checks the lease: all or none.
    pub(crate) async fn write(&self, records: Vec<IntentRecord>) -> Result<Vec<IntentRecord>, JournalError> {
        let Some(held) = &self.held else {
            return Err(JournalError::LeaseLost);
        };
        let mut renewed = held.lease.lock().await;
        held.renew(&mut renewed).await?;
        held.desk
            .journal
            .put_all(records, Some((&renewed.lease, held.desk.now())))
            .await
    }

    /// Releases the lane.
    pub(crate) async fn release(mut self) {
        if let Some(held) = self.held.take() {
            held.release().await;
        }
    }

    /// Lets the lease lapse: a write under it may still be in progress.
    pub(crate) fn abandon(mut self) {
        self.held = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.renewal.abort();
        // Outside a runtime, it expires.
        if let Some(held) = self.held.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(held.release());
        }
    }
}

impl Holding {
    /// Renews the lease until another process holds it.
    async fn keep(self: Arc<Self>) {
        loop {
            sleep(LEASE / 3).await;
            let mut renewed = self.lease.lock().await;
            if matches!(self.renew(&mut renewed).await, Err(JournalError::LeaseLost)) {
                return;
            }
        }
    }

    /// Extends the lease after a third of it has passed.
    async fn renew(&self, renewed: &mut Renewed) -> Result<(), JournalError> {
        if renewed.at.elapsed() < LEASE / 3 {
            return Ok(());
        }
        let until = self.desk.now().saturating_add(millis(LEASE));
        renewed.lease = self.desk.journal.renew(&renewed.lease, until).await?;
        renewed.at = Instant::now();
        Ok(())
    }

    async fn release(self: Arc<Self>) {
        let renewed = self.lease.lock().await;
        // A lease that cannot be released expires.
        let _ = self.desk.journal.release(&renewed.lease).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, aliases::U192};

    /// A clock that advances by a millisecond each time it is read.
    #[derive(Debug)]
    struct At(AtomicU64);

    impl Surroundings for At {
        fn unix_millis(&self) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed)
        }

        fn fill_random(&self, bytes: &mut [u8]) {
            OsRng.fill_bytes(bytes);
        }
    }

    fn lane() -> Lane {
        Lane {
            chain_id: 1,
            entry_point: Address::repeat_byte(1),
            account: Address::repeat_byte(2),
            nonce_key: U192::ZERO,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_with_short_time_limits_together_outlast_an_abandoned_lease() {
        const HOUR: u64 = 3_600_000;
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let desk_at = |millis| {
            let clock = Arc::new(At(AtomicU64::new(millis)));
            Arc::new(Desk::with_surroundings(journal.clone(), clock))
        };
        let gone = desk_at(2 * HOUR);
        let within = |seconds| Instant::now() + Duration::from_secs(seconds);
        let turn = gone.turn(lane(), within(1)).await.unwrap();
        // Since then, the clock was set back.
        let desk = desk_at(HOUR);
        // An extended lease is not over.
        for _ in 0..4 {
            assert!(matches!(
                desk.turn(lane(), within(10)).await,
                Err(TurnError::Busy)
            ));
        }
        turn.abandon();
        assert!(matches!(desk.turn(lane(), within(5)).await, Err(TurnError::Busy)));
        // Alone, it would not wait long enough.
        assert!(desk.turn(lane(), within(12)).await.is_ok());
    }
}
