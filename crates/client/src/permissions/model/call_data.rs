use crate::calldata::{Call, EXECUTE_WITH_SESSION_KEY};
use alloy::primitives::{Address, Bytes, Selector, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where in the arguments of `executeWithSessionKey` something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallDataPart {
    /// The two words that every call data has: offset of the calls, session key.
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

/// Call data that the plugin does not take for a call of `executeWithSessionKey`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CallDataError {
    /// It calls another function. Call data shorter than a selector is padded with zeros on the right.
    #[error("the call data calls {0}, not executeWithSessionKey")]
    OtherFunction(Selector),

    /// An offset or a length leads out of the arguments; backward offsets do.
    #[error("{0} is not inside the call data")]
    OutOfBounds(CallDataPart),

    /// A word that should hold an address has more bits set than an address has.
    #[error("{0} is not an address")]
    DirtyAddress(CallDataPart),
}

/// Decodes call data of `executeWithSessionKey` exactly as the plugin does, in validation and in execution: what this takes,
/// the plugin takes, with the same meaning, and nothing else.
///
/// Offsets must point forward, and what they lead to must lie inside. They need not be canonical: parts may overlap, be
/// shared between calls, or be followed by more data. The data of the calls is not copied, so that crafted call data of many
/// overlapping calls takes no more memory than its length suggests.
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
    let offset = inside(word(&arguments, 0), 32, arguments.len()).ok_or_else(outside)?;
    let length = word(&arguments, offset);
    // Offsets of calls count from here on.
    let calls = arguments.slice(offset + 32..);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= calls.len() / 32)
        .ok_or_else(outside)?;
    let calls = (0..length)
        .map(|index| decode_call(&calls, index))
        .collect::<Result<_, _>>()?;
    Ok((calls, session_key))
}

fn decode_call(calls: &Bytes, index: usize) -> Result<Call, CallDataError> {
    // Three words: target, value, offset of the data from the first of them.
    let offset = inside(word(calls, 32 * index), 96, calls.len())
        .ok_or(CallDataError::OutOfBounds(CallDataPart::Call(index)))?;
    let call = calls.slice(offset..);
    let target = address(&call, 0, CallDataPart::Target(index))?;

    let outside = || CallDataError::OutOfBounds(CallDataPart::Data(index));
    let offset = inside(word(&call, 64), 32, call.len()).ok_or_else(outside)?;
    let start = offset + 32;
    let length = usize::try_from(word(&call, offset))
        .ok()
        .filter(|length| *length <= call.len() - start)
        .ok_or_else(outside)?;
    Ok(Call {
        target,
        value: word(&call, 32),
        data: call.slice(start..start + length),
    })
}

/// The offset, if `need` bytes from there on are inside `size` bytes.
fn inside(offset: U256, need: usize, size: usize) -> Option<usize> {
    let offset = usize::try_from(offset).ok()?;
    (offset <= size.checked_sub(need)?).then_some(offset)
}

/// The word at a position that is known to be inside.
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
