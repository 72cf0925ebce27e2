//! Errors of bundlers and nodes, read for what they mean.
//!
//! They are judged by what was said: the EntryPoint's codes, revert data, the words that bundlers and nodes use, and the few error
//! codes that ERC-4337 and JSON-RPC give a meaning. What is not understood is never taken for a refusal.

use super::{EstimateError, Refusal, Sent};
use crate::{
    operation::{NotTaken, NotTakenReason},
    permissions::{AaCode, SignedOperation, UserOperation},
    request::{ErrorAnswer, RequestError},
    revert::Revert,
};
use alloy::primitives::{B256, U256};

/// Who said it: a bundler.
pub(super) const BUNDLER: &str = "bundler";
/// Who said it: a node.
pub(super) const NODE: &str = "node";

/// ERC-4337: the operation's call reverted.
const CALL_REVERTED: i64 = -32521;
/// ERC-4337: it expired, will soon, or is not due.
const NOT_AT_THIS_TIME: i64 = -32503;
/// ERC-4337: the account, the factory or the paymaster is throttled or banned.
const THROTTLED: i64 = -32504;
/// ERC-4337: one of them has too little at stake.
const STAKE: i64 = -32505;
/// ERC-4337: the account's or the paymaster's signature is wrong.
const SIGNATURE: i64 = -32507;

/// What an error says about what was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// The other side has it already.
    Known,
    /// The other side does not take it.
    NotTaken(NotTakenReason),
    /// Nothing: it may have been taken.
    Nothing,
}

/// How handing an operation to a bundler went that ended with this error.
pub(super) fn sent_to_bundler(operation: &SignedOperation, error: RequestError) -> Sent {
    let said = |answer: &ErrorAnswer| bundler_said(answer, &operation.operation, Some(operation.hash));
    sent(BUNDLER, error, said)
}

/// How handing a transaction to a node went that ended with this error. That the transaction did not leave is
/// [`Sent::NeverLeft`].
pub(super) fn sent_to_node(error: RequestError) -> Sent {
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

/// A refusal as the reason why an operation was not taken: that the account cannot pay is no judgement on the operation.
pub(super) fn reason_of(refusal: Refusal) -> NotTakenReason {
    if refusal.code == Some(AaCode::PrefundNotPaid) {
        NotTakenReason::Funds
    } else {
        NotTakenReason::Refused(refusal)
    }
}

/// Why a bundler estimates nothing.
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

/// What a bundler's error says of an operation.
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
    // Some say "AA25" of that as well.
    if any(words, &TOO_MANY) {
        return Said::NotTaken(NotTakenReason::Reputation);
    }
    if let Some(Revert::FailedOp(failed)) = &revert {
        return Said::NotTaken(NotTakenReason::Refused(Refusal {
            code: failed.code,
            reason: failed.reason.clone(),
            cause: None,
        }));
    }
    if code.is_some() {
        return refused(code, revert);
    }
    // ERC-4337's codes for what the validation of an operation finds.
    let is_judgement = answer.code.is_some_and(|code| (-32599..=-32500).contains(&code));
    if answer.code == Some(CALL_REVERTED) || !is_judgement && answer.revert().is_some() {
        let revert = revert
            .or_else(|| answer.revert())
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
    if words.contains("sender is an existing contract") {
        return refused(Some(AaCode::SenderAlreadyConstructed), revert);
    }
    if words.contains("sender is not a contract") {
        return refused(Some(AaCode::AccountNotDeployed), revert);
    }
    if any(words, &["paymaster is not a contract", "paymaster with no code"]) {
        return refused(Some(AaCode::PaymasterNotDeployed), revert);
    }
    match answer.code {
        // The EntryPoint, or the account; the paymaster.
        Some(-32500 | -32501) => refused(None, revert),
        _ if is_judgement || is_of_request(answer.code) || any(words, &CHECKED_FIRST) => {
            Said::NotTaken(NotTakenReason::Other)
        }
        _ => Said::Nothing,
    }
}

/// What is said of operations that failed a bundler's own checks, before anything else was done with them.
const CHECKED_FIRST: [&str; 3] = [
    "precheck failed",
    "invalid useroperation",
    "invalid user operation",
];

/// JSON-RPC's codes for requests that nobody acts on: unreadable, invalid, unknown method, invalid parameters.
const fn is_of_request(code: Option<i64>) -> bool {
    matches!(code, Some(-32700 | -32600 | -32601 | -32602))
}

/// Whether a bundler has this very operation already.
fn is_known(words: &str, code: Option<AaCode>, hash: Option<B256>) -> bool {
    let names_it = hash.is_some_and(|hash| words.contains(&format!("{hash:#x}")));
    if names_it && any(words, &["already", "known", "duplicate"]) {
        return true;
    }
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
    code.is_none() && is_there && !is_another
}

/// Whether another operation with the nonce stands in the way.
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

/// Whether something broke off before there was a judgement.
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
const LOW: [&str; 14] = [
    "at least",
    "too low",
    "not enough",
    "below",
    "less than",
    "lower than",
    "minimum",
    "required",
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

/// What a node's error says of a transaction.
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
    // Whatever the transaction's own inclusion can be the cause of, and what says nothing of it.
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

/// Whether one of these is a word of the text.
fn has_word(words: &str, looked_for: &[&str]) -> bool {
    words
        .split(|character: char| !character.is_alphanumeric())
        .any(|word| looked_for.contains(&word))
}

/// The least amount that a text asks for, in wei or gas units: the number after the words that announce one. The text is in
/// lower case.
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

/// The number that a text starts with, a few words later.
fn first_number(text: &str) -> Option<U256> {
    const FARTHEST: usize = 24;
    let at = text
        .char_indices()
        .take(FARTHEST)
        .find(|(_, character)| character.is_ascii_digit())
        .map(|(at, _)| at)?;
    // A digit within a word is none of a number.
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
        // An address or a hash is longer than any amount.
        let digits = digits[..end].trim_start_matches('0');
        return match (end, digits.len()) {
            (0, _) | (40 | 64, _) | (_, 33..) => None,
            (_, 0) => Some(U256::ZERO),
            _ => U256::from_str_radix(digits, 16).ok(),
        };
    }
    decimal(text)
}

/// A decimal number with its unit: wei or gas units if none is named, else gwei.
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
        // Thousands: "1,500,000".
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
            // What is below a wei is rounded up.
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
