//! The command that a failing case is shown with fails in the same way.

use session_key_bindings::{ISessionKeyPlugin::InvalidPermissionsUpdate, bytecode};
use session_key_client::alloy::{hex, sol_types::SolError as _};
use std::process::{Command, Output};

const PROGRAM: &str = "cargo run --release -p session-key-fuzz -- ";

fn run(arguments: &str) -> Output {
    // A shell, as whoever copies the command has one.
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_session-key-fuzz"));
    let run = Command::new("sh").args(["-c", &command]).output();
    run.expect("the program starts")
}

fn line<'a>(errors: &'a str, name: &str) -> &'a str {
    let found = errors.lines().find_map(|line| line.trim().strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name} in {errors}"))
}

/// Lets the decoder run against this code, where an error's selector is another.
fn the_printed_command_fails(generation: &str, option: &str, code: &str) {
    let selector = hex::encode(InvalidPermissionsUpdate::SELECTOR);
    assert!(code.contains(&selector));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("another plugin's code.hex");
    std::fs::write(&file, code.replace(&selector, "00000001")).unwrap();

    let path = file.display().to_string().replace('\'', r"'\''");
    let first = run(&format!(
        "--property decoder --generation {generation} {option} '{path}' --seed 7 --cases 2000"
    ));
    assert!(!first.status.success());
    let errors = String::from_utf8(first.stderr).unwrap();
    let (case, command) = (line(&errors, "case: "), line(&errors, "reproduce: "));

    let arguments = command
        .strip_prefix(PROGRAM)
        .unwrap_or_else(|| panic!("{command}"));
    let again = run(arguments);
    assert!(!again.status.success());
    let errors = String::from_utf8(again.stderr).unwrap();
    assert_eq!(
        (line(&errors, "case: "), line(&errors, "reproduce: ")),
        (case, command)
    );

    // Against the code of the bindings, that case is fine.
    let (before, after) = arguments.split_once(&format!(" {option} ")).unwrap();
    assert!(before.ends_with(&format!("--generation {generation}")));
    let sound = format!("{before} {}", &after[after.find(" --seed").unwrap()..]);
    assert!(run(&sound).status.success());
}

#[test]
fn the_printed_command_fails_in_the_same_way() {
    the_printed_command_fails("v07", "--plugin", bytecode::SESSION_KEY_PLUGIN.hex());
}

#[test]
fn the_printed_command_names_the_generation() {
    the_printed_command_fails("v08", "--module", bytecode::SESSION_KEY_MODULE.hex());
}
