//! Regressions, and properties of all histories.

use session_key_simulation::{Plan, keep_panics, run};
use std::{fs, path::Path};

#[test]
fn histories_that_failed_once_pass() {
    keep_panics();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut found = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let plan: Plan = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        count += 1;
        for violation in run(&plan, false).violations {
            found.push(format!("{}: {violation}", path.display()));
        }
    }
    assert!(count > 0);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_history_is_reproducible() {
    for seed in 0..6 {
        let plan = Plan::new(seed, false);
        let (first, second) = (run(&plan, false), run(&plan, true));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.faults, second.faults, "seed {seed}");
        assert_eq!(first.counts, second.counts, "seed {seed}");
    }
}

/// A history over agents is one of its seed, too, whether its store is in memory or in a file.
#[test]
fn a_history_over_agents_is_reproducible() {
    let mut files = 0;
    for seed in 0..6 {
        let mut plan = Plan::new(seed, false);
        plan.let_agents_send();
        files += u32::from(plan.stores[0].is_file);
        let (first, second) = (run(&plan, false), run(&plan, true));
        assert_eq!(first.violations, [], "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.counts, second.counts, "seed {seed}");
    }
    assert!((1..6).contains(&files), "{files}");
}

#[test]
fn a_plan_survives_json() {
    for seed in 0..50 {
        let mut plan = Plan::new(seed, seed % 2 == 1);
        if seed % 4 == 0 {
            plan.let_agents_send();
        }
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}

#[test]
fn a_history_has_at_least_three_wishes_two_processes_and_two_faults() {
    for seed in 0..300 {
        let plan = Plan::new(seed, false);
        assert!(plan.wishes.len() >= 3 && plan.processes.len() >= 2, "seed {seed}");
        let with_wishes = |process: u8| plan.wishes.iter().any(|wish| wish.process == process);
        assert!(with_wishes(0) && with_wishes(1), "seed {seed}");
    }
    for seed in 0..6 {
        assert!(
            run(&Plan::new(seed, false), false).misfortunes >= 2,
            "seed {seed}"
        );
    }
}
