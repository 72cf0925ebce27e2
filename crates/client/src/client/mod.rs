//! Clients: an account, a signer, and a way to submit.
//!
//! [`OwnerClient`] grants, changes and revokes; [`SessionKeyClient`] executes calls. Both create
//! [`Operation`]s, which are executed when awaited.

mod action;
mod owner;
mod session_key;

pub use action::OwnerAction;
pub use owner::{Owner, OwnerClient, Unblocked};
pub use session_key::{SessionKey, SessionKeyClient};

use crate::{
    account::SmartAccount,
    journal::{IntentId, IntentRecord},
    operation::{Bounds, Core, DEFAULT_TIMEOUT, GivenCallData, Operation, OperationError, Paymaster},
    permissions::UserOperation,
    signer::Authority,
    submit::Submitter,
};
use alloy::signers::Signer;
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

/// An account, a signer, and a way to submit. `R` is the signer's role: [owner](OwnerClient) or [session
/// key](SessionKeyClient).
pub struct Client<R> {
    core: Arc<Core>,
    role: PhantomData<fn() -> R>,
}

impl<R> Clone for Client<R> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            role: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("core", &self.core).finish()
    }
}

impl<R> Client<R> {
    /// Creates a client for this signer.
    pub fn new(
        account: SmartAccount,
        signer: impl Signer + Send + Sync + 'static,
        submitter: impl Submitter + 'static,
    ) -> Self {
        Self::shared(account, Arc::new(signer), Arc::new(submitter))
    }

    /// Creates a client with a shared signer and submitter.
    pub fn shared(
        account: SmartAccount,
        signer: Arc<dyn Signer + Send + Sync>,
        submitter: Arc<dyn Submitter>,
    ) -> Self {
        Self {
            core: Arc::new(Core::new(account, Authority::Key(signer), submitter)),
            role: PhantomData,
        }
    }

    fn changed(mut self, change: impl FnOnce(&mut Core)) -> Self {
        change(Arc::make_mut(&mut self.core));
        self
    }

    /// Lets a paymaster pay for operations. If it cannot pay, that is an error; the account does not pay
    /// instead.
    #[must_use]
    pub fn with_paymaster(self, paymaster: impl Paymaster + 'static) -> Self {
        self.changed(|core| core.paymaster = Some(Arc::new(paymaster)))
    }

    /// Sets bounds on the cost of operations, instead of [`Bounds::on_chain`].
    #[must_use]
    pub fn with_bounds(self, bounds: Bounds) -> Self {
        self.changed(|core| core.bounds = bounds)
    }

    /// Returns the account.
    pub fn account(&self) -> &SmartAccount {
        &self.core.account
    }

    /// Returns the submitter.
    pub fn submitter(&self) -> &Arc<dyn Submitter> {
        &self.core.submitter
    }

    /// Returns the bounds on the cost of operations.
    pub fn bounds(&self) -> &Bounds {
        &self.core.bounds
    }

    /// Settles every open intent of the account in the journal, and returns the outcome of each.
    ///
    /// An intent whose process died is sent again, as signed, and waited for as long as its caller would have
    /// waited; one whose caller got an error is not sent again. Call it when a process starts. Lanes that
    /// another process works on are left to it: their intents are returned as recorded.
    pub async fn resume(&self) -> Result<Vec<IntentRecord>, OperationError> {
        let longest = self.core.longest_wait();
        within(longest, self.core.resume()).await
    }

    /// Repeats [`resume`](Self::resume) until it is dropped: a background task that notices when a
    /// reorganization undoes an included operation, and sends it again. Errors are left to the next round. It
    /// pauses for at least a second.
    pub async fn watch(&self, every: Duration) {
        let pause = every.max(SHORTEST_WATCH);
        loop {
            let _ = self.resume().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns the journal's record of an intent, after looking at the chain. `None`: it has none, or no
    /// longer.
    pub async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, OperationError> {
        within(DEFAULT_TIMEOUT, self.core.looked_up(id)).await
    }

    /// Returns the intent with a name from [`Operation::id`], after looking at the chain.
    pub async fn named(&self, name: &str) -> Result<Option<IntentRecord>, OperationError> {
        within(DEFAULT_TIMEOUT, async {
            let found = self.core.desk.journal().named(&self.core.scope(), name).await?;
            match found {
                Some(record) => self.core.looked_up(record.id).await,
                None => Ok(None),
            }
        })
        .await
    }

    /// Forgets a settled intent, and its name. An open one cannot be forgotten: its operation may still be
    /// included.
    pub async fn forget(&self, id: IntentId) -> Result<(), OperationError> {
        within(DEFAULT_TIMEOUT, self.core.forget(id)).await
    }

    /// Sends the newest operation of an open intent again, exactly as signed, and waits: whichever of the
    /// intent's operations is included is the result. Nothing is signed: if the operation is refused, or
    /// void, that is the error. [`replace`](Self::replace), or repeating the request by name, signs a new
    /// one.
    pub async fn send_again(&self, id: IntentId) -> Result<Operation, OperationError> {
        Ok(self.of_intent(id).await?.adopting(id, false))
    }

    /// Replaces the operation of an open intent that is stuck: the same call with the same nonce, estimated
    /// and signed again, with both fees raised by at least a tenth, as bundlers require. At most one of the
    /// two is executed, and the result is whichever was.
    ///
    /// Through a bundler the replacement overtakes the first; through an
    /// [`EntryPointSubmitter`](crate::submit::EntryPointSubmitter) that sent the first, it does not.
    pub async fn replace(&self, id: IntentId) -> Result<Operation, OperationError> {
        let operation = self.of_intent(id).await?;
        // An operation shared by several intents has the calls of all of them, so only all of them can
        // replace it. Only session keys' operations are shared; owners' requests are not their call data.
        if operation.is_session_keys()
            && !within(DEFAULT_TIMEOUT, self.core.asks_for(id, operation.request())).await?
        {
            return Err(OperationError::shared(id));
        }
        Ok(operation.adopting(id, true))
    }

    /// Returns the newest operation of an intent, ready to be executed again.
    async fn of_intent(&self, id: IntentId) -> Result<Operation, OperationError> {
        let operation: UserOperation = within(DEFAULT_TIMEOUT, self.core.newest_operation(id)).await?;
        let signer = self.core.signer.address();
        let nonce_key = operation.nonce_key();
        Ok(
            match session_key::Execution::of_call_data(&operation.call_data, signer) {
                Some(source) => Operation::new(&self.core, source, nonce_key),
                None => Operation::new(&self.core, GivenCallData(operation.call_data), nonce_key),
            },
        )
    }
}

/// The minimum pause of [`Client::watch`]: journal and node have other work, too.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// Limits the time of questions about intents. An error says nothing about them.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, OperationError>>,
) -> Result<T, OperationError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(OperationError::about_intents),
        Err(_) => Err(OperationError::no_answer_in_time(limit)),
    }
}
