//! Open work sent by the other way: operations before a plain transaction, plain transactions before an
//! operation.
//!
//! Nonces keep the order within each way, but nothing orders the two: an open grant sent by one could be
//! included after a removal sent by the other, and restore the key.

use super::{
    desk::Desk,
    ledger::{Note, open_journal},
};
use crate::{commands::waited, failure::StillOpen, report::print_note};
use eyre::{Result, bail};
use session_key_client::{
    OwnerAction, OwnerClient, SmartAccount,
    alloy::primitives::{Address, B256},
    calldata::increment_nonce,
    journal::{IntentRecord, Journal as _, SqliteJournal, TransactionRecord},
    operation::Outcome,
    submit::EntryPointSubmitter,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// The spinner's message.
const OTHER: &str = "waiting for what an earlier run sent the other way";
/// How long to wait for open work.
const PATIENCE: Duration = Duration::from_secs(20);
/// The polling interval.
const INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of nonces of one lane ended at once.
const MOST_ENDED: usize = 64;
/// Commands that never add permissions.
const TAKES_ONLY: [&str; 3] = ["revoke", "unblock", "reset"];

/// Whether data contains one of the keys.
fn names(data: &[u8], keys: &[Address]) -> bool {
    keys.iter().any(|key| {
        data.windows(Address::len_bytes())
            .any(|bytes| bytes == key.as_slice())
    })
}

/// Open work.
struct Open {
    /// In words.
    words: String,
    user_op_hash: Option<B256>,
    transaction_hash: Option<B256>,
}

impl Desk<'_> {
    /// Waits for open work sent the other way that concerns these keys of the account, or any key. If it
    /// stays open, that is an error and nothing is signed. With `--again`, it is ignored.
    pub(super) async fn settle_other_way(
        &self,
        account: &SmartAccount,
        keys: Option<&[Address]>,
    ) -> Result<()> {
        let path = self.journal();
        if self.writing.dry_run || self.writing.again || !path.exists() {
            return Ok(());
        }
        let journal = open_journal(&path, &self.chain).await?;
        let transactions: Vec<TransactionRecord> = journal
            .all_transactions(self.chain.chain_id)
            .await?
            .into_iter()
            .filter(|record| self.concerns(record, account, keys))
            .collect();
        let intents = self.intents_in_the_way(&journal, account, keys).await?;
        if transactions.is_empty() && intents.is_empty() {
            return Ok(());
        }
        let owner = self.writing.owner()?;
        let looker = self.transactions(owner.clone());
        let submitter = EntryPointSubmitter::new(
            self.chain.provider(),
            account.deployment().entry_point,
            owner.address(),
        );
        let client = OwnerClient::new(account.clone().with_journal(journal), owner, submitter);
        let until = Instant::now() + PATIENCE;
        let mut has_said = false;
        let settled = async {
            loop {
                let mut open = None;
                for record in &transactions {
                    if looker.is_undecided_of(record.sender, &record.signed).await? {
                        open = Some(self.open_transaction(record));
                        break;
                    }
                }
                for record in &intents {
                    let newest = match client.intent(record.id).await {
                        Ok(Some(newest)) => newest,
                        Ok(None) => continue,
                        // Another signer's record cannot be looked up with this one: use the journal's state.
                        Err(_) => record.clone(),
                    };
                    if let (Outcome::Open(_), Some(operation)) =
                        (newest.outcome(), newest.open_operations().last())
                    {
                        open = Some(open_operation(operation.signed.hash));
                        break;
                    }
                }
                let Some(open) = open else {
                    return Ok(());
                };
                if Instant::now() >= until {
                    bail!(StillOpen {
                        what: open.words,
                        user_op_hash: open.user_op_hash,
                        transaction_hash: open.transaction_hash,
                    });
                }
                if !has_said {
                    has_said = true;
                    print_note(&format!("{OTHER}, for {} s", PATIENCE.as_secs()));
                }
                sleep(INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            interrupted = self.interrupted() => Err(interrupted.into()),
            settled = waited(OTHER, settled) => settled,
        }
    }

    /// Returns calls that end open operations which add permissions to these keys, or any, for a removal by
    /// plain transaction, which does not wait for them. Empty if no such key is registered.
    pub(super) async fn endings(
        &self,
        account: &SmartAccount,
        keys: Option<&[Address]>,
    ) -> Result<Vec<OwnerAction>> {
        let path = self.journal();
        if !self.is_direct || self.writing.dry_run || !path.exists() {
            return Ok(Vec::new());
        }
        let journal = open_journal(&path, &self.chain).await?;
        let intents = self.intents_in_the_way(&journal, account, keys).await?;
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        let registered = account.session_keys().await?;
        let is_there = match keys {
            Some(keys) => keys.iter().all(|key| registered.contains(key)),
            None => !registered.is_empty(),
        };
        if !is_there {
            return Ok(Vec::new());
        }
        let mut last = BTreeMap::new();
        for record in &intents {
            for operation in record.open_operations() {
                let nonce = last.entry(record.lane.nonce_key).or_insert(operation.nonce());
                *nonce = operation.nonce().max(*nonce);
            }
        }
        let mut endings = Vec::new();
        for (nonce_key, last) in last {
            let next = account.nonce(nonce_key).await?;
            let Some(more) = last.checked_sub(next) else {
                continue;
            };
            let count =
                usize::try_from(more).map_or(MOST_ENDED, |more| more.saturating_add(1).min(MOST_ENDED));
            let call = increment_nonce(account.deployment().entry_point, nonce_key);
            endings.extend(std::iter::repeat_n(OwnerAction::Call(call), count));
        }
        if !endings.is_empty() {
            print_note(
                "an open operation of an earlier run concerns the same keys: the transaction ends it as well",
            );
        }
        Ok(endings)
    }

    async fn intents_in_the_way(
        &self,
        journal: &SqliteJournal,
        account: &SmartAccount,
        keys: Option<&[Address]>,
    ) -> Result<Vec<IntentRecord>> {
        let mut intents = journal.intents(self.chain.chain_id, account.address()).await?;
        intents.retain(|record| self.is_in_the_way(record, account, keys));
        Ok(intents)
    }

    /// Whether a plain transaction could be included after this command and affect the same keys.
    fn concerns(&self, record: &TransactionRecord, account: &SmartAccount, keys: Option<&[Address]>) -> bool {
        // One sender's nonces keep the order.
        let is_other_way = !self.is_direct
            || self
                .ledger
                .as_ref()
                .is_some_and(|ledger| ledger.sender() != record.sender);
        let command = command_of(record);
        let takes_only = command
            .as_deref()
            .is_some_and(|command| TAKES_ONLY.contains(&command));
        // A removed key cannot be changed afterwards.
        let is_late = command.as_deref() == Some("apply");
        let is_harmless = self.command == "revoke" && (takes_only || is_late);
        let Some(call) = record.signed.call() else {
            return false;
        };
        is_other_way
            && !is_harmless
            && call.target == account.address()
            && keys.is_none_or(|keys| names(&call.data, keys))
    }

    /// Whether an operation could be included after this command and affect the same keys.
    fn is_in_the_way(&self, record: &IntentRecord, account: &SmartAccount, keys: Option<&[Address]>) -> bool {
        // Operations settle among themselves.
        if !self.is_direct
            || record.lane.entry_point != account.deployment().entry_point
            || !matches!(record.outcome(), Outcome::Open(_))
        {
            return false;
        }
        let Some(keys) = keys else {
            return !record.grants_to.is_empty();
        };
        let grants = record.grants_to.iter().any(|key| keys.contains(key));
        let mut operations = record.open_operations();
        let mut named = || {
            operations.any(|operation| names(&operation.signed.operation.call_data, keys))
                // An operation names the key that signs it.
                && !keys.contains(&record.signer)
        };
        grants || self.command != "revoke" && named()
    }

    fn open_transaction(&self, record: &TransactionRecord) -> Open {
        let command = command_of(record).unwrap_or_else(|| "unknown command".to_owned());
        let way = if self.is_direct {
            "Wait until it is included"
        } else {
            "Repeat that command with --direct, which settles it; or run this one with --direct, which comes after it"
        };
        Open {
            words: format!(
                "transaction {} of an earlier run ({command}, nonce {}) is open and concerns the same keys: it could be included after this \
                 and undo it, so nothing was signed. {way}. --again does not wait for it",
                record.signed.hash, record.signed.nonce
            ),
            user_op_hash: None,
            transaction_hash: Some(record.signed.hash),
        }
    }
}

fn command_of(record: &TransactionRecord) -> Option<String> {
    let note: Note = serde_json::from_value(record.note.clone()).ok()?;
    Some(note.command)
}

fn open_operation(hash: B256) -> Open {
    Open {
        words: format!(
            "operation {hash} of an earlier run is open and concerns the same keys: it could be included after this and undo it, so nothing was \
             signed. Repeat that command through the bundler, which settles it; or run this one through the bundler, which \
             keeps the order. --again does not wait for it"
        ),
        user_op_hash: Some(hash),
        transaction_hash: None,
    }
}
