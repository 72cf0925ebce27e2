//! Behaviour common to all commands: arguments, secrets, time limits, exit codes.

use super::{
    PUBLIC_KEY, command, json_of, refused, run,
    server::{chain, error, result, serve, server, silent_server},
    text,
};
use serde_json::json;
use std::{
    fs::OpenOptions,
    net::TcpListener,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// Returns the options of a demonstration on a node.
fn demo(url: &str) -> Vec<&str> {
    vec!["demo", "--rpc-url", url, "--chain-id", "1", "--yes"]
}

#[test]
fn invalid_arguments_are_refused() {
    for arguments in [
        &["dem"][..],
        &["demo", "--rpc"],
        &["demo", "extra"],
        &["demo", "--rpc-url"],
        &["demo", "--rpc-url", "http://127.0.0.1:1"],
        &["demo", "--chain-id", "1"],
        &[
            "demo",
            "--give-back",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        ],
        &["demo", "--max-cost", "1"],
        &["demo", "--timeout", "0"],
        &["deploy", "--rpc-url", "http://127.0.0.1:1"],
        &["doctor", "--account", "0x12"],
        &["doctor"],
        &[],
    ] {
        let output = run(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains("Usage") || error.contains("--help"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn invalid_arguments_are_reported_as_json() {
    let output = run(&["doctor", "--json", "https://node.example/v2/s3cr3t"], None);
    assert_eq!(output.status.code(), Some(2));
    let document = json_of(&output);
    assert_eq!(document["ok"], false);
    assert_eq!(document["error"]["code"], "bad_arguments");
    assert!(
        document["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("node.example")
    );
    let printed = format!("{document}{}", text(&output.stderr));
    assert!(!printed.contains("s3cr3t"), "{printed}");

    let output = run(&["check", "--json"], None);
    assert_eq!(output.status.code(), Some(2));
    let document = json_of(&output);
    let message = document["error"]["message"].as_str().expect("a text");
    for missing in ["--call <CALL>", "<KEY>"] {
        assert!(message.contains(missing), "{message}");
    }
}

#[test]
fn watch_reports_invalid_arguments_as_one_json_line() {
    let output = run(&["watch", "--json", "--interval", "0"], None);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout).lines().count(), 1);
    assert_eq!(json_of(&output)["error"]["code"], "bad_arguments");
}

// The case of the last digit is wrong, as after a typo.
#[test]
fn an_address_with_a_wrong_checksum_is_refused() {
    let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
    let url = "http://127.0.0.1:1";
    for arguments in [
        &["doctor", "--rpc-url", url, "--account", wrong][..],
        &[
            "deploy",
            "--rpc-url",
            url,
            "--chain-id",
            "1",
            "--factory-owner",
            wrong,
        ],
        &["demo", "--rpc-url", url, "--chain-id", "1", "--give-back", wrong],
    ] {
        let output = run(arguments, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains("checksum") && error.contains(wrong), "{error}");
    }
    let mut doctor = command(&["doctor", "--rpc-url", url], None);
    let output = doctor
        .env("SESSION_KEY_ACCOUNT", wrong)
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("checksum"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_salt_has_exactly_32_bytes() {
    let salt = "5a".repeat(32);
    let deploy = |option: &str, salt: &str| {
        let arguments = [
            "deploy",
            "--rpc-url",
            "http://127.0.0.1:1",
            "--chain-id",
            "1",
            option,
            salt,
        ];
        let output = run(&arguments, None);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    for option in [
        "--multi-owner-plugin-salt",
        "--session-key-plugin-salt",
        "--modular-account-salt",
        "--modular-account-factory-salt",
    ] {
        for wrong in [
            &*salt,
            &*format!("0x{}", &salt[2..]),
            &*format!("0x{salt}00"),
            "0x",
            &*format!("0x{}", salt.replace('5', "g")),
            &*format!("0X{salt}"),
        ] {
            let error = deploy(option, wrong);
            assert!(error.contains(option) && error.contains(wrong), "{error}");
            assert!(error.contains("expected 0x and 64 hex digits"), "{error}");
        }
        for right in [&*format!("0x{salt}"), &*format!("0x{}", salt.to_uppercase())] {
            let error = deploy(option, right);
            assert!(error.contains("no Ethereum node answers"), "{error}");
        }
    }
}

#[test]
fn a_node_needs_a_funder() {
    let arguments = demo("http://127.0.0.1:1");
    refused(&arguments, None, "set SESSION_KEY_FUNDER");
    refused(&arguments, Some(""), "is not a private key");
    let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ffzz";
    refused(&arguments, Some(secret), "is not a private key");
    let output = run(&arguments, Some(secret));
    assert!(!text(&output.stderr).contains("ac0974"), "the key is not printed");
}

#[test]
fn a_wrong_url_is_refused() {
    refused(&demo("localhost"), Some(PUBLIC_KEY), "--rpc-url: not a URL");
    refused(&demo("ftp://127.0.0.1"), Some(PUBLIC_KEY), "only http and https");
    refused(
        &demo("http://127.0.0.1:1"),
        Some(PUBLIC_KEY),
        "no Ethereum node answers at http://127.0.0.1:1",
    );
    if !cfg!(feature = "tls") {
        refused(&demo("https://127.0.0.1"), Some(PUBLIC_KEY), "built without TLS");
    }
}

/// URLs of hosted nodes contain API keys: in the path, the query, or the user info.
#[test]
fn urls_are_not_printed_whole() {
    let node = server(|request| {
        if request.contains("eth_getCode") {
            return "<html>too many requests</html>".to_owned();
        }
        result(request, &json!("0x1"))
    });
    // Answers for a while, refuses the connection, or closes it without an answer.
    let rude = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let rude_url = format!("http://{}", rude.local_addr().expect("an address"));
    thread::spawn(move || rude.incoming().for_each(drop));
    for url in [&*node, "http://127.0.0.1:1", &rude_url] {
        let secret =
            format!("{url}/v2/s3cr3t-k3y?apikey=s3cr3t-k3y").replace("http://", "http://s3cr3t-us3r:s3cr3t@");
        for arguments in [
            &demo(&secret)[..],
            &["deploy", "--chain-id", "1", "--rpc-url", &secret],
            &["doctor", "--rpc-url", &secret],
            &["doctor", "--rpc-url", &node, "--bundler-url", &secret],
        ] {
            for format in [None, Some("--json")] {
                let arguments: Vec<_> = arguments.iter().copied().chain(format).collect();
                let mut command = command(&arguments, Some(PUBLIC_KEY));
                let output = command
                    .env("RUST_BACKTRACE", "full")
                    .env("RUST_LIB_BACKTRACE", "full")
                    .env("RUST_LOG", "trace")
                    .output()
                    .expect("the binary runs");
                let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert!(!printed.contains("s3cr3t"), "{printed}");
                assert!(!output.status.success(), "{printed}");
            }
        }
    }
    refused(
        &demo("node.example/s3cr3t"),
        Some(PUBLIC_KEY),
        "--rpc-url: not a URL",
    );
    // Help lists the variables, not their values.
    for arguments in [["doctor", "--help"], ["deploy", "--help"]] {
        let mut help = command(&arguments, None);
        let output = help
            .env("ETH_RPC_URL", "http://node.example/s3cr3t")
            .env("SESSION_KEY_BUNDLER_URL", "http://node.example/s3cr3t")
            .output()
            .expect("the binary runs");
        let help = text(&output.stdout);
        assert!(output.status.success() && help.contains("ETH_RPC_URL"), "{help}");
        assert!(!help.contains("s3cr3t"), "{help}");
    }
}

#[test]
fn a_server_that_is_no_node_is_refused() {
    let url = server(|_| "<html>hello</html>".to_owned());
    refused(&demo(&url), Some(PUBLIC_KEY), "no Ethereum node answers");
}

#[test]
fn missing_options_come_from_the_environment() {
    let url = serve(&chain(31337), &[]);
    let doctor = |arguments: &[&str], chain_id: &str| {
        command(arguments, None)
            .env("ETH_RPC_URL", &url)
            .env("SESSION_KEY_CHAIN_ID", chain_id)
            .output()
            .expect("the binary runs")
    };
    assert_eq!(doctor(&["doctor"], "31337").status.code(), Some(1));
    let other = doctor(&["doctor"], "1");
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("this is chain 31337, not 1"));
    // Options take precedence.
    assert_eq!(
        doctor(&["doctor", "--chain-id", "31337"], "1").status.code(),
        Some(1)
    );
    // Commands that spend take the chain from the command line only.
    let demo = doctor(&["demo"], "31337");
    assert!(demo.status.success(), "{}", text(&demo.stderr));
    assert!(text(&demo.stdout).contains("simulated in this process"));
}

#[test]
fn failures_are_reported_as_json() {
    let arguments = [&demo("http://127.0.0.1:1")[..], &["--json"]].concat();
    let output = run(&arguments, Some(PUBLIC_KEY));
    assert_eq!(output.status.code(), Some(2));
    let document = json_of(&output);
    assert_eq!(document["ok"], false);
    assert_eq!(document["error"]["code"], "not_reached");
    let message = document["error"]["message"].as_str().expect("a text");
    assert!(message.contains("no Ethereum node"), "{message}");
    for member in ["userOpHash", "transactionHash", "account", "spentWei"] {
        assert!(
            document[member].is_null() && document.get(member).is_some(),
            "{member}"
        );
    }
}

#[test]
fn a_node_that_never_answers_times_out() {
    let url = silent_server();
    for arguments in [
        &["doctor", "--rpc-url", &url][..],
        &["deploy", "--rpc-url", &url, "--chain-id", "1"],
        &demo(&url),
    ] {
        let arguments = [arguments, &["--timeout", "1"]].concat();
        let start = Instant::now();
        refused(&arguments, Some(PUBLIC_KEY), "none within 1s");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
    // A bundler that never answers counts as missing.
    let node = serve(&chain(31337), &[]);
    let start = Instant::now();
    let arguments = [
        "doctor",
        "--rpc-url",
        &node,
        "--bundler-url",
        &url,
        "--timeout",
        "1",
    ];
    let output = run(&arguments, None);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("does not answer"),
        "{}",
        text(&output.stdout)
    );
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_slow_node_cannot_exceed_the_total_time_limit() {
    let url = server(|request| {
        thread::sleep(Duration::from_millis(950));
        let hash = format!("0x{}", "1".repeat(64));
        let header = json!({ "number": "0x1", "hash": hash, "parentHash": hash, "timestamp": "0x1" });
        let is_header = request.contains("eth_getBlockByNumber");
        result(request, &if is_header { header } else { json!("0x01") })
    });
    let start = Instant::now();
    let contracts = [
        "--deployment",
        "deterministic",
        "--account",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    ];
    let arguments = [&["doctor", "--rpc-url", &url, "--timeout", "1"], &contracts[..]].concat();
    refused(&arguments, Some(PUBLIC_KEY), "not done within 10 s");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn texts_from_nodes_are_cleaned_and_truncated() {
    let words = format!(
        "\u{1b}[31mred\u{7}\u{202e}\r\n see https://node.example/s3cr3t {}",
        "x".repeat(1 << 20)
    );
    let url = server(move |request| error(request, -32000, &words));
    for format in [None, Some("--json")] {
        let arguments: Vec<_> = ["doctor", "--rpc-url", &url].into_iter().chain(format).collect();
        let output = run(&arguments, None);
        assert_eq!(output.status.code(), Some(2));
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(printed.contains("red see https://node.example/…"), "{printed}");
        assert!(!printed.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{printed}");
        assert!(
            !printed.contains("s3cr3t") && printed.len() < 2_000,
            "{}",
            printed.len()
        );
    }
}

/// An unreadable report counts as a failure.
#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let url = serve(&chain(31337), &[]);
    for arguments in [
        &["demo"][..],
        &["demo", "--json"],
        &["doctor", "--rpc-url", &url],
        &["doctor", "--rpc-url", &url, "--json"],
        &["--help"],
    ] {
        let mut closed = command(arguments, None)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(closed.stdout.take());
        let output = closed.wait_with_output().expect("it ends");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {error}");
        assert!(error.contains("could not be written"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
        if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
            let output = command(arguments, None)
                .stdout(full)
                .output()
                .expect("the binary runs");
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{arguments:?}: {error}");
            assert!(error.contains("No space left"), "{error}");
        }
    }
}
