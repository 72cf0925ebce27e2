//! OP: opcodes, calls and creations.

use crate::{
    assembler::{Code, deploys},
    world::{Case, FACTORY, OTHER, PAYMASTER, Version, World, account, factory, paymaster},
};
use alloy_primitives::{Address, U256};
use erc7562::{Policy, Role, Rule, opcode_name};
use revm::bytecode::opcode::*;

/// Code at [`OTHER`] that does nothing.
fn idle() -> Code {
    Code::new().op(STOP)
}

/// In the account, the factory and the paymaster: the rule is broken by that entity.
#[track_caller]
fn breaks_everywhere(code: &Code, rule: Rule) {
    let cases = [
        (Role::Account, account(code.clone())),
        (Role::Factory, factory(code.clone())),
        (Role::Paymaster, paymaster(code.clone())),
    ];
    for (role, case) in cases {
        let case = case.other(idle());
        case.breaks(&[rule]);
        let violation = &case.report(Version::V07).violations[0];
        assert_eq!(violation.role, role);
        assert_eq!(violation.place.map(|place| place.role), Some(role));
    }
}

#[test]
fn op_011_opcodes_that_read_the_environment() {
    for opcode in [
        ORIGIN,
        GASPRICE,
        COINBASE,
        TIMESTAMP,
        NUMBER,
        DIFFICULTY,
        GASLIMIT,
        BASEFEE,
        BLOBBASEFEE,
    ] {
        let code = Code::new().op(opcode).op(POP);
        breaks_everywhere(&code, Rule::Op011);
        let report = account(code).report(Version::V07);
        let place = report.violations[0].place.expect("a place");
        assert_eq!((place.opcode, place.pc), (opcode, 0), "{}", opcode_name(opcode));
    }
    for opcode in [BLOCKHASH, BLOBHASH] {
        let code = Code::new().push(U256::ONE).op(opcode).op(POP);
        breaks_everywhere(&code, Rule::Op011);
    }
}

/// Calls [`OTHER`], and goes on whatever becomes of it.
fn calls_other() -> Code {
    Code::new()
        .ops(&[PUSH0, PUSH0, PUSH0, PUSH0, PUSH0])
        .push_address(OTHER)
        .push(U256::from(50_000))
        .ops(&[CALL, POP])
}

#[test]
fn op_011_opcodes_that_end_a_contract() {
    account(calls_other())
        .other(Code::new().op(INVALID))
        .breaks(&[Rule::Op011]);
    account(calls_other())
        .other(Code::new().op(PUSH0).op(SELFDESTRUCT))
        .breaks(&[Rule::Op011]);
}

#[test]
fn op_012_gas_without_a_call() {
    breaks_everywhere(&Code::new().op(GAS).op(POP), Rule::Op012);
}

#[test]
fn op_012_gas_in_front_of_a_call_is_allowed() {
    for opcode in [CALL, CALLCODE, DELEGATECALL, STATICCALL] {
        account(Code::new().call(opcode, OTHER, 0, 0))
            .other(idle())
            .is_clean();
    }
}

#[test]
fn op_013_unassigned_opcodes() {
    account(calls_other())
        .other(Code::new().op(0x0c))
        .breaks(&[Rule::Op013]);
}

#[test]
fn op_020_out_of_gas() {
    // The called contract runs for ever.
    let endless = Code::new().op(JUMPDEST).op(PUSH0).op(JUMP);
    account(calls_other()).other(endless).breaks(&[Rule::Op020]);
}

#[test]
fn op_020_a_precompile_that_runs_out_of_gas() {
    let code = Code::new()
        .ops(&[PUSH0, PUSH0, PUSH0, PUSH0, PUSH0])
        .push(U256::from(2))
        .push(U256::from(10))
        .ops(&[CALL, POP]);
    account(code).breaks(&[Rule::Op020]);
}

/// A contract that does nothing.
fn child() -> Vec<u8> {
    deploys(&[STOP])
}

#[test]
fn op_031_create2_of_anything_but_the_sender() {
    let creates = Code::new().create(CREATE2, &child(), 1).op(POP);
    account(creates.clone()).breaks(&[Rule::Op031]);
    factory(creates.clone()).breaks(&[Rule::Op031]);
    paymaster(creates.clone()).breaks(&[Rule::Op031]);
    // An account with a factory may use `CREATE`, not `CREATE2`.
    let case = Case {
        account: creates,
        ..factory(Code::new())
    };
    case.breaks(&[Rule::Op031]);
}

#[test]
fn op_031_the_sender_is_created_once() {
    factory(Code::new()).is_clean();
}

#[test]
fn op_032_the_sender_may_create_if_there_is_a_factory() {
    let creates = Code::new().create(CREATE, &child(), 0).op(POP);
    let case = Case {
        account: creates.clone(),
        ..factory(Code::new())
    };
    case.is_clean();
    account(creates.clone()).breaks(&[Rule::Op011]);
    paymaster(creates).breaks(&[Rule::Op011]);
}

#[test]
fn erep_060_a_staked_factory_and_its_sender_may_create() {
    for opcode in [CREATE, CREATE2] {
        let creates = Code::new().create(opcode, &child(), 1).op(POP);
        factory(creates.clone()).staked(FACTORY).is_clean();
        let case = Case {
            account: creates,
            ..factory(Code::new())
        };
        case.staked(FACTORY).is_clean();
    }
    factory(Code::new().create(CREATE, &child(), 0).op(POP)).breaks(&[Rule::Erep060]);
}

#[test]
fn erep_061_what_a_staked_factory_calls_may_create() {
    let creates = Code::new().create(CREATE, &child(), 0).op(POP).op(STOP);
    let case = factory(calls_other()).other(creates);
    case.clone().staked(FACTORY).is_clean();
    case.breaks(&[Rule::Erep061]);
}

#[test]
fn op_041_addresses_without_code() {
    for opcode in [CALL, CALLCODE, DELEGATECALL, STATICCALL] {
        breaks_nowhere_but_without_code(&Code::new().call(opcode, OTHER, 0, 0));
    }
    for opcode in [EXTCODESIZE, EXTCODEHASH] {
        breaks_nowhere_but_without_code(&Code::new().push_address(OTHER).op(opcode).op(POP));
    }
    let copies = Code::new()
        .ops(&[PUSH0, PUSH0, PUSH0])
        .push_address(OTHER)
        .op(EXTCODECOPY);
    breaks_nowhere_but_without_code(&copies);
}

#[track_caller]
fn breaks_nowhere_but_without_code(code: &Code) {
    account(code.clone()).breaks(&[Rule::Op041]);
    account(code.clone()).other(idle()).is_clean();
    let violation = &account(code.clone()).report(Version::V07).violations[0];
    assert_eq!(violation.address, Some(OTHER));
}

#[test]
fn op_042_a_factory_may_ask_for_the_sender() {
    // The sender's address depends on its code alone.
    let sender = factory(Code::new()).sender();
    factory(Code::new().push_address(sender).op(EXTCODESIZE).op(POP)).is_clean();
    let code = Code::new().push_address(OTHER).op(EXTCODESIZE).op(POP);
    factory(code).breaks(&[Rule::Op041]);
}

/// The address that an EntryPoint has in the tests.
fn entry_point(version: Version) -> Address {
    World::new(version, &account(Code::new())).entry_point
}

#[test]
fn op_051_the_entry_points_size_is_only_compared_with_zero() {
    for version in Version::ALL {
        let size = Code::new().push_address(entry_point(version)).op(EXTCODESIZE);
        let compared = account(size.clone().op(ISZERO).op(POP)).report(version);
        assert_eq!(compared.violations, [], "{version:?}");
        let taken = account(size.op(POP)).report(version);
        assert_eq!(taken.violations[0].rule, Rule::Op051, "{version:?}");
        assert_eq!(taken.violations.len(), 1);
    }
}

fn deposits(entry_point: Address, account: Address) -> Code {
    let mut data = vec![0xb7, 0x60, 0xfa, 0xf9];
    data.extend(account.into_word());
    Code::new().bytes(0, &data).call(CALL, entry_point, 1, 36)
}

#[test]
fn op_052_deposits_are_for_the_sender_and_by_sender_or_factory() {
    for version in Version::ALL {
        let at = entry_point(version);
        let own = account(Code::new()).sender();
        let created = factory(Code::new()).sender();
        let report = |case: Case| {
            let report = case.report(version);
            assert_eq!(report.outcome, erc7562::Outcome::Passed, "{version:?}");
            let rules: Vec<_> = report.violations.iter().map(|violation| violation.rule).collect();
            rules
        };
        assert_eq!(report(account(deposits(at, own))), []);
        assert_eq!(report(factory(deposits(at, created))), []);
        assert_eq!(report(account(deposits(at, OTHER))), [Rule::Op052]);
        assert_eq!(report(paymaster(deposits(at, own))), [Rule::Op052]);
    }
}

#[test]
fn op_053_only_the_sender_pays_by_the_fallback_function() {
    for version in Version::ALL {
        let pays = Code::new().call(CALL, entry_point(version), 1, 0);
        assert_eq!(
            account(pays.clone()).report(version).violations,
            [],
            "{version:?}"
        );
        for case in [factory(pays.clone()), paymaster(pays)] {
            let report = case.report(version);
            assert_eq!(report.violations[0].rule, Rule::Op053, "{version:?}");
            assert_eq!(report.violations.len(), 1);
        }
    }
}

#[test]
fn op_054_other_access_to_the_entry_point() {
    for version in Version::ALL {
        let at = entry_point(version);
        // `balanceOf(address)`
        let asks = |opcode| {
            Code::new()
                .bytes(0, &[0x70, 0xa0, 0x82, 0x31])
                .call(opcode, at, 0, 36)
        };
        let hash = Code::new().push_address(at).op(EXTCODEHASH).op(POP);
        // Cut short, it is no deposit.
        let short = Code::new()
            .bytes(0, &[0xb7, 0x60, 0xfa, 0xf9])
            .call(CALL, at, 0, 20);
        for code in [asks(CALL), asks(STATICCALL), hash, short] {
            let report = account(code).report(version);
            assert_eq!(report.violations[0].rule, Rule::Op054, "{version:?}");
            assert_eq!(report.violations.len(), 1, "{:?}", report.violations);
        }
    }
}

#[test]
fn op_061_calls_with_value() {
    for opcode in [CALL, CALLCODE] {
        account(Code::new().call(opcode, OTHER, 1, 0))
            .other(idle())
            .breaks(&[Rule::Op061]);
    }
}

#[test]
fn op_062_precompiles() {
    for number in 1..=9 {
        account(Code::new().call(STATICCALL, Address::with_last_byte(number), 0, 0)).is_allowed();
    }
    let others = [0x0a, 0x0b, 0x11].map(Address::with_last_byte);
    let p256: Address = U256::from(0x100).into_address();
    for address in others {
        account(Code::new().call(STATICCALL, address, 0, 0)).breaks_first(Rule::Op062);
    }
    // Where the network has it, it may be allowed.
    let case = account(Code::new().call(STATICCALL, p256, 0, 0));
    let mut policy = Policy::default();
    policy.precompiles.insert(p256);
    let mut world = World::new(Version::V07, &case);
    world
        .cfg
        .set_spec_and_mainnet_gas_params(revm::primitives::hardfork::SpecId::OSAKA);
    let operation = world.operation(&case);
    assert_eq!(
        world.validate(&operation, &Policy::default()).violations[0].rule,
        Rule::Op062
    );
    assert_eq!(world.validate(&operation, &policy).violations, []);
}

impl Case {
    /// No rule of precompiles is broken; some of them use up what they are given for malformed input.
    #[track_caller]
    fn is_allowed(&self) {
        let report = self.report(Version::V07);
        assert!(
            report
                .violations
                .iter()
                .all(|violation| violation.rule != Rule::Op062),
            "{report:?}"
        );
    }

    #[track_caller]
    fn breaks_first(&self, rule: Rule) {
        assert_eq!(self.report(Version::V07).violations[0].rule, rule);
    }
}

trait IntoAddress {
    fn into_address(self) -> Address;
}

impl IntoAddress for U256 {
    fn into_address(self) -> Address {
        Address::from_word(self.into())
    }
}

#[test]
fn op_080_balances_are_for_staked_entities() {
    let balance = Code::new().push_address(OTHER).op(BALANCE).op(POP);
    let own = Code::new().op(SELFBALANCE).op(POP);
    for code in [balance, own] {
        breaks_everywhere(&code, Rule::Op080);
        paymaster(code.clone()).staked(PAYMASTER).is_clean();
        factory(code.clone()).staked(FACTORY).is_clean();
        let case = Case {
            account_is_staked: true,
            ..account(code)
        };
        case.is_clean();
    }
}

#[test]
fn what_a_library_does_is_done_by_the_entity() {
    let reads_time = Code::new().op(TIMESTAMP).op(POP);
    let case = account(Code::new().call(DELEGATECALL, OTHER, 0, 0)).other(reads_time);
    case.breaks(&[Rule::Op011]);
    let place = case.report(Version::V07).violations[0].place.expect("a place");
    assert_eq!(place.contract, case.sender());
}

#[test]
fn the_same_instruction_of_a_loop_is_one_violation() {
    // From 3 to 0.
    let code = Code::new()
        .push(U256::from(3))
        .ops(&[JUMPDEST, TIMESTAMP, POP])
        .push(U256::ONE)
        .ops(&[SWAP1, SUB, DUP1, PUSH1, 2, JUMPI, POP]);
    account(code).breaks(&[Rule::Op011]);
}
