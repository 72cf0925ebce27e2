//! The steps of the demonstration: what a key may do, and what it may not.

use super::{Stage, chain::Chain};
use crate::{
    amount::{show_ether, show_gas_units},
    report::Report,
    transactions::{INCLUSION_TIMEOUT, caught_up},
};
use eyre::{Result, WrapErr as _, bail, ensure};
use session_key_bindings::IEntryPoint;
use session_key_client::{
    Call, NewSessionKey, Operation, OwnerClient, Revert, SessionKeyClient, SessionKeySigner, SmartAccount,
    alloy::{
        eips::BlockId,
        network::TransactionBuilder as _,
        primitives::{Address, Bytes, U256, keccak256, utils::format_units},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall as _,
    },
    calldata,
    operation::{Bounds, Check, Happened, Included},
    permissions::{
        ERC20_TRANSFER, LimitChange, PermissionUpdates, Permissions, SpendLimit, UserOperation, Violation,
        erc20, model::Phase, session_key_nonce_key,
    },
    signer::sign_hash,
    submit::{EntryPointSubmitter, Submitter, explain_validation},
};
use session_key_testkit::TestToken;
use std::sync::Arc;

/// The test token's decimals.
const DECIMALS: u8 = 6;
/// The account's tokens, in whole units: exactly what is spent.
const TOKENS: u64 = 110;
/// The key's native limit, in wei, and the amount that exceeds it.
const NATIVE_LIMIT: u64 = 1_000_000_000_000_000;
const TOO_MUCH: u64 = 2_000_000_000_000_000;

/// Converts whole tokens to base units.
fn tokens(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10u64.pow(DECIMALS.into()))
}

fn show_tokens(amount: U256) -> String {
    let text = format_units(amount, DECIMALS).unwrap_or_else(|_| amount.to_string());
    format!("{} TUSD", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A day, in seconds.
const DAY: u64 = 86_400;

/// Formats a duration.
fn show_duration(seconds: u64) -> String {
    match seconds {
        DAY => "a day".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

/// Formats a refresh interval.
fn show_interval(seconds: u64) -> String {
    match seconds {
        DAY => "per day".to_owned(),
        seconds => format!("per {seconds} seconds"),
    }
}

fn show_gas(included: &Included) -> String {
    show_gas_units(included.receipt.actual_gas_used.saturating_to())
}

/// A session key with its signer.
struct Key {
    client: SessionKeyClient,
    signer: Arc<SessionKeySigner>,
}

impl Key {
    fn address(&self) -> Address {
        self.client.session_key()
    }
}

/// The state that the steps share.
pub(super) struct Story<'a> {
    stage: &'a Stage,
    owner: OwnerClient,
    submitter: Arc<dyn Submitter>,
    /// Receives all tokens.
    payee: Address,
}

impl<'a> Story<'a> {
    /// Creates the account, and lends it what it needs.
    pub(super) async fn begin(
        stage: &'a Stage,
        account: SmartAccount,
        salt: U256,
        report: &mut Report,
    ) -> Result<Self> {
        let (chain, costs) = (&stage.chain, &stage.costs);
        let transactions = stage.transactions();
        let deployment = *account.deployment();
        let create = calldata::create_account(salt, &[chain.purse.address()])?;
        let receipt = transactions
            .call(
                "creating the account",
                deployment.factory,
                U256::ZERO,
                create.into(),
            )
            .await?;
        ensure!(
            account.is_deployed().await?,
            "the factory created no account at {}",
            account.address()
        );
        let gas = show_gas_units(receipt.gas_used.unwrap_or_default().saturating_to());
        report.done("Created", format!("{}  {gas}", account.address()));

        let deposit = IEntryPoint::depositToCall {
            account: account.address(),
        };
        transactions
            .call(
                "depositing for gas",
                deployment.entry_point,
                costs.deposit,
                deposit.abi_encode(),
            )
            .await?;
        transactions
            .call("funding the account", account.address(), costs.funds, Vec::new())
            .await?;
        let mint = TestToken::mintCall {
            to: account.address(),
            amount: tokens(TOKENS),
        };
        transactions
            .call(
                "minting test tokens",
                stage.token.address,
                U256::ZERO,
                mint.abi_encode(),
            )
            .await?;
        report.done(
            "Funded",
            format!(
                "{}, {} deposited for gas, {}",
                show_ether(costs.funds),
                show_ether(costs.deposit),
                show_tokens(tokens(TOKENS))
            ),
        );

        let bounds = Bounds {
            max_cost: costs.operation,
            ..stage.bounds
        };
        let submitter: Arc<dyn Submitter> = Arc::new(
            EntryPointSubmitter::new(
                chain.provider.clone(),
                deployment.entry_point,
                chain.purse.address(),
            )
            .with_bounds(bounds),
        );
        let owner = Arc::new(chain.purse.signer().clone());
        Ok(Self {
            stage,
            owner: OwnerClient::shared(account, owner, submitter.clone()).with_bounds(bounds),
            submitter,
            payee: PrivateKeySigner::random().address(),
        })
    }

    /// Runs the steps. Fails at the first unexpected result.
    pub(super) async fn tell(&self, report: &mut Report) -> Result<()> {
        report.section("The owner installs the plugin with two keys, in one operation");
        let (key, brief) = (self.key(), self.key());
        self.install(&key, &brief, report).await?;

        report.section("The key acts");
        self.pay(&key, 60, report).await?;
        self.show_budget(&key, 40, report).await?;

        report.section("What it may not do is refused before it is signed");
        self.refusals(&key, report).await?;

        report.section("Time passes: the limit refreshes, and the other key expires");
        self.refresh(&key, report).await?;
        self.refused("The other key", &brief, self.transfer(1), "expired", report)
            .await?;
        self.pay(&key, 50, report).await?;
        self.show_budget(&key, 50, report).await?;

        report.section("The owner changes a limit, replaces the key, and removes it");
        self.update(&key, report).await?;
        self.show_budget(&key, 200, report).await?;
        let successor = self.rotate(&key, report).await?;
        self.show_budget(&successor, 200, report).await?;
        self.remove(&successor, report).await
    }

    const fn chain(&self) -> &Chain {
        &self.stage.chain
    }

    const fn token(&self) -> Address {
        self.stage.token.address
    }

    /// Returns a new key.
    fn key(&self) -> Key {
        let signer = Arc::new(SessionKeySigner::random());
        let client = SessionKeyClient::shared(
            self.owner.account().clone(),
            signer.clone(),
            self.submitter.clone(),
        );
        Key {
            client: client.with_bounds(*self.owner.bounds()),
            signer,
        }
    }

    /// Executes an operation, and waits until the node has its block.
    async fn done(&self, operation: Operation) -> Result<Included> {
        let included = operation.timeout(INCLUSION_TIMEOUT).await?;
        caught_up(&self.chain().node, included.block().number).await?;
        Ok(included)
    }

    async fn install(&self, key: &Key, brief: &Key, report: &mut Report) -> Result<()> {
        let now = self.chain().time().await?;
        let interval = self.chain().refresh_interval();
        let (token, key_gas) = (self.token(), self.stage.costs.key_gas);
        let permissions = Permissions::new()
            .contract_functions(token, [ERC20_TRANSFER])
            .contract(self.payee)
            .valid_until(now.saturating_add(30 * DAY))
            .native_token_spend_limit(SpendLimit::total(U256::from(NATIVE_LIMIT)))
            .erc20_spend_limit(token, SpendLimit::per(tokens(100), interval))
            .gas_spend_limit(SpendLimit::total(key_gas));
        let brief_permissions = Permissions::new()
            .contract(token)
            .valid_until(now.saturating_add(interval));
        let installed = self
            .done(self.owner.install_session_key_plugin([
                NewSessionKey::new(key.address(), &permissions)?.with_tag(keccak256("demo")),
                NewSessionKey::new(brief.address(), &brief_permissions)?,
            ]))
            .await?;
        report.done("Installed", show_gas(&installed));
        report.fact("Key", key.address().to_string());
        report.fact(
            "  may call",
            format!("transfer of TUSD, and any function of {}", self.payee),
        );
        report.fact("  may be used", "for 30 days");
        report.fact(
            "  may spend",
            format!(
                "{} {}, and {} in all",
                show_tokens(tokens(100)),
                show_interval(interval),
                show_ether(U256::from(NATIVE_LIMIT))
            ),
        );
        report.fact("  may use for gas", format!("{} in all", show_ether(key_gas)));
        report.fact("Another key", brief.address().to_string());
        report.fact("  may call", "any function of TUSD");
        report.fact("  may be used", format!("for {}", show_duration(interval)));

        let keys = self.owner.account().session_keys().await?;
        ensure!(
            keys == [brief.address(), key.address()],
            "the account's keys are {keys:?}"
        );
        Ok(())
    }

    fn transfer(&self, whole_tokens: u64) -> Call {
        Call::new(self.token(), erc20::transfer(self.payee, tokens(whole_tokens)))
    }

    async fn token_balance(&self, holder: Address) -> Result<U256> {
        let call = TestToken::balanceOfCall { account: holder };
        let request = TransactionRequest::default()
            .with_to(self.token())
            .with_input(call.abi_encode());
        let answer = self.chain().node.call(&request, BlockId::latest()).await;
        let answer = answer.wrap_err("the token did not return a balance")?;
        Ok(TestToken::balanceOfCall::abi_decode_returns(&answer)?)
    }

    /// Transfers tokens with the key, after checking that the transfer would pass.
    async fn pay(&self, key: &Key, whole_tokens: u64, report: &mut Report) -> Result<()> {
        let call = self.transfer(whole_tokens);
        let check = key.client.check([call.clone()]).await?;
        ensure!(check.passes(), "the transfer would not pass: {}", check.verdict);
        let amount = show_tokens(tokens(whole_tokens));
        report.done(
            format!("Check: {amount}"),
            format!("would pass, for at most {}", show_ether(check.max_cost)),
        );
        let before = self.token_balance(self.payee).await?;
        let included = self.done(key.client.execute([call])).await?;
        let received = self.token_balance(self.payee).await?.saturating_sub(before);
        ensure!(
            received == tokens(whole_tokens),
            "{} arrived",
            show_tokens(received)
        );
        report.done(
            format!("Transfer: {amount}"),
            format!(
                "{}, {}",
                show_gas(&included),
                show_ether(included.receipt.actual_gas_cost)
            ),
        );
        Ok(())
    }

    /// Shows what is left of the key's limits, and asserts what is left of the token limit.
    async fn show_budget(&self, key: &Key, whole_tokens: u64, report: &mut Report) -> Result<()> {
        let (account, now) = (self.owner.account(), self.chain().time().await?);
        let session_key = key.address();
        let token = account.erc20_spend_limit(session_key, self.token()).await?;
        let native = account.native_token_spend_limit(session_key).await?;
        let gas = account.gas_spend_limit(session_key).await?.info;
        let (Some(token), Some(native), Some(gas)) =
            (token.remaining(now), native.remaining(now), gas.remaining(now))
        else {
            bail!("a limit of {session_key} is missing");
        };
        ensure!(
            token == tokens(whole_tokens),
            "{} of the token limit are left",
            show_tokens(token)
        );
        report.fact(
            "Left",
            format!(
                "{}, {}, and {} for gas",
                show_tokens(token),
                show_ether(native),
                show_ether(gas)
            ),
        );
        Ok(())
    }

    async fn refusals(&self, key: &Key, report: &mut Report) -> Result<()> {
        let stranger = PrivateKeySigner::random().address();
        let refusals = [
            // First, because that limit refreshes.
            ("50 TUSD, of 40", self.transfer(50), "erc20_limit_exceeded"),
            (
                "A contract not on the list",
                Call::new(stranger, Bytes::new()),
                "contract_not_on_allowlist",
            ),
            (
                "A function not on the list",
                Call::new(self.token(), erc20::approve(stranger, tokens(1))),
                "function_not_on_allowlist",
            ),
            (
                "0.002 ETH, of 0.001",
                Call::transfer(self.payee, U256::from(TOO_MUCH)),
                "native_limit_exceeded",
            ),
        ];
        for (label, call, expected) in refusals {
            self.refused(label, key, call, expected, report).await?;
        }
        Ok(())
    }

    /// Checks a call that the key may not make: it must break exactly this rule, must not be signed, and the
    /// chain must refuse it too.
    async fn refused(
        &self,
        label: &str,
        key: &Key,
        call: Call,
        expected: &str,
        report: &mut Report,
    ) -> Result<()> {
        let check = key.client.check([call.clone()]).await?;
        let [violation] = check.verdict.violations() else {
            bail!("{label}: expected exactly one broken rule: {}", check.verdict);
        };
        ensure!(
            !check.passes() && violation.rule.code() == expected,
            "{label}: breaks another rule than {expected}: {}",
            check.verdict
        );
        match self.done(key.client.execute([call.clone()])).await {
            Ok(included) => bail!(
                "{label}: passed, in transaction {}",
                included.receipt.transaction_hash
            ),
            Err(error) => {
                let refusal = error.downcast_ref::<session_key_client::OperationError>();
                let is_refusal = refusal.is_some_and(|error| {
                    error.happened() == Happened::No && error.verdict() == Some(&check.verdict)
                });
                if !is_refusal {
                    return Err(error.wrap_err(format!("{label}: not refused as checked")));
                }
            }
        }
        let answer = self.ask_chain(key, call, &check, violation).await?;
        let Some(answer) = answer else {
            bail!("{label}: the chain would let it pass");
        };
        report.refused(label, violation, answer.to_string());
        Ok(())
    }

    /// Asks the chain about a call that the key may not make, without sending it. Returns `None` if the chain
    /// would accept it.
    async fn ask_chain(
        &self,
        key: &Key,
        call: Call,
        check: &Check,
        violation: &Violation,
    ) -> Result<Option<Revert>> {
        let (account, node) = (self.owner.account(), &self.chain().node);
        let entry_point = account.deployment().entry_point;
        let call_data = key.client.execute([call]).call_data().await?;
        let request = if violation.phase == Phase::Execution {
            // Called as the EntryPoint does after validation.
            TransactionRequest::default()
                .with_from(entry_point)
                .with_to(account.address())
                .with_input(call_data)
        } else {
            let mut operation = UserOperation {
                sender: account.address(),
                nonce: account.nonce(session_key_nonce_key(key.address())).await?,
                call_data,
                call_gas_limit: check.gas.call_gas_limit,
                verification_gas_limit: check.gas.verification_gas_limit,
                pre_verification_gas: check.gas.pre_verification_gas,
                ..UserOperation::default()
            };
            let hash = operation.hash(entry_point, account.chain_id());
            operation.signature = sign_hash(&*key.signer, hash).await?;
            if let Some(revert) = explain_validation(node, entry_point, &operation).await? {
                return Ok(Some(revert));
            }
            let bundle = calldata::handle_op(operation, self.chain().purse.address());
            TransactionRequest::default()
                .with_from(self.chain().purse.address())
                .with_to(entry_point)
                .with_input(bundle)
        };
        match node.call(&request, BlockId::latest()).await {
            Ok(_) => Ok(None),
            Err(error) => match error.revert() {
                Some(revert) => Ok(Some(revert)),
                None => Err(error.into()),
            },
        }
    }

    async fn refresh(&self, key: &Key, report: &mut Report) -> Result<()> {
        let limit = self
            .owner
            .account()
            .erc20_spend_limit(key.address(), self.token())
            .await?;
        let Some(refreshes_at) = limit.refreshes_at() else {
            bail!("the token limit does not refresh");
        };
        // The other key's validity started earlier and is equally long.
        self.chain().wait_until(refreshes_at.saturating_add(1)).await?;
        report.done("Waited", show_duration(limit.refresh_interval));
        Ok(())
    }

    async fn update(&self, key: &Key, report: &mut Report) -> Result<()> {
        let limit = SpendLimit::per(tokens(250), DAY);
        // The amount used stays, even if the interval ends in between.
        let updates = PermissionUpdates::new().erc20_spend_limit(self.token(), limit, LimitChange::Raw);
        let included = self
            .done(self.owner.update_key_permissions(key.address(), updates))
            .await?;
        report.done(
            "Limit changed",
            format!(
                "to {} {}  {}",
                show_tokens(tokens(250)),
                show_interval(DAY),
                show_gas(&included)
            ),
        );
        Ok(())
    }

    /// Rotates the key: the old one must stop working, and the new one must work.
    async fn rotate(&self, old: &Key, report: &mut Report) -> Result<Key> {
        let new = self.key();
        let included = self
            .done(self.owner.rotate_session_key(old.address(), new.address()))
            .await?;
        report.done(
            "Key replaced",
            format!("by {}  {}", new.address(), show_gas(&included)),
        );
        self.refused("The old key", old, self.transfer(1), "key_not_registered", report)
            .await?;
        // An amount of zero leaves the budget unchanged.
        self.pay(&new, 0, report).await?;
        Ok(new)
    }

    async fn remove(&self, key: &Key, report: &mut Report) -> Result<()> {
        let included = self.done(self.owner.remove_session_key(key.address())).await?;
        ensure!(
            !self.owner.account().is_session_key(key.address()).await?,
            "the key is still registered"
        );
        report.done("Key removed", show_gas(&included));
        self.refused(
            "The removed key",
            key,
            self.transfer(1),
            "key_not_registered",
            report,
        )
        .await
    }
}
