#![doc = include_str!("../README.md")]

mod aa_code;
mod access;
pub mod account_modules;
mod address;
pub mod agent_rules;
mod builder;
mod call;
pub mod covers;
mod decode;
pub mod erc20;
mod error;
pub mod figures;
mod limit;
pub mod lint;
pub mod model;
mod part;
pub mod plan;
pub mod policy;
mod rule_set;
mod set;
mod time_range;
mod update;
mod user_operation;
pub mod words;

pub use aa_code::AaCode;
pub use access::{AccessControlType, AddressEntry, FunctionEntry};
pub use address::parse_address;
pub use call::{Call, EXECUTE_WITH_SESSION_KEY, execute_with_session_key};
pub use error::{PermissionError, TimeField};
pub use limit::{Erc20SpendLimit, GasSpendLimitInfo, LimitChange, SpendLimit, SpendLimitInfo};
pub use model::{KeyState, Rule, Verdict, Violation};
pub use part::Part;
pub use rule_set::RuleSet;
pub use set::Permissions;
pub use time_range::{LATEST_PLAUSIBLE_TIME, LONGEST_PLAUSIBLE_INTERVAL, MAX_SECONDS, TimeRange};
pub use update::{PermissionUpdate, PermissionUpdates};
pub use user_operation::{
    AbiOperation, DUMMY_SIGNATURE, EIP7702_INIT_CODE_MARKER, EntryPointVersion, OtherForm, PaymasterFields,
    SignedOperation, UserOperation, ValidationNonceKey, nonce, session_key_nonce_key,
};

pub use user_operation::kept as kept_operation;

use alloy_primitives::{FixedBytes, Selector, hex};

/// `transfer(address,uint256)` of ERC-20. With [`ERC20_APPROVE`], all that a key may call on a token with a
/// spend limit.
pub const ERC20_TRANSFER: Selector = FixedBytes(hex!("a9059cbb"));

/// `approve(address,uint256)` of ERC-20. With [`ERC20_TRANSFER`], all that a key may call on a token with a
/// spend limit.
pub const ERC20_APPROVE: Selector = FixedBytes(hex!("095ea7b3"));
