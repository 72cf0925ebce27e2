//! The contracts of ERC-6900 v0.8 on the chain.

use crate::session_v08::{ENTITY, Kind, SessionV08};
use alloy::{
    primitives::{Address, B256, FixedBytes, U256, address},
    signers::SignerSync,
    sol_types::{SolCall, SolEvent},
};
use session_key_bindings::{
    ENTRY_POINT_V07, IAccountFactoryV08, IAccountV08, IERC165, IEntryPointV07,
    IEntryPointV07::{UserOperationEvent, UserOperationRevertReason},
    ISemiModularAccount,
    deployment::{Contract, DeploymentParameters, plan},
    interface_id,
};
use session_key_testkit::{
    Chain, ChainError, DevAccount, Stack, StackV08, TestToken, dev_accounts, entry_point_codes,
};

const RECIPIENT: Address = address!("0x0000000000000000000000000000000000000b0b");

#[test]
fn every_contract_is_where_the_plan_says() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let (addresses, planned) = StackV08::plan();
    assert_eq!(addresses, stack);
    for contract in planned {
        assert!(
            !chain.code(contract.address).is_empty(),
            "{} has no code",
            contract.name
        );
    }
    assert_eq!(stack.entry_point, ENTRY_POINT_V07);
    let recorded = plan(&DeploymentParameters::default(), entry_point_codes());
    let (_, module) = recorded
        .into_iter()
        .find(|(contract, _)| *contract == Contract::SessionKeyModule)
        .unwrap();
    assert_eq!(stack.session_key_module, module.address());
    for id in [interface_id::IMODULE, interface_id::ISESSION_KEY_PLUGIN] {
        let supports = IERC165::supportsInterfaceCall { interfaceId: id };
        assert_eq!(
            chain.read(Address::ZERO, stack.session_key_module, &supports),
            Ok(true)
        );
    }
}

#[test]
fn both_stacks_are_on_one_chain() {
    let mut chain = Chain::default();
    let first = Stack::deploy(&mut chain).unwrap();
    let second = StackV08::deploy(&mut chain).unwrap();
    assert_eq!(first.token, second.token);
    let [owner, holder] = [dev_accounts()[0].address, dev_accounts()[1].address];
    let old = first.create_account(&mut chain, U256::ZERO, &[owner]).unwrap();
    let new = second.create_account(&mut chain, owner, U256::ZERO, 0).unwrap();
    assert_ne!(old, new);
    second.mint(&mut chain, holder, U256::from(7)).unwrap();
    let balance = TestToken::balanceOfCall { account: holder };
    assert_eq!(chain.read(holder, first.token, &balance).unwrap(), 7);
    // A second deployment changes nothing.
    let block = chain.block_number();
    assert_eq!(StackV08::deploy(&mut chain), Ok(second));
    assert_eq!(chain.block_number(), block);
}

#[test]
fn the_factory_is_staked_for_a_day() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let info = IEntryPointV07::getDepositInfoCall {
        account: stack.account_factory,
    };
    let info = chain.read(Address::ZERO, stack.entry_point, &info).unwrap();
    assert!(info.staked);
    assert_eq!(info.unstakeDelaySec, 86_400);
    assert_eq!(info.stake.to::<u64>(), 10u64.pow(18));
}

#[test]
fn accounts_are_at_the_predicted_addresses() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let owner = dev_accounts()[0].address;
    let salt = U256::from(9);
    let call = IAccountFactoryV08::getAddressCall {
        owner,
        salt,
        entityId: ENTITY,
    };
    let modular = chain.read(owner, stack.account_factory, &call).unwrap();
    let call = IAccountFactoryV08::getAddressSemiModularCall { owner, salt };
    let semi_modular = chain.read(owner, stack.account_factory, &call).unwrap();
    for _ in 0..2 {
        assert_eq!(stack.create_account(&mut chain, owner, salt, ENTITY), Ok(modular));
        assert_eq!(
            stack.create_semi_modular_account(&mut chain, owner, salt),
            Ok(semi_modular)
        );
    }
    for other in [
        stack.create_account(&mut chain, owner, salt, ENTITY + 1).unwrap(),
        stack.create_account(&mut chain, RECIPIENT, salt, ENTITY).unwrap(),
        stack
            .create_semi_modular_account(&mut chain, owner, U256::ZERO)
            .unwrap(),
    ] {
        assert!(![modular, semi_modular].contains(&other));
    }
    // An owner by module: global, for operations and signatures.
    let of_owner: FixedBytes<24> = [stack.single_signer_module.as_slice(), &ENTITY.to_be_bytes()]
        .concat()
        .as_slice()
        .try_into()
        .unwrap();
    let data = IAccountV08::getValidationDataCall {
        validationFunction: of_owner,
    };
    assert_eq!(chain.read(owner, modular, &data).unwrap().flags, 7);
    let fallback = ISemiModularAccount::getFallbackSignerDataCall {};
    let fallback = chain.read(owner, semi_modular, &fallback).unwrap();
    assert_eq!((fallback.fallbackSigner, fallback.isDisabled), (owner, false));
}

#[test]
fn a_delegated_account_is_owned_by_its_key() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let [account, other] = [dev_accounts()[3], dev_accounts()[4]];
    stack.delegate_account(&mut chain, &account).unwrap();
    assert_eq!(chain.nonce(account.address), 1);
    let fallback = ISemiModularAccount::getFallbackSignerDataCall {};
    let fallback = chain.read(Address::ZERO, account.address, &fallback).unwrap();
    assert_eq!(fallback.fallbackSigner, account.address);
    // Version 1.1 accepts the key's plain signature of a hash.
    let hash = B256::repeat_byte(7);
    let answer = |signer: DevAccount| {
        let call = IAccountV08::isValidSignatureCall {
            hash,
            signature: signer.signer().sign_hash_sync(&hash).unwrap().as_bytes().into(),
        };
        chain.read(Address::ZERO, account.address, &call).unwrap()
    };
    assert_eq!(
        answer(account),
        FixedBytes(IAccountV08::isValidSignatureCall::SELECTOR)
    );
    assert_eq!(answer(other), FixedBytes([0xff; 4]));
}

#[test]
fn an_invalid_delegation_is_an_error() {
    let mut chain = Chain::default();
    let stack = StackV08::deploy(&mut chain).unwrap();
    let [account, other] = [dev_accounts()[3], dev_accounts()[4]];
    let wrong_key = DevAccount {
        private_key: other.private_key,
        ..account
    };
    assert_eq!(
        stack.delegate_account(&mut chain, &wrong_key),
        Err(ChainError::NoSigner(account.address))
    );
    chain.set_code(account.address, [0u8]).unwrap();
    assert_eq!(
        stack.delegate_account(&mut chain, &account),
        Err(ChainError::DelegationSkipped(account.address))
    );
    assert!(chain.code(other.address).is_empty());
}

/// The whole flow on every kind of account: the owner's operation installs the module with a key, then the
/// key spends through EntryPoint v0.7.
#[test]
fn a_session_key_spends_within_its_limit_and_not_beyond() {
    for kind in Kind::ALL {
        let mut session = SessionV08::new(kind);
        let mut transfer = |amount| {
            let bundle = session.bundle(vec![session.transfer(RECIPIENT, amount)]);
            let execution = session.chain.send(bundle).unwrap().ok().unwrap();
            let event = execution
                .logs
                .iter()
                .find_map(|log| UserOperationEvent::decode_log(log).ok())
                .unwrap();
            let reason = execution
                .logs
                .iter()
                .find_map(|log| UserOperationRevertReason::decode_log(log).ok());
            assert_eq!(event.success, reason.is_none());
            event.success
        };
        assert_eq!([60, 41, 40].map(&mut transfer), [true, false, true], "{kind:?}");
        let balance = TestToken::balanceOfCall { account: RECIPIENT };
        assert_eq!(
            session.chain.read(Address::ZERO, session.stack.token, &balance),
            Ok(U256::from(100))
        );
    }
}

#[test]
fn the_paymaster_pays_from_its_deposit() {
    let mut session = SessionV08::new(Kind::SemiModular);
    let paymaster = session.stack.paymaster;
    session.deposit(paymaster);
    let deposit_of = |session: &SessionV08, account| {
        let call = IEntryPointV07::balanceOfCall { account };
        session.chain.read(Address::ZERO, ENTRY_POINT_V07, &call).unwrap()
    };
    let before = (
        deposit_of(&session, paymaster),
        deposit_of(&session, session.account),
        session.chain.balance(session.account),
    );
    let mut operation = session.unsigned_transfer(RECIPIENT, 1);
    operation.paymasterAndData = SessionV08::paymaster_and_data(paymaster, 100_000, 0);
    let bundle = session.bundle(vec![session.sign(operation)]);
    let execution = session.chain.send(bundle).unwrap().ok().unwrap();
    let event = execution
        .logs
        .iter()
        .find_map(|log| UserOperationEvent::decode_log(log).ok())
        .unwrap();
    assert!(event.success);
    assert_eq!(event.paymaster, paymaster);
    assert_eq!(deposit_of(&session, paymaster), before.0 - event.actualGasCost);
    assert_eq!(deposit_of(&session, session.account), before.1);
    assert_eq!(session.chain.balance(session.account), before.2);
}
