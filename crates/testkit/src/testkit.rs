//! The chain as a node: shared, and behind an `alloy` provider.

use crate::{
    Bundler, BundlerOptions, Chain, ChainConfig, Node, NodeOptions,
    rpc::{Desk, ErrorAnswer, Filters},
    transport::{Endpoint, Request, Transport},
};
use alloy::{providers::DynProvider, rpc::client::RpcClient, signers::local::PrivateKeySigner};
use serde_json::value::RawValue;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// A shared [`Chain`] that speaks JSON-RPC. Clones are handles on the same chain.
///
/// ```
/// use alloy::providers::Provider;
/// use session_key_testkit::Testkit;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let testkit = Testkit::default();
/// let provider = testkit.provider();
/// testkit.chain().increase_time(3600);
/// testkit.chain().mine();
/// assert_eq!(provider.get_block_number().await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Testkit {
    chain: Arc<Mutex<Chain>>,
    filters: Arc<Mutex<Filters>>,
}

impl From<Chain> for Testkit {
    fn from(chain: Chain) -> Self {
        Self {
            chain: Arc::new(Mutex::new(chain)),
            filters: Arc::default(),
        }
    }
}

impl Testkit {
    /// Creates a new chain; see [`Chain::new`].
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        Chain::new(config).into()
    }

    /// Locks the chain for direct access. It answers no requests while the guard lives: drop the guard before
    /// awaiting a provider of the same chain.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        // The chain is consistent even after a panic elsewhere: it changes state only after the EVM has
        // finished.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates another node on the same chain, with its own view.
    #[must_use]
    pub fn node(&self, options: NodeOptions) -> Node {
        Node::new(self.clone(), options)
    }

    /// Creates a bundler on the chain, for the EntryPoints on it; see [`BundlerOptions::entry_points`].
    #[must_use]
    pub fn bundler(&self, options: BundlerOptions) -> Bundler {
        Bundler::new(self.clone(), options)
    }

    /// Returns the JSON-RPC transport for `alloy`'s [`RpcClient`].
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    /// Another transport, for which the chain follows the machine's clock: before it answers anything, it
    /// sees to it that the next block is no earlier than the clock says, unless its time is set. A chain that
    /// is ahead of the clock stays ahead.
    #[must_use]
    pub fn by_the_clock(&self, transport: Transport) -> Transport {
        Transport::new(Clocked {
            testkit: self.clone(),
            transport,
        })
    }

    /// Serves HTTP on a port of the loopback interface; see [`Transport::serve`].
    ///
    /// # Errors
    ///
    /// As for [`Transport::serve`].
    #[cfg(feature = "serve")]
    pub fn serve(&self) -> std::io::Result<crate::Server> {
        self.transport().serve()
    }

    /// Returns a JSON-RPC client that polls every millisecond, since everything has already happened.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        self.transport().client()
    }

    /// Returns a provider, with everything that works on a live node.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        self.transport().provider()
    }

    /// Returns a provider that signs the transactions sent through it.
    #[must_use]
    pub fn provider_with_signer(&self, signer: PrivateKeySigner) -> DynProvider {
        self.transport().provider_with_signer(signer)
    }
}

impl Endpoint for Testkit {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chain = self.chain();
        let mut desk = Desk::development(&mut chain, &mut filters);
        requests
            .iter()
            .map(|request| desk.answer(request.method, request.params))
            .collect()
    }
}

/// A transport to a chain that follows the machine's clock.
#[derive(Debug)]
struct Clocked {
    testkit: Testkit,
    transport: Transport,
}

impl Endpoint for Clocked {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.testkit.chain().set_clock(now);
        self.transport.answer(requests)
    }
}
