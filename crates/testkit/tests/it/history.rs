//! The history that each block writes into the state: EIP-2935 and EIP-4788.

use alloy::{
    eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS},
    primitives::{Address, B256, U256},
    rpc::types::TransactionRequest,
    sol_types::SolValue,
};
use session_key_testkit::{CallOptions, Chain, ChainError};

fn ask(chain: &Chain, contract: Address, about: u64, at: &CallOptions) -> Result<B256, ChainError> {
    let request = TransactionRequest::default()
        .to(contract)
        .input(U256::from(about).abi_encode().into());
    chain.call_with(&request, at).map(|word| B256::from_slice(&word))
}

fn latest() -> CallOptions {
    CallOptions::default()
}

#[test]
fn the_history_contract_returns_hashes_of_past_blocks() {
    let mut chain = Chain::default();
    for _ in 0..5 {
        chain.mine();
    }
    let hash = |number: u64| chain.block_at(number.into()).unwrap().header.hash;
    for number in 0..5 {
        assert_eq!(
            ask(&chain, HISTORY_STORAGE_ADDRESS, number, &latest()),
            Ok(hash(number))
        );
    }
    // Neither its own hash nor later ones.
    for number in [5, 6] {
        let answer = ask(&chain, HISTORY_STORAGE_ADDRESS, number, &latest());
        assert!(matches!(answer, Err(ChainError::Reverted { .. })), "{answer:?}");
    }
    // The next block knows the latest; past blocks know what they knew then.
    assert_eq!(
        ask(&chain, HISTORY_STORAGE_ADDRESS, 5, &CallOptions::pending()),
        Ok(hash(5))
    );
    assert_eq!(
        ask(&chain, HISTORY_STORAGE_ADDRESS, 1, &CallOptions::at(2)),
        Ok(hash(1))
    );
    let early = ask(&chain, HISTORY_STORAGE_ADDRESS, 2, &CallOptions::at(2));
    assert!(matches!(early, Err(ChainError::Reverted { .. })), "{early:?}");
}

#[test]
fn the_history_contract_forgets_after_8191_blocks() {
    let mut chain = Chain::default();
    for _ in 0..8_193 {
        chain.mine();
    }
    let oldest = chain.block_at(2.into()).unwrap().header.hash;
    assert_eq!(ask(&chain, HISTORY_STORAGE_ADDRESS, 2, &latest()), Ok(oldest));
    let forgotten = ask(&chain, HISTORY_STORAGE_ADDRESS, 1, &latest());
    assert!(
        matches!(forgotten, Err(ChainError::Reverted { .. })),
        "{forgotten:?}"
    );
}

#[test]
fn the_beacon_roots_contract_returns_the_root_of_each_block() {
    let mut chain = Chain::default();
    for seconds in [1, 12, 300] {
        chain.mine_at(chain.timestamp() + seconds).unwrap();
    }
    for number in 1..=3u64 {
        let header = chain.block_at(number.into()).unwrap().header;
        let root = header.parent_beacon_block_root.unwrap();
        assert_ne!(root, B256::ZERO);
        assert_eq!(
            ask(&chain, BEACON_ROOTS_ADDRESS, header.timestamp, &latest()),
            Ok(root)
        );
    }
    // A time without a block.
    let nothing = ask(&chain, BEACON_ROOTS_ADDRESS, chain.timestamp() - 1, &latest());
    assert!(matches!(nothing, Err(ChainError::Reverted { .. })), "{nothing:?}");
    let roots = [1u64, 2, 3].map(|number| {
        let header = chain.block_at(number.into()).unwrap().header;
        header.parent_beacon_block_root
    });
    assert!(roots[0] != roots[1] && roots[1] != roots[2]);
}

#[test]
fn a_refused_transaction_writes_nothing() {
    let mut chain = Chain::default();
    let broke = TransactionRequest::default()
        .from(Address::repeat_byte(0x11))
        .to(Address::ZERO)
        .value(U256::from(1));
    assert!(matches!(
        chain.send(broke),
        Err(ChainError::InsufficientFunds { .. })
    ));
    assert_eq!(chain.storage(HISTORY_STORAGE_ADDRESS, U256::ZERO), 0);
    let slot = U256::from(chain.next_timestamp() % 8191);
    assert_eq!(chain.storage(BEACON_ROOTS_ADDRESS, slot), 0);
}

/// As the EIPs specify for chains without the contracts.
#[test]
fn nothing_is_written_without_the_contracts() {
    let mut chain = Chain::default();
    for contract in [HISTORY_STORAGE_ADDRESS, BEACON_ROOTS_ADDRESS] {
        chain.set_code(contract, []).unwrap();
    }
    chain.mine();
    assert_eq!(chain.storage(HISTORY_STORAGE_ADDRESS, U256::ZERO), 0);
    let slot = U256::from(chain.timestamp() % 8191);
    assert_eq!(chain.storage(BEACON_ROOTS_ADDRESS, slot), 0);
}
