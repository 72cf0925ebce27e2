//! Plain transactions of an owner: recorded before they are sent, and never sent twice.

use super::{
    json_of,
    keys::{SHOP, Stage, key_of},
    server::{runtime, serve_with},
    text,
};
use serde_json::{Value, json};
use session_key_client::{
    alloy::{
        network::TransactionBuilder as _,
        primitives::{B256, U256},
        providers::Provider as _,
        rpc::types::TransactionRequest,
    },
    journal::SqliteJournal,
};
use std::{
    fs,
    process::{Child, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const WAY: [&str; 4] = ["--yes", "--direct", "--deployment", "deterministic"];

pub(crate) fn arguments<'a>(command: &[&'a str], url: &'a str, account: &'a str) -> Vec<&'a str> {
    [command, &WAY, &["--rpc-url", url, "--account", account, "--json"]].concat()
}

pub(crate) fn signal(child: &Child, signal: &str) {
    let sent = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()
        .expect("it is there");
    assert!(sent.success());
}

/// Runs a command until its transaction is in the pool, then ends the process.
pub(crate) fn killed_after_sending(stage: &Stage, command: &[&str]) -> B256 {
    let account = stage.testkit_account();
    stage.testkit.chain().set_automine(false);
    let child = stage.spawn(&arguments(command, stage.url(), &account));
    while stage.testkit.chain().pool().is_empty() {
        assert!(stage.testkit.chain().pool().len() < 2);
        thread::sleep(Duration::from_millis(20));
    }
    signal(&child, "-KILL");
    let hash = *stage.testkit.chain().pool()[0].transaction.inner.hash();
    drop(stage.ended(child));
    hash
}

/// Runs a command until it sends its transaction, and ends the process before the node gets it.
pub(crate) fn killed_before_sending(stage: &Stage, command: &[&str]) -> B256 {
    let account = stage.testkit_account();
    let is_sending = Arc::new(AtomicBool::new(false));
    let noticed = is_sending.clone();
    let url = serve_with(&stage.testkit, &[], move |body| {
        if body.contains("eth_sendRawTransaction") {
            noticed.store(true, Ordering::SeqCst);
            // Until the test process ends.
            loop {
                thread::park();
            }
        }
        None
    });
    let child = stage.spawn(&arguments(command, &url, &account));
    while !is_sending.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(20));
    }
    signal(&child, "-KILL");
    drop(stage.ended(child));
    let kept = kept(stage);
    assert_eq!(kept.len(), 1);
    kept[0]
}

/// Returns the transactions in the journal.
pub(crate) fn kept(stage: &Stage) -> Vec<B256> {
    runtime().block_on(async {
        let journal = SqliteJournal::open(stage.path("keys/journal.sqlite"))
            .await
            .expect("a journal");
        let kept = journal.transactions(31_337, stage.owner.address()).await;
        kept.expect("records")
            .into_iter()
            .map(|record| record.signed.hash)
            .collect()
    })
}

pub(crate) fn nonce(stage: &Stage) -> u64 {
    stage.testkit.chain().nonce(stage.owner.address())
}

pub(crate) fn run(stage: &Stage, command: &[&str]) -> (Option<i32>, Value) {
    let account = stage.testkit_account();
    let output: Output = stage.run(&arguments(command, stage.url(), &account));
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    (output.status.code(), json_of(&output))
}

/// Repeats the command, which reports the transaction without sending it again.
#[track_caller]
fn settled(stage: &Stage, command: &[&str], hash: B256) -> Value {
    let before = nonce(stage);
    let (exit, document) = run(stage, command);
    assert_eq!(exit, Some(0), "{command:?}: {document}");
    assert_eq!(
        document["transactionHash"],
        json!(hash),
        "{command:?}: {document}"
    );
    assert_eq!(document["dryRun"], false);
    assert_eq!(nonce(stage), before, "{command:?}");
    assert_eq!(kept(stage), [] as [B256; 0], "{command:?}");
    document
}

#[test]
fn every_repeated_command_reports_its_transaction() {
    let stage = Stage::new();
    stage.account();
    let mine = || {
        let mut chain = stage.testkit.chain();
        chain.mine();
        chain.set_automine(true);
    };
    let killed = |command: &[&str]| {
        let hash = killed_after_sending(&stage, command);
        mine();
        settled(&stage, command, hash)
    };

    let made = killed(&["account", "new"]);
    assert_eq!(made["created"], true);

    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let granted = killed(&["grant", &policy]);
    let key = key_of(&granted);
    assert!(stage.path(&format!("keys/{key}.json")).exists());
    assert!(stage.path("weekly.toml.lock").exists());

    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    let applied = killed(&["apply", &key, &wider]);
    assert_eq!(applied["changed"], true);

    let rotated = killed(&["rotate", &key]);
    let new = key_of(&rotated);
    assert_eq!(rotated["oldSessionKey"], key);

    killed(&["unblock", &new, "--nonce", "0"]);

    let revoked = killed(&["revoke", &new]);
    assert_eq!(revoked["revoked"], json!([new]));
    assert_eq!(stage.json(0, &["inspect"])["keys"], json!([]));

    // The plugin is installed, and another key is registered.
    let shop = SHOP.to_string();
    killed(&["grant", &policy, "--key", &shop]);
    let revoked = killed(&["revoke", "--all"]);
    assert_eq!(revoked["revoked"], json!([shop]));

    let need = fs::read_to_string(&policy).expect("a file");
    let need = need.replace("valid_for = \"90 days\"", "valid_until = 2100-01-01T00:00:00Z");
    let need = stage.file("need.toml", &need);
    let request = stage.path("request.json").to_str().expect("UTF-8").to_owned();
    let account = stage.testkit_account();
    let asked = [
        "request",
        "new",
        &need,
        "--account",
        &account,
        "--chain-id",
        "31337",
        "--out",
        &request,
    ];
    assert_eq!(stage.run(&asked).status.code(), Some(0));
    let approved = killed(&["request", "approve", &request]);
    assert!(stage.path(&format!("keys/{}.json", key_of(&approved))).exists());
    let revoked = killed(&["revoke", "--tag", "weekly buy"]);
    assert_eq!(revoked["revoked"], json!([key_of(&approved)]));
}

// Same for operations: the state that the command reads first has changed by then.
#[test]
fn an_interrupted_operation_is_resumed() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (_, granted) = run(&stage, &["grant", &policy]);
    let key = key_of(&granted);
    let account = stage.testkit_account();
    let operation = |command: &[&str]| {
        let way = [
            "--yes",
            "--bundler-url",
            stage.bundler.url(),
            "--rpc-url",
            stage.url(),
        ];
        let account = ["--account", account.as_str(), "--json"];
        [command, &way, &account]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let interrupted = |command: &[&str]| {
        stage.mines.store(false, Ordering::SeqCst);
        let arguments = operation(command);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = stage.spawn(&arguments);
        while stage.pool.pool().is_empty() {
            thread::sleep(Duration::from_millis(20));
        }
        let hash = stage.pool.pool()[0].hash;
        signal(&child, "-INT");
        let output = stage.ended(child);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
        stage.mines.store(true, Ordering::SeqCst);
        while !stage.pool.pool().is_empty() {
            thread::sleep(Duration::from_millis(20));
        }
        let output = stage.run(&arguments);
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(0), "{document}");
        assert_eq!(document["userOpHash"], json!(hash), "{command:?}: {document}");
        document
    };
    let rotated = interrupted(&["rotate", &key]);
    let new = key_of(&rotated);
    assert!(stage.path(&format!("keys/{new}.json")).exists());
    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    let lock = fs::read_to_string(stage.path("weekly.toml.lock")).expect("a file");
    stage.file("wider.toml.lock", &lock.replace(&key, &new));
    let applied = interrupted(&["apply", &new, &wider]);
    assert_eq!(applied["changed"], true);
    let revoked = interrupted(&["revoke", "--all"]);
    assert_eq!(revoked["revoked"], json!([new]));
    // The outcome was reported: repeated, there is nothing to revoke.
    let again = operation(&["revoke", "--all"]);
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    assert_eq!(json_of(&stage.run(&again))["revoked"], json!([]));
}

#[test]
fn an_unsent_transaction_is_sent_byte_for_byte() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    // The account is created first; the grant takes another transaction.
    let grant = ["grant", policy.as_str()];
    let creating = killed_before_sending(&stage, &grant);
    assert_eq!(nonce(&stage), 0);
    let (exit, granted) = run(&stage, &grant);
    assert_eq!(exit, Some(0), "{granted}");
    assert_ne!(granted["transactionHash"], json!(creating));
    assert_eq!(nonce(&stage), 2);
    assert!(stage.testkit.chain().receipt(creating).is_some());

    let key = key_of(&granted);
    let revoke = ["revoke", key.as_str()];
    let hash = killed_before_sending(&stage, &revoke);
    // Another command does not take its nonce unless asked to.
    let (exit, refused) = run(&stage, &["rotate", &key]);
    assert_eq!(exit, Some(2), "{refused}");
    let message = refused["error"]["message"].as_str().expect("a text");
    assert!(
        message.contains("repeat that command") && message.contains(&hash.to_string()),
        "{message}"
    );
    let (exit, revoked) = run(&stage, &revoke);
    assert_eq!(
        (exit, &revoked["transactionHash"]),
        (Some(0), &json!(hash)),
        "{revoked}"
    );
    assert_eq!(nonce(&stage), 3);
}

#[test]
fn a_transaction_the_node_dropped_is_sent_again() {
    let stage = Stage::new();
    stage.account();
    let command = ["account", "new"];
    let hash = killed_after_sending(&stage, &command);
    stage.testkit.chain().drop_pooled(hash).expect("it is there");
    stage.testkit.chain().set_automine(true);
    let (exit, made) = run(&stage, &command);
    assert_eq!(
        (exit, &made["transactionHash"]),
        (Some(0), &json!(hash)),
        "{made}"
    );
    assert_eq!(nonce(&stage), 1);
}

#[test]
fn a_transaction_whose_nonce_was_used_is_void() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (_, granted) = run(&stage, &["grant", &policy]);
    let key = key_of(&granted);
    let revoke = ["revoke", key.as_str()];
    let hash = killed_before_sending(&stage, &revoke);
    runtime().block_on(async {
        let owner = stage.owner.clone();
        let from = owner.address();
        let provider = stage.testkit.provider_with_signer(owner);
        let transfer = TransactionRequest::default()
            .with_from(from)
            .with_to(SHOP)
            .with_value(U256::from(1));
        let sent = provider.send_transaction(transfer).await.expect("it is sent");
        sent.get_receipt().await.expect("a receipt");
    });
    let before = nonce(&stage);
    let (exit, void) = run(&stage, &revoke);
    assert_eq!(exit, Some(1), "{void}");
    assert_eq!(
        (&void["error"]["code"], &void["transactionHash"]),
        (&json!("void"), &json!(hash)),
        "{void}"
    );
    assert_eq!(nonce(&stage), before);
    // The outcome was reported, and now the command succeeds.
    let (exit, revoked) = run(&stage, &revoke);
    assert_eq!(exit, Some(0), "{revoked}");
    assert_eq!(revoked["revoked"], json!([key]));
    assert_eq!(nonce(&stage), before + 1);
}

#[test]
fn a_lost_answer_names_the_transaction() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let url = serve_with(&stage.testkit, &[], |body| {
        body.contains("eth_sendRawTransaction")
            .then_some("internal error")
    });
    let output = stage.run(&arguments(&["account", "new"], &url, &account));
    let document = json_of(&output);
    assert_eq!(output.status.code(), Some(3), "{document}");
    assert_eq!(document["error"]["code"], "no_answer");
    let hash = document["transactionHash"].as_str().expect("a hash").parse();
    settled_as_new(&stage, hash.expect("a hash"));
}

/// Checks that a transaction which never arrived is sent by the next run.
fn settled_as_new(stage: &Stage, hash: B256) {
    let (exit, made) = run(stage, &["account", "new"]);
    assert_eq!(
        (exit, &made["transactionHash"]),
        (Some(0), &json!(hash)),
        "{made}"
    );
    assert_eq!(nonce(stage), 1);
}

#[test]
fn again_sends_another_transaction() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    run(&stage, &["account", "new"]);
    let grant = ["grant", policy.as_str()];
    let hash = killed_after_sending(&stage, &grant);
    stage.testkit.chain().mine();
    stage.testkit.chain().set_automine(true);
    let (exit, second) = run(&stage, &["grant", &policy, "--again"]);
    assert_eq!(exit, Some(0), "{second}");
    assert_ne!(second["transactionHash"], json!(hash));
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
}

/// An unreported removal is no answer once the key has been granted again: the key is removed.
#[test]
fn an_old_removal_does_not_answer_for_a_key_granted_again() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    run(&stage, &["account", "new"]);
    let (exit, granted) = run(&stage, &["grant", &policy]);
    assert_eq!(exit, Some(0), "{granted}");
    let key = granted["sessionKey"].as_str().expect("a key").to_owned();
    let revoke = ["revoke", key.as_str()];
    let old = killed_after_sending(&stage, &revoke);
    stage.testkit.chain().mine();
    stage.testkit.chain().set_automine(true);
    let (exit, again) = run(&stage, &["grant", &policy, "--key", &key, "--again"]);
    assert_eq!(exit, Some(0), "{again}");

    let (exit, revoked) = run(&stage, &revoke);
    assert_eq!(exit, Some(0), "{revoked}");
    assert_ne!(revoked["transactionHash"], json!(old), "{revoked}");
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(keys["keys"], json!([]));
    assert_eq!(kept(&stage), [] as [B256; 0]);
}

#[test]
fn an_unreported_outcome_is_reported_by_the_next_run() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let grant = ["grant", policy.as_str()];
    // The lock file becomes unwritable once the transaction is sent.
    let part = stage.path("weekly.toml.lock.part");
    let url = serve_with(&stage.testkit, &[], move |body| {
        if body.contains("eth_sendRawTransaction") {
            // It may be sent more than once.
            fs::create_dir_all(&part).expect("a folder");
        }
        None
    });
    let output = stage.run(&arguments(&grant, &url, &stage.testkit_account()));
    let unreported = json_of(&output);
    assert_eq!(output.status.code(), Some(3), "{unreported}");
    assert_eq!(unreported["error"]["code"], "not_reported");
    fs::remove_dir(stage.path("weekly.toml.lock.part")).expect("a folder");
    let hash = unreported["transactionHash"].as_str().expect("a hash").parse();
    settled(&stage, &grant, hash.expect("a hash"));
    assert!(stage.path("weekly.toml.lock").exists());
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_unused_generated_key_is_deleted() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (_, granted) = run(&stage, &["grant", &policy]);
    let key = key_of(&granted);
    let keys = || {
        let files = fs::read_dir(stage.path("keys")).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"));
        let mut keys: Vec<String> = names.filter(|name| name.starts_with("0x")).collect();
        keys.sort();
        keys
    };
    let before = keys();
    let account = stage.testkit_account();
    let url = serve_with(&stage.testkit, &[], |body| {
        body.contains("eth_estimateGas").then_some("the test says no")
    });
    for command in [&["rotate", key.as_str()][..], &["grant", &policy]] {
        let output = stage.run(&arguments(command, &url, &account));
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        assert_eq!(keys(), before, "{command:?}");
    }
    // A key whose grant may be included stays.
    let url = serve_with(&stage.testkit, &[], |body| {
        body.contains("eth_sendRawTransaction")
            .then_some("internal error")
    });
    let rotate = ["rotate", key.as_str()];
    let output = stage.run(&arguments(&rotate, &url, &account));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    assert_eq!(keys().len(), before.len() + 1);
    let (exit, rotated) = run(&stage, &rotate);
    assert_eq!(exit, Some(0), "{rotated}");
    assert!(keys().contains(&format!("{}.json", key_of(&rotated))));
}

#[test]
fn direct_unblock_needs_no_bundler() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (_, granted) = run(&stage, &["grant", &policy]);
    let key = key_of(&granted);
    let dry = stage.json(0, &["unblock", &key, "--nonce", "2", "--dry-run"]);
    let read = stage.run(&[
        "decode",
        dry["calls"][0]["data"].as_str().expect("data"),
        "--json",
    ]);
    let read = json_of(&read);
    assert_eq!(read["function"], "executeBatch");
    // One incrementNonce for each of 0, 1 and 2.
    let calls = read["calls"].as_array().expect("a list");
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| {
        call["data"]
            .as_str()
            .is_some_and(|data| data.starts_with("0x0bd28e3b"))
    }));
    let (exit, ended) = run(&stage, &["unblock", &key, "--nonce", "2"]);
    assert_eq!(exit, Some(0), "{ended}");
    assert!(ended["transactionHash"].is_string() && ended["userOpHash"].is_null());
    let nothing = stage.json(0, &["unblock", &key, "--nonce", "2", "--dry-run"]);
    assert_eq!(nothing["calls"], json!([]));
}

#[test]
fn lint_errors_are_not_signed_unseen() {
    let stage = Stage::new();
    stage.account();
    let everything = stage.file("everything.toml", "access = \"everything\"\n");
    let (exit, refused) = run(&stage, &["grant", &everything]);
    assert_eq!(exit, Some(1), "{refused}");
    assert_eq!(refused["error"]["code"], "lint_errors");
    assert_eq!((nonce(&stage), &refused["transactionHash"]), (0, &json!(null)));
    assert!(!stage.path("keys").join("0x").exists());
    let (exit, granted) = run(&stage, &["grant", &everything, "--allow-lint-errors"]);
    assert_eq!(exit, Some(0), "{granted}");
}

#[test]
fn decimals_are_taken_from_the_lock_file() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let text = fs::read_to_string(&policy)
        .expect("a file")
        .replace("decimals = 6\n", "");
    let policy = stage.file("bare.toml", &text);
    let (exit, refused) = run(&stage, &["grant", &policy]);
    assert_eq!(exit, Some(2), "{refused}");
    let lock = |decimals: u8| {
        let text = format!(
            "[[grant]]\nchain_id = 31337\naccount = \"{}\"\nkey = \"{SHOP}\"\ntag = \"{}\"\n\
             granted_at = \"2026-01-01T00:00:00Z\"\n\n[grant.decimals]\n{} = {decimals}\n",
            stage.testkit_account(),
            B256::ZERO,
            stage.token()
        );
        stage.file("bare.toml.lock", &text);
    };
    // If lock file and token disagree, nothing is signed.
    lock(7);
    let (exit, refused) = run(&stage, &["grant", &policy]);
    assert_eq!(exit, Some(2), "{refused}");
    lock(6);
    let (exit, granted) = run(&stage, &["grant", &policy]);
    assert_eq!(exit, Some(0), "{granted}");
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(
        keys["keys"][0]["permissions"]["tokenLimits"][0]["limitBaseUnits"],
        "100000000"
    );
}

#[test]
fn errors_do_not_quote_the_settings_file() {
    let stage = Stage::new();
    for (line, expected) in [
        ("chain_id = \"https://node.example/s3cr3t\"", "expected u64"),
        ("account = \"https://node.example/s3cr3t\"", "expected an address"),
        ("salt = \"s3cr3t\"", "expected a number"),
        ("rpc_url = [\"https://node.example/s3cr3t\"]", "expected a string"),
        ("keystore = { s3cr3t = 1 }", "expected"),
        ("\"https://node.example/s3cr3t\" = 1", "unknown member"),
    ] {
        stage.file("session-key.toml", &format!("{line}\n"));
        for json in [&["inspect"][..], &["inspect", "--json"]] {
            let output = stage.run(json);
            let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(2), "{printed}");
            assert!(!printed.contains("s3cr3t"), "{printed}");
            assert!(
                printed.contains("session-key.toml:1") && printed.contains(expected),
                "{printed}"
            );
        }
    }
}
