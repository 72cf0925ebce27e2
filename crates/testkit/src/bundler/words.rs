//! A bundler's refusals, and the words of different bundlers for them.

use super::{reputation::ReputationStatus, style::RevertDataForm};
use crate::{ChainError, ErrorAnswer, error::reason, rpc::code};
use alloy::primitives::{Address, Bytes, U256, hex};
use erc7562::{Role, Rule, Violation};
use serde_json::json;

/// The wording of a bundler's refusals, with the words and error codes of real bundlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BundlerWords {
    /// The EntryPoint's own words, with ERC-4337's error codes.
    #[default]
    Plain,
    /// Pimlico's bundler. An underpriced replacement is an "AA25 invalid account nonce: …" (-32602);
    /// validation refusals begin with "UserOperation reverted during simulation with reason: ".
    Alto,
    /// Alchemy's bundler. Its checks before simulation answer -32000 "precheck failed: …".
    Rundler,
    /// ERC-4337's reference bundler. It treats a duplicate as an underpriced replacement (-32602).
    Reference,
}

/// The party whose validation refuses an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Account,
    Paymaster,
    /// The account, or the paymaster if there is one: EntryPoint v0.6 does not distinguish them.
    Either {
        with_paymaster: bool,
    },
}

/// Why an operation is not accepted or estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    InvalidFields(String),
    UnsupportedEntryPoint {
        asked: Address,
        served: Vec<Address>,
    },
    /// The EntryPoint's `FailedOp`.
    Failed(String),
    /// The EntryPoint's `FailedOpWithRevert`.
    FailedWithRevert {
        reason: String,
        /// What the account or the paymaster reverted with.
        inner: Bytes,
    },
    /// A signature.
    Signature(Party),
    /// It has expired, or is not valid yet.
    OutOfTime {
        party: Party,
        now: u64,
        valid_after: u64,
        valid_until: u64,
    },
    Aggregator(Address),
    /// Validation failed without the EntryPoint's error.
    Unexplained(String),
    NonceUsed,
    NonceTooFar,
    /// A nonce that is used, or too far ahead, gets the EntryPoint's words.
    AlreadyKnown,
    ReplacementUnderpriced {
        max_fee: U256,
        max_priority_fee: U256,
    },
    TooMany {
        most: u64,
        sender: Address,
    },
    /// A number below the bundler's minimum.
    TooLow {
        what: &'static str,
        is: U256,
        least: U256,
    },
    /// A number above the bundler's maximum.
    TooHigh {
        what: &'static str,
        is: U256,
        most: U256,
    },
    TipAboveMaxFee,
    PreVerificationGas {
        is: U256,
        required: U256,
    },
    /// Its validation breaks a rule of ERC-7562.
    Rule(Violation),
    /// An entity has too bad a standing.
    Reputation {
        role: Role,
        address: Address,
        status: ReputationStatus,
    },
    /// An entity without stake has as many operations in the mempool as it may.
    NoStake {
        role: Role,
        address: Address,
        most: u64,
        min_stake: U256,
        min_unstake_delay: u64,
    },
    /// The paymaster's deposit does not cover this operation and those that wait.
    PaymasterDeposit {
        paymaster: Address,
        deposit: U256,
        required: U256,
    },
    /// Its sender is a factory or paymaster of a waiting operation.
    SenderIsEntity(Address),
    /// Its factory or paymaster is the sender of a waiting operation.
    EntityIsSender {
        role: Role,
        address: Address,
    },
    /// The operation's call reverted during estimation.
    CallReverted(Bytes),
    /// The estimation failed otherwise.
    CallFailed(String),
}

/// ERC-4337's error codes.
mod erc4337 {
    pub(super) const REFUSED_BY_ENTRY_POINT: i64 = -32500;
    pub(super) const REFUSED_BY_PAYMASTER: i64 = -32501;
    pub(super) const BANNED_IN_VALIDATION: i64 = -32502;
    pub(super) const OUT_OF_TIME: i64 = -32503;
    pub(super) const THROTTLED: i64 = -32504;
    pub(super) const STAKE_TOO_LOW: i64 = -32505;
    pub(super) const AGGREGATOR: i64 = -32506;
    pub(super) const SIGNATURE: i64 = -32507;
    pub(super) const PAYMASTER_DEPOSIT: i64 = -32508;
    pub(super) const CALL_REVERTED: i64 = -32521;
}

/// The words in which the reference bundler names what a validation may not do.
fn broken_rule(violation: &Violation) -> ErrorAnswer {
    let Violation {
        rule,
        role,
        place,
        address,
        slot,
        ..
    } = violation;
    let opcode = place
        .map(|place| erc7562::opcode_name(place.opcode))
        .unwrap_or_default();
    let of = address.unwrap_or_default();
    let message = match rule {
        Rule::Op011
        | Rule::Op012
        | Rule::Op013
        | Rule::Op031
        | Rule::Op080
        | Rule::Erep060
        | Rule::Erep061 => {
            format!("{role} uses banned opcode: {opcode}")
        }
        Rule::Op020 => format!("{role} internally reverts on oog"),
        Rule::Op041 => format!("{role} accesses un-deployed contract address {of} with opcode {opcode}"),
        Rule::Op051 | Rule::Op052 | Rule::Op053 | Rule::Op054 => {
            format!("illegal call into EntryPoint during validation by {role}: {opcode}")
        }
        Rule::Op061 => format!("{role} may not call {of} with value"),
        Rule::Op062 => format!("{role} calls precompile {of}, which is not allowed"),
        Rule::Sto022 | Rule::Sto031 | Rule::Sto032 | Rule::Sto033 => {
            let slot = slot.unwrap_or_default();
            format!("unstaked {role} accessed {of} slot {slot:#x}")
        }
        Rule::Erep040 => "unstaked aggregator".into(),
        Rule::Erep050 => "unstaked paymaster must not return context".into(),
        _ => violation.to_string(),
    };
    let code = match rule {
        Rule::Erep040 => erc4337::STAKE_TOO_LOW,
        _ => erc4337::BANNED_IN_VALIDATION,
    };
    ErrorAnswer::new(code, message).with_data(json!({ "rule": rule.code() }))
}

impl From<ChainError> for Refusal {
    fn from(error: ChainError) -> Self {
        Self::Unexplained(error.to_string())
    }
}

impl Refusal {
    /// The entity that made a validation fail, if one did.
    pub(super) fn at_fault(&self) -> Option<Role> {
        match self {
            Self::Rule(violation) => Some(violation.role),
            Self::Failed(reason) | Self::FailedWithRevert { reason, .. } => match reason.get(..3) {
                Some("AA1") => Some(Role::Factory),
                Some("AA2") => Some(Role::Account),
                Some("AA3") => Some(Role::Paymaster),
                _ => None,
            },
            Self::Signature(party) | Self::OutOfTime { party, .. } => Some(match party {
                Party::Paymaster => Role::Paymaster,
                Party::Account | Party::Either { .. } => Role::Account,
            }),
            Self::Aggregator(_) => Some(Role::Account),
            _ => None,
        }
    }

    pub(super) fn in_words_of(self, words: BundlerWords, revert_data: RevertDataForm) -> ErrorAnswer {
        use BundlerWords::{Alto, Plain, Reference, Rundler};
        match (self, words) {
            (Self::InvalidFields(problem), _) => {
                ErrorAnswer::new(code::INVALID_PARAMS, format!("invalid user operation: {problem}"))
            }
            (Self::UnsupportedEntryPoint { asked, served }, Alto) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!(
                    "EntryPoint {asked} not supported, supported EntryPoints: {}",
                    served
                        .iter()
                        .map(Address::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ),
            (Self::UnsupportedEntryPoint { asked, .. }, _) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("the EntryPoint at {asked} is not supported"),
            ),
            (Self::Failed(reason), words) => failed(&reason, words),
            (Self::FailedWithRevert { reason, inner }, words) => failed_with_revert(&reason, &inner, words),
            (Self::NonceUsed | Self::NonceTooFar, words) => failed("AA25 invalid account nonce", words),
            (Self::Signature(party), Alto) => ErrorAnswer::new(
                erc4337::SIGNATURE,
                match party {
                    // It reports one failure where there may be two.
                    Party::Either { .. } => "Invalid UserOperation signature or  paymaster signature",
                    Party::Account => "Invalid UserOperation signature",
                    Party::Paymaster => "Invalid UserOperation paymasterData",
                },
            ),
            (Self::Signature(Party::Either { with_paymaster: true }), Rundler)
            | (Self::Signature(Party::Paymaster), _) => {
                ErrorAnswer::new(erc4337::SIGNATURE, "AA34 signature error")
            }
            (Self::Signature(_), _) => ErrorAnswer::new(erc4337::SIGNATURE, "AA24 signature error"),
            (Self::OutOfTime { now, valid_after, .. }, Alto) if valid_after > now => {
                ErrorAnswer::new(erc4337::OUT_OF_TIME, "User operation is not valid yet")
            }
            (Self::OutOfTime { .. }, Alto) => {
                ErrorAnswer::new(erc4337::OUT_OF_TIME, "User operation expires too soon")
            }
            (
                Self::OutOfTime {
                    valid_after,
                    valid_until,
                    ..
                },
                Rundler,
            ) => ErrorAnswer::new(erc4337::OUT_OF_TIME, "operation is out of time range").with_data(json!({
                "validAfter": format!("{valid_after:#x}"),
                "validUntil": format!("{valid_until:#x}"),
            })),
            (
                Self::OutOfTime {
                    party: Party::Paymaster,
                    ..
                },
                _,
            ) => ErrorAnswer::new(erc4337::OUT_OF_TIME, "AA32 paymaster expired or not due"),
            (Self::OutOfTime { .. }, _) => ErrorAnswer::new(erc4337::OUT_OF_TIME, "AA22 expired or not due"),
            (Self::Aggregator(aggregator), _) => ErrorAnswer::new(
                erc4337::AGGREGATOR,
                format!("aggregator {aggregator} is not supported"),
            ),
            (Self::Unexplained(problem), Alto) => ErrorAnswer::new(
                erc4337::REFUSED_BY_ENTRY_POINT,
                format!("UserOperation reverted during simulation with reason: {problem}"),
            ),
            (Self::Unexplained(problem), _) => ErrorAnswer::new(erc4337::REFUSED_BY_ENTRY_POINT, problem),
            (Self::Rule(violation), _) => broken_rule(&violation),
            (Self::Reputation { role, address, status }, _) => {
                let standing = match status {
                    ReputationStatus::Banned => "banned",
                    _ => "throttled",
                };
                ErrorAnswer::new(erc4337::THROTTLED, format!("{role} {address} is {standing}"))
                    .with_data(json!({ role.name(): address }))
            }
            (
                Self::NoStake {
                    role,
                    address,
                    most,
                    min_stake,
                    min_unstake_delay,
                },
                _,
            ) => ErrorAnswer::new(
                erc4337::STAKE_TOO_LOW,
                format!("unstaked {role} {address} has {most} operations in the mempool, the most it may have"),
            )
            .with_data(json!({
                role.name(): address,
                "minimumStake": min_stake,
                "minimumUnstakeDelay": U256::from(min_unstake_delay),
            })),
            (
                Self::PaymasterDeposit {
                    paymaster,
                    deposit,
                    required,
                },
                _,
            ) => ErrorAnswer::new(
                erc4337::PAYMASTER_DEPOSIT,
                format!(
                    "the deposit of paymaster {paymaster} is too low for its operations in the mempool: {deposit} wei, \
                     required: {required}"
                ),
            )
            .with_data(json!({ "paymaster": paymaster })),
            (Self::SenderIsEntity(sender), _) => ErrorAnswer::new(
                erc4337::BANNED_IN_VALIDATION,
                format!(
                    "The sender address \"{sender}\" is used as a different entity in another UserOperation currently in \
                     mempool"
                ),
            ),
            (Self::EntityIsSender { role, address }, _) => ErrorAnswer::new(
                erc4337::BANNED_IN_VALIDATION,
                format!(
                    "A {role} \"{address}\" is used as a sender entity in another UserOperation currently in mempool"
                ),
            ),
            (Self::AlreadyKnown, Rundler) => {
                ErrorAnswer::new(code::INVALID_PARAMS, "Operation already known")
            }
            (Self::AlreadyKnown, _) => ErrorAnswer::new(code::INVALID_PARAMS, "already known"),
            (Self::ReplacementUnderpriced { .. }, Plain) => {
                ErrorAnswer::new(code::INVALID_PARAMS, "replacement user operation underpriced")
            }
            (Self::ReplacementUnderpriced { .. }, Alto) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                "AA25 invalid account nonce: User operation already present in mempool, \
                 bump the gas price by minimum 10%",
            ),
            (
                Self::ReplacementUnderpriced {
                    max_fee,
                    max_priority_fee,
                },
                Rundler,
            ) => ErrorAnswer::new(code::INVALID_PARAMS, "replacement underpriced").with_data(json!({
                "currentMaxFee": max_fee,
                "currentMaxPriorityFee": max_priority_fee,
            })),
            (Self::ReplacementUnderpriced { max_priority_fee, .. }, Reference) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!(
                    "Replacement UserOperation must have higher maxPriorityFeePerGas (old={max_priority_fee})"
                ),
            ),
            (Self::TooMany { most, sender }, Rundler) => ErrorAnswer::new(
                erc4337::STAKE_TOO_LOW,
                format!("Max operations ({most}) reached for sender {sender} due to being unstaked"),
            ),
            (Self::TooMany { most, sender }, _) => ErrorAnswer::new(
                erc4337::STAKE_TOO_LOW,
                format!("unstaked sender {sender} has {most} operations in the mempool already"),
            ),
            (Self::TooLow { what, is, least }, Alto) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!(
                    "{what} must be at least {least} (current {what}: {is}) - use pimlico_getUserOperationGasPrice to \
                     get the current gas price"
                ),
            ),
            (Self::TooLow { what, is, least }, Reference) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("{what} too low: expected at least {least}, got {is}"),
            ),
            (Self::TooLow { what, is, least }, _) => ErrorAnswer::new(
                code::INVALID_INPUT,
                format!("precheck failed: {what} is {is} but must be at least {least}"),
            ),
            (Self::TooHigh { what, is, most }, Plain | Rundler) => ErrorAnswer::new(
                code::INVALID_INPUT,
                format!("precheck failed: {what} is {is} but must be at most {most}"),
            ),
            (Self::TooHigh { what, is, most }, _) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("{what} too high: expected at most {most}, got {is}"),
            ),
            (Self::TipAboveMaxFee, _) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                "maxPriorityFeePerGas is greater than maxFeePerGas",
            ),
            (Self::PreVerificationGas { is, required }, Rundler) => ErrorAnswer::new(
                code::INVALID_INPUT,
                format!("precheck failed: preVerificationGas is {is} but must be at least {required}"),
            ),
            (Self::PreVerificationGas { is, required }, Reference) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("preVerificationGas too low: expected at least {required}, provided only {is}"),
            ),
            (Self::PreVerificationGas { is, required }, _) => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("preVerificationGas is not enough, required: {required}, got: {is}"),
            ),
            (Self::CallReverted(output), words) => call_reverted(&output, words, revert_data),
            (Self::CallFailed(problem), _) => ErrorAnswer::new(erc4337::CALL_REVERTED, problem),
        }
    }
}

/// Returns the error code for the EntryPoint's words.
fn code_of_reason(reason: &str) -> i64 {
    match reason.get(..4) {
        Some("AA22" | "AA32") => erc4337::OUT_OF_TIME,
        Some("AA24" | "AA34") => erc4337::SIGNATURE,
        Some(aa) if aa.starts_with("AA3") => erc4337::REFUSED_BY_PAYMASTER,
        _ => erc4337::REFUSED_BY_ENTRY_POINT,
    }
}

fn failed(reason: &str, words: BundlerWords) -> ErrorAnswer {
    match words {
        BundlerWords::Alto => ErrorAnswer::new(
            erc4337::REFUSED_BY_ENTRY_POINT,
            format!("UserOperation reverted during simulation with reason: {reason}"),
        ),
        _ => ErrorAnswer::new(code_of_reason(reason), reason),
    }
}

/// Formats the EntryPoint's words and the inner revert.
fn failed_with_revert(words_of_entry_point: &str, inner: &Bytes, words: BundlerWords) -> ErrorAnswer {
    let code = code_of_reason(words_of_entry_point);
    let decoded = || reason(inner).unwrap_or_else(|| inner.to_string());
    match words {
        BundlerWords::Plain => ErrorAnswer::new(code, words_of_entry_point).with_data(json!(inner)),
        BundlerWords::Alto => ErrorAnswer::new(
            erc4337::REFUSED_BY_ENTRY_POINT,
            format!(
                "UserOperation reverted during simulation with reason: {words_of_entry_point} {}",
                decoded()
            ),
        ),
        BundlerWords::Rundler => ErrorAnswer::new(
            code,
            format!("validation reverted: [reason]: {words_of_entry_point}"),
        )
        .with_data(json!({ "reason": words_of_entry_point, "revertData": inner })),
        BundlerWords::Reference => ErrorAnswer::new(
            code,
            format!("FailedOpWithRevert(0,\"{words_of_entry_point}\",{})", decoded()),
        ),
    }
}

fn call_reverted(output: &Bytes, words: BundlerWords, form: RevertDataForm) -> ErrorAnswer {
    let message = match (reason(output), words) {
        (Some(text), _) => format!("execution reverted: {text}"),
        (None, BundlerWords::Alto) => format!(
            "UserOperation reverted during simulation with reason: {}",
            hex::encode_prefixed(output)
        ),
        (None, _) => "execution reverted".into(),
    };
    let error = ErrorAnswer::new(erc4337::CALL_REVERTED, message);
    match form {
        RevertDataForm::Data => error.with_data(json!(output)),
        RevertDataForm::Object => error.with_data(json!({ "revertData": output })),
        RevertDataForm::Absent => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BundlerWords::{Alto, Plain, Reference, Rundler};

    fn said(refusal: &Refusal, words: BundlerWords) -> (i64, String) {
        let answer = refusal.clone().in_words_of(words, RevertDataForm::Data);
        (answer.code, answer.message)
    }

    #[test]
    fn error_codes_follow_the_entry_points_words() {
        for (reason, code) in [
            ("AA10 sender already constructed", -32500),
            ("AA21 didn't pay prefund", -32500),
            ("AA22 expired or not due", -32503),
            ("AA23 reverted (or OOG)", -32500),
            ("AA24 signature error", -32507),
            ("AA25 invalid account nonce", -32500),
            ("AA31 paymaster deposit too low", -32501),
            ("AA32 paymaster expired or not due", -32503),
            ("AA33 reverted (or OOG)", -32501),
            ("AA34 signature error", -32507),
            ("AA40 over verificationGasLimit", -32500),
            ("AA", -32500),
            ("", -32500),
        ] {
            let refusal = Refusal::Failed(reason.into());
            for words in [Plain, Rundler, Reference] {
                assert_eq!(said(&refusal, words), (code, reason.to_owned()));
            }
            let (code, message) = said(&refusal, Alto);
            assert_eq!(code, -32500);
            assert_eq!(
                message,
                format!("UserOperation reverted during simulation with reason: {reason}")
            );
        }
    }

    #[test]
    fn limit_refusals_contain_their_numbers() {
        let fee = Refusal::TooLow {
            what: "maxPriorityFeePerGas",
            is: U256::from(7),
            least: U256::from(9),
        };
        let gas = Refusal::PreVerificationGas {
            is: U256::from(7),
            required: U256::from(9),
        };
        let late = Refusal::OutOfTime {
            party: Party::Account,
            now: 5,
            valid_after: 0,
            valid_until: 4,
        };
        let early = Refusal::OutOfTime {
            party: Party::Account,
            now: 5,
            valid_after: 6,
            valid_until: 9,
        };
        let expected = [
            (
                Plain,
                (
                    -32000,
                    "precheck failed: maxPriorityFeePerGas is 7 but must be at least 9",
                ),
                (-32602, "preVerificationGas is not enough, required: 9, got: 7"),
                (-32503, "AA22 expired or not due"),
                (-32503, "AA22 expired or not due"),
            ),
            (
                Alto,
                (
                    -32602,
                    "maxPriorityFeePerGas must be at least 9 (current maxPriorityFeePerGas: 7) - use \
                     pimlico_getUserOperationGasPrice to get the current gas price",
                ),
                (-32602, "preVerificationGas is not enough, required: 9, got: 7"),
                (-32503, "User operation expires too soon"),
                (-32503, "User operation is not valid yet"),
            ),
            (
                Rundler,
                (
                    -32000,
                    "precheck failed: maxPriorityFeePerGas is 7 but must be at least 9",
                ),
                (
                    -32000,
                    "precheck failed: preVerificationGas is 7 but must be at least 9",
                ),
                (-32503, "operation is out of time range"),
                (-32503, "operation is out of time range"),
            ),
            (
                Reference,
                (-32602, "maxPriorityFeePerGas too low: expected at least 9, got 7"),
                (
                    -32602,
                    "preVerificationGas too low: expected at least 9, provided only 7",
                ),
                (-32503, "AA22 expired or not due"),
                (-32503, "AA22 expired or not due"),
            ),
        ];
        for (words, of_fee, of_gas, of_late, of_early) in expected {
            for (refusal, (code, message)) in [
                (&fee, of_fee),
                (&gas, of_gas),
                (&late, of_late),
                (&early, of_early),
            ] {
                assert_eq!(said(refusal, words), (code, message.to_owned()));
            }
        }
    }
}
