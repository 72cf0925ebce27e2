//! What a session key can do: execute calls within its permissions. Nothing else.

use crate::{
    account::SmartAccount,
    operation::{Core, Operation, Paymaster, Source},
    submit::Submitter,
};
use alloy::{primitives::Address, signers::Signer};
use session_key_permissions::{Call, SignedOperation, execute_with_session_key, session_key_nonce_key};
use std::sync::Arc;

/// A session key at work.
///
/// Operations use the key's own nonce lane, and their fees are lowered, if they can be, so that the most they may cost fits
/// what is left of the key's gas limit.
///
/// What only owners can do, a session key's client does not offer:
///
/// ```compile_fail,E0599
/// # use session_key_client::{SessionKeyClient, alloy::primitives::Address};
/// fn revoke(agent: &SessionKeyClient, other: Address) {
///     let _ = agent.remove_session_key(other);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SessionKeyClient {
    core: Core,
}

impl SessionKeyClient {
    /// A client for the session key that `signer` signs with.
    pub fn new(
        account: SmartAccount,
        signer: impl Signer + Send + Sync + 'static,
        submitter: impl Submitter + 'static,
    ) -> Self {
        Self::shared(account, Arc::new(signer), Arc::new(submitter))
    }

    /// The same with a signer and a submitter that others use, too.
    pub fn shared(
        account: SmartAccount,
        signer: Arc<dyn Signer + Send + Sync>,
        submitter: Arc<dyn Submitter>,
    ) -> Self {
        Self {
            core: Core::new(account, signer, submitter),
        }
    }

    /// Lets a paymaster pay for operations.
    #[must_use]
    pub fn with_paymaster(mut self, paymaster: impl Paymaster + 'static) -> Self {
        self.core.paymaster = Some(Arc::new(paymaster));
        self
    }

    /// The account that the key acts for.
    pub const fn account(&self) -> &SmartAccount {
        &self.core.account
    }

    /// What gets the operations onto the chain.
    pub const fn submitter(&self) -> &Arc<dyn Submitter> {
        &self.core.submitter
    }

    /// The session key's address.
    pub fn session_key(&self) -> Address {
        self.core.signer.address()
    }

    /// Makes the calls, in order, all or none.
    pub fn execute(&self, calls: impl IntoIterator<Item = Call>) -> Operation<'_> {
        let key = self.session_key();
        let calls: Vec<Call> = calls.into_iter().collect();
        let data = execute_with_session_key(&calls, key);
        Operation::new(
            &self.core,
            Source::CallData(data),
            session_key_nonce_key(key),
            Some(key),
        )
    }

    /// Sends an operation of this client again that was sent and is not included: the same call with the same nonce, estimated and
    /// signed anew, with both fees raised by a tenth at the least, as bundlers want it. One of the two is executed, never both.
    ///
    /// `.outcome()` and `.execute()` tell what became of whichever was included. Through a bundler the replacement overtakes the
    /// first; through an [`EntryPointSubmitter`](crate::submit::EntryPointSubmitter) that sent the first, it does not.
    pub fn replace(&self, pending: &SignedOperation) -> Operation<'_> {
        Operation::replacement(&self.core, pending, Some(self.session_key()))
    }
}
