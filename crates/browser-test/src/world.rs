//! A development network, the command in front of it, and a wallet.

use crate::{
    browser::Browser,
    wallet::{Answer, User, Wallet},
};
use eyre::{Result, WrapErr as _, ensure, eyre};
use serde_json::{Value, json};
use session_key_client::{
    NewSessionKey,
    alloy::{
        primitives::{Address, B256, U256},
        providers::Provider as _,
    },
    key_request::KeyRequest,
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit, erc20, policy::PolicyFormat},
};
use session_key_devnet::{
    Devnet, DevnetOptions, Kind, WithKey,
    testkit::{Server, dev_accounts},
};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// When requests end: far from the clock, so that pictures do not depend on it.
const EXPIRY: u64 = 4_070_908_800;
/// A day, in seconds.
const DAY: u64 = 86_400;

/// A world.
pub(crate) struct World {
    pub(crate) with: WithKey,
    pub(crate) wallet: Wallet,
    node: Option<Server>,
    port: u16,
    command: Option<(Child, Receiver<String>)>,
    folder: TempDir,
    binary: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((mut command, _)) = self.command.take() {
            let _ = command.kill();
            let _ = command.wait();
        }
    }
}

fn units(amount: u64) -> U256 {
    U256::from(amount * 1_000_000)
}

fn milli_ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(15))
}

fn tag(text: &str) -> B256 {
    let mut tag = B256::ZERO;
    tag[..text.len()].copy_from_slice(text.as_bytes());
    tag
}

/// 100 tokens a week, for a quarter.
fn weekly(devnet: &Devnet) -> Permissions {
    let token = devnet.stack().token;
    Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::per(units(100), 7 * DAY))
        .gas_spend_limit(SpendLimit::per(milli_ether(10), 7 * DAY))
        .valid_until(devnet.testkit().chain().timestamp() + 90 * DAY)
}

impl World {
    /// A network with an account and one key that may spend 100 tokens a week.
    pub(crate) async fn new(kind: Kind, binary: &Path) -> Result<Self> {
        let devnet = Devnet::new(DevnetOptions::default())?;
        let with = devnet.key(kind, &weekly(&devnet)).await?;
        let node = devnet.transport().serve()?;
        Ok(Self {
            port: node.address().port(),
            node: Some(node),
            wallet: Wallet::new(&devnet, with.owner_account),
            with,
            command: None,
            folder: tempfile::tempdir()?,
            binary: binary.to_owned(),
        })
    }

    const fn token(&self) -> Address {
        self.with.devnet.stack().token
    }

    /// Uses 60 of the key's 100 tokens.
    pub(crate) async fn spend(&self) -> Result<()> {
        let call = session_key_client::Call::new(
            self.token(),
            erc20::transfer(Address::repeat_byte(0x5a), units(60)),
        );
        self.with.agent.execute([call]).await?;
        Ok(())
    }

    /// Adds keys as people have them: one that may do everything, and, for the devnet's, one with a tag that
    /// has used 60 of its 100 tokens a week. The newest is shown first.
    pub(crate) async fn furnish(&self) -> Result<()> {
        let game = Permissions::new()
            .access_control_type(session_key_client::permissions::AccessControlType::AllowAllAccess);
        let game = NewSessionKey::new(Address::repeat_byte(0x71), &game)?.with_tag(tag("old game"));
        self.with.owner.add_session_key(game).await?;
        let key = self.with.session_key.address;
        let again = NewSessionKey::new(key, &weekly(&self.with.devnet))?.with_tag(tag("weekly buy"));
        self.with.owner.remove_session_key(key).await?;
        self.with.owner.add_session_key(again).await?;
        self.spend().await
    }

    /// Adds keys until there are this many.
    pub(crate) async fn fill(&self, count: usize) -> Result<()> {
        let permissions = Permissions::new()
            .contract_functions(self.token(), [ERC20_TRANSFER])
            .erc20_spend_limit(self.token(), SpendLimit::per(units(5), DAY))
            .gas_spend_limit(SpendLimit::per(milli_ether(1), DAY));
        let mut actions = Vec::new();
        for number in 1..count {
            let mut address = [0x11; 20];
            address[19] = u8::try_from(number)?;
            let key = NewSessionKey::new(address.into(), &permissions)?;
            actions.push(session_key_client::OwnerAction::AddSessionKey(
                key.with_tag(tag(&format!("agent {number}"))),
            ));
        }
        let owner = self.with.owner_account;
        let provider = self.with.devnet.testkit().provider_with_signer(owner.signer());
        // A block has a limited amount of gas.
        while !actions.is_empty() {
            let rest = actions.split_off(actions.len().min(10));
            let transaction = self
                .with
                .account
                .owner_transaction(owner.address, actions)
                .await?;
            let receipt = provider
                .send_transaction(transaction)
                .await?
                .get_receipt()
                .await?;
            ensure!(receipt.status(), "the keys were not added");
            actions = rest;
        }
        Ok(())
    }

    /// Writes a file where the command runs.
    fn file(&self, name: String, text: &str) -> Result<String> {
        std::fs::write(self.folder.path().join(&name), text)?;
        Ok(name)
    }

    /// A policy that lets the key spend this many tokens a week.
    pub(crate) fn policy(&self, tokens: u64) -> Result<String> {
        let token = self.token();
        let text = format!(
            "valid_until = \"2025-08-31T00:00:00Z\"\n[tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[[allow]]\ncontract = \"TUSD\"\n\
             functions = [\"transfer(address,uint256)\"]\n[limits]\ngas = \"0.01 ETH per 7 days\"\ntokens = [\"{tokens} TUSD per 7 days\"]\n"
        );
        self.file(format!("{tokens}-a-week.toml"), &text)
    }

    /// A request for a key.
    pub(crate) async fn request(&self) -> Result<(String, Address)> {
        let token = self.token();
        let need = format!(
            "tag = \"savings\"\nvalid_until = \"2025-12-31T00:00:00Z\"\n[tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[[allow]]\n\
             contract = \"TUSD\"\nfunctions = [\"transfer(address,uint256)\"]\n[limits]\ngas = \"0.002 ETH per 1 day\"\n\
             tokens = [\"20 TUSD per 1 day\"]\n"
        );
        let signer = dev_accounts()[6].signer();
        let (chain, account) = (self.with.account.chain_id(), self.with.account.address());
        let request = KeyRequest::new(&signer, chain, account, need, PolicyFormat::Toml, EXPIRY).await?;
        Ok((
            self.file("request.json".to_owned(), &request.to_json())?,
            signer.address(),
        ))
    }

    /// Starts the command.
    pub(crate) fn review(&mut self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .args([
                "review",
                "--json",
                "--rpc-url",
                &format!("http://127.0.0.1:{}", self.port),
            ])
            .args(["--account", &self.with.account.address().to_string()])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .wrap_err_with(|| self.binary.display().to_string())?;
        let out = child.stdout.take().ok_or_else(|| eyre!("no output"))?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        self.command = Some((child, lines));
        Ok(())
    }

    /// The next address that the command prints.
    pub(crate) fn address(&self) -> Result<String> {
        let (_, lines) = self.command.as_ref().ok_or_else(|| eyre!("not started"))?;
        let line = lines.recv_timeout(Duration::from_secs(20))?;
        let line: Value = serde_json::from_str(&line)?;
        ensure!(line["ok"] == json!(true), "{line}");
        let url = line["url"].as_str();
        Ok(url.ok_or_else(|| eyre!("no address: {line}"))?.to_owned())
    }

    /// Starts the command and opens its page.
    pub(crate) async fn open(&mut self, browser: &Browser, arguments: &[&str]) -> Result<()> {
        self.review(arguments)?;
        let address = self.address()?;
        browser.go(&address).await?;
        browser
            .until(async || browser.has("Who can act for this account").await)
            .await
    }

    /// Ends the command.
    pub(crate) fn end_command(&mut self) {
        if let Some((mut command, _)) = self.command.take() {
            let _ = command.kill();
            let _ = command.wait();
        }
    }

    /// Ends the node.
    pub(crate) fn end_node(&mut self) {
        self.node = None;
    }

    /// Starts the node again.
    pub(crate) fn start_node(&mut self) -> Result<()> {
        self.node = Some(self.with.devnet.transport().serve_on(self.port)?);
        Ok(())
    }

    /// Answers what the page asks of the wallet.
    pub(crate) async fn pump(&mut self, browser: &Browser) -> Result<()> {
        let asked = browser
            .js(
                "return window.testWallet ? window.testWallet.asked() : []",
                vec![],
            )
            .await?;
        for one in asked.as_array().cloned().unwrap_or_default() {
            let method = one["method"].as_str().unwrap_or_default();
            let (result, error) = match self.wallet.answer(method, &one["params"]).await? {
                Answer::Result(result) => (result, Value::Null),
                Answer::Error(code, message) => (Value::Null, json!({ "code": code, "message": message })),
                Answer::Nothing => continue,
            };
            let script = "window.testWallet.answer(arguments[0], arguments[1], arguments[2])";
            browser.js(script, vec![one["id"].clone(), result, error]).await?;
        }
        Ok(())
    }

    /// Lets the wallet answer until the page says this.
    pub(crate) async fn says(&mut self, browser: &Browser, text: &str) -> Result<()> {
        browser
            .until(async || {
                self.pump(browser).await?;
                browser.has(text).await
            })
            .await
    }

    /// Connects the wallet on a page with something to sign.
    pub(crate) async fn connect(&mut self, browser: &Browser) -> Result<()> {
        let is_enabled = "return document.getElementById('sign').disabled";
        ensure!(
            browser.js(is_enabled, vec![]).await? == json!(true),
            "the button works without a wallet"
        );
        if !self.wallet.is_connected {
            browser.press("Connect Test Wallet").await?;
        }
        self.says(browser, "Ready: Test Wallet holds an owner").await
    }

    /// Lets the owner sign, and waits for what the page says.
    pub(crate) async fn sign(&mut self, browser: &Browser, says: &str) -> Result<()> {
        browser.click("#sign").await?;
        self.says(browser, says).await
    }

    pub(crate) const fn set_user(&mut self, user: User) {
        self.wallet.user = user;
    }
}
