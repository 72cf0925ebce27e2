//! The commands that grant, read, explain and change what session keys may do.

mod account_keys;
mod chain;
mod decode;
mod generate;
mod keys;
mod look;
mod obstacles;
mod offline;
mod request;
mod show;
mod watch;
mod write;

use crate::{
    answer::{Answer, Printed, print_failure},
    failure::{Ended, Exit, Failure, asked_to_end},
};
use clap::{Args, Subcommand};
use eyre::Result;
use indicatif::ProgressBar;
use session_key_client::request::clean_text;
use std::{process::ExitCode, time::Duration};

pub(crate) use show::violation_json;
pub(crate) use write::LintErrors;

/// What came of a command.
pub(crate) type Outcome = Result<Answer, Ended>;

/// An error of a command that sends nothing.
fn not_begun(result: Result<Answer>) -> Outcome {
    result.map_err(Ended::NotBegun)
}

/// Waits for something: with a spinner on standard error, if that is a terminal.
async fn waited<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    /// How often it turns.
    const TURN: Duration = Duration::from_millis(100);
    // Where there is no terminal, it is hidden.
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(TURN);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// Ends when the process is asked to end.
async fn asked() {
    if asked_to_end().await.is_err() {
        // Nothing can be heard: then nothing is.
        std::future::pending::<()>().await;
    }
}

/// What is waited for while a node is asked.
const ASKING: &str = "asking the node";

/// A text from outside.
pub(crate) fn clean(text: &str) -> String {
    clean_text(text, 500)
}

/// `1 call`, `2 calls`.
fn calls(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} call{plural}")
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an account, or compute its address.
    #[command(subcommand)]
    Account(AccountCommand),

    /// Show every session key of the account with all that it may do, rebuilt from logs and checked against the plugin's views.
    Inspect(look::InspectArguments),

    /// Show what a key can still spend, of what, and when it refreshes.
    Budget(look::BudgetArguments),

    /// Say whether calls or an operation would pass, and if not, every rule that they break. Exit code 1: refused, or not known.
    Check(look::CheckArguments),

    /// Say what became of an operation or a transaction, and every rule that it broke.
    Explain(look::ExplainArguments),

    /// Grant a key what a policy says: create the account and install what is missing, add the key, in one operation.
    Grant(write::GrantArguments),

    /// Show what has to change for a key to have exactly what a policy says.
    Plan(write::PlanArguments),

    /// Change a key to exactly what a policy says.
    Apply(write::ApplyArguments),

    /// Warn of what is dangerous or not meant in a policy. Exit code 1: a warning is an error.
    Lint(offline::LintArguments),

    /// Say whether a policy allows everything that another one asks for, and what is missing. Exit code 1: it does not.
    Covers(offline::CoversArguments),

    /// Ask for a session key, read such a request, approve it.
    #[command(subcommand)]
    Request(request::RequestCommand),

    /// Give a key's permissions, and what is used of them, to another key.
    Rotate(write::RotateArguments),

    /// Remove keys.
    Revoke(write::RevokeArguments),

    /// Settle the pending reset of a key's gas limit.
    Reset(write::ResetArguments),

    /// End the open operations of a key's nonce lane.
    Unblock(write::UnblockArguments),

    /// Make a session key in the keystore.
    Keygen(keys::KeygenArguments),

    /// List the session keys in the keystore.
    Keys(keys::KeysArguments),

    /// Print the updates that a policy encodes to.
    Encode(offline::EncodeArguments),

    /// Say what updates, call data, a user operation or revert data are.
    Decode(decode::DecodeArguments),

    /// Show keys added, used, refused and changed, and budgets going down, as it happens.
    Watch(watch::WatchArguments),

    /// Print completions for a shell.
    Completions(generate::CompletionsArguments),

    /// Print the manual page.
    Man(generate::ManArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Create the account of an owner.
    New(write::NewAccountArguments),

    /// Compute the address of an owner's account. Needs no node.
    Address(look::AddressArguments),
}

/// Whether and how a command prints JSON.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Json {
    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

impl KeyCommand {
    const fn is_json(&self) -> bool {
        match self {
            Self::Account(AccountCommand::New(arguments)) => arguments.writing.sources.json,
            Self::Account(AccountCommand::Address(arguments)) => arguments.json.json,
            Self::Inspect(arguments) => arguments.sources.json,
            Self::Budget(arguments) => arguments.sources.json,
            Self::Check(arguments) => arguments.sources.json,
            Self::Explain(arguments) => arguments.sources.json,
            Self::Grant(arguments) => arguments.writing.sources.json,
            Self::Plan(arguments) => arguments.sources.json,
            Self::Apply(arguments) => arguments.writing.sources.json,
            Self::Lint(arguments) => arguments.json,
            Self::Covers(arguments) => arguments.json,
            Self::Request(command) => command.is_json(),
            Self::Rotate(arguments) => arguments.writing.sources.json,
            Self::Revoke(arguments) => arguments.writing.sources.json,
            Self::Reset(arguments) => arguments.writing.sources.json,
            Self::Unblock(arguments) => arguments.writing.sources.json,
            Self::Keygen(arguments) => arguments.json.json,
            Self::Keys(arguments) => arguments.json.json,
            Self::Encode(arguments) => arguments.sources.json,
            Self::Decode(arguments) => arguments.json,
            Self::Watch(arguments) => arguments.sources.json,
            Self::Completions(_) | Self::Man(_) => false,
        }
    }

    const fn writing(&self) -> Option<&write::Writing> {
        match self {
            Self::Account(AccountCommand::New(arguments)) => Some(&arguments.writing),
            Self::Grant(arguments) => Some(&arguments.writing),
            Self::Apply(arguments) => Some(&arguments.writing),
            Self::Request(request::RequestCommand::Approve(arguments)) => Some(&arguments.writing),
            Self::Rotate(arguments) => Some(&arguments.writing),
            Self::Revoke(arguments) => Some(&arguments.writing),
            Self::Reset(arguments) => Some(&arguments.writing),
            Self::Unblock(arguments) => Some(&arguments.writing),
            _ => None,
        }
    }

    const fn writes(&self) -> bool {
        self.writing().is_some()
    }

    /// Runs the command, and prints what came of it.
    pub(crate) async fn run(&self) -> ExitCode {
        let outcome = match self {
            Self::Watch(arguments) => return watch::run(arguments).await,
            Self::Completions(arguments) => return generate::completions(arguments),
            Self::Man(arguments) => return generate::man(arguments),
            _ => match self.writing() {
                // What is under way hears of it first: it may have to clean up.
                Some(writing) => tokio::select! {
                    biased;
                    outcome = self.outcome() => outcome,
                    () = asked() => Err(Ended::Failed(vec![writing.signed.interrupted().into()])),
                },
                None => self.outcome().await,
            },
        };
        let failure = match outcome {
            Ok(answer) => return self.told(answer.print(self.is_json())).await,
            Err(Ended::NotBegun(error)) => Failure::before(&error),
            Err(Ended::Failed(errors)) => Failure::during(&errors),
            Err(Ended::Done) => return Answer::new().print(self.is_json()).into(),
            Err(Ended::No(reason)) => Failure::said_no(&reason),
        };
        let printed = print_failure(&failure, self.is_json(), self.writes());
        // What is done and could not be reported is reported the next time.
        if failure.exit == Exit::Open {
            return printed.into();
        }
        self.told(printed).await
    }

    /// What comes of it.
    async fn outcome(&self) -> Outcome {
        match self {
            Self::Account(AccountCommand::New(arguments)) => write::new_account(arguments).await,
            Self::Account(AccountCommand::Address(arguments)) => look::address(arguments),
            Self::Inspect(arguments) => look::inspect(arguments).await,
            Self::Budget(arguments) => look::budget(arguments).await,
            Self::Check(arguments) => look::check(arguments).await,
            Self::Explain(arguments) => look::explain(arguments).await,
            Self::Grant(arguments) => write::grant(arguments).await,
            Self::Plan(arguments) => write::plan(arguments).await,
            Self::Apply(arguments) => write::apply(arguments).await,
            Self::Lint(arguments) => offline::lint(arguments).await,
            Self::Covers(arguments) => offline::covers_command(arguments),
            Self::Request(command) => request::run(command).await,
            Self::Rotate(arguments) => write::rotate(arguments).await,
            Self::Revoke(arguments) => write::revoke(arguments).await,
            Self::Reset(arguments) => write::reset(arguments).await,
            Self::Unblock(arguments) => write::unblock(arguments).await,
            Self::Keygen(arguments) => keys::keygen(arguments),
            Self::Keys(arguments) => keys::list(arguments),
            Self::Encode(arguments) => offline::encode(arguments).await,
            Self::Decode(arguments) => decode::decode(arguments),
            // These print as they go.
            Self::Watch(_) | Self::Completions(_) | Self::Man(_) => Ok(Answer::new()),
        }
    }

    /// What was printed as a whole was told.
    async fn told(&self, printed: Printed) -> ExitCode {
        if let Some(writing) = self.writing().filter(|_| printed.is_whole) {
            writing.told.forget().await;
        }
        printed.into()
    }
}
