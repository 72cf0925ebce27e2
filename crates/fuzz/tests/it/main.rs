//! A modest number of cases of every property, always the same; `PROPTEST_CASES` asks for more, `PROPTEST_RNG_SEED` for others.

mod reproduction;

use session_key_fuzz::{
    Property,
    calldata::{BundledCalldata, Calldata},
    covers::Coverages,
    decoder::Decoder,
    encoder::Encoder,
    inspect::Inspections,
    plan::Plans,
    run_with_regressions,
    sequence::Sequence,
    user_operation::UserOperations,
    verdict::{ModuleVerdicts, Verdicts},
};

/// Runs a property, and insists that it saw this many different outcomes whose names begin so (unless `PROPTEST_CASES` asks for
/// fewer cases than that takes).
fn run<P: Property>(cases: u32, regressions: &'static str, reached: &[(&str, usize)]) {
    let outcomes =
        run_with_regressions::<P>(cases, regressions).unwrap_or_else(|failure| panic!("{failure}"));
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|asked| asked.parse().ok());
    if asked.is_some_and(|asked: u32| asked < cases) {
        return;
    }
    for (prefix, least) in reached {
        let distinct = outcomes.distinct(prefix);
        assert!(
            distinct >= *least,
            "{}: {distinct} outcomes {prefix:?}, not {least}:\n{outcomes}",
            P::NAME
        );
    }
}

macro_rules! regressions {
    ($name:literal) => {
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptest-regressions/",
            $name,
            ".txt"
        )
    };
}

#[test]
fn decoder() {
    run::<Decoder>(1_200, regressions!("decoder"), &[("applied", 8), ("refused", 10)]);
}

#[test]
fn encoder() {
    run::<Encoder>(
        400,
        regressions!("encoder"),
        &[("native limit", 3), ("token limit", 3), ("gas limit", 3)],
    );
}

#[test]
fn calldata() {
    run::<Calldata>(
        2_000,
        regressions!("calldata"),
        &[("accepted", 4), ("refused", 8)],
    );
}

#[test]
fn user_operation() {
    run::<UserOperations>(
        300,
        regressions!("user_operation"),
        &[
            ("hash", 4),
            ("signature: the key's", 1),
            ("signature: another's", 2),
            ("signature: invalid", 3),
        ],
    );
}

#[test]
fn bundled_calldata() {
    run::<BundledCalldata>(
        400,
        regressions!("bundled_calldata"),
        &[("accepted", 3), ("refused", 6)],
    );
}

#[test]
fn verdict() {
    run::<Verdicts>(
        60,
        regressions!("verdict"),
        &[
            ("accepted", 2),
            ("refused in validation", 3),
            ("refused in execution", 1),
            ("broken in validation", 15),
            ("waiting", 2),
        ],
    );
}

#[test]
fn module_verdict() {
    run::<ModuleVerdicts>(
        60,
        regressions!("module_verdict"),
        &[
            ("accepted", 2),
            ("refused in validation", 3),
            ("refused in execution", 1),
            ("broken in validation", 15),
            ("waiting", 2),
        ],
    );
}

#[test]
fn sequence() {
    run::<Sequence>(
        15,
        regressions!("sequence"),
        &[("owner:", 6), ("execution", 3), ("bundle", 4), ("broken", 6)],
    );
}

#[test]
fn inspect() {
    run::<Inspections>(
        25,
        regressions!("inspect"),
        &[("owner:", 6), ("1 keys", 1), ("2 keys", 1)],
    );
}

#[test]
fn plan() {
    run::<Plans>(
        40,
        regressions!("plan"),
        &[
            ("Keep", 1),
            ("Afresh", 1),
            ("Raw", 1),
            ("widens", 1),
            ("narrows", 1),
        ],
    );
}

#[test]
fn covers() {
    run::<Coverages>(
        150,
        regressions!("covers"),
        &[
            ("covered", 1),
            ("call_not_allowed", 1),
            ("limit", 1),
            ("refreshes_later", 1),
        ],
    );
}
