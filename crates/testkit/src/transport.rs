//! JSON-RPC without a socket: what `alloy` takes as a transport.

use crate::rpc::ErrorAnswer;
use alloy::{
    network::EthereumWallet,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest},
    },
    signers::local::PrivateKeySigner,
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::value::RawValue;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// A request, as far as it matters for the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a RawValue>,
}

/// What answers JSON-RPC.
pub(crate) trait Endpoint: Send + Sync {
    /// Answers requests in order, none of anybody else in between.
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>>;
}

/// JSON-RPC to a [`Testkit`](crate::Testkit) or a [`Node`](crate::Node), without a socket: a
/// [`tower::Service`] that `alloy` takes as a transport.
#[derive(Clone)]
pub struct Transport {
    endpoint: Arc<dyn Endpoint>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    pub(crate) fn new(endpoint: impl Endpoint + 'static) -> Self {
        Self {
            endpoint: Arc::new(endpoint),
        }
    }

    /// Polls every millisecond, because what can happen has happened already when it asks.
    pub(crate) fn client(self) -> RpcClient {
        RpcClient::new(self, true).with_poll_interval(Duration::from_millis(1))
    }

    pub(crate) fn provider(self) -> DynProvider {
        ProviderBuilder::new().connect_client(self.client()).erased()
    }

    pub(crate) fn provider_with_signer(self, signer: PrivateKeySigner) -> DynProvider {
        let wallet = EthereumWallet::from(signer);
        ProviderBuilder::new()
            .wallet(wallet)
            .connect_client(self.client())
            .erased()
    }

    fn respond(&self, requests: &[SerializedRequest]) -> Vec<Response> {
        let asked: Vec<Request<'_>> = requests
            .iter()
            .map(|request| Request {
                method: request.method(),
                params: request.params(),
            })
            .collect();
        let answers = self.endpoint.answer(&asked);
        requests
            .iter()
            .zip(answers)
            .map(|(request, answer)| Response {
                id: request.id().clone(),
                payload: match answer {
                    Ok(result) => ResponsePayload::Success(result),
                    Err(error) => ResponsePayload::Failure(error.into()),
                },
            })
            .collect()
    }
}

impl Endpoint for Transport {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        self.endpoint.answer(requests)
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
        let transport = self.clone();
        // Lazy, so that a request that is never awaited is never made.
        Box::pin(async move {
            match packet {
                RequestPacket::Single(request) => transport
                    .respond(std::slice::from_ref(&request))
                    .pop()
                    .map(ResponsePacket::Single)
                    .ok_or_else(|| TransportErrorKind::custom_str("no answer")),
                RequestPacket::Batch(requests) if requests.is_empty() => {
                    Err(TransportErrorKind::custom_str("empty batch"))
                }
                RequestPacket::Batch(requests) => Ok(ResponsePacket::Batch(transport.respond(&requests))),
            }
        })
    }
}
