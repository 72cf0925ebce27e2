//! How validations end.

use crate::{
    assembler::Code,
    world::{Case, OTHER, PAYMASTER, Version, World, account, factory, paymaster},
};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall as _;
use erc7562::{Operation, Outcome, Parties, Policy, Rule};
use revm::bytecode::opcode::*;

#[test]
fn what_is_executed_after_the_validation_follows_no_rules() {
    // The account does the same in its execution; it tells them by the length of the call data.
    let only_later = Code::new()
        .ops(&[CALLDATASIZE, PUSH1, 8, GT])
        .ops(&[ISZERO, PUSH1, 9, JUMPI, TIMESTAMP, JUMPDEST]);
    let case = Case {
        call_data: vec![1, 2, 3, 4].into(),
        ..account(only_later)
    };
    case.is_clean();
}

#[test]
fn a_signature_that_fails_is_an_outcome_and_no_violation() {
    let case = Case {
        validation_data: U256::ONE,
        ..account(Code::new())
    };
    for version in Version::ALL {
        let report = case.report(version);
        let Outcome::Failed { reason, .. } = &report.outcome else {
            panic!("{report:?}")
        };
        assert_eq!(reason, "AA24 signature error");
        assert_eq!(report.answers.account, Some(U256::ONE));
        assert_eq!((report.aggregator, report.violations.len()), (None, 0));
    }
}

#[test]
fn refusals_carry_the_entry_points_words_and_what_the_contract_said() {
    let reverts = Code::new().bytes(0, &[0xab; 4]).ops(&[PUSH1, 4, PUSH0, REVERT]);
    for version in Version::ALL {
        let Outcome::Failed { reason, inner } = account(reverts.clone()).report(version).outcome else {
            panic!("it is refused")
        };
        assert!(reason.starts_with("AA23 reverted"), "{reason}");
        let expected: &[u8] = if version == Version::V06 { &[] } else { &[0xab; 4] };
        assert_eq!(inner.as_ref(), expected, "{version:?}");
        let outcome = paymaster(reverts.clone()).report(version).outcome;
        assert!(
            matches!(&outcome, Outcome::Failed { reason, .. } if reason.starts_with("AA33")),
            "{outcome:?}"
        );
        let outcome = factory(reverts.clone()).report(version).outcome;
        assert!(
            matches!(&outcome, Outcome::Failed { reason, .. } if reason.starts_with("AA13")),
            "{outcome:?}"
        );
    }
}

#[test]
fn simulate_validation_of_entry_point_v06_is_understood() {
    let case = account(Code::new().op(TIMESTAMP).op(POP));
    let mut world = World::new(Version::V06, &case);
    let operation = world.operation(&case);
    let call = crate::world::Unpacked::handleOpsCall::abi_decode(&operation.call).unwrap();
    let simulated = Operation {
        call: crate::world::Unpacked::simulateValidationCall {
            op: call.ops[0].clone(),
        }
        .abi_encode()
        .into(),
        ..operation
    };
    let report = world.validate(&simulated, &Policy::default());
    assert_eq!(report.outcome, Outcome::Passed);
    assert_eq!(report.violations.len(), 1);
    assert_eq!(report.violations[0].rule, Rule::Op011);
}

#[test]
fn an_address_without_an_entry_point_judges_nothing() {
    let case = account(Code::new());
    let mut world = World::new(Version::V07, &case);
    let operation = world.operation(&case);
    for entry_point in [Address::repeat_byte(0x42), OTHER] {
        world.put(OTHER, &[PUSH0, PUSH0, RETURN]);
        let elsewhere = Operation {
            parties: Parties {
                entry_point,
                ..operation.parties
            },
            ..operation.clone()
        };
        let report = world.validate(&elsewhere, &Policy::default());
        assert_eq!(report.outcome, Outcome::Halted);
    }
}

#[test]
fn the_state_stays_as_it_was() {
    let case = paymaster(Code::new().push(U256::ONE).op(PUSH0).op(SSTORE));
    let mut world = World::new(Version::V07, &case);
    let operation = world.operation(&case);
    let first = world.validate(&operation, &Policy::default());
    let second = world.validate(&operation, &Policy::default());
    assert_eq!(first.violations, second.violations);
    assert_eq!(first.outcome, Outcome::Passed);
    assert!(
        world.db.cache.accounts[&PAYMASTER]
            .storage
            .values()
            .all(|value| value.is_zero())
    );
}

#[test]
fn violations_read_as_sentences() {
    let case = account(Code::new().op(TIMESTAMP).op(POP));
    let report = case.report(Version::V07);
    let sender = case.sender();
    assert_eq!(
        report.violations[0].to_string(),
        format!("OP-011: account {sender} by TIMESTAMP at 0 of {sender}")
    );
}
