//! JSON-RPC through an `alloy` provider.

use crate::requests::{RECIPIENT as CONTRACT, answer_of, failure, request, signed, transfer};
use alloy::{
    consensus::{
        SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy, TypedTransaction,
    },
    eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718, eip7702::Authorization},
    hex,
    primitives::{Address, B256, Bytes, Signature, TxKind, U64, U256, address, keccak256},
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
    signers::SignerSync,
    sol_types::{Revert, SolError},
    transports::RpcError,
};
use serde_json::{Value, json};
use session_key_testkit::{Chain, ChainConfig, Fate, Testkit, dev_accounts};
use std::time::{SystemTime, UNIX_EPOCH};

/// In wei.
const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Reverts with its input.
const REVERT: [u8; 7] = hex!("365f5f37365ffd");

/// Emits its input as a log, with its first word as the only topic.
const LOG: [u8; 10] = hex!("365f5f375f51365fa100");

#[tokio::test]
async fn a_signed_transfer_is_mined_with_a_receipt() {
    let testkit = Testkit::default();
    let [alice, bob] = [dev_accounts()[0], dev_accounts()[1]];
    let provider = testkit.provider_with_signer(alice.signer());
    let transfer = TransactionRequest::default().to(bob.address).value(U256::from(5));
    let receipt = provider
        .send_transaction(transfer)
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(receipt.block_number, Some(1));
    assert_eq!(receipt.from, alice.address);
    let start = U256::from(10_000u64) * ETHER;
    assert_eq!(testkit.chain().balance(bob.address), start + U256::from(5));
    let paid = U256::from(21_000) * U256::from(receipt.effective_gas_price) + U256::from(5);
    assert_eq!(provider.get_balance(alice.address).await.unwrap(), start - paid);
    // The state before the transaction is still readable.
    assert_eq!(
        provider
            .get_balance(alice.address)
            .block_id(BlockId::from(0))
            .await
            .unwrap(),
        start
    );

    let transaction = provider
        .get_transaction_by_hash(receipt.transaction_hash)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transaction.inner.signer(), alice.address);
    let block = provider
        .get_block_by_number(BlockNumberOrTag::Latest)
        .full()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
    assert_eq!(block.transactions.into_transactions().next(), Some(transaction));
}

#[tokio::test]
async fn a_revert_returns_its_data() {
    let testkit = Testkit::default();
    testkit.chain().set_code(CONTRACT, REVERT).unwrap();
    let provider = testkit.provider();
    let revert = Revert::from("not today");
    let request = TransactionRequest::default()
        .to(CONTRACT)
        .input(Bytes::from(revert.abi_encode()).into());
    for error in [
        provider.call(request.clone()).await.unwrap_err(),
        provider.estimate_gas(request).await.unwrap_err(),
    ] {
        let error = error.as_error_resp().expect("an error answer");
        assert_eq!(error.code, 3);
        assert_eq!(error.message, "execution reverted: not today");
        assert_eq!(error.as_decoded_error::<Revert>(), Some(revert.clone()));
    }
}

#[tokio::test]
async fn raw_transactions_of_every_type_are_accepted() {
    let testkit = Testkit::default();
    let provider = testkit.provider();
    let alice = dev_accounts()[0];
    let (gas_limit, gas_price, to) = (50_000, 2_000_000_000, TxKind::Call(CONTRACT));
    let value = U256::from(1);
    let transactions: [TypedTransaction; 4] = [
        TxLegacy {
            chain_id: Some(31_337),
            nonce: 0,
            gas_limit,
            gas_price,
            to,
            value,
            ..Default::default()
        }
        .into(),
        // Without EIP-155: valid on any chain.
        TxLegacy {
            chain_id: None,
            nonce: 1,
            gas_limit,
            gas_price,
            to,
            value,
            ..Default::default()
        }
        .into(),
        TxEip2930 {
            chain_id: 31_337,
            nonce: 2,
            gas_limit,
            gas_price,
            to,
            value,
            ..Default::default()
        }
        .into(),
        transfer(3).into(),
    ];
    for (transaction, block) in transactions.into_iter().zip(1..) {
        let kind = transaction.tx_type();
        let pending = provider
            .send_raw_transaction(&signed(alice, transaction))
            .await
            .unwrap();
        let receipt = pending.get_receipt().await.unwrap();
        assert!(receipt.status(), "{kind}");
        assert_eq!(receipt.transaction_type(), kind);
        assert_eq!(
            receipt.block_number,
            Some(block),
            "one block for each transaction"
        );
        assert_eq!(receipt.from, alice.address);
    }
    assert_eq!(testkit.chain().balance(CONTRACT), 4);
    let receipt = request(
        &testkit,
        "eth_sendRawTransactionSync",
        json!([signed(alice, transfer(4))]),
    )
    .await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["blockNumber"], "0x5");
}

/// EIP-7702: an account that signed the authorization gets a contract's code.
#[tokio::test]
async fn a_delegation_is_installed() {
    let testkit = Testkit::default();
    let [alice, bob] = [dev_accounts()[0], dev_accounts()[1]];
    let authorization = Authorization {
        chain_id: U256::from(31_337),
        address: CONTRACT,
        nonce: 0,
    };
    let signature = bob
        .signer()
        .sign_hash_sync(&authorization.signature_hash())
        .unwrap();
    let transaction = TxEip7702 {
        chain_id: 31_337,
        gas_limit: 100_000,
        max_fee_per_gas: 3_000_000_000,
        to: bob.address,
        authorization_list: vec![authorization.into_signed(signature)],
        ..Default::default()
    };
    let pending = testkit
        .provider()
        .send_raw_transaction(&signed(alice, transaction))
        .await
        .unwrap();
    assert!(pending.get_receipt().await.unwrap().status());
    let delegation = [&hex!("ef0100"), CONTRACT.as_slice()].concat();
    assert_eq!(testkit.chain().code(bob.address), delegation);
    // It can still send: EIP-3607 exempts delegations.
    let balance = testkit.chain().balance(CONTRACT);
    request(
        &testkit,
        "eth_sendRawTransaction",
        json!([signed(bob, transfer(1))]),
    )
    .await;
    assert_eq!(testkit.chain().balance(CONTRACT), balance + U256::from(1));
}

/// EIP-3607: a contract cannot send, even with a key to its address.
#[tokio::test]
async fn an_account_with_code_cannot_send() {
    let testkit = Testkit::default();
    let alice = dev_accounts()[0];
    testkit.chain().set_code(alice.address, [0u8]).unwrap();
    let raw = signed(alice, transfer(0));
    let (code, message) = failure(&testkit, "eth_sendRawTransaction", json!([raw])).await;
    assert_eq!((code, message.as_str()), (-32003, "sender not an eoa"));
}

#[tokio::test]
async fn transactions_that_cannot_be_included_are_refused_and_change_nothing() {
    let testkit = Testkit::default();
    let alice = dev_accounts()[0];
    testkit.chain().set_nonce(alice.address, 5);
    let good = transfer(5);
    let cases: [(TxEip1559, &str); 8] = [
        (
            TxEip1559 {
                nonce: 4,
                ..good.clone()
            },
            "nonce too low",
        ),
        (
            TxEip1559 {
                nonce: 6,
                ..good.clone()
            },
            "nonce too high",
        ),
        (
            TxEip1559 {
                chain_id: 1,
                ..good.clone()
            },
            "invalid chain id for signer",
        ),
        (
            TxEip1559 {
                value: U256::MAX >> 8,
                ..good.clone()
            },
            "Insufficient funds for gas * price + value",
        ),
        (
            TxEip1559 {
                gas_limit: 20_999,
                ..good.clone()
            },
            "intrinsic gas too low",
        ),
        (
            TxEip1559 {
                gas_limit: 30_000_001,
                ..good.clone()
            },
            "gas limit exceeds block gas limit",
        ),
        (
            TxEip1559 {
                max_fee_per_gas: 1,
                max_priority_fee_per_gas: 1,
                ..good.clone()
            },
            "max fee per gas less than block base fee",
        ),
        (
            TxEip1559 {
                max_priority_fee_per_gas: 3_000_000_001,
                ..good.clone()
            },
            "max priority fee per gas higher than max fee per gas",
        ),
    ];
    let balance = testkit.chain().balance(alice.address);
    for (transaction, expected) in cases {
        let (code, message) = failure(
            &testkit,
            "eth_sendRawTransaction",
            json!([signed(alice, transaction)]),
        )
        .await;
        assert_eq!(code, -32003, "{message}");
        assert!(
            message.starts_with(expected),
            "{message:?} instead of {expected:?}"
        );
    }
    // No sender can be recovered from this signature.
    let unsigned = TxEnvelope::from(
        good.clone()
            .into_signed(Signature::new(U256::ZERO, U256::ZERO, false)),
    );
    let unsigned = Bytes::from(unsigned.encoded_2718());
    let (_, message) = failure(&testkit, "eth_sendRawTransaction", json!([unsigned])).await;
    assert_eq!(message, "invalid transaction signature");
    let mut trailing = signed(alice, good.clone()).to_vec();
    trailing.push(0);
    let (code, message) = failure(&testkit, "eth_sendRawTransaction", json!([Bytes::from(trailing)])).await;
    assert_eq!(code, -32602);
    assert!(message.starts_with("Failed to decode transaction"), "{message}");

    assert_eq!(testkit.chain().block_number(), 0);
    assert_eq!(testkit.chain().nonce(alice.address), 5);
    assert_eq!(testkit.chain().balance(alice.address), balance);
    request(&testkit, "eth_sendRawTransaction", json!([signed(alice, good)])).await;
    assert_eq!(testkit.chain().block_number(), 1);
}

#[tokio::test]
async fn logs_are_found_by_address_topic_range_and_block() {
    let testkit = Testkit::default();
    let other = address!("0x000000000000000000000000000000000000c0df");
    testkit.chain().set_code(CONTRACT, LOG).unwrap();
    testkit.chain().set_code(other, LOG).unwrap();
    // Blocks 1 to 4: topics 1, 2, 1, 2; the last log is from another address.
    for (address, topic) in [(CONTRACT, 1), (CONTRACT, 2), (CONTRACT, 1), (other, 2)] {
        let request = TransactionRequest::default()
            .from(dev_accounts()[0].address)
            .to(address)
            .input(U256::from(topic).to_be_bytes_vec().into());
        testkit.chain().send(request).unwrap().ok().unwrap();
    }
    let provider = testkit.provider();
    let topic = |topic: u64| B256::from(U256::from(topic));
    let hash = provider
        .get_block_by_number(2.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    let all = Filter::new().from_block(0);
    let cases = [
        (all.clone(), vec![1, 2, 3, 4]),
        (all.clone().address(CONTRACT), vec![1, 2, 3]),
        (all.clone().address(vec![CONTRACT, other]), vec![1, 2, 3, 4]),
        (all.clone().event_signature(topic(1)), vec![1, 3]),
        (
            all.clone()
                .event_signature(vec![topic(1), topic(2)])
                .address(other),
            vec![4],
        ),
        // A log without a second topic matches no filter on it.
        (all.clone().topic1(topic(1)), vec![]),
        (Filter::new().from_block(2).to_block(3), vec![2, 3]),
        (Filter::new().from_block(3).to_block(99), vec![3, 4]),
        (Filter::new(), vec![4]),
        (Filter::new().at_block_hash(hash), vec![2]),
    ];
    for (filter, blocks) in cases {
        let logs = provider.get_logs(&filter).await.unwrap();
        let found: Vec<u64> = logs.iter().filter_map(|log| log.block_number).collect();
        assert_eq!(found, blocks, "{filter:?}");
    }
    let reversed = json!([{"fromBlock": "0x3", "toBlock": "0x2"}]);
    assert_eq!(failure(&testkit, "eth_getLogs", reversed).await.0, -32602);
}

#[tokio::test]
async fn a_batch_is_answered_as_a_whole() {
    let testkit = Testkit::default();
    let client = testkit.client();
    let mut batch = client.new_batch();
    let number = batch.add_call::<_, U64>("eth_blockNumber", &()).unwrap();
    let missing = batch.add_call::<_, Value>("eth_notAMethod", &()).unwrap();
    let chain_id = batch.add_call::<_, U64>("eth_chainId", &()).unwrap();
    batch.send().await.unwrap();
    assert_eq!(number.await.unwrap(), 0);
    assert_eq!(chain_id.await.unwrap(), 31_337);
    let error: RpcError<_> = missing.await.unwrap_err();
    assert_eq!(error.as_error_resp().expect("an error answer").code, -32601);
}

#[tokio::test]
async fn fees_follow_eip_1559() {
    let testkit = Testkit::default();
    testkit.chain().mine();
    testkit.chain().mine();
    let provider = testkit.provider();
    let history = provider
        .get_fee_history(2, BlockNumberOrTag::Latest, &[50.0])
        .await
        .unwrap();
    // Empty blocks reduce it by an eighth each.
    assert_eq!(history.base_fee_per_gas, [875_000_000, 765_625_000, 669_921_875]);
    assert_eq!(history.oldest_block, 1);
    assert_eq!(history.gas_used_ratio, [0.0, 0.0]);
    assert_eq!(history.reward, Some(vec![vec![0], vec![0]]));
    assert_eq!(provider.get_gas_price().await.unwrap(), 1_669_921_875);
    assert_eq!(
        provider.get_max_priority_fee_per_gas().await.unwrap(),
        1_000_000_000
    );
}

#[tokio::test]
async fn a_gas_estimate_is_exact() {
    let testkit = Testkit::default();
    testkit.chain().set_code(CONTRACT, LOG).unwrap();
    // SSTORE of zero to a nonzero slot 0: the refund comes after the gas was needed.
    let clearing = address!("0x000000000000000000000000000000000000c1ea");
    testkit.chain().set_code(clearing, hex!("5f5f55")).unwrap();
    testkit.chain().set_storage(clearing, U256::ZERO, U256::from(1));
    for to in [CONTRACT, clearing] {
        let request = TransactionRequest::default()
            .from(dev_accounts()[0].address)
            .to(to)
            // Little data, so execution costs more than EIP-7623's floor.
            .input(Bytes::from_static(&[1]).into());
        let gas = testkit.provider().estimate_gas(request.clone()).await.unwrap();
        let with = |gas| TransactionRequest {
            gas: Some(gas),
            ..request.clone()
        };
        let mut chain = testkit.chain();
        assert!(!chain.send(with(gas - 1)).unwrap().is_success());
        let execution = chain.send(with(gas)).unwrap();
        assert!(execution.is_success());
        assert_eq!(to == clearing, execution.gas_used < gas);
    }
}

/// Some chains have blocks that would take hours.
#[tokio::test]
async fn an_endless_call_is_no_endless_estimate() {
    let testkit = Testkit::new(ChainConfig {
        gas_limit: 1 << 31,
        ..Default::default()
    });
    // JUMPDEST GAS SLOAD POP PUSH0 JUMP
    testkit.chain().set_code(CONTRACT, hex!("5b5a54505f56")).unwrap();
    let call = json!({"from": dev_accounts()[0].address, "to": CONTRACT});
    let params = json!([call, "latest", {}, {"gasLimit": "0x90000000"}]);
    for params in [json!([call]), params] {
        let (code, message) = failure(&testkit, "eth_estimateGas", params).await;
        assert_eq!(code, -32003, "{message}");
        assert!(message.contains("exceeds allowance: 100000000"), "{message}");
    }
}

#[tokio::test]
async fn time_is_moved_on_a_chain_that_follows_the_clock() {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    // Its first block is long ago.
    let testkit = Testkit::default();
    let client = testkit.by_the_clock(testkit.transport()).client();
    let ask = async |method, params| answer_of(&client, method, params).await;
    let mined = async || {
        ask("evm_mine", json!([])).await;
        testkit.chain().timestamp()
    };
    let long_ago = testkit.chain().timestamp();
    ask("evm_setNextBlockTimestamp", json!([long_ago + 10])).await;
    assert_eq!(mined().await, long_ago + 10);
    let before = now();
    let by_the_clock = mined().await;
    assert!((before..=now()).contains(&by_the_clock), "{by_the_clock}");

    let testkit = Testkit::default();
    let client = testkit.by_the_clock(testkit.transport()).client();
    let before = now();
    answer_of(&client, "evm_increaseTime", json!([3600])).await;
    let pending = answer_of(&client, "eth_getBlockByNumber", json!(["pending", false])).await;
    let pending: U64 = serde_json::from_value(pending["timestamp"].clone()).unwrap();
    answer_of(&client, "evm_mine", json!([])).await;
    let moved = testkit.chain().timestamp();
    assert!((before + 3600..=now() + 3600).contains(&moved), "{moved}");
    assert!((before + 3600..=moved).contains(&pending.to()), "{pending}");
    // It is ahead of the clock, and stays so.
    answer_of(&client, "evm_mine", json!([])).await;
    assert_eq!(testkit.chain().timestamp(), moved + 1);
}

#[tokio::test]
async fn dev_methods_change_accounts_and_time() {
    let testkit = Testkit::default();
    let address = json!(CONTRACT);
    request(&testkit, "anvil_setBalance", json!([address, "0x7"])).await;
    request(&testkit, "anvil_setNonce", json!([address, "0x8"])).await;
    request(&testkit, "anvil_setCode", json!([address, "0x5b"])).await;
    request(
        &testkit,
        "anvil_setStorageAt",
        json!([address, "0x1", B256::with_last_byte(9)]),
    )
    .await;
    let provider = testkit.provider();
    assert_eq!(provider.get_balance(CONTRACT).await.unwrap(), 7);
    assert_eq!(provider.get_transaction_count(CONTRACT).await.unwrap(), 8);
    assert_eq!(
        provider.get_code_at(CONTRACT).await.unwrap(),
        Bytes::from_static(&[0x5b])
    );
    assert_eq!(provider.get_storage_at(CONTRACT, U256::from(1)).await.unwrap(), 9);

    let snapshot = request(&testkit, "evm_snapshot", json!([])).await;
    let start = testkit.chain().timestamp();
    request(&testkit, "evm_increaseTime", json!([600])).await;
    request(&testkit, "evm_mine", json!([])).await;
    assert_eq!(testkit.chain().timestamp(), start + 601);
    request(&testkit, "evm_setNextBlockTimestamp", json!([start + 5_000])).await;
    request(&testkit, "evm_mine", json!([])).await;
    assert_eq!(testkit.chain().timestamp(), start + 5_000);
    request(&testkit, "evm_mine", json!([start + 6_000])).await;
    assert_eq!(testkit.chain().timestamp(), start + 6_000);
    request(&testkit, "anvil_mine", json!(["0x3", "0xa"])).await;
    assert_eq!(testkit.chain().timestamp(), start + 6_021);
    assert_eq!(testkit.chain().block_number(), 6);
    assert_eq!(
        failure(&testkit, "evm_setNextBlockTimestamp", json!([start]))
            .await
            .0,
        -32602
    );
    assert_eq!(
        request(&testkit, "evm_revert", json!([snapshot])).await,
        json!(true)
    );
    assert_eq!(
        request(&testkit, "evm_revert", json!([snapshot])).await,
        json!(false)
    );
    assert_eq!(testkit.chain().timestamp(), start);
}

#[tokio::test]
async fn only_dev_and_impersonated_accounts_send_unsigned() {
    let testkit = Testkit::default();
    let contract = address!("0x000000000000000000000000000000000000beef");
    testkit.chain().set_balance(contract, ETHER);
    testkit.chain().set_code(contract, [0u8]).unwrap();
    let transfer = json!([{"from": contract, "to": CONTRACT, "value": "0x1"}]);
    let (code, message) = failure(&testkit, "eth_sendTransaction", transfer.clone()).await;
    assert_eq!(code, -32602);
    assert!(message.starts_with("No Signer available"), "{message}");

    request(&testkit, "anvil_impersonateAccount", json!([contract])).await;
    request(&testkit, "eth_sendTransaction", transfer.clone()).await;
    assert_eq!(testkit.chain().balance(CONTRACT), 1);
    request(&testkit, "anvil_stopImpersonatingAccount", json!([contract])).await;
    assert_eq!(failure(&testkit, "eth_sendTransaction", transfer).await.0, -32602);

    let transfer = json!([{"from": dev_accounts()[3].address, "to": CONTRACT, "value": "0x1"}]);
    let hash = request(&testkit, "eth_sendTransaction", transfer).await;
    let hash: B256 = serde_json::from_value(hash).unwrap();
    let transaction = testkit
        .provider()
        .get_transaction_by_hash(hash)
        .await
        .unwrap()
        .unwrap();
    // The signature is valid.
    use alloy::consensus::transaction::SignerRecoverable;
    assert_eq!(
        transaction.inner.recover_signer().unwrap(),
        dev_accounts()[3].address
    );
}

#[tokio::test]
async fn parameters_are_checked() {
    let testkit = Testkit::default();
    let cases = [
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!(["0x12"])),
        ("eth_getBalance", json!({"address": CONTRACT})),
        ("eth_call", json!([])),
        (
            "eth_call",
            json!([{"to": CONTRACT, "gasPrice": "0x1", "maxFeePerGas": "0x1"}]),
        ),
        (
            "eth_call",
            json!([{"to": CONTRACT}, "latest", {CONTRACT.to_string(): {"state": {}, "stateDiff": {}}}]),
        ),
        ("eth_getBlockByNumber", json!(["yesterday", false])),
        ("eth_sendRawTransaction", json!(["0x"])),
        ("eth_feeHistory", json!(["0x1", "latest", [75.0, 25.0]])),
        ("evm_increaseTime", json!(["soon"])),
        ("anvil_mine", json!(["0xffffffffff"])),
        ("anvil_mine", json!(["0x2", "0x0"])),
        ("anvil_mine", json!(["0x2", "0xffffffffffffffff"])),
        (
            "evm_mine",
            json!([{"timestamp": "0xffffffffff", "blocks": "0xffffffffff"}]),
        ),
        (
            "debug_traceCall",
            json!([{"to": CONTRACT}, "latest", {"tracer": "prestateTracer"}]),
        ),
        ("debug_traceCall", json!([{"to": CONTRACT}, "latest"])),
    ];
    for (method, params) in cases {
        assert_eq!(
            failure(&testkit, method, params.clone()).await.0,
            -32602,
            "{method} {params}"
        );
    }
    // Refused requests have changed nothing.
    let chain = testkit.chain().clone();
    assert_eq!(chain.block_number(), 0);
    assert_eq!(chain.next_timestamp(), Chain::default().next_timestamp());
    let (code, message) = failure(&testkit, "eth_subscribe", json!(["newHeads"])).await;
    assert_eq!((code, message.contains("eth_subscribe")), (-32601, true));
}

#[tokio::test]
async fn the_client_version_names_the_simulation() {
    let version = Testkit::default().provider().get_client_version().await.unwrap();
    assert!(version.contains("simulated chain"), "{version}");
}

#[tokio::test]
async fn proofs_are_empty_around_true_values() {
    let testkit = Testkit::default();
    let account = Address::repeat_byte(0xc0);
    testkit.chain().set_code(account, LOG).unwrap();
    testkit.chain().set_balance(account, U256::from(5));
    testkit.chain().set_storage(account, U256::from(1), U256::from(7));
    let proof = request(&testkit, "eth_getProof", json!([account, ["0x1"], "latest"])).await;
    assert_eq!(proof["codeHash"], json!(keccak256(LOG)));
    assert_eq!(
        (&proof["balance"], &proof["nonce"]),
        (&json!("0x5"), &json!("0x0"))
    );
    assert_eq!(proof["accountProof"], json!([]));
    assert_eq!(
        proof["storageProof"],
        json!([{"key": B256::from(U256::from(1)), "value": "0x7", "proof": []}])
    );
}

#[tokio::test]
async fn filters_tell_what_happened_since() {
    let testkit = Testkit::new(ChainConfig {
        finalized_distance: 100,
        ..Default::default()
    });
    let client = testkit.client();
    let contract = Address::repeat_byte(0xc0);
    // LOG0 without data.
    testkit.chain().set_code(contract, hex!("5f5fa0")).unwrap();
    let ask = async |method: &'static str, params: Value| answer_of(&client, method, params).await;
    let logs = ask(
        "eth_newFilter",
        json!([{"address": contract, "fromBlock": "0x0"}]),
    )
    .await;
    let others = ask("eth_newFilter", json!([{"address": Address::ZERO}])).await;
    let blocks = ask("eth_newBlockFilter", json!([])).await;
    let transactions = ask("eth_newPendingTransactionFilter", json!([])).await;
    let changes = async |filter: &Value| ask("eth_getFilterChanges", json!([filter])).await;
    for filter in [&logs, &others, &blocks, &transactions] {
        assert_eq!(changes(filter).await, json!([]));
    }

    let send = || {
        let request = TransactionRequest::default()
            .from(dev_accounts()[0].address)
            .to(contract);
        testkit.chain().send(request).unwrap().transaction_hash
    };
    let first = send();
    let told = changes(&logs).await;
    assert_eq!(told.as_array().map(Vec::len), Some(1));
    assert_eq!(told[0]["transactionHash"], json!(first));
    assert_eq!(changes(&others).await, json!([]));
    let head = ask("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(changes(&blocks).await, json!([head["hash"]]));
    assert_eq!(changes(&transactions).await, json!([first]));
    for filter in [&logs, &blocks, &transactions] {
        assert_eq!(changes(filter).await, json!([]), "once only");
    }

    // What comes in the place of undone blocks is new.
    testkit.chain().reorganize(1, |_| Fate::Dropped).unwrap();
    let second = send();
    let told = changes(&logs).await;
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told[0]["transactionHash"], json!(second));
    let all = ask("eth_getFilterLogs", json!([logs])).await;
    assert_eq!(all, told);

    assert_eq!(ask("eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(ask("eth_uninstallFilter", json!([logs])).await, false);
    for method in ["eth_getFilterChanges", "eth_getFilterLogs"] {
        let refused = failure(&testkit, method, json!([logs])).await;
        assert_eq!(refused, (-32000, "filter not found".into()));
    }
}
