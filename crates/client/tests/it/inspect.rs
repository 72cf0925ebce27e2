//! Keys rebuilt from logs and views, on nodes of all kinds.

use crate::{
    IS_V08,
    fixture::{Fixture, RECIPIENT, account_at, one, unbounded},
};
use session_key_client::{
    NewSessionKey, OwnerAction, SmartAccount,
    alloy::{
        primitives::{Address, B256, Selector, U256, keccak256},
        providers::ProviderBuilder,
        rpc::{
            client::RpcClient,
            json_rpc::{RequestPacket, ResponsePacket},
        },
        transports::{BoxTransport, IntoBoxTransport, TransportError, TransportErrorKind, TransportFut},
    },
    calldata::UninstallConfig,
    inspect::{InspectOptions, Inspection, KeyEventKind, Missing, inspect},
    node::Node,
    permissions::{
        AddressEntry, ERC20_TRANSFER, FunctionEntry, LimitChange, Part, PermissionUpdates, Permissions,
        SpendLimit, TimeRange, model::RuleSet, plan::is_as,
    },
};
use session_key_testkit::{ErrorAnswer, LogLimits, NodeOptions, PrunedState, PrunedWords, Stack, Transport};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower::Service;

const SHOP: Address = Address::repeat_byte(0x5a);
const WEEK: u64 = 604_800;

fn address(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

fn new_key(number: u64, tag: &str, permissions: &Permissions) -> NewSessionKey {
    let mut new = NewSessionKey::new(address(number), permissions).unwrap();
    new.tag = keccak256(tag);
    new
}

fn weekly(token: Address) -> Permissions {
    Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .contract(SHOP)
        .erc20_spend_limit(token, SpendLimit::per(U256::from(100), WEEK))
        .gas_spend_limit(SpendLimit::per(U256::from(10u64.pow(16)), WEEK))
}

/// The owner does this, by a plain transaction.
async fn act(fixture: &Fixture, actions: impl IntoIterator<Item = OwnerAction>) {
    let owner = fixture.owner_signer.address();
    let transaction = fixture.account.owner_transaction(owner, actions).await.unwrap();
    fixture.testkit.chain().send(transaction).unwrap().ok().unwrap();
}

/// An account with the plugin and without keys.
async fn installed() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.owner.install_session_key_plugin([]).await.unwrap();
    fixture
}

async fn found(fixture: &Fixture) -> Inspection {
    inspect(&fixture.account, &InspectOptions::new()).await.unwrap()
}

/// The fixture's account, asked through something else.
fn through(fixture: &Fixture, transport: impl IntoBoxTransport) -> SmartAccount {
    let client = RpcClient::new(transport, true);
    account_at(
        ProviderBuilder::new().connect_client(client),
        31_337,
        fixture.account.address(),
        *fixture.account.deployment(),
    )
}

/// A history with everything that can happen to keys. Returns the permissions of the keys that
/// are there afterwards.
async fn eventful(fixture: &Fixture) -> Vec<(Address, B256, Permissions)> {
    let token = fixture.stack.token;
    let weekly = weekly(token);
    act(
        fixture,
        [1, 2, 3, 4].map(|n| OwnerAction::AddSessionKey(new_key(n, &format!("tag {n}"), &weekly))),
    )
    .await;
    // 1 gets other functions and another limit, in two steps.
    let updates = PermissionUpdates::new()
        .without_function(token, ERC20_TRANSFER)
        .contract_functions(SHOP, [Selector::repeat_byte(7)])
        .native_token_spend_limit(SpendLimit::total(U256::from(5)), LimitChange::Raw);
    act(
        fixture,
        [OwnerAction::UpdateKeyPermissions {
            key: address(1),
            updates,
        }],
    )
    .await;
    let updates = PermissionUpdates::new().gas_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw);
    act(
        fixture,
        [OwnerAction::UpdateKeyPermissions {
            key: address(1),
            updates,
        }],
    )
    .await;
    // 2 becomes 12, then 22, which is narrowed; and 2 comes again with nothing.
    act(
        fixture,
        [
            OwnerAction::RotateSessionKey {
                old: address(2),
                new: address(12),
            },
            OwnerAction::RotateSessionKey {
                old: address(12),
                new: address(22),
            },
            OwnerAction::AddSessionKey(new_key(2, "again", &Permissions::new())),
        ],
    )
    .await;
    let updates = PermissionUpdates::new().without_contract(SHOP);
    act(
        fixture,
        [OwnerAction::UpdateKeyPermissions {
            key: address(22),
            updates,
        }],
    )
    .await;
    // 3 goes and comes back, onto itself too.
    act(fixture, [OwnerAction::RemoveSessionKey(address(3))]).await;
    act(
        fixture,
        [
            OwnerAction::AddSessionKey(new_key(3, "back", &Permissions::new().contract(SHOP))),
            OwnerAction::RotateSessionKey {
                old: address(3),
                new: address(3),
            },
        ],
    )
    .await;
    // 4 goes for good.
    act(fixture, [OwnerAction::RemoveSessionKey(address(4))]).await;
    let first = Permissions {
        gas_spend_limit: None,
        ..weekly.clone()
    };
    let off = |set: Permissions, contract, selector| {
        set.function_entry(FunctionEntry {
            contract,
            selector,
            is_on_list: false,
        })
    };
    vec![
        (address(3), keccak256("back"), Permissions::new().contract(SHOP)),
        (address(2), keccak256("again"), Permissions::new()),
        (
            address(22),
            keccak256("tag 2"),
            weekly.address_entry(AddressEntry {
                contract: SHOP,
                is_on_list: false,
                check_selectors: false,
            }),
        ),
        (
            address(1),
            keccak256("tag 1"),
            off(first, token, ERC20_TRANSFER)
                .contract_functions(SHOP, [Selector::repeat_byte(7)])
                .native_token_spend_limit(SpendLimit::total(U256::from(5))),
        ),
    ]
}

#[track_caller]
fn assert_is(inspection: &Inspection, expected: &[(Address, B256, Permissions)]) {
    let keys: Vec<Address> = inspection.keys().iter().map(|key| key.session_key).collect();
    let all: Vec<Address> = expected.iter().map(|(key, _, _)| *key).collect();
    assert_eq!(keys, all);
    for (key, tag, permissions) in expected {
        let found = inspection.key(*key).unwrap();
        assert!(found.is_complete() && found.state.complete, "{:?}", found.missing);
        assert_eq!(found.tag, Some(*tag));
        assert!(
            is_as(&found.state, permissions),
            "{:?}\n{permissions:?}",
            found.state
        );
        assert_eq!(inspection.with_tag(*tag).count(), 1);
    }
    assert!(inspection.is_complete());
}

#[tokio::test]
async fn all_that_a_key_may_do_is_rebuilt() {
    let fixture = installed().await;
    let expected = eventful(&fixture).await;
    let inspection = found(&fixture).await;
    assert_is(&inspection, &expected);
    let rules = if IS_V08 {
        RuleSet::Module(fixture.stack.session_key_plugin)
    } else {
        RuleSet::Strict
    };
    assert_eq!(inspection.rule_set, rules);
    assert!(inspection.missing_blocks().is_empty());
    assert_eq!(inspection.key(address(4)), None);
    // By Multicall3, the same.
    Stack::deploy_multicall(&mut fixture.testkit.chain()).unwrap();
    assert_is(&found(&fixture).await, &expected);
    // Of some keys only.
    let options = InspectOptions::new().keys([address(2), address(99)]);
    let some = inspect(&fixture.account, &options).await.unwrap();
    assert_is(&some, &expected[1..2]);
}

#[tokio::test]
async fn what_is_used_is_as_the_views_say() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::per(U256::from(5), WEEK))
        .gas_spend_limit(SpendLimit::total(U256::MAX >> 1));
    let (fixture, agent) = Fixture::with_key(permissions.clone()).await;
    agent
        .clone()
        .with_bounds(unbounded())
        .execute(one())
        .await
        .unwrap();
    let inspection = found(&fixture).await;
    let key = &inspection.keys()[0];
    assert!(key.is_complete(), "{:?}", key.missing);
    assert!(is_as(&key.state, &permissions));
    assert_eq!(key.state.native_limit.limit_used, U256::ONE);
    assert!(key.state.gas_limit.info.limit_used > U256::from(1_000));
    assert_eq!(inspection.block.number, fixture.testkit.chain().block_number());
}

#[tokio::test]
async fn a_plugin_that_was_installed_again_starts_afresh() {
    let fixture = installed().await;
    let set = weekly(fixture.stack.token);
    act(&fixture, [OwnerAction::AddSessionKey(new_key(1, "old", &set))]).await;
    act(
        &fixture,
        [OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default())],
    )
    .await;
    let narrow = Permissions::new().contract(SHOP);
    act(
        &fixture,
        [OwnerAction::InstallSessionKeyPlugin {
            keys: vec![new_key(1, "new", &narrow), new_key(2, "other", &set)],
            manifest_hash: None,
            dependencies: None,
        }],
    )
    .await;
    let inspection = found(&fixture).await;
    assert_is(
        &inspection,
        &[
            (address(2), keccak256("other"), set),
            (address(1), keccak256("new"), narrow),
        ],
    );
    // All that has happened, only if it is asked for.
    let removed = |inspection: &Inspection| {
        let removed = |kind: &KeyEventKind| matches!(kind, KeyEventKind::Removed { .. });
        inspection
            .events()
            .iter()
            .filter(|event| removed(&event.kind))
            .count()
    };
    let history = inspect(&fixture.account, &InspectOptions::new().with_history())
        .await
        .unwrap();
    assert_eq!(removed(&history), 1);
}

#[tokio::test]
async fn the_keys_of_other_accounts_are_not_mixed_up() {
    let fixture = installed().await;
    let expected = eventful(&fixture).await;
    // The plugin takes whoever calls it for an account: another one gives the same keys everything.
    let everything = Permissions::new().contract(Address::repeat_byte(0xee));
    let add = session_key_client::calldata::add_session_key(&new_key(1, "other", &everything));
    let chain = fixture.testkit.chain();
    let stranger = Address::repeat_byte(0x57);
    drop(chain);
    let transaction = session_key_client::alloy::rpc::types::TransactionRequest::default()
        .from(stranger)
        .to(fixture.stack.session_key_plugin)
        .input(add.into());
    fixture.testkit.chain().send(transaction).unwrap();
    assert_is(&found(&fixture).await, &expected);
}

/// Blocks without events, so that ranges matter.
fn quiet(fixture: &Fixture, blocks: u64) {
    fixture.mine_blocks(blocks);
}

#[tokio::test]
async fn nodes_that_answer_few_blocks_or_logs_are_adapted_to() {
    let fixture = installed().await;
    quiet(&fixture, 300);
    let expected = eventful(&fixture).await;
    quiet(&fixture, 300);
    for (blocks, results) in [
        (Some(10), None),
        (Some(1_000), None),
        (Some(10_000), None),
        (Some(100), Some(3)),
    ] {
        let node = fixture.testkit.node(NodeOptions {
            logs: LogLimits {
                blocks,
                results,
                ..LogLimits::default()
            },
            ..NodeOptions::default()
        });
        let account = through(&fixture, node.transport());
        if results == Some(3) {
            // Four keys were added in one block, with eight logs: no range is small enough.
            let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
            assert!(!inspection.is_complete());
            assert!(inspection.key(address(3)).unwrap().is_complete());
            let missing = &inspection.key(address(1)).unwrap().missing;
            assert!(matches!(missing[0], Missing::Blocks(_)), "{missing:?}");
            assert_eq!(inspection.missing_blocks().len(), 2);
            continue;
        }
        let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
        assert_is(&inspection, &expected);
    }
}

#[tokio::test]
async fn a_node_that_starts_late_or_prunes_leaves_keys_incomplete() {
    let fixture = installed().await;
    let set = weekly(fixture.stack.token);
    act(&fixture, [OwnerAction::AddSessionKey(new_key(1, "old", &set))]).await;
    quiet(&fixture, 20);
    let late = fixture.testkit.chain().block_number();
    act(&fixture, [OwnerAction::AddSessionKey(new_key(2, "new", &set))]).await;
    let updates = PermissionUpdates::new().contract(RECIPIENT);
    act(
        &fixture,
        [OwnerAction::UpdateKeyPermissions {
            key: address(1),
            updates,
        }],
    )
    .await;

    let options = InspectOptions::new().from_block(late);
    let inspection = inspect(&fixture.account, &options).await.unwrap();
    let old = inspection.key(address(1)).unwrap();
    assert_eq!((old.tag, old.state.complete), (None, false));
    // Its gas limit was set before, and the view says so.
    assert_eq!(old.missing[0], Missing::Addition { read_from: late });
    assert!(
        old.missing.contains(&Missing::Differs { part: Part::GasLimit }),
        "{:?}",
        old.missing
    );
    assert_eq!(old.state.gas_limit.info.limit, U256::from(10u64.pow(16)));
    assert!(old.state.contracts[&RECIPIENT].is_on_list);
    assert!(inspection.key(address(2)).unwrap().is_complete());
    assert!(!inspection.is_complete());

    // A node that has no old logs, and says so.
    let pruned = fixture.testkit.transport().intercept(move |method, params| {
        let from = params[0]["fromBlock"].as_str().unwrap_or("0x0");
        let from = u64::from_str_radix(&from[2..], 16).unwrap();
        (method == "eth_getLogs" && from < late)
            .then(|| Err(ErrorAnswer::new(4444, "pruned history unavailable")))
    });
    let account = through(&fixture, pruned);
    let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
    let old = inspection.key(address(1)).unwrap();
    assert!(
        matches!(&old.missing[0], Missing::Blocks(blocks) if blocks.reason.contains("pruned")),
        "{:?}",
        old.missing
    );
    assert!(!inspection.missing_blocks().is_empty());

    // The state of the block is gone while it is read.
    let node = fixture.testkit.node(NodeOptions {
        pruned_state: Some(PrunedState {
            blocks: 1,
            words: PrunedWords::default(),
        }),
        ..NodeOptions::default()
    });
    let account = through(&fixture, node.transport());
    let options = InspectOptions::new().at((late - 1).into());
    assert!(inspect(&account, &options).await.is_err());
    // And of a budget of requests.
    let options = InspectOptions::new().most_log_requests(0);
    let inspection = inspect(&fixture.account, &options).await.unwrap();
    assert!(!inspection.key(address(1)).unwrap().is_complete());
}

#[tokio::test]
async fn a_log_that_is_left_out_is_seen_by_the_views_or_a_second_node() {
    let fixture = installed().await;
    let set = weekly(fixture.stack.token);
    act(&fixture, [OwnerAction::AddSessionKey(new_key(1, "tag", &set))]).await;
    let updates = PermissionUpdates::new()
        .contract(RECIPIENT)
        .time_range(TimeRange {
            valid_after: 0,
            valid_until: 7_000_000_000,
        });
    act(
        &fixture,
        [OwnerAction::UpdateKeyPermissions {
            key: address(1),
            updates,
        }],
    )
    .await;
    let last = format!("{:#x}", fixture.testkit.chain().block_number());
    let forgetful = || {
        let last = last.clone();
        fixture.testkit.transport().rewrite(move |method, _, answer| {
            let mut answer = answer;
            if method == "eth_getLogs"
                && let Ok(logs) = &mut answer
                && let Some(logs) = logs.as_array_mut()
            {
                logs.retain(|log| log["blockNumber"] != last.as_str());
            }
            answer
        })
    };
    // The entry that was left out is in no view that is asked: only the time range gives it away.
    let account = through(&fixture, forgetful());
    let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
    let missing = &inspection.keys()[0].missing;
    assert_eq!(
        *missing,
        [Missing::Differs {
            part: Part::TimeRange
        }]
    );
    let options = InspectOptions::new().compare_with(Node::new(fixture.testkit.provider()));
    let inspection = inspect(&account, &options).await.unwrap();
    let block = fixture.testkit.chain().block_number();
    assert!(
        inspection.keys()[0]
            .missing
            .contains(&Missing::NodesDiffer { block })
    );
    // Two that agree.
    let inspection = inspect(&fixture.account, &options).await.unwrap();
    assert!(inspection.is_complete());
}

/// A transport on which every request and every batch takes 100 milliseconds, of a node that takes so many
/// requests in a batch.
#[derive(Clone)]
struct Slow {
    inner: BoxTransport,
    most: usize,
    requests: Arc<AtomicUsize>,
}

const LATENCY: Duration = Duration::from_millis(100);

impl Slow {
    fn new(inner: Transport, most: usize) -> Self {
        Self {
            inner: inner.into_box_transport(),
            most,
            requests: Arc::default(),
        }
    }
}

impl Service<RequestPacket> for Slow {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let mut inner = self.inner.clone();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let is_too_much = packet.len() > self.most;
        Box::pin(async move {
            tokio::time::sleep(LATENCY).await;
            if is_too_much {
                return Err(TransportErrorKind::http_error(413, "batch too large".to_owned()));
            }
            inner.call(packet).await
        })
    }
}

/// An account with so many keys of four entries each, on a chain of some length.
async fn with_many_keys(count: u64) -> Fixture {
    let fixture = installed().await;
    let set = weekly(fixture.stack.token);
    for first in (0..count).step_by(20) {
        let last = count.min(first + 20);
        act(
            &fixture,
            (first..last).map(|n| OwnerAction::AddSessionKey(new_key(n, "many", &set))),
        )
        .await;
    }
    quiet(&fixture, 100);
    fixture
}

/// Round trips one after the other, and requests.
async fn round_trips(fixture: &Fixture, most: usize, logs: LogLimits) -> (u128, usize) {
    let node = fixture.testkit.node(NodeOptions {
        logs,
        ..NodeOptions::default()
    });
    let slow = Slow::new(node.transport(), most);
    let account = through(fixture, slow.clone());
    let start = Instant::now();
    let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
    assert!(inspection.is_complete(), "{:?}", inspection.keys()[0].missing);
    (
        start.elapsed().as_millis() / LATENCY.as_millis(),
        slow.requests.load(Ordering::Relaxed),
    )
}

// The block; keys, rules, code and logs; views; the block again. Limits of public nodes: 10,000 blocks,
// batches of 100.
#[tokio::test(start_paused = true)]
async fn a_constant_number_of_round_trips_as_long_as_views_fit_a_few_requests() {
    let public = || LogLimits {
        blocks: Some(10_000),
        results: Some(20_000),
        ..LogLimits::default()
    };
    for count in [1, 50] {
        let fixture = with_many_keys(count).await;
        let (trips, requests) = round_trips(&fixture, 100, public()).await;
        assert_eq!(trips, 4, "{count} keys, {requests} requests");
        Stack::deploy_multicall(&mut fixture.testkit.chain()).unwrap();
        let (trips, _) = round_trips(&fixture, 1, public()).await;
        assert_eq!(trips, 4, "{count} keys by Multicall3");
    }
}

// 500 keys have 5,000 views: 50 requests, 8 at a time.
#[tokio::test(start_paused = true)]
async fn many_keys_take_so_many_requests_as_their_views_need() {
    let fixture = with_many_keys(500).await;
    let public = || LogLimits {
        blocks: Some(10_000),
        results: Some(20_000),
        ..LogLimits::default()
    };
    let (trips, requests) = round_trips(&fixture, 100, public()).await;
    assert_eq!((trips, requests), (3 + 5000 / 100 / 8 + 1, 58));
    // A node that takes ten at once is asked for ten, after it has refused more.
    let (trips, _) = round_trips(&fixture, 10, public()).await;
    assert!(trips < 120, "{trips}");
    // A node that answers ten blocks: as many more as it takes.
    let few = LogLimits {
        blocks: Some(10),
        ..LogLimits::default()
    };
    let (trips, _) = round_trips(&fixture, 100, few).await;
    assert!(trips < 40, "{trips}");
}

#[tokio::test]
async fn nodes_that_give_little_gas_or_take_no_batches_are_asked_for_less() {
    let fixture = installed().await;
    let expected = eventful(&fixture).await;
    // No batches at all.
    let account = through(&fixture, Slow::new(fixture.testkit.transport(), 1));
    assert_is(
        &inspect(&account, &InspectOptions::new()).await.unwrap(),
        &expected,
    );
    // Little gas: a view or two at once.
    Stack::deploy_multicall(&mut fixture.testkit.chain()).unwrap();
    let capped = fixture.testkit.transport().intercept(|method, params| {
        let length = params[0]["input"].as_str().map_or(0, str::len);
        (method == "eth_call" && length > 2_000)
            .then(|| Err(ErrorAnswer::new(-32000, "gas limit is too high")))
    });
    let account = through(&fixture, capped);
    assert_is(
        &inspect(&account, &InspectOptions::new()).await.unwrap(),
        &expected,
    );
}

#[tokio::test]
async fn a_view_that_fails_is_named_and_no_other() {
    let fixture = installed().await;
    eventful(&fixture).await;
    let part = Part::TokenLimit { token: SHOP };
    // `getERC20SpendLimitInfo` of one contract.
    let broken = fixture.testkit.transport().intercept(|method, params| {
        let input = params[0]["input"].as_str().unwrap_or_default();
        let is_it = input.starts_with("0x35e4d3bf")
            || input.contains(&format!("{SHOP:x}")) && input.len() == 2 + 2 * 100;
        (method == "eth_call" && is_it).then(|| Err(ErrorAnswer::new(-32000, "internal error")))
    });
    let account = through(&fixture, Slow::new(broken, 1));
    let inspection = inspect(&account, &InspectOptions::new()).await.unwrap();
    let missing = &inspection.key(address(3)).unwrap().missing;
    let unread: Vec<&Part> = missing
        .iter()
        .map(|missing| match missing {
            Missing::Unread { part, .. } => part,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(unread.contains(&&part), "{missing:?}");
    assert!(inspection.key(address(2)).unwrap().is_complete());
    assert!(!inspection.key(address(3)).unwrap().state.complete);
}

#[tokio::test]
async fn without_a_plugin_there_are_no_keys() {
    let fixture = Fixture::new().await;
    fixture.owner.execute(one()[0].clone()).await.unwrap();
    let inspection = found(&fixture).await;
    assert!(inspection.keys().is_empty() && inspection.is_complete());
}
