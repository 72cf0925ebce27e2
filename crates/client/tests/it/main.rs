//! Integration tests of the client.

mod examples;
mod fixture;
mod golden;
mod session_keys;
mod submission;
