//! The cost of the demonstration, the loan to the account, and its return.

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

/// Maximum gas of all transactions of the demonstration, apart from the deployment.
const TRANSACTIONS_GAS: u64 = 10_000_000;
/// Maximum gas of returning the loan.
const GIVE_BACK_GAS: u64 = 1_000_000;
/// Maximum gas of the account's operations.
const OPERATIONS_GAS: u64 = 5_000_000;
/// Maximum gas of one operation.
const OPERATION_GAS: u64 = 3_000_000;
/// Maximum gas of the key's operations.
const KEY_GAS: u64 = 1_500_000;
/// The account's funds, in wei: more than the key may spend.
const ACCOUNT_FUNDS: u64 = 2_000_000_000_000_000;
/// Maximum ratio of the gas price to the one suggested at the start.
const FEE_RISE: u64 = 2;
/// The default maximum for all fees, as a multiple of the bound on one operation's cost: half an ether.
const OPERATIONS: u64 = 10;
/// How many times returning is attempted: ether that arrives meanwhile is returned as well.
const ATTEMPTS: usize = 3;

/// Amounts that the demonstration needs, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Costs {
    /// The maximum for fees.
    pub(super) fees: U256,
    /// The maximum cost of returning the loan, part of the fees.
    pub(super) give_back: U256,
    /// The loan to the account: its balance, and its deposit for operations.
    pub(super) funds: U256,
    pub(super) deposit: U256,
    /// The key's gas limit.
    pub(super) key_gas: U256,
    /// The maximum cost of one operation.
    pub(super) operation: U256,
}

impl Costs {
    /// Estimates at current fees, with room for a rise; `deployment` is the maximum cost of the missing
    /// contracts.
    pub(super) async fn estimate(chain: &Chain, bounds: &Bounds, deployment: U256) -> Result<Self> {
        let head = chain
            .node
            .head()
            .await
            .wrap_err("the node did not return its fees")?;
        let fees = chain
            .node
            .fees(&head)
            .await
            .wrap_err("the node did not return its fees")?;
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

    /// Returns the loan to the account.
    pub(super) const fn lent(&self) -> U256 {
        self.funds.saturating_add(self.deposit)
    }

    /// Returns the balance that the funder needs.
    pub(super) const fn total(&self) -> U256 {
        self.fees.saturating_add(self.lent())
    }
}

/// Returns the default maximum for fees.
pub(super) fn default_max_cost(chain_id: u64) -> U256 {
    let operation = Bounds::on_chain(chain_id).max_cost;
    operation.saturating_mul(U256::from(OPERATIONS))
}

/// Returns an account's balance, and its deposit at the EntryPoint, in wei.
async fn holdings(account: &SmartAccount) -> Result<(U256, U256)> {
    Ok(tokio::try_join!(account.balance(), account.deposit())?)
}

/// Returns an account's entire balance and deposit to its owner, the funder, in the funder's transactions.
/// Returns the amount.
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
        // Pending transactions could change the amounts.
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
        bail!("ether keeps arriving while it is returned");
    }
    Ok(given_back)
}

/// Says what is left in an account that should be empty, and how to recover it.
pub(super) async fn remaining(chain: &Chain, account: &SmartAccount) -> String {
    let (address, owner) = (account.address(), chain.purse.address());
    let amount = match holdings(account).await {
        Ok((funds, deposit)) => format!(
            "{} and a deposit of {} at the EntryPoint",
            show_ether(funds),
            show_ether(deposit)
        ),
        Err(_) => "its loan".to_owned(),
    };
    format!(
        "account {address} still has {amount}; {owner} owns it, and the same key recovers it: {}",
        get_back(chain.chain_id, address)
    )
}

/// Returns the command that recovers an account's funds.
pub(super) fn get_back(chain_id: u64, account: Address) -> String {
    format!("session-key demo --rpc-url … --chain-id {chain_id} --give-back {account} --yes")
}
