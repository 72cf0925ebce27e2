//! The examples of `examples/agent`: a systemd unit and a container file.

use super::{command, text};
use std::{fs, path::PathBuf, process::Command};

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/agent")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the command with the arguments of an example: all of them are the command's, and it stops at the
/// node, which is not there.
#[track_caller]
fn begins(arguments: &[&str]) {
    let (program, arguments) = arguments.split_first().expect("a program");
    assert_eq!(*program, "/usr/bin/session-key");
    let mut command = command(arguments, None);
    let output = command
        .env("SESSION_KEY_AGENT_KEY", super::PUBLIC_KEY)
        .env("ETH_RPC_URL", "http://127.0.0.1:1")
        .env("SESSION_KEY_BUNDLER_URL", "http://127.0.0.1:1")
        .env("SESSION_KEY_ACCOUNT", KEY)
        .env("SESSION_KEY_CHAIN_ID", "31337")
        .output()
        .expect("the binary runs");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("no Ethereum node answers"), "{printed}");
}

/// The address of [`super::PUBLIC_KEY`].
const KEY: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// The value of a setting, in a text whose lines are joined where they end with a backslash.
fn setting<'t>(joined: &'t str, name: &str) -> &'t str {
    let mut lines = joined.lines().filter_map(|line| line.strip_prefix(name));
    lines.next().unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_unit_starts_the_command() {
    let unit = example("session-key-agent.service");
    let joined = unit.replace("\\\n", " ");
    let start = setting(&joined, "ExecStart=").replace("${AGENT_KEY}", KEY);
    let arguments: Vec<&str> = start.split_whitespace().collect();
    begins(&arguments);
    // What is on its way is waited for before it is killed.
    let stop = arguments
        .iter()
        .position(|argument| *argument == "--stop-timeout");
    let waits: u64 = arguments[stop.expect("a limit") + 1].parse().expect("a number");
    let kills: u64 = setting(&joined, "TimeoutStopSec=").parse().expect("a number");
    assert!(waits + 10 <= kills, "{waits} {kills}");

    // systemd's own judgement, where there is one.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session-key-agent.service");
    let installed = unit.replace("/usr/bin/session-key", env!("CARGO_BIN_EXE_session-key"));
    fs::write(&path, installed).expect("a file");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output();
    if let Ok(output) = verified {
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        // It also judges the units of the machine that this one names.
        let of_it = said
            .lines()
            .any(|line| line.contains("session-key-agent.service"));
        assert!(output.status.success() && !of_it, "{said}");
    }
}

#[test]
fn the_container_starts_the_command() {
    let file = example("Containerfile");
    let joined = file.replace("\\\n", " ");
    let entry: Vec<String> =
        serde_json::from_str(setting(&joined, "ENTRYPOINT ")).expect("the form without a shell");
    let mut arguments: Vec<&str> = entry.iter().map(String::as_str).collect();
    // The key comes last, as the arguments of `podman run` do.
    arguments.push(KEY);
    begins(&arguments);
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "VOLUME",
        "STOPSIGNAL",
        "ENTRYPOINT",
    ];
    let instructions = joined
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_whitespace().next().unwrap_or_default());
    for instruction in instructions {
        assert!(known.contains(&instruction), "{instruction:?}");
    }
    // What is built is what is copied.
    assert!(joined.contains("-p session-key-cli") && joined.contains("/source/target/release/session-key "));
    let toolchain = example("../../Cargo.toml");
    let version = setting(&toolchain, "rust-version = ").trim_matches('"');
    // Its latest patch.
    let (minor, _) = version.rsplit_once('.').expect("three numbers");
    assert!(joined.contains(&format!("library/rust:{minor}-")), "{version}");
}
