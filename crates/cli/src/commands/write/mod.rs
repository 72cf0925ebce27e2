//! Commands of an owner: grant, apply, rotate, revoke and the like.

mod account;
mod apply;
mod desk;
mod grant;
mod ledger;
mod policy;
mod reset;
mod revoke;
mod rotate;
mod unblock;

pub(crate) use account::{NewAccountArguments, new_account};
pub(crate) use apply::{ApplyArguments, PlanArguments, apply, plan};
pub(crate) use grant::{GrantArguments, LintErrors, Lints, grant, grant_policy};
pub(crate) use reset::{ResetArguments, reset};
pub(crate) use revoke::{RevokeArguments, revoke};
pub(crate) use rotate::{RotateArguments, rotate};
pub(crate) use unblock::{UnblockArguments, unblock};

use super::{ASKING, Outcome, chain::Chain, keys::Keystore, waited};
use crate::{
    answer::{Answer, Tone, hashes},
    failure::{Ended, Exit, Failure, WrongInput},
    report::print_note,
    settings::{Settings, Sources},
};
use clap::Args;
use desk::Desk;
use eyre::{Result, ensure, eyre};
use ledger::{Ledger, Request, Told};
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, SmartAccount,
    alloy::{
        primitives::{Address, B256, keccak256},
        signers::local::PrivateKeySigner,
    },
    signer::{KeyStorage as _, KeystoreFile},
};
use std::{
    env,
    io::{IsTerminal as _, Write as _, stderr, stdin},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What is waited for when something was sent.
const INCLUSION: &str = "waiting until it is in a block";
/// Environment variable with the owner's private key.
const OWNER: &str = "SESSION_KEY_OWNER";
/// Environment variable with the password of the owner's keystore.
const OWNER_PASSWORD: &str = "SESSION_KEY_OWNER_PASSWORD";

/// What commands that write take.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) sources: Sources,

    /// The owner's key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner's private
    /// key is read from SESSION_KEY_OWNER.
    #[arg(long, value_name = "FILE")]
    owner_keystore: Option<PathBuf>,

    /// Do not ask. Without a terminal nothing is signed otherwise.
    #[arg(long)]
    yes: bool,

    /// Show what would be done, and do nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// Send a plain transaction of the owner instead of an operation: no bundler is needed.
    #[arg(long)]
    direct: bool,

    /// Do it once more, also if the same was asked for before and is still open.
    #[arg(long)]
    again: bool,

    /// Where operations are written down before they are sent [default: journal.sqlite in the keystore's folder].
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    #[command(flatten)]
    keystore: Keystore,

    /// What can be forgotten once the answer is printed.
    #[arg(skip)]
    pub(crate) told: Told,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
struct Done {
    user_op_hash: Option<B256>,
    transaction_hash: Option<B256>,
    block: Option<u64>,
}

impl Writing {
    fn settings(&self) -> Result<Settings> {
        if self.dry_run {
            self.sources.settings()
        } else {
            self.sources.settings_for_signing(self.yes)
        }
    }

    /// Connects, and settles first what an earlier run has signed.
    async fn desk(&self, request: Request) -> Result<Desk<'_>> {
        let settings = self.settings()?;
        let mut chain = waited(ASKING, self.sources.time_limit.all(Chain::connect(settings))).await?;
        let given = self.keystore.folder.clone();
        if given.is_some() {
            chain.settings.is_given("keystore");
        }
        let keystore = Keystore {
            folder: given.or_else(|| chain.settings.keystore.clone()),
        };
        let mut desk = Desk {
            writing: self,
            chain,
            keystore,
            has_signed: Arc::default(),
            signed: Arc::default(),
            signed_transaction: Arc::default(),
            is_direct: self.direct || request.is_always_direct,
            asked: B256::ZERO,
            command: request.command,
            request: None,
            ledger: None,
            generated: Mutex::default(),
            taken: None,
        };
        desk.asked = request.hash(&desk.chain);
        if !self.dry_run && !self.again && !desk.is_direct && desk.chain.bundler.is_some() {
            desk.go_on().await?;
        }
        if desk.is_direct && !self.dry_run {
            let sender = self.owner()?.address();
            let path = desk.journal();
            // Without a journal, nothing was signed before; it is made once something is.
            if path.exists() {
                let told = self.told.clone();
                desk.ledger = Some(Ledger::open(path, &desk.chain, sender, request.clone(), told).await?);
            }
            desk.request = Some(request);
            // What an earlier run sent decides first: all that follows is read after it.
            if !self.again {
                desk.take_up().await?;
            }
        }
        Ok(desk)
    }

    /// Whoever signs for the account.
    fn owner(&self) -> Result<PrivateKeySigner> {
        if let Some(path) = &self.owner_keystore {
            let password = env::var(OWNER_PASSWORD).map_err(|_| {
                WrongInput(format!(
                    "{OWNER_PASSWORD} must hold the password of --owner-keystore"
                ))
            })?;
            let key = KeystoreFile::new(path, password).load()?;
            let key = key.ok_or_else(|| eyre!("there is no key in {}", path.display()))?;
            return Ok(PrivateKeySigner::from_slice(key.expose_secret())?);
        }
        let key = env::var(OWNER).map_err(|_| {
            WrongInput(format!(
                "an owner has to sign: set {OWNER} to its private key, or give --owner-keystore"
            ))
        })?;
        let wrong = || {
            WrongInput(format!(
                "{OWNER} is not a private key: it takes 64 hex digits, with or without 0x"
            ))
        };
        Ok(key.trim().parse().map_err(|_| wrong())?)
    }

    /// Asks, unless it was agreed to. What is asked about stands in the answer so far.
    fn consent(&self, shown: &Answer, of_file: &[String]) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        ensure!(
            stdin().is_terminal() && stderr().is_terminal(),
            WrongInput("nobody is here to agree, so nothing was signed: add --yes".to_owned())
        );
        let mut out = stderr().lock();
        writeln!(out, "{}", shown.text())?;
        let config = self.sources.config.as_deref();
        let file = config.unwrap_or(Path::new(crate::settings::FILE)).display();
        for value in of_file {
            writeln!(out, "from {file}: {value}")?;
        }
        write!(out, "Go on? [y/N] ")?;
        out.flush()?;
        let mut said = String::new();
        stdin().read_line(&mut said)?;
        ensure!(
            matches!(said.trim(), "y" | "Y" | "yes"),
            WrongInput("not agreed to, so nothing was signed".to_owned())
        );
        Ok(())
    }
}

/// A dry run makes no key.
fn no_key_yet() -> String {
    format!(
        "The key is made when this is done: in the call data, {} stands in its place.",
        Address::ZERO
    )
}

fn done(answer: &mut Answer, done: &Done) {
    let place = match (done.transaction_hash, done.block) {
        (Some(transaction), Some(block)) => format!("transaction {transaction}, block {block}"),
        _ => String::new(),
    };
    answer.line(Tone::Good, 0, format!("Done: {place}"));
    if let Some(hash) = done.user_op_hash {
        answer.line(Tone::Quiet, 2, format!("operation {hash}"));
    }
    hashes(answer, done.user_op_hash, done.transaction_hash);
    answer
        .data("block", done.block)
        .data("dryRun", false)
        .data("calls", json!([]));
}

/// Whether nothing came of what was tried, and nothing will.
fn is_void(error: &eyre::Report) -> bool {
    Failure::during(std::slice::from_ref(error)).exit != Exit::Open
}

/// An error after something was sent.
fn failed(error: eyre::Report) -> Ended {
    Ended::Failed(vec![error])
}

/// 32 bytes as they are, anything else hashed.
fn tag_of(text: &str) -> Result<B256> {
    let hex = text
        .strip_prefix("0x")
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    match hex {
        Some(digits) => {
            let tag = (digits.len() == 64).then(|| digits.parse().ok()).flatten();
            Ok(tag.ok_or_else(|| {
                WrongInput(format!(
                    "a tag of hexadecimal digits has 64 of them after 0x, not {}",
                    digits.len()
                ))
            })?)
        }
        None => Ok(keccak256(text)),
    }
}

/// Does something that needs no further questions. `is_undone` says whether what an earlier run of the same command has done has been
/// undone since.
async fn simply(
    writing: &Writing,
    request: Request,
    is_undone: impl AsyncFnOnce(&Desk<'_>) -> Result<bool>,
    ready: impl AsyncFnOnce(&Desk<'_>, &mut Answer) -> Result<Option<(SmartAccount, Vec<OwnerAction>)>>,
) -> Outcome {
    let mut answer = Answer::new();
    let prepared = async {
        let mut desk = writing.desk(request).await?;
        if let Some(taken) = desk.taken()? {
            if !desk.within(is_undone(&desk)).await? {
                answer = taken.answered();
                return Ok((desk, None));
            }
            print_note("an earlier run has done this, and it has been undone since: it is done again");
            desk.forget_taken().await;
        }
        desk.require_way()?;
        let Some((account, actions)) = desk.within(ready(&desk, &mut answer)).await? else {
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            return Ok((desk, None));
        };
        answer.data("account", account.address().to_string());
        if writing.dry_run {
            desk.dry(&mut answer, &account, actions).await?;
            return Ok((desk, None));
        }
        writing.consent(&answer, &desk.chain.settings.of_file)?;
        Ok((desk, Some((account, actions))))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    if let Some((account, actions)) = work {
        let carried = desk.carry_out(&account, actions, None, &answer).await;
        done(&mut answer, &carried.map_err(failed)?);
    }
    Ok(answer)
}
