//! JSON-RPC without a socket, as an `alloy` transport.

use crate::rpc::{ErrorAnswer, code};
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
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// The parts of a request that determine its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a RawValue>,
}

/// Answers JSON-RPC.
pub(crate) trait Endpoint: Send + Sync {
    /// Answers requests in order, without others in between.
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>>;
}

/// JSON-RPC to a [`Testkit`](crate::Testkit), a [`Node`](crate::Node) or a [`Bundler`](crate::Bundler),
/// without a socket: a [`tower::Service`] that `alloy` takes as a transport.
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

    /// Returns a JSON-RPC client that polls every millisecond, since everything has already happened.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        RpcClient::new(self.clone(), true).with_poll_interval(Duration::from_millis(1))
    }

    /// Returns a provider.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().connect_client(self.client()).erased()
    }

    /// Returns a provider that signs the transactions sent through it.
    #[must_use]
    pub fn provider_with_signer(&self, signer: PrivateKeySigner) -> DynProvider {
        let wallet = EthereumWallet::from(signer);
        ProviderBuilder::new()
            .wallet(wallet)
            .connect_client(self.client())
            .erased()
    }

    /// Returns a transport that answers some requests itself: those for which `answer` returns an answer.
    /// They are not passed on.
    ///
    /// `answer` receives method and parameters of each request once, in order.
    ///
    /// ```
    /// use alloy::providers::Provider;
    /// use session_key_testkit::{ErrorAnswer, Testkit};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut asked = 0;
    /// let busy_at_first = Testkit::default().transport().intercept(move |_, _| {
    ///     asked += 1;
    ///     (asked == 1).then(|| Err(ErrorAnswer::new(-32005, "rate limit exceeded")))
    /// });
    /// let provider = busy_at_first.provider();
    /// assert!(provider.get_chain_id().await.is_err());
    /// assert_eq!(provider.get_chain_id().await?, 31_337);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn intercept(
        &self,
        answer: impl FnMut(&str, &Value) -> Option<Result<Value, ErrorAnswer>> + Send + 'static,
    ) -> Self {
        Self::new(Intercepted {
            inner: self.clone(),
            answer: Mutex::new(answer),
        })
    }

    /// Returns a transport that changes answers; the requests themselves have taken effect by then.
    ///
    /// `change` receives method, parameters and answer of each request, in order.
    ///
    /// ```
    /// use alloy::providers::Provider;
    /// use serde_json::json;
    /// use session_key_testkit::Testkit;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let liar = Testkit::default().transport().rewrite(|method, _, answer| match method {
    ///     "eth_chainId" => Ok(json!("0x1")),
    ///     _ => answer,
    /// });
    /// assert_eq!(liar.provider().get_chain_id().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn rewrite(
        &self,
        change: impl FnMut(&str, &Value, Result<Value, ErrorAnswer>) -> Result<Value, ErrorAnswer>
        + Send
        + 'static,
    ) -> Self {
        Self::new(Rewritten {
            inner: self.clone(),
            change: Mutex::new(change),
        })
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

struct Intercepted<F> {
    inner: Transport,
    answer: Mutex<F>,
}

struct Rewritten<F> {
    inner: Transport,
    change: Mutex<F>,
}

impl Request<'_> {
    /// Returns the parameters; null if there are none.
    fn params(&self) -> Value {
        let params = self.params.map(RawValue::get);
        params
            .and_then(|params| serde_json::from_str(params).ok())
            .unwrap_or_default()
    }
}

fn raw(answer: Result<Value, ErrorAnswer>) -> Result<Box<RawValue>, ErrorAnswer> {
    to_raw_value(&answer?).map_err(|error| ErrorAnswer::new(code::INTERNAL_ERROR, error.to_string()))
}

impl<F> Endpoint for Intercepted<F>
where
    F: FnMut(&str, &Value) -> Option<Result<Value, ErrorAnswer>> + Send,
{
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        let mut own: Vec<_> = {
            let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
            requests
                .iter()
                .map(|request| answer(request.method, &request.params()).map(raw))
                .collect()
        };
        let passed_on: Vec<Request<'_>> = requests
            .iter()
            .zip(&own)
            .filter(|(_, own)| own.is_none())
            .map(|(request, _)| *request)
            .collect();
        let answers = self.inner.answer(&passed_on);
        let open = own.iter_mut().filter(|own| own.is_none());
        for (open, answer) in open.zip(answers) {
            *open = Some(answer);
        }
        own.into_iter().flatten().collect()
    }
}

impl<F> Endpoint for Rewritten<F>
where
    F: FnMut(&str, &Value, Result<Value, ErrorAnswer>) -> Result<Value, ErrorAnswer> + Send,
{
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        let answers = self.inner.answer(requests);
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .iter()
            .zip(answers)
            .map(|(request, answer)| {
                let answer = answer.map(|answer| serde_json::from_str(answer.get()).unwrap_or_default());
                raw(change(request.method, &request.params(), answer))
            })
            .collect()
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
        // Lazy: a request that is never awaited is never made.
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
