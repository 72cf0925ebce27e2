//! Kills processes while they send, and looks whether anything was done twice or lost.
//!
//! Every worker is a process of its own that makes one payment through the public client: real HTTP to a real node, a journal in one
//! SQLite file that all workers share. It says on standard output how far it is, and is killed there with SIGKILL. Then another
//! process settles the journal and asks for the same once more. In the end the chain says who was paid how often.

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
    /// Starts workers, kills them, and judges.
    Judge {
        /// URL of a node that mines a block a second and knows anvil's methods.
        #[arg(long)]
        rpc_url: String,
        /// How many processes to kill.
        #[arg(long)]
        kills: usize,
        /// Where the journal goes.
        #[arg(long)]
        journal: PathBuf,
    },
    /// Makes a payment, or settles and makes it again.
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
