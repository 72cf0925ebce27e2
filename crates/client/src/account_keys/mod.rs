//! Session keys of Modular Account v2's own client: SingleSigner validations with hooks of the account's
//! permission modules. This module reads and explains them; it does not grant or use them.
//!
//! [`AccountKeys::read`] finds every such key of an account and reads its settings at one block. Values come
//! from the modules' views; events show which entries to ask for, because the modules cannot list them.
//! [`ReadKey::missing`] lists what could not be read. The rules are in
//! [`permissions::account_modules`](crate::permissions::account_modules).
//!
//! Accounts and modules are recognized by their code: by a hash that the caller knows ([`KnownCode`]), or by
//! address and code length of the deployed contracts
//! ([`known_v08_contract`](crate::installation::known_v08_contract)). Verdicts on other code are unknown.
//!
//! ```no_run
//! use session_key_client::{
//!     Node, account_keys::{AccountKeys, ReadOptions}, alloy::primitives::Address, permissions::words::Names,
//! };
//!
//! # async fn doc(node: Node, account: Address) -> Result<(), Box<dyn std::error::Error>> {
//! let Some(found) = AccountKeys::read(&node, account, &ReadOptions::new()).await? else { return Ok(()) };
//! for read in &found.keys {
//!     println!("entity {}\n{}", read.key.entity_id, read.key.describe(&Names::new()));
//!     for warning in read.key.lint(Some(found.block.timestamp)) {
//!         println!("{}: {}", warning.code, warning.describe(&Names::new()));
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod abi;
mod explain;
mod known;
mod read;
mod settings;

pub use explain::{KeyFailure, calls_of, explain_key_failure};
pub use known::KnownCode;
pub use read::{AccountKeys, MissingSetting, ReadKey, ReadOptions};
