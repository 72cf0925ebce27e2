//! Granting, reading, explaining and changing keys, with a node and a bundler on the loopback interface.

use super::{command, json_of, text};
use serde_json::{Value, json};
use session_key_bindings::IEntryPoint;
use session_key_client::{
    Call, SessionKeyClient, SmartAccount,
    alloy::{
        primitives::{Address, B256, U256, keccak256},
        rpc::types::TransactionRequest,
        signers::local::PrivateKeySigner,
        sol_types::SolCall as _,
    },
    deployment::Deterministic,
    permissions::erc20,
    submit::EntryPointSubmitter,
};
use session_key_testkit::{
    Bundler, BundlerOptions, Chain, ChainConfig, DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Server, Stack,
    Testkit, dev_accounts,
};
use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;

pub(crate) const SHOP: Address = Address::repeat_byte(0x5a);

/// A chain with the contracts, a node and a bundler, a funded owner, and a folder for files.
pub(crate) struct Stage {
    pub(crate) testkit: Testkit,
    stack: Stack,
    node: Server,
    pub(crate) bundler: Server,
    pub(crate) pool: Bundler,
    /// Whether the bundler sends bundles.
    pub(crate) mines: Arc<AtomicBool>,
    pub(crate) owner: PrivateKeySigner,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let mut chain = Chain::new(ChainConfig::default());
        // At the recorded addresses.
        let (stack, contracts) = Stack::plan(Deterministic::record().factory_owner);
        chain
            .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)
            .expect("a proxy");
        for contract in &contracts {
            contract.deploy(&mut chain).expect("a contract");
        }
        // Bundlers create no accounts of a factory without a stake. On a live chain, one that nobody
        // owns has none.
        chain.set_balance(stack.account_factory, U256::from(10u64.pow(18)));
        let stake = IEntryPoint::addStakeCall {
            unstakeDelaySec: 86_400,
        };
        let staking = TransactionRequest::default()
            .from(stack.account_factory)
            .to(stack.entry_point)
            .value(U256::from(10u64.pow(18)))
            .input(stake.abi_encode().into());
        chain
            .send(staking)
            .and_then(|execution| execution.ok())
            .expect("a stake");
        let owner = dev_accounts()[1].signer();
        let testkit = Testkit::from(chain);
        let node = testkit.serve().expect("a server");
        let pool = testkit.bundler(BundlerOptions::default());
        let bundler = pool.transport().serve().expect("a server");
        let mines = Arc::new(AtomicBool::new(true));
        let is_open = mines.clone();
        let bundles = pool.clone();
        // Until the test process ends.
        thread::spawn(move || {
            loop {
                if is_open.load(Ordering::SeqCst) {
                    let _ = bundles.bundle_now();
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            testkit,
            stack,
            node,
            bundler,
            pool,
            mines,
            owner,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Returns the owner's account with salt zero, funded with ether and tokens, whether it exists or not.
    pub(crate) fn account(&self) -> Address {
        let output = self.run(&[
            "account",
            "address",
            "--owner",
            &self.owner.address().to_string(),
            "--chain-id",
            "31337",
            "--deployment",
            "deterministic",
        ]);
        let account: Address = text(&output.stdout).trim().parse().expect("an address");
        let mut chain = self.testkit.chain();
        chain.set_balance(account, U256::from(10u64.pow(18)));
        self.stack
            .mint(&mut chain, account, U256::from(1_000_000_000))
            .expect("tokens");
        account
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.spawn(arguments);
        // A command that does not read standard input closes it.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let output = self.ended(child);
        super::output::check(arguments, &output);
        output
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the binary runs")
    }

    /// Returns the command with the owner's key, in the stage's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command(arguments, None);
        let secret = format!("0x{}", alloy_hex(self.owner.to_bytes().as_slice()));
        command
            .current_dir(self.folder.path())
            .env("SESSION_KEY_OWNER", secret)
            .env("SESSION_KEY_PASSWORD", "a password of more than twenty letters")
            .env("SESSION_KEY_KEYSTORE", self.path("keys"))
            .env_remove("NO_COLOR");
        command
    }

    pub(crate) fn ended(&self, child: Child) -> Output {
        let output = child.wait_with_output().expect("it ends");
        let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!printed.contains("panicked"), "{printed}");
        assert!(
            !printed.contains(&alloy_hex(self.owner.to_bytes().as_slice())),
            "a secret is printed"
        );
        output
    }

    /// Runs a command on the node with `--json`, and checks its exit code.
    #[track_caller]
    pub(crate) fn json(&self, exit: i32, arguments: &[&str]) -> Value {
        let account = self.testkit_account();
        let url = self.node.url();
        let mut all = arguments.to_vec();
        all.extend(["--rpc-url", url, "--account", &account, "--json"]);
        let output = self.run(&all);
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        let document = json_of(&output);
        assert_eq!(document["ok"], exit < 2, "{document}");
        document
    }

    pub(crate) fn testkit_account(&self) -> String {
        let deployment = session_key_client::Deployment::deterministic();
        let account = deployment.account_address([self.owner.address()], U256::ZERO);
        account.expect("owners").expect("a known factory").to_string()
    }

    /// Writes the tests' policy.
    pub(crate) fn weekly(&self, name: &str, limit: &str) -> String {
        let token = self.stack.token;
        let text = format!(
            "tag = \"weekly buy\"\nvalid_for = \"90 days\"\n\n[tokens.TEST]\naddress = \"{token}\"\ndecimals = 6\n\n\
             [[allow]]\ncontract = \"TEST\"\nfunctions = [\"transfer(address,uint256)\"]\n\n\
             [limits]\ngas = \"0.5 ETH per 7 days\"\ntokens = [\"{limit}\"]\n"
        );
        self.file(name, &text)
    }

    pub(crate) fn url(&self) -> &str {
        self.node.url()
    }

    pub(crate) const fn token(&self) -> Address {
        self.stack.token
    }

    /// Returns a client for the key, from the keystore.
    pub(crate) async fn agent(&self, key: Address) -> SessionKeyClient {
        let file = self.path("keys").join(format!("{key}.json"));
        let file =
            session_key_client::signer::KeystoreFile::new(file, "a password of more than twenty letters");
        self.client(session_key_client::SessionKeySigner::load(file).expect("a key"))
            .await
    }

    /// Returns a client for this signer.
    pub(crate) async fn client(
        &self,
        signer: impl session_key_client::alloy::signers::Signer + Send + Sync + 'static,
    ) -> SessionKeyClient {
        let account = SmartAccount::connect_with(
            &session_key_client::account::ConnectOptions::new()
                .deployments([session_key_client::Deployment::deterministic()]),
            self.testkit.provider(),
            self.testkit_account().parse().expect("an address"),
        )
        .await
        .expect("an account");
        let bundler = dev_accounts()[2].signer();
        let from = bundler.address();
        let provider = self.testkit.provider_with_signer(bundler);
        let submitter = EntryPointSubmitter::new(provider, self.stack.entry_point, from);
        SessionKeyClient::new(account, signer, submitter)
    }
}

fn alloy_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn key_of(document: &Value) -> String {
    document["sessionKey"].as_str().expect("a key").to_owned()
}

/// Runs a key's whole life, through a bundler or directly.
fn life(direct: bool) {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let way: Vec<&str> = if direct {
        vec!["--direct"]
    } else {
        vec!["--bundler-url", stage.bundler.url()]
    };
    let write = |exit: i32, arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(&way);
        all.extend(["--yes", "--deployment", "deterministic"]);
        stage.json(exit, &all)
    };
    // Creates the account, installs the plugin and creates the key, in one step.
    let granted = write(0, &["grant", &policy]);
    let key = key_of(&granted);
    assert_eq!(granted["userOpHash"].is_null(), direct, "{granted}");
    assert!(granted["transactionHash"].is_string());
    assert_eq!(granted["tag"], json!(keccak256("weekly buy")));
    assert!(stage.path(&format!("keys/{key}.json")).exists());
    assert!(stage.path("weekly.toml.lock").exists());

    let inspected = stage.json(0, &["inspect"]);
    assert_eq!(inspected["complete"], true);
    let found = &inspected["keys"][0];
    assert_eq!(found["address"], key.as_str());
    assert_eq!(found["status"], "active");
    assert_eq!(found["tag"], json!(keccak256("weekly buy")));
    let token = stage.stack.token.to_string();
    assert_eq!(
        found["permissions"]["tokenLimits"],
        json!([{ "token": token, "limitBaseUnits": "100000000", "refreshIntervalSeconds": 604_800 }])
    );
    assert_eq!(found["budgets"].as_array().expect("a list").len(), 3);
    let codes: Vec<&str> = found["warnings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|w| w["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["recipients_unchecked"]);

    // Right after the grant, there is nothing to change.
    assert_eq!(
        stage.json(0, &["plan", &key, &policy, "--check"])["changes"],
        json!([])
    );
    let pay = |amount: u64| format!("{token}:transfer(address,uint256):{SHOP},{amount}");
    let accepted = stage.json(0, &["check", &key, "--call", &pay(100_000_000)]);
    assert_eq!(accepted["verdict"], "accepted");
    let refused = stage.json(
        1,
        &[
            "check",
            &key,
            "--call",
            &pay(100_000_001),
            "--call",
            &format!("{SHOP}@1 wei"),
        ],
    );
    assert_eq!(refused["verdict"], "refused");
    let violations: Vec<(Value, Value, Value)> = refused["violations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|v| (v["code"].clone(), v["call"].clone(), v["phase"].clone()))
        .collect();
    assert_eq!(
        violations,
        [
            (json!("contract_not_on_allowlist"), json!(1), json!("validation")),
            (json!("native_limit_exceeded"), json!(null), json!("validation")),
            (json!("erc20_limit_exceeded"), json!(0), json!("execution")),
        ]
    );

    // The key is used: what is left decreases.
    let runtime = super::server::runtime();
    let failed = runtime.block_on(async {
        let agent = stage.agent(key.parse().expect("an address")).await;
        let pay = |amount: u64| {
            [Call::new(
                stage.stack.token,
                erc20::transfer(SHOP, U256::from(amount)),
            )]
        };
        agent.execute(pay(60_000_000)).await.expect("it is paid");
        agent
            .execute(pay(60_000_000))
            .await
            .expect_err("it is not allowed")
    });
    assert_eq!(failed.code(), "not_allowed");
    let budget = stage.json(0, &["budget", &key]);
    let of_token = &budget["budgets"][2];
    assert_eq!(of_token["usedBaseUnits"], "60000000");
    assert_eq!(of_token["remainingBaseUnits"], "40000000");
    assert_eq!(of_token["status"], "available");

    // A higher limit: the user must say what happens to the amount used.
    let wider = stage.weekly("wider.toml", "150 TEST per 7 days");
    fs::copy(stage.path("weekly.toml.lock"), stage.path("wider.toml.lock")).expect("a copy");
    assert_eq!(
        stage.json(1, &["plan", &key, &wider, "--check"])["changes"]
            .as_array()
            .expect("a list")
            .len(),
        1
    );
    let unsaid = stage.json(2, &["plan", &key, &wider]);
    assert!(
        unsaid["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("--limits"),
        "{unsaid}"
    );
    let planned = stage.json(0, &["plan", &key, &wider, "--limits", "keep"]);
    assert_eq!(planned["widens"], true);
    assert_eq!(planned["changes"][0]["usedAfterBaseUnits"], "60000000");
    let afresh = stage.json(0, &["plan", &key, &wider, "--limits", "afresh"]);
    assert_eq!(afresh["updates"].as_array().expect("a list").len(), 2);
    let applied = write(0, &["apply", &key, &wider, "--limits", "keep"]);
    assert!(applied["transactionHash"].is_string());
    assert_eq!(
        stage.json(0, &["budget", &key])["budgets"][2]["remainingBaseUnits"],
        "90000000"
    );
    let nothing = write(0, &["apply", &key, &wider, "--limits", "keep"]);
    assert_eq!(
        (&nothing["changed"], &nothing["transactionHash"]),
        (&json!(false), &json!(null))
    );

    // Another key takes over, then all keys are removed.
    let rotated = write(0, &["rotate", &key]);
    let new = key_of(&rotated);
    assert_eq!(
        stage.json(0, &["budget", &new])["budgets"][2]["usedBaseUnits"],
        "60000000"
    );
    let history = stage.json(0, &["inspect", "--history"]);
    let kinds: Vec<&str> = history["history"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["added", "updated", "updated", "rotated"]);
    let dry = stage.json(0, &["revoke", "--all", "--dry-run"]);
    assert_eq!(dry["dryRun"], true);
    assert_eq!(
        stage.json(0, &["inspect"])["keys"]
            .as_array()
            .expect("a list")
            .len(),
        1
    );
    let tagged = write(0, &["revoke", "--tag", "weekly buy"]);
    assert_eq!(tagged["revoked"], json!([new]));
    assert_eq!(stage.json(0, &["inspect"])["keys"], json!([]));
    let none = write(0, &["revoke", "--all"]);
    assert_eq!(none["revoked"], json!([]));

    // A key can be added only once.
    let again = ["grant", &policy, "--key", &SHOP.to_string()];
    write(0, &again);
    let refused = write(2, &again);
    assert!(
        refused["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("plan and apply"),
        "{refused}"
    );
}

#[test]
fn the_life_of_a_key_by_plain_transactions() {
    life(true);
}

#[test]
fn the_life_of_a_key_through_a_bundler() {
    life(false);
}

#[test]
fn nothing_is_signed_without_consent() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let before = stage.testkit.chain().block_number();
    let refused = stage.json(
        2,
        &["grant", &policy, "--direct", "--deployment", "deterministic"],
    );
    assert!(
        refused["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("--yes"),
        "{refused}"
    );
    assert_eq!(
        (&refused["userOpHash"], &refused["transactionHash"]),
        (&json!(null), &json!(null))
    );
    // Nor if there is no way to send.
    let refused = stage.json(2, &["grant", &policy, "--yes", "--deployment", "deterministic"]);
    assert!(
        refused["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("--bundler-url"),
        "{refused}"
    );
    // Not even a key was created: there is only the journal.
    let files = fs::read_dir(stage.path("keys")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"));
    let others: Vec<String> = names.filter(|name| !name.starts_with("journal.sqlite")).collect();
    assert_eq!(others, [] as [String; 0]);
    let dry = stage.json(
        0,
        &[
            "grant",
            &policy,
            "--dry-run",
            "--deployment",
            "deterministic",
            "--key",
            &SHOP.to_string(),
        ],
    );
    assert_eq!(dry["dryRun"], true);
    assert!(dry["calls"][1]["data"].as_str().expect("data").len() > 500);
    assert_eq!(stage.testkit.chain().block_number(), before);
    // A file that was only found does not select the account to sign for.
    stage.file(
        "session-key.toml",
        &format!("rpc_url = \"{}\"\naccount = \"{SHOP}\"\n", stage.node.url()),
    );
    let output = stage.run(&["revoke", "--all", "--direct", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let document = json_of(&output);
    assert!(
        document["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("--chain-id"),
        "{document}"
    );
    // Nor does anything in it count once the chain is given.
    for (given, missing) in [
        (&[][..], "a node is needed"),
        (&["--rpc-url", stage.url()], "an account is needed"),
    ] {
        let revoke = [
            "revoke",
            "--all",
            "--direct",
            "--yes",
            "--json",
            "--chain-id",
            "31337",
        ];
        let output = stage.run(&[&revoke[..], given].concat());
        assert_eq!(output.status.code(), Some(2));
        let document = json_of(&output);
        let message = document["error"]["message"].as_str().expect("a text");
        assert!(message.contains(missing), "{document}");
    }
    // It does for commands that only read.
    let output = stage.run(&["inspect"]);
    assert!(
        text(&output.stderr).contains(&SHOP.to_string()),
        "{}",
        text(&output.stderr)
    );
    stage.file("session-key.toml", "owner_keystore = \"k\"\n");
    let output = stage.run(&["inspect"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("session-key.toml:1"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn policies_are_checked_without_a_chain() {
    let stage = Stage::new();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let lint = |exit: i32, file: &str| {
        let output = stage.run(&["lint", file, "--json"]);
        assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
        json_of(&output)
    };
    let good = lint(0, &policy);
    assert_eq!(good["errors"], 0);
    assert_eq!(good["warnings"][0]["code"], "recipients_unchecked");
    assert_eq!(good["warnings"][0]["line"], 10);
    let everything = stage.file("everything.toml", "access = \"everything\"\n");
    let bad = lint(1, &everything);
    assert_eq!(bad["errors"], 2);
    let broken = stage.file("broken.toml", "\n[limits]\nnative = \"5\"\n");
    let output = stage.run(&["lint", &broken, "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let error = json_of(&output)["error"].clone();
    assert_eq!(error["code"], "bad_policy");
    assert!(
        error["message"]
            .as_str()
            .expect("a text")
            .contains("broken.toml:3:10: "),
        "{error}"
    );

    let absolute = |name: &str, limit: &str| {
        let text = fs::read_to_string(stage.weekly(name, limit)).expect("a file");
        stage.file(
            name,
            &text.replace("valid_for = \"90 days\"", "valid_until = 2100-01-01T00:00:00Z"),
        )
    };
    let (large, small) = (
        absolute("large.toml", "100 TEST per day"),
        absolute("small.toml", "99 TEST per 7 days"),
    );
    let covers = |exit: i32, policy: &str, need: &str| {
        let output = stage.run(&["covers", policy, need, "--json"]);
        assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
        json_of(&output)
    };
    assert_eq!(covers(0, &large, &small)["missing"], json!([]));
    let missing = covers(1, &small, &large)["missing"].clone();
    assert_eq!(missing[0]["code"], "limit_lower");
    assert_eq!(missing[1]["code"], "refreshes_later");
    assert!(missing[0]["example"]["calls"][0]["data"].is_string());
    let nothing = stage.file("nothing.toml", "");
    let output = stage.run(&["covers", &large, &nothing]);
    assert_eq!(output.status.code(), Some(2));

    // encode and decode, with and without JSON.
    for json in [false, true] {
        let mut arguments = vec!["encode", &large];
        if json {
            arguments.push("--json");
        }
        let encoded = stage.run(&arguments);
        assert_eq!(encoded.status.code(), Some(0), "{}", text(&encoded.stderr));
        let decoded = stage.run_with(&["decode", "-"], text(&encoded.stdout));
        assert_eq!(decoded.status.code(), Some(0), "{}", text(&decoded.stderr));
        let again = stage.file("again.toml", text(&decoded.stdout));
        assert_eq!(
            stage.run(&["encode", &again]).stdout,
            stage.run(&["encode", &large]).stdout
        );
    }
    // A duration from the grant has no value before it.
    assert_eq!(stage.run(&["encode", &policy]).status.code(), Some(2));
    let output = stage.run(&["decode", "0xb4d78304", "--json"]);
    assert_eq!(json_of(&output)["what"], "revert");
    assert_eq!(stage.run(&["decode", "nothing"]).status.code(), Some(2));
}

/// An NFT may have a token's functions: ERC-165 identifies it.
#[test]
fn lint_recognizes_an_nft_by_erc165() {
    let stage = Stage::new();
    stage.account();
    let (nft, yes) = (Address::repeat_byte(0x4f), Address::repeat_byte(0x4e));
    {
        let mut chain = stage.testkit.chain();
        // One supports 0x80ac58cd; one says yes to everything.
        let code = [0x60, 0x04, 0x35, 0x60, 0xe0, 0x1c, 0x63, 0x80, 0xac, 0x58, 0xcd];
        let rest = [0x14, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
        chain.set_code(nft, [&code[..], &rest].concat()).expect("code");
        chain
            .set_code(yes, [0x60, 0x01, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3])
            .expect("code");
    }
    let policy = |name: &str, token: Address| {
        let text = format!(
            "valid_for = \"90 days\"\n[[allow]]\ncontract = \"{token}\"\nfunctions = [\"transfer(address,uint256)\"]\n\
             [limits]\ngas = \"0.5 ETH\"\ntokens = [\"5 units of {token}\"]\n"
        );
        stage.file(name, &text)
    };
    let codes = |document: &Value| -> Vec<String> {
        let warnings = document["warnings"].as_array().expect("a list");
        let codes = warnings.iter().filter_map(|warning| warning["code"].as_str());
        codes.map(str::to_owned).collect()
    };
    let (of_nft, of_yes) = (policy("nft.toml", nft), policy("yes.toml", yes));
    let lint = |exit: i32, arguments: &[&str]| {
        let output = stage.run(&[&["lint", "--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
        codes(&json_of(&output))
    };
    let url = stage.node.url();
    // Without a node, and with one.
    assert_eq!(lint(0, &[&of_nft]), ["recipients_unchecked"]);
    assert_eq!(
        lint(1, &[&of_nft, "--rpc-url", url]),
        ["recipients_unchecked", "nft_as_token"]
    );
    assert_eq!(lint(0, &[&of_yes, "--rpc-url", url]), ["recipients_unchecked"]);
    let grant = [
        "grant",
        &of_nft,
        "--direct",
        "--yes",
        "--deployment",
        "deterministic",
    ];
    let node = ["--rpc-url", url, "--account", &stage.testkit_account(), "--json"];
    let refused = stage.run(&[&grant[..], &node].concat());
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stdout));
    assert_eq!(json_of(&refused)["error"]["code"], "lint_errors");
    let all_the_same = [&grant[..], &["--allow-lint-errors"]].concat();
    assert!(codes(&stage.json(0, &all_the_same)).contains(&"nft_as_token".to_owned()));
    let inspected = stage.json(0, &["inspect"]);
    assert!(codes(&inspected["keys"][0]).contains(&"nft_as_token".to_owned()));
}

#[test]
fn explain_finds_operations_and_transactions() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let granted = stage.json(
        0,
        &[
            "grant",
            &policy,
            "--direct",
            "--yes",
            "--deployment",
            "deterministic",
        ],
    );
    let key: Address = key_of(&granted).parse().expect("an address");
    let runtime = super::server::runtime();
    let hash: B256 = runtime.block_on(async {
        let agent = stage.agent(key).await;
        let pay = [Call::new(stage.stack.token, erc20::transfer(SHOP, U256::from(1)))];
        agent.execute(pay).await.expect("it is paid").receipt.user_op_hash
    });
    let explained = stage.json(0, &["explain", &hash.to_string()]);
    assert_eq!(explained["operations"][0]["outcome"], "succeeded");
    assert_eq!(explained["operations"][0]["sessionKey"], key.to_string());
    let unknown = stage.json(1, &["explain", &B256::repeat_byte(7).to_string()]);
    assert_eq!(
        (&unknown["found"], &unknown["hashOf"]),
        (&json!(false), &json!(null))
    );
    // The owner's own transaction is not an operation, but is found as well.
    let own = granted["transactionHash"].as_str().expect("a hash");
    let plain = stage.json(0, &["explain", own]);
    assert_eq!(
        (
            &plain["found"],
            &plain["hashOf"],
            &plain["success"],
            &plain["operations"]
        ),
        (&json!(true), &json!("transaction"), &json!(true), &json!([]))
    );
    assert_eq!(plain["block"], granted["block"]);
    let output = stage.run(&["explain", "0x12", "--rpc-url", stage.node.url()]);
    assert_eq!(output.status.code(), Some(2));

    // Everything since the first block, and what is left.
    let watched = stage.run(&[
        "watch",
        "--since",
        "1",
        "--rounds",
        "1",
        "--json",
        "--rpc-url",
        stage.node.url(),
        "--account",
        &stage.testkit_account(),
    ]);
    assert_eq!(watched.status.code(), Some(0), "{}", text(&watched.stderr));
    let events: Vec<Value> = text(&watched.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON on each line"))
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["added", "changed", "used"], "{events:?}");

    // While watching, something is spent, and something is refused.
    let (url, account) = (stage.node.url(), stage.testkit_account());
    let watch = ["watch", "--interval", "1", "--rounds", "6", "--json"];
    let node = ["--rpc-url", url, "--account", &account];
    let arguments = [&watch[..], &node].concat();
    let watching = stage.spawn(&arguments);
    thread::sleep(Duration::from_millis(1_500));
    runtime.block_on(async {
        let agent = stage.agent(key).await;
        let pay = [Call::new(stage.stack.token, erc20::transfer(SHOP, U256::from(2)))];
        agent.execute(pay).await.expect("it is paid");
    });
    let watched = stage.ended(watching);
    super::output::check(&arguments, &watched);
    let events: Vec<Value> = text(&watched.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON on each line"))
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(kinds, ["used", "budget"], "{events:?}");
    assert_eq!(events[1]["budgets"][2]["usedBaseUnits"], "3");
    let words = events[1]["words"].as_str().expect("words");
    assert!(words.contains("Left to spend: 99.999997 TUSD."), "{words}");
}

#[test]
fn requests_are_created_shown_and_approved() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let need = stage.weekly("need.toml", "100 TEST per 7 days");
    let file = stage.path("request.json");
    let file = file.to_str().expect("UTF-8");
    let made = stage.run(&[
        "request",
        "new",
        &need,
        "--account",
        &account,
        "--chain-id",
        "31337",
        "--out",
        file,
        "--json",
    ]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let key = key_of(&json_of(&made));
    let shown = stage.run(&["request", "show", file]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(
        text(&shown.stdout).contains("May spend at most 100 TEST every 7 days."),
        "{}",
        text(&shown.stdout)
    );
    // Any change is detected.
    let tampered = fs::read_to_string(file)
        .expect("a file")
        .replace("100 TEST", "900 TEST");
    let tampered = stage.file("tampered.json", &tampered);
    let output = stage.run(&["request", "show", &tampered]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("changed after it was signed"),
        "{}",
        text(&output.stderr)
    );
    // The owner may grant less, but not more.
    let (less, more) = (
        stage.weekly("less.toml", "50 TEST per 7 days"),
        stage.weekly("more.toml", "101 TEST per 7 days"),
    );
    let approve = |exit, policy: &str| {
        stage.json(
            exit,
            &[
                "request",
                "approve",
                file,
                "--policy",
                policy,
                "--direct",
                "--yes",
                "--deployment",
                "deterministic",
            ],
        )
    };
    let refused = approve(2, &more);
    assert!(
        refused["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("more than the request"),
        "{refused}"
    );
    // Also if only one of them gives the token's decimals.
    let unsaid = fs::read_to_string(&need)
        .expect("a file")
        .replace("decimals = 6\n", "");
    let unsaid = stage.file("unsaid.toml", &unsaid);
    let other = stage.path("unsaid.json");
    let other = other.to_str().expect("UTF-8");
    let made = stage.run(&[
        "request",
        "new",
        &unsaid,
        "--key",
        &key,
        "--account",
        &account,
        "--chain-id",
        "31337",
        "--out",
        other,
    ]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let arguments = [
        "request", "approve", other, "--policy", &more, "--direct", "--yes",
    ];
    let refused = stage.json(2, &arguments);
    assert!(
        refused["error"]["message"]
            .as_str()
            .expect("a text")
            .contains("more than the request"),
        "{refused}"
    );

    let granted = approve(0, &less);
    assert_eq!(key_of(&granted), key);
    let budget = stage.json(0, &["budget", &key]);
    assert_eq!(budget["budgets"][2]["limitBaseUnits"], "50000000");
}

#[test]
fn readable_output_fits_80_columns() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    stage.json(
        0,
        &[
            "grant",
            &policy,
            "--direct",
            "--yes",
            "--deployment",
            "deterministic",
        ],
    );
    let output = stage.run(&[
        "inspect",
        "--rpc-url",
        stage.node.url(),
        "--account",
        &stage.testkit_account(),
    ]);
    let shown = text(&output.stdout);
    for expected in [
        "active",
        "May call transfer of TUSD",
        "any recipient.",
        "100 TUSD of 100 TUSD left",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    // Plain in a pipe, and at most 80 columns wide except for hashes.
    assert!(!shown.contains('\u{1b}'));
    for line in shown.lines() {
        assert!(line.chars().count() <= 80 || line.contains("0x"), "{line}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = stage.run(&["completions", shell]);
        assert!(text(&output.stdout).contains("session-key"), "{shell}");
    }
    assert!(text(&stage.run(&["man"]).stdout).contains(".TH session-key"));
}

#[test]
fn bad_input_is_refused_before_any_request() {
    let stage = Stage::new();
    let url = stage.node.url();
    let key = SHOP.to_string();
    for arguments in [
        &["inspect"][..],
        &["inspect", "--rpc-url", url],
        &["budget", "0x12", "--rpc-url", url],
        &["check", &key, "--rpc-url", url],
        &[
            "check",
            &key,
            "--rpc-url",
            url,
            "--account",
            &key,
            "--call",
            "0x12",
        ],
        &["revoke", "--rpc-url", url],
        &["revoke", &key, "--all", "--rpc-url", url],
        &[
            "plan",
            &key,
            "no-such-file.toml",
            "--rpc-url",
            url,
            "--account",
            &key,
        ],
        &["lint", "no-such-file.toml"],
        &["grant", "no-such-file.toml", "--rpc-url", url],
        &["keygen", "--keystore"],
        &["inspect", "--rpc-url", url, "--account", &key, "--chain-id", "7"],
        &["inspect", "--rpc-url", "http://127.0.0.1:1", "--account", &key],
        &["explain", "0x00", "--rpc-url", url],
        &["completions", "dos"],
    ] {
        let output = stage.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let stage = Stage::new();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    for arguments in [
        &["lint", policy.as_str()][..],
        &["lint", &policy, "--json"],
        &["man"],
        &["completions", "bash"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("a full disk");
        let output = command(arguments, None)
            .stdout(full)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("could not be written"),
            "{}",
            text(&output.stderr)
        );
    }
}

/// The next run names the granted key if the first report could not be read.
#[cfg(target_os = "linux")]
#[test]
fn an_unreported_grant_is_reported_by_the_next_run() {
    for direct in [false, true] {
        let stage = Stage::new();
        let account = stage.account().to_string();
        let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
        let mut arguments = vec!["grant", policy.as_str(), "--yes", "--deployment", "deterministic"];
        if direct {
            arguments.push("--direct");
        } else {
            arguments.extend(["--bundler-url", stage.bundler.url()]);
        }
        let all = [&arguments[..], &["--rpc-url", stage.url(), "--account", &account]].concat();
        let mut closed = stage.spawn(&all);
        drop(closed.stdout.take());
        let output = stage.ended(closed);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        // The next run does not depend on the lock file.
        fs::remove_file(stage.path("weekly.toml.lock")).expect("a lock file");
        let told = stage.json(0, &arguments);
        let keys = stage.json(0, &["inspect"]);
        let keys = keys["keys"].as_array().expect("keys");
        assert_eq!(keys.len(), 1, "{keys:?}");
        assert_eq!(keys[0]["address"], told["sessionKey"], "{keys:?}");
    }
}

#[test]
fn an_unwritable_lock_file_is_refused_before_signing() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    fs::create_dir(stage.path("weekly.toml.lock.part")).expect("a folder");
    let grant = [
        "grant",
        &policy,
        "--yes",
        "--direct",
        "--deployment",
        "deterministic",
    ];
    let failed = stage.json(2, &grant);
    let message = failed["error"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot be written"), "{message}");
    fs::remove_dir(stage.path("weekly.toml.lock.part")).expect("an empty folder");
    stage.json(0, &grant);
}

#[test]
fn a_dry_run_says_whether_it_would_succeed() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let grant = ["grant", &policy, "--deployment", "deterministic"];
    let dry = |exit: i32, arguments: &[&str]| {
        let dry = stage.json(exit, &[arguments, &["--dry-run"]].concat());
        dry["simulation"]["verdict"]
            .as_str()
            .expect("a verdict")
            .to_owned()
    };
    assert_eq!(dry(0, &grant), "notSimulated");
    let key = key_of(&stage.json(0, &[&grant[..], &["--direct", "--yes"]].concat()));
    for way in [&[][..], &["--direct"]] {
        assert_eq!(dry(0, &[&grant[..], way].concat()), "wouldSucceed");
        assert_eq!(
            dry(0, &[&["rotate", key.as_str()][..], way].concat()),
            "wouldSucceed"
        );
        assert_eq!(
            dry(0, &[&["revoke", key.as_str()][..], way].concat()),
            "wouldSucceed"
        );
        // Only the contract refuses the zero address.
        let zero = Address::ZERO.to_string();
        for reverts in [
            &["rotate", key.as_str(), &zero][..],
            &["grant", &policy, "--key", &zero],
        ] {
            assert_eq!(dry(1, &[reverts, way].concat()), "wouldRevert", "{reverts:?}");
        }
    }
    let zero = Address::ZERO.to_string();
    let account = stage.testkit_account();
    let on = ["--dry-run", "--rpc-url", stage.url(), "--account", &account];
    let output = stage.run(&[&["rotate", key.as_str(), &zero][..], &on].concat());
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout).replace("\n    ", " ");
    let said = "Simulated at the latest block, it would revert: session key 0x0000000000000000000000000000000000000000 is zero";
    assert!(shown.contains(said), "{shown}");
}

#[test]
fn encode_reads_decimals_from_the_intended_chain() {
    let stage = Stage::new();
    let known = stage.weekly("known.toml", "100 TEST per 7 days");
    let absolute =
        |text: String| text.replace("valid_for = \"90 days\"", "valid_until = 2100-01-01T00:00:00Z");
    let text_of_known = absolute(fs::read_to_string(&known).expect("a policy"));
    let known = stage.file("known.toml", &text_of_known);
    let open = stage.file("open.toml", &text_of_known.replace("decimals = 6\n", ""));
    let encode = |exit: i32, arguments: &[&str]| {
        let output = stage.run(&[&["encode"], arguments].concat());
        assert_eq!(output.status.code(), Some(exit), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    encode(2, &[&open]);
    let by_node = encode(0, &[&open, "--rpc-url", stage.url()]);
    assert_eq!(by_node, encode(0, &[&known]));
    encode(2, &[&known, "--rpc-url", stage.url(), "--chain-id", "1"]);
}

#[test]
fn a_key_missing_from_the_keystore_is_a_readable_error() {
    let stage = Stage::new();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let account = SHOP.to_string();
    let key = Address::repeat_byte(0x7e).to_string();
    let output = stage.run(&[
        "request",
        "new",
        &policy,
        "--key",
        &key,
        "--account",
        &account,
        "--chain-id",
        "31337",
    ]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(&format!("no session key {key}")), "{error}");
    assert!(!error.contains('{'), "{error}");
}

#[test]
fn a_hanging_node_is_not_waited_for() {
    let url = super::server::silent_server();
    let account = SHOP.to_string();
    for arguments in [
        &["inspect"][..],
        &["budget", &account],
        &["explain", &B256::ZERO.to_string()],
    ] {
        let mut all = arguments.to_vec();
        all.extend(["--rpc-url", &url, "--account", &account, "--timeout", "1"]);
        let output = super::run(&all, None);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_started_grant_continues_with_the_same_key() {
    let stage = Stage::new();
    stage.account();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let grant = |exit: i32| {
        let way = [
            "--bundler-url",
            stage.bundler.url(),
            "--yes",
            "--deployment",
            "deterministic",
        ];
        stage.json(exit, &[&["grant", policy.as_str()][..], &way].concat())
    };
    let notes = || -> Vec<PathBuf> {
        let files = fs::read_dir(stage.path("keys"))
            .expect("a folder")
            .map(|file| file.expect("a file").path());
        let is_note = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("grant-"))
        };
        files.filter(is_note).collect()
    };
    let first = key_of(&grant(0));
    assert!(notes().is_empty());
    // Repeated, it is another grant; had the first not been reported, it would be found done.
    let second = grant(0);
    assert_ne!(key_of(&second), first);
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(keys["keys"].as_array().expect("a list").len(), 2);
    // The lock file becomes unwritable once it is signed: what was done stays noted.
    fs::remove_file(stage.path("weekly.toml.lock")).expect("a file");
    stage.mines.store(false, Ordering::SeqCst);
    let account = stage.testkit_account();
    let child = stage.spawn(&[
        "grant",
        &policy,
        "--bundler-url",
        stage.bundler.url(),
        "--yes",
        "--deployment",
        "deterministic",
        "--rpc-url",
        stage.url(),
        "--account",
        &account,
        "--json",
    ]);
    while notes().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    fs::create_dir(stage.path("weekly.toml.lock.part")).expect("a folder");
    stage.mines.store(true, Ordering::SeqCst);
    let output = stage.ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let unreported = json_of(&output);
    assert_eq!(unreported["error"]["code"], "not_reported");
    assert_eq!(notes().len(), 1);
    fs::remove_dir(stage.path("weekly.toml.lock.part")).expect("a folder");
    let found = grant(0);
    assert!(found["userOpHash"].is_string(), "{found}");
    for hash in ["userOpHash", "transactionHash"] {
        assert_eq!(unreported[hash], found[hash], "{unreported}");
    }
    assert!(
        unreported["error"]["message"]
            .as_str()
            .expect("a text")
            .contains(&key_of(&found))
    );
    assert_eq!(
        stage.json(0, &["inspect"])["keys"]
            .as_array()
            .expect("a list")
            .len(),
        3
    );
    assert!(notes().is_empty());
}

#[test]
fn a_failed_grant_does_not_shorten_the_next_one() {
    const DAY: u64 = 24 * 60 * 60;
    let mut stage = Stage::new();
    let account = stage.account().to_string();
    let url = stage.node.url().to_owned();
    let grant = |stage: &Stage, policy: &str| {
        let way = ["--rpc-url", &url, "--account", &account, "--direct"];
        let how = ["--yes", "--json", "--deployment", "deterministic"];
        stage.run(&[&["grant", policy][..], &way, &how].concat())
    };
    let first = stage.weekly("first.toml", "100 TEST per 7 days");
    assert_eq!(grant(&stage, &first).status.code(), Some(0));

    // Nothing is sent: the signer owns nothing.
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let owner = std::mem::replace(&mut stage.owner, dev_accounts()[7].signer());
    let files = |stage: &Stage| {
        let files = fs::read_dir(stage.path("keys")).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"));
        names
            .filter(|name| name.starts_with("0x") || name.starts_with("grant-"))
            .count()
    };
    let before = files(&stage);
    let failed = grant(&stage, &policy);
    stage.owner = owner;
    assert_eq!(failed.status.code(), Some(2), "{}", text(&failed.stdout));
    // The key generated for it is deleted, since nothing names it.
    assert_eq!(files(&stage), before);

    let later = stage.testkit.chain().timestamp() + 40 * DAY;
    stage.testkit.chain().mine_at(later).expect("a later time");
    let granted = grant(&stage, &policy);
    assert_eq!(granted.status.code(), Some(0), "{}", text(&granted.stdout));
    let key = json_of(&granted)["sessionKey"]
        .as_str()
        .expect("a key")
        .to_owned();
    let keys = stage.json(0, &["inspect", &key]);
    let until = keys["keys"][0]["permissions"]["validUntil"].as_u64();
    assert!(
        until.is_some_and(|until| until >= later + 90 * DAY),
        "{later}: {keys}"
    );
    assert_eq!(files(&stage), before + 1);
}

// After Ctrl-C past signing, the outcome is unknown; repeating the command finds it out.
#[cfg(unix)]
#[test]
fn an_interrupted_grant_is_open_and_settled_by_the_next_run() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    stage.mines.store(false, Ordering::SeqCst);
    let arguments = [
        "grant",
        &policy,
        "--bundler-url",
        stage.bundler.url(),
        "--yes",
        "--deployment",
        "deterministic",
        "--rpc-url",
        stage.node.url(),
        "--account",
        &account,
        "--json",
    ];
    let child = stage.spawn(&arguments);
    while stage.pool.pool().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("it is there");
    assert!(interrupt.success());
    let output = stage.ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let interrupted = json_of(&output);
    assert_eq!(interrupted["error"]["code"], "interrupted");

    let waiting = stage.pool.pool()[0].hash;
    assert_eq!(interrupted["userOpHash"], json!(waiting), "{interrupted}");
    stage.mines.store(true, Ordering::SeqCst);
    let settled = stage.json(0, &arguments[..7]);
    assert_eq!(settled["userOpHash"], json!(waiting), "{settled}");
    let keys = stage.json(0, &["inspect"]);
    assert_eq!(keys["keys"].as_array().expect("a list").len(), 1);
}

// Same for plain transactions.
#[cfg(unix)]
#[test]
fn an_interrupted_transaction_is_open() {
    let stage = Stage::new();
    stage.account();
    stage.testkit.chain().set_automine(false);
    let arguments = [
        "account",
        "new",
        "--yes",
        "--deployment",
        "deterministic",
        "--rpc-url",
        stage.node.url(),
        "--json",
    ];
    let child = stage.spawn(&arguments);
    while stage.testkit.chain().pool().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("it is there");
    assert!(interrupt.success());
    let output = stage.ended(child);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let interrupted = json_of(&output);
    assert_eq!(interrupted["error"]["code"], "interrupted");
    let hash = *stage.testkit.chain().pool()[0].transaction.inner.hash();
    assert_eq!(interrupted["transactionHash"], json!(hash));
    // It was sent, and succeeds.
    stage.testkit.chain().mine();
    stage.testkit.chain().set_automine(true);
    let made = stage.json(0, &arguments[..5]);
    assert_eq!(made["created"], true);
    assert_eq!(made["transactionHash"], interrupted["transactionHash"]);
    // The outcome was reported: repeated, there is nothing to do.
    let there = stage.json(0, &arguments[..5]);
    assert_eq!(
        (&there["created"], &there["transactionHash"]),
        (&json!(false), &json!(null))
    );
}

// The transaction is pending when the command is repeated: a second one would only cost gas and fail.
#[cfg(unix)]
#[test]
fn a_pending_transaction_is_settled_before_another_is_sent() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let way = ["--yes", "--direct", "--deployment", "deterministic"];
    let key = key_of(&stage.json(0, &[&["grant", policy.as_str()][..], &way].concat()));
    stage.testkit.chain().set_automine(false);
    let node = ["--rpc-url", stage.node.url(), "--account", &account, "--json"];
    let revoke = ["revoke", "--all", "--yes", "--direct"];
    let arguments = [&revoke[..], &node].concat();
    let child = stage.spawn(&arguments);
    while stage.testkit.chain().pool().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("it is there");
    assert!(interrupt.success());
    assert_eq!(stage.ended(child).status.code(), Some(3));

    let again = stage.spawn(&arguments);
    thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.testkit.chain().pool().len(), 1, "{key}");
    stage.testkit.chain().mine();
    let output = stage.ended(again);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(json_of(&output)["revoked"], json!([key]));
    assert!(stage.testkit.chain().pool().is_empty());
}

// Output piped into a process that ends early counts as unread.
#[cfg(unix)]
#[test]
fn a_closed_pipe_is_a_failure() {
    let stage = Stage::new();
    let policy = stage.weekly("weekly.toml", "100 TEST per 7 days");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command(&["lint", &policy], None)
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

// The requester chooses the names and decimals in a request: 100 of a token with 6 decimals would be 100
// million million with 18.
#[test]
fn token_names_and_decimals_of_a_request_are_not_trusted() {
    let stage = Stage::new();
    let account = stage.account().to_string();
    let need = stage.weekly("need.toml", "100 TEST per 7 days");
    let wrong = fs::read_to_string(&need)
        .expect("a file")
        .replace("decimals = 6", "decimals = 18");
    let wrong = stage.file("wrong.toml", &wrong);
    let refused = stage.json(
        2,
        &[
            "grant",
            &wrong,
            "--direct",
            "--yes",
            "--deployment",
            "deterministic",
        ],
    );
    let message = refused["error"]["message"].as_str().expect("a text");
    assert!(message.contains("TEST has 6 decimals, not 18"), "{message}");

    let file = stage.path("request.json");
    let file = file.to_str().expect("UTF-8");
    let made = stage.run(&[
        "request",
        "new",
        &need,
        "--account",
        &account,
        "--chain-id",
        "31337",
        "--out",
        file,
    ]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let shown = stage.run(&["request", "show", file]);
    assert!(
        text(&shown.stdout).contains("the request calls"),
        "{}",
        text(&shown.stdout)
    );
    // The token has another symbol.
    let dry = stage.json(
        0,
        &[
            "request",
            "approve",
            file,
            "--dry-run",
            "--deployment",
            "deterministic",
            "--direct",
        ],
    );
    let words = dry["words"].to_string();
    assert!(
        words.contains("100 TUSD") && !words.contains("100 TEST"),
        "{words}"
    );
}
