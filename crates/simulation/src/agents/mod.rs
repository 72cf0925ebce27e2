//! Histories over agents: the processes of one key share a journal, a ledger, and rules of their own.

mod judge;
mod ledger;

pub(crate) use judge::judge;
pub(crate) use ledger::SimLedger;

use crate::{
    dice::Dice,
    plan::{Event, Follow, Plan, ProcessPlan, Role, What},
    prepared::{KeyKind, NATIVE_BUDGET, TOKEN_BUDGET},
};
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use session_key_agent::{
    Agent, Sharing,
    ledger::Ledger,
    rules::{AgentRules, Asset, Window},
};
use session_key_client::{
    SessionKeyClient,
    operation::{AfterRevert, Surroundings},
};
use std::sync::Arc;
use tokio::time::Duration;

/// By how much the clock of an agent may be wrong, in milliseconds. Windows are as exact as clocks.
const WRONG_CLOCK: i64 = 1_000;
/// A length that no history reaches, in seconds.
const FOREVER: u64 = 365 * 86_400;

/// A rolling window of the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowPlan {
    /// The most.
    pub most: u64,
    /// The length, in seconds.
    pub seconds: u64,
}

/// The agents of a history: all processes of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentsPlan {
    /// Whose agents they are.
    pub role: Role,
    /// The most wei.
    pub native: WindowPlan,
    /// The most base units of the token.
    pub token: WindowPlan,
    /// The most calls.
    pub calls: Option<WindowPlan>,
    /// The most wei for each recipient.
    pub per_recipient: Option<WindowPlan>,
    /// The most requests in one operation, and how long the first waits for others, in milliseconds.
    pub sharing: Option<(u8, u16)>,
}

impl AgentsPlan {
    fn draw(role: Role, dice: &mut Dice) -> Self {
        // At least one payment fits: see `Caller::calls`.
        let mut money = || {
            let most = *dice.pick(&[6_000, 11_000, 17_000, 30_000]);
            let seconds = if most < 10_000 {
                *dice.pick(&[8, 15])
            } else {
                *dice.pick(&[10, 20, 40])
            };
            WindowPlan { most, seconds }
        };
        let (native, token, recipient) = (money(), money(), money());
        Self {
            role,
            native,
            token,
            calls: dice.chance(400).then(|| WindowPlan {
                most: dice.between(3, 6),
                seconds: *dice.pick(&[10, 20]),
            }),
            per_recipient: dice.chance(400).then_some(recipient),
            sharing: dice
                .chance(700)
                .then(|| (dice.between(2, 16) as u8, *dice.pick(&[0, 0, 50, 1_000]))),
        }
    }

    /// Whether a process is one of the agents.
    pub(crate) fn has(&self, process: &ProcessPlan) -> bool {
        process.role == self.role
    }

    /// The agents' rules. One window is so long that it counts everything.
    pub(crate) fn rules(&self, token: Address) -> AgentRules {
        let window = |asset, plan: WindowPlan, per_recipient| Window {
            asset,
            most: U256::from(plan.most),
            seconds: plan.seconds,
            per_recipient,
        };
        let everything = |asset| Window {
            asset,
            most: U256::MAX,
            seconds: FOREVER,
            per_recipient: false,
        };
        let (native, token) = (Asset::Native, Asset::Token(token));
        let mut windows: Vec<Window> = vec![
            window(native, self.native, false),
            window(token, self.token, false),
            everything(native),
            everything(token),
        ];
        windows.extend(self.calls.map(|plan| window(Asset::Calls, plan, false)));
        windows.extend(self.per_recipient.map(|plan| window(native, plan, true)));
        AgentRules {
            recipients: None,
            per_call: [
                (native, U256::from(NATIVE_BUDGET)),
                (token, U256::from(TOKEN_BUDGET)),
            ]
            .into(),
            windows: windows.into_iter().collect(),
        }
    }

    /// An agent of a process.
    pub(crate) fn agent(
        &self,
        client: SessionKeyClient,
        ledger: Arc<dyn Ledger>,
        surroundings: Arc<dyn Surroundings>,
        token: Address,
    ) -> Agent {
        let sharing = self.sharing.map(|(most, millis)| Sharing {
            most: usize::from(most),
            wait: Duration::from_millis(millis.into()),
            after_revert: AfterRevert::Alone,
        });
        Agent::new(client, ledger)
            .with_rules(self.rules(token))
            .with_sharing(sharing)
            .with_surroundings(surroundings)
    }
}

impl Plan {
    /// Makes all processes of session keys agents of one key, with one store, whose callers want what agents
    /// promise: payments, all of which fit the rules, or none.
    pub fn let_agents_send(&mut self) {
        let mut dice = Dice::keyed(self.seed, &[0xa6e7]);
        let is_key = |process: &&ProcessPlan| matches!(process.role, Role::Key { .. });
        let main = self.processes.iter().find(is_key).map(|process| process.role);
        let Role::Key { account, .. } = main.unwrap_or(Role::Key {
            account: 0,
            kind: KeyKind::Free,
        }) else {
            return;
        };
        // Whether a key is still valid is decided by blocks: what an expired one asks for is refused, and no
        // agent can know before.
        let kind = match main {
            Some(Role::Key { kind, .. }) if kind != KeyKind::Timed => kind,
            _ => KeyKind::Free,
        };
        let role = Role::Key { account, kind };
        for store in &mut self.stores {
            // What is lost may be spent again: other stores are not allowed.
            store.is_synced = true;
            store.is_file = dice.chance(250);
        }
        for (index, process) in self.processes.iter_mut().enumerate() {
            let is_agent = match process.role {
                Role::Key { .. } => true,
                // Most have two agents at least.
                Role::Owner { .. } => index <= 1 && dice.chance(700),
            };
            let transacts = |number| {
                let mut wishes = self.wishes.iter();
                wishes.any(|wish| wish.process == number && wish.what == What::Transact)
            };
            if !is_agent || transacts(process.number) {
                continue;
            }
            process.role = role;
            process.store = Some(0);
            process.clock = dice.between(0, 2 * WRONG_CLOCK as u64) as i64 - WRONG_CLOCK;
        }
        let agents: Vec<u8> = self
            .processes
            .iter()
            .filter(|process| process.role == role)
            .map(|process| process.number)
            .collect();
        self.events.retain(|plan| match plan.event {
            Event::Jump { process, .. } => !agents.contains(&process),
            _ => true,
        });
        for wish in &mut self.wishes {
            if !agents.contains(&wish.process) {
                // Nobody takes from the key what its agents count on.
                if matches!(wish.what, What::Revoke(_) | What::Rotate(_) | What::Narrow(_)) {
                    wish.what = What::Unblock(kind);
                }
                continue;
            }
            wish.lane = None;
            wish.what = match wish.what {
                What::PayToken | What::Batch | What::TooMuch if kind != KeyKind::Token => wish.what,
                What::TooMuch => What::TooMuch,
                _ if kind == KeyKind::Token => What::PayToken,
                _ => What::Pay,
            };
            wish.shares = dice.chance(700).then_some(true);
            // What has a name is exact after any crash.
            wish.is_named |= wish.borrows.is_none() && dice.chance(500);
            if wish.is_named && matches!(wish.follow, Follow::Blind(_)) {
                wish.follow = Follow::Advised;
            }
        }
        self.agents = Some(AgentsPlan::draw(role, &mut dice));
    }
}
