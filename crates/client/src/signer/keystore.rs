use super::{KeyError, KeyStorage, PrivateKey};
use eth_keystore::{EthKeystore, KdfparamsType, KeystoreError};
use rand::rngs::OsRng;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};
use tempfile::{PathPersistError, TempDir, TempPath};
use zeroize::Zeroizing;

/// Name of the file while it is written, in a folder of its own.
const NAME: &str = "key";

/// The most memory that opening a keystore may take, in bytes. The scrypt parameters in the file say how much; the usual ones
/// need 8 MiB to 256 MiB.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;

/// How many times that memory may be gone through, in scrypt's `p`: minutes. The usual number is 1 to 8.
const MAX_SCRYPT_PARALLELIZATION: u32 = 64;

/// The most rounds that opening a keystore may take: minutes. The usual number is 262,144.
const MAX_PBKDF2_ROUNDS: u32 = 50_000_000;

/// Keeps a key in a file, encrypted with a password: Web3 secret storage, version 3, which geth, foundry and others read.
///
/// **The password must be a random one**, of at least 20 letters and digits: new files are written with scrypt's cost at
/// `n = 2^13` (`r = 8`, `p = 1`). Geth's default is `2^18`: whoever steals the file can try 32 times as many passwords in the same
/// time as of a file of geth's, too many for one that a person has thought up. Files of any cost are read, within reason.
///
/// Only the user can read the file (mode 0600 on Unix). Writing is atomic: whatever happens, there is a complete old or a
/// complete new file.
#[derive(Clone)]
pub struct KeystoreFile {
    path: PathBuf,
    password: Zeroizing<String>,
}

impl KeystoreFile {
    /// The file at this path, which need not exist yet. Its folder must.
    pub fn new(path: impl Into<PathBuf>, password: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            password: Zeroizing::new(password.into()),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, error: io::Error) -> KeyError {
        KeyError::Io {
            path: self.path.clone(),
            error,
        }
    }

    fn not_a_keystore(&self, reason: impl ToString) -> KeyError {
        KeyError::NotAKeystore {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Encrypts the key into a file, [`NAME`], in a folder that only the user can enter. It is next to the file to be: moving
    /// it there is atomic within one file system.
    fn encrypt(&self, key: &PrivateKey) -> Result<TempDir, KeyError> {
        let private = tempfile::tempdir_in(self.folder()).map_err(|error| self.io(error))?;
        let (secret, password) = (key.expose_secret(), self.password.as_bytes());
        eth_keystore::encrypt_key(private.path(), &mut OsRng, secret, password, Some(NAME))
            .map_err(|error| self.io(io::Error::other(error)))?;
        let file = private.path().join(NAME);
        (|| {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            }
            fs::File::open(&file)?.sync_all()
        })()
        .map_err(|error| self.io(error))?;
        Ok(private)
    }

    /// A new key may be registered on chain next: it must survive a power failure from here on.
    fn sync_folder(&self) -> Result<(), KeyError> {
        #[cfg(unix)]
        fs::File::open(self.folder())
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.io(error))?;
        Ok(())
    }

    /// The decoder trusts the file, and would panic or take any amount of memory on a malformed one.
    fn check(&self, contents: &str) -> Result<(), KeyError> {
        let keystore: EthKeystore = serde_json::from_str(contents).map_err(|error| {
            // The error's own text quotes the file, which may hold a key that was never encrypted.
            self.not_a_keystore(format!(
                "it is not of the expected form at line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        if keystore.version != 3 {
            return Err(self.not_a_keystore(format!("version {} instead of 3", keystore.version)));
        }
        let derived_length = match keystore.crypto.kdfparams {
            KdfparamsType::Pbkdf2 { dklen, c, .. } => {
                if c == 0 || c > MAX_PBKDF2_ROUNDS {
                    return Err(self.not_a_keystore(format!("{c} rounds of PBKDF2 are out of range")));
                }
                dklen
            }
            KdfparamsType::Scrypt { dklen, n, r, p, .. } => {
                let memory = u64::from(n).saturating_mul(u64::from(r)).saturating_mul(128);
                let is_in_range = n.is_power_of_two()
                    && n >= 2
                    && r > 0
                    && (1..=MAX_SCRYPT_PARALLELIZATION).contains(&p)
                    && memory <= MAX_SCRYPT_MEMORY;
                if !is_in_range {
                    return Err(self
                        .not_a_keystore(format!("scrypt parameters n {n}, r {r}, p {p} are out of range")));
                }
                dklen
            }
        };
        if derived_length != 32 {
            return Err(self.not_a_keystore("the derived key does not have 32 bytes"));
        }
        if keystore.crypto.cipherparams.iv.len() != 16 {
            return Err(self.not_a_keystore("the initialization vector does not have 16 bytes"));
        }
        if keystore.crypto.ciphertext.len() != 32 {
            return Err(self.not_a_keystore("the key does not have 32 bytes"));
        }
        Ok(())
    }
}

impl fmt::Debug for KeystoreFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeystoreFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl KeyStorage for KeystoreFile {
    fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
        let contents = match fs::read_to_string(&self.path) {
            Ok(contents) => contents,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.not_a_keystore(error));
            }
            Err(error) => return Err(self.io(error)),
        };
        self.check(&contents)?;
        let key = match eth_keystore::decrypt_key(&self.path, self.password.as_bytes()) {
            Ok(key) => Zeroizing::new(key),
            Err(KeystoreError::MacMismatch) => return Err(KeyError::WrongPassword(self.path.clone())),
            Err(KeystoreError::StdIo(error)) => return Err(self.io(io::Error::other(error))),
            // Not its text, either: the file may have changed since it was checked.
            Err(_) => return Err(self.not_a_keystore("it cannot be decrypted")),
        };
        let bytes = key.first_chunk::<32>().ok_or(KeyError::InvalidKey)?;
        PrivateKey::from_bytes(bytes).map(Some)
    }

    fn store(&self, key: &PrivateKey) -> Result<(), KeyError> {
        let private = self.encrypt(key)?;
        fs::rename(private.path().join(NAME), &self.path).map_err(|error| self.io(error))?;
        self.sync_folder()
    }

    fn store_if_none(&self, key: PrivateKey) -> Result<PrivateKey, KeyError> {
        let private = self.encrypt(&key)?;
        let file = TempPath::try_from_path(private.path().join(NAME)).map_err(|error| self.io(error))?;
        match file.persist_noclobber(&self.path) {
            Ok(()) => self.sync_folder().map(|()| key),
            Err(PathPersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => self
                .load()?
                .ok_or_else(|| KeyError::NotFound(format!("{self:?}"))),
            Err(PathPersistError { error, .. }) => Err(self.io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionKeySigner;

    #[test]
    fn keys_survive_in_the_file_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let storage = KeystoreFile::new(folder.path().join("agent.json"), "correct horse");
        let mut signer = SessionKeySigner::open(storage.clone()).unwrap();
        let first = signer.address();
        assert_eq!(SessionKeySigner::load(storage.clone()).unwrap().address(), first);
        let second = signer.regenerate().unwrap();
        assert_ne!(first, second);
        assert_eq!(SessionKeySigner::load(storage.clone()).unwrap().address(), second);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left lying about"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                fs::metadata(storage.path()).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert!(!format!("{storage:?}").contains("horse"));
        let secret = storage.load().unwrap().unwrap();
        let contents = fs::read_to_string(storage.path()).unwrap();
        // The cost that the documentation names.
        let keystore: serde_json::Value = serde_json::from_str(&contents).unwrap();
        let cost = &keystore["crypto"]["kdfparams"];
        assert_eq!([&cost["n"], &cost["r"], &cost["p"]], [8192, 8, 1]);
        assert!(!contents.contains(&alloy::hex::encode(secret.expose_secret())));
    }

    #[test]
    fn whoever_opens_an_empty_file_at_once_gets_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..8 {
            let storage = KeystoreFile::new(folder.path().join(round.to_string()), "");
            let barrier = std::sync::Barrier::new(4);
            let addresses: Vec<_> = std::thread::scope(|scope| {
                let open = || {
                    barrier.wait();
                    SessionKeySigner::open(storage.clone()).unwrap().address()
                };
                let threads = [(); 4].map(|()| scope.spawn(open));
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let stored = SessionKeySigner::load(storage).unwrap().address();
            assert_eq!(addresses, [stored; 4]);
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            8,
            "nothing is left lying about"
        );
    }

    #[test]
    fn wrong_passwords_and_broken_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        let storage = KeystoreFile::new(&path, "right");
        assert!(matches!(
            SessionKeySigner::load(storage.clone()),
            Err(KeyError::NotFound(_))
        ));
        SessionKeySigner::open(storage.clone()).unwrap();
        assert!(matches!(
            KeystoreFile::new(&path, "wrong").load(),
            Err(KeyError::WrongPassword(_))
        ));

        let good: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (pointer, value) in [
            ("/version", serde_json::json!(1)),
            ("/crypto/kdfparams/dklen", serde_json::json!(16)),
            ("/crypto/kdfparams/n", serde_json::json!(0)),
            ("/crypto/kdfparams/n", serde_json::json!(1 << 30)),
            ("/crypto/kdfparams/p", serde_json::json!(0)),
            ("/crypto/kdfparams/p", serde_json::json!(1 << 20)),
            ("/crypto/cipherparams/iv", serde_json::json!("00")),
            ("/crypto/ciphertext", serde_json::json!("00")),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            fs::write(&path, bad.to_string()).unwrap();
            assert!(
                matches!(storage.load(), Err(KeyError::NotAKeystore { .. })),
                "{pointer}"
            );
        }
        fs::write(&path, b"\xff not json").unwrap();
        assert!(matches!(storage.load(), Err(KeyError::NotAKeystore { .. })));
        // A key that was never encrypted is not quoted.
        let secret = alloy::hex::encode([0x4c; 32]);
        for contents in [
            format!("\"{secret}\""),
            format!("{{\"crypto\":\"{secret}\"}}"),
            secret.clone(),
            "4".repeat(64),
        ] {
            fs::write(&path, &contents).unwrap();
            let error = storage.load().unwrap_err();
            assert!(matches!(error, KeyError::NotAKeystore { .. }), "{error}");
            let printed = format!("{error} {error:?}");
            assert!(
                !printed.contains("4c4c") && !printed.contains("4444"),
                "{printed}"
            );
            assert!(!printed.contains("e63"), "{printed}");
        }
        let nowhere = KeystoreFile::new(folder.path().join("no/such/folder/key.json"), "");
        assert!(matches!(
            SessionKeySigner::open(nowhere),
            Err(KeyError::Io { .. })
        ));
    }
}
