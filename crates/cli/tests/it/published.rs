//! What is published beside the command: examples, schemas, tables of codes.

use super::{json_of, run, text};
use serde_json::{Value, json};
use session_key_client::permissions::{
    lint::LintCode,
    policy::{Facts, Policy, PolicyErrorCode, PolicyFormat},
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
fn every_example_is_read_linted_and_round_trips() {
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

        // None has an error; of warnings, those only that its comments speak of.
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
fn the_schema_refuses_what_the_reader_refuses() {
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
fn every_code_is_documented_as_it_is() {
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
