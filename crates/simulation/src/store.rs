//! Stores of journals: what survives a crash, and what fails.

use crate::{
    fault::Fault,
    ledger::Check,
    plan::StorePlan,
    spot::{Actor, Step},
    words::API_KEY,
    world::{World, short},
};
use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use session_key_agent::ledger::{Ledger, MemoryLedger, SqliteLedger};
use session_key_client::journal::{
    Acquired, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, MemoryJournal, ProcessId,
    Scope, SqliteJournal,
};
use std::{
    future::{Future, pending},
    path::Path,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};
use tempfile::TempDir;
use tokio::{
    task::{unconstrained, yield_now},
    time::{Duration, sleep},
};

/// A store that outlives processes.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) index: u8,
    plan: StorePlan,
    /// Where its file is, if it is one.
    folder: Option<TempDir>,
    kept: Mutex<Arc<dyn Journal>>,
    /// What agents have used of their windows, unless it is in the file.
    ledger: Arc<MemoryLedger>,
    /// Everything that was written, where it may be lost.
    log: Mutex<Vec<Write>>,
}

/// Something that changes a journal.
#[derive(Clone, Debug)]
enum Write {
    Acquire(Lane, ProcessId, u64, u64),
    Renew(Lease, u64),
    Release(Lease),
    Put(Vec<IntentRecord>, Option<(Lease, u64)>),
    Prune(Lane),
    Remove(IntentId),
}

impl Store {
    pub(crate) fn new(index: u8, plan: StorePlan) -> Arc<Self> {
        Arc::new(Self {
            index,
            plan,
            folder: plan.is_file.then(folder),
            kept: Mutex::new(Arc::new(MemoryJournal::new())),
            ledger: Arc::default(),
            log: Mutex::default(),
        })
    }

    /// One that is part of a process.
    pub(crate) fn inside() -> Arc<Self> {
        let plan = StorePlan {
            is_synced: true,
            is_file: false,
            latency: 0,
        };
        Self::new(u8::MAX, plan)
    }

    /// What it keeps, without its failures; a file is opened anew.
    pub(crate) fn kept(&self) -> Arc<dyn Journal> {
        if let Some(folder) = &self.folder {
            let opened = block_on(SqliteJournal::open(folder.path().join("journal.db")));
            return Arc::new(opened.expect("the file is nobody else's"));
        }
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ledger beside the journal, likewise.
    pub(crate) fn kept_ledger(&self) -> Arc<dyn Ledger> {
        let Some(folder) = &self.folder else {
            return self.ledger.clone();
        };
        // The journal makes the file.
        drop(self.kept());
        let opened = block_on(SqliteLedger::open(folder.path().join("journal.db")));
        Arc::new(opened.expect("the file is nobody else's"))
    }

    fn log(&self, write: Write) {
        if !self.plan.is_synced {
            self.log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(write);
        }
    }

    /// The machine crashes: the last writes are lost, unless they were synced.
    pub(crate) async fn crash(&self, lost: usize) {
        if self.plan.is_synced || lost == 0 {
            return;
        }
        let writes = {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            let left = log.len().saturating_sub(lost);
            log.truncate(left);
            log.clone()
        };
        let journal = MemoryJournal::new();
        for write in writes {
            // They worked before.
            match write {
                Write::Acquire(lane, holder, now, until) => {
                    let _ = journal.acquire(&lane, holder, now, until).await;
                }
                Write::Renew(lease, until) => {
                    let _ = journal.renew(&lease, until).await;
                }
                Write::Release(lease) => {
                    let _ = journal.release(&lease).await;
                }
                Write::Put(records, lease) => {
                    let lease = lease.as_ref().map(|(lease, now)| (lease, *now));
                    let _ = journal.put_all(records, lease).await;
                }
                Write::Prune(lane) => {
                    let _ = journal.prune(&lane).await;
                }
                Write::Remove(id) => {
                    let _ = journal.remove(id).await;
                }
            }
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(journal);
    }
}

/// An error of a store that has failed.
pub(crate) trait StoreFailed {
    /// The error.
    fn failed() -> Self;
}

impl StoreFailed for JournalError {
    fn failed() -> Self {
        Self::Store {
            message: "disk I/O error".to_owned(),
        }
    }
}

/// A folder for a file: in memory, if the machine has such a place, so that the disk's pace is no matter.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a folder can be made")
}

/// Waits for a future that another thread completes, and lets nothing else happen meanwhile: no time goes by,
/// and the history is the same however long that thread takes.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A store as a process reaches it.
#[derive(Debug)]
pub(crate) struct SimJournal {
    world: Arc<World>,
    process: u8,
    store: Arc<Store>,
    /// A file that this process has opened.
    file: Option<Arc<dyn Journal>>,
    /// Whether it is part of the process: then it does not fail.
    is_inside: bool,
    /// Whether the process has crashed: nothing more gets there, whatever is still on its way.
    has_crashed: Arc<AtomicBool>,
}

impl SimJournal {
    pub(crate) fn open(world: Arc<World>, process: u8, store: Arc<Store>, is_inside: bool) -> Self {
        Self {
            world,
            process,
            file: store.folder.is_some().then(|| store.kept()),
            store,
            is_inside,
            has_crashed: Arc::default(),
        }
    }

    /// Set once the process crashes.
    pub(crate) fn has_crashed(&self) -> Arc<AtomicBool> {
        self.has_crashed.clone()
    }

    async fn live(&self) {
        if self.has_crashed.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
    }

    fn kept(&self) -> Arc<dyn Journal> {
        self.file.clone().unwrap_or_else(|| self.store.kept())
    }

    async fn done<T>(&self, access: impl Future<Output = T>) -> T {
        if self.file.is_some() {
            block_on(access)
        } else {
            access.await
        }
    }

    pub(crate) async fn access<T, E: StoreFailed>(
        &self,
        step: Step,
        access: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        yield_now().await;
        self.live().await;
        if self.is_inside {
            return self.done(access).await;
        }
        let (from, to) = (Actor::Process(self.process), Actor::Store(self.store.index));
        let (spot, fault) = self.world.fate(from, to, step);
        let latency = self.store.plan.latency;
        if latency > 0 {
            let mut dice = self
                .world
                .dice(&[0x5707, from.number(), step as u64, spot.nth.into()]);
            let millis = dice.below(u64::from(latency) + 1);
            if millis > 0 {
                sleep(Duration::from_millis(millis)).await;
            }
        }
        self.live().await;
        let failed = || Err(E::failed());
        match fault {
            Some(Fault::StoreFailsBefore) => failed(),
            Some(Fault::StoreFailsAfter) => {
                let _ = self.done(access).await;
                failed()
            }
            Some(Fault::StoreHangs { applied }) => {
                if applied {
                    let _ = self.done(access).await;
                }
                pending().await
            }
            _ => self.done(access).await,
        }
    }

    /// Checks what was written.
    fn note(&self, written: &IntentRecord, before: Option<&IntentRecord>, others: &[IntentRecord]) {
        let json = serde_json::to_string(written).unwrap_or_default();
        if json.contains(API_KEY) {
            self.world
                .violate(Check::Secret, format!("the journal holds the API key: {json}"));
        }
        for operation in written
            .operations
            .iter()
            .skip(before.map_or(0, |before| before.operations.len()))
        {
            self.world.check_hash(&operation.signed);
            self.world.check_lane(&operation.signed);
            self.world.check_price(&operation.signed);
            self.world
                .check_estimate(self.process, written.id, &operation.signed);
            self.world.check_successor(&operation.signed, others);
            if before.is_none() {
                self.world.check_removal(written);
            }
        }
        for operation in written.open_operations() {
            let was_named = before.is_some_and(|before| {
                let mut known = before.operations.iter();
                known.any(|known| {
                    known.signed.hash == operation.signed.hash && known.nonce_gap == operation.nonce_gap
                })
            });
            if let Some(gap) = operation.nonce_gap
                && !was_named
            {
                self.world.check_named_gap(operation, &gap, others);
            }
        }
        self.say_changes(written, before);
        let now = self.world.now();
        let mut state = self.world.state();
        state.ledger.written(written, self.process, now);
        state.ledger.told_record(written, "the journal");
    }
}

impl SimJournal {
    /// Tells what has changed in a record.
    fn say_changes(&self, written: &IntentRecord, before: Option<&IntentRecord>) {
        let mut changes = Vec::new();
        if before.is_none() {
            changes.push(format!("new, with id {}", written.id));
        }
        if written.given_up.is_some() && before.is_none_or(|before| before.given_up.is_none()) {
            changes.push("given up".to_owned());
        }
        if written.given_up.is_none() && before.is_some_and(|before| before.given_up.is_some()) {
            changes.push("taken up".to_owned());
        }
        if written.told && before.is_none_or(|before| !before.told) {
            changes.push("told".to_owned());
        }
        if written.told_to.is_some() && before.is_none_or(|before| before.told_to.is_none()) {
            changes.push("told to another".to_owned());
        }
        for operation in &written.operations {
            let hash = operation.signed.hash;
            let known = before.and_then(|before| {
                let mut operations = before.operations.iter();
                operations.find(|operation| operation.signed.hash == hash)
            });
            let name = short(hash);
            if known.is_none_or(|known| known.handover != operation.handover) {
                let how = match &operation.handover {
                    Handover::NotTaken(not_taken) => format!("not taken ({:?})", not_taken.reason),
                    other => format!("{other:?}"),
                };
                changes.push(format!("{name} {how}"));
            }
            if operation.included.is_some() && known.is_none_or(|known| known.included.is_none()) {
                changes.push(format!("{name} included"));
            }
            if operation.included.is_none() && known.is_some_and(|known| known.included.is_some()) {
                changes.push(format!("{name} undone"));
            }
            if operation.void.is_some() && known.is_none_or(|known| known.void.is_none()) {
                changes.push(format!("{name} void"));
            }
            if operation.nonce_past.is_some() && known.is_none_or(|known| known.nonce_past.is_none()) {
                changes.push(format!("{name} nonce past"));
            }
            if operation.nonce_gap.is_some() && known.is_none_or(|known| known.nonce_gap.is_none()) {
                changes.push(format!("{name} above a gap"));
            }
        }
        if changes.is_empty() {
            return;
        }
        let wish = self
            .world
            .state()
            .ledger
            .wishes
            .get(&written.id)
            .map_or_else(|| "intent".to_owned(), |(wish, _)| format!("wish {wish}"));
        let text = format!(
            "  process {} writes of {wish}: {}",
            self.process,
            changes.join(", ")
        );
        self.world.say(text);
    }
}

#[async_trait]
impl Journal for SimJournal {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        self.access(Step::JournalWrite, async {
            let acquired = self.kept().acquire(lane, holder, now, until).await?;
            self.store.log(Write::Acquire(*lane, holder, now, until));
            Ok(acquired)
        })
        .await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        self.access(Step::JournalWrite, async {
            let renewed = self.kept().renew(lease, until).await?;
            self.store.log(Write::Renew(lease.clone(), until));
            Ok(renewed)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        self.access(Step::JournalWrite, async {
            self.store.log(Write::Release(lease.clone()));
            self.kept().release(lease).await
        })
        .await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        self.access(Step::JournalWrite, async {
            let kept = self.kept();
            let mut before = Vec::with_capacity(records.len());
            let mut others = Vec::new();
            for record in &records {
                let known = kept.intent(record.id).await?;
                let count = known.as_ref().map_or(0, |known| known.operations.len());
                let names_gap = record
                    .operations
                    .iter()
                    .any(|operation| operation.nonce_gap.is_some());
                if (record.operations.len() > count || names_gap) && others.is_empty() {
                    others = kept.unsettled(&record.lane).await?;
                }
                before.push(known);
            }
            let written = kept.put_all(records.clone(), lease).await?;
            let lease = lease.map(|(lease, now)| (lease.clone(), now));
            self.store.log(Write::Put(records, lease));
            for (written, before) in written.iter().zip(&before) {
                self.note(written, before.as_ref(), &others);
            }
            Ok(written)
        })
        .await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async { self.kept().intent(id).await })
            .await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async { self.kept().named(scope, name).await })
            .await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async { self.kept().unsettled(lane).await })
            .await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async {
            self.kept().untold(scope, request).await
        })
        .await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.access(Step::JournalRead, async {
            self.kept().unsettled_lanes(account).await
        })
        .await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async {
            self.kept().highest_included(lane).await
        })
        .await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        self.access(Step::JournalWrite, async {
            self.store.log(Write::Prune(*lane));
            self.kept().prune(lane).await
        })
        .await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.access(Step::JournalRead, async {
            self.kept().intents(chain_id, account).await
        })
        .await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.access(Step::JournalWrite, async {
            self.store.log(Write::Remove(id));
            self.kept().remove(id).await
        })
        .await
    }
}
