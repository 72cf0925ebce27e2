//! The state shared by all operations of a client.

use super::{
    bounds::Bounds,
    desk::Desk,
    paymaster::Paymaster,
    settle::{Finality, OldEvents, SettleError},
};
use crate::{
    account::SmartAccount,
    journal::{IntentRecord, JournalError, Lane, Moment, Scope},
    node::Node,
    signer::Authority,
    submit::Submitter,
};
use alloy::primitives::{Address, aliases::U192};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The common parts of both clients.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) account: SmartAccount,
    pub(crate) node: Node,
    pub(crate) signer: Authority,
    pub(crate) submitter: Arc<dyn Submitter>,
    pub(crate) paymaster: Option<Arc<dyn Paymaster>>,
    pub(crate) bounds: Bounds,
    pub(crate) desk: Arc<Desk>,
    finality: Arc<Mutex<Option<Finality>>>,
    old_events: Arc<Mutex<OldEvents>>,
}

impl Core {
    pub(crate) fn new(account: SmartAccount, signer: Authority, submitter: Arc<dyn Submitter>) -> Self {
        Self {
            node: Node::new(account.provider().clone()),
            bounds: Bounds::on_chain(account.chain_id()),
            desk: account.desk().clone(),
            account,
            signer,
            submitter,
            paymaster: None,
            finality: Arc::default(),
            old_events: Arc::default(),
        }
    }

    pub(crate) const fn chain_id(&self) -> u64 {
        self.account.chain_id()
    }

    pub(crate) const fn entry_point(&self) -> Address {
        self.account.deployment().entry_point
    }

    /// Returns the lane of a nonce key.
    pub(crate) const fn lane(&self, nonce_key: U192) -> Lane {
        Lane {
            chain_id: self.chain_id(),
            entry_point: self.entry_point(),
            account: self.account.address(),
            nonce_key,
        }
    }

    /// Returns the scope of this client's names.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            chain_id: self.chain_id(),
            account: self.account.address(),
            signer: self.signer.address(),
        }
    }

    pub(super) fn finality(&self) -> MutexGuard<'_, Option<Finality>> {
        self.finality.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the account's operations in old blocks.
    pub(super) fn old_events(&self) -> MutexGuard<'_, OldEvents> {
        self.old_events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records since when no one waits for an intent, whatever others have written meanwhile. `None`: it is
    /// no longer in the journal.
    pub(super) async fn give_up(
        &self,
        mut record: IntentRecord,
        given_up: Moment,
    ) -> Result<Option<IntentRecord>, JournalError> {
        let journal = self.desk.journal();
        loop {
            record.given_up.get_or_insert(given_up);
            let id = record.id;
            match journal.put(record, None).await {
                Ok(written) => {
                    self.desk.forget_dropped(id);
                    return Ok(Some(written));
                }
                Err(JournalError::Conflict { .. }) => match journal.intent(id).await? {
                    Some(newest) if newest.given_up.is_some() || newest.told => {
                        self.desk.forget_dropped(id);
                        return Ok(Some(newest));
                    }
                    Some(newest) => record = newest,
                    None => return Ok(None),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Records what the chain decided. Needs no lease: it is a fact, whoever finds it. If the record has
    /// changed meanwhile, the newer one is used; whatever it lacks is found again.
    pub(super) async fn write_fact(&self, record: IntentRecord) -> Result<IntentRecord, SettleError> {
        let journal = self.desk.journal();
        let id = record.id;
        match journal.put(record.clone(), None).await {
            Ok(written) => Ok(written),
            Err(JournalError::Conflict { .. }) => match journal.intent(id).await? {
                Some(theirs) => Ok(theirs),
                // It was removed as spent.
                None => Ok(record),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("account", &self.account.address())
            .field("signer", &self.signer.address())
            .field("submitter", &self.submitter)
            .field("paymaster", &self.paymaster)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}
