//! A fork's past: what came before its first block, from the node that it was forked from.

use crate::{
    ErrorAnswer, HttpState, Testkit, Transport,
    rpc::code,
    transport::{Endpoint, Request},
};
use alloy::primitives::{B256, U64};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

/// Methods whose answer is null for what the fork does not have, by a hash.
const BY_HASH: [&str; 5] = [
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionByBlockHashAndIndex",
];
/// Methods with a block, at this index of their parameters.
const AT_BLOCK: [(&str, usize); 8] = [
    ("eth_getBlockByNumber", 0),
    ("eth_getBlockReceipts", 0),
    ("eth_getBalance", 1),
    ("eth_getTransactionCount", 1),
    ("eth_getCode", 1),
    ("eth_getStorageAt", 2),
    ("eth_call", 1),
    ("eth_estimateGas", 1),
];

impl Testkit {
    /// Another transport, which asks the node of a [fork](crate::Chain::fork) about what was before the fork:
    /// its blocks, transactions, receipts and logs, and the state after its blocks. Without it, a fork does
    /// not know them.
    #[must_use]
    pub fn with_history(&self, transport: Transport, node: HttpState) -> Transport {
        Transport::new(WithHistory {
            first_block: self.chain().first_block(),
            transport,
            node,
        })
    }
}

#[derive(Debug)]
struct WithHistory {
    first_block: u64,
    transport: Transport,
    node: HttpState,
}

type Raw = Result<Box<RawValue>, ErrorAnswer>;

impl WithHistory {
    fn ask_node(&self, method: &str, params: Value) -> Result<Value, ErrorAnswer> {
        self.node
            .request(method, params)
            .map_err(|error| ErrorAnswer::new(code::INTERNAL_ERROR, format!("the fork's node: {error}")))?
    }

    /// Whether a block is before the fork, by its number.
    fn is_earlier(&self, block: &Value) -> bool {
        match block.as_str() {
            Some("earliest") => true,
            _ => self.number(block).is_some_and(|number| number < self.first_block),
        }
    }

    fn number(&self, block: &Value) -> Option<u64> {
        let number = block.get("blockNumber").unwrap_or(block);
        let number = serde_json::from_value::<U64>(number.clone()).ok()?;
        Some(number.to())
    }

    fn own(&self, method: &str, params: &Value) -> Raw {
        let params = raw(params)?;
        let request = Request {
            method,
            params: Some(&params),
        };
        self.transport
            .answer(&[request])
            .pop()
            .unwrap_or_else(|| Err(ErrorAnswer::new(code::INTERNAL_ERROR, "no answer")))
    }

    /// Logs from both sides of the fork.
    fn logs(&self, params: Value) -> Raw {
        let filter = &params[0];
        if filter.get("blockHash").is_some_and(|hash| !hash.is_null()) {
            return match self.own("eth_getLogs", &params) {
                // It does not have the block.
                Err(_) => raw(&self.ask_node("eth_getLogs", params)?),
                found => found,
            };
        }
        let from = filter.get("fromBlock").cloned().unwrap_or_default();
        if !self.is_earlier(&from) {
            return self.own("eth_getLogs", &params);
        }
        let to = filter.get("toBlock").cloned().unwrap_or_default();
        if self.is_earlier(&to) {
            return raw(&self.ask_node("eth_getLogs", params)?);
        }
        let part = |member: &str, number: u64| {
            let mut params = params.clone();
            params[0][member] = Value::String(format!("{number:#x}"));
            params
        };
        let before = self.ask_node("eth_getLogs", part("toBlock", self.first_block.saturating_sub(1)))?;
        let after = self.own("eth_getLogs", &part("fromBlock", self.first_block))?;
        let after: Value = serde_json::from_str(after.get()).unwrap_or_default();
        match (before, after) {
            (Value::Array(mut logs), Value::Array(more)) => {
                logs.extend(more);
                raw(&Value::Array(logs))
            }
            _ => Err(ErrorAnswer::new(
                code::INTERNAL_ERROR,
                "the fork's node: no list of logs",
            )),
        }
    }

    fn answer_one(&self, request: &Request<'_>) -> Raw {
        let pass = || {
            self.transport
                .answer(std::slice::from_ref(request))
                .pop()
                .unwrap_or_else(|| Err(ErrorAnswer::new(code::INTERNAL_ERROR, "no answer")))
        };
        let Some(params) = request
            .params
            .and_then(|params| serde_json::from_str::<Value>(params.get()).ok())
            .filter(Value::is_array)
        else {
            return pass();
        };
        let method = request.method;
        if method == "eth_getLogs" {
            return self.logs(params);
        }
        let at_block = AT_BLOCK
            .iter()
            .find(|(name, _)| *name == method)
            .and_then(|(_, index)| params.get(index));
        if at_block.is_some_and(|block| self.is_earlier(block)) {
            return raw(&self.ask_node(method, params)?);
        }
        let answer = pass()?;
        let asks_by_hash = serde_json::from_value::<B256>(params[0].clone()).is_ok();
        if BY_HASH.contains(&method) && asks_by_hash && answer.get() == "null" {
            let found = self.ask_node(method, params)?;
            // What the node has after the fork is not on this chain.
            let of_block = found.get(0).unwrap_or(&found);
            let number = of_block.get("blockNumber").or_else(|| of_block.get("number"));
            return if number.is_some_and(|number| self.is_earlier(number)) {
                raw(&found)
            } else {
                Ok(answer)
            };
        }
        Ok(answer)
    }
}

impl Endpoint for WithHistory {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Raw> {
        requests.iter().map(|request| self.answer_one(request)).collect()
    }
}

fn raw(value: &Value) -> Raw {
    to_raw_value(value).map_err(|error| ErrorAnswer::new(code::INTERNAL_ERROR, error.to_string()))
}
