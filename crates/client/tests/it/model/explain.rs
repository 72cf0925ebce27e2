//! Verdicts on what is read from a chain: before the fact, and after it.

use super::*;

/// PUSH0 PUSH0 REVERT
const REFUSER: [u8; 3] = [0x5f, 0x5f, 0xfd];

#[tokio::test]
async fn explains_what_the_chain_flattens() {
    let updates = PermissionUpdates::new()
        .contract_functions(TOKEN, [ERC20_TRANSFER])
        .contract(SHOP)
        .native_token_spend_limit(SpendLimit::total(n(1000)), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY), LimitChange::Raw);
    let mut world = World::new(&updates);
    let operation = world.operation(&[transfer(n(60))]);
    assert!(world.compare(operation, START + 1).await.is_accepted());
    let key = world.key.clone();
    for (calls, expected) in [
        (
            vec![Call::new(OTHER, Bytes::new())],
            format!("refused in validation: call 0: {OTHER} is not on the allowlist"),
        ),
        (
            vec![transfer(n(1)), token_call(BUY, n(1))],
            format!(
                "refused in validation: call 1: function 0xa0712d68 of {TOKEN} is neither transfer nor approve, and the token \
                 has a spend limit; call 1: function 0xa0712d68 of {TOKEN} is not on the allowlist"
            ),
        ),
        (
            vec![wei(600), wei(401)],
            "refused in validation: the calls would send 1001 of the native token (wei), but the limit is 1000"
                .to_owned(),
        ),
        (
            vec![transfer(n(50))],
            format!(
                "refused in execution: call 0 would spend 50 of token {TOKEN}, but 40 are left of 100 until \
                 2027-01-16T08:00:00Z; it would pass from 2027-01-16T08:00:00Z on"
            ),
        ),
    ] {
        let mut operation = world.operation(&calls);
        // Before signing, and signed.
        for _ in 0..2 {
            let verdict = explain(&world.account, &operation, key.address()).await.unwrap();
            assert_eq!(verdict.to_string(), expected);
            operation = world.sign(operation, &key).operation;
        }
    }
    // Whoever else signs is found out.
    let signed = world.sign(world.operation(&[transfer(n(1))]), &crate::fixture::key(9));
    let verdict = explain(&world.account, &signed.operation, key.address())
        .await
        .unwrap();
    assert_eq!(codes(&verdict), ["wrong_signer"]);
}

/// After the fact: from the transaction alone, and the state before its block.
#[tokio::test]
async fn failures_are_explained_afterwards() {
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY), LimitChange::Raw);
    let mut world = World::new(&updates);
    let key = world.key.clone();
    let refuser = Address::repeat_byte(0xfe);
    world.testkit.chain().set_code(refuser, REFUSER).unwrap();

    let mut time = START;
    for (calls, expected) in [
        (vec![transfer(n(60))], None),
        (
            vec![transfer(n(50))],
            Some((
                "rules",
                format!(
                    "call 0 would spend 50 of token {TOKEN}, but 40 are left of 100 until 2027-01-16T08:00:00Z"
                ),
            )),
        ),
        (
            vec![wei(4), wei(7)],
            Some((
                "rules",
                "the calls would send 11 of the native token (wei), but the limit is 10".to_owned(),
            )),
        ),
        (
            vec![Call::new(refuser, Bytes::new())],
            Some((
                "call_failed",
                "a call failed: reverted without a reason, or ran out of gas".to_owned(),
            )),
        ),
    ] {
        time += 1;
        let signed = world.sign(world.operation(&calls), &key);
        let hash = world.send(std::slice::from_ref(&signed), time).transaction_hash;
        let failure = explain_failure(&world.account, &signed, hash).await.unwrap();
        let found = failure.map(|failure| (failure.code(), failure.to_string()));
        assert_eq!(found, expected);
    }

    // Of a bundle: the first leaves too little to the second.
    time += 1;
    let first = world.sign(world.operation(&[wei(6)]), &key);
    let mut second = world.operation(&[wei(5)]);
    second.nonce = first.operation.nonce + n(1);
    let second = world.sign_as_is(second, &key);
    let bundle = [first, second];
    let hash = world.send(&bundle, time).transaction_hash;
    let failures = [
        explain_failure(&world.account, &bundle[0], hash).await.unwrap(),
        explain_failure(&world.account, &bundle[1], hash).await.unwrap(),
    ];
    assert_eq!(failures[0], None);
    let Some(Failure::Rules(violations)) = &failures[1] else {
        panic!("{failures:?}");
    };
    assert_eq!(
        (violations[0].code(), violations[0].phase),
        ("native_limit_exceeded", Phase::Execution)
    );

    // The owner changes the limit in the same bundle.
    for (limit, calls, expected) in [
        (
            10,
            vec![transfer(n(11))],
            (
                "rules",
                format!("call 0 would spend 11 of token {TOKEN}, but the limit is 10"),
            ),
        ),
        (
            1_000,
            vec![transfer(n(500)), Call::new(refuser, Bytes::new())],
            (
                "call_failed",
                "a call failed: reverted without a reason, or ran out of gas".to_owned(),
            ),
        ),
    ] {
        time += 1;
        let updates = PermissionUpdates::new()
            .erc20_spend_limit(TOKEN, SpendLimit::UNLIMITED, LimitChange::Raw)
            .erc20_spend_limit(TOKEN, SpendLimit::per(n(limit), DAY), LimitChange::Raw);
        let mut update = world.operation(&[]);
        update.call_data = calldata::update_key_permissions(key.address(), updates.encode().unwrap());
        update.nonce = U256::ZERO;
        let update = world.sign(update, &dev_accounts()[0].signer());
        let failing = world.sign(world.operation(&calls), &key);
        let hash = world.send(&[update, failing.clone()], time).transaction_hash;
        let failure = explain_failure(&world.account, &failing, hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((failure.code(), failure.to_string()), expected);
    }

    // The nonce is used already.
    let free = world.sign(world.operation(&[wei(0)]), &key);
    let _ = world.send(std::slice::from_ref(&free), time + 1);
    let hash = world.send(std::slice::from_ref(&free), time + 2).transaction_hash;
    let failure = explain_failure(&world.account, &free, hash).await.unwrap();
    let Some(Failure::EntryPoint(failed)) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(failed.code, Some(AaCode::InvalidNonce));
}

/// What was included has passed validation, whatever the state before the block says.
#[tokio::test]
async fn what_was_included_broke_no_rule_of_validation() {
    let refuser = Address::repeat_byte(0xfe);
    let failed = Failure::Call(Revert::Unknown(Bytes::new()));
    let granted = crate::fixture::key(2);
    let grant = NewSessionKey {
        key: granted.address(),
        tag: B256::ZERO,
        permissions: list(AccessControlType::AllowAllAccess)
            .erc20_spend_limit(TOKEN, SpendLimit::total(n(10)), LimitChange::Raw)
            .encode()
            .unwrap(),
    };
    for (calls, expected) in [
        (vec![Call::new(refuser, Bytes::new())], Err(failed.clone())),
        (vec![transfer(n(11))], Ok("erc20_limit_exceeded")),
    ] {
        let mut world = World::new(&PermissionUpdates::new());
        let mut operation = world.operation(&[]);
        operation.call_data = execute_with_session_key(&calls, granted.address());
        operation.nonce = nonce(session_key_nonce_key(granted.address()), 0);
        let signed = world.sign_as_is(operation, &granted);

        // In one transaction, a contract that is an owner grants the key and sends its operation.
        let relay = Address::repeat_byte(0x4e);
        let bundle = calldata::handle_op(signed.operation.clone(), world.owner);
        let code = relay_code(&[
            (world.account.address(), calldata::add_session_key(&grant)),
            (world.account.deployment().entry_point, bundle),
        ]);
        world.owner_calls(calldata::update_owners(&[relay], &[]), START + 1);
        let hash = {
            let mut chain = world.testkit.chain();
            chain.set_code(refuser, REFUSER).unwrap();
            chain.set_code(relay, code).unwrap();
            let request = transaction(world.owner, relay, Bytes::new());
            chain.send(request).unwrap().ok().unwrap().transaction_hash
        };
        let failure = explain_failure(&world.account, &signed, hash)
            .await
            .unwrap()
            .unwrap();
        match (expected, &failure) {
            (Ok(code), Failure::Rules(violations)) => {
                assert_eq!(
                    violations.iter().map(|broken| broken.code()).collect::<Vec<_>>(),
                    [code]
                );
            }
            (expected, _) => assert_eq!(expected, Err(failure)),
        }
    }

    // An owner's operation breaks no rules of a key.
    let mut world = World::new(&PermissionUpdates::new());
    world.testkit.chain().set_code(refuser, REFUSER).unwrap();
    let mut operation = world.operation(&[]);
    operation.call_data = calldata::execute(&Call::new(refuser, Bytes::new()));
    operation.nonce = U256::ZERO;
    let signed = world.sign(operation, &dev_accounts()[0].signer());
    let hash = world
        .send(std::slice::from_ref(&signed), START + 1)
        .transaction_hash;
    let failure = explain_failure(&world.account, &signed, hash).await.unwrap();
    assert_eq!(failure, Some(failed));
}

/// What happened earlier in the block counts: other transactions of the key, and the owner's, by operation or
/// not. What happened later does not.
#[tokio::test]
async fn what_happened_earlier_in_the_block_is_run_again() {
    use alloy::providers::Provider as _;

    let limit = |limit: u64| {
        PermissionUpdates::new().erc20_spend_limit(TOKEN, SpendLimit::per(n(limit), DAY), LimitChange::Raw)
    };
    let new_world = || {
        World::new(&list(AccessControlType::AllowAllAccess).erc20_spend_limit(
            TOKEN,
            SpendLimit::per(n(100), DAY),
            LimitChange::Raw,
        ))
    };
    // Transactions of one sender, in this order, in one block.
    let block = async |world: &World, requests: Vec<TransactionRequest>| {
        let provider = world.testkit.provider();
        world.testkit.chain().set_automine(false);
        let mut hashes = Vec::new();
        for request in requests {
            let sent = provider
                .send_transaction(request.gas_limit(5_000_000))
                .await
                .unwrap();
            hashes.push(*sent.tx_hash());
        }
        world.testkit.chain().mine_at(START + 10).unwrap();
        world.testkit.chain().set_automine(true);
        hashes
    };
    let bundle = |world: &World, signed: &SignedOperation| {
        let entry_point = world.account.deployment().entry_point;
        let bundle = calldata::handle_op(signed.operation.clone(), world.owner);
        transaction(world.owner, entry_point, bundle)
    };
    let at = |world: &World, calls: &[Call], sequence: u64| {
        let mut operation = world.operation(calls);
        operation.nonce = nonce(session_key_nonce_key(world.key.address()), sequence);
        world.sign_as_is(operation, &world.key)
    };
    let owners = |world: &World, data: Bytes| transaction(world.owner, world.account.address(), data);
    let update = |world: &World, to: u64| {
        let updates = limit(to).encode().unwrap();
        owners(
            world,
            calldata::update_key_permissions(world.key.address(), updates),
        )
    };
    // The key's other transaction has spent of it.
    let world = new_world();
    let (first, second) = (
        at(&world, &[transfer(n(60))], 0),
        at(&world, &[transfer(n(50))], 1),
    );
    let hashes = block(&world, vec![bundle(&world, &first), bundle(&world, &second)]).await;
    let failure = explain_failure(&world.account, &second, hashes[1])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        failure.to_string(),
        format!("call 0 would spend 50 of token {TOKEN}, but 40 are left of 100 until 2027-01-16T08:00:00Z")
    );

    // The owner's transaction has lowered the limit before, or lowers it afterwards.
    for (amount, is_before, left) in [
        (11, true, "the limit is 10".to_owned()),
        (101, false, "the limit is 100".to_owned()),
    ] {
        let world = new_world();
        let operation = at(&world, &[transfer(n(amount))], 0);
        let mut requests = vec![bundle(&world, &operation), update(&world, 10)];
        if is_before {
            requests.reverse();
        }
        let hashes = block(&world, requests).await;
        let hash = hashes[usize::from(is_before)];
        let failure = explain_failure(&world.account, &operation, hash)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            failure.to_string(),
            format!("call 0 would spend {amount} of token {TOKEN}, but {left}")
        );
    }

    // The owner's transaction has removed the key: the bundle fails as a whole.
    let world = new_world();
    let operation = at(&world, &[transfer(n(1))], 0);
    let remove = owners(
        &world,
        calldata::remove_session_key(world.key.address(), B256::ZERO),
    );
    let hashes = block(&world, vec![remove, bundle(&world, &operation)]).await;
    let failure = explain_failure(&world.account, &operation, hashes[1])
        .await
        .unwrap()
        .unwrap();
    let Failure::Rules(violations) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(violations[0].code(), "key_not_registered");

    // A contract has sent the first bundle. Where the node makes no traces, it cannot be seen what it was.
    let world = new_world();
    let entry_point = world.account.deployment().entry_point;
    let forwarder = Address::repeat_byte(0xf0);
    let code = [
        &hex!("365f5f375f5f365f5f73")[..],
        entry_point.as_slice(),
        &hex!("5af100"),
    ]
    .concat();
    world.testkit.chain().set_code(forwarder, code).unwrap();
    let (first, second) = (
        at(&world, &[transfer(n(60))], 0),
        at(&world, &[transfer(n(50))], 1),
    );
    let hidden = bundle(&world, &first).to(forwarder);
    let hashes = block(&world, vec![hidden, bundle(&world, &second)]).await;
    let failure = explain_failure(&world.account, &second, hashes[1])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(failure.code(), "rules");
    let no_traces = NodeOptions {
        missing_methods: ["debug_traceTransaction".to_owned()].into(),
        ..NodeOptions::default()
    };
    let blind = SmartAccount::new(
        world.testkit.node(no_traces).provider(),
        31_337,
        world.account.address(),
        *world.account.deployment(),
    );
    let failure = explain_failure(&blind, &second, hashes[1])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(failure.code(), "changed_in_block");
    assert!(
        failure
            .to_string()
            .ends_with("the key's state changed within the block, so the rule cannot be determined"),
        "{failure}"
    );
}

/// Code that makes these calls, one after the other.
fn relay_code(calls: &[(Address, Bytes)]) -> Vec<u8> {
    let u32_bytes = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    // What follows takes 45 bytes a call.
    let mut data_at = calls.len() * 45 + 1;
    let mut code = Vec::new();
    for (to, data) in calls {
        let length = u32_bytes(data.len());
        // PUSH4 length, PUSH4 data_at, PUSH0, CODECOPY
        code.extend([&[0x63][..], &length, &[0x63], &u32_bytes(data_at), &[0x5f, 0x39]].concat());
        // PUSH0, PUSH0, PUSH4 length, PUSH0, PUSH0, PUSH20 to, GAS, CALL, POP
        code.extend([&[0x5f, 0x5f, 0x63][..], &length, &[0x5f, 0x5f, 0x73]].concat());
        code.extend([to.as_slice(), &[0x5a, 0xf1, 0x50]].concat());
        data_at += data.len();
    }
    code.push(0x00);
    calls.iter().for_each(|(_, data)| code.extend_from_slice(data));
    code
}

/// A plugin of the same ABI, by the version that it names.
#[tokio::test]
async fn other_plugins_may_be_more_generous() {
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), MAX_SECONDS), LimitChange::Raw);
    let world = World::new(&updates);
    let plugin = world.account.deployment().session_key_plugin;
    let load = || load_for_calls(&world.account, world.key.address(), &[]);
    assert_eq!(load().await.unwrap().rule_set, RuleSet::Strict);
    {
        let mut chain = world.testkit.chain();
        let mut code = chain.code(plugin).to_vec();
        let version = code.windows(5).position(|bytes| bytes == b"1.1.0").unwrap();
        code[version..version + 5].copy_from_slice(b"1.0.1");
        chain.set_code(plugin, code).unwrap();
    }
    let mut state = load().await.unwrap();
    assert_eq!(state.rule_set, RuleSet::Compatible);

    let target = world.account.address();
    state.contracts = world.state.contracts.clone();
    state.complete = true;
    for (calls, code, may_pass) in [
        (vec![call(target, BUY)], "target_is_account", true),
        (vec![token_call(BUY, n(1))], "token_function_not_allowed", true),
        // Of which it is not known whether that plugin can reckon with it.
        (vec![transfer(n(1))], "interval_end_overflow", true),
        (vec![wei(11)], "native_limit_exceeded", false),
        (vec![call(target, BUY), wei(11)], "target_is_account", false),
    ] {
        let verdict = state.check_calls(&calls, START + 1);
        assert_eq!(codes(&verdict)[0], code);
        assert_eq!(matches!(verdict, Verdict::MayPass { .. }), may_pass, "{verdict}");
        assert!(!verdict.is_accepted());
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["verdict"], if may_pass { "mayPass" } else { "refused" });
    }
    assert!(state.check_calls(&[wei(10)], START + 1).is_accepted());
}

/// What was not read is not taken for permitted, whatever the list.
#[tokio::test]
async fn unknown_contracts_are_not_waved_through() {
    for kind in [
        AccessControlType::Allowlist,
        AccessControlType::Denylist,
        AccessControlType::AllowAllAccess,
    ] {
        let world = World::new(&list(kind).contract_functions(SHOP, [BUY]));
        let state = load(&world.account, world.key.address(), [(SHOP, BUY)])
            .await
            .unwrap();
        let verdict = state.check_calls(&[call(OTHER, BUY)], START);
        assert_eq!(codes(&verdict), ["state_not_loaded"]);
        let verdict = state.check_calls(&[call(SHOP, SELL)], START);
        match kind {
            AccessControlType::AllowAllAccess => assert!(verdict.is_accepted()),
            _ => assert_eq!(codes(&verdict), ["state_not_loaded"]),
        }
    }
}

#[test]
fn states_and_verdicts_have_a_json_form() {
    let mut state = KeyState::fresh(Address::ZERO, OTHER);
    let updates = list(AccessControlType::Denylist)
        .contract_functions(SHOP, [BUY])
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY), LimitChange::Raw);
    state.apply(&updates, START).unwrap();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<KeyState>(&json).unwrap(), state);

    let verdict = state.check_calls(&[transfer(n(101)), wei(1)], START);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["verdict"], "refused");
    assert_eq!(json["violations"][0]["code"], "native_limit_exceeded");
    let token = &json["violations"][1];
    assert_eq!(token["code"], "erc20_limit_exceeded");
    assert_eq!(
        (&token["phase"], &token["call"]),
        (&"execution".into(), &0.into())
    );
    assert_eq!(
        (&token["limitBaseUnits"], &token["askedBaseUnits"]),
        (&"100".into(), &"101".into())
    );
    assert!(
        token["message"]
            .as_str()
            .unwrap()
            .starts_with("call 0 would spend 101")
    );
    assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
}

/// By hash alone: of the operation, of the transaction, of an owner's operation, and of one that
/// a contract has sent.
#[tokio::test]
async fn a_hash_is_enough_to_explain_an_operation() {
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY), LimitChange::Raw);
    let mut world = World::new(&updates);
    let key = world.key.clone();
    let options = ExplainOptions::new();
    let explained = async |world: &World, hash, options: &ExplainOptions| {
        let mut found = explain_hash(&world.account, hash, options)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let good = world.sign(world.operation(&[transfer(n(60))]), &key);
    let done = world
        .send(std::slice::from_ref(&good), START + 1)
        .transaction_hash;
    let bad = world.sign(world.operation(&[transfer(n(50)), wei(1)]), &key);
    let failed = world.send(std::slice::from_ref(&bad), START + 2).transaction_hash;
    // Blocks upon it, so that it is not in the first page of a node that answers ten.
    (0..40).for_each(|_| world.testkit.chain().mine());

    for hash in [good.hash, done] {
        let found = explained(&world, hash, &options).await;
        assert_eq!(found.outcome, Became::Succeeded);
        assert_eq!(
            (found.user_op_hash, found.transaction_hash),
            (good.hash, Some(done))
        );
        assert_eq!(found.session_key, Some(key.address()));
        assert_eq!(found.calls, [transfer(n(60))]);
    }
    let few = NodeOptions {
        logs: LogLimits {
            blocks: Some(10),
            ..LogLimits::default()
        },
        ..NodeOptions::default()
    };
    let limited = World {
        account: SmartAccount::new(
            world.testkit.node(few).provider(),
            31_337,
            world.account.address(),
            *world.account.deployment(),
        ),
        ..world.clone()
    };
    for (world, hash) in [(&world, bad.hash), (&world, failed), (&limited, bad.hash)] {
        let found = explained(world, hash, &options).await;
        let Became::Failed(Failure::Rules(violations)) = &found.outcome else {
            panic!("{found:?}");
        };
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].code(), "erc20_limit_exceeded");
        assert_eq!(found.operation.as_ref(), Some(&bad.operation));
    }
    // An owner's.
    let mut owners = world.operation(&[]);
    owners.call_data = calldata::remove_session_key(OTHER, B256::ZERO);
    owners.nonce = U256::ZERO;
    let owners = world.sign(owners, &dev_accounts()[0].signer());
    let _ = world.send(std::slice::from_ref(&owners), START + 500);
    let found = explained(&world, owners.hash, &options).await;
    assert_eq!(found.session_key, None);
    assert!(
        matches!(found.outcome, Became::Failed(Failure::Call(Revert::Plugin(_)))),
        "{found:?}"
    );

    // The bundle comes from a contract, which forwards what it is called with.
    let entry_point = world.account.deployment().entry_point;
    let forwarder = Address::repeat_byte(0xf0);
    let code = [
        &hex!("365f5f375f5f365f5f73")[..],
        entry_point.as_slice(),
        &hex!("5af100"),
    ]
    .concat();
    world.testkit.chain().set_code(forwarder, code).unwrap();
    let hidden = world.sign(world.operation(&[transfer(n(70))]), &key);
    let bundle = calldata::handle_op(hidden.operation.clone(), world.owner);
    let request = transaction(world.owner, forwarder, bundle);
    assert!(world.testkit.chain().send(request).unwrap().is_success());
    let found = explained(&world, hidden.hash, &options).await;
    assert_eq!(found.operation.as_ref(), Some(&hidden.operation));
    assert!(
        matches!(found.outcome, Became::Failed(Failure::Rules(_))),
        "{found:?}"
    );
    // Without traces and without a bundler, its contents stay unknown.
    let no_traces = NodeOptions {
        missing_methods: ["debug_traceTransaction".to_owned()].into(),
        ..NodeOptions::default()
    };
    let blind = World {
        account: SmartAccount::new(
            world.testkit.node(no_traces).provider(),
            31_337,
            world.account.address(),
            *world.account.deployment(),
        ),
        ..world.clone()
    };
    let found = explained(&blind, hidden.hash, &options).await;
    assert_eq!(found.operation, None);
    assert!(matches!(found.outcome, Became::FailedUnexplained(_)), "{found:?}");

    // Nothing has this hash.
    let head = world.testkit.chain().block_number();
    let missing = explain_hash(&world.account, B256::repeat_byte(9), &options)
        .await
        .unwrap();
    let missing = missing.unwrap_err();
    assert_eq!((missing.from, missing.to, missing.reason), (0, head, None));
    let nothing = options.most_log_requests(0);
    let missing = explain_hash(&world.account, good.hash, &nothing).await.unwrap();
    assert!(missing.unwrap_err().reason.is_some());
}

/// A bundler knows what waits, and is not believed what it makes up.
#[tokio::test]
async fn an_operation_that_waits_is_judged_as_things_are() {
    let updates = list(AccessControlType::AllowAllAccess).erc20_spend_limit(
        TOKEN,
        SpendLimit::per(n(100), DAY),
        LimitChange::Raw,
    );
    let world = World::new(&updates);
    let key = world.key.clone();
    let waiting = world.sign(world.operation(&[transfer(n(101))]), &key);
    let other = world.sign(world.operation(&[transfer(n(1))]), &key);
    let answer = serde_json::json!({
        "userOperation": waiting.operation,
        "entryPoint": world.account.deployment().entry_point,
        "transactionHash": null,
        "blockNumber": null,
    });
    let bundler = world
        .testkit
        .transport()
        .intercept(move |method, _| (method == "eth_getUserOperationByHash").then(|| Ok(answer.clone())));
    let options = ExplainOptions::new().bundler(bundler.provider());
    let found = explain_hash(&world.account, waiting.hash, &options)
        .await
        .unwrap()
        .unwrap();
    let Became::Waiting(Some(verdict)) = &found[0].outcome else {
        panic!("{found:?}");
    };
    assert_eq!(codes(verdict), ["erc20_limit_exceeded"]);
    assert!(
        explain_hash(&world.account, other.hash, &options)
            .await
            .unwrap()
            .is_err()
    );
}
