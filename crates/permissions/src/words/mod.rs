//! Text for people: names, amounts, intervals and times as people write them, and sentences about what a key
//! may do.
//!
//! Names come from the caller ([`Lookup`]): this crate knows no chain. They may be untrusted, such as a
//! token's own symbol, so control characters and bidirectional marks are removed, and long names are cut.
//! Contracts are shown with their addresses, and so are amounts of tokens whose symbols could be
//! taken for another's.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use session_key_permissions::{ERC20_TRANSFER, Permissions, SpendLimit, words::{Names, Token}};
//!
//! let usdc = Address::repeat_byte(0xdc);
//! let permissions = Permissions::new()
//!     .contract_functions(usdc, [ERC20_TRANSFER])
//!     .erc20_spend_limit(usdc, SpendLimit::per(U256::from(100_000_000), 7 * 86_400))
//!     .gas_spend_limit(SpendLimit::total(U256::from(10_000_000_000_000_000_u64)));
//! let names = Names::new().token(usdc, Token::new("USDC", 6));
//! assert_eq!(
//!     permissions.describe(&names).lines(),
//!     [
//!         &*format!("May call transfer of USDC ({usdc}), with any recipient."),
//!         "May spend at most 100 USDC every 7 days.",
//!         "May not send ETH.",
//!         "Its operations may cost at most 0.01 ETH in total.",
//!         "May be used at any time.",
//!     ]
//! );
//! ```

mod names;
mod quantity;
mod sentences;
mod verdicts;

pub use names::{Lookup, Names, Token, token_amount, token_symbol, well_known_function};
pub use quantity::{UnixTime, decimal, every, interval};
pub use sentences::Words;

pub(crate) use names::{Shown, clean, is_like_native};
pub(crate) use sentences::enumerated;
pub(crate) use verdicts::{accepted, first_letter_up};
