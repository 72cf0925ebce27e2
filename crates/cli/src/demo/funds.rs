//! What the demonstration costs, what it lends to the account, and how that comes back.

use super::chain::Chain;
use crate::{
    amount::{round_up, show_ether},
    transactions::Transactions,
};
use eyre::{Result, WrapErr as _, bail, ensure};
use session_key_bindings::IEntryPoint;
use session_key_client::{
    Call, OwnerAction, SmartAccount,
    alloy::{
        primitives::{Address, U256},
        sol_types::SolCall as _,
    },
    operation::Bounds,
};

/// What all transactions of the demonstration may use at most, besides the deployment of the contracts, in gas units.
const TRANSACTIONS_GAS: u64 = 10_000_000;
/// What giving back may use at most, in gas units.
const GIVE_BACK_GAS: u64 = 1_000_000;
/// What the account's operations may use at most, in gas units.
const OPERATIONS_GAS: u64 = 5_000_000;
/// What one operation may use at most, in gas units.
const OPERATION_GAS: u64 = 3_000_000;
/// What the key's operations may use at most, in gas units.
const KEY_GAS: u64 = 1_500_000;
/// What the account holds, in wei: more than the key may spend.
const ACCOUNT_FUNDS: u64 = 2_000_000_000_000_000;
/// How many times the fee that is suggested at the beginning a gas unit may cost.
const FEE_RISE: u64 = 2;
/// How many times the bound on an operation's cost the fees of the demonstration may come to, unless the caller says otherwise:
/// half an ether.
const OPERATIONS: u64 = 10;
/// How often giving back is tried: what arrives meanwhile goes back, too.
const ATTEMPTS: usize = 3;

/// What the demonstration takes, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Costs {
    /// The most that fees come to.
    pub(super) fees: U256,
    /// The most that giving back costs, which is part of the fees.
    pub(super) give_back: U256,
    /// What the account gets, and gives back: to hold, and deposited for its operations.
    pub(super) funds: U256,
    pub(super) deposit: U256,
    /// What the key may use for gas.
    pub(super) key_gas: U256,
    /// The most that one operation may cost.
    pub(super) operation: U256,
}

impl Costs {
    /// At today's fees, with room for their rise; `deployment` is what the missing contracts cost at most.
    pub(super) async fn estimate(chain: &Chain, bounds: &Bounds, deployment: U256) -> Result<Self> {
        let head = chain
            .node
            .head()
            .await
            .wrap_err("the node does not tell its fees")?;
        let fees = chain
            .node
            .fees(&head)
            .await
            .wrap_err("the node does not tell its fees")?;
        bounds.check_fees(
            fees.base_fee,
            U256::from(fees.max_fee),
            U256::from(fees.max_priority_fee),
        )?;
        let price = U256::from(fees.max_fee).saturating_mul(U256::from(FEE_RISE));
        let cost = |gas: u64| round_up(price.saturating_mul(U256::from(gas)));
        Ok(Self {
            fees: cost(TRANSACTIONS_GAS).saturating_add(round_up(deployment)),
            give_back: cost(GIVE_BACK_GAS),
            funds: U256::from(ACCOUNT_FUNDS),
            deposit: cost(OPERATIONS_GAS),
            key_gas: cost(KEY_GAS),
            operation: cost(OPERATION_GAS),
        })
    }

    /// What the account gets, and gives back.
    pub(super) const fn lent(&self) -> U256 {
        self.funds.saturating_add(self.deposit)
    }

    /// All that the funder must have.
    pub(super) const fn total(&self) -> U256 {
        self.fees.saturating_add(self.lent())
    }
}

/// The most that the fees may come to, unless the caller says otherwise.
pub(super) fn default_max_cost(chain_id: u64) -> U256 {
    let operation = Bounds::on_chain(chain_id).max_cost;
    operation.saturating_mul(U256::from(OPERATIONS))
}

/// What an account holds and has deposited at the EntryPoint, in wei.
async fn holdings(account: &SmartAccount) -> Result<(U256, U256)> {
    Ok(tokio::try_join!(account.balance(), account.deposit())?)
}

/// Sends all ether that an account holds or has deposited to its owner, the funder, in the funder's own transaction. Returns how
/// much that was.
pub(super) async fn give_back(chain: &Chain, account: &SmartAccount, bounds: Bounds) -> Result<U256> {
    let owner = chain.purse.address();
    let transactions = Transactions::new(
        chain.provider.clone(),
        chain.purse.clone(),
        chain.chain_id,
        bounds,
    );
    let mut given_back = U256::ZERO;
    for _ in 0..ATTEMPTS {
        // What is on its way could change the amounts.
        transactions.settle().await?;
        let (funds, deposit) = holdings(account).await?;
        if funds.is_zero() && deposit.is_zero() {
            return Ok(given_back);
        }
        ensure!(account.is_deployed().await?, "there is no account yet");
        let entry_point = account.deployment().entry_point;
        let withdraw = IEntryPoint::withdrawToCall {
            withdrawAddress: owner,
            withdrawAmount: deposit,
        };
        let calls = [
            (deposit, Call::new(entry_point, withdraw.abi_encode())),
            (funds, Call::transfer(owner, funds)),
        ];
        let actions = calls
            .into_iter()
            .filter(|(amount, _)| !amount.is_zero())
            .map(|(_, call)| OwnerAction::Call(call));
        let transaction = account.owner_transaction(owner, actions).await?;
        let data = transaction.input.input().cloned().unwrap_or_default();
        transactions
            .call("giving back", account.address(), U256::ZERO, data.to_vec())
            .await?;
        given_back = given_back.saturating_add(funds).saturating_add(deposit);
    }
    let (funds, deposit) = holdings(account).await?;
    if !(funds.is_zero() && deposit.is_zero()) {
        bail!("more arrives than goes back");
    }
    Ok(given_back)
}

/// What is still in an account that should be empty, and how to get it.
pub(super) async fn remaining(chain: &Chain, account: &SmartAccount) -> String {
    let (address, owner) = (account.address(), chain.purse.address());
    let amount = match holdings(account).await {
        Ok((funds, deposit)) => format!(
            "{} and a deposit of {} at the EntryPoint",
            show_ether(funds),
            show_ether(deposit)
        ),
        Err(_) => "what was lent to it".to_owned(),
    };
    format!(
        "account {address} still has {amount}; it belongs to {owner}, and the same key gets it back: {}",
        get_back(chain.chain_id, address)
    )
}

/// The command that gets back what is in an account.
pub(super) fn get_back(chain_id: u64, account: Address) -> String {
    format!("session-key demo --rpc-url … --chain-id {chain_id} --give-back {account} --yes")
}
