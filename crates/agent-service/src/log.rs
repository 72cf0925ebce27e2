//! The decision log: one JSON document a line, each with the hash of the one before.
//!
//! A line is `{"entry":{…},"hash":"0x…"}`. The hash is the keccak256 of the entry's text, byte for byte,
//! which holds the hash of the line before (`previous`). Whoever changes, removes or inserts a line has to
//! write all later ones anew; and whoever knows a later hash, notices.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use session_key_agent::client::alloy::primitives::{B256, keccak256};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};
use tokio::sync::oneshot;

/// The longest line, in bytes.
pub const LONGEST_LINE: usize = 64 << 10;
/// The most entries that wait to be written.
const MOST_WAITING: usize = 4_096;

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its place in the log, from 0.
    pub sequence: u64,
    /// The hash of the entry before; zero for the first.
    pub previous: B256,
    /// When, in milliseconds since the Unix epoch.
    pub time: u64,
    /// The client, if it is about one.
    pub client: Option<String>,
    /// The stable code of what it is about: `started`, `accepted`, `refused`, `decided`, `open`, `withdrawn`,
    /// `grant_requested`, `stopped`, `recovered`.
    pub event: String,
    /// The rest.
    pub data: Value,
}

#[derive(Serialize)]
struct Line<'a> {
    entry: &'a RawValue,
    hash: B256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine<'a> {
    #[serde(borrow)]
    entry: &'a RawValue,
    hash: B256,
}

/// A log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be read or written.
    #[error("the log cannot be used: {0}")]
    Io(#[from] io::Error),
    /// Another process writes to it.
    #[error("another process has the log")]
    InUse,
    /// A line is not as it was written.
    #[error("line {line} of the log: {problem}")]
    Broken {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The log does not have this entry: it is another log, or was cut.
    #[error("no entry of the log has hash {expected}")]
    Lacks {
        /// The hash that was looked for.
        expected: B256,
    },
    /// The writer has ended, or too much waits for it.
    #[error("the log does not take entries")]
    NotWriting,
}

/// A log that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of entries.
    pub entries: u64,
    /// The hash of the last entry; zero if there is none.
    pub head: B256,
    /// The length of the whole lines, in bytes.
    pub length: u64,
    /// The bytes after the last whole line: a write that was interrupted.
    pub torn: u64,
}

/// Reads one line, without its end, into the buffer. Returns whether it has an end; `None` at the end
/// of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut limited = reader.take(LONGEST_LINE as u64 + 1);
    if limited.read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(true));
    }
    Ok(Some(false))
}

/// Reads a log, and checks that every line is as it was written, and follows the one before. Entries are
/// handed on in order.
///
/// # Errors
///
/// [`LogError::Io`], [`LogError::Broken`].
pub fn verify(reader: impl Read, mut entry: impl FnMut(B256, &Entry)) -> Result<Verified, LogError> {
    let mut reader = BufReader::new(reader);
    let mut verified = Verified {
        entries: 0,
        head: B256::ZERO,
        length: 0,
        torn: 0,
    };
    let mut line = Vec::new();
    while let Some(is_whole) = read_line(&mut reader, &mut line)? {
        let number = verified.entries + 1;
        let broken = |problem| LogError::Broken {
            line: number,
            problem,
        };
        if line.len() > LONGEST_LINE {
            return Err(broken("it is too long"));
        }
        if !is_whole {
            verified.torn = line.len() as u64;
            break;
        }
        let read: ReadLine<'_> =
            serde_json::from_slice(&line).map_err(|_| broken("it is not an entry with its hash"))?;
        if keccak256(read.entry.get()) != read.hash {
            return Err(broken("its hash is not that of its entry"));
        }
        let found: Entry =
            serde_json::from_str(read.entry.get()).map_err(|_| broken("its entry is not one of this log"))?;
        if found.previous != verified.head {
            return Err(broken("it does not follow the line before"));
        }
        if found.sequence != verified.entries {
            return Err(broken("its number is not its place"));
        }
        entry(read.hash, &found);
        verified.entries = number;
        verified.head = read.hash;
        verified.length += line.len() as u64 + 1;
    }
    Ok(verified)
}

/// Verifies a log's file. `expected`: the hash of an entry that it must have, known from elsewhere.
///
/// # Errors
///
/// [`LogError`].
pub fn verify_file(path: &Path, expected: Option<B256>) -> Result<Verified, LogError> {
    let mut is_there = expected.is_none_or(|expected| expected.is_zero());
    let verified = verify(File::open(path)?, |hash, _| is_there |= Some(hash) == expected)?;
    match expected {
        Some(expected) if !is_there => Err(LogError::Lacks { expected }),
        _ => Ok(verified),
    }
}

/// An entry to be written.
struct Wanted {
    time: u64,
    client: Option<String>,
    event: &'static str,
    data: Value,
    done: oneshot::Sender<B256>,
}

/// A log that entries are added to, by one process. Clones are the same log.
#[derive(Clone, Debug)]
pub struct DecisionLog {
    path: PathBuf,
    sender: mpsc::SyncSender<Wanted>,
}

impl DecisionLog {
    /// Opens a log, verifies it, and hands its entries on. Creates the file if there is none, for its owner
    /// alone. What an interrupted write left after the last whole line is cut, which an entry says.
    ///
    /// # Errors
    ///
    /// [`LogError`].
    pub fn open(
        path: impl Into<PathBuf>,
        entry: impl FnMut(B256, &Entry),
    ) -> Result<(Self, Verified), LogError> {
        let path = path.into();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LogError::InUse),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        let verified = verify(&mut file, entry)?;
        if verified.torn > 0 {
            file.set_len(verified.length)?;
        }
        file.seek(SeekFrom::Start(verified.length))?;
        let (sender, receiver) = mpsc::sync_channel(MOST_WAITING);
        let writer = Writer {
            file,
            sequence: verified.entries,
            head: verified.head,
        };
        thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || writer.run(&receiver))?;
        Ok((Self { path, sender }, verified))
    }

    /// Returns the file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry, and returns its hash once it is on the disk.
    ///
    /// # Errors
    ///
    /// [`LogError::NotWriting`]: the entry may be there or not.
    pub async fn add(
        &self,
        time: u64,
        client: Option<&str>,
        event: &'static str,
        data: Value,
    ) -> Result<B256, LogError> {
        let (done, written) = oneshot::channel();
        let wanted = Wanted {
            time,
            client: client.map(str::to_owned),
            event,
            data,
            done,
        };
        self.sender.try_send(wanted).map_err(|_| LogError::NotWriting)?;
        written.await.map_err(|_| LogError::NotWriting)
    }
}

/// Writes entries, all that wait with one flush.
struct Writer {
    file: File,
    sequence: u64,
    head: B256,
}

impl Writer {
    fn run(mut self, receiver: &mpsc::Receiver<Wanted>) {
        while let Ok(first) = receiver.recv() {
            let waiting: Vec<Wanted> = std::iter::once(first)
                .chain(receiver.try_iter().take(255))
                .collect();
            match self.write(waiting) {
                Ok(written) => {
                    for (done, hash) in written {
                        let _ = done.send(hash);
                    }
                }
                // What is on the disk is not known any more: nothing is written after it.
                Err(error) => {
                    tracing::error!(%error, "the decision log cannot be written");
                    return;
                }
            }
        }
    }

    fn write(&mut self, waiting: Vec<Wanted>) -> io::Result<Vec<(oneshot::Sender<B256>, B256)>> {
        let mut text = Vec::new();
        let mut written = Vec::new();
        for wanted in waiting {
            let mut entry = Entry {
                sequence: self.sequence,
                previous: self.head,
                time: wanted.time,
                client: wanted.client,
                event: wanted.event.to_owned(),
                data: wanted.data,
            };
            let mut raw = serde_json::value::to_raw_value(&entry)?;
            // Every line can be read again.
            if raw.get().len() > LONGEST_LINE - 256 {
                entry.data = Value::from("too long for the log");
                raw = serde_json::value::to_raw_value(&entry)?;
            }
            let hash = keccak256(raw.get());
            serde_json::to_writer(&mut text, &Line { entry: &raw, hash })?;
            text.push(b'\n');
            self.sequence += 1;
            self.head = hash;
            written.push((wanted.done, hash));
        }
        self.file.write_all(&text)?;
        self.file.sync_data()?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    async fn written(path: &Path, count: u64) -> Vec<B256> {
        let (log, _) = DecisionLog::open(path, |_, _| ()).unwrap();
        let mut hashes = Vec::new();
        for number in 0..count {
            let data = json!({ "number": number });
            hashes.push(log.add(number, Some("shop"), "accepted", data).await.unwrap());
        }
        hashes
    }

    /// The file is free once the writer has ended.
    fn opened(path: &Path) -> Result<(DecisionLog, Verified), LogError> {
        for _ in 0..200 {
            match DecisionLog::open(path, |_, _| ()) {
                Err(LogError::InUse) => thread::sleep(std::time::Duration::from_millis(5)),
                other => return other,
            }
        }
        panic!("it stays in use")
    }

    #[tokio::test]
    async fn a_log_is_continued_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let hashes = written(&path, 3).await;
        let (log, verified) = opened(&path).unwrap();
        assert_eq!((verified.entries, verified.head), (3, hashes[2]));
        assert!(matches!(
            DecisionLog::open(&path, |_, _| ()),
            Err(LogError::InUse)
        ));
        log.add(9, None, "stopped", Value::Null).await.unwrap();
        assert_eq!(verify_file(&path, Some(hashes[1])).unwrap().entries, 4);
        let other = B256::repeat_byte(1);
        assert!(matches!(
            verify_file(&path, Some(other)),
            Err(LogError::Lacks { .. })
        ));
    }

    #[tokio::test]
    async fn every_change_of_a_log_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let hashes = written(&path, 4).await;
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let check = |lines: &[&str]| verify(lines.join("\n").as_bytes(), |_, _| ());
        // A digit, a missing line, two in another order, one twice.
        let changed = lines[1].replace("\"number\":1", "\"number\":7");
        for wrong in [
            vec![lines[0], &changed, lines[2], lines[3], ""],
            vec![lines[0], lines[2], lines[3], ""],
            vec![lines[1], lines[2], lines[3], ""],
            vec![lines[0], lines[2], lines[1], lines[3], ""],
            vec![lines[0], lines[0], lines[1], ""],
            vec![lines[0], "", lines[1], ""],
            vec![lines[0], "{}", ""],
        ] {
            assert!(matches!(check(&wrong), Err(LogError::Broken { .. })), "{wrong:?}");
        }
        // A line that was written anew, with its own hash: the next one does not follow it.
        let line: ReadLine<'_> = serde_json::from_str(lines[1]).unwrap();
        let entry = line.entry.get().replace("\"number\":1", "\"number\":7");
        let anew = format!("{{\"entry\":{entry},\"hash\":\"{}\"}}", keccak256(&entry));
        assert_eq!(check(&[lines[0], &anew, ""]).unwrap().entries, 2);
        let broken = check(&[lines[0], &anew, lines[2], lines[3], ""]);
        assert!(
            matches!(broken, Err(LogError::Broken { line: 3, .. })),
            "{broken:?}"
        );
        let long = "x".repeat(LONGEST_LINE + 1);
        assert!(matches!(
            check(&[lines[0], &long, ""]),
            Err(LogError::Broken { .. })
        ));
        // Every byte of the second line.
        for index in 0..lines[1].len() {
            let mut bytes = lines[1].as_bytes().to_vec();
            bytes[index] ^= 1;
            let text = [lines[0].as_bytes(), &bytes, lines[2].as_bytes(), b""].join(&b'\n');
            assert!(verify(text.as_slice(), |_, _| ()).is_err(), "byte {index}");
        }
        // A log that was cut is whole: a hash from elsewhere shows it.
        fs::write(&path, [lines[0], ""].join("\n")).unwrap();
        assert_eq!(verify_file(&path, None).unwrap().entries, 1);
        assert!(verify_file(&path, Some(hashes[3])).is_err());
    }

    #[tokio::test]
    async fn an_interrupted_write_is_cut_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        written(&path, 2).await;
        let text = fs::read(&path).unwrap();
        fs::write(&path, [text.as_slice(), b"{\"entry\":{\"seq"].concat()).unwrap();
        let (log, verified) = opened(&path).unwrap();
        assert_eq!((verified.entries, verified.torn), (2, 14));
        log.add(9, None, "recovered", Value::Null).await.unwrap();
        assert_eq!(verify_file(&path, None).unwrap().entries, 3);
        drop(log);
        // A broken line in the middle is not written after.
        fs::write(&path, [b"{}\n", text.as_slice()].concat()).unwrap();
        assert!(matches!(opened(&path), Err(LogError::Broken { line: 1, .. })));
    }

    #[tokio::test]
    async fn an_entry_that_is_too_long_stays_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, _) = DecisionLog::open(&path, |_, _| ()).unwrap();
        log.add(1, None, "accepted", "x".repeat(LONGEST_LINE).into())
            .await
            .unwrap();
        log.add(2, None, "stopped", Value::Null).await.unwrap();
        assert_eq!(verify_file(&path, None).unwrap().entries, 2);
    }
}
