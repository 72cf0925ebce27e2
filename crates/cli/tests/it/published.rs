//! Published files: examples, schemas, tables of codes, READMEs.

use super::{json_of, keys::Stage, run, text};
use serde_json::{Value, json};
use session_key_client::permissions::{
    lint::LintCode,
    policy::{Facts, Policy, PolicyErrorCode, PolicyFormat},
};
use session_key_client::{
    Call,
    alloy::{
        primitives::{Address, U256},
        signers::local::PrivateKeySigner,
    },
    permissions::erc20,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn examples() -> Vec<PathBuf> {
    let folder = root().join("examples/policies");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .collect();
    files.sort();
    files
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&read("docs/schemas/policy.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[test]
fn every_example_parses_lints_and_round_trips() {
    let schema = schema();
    let files = examples();
    assert!(files.len() >= 6);
    for file in files {
        let name = file.display().to_string();
        let format = match file.extension().and_then(|extension| extension.to_str()) {
            Some("json") => PolicyFormat::Json,
            _ => PolicyFormat::Toml,
        };
        let written = fs::read_to_string(&file).expect("a text");
        let policy = Policy::parse(&written, format).unwrap_or_else(|error| panic!("{name}:{error}"));
        let resolved = policy
            .resolve(&Facts::new().granted_at(1_800_000_000))
            .expect("all is said");
        resolved.permissions.encode().expect("an encoding");
        for format in [PolicyFormat::Toml, PolicyFormat::Json] {
            let again = policy.to_text(format);
            assert_eq!(
                Policy::parse(&again, format).as_ref(),
                Ok(&policy),
                "{name}: {again}"
            );
        }
        let json: Value = serde_json::from_str(&policy.to_text(PolicyFormat::Json)).expect("JSON");
        assert!(schema.is_valid(&json), "{name}: {json}");

        // No example has errors, and only the warnings that its comments mention.
        let output = run(&["lint", &name, "--json"], None);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stdout));
        let warnings: BTreeSet<String> = json_of(&output)["warnings"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|warning| warning["severity"] == "warning")
            .map(|warning| warning["code"].as_str().expect("a code").to_owned())
            .collect();
        let expected: &[&str] = if name.ends_with("market-maker.toml") {
            &["denylist"]
        } else {
            &[]
        };
        assert_eq!(
            warnings.iter().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn the_policy_schema_refuses_what_the_parser_refuses() {
    let schema = schema();
    for bad in [
        json!({ "native": "1 ETH" }),
        json!({ "tag": 5 }),
        json!({ "access": "all" }),
        json!({ "valid_for": 90 }),
        json!({ "valid_until": "2027-03-01" }),
        json!({ "valid_until": "2027-03-01T00:00:00Z", "valid_for": "1 day" }),
        json!({ "allow": [{ "functions": [] }] }),
        json!({ "limits": { "native": 5 } }),
        json!({ "limits": { "tokens": "100 USDC" } }),
        json!({ "tokens": { "a b": { "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed" } } }),
        json!({ "tokens": { "X": { "address": "0x12" } } }),
        json!([]),
    ] {
        assert!(!schema.is_valid(&bad), "{bad}");
        assert!(
            Policy::parse(&bad.to_string(), PolicyFormat::Json).is_err(),
            "{bad}"
        );
    }
    for good in [
        json!({}),
        json!({ "limits": { "native": 0 } }),
        json!({ "limits": { "native": "0" } }),
    ] {
        assert!(schema.is_valid(&good), "{good}");
        assert!(
            Policy::parse(&good.to_string(), PolicyFormat::Json).is_ok(),
            "{good}"
        );
    }
}

#[test]
fn every_code_is_documented() {
    let lints = read("docs/lints.md");
    for code in LintCode::ALL {
        let row = format!("| `{code}` | {} |", code.severity());
        assert!(lints.contains(&row), "{row}");
    }
    let policies = read("docs/policy-files.md");
    for code in PolicyErrorCode::ALL {
        assert!(policies.contains(&format!("| `{code}` |")), "{code}");
    }
}

/// Masks what differs from run to run: hashes, and gas costs.
fn masked(text: &str) -> String {
    let is_hash = |word: &str| {
        let digits = word.trim_end_matches(',').strip_prefix("0x");
        digits.is_some_and(|digits| digits.len() == 64)
    };
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let trimmed = word.trim_end();
        let is_fee = trimmed.starts_with("0.49") || trimmed.starts_with("0.00");
        let is_gas = trimmed.split_once(',').is_some_and(|(thousands, rest)| {
            [thousands, rest]
                .iter()
                .all(|digits| digits.parse::<u16>().is_ok())
        });
        if is_hash(trimmed) || is_fee || is_gas {
            word.replace(trimmed, "…")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

/// Returns the part of the demonstration in which the key acts.
fn demo() -> String {
    let output = run(&["demo"], None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout)
        .lines()
        .skip_while(|line| !line.starts_with(" 5 "))
        .take_while(|line| !line.starts_with(" 6 "));
    let excerpt: Vec<_> = lines.collect();
    format!("```text\n{}\n```\n", excerpt.join("\n").trim_end())
}

/// Output in the READMEs between `<!-- output: NAME -->` and `<!-- end -->` matches the command's.
/// `UPDATE_READMES=1` rewrites it.
#[test]
fn readmes_show_current_output() {
    let stage = Stage::new();
    stage.account();
    let shop = Address::repeat_byte(0x5a);
    let signer = PrivateKeySigner::from_slice(&[7; 32]).expect("a key");
    let key = signer.address().to_string();
    stage.weekly("weekly.toml", "100 TUSD per 7 days");
    let policy = fs::read_to_string(stage.weekly("weekly.toml", "100 TUSD per 7 days"))
        .expect("a file")
        .replace("tokens.TEST", "tokens.TUSD")
        .replace("\"TEST\"", "\"TUSD\"");
    let weekly = stage.file("weekly.toml", &policy);
    stage.file("wider.toml", &policy.replace("100 TUSD", "150 TUSD"));
    stage.json(
        0,
        &[
            "grant",
            &weekly,
            "--key",
            &key,
            "--direct",
            "--yes",
            "--deployment",
            "deterministic",
        ],
    );
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    let hash = super::server::runtime().block_on(async {
        let pay = [Call::new(
            stage.token(),
            erc20::transfer(shop, U256::from(60_000_000)),
        )];
        let agent = stage.client(signer).await;
        agent.execute(pay).await.expect("it is paid").receipt.user_op_hash
    });
    let account = stage.testkit_account();
    let hash = hash.to_string();
    let call = format!("{}:transfer(address,uint256):{shop},60000000", stage.token());
    let printed = |shown: &str, arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--rpc-url", stage.url(), "--account", &account]);
        let output = stage.run(&all);
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{}",
            text(&output.stderr)
        );
        format!("```text\n$ session-key {shown}\n{}```\n", text(&output.stdout))
    };
    let outputs = [
        ("demo", demo()),
        ("inspect", printed("inspect", &["inspect"])),
        (
            "check",
            printed(
                &format!("check {key} --call {call}"),
                &["check", &key, "--call", &call],
            ),
        ),
        (
            "plan",
            printed(
                &format!("plan {key} wider.toml --limits keep"),
                &["plan", &key, "wider.toml", "--limits", "keep"],
            ),
        ),
        (
            "explain",
            printed(&format!("explain {hash}"), &["explain", &hash]),
        ),
    ];
    let mut shown = 0;
    for file in ["README.md", "crates/cli/README.md"] {
        let before = read(file);
        let mut after = before.clone();
        for (name, output) in &outputs {
            let mark = format!("<!-- output: {name} -->\n");
            let Some(start) = after.find(&mark) else { continue };
            let start = start + mark.len();
            let end = start + after[start..].find("<!-- end -->").expect("an end");
            after.replace_range(start..end, output);
            shown += 1;
        }
        if std::env::var_os("UPDATE_READMES").is_some() {
            fs::write(root().join(file), &after).expect("a file");
        } else {
            let (before, after) = (masked(&before), masked(&after));
            let differing = before
                .lines()
                .zip(after.lines())
                .find(|(before, after)| before != after);
            assert!(
                before == after,
                "{file}: run this test with UPDATE_READMES=1: {differing:?}"
            );
        }
    }
    assert!(shown >= 7);
}
