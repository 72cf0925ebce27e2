//! Submits operations through a bundler's JSON-RPC.

use super::{EstimateError, Sent, Submitter, refusal, refusal::BUNDLER, simulate};
use crate::{
    node::{Head, Node, SuggestedFees},
    operation::{Gas, NotTakenReason},
    permissions::{EXECUTE_WITH_SESSION_KEY, SignedOperation, UserOperation},
    request::{RequestError, lenient},
};
use alloy::{
    primitives::{Address, B256, U256},
    providers::Provider,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

/// Submits operations through a bundler's JSON-RPC (ERC-4337: `eth_sendUserOperation` and related methods).
///
/// Answers are parsed leniently: numbers as quantities, decimal strings or JSON numbers, and only what is
/// needed. From a receipt, only its transaction's hash is used. Errors are interpreted by their words: one
/// that is not understood is [`Sent::NoAnswer`].
#[derive(Debug)]
pub struct BundlerSubmitter {
    bundler: Node,
    node: Option<Node>,
    entry_point: Address,
    fees: Option<BundlerFees>,
}

/// A method with which a bundler suggests fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BundlerFees {
    /// `pimlico_getUserOperationGasPrice`, which returns both fees at three speeds. The fast one is used,
    /// else the standard or the slow one.
    Pimlico,
    /// `rundler_maxPriorityFeePerGas`, which returns the priority fee. The maximum fee adds twice the base
    /// fee.
    Rundler,
}

/// Gas units for charging an operation's cost to its key's gas limit. Some bundlers estimate at a fee of
/// zero, where nothing is charged: both slots are written unchanged, for 100 gas units each. In reality, one
/// may change from zero to nonzero for 20,000, and the other may change for 2,900 (EIP-2200, EIP-2929).
const GAS_BOOKING: U256 = U256::from_limbs([22_700, 0, 0, 0]);

/// The answer of `eth_estimateUserOperationGas`, with one of two names for the validation limit, or both.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundlerEstimate {
    #[serde(deserialize_with = "lenient::number")]
    call_gas_limit: U256,
    #[serde(deserialize_with = "lenient::number")]
    pre_verification_gas: U256,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    verification_gas_limit: Option<U256>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    verification_gas: Option<U256>,
}

impl BundlerEstimate {
    fn gas(self) -> Option<Gas> {
        Some(Gas {
            call_gas_limit: self.call_gas_limit,
            verification_gas_limit: self.verification_gas_limit.or(self.verification_gas)?,
            pre_verification_gas: self.pre_verification_gas,
        })
    }
}

/// The answer of `pimlico_getUserOperationGasPrice`.
#[derive(Debug, Deserialize)]
struct Speeds {
    #[serde(default)]
    slow: Option<BothFees>,
    #[serde(default)]
    standard: Option<BothFees>,
    #[serde(default)]
    fast: Option<BothFees>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BothFees {
    #[serde(deserialize_with = "lenient::number")]
    max_fee_per_gas: u128,
    #[serde(deserialize_with = "lenient::number")]
    max_priority_fee_per_gas: u128,
}

/// The answer of `rundler_maxPriorityFeePerGas`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct PriorityFee(#[serde(deserialize_with = "lenient::number")] u128);

impl BundlerSubmitter {
    /// Creates a submitter for this provider's bundler.
    pub fn new(bundler: impl Provider + 'static, entry_point: Address) -> Self {
        Self {
            bundler: Node::new(bundler),
            node: None,
            entry_point,
            fees: None,
        }
    }

    /// Uses a node to explain refusals: bundlers pass on only the EntryPoint's "AA23".
    #[must_use]
    pub fn with_node(mut self, node: impl Provider + 'static) -> Self {
        self.node = Some(Node::new(node));
        self
    }

    /// Uses the bundler's fee suggestions instead of the node's. The client's bounds apply to them as well.
    #[must_use]
    pub const fn with_fees_from(mut self, fees: BundlerFees) -> Self {
        self.fees = Some(fees);
        self
    }

    /// Returns the bundler's answer about an operation that it may not know: `None` for null and equivalents.
    async fn lookup(&self, method: &'static str, user_op_hash: B256) -> Result<Option<Value>, RequestError> {
        let found: Value = self.bundler.request(method, (user_op_hash,)).await?;
        Ok(Some(found).filter(is_something))
    }

    async fn explain(&self, operation: &UserOperation, refusal: &mut super::Refusal) {
        if let Some(node) = &self.node {
            simulate::explain(node, self.entry_point, operation, refusal).await;
        }
    }
}

const RECEIPT: &str = "eth_getUserOperationReceipt";
const BY_HASH: &str = "eth_getUserOperationByHash";

/// Whether an answer is more than a form of "nothing".
fn is_something(answer: &Value) -> bool {
    match answer {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !matches!(text.trim(), "" | "0x" | "null"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// Parses a hash in any format: with `0x` or without, padded with spaces. The zero hash counts as none.
fn hash_of(value: &Value) -> Option<B256> {
    let hash: B256 = value.as_str()?.trim().parse().ok()?;
    (!hash.is_zero()).then_some(hash)
}

/// Returns the transaction hash in an answer about an operation; `None` if it is about another operation.
fn transaction_of(answer: &Value, user_op_hash: B256) -> Option<B256> {
    let told = answer
        .get("userOpHash")
        .or_else(|| answer.get("userOperationHash"))
        .and_then(hash_of);
    if told.is_some_and(|told| told != user_op_hash) {
        return None;
    }
    let receipt = answer.get("receipt");
    [
        receipt.and_then(|receipt| receipt.get("transactionHash")),
        answer.get("transactionHash"),
        receipt.and_then(|receipt| receipt.get("hash")),
    ]
    .into_iter()
    .flatten()
    .find_map(hash_of)
}

/// Returns the hash in an answer to `eth_sendUserOperation`, if it is another operation's.
fn names_another(answer: &Value, user_op_hash: B256) -> Option<B256> {
    let named: Vec<B256> = match answer {
        Value::Object(fields) => fields.values().filter_map(hash_of).collect(),
        Value::Array(items) => items.iter().filter_map(hash_of).collect(),
        other => hash_of(other).into_iter().collect(),
    };
    if named.contains(&user_op_hash) {
        return None;
    }
    named.first().copied()
}

/// Interprets an answer to `eth_sendUserOperation` that is not an error.
fn sent(answer: &Value, user_op_hash: B256) -> Sent {
    let unreadable = |found: String| Sent::NoAnswer {
        error: RequestError::Unreadable {
            method: "eth_sendUserOperation".to_owned(),
            found,
        },
    };
    if let Some(found) = names_another(answer, user_op_hash) {
        return unreadable(format!("the hash {found} for operation {user_op_hash}"));
    }
    if is_something(answer) {
        Sent::Taken
    } else {
        unreadable(format!("no hash for operation {user_op_hash}"))
    }
}

#[async_trait]
impl Submitter for BundlerSubmitter {
    #[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError> {
        const METHOD: &str = "eth_estimateUserOperationGas";
        let params = (operation, self.entry_point);
        let estimate = match self.bundler.request::<BundlerEstimate>(METHOD, params).await {
            Ok(estimate) => estimate,
            Err(error) => {
                let mut error = refusal::not_estimated(operation, error);
                if let EstimateError::Refused(refusal) = &mut error {
                    self.explain(operation, refusal).await;
                }
                return Err(error);
            }
        };
        let mut gas = estimate.gas().ok_or_else(|| EstimateError::Request {
            by: BUNDLER.to_owned(),
            error: RequestError::Unreadable {
                method: METHOD.to_owned(),
                found: "no gas limit for validation".to_owned(),
            },
        })?;
        if operation
            .call_data
            .starts_with(EXECUTE_WITH_SESSION_KEY.as_slice())
        {
            gas.verification_gas_limit = gas.verification_gas_limit.saturating_add(GAS_BOOKING);
        }
        Ok(gas)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(hash = %operation.hash))]
    async fn send(&self, operation: &SignedOperation) -> Sent {
        let params = (&operation.operation, self.entry_point);
        let answer: Result<Value, _> = self.bundler.request("eth_sendUserOperation", params).await;
        let mut sent = match answer {
            Ok(answer) => sent(&answer, operation.hash),
            Err(error) => refusal::sent_to_bundler(operation, error),
        };
        if let Sent::NotTaken(not_taken) = &mut sent
            && let NotTakenReason::Refused(refusal) = &mut not_taken.reason
        {
            self.explain(&operation.operation, refusal).await;
        }
        sent
    }

    #[tracing::instrument(level = "debug", skip_all, fields(%user_op_hash))]
    async fn transaction(&self, user_op_hash: B256) -> Result<Option<B256>, RequestError> {
        let named = |answer: Option<Value>| transaction_of(&answer?, user_op_hash);
        let by_receipt = self.lookup(RECEIPT, user_op_hash).await.map(named);
        if let Ok(Some(transaction)) = by_receipt {
            return Ok(Some(transaction));
        }
        match (by_receipt, self.lookup(BY_HASH, user_op_hash).await.map(named)) {
            (_, Ok(found)) => Ok(found),
            (Ok(none), Err(_)) => Ok(none),
            (Err(error), Err(_)) => Err(error),
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(%user_op_hash))]
    async fn knows(&self, user_op_hash: B256) -> Result<bool, RequestError> {
        let by_hash = self.lookup(BY_HASH, user_op_hash).await;
        if let Ok(Some(_)) = by_hash {
            return Ok(true);
        }
        // Some know an operation by only one of the methods: both must say that they do not.
        if self.lookup(RECEIPT, user_op_hash).await?.is_some() {
            return Ok(true);
        }
        by_hash.map(|_| false)
    }

    async fn fees(&self, head: &Head) -> Result<Option<SuggestedFees>, RequestError> {
        let base_fee = head.base_fee.unwrap_or_default();
        match self.fees {
            None => Ok(None),
            Some(BundlerFees::Pimlico) => {
                const METHOD: &str = "pimlico_getUserOperationGasPrice";
                let Speeds { slow, standard, fast } = self.bundler.request(METHOD, [(); 0]).await?;
                let fees = fast
                    .or(standard)
                    .or(slow)
                    .ok_or_else(|| RequestError::Unreadable {
                        method: METHOD.to_owned(),
                        found: "no fees".to_owned(),
                    })?;
                Ok(Some(SuggestedFees {
                    max_fee: fees.max_fee_per_gas,
                    max_priority_fee: fees.max_priority_fee_per_gas,
                    base_fee,
                }))
            }
            Some(BundlerFees::Rundler) => {
                const METHOD: &str = "rundler_maxPriorityFeePerGas";
                let PriorityFee(max_priority_fee) = self.bundler.request(METHOD, [(); 0]).await?;
                Ok(Some(SuggestedFees {
                    max_fee: base_fee.saturating_mul(2).saturating_add(max_priority_fee),
                    max_priority_fee,
                    base_fee,
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{Reply, Wire, provider},
        *,
    };
    use crate::{
        operation::NotTaken,
        permissions::AaCode,
        revert::{PluginError, Revert},
    };
    use serde_json::json;

    const ENTRY_POINT: Address = Address::repeat_byte(0xee);
    const HASH: B256 = B256::repeat_byte(0xab);
    const TRANSACTION: B256 = B256::repeat_byte(0xcd);

    fn signed() -> SignedOperation {
        SignedOperation {
            operation: UserOperation::default(),
            hash: HASH,
        }
    }

    /// Returns a bundler with these answers, which lacks all other methods.
    fn answering(answers: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> BundlerSubmitter {
        let wire = Wire::scripted(move |method, _| answers(method));
        BundlerSubmitter::new(provider(wire), ENTRY_POINT)
    }

    fn one(method: &'static str, answer: Value) -> BundlerSubmitter {
        answering(move |asked| (asked == method).then(|| Reply::Result(answer.clone())))
    }

    #[tokio::test]
    async fn any_answer_without_another_hash_counts_as_accepted() {
        let hash = format!("{HASH:x}");
        for answer in [
            json!(HASH),
            json!(hash),
            json!(format!("0x{}", hash.to_uppercase())),
            json!(format!(" 0x{hash} ")),
            json!({ "userOpHash": HASH }),
            json!({ "hash": HASH, "requestId": B256::repeat_byte(1) }),
            json!([HASH]),
            json!(true),
            json!("ok"),
        ] {
            let submitter = one("eth_sendUserOperation", answer.clone());
            assert_eq!(submitter.send(&signed()).await, Sent::Taken, "{answer}");
        }
        let other = B256::repeat_byte(1);
        for answer in [json!(other), json!({ "userOpHash": other })] {
            let sent = one("eth_sendUserOperation", answer).send(&signed()).await;
            let Sent::NoAnswer { error } = sent else {
                panic!("{sent:?}")
            };
            let error = error.to_string();
            assert!(
                error.contains(&HASH.to_string()) && error.contains(&other.to_string()),
                "{error}"
            );
        }
        for answer in [json!(null), json!(""), json!("0x"), json!(false), json!({})] {
            let sent = one("eth_sendUserOperation", answer.clone()).send(&signed()).await;
            assert!(matches!(sent, Sent::NoAnswer { .. }), "{answer}: {sent:?}");
        }
    }

    #[tokio::test]
    async fn the_operation_and_the_entry_point_are_handed_over() {
        let wire = Wire::scripted(|_, params| {
            assert_eq!(params[1], json!(ENTRY_POINT));
            assert_eq!(params[0], json!(UserOperation::default()));
            Some(Reply::Result(json!(HASH)))
        });
        let submitter = BundlerSubmitter::new(provider(wire.clone()), ENTRY_POINT);
        assert_eq!(submitter.send(&signed()).await, Sent::Taken);
        assert_eq!(wire.methods(), ["eth_sendUserOperation"]);
    }

    #[tokio::test]
    async fn only_an_unwritten_request_never_left() {
        let sent = answering(|_| Some(Reply::NotReached)).send(&signed()).await;
        assert!(matches!(sent, Sent::NeverLeft { .. }), "{sent:?}");
        for reply in [Reply::Lost, Reply::Error(-32603, "internal error", Value::Null)] {
            let sent = answering(move |_| Some(reply.clone())).send(&signed()).await;
            assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn the_node_explains_the_accounts_refusal() {
        let node = Wire::scripted(|method, _| {
            assert_eq!(method, "eth_call");
            Some(Reply::Error(3, "execution reverted", json!("0xb4d78304")))
        });
        let refuses = |code, message| {
            let node = node.clone();
            answering(move |_| Some(Reply::Error(code, message, Value::Null))).with_node(provider(node))
        };
        let cause = Some(Revert::Plugin(PluginError::PermissionsCheckFailed));
        match refuses(-32500, "AA23 reverted (or OOG)").send(&signed()).await {
            Sent::NotTaken(NotTaken {
                by,
                code: Some(-32500),
                reason: NotTakenReason::Refused(refusal),
                ..
            }) => {
                assert_eq!(
                    (by.as_str(), refusal.code),
                    (BUNDLER, Some(AaCode::AccountReverted))
                );
                assert_eq!(refusal.cause, cause);
            }
            sent => panic!("{sent:?}"),
        }
        let submitter = refuses(-32500, "AA23 reverted");
        match submitter.estimate_gas(&UserOperation::default()).await {
            Err(EstimateError::Refused(refusal)) => assert_eq!(refusal.cause, cause),
            result => panic!("{result:?}"),
        }
        let _ = node.methods();
        let _ = refuses(-32500, "AA24 signature error").send(&signed()).await;
        assert!(node.methods().is_empty());
    }

    #[tokio::test]
    async fn estimates_are_read_in_every_format() {
        let estimate = async |more: Value| {
            let mut answer = json!({ "callGasLimit": "0x1", "preVerificationGas": 2, "maxFeePerGas": null });
            answer
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            one("eth_estimateUserOperationGas", answer)
                .estimate_gas(&UserOperation::default())
                .await
        };
        let three = Gas {
            call_gas_limit: U256::from(1),
            pre_verification_gas: U256::from(2),
            verification_gas_limit: U256::from(3),
        };
        for more in [
            json!({ "verificationGasLimit": "0x3" }),
            json!({ "verificationGas": "3" }),
            json!({ "verificationGasLimit": 3, "verificationGas": "0x3" }),
            json!({ "verificationGasLimit": null, "verificationGas": "0x03" }),
            json!({ "verificationGasLimit": "", "verificationGas": 3 }),
        ] {
            assert_eq!(estimate(more.clone()).await, Ok(three), "{more}");
        }
        for more in [
            json!({}),
            json!({ "verificationGasLimit": "much" }),
            json!({ "verificationGasLimit": 3, "callGasLimit": null }),
            json!({ "verificationGasLimit": 3, "preVerificationGas": "-1" }),
        ] {
            let result = estimate(more.clone()).await;
            assert!(
                matches!(
                    result,
                    Err(EstimateError::Request {
                        error: RequestError::Unreadable { .. },
                        ..
                    })
                ),
                "{more}: {result:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_session_keys_validation_books_its_gas() {
        let operation = UserOperation {
            call_data: EXECUTE_WITH_SESSION_KEY.into(),
            ..Default::default()
        };
        let answer = json!({ "callGasLimit": 1, "preVerificationGas": 2, "verificationGas": 3 });
        let gas = one("eth_estimateUserOperationGas", answer)
            .estimate_gas(&operation)
            .await
            .unwrap();
        assert_eq!(gas.verification_gas_limit, U256::from(22_703));
        let most = json!({ "callGasLimit": U256::MAX, "preVerificationGas": U256::MAX, "verificationGas": U256::MAX });
        let gas = one("eth_estimateUserOperationGas", most)
            .estimate_gas(&operation)
            .await
            .unwrap();
        assert_eq!(gas.verification_gas_limit, U256::MAX);
    }

    #[tokio::test]
    async fn only_the_transaction_of_a_receipt_is_used() {
        for receipt in [
            json!({ "userOpHash": HASH, "success": "true", "paymaster": "", "receipt": { "transactionHash": TRANSACTION } }),
            json!({ "success": 7, "logs": null, "actualGasCost": {}, "receipt": { "transactionHash": TRANSACTION, "status": "?" } }),
            json!({ "transactionHash": TRANSACTION }),
            json!({ "receipt": null, "transactionHash": format!("{TRANSACTION:x}") }),
            json!({ "receipt": { "hash": TRANSACTION } }),
        ] {
            let submitter = one(RECEIPT, receipt.clone());
            assert_eq!(
                submitter.transaction(HASH).await,
                Ok(Some(TRANSACTION)),
                "{receipt}"
            );
        }
    }

    #[tokio::test]
    async fn the_transaction_may_come_from_the_operation() {
        let by_hash = json!({ "userOperation": {}, "transactionHash": TRANSACTION, "blockNumber": null });
        for receipt in [
            Reply::Result(Value::Null),
            Reply::Result(json!("")),
            Reply::Result(json!({ "receipt": { "transactionHash": null } })),
            // Another operation's.
            Reply::Result(json!({ "userOpHash": TRANSACTION, "receipt": { "transactionHash": HASH } })),
            Reply::Error(-32601, "the method does not exist", Value::Null),
            Reply::Lost,
        ] {
            let by_hash = by_hash.clone();
            let answers = receipt.clone();
            let submitter = answering(move |method| {
                Some(match method {
                    RECEIPT => answers.clone(),
                    _ => Reply::Result(by_hash.clone()),
                })
            });
            assert_eq!(
                submitter.transaction(HASH).await,
                Ok(Some(TRANSACTION)),
                "{receipt:?}"
            );
        }
        for nothing in [
            Value::Null,
            json!({ "transactionHash": null, "blockHash": null }),
            json!({ "transactionHash": B256::ZERO }),
            json!({ "transactionHash": "0x12" }),
            json!([1]),
        ] {
            let found = one(BY_HASH, nothing.clone()).transaction(HASH).await;
            assert_eq!(found, Ok(None), "{nothing}");
        }
        assert!(
            answering(|_| Some(Reply::NotReached))
                .transaction(HASH)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn an_operation_is_unknown_only_if_both_methods_agree() {
        let knows = |by_hash: Reply, receipt: Reply| {
            answering(move |method| {
                Some(if method == BY_HASH {
                    by_hash.clone()
                } else {
                    receipt.clone()
                })
            })
        };
        let null = || Reply::Result(Value::Null);
        let some = || Reply::Result(json!({ "sender": Address::ZERO }));
        let error = || Reply::Error(-32603, "internal error", Value::Null);
        assert_eq!(knows(some(), error()).knows(HASH).await, Ok(true));
        assert_eq!(knows(null(), some()).knows(HASH).await, Ok(true));
        assert_eq!(knows(error(), some()).knows(HASH).await, Ok(true));
        assert_eq!(knows(null(), null()).knows(HASH).await, Ok(false));
        assert!(knows(null(), error()).knows(HASH).await.is_err());
        assert!(knows(error(), null()).knows(HASH).await.is_err());
    }

    #[tokio::test]
    async fn fees_come_from_the_bundler_if_configured() {
        let head = |base_fee| Head {
            number: 1,
            hash: B256::ZERO,
            parent_hash: B256::ZERO,
            timestamp: 1,
            base_fee,
        };
        let speed = |fee: Value| json!({ "maxFeePerGas": fee, "maxPriorityFeePerGas": "0x5" });
        let pimlico =
            |answer| one("pimlico_getUserOperationGasPrice", answer).with_fees_from(BundlerFees::Pimlico);
        for (answer, max_fee) in [
            (
                json!({ "slow": speed(json!(1)), "standard": speed(json!(2)), "fast": speed(json!("0x3")) }),
                3,
            ),
            (
                json!({ "slow": speed(json!(1)), "standard": speed(json!("2")) }),
                2,
            ),
            (json!({ "slow": speed(json!(1)), "fast": null }), 1),
        ] {
            let fees = pimlico(answer).fees(&head(Some(7))).await.unwrap().unwrap();
            assert_eq!(
                (fees.max_fee, fees.max_priority_fee, fees.base_fee),
                (max_fee, 5, 7)
            );
        }
        assert!(pimlico(json!({})).fees(&head(None)).await.is_err());
        assert!(
            pimlico(json!({ "fast": speed(json!(U256::MAX)) }))
                .fees(&head(None))
                .await
                .is_err()
        );

        let rundler =
            |answer| one("rundler_maxPriorityFeePerGas", answer).with_fees_from(BundlerFees::Rundler);
        let fees = rundler(json!("0x5"))
            .fees(&head(Some(100)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (fees.max_fee, fees.max_priority_fee, fees.base_fee),
            (205, 5, 100)
        );
        let most = rundler(json!(format!("{:#x}", u128::MAX)));
        let fees = most.fees(&head(Some(u128::MAX))).await.unwrap().unwrap();
        assert_eq!(fees.max_fee, u128::MAX);
        assert_eq!(answering(|_| None).fees(&head(None)).await, Ok(None));
    }
}
