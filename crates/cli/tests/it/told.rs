//! What a person is told: before something is signed, while it is sent, and when nothing can come of it.

use super::{
    command, json_of,
    keys::{SHOP, Stage, key_of},
    output,
    server::{runtime, silent_server},
    text,
};
use serde_json::{Value, json};
use session_key_client::{
    alloy::{hex, primitives::U256, signers::local::PrivateKeySigner},
    key_request::KeyRequest,
    permissions::policy::PolicyFormat,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Output},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub(crate) const DEPLOYMENT: [&str; 2] = ["--deployment", "deterministic"];

/// A stage whose account has a key, granted by a plain transaction.
pub(crate) fn granted() -> (Stage, String) {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let granted = [&["grant", &policy, "--yes", "--direct"], &DEPLOYMENT[..]].concat();
    let key = key_of(&stage.json(0, &granted));
    (stage, key)
}

fn message(document: &Value) -> &str {
    document["error"]["message"].as_str().expect("a text")
}

/// Runs a command on the stage's account, signed by another key.
fn run_as(stage: &Stage, owner: &PrivateKeySigner, arguments: &[&str]) -> Output {
    let account = stage.testkit_account();
    let on = ["--rpc-url", stage.url(), "--account", &account, "--json"];
    let all = [arguments, &on, &DEPLOYMENT[..]].concat();
    let output = command(&all, None)
        .current_dir(stage.path("."))
        .env(
            "SESSION_KEY_OWNER",
            format!("0x{}", hex::encode(owner.to_bytes())),
        )
        .env("SESSION_KEY_PASSWORD", "a password of more than twenty letters")
        .env("SESSION_KEY_KEYSTORE", stage.path("keys"))
        .output()
        .expect("the binary runs");
    output::check(&all, &output);
    output
}

#[test]
fn a_signer_that_is_no_owner_is_refused_before_it_signs() {
    let (stage, key) = granted();
    let stranger = PrivateKeySigner::random();
    let weekly = fs::read_to_string(stage.path("weekly.toml")).expect("a policy");
    let wider = stage.file(
        "wider.toml",
        &weekly
            .replace("valid_for = \"90 days\"", "")
            .replace("100 TEST", "200 TEST"),
    );
    let through = ["--yes", "--bundler-url", stage.bundler.url()];
    for arguments in [
        &["revoke", &key][..],
        &["grant", &wider],
        &["apply", &key, &wider, "--limits", "keep"],
        &["rotate", &key],
        &["unblock", &key, "--nonce", "3"],
    ] {
        let output = run_as(&stage, &stranger, &[arguments, &through[..]].concat());
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {document}");
        let expected = format!("{} is not an owner", stranger.address());
        assert!(message(&document).contains(&expected), "{document}");
    }
    assert!(stage.pool.pool().is_empty());
    // Keys that were made for nothing are gone.
    let files = fs::read_dir(stage.path("keys")).expect("a folder");
    let keys = files.filter(|file| {
        let name = file.as_ref().expect("a file").file_name();
        name.to_string_lossy().starts_with("0x")
    });
    assert_eq!(keys.count(), 1);
}

#[test]
fn an_account_that_cannot_pay_is_named_before_anything_is_signed() {
    let (stage, key) = granted();
    let account = stage.testkit_account().parse().expect("an address");
    let revoke = ["revoke", &key, "--yes", "--bundler-url", stage.bundler.url()];
    for wei in [0, 1_000] {
        stage.testkit.chain().set_balance(account, U256::from(wei));
        let refused = stage.json(2, &[&revoke[..], &DEPLOYMENT[..]].concat());
        for part in ["cannot pay", "a deposit of 0 ETH, and", "--direct"] {
            assert!(message(&refused).contains(part), "{refused}");
        }
    }
    assert!(stage.pool.pool().is_empty());
    stage
        .testkit
        .chain()
        .set_balance(account, U256::from(10u64.pow(18)));
    stage.json(0, &[&revoke[..], &DEPLOYMENT[..]].concat());
}

#[test]
fn a_bundler_that_does_not_answer_is_named() {
    let (stage, _) = granted();
    let unknown = format!("0x{}", "7".repeat(64));
    let explained = |bundler: &[&str]| {
        let arguments = [
            &["explain", &unknown, "--timeout", "2"][..],
            bundler,
            &DEPLOYMENT[..],
        ]
        .concat();
        stage.json(1, &arguments)["bundlerError"].clone()
    };
    assert_eq!(explained(&[]), Value::Null);
    assert_eq!(explained(&["--bundler-url", stage.bundler.url()]), Value::Null);
    let silent = silent_server();
    for url in ["http://127.0.0.1:1", &silent] {
        let error = explained(&["--bundler-url", url]);
        assert!(error.as_str().is_some_and(|error| error.contains(url)), "{error}");
    }
    let account = stage.testkit_account();
    let on = [
        "--rpc-url",
        stage.url(),
        "--account",
        &account,
        "--bundler-url",
        "http://127.0.0.1:1",
    ];
    let output = stage.run(&[&["explain", &unknown][..], &on, &DEPLOYMENT[..]].concat());
    let shown = text(&output.stdout).replace("\n  ", " ");
    assert!(
        shown.contains("Whether it is pending is not known: the bundler at http://127.0.0.1:1"),
        "{shown}"
    );
}

// With --yes, the text comes before the operation leaves; an interruption names what left.
#[cfg(unix)]
#[test]
fn what_is_sent_is_shown_before_it_is_sent() {
    let (stage, key) = granted();
    stage.mines.store(false, Ordering::SeqCst);
    let account = stage.testkit_account();
    let on = [
        "--rpc-url",
        stage.url(),
        "--account",
        &account,
        "--bundler-url",
        stage.bundler.url(),
    ];
    let mut child = stage.spawn(&[&["revoke", &key, "--yes"][..], &on, &DEPLOYMENT[..]].concat());
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut heading = String::new();
    out.read_line(&mut heading).expect("a line");
    assert!(
        heading.contains(&format!("Revoke on account {account}")),
        "{heading}"
    );
    let patience = Instant::now() + Duration::from_secs(60);
    while stage.pool.pool().is_empty() {
        assert!(Instant::now() < patience, "nothing arrives");
        thread::sleep(Duration::from_millis(20));
    }
    let hash = stage.pool.pool()[0].hash;
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupt.expect("it is there").success());
    let ended = child.wait().expect("it ends");
    let (mut rest, mut errors) = (String::new(), String::new());
    out.read_to_string(&mut rest).expect("a text");
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut errors).expect("a text");
    assert_eq!(ended.code(), Some(3), "{errors}");
    assert!(rest.contains(&key) && !rest.contains("Revoke on"), "{rest}");
    assert!(
        errors.contains(&format!("interrupted; operation {hash} may be included")),
        "{errors}"
    );
}

// A command that waits for an earlier operation of the lane sends that one again: interrupted, it is open.
#[cfg(unix)]
#[test]
fn an_interruption_names_the_earlier_operation_that_was_sent_again() {
    let (stage, _) = granted();
    stage.mines.store(false, Ordering::SeqCst);
    let account = stage.testkit_account();
    let interrupted = |name: &str| {
        let policy = stage.weekly(name, "50 TEST per 7 days");
        let on = [
            "--rpc-url",
            stage.url(),
            "--account",
            &account,
            "--bundler-url",
            stage.bundler.url(),
        ];
        let child = stage.spawn(&[&["grant", &policy, "--yes", "--json"][..], &on, &DEPLOYMENT[..]].concat());
        let patience = Instant::now() + Duration::from_secs(60);
        while stage.pool.pool().is_empty() {
            assert!(Instant::now() < patience, "nothing arrives");
            thread::sleep(Duration::from_millis(20));
        }
        // The first process's lease on the lane lapses after 15 seconds.
        thread::sleep(Duration::from_secs(if name == "first.toml" { 0 } else { 25 }));
        let interrupt = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(interrupt.expect("it is there").success());
        let output = stage.ended(child);
        (output.status.code(), json_of(&output)["userOpHash"].clone())
    };
    let first = interrupted("first.toml");
    assert_eq!(first, (Some(3), json!(stage.pool.pool()[0].hash)));
    assert_eq!(interrupted("second.toml"), first);
}

// A development chain that went back to an earlier block has the same first block.
#[test]
fn a_journal_ahead_of_the_chain_is_named() {
    let (stage, _) = granted();
    let journal = stage.path("journal.sqlite");
    let journal = journal.to_str().expect("UTF-8");
    for _ in 0..20 {
        stage.testkit.chain().mine();
    }
    let grant = |stage: &Stage| {
        let policy = stage.weekly("more.toml", "50 TEST per 7 days");
        let account = stage.testkit_account();
        let on = ["--rpc-url", stage.url(), "--account", &account, "--json"];
        let through = [
            "--yes",
            "--bundler-url",
            stage.bundler.url(),
            "--journal",
            journal,
        ];
        stage.run(&[&["grant", &policy][..], &on, &through, &DEPLOYMENT[..]].concat())
    };
    assert_eq!(grant(&stage).status.code(), Some(0));
    let (earlier, _) = granted();
    let started = Instant::now();
    let output = grant(&earlier);
    let refused = json_of(&output);
    // The bundler took it: it could be included once the nonces below its own are used.
    assert_eq!(output.status.code(), Some(3), "{refused}");
    assert!(
        started.elapsed() < Duration::from_secs(100),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(refused["error"]["code"], "node_behind", "{refused}");
    for part in [
        "journal.sqlite",
        "up to nonce 0",
        "the next nonce is 0",
        "another journal",
    ] {
        assert!(message(&refused).contains(part), "{refused}");
    }
}

#[test]
fn a_limit_that_is_smaller_than_the_amount_does_not_call_for_patience() {
    let (stage, key) = granted();
    let token = stage.token();
    let pay = format!("{token}:transfer(address,uint256):{SHOP},100000001");
    let arguments = [&["check", &key, "--call", &pay][..], &DEPLOYMENT[..]].concat();
    let refused = stage.json(1, &arguments);
    assert_eq!(refused["passesFrom"], Value::Null);
    let words = refused["violations"][0]["words"].as_str().expect("a text");
    assert!(words.contains("but the limit is 100 TUSD"), "{words}");
    assert!(!words.contains("until"), "{words}");
}

#[test]
fn a_rotation_to_a_key_of_the_account_is_refused_with_its_name() {
    let (stage, key) = granted();
    let policy = stage.weekly("second.toml", "50 TEST per 7 days");
    let second = [&["grant", &policy, "--yes", "--direct"], &DEPLOYMENT[..]].concat();
    let second = key_of(&stage.json(0, &second));
    let rotate = [&["rotate", &key, &second, "--yes", "--direct"], &DEPLOYMENT[..]].concat();
    let refused = stage.json(2, &rotate);
    assert!(
        message(&refused).contains(&format!("{second} is already a session key")),
        "{refused}"
    );
}

#[test]
fn the_policy_of_an_unknown_key_is_an_error_and_no_text() {
    let (stage, _) = granted();
    let account = stage.testkit_account();
    let on = ["--rpc-url", stage.url(), "--account", &account];
    let unknown = SHOP.to_string();
    let output = stage.run(&[&["inspect", &unknown, "--policy"][..], &on, &DEPLOYMENT[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).contains("is not a session key of"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn an_idle_watch_says_what_it_watches() {
    let (stage, _) = granted();
    let account = stage.testkit_account();
    let on = ["--rpc-url", stage.url(), "--account", &account, "--rounds", "1"];
    let output = stage.run(&[&["watch"][..], &on, &DEPLOYMENT[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(
        said.contains("watching 1 session key of account") && said.contains(&account),
        "{said}"
    );
}

#[test]
fn a_reset_that_is_not_pending_sends_nothing() {
    let (stage, key) = granted();
    let reset = [&["reset", &key, "--yes"], &DEPLOYMENT[..]].concat();
    let document = stage.json(0, &reset);
    assert_eq!(
        (&document["wasPending"], &document["transactionHash"]),
        (&json!(false), &Value::Null)
    );
}

// Its lane may hold an operation from before it was removed; or the address is mistyped.
#[test]
fn unblocking_a_key_that_the_account_does_not_have_says_so() {
    let (stage, key) = granted();
    let account = stage.testkit_account();
    let on = [
        "--dry-run",
        "--direct",
        "--rpc-url",
        stage.url(),
        "--account",
        &account,
    ];
    let nobody = SHOP.to_string();
    for (key, expected) in [(&key, false), (&nobody, true)] {
        let output = stage.run(&[&["unblock", key][..], &on, &DEPLOYMENT[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let shown = text(&output.stdout).replace("\n    ", " ");
        let said = shown.contains(&format!("{key} is not a session key of {account} now."));
        assert_eq!(said, expected, "{shown}");
    }
}

#[test]
fn chain_id_zero_is_no_chain() {
    for arguments in [
        &["doctor", "--rpc-url", "http://127.0.0.1:1"][..],
        &["inspect", "--rpc-url", "http://127.0.0.1:1"],
        &["devnet"],
    ] {
        super::refused_arguments(&[arguments, &["--chain-id", "0"]].concat(), "chain-id");
    }
    super::refused_arguments(&["devnet", "--fork-url", "https://node.example"], "only http");
}

#[test]
fn an_expired_request_is_neither_shown_nor_approved() {
    let (stage, _) = granted();
    let weekly = fs::read_to_string(stage.path("weekly.toml")).expect("a policy");
    let account = stage.testkit_account().parse().expect("an address");
    let agent = PrivateKeySigner::random();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time")
        .as_secs();
    for (expires_at, show, approve) in [(now - 1, 2, 2), (now + 600, 0, 0)] {
        let format = PolicyFormat::Toml;
        let request = KeyRequest::new(&agent, 31_337, account, &weekly, format, expires_at);
        let request = runtime().block_on(request).expect("a request");
        let file = stage.file("asked.json", &request.to_json());
        let shown = stage.run(&["request", "show", &file, "--json"]);
        let on = ["--rpc-url", stage.url(), "--direct", "--yes", "--json"];
        let approved = stage.run(&[&["request", "approve", &file][..], &on, &DEPLOYMENT[..]].concat());
        for (output, code) in [(shown, show), (approved, approve)] {
            let document = json_of(&output);
            assert_eq!(output.status.code(), Some(code), "{document}");
            if code != 0 {
                assert!(
                    message(&document).contains("the request was valid until"),
                    "{document}"
                );
            }
        }
    }
}

// The request names the account: the owner may have others, which its author cannot choose among.
#[test]
fn a_request_for_another_account_or_chain_than_the_owners_is_not_approved() {
    let (stage, key) = granted();
    let weekly = fs::read_to_string(stage.path("weekly.toml")).expect("a policy");
    let account = stage.testkit_account();
    let agent = PrivateKeySigner::random();
    let made = async |chain_id: u64| {
        let account = account.parse().expect("an address");
        let expires_at = u64::from(u32::MAX);
        let format = PolicyFormat::Toml;
        let request = KeyRequest::new(&agent, chain_id, account, &weekly, format, expires_at);
        request.await.expect("a request").to_json()
    };
    let runtime = runtime();
    let good = stage.file("good.json", &runtime.block_on(made(31_337)));
    let elsewhere = stage.file("elsewhere.json", &runtime.block_on(made(5)));
    let before = stage.testkit.chain().nonce(stage.owner.address());
    let nobody = SHOP.to_string();
    for (file, chosen, expected) in [
        (&good, ["--account", &nobody], format!("is for account {account}")),
        (&elsewhere, ["--chain-id", "31337"], "is for chain 5".to_owned()),
    ] {
        let on = ["--rpc-url", stage.url(), "--direct", "--yes", "--json"];
        let approve = ["request", "approve", file];
        let output = stage.run(&[&approve[..], &chosen, &on, &DEPLOYMENT[..]].concat());
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(2), "{document}");
        assert!(message(&document).contains(&expected), "{document}");
    }
    assert_eq!(stage.testkit.chain().nonce(stage.owner.address()), before);
    assert_eq!(stage.json(0, &["inspect"])["keys"][0]["address"], *key);
}

/// Runs a command on a terminal, which `script` of util-linux makes, and types a reply to its question.
/// Returns the exit code and everything shown.
#[cfg(target_os = "linux")]
fn on_a_terminal(stage: &Stage, arguments: &[&str], reply: &[u8]) -> (Option<i32>, String) {
    use std::{io::Write as _, process::Stdio};
    let inner = stage.command(arguments);
    let line: Vec<String> = [inner.get_program()]
        .into_iter()
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("UTF-8")))
        .collect();
    let mut outer = Command::new("script");
    outer
        .args(["-q", "-e", "-f", "-c", &line.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let mut child = outer.spawn().expect("script of util-linux");
    let mut input = child.stdin.take().expect("a pipe");
    let mut out = child.stdout.take().expect("a pipe");
    let (mut shown, mut buffer, mut has_replied) = (Vec::new(), [0; 4096], false);
    loop {
        match out.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => shown.extend_from_slice(&buffer[..length]),
        }
        if !has_replied && String::from_utf8_lossy(&shown).contains("Go on? [y/N]") {
            has_replied = true;
            input.write_all(reply).expect("it reads");
        }
    }
    let code = child.wait().expect("it ends").code();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_asks_before_it_signs() {
    let (stage, key) = granted();
    let account = stage.testkit_account();
    let on = ["--rpc-url", stage.url(), "--account", &account, "--direct"];
    let revoke = [&["revoke", &key][..], &on, &DEPLOYMENT[..]].concat();
    for (reply, code, expected) in [
        (&b"n\n"[..], 2, "not confirmed, so nothing was signed"),
        (b"\x03", 130, "interrupted; nothing was signed"),
        (b"y\n", 0, "Done: transaction"),
    ] {
        let before = stage.testkit.chain().block_number();
        let (exit, shown) = on_a_terminal(&stage, &revoke, reply);
        assert_eq!(exit, Some(code), "{shown}");
        assert!(shown.contains(expected), "{shown}");
        // What is asked about is shown once, and nothing is sent without a yes.
        assert_eq!(shown.matches("Revoke on account").count(), 1, "{shown}");
        assert_eq!(stage.testkit.chain().block_number() > before, code == 0);
    }
}
