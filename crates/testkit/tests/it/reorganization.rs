//! Undone blocks and final blocks.

use crate::requests::{RECIPIENT, failure, request, signed, transfer};
use alloy::{
    eips::{BlockId, BlockNumberOrTag, eip2935::HISTORY_STORAGE_ADDRESS},
    hex,
    primitives::{Address, B256, Bytes, U256, address},
    rpc::types::{Filter, TransactionRequest},
    sol_types::SolValue,
};
use serde_json::{Value, json};
use session_key_testkit::{
    CallOptions, Chain, ChainConfig, ChainError, Fate, Reorganization, Testkit, dev_accounts,
};

/// Emits its input as a log.
const LOG: [u8; 8] = hex!("365f5f37365fa000");

const CONTRACT: Address = address!("0x0000000000000000000000000000000000000c01");

fn chain(finalized_distance: u64) -> Chain {
    Chain::new(ChainConfig {
        finalized_distance,
        ..Default::default()
    })
}

/// Sends 1 wei, mined at once.
fn pay(chain: &mut Chain, account: usize, nonce: u64) -> B256 {
    chain
        .submit_raw(&signed(dev_accounts()[account], transfer(nonce)))
        .unwrap()
}

fn hash_of(chain: &Chain, number: u64) -> B256 {
    chain.block_at(number.into()).unwrap().header.hash
}

fn waiting(chain: &Chain) -> Vec<B256> {
    let pool = chain.pool().into_iter();
    pool.map(|pooled| *pooled.transaction.inner.tx_hash()).collect()
}

#[tokio::test]
async fn an_undone_block_is_gone_with_all_its_effects() {
    let testkit = Testkit::from(chain(10));
    let alice = dev_accounts()[0].address;
    let (log, kept) = {
        let mut chain = testkit.chain();
        chain.set_code(CONTRACT, LOG).unwrap();
        let log = |chain: &mut Chain, data: u8| {
            let request = TransactionRequest::default()
                .from(dev_accounts()[5].address)
                .to(CONTRACT)
                .input(Bytes::from(vec![data]).into());
            chain.send(request).unwrap().ok().unwrap().transaction_hash
        };
        let kept = log(&mut chain, 1);
        let undone = log(&mut chain, 2);
        (undone, kept)
    };
    let transfer = pay(&mut testkit.chain(), 0, 0);
    let blocks = [2, 3].map(|number| hash_of(&testkit.chain(), number));

    let undone = testkit.chain().reorganize(2, |_| Fate::Dropped).unwrap();
    assert_eq!(
        undone,
        Reorganization {
            blocks: blocks.to_vec(),
            pooled: vec![],
            dropped: vec![log, transfer],
        }
    );
    assert_eq!(testkit.chain().block_number(), 1);
    assert_eq!(testkit.chain().nonce(alice), 0);
    assert_eq!(testkit.chain().balance(RECIPIENT), 0);
    for hash in [log, transfer] {
        for method in ["eth_getTransactionReceipt", "eth_getTransactionByHash"] {
            assert_eq!(request(&testkit, method, json!([hash])).await, Value::Null);
        }
    }
    let logs = testkit.chain().logs(&Filter::new().from_block(0)).unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].transaction_hash, Some(kept));
    assert_eq!(
        request(&testkit, "eth_getBlockByNumber", json!(["0x2", false])).await,
        Value::Null
    );
    // The blocks that replace them do not answer for them either.
    for block in blocks.into_iter().chain(blocks) {
        assert_eq!(
            request(&testkit, "eth_getBlockByHash", json!([block, false])).await,
            Value::Null
        );
        assert_eq!(
            request(&testkit, "eth_getBlockReceipts", json!([block])).await,
            Value::Null
        );
        let at_block = json!([{"blockHash": block}]);
        assert_eq!(
            failure(&testkit, "eth_getLogs", at_block).await,
            (-32000, "unknown block".into())
        );
        let call = json!([{"to": CONTRACT}, {"blockHash": block}]);
        assert_eq!(failure(&testkit, "eth_call", call).await.0, -32001);
        let balance = json!([RECIPIENT, {"blockHash": block}]);
        assert_eq!(failure(&testkit, "eth_getBalance", balance).await.0, -32001);
        if block == blocks[1] {
            testkit.chain().mine();
            testkit.chain().mine();
        }
    }
}

#[test]
fn the_caller_chooses_which_transactions_return_to_the_pool() {
    let mut chain = chain(10);
    let kept = pay(&mut chain, 0, 0);
    let hashes = [
        pay(&mut chain, 1, 0),
        pay(&mut chain, 2, 0),
        pay(&mut chain, 0, 1),
    ];
    let mut seen = Vec::new();
    let undone = chain
        .reorganize(3, |transaction| {
            seen.push((*transaction.inner.tx_hash(), transaction.block_number));
            if transaction.inner.signer() == dev_accounts()[2].address {
                Fate::Dropped
            } else {
                Fate::Pooled
            }
        })
        .unwrap();
    assert_eq!(
        seen,
        [(hashes[0], Some(2)), (hashes[1], Some(3)), (hashes[2], Some(4))]
    );
    assert_eq!(undone.pooled, [hashes[0], hashes[2]]);
    assert_eq!(undone.dropped, [hashes[1]]);
    let mut expected = undone.pooled.clone();
    expected.sort();
    let mut pool = waiting(&chain);
    pool.sort();
    assert_eq!(pool, expected);
    assert!(chain.receipt(kept).is_some());

    // Both are in one block now.
    chain.mine();
    let places = [hashes[0], hashes[2]].map(|hash| chain.receipt(hash).unwrap().block_number);
    assert_eq!(places, [Some(2), Some(2)]);
    assert_eq!(chain.receipt(hashes[1]), None);
    // A dropped transaction can be sent again.
    assert_eq!(pay(&mut chain, 2, 0), hashes[1]);
    assert_eq!(chain.balance(RECIPIENT), 4);
}

/// The same transaction at the same height, with the same parent and time.
#[test]
fn a_replacement_block_has_another_hash() {
    let mut chain = chain(10);
    let transfer = pay(&mut chain, 0, 0);
    let mut hashes = vec![hash_of(&chain, 1)];
    let first = chain.block_at(1.into()).unwrap();
    for _ in 0..3 {
        chain.reorganize(1, |_| Fate::Pooled).unwrap();
        chain.mine();
        let block = chain.block_at(1.into()).unwrap();
        assert_eq!(block.header.timestamp, first.header.timestamp);
        assert_eq!(block.header.parent_hash, first.header.parent_hash);
        assert_eq!(
            chain.receipt(transfer).unwrap().block_hash,
            Some(block.header.hash)
        );
        hashes.push(block.header.hash);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 4);
}

#[test]
fn final_blocks_cannot_be_undone() {
    let mut chain = chain(3);
    for _ in 0..5 {
        chain.mine();
    }
    let before = hash_of(&chain, 5);
    let refused = chain.reorganize(4, |_| Fate::Pooled);
    assert_eq!(refused, Err(ChainError::BeyondFinality { depth: 4, deepest: 3 }));
    assert_eq!(hash_of(&chain, 5), before);
    chain.reorganize(3, |_| Fate::Pooled).unwrap();
    assert_eq!(chain.block_number(), 2);
    // Final blocks stay final, even if the chain is shorter now.
    let refused = chain.reorganize(1, |_| Fate::Pooled);
    assert_eq!(refused, Err(ChainError::BeyondFinality { depth: 1, deepest: 0 }));
    assert_eq!(
        chain.reorganize(0, |_| Fate::Pooled),
        Ok(Reorganization::default())
    );

    // By default, every block is final at once.
    let mut chain = Chain::default();
    chain.mine();
    let refused = chain.reorganize(1, |_| Fate::Pooled);
    assert_eq!(refused, Err(ChainError::BeyondFinality { depth: 1, deepest: 0 }));
}

#[test]
fn safe_and_finalized_only_move_forward() {
    let mut chain = Chain::new(ChainConfig {
        safe_distance: 2,
        finalized_distance: 4,
        ..Default::default()
    });
    let tags = |chain: &Chain| {
        let number = |tag: BlockNumberOrTag| chain.block_at(BlockId::from(tag)).unwrap().header.number;
        [
            number(BlockNumberOrTag::Latest),
            number(BlockNumberOrTag::Safe),
            number(BlockNumberOrTag::Finalized),
        ]
    };
    assert_eq!(tags(&chain), [0, 0, 0]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        chain.mine();
        seen.push(tags(&chain));
    }
    assert_eq!(
        seen,
        [[1, 0, 0], [2, 0, 0], [3, 1, 0], [4, 2, 0], [5, 3, 1], [6, 4, 2]]
    );
    let finalized = BlockId::from(BlockNumberOrTag::Finalized);
    let hash = chain.block_at(finalized).unwrap().header.hash;
    chain.reorganize(3, |_| Fate::Pooled).unwrap();
    assert_eq!(tags(&chain), [3, 2, 2]);
    assert_eq!(chain.block_at(finalized).unwrap().header.hash, hash);
    for _ in 0..3 {
        chain.mine();
    }
    assert_eq!(tags(&chain), [6, 4, 2]);

    // State reads and logs by tag.
    chain.set_balance(RECIPIENT, U256::from(7));
    chain.mine();
    let logs = chain.logs(&Filter::new().from_block(BlockNumberOrTag::Finalized));
    assert_eq!(logs, Ok(vec![]));
    chain.set_finality_distances(0, 1);
    chain.mine();
    assert_eq!(tags(&chain), [8, 8, 7]);
    let snapshot = chain.snapshot();
    chain.mine();
    chain.revert(snapshot).unwrap();
    assert_eq!(tags(&chain), [8, 8, 7]);
}

#[test]
fn a_reorganization_undoes_later_changes_by_hand_and_keeps_earlier_ones() {
    let mut chain = chain(10);
    chain.set_balance(CONTRACT, U256::from(1));
    chain.mine();
    chain.set_balance(CONTRACT, U256::from(2));
    chain.reorganize(1, |_| Fate::Pooled).unwrap();
    assert_eq!(chain.balance(CONTRACT), 1);
}

#[test]
fn snapshots_of_undone_blocks_are_invalid() {
    let mut chain = chain(10);
    let early = chain.snapshot();
    chain.mine();
    let undone = chain.snapshot();
    chain.mine();
    let too = chain.snapshot();
    chain.reorganize(2, |_| Fate::Pooled).unwrap();
    chain.mine();
    for snapshot in [undone, too] {
        assert_eq!(chain.revert(snapshot), Err(ChainError::UnknownSnapshot(snapshot)));
    }
    let fork = hash_of(&chain, 1);
    chain.revert(early).unwrap();
    assert_eq!(chain.block_number(), 0);
    chain.mine();
    assert_eq!(hash_of(&chain, 1), fork, "the fork continues after a revert");
}

#[test]
fn unaffordable_transactions_do_not_return_to_the_pool() {
    let mut chain = chain(10);
    let poor = dev_accounts()[7];
    let fund = TransactionRequest::default()
        .from(dev_accounts()[0].address)
        .to(poor.address)
        .value(U256::from(10u64.pow(18)));
    chain.set_balance(poor.address, U256::ZERO);
    chain.send(fund).unwrap();
    let spent = pay(&mut chain, 7, 0);
    let undone = chain
        .reorganize(2, |transaction| {
            if transaction.inner.signer() == poor.address {
                Fate::Pooled
            } else {
                Fate::Dropped
            }
        })
        .unwrap();
    assert!(undone.pooled.is_empty());
    assert_eq!(undone.dropped.len(), 2);
    assert_eq!(undone.dropped[1], spent);
}

#[test]
fn unsigned_transactions_can_be_mined_again() {
    let mut chain = chain(10);
    chain.set_code(CONTRACT, LOG).unwrap();
    let request = TransactionRequest::default().from(CONTRACT).to(CONTRACT);
    let hash = chain.send(request).unwrap().transaction_hash;
    let undone = chain.reorganize(1, |_| Fate::Pooled).unwrap();
    assert_eq!(undone.pooled, [hash]);
    chain.mine();
    let receipt = chain.receipt(hash).unwrap();
    assert_eq!((receipt.status(), receipt.effective_gas_price), (true, 0));
}

#[test]
fn the_state_has_the_hashes_of_the_new_blocks() {
    let mut chain = chain(10);
    for _ in 0..3 {
        chain.mine();
    }
    let old = hash_of(&chain, 2);
    chain.reorganize(2, |_| Fate::Pooled).unwrap();
    for _ in 0..3 {
        chain.mine();
    }
    let request = TransactionRequest::default()
        .to(HISTORY_STORAGE_ADDRESS)
        .input(U256::from(2).abi_encode().into());
    let answer = chain.call_with(&request, &CallOptions::default()).unwrap();
    assert_eq!(B256::from_slice(&answer), hash_of(&chain, 2));
    assert_ne!(old, hash_of(&chain, 2));
}

#[test]
fn chains_with_the_same_reorganizations_are_identical() {
    let run = || {
        let mut chain = chain(10);
        pay(&mut chain, 0, 0);
        pay(&mut chain, 1, 0);
        let undone = chain.reorganize(2, |_| Fate::Pooled).unwrap();
        let mut copy = chain.clone();
        for chain in [&mut chain, &mut copy] {
            chain.mine();
            chain.mine();
        }
        assert_eq!(hash_of(&chain, 2), hash_of(&copy, 2));
        (undone, chain.block_at(2.into()))
    };
    assert_eq!(run(), run());
}
