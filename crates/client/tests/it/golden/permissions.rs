//! Permission sets: what the TypeScript builder encodes, ours encodes to the same bytes or refuses.

use super::{ArgumentError, Quantity, folder, read};
use serde::Deserialize;
use serde_json::value::RawValue;
use session_key_client::{
    alloy::{
        primitives::{Address, Bytes, Selector, U256, hex},
        sol_types::SolValue,
    },
    permissions::{
        AccessControlType, AddressEntry, FunctionEntry, PermissionError, PermissionUpdates, Permissions,
        SpendLimit, TimeField, TimeRange, parse_address,
    },
};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct PermissionVectors {
    cases: Vec<PermissionCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionCase {
    id: serde_json::Value,
    #[serde(default)]
    description: String,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    encoded: Option<Vec<Bytes>>,
    #[serde(default)]
    abi_encoded: Option<Bytes>,
    #[serde(default)]
    throws: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Step {
    method: String,
    #[serde(default)]
    arg: Option<Box<RawValue>>,
}

fn arg<T: for<'de> Deserialize<'de>>(step: &Step) -> T {
    let text = step.arg.as_deref().map_or("null", RawValue::get);
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{}({text}): {error}", step.method))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddressEntryArg {
    contract_address: String,
    is_on_list: bool,
    check_selectors: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionEntryArg {
    contract_address: String,
    method_selector: String,
    is_on_list: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimeRangeArg {
    valid_from: Quantity,
    valid_until: Quantity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LimitArg {
    #[serde(default)]
    token_address: String,
    spend_limit: Quantity,
    #[serde(default)]
    refresh_interval: Option<Quantity>,
}

impl LimitArg {
    fn limit(&self) -> Result<SpendLimit, ArgumentError> {
        let refresh_interval = match &self.refresh_interval {
            Some(interval) => interval.seconds(TimeField::RefreshInterval)?,
            None => 0,
        };
        Ok(SpendLimit {
            spend_limit: self.spend_limit.uint256()?,
            refresh_interval,
        })
    }
}

fn address(text: &str) -> Result<Address, ArgumentError> {
    parse_address(text).map_err(ArgumentError::Permission)
}

fn selector(text: &str) -> Result<Selector, ArgumentError> {
    hex::FromHex::from_hex(text).map_err(|_| ArgumentError::NotSelector(text.to_owned()))
}

/// Applies one call on the TypeScript builder to ours. `Ok(None)`: the call sets nothing.
fn apply(set: Permissions, step: &Step) -> Result<Permissions, ArgumentError> {
    Ok(match step.method.as_str() {
        "setContractAccessControlType" => {
            let value = arg::<Quantity>(step).uint256()?;
            set.access_control_type(AccessControlType::try_from(value).map_err(ArgumentError::Permission)?)
        }
        "addContractAddressAccessEntry" => {
            let arg: AddressEntryArg = arg(step);
            set.address_entry(AddressEntry {
                contract: address(&arg.contract_address)?,
                is_on_list: arg.is_on_list,
                check_selectors: arg.check_selectors,
            })
        }
        "addContractFunctionAccessEntry" => {
            let arg: FunctionEntryArg = arg(step);
            set.function_entry(FunctionEntry {
                contract: address(&arg.contract_address)?,
                selector: selector(&arg.method_selector)?,
                is_on_list: arg.is_on_list,
            })
        }
        "setTimeRange" => {
            let arg: TimeRangeArg = arg(step);
            set.time_range(TimeRange {
                valid_after: arg.valid_from.seconds(TimeField::ValidAfter)?,
                valid_until: arg.valid_until.seconds(TimeField::ValidUntil)?,
            })
        }
        "setNativeTokenSpendLimit" => set.native_token_spend_limit(arg::<LimitArg>(step).limit()?),
        "addErc20TokenSpendLimit" => {
            let arg: LimitArg = arg(step);
            set.erc20_spend_limit(address(&arg.token_address)?, arg.limit()?)
        }
        "setGasSpendLimit" => set.gas_spend_limit(arg::<LimitArg>(step).limit()?),
        "setRequiredPaymaster" => match arg::<Option<String>>(step).as_deref() {
            // The TypeScript builder skips what is empty.
            None | Some("") => Permissions {
                required_paymaster: None,
                ..set
            },
            Some(text) => set.required_paymaster(address(text)?),
        },
        method => panic!("no such method on the TypeScript builder: {method}"),
    })
}

/// Runs the steps on our builder. An argument that has no value in Rust is an error for good if its method
/// appends, and until the next call of the same method if it replaces: the last setter wins.
fn build(steps: &[Step]) -> Result<Vec<Bytes>, ArgumentError> {
    let mut set = Permissions::new();
    let mut errors = BTreeMap::new();
    for (position, step) in steps.iter().enumerate() {
        let slot = if step.method.starts_with("add") {
            format!("{} {position}", step.method)
        } else {
            step.method.clone()
        };
        match apply(set.clone(), step) {
            Ok(next) => {
                set = next;
                errors.remove(&slot);
            }
            Err(error) => {
                errors.insert(slot, error);
            }
        }
    }
    match errors.into_values().next() {
        Some(error) => Err(error),
        None => set.encode_unchecked().map_err(ArgumentError::Permission),
    }
}

#[test]
fn permission_sets_encode_as_the_typescript_builder_does() {
    let vectors: PermissionVectors = read("permissions.json");
    assert!(!vectors.cases.is_empty());
    let mut refused = Vec::new();
    for case in &vectors.cases {
        let name = format!("case {} ({})", case.id, case.description);
        let ours = build(&case.steps);
        let theirs = match (&case.encoded, &case.throws) {
            (Some(encoded), None) => encoded,
            (None, Some(_)) => {
                refused.push((case.id.as_u64(), ours.expect_err(&name)));
                continue;
            }
            _ => panic!("{name}: neither or both of `encoded` and `throws`"),
        };
        // The TypeScript builder encodes some updates that every plugin must refuse; ours must not.
        if let Err(reason) = PermissionUpdates::decode(theirs) {
            let error = ours.expect_err(&name);
            assert!(
                matches!(error, ArgumentError::Permission(_)),
                "{name}: {error:?} is no error of the client, though the bytes are refused: {reason}"
            );
            refused.push((case.id.as_u64(), error));
            continue;
        }
        let ours = ours.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(&ours, theirs, "{name}");
        if let Some(abi_encoded) = &case.abi_encoded {
            assert_eq!(&Bytes::from(ours.abi_encode()), abi_encoded, "{name}");
        }
        let decoded = PermissionUpdates::decode(&ours).expect(&name);
        assert_eq!(decoded.encode_unchecked().as_ref(), Ok(&ours), "{name}");
    }

    if folder().1 {
        use ArgumentError::{NotSelector, NotUint256, Permission};
        let seconds = |field| {
            Permission(PermissionError::SecondsOutOfRange {
                field,
                seconds: U256::from(1u64 << 48),
            })
        };
        let invalid_type =
            |value: u64| Permission(PermissionError::InvalidAccessControlType(U256::from(value)));
        let invalid_address = |text: &str| Permission(PermissionError::InvalidAddress(text.to_owned()));
        let over_uint256 = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(vectors.cases.len(), 63);
        assert_eq!(
            refused,
            [
                (Some(37), Permission(PermissionError::InvalidToken(Address::ZERO))),
                (Some(52), NotSelector("0x112233".to_owned())),
                (Some(53), NotSelector("0x1122334455".to_owned())),
                (
                    Some(54),
                    invalid_address("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")
                ),
                (
                    Some(55),
                    invalid_address("0x11111111111111111111111111111111111111")
                ),
                (Some(56), seconds(TimeField::ValidUntil)),
                (Some(57), NotUint256("-1".to_owned())),
                (Some(58), NotUint256("0.5".to_owned())),
                (Some(59), NotUint256(over_uint256.to_owned())),
                (Some(60), NotUint256("-1".to_owned())),
                (Some(61), seconds(TimeField::RefreshInterval)),
                (Some(62), invalid_type(3)),
                (Some(63), invalid_type(256)),
            ]
        );
    }
    println!(
        "{} permission sets, {} of them refused with a typed error",
        vectors.cases.len(),
        refused.len()
    );
}
