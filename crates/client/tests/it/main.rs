//! Integration tests of the client.

mod golden;
