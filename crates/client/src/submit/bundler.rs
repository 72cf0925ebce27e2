use super::{GasEstimate, Outcome, Receipt, Refusal, SubmitError, Submitter, simulate};
use crate::revert::{Revert, user_operation_revert_reason};
use alloy::{
    primitives::{Address, B256, Bytes, U64, U256},
    providers::{DynProvider, Provider},
    rpc::{json_rpc::ErrorPayload, types::Log},
    transports::{RpcError, TransportError, TransportErrorKind},
};
use async_trait::async_trait;
use serde::{Deserialize, de::IgnoredAny};
use session_key_permissions::{AaCode, EXECUTE_WITH_SESSION_KEY, SignedOperation, UserOperation};

/// Submits operations through a bundler's JSON-RPC (ERC-4337, `eth_sendUserOperation` and its like).
///
/// Its outcomes are never [`Outcome::Dropped`]: what a bundler gave up looks like what it has not included yet.
#[derive(Debug)]
pub struct BundlerSubmitter {
    bundler: DynProvider,
    node: Option<DynProvider>,
    entry_point: Address,
}

/// Gas units for booking an operation's cost on its key's gas limit. Some bundlers estimate at a fee of zero, where there is
/// nothing to book: the two slots are written with what they hold, for 100 gas units each. Really, one may go from zero to
/// something for 20,000, and the other may change for 2,900 (EIP-2200, EIP-2929).
const GAS_BOOKING: U256 = U256::from_limbs([22_700, 0, 0, 0]);

/// What bundlers answer to `eth_estimateUserOperationGas`: for validation one of two names, or both.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundlerEstimate {
    call_gas_limit: U256,
    pre_verification_gas: U256,
    #[serde(default)]
    verification_gas_limit: Option<U256>,
    #[serde(default)]
    verification_gas: Option<U256>,
}

impl BundlerEstimate {
    fn estimate(self) -> Option<GasEstimate> {
        Some(GasEstimate {
            call_gas_limit: self.call_gas_limit,
            verification_gas_limit: self.verification_gas_limit.or(self.verification_gas)?,
            pre_verification_gas: self.pre_verification_gas,
        })
    }
}

/// What bundlers answer to `eth_getUserOperationReceipt`. Numbers come as quantities; some fields are missing with some.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundlerReceipt {
    user_op_hash: B256,
    sender: Address,
    nonce: U256,
    #[serde(default)]
    paymaster: Option<Address>,
    actual_gas_cost: U256,
    actual_gas_used: U256,
    success: bool,
    /// Revert data with some, a text with others.
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    logs: Vec<Log>,
    receipt: BundlerTransaction,
}

/// The transaction's receipt, as much of it as is needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundlerTransaction {
    transaction_hash: B256,
    block_number: U64,
}

impl BundlerSubmitter {
    /// A submitter through the bundler that this provider reaches.
    pub fn new(bundler: impl Provider + 'static, entry_point: Address) -> Self {
        Self {
            bundler: bundler.erased(),
            node: None,
            entry_point,
        }
    }

    /// Lets refusals be explained by a node: bundlers pass on the EntryPoint's "AA23" only.
    #[must_use]
    pub fn with_node(mut self, node: impl Provider + 'static) -> Self {
        self.node = Some(node.erased());
        self
    }

    /// Whether the bundler has the operation, on its way or included. `eth_getUserOperationByHash` answers what the operation
    /// was, and null for one that it does not know.
    async fn knows(&self, user_op_hash: B256) -> bool {
        self.bundler
            .raw_request::<_, Option<IgnoredAny>>("eth_getUserOperationByHash".into(), (user_op_hash,))
            .await
            .is_ok_and(|operation| operation.is_some())
    }

    /// The error of a bundler: a refusal of the operation, where it answered at all.
    async fn refused(&self, error: TransportError, operation: &UserOperation) -> SubmitError {
        let RpcError::ErrorResp(payload) = &error else {
            return error.into();
        };
        if !is_refusal(payload) {
            return error.into();
        }
        let reason = payload.message.to_string();
        let data = payload
            .data
            .as_deref()
            .and_then(|data| serde_json::from_str::<Bytes>(data.get()).ok());
        if payload.code == -32521 {
            return SubmitError::WouldRevert(
                data.map_or(Revert::Error(reason), |data| Revert::decode(&data)),
            );
        }
        // Some bundlers say it by the error code alone (ERC-4337, "RPC methods"); -32507 can also mean a paymaster's signature.
        let code = AaCode::find(&reason).or(match payload.code {
            -32503 => Some(AaCode::ExpiredOrNotDue),
            -32507 if operation.paymaster_and_data.is_empty() => Some(AaCode::AccountSignature),
            _ => None,
        });
        let cause = match (&self.node, code) {
            (Some(node), Some(AaCode::AccountReverted)) => {
                simulate::explain_validation(node, self.entry_point, operation)
                    .await
                    .unwrap_or(None)
            }
            _ => None,
        };
        Refusal { code, reason, cause }.into()
    }
}

/// Whether a bundler's error is a judgement on the operation: the range that ERC-4337 sets apart for it (-32521 is for calls
/// that revert), or the EntryPoint's words.
fn is_refusal(error: &ErrorPayload) -> bool {
    (-32521..=-32500).contains(&error.code) || AaCode::find(&error.message).is_some()
}

/// Whether a bundler says that it has the operation already. There is no error code for it.
fn is_known(error: &ErrorPayload) -> bool {
    error.message.to_ascii_lowercase().contains("already known")
}

#[async_trait]
impl Submitter for BundlerSubmitter {
    #[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<GasEstimate, SubmitError> {
        let params = (operation, self.entry_point);
        let answer: Result<BundlerEstimate, _> = self
            .bundler
            .raw_request("eth_estimateUserOperationGas".into(), params)
            .await;
        match answer {
            Ok(estimate) => {
                let mut gas = estimate.estimate().ok_or_else(|| {
                    TransportErrorKind::custom_str("the bundler's estimate names no gas limit for validation")
                })?;
                if operation
                    .call_data
                    .starts_with(EXECUTE_WITH_SESSION_KEY.as_slice())
                {
                    gas.verification_gas_limit = gas.verification_gas_limit.saturating_add(GAS_BOOKING);
                }
                Ok(gas)
            }
            Err(error) => Err(self.refused(error, operation).await),
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(hash = %operation.hash))]
    async fn send(&self, operation: &SignedOperation) -> Result<(), SubmitError> {
        let params = (&operation.operation, self.entry_point);
        match self
            .bundler
            .raw_request::<_, B256>("eth_sendUserOperation".into(), params)
            .await
        {
            Ok(found) if found == operation.hash => Ok(()),
            Ok(found) => Err(SubmitError::HashMismatch {
                expected: operation.hash,
                found,
            }),
            Err(error) => match &error {
                RpcError::ErrorResp(payload) if is_known(payload) => Ok(()),
                RpcError::ErrorResp(payload) if is_refusal(payload) => {
                    // What bundlers say of an operation that was included already, too.
                    let refused = self.refused(error, &operation.operation).await;
                    match refused.is_invalid_nonce() && self.knows(operation.hash).await {
                        true => Ok(()),
                        false => Err(refused),
                    }
                }
                // Before it looked at the operation: JSON-RPC's errors of requests, and EIP-1474's limit of requests.
                RpcError::ErrorResp(ErrorPayload {
                    code: -32700 | -32600 | -32601 | -32602 | -32005,
                    ..
                })
                | RpcError::LocalUsageError(_)
                | RpcError::SerError(_)
                | RpcError::UnsupportedFeature(_) => Err(error.into()),
                _ => Err(SubmitError::MaybeSent {
                    hash: operation.hash,
                    error,
                }),
            },
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(%user_op_hash))]
    async fn outcome(&self, user_op_hash: B256) -> Result<Option<Outcome>, SubmitError> {
        let receipt: Option<BundlerReceipt> = self
            .bundler
            .raw_request("eth_getUserOperationReceipt".into(), (user_op_hash,))
            .await?;
        Ok(receipt.map(|receipt| receipt.outcome(self.entry_point)))
    }
}

impl BundlerReceipt {
    fn outcome(self, entry_point: Address) -> Outcome {
        let logs = self.logs.iter().map(|log| &log.inner);
        let logged = user_operation_revert_reason(logs, entry_point, self.user_op_hash);
        let receipt = Receipt {
            user_op_hash: self.user_op_hash,
            sender: self.sender,
            nonce: self.nonce,
            paymaster: self.paymaster.filter(|paymaster| !paymaster.is_zero()),
            actual_gas_cost: self.actual_gas_cost,
            actual_gas_used: self.actual_gas_used,
            transaction_hash: self.receipt.transaction_hash,
            block_number: self.receipt.block_number.to(),
            logs: self.logs,
        };
        if self.success {
            return Outcome::Success(receipt);
        }
        let reason = logged.unwrap_or_else(|| match self.reason {
            None => Revert::Unknown(Bytes::new()),
            Some(text) => match text.parse::<Bytes>() {
                Ok(data) => Revert::decode(&data),
                Err(_) => Revert::Error(text),
            },
        });
        Outcome::Reverted { receipt, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revert::PluginError;
    use serde_json::json;

    fn receipt(change: impl FnOnce(&mut serde_json::Value)) -> Outcome {
        let mut json = json!({
            "userOpHash": B256::repeat_byte(1),
            "entryPoint": Address::repeat_byte(2),
            "sender": Address::repeat_byte(3),
            "nonce": "0x10",
            "paymaster": Address::ZERO,
            "actualGasCost": "0x20",
            "actualGasUsed": "0x30",
            "success": true,
            "reason": "",
            "logs": [],
            "receipt": { "transactionHash": B256::repeat_byte(4), "blockNumber": "0x5", "status": "0x1" },
        });
        change(&mut json);
        serde_json::from_value::<BundlerReceipt>(json)
            .unwrap()
            .outcome(Address::repeat_byte(2))
    }

    #[test]
    fn estimates_name_the_limit_for_validation_in_one_way_or_another_or_both() {
        let estimate = |more: serde_json::Value| {
            let mut json = json!({ "callGasLimit": "0x1", "preVerificationGas": "0x2" });
            json.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            serde_json::from_value::<BundlerEstimate>(json)
                .unwrap()
                .estimate()
                .map(|gas| gas.verification_gas_limit)
        };
        let three = Some(U256::from(3));
        assert_eq!(estimate(json!({ "verificationGasLimit": "0x3" })), three);
        assert_eq!(estimate(json!({ "verificationGas": "0x3" })), three);
        assert_eq!(
            estimate(json!({ "verificationGasLimit": "0x3", "verificationGas": "0x3" })),
            three
        );
        assert_eq!(estimate(json!({})), None);
    }

    #[test]
    fn receipts_of_executed_operations() {
        let outcome = receipt(|_| ());
        let Outcome::Success(receipt) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((receipt.nonce, receipt.block_number), (U256::from(16), 5));
        assert_eq!(receipt.paymaster, None);
    }

    #[test]
    fn reasons_come_as_data_or_as_text_or_not_at_all() {
        let reason = |reason: serde_json::Value| {
            let outcome = receipt(|json| {
                json["success"] = false.into();
                json["reason"] = reason;
            });
            let Outcome::Reverted { reason, .. } = outcome else {
                panic!("{outcome:?}")
            };
            reason
        };
        assert_eq!(
            reason("0xb4d78304".into()),
            Revert::Plugin(PluginError::PermissionsCheckFailed)
        );
        assert_eq!(
            reason("out of luck".into()),
            Revert::Error("out of luck".to_owned())
        );
        assert_eq!(reason(serde_json::Value::Null), Revert::Unknown(Bytes::new()));
    }
}
