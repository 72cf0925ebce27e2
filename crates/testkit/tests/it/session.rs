//! An account with a session key that may spend 100 base units of the test token.

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::{SolCall, SolError, SolValue},
};
use session_key_bindings::{
    Call, ENTRY_POINT, IEntryPoint, IModularAccount,
    ISessionKeyPermissionsUpdates::{setERC20SpendLimitCall, updateAccessListAddressEntryCall},
    ISessionKeyPlugin, UserOperation,
    function_id::{RUNTIME_VALIDATION_OWNER_OR_SELF, USER_OP_VALIDATION_OWNER, function_reference},
    manifest_hash,
};
use session_key_testkit::{Chain, DevAccount, Stack, TestToken, dev_accounts};

pub(crate) struct Session {
    pub(crate) chain: Chain,
    pub(crate) stack: Stack,
    pub(crate) account: Address,
    pub(crate) key: DevAccount,
}

impl Session {
    /// Deploys everything, creates and funds the account, and installs the plugin with the key.
    pub(crate) fn new() -> Self {
        let mut chain = Chain::default();
        let stack = Stack::deploy(&mut chain).unwrap();
        let [owner, key] = [dev_accounts()[0], dev_accounts()[1]];
        let account = stack
            .create_account(&mut chain, U256::ZERO, &[owner.address])
            .unwrap();
        chain.set_balance(account, U256::from(10u64.pow(18)));
        stack.mint(&mut chain, account, U256::from(1_000)).unwrap();

        let list = updateAccessListAddressEntryCall {
            contractAddress: stack.token,
            isOnList: true,
            checkSelectors: false,
        };
        let limit = setERC20SpendLimitCall {
            token: stack.token,
            spendLimit: U256::from(100),
            refreshInterval: Default::default(),
        };
        let updates: Vec<Bytes> = vec![list.abi_encode().into(), limit.abi_encode().into()];
        let install = IModularAccount::installPluginCall {
            plugin: stack.session_key_plugin,
            manifestHash: manifest_hash::SESSION_KEY_PLUGIN,
            pluginInstallData: (vec![key.address], vec![B256::ZERO], vec![updates])
                .abi_encode_params()
                .into(),
            dependencies: vec![
                function_reference(stack.multi_owner_plugin, RUNTIME_VALIDATION_OWNER_OR_SELF),
                function_reference(stack.multi_owner_plugin, USER_OP_VALIDATION_OWNER),
            ],
        };
        chain.transact(owner.address, account, &install).unwrap();
        Self {
            chain,
            stack,
            account,
            key,
        }
    }

    /// Returns a transaction with one operation in which the key sends tokens.
    pub(crate) fn transfer(&self, recipient: Address, amount: u64) -> TransactionRequest {
        self.sponsored_transfer(recipient, amount, Bytes::new())
    }

    /// Like [`transfer`](Self::transfer), with a paymaster; `paymaster_and_data` may be empty.
    pub(crate) fn sponsored_transfer(
        &self,
        recipient: Address,
        amount: u64,
        paymaster_and_data: Bytes,
    ) -> TransactionRequest {
        let operation = UserOperation {
            paymasterAndData: paymaster_and_data,
            ..self.unsigned_transfer(recipient, amount)
        };
        let bundler = dev_accounts()[2].address;
        let bundle = IEntryPoint::handleOpsCall {
            ops: vec![self.sign(operation)],
            beneficiary: bundler,
        };
        TransactionRequest::default()
            .from(bundler)
            .to(ENTRY_POINT)
            .input(Bytes::from(bundle.abi_encode()).into())
    }

    /// Returns an unsigned operation in which the key sends tokens, with the next nonce.
    pub(crate) fn unsigned_transfer(&self, recipient: Address, amount: u64) -> UserOperation {
        let transfer = TestToken::transferCall {
            to: recipient,
            amount: U256::from(amount),
        };
        let call = ISessionKeyPlugin::executeWithSessionKeyCall {
            calls: vec![Call {
                target: self.stack.token,
                value: U256::ZERO,
                data: transfer.abi_encode().into(),
            }],
            sessionKey: self.key.address,
        };
        let key = U256::from_be_bytes(self.key.address.into_word().0).to();
        let nonce = IEntryPoint::getNonceCall {
            sender: self.account,
            key,
        };
        UserOperation {
            sender: self.account,
            nonce: self.chain.read(Address::ZERO, ENTRY_POINT, &nonce).unwrap(),
            initCode: Bytes::new(),
            callData: call.abi_encode().into(),
            callGasLimit: U256::from(500_000),
            verificationGasLimit: U256::from(500_000),
            preVerificationGas: U256::from(50_000),
            maxFeePerGas: U256::from(2_000_000_000u64),
            maxPriorityFeePerGas: U256::from(1_000_000_000),
            paymasterAndData: Bytes::new(),
            signature: Bytes::new(),
        }
    }

    /// Signs as the key.
    pub(crate) fn sign(&self, mut operation: UserOperation) -> UserOperation {
        let hash = self.hash(&operation);
        operation.signature = self
            .key
            .signer()
            .sign_message_sync(hash.as_slice())
            .unwrap()
            .as_bytes()
            .into();
        operation
    }

    /// Returns an operation's hash.
    pub(crate) fn hash(&self, operation: &UserOperation) -> B256 {
        let hash = IEntryPoint::getUserOpHashCall {
            userOp: operation.clone(),
        };
        self.chain.read(Address::ZERO, ENTRY_POINT, &hash).unwrap()
    }

    /// Returns the revert data of a transfer that exceeds the key's limit.
    pub(crate) fn limit_exceeded(&self) -> Bytes {
        let error = ISessionKeyPlugin::ERC20SpendLimitExceeded {
            account: self.account,
            sessionKey: self.key.address,
            token: self.stack.token,
        };
        error.abi_encode().into()
    }
}
