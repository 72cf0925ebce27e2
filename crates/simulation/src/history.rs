//! Runs one history, from its first block to the final checks.

use crate::{
    agents,
    bundler::Bundler,
    caller::{Belief, outcome_name},
    fault::{Faults, Rates},
    ledger::{Check, Executed, Violation},
    net::Wire,
    plan::{Follow, Plan, Role, What},
    prepared::{CHAIN_ID, KeyKind, bundler_account, key},
    process::supervise,
    spot::Actor,
    store::{SimJournal, Store},
    table::Counts,
    trace::Line,
    world::World,
};
use alloy::{
    primitives::{Address, B256, TxKind, U256},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use session_key_bindings::ISessionKeyPlugin;
use session_key_client::{
    Call, SessionKeyClient, SignedOperation, calldata,
    journal::{IntentRecord, Journal, Lane, MemoryJournal},
    operation::{Desk, Surroundings},
    permissions::model::decode_execute_with_session_key,
    submit::BundlerSubmitter,
};
use session_key_testkit::TestToken;
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep_until, timeout},
};

/// The result of a history.
#[derive(Clone, Debug)]
pub struct History {
    /// The checks that failed.
    pub violations: Vec<Violation>,
    /// The trace, if it was requested.
    pub lines: Vec<Line>,
    /// A hash of the complete trace.
    pub hash: u64,
    /// Faults by step, and outcomes.
    pub counts: Counts,
    /// Faults of messages and stores, in order.
    pub faults: Vec<(crate::spot::Spot, crate::fault::Fault)>,
    /// The number of faults of all kinds.
    pub misfortunes: u64,
    /// The duration in simulated time.
    pub took: Duration,
}

/// Runs a history. If it has fewer than two faults, it is run again with earlier faults.
pub fn run(plan: &Plan, keeps_lines: bool) -> History {
    let history = run_once(plan, keeps_lines);
    let Faults::Drawn(rates) = plan.faults else {
        return history;
    };
    if history.misfortunes >= 2 || rates.early {
        return history;
    }
    let faults = Faults::Drawn(Rates { early: true, ..rates });
    let plan = Plan {
        faults,
        ..plan.clone()
    };
    run_once(&plan, keeps_lines)
}

fn run_once(plan: &Plan, keeps_lines: bool) -> History {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread can be made");
        runtime.block_on(live(plan.clone(), keeps_lines))
    }));
    ended.unwrap_or_else(|panic| History {
        violations: vec![Violation {
            check: Check::Panic,
            text: crate::panics::last().unwrap_or_else(|| {
                panic
                    .downcast_ref::<&str>()
                    .map_or_else(|| "of an unknown kind".to_owned(), |text| (*text).to_owned())
            }),
        }],
        lines: Vec::new(),
        hash: 0,
        counts: Counts::default(),
        faults: Vec::new(),
        misfortunes: 2,
        took: Duration::ZERO,
    })
}

/// The maximum duration of a history in simulated time.
const LONGEST: Duration = Duration::from_secs(3_600);

async fn live(plan: Plan, keeps_lines: bool) -> History {
    let world = World::new(plan, keeps_lines);
    let stores: Vec<Arc<Store>> = world
        .plan
        .stores
        .iter()
        .enumerate()
        .map(|(index, plan)| Store::new(index as u8, *plan))
        .collect();
    let mut background = JoinSet::new();
    background.spawn(world.clone().produce_blocks());
    background.spawn(world.clone().let_events_happen());
    for bundler in 0..world.bundlers.len() as u8 {
        background.spawn(Bundler::work(world.clone(), bundler));
    }
    background.spawn({
        let world = world.clone();
        let calm_at = Instant::now() + Duration::from_millis(world.plan.calm_at);
        async move {
            sleep_until(calm_at).await;
            world.calm();
        }
    });
    let mut processes = JoinSet::new();
    for process in &world.plan.processes {
        processes.spawn(supervise(world.clone(), *process, stores.clone()));
    }
    let ended = timeout(LONGEST, async {
        while let Some(ended) = processes.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                let text = crate::panics::last().unwrap_or_default();
                world.violate(Check::Panic, text);
            }
        }
    })
    .await;
    if ended.is_err() {
        world.violate(
            Check::Decided,
            format!("a process is still running after {LONGEST:?}"),
        );
    }
    let took = Duration::from_millis(world.now());
    world.end();
    background.abort_all();
    drop(processes);
    judge(&world, &stores).await;
    let mut state = world.state();
    let misfortunes = u64::from(state.misfortunes) + state.fates.happened.len() as u64;
    state.counts.outcome(
        "faults of a history",
        match misfortunes {
            0 => "0",
            1 => "1",
            2..10 => "2 to 9",
            10..100 => "10 to 99",
            _ => "100 or more",
        },
    );
    // After a crash before the first messages, nothing else can fail.
    let has_messages = state.fates.messages() >= 2;
    if misfortunes < 2 && has_messages && matches!(world.plan.faults, Faults::Drawn(_)) {
        let text = format!("only {misfortunes} faults in a history");
        state.ledger.violate(Check::History, text);
    }
    History {
        violations: state.ledger.violations.clone(),
        lines: std::mem::take(&mut state.trace.lines),
        hash: state.trace.hash(),
        counts: state.counts.clone(),
        faults: state.fates.happened.clone(),
        misfortunes,
        took,
    }
}

/// Delivers everything in flight, waits for finality, and compares the reported outcomes with the chain.
async fn judge(world: &Arc<World>, stores: &[Arc<Store>]) {
    world.say("in the end, everything is delivered");
    world.mine_many(1);
    deliver_everything(world);
    let depth = world.plan.chain.final_distance + 3;
    world.mine_many(depth);
    for store in stores {
        audit(world, store, false).await;
    }
    world.mine_many(depth);
    for store in stores {
        audit(world, store, true).await;
    }
    for store in stores {
        check_budgets(world, store).await;
    }
    let executed = executed(world);
    world.state().ledger.check_claims(&executed);
    check_wishes(world, &executed);
    check_ended(world, &executed);
    agents::judge(world, stores).await;
    check_revoked(world, &executed);
    world.check_kept_transactions();
}

/// Returns the executed operations on the canonical chain, by hash, each with its block's hash.
pub(crate) fn executed(world: &World) -> BTreeMap<B256, (B256, Executed)> {
    let places: Vec<(B256, u64, Executed)> = world
        .state()
        .executed
        .iter()
        .map(|(hash, (number, _, executed))| (*hash, *number, executed.clone()))
        .collect();
    let chain = world.main.chain();
    places
        .into_iter()
        .filter_map(|(hash, number, executed)| {
            let block = chain.block_at(alloy::eips::BlockId::number(number))?;
            Some((hash, (block.header.hash, executed)))
        })
        .collect()
}

/// Includes every transaction and operation that was ever received, as soon as that is possible.
fn deliver_everything(world: &World) {
    let transactions: Vec<_> = world.state().transactions.values().cloned().collect();
    for transaction in transactions {
        let _ = world.main.chain().submit_raw(&transaction);
    }
    world.mine_many(2);
    let entry_point = world.prepared.stack.entry_point;
    let from = bundler_account(3).address;
    loop {
        let mut open: Vec<SignedOperation> = {
            let state = world.state();
            state
                .ledger
                .operations
                .iter()
                .filter(|(hash, facts)| facts.arrived.is_some() && !state.executed.contains_key(*hash))
                .map(|(_, facts)| facts.signed.clone())
                .collect()
        };
        open.sort_by_key(|signed| (signed.operation.sender, signed.operation.nonce, signed.hash));
        let mut has_changed = false;
        for signed in open {
            let call = calldata::handle_op(signed.operation, from);
            let request = TransactionRequest {
                from: Some(from),
                to: Some(TxKind::Call(entry_point)),
                input: call.into(),
                gas: Some(20_000_000),
                ..Default::default()
            };
            if world.main.chain().call(&request).is_err() {
                continue;
            }
            let sent = world.main.chain().send(request);
            if sent.is_ok() {
                world.note_newest();
                has_changed = true;
            }
        }
        if !has_changed {
            return;
        }
    }
}

/// The auditor's clock, long after every time limit, and its randomness.
#[derive(Debug)]
pub(crate) struct Afterwards {
    world: Arc<World>,
    dice: Mutex<crate::dice::Dice>,
}

impl Afterwards {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            dice: Mutex::new(world.dice(&[0xa0d1])),
        }
    }
}

impl Surroundings for Afterwards {
    fn unix_millis(&self) -> u64 {
        self.world.unix_millis() + 10 * 86_400_000
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(bytes);
    }
}

/// Creates a client that settles the intents in a store, with a reliable node.
pub(crate) fn auditor(
    world: &Arc<World>,
    journal: Arc<dyn Journal>,
    account: usize,
    kind: KeyKind,
) -> SessionKeyClient {
    let desk = Arc::new(Desk::with_surroundings(journal, Arc::new(Afterwards::new(world))));
    let nobody = Actor::Process(u8::MAX);
    let node = Wire::reliable(world.clone(), nobody, Actor::Node(u8::MAX)).provider();
    let bundler = Wire::reliable(world.clone(), nobody, Actor::Bundler(0)).provider();
    let prepared = world.prepared;
    let address: Address = prepared.accounts[account];
    let signer = key(account as u8, kind);
    let account = prepared.account(node, address).with_desk(desk);
    let submitter = BundlerSubmitter::new(bundler, prepared.stack.entry_point);
    SessionKeyClient::shared(account, Arc::new(signer), Arc::new(submitter))
}

/// Settles the intents in a store and checks their outcomes.
async fn audit(world: &Arc<World>, store: &Arc<Store>, is_last: bool) {
    let journal: Arc<dyn Journal> = Arc::new(SimJournal::open(world.clone(), u8::MAX, store.clone(), true));
    let executed = executed(world);
    for (index, account) in world.prepared.accounts.iter().enumerate() {
        let client = auditor(world, journal.clone(), index, KeyKind::Free);
        let resumed = timeout(Duration::from_secs(600), client.resume()).await;
        let records: Vec<IntentRecord> = match resumed {
            Ok(Ok(_)) => journal.intents(CHAIN_ID, *account).await.unwrap_or_default(),
            Ok(Err(error)) => {
                world.violate(
                    Check::Settled,
                    format!("the audit cannot settle the journal: {error}"),
                );
                continue;
            }
            Err(_) => {
                world.violate(Check::TimeLimit, "the audit does not end");
                continue;
            }
        };
        for record in &records {
            let lane = record.lane;
            let next = world.next_nonce(lane.account, lane.nonce_key);
            let mut state = world.state();
            state.ledger.told_record(record, "the audit");
            if is_last {
                state.ledger.check_settled(record, &executed, next);
                state
                    .counts
                    .outcome("in the end", outcome_name(&record.outcome()));
            }
        }
    }
}

/// Checks the remaining budgets of keys: the limit on the chain minus the amounts of open operations in the
/// journal.
async fn check_budgets(world: &Arc<World>, store: &Arc<Store>) {
    let roles: BTreeSet<Role> = world.plan.processes.iter().map(|process| process.role).collect();
    for role in roles {
        let Role::Key { account, kind } = role else {
            continue;
        };
        let journal: Arc<dyn Journal> =
            Arc::new(SimJournal::open(world.clone(), u8::MAX, store.clone(), true));
        let address = world.prepared.accounts[usize::from(account)];
        let session_key = key(account, kind).address();
        let records = journal.intents(CHAIN_ID, address).await.unwrap_or_default();
        let (token, somebody) = (world.prepared.stack.token, Address::repeat_byte(0x99));
        let calls = || {
            [match kind {
                KeyKind::Token => Call::new(
                    token,
                    TestToken::transferCall {
                        to: somebody,
                        amount: U256::ONE,
                    }
                    .abi_encode(),
                ),
                _ => Call::transfer(somebody, U256::ONE),
            }]
        };
        let with = auditor(world, journal, usize::from(account), kind);
        let without = auditor(world, Arc::new(MemoryJournal::new()), usize::from(account), kind);
        let (Ok(with), Ok(without)) = (with.check(calls()).await, without.check(calls()).await) else {
            // The key was removed.
            continue;
        };
        // Operations with the same nonce exclude each other: the largest amount counts.
        let mut native: BTreeMap<(Lane, U256), U256> = BTreeMap::new();
        let (mut gas, mut tokens) = (native.clone(), native.clone());
        for record in records.iter().filter(|record| record.signer == session_key) {
            // Operations at the next nonce exclude the checked one; earlier nonces are used.
            let lane = record.lane;
            let is_own = lane.nonce_key == world.prepared.generation.session_key_nonce_key(session_key);
            let next = world.next_nonce(lane.account, lane.nonce_key);
            let counts = |nonce: U256| nonce > next || nonce == next && !is_own;
            for operation in record
                .open_operations()
                .filter(|operation| counts(operation.nonce()))
            {
                let signed = &operation.signed.operation;
                let Ok((calls, _)) = decode_execute_with_session_key(&signed.call_data) else {
                    continue;
                };
                let place = (record.lane, operation.nonce());
                let value = calls.iter().fold(U256::ZERO, |sum, call| sum + call.value);
                let of_native = native.entry(place).or_default();
                *of_native = (*of_native).max(value);
                let transfers = calls.iter().filter(|call| call.target == token);
                let amount = transfers
                    .filter_map(|call| TestToken::transferCall::abi_decode(&call.data).ok())
                    .fold(U256::ZERO, |sum, call| sum.saturating_add(call.amount));
                let of_token = tokens.entry(place).or_default();
                *of_token = (*of_token).max(amount);
                let of_gas = gas.entry(place).or_default();
                *of_gas = (*of_gas).max(signed.max_cost().unwrap_or(U256::MAX));
            }
        }
        for (what, with, without, reserved) in [
            ("native", &with.budgets.native, &without.budgets.native, native),
            ("gas", &with.budgets.gas, &without.budgets.gas, gas),
            (
                "token",
                &with.budgets.erc20.get(&token).cloned(),
                &without.budgets.erc20.get(&token).cloned(),
                tokens,
            ),
        ] {
            let reserved = reserved
                .values()
                .fold(U256::ZERO, |sum, part| sum.saturating_add(*part));
            let expected = without
                .as_ref()
                .map(|budget| budget.remaining.saturating_sub(reserved));
            let found = with.as_ref().map(|budget| budget.remaining);
            if found != expected {
                world.violate(
                    Check::Budget,
                    format!(
                        "the {what} budget of {role:?} has {found:?} left with {reserved} reserved in {}, instead of {expected:?}",
                        store.index
                    ),
                );
            }
        }
    }
}

/// Checks that the callers' beliefs about their wishes are true.
fn check_wishes(world: &World, executed: &BTreeMap<B256, (B256, Executed)>) {
    let wishes = world.state().wishes.clone();
    for wish in &world.plan.wishes {
        let Some(known) = wishes.get(&wish.number) else {
            continue;
        };
        let intents = world.state().ledger.intents_of(wish.number);
        let hashes: Vec<B256> = {
            let state = world.state();
            intents
                .iter()
                .flat_map(|(intent, _)| state.ledger.hashes_of(*intent).collect::<Vec<_>>())
                .collect()
        };
        let effects: Vec<B256> = hashes
            .iter()
            .filter(|hash| executed.get(*hash).is_some_and(|(_, executed)| executed.success))
            .copied()
            .collect();
        // After the journal is lost, an unnamed repetition is a new intent. Unblocking again always is.
        let takes_away = matches!(
            wish.what,
            What::Revoke(_) | What::Rotate(_) | What::Narrow(_) | What::Widen(_)
        );
        let is_exempt = matches!(wish.what, What::Unblock(_))
            // An attempt received the answer and crashed. Only a name identifies the next attempt as a
            // repetition.
            || known.has_lost_answer && !wish.is_named && wish.borrows.is_none()
            // Each repetition has its own lane, so it can take effect again.
            || takes_away && matches!(wish.follow, Follow::Blind(_))
            // Equal unnamed wishes cannot be told apart.
            || wish.twin != wish.number && matches!(wish.follow, Follow::Blind(_))
            // An unnamed repetition gets the next nonce once the first is used, even if a reorganization
            // undoes that use.
            || world.state().reorganizations > 0 && matches!(wish.follow, Follow::Blind(_))
            || known.has_lost_journal
                && (wish.is_named || wish.borrows.is_some() || matches!(wish.follow, Follow::Blind(_)));
        if effects.len() > 1 && !is_exempt {
            world.violate(
                Check::AtMostOnce,
                format!(
                    "wish {} took effect in several operations: {effects:?}",
                    wish.number
                ),
            );
        }
        let is_wrong = match known.belief {
            Belief::No => !effects.is_empty(),
            _ => false,
        };
        if is_wrong && !is_exempt {
            world.violate(
                Check::NeverHappens,
                format!(
                    "the caller of wish {} believes {:?}, after {:?}, but {effects:?} took effect",
                    wish.number, known.belief, known.last
                ),
            );
        }
        let belief = match &known.belief {
            Belief::Blocked(code) => format!("blocked: {code}"),
            other => format!("{other:?}"),
        };
        world.state().counts.outcome("believed", belief);
    }
}

/// Checks that removed keys no longer exist.
fn check_revoked(world: &World, executed: &BTreeMap<B256, (B256, Executed)>) {
    for wish in &world.plan.wishes {
        let (What::Revoke(kind) | What::Rotate(kind)) = wish.what else {
            continue;
        };
        let mut processes = world.plan.processes.iter();
        let Some(process) = processes.find(|process| process.number == wish.process) else {
            continue;
        };
        let has_happened = {
            let state = world.state();
            let intents = state.ledger.intents_of(wish.number);
            let mut hashes = intents
                .iter()
                .flat_map(|(intent, _)| state.ledger.hashes_of(*intent));
            hashes.any(|hash| executed.get(&hash).is_some_and(|(_, executed)| executed.success))
        };
        let account = process.role.account();
        let session_key = key(account, kind).address();
        let call = ISessionKeyPlugin::isSessionKeyOfCall {
            account: world.prepared.accounts[usize::from(account)],
            sessionKey: session_key,
        };
        let plugin = world.prepared.stack.session_key_plugin;
        let is_there = world.main.chain().read(plugin, plugin, &call).unwrap_or_default();
        if has_happened && is_there {
            world.violate(
                Check::Revoked,
                format!("wish {} removed {session_key}, which still exists", wish.number),
            );
        }
    }
}

/// Checks that operations ended by an unblocking operation are never included, unless there was a
/// reorganization.
fn check_ended(world: &World, executed: &BTreeMap<B256, (B256, Executed)>) {
    if world.state().reorganizations > 0 {
        return;
    }
    let ended = world.state().ended.clone();
    for (by, hashes) in ended {
        if !executed.contains_key(&by) {
            continue;
        }
        for hash in hashes.iter().filter(|hash| executed.contains_key(*hash)) {
            world.violate(
                Check::NeverHappens,
                format!("{hash} is included although {by} was reported to have ended it"),
            );
        }
    }
}
