//! The state file of a deployment: signed transactions that the next run resumes, whatever happens to this
//! one.

use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde::{Deserialize, Serialize};
use session_key_client::{
    alloy::primitives::Address, deployment::SignedCreation, permissions::parse_address,
};
use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio::time::{Instant, sleep};

/// The maximum size of a state file, in bytes. One transaction takes about 60 kB.
const MAX_SIZE: u64 = 8 << 20;
/// How long to wait for another process.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// The polling interval while waiting.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

/// The content of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Content {
    chain_id: u64,
    sender: String,
    /// All with the same nonce, latest last.
    transactions: Vec<SignedCreation>,
}

/// Keeps the transactions of one account on one chain until their outcome is known. One process at a time
/// holds it.
///
/// Writes are atomic, and durable once they return. Only the user can read the file (mode 0600 on Unix):
/// anyone with a signed transaction can send it.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    chain_id: u64,
    sender: Address,
    kept: Vec<SignedCreation>,
    /// Released when the process ends, for any reason.
    _lock: File,
}

/// Returns the default path of an account's state file.
pub(crate) fn default_path(chain_id: u64, sender: Address) -> Result<PathBuf> {
    // The XDG base directory specification says to ignore relative paths.
    let folder = |variable: &str| {
        let folder = env::var_os(variable).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| {
            eyre!("neither XDG_STATE_HOME nor HOME is set to an absolute path: name the file with --state")
        })?;
    Ok(state.join(format!("session-key/deploy-{chain_id}-{sender}.json")))
}

/// Reads the transactions of a file without changing it; none if there is no file.
pub(crate) fn read(path: &Path, chain_id: u64, sender: Option<Address>) -> Result<Vec<SignedCreation>> {
    kept_in(path, chain_id, sender).wrap_err_with(|| format!("--state {}", path.display()))
}

fn kept_in(path: &Path, chain_id: u64, sender: Option<Address>) -> Result<Vec<SignedCreation>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(MAX_SIZE + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= MAX_SIZE, "larger than {MAX_SIZE} bytes");
    let content: Content = serde_json::from_str(&text)?;
    ensure!(
        content.chain_id == chain_id,
        "its transactions are for chain {}, not {chain_id}",
        content.chain_id
    );
    let kept_for = parse_address(&content.sender)?;
    if let Some(sender) = sender {
        ensure!(
            kept_for == sender,
            "its transactions are from {kept_for}, not {sender}"
        );
    }
    Ok(content.transactions)
}

impl StateFile {
    /// Opens the file, which need not exist. If another process holds it, calls `on_wait` and waits.
    pub(crate) async fn open(
        path: PathBuf,
        chain_id: u64,
        sender: Address,
        on_wait: impl FnOnce(),
    ) -> Result<Self> {
        let named = || format!("--state {}", path.display());
        make_folder(&path).wrap_err_with(named)?;
        let lock = lock(&path, LOCK_TIMEOUT, on_wait).await.wrap_err_with(named)?;
        let kept = read(&path, chain_id, Some(sender))?;
        Ok(Self {
            path,
            chain_id,
            sender,
            kept,
            _lock: lock,
        })
    }

    /// Returns the file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the transactions, which all have the same nonce; latest last.
    pub(crate) fn kept(&self) -> &[SignedCreation] {
        &self.kept
    }

    /// Adds a transaction. Those with another nonce are dropped: they were settled before this one could be
    /// signed.
    pub(crate) fn keep(&mut self, transaction: &SignedCreation) -> io::Result<()> {
        let before = self.kept.clone();
        self.kept.retain(|kept| kept.nonce == transaction.nonce);
        self.kept.push(transaction.clone());
        self.write().inspect_err(|_| {
            self.kept = before;
            // A transaction that may have been written must not remain: it is never sent.
            let _ = if self.kept.is_empty() {
                fs::remove_file(&self.path)
            } else {
                self.write()
            };
        })
    }

    /// Removes the file.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        self.kept.clear();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(folder_of(&self.path)),
        }
    }

    fn write(&self) -> io::Result<()> {
        let content = Content {
            chain_id: self.chain_id,
            sender: self.sender.to_string(),
            transactions: self.kept.clone(),
        };
        let text = serde_json::to_string_pretty(&content)? + "\n";
        let folder = folder_of(&self.path);
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        sync_folder(folder)
    }
}

/// Returns the folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Flushes a folder's changes to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder_of(path))
}

/// Locks a file next to the state file, which itself is replaced and removed.
pub(crate) async fn lock(path: &Path, timeout: Duration, on_wait: impl FnOnce()) -> Result<File> {
    lock_as(path, timeout, File::try_lock, on_wait).await
}

/// Like [`lock`], but shared with other holders of a shared lock.
pub(crate) async fn lock_shared(path: &Path, timeout: Duration, on_wait: impl FnOnce()) -> Result<File> {
    lock_as(path, timeout, File::try_lock_shared, on_wait).await
}

async fn lock_as(
    path: &Path,
    timeout: Duration,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
    on_wait: impl FnOnce(),
) -> Result<File> {
    let mut name = OsString::from(path.as_os_str());
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&name)?;
    let until = Instant::now() + timeout;
    let mut on_wait = Some(on_wait);
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                bail!("another process still has it after {} s", timeout.as_secs());
            }
            Err(TryLockError::WouldBlock) => {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
                sleep(LOCK_INTERVAL).await;
            }
        }
    }
}

/// A locked file next to another, removed when the lock is released.
#[derive(Debug)]
pub(crate) struct LockedFile {
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "only there it can be removed while it is locked")
    )]
    path: PathBuf,
    _file: File,
}

impl LockedFile {
    pub(crate) async fn new(beside: &Path, timeout: Duration, on_wait: impl FnOnce()) -> Result<Self> {
        let mut path = OsString::from(beside.as_os_str());
        path.push(".lock");
        let path = PathBuf::from(path);
        let until = Instant::now() + timeout;
        let mut on_wait = Some(on_wait);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let file = lock(beside, left, || {
                if let Some(on_wait) = on_wait.take() {
                    on_wait();
                }
            })
            .await?;
            // The previous holder may have removed it, so that someone else could lock a new one.
            if is_at(&file, &path)? {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

/// Whether a path still leads to an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(unix)]
impl Drop for LockedFile {
    fn drop(&mut self) {
        // A file that remains does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::{
        alloy::primitives::{B256, Bytes},
        deployment::Contract,
    };

    const SENDER: Address = Address::repeat_byte(0xab);

    fn transaction(nonce: u64, number: u8) -> SignedCreation {
        SignedCreation {
            contract: Contract::EntryPoint,
            nonce,
            hash: B256::repeat_byte(number),
            raw: Bytes::from(vec![number; 3]),
        }
    }

    async fn open(path: &Path) -> Result<StateFile> {
        StateFile::open(path.to_owned(), 7, SENDER, || ()).await
    }

    #[tokio::test]
    async fn kept_transactions_are_there_for_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state.json");
        let mut state = open(&path).await.unwrap();
        assert_eq!(state.kept(), []);
        state.keep(&transaction(4, 1)).unwrap();
        state.keep(&transaction(5, 2)).unwrap();
        state.keep(&transaction(5, 3)).unwrap();
        drop(state);
        let mut state = open(&path).await.unwrap();
        assert_eq!(state.kept(), [transaction(5, 2), transaction(5, 3)]);
        assert_eq!(read(&path, 7, None).unwrap(), state.kept());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(folder_of(&path))), (0o600, 0o700));
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&SENDER.to_checksum(None)), "{text}");
        state.forget().unwrap();
        assert!(!path.exists());
        state.forget().unwrap();
        assert_eq!(read(&path, 7, Some(SENDER)).unwrap(), []);
    }

    #[tokio::test]
    async fn foreign_and_invalid_files_are_refused_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut state = open(&path).await.unwrap();
        state.keep(&transaction(1, 1)).unwrap();
        drop(state);
        let refused = |chain_id, sender| format!("{:#}", read(&path, chain_id, sender).unwrap_err());
        assert!(refused(8, None).contains("for chain 7, not 8"));
        let error = refused(7, Some(Address::ZERO));
        assert!(error.contains(&format!("from {SENDER}, not 0x00")), "{error}");
        for garbage in [
            "",
            "{}",
            "[1",
            "{\"chainId\":7,\"sender\":\"0x12\",\"transactions\":[]}",
        ] {
            fs::write(&path, garbage).unwrap();
            assert!(refused(7, None).contains("--state "), "{garbage}");
            assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
        }
        let large = File::create(&path).unwrap();
        large.set_len(MAX_SIZE + 1).unwrap();
        assert!(refused(7, None).contains("larger than"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_transaction_that_cannot_be_written_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("folder/state.json");
        let mut state = open(&path).await.unwrap();
        state.keep(&transaction(1, 1)).unwrap();
        fs::remove_dir_all(folder_of(&path)).unwrap();
        state.keep(&transaction(1, 2)).unwrap_err();
        assert_eq!(state.kept(), [transaction(1, 1)]);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn one_process_at_a_time_holds_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let first = open(&path).await.unwrap();
        let error = lock(&path, Duration::from_secs(1), || ()).await.unwrap_err();
        assert_eq!(error.to_string(), "another process still has it after 1 s");
        let mut has_waited = false;
        let (second, ()) = tokio::join!(
            StateFile::open(path.clone(), 7, SENDER, || has_waited = true),
            async {
                sleep(Duration::from_millis(500)).await;
                drop(first);
            }
        );
        second.unwrap();
        assert!(has_waited);
    }

    #[tokio::test]
    async fn a_locked_file_is_exclusive_and_removed_with_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.json");
        let first = LockedFile::new(&path, Duration::from_secs(5), || ())
            .await
            .unwrap();
        let beside = folder.path().join("notes.json.lock");
        assert!(beside.exists());
        let mut has_waited = false;
        let (second, ()) = tokio::join!(
            LockedFile::new(&path, Duration::from_secs(5), || has_waited = true),
            async {
                sleep(Duration::from_millis(500)).await;
                drop(first);
            }
        );
        let second = second.unwrap();
        assert!(has_waited);
        if cfg!(unix) {
            // The second waiter's file was removed by the first: it has a new one.
            assert!(beside.exists());
            let refused = LockedFile::new(&path, Duration::from_millis(1), || ()).await;
            assert!(refused.is_err());
            drop(second);
            assert!(!beside.exists());
        }
    }

    #[tokio::test]
    async fn a_shared_lock_excludes_an_exclusive_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (moment, long) = (Duration::from_millis(1), Duration::from_secs(5));
        let shared = [
            lock_shared(&path, long, || ()).await.unwrap(),
            lock_shared(&path, long, || ()).await.unwrap(),
        ];
        assert!(lock(&path, moment, || ()).await.is_err());
        drop(shared);
        let _alone = lock(&path, long, || ()).await.unwrap();
        assert!(lock_shared(&path, moment, || ()).await.is_err());
    }
}
