//! A worker process, which makes one payment.

use alloy::{
    network::EthereumWallet,
    primitives::{Address, B256, U256},
    providers::{Provider, ProviderBuilder},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use eyre::Result;
use session_key_agent::{
    Agent,
    rules::{AgentRules, Asset, Window},
    store::{PostgresOptions, Stores},
};
use session_key_client::{
    Call, SessionKeyClient, SignedOperation, SmartAccount, UserOperation,
    node::{Head, SuggestedFees},
    operation::{Gas, Outcome},
    request::RequestError,
    submit::{EntryPointSubmitter, EstimateError, Sent, Submitter},
    transport::HttpTransport,
};
use std::time::Duration;

/// The phase in which a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Phase {
    /// Before the journal is written.
    BeforeJournal,
    /// Between writing the journal and sending.
    JournalToSend,
    /// Between sending and the node's answer.
    SendToAnswer,
    /// Between the answer and the receipt.
    AnswerToReceipt,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [
        Self::BeforeJournal,
        Self::JournalToSend,
        Self::SendToAnswer,
        Self::AnswerToReceipt,
    ];
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Work {
    #[arg(long)]
    pub(crate) rpc_url: String,
    #[arg(long)]
    pub(crate) chain_id: u64,
    /// Path of an SQLite file, or a connection string of PostgreSQL.
    #[arg(long)]
    pub(crate) store: String,
    #[arg(long)]
    pub(crate) account: Address,
    /// Number of the worker, which selects its session key and its transaction sender.
    #[arg(long)]
    pub(crate) number: u64,
    /// Recipient of 1 wei.
    #[arg(long)]
    pub(crate) recipient: Address,
    /// Name of the payment.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Phase in which to wait to be killed. Without it: settle the journal, then pay unless that has
    /// happened.
    #[arg(long)]
    pub(crate) stop: Option<Phase>,
}

/// Returns a worker's session key. These keys are public; the chain exists only for the test.
pub(crate) fn session_key(number: u64) -> PrivateKeySigner {
    key_of(0x5e55, number)
}

/// Returns the key from which a worker sends transactions.
pub(crate) fn sender(number: u64) -> PrivateKeySigner {
    key_of(0x5e4d, number)
}

fn key_of(kind: u64, number: u64) -> PrivateKeySigner {
    let bytes = B256::from(U256::from(kind) << 128 | U256::from(number + 1));
    PrivateKeySigner::from_bytes(&bytes).expect("a small number is a valid key")
}

/// A submitter that prints its phase and waits to be killed in the phase `stop`.
#[derive(Debug)]
struct Stopping {
    inner: EntryPointSubmitter,
    stop: Option<Phase>,
}

impl Stopping {
    async fn at(&self, phase: Phase) {
        if self.stop != Some(phase) {
            return;
        }
        println!("{phase:?}");
        // In this phase the request must go out, so the worker does not wait. Its answer may arrive before
        // the kill.
        if phase != Phase::SendToAnswer {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
    }
}

#[async_trait]
impl Submitter for Stopping {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError> {
        self.at(Phase::BeforeJournal).await;
        self.inner.estimate_gas(operation).await
    }

    fn estimates_by_node(&self) -> bool {
        self.inner.estimates_by_node()
    }

    async fn send(&self, operation: &SignedOperation) -> Sent {
        self.at(Phase::JournalToSend).await;
        self.at(Phase::SendToAnswer).await;
        let sent = self.inner.send(operation).await;
        self.at(Phase::AnswerToReceipt).await;
        sent
    }

    async fn transaction(&self, user_op_hash: B256) -> Result<Option<B256>, RequestError> {
        self.inner.transaction(user_op_hash).await
    }

    async fn knows(&self, user_op_hash: B256) -> Result<bool, RequestError> {
        self.inner.knows(user_op_hash).await
    }

    async fn fees(&self, head: &Head) -> Result<Option<SuggestedFees>, RequestError> {
        self.inner.fees(head).await
    }
}

/// Opens the stores that all workers share.
pub(crate) async fn stores(store: &str) -> Result<Stores> {
    if store.starts_with("host=") || store.starts_with("postgres") {
        Ok(Stores::postgres(PostgresOptions::new(store)?).await?)
    } else {
        Ok(Stores::sqlite(store).await?)
    }
}

/// The rules of every worker's agent: a window that counts every wei.
pub(crate) fn rules() -> AgentRules {
    let window = Window {
        asset: Asset::Native,
        most: U256::from(1_000_000),
        seconds: 86_400,
        per_recipient: false,
    };
    AgentRules {
        windows: [window].into(),
        ..AgentRules::default()
    }
}

/// Connects the worker's agent, with the shared stores.
pub(crate) async fn agent(work: &Work) -> Result<Agent> {
    let sender = sender(work.number);
    let from = sender.address();
    let node = HttpTransport::new(&work.rpc_url)?;
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(sender))
        .connect_client(RpcClient::new(node, true))
        .erased();
    let stores = stores(&work.store).await?;
    let account = SmartAccount::connect_on(work.chain_id, provider.clone(), work.account)
        .await?
        .with_desk(stores.desk());
    let submitter = Stopping {
        inner: EntryPointSubmitter::new(provider, account.deployment().entry_point, from),
        stop: work.stop,
    };
    let client = SessionKeyClient::new(account, session_key(work.number), submitter);
    Ok(Agent::new(client, stores.ledger).with_rules(rules()))
}

/// Makes the payment and waits to be killed (`stop`), or settles the journal and pays if that is still
/// needed.
pub(crate) async fn work(work: Work) -> Result<()> {
    let agent = agent(&work).await?;
    let payment = || {
        let call = Call::new(work.recipient, []).with_value(U256::from(1));
        let payment = agent.execute([call]).timeout(Duration::from_secs(60));
        match &work.name {
            Some(name) => payment.id(name),
            None => payment,
        }
    };
    if work.stop.is_some() {
        payment().await?;
        return Ok(());
    }
    // The lane also holds earlier payments; the recipient identifies this one.
    let recipient = work.recipient;
    let own = |record: &session_key_client::journal::IntentRecord| {
        record.operations.iter().any(|operation| {
            let call_data = &operation.signed.operation.call_data;
            call_data.windows(20).any(|bytes| bytes == recipient.as_slice())
        })
    };
    let mut is_decided = false;
    for record in agent.resume().await?.iter().filter(|record| own(record)) {
        match record.outcome() {
            Outcome::Included(_) => is_decided = true,
            Outcome::Open(open) => println!("open: {open:?}"),
            _ => {}
        }
    }
    // An unnamed payment is recognized only by the journal.
    if work.name.is_some() || !is_decided {
        match payment().await {
            Ok(_) => {}
            Err(error) if error.code() == "already_happened" => {}
            Err(error) => println!("failed: {error}"),
        }
    }
    println!("done");
    Ok(())
}
