//! Mixing plain transactions and operations, and records that the chain has moved on from.

use super::{
    direct::{arguments, kept, killed_after_sending, killed_before_sending, nonce, run, signal},
    json_of,
    keys::{SHOP, Stage, key_of},
    server::{runtime, serve_with},
    text,
};
use serde_json::{Value, json};
use session_key_client::{
    alloy::{
        primitives::{Address, B256, Bytes, U256},
        providers::Provider as _,
    },
    journal::{SqliteJournal, TransactionRecord},
    operation::Bounds,
    transaction::TransactionSender,
};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const MOMENT: Duration = Duration::from_millis(20);

/// A stage with the account and a granted key.
fn granted() -> (Stage, String, String) {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (exit, granted) = run(&stage, &["grant", &policy]);
    assert_eq!(exit, Some(0), "{granted}");
    let key = key_of(&granted);
    (stage, policy, key)
}

fn bundled_at(stage: &Stage, url: &str, command: &[&str]) -> Vec<String> {
    let account = stage.testkit_account();
    let way = ["--yes", "--bundler-url", url, "--rpc-url", stage.url()];
    let account = ["--account", account.as_str(), "--json"];
    let all = [command, &way, &account].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn spawned(stage: &Stage, url: &str, command: &[&str]) -> Child {
    let arguments = bundled_at(stage, url, command);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    stage.spawn(&arguments)
}

/// Runs the command through the bundler.
fn bundled(stage: &Stage, command: &[&str]) -> (Option<i32>, Value, String) {
    let arguments = bundled_at(stage, stage.bundler.url(), command);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output: Output = stage.run(&arguments);
    let said = text(&output.stderr).to_owned();
    (output.status.code(), json_of(&output), said)
}

/// Runs a command until its operation is in the bundler's pool, then ends the process.
fn interrupted(stage: &Stage, command: &[&str]) -> B256 {
    stage.mines.store(false, Ordering::SeqCst);
    let child = spawned(stage, stage.bundler.url(), command);
    while stage.pool.pool().is_empty() {
        thread::sleep(MOMENT);
    }
    let hash = stage.pool.pool()[0].hash;
    signal(&child, "-INT");
    let output = stage.ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    hash
}

fn bundle(stage: &Stage) {
    stage.mines.store(true, Ordering::SeqCst);
    while !stage.pool.pool().is_empty() {
        thread::sleep(MOMENT);
    }
}

fn mine(stage: &Stage) {
    let mut chain = stage.testkit.chain();
    chain.mine();
    chain.set_automine(true);
}

fn keys(stage: &Stage) -> Vec<String> {
    let inspected = stage.json(0, &["inspect"]);
    let keys = inspected["keys"].as_array().expect("a list");
    let addresses = keys.iter().map(|key| key["address"].as_str().expect("a key"));
    addresses.map(str::to_owned).collect()
}

/// Returns files next to the journal with this prefix.
fn beside(stage: &Stage, prefix: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(stage.path("keys")).expect("a folder");
    let paths = files.map(|file| file.expect("a file").path());
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        name.starts_with(prefix) && name.ends_with(".json")
    };
    paths.filter(is_meant).collect()
}

#[test]
fn a_removal_waits_for_a_grant_sent_as_a_plain_transaction() {
    let (stage, policy, _) = granted();
    let shop = SHOP.to_string();
    let grant = ["grant", &policy, "--key", &shop];
    let open = killed_before_sending(&stage, &grant);
    for command in [
        &["revoke", shop.as_str()][..],
        &["revoke", "--all"],
        &["rotate", &key_in(&stage), &shop],
        &grant,
    ] {
        let (exit, refused, _) = bundled(&stage, command);
        assert_eq!(exit, Some(3), "{command:?}: {refused}");
        assert_eq!(refused["error"]["code"], "still_open", "{command:?}: {refused}");
        assert_eq!(refused["transactionHash"], json!(open), "{command:?}: {refused}");
    }
    assert_eq!(keys(&stage).len(), 1);
    let (exit, done) = run(&stage, &grant);
    assert_eq!(
        (exit, &done["transactionHash"]),
        (Some(0), &json!(open)),
        "{done}"
    );
    let (exit, revoked, _) = bundled(&stage, &["revoke", &shop]);
    assert_eq!(exit, Some(0), "{revoked}");
    assert!(!keys(&stage).contains(&shop));
}

/// Returns the only key.
fn key_in(stage: &Stage) -> String {
    keys(stage).remove(0)
}

#[test]
fn a_removal_waits_for_a_grant_sent_as_an_operation() {
    let (stage, policy, key) = granted();
    let shop = SHOP.to_string();
    let open = interrupted(&stage, &["grant", &policy, "--key", &shop]);
    let (exit, refused) = run(&stage, &["revoke", &shop]);
    assert_eq!(
        (exit, &refused["error"]["code"]),
        (Some(3), &json!("still_open")),
        "{refused}"
    );
    assert_eq!(refused["userOpHash"], json!(open), "{refused}");
    bundle(&stage);
    let (exit, revoked) = run(&stage, &["revoke", &shop]);
    assert_eq!(exit, Some(0), "{revoked}");
    assert_eq!(keys(&stage), [key]);
}

/// A registered key is removed at once, and open grants to it or to another key are ended.
#[test]
fn a_removal_by_a_plain_transaction_ends_an_open_grant() {
    let (stage, policy, _) = granted();
    let shop = SHOP.to_string();
    interrupted(&stage, &["grant", &policy, "--key", &shop]);
    let (exit, revoked) = run(&stage, &["revoke", "--all"]);
    assert_eq!(exit, Some(0), "{revoked}");
    assert_eq!(keys(&stage), [] as [String; 0]);
    stage.mines.store(true, Ordering::SeqCst);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(keys(&stage), [] as [String; 0]);
}

/// The record of an earlier run answers the same command only while its effect lasts.
#[test]
fn an_undone_plain_transaction_does_not_answer_a_repeated_command() {
    let (stage, policy, key) = granted();
    let shop = SHOP.to_string();
    let killed = |command: &[&str]| {
        let hash = killed_after_sending(&stage, command);
        mine(&stage);
        hash
    };
    let done = |command: &[&str]| {
        let (exit, done) = run(&stage, command);
        assert_eq!(exit, Some(0), "{command:?}: {done}");
        done
    };
    let rotate = ["rotate", key.as_str(), shop.as_str()];
    let old = killed(&rotate);
    done(&["rotate", &shop, &key]);
    assert_ne!(done(&rotate)["transactionHash"], json!(old));
    assert_eq!(keys(&stage), [shop.as_str()]);
    done(&["revoke", &shop]);

    let grant = ["grant", policy.as_str(), "--key", shop.as_str()];
    let old = killed(&grant);
    done(&["revoke", &shop]);
    assert_ne!(done(&grant)["transactionHash"], json!(old));
    assert_eq!(keys(&stage), [shop.as_str()]);

    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    let apply = ["apply", shop.as_str(), wider.as_str()];
    let old = killed(&apply);
    done(&["apply", &shop, &policy]);
    assert_ne!(done(&apply)["transactionHash"], json!(old));
    let found = stage.json(0, &["inspect"]);
    let limit = &found["keys"][0]["permissions"]["tokenLimits"][0]["limitBaseUnits"];
    assert_eq!(limit, "150000000");
    assert_eq!(kept(&stage), [] as [B256; 0]);
}

#[test]
fn an_undone_operation_does_not_answer_a_repeated_command() {
    let (stage, policy, key) = granted();
    let shop = SHOP.to_string();
    let ended = |command: &[&str]| {
        let hash = interrupted(&stage, command);
        bundle(&stage);
        hash
    };
    let done = |command: &[&str]| {
        let (exit, done, _) = bundled(&stage, command);
        assert_eq!(exit, Some(0), "{command:?}: {done}");
        done
    };
    let rotate = ["rotate", key.as_str(), shop.as_str()];
    let old = ended(&rotate);
    done(&["rotate", &shop, &key]);
    assert_ne!(done(&rotate)["userOpHash"], json!(old));
    assert_eq!(keys(&stage), [shop.as_str()]);
    done(&["revoke", &shop]);

    let grant = ["grant", policy.as_str(), "--key", shop.as_str()];
    let old = ended(&grant);
    done(&["revoke", &shop]);
    assert_ne!(done(&grant)["userOpHash"], json!(old));
    assert_eq!(keys(&stage), [shop.as_str()]);

    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    let apply = ["apply", shop.as_str(), wider.as_str()];
    let old = ended(&apply);
    done(&["apply", &shop, &policy]);
    assert_ne!(done(&apply)["userOpHash"], json!(old));
}

#[test]
fn a_failed_read_back_is_reported_once_and_the_next_run_continues() {
    let (stage, policy, key) = granted();
    let shop = SHOP.to_string();
    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    let apply = ["apply", key.as_str(), wider.as_str()];
    let old = killed_after_sending(&stage, &apply);
    mine(&stage);
    let (exit, revoked) = run(&stage, &["revoke", &key]);
    assert_eq!(exit, Some(0), "{revoked}");
    let (exit, said) = run(&stage, &apply);
    assert_eq!(
        (exit, &said["error"]["code"]),
        (Some(3), &json!("not_reported")),
        "{said}"
    );
    assert_eq!(said["transactionHash"], json!(old), "{said}");
    let (exit, said) = run(&stage, &apply);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.to_string().contains("is not a session key"), "{said}");

    // The note of the grant is lost, and no lock file gives its time.
    let other = stage.weekly("other.toml", "100 TEST per 7 days");
    let grant = ["grant", other.as_str(), "--key", shop.as_str()];
    let old = killed_after_sending(&stage, &grant);
    mine(&stage);
    for note in beside(&stage, "grant-") {
        fs::remove_file(note).expect("it is there");
    }
    let (exit, said) = run(&stage, &grant);
    assert_eq!(
        (exit, &said["error"]["code"]),
        (Some(3), &json!("not_reported")),
        "{said}"
    );
    assert_eq!(said["transactionHash"], json!(old), "{said}");
    let (exit, said) = run(&stage, &grant);
    assert_eq!(exit, Some(2), "{said}");
    assert!(said.to_string().contains("is already a session key of"), "{said}");
    let _ = policy;
}

/// Several transactions were signed for one nonce, each for another key: the included one gives the answer.
#[test]
fn the_included_transaction_of_a_nonce_gives_the_answer() {
    let (stage, _, key) = granted();
    let rotate = ["rotate", key.as_str()];
    let first = killed_after_sending(&stage, &rotate);
    let raw = runtime().block_on(async {
        let path = stage.path("keys/journal.sqlite");
        let journal = SqliteJournal::open(path).await.expect("a journal");
        let kept = journal.transactions(31_337, stage.owner.address()).await;
        kept.expect("records").remove(0).signed.raw
    });
    stage.testkit.chain().drop_pooled(first).expect("it is there");
    stage.testkit.chain().set_automine(true);
    let account = stage.testkit_account();
    let is_sending = Arc::new(AtomicBool::new(false));
    let noticed = is_sending.clone();
    let url = serve_with(&stage.testkit, &[], move |body| {
        if body.contains("eth_sendRawTransaction") {
            noticed.store(true, Ordering::SeqCst);
            loop {
                thread::park();
            }
        }
        None
    });
    let again = ["rotate", key.as_str(), "--again"];
    let child = stage.spawn(&arguments(&again, &url, &account));
    while !is_sending.load(Ordering::SeqCst) {
        thread::sleep(MOMENT);
    }
    signal(&child, "-KILL");
    drop(stage.ended(child));
    assert_eq!(kept(&stage).len(), 2);
    runtime().block_on(async {
        let sent = stage.testkit.provider().send_raw_transaction(&raw).await;
        sent.expect("it is sent").get_receipt().await.expect("a receipt");
    });
    let before = nonce(&stage);
    let (exit, rotated) = run(&stage, &rotate);
    assert_eq!(
        (exit, &rotated["transactionHash"]),
        (Some(0), &json!(first)),
        "{rotated}"
    );
    assert_eq!(keys(&stage), [key_of(&rotated)]);
    assert_eq!((nonce(&stage), kept(&stage).len()), (before, 0));
}

#[test]
fn a_transaction_with_too_low_fees_is_replaced() {
    let (stage, _, key) = granted();
    let rotate = ["rotate", key.as_str()];
    let stuck = killed_after_sending(&stage, &rotate);
    let before = nonce(&stage);
    {
        let mut chain = stage.testkit.chain();
        chain.set_next_base_fee(10_000_000_000);
        chain.mine();
        assert_eq!(chain.pool().len(), 1, "it is too cheap to be included");
        chain.set_automine(true);
    }
    let (exit, rotated) = run(&stage, &rotate);
    assert_eq!(exit, Some(0), "{rotated}");
    assert_ne!(rotated["transactionHash"], json!(stuck));
    assert_eq!(keys(&stage), [key_of(&rotated)]);
    assert_eq!((nonce(&stage), kept(&stage).len()), (before + 1, 0));
}

#[test]
fn a_repeated_command_resumes_its_operation() {
    let (stage, _, key) = granted();
    let hash = interrupted(&stage, &["revoke", &key, "--again"]);
    bundle(&stage);
    let (exit, revoked, _) = bundled(&stage, &["revoke", &key]);
    assert_eq!(
        (exit, &revoked["userOpHash"]),
        (Some(0), &json!(hash)),
        "{revoked}"
    );
    assert_eq!(beside(&stage, "begun-"), [] as [PathBuf; 0]);
}

#[test]
fn a_noted_operation_of_another_entry_point_is_ignored() {
    let (stage, _, key) = granted();
    let shop = SHOP.to_string();
    let rotate = ["rotate", key.as_str(), shop.as_str()];
    interrupted(&stage, &rotate);
    bundle(&stage);
    let [note] = &beside(&stage, "begun-")[..] else {
        panic!("there is one note");
    };
    let mut notes: Value = serde_json::from_str(&fs::read_to_string(note).expect("a file")).expect("JSON");
    assert_eq!(
        notes[0]["scope"]["signer"]
            .as_str()
            .expect("an address")
            .to_lowercase(),
        stage.owner.address().to_string().to_lowercase()
    );
    notes[0]["scope"]["entryPoint"] = json!(SHOP);
    fs::write(note, notes.to_string()).expect("a file");
    let (exit, refused, said) = bundled(&stage, &rotate);
    assert_eq!(exit, Some(1), "{refused}");
    assert!(said.contains("ignoring it"), "{said}");
    assert_eq!(beside(&stage, "begun-").len(), 1);
}

#[test]
fn concurrent_processes_keep_each_others_notes() {
    let (stage, _, key) = granted();
    let shop = SHOP.to_string();
    let rotate = ["rotate", key.as_str(), shop.as_str()];
    // The first process has noted its operation, but not signed it.
    let slow = super::server::silent_server();
    let first = spawned(&stage, &slow, &rotate);
    while beside(&stage, "begun-").is_empty() {
        thread::sleep(MOMENT);
    }
    let note = fs::read_to_string(&beside(&stage, "begun-")[0]).expect("a file");
    let mut second = spawned(&stage, stage.bundler.url(), &rotate);
    thread::sleep(Duration::from_secs(4));
    assert!(second.try_wait().expect("its state").is_none(), "it waits");
    assert_eq!(
        fs::read_to_string(&beside(&stage, "begun-")[0]).expect("a file"),
        note
    );
    signal(&first, "-KILL");
    drop(stage.ended(first));
    let output = stage.ended(second);
    let rotated = json_of(&output);
    assert_eq!(output.status.code(), Some(0), "{rotated}");
    assert!(text(&output.stderr).contains("another process is running the same command"));
    assert_eq!(keys(&stage), [shop]);
    assert_eq!(beside(&stage, "begun-"), [] as [PathBuf; 0]);
}

#[test]
fn two_processes_creating_the_journal_send_one_at_a_time() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let new = |salt: &str| {
        stage.spawn(&arguments(
            &["account", "new", "--salt", salt],
            stage.url(),
            &account,
        ))
    };
    let children: Vec<Child> = ["1", "2", "3"].map(new).into();
    for child in children {
        let output = stage.ended(child);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    }
    assert_eq!(nonce(&stage), 3);
}

#[test]
fn a_note_of_another_version_is_ignored() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    fs::create_dir_all(stage.path("keys")).expect("a folder");
    runtime().block_on(async {
        let journal = SqliteJournal::open(stage.path("keys/journal.sqlite")).await;
        let sender = TransactionSender::new(stage.testkit.provider(), 31_337);
        let bounds = Bounds::on_chain(31_337);
        let signed = sender
            .sign(SHOP, U256::ONE, Bytes::new(), &bounds, &stage.owner)
            .await;
        let record = TransactionRecord {
            chain_id: 31_337,
            sender: stage.owner.address(),
            request: B256::repeat_byte(1),
            signed_at: 1,
            note: json!({ "of": "another version" }),
            signed: signed.expect("it is signed"),
        };
        journal
            .expect("a journal")
            .keep_transaction(record)
            .await
            .expect("it is kept");
    });
    let output = stage.run(&arguments(&["account", "new"], stage.url(), &account));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("this version cannot read"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(kept(&stage).len(), 1);
}

#[test]
fn an_interruption_before_signing_exits_with_130() {
    let stage = Stage::new();
    let account: Address = stage.account();
    for ending in ["-TERM", "-INT"] {
        let is_asked = Arc::new(AtomicBool::new(false));
        let noticed = is_asked.clone();
        let url = serve_with(&stage.testkit, &[], move |_| {
            noticed.store(true, Ordering::SeqCst);
            loop {
                thread::park();
            }
        });
        let child = stage.spawn(&arguments(&["account", "new"], &url, &account.to_string()));
        while !is_asked.load(Ordering::SeqCst) {
            thread::sleep(MOMENT);
        }
        signal(&child, ending);
        let output = stage.ended(child);
        assert_eq!(
            output.status.code(),
            Some(130),
            "{ending}: {}",
            text(&output.stderr)
        );
        assert_eq!(json_of(&output)["error"]["code"], "interrupted");
    }
}
