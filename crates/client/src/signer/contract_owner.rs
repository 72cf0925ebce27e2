//! Owners that are contracts: they sign by ERC-1271, and the signature names the owner to ask.

use crate::v08::{self, DeferredAction, ModuleEntity, Selection};
use alloy::{
    eips::eip7702::{Authorization, SignedAuthorization},
    primitives::{Address, B256, Bytes, b256},
    signers::Signer,
};
use async_trait::async_trait;
use session_key_permissions::DUMMY_SIGNATURE;
use std::{fmt, sync::Arc};

/// The first 32 bytes of a signature that names its owner. No ECDSA signature begins with them: they exceed
/// the curve's order.
pub const NAMED_OWNER: B256 = b256!("0xffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c234690");

/// Returns a signature that names its contract owner: [`NAMED_OWNER`], the owner's address (20 bytes), then
/// `signature`.
///
/// The owner plugin asks only that owner, whatever the other owners are. With a signature that names no one,
/// it asks every owner, which bundlers refuse if one of the newer owners has no code (ERC-7562, OP-041).
///
/// The plugin deployed on public chains as 1.0.1 does not support this format.
pub fn named_owner_signature(owner: Address, signature: &[u8]) -> Bytes {
    [NAMED_OWNER.as_slice(), owner.as_slice(), signature]
        .concat()
        .into()
}

/// A contract that owns accounts, and how to sign for it. Used by
/// [`OwnerClient::for_contract`](crate::OwnerClient::for_contract).
///
/// Bundlers apply the validation rules to the contract, too: its `isValidSignature` must not read storage
/// other than the account's, unless the bundler makes an exception. Without such a bundler, it may.
#[async_trait]
pub trait ContractOwner: fmt::Debug + Send + Sync {
    /// Returns the contract: an owner of the account, with code.
    fn address(&self) -> Address;

    /// Returns a signature that the contract's `isValidSignature` (ERC-1271) accepts for this hash. The hash
    /// of a user operation is passed as is, without the prefix of a personal message. The account's own
    /// prefix (on v0.7 accounts, the owner's name) is added afterwards.
    async fn sign_hash(&self, hash: &B256) -> alloy::signers::Result<Bytes>;

    /// Returns a signature of the same format and length for gas estimation: the contract runs on it and
    /// rejects it. By default, 65 bytes of ECDSA.
    fn stub(&self) -> Bytes {
        DUMMY_SIGNATURE
    }
}

/// A contract whose `isValidSignature` accepts an ECDSA signature of one key, over the hash itself: r, s,
/// v (65 bytes).
#[derive(Clone)]
pub struct EcdsaContractOwner {
    owner: Address,
    signer: Arc<dyn Signer + Send + Sync>,
}

impl EcdsaContractOwner {
    /// Creates an owner from the contract, and the key whose signatures it accepts.
    pub fn new(owner: Address, signer: impl Signer + Send + Sync + 'static) -> Self {
        Self {
            owner,
            signer: Arc::new(signer),
        }
    }
}

impl fmt::Debug for EcdsaContractOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcdsaContractOwner")
            .field("owner", &self.owner)
            .field("signer", &self.signer.address())
            .finish()
    }
}

#[async_trait]
impl ContractOwner for EcdsaContractOwner {
    fn address(&self) -> Address {
        self.owner
    }

    async fn sign_hash(&self, hash: &B256) -> alloy::signers::Result<Bytes> {
        Ok(self.signer.sign_hash(hash).await?.as_bytes().into())
    }
}

/// An account's format of an operation's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureForm {
    /// Unchanged; a contract's names its owner.
    Plain,
    /// A session key's, which an ERC-6900 v0.8 account passes to the session key module. The validation is
    /// set if the account expects it at the start of the signature.
    ModuleSessionKey(Option<ModuleEntity>),
    /// An owner's, on an ERC-6900 v0.8 account, likewise.
    ModuleOwner(Option<ModuleEntity>),
}

/// A client's signer: a key, or a contract.
#[derive(Clone)]
pub(crate) enum Authority {
    Key(Arc<dyn Signer + Send + Sync>),
    Contract(Arc<dyn ContractOwner>),
}

impl Authority {
    pub(crate) fn address(&self) -> Address {
        match self {
            Self::Key(signer) => signer.address(),
            Self::Contract(owner) => owner.address(),
        }
    }

    /// Signs an operation with this hash.
    pub(crate) async fn sign_operation(
        &self,
        hash: B256,
        form: SignatureForm,
    ) -> alloy::signers::Result<Bytes> {
        let signature = match self {
            Self::Key(signer) => super::sign_hash(&**signer, hash).await?,
            Self::Contract(owner) => owner.sign_hash(&hash).await?,
        };
        Ok(self.formed(&signature, form))
    }

    /// Signs a message of the account, given the hash computed by the account or its validation's module.
    /// `None`: a v0.7 account.
    pub(crate) async fn sign_message_hash(
        &self,
        hash: B256,
        validation: Option<(ModuleEntity, Selection)>,
    ) -> alloy::signers::Result<Bytes> {
        let signature: Bytes = match self {
            Self::Key(signer) => signer.sign_hash(&hash).await?.as_bytes().into(),
            Self::Contract(owner) => owner.sign_hash(&hash).await?,
        };
        Ok(self.formed_message(&signature, validation))
    }

    /// Returns the start of the signature of an operation that carries the action; `hash` is signed.
    pub(crate) async fn sign_deferred_action(
        &self,
        action: &DeferredAction,
        hash: B256,
    ) -> alloy::signers::Result<Bytes> {
        let prefix = match self {
            Self::Key(signer) => {
                let signature = signer.sign_hash(&hash).await?;
                action.signature_prefix(&signature.as_bytes())
            }
            Self::Contract(owner) => action.contract_signature_prefix(&owner.sign_hash(&hash).await?),
        };
        prefix.ok_or_else(|| alloy::signers::Error::other("the action is longer than four gigabytes"))
    }

    /// Signs the authorization of the signer's own account to delegate (EIP-7702). A contract cannot.
    pub(crate) async fn sign_authorization(
        &self,
        authorization: Authorization,
    ) -> alloy::signers::Result<SignedAuthorization> {
        match self {
            Self::Key(signer) => {
                let signature = signer.sign_hash(&authorization.signature_hash()).await?;
                Ok(authorization.into_signed(signature))
            }
            Self::Contract(_) => Err(alloy::signers::Error::other("a contract cannot delegate")),
        }
    }

    /// Returns a placeholder in the format of a message's signature.
    pub(crate) fn dummy_message_signature(&self, validation: Option<(ModuleEntity, Selection)>) -> Bytes {
        match self {
            Self::Key(_) => self.formed_message(&DUMMY_SIGNATURE, validation),
            Self::Contract(owner) => self.formed_message(&owner.stub(), validation),
        }
    }

    fn formed_message(&self, signature: &Bytes, validation: Option<(ModuleEntity, Selection)>) -> Bytes {
        match (self, validation) {
            (_, None) => self.formed(signature, SignatureForm::Plain),
            (Self::Key(_), Some((validation, Selection::Nonce))) => {
                v08::signature::message(validation, signature)
            }
            (Self::Contract(_), Some((validation, Selection::Nonce))) => {
                v08::signature::contract_owners_message(validation, signature)
            }
            (Self::Key(_), Some((validation, Selection::Signature))) => {
                v08::signature::selecting_message(validation, &v08::signature::owner(signature))
            }
            (Self::Contract(_), Some((validation, Selection::Signature))) => {
                v08::signature::selecting_message(validation, &v08::signature::contract_owner(signature))
            }
        }
    }

    /// Returns a placeholder for an operation's signature during gas estimation.
    pub(crate) fn dummy_signature(&self, form: SignatureForm) -> Bytes {
        match self {
            Self::Key(_) => self.formed(&DUMMY_SIGNATURE, form),
            Self::Contract(owner) => self.formed(&owner.stub(), form),
        }
    }

    fn formed(&self, signature: &Bytes, form: SignatureForm) -> Bytes {
        match (form, self) {
            (SignatureForm::Plain, Self::Key(_)) => signature.clone(),
            (SignatureForm::Plain, Self::Contract(owner)) => {
                named_owner_signature(owner.address(), signature)
            }
            (SignatureForm::ModuleSessionKey(selected), _) => {
                selecting(selected, false, v08::signature::session_key(signature))
            }
            (SignatureForm::ModuleOwner(selected), Self::Key(_)) => {
                selecting(selected, true, v08::signature::owner(signature))
            }
            (SignatureForm::ModuleOwner(selected), Self::Contract(_)) => {
                selecting(selected, true, v08::signature::contract_owner(signature))
            }
        }
    }
}

/// Prefixes a signature with its validation if the account expects that.
fn selecting(selected: Option<ModuleEntity>, is_global: bool, signature: Bytes) -> Bytes {
    match selected {
        Some(validation) => v08::signature::selecting(validation, is_global, &signature),
        None => signature,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::keccak256;

    #[test]
    fn the_marker_is_the_published_one() {
        let hash = keccak256("session-keys.MultiOwnerPlugin.namedOwner");
        assert_eq!(NAMED_OWNER[..16], [0xff; 16]);
        assert_eq!(NAMED_OWNER[16..], hash[16..]);
    }

    #[test]
    fn a_name_stands_between_marker_and_signature() {
        let owner = Address::repeat_byte(0x22);
        let signature = named_owner_signature(owner, &[1, 2, 3]);
        assert_eq!(signature.len(), 32 + 20 + 3);
        assert_eq!(signature[..32], NAMED_OWNER[..]);
        assert_eq!(signature[32..52], owner[..]);
        assert_eq!(signature[52..], [1, 2, 3]);
    }
}
