//! Calls, gas estimates, and the EVM environment.

use crate::{
    Chain, ChainError,
    state::{Overlay, ReadError, with_code},
    vantage::Vantage,
};
use alloy::{
    consensus::Header,
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, Bytes, TxKind, U256},
    rpc::types::{
        BlockOverrides, TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    sol_types::SolCall,
};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    primitives::eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
};
use std::borrow::Cow;

/// The block and overrides of a call. By default the latest block, without overrides.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The block whose state, number, time and base fee the call sees. `pending` is the block that a
    /// transaction sent now would be mined in.
    pub block: BlockId,
    /// State overrides.
    pub state: StateOverride,
    /// Block overrides.
    pub block_overrides: BlockOverrides,
}

impl CallOptions {
    /// Calls on the state and in the environment of this block.
    #[must_use]
    pub fn at(block: impl Into<BlockId>) -> Self {
        Self {
            block: block.into(),
            ..Default::default()
        }
    }

    /// Calls in the block that a transaction sent now would be mined in.
    #[must_use]
    pub fn pending() -> Self {
        Self::at(BlockNumberOrTag::Pending)
    }
}

/// Maximum gas of a call, and the default, in gas units: far more than a block's, yet small enough to end
/// soon.
pub(crate) const CALL_GAS_CAP: u64 = 100_000_000;

impl Chain {
    /// Runs a call on the latest block, without persisting changes.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`], and other ways a call fails.
    pub fn call(&self, request: &TransactionRequest) -> Result<Bytes, ChainError> {
        self.call_with(request, &CallOptions::default())
    }

    /// Runs a call with options.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`], and other ways a call fails; [`ChainError::UnknownBlock`].
    pub fn call_with(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<Bytes, ChainError> {
        self.vantage().call(request, options)
    }

    /// Calls a contract's function, and decodes its return data.
    ///
    /// ```
    /// use alloy::sol;
    /// use session_key_testkit::Chain;
    /// # use alloy::primitives::{Address, address};
    ///
    /// sol! { function answer() returns (uint256); }
    ///
    /// let mut chain = Chain::default();
    /// let contract = address!("0x00000000000000000000000000000000000a45e7");
    /// // PUSH1 42, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
    /// chain.set_code(contract, alloy::hex!("602a5f5260205ff3"))?;
    /// assert_eq!(chain.read(Address::ZERO, contract, &answerCall {})?, 42);
    /// # Ok::<(), session_key_testkit::ChainError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); [`ChainError::InvalidReturnData`] when the return data does not decode.
    pub fn read<C: SolCall>(&self, from: Address, to: Address, call: &C) -> Result<C::Return, ChainError> {
        let output = self.call(&request(from, to, call.abi_encode()))?;
        C::abi_decode_returns(&output).map_err(|error| ChainError::InvalidReturnData {
            signature: C::SIGNATURE,
            reason: error.to_string(),
            output,
        })
    }

    /// Returns the least gas, in gas units, with which the call succeeds.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); [`ChainError::GasAllowanceExceeded`] if no allowed amount suffices.
    pub fn estimate_gas(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<u64, ChainError> {
        self.vantage().estimate_gas(request, options)
    }

    pub(crate) fn run(
        &self,
        env: BlockEnv,
        cfg: CfgEnv,
        tx: TxEnv,
        overlay: &Overlay,
    ) -> Result<ResultAndState, ChainError> {
        self.vantage().run(env, cfg, tx, overlay)
    }
}

impl Vantage<'_> {
    pub(crate) fn call(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<Bytes, ChainError> {
        let (env, overlay) = self.environment(options)?;
        let (cfg, tx) = self.call_transaction(request, &env, &overlay)?;
        match self.run(env, cfg, tx, &overlay)?.result {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            ExecutionResult::Revert { output, .. } => Err(ChainError::Reverted { output }),
            ExecutionResult::Halt { reason, .. } => Err(ChainError::Halted(reason)),
        }
    }

    pub(crate) fn estimate_gas(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<u64, ChainError> {
        let (env, overlay) = self.environment(options)?;
        let (cfg, mut tx) = self.call_transaction(request, &env, &overlay)?;
        // What a block of some chains can fit would take hours.
        let most = env.gas_limit.min(CALL_GAS_CAP);
        tx.gas_limit = request.gas.unwrap_or(most).min(most);
        if tx.gas_price > 0 {
            let balance = self
                .view(&overlay)
                .account(tx.caller)
                .map(|account| account.balance);
            let available = balance.unwrap_or_default().saturating_sub(tx.value);
            let affordable = available / U256::from(tx.gas_price);
            tx.gas_limit = tx.gas_limit.min(affordable.saturating_to());
        }
        let allowance = tx.gas_limit;
        let with_gas = |gas_limit| {
            let tx = TxEnv {
                gas_limit,
                ..tx.clone()
            };
            self.run(env.clone(), cfg.clone(), tx, &overlay)
                .map(|outcome| outcome.result)
        };
        let result = match with_gas(allowance) {
            Ok(result) => result,
            Err(ChainError::Refused(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => return Err(ChainError::GasAllowanceExceeded { allowance }),
            Err(error) => return Err(error),
        };
        let (mut enough, mut too_little) = match result {
            ExecutionResult::Success { gas, .. } => {
                // Frames hold back a 64th of their gas (EIP-150), and refunds come last: try a little more
                // first. At least 21,000 gas units were used.
                let spent = gas.total_gas_spent().max(gas.tx_gas_used());
                let guess = (spent + 2300).saturating_mul(64) / 63;
                match with_gas(guess.min(allowance)) {
                    Ok(result) if result.is_success() => (guess.min(allowance), gas.tx_gas_used() - 1),
                    _ => (allowance, guess.min(allowance)),
                }
            }
            ExecutionResult::Revert { output, .. } => return Err(ChainError::Reverted { output }),
            ExecutionResult::Halt {
                reason: HaltReason::OutOfGas(_),
                ..
            } => {
                return Err(ChainError::GasAllowanceExceeded { allowance });
            }
            ExecutionResult::Halt { reason, .. } => return Err(ChainError::Halted(reason)),
        };
        while too_little + 1 < enough {
            let middle = too_little + (enough - too_little) / 2;
            match with_gas(middle) {
                Ok(result) if result.is_success() => enough = middle,
                _ => too_little = middle,
            }
        }
        Ok(enough)
    }

    /// Returns the environment and the state of a block, with overrides.
    pub(crate) fn environment(&self, options: &CallOptions) -> Result<(BlockEnv, Overlay), ChainError> {
        let (header, mut overlay) = if options.block.is_pending() {
            let draft = self.draft();
            (Cow::Owned(draft.header), draft.overlay)
        } else {
            let block = self.existing_block(options.block)?;
            (
                Cow::Borrowed(&block.header),
                self.overlay_after(block.header.number),
            )
        };
        let mut env = block_env(&header);
        for (address, account) in &options.state {
            self.override_account(&mut overlay, *address, account)?;
        }
        let overrides = &options.block_overrides;
        env.number = overrides.number.unwrap_or(env.number);
        env.difficulty = overrides.difficulty.unwrap_or(env.difficulty);
        env.timestamp = overrides.time.map_or(env.timestamp, U256::from);
        env.gas_limit = overrides.gas_limit.unwrap_or(env.gas_limit);
        env.beneficiary = overrides.coinbase.unwrap_or(env.beneficiary);
        env.prevrandao = overrides.random.or(env.prevrandao);
        env.basefee = overrides.base_fee.map_or(env.basefee, |fee| fee.saturating_to());
        Ok((env, overlay))
    }

    fn override_account(
        &self,
        overlay: &mut Overlay,
        address: Address,
        account: &AccountOverride,
    ) -> Result<(), ChainError> {
        if account.move_precompile_to.is_some() {
            return Err(ChainError::InvalidRequest(format!(
                "cannot move a precompile ({address})"
            )));
        }
        if account.state.is_some() && account.state_diff.is_some() {
            let reason = format!("account {address} has both `state` and `stateDiff`");
            return Err(ChainError::InvalidRequest(reason));
        }
        let mut info = self.view(overlay).account(address).unwrap_or_default();
        info.balance = account.balance.unwrap_or(info.balance);
        info.nonce = account.nonce.unwrap_or(info.nonce);
        if let Some(code) = &account.code {
            info =
                with_code(info, code.clone()).map_err(|error| ChainError::InvalidCode(error.to_string()))?;
        }
        overlay.set_account(address, info);
        if account.state.is_some() {
            overlay.clear_storage(address);
        }
        for (slot, value) in account.state.iter().chain(&account.state_diff).flatten() {
            overlay.set_storage(address, (*slot).into(), (*value).into());
        }
        Ok(())
    }

    /// Returns the transaction that a call amounts to, and the configuration that relaxes rules for it.
    pub(crate) fn call_transaction(
        &self,
        request: &TransactionRequest,
        env: &BlockEnv,
        overlay: &Overlay,
    ) -> Result<(CfgEnv, TxEnv), ChainError> {
        if request.has_eip4844_fields() {
            return Err(ChainError::BlobsNotSupported);
        }
        if request.gas_price.is_some() && request.has_eip1559_fields() {
            return Err(ChainError::InvalidRequest(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".into(),
            ));
        }
        let caller = request.from.unwrap_or_default();
        let mut cfg = self.chain().cfg.clone();
        cfg.disable_base_fee = true;
        cfg.disable_block_gas_limit = true;
        cfg.disable_eip3607 = true;
        cfg.disable_nonce_check = true;
        let input = request
            .input
            .unique_input()
            .map_err(|e| ChainError::InvalidRequest(e.to_string()))?;
        let tx = TxEnv {
            tx_type: if request.authorization_list.is_some() {
                4
            } else if request.has_eip1559_fields() {
                2
            } else {
                u8::from(request.access_list.is_some())
            },
            caller,
            gas_limit: request.gas.unwrap_or(env.gas_limit).min(CALL_GAS_CAP),
            gas_price: request
                .gas_price
                .or(request.max_fee_per_gas)
                .or(request.max_priority_fee_per_gas)
                .unwrap_or_default(),
            gas_priority_fee: request
                .has_eip1559_fields()
                .then(|| request.max_priority_fee_per_gas.unwrap_or_default()),
            kind: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            data: input.cloned().unwrap_or_default(),
            // The address of a created contract depends on it.
            nonce: self
                .view(overlay)
                .account(caller)
                .map(|account| account.nonce)
                .unwrap_or_default(),
            // Transactions with fees of EIP-1559, access lists or authorizations name their chain.
            chain_id: request.chain_id.or_else(|| Some(self.chain().chain_id())),
            access_list: request.access_list.clone().unwrap_or_default(),
            authorization_list: request
                .authorization_list
                .iter()
                .flatten()
                .map(|authorization| Either::Left(authorization.clone()))
                .collect(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
        };
        Ok((cfg, tx))
    }

    pub(crate) fn run(
        &self,
        env: BlockEnv,
        cfg: CfgEnv,
        tx: TxEnv,
        overlay: &Overlay,
    ) -> Result<ResultAndState, ChainError> {
        let caller = tx.caller;
        self.chain().check_source()?;
        Context::mainnet()
            .with_db(self.view(overlay))
            .with_cfg(cfg)
            .with_block(env)
            .build_mainnet()
            .transact(tx)
            .map_err(|error| refusal(error, caller))
    }
}

/// Returns a request for a call from `from` to `to`.
pub(crate) fn request(from: Address, to: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest {
        from: Some(from),
        to: Some(to.into()),
        input: input.into().into(),
        ..Default::default()
    }
}

pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(
            0,
            BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        )),
        slot_num: 0,
    }
}

pub(crate) fn refusal(error: EVMError<ReadError>, caller: Address) -> ChainError {
    match error {
        EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
            ChainError::InsufficientFunds {
                address: caller,
                balance: *balance,
                needed: *fee,
            }
        }
        EVMError::Transaction(invalid) => ChainError::Refused(invalid),
        EVMError::Database(ReadError(error)) => error,
        error => ChainError::Evm(error.to_string()),
    }
}
