//! The chain as a node: shared, and behind an `alloy` provider.

use crate::{Chain, ChainConfig};
use alloy::{
    network::EthereumWallet,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
    },
    signers::local::PrivateKeySigner,
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// A [`Chain`] that many can hold, and that speaks JSON-RPC. Clones are handles on the same chain.
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
}

impl From<Chain> for Testkit {
    fn from(chain: Chain) -> Self {
        Self {
            chain: Arc::new(Mutex::new(chain)),
        }
    }
}

impl Testkit {
    /// A new chain; see [`Chain::new`].
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        Chain::new(config).into()
    }

    /// Direct access to the chain. It answers nobody else while the guard lives: drop the guard before awaiting a
    /// provider of the same chain.
    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        // A panic elsewhere leaves the chain whole: it changes state only after the EVM is done.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The JSON-RPC transport, for `alloy`'s [`RpcClient`].
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport {
            testkit: self.clone(),
        }
    }

    /// A JSON-RPC client. It polls every millisecond, because everything has happened already when it asks.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        RpcClient::new(self.transport(), true).with_poll_interval(Duration::from_millis(1))
    }

    /// A provider: everything that works on a live node works on it.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().connect_client(self.client()).erased()
    }

    /// A provider that signs the transactions sent through it.
    #[must_use]
    pub fn provider_with_signer(&self, signer: PrivateKeySigner) -> DynProvider {
        let wallet = EthereumWallet::from(signer);
        ProviderBuilder::new()
            .wallet(wallet)
            .connect_client(self.client())
            .erased()
    }
}

/// JSON-RPC to a [`Testkit`], without a socket: a [`tower::Service`] that `alloy` takes as a transport.
#[derive(Clone)]
pub struct Transport {
    testkit: Testkit,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl tower::Service<RequestPacket> for Transport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let testkit = self.testkit.clone();
        // Lazy, so that a request that is never awaited is never made.
        Box::pin(async move {
            let mut chain = testkit.chain();
            match packet {
                RequestPacket::Single(request) => Ok(ResponsePacket::Single(chain.respond(&request))),
                RequestPacket::Batch(requests) if requests.is_empty() => {
                    Err(TransportErrorKind::custom_str("empty batch"))
                }
                RequestPacket::Batch(requests) => Ok(ResponsePacket::Batch(
                    requests.iter().map(|request| chain.respond(request)).collect(),
                )),
            }
        })
    }
}
