//! The forms of EIP-5792, and what this service takes of them.

use crate::rpc::{RpcError, code};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use session_key_agent::client::{
    Call,
    alloy::{
        hex,
        primitives::{Address, B256, Bytes, U256, keccak256},
    },
    operation::Included,
    permissions::parse_address,
};

/// The version of the forms.
pub const VERSION: &str = "2.0.0";
/// The longest id, in bytes; of one in hexadecimal, after decoding.
pub const LONGEST_ID: usize = 4_096;
/// The most calls in a bundle.
pub const MOST_CALLS: usize = 64;
/// The most call data in a bundle, in bytes.
pub const MOST_DATA: usize = 64 << 10;

/// A bundle's id, as its client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BundleId {
    pub(crate) text: String,
    /// The hash of the text.
    pub(crate) hash: B256,
}

impl BundleId {
    pub(crate) fn new(text: String) -> Result<Self, RpcError> {
        let is_hex = text
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let most = if is_hex { 2 * LONGEST_ID + 2 } else { LONGEST_ID };
        if text.is_empty() || text.len() > most {
            return Err(RpcError::params(format!(
                "an id has between 1 and {LONGEST_ID} bytes"
            )));
        }
        let hash = keccak256(&text);
        Ok(Self { text, hash })
    }
}

/// Reads a quantity in hexadecimal.
fn quantity(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty())?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits
        .then(|| U256::from_str_radix(digits, 16).ok())
        .flatten()
}

fn opt_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<U256>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom("expected a quantity: 0x and hexadecimal digits");
    text.map(|text| quantity(&text).ok_or_else(wrong)).transpose()
}

fn opt_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let wrong = |_| serde::de::Error::custom("expected an address, with its checksum if it has capitals");
    text.map(|text| parse_address(&text).map_err(wrong)).transpose()
}

fn opt_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let read = |text: String| {
        let digits = text.strip_prefix("0x")?;
        hex::decode(digits).ok().map(Bytes::from)
    };
    let wrong = || serde::de::Error::custom("expected bytes: 0x and hexadecimal digits");
    text.map(|text| read(text).ok_or_else(wrong)).transpose()
}

/// One call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WalletCall {
    #[serde(default, deserialize_with = "opt_address")]
    to: Option<Address>,
    #[serde(default, deserialize_with = "opt_data")]
    data: Option<Bytes>,
    #[serde(default, deserialize_with = "opt_quantity")]
    value: Option<U256>,
    #[serde(default)]
    capabilities: Option<Map<String, Value>>,
}

/// The parameter of `wallet_sendCalls`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SendCalls {
    version: String,
    #[serde(default)]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "opt_address")]
    from: Option<Address>,
    #[serde(deserialize_with = "opt_quantity")]
    chain_id: Option<U256>,
    /// Every bundle is atomic.
    #[serde(rename = "atomicRequired")]
    _atomic_required: bool,
    calls: Vec<WalletCall>,
    #[serde(default)]
    capabilities: Option<Map<String, Value>>,
}

/// Reads the one parameter of a method.
pub(crate) fn only<T: for<'de> Deserialize<'de>>(params: Vec<Value>) -> Result<T, RpcError> {
    let mut params = params.into_iter();
    let (Some(first), None) = (params.next(), params.next()) else {
        return Err(RpcError::params("one parameter is expected"));
    };
    serde_json::from_value(first).map_err(|error| {
        // The error may quote what was given.
        let message: String = error.to_string().chars().take(200).collect();
        RpcError::params(message)
    })
}

fn check_capabilities(capabilities: Option<&Map<String, Value>>) -> Result<(), RpcError> {
    for (name, capability) in capabilities.into_iter().flatten() {
        if capability.get("optional") != Some(&Value::Bool(true)) {
            let name: String = name.chars().take(64).collect();
            return Err(RpcError::new(
                code::CAPABILITY,
                format!("capability {name:?} is not supported, and not optional"),
            ));
        }
    }
    Ok(())
}

/// Reads calls, which a session key can make.
pub(crate) fn read_calls(calls: Vec<WalletCall>) -> Result<Vec<Call>, RpcError> {
    if calls.is_empty() {
        return Err(RpcError::params("there are no calls"));
    }
    let bytes: usize = calls
        .iter()
        .map(|call| call.data.as_ref().map_or(0, |data| data.len()))
        .fold(0, usize::saturating_add);
    if calls.len() > MOST_CALLS || bytes > MOST_DATA {
        return Err(RpcError::new(
            code::TOO_LARGE,
            format!(
                "{} calls with {bytes} bytes of data are too many: at most {MOST_CALLS} and {MOST_DATA}",
                calls.len()
            ),
        ));
    }
    let read = calls.into_iter().enumerate().map(|(index, call)| {
        let to = call.to.ok_or_else(|| {
            RpcError::params(format!(
                "calls[{index}]: a session key creates no contracts: to is missing"
            ))
        })?;
        Ok(Call::new(to, call.data.unwrap_or_default()).with_value(call.value.unwrap_or_default()))
    });
    read.collect()
}

impl SendCalls {
    /// Checks everything that does not depend on the chain's state, and returns the calls.
    pub(crate) fn calls(self, chain_id: u64, account: Address) -> Result<Vec<Call>, RpcError> {
        if self.version != VERSION {
            return Err(RpcError::params(format!(
                "the version of the request is {VERSION:?}"
            )));
        }
        if self.chain_id != Some(U256::from(chain_id)) {
            return Err(RpcError::new(code::CHAIN, format!("the chain is {chain_id:#x}")));
        }
        if self.from.is_some_and(|from| from != account) {
            return Err(RpcError::new(
                code::UNAUTHORIZED,
                format!("the account is {account}"),
            ));
        }
        check_capabilities(self.capabilities.as_ref())?;
        for call in &self.calls {
            check_capabilities(call.capabilities.as_ref())?;
        }
        read_calls(self.calls)
    }
}

/// The answer of `wallet_getCapabilities`.
pub(crate) fn capabilities(params: &[Value], chain_id: u64, account: Address) -> Result<Value, RpcError> {
    let asked = params.first().and_then(Value::as_str).map(parse_address);
    match asked {
        Some(Ok(asked)) if asked == account => {}
        Some(Ok(_)) => {
            return Err(RpcError::new(
                code::UNAUTHORIZED,
                format!("the account is {account}"),
            ));
        }
        _ => return Err(RpcError::params("the first parameter is an address")),
    }
    let is_asked = match params.get(1) {
        None | Some(Value::Null) => true,
        Some(Value::Array(chains)) if chains.len() <= 256 => {
            let chains: Option<Vec<U256>> = chains.iter().map(|chain| quantity(chain.as_str()?)).collect();
            chains
                .ok_or_else(|| RpcError::params("chain ids are quantities in hexadecimal"))?
                .contains(&U256::from(chain_id))
        }
        Some(_) => return Err(RpcError::params("the second parameter is an array of chain ids")),
    };
    if params.len() > 2 {
        return Err(RpcError::params("at most two parameters are expected"));
    }
    Ok(if is_asked {
        json!({ format!("{chain_id:#x}"): { "atomic": { "status": "supported" } } })
    } else {
        json!({})
    })
}

/// The answer of `wallet_getCallsStatus`. `included`: the operation, if it is in a block.
pub(crate) fn status(id: &str, chain_id: u64, status: u16, included: Option<&Included>) -> Value {
    let mut answer = json!({
        "version": VERSION,
        "id": id,
        "chainId": format!("{chain_id:#x}"),
        "status": status,
        "atomic": true,
    });
    if let Some(included) = included {
        let receipt = &included.receipt;
        let logs: Vec<Value> = receipt
            .logs
            .iter()
            .map(|log| {
                json!({
                    "address": log.address(),
                    "data": log.data().data,
                    "topics": log.topics(),
                })
            })
            .collect();
        answer["receipts"] = json!([{
            "logs": logs,
            "status": if included.success { "0x1" } else { "0x0" },
            "blockHash": receipt.block_hash,
            "blockNumber": format!("{:#x}", receipt.block_number),
            "gasUsed": format!("{:#x}", receipt.actual_gas_used),
            "transactionHash": receipt.transaction_hash,
        }]);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Address = Address::repeat_byte(0xaa);

    fn request() -> Value {
        json!({
            "version": "2.0.0",
            "from": ACCOUNT,
            "chainId": "0x7a69",
            "atomicRequired": true,
            "calls": [{ "to": "0x7777777777777777777777777777777777777777", "value": "0x7", "data": "0x12345678" }],
        })
    }

    fn read(request: Value) -> Result<Vec<Call>, i64> {
        only::<SendCalls>(vec![request])
            .and_then(|request| request.calls(31_337, ACCOUNT))
            .map_err(|error| error.code)
    }

    #[test]
    fn a_bundle_is_read_strictly() {
        let calls = read(request()).unwrap();
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].value, calls[0].data.len()), (U256::from(7), 4));
        let with = |member: &str, value: Value| {
            let mut request = request();
            request[member] = value;
            read(request).map(|calls| calls.len())
        };
        let call = |call: Value| with("calls", json!([call]));
        let to = "0x7777777777777777777777777777777777777777";
        assert_eq!(with("from", Value::Null), Ok(1));
        assert_eq!(with("capabilities", json!({ "x": { "optional": true } })), Ok(1));
        assert_eq!(call(json!({ "to": to })), Ok(1));
        for (member, value, expected) in [
            ("version", json!("1.0"), code::PARAMS),
            ("version", json!(2), code::PARAMS),
            ("chainId", json!("0x1"), code::CHAIN),
            ("chainId", json!("31337"), code::PARAMS),
            ("chainId", json!("0x"), code::PARAMS),
            ("chainId", Value::Null, code::CHAIN),
            ("from", json!(Address::ZERO), code::UNAUTHORIZED),
            ("from", json!("0x12"), code::PARAMS),
            ("atomicRequired", json!("yes"), code::PARAMS),
            (
                "capabilities",
                json!({ "paymasterService": { "url": "x" } }),
                code::CAPABILITY,
            ),
            (
                "capabilities",
                json!({ "x": { "optional": "true" } }),
                code::CAPABILITY,
            ),
            ("calls", json!([]), code::PARAMS),
            ("calls", json!({}), code::PARAMS),
            ("gas", json!("0x1"), code::PARAMS),
            (
                "calls",
                json!(vec![json!({ "to": to }); MOST_CALLS + 1]),
                code::TOO_LARGE,
            ),
        ] {
            assert_eq!(with(member, value.clone()), Err(expected), "{member} {value}");
        }
        for (wrong, expected) in [
            (json!({ "data": "0x12" }), code::PARAMS),
            (json!({ "to": to, "value": 7 }), code::PARAMS),
            (json!({ "to": to, "value": "7" }), code::PARAMS),
            (json!({ "to": to, "value": "0x-7" }), code::PARAMS),
            (
                json!({ "to": to, "value": format!("0x1{}", "0".repeat(64)) }),
                code::PARAMS,
            ),
            (json!({ "to": to, "data": "12" }), code::PARAMS),
            (json!({ "to": to, "data": "0x123" }), code::PARAMS),
            (json!({ "to": to, "gas": "0x1" }), code::PARAMS),
            (json!({ "to": to, "capabilities": { "x": {} } }), code::CAPABILITY),
            (
                json!({ "to": to, "data": format!("0x{}", "00".repeat(MOST_DATA + 1)) }),
                code::TOO_LARGE,
            ),
        ] {
            assert_eq!(call(wrong.clone()), Err(expected), "{wrong}");
        }
        let mut without = request();
        without.as_object_mut().unwrap().remove("atomicRequired");
        assert_eq!(read(without).map(|calls| calls.len()), Err(code::PARAMS));
    }

    #[test]
    fn ids_have_a_length() {
        for good in [
            "a".to_owned(),
            "a".repeat(LONGEST_ID),
            format!("0x{}", "0".repeat(2 * LONGEST_ID)),
        ] {
            assert_eq!(BundleId::new(good.clone()).unwrap().text, good);
        }
        for bad in [
            String::new(),
            "a".repeat(LONGEST_ID + 1),
            format!("0x{}", "0".repeat(2 * LONGEST_ID + 1)),
            format!("0x{}", "g".repeat(LONGEST_ID)),
        ] {
            assert_eq!(BundleId::new(bad).unwrap_err().code, code::PARAMS);
        }
    }

    #[test]
    fn capabilities_are_those_of_this_chain() {
        let all = capabilities(&[json!(ACCOUNT)], 31_337, ACCOUNT).unwrap();
        assert_eq!(all, json!({ "0x7a69": { "atomic": { "status": "supported" } } }));
        let of = |chains: Value| capabilities(&[json!(ACCOUNT), chains], 31_337, ACCOUNT);
        assert_eq!(of(json!(["0x1", "0x7a69"])).unwrap(), all);
        assert_eq!(of(json!(["0x1"])).unwrap(), json!({}));
        assert_eq!(of(json!([1])).unwrap_err().code, code::PARAMS);
        let other = capabilities(&[json!(Address::ZERO)], 1, ACCOUNT).unwrap_err();
        assert_eq!(other.code, code::UNAUTHORIZED);
        assert_eq!(capabilities(&[], 1, ACCOUNT).unwrap_err().code, code::PARAMS);
    }
}
