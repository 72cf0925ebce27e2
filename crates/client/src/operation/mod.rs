//! From an action to its outcome: build, estimate, sponsor, sign, record, send, settle.
//!
//! Clients create an [`Operation`]; awaiting it executes it. A single request happens at most once, whatever
//! fails on the way, and each answer says what is known: [`Included`], or an [`OperationError`] that says
//! whether anything [happened](OperationError::happened).

mod bounds;
mod check;
mod core;
mod course;
mod desk;
mod error;
mod gas;
mod outcome;
mod paymaster;
mod prepare;
mod resume;
mod settle;
mod share;
mod source;

pub use bounds::{Bounds, OverBound, Setting};
pub use check::{Check, GasSource, STATED_CALL_GAS, STATED_VERIFICATION_GAS};
pub use course::Pending;
pub use desk::{Desk, Machine, Surroundings};
pub use error::{Advice, Cause, OperationError};
pub use gas::Gas;
pub use outcome::{Depth, Happened, Included, NotTaken, NotTakenReason, Open, Outcome, Void};
pub use paymaster::{FixedPaymaster, PAYMASTER_VERIFICATION_GAS, Paymaster, PaymasterError};
pub use settle::DEFAULT_FINAL_DEPTH;
pub(crate) use settle::final_depth;
pub use share::AfterRevert;

pub(crate) use self::core::Core;
pub(crate) use source::{GivenCallData, Source, Used};

use crate::{
    journal::IntentId,
    permissions::{SignedOperation, UserOperation},
    signer::SignatureForm,
};
use alloy::{
    eips::eip7702::SignedAuthorization,
    primitives::{B256, Bytes, U256, aliases::U192},
};
use gas::Salt;
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// The default time limit of an operation; see [`timeout`](Operation::timeout).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(90);

/// The progress of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Nonce, fees, gas limits and paymaster are set.
    Built(Box<UserOperation>),
    /// Signed and recorded in the journal, not sent yet.
    Signed(Box<SignedOperation>),
    /// Sent, with this hash.
    Sent(B256),
    /// An earlier open operation of the lane, with this hash, was sent again: it comes first.
    SentEarlier(B256),
    /// In a block.
    Included(Box<Included>),
}

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Gas limits set by the caller, in gas units.
#[derive(Clone, Copy, Debug, Default)]
struct GivenGas {
    call_gas_limit: Option<U256>,
    verification_gas_limit: Option<U256>,
    pre_verification_gas: Option<U256>,
}

impl GivenGas {
    const fn is_complete(&self) -> bool {
        self.call_gas_limit.is_some()
            && self.verification_gas_limit.is_some()
            && self.pre_verification_gas.is_some()
    }
}

/// A request to be carried out once. The clients' methods create it; nothing happens until it is awaited, or
/// [sent](Self::send).
///
/// Nonce, fees and gas limits that are not set are determined from the chain.
///
/// Awaiting it waits until it is included. Of two awaited at the same time in one lane, one waits for the
/// other.
#[derive(Clone)]
#[must_use = "an operation does nothing until it is awaited or sent"]
pub struct Operation {
    core: Arc<Core>,
    source: Arc<dyn Source>,
    /// The acting session key, and its calls.
    session_key: Option<Used>,
    nonce_key: U192,
    /// Whether the caller chose the lane.
    has_lane: bool,
    nonce: Option<U256>,
    name: Option<String>,
    /// An intent of the journal to continue, and whether to sign its operation again.
    adopts: Option<(IntentId, bool)>,
    gas: GivenGas,
    fees: Option<(U256, U256)>,
    paymaster_and_data: Option<Bytes>,
    authorization: Option<SignedAuthorization>,
    strict: bool,
    shares: Option<AfterRevert>,
    /// The most intents in a shared operation, its own included.
    shared_by: usize,
    /// How long it waits for others to share with, once it has the lane's turn.
    gathers: Duration,
    /// It shares only with intents of the same group.
    group: Option<Arc<str>>,
    /// The id of its intent, if its caller chose one.
    intent: Option<IntentId>,
    depth: Depth,
    timeout: Duration,
    on_progress: Option<OnProgress>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("core", &self.core)
            .field("source", &self.source)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Operation {
    pub(crate) fn new(core: &Arc<Core>, source: impl Source + 'static, nonce_key: U192) -> Self {
        Self {
            core: core.clone(),
            session_key: source.session_key(),
            source: Arc::new(source),
            nonce_key,
            has_lane: false,
            nonce: None,
            name: None,
            adopts: None,
            gas: GivenGas::default(),
            fees: None,
            paymaster_and_data: None,
            authorization: None,
            strict: false,
            shares: None,
            shared_by: share::MOST_SHARING,
            gathers: Duration::ZERO,
            group: None,
            intent: None,
            depth: Depth::default(),
            timeout: DEFAULT_TIMEOUT,
            on_progress: None,
        }
    }

    /// Names the request. The same name with the same calls is the same intent, in this and every later
    /// process with the same journal: it is carried out once. Repeated, an included intent returns its
    /// outcome, and an open one is resumed. With other calls, the name is an error unless it is free:
    /// [`Cause::NameTaken`].
    ///
    /// Names belong to chain, account and signer. In a [`MemoryJournal`](crate::journal::MemoryJournal) they
    /// end with the process.
    pub fn id(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the id of the intent, instead of a random one: 16 bytes that no other intent has. Whoever notes
    /// it before the request finds the intent in the journal afterwards, whatever happened. An intent that is
    /// [continued](Self::id) keeps its own.
    pub const fn intent_id(mut self, id: IntentId) -> Self {
        self.intent = Some(id);
        self
    }

    /// Sets the nonce lane. A session key with a gas limit, and every session key on an ERC-6900 v0.8
    /// account, must use its own, which is the default. Drops a [nonce](Self::nonce) of another lane set
    /// before.
    ///
    /// On a v0.8 account, only the lower 152 bits are used: the nonce key consists of them and of the bits
    /// that [select the validation](crate::account::Generation::owner_nonce_key).
    pub fn nonce_key(mut self, lane: U192) -> Self {
        let generation = self.core.account.generation();
        let nonce_key = if self.is_session_keys() {
            generation.session_key_lane(lane)
        } else {
            generation.owner_nonce_key(lane)
        };
        self.nonce_key = nonce_key;
        self.has_lane = true;
        self.nonce = self.nonce.filter(|nonce| lane_of(*nonce) == nonce_key);
        self
    }

    /// Sets the nonce: its upper 192 bits are the [lane](Self::nonce_key), the rest the sequence number. One
    /// above the lane's next waits for those before it; a used one is an error.
    pub fn nonce(mut self, nonce: U256) -> Self {
        self.nonce_key = lane_of(nonce);
        self.nonce = Some(nonce);
        self
    }

    /// Continues an intent of the journal: its operation is sent again or, with `sign_anew`, signed again
    /// with the same nonce and calls, and at least a tenth more in both fees.
    pub(crate) const fn adopting(mut self, intent: IntentId, sign_anew: bool) -> Self {
        self.adopts = Some((intent, sign_anew));
        self
    }

    /// Sets the gas limit of the call.
    pub const fn call_gas_limit(mut self, gas: U256) -> Self {
        self.gas.call_gas_limit = Some(gas);
        self
    }

    /// Sets the gas limit of validation.
    pub const fn verification_gas_limit(mut self, gas: U256) -> Self {
        self.gas.verification_gas_limit = Some(gas);
        self
    }

    /// Sets the gas units for what the EntryPoint cannot measure.
    pub const fn pre_verification_gas(mut self, gas: U256) -> Self {
        self.gas.pre_verification_gas = Some(gas);
        self
    }

    /// Sets all three gas limits: they are not simulated, and the call's effect is seen only on chain.
    pub const fn gas_limits(mut self, limits: Gas) -> Self {
        self.gas = GivenGas {
            call_gas_limit: Some(limits.call_gas_limit),
            verification_gas_limit: Some(limits.verification_gas_limit),
            pre_verification_gas: Some(limits.pre_verification_gas),
        };
        self
    }

    /// Sets the fees in wei per gas unit: the maximum fee, and the priority fee. They are used as is: not
    /// lowered to fit a key's gas limit, bounded only by [`Bounds::max_cost`], and without random bits.
    ///
    /// If all gas limits are set as well, the operation has no random bits: processes that set the same
    /// values without sharing a journal can create the same operation, and each would mistake the other's for
    /// its own. Share a journal in that case.
    pub const fn fees(mut self, max_fee_per_gas: U256, max_priority_fee_per_gas: U256) -> Self {
        self.fees = Some((max_fee_per_gas, max_priority_fee_per_gas));
        self
    }

    /// Sets `paymasterAndData`, overriding the client's paymaster; empty: the account pays.
    pub fn paymaster_and_data(mut self, paymaster_and_data: impl Into<Bytes>) -> Self {
        self.paymaster_and_data = Some(paymaster_and_data.into());
        self
    }

    /// Sets the authorization (EIP-7702) that makes the account delegate before the operation is
    /// validated. The account's own key signs it, for this chain and the account's next nonce. It is left
    /// out if the account already delegates.
    ///
    /// An owner's operation for an account of [`SmartAccount::from_eoa`](crate::SmartAccount::from_eoa)
    /// does not need it: the client's signer signs one.
    pub const fn authorization(mut self, authorization: SignedAuthorization) -> Self {
        self.authorization = Some(authorization);
        self
    }

    /// Sends the operation only if the model is certain. Otherwise, one that [may
    /// pass](crate::permissions::Verdict::MayPass) is sent: the key's plugin is another than this project's,
    /// and may not enforce a rule that the operation breaks.
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Sets how deep the operation's block must be before awaiting it completes.
    pub const fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// Sets the time limit for everything: waiting for the lane, building, signing, sending, and inclusion.
    /// It also limits [`check`](Self::check), [`build`](Self::build) and [`sign`](Self::sign).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reports the operation's progress.
    pub fn on_progress(mut self, callback: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(callback));
        self
    }

    /// Returns the call data, with current predecessors of keys.
    pub async fn call_data(&self) -> Result<Bytes, OperationError> {
        self.in_time(async {
            let call_data = self.source.call_data(&self.core.account, &self.core.desk);
            Ok(call_data.await?)
        })
        .await
    }

    /// Builds the complete operation, with a dummy signature, at the lane's next nonce. It is not recorded in
    /// the journal.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.core.account.address()))]
    pub async fn build(&self) -> Result<UserOperation, OperationError> {
        self.in_time(self.built()).await
    }

    async fn built(&self) -> Result<UserOperation, OperationError> {
        let lane = self.core.lane(self.nonce_key);
        let reads = self.read(&lane).await?;
        self.judge_calls(&reads)?;
        let salt = self.salt();
        let nonce = self.nonce.unwrap_or(reads.nonce);
        let prepared = self
            .prepare(&reads, nonce, (U256::ZERO, U256::ZERO), &salt)
            .await?;
        self.report(|| Progress::Built(Box::new(prepared.operation.clone())));
        Ok(prepared.operation)
    }

    /// Builds and signs the complete operation, to be sent by other means. It is not recorded in the journal:
    /// its outcome will not be tracked.
    pub async fn sign(&self) -> Result<SignedOperation, OperationError> {
        self.in_time(async {
            let operation = self.built().await?;
            Ok(self.signed(operation).await?)
        })
        .await
    }

    /// Runs the steps before signing, within the time limit.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, OperationError>>,
    ) -> Result<T, OperationError> {
        let waited = self.timeout;
        match tokio::time::timeout(waited, work).await {
            Ok(done) => done,
            Err(_) => Err(Cause::NotSentInTime { waited }.into()),
        }
    }

    async fn signed(&self, mut operation: UserOperation) -> Result<SignedOperation, Cause> {
        let hash = operation.hash(self.core.entry_point(), self.core.chain_id());
        let form = self.signature_form();
        // The client's signer signs an authorization that was not given.
        if let Some(authorization) = &operation.authorization
            && self.given_authorization().is_none()
        {
            let unsigned = authorization.inner().clone();
            operation.authorization = Some(self.core.signer.sign_authorization(unsigned).await?);
        }
        operation.signature = self.with_grant(self.core.signer.sign_operation(hash, form).await?);
        Ok(SignedOperation { operation, hash })
    }

    /// Executes it up to handing it over. The operation holds the lane until the result was awaited or
    /// dropped.
    pub async fn send(self) -> Result<Pending, OperationError> {
        course::send(self).await
    }

    /// Whether it uses a random lane: its caller chose none, and it only takes permissions away.
    async fn may_leave_lane(&self) -> Result<bool, Cause> {
        if self.has_lane || self.nonce.is_some() || self.adopts.is_some() {
            return Ok(false);
        }
        self.source.takes_away(&self.core.account).await
    }

    /// Returns the account's signature format for the operation.
    fn signature_form(&self) -> SignatureForm {
        let generation = self.core.account.generation();
        let module = self.core.account.deployment().session_key_plugin;
        generation.signature_form(self.is_session_keys(), module)
    }

    /// Whether a session key signs it.
    pub(crate) const fn is_session_keys(&self) -> bool {
        self.session_key.is_some()
    }

    /// Identifies the request.
    pub(crate) fn request(&self) -> B256 {
        self.source.request()
    }

    fn salt(&self) -> Salt {
        Salt::new(self.core.desk.random())
    }

    fn report(&self, progress: impl FnOnce() -> Progress) {
        if let Some(callback) = &self.on_progress {
            callback(&progress());
        }
    }
}

/// Returns the nonce key of a nonce.
fn lane_of(nonce: U256) -> U192 {
    U192::from(nonce >> 64)
}

impl IntoFuture for Operation {
    type Output = Result<Included, OperationError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Executes it, and waits until it is included at the requested [`depth`](Operation::depth). An operation
    /// whose calls revert is an error.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(course::run(self))
    }
}
