//! Runs the bot of the README against an in-process chain and bundler over HTTP: once until it crashes while
//! its payment waits at the bundler, and once more from the start.

// Its own start is for whoever copies it.
#[allow(dead_code)]
mod bot;
#[path = "../simulated_chain/mod.rs"]
mod simulated_chain;

use bot::Settings;
use session_key_client::{
    NewSessionKey, SessionKeySigner,
    alloy::primitives::U256,
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit},
    signer::KeystoreFile,
};
use session_key_testkit::{BundlerOptions, TestToken};
use simulated_chain::{RECIPIENT, start};
use std::{env::VarError, error::Error, time::Duration};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let token = start.stack.token;
    let bundler = start.testkit.bundler(BundlerOptions::default());
    let (node_server, bundler_server) = (start.testkit.serve()?, bundler.serve()?);
    let folder = tempfile::tempdir()?;
    let file = |name| folder.path().join(name).display().to_string();
    let settings = Settings::read(|name| {
        Ok::<_, VarError>(match name {
            "CHAIN_ID" => start.account.chain_id().to_string(),
            "NODE_URL" => node_server.url().to_owned(),
            "BUNDLER_URL" => bundler_server.url().to_owned(),
            "ACCOUNT" => start.account.address().to_string(),
            "KEY_FILE" => file("session-key.json"),
            "KEY_PASSWORD" => "9f86d081884c7d659a2feaa0".to_owned(),
            "JOURNAL" => file("journal.sqlite"),
            "TOKEN" => token.to_string(),
            "SHOP" => RECIPIENT.to_string(),
            _ => return Err(VarError::NotPresent),
        })
    })?;

    // The bot's key is made once; the owner grants it 100 tokens a week.
    let key = SessionKeySigner::open(KeystoreFile::new(&settings.key_file, &settings.key_password))?;
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::per(U256::from(100_000_000), 7 * 86_400))
        .gas_spend_limit(SpendLimit::total(U256::from(10).pow(U256::from(16))));
    let grant = NewSessionKey::new(key.address(), &permissions)?;
    start.owner.install_session_key_plugin([grant]).await?;

    // The bundler takes the payment and keeps it. The bot is ended in the middle of waiting.
    let crashed = tokio::time::timeout(Duration::from_secs(5), bot::run(&settings, 48)).await;
    println!(
        "crashed while waiting: {}, paid: {}",
        crashed.is_err(),
        paid(&start)?
    );

    // It is started again, while the bundler goes back to work.
    let working = tokio::spawn(async move {
        loop {
            let _ = bundler.bundle_now();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    bot::run(&settings, 48).await?;
    // And again, for good measure: the week is paid.
    bot::run(&settings, 48).await?;
    working.abort();
    println!("paid: {}", paid(&start)?);
    if paid(&start)? != U256::from(25_000_000) {
        return Err("the week was not paid exactly once".into());
    }
    Ok(())
}

/// What the shop has.
fn paid(start: &simulated_chain::Start) -> Result<U256, Box<dyn Error>> {
    let balance = TestToken::balanceOfCall { account: RECIPIENT };
    Ok(start
        .testkit
        .chain()
        .read(RECIPIENT, start.stack.token, &balance)?)
}
