//! A session key's whole life, step by step.

use std::sync::Arc;

use alloy::{
    network::TransactionBuilder as _,
    primitives::{
        Address, Bytes, U256, keccak256,
        utils::{format_units, parse_ether},
    },
    providers::Provider as _,
    rpc::types::TransactionRequest,
    signers::{Signer, local::PrivateKeySigner},
    sol_types::SolCall as _,
};
use eyre::{Result, bail, ensure};
use session_key_bindings::IEntryPoint;
use session_key_client::{
    Call, Deployment, NewSessionKey, OwnerClient, SessionKeyClient, SessionKeySigner, SmartAccount, calldata,
    deployment::account_init_code_hash,
    explain::explain as explain_operation,
    operation::OperationError,
    permissions::{
        ERC20_TRANSFER, LimitChange, PermissionUpdates, Permissions, SpendLimit,
        model::{Phase, Verdict},
    },
    submit::{EntryPointSubmitter, GasEstimate, Receipt, SubmitError, Submitter},
};
use session_key_testkit::{Stack, TestToken};

use crate::{
    node::{Node, explain},
    report::{Report, show_ether, show_gas_units},
};

/// The test token's decimals.
const DECIMALS: u8 = 6;

/// What the account holds for the demonstration, and deposits for its operations.
const ACCOUNT_FUNDS: &str = "0.01";
const ACCOUNT_DEPOSIT: &str = "0.05";

/// Token units, from whole tokens.
fn tokens(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10u64.pow(DECIMALS.into()))
}

fn show_tokens(amount: U256) -> String {
    let text = format_units(amount, DECIMALS).unwrap_or_else(|_| amount.to_string());
    format!("{} TUSD", text.trim_end_matches('0').trim_end_matches('.'))
}

fn show_seconds(seconds: u64) -> String {
    match seconds {
        86_400 => "day".to_owned(),
        seconds => format!("{seconds} s"),
    }
}

fn ether(amount: &str) -> Result<U256> {
    Ok(parse_ether(amount)?)
}

/// What the steps share.
struct Demo<'a> {
    node: &'a Node,
    stack: Stack,
    owner: OwnerClient,
    submitter: Arc<dyn Submitter>,
    /// Receives everything that is sent.
    payee: Address,
}

/// Runs the demonstration. Fails as soon as anything does not go as expected.
pub(crate) async fn run(node: &Node, report: &mut Report) -> Result<()> {
    report.section("The chain");
    report.fact("Chain", &node.description);
    report.fact("Pays for everything", node.funder.to_string());

    report.section("Deploy the contracts");
    let stack = deploy(node, report).await?;

    report.section("Create an account");
    let demo = create_account(node, stack, report).await?;

    report.section("Install the plugin, with keys and permissions, in one operation of the owner");
    let key = SessionKeySigner::random();
    let expired_key = SessionKeySigner::random();
    demo.install(&key, &expired_key, report).await?;
    let key = demo.session(key);
    let expired_key = demo.session(expired_key);

    report.section("Use the key");
    demo.pay(&key, 60, report).await?;
    demo.show_budget(&key, 40, report).await?;

    report.section("Try what it may not do");
    demo.refusals(&key, &expired_key, report).await?;

    report.section("Let the token limit refresh");
    demo.refresh(&key, report).await?;
    demo.pay(&key, 50, report).await?;
    demo.show_budget(&key, 50, report).await?;

    report.section("Update, rotate, remove");
    demo.update(&key, report).await?;
    demo.show_budget(&key, 200, report).await?;
    let new_key = demo.rotate(&key, report).await?;
    demo.show_budget(&new_key, 200, report).await?;
    demo.remove(&new_key, report).await
}

async fn deploy(node: &Node, report: &mut Report) -> Result<Stack> {
    let (stack, plan) = Stack::plan(node.funder);
    for planned in plan {
        let detail = if node.provider.get_code_at(planned.address).await?.is_empty() {
            let transaction = planned.transaction(node.funder);
            let receipt = node
                .send(&format!("deploying {}", planned.name), transaction)
                .await?;
            show_gas_units(receipt.gas_used)
        } else {
            "is there already".to_owned()
        };
        report.done(planned.name, format!("{}  {detail}", planned.address));
    }
    Ok(stack)
}

async fn create_account<'a>(node: &'a Node, stack: Stack, report: &mut Report) -> Result<Demo<'a>> {
    let deployment = Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
    };
    let owner = PrivateKeySigner::random();
    let owners = [owner.address()];
    let account = SmartAccount::from_factory(node.provider.clone(), deployment, owners, U256::ZERO).await?;
    report.fact("Owner", owner.address().to_string());

    let create = calldata::create_account(U256::ZERO, &owners)?;
    let receipt = node
        .transact("creating the account", stack.account_factory, U256::ZERO, create)
        .await?;
    ensure!(
        account.is_deployed().await?,
        "the factory made no account at {}",
        account.address()
    );
    report.done(
        "Account created",
        format!("{}  {}", account.address(), show_gas_units(receipt.gas_used)),
    );

    let deposit: Bytes = IEntryPoint::depositToCall {
        account: account.address(),
    }
    .abi_encode()
    .into();
    node.transact(
        "depositing for gas",
        stack.entry_point,
        ether(ACCOUNT_DEPOSIT)?,
        deposit,
    )
    .await?;
    node.transact(
        "funding the account",
        account.address(),
        ether(ACCOUNT_FUNDS)?,
        Bytes::new(),
    )
    .await?;
    let mint = TestToken::mintCall {
        to: account.address(),
        amount: tokens(1_000),
    };
    node.transact(
        "minting test tokens",
        stack.token,
        U256::ZERO,
        mint.abi_encode().into(),
    )
    .await?;
    report.done(
        "Account funded",
        format!(
            "{ACCOUNT_FUNDS} ETH, {ACCOUNT_DEPOSIT} ETH deposited for gas, {}",
            show_tokens(tokens(1_000))
        ),
    );

    let submitter: Arc<dyn Submitter> = Arc::new(EntryPointSubmitter::new(
        node.provider.clone(),
        stack.entry_point,
        node.funder,
    ));
    Ok(Demo {
        node,
        stack,
        owner: OwnerClient::shared(account, Arc::new(owner), submitter.clone()),
        submitter,
        payee: PrivateKeySigner::random().address(),
    })
}

impl Demo<'_> {
    /// A client for a session key.
    fn session(&self, signer: impl Signer + Send + Sync + 'static) -> SessionKeyClient {
        SessionKeyClient::shared(
            self.owner.account().clone(),
            Arc::new(signer),
            self.submitter.clone(),
        )
    }

    async fn install(
        &self,
        key: &SessionKeySigner,
        expired: &SessionKeySigner,
        report: &mut Report,
    ) -> Result<()> {
        let now = self.node.time().await?;
        let interval = self.node.refresh_interval();
        let permissions = Permissions::new()
            .contract_functions(self.stack.token, [ERC20_TRANSFER])
            .contract(self.payee)
            .valid_until(now.saturating_add(30 * 86_400))
            .native_token_spend_limit(SpendLimit::total(ether("0.001")?))
            .erc20_spend_limit(self.stack.token, SpendLimit::per(tokens(100), interval))
            .gas_spend_limit(SpendLimit::total(ether("0.04")?));
        let expired_permissions = Permissions::new()
            .contract(self.stack.token)
            // Zero would be no bound.
            .valid_until(now.saturating_sub(3_600).max(1));
        let receipt = self
            .owner
            .install_session_key_plugin([
                NewSessionKey::new(key.address(), &permissions)?.with_tag(keccak256("demo")),
                NewSessionKey::new(expired.address(), &expired_permissions)?,
            ])
            .execute()
            .await?;
        report.done("Plugin installed", show_gas(&receipt));
        report.fact("Key", key.address().to_string());
        report.fact(
            "  may call",
            format!("transfer of {}, and {}", self.stack.token, self.payee),
        );
        report.fact("  may be used", "for 30 days");
        report.fact(
            "  tokens",
            format!("{} per {}", show_tokens(tokens(100)), show_seconds(interval)),
        );
        report.fact("  ether", "0.001 ETH in all, and 0.04 ETH for gas");
        report.fact("Another key, which is over", expired.address().to_string());

        let keys = self.owner.account().session_keys().await?;
        ensure!(
            keys == [expired.address(), key.address()],
            "the account's keys are {keys:?}"
        );
        Ok(())
    }

    fn transfer(&self, whole_tokens: u64) -> Call {
        let call = TestToken::transferCall {
            to: self.payee,
            amount: tokens(whole_tokens),
        };
        Call::new(self.stack.token, call.abi_encode())
    }

    async fn token_balance(&self, holder: Address) -> Result<U256> {
        let call = TestToken::balanceOfCall { account: holder };
        let request = TransactionRequest::default()
            .with_to(self.stack.token)
            .with_input(call.abi_encode());
        let answer = self
            .node
            .provider
            .call(request)
            .await
            .map_err(|error| eyre::eyre!(explain(&error)))?;
        Ok(TestToken::balanceOfCall::abi_decode_returns(&answer)?)
    }

    /// Transfers tokens with the key, which must work.
    async fn pay(&self, key: &SessionKeyClient, whole_tokens: u64, report: &mut Report) -> Result<()> {
        let before = self.token_balance(self.payee).await?;
        let receipt = key.execute([self.transfer(whole_tokens)]).execute().await?;
        let received = self.token_balance(self.payee).await? - before;
        ensure!(
            received == tokens(whole_tokens),
            "{} arrived",
            show_tokens(received)
        );
        report.done(
            format!("Transfer of {}", show_tokens(received)),
            show_gas(&receipt),
        );
        Ok(())
    }

    /// Shows what is left of the key's limits; of the token limit, it must be this much.
    async fn show_budget(
        &self,
        key: &SessionKeyClient,
        whole_tokens: u64,
        report: &mut Report,
    ) -> Result<()> {
        let (account, now) = (self.owner.account(), self.node.time().await?);
        let session_key = key.session_key();
        let token = account.erc20_spend_limit(session_key, self.stack.token).await?;
        let native = account.native_token_spend_limit(session_key).await?;
        let gas = account.gas_spend_limit(session_key).await?.info;
        let (Some(token), Some(native), Some(gas)) =
            (token.remaining(now), native.remaining(now), gas.remaining(now))
        else {
            bail!("a limit of {session_key} is gone");
        };
        ensure!(
            token == tokens(whole_tokens),
            "{} of the token limit are left",
            show_tokens(token)
        );
        report.fact(
            "Left",
            format!(
                "{}, {}, {} for gas",
                show_tokens(token),
                show_ether(native),
                show_ether(gas)
            ),
        );
        Ok(())
    }

    async fn refusals(
        &self,
        key: &SessionKeyClient,
        expired: &SessionKeyClient,
        report: &mut Report,
    ) -> Result<()> {
        let stranger = PrivateKeySigner::random().address();
        let refusals = [
            (
                "A contract not on the list",
                key,
                Call::new(stranger, Bytes::new()),
                "contract_not_on_allowlist",
            ),
            (
                "A function not on the list",
                key,
                Call::new(
                    self.stack.token,
                    TestToken::approveCall {
                        spender: stranger,
                        amount: tokens(1),
                    }
                    .abi_encode(),
                ),
                "function_not_on_allowlist",
            ),
            (
                "0.002 ETH, of 0.001",
                key,
                Call::transfer(self.payee, ether("0.002")?),
                "native_limit_exceeded",
            ),
            ("50 TUSD, of 40", key, self.transfer(50), "erc20_limit_exceeded"),
            ("A key whose time is over", expired, self.transfer(1), "expired"),
        ];
        for (label, key, call, expected) in refusals {
            self.refused(label, key, call, expected, report).await?;
        }
        Ok(())
    }

    /// Tries an operation, which the chain must refuse, and for this rule alone.
    async fn refused(
        &self,
        label: &str,
        key: &SessionKeyClient,
        call: Call,
        expected: &str,
        report: &mut Report,
    ) -> Result<()> {
        // With gas limits given, nothing is simulated beforehand: what refuses is the chain.
        let operation = key.execute([call]).gas_limits(GasEstimate {
            call_gas_limit: U256::from(200_000),
            verification_gas_limit: U256::from(200_000),
            pre_verification_gas: U256::from(60_000),
        });
        // What the client knows before anything is signed or sent…
        let verdict = explain_operation(key.account(), &operation.build().await?, key.session_key()).await?;
        let Verdict::Refused { violations } = &verdict else {
            bail!("{label}: the client expects it to pass");
        };
        let [violation] = violations.as_slice() else {
            bail!("{label}: breaks {} rules: {verdict}", violations.len());
        };
        ensure!(
            violation.rule.code() == expected,
            "{label}: breaks another rule than {expected}: {verdict}"
        );

        // …and what the chain says.
        let answer = match operation.execute().await {
            Ok(receipt) => bail!("{label}: passed, in transaction {}", receipt.transaction_hash),
            Err(OperationError::Submit(SubmitError::Refused(refusal)))
                if violation.phase == Phase::Validation =>
            {
                refusal.to_string()
            }
            Err(OperationError::Reverted { reason, .. }) if violation.phase == Phase::Execution => {
                reason.to_string()
            }
            Err(error) => bail!("{label}: not refused in {} as expected: {error}", violation.phase),
        };
        report.refused(label, violation, answer);
        Ok(())
    }

    async fn refresh(&self, key: &SessionKeyClient, report: &mut Report) -> Result<()> {
        let limit = self
            .owner
            .account()
            .erc20_spend_limit(key.session_key(), self.stack.token)
            .await?;
        let Some(refreshes_at) = limit.refreshes_at() else {
            bail!("the token limit does not refresh");
        };
        self.node.wait_until(refreshes_at).await?;
        report.done(
            "Time passed",
            format!("a {}", show_seconds(limit.refresh_interval)),
        );
        Ok(())
    }

    async fn update(&self, key: &SessionKeyClient, report: &mut Report) -> Result<()> {
        let limit = SpendLimit::per(tokens(250), self.node.refresh_interval());
        // What is used already stays used, also should the interval end meanwhile.
        let updates = PermissionUpdates::new().erc20_spend_limit(self.stack.token, limit, LimitChange::Raw);
        let receipt = self
            .owner
            .update_key_permissions(key.session_key(), updates)
            .execute()
            .await?;
        report.done(
            format!("Limit raised to {}", show_tokens(tokens(250))),
            show_gas(&receipt),
        );
        Ok(())
    }

    /// Rotates the key: the old one must be dead.
    async fn rotate(&self, old: &SessionKeyClient, report: &mut Report) -> Result<SessionKeyClient> {
        let new = self.session(SessionKeySigner::random());
        let receipt = self
            .owner
            .rotate_session_key(old.session_key(), new.session_key())
            .execute()
            .await?;
        report.done(
            "Key rotated",
            format!("{}  {}", new.session_key(), show_gas(&receipt)),
        );
        self.refused("The old key", old, self.transfer(1), "key_not_registered", report)
            .await?;
        self.pay_nothing(&new, report).await?;
        Ok(new)
    }

    /// The new key works: a call without value or amount, so that the budget stays as it was.
    async fn pay_nothing(&self, key: &SessionKeyClient, report: &mut Report) -> Result<()> {
        let receipt = key.execute([self.transfer(0)]).execute().await?;
        report.done("The new key", show_gas(&receipt));
        Ok(())
    }

    async fn remove(&self, key: &SessionKeyClient, report: &mut Report) -> Result<()> {
        let receipt = self.owner.remove_session_key(key.session_key()).execute().await?;
        ensure!(
            !self.owner.account().is_session_key(key.session_key()).await?,
            "the key is still registered"
        );
        report.done("Key removed", show_gas(&receipt));
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

fn show_gas(receipt: &Receipt) -> String {
    show_gas_units(receipt.actual_gas_used.saturating_to())
}
