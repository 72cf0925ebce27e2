//! Decoding revert data never panics or loses a byte, and the result can always be displayed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use session_key_client::revert::Revert;

fuzz_target!(|data: &[u8]| {
    let revert = Revert::decode(data);
    assert_eq!(*revert.to_bytes(), *data);
    let _ = revert.to_string();
    let _ = revert.root().to_string();
});
