//! Runs the properties for a given time, and reports what they reached.

use clap::{Parser, ValueEnum};
use session_key_fuzz::{
    Outcomes, Property, Seeded, calldata::Calldata, decoder::Decoder, encoder::Encoder, run_seeds,
    user_operation::UserOperations,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Random tests of the session key client against the real bytecode.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How long to run, shared evenly among the properties.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,

    /// How many cases of each property to run at most.
    #[arg(long, value_name = "N")]
    cases: Option<u64>,

    /// Seed of the first case; the next ones follow from it. The clock's, if there is none.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Only this property; may be given several times.
    #[arg(long = "property", value_enum, value_name = "NAME")]
    properties: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Name {
    Decoder,
    Encoder,
    Calldata,
    UserOperation,
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
    let share = Duration::from_secs(arguments.seconds) / names.len() as u32;
    let most = arguments.cases.unwrap_or(u64::MAX);
    for name in names {
        match name {
            Name::Decoder => run::<Decoder>(seed, share, most)?,
            Name::Encoder => run::<Encoder>(seed, share, most)?,
            Name::Calldata => run::<Calldata>(seed, share, most)?,
            Name::UserOperation => run::<UserOperations>(seed, share, most)?,
        }
    }
    Ok(())
}

fn run<P: Property>(seed: u64, share: Duration, most: u64) -> eyre::Result<()> {
    // The chain is set up before the first question for more.
    let mut start = None;
    let (seeded, outcomes) = run_seeds::<P>(seed, |cases| {
        let start = *start.get_or_insert_with(Instant::now);
        cases < most && start.elapsed() < share
    })?;
    report::<P>(
        seeded,
        &outcomes,
        start.map_or(Duration::ZERO, |start| start.elapsed()),
    );
    Ok(())
}

fn report<P: Property>(seeded: Seeded, outcomes: &Outcomes, elapsed: Duration) {
    println!(
        "{}: no mismatch in {} cases from seed {}, {:.0} cases a second, {} distinct outcomes, the rarest first:",
        P::NAME,
        seeded.cases,
        seeded.first,
        seeded.cases as f64 / elapsed.as_secs_f64(),
        outcomes.distinct("")
    );
    println!("{outcomes}");
}
