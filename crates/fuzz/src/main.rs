//! Runs the properties for a given time, and reports what they reached.

use clap::{Parser, ValueEnum};
use eyre::ensure;
use session_key_fuzz::{
    OtherPlugin, Outcomes, Property, Seeded,
    calldata::{BundledCalldata, Calldata},
    covers::Coverages,
    decoder::Decoder,
    encoder::Encoder,
    inspect::Inspections,
    plan::Plans,
    run_seeds,
    sequence::Sequence,
    user_operation::UserOperations,
    verdict::{ModuleVerdicts, Verdicts},
};
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Random tests of the session key client against the real bytecode.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How long to run, shared evenly among the properties; what one does not use, those after it share.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,

    /// How many cases of each property to run at most.
    #[arg(long, value_name = "N")]
    cases: Option<u64>,

    /// Fail if there were fewer cases than this, of all properties together.
    #[arg(long, value_name = "N")]
    at_least: Option<u64>,

    /// Seed of the first case; the next ones follow from it. The clock's, if there is none.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A file with creation bytecode, in hex, to deploy as the session key plugin.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

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
    BundledCalldata,
    UserOperation,
    Verdict,
    ModuleVerdict,
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
    let plugin = arguments.plugin.as_deref().map(OtherPlugin::read).transpose()?;
    let time = Duration::from_secs(arguments.seconds);
    let most = arguments.cases.unwrap_or(u64::MAX);
    let start = Instant::now();
    let mut cases = 0;
    for (done, name) in names.iter().enumerate() {
        let share = time.saturating_sub(start.elapsed()) / (names.len() - done) as u32;
        let run = match name {
            Name::Decoder => run::<Decoder>,
            Name::Encoder => run::<Encoder>,
            Name::Verdict => run::<Verdicts>,
            Name::ModuleVerdict => run::<ModuleVerdicts>,
            Name::Sequence => run::<Sequence>,
            Name::Calldata => run::<Calldata>,
            Name::BundledCalldata => run::<BundledCalldata>,
            Name::UserOperation => run::<UserOperations>,
            Name::Inspect => run::<Inspections>,
            Name::Plan => run::<Plans>,
            Name::Covers => run::<Coverages>,
        };
        cases += run(seed, plugin.as_ref(), share, most)?;
    }
    let elapsed = start.elapsed().as_secs();
    println!("{cases} cases in all, in {elapsed} seconds");
    if let Some(least) = arguments.at_least {
        ensure!(cases >= least, "fewer than {least} cases");
    }
    Ok(())
}

fn run<P: Property>(
    seed: u64,
    plugin: Option<&OtherPlugin>,
    share: Duration,
    most: u64,
) -> eyre::Result<u64> {
    // The chain is set up before the first question for more.
    let mut start = None;
    let (seeded, outcomes) = run_seeds::<P>(seed, plugin, |cases| {
        let start = *start.get_or_insert_with(Instant::now);
        cases < most && start.elapsed() < share
    })?;
    report::<P>(
        seeded,
        &outcomes,
        start.map_or(Duration::ZERO, |start| start.elapsed()),
    );
    Ok(seeded.cases)
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
