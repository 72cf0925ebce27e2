//! Calls as they are written on the command line.

use crate::{amount::parse_native, commands::clean, failure::WrongInput};
use alloy::dyn_abi::{DynSolType, DynSolValue};
use eyre::Result;
use session_key_client::{
    alloy::{
        hex,
        primitives::{Address, Bytes, U256},
    },
    permissions::{Call, parse_address, policy::parse_function},
};
use std::collections::BTreeSet;

/// Finds the `@` before the value: the last one outside quotes.
fn value_place(call: &str) -> Option<usize> {
    let mut place = None;
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, character) in call.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '@' if !is_quoted => place = Some(index),
            _ => {}
        }
    }
    place
}

/// Parses `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`, on a chain with this coin.
pub(super) fn parse_call(text: &str, coin: &str) -> Result<Call> {
    let wrong = |why: String| WrongInput(format!("--call {}: {why}", clean(text)));
    let split = value_place(text).and_then(|place| Some((text.get(..place)?, text.get(place + 1..)?)));
    let (call, value) = match split {
        Some((call, value)) => (call, Some(value)),
        None => (text, None),
    };
    let mut parts = call.splitn(3, ':');
    if let (Some(_), Some(signature), Some(arguments)) = (value, parts.clone().nth(1), parts.clone().nth(2))
        && signature.contains("string")
        && !arguments.contains('"')
    {
        let why = "@ may begin the value or be part of a string: put strings in double quotes";
        return Err(wrong(why.to_owned()).into());
    }
    let value = value.map_or(Ok(U256::ZERO), |value| parse_native(value, coin));
    let value = value.map_err(wrong)?;
    let target = parts.next().unwrap_or_default();
    let target = parse_address(target).map_err(|error| wrong(error.to_string()))?;
    let data = match (parts.next(), parts.next()) {
        (None, _) => Bytes::new(),
        (Some(data), None) if data.starts_with("0x") => hex::decode(data)
            .map_err(|_| wrong("the call data is not hexadecimal".to_owned()))?
            .into(),
        (Some(signature), arguments) => call_data(signature, arguments.unwrap_or_default()).map_err(wrong)?,
    };
    Ok(Call::new(target, data).with_value(value))
}

/// Encodes a call with comma-separated arguments.
fn call_data(signature: &str, arguments: &str) -> Result<Bytes, String> {
    let selector = parse_function(signature)?;
    let types = signature.find('(').map_or("()", |start| &signature[start..]);
    let mut data = selector.to_vec();
    if types == "()" {
        if !arguments.is_empty() {
            return Err("the function takes no arguments".to_owned());
        }
        return Ok(data.into());
    }
    let types: DynSolType = types
        .parse()
        .map_err(|_| "these are not Solidity types".to_owned())?;
    let values = types.coerce_str(&format!("({arguments})")).map_err(|error| {
        format!(
            "the arguments do not match their types: {}",
            clean(&error.to_string())
        )
    })?;
    check_checksums(arguments, &values)?;
    data.extend(values.abi_encode_params());
    Ok(data.into())
}

/// Refuses addresses among the arguments that are written with a wrong EIP-55 checksum.
fn check_checksums(arguments: &str, values: &DynSolValue) -> Result<(), String> {
    let mut addresses = BTreeSet::new();
    addresses_in(values, &mut addresses);
    arguments
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| {
            word.parse()
                .is_ok_and(|address: Address| addresses.contains(&address))
        })
        .try_for_each(|word| parse_address(word).map(|_| ()))
        .map_err(|error| error.to_string())
}

fn addresses_in(value: &DynSolValue, addresses: &mut BTreeSet<Address>) {
    match value {
        DynSolValue::Address(address) => {
            addresses.insert(*address);
        }
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            values.iter().for_each(|value| addresses_in(value, addresses));
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::permissions::erc20;

    // The case of the last digit is wrong, as after a typo.
    #[test]
    fn an_argument_with_a_wrong_checksum_is_refused() {
        let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        for signature in [
            "transfer(address,uint256)",
            "pay(address[],uint256)",
            "pay((address,uint8),uint256)",
        ] {
            let arguments = |address: &str| match signature {
                "transfer(address,uint256)" => format!("{address},1"),
                "pay(address[],uint256)" => format!("[{right},{address}],1"),
                _ => format!("({address},2),1"),
            };
            let error = call_data(signature, &arguments(wrong)).unwrap_err();
            assert!(error.contains("checksum"), "{error}");
            call_data(signature, &arguments(right)).unwrap();
            call_data(signature, &arguments(&right.to_lowercase())).unwrap();
        }
        // These are no addresses.
        call_data("note(bytes20)", wrong).unwrap();
        call_data("note(string)", &format!("\"{wrong}\"")).unwrap();
    }

    #[test]
    fn calls_are_parsed_from_their_parts() {
        let target = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let to: Address = target.parse().unwrap();
        let read = |text: String| parse_call(&text, "ETH").unwrap();
        assert_eq!(read(target.into()), Call::transfer(to, U256::ZERO));
        assert_eq!(read(format!("{target}@7 wei")), Call::transfer(to, U256::from(7)));
        assert_eq!(
            read(format!("{target}:transfer(address,uint256):{target},16")),
            Call::new(to, erc20::transfer(to, U256::from(16)))
        );
        assert_eq!(
            read(format!("{target}:0xabcd@0")),
            Call::new(to, vec![0xab, 0xcd])
        );
        assert_eq!(read(format!("{target}:deposit()@1 wei")).data.len(), 4);
        // An @ inside quotes is part of a string.
        for (call, value) in [("", 0), ("@7 wei", 7)] {
            let call = read(format!("{target}:note(string):\"bob@example.com\"{call}"));
            assert_eq!(call.value, U256::from(value));
            let text = &call.data[call.data.len() - 32..];
            assert!(text.starts_with(b"bob@example.com\0"), "{text:?}");
        }
        assert!(parse_call(&format!("{target}:note(string):a@0"), "ETH").is_err());
        assert_eq!(
            parse_call(&format!("{target}@1 POL"), "POL").unwrap().value,
            U256::from(10).pow(U256::from(18))
        );
        for bad in [
            "",
            "0x12",
            &format!("{target}:transfer"),
            &format!("{target}:transfer(address,uint256)"),
            &format!("{target}:transfer(address,uint256):1,2"),
            &format!("{target}:0xabc"),
            &format!("{target}@5"),
            &format!("{target}:a():1"),
            &format!("{target}:pay(uint):1"),
            &format!("{target}:pay(uint256 amount):1"),
        ] {
            assert!(parse_call(bad, "ETH").is_err(), "{bad}");
        }
    }
}
