//! EntryPoints and an operation's parties.

use crate::assembler::{Code, deploys};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, sol};
use erc7562::{Operation, Parties, Policy, Report, Rule, validate};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    bytecode::opcode::*,
    context::{BlockEnv, CfgEnv, TxEnv, result::ExecutionResult},
    database::InMemoryDB,
    state::{AccountInfo, Bytecode},
};

sol! {
    struct UserOperation {
        address sender;
        uint256 nonce;
        bytes initCode;
        bytes callData;
        uint256 callGasLimit;
        uint256 verificationGasLimit;
        uint256 preVerificationGas;
        uint256 maxFeePerGas;
        uint256 maxPriorityFeePerGas;
        bytes paymasterAndData;
        bytes signature;
    }

    struct PackedUserOperation {
        address sender;
        uint256 nonce;
        bytes initCode;
        bytes callData;
        bytes32 accountGasLimits;
        uint256 preVerificationGas;
        bytes32 gasFees;
        bytes paymasterAndData;
        bytes signature;
    }

    interface Unpacked {
        function handleOps(UserOperation[] ops, address beneficiary);
        function simulateValidation(UserOperation op);
    }

    interface Packed {
        function handleOps(PackedUserOperation[] ops, address beneficiary);
    }

    function depositTo(address account) payable;
    function addStake(uint32 delay) payable;
}

pub(crate) const FACTORY: Address = Address::repeat_byte(0xfa);
pub(crate) const PAYMASTER: Address = Address::repeat_byte(0xba);
/// A contract that is no entity.
pub(crate) const OTHER: Address = Address::repeat_byte(0x07);
/// The account, where it is there already.
const ACCOUNT: Address = Address::repeat_byte(0xac);
const RICH: Address = Address::repeat_byte(0x99);
const VERIFICATION_GAS: u64 = 2_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V06,
    V07,
    V08,
    V09,
}

impl Version {
    pub(crate) const ALL: [Self; 4] = [Self::V06, Self::V07, Self::V08, Self::V09];

    fn creation_code(self) -> Bytes {
        match self {
            Self::V06 => session_key_entry_point::ENTRY_POINT_CODE.bytes(),
            Self::V07 => session_key_entry_point::ENTRY_POINT_V07_CODE.bytes(),
            Self::V08 => session_key_entry_point::ENTRY_POINT_V08_CODE.bytes(),
            Self::V09 => session_key_entry_point::ENTRY_POINT_V09_CODE.bytes(),
        }
    }
}

/// An operation and the contracts that it meets, as instructions that they run in front of a good answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) account: Code,
    pub(crate) factory: Option<Code>,
    /// What the created account's constructor runs.
    pub(crate) constructor: Code,
    pub(crate) paymaster: Option<Code>,
    /// The code at [`OTHER`].
    pub(crate) other: Vec<u8>,
    pub(crate) staked: Vec<Address>,
    pub(crate) account_is_staked: bool,
    /// What the account answers.
    pub(crate) validation_data: U256,
    /// Bytes of the paymaster's context.
    pub(crate) context: u64,
    pub(crate) call_data: Bytes,
}

pub(crate) fn account(code: Code) -> Case {
    Case {
        account: code,
        ..Case::default()
    }
}

pub(crate) fn factory(code: Code) -> Case {
    Case {
        factory: Some(code),
        ..Case::default()
    }
}

pub(crate) fn paymaster(code: Code) -> Case {
    Case {
        paymaster: Some(code),
        ..Case::default()
    }
}

impl Case {
    pub(crate) fn staked(mut self, address: Address) -> Self {
        self.staked.push(address);
        self
    }

    pub(crate) fn other(mut self, code: Code) -> Self {
        self.other = code.build();
        self
    }

    /// The account's address, where a factory creates it.
    pub(crate) fn sender(&self) -> Address {
        if self.factory.is_some() {
            FACTORY.create2(B256::ZERO, keccak256(self.init_code()))
        } else {
            ACCOUNT
        }
    }

    /// Creates the account.
    fn init_code(&self) -> Vec<u8> {
        let constructor = self.constructor.clone().build();
        let mut init_code = constructor.clone();
        // The code that is copied stands so much farther behind.
        let mut deploying = deploys(&self.account_code());
        deploying[4] += u8::try_from(constructor.len()).expect("it is small");
        init_code.extend(deploying);
        init_code
    }

    fn account_code(&self) -> Vec<u8> {
        let answer = Code::new().store(0, self.validation_data).returns(1);
        self.account.clone().then(answer).build()
    }

    fn factory_code(&self) -> Option<Vec<u8>> {
        let code = self.factory.clone()?;
        let creates = Code::new().create(CREATE2, &self.init_code(), 0);
        Some(code.then(creates).op(PUSH0).op(MSTORE).returns(1).build())
    }

    fn paymaster_code(&self) -> Option<Vec<u8>> {
        let answer = Code::new()
            .store(0, U256::from(64))
            .store(32, U256::ZERO)
            .store(64, U256::from(self.context));
        Some(
            self.paymaster
                .clone()?
                .then(answer)
                .returns(3 + self.context.div_ceil(32))
                .build(),
        )
    }

    pub(crate) fn account_code_for_tests(&self) -> Vec<u8> {
        self.account_code()
    }

    pub(crate) fn paymaster_code_for_tests(&self) -> Vec<u8> {
        self.paymaster_code().expect("a paymaster")
    }

    pub(crate) fn report(&self, version: Version) -> Report {
        self.report_with(version, &Policy::default())
    }

    pub(crate) fn report_with(&self, version: Version, policy: &Policy) -> Report {
        let mut world = World::new(version, self);
        let operation = world.operation(self);
        world.validate(&operation, policy)
    }

    /// The broken rules, which are the same with every EntryPoint; the validation passes.
    #[track_caller]
    pub(crate) fn breaks(&self, rules: &[Rule]) {
        for version in Version::ALL {
            let report = self.report(version);
            let broken: Vec<Rule> = report.violations.iter().map(|violation| violation.rule).collect();
            let shown: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            assert_eq!(broken, rules, "{version:?}: {shown:#?}");
            assert_eq!(report.outcome, erc7562::Outcome::Passed, "{version:?}");
        }
    }

    #[track_caller]
    pub(crate) fn is_clean(&self) {
        self.breaks(&[]);
    }
}

pub(crate) struct World {
    pub(crate) db: InMemoryDB,
    pub(crate) entry_point: Address,
    version: Version,
    pub(crate) cfg: CfgEnv,
    pub(crate) block: BlockEnv,
}

impl World {
    pub(crate) fn new(version: Version, case: &Case) -> Self {
        let mut cfg = CfgEnv::default();
        // Larger than what EIP-170 allows: none is, but limits are not what is tested.
        cfg.disable_nonce_check = true;
        let block = BlockEnv {
            number: U256::from(1_000),
            timestamp: U256::from(1_750_000_000_u64),
            gas_limit: 100_000_000,
            basefee: 7,
            ..BlockEnv::default()
        };
        let mut world = Self {
            db: InMemoryDB::default(),
            entry_point: Address::ZERO,
            version,
            cfg,
            block,
        };
        world.cfg.tx_gas_limit_cap = Some(u64::MAX);
        let rich = AccountInfo::from_balance(U256::from(10).pow(U256::from(24)));
        world.db.insert_account_info(RICH, rich);
        let created = world.transact(RICH, TxKind::Create, version.creation_code(), 0);
        world.entry_point = created.created_address().expect("the EntryPoint is created");
        if case.factory.is_none() {
            world.put(case.sender(), &case.account_code());
        }
        if let Some(code) = case.factory_code() {
            world.put(FACTORY, &code);
        }
        if let Some(code) = case.paymaster_code() {
            world.put(PAYMASTER, &code);
        }
        if !case.other.is_empty() {
            world.put(OTHER, &case.other);
        }
        for account in [case.sender(), PAYMASTER] {
            world.deposit(account);
        }
        let stakers = case.account_is_staked.then(|| case.sender());
        for staker in case.staked.iter().copied().chain(stakers) {
            world.stake(staker, 86_400, 1_000_000_000_000_000_000);
        }
        world
    }

    /// Pays for operations of an account or a paymaster in advance.
    pub(crate) fn deposit(&mut self, account: Address) {
        let data = depositToCall { account }.abi_encode();
        let to = TxKind::Call(self.entry_point);
        self.transact(RICH, to, data.into(), 1_000_000_000_000_000_000);
    }

    pub(crate) fn stake(&mut self, staker: Address, delay: u32, amount: u128) {
        let info = self.db.cache.accounts.entry(staker).or_default();
        info.info.balance = U256::from(2 * amount);
        let code = std::mem::take(&mut info.info.code);
        let hash = std::mem::replace(&mut info.info.code_hash, alloy_primitives::KECCAK256_EMPTY);
        let data = addStakeCall { delay }.abi_encode();
        let to = TxKind::Call(self.entry_point);
        // Only for this does it send transactions of its own.
        self.transact(staker, to, data.into(), amount);
        let info = self.db.cache.accounts.entry(staker).or_default();
        (info.info.code, info.info.code_hash) = (code, hash);
    }

    pub(crate) fn put(&mut self, address: Address, code: &[u8]) {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        let info = AccountInfo {
            balance: U256::from(1_000_000),
            nonce: 1,
            code_hash: code.hash_slow(),
            code: Some(code),
            ..AccountInfo::default()
        };
        self.db.insert_account_info(address, info);
    }

    pub(crate) fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        data: Bytes,
        value: u128,
    ) -> ExecutionResult {
        let mut evm = Context::mainnet()
            .with_db(&mut self.db)
            .with_cfg(self.cfg.clone())
            .with_block(self.block.clone())
            .build_mainnet();
        let transaction = TxEnv {
            caller: from,
            kind: to,
            data,
            value: U256::from(value),
            gas_limit: 20_000_000,
            gas_price: 7,
            ..TxEnv::default()
        };
        let result = evm.transact_commit(transaction).expect("it runs");
        assert!(result.is_success(), "{result:?}");
        result
    }

    pub(crate) fn operation(&self, case: &Case) -> Operation {
        let sender = case.sender();
        let init_code = if case.factory.is_some() {
            FACTORY.to_vec()
        } else {
            Vec::new()
        };
        let limits = [0_u64, VERIFICATION_GAS, 0, 100_000].map(u128::from);
        let pack = |high: u128, low: u128| -> B256 {
            [high.to_be_bytes(), low.to_be_bytes()].concat()[..]
                .try_into()
                .expect("32 bytes")
        };
        let mut paymaster_and_data = Vec::new();
        if case.paymaster.is_some() {
            paymaster_and_data.extend(PAYMASTER);
            if self.version > Version::V06 {
                paymaster_and_data.extend(pack(limits[1], limits[3]));
            }
        }
        let parties = Parties::new(self.entry_point, sender, &init_code, &paymaster_and_data);
        let (fee, pre_verification_gas) = (1_000_u64, U256::from(50_000));
        let call = if self.version == Version::V06 {
            let operation = UserOperation {
                sender,
                initCode: init_code.into(),
                callData: case.call_data.clone(),
                callGasLimit: U256::from(limits[3]),
                verificationGasLimit: U256::from(limits[1]),
                preVerificationGas: pre_verification_gas,
                maxFeePerGas: U256::from(fee),
                maxPriorityFeePerGas: U256::from(fee),
                paymasterAndData: paymaster_and_data.into(),
                ..empty_unpacked()
            };
            Unpacked::handleOpsCall {
                ops: vec![operation],
                beneficiary: RICH,
            }
            .abi_encode()
        } else {
            let operation = PackedUserOperation {
                sender,
                nonce: U256::ZERO,
                initCode: init_code.into(),
                callData: case.call_data.clone(),
                accountGasLimits: pack(limits[1], limits[3]),
                preVerificationGas: pre_verification_gas,
                gasFees: pack(fee.into(), fee.into()),
                paymasterAndData: paymaster_and_data.into(),
                signature: Bytes::new(),
            };
            Packed::handleOpsCall {
                ops: vec![operation],
                beneficiary: RICH,
            }
            .abi_encode()
        };
        Operation {
            parties,
            call: call.into(),
            authorization: None,
        }
    }

    pub(crate) fn validate(&mut self, operation: &Operation, policy: &Policy) -> Report {
        validate(&mut self.db, &self.cfg, &self.block, operation, policy).expect("it runs")
    }
}

const fn empty_unpacked() -> UserOperation {
    UserOperation {
        sender: Address::ZERO,
        nonce: U256::ZERO,
        initCode: Bytes::new(),
        callData: Bytes::new(),
        callGasLimit: U256::ZERO,
        verificationGasLimit: U256::ZERO,
        preVerificationGas: U256::ZERO,
        maxFeePerGas: U256::ZERO,
        maxPriorityFeePerGas: U256::ZERO,
        paymasterAndData: Bytes::new(),
        signature: Bytes::new(),
    }
}
