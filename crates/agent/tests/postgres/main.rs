//! Tests against a real PostgreSQL server:
//! `./script/postgres.sh cargo test -p session-key-agent --features server-tests`.

mod agents;
mod server;
mod store;
#[path = "../it/world.rs"]
mod world;
