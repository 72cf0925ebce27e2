//! Call data of ERC-20 tokens: the two functions that a key may call on a token with a spend limit.

use crate::{ERC20_APPROVE, ERC20_TRANSFER};
use alloy_primitives::{Address, Bytes, Selector, U256};

/// Bytes of `transfer(address,uint256)` and `approve(address,uint256)`: selector and two words.
pub(crate) const TOKEN_CALL_LENGTH: usize = 68;

/// Call data of `transfer`: sends `amount` base units of the token to `to`.
pub fn transfer(to: Address, amount: U256) -> Bytes {
    token_call(ERC20_TRANSFER, to, amount)
}

/// Call data of `approve`: allows `spender` to take `amount` base units of the token in total. Counts against
/// the spend limit like a transfer of that amount.
pub fn approve(spender: Address, amount: U256) -> Bytes {
    token_call(ERC20_APPROVE, spender, amount)
}

fn token_call(function: Selector, account: Address, amount: U256) -> Bytes {
    let mut data = Vec::with_capacity(TOKEN_CALL_LENGTH);
    data.extend(function);
    data.extend(account.into_word());
    data.extend(amount.to_be_bytes::<32>());
    data.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::bytes;

    // Made with foundry's `cast calldata`.
    #[test]
    fn call_data_is_the_selector_and_two_words() {
        let account = Address::repeat_byte(0x11);
        assert_eq!(
            transfer(account, U256::from(16)),
            bytes!(
                "a9059cbb"
                "0000000000000000000000001111111111111111111111111111111111111111"
                "0000000000000000000000000000000000000000000000000000000000000010"
            )
        );
        assert_eq!(
            approve(account, U256::MAX),
            bytes!(
                "095ea7b3"
                "0000000000000000000000001111111111111111111111111111111111111111"
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            )
        );
    }
}
