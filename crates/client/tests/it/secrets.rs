//! Secrets are nowhere to be seen: not in `Debug`, not in errors, not in panics, not in what is traced.

use crate::{
    fixture::{Fixture, RECIPIENT},
    own_process,
};
use session_key_client::{
    Call, Deployment, NewSessionKey, OwnerClient, SessionKeyClient, SessionKeySigner, SmartAccount,
    UserOperation,
    alloy::{
        hex,
        primitives::{Address, B256, U256, keccak256},
        providers::{Provider as _, ProviderBuilder},
        signers::{Signer as _, local::PrivateKeySigner},
    },
    deployment::{Deployer, DeploymentParameters, DeploymentPlan},
    explain::explain,
    permissions::Permissions,
    signer::{EnvironmentStorage, KeyError, KeyStorage as _, KeystoreFile, MemoryStorage, PrivateKey},
    submit::EntryPointSubmitter,
};
use session_key_testkit::entry_point_codes;
use std::{
    error::Error,
    fmt::Debug,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

const VARIABLE: &str = "SESSION_KEY_CLIENT_TEST_KEY";
const PASSWORD: &str = "correct-horse-battery-staple";

fn secret(name: &str) -> PrivateKey {
    PrivateKey::from_bytes(&keccak256(name)).unwrap()
}

/// Every way in which a key's bytes may be printed: hexadecimal digits in either case, and a list of numbers.
fn assert_absent(text: &str, keys: &[&PrivateKey]) {
    let lower = text.to_lowercase();
    assert!(!text.contains(PASSWORD), "the password is in: {text}");
    for key in keys {
        let bytes = key.expose_secret();
        // A part of it is a leak, too.
        for part in hex::encode(bytes).as_bytes().chunks(16) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!lower.contains(part), "{part} is in: {text}");
        }
        for part in bytes.chunks(6) {
            let numbers = part.iter().map(u8::to_string).collect::<Vec<_>>();
            assert!(!text.contains(&numbers.join(", ")), "{numbers:?} is in: {text}");
        }
    }
}

fn debug(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

#[tokio::test]
async fn nothing_that_holds_a_secret_prints_it() {
    let (owner_key, session_key, sender_key) = (secret("owner"), secret("session"), secret("sender"));
    let keys = [&owner_key, &session_key, &sender_key];
    let copy = |key: &PrivateKey| PrivateKey::from_bytes(key.expose_secret()).unwrap();
    let alloy = |key: &PrivateKey| PrivateKeySigner::from_slice(key.expose_secret()).unwrap();
    let fixture = Fixture::new().await;

    let sender = alloy(&sender_key);
    let from = sender.address();
    let wallet = fixture.testkit.provider_with_signer(sender);
    let submitter = EntryPointSubmitter::new(wallet, fixture.stack.entry_point, from);
    let memory = MemoryStorage::new(copy(&session_key));
    let file = KeystoreFile::new("agent.json", PASSWORD);
    let printed = [
        debug(&session_key),
        debug(&memory),
        debug(&file),
        debug(&submitter),
    ];
    let signer = SessionKeySigner::open(memory).unwrap();
    let mut printed = printed.join("\n") + &debug(&signer);
    let owner = OwnerClient::new(fixture.account.clone(), alloy(&owner_key), submitter);
    let agent = SessionKeyClient::shared(
        fixture.account.clone(),
        Arc::new(signer),
        fixture.submitter.clone(),
    );
    printed += &debug(&owner);
    printed += &debug(&agent);
    printed += &debug(&agent.execute([Call::transfer(RECIPIENT, U256::ONE)]));
    printed += &debug(&fixture.account);
    // The test sees what it looks at.
    for name in [
        "PrivateKey",
        "MemoryStorage",
        "agent.json",
        "SessionKeySigner",
        "Client {",
        "Operation {",
    ] {
        assert!(printed.contains(name), "{name}");
    }
    assert_absent(&printed, &keys);

    // A panic prints no more than `Debug` does.
    let panic = catch_unwind(AssertUnwindSafe(|| {
        panic!("{:?} {:?} {:?}", session_key, agent, file)
    }))
    .unwrap_err();
    assert_absent(panic.downcast_ref::<String>().unwrap(), &keys);
}

#[test]
fn no_error_quotes_a_secret() {
    let key = secret("typo");
    let digits = hex::encode(key.expose_secret());
    for typo in [
        format!("{digits}0"),
        digits[1..].to_owned(),
        digits.replacen(|c: char| c.is_ascii_digit(), "x", 1),
    ] {
        let error = PrivateKey::from_hex(&typo).unwrap_err();
        assert_absent(&format!("{error} {error:?}"), &[&key]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for contents in [
        digits.clone(),
        format!("\"{digits}\""),
        format!("{{\"version\": \"{digits}\"}}"),
    ] {
        std::fs::write(&path, contents).unwrap();
        let error = SessionKeySigner::load(KeystoreFile::new(&path, PASSWORD)).unwrap_err();
        assert!(matches!(error, KeyError::NotAKeystore { .. }));
        assert_absent(&format!("{error} {error:?}"), &[&key]);
    }
    std::fs::remove_file(&path).unwrap();
    let error = SessionKeySigner::load(KeystoreFile::new(&path, PASSWORD)).unwrap_err();
    assert_absent(&format!("{error} {error:?}"), &[&key]);
    KeystoreFile::new(&path, "another password").store(&key).unwrap();
    let error = SessionKeySigner::load(KeystoreFile::new(&path, PASSWORD)).unwrap_err();
    assert!(matches!(error, KeyError::WrongPassword(_)));
    assert_absent(&format!("{error} {error:?}"), &[&key]);
}

/// All that can be printed of an error and of what caused it.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let mut printed = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        printed += &format!("{error} {error:#} {error:?} {error:#?}\n");
        next = error.source();
    }
    printed
}

// The transport prints its URL in every error.
#[tokio::test]
async fn no_error_shows_the_secrets_of_a_url() {
    // Nobody listens there.
    let url = "http://us3r:pa55w0rd@127.0.0.1:1/v2/s3cr3tpath?key=s3cr3tkey";
    let node = ProviderBuilder::new().connect_http(url.parse().unwrap());
    let raw = node.get_chain_id().await.unwrap_err();
    assert!(
        format!("{raw:?}").contains("s3cr3tpath"),
        "the test sees what it looks at: {raw:?}"
    );

    let (deployment, owner) = (Deployment::deterministic(), Address::repeat_byte(1));
    let account = SmartAccount::new(node.clone(), 1, RECIPIENT, deployment);
    let plan = DeploymentPlan::new(&DeploymentParameters::default(), entry_point_codes()).unwrap();
    let deployer = Deployer::new(node.clone(), 1, plan);
    let errors: [Box<dyn Error>; 8] = [
        account.owners().await.unwrap_err().into(),
        account.balance().await.unwrap_err().into(),
        account.is_deployed().await.unwrap_err().into(),
        account.check_chain().await.unwrap_err().into(),
        SmartAccount::connect(node.clone(), RECIPIENT)
            .await
            .unwrap_err()
            .into(),
        SmartAccount::from_factory(node.clone(), deployment, [owner], U256::ZERO)
            .await
            .unwrap_err()
            .into(),
        explain(&account, &UserOperation::default(), owner)
            .await
            .unwrap_err()
            .into(),
        deployer.survey(None).await.unwrap_err().into(),
    ];
    let mut printed: String = errors.iter().map(|error| all_of(error.as_ref())).collect();
    assert!(printed.contains("127.0.0.1:1"), "{printed}");
    printed += &debug(&account);
    printed += &debug(&deployer);
    for secret in ["s3cr3t", "pa55w0rd", "us3r"] {
        assert!(!printed.contains(secret), "{secret} is in: {printed}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn no_secret_is_traced() {
    own_process::run("secrets::no_secret_is_traced_in_this_process");
}

#[tokio::test]
#[ignore = "run by no_secret_is_traced, in a process of its own"]
async fn no_secret_is_traced_in_this_process() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let tracing = tracing::subscriber::set_default(subscriber);

    let folder = tempfile::tempdir().unwrap();
    let file = KeystoreFile::new(folder.path().join("agent.json"), PASSWORD);
    let signer = SessionKeySigner::open(file.clone()).unwrap();
    let key = file.load().unwrap().unwrap();
    let owner_key = secret("owner");
    let fixture = Fixture::owned_by(PrivateKeySigner::from_slice(owner_key.expose_secret()).unwrap()).await;
    let permissions = Permissions::new().contract(RECIPIENT);
    let new = NewSessionKey::new(signer.address(), &permissions).unwrap();
    fixture.owner.install_session_key_plugin([new]).await.unwrap();
    fixture.owner.sign_message("hello").await.unwrap();
    let agent = SessionKeyClient::shared(
        fixture.account.clone(),
        Arc::new(signer),
        fixture.submitter.clone(),
    );
    let allowed = agent.execute([Call::transfer(RECIPIENT, U256::ZERO)]);
    allowed.await.unwrap();
    let refused = agent.execute([Call::transfer(RECIPIENT, U256::ONE)]);
    refused.await.unwrap_err();
    SessionKeySigner::load(file).unwrap().regenerate().unwrap();
    drop(tracing);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // Everything was traced: this crate's spans, and the requests with their parameters.
    assert!(
        log.contains("session_key_client::operation") && log.contains("eth_sendRawTransaction"),
        "{log}"
    );
    assert_absent(&log, &[&key, &owner_key]);
}

#[test]
fn a_key_comes_from_the_environment() {
    let key = secret("environment");
    let digits = hex::encode(key.expose_secret());
    // The environment of this process is not to be changed while other tests run.
    let run =
        |value: &str| own_process::output("secrets::the_key_in_the_environment", Some((VARIABLE, value)));
    let address = PrivateKeySigner::from_slice(key.expose_secret())
        .unwrap()
        .address();
    for value in [digits.clone(), format!("0x{digits}"), format!("{digits}\n")] {
        let printed = run(&value);
        assert!(
            printed.contains(&format!("the address is {address}")),
            "{printed}"
        );
        assert_absent(&printed, &[&key]);
    }
    let printed = run(&digits[1..]);
    assert!(printed.contains("not a valid private key"), "{printed}");
    assert_absent(&printed, &[&key]);
}

#[tokio::test]
#[ignore = "run by a_key_comes_from_the_environment, with the variable set"]
async fn the_key_in_the_environment() {
    let storage = EnvironmentStorage::new(VARIABLE);
    println!("{storage:?}");
    match SessionKeySigner::load(storage) {
        Ok(mut signer) => {
            let hash = B256::repeat_byte(1);
            let signature = signer.sign_hash(&hash).await.unwrap();
            println!(
                "the address is {}",
                signature.recover_address_from_prehash(&hash).unwrap()
            );
            // There is nowhere to put another one.
            println!("{:?}", signer.regenerate().unwrap_err());
        }
        Err(error) => panic!("{error} {error:?}"),
    }
}
