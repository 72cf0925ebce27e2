//! The commands on an ERC-6900 v0.8 account, which they detect themselves.

use super::{command, json_of, text};
use serde_json::{Value, json};
use session_key_client::{
    Call, SessionKeyClient, SessionKeySigner, SmartAccount,
    account::ConnectOptions,
    alloy::{
        hex,
        primitives::{Address, U256},
        signers::local::PrivateKeySigner,
    },
    permissions::erc20,
    signer::KeystoreFile,
    submit::EntryPointSubmitter,
    v08::known,
};
use session_key_testkit::{Bundler, BundlerOptions, Chain, Server, StackV08, Testkit, dev_accounts};
use std::{fs, path::PathBuf, process::Stdio, thread, time::Duration};
use tempfile::TempDir;

const SHOP: Address = Address::repeat_byte(0x5a);
const PASSWORD: &str = "a password of more than twenty letters";

/// A chain with the v0.8 contracts, and stand-ins for the deployed factory and semi-modular account.
pub(super) struct Stage {
    pub(super) testkit: Testkit,
    pub(super) stack: StackV08,
    pub(super) node: Server,
    bundler: Server,
    pub(super) owner: PrivateKeySigner,
    folder: TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        let mut chain = Chain::default();
        let stack = StackV08::deploy(&mut chain).expect("the contracts");
        stand_in(&mut chain, &stack);
        let testkit = Testkit::from(chain);
        let node = testkit.serve().expect("a server");
        let pool: Bundler = testkit.bundler(BundlerOptions::default());
        let bundler = pool.transport().serve().expect("a server");
        thread::spawn(move || {
            loop {
                let _ = pool.bundle_now();
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            testkit,
            stack,
            node,
            bundler,
            owner: dev_accounts()[1].signer(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command with `--json`, and checks its exit code.
    #[track_caller]
    pub(super) fn json(&self, exit: i32, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--json", "--rpc-url", self.node.url()]);
        let secret = format!("0x{}", hex::encode(self.owner.to_bytes()));
        let output = command(&all, None)
            .current_dir(self.folder.path())
            .env("SESSION_KEY_OWNER", secret)
            .env("SESSION_KEY_PASSWORD", PASSWORD)
            .env("SESSION_KEY_KEYSTORE", self.path("keys"))
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        super::output::check(&all, &output);
        json_of(&output)
    }

    fn policy(&self, name: &str, limit: &str) -> String {
        let token = self.stack.token;
        let policy = format!(
            "tag = \"weekly buy\"\n\n[tokens.TEST]\naddress = \"{token}\"\ndecimals = 6\n\n[[allow]]\ncontract = \"TEST\"\n\
             functions = [\"transfer(address,uint256)\"]\n\n[limits]\ngas = \"0.5 ETH per 7 days\"\ntokens = [\"{limit}\"]\n"
        );
        let path = self.path(name);
        fs::write(&path, policy).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    async fn agent(&self, account: &str, key: &str) -> SessionKeyClient {
        let file = KeystoreFile::new(self.path("keys").join(format!("{key}.json")), PASSWORD);
        let signer = SessionKeySigner::load(file).expect("a key");
        let address = account.parse().expect("an address");
        let account = SmartAccount::connect_with(&ConnectOptions::new(), self.testkit.provider(), address)
            .await
            .expect("an account");
        let bundler = dev_accounts()[2].signer();
        let from = bundler.address();
        let provider = self.testkit.provider_with_signer(bundler);
        SessionKeyClient::new(
            account,
            signer,
            EntryPointSubmitter::new(provider, self.stack.entry_point, from),
        )
    }
}

/// Puts the tests' factory and accounts at the deployed addresses.
fn stand_in(chain: &mut Chain, stack: &StackV08) {
    let mut factory = hex::encode(chain.code(stack.account_factory));
    for (own, known) in [
        (stack.account_implementation, known::MODULAR_ACCOUNT),
        (stack.semi_modular_implementation, known::SEMI_MODULAR_ACCOUNT),
        (stack.single_signer_module, known::SINGLE_SIGNER_VALIDATION_MODULE),
    ] {
        assert!(factory.contains(&hex::encode(own)), "an immutable of the factory");
        factory = factory.replace(&hex::encode(own), &hex::encode(known));
        let code = chain.code(own);
        chain.set_code(known, code).expect("code");
    }
    let delegate = chain.code(stack.delegate);
    chain
        .set_code(known::SEMI_MODULAR_ACCOUNT_7702_V1_1, delegate)
        .expect("code");
    let factory = hex::decode(factory).expect("hex");
    chain.set_code(known::FACTORY, factory).expect("code");
}

/// Runs a key's whole life, through a bundler or directly.
fn life(direct: bool) {
    let stage = Stage::new();
    let owner = stage.owner.address().to_string();
    let address = [
        "account",
        "address",
        "--owner",
        &owner,
        "--chain-id",
        "31337",
        "--semi-modular",
    ];
    let address = super::run(&address, None);
    let account = text(&address.stdout).trim().to_owned();
    {
        let mut chain = stage.testkit.chain();
        let at: Address = account.parse().expect("an address");
        chain.set_balance(at, U256::from(10u64.pow(18)));
        stage
            .stack
            .mint(&mut chain, at, U256::from(1_000_000_000))
            .expect("tokens");
    }
    let way: Vec<&str> = if direct {
        vec!["--direct"]
    } else {
        vec!["--bundler-url", stage.bundler.url()]
    };
    let policy = stage.policy("weekly.toml", "100 TEST per 7 days");
    let write = |exit: i32, arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(&way);
        all.extend(["--yes", "--account", &account]);
        stage.json(exit, &all)
    };
    let read = |exit: i32, arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--account", &account]);
        stage.json(exit, &all)
    };
    // Creates the account, installs the module and creates the key, in one step.
    let granted = write(0, &["grant", &policy, "--owner", &owner, "--semi-modular"]);
    let key = granted["sessionKey"].as_str().expect("a key").to_owned();
    assert_eq!(granted["account"], account.as_str());

    let inspected = read(0, &["inspect"]);
    assert_eq!(inspected["complete"], true);
    assert_eq!(inspected["keys"][0]["address"], key.as_str());
    assert_eq!(read(0, &["plan", &key, &policy, "--check"])["changes"], json!([]));
    let token = stage.stack.token;
    let pay = |amount: u64| format!("{token}:transfer(address,uint256):{SHOP},{amount}");
    assert_eq!(
        read(0, &["check", &key, "--call", &pay(60_000_000)])["verdict"],
        "accepted"
    );
    read(1, &["check", &key, "--call", &pay(100_000_001)]);

    let runtime = super::server::runtime();
    let used = runtime.block_on(async {
        let agent = stage.agent(&account, &key).await;
        let call = Call::new(token, erc20::transfer(SHOP, U256::from(60_000_000)));
        agent.execute([call]).await.expect("the key is good").receipt
    });
    let explained = read(0, &["explain", &used.user_op_hash.to_string()]);
    assert_eq!(explained["operations"][0]["outcome"], "succeeded", "{explained}");
    let budget = read(0, &["budget", &key]);
    assert!(budget.to_string().contains("40000000"), "{budget}");

    let wider = stage.policy("wider.toml", "200 TEST per 7 days");
    write(0, &["apply", &key, &wider, "--limits", "keep"]);
    assert_eq!(read(0, &["plan", &key, &wider, "--check"])["changes"], json!([]));
    // A second key needs no other installation.
    let second = write(0, &["grant", &policy, "--tag", "second"]);
    let second = second["sessionKey"].as_str().expect("a key").to_owned();
    let rotated = write(0, &["rotate", &second]);
    let third = rotated["sessionKey"].as_str().expect("a key").to_owned();
    write(0, &["revoke", &key, &third]);
    assert_eq!(read(0, &["inspect"])["keys"], json!([]));
    let doctor = read(0, &["doctor"]);
    assert_eq!(doctor["moduleAccount"]["findings"], json!([]), "{doctor}");
}

#[test]
fn a_keys_life_on_a_v08_account_through_a_bundler() {
    life(false);
}

#[test]
fn a_keys_life_on_a_v08_account_by_plain_transactions() {
    life(true);
}

/// An EOA becomes the account with its first operation, which the bundler takes with the authorization.
#[test]
fn a_grant_makes_an_eoa_the_account() {
    let stage = Stage::new();
    let owner = stage.owner.address();
    let account = owner.to_string();
    let address = super::run(
        &[
            "account",
            "address",
            "--owner",
            &account,
            "--chain-id",
            "31337",
            "--eip7702",
        ],
        None,
    );
    assert_eq!(text(&address.stdout).trim(), account);
    stage
        .testkit
        .chain()
        .set_balance(owner, U256::from(10u64.pow(18)));
    let policy = stage.policy("weekly.toml", "100 TEST per 7 days");
    let url = stage.bundler.url();
    // Only an operation brings the authorization along.
    stage.json(2, &["account", "new", "--eip7702", "--yes"]);
    stage.json(2, &["grant", &policy, "--eip7702", "--yes", "--direct"]);
    assert!(stage.testkit.chain().code(owner).is_empty());
    let dry = stage.json(
        0,
        &["grant", &policy, "--eip7702", "--dry-run", "--bundler-url", url],
    );
    assert_eq!(dry["account"], account.as_str());
    let granted = stage.json(0, &["grant", &policy, "--eip7702", "--yes", "--bundler-url", url]);
    assert_eq!(granted["account"], account.as_str());
    let key = granted["sessionKey"].as_str().expect("a key").to_owned();
    let delegate = known::SEMI_MODULAR_ACCOUNT_7702_V1_1;
    let code = session_key_client::delegation::delegation_code(delegate);
    assert_eq!(stage.testkit.chain().code(owner), code);
    let inspected = stage.json(0, &["inspect", "--account", &account]);
    assert_eq!(inspected["keys"][0]["address"], key.as_str());
    // An account that is given, but is another one, is not granted on in silence.
    let other = stage
        .stack
        .create_semi_modular_account(&mut stage.testkit.chain(), dev_accounts()[5].address, U256::ZERO)
        .expect("an account")
        .to_string();
    let refused = stage.json(
        2,
        &[
            "grant",
            &policy,
            "--eip7702",
            "--yes",
            "--bundler-url",
            url,
            "--account",
            &other,
        ],
    );
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(message.contains("--eip7702 means the account"), "{message}");
    // It is an account like any other from now on.
    stage.json(
        0,
        &[
            "revoke",
            &key,
            "--account",
            &account,
            "--yes",
            "--bundler-url",
            url,
        ],
    );
}

#[test]
fn a_deferred_grant_is_installed_by_the_keys_first_operation() {
    let stage = Stage::new();
    let owner = stage.owner.address().to_string();
    let policy = stage.policy("weekly.toml", "100 TEST per 7 days");
    let deferred = ["--deferred", "grant.json", "--deadline", "2030-01-01T00:00:00Z"];
    let mut arguments = vec!["grant", &policy, "--owner", &owner, "--semi-modular", "--yes"];
    arguments.extend(deferred);
    let dry: Vec<&str> = arguments.iter().copied().filter(|it| *it != "--yes").collect();
    stage.json(0, &[&dry[..], &["--dry-run"]].concat());
    assert!(!stage.path("grant.json").exists() && !stage.path("keys").exists());
    let granted = stage.json(0, &arguments);
    let key = granted["sessionKey"].as_str().expect("a key").to_owned();
    let account = granted["account"].as_str().expect("an address").to_owned();
    assert_eq!(granted["userOpHash"], Value::Null);
    // The grant in the file can still be used: it is not replaced.
    let refused = stage.json(2, &arguments);
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(message.contains("grant.json exists already"), "{message}");
    let at: Address = account.parse().expect("an address");
    {
        let mut chain = stage.testkit.chain();
        assert!(chain.code(at).is_empty(), "nothing is sent");
        chain.set_balance(at, U256::from(10u64.pow(18)));
        stage
            .stack
            .mint(&mut chain, at, U256::from(1_000_000_000))
            .expect("tokens");
    }
    let written = fs::read_to_string(stage.path("grant.json")).expect("a file");
    let grant: session_key_client::v08::DeferredGrant = serde_json::from_str(&written).expect("a grant");
    let runtime = super::server::runtime();
    runtime.block_on(async {
        let signer = SessionKeySigner::load(KeystoreFile::new(
            stage.path("keys").join(format!("{key}.json")),
            PASSWORD,
        ))
        .expect("a key");
        let deployment = session_key_client::Deployment::for_v08_accounts();
        let validations = session_key_client::account::Validations::default();
        let provider = stage.testkit.provider();
        let account = SmartAccount::new_v08(provider, 31_337, at, deployment, validations);
        let bundler = dev_accounts()[2].signer();
        let from = bundler.address();
        let provider = stage.testkit.provider_with_signer(bundler);
        let submitter = EntryPointSubmitter::new(provider, stage.stack.entry_point, from);
        let agent = SessionKeyClient::new(account, signer, submitter);
        let pay = Call::new(stage.stack.token, erc20::transfer(SHOP, U256::from(60_000_000)));
        agent
            .execute_first(grant, [pay])
            .expect("a grant for it")
            .await
            .expect("it is good");
    });
    // The lock file has what was granted: there is nothing to change.
    let planned = stage.json(0, &["plan", &key, &policy, "--check", "--account", &account]);
    assert_eq!(planned["changes"], json!([]));

    // It was used: there is nothing to end.
    let end = [
        "revoke",
        "--deferred",
        "grant.json",
        "--account",
        &account,
        "--yes",
    ];
    let end = [&end[..], &["--bundler-url", stage.bundler.url()]].concat();
    let used = stage.json(1, &end);
    assert_eq!(
        (&used["endedGrantTo"], &used["userOpHash"]),
        (&json!(key), &Value::Null)
    );

    // An unused one is ended, once.
    let unused = [
        "grant",
        &policy,
        "--account",
        &account,
        "--yes",
        "--deferred",
        "unused.json",
    ];
    let unused = stage.json(
        0,
        &[&unused[..], &["--deadline", "2030-01-01T00:00:00Z"]].concat(),
    );
    let end = ["revoke", "--deferred", "unused.json", "--account", &account];
    let dry = stage.json(0, &[&end[..], &["--dry-run"]].concat());
    assert_eq!(dry["simulation"]["verdict"], "wouldSucceed");
    let yes = [&end[..], &["--yes", "--bundler-url", stage.bundler.url()]].concat();
    let ended = stage.json(0, &yes);
    assert_eq!(ended["endedGrantTo"], unused["sessionKey"]);
    assert!(ended["userOpHash"].is_string(), "{ended}");
    let written = fs::read_to_string(stage.path("unused.json")).expect("a file");
    let grant: session_key_client::v08::DeferredGrant = serde_json::from_str(&written).expect("a grant");
    runtime.block_on(async {
        let options = ConnectOptions::new();
        let account = SmartAccount::connect_with(&options, stage.testkit.provider(), at).await;
        let next = account.expect("an account").nonce(grant.nonce_key()).await;
        assert_eq!(next.expect("a nonce"), grant.action.nonce + U256::ONE);
    });
    assert_eq!(
        stage.json(0, &[&yes[..], &["--again"]].concat())["userOpHash"],
        Value::Null
    );
    stage.json(
        2,
        &[&["revoke", "--deferred", "weekly.toml"][..], &yes[3..]].concat(),
    );

    // A grant that cannot be deferred is refused before a key is created.
    let keys = fs::read_dir(stage.path("keys")).expect("a folder").count();
    arguments.push("--direct");
    stage.json(2, &arguments);
    let over = [
        "grant",
        &policy,
        "--account",
        &account,
        "--yes",
        "--deferred",
        "late.json",
    ];
    let over = [&over[..], &["--deadline", "2020-01-01T00:00:00Z"]].concat();
    stage.json(2, &over);
    assert!(!stage.path("late.json").exists());
    assert_eq!(fs::read_dir(stage.path("keys")).expect("a folder").count(), keys);
}
