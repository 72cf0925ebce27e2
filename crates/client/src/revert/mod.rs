//! Decodes reverts.

mod contracts;
pub(crate) mod rpc;

pub use contracts::{
    AccountError, AccountV08Error, DeferredActionError, FactoryError, FallbackSignerError, ModuleError,
    OwnerPluginError, PluginBaseError, PluginError,
};

use crate::{
    abi::{EntryPoint, EntryPointV07},
    request::text,
};
use alloy::{
    primitives::{Address, B256, Bytes, Log, U256, hex},
    sol_types::{Panic, PanicKind, Revert as ErrorString, SolError, SolEvent},
    transports::{RpcError, TransportError},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use session_key_permissions::AaCode;
use std::fmt;

/// The maximum depth at which wrapped reverts are decoded. Deeper ones stay [`Revert::Unknown`]: the
/// reverting contract chooses the depth, and the stack is finite.
const MAX_DEPTH: usize = 16;

/// Maximum size of unknown revert data shown, in bytes.
const MAX_SHOWN_DATA: usize = 256;
/// Maximum length of a displayed revert, in characters.
const MAX_SHOWN: usize = 4_000;

/// A decoded revert. Decoding never fails and never loses a byte: [`to_bytes`](Self::to_bytes) returns
/// exactly the decoded bytes, and data that does not decode exactly stays [`Unknown`](Self::Unknown).
///
/// `Display` and `Debug` are safe for terminals and logs: without control characters, and truncated.
///
/// ```
/// use session_key_client::{alloy::primitives::bytes, revert::{PluginError, Revert}};
///
/// let revert = Revert::decode(&bytes!("b4d78304"));
/// assert_eq!(revert, Revert::Plugin(PluginError::PermissionsCheckFailed));
/// assert_eq!(revert.to_string(), "the session key's permissions do not allow this operation");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revert {
    /// The EntryPoint refused an operation.
    FailedOp(FailedOp),
    /// An aggregator refused its signatures.
    SignatureValidationFailed {
        /// The aggregator.
        aggregator: Address,
    },
    /// The session key plugin, or the module for errors that both share.
    Plugin(PluginError),
    /// The session key module.
    Module(ModuleError),
    /// Any plugin; some of these errors also come from the account or the factory.
    PluginBase(PluginBaseError),
    /// The account.
    Account(AccountError),
    /// An ERC-6900 v0.8 account.
    AccountV08(AccountV08Error),
    /// A v0.8 account, about deferred actions.
    DeferredAction(DeferredActionError),
    /// A semi-modular v0.8 account, about its fallback signer.
    FallbackSigner(FallbackSignerError),
    /// The owner plugin.
    OwnerPlugin(OwnerPluginError),
    /// The account factory.
    Factory(FactoryError),
    /// `revert("…")` or `require(…, "…")`.
    Error(String),
    /// A failed assertion, with its code: 0x11 is arithmetic overflow, for example.
    Panic(U256),
    /// Anything else, with all its bytes; empty if a contract reverts without a reason, runs out of gas or
    /// halts otherwise.
    Unknown(Bytes),
}

/// The JSON format: the revert data, and a description. Only the data is read back.
#[derive(Serialize, Deserialize)]
struct Written {
    data: Bytes,
    #[serde(default)]
    message: String,
}

impl Serialize for Revert {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            data: self.to_bytes(),
            message: self.to_string(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Revert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::decode(&Written::deserialize(deserializer)?.data))
    }
}

/// The EntryPoint refused an operation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FailedOp {
    /// Index of the operation in the bundle.
    pub op_index: U256,
    /// The code that `reason` starts with, if it is a known one.
    pub code: Option<AaCode>,
    /// The full reason as received: not safe to display.
    pub reason: String,
    /// The revert of the account, factory or paymaster, if the EntryPoint includes it: v0.7 and later do.
    pub inner: Option<Box<Revert>>,
}

impl fmt::Display for FailedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {} cannot be included: ", self.op_index)?;
        let reason = text::clean(&self.reason);
        match self.code {
            Some(code) => write!(f, "{} ({reason})", code.description())?,
            None => f.write_str(&reason)?,
        }
        match &self.inner {
            Some(inner) => f.write_str(&text::cut(&format!(": {inner}"), MAX_SHOWN)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FailedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedOp")
            .field("op_index", &self.op_index)
            .field("code", &self.code)
            .field("reason", &text::clean(&self.reason))
            .field("inner", &self.inner)
            .finish()
    }
}

impl Revert {
    /// Decodes revert data.
    pub fn decode(data: &[u8]) -> Self {
        Self::decode_nested(data, 0)
    }

    fn decode_nested(data: &[u8], depth: usize) -> Self {
        if depth < MAX_DEPTH
            && let Some(revert) = Self::decode_known(data, depth + 1)
            // ABI encoding is not unique. Data that encodes to other bytes would lose some.
            && *revert.to_bytes() == *data
        {
            return revert;
        }
        Self::Unknown(Bytes::copy_from_slice(data))
    }

    fn decode_known(data: &[u8], depth: usize) -> Option<Self> {
        match *data.first_chunk::<4>()? {
            EntryPoint::FailedOp::SELECTOR => {
                let error = EntryPoint::FailedOp::abi_decode_validate(data).ok()?;
                let code = AaCode::parse(&error.reason);
                Some(Self::FailedOp(FailedOp {
                    op_index: error.opIndex,
                    code,
                    reason: error.reason,
                    inner: None,
                }))
            }
            EntryPointV07::FailedOpWithRevert::SELECTOR => {
                let error = EntryPointV07::FailedOpWithRevert::abi_decode_validate(data).ok()?;
                Some(Self::FailedOp(FailedOp {
                    op_index: error.opIndex,
                    code: AaCode::parse(&error.reason),
                    reason: error.reason,
                    inner: Some(Box::new(Self::decode_nested(&error.inner, depth))),
                }))
            }
            EntryPoint::SignatureValidationFailed::SELECTOR => {
                let error = EntryPoint::SignatureValidationFailed::abi_decode_validate(data).ok()?;
                Some(Self::SignatureValidationFailed {
                    aggregator: error.aggregator,
                })
            }
            ErrorString::SELECTOR => Some(Self::Error(ErrorString::abi_decode_validate(data).ok()?.reason)),
            Panic::SELECTOR => Some(Self::Panic(Panic::abi_decode_validate(data).ok()?.code)),
            _ => PluginError::decode(data, depth)
                .map(Self::Plugin)
                .or_else(|| ModuleError::decode(data, depth).map(Self::Module))
                .or_else(|| PluginBaseError::decode(data, depth).map(Self::PluginBase))
                .or_else(|| AccountError::decode(data, depth).map(Self::Account))
                .or_else(|| AccountV08Error::decode(data, depth).map(Self::AccountV08))
                .or_else(|| DeferredActionError::decode(data, depth).map(Self::DeferredAction))
                .or_else(|| FallbackSignerError::decode(data, depth).map(Self::FallbackSigner))
                .or_else(|| OwnerPluginError::decode(data, depth).map(Self::OwnerPlugin))
                .or_else(|| FactoryError::decode(data, depth).map(Self::Factory)),
        }
    }

    /// Returns the revert data.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::FailedOp(FailedOp {
                op_index,
                reason,
                inner: None,
                ..
            }) => EntryPoint::FailedOp {
                opIndex: *op_index,
                reason: reason.clone(),
            }
            .abi_encode()
            .into(),
            Self::FailedOp(FailedOp {
                op_index,
                reason,
                inner: Some(inner),
                ..
            }) => EntryPointV07::FailedOpWithRevert {
                opIndex: *op_index,
                reason: reason.clone(),
                inner: inner.to_bytes(),
            }
            .abi_encode()
            .into(),
            Self::SignatureValidationFailed { aggregator } => EntryPoint::SignatureValidationFailed {
                aggregator: *aggregator,
            }
            .abi_encode()
            .into(),
            Self::Plugin(error) => error.to_bytes(),
            Self::Module(error) => error.to_bytes(),
            Self::PluginBase(error) => error.to_bytes(),
            Self::Account(error) => error.to_bytes(),
            Self::AccountV08(error) => error.to_bytes(),
            Self::DeferredAction(error) => error.to_bytes(),
            Self::FallbackSigner(error) => error.to_bytes(),
            Self::OwnerPlugin(error) => error.to_bytes(),
            Self::Factory(error) => error.to_bytes(),
            Self::Error(reason) => ErrorString {
                reason: reason.clone(),
            }
            .abi_encode()
            .into(),
            Self::Panic(code) => Panic { code: *code }.abi_encode().into(),
            Self::Unknown(data) => data.clone(),
        }
    }

    /// Returns the revert that an RPC error reports, however the node words it; `None` if it reports another
    /// failure (no connection, a refusal). A call that halts otherwise, for example out of gas, is
    /// [`Unknown`](Self::Unknown) without bytes; if the node gives the reason only in words, it is an
    /// [`Error`](Self::Error).
    pub fn from_rpc_error(error: &TransportError) -> Option<Self> {
        match error {
            RpcError::ErrorResp(payload) => rpc::revert(payload),
            _ => None,
        }
    }

    /// Returns the EntryPoint's code, if this is a [`FailedOp`].
    pub const fn aa_code(&self) -> Option<AaCode> {
        match self {
            Self::FailedOp(failed) => failed.code,
            _ => None,
        }
    }

    /// Returns the innermost revert: a plugin's or target's, without the account's wrapping.
    pub fn root(&self) -> &Self {
        match self {
            Self::Account(
                AccountError::PluginInstallCallbackFailed { reason, .. }
                | AccountError::PluginUninstallCallbackFailed { reason, .. }
                | AccountError::PreExecHookReverted { reason, .. }
                | AccountError::PostExecHookReverted { reason, .. }
                | AccountError::PreRuntimeValidationHookFailed { reason, .. }
                | AccountError::RuntimeValidationFunctionReverted { reason, .. },
            ) => reason.root(),
            Self::AccountV08(error) => error.wrapped().map_or(self, Self::root),
            Self::FailedOp(FailedOp {
                inner: Some(inner), ..
            }) => inner.root(),
            _ => self,
        }
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailedOp(error) => error.fmt(f),
            Self::SignatureValidationFailed { aggregator } => {
                write!(f, "aggregator {aggregator} refused the signatures")
            }
            Self::Plugin(error) => error.fmt(f),
            Self::Module(error) => error.fmt(f),
            Self::PluginBase(error) => error.fmt(f),
            // These contain data, or a plugin's revert.
            Self::Account(error) => f.write_str(&text::cut(&error.to_string(), MAX_SHOWN)),
            Self::AccountV08(error) => f.write_str(&text::cut(&error.to_string(), MAX_SHOWN)),
            Self::DeferredAction(error) => error.fmt(f),
            Self::FallbackSigner(error) => error.fmt(f),
            Self::OwnerPlugin(error) => error.fmt(f),
            Self::Factory(error) => error.fmt(f),
            Self::Error(reason) => f.write_str(&text::clean(reason)),
            Self::Panic(code) => match u32::try_from(*code).ok().and_then(PanicKind::from_number) {
                Some(kind) => write!(f, "panic {code:#x}: {}", kind.as_str()),
                None => write!(f, "panic {code:#x}"),
            },
            Self::Unknown(data) if data.is_empty() => {
                f.write_str("reverted without a reason, or ran out of gas")
            }
            // Some contracts pad their reasons unusually; people can still read them.
            Self::Unknown(data) => match ErrorString::abi_decode(data) {
                Ok(error) => {
                    let (reason, data) = (text::clean(&error.reason), shown(data));
                    write!(f, "{reason} (revert data {data})")
                }
                Err(_) => write!(f, "reverted with {}", shown(data)),
            },
        }
    }
}

impl fmt::Debug for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailedOp(error) => f.debug_tuple("FailedOp").field(error).finish(),
            Self::SignatureValidationFailed { aggregator } => f
                .debug_struct("SignatureValidationFailed")
                .field("aggregator", aggregator)
                .finish(),
            Self::Plugin(error) => f.debug_tuple("Plugin").field(error).finish(),
            Self::Module(error) => f.debug_tuple("Module").field(error).finish(),
            Self::PluginBase(error) => f.debug_tuple("PluginBase").field(error).finish(),
            Self::Account(error) => write!(f, "Account({})", text::cut(&format!("{error:?}"), MAX_SHOWN)),
            Self::AccountV08(error) => {
                write!(f, "AccountV08({})", text::cut(&format!("{error:?}"), MAX_SHOWN))
            }
            Self::DeferredAction(error) => f.debug_tuple("DeferredAction").field(error).finish(),
            Self::FallbackSigner(error) => f.debug_tuple("FallbackSigner").field(error).finish(),
            Self::OwnerPlugin(error) => f.debug_tuple("OwnerPlugin").field(error).finish(),
            Self::Factory(error) => f.debug_tuple("Factory").field(error).finish(),
            Self::Error(reason) => f.debug_tuple("Error").field(&text::clean(reason)).finish(),
            Self::Panic(code) => f.debug_tuple("Panic").field(code).finish(),
            Self::Unknown(data) => write!(f, "Unknown({})", shown(data)),
        }
    }
}

/// Formats data in hex, with its length if truncated.
fn shown(data: &[u8]) -> String {
    match data.get(..MAX_SHOWN_DATA) {
        Some(start) if start.len() < data.len() => {
            format!("{}… ({} bytes)", hex::encode_prefixed(start), data.len())
        }
        _ => hex::encode_prefixed(data),
    }
}

impl std::error::Error for Revert {}

/// Returns why an operation's call reverted, from the logs of the transaction that included it: the
/// EntryPoint's event `UserOperationRevertReason`. The EntryPoint emits none if the call reverted without
/// data, and truncates the data to 2048 bytes; neither is an error here.
pub fn user_operation_revert_reason<'a>(
    logs: impl IntoIterator<Item = &'a Log>,
    entry_point: Address,
    user_op_hash: B256,
) -> Option<Revert> {
    logs.into_iter()
        .filter(|log| log.address == entry_point)
        .filter_map(|log| EntryPoint::UserOperationRevertReason::decode_log(log).ok())
        .find(|event| event.userOpHash == user_op_hash)
        .map(|event| Revert::decode(&event.revertReason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v08::ModuleEntity;
    use alloy::primitives::Selector;
    use proptest::{prelude::*, test_runner::RngSeed};

    #[test]
    fn errors_of_the_plugin() {
        let [account, session_key, token] = [1, 2, 3].map(Address::repeat_byte);
        let error = PluginError::ERC20SpendLimitExceeded {
            account,
            session_key,
            token,
        };
        let data = error.to_bytes();
        assert_eq!(data.len(), 4 + 3 * 32);
        assert_eq!(Revert::decode(&data), Revert::Plugin(error));
        // Published selectors.
        for (data, error) in [
            (hex!("b4d78304"), PluginError::PermissionsCheckFailed),
            (hex!("ff633a38"), PluginError::LengthMismatch),
        ] {
            assert_eq!(Revert::decode(&data), Revert::Plugin(error));
        }
    }

    #[test]
    fn errors_of_the_module() {
        let target = Address::repeat_byte(7);
        for (selector, error, words) in [
            (
                "TargetIsModule(address)",
                ModuleError::TargetIsModule { target },
                "identifies as a module",
            ),
            (
                "TargetNotAsked(address)",
                ModuleError::TargetNotAsked { target },
                "too little gas is left to ask target",
            ),
        ] {
            let data = error.to_bytes();
            assert_eq!(data[..4], alloy::primitives::keccak256(selector)[..4]);
            let revert = Revert::decode(&data);
            assert_eq!(revert, Revert::Module(error));
            assert!(revert.to_string().contains(words), "{revert}");
            assert_eq!(revert.to_bytes(), data);
        }
    }

    #[test]
    fn reverts_wrapped_by_a_v08_account_are_decoded() {
        let entity = ModuleEntity::new(Address::repeat_byte(0xab), 0x8000_0000);
        let refused = Revert::Plugin(PluginError::PermissionsCheckFailed);
        let failed = EntryPointV07::FailedOpWithRevert {
            opIndex: U256::ONE,
            reason: "AA23 reverted".to_owned(),
            inner: AccountV08Error::UserOpValidationFunctionReverted {
                validation: entity,
                reason: Box::new(refused.clone()),
            }
            .to_bytes(),
        };
        let data = failed.abi_encode();
        let revert = Revert::decode(&data);
        assert_eq!(revert.to_bytes(), data);
        assert_eq!(revert.aa_code(), Some(AaCode::AccountReverted));
        assert_eq!(revert.root(), &refused);
        let words = revert.to_string();
        assert!(
            words.ends_with(&format!("validation by {entity} refused: {refused}")),
            "{words}"
        );
        // As the deployed accounts encode it.
        for (error, selector) in [
            (
                AccountV08Error::RequireUserOperationContext.to_bytes(),
                hex!("5f49f00a"),
            ),
            (
                AccountV08Error::SelfCallRecursionDepthExceeded.to_bytes(),
                hex!("54ff929d"),
            ),
            (
                DeferredActionError::DeferredActionSignatureInvalid.to_bytes(),
                hex!("01334f77"),
            ),
            (
                FallbackSignerError::FallbackSignerDisabled.to_bytes(),
                hex!("e684930a"),
            ),
        ] {
            assert_eq!(error[..4], selector);
        }
    }

    #[test]
    fn failed_operations_have_a_code() {
        let decode = |reason: &str| {
            let error = EntryPoint::FailedOp {
                opIndex: U256::from(2),
                reason: reason.to_owned(),
            };
            Revert::decode(&error.abi_encode())
        };
        let revert = decode("AA23 reverted (or OOG)");
        assert_eq!(revert.aa_code(), Some(AaCode::AccountReverted));
        assert_eq!(
            revert.to_string(),
            "operation 2 cannot be included: the account refused the operation in validation, or validation ran out of \
             gas (AA23 reverted (or OOG))"
        );
        assert_eq!(
            decode("AA24 signature error").aa_code(),
            Some(AaCode::AccountSignature)
        );
        assert_eq!(decode("AA99 from another world").aa_code(), None);
        assert_eq!(decode("ÄÄ").aa_code(), None);
        assert_eq!(decode("").aa_code(), None);
    }

    #[test]
    fn wrapped_reverts_are_decoded() {
        let inner = Revert::Plugin(PluginError::InvalidToken { token: Address::ZERO });
        let outer = Revert::Account(AccountError::PluginInstallCallbackFailed {
            plugin: Address::repeat_byte(1),
            reason: Box::new(inner.clone()),
        });
        let decoded = Revert::decode(&outer.to_bytes());
        assert_eq!(decoded, outer);
        assert_eq!(decoded.root(), &inner);
        assert!(decoded.to_string().ends_with(
            "refused to be installed: token 0x0000000000000000000000000000000000000000 cannot have a spend limit"
        ));
    }

    #[test]
    fn deep_nesting_ends_in_bytes() {
        let mut revert = Revert::Error("bottom".to_owned());
        for _ in 0..1000 {
            let plugin = Address::repeat_byte(1);
            revert = Revert::Unknown(
                AccountError::PreExecHookReverted {
                    plugin,
                    function_id: 0,
                    reason: Box::new(revert),
                }
                .to_bytes(),
            );
        }
        let data = revert.to_bytes();
        let decoded = Revert::decode(&data);
        assert_eq!(decoded.to_bytes(), data);
        assert!(matches!(decoded.root(), Revert::Unknown(_)));
    }

    #[test]
    fn strings_panics_and_nothing() {
        assert_eq!(
            Revert::decode(
                &ErrorString {
                    reason: "no".to_owned()
                }
                .abi_encode()
            ),
            Revert::Error("no".to_owned())
        );
        let overflow = Revert::decode(
            &Panic {
                code: U256::from(0x11),
            }
            .abi_encode(),
        );
        assert_eq!(overflow, Revert::Panic(U256::from(0x11)));
        assert_eq!(
            overflow.to_string(),
            "panic 0x11: arithmetic underflow or overflow"
        );
        assert_eq!(
            Revert::decode(&[]).to_string(),
            "reverted without a reason, or ran out of gas"
        );
        assert_eq!(
            Revert::decode(&hex!("12345678")),
            Revert::Unknown(hex!("12345678").into())
        );
    }

    #[test]
    fn displayed_reverts_are_cleaned_and_kept_ones_unchanged() {
        let dirty = format!(
            "\u{1b}[31mno\u{7}\u{202e} https://node.example/s3cr3t {}",
            "x".repeat(100_000)
        );
        let data = Bytes::from(vec![0xab; 100_000]);
        let plugin = Address::repeat_byte(1);
        let wrapped = |reason| {
            let reason = Box::new(reason);
            Revert::Account(AccountError::PreExecHookReverted {
                plugin,
                function_id: 1,
                reason,
            })
        };
        let failed = Revert::FailedOp(FailedOp {
            op_index: U256::ZERO,
            code: None,
            reason: dirty.clone(),
            inner: None,
        });
        let mut padded = Revert::Error(dirty.clone()).to_bytes().to_vec();
        padded.extend([1; 32]);
        for revert in [
            Revert::Error(dirty.clone()),
            failed,
            Revert::Unknown(padded.into()),
            Revert::Unknown(data.clone()),
            wrapped(Revert::Error(dirty)),
            wrapped(Revert::Unknown(data.clone())),
            Revert::Account(AccountError::ExecFromPluginExternalNotPermitted {
                plugin,
                target: plugin,
                value: U256::ZERO,
                data,
            }),
        ] {
            assert_eq!(Revert::decode(&revert.to_bytes()), revert);
            for shown in [revert.to_string(), format!("{revert:?}"), format!("{revert:#?}")] {
                assert!(shown.len() < 5_000, "{} bytes", shown.len());
                for bad in ["\u{1b}", "\u{7}", "\u{202e}", "s3cr3t"] {
                    assert!(!shown.contains(bad), "{bad:?} in {shown}");
                }
            }
        }
        let short = Revert::Unknown(vec![0xab; MAX_SHOWN_DATA].into());
        assert_eq!(
            short.to_string(),
            format!("reverted with 0x{}", "ab".repeat(MAX_SHOWN_DATA))
        );
        let long = Revert::Unknown(vec![0xab; MAX_SHOWN_DATA + 1].into()).to_string();
        assert!(long.ends_with("abab… (257 bytes)"), "{long}");
    }

    #[test]
    fn non_canonical_data_is_kept_and_readable() {
        let mut data = ErrorString {
            reason: "no".to_owned(),
        }
        .abi_encode();
        data.truncate(4 + 64 + 2);
        data.extend([0; 30]);
        data.push(7);
        let revert = Revert::decode(&data);
        assert_eq!(revert, Revert::Unknown(data.into()));
        assert!(revert.to_string().starts_with("no (revert data 0x08c379a0"));
    }

    #[test]
    fn reasons_are_found_by_hash_and_emitter() {
        let entry_point = Address::repeat_byte(9);
        let event = |hash: u8| EntryPoint::UserOperationRevertReason {
            userOpHash: B256::repeat_byte(hash),
            sender: Address::ZERO,
            nonce: U256::ZERO,
            revertReason: Bytes::from(hex!("b4d78304")),
        };
        let log = |address, hash| Log {
            address,
            data: event(hash).encode_log_data(),
        };
        let logs = [log(entry_point, 1), log(Address::ZERO, 2)];
        let reason = |hash| user_operation_revert_reason(&logs, entry_point, B256::repeat_byte(hash));
        assert_eq!(
            reason(1),
            Some(Revert::Plugin(PluginError::PermissionsCheckFailed))
        );
        // Other contracts may emit anything.
        assert_eq!(reason(2), None);
    }

    fn selectors() -> Vec<Selector> {
        let plugin = Address::ZERO;
        let reason = Box::new(Revert::Unknown(Bytes::new()));
        [
            AccountError::PreExecHookReverted {
                plugin,
                function_id: 0,
                reason: reason.clone(),
            }
            .to_bytes(),
            AccountError::PluginInstallCallbackFailed { plugin, reason }.to_bytes(),
            PluginError::InvalidToken { token: plugin }.to_bytes(),
            Revert::Error(String::new()).to_bytes(),
            Revert::Panic(U256::ZERO).to_bytes(),
            Revert::FailedOp(FailedOp {
                op_index: U256::ZERO,
                code: None,
                reason: String::new(),
                inner: None,
            })
            .to_bytes(),
        ]
        .iter()
        .map(|data| Selector::from_slice(&data[..4]))
        .collect()
    }

    proptest! {
        // The same cases in every run.
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..Default::default() })]

        #[test]
        fn no_byte_is_lost(data in any::<Vec<u8>>()) {
            prop_assert_eq!(Revert::decode(&data).to_bytes(), data.clone());
            let _ = Revert::decode(&data).to_string();
        }

        #[test]
        fn no_byte_is_lost_after_a_known_selector(
            selector in proptest::sample::select(selectors()),
            words in proptest::collection::vec(prop_oneof![0u64..5, (0u64..5).prop_map(|n| n * 32), any::<u64>()], 0..8),
            tail in any::<Vec<u8>>(),
        ) {
            let mut data = selector.to_vec();
            for word in words {
                data.extend(U256::from(word).to_be_bytes::<32>());
            }
            data.extend(tail);
            prop_assert_eq!(Revert::decode(&data).to_bytes(), data.clone());
            let _ = Revert::decode(&data).to_string();
        }
    }
}
