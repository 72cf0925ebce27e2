//! Errors of operations.

use super::{
    bounds::OverBound,
    outcome::{Depth, Happened, Included, NotTaken, Outcome},
    paymaster::PaymasterError,
};
use crate::{
    account::ReadError,
    delegation::AuthorizationError,
    journal::{BlockRef, IntentId, JournalError},
    permissions::{PermissionError, Verdict},
    request::{RequestError, clean},
    revert::Revert,
    submit::Refusal,
    v08::{DeferredGrantError, calldata::EntityIdError},
};
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A request that was not carried out, or not known to be.
///
/// Whatever went wrong, three questions have answers: [`happened`](Self::happened), [`advice`](Self::advice),
/// and [`code`](Self::code). The cause has the details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationError {
    /// What went wrong.
    pub cause: Box<Cause>,
    /// Whether anything happened.
    pub happened: Happened,
    /// The intent in the journal, once an operation was recorded.
    pub intent: Option<IntentId>,
    /// The hash of the operation that may still be included, or was.
    pub user_op_hash: Option<B256>,
}

impl std::error::Error for OperationError {}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        match (self.happened, self.user_op_hash) {
            (Happened::Unknown, Some(hash)) => write!(f, "; operation {hash} may be included"),
            (Happened::NotYet, Some(hash)) => write!(f, "; operation {hash} could still be included"),
            _ => Ok(()),
        }
    }
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Advice {
    /// Repeat the request, now or after some seconds: nothing of it happened, and the obstacle is temporary.
    TryAgain {
        /// Seconds to wait: at most an hour, whatever the other side says.
        after: u64,
    },
    /// Repeat the request from this time on, in unix seconds.
    TryAgainFrom {
        /// The time.
        at: u64,
    },
    /// Change something first: the calls, the permissions, funds, a setting.
    Change,
    /// Find out the outcome (`resume`, or the same name again) before anything else.
    Settle,
    /// It is done; there is nothing to do.
    Nothing,
}

/// The maximum wait for a rate limit, in seconds: no one outside can stall callers forever.
const LONGEST_WAIT: u64 = 3_600;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "cause", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The chain could not be read.
    #[error("{message}")]
    Read {
        /// The reason.
        message: String,
        /// Whether retrying may help.
        is_transient: bool,
    },

    /// The node or the bundler could not be reached, or its answer could not be parsed.
    #[error("the {by} could not be asked: {error}")]
    Request {
        /// `node` or `bundler`.
        by: String,
        /// The request's error.
        error: RequestError,
    },

    /// A permission that no plugin accepts.
    #[error("{message}")]
    Permission {
        /// The reason.
        message: String,
    },

    /// A key to remove or rotate is not registered.
    #[error("account {account} has no session key {session_key}")]
    KeyNotFound {
        /// The account.
        account: Address,
        /// The key.
        session_key: Address,
    },

    /// There is no account at the address, and no known way to create it.
    #[error("there is no account at {account}")]
    AccountNotDeployed {
        /// The address.
        account: Address,
    },

    /// The account does not have the session key plugin.
    #[error("account {account} does not have session key plugin {plugin}")]
    PluginNotInstalled {
        /// The account.
        account: Address,
        /// The plugin.
        plugin: Address,
    },

    /// The account is of an ERC-6900 generation that does not support the request.
    #[error("account {account} is of a generation of ERC-6900 without {what}")]
    OtherGeneration {
        /// The account.
        account: Address,
        /// What it lacks.
        what: String,
    },

    /// The account's session key module is not installed safely, or does not work: nothing is granted on it.
    #[error("account {account} has a faulty installation of the session key module: {}", findings.join("; "))]
    UnsafeInstallation {
        /// The account.
        account: Address,
        /// The problems, in words.
        findings: Vec<String>,
    },

    /// A deferred grant is invalid, or not for this client.
    #[error(transparent)]
    DeferredGrant(#[from] DeferredGrantError),

    /// The authorization with which an externally owned account becomes the smart account (EIP-7702) is
    /// invalid, or cannot be made.
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),

    /// The node is on another chain than the client.
    #[error("the node is on chain {found}, not {expected}")]
    WrongChain {
        /// The client's chain.
        expected: u64,
        /// The node's chain.
        found: u64,
    },

    /// There is nothing to do: no action was given.
    #[error("no action was given")]
    NoAction,

    /// The model does not apply: the operation has no session key.
    #[error("only a session key's operation can be checked against permissions")]
    NoVerdict,

    /// The key's permissions do not allow it.
    #[error("the session key may not do this: {}", broken_rules(.verdict))]
    NotAllowed {
        /// Every rule that it breaks, and when it would pass.
        verdict: Box<Verdict>,
    },

    /// The EntryPoint, the account or the paymaster refuses it.
    #[error("the operation is refused: {0}")]
    Refused(Refusal),

    /// Its call would revert.
    #[error("the call would revert: {revert}")]
    WouldRevert {
        /// The revert.
        revert: Revert,
    },

    /// A replacement must pay at least a tenth more, in both fees.
    #[error(
        "a replacement must offer at least {max_fee_per_gas} wei per gas unit, {max_priority_fee_per_gas} of it as priority fee"
    )]
    ReplacementUnderpriced {
        /// The minimum maximum fee, in wei per gas unit.
        max_fee_per_gas: U256,
        /// The minimum priority fee, in wei per gas unit.
        max_priority_fee_per_gas: U256,
    },

    /// The operation's maximum cost exceeds what is left of the key's gas limit, even at the lowest fee that
    /// may get it included.
    #[error(
        "the operation may cost {needed} wei or more, but {remaining} wei are left of the key's gas limit"
    )]
    GasBudget {
        /// The amount needed, in wei.
        needed: U256,
        /// The amount left, in wei.
        remaining: U256,
    },

    /// Someone outside asked for more than the client's bounds allow.
    #[error(transparent)]
    OverBound(#[from] OverBound),

    /// The signer failed.
    #[error("the signer failed: {message}")]
    Signer {
        /// The reason.
        message: String,
    },

    /// The paymaster did not sponsor the operation.
    #[error("the paymaster did not sponsor the operation: {0}")]
    Paymaster(PaymasterError),

    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),

    /// A kept operation belongs to another chain, EntryPoint or account, or its hash is wrong.
    #[error("the operation is not one of this client: {what} is {found}, not {expected}")]
    NotOurs {
        /// What differs.
        what: String,
        /// The client's value.
        expected: String,
        /// The operation's value.
        found: String,
    },

    /// Other operations of the lane took up the whole time limit.
    #[error("the lane was busy for {waited:?}")]
    LaneBusy {
        /// The time limit.
        waited: Duration,
    },

    /// It could not be built and signed in time.
    #[error("the operation could not be built and signed within {waited:?}")]
    NotSentInTime {
        /// The time limit.
        waited: Duration,
    },

    /// Journal or node did not answer in time about intents.
    #[error("there was no answer within {waited:?}")]
    NoAnswerInTime {
        /// The time limit.
        waited: Duration,
    },

    /// It was sent, and not included in time.
    #[error("the operation was not included within {waited:?}")]
    NotIncludedInTime {
        /// The time limit.
        waited: Duration,
    },

    /// A bundler or node refused it.
    #[error("the operation was not accepted: {0}")]
    NotTaken(NotTaken),

    /// No byte of it left the process.
    #[error("the operation was not sent: {error}")]
    NotReached {
        /// The reason.
        error: RequestError,
    },

    /// An older operation has the nonce, and the bounds allow no replacement.
    #[error("operation {by} has the nonce and must be settled first")]
    BlockedBy {
        /// The older operation.
        by: B256,
    },

    /// The nonce is used: by an operation that is not deep enough yet for this one to be void, or by an
    /// unknown one.
    #[error("{}", used_by(.by))]
    NonceUsed {
        /// The other operation, if its event was found.
        by: Option<B256>,
    },

    /// Its nonce is above the lane's next one. If no known operation has that one, the lane's next intent
    /// fills the gap, or an owner does ([`unblock`](crate::OwnerClient::unblock)). If an open operation has
    /// it, that one comes first: it was undone by a reorganization, and is not included again, perhaps
    /// because its key is not valid any more.
    #[error("{}", waits_above(*nonce, *next, *by))]
    NonceGap {
        /// The operation's nonce.
        nonce: U256,
        /// The lane's next nonce.
        next: U256,
        /// The open operation that has the next nonce. `None`: no known operation has it.
        #[serde(default)]
        by: Option<B256>,
    },

    /// The journal knows operations of the lane as included, and the node does not: it is far behind, or its
    /// chain went back to before them.
    #[error("{}", not_there_yet(*journal_next, *node_next, *block, *head))]
    NodeBehind {
        /// The lane's next nonce according to the journal.
        journal_next: U256,
        /// The lane's next nonce at the node's latest block.
        node_next: U256,
        /// The block that included the last operation that the journal knows.
        block: BlockRef,
        /// The number of the node's latest block.
        head: u64,
    },

    /// An equal intent was requested before, ended with an error, and turned out to be included. This one was
    /// not signed.
    #[error("an earlier equal request was carried out by operation {}", included.receipt.user_op_hash)]
    AlreadyHappened {
        /// The older intent.
        intent: IntentId,
        /// Its inclusion.
        included: Box<Included>,
    },

    /// Several intents share the operation: it cannot be replaced for one of them. It can be sent again, and
    /// the request repeated by name.
    #[error("several intents share the operation")]
    Shared,

    /// The name belongs to an intent with other calls.
    #[error("the name {name:?} belongs to another intent, {intent}")]
    NameTaken {
        /// The name.
        name: String,
        /// The intent that has it.
        intent: IntentId,
        /// That intent's outcome.
        outcome: Box<Outcome>,
    },

    /// It is included, but was not deep enough in time; or it was, and that was seen too late to be the
    /// answer: after the time limit, or after another error.
    #[error("{}", too_late(.included, *.depth, *.waited))]
    NotDeepInTime {
        /// Its inclusion so far.
        included: Box<Included>,
        /// The requested depth.
        #[serde(default)]
        depth: Depth,
        /// The time limit.
        waited: Duration,
    },

    /// It was included and paid for, but its calls reverted.
    #[error("the operation was included, but its calls reverted: {}", reason(.included))]
    Reverted {
        /// Its inclusion.
        included: Box<Included>,
    },

    /// A key that was removed, rotated away or uninstalled still exists in the block that includes the
    /// operation: something added it again, or the account ignored that the module failed to remove it.
    #[error(
        "account {account} still has session key {session_key} after its removal: something added it again, or the removal failed"
    )]
    StillThere {
        /// The account.
        account: Address,
        /// The key.
        session_key: Address,
    },

    /// The intent to continue was never sent. Make a new request.
    #[error("the intent was never sent, and there is no operation to send again")]
    NeverSent,

    /// It can no longer be included.
    #[error("the operation cannot be included any more: its nonce was used")]
    Void {
        /// The reason.
        void: Box<super::outcome::Void>,
    },
}

impl From<EntityIdError> for Cause {
    fn from(error: EntityIdError) -> Self {
        Self::Permission {
            message: error.to_string(),
        }
    }
}

fn used_by(by: &Option<B256>) -> String {
    by.map_or_else(
        || "the nonce is used, and no event says yet by which operation".to_owned(),
        |by| format!("operation {by} used the nonce"),
    )
}

fn too_late(included: &Included, depth: Depth, waited: Duration) -> String {
    let hash = included.receipt.user_op_hash;
    if included.has_depth(depth) {
        format!("operation {hash} is included, which was seen too late to be the answer")
    } else {
        format!("operation {hash} is included, but not so deep within {waited:?}")
    }
}

fn waits_above(nonce: U256, next: U256, by: Option<B256>) -> String {
    let (nonce, next) = (sequence(nonce), sequence(next));
    match by {
        None => format!(
            "nonce {nonce} waits above a gap: the lane's next nonce is {next}, and no known operation has it; another operation of \
             the lane fills the gap, or an owner unblocks the lane"
        ),
        Some(by) => format!(
            "nonce {nonce} waits: the lane's next nonce is {next}, and operation {by}, which has it, is not included; once that one \
             is included or replaced, or an owner unblocks the lane, this one can be included"
        ),
    }
}

fn sequence(nonce: U256) -> U256 {
    nonce & U256::from(u64::MAX)
}

fn not_there_yet(journal_next: U256, node_next: U256, block: BlockRef, head: u64) -> String {
    format!(
        "the journal has the lane's operations up to nonce {}, the last one included in block {} ({}), but at the node's latest block, \
         {head}, the next nonce is {}: the node is behind, or its chain went back; use another node, or another journal",
        sequence(journal_next.saturating_sub(U256::ONE)),
        block.number,
        block.hash,
        sequence(node_next)
    )
}

fn reason(included: &Included) -> String {
    included
        .reason
        .as_ref()
        .map_or_else(|| "no reason was given".to_owned(), Revert::to_string)
}

fn broken_rules(verdict: &Verdict) -> String {
    let rules: Vec<String> = verdict.violations().iter().map(ToString::to_string).collect();
    rules.join("; ")
}

impl Cause {
    /// Returns a stable code, whose meaning never changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read_failed",
            Self::Request { .. } => "request_failed",
            Self::Permission { .. } => "invalid_permission",
            Self::KeyNotFound { .. } => "key_not_found",
            Self::AccountNotDeployed { .. } => "account_not_deployed",
            Self::PluginNotInstalled { .. } => "plugin_not_installed",
            Self::OtherGeneration { .. } => "other_generation",
            Self::UnsafeInstallation { .. } => "unsafe_installation",
            Self::DeferredGrant(_) => "invalid_deferred_grant",
            Self::Authorization(_) => "invalid_authorization",
            Self::WrongChain { .. } => "wrong_chain",
            Self::NoAction => "no_action",
            Self::NoVerdict => "no_verdict",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Refused(_) => "refused",
            Self::WouldRevert { .. } => "would_revert",
            Self::ReplacementUnderpriced { .. } => "replacement_underpriced",
            Self::GasBudget { .. } => "gas_budget",
            Self::OverBound(_) => "over_bound",
            Self::Signer { .. } => "signer_failed",
            Self::Paymaster(_) => "paymaster_failed",
            Self::Journal(JournalError::OtherChain { .. }) => "journal_of_other_chain",
            Self::Journal(_) => "journal_failed",
            Self::NotOurs { .. } => "not_ours",
            Self::LaneBusy { .. } => "lane_busy",
            Self::NotSentInTime { .. } => "not_sent_in_time",
            Self::NoAnswerInTime { .. } => "no_answer_in_time",
            Self::NotIncludedInTime { .. } => "not_included_in_time",
            Self::NotTaken(_) => "not_taken",
            Self::NotReached { .. } => "not_reached",
            Self::BlockedBy { .. } => "blocked_by",
            Self::NonceUsed { .. } => "nonce_used",
            Self::NonceGap { .. } => "nonce_gap",
            Self::NodeBehind { .. } => "node_behind",
            Self::AlreadyHappened { .. } => "already_happened",
            Self::Shared => "shared",
            Self::NameTaken { .. } => "name_taken",
            Self::NotDeepInTime { .. } => "not_deep_in_time",
            Self::Reverted { .. } => "reverted",
            Self::StillThere { .. } => "still_there",
            Self::NeverSent => "never_sent",
            Self::Void { .. } => "void",
        }
    }
}

impl OperationError {
    /// Creates an error before anything was signed.
    pub(crate) fn nothing_sent(cause: impl Into<Cause>) -> Self {
        Self {
            cause: Box::new(cause.into()),
            happened: Happened::No,
            intent: None,
            user_op_hash: None,
        }
    }

    /// Returns the error for replacing an operation that several intents share.
    pub(crate) fn shared(intent: IntentId) -> Self {
        Self {
            happened: Happened::Unknown,
            intent: Some(intent),
            ..Self::nothing_sent(Cause::Shared)
        }
    }

    /// Adapts the error for a question about intents: no answer does not mean that nothing happened.
    pub(crate) fn about_intents(mut self) -> Self {
        if self.happened == Happened::No
            && matches!(
                *self.cause,
                Cause::Read { .. } | Cause::Request { .. } | Cause::Journal(_) | Cause::WrongChain { .. }
            )
        {
            self.happened = Happened::Unknown;
        }
        self
    }

    /// Returns the timeout of a question about intents, which says nothing about them.
    pub(crate) fn no_answer_in_time(waited: Duration) -> Self {
        Self {
            happened: Happened::Unknown,
            ..Self::nothing_sent(Cause::NoAnswerInTime { waited })
        }
    }

    /// Returns a stable code, whose meaning never changes.
    pub const fn code(&self) -> &'static str {
        self.cause.code()
    }

    /// Returns whether anything happened.
    pub const fn happened(&self) -> Happened {
        self.happened
    }

    /// Returns the model's verdict, if the key's permissions do not allow it.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &*self.cause {
            Cause::NotAllowed { verdict } => Some(verdict),
            _ => None,
        }
    }

    /// Returns the revert found in validation, simulation or execution.
    pub fn revert(&self) -> Option<&Revert> {
        match &*self.cause {
            Cause::WouldRevert { revert } => Some(revert),
            Cause::Refused(refusal) => refusal.cause.as_ref(),
            Cause::Reverted { included } => included.reason.as_ref(),
            Cause::NotTaken(not_taken) => match &not_taken.reason {
                super::outcome::NotTakenReason::Refused(refusal) => refusal.cause.as_ref(),
                super::outcome::NotTakenReason::WouldRevert { revert } => Some(revert),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns what to do about it.
    pub fn advice(&self) -> Advice {
        match self.happened {
            // It happened, and was undone by something else; or it is unknown whether it was.
            Happened::Yes
                if matches!(
                    *self.cause,
                    Cause::StillThere { .. } | Cause::NoAnswerInTime { .. }
                ) =>
            {
                return Advice::Change;
            }
            Happened::Yes => return Advice::Nothing,
            Happened::Unknown | Happened::NotYet => return Advice::Settle,
            Happened::Reverted => return Advice::Change,
            Happened::No => {}
        }
        match &*self.cause {
            Cause::Read { is_transient, .. } if *is_transient => Advice::TryAgain { after: 2 },
            Cause::Request { error, .. } | Cause::NotReached { error } if error.is_transient() => {
                let after = match error {
                    RequestError::RateLimited {
                        retry_after: Some(after),
                        ..
                    } => (*after).min(LONGEST_WAIT),
                    _ => 2,
                };
                Advice::TryAgain { after }
            }
            // An unexplained error of a node may be temporary.
            Cause::Request {
                error: RequestError::Answered(answer),
                ..
            } if answer.revert().is_none() => Advice::TryAgain { after: 2 },
            Cause::NotAllowed { verdict } => match verdict.passes_from() {
                Some(at) => Advice::TryAgainFrom { at },
                None => Advice::Change,
            },
            Cause::LaneBusy { .. } | Cause::NotSentInTime { .. } | Cause::NeverSent | Cause::Void { .. } => {
                Advice::TryAgain { after: 0 }
            }
            Cause::NodeBehind { .. } => Advice::TryAgain { after: 30 },
            Cause::AlreadyHappened { .. } => Advice::Nothing,
            _ => Advice::Change,
        }
    }
}

impl<T: Into<Cause>> From<T> for OperationError {
    fn from(cause: T) -> Self {
        Self::nothing_sent(cause)
    }
}

impl From<ReadError> for Cause {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rpc(error) => Self::Request {
                by: "node".to_owned(),
                error,
            },
            ReadError::WrongChain { expected, found } => Self::WrongChain { expected, found },
            error => Self::Read {
                is_transient: error.is_transient(),
                message: error.to_string(),
            },
        }
    }
}

impl From<PermissionError> for Cause {
    fn from(error: PermissionError) -> Self {
        Self::Permission {
            message: error.to_string(),
        }
    }
}

impl From<alloy::signers::Error> for Cause {
    fn from(error: alloy::signers::Error) -> Self {
        Self::Signer {
            message: clean(&error.to_string()),
        }
    }
}

impl From<PaymasterError> for Cause {
    fn from(error: PaymasterError) -> Self {
        Self::Paymaster(match error {
            // A caller's paymaster may pass on its service's message.
            PaymasterError::Declined { message } => PaymasterError::declined(message),
            error => error,
        })
    }
}
