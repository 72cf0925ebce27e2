//! Integration tests of the client.

mod examples;
mod fixture;
mod golden;
mod interop;
mod session_keys;
mod submission;
