//! The command as a person or a script meets it.

mod deployment;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

/// The first development key of anvil and of the testkit: public.
const PUBLIC_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn run(arguments: &[&str], funder: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session-key"));
    command.args(arguments).env_remove("SESSION_KEY_FUNDER");
    if let Some(funder) = funder {
        command.env("SESSION_KEY_FUNDER", funder);
    }
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// The command must refuse with exit code 2, nothing on standard output, and one line on standard error.
#[track_caller]
fn refused(arguments: &[&str], funder: Option<&str>, expected: &str) {
    let output = run(arguments, funder);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert!(error.contains(expected), "{error}");
    assert!(
        !error.contains("backtrace") && !error.contains("panicked"),
        "{error}"
    );
}

/// A server that answers every request's body, until the test process ends.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while body(&request).is_none() {
                match stream.read(&mut chunk) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => request.extend_from_slice(&chunk[..length]),
                }
            }
            let body = answer(body(&request).unwrap_or_default());
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

/// The body of a request, once it is complete.
fn body(request: &[u8]) -> Option<&str> {
    let (head, body) = text(request).split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then_some(value))?;
    (body.len() == length.trim().parse::<usize>().expect("a length")).then_some(body)
}

#[test]
fn demo_runs_in_process_and_is_plain_when_piped() {
    let output = run(&["demo"], None);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(!report.contains('\x1b'), "no colours in a pipe");
    assert!(
        report.trim_end().ends_with("Everything went as expected."),
        "{report}"
    );
    assert!(report.contains("simulated in this process"), "{report}");
    assert_eq!(report.matches("refused in validation").count(), 6, "{report}");
    assert_eq!(report.matches("refused in execution").count(), 1, "{report}");
}

#[test]
fn demo_prints_one_json_document() {
    let output = run(&["demo", "--json"], None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["ok"], true);
    assert_eq!(document["error"], serde_json::Value::Null);
    let sections = document["sections"].as_array().expect("sections");
    let refusals: Vec<_> = sections
        .iter()
        .flat_map(|section| section["lines"].as_array().expect("lines"))
        .filter(|line| line["kind"] == "refused")
        .map(|line| {
            let field = |name| line["violation"][name].as_str().expect("a text");
            (field("phase"), field("code"))
        })
        .collect();
    assert_eq!(
        refusals,
        [
            ("validation", "contract_not_on_allowlist"),
            ("validation", "function_not_on_allowlist"),
            ("validation", "native_limit_exceeded"),
            ("execution", "erc20_limit_exceeded"),
            ("validation", "expired"),
            ("validation", "key_not_registered"),
            ("validation", "key_not_registered"),
        ]
    );
}

#[test]
fn garbage_arguments_are_refused() {
    for arguments in [
        &["dem"][..],
        &["demo", "--rpc"],
        &["demo", "extra"],
        &["demo", "--rpc-url"],
        &["deploy", "--rpc-url", "http://127.0.0.1:1"],
        &["doctor", "--account", "0x12"],
        &[],
    ] {
        let output = run(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains("Usage") || error.contains("--help"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

// The case of the last digit is wrong, as it would be if some digit were mistyped.
#[test]
fn an_address_with_a_wrong_checksum_is_refused() {
    let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
    for arguments in [
        &["doctor", "--rpc-url", "http://127.0.0.1:1", "--account", wrong][..],
        &[
            "deploy",
            "--rpc-url",
            "http://127.0.0.1:1",
            "--chain-id",
            "1",
            "--factory-owner",
            wrong,
        ],
    ] {
        let output = run(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains("checksum") && error.contains(wrong), "{error}");
    }
}

#[test]
fn a_node_needs_a_funder() {
    let url = ["demo", "--rpc-url", "http://127.0.0.1:1"];
    refused(&url, None, "set SESSION_KEY_FUNDER");
    refused(&url, Some(""), "is not a private key");
    let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ffzz";
    refused(&url, Some(secret), "is not a private key");
    let output = run(&url, Some(secret));
    assert!(!text(&output.stderr).contains("ac0974"), "the key is not printed");
}

#[test]
fn a_wrong_url_is_refused() {
    let url = |url| ["demo", "--rpc-url", url];
    refused(&url("localhost"), Some(PUBLIC_KEY), "is not a URL");
    refused(&url("ftp://127.0.0.1"), Some(PUBLIC_KEY), "only http and https");
    refused(
        &url("http://127.0.0.1:1"),
        Some(PUBLIC_KEY),
        "no Ethereum node answers at http://127.0.0.1:1",
    );
    if !cfg!(feature = "tls") {
        refused(&url("https://127.0.0.1"), Some(PUBLIC_KEY), "built without TLS");
    }
}

/// URLs of hosted nodes hold API keys, in the path, in the query, or before the host.
#[test]
fn urls_are_not_printed_whole() {
    let node = server(|request| {
        if request.contains("eth_getCode") {
            return "<html>too many requests</html>".to_owned();
        }
        let id = request.rsplit_once("\"id\":").map_or("0", |(_, rest)| rest);
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#)
    });
    // Answers, answers for a while, refuses the connection, ends it without an answer.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    thread::spawn(move || silent.incoming().for_each(drop));
    for url in [&*node, "http://127.0.0.1:1", &silent_url] {
        let secret = format!("{url}/v2/s3cr3t?apikey=s3cr3t").replace("http://", "http://s3cr3t:s3cr3t@");
        for arguments in [
            &["demo", "--rpc-url", &secret][..],
            &["deploy", "--chain-id", "1", "--rpc-url", &secret],
            &["doctor", "--rpc-url", &secret],
        ] {
            for format in [None, Some("--json")] {
                let arguments: Vec<_> = arguments.iter().copied().chain(format).collect();
                let output = run(&arguments, Some(PUBLIC_KEY));
                let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert!(!printed.contains("s3cr3t"), "{printed}");
            }
        }
    }
    refused(
        &["demo", "--rpc-url", "node.example/s3cr3t"],
        Some(PUBLIC_KEY),
        "--rpc-url is not a URL",
    );
}

#[test]
fn a_port_of_something_else_is_refused() {
    let url = server(|_| "<html>hello</html>".to_owned());
    refused(
        &["demo", "--rpc-url", &url],
        Some(PUBLIC_KEY),
        "no Ethereum node answers",
    );
}

#[test]
fn an_unfunded_key_is_refused() {
    let url = server(|request| {
        // The chain id is one and the balance zero.
        let result = if request.contains("eth_chainId") {
            "0x1"
        } else {
            "0x0"
        };
        let id = request.rsplit_once("\"id\":").map_or("0", |(_, rest)| rest);
        let id: String = id.chars().take_while(char::is_ascii_digit).collect();
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{result}"}}"#)
    });
    refused(
        &["demo", "--rpc-url", &url],
        Some(PUBLIC_KEY),
        "has 0 ETH on chain 1, and the demonstration may need 0.2 ETH",
    );
}

#[test]
fn failures_are_reported_as_json_too() {
    let output = run(
        &["demo", "--json", "--rpc-url", "http://127.0.0.1:1"],
        Some(PUBLIC_KEY),
    );
    assert_eq!(output.status.code(), Some(2));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["ok"], false);
    assert!(
        document["error"]
            .as_str()
            .expect("an error")
            .contains("no Ethereum node")
    );
}
