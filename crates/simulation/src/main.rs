//! Runs histories, and reports those in which something did not hold.

use clap::Parser;
use session_key_simulation::{Counts, History, Plan, keep_panics, run};
use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// A simulated world that misbehaves, and what must hold of the session key client in it.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How many histories to run.
    #[arg(long, default_value_t = 100, value_name = "N")]
    seeds: u64,

    /// The first one's seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,

    /// One history only, with all that happens in it.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,

    /// Nodes, bundlers and the paymaster say anything at all.
    #[arg(long)]
    hostile: bool,

    /// How many at a time.
    #[arg(long, default_value_t = 2, value_name = "N")]
    jobs: usize,

    /// Prints which faults happened at which step, and how things ended.
    #[arg(long)]
    table: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    keep_panics();
    let (from, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds),
    };
    let next = AtomicU64::new(from);
    let results: Mutex<(Counts, Vec<u64>)> = Mutex::default();
    let until = from.saturating_add(count);
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let plan = Plan::new(seed, arguments.hostile);
                    let history = run(&plan, arguments.seed.is_some());
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.0.add(&history.counts);
                    if !history.violations.is_empty() {
                        results.1.push(seed);
                    }
                    report(&plan, &history, arguments.seed.is_some());
                }
            });
        }
    });
    let (counts, failed) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    if arguments.table {
        println!("{counts}");
    }
    println!("{count} histories, {} failed", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(plan: &Plan, history: &History, is_alone: bool) {
    if is_alone {
        println!("{plan}");
        for line in &history.lines {
            println!("{line}");
        }
        println!("hash {:016x}, {} faults, took {:?}", history.hash, history.misfortunes, history.took);
    }
    if let Some(first) = history.violations.first() {
        let hostile = if plan.hostile { " --hostile" } else { "" };
        println!("FAILED ./script/simulate.sh --seed {}{hostile}: {first}", plan.seed);
    }
}
