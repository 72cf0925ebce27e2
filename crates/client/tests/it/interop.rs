//! The client against a real node and a real bundler: `script/interop.sh` starts both and runs this.

use crate::fixture::{ETHER, deployment, key, send, transfer};
use session_key_client::{
    Call, NewSessionKey, OwnerAction, OwnerClient, Revert, SessionKeyClient, SmartAccount,
    alloy::{
        eips::BlockNumberOrTag,
        network::TransactionBuilder,
        primitives::{Address, U256},
        providers::{DynProvider, Provider, ProviderBuilder},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall,
    },
    operation::{FixedPaymaster, OperationError},
    permissions::{
        AaCode, AccessControlType, ERC20_TRANSFER, LimitChange, PermissionUpdates, Permissions, SpendLimit,
        TimeRange,
    },
    revert::PluginError,
    signer::sign_user_operation,
    submit::{BundlerSubmitter, EntryPointSubmitter, GasEstimate, Outcome, Refusal, SubmitError, Submitter},
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

fn refusal(error: OperationError) -> Refusal {
    match error {
        OperationError::Submit(SubmitError::Refused(refusal)) => refusal,
        error => panic!("{error:?}"),
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
        let receipt = owner.install_session_key_plugin([first]).execute().await.unwrap();
        assert!(receipt.actual_gas_cost > U256::ZERO && !receipt.logs.is_empty());
        let agent = self.session_key(key(1));
        assert_eq!(account.session_keys().await.unwrap(), [agent.session_key()]);

        // Within its limits.
        let before = self.token_balance(RECIPIENT).await;
        let calls = [
            Call::new(token, transfer(RECIPIENT, 60)),
            Call::transfer(RECIPIENT, U256::from(400)),
        ];
        agent.execute(calls).execute().await.unwrap();
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::from(60));
        let used = account
            .gas_spend_limit(agent.session_key())
            .await
            .unwrap()
            .info
            .limit_used;
        assert!(used > U256::ZERO);

        // Beyond them: refused in validation.
        for call in [
            Call::transfer(Address::repeat_byte(1), U256::ZERO),
            Call::new(
                token,
                TestToken::approveCall {
                    spender: RECIPIENT,
                    amount: U256::ONE,
                }
                .abi_encode(),
            ),
            Call::transfer(RECIPIENT, U256::from(601)),
        ] {
            let refusal = refusal(agent.execute([call]).execute().await.unwrap_err());
            assert_eq!(
                refusal.cause,
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
                "{refusal}"
            );
        }
        // Or in execution, when sent with limits of one's own.
        let ample = GasEstimate {
            call_gas_limit: U256::from(300_000),
            verification_gas_limit: U256::from(300_000),
            pre_verification_gas: U256::from(100_000),
        };
        let over = agent.execute([Call::new(token, transfer(RECIPIENT, 41))]);
        assert!(matches!(
            over.execute().await.unwrap_err(),
            OperationError::Submit(SubmitError::WouldRevert(_) | SubmitError::Refused(_))
        ));
        let over = agent
            .execute([Call::new(token, transfer(RECIPIENT, 41))])
            .gas_limits(ample);
        match over.outcome().await {
            Ok(Outcome::Reverted { reason, .. }) => {
                assert!(
                    matches!(
                        reason,
                        Revert::Plugin(PluginError::ERC20SpendLimitExceeded { .. })
                    ),
                    "{reason}"
                );
            }
            // Some bundlers do not take what reverts.
            Err(OperationError::Submit(SubmitError::WouldRevert(_) | SubmitError::Refused(_))) => {}
            other => panic!("{other:?}"),
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
            .execute()
            .await
            .unwrap();
        agent
            .execute([Call::new(token, transfer(RECIPIENT, 41))])
            .execute()
            .await
            .unwrap();
        let second = NewSessionKey::new(key(2).address(), &permissions).unwrap();
        owner.add_session_key(second).execute().await.unwrap();
        owner
            .rotate_session_key(agent.session_key(), key(3).address())
            .execute()
            .await
            .unwrap();
        refusal(
            agent
                .execute([Call::transfer(RECIPIENT, U256::ZERO)])
                .execute()
                .await
                .unwrap_err(),
        );
        let rotated = self.session_key(key(3));
        rotated
            .execute([Call::new(token, transfer(RECIPIENT, 1))])
            .execute()
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
        owner.add_session_key(third).execute().await.unwrap();
        owner
            .remove_session_key(key(4).address())
            .execute()
            .await
            .unwrap();
        assert_eq!(account.session_keys().await.unwrap(), [rotated.session_key()]);
        self.lists_and_times(now).await;
        self.replaced(&rotated).await;
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
        match self.submitter.send(&signed).await.unwrap_err() {
            SubmitError::Refused(refusal) => {
                assert_eq!(refusal.code, Some(AaCode::AccountSignature), "{refusal}")
            }
            error => panic!("{error:?}"),
        }

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
            .execute()
            .await
            .unwrap();
        refusal(
            rotated
                .execute([Call::transfer(RECIPIENT, U256::ZERO)])
                .execute()
                .await
                .unwrap_err(),
        );
        let balance = account.balance().await.unwrap();
        let sponsored = rotated.clone().with_paymaster(FixedPaymaster::new(paymaster));
        let receipt = sponsored
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .execute()
            .await
            .unwrap();
        assert_eq!(receipt.paymaster, Some(paymaster));
        assert_eq!(account.balance().await.unwrap(), balance);

        owner.uninstall_session_key_plugin().execute().await.unwrap();
        assert!(account.session_keys().await.unwrap().is_empty());
        assert!(!account.is_session_key_plugin_installed().await.unwrap());
    }
}

/// The parts of [`Live::life`] that use a key of their own.
impl Live {
    async fn granted(&self, number: u8, permissions: Permissions) -> SessionKeyClient {
        let new = NewSessionKey::new(key(number).address(), &permissions).unwrap();
        self.owner.add_session_key(new).execute().await.unwrap();
        self.session_key(key(number))
    }

    async fn update(&self, agent: &SessionKeyClient, updates: PermissionUpdates) {
        let update = self.owner.update_key_permissions(agent.session_key(), updates);
        update.execute().await.unwrap();
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
        pay(RECIPIENT).execute().await.unwrap();
        let denied = refusal(pay(LISTED).execute().await.unwrap_err());
        assert_eq!(
            denied.cause,
            Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
            "{denied}"
        );
        let no_list = PermissionUpdates::new().access_control_type(AccessControlType::AllowAllAccess);
        self.update(&agent, no_list).await;
        pay(LISTED).execute().await.unwrap();

        let ample = GasEstimate {
            call_gas_limit: U256::from(300_000),
            verification_gas_limit: U256::from(300_000),
            pre_verification_gas: U256::from(100_000),
        };
        for (valid_after, valid_until) in [(0, now - 1), (now + 86_400, 0)] {
            let range = TimeRange {
                valid_after,
                valid_until,
            };
            self.update(&agent, PermissionUpdates::new().time_range(range))
                .await;
            let outside = refusal(pay(RECIPIENT).gas_limits(ample).execute().await.unwrap_err());
            assert_eq!(outside.code, Some(AaCode::ExpiredOrNotDue), "{outside}");
        }
        let gone = self.owner.remove_session_key(agent.session_key());
        gone.execute().await.unwrap();
    }

    /// An operation and its replacement: one happens. Sent again, nothing does.
    async fn replaced(&self, agent: &SessionKeyClient) {
        let before = self.token_balance(RECIPIENT).await;
        let call = Call::new(self.stack.token, transfer(RECIPIENT, 1));
        let signed = agent.execute([call]).sign().await.unwrap();
        self.submitter.send(&signed).await.unwrap();
        let receipt = agent.replace(&signed).execute().await.unwrap();
        assert_eq!(receipt.nonce, signed.operation.nonce);
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::ONE);
        if receipt.user_op_hash == signed.hash {
            self.submitter.send(&signed).await.unwrap();
        }
        assert_eq!(self.token_balance(RECIPIENT).await - before, U256::ONE);
    }

    /// Validation opens a new interval of the gas limit, execution fails, and anyone settles what is left pending.
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
        let ample = GasEstimate {
            call_gas_limit: U256::from(300_000),
            verification_gas_limit: U256::from(300_000),
            pre_verification_gas: U256::from(100_000),
        };
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
                .gas_limits(ample)
                .fees(fee, U256::from(fees.max_priority_fee_per_gas))
        };
        operation(1).execute().await.unwrap();
        // The interval ends, and a block is made after that: this node makes one for a transaction only.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let nothing = TransactionRequest::default()
            .with_to(RECIPIENT)
            .with_value(U256::ZERO);
        send(&self.node, nothing).await;
        let outcome = operation(1).outcome().await.unwrap();
        assert!(matches!(outcome, Outcome::Reverted { .. }), "{outcome:?}");
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
        gone.execute().await.unwrap();
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

/// The file in which this client and the TypeScript client (`interop/typescript/run.mjs`) tell each other of keys.
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
    live.owner
        .install_session_key_plugin([grantee])
        .execute()
        .await
        .unwrap();

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
    let signer: PrivateKeySigner = granted("sessionKey").parse().unwrap();
    let agent = SessionKeyClient::shared(account, Arc::new(signer), live.submitter.clone());

    let before = live.token_balance(payee).await;
    let token = live.stack.token;
    agent
        .execute([Call::new(token, transfer(payee, 9))])
        .execute()
        .await
        .unwrap();
    assert_eq!(live.token_balance(payee).await - before, U256::from(9));
    let refusal = refusal(
        agent
            .execute([Call::transfer(token, U256::ZERO)])
            .execute()
            .await
            .unwrap_err(),
    );
    assert_eq!(
        refusal.cause,
        Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
        "{refusal}"
    );
}
