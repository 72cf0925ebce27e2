//! Tests in a process of their own: the environment and what `tracing` caches belong to a whole process.

use std::process::Command;

/// Runs an ignored test of this binary, which must succeed.
pub(crate) fn run(test: &str) {
    let printed = output(test, None);
    assert!(printed.contains("1 passed; 0 failed"), "{printed}");
}

/// Runs an ignored test of this binary with an environment variable. Returns what it printed.
pub(crate) fn output(test: &str, variable: Option<(&str, &str)>) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .envs(variable)
        .output()
        .unwrap();
    [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat()
}
