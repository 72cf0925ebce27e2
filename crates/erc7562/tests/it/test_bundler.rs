//! The rule breakers that another bundler is tested with: this crate refuses what that one refuses.

use crate::{
    assembler::Code,
    world::{Unpacked, Version, World, account},
};
use alloy_primitives::{Address, Bytes, TxKind};
use alloy_sol_types::{SolCall, sol};
use erc7562::{Outcome, Parties, Policy, Report, Rule};

sol! {
    function setCoin(address coin) returns (address);
}

const RICH: Address = Address::repeat_byte(0x99);

fn deploy(world: &mut World, hex: &str) -> Address {
    let code: Bytes = hex.trim().parse().unwrap();
    let created = world.transact(RICH, TxKind::Create, code, 0);
    created.created_address().unwrap()
}

/// A contract of the package as the account, or as the paymaster of an account that does nothing.
struct Breaker {
    world: World,
    contract: Address,
}

impl Breaker {
    fn new(hex: &str, has_coin: bool) -> Self {
        let mut world = World::new(Version::V06, &account(Code::new()));
        let contract = deploy(&mut world, hex);
        if has_coin {
            let coin = deploy(
                &mut world,
                include_str!("../data/metamask-test-bundler/TestCoin.hex"),
            );
            let data = setCoinCall { coin }.abi_encode();
            world.transact(RICH, TxKind::Call(contract), data.into(), 0);
        }
        world.deposit(contract);
        Self { world, contract }
    }

    fn report(&mut self, rule: &str, pays: bool) -> Report {
        let case = account(Code::new());
        let mut operation = self.world.operation(&case);
        let mut call = Unpacked::handleOpsCall::abi_decode(&operation.call).unwrap();
        let op = &mut call.ops[0];
        if pays {
            // A paymaster reads the rule behind its address.
            op.paymasterAndData = [self.contract.as_slice(), rule.as_bytes()].concat().into();
        } else {
            op.sender = self.contract;
            op.signature = rule.as_bytes().to_vec().into();
        }
        operation.parties = Parties::new(self.world.entry_point, op.sender, &[], &op.paymasterAndData);
        operation.call = call.abi_encode().into();
        self.world.validate(&operation, &Policy::default())
    }

    #[track_caller]
    fn expect(&mut self, rule: &str, pays: bool, expected: &[Rule]) {
        let report = self.report(rule, pays);
        let mut rules: Vec<_> = report.violations.iter().map(|violation| violation.rule).collect();
        rules.dedup();
        let shown: Vec<_> = report.violations.iter().map(ToString::to_string).collect();
        assert_eq!(rules, expected, "{rule}, {:?}: {shown:#?}", report.outcome);
    }
}

const OPCODES: &str = include_str!("../data/metamask-test-bundler/TestOpcodesAccount.hex");
const RULES: &str = include_str!("../data/metamask-test-bundler/TestRulesAccount.hex");
const STORAGE: &str = include_str!("../data/metamask-test-bundler/TestStorageAccount.hex");

#[test]
fn opcodes() {
    let mut breaker = Breaker::new(OPCODES, false);
    for pays in [false, true] {
        breaker.expect("", pays, &[]);
        for rule in ["coinbase", "number", "blockhash"] {
            breaker.expect(rule, pays, &[Rule::Op011]);
        }
    }
    breaker.expect("create2", false, &[Rule::Op031]);
}

#[test]
fn storage() {
    for hex in [RULES, STORAGE] {
        let mut breaker = Breaker::new(hex, true);
        for rule in ["balance-self", "mint-self", "struct-self", "allowance-1-self"] {
            breaker.expect(rule, false, &[]);
        }
        for rule in ["balance-1", "struct-1", "allowance-self-1"] {
            breaker.expect(rule, false, &[Rule::Sto033]);
        }
        // It reads what it writes.
        breaker.expect("mint-1", false, &[Rule::Sto032]);
    }
}

#[test]
fn calls_that_end_badly() {
    let mut breaker = Breaker::new(STORAGE, true);
    breaker.expect("oog", false, &[Rule::Op020]);
    // A call that reverts within is no violation.
    let mut breaker = Breaker::new(RULES, true);
    breaker.expect("inner-revert", false, &[]);
    let report = breaker.report("no such rule", false);
    assert!(
        matches!(report.outcome, Outcome::Failed { .. }),
        "{:?}",
        report.outcome
    );
}

#[test]
fn stake_lets_it_read_what_it_wants() {
    let mut breaker = Breaker::new(STORAGE, true);
    breaker
        .world
        .stake(breaker.contract, 86_400, 1_000_000_000_000_000_000);
    for rule in ["balance-1", "struct-1", "allowance-self-1"] {
        breaker.expect(rule, false, &[]);
    }
    breaker.expect("mint-1", false, &[Rule::Sto032]);
}
