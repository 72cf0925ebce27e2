//! A journal belongs to one chain, not to every chain with the same id.

use super::sqlite::{folder, open, record, wait};
use rusqlite::Connection;
use session_key_client::{
    Node, OwnerAction, OwnerClient, SmartAccount,
    alloy::primitives::{Address, B256},
    journal::{BlockRef, History, HistoryError, Journal, JournalError, MemoryJournal, check_history},
    submit::EntryPointSubmitter,
};
use session_key_testkit::{Chain, ChainConfig, Testkit, dev_accounts};
use std::path::Path;

const CHAIN: u64 = 31_337;

/// A chain that started at this time.
fn chain(started: u64) -> Testkit {
    Testkit::from(Chain::new(ChainConfig {
        genesis_timestamp: started,
        ..ChainConfig::default()
    }))
}

fn node(testkit: &Testkit) -> Node {
    Node::new(testkit.provider())
}

fn first_block(testkit: &Testkit) -> BlockRef {
    let head = runtime()
        .block_on(node(testkit).header(0.into()))
        .unwrap()
        .unwrap();
    BlockRef {
        number: 0,
        hash: head.hash,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn checked(journal: &dyn Journal, testkit: &Testkit) -> Result<(), HistoryError> {
    runtime().block_on(check_history(journal, &node(testkit), CHAIN))
}

const fn other(expected: BlockRef, found: Option<B256>) -> Result<(), HistoryError> {
    Err(HistoryError::Journal(JournalError::OtherChain {
        chain_id: CHAIN,
        block: expected,
        found,
    }))
}

#[test]
fn a_journal_is_bound_to_the_first_block() {
    let (_folder, path) = folder();
    let (one, anew) = (chain(1_000), chain(2_000));
    let (of_one, of_anew) = (first_block(&one), first_block(&anew));
    assert_ne!(of_one, of_anew);
    let journal = open(&path).unwrap();
    assert_eq!(
        wait(journal.history(CHAIN)),
        Ok(History::Unbound { made: Vec::new() })
    );
    assert_eq!(checked(&journal, &one), Ok(()));
    assert_eq!(wait(journal.history(CHAIN)), Ok(History::Bound { to: of_one }));
    // Whoever opens it next finds that.
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(checked(&journal, &one), Ok(()));
    assert_eq!(checked(&journal, &anew), other(of_one, Some(of_anew.hash)));
    // Other ids have chains of their own.
    let of_id = runtime().block_on(check_history(&journal, &node(&anew), CHAIN + 1));
    assert_eq!(of_id, Ok(()));
    // A journal that ends with the process is not compared.
    let memory = MemoryJournal::new();
    assert_eq!(checked(&memory, &one), Ok(()));
    assert_eq!(checked(&memory, &anew), Ok(()));
}

#[test]
fn a_journal_is_bound_to_another_block_where_the_first_is_not_served() {
    let (_folder, path) = folder();
    let late = |started| {
        Testkit::from(Chain::new(ChainConfig {
            first_block: 5_000,
            genesis_timestamp: started,
            ..ChainConfig::default()
        }))
    };
    let (one, anew) = (late(1_000), late(2_000));
    let journal = open(&path).unwrap();
    assert_eq!(checked(&journal, &one), Ok(()));
    let Ok(History::Bound { to }) = wait(journal.history(CHAIN)) else {
        panic!("it is not bound");
    };
    assert_eq!(to.number, 5_000);
    assert!(matches!(
        checked(&journal, &anew),
        Err(HistoryError::Journal(JournalError::OtherChain {
            found: Some(_),
            ..
        }))
    ));
    // A node that does not have it at all cannot be compared.
    assert_eq!(checked(&journal, &chain(1_000)), other(to, None));
}

/// Makes a file one of the release before.
fn downgraded(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("DROP TABLE chains; PRAGMA user_version = 2")
        .unwrap();
}

#[test]
fn a_journal_of_an_earlier_release_is_bound_by_its_operations() {
    let (one, anew) = (chain(1_000), chain(2_000));
    one.chain().mine();
    let made = runtime().block_on(node(&one).head()).unwrap();
    let made = BlockRef {
        number: made.number,
        hash: made.hash,
    };
    assert!(made.number > 0);
    let filled = |path: &Path| {
        let journal = open(path).unwrap();
        for number in 0..2 {
            let mut record = record(1, number);
            record.lane.chain_id = CHAIN;
            record.operations[0].made = made;
            wait(journal.put(record, None)).unwrap();
        }
        drop(journal);
        downgraded(path);
        open(path).unwrap()
    };
    let (_folder, path) = folder();
    let journal = filled(&path);
    assert_eq!(
        wait(journal.history(CHAIN)),
        Ok(History::Unbound { made: vec![made] })
    );
    // The chain that started anew does not have that block yet; then it has another one.
    assert_eq!(checked(&journal, &anew), other(made, None));
    anew.chain().mine();
    assert!(matches!(
        checked(&journal, &anew),
        Err(HistoryError::Journal(JournalError::OtherChain {
            found: Some(_),
            ..
        }))
    ));
    assert_eq!(
        wait(journal.history(CHAIN)),
        Ok(History::Unbound { made: vec![made] })
    );
    assert_eq!(checked(&journal, &one), Ok(()));
    assert_eq!(
        wait(journal.history(CHAIN)),
        Ok(History::Bound {
            to: first_block(&one)
        })
    );
    assert!(checked(&journal, &anew).is_err());
}

#[test]
fn a_client_does_not_use_the_journal_of_another_chain() {
    let (_folder, path) = folder();
    let (one, anew) = (chain(1_000), chain(2_000));
    let client = |testkit: &Testkit| {
        let deployment = session_key_client::Deployment::deterministic();
        let entry_point = deployment.entry_point;
        let account = SmartAccount::new(testkit.provider(), CHAIN, Address::repeat_byte(7), deployment)
            .with_journal(open(&path).unwrap());
        let owner = dev_accounts()[0].signer();
        let submitter = EntryPointSubmitter::new(testkit.provider(), entry_point, owner.address());
        OwnerClient::new(account, owner, submitter)
    };
    runtime().block_on(async {
        assert_eq!(client(&one).resume().await, Ok(Vec::new()));
        let refused = client(&anew).resume().await.unwrap_err();
        assert_eq!(refused.code(), "journal_of_other_chain");
        let call = session_key_client::Call::new(Address::ZERO, Vec::new());
        let refused = client(&anew).batch([OwnerAction::Call(call)]).await.unwrap_err();
        assert_eq!(refused.code(), "journal_of_other_chain");
        assert_eq!(refused.happened(), session_key_client::operation::Happened::No);
    });
}
