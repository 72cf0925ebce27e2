//! The bundler's mempool: the rules that concern several operations, reputations, and the methods with which
//! tests rule over it.

use crate::requests::{answer_of, failure_of};
use alloy::{
    primitives::{Address, B256, U256, address, hex, keccak256},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use serde_json::{Value, json};
use session_key_bindings::IEntryPoint;
use session_key_testkit::{
    Bundler, BundlerOptions, EntryPointVersion, Fate, Reputation, ReputationStatus, Stack, StackV08, Testkit,
};

const VERSIONS: [EntryPointVersion; 2] = [EntryPointVersion::V06, EntryPointVersion::V07];

const ETHER: u128 = 1_000_000_000_000_000_000;
const GWEI: u64 = 1_000_000_000;
const DAY: u32 = 86_400;

const ACCOUNT: Address = address!("0x00000000000000000000000000000000000a0001");
const SECOND_ACCOUNT: Address = address!("0x00000000000000000000000000000000000a0002");
const PAYMASTER: Address = address!("0x00000000000000000000000000000000000b0001");
const SECOND_PAYMASTER: Address = address!("0x00000000000000000000000000000000000b0002");
const FACTORY: Address = address!("0x00000000000000000000000000000000000f0001");
const FUNDER: Address = address!("0x00000000000000000000000000000000000c0001");

/// Answers with the first word of its storage: zero, for a good signature.
const ACCOUNT_CODE: [u8; 8] = hex!("5f545f5260205ff3");

/// Answers with no context and a good signature.
const PAYMASTER_CODE: [u8; 16] = hex!("60405f525f6020525f60405260605ff3");

/// Answers with the word of its storage that is associated with its caller.
const TOKEN_ACCOUNT_CODE: [u8; 18] = hex!("335f525f60205260405f20545f5260205ff3");

/// The plain account, after a look at the clock.
const CLOCK_ACCOUNT_CODE: [u8; 10] = hex!("42505f545f5260205ff3");

/// Deploys the plain account: mstore(0, code); return(24, 8).
const ACCOUNT_INIT_CODE: [u8; 16] = hex!("675f545f5260205ff35f5260086018f3");

/// An account whose validation is what another contract answers: staticcall(gas, contract, 0, 0, 0, 32);
/// return(0, 32).
fn asking(contract: Address) -> Vec<u8> {
    [
        &hex!("60205f5f5f73")[..],
        contract.as_slice(),
        &hex!("5afa5060205ff3"),
    ]
    .concat()
}

/// Creates a plain account, with its call data as salt. It reverts if it created one before.
fn factory_code() -> Vec<u8> {
    [
        // if sload(0) { revert(0, 0) }; sstore(0, 1)
        &hex!("5f54156009575f5ffd5b60015f55")[..],
        // mstore(0, init code); mstore(0, create2(0, 16, 16, calldataload(0))); return(0, 32)
        &hex!("6f"),
        &ACCOUNT_INIT_CODE,
        &hex!("5f525f35601060105ff55f5260205ff3"),
    ]
    .concat()
}

/// An operation of these contracts.
#[derive(Clone, Copy)]
struct Operation {
    version: EntryPointVersion,
    sender: Address,
    lane: u64,
    paymaster: Option<Address>,
    /// The salt that the factory is called with.
    creation: Option<B256>,
    tip: u64,
}

impl Operation {
    const fn lane(self, lane: u64) -> Self {
        Self { lane, ..self }
    }

    const fn paid_by(self, paymaster: Address) -> Self {
        Self {
            paymaster: Some(paymaster),
            ..self
        }
    }

    const fn tip(self, tip: u64) -> Self {
        Self { tip, ..self }
    }

    /// As clients send it.
    fn wire(&self) -> Value {
        let mut wire = json!({
            "sender": self.sender,
            "nonce": U256::from(self.lane) << 64_usize,
            "callData": "0x",
            "callGasLimit": U256::from(50_000),
            "verificationGasLimit": U256::from(300_000),
            "preVerificationGas": U256::from(100_000),
            "maxFeePerGas": U256::from(2 * self.tip + 2 * GWEI),
            "maxPriorityFeePerGas": U256::from(self.tip),
            "signature": "0x",
        });
        match self.version {
            EntryPointVersion::V06 => {
                let init_code = match self.creation {
                    Some(salt) => hex::encode_prefixed([FACTORY.as_slice(), salt.as_slice()].concat()),
                    None => "0x".into(),
                };
                wire["initCode"] = json!(init_code);
                wire["paymasterAndData"] = match self.paymaster {
                    Some(paymaster) => json!(paymaster),
                    None => json!("0x"),
                };
            }
            _ => {
                if let Some(salt) = self.creation {
                    wire["factory"] = json!(FACTORY);
                    wire["factoryData"] = json!(salt);
                }
                if let Some(paymaster) = self.paymaster {
                    wire["paymaster"] = json!(paymaster);
                    wire["paymasterVerificationGasLimit"] = json!(U256::from(100_000));
                    wire["paymasterPostOpGasLimit"] = json!(U256::from(50_000));
                }
            }
        }
        wire
    }

    /// The most that it can cost, in wei.
    fn max_cost(&self) -> u128 {
        let gas: u64 = match (self.version, self.paymaster) {
            (_, None) => 300_000 + 50_000 + 100_000,
            (EntryPointVersion::V06, Some(_)) => 3 * 300_000 + 50_000 + 100_000,
            (_, Some(_)) => 300_000 + 50_000 + 100_000 + 100_000 + 50_000,
        };
        u128::from(gas) * u128::from(2 * self.tip + 2 * GWEI)
    }
}

/// A chain with two plain accounts and two paymasters, which have deposits, and a factory.
struct World {
    version: EntryPointVersion,
    testkit: Testkit,
    bundler: Bundler,
}

impl World {
    fn new(version: EntryPointVersion) -> Self {
        let testkit = Testkit::default();
        {
            let mut chain = testkit.chain();
            Stack::deploy(&mut chain).unwrap();
            StackV08::deploy(&mut chain).unwrap();
            chain.set_balance(FUNDER, U256::from(1_000 * ETHER));
            for account in [ACCOUNT, SECOND_ACCOUNT] {
                chain.set_code(account, ACCOUNT_CODE).unwrap();
            }
            for paymaster in [PAYMASTER, SECOND_PAYMASTER] {
                chain.set_code(paymaster, PAYMASTER_CODE).unwrap();
            }
            chain.set_code(FACTORY, factory_code()).unwrap();
        }
        let bundler = testkit.bundler(BundlerOptions {
            debug_methods: true,
            max_bundle: 100,
            ..Default::default()
        });
        let world = Self {
            version,
            testkit,
            bundler,
        };
        for address in [ACCOUNT, SECOND_ACCOUNT, PAYMASTER, SECOND_PAYMASTER] {
            world.deposit(address, 10 * ETHER);
        }
        world
    }

    fn transact(&self, from: Address, value: u128, call: &impl SolCall) {
        let request = TransactionRequest::default()
            .from(from)
            .to(self.version.address())
            .value(U256::from(value))
            .input(call.abi_encode().into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
    }

    fn deposit(&self, account: Address, amount: u128) {
        self.transact(FUNDER, amount, &IEntryPoint::depositToCall { account });
    }

    /// Leaves so much of a deposit.
    fn withdraw_to(&self, account: Address, rest: u128) {
        let call = IEntryPoint::balanceOfCall { account };
        let entry_point = self.version.address();
        let deposit: U256 = self
            .testkit
            .chain()
            .read(Address::ZERO, entry_point, &call)
            .unwrap();
        let withdrawal = IEntryPoint::withdrawToCall {
            withdrawAddress: FUNDER,
            withdrawAmount: deposit - U256::from(rest),
        };
        self.transact(account, 0, &withdrawal);
    }

    fn stake(&self, entity: Address) {
        let funds = self.testkit.chain().balance(entity);
        self.testkit.chain().set_balance(entity, U256::from(ETHER));
        self.transact(entity, ETHER, &IEntryPoint::addStakeCall { unstakeDelaySec: DAY });
        self.testkit.chain().set_balance(entity, funds);
    }

    const fn operation(&self, sender: Address) -> Operation {
        Operation {
            version: self.version,
            sender,
            lane: 0,
            paymaster: None,
            creation: None,
            tip: GWEI,
        }
    }

    /// The operation that creates the account of a salt, which has a deposit.
    fn creation(&self, salt: u8) -> Operation {
        let salt = B256::with_last_byte(salt);
        let sender = FACTORY.create2(salt, keccak256(ACCOUNT_INIT_CODE));
        self.deposit(sender, ETHER);
        Operation {
            creation: Some(salt),
            ..self.operation(sender)
        }
    }

    async fn send(&self, operation: Operation) -> B256 {
        let params = json!([operation.wire(), self.version.address()]);
        let hash = answer_of(&self.bundler.client(), "eth_sendUserOperation", params).await;
        serde_json::from_value(hash).unwrap()
    }

    async fn refusal(&self, operation: Operation) -> (i64, String) {
        let params = json!([operation.wire(), self.version.address()]);
        failure_of(&self.bundler.client(), "eth_sendUserOperation", params).await
    }

    async fn debug(&self, method: &'static str, params: Value) -> Value {
        answer_of(&self.bundler.client(), method, params).await
    }

    fn bundled(&self) -> Vec<B256> {
        let bundle = self.bundler.bundle_now().unwrap();
        bundle.map(|bundle| bundle.operations).unwrap_or_default()
    }

    fn waiting(&self) -> Vec<B256> {
        self.bundler
            .pool()
            .into_iter()
            .map(|operation| operation.hash)
            .collect()
    }

    fn reputation(&self, entity: Address) -> (u64, u64) {
        let Reputation {
            ops_seen,
            ops_included,
        } = self.bundler.reputation(self.version, entity);
        (ops_seen, ops_included)
    }

    fn set_reputation(&self, entity: Address, ops_seen: u64, ops_included: u64) {
        let reputation = Reputation {
            ops_seen,
            ops_included,
        };
        self.bundler.set_reputation(self.version, entity, reputation);
    }
}

#[tokio::test]
async fn a_validation_that_breaks_a_rule_is_refused_in_the_reference_bundlers_words() {
    for version in VERSIONS {
        let world = World::new(version);
        world
            .testkit
            .chain()
            .set_code(ACCOUNT, CLOCK_ACCOUNT_CODE)
            .unwrap();
        let operation = world.operation(ACCOUNT);
        let params = json!([operation.wire(), version.address()]);
        let answer = world
            .bundler
            .client()
            .request::<_, Value>("eth_sendUserOperation", params)
            .await;
        let error = answer.unwrap_err();
        let error = error.as_error_resp().unwrap();
        assert_eq!(error.code, -32502);
        assert_eq!(error.message, "account uses banned opcode: TIMESTAMP");
        let data = error.data.as_ref().unwrap().get();
        assert_eq!(data, r#"{"rule":"OP-011"}"#);

        world.bundler.change(|options| options.rules = None);
        let hash = world.send(operation).await;
        assert_eq!(world.bundled(), [hash]);
    }
}

#[tokio::test]
async fn a_sender_without_stake_has_four_operations_in_the_mempool() {
    for version in VERSIONS {
        let world = World::new(version);
        for lane in 0..4 {
            world.send(world.operation(ACCOUNT).lane(lane)).await;
        }
        let (code, message) = world.refusal(world.operation(ACCOUNT).lane(4)).await;
        assert_eq!(code, -32505);
        assert!(
            message.contains(&format!("unstaked sender {ACCOUNT}")),
            "{message}"
        );
        // A bad standing comes first, though its operations do not count.
        let reputation = |ops_seen| Reputation {
            ops_seen,
            ops_included: 1,
        };
        for (ops_seen, standing) in [(120, "throttled"), (100_000, "banned")] {
            world
                .bundler
                .set_reputation(version, ACCOUNT, reputation(ops_seen));
            let refused = world.refusal(world.operation(ACCOUNT).lane(4)).await;
            assert_eq!(refused, (-32504, format!("account {ACCOUNT} is {standing}")));
        }
        world.bundler.set_reputation(version, ACCOUNT, reputation(0));
        // One that takes the place of another is no further one.
        world.send(world.operation(ACCOUNT).lane(3).tip(2 * GWEI)).await;

        world.stake(ACCOUNT);
        for lane in 4..12 {
            world.send(world.operation(ACCOUNT).lane(lane)).await;
        }
        assert_eq!(world.waiting().len(), 12);
    }
}

#[tokio::test]
async fn a_sender_is_not_the_paymaster_or_factory_of_another_operation() {
    for version in VERSIONS {
        let world = World::new(version);
        // Its answer is one word, which is no good answer of a paymaster; but nobody asks it.
        let own = world.operation(ACCOUNT);
        let paid = world.operation(SECOND_ACCOUNT).paid_by(ACCOUNT);
        world.send(own).await;
        assert_eq!(
            world.refusal(paid).await,
            (
                -32502,
                format!(
                    "A paymaster \"{ACCOUNT}\" is used as a sender entity in another UserOperation currently in mempool"
                )
            )
        );

        world.debug("debug_bundler_clearState", json!([])).await;
        let paid = world.operation(SECOND_ACCOUNT).paid_by(PAYMASTER);
        world.send(paid).await;
        assert_eq!(
            world.refusal(world.operation(PAYMASTER)).await,
            (
                -32502,
                format!(
                    "The sender address \"{PAYMASTER}\" is used as a different entity in another UserOperation currently \
                     in mempool"
                )
            )
        );
    }
}

#[tokio::test]
async fn a_paymasters_deposit_covers_all_its_operations() {
    for version in VERSIONS {
        let world = World::new(version);
        let first = world.operation(ACCOUNT).paid_by(PAYMASTER);
        let second = world.operation(SECOND_ACCOUNT).paid_by(PAYMASTER);
        world.withdraw_to(PAYMASTER, 2 * first.max_cost());
        world.send(first).await;
        world.send(second).await;
        // What is replaced needs no deposit.
        let dearer = first.tip(2 * GWEI);
        world.deposit(PAYMASTER, dearer.max_cost() - first.max_cost());
        world.send(dearer).await;
        let (code, message) = world.refusal(first.lane(1)).await;
        assert_eq!(code, -32508);
        assert!(message.contains("too low"), "{message}");
        // Another one pays; and one more wei.
        world.send(first.lane(1).paid_by(SECOND_PAYMASTER)).await;
        world.deposit(PAYMASTER, first.max_cost() - 1);
        assert_eq!(world.refusal(first.lane(2)).await.0, -32508);
        world.deposit(PAYMASTER, 1);
        world.send(first.lane(2)).await;
        assert_eq!(world.waiting().len(), 4);
    }
}

#[tokio::test]
async fn the_standing_of_entities_decides_what_is_taken() {
    for version in VERSIONS {
        let world = World::new(version);
        let paid = |lane| {
            let sender = [ACCOUNT, SECOND_ACCOUNT][lane as usize % 2];
            world.operation(sender).lane(lane).paid_by(PAYMASTER)
        };
        world.set_reputation(PAYMASTER, 10_000, 1);
        let (code, message) = world.refusal(paid(0)).await;
        assert_eq!(
            (code, message),
            (-32504, format!("paymaster {PAYMASTER} is banned"))
        );

        world.set_reputation(PAYMASTER, 120, 1);
        for lane in 0..4 {
            world.send(paid(lane)).await;
        }
        let (code, message) = world.refusal(paid(4)).await;
        assert_eq!(
            (code, message),
            (-32504, format!("paymaster {PAYMASTER} is throttled"))
        );

        // Who has no stake earns room by what is included.
        world.bundler.change(|options| options.max_per_sender = None);
        for lane in 4..13 {
            world.set_reputation(PAYMASTER, 12, 6);
            world.send(paid(lane)).await;
        }
        world.set_reputation(PAYMASTER, 12, 6);
        let (code, message) = world.refusal(paid(13)).await;
        assert_eq!(code, -32505);
        assert!(
            message.starts_with(&format!("unstaked paymaster {PAYMASTER}")),
            "{message}"
        );
        world.stake(PAYMASTER);
        world.send(paid(13)).await;

        // Who remembers nothing takes everything.
        world.set_reputation(PAYMASTER, 10_000, 0);
        assert!(
            world.waiting().is_empty(),
            "what a banned entity takes part in is dropped"
        );
        world.bundler.change(|options| options.reputation = None);
        world.send(paid(14)).await;
    }
}

#[tokio::test]
async fn operations_of_throttled_entities_are_few_and_do_not_stay() {
    for version in VERSIONS {
        let world = World::new(version);
        world.bundler.change(|options| {
            options.max_per_sender = None;
            options.max_per_sender_in_bundle = 100;
        });
        for lane in 0..6 {
            world
                .send(world.operation(ACCOUNT).lane(lane).paid_by(PAYMASTER))
                .await;
        }
        let other = world.operation(ACCOUNT).lane(6).tip(GWEI / 2);
        world.send(other).await;
        world.set_reputation(PAYMASTER, 120, 0);
        assert_eq!(world.bundled().len(), 5, "four of the paymaster's, and the other");
        assert_eq!(world.waiting().len(), 2);
        world.set_reputation(PAYMASTER, 120, 0);
        // One block is mined already.
        for _ in 0..9 {
            world.testkit.chain().mine();
            assert_eq!(world.waiting().len(), 2);
        }
        world.testkit.chain().mine();
        assert_eq!(world.waiting().len(), 0);
    }
}

#[tokio::test]
async fn entities_are_counted_when_they_are_seen_and_when_they_are_included() {
    for version in VERSIONS {
        let world = World::new(version);
        world.testkit.chain().set_finality_distances(0, 100);
        let operation = world.operation(ACCOUNT).paid_by(PAYMASTER);
        world.send(operation).await;
        assert_eq!(world.reputation(PAYMASTER), (1, 0));
        assert_eq!(
            world.reputation(ACCOUNT),
            (0, 0),
            "a sender without stake is not counted"
        );
        // What is replaced was not seen.
        world
            .send(operation.tip(2 * GWEI).paid_by(SECOND_PAYMASTER))
            .await;
        assert_eq!(world.reputation(PAYMASTER), (0, 0));
        assert_eq!(world.reputation(SECOND_PAYMASTER), (1, 0));
        assert_eq!(world.bundled().len(), 1);
        assert_eq!(world.reputation(SECOND_PAYMASTER), (1, 1));

        world.stake(ACCOUNT);
        let head = world.testkit.chain().block_number();
        world.send(operation.lane(1)).await;
        assert_eq!(world.bundled().len(), 1);
        assert_eq!(world.reputation(ACCOUNT), (1, 1));
        assert_eq!(world.reputation(PAYMASTER), (1, 1));
        let depth = world.testkit.chain().block_number() - head;
        world
            .testkit
            .chain()
            .reorganize(depth, |_| Fate::Dropped)
            .unwrap();
        assert_eq!(world.reputation(ACCOUNT), (1, 0), "its block is undone");
    }
}

#[tokio::test]
async fn a_paymaster_does_not_suffer_for_others() {
    for version in VERSIONS {
        // The account's validation fails the second time.
        let world = World::new(version);
        world.set_reputation(PAYMASTER, 5, 2);
        let operation = world.operation(ACCOUNT).paid_by(PAYMASTER);
        world.send(operation).await;
        assert_eq!(world.reputation(PAYMASTER), (6, 2));
        world.testkit.chain().set_storage(ACCOUNT, U256::ZERO, U256::ONE);
        assert!(world.bundled().is_empty() && world.waiting().is_empty());
        assert_eq!(world.reputation(PAYMASTER), (5, 2));

        // The paymaster's own does: it is excused by an account that has a stake.
        for (is_staked, of_paymaster) in [(false, (1, 0)), (true, (0, 0))] {
            let world = World::new(version);
            if is_staked {
                world.stake(ACCOUNT);
            }
            world.send(world.operation(ACCOUNT).paid_by(PAYMASTER)).await;
            world.withdraw_to(PAYMASTER, 0);
            let head = world.testkit.chain().block_number();
            assert!(world.bundled().is_empty() && world.waiting().is_empty());
            assert_eq!(world.testkit.chain().block_number(), head, "no block is mined");
            assert_eq!(world.reputation(PAYMASTER), of_paymaster);
            assert_eq!(world.reputation(ACCOUNT), (u64::from(is_staked), 0));
        }
    }
}

#[tokio::test]
async fn who_makes_a_bundle_fail_is_banned() {
    for version in VERSIONS {
        // Alone, the paymaster's deposit is enough for each.
        for is_staked in [false, true] {
            let world = World::new(version);
            if is_staked {
                world.stake(SECOND_ACCOUNT);
            }
            let first = world.operation(ACCOUNT).paid_by(PAYMASTER).tip(2 * GWEI);
            let second = world.operation(SECOND_ACCOUNT).paid_by(PAYMASTER).tip(2 * GWEI);
            let hash = world.send(first).await;
            world.send(second).await;
            world.withdraw_to(PAYMASTER, first.max_cost());
            assert_eq!(world.bundled(), [hash]);
            assert!(world.waiting().is_empty());
            let banned = if is_staked { SECOND_ACCOUNT } else { PAYMASTER };
            let reputation = world.bundler.reputation(version, banned);
            let rules = world.bundler.options().reputation.unwrap();
            assert_eq!(reputation.ops_seen, 10_000);
            assert_eq!(reputation.status(&rules), ReputationStatus::Banned);
        }
        // A factory that creates one account only.
        let world = World::new(version);
        world.stake(FACTORY);
        let hash = world.send(world.creation(1)).await;
        world.send(world.creation(2)).await;
        assert_eq!(world.bundled(), [hash]);
        assert_eq!(world.reputation(FACTORY).0, 10_000);
    }
}

#[tokio::test]
async fn an_account_that_another_validation_reads_has_its_own_bundle() {
    for version in VERSIONS {
        for first in [ACCOUNT, SECOND_ACCOUNT] {
            let world = World::new(version);
            {
                let mut chain = world.testkit.chain();
                chain.set_code(SECOND_ACCOUNT, TOKEN_ACCOUNT_CODE).unwrap();
                chain.set_code(ACCOUNT, asking(SECOND_ACCOUNT)).unwrap();
            }
            let tip = |account| if account == first { 2 * GWEI } else { GWEI };
            let mut hashes = Vec::new();
            for account in [ACCOUNT, SECOND_ACCOUNT] {
                let hash = world.send(world.operation(account).tip(tip(account))).await;
                hashes.push((account, hash));
            }
            hashes.sort_by_key(|(account, _)| *account != first);
            assert_eq!(world.bundled(), [hashes[0].1]);
            assert_eq!(world.waiting(), [hashes[1].1], "it did nothing wrong");
            assert_eq!(world.bundled(), [hashes[1].1]);
        }
    }
}

#[tokio::test]
async fn an_operation_whose_code_changes_is_dropped() {
    for version in VERSIONS {
        let world = World::new(version);
        world.send(world.operation(ACCOUNT)).await;
        // It does the same; it is not the same.
        let code = [&ACCOUNT_CODE[..], &[0]].concat();
        world.testkit.chain().set_code(ACCOUNT, code).unwrap();
        assert!(world.bundled().is_empty() && world.waiting().is_empty());
        let hash = world.send(world.operation(ACCOUNT)).await;
        assert_eq!(world.bundled(), [hash]);
    }
}

#[tokio::test]
async fn a_dump_shows_operations_as_they_were_written() {
    for version in VERSIONS {
        let world = World::new(version);
        let mut wire = world.operation(ACCOUNT).wire();
        wire["sender"] = json!(ACCOUNT.to_checksum(None));
        wire["nonce"] = json!("0x00");
        // As of another version, or unknown, and absent all the same.
        wire["aggregator"] = Value::Null;
        let params = json!([wire, version.address()]);
        answer_of(&world.bundler.client(), "eth_sendUserOperation", params).await;
        let dump = world
            .debug("debug_bundler_dumpMempool", json!([version.address()]))
            .await;
        assert_eq!(dump, json!([wire]));
    }
}

/// Bundlers may ask for no more than what a bundle of one small operation costs, about.
#[tokio::test]
async fn a_small_operation_needs_little_pre_verification_gas() {
    for version in VERSIONS {
        let world = World::new(version);
        let enough = if version == EntryPointVersion::V06 {
            43_000
        } else {
            42_000
        };
        for (gas, is_taken) in [(38_000, false), (enough, true)] {
            let mut wire = world.operation(ACCOUNT).wire();
            wire["callData"] = json!("0x01020304");
            wire["preVerificationGas"] = json!(U256::from(gas));
            let params = json!([wire, version.address()]);
            let answer = world
                .bundler
                .client()
                .request::<_, B256>("eth_sendUserOperation", params)
                .await;
            assert_eq!(answer.is_ok(), is_taken, "{version:?}, {gas}: {answer:?}");
            if let Err(error) = answer {
                let error = error.as_error_resp().unwrap();
                assert_eq!(error.code, -32602);
                assert!(error.message.contains("preVerificationGas"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn tests_rule_over_the_bundler() {
    for version in VERSIONS {
        let world = World::new(version);
        let entry_point = version.address();
        let done = json!("ok");
        let operation = world.operation(ACCOUNT).paid_by(PAYMASTER);
        let hash = world.send(operation).await;
        let dump = || world.debug("debug_bundler_dumpMempool", json!([entry_point]));
        let dumped = dump().await;
        let expected = json!([operation.wire()]);
        let members = expected[0].as_object().unwrap();
        for (name, value) in members {
            let same = |value: &Value| value.as_str().unwrap().to_lowercase();
            assert_eq!(same(&dumped[0][name]), same(value), "{name}");
        }

        // The answer comes after the block.
        world.testkit.chain().set_automine(false);
        let head = world.testkit.chain().block_number();
        let transaction = world.debug("debug_bundler_sendBundleNow", json!([])).await;
        assert_eq!(world.testkit.chain().block_number(), head + 1);
        let receipt = world.debug("eth_getUserOperationReceipt", json!([hash])).await;
        assert_eq!(receipt["receipt"]["transactionHash"], transaction);
        assert_eq!(dump().await, json!([]));
        assert_eq!(world.debug("debug_bundler_sendBundleNow", json!([])).await, done);
        assert_eq!(world.testkit.chain().block_number(), head + 1);
        world.testkit.chain().set_automine(true);

        let entries = json!([{"address": PAYMASTER, "opsSeen": 120, "opsIncluded": "0x1"}]);
        let answer = world
            .debug("debug_bundler_setReputation", json!([entries, entry_point]))
            .await;
        assert_eq!(answer, done);
        let reputation = || world.debug("debug_bundler_dumpReputation", json!([entry_point]));
        let entry = json!([{"address": PAYMASTER, "opsSeen": "0x78", "opsIncluded": "0x1", "status": "0x1"}]);
        assert_eq!(reputation().await, entry);
        assert_eq!(world.debug("debug_bundler_clearMempool", json!([])).await, done);
        assert_eq!(reputation().await, entry);
        assert_eq!(
            world.debug("debug_bundler_clearReputation", json!([])).await,
            done
        );
        assert_eq!(reputation().await, json!([]));

        // Nothing is validated.
        world.testkit.chain().set_storage(ACCOUNT, U256::ZERO, U256::ONE);
        let invalid = world.operation(ACCOUNT).lane(7);
        assert_eq!(world.refusal(invalid).await.0, -32507);
        let answer = world
            .debug("debug_bundler_addUserOps", json!([[invalid.wire()], entry_point]))
            .await;
        assert_eq!(answer, done);
        assert_eq!(world.waiting().len(), 1);
        assert_eq!(world.debug("debug_bundler_clearState", json!([])).await, done);
        assert_eq!(dump().await, json!([]));
        world.testkit.chain().set_storage(ACCOUNT, U256::ZERO, U256::ZERO);

        let answer = world
            .debug("debug_bundler_setBundlingMode", json!(["auto"]))
            .await;
        assert_eq!(answer, done);
        let hash = world.send(operation.lane(1)).await;
        let receipt = world.debug("eth_getUserOperationReceipt", json!([hash])).await;
        assert_eq!(receipt["success"], json!(true));
        world
            .debug("debug_bundler_setBundlingMode", json!(["manual"]))
            .await;
        let hash = world.send(operation.lane(2)).await;
        assert_eq!(world.waiting(), [hash]);

        let stake = |address: Address| {
            let params = json!([address, entry_point]);
            world.debug("debug_bundler_getStakeStatus", params)
        };
        assert_eq!(
            stake(PAYMASTER).await,
            json!({
                "stakeInfo": {"addr": PAYMASTER.to_checksum(None), "stake": "0", "unstakeDelaySec": "0"},
                "isStaked": false,
            })
        );
        world.stake(PAYMASTER);
        assert_eq!(
            stake(PAYMASTER).await,
            json!({
                "stakeInfo": {"addr": PAYMASTER.to_checksum(None), "stake": "1000000000000000000", "unstakeDelaySec": "86400"},
                "isStaked": true,
            })
        );
    }
}

#[tokio::test]
async fn only_tests_rule_over_the_bundler() {
    let world = World::new(EntryPointVersion::V07);
    let client = world.bundler.client();
    let (code, _) = failure_of(&client, "debug_bundler_setBundlingMode", json!(["sometimes"])).await;
    assert_eq!(code, -32602);
    let (code, _) = failure_of(&client, "debug_bundler_dumpMempool", json!([PAYMASTER])).await;
    assert_eq!(code, -32602);
    let (code, _) = failure_of(&client, "debug_bundler_nothing", json!([])).await;
    assert_eq!(code, -32601);
    world.bundler.change(|options| options.debug_methods = false);
    let (code, _) = failure_of(&client, "debug_bundler_clearState", json!([])).await;
    assert_eq!(code, -32601);
}

#[tokio::test]
async fn a_hash_that_is_none_is_named() {
    let world = World::new(EntryPointVersion::V06);
    let client = world.bundler.client();
    for method in ["eth_getUserOperationByHash", "eth_getUserOperationReceipt"] {
        let refusal = failure_of(&client, method, json!([""])).await;
        assert_eq!(refusal, (-32602, "Missing/invalid userOpHash".to_owned()));
    }
}
