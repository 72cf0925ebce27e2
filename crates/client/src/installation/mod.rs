//! How an ERC-6900 v0.8 account has the session key module, and whether that is safe.
//!
//! [`Installation::read`] asks a node; [`Installation::findings`] judges what it answered, and asks nobody.

mod findings;
mod known;
mod read;

pub use findings::{Finding, FindingKind, Severity};
pub use known::known_v08_contract;

use crate::{
    node::{Head, MissingBlocks},
    v08::{HookConfig, ValidationFlags},
};
use alloy::primitives::{Address, Selector};

/// What runs behind an account's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountCode {
    /// An ERC-1967 proxy to this implementation.
    Proxy(Address),
    /// A delegation of an externally owned account (EIP-7702) to this contract.
    Delegation(Address),
    /// The account's own code.
    Own,
}

impl AccountCode {
    /// The contract with the account's code, if it is another one.
    #[must_use]
    pub const fn implementation(self) -> Option<Address> {
        match self {
            Self::Proxy(implementation) | Self::Delegation(implementation) => Some(implementation),
            Self::Own => None,
        }
    }
}

/// How the account has a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionState {
    /// Selector of the function.
    pub selector: Selector,
    /// The module behind it: the account itself for its own functions, zero if there is none.
    pub module: Address,
    /// Whether anybody may call it.
    pub skips_runtime_validation: bool,
    /// Whether global validations are for it.
    pub allows_global_validation: bool,
    /// Hooks that run around it.
    pub hooks: Vec<HookConfig>,
}

/// How the account has a validation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationState {
    /// The module that validates; zero for an owner that is built in, and where it is not known.
    pub module: Address,
    /// The account's number for it; [`DIRECT_CALL_ENTITY_ID`](crate::v08::DIRECT_CALL_ENTITY_ID) for a direct-call validation.
    pub entity_id: u32,
    /// What it may be used for.
    pub flags: ValidationFlags,
    /// Hooks before its validations.
    pub validation_hooks: Vec<HookConfig>,
    /// Hooks around its executions.
    pub execution_hooks: Vec<HookConfig>,
    /// The functions that it is for.
    pub selectors: Vec<Selector>,
    /// Whether the account shows that the entity is this module's. Accounts that look at the entity id alone do not, unless their
    /// storage is laid out as that of Modular Account v2: then the module is as the latest known event of installation has it, or
    /// zero if there is none.
    pub is_module_certain: bool,
    /// Whether the module is, by its id, some version of the session key module.
    pub is_session_key_module: bool,
}

impl ValidationState {
    /// Whether anything of it is there.
    const fn is_there(&self) -> bool {
        self.flags.0 != 0
            || !(self.selectors.is_empty()
                && self.validation_hooks.is_empty()
                && self.execution_hooks.is_empty())
    }
}

/// What an account says of itself and of the session key module, in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installation {
    /// The block that everything is of.
    pub block: Head,
    /// The account.
    pub account: Address,
    /// What runs there.
    pub code: AccountCode,
    /// `accountId()`: vendor, name and version, as the account says.
    pub account_id: String,
    /// The EntryPoint that it trusts.
    pub entry_point: Address,
    /// The session key module that is looked for.
    pub module: Address,
    /// The module's functions, in the order of its manifest; then `execute` and `executeBatch`; then those of modules that events
    /// or validations name beside, at most 256.
    pub functions: Vec<FunctionState>,
    /// All validations of the account that are known, the module's and others, by entity id.
    pub validations: Vec<ValidationState>,
    /// Whether the node showed everything that was ever installed, and all of it was looked at. If not, validations of entity ids
    /// that the caller named are known, the module's direct-call validation, and what was found nevertheless.
    pub has_all_validations: bool,
    /// Blocks whose events are not known, with the reason.
    pub missing_blocks: Vec<MissingBlocks>,
    /// How many validations and functions were not looked at: beyond the first 256 of each.
    pub entries_left_out: usize,
    /// How many session keys the module keeps for the account; `None`: it does not say.
    pub session_keys: Option<usize>,
}
