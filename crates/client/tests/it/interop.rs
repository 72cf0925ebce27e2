//! The client against a real node and a real bundler: `script/interop.sh` starts both and runs this.

use crate::fixture::{ETHER, assert_not_allowed, deployment, key, send, transfer};
use session_key_client::{
    Call, NewSessionKey, OwnerAction, OwnerClient, Revert, SessionKeyClient, SignedOperation, SmartAccount,
    alloy::{
        eips::BlockNumberOrTag,
        network::TransactionBuilder,
        primitives::{Address, B256, U256, aliases::U192},
        providers::{DynProvider, Provider, ProviderBuilder},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    explain::{Became, ExplainOptions, Failure, explain_hash},
    operation::{FixedPaymaster, Gas, NotTaken, NotTakenReason},
    permissions::{
        AaCode, AccessControlType, ERC20_TRANSFER, LimitChange, PermissionUpdates, Permissions, SpendLimit,
        TimeRange, execute_with_session_key,
    },
    revert::PluginError,
    signer::sign_user_operation,
    submit::{BundlerSubmitter, EntryPointSubmitter, Refusal, Sent, Submitter},
};
use session_key_testkit::{Stack, TestToken, dev_accounts};
use std::sync::Arc;

const RECIPIENT: Address = Address::repeat_byte(0x77);

fn url(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run script/interop.sh"))
}

fn node(signer: PrivateKeySigner) -> DynProvider {
    let url = url("SESSION_KEY_RPC_URL").parse().unwrap();
    ProviderBuilder::new().wallet(signer).connect_http(url).erased()
}

/// Why an operation is refused that was handed over.
fn refusal(sent: Sent) -> Refusal {
    match sent {
        Sent::NotTaken(NotTaken {
            reason: NotTakenReason::Refused(refusal),
            ..
        }) => refusal,
        sent => panic!("{sent:?}"),
    }
}

/// Limits that are enough for every operation here.
fn ample() -> Gas {
    Gas {
        call_gas_limit: U256::from(300_000),
        verification_gas_limit: U256::from(300_000),
        pre_verification_gas: U256::from(100_000),
    }
}

struct Live {
    node: DynProvider,
    stack: Stack,
    account: SmartAccount,
    owner: OwnerClient,
    owner_signer: PrivateKeySigner,
    submitter: Arc<dyn Submitter>,
}

impl Live {
    async fn start(salt: u64, submitter: impl FnOnce(&DynProvider, Address) -> Arc<dyn Submitter>) -> Self {
        let funder = dev_accounts()[4].signer();
        let from = funder.address();
        let node = node(funder);
        let (stack, plan) = Stack::plan(dev_accounts()[0].address);
        for planned in plan {
            if node.get_code_at(planned.address).await.unwrap().is_empty() {
                send(&node, planned.transaction(from)).await;
            }
        }
        let deployment = deployment(&stack);
        let owner_signer = dev_accounts()[5].signer();
        let owners = [owner_signer.address()];
        let account = SmartAccount::from_factory(node.clone(), deployment, owners, U256::from(salt))
            .await
            .unwrap();
        let fund = TransactionRequest::default()
            .with_to(account.address())
            .with_value(U256::from(ETHER));
        send(&node, fund).await;
        let mint = TestToken::mintCall {
            to: account.address(),
            amount: U256::from(1_000_000),
        };
        send(
            &node,
            TransactionRequest::default()
                .with_to(stack.token)
                .with_input(mint.abi_encode()),
        )
        .await;
        let submitter = submitter(&node, stack.entry_point);
        let owner = OwnerClient::shared(account.clone(), Arc::new(owner_signer.clone()), submitter.clone());
        Self {
            node,
            stack,
            account,
            owner,
            owner_signer,
            submitter,
        }
    }

    fn session_key(&self, signer: PrivateKeySigner) -> SessionKeyClient {
        SessionKeyClient::shared(self.account.clone(), Arc::new(signer), self.submitter.clone())
    }

    async fn token_balance(&self, account: Address) -> U256 {
        let call = TestToken::balanceOfCall { account }.abi_encode();
        let output = self
            .node
            .call(
                TransactionRequest::default()
                    .with_to(self.stack.token)
                    .with_input(call),
            )
            .await
            .unwrap();
        U256::from_be_slice(&output)
    }

    /// Everything that owners and keys do, once.
    async fn life(&self) {
        let (account, owner, token) = (&self.account, &self.owner, self.stack.token);
        let now = self
            .node
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await
            .unwrap()
            .unwrap()
            .header
            .timestamp;
        let day = 86_400;
        let permissions = Permissions::new()
            .contract_functions(token, [ERC20_TRANSFER])
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::total(U256::from(1_000)))
            .erc20_spend_limit(token, SpendLimit::per(U256::from(100), day))
            .gas_spend_limit(SpendLimit::per(U256::from(ETHER), day))
            .valid_until(now + day);

        // The first operation creates the account, installs the plugin and grants the key.
        let first = NewSessionKey::new(key(1).address(), &permissions).unwrap();
        let receipt = owner.install_session_key_plugin([first]).await.unwrap().receipt;
        assert!(receipt.actual_gas_cost > U256::ZERO && !receipt.logs.is_empty());
        let agent = self.session_key(key(1));
        assert_eq!(account.session_keys().await.unwrap(), [agent.session_key()]);

        // Within its limits.
        let before = self.token_balance(RECIPIENT).await;
        let calls = [
            Call::new(token, transfer(RECIPIENT, 60)),
            Call::transfer(RECIPIENT, U256::from(400)),
        ];
        agent.execute(calls).await.unwrap();
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::from(60));
        let used = account
            .gas_spend_limit(agent.session_key())
            .await
            .unwrap()
            .info
            .limit_used;
        assert!(used > U256::ZERO);

        // Beyond them: the client sends nothing, and the account would refuse it in validation.
        for (call, code) in [
            (
                Call::transfer(Address::repeat_byte(1), U256::ZERO),
                "contract_not_on_allowlist",
            ),
            (
                Call::new(
                    token,
                    TestToken::approveCall {
                        spender: RECIPIENT,
                        amount: U256::ONE,
                    }
                    .abi_encode(),
                ),
                "function_not_on_allowlist",
            ),
            (
                Call::transfer(RECIPIENT, U256::from(601)),
                "native_limit_exceeded",
            ),
        ] {
            assert_not_allowed(agent.execute([call.clone()]).await.unwrap_err(), &[code]);
            let made = self.made(1, &[call]).await;
            let refusal = refusal(self.submitter.send(&made).await);
            assert_eq!(
                refusal.cause,
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
                "{refusal}"
            );
        }
        // Or in execution.
        let over = [Call::new(token, transfer(RECIPIENT, 41))];
        let error = agent.execute(over.clone()).await.unwrap_err();
        assert_not_allowed(error, &["erc20_limit_exceeded"]);
        let made = self.made(1, &over).await;
        match self.submitter.send(&made).await {
            Sent::Taken => self.used(made.operation.nonce).await,
            // Some bundlers do not take what reverts.
            Sent::NotTaken(NotTaken {
                reason: NotTakenReason::WouldRevert { .. } | NotTakenReason::Refused(_),
                ..
            }) => {}
            sent => panic!("{sent:?}"),
        }

        // Update, add, rotate, remove.
        let updates = PermissionUpdates::new()
            .time_range(TimeRange {
                valid_after: 0,
                valid_until: now + 2 * day,
            })
            .erc20_spend_limit(token, SpendLimit::per(U256::from(200), day), LimitChange::Raw);
        owner
            .update_key_permissions(agent.session_key(), updates)
            .await
            .unwrap();
        agent
            .execute([Call::new(token, transfer(RECIPIENT, 41))])
            .await
            .unwrap();
        let second = NewSessionKey::new(key(2).address(), &permissions).unwrap();
        owner.add_session_key(second).await.unwrap();
        owner
            .rotate_session_key(agent.session_key(), key(3).address())
            .await
            .unwrap();
        let error = agent
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .await
            .unwrap_err();
        assert_not_allowed(error, &["key_not_registered"]);
        let rotated = self.session_key(key(3));
        rotated
            .execute([Call::new(token, transfer(RECIPIENT, 1))])
            .await
            .unwrap();
        let limit = account
            .erc20_spend_limit(rotated.session_key(), token)
            .await
            .unwrap();
        assert_eq!(limit.limit_used, U256::from(102));
        let gone = [OwnerAction::RemoveSessionKey(key(2).address())];
        let transaction = account
            .owner_transaction(self.owner_signer.address(), gone)
            .await
            .unwrap();
        send(&node(self.owner_signer.clone()), transaction).await;
        assert_eq!(account.session_keys().await.unwrap(), [rotated.session_key()]);

        let third = NewSessionKey::new(key(4).address(), &permissions).unwrap();
        owner.add_session_key(third).await.unwrap();
        owner.remove_session_key(key(4).address()).await.unwrap();
        assert_eq!(account.session_keys().await.unwrap(), [rotated.session_key()]);
        self.lists_and_times(now).await;
        self.asked_again(&rotated).await;
        self.pending_reset().await;

        // Signed by the wrong key.
        let mut signed = rotated
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .sign()
            .await
            .unwrap();
        sign_user_operation(
            &mut signed.operation,
            &key(9),
            self.stack.entry_point,
            account.chain_id(),
        )
        .await
        .unwrap();
        let refused = refusal(self.submitter.send(&signed).await);
        assert_eq!(refused.code, Some(AaCode::AccountSignature), "{refused}");

        // A paymaster pays, by rule.
        let paymaster = self.stack.paymaster;
        let deposit = session_key_bindings::IEntryPoint::depositToCall { account: paymaster };
        let deposit = TransactionRequest::default()
            .with_to(self.stack.entry_point)
            .with_value(U256::from(ETHER))
            .with_input(deposit.abi_encode());
        send(&self.node, deposit).await;
        let rule = PermissionUpdates::new().required_paymaster(paymaster);
        owner
            .update_key_permissions(rotated.session_key(), rule)
            .await
            .unwrap();
        let alone = rotated.execute([Call::transfer(RECIPIENT, U256::ZERO)]);
        assert_not_allowed(alone.await.unwrap_err(), &["paymaster_required"]);
        let balance = account.balance().await.unwrap();
        let sponsored = rotated.clone().with_paymaster(FixedPaymaster::new(paymaster));
        let included = sponsored
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .await
            .unwrap();
        assert_eq!(included.receipt.paymaster, Some(paymaster));
        assert_eq!(account.balance().await.unwrap(), balance);

        owner.uninstall_session_key_plugin().await.unwrap();
        assert!(account.session_keys().await.unwrap().is_empty());
        assert!(!account.is_session_key_plugin_installed().await.unwrap());
    }
}

/// The parts of [`Live::life`] that use a key of their own.
impl Live {
    /// An operation of a key that its client would not make.
    async fn made(&self, number: u8, calls: &[Call]) -> SignedOperation {
        self.made_with(number, &self.session_key(key(number)), calls)
            .await
    }

    async fn made_with(&self, number: u8, agent: &SessionKeyClient, calls: &[Call]) -> SignedOperation {
        let harmless = agent.execute([Call::transfer(RECIPIENT, U256::ZERO)]);
        let mut signed = harmless.gas_limits(ample()).sign().await.unwrap();
        signed.operation.call_data = execute_with_session_key(calls, agent.session_key());
        self.signed_again(number, signed).await
    }

    async fn signed_again(&self, number: u8, mut signed: SignedOperation) -> SignedOperation {
        let (entry_point, chain_id) = (self.stack.entry_point, self.account.chain_id());
        signed.hash = sign_user_operation(&mut signed.operation, &key(number), entry_point, chain_id)
            .await
            .unwrap();
        signed
    }

    /// Returns once a nonce is used.
    async fn used(&self, nonce: U256) {
        let lane = U192::from(nonce >> 64);
        while self.account.nonce(lane).await.unwrap() <= nonce {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    async fn granted(&self, number: u8, permissions: Permissions) -> SessionKeyClient {
        let new = NewSessionKey::new(key(number).address(), &permissions).unwrap();
        self.owner.add_session_key(new).await.unwrap();
        self.session_key(key(number))
    }

    async fn update(&self, agent: &SessionKeyClient, updates: PermissionUpdates) {
        let update = self.owner.update_key_permissions(agent.session_key(), updates);
        update.await.unwrap();
    }

    /// Denylist, no list at all, and times that are over or have not begun.
    async fn lists_and_times(&self, now: u64) {
        const LISTED: Address = Address::repeat_byte(0x66);
        let agent = self
            .granted(
                5,
                Permissions::new()
                    .access_control_type(AccessControlType::Denylist)
                    .contract(LISTED)
                    .native_token_spend_limit(SpendLimit::UNLIMITED),
            )
            .await;
        let pay = |to| agent.execute([Call::transfer(to, U256::ONE)]);
        pay(RECIPIENT).await.unwrap();
        assert_not_allowed(pay(LISTED).await.unwrap_err(), &["contract_on_denylist"]);
        let made = self
            .made_with(5, &agent, &[Call::transfer(LISTED, U256::ONE)])
            .await;
        let denied = refusal(self.submitter.send(&made).await);
        assert_eq!(
            denied.cause,
            Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
            "{denied}"
        );
        let no_list = PermissionUpdates::new().access_control_type(AccessControlType::AllowAllAccess);
        self.update(&agent, no_list).await;
        pay(LISTED).await.unwrap();

        // What the agent made while its time was open is refused once it is not.
        let made = self
            .made_with(5, &agent, &[Call::transfer(RECIPIENT, U256::ONE)])
            .await;
        for (valid_after, valid_until, code) in [(0, now - 1, "expired"), (now + 86_400, 0, "not_yet_valid")]
        {
            let range = TimeRange {
                valid_after,
                valid_until,
            };
            self.update(&agent, PermissionUpdates::new().time_range(range))
                .await;
            assert_not_allowed(pay(RECIPIENT).await.unwrap_err(), &[code]);
            let outside = refusal(self.submitter.send(&made).await);
            assert_eq!(outside.code, Some(AaCode::ExpiredOrNotDue), "{outside}");
        }
        let gone = self.owner.remove_session_key(agent.session_key());
        gone.await.unwrap();
    }

    /// What is asked for under a name happens once, also where its operation is sent again or replaced.
    async fn asked_again(&self, agent: &SessionKeyClient) {
        let before = self.token_balance(RECIPIENT).await;
        let call = Call::new(self.stack.token, transfer(RECIPIENT, 1));
        let pay = || agent.execute([call.clone()]).id("once");
        let pending = pay().send().await.unwrap();
        let intent = pending.intent().unwrap().id;
        drop(pending);
        let replaced = agent.replace(intent).await.unwrap().await.unwrap();
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::ONE);
        let again = pay().await.unwrap();
        assert_eq!(again.receipt.user_op_hash, replaced.receipt.user_op_hash);
        let sent_again = agent.send_again(intent).await.unwrap().await.unwrap();
        assert_eq!(sent_again.receipt.user_op_hash, replaced.receipt.user_op_hash);
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::ONE);
    }

    /// Validation opens a new interval of the gas limit, execution fails, and anyone settles what
    /// is left pending.
    async fn pending_reset(&self) {
        let token = self.stack.token;
        let agent = self
            .granted(
                6,
                Permissions::new()
                    .contract_functions(token, [ERC20_TRANSFER])
                    .erc20_spend_limit(token, SpendLimit::total(U256::from(1)))
                    .gas_spend_limit(SpendLimit::per(U256::from(ETHER), 1)),
            )
            .await;
        let fees = self.node.estimate_eip1559_fees().await.unwrap();
        let fee = U256::from(fees.max_fee_per_gas);
        // Each may cost more than half of an interval's limit.
        let limit = SpendLimit::per(fee * U256::from(1_200_000), 1);
        self.update(
            &agent,
            PermissionUpdates::new().gas_spend_limit(limit, LimitChange::Raw),
        )
        .await;
        let operation = |amount| {
            agent
                .execute([Call::new(token, transfer(RECIPIENT, amount))])
                .gas_limits(ample())
                .fees(fee, U256::from(fees.max_priority_fee_per_gas))
        };
        operation(1).await.unwrap();
        // The interval ends, and a block is made after that: this node makes one for a transaction only.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let nothing = TransactionRequest::default()
            .with_to(RECIPIENT)
            .with_value(U256::ZERO);
        send(&self.node, nothing).await;
        // The model would not send it: it exceeds the token's limit.
        let mut made = operation(0).sign().await.unwrap();
        let over = [Call::new(token, transfer(RECIPIENT, 1))];
        made.operation.call_data = execute_with_session_key(&over, agent.session_key());
        let made = self.signed_again(6, made).await;
        assert_eq!(self.submitter.send(&made).await, Sent::Taken);
        self.used(made.operation.nonce).await;
        let gas_limit = self.account.gas_spend_limit(agent.session_key()).await.unwrap();
        assert!(gas_limit.should_reset, "{gas_limit:?}");

        let anyone = dev_accounts()[4].address;
        let settle = self
            .account
            .reset_session_key_gas_limit_timestamp(anyone, agent.session_key());
        send(&self.node, settle).await;
        let gas_limit = self.account.gas_spend_limit(agent.session_key()).await.unwrap();
        assert!(!gas_limit.should_reset);
        let gone = self.owner.remove_session_key(agent.session_key());
        gone.await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a node and a bundler: script/interop.sh"]
async fn interop_through_a_bundler() {
    let live = Live::start(1, |node, entry_point| {
        Arc::new(BundlerSubmitter::new(bundler(), entry_point).with_node(node.clone()))
    })
    .await;
    live.life().await;
}

#[tokio::test]
#[ignore = "needs a node: script/interop.sh"]
async fn interop_through_the_entry_point() {
    let live = Live::start(2, |_, entry_point| {
        let sender = dev_accounts()[6].signer();
        let from = sender.address();
        Arc::new(EntryPointSubmitter::new(node(sender), entry_point, from))
    })
    .await;
    live.life().await;
}

fn bundler() -> DynProvider {
    let url = url("SESSION_KEY_BUNDLER_URL").parse().unwrap();
    ProviderBuilder::new().connect_http(url).erased()
}

/// The file in which this client and the TypeScript client (`interop/typescript/run.mjs`) tell each
/// other of keys.
fn shared_file() -> String {
    std::env::var("SESSION_KEY_INTEROP_FILE")
        .expect("SESSION_KEY_INTEROP_FILE is not set; run script/interop.sh")
}

#[tokio::test]
#[ignore = "needs a node and a bundler: script/interop.sh"]
async fn interop_grants_a_key_to_typescript() {
    let live = Live::start(3, |node, entry_point| {
        Arc::new(BundlerSubmitter::new(bundler(), entry_point).with_node(node.clone()))
    })
    .await;
    let permissions = Permissions::new().contract_functions(live.stack.token, [ERC20_TRANSFER]);
    let grantee = NewSessionKey::new(key(7).address(), &permissions).unwrap();
    live.owner.install_session_key_plugin([grantee]).await.unwrap();

    let shared = serde_json::json!({
        "rpcUrl": url("SESSION_KEY_RPC_URL"),
        "bundlerUrl": url("SESSION_KEY_BUNDLER_URL"),
        "entryPoint": live.stack.entry_point,
        "factory": live.stack.account_factory,
        "multiOwnerPlugin": live.stack.multi_owner_plugin,
        "sessionKeyPlugin": live.stack.session_key_plugin,
        "token": live.stack.token,
        "funderKey": dev_accounts()[4].signer().to_bytes(),
        "account": live.account.address(),
        "sessionKey": key(7).to_bytes(),
    });
    std::fs::write(shared_file(), shared.to_string()).unwrap();
}

#[tokio::test]
#[ignore = "needs a node, a bundler, and a key granted by the TypeScript client: script/interop.sh"]
async fn interop_uses_a_key_of_typescript() {
    let live = Live::start(4, |node, entry_point| {
        Arc::new(BundlerSubmitter::new(bundler(), entry_point).with_node(node.clone()))
    })
    .await;
    let shared: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(shared_file()).unwrap()).unwrap();
    let granted = |field: &str| shared["grantedByTypeScript"][field].as_str().unwrap().to_owned();
    let payee: Address = granted("payee").parse().unwrap();
    let account = SmartAccount::new(
        live.node.clone(),
        live.account.chain_id(),
        granted("account").parse().unwrap(),
        *live.account.deployment(),
    );
    // The hashes of its operations are enough to explain them.
    for (operation, expected) in [("within", None), ("overLimit", Some("erc20_limit_exceeded"))] {
        let hash: B256 = granted(operation).parse().unwrap();
        let found = explain_hash(&account, hash, &ExplainOptions::new())
            .await
            .unwrap()
            .unwrap();
        let [explanation] = &found[..] else {
            panic!("{found:?}");
        };
        match (&explanation.outcome, expected) {
            (Became::Succeeded, None) => {}
            (Became::Failed(Failure::Rules(violations)), Some(code)) => {
                assert_eq!(violations.len(), 1, "{violations:?}");
                assert_eq!(violations[0].code(), code);
            }
            (other, _) => panic!("{operation}: {other:?}"),
        }
    }

    let signer: PrivateKeySigner = granted("sessionKey").parse().unwrap();
    let agent = SessionKeyClient::shared(account, Arc::new(signer), live.submitter.clone());

    let before = live.token_balance(payee).await;
    let token = live.stack.token;
    agent
        .execute([Call::new(token, transfer(payee, 9))])
        .await
        .unwrap();
    assert_eq!(live.token_balance(payee).await - before, U256::from(9));
    let beyond = agent.execute([Call::transfer(token, U256::ZERO)]);
    assert_not_allowed(
        beyond.await.unwrap_err(),
        &["token_function_not_allowed", "function_not_on_allowlist"],
    );
}
