//! Explains the outcome of an operation from its hash alone.

use super::{Failure, carried::carried, explain, explain_failure};
use crate::{
    account::{ReadError, SmartAccount},
    node::{Node, OperationEvent, OperationFilter, TransactionReceipt},
    request::{RequestError, lenient, patiently},
};
use alloy::{
    primitives::{Address, B256},
    providers::DynProvider,
};
use serde::Deserialize;
use session_key_permissions::{
    Call, SignedOperation, UserOperation, Verdict, model::decode_execute_with_session_key,
};

/// Where to look for an operation. By default: the node's logs from block 0, with at most 10,000 requests,
/// and no bundler.
#[derive(Clone, Debug)]
#[must_use]
pub struct ExplainOptions {
    bundler: Option<Node>,
    from_block: u64,
    most_log_requests: usize,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            bundler: None,
            from_block: 0,
            most_log_requests: 10_000,
        }
    }
}

impl ExplainOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks a bundler first: it knows pending operations, and finds others faster.
    pub fn bundler(mut self, bundler: DynProvider) -> Self {
        self.bundler = Some(Node::new(bundler));
        self
    }

    /// Sets the first block that can contain the operation.
    pub const fn from_block(mut self, block: u64) -> Self {
        self.from_block = block;
        self
    }

    /// Sets the maximum number of log requests to the node.
    pub const fn most_log_requests(mut self, requests: usize) -> Self {
        self.most_log_requests = requests;
        self
    }
}

/// What is known about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Its hash.
    pub user_op_hash: B256,
    /// Its account.
    pub sender: Address,
    /// The transaction that included it, or attempted to.
    pub transaction_hash: Option<B256>,
    /// The transaction's block.
    pub block: Option<u64>,
    /// The operation; `None`: it cannot be found.
    pub operation: Option<UserOperation>,
    /// The session key that it names, if any.
    pub session_key: Option<Address>,
    /// The key's calls.
    pub calls: Vec<Call>,
    /// The EntryPoint's event.
    pub event: Option<OperationEvent>,
    /// The outcome.
    pub outcome: Became,
}

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Became {
    /// Its calls took effect.
    Succeeded,
    /// It was included, or its transaction was, and it failed for this reason.
    Failed(Failure),
    /// It was included and failed. The reason cannot be determined, because of this.
    FailedUnexplained(String),
    /// A bundler has it, but no block does. The verdict on the current state; `None` for an operation without
    /// a session key.
    Waiting(Option<Verdict>),
}

/// Nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotFound {
    /// The first block searched.
    pub from: u64,
    /// The last block searched.
    pub to: u64,
    /// Why the search did not cover everything from [`from_block`](ExplainOptions::from_block) on, if it did
    /// not.
    pub reason: Option<String>,
    /// Why the bundler, if one was given, could not say whether it has the operation.
    pub bundler_error: Option<RequestError>,
}

/// Explains an operation, or the operations in a transaction, from their hash alone: whoever sent them, with
/// whatever client.
///
/// The operation is found by the bundler, if one is given, or by the EntryPoint's logs, newest first; its
/// contents in the call data of `handleOps`, at the bundler, or in a trace of the transaction, if the node
/// supports traces. Of a transaction's operations, those of this account are explained, or all if there are
/// none. The reasons are those of [`explain_failure`].
#[tracing::instrument(level = "debug", skip_all, fields(account = %account.address(), %hash))]
pub async fn explain_hash(
    account: &SmartAccount,
    hash: B256,
    options: &ExplainOptions,
) -> Result<Result<Vec<Explanation>, NotFound>, ReadError> {
    let node = Node::new(account.provider().clone());
    let search = Search {
        account,
        node: &node,
        options,
    };
    let (receipt, known) = tokio::join!(patiently(|| node.receipt(hash)), search.ask_bundler(hash));
    if let Some(receipt) = receipt? {
        return search.transaction(&receipt).await.map(Ok);
    }
    let (known, bundler_error) = match known {
        Ok(known) => (known, None),
        Err(error) => (None, Some(error)),
    };
    let transaction = known.as_ref().and_then(|known| known.transaction_hash);
    let event = match transaction {
        // The bundler's answer is verified against the transaction.
        Some(transaction) => search.event_in(transaction, hash).await?,
        None => None,
    };
    let event = match event {
        Some(event) => Ok(Some(event)),
        None => search.logs(hash).await?,
    };
    match (event, known) {
        (Ok(Some(event)), known) => {
            let operation = known.map(|known| known.operation);
            Ok(Ok(vec![search.included(event, operation).await?]))
        }
        (_, Some(known)) => Ok(Ok(vec![search.waiting(hash, known.operation).await?])),
        (Ok(None), None) => {
            let head = node.head().await?;
            Ok(Err(NotFound {
                from: options.from_block,
                to: head.number,
                reason: None,
                bundler_error,
            }))
        }
        (Err(not_found), None) => Ok(Err(NotFound {
            bundler_error,
            ..not_found
        })),
    }
}

/// A bundler's answer about an operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    #[serde(rename = "userOperation")]
    operation: UserOperation,
    #[serde(default, deserialize_with = "lenient::optional")]
    transaction_hash: Option<B256>,
}

struct Search<'a> {
    account: &'a SmartAccount,
    node: &'a Node,
    options: &'a ExplainOptions,
}

impl Search<'_> {
    const fn entry_point(&self) -> Address {
        self.account.deployment().entry_point
    }

    fn hash(&self, operation: &UserOperation) -> B256 {
        operation.hash(self.entry_point(), self.account.chain_id())
    }

    /// Returns the operation's account: the same contracts at another address.
    fn account_of(&self, sender: Address) -> SmartAccount {
        if sender == self.account.address() {
            return self.account.clone();
        }
        SmartAccount::new(
            self.account.provider().clone(),
            self.account.chain_id(),
            sender,
            *self.account.deployment(),
        )
    }

    /// Asks the bundler. Its answer must have the hash. Without it, the chain is searched all the same.
    async fn ask_bundler(&self, hash: B256) -> Result<Option<Known>, RequestError> {
        let Some(bundler) = &self.options.bundler else {
            return Ok(None);
        };
        let known: Option<Known> = bundler.request("eth_getUserOperationByHash", [hash]).await?;
        Ok(known.filter(|known| self.hash(&known.operation) == hash))
    }

    async fn event_in(&self, transaction: B256, hash: B256) -> Result<Option<OperationEvent>, ReadError> {
        let Some(receipt) = patiently(|| self.node.receipt(transaction)).await? else {
            return Ok(None);
        };
        let mut events = receipt.operations(self.entry_point()).into_iter();
        Ok(events.find(|event| event.user_op_hash == hash))
    }

    /// Searches the logs, newest first.
    async fn logs(&self, hash: B256) -> Result<Result<Option<OperationEvent>, NotFound>, ReadError> {
        let head = self.node.head().await?;
        let filter = OperationFilter::default().hashes([hash]);
        let (first, last) = (self.options.from_block, head.number);
        let mut requests = self.options.most_log_requests;
        let mut end = Some(last);
        while let Some(to) = end.filter(|end| *end >= first) {
            let start = to.saturating_sub(self.node.log_page_size() - 1).max(first);
            // The window is read forwards, in as many pages as the node needs.
            let mut next = start;
            while next <= to {
                let not_found = |reason: &str| NotFound {
                    from: to.saturating_add(1),
                    to: last,
                    reason: Some(reason.to_owned()),
                    bundler_error: None,
                };
                if requests == 0 {
                    return Ok(Err(not_found("too many requests would be needed")));
                }
                requests -= 1;
                let page =
                    patiently(|| self.node.operations_page(self.entry_point(), &filter, next, to)).await;
                match page {
                    Ok(page) => {
                        if let Some(event) = page.operations.into_iter().next() {
                            return Ok(Ok(Some(event)));
                        }
                        next = page.to.saturating_add(1);
                    }
                    Err(error @ RequestError::Answered(_)) => return Ok(Err(not_found(&error.to_string()))),
                    Err(error) => return Err(error.into()),
                }
            }
            end = start.checked_sub(1);
        }
        Ok(Ok(None))
    }

    /// Explains the operations of a transaction.
    async fn transaction(&self, receipt: &TransactionReceipt) -> Result<Vec<Explanation>, ReadError> {
        let bundle = self.bundle(receipt.transaction_hash).await?;
        let events = receipt.operations(self.entry_point());
        let mut explanations = Vec::new();
        for event in &events {
            explanations.push((event.sender, event.user_op_hash));
        }
        // A transaction that failed as a whole has no events.
        for operation in &bundle {
            let hash = self.hash(operation);
            if !explanations.iter().any(|(_, known)| *known == hash) {
                explanations.push((operation.sender, hash));
            }
        }
        let is_own = |sender: &Address| *sender == self.account.address();
        if explanations.iter().any(|(sender, _)| is_own(sender)) {
            explanations.retain(|(sender, _)| is_own(sender));
        }
        let mut explained = Vec::new();
        for (sender, hash) in explanations {
            let event = events.iter().find(|event| event.user_op_hash == hash).cloned();
            let operation = bundle
                .iter()
                .find(|operation| self.hash(operation) == hash)
                .cloned();
            explained.push(self.explain(hash, sender, receipt, event, operation).await?);
        }
        Ok(explained)
    }

    async fn included(
        &self,
        event: OperationEvent,
        operation: Option<UserOperation>,
    ) -> Result<Explanation, ReadError> {
        let (hash, sender) = (event.user_op_hash, event.sender);
        let receipt = patiently(|| self.node.receipt(event.transaction_hash)).await?;
        let receipt = receipt.ok_or_else(|| {
            RequestError::unreadable(
                "eth_getTransactionReceipt",
                "null, of a transaction that has logs",
            )
        })?;
        let operation = match operation {
            Some(operation) => Some(operation),
            None => {
                let bundle = self.bundle(event.transaction_hash).await?;
                bundle.into_iter().find(|operation| self.hash(operation) == hash)
            }
        };
        self.explain(hash, sender, &receipt, Some(event), operation).await
    }

    async fn explain(
        &self,
        hash: B256,
        sender: Address,
        receipt: &TransactionReceipt,
        event: Option<OperationEvent>,
        operation: Option<UserOperation>,
    ) -> Result<Explanation, ReadError> {
        let has_succeeded = event.as_ref().is_some_and(|event| event.success);
        let outcome = match &operation {
            _ if has_succeeded => Became::Succeeded,
            None => Became::FailedUnexplained(
                "the operation is in no call data that can be seen, and no bundler has it".to_owned(),
            ),
            Some(operation) => {
                let signed = SignedOperation {
                    operation: operation.clone(),
                    hash,
                };
                let account = self.account_of(sender);
                match explain_failure(&account, &signed, receipt.transaction_hash).await {
                    Ok(Some(failure)) => Became::Failed(failure),
                    Ok(None) => Became::FailedUnexplained("its transaction no longer exists".to_owned()),
                    // For example, the node lacks the state before the block.
                    Err(error) => Became::FailedUnexplained(error.to_string()),
                }
            }
        };
        let (session_key, calls) = named(operation.as_ref());
        Ok(Explanation {
            user_op_hash: hash,
            sender,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
            operation,
            session_key,
            calls,
            event,
            outcome,
        })
    }

    async fn waiting(&self, hash: B256, operation: UserOperation) -> Result<Explanation, ReadError> {
        let (session_key, calls) = named(Some(&operation));
        let verdict = match session_key {
            Some(key) => Some(explain(&self.account_of(operation.sender), &operation, key).await?),
            None => None,
        };
        Ok(Explanation {
            user_op_hash: hash,
            sender: operation.sender,
            transaction_hash: None,
            block: None,
            session_key,
            calls,
            event: None,
            outcome: Became::Waiting(verdict),
            operation: Some(operation),
        })
    }

    /// Returns the operations that a transaction carries.
    async fn bundle(&self, transaction: B256) -> Result<Vec<UserOperation>, ReadError> {
        let carried = carried(self.node, self.entry_point(), transaction).await?;
        Ok(carried.map_or(Vec::new(), |carried| {
            carried.bundles.into_iter().flatten().collect()
        }))
    }
}

/// Returns an operation's session key and calls.
fn named(operation: Option<&UserOperation>) -> (Option<Address>, Vec<Call>) {
    let decoded = operation.and_then(|operation| decode_execute_with_session_key(&operation.call_data).ok());
    match decoded {
        Some((calls, session_key)) => (Some(session_key), calls),
        None => (None, Vec::new()),
    }
}
