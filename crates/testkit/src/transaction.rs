//! Sending transactions.

use crate::{
    Chain, ChainError,
    block::{Block, MinedTransaction},
    call::{block_env, request},
    state::Overlay,
};
use alloy::{
    consensus::{
        Header, SignableTransaction, Transaction as _, TxEnvelope, TypedTransaction,
        transaction::{Recovered, SignerRecoverable},
    },
    eips::eip2718::Decodable2718,
    primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use revm::context::{
    CfgEnv, TxEnv,
    either::Either,
    result::{ExecutionResult, HaltReason, Output},
};
use std::sync::Arc;

/// The outcome of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Success,
    /// It reverted; the revert data is [`Execution::output`].
    Reverted,
    /// It halted exceptionally.
    Halted(HaltReason),
}

/// A mined transaction and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Number of its block.
    pub block_number: u64,
    /// The outcome.
    pub status: Status,
    /// Gas units, after refunds.
    pub gas_used: u64,
    /// Return data or revert data.
    pub output: Bytes,
    /// Events, in order.
    pub logs: Vec<Log>,
    /// The address of the created contract.
    pub created: Option<Address>,
}

impl Execution {
    /// Whether the transaction succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, Status::Success)
    }

    /// Returns the execution if it succeeded.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] or [`ChainError::Halted`].
    pub fn ok(self) -> Result<Self, ChainError> {
        match self.status {
            Status::Success => Ok(self),
            Status::Reverted => Err(ChainError::Reverted { output: self.output }),
            Status::Halted(reason) => Err(ChainError::Halted(reason)),
        }
    }
}

/// A transaction that may be included.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) transaction: Recovered<TxEnvelope>,
    /// Sent without a signature; the sender may be a contract.
    pub(crate) unsigned: bool,
    /// Free of charge, whatever the base fee.
    pub(crate) free: bool,
}

impl Candidate {
    pub(crate) const fn signed(transaction: Recovered<TxEnvelope>) -> Self {
        Self {
            transaction,
            unsigned: false,
            free: false,
        }
    }

    /// Decodes a signed transaction from its EIP-2718 encoding.
    pub(crate) fn decode(encoded: &[u8]) -> Result<Self, ChainError> {
        let transaction = TxEnvelope::decode_2718_exact(encoded)
            .map_err(|error| ChainError::UndecodableTransaction(error.to_string()))?;
        if transaction.is_eip4844() {
            return Err(ChainError::BlobsNotSupported);
        }
        let signer = transaction
            .recover_signer()
            .map_err(|_| ChainError::InvalidSignature)?;
        Ok(Self::signed(Recovered::new_unchecked(transaction, signer)))
    }

    pub(crate) fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    pub(crate) const fn sender(&self) -> Address {
        self.transaction.signer()
    }

    /// Returns its maximum cost to the sender, in wei.
    pub(crate) fn highest_cost(&self) -> U256 {
        let gas = U256::from(self.transaction.gas_limit());
        let fees = gas.saturating_mul(U256::from(self.transaction.max_fee_per_gas()));
        fees.saturating_add(self.transaction.value())
    }

    /// Returns its payment above this base fee, in wei per gas unit; `None` if it does not cover the base
    /// fee.
    pub(crate) fn tip(&self, base_fee: u64) -> Option<u128> {
        if self.free {
            Some(0)
        } else {
            self.transaction.effective_tip_per_gas(base_fee)
        }
    }

    /// Returns the chain's configuration, without the rules that do not apply.
    pub(crate) fn rules(&self, cfg: &CfgEnv) -> CfgEnv {
        let mut cfg = cfg.clone();
        cfg.disable_eip3607 = self.unsigned;
        cfg.disable_base_fee = self.free;
        cfg
    }

    pub(crate) fn env(&self) -> TxEnv {
        let transaction = &self.transaction;
        TxEnv {
            tx_type: transaction.tx_type() as u8,
            caller: transaction.signer(),
            gas_limit: transaction.gas_limit(),
            gas_price: transaction.max_fee_per_gas(),
            gas_priority_fee: transaction.max_priority_fee_per_gas(),
            kind: transaction.kind(),
            value: transaction.value(),
            data: transaction.input().clone(),
            nonce: transaction.nonce(),
            chain_id: transaction.chain_id(),
            access_list: transaction.access_list().cloned().unwrap_or_default(),
            authorization_list: transaction
                .authorization_list()
                .unwrap_or_default()
                .iter()
                .map(|authorization| Either::Left(authorization.clone()))
                .collect(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
        }
    }

    /// Splits the result for the block and for the sender. `block` is the header of the including block.
    pub(crate) fn mined(
        self: Arc<Self>,
        result: ExecutionResult,
        block: &Header,
    ) -> (MinedTransaction, Execution) {
        let gas_used = result.tx_gas_used();
        let (status, output, logs, created) = match result {
            ExecutionResult::Success {
                output: Output::Call(output),
                logs,
                ..
            } => (Status::Success, output, logs, None),
            ExecutionResult::Success {
                output: Output::Create(code, address),
                logs,
                ..
            } => (Status::Success, code, logs, address),
            ExecutionResult::Revert { output, .. } => (Status::Reverted, output, Vec::new(), None),
            ExecutionResult::Halt { reason, .. } => (Status::Halted(reason), Bytes::new(), Vec::new(), None),
        };
        let transaction = &self.transaction;
        // A receipt names the address of a failed creation as well.
        let contract_address = transaction
            .is_create()
            .then(|| transaction.signer().create(transaction.nonce()));
        let mined = MinedTransaction {
            success: status == Status::Success,
            gas_used,
            effective_gas_price: transaction.effective_gas_price(block.base_fee_per_gas),
            created: contract_address,
            logs: logs.clone(),
            candidate: self,
        };
        let execution = Execution {
            transaction_hash: mined.hash(),
            block_number: block.number,
            status,
            gas_used,
            output,
            logs,
            created,
        };
        (mined, execution)
    }
}

impl Chain {
    /// Sends a transaction from any sender without a signature, and mines it in its own block, bypassing the
    /// pool.
    ///
    /// Defaults: the next nonce, and the block's gas limit; without any fee field, the transaction is free,
    /// whatever the base fee. A revert is not an error of `send`: see [`Execution::ok`].
    ///
    /// # Errors
    ///
    /// If the transaction cannot be included.
    pub fn send(&mut self, request: TransactionRequest) -> Result<Execution, ChainError> {
        let candidate = self.unsigned(request)?;
        self.mine_candidate(candidate)
    }

    /// Sends a contract call, as [`send`](Self::send) does, and decodes its return data.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send) and [`Execution::ok`]; [`ChainError::InvalidReturnData`] if the return
    /// data does not decode.
    pub fn transact<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let execution = self.send(request(from, to, call.abi_encode()))?.ok()?;
        C::abi_decode_returns(&execution.output).map_err(|error| ChainError::InvalidReturnData {
            signature: C::SIGNATURE,
            reason: error.to_string(),
            output: execution.output,
        })
    }

    /// Deploys a contract with CREATE; `from` needs no funds.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`Execution::ok`].
    pub fn deploy(&mut self, from: Address, init_code: impl Into<Bytes>) -> Result<Address, ChainError> {
        let request = TransactionRequest {
            from: Some(from),
            to: Some(TxKind::Create),
            input: init_code.into().into(),
            ..Default::default()
        };
        let execution = self.send(request)?.ok()?;
        Ok(execution
            .created
            .expect("a creation that succeeded made a contract"))
    }

    /// Sends a signed transaction in its EIP-2718 encoding, and mines it in its own block, bypassing the
    /// pool.
    ///
    /// # Errors
    ///
    /// If the transaction cannot be included: it does not decode, the signature is invalid, it is for another
    /// chain, the nonce is not the next one, the sender cannot pay, or a fee or the gas limit is too low.
    pub fn send_raw(&mut self, encoded: &[u8]) -> Result<Execution, ChainError> {
        self.mine_candidate(Candidate::decode(encoded)?)
    }

    /// Submits a signed transaction in its EIP-2718 encoding, like `eth_sendRawTransaction`, and returns its
    /// hash. With [`automine`](Self::automine) it is mined at once, as by [`send_raw`](Self::send_raw);
    /// otherwise it goes to the pool.
    ///
    /// # Errors
    ///
    /// With automine, as for [`send_raw`](Self::send_raw). Otherwise if the pool refuses it:
    /// [`ChainError::AlreadyKnown`], [`ChainError::NonceTooLow`], [`ChainError::Unaffordable`],
    /// [`ChainError::ReplacementUnderpriced`], or if no block could include it. A nonce that is too high, or
    /// a fee below the base fee, is accepted.
    pub fn submit_raw(&mut self, encoded: &[u8]) -> Result<B256, ChainError> {
        self.submit(Candidate::decode(encoded)?)
    }

    pub(crate) fn submit(&mut self, candidate: Candidate) -> Result<B256, ChainError> {
        if self.automine() {
            return Ok(self.mine_candidate(candidate)?.transaction_hash);
        }
        self.vantage().admit(&candidate)?;
        let hash = candidate.hash();
        self.pool.insert(Arc::new(candidate));
        Ok(hash)
    }

    /// Builds a candidate as described at [`send`](Self::send).
    pub(crate) fn unsigned(&self, mut request: TransactionRequest) -> Result<Candidate, ChainError> {
        let free = request.gas_price.is_none()
            && request.max_fee_per_gas.is_none()
            && request.max_priority_fee_per_gas.is_none();
        let from = request
            .from
            .ok_or_else(|| ChainError::InvalidRequest("a transaction needs a sender (`from`)".into()))?;
        let typed = self.typed_transaction(&mut request, from)?;
        // A placeholder signature with the sender's address keeps transactions of different senders distinct.
        let signature = Signature::new(U256::from_be_bytes(from.into_word().0), U256::from(1), false);
        Ok(Candidate {
            transaction: Recovered::new_unchecked(typed.into_signed(signature).into(), from),
            unsigned: true,
            free,
        })
    }

    /// Builds the transaction of a request, with defaults filled in.
    pub(crate) fn typed_transaction(
        &self,
        request: &mut TransactionRequest,
        from: Address,
    ) -> Result<TypedTransaction, ChainError> {
        let request = std::mem::take(request);
        if request.has_eip4844_fields() {
            return Err(ChainError::BlobsNotSupported);
        }
        let to = request.to.unwrap_or(TxKind::Create);
        let input = request
            .input
            .unique_input()
            .map_err(|e| ChainError::InvalidRequest(e.to_string()))?;
        let input = input.cloned().unwrap_or_default();
        let mut request = TransactionRequest {
            to: Some(to),
            input: input.into(),
            nonce: Some(request.nonce.unwrap_or_else(|| self.nonce(from))),
            gas: Some(request.gas.unwrap_or(self.config.gas_limit)),
            chain_id: Some(request.chain_id.unwrap_or(self.config.chain_id)),
            ..request
        };
        if request.gas_price.is_none() {
            let priority = request.max_priority_fee_per_gas.unwrap_or_default();
            request.max_priority_fee_per_gas = Some(priority);
            request.max_fee_per_gas.get_or_insert(match priority {
                0 => 0,
                _ => priority.saturating_add(self.next_base_fee().into()),
            });
        }
        request.build_typed_tx().map_err(|request| {
            let reason = match request.missing_keys() {
                Err((kind, fields)) => format!("{kind} transaction without {}", fields.join(", ")),
                Ok(_) => "contradictory fields".into(),
            };
            ChainError::InvalidRequest(reason)
        })
    }

    fn mine_candidate(&mut self, candidate: Candidate) -> Result<Execution, ChainError> {
        let header = self.next_header();
        let before = self.state.position();
        // The block's own writes come first; a candidate that cannot be included reverts them.
        self.begin_block(&header);
        let cfg = candidate.rules(&self.cfg);
        let outcome = match self.run(block_env(&header), cfg, candidate.env(), &Overlay::default()) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.state.revert_to(before);
                return Err(error);
            }
        };
        self.state.commit(outcome.state);
        let (mined, execution) = Arc::new(candidate).mined(outcome.result, &header);
        self.append(Block::seal(header, vec![mined], before));
        Ok(execution)
    }
}
