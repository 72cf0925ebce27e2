//! How an ERC-6900 v0.8 account has the session key module installed, and whether that is safe.
//!
//! [`Installation::read`] queries a node; [`Installation::findings`] judges the answers, without I/O.

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

/// The code behind an account's address.
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
    /// Returns the contract with the account's code, if it is another one.
    #[must_use]
    pub const fn implementation(self) -> Option<Address> {
        match self {
            Self::Proxy(implementation) | Self::Delegation(implementation) => Some(implementation),
            Self::Own => None,
        }
    }
}

/// A function of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionState {
    /// Selector of the function.
    pub selector: Selector,
    /// The module behind it: the account itself for its own functions, zero if there is none.
    pub module: Address,
    /// Whether anyone may call it without validation.
    pub skips_runtime_validation: bool,
    /// Whether global validations apply to it.
    pub allows_global_validation: bool,
    /// Hooks that run around it.
    pub hooks: Vec<HookConfig>,
}

/// A validation of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationState {
    /// The validating module; zero for a built-in owner, and if it is not known.
    pub module: Address,
    /// The entity id; [`DIRECT_CALL_ENTITY_ID`](crate::v08::DIRECT_CALL_ENTITY_ID) for a direct-call
    /// validation.
    pub entity_id: u32,
    /// What it may be used for.
    pub flags: ValidationFlags,
    /// Validation hooks.
    pub validation_hooks: Vec<HookConfig>,
    /// Execution hooks.
    pub execution_hooks: Vec<HookConfig>,
    /// The functions that it applies to.
    pub selectors: Vec<Selector>,
    /// Whether the account shows that the entity belongs to this module. Accounts that identify validations
    /// by entity id alone do not, unless their storage layout is that of Modular Account v2: then the module
    /// is the one in the latest known installation event, or zero if there is none.
    pub is_module_certain: bool,
    /// Whether the module identifies as some version of the session key module.
    pub is_session_key_module: bool,
}

impl ValidationState {
    /// Whether any of it is installed.
    const fn is_there(&self) -> bool {
        self.flags.0 != 0
            || !(self.selectors.is_empty()
                && self.validation_hooks.is_empty()
                && self.execution_hooks.is_empty())
    }
}

/// The state of an account and of its session key module, in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installation {
    /// The block that everything was read at.
    pub block: Head,
    /// The account.
    pub account: Address,
    /// The code behind its address.
    pub code: AccountCode,
    /// `accountId()`: vendor, name and version.
    pub account_id: String,
    /// Its EntryPoint.
    pub entry_point: Address,
    /// The session key module in question.
    pub module: Address,
    /// The module's functions, in the order of its manifest; then `execute` and `executeBatch`; then other
    /// modules' functions named by events or validations, at most 256.
    pub functions: Vec<FunctionState>,
    /// All known validations of the account, by entity id.
    pub validations: Vec<ValidationState>,
    /// Whether the node returned everything that was ever installed, and all of it was checked. If not, the
    /// validations listed are those of the given entity ids, the module's direct-call validation, and
    /// whatever else was found.
    pub has_all_validations: bool,
    /// Blocks whose events could not be read, with the reason.
    pub missing_blocks: Vec<MissingBlocks>,
    /// The number of validations and functions not checked: those beyond the first 256 of each.
    pub entries_left_out: usize,
    /// The number of session keys the module has for the account; `None`: it does not return it.
    pub session_keys: Option<usize>,
}
