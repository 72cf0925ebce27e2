//! Calls through `executeWithSessionKey`, the only function that a session key can call.

use alloy_primitives::{Address, Bytes, FixedBytes, Selector, U256};
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};
use session_key_bindings::ISessionKeyPlugin;

/// `executeWithSessionKey((address,uint256,bytes)[],address)`: the only function that session keys can call.
pub const EXECUTE_WITH_SESSION_KEY: Selector =
    FixedBytes(ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR);

/// One call of the account to another contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The contract or account called.
    pub target: Address,
    /// Wei to send.
    #[serde(default)]
    pub value: U256,
    /// Call data; empty for a plain transfer of the native token.
    #[serde(default)]
    pub data: Bytes,
}

impl Call {
    /// A call without value.
    pub fn new(target: Address, data: impl Into<Bytes>) -> Self {
        Self {
            target,
            value: U256::ZERO,
            data: data.into(),
        }
    }

    /// A plain transfer of the native token, in wei.
    pub const fn transfer(to: Address, value: U256) -> Self {
        Self {
            target: to,
            value,
            data: Bytes::new(),
        }
    }

    /// The same call with value, in wei.
    #[must_use]
    pub const fn with_value(mut self, value: U256) -> Self {
        self.value = value;
        self
    }

    /// The first four bytes of the data as the plugin reads them: padded with zeros on the right.
    pub fn selector(&self) -> Selector {
        let length = self.data.len().min(4);
        Selector::right_padding_from(&self.data[..length])
    }
}

/// `executeWithSessionKey`: calls in order, all or none.
pub fn execute_with_session_key(calls: &[Call], session_key: Address) -> Bytes {
    let calls = calls
        .iter()
        .map(|call| session_key_bindings::Call {
            target: call.target,
            value: call.value,
            data: call.data.clone(),
        })
        .collect();
    ISessionKeyPlugin::executeWithSessionKeyCall {
        calls,
        sessionKey: session_key,
    }
    .abi_encode()
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    #[test]
    fn the_selector_is_that_of_the_deployed_plugin() {
        assert_eq!(
            execute_with_session_key(&[], Address::ZERO)[..4],
            hex!("31d99c2c")
        );
    }

    #[test]
    fn a_misspelt_value_is_not_taken_for_none() {
        let call: Call =
            serde_json::from_str(r#"{"target": "0x0000000000000000000000000000000000000001"}"#).unwrap();
        assert_eq!(call, Call::transfer(Address::with_last_byte(1), U256::ZERO));
        let misspelt = r#"{"target": "0x0000000000000000000000000000000000000001", "values": "0x1"}"#;
        assert!(serde_json::from_str::<Call>(misspelt).is_err());
    }

    #[test]
    fn selectors_are_padded_on_the_right() {
        for (data, selector) in [("", "00000000"), ("ab", "ab000000"), ("0102030405", "01020304")] {
            let call = Call::new(Address::ZERO, hex::decode(data).unwrap());
            assert_eq!(call.selector().as_slice(), hex::decode(selector).unwrap());
        }
    }
}
