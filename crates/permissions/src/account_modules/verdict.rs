//! What the chain will say, who says it, and by which rule.

use super::Hook;
use crate::{
    AaCode,
    figures::{checksummed, decimal_string},
    model::Phase,
    words::UnixTime,
};
use alloy_primitives::{Address, Selector, U256, hex};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refuser {
    /// The EntryPoint.
    EntryPoint,
    /// The account.
    Account,
    /// The validation's module.
    Validation,
    /// A hook.
    Hook(Hook),
}

/// A rule that an operation breaks. In JSON, the field `code` names it; codes never change their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum HookRule {
    /// The EntryPoint accepts paymaster data that is empty or has at least 52 bytes.
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
    },
    /// The operation's nonce selects another validation.
    OtherValidation {
        /// The entity id in the nonce.
        entity_id: u32,
    },
    /// The call data have no selector.
    NoFunction,
    /// The validation is not for this function of the account.
    FunctionNotForKey {
        /// The function.
        selector: Selector,
    },
    /// A call of the account to itself that the account does not make: `execute` to itself, executions within
    /// a batch, or too few bytes for a selector.
    SelfCall,
    /// A validation with execution hooks serves operations alone whose call data begin with `executeUserOp`.
    NotWrapped,
    /// `executeUserOp` within `executeUserOp` validates, and then only the EntryPoint may call it.
    WrappedTwice,
    /// The validation is not for user operations.
    NotForUserOperations,
    /// The signature is not the signer's.
    WrongSignature {
        /// Whose it is; `None`: nobody's.
        #[serde(with = "checksummed::optional")]
        signer: Option<Address>,
        /// Whose it should be.
        #[serde(with = "checksummed")]
        expected: Address,
    },
    /// The signature has not the form that the account takes: `0xff`, a byte for its kind, the signature.
    MalformedSignature,
    /// The signature has data for a hook that takes none.
    UnexpectedData,
    /// The contract is not allowed, nor the function on any contract.
    TargetNotAllowed {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// The function; zero for short call data.
        selector: Selector,
    },
    /// The contract is allowed for listed functions alone, and the call data are too short for one.
    NoSelector {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// Bytes found.
        length: usize,
    },
    /// The contract is allowed for other functions.
    FunctionNotAllowed {
        /// The contract.
        #[serde(with = "checksummed")]
        target: Address,
        /// The function.
        selector: Selector,
    },
    /// With limits on tokens, nothing but executions may be called.
    NotAnExecution {
        /// The account's function.
        selector: Selector,
    },
    /// Call data for a token with a limit have at least 68 bytes.
    ShortTokenCallData {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// Bytes found.
        length: usize,
    },
    /// On a token with a limit, only `transfer` and `approve` may be called.
    TokenFunctionNotAllowed {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// The function.
        selector: Selector,
    },
    /// More of a token than is left.
    TokenLimitExceeded {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// The amount to spend.
        #[serde(with = "decimal_string", rename = "askedBaseUnits")]
        asked: U256,
        /// What is left, after earlier calls of the same operation.
        #[serde(with = "decimal_string", rename = "leftBaseUnits")]
        left: U256,
    },
    /// The calls send more than is left.
    NativeLimitExceeded {
        /// The amount to send; [`U256::MAX`] for a sum that overflows.
        #[serde(with = "decimal_string", rename = "askedWei")]
        asked: U256,
        /// What is left.
        #[serde(with = "decimal_string", rename = "leftWei")]
        left: U256,
    },
    /// The operation may cost more than is left.
    GasLimitExceeded {
        /// The gas limits times the fee; [`U256::MAX`] for a product that overflows.
        #[serde(with = "decimal_string", rename = "askedWei")]
        asked: U256,
        /// What is left.
        #[serde(with = "decimal_string", rename = "leftWei")]
        left: U256,
    },
    /// The paymaster is the zero address.
    ZeroPaymaster,
    /// A paymaster must pay, and none does.
    PaymasterMissing {
        /// The paymaster.
        #[serde(with = "checksummed")]
        required: Address,
    },
    /// Another paymaster must pay.
    WrongPaymaster {
        /// The paymaster; zero where nobody can pay.
        #[serde(with = "checksummed")]
        required: Address,
        /// The operation's.
        #[serde(with = "checksummed")]
        found: Address,
    },
    /// The key may not be used yet.
    NotYetValid {
        /// First second, unix time.
        valid_after: u64,
    },
    /// The key may not be used any more.
    Expired {
        /// Last second, unix time.
        valid_until: u64,
    },
    /// The module has no such hook.
    NotAHook,
    /// The module has no hook after the execution.
    NotAPostHook,
}

impl HookRule {
    /// The rule's stable code, as in JSON.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidPaymasterAndData { .. } => "invalid_paymaster_and_data",
            Self::GasValuesOverflow => "gas_values_overflow",
            Self::SenderMismatch { .. } => "sender_mismatch",
            Self::OtherValidation { .. } => "other_validation",
            Self::NoFunction => "no_function",
            Self::FunctionNotForKey { .. } => "function_not_for_key",
            Self::SelfCall => "self_call",
            Self::NotWrapped => "not_wrapped",
            Self::WrappedTwice => "wrapped_twice",
            Self::NotForUserOperations => "not_for_user_operations",
            Self::WrongSignature { .. } => "wrong_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::UnexpectedData => "unexpected_data",
            Self::TargetNotAllowed { .. } => "target_not_allowed",
            Self::NoSelector { .. } => "no_selector",
            Self::FunctionNotAllowed { .. } => "function_not_allowed",
            Self::NotAnExecution { .. } => "not_an_execution",
            Self::ShortTokenCallData { .. } => "short_token_call_data",
            Self::TokenFunctionNotAllowed { .. } => "token_function_not_allowed",
            Self::TokenLimitExceeded { .. } => "token_limit_exceeded",
            Self::NativeLimitExceeded { .. } => "native_limit_exceeded",
            Self::GasLimitExceeded { .. } => "gas_limit_exceeded",
            Self::ZeroPaymaster => "zero_paymaster",
            Self::PaymasterMissing { .. } => "paymaster_missing",
            Self::WrongPaymaster { .. } => "wrong_paymaster",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::NotAHook => "not_a_hook",
            Self::NotAPostHook => "not_a_post_hook",
        }
    }

    /// What the hook's module reverts with, without arguments: the error's selector, or nothing. `None`: the
    /// rule is no module's, or the chain refuses in another way.
    #[must_use]
    pub const fn module_error(&self) -> Option<&'static [u8]> {
        Some(match self {
            Self::UnexpectedData => &hex!("d218aafb"),
            Self::TargetNotAllowed { .. } => &hex!("2b53784e"),
            Self::NoSelector { .. } => &hex!("3aeca77f"),
            Self::FunctionNotAllowed { .. } | Self::TokenFunctionNotAllowed { .. } => &hex!("bdb518d2"),
            Self::NotAnExecution { .. } => &hex!("f61c9d52"),
            Self::ShortTokenCallData { .. } => &hex!("ca0ad260"),
            Self::TokenLimitExceeded { .. } => &hex!("a55ac877"),
            Self::NativeLimitExceeded { .. } | Self::GasLimitExceeded { .. } => &hex!("94c58c94"),
            Self::ZeroPaymaster => &hex!("8b9c642c"),
            Self::WrongPaymaster { .. } => &hex!("be179485"),
            Self::NotAPostHook => &hex!("d6234725"),
            Self::PaymasterMissing { .. } | Self::NotAHook => &[],
            _ => return None,
        })
    }

    const fn validation_code(&self) -> AaCode {
        match self {
            Self::InvalidPaymasterAndData { .. } => AaCode::InvalidPaymasterAndData,
            Self::GasValuesOverflow => AaCode::GasValuesOverflow,
            Self::WrongSignature { .. } => AaCode::AccountSignature,
            Self::NotYetValid { .. } | Self::Expired { .. } => AaCode::ExpiredOrNotDue,
            _ => AaCode::AccountReverted,
        }
    }
}

impl fmt::Display for HookRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidPaymasterAndData { length } => {
                write!(
                    f,
                    "paymaster data of {length} bytes is too short: at least 52 are needed"
                )
            }
            Self::GasValuesOverflow => f.write_str("a gas limit or a fee is not below 2^120"),
            Self::SenderMismatch { sender } => write!(f, "the operation belongs to account {sender}"),
            Self::OtherValidation { entity_id } => {
                write!(
                    f,
                    "the operation's nonce selects another validation, entity {entity_id}"
                )
            }
            Self::NoFunction => f.write_str("the call data selects no function of the account"),
            Self::FunctionNotForKey { selector } => {
                write!(
                    f,
                    "the key may not be used for function {selector} of the account"
                )
            }
            Self::SelfCall => f.write_str("the account refuses this call to itself"),
            Self::NotWrapped => f.write_str(
                "a key with execution hooks needs executeUserOp: the call data must begin with 0x8dd7712f",
            ),
            Self::WrappedTwice => f.write_str("executeUserOp within executeUserOp fails"),
            Self::NotForUserOperations => f.write_str("the key is not for user operations"),
            Self::WrongSignature {
                signer: Some(signer),
                expected,
            } => write!(f, "the signature is by {signer}; expected {expected}"),
            Self::WrongSignature {
                signer: None,
                expected,
            } => {
                write!(f, "the signature has no valid signer; expected {expected}")
            }
            Self::MalformedSignature => {
                f.write_str("the signature is malformed: expected 0xff, a type byte, and the signature")
            }
            Self::UnexpectedData => f.write_str("the signature carries data for a hook that takes none"),
            Self::TargetNotAllowed { target, selector } => {
                write!(
                    f,
                    "{target} is not allowed, nor is function {selector} on any contract"
                )
            }
            Self::NoSelector { target, length } => write!(
                f,
                "call data of {length} bytes selects no function of {target}, which allows listed functions only"
            ),
            Self::FunctionNotAllowed { target, selector } => {
                write!(f, "function {selector} of {target} is not listed")
            }
            Self::NotAnExecution { selector } => write!(
                f,
                "a key with token limits may use only execute and executeBatch, not {selector}"
            ),
            Self::ShortTokenCallData { token, length } => write!(
                f,
                "call data of {length} bytes is too short for transfer or approve of token {token}, which take 68"
            ),
            Self::TokenFunctionNotAllowed { token, selector } => write!(
                f,
                "function {selector} of token {token}, which has a limit, is neither transfer nor approve"
            ),
            Self::TokenLimitExceeded { token, asked, left } => {
                write!(f, "would spend {asked} of token {token}, but {left} are left")
            }
            Self::NativeLimitExceeded { asked, left } => {
                write!(
                    f,
                    "the calls would send {} wei, but {left} are left",
                    Asked(*asked)
                )
            }
            Self::GasLimitExceeded { asked, left } => {
                write!(
                    f,
                    "the operation may cost {} wei, but {left} are left",
                    Asked(*asked)
                )
            }
            Self::ZeroPaymaster => f.write_str("the paymaster is the zero address"),
            Self::PaymasterMissing { required } => write!(f, "paymaster {required} must pay"),
            Self::WrongPaymaster { required, found } => {
                write!(f, "paymaster {required} must pay, not {found}")
            }
            Self::NotYetValid { valid_after } => {
                write!(f, "the key is valid from {} on", UnixTime(*valid_after))
            }
            Self::Expired { valid_until } => {
                write!(f, "the key was valid until {}", UnixTime(*valid_until))
            }
            Self::NotAHook => {
                f.write_str("the module does not implement this hook, so every operation fails")
            }
            Self::NotAPostHook => {
                f.write_str("the module does not implement a post-execution hook, so every operation fails")
            }
        }
    }
}

/// An amount, where the largest stands for one that overflows.
struct Asked(U256);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            U256::MAX => f.write_str("more than 2^256"),
            amount => amount.fmt(f),
        }
    }
}

/// A refusal: who, by which rule, in which phase, of which call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Refusal {
    /// Who refuses.
    pub refuser: Refuser,
    /// The rule.
    #[serde(flatten)]
    pub rule: HookRule,
    /// The phase in which the chain would refuse if this were the only broken rule.
    pub phase: Phase,
    /// Index of the call, for rules about one call.
    pub call: Option<usize>,
}

impl Refusal {
    /// The rule's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.rule.code()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = self.call {
            write!(f, "call {call}: ")?;
        }
        self.rule.fmt(f)?;
        match &self.refuser {
            Refuser::EntryPoint => f.write_str(" (the EntryPoint, "),
            Refuser::Account => f.write_str(" (the account, "),
            Refuser::Validation => f.write_str(" (the validation, "),
            Refuser::Hook(hook) => {
                let name = hook.module.kind.map_or("a module", super::AccountModule::name);
                write!(f, " ({name}, entity {}, ", hook.entity_id)
            }
        }?;
        write!(f, "in {})", self.phase)
    }
}

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeftOf {
    /// What operations may cost, in wei.
    Gas,
    /// What calls may send, in wei.
    Native,
    /// A token, in base units.
    Token {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
    },
}

/// The remaining amount of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Left {
    /// What the limit is on.
    #[serde(flatten)]
    pub of: LeftOf,
    /// The module's entity that keeps it.
    pub entity_id: u32,
    /// Wei, or base units of the token.
    #[serde(with = "decimal_string")]
    pub amount: U256,
}

/// Why the verdict is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Unpredictable {
    /// The account's code is unknown.
    AccountCode,
    /// A module's code is unknown.
    ModuleCode {
        /// The module.
        #[serde(with = "checksummed")]
        module: Address,
    },
    /// Hooks run around the account's functions, whatever the validation.
    FunctionHooks {
        /// The first of their modules.
        #[serde(with = "checksummed")]
        module: Address,
    },
    /// Not all hooks of the account's functions were read.
    FunctionHooksNotRead,
    /// The function is not the account's own. Whether there is one, and whether global validations are for
    /// it, is up to the module that adds it.
    ModuleFunction {
        /// The function.
        selector: Selector,
    },
    /// The operation carries an action that is run first, and may change the key.
    DeferredAction,
    /// The arguments are not encoded as compilers and clients do it.
    UnusualCallData,
    /// A setting was not read.
    NotRead {
        /// The module.
        #[serde(with = "checksummed")]
        module: Address,
        /// Its entity.
        entity_id: u32,
        /// The contract that the setting is for; `None`: all settings of the entity.
        #[serde(with = "checksummed::optional")]
        target: Option<Address>,
    },
    /// The signer was not read.
    SignerNotRead,
}

impl fmt::Display for Unpredictable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccountCode => f.write_str("the account's code is unknown"),
            Self::ModuleCode { module } => write!(f, "the code of module {module} is unknown"),
            Self::FunctionHooks { module } => {
                write!(f, "hooks of module {module} run around the account's functions")
            }
            Self::FunctionHooksNotRead => f.write_str("hooks of the account's functions were not read"),
            Self::ModuleFunction { selector } => {
                write!(f, "function {selector} is not the account's own, but a module's")
            }
            Self::DeferredAction => {
                f.write_str("the operation carries a deferred action, which may change the key first")
            }
            Self::UnusualCallData => {
                f.write_str("the call data is not in canonical encoding, and decoders may disagree about it")
            }
            Self::NotRead {
                module,
                entity_id,
                target: Some(target),
            } => write!(
                f,
                "settings of module {module}, entity {entity_id}, for {target} were not read"
            ),
            Self::NotRead {
                module, entity_id, ..
            } => write!(
                f,
                "settings of module {module}, entity {entity_id}, were not read"
            ),
            Self::SignerNotRead => f.write_str("the key's signer was not read"),
        }
    }
}

/// Whether the chain would accept an operation of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum KeyVerdict {
    /// Account and hooks accept it.
    Accepted {
        /// First second in which validation accepts it, unix seconds; 0 for no bound.
        valid_after: u64,
        /// Last such second; 0 for no bound.
        valid_until: u64,
        /// Remaining limits after the operation, in the order of the hooks.
        remaining: Vec<Left>,
    },
    /// Refused.
    Refused {
        /// All refusals, validation first, in the order of the chain's checks. Never empty.
        refusals: Vec<Refusal>,
    },
    /// The verdict cannot be predicted.
    Unknown {
        /// Why. Never empty.
        reasons: Vec<Unpredictable>,
    },
}

impl KeyVerdict {
    /// Whether the operation is accepted.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. })
    }

    /// Returns all refusals; none if the verdict is accepted or unknown.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        match self {
            Self::Refused { refusals } => refusals,
            Self::Accepted { .. } | Self::Unknown { .. } => &[],
        }
    }

    /// Returns the phase in which the operation is refused; `None` if the verdict is accepted or unknown.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.refusals().iter().map(|refusal| refusal.phase).min()
    }

    /// Returns the refusal that the chain reports, which is the first it reaches. In validation, the order
    /// is: the EntryPoint's checks, reverts of the account, a wrong signature, the time range.
    #[must_use]
    pub fn decisive(&self) -> Option<&Refusal> {
        const ORDER: [AaCode; 5] = [
            AaCode::InvalidPaymasterAndData,
            AaCode::GasValuesOverflow,
            AaCode::AccountReverted,
            AaCode::AccountSignature,
            AaCode::ExpiredOrNotDue,
        ];
        let refusals = self.refusals();
        let mut in_validation = ORDER.iter().filter_map(|code| {
            refusals
                .iter()
                .find(|refusal| refusal.phase == Phase::Validation && refusal.rule.validation_code() == *code)
        });
        in_validation.next().or_else(|| refusals.first())
    }

    /// Returns the EntryPoint's error code; `None` if the operation is included.
    #[must_use]
    pub fn entry_point_code(&self) -> Option<AaCode> {
        let decisive = self.decisive()?;
        (decisive.phase == Phase::Validation).then(|| decisive.rule.validation_code())
    }
}

impl fmt::Display for KeyVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: Vec<String>| f.write_str(&items.join("; "));
        match self {
            Self::Accepted { .. } => f.write_str("accepted"),
            Self::Refused { refusals } => {
                write!(f, "refused in {}: ", self.phase().unwrap_or(Phase::Validation))?;
                list(f, refusals.iter().map(ToString::to_string).collect())
            }
            Self::Unknown { reasons } => {
                f.write_str("nothing is predicted: ")?;
                list(f, reasons.iter().map(ToString::to_string).collect())
            }
        }
    }
}
