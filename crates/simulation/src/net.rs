//! Messages between client processes and those whom they ask: in the process, without sockets, and never to
//! be relied on.
//!
//! # Why not turmoil or madsim
//!
//! Both run several hosts on one thread with a clock of their own, which here is two lines of `tokio` (a
//! runtime with one thread and paused time). What they add are simulated sockets: turmoil as types to be put
//! in place of `tokio::net`, madsim by replacing `tokio` itself under a compiler flag. The client has no
//! sockets. It speaks through `alloy`'s transports, which are services from a request to an answer, and what
//! goes wrong in the field goes wrong with requests and answers: an answer of another node, an error said by
//! somebody who did what was asked. Such faults would have to be written on top of either in the same way,
//! with an HTTP server and client between that slow every history down and say nothing about the client.

use crate::{
    dice::Dice,
    fault::Fault,
    hostile,
    prepared::CHAIN_ID,
    spot::{Actor, Spot, Step},
    words::{API_KEY, Body, FIELD_ERRORS},
    world::{World, short},
};
use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::Decodable2718,
    primitives::{B256, Bytes, hex},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest},
    },
    sol_types::SolCall,
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::{Value, json, value::to_raw_value};
use session_key_bindings::{IEntryPoint, IEntryPointV07};
use session_key_client::{RequestError, UserOperation, permissions::EntryPointVersion};
use std::{
    fmt,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    sync::oneshot,
    time::{Duration, sleep, timeout},
};
use tower::Service;

/// How long a transport waits for an answer: as the client's own does.
const PATIENCE: Duration = Duration::from_secs(30);

/// For whom and for what the code that runs now runs.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// The wish and the attempt; `None`: whatever is open.
    pub(crate) wish: Option<(u8, u32)>,
    /// Whether something was sent.
    has_sent: Arc<std::sync::atomic::AtomicBool>,
}

impl Purpose {
    pub(crate) fn new(wish: Option<(u8, u32)>) -> Self {
        Self {
            wish,
            has_sent: Arc::default(),
        }
    }

    pub(crate) fn note_sent(&self) {
        self.has_sent.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    fn has_sent(&self) -> bool {
        self.has_sent.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The purpose of what runs now.
    pub(crate) fn current() -> Option<Self> {
        PURPOSE.try_with(Clone::clone).ok()
    }

    /// Runs a future for this purpose.
    pub(crate) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        PURPOSE.scope(self, future)
    }
}

tokio::task_local! {
    static PURPOSE: Purpose;
}

/// A transport from a process to a node or a bundler.
#[derive(Clone)]
pub(crate) struct Wire {
    world: Arc<World>,
    from: Actor,
    to: Actor,
    /// Whether nothing goes wrong here.
    is_reliable: bool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({} to {})", self.from, self.to)
    }
}

impl Wire {
    pub(crate) const fn new(world: Arc<World>, from: Actor, to: Actor) -> Self {
        Self {
            world,
            from,
            to,
            is_reliable: false,
        }
    }

    /// One on which nothing goes wrong.
    pub(crate) const fn reliable(world: Arc<World>, from: Actor, to: Actor) -> Self {
        Self {
            world,
            from,
            to,
            is_reliable: true,
        }
    }

    /// A provider over it, which fills nothing in.
    pub(crate) fn provider(self) -> DynProvider {
        ProviderBuilder::<_, _, alloy::network::Ethereum>::default()
            .connect_client(RpcClient::new(self, true))
            .erased()
    }

    /// Notes what a process sends to a bundler.
    fn note_sending(&self, request: &SerializedRequest) {
        let Actor::Process(process) = self.from else {
            return;
        };
        let operation = || {
            let first = params_of(request).into_iter().next()?;
            serde_json::from_value::<UserOperation>(first).ok()
        };
        let is_for_nobody = Purpose::current().is_none_or(|purpose| purpose.wish.is_none());
        match request.method() {
            "eth_estimateUserOperationGas" => {
                if let Some(operation) = operation() {
                    let mut state = self.world.state();
                    state.ledger.asked_for_estimate(process, &operation);
                }
            }
            "eth_sendUserOperation" if is_for_nobody => {
                if let Some(operation) = operation() {
                    let hash = operation.hash(self.world.prepared.stack.entry_point, CHAIN_ID);
                    let now = self.world.now();
                    self.world.state().ledger.sent_for_nobody(hash, now);
                }
            }
            _ => {}
        }
    }

    async fn exchange(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let Self { world, from, to, .. } = self.clone();
        let Some(request) = packet.requests().first() else {
            return Err(TransportErrorKind::custom_str("empty batch"));
        };
        let step = step_of(request);
        if self.is_reliable {
            return read(serve(&world, to, None, &packet).await, &packet);
        }
        self.note_sending(request);
        let (spot, fault) = world.fate(from, to, step);
        let mut dice = world.dice(&[0x1a7e, from.number(), to.number(), step as u64, spot.nth.into()]);
        let slowest = *dice.pick(&[3, 3, 12, 60]);
        let (there, back) = (dice.between(0, slowest), dice.between(1, slowest));
        match fault {
            Some(Fault::NotReached) => {
                sleep(Duration::from_millis(there)).await;
                return Err(TransportErrorKind::custom(RequestError::NotReached {
                    message: "connection refused".to_owned(),
                }));
            }
            Some(Fault::Lost { reset: true }) => {
                sleep(Duration::from_millis(there)).await;
                return Err(lost());
            }
            Some(Fault::Lost { reset: false }) => {
                sleep(PATIENCE).await;
                return Err(TransportErrorKind::custom_str("operation timed out"));
            }
            _ => {}
        }
        // On its way, whatever becomes of who sent it.
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            sleep(Duration::from_millis(there)).await;
            if let Some(Fault::Late { millis }) = fault {
                sleep(Duration::from_millis(millis.into())).await;
            }
            let reply = deliver(&world, to, spot, fault, packet).await;
            sleep(Duration::from_millis(back)).await;
            if let Some(Fault::AnswerLate { millis }) = fault {
                sleep(Duration::from_millis(millis.into())).await;
            }
            if let Some(Fault::AnswerLost { reset: false }) = fault {
                sleep(PATIENCE).await;
            }
            // Whoever asked may be gone.
            let _ = answer.send(reply);
        });
        match timeout(PATIENCE, answered).await {
            Ok(Ok((reply, packet))) => read(reply, &packet),
            _ => Err(TransportErrorKind::custom_str("operation timed out")),
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
        Box::pin(self.clone().exchange(packet))
    }
}

fn lost() -> TransportError {
    // As HTTP clients word it, URL included.
    TransportErrorKind::custom_str(&format!(
        "error sending request for url (https://node.example/v2/{API_KEY}): connection closed before message completed"
    ))
}

// ---- Requests

fn params_of(request: &SerializedRequest) -> Vec<Value> {
    request
        .params()
        .and_then(|params| serde_json::from_str(params.get()).ok())
        .unwrap_or_default()
}

fn step_of(request: &SerializedRequest) -> Step {
    let purpose = Purpose::current();
    let has_sent = purpose.as_ref().is_some_and(Purpose::has_sent);
    let is_resuming = purpose.as_ref().is_none_or(|purpose| purpose.wish.is_none());
    let params = || request.params().map_or("", |params| params.get());
    match request.method() {
        "eth_sendUserOperation" | "eth_sendRawTransaction" => {
            if let Some(purpose) = purpose {
                purpose.note_sent();
            }
            Step::Send
        }
        _ if is_resuming => Step::Resume,
        "eth_chainId" => Step::ChainId,
        "eth_getBlockByNumber" => {
            let params = params();
            if params.contains("latest") {
                if has_sent { Step::Look } else { Step::ReadHead }
            } else if params.contains("finalized") {
                Step::Finality
            } else {
                Step::Header
            }
        }
        "eth_call" => {
            // getNonce(address,uint192)
            if params().contains("0x35567e1a") {
                if has_sent { Step::Look } else { Step::ReadNonce }
            } else {
                Step::ReadState
            }
        }
        "eth_feeHistory"
        | "eth_maxPriorityFeePerGas"
        | "eth_gasPrice"
        | "pimlico_getUserOperationGasPrice"
        | "rundler_maxPriorityFeePerGas" => Step::Fees,
        "eth_estimateUserOperationGas" | "eth_estimateGas" => Step::Estimate,
        "eth_getUserOperationReceipt" | "eth_getUserOperationByHash" | "eth_getTransactionByHash" => {
            Step::Hint
        }
        "eth_getTransactionReceipt" => Step::Receipt,
        "eth_getLogs" => Step::Logs,
        _ => Step::ReadState,
    }
}

/// Signed operations that a request shows to whoever gets it.
fn operations_in(world: &World, method: &str, params: &[Value]) -> Vec<B256> {
    let entry_point = world.prepared.stack.entry_point;
    let of_input = |input: &[u8]| {
        let operations: Vec<UserOperation> = if world.prepared.is_v08() {
            let call = IEntryPointV07::handleOpsCall::abi_decode(input).ok();
            let operations = call.into_iter().flat_map(|call| call.ops);
            operations
                .map(|operation| UserOperation::from_packed(operation, EntryPointVersion::V07))
                .collect()
        } else {
            let call = IEntryPoint::handleOpsCall::abi_decode(input).ok();
            call.into_iter()
                .flat_map(|call| call.ops)
                .map(Into::into)
                .collect()
        };
        let hashes = operations
            .iter()
            .map(|operation| operation.hash(entry_point, CHAIN_ID));
        hashes.collect::<Vec<_>>()
    };
    let bytes = |value: &Value| serde_json::from_value::<Bytes>(value.clone()).unwrap_or_default();
    match (method, params.first()) {
        ("eth_sendUserOperation", Some(operation)) => {
            serde_json::from_value::<UserOperation>(operation.clone())
                .map(|operation| vec![operation.hash(entry_point, CHAIN_ID)])
                .unwrap_or_default()
        }
        ("eth_sendRawTransaction", Some(raw)) => {
            let raw = bytes(raw);
            match TxEnvelope::decode_2718(&mut raw.as_ref()) {
                Ok(transaction) => {
                    let found = of_input(transaction.input());
                    world.check_transaction(&transaction, found.len());
                    world.state().transactions.insert(*transaction.tx_hash(), raw);
                    found
                }
                Err(_) => Vec::new(),
            }
        }
        ("eth_call", Some(call)) => {
            // handleOps(...)
            let input = call
                .get("input")
                .or_else(|| call.get("data"))
                .unwrap_or(&Value::Null);
            if input
                .as_str()
                .is_some_and(|input| input.starts_with("0x1fad948c"))
            {
                of_input(&bytes(input))
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

// ---- Answers

/// What comes back.
#[derive(Debug)]
enum Reply {
    Packet(ResponsePacket),
    Http {
        status: u16,
        retry_after: Option<u64>,
        body: String,
    },
    Reset,
}

/// What a reply means to the client: the same classes as over HTTP.
fn read(reply: Reply, packet: &RequestPacket) -> Result<ResponsePacket, TransportError> {
    match reply {
        Reply::Packet(packet) => Ok(packet),
        Reply::Reset => Err(lost()),
        Reply::Http {
            status,
            retry_after,
            body,
        } if !(200..300).contains(&status) => Err(match retry_after {
            Some(seconds) => TransportErrorKind::http_error_with_retry_after(
                status,
                body,
                Some(Duration::from_secs(seconds)),
            ),
            None => TransportErrorKind::http_error(status, body),
        }),
        Reply::Http { body, .. } => match serde_json::from_str::<Response>(&body) {
            Ok(response)
                if packet
                    .requests()
                    .iter()
                    .any(|request| *request.id() == response.id) =>
            {
                Ok(ResponsePacket::Single(response))
            }
            Ok(_) => Err(TransportErrorKind::custom_str("the answer is to another request")),
            Err(error) => Err(TransportError::deser_err(error, body)),
        },
    }
}

/// Acts on a request, or not, and makes the answer that comes back.
async fn deliver(
    world: &Arc<World>,
    to: Actor,
    spot: Spot,
    fault: Option<Fault>,
    packet: RequestPacket,
) -> (Reply, RequestPacket) {
    if let Actor::Bundler(bundler) = to
        && world.now() < world.state().away_until[usize::from(bundler)]
    {
        let reply = Reply::Http {
            status: 503,
            retry_after: None,
            body: "Service Unavailable".to_owned(),
        };
        return (reply, packet);
    }
    let reply = match fault {
        Some(Fault::AnswerLost { .. }) => {
            serve(world, to, None, &packet).await;
            Reply::Reset
        }
        Some(Fault::Twice { millis }) => {
            let reply = serve(world, to, None, &packet).await;
            let (world, packet) = (world.clone(), packet.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(millis.into())).await;
                serve(&world, to, None, &packet).await;
            });
            reply
        }
        Some(Fault::OtherView { node }) => serve(world, to, Some(node), &packet).await,
        Some(Fault::Cut { per_mille }) => {
            let reply = serve(world, to, None, &packet).await;
            let text = text_of(reply);
            let kept = text.len() * usize::from(per_mille) / 1_000;
            Reply::Http {
                status: 200,
                retry_after: None,
                body: text.chars().take(kept).collect(),
            }
        }
        Some(Fault::Said { index, acted }) => {
            if acted {
                serve(world, to, None, &packet).await;
            }
            said(usize::from(index), &packet)
        }
        Some(Fault::Reformed { form }) => reformed(serve(world, to, None, &packet).await, form),
        Some(Fault::Hostile { seed }) => {
            let honest = text_of(serve(world, to, None, &packet).await);
            let mut dice = Dice::keyed(u64::from(seed), &[0x4057]);
            if dice.chance(30) {
                sleep(PATIENCE).await;
            }
            Reply::Http {
                status: *dice.pick(&[200, 200, 200, 200, 200, 400, 500]),
                retry_after: None,
                body: hostile::answer(&mut dice, &honest),
            }
        }
        Some(Fault::Lie { lie }) => crate::lies::lie(world, to, spot, lie, &packet)
            .await
            .map_or(Reply::Reset, |response| {
                Reply::Packet(ResponsePacket::Single(response))
            }),
        _ => serve(world, to, None, &packet).await,
    };
    (reply, packet)
}

/// The honest answer of a node or a bundler.
async fn serve(world: &Arc<World>, to: Actor, view: Option<u8>, packet: &RequestPacket) -> Reply {
    for request in packet.requests() {
        let is_interesting = matches!(
            request.method(),
            "eth_sendUserOperation" | "eth_sendRawTransaction" | "eth_call"
        );
        if is_interesting {
            let params = params_of(request);
            for hash in operations_in(world, request.method(), &params) {
                world.arrived(hash);
            }
        }
    }
    let reply = match to {
        Actor::Node(node) => {
            let node = view.unwrap_or(node);
            match world.node(node).call(packet.clone()).await {
                Ok(answer) => {
                    gossip(world, packet);
                    tell_of_transactions(world, packet, &answer);
                    Reply::Packet(answer)
                }
                Err(_) => Reply::Reset,
            }
        }
        Actor::Bundler(bundler) => {
            let answer = match world.bundlers.get(usize::from(bundler)) {
                Some(bundler) => bundler.answer(packet).await,
                None => None,
            };
            answer.map_or(Reply::Reset, Reply::Packet)
        }
        _ => Reply::Reset,
    };
    if let Reply::Packet(answer) = &reply {
        check_refusal(world, packet, answer);
    }
    reply
}

/// The EntryPoint's codes for what only the client can get wrong: signatures and gas limits.
const UNFIT: [&str; 6] = ["AA24", "AA26", "AA40", "AA41", "AA94", "AA95"];

/// Notes what is refused, and checks that it is not refused for what its client has made of it.
fn check_refusal(world: &World, packet: &RequestPacket, answer: &ResponsePacket) {
    let (RequestPacket::Single(request), ResponsePacket::Single(response)) = (packet, answer) else {
        return;
    };
    let (method, ResponsePayload::Failure(error)) = (request.method(), &response.payload) else {
        return;
    };
    if !matches!(method, "eth_sendUserOperation" | "eth_call") {
        return;
    }
    for hash in operations_in(world, method, &params_of(request)) {
        world.refused(hash);
    }
    let data = error.data.as_ref().map_or("", |data| data.get());
    let has = |code: &&str| error.message.contains(*code) || data.contains(&hex::encode(code));
    if let Some(code) = UNFIT.into_iter().find(has) {
        for hash in operations_in(world, method, &params_of(request)) {
            world.check_fit(hash, code);
        }
    }
}

/// A JSON-RPC error: code and words.
pub(crate) type Refusal = (i64, String);

/// An answer to a request.
pub(crate) fn respond(request: &SerializedRequest, answer: Result<Value, Refusal>) -> Response {
    Response {
        id: request.id().clone(),
        payload: match answer {
            Ok(result) => ResponsePayload::Success(raw(&result)),
            Err((code, message)) => ResponsePayload::Failure(alloy::rpc::json_rpc::ErrorPayload {
                code,
                message: message.into(),
                data: None,
            }),
        },
    }
}

fn raw(value: &Value) -> Box<serde_json::value::RawValue> {
    to_raw_value(value).expect("a JSON value is JSON")
}

/// What is sent to a node on a branch that loses goes to the others, too.
fn gossip(world: &World, packet: &RequestPacket) {
    for request in packet.requests() {
        if request.method() == "eth_sendRawTransaction"
            && let Some(raw) = params_of(request).first()
            && let Ok(raw) = serde_json::from_value::<Bytes>(raw.clone())
        {
            let _ = world.main.chain().submit_raw(&raw);
        }
    }
}

/// Tells what a node said of a transaction.
fn tell_of_transactions(world: &World, packet: &RequestPacket, answer: &ResponsePacket) {
    let (RequestPacket::Single(request), ResponsePacket::Single(response)) = (packet, answer) else {
        return;
    };
    if request.method() != "eth_sendRawTransaction" {
        return;
    }
    let transaction = params_of(request)
        .first()
        .and_then(|raw| serde_json::from_value::<Bytes>(raw.clone()).ok())
        .and_then(|raw| TxEnvelope::decode_2718(&mut raw.as_ref()).ok());
    let Some(transaction) = transaction else {
        return;
    };
    let said = match &response.payload {
        ResponsePayload::Success(_) => "is taken".to_owned(),
        ResponsePayload::Failure(error) => format!("is not taken: {}", error.message),
    };
    world.say(format!(
        "  transaction {} (nonce {}) {said}",
        short(*transaction.tx_hash()),
        transaction.nonce()
    ));
}

fn text_of(reply: Reply) -> String {
    match reply {
        Reply::Packet(ResponsePacket::Single(response)) => {
            serde_json::to_string(&response).unwrap_or_default()
        }
        Reply::Packet(ResponsePacket::Batch(responses)) => {
            serde_json::to_string(&responses).unwrap_or_default()
        }
        Reply::Http { body, .. } => body,
        Reply::Reset => String::new(),
    }
}

/// One of the field's errors.
fn said(index: usize, packet: &RequestPacket) -> Reply {
    let Some(error) = FIELD_ERRORS.get(index) else {
        return Reply::Reset;
    };
    let id = packet
        .requests()
        .first()
        .map_or_else(|| json!(null), |request| json!(request.id()));
    let body = match error.body {
        Body::Raw(text) => text.to_owned(),
        Body::Error(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        Body::Result(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
    };
    Reply::Http {
        status: error.status,
        retry_after: error.retry_after,
        body,
    }
}

/// The same answer in another form.
fn reformed(reply: Reply, form: u8) -> Reply {
    let Reply::Packet(ResponsePacket::Single(Response {
        id,
        payload: ResponsePayload::Success(result),
    })) = reply
    else {
        return reply;
    };
    let mut value: Value = serde_json::from_str(result.get()).unwrap_or_default();
    reform(&mut value, form);
    Reply::Packet(ResponsePacket::Single(Response {
        id,
        payload: ResponsePayload::Success(raw(&value)),
    }))
}

fn reform(value: &mut Value, form: u8) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| reform(field, form));
            if form == 3 {
                fields.insert("paymaster".to_owned(), json!(""));
                fields.insert("reason".to_owned(), Value::Null);
                fields.insert("somethingElse".to_owned(), json!([{}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| reform(item, form)),
        Value::Bool(flag) if form < 2 => *value = json!(flag.to_string()),
        Value::String(text) => {
            let number = text
                .strip_prefix("0x")
                .filter(|digits| digits.len() <= 12)
                .and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if let Some(number) = number {
                *value = match form {
                    0 => json!(number.to_string()),
                    1 => json!(number),
                    2 => json!(format!("0x{number:08x}")),
                    _ => return,
                };
            }
        }
        _ => {}
    }
}
