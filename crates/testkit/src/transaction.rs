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

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did what it was to do.
    Success,
    /// It reverted; the revert data is [`Execution::output`].
    Reverted,
    /// It came to an exceptional halt.
    Halted(HaltReason),
}

/// A mined transaction and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Number of its block.
    pub block_number: u64,
    /// How it ended.
    pub status: Status,
    /// Gas units, after refunds.
    pub gas_used: u64,
    /// Return data or revert data.
    pub output: Bytes,
    /// Events, in order.
    pub logs: Vec<Log>,
    /// The contract that a creation made.
    pub created: Option<Address>,
}

impl Execution {
    /// Whether the transaction did what it was to do.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, Status::Success)
    }

    /// The return data, or why there is none.
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

/// A transaction that may come into a block.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) transaction: Recovered<TxEnvelope>,
    /// Sent without a signature; the sender may be a contract.
    pub(crate) unsigned: bool,
    /// Pays nothing, whatever the base fee.
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

    /// A signed transaction from its EIP-2718 encoding.
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

    /// The most that it can cost its sender, in wei.
    pub(crate) fn highest_cost(&self) -> U256 {
        let gas = U256::from(self.transaction.gas_limit());
        let fees = gas.saturating_mul(U256::from(self.transaction.max_fee_per_gas()));
        fees.saturating_add(self.transaction.value())
    }

    /// Its payment above this base fee, in wei per gas unit; `None` if it does not pay the base fee.
    pub(crate) fn tip(&self, base_fee: u64) -> Option<u128> {
        if self.free {
            Some(0)
        } else {
            self.transaction.effective_tip_per_gas(base_fee)
        }
    }

    /// The chain's rules, less those that do not apply to it.
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

    /// Splits the result into the block's part and the sender's. `block` is the header of the block that it comes into.
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
        // A receipt names the address of a creation that failed, too.
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
    /// Sends a transaction as whoever `from` names, needing no signature, and mines it in a block of its own, past the pool.
    ///
    /// What the request leaves out: the nonce is the next one, the gas limit the block's; without any fee field the
    /// transaction is free, whatever the base fee. A revert is not an error of `send`: see [`Execution::ok`].
    ///
    /// # Errors
    ///
    /// Whatever keeps it out of a block.
    pub fn send(&mut self, request: TransactionRequest) -> Result<Execution, ChainError> {
        let candidate = self.unsigned(request)?;
        self.mine_candidate(candidate)
    }

    /// Sends a call of a contract's function, as [`send`](Self::send) does, and decodes what it returns.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`Execution::ok`]; [`ChainError::InvalidReturnData`] when the return data does not
    /// decode.
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

    /// Sends a signed transaction in its EIP-2718 encoding, and mines it in a block of its own, past the pool.
    ///
    /// # Errors
    ///
    /// Whatever keeps it out of a block: it does not decode, the signature is invalid, it is for another chain, the nonce
    /// is not the next one, the sender cannot pay, a fee or the gas limit is too low.
    pub fn send_raw(&mut self, encoded: &[u8]) -> Result<Execution, ChainError> {
        self.mine_candidate(Candidate::decode(encoded)?)
    }

    /// Sends a signed transaction in its EIP-2718 encoding as a client does with `eth_sendRawTransaction`, and answers its
    /// hash. With [`automine`](Self::automine) it is mined at once, as by [`send_raw`](Self::send_raw); else it goes to the
    /// pool.
    ///
    /// # Errors
    ///
    /// With automine, as for [`send_raw`](Self::send_raw). Else whatever keeps it out of the pool:
    /// [`ChainError::AlreadyKnown`], [`ChainError::NonceTooLow`], [`ChainError::Unaffordable`],
    /// [`ChainError::ReplacementUnderpriced`], or what no block could take. A nonce that is too high, and a fee below the base
    /// fee, can wait.
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

    /// A candidate as [`send`](Self::send) describes.
    pub(crate) fn unsigned(&self, mut request: TransactionRequest) -> Result<Candidate, ChainError> {
        let free = request.gas_price.is_none()
            && request.max_fee_per_gas.is_none()
            && request.max_priority_fee_per_gas.is_none();
        let from = request
            .from
            .ok_or_else(|| ChainError::InvalidRequest("a transaction needs a sender (`from`)".into()))?;
        let typed = self.typed_transaction(&mut request, from)?;
        // Nobody signed: a signature that names the sender keeps transactions of different senders apart.
        let signature = Signature::new(U256::from_be_bytes(from.into_word().0), U256::from(1), false);
        Ok(Candidate {
            transaction: Recovered::new_unchecked(typed.into_signed(signature).into(), from),
            unsigned: true,
            free,
        })
    }

    /// The transaction that a request describes, with everything that it leaves out filled in.
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
        // What the block itself writes comes first; a candidate that cannot be included takes it back.
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
