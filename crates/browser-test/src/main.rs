//! Tests the review page in a real browser: headless Chromium through WebDriver, the `session-key` command as
//! it is built, a development network, and a wallet in the page that signs for real.
//!
//! Run by `script/browser-test.sh`. Reads `SESSION_KEY` (the command), `CHROMEDRIVER`, `AXE` (axe-core's
//! script) and `IMAGES` (the folder for pictures) from the environment. An argument runs the cases whose name
//! contains it.

mod browser;
mod cases;
mod wallet;
mod world;

use browser::Browser;
use cases::Stage;
use eyre::{Result, WrapErr as _, eyre};
use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::Instant,
};

/// A WebDriver server that ends with this.
struct Driver(Child);

impl Driver {
    fn start() -> Result<(Self, String)> {
        let program = env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let mut child = Command::new(&program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .wrap_err(program)?;
        let out = child.stdout.take().ok_or_else(|| eyre!("no output"))?;
        let driver = Self(child);
        let mut lines = BufReader::new(out).lines();
        while let Some(line) = lines.next().transpose()? {
            if let Some(port) = line
                .strip_prefix("ChromeDriver was started successfully on port ")
                .map(|port| port.trim_end_matches('.'))
            {
                let url = format!("http://127.0.0.1:{port}");
                // It goes on writing.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((driver, url));
            }
        }
        Err(eyre!("ChromeDriver did not start"))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn variable(name: &str) -> Result<PathBuf> {
    env::var(name)
        .map(PathBuf::from)
        .wrap_err_with(|| format!("{name} is not set: run script/browser-test.sh"))
}

async fn run() -> Result<usize> {
    let axe = variable("AXE")?;
    let images = variable("IMAGES")?;
    std::fs::create_dir_all(&images)?;
    let (_driver, driver_url) = Driver::start()?;
    let stage = Stage {
        browser: Browser::start(&driver_url).await?,
        driver_url,
        binary: variable("SESSION_KEY")?,
        axe: std::fs::read_to_string(&axe).wrap_err_with(|| axe.display().to_string())?,
        images,
    };
    let only = env::args().nth(1).unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases::all() {
        if !name.contains(&only) {
            continue;
        }
        let begun = Instant::now();
        let mut ended = case(&stage).await;
        // Whatever a case did: nothing but the page's own server was asked, and nothing was refused
        // by the policy.
        if ended.is_ok() {
            ended = stage.only_loopback().await;
        } else {
            let _ = stage.browser.observed().await;
        }
        stage.browser.look_like(1_100, 1_400, 1.0, "light").await?;
        let time = begun.elapsed().as_secs_f32();
        match ended {
            Ok(()) => {
                passed += 1;
                println!("ok      {name} ({time:.1} s)");
            }
            Err(error) => {
                failed += 1;
                println!("FAILED  {name} ({time:.1} s)\n        {error:#}");
            }
        }
    }
    stage.browser.end().await?;
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
