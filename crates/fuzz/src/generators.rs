//! Strategies for the values in cases. They prefer boundaries and few distinct values, so entries collide.

use alloy::primitives::{Address, Selector, U256, address};
use proptest::prelude::*;
use session_key_client::permissions::{
    AccessControlType, AddressEntry, ERC20_APPROVE, ERC20_TRANSFER, Erc20SpendLimit, FunctionEntry,
    MAX_SECONDS, PermissionUpdate, SpendLimit, TimeRange,
};

/// Addresses that occur in most cases.
pub const CONTRACTS: [Address; 3] = [
    address!("0x00000000000000000000000000000000000000c1"),
    address!("0xc200000000000000000000000000000000000000"),
    address!("0xffffffffffffffffffffffffffffffffffffffff"),
];

/// Generates any address, including zero.
pub fn any_address() -> impl Strategy<Value = Address> {
    prop_oneof![
        6 => prop::sample::select(&CONTRACTS),
        1 => Just(Address::ZERO),
        1 => any::<[u8; 20]>().prop_map(Address::from),
    ]
}

/// Generates any selector.
pub fn any_selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        2 => Just(Selector::ZERO),
        2 => Just(ERC20_TRANSFER),
        2 => Just(ERC20_APPROVE),
        1 => Just(Selector::repeat_byte(0xff)),
        1 => any::<[u8; 4]>().prop_map(Selector::from),
    ]
}

/// Generates any word, mostly around powers of two, where types end.
pub fn any_word() -> impl Strategy<Value = U256> {
    let power = prop_oneof![
        2 => 0usize..256,
        1 => prop::sample::select(&[8usize, 32, 48, 64, 96, 128, 160, 192, 224, 255]),
    ];
    prop_oneof![
        3 => (0u64..4).prop_map(U256::from),
        2 => power.clone().prop_map(|power| U256::ONE << power),
        2 => power.prop_map(|power| (U256::ONE << power) - U256::ONE),
        2 => (0u64..2).prop_map(|less| U256::MAX - U256::from(less)),
        1 => any_address().prop_map(|address| address.into_word().into()),
        1 => any_selector().prop_map(|selector| U256::from_be_slice(selector.as_slice()) << 224),
        1 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

/// Generates any time or interval that the plugin can store, in seconds.
pub fn any_seconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => Just(0),
        2 => 1u64..100,
        1 => (0u64..2).prop_map(|less| MAX_SECONDS - less),
        1 => (0u32..48).prop_map(|power| 1 << power),
        1 => 0..=MAX_SECONDS,
    ]
}

/// Generates any limit.
pub fn any_limit() -> impl Strategy<Value = SpendLimit> {
    (any_word(), any_seconds()).prop_map(|(spend_limit, refresh_interval)| SpendLimit {
        spend_limit,
        refresh_interval,
    })
}

/// Generates any access control type.
pub fn any_access_control_type() -> impl Strategy<Value = AccessControlType> {
    prop_oneof![
        Just(AccessControlType::Allowlist),
        Just(AccessControlType::Denylist),
        Just(AccessControlType::AllowAllAccess),
    ]
}

/// Generates any contract's entry.
pub fn any_address_entry() -> impl Strategy<Value = AddressEntry> {
    (any_address(), any::<bool>(), any::<bool>()).prop_map(|(contract, is_on_list, check_selectors)| {
        AddressEntry {
            contract,
            is_on_list,
            check_selectors,
        }
    })
}

/// Generates any function's entry.
pub fn any_function_entry() -> impl Strategy<Value = FunctionEntry> {
    (any_address(), any_selector(), any::<bool>()).prop_map(|(contract, selector, is_on_list)| {
        FunctionEntry {
            contract,
            selector,
            is_on_list,
        }
    })
}

/// Generates any time range that the plugin can store.
pub fn any_time_range() -> impl Strategy<Value = TimeRange> {
    (any_seconds(), any_seconds()).prop_map(|(valid_after, valid_until)| TimeRange {
        valid_after,
        valid_until,
    })
}

/// Generates any token limit, including limits for the zero address.
pub fn any_erc20_limit() -> impl Strategy<Value = Erc20SpendLimit> {
    (any_address(), any_limit()).prop_map(|(token, limit)| Erc20SpendLimit { token, limit })
}

/// Generates any update that has an encoding.
pub fn any_update() -> impl Strategy<Value = PermissionUpdate> {
    let token_limit = any_erc20_limit().prop_map(|mut limit| {
        if limit.token.is_zero() {
            limit.token = CONTRACTS[0];
        }
        limit
    });
    prop_oneof![
        any_access_control_type().prop_map(PermissionUpdate::AccessListType),
        any_address_entry().prop_map(PermissionUpdate::AddressEntry),
        any_function_entry().prop_map(PermissionUpdate::FunctionEntry),
        any_time_range().prop_map(PermissionUpdate::TimeRange),
        any_limit().prop_map(PermissionUpdate::NativeTokenSpendLimit),
        token_limit.prop_map(PermissionUpdate::Erc20SpendLimit),
        any_limit().prop_map(PermissionUpdate::GasSpendLimit),
        any_address().prop_map(PermissionUpdate::RequiredPaymaster),
    ]
}

/// Generates any block time after `now`, in Unix seconds: soon after, or around the end of the plugin's
/// `uint48`.
pub fn any_later_time(now: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (1u64..200).prop_map(move |seconds| now + seconds),
        1 => (0u64..3).prop_map(|seconds| MAX_SECONDS - 1 + seconds),
    ]
}
