//! The state shared by all operations of a client.

use super::{
    bounds::Bounds,
    desk::Desk,
    outcome::NotTaken,
    paymaster::Paymaster,
    settle::{Finality, OldEvents, SettleError},
};
use crate::{
    account::SmartAccount,
    delegation,
    journal::{HistoryError, IntentRecord, JournalError, Lane, Moment, Scope, check_history},
    node::Node,
    permissions::SignedOperation,
    signer::Authority,
    submit::{Sent, Submitter},
};
use alloy::{
    eips::BlockId,
    primitives::{Address, aliases::U192},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long the journal is known to be of the node's chain after it was checked.
const CHECKED: Duration = Duration::from_secs(10);

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
    /// When the journal was last found to be of the node's chain.
    checked: Arc<Mutex<Option<Instant>>>,
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
            checked: Arc::default(),
        }
    }

    /// Checks that the journal is of the chain that the node follows, and binds a new one to it.
    pub(crate) async fn check_history(&self) -> Result<(), SettleError> {
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked().is_some_and(|at| at.elapsed() < CHECKED) {
            return Ok(());
        }
        match check_history(&**self.desk.journal(), &self.node, self.chain_id()).await {
            Ok(()) => {
                *checked() = Some(Instant::now());
                Ok(())
            }
            Err(HistoryError::Journal(error)) => Err(error.into()),
            Err(HistoryError::Request(error)) => Err(error.into()),
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

    /// Hands an operation over. Its authorization (EIP-7702) is left out if it has already taken effect,
    /// whoever used it. If it is no longer valid, the operation is not handed over.
    pub(crate) async fn hand_over(&self, signed: &SignedOperation) -> Sent {
        let Some(authorization) = &signed.operation.authorization else {
            return self.submitter.send(signed).await;
        };
        if self.submitter.estimates_by_node() {
            return self.submitter.send(signed).await;
        }
        let account = signed.operation.sender;
        let read = tokio::try_join!(
            self.node.code_at(account, BlockId::latest()),
            self.node.transaction_count(account, false)
        );
        let (code, count) = match read {
            Ok(read) => read,
            Err(error) => return Sent::NeverLeft { error },
        };
        let checked = delegation::check_authorization(authorization, account, self.chain_id())
            .and_then(|()| delegation::delegates(account, &code, authorization.address));
        let checked = match checked {
            // A future nonce may be current by the time of inclusion.
            Ok(false) if authorization.inner().nonce < count => {
                delegation::check_nonce(authorization, account, count).map(|()| false)
            }
            checked => checked,
        };
        match checked {
            Ok(false) => self.submitter.send(signed).await,
            Ok(true) => {
                let mut without = signed.clone();
                without.operation.authorization = None;
                self.submitter.send(&without).await
            }
            Err(error) => Sent::NotTaken(NotTaken::not_authorized("node", error)),
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
