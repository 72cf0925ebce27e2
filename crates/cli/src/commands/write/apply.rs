//! Planning changes to a key, and applying them.

use super::{
    Writing,
    desk::Desk,
    done, failed,
    grant::Lints,
    ledger::Request,
    policy::{read_back, resolve, show_assumed, warnings_of},
};
use crate::{
    answer::{Answer, Tone, hashes},
    commands::{ASKING, Outcome, chain::Chain, not_begun, show, waited},
    failure::{Ended, NotReported, WrongInput},
    files::PolicyFile,
    report::print_note,
    settings::Sources,
};
use clap::{Args, ValueEnum};
use eyre::{Result, bail, ensure, eyre};
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, SmartAccount,
    alloy::primitives::{Address, B256},
    permissions::{
        lint::Warning,
        parse_address,
        plan::{LimitMode, Plan},
        policy::Resolved,
        words::Names,
    },
};
use std::path::PathBuf;

/// What happens to the amount used when a limit changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Limits {
    /// Keep the amount used until its interval ends; an interval that is over is cleared.
    Keep,
    /// Clear the amount used.
    Afresh,
    /// Only set the limit: the plugin counts the use of an interval that is over again.
    Raw,
}

impl From<Limits> for LimitMode {
    fn from(limits: Limits) -> Self {
        match limits {
            Limits::Keep => Self::Keep,
            Limits::Afresh => Self::Afresh,
            Limits::Raw => Self::Raw,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// Exit with code 1 if something would change.
    #[arg(long)]
    check: bool,

    /// What happens to the amount used when a limit changes. Required if any of it is used.
    #[arg(long, value_enum)]
    limits: Option<Limits>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// What happens to the amount used when a limit changes. Required if any of it is used.
    #[arg(long, value_enum)]
    limits: Option<Limits>,

    #[command(flatten)]
    lints: Lints,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Requires `--limits` if a changed limit has an amount used.
fn require_mode(plan: &Plan, limits: Option<Limits>) -> Result<()> {
    let touches_use = plan.changes().iter().any(|change| {
        let keeps_limit = change.after != session_key_client::permissions::plan::Setting::Limit(None);
        keeps_limit
            && change
                .limit
                .is_some_and(|effect| !effect.used_before.is_zero() || !effect.used_after.is_zero())
    });
    ensure!(
        limits.is_some() || !touches_use,
        WrongInput(
            "a changed limit has an amount used: choose what happens to it with --limits keep, afresh or raw"
                .to_owned()
        )
    );
    Ok(())
}

/// Warns if the policy's tag differs: only a new grant sets a tag.
fn show_other_tag(answer: &mut Answer, tag: Option<B256>) {
    if let Some(tag) = tag {
        answer.line(
            Tone::Doubt,
            2,
            format!(
                "The key's tag, {tag}, differs from the policy's and stays: only a new grant sets a tag."
            ),
        );
    }
    answer.data("otherTag", tag);
}

/// Shows the lint warnings of a policy.
fn warn(answer: &mut Answer, warnings: &[Warning], names: &Names, file: &PolicyFile) {
    show::show_warnings(answer, warnings, names, Some((&file.name, &file.policy)));
    let warnings = show::warnings_json(warnings, names, Some(&file.policy));
    answer.data("warnings", warnings);
}

/// A plan, and the data it is based on.
struct Planned {
    account: SmartAccount,
    plan: Plan,
    names: Names,
    resolved: Resolved,
    /// The key's tag, if the policy has a different one.
    other_tag: Option<B256>,
    /// The block at which the key was read.
    block: u64,
}

/// Plans from the key's current state.
async fn planned(
    chain: &Chain,
    file: &PolicyFile,
    key: Address,
    limits: Option<Limits>,
    needs_decimals: bool,
) -> Result<Planned> {
    let (account, block, found) = chain.inspect_key(key).await?;
    if let Some(missing) = found.missing.first() {
        bail!("the permissions of {key} are not fully known: {missing}");
    }
    let lock = file.lock()?;
    let grant = lock.grant(chain.chain_id, account.address(), key);
    let (resolved, names) = resolve(file, chain, grant, None, needs_decimals).await?;
    // Without `--limits`, a plan is shown only if the mode makes no difference.
    let mode = limits.map_or(LimitMode::Raw, LimitMode::from);
    let plan = Plan::new(&found.state, &resolved.permissions, mode, block.timestamp)?;
    let names = chain.names([&found.state], names).await;
    // A policy without a tag does not conflict.
    let other_tag = found
        .tag
        .filter(|tag| file.policy.tag().is_some() && *tag != resolved.tag);
    Ok(Planned {
        account,
        plan,
        names,
        resolved,
        other_tag,
        block: block.number,
    })
}

pub(crate) async fn plan(arguments: &PlanArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    let planning = async {
        let chain = Chain::connect(arguments.sources.settings()?).await?;
        let file = PolicyFile::read(&arguments.policy)?;
        let Planned {
            account,
            plan,
            names,
            resolved,
            other_tag,
            block,
        } = planned(&chain, &file, arguments.key, arguments.limits, false).await?;
        let warnings = warnings_of(&chain, &file, &resolved.permissions, None, plan.at()).await?;
        if !arguments.check {
            require_mode(&plan, arguments.limits)?;
        }
        let mut answer = Answer::new();
        answer.heading(format!(
            "{} on account {}, as {} says, at block {block}",
            arguments.key,
            account.address(),
            file.name
        ));
        show_assumed(&mut answer, &file, account.chain_id(), &resolved);
        show_other_tag(&mut answer, other_tag);
        show::show_plan(&mut answer, &plan, &names);
        for update in plan.updates().encode()? {
            answer.line(Tone::Quiet, 4, update.to_string());
        }
        warn(&mut answer, &warnings, &names, &file);
        show::plan_json(&mut answer, &plan, &names)?;
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("block", block)
            .data("time", plan.at())
            .data("changed", !plan.is_empty());
        answer.no(arguments.check && !plan.is_empty());
        Ok(answer)
    };
    not_begun(waited(ASKING, limit.all(planning)).await)
}

/// The remaining work.
enum Work {
    /// None: the key matches the policy, an earlier run did it, or this is a dry run.
    Nothing,
    /// Change the key.
    Change(SmartAccount, Vec<OwnerAction>, Resolved),
}

/// Returns what an earlier run of the same command did, if the key still matches the policy.
async fn done_before(
    desk: &mut Desk<'_>,
    arguments: &ApplyArguments,
    file: &PolicyFile,
) -> Result<Option<Answer>> {
    let Some(taken) = desk.taken()? else {
        return Ok(None);
    };
    let planned = planned(&desk.chain, file, arguments.key, arguments.limits, false);
    match desk.within(planned).await {
        Ok(Planned { plan, .. }) if plan.is_empty() => Ok(Some(taken.answered())),
        Ok(_) => {
            print_note("an earlier run did this, but the key has changed since: changing it again");
            desk.forget_taken().await;
            Ok(None)
        }
        Err(error) => {
            let what = "an earlier run made the change";
            bail!(arguments.writing.not_reported(&taken.done, what, &error).await);
        }
    }
}

pub(crate) async fn apply(arguments: &ApplyArguments) -> Outcome {
    let writing = &arguments.writing;
    let ready = async {
        let file = PolicyFile::read(&arguments.policy)?;
        let request = json!({
            "key": arguments.key,
            "policy": file.text,
            "limits": arguments.limits.map(|limits| format!("{limits:?}")),
        });
        let mut desk = writing.desk(Request::new("apply", request)).await?;
        if let Some(answer) = done_before(&mut desk, arguments, &file).await? {
            return Ok((desk, answer, Work::Nothing));
        }
        desk.require_way()?;
        let account = desk.within(desk.chain.account()).await?;
        desk.settle_other_way(&account, Some(&[arguments.key])).await?;
        let Planned {
            account,
            plan,
            names,
            resolved,
            other_tag,
            ..
        } = desk
            .within(planned(
                &desk.chain,
                &file,
                arguments.key,
                arguments.limits,
                writing.yes,
            ))
            .await?;
        require_mode(&plan, arguments.limits)?;
        let warnings = desk
            .within(warnings_of(
                &desk.chain,
                &file,
                &resolved.permissions,
                None,
                plan.at(),
            ))
            .await?;
        let mut answer = Answer::new();
        answer.heading(format!(
            "Change {} on account {}",
            arguments.key,
            account.address()
        ));
        show_assumed(&mut answer, &file, account.chain_id(), &resolved);
        show_other_tag(&mut answer, other_tag);
        show::show_plan(&mut answer, &plan, &names);
        warn(&mut answer, &warnings, &names, &file);
        show::plan_json(&mut answer, &plan, &names)?;
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("changed", !plan.is_empty());
        let actions = |plan: &Plan| {
            vec![OwnerAction::UpdateKeyPermissions {
                key: arguments.key,
                updates: plan.updates(),
            }]
        };
        if plan.is_empty() {
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            return Ok((desk, answer, Work::Nothing));
        }
        if writing.dry_run {
            desk.dry(&mut answer, &account, actions(&plan), None).await?;
            return Ok((desk, answer, Work::Nothing));
        }
        arguments.lints.check(writing, &file, &warnings)?;
        writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        // The key may have been used or changed while the user was reading.
        let Planned { plan: again, .. } = desk
            .within(planned(
                &desk.chain,
                &file,
                arguments.key,
                arguments.limits,
                writing.yes,
            ))
            .await?;
        require_mode(&again, arguments.limits)?;
        ensure!(
            again.updates() == plan.updates() || writing.yes,
            WrongInput(
                "the key changed in the meantime, so nothing was signed: run the command again".to_owned()
            )
        );
        Ok((desk, answer, Work::Change(account, actions(&again), resolved)))
    };
    let (desk, mut answer, work) = ready.await.map_err(Ended::NotBegun)?;
    let (account, carried, resolved) = match work {
        Work::Nothing => return Ok(answer),
        Work::Change(account, actions, resolved) => {
            let carried = desk.carry_out(&account, actions, None, &answer).await;
            let carried = carried.map_err(failed)?;
            done(&mut answer, &carried);
            (account.address(), carried, resolved)
        }
    };
    let read_back = read_back(&desk.chain, account, arguments.key, &resolved.permissions);
    read_back.await.map_err(|error| {
        failed(eyre!(NotReported {
            what: format!("the change was made, but {error:#}"),
            user_op_hash: carried.user_op_hash,
            transaction_hash: carried.transaction_hash,
        }))
    })?;
    Ok(answer)
}
