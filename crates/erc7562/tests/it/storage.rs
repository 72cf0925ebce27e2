//! STO: storage, permanent and transient.

use crate::{
    assembler::Code,
    world::{Case, FACTORY, OTHER, PAYMASTER, Version, account, factory, paymaster},
};
use alloy_primitives::{Address, U256};
use erc7562::{Role, Rule};
use revm::bytecode::opcode::*;

const READS: [u8; 2] = [SLOAD, TLOAD];
const WRITES: [u8; 2] = [SSTORE, TSTORE];

/// Reads or writes the word on top of the stack.
fn uses(opcode: u8) -> Code {
    if WRITES.contains(&opcode) {
        Code::new().op(PUSH1).op(1).op(SWAP1).op(opcode)
    } else {
        Code::new().op(opcode).op(POP)
    }
}

/// A word that is associated with nobody.
fn anybodys(opcode: u8) -> Code {
    Code::new().push(U256::from(5)).then(uses(opcode))
}

fn associated(opcode: u8, with: Address, offset: u64) -> Code {
    Code::new().mapped(with, 3, offset).then(uses(opcode))
}

/// Has [`OTHER`] do this.
fn elsewhere(case: Case, code: Code) -> Case {
    case.other(code.op(STOP))
}

fn calls_other() -> Code {
    Code::new().call(CALL, OTHER, 0, 0)
}

fn all() -> impl Iterator<Item = u8> {
    READS.into_iter().chain(WRITES)
}

#[test]
fn sto_010_an_accounts_own_storage() {
    for opcode in all() {
        account(anybodys(opcode)).is_clean();
        let case = Case {
            account: anybodys(opcode),
            constructor: anybodys(opcode),
            ..factory(Code::new())
        };
        case.is_clean();
    }
}

#[test]
fn sto_021_storage_that_is_associated_with_an_account_that_is_there() {
    let sender = account(Code::new()).sender();
    for opcode in all() {
        for offset in [0, 1, 128] {
            elsewhere(account(calls_other()), associated(opcode, sender, offset)).is_clean();
            elsewhere(paymaster(calls_other()), associated(opcode, sender, offset)).is_clean();
        }
        let own_address = Code::new().push_address(sender).then(uses(opcode));
        elsewhere(account(calls_other()), own_address).is_clean();
    }
    elsewhere(account(calls_other()), associated(SLOAD, sender, 129)).breaks(&[Rule::Sto033]);
    elsewhere(account(calls_other()), associated(SLOAD, FACTORY, 0)).breaks(&[Rule::Sto033]);
}

#[test]
fn sto_022_a_created_account_needs_a_staked_factory_for_it() {
    for opcode in all() {
        let case = Case {
            account: calls_other(),
            ..factory(Code::new())
        };
        let case = elsewhere(case.clone(), associated(opcode, case.sender(), 0));
        case.breaks(&[Rule::Sto022]);
        case.staked(FACTORY).is_clean();
    }
}

#[test]
fn sto_022_a_staked_factory_does_not_help_the_paymaster() {
    for opcode in all() {
        let case = Case {
            paymaster: Some(calls_other()),
            ..factory(Code::new())
        };
        let case = elsewhere(case.clone(), associated(opcode, case.sender(), 0));
        case.clone().breaks(&[Rule::Sto022]);
        case.clone().staked(FACTORY).breaks(&[Rule::Sto022]);
        case.staked(PAYMASTER).is_clean();
    }
}

#[test]
fn sto_031_an_entitys_own_storage_needs_its_stake() {
    for opcode in all() {
        paymaster(anybodys(opcode)).breaks(&[Rule::Sto031]);
        paymaster(anybodys(opcode)).staked(PAYMASTER).is_clean();
        factory(anybodys(opcode)).breaks(&[Rule::Sto031]);
        factory(anybodys(opcode)).staked(FACTORY).is_clean();
        // Another entity's stake does not count.
        paymaster(anybodys(opcode))
            .staked(FACTORY)
            .breaks(&[Rule::Sto031]);
    }
}

#[test]
fn sto_032_storage_that_is_associated_with_an_entity_needs_its_stake() {
    for opcode in all() {
        let of_paymaster = elsewhere(paymaster(calls_other()), associated(opcode, PAYMASTER, 7));
        of_paymaster.breaks(&[Rule::Sto032]);
        of_paymaster.staked(PAYMASTER).is_clean();
        let of_factory = elsewhere(factory(calls_other()), associated(opcode, FACTORY, 7));
        of_factory.breaks(&[Rule::Sto032]);
        of_factory.staked(FACTORY).is_clean();
    }
}

#[test]
fn sto_032_nobody_writes_storage_that_is_associated_with_nobody() {
    for opcode in WRITES {
        let case = elsewhere(account(calls_other()), anybodys(opcode));
        case.breaks(&[Rule::Sto032]);
        let staked = Case {
            account_is_staked: true,
            ..case
        };
        staked.breaks(&[Rule::Sto032]);
        let case = elsewhere(paymaster(calls_other()), anybodys(opcode));
        case.staked(PAYMASTER).breaks(&[Rule::Sto032]);
    }
}

#[test]
fn sto_033_reading_anything_needs_stake() {
    for opcode in READS {
        let case = elsewhere(account(calls_other()), anybodys(opcode));
        case.breaks(&[Rule::Sto033]);
        let staked = Case {
            account_is_staked: true,
            ..case
        };
        staked.is_clean();
        let case = elsewhere(paymaster(calls_other()), anybodys(opcode));
        case.breaks(&[Rule::Sto033]);
        case.staked(PAYMASTER).is_clean();
    }
}

#[test]
fn every_word_is_reported_with_its_contract_and_whom_it_is_associated_with() {
    let sender = account(Code::new()).sender();
    let code = associated(SSTORE, sender, 2).then(anybodys(SLOAD));
    let report = elsewhere(account(calls_other()), code).report(Version::V07);
    let [(first, first_use, of_nobody), (second, second_use, of_account)] = &report.storage[..] else {
        panic!("{:?}", report.storage)
    };
    assert_eq!(
        (first.contract, first.slot, *of_nobody),
        (OTHER, U256::from(5), None)
    );
    assert!(first_use.read.is_some() && first_use.written.is_none());
    assert_eq!((second.contract, *of_account), (OTHER, Some(Role::Account)));
    assert!(second_use.written.is_some() && second_use.read.is_none());
}
