//! Granting a policy to a key.

use super::{
    Done, Writing,
    deferred::grant_deferred,
    desk::{Desk, Taken},
    done, failed, is_void,
    ledger::Request,
    no_key_yet,
    policy::{own_names, read_back, resolve, show_assumed, warnings_of},
    stand_in, tag_of,
};
use crate::{
    answer::{Answer, Tone},
    commands::{
        Outcome,
        chain::{Chain, Kind},
        not_begun, show,
    },
    failure::{Ended, NotReported, OfEarlierRun, WrongInput, is_passing},
    files::{PolicyFile, write_whole},
    report::print_note,
};
use clap::Args;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use session_key_client::{
    NewSessionKey, OwnerAction, SmartAccount,
    account::{ConnectError, Generation},
    alloy::primitives::{Address, B256, Bytes, U256, keccak256},
    deployment::manifest_hash,
    journal::IntentRecord,
    operation,
    permissions::{
        Permissions,
        lint::{Severity, Warning},
        parse_address,
        policy::{LockedGrant, PolicyLock, Resolved, parse_time},
    },
};
use std::{cell::Cell, path::PathBuf};

#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// The key. Without it, one is created in the keystore.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    key: Option<Address>,

    /// Override the policy's tag: 32 bytes, or a text to hash.
    #[arg(long)]
    tag: Option<String>,

    /// The account's owner, if the account does not exist yet [default: the signer].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// The account's salt, if the account does not exist yet.
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    #[command(flatten)]
    kind: Kind,

    /// Send nothing: sign a grant for the key's first operation, and write it to this file for the executing
    /// side. ERC-6900 v0.8 accounts only.
    #[arg(long, value_name = "FILE", requires = "deadline")]
    deferred: Option<PathBuf>,

    /// When a deferred grant expires: a time with its offset, such as 2027-03-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "deferred")]
    deadline: Option<u64>,

    #[command(flatten)]
    pub(crate) lints: Lints,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

impl GrantArguments {
    /// Returns owner, salt and kind of an account to create.
    pub(super) const fn new_account(&self) -> NewAccount {
        (self.owner, self.salt, self.kind)
    }

    /// Returns the key, if one is named.
    pub(super) const fn key(&self) -> Option<Address> {
        self.key
    }
}

/// How to treat a policy with lint errors.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Lints {
    /// With --yes, grant the policy despite lint errors. Without --yes, the question shows them.
    #[arg(long)]
    allow_lint_errors: bool,
}

impl Lints {
    /// Refuses lint errors that the user would not see.
    pub(super) fn check(
        self,
        writing: &Writing,
        file: &PolicyFile,
        warnings: &[Warning],
    ) -> Result<(), LintErrors> {
        let errors = warnings
            .iter()
            .filter(|warning| warning.severity == Severity::Error);
        let codes: Vec<String> = errors.map(|warning| warning.code.to_string()).collect();
        if !writing.yes || self.allow_lint_errors || codes.is_empty() {
            return Ok(());
        }
        Err(LintErrors {
            file: file.name.clone(),
            codes,
        })
    }
}

/// The user has not seen the lint errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "lint found errors in {file} ({}), and --yes would hide them, so nothing was signed: fix the policy, or add \
     --allow-lint-errors",
    codes.join(", ")
)]
pub(crate) struct LintErrors {
    file: String,
    codes: Vec<String>,
}

/// Owner, salt and kind of an account to create.
pub(super) type NewAccount = (Option<Address>, Option<U256>, Kind);

/// Refuses an account that is not the one that the options for its kind mean.
async fn check_kind(
    chain: &Chain,
    account: &SmartAccount,
    owner: Option<Address>,
    salt: Option<U256>,
    kind: Kind,
) -> Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let meant = if kind.eip7702 {
        owner
    } else {
        let salt = salt.or(chain.settings.salt).unwrap_or_default();
        chain.made_account(kind, owner, salt).await?.address()
    };
    ensure!(
        meant == account.address(),
        WrongInput(format!(
            "{} means the account {meant} of owner {owner}, but {} is given (by --account, SESSION_KEY_ACCOUNT or the \
             settings file): omit one",
            kind.option(),
            account.address()
        ))
    );
    Ok(())
}

/// Returns the account: by its address, or as the factory creates it for an owner.
pub(super) async fn account_to_grant_on(
    chain: &Chain,
    signer: Option<Address>,
    (owner, salt, kind): NewAccount,
) -> Result<SmartAccount> {
    if chain.settings.account.is_some() && owner.is_none() {
        match chain.account().await {
            Err(error) if matches!(error.downcast_ref(), Some(ConnectError::NotDeployed { .. })) => {}
            Ok(account) if kind.is_given() => {
                check_kind(chain, &account, chain.settings.owner.or(signer), salt, kind).await?;
                return Ok(account);
            }
            account => return account,
        }
    }
    let owner = owner.or(chain.settings.owner).or(signer);
    let owner =
        owner.ok_or_else(|| WrongInput("an account is needed: give --account, or --owner".to_owned()))?;
    let salt = salt.or(chain.settings.salt).unwrap_or_default();
    let made = chain.made_account(kind, owner, salt).await?;
    if let Some(expected) = chain.settings.account
        && expected != made.address()
    {
        bail!(
            "there is no account at {expected}; the account of owner {owner} with salt {salt} would be {}",
            made.address()
        );
    }
    if made.is_deployed().await? {
        let mut connected = chain.clone();
        connected.settings.account = Some(made.address());
        return connected.account().await;
    }
    ensure!(
        made.address_is_verified(),
        "only the node vouches for the address {}: create the account first (account new)",
        made.address()
    );
    Ok(made)
}

pub(crate) async fn grant(arguments: &GrantArguments) -> Outcome {
    let file = match PolicyFile::read(&arguments.policy) {
        Ok(file) => file,
        Err(error) => return not_begun(Err(error)),
    };
    let tag = match arguments.tag.as_deref().map(tag_of).transpose() {
        Ok(tag) => tag,
        Err(error) => return not_begun(Err(error)),
    };
    if let (Some(deferred), Some(deadline)) = (&arguments.deferred, arguments.deadline) {
        return grant_deferred(arguments, &file, tag, deferred, deadline).await;
    }
    grant_policy(
        &arguments.writing,
        &file,
        arguments.key,
        tag,
        arguments.new_account(),
        arguments.lints,
        None,
    )
    .await
}

/// A started grant: what must stay the same when the command is repeated, so that it continues.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Begun {
    session_key: Address,
    /// `None` once an attempt has definitely failed: the duration then starts with the next attempt.
    granted_at: Option<u64>,
    /// Whether it installs the plugin.
    installs: Option<bool>,
}

/// The file that notes a started grant: next to the journal, named by the command's input.
struct BegunNote(PathBuf);

impl BegunNote {
    fn of(
        desk: &Desk<'_>,
        file: &PolicyFile,
        account: Address,
        (key, tag): (Option<Address>, Option<B256>),
    ) -> Self {
        let asked = (desk.chain.chain_id, account, key, tag, &file.text);
        let hash = keccak256(serde_json::to_vec(&asked).unwrap_or_default());
        let folder = desk.journal();
        let folder = folder.parent().map(PathBuf::from).unwrap_or_default();
        Self(folder.join(format!("grant-{hash}.json")))
    }

    fn read(&self) -> Option<Begun> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn write(&self, begun: &Begun) -> Result<()> {
        if let Some(folder) = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string(begun)?;
        write_whole(&self.0, &text).wrap_err_with(|| format!("{}", self.0.display()))
    }

    /// Ends an attempt that failed for good. The key is kept for the next attempt.
    fn forget_attempt(&self, session_key: Address) {
        let begun = Begun {
            session_key,
            granted_at: None,
            installs: None,
        };
        // If this fails, so does the next attempt's own note, before anything is sent.
        let _ = self.write(&begun);
    }

    /// Removes the note of a settled grant.
    fn remove(&self) {
        // A note that remains is found settled by the next run.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Grants a policy to a key. `need`: the request's policy, if this answers a request.
pub(crate) async fn grant_policy(
    writing: &Writing,
    file: &PolicyFile,
    key: Option<Address>,
    tag: Option<B256>,
    (owner, salt, kind): NewAccount,
    lints: Lints,
    need: Option<&Permissions>,
) -> Outcome {
    struct Ready<'a> {
        desk: Desk<'a>,
        answer: Answer,
        account: SmartAccount,
        resolved: Resolved,
        now: u64,
        is_installed: bool,
        note: BegunNote,
        begun: Option<Begun>,
        /// What an earlier run did.
        taken: Option<Taken>,
        /// Lint errors that the user would not see.
        lint_errors: Result<(), LintErrors>,
    }
    let done_before: Cell<Option<Done>> = Cell::new(None);
    let ready = async {
        let mut request =
            json!({ "policy": file.text, "key": key, "tag": tag, "owner": owner, "salt": salt });
        kind.note_in(&mut request);
        let mut desk = writing.desk(Request::new("grant", request)).await?;
        desk.chain.settings.of_options(owner.is_some(), salt.is_some());
        desk.require_way()?;
        let taken = desk.taken.take();
        if let Some(Ok(taken)) = &taken {
            done_before.set(Some(taken.done));
        }
        desk.within(async {
            let chain = &desk.chain;
            let signer = if writing.dry_run {
                writing.owner().ok().map(|owner| owner.address())
            } else {
                Some(writing.owner()?.address())
            };
            let latest = chain.head().await?.timestamp;
            let account = account_to_grant_on(chain, signer, (owner, salt, kind)).await?;
            let note = BegunNote::of(&desk, file, account.address(), (key, tag));
            let mut begun = note.read().filter(|_| !writing.again && !writing.dry_run);
            let mut taken = match taken {
                None => None,
                Some(Ok(taken)) => Some(taken),
                Some(Err(error)) => {
                    if let Some(begun) = &begun {
                        note.forget_attempt(begun.session_key);
                    }
                    return Err(OfEarlierRun(error).into());
                }
            };
            // The record names the key as well: the note is removed first.
            let granted = taken.as_ref().and_then(|taken| {
                let key = taken.answer.text_of("sessionKey")?.parse::<Address>().ok();
                key.or_else(|| begun.as_ref().map(|begun| begun.session_key))
            });
            if let Some(granted) = granted
                && begun.as_ref().is_none_or(|begun| begun.session_key != granted)
            {
                let lock = file.lock()?;
                let entry = lock.grant(chain.chain_id, account.address(), granted);
                begun = Some(Begun {
                    session_key: granted,
                    granted_at: entry.map(|entry| entry.granted_at),
                    installs: None,
                });
                ensure!(
                    entry.is_some(),
                    "its note is gone, and no lock file of {} says when {granted} was granted: inspect shows its permissions",
                    file.name
                );
            }
            let named = key.or(begun.as_ref().map(|begun| begun.session_key));
            if let Some(key) = named {
                desk.settle_other_way(&account, Some(&[key])).await?;
            }
            if let Some(attempt) = begun.as_ref().filter(|begun| begun.granted_at.is_some()) {
                let fate = fate(&desk, &account, attempt, taken.is_some()).await?;
                match fate {
                    Fate::GoesOn => {}
                    Fate::Undone => {
                        print_note(&format!(
                            "an earlier run granted this to {}, which has been removed since: granting it again",
                            attempt.session_key
                        ));
                        desk.forget_taken().await;
                        done_before.set(None);
                        taken = None;
                        // A generated key may have been removed for a reason: create another.
                        if key.is_some() {
                            note.forget_attempt(attempt.session_key);
                            begun = note.read();
                        } else {
                            note.remove();
                            begun = None;
                        }
                    }
                    Fate::ByOthers => {
                        note.remove();
                        bail!(WrongInput(format!(
                            "{}, to which an earlier run started to grant this, is already a session key of {}, and nothing is open here: \
                             plan and apply change its permissions; repeating this command creates another key, unless one is named",
                            attempt.session_key,
                            account.address()
                        )));
                    }
                }
            }
            let is_done = taken.is_some();
            let now = begun
                .as_ref()
                .and_then(|begun| begun.granted_at)
                .unwrap_or(latest);
            let (resolved, names) = resolve(file, chain, None, Some(now), writing.yes && !is_done).await?;
            let permissions = &resolved.permissions;
            let names = match need {
                Some(_) => own_names(chain, file, permissions).await?,
                None => names,
            };
            if !is_done {
                permissions.check_not_over(latest)?;
            }
            let is_deployed = account.is_deployed().await?;
            let is_installed = is_deployed && account.is_session_key_plugin_installed().await?;
            if is_installed {
                let rules = session_key_client::explain::rule_set(&account).await?;
                permissions.check_for(rules, now)?;
            }
            // Reject what no plugin accepts before asking.
            permissions.encode()?;
            let goes_on = begun.as_ref().is_some_and(|begun| begun.granted_at.is_some());
            if let (Some(key), false, true) = (key, goes_on || is_done, is_installed) {
                ensure!(
                    !account.is_session_key(key).await?,
                    WrongInput(format!(
                        "{key} is already a session key of {}: plan and apply change its permissions",
                        account.address()
                    ))
                );
            }
            let mut answer = Answer::new();
            answer.heading(format!(
                "Grant on account {} (chain {})",
                account.address(),
                chain.chain_id
            ));
            match (key, &begun) {
                (Some(key), _) => answer.plain(format!("to session key {key}")),
                (None, Some(begun)) => {
                    answer.plain(format!("to session key {}, which an earlier run created", begun.session_key))
                }
                (None, None) => answer.plain("to a new session key in the keystore"),
            };
            if let (false, Some(delegate)) = (is_deployed, account.delegate()) {
                answer.line(
                    Tone::Doubt,
                    2,
                    format!(
                        "The account does not delegate yet (EIP-7702): from this operation on, it delegates to {delegate}."
                    ),
                );
            } else if !is_deployed {
                answer.line(Tone::Doubt, 2, "The account does not exist yet and is created.");
            }
            if !is_installed {
                answer.line(
                    Tone::Doubt,
                    2,
                    "The session key plugin is installed on the account.",
                );
            }
            for sentence in permissions.describe(&names) {
                answer.plain(sentence);
            }
            show_assumed(&mut answer, file, chain.chain_id, &resolved);
            let warnings = warnings_of(chain, file, permissions, need, now).await?;
            let lint_errors = if goes_on || is_done {
                Ok(())
            } else {
                lints.check(writing, file, &warnings)
            };
            show::show_warnings(&mut answer, &warnings, &names, Some((&file.name, &file.policy)));
            answer
                .data("account", account.address().to_string())
                .data("chainId", chain.chain_id)
                .data("words", permissions.describe(&names))
                .data(
                    "warnings",
                    show::warnings_json(&warnings, &names, Some(&file.policy)),
                );
            // A started grant continues unchanged.
            let is_installed = begun
                .as_ref()
                .and_then(|begun| begun.installs)
                .map_or(is_installed, |installs| !installs);
            Ok((
                answer,
                account,
                resolved,
                now,
                is_installed,
                note,
                begun,
                taken,
                lint_errors,
            ))
        })
        .await
        .map(
            |(answer, account, resolved, now, is_installed, note, begun, taken, lint_errors)| Ready {
                desk,
                answer,
                account,
                resolved,
                now,
                is_installed,
                note,
                begun,
                taken,
                lint_errors,
            },
        )
    };
    let Ready {
        desk,
        mut answer,
        account,
        resolved,
        now,
        is_installed,
        note,
        begun,
        taken,
        lint_errors,
    } = match ready.await {
        Ok(ready) => ready,
        Err(error) => {
            return Err(match done_before.take() {
                None => Ended::NotBegun(error),
                Some(taken) => not_reported_before(writing, &taken, &error).await,
            });
        }
    };
    let tag = tag.unwrap_or(resolved.tag);
    let actions = |key: Address| -> Result<Vec<OwnerAction>> {
        let new = NewSessionKey::new(key, &resolved.permissions)?.with_tag(tag);
        Ok(if is_installed {
            vec![OwnerAction::AddSessionKey(new)]
        } else {
            vec![OwnerAction::InstallSessionKeyPlugin {
                keys: vec![new],
                manifest_hash: Some(match account.generation() {
                    Generation::V08(_) => manifest_hash::SESSION_KEY_MODULE,
                    _ => manifest_hash::SESSION_KEY_PLUGIN,
                }),
                dependencies: None,
            }]
        })
    };
    if writing.dry_run {
        let dry = async {
            let shown = key.unwrap_or_default();
            let tried = match key {
                Some(_) => None,
                None => Some(actions(stand_in())?),
            };
            desk.dry(&mut answer, &account, actions(shown)?, tried).await?;
            if key.is_none() {
                answer.plain(no_key_yet());
            }
            let init_code = account.init_code().await?;
            if let Some((factory, call)) = init_code.split_at_checked(20) {
                let (factory, call) = (Address::from_slice(factory), Bytes::copy_from_slice(call));
                answer.plain(format!(
                    "before it, the call of {factory} that creates the account:"
                ));
                answer.raw(format!("  {call}"));
                let call = json!({ "target": factory.to_string(), "valueWei": "0", "data": call });
                answer.put_first("calls", call);
            }
            Ok(())
        };
        desk.within(dry).await.map_err(Ended::NotBegun)?;
        answer
            .data("sessionKey", key.map(|key| key.to_string()))
            .data("tag", tag);
        return Ok(answer);
    }
    lint_errors.map_err(|errors| failed(errors.into()))?;
    let lock_with = |key: Address| -> Result<PolicyLock> {
        let mut lock = file.lock()?;
        let mut entry = LockedGrant::new(desk.chain.chain_id, account.address(), key, now);
        entry.tag = tag;
        entry.valid_until = resolved
            .permissions
            .time_range
            .map_or(0, |range| range.valid_until);
        entry.decimals = resolved.assumed_decimals.clone();
        lock.put(entry);
        Ok(lock)
    };
    let prepared = async {
        if taken.is_some() {
            let begun = begun.as_ref().map(|begun| begun.session_key);
            let key = begun
                .or(key)
                .ok_or_else(|| eyre!("its note is gone: inspect shows the key that it was granted to"))?;
            return Ok((key, Vec::new()));
        }
        if key.is_none() && begun.is_none() {
            desk.keystore.check()?;
        }
        // A started grant may be signed already: it is reported even if the lock file cannot be written.
        if begun.as_ref().is_none_or(|begun| begun.granted_at.is_none()) {
            file.check_lock_can_be_written(&lock_with(key.unwrap_or_default())?)?;
        }
        writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        let key = match (key, &begun) {
            (Some(key), _) => key,
            (None, Some(begun)) => begun.session_key,
            (None, None) => desk.generate()?,
        };
        note.write(&Begun {
            session_key: key,
            granted_at: Some(now),
            installs: Some(!is_installed),
        })?;
        Ok((key, actions(key)?))
    };
    let (key, actions) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            return Err(match &taken {
                Some(taken) => not_reported_before(writing, &taken.done, &error).await,
                None => {
                    if desk.discard_generated(&error) {
                        note.remove();
                    }
                    Ended::NotBegun(error)
                }
            });
        }
    };
    let was_done = taken.is_some();
    let (user_op_hash, transaction_hash) = if let Some(taken) = taken {
        answer = taken.answered();
        (None, taken.done.transaction_hash)
    } else {
        let name = operation_name(key, now);
        answer.data("sessionKey", key.to_string()).data("tag", tag);
        let carried = desk
            .carry_out(&account, actions, Some(name), &answer)
            .await
            .map_err(|error| {
                if desk.discard_generated(&error) {
                    note.remove();
                } else if is_void(&error) && !desk.is_kept(&error) {
                    note.forget_attempt(key);
                }
                failed(error)
            })?;
        done(&mut answer, &carried);
        (carried.user_op_hash, carried.transaction_hash)
    };
    answer
        .raw(key.to_string())
        .data("sessionKey", key.to_string())
        .data("tag", tag);

    // It is done: an error from here on is a failure to report.
    let not_reported = |error: eyre::Report| {
        failed(eyre!(NotReported {
            what: format!("the key was granted ({key}), but {error:#}"),
            user_op_hash,
            transaction_hash,
        }))
    };
    let lock = lock_with(key).map_err(not_reported)?;
    file.write_lock(&lock).map_err(not_reported)?;
    if let Err(error) = read_back(&desk.chain, account.address(), key, &resolved.permissions).await {
        // If an earlier run's grant cannot be read back now, it never can.
        if was_done && !is_passing(&error) {
            desk.forget_taken().await;
            note.remove();
        }
        return Err(not_reported(error));
    }
    writing.told.file(note.0);
    Ok(answer)
}

/// An earlier run granted the key, and that cannot be reported.
async fn not_reported_before(writing: &Writing, taken: &Done, error: &eyre::Report) -> Ended {
    let what = "an earlier run granted the key";
    failed(writing.not_reported(taken, what, error).await.into())
}

/// Returns the name of the granting operation.
fn operation_name(key: Address, granted_at: u64) -> String {
    format!("grant {key} {granted_at}")
}

/// The state of a started grant.
enum Fate {
    /// It continues, or was done and still holds.
    GoesOn,
    /// It was done, but the key was removed since.
    Undone,
    /// The key is registered, but not by this command.
    ByOthers,
}

async fn fate(desk: &Desk<'_>, account: &SmartAccount, begun: &Begun, is_done: bool) -> Result<Fate> {
    let is_registered = account.is_deployed().await?
        && account.is_session_key_plugin_installed().await?
        && account.is_session_key(begun.session_key).await?;
    let record = match begun.granted_at {
        Some(granted_at) if !desk.is_direct && desk.chain.bundler.is_some() => {
            let client = desk.client(account, desk.writing.owner()?).await?;
            client
                .named(&operation_name(begun.session_key, granted_at))
                .await?
        }
        _ => None,
    };
    let has_done_it = |record: &IntentRecord| matches!(record.outcome(), operation::Outcome::Included(included) if included.success);
    Ok(match (is_registered, is_done, &record) {
        (true, false, None) => Fate::ByOthers,
        (false, true, _) => Fate::Undone,
        (false, false, Some(record)) if has_done_it(record) => Fate::Undone,
        _ => Fate::GoesOn,
    })
}
