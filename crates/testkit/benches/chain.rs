//! Benchmarks of the testkit: `cargo bench -p session-key-testkit`.

use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use session_key_bindings::{ENTRY_POINT, IERC165, interface_id};
use session_key_testkit::{BundlerOptions, Chain, Stack, TestToken, Testkit, dev_accounts};

// The setup shared with the tests; the benchmarks use part of it.
#[allow(dead_code)]
#[path = "../tests/it/session.rs"]
mod session;

const HOLDER: Address = address!("0x0000000000000000000000000000000000000a11");

fn main() {
    divan::main();
}

fn ready() -> (Chain, Stack) {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).expect("the stack deploys");
    stack
        .mint(&mut chain, HOLDER, U256::MAX >> 1)
        .expect("the token mints");
    (chain, stack)
}

/// Deploys EntryPoint, plugins, account implementation, factory, token and paymaster on a new chain.
#[divan::bench]
fn bootstrap() -> Stack {
    Stack::deploy(&mut Chain::default()).expect("the stack deploys")
}

/// Copies a chain that has the stack.
#[divan::bench]
fn copy_of_a_ready_chain(bencher: divan::Bencher<'_, '_>) {
    let (chain, _) = ready();
    bencher.bench_local(|| chain.clone());
}

#[divan::bench]
fn view_call(bencher: divan::Bencher<'_, '_>) {
    let (chain, stack) = ready();
    let call = IERC165::supportsInterfaceCall {
        interfaceId: interface_id::IPLUGIN,
    };
    bencher.bench_local(|| chain.read(HOLDER, stack.session_key_plugin, &call));
}

/// Sends an ERC-20 transfer, mined in its own block.
#[divan::bench]
fn token_transfer(bencher: divan::Bencher<'_, '_>) {
    let (mut chain, stack) = ready();
    let call = TestToken::transferCall {
        to: Address::ZERO,
        amount: U256::from(1),
    };
    bencher.bench_local(|| chain.transact(HOLDER, stack.token, &call));
}

/// Sends it between a snapshot and its revert, as a test case does.
#[divan::bench]
fn token_transfer_and_revert(bencher: divan::Bencher<'_, '_>) {
    let (mut chain, stack) = ready();
    let call = TestToken::transferCall {
        to: Address::ZERO,
        amount: U256::from(1),
    };
    bencher.bench_local(|| {
        let snapshot = chain.snapshot();
        chain
            .transact(HOLDER, stack.token, &call)
            .expect("the transfer succeeds");
        chain.revert(snapshot).expect("the snapshot is there");
    });
}

/// Sends a session key's token transfer through the EntryPoint, signed in advance, between a snapshot and its
/// revert.
#[divan::bench]
fn user_operation_and_revert(bencher: divan::Bencher<'_, '_>) {
    let mut session = session::Session::new();
    let bundle = session.transfer(HOLDER, 1);
    bencher.bench_local(|| {
        let snapshot = session.chain.snapshot();
        session
            .chain
            .send(bundle.clone())
            .expect("it is sent")
            .ok()
            .expect("it succeeds");
        session.chain.revert(snapshot).expect("the snapshot is there");
    });
}

/// Sends the same operation through the bundler: simulation, tracing by the rules of ERC-7562, bundle, block
/// and receipt.
#[divan::bench]
fn user_operation_through_the_bundler(bencher: divan::Bencher<'_, '_>) {
    through_the_bundler(bencher, BundlerOptions::default());
}

/// The same without the rules.
#[divan::bench]
fn user_operation_through_the_bundler_untraced(bencher: divan::Bencher<'_, '_>) {
    let options = BundlerOptions {
        rules: None,
        ..Default::default()
    };
    through_the_bundler(bencher, options);
}

fn through_the_bundler(bencher: divan::Bencher<'_, '_>, options: BundlerOptions) {
    let session = session::Session::new();
    let operation = session.sign(session.unsigned_transfer(HOLDER, 1));
    let hash = session.hash(&operation);
    let testkit = Testkit::from(session.chain);
    let client = testkit
        .bundler(BundlerOptions {
            auto: true,
            ..options
        })
        .client();
    let runtime = runtime();
    let snapshot = || testkit.chain().snapshot();
    bencher.bench_local(|| {
        let before = snapshot();
        let receipt = runtime.block_on(async {
            let params = (wire(&operation), ENTRY_POINT);
            let sent: B256 = client
                .request("eth_sendUserOperation", params)
                .await
                .expect("it is taken");
            assert_eq!(sent, hash);
            client
                .request::<_, serde_json::Value>("eth_getUserOperationReceipt", (hash,))
                .await
                .expect("it is in a block")
        });
        testkit.chain().revert(before).expect("the snapshot is there");
        receipt
    });
}

fn wire(operation: &session_key_bindings::UserOperation) -> serde_json::Value {
    serde_json::json!({
        "sender": operation.sender,
        "nonce": operation.nonce,
        "initCode": operation.initCode,
        "callData": operation.callData,
        "callGasLimit": operation.callGasLimit,
        "verificationGasLimit": operation.verificationGasLimit,
        "preVerificationGas": operation.preVerificationGas,
        "maxFeePerGas": operation.maxFeePerGas,
        "maxPriorityFeePerGas": operation.maxPriorityFeePerGas,
        "paymasterAndData": operation.paymasterAndData,
        "signature": operation.signature,
    })
}

/// Makes an `eth_call` through the provider.
#[divan::bench]
fn provider_call(bencher: divan::Bencher<'_, '_>) {
    let (chain, stack) = ready();
    let provider = Testkit::from(chain).provider();
    let runtime = runtime();
    let request = TransactionRequest::default().to(stack.token);
    let request = request.input(Bytes::from_static(&[0x18, 0x16, 0x0d, 0xdd]).into());
    bencher.bench_local(|| runtime.block_on(async { provider.call(request.clone()).await }));
}

/// Sends a transfer through the provider: fills in nonce, gas and fees, signs, sends, and gets the receipt.
#[divan::bench]
fn provider_transfer(bencher: divan::Bencher<'_, '_>) {
    let testkit = Testkit::default();
    let provider = testkit.provider_with_signer(dev_accounts()[0].signer());
    let runtime = runtime();
    let request = TransactionRequest::default().to(HOLDER).value(U256::from(1));
    bencher.bench_local(|| {
        runtime.block_on(async {
            let pending = provider
                .send_transaction(request.clone())
                .await
                .expect("it is sent");
            pending.get_receipt().await.expect("it is mined")
        })
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}
