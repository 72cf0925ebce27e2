//! Interprets errors of bundlers and nodes.
//!
//! They are judged by their content: the EntryPoint's codes, revert data, the words that bundlers and nodes
//! use, and the few error codes defined by ERC-4337 and JSON-RPC. An error that is not understood never
//! counts as a refusal.

use super::{EstimateError, Refusal, Sent};
use crate::{
    operation::{NotTaken, NotTakenReason},
    permissions::{AaCode, SignedOperation, UserOperation},
    request::{ErrorAnswer, RequestError, clean},
    revert::Revert,
};
use alloy::primitives::{B256, U256};

/// The name of bundlers in errors.
pub(super) const BUNDLER: &str = "bundler";
/// The name of nodes in errors.
pub(super) const NODE: &str = "node";

/// ERC-4337: the operation's call reverted.
const CALL_REVERTED: i64 = -32521;
/// ERC-4337: it has expired, expires too soon, or is not due.
const NOT_AT_THIS_TIME: i64 = -32503;
/// ERC-4337: the account, the factory or the paymaster is throttled or banned.
const THROTTLED: i64 = -32504;
/// ERC-4337: one of them has too little stake.
const STAKE: i64 = -32505;
/// ERC-4337: the account's or the paymaster's signature is wrong.
const SIGNATURE: i64 = -32507;

/// The meaning of an error about a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// The other side already has it.
    Known,
    /// The other side refuses it.
    NotTaken(NotTakenReason),
    /// Unknown: it may have been accepted.
    Nothing,
}

/// Interprets the error of handing an operation to a bundler.
pub(super) fn sent_to_bundler(operation: &SignedOperation, error: RequestError) -> Sent {
    let said = |answer: &ErrorAnswer| bundler_said(answer, &operation.operation, Some(operation.hash));
    sent(BUNDLER, error, said)
}

/// Interprets the error of handing a transaction to a node. If the transaction did not leave, it is
/// [`Sent::NeverLeft`].
pub(crate) fn sent_to_node(error: RequestError) -> Sent {
    sent(NODE, error, node_said)
}

fn sent(by: &str, error: RequestError, said: impl Fn(&ErrorAnswer) -> Said) -> Sent {
    let not_taken = |code, message: &str, reason| {
        Sent::NotTaken(NotTaken {
            by: by.to_owned(),
            code,
            message: message.to_owned(),
            reason,
        })
    };
    match &error {
        RequestError::NotReached { .. } | RequestError::NotMade { .. } => Sent::NeverLeft { error },
        RequestError::TurnedAway { status, message } => {
            not_taken(None, message, NotTakenReason::TurnedAway { status: *status })
        }
        RequestError::RateLimited { message, retry_after } => {
            let retry_after = *retry_after;
            not_taken(None, message, NotTakenReason::RateLimited { retry_after })
        }
        RequestError::Answered(answer) => match said(answer) {
            Said::Known => Sent::Taken,
            Said::NotTaken(NotTakenReason::Refused(refusal)) => {
                not_taken(answer.code, &answer.message, reason_of(refusal))
            }
            Said::NotTaken(reason) => not_taken(answer.code, &answer.message, reason),
            Said::Nothing => Sent::NoAnswer { error },
        },
        _ => Sent::NoAnswer { error },
    }
}

/// Converts a refusal to the reason for not accepting an operation: insufficient funds are not a verdict on
/// the operation.
pub(super) fn reason_of(refusal: Refusal) -> NotTakenReason {
    if refusal.code == Some(AaCode::PrefundNotPaid) {
        NotTakenReason::Funds
    } else {
        NotTakenReason::Refused(refusal)
    }
}

/// Interprets a bundler's error of an estimate.
pub(super) fn not_estimated(operation: &UserOperation, error: RequestError) -> EstimateError {
    let said = error
        .answer()
        .map(|answer| (answer, bundler_said(answer, operation, None)));
    match said {
        Some((_, Said::NotTaken(NotTakenReason::Refused(refusal)))) => EstimateError::Refused(refusal),
        Some((_, Said::NotTaken(NotTakenReason::WouldRevert { revert }))) => {
            EstimateError::WouldRevert(revert)
        }
        Some((answer, Said::NotTaken(reason))) => EstimateError::NotTaken(NotTaken {
            by: BUNDLER.to_owned(),
            code: answer.code,
            message: answer.message.clone(),
            reason,
        }),
        Some((_, Said::Known | Said::Nothing)) | None => EstimateError::Request {
            by: BUNDLER.to_owned(),
            error,
        },
    }
}

// ---- Bundlers

/// Interprets a bundler's error about an operation.
fn bundler_said(answer: &ErrorAnswer, operation: &UserOperation, hash: Option<B256>) -> Said {
    let words = answer.message.to_ascii_lowercase();
    let words = words.as_str();
    let code = AaCode::find(&answer.message);
    let refused = |code, cause| {
        Said::NotTaken(NotTakenReason::Refused(Refusal {
            code,
            reason: answer.message.clone(),
            cause,
        }))
    };
    let data = answer.data.as_ref().filter(|data| !data.is_empty());
    let revert = data.map(|data| Revert::decode(data));

    if is_known(words, code, hash) {
        return Said::Known;
    }
    if is_replacement(words, code) {
        return Said::NotTaken(NotTakenReason::ReplacementUnderpriced);
    }
    // Some use "AA25" for this as well.
    if any(words, &TOO_MANY) {
        return Said::NotTaken(NotTakenReason::Reputation);
    }
    if let Some(Revert::FailedOp(failed)) = &revert {
        return Said::NotTaken(NotTakenReason::Refused(Refusal {
            code: failed.code,
            reason: clean(&failed.reason),
            cause: None,
        }));
    }
    if code.is_some() {
        return refused(code, revert);
    }
    // ERC-4337's codes for validation failures.
    let is_judgement = answer.code.is_some_and(|code| (-32599..=-32500).contains(&code));
    if answer.code == Some(CALL_REVERTED) || !is_judgement && answer.revert().is_some() {
        // Empty data says less than the words.
        let tells = |revert: &Revert| !matches!(revert, Revert::Unknown(data) if data.is_empty());
        let revert = revert
            .or_else(|| answer.revert())
            .filter(tells)
            .unwrap_or_else(|| Revert::Error(answer.message.clone()));
        return Said::NotTaken(NotTakenReason::WouldRevert { revert });
    }
    if !is_judgement && is_interrupted(words) {
        return Said::Nothing;
    }

    let is_low = any(words, &LOW);
    let is_paymaster = words.contains("paymaster");
    if is_low && any(words, &PRE_VERIFICATION_GAS) {
        let least = least(words);
        return Said::NotTaken(NotTakenReason::PreVerificationGasTooLow { least });
    }
    if any(words, &FUNDS) || is_low && has_word(words, &["balance", "deposit", "prefund"]) {
        return if is_paymaster {
            refused(Some(AaCode::PaymasterDepositTooLow), revert)
        } else {
            Said::NotTaken(NotTakenReason::Funds)
        };
    }
    if is_fee_too_low(words) {
        return Said::NotTaken(NotTakenReason::FeeTooLow { least: least(words) });
    }
    if matches!(answer.code, Some(THROTTLED | STAKE)) || is_reputation(words) {
        return Said::NotTaken(NotTakenReason::Reputation);
    }
    if any(words, &NONCE_AHEAD) {
        return Said::NotTaken(NotTakenReason::NonceAhead);
    }
    if any(words, &NONCE_USED) {
        return refused(Some(AaCode::InvalidNonce), revert);
    }
    if answer.code == Some(NOT_AT_THIS_TIME) || any(words, &TIME) {
        let code = if is_paymaster {
            AaCode::PaymasterExpiredOrNotDue
        } else {
            AaCode::ExpiredOrNotDue
        };
        return refused(Some(code), revert);
    }
    if answer.code == Some(SIGNATURE) || any(words, &WRONG_SIGNATURE) {
        let has_paymaster = !operation.paymaster_and_data.is_empty();
        let code = match (has_paymaster, is_paymaster) {
            (false, _) => Some(AaCode::AccountSignature),
            (true, true) => Some(AaCode::PaymasterSignature),
            (true, false) => has_word(words, &["account", "sender"]).then_some(AaCode::AccountSignature),
        };
        return refused(code, revert);
    }
    if words.contains("is an existing contract") {
        return refused(Some(AaCode::SenderAlreadyConstructed), revert);
    }
    if words.contains("is not a contract") || words.contains("paymaster with no code") {
        let code = if is_paymaster {
            AaCode::PaymasterNotDeployed
        } else {
            AaCode::AccountNotDeployed
        };
        return refused(Some(code), revert);
    }
    match answer.code {
        // The EntryPoint, the account or the paymaster.
        Some(-32500 | -32501) => refused(None, revert),
        _ if is_judgement || is_of_request(answer.code) || any(words, &CHECKED_FIRST) => {
            Said::NotTaken(NotTakenReason::Other)
        }
        _ => Said::Nothing,
    }
}

/// Words about operations that failed a bundler's own checks, before anything else.
const CHECKED_FIRST: [&str; 3] = [
    "precheck failed",
    "invalid useroperation",
    "invalid user operation",
];

/// JSON-RPC's codes for requests that are not processed: parse error, invalid request, unknown method,
/// invalid parameters.
const fn is_of_request(code: Option<i64>) -> bool {
    matches!(code, Some(-32700 | -32600 | -32601 | -32602))
}

/// Whether a bundler already has this operation.
fn is_known(words: &str, code: Option<AaCode>, hash: Option<B256>) -> bool {
    let is_there = any(
        words,
        &[
            "already known",
            "already imported",
            "known transaction",
            "known user operation",
            "known userop",
            "already in mempool",
            "already in the mempool",
            "already in pool",
            "already in the pool",
            "already in the txpool",
            "already present",
            "already pending",
            "already submitted",
            "already received",
            "already included",
            "already been included",
            "duplicate user operation",
            "duplicate userop",
            "duplicate operation",
        ],
    ) || words.contains("already exists")
        && any(words, &["operation", "userop", "same hash", "mempool"]);
    // Another one, with its nonce or for its account.
    let is_another = any(
        words,
        &[
            "unknown",
            "another",
            "different",
            "conflict",
            "bump",
            "replac",
            "higher",
            "increase",
            "nonce",
            "sender already",
            "account already",
            "initcode",
        ],
    );
    let names_it = hash.is_some_and(|hash| words.contains(&format!("{hash:#x}")));
    is_there && (names_it || code.is_none() && !is_another)
}

/// Whether another operation with the nonce blocks it.
fn is_replacement(words: &str, code: Option<AaCode>) -> bool {
    let is_in_pool = any(
        words,
        &["mempool", "in pool", "in the pool", "already present", "pending"],
    );
    if words.contains("replac")
        && any(
            words,
            &[
                "higher",
                "underpriced",
                "must",
                "fee",
                "price",
                "too low",
                "cannot",
                "increase",
            ],
        )
        || words.contains("bump") && any(words, &["gas", "fee"])
    {
        return matches!(
            code,
            None | Some(AaCode::InvalidNonce | AaCode::SenderAlreadyConstructed)
        );
    }
    match code {
        Some(AaCode::InvalidNonce) => is_in_pool,
        Some(_) => false,
        None => {
            words.contains("nonce")
                && is_in_pool
                && any(
                    words,
                    &["already", "conflict", "another", "different", "same nonce"],
                )
        }
    }
}

/// Whether processing was interrupted before a verdict.
fn is_interrupted(words: &str) -> bool {
    any(
        words,
        &[
            "timeout",
            "timed out",
            "time out",
            "deadline",
            "unavailable",
            "connection",
            "gateway",
        ],
    )
}

fn is_fee_too_low(words: &str) -> bool {
    words.contains("underpriced")
        || any(words, &LOW)
            && (any(words, &["fee", "gas price", "gasprice", "gas tip", "tip cap"]))
            && !any(words, &["verificationgaslimit", "callgaslimit"])
}

fn is_reputation(words: &str) -> bool {
    has_word(
        words,
        &[
            "stake",
            "staked",
            "unstaked",
            "throttled",
            "banned",
            "reputation",
            "blacklisted",
            "blocklisted",
        ],
    )
}

const TOO_MANY: [&str; 9] = [
    "too many op",
    "too many user op",
    "too many userop",
    "too many pending op",
    "max operations",
    "maximum number of operations",
    "maximum number of parallel user operations",
    "maximum number of queued user operations",
    "maximum userops",
];

const PRE_VERIFICATION_GAS: [&str; 4] = [
    "preverificationgas",
    "pre-verification gas",
    "pre verification gas",
    "pre_verification_gas",
];
const LOW: [&str; 13] = [
    "at least",
    "too low",
    "not enough",
    "below",
    "less than",
    "lower than",
    "minimum",
    "insufficient",
    "too small",
    "must be >=",
    "is low",
    "not high enough",
    "must be greater",
];
const FUNDS: [&str; 9] = [
    "insufficient funds",
    "insufficient balance",
    "insufficient deposit",
    "insufficient prefund",
    "not enough funds",
    "not enough balance",
    "balance and deposit",
    "pay prefund",
    "deposit too low",
];
const NONCE_AHEAD: [&str; 7] = [
    "nonce too high",
    "nonce is too high",
    "nonce too far",
    "nonce is too far",
    "nonce gap",
    "future nonce",
    "nonce in the future",
];
const NONCE_USED: [&str; 8] = [
    "invalid nonce",
    "invalid account nonce",
    "nonce too low",
    "nonce is too low",
    "nonce already used",
    "nonce is already used",
    "nonce has already been used",
    "stale nonce",
];
const TIME: [&str; 7] = [
    "validuntil",
    "validafter",
    "valid until",
    "valid after",
    "operation expired",
    "operation has expired",
    "expires shortly",
];
const WRONG_SIGNATURE: [&str; 6] = [
    "invalid signature",
    "wrong signature",
    "signature error",
    "signature check failed",
    "signature validation failed",
    "invalid userop signature",
];

// ---- Nodes

/// Interprets a node's error about a transaction.
fn node_said(answer: &ErrorAnswer) -> Said {
    let words = answer.message.to_ascii_lowercase();
    let words = words.as_str();
    let is_another = words.contains("replac") || words.contains("nonce");
    if !is_another
        && !words.contains("unknown")
        && any(
            words,
            &[
                "already known",
                "known transaction",
                "already imported",
                "already in mempool",
                "already in the mempool",
                "already in pool",
                "already in the pool",
                "already in the txpool",
                "already exists",
                "alreadyknown",
                "already_exists",
            ],
        )
    {
        return Said::Known;
    }
    // Errors that may result from the transaction's own inclusion, and ambiguous ones.
    if is_another || is_interrupted(words) {
        return Said::Nothing;
    }
    if any(words, &FUNDS) {
        return Said::NotTaken(NotTakenReason::Funds);
    }
    if is_fee_too_low(words) {
        return Said::NotTaken(NotTakenReason::FeeTooLow { least: least(words) });
    }
    let is_refused = any(
        words,
        &[
            "intrinsic gas too low",
            "intrinsic gas too high",
            "floor data gas",
            "block gas limit",
            "exceeds gas limit",
            "gas limit too high",
            "gas limit is too high",
            "exceeds the configured cap",
            "higher than max fee per gas",
            "oversized data",
            "type not supported",
            "invalid sender",
            "invalid chain id",
            "invalid signature",
            "not replay-protected",
        ],
    );
    if is_refused || is_of_request(answer.code) {
        return Said::NotTaken(NotTakenReason::Other);
    }
    Said::Nothing
}

// ---- Words and numbers

fn any(words: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| words.contains(part))
}

/// Whether the text contains one of these as a word.
fn has_word(words: &str, looked_for: &[&str]) -> bool {
    words
        .split(|character: char| !character.is_alphanumeric())
        .any(|word| looked_for.contains(&word))
}

/// Returns the minimum that a text names, in wei or gas units: the number after an announcing phrase. The
/// text is in lower case.
fn least(words: &str) -> Option<U256> {
    const MARKS: [&str; 11] = [
        "at least",
        "minimum",
        "required",
        ">=",
        "expected",
        "basefee",
        "base fee",
        "below",
        "less than",
        "lower than",
        "greater than",
    ];
    MARKS.iter().find_map(|mark| {
        words
            .match_indices(mark)
            .find_map(|(at, _)| first_number(words.get(at + mark.len()..)?))
    })
}

/// Returns the first number within the next few words.
fn first_number(text: &str) -> Option<U256> {
    const FARTHEST: usize = 24;
    let at = text
        .char_indices()
        .take(FARTHEST)
        .find(|(_, character)| character.is_ascii_digit())
        .map(|(at, _)| at)?;
    // A digit within a word does not start a number.
    let is_within_word = text[..at]
        .chars()
        .next_back()
        .is_some_and(|before| before.is_alphanumeric() || matches!(before, '_' | '.' | '-'));
    if is_within_word {
        return None;
    }
    let text = &text[at..];
    if let Some(digits) = text.strip_prefix("0x") {
        let end = digits
            .find(|character: char| !character.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        // Addresses and hashes are longer than any amount.
        let digits = digits[..end].trim_start_matches('0');
        return match (end, digits.len()) {
            (0, _) | (40 | 64, _) | (_, 33..) => None,
            (_, 0) => Some(U256::ZERO),
            _ => U256::from_str_radix(digits, 16).ok(),
        };
    }
    decimal(text)
}

/// Parses a decimal number with its unit: wei or gas units by default, else gwei.
fn decimal(text: &str) -> Option<U256> {
    const GWEI_DIGITS: usize = 9;
    const MOST_DIGITS: usize = 40;
    let mut whole = String::new();
    let mut rest = text;
    loop {
        let end = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        whole.push_str(&rest[..end]);
        rest = &rest[end..];
        // With thousands separators: "1,500,000".
        let Some(after) = rest.strip_prefix([',', '_']) else {
            break;
        };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits != 3 {
            break;
        }
        rest = after;
    }
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let end = after
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(after.len());
        if end > 0 {
            (fraction, rest) = after.split_at(end);
        }
    }
    if whole.len() > MOST_DIGITS || rest.starts_with('%') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let unit: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let whole = U256::from_str_radix(&whole, 10).ok()?;
    match unit.as_str() {
        "gwei" => {
            let kept = fraction.get(..GWEI_DIGITS).unwrap_or(fraction);
            let part = U256::from_str_radix(&format!("{kept:0<GWEI_DIGITS$}"), 10).ok()?;
            // Fractions of a wei are rounded up.
            let more = U256::from(u8::from(fraction.len() > GWEI_DIGITS));
            whole
                .checked_mul(U256::from(1_000_000_000))?
                .checked_add(part)?
                .checked_add(more)
        }
        "ether" | "eth" | "mwei" | "kwei" => None,
        _ => fraction.is_empty().then_some(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        operation::{Open, Outcome},
        revert::PluginError,
    };
    use alloy::{
        primitives::Bytes,
        sol_types::SolError,
        transports::{TransportError, TransportErrorKind},
    };
    use serde_json::{Value, json};

    const HASH: B256 = B256::repeat_byte(0xab);

    fn signed() -> SignedOperation {
        SignedOperation {
            operation: UserOperation::default(),
            hash: HASH,
        }
    }

    /// Formats a JSON-RPC error as transports report it.
    fn error(code: i64, message: &str, data: Value) -> RequestError {
        let payload = json!({ "code": code, "message": message, "data": data });
        RequestError::of(
            "",
            &TransportError::ErrorResp(serde_json::from_value(payload).unwrap()),
        )
    }

    fn bundler(code: i64, message: &str) -> Sent {
        sent_to_bundler(&signed(), error(code, message, Value::Null))
    }

    fn node(code: i64, message: &str) -> Sent {
        sent_to_node(error(code, message, Value::Null))
    }

    fn reason(sent: Sent) -> NotTakenReason {
        match sent {
            Sent::NotTaken(not_taken) => not_taken.reason,
            sent => panic!("{sent:?}"),
        }
    }

    fn refused(sent: Sent) -> Refusal {
        match reason(sent) {
            NotTakenReason::Refused(refusal) => refusal,
            reason => panic!("{reason:?}"),
        }
    }

    const fn gwei(tenths: u64) -> u64 {
        tenths * 100_000_000
    }

    #[test]
    fn too_low_fees_are_recognized() {
        let fee = |number: u64| Some(U256::from(number));
        for (code, message, least) in [
            (
                -32000,
                "precheck failed: maxPriorityFeePerGas is 336339 but must be at least 100000000",
                fee(100_000_000),
            ),
            (
                -32000,
                "precheck failed: max priority fee is 1 but must be at least 0x2540be400",
                fee(10_000_000_000),
            ),
            (
                -32602,
                "maxFeePerGas must be at least 1500000000 (current maxFeePerGas: 1000000000) - use \
                 pimlico_getUserOperationGasPrice to get the current gas price",
                fee(1_500_000_000),
            ),
            (
                -32000,
                "precheck failed: maxFeePerGas is 7 but must be at least 9, which is based on the current block base fee",
                fee(9),
            ),
            (
                -32602,
                "maxFeePerGas in userOp: 10 is lower than expected maxFeePerGas: 20",
                fee(20),
            ),
            (
                -32602,
                "Max fee per gas is too low. it should be minimum : 0x0a",
                fee(10),
            ),
            (-32000, "fee too low: 0.5 gwei, minimum 1.5 gwei", fee(gwei(15))),
            (
                -32000,
                "fee too low, minimum is 1,500,000,000 wei",
                fee(1_500_000_000),
            ),
            (
                -32000,
                "max fee too low: at least 1.0000000001 Gwei",
                fee(gwei(10) + 1),
            ),
            (-32000, "maxPriorityFeePerGas must be at least 2 ether", None),
            (-32602, "maxFeePerGas is too low", None),
            (-32602, "priority fee too low", None),
            (-32603, "userOperation underpriced", None),
            (-32000, "user operation fee must be at least 10% more", None),
            (
                -32000,
                "gas price below minimum for sender 0x00000000000000000000000000000000078aa21e",
                None,
            ),
        ] {
            let expected = NotTakenReason::FeeTooLow { least };
            assert_eq!(reason(bundler(code, message)), expected, "{message}");
        }
    }

    #[test]
    fn too_low_pre_verification_gas_is_recognized() {
        for (code, message, least) in [
            (
                -32000,
                "precheck failed: preVerificationGas is 1133120 but must be at least 2490360",
                Some(2_490_360),
            ),
            (
                -32602,
                "preVerificationGas is not enough, required: 67500, got: 50000",
                Some(67_500),
            ),
            (
                -32602,
                "preVerificationGas: below expected gas of 48304",
                Some(48_304),
            ),
            (
                -32602,
                "preVerificationGas too low: expected at least 45000, provided only 44000",
                Some(45_000),
            ),
            (
                -32602,
                "userOp.preVerificationGas too low: expected 45000 but got 44000",
                Some(45_000),
            ),
            (-32602, "pre-verification gas is too low", None),
        ] {
            let least = least.map(U256::from);
            let expected = NotTakenReason::PreVerificationGasTooLow { least };
            assert_eq!(reason(bundler(code, message)), expected, "{message}");
        }
    }

    #[test]
    fn a_blocking_operation_is_not_mistaken_for_this_one() {
        for message in [
            "Invalid UserOp. Replacement op must have higher fees",
            "replacement underpriced",
            "replacement must have higher fees",
            "Replacement operation underpriced. Existing priority fee: 1. Existing fee: 2",
            "Replacement UserOperation must have higher maxPriorityFeePerGas (old=1 new=1)",
            "pending ops: replacement op must increase maxFeePerGas and MaxPriorityFeePerGas by >= 10%",
            "AA25 invalid account nonce: User operation already present in mempool, bump the gas price by minimum 10%",
            "AA25 invalid account nonce: User operation is already in mempool and getting processed with same nonce and \
             sender",
            "AA10 sender already constructed: A conflicting userOperation with initCode for this sender is already in the \
             mempool. bump the gas price by minimum 10%",
            "invalid UserOperation struct/fields: a UserOperation with nonce 0x1 is already in the mempool for sender 0x0 \
             (maxFeePerGas: 0x1)",
        ] {
            for code in [-32602, -32500, -32000, -32603] {
                let expected = NotTakenReason::ReplacementUnderpriced;
                assert_eq!(reason(bundler(code, message)), expected, "{message}");
            }
        }
    }

    #[test]
    fn a_known_operation_counts_as_accepted() {
        let named = format!("AA25 nonce: user operation {HASH:#x} is already in the mempool");
        for message in [
            "Already known",
            "Operation already known",
            "user operation already present",
            "userop already exists in mempool",
            "UserOperation with the same hash already exists",
            "already imported",
            "Duplicate user operation",
            "userOp was already included in a block",
            &named,
        ] {
            assert_eq!(bundler(-32602, message), Sent::Taken, "{message}");
        }
        for message in [
            "unknown user operation",
            &format!("{HASH:#x} is unknown"),
            &format!("the nonce of {HASH:#x} was already used"),
            "another user operation is already pending",
            "sender already exists",
            "the account already exists: initCode must be empty",
        ] {
            assert_ne!(bundler(-32602, message), Sent::Taken, "{message}");
        }
    }

    #[test]
    fn entry_point_codes_are_found_in_all_places() {
        for (code, message, aa_code) in [
            (
                -32500,
                "account validation failed: AA24 signature error",
                AaCode::AccountSignature,
            ),
            (-32000, "AA23 reverted (or OOG)", AaCode::AccountReverted),
            (
                -32521,
                "UserOperation reverted during simulation with reason: AA23 reverted",
                AaCode::AccountReverted,
            ),
            (
                -32603,
                "internal error: AA25 invalid account nonce",
                AaCode::InvalidNonce,
            ),
            (
                -32602,
                "AA10 sender already constructed",
                AaCode::SenderAlreadyConstructed,
            ),
            (-32000, "request timed out after AA25", AaCode::InvalidNonce),
            // In words only.
            (-32500, "invalid nonce", AaCode::InvalidNonce),
            (
                -32000,
                "precheck failed: sender 0x00 is an existing contract, but initCode is nonempty",
                AaCode::SenderAlreadyConstructed,
            ),
            (
                -32000,
                "precheck failed: sender 0x00 is not a contract and initCode is empty",
                AaCode::AccountNotDeployed,
            ),
            (
                -32000,
                "precheck failed: paymaster deposit is 1 but must be at least 5 to pay for this operation",
                AaCode::PaymasterDepositTooLow,
            ),
            (
                -32000,
                "precheck failed: paymasterAndData indicates paymaster with no code: 0x00",
                AaCode::PaymasterNotDeployed,
            ),
            (-32507, "wrong signature", AaCode::AccountSignature),
            (-32503, "too late", AaCode::ExpiredOrNotDue),
            (
                -32503,
                "the paymaster's consent is over",
                AaCode::PaymasterExpiredOrNotDue,
            ),
        ] {
            assert_eq!(refused(bundler(code, message)).code, Some(aa_code), "{message}");
        }
        // Letters in an address are not a code.
        let sent = bundler(
            -32000,
            "failed for sender 0x0000000000000000000000000000000078AA21ec",
        );
        assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
        // Without its own code, in the body of an HTTP error.
        let body = r#"{"jsonrpc":"2.0","id":1,"error":{"message":"AA20 account not deployed"}}"#;
        let error = RequestError::from(&TransportErrorKind::http_error(400, body.to_owned()));
        let refusal = refused(sent_to_bundler(&signed(), error));
        assert_eq!(refusal.code, Some(AaCode::AccountNotDeployed));
    }

    #[test]
    fn a_wrong_signature_under_a_paymaster_can_be_either_ones() {
        let mut signed = signed();
        signed.operation.paymaster_and_data = Bytes::from(vec![1; 20]);
        let code = |message| {
            let error = error(-32507, message, Value::Null);
            refused(sent_to_bundler(&signed, error)).code
        };
        assert_eq!(code("wrong signature"), None);
        assert_eq!(
            code("the paymaster's signature is wrong"),
            Some(AaCode::PaymasterSignature)
        );
        assert_eq!(
            code("signature of the account is wrong"),
            Some(AaCode::AccountSignature)
        );
    }

    #[test]
    fn reasons_of_reverts_are_found_in_the_data() {
        let plugin = Revert::Plugin(PluginError::PermissionsCheckFailed);
        for (code, data) in [
            (-32521, json!("0xb4d78304")),
            (-32521, json!({ "revertData": "0xb4d78304" })),
            (-32521, json!({ "data": "0xb4d78304" })),
            (3, json!("0xb4d78304")),
        ] {
            let error = error(code, "execution reverted", data);
            let expected = NotTakenReason::WouldRevert {
                revert: plugin.clone(),
            };
            assert_eq!(
                reason(sent_to_bundler(&signed(), error.clone())),
                expected,
                "{error:?}"
            );
            assert_eq!(
                not_estimated(&UserOperation::default(), error),
                EstimateError::WouldRevert(plugin.clone())
            );
        }
        // Under "AA23", it is the account's revert.
        let error = error(-32500, "AA23 reverted", json!("0xb4d78304"));
        let refusal = refused(sent_to_bundler(&signed(), error));
        assert_eq!(
            (refusal.code, refusal.cause),
            (Some(AaCode::AccountReverted), Some(plugin))
        );
        // The EntryPoint's own error is in the data.
        let failed = crate::abi::EntryPoint::FailedOp {
            opIndex: U256::ZERO,
            reason: "AA24 signature error".to_owned(),
        };
        let error = self::error(-32500, "failed", json!(Bytes::from(failed.abi_encode())));
        let refusal = refused(sent_to_bundler(&signed(), error));
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (Some(AaCode::AccountSignature), "AA24 signature error")
        );
        // Without data.
        let NotTakenReason::WouldRevert { revert } = reason(bundler(-32521, "execution reverted: no luck"))
        else {
            panic!()
        };
        assert_eq!(revert, Revert::Error("no luck".to_owned()));
    }

    #[test]
    fn funds_reputation_and_nonces_are_distinguished() {
        let other = NotTakenReason::Other;
        for (code, message, expected) in [
            (-32500, "AA21 didn't pay prefund", NotTakenReason::Funds),
            (
                -32000,
                "precheck failed: sender balance and deposit together is 0 but must be at least 5 to pay for this operation",
                NotTakenReason::Funds,
            ),
            (
                -32500,
                "prefund is not enough, required: 10, got: 0",
                NotTakenReason::Funds,
            ),
            (
                -32000,
                "insufficient funds for gas * price + value",
                NotTakenReason::Funds,
            ),
            (-32504, "the paymaster is throttled", NotTakenReason::Reputation),
            (-32504, "no", NotTakenReason::Reputation),
            (-32505, "too little at risk", NotTakenReason::Reputation),
            (-32000, "entity is banned", NotTakenReason::Reputation),
            (
                -32602,
                "Max operations (4) reached for sender 0x00",
                NotTakenReason::Reputation,
            ),
            (
                -32500,
                "AA25 invalid account nonce: Maximum number of parallel user operations for that is allowed for this \
                 sender reached",
                NotTakenReason::Reputation,
            ),
            (-32000, "nonce too high", NotTakenReason::NonceAhead),
            (-32502, "account uses forbidden opcode TIMESTAMP", other.clone()),
            (-32506, "unsupported aggregator", other.clone()),
            (-32602, "invalid UserOperation struct/fields", other.clone()),
            (-32602, "missing required field maxFeePerGas", other.clone()),
            (-32602, "preVerificationGas is required", other.clone()),
            (-32601, "the method does not exist", other.clone()),
            (-32600, "invalid request", other.clone()),
            (-32700, "parse error", other.clone()),
            (
                -32000,
                "precheck failed: verificationGasLimit is 9 but must be at most 5",
                other.clone(),
            ),
            (
                -32000,
                "precheck failed: callGasLimit is 5 but must be at least 9100",
                other,
            ),
        ] {
            assert_eq!(reason(bundler(code, message)), expected, "{message}");
        }
        for (code, message) in [(-32500, "no"), (-32501, "the paymaster says no")] {
            assert_eq!(refused(bundler(code, message)).code, None, "{message}");
        }
    }

    #[test]
    fn an_unknown_error_may_mean_accepted() {
        for (code, message) in [
            (-32603, "internal error"),
            (-32603, "Internal JSON-RPC error."),
            (-32000, "context deadline exceeded"),
            (-32000, "upstream timed out"),
            (-32000, "by mistake"),
            (-32000, "service unavailable: cannot check the sender's stake"),
            (-32602, "upstream timeout"),
            (-32000, ""),
            (1, "no"),
            (-32099, "unexpected"),
        ] {
            let sent = bundler(code, message);
            assert!(matches!(sent, Sent::NoAnswer { .. }), "{message}: {sent:?}");
        }
        for error in [
            RequestError::no_answer("the connection broke"),
            RequestError::unreadable("eth_sendUserOperation", "[]"),
            RequestError::TooLarge { limit: 1 },
        ] {
            let expected = Sent::NoAnswer { error: error.clone() };
            assert_eq!(sent_to_bundler(&signed(), error.clone()), expected);
            assert_eq!(sent_to_node(error), expected);
        }
    }

    #[test]
    fn only_an_unwritten_request_never_left() {
        let not_reached = RequestError::NotReached {
            message: "refused".to_owned(),
        };
        let expected = Sent::NeverLeft {
            error: not_reached.clone(),
        };
        assert_eq!(sent_to_bundler(&signed(), not_reached), expected);
        let status = |status| RequestError::from(&TransportErrorKind::http_error(status, String::new()));
        let turned_away = |status| NotTakenReason::TurnedAway { status };
        assert_eq!(reason(sent_to_bundler(&signed(), status(401))), turned_away(401));
        assert_eq!(reason(sent_to_node(status(404))), turned_away(404));
        let limited = NotTakenReason::RateLimited { retry_after: None };
        assert_eq!(reason(sent_to_bundler(&signed(), status(429))), limited);
        assert_eq!(reason(node(-32005, "too many requests")), limited);
        assert!(matches!(sent_to_node(status(503)), Sent::NoAnswer { .. }));
    }

    #[test]
    fn only_explicit_refusals_of_nodes_are_believed() {
        for message in [
            "already known",
            "AlreadyKnown",
            "known transaction: 0x00",
            "Transaction with the same hash was already imported.",
            "transaction already in mempool",
            "ALREADY_EXISTS: already known",
        ] {
            assert_eq!(node(-32000, message), Sent::Taken, "{message}");
        }
        for (code, message) in [
            (-32000, "nonce too low"),
            (-32000, "nonce is too low"),
            (-32000, "nonce too low: next nonce 5, tx nonce 4"),
            (-32000, "replacement transaction underpriced"),
            (-32000, "could not replace existing tx"),
            (-32603, "internal error"),
            (-32000, "context deadline exceeded"),
            (-32000, "unknown transaction"),
            (-32000, "txpool is full"),
            (-32000, "odd"),
        ] {
            let sent = node(code, message);
            assert!(matches!(sent, Sent::NoAnswer { .. }), "{message}: {sent:?}");
        }
        let fee = |least: Option<u64>| NotTakenReason::FeeTooLow {
            least: least.map(U256::from),
        };
        for (message, expected) in [
            (
                "insufficient funds for gas * price + value: balance 0, tx cost 1",
                NotTakenReason::Funds,
            ),
            (
                "max fee per gas less than block base fee: address 0x70997970c51812dc3a010c7d01b50e0d17dc79c8, \
                 maxFeePerGas: 5, baseFee: 7",
                fee(Some(7)),
            ),
            (
                "transaction underpriced: gas tip cap 0, minimum needed 25000000000",
                fee(Some(25_000_000_000)),
            ),
            ("transaction underpriced", fee(None)),
            ("FeeTooLow, MaxFeePerGas too low", fee(None)),
            (
                "intrinsic gas too low: gas 5, minimum needed 21000",
                NotTakenReason::Other,
            ),
            ("exceeds block gas limit", NotTakenReason::Other),
            (
                "invalid chain id for signer: have 1 want 5",
                NotTakenReason::Other,
            ),
        ] {
            assert_eq!(reason(node(-32000, message)), expected, "{message}");
        }
    }

    #[test]
    fn failed_estimates_have_a_reason() {
        let operation = UserOperation::default();
        let failed = |code, message| not_estimated(&operation, error(code, message, Value::Null));
        // Also if it is the account that cannot pay.
        let EstimateError::Refused(refusal) = failed(-32500, "AA21 didn't pay prefund") else {
            panic!()
        };
        assert_eq!(refusal.code, Some(AaCode::PrefundNotPaid));
        assert!(matches!(
            failed(-32602, "maxFeePerGas must be at least 5"),
            EstimateError::NotTaken(NotTaken {
                reason: NotTakenReason::FeeTooLow { least: Some(_) },
                ..
            })
        ));
        for (code, message) in [(-32603, "internal error"), (-32000, "already known")] {
            let failed = failed(code, message);
            assert!(matches!(failed, EstimateError::Request { .. }), "{failed:?}");
        }
    }

    #[test]
    fn numbers_are_read_in_every_format_or_rejected() {
        for (text, number) in [
            ("at least 5", Some(5)),
            ("at least: 5", Some(5)),
            ("at least 0x10.", Some(16)),
            ("at least 1,000", Some(1_000)),
            ("at least 1_000_000", Some(1_000_000)),
            ("at least 1, got 2", Some(1)),
            ("at least 1.5 gwei", Some(1_500_000_000)),
            ("at least 2gwei", Some(2_000_000_000)),
            ("at least 3.", Some(3)),
            ("at least 1.5", None),
            ("at least 10%", None),
            ("at least eip1559", None),
            ("at least -5", None),
            ("at least 0x", None),
            ("at least one", None),
            ("at least", None),
            ("at least 0x70997970c51812dc3a010c7d01b50e0d17dc79c8", None),
            ("at least what you would expect, 5", None),
        ] {
            assert_eq!(least(text), number.map(U256::from), "{text}");
        }
        for text in [
            "9".repeat(500),
            format!("{} gwei", "9".repeat(40)),
            format!("0x{}", "f".repeat(65)),
        ] {
            let _ = least(&format!("at least {text}"));
        }
        assert_eq!(least("at least ééééééééé 7"), Some(U256::from(7)));
        let most = format!("at least {} gwei", "9".repeat(41));
        assert_eq!(least(&most), None);
    }

    #[test]
    fn arbitrary_texts_can_be_interpreted() {
        for text in [
            "",
            "é",
            "at least é",
            "0x",
            "AA",
            "AA2",
            "at least 0",
            "replace",
            "\u{202e}",
            "preVerificationGas below",
        ] {
            for code in [i64::MIN, -32521, -32500, 0, 3, i64::MAX] {
                let _ = (bundler(code, text), node(code, text));
            }
        }
    }

    #[test]
    fn refusals_round_trip_through_json() {
        for (code, message) in [
            (-32500, "AA23 reverted"),
            (-32521, "execution reverted: no"),
            (-32602, "maxFeePerGas must be at least 5"),
            (-32602, "invalid"),
        ] {
            let sent = bundler(code, message);
            let json = serde_json::to_string(&sent).unwrap();
            assert_eq!(serde_json::from_str::<Sent>(&json).unwrap(), sent, "{json}");
            let Sent::NotTaken(not_taken) = sent else { panic!() };
            let outcome = Outcome::Open(Open::NotTaken(not_taken));
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome, "{json}");
        }
    }
}
