//! The account itself, with its plugins and the EntryPoint, as it is on a live chain: what the properties of
//! whole operations run against.

use crate::{
    Generation,
    views::{self, Found},
    world::{self, with_rules},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, address, aliases::U192, b256, uint},
    rpc::types::TransactionRequest,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolCall, SolEvent},
};
use session_key_bindings::{IEntryPoint, function_id, manifest_hash};
use session_key_client::{
    Call, UserOperation,
    account::{Generation as AccountGeneration, Validations},
    calldata::{self, FunctionReference, NewSessionKey, UninstallConfig},
    permissions::{
        AaCode, ERC20_APPROVE, ERC20_TRANSFER, PaymasterFields, ValidationNonceKey, model::KeyState,
    },
    revert::Revert,
    v08::{self, ModuleEntity, calldata::EntityIdError},
};
use session_key_testkit::{
    CallOptions, CallTrace, Chain, ChainConfig, ChainError, Stack, StackV08, TestToken,
};

/// When the first key gets its permissions, unix seconds.
pub const START: u64 = 1_800_000_000;

/// A contract without code: every call to it succeeds.
pub const SHOP: Address = Address::repeat_byte(0x51);

/// A contract that refuses every call.
pub const REFUSER: Address = Address::repeat_byte(0xfe);

/// Who gets tokens and allowances.
pub const RECIPIENT: Address = Address::repeat_byte(0x0e);

/// Wei that the account holds: too little for some calls. Its gas is paid from its deposit.
pub const BALANCE: U256 = uint!(80_U256);

/// Base units of the token that the account holds.
pub const TOKENS: U256 = uint!(80_U256);

/// Wei that the account has deposited in the EntryPoint, and each paymaster.
pub const DEPOSIT: U256 = uint!(1_000_000_000_000_000_000_000_000_000_000_U256);

/// Who sends bundles, and is paid for them.
const BUNDLER: Address = address!("0x00000000000000000000000000000000000b0d1e");

/// Gas units that a callback gets which is to fail.
const STARVED: U256 = uint!(100_U256);

const OWNER_KEY: B256 = b256!("0x000000000000000000000000000000000000000000000000000000000000a00e");

/// No id that any code could take for granted.
pub(crate) const CHAIN_ID: u64 = 0x00c0_ffee_1234_5678;

/// A chain with the whole stack, and two accounts that have the session key plugin, without keys.
#[derive(Debug)]
pub struct AccountWorld {
    /// The chain.
    pub chain: Chain,
    /// The contracts.
    pub stack: Stack,
    /// The account whose keys are tested.
    pub account: Address,
    /// Another one, of the same owner.
    pub other_account: Address,
    /// Two paymasters that pay for every operation.
    pub paymasters: [Address; 2],
    /// The owner of both accounts.
    pub owner: PrivateKeySigner,
    /// What the accounts are of.
    pub generation: Generation,
    /// How their operations select the validation.
    pub account_generation: AccountGeneration,
    base: u64,
}

/// What the EntryPoint made of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bundle {
    /// An operation is refused in validation, and with it the bundle.
    Refused {
        /// Which one, where the EntryPoint says so.
        index: Option<usize>,
        /// Why.
        code: AaCode,
    },
    /// All operations are included.
    Included(Vec<Included>),
}

/// What came of an operation that was included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Its hash.
    pub hash: B256,
    /// Whether its call succeeded.
    pub success: bool,
    /// What its call reverted with; empty: nothing.
    pub revert_data: Bytes,
    /// What it cost, in wei.
    pub cost: U256,
}

impl Included {
    /// Whether its call reverted with an error of the session key plugin, or of the module.
    pub fn is_plugins_refusal(&self) -> bool {
        let revert = Revert::decode(&self.revert_data);
        !self.success && matches!(revert, Revert::Plugin(_) | Revert::Module(_))
    }
}

impl AccountWorld {
    /// Deploys everything, and installs the plugin on both accounts: semi-modular ones, of ERC-6900 v0.8.
    /// `plugin`: its creation code, if not that of the bindings.
    pub fn new(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let mut chain = Chain::new(ChainConfig {
            chain_id: CHAIN_ID,
            ..Default::default()
        });
        let stack = world::deploy(&mut chain, generation, plugin)?;
        views::deploy(&mut chain, stack.session_key_plugin)?;
        let owner = PrivateKeySigner::from_bytes(&OWNER_KEY)?;
        chain.set_balance(owner.address(), U256::MAX >> 1);
        let (account_generation, plan) = match generation {
            Generation::V07 => (AccountGeneration::V07, Stack::plan(owner.address()).1),
            Generation::V08 => (AccountGeneration::V08(Validations::default()), StackV08::plan().1),
        };
        let mut create = |salt: u64| {
            let salt = U256::from(salt);
            match generation {
                Generation::V07 => stack.create_account(&mut chain, salt, &[owner.address()]),
                Generation::V08 => {
                    let (stack, _) = StackV08::plan();
                    stack.create_semi_modular_account(&mut chain, owner.address(), salt)
                }
            }
        };
        let (other_account, account) = (create(1)?, create(0)?);
        let paymaster = plan
            .into_iter()
            .find(|deployment| deployment.address == stack.paymaster)
            .ok_or_else(|| eyre::eyre!("the stack has no paymaster"))?;
        let paymasters = [stack.paymaster, chain.deploy(BUNDLER, paymaster.init_code)?];
        let mut world = Self {
            chain,
            stack,
            account,
            other_account,
            paymasters,
            owner,
            generation,
            account_generation,
            base: 0,
        };
        let owner = world.owner.address();
        for account in [account, other_account] {
            let request = TransactionRequest::default()
                .from(owner)
                .to(account)
                .input(world.install(account, &[]).into());
            world.chain.send(request)?.ok()?;
        }
        for depositor in [account, other_account, paymasters[0], paymasters[1]] {
            let deposit = IEntryPoint::depositToCall { account: depositor };
            let request = TransactionRequest::default()
                .from(owner)
                .to(stack.entry_point)
                .value(DEPOSIT)
                .input(deposit.abi_encode().into());
            world.chain.send(request)?.ok()?;
        }
        stack.mint(&mut world.chain, account, TOKENS)?;
        world.chain.set_balance(account, BALANCE);
        // PUSH0 PUSH0 REVERT
        world.chain.set_code(REFUSER, [0x5f, 0x5f, 0xfd])?;
        world.chain.mine_at(START - 1)?;
        world.keep();
        Ok(world)
    }

    const fn is_v08(&self) -> bool {
        self.generation.is_v08()
    }

    /// A key that was just added, without permissions.
    pub(crate) fn fresh(&self, session_key: Address) -> KeyState {
        with_rules(
            KeyState::fresh(self.account, session_key),
            self.generation,
            &self.stack,
        )
    }

    /// A key that is none.
    pub(crate) fn unregistered(&self, session_key: Address) -> KeyState {
        with_rules(
            KeyState::unregistered(self.account, session_key),
            self.generation,
            &self.stack,
        )
    }

    /// The nonce key of a session key in this lane; `None`: its own.
    pub(crate) fn nonce_key(&self, session_key: Address, lane: Option<u64>) -> U256 {
        let own = self.account_generation.session_key_nonce_key(session_key);
        U256::from(match (lane, self.is_v08()) {
            (None, _) => own,
            (Some(lane), false) => U192::from(lane),
            (Some(lane), true) => ValidationNonceKey {
                lane: U192::from(lane),
                ..ValidationNonceKey::from_nonce_key(own)
            }
            .nonce_key(),
        })
    }

    /// `paymasterAndData` with this paymaster and so much gas for it.
    pub(crate) fn paymaster_data(&self, paymaster: Address, gas: u64) -> Bytes {
        if self.is_v08() {
            let fields = PaymasterFields {
                paymaster,
                verification_gas_limit: gas.into(),
                post_op_gas_limit: gas.into(),
                data: Bytes::new(),
            };
            fields.pack()
        } else {
            paymaster.to_vec().into()
        }
    }

    /// A session key's signature as the account takes it.
    pub(crate) fn formed(&self, signature: &[u8]) -> Bytes {
        if self.is_v08() {
            v08::signature::session_key(signature)
        } else {
            Bytes::copy_from_slice(signature)
        }
    }

    /// From here on, [`reset`](Self::reset) goes back to the present.
    pub fn keep(&mut self) {
        self.base = self.chain.snapshot();
    }

    /// Goes back to what all cases start from. To be called before a case, not after: a case that panicked
    /// leaves its state behind.
    pub fn reset(&mut self) -> Result<(), ChainError> {
        self.chain.revert(self.base)?;
        self.base = self.chain.snapshot();
        Ok(())
    }

    /// Call data by which an account installs the plugin with these keys.
    pub fn install(&self, account: Address, keys: &[NewSessionKey]) -> Bytes {
        let AccountGeneration::V08(validations) = self.account_generation else {
            return install(&self.stack, keys);
        };
        let module = self.stack.session_key_plugin;
        let calls =
            v08::calldata::install_session_key_module(account, module, validations.session_keys, keys)
                .expect("an entity id that a module's validation can have");
        calldata::execute_batch(&calls)
    }

    /// Call data by which the account uninstalls the plugin; starved: it does not notice.
    pub(crate) fn uninstall(&self, starved: bool) -> Result<Bytes, EntityIdError> {
        let plugin = self.stack.session_key_plugin;
        let AccountGeneration::V08(validations) = self.account_generation else {
            let config = if starved {
                UninstallConfig {
                    force: true,
                    callback_gas_limit: STARVED,
                    ..Default::default()
                }
            } else {
                UninstallConfig::default()
            };
            return Ok(calldata::uninstall_plugin(plugin, &config, Bytes::new()));
        };
        if starved {
            return Ok(self.dismantle([false; 3]));
        }
        let entity_id = validations.session_keys;
        let calls = v08::calldata::uninstall_session_key_module(self.account, plugin, entity_id)?;
        Ok(calldata::execute_batch(&calls))
    }

    /// Call data by which a v0.8 account takes the module off: the validation of operations, that of direct
    /// calls, its functions. `told`: with which of them the module is told.
    pub(crate) fn dismantle(&self, told: [bool; 3]) -> Bytes {
        let module = self.stack.session_key_plugin;
        let [operations, direct_calls, functions] =
            told.map(|told| Bytes::from_static(if told { &[1] } else { &[] }));
        let entity_id = self.entity_id();
        let calls = [
            v08::calldata::uninstall_validation(ModuleEntity::new(module, entity_id), operations, Vec::new()),
            v08::calldata::uninstall_validation(ModuleEntity::direct_call(module), direct_calls, Vec::new()),
            v08::calldata::uninstall_execution(
                module,
                v08::calldata::session_key_module_manifest(),
                functions,
            ),
        ];
        calldata::execute_batch(&calls.map(|data| Call::new(self.account, data)))
    }

    /// Call data by which a v0.8 account installs the module, and does not tell it so.
    pub(crate) fn reassemble(&self) -> Result<Bytes, EntityIdError> {
        let module = self.stack.session_key_plugin;
        let mut calls =
            v08::calldata::install_session_key_module(self.account, module, self.entity_id(), &[])?;
        let manifest = v08::calldata::session_key_module_manifest();
        calls[0].data = v08::calldata::install_execution(module, manifest, Bytes::new());
        Ok(calldata::execute_batch(&calls))
    }

    fn entity_id(&self) -> u32 {
        match self.account_generation {
            AccountGeneration::V08(validations) => validations.session_keys,
            _ => Validations::default().session_keys,
        }
    }

    /// A transaction, in a block with this timestamp.
    pub fn send(&mut self, from: Address, to: Address, data: Bytes, time: u64) -> Result<Sent, ChainError> {
        self.chain.set_next_timestamp(time)?;
        let request = TransactionRequest::default().from(from).to(to).input(data.into());
        let execution = self.chain.send(request)?;
        Ok(if execution.is_success() {
            Sent::Done
        } else {
            Sent::Reverted(Revert::decode(&execution.output))
        })
    }

    /// The next nonce of an account's lane.
    pub fn nonce(&self, sender: Address, lane: U256) -> Result<U256, ChainError> {
        let call = IEntryPoint::getNonceCall {
            sender,
            key: lane.to(),
        };
        self.chain.read(Address::ZERO, self.stack.entry_point, &call)
    }

    /// The nonce key of the owner's operations.
    pub(crate) fn owner_nonce_key(&self) -> U256 {
        U256::from(self.account_generation.owner_nonce_key(U192::ZERO))
    }

    /// An owner's signature as the account takes it.
    pub(crate) fn formed_by_owner(&self, signature: &[u8]) -> Bytes {
        if self.is_v08() {
            v08::signature::owner(signature)
        } else {
            Bytes::copy_from_slice(signature)
        }
    }

    /// Signs the hash, without the form that the account wants around the signature. Returns the hash.
    pub fn sign(&self, operation: &mut UserOperation, signer: &PrivateKeySigner) -> eyre::Result<B256> {
        let hash = self.hash(operation);
        operation.signature = signer.sign_message_sync(hash.as_slice())?.as_bytes().into();
        Ok(hash)
    }

    /// The hash of an operation.
    pub fn hash(&self, operation: &UserOperation) -> B256 {
        operation.hash(self.stack.entry_point, CHAIN_ID)
    }

    /// `handleOps`, in a block with this timestamp.
    pub fn handle_ops(&mut self, operations: &[UserOperation], time: u64) -> eyre::Result<Bundle> {
        self.chain.set_next_timestamp(time)?;
        let execution = self.chain.send(self.bundle(operations))?;
        if !execution.is_success() {
            let revert = Revert::decode(&execution.output);
            let (index, code) = match &revert {
                Revert::FailedOp(failed) => (Some(failed.op_index.saturating_to()), failed.code),
                // Of the bundle as a whole.
                Revert::Error(reason) => (None, AaCode::parse(reason)),
                _ => (None, None),
            };
            let code = code.ok_or_else(|| eyre::eyre!("the EntryPoint fails: {revert}"))?;
            return Ok(Bundle::Refused { index, code });
        }
        let mut included = Vec::new();
        let mut revert_data = Bytes::new();
        for log in execution
            .logs
            .iter()
            .filter(|log| log.address == self.stack.entry_point)
        {
            if let Ok(event) = IEntryPoint::UserOperationRevertReason::decode_log(log) {
                revert_data = event.data.revertReason;
            } else if let Ok(event) = IEntryPoint::UserOperationEvent::decode_log(log) {
                included.push(Included {
                    hash: event.userOpHash,
                    success: event.success,
                    revert_data: std::mem::take(&mut revert_data),
                    cost: event.actualGasCost,
                });
            }
        }
        Ok(Bundle::Included(included))
    }

    /// What calls `handleOps` would make, in a block after the latest.
    pub fn trace_ops(&self, operations: &[UserOperation]) -> Result<CallTrace, ChainError> {
        self.chain
            .trace(&self.bundle(operations), &CallOptions::pending())
    }

    fn bundle(&self, operations: &[UserOperation]) -> TransactionRequest {
        let call = calldata::handle_ops(operations.iter().cloned(), BUNDLER)
            .expect("all operations of a bundle are for one EntryPoint");
        TransactionRequest::default()
            .from(BUNDLER)
            .to(self.stack.entry_point)
            .input(call.into())
    }

    /// What the account answers to the EntryPoint: packed validation data, or what it reverts with.
    pub fn validation(&self, operation: &UserOperation, hash: B256) -> Result<Bytes, ChainError> {
        let call = calldata::validate_user_op(operation.clone(), hash, U256::ZERO);
        let request = TransactionRequest::default()
            .from(self.stack.entry_point)
            .to(operation.sender)
            .input(call.into());
        self.chain.call(&request)
    }

    /// Reads the account's keys, and everything that the footprints name of each of theirs.
    pub(crate) fn read(&self, footprints: &[KeyState]) -> Result<Found, ChainError> {
        views::read_account(&self.chain, self.account, footprints)
    }

    /// What the account holds.
    pub fn holdings(&self) -> Result<Holdings, ChainError> {
        let account = self.account;
        let token = self.stack.token;
        let tokens = self
            .chain
            .read(account, token, &TestToken::balanceOfCall { account })?;
        let allowance = TestToken::allowanceCall {
            owner: account,
            spender: RECIPIENT,
        };
        Ok(Holdings {
            wei: self.chain.balance(account),
            tokens,
            allowance: self.chain.read(account, token, &allowance)?,
            deposit: self.chain.read(
                account,
                self.stack.entry_point,
                &IEntryPoint::balanceOfCall { account },
            )?,
        })
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It did what it was to do.
    Done,
    /// It reverted.
    Reverted(Revert),
}

fn install(stack: &Stack, keys: &[NewSessionKey]) -> Bytes {
    calldata::install_plugin(
        stack.session_key_plugin,
        manifest_hash::SESSION_KEY_PLUGIN,
        calldata::session_key_plugin_install_data(keys),
        &[
            FunctionReference::new(
                stack.multi_owner_plugin,
                function_id::RUNTIME_VALIDATION_OWNER_OR_SELF,
            ),
            FunctionReference::new(stack.multi_owner_plugin, function_id::USER_OP_VALIDATION_OWNER),
        ],
    )
}

/// What an account holds, as far as its session keys can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Wei of its own.
    pub wei: U256,
    /// Base units of the token.
    pub tokens: U256,
    /// Base units of the token that [`RECIPIENT`] may take.
    pub allowance: U256,
    /// Wei deposited in the EntryPoint.
    pub deposit: U256,
}

impl Holdings {
    /// What they are after the account has made these calls, for each of which the plugin is happy: all, or
    /// none of them succeed. Returns whether they do.
    pub fn call(&mut self, world: &AccountWorld, calls: &[Call]) -> bool {
        let mut after = self.clone();
        let done = calls.iter().all(|call| after.call_one(world, call));
        if done {
            *self = after;
        }
        done
    }

    fn call_one(&mut self, world: &AccountWorld, call: &Call) -> bool {
        let Some(left) = self.wei.checked_sub(call.value) else {
            return false;
        };
        let stack = &world.stack;
        // The account speaks to no plugin for another.
        if [REFUSER, stack.session_key_plugin, stack.multi_owner_plugin].contains(&call.target) {
            return false;
        }
        self.wei = left;
        if call.target == stack.entry_point {
            // Without data, wei is a deposit.
            self.deposit += call.value;
            return call.data.is_empty();
        }
        if call.target == stack.token {
            return call.value.is_zero() && self.call_token(world, &call.data);
        }
        true
    }

    /// ERC-20 `transfer` and `approve`; the token has no other function among those that are called here.
    fn call_token(&mut self, world: &AccountWorld, data: &[u8]) -> bool {
        // The address has no dirty bits; what follows the amount is ignored.
        let Some((head, amount)) = data.get(..68).map(|data| data.split_at(36)) else {
            return false;
        };
        let (selector, to) = head.split_at(4);
        let (padding, to) = to.split_at(12);
        let (to, amount) = (Address::from_slice(to), U256::from_be_slice(amount));
        if padding != [0; 12] {
            return false;
        }
        if selector == ERC20_TRANSFER.as_slice() && amount <= self.tokens {
            if to != world.account {
                self.tokens -= amount;
            }
            true
        } else if selector == ERC20_APPROVE.as_slice() {
            if to == RECIPIENT {
                self.allowance = amount;
            }
            true
        } else {
            false
        }
    }
}
