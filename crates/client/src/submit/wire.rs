//! Transports for tests: the simulated chain behind a pool, with scripted answers.

use crate::{
    calldata,
    permissions::{Call, SignedOperation, UserOperation},
    request::RequestError,
    signer::sign_user_operation,
};
use alloy::{
    consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _},
    eips::eip2718::Decodable2718 as _,
    network::EthereumWallet,
    primitives::{Address, B256, Bytes, U64, U256, keccak256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{
            ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
        },
    },
    signers::local::PrivateKeySigner,
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use serde_json::{Value, json, value::to_raw_value};
use session_key_testkit::{ChainConfig, Stack, Testkit, Transport, dev_accounts};
use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tower::Service as _;

/// The result of a scripted request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// This result.
    Result(Value),
    /// A JSON-RPC error.
    Error(i64, &'static str, Value),
    /// The request was not written, as an HTTP transport reports it.
    NotReached,
    /// The request arrives, but the connection breaks before the answer.
    Lost,
    /// The request arrives, and there is no answer.
    Hangs,
}

type Script = dyn Fn(&str, &Value) -> Option<Reply> + Send + Sync;

/// A transport with scripted answers, which passes other requests on to a chain behind a pool, if there is
/// one.
#[derive(Clone)]
pub(super) struct Wire {
    chain: Option<Transport>,
    script: Arc<Mutex<Arc<Script>>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// Pending transactions for [`mine`](Self::mine); `None` while each is mined at once.
    pool: Arc<Mutex<Option<Vec<Bytes>>>>,
    /// Whether the pool is ignored for next nonces: the node lags.
    is_behind: Arc<Mutex<bool>>,
}

impl Wire {
    /// Creates a wire with scripted answers only.
    pub(super) fn scripted(script: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let wire = Self::new(None);
        wire.script(script);
        wire
    }

    /// Creates a wire to the chain behind a pool.
    pub(super) fn to_chain(testkit: &Testkit) -> Self {
        Self::new(Some(testkit.transport()))
    }

    fn new(chain: Option<Transport>) -> Self {
        Self {
            chain,
            script: Arc::new(Mutex::new(Arc::new(|_: &str, _: &Value| None))),
            seen: Arc::default(),
            pool: Arc::default(),
            is_behind: Arc::default(),
        }
    }

    pub(super) fn script(&self, script: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(super) fn repair(&self) {
        self.script(|_, _| None);
    }

    /// Holds transactions in the pool from now on.
    pub(super) fn hold(&self) {
        self.pool.lock().unwrap().get_or_insert_default();
    }

    pub(super) fn lag(&self) {
        *self.is_behind.lock().unwrap() = true;
    }

    /// Returns the pending transactions.
    pub(super) fn waiting(&self) -> Vec<TxEnvelope> {
        let pool = self.pool.lock().unwrap();
        pool.iter().flatten().map(|raw| envelope(raw)).collect()
    }

    /// Drops pending transactions, as nodes do.
    pub(super) fn forget(&self) {
        self.pool.lock().unwrap().as_mut().unwrap().clear();
    }

    /// Includes pending transactions, by nonce.
    pub(super) async fn mine(&self) {
        let mut waiting = std::mem::take(self.pool.lock().unwrap().as_mut().unwrap());
        waiting.sort_by_key(|raw| envelope(raw).nonce());
        let node = provider(Self::new(self.chain.clone()));
        for raw in waiting {
            let _ = node.send_raw_transaction(&raw).await.unwrap();
        }
    }

    /// Returns the methods of all requests since the last call.
    pub(super) fn methods(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let RequestPacket::Single(request) = packet else {
            return Err(TransportErrorKind::custom_str("no batches"));
        };
        let params = request
            .params()
            .map_or(Value::Null, |params| serde_json::from_str(params.get()).unwrap());
        self.seen.lock().unwrap().push(request.method().to_owned());
        let script = self.script.lock().unwrap().clone();
        match script(request.method(), &params) {
            Some(Reply::Result(value)) => Ok(success(&request, value)),
            Some(Reply::Error(code, message, data)) => Ok(failure(&request, code, message, &data)),
            Some(Reply::NotReached) => Err(TransportErrorKind::custom(RequestError::NotReached {
                message: "connection refused".to_owned(),
            })),
            Some(Reply::Lost) => {
                let _ = self.pass(request, &params).await;
                Err(TransportErrorKind::custom_str("the connection broke"))
            }
            Some(Reply::Hangs) => {
                let _ = self.pass(request, &params).await;
                std::future::pending().await
            }
            None => self.pass(request, &params).await,
        }
    }

    async fn pass(
        mut self,
        request: SerializedRequest,
        params: &Value,
    ) -> Result<ResponsePacket, TransportError> {
        let Some(chain) = &mut self.chain else {
            return Ok(failure(
                &request,
                -32601,
                "the method does not exist",
                &Value::Null,
            ));
        };
        let holds = self.pool.lock().unwrap().is_some();
        match request.method() {
            "eth_sendRawTransaction" if holds => {
                let raw: Bytes = serde_json::from_value(params[0].clone()).unwrap();
                let mut pool = self.pool.lock().unwrap();
                Ok(match add(pool.as_mut().unwrap(), &raw) {
                    Ok(()) => success(&request, json!(keccak256(&raw))),
                    Err(message) => failure(&request, -32000, message, &Value::Null),
                })
            }
            "eth_getTransactionCount"
                if holds && params[1] == "pending" && !*self.is_behind.lock().unwrap() =>
            {
                let account: Address = serde_json::from_value(params[0].clone()).unwrap();
                let node = provider(Self::new(Some(chain.clone())));
                let mut next = node.get_transaction_count(account).await?;
                let pool = self.pool.lock().unwrap();
                let place = |raw: &Bytes| (envelope(raw).recover_signer().unwrap(), envelope(raw).nonce());
                while pool.iter().flatten().any(|raw| place(raw) == (account, next)) {
                    next += 1;
                }
                Ok(success(&request, json!(U64::from(next))))
            }
            "eth_getTransactionByHash" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let is_waiting = {
                    let pool = self.pool.lock().unwrap();
                    pool.iter().flatten().any(|raw| keccak256(raw) == hash)
                };
                if is_waiting {
                    return Ok(success(&request, json!({ "hash": hash, "blockNumber": null })));
                }
                chain.call(RequestPacket::Single(request)).await
            }
            _ => chain.call(RequestPacket::Single(request)).await,
        }
    }
}

/// Adds a transaction by the rules of geth's pool: one per nonce, replaceable at a tenth more in both fees.
fn add(pool: &mut Vec<Bytes>, raw: &Bytes) -> Result<(), &'static str> {
    if pool.contains(raw) {
        return Err("already known");
    }
    let new = envelope(raw);
    let rival = pool.iter().position(|other| {
        let other = envelope(other);
        other.nonce() == new.nonce() && other.recover_signer().unwrap() == new.recover_signer().unwrap()
    });
    let Some(rival) = rival else {
        pool.push(raw.clone());
        return Ok(());
    };
    let old = envelope(&pool[rival]);
    let fees = |transaction: &TxEnvelope| {
        (
            transaction.max_fee_per_gas(),
            transaction.max_priority_fee_per_gas().unwrap_or_default(),
        )
    };
    let ((old_fee, old_tip), (new_fee, new_tip)) = (fees(&old), fees(&new));
    if new_fee * 10 < old_fee * 11 || new_tip * 10 < old_tip * 11 {
        return Err("replacement transaction underpriced");
    }
    pool[rival] = raw.clone();
    Ok(())
}

fn envelope(raw: &[u8]) -> TxEnvelope {
    TxEnvelope::decode_2718(&mut &*raw).unwrap()
}

fn success(request: &SerializedRequest, value: Value) -> ResponsePacket {
    ResponsePacket::Single(Response {
        id: request.id().clone(),
        payload: ResponsePayload::Success(to_raw_value(&value).unwrap()),
    })
}

fn failure(request: &SerializedRequest, code: i64, message: &'static str, data: &Value) -> ResponsePacket {
    let data = (!data.is_null()).then(|| to_raw_value(data).unwrap());
    ResponsePacket::Single(Response {
        id: request.id().clone(),
        payload: ResponsePayload::Failure(ErrorPayload {
            code,
            message: message.into(),
            data,
        }),
    })
}

impl tower::Service<RequestPacket> for Wire {
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

/// Returns a provider over a wire.
pub(super) fn provider(wire: Wire) -> DynProvider {
    ProviderBuilder::new()
        .connect_client(RpcClient::new(wire, true))
        .erased()
}

/// Returns a provider over a wire that signs the transactions sent through it.
pub(super) fn wallet(wire: Wire, signer: PrivateKeySigner) -> DynProvider {
    ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_client(RpcClient::new(wire, true))
        .erased()
}

/// A recipient.
pub(super) const RECIPIENT: Address = Address::repeat_byte(0x77);

/// A chain with an account that has an owner and ten ether.
pub(super) struct World {
    pub(super) testkit: Testkit,
    pub(super) stack: Stack,
    pub(super) account: Address,
    pub(super) owner: PrivateKeySigner,
}

impl World {
    pub(super) fn new() -> Self {
        Self::on(Testkit::default())
    }

    /// Creates a world whose blocks are not final at once.
    pub(super) fn deep() -> Self {
        Self::on(Testkit::new(ChainConfig {
            finalized_distance: 64,
            ..Default::default()
        }))
    }

    fn on(testkit: Testkit) -> Self {
        let owner = dev_accounts()[1].signer();
        let (stack, account) = {
            let mut chain = testkit.chain();
            let stack = Stack::deploy(&mut chain).unwrap();
            let account = stack
                .create_account(&mut chain, U256::ZERO, &[owner.address()])
                .unwrap();
            chain.set_balance(account, U256::from(10_000_000_000_000_000_000_u64));
            (stack, account)
        };
        Self {
            testkit,
            stack,
            account,
            owner,
        }
    }

    /// Returns an operation of the account with sufficient gas and fees for a payment, signed by the owner.
    pub(super) async fn operation(&self, lane: u64, call_data: Bytes) -> SignedOperation {
        self.sign(UserOperation {
            sender: self.account,
            nonce: U256::from(lane) << 64,
            call_data,
            call_gas_limit: U256::from(100_000),
            verification_gas_limit: U256::from(200_000),
            pre_verification_gas: U256::from(60_000),
            max_fee_per_gas: U256::from(5_000_000_000_u64),
            max_priority_fee_per_gas: U256::from(1_000_000_000),
            ..Default::default()
        })
        .await
    }

    pub(super) async fn sign(&self, mut operation: UserOperation) -> SignedOperation {
        let hash = sign_user_operation(&mut operation, &self.owner, self.stack.entry_point, 31337)
            .await
            .unwrap();
        SignedOperation { operation, hash }
    }

    /// Returns the first payment of 1 wei in a lane.
    pub(super) async fn payment(&self, lane: u64) -> SignedOperation {
        self.operation(lane, calldata::execute(&Call::transfer(RECIPIENT, U256::ONE)))
            .await
    }

    pub(super) fn paid(&self) -> U256 {
        self.testkit.chain().balance(RECIPIENT)
    }
}
