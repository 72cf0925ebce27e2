//! Benchmarks the client's work between choosing the calls and sending: `cargo bench -p session-key-client`,
//! with `--features secp256k1` for signing in C. Uses a list of ten updates and an operation with one call.

use session_key_bindings::{ENTRY_POINT, ENTRY_POINT_V07};
use session_key_client::{
    Call, NewSessionKey, SessionKeySigner, UserOperation,
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256},
        signers::Signer as _,
    },
    calldata,
    permissions::{
        EntryPointVersion, Permissions, SpendLimit, ValidationNonceKey, execute_with_session_key, nonce,
        session_key_nonce_key,
    },
    signer::{MemoryStorage, PrivateKey, sign_user_operation},
    v08::{self, SESSION_KEY_ENTITY_ID},
};

fn main() {
    divan::main();
}

fn permissions() -> Permissions {
    let [first, second, token] = [1, 2, 3].map(Address::repeat_byte);
    let selector = |byte| Selector::repeat_byte(byte);
    Permissions::new()
        .contract_functions(first, [selector(1), selector(2)])
        .contract_functions(second, [selector(3)])
        .valid_until(2_000_000_000)
        .native_token_spend_limit(SpendLimit::per(U256::from(1_000_000), 86_400))
        .erc20_spend_limit(token, SpendLimit::per(U256::from(1_000), 86_400))
        .gas_spend_limit(SpendLimit::per(U256::from(50_000), 86_400))
}

/// Builds a permission set of ten updates and encodes it into the call data of `addSessionKey`.
#[divan::bench]
fn add_session_key_from_permissions() -> Bytes {
    let permissions = divan::black_box(permissions()).encode().unwrap();
    let key = Address::repeat_byte(9);
    calldata::add_session_key(&NewSessionKey {
        key,
        tag: B256::ZERO,
        permissions,
    })
}

/// Encodes the call data of `addSessionKey` from ten encoded updates.
#[divan::bench]
fn add_session_key_call_data(bencher: divan::Bencher<'_, '_>) {
    let permissions = permissions().encode().unwrap();
    assert_eq!(permissions.len(), 10);
    let new = NewSessionKey {
        key: Address::repeat_byte(9),
        tag: B256::ZERO,
        permissions,
    };
    bencher.bench_local(|| calldata::add_session_key(divan::black_box(&new)));
}

fn operation(session_key: Address) -> UserOperation {
    let call = Call::new(Address::repeat_byte(7), vec![0xab; 36]).with_value(U256::from(123));
    UserOperation {
        sender: Address::repeat_byte(1),
        nonce: nonce(session_key_nonce_key(session_key), 5),
        call_data: execute_with_session_key(&[call], session_key),
        call_gas_limit: U256::from(300_000),
        verification_gas_limit: U256::from(250_000),
        pre_verification_gas: U256::from(60_000),
        max_fee_per_gas: U256::from(3_000_000_000u64),
        max_priority_fee_per_gas: U256::from(1_000_000_000u64),
        ..Default::default()
    }
}

/// The same on an ERC-6900 v0.8 account: EntryPoint v0.7 hashes the packed form, and the nonce
/// selects the module.
fn v08_operation(session_key: Address) -> UserOperation {
    let nonce_key = ValidationNonceKey::of_session_key(session_key, SESSION_KEY_ENTITY_ID).nonce_key();
    UserOperation {
        nonce: nonce(nonce_key, 5),
        version: EntryPointVersion::V07,
        ..operation(session_key)
    }
}

/// Encodes `executeWithSessionKey` and hashes the operation.
#[divan::bench]
fn encode_and_hash() -> B256 {
    operation(divan::black_box(Address::repeat_byte(9))).hash(ENTRY_POINT, 1)
}

/// The same on a v0.8 account.
#[divan::bench]
fn v08_encode_and_hash() -> B256 {
    v08_operation(divan::black_box(Address::repeat_byte(9))).hash(ENTRY_POINT_V07, 1)
}

fn signer() -> SessionKeySigner {
    let key = PrivateKey::from_bytes(&[1; 32]).unwrap();
    SessionKeySigner::open(MemoryStorage::new(key)).unwrap()
}

/// Encodes, hashes and signs like the client.
#[divan::bench]
fn encode_hash_and_sign(bencher: divan::Bencher<'_, '_>) {
    let signer = signer();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bencher.bench_local(|| {
        let mut operation = operation(divan::black_box(signer.address()));
        let signed = sign_user_operation(&mut operation, &signer, ENTRY_POINT, 1);
        runtime.block_on(signed).unwrap();
        operation
    });
}

/// The same on a v0.8 account.
#[divan::bench]
fn v08_encode_hash_and_sign(bencher: divan::Bencher<'_, '_>) {
    let signer = signer();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bencher.bench_local(|| {
        let mut operation = v08_operation(divan::black_box(signer.address()));
        let signed = sign_user_operation(&mut operation, &signer, ENTRY_POINT_V07, 1);
        runtime.block_on(signed).unwrap();
        operation.signature = v08::signature::session_key(&operation.signature);
        operation
    });
}

/// Signs only; every client needs at least this.
#[divan::bench]
fn sign_hash(bencher: divan::Bencher<'_, '_>) {
    let signer = signer();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let hash = B256::repeat_byte(7);
    bencher.bench_local(|| {
        runtime
            .block_on(signer.sign_hash(divan::black_box(&hash)))
            .unwrap()
    });
}
