//! The parameters of a request.

use super::{Failure, code, failure};
use crate::CallOptions;
use alloy::{
    eips::BlockId,
    primitives::U64,
    rpc::types::{BlockOverrides, state::StateOverride},
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Positional parameters. Missing trailing ones count as null.
#[derive(Debug)]
pub(crate) struct Params(Vec<serde_json::Value>);

impl Params {
    pub(crate) fn parse(params: Option<&RawValue>) -> Result<Self, Failure> {
        match params.map(RawValue::get) {
            None | Some("null") => Ok(Self(Vec::new())),
            Some(params) => serde_json::from_str(params).map(Self).map_err(|error| {
                failure(
                    code::INVALID_PARAMS,
                    format!("parameters are not an array: {error}"),
                )
            }),
        }
    }

    pub(crate) fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, Failure> {
        match self.0.get(index) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| failure(code::INVALID_PARAMS, format!("parameter {index}: {error}"))),
        }
    }

    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, Failure> {
        self.optional(index)?
            .ok_or_else(|| failure(code::INVALID_PARAMS, format!("parameter {index} is missing")))
    }

    /// Reads a number, as a JSON number or in hex.
    pub(crate) fn number(&self, index: usize) -> Result<u64, Failure> {
        self.required::<U64>(index).map(|number| number.to())
    }

    pub(crate) fn optional_number(&self, index: usize) -> Result<Option<u64>, Failure> {
        Ok(self.optional::<U64>(index)?.map(|number| number.to()))
    }

    /// Reads a block tag, number or hash; the latest block if it is missing.
    pub(crate) fn block(&self, index: usize) -> Result<BlockId, Failure> {
        Ok(self.optional(index)?.unwrap_or_default())
    }

    /// Reads the second to fourth parameters of `eth_call`.
    pub(crate) fn call_options(&self) -> Result<CallOptions, Failure> {
        Ok(CallOptions {
            block: self.block(1)?,
            state: self.optional::<StateOverride>(2)?.unwrap_or_default(),
            block_overrides: self.optional::<BlockOverrides>(3)?.unwrap_or_default(),
        })
    }
}
