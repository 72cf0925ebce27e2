//! Nodes and bundlers behind URLs.

use clap::Args;
use eyre::{Result, eyre};
use session_key_client::{
    Node,
    transport::{ConnectError, HttpTransport},
};
use std::time::Duration;
use tokio::time::timeout;

/// The option that names the node.
pub(crate) const RPC_URL: &str = "--rpc-url";
/// The option that names the bundler.
pub(crate) const BUNDLER_URL: &str = "--bundler-url";

/// The total time limit of a command's requests, as a multiple of the limit of one request.
const QUESTIONS: u32 = 10;

/// Time limits for nodes and bundlers.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TimeLimit {
    /// Time limit of each request, in seconds. Inspecting a chain takes at most ten times as long.
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

impl TimeLimit {
    /// Returns the time limit of a request.
    pub(crate) const fn request(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Limits the total time of a command's requests, even if each one is answered in time.
    pub(crate) async fn all<T>(self, questions: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.request().saturating_mul(QUESTIONS);
        timeout(limit, questions)
            .await
            .unwrap_or_else(|_| Err(NotInTime { limit }.into()))
    }
}

/// The requests took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not done within {} s: see --timeout", limit.as_secs())]
pub(crate) struct NotInTime {
    limit: Duration,
}

/// A node or bundler, and the printable part of its URL.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) node: Node,
    /// Scheme, host and port. The rest may hold an API key.
    pub(crate) origin: String,
}

impl Endpoint {
    /// Connects to the URL given by `option`, without sending a request.
    pub(crate) fn new(option: &str, url: &str, time_limit: TimeLimit) -> Result<Self> {
        let transport = HttpTransport::new(url).map_err(|error| match error {
            ConnectError::NoTls => {
                eyre!("{option}: built without TLS: build with `--features tls` for an https URL")
            }
            error => eyre!("{option}: {error}"),
        })?;
        Ok(Self {
            origin: transport.origin(),
            node: Node::new(transport.timeout(time_limit.request()).provider()),
        })
    }

    /// Returns the node's chain id, if the node answers.
    pub(crate) async fn chain_id(&self) -> Result<u64> {
        let answer = self.node.chain_id().await;
        answer.map_err(|error| {
            eyre::Report::new(error).wrap_err(format!(
                "no Ethereum node answers at {}: check {RPC_URL}",
                self.origin
            ))
        })
    }
}
