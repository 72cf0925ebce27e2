//! What must hold of agents at the end of a history.

use super::{AgentsPlan, WRONG_CLOCK};
use crate::{
    caller::Belief,
    history::{Afterwards, auditor, executed},
    ledger::{Check, Executed},
    plan::{Follow, Role, What},
    store::{SimJournal, Store},
    world::World,
};
use alloy::primitives::{B256, U256};
use session_key_agent::rules::{Asset, Use, Window};
use session_key_client::{
    Call, journal::Journal, operation::Outcome, permissions::model::decode_execute_with_session_key,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An operation of the agents that took effect.
#[derive(Debug)]
struct Effect {
    hash: B256,
    /// When it was in a block first, in milliseconds since the history began.
    at: u64,
    calls: Vec<Call>,
}

/// Settles what is left, and compares the ledger with the chain.
pub(crate) async fn judge(world: &Arc<World>, stores: &[Arc<Store>]) {
    let (Some(plan), Some(store)) = (world.plan.agents, stores.first()) else {
        return;
    };
    let effects = effects(world, &plan);
    check_windows(world, &plan, &effects);
    check_reservations(world, &plan, store, &effects).await;
    count_served(world, &plan);
}

/// What the agents have done. Nothing that they send reverts.
fn effects(world: &World, plan: &AgentsPlan) -> Vec<Effect> {
    let agents: BTreeSet<u8> = world
        .plan
        .processes
        .iter()
        .filter(|process| plan.has(process))
        .map(|process| process.number)
        .collect();
    let mut effects = Vec::new();
    let executed: BTreeMap<B256, (B256, Executed)> = executed(world);
    let mut reverted = Vec::new();
    {
        let state = world.state();
        for (hash, (_, executed)) in executed {
            let Some(facts) = state.ledger.operations.get(&hash) else {
                continue;
            };
            let Ok((calls, _)) = decode_execute_with_session_key(&facts.signed.operation.call_data) else {
                continue;
            };
            if !agents.contains(&facts.process) {
                continue;
            }
            if executed.success {
                let at = state.first_seen.get(&hash).copied().unwrap_or_default();
                effects.push(Effect { hash, at, calls });
            } else {
                reverted.push(hash);
            }
        }
    }
    for hash in reverted {
        let text = format!("operation {hash} of an agent was refused on the chain");
        world.violate(Check::OnChain, text);
    }
    effects.sort_by_key(|effect| (effect.at, effect.hash));
    let count = effects.len();
    let mut state = world.state();
    for _ in 0..count {
        state.counts.outcome("agents", "operations");
    }
    effects
}

/// What a call uses, counted here and not by the agent.
fn used(call: &Call, used: &Use) -> U256 {
    // A transfer of a token has the recipient and the amount in its data; a payment has none.
    let words = (call.data.get(16..36), call.data.get(36..68));
    let recipient = match words {
        (Some(to), Some(_)) => alloy::primitives::Address::from_slice(to),
        _ => call.target,
    };
    let is_for = |recipient| used.recipient.is_none_or(|only| only == recipient);
    match used.asset {
        Asset::Calls if is_for(recipient) => U256::ONE,
        Asset::Native if is_for(call.target) => call.value,
        Asset::Token(token) if token == call.target && is_for(recipient) => {
            words.1.map(U256::from_be_slice).unwrap_or_default()
        }
        _ => U256::ZERO,
    }
}

fn sum<'e>(effects: impl IntoIterator<Item = &'e Effect>, of: &Use) -> U256 {
    let calls = effects.into_iter().flat_map(|effect| &effect.calls);
    calls.fold(U256::ZERO, |sum, call| sum.saturating_add(used(call, of)))
}

/// Within no period of a window's length, less than what clocks may be wrong, more happened for the first
/// time than it allows.
fn check_windows(world: &World, plan: &AgentsPlan, effects: &[Effect]) {
    let rules = plan.rules(world.prepared.stack.token);
    let recipients: BTreeSet<_> = effects
        .iter()
        .flat_map(|effect| &effect.calls)
        .map(|call| call.target)
        .collect();
    for window in &rules.windows {
        let Window { asset, most, .. } = *window;
        let uses: Vec<Use> = if window.per_recipient {
            let of = |recipient: &_| Use {
                asset,
                recipient: Some(*recipient),
            };
            recipients.iter().map(of).collect()
        } else {
            let recipient = None;
            vec![Use { asset, recipient }]
        };
        let length = window.seconds.saturating_mul(1_000) - 2 * WRONG_CLOCK as u64;
        for of in uses {
            for (index, first) in effects.iter().enumerate() {
                let until = first.at.saturating_add(length);
                let within: Vec<&Effect> = effects[index..]
                    .iter()
                    .take_while(|effect| effect.at < until)
                    .collect();
                let total = sum(within.iter().copied(), &of);
                if total > most {
                    let hashes: Vec<(u64, B256)> =
                        within.iter().map(|effect| (effect.at, effect.hash)).collect();
                    let text = format!(
                        "{total} of {of:?} within {} s, and {most} are allowed: {hashes:?}",
                        window.seconds
                    );
                    world.violate(Check::Window, text);
                    break;
                }
            }
        }
    }
}

/// Every reservation is decided, and nothing that happened is forgotten.
async fn check_reservations(world: &Arc<World>, plan: &AgentsPlan, store: &Arc<Store>, effects: &[Effect]) {
    let Role::Key { account, kind } = plan.role else {
        return;
    };
    let journal = Arc::new(SimJournal::open(world.clone(), u8::MAX, store.clone(), true));
    let shared: Arc<dyn Journal> = journal;
    let client = auditor(world, shared, usize::from(account), kind);
    let token = world.prepared.stack.token;
    // Long after every time limit.
    let agent = plan.agent(
        client,
        store.kept_ledger(),
        Arc::new(Afterwards::new(world)),
        token,
    );
    let settled = async {
        agent.resume().await?;
        agent.reconcile().await
    };
    let mut is_exact = is_exact(world, plan);
    match settled.await {
        Ok(undecided) => {
            for reservation in undecided {
                let record = agent.client().intent(reservation.intent).await;
                let outcome = record.ok().flatten().map(|record| record.outcome());
                // What nobody ever received can be included as long as nothing else has its nonce.
                if matches!(outcome, Some(Outcome::Open(_))) {
                    is_exact = false;
                    world
                        .state()
                        .counts
                        .outcome("agents", "reserved for what is open");
                } else {
                    let text = format!("{reservation:?} is not decided in the end, after {outcome:?}");
                    world.violate(Check::Reservations, text);
                }
            }
        }
        Err(error) => world.violate(Check::Reservations, format!("the audit fails: {error}")),
    }
    let windows = agent.windows(&[]).await.unwrap_or_default();
    for counted in windows.iter().filter(|counted| counted.window.most == U256::MAX) {
        let asset = counted.window.asset;
        let happened = sum(
            effects,
            &Use {
                asset,
                recipient: None,
            },
        );
        let is_right = if is_exact {
            counted.used == happened
        } else {
            counted.used >= happened
        };
        if !is_right {
            let text = format!(
                "the ledger counts {} of {asset:?}, and {happened} happened{}",
                counted.used,
                if is_exact { ", which it can know" } else { "" }
            );
            world.violate(Check::Reservations, text);
        }
        let how = match (is_exact, counted.used == happened) {
            (true, _) => "counted exactly, as required",
            (false, true) => "counted exactly",
            (false, false) => "counted for more than happened",
        };
        world.state().counts.outcome("agents", how);
    }
}

/// Whether the ledger has to count exactly what happened: names tell it what became of everything, and
/// nothing is undone.
fn is_exact(world: &World, plan: &AgentsPlan) -> bool {
    let agents = |process: u8| {
        let mut processes = world.plan.processes.iter();
        processes.any(|found| found.number == process && plan.has(found))
    };
    let mut wishes = world.plan.wishes.iter().filter(|wish| agents(wish.process));
    let is_undone = world.state().reorganizations > 0;
    !is_undone && wishes.all(|wish| wish.is_named && wish.borrows.is_none())
}

/// Counts what became of the wishes of those who go on asking.
fn count_served(world: &World, plan: &AgentsPlan) {
    let wishes = world.state().wishes.clone();
    for wish in &world.plan.wishes {
        let mut processes = world.plan.processes.iter();
        let is_its = processes.any(|process| process.number == wish.process && plan.has(process));
        let goes_on = !matches!(wish.follow, Follow::Once | Follow::Blind(_));
        let Some(known) = wishes.get(&wish.number).filter(|_| is_its && goes_on) else {
            continue;
        };
        let how = match known.belief {
            Belief::Yes => "served",
            Belief::No if wish.what == What::TooMuch => "refused, as more than a call may move",
            Belief::No => "told that it will not happen",
            _ => "not known",
        };
        world.state().counts.outcome("agents", how);
    }
}
