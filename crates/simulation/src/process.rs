//! Client processes, which start, pursue wishes, crash at any await, and restart with their journal.

use crate::{
    agents::SimLedger,
    bundler::fees_of,
    caller::{Client, pursue},
    dice::Dice,
    net::{Purpose, Wire},
    paymaster::Service,
    plan::{CrashPlan, ProcessPlan, Role, Via},
    prepared::{ACCOUNTS, key, owner, sender},
    spot::Actor,
    store::{SimJournal, Store},
    world::World,
};
use alloy::{
    network::{Ethereum, EthereumWallet},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::client::RpcClient,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use session_key_client::{
    OwnerClient, SessionKeyClient,
    journal::IntentId,
    operation::{Desk, Surroundings},
    submit::{BundlerSubmitter, EntryPointSubmitter, Submitter},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::{Context, Poll},
};
use tokio::time::{Duration, sleep, timeout};

/// The environment of a process: a clock that may be wrong and may jump, and randomness derived from the
/// seed.
#[derive(Debug)]
struct Machine {
    world: Arc<World>,
    process: u8,
    /// The error of the clock in milliseconds.
    wrong: i64,
    dice: Mutex<Dice>,
}

impl Surroundings for Machine {
    fn unix_millis(&self) -> u64 {
        let off = self.wrong + self.world.jump(self.process);
        self.world.unix_millis().saturating_add_signed(off)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.dice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill(bytes);
        // Only ids of intents and processes have this length, and ids of processes are created without a
        // wish.
        if let (Ok(id), Some(wish)) = (
            <[u8; 16]>::try_from(&*bytes),
            Purpose::current().and_then(|purpose| purpose.wish),
        ) {
            let id = IntentId(id.into());
            self.world.state().ledger.wishes.insert(id, wish);
        }
    }
}

/// A future that is dropped after a given number of polls.
struct Mortal<F> {
    life: Option<Pin<Box<F>>>,
    polls: u64,
    left: Option<u64>,
}

impl<F: Future> Mortal<F> {
    fn new(life: F, left: Option<u64>) -> Self {
        Self {
            life: Some(Box::pin(life)),
            polls: 0,
            left,
        }
    }
}

impl<F: Future> Future for Mortal<F> {
    /// `None` if it was dropped before it completed.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left.is_some_and(|left| self.polls >= left) {
            self.life = None;
            return Poll::Ready(None);
        }
        self.polls += 1;
        match &mut self.life {
            Some(life) => life.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// Runs a process, with its crashes and restarts, until all of its wishes are done.
pub(crate) async fn supervise(world: Arc<World>, plan: ProcessPlan, stores: Vec<Arc<Store>>) {
    sleep(Duration::from_millis(plan.start)).await;
    for life in 0.. {
        let store = plan
            .store
            .and_then(|store| stores.iter().find(|found| found.index == store).cloned());
        let is_inside = store.is_none();
        let store = store.unwrap_or_else(Store::inside);
        let journal = Arc::new(SimJournal::open(
            world.clone(),
            plan.number,
            store.clone(),
            is_inside,
        ));
        let has_crashed = journal.has_crashed();
        let is_its = |crash: &&CrashPlan| crash.process == plan.number && crash.life == life;
        let crash = world.plan.crashes.iter().find(is_its).copied();
        world.say(format!("process {} starts", plan.number));
        let is_agent = world.plan.agents.is_some_and(|agents| agents.has(&plan));
        let ledger = is_agent.then(|| Arc::new(SimLedger::open(journal.clone(), &store)));
        let life = live(world.clone(), plan, life, journal, ledger);
        let ended = Mortal::new(life, crash.map(|crash| crash.polls)).await;
        if ended.is_some() {
            break;
        }
        let Some(crash) = crash else {
            break;
        };
        has_crashed.store(true, Ordering::SeqCst);
        world.say(format!("process {} crashes", plan.number));
        world.note_crash(plan.number, is_inside);
        let mut dice = world.dice(&[0xc4a5, plan.number.into(), crash.life.into()]);
        store.crash(dice.below(8) as usize).await;
        match crash.restart {
            Some(millis) => sleep(Duration::from_millis(millis)).await,
            None => break,
        }
    }
}

pub(crate) fn provider_of(world: &Arc<World>, plan: &ProcessPlan) -> DynProvider {
    Wire::new(world.clone(), Actor::Process(plan.number), Actor::Node(plan.node)).provider()
}

fn submitter_of(world: &Arc<World>, plan: &ProcessPlan) -> Arc<dyn Submitter> {
    let entry_point = world.prepared.stack.entry_point;
    let process = Actor::Process(plan.number);
    match plan.via {
        Via::Bundler(bundler) => {
            let fees = world.plan.bundlers.get(usize::from(bundler)).and_then(fees_of);
            let wire = Wire::new(world.clone(), process, Actor::Bundler(bundler));
            let bundler = BundlerSubmitter::new(wire.provider(), entry_point);
            let bundler = if plan.number.is_multiple_of(2) {
                bundler.with_node(provider_of(world, plan))
            } else {
                bundler
            };
            match fees {
                Some(fees) => Arc::new(bundler.with_fees_from(fees)),
                None => Arc::new(bundler),
            }
        }
        Via::Direct => {
            let signer = sender(plan.number);
            let from = signer.address();
            let wire = Wire::new(world.clone(), process, Actor::Node(plan.node));
            let provider = ProviderBuilder::<_, _, Ethereum>::default()
                .wallet(EthereumWallet::from(signer))
                .connect_client(RpcClient::new(wire, true))
                .erased();
            Arc::new(EntryPointSubmitter::new(provider, entry_point, from))
        }
    }
}

/// Creates a process's client, or returns `None` if its account cannot be found.
async fn client_of(world: &Arc<World>, plan: &ProcessPlan, desk: Arc<Desk>) -> Option<Client> {
    let provider = provider_of(world, plan);
    let account = plan.role.account();
    let address = world.prepared.accounts[usize::from(account)];
    let signer = match plan.role {
        Role::Key { account, kind } => key(account, kind),
        Role::Owner { account } => owner(account),
    };
    let account = if account < ACCOUNTS {
        world.prepared.account(provider, address)
    } else {
        let mut tries = 0;
        loop {
            let found = world.prepared.founded(provider.clone(), signer.address());
            match found.await {
                Ok(account) => break account,
                Err(error) if tries < 50 => {
                    world.check_text(&format!("{error} {error:?}"));
                    tries += 1;
                    sleep(Duration::from_secs(2)).await;
                }
                Err(_) => return None,
            }
        }
    };
    let account = account.with_desk(desk);
    let signer = Arc::new(signer);
    let submitter = submitter_of(world, plan);
    let service = || Service {
        world: world.clone(),
        process: plan.number,
    };
    Some(match plan.role {
        Role::Key { .. } => {
            let client = SessionKeyClient::shared(account, signer, submitter);
            Client::Key(if plan.is_sponsored {
                client.with_paymaster(service())
            } else {
                client
            })
        }
        Role::Owner { .. } => {
            let client = OwnerClient::shared(account, signer, submitter);
            Client::Owner(if plan.is_sponsored {
                client.with_paymaster(service())
            } else {
                client
            })
        }
    })
}

/// Runs a process from a start to its end or crash.
async fn live(
    world: Arc<World>,
    plan: ProcessPlan,
    life: u8,
    journal: Arc<SimJournal>,
    ledger: Option<Arc<SimLedger>>,
) {
    let machine = Arc::new(Machine {
        world: world.clone(),
        process: plan.number,
        wrong: plan.clock,
        dice: Mutex::new(world.dice(&[0x4a2d, plan.number.into(), life.into()])),
    });
    let desk = Arc::new(Desk::with_surroundings(journal, machine.clone()));
    let Some(client) = client_of(&world, &plan, desk).await else {
        return;
    };
    let client = match (client, world.plan.agents, ledger) {
        (Client::Key(client), Some(agents), Some(ledger)) => {
            let token = world.prepared.stack.token;
            Client::Agent(agents.agent(client, ledger, machine, token))
        }
        (client, ..) => client,
    };
    if plan.resumes {
        resume(&world, &client, plan.number).await;
    }
    let started = world.now();
    let mut wishes: FuturesUnordered<_> = world
        .plan
        .wishes_of(plan.number)
        .map(|wish| pursue(world.clone(), client.clone(), plan, *wish, started))
        .collect();
    let wait = async { while wishes.next().await.is_some() {} };
    if plan.watches {
        world.state().counts.outcome("asked for", "watch");
        let watch = Purpose::new(None).scope(client.watch(Duration::from_secs(10)));
        tokio::select! {
            biased;
            () = wait => {}
            () = watch => {}
        }
    } else {
        wait.await;
    }
    // While reorganizations are possible, included operations are checked again.
    while plan.resumes && !world.is_calm() {
        sleep(Duration::from_secs(15)).await;
        resume(&world, &client, plan.number).await;
    }
}

/// Settles open intents and records the reported outcomes.
pub(crate) async fn resume(world: &Arc<World>, client: &Client, process: u8) {
    let limit = Duration::from_secs(120);
    let resumed = timeout(limit, Purpose::new(None).scope(client.resume())).await;
    match resumed {
        Ok(Ok(records)) => {
            let mut state = world.state();
            for record in &records {
                state.ledger.told_record(record, "resume");
                let kind = crate::caller::outcome_name(&record.outcome());
                state.counts.outcome("resumed", kind);
            }
        }
        Ok(Err(error)) => {
            world.check_text(&format!("{error} {error:?}"));
            world.state().counts.outcome("resume failed", error.code());
        }
        Err(_) => world.say(format!("process {process} gives up resuming")),
    }
}
