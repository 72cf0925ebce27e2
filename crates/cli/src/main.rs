//! Command line for session keys of ERC-6900 accounts.

mod demo;
mod node;
mod report;

use std::process::ExitCode;

use alloy::signers::local::PrivateKeySigner;
use clap::{Args, Parser, Subcommand};
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
    }
}

async fn demo(arguments: DemoArguments) -> ExitCode {
    let format = if arguments.json {
        Format::Json
    } else {
        Format::Human
    };
    let mut report = Report::new(format);
    let node = match node(arguments.rpc_url.as_deref()).await {
        Ok(node) => node,
        Err(error) => {
            report.finish(Some(&one_line(&error)));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match demo::run(&node, &mut report).await {
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
        Some(url) => Node::connect(url, funder()?).await,
    }
}

/// The funder's key. Nothing of it is ever in an error.
fn funder() -> Result<PrivateKeySigner> {
    let key = std::env::var(FUNDER_VARIABLE).map_err(|_| {
        eyre!("a node needs a funded key: set {FUNDER_VARIABLE} to its private key (64 hex digits)")
    })?;
    key.trim().parse().map_err(|_| {
        eyre!("{FUNDER_VARIABLE} is not a private key: it takes 64 hex digits, with or without 0x")
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
