//! An owner's plain transactions, recorded in the journal before they are sent.

use crate::{
    answer::Answer,
    commands::chain::Chain,
    files::write_whole,
    report::print_note,
    state::{LOCK_TIMEOUT, LockedFile, lock, lock_shared},
};
use eyre::{Result, WrapErr as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session_key_client::{
    OwnerAction,
    alloy::primitives::{Address, B256, keccak256},
    journal::{HistoryError, JournalError, SqliteJournal, TransactionRecord, check_history},
    transaction::SignedTransaction,
};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// The input of a command: equal requests are the same command, repeated.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) command: &'static str,
    arguments: Value,
    /// It sends a plain transaction with or without `--direct`.
    pub(super) is_always_direct: bool,
    names_account: bool,
}

impl Request {
    pub(super) const fn new(command: &'static str, arguments: Value) -> Self {
        Self {
            command,
            arguments,
            is_always_direct: false,
            names_account: true,
        }
    }

    pub(super) const fn always_direct(mut self) -> Self {
        self.is_always_direct = true;
        self
    }

    /// For commands that do not name an account.
    pub(super) const fn without_account(mut self) -> Self {
        self.names_account = false;
        self
    }

    pub(super) fn hash(&self, chain: &Chain) -> B256 {
        let settings = &chain.settings;
        let asked = (
            // One folder can hold the notes of many chains.
            chain.chain_id,
            self.command,
            &self.arguments,
            // A command that creates an account does not name it.
            settings.account.filter(|_| self.names_account),
            &settings.deployment,
            settings.owner,
            settings.salt,
        );
        // Serialization cannot fail: keys are strings.
        keccak256(serde_json::to_vec(&asked).unwrap_or_default())
    }
}

/// The note stored with a transaction in the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Note {
    pub(super) command: String,
    arguments: Value,
    /// What it does, in words.
    pub(super) what: String,
    /// Whether it completes the command. If not, the command continues.
    pub(super) is_last: bool,
    /// The command's answer once it is done.
    pub(super) answer: Answer,
}

/// A transaction of an earlier run.
pub(super) struct Kept {
    pub(super) signed: SignedTransaction,
    pub(super) note: Note,
}

/// Groups transactions by nonce: at most one of each group can be included.
pub(super) fn by_nonce(kept: Vec<Kept>) -> BTreeMap<u64, Vec<Kept>> {
    let mut groups = BTreeMap::<_, Vec<Kept>>::new();
    for kept in kept {
        groups.entry(kept.signed.nonce).or_default().push(kept);
    }
    groups
}

/// Settled records to forget once the answer is printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Decided>>>);

/// A settled record.
#[derive(Clone, Debug)]
enum Decided {
    Transaction(Arc<SqliteJournal>, B256),
    Operation(BegunNotes, OperationNote),
    /// The file that notes it.
    File(PathBuf),
}

impl Told {
    fn add(&self, decided: Decided) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(decided);
    }

    /// Marks an operation as settled: the answer reports it.
    pub(super) fn operation(&self, notes: BegunNotes, note: OperationNote) {
        self.add(Decided::Operation(notes, note));
    }

    /// Marks a noted file as settled: the answer reports it. The file is removed before the transaction's
    /// record: with only the record, the next run knows that this command did it; with only the file, it
    /// would look like someone else's work.
    pub(super) fn file(&self, path: PathBuf) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(0, Decided::File(path));
    }

    /// Forgets the records, after the answer is printed.
    pub(crate) async fn forget(&self) {
        let told = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for decided in told {
            let (journal, transaction) = match decided {
                Decided::Transaction(journal, transaction) => (journal, transaction),
                Decided::Operation(notes, note) => {
                    notes.remove(&note);
                    continue;
                }
                Decided::File(path) => {
                    // A file that remains is found settled by the next run.
                    let _ = std::fs::remove_file(path);
                    continue;
                }
            };
            if let Err(error) = journal.forget_transaction(transaction).await {
                print_note(&format!(
                    "the same command will give this answer once more: transaction {transaction} stays in the journal ({error})"
                ));
            }
        }
    }
}

/// The account, signer and EntryPoint of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NoteScope {
    pub(super) chain_id: u64,
    pub(super) entry_point: Address,
    pub(super) account: Address,
    pub(super) signer: Address,
}

/// An operation that a command started: what it must contain when the command is repeated, whatever the
/// chain's state is then. The note is stored next to the journal, which has the operation itself under its
/// name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OperationNote {
    pub(super) scope: NoteScope,
    pub(super) name: String,
    pub(super) actions: Vec<OwnerAction>,
    /// The command's answer once it is done.
    pub(super) answer: Answer,
}

/// The operations started by commands of one signer. One process at a time holds these notes.
#[derive(Clone, Debug)]
pub(super) struct BegunNotes {
    path: PathBuf,
    /// Released when the process ends, for any reason.
    _lock: Arc<LockedFile>,
}

impl BegunNotes {
    pub(super) async fn open(journal: &Path, asked: B256, signer: Address) -> Result<Self> {
        let of = keccak256([asked.as_slice(), signer.as_slice()].concat());
        let path = journal.with_file_name(format!("begun-{of}.json"));
        make_folder_of(&path)?;
        let on_wait = || print_note("another process is running the same command: waiting for it");
        let lock = LockedFile::new(&path, LOCK_TIMEOUT, on_wait).await;
        let lock = lock.wrap_err_with(|| format!("{}", path.display()))?;
        Ok(Self {
            path,
            _lock: Arc::new(lock),
        })
    }

    /// Reads the notes of earlier runs, oldest first. Unreadable notes are an error: their operations may be
    /// open.
    pub(super) fn read(&self) -> Result<Vec<OperationNote>> {
        let path = &self.path;
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).wrap_err_with(|| format!("{}", path.display())),
        };
        serde_json::from_str(&text)
            .wrap_err_with(|| format!("{} does not hold notes of this version", path.display()))
    }

    /// Notes an operation before it is signed.
    pub(super) fn add(
        &self,
        scope: NoteScope,
        command: &str,
        actions: &[OwnerAction],
        answer: &Answer,
    ) -> Result<OperationNote> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let note = OperationNote {
            scope,
            name: format!("{command} {} {}", std::process::id(), now.as_nanos()),
            actions: actions.to_vec(),
            answer: answer.clone(),
        };
        let mut notes = self.read()?;
        notes.push(note.clone());
        self.write(&notes)?;
        Ok(note)
    }

    /// Removes a note: the operation is settled, or was never signed.
    pub(super) fn remove(&self, note: &OperationNote) {
        // A note that remains is found settled by the next run.
        let Ok(mut notes) = self.read() else { return };
        notes.retain(|other| (other.scope, &other.name) != (note.scope, &note.name));
        let _ = self.write(&notes);
    }

    fn write(&self, notes: &[OperationNote]) -> Result<()> {
        let named = || format!("{}", self.path.display());
        if notes.is_empty() {
            return std::fs::remove_file(&self.path).wrap_err_with(named);
        }
        let text = serde_json::to_string(notes)?;
        write_whole(&self.path, &text).wrap_err_with(named)
    }
}

fn make_folder_of(path: &Path) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).wrap_err_with(|| format!("{}", folder.display()))?;
    }
    Ok(())
}

/// Keeps other processes from sending transactions with a journal while this one sends operations.
pub(super) async fn share(journal: &Path) -> Result<File> {
    make_folder_of(journal)?;
    let shared = lock_shared(journal, LOCK_TIMEOUT, || say_waiting(journal)).await;
    shared.wrap_err_with(|| format!("{}", journal.display()))
}

fn say_waiting(journal: &Path) {
    print_note(&format!(
        "another process is sending with {}: waiting for it",
        journal.display()
    ));
}

/// The journal, restricted to one sender's transactions on one chain. One process at a time holds it.
#[derive(Debug)]
pub(super) struct Ledger {
    journal: Arc<SqliteJournal>,
    chain_id: u64,
    sender: Address,
    asked: B256,
    request: Request,
    told: Told,
    /// Released when the process ends, for any reason.
    _lock: File,
}

/// Opens a journal, creating its folder. One of another chain with the same id is an error: what it holds
/// could be sent here.
pub(super) async fn open_journal(path: &Path, chain: &Chain) -> Result<SqliteJournal> {
    make_folder_of(path)?;
    let named = || format!("{}", path.display());
    let journal = SqliteJournal::open(path).await.wrap_err_with(named)?;
    let checked = check_history(&journal, &chain.node, chain.chain_id).await;
    checked.map_err(|error| match error {
        HistoryError::Journal(error) => eyre::Report::new(error).wrap_err(named()),
        error => error.into(),
    })?;
    Ok(journal)
}

impl Ledger {
    pub(super) async fn open(
        path: PathBuf,
        chain: &Chain,
        sender: Address,
        request: Request,
        told: Told,
    ) -> Result<Self> {
        make_folder_of(&path)?;
        // Lock before reading and before creating: of two processes without a journal, one creates it.
        let lock = lock(&path, LOCK_TIMEOUT, || say_waiting(&path))
            .await
            .wrap_err_with(|| format!("{}", path.display()))?;
        let journal = open_journal(&path, chain).await?;
        Ok(Self {
            journal: Arc::new(journal),
            chain_id: chain.chain_id,
            sender,
            asked: request.hash(chain),
            request,
            told,
            _lock: lock,
        })
    }

    /// Returns the sender.
    pub(super) const fn sender(&self) -> Address {
        self.sender
    }

    /// Returns unreported transactions of earlier runs: those of the same command, and those of others. Notes
    /// of another version are ignored.
    pub(super) async fn kept(&self) -> Result<(Vec<Kept>, Vec<Kept>)> {
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for record in self.journal.transactions(self.chain_id, self.sender).await? {
            let signed = record.signed;
            let Ok(note) = serde_json::from_value(record.note) else {
                print_note(&format!(
                    "the journal holds transaction {} (nonce {}) with a note that this version cannot read: ignoring it",
                    signed.hash, signed.nonce
                ));
                continue;
            };
            let kept = Kept { signed, note };
            if record.request == self.asked {
                same.push(kept);
            } else {
                others.push(kept);
            }
        }
        Ok((same, others))
    }

    /// Records a transaction, with the answer to give once it is done.
    pub(super) async fn keep(
        &self,
        signed: &SignedTransaction,
        what: &str,
        is_last: bool,
        answer: &Answer,
    ) -> Result<(), JournalError> {
        let note = Note {
            command: self.request.command.to_owned(),
            arguments: self.request.arguments.clone(),
            what: what.to_owned(),
            is_last,
            answer: answer.clone(),
        };
        self.keep_with(signed, &note).await
    }

    /// Records a transaction with the note of the one it replaces.
    pub(super) async fn keep_with(
        &self,
        signed: &SignedTransaction,
        note: &Note,
    ) -> Result<(), JournalError> {
        let note = serde_json::to_value(note).map_err(|error| JournalError::Store {
            message: error.to_string(),
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.journal
            .keep_transaction(TransactionRecord {
                chain_id: self.chain_id,
                sender: self.sender,
                request: self.asked,
                signed_at: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
                note,
                signed: signed.clone(),
            })
            .await
    }

    /// Marks a transaction as settled: the answer reports it.
    pub(super) fn decided(&self, transaction: B256) {
        self.told
            .add(Decided::Transaction(self.journal.clone(), transaction));
    }

    /// Forgets a transaction that needs no report: it was never sent, or the command continues after it.
    pub(super) async fn forget(&self, transaction: B256) -> Result<(), JournalError> {
        self.journal.forget_transaction(transaction).await
    }
}
