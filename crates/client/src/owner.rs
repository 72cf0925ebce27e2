//! What an owner of an account can do.

use crate::{
    account::{ReadError, SmartAccount},
    calldata::{self, FunctionReference, NewSessionKey, UninstallConfig},
    key_list::KeyList,
    operation::{Core, Operation, OperationError, Paymaster, Source},
    submit::Submitter,
};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, aliases::U192, eip191_hash_message},
    rpc::types::TransactionRequest,
    signers::Signer,
    sol_types::{Eip712Domain, SolStruct},
};
use session_key_permissions::{Call, PermissionError, PermissionUpdates, Permissions, SignedOperation};
use std::sync::Arc;

/// One thing that an owner can do. Several go into one operation, all or none: [`OwnerClient::batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerAction {
    /// A call to another contract. Not to a plugin: the account refuses that.
    Call(Call),
    /// Installs the session key plugin, with keys.
    InstallSessionKeyPlugin {
        /// Keys to register at once.
        keys: Vec<NewSessionKey>,
        /// Hash of the manifest that the owner consents to: of a plugin with another, the account refuses the installation.
        /// `None`: of the one it has on chain, whatever that says.
        /// [`SESSION_KEY_PLUGIN`](crate::deployment::manifest_hash::SESSION_KEY_PLUGIN) is that of the known deployments.
        manifest_hash: Option<B256>,
        /// What it depends on; `None`: the owner plugin.
        dependencies: Option<[FunctionReference; 2]>,
    },
    /// Uninstalls the session key plugin: every key is removed.
    UninstallSessionKeyPlugin(UninstallConfig),
    /// Installs any plugin.
    InstallPlugin {
        /// The plugin.
        plugin: Address,
        /// Hash of the manifest that the owner consents to; `None`: of the one it has on chain.
        manifest_hash: Option<B256>,
        /// Data for it.
        install_data: Bytes,
        /// Functions of other plugins that it depends on.
        dependencies: Vec<FunctionReference>,
    },
    /// Uninstalls any plugin.
    UninstallPlugin {
        /// The plugin.
        plugin: Address,
        /// How.
        config: UninstallConfig,
        /// Data for it.
        uninstall_data: Bytes,
    },
    /// Registers a key.
    AddSessionKey(NewSessionKey),
    /// Removes a key. Its predecessor is looked up, and followed through the batch.
    RemoveSessionKey(Address),
    /// Gives a key's permissions and used-up limits to another, and removes it.
    RotateSessionKey {
        /// The key that goes.
        old: Address,
        /// The key that comes.
        new: Address,
    },
    /// Changes permissions of a key: what the updates name, and nothing else.
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
        /// The new one.
        implementation: Address,
        /// Call data for it; empty: none.
        data: Bytes,
    },
}

impl NewSessionKey {
    /// A key with permissions, and an empty tag.
    pub fn new(key: Address, permissions: &Permissions) -> Result<Self, PermissionError> {
        Ok(Self {
            key,
            tag: B256::ZERO,
            permissions: permissions.encode()?,
        })
    }

    /// The same with a tag: the owner's label, by which the key can be found in the logs.
    #[must_use]
    pub const fn with_tag(mut self, tag: B256) -> Self {
        self.tag = tag;
        self
    }
}

/// The keys after an installation of the session key plugin: it starts without any, and registers in order, each at the front.
fn installed_keys(new: impl IntoIterator<Item = Address>) -> KeyList {
    let mut keys = KeyList::default();
    new.into_iter().for_each(|key| keys.add(key));
    keys
}

/// The hash as given, or that of the manifest on chain.
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

/// Call data for the actions, in order. Predecessors follow the list as the actions change it.
pub(crate) async fn encode_actions(
    account: &SmartAccount,
    actions: &[OwnerAction],
) -> Result<Bytes, OperationError> {
    let deployment = account.deployment();
    let plugin = deployment.session_key_plugin;
    let needs_keys = |action: &OwnerAction| {
        matches!(
            action,
            OwnerAction::RemoveSessionKey(_) | OwnerAction::RotateSessionKey { .. }
        )
    };
    let mut keys = match actions.iter().any(needs_keys) {
        true => account.key_list().await?,
        false => KeyList::default(),
    };
    let mut calls = Vec::with_capacity(actions.len());
    for action in actions {
        let data = match action {
            OwnerAction::Call(call) => {
                calls.push(call.clone());
                continue;
            }
            OwnerAction::InstallSessionKeyPlugin {
                keys: new,
                manifest_hash,
                dependencies,
            } => {
                keys = installed_keys(new.iter().map(|new| new.key));
                calldata::install_plugin(
                    plugin,
                    consented_hash(account, plugin, *manifest_hash).await?,
                    calldata::session_key_plugin_install_data(new),
                    &dependencies
                        .unwrap_or_else(|| calldata::owner_dependencies(deployment.multi_owner_plugin)),
                )
            }
            OwnerAction::UninstallSessionKeyPlugin(config) => {
                keys = KeyList::default();
                calldata::uninstall_plugin(plugin, config, Bytes::new())
            }
            OwnerAction::InstallPlugin {
                plugin,
                manifest_hash,
                install_data,
                dependencies,
            } => {
                if *plugin == deployment.session_key_plugin {
                    // With other data, the installation fails, and everything with it.
                    keys = installed_keys(calldata::keys_of_install_data(install_data).unwrap_or_default());
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
                    keys = KeyList::default();
                }
                calldata::uninstall_plugin(*plugin, config, uninstall_data.clone())
            }
            OwnerAction::AddSessionKey(new) => {
                keys.add(new.key);
                calldata::add_session_key(new)
            }
            OwnerAction::RemoveSessionKey(key) => calldata::remove_session_key(*key, keys.remove(*key)?),
            OwnerAction::RotateSessionKey { old, new } => {
                calldata::rotate_session_key(*old, keys.rotate(*old, *new)?, *new)
            }
            OwnerAction::UpdateKeyPermissions { key, updates } => {
                calldata::update_key_permissions(*key, updates.encode()?)
            }
            OwnerAction::UpdateOwners { add, remove } => calldata::update_owners(add, remove),
            OwnerAction::Upgrade { implementation, data } => {
                calldata::upgrade_to_and_call(*implementation, data.clone())
            }
        };
        calls.push(Call::new(account.address(), data));
    }
    match (actions, calls.as_slice()) {
        (_, []) => Err(OperationError::NoAction),
        ([OwnerAction::Call(_)], [call]) => Ok(calldata::execute(call)),
        // One of the account's own functions: called as it is.
        (_, [call]) => Ok(call.data.clone()),
        (_, calls) => Ok(calldata::execute_batch(calls)),
    }
}

/// Plain transactions, for an owner that is an ordinary account: no bundler, no EntryPoint.
impl SmartAccount {
    /// A transaction from an owner to the account that does all of these, or none. To be sent by any provider that can sign
    /// for the owner. This is how to revoke a key when no bundler answers.
    pub async fn owner_transaction(
        &self,
        owner: Address,
        actions: impl IntoIterator<Item = OwnerAction>,
    ) -> Result<TransactionRequest, OperationError> {
        let actions: Vec<OwnerAction> = actions.into_iter().collect();
        let data = encode_actions(self, &actions).await?;
        Ok(TransactionRequest::default()
            .with_from(owner)
            .with_to(self.address())
            .with_input(data))
    }

    /// A transaction, from anyone, that settles the pending reset of a key's gas limit
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

/// An owner of an account: grants, changes and revokes session keys, and calls what it likes.
///
/// Every method makes an [`Operation`]; `.execute().await` sends it and waits.
#[derive(Clone, Debug)]
pub struct OwnerClient {
    core: Core,
}

impl OwnerClient {
    /// A client for an owner whose signatures come from `signer`.
    pub fn new(
        account: SmartAccount,
        signer: impl Signer + Send + Sync + 'static,
        submitter: impl Submitter + 'static,
    ) -> Self {
        Self::shared(account, Arc::new(signer), Arc::new(submitter))
    }

    /// The same with a signer and a submitter that others use, too.
    pub fn shared(
        account: SmartAccount,
        signer: Arc<dyn Signer + Send + Sync>,
        submitter: Arc<dyn Submitter>,
    ) -> Self {
        Self {
            core: Core::new(account, signer, submitter),
        }
    }

    /// Lets a paymaster pay for operations.
    #[must_use]
    pub fn with_paymaster(mut self, paymaster: impl Paymaster + 'static) -> Self {
        self.core.paymaster = Some(Arc::new(paymaster));
        self
    }

    /// The account: everything that can be read of it.
    pub const fn account(&self) -> &SmartAccount {
        &self.core.account
    }

    /// What gets the operations onto the chain.
    pub const fn submitter(&self) -> &Arc<dyn Submitter> {
        &self.core.submitter
    }

    /// All of these, in order, or none.
    pub fn batch(&self, actions: impl IntoIterator<Item = OwnerAction>) -> Operation<'_> {
        Operation::new(
            &self.core,
            Source::Actions(actions.into_iter().collect()),
            U192::ZERO,
            None,
        )
    }

    /// Calls another contract.
    pub fn execute(&self, call: Call) -> Operation<'_> {
        self.batch([OwnerAction::Call(call)])
    }

    /// Installs the session key plugin, with keys. The owner consents to the manifest that it has on chain;
    /// [`OwnerAction::InstallSessionKeyPlugin`] takes the hash of another.
    pub fn install_session_key_plugin(&self, keys: impl IntoIterator<Item = NewSessionKey>) -> Operation<'_> {
        let keys = keys.into_iter().collect();
        self.batch([OwnerAction::InstallSessionKeyPlugin {
            keys,
            manifest_hash: None,
            dependencies: None,
        }])
    }

    /// Uninstalls the session key plugin: every key is removed.
    pub fn uninstall_session_key_plugin(&self) -> Operation<'_> {
        self.batch([OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default())])
    }

    /// Registers a key.
    pub fn add_session_key(&self, key: NewSessionKey) -> Operation<'_> {
        self.batch([OwnerAction::AddSessionKey(key)])
    }

    /// Removes a key.
    pub fn remove_session_key(&self, key: Address) -> Operation<'_> {
        self.batch([OwnerAction::RemoveSessionKey(key)])
    }

    /// Removes several keys.
    pub fn remove_session_keys(&self, keys: impl IntoIterator<Item = Address>) -> Operation<'_> {
        self.batch(keys.into_iter().map(OwnerAction::RemoveSessionKey))
    }

    /// Gives a key's permissions and used-up limits to another, and removes it.
    pub fn rotate_session_key(&self, old: Address, new: Address) -> Operation<'_> {
        self.batch([OwnerAction::RotateSessionKey { old, new }])
    }

    /// Changes permissions of a key: what the updates name, and nothing else.
    pub fn update_key_permissions(&self, key: Address, updates: PermissionUpdates) -> Operation<'_> {
        self.batch([OwnerAction::UpdateKeyPermissions { key, updates }])
    }

    /// Adds and removes owners.
    pub fn update_owners(
        &self,
        add: impl IntoIterator<Item = Address>,
        remove: impl IntoIterator<Item = Address>,
    ) -> Operation<'_> {
        let (add, remove) = (add.into_iter().collect(), remove.into_iter().collect());
        self.batch([OwnerAction::UpdateOwners { add, remove }])
    }

    /// Installs the owner plugin, on an account that has another one so far.
    pub fn install_multi_owner_plugin(&self, owners: impl IntoIterator<Item = Address>) -> Operation<'_> {
        let owners: Vec<Address> = owners.into_iter().collect();
        self.batch([OwnerAction::InstallPlugin {
            plugin: self.core.account.deployment().multi_owner_plugin,
            manifest_hash: None,
            install_data: calldata::multi_owner_plugin_install_data(&owners),
            dependencies: Vec::new(),
        }])
    }

    /// Changes the account's implementation, and calls it with `data` unless that is empty.
    pub fn upgrade(&self, implementation: Address, data: impl Into<Bytes>) -> Operation<'_> {
        let data = data.into();
        self.batch([OwnerAction::Upgrade { implementation, data }])
    }

    /// Signs a text for the account, as an EIP-191 personal message; see [`sign_digest`](Self::sign_digest).
    pub async fn sign_message(&self, message: impl AsRef<[u8]> + Send) -> Result<Bytes, OperationError> {
        self.sign_digest(eip191_hash_message(message)).await
    }

    /// Signs typed data (EIP-712) for the account; see [`sign_digest`](Self::sign_digest).
    pub async fn sign_typed_data<T: SolStruct + Sync>(
        &self,
        data: &T,
        domain: &Eip712Domain,
    ) -> Result<Bytes, OperationError> {
        self.sign_digest(data.eip712_signing_hash(domain)).await
    }

    /// Signs for the account: what its `isValidSignature` (ERC-1271) accepts for this digest.
    ///
    /// For an account that does not exist yet, [`SmartAccount::erc6492_signature`] adds what verifiers need to know of it.
    pub async fn sign_digest(&self, digest: B256) -> Result<Bytes, OperationError> {
        let hash = self.core.account.message_hash(digest).await?;
        Ok(self.core.signer.sign_hash(&hash).await?.as_bytes().into())
    }

    /// An operation with call data of your own.
    pub fn call_data(&self, call_data: impl Into<Bytes>) -> Operation<'_> {
        Operation::new(&self.core, Source::CallData(call_data.into()), U192::ZERO, None)
    }

    /// Sends an operation of this client again that was sent and is not included: the same call with the same nonce, estimated and
    /// signed anew, with both fees raised by a tenth at the least, as bundlers want it. One of the two is executed, never both.
    ///
    /// `.outcome()` and `.execute()` tell what became of whichever was included. Through a bundler the replacement overtakes the
    /// first; through an [`EntryPointSubmitter`](crate::submit::EntryPointSubmitter) that sent the first, it does not.
    pub fn replace(&self, pending: &SignedOperation) -> Operation<'_> {
        Operation::replacement(&self.core, pending, None)
    }
}
