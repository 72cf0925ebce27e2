//! A record file, written at the end, after a check at the start that it can be.

use crate::state::{folder_of, sync_folder};
use eyre::{Result, WrapErr as _, ensure};
use session_key_client::deployment::ChainDeployments;
use std::{
    fs::Permissions,
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The space reserved by the check, in bytes. A record takes about 6 kB.
const ROOM: usize = 16 << 10;

/// A record in preparation: a temporary file next to it, removed unless the record is finished.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    file: NamedTempFile,
}

impl Draft {
    /// Checks that the record can be written. An existing file is not overwritten.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let named = || format!("--record {}", path.display());
        ensure!(
            !path.try_exists().wrap_err_with(named)?,
            "{}: the file already exists",
            named()
        );
        let attempt = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix(".record-");
            // Default permissions: it holds no secrets.
            #[cfg(unix)]
            let permissions = <Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
            #[cfg(unix)]
            builder.permissions(permissions);
            let mut file = builder.tempfile_in(folder_of(path))?;
            file.write_all(&[b' '; ROOM])?;
            file.as_file().sync_all()?;
            Ok::<_, std::io::Error>(file)
        };
        Ok(Self {
            path: path.to_owned(),
            file: attempt().wrap_err_with(named)?,
        })
    }

    /// Writes the record, and moves it into place.
    pub(crate) fn finish(mut self, record: &ChainDeployments) -> Result<PathBuf> {
        let text = serde_json::to_string_pretty(record)? + "\n";
        self.file.as_file_mut().set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(&self.path)?;
        sync_folder(folder_of(&self.path))?;
        Ok(self.path)
    }

    /// Returns the record's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
