//! A chain with an account, and agents on its key.

use session_key_agent::{
    Agent, AgentError,
    client::{
        Call, SessionKeyClient,
        alloy::primitives::{Address, B256, U256},
        operation::{Included, Machine, Surroundings},
        permissions::{Permissions, SpendLimit},
    },
    store::Stores,
};
use session_key_devnet::{Devnet, WithKey};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) const SHOP: Address = Address::repeat_byte(0x77);

/// A key that may send the shop so much wei in a hundred thousand seconds.
pub(crate) async fn world(limit: u64) -> WithKey {
    let permissions = Permissions::new()
        .contract(SHOP)
        .native_token_spend_limit(SpendLimit::per(U256::from(limit), 100_000));
    Devnet::with_key(&permissions).await.unwrap()
}

/// An agent of a process that starts now.
pub(crate) fn agent(world: &WithKey, stores: &Stores) -> Agent {
    let account = world.account.clone().with_desk(stores.desk());
    let signer = Arc::new(world.session_key.signer());
    let client = SessionKeyClient::shared(account, signer, world.agent.submitter().clone());
    Agent::new(client, stores.ledger.clone())
}

pub(crate) fn pay(amount: u64) -> [Call; 1] {
    [Call::transfer(SHOP, U256::from(amount))]
}

pub(crate) fn balance(world: &WithKey) -> U256 {
    world.devnet.testkit().chain().balance(SHOP)
}

pub(crate) type Answers = (Vec<Included>, Vec<AgentError>);

/// As many workers pay at once.
pub(crate) async fn workers(agents: &[Agent], count: usize, amount: u64) -> Answers {
    let tasks: Vec<_> = (0..count)
        .map(|number| tokio::spawn(agents[number % agents.len()].execute(pay(amount)).into_future()))
        .collect();
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Ok(included) => served.push(included),
            Err(error) => refused.push(error),
        }
    }
    (served, refused)
}

pub(crate) fn operations(included: &[Included]) -> usize {
    let hashes: BTreeSet<B256> = included
        .iter()
        .map(|included| included.receipt.user_op_hash)
        .collect();
    hashes.len()
}

/// A clock that the test sets, in milliseconds, and the machine's randomness.
#[derive(Debug)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn at(millis: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(millis)))
    }

    pub(crate) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Surroundings for Clock {
    fn unix_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        Machine.fill_random(bytes);
    }
}
