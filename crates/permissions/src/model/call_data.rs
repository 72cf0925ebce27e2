//! Decoder of `executeWithSessionKey`.

use crate::{Call, EXECUTE_WITH_SESSION_KEY};
use alloy_primitives::{Address, Bytes, Selector, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The malformed part of the arguments of `executeWithSessionKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallDataPart {
    /// The first two words of the arguments: offset of the calls, session key.
    Head,
    /// The session key.
    SessionKey,
    /// The array of calls.
    Calls,
    /// The call at this index.
    Call(usize),
    /// The target of the call at this index.
    Target(usize),
    /// The data of the call at this index.
    Data(usize),
}

impl fmt::Display for CallDataPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("the head"),
            Self::SessionKey => f.write_str("the session key"),
            Self::Calls => f.write_str("the array of calls"),
            Self::Call(index) => write!(f, "call {index}"),
            Self::Target(index) => write!(f, "the target of call {index}"),
            Self::Data(index) => write!(f, "the data of call {index}"),
        }
    }
}

/// Call data that the plugin does not accept as a call of `executeWithSessionKey`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CallDataError {
    /// It calls another function. Call data shorter than a selector is padded with zeros on the right.
    #[error("the call data calls {0}, not executeWithSessionKey")]
    OtherFunction(Selector),

    /// An offset or a length points outside the arguments, or an offset points into or before the words that
    /// it stands among.
    #[error("{0} is not at a valid place in the call data")]
    OutOfBounds(CallDataPart),

    /// A word that should hold an address has more bits set than an address has.
    #[error("{0} is not an address")]
    DirtyAddress(CallDataPart),
}

/// Decodes call data of `executeWithSessionKey` exactly as the plugin does, in validation and in execution:
/// accepts what the plugin accepts, with the same meaning, and nothing else.
///
/// Offsets must point past the words that they stand among, and their targets must lie inside the arguments.
/// They need not be canonical: parts may overlap, be shared between calls, or be followed by more data. The
/// data of the calls is not copied, so crafted call data with many overlapping calls takes no more memory
/// than its length suggests.
pub fn decode_execute_with_session_key(call_data: &Bytes) -> Result<(Vec<Call>, Address), CallDataError> {
    let selector = Selector::right_padding_from(&call_data[..call_data.len().min(4)]);
    if selector != EXECUTE_WITH_SESSION_KEY {
        return Err(CallDataError::OtherFunction(selector));
    }
    let arguments = call_data.slice(4..);
    if arguments.len() < 64 {
        return Err(CallDataError::OutOfBounds(CallDataPart::Head));
    }
    let session_key = address(&arguments, 32, CallDataPart::SessionKey)?;

    let outside = || CallDataError::OutOfBounds(CallDataPart::Calls);
    let offset = led_to(&arguments, 0, 64, 32).ok_or_else(outside)?;
    let length = word(&arguments, offset);
    // Offsets of calls count from here on.
    let calls = arguments.slice(offset + 32..);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= calls.len() / 32)
        .ok_or_else(outside)?;
    let calls = (0..length)
        .map(|index| decode_call(&calls, length, index))
        .collect::<Result<_, _>>()?;
    Ok((calls, session_key))
}

fn decode_call(calls: &Bytes, length: usize, index: usize) -> Result<Call, CallDataError> {
    // Three words: target, value, offset of the data from the first of them.
    let offset = led_to(calls, 32 * index, 32 * length, 96)
        .ok_or(CallDataError::OutOfBounds(CallDataPart::Call(index)))?;
    let call = calls.slice(offset..);
    let target = address(&call, 0, CallDataPart::Target(index))?;

    let outside = || CallDataError::OutOfBounds(CallDataPart::Data(index));
    let start = led_to(&call, 64, 96, 32).ok_or_else(outside)? + 32;
    let length = usize::try_from(word(&call, start - 32))
        .ok()
        .filter(|length| *length <= call.len() - start)
        .ok_or_else(outside)?;
    Ok(Call {
        target,
        value: word(&call, 32),
        data: call.slice(start..start + length),
    })
}

/// The offset in the word at `at`, if it points past the first `head` bytes of `data`, to at least `need`
/// bytes.
fn led_to(data: &[u8], at: usize, head: usize, need: usize) -> Option<usize> {
    let offset = usize::try_from(word(data, at)).ok()?;
    (head <= offset && offset <= data.len().checked_sub(need)?).then_some(offset)
}

/// The word at a position, which must be inside.
fn word(data: &[u8], at: usize) -> U256 {
    U256::from_be_slice(&data[at..at + 32])
}

fn address(data: &[u8], at: usize, part: CallDataPart) -> Result<Address, CallDataError> {
    let (padding, address) = data[at..at + 32].split_at(12);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(CallDataError::DirtyAddress(part));
    }
    Ok(Address::from_slice(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute_with_session_key;
    use proptest::{prelude::*, test_runner::RngSeed};

    const KEY: Address = Address::repeat_byte(0x5e);

    /// Call data from words, after the selector.
    fn call_data(words: &[U256]) -> Bytes {
        let mut data = EXECUTE_WITH_SESSION_KEY.to_vec();
        for word in words {
            data.extend(word.to_be_bytes::<32>());
        }
        data.into()
    }

    fn words(numbers: &[u64]) -> Vec<U256> {
        let mut words: Vec<U256> = numbers.iter().copied().map(U256::from).collect();
        words[1] = KEY.into_word().into();
        words
    }

    /// One call: target 0x11, value 7, data of 32 bytes that are the number 0xda.
    const ONE_CALL: [u64; 9] = [64, 0, 1, 32, 0x11, 7, 96, 32, 0xda];

    fn decode(words: &[U256]) -> Result<(Vec<Call>, Address), CallDataError> {
        decode_execute_with_session_key(&call_data(words))
    }

    #[test]
    fn one_call() {
        let (calls, key) = decode(&words(&ONE_CALL)).unwrap();
        assert_eq!(key, KEY);
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].target, Address::with_last_byte(0x11));
        assert_eq!(calls[0].value, U256::from(7));
        assert_eq!(U256::from_be_slice(&calls[0].data), U256::from(0xda));
        assert_eq!(
            execute_with_session_key(&calls, KEY),
            call_data(&words(&ONE_CALL))
        );
    }

    #[test]
    fn every_offset_and_length_is_checked() {
        // Word to change, its value, the part that any other of the values breaks.
        for (at, right, part) in [
            (0, 64, CallDataPart::Calls),
            (2, 1, CallDataPart::Calls),
            (3, 32, CallDataPart::Call(0)),
            (6, 96, CallDataPart::Data(0)),
            (7, 32, CallDataPart::Data(0)),
        ] {
            let mut changed = words(&ONE_CALL);
            assert_eq!(changed[at], U256::from(right));
            let size = 9 * 32;
            for wrong in [
                U256::from(size),
                U256::MAX,
                U256::MAX - U256::from(31),
                U256::from(u64::MAX),
                U256::from(1) << 64,
                U256::from(1) << 255,
            ] {
                changed[at] = wrong;
                assert_eq!(
                    decode(&changed),
                    Err(CallDataError::OutOfBounds(part)),
                    "{at} {wrong}"
                );
            }
        }
        // One byte more of data than there is.
        let mut changed = words(&ONE_CALL);
        changed[7] = U256::from(33);
        assert_eq!(
            decode(&changed),
            Err(CallDataError::OutOfBounds(CallDataPart::Data(0)))
        );
    }

    #[test]
    fn no_offset_points_into_the_words_it_stands_among() {
        // An offset's word, its least value, and the part that a smaller value breaks. All other words are
        // zero, so everything that Solidity would read there is well formed.
        for (at, least, part, others) in [
            (0, 64, CallDataPart::Calls, vec![]),
            (3, 64, CallDataPart::Call(0), vec![(0, 64), (2, 2), (4, 64)]),
            (4, 64, CallDataPart::Call(1), vec![(0, 64), (2, 2), (3, 64)]),
            (6, 96, CallDataPart::Data(0), vec![(0, 64), (2, 1), (3, 32)]),
        ] {
            let mut words = vec![U256::ZERO; 20];
            for (other, value) in others {
                words[other] = U256::from(value);
            }
            // The data of the two calls, where there are two.
            words[7] = U256::from(96);
            for offset in [0, 1, 31, 32, 33, 63, 64, 65, 95, 96]
                .into_iter()
                .filter(|offset| *offset <= least)
            {
                words[at] = U256::from(offset);
                let decoded = decode(&words);
                if offset == least {
                    assert!(decoded.is_ok(), "{at} {decoded:?}");
                } else {
                    assert_eq!(decoded, Err(CallDataError::OutOfBounds(part)), "{at} {offset}");
                }
            }
        }
    }

    #[test]
    fn addresses_have_no_dirty_bits() {
        for (at, part) in [(1, CallDataPart::SessionKey), (4, CallDataPart::Target(0))] {
            for bit in [160, 255] {
                let mut changed = words(&ONE_CALL);
                changed[at] |= U256::from(1) << bit;
                assert_eq!(decode(&changed), Err(CallDataError::DirtyAddress(part)));
            }
        }
    }

    #[test]
    fn calls_may_share_their_words() {
        // Two heads, one call.
        let (calls, _) = decode(&words(&[64, 0, 2, 64, 64, 0x11, 7, 96, 32, 0xda])).unwrap();
        assert_eq!(calls[0], calls[1]);
        assert_eq!(calls[0].data.len(), 32);
        assert_eq!(calls[0].data.as_ptr(), calls[1].data.as_ptr());
    }

    #[test]
    fn the_smallest_call_data_has_no_calls() {
        let words = [U256::from(64), U256::ZERO, U256::ZERO];
        assert_eq!(decode(&words), Ok((Vec::new(), Address::ZERO)));
        let short = call_data(&words);
        assert_eq!(
            decode_execute_with_session_key(&short.slice(..short.len() - 1)),
            Err(CallDataError::OutOfBounds(CallDataPart::Calls))
        );
        assert_eq!(
            decode_execute_with_session_key(&short.slice(..4 + 63)),
            Err(CallDataError::OutOfBounds(CallDataPart::Head))
        );
    }

    #[test]
    fn other_functions_are_named() {
        for data in [&[][..], &[0x31], &[0x31, 0xd9, 0x9c], &[0, 0, 0, 0, 1]] {
            let selector = Selector::right_padding_from(&data[..data.len().min(4)]);
            assert_eq!(
                decode_execute_with_session_key(&Bytes::copy_from_slice(data)),
                Err(CallDataError::OtherFunction(selector))
            );
        }
    }

    proptest! {
        // The same cases every time.
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..Default::default() })]

        #[test]
        fn what_is_encoded_decodes(
            calls in prop::collection::vec((any::<[u8; 20]>(), any::<[u8; 32]>(), any::<Vec<u8>>()), 0..5),
            trailing in any::<Vec<u8>>(),
        ) {
            let calls: Vec<Call> = calls
                .into_iter()
                .map(|(target, value, data)| {
                    Call::new(target.into(), data).with_value(U256::from_be_bytes(value))
                })
                .collect();
            let mut data = execute_with_session_key(&calls, KEY).to_vec();
            data.extend(trailing);
            prop_assert_eq!(decode_execute_with_session_key(&data.into()), Ok((calls, KEY)));
        }

        #[test]
        fn no_call_data_panics(
            numbers in prop::collection::vec(prop_oneof![0..400u64, any::<u64>()], 0..12),
            length in 0..400usize,
        ) {
            let numbers: Vec<U256> = numbers.into_iter().map(U256::from).collect();
            let mut data = call_data(&numbers);
            data.truncate(length);
            let _ = decode_execute_with_session_key(&data);
        }
    }
}
