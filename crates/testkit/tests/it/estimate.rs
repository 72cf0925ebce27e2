//! Estimates suffice for random operations, and are not excessive.

use crate::{
    requests::answer_of,
    session::Session,
    session_v08::{Kind, SessionV08, owners_nonce_key, pair},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, hex},
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::SolCall,
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    test_runner::{Config, FileFailurePersistence},
};
use serde_json::{Value, json};
use session_key_bindings::{
    Call, ENTRY_POINT, ENTRY_POINT_V07, IAccountFactoryV08, IAccountV08, IEntryPoint, IEntryPointV07,
    IModularAccount, IModularAccountFactory,
    ISessionKeyPermissionsUpdates::{setAccessListTypeCall, setGasSpendLimitCall},
    ISessionKeyPlugin, PackedUserOperation, UserOperation,
};
use session_key_testkit::{Bundler, BundlerOptions, CallTrace, Chain, Testkit, dev_accounts};
use std::sync::LazyLock;

const ETHER: u64 = 1_000_000_000_000_000_000;
const GWEI: u64 = 1_000_000_000;

/// The contracts that run the random programs, each of which may call the next.
const CONTRACTS: [Address; 3] = [
    Address::repeat_byte(0xc0),
    Address::repeat_byte(0xc1),
    Address::repeat_byte(0xc2),
];
const ACCOUNT: Address = Address::repeat_byte(0xac);
const PAYMASTER: Address = Address::repeat_byte(0xba);

/// Something that a contract does.
#[derive(Clone, Debug)]
enum Step {
    Store {
        slot: u8,
        value: u8,
    },
    Increment {
        slot: u8,
    },
    Work {
        rounds: u16,
    },
    Memory {
        offset: u16,
    },
    Log,
    /// Reverts unless there is so much gas left.
    NeedsGas(u32),
    /// Uses a 64th of the gas that it was given.
    UsesAPart,
    /// Calls the next contract, with all gas or so much. A failure is ignored, or passed on.
    Call {
        gas: Option<u32>,
        ignores_failure: bool,
    },
}

fn step(most_gas: u32) -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u8, 0..3_u8).prop_map(|(slot, value)| Step::Store { slot, value }),
        (0..4_u8).prop_map(|slot| Step::Increment { slot }),
        (1..2_000_u16).prop_map(|rounds| Step::Work { rounds }),
        (0x500..0x4000_u16).prop_map(|offset| Step::Memory { offset }),
        Just(Step::Log),
        (1..most_gas).prop_map(Step::NeedsGas),
        Just(Step::UsesAPart),
        (proptest::option::of(1..most_gas), any::<bool>())
            .prop_map(|(gas, ignores_failure)| Step::Call { gas, ignores_failure }),
    ]
}

/// The code of a contract that does this, and then what `end` does.
fn compile(steps: &[Step], next: Option<Address>, end: &[u8]) -> Vec<u8> {
    // Keeps the gas at the beginning in memory: GAS PUSH2 MSTORE.
    let mut code = hex!("5a61040052").to_vec();
    let mut to_failure = Vec::new();
    // PUSH2 JUMPI, to where the code reverts.
    let mut fail_if = |code: &mut Vec<u8>| {
        to_failure.push(code.len() + 1);
        code.extend(hex!("61000057"));
    };
    for step in steps {
        match step {
            Step::Store { slot, value } => code.extend([0x60, *value, 0x60, *slot, 0x55]),
            Step::Increment { slot } => code.extend([0x60, *slot, 0x54, 0x60, 1, 0x01, 0x60, *slot, 0x55]),
            Step::Work { rounds } => {
                let [high, low] = rounds.to_be_bytes();
                code.extend([0x61, high, low]);
                let [high, low] = u16::try_from(code.len()).unwrap().to_be_bytes();
                // JUMPDEST PUSH1 SWAP1 SUB DUP1 PUSH2 JUMPI POP
                code.extend([0x5b, 0x60, 1, 0x90, 0x03, 0x80, 0x61, high, low, 0x57, 0x50]);
            }
            Step::Memory { offset } => {
                let [high, low] = offset.to_be_bytes();
                code.extend([0x60, 1, 0x61, high, low, 0x52]);
            }
            Step::Log => code.extend(hex!("60205fa0")),
            Step::NeedsGas(gas) => {
                code.push(0x63);
                code.extend(gas.to_be_bytes());
                // GAS LT
                code.extend(hex!("5a10"));
                fail_if(&mut code);
            }
            Step::UsesAPart => {
                let [high, low] = u16::try_from(code.len()).unwrap().to_be_bytes();
                // JUMPDEST, the gas at the beginning less a 64th, GAS GT PUSH2 JUMPI
                code.extend(hex!("5b61040051"));
                code.extend(hex!("8060061c9003"));
                code.extend([0x5a, 0x11, 0x61, high, low, 0x57]);
            }
            Step::Call { gas, ignores_failure } => {
                let Some(next) = next else { continue };
                code.extend(hex!("5f5f5f5f5f73"));
                code.extend(next);
                match gas {
                    None => code.push(0x5a),
                    Some(gas) => {
                        code.push(0x63);
                        code.extend(gas.to_be_bytes());
                    }
                }
                code.push(0xf1);
                if *ignores_failure {
                    code.push(0x50);
                } else {
                    code.push(0x15);
                    fail_if(&mut code);
                }
            }
        }
    }
    code.extend(end);
    let failure = u16::try_from(code.len()).unwrap().to_be_bytes();
    code.extend(hex!("5b5f5ffd"));
    for place in to_failure {
        code[place..place + 2].copy_from_slice(&failure);
    }
    code
}

/// Who sends an operation, and how it is signed.
#[derive(Clone, Debug)]
enum Sender {
    /// An account's owner.
    Owner,
    /// A session key whose gas is limited, so that its costs are booked.
    Key,
    /// The owner, with the operation that creates the account.
    First,
    /// An account that does this for its validation, and needs no signature.
    Program(Vec<Step>),
}

/// An operation.
#[derive(Clone, Debug)]
struct Case {
    /// The generation: with EntryPoint v0.6, or v0.7 and a kind of account.
    v08: Option<bool>,
    sender: Sender,
    /// What a paymaster does, both for its validation and after the operation.
    paymaster: Option<Vec<Step>>,
    programs: [Vec<Step>; 3],
    /// What is in the contracts' storage.
    stored: [bool; 4],
    /// What the sender has deposited, in wei.
    deposit: u64,
    names_fees: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let program = || vec(step(300_000), 0..6);
    let of_validation = || vec(step(60_000), 0..4);
    let sender = prop_oneof![
        3 => Just(Sender::Owner),
        3 => Just(Sender::Key),
        2 => Just(Sender::First),
        2 => of_validation().prop_map(Sender::Program),
    ];
    let programs = [program(), program(), program()];
    (
        proptest::option::of(any::<bool>()),
        sender,
        proptest::option::of(of_validation()),
        programs,
        any::<[bool; 4]>(),
        prop_oneof![Just(0), Just(1_000_000_u64), Just(ETHER)],
        any::<bool>(),
    )
        .prop_map(
            |(v08, sender, paymaster, programs, stored, deposit, names_fees)| Case {
                v08,
                sender,
                paymaster,
                programs,
                stored,
                deposit,
                names_fees,
            },
        )
}

/// Limits, in gas units.
#[derive(Clone, Copy, Debug)]
struct Limits {
    verification: u128,
    call: u128,
    pre_verification: u128,
    paymaster: u128,
    post_op: u128,
}

const AMPLE: Limits = Limits {
    verification: 1_500_000,
    call: 15_000_000,
    pre_verification: 200_000,
    paymaster: 1_500_000,
    post_op: 1_500_000,
};

/// A chain with accounts of both generations.
struct Base {
    chain: Chain,
    v07: Session,
    v08: [SessionV08; 2],
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let mut v07 = Session::new();
    let updates = |limit: u128| -> Vec<Bytes> {
        let anything = setAccessListTypeCall {
            contractAccessControlType: ISessionKeyPlugin::ContractAccessControlType::ALLOW_ALL_ACCESS,
        };
        let gas = setGasSpendLimitCall {
            spendLimit: U256::from(limit),
            refreshInterval: Default::default(),
        };
        vec![anything.abi_encode().into(), gas.abi_encode().into()]
    };
    let permissions = ISessionKeyPlugin::updateKeyPermissionsCall {
        sessionKey: v07.key.address,
        updates: updates(1 << 80),
    };
    let owner = dev_accounts()[0].address;
    v07.chain.transact(owner, v07.account, &permissions).unwrap();
    let mut chain = v07.chain.clone();
    let v08 = [Kind::SemiModular, Kind::Modular].map(|kind| {
        let mut session = SessionV08::on(chain.clone(), kind);
        let operation = session.owners_operation(permissions.abi_encode().into());
        session.include(vec![operation]);
        chain = session.chain.clone();
        session
    });
    Base { chain, v07, v08 }
});

/// An operation on its way.
struct World {
    testkit: Testkit,
    bundler: Bundler,
}

/// What became of an operation.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Refused(String),
    Included { success: bool, failures: usize },
}

impl Outcome {
    fn is_as_good_as(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Included { success, failures },
                Self::Included {
                    success: other_success,
                    failures: other_failures,
                },
            ) => success >= other_success && failures <= other_failures,
            (Self::Refused(_), Self::Included { .. }) => false,
            (_, Self::Refused(_)) => true,
        }
    }
}

impl Case {
    const fn entry_point(&self) -> Address {
        if self.v08.is_some() {
            ENTRY_POINT_V07
        } else {
            ENTRY_POINT
        }
    }

    fn session_v08(&self) -> Option<&'static SessionV08> {
        Some(&BASE.v08[usize::from(self.v08?)])
    }

    /// A chain with everything that it needs.
    fn chain(&self) -> Chain {
        let mut chain = BASE.chain.clone();
        let nexts = [Some(CONTRACTS[1]), Some(CONTRACTS[2]), None];
        for ((contract, steps), next) in CONTRACTS.into_iter().zip(&self.programs).zip(nexts) {
            chain.set_code(contract, compile(steps, next, &[0x00])).unwrap();
            for (slot, is_stored) in self.stored.into_iter().enumerate() {
                let value = U256::from(7 * u64::from(is_stored));
                chain.set_storage(contract, U256::from(slot), value);
            }
        }
        if let Sender::Program(steps) = &self.sender {
            // Returns a word of zeros.
            let code = compile(steps, Some(CONTRACTS[2]), &hex!("5f5f5260205ff3"));
            chain.set_code(ACCOUNT, code).unwrap();
        }
        if let Some(steps) = &self.paymaster {
            // Returns a context of 32 bytes, and zero.
            let end = hex!("60405f525f60205260206040525f60605260805ff3");
            chain
                .set_code(PAYMASTER, compile(steps, Some(CONTRACTS[2]), &end))
                .unwrap();
            deposit(&mut chain, self.entry_point(), PAYMASTER, ETHER);
        }
        let sender = self.sender(&chain);
        chain.set_balance(sender, U256::from(ETHER));
        let deposited = if matches!(self.sender, Sender::Program(_)) {
            // It does not pay.
            ETHER
        } else {
            self.deposit
        };
        if deposited > 0 {
            deposit(&mut chain, self.entry_point(), sender, deposited);
        }
        chain
    }

    fn creation(&self) -> (Address, Bytes) {
        let (owner, salt) = (dev_accounts()[0].address, U256::from(77));
        match self.session_v08() {
            None => {
                let create = IModularAccountFactory::createAccountCall {
                    salt,
                    owners: vec![owner],
                };
                (BASE.v07.stack.account_factory, create.abi_encode().into())
            }
            Some(session) => {
                let create = IAccountFactoryV08::createSemiModularAccountCall { owner, salt };
                (session.stack.account_factory, create.abi_encode().into())
            }
        }
    }

    fn sender(&self, chain: &Chain) -> Address {
        match (&self.sender, self.session_v08()) {
            (Sender::Program(_), _) => ACCOUNT,
            (Sender::First, _) => {
                let (factory, data) = self.creation();
                let request = TransactionRequest::default().to(factory).input(data.into());
                Address::from_slice(&chain.call(&request).unwrap()[12..])
            }
            (_, None) => BASE.v07.account,
            (_, Some(session)) => session.account,
        }
    }

    fn call_data(&self) -> Bytes {
        let data = Bytes::from(vec![1; 100]);
        let target = CONTRACTS[0];
        let value = U256::ZERO;
        match (&self.sender, self.v08) {
            (Sender::Program(_), _) => data,
            (Sender::Key, _) => ISessionKeyPlugin::executeWithSessionKeyCall {
                calls: vec![Call { target, value, data }],
                sessionKey: BASE.v07.key.address,
            }
            .abi_encode()
            .into(),
            (_, None) => IModularAccount::executeCall { target, value, data }
                .abi_encode()
                .into(),
            (_, Some(_)) => IAccountV08::executeCall { target, value, data }
                .abi_encode()
                .into(),
        }
    }

    /// The operation as clients send it, signed or, for an estimate, with a signature of something else.
    fn wire(&self, chain: &Chain, limits: Limits, is_signed: bool) -> Value {
        let sender = self.sender(chain);
        let (tip, max_fee) = (u128::from(GWEI), u128::from(2 * GWEI));
        let init_code: Bytes = if matches!(self.sender, Sender::First) {
            let (factory, data) = self.creation();
            [factory.as_slice(), &data].concat().into()
        } else {
            Bytes::new()
        };
        let signer = match self.sender {
            Sender::Key => BASE.v07.key,
            _ => dev_accounts()[0],
        };
        let sign = |hash: B256, prefix: &[u8]| -> Bytes {
            let hash = if is_signed { hash } else { B256::repeat_byte(9) };
            let signature = signer.signer().sign_message_sync(hash.as_slice()).unwrap();
            [prefix, &signature.as_bytes()].concat().into()
        };
        if self.v08.is_none() {
            let mut operation = UserOperation {
                sender,
                nonce: U256::ZERO,
                initCode: init_code,
                callData: self.call_data(),
                callGasLimit: U256::from(limits.call),
                verificationGasLimit: U256::from(limits.verification),
                preVerificationGas: U256::from(limits.pre_verification),
                maxFeePerGas: U256::from(max_fee),
                maxPriorityFeePerGas: U256::from(tip),
                paymasterAndData: match &self.paymaster {
                    None => Bytes::new(),
                    Some(_) => PAYMASTER.to_vec().into(),
                },
                signature: Bytes::new(),
            };
            if matches!(self.sender, Sender::Key) {
                operation.nonce = BASE.v07.unsigned_transfer(ACCOUNT, 1).nonce;
            }
            let hash = IEntryPoint::getUserOpHashCall {
                userOp: operation.clone(),
            };
            let hash = chain.read(Address::ZERO, ENTRY_POINT, &hash).unwrap();
            return json!({
                "sender": sender,
                "nonce": operation.nonce,
                "initCode": operation.initCode,
                "callData": operation.callData,
                "callGasLimit": operation.callGasLimit,
                "verificationGasLimit": operation.verificationGasLimit,
                "preVerificationGas": operation.preVerificationGas,
                "maxFeePerGas": operation.maxFeePerGas,
                "maxPriorityFeePerGas": operation.maxPriorityFeePerGas,
                "paymasterAndData": operation.paymasterAndData,
                "signature": sign(hash, &[]),
            });
        }
        let session = self.session_v08().unwrap();
        let (nonce, prefix): (U256, &[u8]) = match self.sender {
            Sender::Key => (session.unsigned_transfer(ACCOUNT, 1).nonce, &[0xff]),
            Sender::Owner => (
                session.unsigned(Bytes::new(), owners_nonce_key()).nonce,
                &[0xff, 0],
            ),
            Sender::First => (owners_nonce_key() << 64_usize, &[0xff, 0]),
            Sender::Program(_) => (U256::ZERO, &[]),
        };
        let paymaster = match &self.paymaster {
            None => Bytes::new(),
            Some(_) => SessionV08::paymaster_and_data(PAYMASTER, limits.paymaster, limits.post_op),
        };
        let operation = PackedUserOperation {
            sender,
            nonce,
            initCode: init_code.clone(),
            callData: self.call_data(),
            accountGasLimits: pair(limits.verification, limits.call),
            preVerificationGas: U256::from(limits.pre_verification),
            gasFees: pair(tip, max_fee),
            paymasterAndData: paymaster,
            signature: Bytes::new(),
        };
        let hash = IEntryPointV07::getUserOpHashCall {
            userOp: operation.clone(),
        };
        let hash = chain.read(Address::ZERO, ENTRY_POINT_V07, &hash).unwrap();
        let mut wire = json!({
            "sender": sender,
            "nonce": nonce,
            "callData": operation.callData,
            "callGasLimit": U256::from(limits.call),
            "verificationGasLimit": U256::from(limits.verification),
            "preVerificationGas": operation.preVerificationGas,
            "maxFeePerGas": U256::from(max_fee),
            "maxPriorityFeePerGas": U256::from(tip),
            "signature": sign(hash, prefix),
        });
        if !init_code.is_empty() {
            wire["factory"] = json!(Address::from_slice(&init_code[..20]));
            wire["factoryData"] = json!(Bytes::copy_from_slice(&init_code[20..]));
        }
        if self.paymaster.is_some() {
            wire["paymaster"] = json!(PAYMASTER);
            wire["paymasterVerificationGasLimit"] = json!(U256::from(limits.paymaster));
            wire["paymasterPostOpGasLimit"] = json!(U256::from(limits.post_op));
        }
        wire
    }

    async fn estimate(&self) -> Result<Limits, String> {
        let world = World::of(self);
        let chain = self.chain();
        let mut operation = self.wire(&chain, AMPLE, false);
        let members = operation.as_object_mut().unwrap();
        members.retain(|name, _| {
            let is_fee = name.starts_with("max");
            !name.to_lowercase().contains("gas") || is_fee && self.names_fees
        });
        let params = json!([operation, self.entry_point()]);
        let answer: Value = world
            .bundler
            .client()
            .request("eth_estimateUserOperationGas", params)
            .await
            .map_err(|error| error.to_string())?;
        let gas = |name: &str| {
            answer.get(name).map_or(0, |gas| {
                let gas: U256 = serde_json::from_value(gas.clone()).unwrap();
                gas.to()
            })
        };
        Ok(Limits {
            verification: gas("verificationGasLimit"),
            call: gas("callGasLimit"),
            pre_verification: gas("preVerificationGas"),
            paymaster: gas("paymasterVerificationGasLimit"),
            post_op: gas("paymasterPostOpGasLimit"),
        })
    }

    /// Sends the operation with these limits, on a chain of its own; with its signature, or that
    /// of its estimate.
    async fn send(&self, limits: Limits, is_signed: bool) -> Outcome {
        let world = World::of(self);
        let operation = self.wire(&self.chain(), limits, is_signed);
        let params = json!([operation, self.entry_point()]);
        let client = world.bundler.client();
        let hash: B256 = match client.request("eth_sendUserOperation", params).await {
            Ok(hash) => hash,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let receipt = answer_of(&client, "eth_getUserOperationReceipt", json!([hash])).await;
        if receipt.is_null() {
            return Outcome::Refused("not in the bundle".into());
        }
        let transaction: B256 =
            serde_json::from_value(receipt["receipt"]["transactionHash"].clone()).unwrap();
        let trace = world.testkit.chain().trace_transaction(transaction).unwrap();
        Outcome::Included {
            success: receipt["success"] == json!(true),
            failures: trace.iter().filter(|call| CallTrace::failed(call)).count(),
        }
    }

    /// Whether it is not known when the estimate is made that the sender pays from its deposit.
    fn may_not_pay(&self) -> bool {
        let chain = self.chain();
        let call = IEntryPoint::getDepositInfoCall {
            account: self.sender(&chain),
        };
        let request = TransactionRequest::default()
            .to(self.entry_point())
            .input(Bytes::from(call.abi_encode()).into());
        let deposit = U256::from_be_slice(&chain.call(&request).unwrap()[..32]);
        !self.names_fees && self.paymaster.is_none() && !deposit.is_zero()
    }
}

impl World {
    fn of(case: &Case) -> Self {
        let testkit = Testkit::from(case.chain());
        let bundler = testkit.bundler(BundlerOptions {
            auto: true,
            // The programs keep to nothing.
            rules: None,
            ..Default::default()
        });
        Self { testkit, bundler }
    }
}

fn deposit(chain: &mut Chain, entry_point: Address, account: Address, amount: u64) {
    // Both EntryPoints have it.
    let deposit = IEntryPoint::depositToCall { account };
    let request = TransactionRequest::default()
        .from(dev_accounts()[3].address)
        .to(entry_point)
        .value(U256::from(amount))
        .input(Bytes::from(deposit.abi_encode()).into());
    chain.send(request).unwrap().ok().unwrap();
}

async fn check(case: Case) {
    let best = case.send(AMPLE, true).await;
    let limits = match case.estimate().await {
        Ok(limits) => limits,
        Err(error) => {
            // It is refused only where no gas suffices.
            assert!(
                !matches!(best, Outcome::Included { success: true, .. }),
                "{error}: {best:?}"
            );
            return;
        }
    };
    assert!(matches!(best, Outcome::Included { .. }), "{best:?}");
    let with = case.send(limits, true).await;
    assert!(with.is_as_good_as(&best), "{with:?} with {limits:?}, {best:?}");
    assert!(
        matches!(with, Outcome::Included { success: true, .. }),
        "{with:?}"
    );

    // An eleventh less is a tenth too much.
    let less = |gas: u128| (gas * 10 / 11).saturating_sub(20);
    if limits.call > 1_000 {
        let call = less(limits.call);
        let outcome = case.send(Limits { call, ..limits }, true).await;
        assert!(
            !outcome.is_as_good_as(&best),
            "{limits:?}: {call} is enough: {outcome:?}, {best:?}"
        );
    }
    // A valid signature can cost less than the one that was there for the estimate. Where that one is
    // refused, gas suffices.
    if limits.verification > 1_000 && !case.may_not_pay() {
        let verification = less(limits.verification);
        let lower = Limits {
            verification,
            ..limits
        };
        let outcome = case.send(lower, false).await;
        let suffices = match &outcome {
            Outcome::Refused(problem) => problem.contains("-32507"),
            included => included.is_as_good_as(&best),
        };
        assert!(
            !suffices,
            "{limits:?}: {verification} is enough: {outcome:?}, {best:?}"
        );
    }
}

proptest! {
    #![proptest_config(Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    })]

    #[test]
    fn an_estimate_suffices_for_any_operation_and_is_at_most_a_tenth_too_high(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(case));
    }
}
