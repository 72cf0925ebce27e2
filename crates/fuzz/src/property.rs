//! What a property is, how its cases are run, and how one that fails is shown.

use crate::{Generation, Outcomes};
use alloy::{hex, primitives::Bytes};
use eyre::WrapErr as _;
use proptest::{
    strategy::{BoxedStrategy, Strategy},
    test_runner::{
        Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRng, TestRunner,
    },
};
use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
};

/// Something that must hold for every case, in Rust and on the chain alike.
pub trait Property: Sized {
    /// What is drawn at random.
    type Case: Clone + fmt::Debug;

    /// Name of the property: of its test, of its file of regressions, and on the command line.
    const NAME: &'static str;

    /// The generations of accounts that it is about.
    const GENERATIONS: &'static [Generation] = &Generation::ALL;

    /// Sets up the chain that all cases start from. `plugin`: the creation code of the session key plugin, or
    /// module, if not that of the bindings.
    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self>;

    /// Draws cases, with a bias to boundaries.
    fn cases(&self) -> BoxedStrategy<Self::Case>;

    /// Checks one case. Leaves nothing behind that another case could see.
    fn check(&mut self, case: &Self::Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError>;
}

/// A session key plugin, or module, that is not that of the bindings.
#[derive(Clone, Debug)]
pub struct OtherPlugin {
    generation: Generation,
    file: PathBuf,
    code: Bytes,
}

impl OtherPlugin {
    /// Reads creation bytecode, in hex, from a file: of the plugin or of the module.
    pub fn read(generation: Generation, file: &Path) -> eyre::Result<Self> {
        let read = || {
            let hex = std::fs::read_to_string(file)?;
            Ok::<_, eyre::Report>(Self {
                generation,
                file: file.canonicalize()?,
                code: hex.trim().parse()?,
            })
        };
        read().wrap_err_with(|| file.display().to_string())
    }

    /// The creation bytecode.
    pub const fn code(&self) -> &Bytes {
        &self.code
    }

    /// The option that asks for it, as a shell's words.
    fn option(&self) -> String {
        let name = match self.generation {
            Generation::V07 => "plugin",
            Generation::V08 => "module",
        };
        format!(" --{name} {}", quoted(&self.file.display().to_string()))
    }
}

/// A word of a shell's command.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A case that breaks a property, as small as it could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the property.
    pub property: &'static str,
    /// The accounts' generation.
    pub generation: Generation,
    /// How it is broken.
    pub reason: String,
    /// The case.
    pub case: String,
    /// A command that fails in the same way.
    pub reproduction: String,
    /// The line that makes it a regression, if it is none yet.
    pub regression: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            property,
            generation,
            reason,
            case,
            reproduction,
            regression,
        } = self;
        write!(
            f,
            "{property}, {}: {reason}\ncase: {case}\nreproduce: {reproduction}",
            generation.name()
        )?;
        match regression {
            Some(line) => {
                let file = generation.named(property);
                write!(f, "\nkeep, in proptest-regressions/{file}.txt: {line}")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs all cases in this file of regressions, then as many others as asked for, or as `PROPTEST_CASES` says.
/// A case that fails is shrunk and its seed is written to the file.
///
/// The cases are the same ones every time, so a test passes or fails by the code and not by luck;
/// `PROPTEST_RNG_SEED` asks for others. [`run_seeds`] is what searches for new failures.
pub fn run_with_regressions<P: Property>(
    generation: Generation,
    cases: u32,
    regressions: &'static str,
) -> eyre::Result<Outcomes> {
    let defaults = Config::default();
    let config = Config {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => defaults.cases,
            None => cases,
        },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        rng_seed: match defaults.rng_seed {
            RngSeed::Random => RngSeed::Fixed(0),
            asked => asked,
        },
        ..defaults
    };
    // Where the file of regressions cannot be written, the case comes up again only with the same settings.
    let settings: String = ["PROPTEST_CASES", "PROPTEST_RNG_SEED"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={} ", quoted(&std::env::var(name).ok()?))))
        .collect();
    let reproduction = format!(
        "{settings}cargo test -p {} {}",
        env!("CARGO_PKG_NAME"),
        generation.named(P::NAME)
    );
    let property = P::prepare(generation, None)?;
    let strategy = property.cases();
    let mut runner = TestRunner::new(config);
    let outcomes = Outcomes::default();
    check_with(property, outcomes, (generation, reproduction, None), |test| {
        runner.run(&strategy, test)
    })
    .map(|(_, outcomes)| outcomes)
}

/// Cases that follow from a seed each: number `n` from seed `first + n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// Seed of the first case.
    pub first: u64,
    /// How many cases there were.
    pub cases: u64,
}

/// Runs cases from consecutive seeds, for as long as `more` says so after so many cases, against the given
/// plugin or module (`None`: that of the bindings). Keeps no regressions.
pub fn run_seeds<P: Property>(
    generation: Generation,
    first: u64,
    plugin: Option<&OtherPlugin>,
    mut more: impl FnMut(u64) -> bool,
) -> eyre::Result<(Seeded, Outcomes)> {
    let mut property = P::prepare(generation, plugin.map(OtherPlugin::code))?;
    let options = plugin.map_or_else(String::new, OtherPlugin::option);
    let strategy = property.cases();
    let mut outcomes = Outcomes::default();
    let mut cases = 0;
    while more(cases) {
        let seed = first.wrapping_add(cases);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let case = strategy
            .new_tree(&mut runner)
            .map_err(|reason| eyre::eyre!("{}: no case from seed {seed}: {reason}", P::NAME))?;
        let reproduction = format!(
            "cargo run --release -p {} -- --property {} --generation {}{options} --seed {seed} --cases 1",
            env!("CARGO_PKG_NAME"),
            P::NAME,
            generation.name()
        );
        let regression = format!("cc {}", hex::encode(bytes));
        (property, outcomes) = check_with(
            property,
            outcomes,
            (generation, reproduction, Some(regression)),
            |test| runner.run_one(case, test).map(drop),
        )?;
        cases += 1;
    }
    Ok((Seeded { first, cases }, outcomes))
}

type Checked<P> = Result<(), TestError<<P as Property>::Case>>;

/// proptest's tests are `Fn`, so the property is in a cell while they run.
fn check_with<P: Property>(
    property: P,
    outcomes: Outcomes,
    (generation, reproduction, regression): (Generation, String, Option<String>),
    run: impl FnOnce(&dyn Fn(P::Case) -> Result<(), TestCaseError>) -> Checked<P>,
) -> eyre::Result<(P, Outcomes)> {
    let state = RefCell::new((property, outcomes));
    let result = run(&|case| {
        let (property, outcomes) = &mut *state.borrow_mut();
        property.check(&case, outcomes)
    });
    match result {
        Ok(()) => Ok(state.into_inner()),
        Err(TestError::Abort(reason)) => Err(eyre::eyre!("{}: {reason}", P::NAME)),
        Err(TestError::Fail(reason, case)) => Err(Failure {
            property: P::NAME,
            generation,
            reason: reason.to_string(),
            case: format!("{case:?}"),
            reproduction,
            regression,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_words_as_they_are() {
        for (word, expected) in [
            ("a/b-c_d.hex", "a/b-c_d.hex"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
