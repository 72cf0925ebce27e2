//! The client of an account's owner.

use super::{
    Client,
    action::{Actions, OwnerAction, Unblock, deferred},
    within,
};
use crate::{
    account::SmartAccount,
    calldata::{self, NewSessionKey, UninstallConfig},
    delegation::{self, AuthorizationError},
    journal::IntentRecord,
    operation::{
        Cause, Core, DEFAULT_TIMEOUT, GivenCallData, Included, Operation, OperationError, Outcome, Source,
    },
    permissions::{Call, PermissionUpdates, nonce},
    signer::{Authority, ContractOwner},
    submit::Submitter,
    v08::DeferredGrant,
};
use alloy::{
    eips::{
        BlockId,
        eip7702::{Authorization, SignedAuthorization},
    },
    primitives::{Address, B256, Bytes, U256, aliases::U192, eip191_hash_message},
    sol_types::{Eip712Domain, SolStruct},
};
use async_trait::async_trait;
use std::{collections::BTreeSet, marker::PhantomData, sync::Arc};
use tokio::time::{Instant, timeout_at};

/// The client of an owner: grants, changes and revokes session keys, and makes any call.
///
/// Every method returns an [`Operation`]; awaiting it executes it.
pub type OwnerClient = Client<Owner>;

/// The role of an owner.
#[derive(Debug)]
#[non_exhaustive]
pub struct Owner {}

/// The outcome of a lane's open operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unblocked {
    /// The operation that ended them.
    pub included: Included,
    /// Intents whose operations it ended. They stay open until the block is deep enough for void.
    pub ended: Vec<IntentRecord>,
    /// Intents that were included before.
    pub included_before: Vec<IntentRecord>,
    /// Intents with an operation above the ended nonces.
    pub still_open: Vec<IntentRecord>,
    /// Intents for which the node did not answer in time whether they were ended or included.
    pub not_read_back: Vec<IntentRecord>,
}

impl Client<Owner> {
    /// Creates a client for an owner that is a contract. Its signatures, of operations and of messages, name
    /// it: see [`named_owner_signature`](crate::signer::named_owner_signature).
    ///
    /// ```no_run
    /// # use session_key_client::{OwnerClient, SmartAccount, alloy::{primitives::Address,
    /// signers::Signer}, signer::EcdsaContractOwner, submit::Submitter};
    /// # fn example(account: SmartAccount, wallet: Address, signer: impl Signer + Send + Sync + 'static,
    /// submitter: impl Submitter + 'static) { let owner = OwnerClient::for_contract(account,
    /// EcdsaContractOwner::new(wallet, signer), submitter);
    /// # }
    /// ```
    pub fn for_contract(
        account: SmartAccount,
        owner: impl ContractOwner + 'static,
        submitter: impl Submitter + 'static,
    ) -> Self {
        Self::shared_for_contract(account, Arc::new(owner), Arc::new(submitter))
    }

    /// Creates a client with a shared contract owner and submitter.
    pub fn shared_for_contract(
        account: SmartAccount,
        owner: Arc<dyn ContractOwner>,
        submitter: Arc<dyn Submitter>,
    ) -> Self {
        Self {
            core: Arc::new(Core::new(account, Authority::Contract(owner), submitter)),
            role: PhantomData,
        }
    }

    /// Creates an operation in the owner's first lane.
    fn operation(&self, source: impl Source + 'static) -> Operation {
        let nonce_key = self.core.account.generation().owner_nonce_key(U192::ZERO);
        Operation::new(&self.core, source, nonce_key)
    }

    /// Executes all actions, in order, or none.
    pub fn batch(&self, actions: impl IntoIterator<Item = OwnerAction>) -> Operation {
        self.operation(Actions::new(actions))
    }

    /// Calls another contract.
    pub fn execute(&self, call: Call) -> Operation {
        self.batch([OwnerAction::Call(call)])
    }

    /// Installs the session key plugin, with keys. The owner consents to the manifest on chain;
    /// [`OwnerAction::InstallSessionKeyPlugin`] takes another hash.
    pub fn install_session_key_plugin(&self, keys: impl IntoIterator<Item = NewSessionKey>) -> Operation {
        let keys = keys.into_iter().collect();
        self.batch([OwnerAction::InstallSessionKeyPlugin {
            keys,
            manifest_hash: None,
            dependencies: None,
        }])
    }

    /// Uninstalls the session key plugin: every key is removed.
    pub fn uninstall_session_key_plugin(&self) -> Operation {
        self.batch([OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default())])
    }

    /// Registers a key.
    pub fn add_session_key(&self, key: NewSessionKey) -> Operation {
        self.batch([OwnerAction::AddSessionKey(key)])
    }

    /// Removes a key: in a separate nonce lane, so that nothing can block it, and together with the journal's
    /// open operations that would grant to it. Afterwards the key's absence is read back.
    ///
    /// A key that watches the public pool can still act before that. Only a plain transaction
    /// ([`SmartAccount::owner_transaction`](crate::SmartAccount::owner_transaction)), kept out of public
    /// pools, gives no notice.
    pub fn remove_session_key(&self, key: Address) -> Operation {
        self.batch([OwnerAction::RemoveSessionKey(key)])
    }

    /// Removes several keys.
    pub fn remove_session_keys(&self, keys: impl IntoIterator<Item = Address>) -> Operation {
        self.batch(keys.into_iter().map(OwnerAction::RemoveSessionKey))
    }

    /// Moves a key's permissions and used amounts to another key, and removes it.
    pub fn rotate_session_key(&self, old: Address, new: Address) -> Operation {
        self.batch([OwnerAction::RotateSessionKey { old, new }])
    }

    /// Changes permissions of a key: only those named by the updates.
    pub fn update_key_permissions(&self, key: Address, updates: PermissionUpdates) -> Operation {
        self.batch([OwnerAction::UpdateKeyPermissions { key, updates }])
    }

    /// Adds and removes owners.
    pub fn update_owners(
        &self,
        add: impl IntoIterator<Item = Address>,
        remove: impl IntoIterator<Item = Address>,
    ) -> Operation {
        let (add, remove) = (add.into_iter().collect(), remove.into_iter().collect());
        self.batch([OwnerAction::UpdateOwners { add, remove }])
    }

    /// Installs the owner plugin on an account that has had another one.
    pub fn install_multi_owner_plugin(&self, owners: impl IntoIterator<Item = Address>) -> Operation {
        let owners: Vec<Address> = owners.into_iter().collect();
        self.batch([OwnerAction::InstallPlugin {
            plugin: self.core.account.deployment().multi_owner_plugin,
            manifest_hash: None,
            install_data: calldata::multi_owner_plugin_install_data(&owners),
            dependencies: Vec::new(),
        }])
    }

    /// Changes the account's implementation, and calls it with `data` unless that is empty.
    pub fn upgrade(&self, implementation: Address, data: impl Into<Bytes>) -> Operation {
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

    /// Signs a digest for the account: its `isValidSignature` (ERC-1271) accepts the result.
    ///
    /// For an account that does not exist yet,
    /// [`SmartAccount::erc6492_signature`](crate::SmartAccount::erc6492_signature) adds what verifiers need.
    pub async fn sign_digest(&self, digest: B256) -> Result<Bytes, OperationError> {
        let account = &self.core.account;
        let hash = account.message_hash(digest).await?;
        let validation = account.generation().owner_selection();
        Ok(self.core.signer.sign_message_hash(hash, validation).await?)
    }

    /// Grants to a key without sending an operation: signs a grant that the executing side includes in the
    /// key's first operation ([`SessionKeyClient::execute_first`](crate::SessionKeyClient::execute_first)).
    /// Only accounts with deferred actions support it: Modular Account v2 in all its forms. Nothing is on
    /// chain until then, and nothing is written to the journal.
    ///
    /// For an externally owned account that does not delegate yet
    /// ([`SmartAccount::from_eoa`](crate::SmartAccount::from_eoa)), the grant carries the authorization. It
    /// becomes void with the account's next transaction or authorization.
    ///
    /// `deadline` is the last second in which it can be used, in unix seconds. The key's own time range is
    /// separate.
    ///
    /// # Errors
    ///
    /// [`Cause::OtherGeneration`] on an account without deferred actions; [`Cause::Permission`] for a
    /// deadline that has passed, or 0, and for permissions that [`add_session_key`](Self::add_session_key)
    /// would refuse; [`Cause::UnsafeInstallation`] if the owner's validation has hooks.
    pub async fn defer_grant(
        &self,
        key: NewSessionKey,
        deadline: u64,
    ) -> Result<DeferredGrant, OperationError> {
        within(DEFAULT_TIMEOUT, async {
            let account = &self.core.account;
            let (action, grant) = deferred(account, key, deadline).await?;
            let hash = action.signing_hash(account.address(), account.chain_id());
            let prefix = self.core.signer.sign_deferred_action(&action, hash).await;
            let signature_prefix = prefix.map_err(|error| Cause::Signer {
                message: crate::request::clean(&error.to_string()),
            })?;
            Ok(DeferredGrant {
                signature_prefix,
                authorization: self.authorization().await?,
                ..grant
            })
        })
        .await
    }

    /// Signs the account's authorization to delegate (EIP-7702) for its next nonce, if it does not
    /// delegate yet.
    async fn authorization(&self) -> Result<Option<SignedAuthorization>, Cause> {
        let account = self.account();
        let Some(delegate) = account.delegate() else {
            return Ok(None);
        };
        let address = account.address();
        let failed = |error| Cause::Request {
            by: "node".to_owned(),
            error,
        };
        let (code, nonce) = tokio::try_join!(
            self.core.node.code_at(address, BlockId::latest()),
            self.core.node.transaction_count(address, false)
        )
        .map_err(failed)?;
        if delegation::delegates(address, &code, delegate)? {
            return Ok(None);
        }
        let signer = self.core.signer.address();
        if signer != address {
            return Err(AuthorizationError::NotTheKey {
                account: address,
                signer,
            }
            .into());
        }
        let authorization = Authorization {
            chain_id: U256::from(account.chain_id()),
            address: delegate,
            nonce,
        };
        Ok(Some(self.core.signer.sign_authorization(authorization).await?))
    }

    /// Ends an unused deferred grant by using up its nonce.
    pub fn end_deferred_grant(&self, grant: &DeferredGrant) -> Operation {
        let call = calldata::increment_nonce(grant.entry_point, grant.nonce_key());
        self.batch([OwnerAction::Call(call)])
    }

    /// Executes an operation with this call data.
    pub fn call_data(&self, call_data: impl Into<Bytes>) -> Operation {
        self.operation(GivenCallData(call_data.into()))
    }

    /// Ends the open operations of a session key's nonce lane, by using up their nonces (the account calls
    /// `EntryPoint.incrementNonce`): up to the given sequence number, or up to the last one in the journal;
    /// at most 64 at a time.
    pub async fn unblock(
        &self,
        session_key: Address,
        last: Option<u64>,
    ) -> Result<Unblocked, OperationError> {
        let nonce_key = self.core.account.generation().session_key_nonce_key(session_key);
        self.unblock_lane(nonce_key, last).await
    }

    /// Like [`unblock`](Self::unblock), for any lane.
    pub async fn unblock_lane(
        &self,
        nonce_key: U192,
        last: Option<u64>,
    ) -> Result<Unblocked, OperationError> {
        let lane = self.core.lane(nonce_key);
        let before = within(DEFAULT_TIMEOUT, async {
            self.core.require_history().await?;
            let mut before = self.core.desk.journal().unsettled(&lane).await?;
            // An operation undone by a reorganization is open again: the journal may not know yet.
            if let Ok(view) = self.core.view(&lane).await {
                let _ = self.core.settle(&view, &mut before).await;
            }
            Ok(before)
        })
        .await?;
        let source = Unblock {
            nonce_key,
            last: last.map(|last| nonce(nonce_key, last)),
        };
        let included = self.operation(source).await?;
        let mut unblocked = Unblocked {
            included,
            ended: Vec::new(),
            included_before: Vec::new(),
            still_open: Vec::new(),
            not_read_back: Vec::new(),
        };
        // The operation is included: a failure to read back does not change that.
        let until = Instant::now() + DEFAULT_TIMEOUT;
        let read_back = self.core.read_back(&lane, &before, &unblocked.included);
        let read_back = timeout_at(until, read_back).await;
        for record in before {
            let looked_up = timeout_at(until, self.core.looked_up(record.id)).await;
            let record = match looked_up {
                Ok(Ok(Some(newest))) => newest,
                _ => {
                    let kept = self.core.desk.journal().intent(record.id).await;
                    kept.ok().flatten().unwrap_or(record)
                }
            };
            let stands = |events: &BTreeSet<B256>| {
                let mut operations = record.operations.iter();
                operations.any(|operation| events.contains(&operation.signed.hash))
            };
            let is_ended = |next: U256| record.open_operations().all(|operation| operation.nonce() < next);
            match (record.outcome(), &read_back) {
                (Outcome::Included(_), _) => unblocked.included_before.push(record),
                (_, Ok((events, _))) if stands(events) => unblocked.included_before.push(record),
                (Outcome::Void(_) | Outcome::NeverSent, _) => unblocked.ended.push(record),
                (_, Ok((_, next))) if is_ended(*next) => unblocked.ended.push(record),
                (_, Ok(_)) => unblocked.still_open.push(record),
                (_, Err(_)) => unblocked.not_read_back.push(record),
            }
        }
        Ok(unblocked)
    }
}

/// An account that owns another account. Its `isValidSignature` reads its own owners, which ERC-7562 forbids
/// in the other account's validation; submitters without a bundler can send such operations.
#[async_trait]
impl ContractOwner for Client<Owner> {
    fn address(&self) -> Address {
        self.account().address()
    }

    async fn sign_hash(&self, hash: &B256) -> alloy::signers::Result<Bytes> {
        self.sign_digest(*hash)
            .await
            .map_err(alloy::signers::Error::other)
    }

    fn stub(&self) -> Bytes {
        let validation = self.account().generation().owner_selection();
        self.core.signer.dummy_message_signature(validation)
    }
}
