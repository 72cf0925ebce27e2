//! A chain in a file.

use serde_json::{Value, json};
use session_key_testkit::{Chain, ChainError};

#[test]
fn a_chain_at_the_end_of_time_is_saved_and_goes_on() {
    let mut chain = Chain::default();
    chain.mine_at(u64::MAX).unwrap();
    chain.mine();
    let mut loaded = Chain::load(&chain.save().unwrap()).unwrap();
    assert_eq!(loaded.timestamp(), u64::MAX);
    loaded.mine();
    assert_eq!(loaded.block_number(), 3);
    assert!(matches!(
        loaded.set_next_timestamp(u64::MAX),
        Err(ChainError::TimestampNotIncreasing { .. })
    ));
}

#[test]
fn a_block_that_uses_more_gas_than_it_has_is_damage() {
    let mut chain = Chain::default();
    chain.mine();
    let saved: Value = serde_json::from_str(&chain.save().unwrap()).unwrap();
    for (gas_used, is_damaged) in [
        ("0x1c9c380", false),
        ("0x1c9c381", true),
        ("0xffffffffffffffff", true),
    ] {
        let mut saved = saved.clone();
        let header = &mut saved["blocks"][1]["header"];
        header["gasUsed"] = json!(gas_used);
        header["baseFeePerGas"] = json!("0x7fffffffffffffff");
        match Chain::load(&saved.to_string()) {
            Ok(mut chain) => {
                assert!(!is_damaged, "{gas_used}");
                // The next base fee depends on it.
                chain.mine();
                assert_eq!(chain.block_number(), 2);
            }
            Err(error) => {
                assert!(is_damaged, "{gas_used}: {error}");
                assert!(error.to_string().contains("out of bounds"), "{error}");
            }
        }
    }
}
