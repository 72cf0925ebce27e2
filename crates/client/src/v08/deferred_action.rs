//! An action that an owner signs and a later operation carries: it runs in that operation's validation,
//! before the operation's own validation, which may be the one that the action installs.

use super::{DIRECT_CALL_ENTITY_ID, ModuleEntity, signature};
use alloy::primitives::{Address, B256, Bytes, U256, b256, keccak256};
use serde::{Deserialize, Serialize};

/// `DeferredAction(uint256 nonce,uint48 deadline,bytes call)`.
const TYPE_HASH: B256 = b256!("9b23e06584efc6b65fc854cee55011d89f86485487b6db36aed7d23884711ea3");

/// The maximum deadline, `type(uint48).max`.
const MAX_DEADLINE: u64 = (1 << 48) - 1;

/// The length of locator and deadline, before the call.
const HEAD_LENGTH: u32 = 27;

/// A self-call of the account that an owner signs in advance. It is bound to the nonce of one operation, and
/// so to a lane, an entity id and a sequence number, but not to what that operation does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeferredAction {
    /// The validation that authorizes it: an owner's, without validation hooks.
    pub authorized_by: ModuleEntity,
    /// Whether it is used as a global validation.
    pub is_global: bool,
    /// The full nonce of the operation that carries it.
    pub nonce: U256,
    /// Last second in which the operation is valid, unix seconds; 0: no deadline.
    pub deadline: u64,
    /// Call data of the account.
    pub call: Bytes,
}

impl DeferredAction {
    /// What the owner signs: EIP-712 typed data of the account. `SingleSignerValidationModule` takes it for a message and wraps it
    /// once more.
    ///
    /// A deadline above 2^48 - 1 is taken for that.
    #[must_use]
    pub fn signing_hash(&self, account: Address, chain_id: u64) -> B256 {
        let data = signature::hash_words(&[
            TYPE_HASH,
            self.nonce.into(),
            U256::from(self.deadline()).into(),
            keccak256(&self.call),
        ]);
        let hash = signature::typed_data_hash(signature::account_domain(account, chain_id), data);
        if self.authorized_by.module.is_zero() {
            hash
        } else {
            signature::message_hash(self.authorized_by, account, chain_id, hash)
        }
    }

    /// The start of the operation's signature: the action, with the owner's signature of [`signing_hash`](Self::signing_hash). The
    /// operation's own signature follows. `None`: the call, or the signature, is longer than four gigabytes.
    #[must_use]
    pub fn signature_prefix(&self, owner_signature: &[u8]) -> Option<Bytes> {
        self.prefix(&signature::owner_part(owner_signature))
    }

    /// The same with the signature of an owner that is a contract: what its `isValidSignature` (ERC-1271) takes.
    #[must_use]
    pub fn contract_signature_prefix(&self, owner_signature: &[u8]) -> Option<Bytes> {
        self.prefix(&signature::contract_owner_part(owner_signature))
    }

    fn prefix(&self, part: &[u8]) -> Option<Bytes> {
        u32::try_from(self.call.len()).ok()?.checked_add(HEAD_LENGTH)?;
        let part_length = u32::try_from(part.len()).ok()?;
        let prefix = [&self.head()[..], &part_length.to_be_bytes(), part];
        Some(prefix.concat().into())
    }

    /// What stands before the owner's signature: length, validation, deadline and call.
    pub(crate) fn head(&self) -> Vec<u8> {
        let length = u32::try_from(self.call.len())
            .unwrap_or(u32::MAX)
            .saturating_add(HEAD_LENGTH);
        [
            &length.to_be_bytes()[..],
            &self.locator(),
            &self.deadline().to_be_bytes()[2..],
            &self.call,
        ]
        .concat()
    }

    /// The call of the action that an operation's signature begins with.
    pub(crate) fn call_in(signature: &Bytes) -> Option<Bytes> {
        let (length, rest) = signature.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let action = rest.get(..length)?;
        let call = action.get(HEAD_LENGTH as usize..)?;
        Some(signature.slice_ref(call))
    }

    const fn deadline(&self) -> u64 {
        if self.deadline < MAX_DEADLINE {
            self.deadline
        } else {
            MAX_DEADLINE
        }
    }

    /// The validation, as 21 bytes: entity id, or address of a direct caller, above a byte of options.
    fn locator(&self) -> [u8; 21] {
        let global = u8::from(self.is_global);
        let mut locator = [0; 21];
        if self.authorized_by.entity_id == DIRECT_CALL_ENTITY_ID {
            locator[..20].copy_from_slice(self.authorized_by.module.as_slice());
            locator[20] = global | 4;
        } else {
            locator[16..20].copy_from_slice(&self.authorized_by.entity_id.to_be_bytes());
            locator[20] = global;
        }
        locator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_hash() {
        assert_eq!(
            TYPE_HASH,
            keccak256("DeferredAction(uint256 nonce,uint48 deadline,bytes call)")
        );
    }
}
