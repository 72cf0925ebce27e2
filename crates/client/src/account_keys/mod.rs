//! Session keys that were made with the account's own client, Modular Account v2's: validations by one signer, with hooks of the
//! permission modules that the account comes with. They are read, described and judged here, not granted or used.
//!
//! [`AccountKeys::read`] finds every such key of an account and reads all that its modules store, at one block: views say what is so,
//! and the modules' events what to ask for, where the modules cannot list it. What cannot be read is said key by key
//! ([`ReadKey::missing`]). The rules are those of [`permissions::account_modules`](crate::permissions::account_modules).
//!
//! Which module, and which account, a contract is, its code says: by hash, as the caller knows it ([`KnownCode`]), or by the address and
//! the length of the deployed ones ([`known_v08_contract`](crate::installation::known_v08_contract)). Of other code, nothing is predicted.
//!
//! ```no_run
//! use session_key_client::{Node, account_keys::{AccountKeys, ReadOptions}, alloy::primitives::Address, permissions::words::Names};
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
