//! Integration tests of the client.

mod account;
mod bundler;
mod concurrency;
mod contract_owners;
mod deployment;
mod entry_point;
mod examples;
mod fixture;
mod gas_limit;
mod golden;
mod granting;
mod inspect;
mod installation;
mod interop;
mod journal;
mod keystore;
mod lifecycle;
mod loupe;
mod model;
mod mortal;
mod node;
mod overrides;
mod own_process;
mod owners;
mod paymasters;
mod plugins;
mod process;
mod refusals;
mod replacement;
mod round_trips;
mod secrets;
mod sending_bundlers;
mod sending_depth;
mod sending_dropped;
mod sending_gaps;
mod sending_lag;
mod sending_lanes;
mod sending_lost_answers;
mod sending_names;
mod sending_nodes;
mod sending_prices;
mod sending_processes;
mod sending_refusals;
mod sending_revocations;
mod tracing_spans;
mod transport;
mod wire;

/// Of which generation the accounts of the [`fixture`] are: v0.7 here. The test binary `v08` runs many of
/// these tests on v0.8 accounts.
pub(crate) const IS_V08: bool = false;
