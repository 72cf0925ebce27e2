//! Kills processes while they send and checks that no payment is doubled or lost.
//!
//! Each worker is a separate process that makes one payment through the public client: over HTTP to a real
//! node, with a journal in a SQLite file shared by all workers. The worker prints its phase and is killed
//! there with SIGKILL. Another process then settles the journal and requests the same payment again. At the
//! end, the balances on the chain show how often each recipient was paid.

mod judge;
mod worker;

use clap::{Parser, Subcommand};
use eyre::Result;
use std::{path::PathBuf, process::ExitCode};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start workers, kill them, and count doubled and lost payments.
    Judge {
        /// URL of an anvil node that mines one block per second.
        #[arg(long)]
        rpc_url: String,
        /// Number of processes to kill.
        #[arg(long)]
        kills: usize,
        /// Path of the journal.
        #[arg(long)]
        journal: PathBuf,
    },
    /// Make a payment; without --stop, settle the journal first.
    Work(worker::Work),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Judge {
            rpc_url,
            kills,
            journal,
        } => judge::judge(&rpc_url, kills, &journal).await,
        Command::Work(work) => {
            worker::work(work).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
