//! Representative calls: one for each case that the rules distinguish, amounts aside.

use super::KeyState;
use crate::{Call, ERC20_APPROVE, ERC20_TRANSFER, erc20::TOKEN_CALL_LENGTH};
use alloy_primitives::{Address, Selector, U256, keccak256};
use session_key_bindings::ENTRY_POINT;
use std::collections::BTreeSet;

/// A contract without an entry in the states, and without a special meaning.
pub(crate) fn unlisted_contract(states: [&KeyState; 2]) -> Address {
    let is_known = |contract: &Address| {
        *contract == ENTRY_POINT
            || states
                .iter()
                .any(|state| state.account == *contract || state.contracts.contains_key(contract))
    };
    some_address("a contract that is on no list", |contract| !is_known(contract))
}

/// The first acceptable address derived from a text.
pub(crate) fn some_address(of: &str, will_do: impl Fn(&Address) -> bool) -> Address {
    let mut hash = keccak256(of);
    loop {
        let address = Address::from_word(hash);
        if will_do(&address) {
            return address;
        }
        hash = keccak256(hash);
    }
}

/// Calls to a contract, without value and with amounts of zero. They cover each way in which the rules of
/// these states can treat a call: by its function (each with an entry, those of tokens, none, and one without
/// an entry), and by the length of its data.
pub(crate) fn calls_to(contract: Address, states: [&KeyState; 2]) -> Vec<Call> {
    let mut selectors = BTreeSet::from([Selector::ZERO, ERC20_TRANSFER, ERC20_APPROVE]);
    for state in states {
        if let Some(contract) = state.contracts.get(&contract) {
            selectors.extend(contract.functions.keys().copied());
        }
    }
    let mut hash = keccak256("a function that is on no list");
    loop {
        let selector = Selector::from_slice(&hash[..4]);
        if selectors.insert(selector) {
            break;
        }
        hash = keccak256(hash);
    }
    let mut calls = vec![Call::transfer(contract, U256::ZERO), Call::new(contract, vec![1])];
    calls.extend(
        selectors
            .into_iter()
            .flat_map(|selector| calls_of(contract, selector)),
    );
    calls
}

/// Those calls that call one function.
pub(crate) fn calls_of(contract: Address, selector: Selector) -> [Call; 2] {
    [TOKEN_CALL_LENGTH, 4].map(|length| {
        let mut data = selector.to_vec();
        data.resize(length, 0);
        Call::new(contract, data)
    })
}
