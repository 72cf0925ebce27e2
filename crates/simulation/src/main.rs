//! Runs histories and reports those in which a check failed.

use clap::Parser;
use eyre::WrapErr;
use session_key_simulation::{Counts, History, Plan, keep_panics, run, shrink};
use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Runs the session key client in a simulated world with faults and checks its guarantees.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Number of histories to run.
    #[arg(long, default_value_t = 100, value_name = "N")]
    seeds: u64,

    /// Seed of the first history.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,

    /// Run only the history with this seed, and print its trace.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,

    /// Run one history from a plan in a JSON file, as printed for a shrunk history.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    plan: Option<PathBuf>,

    /// Let nodes, bundlers and the paymaster answer anything.
    #[arg(long)]
    hostile: bool,

    /// Use ERC-6900 v0.8 accounts, with EntryPoint v0.7 and the session key module, instead of v0.7 accounts.
    #[arg(long)]
    v08: bool,

    /// Let session keys send through agents, which share a store and rules of their own.
    #[arg(long, conflicts_with_all = ["hostile", "v08"])]
    agents: bool,

    /// Number of histories to run concurrently.
    #[arg(long, default_value_t = 2, value_name = "N")]
    jobs: usize,

    /// Stop after this many failures.
    #[arg(long, value_name = "N")]
    most_failures: Option<usize>,

    /// Do not shrink the first failure.
    #[arg(long)]
    no_shrink: bool,

    /// Do not print the table of faults and outcomes.
    #[arg(long)]
    no_table: bool,
}

impl Arguments {
    fn plan_of(&self, seed: u64) -> Plan {
        let mut plan = Plan::new(seed, self.hostile);
        plan.v08 = self.v08;
        if self.agents {
            plan.let_agents_send();
        }
        plan
    }
}

fn main() -> eyre::Result<ExitCode> {
    let arguments = Arguments::parse();
    keep_panics();
    let alone = match (&arguments.plan, arguments.seed) {
        (Some(file), _) => {
            let text =
                fs::read_to_string(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
            Some(serde_json::from_str(&text).wrap_err_with(|| format!("{} holds no plan", file.display()))?)
        }
        (None, Some(seed)) => Some(arguments.plan_of(seed)),
        (None, None) => None,
    };
    let is_alone = alone.is_some();
    let (counts, ran, failed) = match alone {
        Some(plan) => {
            let history = run(&plan, true);
            print_history(&plan, &history);
            report(&plan, &history);
            let failed = if history.violations.is_empty() {
                Vec::new()
            } else {
                vec![plan]
            };
            (history.counts, 1, failed)
        }
        None => run_many(&arguments),
    };
    if !arguments.no_table && !is_alone {
        println!("{counts}");
    }
    if let Some(plan) = failed.first()
        && !arguments.no_shrink
    {
        print_shrunk(plan)?;
    }
    println!("{ran} histories, {} failed", failed.len());
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the histories of a range of seeds, each on one thread. Returns the counts, how many ran, and the
/// plans that failed.
fn run_many(arguments: &Arguments) -> (Counts, u64, Vec<Plan>) {
    let next = AtomicU64::new(arguments.from);
    let until = arguments.from.saturating_add(arguments.seeds);
    let results: Mutex<(Counts, u64, Vec<Plan>)> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= until {
                        return;
                    }
                    let plan = arguments.plan_of(seed);
                    let history = run(&plan, false);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    let (counts, ran, failed) = &mut *results;
                    counts.add(&history.counts);
                    *ran += 1;
                    report(&plan, &history);
                    if !history.violations.is_empty() {
                        failed.push(plan);
                    }
                    if arguments.most_failures.is_some_and(|most| failed.len() >= most) {
                        next.store(until, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (counts, ran, mut failed) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|plan| plan.seed);
    (counts, ran, failed)
}

/// Prints the first violation of a history and the command that replays it.
fn report(plan: &Plan, history: &History) {
    if let Some(first) = history.violations.first() {
        let hostile = if plan.hostile { " --hostile" } else { "" };
        let v08 = if plan.v08 { " --v08" } else { "" };
        let agents = if plan.agents.is_some() { " --agents" } else { "" };
        println!(
            "FAILED ./script/simulate.sh --seed {}{hostile}{v08}{agents}: {first}",
            plan.seed
        );
    }
}

fn print_history(plan: &Plan, history: &History) {
    println!("{plan}");
    for line in &history.lines {
        println!("{line}");
    }
    println!(
        "hash {:016x}, {} faults, took {:?}\n",
        history.hash, history.misfortunes, history.took
    );
}

/// Shrinks a failed history, and prints its trace and its plan.
fn print_shrunk(plan: &Plan) -> eyre::Result<()> {
    let Some(check) = run(plan, false)
        .violations
        .first()
        .map(|violation| violation.check)
    else {
        return Ok(());
    };
    let shrunk = shrink(plan, check);
    println!("\n---- {check}, seed {}, shrunk\n", plan.seed);
    let history = run(&shrunk, true);
    print_history(&shrunk, &history);
    for violation in &history.violations {
        println!("{violation}");
    }
    println!("\nas a plan: {}\n", serde_json::to_string(&shrunk)?);
    Ok(())
}
