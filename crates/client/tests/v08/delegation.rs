//! Externally owned accounts that become smart accounts with their first operation (EIP-7702).

use crate::{
    accounts::{OWNERS_ENTITY, World, new_key, pay},
    fixture::{ETHER, RECIPIENT},
};
use async_trait::async_trait;
use session_key_client::{
    OwnerClient, RequestError, SessionKeyClient, SignedOperation, SmartAccount, UserOperation,
    account::{ConnectError, Validations},
    alloy::{
        eips::eip7702::{Authorization, SignedAuthorization},
        primitives::{Address, B256, Bytes, U256},
        rpc::types::TransactionRequest,
        signers::SignerSync as _,
    },
    delegation::{AuthorizationError, delegation_code},
    journal::{IntentRecord, MemoryJournal},
    operation::{Cause, Desk, Gas, Happened, NotTakenReason},
    submit::{BundleError, BundlerSubmitter, EntryPointSubmitter, EstimateError, Sent, Submitter},
    v08::{DeferredGrant, DeferredGrantError},
};
use session_key_testkit::{BundlerOptions, dev_accounts};
use std::{sync::Arc, time::Duration};

/// Long after the chain's beginning.
const DEADLINE: u64 = 1_900_000_000;

/// How operations get onto the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Through a bundler.
    Bundler,
    /// In transactions of somebody else.
    Another,
    /// In the account's own transactions.
    Itself,
}

impl Way {
    const ALL: [Self; 3] = [Self::Bundler, Self::Another, Self::Itself];

    fn submitter(self, world: &World) -> Arc<dyn Submitter> {
        let entry_point = world.stack.entry_point;
        match self {
            Self::Bundler => {
                let bundler = world.testkit.bundler(BundlerOptions {
                    executor: dev_accounts()[4],
                    auto: true,
                    ..BundlerOptions::default()
                });
                Arc::new(BundlerSubmitter::new(bundler.provider(), entry_point))
            }
            Self::Another => world.submitter(),
            Self::Itself => {
                let from = world.owner.address();
                let provider = world.testkit.provider_with_signer(world.owner.clone());
                Arc::new(EntryPointSubmitter::new(provider, entry_point, from))
            }
        }
    }
}

/// The owner's account, which does not delegate yet.
async fn eoa(world: &World) -> SmartAccount {
    let owner = world.owner.address();
    world.testkit.chain().set_balance(owner, U256::from(10 * ETHER));
    let account = SmartAccount::from_eoa(
        world.testkit.provider(),
        world.deployment(),
        owner,
        world.stack.delegate,
    )
    .await
    .unwrap();
    assert!(!account.is_deployed().await.unwrap());
    account
}

fn owner(world: &World, account: &SmartAccount, submitter: Arc<dyn Submitter>) -> OwnerClient {
    OwnerClient::shared(account.clone(), Arc::new(world.owner.clone()), submitter)
}

fn agent(account: &SmartAccount, number: u8, submitter: Arc<dyn Submitter>) -> SessionKeyClient {
    let key = crate::fixture::key(number);
    SessionKeyClient::shared(account.clone(), Arc::new(key), submitter)
}

fn code(world: &World, account: &SmartAccount) -> Bytes {
    world.testkit.chain().code(account.address())
}

/// The account sends a transaction that has nothing to do with anything.
fn something_else(world: &World, account: &SmartAccount) {
    let request = TransactionRequest::default()
        .from(account.address())
        .to(RECIPIENT);
    world.testkit.chain().send(request).unwrap().ok().unwrap();
}

/// Somebody carries the authorization out who saw it.
pub(crate) fn carry_out(world: &World, authorization: &SignedAuthorization) {
    let request = TransactionRequest {
        authorization_list: Some(vec![authorization.clone()]),
        ..TransactionRequest::default()
            .from(dev_accounts()[6].address)
            .to(RECIPIENT)
    };
    world.testkit.chain().send(request).unwrap().ok().unwrap();
}

/// A way on which what is sent is lost, and nobody says so. The testkit's bundler can lose operations as
/// well, but answers with their hashes; here nothing answers, on whatever way.
#[derive(Debug)]
struct Lost(Arc<dyn Submitter>);

#[async_trait]
impl Submitter for Lost {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError> {
        self.0.estimate_gas(operation).await
    }

    fn estimates_by_node(&self) -> bool {
        self.0.estimates_by_node()
    }

    async fn authorization_nonce(&self, account: Address) -> Result<Option<u64>, RequestError> {
        self.0.authorization_nonce(account).await
    }

    async fn send(&self, _: &SignedOperation) -> Sent {
        Sent::NoAnswer {
            error: RequestError::NoAnswer {
                message: "lost".to_owned(),
                status: None,
            },
        }
    }

    async fn transaction(&self, _: B256) -> Result<Option<B256>, RequestError> {
        Ok(None)
    }
}

#[tokio::test]
async fn an_owners_first_operation_makes_the_account_by_every_way() {
    for way in Way::ALL {
        let world = World::new();
        let account = eoa(&world).await;
        let submitter = way.submitter(&world);
        let owner = owner(&world, &account, submitter.clone());
        let built = owner
            .install_session_key_plugin([new_key(1)])
            .build()
            .await
            .unwrap();
        let authorization = built.authorization.unwrap();
        let nonce = u64::from(way == Way::Itself);
        assert_eq!(
            (authorization.address, authorization.nonce),
            (world.stack.delegate, nonce),
            "{way:?}"
        );
        // What is built is not signed.
        assert_ne!(authorization.recover_authority().unwrap(), account.address());

        owner.install_session_key_plugin([new_key(1)]).await.unwrap();
        assert_eq!(code(&world, &account), delegation_code(world.stack.delegate));
        assert_eq!(world.testkit.chain().nonce(account.address()), nonce + 1);
        let agent = agent(&account, 1, submitter);
        assert_eq!(account.session_keys().await.unwrap(), [agent.session_key()]);
        agent.execute(pay(60)).await.unwrap();
        assert_eq!(world.testkit.chain().balance(RECIPIENT), U256::from(60));
        // It is the account now.
        let later = owner.remove_session_key(agent.session_key());
        assert_eq!(later.build().await.unwrap().authorization, None);
        later.await.unwrap();
        assert!(account.session_keys().await.unwrap().is_empty());
        let found = SmartAccount::from_eoa(
            world.testkit.provider(),
            world.deployment(),
            account.address(),
            world.stack.delegate,
        );
        assert_eq!(found.await.unwrap().generation(), account.generation());
    }
}

pub(crate) async fn granted(world: &World, account: &SmartAccount, number: u8) -> DeferredGrant {
    let owner = world.owner_of(account);
    let grant = owner.defer_grant(new_key(number), DEADLINE).await.unwrap();
    let written = serde_json::to_string(&grant).unwrap();
    assert_eq!(serde_json::from_str::<DeferredGrant>(&written).unwrap(), grant);
    grant
}

/// The account as an agent knows it that was given nothing but the grant.
fn known(world: &World, account: &SmartAccount) -> SmartAccount {
    SmartAccount::new_v08(
        world.testkit.provider(),
        31_337,
        account.address(),
        world.deployment(),
        Validations::default(),
    )
}

#[tokio::test]
async fn a_grant_brings_the_authorization_along() {
    for way in [Way::Bundler, Way::Another] {
        let world = World::new();
        let account = eoa(&world).await;
        let grant = granted(&world, &account, 1).await;
        assert!(grant.authorization.is_some() && grant.init_code.is_empty());
        let known = known(&world, &account);
        let agent = agent(&known, 1, way.submitter(&world));
        let error = agent.execute(pay(1)).await.unwrap_err();
        assert_eq!(error.code(), "account_not_deployed", "{error}");
        agent.execute_first(grant, pay(60)).unwrap().await.unwrap();
        assert_eq!(code(&world, &account), delegation_code(world.stack.delegate));
        assert_eq!(world.testkit.chain().balance(RECIPIENT), U256::from(60));
        agent.execute(pay(40)).await.unwrap();
        // Where it delegates already, a grant needs none.
        assert_eq!(granted(&world, &account, 2).await.authorization, None);
    }
}

#[tokio::test]
async fn a_grants_authorization_ends_with_the_accounts_nonce_unless_it_was_carried_out() {
    for way in [Way::Bundler, Way::Another] {
        let world = World::new();
        let account = eoa(&world).await;
        let stale = granted(&world, &account, 1).await;
        something_else(&world, &account);
        let known = known(&world, &account);
        let agent = agent(&known, 1, way.submitter(&world));
        let error = agent.execute_first(stale, pay(1)).unwrap().await.unwrap_err();
        let expected = AuthorizationError::OtherNonce {
            account: account.address(),
            expected: 1,
            found: 0,
        };
        assert_eq!(*error.cause, Cause::Authorization(expected));
        assert_eq!(
            (error.code(), error.happened()),
            ("invalid_authorization", Happened::No)
        );
        // Another one is good, also when somebody has carried its authorization out.
        let grant = granted(&world, &account, 1).await;
        carry_out(&world, grant.authorization.as_ref().unwrap());
        assert_eq!(code(&world, &account), delegation_code(world.stack.delegate));
        agent.execute_first(grant, pay(60)).unwrap().await.unwrap();
        assert_eq!(world.testkit.chain().balance(RECIPIENT), U256::from(60));
    }
}

#[tokio::test]
async fn a_grant_with_an_authorization_that_is_not_the_accounts_is_refused() {
    let world = World::new();
    let account = eoa(&world).await;
    let grant = granted(&world, &account, 1).await;
    let agent = agent(&account, 1, world.submitter());
    let signed = |authorization: Authorization| {
        let signature = world
            .owner
            .sign_hash_sync(&authorization.signature_hash())
            .unwrap();
        authorization.into_signed(signature)
    };
    let good = grant.authorization.clone().unwrap().strip_signature();
    for chain_id in [0, 1] {
        let authorization = signed(Authorization {
            chain_id: U256::from(chain_id),
            ..good.clone()
        });
        let other = DeferredGrant {
            authorization: Some(authorization.clone()),
            ..grant.clone()
        };
        let expected = AuthorizationError::OtherChain {
            expected: 31_337,
            found: U256::from(chain_id),
        };
        match agent
            .execute_first(other, pay(1))
            .map(drop)
            .map_err(|error| *error.cause)
        {
            Err(Cause::DeferredGrant(DeferredGrantError::Authorization(error))) => {
                assert_eq!(error, expected);
            }
            result => panic!("{result:?}"),
        }
        // Nor is it taken by itself.
        let owner = world.owner_of(&account);
        let operation = owner
            .install_session_key_plugin([new_key(1)])
            .authorization(authorization);
        let error = operation.await.unwrap_err();
        assert_eq!(*error.cause, Cause::Authorization(expected));
    }
    // It delegates to something that the account's handle does not say.
    let elsewhere = signed(Authorization {
        address: world.stack.semi_modular_implementation,
        ..good
    });
    let other = DeferredGrant {
        authorization: Some(elsewhere),
        ..grant.clone()
    };
    let error = agent.execute_first(other, pay(1)).unwrap().await.unwrap_err();
    assert!(
        matches!(
            *error.cause,
            Cause::Authorization(AuthorizationError::OtherDelegate { .. })
        ),
        "{error:?}"
    );
    let made = DeferredGrant {
        init_code: Bytes::from_static(&[1; 20]),
        ..grant
    };
    assert_eq!(
        agent.execute_first(made, pay(1)).unwrap_err().code(),
        "invalid_deferred_grant"
    );
    assert!(code(&world, &account).is_empty());
}

/// An operation with a name that was signed, written down, and lost on its way.
async fn lost(world: &World, account: &SmartAccount, submitter: &Arc<dyn Submitter>) -> IntentRecord {
    let owner = owner(world, account, Arc::new(Lost(submitter.clone())));
    let operation = owner
        .install_session_key_plugin([new_key(1)])
        .id("install")
        .timeout(Duration::from_secs(5));
    let error = operation.await.unwrap_err();
    assert_eq!(error.happened(), Happened::Unknown, "{error}");
    let record = owner.named("install").await.unwrap().unwrap();
    assert_eq!(record.operations.len(), 1);
    record
}

/// The authorizations of an intent's operations.
fn authorizations(record: &IntentRecord) -> Vec<SignedAuthorization> {
    let operations = record.operations.iter();
    operations
        .filter_map(|operation| operation.signed.operation.authorization.clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_sent_again_with_the_authorization_that_it_had() {
    for way in Way::ALL {
        for is_carried_out in [false, true] {
            let world = World::new();
            let desk = Arc::new(Desk::new(MemoryJournal::new()));
            let account = eoa(&world).await.with_desk(desk);
            let submitter = way.submitter(&world);
            let before = lost(&world, &account, &submitter).await;
            let [authorization] = &authorizations(&before)[..] else {
                panic!("{before:?}")
            };
            assert_eq!(authorization.recover_authority().unwrap(), account.address());
            if is_carried_out {
                if way == Way::Itself {
                    something_else(&world, &account);
                }
                carry_out(&world, authorization);
            }
            let owner = owner(&world, &account, way.submitter(&world));
            let operation = owner.install_session_key_plugin([new_key(1)]).id("install");
            let included = operation.await.unwrap();
            let hash = before.operations[0].signed.hash;
            assert_eq!(included.receipt.user_op_hash, hash, "{way:?} {is_carried_out}");
            let after = owner.named("install").await.unwrap().unwrap();
            assert_eq!(authorizations(&after), std::slice::from_ref(authorization));
            assert_eq!(account.session_keys().await.unwrap().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_authorization_has_ended_is_signed_anew() {
    for way in Way::ALL {
        let world = World::new();
        let desk = Arc::new(Desk::new(MemoryJournal::new()));
        let account = eoa(&world).await.with_desk(desk);
        let submitter = way.submitter(&world);
        let before = lost(&world, &account, &submitter).await;
        something_else(&world, &account);
        let owner = owner(&world, &account, way.submitter(&world));
        if way != Way::Itself {
            // As it was signed, it is not even handed over.
            let again = owner.send_again(before.id).await.unwrap();
            match *again.timeout(Duration::from_secs(5)).await.unwrap_err().cause {
                Cause::NotTaken(not_taken) => assert_eq!(
                    not_taken.reason,
                    NotTakenReason::Authorization(AuthorizationError::OtherNonce {
                        account: account.address(),
                        expected: 1,
                        found: 0
                    })
                ),
                cause => panic!("{way:?}: {cause:?}"),
            }
        }
        owner
            .install_session_key_plugin([new_key(1)])
            .id("install")
            .await
            .unwrap();
        let after = owner.named("install").await.unwrap().unwrap();
        let nonces: Vec<u64> = authorizations(&after)
            .iter()
            .map(|authorization| authorization.nonce)
            .collect();
        let first = u64::from(way == Way::Itself);
        assert_eq!(nonces, [first, first + 1], "{way:?}");
        let nonce = |index: usize| after.operations[index].signed.operation.nonce;
        assert_eq!(nonce(0), nonce(1));
        assert_eq!(account.session_keys().await.unwrap().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_operation_that_is_stuck_is_replaced_by_one_that_makes_the_account_as_well() {
    for kind in 0..3 {
        for is_granted in [false, true] {
            let world = World::new();
            let account = match kind {
                0 => world.account(None).await,
                1 => world.account(Some(OWNERS_ENTITY)).await,
                _ => eoa(&world).await,
            };
            let account = account.with_desk(Arc::new(Desk::new(MemoryJournal::new())));
            let submitter = world.submitter();
            let lost: Arc<dyn Submitter> = Arc::new(Lost(submitter.clone()));
            let limit = Duration::from_secs(5);
            let (error, replaced) = if is_granted {
                let grant = granted(&world, &account, 1).await;
                let first = agent(&account, 1, lost).execute_first(grant, pay(60)).unwrap();
                let error = first.timeout(limit).await.unwrap_err();
                let agent = agent(&account, 1, submitter);
                let replaced = agent.replace(error.intent.unwrap()).await.unwrap().await;
                (error, replaced.unwrap())
            } else {
                let first = owner(&world, &account, lost).install_session_key_plugin([new_key(1)]);
                let error = first.timeout(limit).await.unwrap_err();
                let owner = owner(&world, &account, submitter);
                let replaced = owner.replace(error.intent.unwrap()).await.unwrap().await;
                (error, replaced.unwrap())
            };
            assert_eq!(error.happened(), Happened::Unknown, "{error}");
            assert_ne!(error.user_op_hash, Some(replaced.receipt.user_op_hash));
            let journal = account.desk().journal();
            let record = journal.intent(error.intent.unwrap()).await.unwrap().unwrap();
            let [first, second] = &record.operations[..] else {
                panic!("{record:?}")
            };
            let (first, second) = (&first.signed.operation, &second.signed.operation);
            assert_eq!(first.nonce, second.nonce);
            assert_eq!(first.call_data, second.call_data);
            assert!(second.max_fee_per_gas >= first.max_fee_per_gas + first.max_fee_per_gas / U256::from(10));
            assert_eq!(
                account.session_keys().await.unwrap().len(),
                1,
                "{kind} {is_granted}"
            );
            let paid = if is_granted { 60 } else { 0 };
            assert_eq!(world.testkit.chain().balance(RECIPIENT), U256::from(paid));
        }
    }
}

#[tokio::test]
async fn a_bundle_goes_out_without_operations_whose_authorizations_do_not_hold() {
    let world = World::new();
    let account = eoa(&world).await;
    let owner = world.owner_of(&account);
    let signed = owner
        .install_session_key_plugin([new_key(1)])
        .sign()
        .await
        .unwrap();
    let bundler = dev_accounts()[3].signer();
    let from = bundler.address();
    let provider = world.testkit.provider_with_signer(bundler);
    let submitter = EntryPointSubmitter::new(provider, world.stack.entry_point, from);
    let mut unsigned = signed.clone();
    let authorization = unsigned.operation.authorization.take().unwrap();
    unsigned.operation.authorization = Some(SignedAuthorization::new_unchecked(
        authorization.strip_signature(),
        0,
        U256::ONE,
        U256::ONE,
    ));
    let bundle = submitter
        .send_all_valid(std::slice::from_ref(&unsigned))
        .await
        .unwrap();
    assert_eq!((bundle.transaction_hash, bundle.sent.len()), (None, 0));
    assert_eq!(bundle.refused[0].0, signed.hash);
    match submitter.send_all(&[unsigned]).await.unwrap_err() {
        BundleError::NotTaken { hash, not_taken } => {
            assert_eq!(hash, Some(signed.hash));
            assert!(matches!(
                not_taken.reason,
                NotTakenReason::Authorization(AuthorizationError::OtherSigner { .. })
            ));
        }
        error => panic!("{error:?}"),
    }
    let bundle = submitter.send_all(std::slice::from_ref(&signed)).await.unwrap();
    assert_eq!(bundle.sent, [signed.hash]);
    assert_eq!(account.session_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_an_externally_owned_account_that_delegates_to_nothing_else_can_become_one() {
    let world = World::new();
    let account = eoa(&world).await;
    let from_eoa = async |eoa: Address, delegate: Address| {
        SmartAccount::from_eoa(world.testkit.provider(), world.deployment(), eoa, delegate)
            .await
            .map(drop)
    };
    let (own, delegate) = (account.address(), world.stack.delegate);
    assert_eq!(
        from_eoa(own, RECIPIENT).await,
        Err(ConnectError::NoDelegate {
            delegate: RECIPIENT,
            chain_id: 31_337
        })
    );
    // A contract that is not an account.
    assert!(matches!(
        from_eoa(own, world.stack.token).await,
        Err(ConnectError::Read(_))
    ));
    let contract = world.stack.token;
    assert_eq!(
        from_eoa(contract, delegate).await,
        Err(AuthorizationError::Contract { account: contract }.into())
    );
    let other_chain =
        SmartAccount::from_eoa_on(1, world.testkit.provider(), world.deployment(), own, delegate);
    assert!(matches!(other_chain.await, Err(ConnectError::Read(_))));
    // Nobody but the account's own key makes it delegate.
    let stranger = OwnerClient::new(account.clone(), crate::fixture::key(9), Lost(world.submitter()));
    let error = stranger
        .install_session_key_plugin([new_key(1)])
        .await
        .unwrap_err();
    assert!(
        matches!(
            *error.cause,
            Cause::Authorization(AuthorizationError::NotTheKey { .. })
        ),
        "{error:?}"
    );
    let elsewhere = world.stack.semi_modular_implementation;
    world
        .testkit
        .chain()
        .set_code(own, delegation_code(elsewhere))
        .unwrap();
    let expected = AuthorizationError::DelegatesElsewhere {
        account: own,
        expected: delegate,
        found: elsewhere,
    };
    assert_eq!(from_eoa(own, delegate).await, Err(expected.clone().into()));
    let owner = world.owner_of(&account);
    let error = owner.install_session_key_plugin([new_key(1)]).await.unwrap_err();
    assert_eq!(*error.cause, Cause::Authorization(expected));
}
