//! Key files under a file system that says no.
#![cfg(unix)]

use session_key_client::{
    SessionKeySigner,
    signer::{KeyError, KeystoreFile},
};
use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

const FOLDER: &str = "SESSION_KEY_CLIENT_TEST_FOLDER";
const NOBODY: u32 = 65_534;

fn key_file(folder: &Path) -> KeystoreFile {
    KeystoreFile::new(folder.join("agent.json"), "")
}

/// Root may do everything: then the test runs as somebody else, in a process of its own. Which kind of
/// process it was is checked there, by reading the folder.
#[test]
fn regenerating_in_a_folder_that_cannot_be_read_keeps_the_old_key() {
    let folder = tempfile::tempdir().unwrap();
    let address = SessionKeySigner::open(key_file(folder.path())).unwrap().address();
    let contents = fs::read(key_file(folder.path()).path()).unwrap();

    // Others may not be allowed to reach this binary where it is.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = elsewhere.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary);
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        for path in [folder.path(), key_file(folder.path()).path()] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o300)).unwrap();
    let output = command
        .args([
            "--exact",
            "keystore::regenerate_in_a_folder_that_cannot_be_read",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();

    let printed = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    assert!(printed.contains("1 passed; 0 failed"), "{printed}");
    assert_eq!(fs::read(key_file(folder.path()).path()).unwrap(), contents);
    assert_eq!(
        SessionKeySigner::load(key_file(folder.path())).unwrap().address(),
        address
    );
}

#[test]
#[ignore = "run by regenerating_in_a_folder_that_cannot_be_read_keeps_the_old_key, as somebody who may not read the folder"]
fn regenerate_in_a_folder_that_cannot_be_read() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    fs::read_dir(folder).expect_err("the folder must not be readable");
    fs::write(folder.join("writable"), "").unwrap();
    fs::remove_file(folder.join("writable")).unwrap();

    let mut signer = SessionKeySigner::load(key_file(folder)).unwrap();
    let address = signer.address();
    let error = signer.regenerate().unwrap_err();
    assert!(matches!(error, KeyError::Write { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("a key that was there before is still there"),
        "{error}"
    );
    assert_eq!(signer.address(), address);
    assert_eq!(
        SessionKeySigner::load(key_file(folder)).unwrap().address(),
        address
    );
    // Nor is a new file made.
    let another = KeystoreFile::new(folder.join("another.json"), "");
    SessionKeySigner::open(another.clone()).unwrap_err();
    assert!(!another.path().exists());
}
