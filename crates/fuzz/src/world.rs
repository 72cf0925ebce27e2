use crate::views;
use alloy::{
    primitives::{Address, B256, Bytes, U256, address, hex},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use session_key_bindings::{IEntryPoint, ISessionKeyPlugin, UserOperation};
use session_key_client::permissions::{DUMMY_SIGNATURE, model::KeyState};
use session_key_testkit::{Chain, ChainConfig, ChainError, Execution, Stack};

/// The account: to the plugin, whoever calls it is one. Its code answers `executeFromPluginExternal`, and every other call,
/// with empty bytes; what it was asked for is in the trace.
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
    base: u64,
}

impl World {
    /// Deploys everything. `plugin`: creation code of the session key plugin, if not that of the bindings.
    pub fn new(plugin: Option<&Bytes>) -> Result<Self, ChainError> {
        // No id that any code could take for granted.
        let chain_id = 0x00c0_ffee_1234_5678;
        let mut chain = Chain::new(ChainConfig {
            chain_id,
            ..Default::default()
        });
        let stack = deploy(&mut chain, plugin)?;
        chain.set_code(ACCOUNT, ACCOUNT_CODE)?;
        views::deploy(&mut chain, stack.session_key_plugin)?;
        let base = chain.snapshot();
        Ok(Self { chain, stack, base })
    }

    /// From here on, [`reset`](Self::reset) goes back to the present.
    pub fn keep(&mut self) {
        self.base = self.chain.snapshot();
    }

    /// Goes back to what all cases start from. To be called before a case, not after: a case that panicked leaves its state
    /// behind.
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

    /// What the EntryPoint says is the hash of an operation.
    pub fn user_operation_hash(&self, operation: UserOperation) -> Result<B256, ChainError> {
        let call = IEntryPoint::getUserOpHashCall { userOp: operation };
        self.chain.read(ACCOUNT, self.stack.entry_point, &call)
    }

    /// Reads everything that `footprint` names by the plugin's views. Equal to it if the chain is as it says.
    pub fn read_state(&self, footprint: &KeyState) -> Result<KeyState, ChainError> {
        views::read_key(&self.chain, footprint)
    }
}

/// Deploys the stack, with this code as the session key plugin.
pub(crate) fn deploy(chain: &mut Chain, plugin: Option<&Bytes>) -> Result<Stack, ChainError> {
    let stack = Stack::deploy(chain)?;
    if let Some(plugin) = plugin {
        let deployed = chain.deploy(ACCOUNT, plugin.clone())?;
        chain.set_code(stack.session_key_plugin, chain.code(deployed))?;
    }
    Ok(stack)
}

/// An operation of the account that asks for nothing.
pub(crate) const fn operation(call_data: Bytes, nonce: U256) -> UserOperation {
    UserOperation {
        sender: ACCOUNT,
        nonce,
        initCode: Bytes::new(),
        callData: call_data,
        callGasLimit: U256::ZERO,
        verificationGasLimit: U256::ZERO,
        preVerificationGas: U256::ZERO,
        maxFeePerGas: U256::ZERO,
        maxPriorityFeePerGas: U256::ZERO,
        paymasterAndData: Bytes::new(),
        signature: DUMMY_SIGNATURE,
    }
}
