//! EREP and COD: stakes, contexts, aggregators and code.

use crate::{
    assembler::Code,
    world::{Case, FACTORY, OTHER, PAYMASTER, Version, World, account, factory, paymaster},
};
use alloy_primitives::{Address, Bytes, U256};
use erc7562::{Outcome, Policy, Role, Rule, Stake, Stakes};
use revm::bytecode::opcode::*;

#[test]
fn erep_040_an_aggregator_is_staked() {
    let case = Case {
        validation_data: U256::from_be_bytes(OTHER.into_word().0),
        ..account(Code::new())
    };
    // EntryPoints refuse operations with aggregators in `handleOps`, after the account has named one.
    let staked = case.clone().staked(OTHER);
    for version in Version::ALL {
        let report = case.report(version);
        assert_eq!(report.aggregator, Some(OTHER));
        assert!(matches!(&report.outcome, Outcome::Failed { reason, .. } if reason.starts_with("AA24")));
        let [violation] = &report.violations[..] else {
            panic!("{:?}", report.violations)
        };
        assert_eq!(
            (violation.rule, violation.role),
            (Rule::Erep040, Role::Aggregator)
        );
        assert_eq!(violation.entity, OTHER);
        assert_eq!(staked.report(version).violations, []);
    }
}

#[test]
fn erep_050_a_paymaster_without_stake_returns_no_context() {
    let case = Case {
        context: 40,
        ..paymaster(Code::new())
    };
    let policy = Policy {
        refuses_context_without_stake: true,
        ..Policy::default()
    };
    for version in Version::ALL {
        let report = case.report_with(version, &policy);
        assert!(report.answers.has_context);
        assert_eq!(report.violations[0].rule, Rule::Erep050, "{version:?}");
        assert_eq!(case.report(version).violations, [], "the ERC has dropped it");
        let staked = case.clone().staked(PAYMASTER);
        assert_eq!(staked.report_with(version, &policy).violations, []);
        let without = paymaster(Code::new()).report_with(version, &policy);
        assert_eq!(without.violations, []);
    }
}

#[test]
fn a_stake_counts_from_its_amount_and_its_delay_on() {
    let code = Code::new().op(SELFBALANCE).op(POP);
    for (delay, amount, is_enough) in [
        (86_400, 1_000_000_000_000_000_000, true),
        (86_399, 1_000_000_000_000_000_000, false),
        (86_400, 999_999_999_999_999_999, false),
        (u32::MAX, u128::from(u64::MAX), true),
    ] {
        for version in Version::ALL {
            let case = paymaster(code.clone());
            let mut world = World::new(version, &case);
            world.stake(PAYMASTER, delay, amount);
            let operation = world.operation(&case);
            let report = world.validate(&operation, &Policy::default());
            assert_eq!(
                report.violations.is_empty(),
                is_enough,
                "{version:?}, {delay}, {amount}"
            );
        }
    }
    let nothing = Policy {
        min_stake: U256::ZERO,
        min_unstake_delay: 0,
        ..Policy::default()
    };
    assert!(!nothing.is_staked(Stake::default()), "no stake is no stake");
}

#[test]
fn cod_010_code_that_changes_between_validations_is_found() {
    let case = account(Code::new().call(STATICCALL, OTHER, 0, 0)).other(Code::new().op(STOP));
    for version in Version::ALL {
        let mut world = World::new(version, &case);
        let operation = world.operation(&case);
        let first = world.validate(&operation, &Policy::default());
        assert!(first.code.contains_key(&OTHER));
        let same = world.validate(&operation, &Policy::default());
        assert_eq!(same.changed_code(&first, &operation.parties), []);
        world.put(OTHER, &[PUSH0, POP, STOP]);
        let second = world.validate(&operation, &Policy::default());
        assert_eq!(second.violations, []);
        let changed = second.changed_code(&first, &operation.parties);
        assert_eq!(changed.len(), 1);
        assert_eq!((changed[0].rule, changed[0].address), (Rule::Cod010, Some(OTHER)));
    }
}

#[test]
fn cod_010_the_entities_own_code_counts() {
    let case = paymaster(Code::new());
    let mut world = World::new(Version::V07, &case);
    let operation = world.operation(&case);
    let first = world.validate(&operation, &Policy::default());
    world.put(
        PAYMASTER,
        &paymaster(Code::new().op(PUSH0).op(POP)).paymaster_code_for_tests(),
    );
    let second = world.validate(&operation, &Policy::default());
    let changed = second.changed_code(&first, &operation.parties);
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (changed[0].role, changed[0].address),
        (Role::Paymaster, Some(PAYMASTER))
    );
}

#[test]
fn who_is_answerable_depends_on_stakes() {
    let fails = Code::new().ops(&[PUSH0, PUSH0, REVERT]);
    let policy = Policy::default();
    let staked = |addresses: &[Address]| Stakes {
        of: addresses
            .iter()
            .map(|address| {
                let stake = Stake {
                    amount: U256::from(10).pow(U256::from(18)),
                    unstake_delay: 86_400,
                };
                (*address, stake)
            })
            .collect(),
    };
    let none = Stakes::default();

    let created = Case {
        account: fails.clone(),
        ..factory(Code::new())
    };
    let mut world = World::new(Version::V07, &created);
    let operation = world.operation(&created);
    let report = world.validate(&operation, &policy);
    let accountable = |stakes: &Stakes| report.accountable(&operation.parties, stakes, &policy);
    assert_eq!(accountable(&none), Some(Role::Account));
    assert_eq!(accountable(&staked(&[FACTORY])), Some(Role::Factory));

    let case = paymaster(fails);
    let mut world = World::new(Version::V07, &case);
    let operation = world.operation(&case);
    let report = world.validate(&operation, &policy);
    let accountable = |stakes: &Stakes| report.accountable(&operation.parties, stakes, &policy);
    assert_eq!(accountable(&none), Some(Role::Paymaster));
    assert_eq!(accountable(&staked(&[PAYMASTER])), Some(Role::Paymaster));
    assert_eq!(accountable(&staked(&[case.sender()])), Some(Role::Account));

    let fine = account(Code::new()).report(Version::V07);
    assert_eq!(fine.accountable(&operation.parties, &none, &policy), None);
}

#[test]
fn an_account_that_delegates_is_judged_by_its_delegates_code() {
    let case = account(Code::new());
    let mut world = World::new(Version::V08, &case);
    let code = account(Code::new().op(TIMESTAMP).op(POP)).account_code_for_tests();
    world.put(OTHER, &code);
    let designator: Bytes = [&[0xef, 0x01, 0x00], OTHER.as_slice()].concat().into();
    world.put(case.sender(), &designator);
    let operation = world.operation(&case);
    let report = world.validate(&operation, &Policy::default());
    assert_eq!(report.violations.len(), 1, "{:?}", report.violations);
    assert_eq!(report.violations[0].rule, Rule::Op011);
    assert_eq!(
        report.violations[0].place.map(|place| place.contract),
        Some(case.sender())
    );
    assert!(
        report.code.contains_key(&OTHER),
        "the delegate's code counts for COD-010"
    );
}
