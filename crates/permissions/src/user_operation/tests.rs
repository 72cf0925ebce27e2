use super::*;
use alloy_eip7702::Authorization;
use alloy_primitives::{address, hex};
use alloy_sol_types::SolValue;
use session_key_bindings::PackedUserOperation;

/// Operations and their hashes. `contracts/test/unit/UserOperationHashes.t.sol` compares the hashes with
/// those of the EntryPoints from npm. `UPDATE_GOLDEN=1` writes the file.
const GOLDEN: &str = include_str!("../../golden/user-operation-hashes.json");

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vector {
    name: String,
    version: EntryPointVersion,
    chain_id: u64,
    entry_point: Address,
    /// What the sender delegates to, or zero.
    delegate: Address,
    /// The operation as the EntryPoint's ABI encodes it.
    encoded: Bytes,
    user_op_hash: B256,
}

const SENDER: Address = address!("0x5e4dE75e4De75E4dE75E4dE75e4dE75e4de75E4d");
const DELEGATE: Address = address!("0xde1e9a7ede1E9a7Ede1e9A7edE1E9a7EdE1E9A7E");
const PAYMASTER: Address = address!("0x9a79a79A79A79a79a79A79a79A79A79A79a79A79");
const MAGIC: [u8; 8] = hex!("22e325a297439656");

fn filled(version: EntryPointVersion) -> UserOperation {
    UserOperation {
        version,
        sender: SENDER,
        nonce: U256::MAX - U256::ONE,
        call_data: Bytes::from(vec![0xca; 100]),
        call_gas_limit: U256::from(100_001),
        verification_gas_limit: U256::from(200_002),
        pre_verification_gas: U256::from(30_003),
        max_fee_per_gas: U256::from(5_000_000_004_u64),
        max_priority_fee_per_gas: U256::from(1_000_000_005),
        signature: Bytes::from(vec![0x51; 65]),
        ..Default::default()
    }
}

fn paymaster_data(version: EntryPointVersion, data: &[u8]) -> Bytes {
    if version.is_packed() {
        PaymasterFields {
            paymaster: PAYMASTER,
            verification_gas_limit: 60_006,
            post_op_gas_limit: 70_007,
            data: Bytes::copy_from_slice(data),
        }
        .pack()
    } else {
        [PAYMASTER.as_slice(), data].concat().into()
    }
}

/// One case of each kind that a version treats in a way of its own.
fn cases(version: EntryPointVersion) -> Vec<(String, UserOperation)> {
    let largest = if version.is_packed() {
        U256::from(u128::MAX)
    } else {
        U256::MAX
    };
    let mut cases = vec![
        (
            "empty".to_owned(),
            UserOperation {
                version,
                ..Default::default()
            },
        ),
        ("call".to_owned(), filled(version)),
        (
            "largest numbers".to_owned(),
            UserOperation {
                call_gas_limit: largest,
                verification_gas_limit: largest,
                pre_verification_gas: U256::MAX,
                max_fee_per_gas: largest,
                max_priority_fee_per_gas: largest,
                ..filled(version)
            },
        ),
    ];
    let init_codes: [(&str, &[u8]); 6] = [
        ("factory", &[0xfa; 60]),
        ("7702", &hex!("7702")),
        ("7702 with half its padding", &hex!("77020000000000000000")),
        (
            "7702 with padding",
            &hex!("7702000000000000000000000000000000000000"),
        ),
        (
            "7702 with data",
            &hex!("7702000000000000000000000000000000000000c0ffee"),
        ),
        (
            "7702 with other padding",
            &hex!("7702000000000000000000000000000000000001c0ffee"),
        ),
    ];
    for (name, init_code) in init_codes {
        let operation = UserOperation {
            init_code: Bytes::copy_from_slice(init_code),
            ..filled(version)
        };
        cases.push((format!("initCode: {name}"), operation));
    }
    let signature = |length: u16, declared: u16| {
        let signature = vec![0x99; usize::from(length)];
        [&signature, declared.to_be_bytes().as_slice(), &MAGIC].concat()
    };
    let paymasters: [(&str, Vec<u8>); 6] = [
        ("without data", vec![]),
        ("with data", vec![0xda; 33]),
        ("magic bytes alone", MAGIC.to_vec()),
        ("an empty signature", signature(0, 0)),
        ("a signature", [vec![0xda; 33], signature(65, 65)].concat()),
        ("a signature that is all its data", signature(65, 65)),
    ];
    for (name, data) in paymasters {
        let operation = UserOperation {
            paymaster_and_data: paymaster_data(version, &data),
            ..filled(version)
        };
        cases.push((format!("paymaster: {name}"), operation));
    }
    cases
}

fn vector(name: String, operation: &UserOperation, entry_point: Address, chain_id: u64) -> Vector {
    let delegate = if operation.is_eip7702() {
        DELEGATE
    } else {
        Address::ZERO
    };
    let encoded = match PackedUserOperation::try_from(operation.clone()) {
        Ok(packed) => packed.abi_encode(),
        Err(OtherForm { .. }) => session_key_bindings::UserOperation::try_from(operation.clone())
            .unwrap()
            .abi_encode(),
    };
    Vector {
        name,
        version: operation.version,
        chain_id,
        entry_point,
        delegate,
        encoded: encoded.into(),
        user_op_hash: operation.hash_of_delegation(delegate, entry_point, chain_id),
    }
}

#[test]
fn hashes_are_those_on_record() {
    let vectors: Vec<_> = EntryPointVersion::ALL
        .into_iter()
        .flat_map(|version| {
            let entry_point = version.entry_point();
            let elsewhere = Address::repeat_byte(0xe0 | version as u8);
            let name = "another chain and address".to_owned();
            let moved = vector(name, &filled(version), elsewhere, u64::MAX);
            cases(version)
                .into_iter()
                .map(move |(name, operation)| vector(name, &operation, entry_point, 8453))
                .chain([moved])
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/user-operation-hashes.json");
        std::fs::write(path, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
        return;
    }
    let golden: Vec<Vector> = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(golden.len(), vectors.len());
    for (golden, vector) in golden.iter().zip(&vectors) {
        assert_eq!(golden, vector);
    }
}

#[test]
fn a_delegated_operation_hashes_by_its_delegate() {
    let operation = UserOperation {
        init_code: EIP7702_INIT_CODE_MARKER.as_slice().to_vec().into(),
        ..filled(EntryPointVersion::V08)
    };
    let hash = |delegate| operation.hash_of_delegation(delegate, SENDER, 1);
    assert_ne!(hash(DELEGATE), hash(PAYMASTER));
    let not_delegated = filled(EntryPointVersion::V08);
    assert_eq!(
        not_delegated.hash(SENDER, 1),
        not_delegated.hash_of_delegation(DELEGATE, SENDER, 1)
    );
}

/// The members that bundlers take, and the same operation read back.
#[test]
fn json_is_that_of_bundlers() {
    let unpacked = serde_json::to_value(UserOperation {
        init_code: Bytes::from(vec![0xfa; 21]),
        ..filled(EntryPointVersion::V06)
    })
    .unwrap();
    assert_eq!(unpacked["initCode"], format!("0x{}", "fa".repeat(21)));
    assert_eq!(unpacked["paymasterAndData"], "0x");
    assert!(unpacked.get("factory").is_none());

    let packed = serde_json::to_value(UserOperation {
        init_code: Bytes::from(vec![0xfa; 21]),
        paymaster_and_data: paymaster_data(EntryPointVersion::V07, &[0xda]),
        ..filled(EntryPointVersion::V07)
    })
    .unwrap();
    assert_eq!(packed["factory"], format!("0x{}", "fa".repeat(20)));
    assert_eq!(packed["factoryData"], "0xfa");
    assert_eq!(packed["paymaster"], format!("{PAYMASTER:#x}"));
    assert_eq!(packed["paymasterVerificationGasLimit"], "0xea66");
    assert_eq!(packed["paymasterPostOpGasLimit"], "0x11177");
    assert_eq!(packed["paymasterData"], "0xda");
    for absent in ["initCode", "paymasterAndData", "accountGasLimits", "version"] {
        assert!(packed.get(absent).is_none(), "{absent}");
    }
    let bare = serde_json::to_value(filled(EntryPointVersion::V07)).unwrap();
    for absent in ["factory", "factoryData", "paymaster", "paymasterData"] {
        assert!(bare.get(absent).is_none(), "{absent}");
    }
}

/// An authorization accompanies the operation, in bundlers' JSON form: not in the hash, and not in v0.6.
#[test]
fn an_authorization_travels_beside_the_operation() {
    let bare = filled(EntryPointVersion::V07);
    let authorization = Authorization {
        chain_id: U256::from(31_337),
        address: Address::repeat_byte(0xde),
        nonce: 3,
    };
    // Its r and s begin with zeros.
    let signed = SignedAuthorization::new_unchecked(authorization, 1, U256::from(0xabc), U256::from(7));
    let operation = UserOperation {
        authorization: Some(signed.clone()),
        ..bare.clone()
    };
    assert_eq!(operation.hash(PAYMASTER, 1), bare.hash(PAYMASTER, 1));
    let json = serde_json::to_value(&operation).unwrap();
    let expected = serde_json::json!({
        "chainId": "0x7a69",
        "address": format!("0x{}", "de".repeat(20)),
        "nonce": "0x3",
        "yParity": "0x1",
        "r": format!("0x{}abc", "0".repeat(61)),
        "s": format!("0x{}7", "0".repeat(63)),
    });
    assert_eq!(json["eip7702Auth"], expected);
    assert_eq!(serde_json::from_value::<UserOperation>(json).unwrap(), operation);
    assert!(serde_json::to_value(&bare).unwrap().get("eip7702Auth").is_none());
    let unpacked = UserOperation {
        authorization: Some(signed),
        ..filled(EntryPointVersion::V06)
    };
    let error = serde_json::to_value(&unpacked).unwrap_err().to_string();
    assert!(error.contains("no authorization"), "{error}");
    let mut json = serde_json::to_value(filled(EntryPointVersion::V06)).unwrap();
    json["eip7702Auth"] = expected;
    let error = serde_json::from_value::<UserOperation>(json).unwrap_err();
    assert!(
        error.to_string().contains("`eip7702Auth` stands beside"),
        "{error}"
    );
}

#[test]
fn json_reads_back_as_the_same_operation() {
    for version in EntryPointVersion::ALL {
        for (name, operation) in cases(version) {
            let signed = SignedOperation {
                hash: operation.hash(version.entry_point(), 1),
                operation,
            };
            // Short forms of the marker are not kept: they mean the same.
            if name.starts_with("initCode: 7702") && signed.operation.init_code.len() < 20 {
                continue;
            }
            let json = serde_json::to_string(&signed).unwrap();
            assert_eq!(
                serde_json::from_str::<SignedOperation>(&json).unwrap(),
                signed,
                "{version} {name}"
            );
        }
    }
}

#[test]
fn short_marker_of_a_delegation_is_written_as_bundlers_do() {
    let operation = |init_code: &[u8]| UserOperation {
        init_code: Bytes::copy_from_slice(init_code),
        ..filled(EntryPointVersion::V08)
    };
    let padded = operation(EIP7702_INIT_CODE_MARKER.as_slice());
    for same in [&hex!("7702")[..], EIP7702_INIT_CODE_MARKER.as_slice()] {
        let json = serde_json::to_value(operation(same)).unwrap();
        assert_eq!(json["factory"], "0x7702");
        assert_eq!(serde_json::from_value::<UserOperation>(json).unwrap(), padded);
    }
}

/// An operation could mean two things, or lacks what it needs.
#[test]
fn json_that_means_nothing_is_refused() {
    let v06 = serde_json::to_value(filled(EntryPointVersion::V06)).unwrap();
    let v07 = serde_json::to_value(filled(EntryPointVersion::V07)).unwrap();
    let with = |base: &serde_json::Value, changes: &[(&str, serde_json::Value)]| {
        let mut json = base.clone();
        for (name, value) in changes {
            json[*name] = value.clone();
        }
        serde_json::from_value::<UserOperation>(json).map_err(|error| error.to_string())
    };
    let large = serde_json::json!("0x100000000000000000000000000000000");
    let address = serde_json::json!(PAYMASTER);
    let refused = [
        (
            with(&v06, &[("factory", address.clone())]),
            "`factory` stands beside",
        ),
        (
            with(&v06, &[("paymasterData", "0x".into())]),
            "`paymasterData` stands beside",
        ),
        (
            with(&v06, &[("initCode", serde_json::Value::Null)]),
            "missing field `initCode`",
        ),
        (
            with(&v06, &[("paymasterAndData", serde_json::Value::Null)]),
            "missing field `paymasterAndData`",
        ),
        (
            with(&v07, &[("initCode", "0x".into())]),
            "missing field `paymasterAndData`",
        ),
        (
            with(&v07, &[("factoryData", "0x01".into())]),
            "`factoryData` without `factory`",
        ),
        (
            with(&v07, &[("factory", "0x7703".into())]),
            "neither an address nor 0x7702",
        ),
        (
            with(&v07, &[("paymasterData", "0x01".into())]),
            "without `paymaster`",
        ),
        (
            with(&v07, &[("paymasterPostOpGasLimit", "0x1".into())]),
            "without `paymaster`",
        ),
        (
            with(
                &v07,
                &[("paymaster", address), ("paymasterPostOpGasLimit", large.clone())],
            ),
            "larger than 128 bits",
        ),
        (
            with(&v07, &[("callGasLimit", large.clone())]),
            "`callGasLimit` is larger",
        ),
        (
            with(&v07, &[("maxFeePerGas", large.clone())]),
            "`maxFeePerGas` is larger",
        ),
    ];
    for (result, reason) in refused {
        let error = result.expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    // In v0.6 every number has a word of its own.
    assert!(with(&v06, &[("callGasLimit", large)]).is_ok());

    let mut other_form = v06;
    other_form["entryPointVersion"] = "0.7".into();
    let signed = serde_json::json!({ "operation": other_form, "hash": B256::ZERO });
    let error = serde_json::from_value::<SignedOperation>(signed)
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not one of v0.7"), "{error}");
}

#[test]
fn a_packed_operation_that_cannot_be_unpacked_is_not_written() {
    let write =
        |operation: UserOperation| serde_json::to_string(&operation).map_err(|error| error.to_string());
    let no_factory = UserOperation {
        init_code: Bytes::from(vec![1; 19]),
        ..filled(EntryPointVersion::V07)
    };
    assert!(write(no_factory).unwrap_err().contains("initCode of 19 bytes"));
    let no_limits = UserOperation {
        paymaster_and_data: Bytes::from(vec![1; 51]),
        ..filled(EntryPointVersion::V07)
    };
    assert!(
        write(no_limits)
            .unwrap_err()
            .contains("paymasterAndData of 51 bytes")
    );
}

#[test]
fn lanes() {
    let key = Address::repeat_byte(0xab);
    let op = UserOperation {
        nonce: nonce(session_key_nonce_key(key), u64::MAX),
        ..Default::default()
    };
    assert_eq!(op.nonce_key(), session_key_nonce_key(key));
    assert_eq!(op.nonce & U256::from(u64::MAX), U256::from(u64::MAX));
}

#[test]
fn a_paymaster_triples_verification_gas() {
    let mut op = UserOperation {
        call_gas_limit: U256::from(100),
        verification_gas_limit: U256::from(10),
        pre_verification_gas: U256::from(1),
        max_fee_per_gas: U256::from(2),
        ..Default::default()
    };
    assert_eq!(op.max_cost(), Some(U256::from(222)));
    op.paymaster_and_data = Bytes::from_static(&[1]);
    assert_eq!(op.max_cost(), Some(U256::from(262)));
    assert_eq!(op.paymaster(), None);
    op.verification_gas_limit = U256::MAX;
    assert_eq!(op.max_cost(), None);
    // The largest number counts as an overflow, also at a fee of zero.
    let largest = UserOperation {
        call_gas_limit: U256::MAX,
        ..Default::default()
    };
    assert_eq!((largest.max_gas(), largest.max_cost()), (None, None));
}

#[test]
fn in_packed_operations_a_paymaster_has_gas_limits_of_its_own() {
    let mut op = UserOperation {
        version: EntryPointVersion::V07,
        call_gas_limit: U256::from(100),
        verification_gas_limit: U256::from(10),
        pre_verification_gas: U256::from(1),
        max_fee_per_gas: U256::from(2),
        ..Default::default()
    };
    assert_eq!(op.max_cost(), Some(U256::from(222)));
    op.paymaster_and_data = paymaster_data(EntryPointVersion::V07, &[]);
    assert_eq!(op.max_cost(), Some(U256::from(222 + 2 * (60_006 + 70_007))));
    assert_eq!(op.paymaster(), Some(PAYMASTER));
}
