//! How commands end, and their exit codes.

use crate::{
    commands::LintErrors, endpoint::NotInTime, files::BadPolicy, purse::Purse, transactions::TransactionError,
};
use session_key_client::{
    RequestError,
    alloy::primitives::{Address, B256},
    deployment::DeployError,
    journal::JournalError,
    operation::{Happened, OperationError},
    request::clean_text,
};
use std::{io, process::ExitCode};
use tokio::signal::ctrl_c;

/// The maximum length of an error message, in characters.
const MAX_MESSAGE: usize = 2_000;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Done, or everything is in order.
    Done,
    /// The answer is no, for this reason.
    No(String),
    /// It could not begin; nothing was sent.
    NotBegun(eyre::Report),
    /// It failed after it began: first the cause, then errors that followed.
    Failed(Vec<eyre::Report>),
}

impl From<eyre::Result<()>> for Ended {
    fn from(outcome: eyre::Result<()>) -> Self {
        match outcome {
            Ok(()) => Self::Done,
            Err(error) => Self::Failed(vec![error]),
        }
    }
}

/// The process was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub(crate) struct Interrupted {
    /// Whether something was signed before.
    pub(crate) has_signed: bool,
    /// The signed operation.
    pub(crate) user_op_hash: Option<B256>,
    /// The signed transaction.
    pub(crate) transaction_hash: Option<B256>,
}

/// The interruption of a command that signs nothing.
pub(crate) const NOTHING_SIGNED: Interrupted = Interrupted {
    has_signed: false,
    user_op_hash: None,
    transaction_hash: None,
};

impl Interrupted {
    fn words(&self) -> String {
        let open = |what: &str, hash: B256| {
            format!("interrupted; {what} {hash} may be included: repeat the command, which settles it")
        };
        match (self.user_op_hash, self.transaction_hash) {
            (Some(hash), _) => open("operation", hash),
            (None, Some(hash)) => open("transaction", hash),
            (None, None) if self.has_signed => "interrupted; what was signed may be included".to_owned(),
            (None, None) => "interrupted; nothing was signed".to_owned(),
        }
    }
}

/// Completes when the process is asked to stop: by Ctrl-C, or a closed terminal.
pub(crate) async fn interrupted(purse: &Purse) -> Interrupted {
    if asked_to_end().await.is_err() {
        // Signals cannot be received: never complete.
        std::future::pending::<()>().await;
    }
    Interrupted {
        has_signed: purse.has_signed(),
        user_op_hash: None,
        transaction_hash: None,
    }
}

/// Does work that signs nothing, until the process is asked to stop. `has_signed`: whether something was
/// signed before.
pub(crate) async fn unless_interrupted<T>(
    has_signed: bool,
    work: impl Future<Output = eyre::Result<T>>,
) -> eyre::Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        asked = asked_to_end() => {
            if asked.is_err() {
                // Signals cannot be received: never complete.
                std::future::pending::<()>().await;
            }
            Err(Interrupted { has_signed, ..NOTHING_SIGNED }.into())
        }
    }
}

#[cfg(unix)]
pub(crate) async fn asked_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        asked = ctrl_c() => asked,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
pub(crate) async fn asked_to_end() -> io::Result<()> {
    ctrl_c().await
}

/// An argument that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongInput(pub(crate) String);

/// The account does not have this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is not a session key of {account}")]
pub(crate) struct NotASessionKey {
    pub(crate) key: Address,
    pub(crate) account: Address,
}

/// A transaction of an earlier run may still be included.
#[derive(Debug, thiserror::Error)]
#[error("the outcome of transaction {transaction} of an earlier run is not known")]
pub(crate) struct Unsettled {
    pub(crate) transaction: B256,
    #[source]
    pub(crate) error: DeployError,
}

/// An error about a transaction of an earlier run, which must be settled first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub(crate) struct OfEarlierRun(pub(crate) TransactionError);

/// An error while continuing what an earlier run started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("continuing an earlier run")]
pub(crate) struct AfterEarlierRun;

/// Open work of an earlier run, sent the other way: it could be included after this command, and undo it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct StillOpen {
    pub(crate) what: String,
    /// The open operation.
    pub(crate) user_op_hash: Option<B256>,
    /// The open transaction.
    pub(crate) transaction_hash: Option<B256>,
}

/// It was done, but could not be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct NotReported {
    pub(crate) what: String,
    /// The operation that did it.
    pub(crate) user_op_hash: Option<B256>,
    /// The transaction that did it.
    pub(crate) transaction_hash: Option<B256>,
}

/// Whether the error comes from the node or service asked: asking again may succeed.
pub(crate) fn is_passing(error: &eyre::Report) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<RequestError>() || cause.is::<OperationError>() || cause.is::<NotInTime>())
}

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, yes, or everything is in order.
    Done,
    /// The answer is no; or it failed, and nothing sent is open.
    No,
    /// It could not begin: bad arguments, no node, wrong chain.
    NotBegun,
    /// The outcome of something sent is open; or it was done, and could not be reported.
    Open,
    /// Interrupted before anything was signed.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::NotBegun => 2,
            Exit::Open => 3,
            Exit::Interrupted => 130,
        })
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A stable code.
    pub(crate) code: &'static str,
    /// On one line.
    pub(crate) message: String,
    pub(crate) user_op_hash: Option<B256>,
    pub(crate) transaction_hash: Option<B256>,
}

impl Failure {
    /// A failure of the arguments.
    pub(crate) fn of_arguments(message: &str) -> Self {
        Self {
            exit: Exit::NotBegun,
            code: "bad_arguments",
            message: clean_text(message, MAX_MESSAGE),
            user_op_hash: None,
            transaction_hash: None,
        }
    }

    /// The answer is no, for this reason.
    pub(crate) fn said_no(reason: &str) -> Self {
        Self {
            exit: Exit::No,
            code: "no",
            message: clean_text(reason, MAX_MESSAGE),
            user_op_hash: None,
            transaction_hash: None,
        }
    }

    /// A failure before anything was sent.
    pub(crate) fn before(error: &eyre::Report) -> Self {
        let mut failure = Self::of(error, "could_not_begin");
        let has_begun = |cause: &(dyn std::error::Error + 'static)| {
            cause.is::<OfEarlierRun>()
                || cause.is::<Interrupted>()
                || cause.is::<StillOpen>()
                || cause.is::<NotReported>()
        };
        let is_answer = |cause: &(dyn std::error::Error + 'static)| {
            cause.is::<NotASessionKey>()
                || cause.is::<LintErrors>()
                || cause
                    .downcast_ref::<OperationError>()
                    .is_some_and(|error| error.code() == "key_not_found")
        };
        if !error.chain().any(|cause| has_begun(cause) || is_answer(cause))
            && error.downcast_ref::<AfterEarlierRun>().is_none()
        {
            failure.exit = Exit::NotBegun;
        }
        failure
    }

    /// A failure after the command began.
    pub(crate) fn during(errors: &[eyre::Report]) -> Self {
        let mut failures = errors.iter().map(|error| Self::of(error, "failed"));
        let Some(mut first) = failures.next() else {
            return Self::of_arguments("failed");
        };
        for other in failures {
            first.exit = first.exit.max(other.exit);
            first.message = format!("{}; {}", first.message, other.message);
            first.user_op_hash = first.user_op_hash.or(other.user_op_hash);
            first.transaction_hash = first.transaction_hash.or(other.transaction_hash);
        }
        first
    }

    fn of(error: &eyre::Report, code: &'static str) -> Self {
        let mut failure = Self {
            exit: Exit::No,
            code,
            message: one_line(error),
            user_op_hash: None,
            transaction_hash: None,
        };
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<OperationError>() {
                failure.code = error.code();
                failure.user_op_hash = error.user_op_hash;
                // It was done, but could not be reported.
                if !matches!(error.happened(), Happened::No | Happened::Reverted) {
                    failure.exit = Exit::Open;
                }
            } else if let Some(Unsettled { transaction, error }) = cause.downcast_ref() {
                failure.code = error.code();
                failure.transaction_hash = Some(*transaction);
                failure.exit = Exit::Open;
            } else if let Some(error) = cause.downcast_ref::<DeployError>() {
                failure.code = error.code();
                failure.transaction_hash = error.transaction();
                if error.is_open() {
                    failure.exit = Exit::Open;
                }
            } else if let Some(error) = cause
                .downcast_ref::<TransactionError>()
                .or_else(|| cause.downcast_ref().map(|OfEarlierRun(error)| error))
            {
                failure.code = error.code();
                failure.transaction_hash = error.transaction();
                if error.is_open() {
                    failure.exit = Exit::Open;
                }
            } else if let Some(error) = cause.downcast_ref::<RequestError>() {
                failure.code = error.code();
            } else if let Some(JournalError::OtherChain { .. }) = cause.downcast_ref() {
                failure.code = "journal_of_other_chain";
                failure.exit = Exit::NotBegun;
            } else if cause.is::<LintErrors>() {
                failure.code = "lint_errors";
            } else if cause.is::<NotASessionKey>() {
                failure.code = "not_a_session_key";
            } else if cause.is::<BadPolicy>() {
                failure.code = "bad_policy";
            } else if let Some(WrongInput(..)) = cause.downcast_ref() {
                failure.code = "bad_arguments";
                failure.exit = Exit::NotBegun;
            } else if let Some(error) = cause.downcast_ref::<NotReported>() {
                failure.code = "not_reported";
                failure.user_op_hash = error.user_op_hash;
                failure.transaction_hash = error.transaction_hash;
                failure.exit = Exit::Open;
            } else if let Some(error) = cause.downcast_ref::<StillOpen>() {
                failure.code = "still_open";
                failure.user_op_hash = error.user_op_hash;
                failure.transaction_hash = error.transaction_hash;
                failure.exit = Exit::Open;
            } else if let Some(Interrupted {
                has_signed,
                user_op_hash,
                transaction_hash,
            }) = cause.downcast_ref()
            {
                failure.code = "interrupted";
                failure.user_op_hash = *user_op_hash;
                failure.transaction_hash = *transaction_hash;
                failure.exit = if *has_signed {
                    Exit::Open
                } else {
                    Exit::Interrupted
                };
            } else {
                continue;
            }
            break;
        }
        failure
    }
}

/// Joins the error and its causes on one line, without repetition.
fn one_line(error: &eyre::Report) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    clean_text(&text, MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::eyre;
    use session_key_client::{deployment::Contract, transaction::SendError};

    fn no_answer() -> RequestError {
        RequestError::no_answer("for https://node.example/v2/s3cr3t?key=s3cr3t\u{1b}[31m\nand more")
    }

    #[test]
    fn the_outcome_of_sent_transactions_decides_the_exit_code() {
        let open = DeployError::NoAnswer {
            contract: Contract::EntryPoint,
            transaction: B256::repeat_byte(7),
            error: no_answer(),
        };
        let unsettled = Unsettled {
            transaction: B256::repeat_byte(8),
            error: DeployError::Rpc(no_answer()),
        };
        let failure = Failure::during(&[unsettled.into()]);
        assert_eq!((failure.exit, failure.code), (Exit::Open, "request_failed"));
        assert_eq!(failure.transaction_hash, Some(B256::repeat_byte(8)));
        let not_open = DeployError::Rpc(no_answer());
        let failed = |error: DeployError| Failure::during(&[eyre::Report::new(error).wrap_err("stopped")]);
        assert_eq!(failed(open).exit, Exit::Open);
        assert_eq!(failed(not_open).exit, Exit::No);
        let reverted = TransactionError::Reverted {
            what: "giving back".to_owned(),
            transaction: B256::repeat_byte(1),
        };
        let failure = Failure::during(&[eyre!("first"), reverted.into()]);
        assert_eq!((failure.exit, failure.code), (Exit::No, "failed"));
        assert_eq!(failure.transaction_hash, Some(B256::repeat_byte(1)));
        assert!(
            failure
                .message
                .starts_with("first; giving back: transaction 0x01"),
            "{failure:?}"
        );
        let lost = TransactionError::Failed {
            what: "giving back".to_owned(),
            error: SendError::NoAnswer {
                transaction: B256::repeat_byte(2),
                error: no_answer(),
            },
        };
        assert_eq!(Failure::during(&[eyre!("first"), lost.into()]).exit, Exit::Open);
        for (has_signed, exit) in [(false, Exit::Interrupted), (true, Exit::Open)] {
            let user_op_hash = has_signed.then_some(B256::repeat_byte(9));
            let failure = Failure::during(&[Interrupted {
                has_signed,
                user_op_hash,
                transaction_hash: None,
            }
            .into()]);
            assert_eq!((failure.exit, failure.user_op_hash), (exit, user_op_hash));
        }
        assert_eq!(Failure::before(&eyre!("no node")).exit, Exit::NotBegun);
    }

    #[test]
    fn errors_never_show_urls_or_control_characters() {
        let error = TransactionError::Failed {
            what: "creating the account".to_owned(),
            error: SendError::NotPrepared(no_answer()),
        };
        let report = eyre::Report::new(error).wrap_err("could not go on");
        let failure = Failure::during(std::slice::from_ref(&report));
        assert_eq!(
            failure.message,
            "could not go on: creating the account: no answer: for https://node.example/… and more"
        );
        for shown in [
            format!("{report:?}"),
            format!("{report:#}"),
            format!("{failure:?}"),
        ] {
            assert!(!shown.contains("s3cr3t") && !shown.contains('\u{1b}'), "{shown}");
        }
    }
}
