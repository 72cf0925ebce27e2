//! A bot that pays a shop once a week, whatever happens. The crate's README shows this file.

use session_key_client::{
    Call, SessionKeyClient, SessionKeySigner, SmartAccount,
    alloy::primitives::{Address, U256},
    journal::SqliteJournal,
    operation::{Advice, Happened, Included, OperationError},
    permissions::erc20,
    signer::KeystoreFile,
    submit::BundlerSubmitter,
    transport,
};
use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) struct Settings {
    pub(crate) chain_id: u64,
    pub(crate) node_url: String,
    pub(crate) bundler_url: String,
    pub(crate) account: Address,
    pub(crate) key_file: PathBuf,
    pub(crate) key_password: String,
    pub(crate) journal: PathBuf,
    pub(crate) token: Address,
    pub(crate) shop: Address,
}

impl Settings {
    /// Reads them from wherever a name leads: the environment, or a store of secrets.
    pub(crate) fn read<E: Error + 'static>(
        value: impl Fn(&str) -> Result<String, E>,
    ) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            chain_id: value("CHAIN_ID")?.parse()?,
            node_url: value("NODE_URL")?,
            bundler_url: value("BUNDLER_URL")?,
            account: value("ACCOUNT")?.parse()?,
            key_file: value("KEY_FILE")?.into(),
            key_password: value("KEY_PASSWORD")?,
            journal: value("JOURNAL")?.into(),
            token: value("TOKEN")?.parse()?,
            shop: value("SHOP")?.parse()?,
        })
    }
}

/// Makes the agent. The chain id is the bot's own knowledge: a node of another chain is an error.
pub(crate) async fn agent(settings: &Settings) -> Result<SessionKeyClient, Box<dyn Error>> {
    let node = transport::connect(&settings.node_url)?;
    let bundler = transport::connect(&settings.bundler_url)?;
    let journal = SqliteJournal::open(&settings.journal).await?;
    let account = SmartAccount::connect_on(settings.chain_id, node.clone(), settings.account)
        .await?
        .with_journal(journal);
    let key = SessionKeySigner::open(KeystoreFile::new(&settings.key_file, &settings.key_password))?;
    let submitter = BundlerSubmitter::new(bundler, account.deployment().entry_point).with_node(node);
    Ok(SessionKeyClient::new(account, key, submitter))
}

/// Pays the shop 25 tokens for a week, once, however often this is called: by this process or by the next
/// one, after a crash or not.
pub(crate) async fn pay(
    agent: &SessionKeyClient,
    settings: &Settings,
    week: u64,
) -> Result<Included, OperationError> {
    let amount = U256::from(25_000_000);
    let calls = [Call::new(settings.token, erc20::transfer(settings.shop, amount))];
    loop {
        let payment = agent.execute(calls.clone()).id(format!("week {week}"));
        let error = match payment.timeout(Duration::from_secs(120)).await {
            Ok(included) => return Ok(included),
            Err(error) => error,
        };
        eprintln!("week {week}: {} ({error})", error.code());
        match (error.happened(), error.advice()) {
            // It may still happen. The same name again takes it up: it is never paid twice.
            (Happened::Unknown | Happened::NotYet, _) => tokio::time::sleep(Duration::from_secs(30)).await,
            // It is done, and was only seen when the time was over: the same name again answers with it.
            (Happened::Yes, _) => tokio::time::sleep(Duration::from_secs(2)).await,
            // Nothing happened, and what was in the way passes by itself.
            (Happened::No, Advice::TryAgain { after }) => {
                tokio::time::sleep(Duration::from_secs(after)).await
            }
            // Refused by a rule that passes (a limit refreshes, a time range begins), paid for and reverted,
            // or something that a person has to change: the error says what.
            _ => return Err(error),
        }
    }
}

pub(crate) async fn run(settings: &Settings, week: u64) -> Result<(), Box<dyn Error>> {
    let agent = agent(settings).await?;

    // After a restart: what became of what was on its way when the process ended.
    for intent in agent.resume().await? {
        println!(
            "{}: {:?}",
            intent.name.as_deref().unwrap_or("unnamed"),
            intent.outcome().happened()
        );
    }

    // Would one more pass? Nothing is signed for the answer. A week that is paid already stays
    // paid, whatever it says.
    let call = Call::new(
        settings.token,
        erc20::transfer(settings.shop, U256::from(25_000_000)),
    );
    let check = agent.check([call]).await?;
    if let Some(budget) = check.budgets.erc20.get(&settings.token) {
        println!("{} of {} left", budget.remaining, budget.limit);
    }
    if !check.passes() {
        println!(
            "not now: {:?}, earliest at {:?}",
            check.verdict.violations(),
            check.earliest
        );
    }

    let included = pay(&agent, settings, week).await?;
    println!("paid in block {}", included.receipt.block_number);
    Ok(())
}

/// `AGENT_NODE_URL=... AGENT_KEY_PASSWORD=... cargo run`: once a day, by cron or a timer.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(|name| std::env::var(format!("AGENT_{name}")))?;
    let week = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (7 * 86_400);
    run(&settings, week).await
}
