//! Signers: session keys held by this process, and owners that are contracts.
//!
//! Any `alloy` [`Signer`] can sign for a session key (a KMS, a hardware wallet, …) with
//! [`sign_user_operation`]. [`SessionKeySigner`] is for keys held by this process: it loads the key from a
//! [`KeyStorage`], generates one if there is none, and writes new keys to the same storage. Key bytes are
//! zeroized when dropped, and never printed.
//!
//! An owner that is a contract signs as a [`ContractOwner`].

mod contract_owner;
#[cfg(feature = "keystore")]
mod keystore;
mod local_key;
mod user_operation;

pub(crate) use contract_owner::{Authority, SignatureForm};
pub use contract_owner::{ContractOwner, EcdsaContractOwner, NAMED_OWNER, named_owner_signature};
#[cfg(feature = "keystore")]
pub use keystore::KeystoreFile;
pub use user_operation::{sign_hash, sign_user_operation};

use alloy::{
    primitives::{Address, B256, ChainId, Signature},
    signers::{Signer, k256::elliptic_curve::rand_core::OsRng, local::PrivateKeySigner},
};
use async_trait::async_trait;
use local_key::LocalKey;
use std::{fmt, io, path::PathBuf, sync::Mutex};
use zeroize::{Zeroize as _, Zeroizing};

/// The 32 bytes of a private key. Zeroized when dropped; never printed.
pub struct PrivateKey(Zeroizing<[u8; 32]>);

impl PrivateKey {
    /// Generates a key from the operating system's randomness.
    pub fn random() -> Self {
        let mut bytes = PrivateKeySigner::random_with(&mut OsRng).to_bytes();
        let key = Self(Zeroizing::new(bytes.0));
        bytes.0.zeroize();
        key
    }

    /// Creates a key from its bytes, which must be a valid secp256k1 key: from 1 to the group order minus 1.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKeySigner::from_slice(bytes).map_err(|_| KeyError::InvalidKey)?;
        Ok(Self(Zeroizing::new(*bytes)))
    }

    /// Parses a key of 64 hexadecimal digits, with or without `0x`.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        // The hex decoder's error contains the invalid character: part of the secret.
        alloy::hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).map_err(|_| KeyError::InvalidKey)?;
        Self::from_bytes(&bytes)
    }

    /// Returns the secret bytes.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A key could not be loaded or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 32 bytes in hexadecimal, or not a valid secp256k1 key.
    #[error("not a valid private key")]
    InvalidKey,

    /// The storage has no key, and none was to be generated.
    #[error("there is no key in {0}")]
    NotFound(String),

    /// The storage is read-only.
    #[error("a key cannot be stored in {0}")]
    ReadOnly(String),

    /// A file could not be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        error: io::Error,
    },

    /// A file could not be written. Its previous content remains.
    #[error("could not write {path}; a key that was there before is still there")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error.
        #[source]
        error: io::Error,
    },

    /// A new key was written but may not survive a power failure, and the old one could not be restored. The
    /// old key is in another file: move it back.
    #[error("could not write {path} for good, nor put the old key back; the old key is in {old}")]
    NotRestored {
        /// The file, which may hold the new key.
        path: PathBuf,
        /// The file that holds the old key, with the same password.
        old: PathBuf,
        /// The error of restoring the old key.
        #[source]
        error: io::Error,
    },

    /// The password does not open the keystore.
    #[error("wrong password for {0}")]
    WrongPassword(PathBuf),

    /// The file is not a keystore.
    #[error("{path} is not an encrypted keystore: {reason}")]
    NotAKeystore {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },

    /// Opening the keystore would take too much memory or time. The file determines how much.
    #[error("{path} takes {needed} {unit} to open, and at most {limit} are accepted")]
    TooCostly {
        /// The file.
        path: PathBuf,
        /// The cost of opening it.
        needed: u64,
        /// The maximum accepted.
        limit: u64,
        /// The unit of the cost.
        unit: &'static str,
    },
}

/// Stores a session key. It holds one key at a time.
pub trait KeyStorage: Send + Sync {
    /// Returns the key, if there is one.
    fn load(&self) -> Result<Option<PrivateKey>, KeyError>;

    /// Replaces the key. On failure, the old key remains.
    fn store(&self, key: &PrivateKey) -> Result<(), KeyError>;

    /// Stores the key if there is none. Returns the stored key: this one, or one that was there already.
    ///
    /// The default checks first, then stores. A storage that several processes can open should do this
    /// atomically: otherwise, of two that find none, one gets a key that is stored nowhere.
    fn store_if_none(&self, key: PrivateKey) -> Result<PrivateKey, KeyError> {
        match self.load()? {
            Some(key) => Ok(key),
            None => self.store(&key).map(|()| key),
        }
    }
}

/// Keeps a key in memory, while the process lives.
#[derive(Default)]
pub struct MemoryStorage(Mutex<Option<PrivateKey>>);

impl MemoryStorage {
    /// Creates a storage with this key.
    pub const fn new(key: PrivateKey) -> Self {
        Self(Mutex::new(Some(key)))
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStorage(…)")
    }
}

impl KeyStorage for MemoryStorage {
    fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
        let key = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(key.as_ref().map(|key| PrivateKey(key.0.clone())))
    }

    fn store(&self, key: &PrivateKey) -> Result<(), KeyError> {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(PrivateKey(key.0.clone()));
        Ok(())
    }

    fn store_if_none(&self, key: PrivateKey) -> Result<PrivateKey, KeyError> {
        let mut kept = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(PrivateKey(kept.get_or_insert(key).0.clone()))
    }
}

/// Reads a key from an environment variable, as 64 hexadecimal digits. Read-only.
#[derive(Clone, Debug)]
pub struct EnvironmentStorage {
    variable: String,
}

impl EnvironmentStorage {
    /// Creates a storage for this variable.
    pub fn new(variable: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
        }
    }
}

impl KeyStorage for EnvironmentStorage {
    fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
        match std::env::var(&self.variable) {
            Ok(text) => PrivateKey::from_hex(&Zeroizing::new(text)).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(KeyError::InvalidKey),
        }
    }

    fn store(&self, _: &PrivateKey) -> Result<(), KeyError> {
        Err(KeyError::ReadOnly(format!(
            "environment variable {}",
            self.variable
        )))
    }
}

/// A session key held by this process, as an `alloy` [`Signer`].
///
/// With the crate's feature `secp256k1` it signs in C instead of Rust; the signatures are the same.
pub struct SessionKeySigner {
    storage: Box<dyn KeyStorage>,
    key: LocalKey,
    chain_id: Option<ChainId>,
}

impl SessionKeySigner {
    /// Loads the key from the storage, or generates and stores one if there is none. Concurrent openers of
    /// the same empty storage get the same key, if it is a `KeystoreFile` or a [`MemoryStorage`]; see
    /// [`KeyStorage::store_if_none`].
    pub fn open(storage: impl KeyStorage + 'static) -> Result<Self, KeyError> {
        let key = match storage.load()? {
            Some(key) => key,
            None => storage.store_if_none(PrivateKey::random())?,
        };
        Self::new(key, storage)
    }

    /// Loads the key from the storage; an error if there is none.
    pub fn load(storage: impl KeyStorage + fmt::Debug + 'static) -> Result<Self, KeyError> {
        let key = storage
            .load()?
            .ok_or_else(|| KeyError::NotFound(format!("{storage:?}")))?;
        Self::new(key, storage)
    }

    /// Generates a key that is kept only in memory.
    pub fn random() -> Self {
        Self::open(MemoryStorage::default()).expect("memory can be read and written")
    }

    fn new(key: PrivateKey, storage: impl KeyStorage + 'static) -> Result<Self, KeyError> {
        Ok(Self {
            key: LocalKey::new(key)?,
            storage: Box::new(storage),
            chain_id: None,
        })
    }

    /// Returns the key's address.
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// Generates a new key, replacing the old one in its storage. The owner must then rotate the old key to
    /// the new one. On an error, the old key stays in place, in the storage and here; or the error says where
    /// it is ([`KeyError::NotRestored`]).
    pub fn regenerate(&mut self) -> Result<Address, KeyError> {
        let key = PrivateKey::random();
        self.storage.store(&key)?;
        // A generated key is valid: this does not fail.
        self.key = LocalKey::new(key)?;
        Ok(self.address())
    }
}

impl fmt::Debug for SessionKeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKeySigner")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for SessionKeySigner {
    async fn sign_hash(&self, hash: &B256) -> alloy::signers::Result<Signature> {
        self.key.sign(hash)
    }

    fn address(&self) -> Address {
        self.key.address()
    }

    fn chain_id(&self) -> Option<ChainId> {
        self.chain_id
    }

    fn set_chain_id(&mut self, chain_id: Option<ChainId>) {
        self.chain_id = chain_id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Shared(Arc<MemoryStorage>);

    impl KeyStorage for Shared {
        fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
            self.0.load()
        }
        fn store(&self, key: &PrivateKey) -> Result<(), KeyError> {
            self.0.store(key)
        }
    }

    #[test]
    fn new_keys_go_to_the_storage_they_came_from() {
        let storage = Shared::default();
        let mut signer = SessionKeySigner::open(storage.clone()).unwrap();
        let first = signer.address();
        assert_eq!(SessionKeySigner::open(storage.clone()).unwrap().address(), first);
        let second = signer.regenerate().unwrap();
        assert_ne!(first, second);
        assert_eq!(signer.address(), second);
        assert_eq!(SessionKeySigner::open(storage).unwrap().address(), second);
    }

    struct ReadOnly;

    impl KeyStorage for ReadOnly {
        fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
            PrivateKey::from_bytes(&[1; 32]).map(Some)
        }
        fn store(&self, _: &PrivateKey) -> Result<(), KeyError> {
            Err(KeyError::ReadOnly("a test".to_owned()))
        }
    }

    #[test]
    fn a_key_that_cannot_be_stored_does_not_replace_the_old_one() {
        let mut signer = SessionKeySigner::open(ReadOnly).unwrap();
        let address = signer.address();
        assert!(matches!(signer.regenerate(), Err(KeyError::ReadOnly(_))));
        assert_eq!(signer.address(), address);
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
        let key = PrivateKey::from_hex(secret).unwrap();
        let storage = MemoryStorage::new(PrivateKey::from_hex(secret).unwrap());
        let mut printed = format!("{key:?} {storage:?}");
        let signer = SessionKeySigner::open(storage).unwrap();
        printed += &format!(
            "{signer:?} {signer:#?} {}",
            PrivateKey::from_hex(&secret.replace('9', "x")).unwrap_err()
        );
        let bytes = format!("{:?}", key.expose_secret());
        assert!(printed.contains("SessionKeySigner"));
        assert!(!printed.contains(&secret[..6]) && !printed.contains(&bytes) && !printed.contains("xx"));
    }

    #[test]
    fn malformed_keys_are_refused() {
        for text in [
            "",
            "0x",
            &"0".repeat(64),
            &"f".repeat(64),
            &"1".repeat(63),
            &"1".repeat(66),
        ] {
            assert!(
                matches!(PrivateKey::from_hex(text), Err(KeyError::InvalidKey)),
                "{text}"
            );
        }
        let missing = EnvironmentStorage::new("SESSION_KEY_TEST_NO_SUCH_VARIABLE");
        assert!(matches!(
            SessionKeySigner::load(missing.clone()),
            Err(KeyError::NotFound(_))
        ));
        assert!(matches!(
            SessionKeySigner::open(missing),
            Err(KeyError::ReadOnly(_))
        ));
    }
}
