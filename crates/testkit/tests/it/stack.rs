//! The contracts on the chain.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256, address},
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::{SolCall, SolError, SolEvent, SolValue},
};
use session_key_bindings::{
    ENTRY_POINT, IERC165,
    IEntryPoint::{self, UserOperationEvent, UserOperationRevertReason},
    IModularAccount,
    ISessionKeyPermissionsUpdates::{setERC20SpendLimitCall, updateAccessListAddressEntryCall},
    ISessionKeyPlugin, UserOperation,
    function_id::{RUNTIME_VALIDATION_OWNER_OR_SELF, USER_OP_VALIDATION_OWNER, function_reference},
    interface_id, manifest_hash,
};
use session_key_testkit::{Chain, Stack, TestToken, dev_accounts};

/// In wei.
const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

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
    let (planned, deployments) = Stack::plan(dev_accounts()[0].address);
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
        TestToken::ERC20InsufficientBalance::abi_decode(data),
        Ok(expected)
    );
}

/// The whole way: an account made by the factory, the plugin installed with a key by its owner, a transfer by the key
/// through the EntryPoint, and one over the limit.
#[test]
fn a_session_key_spends_within_its_limit_and_not_beyond() {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).unwrap();
    let [owner, key, bundler] = [0, 1, 2].map(|index| dev_accounts()[index]);
    let account = stack
        .create_account(&mut chain, U256::ZERO, &[owner.address])
        .unwrap();
    assert_eq!(
        stack.create_account(&mut chain, U256::ZERO, &[owner.address]),
        Ok(account)
    );
    chain.set_balance(account, ETHER);
    stack.mint(&mut chain, account, U256::from(1_000)).unwrap();

    let updates = vec![
        updateAccessListAddressEntryCall {
            contractAddress: stack.token,
            isOnList: true,
            checkSelectors: false,
        }
        .abi_encode()
        .into(),
        setERC20SpendLimitCall {
            token: stack.token,
            spendLimit: U256::from(100),
            refreshInterval: Default::default(),
        }
        .abi_encode()
        .into(),
    ];
    let install = IModularAccount::installPluginCall {
        plugin: stack.session_key_plugin,
        manifestHash: manifest_hash::SESSION_KEY_PLUGIN,
        pluginInstallData: (
            vec![key.address],
            vec![B256::ZERO],
            vec![updates] as Vec<Vec<Bytes>>,
        )
            .abi_encode_params()
            .into(),
        dependencies: vec![
            function_reference(stack.multi_owner_plugin, RUNTIME_VALIDATION_OWNER_OR_SELF),
            function_reference(stack.multi_owner_plugin, USER_OP_VALIDATION_OWNER),
        ],
    };
    chain.transact(owner.address, account, &install).unwrap();

    let recipient = address!("0x0000000000000000000000000000000000000b0b");
    let mut transfer = |amount: u64| {
        let call = ISessionKeyPlugin::executeWithSessionKeyCall {
            calls: vec![ISessionKeyPlugin::Call {
                target: stack.token,
                value: U256::ZERO,
                data: TestToken::transferCall {
                    to: recipient,
                    amount: U256::from(amount),
                }
                .abi_encode()
                .into(),
            }],
            sessionKey: key.address,
        };
        let nonce_key = U256::from_be_bytes(key.address.into_word().0).to();
        let nonce = IEntryPoint::getNonceCall {
            sender: account,
            key: nonce_key,
        };
        let mut operation = UserOperation {
            sender: account,
            nonce: chain.read(Address::ZERO, ENTRY_POINT, &nonce).unwrap(),
            initCode: Bytes::new(),
            callData: call.abi_encode().into(),
            callGasLimit: U256::from(500_000),
            verificationGasLimit: U256::from(500_000),
            preVerificationGas: U256::from(50_000),
            maxFeePerGas: U256::from(2_000_000_000u64),
            maxPriorityFeePerGas: U256::from(1_000_000_000),
            paymasterAndData: Bytes::new(),
            signature: Bytes::new(),
        };
        let hash = IEntryPoint::getUserOpHashCall {
            userOp: operation.clone(),
        };
        let hash = chain.read(Address::ZERO, ENTRY_POINT, &hash).unwrap();
        let signature = key.signer().sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = signature.as_bytes().into();
        let bundle = IEntryPoint::handleOpsCall {
            ops: vec![operation],
            beneficiary: bundler.address,
        };
        let request = TransactionRequest::default()
            .from(bundler.address)
            .to(ENTRY_POINT)
            .input(Bytes::from(bundle.abi_encode()).into());
        let execution = chain.send(request).unwrap().ok().unwrap();
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
    let exceeded = ISessionKeyPlugin::ERC20SpendLimitExceeded {
        account,
        sessionKey: key.address,
        token: stack.token,
    };
    assert_eq!(transfer(41), (false, Some(exceeded.abi_encode().into())));
    assert_eq!(transfer(40), (true, None));
    let balance = TestToken::balanceOfCall { account: recipient };
    assert_eq!(chain.read(Address::ZERO, stack.token, &balance).unwrap(), 100);
}
