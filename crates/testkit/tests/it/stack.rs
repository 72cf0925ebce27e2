//! The contracts on the chain.

use alloy::primitives::{Address, FixedBytes, U256, address};
use session_key_bindings::{ENTRY_POINT, IERC165, interface_id};
use session_key_testkit::{Chain, Stack, TestToken};

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
    let (planned, deployments) = Stack::plan(session_key_testkit::dev_accounts()[0].address);
    assert_eq!(planned, stack);
    for deployment in deployments {
        assert!(
            !chain.code(deployment.address).is_empty(),
            "{} has no code",
            deployment.name
        );
    }
}

#[test]
fn plugins_say_what_they_are() {
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
        <TestToken::ERC20InsufficientBalance as alloy::sol_types::SolError>::abi_decode(data),
        Ok(expected)
    );
}
