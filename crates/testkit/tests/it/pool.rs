//! Pending transactions, and blocks with several.

use crate::requests::{RECIPIENT, failure, request, signed, transfer};
use alloy::{
    consensus::{TxEip1559, TxLegacy},
    eips::{BlockId, BlockNumberOrTag},
    hex,
    primitives::{Address, B256, Bloom, Bytes, U256, address, keccak256},
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
    sol_types::SolValue,
};
use serde_json::{Value, json};
use session_key_testkit::{CallOptions, Chain, ChainConfig, ChainError, Testkit, dev_accounts};

const GWEI: u128 = 1_000_000_000;

/// Emits as many logs as the first word of its input says, each with that word as data; the topics count down
/// to 0.
const LOGS: [u8; 25] = hex!("5f35805f525b801560175760019003" "8060205fa16005565b00");

/// Counts its calls in slot 0, and returns the count.
const COUNTER: [u8; 14] = hex!("5f54600101805f555f5260205ff3");

const CONTRACT: Address = address!("0x0000000000000000000000000000000000000c01");

fn pooling() -> Chain {
    Chain::new(ChainConfig {
        automine: false,
        ..Default::default()
    })
}

/// Sends 1 wei from a development account with its nonce.
fn send(chain: &mut Chain, account: usize, nonce: u64, change: impl FnOnce(&mut TxEip1559)) -> B256 {
    try_send(chain, account, nonce, change).unwrap()
}

fn try_send(
    chain: &mut Chain,
    account: usize,
    nonce: u64,
    change: impl FnOnce(&mut TxEip1559),
) -> Result<B256, ChainError> {
    let mut transaction = transfer(nonce);
    change(&mut transaction);
    chain.submit_raw(&signed(dev_accounts()[account], transaction))
}

/// Returns senders (as indices) and nonces of a block's transactions.
fn content(chain: &Chain, block: u64) -> Vec<(usize, u64)> {
    use alloy::consensus::Transaction as _;
    let transactions = chain.block_at(block.into()).unwrap().transactions;
    transactions
        .into_transactions()
        .map(|transaction| {
            let sender = transaction.inner.signer();
            let index = dev_accounts()
                .iter()
                .position(|account| account.address == sender);
            (index.unwrap(), transaction.inner.nonce())
        })
        .collect()
}

fn waiting(chain: &Chain) -> Vec<(B256, bool, bool)> {
    let mut pool: Vec<_> = chain
        .pool()
        .into_iter()
        .map(|pooled| (*pooled.transaction.inner.tx_hash(), pooled.queued, pooled.held))
        .collect();
    pool.sort();
    pool
}

#[tokio::test]
async fn a_transaction_waits_until_a_block_is_mined() {
    let testkit = Testkit::from(pooling());
    let alice = dev_accounts()[0].address;
    let hash = request(
        &testkit,
        "eth_sendRawTransaction",
        json!([signed(dev_accounts()[0], transfer(0))]),
    )
    .await;
    let count = async |tag: &str| request(&testkit, "eth_getTransactionCount", json!([alice, tag])).await;
    assert_eq!(testkit.chain().block_number(), 0);
    assert_eq!(
        request(&testkit, "eth_getTransactionReceipt", json!([hash])).await,
        Value::Null
    );
    let pending = request(&testkit, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(pending["hash"], hash);
    assert_eq!(pending["from"], json!(alice));
    for member in ["blockHash", "blockNumber", "transactionIndex"] {
        assert_eq!(pending[member], Value::Null, "{member}");
    }
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x0"), json!("0x1"))
    );
    assert_eq!(
        request(&testkit, "txpool_status", json!([])).await,
        json!({"pending": "0x1", "queued": "0x0"})
    );

    testkit.chain().mine();
    let receipt = request(&testkit, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(
        (&receipt["status"], &receipt["blockNumber"]),
        (&json!("0x1"), &json!("0x1"))
    );
    let mined = request(&testkit, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(mined["blockHash"], receipt["blockHash"]);
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x1"), json!("0x1"))
    );
    assert_eq!(testkit.chain().pool(), []);
    assert_eq!(testkit.chain().balance(RECIPIENT), 1);
}

#[tokio::test]
async fn a_pool_is_shown_by_sender_and_nonce() {
    let testkit = Testkit::from(pooling());
    for nonce in [0, 1, 3] {
        send(&mut testkit.chain(), 0, nonce, |_| ());
    }
    send(&mut testkit.chain(), 1, 0, |_| ());
    let content = request(&testkit, "txpool_content", json!([])).await;
    let [alice, bob] = [0, 1].map(|index| format!("{:#x}", dev_accounts()[index].address));
    let nonces = |part: &str, sender: &str| -> Vec<String> {
        content[part][sender]
            .as_object()
            .map(|transactions| transactions.keys().cloned().collect())
            .unwrap_or_default()
    };
    assert_eq!(nonces("pending", &alice), ["0", "1"]);
    assert_eq!(nonces("pending", &bob), ["0"]);
    assert_eq!(nonces("queued", &alice), ["3"]);
    assert_eq!(content["queued"].get(&bob), None);
    assert_eq!(content["queued"][&alice]["3"]["nonce"], "0x3");
}

#[test]
fn transactions_behind_a_nonce_gap_wait_until_it_is_filled() {
    let mut chain = pooling();
    let alice = dev_accounts()[0].address;
    let first = send(&mut chain, 0, 0, |_| ());
    let third = send(&mut chain, 0, 2, |_| ());
    assert_eq!(chain.pending_nonce(alice), 1);
    let mut expected = vec![(first, false, false), (third, true, false)];
    expected.sort();
    assert_eq!(waiting(&chain), expected);

    chain.mine();
    assert_eq!(content(&chain, 1), [(0, 0)]);
    assert_eq!(waiting(&chain), [(third, true, false)]);
    chain.mine();
    assert_eq!(content(&chain, 2), []);

    send(&mut chain, 0, 1, |_| ());
    assert_eq!(chain.pending_nonce(alice), 3);
    chain.mine();
    assert_eq!(content(&chain, 3), [(0, 1), (0, 2)]);
    assert_eq!(waiting(&chain), []);
}

#[test]
fn a_replacement_pays_a_tenth_more_of_both_fees() {
    let mut chain = pooling();
    let offer = |chain: &mut Chain, max_fee: u128, tip: u128| {
        try_send(chain, 0, 0, |transaction| {
            transaction.max_fee_per_gas = max_fee;
            transaction.max_priority_fee_per_gas = tip;
        })
    };
    let first = offer(&mut chain, 3_000_000_015, 1_000_000_005).unwrap();
    let underpriced = Err(ChainError::ReplacementUnderpriced { pooled: first });
    // 10% more, rounded down, is 3,300,000,016 and 1,100,000,005.
    for (max_fee, tip) in [
        (3_300_000_015, 1_100_000_005),
        (3_300_000_016, 1_100_000_004),
        (9_000_000_000, 1_000_000_005),
        (3_000_000_015, 2_000_000_000),
        (2_000_000_000, 900_000_000),
    ] {
        assert_eq!(
            offer(&mut chain, max_fee, tip),
            underpriced,
            "{max_fee} and {tip}"
        );
    }
    assert_eq!(waiting(&chain), [(first, false, false)]);
    let second = offer(&mut chain, 3_300_000_016, 1_100_000_005).unwrap();
    assert_eq!(waiting(&chain), [(second, false, false)]);
    // Only one of the two will be paid.
    chain.set_balance(dev_accounts()[0].address, U256::from(21_000 * 4 * GWEI));
    let third = offer(&mut chain, 3_900_000_000, 1_300_000_000).unwrap();
    chain.mine();
    assert!(chain.receipt(third).is_some());
    assert_eq!([first, second].map(|hash| chain.receipt(hash)), [None, None]);
}

#[test]
fn a_gas_price_counts_as_both_fees() {
    let mut chain = pooling();
    let legacy = |gas_price| TxLegacy {
        chain_id: Some(31_337),
        nonce: 0,
        gas_limit: 21_000,
        gas_price,
        to: RECIPIENT.into(),
        ..Default::default()
    };
    let alice = dev_accounts()[0];
    chain.submit_raw(&signed(alice, legacy(2 * GWEI))).unwrap();
    let with_low_tip = try_send(&mut chain, 0, 0, |transaction| {
        transaction.max_fee_per_gas = 10 * GWEI;
        transaction.max_priority_fee_per_gas = 2 * GWEI;
    });
    assert!(matches!(
        with_low_tip,
        Err(ChainError::ReplacementUnderpriced { .. })
    ));
    chain.submit_raw(&signed(alice, legacy(2_200_000_000))).unwrap();
}

#[tokio::test]
async fn the_pool_refuses_with_geths_errors() {
    let testkit = Testkit::from(pooling());
    let alice = dev_accounts()[0];
    testkit.chain().set_nonce(alice.address, 5);
    testkit
        .chain()
        .set_balance(alice.address, U256::from(10u64.pow(15)));
    let refusal = async |transaction: TxEip1559| {
        failure(
            &testkit,
            "eth_sendRawTransaction",
            json!([signed(alice, transaction)]),
        )
        .await
    };
    request(
        &testkit,
        "eth_sendRawTransaction",
        json!([signed(alice, transfer(5))]),
    )
    .await;
    let value = |nonce, value| TxEip1559 {
        value: U256::from(value),
        ..transfer(nonce)
    };
    // 21,000 gas at 3 gwei are 63,000 gwei, of 1,000,000 gwei.
    let alone = "insufficient funds for gas * price + value: balance 1000000000000000, \
                 tx cost 1063000000000000, overshot 63000000000000";
    let together = "insufficient funds for gas * price + value: balance 1000000000000000, \
                    queued cost 63000000000001, tx cost 937000000000000, overshot 1";
    for (transaction, expected) in [
        (transfer(5), "already known"),
        (transfer(4), "nonce too low: next nonce 5, tx nonce 4"),
        (value(5, 2), "replacement transaction underpriced"),
        (value(6, 10u64.pow(15)), alone),
        (value(6, 874_000_000_000_000), together),
    ] {
        assert_eq!(refusal(transaction).await, (-32000, expected.to_owned()));
    }
    for (transaction, expected) in [
        (
            TxEip1559 {
                gas_limit: 20_999,
                ..transfer(6)
            },
            "intrinsic gas too low",
        ),
        (
            TxEip1559 {
                gas_limit: 30_000_001,
                ..transfer(6)
            },
            "gas limit exceeds block gas limit",
        ),
        (
            TxEip1559 {
                chain_id: 1,
                ..transfer(6)
            },
            "invalid chain id for signer",
        ),
        (
            TxEip1559 {
                max_priority_fee_per_gas: 4 * GWEI,
                ..transfer(6)
            },
            "max priority fee per gas higher than max fee per gas",
        ),
    ] {
        let (code, message) = refusal(transaction).await;
        assert_eq!(code, -32003, "{message}");
        assert!(message.starts_with(expected), "{message}");
    }
    assert_eq!(testkit.chain().pool().len(), 1);
    // Its exact balance.
    request(
        &testkit,
        "eth_sendRawTransaction",
        json!([signed(alice, value(6, 873_999_999_999_999))]),
    )
    .await;

    testkit.chain().set_code(alice.address, [0u8]).unwrap();
    let (_, message) = refusal(transfer(7)).await;
    assert_eq!(message, "sender not an eoa");
}

/// Blocks, receipts and logs agree with each other, and with the header's roots.
#[tokio::test]
async fn one_block_takes_many_transactions() {
    let testkit = Testkit::from(pooling());
    testkit.chain().set_code(CONTRACT, LOGS).unwrap();
    let log = |chain: &mut Chain, account, nonce, count: u64, tip: u128| {
        send(chain, account, nonce, |transaction| {
            transaction.to = CONTRACT.into();
            transaction.gas_limit = 100_000;
            transaction.input = U256::from(count).abi_encode().into();
            transaction.value = U256::ZERO;
            transaction.max_fee_per_gas = 10 * GWEI;
            transaction.max_priority_fee_per_gas = tip;
        })
    };
    // Alice's second transaction pays most, but follows her first; equal tips go by arrival.
    let (hashes, provider) = {
        let mut chain = testkit.chain();
        let alice = log(&mut chain, 0, 0, 1, GWEI);
        let alice_too = log(&mut chain, 0, 1, 2, 9 * GWEI);
        let bob = log(&mut chain, 1, 0, 0, 2 * GWEI);
        let carol = log(&mut chain, 2, 0, 3, 2 * GWEI);
        chain.mine();
        ([bob, carol, alice, alice_too], testkit.provider())
    };
    let block = provider
        .get_block_by_number(1.into())
        .full()
        .await
        .unwrap()
        .unwrap();
    let found: Vec<B256> = block.transactions.hashes().collect();
    assert_eq!(found, hashes);
    let receipts = provider
        .get_block_receipts(BlockId::from(1))
        .await
        .unwrap()
        .unwrap();
    let logs = provider.get_logs(&Filter::new().from_block(1)).await.unwrap();
    let expected: Vec<(u64, u64)> = vec![(1, 0), (1, 1), (1, 2), (2, 3), (3, 4), (3, 5)];
    let places: Vec<(u64, u64)> = logs
        .iter()
        .map(|log| (log.transaction_index.unwrap(), log.log_index.unwrap()))
        .collect();
    assert_eq!(places, expected);

    let mut gas = 0;
    let mut bloom = Bloom::ZERO;
    let mut logged = Vec::new();
    for (index, hash) in hashes.into_iter().enumerate() {
        let receipt = provider.get_transaction_receipt(hash).await.unwrap().unwrap();
        assert_eq!(receipt, receipts[index]);
        assert_eq!(receipt.transaction_index, Some(index as u64));
        gas += receipt.gas_used;
        assert_eq!(receipt.inner.cumulative_gas_used(), gas);
        bloom |= *receipt.inner.logs_bloom();
        logged.extend(receipt.inner.logs().to_vec());
        let transaction = provider.get_transaction_by_hash(hash).await.unwrap().unwrap();
        assert_eq!(transaction.transaction_index, Some(index as u64));
        assert_eq!(transaction.block_hash, Some(block.header.hash));
    }
    assert_eq!(logged, logs);
    assert_eq!((block.header.gas_used, block.header.logs_bloom), (gas, bloom));
    assert_ne!(bloom, Bloom::ZERO);
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
    let envelopes: Vec<_> = receipts
        .iter()
        .map(|receipt| {
            receipt
                .inner
                .clone()
                .map_logs(|log: alloy::rpc::types::Log| log.inner)
        })
        .collect();
    assert_eq!(
        block.header.receipts_root,
        alloy::consensus::proofs::calculate_receipt_root(&envelopes)
    );
    let transactions: Vec<_> = block
        .transactions
        .into_transactions()
        .map(|transaction| transaction.inner.into_inner())
        .collect();
    assert_eq!(
        block.header.inner.transactions_root,
        alloy::consensus::proofs::calculate_transaction_root(&transactions)
    );

    // 1 gwei for about two fifths of the gas, then 2.
    let history = provider
        .get_fee_history(1, BlockNumberOrTag::Latest, &[0.0, 10.0, 70.0, 100.0])
        .await
        .unwrap();
    assert_eq!(history.reward, Some(vec![vec![GWEI, GWEI, 2 * GWEI, 9 * GWEI]]));
}

#[tokio::test]
async fn the_fee_history_weighs_tips_by_gas() {
    let testkit = Testkit::from(pooling());
    for (account, tip) in [(0, 3), (1, 1), (2, 2), (3, 4)] {
        send(&mut testkit.chain(), account, 0, |transaction| {
            transaction.max_fee_per_gas = 10 * GWEI;
            transaction.max_priority_fee_per_gas = tip;
        });
    }
    testkit.chain().mine();
    let history = testkit
        .provider()
        .get_fee_history(2, BlockNumberOrTag::Latest, &[25.0, 25.1, 50.0, 75.0, 100.0])
        .await
        .unwrap();
    assert_eq!(history.reward, Some(vec![vec![0; 5], vec![1, 2, 2, 3, 4]]));
}

#[test]
fn a_block_stays_within_its_gas_limit() {
    let mut chain = Chain::new(ChainConfig {
        automine: false,
        gas_limit: 70_000,
        ..Default::default()
    });
    for nonce in 0..3 {
        send(&mut chain, 0, nonce, |_| ());
    }
    // The rest suffices for the gas they use, but not for their gas limits.
    send(&mut chain, 1, 0, |transaction| {
        transaction.gas_limit = 30_000;
        transaction.max_priority_fee_per_gas = GWEI / 2;
    });
    send(&mut chain, 2, 0, |transaction| {
        transaction.max_priority_fee_per_gas = GWEI / 4;
    });
    chain.mine();
    assert_eq!(content(&chain, 1), [(0, 0), (0, 1), (0, 2)]);
    chain.mine();
    assert_eq!(content(&chain, 2), [(1, 0), (2, 0)]);
}

#[test]
fn a_transaction_that_does_not_fit_lets_others_pass() {
    let mut chain = Chain::new(ChainConfig {
        automine: false,
        gas_limit: 50_000,
        ..Default::default()
    });
    send(&mut chain, 0, 0, |transaction| {
        transaction.max_priority_fee_per_gas = 2 * GWEI;
    });
    send(&mut chain, 0, 1, |transaction| transaction.gas_limit = 45_000);
    send(&mut chain, 1, 0, |transaction| {
        transaction.max_priority_fee_per_gas = 1;
    });
    chain.mine();
    assert_eq!(content(&chain, 1), [(0, 0), (1, 0)]);
    chain.mine();
    assert_eq!(content(&chain, 2), [(0, 1)]);
}

#[test]
fn a_transaction_below_the_base_fee_waits_for_a_lower_one() {
    let mut chain = pooling();
    send(&mut chain, 0, 0, |transaction| {
        transaction.max_fee_per_gas = GWEI / 2;
        transaction.max_priority_fee_per_gas = 1;
    });
    send(&mut chain, 0, 1, |_| ());
    chain.mine();
    assert_eq!(content(&chain, 1), []);
    chain.set_next_base_fee((GWEI / 2) as u64);
    chain.mine();
    assert_eq!(content(&chain, 2), [(0, 0), (0, 1)]);
}

#[test]
fn transactions_are_held_and_dropped() {
    let mut chain = pooling();
    let first = send(&mut chain, 0, 0, |_| ());
    let second = send(&mut chain, 0, 1, |_| ());
    chain.hold_pooled(first).unwrap();
    let mut expected = vec![(first, false, true), (second, false, false)];
    expected.sort();
    assert_eq!(waiting(&chain), expected);
    assert_eq!(chain.pending_nonce(dev_accounts()[0].address), 2);
    chain.mine();
    assert_eq!(content(&chain, 1), []);

    chain.release_pooled(first).unwrap();
    chain.drop_pooled(second).unwrap();
    chain.mine();
    assert_eq!(content(&chain, 2), [(0, 0)]);
    assert_eq!(waiting(&chain), []);
    let gone = Err(ChainError::UnknownTransaction(second));
    assert_eq!(chain.drop_pooled(second), gone);
    assert_eq!(chain.hold_pooled(second), gone);
    assert_eq!(chain.release_pooled(second), gone);
    // Dropped, not banned.
    assert_eq!(send(&mut chain, 0, 1, |_| ()), second);
}

/// As on geth, when a new block leaves too little to pay.
#[test]
fn a_block_drops_transactions_that_can_no_longer_be_included() {
    let mut chain = pooling();
    let [alice, bob] = [dev_accounts()[0].address, dev_accounts()[1].address];
    let stale = send(&mut chain, 0, 0, |_| ());
    send(&mut chain, 0, 1, |_| ());
    let unpayable = send(&mut chain, 1, 0, |_| ());
    chain.set_nonce(alice, 1);
    chain.set_balance(bob, U256::from(62_999) * U256::from(GWEI));
    chain.mine();
    assert_eq!(content(&chain, 1), [(0, 1)]);
    assert_eq!(waiting(&chain), []);
    assert_eq!((chain.receipt(stale), chain.receipt(unpayable)), (None, None));
}

#[test]
fn sending_past_the_pool_mines_its_own_block() {
    let mut chain = pooling();
    let alice = dev_accounts()[0];
    let pooled = send(&mut chain, 0, 0, |_| ());
    let execution = chain
        .send_raw(&signed(
            alice,
            TxEip1559 {
                value: U256::from(2),
                ..transfer(0)
            },
        ))
        .unwrap();
    assert_eq!(
        (execution.block_number, chain.balance(RECIPIENT)),
        (1, U256::from(2))
    );
    assert_ne!(execution.transaction_hash, pooled);
    assert_eq!(waiting(&chain), [], "its nonce is used");
    let transfer = TransactionRequest::default().from(CONTRACT).to(RECIPIENT);
    assert_eq!(chain.send(transfer).unwrap().block_number, 2);
}

#[test]
fn a_snapshot_keeps_the_pool() {
    let mut chain = pooling();
    let first = send(&mut chain, 0, 0, |_| ());
    let snapshot = chain.snapshot();
    send(&mut chain, 0, 1, |_| ());
    chain.mine();
    let block = chain.block_at(1.into()).unwrap().header.hash;
    chain.revert(snapshot).unwrap();
    assert_eq!(waiting(&chain), [(first, false, false)]);
    assert_eq!(chain.receipt(first), None);
    chain.mine();
    assert_eq!(content(&chain, 1), [(0, 0)]);
    assert_ne!(chain.block_at(1.into()).unwrap().header.hash, block);
}

/// `pending` is the block that would be mined now.
#[tokio::test]
async fn the_pending_block_contains_pending_transactions() {
    let testkit = Testkit::from(pooling());
    let provider = testkit.provider();
    let call = {
        let mut chain = testkit.chain();
        chain.set_code(CONTRACT, COUNTER).unwrap();
        for nonce in 0..2 {
            send(&mut chain, 0, nonce, |transaction| {
                transaction.to = CONTRACT.into();
                transaction.gas_limit = 50_000;
            });
        }
        TransactionRequest::default().to(CONTRACT)
    };
    let pending = provider
        .get_block_by_number(BlockNumberOrTag::Pending)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((pending.header.number, pending.transactions.len()), (1, 2));
    assert_eq!(provider.get_balance(CONTRACT).pending().await.unwrap(), 2);
    assert_eq!(provider.get_balance(CONTRACT).await.unwrap(), 0);
    let counted = |output: Bytes| U256::from_be_slice(&output);
    let called = async |block| counted(provider.call(call.clone()).block(block).await.unwrap());
    assert_eq!(called(BlockId::latest()).await, 1);
    assert_eq!(called(BlockId::pending()).await, 3);
    assert_eq!(testkit.chain().block_number(), 0);

    testkit.chain().mine();
    let mined = provider.get_block_by_number(1.into()).await.unwrap().unwrap();
    assert_eq!(mined.header, pending.header);
    assert_eq!(called(BlockId::latest()).await, 3);
}

#[test]
fn a_trace_replays_the_transactions_before_it_in_the_block() {
    let mut chain = pooling();
    chain.set_code(CONTRACT, COUNTER).unwrap();
    let hashes: Vec<B256> = (0..3)
        .map(|nonce| {
            send(&mut chain, 0, nonce, |transaction| {
                transaction.to = CONTRACT.into();
                transaction.gas_limit = 50_000;
            })
        })
        .collect();
    chain.mine();
    for (hash, count) in hashes.into_iter().zip(1..) {
        let trace = chain.trace_transaction(hash).unwrap();
        assert_eq!(U256::from_be_slice(&trace.output), count);
        assert_eq!(trace.gas_used, chain.receipt(hash).unwrap().gas_used);
    }
    // Past states lie between blocks.
    let request = TransactionRequest::default().to(CONTRACT);
    let before = chain.call_with(&request, &CallOptions::at(0)).unwrap();
    assert_eq!(U256::from_be_slice(&before), 1);
}

#[tokio::test]
async fn waiting_for_a_receipt_ends_with_the_hash() {
    let testkit = Testkit::from(pooling());
    let raw = signed(dev_accounts()[0], transfer(0));
    let error = testkit
        .client()
        .request::<_, Value>("eth_sendRawTransactionSync", json!([raw]))
        .await
        .unwrap_err();
    let error = error.as_error_resp().unwrap();
    assert_eq!(error.code, 4);
    let hash: B256 = serde_json::from_str(error.data.as_ref().unwrap().get()).unwrap();
    assert_eq!(hash, keccak256(&raw));
    assert_eq!(testkit.chain().pool().len(), 1);
}

#[tokio::test]
async fn development_accounts_send_in_sequence() {
    let testkit = Testkit::default();
    request(&testkit, "evm_setAutomine", json!([false])).await;
    let transfer = json!([{"from": dev_accounts()[0].address, "to": RECIPIENT, "value": "0x1"}]);
    let mut hashes = Vec::new();
    for _ in 0..3 {
        hashes.push(request(&testkit, "eth_sendTransaction", transfer.clone()).await);
    }
    assert_eq!(
        request(&testkit, "anvil_dropTransaction", json!([hashes[2]])).await,
        hashes[2]
    );
    assert_eq!(
        request(&testkit, "anvil_dropTransaction", json!([hashes[2]])).await,
        Value::Null
    );
    request(&testkit, "evm_mine", json!([])).await;
    assert_eq!(content(&testkit.chain(), 1), [(0, 0), (0, 1)]);
    // Impersonated senders wait like all others.
    testkit.chain().set_balance(CONTRACT, U256::from(10u64.pow(18)));
    testkit.chain().impersonate(CONTRACT);
    let transfer = json!([{"from": CONTRACT, "to": RECIPIENT, "value": "0x1"}]);
    request(&testkit, "eth_sendTransaction", transfer).await;
    assert_eq!(testkit.chain().balance(RECIPIENT), 2);
    testkit.chain().mine();
    assert_eq!(testkit.chain().balance(RECIPIENT), 3);
}

#[test]
fn automining_leaves_pending_transactions_pending() {
    let mut chain = pooling();
    let waits = send(&mut chain, 1, 0, |_| ());
    chain.set_automine(true);
    assert_eq!(waiting(&chain), [(waits, false, false)]);
    send(&mut chain, 0, 0, |_| ());
    assert_eq!(content(&chain, 1), [(0, 0)]);
    assert_eq!(waiting(&chain), [(waits, false, false)]);
    chain.mine();
    assert_eq!(content(&chain, 2), [(1, 0)]);
}
