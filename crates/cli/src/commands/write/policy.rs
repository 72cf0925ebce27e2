//! Policies of keys on a chain: resolving, showing, reading back.

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

/// Resolves a policy for a key granted now, or already granted.
pub(super) async fn resolve(
    file: &PolicyFile,
    chain: &Chain,
    grant: Option<&LockedGrant>,
    granted_at: Option<u64>,
    needs_decimals: bool,
) -> Result<(Resolved, Names)> {
    let facts = facts_of(file, chain, grant, granted_at, needs_decimals).await?;
    let resolved = file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
    Ok((resolved, file.policy.names(&facts)))
}

/// Gathers what a policy is completed with.
pub(crate) async fn facts_of(
    file: &PolicyFile,
    chain: &Chain,
    grant: Option<&LockedGrant>,
    granted_at: Option<u64>,
    needs_decimals: bool,
) -> Result<Facts> {
    let mut facts = match grant {
        Some(grant) => grant.facts(),
        None => granted_at.map_or_else(Facts::new, |time| Facts::new().granted_at(time)),
    }
    .native_symbol(chain.symbol());
    // Decimals given in the file must match the token's: a mismatch shifts amounts by powers of ten. A token
    // that does not answer cannot be checked.
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
            // A token that does not answer cannot disagree.
            if let Ok(said) = said {
                ensure!(
                    said == locked,
                    WrongInput(format!(
                        "{}: token {token} has {said} decimals according to the node, and {locked} according to {}.lock",
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
                "{}: the decimals of {token} are neither in the file nor in its lock file, and with --yes the node's value ({decimals}) \
                 is not trusted: set them in [tokens.…]",
                file.name
            ))
        );
        facts = facts.decimals(token, decimals);
    }
    Ok(facts)
}

/// Returns the state of a key with exactly these permissions, unused.
pub(super) fn state_of(permissions: &Permissions) -> Result<KeyState> {
    let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
    state.apply(&permissions.updates().collect(), 0)?;
    Ok(state)
}

/// Returns the lint warnings of a policy on this chain.
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

/// Names for someone else's request: as tokens name themselves, not as the request does.
pub(super) async fn own_names(chain: &Chain, file: &PolicyFile, permissions: &Permissions) -> Result<Names> {
    let state = state_of(permissions)?;
    let signatures = file.policy.signatures();
    let names = signatures.fold(Names::new(), |names, (selector, signature)| {
        names.function(selector, signature)
    });
    Ok(chain.names([&state], names).await)
}

/// Shows the permissions of keys that are about to lose them. A read failure does not stop the command.
pub(super) async fn show_permissions(chain: &Chain, answer: &mut Answer, keys: &[Address]) {
    /// How long to wait for the data.
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
                answer.line(Tone::Doubt, 2, "Their permissions could not be read.");
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

/// Shows which amounts rely on decimals from outside the file.
pub(super) fn show_assumed(answer: &mut Answer, file: &PolicyFile, chain_id: u64, resolved: &Resolved) {
    // An unreadable lock file has already been reported.
    let locked = file.locked_decimals(chain_id).unwrap_or_default();
    for (token, decimals) in &resolved.assumed_decimals {
        let limit = resolved
            .permissions
            .erc20_spend_limits
            .iter()
            .find(|limit| limit.token == *token);
        if let Some(limit) = limit {
            let (tone, by) = if locked.get(token) == Some(decimals) {
                (Tone::Quiet, "according to the lock file")
            } else {
                (Tone::Doubt, "according to the node")
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

/// Checks that the key has the permissions granted.
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
        bail!("the key could not be read back: {missing}");
    }
    ensure!(
        is_as(&found.state, permissions),
        "the key does not have these permissions: they were changed since"
    );
    Ok(())
}
