#![doc = include_str!("../README.md")]

mod demo;
mod deploy;
mod doctor;
mod node;
mod report;

use std::{env::VarError, process::ExitCode};

use alloy::signers::local::PrivateKeySigner;
use clap::{Args, Parser, Subcommand};
use deploy::DeployArguments;
use doctor::DoctorArguments;
use eyre::{Result, eyre};
use node::Node;
use report::{Format, Report, print_error};

/// Environment variable with the private key that pays on a node.
const FUNDER_VARIABLE: &str = "SESSION_KEY_FUNDER";

/// Exit code when the command could not begin: what was asked for, or where, is at fault. Also clap's.
const EXIT_USAGE: u8 = 2;

/// Session keys for ERC-6900 accounts: keys that act within limits, without being trusted.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a session key's whole life: deployment, grant, use, refusals, refresh, update, rotation, removal.
    ///
    /// Runs on a chain simulated in this process; or on a node, with --rpc-url and a funded key in SESSION_KEY_FUNDER.
    Demo(DemoArguments),

    /// Deploy the contracts, at the same addresses on every chain. A dry run, unless --broadcast is given.
    ///
    /// What is there already is verified and skipped: running it again completes what a failure left half done. The private
    /// key that pays is read from SESSION_KEY_FUNDER.
    Deploy(DeployArguments),

    /// Check a chain: its contracts and their code, the bundler, an account; say what is missing.
    ///
    /// Exit code 0: everything needed is there. 1: something is missing. 2: the check could not be made.
    Doctor(DoctorArguments),
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// JSON-RPC URL of a node to run on. Its funder's private key is read from SESSION_KEY_FUNDER.
    #[arg(long, value_name = "URL")]
    rpc_url: Option<String>,

    /// Print one JSON document at the end, instead of lines.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("the async runtime does not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        Command::Demo(arguments) => runtime.block_on(demo(arguments)),
        Command::Deploy(arguments) => runtime.block_on(deploy(arguments)),
        Command::Doctor(arguments) => runtime.block_on(doctor(arguments)),
    }
}

async fn demo(arguments: DemoArguments) -> ExitCode {
    let mut report = Report::new(format(arguments.json));
    let node = match node(arguments.rpc_url.as_deref()).await {
        Ok(node) => node,
        Err(error) => return could_not_begin(report, &error),
    };
    let outcome = demo::run(&node, &mut report).await;
    finish(report, outcome)
}

async fn deploy(arguments: DeployArguments) -> ExitCode {
    let mut report = Report::new(format(arguments.json));
    let funder = match arguments.funder() {
        Ok(funder) => funder,
        Err(error) => return could_not_begin(report, &error),
    };
    let ready = match deploy::survey(&arguments, funder, &mut report).await {
        Ok(ready) => ready,
        Err(error) => return could_not_begin(report, &error),
    };
    let outcome = deploy::deploy(&arguments, ready, &mut report).await;
    finish(report, outcome)
}

async fn doctor(arguments: DoctorArguments) -> ExitCode {
    let mut report = Report::new(format(arguments.json));
    match doctor::run(&arguments, &mut report).await {
        Ok(outcome) => finish(report, outcome),
        Err(error) => could_not_begin(report, &error),
    }
}

const fn format(json: bool) -> Format {
    if json { Format::Json } else { Format::Human }
}

fn could_not_begin(report: Report, error: &eyre::Report) -> ExitCode {
    report.finish(Some(&one_line(error)));
    ExitCode::from(EXIT_USAGE)
}

fn finish(report: Report, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => {
            report.finish(None);
            ExitCode::SUCCESS
        }
        Err(error) => {
            report.finish(Some(&one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn node(rpc_url: Option<&str>) -> Result<Node> {
    match rpc_url {
        None => Node::simulated(),
        Some(url) => Node::connect(url, required_funder()?).await,
    }
}

/// The funder's key, if there is one. Nothing of it is ever in an error.
fn funder() -> Result<Option<PrivateKeySigner>> {
    let key = match std::env::var(FUNDER_VARIABLE) {
        Ok(key) => key,
        Err(VarError::NotPresent) => return Ok(None),
        Err(VarError::NotUnicode(_)) => String::new(),
    };
    key.trim().parse().map(Some).map_err(|_| {
        eyre!("{FUNDER_VARIABLE} is not a private key: it takes 64 hex digits, with or without 0x")
    })
}

fn required_funder() -> Result<PrivateKeySigner> {
    funder()?.ok_or_else(|| {
        eyre!("a node needs a funded key: set {FUNDER_VARIABLE} to its private key (64 hex digits)")
    })
}

/// The error and its causes, in one line.
fn one_line(error: &eyre::Report) -> String {
    let text = error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
