//! The client on ERC-6900 v0.8 accounts with EntryPoint v0.7 and the session key module: the tests that
//! hold for both generations (they are in `../it`), and those of v0.8 accounts alone.

// Not here: `sending_lanes`. Session keys on v0.8 accounts have one lane each.
mod account_keys;
mod accounts;
mod changes;
mod deferred;
mod delegation;
mod interop;

macro_rules! both {
    ($($name:ident $path:literal;)*) => {
        $(#[path = $path] mod $name;)*
    };
}

both! {
    concurrency "../it/concurrency.rs";
    entry_point "../it/entry_point.rs";
    gas_limit "../it/gas_limit.rs";
    granting "../it/granting.rs";
    inspect "../it/inspect.rs";
    lifecycle "../it/lifecycle.rs";
    mortal "../it/mortal.rs";
    overrides "../it/overrides.rs";
    paymasters "../it/paymasters.rs";
    process "../it/process.rs";
    refusals "../it/refusals.rs";
    replacement "../it/replacement.rs";
    round_trips "../it/round_trips.rs";
    sending_bundlers "../it/sending_bundlers.rs";
    sending_depth "../it/sending_depth.rs";
    sending_dropped "../it/sending_dropped.rs";
    sending_gaps "../it/sending_gaps.rs";
    sending_lag "../it/sending_lag.rs";
    sending_lost_answers "../it/sending_lost_answers.rs";
    sending_names "../it/sending_names.rs";
    sending_nodes "../it/sending_nodes.rs";
    sending_prices "../it/sending_prices.rs";
    sending_processes "../it/sending_processes.rs";
    sending_refusals "../it/sending_refusals.rs";
    sending_revocations "../it/sending_revocations.rs";
    bundler "../it/bundler.rs";
}

#[path = "../it/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "tests of `../it` that are not here need more of it")]
#[path = "../it/wire.rs"]
mod wire;

/// Of which generation the accounts of the [`fixture`] are.
pub(crate) const IS_V08: bool = true;
