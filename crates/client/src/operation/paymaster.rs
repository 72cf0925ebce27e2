//! Paymasters, which pay for operations instead of the account.

use crate::permissions::{PaymasterFields, UserOperation};
use crate::request::clean;
use alloy::primitives::{Address, Bytes};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A paymaster service failed, declined, or gave an unusable answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PaymasterError {
    /// It failed or declined.
    #[error("{message}")]
    Declined {
        /// Its message.
        message: String,
    },

    /// It returned no data.
    #[error("it returned no paymaster data")]
    NoData,

    /// It returned another paymaster's data for the final operation than for the estimate.
    #[error("it returned data of paymaster {found}, after data of paymaster {expected} for the estimate")]
    OtherPaymaster {
        /// The paymaster of the estimate.
        expected: Address,
        /// The paymaster of the final data.
        found: Address,
    },

    /// The data is too short to name a paymaster.
    #[error("it returned paymaster data of {length} bytes, which names no paymaster")]
    TooShort {
        /// The length found, in bytes.
        length: usize,
    },
}

impl PaymasterError {
    /// Creates an error from a service's failure or refusal.
    pub fn declined(error: impl fmt::Display) -> Self {
        Self::Declined {
            message: clean(&error.to_string()),
        }
    }
}

/// Provides an operation's `paymasterAndData`, in the format of its [version](UserOperation::version): from
/// EntryPoint v0.7 on, the paymaster's two gas limits are between its address and its data
/// ([`PaymasterFields`]).
#[async_trait]
pub trait Paymaster: fmt::Debug + Send + Sync {
    /// Returns data of the right format and length for gas estimation, with which the paymaster's contract
    /// runs. It may report a failed signature, but if it reverts, the estimate fails. Not empty.
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;

    /// Returns the final data, of the same paymaster. The operation's gas limits and fees are final, unless
    /// the data's length differs from the stub's; then gas is estimated again, and this is called again.
    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;
}

/// A paymaster with the same data for every operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPaymaster {
    /// The paymaster with its gas limits for EntryPoint v0.7 and later, and its data.
    pub fields: PaymasterFields,
}

/// The default gas limit of a paymaster's validation, in EntryPoint v0.7 and later.
pub const PAYMASTER_VERIFICATION_GAS: u128 = 100_000;

impl FixedPaymaster {
    /// Creates a paymaster without data. From EntryPoint v0.7 on, its validation gets
    /// [`PAYMASTER_VERIFICATION_GAS`], and it has no gas after the operation; see
    /// [`with_gas_limits`](Self::with_gas_limits).
    pub fn new(paymaster: Address) -> Self {
        Self {
            fields: PaymasterFields {
                paymaster,
                verification_gas_limit: PAYMASTER_VERIFICATION_GAS,
                ..PaymasterFields::default()
            },
        }
    }

    /// Sets its data.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Bytes>) -> Self {
        self.fields.data = data.into();
        self
    }

    /// Sets the gas limits of its validation and of its `postOp`, in gas units. EntryPoint v0.6 has none.
    #[must_use]
    pub const fn with_gas_limits(mut self, verification: u128, post_op: u128) -> Self {
        self.fields.verification_gas_limit = verification;
        self.fields.post_op_gas_limit = post_op;
        self
    }

    fn data_for(&self, operation: &UserOperation) -> Bytes {
        if operation.version.is_packed() {
            self.fields.pack()
        } else {
            [self.fields.paymaster.as_slice(), &self.fields.data]
                .concat()
                .into()
        }
    }
}

#[async_trait]
impl Paymaster for FixedPaymaster {
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.data_for(operation))
    }

    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.data_for(operation))
    }
}

/// Returns the paymaster named by the data.
pub(crate) fn paymaster_of(data: &Bytes) -> Result<Address, PaymasterError> {
    if data.is_empty() {
        return Err(PaymasterError::NoData);
    }
    data.get(..20)
        .map(Address::from_slice)
        .ok_or(PaymasterError::TooShort { length: data.len() })
}
