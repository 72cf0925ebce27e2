//! Every example runs to its end.

// They are programs of their own, each with the start that they share.
#![allow(clippy::duplicate_mod, clippy::module_inception)]

#[path = "../../examples/agent_held_key.rs"]
mod agent_held_key;
#[path = "../../examples/batch.rs"]
mod batch;
#[path = "../../examples/bot/main.rs"]
mod bot;
#[path = "../../examples/budget_top_up.rs"]
mod budget_top_up;
#[path = "../../examples/gas_breakdown.rs"]
mod gas_breakdown;
#[path = "../../examples/grant_and_use.rs"]
mod grant_and_use;
#[path = "../../examples/paymaster.rs"]
mod paymaster;
#[path = "../../examples/revoke_without_bundler.rs"]
mod revoke_without_bundler;

#[test]
fn grant_and_use_runs() {
    grant_and_use::main().unwrap();
}

#[test]
fn agent_held_key_runs() {
    agent_held_key::main().unwrap();
}

#[test]
fn budget_top_up_runs() {
    budget_top_up::main().unwrap();
}

#[test]
fn revoke_without_bundler_runs() {
    revoke_without_bundler::main().unwrap();
}

#[test]
fn the_bot_of_the_readme_pays_once_through_a_crash() {
    bot::main().unwrap();
}

#[test]
fn the_readme_shows_the_bot_that_runs() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(include_str!("../../examples/bot/bot.rs")));
}

#[test]
fn batch_runs() {
    batch::main().unwrap();
}

#[test]
fn paymaster_runs() {
    paymaster::main().unwrap();
}

#[test]
fn gas_breakdown_runs() {
    gas_breakdown::main().unwrap();
}
