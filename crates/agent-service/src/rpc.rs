//! JSON-RPC: envelopes and errors.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most requests in one batch.
pub const MOST_IN_BATCH: usize = 16;

/// An error of the service, as JSON-RPC has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// The code: JSON-RPC's, EIP-1193's or EIP-5792's.
    pub code: i64,
    /// What is wrong, in one sentence.
    pub message: String,
    /// More about it, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The codes of [`RpcError`].
pub mod code {
    /// The text is not JSON.
    pub const PARSE: i64 = -32_700;
    /// It is not a request.
    pub const REQUEST: i64 = -32_600;
    /// There is no such method.
    pub const METHOD: i64 = -32_601;
    /// The parameters are not the method's.
    pub const PARAMS: i64 = -32_602;
    /// The node, the store or the log failed.
    pub const INTERNAL: i64 = -32_603;
    /// The client asks for too much at once. Later, it may pass.
    pub const LIMIT: i64 = -32_005;
    /// The service is stopping.
    pub const STOPPING: i64 = -32_000;
    /// EIP-1193: the user, here by the client's policy or the key's permissions, refuses.
    pub const REJECTED: i64 = 4_001;
    /// EIP-1193: the token is not known, or the account is another.
    pub const UNAUTHORIZED: i64 = 4_100;
    /// EIP-5792: a capability that is not supported, and not optional.
    pub const CAPABILITY: i64 = 5_700;
    /// EIP-5792: another chain.
    pub const CHAIN: i64 = 5_710;
    /// EIP-5792: the id was used before.
    pub const DUPLICATE: i64 = 5_720;
    /// EIP-5792: no bundle has the id.
    pub const UNKNOWN: i64 = 5_730;
    /// EIP-5792: there are too many calls, or they are too long.
    pub const TOO_LARGE: i64 = 5_740;
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(code::PARAMS, message)
    }

    pub(crate) fn with(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Vec<Value>,
}

impl Request {
    /// Reads a request. The error comes with the id, if there is one.
    pub(crate) fn read(value: Value) -> Result<Self, (Value, RpcError)> {
        #[derive(Deserialize)]
        struct Envelope {
            jsonrpc: String,
            method: String,
            #[serde(default)]
            params: Value,
        }
        let id = value.get("id").cloned().unwrap_or_default();
        let wrong = |message: &str| RpcError::new(code::REQUEST, message);
        if !(id.is_string() || id.is_number()) {
            let error = wrong("a request has an id, which is a string or a number");
            return Err((Value::Null, error));
        }
        let envelope: Envelope = match serde_json::from_value(value) {
            Ok(envelope) => envelope,
            Err(_) => return Err((id, wrong("this is not a JSON-RPC request"))),
        };
        if envelope.jsonrpc != "2.0" {
            return Err((id, wrong("the version of JSON-RPC is 2.0")));
        }
        let params = match envelope.params {
            Value::Null => Vec::new(),
            Value::Array(params) => params,
            _ => return Err((id, RpcError::params("the parameters are an array"))),
        };
        Ok(Self {
            id,
            method: envelope.method,
            params,
        })
    }
}

/// Returns the answer to a request.
pub(crate) fn answer(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}
