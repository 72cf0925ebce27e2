//! Verdicts of the model, with every broken rule and its figures.

use super::call_data::{CallDataError, CallDataPart};
use crate::{AaCode, EntryPointVersion, figures::checksummed, words::UnixTime};
use alloy_primitives::{Address, Selector, U256, aliases::U192};
use serde::{Deserialize, Serialize, Serializer};
use std::{collections::BTreeMap, fmt};

/// The phase in which a rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// In validation: the operation is not included, and costs nothing.
    Validation,
    /// In execution: the operation is included, fails, and must be paid for.
    Execution,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validation => "validation",
            Self::Execution => "execution",
        })
    }
}

/// An amount to spend, and the limit it exceeds. Wei, or base units of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spending {
    /// The amount to spend; [`U256::MAX`] for a sum that overflows.
    pub asked: U256,
    /// The limit, in total or per interval.
    pub limit: U256,
    /// The amount used, including by earlier calls of the same operation.
    pub used: U256,
    /// When the current interval ends, unix seconds. `None` if the limit never refreshes.
    pub refreshes_at: Option<u64>,
}

/// In JSON, the unit is in the names of amounts.
macro_rules! spending_in {
    ($module:ident, $asked:literal, $limit:literal, $used:literal) => {
        mod $module {
            use super::Spending;
            use crate::figures::decimal_string;
            use alloy_primitives::U256;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Figures {
                #[serde(rename = $asked, with = "decimal_string")]
                asked: U256,
                #[serde(rename = $limit, with = "decimal_string")]
                limit: U256,
                #[serde(rename = $used, with = "decimal_string")]
                used: U256,
                #[serde(deserialize_with = "Option::deserialize")]
                refreshes_at: Option<u64>,
            }

            pub(super) fn serialize<S: Serializer>(
                spending: &Spending,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                let Spending {
                    asked,
                    limit,
                    used,
                    refreshes_at,
                } = *spending;
                Figures {
                    asked,
                    limit,
                    used,
                    refreshes_at,
                }
                .serialize(serializer)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Spending, D::Error> {
                let Figures {
                    asked,
                    limit,
                    used,
                    refreshes_at,
                } = Figures::deserialize(deserializer)?;
                Ok(Spending {
                    asked,
                    limit,
                    used,
                    refreshes_at,
                })
            }
        }
    };
}

spending_in!(in_wei, "askedWei", "limitWei", "usedWei");
spending_in!(in_base_units, "askedBaseUnits", "limitBaseUnits", "usedBaseUnits");

/// Nonce keys as decimal strings.
mod decimal_nonce_key {
    use alloy_primitives::aliases::U192;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(key: &U192, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U192, D::Error> {
        let text = String::deserialize(deserializer)?;
        U192::from_str_radix(&text, 10)
            .map_err(|_| D::Error::custom("a nonce key is a text of decimal digits"))
    }
}

impl Spending {
    /// What is left of the limit.
    pub const fn remaining(&self) -> U256 {
        self.limit.saturating_sub(self.used)
    }

    /// Writes `of what, but … are left of … until …`, or `of what, but the limit is …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>, what: impl fmt::Display) -> fmt::Result {
        match self.asked {
            U256::MAX => write!(f, "more than any limit of {what}")?,
            asked => write!(f, "{asked} of {what}")?,
        }
        if self.asked > self.limit {
            return write!(f, ", but the limit is {}", self.limit);
        }
        write!(f, ", but {} are left of {}", self.remaining(), self.limit)?;
        match self.refreshes_at {
            Some(end) => write!(f, " until {}", UnixTime(end)),
            None => Ok(()),
        }
    }
}

/// A rule that an operation breaks. In JSON, the field `code` names it; codes never change their meaning.
/// Members are in camel case, amounts are decimal strings with their unit in the name, times and lengths are
/// numbers, and addresses have their EIP-55 checksum.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Rule {
    /// The operation is for another EntryPoint than the account's: v0.6 for the plugin, v0.7 for the module.
    /// Its cost is then not comparable.
    EntryPointVersion {
        /// The account's version.
        expected: EntryPointVersion,
        /// The operation's version.
        found: EntryPointVersion,
    },
    /// The EntryPoint accepts paymaster data that is empty or begins with an address.
    InvalidPaymasterAndData {
        /// Bytes found.
        length: usize,
    },
    /// The EntryPoint accepts gas limits and fees below 2^120.
    GasValuesOverflow,
    /// The operation belongs to another account.
    SenderMismatch {
        /// Sender of the operation.
        #[serde(with = "checksummed")]
        sender: Address,
        /// The key's account.
        #[serde(with = "checksummed")]
        account: Address,
    },
    /// Session keys can call `executeWithSessionKey` on the account, nothing else.
    NotExecuteWithSessionKey {
        /// The function called.
        selector: Selector,
    },
    /// The arguments of `executeWithSessionKey` cannot be decoded.
    MalformedCallData {
        /// The malformed part.
        part: CallDataPart,
        /// True if the part should be an address and is not; false if it does not lie inside the call data.
        dirty_address: bool,
    },
    /// The signature cannot be that of any key: not 65 bytes, high `s`, or `v` other than 27 and 28.
    MalformedSignature,
    /// The signature is by another signer.
    WrongSigner {
        /// The signer.
        #[serde(with = "checksummed")]
        signer: Address,
        /// The expected signer.
        #[serde(with = "checksummed")]
        session_key: Address,
    },
    /// The operation names another key than the one whose state was given. The chain may well accept it.
    SessionKeyMismatch {
        /// The key that the operation names.
        #[serde(with = "checksummed")]
        session_key: Address,
        /// The key whose state was given.
        #[serde(with = "checksummed")]
        expected: Address,
    },
    /// The account does not have the key: never registered, removed, rotated away, or the plugin was
    /// uninstalled.
    KeyNotRegistered {
        /// The key.
        #[serde(with = "checksummed")]
        session_key: Address,
    },
    /// The key is not valid yet.
    NotYetValid {
        /// First second in which the key may be used, unix seconds.
        valid_after: u64,
    },
    /// The key has expired.
    Expired {
        /// Last second in which the key could be used, unix seconds.
        valid_until: u64,
    },
    /// At least one call is needed.
    NoCalls,
    /// A key may not call the account itself.
    TargetIsAccount,
    /// A key may call the EntryPoint only if an allowlist names it.
    TargetIsEntryPoint,
    /// A key may not call an ERC-6900 module: the account's calls could control it
    /// ([`RuleSet::Module`](super::RuleSet::Module)).
    TargetIsModule {
        /// The module.
        target: Address,
    },
    /// The contract is not on the allowlist.
    ContractNotOnAllowlist {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
    },
    /// The contract is on the allowlist, but for other functions.
    FunctionNotOnAllowlist {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// The function.
        selector: Selector,
    },
    /// The contract is on the denylist, with all its functions.
    ContractOnDenylist {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
    },
    /// The function is on the denylist.
    FunctionOnDenylist {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// The function.
        selector: Selector,
    },
    /// One to three bytes of call data do not name a function, and functions are checked.
    ShortCallData {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// Bytes found.
        length: usize,
    },
    /// A token with a spend limit accepts `transfer` and `approve` only.
    TokenFunctionNotAllowed {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// The function.
        selector: Selector,
    },
    /// The call of `transfer` or `approve` is too short to hold an amount (68 bytes).
    ShortTokenCallData {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// Bytes found.
        length: usize,
    },
    /// The calls send more native token than is left.
    NativeLimitExceeded(#[serde(with = "in_wei")] Spending),
    /// The calls spend more of a token than is left.
    #[serde(rename = "erc20_limit_exceeded")]
    Erc20LimitExceeded {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// The figures.
        #[serde(flatten, with = "in_base_units")]
        spending: Spending,
    },
    /// The operation's maximum cost is more than is left of the gas limit.
    GasLimitExceeded {
        /// The figures, in wei.
        #[serde(flatten, with = "in_wei")]
        spending: Spending,
        /// An operation that opened a new interval was not executed successfully. The limit does not refresh
        /// until the pending reset is settled (`resetSessionKeyGasLimitTimestamp`, by anyone).
        reset_pending: bool,
    },
    /// An operation opened the gas limit's new interval in validation, and the interval has not begun.
    GasIntervalNotBegun {
        /// When it begins, unix seconds.
        begins_at: u64,
    },
    /// A key with a gas limit must use the nonce lane of its own address; on a module, every key.
    NonceKey {
        /// The lane used.
        #[serde(with = "decimal_nonce_key")]
        nonce_key: U192,
        /// The key's lane.
        #[serde(with = "decimal_nonce_key")]
        expected: U192,
    },
    /// The operation uses another paymaster than the required one, or none.
    PaymasterRequired {
        /// The paymaster required.
        #[serde(with = "checksummed")]
        required: Address,
        /// The paymaster found.
        #[serde(with = "checksummed::optional")]
        found: Option<Address>,
    },
    /// The end of a token's or the gas limit's interval is beyond the largest time that the plugin can store.
    /// This project's plugin uses the largest time instead; another may revert
    /// ([`RuleSet::Compatible`](super::RuleSet::Compatible)).
    IntervalEndOverflow {
        /// Start of the interval, unix seconds.
        last_used_time: u64,
        /// Its length, in seconds.
        #[serde(rename = "refreshIntervalSeconds")]
        refresh_interval: u64,
    },
    /// The end of the native token limit's interval is beyond the largest time that the plugin can store, and
    /// the plugin cannot handle it ([`RuleSet::Compatible`](super::RuleSet::Compatible)): every use of the
    /// key fails in execution, even without value, until the limit is set again.
    NativeIntervalEndOverflow {
        /// Start of the interval, unix seconds.
        last_used_time: u64,
        /// Its length, in seconds.
        #[serde(rename = "refreshIntervalSeconds")]
        refresh_interval: u64,
    },
    /// The given state has no information about the contract or the function.
    StateNotLoaded {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// The function; `None` if the whole contract is unknown.
        selector: Option<Selector>,
    },
}

impl Rule {
    /// The rule's stable code, as in JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EntryPointVersion { .. } => "entry_point_version",
            Self::InvalidPaymasterAndData { .. } => "invalid_paymaster_and_data",
            Self::GasValuesOverflow => "gas_values_overflow",
            Self::SenderMismatch { .. } => "sender_mismatch",
            Self::NotExecuteWithSessionKey { .. } => "not_execute_with_session_key",
            Self::MalformedCallData { .. } => "malformed_call_data",
            Self::MalformedSignature => "malformed_signature",
            Self::WrongSigner { .. } => "wrong_signer",
            Self::SessionKeyMismatch { .. } => "session_key_mismatch",
            Self::KeyNotRegistered { .. } => "key_not_registered",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::NoCalls => "no_calls",
            Self::TargetIsAccount => "target_is_account",
            Self::TargetIsEntryPoint => "target_is_entry_point",
            Self::TargetIsModule { .. } => "target_is_module",
            Self::ContractNotOnAllowlist { .. } => "contract_not_on_allowlist",
            Self::FunctionNotOnAllowlist { .. } => "function_not_on_allowlist",
            Self::ContractOnDenylist { .. } => "contract_on_denylist",
            Self::FunctionOnDenylist { .. } => "function_on_denylist",
            Self::ShortCallData { .. } => "short_call_data",
            Self::TokenFunctionNotAllowed { .. } => "token_function_not_allowed",
            Self::ShortTokenCallData { .. } => "short_token_call_data",
            Self::NativeLimitExceeded(_) => "native_limit_exceeded",
            Self::Erc20LimitExceeded { .. } => "erc20_limit_exceeded",
            Self::GasLimitExceeded { .. } => "gas_limit_exceeded",
            Self::GasIntervalNotBegun { .. } => "gas_interval_not_begun",
            Self::NonceKey { .. } => "nonce_key",
            Self::PaymasterRequired { .. } => "paymaster_required",
            Self::IntervalEndOverflow { .. } => "interval_end_overflow",
            Self::NativeIntervalEndOverflow { .. } => "native_interval_end_overflow",
            Self::StateNotLoaded { .. } => "state_not_loaded",
        }
    }

    /// Whether a plugin with the same ABI may lack this rule or apply it differently: the ABI does not
    /// document it.
    pub const fn is_beyond_abi(&self) -> bool {
        matches!(
            self,
            Self::MalformedCallData { .. }
                | Self::NoCalls
                | Self::TargetIsAccount
                | Self::TargetIsEntryPoint
                | Self::ShortCallData { .. }
                | Self::TokenFunctionNotAllowed { .. }
                | Self::ShortTokenCallData { .. }
                | Self::IntervalEndOverflow { .. }
        )
    }

    /// The EntryPoint's code if only this rule is broken in validation. Of several codes, the EntryPoint
    /// reports the first of AA93, AA94, AA23, AA24, AA22.
    const fn validation_code(&self) -> AaCode {
        match self {
            Self::InvalidPaymasterAndData { .. } => AaCode::InvalidPaymasterAndData,
            Self::GasValuesOverflow => AaCode::GasValuesOverflow,
            Self::WrongSigner { .. } => AaCode::AccountSignature,
            Self::NotYetValid { .. } | Self::Expired { .. } | Self::GasIntervalNotBegun { .. } => {
                AaCode::ExpiredOrNotDue
            }
            _ => AaCode::AccountReverted,
        }
    }
}

impl From<&CallDataError> for Rule {
    fn from(error: &CallDataError) -> Self {
        match *error {
            CallDataError::OtherFunction(selector) => Self::NotExecuteWithSessionKey { selector },
            CallDataError::OutOfBounds(part) => Self::MalformedCallData {
                part,
                dirty_address: false,
            },
            CallDataError::DirtyAddress(part) => Self::MalformedCallData {
                part,
                dirty_address: true,
            },
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryPointVersion { expected, found } => {
                write!(
                    f,
                    "the operation is for EntryPoint {found}, the account uses {expected}"
                )
            }
            Self::InvalidPaymasterAndData { length } => {
                write!(
                    f,
                    "paymaster data of {length} bytes is too short to name a paymaster"
                )
            }
            Self::GasValuesOverflow => f.write_str("a gas limit or a fee is not below 2^120"),
            Self::SenderMismatch { sender, account } => {
                write!(
                    f,
                    "the operation belongs to account {sender}, the key to {account}"
                )
            }
            Self::NotExecuteWithSessionKey { selector } => {
                write!(
                    f,
                    "the operation calls {selector}; a session key can call executeWithSessionKey only"
                )
            }
            Self::MalformedCallData { part, dirty_address } => match dirty_address {
                true => write!(f, "{part} is not an address"),
                false => write!(f, "{part} does not lie inside the call data"),
            },
            Self::MalformedSignature => {
                f.write_str("the signature is malformed: it takes 65 bytes, a low s, and a v of 27 or 28")
            }
            Self::WrongSigner { signer, session_key } => {
                write!(
                    f,
                    "the signature is by {signer}, not by session key {session_key}"
                )
            }
            Self::SessionKeyMismatch {
                session_key,
                expected,
            } => {
                write!(
                    f,
                    "the operation belongs to session key {session_key}, the state to {expected}"
                )
            }
            Self::KeyNotRegistered { session_key } => {
                write!(f, "session key {session_key} is not registered")
            }
            Self::NotYetValid { valid_after } => {
                write!(f, "the session key is valid from {} on", UnixTime(*valid_after))
            }
            Self::Expired { valid_until } => {
                write!(f, "the session key was valid until {}", UnixTime(*valid_until))
            }
            Self::NoCalls => f.write_str("there are no calls"),
            Self::TargetIsAccount => f.write_str("a session key may not call the account itself"),
            Self::TargetIsEntryPoint => {
                f.write_str("a session key may not call the EntryPoint, unless an allowlist names it")
            }
            Self::TargetIsModule { target } => {
                write!(
                    f,
                    "{target} is an ERC-6900 module, which a session key may not call"
                )
            }
            Self::ContractNotOnAllowlist { target } => write!(f, "{target} is not on the allowlist"),
            Self::FunctionNotOnAllowlist { target, selector } => {
                write!(f, "function {selector} of {target} is not on the allowlist")
            }
            Self::ContractOnDenylist { target } => write!(f, "{target} is on the denylist"),
            Self::FunctionOnDenylist { target, selector } => {
                write!(f, "function {selector} of {target} is on the denylist")
            }
            Self::ShortCallData { target, length } => {
                write!(
                    f,
                    "{length} bytes of call data do not name a function of {target}"
                )
            }
            Self::TokenFunctionNotAllowed { token, selector } => write!(
                f,
                "function {selector} of {token} is neither transfer nor approve, and the token has a spend limit"
            ),
            Self::ShortTokenCallData { token, length } => write!(
                f,
                "{length} bytes of call data are too short for a transfer or approve of token {token}: they take 68"
            ),
            Self::NativeLimitExceeded(spending) => {
                f.write_str("the calls would send ")?;
                spending.fmt(f, "the native token (wei)")
            }
            Self::Erc20LimitExceeded { token, spending } => {
                f.write_str("would spend ")?;
                spending.fmt(f, format_args!("token {token}"))
            }
            Self::GasLimitExceeded {
                spending,
                reset_pending,
            } => {
                f.write_str("the operation may cost ")?;
                spending.fmt(f, "the gas limit (wei)")?;
                match reset_pending {
                    true => f.write_str(
                        ", and a reset is pending: settle it with resetSessionKeyGasLimitTimestamp",
                    ),
                    false => Ok(()),
                }
            }
            Self::GasIntervalNotBegun { begins_at } => {
                write!(
                    f,
                    "the next interval of the gas limit begins at {}",
                    UnixTime(*begins_at)
                )
            }
            Self::NonceKey { nonce_key, expected } => write!(
                f,
                "the nonce key is {nonce_key:#x}; it must be the session key's own, {expected:#x}"
            ),
            Self::PaymasterRequired { required, found } => match found {
                Some(found) => write!(f, "paymaster {required} is required, not {found}"),
                None => write!(f, "paymaster {required} is required"),
            },
            Self::IntervalEndOverflow {
                last_used_time,
                refresh_interval,
            } => write!(
                f,
                "an interval of {refresh_interval} seconds from {} on ends later than plugins can store, which some refuse",
                UnixTime(*last_used_time)
            ),
            Self::NativeIntervalEndOverflow {
                last_used_time,
                refresh_interval,
            } => write!(
                f,
                "every use of the key fails: the native token limit's interval of {refresh_interval} seconds from {} on ends later \
                 than this plugin can store; set the limit anew",
                UnixTime(*last_used_time)
            ),
            Self::StateNotLoaded { target, selector } => match selector {
                Some(selector) => write!(f, "nothing is known about function {selector} of {target}"),
                None => write!(f, "nothing is known about {target}"),
            },
        }
    }
}

/// A rule that an operation breaks: where, when, and whether waiting helps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Violation {
    /// The rule, with its figures.
    #[serde(flatten)]
    pub rule: Rule,
    /// The phase in which the chain would refuse if this were the only broken rule.
    pub phase: Phase,
    /// Index of the call, for rules about one call.
    pub call: Option<usize>,
    /// The earliest time at which the rule would hold, unix seconds. `None` if waiting does not help.
    pub passes_from: Option<u64>,
}

impl Violation {
    pub(super) const fn new(rule: Rule, phase: Phase) -> Self {
        Self {
            rule,
            phase,
            call: None,
            passes_from: None,
        }
    }

    /// The rule's stable code.
    pub const fn code(&self) -> &'static str {
        self.rule.code()
    }

    /// Whether a plugin with the same ABI may accept it: see [`Rule::is_beyond_abi`]. In execution, such a
    /// plugin need not repeat the checks of validation; it books what is spent.
    pub const fn is_beyond_abi(&self) -> bool {
        let is_booked = matches!(
            self.rule,
            Rule::NativeLimitExceeded(_)
                | Rule::NativeIntervalEndOverflow { .. }
                | Rule::Erc20LimitExceeded { .. }
                | Rule::KeyNotRegistered { .. }
        );
        self.rule.is_beyond_abi() || matches!(self.phase, Phase::Execution) && !is_booked
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.call, &self.rule) {
            (Some(call), rule @ Rule::Erc20LimitExceeded { .. }) => write!(f, "call {call} {rule}"),
            (Some(call), rule) => write!(f, "call {call}: {rule}"),
            (None, rule) => rule.fmt(f),
        }
    }
}

impl Serialize for Violation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct WithMessage<'a> {
            #[serde(flatten)]
            rule: &'a Rule,
            phase: Phase,
            call: Option<usize>,
            passes_from: Option<u64>,
            message: String,
        }
        WithMessage {
            rule: &self.rule,
            phase: self.phase,
            call: self.call,
            passes_from: self.passes_from,
            message: self.to_string(),
        }
        .serialize(serializer)
    }
}

/// What is left of the limits after an operation. Wei, or base units of the token; unlimited parts are
/// absent, and null in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Remaining {
    /// Left of the native token.
    #[serde(rename = "nativeWei", with = "decimal_or_none")]
    pub native: Option<U256>,
    /// Left for the cost of operations.
    #[serde(rename = "gasWei", with = "decimal_or_none")]
    pub gas: Option<U256>,
    /// Left of each token.
    #[serde(rename = "tokens", with = "by_token")]
    pub erc20: BTreeMap<Address, U256>,
}

/// Optional amounts.
mod decimal_or_none {
    use crate::figures::decimal_string;
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Amount(#[serde(with = "decimal_string")] U256);

    pub(super) fn serialize<S: Serializer>(amount: &Option<U256>, serializer: S) -> Result<S::Ok, S::Error> {
        amount.map(Amount).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<U256>, D::Error> {
        let amount = Option::<Amount>::deserialize(deserializer)?;
        Ok(amount.map(|Amount(amount)| amount))
    }
}

/// A list of tokens with what is left of each.
mod by_token {
    use crate::figures::{checksummed, decimal_string};
    use alloy_primitives::{Address, U256};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Left {
        #[serde(with = "checksummed")]
        token: Address,
        #[serde(with = "decimal_string")]
        base_units: U256,
    }

    pub(super) fn serialize<S: Serializer>(
        tokens: &BTreeMap<Address, U256>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tokens.iter().map(|(token, base_units)| Left {
            token: *token,
            base_units: *base_units,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Address, U256>, D::Error> {
        let tokens = Vec::<Left>::deserialize(deserializer)?;
        Ok(tokens
            .into_iter()
            .map(|left| (left.token, left.base_units))
            .collect())
    }
}

/// Whether the chain would accept an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Verdict {
    /// The plugin accepts it.
    Accepted {
        /// First second in which validation accepts it, unix seconds; 0 for no bound.
        valid_after: u64,
        /// Last such second; 0 for no bound.
        valid_until: u64,
        /// What is left of the limits afterwards.
        remaining: Remaining,
    },
    /// The plugin refuses it.
    Refused {
        /// Every rule that it breaks, those of validation first. Never empty.
        violations: Vec<Violation>,
    },
    /// This project's plugin would refuse it, but the key is on another plugin, which may accept it: it
    /// breaks only rules that the ABI does not document ([`Violation::is_beyond_abi`]).
    MayPass {
        /// Every rule that it breaks, those of validation first. Never empty.
        violations: Vec<Violation>,
    },
}

impl Verdict {
    /// Whether the operation passes.
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// Every rule that is broken; none if the operation is accepted.
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Accepted { .. } => &[],
            Self::Refused { violations } | Self::MayPass { violations } => violations,
        }
    }

    /// The phase in which the operation would be refused. `None` if it is accepted.
    pub fn phase(&self) -> Option<Phase> {
        self.violations().iter().map(|violation| violation.phase).min()
    }

    /// The code with which the EntryPoint would refuse the operation. `None` if it is included.
    pub fn entry_point_code(&self) -> Option<AaCode> {
        const ORDER: [AaCode; 5] = [
            AaCode::InvalidPaymasterAndData,
            AaCode::GasValuesOverflow,
            AaCode::AccountReverted,
            AaCode::AccountSignature,
            AaCode::ExpiredOrNotDue,
        ];
        let codes: Vec<AaCode> = self
            .violations()
            .iter()
            .filter(|violation| violation.phase == Phase::Validation)
            .map(Violation::entry_point_code)
            .collect();
        ORDER.into_iter().find(|code| codes.contains(code))
    }

    /// The earliest time at which the operation would pass if nothing else changes; 0 if it passes. `None` if
    /// waiting does not help.
    pub fn passes_from(&self) -> Option<u64> {
        self.violations()
            .iter()
            .try_fold(0, |latest, violation| Some(violation.passes_from?.max(latest)))
    }
}

impl Violation {
    /// The EntryPoint's code for a violation in validation.
    fn entry_point_code(&self) -> AaCode {
        match &self.rule {
            // Validation has no clock: an amount that fits the next interval passes, valid from that interval
            // on.
            Rule::NativeLimitExceeded(spending)
            | Rule::GasLimitExceeded {
                spending,
                reset_pending: false,
            } if spending.refreshes_at.is_some() && spending.asked <= spending.limit => {
                AaCode::ExpiredOrNotDue
            }
            rule => rule.validation_code(),
        }
    }
}

impl Verdict {
    /// After the phase in which it is refused, or may be.
    fn fmt_violations(&self, f: &mut fmt::Formatter<'_>, phase: Phase) -> fmt::Result {
        for (index, violation) in self.violations().iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            write!(f, "{violation}")?;
            // After a refusal in validation, execution does not happen; its violations are what would follow.
            if violation.phase != phase {
                write!(f, " (in {})", violation.phase)?;
            }
        }
        if let Some(time) = self.passes_from() {
            write!(f, "; it would pass from {} on", UnixTime(time))?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.phase().unwrap_or(Phase::Validation);
        match self {
            Self::Accepted {
                valid_after,
                valid_until,
                remaining,
            } => {
                f.write_str("accepted")?;
                if *valid_after != 0 {
                    write!(f, ", valid from {}", UnixTime(*valid_after))?;
                }
                if *valid_until != 0 {
                    write!(f, ", valid until {}", UnixTime(*valid_until))?;
                }
                if let Some(wei) = remaining.native {
                    write!(f, "; {wei} wei left to send")?;
                }
                if let Some(wei) = remaining.gas {
                    write!(f, "; {wei} wei left for gas")?;
                }
                for (token, amount) in &remaining.erc20 {
                    write!(f, "; {amount} left of token {token}")?;
                }
                Ok(())
            }
            Self::Refused { .. } => {
                write!(f, "refused in {phase}")?;
                self.fmt_violations(f, phase)
            }
            Self::MayPass { .. } => {
                write!(
                    f,
                    "may be refused in {phase}, or pass: this depends on the plugin"
                )?;
                self.fmt_violations(f, phase)
            }
        }
    }
}
