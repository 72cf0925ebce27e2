//! Error answers seen in the field, from nodes, bundlers, and servers in front of them.

use crate::spot::Step;

/// The API key in this world's URLs. It must not appear in any text that the client shows or stores.
pub(crate) const API_KEY: &str = "k3y-0f-4n-4p1-that-n0b0dy-may-s33";

/// The sender of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Node,
    Bundler,
    Both,
}

/// The kind of request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Any,
    /// Submits an operation or a transaction.
    Send,
    /// Any request that is not [`Self::Send`].
    Read,
    /// Reads the state at a block.
    State,
    /// Reads a block or a receipt.
    Lookup,
    /// Reads events.
    Logs,
    /// Estimates gas.
    Estimate,
}

/// The body of an HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The member `error` of a JSON-RPC answer.
    Error(&'static str),
    /// The member `result` of a JSON-RPC answer.
    Result(&'static str),
    /// The complete body.
    Raw(&'static str),
}

/// An answer seen in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    who: Who,
    when: When,
    pub(crate) status: u16,
    /// The header `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Body,
}

const fn said(who: Who, when: When, status: u16, body: Body) -> FieldError {
    FieldError {
        who,
        when,
        status,
        retry_after: None,
        body,
    }
}

const fn later(who: Who, status: u16, retry_after: u64, body: Body) -> FieldError {
    FieldError {
        who,
        when: When::Any,
        status,
        retry_after: Some(retry_after),
        body,
    }
}

use Body::{Error, Raw, Result as Res};
use When::{Any, Estimate, Logs, Lookup, Read, Send, State};
use Who::{Both, Bundler, Node};

/// All answers. Some were seen for requests that had been executed.
pub(crate) const FIELD_ERRORS: &[FieldError] = &[
    // Servers in front of nodes and bundlers.
    said(Both, Any, 401, Raw("")),
    said(
        Both,
        Any,
        401,
        Error(r#"{"code":-32000,"message":"Must be authenticated!"}"#),
    ),
    said(
        Both,
        Any,
        403,
        Raw("<html><head><title>403 Forbidden</title></head></html>"),
    ),
    said(Both, Any, 404, Raw("404 page not found")),
    said(
        Both,
        Any,
        413,
        Raw("<html><body>413 Request Entity Too Large</body></html>"),
    ),
    said(Both, Any, 429, Raw("")),
    later(Both, 429, 1, Raw("Too Many Requests")),
    later(
        Both,
        429,
        3,
        Error(r#"{"code":429,"message":"Your app has exceeded its compute units per second capacity."}"#),
    ),
    said(
        Both,
        Any,
        429,
        Error(
            r#"{"code":-32005,"message":"daily request count exceeded, request rate limited","data":{"rate":{"allowed_rps":1,"backoff_seconds":2}}}"#,
        ),
    ),
    said(Both, Any, 500, Raw("Internal Server Error")),
    said(
        Both,
        Any,
        502,
        Raw("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>"),
    ),
    said(
        Both,
        Any,
        503,
        Raw("upstream connect error or disconnect/reset before headers"),
    ),
    said(
        Both,
        Any,
        503,
        Raw(r#"{"message":"no healthy upstream https://node.example/v2/k3y-0f-4n-4p1-that-n0b0dy-may-s33"}"#),
    ),
    said(
        Both,
        Any,
        504,
        Raw("<html><body>504 Gateway Time-out</body></html>"),
    ),
    said(Both, Any, 524, Raw("error code: 524")),
    said(Both, Any, 200, Raw("")),
    said(
        Both,
        Any,
        200,
        Raw("<!DOCTYPE html><html><body>Checking your browser</body></html>"),
    ),
    said(Both, Any, 200, Raw("null")),
    said(Both, Any, 200, Raw("{}")),
    said(Both, Any, 200, Raw("ok")),
    said(
        Both,
        Any,
        302,
        Raw("<a href=\"https://login.example/k3y-0f-4n-4p1-that-n0b0dy-may-s33\">Found</a>"),
    ),
    // JSON-RPC in general.
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32000,"message":"context deadline exceeded"}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32000,"message":"internal error"}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32000,"message":"request timed out"}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(
            r#"{"code":-32000,"message":"Post \"https://node.example/v2/k3y-0f-4n-4p1-that-n0b0dy-may-s33\": EOF"}"#,
        ),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32603,"message":"Internal error"}"#),
    ),
    said(
        Both,
        Any,
        500,
        Error(r#"{"code":-32603,"message":"Internal JSON-RPC error."}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32005,"message":"rate limit exceeded"}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(
            r#"{"code":-32007,"message":"15/second request limit reached - reduce calls per second or upgrade your account"}"#,
        ),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32016,"message":"over rate limit"}"#),
    ),
    said(
        Both,
        Any,
        200,
        Error(r#"{"code":-32097,"message":"Your request rate is limited, try again in 400ms"}"#),
    ),
    said(
        Both,
        Any,
        400,
        Error(r#"{"message":"service temporarily unavailable"}"#),
    ),
    said(Both, Any, 200, Error(r#""backend is busy""#)),
    // Nodes, for reads.
    said(
        Node,
        State,
        200,
        Error(r#"{"code":-32000,"message":"header not found"}"#),
    ),
    said(
        Node,
        State,
        200,
        Error(r#"{"code":-32000,"message":"header for hash not found"}"#),
    ),
    said(
        Node,
        State,
        200,
        Error(r#"{"code":-32001,"message":"block not found: hash 0x00"}"#),
    ),
    said(
        Node,
        State,
        200,
        Error(
            r#"{"code":-32000,"message":"missing trie node 5c99 (path ) state 0x5c99 is not available, not found"}"#,
        ),
    ),
    said(
        Node,
        State,
        200,
        Error(r#"{"code":4444,"message":"pruned history unavailable"}"#),
    ),
    said(
        Node,
        Read,
        200,
        Error(r#"{"code":-32601,"message":"the method is not available on this plan"}"#),
    ),
    said(Node, Lookup, 200, Res("null")),
    said(Node, Logs, 200, Res("null")),
    said(
        Node,
        Logs,
        200,
        Error(r#"{"code":-32005,"message":"query returned more than 10000 results"}"#),
    ),
    said(
        Node,
        Logs,
        200,
        Error(r#"{"code":-32602,"message":"block range extends beyond current head block"}"#),
    ),
    said(
        Node,
        Logs,
        200,
        Error(r#"{"code":-32000,"message":"query timeout exceeded"}"#),
    ),
    // Nodes, for submitted transactions. Each was seen from nodes that had forwarded the transaction.
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32000,"message":"already known"}"#),
    ),
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32000,"message":"nonce too low: next nonce 8, tx nonce 7"}"#),
    ),
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32000,"message":"transaction already in mempool"}"#),
    ),
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32000,"message":"replacement transaction underpriced"}"#),
    ),
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32000,"message":"txpool is full"}"#),
    ),
    said(
        Node,
        Send,
        200,
        Error(
            r#"{"code":-32000,"message":"transaction underpriced: gas tip cap 1, minimum needed 1000000"}"#,
        ),
    ),
    said(
        Node,
        Send,
        200,
        Error(r#"{"code":-32003,"message":"transaction rejected"}"#),
    ),
    // Bundlers, for submitted operations.
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32602,"message":"already known"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32602,"message":"UserOperation already in mempool"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(
            r#"{"code":-32602,"message":"replacement op must increase maxFeePerGas and MaxPriorityFeePerGas by >= 10%"}"#,
        ),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32602,"message":"pending ops: replacement must have higher fees"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(
            r#"{"code":-32000,"message":"replacement underpriced","data":{"currentFee":"0x1","currentMaxPriorityFee":"0x1"}}"#,
        ),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32500,"message":"AA25 invalid account nonce"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32500,"message":"AA10 sender already constructed"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32500,"message":"AA21 didn't pay prefund"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32500,"message":"AA23 reverted (or OOG)"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32503,"message":"User Operation expires shortly, has AA22"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32507,"message":"AA24 signature error"}"#),
    ),
    said(
        Bundler,
        Send,
        400,
        Error(r#"{"message":"AA20 account not deployed"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32504,"message":"paymaster is throttled, too many operations"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32505,"message":"unstaked sender may have at most 4 operations in the mempool"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32521,"message":"execution reverted","data":{"revertData":"0x"}}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(
            r#"{"code":-32000,"message":"precheck failed: maxPriorityFeePerGas is 1 but must be at least 1000000"}"#,
        ),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32602,"message":"preVerificationGas is too low: 1, minimum 60000"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(r#"{"code":-32602,"message":"nonce too high"}"#),
    ),
    said(
        Bundler,
        Send,
        200,
        Error(
            r#"{"code":-32600,"message":"Invalid UserOperation for sender 0x00000000000000000000000078AA21ec"}"#,
        ),
    ),
    said(Bundler, Send, 200, Res("null")),
    said(Bundler, Send, 200, Res(r#""0x""#)),
    // Bundlers, for other requests.
    said(Bundler, Lookup, 200, Res("null")),
    said(Bundler, Lookup, 200, Res("{}")),
    said(Bundler, Lookup, 200, Res(r#""""#)),
    said(
        Bundler,
        Lookup,
        200,
        Error(r#"{"code":-32601,"message":"Missing/invalid userOpHash"}"#),
    ),
    said(
        Bundler,
        Estimate,
        200,
        Error(r#"{"code":-32000,"message":"could not simulate, try again"}"#),
    ),
    said(
        Bundler,
        Estimate,
        200,
        Error(r#"{"code":-32602,"message":"AA25 invalid account nonce"}"#),
    ),
];

impl FieldError {
    /// Returns whether an honest server could give this answer to such a request.
    fn fits(&self, is_node: bool, step: Step) -> bool {
        let by = match self.who {
            Both => true,
            Node => is_node,
            Bundler => !is_node,
        };
        let asked = match self.when {
            Any => true,
            Send => step == Step::Send,
            Read => step != Step::Send,
            State => matches!(step, Step::ReadNonce | Step::ReadState),
            Lookup => matches!(step, Step::Receipt | Step::Hint | Step::Header),
            Logs => step == Step::Logs,
            Estimate => step == Step::Estimate,
        };
        by && asked
    }

    /// Returns whether the error is about the operation or transaction, not about the server.
    pub(crate) fn is_judgement(&self) -> bool {
        self.when == Send
    }
}

/// Returns the indices of the answers that fit a request.
pub(crate) fn fitting(is_node: bool, step: Step) -> Vec<usize> {
    FIELD_ERRORS
        .iter()
        .enumerate()
        .filter(|(_, error)| error.fits(is_node, step))
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_errors_and_only_sending_has_judgements() {
        for step in Step::ALL {
            assert!(fitting(true, step).len() > 20 && fitting(false, step).len() > 20);
        }
        let to_a_bundler = fitting(false, Step::Send);
        assert!(
            to_a_bundler
                .iter()
                .any(|index| FIELD_ERRORS[*index].is_judgement())
        );
        assert!(
            fitting(false, Step::Fees)
                .iter()
                .all(|index| !FIELD_ERRORS[*index].is_judgement())
        );
        assert!(FIELD_ERRORS.len() >= 60);
    }

    #[test]
    fn errors_and_results_are_valid_json() {
        for FieldError { body, .. } in FIELD_ERRORS {
            if let Error(text) | Res(text) = body {
                assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
            }
        }
    }
}
