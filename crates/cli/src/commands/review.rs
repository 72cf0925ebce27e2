//! The review page, on the loopback interface.

use super::{
    chain::Chain,
    offline,
    request::read_request,
    write::{Limits, facts_of},
};
use crate::{
    answer::{Answer, Tone, print_failure_line},
    failure::{Exit, Failure, WrongInput, asked_to_end},
    files::PolicyFile,
    settings::Sources,
};
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use session_key_client::{
    alloy::primitives::Address,
    permissions::{parse_address, policy::Facts},
};
use session_key_review::{Application, Approval, Review, Server};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(crate) struct ReviewArguments {
    /// Propose to change a key to exactly the permissions of a policy. Repeatable.
    #[arg(long, value_name = "KEY=POLICY", value_parser = parse_application)]
    apply: Vec<Proposal>,

    /// What happens to the amount used when a limit changes [default: chosen on the page].
    #[arg(long, value_enum, requires = "apply")]
    limits: Option<Limits>,

    /// Propose to approve a request for a session key. Repeatable.
    #[arg(long = "request", value_name = "FILE")]
    requests: Vec<PathBuf>,

    /// Propose this policy instead of what the request asks for; it must not allow more. With one --request.
    #[arg(long, value_name = "POLICY", requires = "requests")]
    policy: Option<PathBuf>,

    /// The port; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// A key and the policy to apply to it.
#[derive(Clone, Debug)]
struct Proposal {
    key: Address,
    policy: PathBuf,
}

fn parse_application(text: &str) -> Result<Proposal, String> {
    let (key, policy) = text
        .split_once('=')
        .ok_or_else(|| "expected KEY=POLICY".to_owned())?;
    if policy.is_empty() {
        return Err("expected a policy file after =".to_owned());
    }
    Ok(Proposal {
        key: parse_address(key).map_err(|error| error.to_string())?,
        policy: policy.into(),
    })
}

/// Serves the page until the process is asked to end.
pub(crate) async fn run(arguments: &ReviewArguments) -> ExitCode {
    let is_json = arguments.sources.json;
    let begun = arguments.sources.time_limit.all(begin(arguments));
    let (mut server, account, chain_id) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return print_failure_line(&Failure::before(&error), is_json).into(),
    };
    let mut is_first = true;
    loop {
        let address = tokio::select! {
            biased;
            asked = asked_to_end() => match asked {
                Ok(()) => return Exit::Done.into(),
                // Signals cannot be received: it serves until it is killed.
                Err(_) => server.next_address().await,
            },
            address = server.next_address() => address,
        };
        let mut answer = Answer::new();
        answer
            .data("ok", true)
            .data("url", &address)
            .data("account", account.to_string())
            .data("chainId", chain_id);
        if is_first {
            answer
                .heading(format!("The session keys of {account} (chain {chain_id})"))
                .raw(format!("  {address}"))
                .line(
                    Tone::Quiet,
                    0,
                    "Opens the page once, in one browser, from which it can be reloaded. Ends with Ctrl-C.",
                );
        } else {
            answer
                .line(
                    Tone::Plain,
                    0,
                    "Another browser asks for the page. To open it there:",
                )
                .raw(format!("  {address}"));
        }
        is_first = false;
        match answer.print_event(is_json) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return print_failure_line(&Failure::during(&[error.into()]), is_json).into(),
        }
    }
}

async fn begin(arguments: &ReviewArguments) -> Result<(Server, Address, u64)> {
    ensure!(
        arguments.policy.is_none() || arguments.requests.len() == 1,
        WrongInput("--policy answers one request: give one --request".to_owned())
    );
    let chain = Chain::connect(arguments.sources.settings()?).await?;
    let (account, has_keys) = chain.any_account().await?;
    let address = account.address();
    let mut review = Review::new(account).from_block(chain.settings.from_block);
    if !has_keys {
        review = review.without_session_keys();
    }
    for application in &arguments.apply {
        review = review.offer(proposed(&chain, address, application, arguments.limits).await?);
    }
    let narrower = arguments.policy.as_deref().map(PolicyFile::read).transpose()?;
    for path in &arguments.requests {
        review = review.offer(asked(&chain, address, path, narrower.as_ref()).await?);
    }
    if let Some(file) = narrower {
        // It is for the only request, whose text is in no policy file.
        review = review.keep_grants(move |_, grant| {
            let mut lock = file.lock()?;
            lock.put(grant.clone());
            Ok(file.write_lock(&lock)?)
        });
    }
    let server = review
        .serve(arguments.port)
        .await
        .wrap_err_with(|| format!("port {} of 127.0.0.1 cannot be listened on", arguments.port))?;
    Ok((server, address, chain.chain_id))
}

async fn proposed(
    chain: &Chain,
    account: Address,
    application: &Proposal,
    limits: Option<Limits>,
) -> Result<Application> {
    let file = PolicyFile::read(&application.policy)?;
    let lock = file.lock()?;
    let grant = lock.grant(chain.chain_id, account, application.key);
    let facts = facts_of(&file, chain, grant, None, false).await?;
    // A time that the policy needs and no lock file has is an error now, not on the page.
    file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
    Ok(Application {
        key: application.key,
        name: file.name.clone(),
        policy: file.policy,
        facts,
        limits: limits.map(Into::into),
    })
}

async fn asked(
    chain: &Chain,
    account: Address,
    path: &Path,
    narrower: Option<&PolicyFile>,
) -> Result<Approval> {
    let request = read_request(path)?;
    let need = request.verify(chain.chain_id, account, offline::now())?;
    let name = PathBuf::from("-");
    let file = PolicyFile::of_text(&name, request.policy_text().to_owned(), request.format())?;
    let mut facts = facts_of(&file, chain, None, None, false).await?;
    let narrower = match narrower {
        Some(file) => {
            // Tokens that only one of the two limits have their decimals, too.
            for token in file.policy.limited_tokens() {
                facts = decimals(chain, facts, token, file.policy.decimals(token)).await?;
            }
            for token in need.limited_tokens() {
                facts = decimals(chain, facts, token, need.decimals(token)).await?;
            }
            Some((file.name.clone(), file.policy.clone()))
        }
        None => None,
    };
    Ok(Approval {
        request,
        narrower,
        facts,
    })
}

/// Adds a token's decimals: by the token itself or, if it does not answer, as given.
async fn decimals(chain: &Chain, facts: Facts, token: Address, given: Option<u8>) -> Result<Facts> {
    Ok(match (chain.decimals(token).await, given) {
        (Ok(decimals), _) => facts.decimals(token, decimals),
        (Err(_), Some(_)) => facts,
        (Err(error), None) => return Err(error),
    })
}
