//! The commands that grant, read, explain and change permissions.

mod account_keys;
mod agent;
mod chain;
mod decode;
mod generate;
mod keys;
mod look;
mod obstacles;
mod offline;
mod request;
mod review;
mod show;
mod watch;
mod write;

use crate::{
    answer::{Answer, Printed, print_failure},
    failure::{Ended, Exit, Failure, NOTHING_SIGNED, asked_to_end},
};
use clap::{Args, Subcommand};
use eyre::Result;
use indicatif::ProgressBar;
use session_key_client::request::clean_text;
use std::{process::ExitCode, time::Duration};

pub(crate) use show::violation_json;
pub(crate) use write::LintErrors;

/// The result of a command.
pub(crate) type Outcome = Result<Answer, Ended>;

/// Maps the error of a command that sends nothing.
fn not_begun(result: Result<Answer>) -> Outcome {
    result.map_err(Ended::NotBegun)
}

/// Waits, with a spinner on standard error if that is a terminal.
async fn waited<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    /// The spinner's frame time.
    const TURN: Duration = Duration::from_millis(100);
    // Hidden without a terminal.
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(TURN);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// Completes when the process is asked to stop.
pub(crate) async fn asked() {
    if asked_to_end().await.is_err() {
        // Signals cannot be received: never complete.
        std::future::pending::<()>().await;
    }
}

/// The spinner's message while a node is queried.
const ASKING: &str = "asking the node";

/// Cleans a text from outside.
pub(crate) fn clean(text: &str) -> String {
    clean_text(text, 500)
}

/// Formats a count: `1 call`, `2 calls`.
fn calls(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} call{plural}")
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create an account, or compute its address.
    #[command(subcommand)]
    Account(AccountCommand),

    /// Show every session key with its full permissions, rebuilt from logs and checked against the plugin's
    /// views.
    Inspect(look::InspectArguments),

    /// Show what a key can still spend, and when its limits refresh.
    Budget(look::BudgetArguments),

    /// Say whether calls or an operation would pass, and list every rule they break. Exit code 1: refused
    /// or unknown.
    Check(look::CheckArguments),

    /// Show the outcome of an operation or a transaction, and every rule that it broke.
    Explain(look::ExplainArguments),

    /// Grant a policy to a key, in one operation: create the account, install what is missing, and add the
    /// key.
    Grant(write::GrantArguments),

    /// Show the changes that give a key exactly the permissions of a policy.
    Plan(write::PlanArguments),

    /// Change a key to exactly the permissions of a policy.
    Apply(write::ApplyArguments),

    /// Warn about dangerous or unintended settings in a policy. Exit code 1: a warning is an error.
    Lint(offline::LintArguments),

    /// Say whether a policy allows everything that another needs, and what is missing. Exit code 1: it does
    /// not.
    Covers(offline::CoversArguments),

    /// Ask for a session key; read or approve such a request.
    #[command(subcommand)]
    Request(request::RequestCommand),

    /// Move a key's permissions, and the amounts used, to another key.
    Rotate(write::RotateArguments),

    /// Remove keys.
    Revoke(write::RevokeArguments),

    /// Settle a pending reset of a key's gas limit.
    Reset(write::ResetArguments),

    /// End the open operations of a key's nonce lane.
    ///
    /// The account calls `incrementNonce` on the EntryPoint, which uses up the lane's next nonces: operations
    /// that wait with them can never be included. Shows the nonces and what happens to each operation.
    Unblock(write::UnblockArguments),

    /// Create a session key in the keystore.
    Keygen(keys::KeygenArguments),

    /// List the session keys in the keystore.
    Keys(keys::KeysArguments),

    /// Print the updates that encode a policy.
    Encode(offline::EncodeArguments),

    /// Decode updates, call data, a user operation or revert data.
    Decode(decode::DecodeArguments),

    /// Show keys added, used, refused and changed, and budgets going down, live.
    Watch(watch::WatchArguments),

    /// Serve a page on this machine to read what each key may do, and to revoke, change or approve with the
    /// browser's wallet.
    ///
    /// Prints the page's address, which opens it once, in one browser; when another browser asks, prints
    /// another. The wallet signs and sends: the owner's key never comes here. Runs until it is interrupted.
    Review(review::ReviewArguments),

    /// Hold a session key for bots, applications and language models, within a policy each.
    #[command(subcommand)]
    Agent(agent::AgentCommand),

    /// Print shell completions.
    Completions(generate::CompletionsArguments),

    /// Print a manual page.
    Man(generate::ManArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Create the account of an owner.
    New(write::NewAccountArguments),

    /// Compute the address of an owner's account, without a node.
    Address(look::AddressArguments),
}

/// The output format.
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
            Self::Review(arguments) => arguments.sources.json,
            Self::Agent(command) => command.is_json(),
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

    /// Runs the command and prints its answer.
    pub(crate) async fn run(&self) -> ExitCode {
        if let Self::Agent(command) = self
            && let Some(exit) = command.run().await
        {
            return exit;
        }
        let outcome = match self {
            Self::Watch(arguments) => return watch::run(arguments).await,
            Self::Review(arguments) => return review::run(arguments).await,
            Self::Completions(arguments) => return generate::completions(arguments),
            Self::Man(arguments) => return generate::man(arguments),
            _ => match self.writing() {
                // Let running work observe the signal first: it may have to clean up.
                Some(writing) => tokio::select! {
                    biased;
                    outcome = self.outcome() => outcome,
                    () = asked() => Err(Ended::Failed(vec![writing.signed.interrupted().into()])),
                },
                None => tokio::select! {
                    biased;
                    outcome = self.outcome() => outcome,
                    () = asked() => Err(Ended::Failed(vec![NOTHING_SIGNED.into()])),
                },
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
        // An open outcome is reported by the next run: keep its record.
        if failure.exit == Exit::Open {
            return printed.into();
        }
        self.told(printed).await
    }

    /// Runs the command.
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
            Self::Agent(command) => command.outcome().await,
            // These print as they run.
            Self::Watch(_) | Self::Review(_) | Self::Completions(_) | Self::Man(_) => Ok(Answer::new()),
        }
    }

    /// Forgets the records of outcomes once they are fully printed.
    async fn told(&self, printed: Printed) -> ExitCode {
        if let Some(writing) = self.writing().filter(|_| printed.is_whole) {
            writing.told.forget().await;
        }
        printed.into()
    }
}
