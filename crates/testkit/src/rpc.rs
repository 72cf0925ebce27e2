//! JSON-RPC: the methods of a node, answered as anvil answers them.

use crate::{CallOptions, Chain, ChainError, PooledTransaction, accounts, chain::code_of};
use alloy::{
    consensus::{SignableTransaction, Transaction as _, TxEnvelope},
    eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718},
    network::primitives::BlockTransactionsKind,
    primitives::{Address, B256, Bytes, U64, U256},
    rpc::{
        json_rpc::{ErrorPayload, Response, ResponsePayload, SerializedRequest},
        types::{BlockOverrides, FeeHistory, Filter, Transaction, TransactionRequest, state::StateOverride},
    },
    signers::SignerSync,
};
use revm::context::result::InvalidTransaction;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;

/// What a method answers: a result or an error.
type Answer = Result<Box<RawValue>, ErrorPayload>;

/// Wei per gas unit that a transaction offers when it is not told what: as anvil's `eth_maxPriorityFeePerGas`.
const SUGGESTED_PRIORITY_FEE: u128 = 1_000_000_000;

/// Every block is kept, so a slip of the finger must not fill the memory.
const MAX_MINED_AT_ONCE: u64 = 100_000;

/// JSON-RPC error codes, those of anvil and geth.
mod code {
    /// The call reverted; `data` holds the revert data.
    pub(super) const EXECUTION_REVERTED: i64 = 3;
    /// EIP-7966; `data` holds the hash.
    pub(super) const NOT_MINED_IN_TIME: i64 = 4;
    pub(super) const INVALID_INPUT: i64 = -32000;
    pub(super) const RESOURCE_NOT_FOUND: i64 = -32001;
    pub(super) const TRANSACTION_REJECTED: i64 = -32003;
    pub(super) const METHOD_NOT_FOUND: i64 = -32601;
    pub(super) const INVALID_PARAMS: i64 = -32602;
    pub(super) const INTERNAL_ERROR: i64 = -32603;
}

impl Chain {
    /// Answers one JSON-RPC request.
    pub(crate) fn respond(&mut self, request: &SerializedRequest) -> Response {
        let payload = match self.dispatch(request.method(), request.params()) {
            Ok(result) => ResponsePayload::Success(result),
            Err(error) => ResponsePayload::Failure(error),
        };
        Response {
            id: request.id().clone(),
            payload,
        }
    }

    fn dispatch(&mut self, method: &str, params: Option<&RawValue>) -> Answer {
        let params = Params::parse(params)?;
        match method {
            "web3_clientVersion" => ok(concat!(
                "session-key-testkit/",
                env!("CARGO_PKG_VERSION"),
                " (simulated chain, in-process)"
            )),
            "eth_chainId" => ok(U64::from(self.chain_id())),
            "net_version" => ok(self.chain_id().to_string()),
            "eth_syncing" => ok(false),
            "eth_accounts" => ok(accounts::dev_accounts()
                .iter()
                .map(|account| account.address)
                .collect::<Vec<_>>()),
            "eth_blockNumber" => ok(U64::from(self.block_number())),

            "eth_getBalance" => {
                let account = self.vantage().account_at(params.required(0)?, params.block(1)?)?;
                ok(account.map(|account| account.balance).unwrap_or_default())
            }
            "eth_getTransactionCount" if params.block(1)?.is_pending() => {
                ok(U64::from(self.pending_nonce(params.required(0)?)))
            }
            "eth_getTransactionCount" => {
                let account = self.vantage().account_at(params.required(0)?, params.block(1)?)?;
                ok(U64::from(
                    account.map(|account| account.nonce).unwrap_or_default(),
                ))
            }
            "eth_getCode" => {
                let account = self.vantage().account_at(params.required(0)?, params.block(1)?)?;
                ok(account.as_ref().map(code_of).unwrap_or_default())
            }
            "eth_getStorageAt" => {
                let slot = params.required::<U256>(1)?;
                ok(B256::from(self.vantage().storage_at(
                    params.required(0)?,
                    slot,
                    params.block(2)?,
                )?))
            }

            "eth_call" => ok(self.call_with(&params.required(0)?, &params.call_options()?)?),
            "eth_estimateGas" => ok(U64::from(
                self.estimate_gas(&params.required(0)?, &params.call_options()?)?,
            )),
            "eth_gasPrice" => ok(U256::from(
                u128::from(self.next_base_fee()) + SUGGESTED_PRIORITY_FEE,
            )),
            "eth_maxPriorityFeePerGas" => ok(U256::from(SUGGESTED_PRIORITY_FEE)),
            "eth_feeHistory" => ok(self.fee_history(&params)?),

            "eth_sendRawTransaction" => ok(self.submit_raw(&params.required::<Bytes>(0)?)?),
            // EIP-7966: answers with the receipt, or, once its time is over, with the hash in an error.
            "eth_sendRawTransactionSync" => {
                let hash = self.submit_raw(&params.required::<Bytes>(0)?)?;
                match self.receipt(hash) {
                    Some(receipt) => ok(receipt),
                    None => Err(ErrorPayload {
                        code: code::NOT_MINED_IN_TIME,
                        message: "The transaction was added to the mempool but wasn't processed in time"
                            .into(),
                        data: to_raw_value(&hash).ok(),
                    }),
                }
            }
            "eth_sendTransaction" => ok(self.send_as_account(params.required(0)?)?),

            "eth_getTransactionByHash" => ok(self.vantage().transaction(params.required(0)?)),
            "eth_getTransactionReceipt" => ok(self.receipt(params.required(0)?)),
            "eth_getBlockReceipts" => ok(self
                .vantage()
                .block(params.required(0)?)
                .map(|block| block.rpc_receipts().collect::<Vec<_>>())),
            "eth_getBlockByNumber" => {
                let tag = params.required::<BlockNumberOrTag>(0)?;
                self.block_by_id(tag.into(), &params)
            }
            "eth_getBlockByHash" => self.block_by_id(params.required::<B256>(0)?.into(), &params),
            "eth_getLogs" => {
                let filter = params.required::<Filter>(0)?;
                if let (Some(BlockNumberOrTag::Number(from)), Some(BlockNumberOrTag::Number(to))) = (
                    filter.block_option.get_from_block(),
                    filter.block_option.get_to_block(),
                ) && from > to
                {
                    return Err(failure(code::INVALID_PARAMS, "invalid block range params"));
                }
                match self.logs(&filter) {
                    Err(ChainError::UnknownBlock { .. }) => {
                        Err(failure(code::INVALID_INPUT, "unknown block"))
                    }
                    logs => ok(logs?),
                }
            }

            "debug_traceCall" => {
                let options = params.optional::<TraceOptions>(2)?.unwrap_or_default();
                options.check()?;
                let call = CallOptions {
                    block: params.block(1)?,
                    state: options.state_overrides,
                    block_overrides: options.block_overrides,
                };
                ok(self.trace(&params.required(0)?, &call)?)
            }
            "debug_traceTransaction" => {
                params.optional::<TraceOptions>(1)?.unwrap_or_default().check()?;
                ok(self.trace_transaction(params.required(0)?)?)
            }

            "evm_increaseTime" => {
                self.increase_time(params.number(0)?);
                ok(self.time_offset())
            }
            "evm_setNextBlockTimestamp" | "anvil_setNextBlockTimestamp" => {
                self.set_next_timestamp(params.number(0)?)?;
                ok(())
            }
            "anvil_setNextBlockBaseFeePerGas" | "hardhat_setNextBlockBaseFeePerGas" => {
                self.set_next_base_fee(params.number(0)?);
                ok(())
            }
            "evm_mine" => {
                match params.optional::<MineOptions>(0)? {
                    Some(MineOptions::Timestamp(timestamp)) => self.mine_at(timestamp.to())?,
                    Some(MineOptions::Options { timestamp, blocks }) => {
                        let blocks = blocks.map_or(1, |blocks| blocks.to());
                        check_number_of_blocks(blocks)?;
                        if let Some(timestamp) = timestamp {
                            self.set_next_timestamp(timestamp.to())?;
                        }
                        self.mine_many(blocks, None)?;
                    }
                    None => self.mine(),
                }
                ok("0x0")
            }
            "anvil_mine" | "hardhat_mine" => {
                let blocks = params.optional_number(0)?.unwrap_or(1);
                self.mine_many(blocks, params.optional_number(1)?)?;
                ok(())
            }
            "evm_setAutomine" | "anvil_setAutomine" => {
                self.set_automine(params.required(0)?);
                ok(())
            }
            "anvil_getAutomine" => ok(self.automine()),
            "anvil_dropTransaction" | "hardhat_dropTransaction" => {
                let hash = params.required::<B256>(0)?;
                ok(self.drop_pooled(hash).ok().map(|()| hash))
            }
            "txpool_status" => {
                let pool = self.pool();
                let queued = pool.iter().filter(|pooled| pooled.queued).count();
                ok(PoolStatus {
                    pending: U64::from(pool.len() - queued),
                    queued: U64::from(queued),
                })
            }
            "txpool_content" => ok(PoolContent::from(self.pool())),
            "evm_snapshot" | "anvil_snapshot" => ok(U64::from(self.snapshot())),
            "evm_revert" | "anvil_revert" => {
                let id = params.number(0)?;
                ok(match self.revert(id) {
                    Err(ChainError::UnknownSnapshot(_)) => false,
                    result => result.map(|()| true)?,
                })
            }
            "anvil_setBalance" | "hardhat_setBalance" => {
                self.set_balance(params.required(0)?, params.required(1)?);
                ok(())
            }
            "anvil_setNonce" | "hardhat_setNonce" => {
                self.set_nonce(params.required(0)?, params.number(1)?);
                ok(())
            }
            "anvil_setCode" | "hardhat_setCode" => {
                self.set_code(params.required(0)?, params.required::<Bytes>(1)?)?;
                ok(())
            }
            "anvil_setStorageAt" | "hardhat_setStorageAt" => {
                self.set_storage(
                    params.required(0)?,
                    params.required(1)?,
                    params.required::<B256>(2)?.into(),
                );
                ok(true)
            }
            "anvil_impersonateAccount" | "hardhat_impersonateAccount" => {
                self.impersonate(params.required(0)?);
                ok(())
            }
            "anvil_stopImpersonatingAccount" | "hardhat_stopImpersonatingAccount" => {
                self.stop_impersonating(params.required(0)?);
                ok(())
            }
            _ => Err(failure(
                code::METHOD_NOT_FOUND,
                format!("the method {method} does not exist"),
            )),
        }
    }

    fn block_by_id(&self, id: BlockId, params: &Params) -> Answer {
        let kind = match params.optional::<bool>(1)? {
            Some(true) => BlockTransactionsKind::Full,
            _ => BlockTransactionsKind::Hashes,
        };
        ok(self.vantage().rpc_block(id, kind))
    }

    /// Mines blocks, `interval` seconds apart: all of them, or none.
    fn mine_many(&mut self, blocks: u64, interval: Option<u64>) -> Result<(), ChainError> {
        check_number_of_blocks(blocks)?;
        if let (Some(interval), 2..) = (interval, blocks) {
            let last = interval
                .checked_mul(blocks - 1)
                .and_then(|seconds| self.next_timestamp().checked_add(seconds));
            if interval == 0 || last.is_none() {
                return Err(ChainError::InvalidRequest(format!(
                    "{blocks} blocks cannot be {interval} seconds apart"
                )));
            }
        }
        for index in 0..blocks {
            if let (Some(interval), 1..) = (interval, index) {
                self.set_next_timestamp(self.timestamp() + interval)?;
            }
            self.mine();
        }
        Ok(())
    }

    /// `eth_sendTransaction`: signed with the key of a development account, or unsigned for an impersonated one.
    fn send_as_account(&mut self, mut request: TransactionRequest) -> Result<B256, ChainError> {
        let from = request.from.unwrap_or(accounts::dev_accounts()[0].address);
        request.from = Some(from);
        let impersonated = self.is_impersonated(from);
        let account = accounts::dev_accounts()
            .iter()
            .find(|account| account.address == from);
        if account.is_none() && !impersonated {
            return Err(ChainError::NoSigner(from));
        }
        if request.gas.is_none() {
            request.gas = Some(self.estimate_gas(&request, &CallOptions::pending())?);
        }
        request.nonce.get_or_insert(self.pending_nonce(from));
        if request.gas_price.is_none() {
            let priority = *request
                .max_priority_fee_per_gas
                .get_or_insert(SUGGESTED_PRIORITY_FEE);
            // Twice the base fee, so that a few full blocks do not matter: the usual rule of clients.
            request
                .max_fee_per_gas
                .get_or_insert((2 * u128::from(self.next_base_fee())).saturating_add(priority));
        }
        match account {
            Some(account) if !impersonated => {
                let transaction = self.typed_transaction(&mut request, from)?;
                let signature = account
                    .signer()
                    .sign_hash_sync(&transaction.signature_hash())
                    .expect("a key in memory signs any hash");
                let transaction = TxEnvelope::from(transaction.into_signed(signature));
                self.submit_raw(&transaction.encoded_2718())
            }
            _ => self.submit(self.unsigned(request)?),
        }
    }

    fn fee_history(&self, params: &Params) -> Result<FeeHistory, ErrorPayload> {
        let percentiles = params.optional::<Vec<f64>>(2)?;
        let checked = percentiles.as_deref().unwrap_or_default();
        if checked.iter().any(|p| !(0.0..=100.0).contains(p)) || !checked.is_sorted() {
            return Err(failure(code::INVALID_PARAMS, "invalid reward percentiles"));
        }
        let history =
            self.vantage()
                .fee_history(params.number(0)?, params.required(1)?, percentiles.as_deref())?;
        Ok(history)
    }
}

fn check_number_of_blocks(blocks: u64) -> Result<(), ChainError> {
    if blocks > MAX_MINED_AT_ONCE {
        return Err(ChainError::InvalidRequest(format!(
            "{blocks} blocks are too many: at most {MAX_MINED_AT_ONCE} at once"
        )));
    }
    Ok(())
}

/// Answer of `txpool_status`.
#[derive(Debug, Serialize)]
struct PoolStatus {
    pending: U64,
    queued: U64,
}

/// Transactions by sender and nonce; nonces in decimal.
type ByNonce = BTreeMap<Address, BTreeMap<String, Transaction>>;

/// Answer of `txpool_content`.
#[derive(Debug, Default, Serialize)]
struct PoolContent {
    pending: ByNonce,
    queued: ByNonce,
}

impl From<Vec<PooledTransaction>> for PoolContent {
    fn from(pool: Vec<PooledTransaction>) -> Self {
        let mut content = Self::default();
        for PooledTransaction {
            transaction, queued, ..
        } in pool
        {
            let part = if queued {
                &mut content.queued
            } else {
                &mut content.pending
            };
            part.entry(transaction.inner.signer())
                .or_default()
                .insert(transaction.inner.nonce().to_string(), transaction);
        }
        content
    }
}

/// Argument of `evm_mine`.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U64),
    Options {
        timestamp: Option<U64>,
        blocks: Option<U64>,
    },
}

/// Options of the `debug_trace` methods.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TraceOptions {
    tracer: Option<String>,
    state_overrides: StateOverride,
    block_overrides: BlockOverrides,
}

impl TraceOptions {
    fn check(&self) -> Result<(), ErrorPayload> {
        match self.tracer.as_deref() {
            Some("callTracer") => Ok(()),
            Some(other) => Err(failure(
                code::INVALID_PARAMS,
                format!("unknown tracer {other}: there is only callTracer"),
            )),
            None => Err(failure(
                code::INVALID_PARAMS,
                "name the tracer: there is only callTracer",
            )),
        }
    }
}

/// Positional parameters. Those that are missing at the end count as null.
#[derive(Debug)]
struct Params(Vec<serde_json::Value>);

impl Params {
    fn parse(params: Option<&RawValue>) -> Result<Self, ErrorPayload> {
        match params.map(RawValue::get) {
            None | Some("null") => Ok(Self(Vec::new())),
            Some(params) => serde_json::from_str(params).map(Self).map_err(|error| {
                failure(
                    code::INVALID_PARAMS,
                    format!("parameters are not an array: {error}"),
                )
            }),
        }
    }

    fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, ErrorPayload> {
        match self.0.get(index) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(value) => T::deserialize(value)
                .map(Some)
                .map_err(|error| failure(code::INVALID_PARAMS, format!("parameter {index}: {error}"))),
        }
    }

    fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, ErrorPayload> {
        self.optional(index)?
            .ok_or_else(|| failure(code::INVALID_PARAMS, format!("parameter {index} is missing")))
    }

    /// A number, as a JSON number or in hex.
    fn number(&self, index: usize) -> Result<u64, ErrorPayload> {
        self.required::<U64>(index).map(|number| number.to())
    }

    fn optional_number(&self, index: usize) -> Result<Option<u64>, ErrorPayload> {
        Ok(self.optional::<U64>(index)?.map(|number| number.to()))
    }

    /// A block tag, number or hash; the latest block when it is missing.
    fn block(&self, index: usize) -> Result<BlockId, ErrorPayload> {
        Ok(self.optional(index)?.unwrap_or_default())
    }

    /// The second to fourth parameter of `eth_call`.
    fn call_options(&self) -> Result<CallOptions, ErrorPayload> {
        Ok(CallOptions {
            block: self.block(1)?,
            state: self.optional::<StateOverride>(2)?.unwrap_or_default(),
            block_overrides: self.optional::<BlockOverrides>(3)?.unwrap_or_default(),
        })
    }
}

fn ok(result: impl Serialize) -> Answer {
    to_raw_value(&result).map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))
}

fn failure(code: i64, message: impl Into<std::borrow::Cow<'static, str>>) -> ErrorPayload {
    ErrorPayload {
        code,
        message: message.into(),
        data: None,
    }
}

impl From<ChainError> for ErrorPayload {
    fn from(error: ChainError) -> Self {
        let message = error.to_string();
        match error {
            ChainError::Reverted { output } => Self {
                code: code::EXECUTION_REVERTED,
                message: message.into(),
                data: to_raw_value(&output).ok(),
            },
            ChainError::Halted(reason) => failure(code::INTERNAL_ERROR, format!("EVM error {reason:?}")),
            ChainError::InsufficientFunds {
                address,
                balance,
                needed,
            } => failure(
                code::TRANSACTION_REJECTED,
                format!(
                    "Insufficient funds for gas * price + value: address {address} have {balance} want {needed}"
                ),
            ),
            // The pool's refusals are geth's, word for word.
            ChainError::AlreadyKnown(_) => failure(code::INVALID_INPUT, "already known"),
            ChainError::ReplacementUnderpriced { .. } => {
                failure(code::INVALID_INPUT, "replacement transaction underpriced")
            }
            ChainError::Unaffordable {
                balance,
                pooled: U256::ZERO,
                cost,
            } => failure(
                code::INVALID_INPUT,
                format!(
                    "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
                    cost.saturating_sub(balance)
                ),
            ),
            ChainError::GasAllowanceExceeded { allowance } => failure(
                code::TRANSACTION_REJECTED,
                format!("Out of gas: gas required exceeds allowance: {allowance}"),
            ),
            ChainError::Refused(invalid) => failure(code::TRANSACTION_REJECTED, rejection(&invalid)),
            ChainError::UnknownBlock {
                asked: BlockId::Number(BlockNumberOrTag::Number(number)),
                latest,
            } => failure(
                code::INVALID_PARAMS,
                format!("BlockOutOfRangeError: block height is {latest} but requested was {number}"),
            ),
            ChainError::UnknownBlock { .. } => failure(code::RESOURCE_NOT_FOUND, message),
            ChainError::Evm(_) => failure(code::INTERNAL_ERROR, message),
            ChainError::UndecodableTransaction(reason) => failure(
                code::INVALID_PARAMS,
                format!("Failed to decode transaction: {reason}"),
            ),
            ChainError::NoSigner(address) => failure(
                code::INVALID_PARAMS,
                format!("No Signer available for {address}: impersonate it, or send a signed transaction"),
            ),
            ChainError::InvalidRequest(_)
            | ChainError::InvalidCode(_)
            | ChainError::TimestampNotIncreasing { .. } => failure(code::INVALID_PARAMS, message),
            _ => failure(code::INVALID_INPUT, message),
        }
    }
}

/// The words of nodes for the refusals that clients look for, then the figures.
fn rejection(invalid: &InvalidTransaction) -> String {
    match invalid {
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: transaction has {tx}, account is at {state}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!(
                "nonce too high: transaction has {tx}, account is at {state}, and nothing waits with automine"
            )
        }
        InvalidTransaction::InvalidChainId => "invalid chain id for signer".into(),
        InvalidTransaction::GasPriceLessThanBasefee => "max fee per gas less than block base fee".into(),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".into()
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit {
            initial_gas,
            gas_limit,
        } => {
            format!("intrinsic gas too low: gas limit is {gas_limit}, needs {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("intrinsic gas too low: gas limit is {gas_limit}, needs {gas_floor}")
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "gas limit exceeds block gas limit".into(),
        InvalidTransaction::RejectCallerWithCode => "sender not an eoa".into(),
        other => other.to_string(),
    }
}
