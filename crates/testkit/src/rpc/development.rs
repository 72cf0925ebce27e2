//! The methods of development nodes that change the chain.

use super::{Answer, Desk, Failure, ok, params::Params};
use crate::{CallOptions, Chain, ChainError, accounts, transaction::Candidate};
use alloy::{
    consensus::{SignableTransaction, TxEnvelope, transaction::Recovered},
    primitives::{B256, Bytes, U64},
    rpc::types::TransactionRequest,
    signers::SignerSync,
};

/// Every block is kept in memory: limits the damage of a typo.
const MAX_MINED_AT_ONCE: u64 = 100_000;

/// The argument of `evm_mine`.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U64),
    Options {
        timestamp: Option<U64>,
        blocks: Option<U64>,
    },
}

impl Desk<'_> {
    /// Answers methods that only development nodes have.
    pub(super) fn develop(&mut self, method: &str, params: &Params) -> Answer {
        let chain = &mut *self.chain;
        match method {
            "eth_sendTransaction" => ok(send_as_account(chain, params.required(0)?)?),
            "evm_increaseTime" => {
                chain.increase_time(params.number(0)?);
                ok(chain.time_offset())
            }
            "evm_setNextBlockTimestamp" | "anvil_setNextBlockTimestamp" => {
                chain.set_next_timestamp(params.number(0)?)?;
                ok(())
            }
            "anvil_setNextBlockBaseFeePerGas" | "hardhat_setNextBlockBaseFeePerGas" => {
                chain.set_next_base_fee(params.number(0)?);
                ok(())
            }
            "evm_mine" => {
                match params.optional::<MineOptions>(0)? {
                    Some(MineOptions::Timestamp(timestamp)) => chain.mine_at(timestamp.to())?,
                    Some(MineOptions::Options { timestamp, blocks }) => {
                        let blocks = blocks.map_or(1, |blocks| blocks.to());
                        check_number_of_blocks(blocks)?;
                        if let Some(timestamp) = timestamp {
                            chain.set_next_timestamp(timestamp.to())?;
                        }
                        mine_many(chain, blocks, None)?;
                    }
                    None => chain.mine(),
                }
                ok("0x0")
            }
            "anvil_mine" | "hardhat_mine" => {
                let blocks = params.optional_number(0)?.unwrap_or(1);
                mine_many(chain, blocks, params.optional_number(1)?)?;
                ok(())
            }
            "evm_setAutomine" | "anvil_setAutomine" => {
                chain.set_automine(params.required(0)?);
                ok(())
            }
            "anvil_getAutomine" => ok(chain.automine()),
            "anvil_dropTransaction" | "hardhat_dropTransaction" => {
                let hash = params.required::<B256>(0)?;
                ok(chain.drop_pooled(hash).ok().map(|()| hash))
            }
            "evm_snapshot" | "anvil_snapshot" => ok(U64::from(chain.snapshot())),
            "evm_revert" | "anvil_revert" => {
                let id = params.number(0)?;
                ok(match chain.revert(id) {
                    Err(ChainError::UnknownSnapshot(_)) => false,
                    result => result.map(|()| true)?,
                })
            }
            "anvil_setBalance" | "hardhat_setBalance" => {
                chain.set_balance(params.required(0)?, params.required(1)?);
                ok(())
            }
            "anvil_setNonce" | "hardhat_setNonce" => {
                chain.set_nonce(params.required(0)?, params.number(1)?);
                ok(())
            }
            "anvil_setCode" | "hardhat_setCode" => {
                chain.set_code(params.required(0)?, params.required::<Bytes>(1)?)?;
                ok(())
            }
            "anvil_setStorageAt" | "hardhat_setStorageAt" => {
                chain.set_storage(
                    params.required(0)?,
                    params.required(1)?,
                    params.required::<B256>(2)?.into(),
                );
                ok(true)
            }
            "anvil_impersonateAccount" | "hardhat_impersonateAccount" => {
                chain.impersonate(params.required(0)?);
                ok(())
            }
            "anvil_stopImpersonatingAccount" | "hardhat_stopImpersonatingAccount" => {
                chain.stop_impersonating(params.required(0)?);
                ok(())
            }
            _ => Err(Failure::NoMethod(method.to_owned())),
        }
    }
}

/// Mines blocks, `interval` seconds apart: all of them or none.
fn mine_many(chain: &mut Chain, blocks: u64, interval: Option<u64>) -> Result<(), ChainError> {
    check_number_of_blocks(blocks)?;
    if let (Some(interval), 2..) = (interval, blocks) {
        let last = interval
            .checked_mul(blocks - 1)
            .and_then(|seconds| chain.next_timestamp().checked_add(seconds));
        if interval == 0 || last.is_none() {
            return Err(ChainError::InvalidRequest(format!(
                "{blocks} blocks cannot be {interval} seconds apart"
            )));
        }
    }
    for index in 0..blocks {
        if let (Some(interval), 1..) = (interval, index) {
            chain.set_next_timestamp(chain.timestamp() + interval)?;
        }
        chain.mine();
    }
    Ok(())
}

fn check_number_of_blocks(blocks: u64) -> Result<(), ChainError> {
    if blocks > MAX_MINED_AT_ONCE {
        return Err(ChainError::InvalidRequest(format!(
            "{blocks} blocks are too many: at most {MAX_MINED_AT_ONCE} at once"
        )));
    }
    Ok(())
}

/// Answers `eth_sendTransaction`: signed with a development account's key, or unsigned for an impersonated
/// account.
fn send_as_account(chain: &mut Chain, mut request: TransactionRequest) -> Result<B256, ChainError> {
    let from = request.from.unwrap_or(accounts::dev_accounts()[0].address);
    request.from = Some(from);
    let impersonated = chain.is_impersonated(from);
    let account = accounts::dev_accounts()
        .iter()
        .find(|account| account.address == from);
    if account.is_none() && !impersonated {
        return Err(ChainError::NoSigner(from));
    }
    if request.gas.is_none() {
        request.gas = Some(chain.estimate_gas(&request, &CallOptions::pending())?);
    }
    request.nonce.get_or_insert(chain.pending_nonce(from));
    if request.gas_price.is_none() {
        let priority = *request
            .max_priority_fee_per_gas
            .get_or_insert(super::SUGGESTED_PRIORITY_FEE);
        // Twice the base fee, the usual rule of clients: a few full blocks do not matter.
        request
            .max_fee_per_gas
            .get_or_insert((2 * u128::from(chain.next_base_fee())).saturating_add(priority));
    }
    let candidate = match account {
        Some(account) if !impersonated => {
            let transaction = chain.typed_transaction(&mut request, from)?;
            let signature = account
                .signer()
                .sign_hash_sync(&transaction.signature_hash())
                .expect("a key in memory signs any hash");
            let transaction = TxEnvelope::from(transaction.into_signed(signature));
            Candidate::signed(Recovered::new_unchecked(transaction, from))
        }
        _ => chain.unsigned(request)?,
    };
    chain.submit(candidate)
}
