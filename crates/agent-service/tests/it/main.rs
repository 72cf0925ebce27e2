//! The service on an in-process chain, asked over its socket.

#![cfg(unix)]

mod bounds;
mod bundles;
mod load;
mod mcp;
mod stopping;
mod world;
