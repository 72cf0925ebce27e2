//! Requests to the testkit, and signed transactions.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope, TypedTransaction},
    eips::eip2718::Encodable2718,
    primitives::{Address, Bytes, TxKind, U256, address},
    rpc::client::RpcClient,
    signers::SignerSync,
};
use serde_json::Value;
use session_key_testkit::{DevAccount, Testkit};

pub(crate) const RECIPIENT: Address = address!("0x000000000000000000000000000000000000c0de");

/// Sends a request that must fail, and returns error code and message.
pub(crate) async fn failure(testkit: &Testkit, method: &'static str, params: Value) -> (i64, String) {
    failure_of(&testkit.client(), method, params).await
}

/// Sends a request that must succeed, and returns the result.
pub(crate) async fn request(testkit: &Testkit, method: &'static str, params: Value) -> Value {
    answer_of(&testkit.client(), method, params).await
}

pub(crate) async fn failure_of(client: &RpcClient, method: &'static str, params: Value) -> (i64, String) {
    let answer = client.request::<_, Value>(method, params).await;
    let error = answer.expect_err("an error");
    let error = error.as_error_resp().expect("an error answer");
    (error.code, error.message.to_string())
}

pub(crate) async fn answer_of(client: &RpcClient, method: &'static str, params: Value) -> Value {
    let answer = client.request::<_, Value>(method, params.clone()).await;
    answer.unwrap_or_else(|error| panic!("{method} {params}: {error}"))
}

pub(crate) fn signed(account: DevAccount, transaction: impl Into<TypedTransaction>) -> Bytes {
    let transaction = transaction.into();
    let signature = account
        .signer()
        .sign_hash_sync(&transaction.signature_hash())
        .unwrap();
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

pub(crate) fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(1),
        ..Default::default()
    }
}
