#![doc = include_str!("../README.md")]

pub mod bridge;
mod bundles;
pub mod config;
pub mod log;
pub mod mcp;

mod metrics;
mod queue;
mod recover;
pub mod rpc;
mod server;
mod service;
mod token;
mod wallet;
mod words;

pub use bundles::MOST_REMEMBERED;
pub use config::Config;
pub use recover::{RecoverError, Recovered, recover};
pub use server::{MAX_BODY, MOST_CONNECTIONS, PATIENCE, Place, run};
pub use service::{ClientSettings, Service, ServiceSettings, Stopped};
pub use session_key_agent as agent;
pub use token::{Token, TokenHash};
pub use wallet::{LONGEST_ID, MOST_CALLS, MOST_DATA, VERSION};
