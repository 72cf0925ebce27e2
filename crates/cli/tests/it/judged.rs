//! Answers that users act on: they state exactly what is known.

use super::{
    json_of,
    keys::{SHOP, Stage, key_of},
    text,
};
use serde_json::{Value, json};
use session_key_client::{
    Call,
    alloy::primitives::{U256, keccak256},
    operation::Gas,
};
use std::io::{BufRead as _, BufReader};

/// Grants a key this policy on a new stage.
fn granted(policy: &str) -> (Stage, String) {
    let stage = Stage::new();
    stage.account();
    let file = stage.file("granted.toml", policy);
    let key = grant(&stage, &file);
    (stage, key)
}

fn write(stage: &Stage, exit: i32, arguments: &[&str]) -> Value {
    let way = ["--direct", "--yes", "--deployment", "deterministic"];
    stage.json(exit, &[arguments, &way].concat())
}

/// Runs a command that must report that it did nothing.
fn refused(stage: &Stage, exit: i32, arguments: &[&str]) -> Value {
    let account = stage.testkit_account();
    let way = ["--direct", "--yes", "--deployment", "deterministic"];
    let sources = ["--rpc-url", stage.url(), "--account", &account, "--json"];
    let output = stage.run(&[arguments, &way, &sources].concat());
    let document = json_of(&output);
    assert_eq!(
        (output.status.code(), &document["ok"]),
        (Some(exit), &json!(false)),
        "{document}"
    );
    document
}

fn grant(stage: &Stage, file: &str) -> String {
    key_of(&write(stage, 0, &["grant", file]))
}

/// Returns a command's readable output.
#[track_caller]
fn shown(stage: &Stage, exit: i32, arguments: &[&str]) -> String {
    let account = stage.testkit_account();
    let sources = ["--rpc-url", stage.url(), "--account", &account];
    let output = stage.run(&[arguments, &sources].concat());
    let printed = text(&output.stdout).to_owned();
    assert_eq!(
        output.status.code(),
        Some(exit),
        "{printed}{}",
        text(&output.stderr)
    );
    printed
}

fn payer(limit: &str) -> String {
    format!("access = \"everything\"\n[limits]\nnative = \"{limit}\"\ngas = \"0.5 ETH per 7 days\"\n")
}

fn shop() -> String {
    format!("[[allow]]\ncontract = \"{SHOP}\"\n\n[limits]\ngas = \"0.5 ETH per 7 days\"\n")
}

fn codes(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.map(|item| item["code"].as_str().expect("a code")).collect()
}

#[test]
fn a_change_with_lint_errors_is_not_signed_unseen() {
    let (stage, key) = granted(&shop());
    let everything = stage.file("everything.toml", "access = \"everything\"\n");
    let planned = stage.json(0, &["plan", &key, &everything]);
    assert_eq!(
        codes(&planned["warnings"]),
        ["gas_unbounded", "everything_allowed", "never_over"]
    );
    let before = stage.testkit.chain().nonce(stage.owner.address());
    let refused = refused(&stage, 1, &["apply", &key, &everything]);
    assert_eq!(refused["error"]["code"], "lint_errors", "{refused}");
    assert_eq!(stage.testkit.chain().nonce(stage.owner.address()), before);
    let applied = write(&stage, 0, &["apply", &key, &everything, "--allow-lint-errors"]);
    assert_eq!(applied["changed"], true);
    assert_eq!(applied["warnings"], planned["warnings"]);
}

#[test]
fn a_key_named_twice_is_revoked_once() {
    let (stage, key) = granted(&shop());
    let revoked = write(&stage, 0, &["revoke", &key, &key]);
    assert_eq!(revoked["revoked"], json!([key]));
    assert_eq!(stage.json(0, &["inspect"])["keys"], json!([]));
}

#[test]
fn an_incomplete_read_is_reported_as_incomplete() {
    let (stage, key) = granted(&shop());
    // The key was granted in this block or earlier: the next block has none of its events.
    stage.testkit.chain().mine();
    let head = stage.json(0, &["inspect"])["block"].to_string();
    let found = stage.json(1, &["inspect", &key, "--from-block", &head]);
    let found = &found["keys"][0];
    assert_eq!(found["complete"], false);
    assert_eq!(found["words"][0], "It is not known what it may call.");
    assert!(!codes(&found["warnings"]).contains(&"nothing_allowed"), "{found}");
    assert_eq!(
        stage.json(1, &["budget", &key, "--from-block", &head])["complete"],
        false
    );
    let ahead = stage.json(2, &["inspect", &key, "--from-block", "9999999"]);
    let message = ahead["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("9999999") && message.contains(&head),
        "{message}"
    );
}

#[test]
fn a_keys_history_contains_only_its_own_events() {
    let (stage, key) = granted(&shop());
    let other = stage.file("other.toml", &payer("1 ETH"));
    let other = key_of(&write(&stage, 0, &["grant", &other, "--allow-lint-errors"]));
    let rotated = key_of(&write(&stage, 0, &["rotate", &key]));
    let history = |key: &str| -> Vec<(String, String)> {
        let found = stage.json(0, &["inspect", key, "--history"]);
        let events = found["history"].as_array().expect("a list").iter();
        let part = |event: &Value, name: &str| event[name].as_str().expect("a text").to_owned();
        let mut events: Vec<_> = events
            .map(|event| (part(event, "kind"), part(event, "sessionKey")))
            .collect();
        events.sort();
        events.dedup();
        events
    };
    let event = |kind: &str, key: &str| (kind.to_owned(), key.to_owned());
    // Including those under its address before the rotation.
    assert_eq!(
        history(&rotated),
        [
            event("added", &key),
            event("rotated", &key),
            event("updated", &key)
        ]
    );
    assert_eq!(
        history(&other),
        [event("added", &other), event("updated", &other)]
    );
}

#[test]
fn calls_beyond_the_accounts_funds_are_not_accepted() {
    let (stage, key) = {
        let stage = Stage::new();
        stage.account();
        let token = stage.token();
        let policy = stage.file(
            "payer.toml",
            &format!(
                "[tokens.TEST]\naddress = \"{token}\"\ndecimals = 6\n\n[[allow]]\ncontract = \"TEST\"\n\
                 [[allow]]\ncontract = \"{SHOP}\"\n\n[limits]\nnative = \"9 ETH\"\ngas = \"0.5 ETH\"\n\
                 tokens = [\"5000 TEST\"]\n"
            ),
        );
        let key = grant(&stage, &policy);
        (stage, key)
    };
    let check = |exit: i32, calls: &[&str]| {
        let calls = calls.iter().flat_map(|call| ["--call", call]);
        let all: Vec<&str> = ["check", &key].into_iter().chain(calls).collect();
        stage.json(exit, &all)
    };
    let token = stage.token();
    let (pay, pay_most) = (format!("{SHOP}@0.6 ETH"), format!("{SHOP}@8 ETH"));
    let transfer = format!("{token}:transfer(address,uint256):{SHOP},1000000001");
    assert_eq!(check(0, &[&pay])["obstacles"], json!([]));
    let refused = check(1, &[&pay_most]);
    assert_eq!(
        (&refused["verdict"], &refused["violations"]),
        (&json!("refused"), &json!([]))
    );
    assert_eq!(codes(&refused["obstacles"]), ["native_balance"]);
    assert_eq!(codes(&check(1, &[&transfer])["obstacles"]), ["token_balance"]);
    // The first call might bring in what the second one sends.
    let unsure = check(0, &[&pay, &pay]);
    assert_eq!(unsure["verdict"], "mayPass");
    assert_eq!(codes(&unsure["obstacles"]), ["native_balance"]);
    let words = shown(&stage, 1, &["check", &key, "--call", &pay_most]);
    assert!(
        words.starts_with(
            "Refused, whatever the key may do:\n  – the calls send 8 ETH, and the account has 1 ETH."
        ),
        "{words}"
    );
}

#[test]
fn an_operation_with_a_wrong_nonce_is_not_accepted() {
    let (stage, key) = granted(&shop());
    let nonce = |sequence: u64| {
        let lane = U256::from_str_radix(&key[2..], 16).expect("digits");
        format!("{:#x}", (lane << 64) | U256::from(sequence))
    };
    let operation = |sequence: u64| {
        let operation = json!({
            "sender": stage.testkit_account(),
            "nonce": nonce(sequence),
            "initCode": "0x",
            "callData": "0x",
            "callGasLimit": "0x1",
            "verificationGasLimit": "0x1",
            "preVerificationGas": "0x1",
            "maxFeePerGas": "0x1",
            "maxPriorityFeePerGas": "0x1",
            "paymasterAndData": "0x",
            "signature": "0x",
        });
        stage.file("operation.json", &operation.to_string())
    };
    let judged = stage.json(1, &["check", &key, "--user-operation", &operation(5)]);
    assert_eq!(codes(&judged["obstacles"]), ["nonce_ahead"]);
    assert_eq!(judged["signatureChecked"], false);
    let judged = stage.json(1, &["check", &key, "--user-operation", &operation(0)]);
    assert_eq!(judged["obstacles"], json!([]));
    let words = shown(&stage, 1, &["check", &key, "--user-operation", &operation(0)]);
    assert!(words.contains("Its signature was not checked"), "{words}");
}

#[test]
fn a_change_is_not_decoded_as_a_policy() {
    let (stage, key) = granted(&shop());
    let wider = stage.file("wider.toml", &format!("{}native = \"1 ETH\"\n", shop()));
    let plan = stage.json(0, &["plan", &key, &wider]).to_string();
    let decoded = stage.run_with(&["decode", "-"], &plan);
    let words = text(&decoded.stdout);
    assert!(
        words.starts_with("1 update that change a key") || words.starts_with("1 update"),
        "{words}"
    );
    assert!(
        words.contains("Limits what the key may send") && !words.contains("[limits]"),
        "{words}"
    );
    let decoded = json_of(&stage.run_with(&["decode", "-", "--json"], &plan));
    assert_eq!(
        (&decoded["policy"], &decoded["what"]),
        (&Value::Null, &json!("updates"))
    );
    // In the opposite direction, an update removes something.
    let narrower = stage.file("narrower.toml", "access = \"everything\"\n");
    let planned = stage.json(0, &["plan", &key, &narrower]);
    let removal = planned["updates"].as_array().expect("a list").iter();
    let mut removal = removal.filter_map(Value::as_str).map(|update| {
        let printed = stage.run(&["decode", update]);
        text(&printed.stdout).to_owned()
    });
    assert!(removal.all(|words| words.lines().count() > 1));
}

#[test]
fn revoking_an_unused_tag_answers_no() {
    let (stage, key) = granted(&format!("tag = \"weekly\"\n{}", shop()));
    assert_eq!(
        write(&stage, 1, &["revoke", "--tag", "nosuch"])["revoked"],
        json!([])
    );
    let tag = keccak256("weekly").to_string();
    let refused = write(&stage, 2, &["revoke", "--tag", &tag[..65]]);
    assert_eq!(refused["error"]["code"], "bad_arguments");
    let other = stage.file("other.toml", &format!("tag = \"monthly\"\n{}", shop()));
    let planned = stage.json(0, &["plan", &key, &other]);
    assert_eq!(
        (&planned["otherTag"], &planned["changed"]),
        (&json!(tag), &json!(false))
    );
    let without = stage.file("without.toml", &shop());
    assert_eq!(stage.json(0, &["plan", &key, &without])["otherTag"], Value::Null);
}

#[test]
fn amounts_use_the_name_of_the_chains_coin() {
    let stage = Stage::new();
    let policy = stage.file(
        "polygon.toml",
        "tag = \"polygon\"\naccess = \"everything\"\n[limits]\nnative = \"5 POL\"\ngas = \"1 POL\"\n",
    );
    let encode = |policy: &str| json_of(&stage.run(&["encode", policy, "--chain-id", "137", "--json"]));
    let encoded = encode(&policy);
    assert_eq!(encoded["words"][1], "May send at most 5 POL in total.");
    let decoded = json_of(&stage.run_with(&["decode", "-", "--json"], &encoded.to_string()));
    let written = decoded["policy"].as_str().expect("a policy");
    let again = encode(&stage.file("again.toml", written));
    // The tag's text is lost; its bytes are not.
    assert_eq!(again["updates"], encoded["updates"], "{written}");
    assert_eq!(again["tag"], json!(keccak256("polygon")), "{written}");
}

#[test]
fn an_unregistered_key_answers_no() {
    let (stage, key) = granted(&shop());
    let policy = stage.file("shop.toml", &shop());
    let nobody = SHOP.to_string();
    assert_eq!(stage.json(1, &["inspect", &nobody])["keys"], json!([]));
    let code = |document: &Value| document["error"]["code"].clone();
    let account = stage.testkit_account();
    let (unknown, not_found) = ("not_a_session_key", "key_not_found");
    for (command, expected) in [
        (&["budget", &nobody][..], unknown),
        (&["plan", &nobody, &policy], unknown),
        (&["apply", &nobody, &policy, "--yes", "--direct"], unknown),
        (&["rotate", &nobody, "--yes", "--direct"], unknown),
        (&["reset", &nobody, "--yes"], unknown),
        (&["revoke", &nobody, "--yes", "--direct"], not_found),
        (&["revoke", &nobody, "--dry-run"], not_found),
    ] {
        let sources = ["--rpc-url", stage.url(), "--account", &account, "--json"];
        let output = stage.run(&[command, &sources].concat());
        assert_eq!(
            output.status.code(),
            Some(1),
            "{command:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(code(&json_of(&output)), expected, "{command:?}");
    }
    let refused = write(&stage, 2, &["rotate", &key, &key]);
    assert_eq!(code(&refused), "bad_arguments");
}

#[test]
fn watch_follows_a_key_through_rotation() {
    let (stage, key) = granted(&shop());
    let rotated = key_of(&write(&stage, 0, &["rotate", &key]));
    write(&stage, 0, &["revoke", &rotated]);
    let account = stage.testkit_account();
    let watch = |arguments: &[&str]| {
        let sources = ["--rpc-url", stage.url(), "--account", &account, "--json"];
        stage.run(&[&["watch"], arguments, &sources].concat())
    };
    let seen = watch(&[&*key, "--since", "1", "--rounds", "1"]);
    let events: Vec<(Value, Value)> = text(&seen.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|event| (event["event"].clone(), event["sessionKey"].clone()))
        .collect();
    assert!(events.contains(&(json!("removed"), json!(rotated))), "{events:?}");
    // A note says that the key is gone.
    let note = text(&seen.stderr);
    assert!(note.contains(&format!("{key} is not a session key")), "{note}");
    let ahead = watch(&["--since", "9999999", "--rounds", "1"]);
    assert_eq!(ahead.status.code(), Some(2));
    assert_eq!(text(&ahead.stdout).lines().count(), 1, "one object per line");
    assert_eq!(json_of(&ahead)["error"]["code"], "bad_arguments");
}

// Validation opens the next interval of the gas limit; execution, which would settle it, fails.
#[test]
fn a_pending_reset_is_watched_and_settled() {
    let (stage, key) = granted(&shop().replace("0.5 ETH per 7 days", "0.01 ETH per 1 hour"));
    let account = stage.testkit_account();
    let node = ["--rpc-url", stage.url(), "--account", &account];
    let gas = |budgets: &Value| {
        let budgets = budgets.as_array().expect("a list");
        let gas = budgets
            .iter()
            .find(|budget| budget["of"] == "gas")
            .expect("a gas limit");
        (gas["pendingReset"].clone(), gas["status"].clone())
    };
    let budget = || gas(&stage.json(0, &["budget", &key])["budgets"]);
    let runtime = super::server::runtime();
    let agent = runtime.block_on(stage.agent(key.parse().expect("an address")));
    // Each may cost more than half of an interval's limit.
    let pays = |call_gas_limit: u64| {
        let gas = Gas {
            call_gas_limit: U256::from(call_gas_limit),
            verification_gas_limit: U256::from(500_000),
            pre_verification_gas: U256::from(100_000),
        };
        let fee = U256::from(9_000_000_000_u64);
        let calls = [Call::transfer(SHOP, U256::ZERO)];
        runtime.block_on(async { agent.execute(calls).gas_limits(gas).fees(fee, fee).await })
    };
    pays(500_000).expect("it is paid");
    {
        let mut chain = stage.testkit.chain();
        chain.increase_time(3_600);
        chain.mine();
    }
    assert_eq!(budget(), (json!(false), json!("available")));

    let watch = ["watch", &key, "--interval", "1", "--rounds", "60", "--json"];
    let mut watching = stage.spawn(&[&watch[..], &node].concat());
    let mut note = String::new();
    let mut errors = BufReader::new(watching.stderr.take().expect("a pipe"));
    errors.read_line(&mut note).expect("a line");
    assert!(note.contains("watching 1 session key"), "{note}");
    let mut out = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = out.next().expect("an event").expect("a line");
        let event = serde_json::from_str(&line).expect("JSON on each line");
        super::output::check_document("watch", &event);
        event
    };
    let failed = pays(1_000).expect_err("it runs out of gas");
    assert_eq!(failed.code(), "reverted");
    assert_eq!(next()["event"], "refused");
    let event = next();
    assert_eq!(event["event"], "budget", "{event}");
    assert_eq!(gas(&event["budgets"]), (json!(true), json!("resetPending")));
    assert_eq!(budget(), (json!(true), json!("resetPending")));

    let reset = |way: &str| stage.json(0, &["reset", &key, way]);
    let dry = reset("--dry-run");
    assert_eq!(
        (&dry["wasPending"], &dry["simulation"]["verdict"]),
        (&json!(true), &json!("wouldSucceed"))
    );
    let done = reset("--yes");
    assert_eq!(done["wasPending"], true);
    assert!(done["transactionHash"].is_string(), "{done}");
    let event = next();
    assert_eq!(event["event"], "budget", "{event}");
    assert_eq!(gas(&event["budgets"]).0, false);
    assert_eq!(budget().0, false);
    watching.kill().expect("it runs");
    watching.wait().expect("it ends");
}

#[test]
fn commands_without_a_chain_read_the_settings_file() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let owner = stage.owner.address();
    let settings = format!(
        "account = \"{account}\"\nchain_id = 31337\nowner = \"{owner}\"\ndeployment = \"deterministic\"\n\
         keystore = \"elsewhere\"\n"
    );
    let named = stage.file("settings.toml", &settings);
    let need = stage.file("need.toml", &shop());
    let found = stage.run(&["account", "address", "--config", &named]);
    assert_eq!(text(&found.stdout).trim(), account, "{}", text(&found.stderr));
    let asked = stage.run(&["request", "new", &need, "--config", &named]);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    let request = text(&asked.stdout);
    assert!(
        request.contains(&account) && request.contains("31337"),
        "{request}"
    );
    // The output of request new --json is a request as well.
    let asked = stage.run(&["request", "new", &need, "--config", &named, "--json"]);
    let shown = stage.run_with(&["request", "show", "-"], text(&asked.stdout));
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    for command in ["keys", "keygen"] {
        let output = stage.run(&[command, "--config", &named]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{command}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn inspect_recovers_the_policy() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let key = grant(&stage, &policy);
    let printed = shown(&stage, 0, &["inspect", &key, "--policy"]);
    let again = stage.file("again.toml", &printed);
    let planned = stage.json(0, &["plan", &key, &again, "--check"]);
    assert_eq!(
        (&planned["changed"], &planned["otherTag"]),
        (&json!(false), &Value::Null)
    );
    let document = stage.json(0, &["inspect", &key, "--policy"]);
    assert_eq!(
        document["policy"].as_str().map(str::trim_end),
        Some(printed.trim_end())
    );
}

#[test]
fn decimals_must_be_known_to_compare_policies() {
    let stage = Stage::new();
    let token = stage.token();
    let need = |functions: &str, decimals: u8| {
        format!(
            "[tokens.TEST]\naddress = \"{token}\"\ndecimals = {decimals}\n\n[[allow]]\ncontract = \"TEST\"\n\
             functions = [{functions}]\n\n[limits]\ngas = \"0.5 ETH\"\ntokens = [\"5 TEST\"]\n"
        )
    };
    let policy = stage.file("policy.toml", &shop());
    let both = stage.file(
        "need.toml",
        &need("\"transfer(address,uint256)\", \"approve(address,uint256)\"", 6),
    );
    let output = stage.run(&["covers", &policy, &both, "--json"]);
    let missing = json_of(&output)["missing"].clone();
    let words: Vec<&str> = missing
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["words"].as_str().expect("words"))
        .collect();
    let mut once = words.clone();
    once.dedup();
    assert_eq!(words, once);
    for function in ["transfer of", "approve of"] {
        assert!(words.iter().any(|words| words.contains(function)), "{words:?}");
    }
    let other = stage.file("other.toml", &need("\"transfer(address,uint256)\"", 18));
    for (arguments, expected) in [
        (["covers", "-", "-"], "standard input"),
        (["covers", &both, &other], "18"),
    ] {
        let output = stage.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(expected),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_dry_run_shows_every_step() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.file("shop.toml", &shop());
    let owner = stage.owner.address().to_string();
    let dry = [
        "grant",
        &policy,
        "--dry-run",
        "--direct",
        "--deployment",
        "deterministic",
        "--owner",
        &owner,
    ];
    let calls = stage.json(0, &dry)["calls"].as_array().expect("a list").len();
    assert_eq!(calls, 2);
    let words = shown(&stage, 0, &dry);
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "is created",
        "is installed",
        "stands in for it",
        "that creates the account",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let key = grant(&stage, &policy);
    for command in ["rotate", "revoke"] {
        let words = shown(&stage, 0, &[command, &key, "--dry-run", "--direct"]);
        assert!(words.contains("May call every function of"), "{command}: {words}");
    }
    let words = shown(&stage, 0, &["budget", &key]);
    assert!(words.contains("none may be sent"), "{words}");
    let words = shown(
        &stage,
        0,
        &[
            "account",
            "new",
            "--salt",
            "7",
            "--dry-run",
            "--bundler-url",
            "http://localhost:1",
            "--deployment",
            "deterministic",
        ],
    );
    assert!(
        words.contains("pays for it") && words.contains("bundler is not used"),
        "{words}"
    );
}

#[test]
fn an_empty_environment_variable_counts_as_unset() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "access = \"everything\"\n").expect("a policy");
    let path = file.path().to_str().expect("UTF-8");
    let mut command = super::command(&["encode", path], None);
    for variable in super::VARIABLES {
        command.env(variable, "");
    }
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
