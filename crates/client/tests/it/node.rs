//! Questions to nodes: to the simulated chain behind the limits of real nodes, and to one that answers what
//! the test says.

use crate::{
    fixture::{Fixture, RECIPIENT},
    wire,
};
use serde_json::{Value, json, value::RawValue};
use session_key_client::{
    Call, RequestError,
    alloy::{
        consensus::{Transaction as _, TxEnvelope},
        eips::{BlockId, BlockNumberOrTag, eip2718::Decodable2718 as _},
        primitives::{Address, B256, Bytes, U256, address, aliases::U192, b256, keccak256},
        rpc::{
            json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload},
            types::TransactionRequest,
        },
        transports::{BoxTransport, IntoBoxTransport, TransportError, TransportFut},
    },
    node::{Head, Node, OperationEvent, OperationFilter, SuggestedFees},
    operation::Bounds,
    request::MAX_ANSWER,
    transaction::{SendError, SignedTransaction, TransactionEnd, TransactionSender},
};
use session_key_testkit::{Fate, NodeOptions, PrunedState, PrunedWords, Testkit, dev_accounts};
use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tower::Service;

/// What a node answers: a result, or an error.
type Answer = Result<Box<RawValue>, ErrorPayload>;

/// Answers a request itself, or leaves it to the chain.
type Script = dyn Fn(&str, &Value) -> Option<Answer> + Send + Sync;
/// Looks at what the chain answers.
type Filter = dyn Fn(&str, Answer) -> Answer + Send + Sync;

/// A node that asks a function first, and for what that does not answer, the chain.
#[derive(Clone)]
struct Scripted {
    answer: Arc<Script>,
    chain: BoxTransport,
    filter: Arc<Filter>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Scripted {
    fn new(answer: impl Fn(&str, &Value) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            chain: Testkit::default().transport().into_box_transport(),
            filter: Arc::new(|_, answer| answer),
            asked: Arc::default(),
        }
    }

    /// Answers one method with this JSON, and all others with an error.
    fn says(method: &'static str, json: impl Into<String>) -> Self {
        let json = json.into();
        Self::new(move |asked, _| {
            Some(if asked == method {
                result(&json)
            } else {
                error(-32601, "no such method")
            })
        })
    }

    fn node(&self) -> Node {
        Node::new(wire::provider(self.clone()))
    }

    /// The parameters of every request with this method.
    fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        let of_method = asked.iter().filter(|(name, _)| name == method);
        of_method.map(|(_, params)| params.clone()).collect()
    }
}

impl Service<RequestPacket> for Scripted {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let RequestPacket::Single(request) = packet.clone() else {
                panic!("a batch");
            };
            let method = request.method().to_owned();
            let params = request
                .params()
                .map_or(Value::Null, |params| serde_json::from_str(params.get()).unwrap());
            this.asked.lock().unwrap().push((method.clone(), params.clone()));
            let answer = match (this.answer)(&method, &params) {
                Some(answer) => answer,
                None => match this.chain.call(packet).await? {
                    ResponsePacket::Single(response) => match response.payload {
                        ResponsePayload::Success(result) => (this.filter)(&method, Ok(result)),
                        ResponsePayload::Failure(error) => (this.filter)(&method, Err(error)),
                    },
                    ResponsePacket::Batch(_) => panic!("a batch"),
                },
            };
            Ok(ResponsePacket::Single(Response {
                id: request.id().clone(),
                payload: match answer {
                    Ok(result) => ResponsePayload::Success(result),
                    Err(error) => ResponsePayload::Failure(error),
                },
            }))
        })
    }
}

fn result(json: &str) -> Answer {
    Ok(RawValue::from_string(json.to_owned()).unwrap())
}

fn error(code: i64, message: &str) -> Answer {
    Err(ErrorPayload {
        code,
        message: message.to_owned().into(),
        data: None,
    })
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// How many blocks a request for logs is about.
fn range(params: &Value) -> u64 {
    number(&params[0]["toBlock"]) - number(&params[0]["fromBlock"]) + 1
}

/// A chain behind the limits of a free node: 10 blocks and 1,000 results of logs at once, no fee
/// history, no finality.
fn limited(testkit: &Testkit) -> Scripted {
    Scripted {
        chain: testkit.transport().into_box_transport(),
        filter: Arc::new(|method, answer| {
            let logs = answer
                .as_ref()
                .map_or(0, |logs| logs.get().matches("\"topics\"").count());
            if method == "eth_getLogs" && logs > 1000 {
                return error(-32005, "query returned more than 1000 results");
            }
            answer
        }),
        ..Scripted::new(|method, params| match method {
            "eth_getLogs" if range(params) > 10 => {
                Some(error(-32600, "eth_getLogs is limited to a 10 blocks range"))
            }
            "eth_feeHistory" => Some(error(-32601, "the method eth_feeHistory does not exist")),
            "eth_getBlockByNumber" if params[0] == "finalized" => Some(result("null")),
            _ => None,
        })
    }
}

/// The signature of the EntryPoint's event.
fn operation_event() -> B256 {
    keccak256("UserOperationEvent(bytes32,address,address,uint256,bool,uint256,uint256)")
}

/// Stands for an EntryPoint: emits as many events as the call says, of this account, with hashes and nonces
/// that count down from a number.
fn emitter(testkit: &Testkit) -> Address {
    let address = Address::repeat_byte(0xee);
    let topic = operation_event();
    // loop { if i == 0 { stop } mem = [i, 1, 0, 0]; log4(mem, event, i + base, sender, 0); i -= 1 }
    let mut code = vec![0x60, 0x00, 0x35]; // i
    let start = code.len() as u8;
    code.extend([0x5b, 0x80, 0x15, 0x60, 0x00, 0x57]); // if i == 0 goto end
    let end_at = code.len() - 2;
    code.extend([0x80, 0x60, 0x00, 0x52]); // mem[0x00] = i
    code.extend([0x60, 0x01, 0x60, 0x20, 0x52]); // mem[0x20] = 1
    code.extend([0x60, 0x00]); // paymaster
    code.extend([0x60, 0x20, 0x35]); // sender
    code.extend([0x82, 0x60, 0x40, 0x35, 0x01]); // i + base
    code.push(0x7f);
    code.extend(topic);
    code.extend([0x60, 0x80, 0x60, 0x00, 0xa4]); // log4
    code.extend([0x60, 0x01, 0x90, 0x03]); // i -= 1
    code.extend([0x60, start, 0x56]); // goto start
    code[end_at] = code.len() as u8;
    code.extend([0x5b, 0x00]);
    testkit.chain().set_code(address, code).unwrap();
    address
}

/// Has the emitter emit, in a block of its own.
fn emit(testkit: &Testkit, emitter: Address, count: u64, sender: Address, base: u64) {
    let words = [U256::from(count), sender.into_word().into(), U256::from(base)];
    let data: Vec<u8> = words.iter().flat_map(U256::to_be_bytes::<32>).collect();
    let request = TransactionRequest::default()
        .from(dev_accounts()[3].address)
        .to(emitter)
        .gas_limit(20_000_000)
        .input(data.into());
    testkit.chain().send(request).unwrap().ok().unwrap();
}

fn hash(number: u64) -> B256 {
    U256::from(number).into()
}

fn hashes(operations: &[OperationEvent]) -> Vec<u64> {
    let numbers = operations
        .iter()
        .map(|event| U256::from_be_bytes(event.user_op_hash.0).to());
    numbers.collect()
}

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

#[tokio::test]
async fn operations_are_read_from_the_chain_with_their_outcomes() {
    let (fixture, client) = Fixture::with_spender().await;
    let mut receipts = Vec::new();
    for amount in 1..=3 {
        let call = Call::transfer(RECIPIENT, U256::from(amount));
        receipts.push(client.execute([call]).await.unwrap().receipt);
    }
    let node = Node::new(fixture.testkit.provider());
    let (entry_point, account) = (fixture.stack.entry_point, fixture.account.address());
    let head = node.head().await.unwrap();
    let filter = OperationFilter::of(account);
    let found = node
        .operations(entry_point, &filter, 0, head.number)
        .await
        .unwrap();
    // The first made the account, its plugin and key.
    assert_eq!(found.len(), 4);
    for (event, receipt) in found[1..].iter().zip(&receipts) {
        assert_eq!(event.user_op_hash, receipt.user_op_hash);
        assert_eq!(event.transaction_hash, receipt.transaction_hash);
        assert_eq!(event.block_number, receipt.block_number);
        assert_eq!((event.sender, event.nonce), (account, receipt.nonce));
        assert_eq!(event.actual_gas_cost, receipt.actual_gas_cost);
        assert_eq!(event.actual_gas_used, receipt.actual_gas_used);
        assert!(event.success && event.paymaster.is_none());

        let receipt = node.receipt(event.transaction_hash).await.unwrap().unwrap();
        assert_eq!(receipt.operations(entry_point), std::slice::from_ref(event));
        assert_eq!(receipt.operations(Address::ZERO), []);
        assert_eq!(receipt.success, Some(true));
        let header = node.header(receipt.block_hash.into()).await.unwrap().unwrap();
        assert_eq!(
            (header.number, header.hash),
            (event.block_number, event.block_hash)
        );
    }
    let last = &found[3];
    let lane = U192::from(last.nonce >> 64);
    let nonce = node
        .nonce(entry_point, account, lane, BlockId::latest())
        .await
        .unwrap();
    assert_eq!(nonce, last.nonce + U256::ONE);
    let before = BlockId::number(last.block_number - 1);
    assert_eq!(
        node.nonce(entry_point, account, lane, before).await.unwrap(),
        last.nonce
    );
    // Whatever stands there is no EntryPoint.
    let error = node
        .nonce(account, account, lane, BlockId::latest())
        .await
        .unwrap_err();
    assert!(
        matches!(error, RequestError::Answered(_) | RequestError::Unreadable { .. }),
        "{error}"
    );
    let error = node
        .nonce(RECIPIENT, account, lane, BlockId::latest())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "unreadable");
    assert_eq!(node.receipt(B256::ZERO).await.unwrap(), None);
}

#[tokio::test]
async fn a_node_that_allows_ten_blocks_is_read_in_pages_of_ten() {
    let testkit = Testkit::default();
    let emitter = emitter(&testkit);
    for block in 1..=120 {
        emit(
            &testkit,
            emitter,
            1,
            if block % 3 == 0 { ALICE } else { BOB },
            block - 1,
        );
    }
    let scripted = limited(&testkit);
    let node = scripted.node();
    let all = node
        .operations(emitter, &OperationFilter::default(), 1, 120)
        .await
        .unwrap();
    assert_eq!(hashes(&all), (1..=120).collect::<Vec<_>>());
    let asked = scripted.asked("eth_getLogs");
    let worked: Vec<_> = asked.iter().map(range).filter(|size| *size <= 10).collect();
    assert_eq!(worked, [10; 12]);
    // What was learned is not forgotten, not by its clones either; and a larger page is tried rarely.
    assert!(asked.len() - worked.len() <= 3, "{asked:?}");
    let filter = OperationFilter::of(ALICE);
    let of_alice = node.clone().operations(emitter, &filter, 31, 60).await.unwrap();
    assert_eq!(hashes(&of_alice), [33, 36, 39, 42, 45, 48, 51, 54, 57, 60]);
    let again: Vec<_> = scripted
        .asked("eth_getLogs")
        .iter()
        .skip(asked.len())
        .map(range)
        .collect();
    assert!(
        again.len() <= 4 && again.iter().filter(|size| **size == 10).count() == 3,
        "{again:?}"
    );

    let some = filter.hashes([hash(60), hash(33), hash(34), hash(9)]);
    let found = node.operations(emitter, &some, 31, 60).await.unwrap();
    assert_eq!(hashes(&found), [33, 60]);
    let page = node.operations_page(emitter, &some, 1, 1000).await.unwrap();
    assert_eq!((page.to, hashes(&page.operations)), (10, vec![9]));
    assert!(node.operations(emitter, &some, 61, 60).await.unwrap().is_empty());
    let last = node
        .operations(emitter, &some, u64::MAX - 5, u64::MAX)
        .await
        .unwrap();
    assert!(last.is_empty());
}

#[tokio::test]
async fn a_node_that_allows_a_thousand_results_is_asked_for_less() {
    let testkit = Testkit::default();
    let emitter = emitter(&testkit);
    for block in 0..8 {
        emit(&testkit, emitter, 300, ALICE, 1000 * block);
    }
    let scripted = limited(&testkit);
    let node = scripted.node();
    let filter = OperationFilter::of(ALICE);
    let found = node.operations(emitter, &filter, 0, 9).await.unwrap();
    assert_eq!(found.len(), 2400);
    assert!(found.windows(2).all(|pair| {
        (pair[0].block_number, pair[0].log_index) < (pair[1].block_number, pair[1].log_index)
    }));
    // More than a node takes at once: those of an account are all asked for, and others left out.
    let wanted: Vec<B256> = (0..8)
        .flat_map(|block| (1..=10).map(move |i| hash(1000 * block + i)))
        .collect();
    let of_alice = filter.hashes(wanted.clone());
    let found = node.operations(emitter, &of_alice, 1, 8).await.unwrap();
    assert_eq!(found.len(), 80);
    // Of no account in particular, in portions.
    let start = scripted.asked("eth_getLogs").len();
    let portions = OperationFilter::default().hashes(wanted);
    assert_eq!(node.operations(emitter, &portions, 1, 8).await.unwrap(), found);
    let asked = scripted.asked("eth_getLogs").split_off(start);
    assert!(
        asked
            .iter()
            .all(|params| params[0]["topics"][1].as_array().unwrap().len() <= 64),
        "{asked:?}"
    );
    // One block with more than the node will ever tell.
    emit(&testkit, emitter, 1001, ALICE, 0);
    let error = node.operations(emitter, &of_alice, 1, 9).await.unwrap_err();
    assert_eq!(
        error.answer().unwrap().message,
        "query returned more than 1000 results"
    );
}

#[tokio::test]
async fn a_missing_method_of_the_node_is_done_without() {
    let testkit = Testkit::default();
    testkit.chain().mine();
    let node = limited(&testkit).node();
    let head = node.head().await.unwrap();
    assert_eq!(node.finalized().await.unwrap(), None);
    let fees = node.fees(&head).await.unwrap();
    let base_fee = head.base_fee.unwrap();
    let expected = SuggestedFees {
        max_fee: 2 * base_fee + 1_000_000_000,
        max_priority_fee: 1_000_000_000,
        base_fee,
    };
    assert_eq!(fees, expected);
    assert_eq!(node.chain_id().await.unwrap(), 31337);
    let rich = dev_accounts()[0].address;
    let latest = BlockId::latest();
    assert_eq!(
        node.balance(rich, latest).await.unwrap(),
        testkit.chain().balance(rich)
    );
    assert_eq!(node.code_at(rich, latest).await.unwrap(), Bytes::new());
    let emitter = emitter(&testkit);
    assert_eq!(
        node.code_at(emitter, latest).await.unwrap(),
        testkit.chain().code(emitter)
    );
    emit(&testkit, emitter, 1, ALICE, 0);
    let sender = dev_accounts()[3].address;
    assert_eq!(node.transaction_count(sender, false).await.unwrap(), 1);
    assert_eq!(node.transaction_count(sender, true).await.unwrap(), 1);
    assert_eq!(node.header(BlockId::number(999)).await.unwrap(), None);
    assert_eq!(node.header(B256::repeat_byte(1).into()).await.unwrap(), None);
}

const HEADER: &str = r#"{
    "number": "0x05", "hash": "0x0101010101010101010101010101010101010101010101010101010101010101",
    "parentHash": "0x0202020202020202020202020202020202020202020202020202020202020202", "timestamp": "100",
    "baseFeePerGas": "0x7", "transactions": 7, "logsBloom": "what", "difficulty": null
}"#;

const fn head() -> Head {
    Head {
        number: 5,
        hash: B256::repeat_byte(1),
        parent_hash: B256::repeat_byte(2),
        timestamp: 100,
        base_fee: Some(7),
    }
}

#[tokio::test]
async fn headers_are_read_for_what_is_needed_and_checked() {
    let node = Scripted::says("eth_getBlockByNumber", HEADER).node();
    assert_eq!(node.head().await.unwrap(), head());
    assert_eq!(node.finalized().await.unwrap(), Some(head()));
    assert_eq!(node.header(BlockId::number(5)).await.unwrap(), Some(head()));
    let error = node.header(BlockId::number(6)).await.unwrap_err();
    assert_eq!(error.code(), "unreadable");
    let by_hash = Scripted::says("eth_getBlockByHash", HEADER).node();
    assert_eq!(
        by_hash.header(B256::repeat_byte(1).into()).await.unwrap(),
        Some(head())
    );
    assert_eq!(
        by_hash
            .header(B256::repeat_byte(2).into())
            .await
            .unwrap_err()
            .code(),
        "unreadable"
    );

    // A node that has no newest block may have one later.
    let none = Scripted::says("eth_getBlockByNumber", "null").node();
    let error = none.head().await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("is null"),
        "{error}"
    );
    let old = Scripted::says("eth_getBlockByNumber", HEADER.replace("\"0x7\"", "null")).node();
    assert_eq!(old.head().await.unwrap().base_fee, None);
    let absurd = HEADER.replace("\"0x7\"", &format!("\"0x{}\"", "f".repeat(80)));
    let absurd = Scripted::says("eth_getBlockByNumber", absurd).node();
    assert_eq!(absurd.head().await.unwrap().base_fee, Some(u128::MAX));
    for broken in [
        "[]".to_owned(),
        HEADER.replace("\"0x05\"", "null"),
        HEADER.replace("\"100\"", "\"0x10000000000000000\""),
        HEADER.replace("0x0101", "0x01"),
    ] {
        let error = Scripted::says("eth_getBlockByNumber", broken)
            .node()
            .head()
            .await
            .unwrap_err();
        assert_eq!(error.code(), "unreadable", "{error}");
    }
}

#[tokio::test]
async fn finality_that_a_node_does_not_know_is_none_and_other_errors_are_errors() {
    let with = |code, message: &'static str| Scripted::new(move |_, _| Some(error(code, message))).node();
    for (code, message) in [
        (-39001, "unknown block"),
        (-32000, "finalized block not found"),
        (-32602, "no"),
        (-32000, "'finalized' tag not supported on pre-merge network"),
        (-32000, "invalid argument 0: hex string without 0x prefix"),
        (-32600, "Unsupported block identifier"),
    ] {
        assert_eq!(with(code, message).finalized().await.unwrap(), None, "{message}");
    }
    for (code, message) in [
        (-32603, "internal error"),
        (-32000, "out of memory"),
        (-32005, "rate limit"),
    ] {
        assert!(with(code, message).finalized().await.is_err(), "{message}");
        assert!(
            with(code, message).header(BlockId::number(5)).await.is_err(),
            "{message}"
        );
    }
    assert_eq!(with(-39001, "no").header(BlockId::number(5)).await.unwrap(), None);
    let error = with(-32602, "no").header(BlockId::number(5)).await.unwrap_err();
    assert_eq!(error.code(), "answered");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_before_it_is_read() {
    // Not even hexadecimal.
    let json = format!("\"{}\"", "x".repeat(MAX_ANSWER));
    let node = Scripted::says("eth_call", json).node();
    let error = node
        .call(&TransactionRequest::default(), BlockId::latest())
        .await
        .unwrap_err();
    assert_eq!(error, RequestError::TooLarge { limit: MAX_ANSWER });
    let json = format!("\"0x{}\"", "0".repeat(MAX_ANSWER - 4));
    let node = Scripted::says("eth_call", json).node();
    assert!(
        node.call(&TransactionRequest::default(), BlockId::latest())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn unreadable_results_say_what_was_there() {
    let node = Scripted::says("eth_call", r#"{"oh":"\u001b[2Jhttps://node.example/s3cr3t"}"#).node();
    let error = node
        .call(&TransactionRequest::default(), BlockId::latest())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(r#"cannot read the result of eth_call: {"oh":"#),
        "{text}"
    );
    assert!(!text.contains("s3cr3t") && !text.contains('\u{1b}'), "{text}");
    for json in ["null", "7", "\"0x1\"", "\"\""] {
        let node = Scripted::says("eth_call", json).node();
        let called = node.call(&TransactionRequest::default(), BlockId::latest()).await;
        assert_eq!(called.is_err(), json != "\"\"", "{json}");
    }
    let node = Scripted::says("eth_chainId", "\"1\"").node();
    assert_eq!(node.chain_id().await.unwrap(), 1);
    let node = Scripted::says(
        "eth_getBalance",
        "115792089237316195423570985008687907853269984665640564039457584007913129639935",
    )
    .node();
    assert_eq!(node.balance(ALICE, BlockId::latest()).await.unwrap(), U256::MAX);
}

#[tokio::test]
async fn a_nonce_of_another_lane_is_not_believed() {
    let lane = U192::from(7);
    let with = |nonce: String| Scripted::says("eth_call", format!("\"{nonce}\"")).node();
    let nonce = (U256::from(7) << 64) | U256::from(3);
    let node = with(format!("0x{nonce:064x}"));
    assert_eq!(
        node.nonce(BOB, ALICE, lane, BlockId::latest()).await.unwrap(),
        nonce
    );
    for wrong in [
        format!("0x{:064x}", nonce + (U256::ONE << 64)),
        "0x".to_owned(),
        format!("0x{nonce:064x}00"),
        format!("0x{nonce:0128x}"),
    ] {
        let error = with(wrong.clone())
            .nonce(BOB, ALICE, lane, BlockId::latest())
            .await
            .unwrap_err();
        assert_eq!(error.code(), "unreadable", "{wrong}");
    }
}

const ENTRY_POINT: Address = address!("5FF137D4b0FDCD49DcA30c7CF57E578a026d2789");

/// A log of an operation of Alice's in block 5.
fn log() -> Value {
    json!({
        "address": ENTRY_POINT,
        "topics": [operation_event(), B256::repeat_byte(3), ALICE.into_word(), B256::ZERO],
        "data": format!("0x{:064x}{:064x}{:064x}{:064x}", 9, 1, 20, 30),
        "blockNumber": "0x5", "blockHash": B256::repeat_byte(1), "transactionHash": B256::repeat_byte(4),
        "transactionIndex": null, "logIndex": "0x2", "removed": false
    })
}

fn event() -> OperationEvent {
    OperationEvent {
        user_op_hash: B256::repeat_byte(3),
        sender: ALICE,
        paymaster: None,
        nonce: U256::from(9),
        success: true,
        actual_gas_cost: U256::from(20),
        actual_gas_used: U256::from(30),
        transaction_hash: B256::repeat_byte(4),
        block_number: 5,
        block_hash: B256::repeat_byte(1),
        log_index: 2,
    }
}

fn with(member: &str, value: Value) -> Value {
    let mut log = log();
    *log.pointer_mut(member).unwrap() = value;
    log
}

async fn operations(logs: Value) -> Result<Vec<OperationEvent>, RequestError> {
    let node = Scripted::says("eth_getLogs", logs.to_string()).node();
    let filter = OperationFilter::of(ALICE).hashes([B256::repeat_byte(3), B256::repeat_byte(8)]);
    node.operations(ENTRY_POINT, &filter, 3, 6).await
}

#[tokio::test]
async fn the_filter_asks_for_exactly_what_is_wanted() {
    let node = Scripted::says("eth_getLogs", "[]");
    let filter = OperationFilter::of(ALICE).hashes([hash(1), hash(2)]);
    node.node().operations(ENTRY_POINT, &filter, 3, 20).await.unwrap();
    let all = OperationFilter::default();
    node.node().operations(ENTRY_POINT, &all, 3, 3).await.unwrap();
    let topic = b256!("49628fd1471006c1482da88028e9ce4dbb080b815c9b0344d39e5a8e6ec1419f");
    assert_eq!(
        node.asked("eth_getLogs"),
        [
            json!([{ "address": ENTRY_POINT, "fromBlock": "0x3", "toBlock": "0x14",
                "topics": [topic, [hash(1), hash(2)], ALICE.into_word()] }]),
            json!([{ "address": ENTRY_POINT, "fromBlock": "0x3", "toBlock": "0x3", "topics": [topic, null, null] }]),
        ]
    );
}

#[tokio::test]
async fn logs_that_were_not_asked_for_are_left_out() {
    assert_eq!(operations(json!([log(), log()])).await.unwrap(), [event()]);
    assert_eq!(operations(Value::Null).await.unwrap(), []);
    for other in [
        with("/address", json!(ALICE)),
        with("/topics/0", json!(B256::ZERO)),
        with("/topics", json!([])),
        with("/topics/1", json!(B256::repeat_byte(7))),
        with("/topics/2", json!(BOB.into_word())),
        with("/blockNumber", json!("0x2")),
        with("/blockNumber", json!(7)),
        with("/removed", json!(true)),
        with("/removed", json!("true")),
    ] {
        assert_eq!(
            operations(json!([other, log()])).await.unwrap(),
            [event()],
            "{other}"
        );
    }
    // Two of one hash, as after a reorganization that the node has not understood: the caller has
    // to see both.
    let twice = operations(json!([with("/blockHash", json!(B256::repeat_byte(9))), log()]))
        .await
        .unwrap();
    assert_eq!(twice.len(), 2);
    let ordered = operations(json!([
        with("/blockNumber", json!(6)),
        with("/logIndex", json!(1)),
        log()
    ]))
    .await
    .unwrap();
    let places: Vec<_> = ordered
        .iter()
        .map(|event| (event.block_number, event.log_index))
        .collect();
    assert_eq!(places, [(5, 1), (5, 2), (6, 2)]);
}

#[tokio::test]
async fn logs_are_read_in_every_form_and_malformed_ones_are_errors() {
    for same in [
        with("/blockNumber", json!("5")),
        with("/blockNumber", json!("0x0005")),
        with("/logIndex", json!(2)),
        with("/transactionIndex", json!("")),
        with("/removed", Value::Null),
        with("/removed", json!("false")),
    ] {
        assert_eq!(operations(json!([same])).await.unwrap(), [event()], "{same}");
    }
    let failed = with(
        "/data",
        json!(format!("0x{:064x}{:064x}{:064x}{:064x}", 9, 0, 20, 30)),
    );
    assert!(!operations(json!([failed])).await.unwrap()[0].success);
    let paid = with("/topics/3", json!(BOB.into_word()));
    assert_eq!(operations(json!([paid])).await.unwrap()[0].paymaster, Some(BOB));
    let topics = log()["topics"].as_array().unwrap().clone();
    for malformed in [
        with("/address", json!("0x12")),
        with("/topics", json!(topics[..3])),
        with("/topics", json!([topics.as_slice(), &topics[..1]].concat())),
        with("/topics/1", json!("0x03")),
        with("/data", json!("0x")),
        with("/data", json!(log()["data"].as_str().unwrap()[..200])),
        with(
            "/data",
            json!(format!("0x{:064x}{:064x}{:064x}{:064x}", 9, 2, 20, 30)),
        ),
        with("/blockNumber", Value::Null),
        with("/blockNumber", json!("five")),
        with("/blockHash", Value::Null),
        with("/transactionHash", json!("")),
        with("/logIndex", Value::Null),
        json!("log"),
        Value::Null,
    ] {
        let error = operations(json!([log(), malformed])).await.unwrap_err();
        assert_eq!(error.code(), "unreadable", "{malformed}");
        assert!(error.to_string().chars().count() < 500, "{error}");
    }
    assert_eq!(operations(json!({})).await.unwrap_err().code(), "unreadable");
}

#[tokio::test]
async fn an_error_that_is_not_about_size_is_returned_at_once() {
    for (code, message) in [
        (-32603, "internal error"),
        (-32005, "rate limit exceeded"),
        (-32000, "block range extends beyond current head block"),
    ] {
        let scripted = Scripted::new(move |_, _| Some(error(code, message)));
        let filter = OperationFilter::of(ALICE);
        let error = scripted
            .node()
            .operations(ENTRY_POINT, &filter, 0, 1000)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(scripted.asked("eth_getLogs").len(), 1);
    }
    // Too large to be read is about size, and so is what the node says in words of its own, down to
    // the last block.
    let huge = format!("\"{}\"", "x".repeat(MAX_ANSWER));
    let scripted = Scripted::new(move |_, params| {
        Some(if range(params) > 3 {
            result(&huge)
        } else {
            result("[]")
        })
    });
    let filter = OperationFilter::of(ALICE);
    assert_eq!(
        scripted
            .node()
            .operations(ENTRY_POINT, &filter, 0, 9)
            .await
            .unwrap(),
        []
    );
    let scripted = Scripted::new(|_, _| Some(error(-32602, "block range is too wide")));
    let found = scripted
        .node()
        .operations(ENTRY_POINT, &filter, 0, 1000)
        .await
        .unwrap_err();
    assert_eq!(found.code(), "answered");
    let sizes: Vec<_> = scripted.asked("eth_getLogs").iter().map(range).collect();
    assert_eq!(sizes, [1001, 500, 250, 125, 62, 31, 15, 7, 3, 1]);
}

fn receipt() -> Value {
    json!({
        "transactionHash": B256::repeat_byte(4), "blockHash": B256::repeat_byte(1), "blockNumber": 5, "status": "0x1",
        "gasUsed": "21000", "logs": [log()], "type": "0x7e", "l1Fee": "what", "from": null
    })
}

#[tokio::test]
async fn receipts_are_read_for_what_is_needed_and_checked() {
    let asked = B256::repeat_byte(4);
    let of = |receipt: Value| Scripted::says("eth_getTransactionReceipt", receipt.to_string()).node();
    let found = of(receipt()).receipt(asked).await.unwrap().unwrap();
    assert_eq!(
        (found.transaction_hash, found.block_hash, found.block_number),
        (asked, B256::repeat_byte(1), 5)
    );
    assert_eq!(
        (found.success, found.gas_used),
        (Some(true), Some(U256::from(21000)))
    );
    assert_eq!(found.effective_gas_price, None);
    assert_eq!(found.operations(ENTRY_POINT), [event()]);
    assert_eq!(found.logs[0].address(), ENTRY_POINT);

    let set = |member: &str, value: Value| {
        let mut receipt = receipt();
        *receipt.pointer_mut(member).unwrap() = value;
        of(receipt)
    };
    for pending in [
        of(Value::Null),
        set("/blockHash", Value::Null),
        set("/blockNumber", json!("")),
    ] {
        assert_eq!(pending.receipt(asked).await.unwrap(), None);
    }
    for broken in [
        set("/transactionHash", json!(B256::ZERO)),
        set("/logs", Value::Null),
        set("/logs/0/address", Value::Null),
        set("/logs/0/transactionHash", json!(B256::ZERO)),
        set("/logs/0/blockHash", json!(B256::ZERO)),
        set("/status", json!("what")),
    ] {
        assert_eq!(broken.receipt(asked).await.unwrap_err().code(), "unreadable");
    }
    let silent = set("/status", Value::Null).receipt(asked).await.unwrap().unwrap();
    assert_eq!(silent.success, None);
    let reverted = set("/status", json!(0)).receipt(asked).await.unwrap().unwrap();
    assert_eq!(reverted.success, Some(false));
    // What the receipt itself says need not stand in each log.
    let bare = json!({ "address": ENTRY_POINT, "topics": log()["topics"], "data": log()["data"] });
    let bare = set("/logs", json!([with("/address", json!(ALICE)), bare]));
    let bare = bare.receipt(asked).await.unwrap().unwrap();
    let expected = OperationEvent {
        log_index: 1,
        ..event()
    };
    assert_eq!(bare.operations(ENTRY_POINT), [expected]);
    let removed = set("/logs/0/removed", json!(true))
        .receipt(asked)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(removed.operations(ENTRY_POINT), []);
}

#[tokio::test]
async fn fees_fall_back_step_by_step() {
    let history =
        json!({ "baseFeePerGas": ["0x1", "0x2", "0x64"], "reward": [["0x3"], ["0x0"], ["0x5"], ["9"]] });
    let of = |answers: &[(&'static str, Value)]| {
        let answers = answers.to_vec();
        Scripted::new(move |method, _| {
            let found = answers.iter().find(|(name, _)| *name == method);
            Some(match found {
                Some((_, json)) => result(&json.to_string()),
                None => error(-32601, "no such method"),
            })
        })
        .node()
    };
    let fees = |base_fee, max_priority_fee, max_fee| SuggestedFees {
        max_fee,
        max_priority_fee,
        base_fee,
    };
    let priority = ("eth_maxPriorityFeePerGas", json!("0x6"));
    let price = ("eth_gasPrice", json!(50));
    let gwei = 1_000_000_000;
    for (answers, expected) in [
        (
            vec![("eth_feeHistory", history.clone()), priority.clone()],
            fees(100, 5, 205),
        ),
        // Nobody paid any; nothing is told of it; the chain fills in zeros.
        (
            vec![(
                "eth_feeHistory",
                json!({ "baseFeePerGas": [1, 2], "reward": [["0x0"]] }),
            )],
            fees(2, 1, 5),
        ),
        (
            vec![
                (
                    "eth_feeHistory",
                    json!({ "baseFeePerGas": [1, 2], "reward": null }),
                ),
                priority.clone(),
            ],
            fees(2, 6, 10),
        ),
        (
            vec![
                ("eth_feeHistory", json!({ "baseFeePerGas": [0, 0], "reward": [] })),
                priority.clone(),
            ],
            fees(7, 6, 20),
        ),
        (
            vec![("eth_feeHistory", Value::Null), priority.clone()],
            fees(7, 6, 20),
        ),
        (
            vec![("eth_feeHistory", json!("what")), priority.clone(), price.clone()],
            fees(7, 6, 20),
        ),
        (vec![price.clone()], fees(7, 43, 57)),
        (vec![("eth_gasPrice", json!("0x3"))], fees(7, 0, 14)),
        (vec![("eth_gasPrice", Value::Null)], fees(7, gwei, 14 + gwei)),
        (vec![], fees(7, gwei, 14 + gwei)),
    ] {
        assert_eq!(of(&answers).fees(&head()).await.unwrap(), expected, "{answers:?}");
    }
    let before_1559 = Head {
        base_fee: None,
        ..head()
    };
    assert_eq!(
        of(&[price, priority]).fees(&before_1559).await.unwrap(),
        fees(0, 50, 50)
    );
    assert!(of(&[]).fees(&before_1559).await.is_err());
}

#[tokio::test]
async fn absurd_fees_saturate_and_a_node_that_cannot_be_asked_is_an_error() {
    let largest = format!("0x{:x}", u128::MAX);
    let beyond = format!("0x1{}", "0".repeat(64));
    for fee in [largest, beyond] {
        for (method, answer) in [
            (
                "eth_feeHistory",
                json!({ "baseFeePerGas": [fee, fee], "reward": [[fee]] }),
            ),
            ("eth_maxPriorityFeePerGas", json!(fee)),
            ("eth_gasPrice", json!(fee)),
        ] {
            let node = Scripted::says(method, answer.to_string()).node();
            for base_fee in [Some(7), Some(u128::MAX)] {
                let fees = node.fees(&Head { base_fee, ..head() }).await.unwrap();
                assert_eq!(fees.max_fee, u128::MAX, "{method}");
            }
        }
    }
    let limited = Scripted::new(|_, _| Some(error(-32005, "rate limit exceeded")));
    assert_eq!(
        limited.node().fees(&head()).await.unwrap_err().code(),
        "rate_limited"
    );
    assert_eq!(limited.asked("eth_feeHistory").len(), 1);
}

#[tokio::test]
async fn tags_and_hashes_are_named_as_nodes_expect() {
    let scripted = Scripted::says("eth_call", "\"0x\"");
    let node = scripted.node();
    let request = TransactionRequest::default().to(ALICE);
    for at in [
        BlockId::latest(),
        BlockId::number(16),
        B256::repeat_byte(1).into(),
        BlockNumberOrTag::Pending.into(),
    ] {
        node.call(&request, at).await.unwrap();
    }
    let blocks: Vec<_> = scripted
        .asked("eth_call")
        .iter()
        .map(|params| params[1].clone())
        .collect();
    assert_eq!(
        blocks,
        [
            json!("latest"),
            json!("0x10"),
            json!({ "blockHash": B256::repeat_byte(1) }),
            json!("pending")
        ]
    );
}

/// A node that has forgotten old transactions shows nothing of one that was included. That is no proof that
/// it never will be: only the transaction that used its nonce is.
#[tokio::test(start_paused = true)]
async fn a_transaction_is_void_only_if_the_one_that_used_its_nonce_is_seen() {
    let testkit = Testkit::default();
    let forgetful = Scripted {
        chain: testkit.transport().into_box_transport(),
        ..Scripted::new(|method, _| match method {
            "eth_getTransactionReceipt" | "eth_getTransactionByHash" => Some(result("null")),
            _ => None,
        })
    };
    let [account, ..] = dev_accounts();
    let signer = account.signer();
    let sender = TransactionSender::new(wire::provider(forgetful), 31_337);
    let bounds = Bounds::on_chain(31_337);
    let to = |byte| {
        let to = Address::repeat_byte(byte);
        sender.sign(to, U256::ONE, Bytes::new(), &bounds, &signer)
    };
    let (ours, others) = (to(1).await.unwrap(), to(2).await.unwrap());
    assert_eq!(ours.nonce, others.nonce);
    sender.hand_over(&ours).await.unwrap();
    // Blocks on top, so that the one in question has to be looked for.
    for _ in 0..5 {
        testkit.chain().mine();
    }
    let kept = std::slice::from_ref(&ours);
    let open = sender.wait(account.address, kept).await.unwrap_err();
    assert!(open.is_open(), "{open}");
    let kept = std::slice::from_ref(&others);
    assert_eq!(
        sender.wait(account.address, kept).await.unwrap(),
        TransactionEnd::Void
    );
}

/// A reorganization can undo the block of the transaction that used the nonce: until it is final, the others
/// can still be included.
#[tokio::test(start_paused = true)]
async fn a_transaction_is_void_only_once_the_block_that_used_its_nonce_is_final() {
    let testkit = Testkit::default();
    testkit.chain().set_finality_distances(64, 64);
    let [account, ..] = dev_accounts();
    let signer = account.signer();
    let sender = TransactionSender::new(testkit.provider(), 31_337);
    let bounds = Bounds::on_chain(31_337);
    let to = |byte| {
        let to = Address::repeat_byte(byte);
        sender.sign(to, U256::ONE, Bytes::new(), &bounds, &signer)
    };
    let (ours, other) = (to(1).await.unwrap(), to(2).await.unwrap());
    sender.hand_over(&other).await.unwrap();
    let block = testkit.chain().block_number();
    testkit.chain().mine();
    let kept = std::slice::from_ref(&ours);
    let open = sender.wait(account.address, kept).await.unwrap_err();
    assert_eq!(
        open,
        SendError::NonceUsed {
            transaction: ours.hash,
            by: other.hash,
            block
        }
    );
    assert!(open.is_open());

    // It is undone, and ours takes its place.
    testkit.chain().reorganize(2, |_| Fate::Dropped).unwrap();
    sender.hand_over(&ours).await.unwrap();
    let end = sender.wait(account.address, kept).await.unwrap();
    assert!(matches!(end, TransactionEnd::Included(receipt) if receipt.transaction_hash == ours.hash));
    let kept = std::slice::from_ref(&other);
    assert!(sender.wait(account.address, kept).await.is_err());
    for _ in 0..64 {
        testkit.chain().mine();
    }
    let end = sender.wait(account.address, kept).await.unwrap();
    assert_eq!(end, TransactionEnd::Void);
}

/// A wait ends after three minutes, and 64 blocks take longer on many chains: how long finality stands still
/// is known from wait to wait.
#[tokio::test(start_paused = true)]
async fn a_finalized_block_that_stands_still_from_wait_to_wait_is_ignored() {
    let testkit = Testkit::default();
    testkit.chain().set_finality_distances(1_000_000, 1_000_000);
    let [account, ..] = dev_accounts();
    let signer = account.signer();
    let sender = TransactionSender::new(testkit.provider(), 31_337);
    let bounds = Bounds::on_chain(31_337);
    let to = |byte| {
        let to = Address::repeat_byte(byte);
        sender.sign(to, U256::ONE, Bytes::new(), &bounds, &signer)
    };
    let (ours, other) = (to(1).await.unwrap(), to(2).await.unwrap());
    sender.hand_over(&other).await.unwrap();
    let kept = std::slice::from_ref(&ours);
    let wait = |blocks: usize, sender: &TransactionSender| {
        (0..blocks).for_each(|_| testkit.chain().mine());
        let sender = sender.clone();
        async move { sender.wait(account.address, kept).await }
    };
    // Deep enough, but the finalized block was not seen to stand still so long.
    for blocks in [80, 30, 33] {
        let open = wait(blocks, &sender).await.unwrap_err();
        assert_eq!(open.code(), "nonce_used");
    }
    // Another sender begins anew.
    let another = TransactionSender::new(testkit.provider(), 31_337);
    assert!(wait(1, &another).await.is_err());
    assert_eq!(wait(0, &sender).await, Ok(TransactionEnd::Void));
}

/// Only archives know the nonces of long ago, but all nodes have the blocks.
#[tokio::test(start_paused = true)]
async fn a_transaction_is_void_although_the_state_of_the_block_that_used_its_nonce_is_gone() {
    let testkit = Testkit::default();
    let [account, ..] = dev_accounts();
    let signer = account.signer();
    let sender = TransactionSender::new(testkit.provider(), 31_337);
    let bounds = Bounds::on_chain(31_337);
    let to = |byte| {
        let to = Address::repeat_byte(byte);
        sender.sign(to, U256::ONE, Bytes::new(), &bounds, &signer)
    };
    let (ours, others) = (to(1).await.unwrap(), to(2).await.unwrap());
    sender.hand_over(&others).await.unwrap();
    for (blocks, on_top) in [(1, 1), (2, 5), (7, 20), (13, 40)] {
        while testkit.chain().block_number() < on_top {
            testkit.chain().mine();
        }
        let pruned = testkit.node(NodeOptions {
            pruned_state: Some(PrunedState {
                blocks,
                words: PrunedWords::default(),
            }),
            ..NodeOptions::default()
        });
        let sender = TransactionSender::new(pruned.provider(), 31_337);
        let end = sender.wait(account.address, std::slice::from_ref(&ours)).await;
        assert_eq!(end, Ok(TransactionEnd::Void), "{blocks} of {on_top}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_does_not_pay_the_base_fee_any_more_is_replaced() {
    let testkit = Testkit::default();
    let [account, ..] = dev_accounts();
    let signer = account.signer();
    let sender = TransactionSender::new(testkit.provider(), 31_337);
    let bounds = Bounds::on_chain(31_337);
    let to = Address::repeat_byte(7);
    let stuck = sender
        .sign(to, U256::ONE, Bytes::from_static(b"data"), &bounds, &signer)
        .await
        .unwrap();
    testkit.chain().set_automine(false);
    sender.hand_over(&stuck).await.unwrap();
    let mut kept = vec![stuck.clone()];
    let replacement = sender.replacement(&kept, &bounds, &signer).await.unwrap();
    assert_eq!(replacement, None, "its fees are enough");

    testkit.chain().set_next_base_fee(10_000_000_000);
    testkit.chain().mine();
    let replacement = sender.replacement(&kept, &bounds, &signer).await.unwrap();
    let replacement = replacement.expect("its fees are too low");
    assert_eq!(replacement.nonce, stuck.nonce);
    assert_eq!(replacement.call(), stuck.call());
    assert_eq!(replacement.call().unwrap().target, to);
    let fees = |signed: &SignedTransaction| {
        let transaction = TxEnvelope::decode_2718_exact(&signed.raw).unwrap();
        (
            transaction.max_fee_per_gas(),
            transaction.max_priority_fee_per_gas().unwrap(),
        )
    };
    let (old, new) = (fees(&stuck), fees(&replacement));
    assert!(
        new.0 * 8 >= old.0 * 9 && new.1 * 8 >= old.1 * 9,
        "{old:?} {new:?}"
    );
    kept.push(replacement.clone());
    testkit.chain().set_automine(true);
    let end = sender.take_up(account.address, &kept).await.unwrap();
    assert!(matches!(end, TransactionEnd::Included(receipt) if receipt.transaction_hash == replacement.hash));
    // Whichever is included answers for all of them.
    kept.reverse();
    let end = sender.take_up(account.address, &kept).await.unwrap();
    assert!(matches!(end, TransactionEnd::Included(receipt) if receipt.transaction_hash == replacement.hash));
    assert_eq!(sender.replacement(&kept, &bounds, &signer).await.unwrap(), None);

    // Nothing is signed over the bounds.
    let stuck = sender
        .sign(to, U256::ONE, Bytes::new(), &bounds, &signer)
        .await
        .unwrap();
    testkit.chain().set_automine(false);
    sender.hand_over(&stuck).await.unwrap();
    testkit.chain().set_next_base_fee(100_000_000_000_000);
    testkit.chain().mine();
    let refused = sender.replacement(&[stuck], &bounds, &signer).await.unwrap_err();
    assert!(matches!(refused, SendError::OverBound(_)), "{refused}");
}
