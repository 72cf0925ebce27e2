//! What an operation makes the account do, as its hooks read it.

use super::{EXECUTE, EXECUTE_BATCH, PERFORM_CREATE};
use crate::Call;
use alloy_primitives::{Bytes, Selector, U256};
use alloy_sol_types::SolCall;
use session_key_bindings::IAccountV08;

/// A call of the account's, of one of its functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// `execute`.
    Execute(Call),
    /// `executeBatch`.
    Batch(Vec<Call>),
    /// `performCreate` with this value.
    Create(U256),
    /// Another function.
    Other,
    /// Arguments that are not encoded as compilers and clients do it: decoders need not agree about them.
    Unusual,
}

impl Inner {
    /// Reads call data that have a selector.
    pub(super) fn read(selector: Selector, data: &Bytes) -> Self {
        match selector {
            EXECUTE => decode::<IAccountV08::executeCall>(data).map_or(Self::Unusual, |call| {
                Self::Execute(Call {
                    target: call.target,
                    value: call.value,
                    data: call.data,
                })
            }),
            EXECUTE_BATCH => decode::<IAccountV08::executeBatchCall>(data).map_or(Self::Unusual, |batch| {
                let calls = batch.calls.into_iter().map(|call| Call {
                    target: call.target,
                    value: call.value,
                    data: call.data,
                });
                Self::Batch(calls.collect())
            }),
            PERFORM_CREATE => decode::<IAccountV08::performCreateCall>(data)
                .map_or(Self::Unusual, |create| Self::Create(create.value)),
            _ => Self::Other,
        }
    }

    /// The calls of other contracts.
    pub(super) fn calls(&self) -> &[Call] {
        match self {
            Self::Execute(call) => std::slice::from_ref(call),
            Self::Batch(calls) => calls,
            Self::Create(_) | Self::Other | Self::Unusual => &[],
        }
    }

    /// What is sent; `None` if the sum overflows.
    pub(super) fn value(&self) -> Option<U256> {
        match self {
            Self::Create(value) => Some(*value),
            inner => inner
                .calls()
                .iter()
                .try_fold(U256::ZERO, |sum, call| sum.checked_add(call.value)),
        }
    }
}

/// Decodes what is in canonical form; more data may follow.
fn decode<C: SolCall>(data: &Bytes) -> Option<C> {
    let call = C::abi_decode_validate(data).ok()?;
    data.starts_with(&call.abi_encode()).then_some(call)
}

/// Call data of the account: `execute` for one call, `executeBatch` for several.
pub(super) fn encode(calls: &[Call]) -> Bytes {
    match calls {
        [call] => IAccountV08::executeCall {
            target: call.target,
            value: call.value,
            data: call.data.clone(),
        }
        .abi_encode(),
        calls => IAccountV08::executeBatchCall {
            calls: calls
                .iter()
                .map(|call| session_key_bindings::Call {
                    target: call.target,
                    value: call.value,
                    data: call.data.clone(),
                })
                .collect(),
        }
        .abi_encode(),
    }
    .into()
}
