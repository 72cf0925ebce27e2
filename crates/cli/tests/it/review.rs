//! The review page, as the command serves it.

use super::{PUBLIC_KEY, command, devnet::Devnet, output, refused, text};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// The command, and the lines that it prints.
struct Review {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Drop for Review {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Review {
    fn start(devnet: &Devnet, arguments: &[&str]) -> Self {
        let name = |member: &str| devnet.line[member].as_str().expect(member);
        let all = [
            &[
                "review",
                "--rpc-url",
                name("rpcUrl"),
                "--account",
                name("account"),
            ],
            arguments,
        ]
        .concat();
        let mut process = command(&all, None)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }

    fn document(&mut self) -> Value {
        let line = self.line();
        let document: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut problem = String::new();
            let _ = self.process.kill();
            let errors = self.process.stderr.as_mut().expect("piped");
            errors.read_to_string(&mut problem).expect("a text");
            panic!("{error}: {line:?} {problem}")
        });
        output::check_document("review", &document);
        document
    }
}

/// Gets a page; returns head and body.
fn got(url: &str, cookie: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("HTTP");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Posts JSON, as the page does; returns head and body.
fn posted(url: &str, cookie: &str, body: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("HTTP");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nconnection: close\r\ncookie: {cookie}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// Opens an address; returns the start page's URL and the cookie.
fn opened(address: &str) -> (String, String) {
    let (head, _) = got(address, "");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let cookie = head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next())
        .expect("a cookie");
    let (start, _) = address.split_once("open/").expect("an address to open");
    (start.to_owned(), cookie.to_owned())
}

/// Starts the command on a new network, and checks the first line that it prints.
pub(crate) fn first_document() -> Value {
    Review::start(&Devnet::start(&[]), &["--json"]).document()
}

#[test]
fn the_page_shows_the_keys_to_whom_the_address_was_given() {
    let devnet = Devnet::start(&[]);
    let mut review = Review::start(&devnet, &["--json"]);
    let first = review.document();
    assert_eq!(first["account"], devnet.line["account"]);
    let (start, cookie) = opened(first["url"].as_str().expect("an address"));
    let (head, page) = got(&start, &cookie);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let key = devnet.line["sessionKey"].as_str().expect("a key");
    assert!(
        page.contains(key) && page.contains("100 TUSD left of 100 TUSD"),
        "{page}"
    );
    // A second browser.
    let (head, _) = got(&start, "");
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    let second = review.document();
    assert_ne!(first["url"], second["url"]);
    opened(second["url"].as_str().expect("an address"));
    let ended = Command::new("kill")
        .args(["-TERM", &review.process.id().to_string()])
        .status();
    assert!(ended.expect("a signal").success());
    assert_eq!(review.process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn proposals_are_checked_before_anything_is_served() {
    let devnet = Devnet::start(&[]);
    let name = |member: &str| devnet.line[member].as_str().expect(member).to_owned();
    let (url, account, key) = (name("rpcUrl"), name("account"), name("sessionKey"));
    let node = ["--rpc-url", url.as_str(), "--account", &account];
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let broken = format!("{key}={}", file("broken.toml", "limits = 1\n"));
    let lasting = format!("{key}={}", file("lasting.toml", "valid_for = \"1 day\"\n"));
    let missing = format!("{key}={}/none.toml", folder.path().display());
    for (arguments, expected) in [
        (vec!["--apply", &broken], "broken.toml"),
        (vec!["--apply", &lasting], "valid_for"),
        (vec!["--apply", &missing], "none.toml"),
        (
            vec!["--request", &file("request.json", "{}")],
            "not a request for a session key",
        ),
    ] {
        let all = [&["review"], &node[..], &arguments].concat();
        refused(&all, None, expected);
    }
    for (arguments, expected) in [
        (vec!["--apply", &key], "expected KEY=POLICY"),
        (vec!["--policy", "p.toml"], "--request"),
        (vec!["--limits", "keep"], "--apply"),
    ] {
        let all = [&["review"], &node[..], &arguments].concat();
        let output = super::run(&all, Some(PUBLIC_KEY));
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(expected),
            "{}",
            text(&output.stderr)
        );
    }
    refused(&["review", "--rpc-url", &url], None, "an account is needed");
    // With a policy, the page proposes it.
    let policy = format!(
        "[[allow]]\ncontract = \"{}\"\nfunctions = [\"transfer(address,uint256)\"]\n",
        devnet.line["contracts"]["testToken"].as_str().expect("a token")
    );
    let apply = format!("{key}={}", file("narrow.toml", &policy));
    let mut review = Review::start(&devnet, &["--json", "--apply", &apply]);
    let (start, cookie) = opened(review.document()["url"].as_str().expect("an address"));
    let (_, page) = got(&format!("{start}offers/0"), &cookie);
    assert!(
        page.contains("narrow.toml") && page.contains("Allows more"),
        "{page}"
    );
}

// Without the lock file, the policy's `valid_for` and decimals mean nothing to `plan` and `apply`.
#[test]
fn approving_a_narrower_policy_writes_its_lock_file_before_the_wallet_is_asked() {
    let devnet = Devnet::start(&[]);
    let name = |member: &str| devnet.line[member].as_str().expect(member).to_owned();
    let (account, owner) = (name("account"), name("owner"));
    let token = devnet.line["contracts"]["testToken"].as_str().expect("a token");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let policy = |days: u64| {
        format!(
            "tag = \"shop\"\nvalid_for = \"{days} days\"\n[tokens.TUSD]\naddress = \"{token}\"\n[[allow]]\ncontract = \"TUSD\"\n\
             functions = [\"transfer(address,uint256)\"]\n[limits]\ngas = \"0.01 ETH per 1 day\"\ntokens = [\"1 TUSD per 1 day\"]\n"
        )
    };
    fs::write(path("need.toml"), policy(30)).expect("a file");
    fs::write(path("narrower.toml"), policy(10)).expect("a file");
    let (need, request, keys) = (path("need.toml"), path("request.json"), path("keys"));
    let ask = ["request", "new", &need, "--out", &request, "--account", &account];
    let made = command(
        &[&ask[..], &["--chain-id", "31337", "--keystore", &keys, "--json"]].concat(),
        None,
    )
    .env("SESSION_KEY_PASSWORD", "a password of more than twenty letters")
    .output()
    .expect("the binary runs");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let key = super::json_of(&made)["sessionKey"].clone();
    let narrower = path("narrower.toml");
    let mut review = Review::start(&devnet, &["--json", "--request", &request, "--policy", &narrower]);
    let (start, cookie) = opened(review.document()["url"].as_str().expect("an address"));
    let (_, page) = got(&format!("{start}offers/0"), &cookie);
    let attribute = |name: &str| {
        let value = page.split(&format!("{name}=\"")).nth(1).expect(name);
        value.split('"').next().expect(name).replace("&quot;", "\"")
    };
    let wish: Value = serde_json::from_str(&attribute("data-wish")).expect("JSON");
    let body = serde_json::json!({ "wish": wish, "owner": owner, "shown": attribute("data-shown") });
    let lock = path("narrower.toml.lock");
    fs::create_dir(&lock).expect("a folder in its place");
    let (head, refused) = posted(&format!("{start}transactions"), &cookie, &body.to_string());
    assert!(head.starts_with("HTTP/1.1 409"), "{head}");
    assert!(refused.contains("was not given to the wallet"), "{refused}");
    fs::remove_dir(&lock).expect("it is empty");
    let (head, _) = posted(&format!("{start}transactions"), &cookie, &body.to_string());
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let lock = fs::read_to_string(&lock).expect("a lock file");
    for part in [
        format!("key = {key}"),
        format!("account = \"{account}\""),
        format!("{token} = 6"),
        "valid_until = \"".to_owned(),
    ] {
        assert!(lock.contains(&part), "{part}: {lock}");
    }
}

#[test]
fn the_development_network_serves_a_page_for_each_account() {
    let devnet = Devnet::start(&["--review"]);
    output::check_document("devnet", &devnet.line);
    for account in devnet.line["accounts"].as_array().expect("accounts") {
        let (start, cookie) = opened(account["reviewUrl"].as_str().expect("an address"));
        let (_, page) = got(&start, &cookie);
        for member in ["account", "owner", "sessionKey"] {
            assert!(page.contains(account[member].as_str().expect(member)), "{member}");
        }
    }
    let without = Devnet::start(&[]);
    assert_eq!(without.line["accounts"][0]["reviewUrl"], Value::Null);
}
