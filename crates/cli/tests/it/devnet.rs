//! The development network, as other programs use it.

use super::{command, json_of, output, run, text};
use serde_json::{Value, json};
use session_key_client::alloy::primitives::{Address, U256, hex};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A network that runs, and what it printed first.
pub(crate) struct Devnet {
    process: Option<Child>,
    pub(crate) line: Value,
    /// Where the commands run that are given to it, and leave their journals.
    folder: TempDir,
}

impl Devnet {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let all = [&["devnet", "--port", "0", "--json"], arguments].concat();
        let mut process = command(&all, None)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut line = String::new();
        let out = process.stdout.as_mut().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let line = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut problem = String::new();
            let _ = process.kill();
            let errors = process.stderr.as_mut().expect("piped");
            errors.read_to_string(&mut problem).expect("a text");
            panic!("{error}: {line:?} {problem}")
        });
        Self {
            process: Some(process),
            line,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn text(&self, member: &str) -> &str {
        self.line[member].as_str().expect(member)
    }

    fn url(&self) -> &str {
        self.text("rpcUrl")
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let answer = posted(
            self.url(),
            "/any/path",
            &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string(),
        );
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Lets commands use the journals of another network's.
    const fn with_folder_of(mut self, other: &mut Self) -> Self {
        std::mem::swap(&mut self.folder, &mut other.folder);
        self
    }

    /// Runs a command on the account of a generation.
    fn run(&self, generation: usize, arguments: &[&str]) -> Output {
        let account = &self.line["accounts"][generation];
        let name = |member: &str| account[member].as_str().expect(member).to_owned();
        let account = name("account");
        let node = ["--rpc-url", self.url(), "--account", &account, "--json"];
        let all = [arguments, &node].concat();
        let output = command(&all, None)
            .current_dir(self.folder.path())
            .env("SESSION_KEY_BUNDLER_URL", self.text("bundlerUrl"))
            .env("SESSION_KEY_OWNER", name("ownerPrivateKey"))
            .output()
            .expect("the binary runs");
        output::check(&all, &output);
        output
    }

    fn answer(&self, generation: usize, arguments: &[&str]) -> Value {
        let output = self.run(generation, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        json_of(&output)
    }

    /// Asks it to end.
    fn end(mut self) -> Output {
        let process = self.process.take().expect("it runs");
        let signal = Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .status();
        assert!(signal.expect("a signal").success());
        process.wait_with_output().expect("it ends")
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The body of the answer to a POST.
fn posted(url: &str, path: &str, body: &str) -> String {
    let host = url.strip_prefix("http://").expect("HTTP");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.to_owned()
}

/// A wallet's transfer of test tokens, as call data.
fn transfer(amount: u64) -> String {
    let mut data = hex!("a9059cbb").to_vec();
    data.extend(Address::repeat_byte(0x77).into_word());
    data.extend(U256::from(amount).to_be_bytes::<32>());
    hex::encode_prefixed(data)
}

#[test]
fn everything_that_it_prints_is_there() {
    let devnet = Devnet::start(&[]);
    assert_eq!(devnet.ask("eth_chainId", &json!([])), "0x7a69");
    let entry_points = devnet.ask("eth_supportedEntryPoints", &json!([]));
    let printed = devnet.line["entryPoints"].to_string().to_lowercase();
    assert_eq!(entry_points.to_string().to_lowercase(), printed);
    for (name, address) in devnet.line["contracts"].as_object().expect("contracts") {
        let code = devnet.ask("eth_getCode", &json!([address, "latest"]));
        assert!(code.as_str().is_some_and(|code| code.len() > 100), "{name}");
    }
    let unlocked = devnet.ask("eth_accounts", &json!([]));
    let balance = devnet.ask("eth_getBalance", &json!([unlocked[0], "latest"]));
    assert_eq!(balance, "0x21e19e0c9bab2400000");
    let head = devnet.ask("eth_getBlockByNumber", &json!(["latest", false]));
    let base_fee: U256 = head["baseFeePerGas"].as_str().expect("hex").parse().expect("hex");
    assert!(base_fee <= U256::from(1_000_000_000));
    assert_eq!(devnet.ask("debug_bundler_clearState", &json!([])), "ok");
    let output = devnet.end();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn the_other_commands_work_on_both_accounts() {
    let devnet = Devnet::start(&[]);
    let key = devnet.text("sessionKey").to_owned();
    let token = devnet.line["contracts"]["testToken"]
        .as_str()
        .expect("an address");
    for generation in [0, 1] {
        let inspected = devnet.answer(generation, &["inspect"]);
        assert_eq!(inspected["complete"], true);
        assert_eq!(inspected["keys"][0]["address"], *key);
        let call = format!("{token}:{}", transfer(60_000_000));
        let checked = devnet.answer(generation, &["check", &key, "--call", &call]);
        assert_eq!(checked["verdict"], "accepted");
        let call = format!("{token}:{}", transfer(100_000_001));
        let checked = devnet.run(generation, &["check", &key, "--call", &call]);
        assert_eq!(checked.status.code(), Some(1));
        // A v0.7 account has no entities.
        let call = format!("{token}:{}", transfer(1));
        for (entity_id, exit) in [("2147483648", 0), ("77", if generation == 0 { 0 } else { 2 })] {
            let checked = devnet.run(
                generation,
                &["check", &key, "--call", &call, "--entity-id", entity_id],
            );
            assert_eq!(
                checked.status.code(),
                Some(exit),
                "{entity_id}: {}",
                text(&checked.stderr)
            );
        }
        devnet.answer(generation, &["revoke", &key, "--yes"]);
        assert_eq!(devnet.answer(generation, &["inspect"])["keys"], json!([]));
    }
}

#[test]
fn the_bundler_does_as_it_is_told() {
    let options = [
        "--bundling",
        "manual",
        "--min-stake",
        "2 ETH",
        "--min-unstake-delay",
        "86400",
        "--entry-point",
        "v0.6",
    ];
    let devnet = Devnet::start(&options);
    let entry_point = &devnet.line["entryPoints"][0];
    let served = devnet.ask("eth_supportedEntryPoints", &json!([]));
    assert_eq!(
        served.to_string().to_lowercase(),
        json!([entry_point]).to_string().to_lowercase()
    );
    let factory = &devnet.line["contracts"]["accountFactory"];
    let status = devnet.ask("debug_bundler_getStakeStatus", &json!([factory, entry_point]));
    assert_eq!(status["stakeInfo"]["stake"], "1000000000000000000");
    assert_eq!(status["isStaked"], false);

    let key = devnet.text("sessionKey").to_owned();
    let account = &devnet.line["accounts"][0];
    let name = |member: &str| account[member].as_str().expect(member).to_owned();
    let revoking = command(
        &[
            "revoke",
            &key,
            "--yes",
            "--rpc-url",
            devnet.url(),
            "--account",
            &name("account"),
        ],
        None,
    )
    .current_dir(devnet.folder.path())
    .env("SESSION_KEY_BUNDLER_URL", devnet.text("bundlerUrl"))
    .env("SESSION_KEY_OWNER", name("ownerPrivateKey"))
    .stdout(Stdio::null())
    .spawn()
    .expect("the binary runs");
    let waiting = || devnet.ask("debug_bundler_dumpMempool", &json!([entry_point]));
    let patience = Instant::now() + Duration::from_secs(60);
    while waiting() == json!([]) {
        assert!(Instant::now() < patience, "nothing arrives");
        thread::sleep(Duration::from_millis(20));
    }
    // It waits, however often it is asked for.
    assert_eq!(waiting().as_array().map(Vec::len), Some(1));
    devnet.ask("debug_bundler_sendBundleNow", &json!([]));
    let revoked = revoking.wait_with_output().expect("it ends");
    assert_eq!(revoked.status.code(), Some(0));
    assert_eq!(devnet.answer(0, &["inspect"])["keys"], json!([]));
}

#[test]
fn a_chain_is_saved_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (state, env) = (path("state.json"), path("devnet.env"));
    let first = Devnet::start(&["--state", &state, "--env", &env]);
    let accounts = first.line["accounts"].clone();
    let variables = fs::read_to_string(&env).expect("a file");
    assert!(variables.contains(&format!("ETH_RPC_URL={}\n", first.url())));
    assert!(variables.contains(&format!("SESSION_KEY_ACCOUNT={}\n", first.text("account"))));
    let key = first.text("sessionKey").to_owned();
    first.answer(1, &["revoke", &key, "--yes"]);
    let before = first.answer(0, &["inspect"]);
    let head = first.ask("eth_getBlockByNumber", &json!(["latest", true]));
    let old = json!([accounts[0]["account"], "0x1"]);
    let balance = first.ask("eth_getBalance", &old);
    assert_eq!(first.end().status.code(), Some(0));

    let second = Devnet::start(&["--state", &state]);
    let other = run(&["devnet", "--json", "--port", "0", "--state", &state], None);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        text(&other.stderr).contains("is used by another network"),
        "{}",
        text(&other.stderr)
    );
    for generation in [0, 1] {
        let (mut was, mut is) = (
            accounts[generation].clone(),
            second.line["accounts"][generation].clone(),
        );
        let taken = |account: &mut Value| {
            ["isGranted", "isGrantedNow"].map(|member| account[member].take().as_bool().expect(member))
        };
        assert_eq!(taken(&mut was), [true, true]);
        // What was taken away stays away.
        assert_eq!(taken(&mut is), [generation == 0, false]);
        assert_eq!(is, was);
    }
    let number = &head["number"];
    assert_eq!(second.ask("eth_getBlockByNumber", &json!([number, true])), head);
    // The state of an earlier block is there, too.
    assert_eq!(second.ask("eth_getBalance", &old), balance);
    let after = second.answer(0, &["inspect"]);
    assert_eq!(after["keys"], before["keys"]);
    assert_eq!(after["complete"], true);
    assert_eq!(second.answer(1, &["inspect"])["keys"], json!([]));
}

#[test]
fn a_policy_changes_nothing_on_a_chain_that_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let state = path("state.json");
    let first = Devnet::start(&["--state", &state]);
    let key = first.text("sessionKey").to_owned();
    first.answer(0, &["revoke", &key, "--yes"]);
    let of_account = |devnet: &Devnet, generation: usize| {
        let account = devnet.line["accounts"][generation]["account"].clone();
        let nonces = devnet.ask("eth_getTransactionCount", &json!([account, "latest"]));
        let balance = devnet.ask("eth_getBalance", &json!([account, "latest"]));
        let inspected = devnet.answer(generation, &["inspect"]);
        (nonces, balance, inspected["keys"].clone())
    };
    let before = [0, 1].map(|generation| of_account(&first, generation));
    assert_eq!(first.end().status.code(), Some(0));

    let policy = path("policy.toml");
    let shop = Address::repeat_byte(0x77);
    let text = format!("[[allow]]\ncontract = \"{shop}\"\n\n[limits]\ngas = \"0.1 ETH per 7 days\"\n");
    fs::write(&policy, text).expect("written");
    let second = Devnet::start(&["--state", &state, "--policy", &policy]);
    assert_eq!([0, 1].map(|generation| of_account(&second, generation)), before);
    assert_eq!(before[0].2, json!([]));
    // A new network has it on both.
    let new = Devnet::start(&["--policy", &policy]);
    for generation in [0, 1] {
        let line = &new.line["accounts"][generation];
        assert_eq!([&line["isGranted"], &line["isGrantedNow"]], [&json!(true); 2]);
        let keys = new.answer(generation, &["inspect"])["keys"]
            .to_string()
            .to_lowercase();
        assert!(keys.contains(&shop.to_string().to_lowercase()), "{keys}");
    }
}

/// A network that starts anew has the same id, contracts and accounts: what was signed before is valid on it.
#[test]
fn a_journal_is_not_used_on_a_network_that_started_anew() {
    let manual = ["--bundling", "manual"];
    let mut first = Devnet::start(&manual);
    let key = first.text("sessionKey").to_owned();
    let revoke = ["revoke", &key, "--yes"];
    // Signed and sent, and not included.
    let account = first.line["accounts"][0].clone();
    let member = |name: &str| account[name].as_str().expect(name).to_owned();
    let mut open = command(&[&revoke[..], &["--rpc-url", first.url()]].concat(), None)
        .current_dir(first.folder.path())
        .env("SESSION_KEY_ACCOUNT", member("account"))
        .env("SESSION_KEY_BUNDLER_URL", first.text("bundlerUrl"))
        .env("SESSION_KEY_OWNER", member("ownerPrivateKey"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let entry_point = first.line["entryPoints"][0].clone();
    let patience = Instant::now() + Duration::from_secs(60);
    while first.ask("debug_bundler_dumpMempool", &json!([entry_point])) == json!([]) {
        assert!(Instant::now() < patience, "nothing arrives");
        thread::sleep(Duration::from_millis(20));
    }
    open.kill().expect("it runs");
    open.wait().expect("it ends");
    let started = Instant::now();
    // A block's time has whole seconds.
    thread::sleep(Duration::from_millis(1_100));
    let second = Devnet::start(&[]).with_folder_of(&mut first);
    for way in [&[][..], &["--direct"], &["--again"], &["--direct", "--again"]] {
        let output = second.run(0, &[&revoke[..], way].concat());
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(2), "{document}");
        assert_eq!(document["error"]["code"], "journal_of_other_chain", "{document}");
        let message = document["error"]["message"].as_str().expect("a text");
        for part in ["journal.sqlite", "31337", "block 0", "another journal"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(60), "it waited");
    assert_eq!(second.answer(0, &["inspect"])["keys"][0]["address"], *key);
    assert_eq!(
        second.ask("debug_bundler_dumpMempool", &json!([entry_point])),
        json!([])
    );
    // With a journal of its own, it does what it is asked for.
    let other = second.answer(0, &[&revoke[..], &["--journal", "other.sqlite"]].concat());
    assert_eq!(other["ok"], true);
    assert_eq!(second.answer(0, &["inspect"])["keys"], json!([]));
}

#[test]
fn it_starts_on_the_state_of_a_node() {
    let first = Devnet::start(&["--chain-id", "31338"]);
    let url = first.url().to_owned();
    let fork = Devnet::start(&["--fork-url", &url]);
    assert_eq!(fork.line["chainId"], 31_338);
    for (account, of_first) in
        [0, 1].map(|index| (&fork.line["accounts"][index], &first.line["accounts"][index]))
    {
        assert_eq!(account["account"], of_first["account"]);
        assert_eq!(
            [&account["isGranted"], &account["isGrantedNow"]],
            [&json!(true), &json!(false)]
        );
    }
    let key = fork.text("sessionKey").to_owned();
    let token = fork.line["contracts"]["testToken"].as_str().expect("an address");
    let call = format!("{token}:{}", transfer(60_000_000));
    let checked = fork.answer(0, &["check", &key, "--call", &call]);
    assert_eq!(checked["verdict"], "accepted");
}

#[test]
fn a_fork_has_the_nodes_past() {
    let first = Devnet::start(&[]);
    let key = first.text("sessionKey").to_owned();
    let head = first.ask("eth_getBlockByNumber", &json!(["latest", true]));
    let fork = Devnet::start(&["--fork-url", first.url()]);
    // All that a node is asked about what was.
    let transaction = &head["transactions"][0]["hash"];
    for (method, params) in [
        ("eth_getBlockByNumber", json!([head["number"], true])),
        ("eth_getBlockByHash", json!([head["hash"], false])),
        ("eth_getTransactionByHash", json!([transaction])),
        ("eth_getTransactionReceipt", json!([transaction])),
        ("eth_getBalance", json!([first.text("account"), "0x1"])),
        ("eth_getCode", json!([first.text("account"), "earliest"])),
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "toBlock": head["number"]}]),
        ),
    ] {
        let answer = fork.ask(method, &params);
        assert_eq!(answer, first.ask(method, &params), "{method}");
        assert!(!answer.is_null(), "{method}");
    }
    // What the node does later is not on the fork.
    let revoked = first.answer(0, &["revoke", &key, "--yes"]);
    let later = &revoked["transactionHash"];
    assert!(later.is_string(), "{revoked}");
    assert!(
        first
            .ask("eth_getTransactionReceipt", &json!([later]))
            .is_object()
    );
    assert!(fork.ask("eth_getTransactionReceipt", &json!([later])).is_null());
    // Logs of both sides, so that histories are complete.
    for generation in [0, 1] {
        let inspected = fork.answer(generation, &["inspect"]);
        assert_eq!(inspected["complete"], true, "{inspected}");
        assert_eq!(inspected["keys"][0]["address"], *key);
    }
    fork.answer(0, &["revoke", &key, "--yes"]);
    let logs = fork.ask("eth_getLogs", &json!([{"fromBlock": "0x0"}]));
    let before = fork.ask(
        "eth_getLogs",
        &json!([{"fromBlock": "0x0", "toBlock": head["number"]}]),
    );
    let (logs, before) = (logs.as_array().expect("logs"), before.as_array().expect("logs"));
    assert!(logs.len() > before.len() && logs.starts_with(before));
}

#[test]
fn accounts_are_created_and_the_chain_is_checked() {
    let devnet = Devnet::start(&[]);
    let owner = &devnet.line["ownerPrivateKey"];
    let plain = |arguments: &[&str]| {
        let all = [arguments, &["--json"]].concat();
        let output = command(&all, None)
            .current_dir(devnet.folder.path())
            .env("ETH_RPC_URL", devnet.url())
            .env("SESSION_KEY_CHAIN_ID", "31337")
            .env("SESSION_KEY_BUNDLER_URL", devnet.text("bundlerUrl"))
            .env("SESSION_KEY_OWNER", owner.as_str().expect("a key"))
            .output()
            .expect("the binary runs");
        output::check(&all, &output);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{all:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        json_of(&output)
    };
    let doctor = plain(&["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor}");
    let made = plain(&["account", "new", "--salt", "7", "--yes"]);
    let code = devnet.ask("eth_getCode", &json!([made["account"], "latest"]));
    assert!(code.as_str().is_some_and(|code| code.len() > 2), "{made}");

    // The operation that grants a key creates the account.
    let key = devnet.text("sessionKey").to_owned();
    let policy = devnet.folder.path().join("policy.toml");
    let text = format!("[[allow]]\ncontract = \"{key}\"\n\n[limits]\ngas = \"0.1 ETH per 7 days\"\n");
    fs::write(&policy, text).expect("written");
    let computed = plain(&[
        "account",
        "address",
        "--salt",
        "8",
        "--owner",
        devnet.text("owner"),
    ]);
    let account = computed["account"].as_str().expect("an address");
    devnet.ask("anvil_setBalance", &json!([account, "0xde0b6b3a7640000"]));
    let policy = policy.to_str().expect("UTF-8");
    let granted = plain(&["grant", policy, "--key", &key, "--salt", "8", "--yes"]);
    assert_eq!(granted["ok"], true, "{granted}");
    let code = devnet.ask("eth_getCode", &json!([account, "latest"]));
    assert!(code.as_str().is_some_and(|code| code.len() > 2), "{granted}");
}

#[test]
fn what_it_cannot_start_with_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let devnet = Devnet::start(&[]);
    let port = devnet.url().rsplit_once(':').expect("a port").1.to_owned();
    let taken = format!("port {port} of 127.0.0.1");
    let not_json = bad("a.json", "{");
    let other = bad("b.json", r#"{"form":"session-key-testkit chain 9"}"#);
    let policy = bad("policy.toml", "[limits]\ngas = 5\n");
    for (arguments, expected) in [
        (vec!["--port", &port], taken.as_str()),
        (vec!["--state", &not_json], "not a saved chain"),
        (vec!["--state", &other], "not a saved chain"),
        (vec!["--state", "/nowhere/state.json"], "cannot be written"),
        (vec!["--policy", &policy], "policy.toml:2"),
        (vec!["--policy", "nowhere.toml"], "nowhere.toml"),
        (vec!["--fork-url", "http://127.0.0.1:1"], "cannot be reached"),
        (
            vec!["--state", &not_json, "--fork-url", "http://127.0.0.1:1"],
            "cannot be used with",
        ),
    ] {
        let all = [&["devnet", "--json", "--port", "0"][..], &arguments[..]].concat();
        let all: Vec<&str> = if arguments[0] == "--port" {
            [&["devnet", "--json"][..], &arguments[..]].concat()
        } else {
            all
        };
        let output = run(&all, None);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{all:?}: {error}");
        assert!(error.contains(expected), "{all:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    assert!(Path::new(&not_json).exists(), "a bad file stays as it is");
}
