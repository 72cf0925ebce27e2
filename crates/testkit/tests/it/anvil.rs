//! Sends the same requests to the testkit and to anvil, and compares the answers.
//!
//! Requires anvil on the `PATH`, or installed in this repository by `npm ci --ignore-scripts`; skipped
//! otherwise.

use alloy::transports::{RpcError, TransportErrorKind};
use serde_json::{Value, json};
use session_key_testkit::{ChainConfig, Testkit};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const GENESIS: u64 = 1_750_000_000;

/// What must agree.
#[derive(Clone, Copy, Debug)]
enum Agree {
    /// Everything.
    Exactly,
    /// Members and kinds of values, but not the values, which contain times or hashes.
    InShape,
    /// Error code and data, and this prefix of both messages.
    OnError(&'static str),
}
use Agree::{Exactly, InShape, OnError};

const ALICE: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const BOB: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const STRANGER: &str = "0x00000000000000000000000000000000000a11ce";
/// Reverts with its input.
const REVERTER: &str = "0x0000000000000000000000000000000000001111";
/// Emits its input as a log with topic 7.
const LOGGER: &str = "0x0000000000000000000000000000000000002222";
/// Returns the block's number, time and base fee.
const CLOCK: &str = "0x0000000000000000000000000000000000003333";
/// The EIP-2935 contract.
const HISTORY: &str = "0x0000f90827f1c53a10cb7a02335b175320002935";
/// Runs into an invalid opcode.
const HALTER: &str = "0x0000000000000000000000000000000000004444";

/// The requests. `$hash` and `$block` stand for the hashes of the last transaction and its block.
fn conversation() -> Vec<(&'static str, Value, Agree)> {
    let topic = "0x0000000000000000000000000000000000000000000000000000000000000007";
    let zero_hash = "0x0000000000000000000000000000000000000000000000000000000000000000";
    let error_string = "0x08c379a00000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000b6e6f7420616c6c6f776564000000000000000000000000000000000000000000";
    let panic = "0x4e487b710000000000000000000000000000000000000000000000000000000000000011";
    vec![
        ("eth_chainId", json!([]), Exactly),
        ("net_version", json!([]), Exactly),
        ("web3_clientVersion", json!([]), InShape),
        ("eth_accounts", json!([]), Exactly),
        ("eth_syncing", json!([]), Exactly),
        ("eth_blockNumber", json!([]), Exactly),
        ("eth_getBalance", json!([ALICE, "latest"]), Exactly),
        ("eth_getBlockByNumber", json!(["0x0", false]), InShape),
        ("eth_getBlockByNumber", json!(["0x99", false]), Exactly),
        ("anvil_setCode", json!([REVERTER, "0x365f5f37365ffd"]), Exactly),
        (
            "anvil_setCode",
            json!([LOGGER, "0x365f5f376007365fa100"]),
            Exactly,
        ),
        (
            "anvil_setCode",
            json!([CLOCK, "0x435f524260205248604052606 05ff3".replace(' ', "")]),
            Exactly,
        ),
        ("anvil_setCode", json!([HALTER, "0xfe"]), Exactly),
        ("eth_getCode", json!([REVERTER, "latest"]), Exactly),
        ("eth_getCode", json!([STRANGER, "latest"]), Exactly),
        ("eth_call", json!([{"to": CLOCK}, "latest"]), InShape),
        ("eth_call", json!([{"to": STRANGER}, "latest"]), Exactly),
        (
            "eth_call",
            json!([{"to": REVERTER}, "latest"]),
            OnError("execution reverted"),
        ),
        (
            "eth_call",
            json!([{"to": REVERTER, "data": error_string}, "latest"]),
            OnError("execution reverted: not allowed"),
        ),
        (
            "eth_call",
            json!([{"to": REVERTER, "data": panic}, "latest"]),
            OnError("execution reverted: panic"),
        ),
        (
            "eth_call",
            json!([{"to": REVERTER, "data": "0x5b051d22"}, "latest"]),
            OnError("execution reverted"),
        ),
        (
            "eth_estimateGas",
            json!([{"to": REVERTER, "data": "0x5b051d22"}]),
            OnError("execution reverted"),
        ),
        (
            "eth_call",
            json!([{"to": HALTER}, "latest"]),
            OnError("EVM error InvalidFEOpcode"),
        ),
        (
            "eth_call",
            json!([{"to": STRANGER}, "0x99"]),
            OnError("BlockOutOfRangeError"),
        ),
        (
            "eth_call",
            json!([{"to": STRANGER}, {"blockHash": zero_hash}]),
            OnError(""),
        ),
        (
            "eth_getBalance",
            json!([STRANGER, "0x99"]),
            OnError("BlockOutOfRangeError"),
        ),
        (
            "eth_call",
            json!([{"from": STRANGER, "to": BOB, "value": "0x1"}, "latest"]),
            OnError("Insufficient funds for gas * price + value"),
        ),
        (
            "eth_call",
            json!([{"to": STRANGER}, "latest", {STRANGER: {"code": "0x60016000f3"}}]),
            Exactly,
        ),
        (
            "eth_estimateGas",
            json!([{"from": ALICE, "to": BOB, "value": "0x1"}]),
            Exactly,
        ),
        (
            "eth_estimateGas",
            json!([{"from": ALICE, "to": LOGGER, "data": "0x010203"}]),
            Exactly,
        ),
        (
            "eth_estimateGas",
            json!([{"from": ALICE, "to": LOGGER, "data": "0x010203", "gas": "0x5300"}]),
            OnError(""),
        ),
        ("eth_gasPrice", json!([]), InShape),
        ("eth_maxPriorityFeePerGas", json!([]), Exactly),
        ("eth_feeHistory", json!(["0x2", "latest", [25.0, 75.0]]), InShape),
        (
            "eth_sendTransaction",
            json!([{"from": ALICE, "to": LOGGER, "data": "0xabcd"}]),
            InShape,
        ),
        ("eth_blockNumber", json!([]), Exactly),
        ("eth_getTransactionCount", json!([ALICE, "latest"]), Exactly),
        ("eth_getTransactionCount", json!([ALICE, "0x0"]), Exactly),
        ("eth_getTransactionByHash", json!(["$hash"]), InShape),
        ("eth_getTransactionReceipt", json!(["$hash"]), InShape),
        ("eth_getTransactionReceipt", json!([zero_hash]), Exactly),
        ("eth_getTransactionByHash", json!([zero_hash]), Exactly),
        ("eth_getBlockByNumber", json!(["latest", true]), InShape),
        ("eth_getBlockByNumber", json!(["latest", false]), InShape),
        ("eth_getBlockByNumber", json!(["pending", false]), InShape),
        ("eth_getBlockByHash", json!(["$block", false]), InShape),
        ("eth_getBlockByHash", json!([zero_hash, false]), Exactly),
        ("eth_getBlockReceipts", json!(["latest"]), InShape),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "topics": [topic]}]),
            InShape,
        ),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "topics": [zero_hash]}]),
            Exactly,
        ),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "address": [BOB]}]),
            Exactly,
        ),
        (
            "eth_getLogs",
            json!([{"blockHash": "$block", "address": LOGGER}]),
            InShape,
        ),
        ("eth_getLogs", json!([{"blockHash": zero_hash}]), OnError("")),
        (
            "eth_sendTransaction",
            json!([{"from": STRANGER, "to": BOB}]),
            OnError("No Signer available"),
        ),
        ("anvil_impersonateAccount", json!([STRANGER]), Exactly),
        (
            "anvil_setBalance",
            json!([STRANGER, "0xde0b6b3a7640000"]),
            Exactly,
        ),
        ("eth_getBalance", json!([STRANGER, "latest"]), Exactly),
        (
            "eth_sendTransaction",
            json!([{"from": STRANGER, "to": BOB, "value": "0x1"}]),
            InShape,
        ),
        ("eth_getTransactionByHash", json!(["$hash"]), InShape),
        ("eth_getTransactionReceipt", json!(["$hash"]), InShape),
        ("anvil_stopImpersonatingAccount", json!([STRANGER]), Exactly),
        (
            "eth_sendTransaction",
            json!([{"from": ALICE, "to": REVERTER, "gas": "0x186a0"}]),
            InShape,
        ),
        ("eth_getTransactionReceipt", json!(["$hash"]), InShape),
        (
            "eth_sendTransaction",
            json!([{"from": ALICE, "data": "0x6001600c60003960016000f300"}]),
            InShape,
        ),
        ("eth_getTransactionReceipt", json!(["$hash"]), InShape),
        ("anvil_setNonce", json!([STRANGER, "0x7"]), Exactly),
        ("eth_getTransactionCount", json!([STRANGER, "latest"]), Exactly),
        ("anvil_setStorageAt", json!([CLOCK, "0x0", topic]), Exactly),
        ("eth_getStorageAt", json!([CLOCK, "0x0", "latest"]), Exactly),
        ("eth_getStorageAt", json!([CLOCK, "0x1", "latest"]), Exactly),
        ("evm_snapshot", json!([]), Exactly),
        ("evm_mine", json!([]), Exactly),
        ("eth_blockNumber", json!([]), Exactly),
        ("evm_revert", json!(["0x0"]), Exactly),
        ("evm_revert", json!(["0x0"]), Exactly),
        ("eth_blockNumber", json!([]), Exactly),
        ("evm_setNextBlockTimestamp", json!([GENESIS + 1_000_000]), Exactly),
        ("evm_mine", json!([]), Exactly),
        ("eth_getBlockByNumber", json!(["latest", false]), InShape),
        ("eth_call", json!([{"to": CLOCK}, "latest"]), Exactly),
        ("evm_setNextBlockTimestamp", json!([GENESIS]), OnError("")),
        ("evm_increaseTime", json!([3600]), InShape),
        ("anvil_mine", json!(["0x3", "0xa"]), Exactly),
        ("eth_blockNumber", json!([]), Exactly),
        (
            "eth_sendRawTransaction",
            json!(["0x1234"]),
            OnError("Failed to decode transaction"),
        ),
        ("eth_sendRawTransaction", json!([]), OnError("")),
        ("eth_getBalance", json!(["0x12", "latest"]), OnError("")),
        ("eth_notAMethod", json!([]), OnError("")),
        ("eth_getCode", json!([HISTORY, "latest"]), Exactly),
        ("anvil_setAutomine", json!([false]), Exactly),
        ("anvil_getAutomine", json!([]), Exactly),
        (
            "eth_sendTransaction",
            json!([{"from": BOB, "to": LOGGER, "data": "0xabcd"}]),
            InShape,
        ),
        (
            "eth_sendTransaction",
            json!([{"from": ALICE, "to": LOGGER, "data": "0xabcd"}]),
            InShape,
        ),
        (
            "eth_sendTransaction",
            json!([{"from": ALICE, "to": BOB, "nonce": "0x50"}]),
            InShape,
        ),
        ("eth_getTransactionByHash", json!(["$hash"]), InShape),
        ("eth_getTransactionReceipt", json!(["$hash"]), Exactly),
        ("txpool_status", json!([]), Exactly),
        ("txpool_content", json!([]), InShape),
        ("eth_getTransactionCount", json!([BOB, "latest"]), Exactly),
        ("eth_getTransactionCount", json!([BOB, "pending"]), Exactly),
        ("eth_getTransactionCount", json!([ALICE, "pending"]), Exactly),
        ("eth_getBlockByNumber", json!(["pending", false]), InShape),
        ("anvil_dropTransaction", json!([zero_hash]), Exactly),
        ("evm_mine", json!([]), Exactly),
        ("txpool_status", json!([]), Exactly),
        ("eth_getTransactionCount", json!([BOB, "latest"]), Exactly),
        ("eth_getBlockByNumber", json!(["latest", true]), InShape),
        ("eth_getBlockReceipts", json!(["latest"]), InShape),
        ("eth_getLogs", json!([{"fromBlock": "latest"}]), InShape),
    ]
}

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
struct Failure {
    code: i64,
    message: String,
    data: Option<Value>,
}

trait Node {
    fn ask(&mut self, method: &'static str, params: Value) -> Result<Value, Failure>;
}

struct Simulated(Testkit, tokio::runtime::Runtime);

impl Node for Simulated {
    fn ask(&mut self, method: &'static str, params: Value) -> Result<Value, Failure> {
        let answer = self
            .1
            .block_on(self.0.client().request::<_, Value>(method, params));
        answer.map_err(|error: RpcError<TransportErrorKind>| {
            let error = error.as_error_resp().unwrap_or_else(|| panic!("{error}")).clone();
            let data = error.data.map(|data| serde_json::from_str(data.get()).unwrap());
            Failure {
                code: error.code,
                message: error.message.into_owned(),
                data,
            }
        })
    }
}

struct Anvil {
    process: Child,
    url: String,
}

impl Anvil {
    fn start(program: &Path) -> Self {
        let mut process = Command::new(program)
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--chain-id",
                "31337",
                "--hardfork",
                "prague",
            ])
            .args(["--timestamp", &GENESIS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let address = stdout
            .lines()
            .find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        Self {
            process,
            url: format!("http://{address}"),
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // npm installs a wrapper that forwards SIGTERM to the real program; SIGKILL would orphan it.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Node for Anvil {
    fn ask(&mut self, method: &'static str, params: Value) -> Result<Value, Failure> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer: Value = ureq::post(&self.url)
            .send_json(request)
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        match answer.get_mut("error").map(Value::take) {
            None => Ok(answer["result"].take()),
            Some(error) => Err(Failure {
                code: error["code"].as_i64().unwrap(),
                message: error["message"].as_str().unwrap().to_owned(),
                data: error.get("data").cloned(),
            }),
        }
    }
}

/// Sends the requests, updating `$hash` and `$block`.
fn converse(node: &mut impl Node) -> Vec<Result<Value, Failure>> {
    let mut known = BTreeMap::from([("$hash", Value::Null), ("$block", Value::Null)]);
    let mut answers = Vec::new();
    let mut automine = true;
    for (method, params, _) in conversation() {
        let mut text = params.to_string();
        for (name, value) in &known {
            text = text.replace(&format!("\"{name}\""), &value.to_string());
        }
        let answer = node.ask(method, serde_json::from_str(&text).unwrap());
        automine &= method != "anvil_setAutomine";
        if let ("eth_sendTransaction", Ok(hash)) = (method, &answer) {
            known.insert("$hash", hash.clone());
            if !automine {
                answers.push(answer);
                continue;
            }
            // anvil answers before the block is mined; two minutes suffice on any machine.
            let receipt = (0..12_000).find_map(|_| {
                let receipt = node.ask("eth_getTransactionReceipt", json!([hash])).unwrap();
                if receipt.is_null() {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                (!receipt.is_null()).then_some(receipt)
            });
            known.insert(
                "$block",
                receipt.expect("the transaction is mined")["blockHash"].clone(),
            );
        }
        answers.push(answer);
    }
    answers
}

/// Reduces a value to its members and the kinds of values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            // anvil adds these to receipts; geth does not.
            .filter(|(name, value)| {
                *name != "blobGasPrice" && (*name != "blockTimestamp" || value.is_string())
            })
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(text) if text.starts_with("0x") => match text.len() {
            42 => "address".into(),
            66 => "word".into(),
            length if length > 66 => "bytes".into(),
            _ => "quantity or bytes".into(),
        },
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        other => other.clone(),
    }
}

fn show(answer: &Result<Value, Failure>) -> String {
    match answer {
        Ok(value) => value.to_string().replace(&"0".repeat(400), "…"),
        Err(failure) => format!("{failure:?}"),
    }
}

fn find_anvil() -> Option<PathBuf> {
    let in_repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node_modules/.bin/anvil");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("anvil"))
        .chain([in_repository])
        .find(|program| program.is_file())
}

#[test]
fn answers_agree_with_anvil() {
    let Some(program) = find_anvil() else {
        // The test's own stderr would be captured.
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "skipped: anvil is not installed (npm ci --ignore-scripts)"
        );
        return;
    };
    let theirs = converse(&mut Anvil::start(&program));
    let testkit = Testkit::new(ChainConfig {
        genesis_timestamp: GENESIS,
        ..Default::default()
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ours = converse(&mut Simulated(testkit, runtime));

    let mut differences = Vec::new();
    for (((method, params, agree), ours), theirs) in conversation().into_iter().zip(ours).zip(theirs) {
        let agreed = match (agree, &ours, &theirs) {
            (Exactly, Ok(ours), Ok(theirs)) => ours == theirs,
            (InShape, Ok(ours), Ok(theirs)) => shape(ours) == shape(theirs),
            (OnError(start), Err(ours), Err(theirs)) => {
                ours.code == theirs.code
                    && ours.data == theirs.data
                    && ours.message.starts_with(start)
                    && theirs.message.starts_with(start)
            }
            _ => false,
        };
        if !agreed {
            differences.push(format!(
                "{method} {params} ({agree:?})\n  ours   {}\n  anvil  {}",
                show(&ours),
                show(&theirs)
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} answers differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
