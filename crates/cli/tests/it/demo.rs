//! `demo`, in-process and on a node: the loan is always returned.

use super::{
    PUBLIC_KEY, command, flat, json_of, refused, run,
    server::{chain, result, serve, serve_with, server},
    text,
};
use serde_json::{Value, json};
use session_key_bindings::{ENTRY_POINT, IEntryPoint, ISessionKeyPlugin};
use session_key_client::alloy::{
    eips::BlockId,
    primitives::{Address, U256, hex},
    sol_types::SolCall,
};
use session_key_testkit::{DEPLOYMENT_PROXY, Stack, TestToken, Testkit, dev_accounts};
use std::{
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const CHAIN: u64 = 31337;

/// Another public development key, which owns nothing here.
const OTHER_KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

const fn funder() -> Address {
    dev_accounts()[0].address
}

/// Returns the arguments of a demonstration on a node.
fn on<'a>(url: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    [&["demo", "--rpc-url", url, "--chain-id", "31337"], options].concat()
}

fn wei(document: &Value, member: &str) -> U256 {
    let text = document[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member}: {document}"));
    text.parse().expect("a number")
}

fn account_of(document: &Value) -> Address {
    document["account"]
        .as_str()
        .expect("an account")
        .parse()
        .expect("an address")
}

/// Returns an account's balance and deposit.
fn holdings(testkit: &Testkit, account: Address) -> (U256, U256) {
    let chain = testkit.chain();
    let deposit = chain.read(
        Address::ZERO,
        ENTRY_POINT,
        &IEntryPoint::balanceOfCall { account },
    );
    (chain.balance(account), deposit.expect("an EntryPoint"))
}

/// Sums the fees of all transactions from a block on, which must all be the funder's.
fn fees_after(testkit: &Testkit, block: u64) -> U256 {
    let chain = testkit.chain();
    let mut fees = U256::ZERO;
    for number in block + 1..=chain.block_number() {
        let block = chain.block_at(BlockId::number(number)).expect("a block");
        for hash in block.transactions.hashes() {
            let receipt = chain.receipt(hash).expect("a receipt");
            assert_eq!(receipt.from, funder());
            assert!(receipt.status());
            fees += U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        }
    }
    fees
}

/// Returns what the funder has lost.
fn lost(testkit: &Testkit, before: U256) -> U256 {
    before - testkit.chain().balance(funder())
}

fn refusals(document: &Value) -> Vec<(&str, &str)> {
    let sections = document["sections"].as_array().expect("sections");
    let lines = sections
        .iter()
        .flat_map(|section| section["lines"].as_array().expect("lines"));
    lines
        .filter(|line| line["kind"] == "refused")
        .map(|line| {
            let field = |name| line["violation"][name].as_str().expect("a text");
            (field("phase"), field("code"))
        })
        .collect()
}

#[test]
fn the_demo_runs_in_process_and_is_plain_when_piped() {
    let output = run(&["demo"], None);
    let report = flat(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    assert!(!report.contains('\x1b'), "no colours in a pipe");
    assert!(
        report.trim_end().ends_with("Everything went as expected."),
        "{report}"
    );
    assert!(report.contains("simulated in this process"), "{report}");
    assert_eq!(report.matches("would pass").count(), 3, "{report}");
    assert_eq!(report.matches("refused in validation").count(), 6, "{report}");
    assert_eq!(report.matches("refused in execution").count(), 1, "{report}");
    assert_eq!(report.matches("the chain: ").count(), 7, "{report}");
}

#[test]
fn the_demo_prints_one_json_document() {
    let output = run(&["demo", "--json"], None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document = json_of(&output);
    assert_eq!(document["ok"], true);
    assert_eq!(document["error"], Value::Null);
    assert_eq!(document["chainId"], CHAIN);
    assert_eq!(
        refusals(&document),
        [
            ("execution", "erc20_limit_exceeded"),
            ("validation", "contract_not_on_allowlist"),
            ("validation", "function_not_on_allowlist"),
            ("validation", "native_limit_exceeded"),
            ("validation", "expired"),
            ("validation", "key_not_registered"),
            ("validation", "key_not_registered"),
        ]
    );
}

/// The funder loses exactly the fees, and recipients get only test tokens, also on a second run on the same
/// chain.
#[test]
fn on_a_node_the_demo_costs_only_fees() {
    let testkit = chain(CHAIN);
    let url = serve(&testkit, &[]);
    let mut accounts = Vec::new();
    let mut spent = Vec::new();
    for _ in 0..2 {
        let before = testkit.chain().balance(funder());
        let block = testkit.chain().block_number();
        let output = run(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY));
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(0), "{document}");
        assert_eq!(refusals(&document).len(), 7);

        let lost = lost(&testkit, before);
        assert_eq!(lost, fees_after(&testkit, block));
        assert_eq!(lost, wei(&document, "spentWei"));
        assert!(lost <= wei(&document, "maxFeesWei"), "{document}");
        let lent = wei(&document, "lentWei");
        let given_back = wei(&document, "givenBackWei");
        assert!(
            given_back <= lent && given_back > lent / U256::from(2),
            "{document}"
        );

        let account = account_of(&document);
        assert_eq!(holdings(&testkit, account), (U256::ZERO, U256::ZERO));
        let (stack, _) = Stack::plan(funder());
        let tokens = testkit
            .chain()
            .read(Address::ZERO, stack.token, &TestToken::balanceOfCall { account });
        assert_eq!(tokens.expect("a token"), U256::ZERO);
        // The way to recover the loan was printed, in case the process is killed.
        let hint = format!("--give-back {account}");
        assert!(text(&output.stderr).contains(&hint), "{}", text(&output.stderr));
        accounts.push(account);
        spent.push(lost);
    }
    assert_ne!(accounts[0], accounts[1]);
    assert!(
        spent[1] < spent[0] / U256::from(2),
        "the contracts are deployed once: {spent:?}"
    );

    // The contracts are those that the other commands use.
    let output = run(
        &["doctor", "--rpc-url", &url, "--account", &accounts[0].to_string()],
        None,
    );
    assert_eq!(output.status.code(), Some(0), "{}", flat(&output.stdout));
    let deploy = ["deploy", "--rpc-url", &url, "--chain-id", "31337", "--json"];
    let document = json_of(&run(&deploy, None));
    let contracts = document["contracts"].as_array().expect("contracts");
    let missing: Vec<&Value> = contracts
        .iter()
        .filter(|contract| contract["status"] == "missing")
        .map(|contract| &contract["name"])
        .collect();
    // The demo does not deploy contracts for other kinds of accounts.
    assert_eq!(missing, ["EntryPointV07", "SessionKeyModule"]);
}

#[test]
fn the_demo_uses_existing_contracts() {
    let testkit = chain(CHAIN);
    let url = serve(&testkit, &[]);
    let deploy = ["deploy", "--rpc-url", &url, "--chain-id", "31337", "--broadcast"];
    let output = run(&deploy, Some(PUBLIC_KEY));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = run(&on(&url, &["--yes"]), Some(PUBLIC_KEY));
    let report = flat(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}{}", text(&output.stderr));
    assert_eq!(report.matches("exists already").count(), 5, "{report}");
    assert!(report.contains("session-key doctor --rpc-url … --deployment deterministic"));
}

#[test]
fn nothing_is_sent_without_consent() {
    for (chain_id, reason) in [
        (CHAIN, "there is no terminal to ask on"),
        (7, "is not a known test chain"),
    ] {
        let testkit = chain(chain_id);
        let url = serve(&testkit, &[]);
        let id = chain_id.to_string();
        let arguments = ["demo", "--rpc-url", &url, "--chain-id", &id];
        refused(&arguments, Some(PUBLIC_KEY), reason);
        let output = run(&arguments, Some(PUBLIC_KEY));
        assert!(
            flat(&output.stdout).contains("at most"),
            "{}",
            flat(&output.stdout)
        );
        assert_eq!(testkit.chain().block_number(), 0);
    }
}

#[test]
fn a_wrong_chain_is_refused_first() {
    let url = server(|request| {
        assert!(request.contains("eth_chainId"), "{request}");
        result(request, &json!("0x1"))
    });
    refused(
        &on(&url, &["--yes"]),
        Some(PUBLIC_KEY),
        "this is chain 1, not 31337",
    );
}

#[test]
fn an_unfunded_key_is_refused() {
    let testkit = chain(CHAIN);
    let url = serve(&testkit, &[]);
    testkit.chain().set_balance(funder(), U256::from(7));
    refused(
        &on(&url, &["--yes"]),
        Some(PUBLIC_KEY),
        "has 0.000000000000000007 ETH on chain 31337, and the demonstration may need 0.",
    );
    assert_eq!(testkit.chain().block_number(), 0);
}

#[test]
fn absurd_prices_are_refused_with_both_numbers() {
    let testkit = chain(CHAIN);
    let url = serve(&testkit, &[]);
    testkit.chain().set_next_base_fee(100_000_000_000_000);
    testkit.chain().mine();
    let arguments = on(&url, &["--yes"]);
    refused(
        &arguments,
        Some(PUBLIC_KEY),
        "more than --max-cost allows: the deployment costs too much: ",
    );
    refused(
        &arguments,
        Some(PUBLIC_KEY),
        "at most 500000000000000000 is allowed",
    );
    let arguments = on(&url, &["--yes", "--max-cost", "1 gwei"]);
    refused(&arguments, Some(PUBLIC_KEY), "at most 1000000000 is allowed");
    assert_eq!(testkit.chain().block_number(), 1);
}

/// Serves a chain that refuses requests containing one of these selectors, except contract creations.
fn refusing(testkit: &Testkit, selectors: &[[u8; 4]]) -> String {
    let selectors: Vec<_> = selectors.iter().map(hex::encode).collect();
    let proxy = hex::encode(DEPLOYMENT_PROXY);
    serve_with(testkit, &[], move |body| {
        let is_refused = selectors.iter().any(|selector| body.contains(selector)) && !body.contains(&proxy);
        is_refused.then_some("the test says no")
    })
}

const UPDATE: [u8; 4] = ISessionKeyPlugin::updateKeyPermissionsCall::SELECTOR;
const WITHDRAW: [u8; 4] = IEntryPoint::withdrawToCall::SELECTOR;

/// Returns a failed demonstration's report, and what is left in its account.
fn failed(testkit: &Testkit, output: &Output, code: i32) -> (Value, (U256, U256)) {
    let document = json_of(output);
    assert_eq!(output.status.code(), Some(code), "{document}");
    assert_eq!(document["ok"], false);
    let left = holdings(testkit, account_of(&document));
    (document, left)
}

#[test]
fn the_loan_is_returned_if_a_step_fails() {
    let testkit = chain(CHAIN);
    let url = refusing(&testkit, &[UPDATE]);
    let before = testkit.chain().balance(funder());
    let output = run(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY));
    let (document, left) = failed(&testkit, &output, 1);
    let message = document["error"]["message"].as_str().expect("a text");
    assert!(message.contains("the test says no"), "{message}");
    assert_eq!(left, (U256::ZERO, U256::ZERO));
    let lost = lost(&testkit, before);
    assert_eq!(lost, fees_after(&testkit, 0));
}

#[test]
fn a_loan_that_cannot_be_returned_is_named_and_recoverable() {
    let testkit = chain(CHAIN);
    let url = refusing(&testkit, &[UPDATE, WITHDRAW]);
    let before = testkit.chain().balance(funder());
    let output = run(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY));
    let (document, left) = failed(&testkit, &output, 1);
    assert!(left.0 > U256::ZERO && left.1 > U256::ZERO);
    assert_eq!(document["givenBackWei"], Value::Null);
    let account = account_of(&document).to_string();
    let message = document["error"]["message"].as_str().expect("a text");
    assert!(
        message.contains(&format!("account {account} still has 0.002 ETH")),
        "{message}"
    );
    let way = format!("session-key demo --rpc-url … --chain-id 31337 --give-back {account} --yes");
    assert!(message.contains(&way), "{message}");
    assert!(!message.contains(PUBLIC_KEY));

    let url = serve(&testkit, &[]);
    let give_back = on(&url, &["--give-back", &account, "--json", "--yes"]);
    refused(
        &on(&url, &["--give-back", &account]),
        Some(PUBLIC_KEY),
        "there is no terminal to ask on",
    );
    refused(
        &on(&url, &["--give-back", &account, "--yes"]),
        Some(OTHER_KEY),
        "does not own account",
    );
    let nobody = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    refused(
        &on(&url, &["--give-back", nobody, "--yes"]),
        Some(PUBLIC_KEY),
        "there is no account",
    );
    for given_back in [left.0 + left.1, U256::ZERO] {
        let output = run(&give_back, Some(PUBLIC_KEY));
        let document = json_of(&output);
        assert_eq!(output.status.code(), Some(0), "{document}");
        assert_eq!(wei(&document, "givenBackWei"), given_back);
    }
    let account = account.parse().expect("an address");
    assert_eq!(holdings(&testkit, account), (U256::ZERO, U256::ZERO));
    let lost = lost(&testkit, before);
    assert_eq!(lost, fees_after(&testkit, 0));
}

#[test]
fn a_node_that_raises_its_prices_gets_no_more_than_announced() {
    let testkit = chain(CHAIN);
    let before = testkit.chain().balance(funder());
    let node = testkit.clone();
    let url = serve_with(&testkit, &[], move |_| {
        let mut chain = node.chain();
        // Five contracts, the token and the account.
        if chain.block_number() == 7 {
            chain.set_next_base_fee(2_000_000_000_000);
        }
        None
    });
    let output = run(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY));
    let (document, left) = failed(&testkit, &output, 1);
    let message = document["error"]["message"].as_str().expect("a text");
    assert!(
        message.contains("depositing for gas") && message.contains("not signed: the transaction may cost"),
        "{message}"
    );
    assert_eq!(left, (U256::ZERO, U256::ZERO));
    let lost = lost(&testkit, before);
    assert_eq!(lost, fees_after(&testkit, 0));
    assert!(lost <= wei(&document, "maxFeesWei"));
}

/// If sending a transaction ends in an error, it may still be pending: the exit code differs.
#[test]
fn a_transaction_that_may_have_been_sent_has_its_own_exit_code() {
    let testkit = chain(CHAIN);
    let sends = std::sync::atomic::AtomicUsize::new(0);
    let url = serve_with(&testkit, &[], move |body| {
        let is_sent = body.contains("eth_sendRawTransaction");
        (is_sent && sends.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 6).then_some("internal error")
    });
    let output = run(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY));
    let document = json_of(&output);
    assert_eq!(output.status.code(), Some(3), "{document}");
    assert_eq!(document["error"]["code"], "no_answer");
    let message = document["error"]["message"].as_str().expect("a text");
    assert!(
        message.contains("creating the account: transaction 0x") && message.contains(" may have been sent"),
        "{message}"
    );
}

#[test]
#[cfg(unix)]
fn the_loan_is_returned_after_an_interruption() {
    let testkit = chain(CHAIN);
    let url = serve(&testkit, &[]);
    let before = testkit.chain().balance(funder());
    let demo = command(&on(&url, &["--yes", "--json"]), Some(PUBLIC_KEY))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // Five contracts and a token, then the account, its deposit and its balance.
    let patience = Instant::now() + Duration::from_secs(120);
    while testkit.chain().block_number() < 9 {
        assert!(Instant::now() < patience, "nothing happens");
        thread::sleep(Duration::from_millis(5));
    }
    let signal = Command::new("kill")
        .args(["-INT", &demo.id().to_string()])
        .status();
    assert!(signal.expect("a signal").success());
    let output = demo.wait_with_output().expect("it ends");
    let (document, left) = failed(&testkit, &output, 3);
    assert_eq!(document["error"]["code"], "interrupted");
    assert!(wei(&document, "givenBackWei") > U256::ZERO);
    assert_eq!(left, (U256::ZERO, U256::ZERO));
    let lost = lost(&testkit, before);
    assert_eq!(lost, fees_after(&testkit, 0));
}
