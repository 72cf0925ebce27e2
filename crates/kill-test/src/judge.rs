//! Starts and kills workers, then counts the payments that were doubled or lost.

use crate::worker::{Phase, Work, agent, sender, session_key, stores};
use alloy::{
    network::{EthereumWallet, TransactionBuilder as _},
    primitives::{Address, B256, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{client::RpcClient, types::TransactionRequest},
};
use eyre::{OptionExt as _, Result, ensure, eyre};
use rand::Rng as _;
use session_key_client::{
    Deployment, NewSessionKey, OwnerClient, SmartAccount,
    deployment::account_init_code_hash,
    operation::{Bounds, Machine, Outcome, Surroundings},
    permissions::{AccessControlType, Permissions, SpendLimit},
    submit::EntryPointSubmitter,
    transport::HttpTransport,
};
use session_key_testkit::{Stack, dev_accounts};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// The number of concurrent workers, each with its own key and lane. A killed worker holds its lane until the
/// lease expires, so most workers are waiting at any time.
const WORKERS: u64 = 24;
/// The time a restarted worker has to settle and pay.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

fn provider(rpc_url: &str) -> Result<DynProvider> {
    let funder = dev_accounts()[0].signer();
    Ok(ProviderBuilder::new()
        .wallet(EthereumWallet::from(funder))
        .connect_client(RpcClient::new(HttpTransport::new(rpc_url)?, true))
        .erased())
}

async fn send(node: &DynProvider, transaction: TransactionRequest) -> Result<()> {
    let receipt = node.send_transaction(transaction).await?.get_receipt().await?;
    ensure!(
        receipt.status(),
        "transaction {} failed",
        receipt.transaction_hash
    );
    Ok(())
}

/// Deploys the contracts and an account with a session key for each worker. Returns the chain id and the
/// account.
async fn prepare(rpc_url: &str) -> Result<(u64, Address)> {
    let node = provider(rpc_url)?;
    let chain_id = node.get_chain_id().await?;
    let funder = dev_accounts()[0].address;
    let (stack, plan) = Stack::plan(funder);
    for planned in plan {
        if node.get_code_at(planned.address).await?.is_empty() {
            send(&node, planned.transaction(funder)).await?;
        }
    }
    let deployment = Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
    };
    let owner = dev_accounts()[1].signer();
    let account = SmartAccount::from_factory_on(
        chain_id,
        node.clone(),
        deployment,
        [owner.address()],
        U256::from(1),
    )
    .await?;
    let ether = U256::from(10).pow(U256::from(18));
    let fund =
        |to: Address, ether_each: U256| TransactionRequest::default().with_to(to).with_value(ether_each);
    send(&node, fund(account.address(), U256::from(100) * ether)).await?;
    for number in 0..WORKERS {
        send(&node, fund(sender(number).address(), ether)).await?;
    }
    let permissions = Permissions::new()
        .access_control_type(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(50) * ether));
    let keys: Result<Vec<_>, _> = (0..WORKERS)
        .map(|number| NewSessionKey::new(session_key(number).address(), &permissions))
        .collect();
    let submitter = EntryPointSubmitter::new(node.clone(), deployment.entry_point, funder);
    let bounds = Bounds {
        max_cost: ether,
        ..Bounds::default()
    };
    let owner = OwnerClient::new(account.clone(), owner, submitter).with_bounds(bounds);
    owner.install_session_key_plugin(keys?).await?;
    Ok((chain_id, account.address()))
}

/// Starts a worker process.
fn start(work: &Work) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("work")
        .args(["--rpc-url", &work.rpc_url])
        .args(["--chain-id", &work.chain_id.to_string()])
        .args(["--store", &work.store])
        .args(["--account", &work.account.to_string()])
        .args(["--number", &work.number.to_string()])
        .args(["--recipient", &work.recipient.to_string()]);
    if let Some(name) = &work.name {
        command.args(["--name", name]);
    }
    if let Some(stop) = work.stop {
        use clap::ValueEnum as _;
        let stop = stop.to_possible_value().ok_or_eyre("every phase has a name")?;
        command.args(["--stop", stop.get_name()]);
    }
    Ok(command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?)
}

/// Starts a worker, kills it in `phase`, and starts another that finishes the work. Returns the second
/// worker's complaints.
async fn kill_one(work: Work, phase: Phase) -> Result<Vec<String>> {
    let mut child = start(&Work {
        stop: Some(phase),
        ..work.clone()
    })?;
    let output = child.stdout.take().ok_or_eyre("its output is piped")?;
    let mut lines = BufReader::new(output).lines();
    let mark = timeout(Duration::from_secs(60), lines.next_line()).await??;
    ensure!(
        mark == Some(format!("{phase:?}")),
        "a worker printed {mark:?} instead of {phase:?}"
    );
    let delay = match phase {
        // The request takes only a few milliseconds.
        Phase::SendToAnswer => rand::thread_rng().gen_range(0..12),
        Phase::AnswerToReceipt => rand::thread_rng().gen_range(0..1_200),
        _ => rand::thread_rng().gen_range(0..50),
    };
    sleep(Duration::from_millis(delay)).await;
    child.start_kill()?;
    child.wait().await?;

    let mut child = start(&work)?;
    let output = child.stdout.take().ok_or_eyre("its output is piped")?;
    let mut lines = BufReader::new(output).lines();
    let mut said = Vec::new();
    let finish = async {
        while let Some(line) = lines.next_line().await? {
            said.push(line);
        }
        child.wait().await?;
        Ok::<_, eyre::Report>(())
    };
    if timeout(DECIDED_WITHIN, finish).await.is_err() {
        said.push("not finished in time".to_owned());
    }
    said.retain(|line| line != "done");
    Ok(said)
}

/// Kills `kills` workers and prints complaints, kills per phase, and a summary line. Fails if a payment was
/// doubled or lost.
pub(crate) async fn judge(
    rpc_url: &str,
    kills: usize,
    store: &str,
    restart: Option<PathBuf>,
) -> Result<ExitCode> {
    let (chain_id, account) = prepare(rpc_url).await?;
    let restarting = restart.map(|program| tokio::spawn(restart_every_few_seconds(program)));
    let done = kill_all(rpc_url, kills, store, chain_id, account).await?;
    if let Some(restarting) = restarting {
        restarting.abort();
    }
    count(rpc_url, kills, store, chain_id, account, done).await
}

/// Makes the store's server crash and start again, until it is dropped.
async fn restart_every_few_seconds(program: PathBuf) {
    loop {
        sleep(Duration::from_secs(7)).await;
        match Command::new(&program).status().await {
            Ok(status) if status.success() => println!("the server of the store was restarted"),
            other => println!("the server of the store was not restarted: {other:?}"),
        }
    }
}

/// A clock that is ten minutes ahead: every worker's time is over.
#[derive(Debug)]
struct Later;

impl Surroundings for Later {
    fn unix_millis(&self) -> u64 {
        Machine.unix_millis().saturating_add(600_000)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        Machine.fill_random(bytes);
    }
}

/// Counts reservations that are not settled, and workers whose windows count less than they paid.
async fn count_ledger(work: &Work, paid: U256) -> Result<(usize, usize)> {
    let agent = agent(work).await?.with_surroundings(Arc::new(Later));
    let undecided = agent.reconcile().await?;
    let used = agent
        .windows(&[])
        .await?
        .iter()
        .fold(U256::ZERO, |sum, window| sum + window.used);
    if used < paid {
        println!("worker {} paid {paid}, and its window counts {used}", work.number);
    }
    if !undecided.is_empty() {
        println!(
            "worker {}: reservations that are not settled: {undecided:?}",
            work.number
        );
    }
    Ok((undecided.len(), usize::from(used < paid)))
}

/// Kills `kills` workers, [`WORKERS`] at a time, and prints their complaints. Returns the payments
/// of each worker.
async fn kill_all(
    rpc_url: &str,
    kills: usize,
    store: &str,
    chain_id: u64,
    account: Address,
) -> Result<BTreeMap<u64, Vec<usize>>> {
    let queue: Arc<std::sync::Mutex<Vec<usize>>> =
        Arc::new(std::sync::Mutex::new((0..kills).rev().collect()));
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS.min(kills as u64) {
        let (queue, rpc_url, store) = (queue.clone(), rpc_url.to_owned(), store.to_owned());
        workers.spawn(async move {
            let (mut complaints, mut payments) = (Vec::new(), Vec::new());
            loop {
                let next = queue.lock().map_err(|_| eyre!("a worker panicked"))?.pop();
                let Some(kill) = next else {
                    return Ok::<_, eyre::Report>((number, payments, complaints));
                };
                payments.push(kill);
                let phase = Phase::ALL[kill % Phase::ALL.len()];
                let work = Work {
                    rpc_url: rpc_url.clone(),
                    chain_id,
                    store: store.clone(),
                    account,
                    number,
                    recipient: recipient(kill),
                    name: (kill / Phase::ALL.len())
                        .is_multiple_of(2)
                        .then(|| format!("payment {kill}")),
                    stop: None,
                };
                for complaint in kill_one(work, phase).await? {
                    complaints.push(format!("kill {kill}, {phase:?}: {complaint}"));
                }
            }
        });
    }
    let mut done = BTreeMap::new();
    while let Some(ended) = workers.join_next().await {
        let (number, payments, complaints) = ended??;
        done.insert(number, payments);
        for complaint in complaints {
            println!("{complaint}");
        }
    }
    Ok(done)
}

/// Counts payments on the chain, undecided intents in the journal, and what the ledger says.
async fn count(
    rpc_url: &str,
    kills: usize,
    store: &str,
    chain_id: u64,
    account: Address,
    done: BTreeMap<u64, Vec<usize>>,
) -> Result<ExitCode> {
    let node = provider(rpc_url)?;
    let mut phases = BTreeMap::<Phase, usize>::new();
    let (mut doubled, mut lost) = (0, 0);
    for kill in 0..kills {
        *phases.entry(Phase::ALL[kill % Phase::ALL.len()]).or_default() += 1;
        let paid = node.get_balance(recipient(kill)).await?;
        if paid > U256::from(1) {
            println!("payment {kill} was made {paid} times");
            doubled += 1;
        } else if paid.is_zero() {
            println!("payment {kill} was not made");
            lost += 1;
        }
    }
    let journal = stores(store).await?.journal;
    let records = journal.intents(chain_id, account).await?;
    for record in records {
        if let Outcome::Open(open) = record.outcome() {
            println!("intent {} is open: {open:?}", record.id);
            lost += 1;
        }
    }
    let (mut unsettled, mut uncounted) = (0, 0);
    for (number, payments) in done {
        let mut paid = U256::ZERO;
        for kill in payments {
            paid += node.get_balance(recipient(kill)).await?;
        }
        let work = Work {
            rpc_url: rpc_url.to_owned(),
            chain_id,
            store: store.to_owned(),
            account,
            number,
            recipient: Address::ZERO,
            name: None,
            stop: None,
        };
        let (open, is_short) = count_ledger(&work, paid).await?;
        unsettled += open;
        uncounted += is_short;
    }
    for (phase, count) in phases {
        println!("{phase:?}: {count}");
    }
    println!("{unsettled} reservations not settled, {uncounted} windows that count less than was paid");
    println!("{kills} kills, {doubled} doubled, {lost} lost");
    Ok(if doubled + lost + unsettled + uncounted == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Returns the recipient of one payment. Each kill has its own.
fn recipient(kill: usize) -> Address {
    Address::from_word(keccak256(B256::from(U256::from(kill))))
}
