//! Integration tests of the client.

mod fixture;
mod golden;
mod session_keys;
mod submission;
