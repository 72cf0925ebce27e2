//! The command, as users and scripts run it.

mod account_keys;
mod agent;
mod both_ways;
mod demo;
mod deployment;
mod devnet;
mod direct;
mod examples;
mod judged;
mod keys;
mod manners;
mod output;
mod published;
mod reference;
mod review;
mod server;
mod told;
mod troubles;
mod v08;

use serde_json::Value;
use std::{
    process::{self, Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The first development key of anvil and the testkit: public.
const PUBLIC_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Environment variables that the command reads.
const VARIABLES: [&str; 12] = [
    "SESSION_KEY_FUNDER",
    "ETH_RPC_URL",
    "SESSION_KEY_CHAIN_ID",
    "SESSION_KEY_BUNDLER_URL",
    "SESSION_KEY_ACCOUNT",
    "SESSION_KEY_KEYSTORE",
    "SESSION_KEY_OWNER",
    "SESSION_KEY_OWNER_PASSWORD",
    "SESSION_KEY_PASSWORD",
    "SESSION_KEY_AGENT_KEY",
    "SESSION_KEY_AGENT_STORE",
    "SESSION_KEY_AGENT_TOKEN",
];

/// Returns the command with a clean environment, and its own state folder.
fn command(arguments: &[&str], funder: Option<&str>) -> Command {
    static COMMANDS: AtomicUsize = AtomicUsize::new(0);
    let number = COMMANDS.fetch_add(1, Ordering::Relaxed);
    let state = format!("{}/state/{}-{number}", env!("CARGO_TARGET_TMPDIR"), process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-key"));
    command.args(arguments).env("XDG_STATE_HOME", state);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    if let Some(funder) = funder {
        command.env("SESSION_KEY_FUNDER", funder);
    }
    command
}

fn run(arguments: &[&str], funder: Option<&str>) -> Output {
    let output = command(arguments, funder).output().expect("the binary runs");
    output::check(arguments, &output);
    output
}

/// Returns a report with wrapped details joined again.
fn flat(output: &[u8]) -> String {
    text(output).replace(&format!("\n{}", " ".repeat(40)), " ")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[track_caller]
fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr));
    })
}

/// Checks that the command refuses with exit code 2 and one line on standard error.
#[track_caller]
fn refused(arguments: &[&str], funder: Option<&str>, expected: &str) {
    let output = run(arguments, funder);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert!(error.contains(expected), "{error}");
    assert!(
        !error.contains("backtrace") && !error.contains("panicked"),
        "{error}"
    );
}

/// Checks that the arguments are refused with exit code 2, for a reason that contains this.
#[track_caller]
fn refused_arguments(arguments: &[&str], expected: &str) {
    let output = run(arguments, None);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(error.contains(expected), "{arguments:?}: {error}");
}
