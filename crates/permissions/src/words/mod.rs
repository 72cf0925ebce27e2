//! What people read: names, amounts, intervals and times as they write them, and sentences on what a key may do.
//!
//! Names come from whoever asks ([`Lookup`]): this crate knows no chain. They may come from outside, such as the symbol that a
//! token gives itself, so that control characters and marks that turn the direction of text are taken out, and they are cut.
//! Wherever a name stands, the address stands beside it.
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
//!         &*format!("May call transfer of USDC ({usdc}), with anybody as recipient."),
//!         "May spend at most 100 USDC every 7 days.",
//!         "May not send ETH.",
//!         "Its operations may cost at most 0.01 ETH in all.",
//!         "May be used at any time.",
//!     ]
//! );
//! ```

mod names;
mod quantity;
mod sentences;
mod verdicts;

pub use names::{Lookup, Names, Token, well_known_function};
pub use quantity::{UnixTime, decimal, interval};
pub use sentences::Words;

pub(crate) use names::{Shown, clean};
