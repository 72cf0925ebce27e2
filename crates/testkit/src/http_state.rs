//! A node's state, over HTTP.

use crate::{
    ChainConfig, ChainError, ErrorAnswer,
    fork::{SourceAccount, SourceError, StateSource},
};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// Time limit of a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum size of an answer, in bytes: far more than the longest code in hex, and enough for many logs.
const MAX_BODY: u64 = 32 * 1024 * 1024;

/// A node's state after one block, fetched over HTTP without TLS: for a node on this machine, or behind a
/// local proxy. Old blocks need an archive node.
///
/// Neither its errors nor its `Debug` contain the URL, which may hold an API key.
///
/// ```no_run
/// use session_key_testkit::{Chain, HttpState};
/// use std::sync::Arc;
///
/// let (state, config) = HttpState::connect("http://127.0.0.1:8545", None)?;
/// let chain = Chain::fork(config, Arc::new(state));
/// # Ok::<(), session_key_testkit::ChainError>(())
/// ```
#[derive(Clone)]
pub struct HttpState {
    agent: ureq::Agent,
    url: String,
    block: u64,
}

impl fmt::Debug for HttpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpState")
            .field("block", &self.block)
            .finish_non_exhaustive()
    }
}

impl HttpState {
    /// Connects to a node, and reads its chain id and a block, the latest by default. Also returns a
    /// configuration for a chain on top: the chain id, and a first block that follows this one, with its base
    /// fee and gas limit.
    ///
    /// # Errors
    ///
    /// [`ChainError::Source`] if the node does not answer, or does not have the block.
    pub fn connect(url: &str, block: Option<u64>) -> Result<(Self, ChainConfig), ChainError> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        let mut state = Self {
            agent,
            url: url.to_owned(),
            block: 0,
        };
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: SourceError| ChainError::Source {
                what,
                reason: error.0,
            }
        };
        let chain_id: U64 = state
            .ask("eth_chainId", json!([]))
            .map_err(failed("the chain id"))?;
        let tag = block.map_or_else(|| json!("latest"), |number| json!(U64::from(number)));
        let header: Value = state
            .ask("eth_getBlockByNumber", json!([tag, false]))
            .map_err(failed("the block"))?;
        if let (true, Some(number)) = (header.is_null(), block) {
            let reason = SourceError(format!("the node has no block {number}"));
            return Err(failed("the block")(reason));
        }
        let number = |member: &str| -> Result<u64, ChainError> {
            serde_json::from_value::<U64>(header[member].clone())
                .map(|number| number.to())
                .map_err(|_| {
                    let reason = SourceError(format!("there is no block with a {member}"));
                    failed("the block")(reason)
                })
        };
        state.block = number("number")?;
        if state.block > u64::MAX / 2 {
            let reason = SourceError(format!("there is no block {} yet", state.block));
            return Err(failed("the block")(reason));
        }
        let config = ChainConfig {
            chain_id: chain_id.to(),
            first_block: state.block.saturating_add(1),
            genesis_timestamp: number("timestamp")?.saturating_add(1),
            gas_limit: number("gasLimit")?,
            base_fee: number("baseFeePerGas")?,
            ..ChainConfig::default()
        };
        Ok((state, config))
    }

    /// Returns the number of the state's block.
    #[must_use]
    pub const fn block(&self) -> u64 {
        self.block
    }

    /// Asks the node. The inner error is the node's own.
    pub(crate) fn request(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Result<Value, ErrorAnswer>, SourceError> {
        let failed = |problem: &str| SourceError(format!("{method}: {problem}"));
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.agent.post(&self.url).send_json(request);
        // The client's error may contain the URL: report only its kind.
        let mut answer = answer.map_err(|error| match error {
            ureq::Error::StatusCode(status) => failed(&format!("http status {status}")),
            ureq::Error::Timeout(_) => failed("no answer in time"),
            _ => failed("the node cannot be reached"),
        })?;
        let mut answer: Value = answer
            .body_mut()
            .with_config()
            .limit(MAX_BODY)
            .read_json()
            .map_err(|_| failed("the answer is not json, or too long"))?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            let message = error.get("message").and_then(Value::as_str);
            return Ok(Err(ErrorAnswer {
                code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
                message: message.unwrap_or("unnamed error").to_owned(),
                data: error.get("data").cloned(),
            }));
        }
        Ok(Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()))
    }

    fn ask<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, SourceError> {
        let failed = |problem: &str| SourceError(format!("{method}: {problem}"));
        // A node's words may quote its URL.
        let result = self
            .request(method, params)?
            .map_err(|error| failed(&format!("the node answers error {}", error.code)))?;
        serde_json::from_value(result).map_err(|_| failed("the answer is not what it has to be"))
    }

    fn at_block(&self) -> Value {
        json!(U64::from(self.block))
    }
}

impl StateSource for HttpState {
    fn account(&self, address: Address) -> Result<SourceAccount, SourceError> {
        let params = json!([address, self.at_block()]);
        let nonce: U64 = self.ask("eth_getTransactionCount", params.clone())?;
        Ok(SourceAccount {
            balance: self.ask("eth_getBalance", params.clone())?,
            nonce: nonce.to(),
            code: self.ask::<Bytes>("eth_getCode", params)?,
        })
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        self.ask("eth_getStorageAt", json!([address, slot, self.at_block()]))
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        let header: Value = self.ask("eth_getBlockByNumber", json!([U64::from(number), false]))?;
        serde_json::from_value(header["hash"].clone()).map_err(|_| {
            SourceError(format!(
                "eth_getBlockByNumber: there is no block {number} with a hash"
            ))
        })
    }
}
