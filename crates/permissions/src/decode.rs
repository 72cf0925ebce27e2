//! Decoder of single updates.

use crate::{
    AddressEntry, Erc20SpendLimit, FunctionEntry, MAX_SECONDS, PermissionError, PermissionUpdate, SpendLimit,
    TimeRange,
};
use alloy_primitives::{Address, Selector, U256};
use alloy_sol_types::SolCall;
use session_key_bindings::ISessionKeyPermissionsUpdates as Updates;

impl PermissionUpdate {
    /// Decodes an update exactly as the plugin does: accepts what the plugin accepts, with the same meaning,
    /// and nothing else.
    ///
    /// alloy's own decoder is more lenient: it reads a `bool` word of 2 as true and ignores bits outside a
    /// type, where Solidity's decoder reverts. Both allow bytes after the arguments.
    pub fn decode(update: &[u8]) -> Result<Self, PermissionError> {
        let Some((selector, arguments)) = update.split_first_chunk::<4>() else {
            let mut selector = Selector::ZERO;
            selector[..update.len()].copy_from_slice(update);
            return Err(PermissionError::UnknownUpdate(selector));
        };
        let arguments = |count| Arguments::new(Selector::new(*selector), arguments, count);
        Ok(match *selector {
            Updates::setAccessListTypeCall::SELECTOR => {
                let arguments = arguments(1)?;
                Self::AccessListType(arguments.word(0).try_into()?)
            }
            Updates::updateAccessListAddressEntryCall::SELECTOR => {
                let arguments = arguments(3)?;
                Self::AddressEntry(AddressEntry {
                    contract: arguments.address(0)?,
                    is_on_list: arguments.bool(1)?,
                    check_selectors: arguments.bool(2)?,
                })
            }
            Updates::updateAccessListFunctionEntryCall::SELECTOR => {
                let arguments = arguments(3)?;
                Self::FunctionEntry(FunctionEntry {
                    contract: arguments.address(0)?,
                    selector: arguments.selector(1)?,
                    is_on_list: arguments.bool(2)?,
                })
            }
            Updates::updateTimeRangeCall::SELECTOR => {
                let arguments = arguments(2)?;
                Self::TimeRange(TimeRange {
                    valid_after: arguments.seconds(0)?,
                    valid_until: arguments.seconds(1)?,
                })
            }
            Updates::setNativeTokenSpendLimitCall::SELECTOR => {
                Self::NativeTokenSpendLimit(arguments(2)?.spend_limit(0)?)
            }
            Updates::setERC20SpendLimitCall::SELECTOR => {
                let arguments = arguments(3)?;
                let token = arguments.address(0)?;
                let limit = arguments.spend_limit(1)?;
                if token.is_zero() {
                    return Err(PermissionError::InvalidToken(token));
                }
                Self::Erc20SpendLimit(Erc20SpendLimit { token, limit })
            }
            Updates::setGasSpendLimitCall::SELECTOR => Self::GasSpendLimit(arguments(2)?.spend_limit(0)?),
            Updates::setRequiredPaymasterCall::SELECTOR => Self::RequiredPaymaster(arguments(1)?.address(0)?),
            unknown => return Err(PermissionError::UnknownUpdate(unknown.into())),
        })
    }
}

/// Words of an update's arguments, all of static types.
struct Arguments<'a> {
    selector: Selector,
    words: &'a [[u8; 32]],
}

impl<'a> Arguments<'a> {
    const fn new(selector: Selector, data: &'a [u8], count: usize) -> Result<Self, PermissionError> {
        let words = data.as_chunks().0;
        if words.len() < count {
            return Err(PermissionError::ShortArguments {
                selector,
                expected: count * 32,
                found: data.len(),
            });
        }
        Ok(Self { selector, words })
    }

    fn word(&self, index: usize) -> U256 {
        U256::from_be_bytes(self.words[index])
    }

    fn malformed(&self, index: usize) -> PermissionError {
        PermissionError::MalformedArgument {
            selector: self.selector,
            index,
            word: self.word(index),
        }
    }

    fn address(&self, index: usize) -> Result<Address, PermissionError> {
        match self.words[index].split_first_chunk::<12>() {
            Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], address)) => Ok(Address::from_slice(address)),
            _ => Err(self.malformed(index)),
        }
    }

    fn selector(&self, index: usize) -> Result<Selector, PermissionError> {
        let (selector, padding) = self.words[index].split_at(4);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.malformed(index));
        }
        Ok(Selector::from_slice(selector))
    }

    fn bool(&self, index: usize) -> Result<bool, PermissionError> {
        match self.word(index).try_into() {
            Ok(0u8) => Ok(false),
            Ok(1) => Ok(true),
            _ => Err(self.malformed(index)),
        }
    }

    fn seconds(&self, index: usize) -> Result<u64, PermissionError> {
        match self.word(index).try_into() {
            Ok(seconds) if seconds <= MAX_SECONDS => Ok(seconds),
            _ => Err(self.malformed(index)),
        }
    }

    /// The two arguments `uint256 spendLimit, uint48 refreshInterval`.
    fn spend_limit(&self, index: usize) -> Result<SpendLimit, PermissionError> {
        Ok(SpendLimit {
            spend_limit: self.word(index),
            refresh_interval: self.seconds(index + 1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessControlType, PermissionUpdates};
    use alloy_primitives::{Bytes, hex};
    use proptest::{prelude::*, test_runner::RngSeed};

    fn updates() -> impl Strategy<Value = PermissionUpdate> {
        let address = any::<[u8; 20]>().prop_map(Address::from);
        let seconds = prop_oneof![Just(0), Just(MAX_SECONDS), 0..=MAX_SECONDS];
        let limit =
            (any::<[u8; 32]>(), seconds.clone()).prop_map(|(spend_limit, refresh_interval)| SpendLimit {
                spend_limit: U256::from_be_bytes(spend_limit),
                refresh_interval,
            });
        prop_oneof![
            (0u8..3).prop_map(|t| PermissionUpdate::AccessListType(AccessControlType::try_from(t).unwrap())),
            (address.clone(), any::<bool>(), any::<bool>()).prop_map(
                |(contract, is_on_list, check_selectors)| {
                    PermissionUpdate::AddressEntry(AddressEntry {
                        contract,
                        is_on_list,
                        check_selectors,
                    })
                }
            ),
            (address.clone(), any::<[u8; 4]>(), any::<bool>()).prop_map(
                |(contract, selector, is_on_list)| {
                    let selector = selector.into();
                    PermissionUpdate::FunctionEntry(FunctionEntry {
                        contract,
                        selector,
                        is_on_list,
                    })
                }
            ),
            (seconds.clone(), seconds).prop_map(|(valid_after, valid_until)| {
                PermissionUpdate::TimeRange(TimeRange {
                    valid_after,
                    valid_until,
                })
            }),
            limit.clone().prop_map(PermissionUpdate::NativeTokenSpendLimit),
            limit.clone().prop_map(PermissionUpdate::GasSpendLimit),
            (address.clone(), limit)
                .prop_filter("the zero token has no encoding", |(token, _)| !token.is_zero())
                .prop_map(
                    |(token, limit)| PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit { token, limit })
                ),
            address.prop_map(PermissionUpdate::RequiredPaymaster),
        ]
    }

    proptest! {
        // The same cases every time.
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..Default::default() })]

        #[test]
        fn decoding_undoes_encoding(update in updates(), trailing in any::<Vec<u8>>()) {
            let mut encoded = update.encode_unchecked().unwrap().to_vec();
            prop_assert_eq!(PermissionUpdate::decode(&encoded), Ok(update));
            encoded.extend(trailing);
            prop_assert_eq!(PermissionUpdate::decode(&encoded), Ok(update));
        }

        #[test]
        fn every_bit_of_an_encoding_counts(update in updates(), bit in 0usize..8 * 100) {
            let mut encoded = update.encode_unchecked().unwrap().to_vec();
            let bit = bit % (8 * encoded.len());
            encoded[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(PermissionUpdate::decode(&encoded), Ok(update));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(update in updates(), at in 4usize..100, byte in any::<u8>()) {
            let mut encoded = update.encode_unchecked().unwrap().to_vec();
            let at = at % encoded.len();
            encoded[at] = byte;
            if let Ok(decoded) = PermissionUpdate::decode(&encoded) {
                prop_assert_eq!(decoded.encode_unchecked().unwrap(), encoded);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = PermissionUpdate::decode(&bytes);
        }
    }

    #[test]
    fn short_data_is_padded_on_the_right() {
        for (data, selector) in [
            (&hex!("")[..], hex!("00000000")),
            (&hex!("8f")[..], hex!("8f000000")),
            (&hex!("8f2920")[..], hex!("8f292000")),
            (&hex!("8f2920d9")[..], hex!("8f2920d9")),
        ] {
            assert_eq!(
                PermissionUpdate::decode(data),
                Err(PermissionError::UnknownUpdate(selector.into()))
            );
        }
    }

    #[test]
    fn arguments_that_end_early_are_refused() {
        let encoded = PermissionUpdate::TimeRange(TimeRange::default())
            .encode_unchecked()
            .unwrap();
        for length in 4..encoded.len() {
            assert_eq!(
                PermissionUpdate::decode(&encoded[..length]),
                Err(PermissionError::ShortArguments {
                    selector: hex!("9a37b113").into(),
                    expected: 64,
                    found: length - 4,
                })
            );
        }
    }

    #[test]
    fn bits_outside_a_type_are_refused() {
        let address = Address::repeat_byte(1);
        let entry = PermissionUpdates::new()
            .contract(address)
            .encode_unchecked()
            .unwrap()
            .remove(0);
        // The last bit above the address, a bool of 2, a bool with its highest bit set.
        for (at, byte, index) in [(4 + 11, 1, 0), (4 + 63, 2, 1), (4 + 64, 0x80, 2)] {
            let mut dirty = entry.to_vec();
            dirty[at] = byte;
            assert!(matches!(
                PermissionUpdate::decode(&dirty),
                Err(PermissionError::MalformedArgument { index: found, .. }) if found == index
            ));
        }
        let mut selector = PermissionUpdates::new()
            .without_function(address, Selector::ZERO)
            .encode_unchecked()
            .unwrap()
            .remove(0)
            .to_vec();
        selector[4 + 32 + 4] = 1;
        assert!(matches!(
            PermissionUpdate::decode(&selector),
            Err(PermissionError::MalformedArgument { index: 1, .. })
        ));
    }

    #[test]
    fn an_update_list_decodes_whole_or_not_at_all() {
        let mut list = PermissionUpdates::new()
            .contract(Address::ZERO)
            .encode_unchecked()
            .unwrap();
        assert!(PermissionUpdates::decode(&list).is_ok());
        list.push(Bytes::from_static(&[1, 2, 3]));
        assert!(PermissionUpdates::decode(&list).is_err());
    }
}
