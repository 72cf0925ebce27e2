#![doc = include_str!("../README.md")]

mod agent;
mod error;
pub mod ledger;
mod request;
pub mod store;

pub use agent::{Agent, Preflight, Sharing, WindowUse};
pub use error::{AgentError, Refusal};
pub use request::{ADMITTED, Admitted, Request, Ticket};
pub use session_key_client as client;
pub use session_key_client::permissions::agent_rules as rules;
