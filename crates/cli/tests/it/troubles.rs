//! Every command on a full disk, with a closed pipe, with a node that hangs or talks nonsense, and
//! interrupted.

use super::{
    keys::Stage,
    output,
    server::{server, silent_server},
    text,
    told::{DEPLOYMENT, granted},
};
use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A command line that has an answer.
struct Line {
    arguments: Vec<String>,
    /// Whether a node is asked.
    needs_node: bool,
}

impl Line {
    fn name(&self) -> String {
        match &self.arguments[..] {
            [first, second, ..] if ["account", "request"].contains(&first.as_str()) => {
                format!("{first}-{second}")
            }
            [first, ..] => first.clone(),
            [] => String::new(),
        }
    }

    /// With this node.
    fn on(&self, url: &str, account: &str, more: &[&str]) -> Vec<String> {
        let mut all = self.arguments.clone();
        if self.needs_node {
            let name = self.name();
            let on = ["--rpc-url", url];
            all.extend(on.map(str::to_owned));
            if !["account-new", "deploy", "request-approve"].contains(&name.as_str()) {
                all.extend(["--account", account].map(str::to_owned));
            }
            if name != "deploy" {
                all.extend(DEPLOYMENT.map(str::to_owned));
            }
        }
        all.extend(more.iter().map(|argument| (*argument).to_owned()));
        all
    }
}

/// A line for every command; those that write only show what they would do. `demo`, `devnet`, `review` and
/// `agent` have tests of their own.
fn lines(stage: &Stage, key: &str) -> Vec<Line> {
    let policy = stage.path("weekly.toml").to_str().expect("UTF-8").to_owned();
    let lasting = std::fs::read_to_string(&policy).expect("a policy");
    let lasting = lasting
        .replace("valid_for = \"90 days\"\n", "")
        .replace("100 TEST", "90 TEST");
    let lasting = stage.file("lasting.toml", &lasting);
    let request = stage.path("request.json").to_str().expect("UTF-8").to_owned();
    let account = stage.testkit_account();
    let asked = ["--account", &account, "--chain-id", "31337", "--out"];
    let made = stage.run(&[&["request", "new", &lasting][..], &asked, &[&request]].concat());
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let owner = stage.owner.address().to_string();
    let (pay, unknown) = (format!("{}@0", stage.token()), format!("0x{}", "7".repeat(64)));
    let node = |arguments: &[&str]| Line {
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        needs_node: true,
    };
    let alone = |arguments: &[&str]| Line {
        needs_node: false,
        ..node(arguments)
    };
    let address = ["account", "address", "--owner", &owner, "--chain-id", "31337"];
    vec![
        alone(&[&address[..], &DEPLOYMENT].concat()),
        node(&["account", "new", "--dry-run"]),
        node(&["inspect"]),
        node(&["budget", key]),
        node(&["check", key, "--call", &pay]),
        node(&["explain", &unknown]),
        node(&["grant", &policy, "--dry-run", "--direct"]),
        node(&["plan", key, &lasting, "--limits", "keep"]),
        node(&[
            "apply",
            key,
            &lasting,
            "--limits",
            "keep",
            "--dry-run",
            "--direct",
        ]),
        alone(&["lint", &policy]),
        alone(&["covers", &lasting, &lasting]),
        alone(&[&["request", "new", &lasting][..], &asked[..4]].concat()),
        alone(&["request", "show", &request]),
        node(&["request", "approve", &request, "--dry-run", "--direct"]),
        node(&["rotate", key, "--dry-run", "--direct"]),
        node(&["revoke", key, "--dry-run", "--direct"]),
        node(&["reset", key, "--dry-run"]),
        node(&["unblock", key, "--nonce", "0", "--dry-run", "--direct"]),
        alone(&["keygen"]),
        alone(&["keys"]),
        alone(&["encode", &lasting]),
        alone(&["decode", "0xb4d78304"]),
        node(&["watch", "--since", "1", "--rounds", "1"]),
        alone(&["completions", "bash"]),
        alone(&["man"]),
        node(&["deploy", "--chain-id", "31337"]),
        node(&["doctor"]),
    ]
}

const WITHOUT_JSON: [&str; 2] = ["completions", "man"];

/// Runs a line with a standard output of its own.
fn run(stage: &Stage, arguments: &[String], out: Stdio, close: bool) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = stage.command(&arguments);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    if close {
        drop(child.stdout.take());
    }
    stage.ended(child)
}

#[test]
fn every_command_has_a_line() {
    let (stage, key) = granted();
    let names: BTreeSet<String> = lines(&stage, &key).iter().map(Line::name).collect();
    let mut all = output::commands();
    let others = ["demo", "devnet", "help", "review"];
    all.retain(|name| !others.contains(&name.as_str()) && !name.starts_with("agent-"));
    assert_eq!(names, all);
}

#[cfg(target_os = "linux")]
#[test]
fn no_command_succeeds_that_cannot_print_its_answer() {
    let (stage, key) = granted();
    let account = stage.testkit_account();
    let mut silent = Vec::new();
    for line in lines(&stage, &key) {
        for more in [&[][..], &["--json"]] {
            if !more.is_empty() && WITHOUT_JSON.contains(&line.name().as_str()) {
                continue;
            }
            let arguments = line.on(stage.url(), &account, more);
            let full = OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .expect("a device");
            for (out, close) in [(Stdio::from(full), false), (Stdio::piped(), true)] {
                let output = run(&stage, &arguments, out, close);
                let error = text(&output.stderr);
                if output.status.code() != Some(3) || !error.contains("could not be written") {
                    silent.push(format!(
                        "{arguments:?}, closed {close}: {:?} {error}",
                        output.status
                    ));
                }
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn no_command_waits_for_a_node_that_hangs_or_believes_one_that_talks_nonsense() {
    let (stage, key) = granted();
    let account = stage.testkit_account();
    let hanging = silent_server();
    let nonsense = server(|_| "<html>hello</html>".to_owned());
    let mut wrong = Vec::new();
    for line in lines(&stage, &key).into_iter().filter(|line| line.needs_node) {
        for url in [&hanging, &nonsense] {
            let started = Instant::now();
            let arguments = line.on(url, &account, &["--json", "--timeout", "1"]);
            let output = run(&stage, &arguments, Stdio::piped(), false);
            let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
            output::check(&borrowed, &output);
            let is_right = output.status.code() == Some(2)
                && started.elapsed() < Duration::from_secs(20)
                && text(&output.stdout).contains("\"ok\"")
                && text(&output.stderr).contains("no Ethereum node answers");
            if !is_right {
                wrong.push(format!(
                    "{arguments:?}: {:?} after {:?}: {}",
                    output.status,
                    started.elapsed(),
                    text(&output.stderr)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[cfg(unix)]
#[test]
fn every_command_that_is_interrupted_before_it_signs_exits_with_130() {
    let (stage, key) = granted();
    let account = stage.testkit_account();
    let hanging = silent_server();
    let mut running = Vec::new();
    for line in lines(&stage, &key).into_iter().filter(|line| line.needs_node) {
        let arguments = line.on(&hanging, &account, &["--json"]);
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = stage
            .command(&borrowed)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        running.push((arguments, child));
    }
    thread::sleep(Duration::from_secs(5));
    let mut wrong = Vec::new();
    for (arguments, child) in running {
        let interrupt = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(
            interrupt.expect("it is there").success(),
            "{arguments:?} has ended"
        );
        let output = stage.ended(child);
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        output::check(&borrowed, &output);
        let document = text(&output.stdout);
        if output.status.code() != Some(130) || !document.contains("\"interrupted\"") {
            wrong.push(format!("{arguments:?}: {:?} {document}", output.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
