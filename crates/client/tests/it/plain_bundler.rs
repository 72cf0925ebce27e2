//! A bundler of the plainest kind: it answers as bundlers do, keeps nothing in a pool, and submits through an account of its own.

use crate::{fixture::Fixture, wire::provider};
use serde_json::{Value, json};
use session_key_client::{
    SignedOperation, UserOperation,
    alloy::{
        primitives::{Address, B256},
        providers::{DynProvider, Provider as _},
        rpc::json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload},
        transports::{TransportError, TransportErrorKind, TransportFut},
    },
    node::{Node, OperationEvent, OperationFilter},
    operation::NotTakenReason,
    submit::{BundlerSubmitter, EntryPointSubmitter, EstimateError, Sent, Submitter as _, simulate_gas},
};
use session_key_testkit::dev_accounts;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;

type Failure = (i64, String);

#[derive(Clone)]
pub(crate) struct Bundler {
    submitter: Arc<EntryPointSubmitter>,
    node: DynProvider,
    entry_point: Address,
    /// It estimates at a fee of zero and adds nothing on top, as some do.
    estimates_without_fees: bool,
}

impl Bundler {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let signer = dev_accounts()[3].signer();
        let from = signer.address();
        let node = fixture.testkit.provider_with_signer(signer);
        let entry_point = fixture.stack.entry_point;
        Self {
            submitter: Arc::new(EntryPointSubmitter::new(node.clone(), entry_point, from)),
            node,
            entry_point,
            estimates_without_fees: false,
        }
    }

    pub(crate) fn estimating_without_fees(self) -> Self {
        Self {
            estimates_without_fees: true,
            ..self
        }
    }

    /// A client of this bundler.
    pub(crate) fn submitter(self) -> BundlerSubmitter {
        let entry_point = self.entry_point;
        BundlerSubmitter::new(provider(self), entry_point)
    }

    async fn result(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let operation = || serde_json::from_value::<UserOperation>(params[0].clone()).unwrap();
        let hash = || serde_json::from_value::<B256>(params[0].clone()).unwrap();
        match method {
            "eth_estimateUserOperationGas" => {
                let mut operation = operation();
                let node = Node::new(self.node.clone());
                let gas = simulate_gas(&node, self.entry_point, &operation).await;
                // Bundlers pass on no more than the EntryPoint's words.
                let mut gas = gas.map_err(|error| match error {
                    EstimateError::Refused(refusal) => (-32500, refusal.reason),
                    EstimateError::WouldRevert(revert) => (-32521, revert.to_string()),
                    error => (-32603, error.to_string()),
                })?;
                if self.estimates_without_fees {
                    operation.verification_gas_limit = gas.verification_gas_limit;
                    operation.pre_verification_gas = gas.pre_verification_gas;
                    gas.verification_gas_limit = self.validation_gas_without_fees(operation).await;
                }
                Ok(json!({
                    "callGasLimit": gas.call_gas_limit,
                    "verificationGas": gas.verification_gas_limit,
                    "preVerificationGas": gas.pre_verification_gas,
                }))
            }
            "eth_sendUserOperation" => {
                let operation = operation();
                let hash = operation.hash(self.entry_point, 31337);
                match self.submitter.send(&SignedOperation { operation, hash }).await {
                    Sent::Taken => Ok(json!(hash)),
                    Sent::NotTaken(not_taken) => Err(match not_taken.reason {
                        NotTakenReason::WouldRevert { .. } => (-32521, not_taken.message),
                        _ => (-32500, not_taken.message),
                    }),
                    other => Err((-32603, format!("{other:?}"))),
                }
            }
            "eth_getUserOperationByHash" => Ok(match self.event(hash()).await? {
                Some(event) => json!({ "userOperation": {}, "transactionHash": event.transaction_hash }),
                None => Value::Null,
            }),
            "eth_getUserOperationReceipt" => Ok(match self.event(hash()).await? {
                Some(event) => json!({
                    "userOpHash": event.user_op_hash,
                    "success": event.success,
                    "receipt": { "transactionHash": event.transaction_hash },
                }),
                None => Value::Null,
            }),
            method => Err((-32601, format!("{method} not found"))),
        }
    }

    async fn event(&self, hash: B256) -> Result<Option<OperationEvent>, Failure> {
        let failed = |error: session_key_client::RequestError| (-32603, error.to_string());
        let node = Node::new(self.node.clone());
        let head = node.head().await.map_err(failed)?;
        let filter = OperationFilter {
            sender: None,
            hashes: vec![hash],
        };
        let found = node.operations(self.entry_point, &filter, 0, head.number).await;
        Ok(found.map_err(failed)?.pop())
    }

    /// The least verification gas limit with which validation passes at a fee of zero.
    async fn validation_gas_without_fees(
        &self,
        operation: UserOperation,
    ) -> session_key_client::alloy::primitives::U256 {
        use session_key_bindings::IEntryPoint;
        use session_key_client::alloy::{
            primitives::U256,
            rpc::types::TransactionRequest,
            sol_types::{SolCall as _, SolError as _},
        };

        let passes = async |limit: U256| {
            let operation = UserOperation {
                verification_gas_limit: limit,
                max_fee_per_gas: U256::ZERO,
                max_priority_fee_per_gas: U256::ZERO,
                ..operation.clone()
            };
            let call = IEntryPoint::simulateValidationCall {
                userOp: operation.into(),
            };
            let request = TransactionRequest {
                to: Some(self.entry_point.into()),
                input: call.abi_encode().into(),
                ..Default::default()
            };
            let error = self.node.call(request).await.unwrap_err();
            let data = error.as_error_resp().unwrap().as_revert_data().unwrap();
            IEntryPoint::ValidationResult::abi_decode(&data).is_ok()
        };
        let (mut fails, mut enough) = (U256::ZERO, operation.verification_gas_limit);
        while enough - fails > U256::ONE {
            let middle = (fails + enough) / U256::from(2);
            match passes(middle).await {
                true => enough = middle,
                false => fails = middle,
            }
        }
        enough
    }
}

impl Service<RequestPacket> for Bundler {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let bundler = self.clone();
        Box::pin(async move {
            let RequestPacket::Single(request) = packet else {
                return Err(TransportErrorKind::custom_str("no batches"));
            };
            let params: Value = serde_json::from_str(request.params().unwrap().get()).unwrap();
            let payload = match bundler.result(request.method(), &params).await {
                Ok(result) => ResponsePayload::Success(serde_json::value::to_raw_value(&result).unwrap()),
                Err((code, message)) => ResponsePayload::Failure(ErrorPayload {
                    code,
                    message: message.into(),
                    data: None,
                }),
            };
            Ok(ResponsePacket::Single(Response {
                id: request.id().clone(),
                payload,
            }))
        })
    }
}
