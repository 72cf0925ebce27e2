//! The operation around the calls: its form, its signature, its time, who pays; and keys that are gone.

use super::*;

#[tokio::test]
async fn operations_are_judged_as_on_chain() {
    type Change = fn(&World, &mut UserOperation);
    let cases: Vec<(&str, Change, Vec<&str>)> = vec![
        ("nothing", |_, _| {}, vec![]),
        (
            "another lane",
            |_, operation| operation.nonce = U256::ZERO,
            vec!["nonce_key"],
        ),
        (
            "a lane above the key",
            |_, operation| operation.nonce |= U256::from(1) << 255,
            vec!["nonce_key"],
        ),
        (
            "cost of the limit and one fee more",
            |_, operation| operation.call_gas_limit += U256::from(1),
            vec!["gas_limit_exceeded"],
        ),
        (
            "three times verification gas with a paymaster",
            |world, operation| operation.paymaster_and_data = world.paymaster().to_vec().into(),
            vec!["gas_limit_exceeded"],
        ),
        (
            "no sender of ours",
            |_, operation| operation.sender = OTHER,
            vec!["sender_mismatch"],
        ),
        (
            "another function",
            |_, operation| operation.call_data = BUY.to_vec().into(),
            vec!["not_execute_with_session_key"],
        ),
        (
            "no call data",
            |_, operation| operation.call_data = Bytes::new(),
            vec!["not_execute_with_session_key"],
        ),
        (
            "trailing call data",
            |_, operation| operation.call_data = [&operation.call_data[..], &[7; 33]].concat().into(),
            vec![],
        ),
        (
            "cut call data",
            |_, operation| {
                // Four bytes of data are padded to 32, but the padding is not read.
                let length = operation.call_data.len() - 29;
                operation.call_data.truncate(length);
            },
            vec!["malformed_call_data"],
        ),
        (
            "call data without its padding",
            |_, operation| {
                let length = operation.call_data.len() - 28;
                operation.call_data.truncate(length);
            },
            vec![],
        ),
        (
            "a dirty session key",
            |_, operation| {
                let mut data = operation.call_data.to_vec();
                data[4 + 32] = 1;
                operation.call_data = data.into();
            },
            vec!["malformed_call_data"],
        ),
        (
            "paymaster data too short",
            |_, operation| operation.paymaster_and_data = Bytes::from_static(&[1; 19]),
            vec!["invalid_paymaster_and_data", "gas_limit_exceeded"],
        ),
        (
            "gas beyond 120 bits",
            |_, operation| operation.max_priority_fee_per_gas = U256::from(1) << 120,
            vec!["gas_values_overflow"],
        ),
    ];
    let updates =
        list(AccessControlType::AllowAllAccess).gas_spend_limit(SpendLimit::total(COST), LimitChange::Raw);
    for (name, change, expected) in cases {
        let mut world = World::new(&updates);
        let mut operation = world.operation(&[call(SHOP, BUY)]);
        change(&world, &mut operation);
        let verdict = world.state.check(&operation, START + 1);
        assert_eq!(codes(&verdict), expected, "{name}: {verdict}");
        // Of another sender, the EntryPoint asks an account that is not there.
        if operation.sender == world.account.address() {
            world.compare(operation, START + 1).await;
        }
    }
}

#[tokio::test]
async fn signatures_are_judged_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess);
    let mut world = World::new(&updates);
    let operation = world.operation(&[call(SHOP, BUY)]);
    let stranger = world.sign(operation.clone(), &key(9));
    let verdict = world.compare_signed(stranger, START + 1).await;
    assert_eq!(codes(&verdict), ["wrong_signer"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountSignature));

    let good = world.sign(operation, &world.key);
    // The order of secp256k1, less `s`, with the other parity: the same signature, malleated.
    let order = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    let signature = good.operation.signature.to_vec();
    let high_s = order - U256::from_be_slice(&signature[32..64]);
    let [with_v, zero, bytes] = [signature.clone(), vec![0; 65], vec![27; 64]];
    let malleated = [
        &signature[..32],
        &high_s.to_be_bytes::<32>(),
        &[signature[64] ^ 27 ^ 28],
    ]
    .concat();
    let mut bad_v = with_v.clone();
    bad_v[64] -= 27;
    let too_long = [&with_v[..], &[0]].concat();
    for bad in [malleated, bad_v, zero, bytes, too_long, vec![]] {
        let mut signed = good.clone();
        signed.operation.signature = bad.into();
        let mut world = World::new(&updates);
        let verdict = world.compare_signed(signed, START + 1).await;
        assert_eq!(codes(&verdict), ["malformed_signature"]);
    }
    let verdict = world.compare_signed(good, START + 2).await;
    assert!(verdict.is_accepted());
}

#[tokio::test]
async fn times_are_judged_as_on_chain() {
    let range = |valid_after, valid_until| {
        list(AccessControlType::AllowAllAccess).time_range(TimeRange {
            valid_after,
            valid_until,
        })
    };
    let (from, until) = (START + DAY, START + 2 * DAY);
    for (updates, time, expected, passes_from) in [
        (range(from, until), from - 1, vec!["not_yet_valid"], Some(from)),
        (range(from, until), from, vec![], Some(0)),
        (range(from, until), until, vec![], Some(0)),
        (range(from, until), until + 1, vec!["expired"], None),
        (range(from, 0), until + 1, vec![], Some(0)),
        (range(until, from), from - 1, vec!["not_yet_valid"], None),
        (
            range(until, from),
            from + 1,
            vec!["not_yet_valid", "expired"],
            None,
        ),
        (
            range(MAX_SECONDS, MAX_SECONDS),
            from,
            vec!["not_yet_valid"],
            Some(MAX_SECONDS),
        ),
    ] {
        let mut world = World::new(&updates);
        let operation = world.operation(&[call(SHOP, BUY)]);
        let verdict = world.compare(operation, time).await;
        assert_eq!(codes(&verdict), expected, "{updates:?} {time}");
        assert_eq!(verdict.passes_from(), passes_from, "{updates:?} {time}");
    }
}

#[tokio::test]
async fn paymasters_are_judged_as_on_chain() {
    let paymaster = World::new(&PermissionUpdates::new()).paymaster();
    for (required, used, expected) in [
        (paymaster, Some(paymaster), vec![]),
        (paymaster, None, vec!["paymaster_required"]),
        (OTHER, Some(paymaster), vec!["paymaster_required"]),
        (Address::ZERO, None, vec![]),
    ] {
        let updates = list(AccessControlType::AllowAllAccess)
            .required_paymaster(OTHER)
            .required_paymaster(required)
            .gas_spend_limit(SpendLimit::total(SPONSORED_COST), LimitChange::Raw);
        let mut world = World::new(&updates);
        let mut operation = world.operation(&[call(SHOP, BUY)]);
        operation.paymaster_and_data = used.map_or(Bytes::new(), |used| used.to_vec().into());
        let verdict = world.compare(operation, START + 1).await;
        assert_eq!(codes(&verdict), expected);
    }
}

#[tokio::test]
async fn keys_that_are_gone_are_judged_as_on_chain() {
    let mut world = World::new(&list(AccessControlType::AllowAllAccess));
    let operation = world.operation(&[call(SHOP, BUY)]);
    world.owner_calls(
        calldata::remove_session_key(world.key.address(), B256::ZERO),
        START + 1,
    );
    world.state = KeyState::unregistered(world.account.address(), world.key.address());
    let verdict = world.compare(operation.clone(), START + 2).await;
    assert_eq!(codes(&verdict), ["key_not_registered"]);

    // Of another key, this state says nothing.
    let other = UserOperation {
        call_data: execute_with_session_key(&[call(SHOP, BUY)], key(9).address()),
        ..operation
    };
    assert_eq!(
        codes(&world.state.check(&other, START + 2)),
        ["session_key_mismatch"]
    );
}
