//! Owner actions, one at a time, and the call data for several.

use crate::{
    account::{Generation, ReadError, SmartAccount},
    calldata::{self, FunctionReference, NewSessionKey, UninstallConfig},
    explain,
    installation::{Installation, Severity},
    journal::IntentRecord,
    key_list::{KeyList, KeyNotFound},
    node::Node,
    operation::{Cause, Desk, OperationError, Source},
    permissions::{Call, PermissionUpdate, PermissionUpdates, RuleSet, nonce, words::UnixTime},
    v08::{self, DeferredAction, DeferredGrant, Selection},
};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, Selector, U256, aliases::U192, keccak256},
    rpc::types::TransactionRequest,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An owner action. Several can be combined in one operation, all or none:
/// [`OwnerClient::batch`](crate::OwnerClient::batch).
///
/// Session key actions are the same on accounts of ERC-6900 v0.7 and v0.8, with the module instead of the
/// plugin. `InstallPlugin`, `UninstallPlugin` and `UpdateOwners` apply to v0.7 accounts only: on others, the
/// error is [`Cause::OtherGeneration`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OwnerAction {
    /// Calls another contract. The account refuses calls to plugins.
    Call(Call),
    /// Installs the session key plugin, with keys.
    InstallSessionKeyPlugin {
        /// Keys to register at once.
        keys: Vec<NewSessionKey>,
        /// Hash of the manifest that the owner consents to: the account refuses to install a plugin with
        /// another one. `None`: the manifest on chain, whatever it is.
        /// [`SESSION_KEY_PLUGIN`](crate::deployment::manifest_hash::SESSION_KEY_PLUGIN) is that of the known
        /// deployments.
        manifest_hash: Option<B256>,
        /// The plugin's dependencies; `None`: the owner plugin.
        dependencies: Option<[FunctionReference; 2]>,
    },
    /// Uninstalls the session key plugin: every key is removed.
    UninstallSessionKeyPlugin(UninstallConfig),
    /// Installs any plugin.
    InstallPlugin {
        /// The plugin.
        plugin: Address,
        /// Hash of the manifest that the owner consents to; `None`: the one on chain.
        manifest_hash: Option<B256>,
        /// Install data.
        install_data: Bytes,
        /// Functions of other plugins that it depends on.
        dependencies: Vec<FunctionReference>,
    },
    /// Uninstalls any plugin.
    UninstallPlugin {
        /// The plugin.
        plugin: Address,
        /// The configuration.
        config: UninstallConfig,
        /// Uninstall data.
        uninstall_data: Bytes,
    },
    /// A self-call: one of the account's own functions, or of those added by plugins and modules. For v0.8
    /// accounts, [`v08::calldata`](crate::v08::calldata) encodes them.
    OwnFunction {
        /// Call data.
        data: Bytes,
    },
    /// Registers a key.
    AddSessionKey(NewSessionKey),
    /// Removes a key. Its predecessor is looked up, and tracked through the batch.
    RemoveSessionKey(Address),
    /// Moves a key's permissions and used amounts to another key, and removes it.
    RotateSessionKey {
        /// The key to replace.
        old: Address,
        /// The new key.
        new: Address,
    },
    /// Changes permissions of a key: only those named by the updates.
    UpdateKeyPermissions {
        /// The key.
        key: Address,
        /// The changes.
        updates: PermissionUpdates,
    },
    /// Adds and removes owners.
    UpdateOwners {
        /// Owners to add.
        add: Vec<Address>,
        /// Owners to remove.
        remove: Vec<Address>,
    },
    /// Changes the account's implementation.
    Upgrade {
        /// The new implementation.
        implementation: Address,
        /// Call data for it; empty: no call.
        data: Bytes,
    },
}

/// Returns the keys after installing the session key plugin: it starts empty, and registers them in order,
/// each at the front.
fn installed_keys(new: impl IntoIterator<Item = Address>) -> KeyList {
    let mut keys = KeyList::default();
    new.into_iter().for_each(|key| keys.add(key));
    keys
}

/// Returns the given hash, or that of the manifest on chain.
async fn consented_hash(
    account: &SmartAccount,
    plugin: Address,
    given: Option<B256>,
) -> Result<B256, ReadError> {
    match given {
        Some(hash) => Ok(hash),
        None => account.manifest_hash(plugin).await,
    }
}

/// Returns the calls of the actions, in order.
async fn calls(
    account: &SmartAccount,
    actions: &[OwnerAction],
    pending: &BTreeMap<Address, Vec<Call>>,
) -> Result<Vec<Call>, Cause> {
    let needs_keys = |action: &OwnerAction| {
        matches!(
            action,
            OwnerAction::RemoveSessionKey(_) | OwnerAction::RotateSessionKey { .. }
        )
    };
    let keys = if actions.iter().any(needs_keys) {
        account.key_list().await?
    } else {
        KeyList::default()
    };
    let mut batch = Batch {
        account,
        pending,
        keys,
        installed: None,
        calls: Vec::with_capacity(actions.len()),
    };
    for action in actions {
        batch.add(action).await?;
    }
    if batch.calls.is_empty() {
        return Err(Cause::NoAction);
    }
    Ok(batch.calls)
}

/// The calls of the actions so far.
struct Batch<'a> {
    account: &'a SmartAccount,
    /// Calls that end open operations, by the key that they grant to.
    pending: &'a BTreeMap<Address, Vec<Call>>,
    /// The session keys after the actions so far, if a predecessor is needed.
    keys: KeyList,
    /// If the batch installs the module's functions: the place of the call, and the keys that it registers.
    /// The account rejects calls to the functions in the same batch.
    installed: Option<(usize, Vec<NewSessionKey>)>,
    calls: Vec<Call>,
}

impl Batch<'_> {
    async fn add(&mut self, action: &OwnerAction) -> Result<(), Cause> {
        if let Generation::V08(validations) = self.account.generation()
            && self.add_v08(action, validations.session_keys)?
        {
            return Ok(());
        }
        let account = self.account;
        let deployment = account.deployment();
        let plugin = deployment.session_key_plugin;
        let data = match action {
            OwnerAction::Call(call) => {
                self.calls.push(call.clone());
                return Ok(());
            }
            OwnerAction::InstallSessionKeyPlugin {
                keys: new,
                manifest_hash,
                dependencies,
            } => {
                self.keys = installed_keys(new.iter().map(|new| new.key));
                calldata::install_plugin(
                    plugin,
                    consented_hash(account, plugin, *manifest_hash).await?,
                    calldata::session_key_plugin_install_data(new),
                    &dependencies
                        .unwrap_or_else(|| calldata::owner_dependencies(deployment.multi_owner_plugin)),
                )
            }
            OwnerAction::UninstallSessionKeyPlugin(config) => {
                self.remove_all_keys();
                calldata::uninstall_plugin(plugin, config, Bytes::new())
            }
            OwnerAction::InstallPlugin {
                plugin,
                manifest_hash,
                install_data,
                dependencies,
            } => {
                if *plugin == deployment.session_key_plugin {
                    // Other data makes the installation fail, and everything with it.
                    self.keys =
                        installed_keys(calldata::keys_of_install_data(install_data).unwrap_or_default());
                }
                let hash = consented_hash(account, *plugin, *manifest_hash).await?;
                calldata::install_plugin(*plugin, hash, install_data.clone(), dependencies)
            }
            OwnerAction::UninstallPlugin {
                plugin,
                config,
                uninstall_data,
            } => {
                if *plugin == deployment.session_key_plugin {
                    self.remove_all_keys();
                }
                calldata::uninstall_plugin(*plugin, config, uninstall_data.clone())
            }
            OwnerAction::OwnFunction { data } => data.clone(),
            OwnerAction::AddSessionKey(new) => {
                self.keys.add(new.key);
                calldata::add_session_key(new)
            }
            // Open operations that grant to the key are ended first. If the key is not registered yet,
            // nothing else is needed.
            OwnerAction::RemoveSessionKey(key) => {
                let ended = self.pending.get(key).cloned().unwrap_or_default();
                let is_pending = !ended.is_empty();
                self.calls.extend(ended);
                match self.keys.remove(*key) {
                    Ok(predecessor) => calldata::remove_session_key(*key, predecessor),
                    Err(_) if is_pending => return Ok(()),
                    Err(KeyNotFound(session_key)) => {
                        return Err(Cause::KeyNotFound {
                            account: account.address(),
                            session_key,
                        });
                    }
                }
            }
            OwnerAction::RotateSessionKey { old, new } => {
                self.calls
                    .extend(self.pending.get(old).cloned().unwrap_or_default());
                let predecessor = self.keys.rotate(*old, *new);
                let predecessor = predecessor.map_err(|KeyNotFound(session_key)| Cause::KeyNotFound {
                    account: account.address(),
                    session_key,
                })?;
                calldata::rotate_session_key(*old, predecessor, *new)
            }
            OwnerAction::UpdateKeyPermissions { key, updates } => {
                self.calls
                    .extend(self.pending.get(key).cloned().unwrap_or_default());
                calldata::update_key_permissions(*key, updates.encode()?)
            }
            OwnerAction::UpdateOwners { add, remove } => calldata::update_owners(add, remove),
            OwnerAction::Upgrade { implementation, data } => {
                calldata::upgrade_to_and_call(*implementation, data.clone())
            }
        };
        self.calls.push(Call::new(account.address(), data));
        Ok(())
    }

    /// Adds the calls of an action that differ on v0.8 accounts. Returns whether they do.
    fn add_v08(&mut self, action: &OwnerAction, entity_id: u32) -> Result<bool, Cause> {
        let account = self.account.address();
        let plugin = self.account.deployment().session_key_plugin;
        let other_generation = |what: &str| Cause::OtherGeneration {
            account,
            what: what.to_owned(),
        };
        match action {
            OwnerAction::InstallSessionKeyPlugin {
                keys: new,
                manifest_hash,
                dependencies,
            } => {
                let known = session_key_bindings::manifest_hash::SESSION_KEY_MODULE;
                if manifest_hash.is_some_and(|hash| hash != known) {
                    return Err(other_generation("another manifest than the session key module's"));
                }
                if dependencies.is_some() {
                    return Err(other_generation("dependencies of a module"));
                }
                self.keys = installed_keys(new.iter().map(|new| new.key));
                self.installed = Some((self.calls.len(), new.clone()));
                let install = v08::calldata::install_session_key_module(account, plugin, entity_id, new);
                self.calls.extend(install?);
            }
            OwnerAction::UninstallSessionKeyPlugin(config) => {
                if *config != UninstallConfig::default() {
                    return Err(other_generation("ways to uninstall a module"));
                }
                self.remove_all_keys();
                self.installed = None;
                self.calls.extend(v08::calldata::uninstall_session_key_module(
                    account, plugin, entity_id,
                )?);
            }
            OwnerAction::InstallPlugin { .. } | OwnerAction::UninstallPlugin { .. } => {
                return Err(other_generation("plugins"));
            }
            OwnerAction::UpdateOwners { .. } => return Err(other_generation("a list of owners")),
            OwnerAction::AddSessionKey(added) if self.installed.is_some() => {
                if let Some((at, new)) = &mut self.installed {
                    self.keys.add(added.key);
                    new.push(added.clone());
                    self.calls[*at] = v08::calldata::install_functions(account, plugin, new);
                }
            }
            OwnerAction::RemoveSessionKey(_)
            | OwnerAction::RotateSessionKey { .. }
            | OwnerAction::UpdateKeyPermissions { .. }
                if self.installed.is_some() =>
            {
                return Err(other_generation(
                    "changes of keys in the batch that installs the module",
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn remove_all_keys(&mut self) {
        self.calls.extend(self.pending.values().flatten().cloned());
        self.keys = KeyList::default();
    }
}

/// Encodes the calls of an owner's operation or transaction.
fn wrap(account: Address, calls: &[Call]) -> Bytes {
    match calls {
        // A single own function is called directly.
        [call] if call.target == account && call.value.is_zero() => call.data.clone(),
        [call] => calldata::execute(call),
        calls => calldata::execute_batch(calls),
    }
}

impl OwnerAction {
    /// Returns the session keys that the action grants to, or rotates.
    fn granted(&self) -> Vec<Address> {
        match self {
            Self::InstallSessionKeyPlugin { keys, .. } => keys.iter().map(|new| new.key).collect(),
            Self::InstallPlugin { install_data, .. } => {
                calldata::keys_of_install_data(install_data).unwrap_or_default()
            }
            Self::AddSessionKey(new) => vec![new.key],
            Self::RotateSessionKey { old, new } => vec![*old, *new],
            Self::UpdateKeyPermissions { key, .. } => vec![*key],
            _ => Vec::new(),
        }
    }

    /// Returns the new keys that the action registers.
    fn new_keys(&self) -> &[NewSessionKey] {
        match self {
            Self::InstallSessionKeyPlugin { keys, .. } => keys,
            Self::AddSessionKey(new) => std::slice::from_ref(new),
            _ => &[],
        }
    }

    /// Whether the action only takes permissions away, given the account's state.
    async fn takes_away(&self, account: &SmartAccount) -> Result<bool, Cause> {
        Ok(match self {
            Self::RemoveSessionKey(_)
            | Self::RotateSessionKey { .. }
            | Self::UninstallSessionKeyPlugin(_)
            | Self::UninstallPlugin { .. } => true,
            Self::UpdateOwners { add, remove } => add.is_empty() && !remove.is_empty(),
            Self::UpdateKeyPermissions { key, updates } => narrows(account, *key, updates).await?,
            _ => false,
        })
    }
}

/// Whether updates only narrow the key's current permissions.
async fn narrows(account: &SmartAccount, key: Address, updates: &PermissionUpdates) -> Result<bool, Cause> {
    let functions = updates.as_slice().iter().filter_map(|update| match update {
        PermissionUpdate::AddressEntry(entry) => Some((entry.contract, Selector::ZERO)),
        PermissionUpdate::FunctionEntry(entry) => Some((entry.contract, entry.selector)),
        PermissionUpdate::Erc20SpendLimit(limit) => Some((limit.token, Selector::ZERO)),
        _ => None,
    });
    let before = explain::load(account, key, functions).await?;
    let mut after = before.clone();
    // A new interval starts later than any running one.
    after.apply(updates, crate::permissions::MAX_SECONDS)?;
    Ok(before.is_narrowed_to(&after))
}

/// The actions of one operation.
#[derive(Clone, Debug)]
pub(super) struct Actions(Vec<OwnerAction>);

impl Actions {
    pub(super) fn new(actions: impl IntoIterator<Item = OwnerAction>) -> Self {
        Self(actions.into_iter().collect())
    }

    /// Returns the keys affected, if the actions only take permissions away. `None`: all keys.
    fn loses(&self) -> Option<Vec<Address>> {
        let mut keys = self.revoked();
        for action in &self.0 {
            match action {
                OwnerAction::UninstallSessionKeyPlugin(_) | OwnerAction::UninstallPlugin { .. } => {
                    return None;
                }
                OwnerAction::UpdateKeyPermissions { key, .. } => keys.push(*key),
                _ => {}
            }
        }
        Some(keys)
    }

    /// Returns the keys that are removed or rotated away.
    fn revoked(&self) -> Vec<Address> {
        let revoked = self.0.iter().filter_map(|action| match action {
            OwnerAction::RemoveSessionKey(key) => Some(*key),
            OwnerAction::RotateSessionKey { old, .. } => Some(*old),
            _ => None,
        });
        revoked.collect()
    }
}

#[async_trait]
impl Source for Actions {
    fn request(&self) -> B256 {
        // Serialization cannot fail.
        keccak256(serde_json::to_vec(&self.0).unwrap_or_default())
    }

    async fn call_data(&self, account: &SmartAccount, desk: &Desk) -> Result<Bytes, Cause> {
        check_grants(account, &self.0).await?;
        let pending = if self.takes_away(account).await? {
            endings(account, desk, self.loses().as_deref()).await?
        } else {
            BTreeMap::new()
        };
        let calls = calls(account, &self.0, &pending).await?;
        Ok(wrap(account.address(), &calls))
    }

    fn grants_to(&self) -> Vec<Address> {
        self.0.iter().flat_map(OwnerAction::granted).collect()
    }

    async fn takes_away(&self, account: &SmartAccount) -> Result<bool, Cause> {
        for action in &self.0 {
            if !action.takes_away(account).await? {
                return Ok(false);
            }
        }
        Ok(!self.0.is_empty())
    }

    async fn confirm(&self, account: &SmartAccount) -> Result<(), Cause> {
        let last_change = self.0.iter().rev().find(|action| {
            matches!(
                action,
                OwnerAction::InstallSessionKeyPlugin { .. } | OwnerAction::UninstallSessionKeyPlugin(_)
            )
        });
        // A v0.8 account swallows the module's errors on uninstallation: keys could survive until its next
        // installation.
        if let (Generation::V08(_), Some(OwnerAction::UninstallSessionKeyPlugin(_))) =
            (account.generation(), last_change)
            && let Some(session_key) = account.session_keys().await?.first()
        {
            return Err(Cause::StillThere {
                account: account.address(),
                session_key: *session_key,
            });
        }
        for session_key in self.revoked() {
            // Unless a later action of the same batch grants to it again.
            let is_granted = self.0.iter().any(|action| match action {
                OwnerAction::RotateSessionKey { new, .. } => *new == session_key,
                action => action.new_keys().iter().any(|new| new.key == session_key),
            });
            if !is_granted && account.is_session_key(session_key).await? {
                return Err(Cause::StillThere {
                    account: account.address(),
                    session_key,
                });
            }
        }
        Ok(())
    }
}

/// Returns the action that grants to a key in its first operation, and the grant without
/// the owner's signature.
pub(super) async fn deferred(
    account: &SmartAccount,
    key: NewSessionKey,
    deadline: u64,
) -> Result<(DeferredAction, DeferredGrant), Cause> {
    let validations = match account.generation() {
        Generation::V08(validations) if account.generation().has_deferred_actions() => validations,
        _ => return Err(no_deferred_actions(account)),
    };
    let now = account.timestamp().await?;
    if deadline <= now {
        return Err(Cause::Permission {
            message: format!(
                "the deadline of the grant is {}, and it is {}",
                UnixTime(deadline),
                UnixTime(now)
            ),
        });
    }
    let is_deployed = account.is_deployed().await?;
    let is_installed = is_deployed && account.is_session_key_plugin_installed().await?;
    let session_key = key.key;
    let action = if is_installed {
        OwnerAction::AddSessionKey(key)
    } else {
        OwnerAction::InstallSessionKeyPlugin {
            keys: vec![key],
            manifest_hash: None,
            dependencies: None,
        }
    };
    let actions = [action];
    check_grants(account, &actions).await?;
    if is_deployed && account.has_validation_hooks(validations.owner).await? {
        return Err(Cause::UnsafeInstallation {
            account: account.address(),
            findings: vec![
                "the owner's validation has validation hooks, and cannot authorize deferred actions"
                    .to_owned(),
            ],
        });
    }
    let calls = calls(account, &actions, &BTreeMap::new()).await?;
    let nonce_key = v08::deferred_nonce_key(session_key, validations.session_keys);
    let action = DeferredAction {
        authorized_by: validations.owner,
        is_global: true,
        nonce: account.nonce(nonce_key).await?,
        deadline,
        call: wrap(account.address(), &calls),
    };
    let grant = DeferredGrant {
        chain_id: account.chain_id(),
        entry_point: account.deployment().entry_point,
        account: account.address(),
        init_code: if is_deployed {
            Bytes::new()
        } else {
            account.creation_code().clone()
        },
        authorization: None,
        module: account.deployment().session_key_plugin,
        entity_id: validations.session_keys,
        session_key,
        action: action.clone(),
        signature_prefix: Bytes::new(),
    };
    Ok((action, grant))
}

/// Returns the error of an account without deferred actions.
pub(super) fn no_deferred_actions(account: &SmartAccount) -> Cause {
    Cause::OtherGeneration {
        account: account.address(),
        what: "deferred actions".to_owned(),
    }
}

/// Refuses to grant on a v0.8 account whose module is not installed correctly.
async fn check_installation(account: &SmartAccount) -> Result<(), Cause> {
    let Generation::V08(validations) = account.generation() else {
        return Ok(());
    };
    let node = Node::new(account.provider().clone());
    let (module, entity_id) = (account.deployment().session_key_plugin, validations.session_keys);
    let found = Installation::read_views(&node, account.address(), module, &[entity_id]).await?;
    let findings = found.iter().flat_map(Installation::findings);
    // Questions that need logs are skipped: on long chains, they take a thousand requests.
    let wrong = |severity: Severity| !matches!(severity, Severity::Notice | Severity::Unknown);
    let findings: Vec<String> = findings
        .filter(|finding| wrong(finding.kind.severity()))
        .map(|finding| finding.to_string())
        .collect();
    if findings.is_empty() {
        return Ok(());
    }
    Err(Cause::UnsafeInstallation {
        account: account.address(),
        findings,
    })
}

/// Refuses to grant expired permissions, and limits that the plugin cannot handle.
async fn check_grants(account: &SmartAccount, actions: &[OwnerAction]) -> Result<(), Cause> {
    let new_keys = || actions.iter().flat_map(OwnerAction::new_keys);
    let changed = actions.iter().filter_map(|action| match action {
        OwnerAction::UpdateKeyPermissions { updates, .. } => Some(updates.clone()),
        _ => None,
    });
    let mut granted: Vec<PermissionUpdates> = changed.collect();
    if granted.is_empty() && new_keys().next().is_none() {
        return Ok(());
    }
    let installs = actions
        .iter()
        .any(|action| matches!(action, OwnerAction::InstallSessionKeyPlugin { .. }));
    if !installs {
        check_installation(account).await?;
    }
    let now = account.timestamp().await?;
    for new in new_keys() {
        let updates = PermissionUpdates::decode(&new.permissions)?;
        for update in updates.as_slice() {
            if let PermissionUpdate::TimeRange(range) = update
                && range.valid_until != 0
                && range.valid_until < now
            {
                return Err(Cause::Permission {
                    message: format!(
                        "the permissions of {} ended at {}, and it is {}",
                        new.key,
                        UnixTime(range.valid_until),
                        UnixTime(now)
                    ),
                });
            }
        }
        granted.push(updates);
    }
    let check = |rule_set| {
        granted
            .iter()
            .try_for_each(|updates| updates.check_for(rule_set, now))
    };
    // The plugin's rules are queried only if they matter.
    if check(RuleSet::Compatible).is_err() {
        check(explain::load_rule_set(account).await?)?;
    }
    Ok(())
}

/// Returns calls that end the journal's open operations which grant to these keys, or to any: one
/// `incrementNonce` per nonce.
async fn endings(
    account: &SmartAccount,
    desk: &Desk,
    keys: Option<&[Address]>,
) -> Result<BTreeMap<Address, Vec<Call>>, Cause> {
    let journal = desk.journal();
    let mut endings = BTreeMap::<_, Vec<Call>>::new();
    let mut ended: BTreeMap<U192, U256> = BTreeMap::new();
    for lane in journal
        .unsettled_lanes(Some((account.chain_id(), account.address())))
        .await?
    {
        let records = journal.unsettled(&lane).await?;
        let granted = || records.iter().flat_map(|record| record.grants_to.iter().copied());
        let keys: BTreeSet<Address> = match keys {
            Some(keys) => keys.iter().copied().collect(),
            None => granted().collect(),
        };
        for key in &keys {
            let grants = |record: &&IntentRecord| record.grants_to.contains(key);
            let last = records
                .iter()
                .filter(grants)
                .flat_map(IntentRecord::open_operations)
                .map(|operation| operation.nonce())
                .max();
            let Some(last) = last else {
                continue;
            };
            let next = match ended.get(&lane.nonce_key) {
                Some(next) => *next,
                None => account.nonce(lane.nonce_key).await?,
            };
            let count = open_nonces(next, last);
            ended.insert(lane.nonce_key, next + U256::from(count));
            let call = calldata::increment_nonce(account.deployment().entry_point, lane.nonce_key);
            let calls = endings.entry(*key).or_default();
            calls.extend(std::iter::repeat_n(call, count));
        }
    }
    Ok(endings)
}

/// The maximum number of nonces of one lane ended in one batch: a lane has few open ones, and none above a
/// gap.
const MOST_ENDED: usize = 64;

/// Returns the number of nonces from the next one to the last, inclusive.
fn open_nonces(next: U256, last: U256) -> usize {
    match last.checked_sub(next) {
        Some(difference) => usize::try_from(difference)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
            .min(MOST_ENDED),
        None => 0,
    }
}

/// Ends the open operations of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unblock {
    pub(super) nonce_key: U192,
    /// The last nonce to end; `None`: the last one in the journal, else the next one.
    pub(super) last: Option<U256>,
}

impl Unblock {
    /// Returns one call per nonce to use up; empty if there is nothing to end.
    async fn calls(&self, account: &SmartAccount, desk: &Desk) -> Result<Vec<Call>, Cause> {
        let lane = crate::journal::Lane {
            chain_id: account.chain_id(),
            entry_point: account.deployment().entry_point,
            account: account.address(),
            nonce_key: self.nonce_key,
        };
        let next = account.nonce(self.nonce_key).await?;
        let last = match self.last {
            Some(last) => last,
            None => {
                let records = desk.journal().unsettled(&lane).await?;
                let open = records.iter().flat_map(IntentRecord::open_operations);
                open.map(|operation| operation.nonce()).max().unwrap_or(next)
            }
        };
        let count = open_nonces(next, last);
        let call = calldata::increment_nonce(lane.entry_point, self.nonce_key);
        Ok(vec![call; count])
    }
}

#[async_trait]
impl Source for Unblock {
    fn request(&self) -> B256 {
        keccak256(format!("unblock {:#x} {:?}", self.nonce_key, self.last))
    }

    async fn call_data(&self, account: &SmartAccount, desk: &Desk) -> Result<Bytes, Cause> {
        let calls = self.calls(account, desk).await?;
        if calls.is_empty() {
            return Err(Cause::NoAction);
        }
        Ok(wrap(account.address(), &calls))
    }

    /// In a lane of its own, it does not wait for the one that it ends.
    async fn takes_away(&self, _: &SmartAccount) -> Result<bool, Cause> {
        Ok(true)
    }
}

/// Plain transactions, for an owner that is an ordinary account: without bundler and EntryPoint.
impl SmartAccount {
    /// Returns a transaction from an owner to the account that does all of these, or none. Send it with any
    /// provider that can sign for the owner. This is how to revoke a key if no bundler answers.
    pub async fn owner_transaction(
        &self,
        owner: Address,
        actions: impl IntoIterator<Item = OwnerAction>,
    ) -> Result<TransactionRequest, OperationError> {
        let actions: Vec<OwnerAction> = actions.into_iter().collect();
        check_grants(self, &actions).await?;
        let calls = calls(self, &actions, &BTreeMap::new()).await?;
        let data = wrap(self.address(), &calls);
        let data = match self.generation().owner_selection() {
            // The account does not know the module's owner until it asks the module.
            Some((validation, selection)) if !validation.module.is_zero() => {
                let authorization = match selection {
                    Selection::Nonce => v08::signature::authorization(validation, true, &[]),
                    Selection::Signature => v08::signature::selecting_authorization(validation, true),
                };
                v08::calldata::execute_with_runtime_validation(data, authorization)
            }
            _ => data,
        };
        Ok(TransactionRequest::default()
            .with_from(owner)
            .with_to(self.address())
            .with_input(data))
    }

    /// Returns the calls by which [`OwnerClient::unblock`](crate::OwnerClient::unblock) ends the open
    /// operations of a session key's nonce lane, up to a sequence number, or up to the last one in the
    /// account's journal: to show them, or to send them in an owner's plain transaction
    /// ([`owner_transaction`](Self::owner_transaction)). Empty if there is nothing to end.
    pub async fn unblock_calls(
        &self,
        session_key: Address,
        last: Option<u64>,
    ) -> Result<Vec<Call>, OperationError> {
        let nonce_key = self.generation().session_key_nonce_key(session_key);
        let unblock = Unblock {
            nonce_key,
            last: last.map(|last| nonce(nonce_key, last)),
        };
        Ok(unblock.calls(self, self.desk()).await?)
    }

    /// Returns a transaction, from any sender, that settles the pending reset of a key's gas limit
    /// ([`GasSpendLimitInfo::should_reset`](session_key_permissions::GasSpendLimitInfo::should_reset)).
    pub fn reset_session_key_gas_limit_timestamp(
        &self,
        from: Address,
        session_key: Address,
    ) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(from)
            .with_to(self.deployment().session_key_plugin)
            .with_input(calldata::reset_session_key_gas_limit_timestamp(
                self.address(),
                session_key,
            ))
    }
}
