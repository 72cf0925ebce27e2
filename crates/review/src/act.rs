//! What an owner can do on the page: revoke keys, change one to a policy, approve a request.
//!
//! A [`Wish`] says which; [`Prepared`] is what it comes to on the account as it is. Both the page that shows
//! it and the transaction are made from the same [`Prepared`], and its [fingerprint](Prepared::shown) makes
//! sure that what is signed is what was shown.

use crate::{
    Application, Approval, Offer, Review,
    read::{Snapshot, words_of},
};
use serde::{Deserialize, Serialize};
use session_key_client::{
    NewSessionKey, OwnerAction,
    account::Generation,
    alloy::primitives::{Address, B256, keccak256},
    deployment::manifest_hash,
    explain::rule_set,
    inspect::Inspection,
    nft::nfts,
    permissions::{
        KeyState, Permissions,
        covers::covers,
        lint::{Lint, Warning},
        plan::{LimitMode, Plan, Setting, is_as},
        policy::{Facts, LockedGrant, Policy, Resolved},
        words::Names,
    },
    tokens,
};
use std::collections::BTreeSet;

/// How long after it was shown a change that depends on the time can be signed, in seconds.
const SHOWN_FOR: u64 = 3_600;
/// The maximum number of keys revoked in one transaction.
pub(crate) const MOST_REVOKED: usize = 100;

/// What an owner wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Wish {
    /// Take keys away.
    Revoke { keys: Vec<Address> },
    /// Carry out an offer.
    Offer {
        index: usize,
        /// What happens to amounts used.
        limits: LimitMode,
        /// The time that it is planned for, unix seconds; `None`: now.
        at: Option<u64>,
    },
}

/// The intended state.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    /// None of these keys is registered.
    Gone(Vec<Address>),
    /// The key has exactly these permissions.
    Has(Address, Box<Permissions>),
}

impl Goal {
    /// The keys that it is about.
    pub(crate) fn keys(&self) -> Vec<Address> {
        match self {
            Self::Gone(keys) => keys.clone(),
            Self::Has(key, _) => vec![*key],
        }
    }

    /// Whether the keys are as intended.
    pub(crate) fn is_reached(&self, inspection: &Inspection) -> bool {
        match self {
            Self::Gone(keys) => keys.iter().all(|key| inspection.key(*key).is_none()),
            Self::Has(key, permissions) => inspection
                .key(*key)
                .is_some_and(|key| is_as(&key.state, permissions)),
        }
    }
}

/// What to show of a change.
#[derive(Debug)]
pub(crate) enum Shown {
    /// Keys to revoke.
    Revoked(Vec<Address>),
    /// A plan.
    Plan {
        key: Address,
        policy: String,
        plan: Box<Plan>,
        /// Whether amounts used depend on the choice.
        asks_limits: bool,
        warnings: Vec<Warning>,
        /// The decimals that amounts depend on and the policy does not give.
        assumed: Vec<(Address, u8)>,
        /// The key's tag, if the policy has another.
        other_tag: Option<B256>,
    },
    /// An approval.
    Grant {
        key: Address,
        /// The name of the policy that is granted instead of the request's.
        policy: Option<String>,
        permissions: Box<Permissions>,
        warnings: Vec<Warning>,
        /// What was asked for and is not granted, in words.
        withheld: Vec<String>,
        assumed: Vec<(Address, u8)>,
        installs: bool,
        tag: B256,
        expires_at: u64,
        /// Names that the request gives to contracts.
        claimed: Vec<(Address, String)>,
    },
}

/// A change, ready to be shown and signed.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) title: String,
    pub(crate) names: Names,
    pub(crate) shown: Shown,
    /// With the time that it is planned for.
    pub(crate) wish: Wish,
    /// Empty: there is nothing to do.
    pub(crate) actions: Vec<OwnerAction>,
    pub(crate) goal: Goal,
    /// The facts of an approval, with the index of its offer.
    pub(crate) grant: Option<(usize, LockedGrant)>,
}

impl Prepared {
    /// Identifies what was shown.
    pub(crate) fn fingerprint(&self) -> B256 {
        // Serialization cannot fail: keys are strings.
        keccak256(serde_json::to_vec(&self.actions).unwrap_or_default())
    }
}

/// A key as short as people read it.
pub(crate) fn short(address: Address) -> String {
    let text = address.to_string();
    format!("{}…{}", &text[..6], &text[text.len() - 4..])
}

impl Review {
    /// What a wish comes to; an error in words.
    pub(crate) async fn prepare(&self, wish: Wish, account: &Snapshot) -> Result<Prepared, String> {
        match wish {
            Wish::Revoke { keys } => revoke(keys, account),
            Wish::Offer { index, limits, at } => {
                let now = account.now();
                let at = at.unwrap_or(now);
                if at > now || now - at > SHOWN_FOR {
                    return Err(
                        "This was shown too long ago: load the page again, and look at it once more."
                            .to_owned(),
                    );
                }
                let wish = Wish::Offer {
                    index,
                    limits,
                    at: Some(at),
                };
                match self.offers.get(index) {
                    Some(Offer::Apply(application)) => {
                        self.apply(application, wish, limits, at, account).await
                    }
                    Some(Offer::Approve(approval)) => self.approve(approval, index, wish, at, account).await,
                    None => Err("There is no such proposal.".to_owned()),
                }
            }
        }
    }

    async fn apply(
        &self,
        application: &Application,
        wish: Wish,
        limits: LimitMode,
        at: u64,
        account: &Snapshot,
    ) -> Result<Prepared, String> {
        let Application { key, name, .. } = application;
        let found = account.key(*key).ok_or_else(|| {
            format!("{key} is not a session key of this account, so there is nothing to change.")
        })?;
        if let Some(missing) = found.missing.first() {
            return Err(format!(
                "The permissions of {key} are not fully known, so no change can be planned: {missing}"
            ));
        }
        let limits = application.limits.unwrap_or(limits);
        let resolved = resolved(&application.policy, &application.facts, name)?;
        let plan =
            Plan::new(&found.state, &resolved.permissions, limits, at).map_err(|error| words_of(&error))?;
        let touches_use = plan.changes().iter().any(|change| {
            change.after != Setting::Limit(None)
                && change
                    .limit
                    .is_some_and(|effect| !effect.used_before.is_zero() || !effect.used_after.is_zero())
        });
        let policy = &application.policy;
        let names = policy.names(&application.facts);
        let names = tokens::name_tokens(&self.node(), [&found.state], names).await;
        let actions = if plan.is_empty() {
            Vec::new()
        } else {
            vec![OwnerAction::UpdateKeyPermissions {
                key: *key,
                updates: plan.updates(),
            }]
        };
        let warnings = self
            .lint(&resolved.permissions, policy, None, account.now())
            .await?;
        Ok(Prepared {
            title: format!("Change key {}", short(*key)),
            names,
            shown: Shown::Plan {
                key: *key,
                policy: name.clone(),
                plan: Box::new(plan),
                asks_limits: touches_use && application.limits.is_none(),
                warnings,
                assumed: resolved.assumed_decimals.into_iter().collect(),
                other_tag: found
                    .tag
                    .filter(|tag| policy.tag().is_some() && *tag != resolved.tag),
            },
            wish,
            actions,
            goal: Goal::Has(*key, Box::new(resolved.permissions)),
            grant: None,
        })
    }

    async fn approve(
        &self,
        approval: &Approval,
        index: usize,
        wish: Wish,
        at: u64,
        account: &Snapshot,
    ) -> Result<Prepared, String> {
        let request = &approval.request;
        let key = request.session_key();
        let need = request
            .verify(self.account.chain_id(), self.account.address(), account.now())
            .map_err(|error| words_of(&error))?;
        let facts = approval.facts.clone().granted_at(at);
        let wanted = resolved(&need, &facts, "The request")?;
        let (resolved, policy, name) = match &approval.narrower {
            Some((name, policy)) => (resolved(policy, &facts, name)?, policy, Some(name.clone())),
            None => (wanted.clone(), &need, None),
        };
        let permissions = resolved.permissions;
        // Someone else's request: tokens as they name themselves, not as the request does.
        let names = policy
            .signatures()
            .fold(self.names(), |names, (selector, signature)| {
                names.function(selector, signature)
            });
        let state = state_of(&permissions)?;
        let names = tokens::name_tokens(&self.node(), [&state], names).await;
        let mut withheld = Vec::new();
        if let Some(name) = &name {
            let wider = covers(&wanted.permissions, &permissions).map_err(|error| words_of(&error))?;
            if let Some(more) = wider.missing().first() {
                let example = more.describe_example(&names);
                return Err(format!("{name} allows more than the request asks for: {example}"));
            }
            let less = covers(&permissions, &wanted.permissions).map_err(|error| words_of(&error))?;
            withheld = less
                .missing()
                .iter()
                .map(|missing| missing.describe(&names))
                .collect();
        }
        let expiry = permissions.check_not_over(account.now());
        expiry.map_err(|error| words_of(&error))?;
        let is_installed = self.account.is_session_key_plugin_installed().await;
        let is_installed = is_installed.map_err(|error| words_of(&error))?;
        if is_installed {
            if account.key(key).is_some() {
                return Err(format!(
                    "{key} is already a session key of this account: there is nothing to approve."
                ));
            }
            let rules = rule_set(&self.account).await.map_err(|error| words_of(&error))?;
            permissions
                .check_for(rules, at)
                .map_err(|error| words_of(&error))?;
        }
        let warnings = self
            .lint(&permissions, policy, Some(&wanted.permissions), account.now())
            .await?;
        let new = NewSessionKey::new(key, &permissions).map_err(|error| words_of(&error))?;
        let new = new.with_tag(resolved.tag);
        let action = if is_installed {
            OwnerAction::AddSessionKey(new)
        } else {
            OwnerAction::InstallSessionKeyPlugin {
                keys: vec![new],
                manifest_hash: Some(match self.account.generation() {
                    Generation::V08(_) => manifest_hash::SESSION_KEY_MODULE,
                    _ => manifest_hash::SESSION_KEY_PLUGIN,
                }),
                dependencies: None,
            }
        };
        let mut grant = LockedGrant::new(self.account.chain_id(), self.account.address(), key, at);
        grant.tag = resolved.tag;
        grant.valid_until = permissions.time_range.map_or(0, |range| range.valid_until);
        grant.decimals.clone_from(&resolved.assumed_decimals);
        let claimed = need
            .token_names()
            .map(|(token, name)| (token, session_key_client::request::clean_text(name, 40)));
        Ok(Prepared {
            title: format!("Approve key {}", short(key)),
            names,
            shown: Shown::Grant {
                key,
                policy: name,
                permissions: Box::new(permissions.clone()),
                warnings,
                withheld,
                assumed: resolved.assumed_decimals.into_iter().collect(),
                installs: !is_installed,
                tag: resolved.tag,
                expires_at: request.expires_at(),
                claimed: claimed.collect(),
            },
            wish,
            actions: vec![action],
            goal: Goal::Has(key, Box::new(permissions)),
            grant: Some((index, grant)),
        })
    }

    /// The warnings about a policy on this chain.
    async fn lint(
        &self,
        permissions: &Permissions,
        policy: &Policy,
        need: Option<&Permissions>,
        now: u64,
    ) -> Result<Vec<Warning>, String> {
        let state = state_of(permissions)?;
        let nfts = nfts(&self.node(), tokens::tokens_of([&state])).await;
        let nfts = nfts.map_err(|error| words_of(&error))?;
        let mut lint = Lint::new(permissions)
            .at(now)
            .nfts(nfts)
            .tokens(policy.token_names().map(|(token, _)| token));
        if let Some(need) = need {
            lint = lint.need(need);
        }
        Ok(lint.run())
    }
}

fn resolved(policy: &Policy, facts: &Facts, name: &str) -> Result<Resolved, String> {
    policy
        .resolve(facts)
        .map_err(|error| format!("{name}: {}", words_of(&error)))
}

/// The state of a key with exactly these permissions, unused.
fn state_of(permissions: &Permissions) -> Result<KeyState, String> {
    let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
    let updates = permissions.updates().collect();
    state.apply(&updates, 0).map_err(|error| words_of(&error))?;
    Ok(state)
}

fn revoke(keys: Vec<Address>, account: &Snapshot) -> Result<Prepared, String> {
    let mut seen = BTreeSet::new();
    let keys: Vec<Address> = keys.into_iter().filter(|key| seen.insert(*key)).collect();
    if keys.is_empty() {
        return Err("There is no key to revoke.".to_owned());
    }
    if keys.len() > MOST_REVOKED {
        return Err(format!(
            "One transaction can revoke at most {MOST_REVOKED} keys: revoke some of them first."
        ));
    }
    if let Some(key) = keys.iter().find(|key| account.key(**key).is_none()) {
        return Err(format!(
            "{key} is not a session key of this account: it may have been revoked already."
        ));
    }
    let title = match keys.as_slice() {
        [key] => format!("Revoke key {}", short(*key)),
        keys => format!("Revoke {} keys", keys.len()),
    };
    Ok(Prepared {
        title,
        names: account.names.clone(),
        shown: Shown::Revoked(keys.clone()),
        wish: Wish::Revoke { keys: keys.clone() },
        actions: keys.iter().copied().map(OwnerAction::RemoveSessionKey).collect(),
        goal: Goal::Gone(keys),
        grant: None,
    })
}
