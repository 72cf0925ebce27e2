//! The decoder of `executeWithSessionKey` never panics. Decoded calls, encoded again, decode to
//! the same calls.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_key_client::{
    alloy::primitives::Bytes,
    permissions::{
        EXECUTE_WITH_SESSION_KEY, execute_with_session_key, model::decode_execute_with_session_key,
    },
};

fuzz_target!(|data: &[u8]| {
    // Input after a byte 0xff is complete call data; any other input is the arguments.
    let call_data: Bytes = match data.split_first() {
        Some((0xff, call_data)) => Bytes::copy_from_slice(call_data),
        _ => [&EXECUTE_WITH_SESSION_KEY[..], data].concat().into(),
    };
    let Ok((calls, session_key)) = decode_execute_with_session_key(&call_data) else {
        return;
    };
    let size: usize = calls.iter().map(|call| call.data.len()).sum();
    // Parts may overlap, so few bytes can encode many.
    if size < 1 << 20 && calls.len() < 1 << 12 {
        let encoded = execute_with_session_key(&calls, session_key);
        assert_eq!(
            decode_execute_with_session_key(&encoded),
            Ok((calls, session_key))
        );
    }
});
