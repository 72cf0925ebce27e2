//! Error answers in the words of anvil or geth.

use crate::ChainError;
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::U256,
    rpc::json_rpc::ErrorPayload,
};
use revm::context::result::{HaltReason, InvalidTransaction};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

/// JSON-RPC error codes.
pub(crate) mod code {
    /// The call reverted; `data` holds the revert data.
    pub(crate) const EXECUTION_REVERTED: i64 = 3;
    /// EIP-7966; `data` holds the hash.
    pub(crate) const NOT_MINED_IN_TIME: i64 = 4;
    pub(crate) const INVALID_INPUT: i64 = -32000;
    pub(crate) const RESOURCE_NOT_FOUND: i64 = -32001;
    pub(crate) const TRANSACTION_REJECTED: i64 = -32003;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
    pub(crate) const INVALID_PARAMS: i64 = -32602;
    pub(crate) const INTERNAL_ERROR: i64 = -32603;
}

/// A JSON-RPC error.
///
/// ```
/// use session_key_testkit::ErrorAnswer;
///
/// let busy = ErrorAnswer::new(-32005, "rate limit exceeded");
/// assert_eq!(busy.data, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorAnswer {
    /// Error code.
    pub code: i64,
    /// Message.
    pub message: String,
    /// Data, if any.
    pub data: Option<Value>,
}

impl ErrorAnswer {
    /// Creates an error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds data to the error.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self {
            data: Some(data),
            ..self
        }
    }
}

impl From<ErrorAnswer> for ErrorPayload {
    fn from(error: ErrorAnswer) -> Self {
        Self {
            code: error.code,
            message: error.message.into(),
            data: error.data.and_then(|data| to_raw_value(&data).ok()),
        }
    }
}

/// The node whose errors are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anvil,
    Geth,
}

/// Why a request has no result.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// A complete answer.
    Answer(ErrorAnswer),
    /// An error to format in the node's dialect.
    Chain(ChainError),
    /// An unknown method.
    NoMethod(String),
}

/// The answer of a method.
pub(crate) type Answer = Result<Box<RawValue>, Failure>;

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<ErrorAnswer> for Failure {
    fn from(error: ErrorAnswer) -> Self {
        Self::Answer(error)
    }
}

pub(crate) fn failure(code: i64, message: impl Into<String>) -> Failure {
    ErrorAnswer::new(code, message).into()
}

impl Failure {
    pub(crate) fn in_words_of(self, dialect: Dialect) -> ErrorAnswer {
        match (self, dialect) {
            (Self::Answer(answer), _) => answer,
            (Self::NoMethod(method), Dialect::Anvil) => ErrorAnswer::new(
                code::METHOD_NOT_FOUND,
                format!("the method {method} does not exist"),
            ),
            (Self::NoMethod(method), Dialect::Geth) => ErrorAnswer::new(
                code::METHOD_NOT_FOUND,
                format!("the method {method} does not exist/is not available"),
            ),
            (Self::Chain(error), Dialect::Anvil) => anvil(error),
            (Self::Chain(error), Dialect::Geth) => geth(error),
        }
    }
}

fn anvil(error: ChainError) -> ErrorAnswer {
    let message = error.to_string();
    match error {
        ChainError::Reverted { output } => {
            ErrorAnswer::new(code::EXECUTION_REVERTED, message).with_data(json!(output))
        }
        ChainError::Halted(reason) => ErrorAnswer::new(code::INTERNAL_ERROR, format!("EVM error {reason:?}")),
        ChainError::InsufficientFunds {
            address,
            balance,
            needed,
        } => ErrorAnswer::new(
            code::TRANSACTION_REJECTED,
            format!(
                "Insufficient funds for gas * price + value: address {address} have {balance} want {needed}"
            ),
        ),
        ChainError::GasAllowanceExceeded { allowance } => ErrorAnswer::new(
            code::TRANSACTION_REJECTED,
            format!("Out of gas: gas required exceeds allowance: {allowance}"),
        ),
        ChainError::Refused(invalid) => ErrorAnswer::new(code::TRANSACTION_REJECTED, rejection(&invalid)),
        ChainError::UnknownBlock {
            asked: BlockId::Number(BlockNumberOrTag::Number(number)),
            latest,
        } => ErrorAnswer::new(
            code::INVALID_PARAMS,
            format!("BlockOutOfRangeError: block height is {latest} but requested was {number}"),
        ),
        ChainError::UnknownBlock { .. } => ErrorAnswer::new(code::RESOURCE_NOT_FOUND, message),
        ChainError::Evm(_) => ErrorAnswer::new(code::INTERNAL_ERROR, message),
        ChainError::UndecodableTransaction(reason) => ErrorAnswer::new(
            code::INVALID_PARAMS,
            format!("Failed to decode transaction: {reason}"),
        ),
        ChainError::NoSigner(address) => ErrorAnswer::new(
            code::INVALID_PARAMS,
            format!("No Signer available for {address}: impersonate it, or send a signed transaction"),
        ),
        ChainError::InvalidRequest(_)
        | ChainError::InvalidCode(_)
        | ChainError::TimestampNotIncreasing { .. } => ErrorAnswer::new(code::INVALID_PARAMS, message),
        // Pool errors are in geth's words everywhere.
        error => geth(error),
    }
}

/// Except for reverts and invalid requests, geth uses the code -32000.
fn geth(error: ChainError) -> ErrorAnswer {
    let message = match error {
        ChainError::Reverted { .. } | ChainError::InvalidRequest(_) | ChainError::InvalidCode(_) => {
            return anvil(error);
        }
        ChainError::Halted(HaltReason::OutOfGas(_)) => "out of gas".into(),
        ChainError::Halted(reason) => format!("{reason:?}"),
        ChainError::InsufficientFunds {
            address,
            balance,
            needed,
        } => format!(
            "insufficient funds for gas * price + value: address {address} have {balance} want {needed}"
        ),
        ChainError::Unaffordable {
            balance,
            pooled: U256::ZERO,
            cost,
        } => format!(
            "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
            cost.saturating_sub(balance)
        ),
        ChainError::AlreadyKnown(_) => "already known".into(),
        ChainError::ReplacementUnderpriced { .. } => "replacement transaction underpriced".into(),
        ChainError::Refused(invalid) => rejection(&invalid),
        ChainError::UnknownBlock {
            asked: BlockId::Hash(_),
            ..
        } => "header for hash not found".into(),
        ChainError::UnknownBlock { .. } => "header not found".into(),
        ChainError::UndecodableTransaction(reason) => format!("rlp: {reason}"),
        ChainError::UnknownTransaction(_) => "transaction not found".into(),
        error => error.to_string(),
    };
    ErrorAnswer::new(code::INVALID_INPUT, message)
}

/// The usual words that clients match on, then the numbers.
fn rejection(invalid: &InvalidTransaction) -> String {
    match invalid {
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: transaction has {tx}, account is at {state}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!(
                "nonce too high: transaction has {tx}, account is at {state}, and nothing waits with automine"
            )
        }
        InvalidTransaction::InvalidChainId => "invalid chain id for signer".into(),
        InvalidTransaction::GasPriceLessThanBasefee => "max fee per gas less than block base fee".into(),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".into()
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit {
            initial_gas,
            gas_limit,
        } => {
            format!("intrinsic gas too low: gas limit is {gas_limit}, needs {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("intrinsic gas too low: gas limit is {gas_limit}, needs {gas_floor}")
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "gas limit exceeds block gas limit".into(),
        InvalidTransaction::RejectCallerWithCode => "sender not an eoa".into(),
        other => other.to_string(),
    }
}
