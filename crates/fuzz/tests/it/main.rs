//! A modest number of cases of every property on accounts of both generations, always the same;
//! `PROPTEST_CASES` asks for more, `PROPTEST_RNG_SEED` for others.

mod reproduction;

use session_key_fuzz::{
    Generation, Property,
    calldata::{BundledCalldata, Calldata},
    covers::Coverages,
    decoder::Decoder,
    encoder::Encoder,
    inspect::Inspections,
    plan::Plans,
    run_with_regressions,
    sequence::Sequence,
    user_operation::UserOperations,
    verdict::Verdicts,
};

/// Runs a property, and insists that it saw this many different outcomes whose names begin so (unless
/// `PROPTEST_CASES` asks for fewer cases than that takes).
fn run<P: Property>(
    generation: Generation,
    cases: u32,
    regressions: &'static str,
    reached: &[(&str, usize)],
) {
    assert!(P::GENERATIONS.contains(&generation));
    let outcomes = run_with_regressions::<P>(generation, cases, regressions)
        .unwrap_or_else(|failure| panic!("{failure}"));
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
            generation.named(P::NAME)
        );
    }
}

/// Tests of a property, each with the generation, a number of cases, and what they must reach.
macro_rules! tests {
    ($($test:ident: $property:ty, $generation:ident, $cases:literal, $reached:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let name = Generation::$generation.named(<$property>::NAME);
                assert_eq!(name, stringify!($test));
                let regressions = concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/proptest-regressions/",
                    stringify!($test),
                    ".txt"
                );
                run::<$property>(Generation::$generation, $cases, regressions, &$reached);
            }
        )*
    };
}

/// What accounts of both generations must reach.
const DECODER: [(&str, usize); 2] = [("applied", 8), ("refused", 10)];
const ENCODER: [(&str, usize); 3] = [("native limit", 3), ("token limit", 3), ("gas limit", 3)];
const CALLDATA: [(&str, usize); 2] = [("accepted", 4), ("refused", 8)];
const BUNDLED_CALLDATA: [(&str, usize); 2] = [("accepted", 3), ("refused", 6)];
const USER_OPERATION: [(&str, usize); 4] = [
    ("hash", 4),
    ("signature: the key's", 1),
    ("signature: another's", 2),
    ("signature: invalid", 3),
];
const VERDICT: [(&str, usize); 5] = [
    ("accepted", 2),
    ("refused in validation", 3),
    ("refused in execution", 1),
    ("broken in validation", 15),
    ("waiting", 2),
];
const SEQUENCE: [(&str, usize); 4] = [("owner:", 6), ("execution", 3), ("bundle", 4), ("broken", 6)];
const INSPECT: [(&str, usize); 3] = [("owner:", 6), ("1 keys", 1), ("2 keys", 1)];
const PLAN: [(&str, usize); 5] = [
    ("Keep", 1),
    ("Afresh", 1),
    ("Raw", 1),
    ("widens", 1),
    ("narrows", 1),
];
const COVERS: [(&str, usize); 4] = [
    ("covered", 1),
    ("call_not_allowed", 1),
    ("limit", 1),
    ("refreshes_later", 1),
];

tests! {
    decoder: Decoder, V07, 1_200, DECODER;
    decoder_v08: Decoder, V08, 1_200, DECODER;
    encoder: Encoder, V07, 400, ENCODER;
    encoder_v08: Encoder, V08, 400, ENCODER;
    calldata: Calldata, V07, 2_000, CALLDATA;
    calldata_v08: Calldata, V08, 2_000, [
        CALLDATA[0],
        CALLDATA[1],
        ("refused: the session key module as target", 1),
        ("refused: another EntryPoint", 1),
        ("accepted: refused in execution, a target is a module", 1),
    ];
    user_operation: UserOperations, V07, 300, USER_OPERATION;
    user_operation_v08: UserOperations, V08, 300, USER_OPERATION;
    bundled_calldata: BundledCalldata, V07, 400, BUNDLED_CALLDATA;
    bundled_calldata_v08: BundledCalldata, V08, 400, BUNDLED_CALLDATA;
    verdict: Verdicts, V07, 60, VERDICT;
    verdict_v08: Verdicts, V08, 60, VERDICT;
    sequence: Sequence, V07, 15, SEQUENCE;
    sequence_v08: Sequence, V08, 15, SEQUENCE;
    inspect: Inspections, V07, 25, INSPECT;
    inspect_v08: Inspections, V08, 25, INSPECT;
    plan: Plans, V07, 40, PLAN;
    plan_v08: Plans, V08, 40, PLAN;
    covers: Coverages, V07, 150, COVERS;
    covers_v08: Coverages, V08, 150, COVERS;
}
