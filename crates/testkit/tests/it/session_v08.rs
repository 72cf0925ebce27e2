//! An ERC-6900 v0.8 account with a session key that may spend 100 base units of the test token.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256},
    rpc::types::TransactionRequest,
    signers::SignerSync,
    sol_types::{SolCall, SolEvent, SolValue},
};
use session_key_bindings::{
    Call, ENTRY_POINT_V07, IAccountV08, IEntryPointV07, IExecutionModule,
    ISessionKeyPermissionsUpdates::{setERC20SpendLimitCall, updateAccessListAddressEntryCall},
    ISessionKeyPlugin, PackedUserOperation,
};
use session_key_testkit::{Chain, DevAccount, StackV08, TestToken, dev_accounts};

/// Entity id of the owner's module, and of the semi-modular accounts' own validation.
pub(crate) const ENTITY: u32 = 0;
/// Entity id of the session key module's validation.
pub(crate) const KEYS_ENTITY: u32 = 0x8000_0001;
const DIRECT_CALL: u32 = u32::MAX;

/// The kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Modular,
    SemiModular,
    Delegated,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Modular, Self::SemiModular, Self::Delegated];
}

pub(crate) struct SessionV08 {
    pub(crate) chain: Chain,
    pub(crate) stack: StackV08,
    pub(crate) account: Address,
    pub(crate) owner: DevAccount,
    pub(crate) key: DevAccount,
}

impl SessionV08 {
    /// Deploys everything, creates and funds the account, and installs the module with the key in the owner's
    /// operation.
    pub(crate) fn new(kind: Kind) -> Self {
        Self::on(Chain::default(), kind)
    }

    /// Same, on an existing chain.
    pub(crate) fn on(mut chain: Chain, kind: Kind) -> Self {
        let stack = StackV08::deploy(&mut chain).unwrap();
        let [owner, key] = [dev_accounts()[0], dev_accounts()[1]];
        let account = match kind {
            Kind::Modular => stack.create_account(&mut chain, owner.address, U256::ZERO, ENTITY),
            Kind::SemiModular => stack.create_semi_modular_account(&mut chain, owner.address, U256::ZERO),
            Kind::Delegated => stack.delegate_account(&mut chain, &owner).map(|()| owner.address),
        };
        let account = account.unwrap();
        chain.set_balance(account, U256::from(10u64.pow(18)));
        stack.mint(&mut chain, account, U256::from(1_000)).unwrap();
        let mut session = Self {
            chain,
            stack,
            account,
            owner,
            key,
        };
        let installation = session.owners_operation(session.installation());
        session.include(vec![installation]);
        session
    }

    /// Includes operations, which must all succeed.
    pub(crate) fn include(&mut self, operations: Vec<PackedUserOperation>) {
        let execution = self.chain.send(self.bundle(operations)).unwrap().ok().unwrap();
        for log in &execution.logs {
            if let Ok(event) = IEntryPointV07::UserOperationEvent::decode_log(log) {
                assert!(event.success, "{:#?}", execution.logs);
            }
        }
    }

    /// Returns a batch of self-calls that installs the module with the key.
    fn installation(&self) -> Bytes {
        let module = self.stack.session_key_module;
        let list = updateAccessListAddressEntryCall {
            contractAddress: self.stack.token,
            isOnList: true,
            checkSelectors: false,
        };
        let limit = setERC20SpendLimitCall {
            token: self.stack.token,
            spendLimit: U256::from(100),
            refreshInterval: Default::default(),
        };
        let updates: Vec<Bytes> = vec![list.abi_encode().into(), limit.abi_encode().into()];
        let manifest = IExecutionModule::executionManifestCall {};
        let execution = IAccountV08::installExecutionCall {
            module,
            manifest: self.chain.read(Address::ZERO, module, &manifest).unwrap(),
            installData: (vec![self.key.address], vec![B256::ZERO], vec![updates])
                .abi_encode_params()
                .into(),
        };
        let validation =
            |entity_id: u32, flags: u8, selectors: &[[u8; 4]]| IAccountV08::installValidationCall {
                validationConfig: FixedBytes::from_slice(
                    &[module.as_slice(), &entity_id.to_be_bytes(), &[flags]].concat(),
                ),
                selectors: selectors.iter().copied().map(FixedBytes).collect(),
                installData: Bytes::new(),
                hooks: Vec::new(),
            };
        let of_keys = validation(
            KEYS_ENTITY,
            1,
            &[ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR],
        );
        let of_module = validation(
            DIRECT_CALL,
            0,
            &[
                IAccountV08::executeCall::SELECTOR,
                IAccountV08::executeBatchCall::SELECTOR,
            ],
        );
        let calls = [
            execution.abi_encode(),
            of_keys.abi_encode(),
            of_module.abi_encode(),
        ]
        .map(|data| Call {
            target: self.account,
            value: U256::ZERO,
            data: data.into(),
        })
        .to_vec();
        IAccountV08::executeBatchCall { calls }.abi_encode().into()
    }

    /// Returns a transaction with these operations.
    pub(crate) fn bundle(&self, ops: Vec<PackedUserOperation>) -> TransactionRequest {
        let bundler = dev_accounts()[2].address;
        let bundle = IEntryPointV07::handleOpsCall {
            ops,
            beneficiary: bundler,
        };
        TransactionRequest::default()
            .from(bundler)
            .to(ENTRY_POINT_V07)
            .input(Bytes::from(bundle.abi_encode()).into())
    }

    /// Returns a signed operation of the owner.
    pub(crate) fn owners_operation(&self, call_data: Bytes) -> PackedUserOperation {
        self.sign_as(&self.owner, self.unsigned(call_data, owners_nonce_key()))
    }

    /// Signs as an account's owner.
    pub(crate) fn sign_as(&self, owner: &DevAccount, operation: PackedUserOperation) -> PackedUserOperation {
        self.sign_with(operation, owner, &[0xff, 0x00])
    }

    /// Returns a signed operation in which the key sends tokens.
    pub(crate) fn transfer(&self, recipient: Address, amount: u64) -> PackedUserOperation {
        self.sign(self.unsigned_transfer(recipient, amount))
    }

    /// Returns an unsigned operation in which the key sends tokens, with the next nonce.
    pub(crate) fn unsigned_transfer(&self, recipient: Address, amount: u64) -> PackedUserOperation {
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
        let lane = U256::from_be_slice(&self.key.address[1..]);
        self.unsigned(
            call.abi_encode().into(),
            lane << 40 | U256::from(KEYS_ENTITY) << 8,
        )
    }

    /// Returns an unsigned operation of the account, with the next nonce.
    pub(crate) fn unsigned(&self, call_data: Bytes, nonce_key: U256) -> PackedUserOperation {
        let nonce = IEntryPointV07::getNonceCall {
            sender: self.account,
            key: nonce_key.to(),
        };
        PackedUserOperation {
            sender: self.account,
            nonce: self.chain.read(Address::ZERO, ENTRY_POINT_V07, &nonce).unwrap(),
            initCode: Bytes::new(),
            callData: call_data,
            accountGasLimits: pair(500_000, 1_000_000),
            preVerificationGas: U256::from(60_000),
            gasFees: pair(1_000_000_000, 2_000_000_000),
            paymasterAndData: Bytes::new(),
            signature: Bytes::new(),
        }
    }

    /// Signs as the key.
    pub(crate) fn sign(&self, operation: PackedUserOperation) -> PackedUserOperation {
        self.sign_as_key(&self.key, operation)
    }

    /// Signs as another key.
    pub(crate) fn sign_as_key(
        &self,
        key: &DevAccount,
        operation: PackedUserOperation,
    ) -> PackedUserOperation {
        self.sign_with(operation, key, &[0xff])
    }

    /// Signs, with `prefix` before the signature.
    fn sign_with(
        &self,
        mut operation: PackedUserOperation,
        signer: &DevAccount,
        prefix: &[u8],
    ) -> PackedUserOperation {
        let hash = self.hash(&operation);
        let signature = signer.signer().sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = [prefix, &signature.as_bytes()].concat().into();
        operation
    }

    /// Returns an operation's hash.
    pub(crate) fn hash(&self, operation: &PackedUserOperation) -> B256 {
        let hash = IEntryPointV07::getUserOpHashCall {
            userOp: operation.clone(),
        };
        self.chain.read(Address::ZERO, ENTRY_POINT_V07, &hash).unwrap()
    }

    /// Deposits one ether for an address.
    pub(crate) fn deposit(&mut self, account: Address) {
        let deposit = IEntryPointV07::depositToCall { account };
        let request = TransactionRequest::default()
            .from(dev_accounts()[3].address)
            .to(ENTRY_POINT_V07)
            .value(U256::from(10u64.pow(18)))
            .input(Bytes::from(deposit.abi_encode()).into());
        self.chain.send(request).unwrap().ok().unwrap();
    }

    /// Packs a paymaster's address and gas limits, without paymaster data.
    pub(crate) fn paymaster_and_data(paymaster: Address, verification_gas: u128, post_op_gas: u128) -> Bytes {
        let limits = pair(verification_gas, post_op_gas);
        [paymaster.as_slice(), limits.as_slice()].concat().into()
    }
}

/// Returns the owner's first lane.
pub(crate) fn owners_nonce_key() -> U256 {
    (U256::from(ENTITY) << 8_usize) | U256::from(1)
}

/// Packs two numbers into one word.
pub(crate) fn pair(high: u128, low: u128) -> B256 {
    ((U256::from(high) << 128_usize) | U256::from(low)).into()
}
