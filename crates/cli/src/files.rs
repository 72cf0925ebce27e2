//! Files written by people: policies, lock files, and standard input.

use eyre::{Result, WrapErr as _, ensure};
use session_key_client::{
    alloy::primitives::Address,
    permissions::policy::{Policy, PolicyError, PolicyFormat, PolicyLock},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The maximum size of a file, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// An error in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{error}")]
pub(crate) struct BadPolicy {
    pub(crate) file: String,
    pub(crate) error: PolicyError,
}

/// A policy and its file.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    pub(crate) name: String,
    /// `None`: standard input.
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: String,
    pub(crate) format: PolicyFormat,
    pub(crate) policy: Policy,
}

/// Reads a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let name = path.display();
    let length = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_SIZE + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_string(&mut text))
    }
    .wrap_err_with(|| format!("{name}"))?;
    ensure!(length as u64 <= MAX_SIZE, "{name} is too long");
    Ok(text)
}

impl PolicyFile {
    /// Reads a policy: TOML or JSON, by the file's extension, else by the text's first character.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read(path)?;
        // Some editors write a byte order mark.
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
        let is_json = match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => true,
            Some(extension) if extension.eq_ignore_ascii_case("toml") => false,
            _ => text.trim_start().starts_with('{'),
        };
        let format = if is_json {
            PolicyFormat::Json
        } else {
            PolicyFormat::Toml
        };
        Self::of_text(path, text, format)
    }

    /// Parses a policy that came from this file.
    pub(crate) fn of_text(path: &Path, text: String, format: PolicyFormat) -> Result<Self> {
        let name = path.display().to_string();
        let policy = Policy::parse(&text, format).map_err(|error| BadPolicy {
            file: name.clone(),
            error,
        })?;
        Ok(Self {
            name,
            path: (path != Path::new("-")).then(|| path.to_owned()),
            text,
            format,
            policy,
        })
    }

    /// Adds the file's name to an error.
    pub(crate) fn wrong(&self, error: PolicyError) -> BadPolicy {
        BadPolicy {
            file: self.name.clone(),
            error,
        }
    }

    fn lock_path(&self) -> Option<PathBuf> {
        let mut path = self.path.clone()?.into_os_string();
        path.push(".lock");
        Some(path.into())
    }

    /// Reads the lock file next to the policy; an empty one if there is none.
    pub(crate) fn lock(&self) -> Result<PolicyLock> {
        let Some(path) = self.lock_path().filter(|path| path.exists()) else {
            return Ok(PolicyLock::default());
        };
        let text = read(&path)?;
        let file = path.display().to_string();
        Ok(PolicyLock::parse(&text).map_err(|error| BadPolicy { file, error })?)
    }

    /// Returns the decimals of tokens on a chain by the lock file, except where its entries disagree.
    pub(crate) fn locked_decimals(&self, chain_id: u64) -> Result<BTreeMap<Address, u8>> {
        let lock = self.lock()?;
        let mut found: BTreeMap<Address, BTreeSet<u8>> = BTreeMap::new();
        for grant in lock.grants().filter(|grant| grant.chain_id == chain_id) {
            for (token, decimals) in &grant.decimals {
                found.entry(*token).or_default().insert(*decimals);
            }
        }
        let agreed = found.into_iter().filter(|(_, decimals)| decimals.len() == 1);
        Ok(agreed
            .filter_map(|(token, decimals)| Some((token, decimals.first().copied()?)))
            .collect())
    }

    /// Checks that this lock file could be written, before anything depends on it.
    pub(crate) fn check_lock_can_be_written(&self, lock: &PolicyLock) -> Result<()> {
        let Some(path) = self.lock_path() else {
            return Ok(());
        };
        try_whole(&path, &lock.to_text())
            .wrap_err_with(|| format!("{} cannot be written, so nothing was signed", path.display()))
    }

    /// Writes the lock file, replacing the old one atomically.
    pub(crate) fn write_lock(&self, lock: &PolicyLock) -> Result<()> {
        let Some(path) = self.lock_path() else {
            return Ok(());
        };
        write_whole(&path, &lock.to_text()).wrap_err_with(|| format!("{}", path.display()))
    }
}

/// Returns the path of the temporary file that replaces another.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Writes the temporary file, and flushes it to disk.
fn write_part(part: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::create(part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
}

/// Checks whether [`write_whole`] would succeed, as far as possible without writing. Leaves nothing behind.
fn try_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let target = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(std::io::ErrorKind::IsADirectory.into()),
        // Opening a pipe may block, and a device would consume the text.
        Ok(found) if !found.is_file() => return Ok(()),
        Ok(_) => std::fs::canonicalize(path)?,
        Err(_) if path.is_symlink() => {
            std::fs::write(path, text)?;
            return std::fs::remove_file(std::fs::canonicalize(path)?);
        }
        Err(_) => path.to_owned(),
    };
    let part = part_of(&target);
    let written = write_part(&part, text);
    // A failed write may have left no file to remove.
    let removed = std::fs::remove_file(&part);
    written.and(removed)
}

/// Writes a file atomically. Anything but a regular file, such as a pipe or a device, is written to directly;
/// a link stays, and its target is written.
pub(crate) fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let target = match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
            file.write_all(text.as_bytes())?;
            return file.flush();
        }
        Ok(_) => std::fs::canonicalize(path)?,
        // Writing through a dangling link creates its target.
        Err(_) if path.is_symlink() => return std::fs::write(path, text),
        Err(_) => path.to_owned(),
    };
    let path = target.as_path();
    let part = part_of(path);
    let written = write_part(&part, text);
    let moved = written.and_then(|()| std::fs::rename(&part, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn json_is_recognized_by_its_first_character() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["policy.txt", "policy", "policy.json"] {
            let path = folder.path().join(name);
            fs::write(&path, "\u{feff}{ \"access\": \"everything\" }").unwrap();
            assert_eq!(
                PolicyFile::read(&path).unwrap().format,
                PolicyFormat::Json,
                "{name}"
            );
        }
        let path = folder.path().join("policy.toml");
        fs::write(&path, "access = \"everything\"").unwrap();
        assert_eq!(PolicyFile::read(&path).unwrap().format, PolicyFormat::Toml);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_are_written_through_not_replaced() {
        use std::os::unix::fs::{FileTypeExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // A link stays, whether its target exists or not.
        fs::write(path("file"), "old").unwrap();
        for (link, file) in [("link", "file"), ("early", "later")] {
            symlink(path(file), path(link)).unwrap();
            write_whole(&path(link), "new").unwrap();
            assert!(path(link).is_symlink());
            assert_eq!(fs::read_to_string(path(file)).unwrap(), "new");
        }
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        assert!(made.unwrap().success());
        let reader = std::thread::spawn({
            let pipe = path("pipe");
            move || fs::read_to_string(pipe).unwrap()
        });
        write_whole(&path("pipe"), "through").unwrap();
        assert_eq!(reader.join().unwrap(), "through");
        assert!(fs::symlink_metadata(path("pipe")).unwrap().file_type().is_fifo());
    }
}
