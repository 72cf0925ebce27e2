//! How many payments a second one key makes: one worker after another, a hundred at once that share
//! operations, and as many of ten processes on one store. Without a PostgreSQL server, or with one:
//!
//! ```sh
//! ./script/tool.sh throughput
//! ./script/postgres.sh ./script/tool.sh throughput
//! ```

use session_key_agent::{
    Agent, Sharing,
    client::{
        Call, SessionKeyClient,
        alloy::primitives::{Address, B256, U256},
        permissions::{Permissions, SpendLimit},
    },
    store::Stores,
};
use session_key_devnet::{Devnet, WithKey};
use std::{
    collections::BTreeSet,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

const SHOP: Address = Address::repeat_byte(0x77);
const PAYMENTS: usize = 100;

type Failed = Box<dyn Error + Send + Sync>;

fn agent(world: &WithKey, stores: &Stores) -> Agent {
    let account = world.account.clone().with_desk(stores.desk());
    let key = Arc::new(world.session_key.signer());
    let client = SessionKeyClient::shared(account, key, world.agent.submitter().clone());
    Agent::new(client, stores.ledger.clone()).with_sharing(Some(Sharing {
        wait: Duration::from_millis(20),
        ..Sharing::default()
    }))
}

fn pay(agent: &Agent, name: String) -> session_key_agent::Request {
    agent.execute([Call::transfer(SHOP, U256::ONE)]).id(name)
}

/// Pays with so many workers at once, and prints figures.
async fn measure(what: &str, agents: &[Agent], workers: usize) -> Result<(), Failed> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    for worker in 0..workers {
        let agent = agents[worker % agents.len()].clone();
        let what = what.to_owned();
        tasks.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for payment in 0..PAYMENTS / workers {
                let began = Instant::now();
                let included = pay(&agent, format!("{what} {worker} {payment}")).await?;
                assert!(included.success, "it was refused on the chain");
                answers.push((began.elapsed(), included.receipt.user_op_hash));
            }
            Ok::<_, Failed>(answers)
        }));
    }
    let (mut waits, mut hashes) = (Vec::new(), BTreeSet::<B256>::new());
    for task in tasks {
        for (wait, hash) in task.await?? {
            waits.push(wait);
            hashes.insert(hash);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    waits.sort_unstable();
    let [median, late] =
        [waits.len() / 2, waits.len() * 99 / 100].map(|index| waits[index.min(waits.len() - 1)]);
    println!(
        "{what}: {:.1} payments a second, {} in {} operations; median {} ms, p99 {} ms",
        waits.len() as f64 / seconds,
        waits.len(),
        hashes.len(),
        median.as_millis(),
        late.as_millis(),
    );
    Ok(())
}

async fn world() -> Result<WithKey, Failed> {
    let permissions = Permissions::new()
        .contract(SHOP)
        .native_token_spend_limit(SpendLimit::per(U256::from(1_000_000), 86_400));
    Ok(Devnet::with_key(&permissions).await?)
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let world_of = world().await?;
    let one = [agent(&world_of, &Stores::memory())];
    measure("memory, 1 worker", &one, 1).await?;
    measure("memory, 100 workers", &one, 100).await?;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("agent.db");
    let world_of = world().await?;
    let mut agents = Vec::new();
    for _ in 0..10 {
        agents.push(agent(&world_of, &Stores::sqlite(&path).await?));
    }
    measure("SQLite, 1 worker", &agents[..1], 1).await?;
    measure("SQLite, 100 workers", &agents[..1], 100).await?;
    measure("SQLite, 100 workers of 10 processes", &agents, 100).await?;

    #[cfg(feature = "postgres")]
    {
        use session_key_agent::store::PostgresOptions;

        let Ok(connection) = std::env::var("SESSION_KEY_TEST_POSTGRES") else {
            println!("PostgreSQL: run it by ./script/postgres.sh");
            return Ok(());
        };
        let world_of = world().await?;
        let mut agents = Vec::new();
        for _ in 0..10 {
            let options = PostgresOptions::new(&connection)?.schema("throughput");
            agents.push(agent(&world_of, &Stores::postgres(options).await?));
        }
        measure("PostgreSQL, 1 worker", &agents[..1], 1).await?;
        measure("PostgreSQL, 100 workers", &agents[..1], 100).await?;
        measure("PostgreSQL, 100 workers of 10 processes", &agents, 100).await?;
    }
    Ok(())
}
