//! The output of `--json` matches the schemas in `docs/schemas`.

use super::{
    command, json_of,
    keys::{Stage, key_of},
    run, text,
};
use serde_json::Value;
use session_key_client::{
    Call,
    alloy::primitives::{Address, U256},
    permissions::erc20,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// Commands without JSON output.
const WITHOUT_JSON: [&str; 4] = ["agent-mcp", "completions", "man", "help"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
}

/// Returns the name of the schema for a command's output.
fn schema_of(arguments: &[&str], document: &Value) -> String {
    match arguments {
        // The others print their report even on failure.
        _ if document["ok"] == false && document.get("sections").is_none() => "failure".to_owned(),
        ["request", "approve", ..] => "grant".to_owned(),
        [command @ ("account" | "agent" | "request"), second, ..] => format!("{command}-{second}"),
        arguments => arguments[0].to_owned(),
    }
}

#[track_caller]
pub(crate) fn check_document(name: &str, document: &Value) {
    let schema = fs::read_to_string(folder().join(format!("{name}.json")))
        .unwrap_or_else(|error| panic!("docs/schemas/{name}.json: {error}"));
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:?}\n{document:#}");
    let mut wrong = addresses_without_checksum(document);
    unconventional(document, "", &mut wrong);
    assert!(wrong.is_empty(), "{name}: {wrong:?}\n{document:#}");
}

/// The contracts, whose names are members of a deployment record.
const CONTRACTS: [&str; 7] = [
    "EntryPoint",
    "EntryPointV07",
    "ModularAccount",
    "ModularAccountFactory",
    "MultiOwnerPlugin",
    "SessionKeyModule",
    "SessionKeyPlugin",
];

/// Whether a name is camel case, or a contract's.
fn is_camel_case(name: &str) -> bool {
    CONTRACTS.contains(&name)
        || name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric())
}

/// Collects violations of the conventions: names in camel case, amounts as decimal strings, times as numbers,
/// and hexadecimal only for addresses, hashes, selectors and data.
fn unconventional(value: &Value, name: &str, wrong: &mut Vec<String>) {
    let is_amount = name.ends_with("Wei") || name.ends_with("BaseUnits");
    let is_time = ["At", "Seconds", "From", "Until", "After", "time", "block"]
        .iter()
        .any(|end| name.ends_with(end))
        && !is_amount;
    match value {
        Value::String(text)
            if is_amount && (text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit())) =>
        {
            wrong.push(format!("{name}: {text}"));
        }
        Value::String(text) if is_time => wrong.push(format!("{name}: {text}")),
        Value::String(text) => {
            let digits = text.strip_prefix("0x").unwrap_or("");
            let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let is_data = ["data", "updates", "value", "signature"].contains(&name);
            if is_hex && !is_data && ![8, 40, 64].contains(&digits.len()) {
                wrong.push(format!("{name}: {text}"));
            }
        }
        Value::Number(number) if is_amount => wrong.push(format!("{name}: {number}")),
        Value::Array(items) => items.iter().for_each(|item| unconventional(item, name, wrong)),
        Value::Object(members) => {
            for (name, member) in members {
                if !is_camel_case(name) {
                    wrong.push(name.clone());
                }
                unconventional(member, name, wrong);
            }
        }
        _ => {}
    }
}

/// Returns the member names in a schema.
fn members(schema: &Value) -> Vec<String> {
    match schema {
        Value::Array(items) => items.iter().flat_map(members).collect(),
        Value::Object(object) => {
            let own = object.get("properties").and_then(Value::as_object);
            let own = own.into_iter().flat_map(|own| own.keys().cloned());
            own.chain(object.values().flat_map(members)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn schema_members_follow_the_naming_conventions() {
    let mut seen = 0;
    for file in fs::read_dir(folder()).expect("a folder") {
        let path = file.expect("a file").path();
        let is_policy = path.file_stem().is_some_and(|name| name == "policy");
        if is_policy || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let schema: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a text")).expect("JSON");
        let members = members(&schema);
        let wrong: Vec<&String> = members.iter().filter(|name| !is_camel_case(name)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
        seen += members.len();
    }
    assert!(seen > 100);
    let mut wrong = Vec::new();
    let document = serde_json::json!({
        "used_wei": "1", "costWei": "0x1", "limitWei": 5, "passesFrom": "7", "nonce": "0x05", "fine": "0x12345678"
    });
    unconventional(&document, "", &mut wrong);
    assert_eq!(wrong.len(), 5, "{wrong:?}");
}

/// Returns values of an address's length without a valid checksum.
fn addresses_without_checksum(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.len() == 42 => match text.parse::<Address>() {
            Ok(address) if address.to_checksum(None) != *text => vec![text.clone()],
            _ => Vec::new(),
        },
        Value::Array(items) => items.iter().flat_map(addresses_without_checksum).collect(),
        Value::Object(members) => members
            .iter()
            // Call data is exempt, whatever its length.
            .filter(|(name, _)| *name != "data")
            .flat_map(|(_, value)| addresses_without_checksum(value))
            .collect(),
        _ => Vec::new(),
    }
}

/// Checks output against its schema, and returns the schema's name, or `None` for commands without JSON
/// output.
#[track_caller]
pub(crate) fn check(arguments: &[&str], output: &Output) -> Option<String> {
    if !arguments.contains(&"--json") || output.stdout.is_empty() {
        return None;
    }
    if arguments[0] == "watch" && output.status.success() {
        for line in text(&output.stdout).lines() {
            check_document("watch", &serde_json::from_str(line).expect("JSON on each line"));
        }
        return Some("watch".to_owned());
    }
    let document = json_of(output);
    let name = schema_of(arguments, &document);
    check_document(&name, &document);
    if document["ok"] == false {
        check_document("failure", &document);
    }
    Some(name)
}

/// Returns every command in the help, with subcommands.
pub(crate) fn commands() -> BTreeSet<String> {
    let below = |of: &[&str]| -> Vec<String> {
        let output = run(&[of, &["--help"]].concat(), None);
        let help = text(&output.stdout);
        let Some((_, list)) = help.split_once("Commands:\n") else {
            return Vec::new();
        };
        let lines = list.lines().take_while(|line| line.starts_with("  "));
        // Continuation lines of a description are indented further.
        let names = lines.filter_map(|line| line[2..].split(' ').next().filter(|name| !name.is_empty()));
        names.filter(|name| *name != "help").map(str::to_owned).collect()
    };
    let mut all = BTreeSet::new();
    for name in below(&[]) {
        let second = below(&[&name]);
        if second.is_empty() {
            all.insert(name);
        } else {
            all.extend(second.into_iter().map(|second| format!("{name}-{second}")));
        }
    }
    all
}

#[test]
fn every_command_matches_its_schema() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let owner = stage.owner.address().to_string();
    let url = stage.url().to_owned();
    let bundler = stage.bundler.url().to_owned();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut ran = |exit: i32, arguments: &[&str], input: &str| {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = stage.run_with(&all, input);
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {printed}");
        let name = check(&all, &output).expect("a document");
        *seen.entry(name).or_default() += 1;
        output
    };
    let node = ["--rpc-url", &*url, "--account", &account];
    macro_rules! on_node {
        ($exit:expr, $($argument:expr),+) => {{
            let all: Vec<&str> = [$($argument as &str),+].into_iter().chain(node).collect();
            json_of(&ran($exit, &all, ""))
        }};
    }

    ran(
        0,
        &[
            "account",
            "address",
            "--owner",
            &owner,
            "--chain-id",
            "31337",
            "--deployment",
            "deterministic",
        ],
        "",
    );
    for dry in ["--dry-run", "--yes", "--yes"] {
        ran(
            0,
            &[
                "account",
                "new",
                "--rpc-url",
                &url,
                "--deployment",
                "deterministic",
                dry,
            ],
            "",
        );
    }
    ran(0, &["keygen"], "");
    ran(0, &["keys"], "");
    ran(0, &["lint", &policy], "");
    let everything = stage.file("everything.toml", "access = \"everything\"\n");
    ran(1, &["lint", &everything], "");

    // As a dry run, then for real.
    on_node!(0, "grant", &policy, "--dry-run", "--deployment", "deterministic");
    let granted = on_node!(
        0,
        "grant",
        &policy,
        "--yes",
        "--direct",
        "--deployment",
        "deterministic"
    );
    let key = key_of(&granted);
    on_node!(0, "inspect");
    on_node!(0, "inspect", &key, "--history");
    on_node!(0, "budget", &key);
    let pay = |amount: u64| {
        format!(
            "{}:transfer(address,uint256):{},{amount}",
            stage.token(),
            Address::repeat_byte(0x5a)
        )
    };
    let (most, too_much) = (pay(60_000_000), pay(100_000_001));
    let accepted = on_node!(0, "check", &key, "--call", &most);
    assert_eq!(accepted["remaining"]["tokens"][0]["baseUnits"], "40000000");
    let refused = on_node!(1, "check", &key, "--call", &too_much);
    assert_eq!(refused["remaining"]["tokens"][0]["baseUnits"], "100000000");
    let used = super::server::runtime().block_on(async {
        let agent = stage.agent(key.parse().expect("an address")).await;
        let transfer = erc20::transfer(Address::repeat_byte(0x5a), U256::from(60_000_000));
        let done = agent
            .execute([Call::new(stage.token(), transfer)])
            .await
            .expect("it is paid");
        done.receipt.user_op_hash.to_string()
    });
    on_node!(0, "explain", &used);
    let nothing = format!("0x{}", "07".repeat(32));
    on_node!(1, "explain", &nothing);
    let since = ["watch", "--since", "1", "--rounds", "1"];
    ran(0, &[&since[..], &node].concat(), "");

    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    on_node!(0, "plan", &key, &policy, "--check");
    on_node!(0, "plan", &key, &wider, "--limits", "keep");
    on_node!(0, "apply", &key, &wider, "--limits", "keep", "--direct", "--yes");
    on_node!(0, "reset", &key, "--direct", "--dry-run");

    // covers, encode, decode.
    let absolute = |name: &str, limit: &str| {
        let text = fs::read_to_string(stage.weekly(name, limit)).expect("a file");
        let text = text.replace("valid_for = \"90 days\"", "valid_until = 2100-01-01T00:00:00Z");
        stage.file(name, &text)
    };
    let (large, small) = (
        absolute("large.toml", "100 TEST per 7 days"),
        absolute("small.toml", "99 TEST per 7 days"),
    );
    ran(0, &["covers", &large, &small], "");
    ran(1, &["covers", &small, &large], "");
    let encoded = ran(0, &["encode", &large], "");
    let decoded = ran(0, &["decode", "-"], text(&encoded.stdout));
    assert_eq!(json_of(&decoded)["what"], "updates");
    ran(0, &["decode", "0xb4d78304"], "");
    ran(2, &["decode", "0x12345678"], "");

    // Requests.
    let file = stage.path("request.json").to_str().expect("UTF-8").to_owned();
    let asked = [
        "request",
        "new",
        &large,
        "--account",
        &account,
        "--chain-id",
        "31337",
        "--out",
        &file,
    ];
    ran(0, &asked, "");
    ran(0, &["request", "show", &file], "");
    let approve = ["request", "approve", &file, "--rpc-url", &url, "--direct"];
    let dry = [&approve[..], &["--dry-run"]].concat();
    let dry = json_of(&ran(0, &dry, ""));
    let approved = [&approve[..], &["--yes"]].concat();
    ran(0, &approved, "");
    // The data of a dry run can be decoded.
    let data = dry["calls"][0]["data"].as_str().expect("data").to_owned();
    let read = json_of(&ran(0, &["decode", &data], ""));
    assert_eq!(
        (&read["what"], &read["function"]),
        (&Value::from("callData"), &Value::from("addSessionKey"))
    );
    assert_eq!(read["keys"][0]["tag"], dry["tag"]);

    on_node!(0, "rotate", &key, "--direct", "--yes");
    let dry = on_node!(0, "revoke", "--all", "--dry-run");
    let data = dry["calls"][0]["data"].as_str().expect("data").to_owned();
    let read = json_of(&ran(0, &["decode", &data], ""));
    assert_eq!(read["function"], "executeBatch");
    assert_eq!(read["calls"][1]["function"], "removeSessionKey");
    assert_eq!(read["keys"].as_array().map(Vec::len), Some(2));

    // A pending operation is ended.
    let newest = on_node!(0, "inspect")["keys"][0]["address"]
        .as_str()
        .expect("a key")
        .to_owned();
    let dry = on_node!(0, "unblock", &newest, "--dry-run", "--bundler-url", &bundler);
    assert_eq!(dry["calls"].as_array().map(Vec::len), Some(1));
    let dry = on_node!(0, "unblock", &newest, "--dry-run", "--direct", "--nonce", "0");
    assert!(
        dry["calls"][0]["data"]
            .as_str()
            .is_some_and(|data| data.contains("0bd28e3b"))
    );
    on_node!(
        0,
        "unblock",
        &newest,
        "--nonce",
        "0",
        "--bundler-url",
        &bundler,
        "--yes"
    );
    on_node!(0, "revoke", "--all", "--direct", "--yes");
    assert_eq!(on_node!(0, "inspect")["keys"], serde_json::json!([]));

    ran(0, &["demo"], "");
    ran(0, &["deploy", "--rpc-url", &url, "--chain-id", "31337"], "");
    on_node!(0, "doctor");
    ran(2, &["inspect", "--rpc-url", "http://127.0.0.1:1"], "");
    ran(2, &["inspect", "--no-such-option"], "");
    // This one serves until it is asked to end.
    check_document("devnet", &super::devnet::Devnet::start(&[]).line);
    *seen.entry("devnet".to_owned()).or_default() += 1;
    // So does this one, which checks each line.
    super::review::first_document();
    *seen.entry("review".to_owned()).or_default() += 1;
    for name in super::agent::documents() {
        *seen.entry(name.to_owned()).or_default() += 1;
    }

    // Every command has a schema, and there are no others.
    let of_commands: BTreeSet<String> = commands()
        .into_iter()
        .filter(|name| !WITHOUT_JSON.contains(&name.as_str()))
        .map(|name| {
            if name == "request-approve" {
                "grant".to_owned()
            } else {
                name
            }
        })
        .chain(["failure".to_owned()])
        .collect();
    assert_eq!(seen.keys().cloned().collect::<BTreeSet<_>>(), of_commands);
    let mut files: BTreeSet<String> = fs::read_dir(folder())
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_str()
                .expect("UTF-8")
                .to_owned()
        })
        .collect();
    assert!(files.remove("policy"));
    assert_eq!(files, of_commands);
    let table = fs::read_to_string(folder().join("README.md")).expect("a text");
    for name in &files {
        assert!(table.contains(&format!("[{name}.json]({name}.json)")), "{name}");
    }
}

/// The completions and manual pages in `share` match the command's output. `UPDATE_SHARE=1` rewrites them.
#[test]
fn completions_and_manual_pages_are_current() {
    let share = Path::new(env!("CARGO_MANIFEST_DIR")).join("share");
    let mut made: BTreeMap<PathBuf, String> = BTreeMap::new();
    let printed = |arguments: &[&str]| {
        let output = command(arguments, None).output().expect("the binary runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    for (shell, file) in [
        ("bash", "bash/session-key"),
        ("zsh", "zsh/_session-key"),
        ("fish", "fish/session-key.fish"),
        ("elvish", "elvish/session-key.elv"),
        ("powershell", "powershell/_session-key.ps1"),
    ] {
        let path = share.join("completions").join(file);
        made.insert(path, printed(&["completions", shell]));
    }
    let pages = share.join("man/man1");
    made.insert(pages.join("session-key.1"), printed(&["man"]));
    for name in commands() {
        let words: Vec<&str> = name.splitn(2, '-').collect();
        let page = printed(&[&["man"][..], &words].concat());
        assert!(page.contains(&format!(".TH session-key-{name} 1")), "{page}");
        made.insert(pages.join(format!("session-key-{name}.1")), page);
    }
    for parent in ["account", "agent", "request"] {
        made.insert(
            pages.join(format!("session-key-{parent}.1")),
            printed(&["man", parent]),
        );
    }
    if std::env::var_os("UPDATE_SHARE").is_some() {
        let _ = fs::remove_dir_all(&share);
        for (path, text) in &made {
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
    }
    let mut shipped = BTreeMap::new();
    let mut open = vec![share.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let files = fs::read_dir(path).expect("a folder");
            open.extend(files.map(|file| file.expect("a file").path()));
        } else {
            let text = fs::read_to_string(&path).expect("a text");
            shipped.insert(path, text);
        }
    }
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shipped), names(&made), "run this test with UPDATE_SHARE=1");
    for (path, text) in &made {
        let is_current = shipped.get(path) == Some(text);
        assert!(
            is_current,
            "{}: run this test with UPDATE_SHARE=1",
            path.display()
        );
    }
    let unknown = run(&["man", "nothing"], None);
    assert_eq!(unknown.status.code(), Some(2));
}
