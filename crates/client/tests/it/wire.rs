//! What stands between the client and the simulated chain in some tests: a wire that fails, delays, watches,
//! and changes what is asked and answered. It stands in for networks and proxies only: behind it are the
//! testkit's nodes and bundler, which misbehave by their own options.

use crate::fixture::{Fixture, account_at, key};
use serde_json::Value;
use session_key_client::{
    RequestError, SessionKeyClient, SmartAccount,
    alloy::{
        network::EthereumWallet,
        providers::{DynProvider, Provider as _, ProviderBuilder},
        rpc::{
            client::RpcClient,
            json_rpc::{
                ErrorPayload, Request, RequestPacket, Response, ResponsePacket, ResponsePayload,
                SerializedRequest,
            },
        },
        signers::local::PrivateKeySigner,
        transports::{BoxTransport, IntoBoxTransport, TransportError, TransportErrorKind, TransportFut},
    },
    submit::EntryPointSubmitter,
};
use session_key_testkit::dev_accounts;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::Notify;
use tower::Service;

/// A provider over a transport, which signs with `signer` what is sent through it.
pub(crate) fn wallet(transport: impl IntoBoxTransport, signer: PrivateKeySigner) -> DynProvider {
    let client = RpcClient::new(transport, true).with_poll_interval(Duration::from_millis(1));
    ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_client(client)
        .erased()
}

/// A provider over a transport.
pub(crate) fn provider(transport: impl IntoBoxTransport) -> DynProvider {
    ProviderBuilder::new()
        .connect_client(RpcClient::new(transport, true))
        .erased()
}

/// Sends bundles through a transport, from an account that nothing else of the test sends from.
pub(crate) fn submitter_over(fixture: &Fixture, transport: impl IntoBoxTransport) -> EntryPointSubmitter {
    let signer = dev_accounts()[2].signer();
    let from = signer.address();
    EntryPointSubmitter::new(wallet(transport, signer), fixture.stack.entry_point, from)
}

/// The fixture's account, asked through a transport, with a journal of its own.
pub(crate) fn account_over(fixture: &Fixture, transport: impl IntoBoxTransport) -> SmartAccount {
    account_at(
        provider(transport),
        31337,
        fixture.account.address(),
        *fixture.account.deployment(),
    )
}

/// A client of the fixture's first key that asks and sends everything through a transport.
pub(crate) fn client_over(fixture: &Fixture, transport: impl IntoBoxTransport) -> SessionKeyClient {
    let account = account_over(fixture, transport.clone());
    SessionKeyClient::new(account, key(1), submitter_over(fixture, transport))
}

/// A request on a [`Wire`].
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) params: Value,
    /// How many requests of the method came before.
    pub(crate) before: usize,
    /// Target of the `tracing` span that it is sent in; empty for none.
    pub(crate) span: &'static str,
}

type Answer = Result<Value, ErrorPayload>;

/// What a [`Wire`] does with a request, instead of passing it on and its answer back.
#[derive(Clone)]
pub(crate) enum Fault {
    /// It is passed on, and the connection breaks before the answer arrives.
    Break,
    /// It is passed on, and the answer never arrives.
    Hang,
    /// It is passed on, and the answer is this error.
    PassOn(ErrorPayload),
    /// It is passed on, and the answer is this HTTP status with this body.
    PassOnStatus(u16, String),
    /// It is passed on, and this becomes of the answer.
    Change(Arc<dyn Fn(Answer) -> Answer + Send + Sync>),
    /// It is passed on with these parameters.
    Ask(Value),
    /// It is passed on, and the answer takes so long.
    Late(Duration),
    /// It is not passed on, and the connection breaks.
    Lose,
    /// It is not passed on, and there is never an answer.
    Swallow,
    /// It is not passed on, and the answer is this.
    Answer(Answer),
    /// It is not passed on, and the answer is this HTTP status with this body.
    Status(u16, String),
    /// There is no connection, and a transport that is made from a URL says so.
    NotReached,
}

/// An error with a code and a message.
pub(crate) fn error(code: i64, message: impl Into<String>) -> ErrorPayload {
    ErrorPayload {
        code,
        message: message.into().into(),
        data: None,
    }
}

impl Fault {
    /// Not passed on: this error.
    pub(crate) fn refuse(code: i64, message: impl Into<String>) -> Self {
        Self::Answer(Err(error(code, message)))
    }

    /// Passed on, and then this error.
    pub(crate) fn pass_on(code: i64, message: impl Into<String>) -> Self {
        Self::PassOn(error(code, message))
    }

    /// Passed on, and a result changed.
    pub(crate) fn change(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Change(Arc::new(move |answer| {
            answer.map(|mut result| {
                change(&mut result);
                result
            })
        }))
    }
}

type Rule = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

/// A transport that does with each request what the first rule says that applies to it, and otherwise passes
/// it on. It notes all that is asked. Clones are the same wire.
#[derive(Clone)]
pub(crate) struct Wire {
    inner: BoxTransport,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    hanging: Notify,
}

impl Wire {
    pub(crate) fn new(inner: impl IntoBoxTransport) -> Self {
        Self {
            inner: inner.into_box_transport(),
            state: Arc::default(),
        }
    }

    /// Does to requests what the function says. Later rules go before earlier ones.
    pub(crate) fn rule(&self, rule: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        self.state.rules.lock().unwrap().insert(0, Box::new(rule));
    }

    /// Does this to every request of a method.
    pub(crate) fn fault(&self, method: &'static str, fault: Fault) {
        self.rule(move |asked| (asked.method == method).then(|| fault.clone()));
    }

    /// Does this to the next request of a method.
    pub(crate) fn once(&self, method: &'static str, fault: Fault) {
        let mut fault = Some(fault);
        self.rule(move |asked| {
            if asked.method == method {
                fault.take()
            } else {
                None
            }
        });
    }

    /// Passes everything on again.
    pub(crate) fn repair(&self) {
        self.state.rules.lock().unwrap().clear();
    }

    /// Returns once a request waits for an answer that never arrives.
    pub(crate) async fn hangs(&self) {
        self.state.hanging.notified().await;
    }

    /// Everything that was asked, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How often a method was called.
    pub(crate) fn calls(&self, method: &str) -> usize {
        let asked = self.state.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.method == method).count()
    }

    /// Notes the request and answers it.
    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let RequestPacket::Single(request) = packet else {
            return Err(TransportErrorKind::custom_str("no batches"));
        };
        let fault = self.note(&request);
        self.do_to(request, fault).await
    }

    fn note(&self, request: &SerializedRequest) -> Option<Fault> {
        let params = request
            .params()
            .map_or(Value::Null, |params| serde_json::from_str(params.get()).unwrap());
        let method = request.method().to_owned();
        let span = tracing::Span::current();
        let asked = {
            let mut all = self.state.asked.lock().unwrap();
            let asked = Asked {
                before: all.iter().filter(|asked| asked.method == method).count(),
                method,
                params,
                span: span.metadata().map_or("", |span| span.target()),
            };
            all.push(asked.clone());
            asked
        };
        let mut rules = self.state.rules.lock().unwrap();
        rules.iter_mut().find_map(|rule| rule(&asked))
    }

    async fn do_to(
        &mut self,
        request: SerializedRequest,
        fault: Option<Fault>,
    ) -> Result<ResponsePacket, TransportError> {
        let id = request.id().clone();
        let answered = |answer: Answer| {
            let payload = match answer {
                Ok(result) => ResponsePayload::Success(serde_json::value::to_raw_value(&result).unwrap()),
                Err(error) => ResponsePayload::Failure(error),
            };
            Ok(ResponsePacket::Single(Response { id, payload }))
        };
        let broken = || TransportErrorKind::custom_str("the connection broke");
        match fault {
            None => self.inner.call(RequestPacket::Single(request)).await,
            Some(Fault::Break) => {
                let _ = self.inner.call(RequestPacket::Single(request)).await;
                Err(broken())
            }
            Some(Fault::Hang) => {
                let _ = self.inner.call(RequestPacket::Single(request)).await;
                self.state.hanging.notify_one();
                std::future::pending().await
            }
            Some(Fault::PassOn(error)) => {
                let _ = self.inner.call(RequestPacket::Single(request)).await;
                answered(Err(error))
            }
            Some(Fault::PassOnStatus(status, body)) => {
                let _ = self.inner.call(RequestPacket::Single(request)).await;
                Err(TransportErrorKind::http_error(status, body))
            }
            Some(Fault::Change(change)) => {
                let answer = self.inner.call(RequestPacket::Single(request)).await?;
                let ResponsePacket::Single(response) = answer else {
                    return Err(TransportErrorKind::custom_str("a batch"));
                };
                answered(change(match response.payload {
                    ResponsePayload::Success(result) => Ok(serde_json::from_str(result.get()).unwrap()),
                    ResponsePayload::Failure(error) => Err(error),
                }))
            }
            Some(Fault::Ask(params)) => {
                let (meta, _) = request.decompose();
                let request = Request { meta, params }.serialize().unwrap();
                self.inner.call(RequestPacket::Single(request)).await
            }
            Some(Fault::Late(delay)) => {
                let answer = self.inner.call(RequestPacket::Single(request)).await;
                tokio::time::sleep(delay).await;
                answer
            }
            Some(Fault::Lose) => Err(broken()),
            Some(Fault::Swallow) => {
                self.state.hanging.notify_one();
                std::future::pending().await
            }
            Some(Fault::Answer(answer)) => answered(answer),
            Some(Fault::Status(status, body)) => Err(TransportErrorKind::http_error(status, body)),
            Some(Fault::NotReached) => Err(TransportErrorKind::custom(RequestError::NotReached {
                message: "connection refused".to_owned(),
            })),
        }
    }
}

impl Service<RequestPacket> for Wire {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().answer(packet))
    }
}

/// Which node answers a request, by its method and number.
type Pick = Arc<dyn Fn(&str, usize) -> usize + Send + Sync>;

/// Several nodes behind one address: a function of the method and of how many requests came before says which
/// one answers.
#[derive(Clone)]
pub(crate) struct Balanced {
    nodes: Vec<BoxTransport>,
    pick: Pick,
    asked: Arc<AtomicUsize>,
}

impl Balanced {
    pub(crate) fn new(
        nodes: Vec<BoxTransport>,
        pick: impl Fn(&str, usize) -> usize + Send + Sync + 'static,
    ) -> Self {
        Self {
            nodes,
            pick: Arc::new(pick),
            asked: Arc::default(),
        }
    }
}

impl Service<RequestPacket> for Balanced {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let method = packet
            .as_single()
            .map_or("", |request| request.method())
            .to_owned();
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        let node = (self.pick)(&method, before) % self.nodes.len();
        self.nodes[node].call(packet)
    }
}

/// Makes a wire's node word reverts as Nethermind and OpenEthereum did.
pub(crate) fn reword_reverts(wire: &Wire) {
    wire.rule(|_| {
        Some(Fault::Change(Arc::new(|answer| {
            answer.map_err(|error| match error.as_revert_data() {
                Some(data) => ErrorPayload {
                    code: -32015,
                    message: "VM execution error.".into(),
                    data: Some(serde_json::value::to_raw_value(&format!("Reverted {data}")).unwrap()),
                },
                None => error,
            })
        })))
    });
}

/// Makes a wire's node ignore state overrides, as some do.
pub(crate) fn without_overrides(wire: &Wire) {
    wire.rule(|asked| {
        let mut params = asked.params.clone();
        params.as_array_mut()?.truncate(2);
        Some(Fault::Ask(params))
    });
}
