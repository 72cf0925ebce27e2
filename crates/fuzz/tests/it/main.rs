//! A modest number of random cases of every property; `PROPTEST_CASES` asks for more.

use session_key_fuzz::{
    Property, calldata::Calldata, decoder::Decoder, encoder::Encoder, run_with_regressions,
    user_operation::UserOperations,
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
