//! The agent's service, as the command runs it.

use super::{command, devnet::Devnet, json_of, output, refused, run, text};
use serde_json::{Value, json};
use session_key_client::alloy::primitives::{Address, U256, hex};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A folder with a token, a policy and a configuration.
struct Setup {
    devnet: Devnet,
    folder: TempDir,
}

/// The command, serving.
struct Serving {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
    first: Value,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Setup {
    fn new() -> Self {
        let setup = Self {
            devnet: Devnet::start(&[]),
            folder: tempfile::tempdir().expect("a folder"),
        };
        let made = setup.json(0, &["agent", "token", &setup.path("token"), "--json"]);
        let hash = made["tokenHash"].as_str().expect("a hash");
        let token = setup.devnet.line["contracts"]["testToken"]
            .as_str()
            .expect("a token");
        setup.write(
            "shop.toml",
            &format!(
                "[tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[agent]\nwindows = [\"5 TUSD per 1 day\"]\n"
            ),
        );
        setup.write(
            "clients.toml",
            &format!("[[clients]]\nname = \"shop\"\ntoken_hash = \"{hash}\"\npolicy = \"shop.toml\"\n"),
        );
        setup
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file");
    }

    fn token(&self) -> String {
        let token = fs::read_to_string(self.folder.path().join("token")).expect("a token");
        token.trim().to_owned()
    }

    fn json(&self, exit: i32, arguments: &[&str]) -> Value {
        let output = run(arguments, None);
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{printed}");
        json_of(&output)
    }

    fn serve(&self, arguments: &[&str]) -> Command {
        let line = |member: &str| self.devnet.line[member].as_str().expect(member).to_owned();
        let (clients, state) = (self.path("clients.toml"), self.path("state"));
        let (key, account) = (line("sessionKey"), line("account"));
        let own = [
            "agent",
            "serve",
            &key,
            "--clients",
            &clients,
            "--state",
            &state,
            "--account",
            &account,
            "--json",
        ];
        let mut serve = command(&[&own[..], arguments].concat(), None);
        serve
            .env("ETH_RPC_URL", line("rpcUrl"))
            .env("SESSION_KEY_BUNDLER_URL", line("bundlerUrl"))
            .env("SESSION_KEY_AGENT_KEY", line("sessionKeyPrivateKey"));
        serve
    }

    fn start(&self, arguments: &[&str]) -> Serving {
        Self::started(&mut self.serve(arguments))
    }

    fn started(serve: &mut Command) -> Serving {
        let serve = serve.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = serve.spawn().expect("the binary runs");
        let mut lines = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut problem = String::new();
            let _ = process.kill();
            let errors = process.stderr.as_mut().expect("piped");
            errors.read_to_string(&mut problem).expect("a text");
            panic!("{error}: {line:?} {problem}")
        });
        output::check_document("agent-serve", &first);
        Serving {
            process,
            lines,
            first,
        }
    }

    /// A bundle that pays so many base units of the test token.
    fn bundle(&self, id: &str, amount: u64) -> Value {
        let mut data = hex!("a9059cbb").to_vec();
        data.extend(Address::repeat_byte(0x77).into_word());
        data.extend(U256::from(amount).to_be_bytes::<32>());
        json!([{
            "version": "2.0.0",
            "id": id,
            "chainId": format!("{:#x}", self.devnet.line["chainId"].as_u64().expect("a chain")),
            "atomicRequired": true,
            "calls": [{ "to": self.devnet.line["contracts"]["testToken"], "data": hex::encode_prefixed(data) }],
        }])
    }
}

impl Serving {
    fn ask(&self, token: &str, method: &str, params: &Value) -> Value {
        let host = self.first["address"].as_str().expect("an address");
        let host = host.strip_prefix("http://").expect("HTTP");
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let mut stream = TcpStream::connect(host).expect("it listens");
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }

    fn decided(&self, token: &str, id: &str) -> Value {
        for _ in 0..600 {
            let answer = self.ask(token, "wallet_getCallsStatus", &json!([id]));
            if answer["result"]["status"] != 100 {
                return answer["result"].clone();
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{id} is not decided")
    }

    /// Asks it to end; returns its last line.
    fn end(mut self) -> Value {
        let signal = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        assert!(signal.expect("a signal").success());
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
        let last = serde_json::from_str(&line).expect("JSON");
        output::check_document("agent-serve", &last);
        last
    }
}

fn model(setup: &Setup, arguments: &[&str], lines: &[Value]) -> Output {
    let mut process = command(&[&["agent", "mcp"][..], arguments].concat(), None)
        .env("SESSION_KEY_AGENT_TOKEN", setup.token())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = process.stdin.take().expect("piped");
    for line in lines {
        writeln!(input, "{line}").expect("it reads");
    }
    drop(input);
    process.wait_with_output().expect("it ends")
}

#[test]
fn clients_and_models_use_a_key_that_they_never_see() {
    let setup = Setup::new();
    let serving = setup.start(&["--port", "0"]);
    let token = setup.token();
    let chain = serving.ask(&token, "eth_chainId", &json!([]));
    assert_eq!(chain["result"], setup.bundle("", 0)[0]["chainId"]);
    let wrong = serving.ask(&"0".repeat(64), "eth_chainId", &json!([]));
    assert_eq!(wrong["error"]["code"], 4_100);
    let sent = serving.ask(&token, "wallet_sendCalls", &setup.bundle("order 1", 2_000_000));
    assert_eq!(sent["result"], json!({ "id": "order 1" }), "{sent}");
    assert_eq!(serving.decided(&token, "order 1")["status"], 200);
    let over = serving.ask(&token, "wallet_sendCalls", &setup.bundle("order 2", 3_000_001));
    assert_eq!(over["error"]["code"], 4_001, "{over}");
    assert_eq!(over["error"]["data"]["policy"][0]["code"], "window_exceeded");

    // A model asks over its own side of the service.
    let address = serving.first["address"].as_str().expect("an address").to_owned();
    let port = address.rsplit(':').next().expect("a port");
    let call = |id: u64, tool: &str, arguments: Value| {
        json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments },
        })
    };
    let pay = setup.bundle("", 1_000_000)[0]["calls"].clone();
    let said = model(
        &setup,
        &["--port", port],
        &[
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18" } }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            call(2, "execute", json!({ "id": "invoice", "calls": pay })),
            call(3, "budget", json!({})),
        ],
    );
    assert_eq!(said.status.code(), Some(0), "{}", text(&said.stderr));
    let answers: Vec<Value> = text(&said.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let answer = |id: u64| {
        answers
            .iter()
            .find(|answer| answer["id"] == id)
            .expect("an answer")
    };
    assert_eq!(answer(1)["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(
        answer(2)["result"]["structuredContent"]["outcome"],
        "included",
        "{answers:?}"
    );
    assert_eq!(answer(3)["result"]["isError"], false);

    let last = serving.end();
    assert_eq!((&last["event"], &last["open"]), (&json!("stopped"), &json!(0)));
    let log = setup.path("state/decisions.log");
    let head = last["logHead"].as_str().expect("a hash");
    let whole = setup.json(0, &["agent", "verify-log", &log, "--expect", head, "--json"]);
    assert_eq!(
        (&whole["whole"], &whole["head"]),
        (&json!(true), &last["logHead"])
    );

    // The next run, on the unix socket, knows the order.
    let again = setup.start(&[]);
    let socket = again.first["address"].as_str().expect("a socket").to_owned();
    assert!(Path::new(&socket).is_absolute() || PathBuf::from(&socket).exists());
    let said = model(
        &setup,
        &["--socket", &socket],
        &[call(1, "explain", json!({ "id": "order 1" }))],
    );
    let answer: Value = serde_json::from_slice(&said.stdout).expect("one line");
    assert_eq!(
        answer["result"]["structuredContent"]["bundle"], "included",
        "{answer}"
    );
    again.end();
    assert!(!Path::new(&socket).exists());

    // Neither the key nor the token is anywhere that the service writes.
    let key = setup.devnet.line["sessionKeyPrivateKey"].as_str().expect("a key");
    for file in fs::read_dir(setup.folder.path().join("state")).expect("a folder") {
        let path = file.expect("a file").path();
        let bytes = fs::read(&path).expect("a file");
        let holds = |secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(
            !holds(&token) && !holds(key.trim_start_matches("0x")),
            "{}",
            path.display()
        );
    }
    let text = fs::read_to_string(&log).expect("a text");
    fs::write(&log, text.replacen("order 1", "order 9", 1)).expect("a file");
    let broken = setup.json(1, &["agent", "verify-log", &log, "--json"]);
    assert!(
        broken["problem"].as_str().expect("a text").contains("its hash"),
        "{broken}"
    );
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let setup = Setup::new();
    let fails = |arguments: &[&str], expected: &str| {
        let output = setup.serve(arguments).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let document = json_of(&output);
        let message = document["error"]["message"].as_str().expect("a text");
        assert!(message.contains(expected), "{message}");
    };
    let clients = fs::read_to_string(setup.path("clients.toml")).expect("a text");
    let policy = fs::read_to_string(setup.path("shop.toml")).expect("a text");
    for (clients, policy, expected) in [
        (
            clients.replace("name", "nmae"),
            policy.clone(),
            "clients.toml: 2: unknown field",
        ),
        (clients.replace("0x", ""), policy.clone(), "hash of a token"),
        (clients.clone(), "[limits]\nnative = 0\n".to_owned(), "[agent]"),
        (
            clients.clone(),
            policy.replace("decimals = 6", "decimals = 18"),
            "has 6 decimals, not 18",
        ),
        (clients.clone(), policy.replace("5 TUSD", "5 USDC"), "shop.toml:"),
    ] {
        setup.write("clients.toml", &clients);
        setup.write("shop.toml", &policy);
        fails(&[], expected);
    }
    setup.write("clients.toml", &clients);
    setup.write("shop.toml", &policy);
    let mut other = setup.serve(&[]);
    let other = other
        .env("SESSION_KEY_AGENT_KEY", super::PUBLIC_KEY)
        .output()
        .expect("the binary runs");
    let message = json_of(&other)["error"]["message"].to_string();
    assert!(message.contains("holds session key"), "{message}");
    assert!(!message.contains(super::PUBLIC_KEY));
    // One service at a time has the state.
    let serving = setup.start(&[]);
    fails(&["--port", "0"], "another process has the log");
    drop(serving);

    let token = setup.path("token");
    refused(&["agent", "token", &token], None, "exists");
    refused(
        &["agent", "mcp", "--port", "1"],
        None,
        "a client's token is needed",
    );
    refused(
        &["agent", "verify-log", &setup.path("nothing")],
        None,
        "No such file",
    );
}

/// Everything that the agent's commands print and write, where there is no room for it, and nodes that say
/// nothing.
#[cfg(target_os = "linux")]
#[test]
fn agent_commands_neither_succeed_without_an_answer_nor_wait_for_ever() {
    let setup = Setup::new();
    setup.start(&[]).end();
    let (log, state) = (setup.path("state/decisions.log"), setup.path("state"));
    let line = |member: &str| setup.devnet.line[member].as_str().expect(member).to_owned();
    let (key, account, url) = (line("sessionKey"), line("account"), line("rpcUrl"));
    let recover = |url: &str| {
        let on = ["--rpc-url", url, "--account", &account, "--from-block", "1"];
        let all = [&["agent", "recover", &key, "--state", &state][..], &on].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let verify = ["agent", "verify-log", &log].map(str::to_owned).to_vec();
    // Their answers do not fit, or nobody reads them.
    for (number, arguments) in [verify, recover(&url)].into_iter().enumerate() {
        for (more, is_closed) in [("", false), ("--json", false), ("--json", true)] {
            let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            if !more.is_empty() {
                arguments.push(more);
            }
            let full = fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .expect("a device");
            let out = if is_closed {
                Stdio::piped()
            } else {
                Stdio::from(full)
            };
            let mut process = command(&arguments, None)
                .stdout(out)
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary runs");
            drop(process.stdout.take());
            let output = process.wait_with_output().expect("it ends");
            let error = text(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(3),
                "{number} {more} {is_closed}: {error}"
            );
            assert!(error.contains("could not be written"), "{error}");
        }
    }
    // A service that cannot say where it listens ends, and leaves no socket.
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    let output = setup.serve(&[]).stdout(full).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("could not be written"),
        "{}",
        text(&output.stderr)
    );
    assert!(!Path::new(&setup.path("state/agent.sock")).exists());

    // Files may have no byte, or four kilobytes: the same error as on a full disk comes from the first write
    // beyond.
    let limited = |blocks: &str, arguments: &Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", blocks]);
        shell.arg(arguments.get_program()).args(arguments.get_args());
        for (name, value) in arguments.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let output = shell.output().expect("the shell runs");
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(!printed.contains("panicked"), "{printed}");
        printed
    };
    let half = setup.path("half");
    let printed = limited("0", &command(&["agent", "token", &half], None));
    assert!(printed.contains("File too large"), "{printed}");
    assert!(!Path::new(&half).exists());
    fs::remove_dir_all(&state).expect("a folder");
    let printed = limited("8", &setup.serve(&[]));
    assert!(printed.contains("agent.sqlite"), "{printed}");

    // A node that does not answer.
    let hanging = super::server::silent_server();
    let began = std::time::Instant::now();
    let mut serve = setup.serve(&["--timeout", "1"]);
    let output = serve
        .env("ETH_RPC_URL", &hanging)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    fs::create_dir_all(&state).expect("a folder");
    setup.write("state/decisions.log", "");
    let arguments = recover(&hanging);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.extend(["--timeout", "1"]);
    let output = command(&arguments, None).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

/// A service whose store is on a PostgreSQL server: `./script/test-agent.sh`.
#[test]
#[ignore = "needs a PostgreSQL server"]
fn a_service_keeps_its_store_on_a_postgres_server() {
    let connection = std::env::var("SESSION_KEY_TEST_POSTGRES").expect("run it by ./script/postgres.sh");
    let setup = Setup::new();
    let token = setup.token();
    setup.write("store", &format!("{connection}\n"));
    let file = setup.path("store");
    let serving = setup.start(&["--port", "0", "--store-file", &file]);
    let sent = serving.ask(&token, "wallet_sendCalls", &setup.bundle("order 1", 3_000_000));
    assert_eq!(sent["result"], json!({ "id": "order 1" }), "{sent}");
    assert_eq!(serving.decided(&token, "order 1")["status"], 200);
    serving.end();
    assert!(!Path::new(&setup.path("state/agent.sqlite")).exists());

    // Another machine, with a log of its own: the server knows the order, and what is spent.
    let state = setup.path("elsewhere");
    let serve = setup.serve(&["--port", "0"]);
    let swapped: Vec<_> = serve
        .get_args()
        .map(|argument| {
            let is_state = Path::new(argument) == Path::new(&setup.path("state"));
            if is_state {
                state.clone().into()
            } else {
                argument.to_owned()
            }
        })
        .collect();
    let mut elsewhere = command(&[], None);
    elsewhere
        .args(swapped)
        .env("SESSION_KEY_AGENT_STORE", &connection);
    for (variable, value) in serve.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        elsewhere.env(variable, value);
    }
    let other = Setup::started(&mut elsewhere);
    let again = other.ask(&token, "wallet_sendCalls", &setup.bundle("order 1", 3_000_000));
    assert_eq!(again["error"]["code"], 5_720, "{again}");
    let over = other.ask(&token, "wallet_sendCalls", &setup.bundle("order 2", 2_000_001));
    assert_eq!(
        over["error"]["data"]["policy"][0]["code"], "window_exceeded",
        "{over}"
    );
    let sent = other.ask(&token, "wallet_sendCalls", &setup.bundle("order 3", 2_000_000));
    assert_eq!(sent["result"], json!({ "id": "order 3" }), "{sent}");
    assert_eq!(other.decided(&token, "order 3")["status"], 200);
    other.end();
}

#[test]
fn the_connection_string_of_a_store_is_never_shown() {
    let setup = Setup::new();
    let password = "s3cr3t-of-the-store";
    // Nobody answers, somebody talks nonsense, and what is no connection string.
    let nonsense = super::server::server(|_| "<html>hello</html>".to_owned());
    let port = nonsense.rsplit(':').next().expect("a port").trim_end_matches('/');
    let of = |address: &str| format!("postgresql://agent:{password}@{address}/agent");
    for (connection, by_file, expected) in [
        (of("127.0.0.1:1"), false, "does not answer"),
        (of(&format!("127.0.0.1:{port}")), true, "PostgreSQL"),
        (of("127.0.0.1:x"), false, "not a connection string"),
        (of("127.0.0.1:x"), true, "not a connection string"),
        (String::new(), true, "holds no connection string"),
        (" \n".to_owned(), false, "holds no connection string"),
    ] {
        setup.write("store", &connection);
        let file = setup.path("store");
        let mut serve = setup.serve(&["--port", "0", "--timeout", "20"]);
        if by_file {
            serve.args(["--store-file", &file]);
        } else {
            serve.env("SESSION_KEY_AGENT_STORE", &connection);
        }
        let output = serve.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(printed.contains(expected), "{printed}");
        assert!(!printed.contains(password), "{printed}");
    }
    assert!(!Path::new(&setup.path("state/agent.sqlite")).exists());
    // A service that has used its folder's store does not begin with another one.
    setup.start(&[]).end();
    let mut serve = setup.serve(&["--port", "0", "--timeout", "20"]);
    serve.env("SESSION_KEY_AGENT_STORE", of("127.0.0.1:1"));
    let output = serve.output().expect("the binary runs");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("is a store that was used"), "{printed}");
}

/// Runs the commands with JSON output; returns the names of their schemas.
pub(crate) fn documents() -> [&'static str; 4] {
    let setup = Setup::new();
    setup.start(&[]).end();
    let log = setup.path("state/decisions.log");
    setup.json(0, &["agent", "verify-log", &log, "--json"]);
    let line = |member: &str| setup.devnet.line[member].as_str().expect(member).to_owned();
    let recovered = setup.json(
        0,
        &[
            "agent",
            "recover",
            &line("sessionKey"),
            "--state",
            &setup.path("state"),
            "--rpc-url",
            &line("rpcUrl"),
            "--account",
            &line("account"),
            "--from-block",
            "1",
            "--json",
        ],
    );
    assert_eq!(
        (&recovered["settled"], &recovered["unknown"]),
        (&json!(0), &json!([]))
    );
    ["agent-recover", "agent-serve", "agent-token", "agent-verify-log"]
}
