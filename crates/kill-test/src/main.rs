//! Kills processes while they send and checks that no payment is doubled or lost.
//!
//! Each worker is a separate process that makes one payment through the public client: over HTTP to a real
//! node, by an agent whose stores are shared by all workers: a SQLite file, or a PostgreSQL server, which
//! crashes meanwhile. The worker prints its phase and is killed there with SIGKILL. Another process then
//! settles the journal and requests the same payment again. At the end, the balances on the chain show how
//! often each recipient was paid, and the ledger whether every reservation was settled.

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
        /// Path of an SQLite file, or a connection string of PostgreSQL.
        #[arg(long)]
        store: String,
        /// A program that restarts the PostgreSQL server at once, as after a crash: it is run
        /// every few seconds.
        #[arg(long)]
        restart: Option<PathBuf>,
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
            store,
            restart,
        } => judge::judge(&rpc_url, kills, &store, restart).await,
        Command::Work(work) => {
            worker::work(work).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
