//! What stands between the client and the simulated chain in some tests: a bundler, a wire that counts or fails, a mempool.

use crate::fixture::{Fixture, key};
use session_key_client::{
    SessionKeyClient, SignedOperation, SmartAccount, UserOperation,
    alloy::{
        consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _},
        eips::eip2718::Decodable2718 as _,
        network::EthereumWallet,
        primitives::{Address, B256, Bytes, U64, keccak256},
        providers::{DynProvider, Provider as _, ProviderBuilder},
        rpc::{
            client::RpcClient,
            json_rpc::{
                ErrorPayload, Request, RequestPacket, Response, ResponsePacket, ResponsePayload,
                SerializedRequest,
            },
            types::Transaction,
        },
        signers::local::PrivateKeySigner,
        transports::{BoxTransport, IntoBoxTransport, TransportError, TransportErrorKind, TransportFut},
    },
    submit::{BundlerSubmitter, EntryPointSubmitter, Outcome, SubmitError, Submitter, simulate_gas},
};
use session_key_testkit::{Testkit, dev_accounts};
use std::{
    collections::HashMap,
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

/// A client of the fixture's first key that asks and sends everything through a transport.
pub(crate) fn client_over(fixture: &Fixture, transport: impl IntoBoxTransport) -> SessionKeyClient {
    let account = SmartAccount::new(
        provider(transport.clone()),
        31337,
        fixture.account.address(),
        *fixture.account.deployment(),
    );
    SessionKeyClient::new(account, key(1), submitter_over(fixture, transport))
}

/// Makes a transport of a type with `async fn answer(self, RequestPacket) -> Result<ResponsePacket, TransportError>`.
macro_rules! transport {
    ($name:ident) => {
        impl Service<RequestPacket> for $name {
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
    };
}

fn methods(packet: &RequestPacket) -> Vec<String> {
    let names = packet
        .requests()
        .iter()
        .map(|request| request.method().to_owned());
    names.collect()
}

/// The request of a packet with one.
fn single(packet: RequestPacket) -> Result<SerializedRequest, TransportError> {
    match packet {
        RequestPacket::Single(request) => Ok(request),
        RequestPacket::Batch(_) => Err(TransportErrorKind::custom_str("no batches")),
    }
}

fn success(request: &SerializedRequest, value: impl serde::Serialize) -> ResponsePacket {
    let value = serde_json::value::to_raw_value(&value).unwrap();
    ResponsePacket::Single(Response {
        id: request.id().clone(),
        payload: ResponsePayload::Success(value),
    })
}

fn failure(request: &SerializedRequest, code: i64, message: String) -> ResponsePacket {
    ResponsePacket::Single(Response {
        id: request.id().clone(),
        payload: ResponsePayload::Failure(ErrorPayload {
            code,
            message: message.into(),
            data: None,
        }),
    })
}

/// Counts the round trips that follow each other: requests in flight at the same time count as one.
#[derive(Clone, Default)]
pub(crate) struct Count {
    in_flight: Arc<AtomicUsize>,
    rounds: Arc<AtomicUsize>,
    methods: Arc<Mutex<Vec<String>>>,
}

impl Count {
    /// Counts what goes through this transport, too.
    pub(crate) fn of(&self, inner: impl IntoBoxTransport) -> Counting {
        Counting {
            inner: inner.into_box_transport(),
            count: self.clone(),
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.load(Ordering::SeqCst)
    }

    /// Every request, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.methods.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct Counting {
    inner: BoxTransport,
    count: Count,
}

transport!(Counting);

impl Counting {
    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        if self.count.in_flight.fetch_add(1, Ordering::SeqCst) == 0 {
            self.count.rounds.fetch_add(1, Ordering::SeqCst);
        }
        self.count.methods.lock().unwrap().extend(methods(&packet));
        // Long enough for everything that is sent at once to be in flight.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let response = self.inner.call(packet).await;
        self.count.in_flight.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

/// Notes the `tracing` span that every request is sent in: the target of the innermost.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    requests: Arc<Mutex<Vec<(String, &'static str)>>>,
}

impl Watched {
    pub(crate) fn over(&self, inner: impl IntoBoxTransport) -> Watching {
        Watching {
            inner: inner.into_box_transport(),
            watched: self.clone(),
        }
    }

    /// Every request's method, and the target of its span; empty for none.
    pub(crate) fn requests(&self) -> Vec<(String, &'static str)> {
        self.requests.lock().unwrap().clone()
    }
}

#[derive(Clone)]
pub(crate) struct Watching {
    inner: BoxTransport,
    watched: Watched,
}

transport!(Watching);

impl Watching {
    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let span = tracing::Span::current();
        let target = span.metadata().map_or("", |span| span.target());
        let names = methods(&packet).into_iter().map(|name| (name, target));
        self.watched.requests.lock().unwrap().extend(names);
        self.inner.call(packet).await
    }
}

/// What a [`Faulty`] wire does with a request that it has passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the answer arrives.
    Break,
    /// The answer never arrives.
    Hang,
}

/// A wire that passes every request on, and loses the answers to those of one method.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: BoxTransport,
    faults: Arc<Mutex<HashMap<&'static str, Fault>>>,
    hanging: Arc<Notify>,
}

impl Faulty {
    pub(crate) fn new(inner: impl IntoBoxTransport) -> Self {
        Self {
            inner: inner.into_box_transport(),
            faults: Arc::default(),
            hanging: Arc::default(),
        }
    }

    pub(crate) fn lose_answers_to(&self, method: &'static str, fault: Fault) {
        self.faults.lock().unwrap().insert(method, fault);
    }

    /// Returns once a request waits for an answer that never arrives.
    pub(crate) async fn hangs(&self) {
        self.hanging.notified().await;
    }

    pub(crate) fn repair(&self) {
        self.faults.lock().unwrap().clear();
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let names = methods(&packet);
        let fault = |faults: &HashMap<&'static str, Fault>| {
            names.iter().find_map(|name| faults.get(name.as_str()).copied())
        };
        let fault = fault(&self.faults.lock().unwrap());
        let response = self.inner.call(packet).await;
        match fault {
            None => response,
            Some(Fault::Break) => Err(TransportErrorKind::custom_str("the connection broke")),
            Some(Fault::Hang) => {
                self.hanging.notify_one();
                std::future::pending().await
            }
        }
    }
}

transport!(Faulty);

type Fails = dyn Fn(&str, &str, usize) -> bool + Send + Sync;

/// Passes requests on, except for those that it answers with an error of its own.
#[derive(Clone)]
pub(crate) struct Failing {
    inner: BoxTransport,
    fails: Arc<Fails>,
    says: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Failing {
    /// `fails` gets the method and the parameters of a request, and how many there were of the method before.
    pub(crate) fn new(
        inner: impl IntoBoxTransport,
        fails: impl Fn(&str, &str, usize) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: inner.into_box_transport(),
            fails: Arc::new(fails),
            says: "the test says no",
            seen: Arc::default(),
        }
    }

    /// The message of the errors.
    pub(crate) fn saying(mut self, message: &'static str) -> Self {
        self.says = message;
        self
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = single(packet)?;
        let method = request.method().to_owned();
        let params = request.params().map_or("", |params| params.get());
        let before = {
            let mut seen = self.seen.lock().unwrap();
            let before = seen.iter().filter(|name| **name == method).count();
            seen.push(method.clone());
            before
        };
        if (self.fails)(&method, params, before) {
            return Ok(failure(&request, -32000, self.says.to_owned()));
        }
        self.inner.call(RequestPacket::Single(request)).await
    }
}

transport!(Failing);

/// A node that words reverts as Nethermind and OpenEthereum did.
#[derive(Clone)]
pub(crate) struct Rewording {
    inner: BoxTransport,
}

impl Rewording {
    pub(crate) fn new(inner: impl IntoBoxTransport) -> Self {
        Self {
            inner: inner.into_box_transport(),
        }
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut response = self.inner.call(packet).await?;
        if let ResponsePacket::Single(Response {
            payload: ResponsePayload::Failure(error),
            ..
        }) = &mut response
            && let Some(data) = error.as_revert_data()
        {
            let data = serde_json::value::to_raw_value(&format!("Reverted {data}")).unwrap();
            *error = ErrorPayload {
                code: -32015,
                message: "VM execution error.".into(),
                data: Some(data),
            };
        }
        Ok(response)
    }
}

transport!(Rewording);

/// A node that ignores state overrides, as some do.
#[derive(Clone)]
pub(crate) struct WithoutOverrides {
    inner: BoxTransport,
}

impl WithoutOverrides {
    pub(crate) fn new(inner: impl IntoBoxTransport) -> Self {
        Self {
            inner: inner.into_box_transport(),
        }
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = single(packet)?;
        let params = request.params().map_or("[]", |params| params.get());
        let mut params: Vec<serde_json::Value> = serde_json::from_str(params).unwrap();
        params.truncate(2);
        let (meta, _) = request.decompose();
        let request = Request { meta, params }.serialize().unwrap();
        self.inner.call(RequestPacket::Single(request)).await
    }
}

transport!(WithoutOverrides);

/// A node whose blocks are made when the test says so: transactions wait, as on a live chain.
#[derive(Clone)]
pub(crate) struct Mempool {
    chain: BoxTransport,
    waiting: Arc<Mutex<Vec<Bytes>>>,
}

impl Mempool {
    pub(crate) fn new(testkit: &Testkit) -> Self {
        Self {
            chain: testkit.transport().into_box_transport(),
            waiting: Arc::default(),
        }
    }

    /// Forgets what waits, as nodes do that are restarted or full.
    pub(crate) fn forget(&self) {
        self.waiting.lock().unwrap().clear();
    }

    /// How many transactions wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    /// Returns once so many transactions wait.
    pub(crate) async fn holds(&self, transactions: usize) {
        while self.len() < transactions {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Includes what waits, in order.
    pub(crate) async fn mine(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        let node = provider(self.chain.clone());
        for transaction in waiting {
            let _ = node.send_raw_transaction(&transaction).await.unwrap();
        }
    }

    async fn answer(mut self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = single(packet)?;
        let params =
            || serde_json::from_str::<Vec<serde_json::Value>>(request.params().unwrap().get()).unwrap();
        match request.method() {
            "eth_sendRawTransaction" => {
                let transaction: Bytes = serde_json::from_value(params().remove(0)).unwrap();
                let hash = keccak256(&transaction);
                let mut waiting = self.waiting.lock().unwrap();
                let refusal = waiting.iter().find_map(|other| {
                    (*other == transaction).then_some("already known").or_else(|| {
                        (sender_and_nonce(other) == sender_and_nonce(&transaction))
                            .then_some("replacement transaction underpriced")
                    })
                });
                match refusal {
                    Some(message) => Ok(failure(&request, -32000, message.to_owned())),
                    None => {
                        waiting.push(transaction);
                        Ok(success(&request, hash))
                    }
                }
            }
            "eth_getTransactionCount" => {
                let params = params();
                let account: Address = serde_json::from_value(params[0].clone()).unwrap();
                let pending = params.get(1).is_some_and(|block| block == "pending");
                let next: U64 = provider(self.chain)
                    .raw_request("eth_getTransactionCount".into(), (account, "latest"))
                    .await?;
                let waiting = self.waiting.lock().unwrap();
                let mut next: u64 = next.to();
                while pending && waiting.iter().any(|raw| sender_and_nonce(raw) == (account, next)) {
                    next += 1;
                }
                Ok(success(&request, U64::from(next)))
            }
            "eth_getTransactionByHash" => {
                let hash: B256 = serde_json::from_value(params().remove(0)).unwrap();
                let waiting = self
                    .waiting
                    .lock()
                    .unwrap()
                    .iter()
                    .find(|raw| keccak256(raw) == hash)
                    .cloned();
                match waiting {
                    Some(raw) => Ok(success(&request, pending(&raw))),
                    None => self.chain.call(RequestPacket::Single(request)).await,
                }
            }
            _ => self.chain.call(RequestPacket::Single(request)).await,
        }
    }
}

transport!(Mempool);

fn sender_and_nonce(raw: &[u8]) -> (Address, u64) {
    let envelope = TxEnvelope::decode_2718(&mut &*raw).unwrap();
    (envelope.recover_signer().unwrap(), envelope.nonce())
}

/// A transaction that is not in a block, as nodes tell of it.
fn pending(raw: &[u8]) -> Transaction {
    let envelope = TxEnvelope::decode_2718(&mut &*raw).unwrap();
    Transaction {
        effective_gas_price: Some(envelope.max_fee_per_gas()),
        inner: envelope.try_into_recovered().unwrap(),
        block_hash: None,
        block_number: None,
        block_timestamp: None,
        transaction_index: None,
    }
}

/// A bundler of the plainest kind: it answers as bundlers do, and submits through an [`EntryPointSubmitter`].
#[derive(Clone)]
pub(crate) struct Bundler {
    submitter: Arc<EntryPointSubmitter>,
    node: DynProvider,
    entry_point: Address,
    /// It estimates at a fee of zero and adds nothing on top, as some do.
    estimates_without_fees: bool,
    /// Instead of taking operations it answers with this error.
    refuses: Option<(i64, &'static str)>,
}

impl Bundler {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let signer = dev_accounts()[3].signer();
        let from = signer.address();
        let node = fixture.testkit.provider_with_signer(signer);
        let entry_point = fixture.stack.entry_point;
        Self {
            submitter: Arc::new(EntryPointSubmitter::new(node.clone(), entry_point, from)),
            node,
            entry_point,
            estimates_without_fees: false,
            refuses: None,
        }
    }

    pub(crate) fn estimating_without_fees(self) -> Self {
        Self {
            estimates_without_fees: true,
            ..self
        }
    }

    pub(crate) fn refusing(self, code: i64, message: &'static str) -> Self {
        Self {
            refuses: Some((code, message)),
            ..self
        }
    }

    /// A client of this bundler.
    pub(crate) fn submitter(self) -> BundlerSubmitter {
        let entry_point = self.entry_point;
        BundlerSubmitter::new(provider(self), entry_point)
    }

    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let request = single(packet)?;
        Ok(match self.result(&request).await {
            Ok(value) => success(&request, value),
            Err((code, message)) => failure(&request, code, message),
        })
    }

    async fn result(&self, request: &SerializedRequest) -> Result<serde_json::Value, (i64, String)> {
        let params: serde_json::Value = serde_json::from_str(request.params().unwrap().get()).unwrap();
        let operation = || serde_json::from_value::<UserOperation>(params[0].clone()).unwrap();
        let error = |error: SubmitError| match error {
            // Bundlers pass on no more than the EntryPoint's words.
            SubmitError::Refused(refusal) => (-32500, refusal.reason),
            SubmitError::WouldRevert(revert) => (-32521, revert.to_string()),
            error => (-32603, error.to_string()),
        };
        match request.method() {
            "eth_estimateUserOperationGas" => {
                let mut operation = operation();
                let mut gas = simulate_gas(&self.node, self.entry_point, &operation)
                    .await
                    .map_err(error)?;
                if self.estimates_without_fees {
                    operation.verification_gas_limit = gas.verification_gas_limit;
                    operation.pre_verification_gas = gas.pre_verification_gas;
                    gas.verification_gas_limit = self.validation_gas_without_fees(operation).await;
                }
                Ok(serde_json::json!({
                    "callGasLimit": gas.call_gas_limit,
                    "verificationGas": gas.verification_gas_limit,
                    "preVerificationGas": gas.pre_verification_gas,
                }))
            }
            "eth_sendUserOperation" => {
                if let Some((code, message)) = self.refuses {
                    return Err((code, message.to_owned()));
                }
                let operation = operation();
                let hash = operation.hash(self.entry_point, 31337);
                // Bundlers do not take an operation twice.
                if self.submitter.outcome(hash).await.map_err(error)?.is_some() {
                    return Err((-32500, "AA25 invalid account nonce".to_owned()));
                }
                let signed = SignedOperation { operation, hash };
                self.submitter.send(&signed).await.map_err(error)?;
                Ok(serde_json::json!(hash))
            }
            "eth_getUserOperationByHash" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let outcome = self.submitter.outcome(hash).await.map_err(error)?;
                Ok(outcome.map_or(
                    serde_json::Value::Null,
                    |_| serde_json::json!({ "userOperation": {} }),
                ))
            }
            "eth_getUserOperationReceipt" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let outcome = self.submitter.outcome(hash).await.map_err(error)?;
                let Some(receipt) = outcome.as_ref().and_then(Outcome::receipt) else {
                    return Ok(serde_json::Value::Null);
                };
                Ok(serde_json::json!({
                    "userOpHash": hash,
                    "sender": receipt.sender,
                    "nonce": receipt.nonce,
                    "actualGasCost": receipt.actual_gas_cost,
                    "actualGasUsed": receipt.actual_gas_used,
                    "success": outcome.as_ref().unwrap().is_success(),
                    "logs": receipt.logs,
                    "receipt": {
                        "transactionHash": receipt.transaction_hash,
                        "blockNumber": format!("{:#x}", receipt.block_number),
                    },
                }))
            }
            method => Err((-32601, format!("{method} not found"))),
        }
    }

    /// The least verification gas limit with which validation passes at a fee of zero.
    async fn validation_gas_without_fees(
        &self,
        operation: UserOperation,
    ) -> session_key_client::alloy::primitives::U256 {
        use session_key_bindings::IEntryPoint;
        use session_key_client::alloy::{
            primitives::U256,
            rpc::types::TransactionRequest,
            sol_types::{SolCall as _, SolError as _},
        };

        let passes = async |limit: U256| {
            let operation = UserOperation {
                verification_gas_limit: limit,
                max_fee_per_gas: U256::ZERO,
                max_priority_fee_per_gas: U256::ZERO,
                ..operation.clone()
            };
            let call = IEntryPoint::simulateValidationCall {
                userOp: operation.into(),
            };
            let request = TransactionRequest {
                to: Some(self.entry_point.into()),
                input: call.abi_encode().into(),
                ..Default::default()
            };
            let error = self.node.call(request).await.unwrap_err();
            let data = error.as_error_resp().unwrap().as_revert_data().unwrap();
            IEntryPoint::ValidationResult::abi_decode(&data).is_ok()
        };
        let (mut fails, mut enough) = (U256::ZERO, operation.verification_gas_limit);
        while enough - fails > U256::ONE {
            let middle = (fails + enough) / U256::from(2);
            match passes(middle).await {
                true => enough = middle,
                false => fails = middle,
            }
        }
        enough
    }
}

transport!(Bundler);
