//! Addresses as people write them.

use crate::PermissionError;
use alloy_primitives::{Address, hex};

/// Parses an address as people write it: `0x` and 40 hexadecimal digits, either all in lower case or with a
/// correct EIP-55 checksum. A mistyped address fails here instead of receiving permissions.
pub fn parse_address(text: &str) -> Result<Address, PermissionError> {
    let invalid = || PermissionError::InvalidAddress(text.to_owned());
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 40)
        .ok_or_else(invalid)?;
    let address = Address::from(
        hex::FromHex::from_hex(digits)
            .map(|bytes: [u8; 20]| bytes)
            .map_err(|_| invalid())?,
    );
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) && address.to_checksum(None) != text {
        return Err(invalid());
    }
    Ok(address)
}

/// Addresses with their checksum, for `serde(with)`.
pub mod checksummed {
    use super::parse_address;
    use alloy_primitives::Address;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the address.
    pub fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    /// Reads an address. A wrong checksum is an error.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        parse_address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// The same for an optional address.
    pub mod optional {
        use super::{Address, Deserialize, Deserializer, Error, Serializer, parse_address};

        /// Writes the address, or null.
        pub fn serialize<S: Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
            match address {
                Some(address) => serializer.collect_str(address),
                None => serializer.serialize_none(),
            }
        }

        /// Reads an address, or null. The member must be present.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| parse_address(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_correct_checksum_or_none() {
        let checksummed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let address = parse_address(checksummed).unwrap();
        assert_eq!(parse_address(&checksummed.to_lowercase()), Ok(address));
        for bad in [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedaa",
            "0xzz00000000000000000000000000000000000000",
            "",
        ] {
            assert_eq!(
                parse_address(bad),
                Err(PermissionError::InvalidAddress(bad.to_owned()))
            );
        }
    }
}
