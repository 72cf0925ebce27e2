use crate::{Generation, views};
use alloy::{
    primitives::{Address, B256, Bytes, address, hex},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use session_key_bindings::{
    IEntryPoint, IEntryPointV07, IModularAccount::executeFromPluginExternalCall, IPlugin, ISessionKeyPlugin,
    IStandardExecutor, IValidationModule,
};
use session_key_client::{
    Call, UserOperation,
    account::{Generation as AccountGeneration, Validations},
    permissions::{AbiOperation, DUMMY_SIGNATURE, RuleSet, model::KeyState, nonce},
};
use session_key_testkit::{CallKind, CallTrace, Chain, ChainConfig, ChainError, Execution, Stack, StackV08};

/// The account: to the plugin, whoever calls it is one. Its code answers `executeFromPluginExternal`,
/// `execute`, `executeBatch` and every other call with empty bytes, or an empty array of them; what it was
/// asked for is in the trace.
pub const ACCOUNT: Address = address!("0x00000000000000000000000000000000acc00227");

/// `return abi.encode(bytes(""))`.
const ACCOUNT_CODE: [u8; 8] = hex!("60205f5260405ff3");

/// A chain with the EntryPoint, the plugin and the account.
#[derive(Debug)]
pub struct World {
    /// The chain.
    pub chain: Chain,
    /// The contracts.
    pub stack: Stack,
    /// What the account is of.
    pub generation: Generation,
    base: u64,
}

impl World {
    /// Deploys everything. `plugin`: creation code of the session key plugin, or module, if not that
    /// of the bindings.
    pub fn new(generation: Generation, plugin: Option<&Bytes>) -> Result<Self, ChainError> {
        // No id that any code could take for granted.
        let chain_id = 0x00c0_ffee_1234_5678;
        let mut chain = Chain::new(ChainConfig {
            chain_id,
            ..Default::default()
        });
        let stack = deploy(&mut chain, generation, plugin)?;
        chain.set_code(ACCOUNT, ACCOUNT_CODE)?;
        views::deploy(&mut chain, stack.session_key_plugin)?;
        let base = chain.snapshot();
        Ok(Self {
            chain,
            stack,
            generation,
            base,
        })
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

    /// A call of the plugin by the account.
    pub fn as_account(&self, call_data: impl Into<Bytes>) -> TransactionRequest {
        TransactionRequest::default()
            .from(ACCOUNT)
            .to(self.stack.session_key_plugin)
            .input(call_data.into().into())
    }

    /// Calls the plugin as the account, in a block of its own.
    pub fn send(&mut self, call: &impl SolCall) -> Result<Execution, ChainError> {
        let request = self.as_account(call.abi_encode());
        self.chain.send(request)
    }

    /// Registers a key.
    pub fn add_key(&mut self, session_key: Address, updates: Vec<Bytes>) -> Result<Execution, ChainError> {
        self.send(&ISessionKeyPlugin::addSessionKeyCall {
            sessionKey: session_key,
            tag: B256::ZERO,
            permissionUpdates: updates,
        })
    }

    /// A key of the account's that was just added, without permissions.
    pub fn fresh(&self, session_key: Address) -> KeyState {
        with_rules(
            KeyState::fresh(ACCOUNT, session_key),
            self.generation,
            &self.stack,
        )
    }

    /// An operation of the account's that asks for nothing, in the session key's own lane.
    pub fn operation(&self, call_data: Bytes, session_key: Address) -> UserOperation {
        let account = match self.generation {
            Generation::V07 => AccountGeneration::V07,
            Generation::V08 => AccountGeneration::V08(Validations::default()),
        };
        UserOperation {
            version: account.entry_point_version(),
            sender: ACCOUNT,
            nonce: nonce(account.session_key_nonce_key(session_key), 0),
            call_data,
            signature: DUMMY_SIGNATURE,
            ..Default::default()
        }
    }

    /// What the EntryPoint says is the hash of an operation.
    pub fn user_operation_hash(&self, operation: UserOperation) -> Result<B256, ChainError> {
        let entry_point = self.stack.entry_point;
        match operation.into() {
            AbiOperation::Unpacked(operation) => {
                let call = IEntryPoint::getUserOpHashCall { userOp: operation };
                self.chain.read(ACCOUNT, entry_point, &call)
            }
            AbiOperation::Packed(operation) => {
                let call = IEntryPointV07::getUserOpHashCall { userOp: operation };
                self.chain.read(ACCOUNT, entry_point, &call)
            }
        }
    }

    /// Call data of the plugin's validation of an operation, as the account hands it on.
    pub fn validation(&self, operation: UserOperation, hash: B256) -> Bytes {
        match operation.into() {
            AbiOperation::Unpacked(operation) => IPlugin::userOpValidationFunctionCall {
                functionId: 0,
                userOp: operation,
                userOpHash: hash,
            }
            .abi_encode(),
            AbiOperation::Packed(operation) => IValidationModule::validateUserOpCall {
                entityId: Validations::default().session_keys,
                userOp: operation,
                userOpHash: hash,
            }
            .abi_encode(),
        }
        .into()
    }

    /// The calls that the plugin asks the account to make, in a trace of a call of the plugin's.
    ///
    /// # Errors
    ///
    /// A call of the account that asks for none.
    pub fn asked_for(&self, trace: &CallTrace) -> Result<Vec<Call>, alloy::sol_types::Error> {
        let mut calls = Vec::new();
        let asked = trace.calls.iter();
        for call in asked.filter(|call| call.to == Some(ACCOUNT) && call.kind == CallKind::Call) {
            if self.generation.is_v08() {
                if let Ok(one) = IStandardExecutor::executeCall::abi_decode_validate(&call.input) {
                    calls.push(Call::new(one.target, one.data).with_value(one.value));
                } else {
                    let batch = IStandardExecutor::executeBatchCall::abi_decode_validate(&call.input)?;
                    let batch = batch.calls.into_iter();
                    calls.extend(batch.map(|one| Call::new(one.target, one.data).with_value(one.value)));
                }
            } else {
                let one = executeFromPluginExternalCall::abi_decode_validate(&call.input)?;
                calls.push(Call::new(one.target, one.data).with_value(one.value));
            }
        }
        Ok(calls)
    }

    /// Reads everything that `footprint` names by the plugin's views. Equal to it if the chain is as it says.
    pub fn read_state(&self, footprint: &KeyState) -> Result<KeyState, ChainError> {
        views::read_key(&self.chain, footprint)
    }
}

/// Deploys the contracts of a generation, with this code as the session key plugin. Those of v0.8 are in the
/// places of those of v0.7 that do the same; in the place of the owner plugin is a module that validates,
/// which no account here has installed.
pub(crate) fn deploy(
    chain: &mut Chain,
    generation: Generation,
    plugin: Option<&Bytes>,
) -> Result<Stack, ChainError> {
    let stack = match generation {
        Generation::V07 => Stack::deploy(chain)?,
        Generation::V08 => {
            let stack = StackV08::deploy(chain)?;
            Stack {
                entry_point: stack.entry_point,
                multi_owner_plugin: stack.single_signer_module,
                session_key_plugin: stack.session_key_module,
                account_implementation: stack.semi_modular_implementation,
                account_factory: stack.account_factory,
                token: stack.token,
                paymaster: stack.paymaster,
            }
        }
    };
    if let Some(plugin) = plugin {
        let deployed = chain.deploy(ACCOUNT, plugin.clone())?;
        chain.set_code(stack.session_key_plugin, chain.code(deployed))?;
    }
    Ok(stack)
}

/// The key, with the rules of the generation's plugin.
pub(crate) fn with_rules(mut state: KeyState, generation: Generation, stack: &Stack) -> KeyState {
    if generation.is_v08() {
        state.rule_set = RuleSet::Module(stack.session_key_plugin);
        state.modules = [stack.multi_owner_plugin].into();
    }
    state
}
