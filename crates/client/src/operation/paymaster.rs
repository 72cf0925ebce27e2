//! Who pays for an operation, if not the account.

use crate::permissions::{PaymasterFields, UserOperation};
use crate::request::clean;
use alloy::primitives::{Address, Bytes};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A paymaster service failed, declined, or answered something else than it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PaymasterError {
    /// It failed or declined.
    #[error("{message}")]
    Declined {
        /// Its words.
        message: String,
    },

    /// It was asked for data and answered none.
    #[error("it answered no paymaster data")]
    NoData,

    /// It answered the data of another paymaster for the final operation than for the estimate.
    #[error("it answered data of paymaster {found}, after data of paymaster {expected} for the estimate")]
    OtherPaymaster {
        /// The paymaster of the estimate.
        expected: Address,
        /// The paymaster of the final data.
        found: Address,
    },

    /// The data are too short to name a paymaster.
    #[error("it answered paymaster data of {length} bytes, which name no paymaster")]
    TooShort {
        /// Bytes found.
        length: usize,
    },
}

impl PaymasterError {
    /// A service's failure or refusal, in its words.
    pub fn declined(error: impl fmt::Display) -> Self {
        Self::Declined {
            message: clean(&error.to_string()),
        }
    }
}

/// Fills an operation's `paymasterAndData`, in the form of the operation's [version](UserOperation::version): from EntryPoint v0.7 on,
/// the paymaster's two gas limits stand between its address and its data ([`PaymasterFields`]).
#[async_trait]
pub trait Paymaster: fmt::Debug + Send + Sync {
    /// Data of the right form and length, for gas estimation: the paymaster's contract runs on it. It may report a failed
    /// signature, but if it reverts, the estimation fails. Not empty.
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;

    /// The data that is signed and sent: of the same paymaster. Gas limits and fees of the operation are final, unless the data
    /// have another length than the stub's; then gas is estimated again, and the service is asked again.
    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;
}

/// A paymaster that takes the same data for every operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPaymaster {
    /// The paymaster, with its gas limits for EntryPoint v0.7 and later, and data for it.
    pub fields: PaymasterFields,
}

/// Gas units for the validation of a paymaster that nobody named limits for, in EntryPoint v0.7 and later.
pub const PAYMASTER_VERIFICATION_GAS: u128 = 100_000;

impl FixedPaymaster {
    /// A paymaster that needs no data. From EntryPoint v0.7 on, its validation gets [`PAYMASTER_VERIFICATION_GAS`], and it does
    /// nothing after the operation; see [`with_gas_limits`](Self::with_gas_limits).
    pub fn new(paymaster: Address) -> Self {
        Self {
            fields: PaymasterFields {
                paymaster,
                verification_gas_limit: PAYMASTER_VERIFICATION_GAS,
                ..PaymasterFields::default()
            },
        }
    }

    /// The same with data for it.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Bytes>) -> Self {
        self.fields.data = data.into();
        self
    }

    /// The same with gas limits, in gas units, for its validation and for what it does after the operation. EntryPoint v0.6 has none.
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

/// The paymaster that data name.
pub(crate) fn paymaster_of(data: &Bytes) -> Result<Address, PaymasterError> {
    if data.is_empty() {
        return Err(PaymasterError::NoData);
    }
    data.get(..20)
        .map(Address::from_slice)
        .ok_or(PaymasterError::TooShort { length: data.len() })
}
