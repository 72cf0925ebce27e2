use alloy::{
    primitives::{Address, B256, Bytes, U256, address, hex},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use session_key_bindings::{
    IEntryPoint,
    ISessionKeyPlugin::{self, SpendLimitInfo},
    UserOperation,
};
use session_key_client::permissions::{AccessControlType, TimeRange, model::KeyState};
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
    /// Deploys everything.
    pub fn new() -> Result<Self, ChainError> {
        // No id that any code could take for granted.
        let chain_id = 0x00c0_ffee_1234_5678;
        let mut chain = Chain::new(ChainConfig {
            chain_id,
            ..Default::default()
        });
        let stack = Stack::deploy(&mut chain)?;
        chain.set_code(ACCOUNT, ACCOUNT_CODE)?;
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
        let (account, session_key) = (footprint.account, footprint.session_key);
        let mut state = footprint.clone();
        state.registered = self.view(&ISessionKeyPlugin::isSessionKeyOfCall {
            account,
            sessionKey: session_key,
        })?;
        let access_control_type = self.view(&ISessionKeyPlugin::getAccessControlTypeCall {
            account,
            sessionKey: session_key,
        })?;
        state.access_control_type = match access_control_type {
            ISessionKeyPlugin::ContractAccessControlType::ALLOWLIST => AccessControlType::Allowlist,
            ISessionKeyPlugin::ContractAccessControlType::DENYLIST => AccessControlType::Denylist,
            _ => AccessControlType::AllowAllAccess,
        };
        for (contract, entry) in &mut state.contracts {
            let listed = self.view(&ISessionKeyPlugin::getAccessControlEntryCall {
                account,
                sessionKey: session_key,
                contractAddress: *contract,
            })?;
            entry.is_on_list = listed.isOnList;
            entry.check_selectors = listed.checkSelectors;
            let limit: SpendLimitInfo = self.view(&ISessionKeyPlugin::getERC20SpendLimitInfoCall {
                account,
                sessionKey: session_key,
                token: *contract,
            })?;
            entry.token_limit = limit.into();
            for (selector, is_on_list) in &mut entry.functions {
                *is_on_list = self.view(&ISessionKeyPlugin::isSelectorOnAccessControlListCall {
                    account,
                    sessionKey: session_key,
                    contractAddress: *contract,
                    selector: *selector,
                })?;
            }
        }
        let time_range = self.view(&ISessionKeyPlugin::getKeyTimeRangeCall {
            account,
            sessionKey: session_key,
        })?;
        state.time_range = TimeRange {
            valid_after: time_range.validAfter.to(),
            valid_until: time_range.validUntil.to(),
        };
        state.native_limit = self
            .view(&ISessionKeyPlugin::getNativeTokenSpendLimitInfoCall {
                account,
                sessionKey: session_key,
            })?
            .into();
        let gas = self.view(&ISessionKeyPlugin::getGasSpendLimitCall {
            account,
            sessionKey: session_key,
        })?;
        state.gas_limit.info = gas.info.into();
        state.gas_limit.should_reset = gas.shouldReset;
        let paymaster = self.view(&ISessionKeyPlugin::getRequiredPaymasterCall {
            account,
            sessionKey: session_key,
        })?;
        state.required_paymaster = (!paymaster.is_zero()).then_some(paymaster);
        Ok(state)
    }

    fn view<C: SolCall>(&self, call: &C) -> Result<C::Return, ChainError> {
        self.chain
            .read(Address::ZERO, self.stack.session_key_plugin, call)
    }
}

/// An operation of the account that asks for nothing.
pub(crate) fn operation(call_data: Bytes, nonce: U256) -> UserOperation {
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
        signature: session_key_client::user_operation::DUMMY_SIGNATURE,
    }
}
