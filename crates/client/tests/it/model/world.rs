//! The chain that the model is compared with: an account, a key, and operations of it.

use super::*;

/// What the chain made of an operation.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Refused(AaCode),
    Reverted(Revert),
    Success,
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) testkit: Testkit,
    pub(super) stack: Stack,
    pub(super) account: SmartAccount,
    pub(super) owner: Address,
    pub(super) key: PrivateKeySigner,
    pub(super) state: KeyState,
}

impl World {
    /// An account with the plugin and a key that has these permissions since [`START`].
    pub(super) fn new(updates: &PermissionUpdates) -> Self {
        thread_local! {
            static INSTALLED: (Chain, Stack, Address) = World::install();
        }
        let (chain, stack, address) =
            INSTALLED.with(|(chain, stack, address)| (chain.clone(), *stack, *address));
        let testkit = Testkit::from(chain);
        let deployment = deployment(&stack);
        let account = SmartAccount::new(testkit.provider(), 31_337, address, deployment);
        let key = key(1);
        let mut world = Self {
            state: KeyState::fresh(address, key.address()),
            testkit,
            stack,
            account,
            owner: dev_accounts()[0].address,
            key,
        };
        let new = NewSessionKey {
            key: world.key.address(),
            tag: B256::ZERO,
            permissions: updates.encode_unchecked().unwrap(),
        };
        world.owner_calls(calldata::add_session_key(&new), START);
        world.state.apply(updates, START).unwrap();
        world
    }

    pub(super) fn install() -> (Chain, Stack, Address) {
        let mut chain = Chain::default();
        let stack = Stack::deploy(&mut chain).unwrap();
        let owner = dev_accounts()[0].address;
        let account = stack.create_account(&mut chain, U256::ZERO, &[owner]).unwrap();
        chain.set_balance(account, U256::from(1) << 200);
        chain.set_balance(owner, U256::from(1) << 200);
        let install = calldata::install_plugin(
            stack.session_key_plugin,
            manifest_hash::SESSION_KEY_PLUGIN,
            calldata::session_key_plugin_install_data(&[]),
            &calldata::owner_dependencies(stack.multi_owner_plugin),
        );
        chain
            .send(transaction(owner, account, install))
            .unwrap()
            .ok()
            .unwrap();
        let deposit = IEntryPoint::depositToCall {
            account: stack.paymaster,
        };
        let deposit = transaction(owner, stack.entry_point, deposit.abi_encode().into());
        chain
            .send(deposit.value(U256::from(1) << 90))
            .unwrap()
            .ok()
            .unwrap();
        (chain, stack, account)
    }

    /// The owner calls the account in a block with this timestamp.
    pub(super) fn owner_calls(&mut self, data: Bytes, time: u64) {
        let mut chain = self.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        chain
            .send(transaction(self.owner, self.account.address(), data))
            .unwrap()
            .ok()
            .unwrap();
    }

    /// The owner changes the permissions; so does the model.
    pub(super) fn update(&mut self, updates: &PermissionUpdates, time: u64) {
        let data = calldata::update_key_permissions(self.key.address(), updates.encode_unchecked().unwrap());
        self.owner_calls(data, time);
        self.state.apply(updates, time).unwrap();
    }

    pub(super) const fn paymaster(&self) -> Address {
        self.stack.paymaster
    }

    pub(super) fn operation(&self, calls: &[Call]) -> UserOperation {
        UserOperation {
            sender: self.account.address(),
            call_data: execute_with_session_key(calls, self.key.address()),
            call_gas_limit: U256::from(GAS),
            verification_gas_limit: U256::from(GAS),
            pre_verification_gas: U256::from(GAS),
            max_fee_per_gas: U256::from(FEE),
            nonce: nonce(session_key_nonce_key(self.key.address()), 0),
            ..Default::default()
        }
    }

    /// Gives the operation the next nonce of its lane, unless that is set, and signs it.
    pub(super) fn sign(&self, mut operation: UserOperation, signer: &PrivateKeySigner) -> SignedOperation {
        let call = IEntryPoint::getNonceCall {
            sender: operation.sender,
            key: operation.nonce_key(),
        };
        let entry_point = self.account.deployment().entry_point;
        operation.nonce = self
            .testkit
            .chain()
            .read(Address::ZERO, entry_point, &call)
            .unwrap();
        self.sign_as_is(operation, signer)
    }

    pub(super) fn sign_as_is(
        &self,
        mut operation: UserOperation,
        signer: &PrivateKeySigner,
    ) -> SignedOperation {
        let hash = operation.hash(self.account.deployment().entry_point, 31_337);
        let signature = signer.sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = signature.as_bytes().into();
        SignedOperation { operation, hash }
    }

    /// Sends the operations in a bundle, in a block with this timestamp.
    pub(super) fn send(&mut self, signed: &[SignedOperation], time: u64) -> Execution {
        let entry_point = self.account.deployment().entry_point;
        let operations = signed.iter().map(|signed| signed.operation.clone());
        let bundle = calldata::handle_ops(operations, self.owner).unwrap();
        let mut chain = self.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        let request = transaction(self.owner, entry_point, bundle);
        chain.send(request).unwrap()
    }

    /// Includes the operations in a bundle, in a block with this timestamp.
    pub(super) fn include(&mut self, signed: &[SignedOperation], time: u64) -> Vec<Outcome> {
        let execution = self.send(signed, time);
        if !execution.is_success() {
            return vec![Outcome::Refused(match Revert::decode(&execution.output) {
                Revert::FailedOp(failed) => failed.code.unwrap(),
                // Of the bundle as a whole.
                Revert::Error(reason) => AaCode::parse(&reason).unwrap(),
                revert => panic!("{revert}"),
            })];
        }
        let mut reason = None;
        let mut outcomes = Vec::new();
        for log in &execution.logs {
            if let Ok(event) = IEntryPoint::UserOperationRevertReason::decode_log(log) {
                reason = Some(Revert::decode(&event.revertReason));
            }
            if let Ok(event) = IEntryPoint::UserOperationEvent::decode_log(log) {
                outcomes.push(if event.success {
                    Outcome::Success
                } else {
                    Outcome::Reverted(reason.take().unwrap())
                });
            }
        }
        outcomes
    }

    /// The operation on the chain and in the model, at this time: both must agree, afterwards too. Returns
    /// the verdict.
    pub(super) async fn compare(&mut self, operation: UserOperation, time: u64) -> Verdict {
        let key = self.key.clone();
        let signed = self.sign(operation, &key);
        self.compare_signed(signed, time).await
    }

    pub(super) async fn compare_signed(&mut self, signed: SignedOperation, time: u64) -> Verdict {
        let verdict = self.state.check_signed(&signed, time);
        let outcome = self.include(std::slice::from_ref(&signed), time);
        assert_agree(&verdict, &outcome[0]);
        if self.state.check(&signed.operation, time) == verdict {
            assert_eq!(self.state.execute(&signed.operation, time), verdict);
        }
        self.assert_state().await;
        verdict
    }

    /// Every view says what the model says.
    pub(super) async fn assert_state(&self) {
        let contracts = [
            SHOP,
            TOKEN,
            OTHER,
            self.account.address(),
            self.account.deployment().entry_point,
        ];
        let functions: Vec<_> = contracts
            .into_iter()
            .flat_map(|contract| {
                [BUY, SELL, ERC20_TRANSFER, Selector::ZERO].map(|selector| (contract, selector))
            })
            .collect();
        let loaded = load(&self.account, self.key.address(), functions.clone())
            .await
            .unwrap();
        let mut expected = self.state.clone();
        expected.complete = false;
        expected.contracts.clear();
        // Of a key that is not registered nothing is read.
        for (contract, selector) in functions.into_iter().filter(|_| self.state.registered) {
            let known = self.state.contracts.get(&contract).cloned().unwrap_or_default();
            let is_on_list = known.functions.get(&selector).copied().unwrap_or(false);
            expected
                .contracts
                .entry(contract)
                .or_insert_with(|| {
                    let mut contract = known;
                    contract.functions.clear();
                    contract
                })
                .functions
                .insert(selector, is_on_list);
        }
        assert_eq!(loaded, expected);
    }
}

pub(super) fn transaction(from: Address, to: Address, data: Bytes) -> TransactionRequest {
    TransactionRequest::default().from(from).to(to).input(data.into())
}

/// The chain did what the verdict says.
pub(super) fn assert_agree(verdict: &Verdict, outcome: &Outcome) {
    let agree = match (verdict.phase(), outcome) {
        (None, Outcome::Success) => true,
        (Some(Phase::Validation), Outcome::Refused(code)) => verdict.entry_point_code() == Some(*code),
        (Some(Phase::Execution), Outcome::Reverted(Revert::Plugin(error))) => match error {
            PluginError::ERC20SpendLimitExceeded { .. } => {
                verdict.violations()[0].code() == "erc20_limit_exceeded"
            }
            PluginError::NativeTokenSpendLimitExceeded { .. } => {
                verdict.violations()[0].code() == "native_limit_exceeded"
            }
            PluginError::PermissionsCheckFailed => true,
            PluginError::InvalidSessionKey { .. } => verdict.violations()[0].code() == "key_not_registered",
            _ => false,
        },
        _ => false,
    };
    assert!(agree, "{verdict}\nchain: {outcome:?}");
}
