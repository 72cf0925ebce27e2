//! Integration tests of the client.

mod examples;
mod fixture;
mod golden;
mod interop;
mod model;
mod model_random;
mod session_keys;
mod submission;
