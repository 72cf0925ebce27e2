//! Journals: the tests of every one, and those of records and files.

mod alternating;
mod history;
mod plain;
mod records;
mod sqlite;

use alternating::AlternatingJournal;
use plain::{FAULTS, PlainJournal};
use session_key_client::journal::{Journal, MemoryJournal, SqliteJournal, conformance};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_journal_in_memory_does_what_journals_do() {
    conformance::run(|| async { Arc::new(MemoryJournal::new()) as Arc<dyn Journal> }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_journal_in_a_file_does_what_journals_do() {
    let folder = tempfile::tempdir().unwrap();
    let made = Mutex::new(0);
    let make = || {
        let number = {
            let mut made = made.lock().unwrap();
            *made += 1;
            *made
        };
        let path = folder.path().join(format!("{number}.db"));
        async { Arc::new(SqliteJournal::open(path).await.unwrap()) as Arc<dyn Journal> }
    };
    conformance::run(make).await;
    assert_eq!(*made.lock().unwrap(), conformance::checks().len());
}

/// As three processes use one file, each with a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_journals_on_one_file_do_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let made = Mutex::new(0);
    let make = || {
        let number = {
            let mut made = made.lock().unwrap();
            *made += 1;
            *made
        };
        let path = folder.path().join(format!("{number}.db"));
        async move {
            let mut journals = Vec::new();
            for _ in 0..3 {
                journals.push(SqliteJournal::open(&path).await.unwrap());
            }
            Arc::new(AlternatingJournal::new(journals)) as Arc<dyn Journal>
        }
    };
    conformance::run(make).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_plain_journal_does_what_journals_do() {
    conformance::run(|| async { Arc::new(PlainJournal::new(None)) as Arc<dyn Journal> }).await;
}

/// Each fault has to fail a check, and each check has to find a fault. On one thread, tasks always meet at
/// the same places.
#[tokio::test]
async fn every_fault_of_a_journal_is_noticed() {
    let mut unnoticed = Vec::new();
    let mut found = BTreeSet::new();
    for fault in FAULTS {
        let mut is_noticed = false;
        for check in conformance::checks() {
            let journal = Arc::new(PlainJournal::new(Some(*fault)));
            if tokio::spawn(async move { check.run(journal).await })
                .await
                .is_err()
            {
                is_noticed = true;
                found.insert(check.name);
                println!("{fault:?}: {}", check.name);
            }
        }
        if !is_noticed {
            unnoticed.push(fault);
        }
    }
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
    let idle: Vec<&str> = conformance::checks()
        .iter()
        .map(|check| check.name)
        .filter(|name| !found.contains(name))
        .collect();
    assert!(idle.is_empty(), "they never failed: {idle:?}");
}
