//! A headless Chromium, driven by WebDriver.

use crate::wallet;
use eyre::{Result, bail, ensure, eyre};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, Key, LoggingPrefsLogLevel, WebDriver, WebElement,
    cdp::Cdp,
};
use tokio::time::Instant;

/// How long something on the page may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: WebDriver,
}

impl Browser {
    pub(crate) async fn start(driver_url: &str) -> Result<Self> {
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            // As root, and where /dev/shm is small, as in containers.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
        ] {
            capabilities.add_arg(argument)?;
        }
        capabilities.set_logging_prefs("performance", LoggingPrefsLogLevel::All)?;
        capabilities.set_logging_prefs("browser", LoggingPrefsLogLevel::All)?;
        let driver = WebDriver::new(driver_url, capabilities).await?;
        let browser = Self { driver };
        browser
            .cdp(
                "Page.addScriptToEvaluateOnNewDocument",
                json!({ "source": wallet::SCRIPT }),
            )
            .await?;
        browser.look_like(1_100, 1_400, 1.0, "light").await?;
        Ok(browser)
    }

    pub(crate) async fn end(self) -> Result<()> {
        Ok(self.driver.quit().await?)
    }

    pub(crate) async fn cdp(&self, method: &str, parameters: Value) -> Result<Value> {
        Ok(Cdp::new(self.driver.handle().clone())
            .send_raw(method, parameters)
            .await?)
    }

    /// Sets width, height, zoom and colour scheme.
    pub(crate) async fn look_like(&self, width: u32, height: u32, zoom: f64, scheme: &str) -> Result<()> {
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": zoom, "mobile": false }),
        )
        .await?;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    pub(crate) async fn go(&self, url: &str) -> Result<()> {
        Ok(self.driver.goto(url.to_owned()).await?)
    }

    pub(crate) async fn reload(&self) -> Result<()> {
        Ok(self.driver.refresh().await?)
    }

    pub(crate) async fn url(&self) -> Result<String> {
        Ok(self.driver.current_url().await?.to_string())
    }

    /// Runs a script in the page.
    pub(crate) async fn js(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        Ok(self
            .driver
            .execute(script.to_owned(), arguments)
            .await?
            .json()
            .clone())
    }

    /// The text of the page, as it is seen.
    pub(crate) async fn text(&self) -> Result<String> {
        let text = self.js("return document.body.innerText", vec![]).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn find(&self, selector: &str) -> Result<WebElement> {
        Ok(self.driver.find(By::Css(selector.to_owned())).await?)
    }

    pub(crate) async fn count(&self, selector: &str) -> Result<usize> {
        Ok(self.driver.find_all(By::Css(selector.to_owned())).await?.len())
    }

    pub(crate) async fn click(&self, selector: &str) -> Result<()> {
        Ok(self.find(selector).await?.click().await?)
    }

    /// Clicks the button with this text.
    pub(crate) async fn press(&self, text: &str) -> Result<()> {
        let path = format!("//button[normalize-space()='{text}'] | //a[normalize-space()='{text}']");
        Ok(self.driver.find(By::XPath(path)).await?.click().await?)
    }

    /// Presses a key on the keyboard, wherever the focus is.
    pub(crate) async fn key(&self, key: Key) -> Result<()> {
        self.driver.action_chain().send_keys(key).perform().await?;
        Ok(())
    }

    /// What has the focus, as a screen reader would name it.
    pub(crate) async fn focus(&self) -> Result<String> {
        let script = "const at = document.activeElement; return at === document.body ? '' : at.ariaLabel || at.innerText";
        let name = self.js(script, vec![]).await?;
        Ok(name.as_str().unwrap_or_default().to_owned())
    }

    /// Presses the tabulator until this has the focus.
    pub(crate) async fn tab_to(&self, name: &str) -> Result<()> {
        const MOST: usize = 60;
        let mut passed = Vec::new();
        for _ in 0..MOST {
            self.key(Key::Tab).await?;
            let focus = self.focus().await?;
            if focus == name {
                let visible = "return document.activeElement.matches(':focus-visible')";
                ensure!(
                    self.js(visible, vec![]).await? == json!(true),
                    "the focus on {name} is not visible"
                );
                return Ok(());
            }
            passed.push(focus);
        }
        bail!("the keyboard does not reach {name:?}, only {passed:?}")
    }

    pub(crate) async fn has(&self, text: &str) -> Result<()> {
        let found = self.text().await?;
        ensure!(
            found.contains(text),
            "the page does not say {text:?}, but: {found}"
        );
        Ok(())
    }

    /// Checks that nothing is cut off or has to be scrolled sideways.
    pub(crate) async fn fits(&self) -> Result<()> {
        let script = "
            const wide = document.documentElement.clientWidth;
            const out = [];
            if (document.documentElement.scrollWidth > wide) out.push(`the page is ${document.documentElement.scrollWidth} wide, of ${wide}`);
            for (const at of document.querySelectorAll('main *')) {
                const box = at.getBoundingClientRect();
                if (box.width > 0 && (box.right > wide + 0.5 || box.left < -0.5)) out.push(`${at.tagName} ${at.textContent.slice(0, 40)}: ${box.left} to ${box.right}`);
                if (!at.closest('svg') && getComputedStyle(at).display !== 'inline' && at.scrollWidth > at.clientWidth + 1) out.push(`${at.tagName} ${at.textContent.slice(0, 40)} is cut`);
            }
            return out.slice(0, 5)";
        let out = self.js(script, vec![]).await?;
        ensure!(out == json!([]), "{out}");
        Ok(())
    }

    /// Checks the page with axe-core, all rules.
    pub(crate) async fn is_accessible(&self, axe: &str) -> Result<()> {
        self.cdp("Runtime.evaluate", json!({ "expression": axe })).await?;
        let run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => JSON.stringify(found.violations.map((one) => \
                   `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`)))";
        let answer = self
            .cdp(
                "Runtime.evaluate",
                json!({ "expression": run, "awaitPromise": true, "returnByValue": true }),
            )
            .await?;
        let found = answer["result"]["value"]
            .as_str()
            .ok_or_else(|| eyre!("axe-core did not run: {answer}"))?;
        ensure!(found == "[]", "{found}");
        Ok(())
    }

    /// Takes a picture of the page, or of the part that fits a height.
    pub(crate) async fn picture(&self, path: &Path, height: u32) -> Result<()> {
        let width = self
            .js("return document.documentElement.clientWidth", vec![])
            .await?;
        let end = "return Math.ceil(document.querySelector('main').lastElementChild.getBoundingClientRect().bottom + window.scrollY) + 40";
        let full = self.js(end, vec![]).await?;
        let height = full.as_u64().unwrap_or_default().min(u64::from(height));
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let answer = self
            .cdp(
                "Page.captureScreenshot",
                json!({ "format": "png", "clip": clip, "captureBeyondViewport": true }),
            )
            .await?;
        use base64::Engine as _;
        let data = answer["data"].as_str().unwrap_or_default();
        let png = base64::engine::general_purpose::STANDARD.decode(data)?;
        std::fs::write(path, png)?;
        Ok(())
    }

    /// The URLs that pages have asked for since the last call, and what the console says of refusals.
    pub(crate) async fn observed(&self) -> Result<(Vec<String>, Vec<String>)> {
        let mut urls = Vec::new();
        for entry in self.driver.get_log("performance").await? {
            let event: Value = serde_json::from_str(&entry.message)?;
            if event["message"]["method"] == "Network.requestWillBeSent" {
                let url = event["message"]["params"]["request"]["url"].as_str();
                urls.extend(url.map(str::to_owned));
            }
        }
        let console = self.driver.get_log("browser").await?;
        Ok((urls, console.into_iter().map(|entry| entry.message).collect()))
    }

    /// Waits until a check passes.
    pub(crate) async fn until<T>(&self, mut check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            match check().await {
                Ok(done) => return Ok(done),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
