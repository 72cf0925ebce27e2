//! The command on third-party contracts: from a folder with their code, or on a stand-in.

use super::{command, json_of, text};
use serde_json::{Value, json};
use session_key_client::{
    Call, SessionKeyClient, SmartAccount,
    account::ConnectOptions,
    alloy::{
        hex,
        primitives::{Address, Bytes, U256},
        signers::local::PrivateKeySigner,
    },
    deployment::{ChainDeployments, Contract, Deterministic},
    permissions::erc20,
    submit::EntryPointSubmitter,
};
use session_key_testkit::{
    Chain, ChainConfig, DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, PLUGIN_WITHOUT_STRICT_RULES, Server, Stack,
    TestToken, Testkit, dev_accounts,
};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;

/// The token of the example.
const USDC: Address =
    session_key_client::alloy::primitives::address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
const SHOP: Address = Address::repeat_byte(0x5a);
/// The file in a code folder with the contracts' addresses.
const DEPLOYMENT: &str = "deployment.json";

/// Whose rules the plugin enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// This project's.
    Strict,
    /// Another plugin with the same ABI.
    Compatible,
    /// The stand-in's, which lets calls beyond the ABI pass.
    StandIn,
}

/// A chain with the contracts of a folder.
struct Place {
    testkit: Testkit,
    node: Server,
    deployment: String,
    owner: PrivateKeySigner,
    chain_id: String,
    folder: TempDir,
}

impl Place {
    fn new(code: &Path) -> Self {
        let deployment = code.join(DEPLOYMENT);
        let text = fs::read_to_string(&deployment)
            .unwrap_or_else(|error| panic!("{}: {error}", deployment.display()));
        let known: ChainDeployments =
            serde_json::from_str(&text).expect("a file as deploy --record writes it");
        let mut chain = Chain::new(ChainConfig {
            chain_id: known.chain_id,
            ..ChainConfig::default()
        });
        for (contract, at) in &known.deployments[0].contracts {
            let path = code.join(format!("{contract}.hex"));
            let hex = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let code = hex::decode(hex.trim()).expect("hexadecimal");
            chain.set_code(at.address, code).expect("code");
        }
        // The token of the example, with the same decimals.
        let (stack, contracts) = Stack::plan(Deterministic::record().factory_owner);
        chain
            .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)
            .expect("a proxy");
        for contract in contracts.iter().filter(|contract| contract.name == "TestToken") {
            contract.deploy(&mut chain).expect("a token");
        }
        let token = chain.code(stack.token);
        chain.set_code(USDC, token).expect("code");
        let testkit = Testkit::from(chain);
        Self {
            node: testkit.serve().expect("a server"),
            testkit,
            deployment: deployment.to_str().expect("UTF-8").to_owned(),
            owner: dev_accounts()[1].signer(),
            chain_id: known.chain_id.to_string(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Runs a command with `--json`, and checks its exit code.
    #[track_caller]
    fn json(&self, exit: i32, arguments: &[&str], input: &str) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let mut command = command(&all, None);
        let mut child = command
            .current_dir(self.folder.path())
            .env("SESSION_KEY_OWNER", hex::encode_prefixed(self.owner.to_bytes()))
            .env("SESSION_KEY_PASSWORD", "a password of more than twenty letters")
            .env("SESSION_KEY_KEYSTORE", self.path("keys"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {printed}");
        super::output::check(&all, &output);
        json_of(&output)
    }
}

/// Runs a key's whole life, as a first-time user would.
fn run_on(code: &Path, rules: Rules) {
    let place = Place::new(code);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies");
    let weekly = fs::read_to_string(examples.join("weekly-buy.toml")).expect("an example");
    let policy = place.file("weekly-buy.toml", &weekly);
    let owner = place.owner.address().to_string();
    let made = place.json(
        0,
        &[
            "account",
            "new",
            "--rpc-url",
            place.node.url(),
            "--deployment",
            &place.deployment,
            "--owner",
            &owner,
            "--yes",
        ],
        "",
    );
    let account = made["account"].as_str().expect("an account").to_owned();
    {
        let mut chain = place.testkit.chain();
        let address: Address = account.parse().expect("an address");
        chain.set_balance(address, U256::from(10u64.pow(18)));
        let mint = TestToken::mintCall {
            to: address,
            amount: U256::from(1_000_000_000),
        };
        chain
            .transact(place.owner.address(), USDC, &mint)
            .expect("tokens");
    }
    let on_node = |exit: i32, arguments: &[&str]| {
        let node = [
            "--rpc-url",
            place.node.url(),
            "--account",
            &account,
            "--chain-id",
            &place.chain_id,
            "--deployment",
            &place.deployment,
        ];
        place.json(exit, &[arguments, &node].concat(), "")
    };

    let granted = on_node(0, &["grant", &policy, "--direct", "--yes"]);
    assert!(granted["transactionHash"].is_string(), "{granted}");
    let key = super::keys::key_of(&granted);
    let inspected = on_node(0, &["inspect"]);
    assert_eq!(inspected["complete"], true);
    let first = &inspected["keys"][0];
    assert_eq!(
        (&first["address"], &first["status"], &first["tag"]),
        (&json!(key), &json!("active"), &granted["tag"])
    );
    // Names come from the policy file, which inspect does not read.
    let words = first["words"].as_array().expect("a list");
    assert_eq!(words.len(), granted["words"].as_array().map_or(0, Vec::len));
    assert_eq!(words[3], "May not send ETH.");
    assert_eq!(first["budgets"][2]["limitBaseUnits"], "100000000");
    let plan = on_node(0, &["plan", &key, &policy, "--check"]);
    assert_eq!(plan["changes"], json!([]));

    let approve = |amount: u64| format!("{USDC}:approve(address,uint256):{SHOP},{amount}");
    let accepted = on_node(0, &["check", &key, "--call", &approve(100_000_000)]);
    assert_eq!(accepted["verdict"], "accepted");
    let refused = on_node(1, &["check", &key, "--call", &approve(100_000_001)]);
    assert_eq!(refused["verdict"], "refused");
    assert_eq!(refused["violations"][0]["code"], "erc20_limit_exceeded");
    assert_eq!(refused["violations"][0]["phase"], "execution");
    let elsewhere = on_node(1, &["check", &key, "--call", &SHOP.to_string()]);
    assert_eq!(elsewhere["violations"][0]["code"], "contract_not_on_allowlist");

    let linted = place.json(0, &["lint", &policy], "");
    assert_eq!(linted["errors"], 0);
    let covered = place.json(0, &["covers", &policy, &policy], "");
    assert_eq!(covered["missing"], json!([]));
    let encoded = on_node(0, &["encode", &policy, "--key", &key]);
    let decoded = place.json(0, &["decode", "-"], &encoded.to_string());
    let again = place.file("again.toml", decoded["policy"].as_str().expect("a policy"));
    let encoded_again = place.json(0, &["encode", &again], "");
    assert_eq!(encoded_again["updates"], encoded["updates"]);

    // Beyond the ABI, this project's plugin refuses; another may accept.
    let everything = place.file(
        "everything.toml",
        &format!(
            "access = \"everything\"\n[tokens.USDC]\naddress = \"{USDC}\"\ndecimals = 6\n[limits]\ntokens = [\"1 USDC\"]\n"
        ),
    );
    let all_the_same = ["grant", &everything, "--direct", "--yes", "--allow-lint-errors"];
    let wide = on_node(0, &all_the_same);
    let wide = super::keys::key_of(&wide);
    let mint = format!("{USDC}:mint(address,uint256):{SHOP},5");
    let exit = i32::from(rules == Rules::Strict);
    let beyond = on_node(exit, &["check", &wide, "--call", &mint]);
    let verdict = if rules == Rules::Strict {
        "refused"
    } else {
        "mayPass"
    };
    assert_eq!(beyond["verdict"], verdict);
    assert_eq!(beyond["violations"][0]["code"], "token_function_not_allowed");

    // The keys at work.
    super::server::runtime().block_on(async {
        let known = fs::read_to_string(&place.deployment).expect("a file");
        let known: ChainDeployments = serde_json::from_str(&known).expect("a deployment");
        let deployment = known.deployments[0].deployment().expect("all contracts");
        let address: Address = account.parse().expect("an address");
        let options = ConnectOptions::new().deployments([deployment]);
        let connected = SmartAccount::connect_with(&options, place.testkit.provider(), address)
            .await
            .expect("an account");
        let agent = |key: &str| {
            let file = place.path("keys").join(format!("{key}.json"));
            let password = "a password of more than twenty letters";
            let file = session_key_client::signer::KeystoreFile::new(file, password);
            let signer = session_key_client::SessionKeySigner::load(file).expect("a key");
            let bundler = dev_accounts()[2].signer();
            let from = bundler.address();
            let provider = place.testkit.provider_with_signer(bundler);
            let submitter = EntryPointSubmitter::new(provider, deployment.entry_point, from);
            SessionKeyClient::new(connected.clone(), signer, submitter)
        };
        let spend = [Call::new(USDC, erc20::approve(SHOP, U256::from(60_000_000)))];
        agent(&key).execute(spend).await.expect("it is allowed");
        if rules != Rules::Compatible {
            let to = TestToken::mintCall {
                to: SHOP,
                amount: U256::from(5),
            };
            let mint: Bytes = session_key_client::alloy::sol_types::SolCall::abi_encode(&to).into();
            let passed = agent(&wide).execute([Call::new(USDC, mint)]).await.is_ok();
            assert_eq!(passed, rules == Rules::StandIn);
        }
    });
    let budget = on_node(0, &["budget", &key]);
    assert_eq!(budget["budgets"][2]["usedBaseUnits"], "60000000");

    let revoked = on_node(0, &["revoke", "--all", "--direct", "--yes"]);
    assert_eq!(revoked["revoked"].as_array().map(Vec::len), Some(2));
    assert_eq!(on_node(0, &["inspect"])["keys"], json!([]));
}

/// Writes a folder with this project's contracts, optionally with another plugin.
fn folder_with_own(plugin: Option<Bytes>) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut chain = Chain::new(ChainConfig::default());
    let (_, contracts) = Stack::plan(Deterministic::record().factory_owner);
    chain
        .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)
        .expect("a proxy");
    for contract in &contracts {
        contract.deploy(&mut chain).expect("a contract");
    }
    let known = Deterministic::record().known();
    for (contract, at) in &known.contracts {
        let code = match (contract, &plugin) {
            (Contract::SessionKeyPlugin, Some(plugin)) => {
                let at = chain.deploy(SHOP, plugin.clone()).expect("a plugin");
                chain.code(at)
            }
            _ => chain.code(at.address),
        };
        let file = folder.path().join(format!("{contract}.hex"));
        fs::write(file, hex::encode_prefixed(code)).expect("a file");
    }
    let file = json!({ "chainId": 31337, "name": "test", "deployments": [known] });
    fs::write(folder.path().join(DEPLOYMENT), file.to_string()).expect("a file");
    folder
}

#[test]
fn the_command_works_on_contracts_loaded_from_code() {
    run_on(folder_with_own(None).path(), Rules::Strict);
}

#[test]
fn the_command_works_on_a_stand_in_without_the_strict_rules() {
    let stand_in = PLUGIN_WITHOUT_STRICT_RULES.bytes();
    run_on(folder_with_own(Some(stand_in)).path(), Rules::StandIn);
}

/// The code of plugins deployed elsewhere is not in this repository: `docs/deployed-plugin.md` says how to
/// add it to a folder.
#[test]
#[ignore = "needs a folder with code: REFERENCE_CODE=DIR"]
fn the_command_works_on_reference_code() {
    let folder = std::env::var_os("REFERENCE_CODE").expect("REFERENCE_CODE names a folder");
    run_on(Path::new(&folder), Rules::Compatible);
}
