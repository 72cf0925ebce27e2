//! Chains forked from a dump or a node.

use crate::{
    requests::{failure, request},
    session::Session,
    session_v08::{Kind, SessionV08},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    rpc::types::TransactionRequest,
    sol_types::SolEvent,
};
use serde_json::json;
use session_key_bindings::{ENTRY_POINT, ENTRY_POINT_V07, IEntryPointV07::UserOperationEvent};
use session_key_testkit::{
    Chain, ChainConfig, ChainError, DumpError, HttpState, SourceAccount, SourceError, StateDump, StateSource,
    TestToken, Testkit, dev_accounts,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

const RECIPIENT: Address = address!("0x0000000000000000000000000000000000000b0b");

fn tokens(chain: &Chain, token: Address) -> Result<U256, ChainError> {
    chain.read(
        Address::ZERO,
        token,
        &TestToken::balanceOfCall { account: RECIPIENT },
    )
}

#[test]
fn a_dump_round_trips() {
    let session = Session::new();
    let dump = session.chain.dump();
    let file = dump.to_json().to_string();
    let loaded = StateDump::parse(&file).unwrap();
    assert_eq!(loaded, dump);
    assert!(dump.accounts().any(|(address, _)| address == ENTRY_POINT));

    let fork = Chain::fork(ChainConfig::default(), Arc::new(loaded));
    for address in [ENTRY_POINT, session.account, session.stack.token] {
        assert!(!fork.code(address).is_empty());
        assert_eq!(fork.code(address), session.chain.code(address));
        assert_eq!(fork.nonce(address), session.chain.nonce(address));
        assert_eq!(fork.balance(address), session.chain.balance(address));
    }
    // The session key works on the fork.
    let mut there = Session {
        chain: fork,
        ..session
    };
    let transfer = there.transfer(RECIPIENT, 60);
    there.chain.send(transfer).unwrap().ok().unwrap();
    assert_eq!(tokens(&there.chain, there.stack.token), Ok(U256::from(60)));
    // Data that was fetched or changed can be dumped again, and suffices for the same steps.
    let again = Chain::fork(ChainConfig::default(), Arc::new(there.chain.dump()));
    assert_eq!(tokens(&again, there.stack.token), Ok(U256::from(60)));
}

#[test]
fn dumps_of_anvil_and_geth_are_read() {
    let account = address!("0x00000000000000000000000000000000000a45e7");
    let expected = (
        U256::from(7),
        3,
        Bytes::from_static(&[0x60, 0x2a]),
        U256::from(0x50),
    );
    let anvil = json!({
        "block": {"number": "0x1"},
        "accounts": {account.to_string(): {
            "nonce": 3, "balance": "0x7", "code": "0x602a", "storage": {"0x1": "0x50"},
        }},
        "best_block_number": 1,
        "blocks": [],
    });
    let genesis = json!({
        "config": {},
        "alloc": {"00000000000000000000000000000000000a45e7": {
            "nonce": "0x3", "balance": "7", "code": "602a",
            "storage": {B256::with_last_byte(1).to_string(): B256::with_last_byte(0x50).to_string()},
        }},
    });
    let geth = json!({
        "root": "1234",
        "accounts": {account.to_string(): {
            "nonce": 3, "balance": "7", "root": "0x12", "codeHash": "0x12", "code": "0x602a",
            "storage": {B256::with_last_byte(1).to_string(): "50"},
        }},
    });
    let bare = genesis["alloc"].clone();
    for file in [anvil, genesis, geth, bare] {
        let dump = StateDump::parse(&file.to_string()).unwrap();
        let chain = Chain::fork(ChainConfig::default(), Arc::new(dump));
        let found = (
            chain.balance(account),
            chain.nonce(account),
            chain.code(account),
            chain.storage(account, U256::ONE),
        );
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn errors_of_a_dump_name_their_place() {
    for (file, said) in [
        ("0x1f8b08", "the dump is not json"),
        ("[]", "the dump has no accounts"),
        ("{}", "the dump has no accounts"),
        ("{\"accounts\": []}", "the dump has no accounts"),
        ("{\"accounts\": {\"0x12\": {}}}", "\"0x12\" is not an address"),
    ] {
        let error = StateDump::parse(file).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
    let account = Address::repeat_byte(0xab);
    for (members, member) in [
        (json!({"balance": "0x"}), "balance"),
        (json!({"balance": -1}), "balance"),
        (json!({"nonce": "0x10000000000000000"}), "nonce"),
        (json!({"code": "0x1"}), "code"),
        (json!({"code": 1}), "code"),
        (json!({"storage": []}), "storage"),
        (json!({"storage": {"x": "0x1"}}), "slot \"x\""),
        (json!({"storage": {"0x1": 1}}), "slot \"0x1\""),
        (
            json!({"storage": {"0x1": format!("0x1{:064}", 0)}}),
            "slot \"0x1\"",
        ),
        (json!({"storage": {"0x1": "0x1", "0x01": "0x2"}}), "slot"),
        (json!(7), "itself"),
    ] {
        let file = json!({"accounts": {account.to_string(): members}});
        let error = StateDump::parse(&file.to_string()).unwrap_err();
        assert!(
            matches!(&error, DumpError::InvalidMember { account: found, member: named, .. }
                if *found == account && named.starts_with(member)),
            "{file}: {error}"
        );
    }
    let name = account.to_string();
    let twice = json!({"accounts": {name.clone(): {}, name.to_lowercase(): {}}});
    assert_eq!(
        StateDump::parse(&twice.to_string()),
        Err(DumpError::Twice(account))
    );
    // Invalid code is found when it is read.
    let file = json!({"accounts": {name: {"code": "0xef0100"}}});
    let dump = StateDump::parse(&file.to_string()).unwrap();
    let chain = Chain::fork(ChainConfig::default(), Arc::new(dump));
    let call = TransactionRequest::default().to(account);
    assert!(matches!(chain.call(&call), Err(ChainError::Source { .. })));
}

/// Forks a testkit's node.
#[test]
fn a_node_is_forked_over_http() {
    let session = SessionV08::new(Kind::SemiModular);
    let node = Testkit::from(session.chain.clone());
    let server = node.serve().unwrap();
    let (state, config) = HttpState::connect(server.url(), None).unwrap();
    let (head, head_hash) = {
        let chain = node.chain();
        let block = chain.block_at(chain.block_number().into()).unwrap();
        (chain.block_number(), block.header.hash)
    };
    assert_eq!(state.block(), head);
    assert_eq!((config.chain_id, config.first_block), (31_337, head + 1));
    // Later changes on the node are not visible.
    node.chain()
        .set_balance(session.account, U256::from(10u64.pow(18)));
    node.chain().mine();
    let mut there = SessionV08 {
        chain: Chain::fork(config, Arc::new(state)),
        ..session
    };
    assert_eq!(there.chain.block_number(), head + 1);
    let first = there.chain.block_at((head + 1).into()).unwrap();
    assert_eq!(first.header.parent_hash, head_hash);
    assert!(there.chain.block_at(head.into()).is_none());
    let bundle = there.bundle(vec![there.transfer(RECIPIENT, 60)]);
    let execution = there.chain.send(bundle).unwrap().ok().unwrap();
    let event = execution
        .logs
        .iter()
        .find_map(|log| UserOperationEvent::decode_log(log).ok());
    assert!(event.unwrap().success);
    let token = there.stack.token;
    assert_eq!(tokens(&there.chain, token), Ok(U256::from(60)));
    assert_eq!(tokens(&node.chain(), token), Ok(U256::ZERO));
    assert!(!there.chain.code(ENTRY_POINT_V07).is_empty());
    // BLOCKHASH of the node's block: PUSH8 number BLOCKHASH PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    let contract = Address::repeat_byte(0x77);
    let code = [
        &[0x67],
        &head.to_be_bytes()[..],
        &[0x40, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3],
    ];
    there.chain.set_code(contract, code.concat()).unwrap();
    let hash = there
        .chain
        .call(&TransactionRequest::default().to(contract))
        .unwrap();
    assert_eq!(hash, Bytes::from(head_hash.0));

    // After a reorganization, the state is the node's again.
    there.chain.set_finality_distances(0, 100);
    there.chain.mine();
    let snapshot = there.chain.snapshot();
    there.mint_to_recipient();
    assert_eq!(tokens(&there.chain, token), Ok(U256::from(65)));
    there.chain.revert(snapshot).unwrap();
    assert_eq!(tokens(&there.chain, token), Ok(U256::from(60)));

    drop(server);
    let elsewhere = TransactionRequest::default().to(Address::repeat_byte(0x55));
    let error = there.chain.call(&elsewhere).unwrap_err();
    assert!(matches!(error, ChainError::Source { .. }), "{error}");
    // Fetched data stays.
    assert_eq!(tokens(&there.chain, token), Ok(U256::from(60)));
}

impl SessionV08 {
    fn mint_to_recipient(&mut self) {
        self.stack
            .mint(&mut self.chain, RECIPIENT, U256::from(5))
            .unwrap();
    }
}

#[test]
fn errors_about_a_node_do_not_contain_its_url() {
    let node = Testkit::default();
    let server = node.serve().unwrap();
    let error = HttpState::connect(server.url(), Some(99)).unwrap_err();
    assert!(matches!(error, ChainError::Source { .. }), "{error}");
    let (state, _) = HttpState::connect(server.url(), Some(0)).unwrap();
    let port = server.url().rsplit(':').next().unwrap().to_owned();
    assert!(!format!("{state:?}").contains(&port));
    let url = format!("{}/secret", server.url());
    drop(server);
    for url in [url.as_str(), "secret", "ftp://secret", "https://secret.invalid/"] {
        let error = HttpState::connect(url, None).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("secret") && !text.contains(&port), "{text}");
        }
    }
}

/// A source that fails on demand.
#[derive(Debug, Default)]
struct Broken {
    dump: StateDump,
    fails: AtomicBool,
}

impl Broken {
    fn or<T>(&self, answer: Result<T, SourceError>) -> Result<T, SourceError> {
        if self.fails.load(Ordering::Relaxed) {
            Err(SourceError("out of order".into()))
        } else {
            answer
        }
    }
}

impl StateSource for Broken {
    fn account(&self, address: Address) -> Result<SourceAccount, SourceError> {
        self.or(self.dump.account(address))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        self.or(self.dump.storage(address, slot))
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.or(self.dump.block_hash(number))
    }
}

#[tokio::test]
async fn a_failing_source_is_an_error_and_can_be_retried() {
    let session = Session::new();
    let source = Arc::new(Broken {
        dump: session.chain.dump(),
        ..Default::default()
    });
    let token = session.stack.token;
    let mut there = Session {
        chain: Chain::fork(ChainConfig::default(), source.clone()),
        ..session
    };
    let transfer = there.transfer(RECIPIENT, 60);
    source.fails.store(true, Ordering::Relaxed);
    let failed = |error: &ChainError| match error {
        ChainError::Source { reason, .. } => assert_eq!(reason, "out of order"),
        other => panic!("{other}"),
    };
    failed(&there.chain.send(transfer.clone()).unwrap_err());
    failed(&tokens(&there.chain, token).unwrap_err());
    assert_eq!(there.chain.block_number(), 0);
    // These cannot fail; the next call reports it.
    let unknown = Address::repeat_byte(0x44);
    assert_eq!(there.chain.balance(unknown), 0);
    failed(&there.chain.check_source().unwrap_err());
    assert_eq!(there.chain.check_source(), Ok(()));
    failed(&there.chain.set_code(unknown, [0u8]).unwrap_err());
    let slot = there.chain.storage(token, U256::from(0x1234));
    assert_eq!(slot, U256::ZERO);
    failed(&there.chain.call(&TransactionRequest::default()).unwrap_err());
    // Also over JSON-RPC.
    let testkit = Testkit::from(there.chain.clone());
    for (method, params) in [
        ("eth_getBalance", json!([unknown, "latest"])),
        ("eth_getStorageAt", json!([token, "0x1235", "latest"])),
        ("eth_call", json!([{"to": token}, "latest"])),
    ] {
        let (_, message) = failure(&testkit, method, params).await;
        assert!(message.contains("out of order"), "{method}: {message}");
    }

    source.fails.store(false, Ordering::Relaxed);
    there.chain.send(transfer).unwrap().ok().unwrap();
    assert_eq!(tokens(&there.chain, token), Ok(U256::from(60)));
    let balance = request(&testkit, "eth_getBalance", json!([unknown, "latest"])).await;
    assert_eq!(balance, json!("0x0"));
    // The development accounts are new on the fork.
    assert_eq!(there.chain.nonce(dev_accounts()[3].address), 0);
}
