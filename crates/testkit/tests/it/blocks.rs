//! Time, snapshots, history.

use alloy::{
    eips::BlockNumberOrTag,
    hex,
    primitives::{Address, U256, address},
    rpc::types::{TransactionRequest, state::StateOverridesBuilder},
};
use session_key_testkit::{CallOptions, Chain, ChainConfig, ChainError, MAX_BASE_FEE, dev_accounts};

const CONTRACT: Address = address!("0x000000000000000000000000000000000000c0de");

/// Stores the first word of its input in slot 0; without input, returns slot 0.
const STORE: [u8; 19] = hex!("3615600a575f355f55005b5f545f5260205ff3");

/// Returns block number, timestamp and base fee.
const ENVIRONMENT: [u8; 15] = hex!("435f5242602052486040526060" "5ff3");

fn store(chain: &mut Chain, value: u64) {
    let request = TransactionRequest::default()
        .from(dev_accounts()[0].address)
        .to(CONTRACT)
        .input(U256::from(value).to_be_bytes_vec().into());
    chain.send(request).unwrap().ok().unwrap();
}

fn read() -> TransactionRequest {
    TransactionRequest::default().to(CONTRACT)
}

fn word(bytes: &[u8], index: usize) -> U256 {
    U256::from_be_slice(&bytes[32 * index..][..32])
}

#[test]
fn calls_see_the_state_of_the_block_they_name() {
    let mut chain = Chain::default();
    chain.set_code(CONTRACT, STORE).unwrap();
    for value in 1..=3 {
        store(&mut chain, value * 11);
    }
    for (block, value) in [(0, 0), (1, 11), (2, 22), (3, 33)] {
        let output = chain.call_with(&read(), &CallOptions::at(block)).unwrap();
        assert_eq!(word(&output, 0), value, "at block {block}");
    }
    assert_eq!(word(&chain.call(&read()).unwrap(), 0), 33);
    let error = chain.call_with(&read(), &CallOptions::at(4)).unwrap_err();
    assert_eq!(
        error,
        ChainError::UnknownBlock {
            asked: 4.into(),
            latest: 3
        }
    );
}

#[test]
fn calls_see_number_time_and_base_fee_of_their_block() {
    let config = ChainConfig {
        genesis_timestamp: 1_000,
        block_interval: 12,
        ..Default::default()
    };
    let mut chain = Chain::new(config);
    chain.set_code(CONTRACT, ENVIRONMENT).unwrap();
    chain.mine();
    chain.increase_time(100);
    let at = |options: &CallOptions| {
        let output = chain.call_with(&read(), options).unwrap();
        [word(&output, 0), word(&output, 1), word(&output, 2)].map(|word| word.to::<u64>())
    };
    assert_eq!(at(&CallOptions::at(0)), [0, 1_000, 1_000_000_000]);
    assert_eq!(at(&CallOptions::default()), [1, 1_012, 875_000_000]);
    assert_eq!(at(&CallOptions::pending()), [2, 1_124, 765_625_000]);
    let mut options = CallOptions::at(BlockNumberOrTag::Earliest);
    options.block_overrides.time = Some(7);
    options.block_overrides.number = Some(U256::from(8));
    options.block_overrides.base_fee = Some(U256::from(9));
    assert_eq!(at(&options), [8, 7, 9]);
}

#[test]
fn state_overrides_last_for_one_call() {
    let mut chain = Chain::default();
    chain.set_code(CONTRACT, STORE).unwrap();
    store(&mut chain, 5);
    let slot = U256::ZERO.into();
    let with = |state| CallOptions {
        state,
        ..Default::default()
    };
    let diff = StateOverridesBuilder::default().with_state_diff(CONTRACT, [(slot, U256::from(6).into())]);
    assert_eq!(
        word(&chain.call_with(&read(), &with(diff.build())).unwrap(), 0),
        6
    );
    let cleared = StateOverridesBuilder::default().with_state(CONTRACT, []);
    assert_eq!(
        word(&chain.call_with(&read(), &with(cleared.build())).unwrap(), 0),
        0
    );
    let code = StateOverridesBuilder::default().with_code(CONTRACT, ENVIRONMENT);
    assert_eq!(
        word(&chain.call_with(&read(), &with(code.build())).unwrap(), 0),
        1
    );
    assert_eq!(word(&chain.call(&read()).unwrap(), 0), 5);
}

#[test]
fn revert_restores_state_blocks_and_clock() {
    let mut chain = Chain::default();
    chain.set_code(CONTRACT, STORE).unwrap();
    store(&mut chain, 1);
    chain.increase_time(50);
    let next = chain.next_timestamp();
    let before = chain.block_at(1.into());
    let snapshot = chain.snapshot();
    let later = chain.snapshot();
    store(&mut chain, 2);
    chain.set_balance(CONTRACT, U256::from(9));
    let transaction = chain
        .block_at(2.into())
        .unwrap()
        .transactions
        .hashes()
        .next()
        .unwrap();
    assert!(chain.receipt(transaction).is_some());

    chain.revert(snapshot).unwrap();
    assert_eq!(word(&chain.call(&read()).unwrap(), 0), 1);
    assert_eq!(chain.balance(CONTRACT), 0);
    assert_eq!(chain.block_number(), 1);
    assert_eq!(chain.block_at(1.into()), before);
    assert_eq!(chain.next_timestamp(), next);
    assert_eq!(chain.receipt(transaction), None);
    // Another transaction at the same height does not replace it.
    store(&mut chain, 3);
    assert_eq!(chain.receipt(transaction), None);
    assert_eq!(chain.revert(snapshot), Err(ChainError::UnknownSnapshot(snapshot)));
    assert_eq!(chain.revert(later), Err(ChainError::UnknownSnapshot(later)));
}

#[test]
fn revert_restores_the_settings_of_the_next_block() {
    let mut chain = Chain::default();
    let timestamp = chain.timestamp() + 500;
    chain.set_next_timestamp(timestamp).unwrap();
    chain.set_next_base_fee(77);
    let snapshot = chain.snapshot();
    chain.mine();
    assert_eq!(
        (chain.next_timestamp(), chain.next_base_fee()),
        (timestamp + 1, 68)
    );
    chain.revert(snapshot).unwrap();
    assert_eq!((chain.next_timestamp(), chain.next_base_fee()), (timestamp, 77));
}

#[test]
fn chains_with_the_same_history_are_identical() {
    let run = || {
        let mut chain = Chain::default();
        chain.set_code(CONTRACT, STORE).unwrap();
        store(&mut chain, 1);
        chain.increase_time(10);
        store(&mut chain, 2);
        chain.block_at(2.into())
    };
    assert_eq!(run(), run());
}

#[test]
fn time_only_moves_forward() {
    let mut chain = Chain::default();
    let latest = chain.timestamp();
    assert_eq!(
        chain.set_next_timestamp(latest),
        Err(ChainError::TimestampNotIncreasing {
            asked: latest,
            latest
        })
    );
    chain.mine_at(latest + 1000).unwrap();
    assert_eq!(chain.timestamp(), latest + 1000);
    chain.mine();
    assert_eq!(chain.timestamp(), latest + 1001);
}

#[test]
fn the_base_fee_is_bounded() {
    let mut chain = Chain::default();
    // JUMPDEST PUSH0 JUMP: consumes all of its gas.
    chain.set_code(CONTRACT, [0x5b, 0x5f, 0x56]).unwrap();
    chain.set_next_base_fee(u64::MAX);
    let request = TransactionRequest::default()
        .from(dev_accounts()[0].address)
        .to(CONTRACT)
        .gas_limit(29_000_000);
    chain.send(request).unwrap();
    assert_eq!(chain.next_base_fee(), MAX_BASE_FEE);
}
