#![doc = include_str!("../README.md")]

mod amount;
mod answer;
mod commands;
mod demo;
mod deploy;
mod devnet;
mod doctor;
mod endpoint;
mod failure;
mod files;
mod purse;
mod record;
mod report;
mod settings;
mod state;
mod transactions;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use commands::KeyCommand;
use demo::DemoArguments;
use deploy::DeployArguments;
use devnet::DevnetArguments;
use doctor::DoctorArguments;
use failure::{Ended, Failure, NOTHING_SIGNED};
use report::{Format, Report, print_error};
use session_key_client::request::clean_text;
use std::{ffi::OsStr, io::Write as _, process::ExitCode};

/// Session keys for ERC-6900 accounts: keys that act within limits, without being trusted.
#[derive(Debug, Parser)]
#[command(
    name = "session-key",
    version,
    arg_required_else_help = true,
    max_term_width = 80
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Keys(KeyCommand),

    /// Show a session key's whole life: deployment, grant, use, refusals, refresh, update, rotation, removal.
    ///
    /// Runs on a chain simulated in this process, or on a node with --rpc-url, --chain-id and a funded key in
    /// SESSION_KEY_FUNDER. On a node, it first shows the maximum cost, and at the end returns what it lent to
    /// the account.
    Demo(DemoArguments),

    /// Deploy the contracts, at the same addresses on every chain. A dry run unless --broadcast is given.
    ///
    /// Existing contracts are verified and skipped: repeating the command completes a partial deployment, and
    /// resumes a transaction of an interrupted run. The paying private key is read from SESSION_KEY_FUNDER.
    Deploy(DeployArguments),

    /// Run a chain and a bundler on this machine, with the contracts, accounts and session keys.
    ///
    /// Serves JSON-RPC at 127.0.0.1 until it is interrupted. Nothing on it has value: all its private keys
    /// are public. It is no node for a live chain, and its v0.8 account is a stand-in for the ones that
    /// wallets deploy; run those with --fork-url.
    Devnet(DevnetArguments),

    /// Check a chain: its contracts and their code, the bundler, an account; show what is missing.
    ///
    /// Exit code 0: everything needed is there. 1: something is missing. 2: the check could not be made.
    Doctor(DoctorArguments),
}

fn main() -> ExitCode {
    let parsed = without_empty(Cli::command())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let mut report = Report::new(match &cli.command {
        Command::Demo(DemoArguments { json: true, .. })
        | Command::Deploy(DeployArguments { json: true, .. })
        | Command::Doctor(DoctorArguments { json: true, .. }) => Format::Json,
        _ => Format::Human,
    });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = eyre::Report::new(error).wrap_err("starting the async runtime");
            return report.finish(&Ended::NotBegun(error));
        }
    };
    match &cli.command {
        Command::Keys(command) => return runtime.block_on(command.run()),
        Command::Devnet(arguments) => return runtime.block_on(devnet::run(arguments)),
        _ => (),
    }
    let ended = runtime.block_on(async {
        match &cli.command {
            Command::Keys(_) | Command::Devnet(_) => Ended::Done,
            Command::Demo(arguments) => demo::run(arguments, &mut report).await,
            Command::Deploy(arguments) => deploy::run(arguments, &mut report).await,
            Command::Doctor(arguments) => tokio::select! {
                biased;
                ended = doctor::run(arguments, &mut report) => ended,
                () = commands::asked() => Ended::Failed(vec![NOTHING_SIGNED.into()]),
            },
        }
    });
    report.finish(&ended)
}

/// Ignores environment variables that are empty.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|argument| {
            if argument.get_env().is_some_and(is_empty) {
                argument.env(None::<&'static str>)
            } else {
                argument
            }
        })
        .mut_subcommands(without_empty)
}

/// Prints help, the version, or an argument error. Arguments may contain URLs with secrets.
fn not_parsed(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print().and_then(|()| std::io::stdout().flush()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                print_error(&format!("the help could not be written: {error}"));
                failure::Exit::Open.into()
            }
        };
    }
    let plain = error.render().to_string();
    let styled = error.render().ansi().to_string();
    let shown = if plain.contains("://") {
        without_urls(&plain)
    } else {
        styled
    };
    let _ = write!(anstream::stderr(), "{shown}");
    if std::env::args_os().any(|argument| argument == "--json") {
        let line = without_urls(&plain);
        // Missing arguments are listed on lines of their own.
        let said: Vec<&str> = line
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let message = said.join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let failure = Failure::of_arguments(message);
        // `watch` prints one JSON document per line.
        let is_watch = std::env::args_os()
            .nth(1)
            .is_some_and(|command| command == "watch");
        return if is_watch {
            answer::print_json_line(&failure).into()
        } else {
            answer::print_json(&failure, true).into()
        };
    }
    failure::Exit::NotBegun.into()
}

/// Reduces URLs in a text to scheme and host.
fn without_urls(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| {
        if line.contains("://") {
            let indent = line.len() - line.trim_start().len();
            format!("{}{}\n", &line[..indent], clean_text(line, usize::MAX))
        } else {
            line.to_owned()
        }
    });
    lines.collect()
}
