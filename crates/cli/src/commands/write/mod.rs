//! Commands of an owner, such as grant, apply, rotate and revoke.

mod account;
mod apply;
mod deferred;
mod desk;
mod grant;
mod ledger;
mod other_way;
mod policy;
mod reset;
mod revoke;
mod rotate;
mod unblock;

pub(crate) use account::{NewAccountArguments, new_account};
pub(crate) use apply::{ApplyArguments, Limits, PlanArguments, apply, plan};
pub(crate) use grant::{GrantArguments, LintErrors, Lints, grant, grant_policy};
pub(crate) use policy::facts_of;
pub(crate) use reset::{ResetArguments, reset};
pub(crate) use revoke::{RevokeArguments, revoke};
pub(crate) use rotate::{RotateArguments, rotate};
pub(crate) use unblock::{UnblockArguments, unblock};

use super::{ASKING, Outcome, chain::Chain, keys::Keystore, waited};
use crate::{
    answer::{Answer, Tone, hashes},
    failure::{Ended, Exit, Failure, Interrupted, NotReported, WrongInput, is_passing},
    settings::{Settings, Sources},
};
use clap::Args;
use desk::{Desk, Taken};
use eyre::{Result, bail, ensure, eyre};
use ledger::{BegunNotes, Ledger, Request, Told, share};
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
    io::{IsTerminal as _, Write as _, stderr, stdin, stdout},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use tokio::sync::oneshot;

/// The spinner's message after something was sent.
const INCLUSION: &str = "waiting until it is in a block";
/// Environment variable with the owner's private key.
const OWNER: &str = "SESSION_KEY_OWNER";
/// Environment variable with the password of the owner's keystore.
const OWNER_PASSWORD: &str = "SESSION_KEY_OWNER_PASSWORD";

/// Options of commands that write.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) sources: Sources,

    /// The owner's encrypted keystore file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it,
    /// the owner's private key is read from SESSION_KEY_OWNER.
    #[arg(long, value_name = "FILE")]
    owner_keystore: Option<PathBuf>,

    /// Do not ask. Required without a terminal.
    #[arg(long)]
    yes: bool,

    /// Show what would be done, without doing it.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// Send a plain transaction from the owner instead of an operation; no bundler is needed.
    #[arg(long)]
    direct: bool,

    /// Run it once more, even if the same command is still open.
    #[arg(long)]
    again: bool,

    /// The file that records operations before they are sent [default: journal.sqlite in the keystore's
    /// folder].
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    #[command(flatten)]
    keystore: Keystore,

    /// Records to forget once the answer is printed.
    #[arg(skip)]
    pub(crate) told: Told,

    /// What has been signed so far.
    #[arg(skip)]
    pub(crate) signed: Signed,
}

/// What a command has signed so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signed(Arc<Mutex<SignedSoFar>>);

#[derive(Clone, Copy, Debug, Default)]
struct SignedSoFar {
    is_anything: bool,
    /// The last operation signed.
    operation: Option<B256>,
    /// The last transaction signed.
    transaction: Option<B256>,
}

impl Signed {
    fn so_far(&self) -> MutexGuard<'_, SignedSoFar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_anything(&self) -> bool {
        self.so_far().is_anything
    }

    fn anything(&self) {
        self.so_far().is_anything = true;
    }

    fn operation(&self, hash: B256) {
        let mut signed = self.so_far();
        signed.is_anything = true;
        signed.operation = Some(hash);
    }

    fn transaction(&self, hash: B256) {
        let mut signed = self.so_far();
        signed.is_anything = true;
        signed.transaction = Some(hash);
    }

    /// Clears it: what was signed is settled, or was never sent.
    fn nothing(&self) {
        *self.so_far() = SignedSoFar::default();
    }

    /// Returns the error of an interruption at this point.
    pub(crate) fn interrupted(&self) -> Interrupted {
        let signed = *self.so_far();
        Interrupted {
            has_signed: signed.is_anything,
            user_op_hash: signed.operation,
            transaction_hash: signed.transaction,
        }
    }
}

/// The result of what was done.
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

    /// Connects for signing without sending: no journal is opened.
    async fn offline_desk(&self, request: &Request) -> Result<Desk<'_>> {
        let settings = self.settings()?;
        let mut chain = waited(ASKING, self.sources.time_limit.all(Chain::connect(settings))).await?;
        let given = self.keystore.folder.clone();
        if given.is_some() {
            chain.settings.is_given("keystore");
        }
        let keystore = Keystore {
            folder: given.or_else(|| chain.settings.keystore.clone()),
        };
        let desk = Desk {
            writing: self,
            chain,
            keystore,
            signed: self.signed.clone(),
            is_direct: self.direct || request.is_always_direct,
            command: request.command,
            ledger: None,
            notes: None,
            shared: None,
            generated: Mutex::default(),
            taken: None,
        };
        Ok(desk)
    }

    /// Connects, and first settles what an earlier run signed.
    async fn desk(&self, request: Request) -> Result<Desk<'_>> {
        let mut desk = self.offline_desk(&request).await?;
        if self.dry_run {
            return Ok(desk);
        }
        // What an earlier run sent is settled first: everything read below reflects it.
        if desk.is_direct {
            let (path, sender) = (desk.journal(), self.owner()?.address());
            desk.ledger = Some(Ledger::open(path, &desk.chain, sender, request, self.told.clone()).await?);
            if !self.again {
                desk.take_up().await?;
            }
        } else if desk.chain.bundler.is_some() {
            let (path, signer) = (desk.journal(), self.owner()?.address());
            desk.notes = Some(BegunNotes::open(&path, request.hash(&desk.chain), signer).await?);
            desk.shared = Some(share(&path).await?);
            if !self.again {
                desk.go_on().await?;
            }
        }
        Ok(desk)
    }

    /// Reports that an earlier run succeeded but cannot be reported. Unless the error is temporary, the next
    /// run does not try again.
    async fn not_reported(&self, taken: &Done, what: &str, error: &eyre::Report) -> NotReported {
        let next = if is_passing(error) {
            ""
        } else {
            self.told.forget().await;
            "; the next run will not report it again"
        };
        NotReported {
            what: format!("{what}, but {error:#}{next}"),
            user_op_hash: taken.user_op_hash,
            transaction_hash: taken.transaction_hash,
        }
    }

    /// Returns the account's signer.
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
                "an owner must sign: set {OWNER} to its private key, or give --owner-keystore"
            ))
        })?;
        let wrong = || {
            WrongInput(format!(
                "{OWNER} is not a private key: it takes 64 hex digits, with or without 0x"
            ))
        };
        Ok(key.trim().parse().map_err(|_| wrong())?)
    }

    /// Shows what is about to be signed, on standard output, before it is. If that cannot be written, the
    /// answer will not be either.
    fn announce(&self, answer: &mut Answer) {
        if !self.sources.json && answer.print_part().is_ok() {
            answer.is_shown();
        }
    }

    /// Asks for confirmation, unless `--yes` was given: then it only shows what will be signed. On a
    /// terminal, the shown part of the answer is not printed again.
    async fn consent(&self, answer: &mut Answer, of_file: &[String]) -> Result<()> {
        if self.yes {
            self.announce(answer);
            return Ok(());
        }
        ensure!(
            stdin().is_terminal() && stderr().is_terminal(),
            WrongInput("there is no terminal to ask on, so nothing was signed: add --yes".to_owned())
        );
        let mut out = stderr().lock();
        writeln!(out, "{}", answer.text())?;
        let config = self.sources.config.as_deref();
        let file = config.unwrap_or(Path::new(crate::settings::FILE)).display();
        for value in of_file {
            writeln!(out, "from {file}: {value}")?;
        }
        write!(out, "Go on? [y/N] ")?;
        out.flush()?;
        drop(out);
        // Read in its own thread: the waiting task stays interruptible.
        let (tell, told) = oneshot::channel();
        thread::spawn(move || {
            let mut said = String::new();
            let _ = tell.send(stdin().read_line(&mut said).map(|_| said));
        });
        let said = told.await.map_err(|_| eyre!("the reply could not be read"))??;
        ensure!(
            matches!(said.trim(), "y" | "Y" | "yes"),
            WrongInput("not confirmed, so nothing was signed".to_owned())
        );
        if stdout().is_terminal() {
            answer.is_shown();
        }
        Ok(())
    }
}

/// Returns a placeholder key that no one holds, to simulate with before a key is created.
fn stand_in() -> Address {
    PrivateKeySigner::random().address()
}

/// Says that a dry run creates no key.
fn no_key_yet() -> String {
    format!(
        "The key is created when the command runs: {} stands in for it in the call data.",
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

/// Whether it definitely had no effect.
fn is_void(error: &eyre::Report) -> bool {
    Failure::during(std::slice::from_ref(error)).exit != Exit::Open
}

/// An error after something was sent.
fn failed(error: eyre::Report) -> Ended {
    Ended::Failed(vec![error])
}

/// Parses 32 bytes verbatim, and hashes anything else.
fn tag_of(text: &str) -> Result<B256> {
    let hex = text
        .strip_prefix("0x")
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    match hex {
        Some(digits) => {
            let tag = (digits.len() == 64).then(|| digits.parse().ok()).flatten();
            Ok(tag.ok_or_else(|| {
                WrongInput(format!(
                    "a hexadecimal tag has 64 digits after 0x, not {}",
                    digits.len()
                ))
            })?)
        }
        None => Ok(keccak256(text)),
    }
}

/// Runs a command that asks no further questions, for these keys, or all. `is_undone` says whether the effect
/// of an earlier run of the same command has been undone since.
async fn simply(
    writing: &Writing,
    request: Request,
    keys: Option<&[Address]>,
    is_undone: impl AsyncFnOnce(&Desk<'_>, &Taken) -> Result<bool>,
    ready: impl AsyncFnOnce(&Desk<'_>, &mut Answer) -> Result<Option<(SmartAccount, Vec<OwnerAction>)>>,
) -> Outcome {
    let mut answer = Answer::new();
    let prepared = async {
        let mut desk = writing.desk(request).await?;
        if let Some(taken) = desk.standing(is_undone).await? {
            answer = taken.answered();
            return Ok((desk, None));
        }
        desk.require_way()?;
        let account = desk.within(desk.chain.account()).await?;
        let endings = desk.within(desk.endings(&account, keys)).await?;
        if endings.is_empty() {
            desk.settle_other_way(&account, keys).await?;
        }
        let Some((account, mut actions)) = desk.within(ready(&desk, &mut answer)).await? else {
            // There is nothing to end it with.
            if !endings.is_empty() {
                desk.settle_other_way(&account, keys).await?;
                bail!(WrongInput(
                    "the open operations are settled now, so nothing was signed: run the command again"
                        .to_owned()
                ));
            }
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            return Ok((desk, None));
        };
        actions.extend(endings);
        answer.data("account", account.address().to_string());
        if writing.dry_run {
            desk.dry(&mut answer, &account, actions, None).await?;
            return Ok((desk, None));
        }
        writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        Ok((desk, Some((account, actions))))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    if let Some((account, actions)) = work {
        let carried = desk.carry_out(&account, actions, None, &answer).await;
        done(&mut answer, &carried.map_err(failed)?);
    }
    Ok(answer)
}
