//! Who pays for an operation, if not the account.

use crate::permissions::UserOperation;
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

/// Fills an operation's `paymasterAndData`.
#[async_trait]
pub trait Paymaster: fmt::Debug + Send + Sync {
    /// Data of the right form and length, for gas estimation: the paymaster's contract runs on it. It may report a failed
    /// signature, but if it reverts, the estimation fails. Not empty.
    async fn stub(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;

    /// The data that is signed and sent: of the same paymaster. Gas limits and fees of the operation are final, unless the data
    /// have another length than the stub's; then gas is estimated again, and the service is asked again.
    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError>;
}

/// A paymaster that takes the same data for every operation: its address, and possibly more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedPaymaster {
    /// `paymasterAndData`: the paymaster's address, then data for it.
    pub paymaster_and_data: Bytes,
}

impl FixedPaymaster {
    /// A paymaster that needs no data.
    pub fn new(paymaster: Address) -> Self {
        Self {
            paymaster_and_data: Bytes::copy_from_slice(paymaster.as_slice()),
        }
    }
}

#[async_trait]
impl Paymaster for FixedPaymaster {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.paymaster_and_data.clone())
    }

    async fn sponsor(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.paymaster_and_data.clone())
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
