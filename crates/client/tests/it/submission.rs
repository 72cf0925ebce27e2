//! Ways onto the chain: a bundler's JSON-RPC, many at once, and how often the node is asked.

use crate::fixture::{ETHER, Fixture, key};
use session_key_client::{
    Call, NewSessionKey, OwnerClient, Revert, SessionKeyClient, SmartAccount, UserOperation,
    alloy::{
        primitives::{Address, B256, U256},
        providers::ProviderBuilder,
        rpc::{
            client::RpcClient,
            json_rpc::{
                ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
            },
        },
        transports::{TransportError, TransportErrorKind, TransportFut},
    },
    operation::OperationError,
    permissions::{Permissions, SpendLimit},
    revert::{AaCode, PluginError},
    submit::{
        BundlerSubmitter, EntryPointSubmitter, Outcome, SignedOperation, SubmitError, Submitter, simulate_gas,
    },
};
use session_key_testkit::{Testkit, dev_accounts};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

const RECIPIENT: Address = Address::repeat_byte(0x77);

fn one() -> [Call; 1] {
    [Call::transfer(RECIPIENT, U256::from(1))]
}

/// Passes requests on to the simulated chain and counts the round trips that follow each other: requests in flight at the
/// same time count as one.
#[derive(Clone)]
struct Counting {
    inner: session_key_testkit::Transport,
    in_flight: Arc<AtomicUsize>,
    rounds: Arc<AtomicUsize>,
    methods: Arc<Mutex<Vec<String>>>,
}

impl Counting {
    fn new(testkit: &Testkit) -> Self {
        Self {
            inner: testkit.transport(),
            in_flight: Arc::default(),
            rounds: Arc::default(),
            methods: Arc::default(),
        }
    }
}

impl Service<RequestPacket> for Counting {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            if this.in_flight.fetch_add(1, Ordering::SeqCst) == 0 {
                this.rounds.fetch_add(1, Ordering::SeqCst);
            }
            let names: Vec<_> = packet
                .requests()
                .iter()
                .map(|request| request.method().to_owned())
                .collect();
            this.methods.lock().unwrap().extend(names);
            // Long enough for everything that is sent at once to be in flight.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let response = this.inner.call(packet).await;
            this.in_flight.fetch_sub(1, Ordering::SeqCst);
            response
        })
    }
}

/// A bundler of the plainest kind: it answers as bundlers do, and submits through an [`EntryPointSubmitter`].
#[derive(Clone)]
struct Bundler {
    fixture_submitter: Arc<EntryPointSubmitter>,
    provider: session_key_client::alloy::providers::DynProvider,
    entry_point: Address,
}

impl Bundler {
    fn new(fixture: &Fixture) -> Self {
        let signer = dev_accounts()[3].signer();
        let from = signer.address();
        let provider = fixture.testkit.provider_with_signer(signer);
        Self {
            fixture_submitter: Arc::new(EntryPointSubmitter::new(
                provider.clone(),
                fixture.stack.entry_point,
                from,
            )),
            provider,
            entry_point: fixture.stack.entry_point,
        }
    }

    async fn answer(&self, request: &SerializedRequest) -> Result<serde_json::Value, (i64, String)> {
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
                let gas = simulate_gas(&self.provider, self.entry_point, &operation())
                    .await
                    .map_err(error)?;
                Ok(serde_json::json!({
                    "callGasLimit": gas.call_gas_limit,
                    "verificationGas": gas.verification_gas_limit,
                    "preVerificationGas": gas.pre_verification_gas,
                }))
            }
            "eth_sendUserOperation" => {
                let operation = operation();
                let hash = operation.hash(self.entry_point, 31337);
                let signed = SignedOperation { operation, hash };
                self.fixture_submitter.send(&signed).await.map_err(error)?;
                Ok(serde_json::json!(hash))
            }
            "eth_getUserOperationReceipt" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let outcome = self.fixture_submitter.outcome(hash).await.map_err(error)?;
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
}

impl Service<RequestPacket> for Bundler {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let RequestPacket::Single(request) = packet else {
                return Err(TransportErrorKind::custom_str("no batches"));
            };
            let payload = match this.answer(&request).await {
                Ok(value) => ResponsePayload::Success(serde_json::value::to_raw_value(&value).unwrap()),
                Err((code, message)) => ResponsePayload::Failure(ErrorPayload {
                    code,
                    message: message.into(),
                    data: None,
                }),
            };
            Ok(ResponsePacket::Single(Response {
                id: request.id().clone(),
                payload,
            }))
        })
    }
}

fn bundler_submitter(fixture: &Fixture) -> BundlerSubmitter {
    let client = RpcClient::new(Bundler::new(fixture), true);
    let provider = ProviderBuilder::new().connect_client(client);
    BundlerSubmitter::new(provider, fixture.stack.entry_point)
}

#[tokio::test]
async fn a_bundler_does_all_of_it() {
    let fixture = Fixture::new().await;
    let submitter: Arc<dyn Submitter> =
        Arc::new(bundler_submitter(&fixture).with_node(fixture.testkit.provider()));
    let owner = OwnerClient::shared(
        fixture.account.clone(),
        Arc::new(fixture.owner_signer.clone()),
        submitter.clone(),
    );
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let new = NewSessionKey::new(key(1).address(), &permissions).unwrap();
    owner.install_session_key_plugin([new]).execute().await.unwrap();
    let client = SessionKeyClient::shared(fixture.account.clone(), Arc::new(key(1)), submitter.clone());
    client.execute(one()).execute().await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));

    match client
        .execute([Call::transfer(RECIPIENT, U256::from(10))])
        .execute()
        .await
        .unwrap_err()
    {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::AccountReverted));
            assert_eq!(
                refusal.cause,
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed))
            );
        }
        error => panic!("{error:?}"),
    }

    let unknown = submitter
        .wait(B256::repeat_byte(1), Duration::from_millis(30))
        .await
        .unwrap_err();
    assert!(matches!(unknown, SubmitError::Timeout { hash, .. } if hash == B256::repeat_byte(1)));
}

#[tokio::test]
async fn at_most_three_round_trips_to_submission() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, _) = Fixture::with_key(permissions).await;
    let counting = Counting::new(&fixture.testkit);
    let provider = ProviderBuilder::new().connect_client(RpcClient::new(counting.clone(), true));
    let account = SmartAccount::new(
        provider,
        31337,
        fixture.account.address(),
        *fixture.account.deployment(),
    );
    // The bundler is another machine: estimation and sending are a round trip each.
    let client = SessionKeyClient::new(account, key(1), bundler_submitter(&fixture));
    client.execute(one()).send().await.unwrap();
    let rounds = counting.rounds.load(Ordering::SeqCst);
    assert_eq!(rounds, 1, "{:?}", counting.methods.lock().unwrap());
    // Nonce, fees, gas limit and block, at the same time.
    assert_eq!(counting.methods.lock().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_senders_at_once_lose_nothing_and_double_nothing() {
    let fixture = Fixture::new().await;
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1)))
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let keys: Vec<_> = (1..=50).map(key).collect();
    let new: Vec<_> = keys
        .iter()
        .map(|key| NewSessionKey::new(key.address(), &permissions).unwrap())
        .collect();
    fixture
        .owner
        .install_session_key_plugin(new)
        .execute()
        .await
        .unwrap();
    let before = fixture.balance(RECIPIENT);
    let tasks: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let client = fixture.session_key(key);
            tokio::spawn(async move { client.execute(one()).execute().await })
        })
        .collect();
    let mut hashes = std::collections::BTreeSet::new();
    for task in tasks {
        let receipt = task.await.unwrap().unwrap();
        assert!(hashes.insert(receipt.user_op_hash));
    }
    assert_eq!(hashes.len(), 50);
    assert_eq!(fixture.balance(RECIPIENT) - before, U256::from(50));
}

#[tokio::test]
async fn sending_twice_does_it_once() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, client) = Fixture::with_key(permissions).await;
    let signed = client.execute(one()).sign().await.unwrap();
    fixture.submitter.send(&signed).await.unwrap();
    match fixture.submitter.send(&signed).await.unwrap_err() {
        SubmitError::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::InvalidNonce)),
        error => panic!("{error:?}"),
    }
    let outcome = fixture
        .submitter
        .wait(signed.hash, Duration::from_secs(1))
        .await
        .unwrap();
    assert!(outcome.is_success());
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));
}

#[tokio::test]
async fn a_first_operation_that_would_fail_is_not_sent() {
    let fixture = Fixture::new().await;
    let new = NewSessionKey::new(Address::ZERO, &Permissions::new()).unwrap();
    let error = fixture
        .owner
        .install_session_key_plugin([new])
        .execute()
        .await
        .unwrap_err();
    let OperationError::Submit(SubmitError::WouldRevert(revert)) = error else {
        panic!("{error:?}")
    };
    let refused = Revert::Plugin(PluginError::InvalidSessionKey {
        session_key: Address::ZERO,
    });
    assert_eq!(revert.root(), &refused, "{revert}");
    assert!(!fixture.account.is_deployed().await.unwrap());
}

#[tokio::test]
async fn of_two_operations_with_one_nonce_one_happens() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, client) = Fixture::with_key(permissions).await;
    let first = client.execute(one()).sign().await.unwrap();
    let fee = first.operation.max_fee_per_gas * U256::from(2);
    let replacement = client
        .execute(one())
        .nonce(first.operation.nonce)
        .fees(fee, fee)
        .sign()
        .await
        .unwrap();
    assert_ne!(first.hash, replacement.hash);
    fixture.submitter.send(&replacement).await.unwrap();
    match fixture.submitter.send(&first).await.unwrap_err() {
        SubmitError::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::InvalidNonce)),
        error => panic!("{error:?}"),
    }
    assert_eq!(fixture.submitter.outcome(first.hash).await.unwrap(), None);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));
}
