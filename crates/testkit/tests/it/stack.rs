//! The contracts of ERC-6900 v0.7 on the chain.

use crate::session::Session;
use alloy::{
    primitives::{Address, FixedBytes, U256, address},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError, SolEvent},
};
use session_key_bindings::{
    ENTRY_POINT, IERC165,
    IEntryPoint::{self, UserOperationEvent, UserOperationRevertReason},
    interface_id,
};
use session_key_testkit::{CallKind, CallOptions, Chain, Stack, TestToken, dev_accounts};

fn supports(chain: &Chain, contract: Address, interface_id: FixedBytes<4>) -> bool {
    let call = IERC165::supportsInterfaceCall {
        interfaceId: interface_id,
    };
    chain.read(Address::ZERO, contract, &call).unwrap()
}

#[test]
fn every_contract_is_where_the_plan_says() {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).unwrap();
    assert_eq!(stack.entry_point, ENTRY_POINT);
    let (addresses, plan) = Stack::plan(dev_accounts()[0].address);
    assert_eq!(addresses, stack);
    for planned in plan {
        assert!(
            !chain.code(planned.address).is_empty(),
            "{} has no code",
            planned.name
        );
    }
}

#[test]
fn plugins_report_their_interfaces() {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).unwrap();
    let plugins = [
        (stack.session_key_plugin, interface_id::ISESSION_KEY_PLUGIN),
        (stack.multi_owner_plugin, interface_id::IMULTI_OWNER_PLUGIN),
    ];
    for (plugin, own_interface) in plugins {
        for id in [interface_id::IERC165, interface_id::IPLUGIN, own_interface] {
            assert!(supports(&chain, plugin, id), "{plugin} lacks {id}");
        }
        assert!(
            !supports(&chain, plugin, FixedBytes([0xff; 4])),
            "{plugin} claims 0xffffffff"
        );
    }
}

#[test]
fn anyone_may_mint_test_tokens() {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).unwrap();
    let holder = address!("0x0000000000000000000000000000000000000a11");
    stack.mint(&mut chain, holder, U256::from(7)).unwrap();
    let balance = chain.read(
        Address::ZERO,
        stack.token,
        &TestToken::balanceOfCall { account: holder },
    );
    assert_eq!(balance.unwrap(), 7);
    let transfer = TestToken::transferCall {
        to: Address::ZERO,
        amount: U256::from(8),
    };
    let error = chain.transact(holder, stack.token, &transfer).unwrap_err();
    let expected = TestToken::ERC20InsufficientBalance {
        sender: holder,
        balance: U256::from(7),
        needed: U256::from(8),
    };
    let data = error.revert_data().expect("a revert");
    assert_eq!(
        TestToken::ERC20InsufficientBalance::abi_decode(data),
        Ok(expected)
    );
}

/// The whole flow: the factory creates an account, its owner installs the plugin with a key, and the key
/// transfers through the EntryPoint.
#[test]
fn a_session_key_spends_within_its_limit_and_not_beyond() {
    let mut session = Session::new();
    let recipient = address!("0x0000000000000000000000000000000000000b0b");
    let exceeded = session.limit_exceeded();
    let mut transfer = |amount| {
        let execution = session
            .chain
            .send(session.transfer(recipient, amount))
            .unwrap()
            .ok()
            .unwrap();
        let event = execution
            .logs
            .iter()
            .find_map(|log| UserOperationEvent::decode_log(log).ok());
        let reason = execution
            .logs
            .iter()
            .find_map(|log| UserOperationRevertReason::decode_log(log).ok());
        (
            event.unwrap().success,
            reason.map(|reason| reason.data.revertReason),
        )
    };
    assert_eq!(transfer(60), (true, None));
    assert_eq!(transfer(41), (false, Some(exceeded)));
    assert_eq!(transfer(40), (true, None));
    let balance = TestToken::balanceOfCall { account: recipient };
    assert_eq!(
        session
            .chain
            .read(Address::ZERO, session.stack.token, &balance)
            .unwrap(),
        100
    );
}

#[test]
fn the_paymaster_pays_from_its_deposit() {
    let mut session = Session::new();
    let paymaster = session.stack.paymaster;
    let funder = dev_accounts()[3].address;
    let deposit = IEntryPoint::depositToCall { account: paymaster };
    let request = TransactionRequest::default()
        .from(funder)
        .to(ENTRY_POINT)
        .value(U256::from(10u64.pow(18)))
        .input(deposit.abi_encode().into());
    session.chain.send(request).unwrap().ok().unwrap();
    let deposit_of = |session: &Session, account| {
        let call = IEntryPoint::balanceOfCall { account };
        session.chain.read(Address::ZERO, ENTRY_POINT, &call).unwrap()
    };
    let before = (
        deposit_of(&session, paymaster),
        session.chain.balance(session.account),
    );

    let bundle = session.sponsored_transfer(funder, 1, paymaster.into_array().into());
    let execution = session.chain.send(bundle).unwrap().ok().unwrap();
    let event = execution
        .logs
        .iter()
        .find_map(|log| UserOperationEvent::decode_log(log).ok())
        .unwrap();
    assert!(event.success);
    assert_eq!(event.paymaster, paymaster);
    assert_eq!(deposit_of(&session, paymaster), before.0 - event.actualGasCost);
    assert_eq!(session.chain.balance(session.account), before.1);
}

#[test]
fn creating_an_account_twice_returns_the_same_account() {
    let Session {
        mut chain,
        stack,
        account,
        ..
    } = Session::new();
    let owners = [dev_accounts()[0].address];
    assert_eq!(stack.create_account(&mut chain, U256::ZERO, &owners), Ok(account));
    assert_ne!(
        stack.create_account(&mut chain, U256::from(1), &owners),
        Ok(account)
    );
}

/// The EntryPoint flattens validation errors; the trace does not.
#[test]
fn a_trace_shows_where_a_bundle_reverted() {
    let mut session = Session::new();
    let recipient = address!("0x0000000000000000000000000000000000000b0b");
    let bundle = session.transfer(recipient, 41);
    session
        .chain
        .send(session.transfer(recipient, 60))
        .unwrap()
        .ok()
        .unwrap();
    // The nonce is used.
    let trace = session.chain.trace(&bundle, &CallOptions::pending()).unwrap();
    assert!(trace.failed());
    assert_eq!(trace.error.as_deref(), Some("execution reverted"));

    let execution = session
        .chain
        .send(session.transfer(recipient, 41))
        .unwrap()
        .ok()
        .unwrap();
    let trace = session
        .chain
        .trace_transaction(execution.transaction_hash)
        .unwrap();
    assert!(!trace.failed(), "a reverted operation does not revert its bundle");
    assert_eq!(trace.gas_used, execution.gas_used);
    let innermost = trace.iter().filter(|call| call.failed()).last().unwrap();
    // The account calls the plugin with CALL.
    assert_eq!(innermost.to, Some(session.stack.session_key_plugin));
    assert_eq!(innermost.kind, CallKind::Call);
    assert_eq!(innermost.output, session.limit_exceeded());
    // The same transaction again: tracing changes nothing.
    assert_eq!(
        session
            .chain
            .trace_transaction(execution.transaction_hash)
            .unwrap(),
        trace
    );
}
