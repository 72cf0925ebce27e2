//! `deploy` and `doctor`, on a simulated chain behind a socket.

use super::{
    PUBLIC_KEY, command, flat, json_of, run,
    server::{chain, runtime, serve, serve_with},
    text,
};
use serde_json::{Value, json};
use session_key_bindings::{
    ENTRY_POINT, ENTRY_POINT_V07, IEntryPoint, IExecutionModule, IModularAccount, IModularAccountFactory,
    IPlugin, ISessionKeyPlugin,
};
use session_key_client::{
    Deployment, NewSessionKey, OwnerClient, SmartAccount,
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256, address, hex, keccak256},
        rpc::types::TransactionRequest,
        sol_types::SolCall as _,
    },
    deployment::{
        ChainDeployments, Contract, DeploymentParameters, DeploymentPlan, Deterministic, account_init_code,
        account_init_code_hash,
    },
    permissions::Permissions,
    submit::EntryPointSubmitter,
};
use session_key_testkit::{
    DEPLOYMENT_PROXY, Stack, Testkit, V08_ACCOUNT_CODE, dev_accounts, entry_point_codes,
};
use std::{
    fs,
    path::Path,
    process::{Child, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const SEPOLIA: u64 = 11_155_111;

fn statuses(document: &Value) -> Vec<&str> {
    let contracts = document["contracts"].as_array().expect("contracts");
    contracts
        .iter()
        .map(|contract| contract["status"].as_str().expect("a status"))
        .collect()
}

#[test]
fn deploy_sends_only_with_broadcast_and_only_what_is_missing() {
    let testkit = chain(SEPOLIA);
    let url = serve(&testkit, &[]);
    let deploy = ["deploy", "--rpc-url", &url, "--chain-id", "11155111"];

    // Without a key, no funds are checked.
    let output = run(&deploy, None);
    let report = flat(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(report.matches("missing: ").count(), 7, "{report}");
    assert!(report.contains("A dry run: nothing was sent."), "{report}");
    assert_eq!(testkit.chain().block_number(), 0);

    let folder = tempfile::tempdir().expect("a folder");
    let record = folder.path().join("record.json");
    let record = record.to_str().expect("UTF-8");
    let with = |options: &[&str]| run(&[&deploy[..], options].concat(), Some(PUBLIC_KEY));
    let output = with(&["--record", record]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--record needs --broadcast"));

    let output = with(&["--broadcast", "--json", "--record", record]);
    let document = json_of(&output);
    assert_eq!(output.status.code(), Some(0), "{document}");
    assert_eq!(document["ok"], true);
    assert_eq!(document["chainId"], SEPOLIA);
    assert_eq!(statuses(&document), ["missing"; 7]);
    let transactions = document["transactions"]
        .as_object()
        .expect("transactions")
        .clone();
    assert_eq!(transactions.len(), 7);
    for (contract, transaction) in &transactions {
        let hash = serde_json::from_value(transaction["hash"].clone()).expect("a hash");
        let receipt = testkit.chain().receipt(hash).expect("a receipt");
        assert_eq!(json!(receipt.block_number), transaction["block"], "{contract}");
        assert_eq!(json!(receipt.gas_used), transaction["gasUsed"]);
        assert_eq!(transaction.get("failedHash"), Some(&Value::Null));
    }
    let sender = dev_accounts()[0].address;
    assert_eq!(document["deployer"], sender.to_checksum(None));
    assert_eq!(testkit.chain().block_number(), 7);
    for recorded in Deterministic::record().contracts.values() {
        assert!(!testkit.chain().code(recorded.address).is_empty());
    }

    let output = with(&["--broadcast", "--record", record]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("the file already exists"));
    let output = with(&["--broadcast", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(statuses(&json_of(&output)), ["present"; 7]);
    assert_eq!(testkit.chain().block_number(), 7);

    // All members are always present.
    let none = &json_of(&output)["transactions"];
    for contract in Contract::ALL {
        assert_eq!(none.get(contract.name()), Some(&Value::Null));
    }

    // The record contains the inputs of account addresses, the deployer and the method.
    let recorded = fs::read_to_string(record).expect("a record");
    let raw: Value = serde_json::from_str(&recorded).expect("JSON");
    let recorded: ChainDeployments = serde_json::from_str(&recorded).expect("JSON");
    let history = &raw["deployments"][0]["deployed"];
    assert_eq!(history["deployer"], sender.to_checksum(None));
    assert_eq!(
        history["factoryOwner"],
        "0x000000000000000000000000000000000000dEaD"
    );
    for (contract, transaction) in &transactions {
        let created = &history["created"][contract];
        assert_eq!(
            (&created["transaction"], &created["block"]),
            (&transaction["hash"], &transaction["block"])
        );
        let address = &raw["deployments"][0]["contracts"][contract]["address"];
        assert!(
            docs().contains(address.as_str().expect("an address")),
            "{address}: as people read it"
        );
    }
    assert_eq!(history["versions"]["client"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        history["versions"]["solc"],
        json!(Deterministic::record().compiler_version())
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("a folder").count(),
        1,
        "nothing else is left there"
    );
    assert_eq!(
        recorded.deployments[0].deployment(),
        Ok(Deployment::deterministic())
    );
    // `doctor` reads the record, for this chain only.
    let output = run(&["doctor", "--rpc-url", &url, "--deployment", record], None);
    assert_eq!(output.status.code(), Some(0), "{}", flat(&output.stdout));
    let other = serve(&chain(1), &[]);
    let output = run(&["doctor", "--rpc-url", &other, "--deployment", record], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is for chain 11155111, and the node is on chain 1"));
}

#[test]
fn deploy_refuses_before_anything_is_sent() {
    let testkit = chain(SEPOLIA);
    let url = serve(&testkit, &[]);
    let refused = |chain_id: &str, options: &[&str], key: Option<&str>, reason: &str| {
        let deploy = ["deploy", "--rpc-url", &url, "--chain-id", chain_id, "--broadcast"];
        let output = run(&[&deploy[..], options].concat(), key);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(reason), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert_eq!(testkit.chain().block_number(), 0);
    };
    refused("11155111", &[], None, "set SESSION_KEY_FUNDER");
    refused("1", &[], Some(PUBLIC_KEY), "this is chain 11155111, not 1");
    let zero = "0x0000000000000000000000000000000000000000";
    refused(
        "11155111",
        &["--factory-owner", zero],
        Some(PUBLIC_KEY),
        "must not be the zero address",
    );

    let plugin = Deployment::deterministic().session_key_plugin;
    testkit.chain().set_code(plugin, [0x00]).expect("code");
    refused(
        "11155111",
        &[],
        Some(PUBLIC_KEY),
        &format!("SessionKeyPlugin at {plugin} has code with hash"),
    );
    testkit.chain().set_code(plugin, []).expect("no code");

    testkit
        .chain()
        .set_balance(dev_accounts()[0].address, U256::from(7));
    refused("11155111", &[], Some(PUBLIC_KEY), "has 7 wei, and may need ");
    testkit.chain().set_code(DEPLOYMENT_PROXY, []).expect("no code");
    refused("11155111", &[], Some(PUBLIC_KEY), "has no deployment proxy");
}

/// Returns the deployment documentation, which lists the recorded addresses.
fn docs() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deployment.md");
    fs::read_to_string(path).expect("a page")
}

#[test]
fn all_inputs_of_addresses_are_shown_before_sending() {
    let testkit = chain(SEPOLIA);
    let url = serve(&testkit, &[]);
    let salt = format!("0x{}", "5a".repeat(32));
    let owner = dev_accounts()[3].address.to_checksum(None);
    let options = ["--factory-owner", &owner, "--session-key-plugin-salt", &salt];
    let output = run(
        &[
            &["deploy", "--rpc-url", &url, "--chain-id", "11155111"],
            &options[..],
        ]
        .concat(),
        None,
    );
    let report = flat(&output.stdout);
    let parameters = DeploymentParameters {
        factory_owner: dev_accounts()[3].address,
        session_key_plugin_salt: B256::repeat_byte(0x5a),
        ..DeploymentParameters::default()
    };
    assert!(report.contains(&owner), "{report}");
    for planned in plan(&parameters).contracts() {
        let line = format!("{}  salt {}", planned.address, planned.salt);
        assert!(report.contains(&line), "{line}: {report}");
    }
}

fn plan(parameters: &DeploymentParameters) -> DeploymentPlan {
    DeploymentPlan::new(parameters, entry_point_codes()).expect("a plan")
}

/// Returns a chain that lacks some contracts of the default plan.
fn lacking(missing: &[Contract]) -> Testkit {
    let testkit = chain(SEPOLIA);
    for planned in plan(&DeploymentParameters::default()).contracts() {
        if !missing.contains(&planned.contract) {
            let somebody = planned.transaction(dev_accounts()[7].address);
            testkit
                .chain()
                .send(somebody)
                .expect("sent")
                .ok()
                .expect("created");
        }
    }
    testkit
}

/// Starts a deployment that broadcasts and keeps its transactions in a file.
fn deploying(url: &str, state: &Path, key: &str) -> Child {
    let state = state.to_str().expect("UTF-8");
    let arguments = [
        "deploy",
        "--json",
        "--broadcast",
        "--rpc-url",
        url,
        "--chain-id",
        "11155111",
        "--state",
        state,
    ];
    command(&arguments, Some(key))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a deployment that waits for its transaction, and returns that transaction from the state file.
fn killed(testkit: &Testkit, url: &str, state: &Path) -> Value {
    testkit.chain().set_automine(false);
    let mut child = deploying(url, state, PUBLIC_KEY);
    wait_until("a transaction waits", || !testkit.chain().pool().is_empty());
    child.kill().expect("killed");
    let output = child.wait_with_output().expect("it ends");
    let kept: Value = serde_json::from_slice(&fs::read(state).expect("a state file")).expect("JSON");
    let hash = kept["transactions"][0]["hash"].as_str().expect("a hash");
    // The hash was printed before sending, and so before the process was killed.
    assert!(text(&output.stderr).contains(hash), "{}", text(&output.stderr));
    assert_eq!(kept["sender"], dev_accounts()[0].address.to_checksum(None));
    kept["transactions"][0].clone()
}

fn ended(child: Child) -> (Output, Value) {
    let output = child.wait_with_output().expect("it ends");
    let document = json_of(&output);
    (output, document)
}

#[test]
fn an_interrupted_deployment_is_resumed_by_the_next_run() {
    let missing = [Contract::ModularAccount, Contract::ModularAccountFactory];
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state.json");
    for meanwhile in ["it waits", "it was included", "it was dropped"] {
        let testkit = lacking(&missing);
        let url = serve(&testkit, &[]);
        let kept = killed(&testkit, &url, &state);
        let hash: B256 = serde_json::from_value(kept["hash"].clone()).expect("a hash");

        // A dry run reports the transaction and changes nothing.
        let dry = ["deploy", "--rpc-url", &url, "--chain-id", "11155111", "--state"];
        let output = run(
            &[&dry[..], &[state.to_str().expect("UTF-8")]].concat(),
            Some(PUBLIC_KEY),
        );
        let report = flat(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            report.contains(&format!("{hash} (nonce 0) of an earlier run")),
            "{report}"
        );
        assert!(report.contains("1, which --broadcast waits for"), "{report}");
        assert!(state.exists());

        match meanwhile {
            "it was included" => testkit.chain().mine(),
            "it was dropped" => testkit.chain().drop_pooled(hash).expect("dropped"),
            _ => {}
        }
        let child = deploying(&url, &state, PUBLIC_KEY);
        thread::sleep(Duration::from_millis(300));
        testkit.chain().set_automine(true);
        testkit.chain().mine();
        let (output, document) = ended(child);
        assert_eq!(output.status.code(), Some(0), "{document}");
        assert_eq!(
            document["transactions"]["ModularAccount"]["hash"], kept["hash"],
            "{meanwhile}"
        );
        assert!(
            document["transactions"]["ModularAccountFactory"]["hash"].is_string(),
            "{document}"
        );
        assert_eq!(
            testkit.chain().nonce(dev_accounts()[0].address),
            2,
            "{meanwhile}: nothing was sent twice"
        );
        assert!(!state.exists(), "{meanwhile}");
    }
}

#[test]
fn transactions_kept_for_another_deployment_are_not_sent() {
    let testkit = lacking(&[Contract::ModularAccountFactory]);
    let url = serve(&testkit, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state.json");
    let kept = killed(&testkit, &url, &state);
    let hash: B256 = serde_json::from_value(kept["hash"].clone()).expect("a hash");
    testkit.chain().drop_pooled(hash).expect("dropped");
    testkit.chain().set_automine(true);
    let before = testkit.chain().block_number();
    let path = state.to_str().expect("UTF-8");
    let refused = |options: &[&str], key: &str, reason: &str| {
        let deploy = [
            "deploy",
            "--broadcast",
            "--rpc-url",
            &url,
            "--chain-id",
            "11155111",
        ];
        let output = run(&[&deploy[..], &["--state", path], options].concat(), Some(key));
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(reason) && error.contains(path), "{error}");
        assert_eq!(testkit.chain().block_number(), before);
        assert!(state.exists());
    };
    let owner = dev_accounts()[3].address.to_checksum(None);
    refused(
        &["--factory-owner", &owner],
        PUBLIC_KEY,
        "with the parameters given",
    );
    refused(
        &[],
        OTHER_KEY,
        "its transactions are from 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, not 0x7099",
    );
    let content = fs::read_to_string(&state).expect("a file");
    fs::write(&state, content.replace("\"raw\": \"0x02", "\"raw\": \"0x03")).expect("written");
    refused(&[], PUBLIC_KEY, "is not of this deployment: its hash is ");
    fs::write(&state, "{").expect("written");
    refused(&[], PUBLIC_KEY, "EOF while parsing");
}

/// A second public development key.
const OTHER_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

#[test]
fn two_concurrent_deployers_both_succeed() {
    let missing = [
        Contract::SessionKeyPlugin,
        Contract::ModularAccount,
        Contract::ModularAccountFactory,
    ];
    // Two keys; one key and one file; one key and two files, as on two machines.
    for (second_key, second_file) in [(OTHER_KEY, "b"), (PUBLIC_KEY, "a"), (PUBLIC_KEY, "b")] {
        let testkit = lacking(&missing);
        let url = serve(&testkit, &[]);
        let folder = tempfile::tempdir().expect("a folder");
        let both = [
            deploying(&url, &folder.path().join("a"), PUBLIC_KEY),
            deploying(&url, &folder.path().join(second_file), second_key),
        ];
        let documents = both.map(|child| {
            let (output, document) = ended(child);
            assert_eq!(output.status.code(), Some(0), "{document}");
            document
        });
        for contract in missing {
            let mut creators = 0;
            for document in &documents {
                let transaction = &document["transactions"][contract.name()];
                for (member, succeeded) in [("hash", true), ("failedHash", false)] {
                    if let Some(hash) = transaction[member].as_str() {
                        let hash = hash.parse().expect("a hash");
                        let receipt = testkit.chain().receipt(hash).expect("a receipt");
                        assert_eq!(receipt.status(), succeeded, "{transaction}");
                        creators += usize::from(succeeded);
                    }
                }
            }
            assert!(creators >= 1, "{contract}: {documents:?}");
        }
        assert!(!folder.path().join("a").exists() && !folder.path().join("b").exists());
    }
}

#[test]
fn deploy_waits_for_pending_transactions() {
    let testkit = lacking(&[Contract::ModularAccountFactory]);
    let url = serve(&testkit, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    testkit.chain().set_automine(false);
    let other = TransactionRequest::default()
        .from(dev_accounts()[0].address)
        .to(Address::repeat_byte(9));
    let other = runtime().block_on(async {
        use session_key_client::alloy::providers::Provider as _;
        let wallet = testkit.provider_with_signer(dev_accounts()[0].signer());
        *wallet.send_transaction(other).await.expect("sent").tx_hash()
    });
    let child = deploying(&url, &folder.path().join("state.json"), PUBLIC_KEY);
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(testkit.chain().pool().len(), 1, "nothing was sent behind it");
    testkit.chain().set_automine(true);
    testkit.chain().mine();
    let (output, document) = ended(child);
    assert_eq!(output.status.code(), Some(0), "{document}");
    assert!(
        text(&output.stderr).contains("Waits for: 1 of 0xf39F"),
        "{}",
        text(&output.stderr)
    );
    assert!(testkit.chain().receipt(other).is_some());
    assert!(document["transactions"]["ModularAccountFactory"]["hash"].is_string());
}

#[test]
fn unwritable_files_are_refused_before_sending() {
    let testkit = lacking(&[Contract::ModularAccountFactory]);
    let before = testkit.chain().block_number();
    let url = serve(&testkit, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let (a_folder, nowhere) = (folder.path().to_str().expect("UTF-8"), "/dev/null/file.json");
    let missing = folder.path().join("missing/record.json");
    let missing = missing.to_str().expect("UTF-8");
    for (option, path) in [
        ("--record", nowhere),
        ("--record", missing),
        ("--record", a_folder),
        ("--state", nowhere),
        ("--state", a_folder),
    ] {
        let arguments = [
            "deploy",
            "--broadcast",
            "--rpc-url",
            &url,
            "--chain-id",
            "11155111",
            option,
            path,
        ];
        let output = run(&arguments, Some(PUBLIC_KEY));
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(option) && error.contains(path), "{error}");
        assert_eq!(testkit.chain().block_number(), before);
    }
    // A refusal leaves no draft record.
    let record = folder.path().join("record.json");
    let arguments = [
        "deploy",
        "--rpc-url",
        &url,
        "--chain-id",
        "11155111",
        "--record",
        record.to_str().expect("UTF-8"),
    ];
    assert_eq!(run(&arguments, None).status.code(), Some(2));
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn doctor_lists_what_is_missing() {
    let testkit = chain(SEPOLIA);
    let url = serve(&testkit, &[]);
    let output = run(&["doctor", "--rpc-url", &url, "--json"], None);
    let document = json_of(&output);
    assert_eq!(output.status.code(), Some(1));
    // The answer is no, but it is an answer.
    assert_eq!(
        (&document["ok"], &document["error"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(document["deployment"], "canonical");
    let missing = [
        "EntryPoint",
        "MultiOwnerPlugin",
        "SessionKeyPlugin",
        "ModularAccountFactory",
    ];
    assert_eq!(document["missing"], json!(missing));

    // On an unknown chain, this project's contracts are checked.
    let unknown = serve(&chain(31337), &[]);
    let output = run(&["doctor", "--rpc-url", &unknown], None);
    assert_eq!(output.status.code(), Some(1));
    assert!(flat(&output.stdout).contains("The contracts (deterministic)"));
    assert!(flat(&output.stdout).contains("session-key deploy"));

    // A contract with different code.
    let record = Deterministic::record();
    for recorded in record.contracts.values() {
        testkit.chain().set_code(recorded.address, [0x00]).expect("code");
    }
    let output = run(
        &["doctor", "--rpc-url", &url, "--deployment", "deterministic"],
        None,
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(flat(&output.stdout).matches("other code: hash").count(), 7);

    // Contracts that exist but are neither plugins nor factories: the canonical ones have no recorded code.
    let canonical = Deployment::on_chain(SEPOLIA).expect("known");
    for contract in [
        canonical.session_key_plugin,
        canonical.multi_owner_plugin,
        canonical.factory,
    ] {
        testkit.chain().set_code(contract, [0x00]).expect("code");
    }
    let output = run(&["doctor", "--rpc-url", &url], None);
    assert_eq!(output.status.code(), Some(1));
    let report = flat(&output.stdout);
    assert_eq!(
        report.matches("does not return its manifest").count(),
        2,
        "{report}"
    );
    assert_eq!(report.matches("does not return its ").count(), 5, "{report}");
}

/// Records where a stack is, for `doctor`. The testkit's factory has an owner, and so another address than
/// the recorded one.
fn record_of(stack: &Stack, folder: &Path) -> String {
    let mut known = Deterministic::record().known();
    // The stack has no contracts for ERC-6900 v0.8 accounts.
    known
        .contracts
        .retain(|contract, _| *contract <= Contract::ModularAccountFactory);
    known
        .contracts
        .get_mut(&Contract::ModularAccountFactory)
        .expect("a factory")
        .address = stack.account_factory;
    let record = folder.join("31337.json");
    let file = json!({"chainId": 31337, "name": "test", "deployments": [known]});
    std::fs::write(&record, file.to_string()).expect("a file");
    record.to_str().expect("UTF-8").to_owned()
}

#[test]
fn doctor_checks_bundler_and_account() {
    static ENTRY_POINTS: [Address; 1] = [ENTRY_POINT];
    let testkit = Testkit::default();
    let stack = Stack::deploy(&mut testkit.chain()).expect("a stack");
    let deployment = Deployment {
        entry_point: stack.entry_point,
        session_key_plugin: stack.session_key_plugin,
        multi_owner_plugin: stack.multi_owner_plugin,
        factory: stack.account_factory,
        account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let record = &record_of(&stack, folder.path());

    let owner = dev_accounts()[1].signer();
    let account = runtime()
        .block_on(SmartAccount::from_factory(
            testkit.provider(),
            deployment,
            [owner.address()],
            U256::ZERO,
        ))
        .expect("an account");
    let address = account.address().to_string();
    let url = serve(&testkit, &ENTRY_POINTS);
    let doctor = |bundler: &str| {
        let arguments = [
            "doctor",
            "--json",
            "--rpc-url",
            &url,
            "--deployment",
            record,
            "--bundler-url",
            bundler,
            "--account",
            &address,
        ];
        let output = run(&arguments, None);
        let document = json_of(&output);
        let code = if document["missing"] == json!([]) { 0 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{document}");
        assert_eq!(document["ok"], true);
        document
    };

    // The account does not exist yet.
    let document = doctor(&url);
    assert_eq!(document["missing"], json!(["Account"]));
    assert!(document.to_string().contains("only a paymaster can pay"));
    let refuses = |document: &Value| {
        let text = document.to_string();
        text.contains("bundlers that enforce ERC-7562 refuse")
    };
    assert!(!refuses(&document), "the factory has a stake");
    testkit
        .chain()
        .transact(
            dev_accounts()[0].address,
            stack.account_factory,
            &IModularAccountFactory::unlockStakeCall {},
        )
        .expect("unlocked by the factory's owner");
    assert!(refuses(&doctor(&url)));

    // The account exists, without the session key plugin.
    stack
        .create_account(&mut testkit.chain(), U256::ZERO, &[owner.address()])
        .expect("an account");
    testkit
        .chain()
        .set_balance(account.address(), U256::from(10).pow(U256::from(19)));
    assert_eq!(doctor(&url)["missing"], json!(["Session keys"]));

    // The account has the plugin and a key, and the factory's owner has added a stake.
    let bundler = dev_accounts()[0].signer();
    let sender = bundler.address();
    let submitter =
        EntryPointSubmitter::new(testkit.provider_with_signer(bundler), stack.entry_point, sender);
    let key = NewSessionKey::new(
        address!("0x00000000000000000000000000000000000a11ce"),
        &Permissions::new(),
    )
    .expect("a key");
    runtime()
        .block_on(async {
            OwnerClient::new(account, owner, submitter)
                .install_session_key_plugin([key])
                .await
        })
        .expect("the plugin");
    testkit.chain().set_balance(stack.account_factory, U256::from(10));
    let stake = IModularAccountFactory::addStakeCall {
        unstakeDelay: 86_400,
        amount: U256::from(10),
    };
    testkit
        .chain()
        .transact(sender, stack.account_factory, &stake)
        .expect("a stake");
    let document = doctor(&url);
    assert_eq!(document["missing"], json!([]));
    assert!(!document.to_string().contains("\"warning\""), "{document}");

    // A bundler of another chain, one with other EntryPoints, and none.
    let elsewhere = serve(&chain(1), &ENTRY_POINTS);
    assert_eq!(doctor(&elsewhere)["missing"], json!(["Bundler"]));
    let other = serve(&testkit, &[]);
    assert_eq!(doctor(&other)["missing"], json!(["Bundler's EntryPoints"]));
    assert_eq!(doctor("http://127.0.0.1:1")["missing"], json!(["Bundler"]));

    // The parts of their URLs that may hold an API key are not printed.
    for bundler in [&url, &elsewhere, "http://127.0.0.1:1"] {
        let document = doctor(&format!("{bundler}/v2/s3cr3t?apikey=s3cr3t")).to_string();
        assert!(!document.contains("s3cr3t"), "{document}");
        assert!(document.contains(bundler), "{document}");
    }
}

#[test]
fn doctor_fails_if_it_cannot_check() {
    let url = serve(&chain(SEPOLIA), &[]);
    let refused = |options: &[&str], reason: &str| {
        let output = run(&[&["doctor"], options].concat(), None);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    };
    refused(&["--rpc-url", "http://127.0.0.1:1"], "no Ethereum node answers");
    refused(
        &["--rpc-url", &url, "--chain-id", "1"],
        "this is chain 11155111, not 1",
    );
    refused(
        &["--rpc-url", &url, "--deployment", "nowhere"],
        "no deployment of that name is known",
    );
    refused(
        &["--rpc-url", &url, "--deployment", "Cargo.toml"],
        "--deployment Cargo.toml: expected",
    );
    refused(
        &["--rpc-url", &url, "--bundler-url", "localhost"],
        "--bundler-url: not a URL",
    );
}

/// A node that refuses to answer says nothing about the contracts.
#[test]
fn a_rate_limit_is_not_reported_as_a_missing_contract() {
    const LIMIT: &str = "daily request count exceeded, request rate limited";
    let testkit = Testkit::default();
    let stack = Stack::deploy(&mut testkit.chain()).expect("a stack");
    let folder = tempfile::tempdir().expect("a folder");
    let record = &record_of(&stack, folder.path());
    let owner = dev_accounts()[1].address;
    let account = stack
        .create_account(&mut testkit.chain(), U256::ZERO, &[owner])
        .expect("an account")
        .to_string();
    let doctor = |url: &str| {
        let chain = ["doctor", "--rpc-url", url, "--deployment", record];
        run(&[&chain[..], &["--account", &account]].concat(), None)
    };
    assert_eq!(
        doctor(&serve(&testkit, &[])).status.code(),
        Some(1),
        "the session key plugin is not installed"
    );
    for selector in [
        &IPlugin::pluginManifestCall::SELECTOR,
        &IModularAccountFactory::IMPLCall::SELECTOR,
        &IEntryPoint::getDepositInfoCall::SELECTOR,
        &IModularAccount::entryPointCall::SELECTOR,
        &IModularAccount::getInstalledPluginsCall::SELECTOR,
        &IEntryPoint::balanceOfCall::SELECTOR,
    ] {
        let selector = hex::encode_prefixed(selector);
        let limited = move |body: &str| body.contains(&selector).then_some(LIMIT);
        let output = doctor(&serve_with(&testkit, &[], limited));
        let (report, error) = (flat(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{report}{error}");
        assert!(error.contains(LIMIT), "{error}");
        assert!(!report.contains("does not return"), "{report}");
        assert!(!report.contains("only a paymaster"), "{report}");
    }

    // A contract that reverts cannot answer.
    let refuser = |selector: &'static [u8]| {
        let selector = hex::encode_prefixed(selector);
        move |body: &str| body.contains(&selector).then_some("execution reverted")
    };
    let url = serve_with(&testkit, &[], refuser(&IEntryPoint::balanceOfCall::SELECTOR));
    let output = doctor(&url);
    assert_eq!(output.status.code(), Some(1));
    assert!(flat(&output.stdout).contains("deposit for gas unknown"));
    let url = serve_with(&testkit, &[], refuser(&IPlugin::pluginManifestCall::SELECTOR));
    let output = doctor(&url);
    assert_eq!(output.status.code(), Some(1));
    let report = flat(&output.stdout);
    assert_eq!(
        report.matches("does not return its manifest").count(),
        2,
        "{report}"
    );
}

session_key_client::alloy::sol! {
    struct Function {
        bytes4 selector;
        bool skipRuntimeValidation;
        bool allowGlobalValidation;
    }

    struct Hook {
        bytes4 selector;
        uint32 entityId;
        bool isPreHook;
        bool isPostHook;
    }

    struct Manifest {
        Function[] functions;
        Hook[] hooks;
        bytes4[] interfaceIds;
    }

    interface IAccountV08 {
        function installValidation(bytes25 config, bytes4[] selectors, bytes data, bytes[] hooks) external;
        function installExecution(address module, Manifest manifest, bytes data) external;
    }
}

/// Returns a chain with EntryPoint v0.7, the module, and an ERC-6900 v0.8 account.
fn chain_for_modules(account: Address) -> (Testkit, Address) {
    let testkit = chain(SEPOLIA);
    let plan = plan(&DeploymentParameters::default());
    let mut chain = testkit.chain();
    let mut module = Address::ZERO;
    for planned in plan.contracts() {
        if planned.contract > Contract::ModularAccountFactory {
            let sent = chain.send(planned.transaction(dev_accounts()[7].address));
            sent.expect("sent").ok().expect("created");
            module = planned.address;
        }
    }
    let deployer = dev_accounts()[7].address;
    let implementation = chain
        .deploy(deployer, V08_ACCOUNT_CODE.bytes())
        .expect("an implementation");
    // The proxy's runtime code follows the constructor.
    let code = account_init_code(implementation)[34..].to_vec();
    chain.set_code(account, code).expect("a proxy");
    let slot = keccak256("eip1967.proxy.implementation");
    chain.set_storage(
        account,
        U256::from_be_bytes(slot.0) - U256::from(1),
        U256::from_be_bytes(implementation.into_word().0),
    );
    drop(chain);
    (testkit, module)
}

#[test]
fn doctor_lists_problems_of_the_module_installation() {
    let account = Address::repeat_byte(0xac);
    let (testkit, module) = chain_for_modules(account);
    static SERVED: [Address; 1] = [ENTRY_POINT_V07];
    let url = serve(&testkit, &SERVED);
    let text_of_account = account.to_string();
    let arguments = [
        "doctor",
        "--rpc-url",
        &url,
        "--bundler-url",
        &url,
        "--account",
        &text_of_account,
    ];
    let doctor = || {
        let output = run(&[&arguments[..], &["--json"]].concat(), None);
        let document = json_of(&output);
        let findings = document["moduleAccount"]["findings"]
            .as_array()
            .expect("findings");
        let codes: Vec<_> = findings
            .iter()
            .map(|finding| finding["code"].as_str().expect("a code").to_owned())
            .collect();
        let is_good = document["moduleAccount"]["isGood"] == true;
        assert_eq!(output.status.code(), Some(i32::from(!is_good)), "{document}");
        let mut labels = codes.clone();
        labels.dedup();
        assert_eq!(document["missing"], json!(labels));
        (document, codes)
    };
    let install = |entity_id: u32, flags: u8, selectors: &[Selector]| {
        let mut config = [flags; 25];
        config[..20].copy_from_slice(module.as_slice());
        config[20..24].copy_from_slice(&entity_id.to_be_bytes());
        let call = IAccountV08::installValidationCall {
            config: config.into(),
            selectors: selectors.to_vec(),
            data: Bytes::new(),
            hooks: vec![],
        };
        let sent = testkit.chain().transact(account, account, &call);
        sent.expect("installed");
    };
    let selector = |signature: &str| Selector::from_slice(&keccak256(signature)[..4]);
    let uses = ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR.into();

    let (document, codes) = doctor();
    assert_eq!(codes, ["not-installed"]);
    assert_eq!(
        document["moduleAccount"]["accountId"],
        "session-keys.test-account.1.0.0"
    );
    assert_eq!(document["moduleAccount"]["entityId"], Value::Null);

    // The validation, with excessive flags.
    install(7, 7, &[uses]);
    let missing = ["function-missing"; 5];
    let (_, codes) = doctor();
    assert_eq!(codes[..5], missing);
    assert_eq!(
        codes[5..],
        ["validation-is-global", "validation-signs", "direct-call-missing"]
    );

    // Everything else is correct.
    let answer = testkit
        .chain()
        .read(account, module, &IExecutionModule::executionManifestCall {})
        .expect("a manifest");
    let functions = answer.executionFunctions.iter();
    let manifest = Manifest {
        functions: functions
            .map(|function| Function {
                selector: function.executionSelector,
                skipRuntimeValidation: function.skipRuntimeValidation,
                allowGlobalValidation: function.allowGlobalValidation,
            })
            .collect(),
        hooks: vec![],
        interfaceIds: vec![],
    };
    let call = IAccountV08::installExecutionCall {
        module,
        manifest,
        data: Bytes::new(),
    };
    let sent = testkit.chain().transact(account, account, &call);
    sent.expect("installed");
    let execute = selector("execute(address,uint256,bytes)");
    let batch = selector("executeBatch((address,uint256,bytes)[])");
    install(u32::MAX, 0, &[execute, batch]);
    let (_, codes) = doctor();
    assert_eq!(codes, ["validation-is-global", "validation-signs"]);
    // The latest installation's flags apply.
    install(7, 1, &[]);
    let (document, codes) = doctor();
    assert!(codes.is_empty());
    assert_eq!(document["moduleAccount"]["entityId"], 7);

    // The readable report says what to do, and checks only the contracts that the module needs.
    install(7, 3, &[]);
    let output = run(&arguments, None);
    assert_eq!(output.status.code(), Some(1));
    let report = flat(&output.stdout);
    for words in [
        "validation-signs",
        "uninstall it with empty data and install it with flags 0x01",
        "(ERC-6900 v0.8)",
        "EntryPointV07",
        "(SessionKeyModule)",
        "a proxy to",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(!report.contains("MultiOwnerPlugin"), "{report}");

    // A bundler of the other EntryPoint.
    static ENTRY_POINTS: [Address; 1] = [ENTRY_POINT];
    let other = serve(&testkit, &ENTRY_POINTS);
    let output = run(
        &[
            "doctor",
            "--rpc-url",
            &url,
            "--bundler-url",
            &other,
            "--account",
            &text_of_account,
        ],
        None,
    );
    assert!(flat(&output.stdout).contains(&format!("{ENTRY_POINT_V07} is not among them")));
}

/// The generation of an account without code is unknown.
#[test]
fn doctor_does_not_take_an_account_without_code_for_one_of_the_other_generation() {
    let (testkit, _) = chain_for_modules(Address::repeat_byte(0xac));
    let nobody = Address::repeat_byte(0xad).to_string();
    static SERVED: [Address; 1] = [ENTRY_POINT_V07];
    let url = serve(&testkit, &SERVED);
    let doctor = |more: &[&str]| {
        let arguments = [
            "doctor",
            "--rpc-url",
            &url,
            "--bundler-url",
            &url,
            "--deployment",
            "deterministic",
            "--account",
            &nobody,
        ];
        let output = run(&[&arguments[..], more].concat(), None);
        assert_eq!(output.status.code(), Some(1));
        flat(&output.stdout)
    };
    let report = doctor(&[]);
    assert!(report.contains("its kind is not known"), "{report}");
    assert!(report.contains("SessionKeyModule") && report.contains("MultiOwnerPlugin"));
    assert!(
        report.contains(&format!("{ENTRY_POINT_V07} is one of them")),
        "{report}"
    );
    // Only accounts with modules have entity ids.
    let report = doctor(&["--entity-id", "7"]);
    assert!(report.contains("SessionKeyModule") && !report.contains("MultiOwnerPlugin"));
}
