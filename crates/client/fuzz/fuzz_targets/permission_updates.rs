//! The decoder of permission updates never panics. Accepted updates encode to the same bytes, except for
//! trailing data, and the model can apply them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_key_client::{
    alloy::primitives::{Address, Bytes},
    permissions::{PermissionUpdates, model::KeyState},
};

fuzz_target!(|data: &[u8]| {
    // One byte of length precedes each update.
    let mut updates = Vec::new();
    let mut rest = data;
    while let Some((length, bytes)) = rest.split_first() {
        let (update, more) = bytes.split_at(bytes.len().min((*length).into()));
        updates.push(Bytes::copy_from_slice(update));
        rest = more;
    }
    let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
    let before = state.clone();
    let applied = state.apply_encoded(&updates, 1_800_000_000);
    match PermissionUpdates::decode(&updates) {
        Ok(decoded) => {
            applied.expect("what is decoded can be applied");
            let encoded = decoded.encode_unchecked().expect("what is decoded has an encoding");
            assert_eq!(encoded.len(), updates.len());
            for (encoded, update) in encoded.iter().zip(&updates) {
                assert!(update.starts_with(encoded));
            }
        }
        Err(error) => {
            assert_eq!(applied, Err(error));
            assert_eq!(state, before);
        }
    }
});
