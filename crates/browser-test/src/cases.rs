//! What a browser must see and be able to do.

use crate::{browser::Browser, wallet::User, world::World};
use eyre::{Result, ensure};
use serde_json::json;
use session_key_devnet::{Kind, testkit::dev_accounts};
use std::{path::PathBuf, pin::Pin};
use thirtyfour::Key;

/// What the cases have.
pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) driver_url: String,
    pub(crate) binary: PathBuf,
    pub(crate) axe: String,
    pub(crate) images: PathBuf,
}

type Case = fn(&Stage) -> Pin<Box<dyn Future<Output = Result<()>> + '_>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// All cases, by name.
        pub(crate) fn all() -> Vec<(&'static str, Case)> {
            vec![$((stringify!($name), |stage| Box::pin($name(stage)))),*]
        }
    };
}

cases! {
    fifty_keys_are_readable,
    the_page_says_what_each_key_may_do,
    it_fits_in_every_form,
    reading_needs_no_script,
    a_key_is_revoked,
    a_key_is_revoked_on_a_v08_account,
    all_keys_are_revoked,
    a_key_is_revoked_with_the_keyboard_only,
    a_key_is_narrowed,
    a_change_that_allows_more_says_so,
    a_request_is_approved,
    a_user_who_declines_changes_nothing,
    a_wallet_on_another_network_has_to_switch,
    a_wallet_without_an_owner_signs_nothing,
    a_node_that_goes_away_is_told,
    a_dropped_transaction_is_told,
    a_page_reloaded_while_the_wallet_asks_goes_on,
    a_page_reloaded_while_the_transaction_waits_goes_on,
    the_address_opens_one_browser,
    a_command_that_has_ended_is_told,
}

const KEY: &str = "article.key";

impl Stage {
    async fn world(&self) -> Result<World> {
        World::new(Kind::V07, &self.binary).await
    }

    /// Nothing but the page's own server was asked, and the content security policy refused nothing.
    pub(crate) async fn only_loopback(&self) -> Result<()> {
        let (urls, console) = self.browser.observed().await?;
        let others: Vec<&String> = urls
            .iter()
            .filter(|url| !url.starts_with("http://127.0.0.1:"))
            .collect();
        ensure!(others.is_empty(), "requests to others: {others:?}");
        ensure!(!urls.is_empty(), "no request was observed");
        let refused: Vec<&String> = console
            .iter()
            .filter(|message| message.contains("Content Security Policy") || message.contains("Uncaught"))
            .collect();
        ensure!(refused.is_empty(), "{refused:?}");
        Ok(())
    }

    /// Nothing is cut off and axe-core finds nothing, in both colour schemes.
    async fn is_good(&self) -> Result<()> {
        for scheme in ["light", "dark"] {
            self.browser.look_like(1_100, 1_400, 1.0, scheme).await?;
            self.browser.fits().await?;
            self.browser.is_accessible(&self.axe).await?;
        }
        self.browser.look_like(1_100, 1_400, 1.0, "light").await
    }

    async fn picture(&self, name: &str, width: u32, scheme: &str, height: u32) -> Result<()> {
        self.browser.look_like(width, 1_000, 1.0, scheme).await?;
        self.browser
            .picture(&self.images.join(format!("{name}.png")), height)
            .await?;
        self.browser.look_like(1_100, 1_400, 1.0, "light").await
    }
}

async fn fifty_keys_are_readable(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.fill(50).await?;
    world.open(browser, &[]).await?;
    ensure!(
        browser.count(KEY).await? == 50,
        "{} keys",
        browser.count(KEY).await?
    );
    browser.has("“agent 49”").await?;
    browser.has("Revoke all 50 keys").await?;
    stage.is_good().await
}

async fn the_page_says_what_each_key_may_do(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.furnish().await?;
    world.open(browser, &[]).await?;
    for text in [
        "can be used now",
        "40 TUSD left of 100 TUSD",
        "60 TUSD used",
        "May not send ETH.",
        "1 key is dangerous or broken",
        "Anyone who has the key can burn all of the account's native token as gas.",
        &world.with.owner_account.address.to_string(),
    ] {
        browser.has(text).await?;
    }
    // The bar is as full as the words say.
    let share = browser
        .js(
            "return [...document.querySelectorAll('svg.bar')].filter((bar) => bar.ariaLabel.includes('40 TUSD')).map((bar) => \
             bar.querySelector('.left').getBoundingClientRect().width / bar.getBoundingClientRect().width)",
            vec![],
        )
        .await?;
    let share = share[0].as_f64().unwrap_or_default();
    ensure!((share - 0.4).abs() < 0.01, "{share}");
    stage.is_good().await?;
    stage.picture("review-keys", 800, "light", 1_900).await?;
    stage.picture("review-keys-dark", 800, "dark", 1_900).await?;
    stage.picture("review-keys-narrow", 360, "light", 1_600).await
}

async fn it_fits_in_every_form(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.furnish().await?;
    let policy = world.policy(150)?;
    let (request, _) = world.request().await?;
    let apply = format!("{}={policy}", world.with.session_key.address);
    world
        .open(browser, &["--apply", &apply, "--request", &request])
        .await?;
    let origin = browser.url().await?;
    for path in ["", "revoke?all", "offers/0", "offers/1", "nothing"] {
        browser.go(&format!("{origin}{path}")).await?;
        for scheme in ["light", "dark"] {
            // Zoomed to 200 %, a window of 1,280 pixels has 640.
            for (width, zoom) in [(1_280, 1.0), (640, 2.0), (360, 1.0), (320, 1.0)] {
                browser.look_like(width, 900, zoom, scheme).await?;
                browser.fits().await?;
            }
        }
        // Text alone, at 200 %.
        browser.look_like(640, 900, 1.0, "light").await?;
        browser
            .js("document.documentElement.style.fontSize = '200%'", vec![])
            .await?;
        browser.fits().await?;
        browser
            .js("document.documentElement.style.fontSize = ''", vec![])
            .await?;
        browser.look_like(360, 900, 1.0, "light").await?;
        browser.is_accessible(&stage.axe).await?;
    }
    Ok(())
}

async fn reading_needs_no_script(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.spend().await?;
    let off = |is_off: bool| json!({ "value": is_off });
    browser
        .cdp("Emulation.setScriptExecutionDisabled", off(true))
        .await?;
    let read = async {
        world.review(&[])?;
        browser.go(&world.address()?).await?;
        browser
            .until(async || {
                let source = browser.find("body").await?.text().await?;
                ensure!(source.contains("40 TUSD left of 100 TUSD"), "{source}");
                ensure!(source.contains("this page needs JavaScript"), "{source}");
                Ok(())
            })
            .await?;
        browser.click(".key .button").await?;
        browser
            .until(async || {
                let source = browser.find("body").await?.text().await?;
                ensure!(source.contains("can then do nothing"), "{source}");
                Ok(())
            })
            .await?;
        ensure!(
            !browser.find("#sign").await?.is_enabled().await?,
            "the button works without a script"
        );
        Ok(())
    };
    let ended = read.await;
    browser
        .cdp("Emulation.setScriptExecutionDisabled", off(false))
        .await?;
    ended
}

/// Revokes the first key from the start page on.
async fn revoked(stage: &Stage, world: &mut World) -> Result<()> {
    let browser = &stage.browser;
    world.open(browser, &[]).await?;
    browser.press("Revoke this key…").await?;
    browser
        .has("can then do nothing for this account any more")
        .await?;
    world.connect(browser).await?;
    stage.is_good().await?;
    world.sign(browser, "Done").await?;
    browser.has("can do nothing for this account").await?;
    let key = world.with.session_key.address;
    ensure!(
        !world.with.account.is_session_key(key).await?,
        "{key} is still registered"
    );
    ensure!(world.wallet.sent.len() == 1, "{:?}", world.wallet.sent);
    stage.is_good().await
}

async fn a_key_is_revoked(stage: &Stage) -> Result<()> {
    let mut world = stage.world().await?;
    world.spend().await?;
    revoked(stage, &mut world).await?;
    stage.picture("review-done", 800, "light", 700).await?;
    stage.browser.press("All keys of the account").await?;
    stage.browser.has("There are none").await
}

async fn a_key_is_revoked_on_a_v08_account(stage: &Stage) -> Result<()> {
    let mut world = World::new(Kind::V08, &stage.binary).await?;
    revoked(stage, &mut world).await?;
    stage.browser.press("← All keys").await?;
    stage.browser.has("Keys of the account’s own client").await
}

async fn all_keys_are_revoked(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.furnish().await?;
    world.open(browser, &[]).await?;
    browser.press("Revoke all 2 keys…").await?;
    world.connect(browser).await?;
    world.sign(browser, "Done").await?;
    let left = world.with.account.session_keys().await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn a_key_is_revoked_with_the_keyboard_only(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    let key = world.with.session_key.address;
    world.open(browser, &[]).await?;
    browser.tab_to(&format!("Revoke this key… {key}")).await?;
    browser.key(Key::Enter).await?;
    browser
        .until(async || browser.has("can then do nothing").await)
        .await?;
    browser.tab_to("Connect Test Wallet").await?;
    browser.key(Key::Space).await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    browser.tab_to("Revoke with the wallet").await?;
    browser.key(Key::Enter).await?;
    world.says(browser, "Done").await?;
    browser.tab_to("All keys of the account").await?;
    browser.key(Key::Enter).await?;
    browser.until(async || browser.has("There are none").await).await
}

async fn a_key_is_narrowed(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.spend().await?;
    let apply = format!("{}={}", world.with.session_key.address, world.policy(80)?);
    world.open(browser, &["--apply", &apply]).await?;
    browser.press(&format!("Change key {}", short(&world))).await?;
    browser
        .has("100 TUSD every 7 days → 80 TUSD every 7 days")
        .await?;
    browser
        .has("Part of a limit that changes is used already")
        .await?;
    browser.has("60 TUSD stay used").await?;
    browser.press("Start again: nothing counts as used").await?;
    browser
        .until(async || {
            ensure!(browser.url().await?.ends_with("limits=afresh"), "another page");
            ensure!(
                !browser.text().await?.contains("60 TUSD stay used"),
                "it stays used"
            );
            Ok(())
        })
        .await?;
    browser
        .press("What is used already counts, until its time is over")
        .await?;
    browser
        .until(async || browser.has("60 TUSD stay used").await)
        .await?;
    world.connect(browser).await?;
    stage.is_good().await?;
    stage.picture("review-change", 800, "light", 1_500).await?;
    world.sign(browser, "Done").await?;
    browser.has("20 TUSD left of 80 TUSD").await?;
    stage.is_good().await
}

fn short(world: &World) -> String {
    let key = world.with.session_key.address.to_string();
    format!("{}…{}", &key[..6], &key[key.len() - 4..])
}

async fn a_change_that_allows_more_says_so(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    let apply = format!("{}={}", world.with.session_key.address, world.policy(150)?);
    world
        .open(browser, &["--apply", &apply, "--limits", "keep"])
        .await?;
    browser.press(&format!("Change key {}", short(&world))).await?;
    browser.has("Allows more: ").await?;
    browser.has("This lets the key do more than now.").await?;
    // The key is changed elsewhere before it is signed.
    world.connect(browser).await?;
    world
        .with
        .owner
        .update_key_permissions(
            world.with.session_key.address,
            session_key_client::permissions::Permissions::new()
                .erc20_spend_limit(
                    world.with.devnet.stack().token,
                    session_key_client::permissions::SpendLimit::per("150000000".parse()?, 604_800),
                )
                .updates()
                .filter(|update| {
                    matches!(
                        update,
                        session_key_client::permissions::PermissionUpdate::Erc20SpendLimit(_)
                    )
                })
                .collect(),
        )
        .await?;
    world
        .sign(browser, "The key has changed since this page was loaded")
        .await?;
    ensure!(world.wallet.sent.is_empty(), "something was signed");
    Ok(())
}

async fn a_request_is_approved(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    let (request, key) = world.request().await?;
    world.open(browser, &["--request", &request]).await?;
    browser.click(".offers a").await?;
    browser.has("May spend at most 20 TUSD every day.").await?;
    world.connect(browser).await?;
    stage.is_good().await?;
    stage.picture("review-request", 800, "light", 1_500).await?;
    world.sign(browser, "Done").await?;
    ensure!(
        world.with.account.is_session_key(key).await?,
        "{key} is not registered"
    );
    browser.has("20 TUSD left of 20 TUSD").await
}

/// Opens the page on which the key is revoked, and connects the wallet.
async fn ready(stage: &Stage, world: &mut World) -> Result<()> {
    world.open(&stage.browser, &[]).await?;
    stage.browser.press("Revoke this key…").await?;
    world.connect(&stage.browser).await
}

async fn a_user_who_declines_changes_nothing(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.set_user(User::Declines);
    world
        .sign(
            browser,
            "You declined: nothing was signed, and nothing has changed.",
        )
        .await?;
    ensure!(world.wallet.sent.is_empty(), "something was signed");
    // And can change their mind.
    world.set_user(User::Confirms);
    world.sign(browser, "Done").await
}

async fn a_wallet_on_another_network_has_to_switch(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    let chain_id = world.wallet.chain_id;
    world.wallet.chain_id = 1;
    world.open(browser, &[]).await?;
    browser.press("Revoke this key…").await?;
    browser.press("Connect Test Wallet").await?;
    world.says(browser, "is on another network").await?;
    ensure!(
        !browser.find("#sign").await?.is_enabled().await?,
        "the button works on another network"
    );
    browser.press("Switch the wallet to this network").await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    ensure!(world.wallet.chain_id == chain_id, "it did not switch");
    // The wallet switches while the page is open, and says so.
    browser
        .js("window.testWallet.emit('chainChanged', '0x1')", vec![])
        .await?;
    world.says(browser, "is on another network").await?;
    browser
        .js("window.testWallet.emit('chainChanged', '0x7a69')", vec![])
        .await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    // It switches, and does not say so.
    world.wallet.chain_id = 1;
    world.sign(browser, "nothing was signed").await?;
    ensure!(world.wallet.sent.is_empty(), "it was signed for another network");
    Ok(())
}

async fn a_wallet_without_an_owner_signs_nothing(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    let owner = world.wallet.account;
    world.wallet.account = dev_accounts()[5];
    world.open(browser, &[]).await?;
    browser.press("Revoke this key…").await?;
    browser.press("Connect Test Wallet").await?;
    world.says(browser, "which does not own this account").await?;
    browser.has("not in this wallet").await?;
    ensure!(
        !browser.find("#sign").await?.is_enabled().await?,
        "the button works without an owner"
    );
    // The user chooses an owner in the wallet.
    world.wallet.account = owner;
    browser
        .js(
            "window.testWallet.emit('accountsChanged', [arguments[0]])",
            vec![json!(owner.address)],
        )
        .await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await
}

async fn a_node_that_goes_away_is_told(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.end_node();
    world.sign(browser, "the node could not answer").await?;
    ensure!(world.wallet.sent.is_empty(), "something was signed");
    browser.reload().await?;
    browser.has("The account could not be read").await?;
    stage.is_good().await?;
    world.start_node()?;
    browser.press("Try again").await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    // It goes away once the transaction is sent.
    world.with.devnet.testkit().chain().set_automine(false);
    world.sign(browser, "Waiting for a block").await?;
    world.end_node();
    world.says(browser, "The node does not answer").await?;
    world.with.devnet.testkit().chain().mine();
    world.start_node()?;
    world.says(browser, "Done").await
}

async fn a_dropped_transaction_is_told(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.with.devnet.testkit().chain().set_automine(false);
    world.sign(browser, "Waiting for a block").await?;
    let hash = world.wallet.sent[0];
    world.with.devnet.testkit().chain().drop_pooled(hash)?;
    world.says(browser, "Dropped, for now").await?;
    stage.is_good().await?;
    world.with.devnet.testkit().chain().set_automine(true);
    browser.press("Look at the change again").await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    world.sign(browser, "Done").await
}

async fn a_page_reloaded_while_the_wallet_asks_goes_on(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.set_user(User::ConfirmsUnheard);
    world.with.devnet.testkit().chain().set_automine(false);
    world.sign(browser, "Look at your wallet").await?;
    browser
        .until(async || {
            world.pump(browser).await?;
            ensure!(!world.wallet.sent.is_empty(), "the wallet was not asked");
            Ok(())
        })
        .await?;
    browser.reload().await?;
    world.says(browser, "Ready: Test Wallet holds an owner").await?;
    browser.press("← All keys").await?;
    browser.has("Not finished").await?;
    browser.click(".open a").await?;
    browser.has("The wallet has not answered").await?;
    stage.is_good().await?;
    world.with.devnet.testkit().chain().mine();
    world.says(browser, "Done").await?;
    browser.press("← All keys").await?;
    ensure!(
        !browser.text().await?.contains("Not finished"),
        "it is still open"
    );
    Ok(())
}

async fn a_page_reloaded_while_the_transaction_waits_goes_on(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.with.devnet.testkit().chain().set_automine(false);
    world.sign(browser, "Waiting for a block").await?;
    browser.reload().await?;
    world.says(browser, "Waiting for a block").await?;
    stage.is_good().await?;
    world.with.devnet.testkit().chain().mine();
    world.says(browser, "Done").await?;
    browser.reload().await?;
    world.says(browser, "Done").await
}

async fn the_address_opens_one_browser(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    world.review(&[])?;
    let address = world.address()?;
    browser.go(&address).await?;
    browser
        .until(async || browser.has("Who can act for this account").await)
        .await?;
    let page = browser.url().await?;
    ensure!(
        !page.contains("open"),
        "the secret stays in the address bar: {page}"
    );
    let cookie = browser.js("return document.cookie", vec![]).await?;
    ensure!(cookie == json!(""), "scripts can read the cookie");
    browser.reload().await?;
    browser.has("Who can act for this account").await?;
    browser.go(&address).await?;
    browser.has("This address was used").await?;
    stage.is_good().await?;
    browser.press("Go on to the page").await?;
    browser.has("Who can act for this account").await?;
    // Another browser needs another address.
    let second = Browser::start(&stage.driver_url).await?;
    let opened = async {
        second.go(&page).await?;
        second.has("Not open in this browser").await?;
        second.go(&world.address()?).await?;
        second
            .until(async || second.has("Who can act for this account").await)
            .await
    };
    let opened = opened.await;
    second.end().await?;
    opened?;
    browser.reload().await?;
    browser.has("Who can act for this account").await
}

async fn a_command_that_has_ended_is_told(stage: &Stage) -> Result<()> {
    let browser = &stage.browser;
    let mut world = stage.world().await?;
    ready(stage, &mut world).await?;
    world.end_command();
    world
        .sign(browser, "The command does not answer: it may have ended.")
        .await?;
    ensure!(world.wallet.sent.is_empty(), "something was signed");
    Ok(())
}
