//! Runs the properties for a given time, and reports what they reached.

use clap::{Parser, ValueEnum};
use eyre::ensure;
use session_key_fuzz::{
    Generation, OtherPlugin, Outcomes, Property, Seeded,
    calldata::{BundledCalldata, Calldata},
    covers::Coverages,
    decoder::Decoder,
    encoder::Encoder,
    inspect::Inspections,
    plan::Plans,
    run_seeds,
    sequence::Sequence,
    user_operation::UserOperations,
    verdict::Verdicts,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Random tests of the session key client against the real bytecode.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How long to run, shared evenly among the properties of all generations; what one does not use, those
    /// after it share.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,

    /// How many cases of each property to run at most, per generation.
    #[arg(long, value_name = "N")]
    cases: Option<u64>,

    /// Fail if there were fewer cases than this of either generation, of all its properties together.
    #[arg(long, value_name = "N")]
    at_least: Option<u64>,

    /// Seed of the first case; the next ones follow from it. The clock's, if there is none.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A file with creation bytecode, in hex, to deploy as the session key plugin.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

    /// The same, as the session key module of ERC-6900 v0.8 accounts.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,

    /// Only this property; may be given several times.
    #[arg(long = "property", value_enum, value_name = "NAME")]
    properties: Vec<Name>,

    /// Only accounts of this generation: ERC-6900 v0.7, or v0.8.
    #[arg(long = "generation", value_enum, value_name = "NAME")]
    generation: Option<Generation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Name {
    Decoder,
    Encoder,
    Calldata,
    BundledCalldata,
    UserOperation,
    Verdict,
    Sequence,
    Inspect,
    Plan,
    Covers,
}

fn main() -> eyre::Result<()> {
    let arguments = Arguments::parse();
    let names = match &arguments.properties[..] {
        [] => Name::value_variants(),
        names => names,
    };
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    });
    let read = |generation, file: &Option<PathBuf>| {
        let file = file.as_deref();
        file.map(|file| OtherPlugin::read(generation, file)).transpose()
    };
    let plugin = read(Generation::V07, &arguments.plugin)?;
    let module = read(Generation::V08, &arguments.module)?;
    let generations = arguments
        .generation
        .map_or(Generation::ALL.to_vec(), |one| vec![one]);
    let runs: Vec<_> = names
        .iter()
        .flat_map(|name| generations.iter().map(move |generation| (*name, *generation)))
        .filter(|(name, generation)| name.generations().contains(generation))
        .collect();
    ensure!(
        !runs.is_empty(),
        "no property given is about accounts of that generation"
    );
    let time = Duration::from_secs(arguments.seconds);
    let most = arguments.cases.unwrap_or(u64::MAX);
    let start = Instant::now();
    let mut cases: Vec<_> = generations.iter().map(|generation| (*generation, 0)).collect();
    for (done, (name, generation)) in runs.iter().enumerate() {
        let share = time.saturating_sub(start.elapsed()) / (runs.len() - done) as u32;
        let other = match generation {
            Generation::V08 => module.as_ref(),
            _ => plugin.as_ref(),
        };
        let ran = name.run(*generation, seed, other, share, most)?;
        for (of, count) in &mut cases {
            *count += if of == generation { ran } else { 0 };
        }
    }
    let elapsed = start.elapsed().as_secs();
    let all: u64 = cases.iter().map(|(_, count)| count).sum();
    println!("{all} cases in all, in {elapsed} seconds");
    for (generation, count) in cases {
        println!("{count} of them on {} accounts", generation.name());
        if let Some(least) = arguments.at_least {
            ensure!(
                count >= least,
                "fewer than {least} cases on {} accounts",
                generation.name()
            );
        }
    }
    Ok(())
}

macro_rules! properties {
    ($($name:ident => $property:ty),* $(,)?) => {
        impl Name {
            const fn generations(self) -> &'static [Generation] {
                match self {
                    $(Self::$name => <$property>::GENERATIONS,)*
                }
            }

            fn run(
                self,
                generation: Generation,
                seed: u64,
                plugin: Option<&OtherPlugin>,
                share: Duration,
                most: u64,
            ) -> eyre::Result<u64> {
                match self {
                    $(Self::$name => run::<$property>(generation, seed, plugin, share, most),)*
                }
            }
        }
    };
}

properties! {
    Decoder => Decoder,
    Encoder => Encoder,
    Calldata => Calldata,
    BundledCalldata => BundledCalldata,
    UserOperation => UserOperations,
    Verdict => Verdicts,
    Sequence => Sequence,
    Inspect => Inspections,
    Plan => Plans,
    Covers => Coverages,
}

fn run<P: Property>(
    generation: Generation,
    seed: u64,
    plugin: Option<&OtherPlugin>,
    share: Duration,
    most: u64,
) -> eyre::Result<u64> {
    // The chain is set up before the first question for more.
    let mut start = None;
    let (seeded, outcomes) = run_seeds::<P>(generation, seed, plugin, |cases| {
        let start = *start.get_or_insert_with(Instant::now);
        cases < most && start.elapsed() < share
    })?;
    report::<P>(
        generation,
        seeded,
        &outcomes,
        start.map_or(Duration::ZERO, |start| start.elapsed()),
    );
    Ok(seeded.cases)
}

fn report<P: Property>(generation: Generation, seeded: Seeded, outcomes: &Outcomes, elapsed: Duration) {
    println!(
        "{}, {}: no mismatch in {} cases from seed {}, {:.0} cases a second, {} distinct outcomes, the rarest first:",
        P::NAME,
        generation.name(),
        seeded.cases,
        seeded.first,
        seeded.cases as f64 / elapsed.as_secs_f64(),
        outcomes.distinct("")
    );
    println!("{outcomes}");
}
