//! ERC-6900 v0.8 accounts: Modular Account v2, its semi-modular variants and its EIP-7702 variant. Pure
//! functions, no chain needed.
//!
//! | what | where |
//! | --- | --- |
//! | validations, hooks and their flags, packed as the accounts store them | [`ModuleEntity`], [`ValidationConfig`], [`HookConfig`] |
//! | call data of the accounts' functions, and of the session key module's installation | [`calldata`] |
//! | addresses of accounts before they exist | [`FactoryAccount`], [`account_address`], [`semi_modular_account_address`] |
//! | signatures of operations and messages | [`signature`] |
//! | an owner's action that a later operation carries | [`DeferredAction`], [`DeferredGrant`] |
//! | addresses of the deployed contracts | [`known`] |

mod account_address;
pub mod calldata;
mod deferred_action;
mod deferred_grant;
pub mod known;
mod packing;
pub mod signature;

pub use account_address::{AccountFactory, FactoryAccount, account_address, semi_modular_account_address};
pub use deferred_action::DeferredAction;
pub(crate) use deferred_grant::nonce_key as deferred_nonce_key;
pub use deferred_grant::{DeferredGrant, DeferredGrantError};
pub use packing::{
    DIRECT_CALL_ENTITY_ID, FALLBACK_VALIDATION, HookConfig, HookKind, ModuleEntity, ValidationConfig,
    ValidationFlags,
};

/// The entity id under which this crate installs the session key module's validation: far from those that the
/// accounts' own client counts up from 1, and below `0xffffffff`, which means direct calls.
pub const SESSION_KEY_ENTITY_ID: u32 = 0x8000_0000;
