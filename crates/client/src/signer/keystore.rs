//! Keys in encrypted files.

use super::{KeyError, KeyStorage, PrivateKey};
use eth_keystore::{EthKeystore, KdfparamsType, KeystoreError};
use rand::rngs::OsRng;
use std::{
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};
use tempfile::{PathPersistError, TempDir, TempPath};
use zeroize::Zeroizing;

/// The name of the file while it is written, in its own folder.
const NAME: &str = "key";

/// The name of the old file while it is being replaced.
const OLD_NAME: &str = "old";

/// Maximum size of a file, in bytes. A keystore has about 500.
const MAX_SIZE: u64 = 64 << 10;

/// Maximum memory for opening a keystore, in bytes: `128 * r * (n + p + 1)`, by the scrypt parameters in the
/// file. The usual ones need 8 MB to 256 MB, and `n = 2^20` with `r = 8` is within the bound.
const MAX_SCRYPT_MEMORY: u64 = 1_100_000_000;

/// Maximum work for opening a keystore: `n * r * p`, about half a minute. The usual parameters need `2^16` to
/// `2^23`.
const MAX_SCRYPT_WORK: u64 = 1 << 26;

/// Maximum rounds of PBKDF2 for opening a keystore: about half a minute. The usual number is 262,144.
const MAX_PBKDF2_ROUNDS: u32 = 20_000_000;

/// Stores a key in a file, encrypted with a password: Web3 secret storage, version 3, as read by geth,
/// foundry and others.
///
/// **The password must be random**, with at least 20 letters and digits: new files use scrypt with `n = 2^13`
/// (`r = 8`, `p = 1`). Geth's default is `2^18`: a thief of this file can try 32 times as many passwords in
/// the same time, too many for one chosen by a person. Files with other costs are readable if opening them
/// takes at most 1.1 GB of memory and about half a minute; otherwise the error is [`KeyError::TooCostly`].
///
/// Only the user can read the file (mode 0600 on Unix). Writing is atomic: there is always a complete old or
/// a complete new file. If writing fails, the old file remains. On Unix the folder must be readable, so that
/// changes can be flushed to disk.
#[derive(Clone)]
pub struct KeystoreFile {
    path: PathBuf,
    password: Zeroizing<String>,
}

impl KeystoreFile {
    /// Creates a storage for this path. The file need not exist, but its folder must.
    pub fn new(path: impl Into<PathBuf>, password: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            password: Zeroizing::new(password.into()),
        }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn cannot_read(&self, error: io::Error) -> KeyError {
        KeyError::Read {
            path: self.path.clone(),
            error,
        }
    }

    fn cannot_write(&self, error: io::Error) -> KeyError {
        KeyError::Write {
            path: self.path.clone(),
            error,
        }
    }

    fn too_costly(&self, needed: u64, limit: u64, unit: &'static str) -> KeyError {
        KeyError::TooCostly {
            path: self.path.clone(),
            needed,
            limit,
            unit,
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

    /// Encrypts the key into a file, [`NAME`], in a folder that only the user can enter, next to the target:
    /// moving it there is atomic within one file system.
    fn encrypt(&self, key: &PrivateKey) -> Result<TempDir, KeyError> {
        let private = tempfile::tempdir_in(self.folder()).map_err(|error| self.cannot_write(error))?;
        let (secret, password) = (key.expose_secret(), self.password.as_bytes());
        eth_keystore::encrypt_key(private.path(), &mut OsRng, secret, password, Some(NAME))
            .map_err(|error| self.cannot_write(io::Error::other(error)))?;
        let file = private.path().join(NAME);
        (|| {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            }
            fs::File::open(&file)?.sync_all()
        })()
        .map_err(|error| self.cannot_write(error))?;
        Ok(private)
    }

    /// Replaces the file. `sync` makes the change durable; if it fails, the old file is restored.
    fn store_with(&self, key: &PrivateKey, sync: impl FnOnce() -> io::Result<()>) -> Result<(), KeyError> {
        let private = self.encrypt(key)?;
        let old = private.path().join(OLD_NAME);
        let has_old = keep(&self.path, &old).map_err(|error| self.cannot_write(error))?;
        fs::rename(private.path().join(NAME), &self.path).map_err(|error| self.cannot_write(error))?;
        let Err(error) = sync() else {
            return Ok(());
        };
        let restored = if has_old {
            fs::rename(&old, &self.path)
        } else {
            fs::remove_file(&self.path)
        };
        match restored {
            Err(error) if has_old => Err(KeyError::NotRestored {
                path: self.path.clone(),
                old: private.keep().join(OLD_NAME),
                error,
            }),
            _ => Err(self.cannot_write(error)),
        }
    }

    /// Returns the function that makes changes of the folder durable: a new key may be registered on chain
    /// next, so it must survive a power failure. A folder that cannot be opened is an error before anything
    /// is changed.
    fn folder_sync(&self) -> Result<impl FnOnce() -> io::Result<()> + use<>, KeyError> {
        #[cfg(unix)]
        let folder = fs::File::open(self.folder()).map_err(|error| self.cannot_write(error))?;
        Ok(move || {
            #[cfg(unix)]
            match folder.sync_all() {
                // Some file systems cannot, and need not.
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                    ) =>
                {
                    return Err(error);
                }
                _ => {}
            }
            Ok(())
        })
    }

    /// The decoder trusts the file: on a malformed one it would panic, or use any amount of memory.
    fn check(&self, contents: &str) -> Result<(), KeyError> {
        let keystore: EthKeystore = serde_json::from_str(contents).map_err(|error| {
            // The error's own text quotes the file, which may hold an unencrypted key.
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
            KdfparamsType::Pbkdf2 { dklen, c, prf, .. } => {
                if c == 0 {
                    return Err(self.not_a_keystore("no rounds of PBKDF2"));
                }
                if prf != "hmac-sha256" {
                    return Err(self.not_a_keystore("a PBKDF2 other than that of hmac-sha256"));
                }
                if c > MAX_PBKDF2_ROUNDS {
                    let (needed, limit) = (u64::from(c), u64::from(MAX_PBKDF2_ROUNDS));
                    return Err(self.too_costly(needed, limit, "rounds of PBKDF2"));
                }
                dklen
            }
            KdfparamsType::Scrypt { dklen, n, r, p, .. } => {
                if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
                    return Err(self.not_a_keystore(format!("scrypt has no parameters n {n}, r {r}, p {p}")));
                }
                let [n, r, p] = [n, r, p].map(u64::from);
                let memory = r
                    .saturating_mul(128)
                    .saturating_mul(n.saturating_add(p).saturating_add(1));
                if memory > MAX_SCRYPT_MEMORY {
                    return Err(self.too_costly(memory, MAX_SCRYPT_MEMORY, "bytes of memory"));
                }
                let work = n.saturating_mul(r).saturating_mul(p);
                if work > MAX_SCRYPT_WORK {
                    return Err(self.too_costly(work, MAX_SCRYPT_WORK, "blocks of scrypt (n r p)"));
                }
                dklen
            }
        };
        if keystore.crypto.cipher != "aes-128-ctr" {
            return Err(self.not_a_keystore("a cipher other than aes-128-ctr"));
        }
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
        let mut contents = String::new();
        let read =
            fs::File::open(&self.path).and_then(|file| file.take(MAX_SIZE + 1).read_to_string(&mut contents));
        match read {
            Ok(_) if contents.len() as u64 > MAX_SIZE => {
                return Err(self.not_a_keystore(format!("it has more than {MAX_SIZE} bytes")));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.not_a_keystore(error));
            }
            Err(error) => return Err(self.cannot_read(error)),
        }
        self.check(&contents)?;
        let key = match eth_keystore::decrypt_key(&self.path, self.password.as_bytes()) {
            Ok(key) => Zeroizing::new(key),
            Err(KeystoreError::MacMismatch) => return Err(KeyError::WrongPassword(self.path.clone())),
            Err(KeystoreError::StdIo(error)) => return Err(self.cannot_read(io::Error::other(error))),
            // Do not show its text either: the file may have changed since the check.
            Err(_) => return Err(self.not_a_keystore("it cannot be decrypted")),
        };
        let bytes = key.first_chunk::<32>().ok_or(KeyError::InvalidKey)?;
        PrivateKey::from_bytes(bytes).map(Some)
    }

    fn store(&self, key: &PrivateKey) -> Result<(), KeyError> {
        let sync = self.folder_sync()?;
        self.store_with(key, sync)
    }

    fn store_if_none(&self, key: PrivateKey) -> Result<PrivateKey, KeyError> {
        let sync = self.folder_sync()?;
        let private = self.encrypt(&key)?;
        let file =
            TempPath::try_from_path(private.path().join(NAME)).map_err(|error| self.cannot_write(error))?;
        match file.persist_noclobber(&self.path) {
            // Even if not durable: others may already use the key.
            Ok(()) => sync().map(|()| key).map_err(|error| self.cannot_write(error)),
            Err(PathPersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => self
                .load()?
                .ok_or_else(|| KeyError::NotFound(format!("{self:?}"))),
            Err(PathPersistError { error, .. }) => Err(self.cannot_write(error)),
        }
    }
}

/// Gives a file a second name; false if the file does not exist.
fn keep(file: &Path, name: &Path) -> io::Result<bool> {
    match fs::hard_link(file, name) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Some file systems lack such links.
        Err(_) => {
            fs::copy(file, name)?;
            fs::File::open(name)?.sync_all()?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionKeySigner;

    #[test]
    fn keys_are_stored_only_in_the_file() {
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
        // The documented cost.
        let keystore: serde_json::Value = serde_json::from_str(&contents).unwrap();
        let cost = &keystore["crypto"]["kdfparams"];
        assert_eq!([&cost["n"], &cost["r"], &cost["p"]], [8192, 8, 1]);
        assert!(!contents.contains(&alloy::hex::encode(secret.expose_secret())));
    }

    #[test]
    fn concurrent_openers_of_an_empty_file_get_the_same_key() {
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
        let with = |members: &[(&str, serde_json::Value)]| {
            let mut changed = good.clone();
            for (pointer, value) in members {
                *changed.pointer_mut(pointer).unwrap() = value.clone();
            }
            fs::write(&path, changed.to_string()).unwrap();
            storage.load()
        };
        for (pointer, value) in [
            ("/version", serde_json::json!(1)),
            ("/crypto/kdfparams/dklen", serde_json::json!(16)),
            ("/crypto/kdfparams/n", serde_json::json!(0)),
            ("/crypto/kdfparams/n", serde_json::json!(3)),
            ("/crypto/kdfparams/r", serde_json::json!(0)),
            ("/crypto/kdfparams/p", serde_json::json!(0)),
            ("/crypto/cipher", serde_json::json!("aes-128-cbc")),
            ("/crypto/cipherparams/iv", serde_json::json!("00")),
            ("/crypto/ciphertext", serde_json::json!("00")),
            (
                "/crypto/kdfparams",
                serde_json::json!({"c": 0, "dklen": 32, "prf": "hmac-sha256", "salt": "00"}),
            ),
            (
                "/crypto/kdfparams",
                serde_json::json!({"c": 1, "dklen": 32, "prf": "hmac-sha512", "salt": "00"}),
            ),
        ] {
            let error = with(&[(pointer, value)]).unwrap_err();
            assert!(
                matches!(error, KeyError::NotAKeystore { .. }),
                "{pointer}: {error}"
            );
        }
        fs::write(&path, b"\xff not json").unwrap();
        assert!(matches!(storage.load(), Err(KeyError::NotAKeystore { .. })));
        // An unencrypted key is not quoted.
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
            Err(KeyError::Write { .. })
        ));
        // An endless file is an error as well.
        fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert!(matches!(storage.load(), Err(KeyError::NotAKeystore { .. })));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = storage.load().unwrap_err();
        assert!(matches!(error, KeyError::Read { .. }), "{error}");
    }

    #[test]
    fn the_cost_of_opening_a_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        let storage = KeystoreFile::new(&path, "right");
        SessionKeySigner::open(storage.clone()).unwrap();
        let good: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let load = |parameters: serde_json::Value| {
            let mut costly = good.clone();
            let salt = costly["crypto"]["kdfparams"]["salt"].take();
            costly["crypto"]["kdfparams"] = parameters;
            costly["crypto"]["kdfparams"]["salt"] = salt;
            costly["crypto"]["kdfparams"]["dklen"] = 32.into();
            fs::write(&path, costly.to_string()).unwrap();
            storage.load()
        };
        let scrypt = |n: u32, r: u32, p: u32| load(serde_json::json!({"n": n, "r": r, "p": p}));
        for (n, r, p, expected) in [
            // 34 GB, almost all of it for `p`.
            (2, 1 << 22, 64, 35_970_351_104),
            (1 << 30, 8, 1, 1_099_511_629_824),
            (2, u32::MAX, u32::MAX, u64::MAX),
            (1 << 31, u32::MAX, u32::MAX, u64::MAX),
        ] {
            match scrypt(n, r, p) {
                Err(KeyError::TooCostly {
                    needed,
                    limit,
                    unit: "bytes of memory",
                    ..
                }) => {
                    assert_eq!((needed, limit), (expected, 1_100_000_000));
                }
                other => panic!("{n} {r} {p}: {other:?}"),
            }
        }
        for (n, r, p) in [(1 << 20, 8, 9), (2, 8, 1 << 23 | 1), (1 << 14, 8, 1025)] {
            match scrypt(n, r, p) {
                Err(KeyError::TooCostly { needed, limit, .. }) => assert!(needed > limit),
                other => panic!("{n} {r} {p}: {other:?}"),
            }
        }
        let rounds = |c: u32| load(serde_json::json!({"c": c, "prf": "hmac-sha256"}));
        let error = rounds(20_000_001).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "key.json takes 20000001 rounds of PBKDF2 to open, and at most 20000000 are accepted"
            ),
            "{error}"
        );
        // Files within the bounds are opened: here, with other parameters than the file's.
        assert!(matches!(rounds(1), Err(KeyError::WrongPassword(_))));
        assert!(matches!(scrypt(1 << 14, 8, 2), Err(KeyError::WrongPassword(_))));
        // The largest parameters written by other programs.
        let keystore = KeystoreFile::new(&path, "");
        let mut largest = good.clone();
        largest["crypto"]["kdfparams"]["n"] = (1_u32 << 20).into();
        keystore.check(&largest.to_string()).unwrap();
    }

    /// A storage whose changes are never durable.
    #[derive(Clone, Debug)]
    struct NeverSynced(KeystoreFile);

    impl KeyStorage for NeverSynced {
        fn load(&self) -> Result<Option<PrivateKey>, KeyError> {
            self.0.load()
        }

        fn store(&self, key: &PrivateKey) -> Result<(), KeyError> {
            self.0
                .store_with(key, || Err(io::Error::other("the disk is gone")))
        }
    }

    #[test]
    fn a_key_that_is_not_durable_leaves_the_old_one_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let storage = KeystoreFile::new(folder.path().join("agent.json"), "");
        let address = SessionKeySigner::open(storage.clone()).unwrap().address();
        let contents = fs::read(storage.path()).unwrap();

        let mut signer = SessionKeySigner::open(NeverSynced(storage.clone())).unwrap();
        let error = signer.regenerate().unwrap_err();
        assert!(matches!(error, KeyError::Write { .. }), "{error}");
        assert_eq!(signer.address(), address);
        assert_eq!(fs::read(storage.path()).unwrap(), contents);
        assert_eq!(
            SessionKeySigner::load(storage.clone()).unwrap().address(),
            address
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left lying about"
        );

        // If there was no key, none is left.
        let empty = KeystoreFile::new(folder.path().join("another.json"), "");
        let error = SessionKeySigner::open(NeverSynced(empty.clone())).unwrap_err();
        assert!(matches!(error, KeyError::Write { .. }), "{error}");
        assert!(empty.load().unwrap().is_none());
    }

    #[test]
    fn an_old_key_that_cannot_be_restored_is_kept_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.json");
        let storage = KeystoreFile::new(&path, "");
        let address = SessionKeySigner::open(storage.clone()).unwrap().address();
        let in_the_way = || {
            fs::remove_file(&path)?;
            fs::create_dir_all(path.join("a directory that is not empty"))?;
            Err(io::Error::other("the disk is gone"))
        };
        match storage.store_with(&PrivateKey::random(), in_the_way).unwrap_err() {
            KeyError::NotRestored { old, .. } => {
                let kept = SessionKeySigner::load(KeystoreFile::new(old, "")).unwrap();
                assert_eq!(kept.address(), address);
            }
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.json");
        let storage = KeystoreFile::new(&path, "");
        let mut signer = SessionKeySigner::open(storage.clone()).unwrap();
        let address = signer.address();
        // A directory has taken the file's name.
        let moved = folder.path().join("moved.json");
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        let error = signer.regenerate().unwrap_err();
        assert!(matches!(error, KeyError::Write { .. }), "{error}");
        assert_eq!(signer.address(), address);
        let kept = SessionKeySigner::load(KeystoreFile::new(moved, "")).unwrap();
        assert_eq!(kept.address(), address);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left lying about"
        );
    }
}
