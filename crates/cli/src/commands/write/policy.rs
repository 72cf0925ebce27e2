//! Policies of keys on a chain: resolved, shown, read back.

use crate::{
    answer::{Answer, Tone},
    commands::chain::Chain,
    failure::WrongInput,
    files::PolicyFile,
};
use eyre::{Result, bail, ensure};
use session_key_client::{
    alloy::primitives::Address,
    inspect::InspectOptions,
    permissions::{
        KeyState, Permissions,
        lint::{Lint, Warning},
        plan::is_as,
        policy::{Facts, LockedGrant, Resolved},
        words::Names,
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Resolves a policy for a key that is granted now, or was.
pub(super) async fn resolve(
    file: &PolicyFile,
    chain: &Chain,
    grant: Option<&LockedGrant>,
    granted_at: Option<u64>,
    needs_decimals: bool,
) -> Result<(Resolved, Names)> {
    let mut facts = match grant {
        Some(grant) => grant.facts(),
        None => granted_at.map_or_else(Facts::new, |time| Facts::new().granted_at(time)),
    }
    .native_symbol(chain.symbol());
    // Where the file says them, the token must agree: other decimals are other powers of ten. One that does not answer cannot.
    for token in file.policy.limited_tokens() {
        if file.policy.decimals(token).is_some()
            && let Ok(decimals) = chain.decimals(token).await
        {
            facts = facts.decimals(token, decimals);
        }
    }
    let mut locked = file.locked_decimals(chain.chain_id)?;
    locked.extend(grant.iter().flat_map(|grant| grant.decimals.clone()));
    for token in file.policy.tokens_without_decimals() {
        let said = chain.decimals(token).await;
        if let Some(locked) = locked.get(&token).copied() {
            // One that does not answer cannot disagree.
            if let Ok(said) = said {
                ensure!(
                    said == locked,
                    WrongInput(format!(
                        "{}: token {token} has {said} decimals, by what the node says, and {locked} by {}.lock",
                        file.name, file.name
                    ))
                );
            }
            facts = facts.decimals(token, locked);
            continue;
        }
        let decimals = said?;
        ensure!(
            !needs_decimals,
            WrongInput(format!(
                "{}: the decimals of {token} are neither in the file nor in its lock file, and with --yes the node's word ({decimals}) \
                 is not taken: put them into [tokens.…]",
                file.name
            ))
        );
        facts = facts.decimals(token, decimals);
    }
    let resolved = file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
    Ok((resolved, file.policy.names(&facts)))
}

/// A key that has just got these permissions.
pub(super) fn state_of(permissions: &Permissions) -> Result<KeyState> {
    let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
    state.apply(&permissions.updates().collect(), 0)?;
    Ok(state)
}

/// What lint says of a policy on this chain.
pub(super) async fn warnings_of(
    chain: &Chain,
    file: &PolicyFile,
    permissions: &Permissions,
    need: Option<&Permissions>,
    now: u64,
) -> Result<Vec<Warning>> {
    let mut lint = Lint::new(permissions)
        .at(now)
        .nfts(chain.nfts([&state_of(permissions)?]).await?)
        .tokens(file.policy.token_names().map(|(token, _)| token));
    if let Some(need) = need {
        lint = lint.need(need);
    }
    Ok(lint.run())
}

/// Names for what somebody else asks for: those that tokens give themselves, not those that the request gives them.
pub(super) async fn own_names(chain: &Chain, file: &PolicyFile, permissions: &Permissions) -> Result<Names> {
    let state = state_of(permissions)?;
    let signatures = file.policy.signatures();
    let names = signatures.fold(Names::new(), |names, (selector, signature)| {
        names.function(selector, signature)
    });
    Ok(chain.names([&state], names).await)
}

/// Shows keys of the account, and what they may do, to whoever is about to take it from them. That it cannot be read does not keep
/// anybody from it.
pub(super) async fn show_permissions(chain: &Chain, answer: &mut Answer, keys: &[Address]) {
    /// How long is waited for it.
    const PATIENCE: Duration = Duration::from_secs(10);
    let mut states = BTreeMap::new();
    let mut known = Names::new();
    if !keys.is_empty() {
        let reading = async {
            let options = InspectOptions::new().keys(keys.iter().copied());
            let (_, inspection) = chain.inspect(options).await?;
            let found = inspection.keys().iter().map(|key| &key.state);
            let names = chain.names(found.clone(), Names::new()).await;
            let states: BTreeMap<Address, KeyState> =
                found.map(|state| (state.session_key, state.clone())).collect();
            Ok::<_, eyre::Report>((states, names))
        };
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => (states, known) = read,
            Ok(Err(_)) | Err(_) => {
                answer.line(Tone::Doubt, 2, "It could not be read what they may do.");
            }
        }
    }
    for key in keys {
        answer.plain(key.to_string());
        for sentence in states
            .get(key)
            .into_iter()
            .flat_map(|state| state.describe(&known))
        {
            answer.line(Tone::Quiet, 4, sentence);
        }
    }
}

/// Says which amounts depend on what stands neither in the file nor in its lock file.
pub(super) fn show_assumed(answer: &mut Answer, file: &PolicyFile, chain_id: u64, resolved: &Resolved) {
    // A lock file that cannot be read has been an error before.
    let locked = file.locked_decimals(chain_id).unwrap_or_default();
    for (token, decimals) in &resolved.assumed_decimals {
        let limit = resolved
            .permissions
            .erc20_spend_limits
            .iter()
            .find(|limit| limit.token == *token);
        if let Some(limit) = limit {
            let (tone, by) = if locked.get(token) == Some(decimals) {
                (Tone::Quiet, "by the lock file")
            } else {
                (Tone::Doubt, "by what the node says")
            };
            answer.line(
                tone,
                2,
                format!(
                    "token {token} has {decimals} decimals, {by}: the limit is {} base units",
                    limit.limit.spend_limit
                ),
            );
        }
    }
}

/// Whether the key has what it was given.
pub(super) async fn read_back(
    chain: &Chain,
    account: Address,
    key: Address,
    permissions: &Permissions,
) -> Result<()> {
    let mut chain = chain.clone();
    chain.settings.account = Some(account);
    let (_, _, found) = chain.inspect_key(key).await?;
    if let Some(missing) = found.missing.first() {
        bail!("it could not be read back: {missing}");
    }
    ensure!(
        is_as(&found.state, permissions),
        "the key does not have these permissions: something has changed them since"
    );
    Ok(())
}
