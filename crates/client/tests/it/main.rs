//! Integration tests of the client.

mod account;
mod bundler;
mod concurrency;
mod deployment;
mod entry_point;
mod examples;
mod fixture;
mod gas_limit;
mod golden;
mod interop;
mod keystore;
mod lifecycle;
mod loupe;
mod model;
mod node;
mod overrides;
mod own_process;
mod owners;
mod paymasters;
mod refusals;
mod replacement;
mod round_trips;
mod secrets;
mod tracing_spans;
mod transport;
mod wire;
