//! Grants that ride along with a key's first operation.

use crate::{
    accounts::{OWNERS_ENTITY, World, new_key, pay},
    fixture::{RECIPIENT, key},
};
use session_key_bindings::IEntryPoint;
use session_key_client::{
    Call, OwnerAction, SmartAccount,
    alloy::{
        primitives::{Bytes, U256},
        sol_types::SolCall as _,
    },
    explain::{Became, ExplainOptions, explain_hash},
    operation::{Cause, Happened, OperationError},
    permissions::AaCode,
    v08::{DeferredGrant, DeferredGrantError},
};

/// Long after the chain's beginning.
const DEADLINE: u64 = 1_900_000_000;

/// The grant, as it comes out of a file.
async fn granted(world: &World, account: &SmartAccount, number: u8) -> DeferredGrant {
    let grant = world
        .owner_of(account)
        .defer_grant(new_key(number), DEADLINE)
        .await
        .unwrap();
    let written = serde_json::to_string(&grant).unwrap();
    let read = serde_json::from_str(&written).unwrap();
    assert_eq!(grant, read);
    read
}

fn paid(world: &World) -> U256 {
    world.testkit.chain().balance(RECIPIENT)
}

async fn first(world: &World, account: &SmartAccount, grant: DeferredGrant) -> Result<(), OperationError> {
    let number = (1..=9)
        .find(|number| key(*number).address() == grant.session_key)
        .unwrap();
    let agent = world.agent_of(account, number);
    agent.execute_first(grant, pay(60))?.await.map(drop)
}

#[tokio::test]
async fn one_operation_installs_grants_and_pays_on_every_form_of_account() {
    let world = World::new();
    let semi_modular = world.account(None).await;
    let modular = world.account(Some(OWNERS_ENTITY)).await;
    let delegated = world.delegated().await;
    for (number, account) in [(1, semi_modular), (2, modular), (3, delegated)] {
        let before = paid(&world);
        let grant = granted(&world, &account, number).await;
        // Nothing is on chain yet, and the agent needs nothing but the grant: not even to know how the
        // account is made.
        let known = SmartAccount::new_v08(
            world.testkit.provider(),
            31_337,
            account.address(),
            world.deployment(),
            match account.generation() {
                session_key_client::account::Generation::V08(validations) => validations,
                generation => panic!("{generation:?}"),
            },
        );
        let agent = world.agent_of(&known, number);
        let error = agent.execute(pay(1)).await.unwrap_err();
        assert_eq!(error.happened(), Happened::No);
        // The rules are known before the key is.
        let error = agent
            .execute_first(grant.clone(), pay(101))
            .unwrap()
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("not_allowed", Happened::No),
            "{error}"
        );
        let included = agent
            .execute_first(grant.clone(), pay(60))
            .unwrap()
            .await
            .unwrap();
        assert_eq!(paid(&world) - before, U256::from(60));
        assert_eq!(known.session_keys().await.unwrap(), [agent.session_key()]);
        let limit = known.gas_spend_limit(agent.session_key()).await.unwrap();
        assert!(limit.info.limit_used >= included.receipt.actual_gas_cost);
        let options = ExplainOptions::new();
        let explained = explain_hash(&known, included.receipt.user_op_hash, &options)
            .await
            .unwrap();
        let explained = explained.expect("it is found");
        assert_eq!(explained[0].outcome, Became::Succeeded, "{explained:?}");
        assert_eq!(explained[0].session_key, Some(agent.session_key()));
        // From now on the key is one like any other, with what it has used.
        agent.execute(pay(40)).await.unwrap();
        let error = agent.execute(pay(1)).await.unwrap_err();
        assert_eq!(error.code(), "not_allowed");
        // The grant is used up.
        let error = agent.execute_first(grant, pay(1)).unwrap().await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("nonce_used", Happened::No),
            "{error}"
        );
    }
}

#[tokio::test]
async fn on_an_account_with_the_module_it_only_adds_the_key() {
    let world = World::new();
    let account = world.account(None).await;
    world
        .owner_of(&account)
        .install_session_key_plugin([new_key(1)])
        .await
        .unwrap();
    let grant = granted(&world, &account, 2).await;
    assert!(grant.init_code.is_empty());
    // Of two that wait, each is good.
    let other = granted(&world, &account, 3).await;
    first(&world, &account, other).await.unwrap();
    first(&world, &account, grant).await.unwrap();
    assert_eq!(paid(&world), U256::from(120));
    assert_eq!(account.session_keys().await.unwrap().len(), 3);
}

#[tokio::test]
async fn of_two_installations_the_first_lands() {
    let world = World::new();
    let account = world.account(None).await;
    let (one, other) = (
        granted(&world, &account, 1).await,
        granted(&world, &account, 2).await,
    );
    first(&world, &account, one).await.unwrap();
    let error = first(&world, &account, other).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("refused", Happened::No),
        "{error}"
    );
    assert_eq!(account.session_keys().await.unwrap(), [key(1).address()]);
}

#[tokio::test]
async fn a_grant_ends_at_its_deadline() {
    let world = World::new();
    let account = world.account(None).await;
    let grant = granted(&world, &account, 1).await;
    world.testkit.chain().mine_at(DEADLINE + 1).unwrap();
    let error = first(&world, &account, grant).await.unwrap_err();
    let Cause::NotTaken(not_taken) = &*error.cause else {
        panic!("{error:?}")
    };
    assert!(not_taken.message.contains("AA22"), "{not_taken:?}");
    assert!(!account.is_deployed().await.unwrap());
    for deadline in [0, DEADLINE + 1] {
        let late = world.owner_of(&account).defer_grant(new_key(1), deadline).await;
        assert_eq!(late.unwrap_err().code(), "invalid_permission");
    }
}

#[tokio::test]
async fn an_owner_ends_a_grant_that_is_not_used() {
    let world = World::new();
    let account = world.account(None).await;
    let grant = granted(&world, &account, 1).await;
    world.owner_of(&account).end_deferred_grant(&grant).await.unwrap();
    let error = first(&world, &account, grant).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("nonce_used", Happened::No),
        "{error}"
    );
    assert_eq!(paid(&world), U256::ZERO);
}

/// Gas for the first operation of an account is measured with the EntryPoint's own work in it.
#[tokio::test]
async fn an_account_that_is_created_can_call_the_entry_point() {
    let world = World::new();
    let account = world.account(None).await;
    let mut ends = Vec::new();
    for number in 1..=10 {
        let grant = granted(&world, &account, number).await;
        let increment = IEntryPoint::incrementNonceCall {
            key: grant.nonce_key(),
        };
        ends.push(OwnerAction::Call(Call::new(
            grant.entry_point,
            increment.abi_encode(),
        )));
    }
    world.owner_of(&account).batch(ends).await.unwrap();
    assert!(account.is_deployed().await.unwrap());
}

#[tokio::test]
async fn what_is_tampered_with_is_refused() {
    let world = World::new();
    let account = world.account(None).await;
    let grant = granted(&world, &account, 1).await;
    let refused = |grant: DeferredGrant| {
        let agent = world.agent_of(&account, 1);
        match agent.execute_first(grant, pay(1)) {
            Ok(_) => panic!("it is taken"),
            Err(error) => match *error.cause {
                Cause::DeferredGrant(error) => error,
                cause => panic!("{cause:?}"),
            },
        }
    };
    // For another chain, account, EntryPoint, module or key.
    for (what, change) in [
        (
            "chain",
            DeferredGrant {
                chain_id: 1,
                ..grant.clone()
            },
        ),
        (
            "account",
            DeferredGrant {
                account: RECIPIENT,
                ..grant.clone()
            },
        ),
        (
            "EntryPoint",
            DeferredGrant {
                entry_point: RECIPIENT,
                ..grant.clone()
            },
        ),
        (
            "module",
            DeferredGrant {
                module: RECIPIENT,
                ..grant.clone()
            },
        ),
        (
            "session key",
            DeferredGrant {
                session_key: RECIPIENT,
                ..grant.clone()
            },
        ),
        (
            "nonce",
            DeferredGrant {
                entity_id: 4,
                ..grant.clone()
            },
        ),
    ] {
        match refused(change) {
            DeferredGrantError::Differs { what: found, .. } => assert_eq!(found, what),
            error => panic!("{what}: {error:?}"),
        }
    }
    // The action says something else than the signature carries, and then the signature something else than
    // the owner signed.
    let mut other = grant.clone();
    other.action.deadline += 1;
    assert!(matches!(
        refused(other.clone()),
        DeferredGrantError::Differs { .. }
    ));
    let head = other.signature_prefix.len() - 4 - 66;
    let owners_part = other.signature_prefix[head..].to_vec();
    let rebuilt = other.action.signature_prefix(&owners_part[5..]).unwrap();
    other.signature_prefix = rebuilt;
    let error = first(&world, &account, other).await.unwrap_err();
    assert_eq!(error.happened(), Happened::No);
    match *error.cause {
        Cause::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::AccountReverted), "{refusal}"),
        cause => panic!("{cause:?}"),
    }
    // An action that does more than grant: the owner may have signed it, but it is no grant.
    let mut more = grant.clone();
    let call = Call::transfer(RECIPIENT, U256::ONE);
    more.action.call = session_key_client::calldata::execute_batch(&[call]);
    more.signature_prefix = more.action.signature_prefix(&[0; 65]).unwrap();
    assert!(matches!(refused(more), DeferredGrantError::NotAGrant { .. }));
    let empty = DeferredGrant {
        signature_prefix: Bytes::new(),
        ..grant
    };
    assert!(matches!(refused(empty), DeferredGrantError::Differs { .. }));
    assert!(!account.is_deployed().await.unwrap());
}
