//! JSON-RPC through an `alloy` provider.

use alloy::{
    eips::BlockNumberOrTag,
    hex,
    primitives::{Address, B256, Bytes, U256, address},
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
};
use session_key_testkit::{Testkit, dev_accounts};

const CONTRACT: Address = address!("0x000000000000000000000000000000000000c0de");

/// LOG1 of its input with topic 7.
const LOG: [u8; 13] = hex!("365f5f3760 07 365f a1 00 00 00 00");

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
    let received = testkit.chain().balance(bob.address);
    assert_eq!(
        received,
        U256::from(10_000u64) * U256::from(10u64.pow(18)) + U256::from(5)
    );
    let paid = U256::from(21_000) * U256::from(receipt.effective_gas_price) + U256::from(5);
    let balance = provider.get_balance(alice.address).await.unwrap();
    assert_eq!(balance, U256::from(10_000u64) * U256::from(10u64.pow(18)) - paid);

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
