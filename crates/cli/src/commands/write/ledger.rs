//! An owner's plain transactions, written down in the journal before they are sent.

use crate::{
    answer::Answer,
    commands::chain::Chain,
    files::write_whole,
    report::print_note,
    state::{LOCK_TIMEOUT, lock},
};
use eyre::{Result, WrapErr as _, eyre};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session_key_client::{
    OwnerAction,
    alloy::primitives::{Address, B256, keccak256},
    journal::{JournalError, SqliteJournal, TransactionRecord},
    transaction::SignedTransaction,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// What a command was asked for: with equal ones, it is the same command given again.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) command: &'static str,
    arguments: Value,
    /// It is a plain transaction whether `--direct` is given or not.
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

    /// It is not about an account that is named.
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
            // Whoever makes one does not name it.
            settings.account.filter(|_| self.names_account),
            &settings.deployment,
            settings.owner,
            settings.salt,
        );
        // All of it can be written.
        keccak256(serde_json::to_vec(&asked).unwrap_or_default())
    }
}

/// What stands beside a transaction in the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Note {
    pub(super) command: String,
    arguments: Value,
    /// In words.
    pub(super) what: String,
    /// Whether the command is done with it. If not, it goes on.
    pub(super) is_last: bool,
    /// What the command says once it is done.
    pub(super) answer: Answer,
}

/// A transaction of an earlier run.
pub(super) struct Kept {
    pub(super) signed: SignedTransaction,
    pub(super) note: Note,
}

/// What was decided, and can be forgotten once the answer is printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Decided>>>);

/// What was decided.
#[derive(Clone, Debug)]
enum Decided {
    Transaction(Arc<SqliteJournal>, B256),
    Operation(BegunOperation),
}

impl Told {
    fn add(&self, decided: Decided) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(decided);
    }

    /// An operation is decided, and the answer says so.
    pub(super) fn operation(&self, begun: BegunOperation) {
        self.add(Decided::Operation(begun));
    }

    /// The answer is printed.
    pub(crate) async fn forget(&self) {
        let told = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for decided in told {
            let (journal, transaction) = match decided {
                Decided::Transaction(journal, transaction) => (journal, transaction),
                Decided::Operation(begun) => {
                    begun.remove();
                    continue;
                }
            };
            if let Err(error) = journal.forget_transaction(transaction).await {
                print_note(&format!(
                    "the same command will answer this once more: transaction {transaction} stays in the journal ({error})"
                ));
            }
        }
    }
}

/// An operation that a command has begun: what it has to be when the command is given again, however the chain looks then. It is
/// noted beside the journal, which has the operation itself by its name.
#[derive(Clone, Debug)]
pub(super) struct BegunOperation {
    path: PathBuf,
    pub(super) note: OperationNote,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OperationNote {
    pub(super) name: String,
    pub(super) actions: Vec<OwnerAction>,
    /// What the command says once it is done.
    pub(super) answer: Answer,
}

impl BegunOperation {
    fn path(journal: &Path, asked: B256) -> PathBuf {
        journal.with_file_name(format!("begun-{asked}.json"))
    }

    /// What an earlier run has noted. A note that cannot be read is an error: what it stands for may be open.
    pub(super) fn read(journal: &Path, asked: B256) -> Result<Option<Self>> {
        let path = Self::path(journal, asked);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).wrap_err_with(|| format!("{}", path.display())),
        };
        let note = serde_json::from_str(&text)
            .wrap_err_with(|| format!("{} is not a note of this version", path.display()))?;
        Ok(Some(Self { path, note }))
    }

    pub(super) fn write(
        journal: &Path,
        asked: B256,
        command: &str,
        actions: &[OwnerAction],
        answer: &Answer,
    ) -> Result<Self> {
        let path = Self::path(journal, asked);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).wrap_err_with(|| format!("{}", folder.display()))?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let note = OperationNote {
            name: format!("{command} {asked} {} {}", std::process::id(), now.as_nanos()),
            actions: actions.to_vec(),
            answer: answer.clone(),
        };
        let text = serde_json::to_string(&note)?;
        write_whole(&path, &text).wrap_err_with(|| format!("{}", path.display()))?;
        Ok(Self { path, note })
    }

    pub(super) fn remove(&self) {
        // What stays is found to be done the next time.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The journal, with the transactions of one sender on one chain. One process at a time has it.
#[derive(Debug)]
pub(super) struct Ledger {
    journal: Arc<SqliteJournal>,
    chain_id: u64,
    sender: Address,
    asked: B256,
    request: Request,
    told: Told,
    /// Released when the process ends, however it ends.
    _lock: File,
}

/// Opens a journal, and makes the folder that it is in.
pub(super) async fn open_journal(path: &Path) -> Result<SqliteJournal> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).wrap_err_with(|| format!("{}", folder.display()))?;
    }
    let journal = SqliteJournal::open(path).await;
    journal.wrap_err_with(|| format!("{}", path.display()))
}

impl Ledger {
    pub(super) async fn open(
        path: PathBuf,
        chain: &Chain,
        sender: Address,
        request: Request,
        told: Told,
    ) -> Result<Self> {
        let journal = open_journal(&path).await?;
        let on_wait = || {
            print_note(&format!(
                "another process sends transactions with {}: waiting for its end",
                path.display()
            ));
        };
        let lock = lock(&path, LOCK_TIMEOUT, on_wait)
            .await
            .wrap_err_with(|| format!("{}", path.display()))?;
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

    /// The transactions of earlier runs of which nobody was told: those of the same command, and those of others.
    pub(super) async fn kept(&self) -> Result<(Vec<Kept>, Vec<Kept>)> {
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for record in self.journal.transactions(self.chain_id, self.sender).await? {
            let hash = record.signed.hash;
            let note = serde_json::from_value(record.note).map_err(|error| {
                eyre!("the journal holds transaction {hash}, with a note that cannot be read: {error}")
            })?;
            let kept = Kept {
                signed: record.signed,
                note,
            };
            if record.request == self.asked {
                same.push(kept);
            } else {
                others.push(kept);
            }
        }
        Ok((same, others))
    }

    /// Writes a transaction down, with what is answered once it is done.
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

    /// It is decided, and the answer says so.
    pub(super) fn decided(&self, transaction: B256) {
        self.told
            .add(Decided::Transaction(self.journal.clone(), transaction));
    }

    /// Nobody will ask for it: it never left, or the command goes on after it.
    pub(super) async fn forget(&self, transaction: B256) -> Result<(), JournalError> {
        self.journal.forget_transaction(transaction).await
    }
}
