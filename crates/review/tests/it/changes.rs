//! Revoking, changing and approving, with a wallet that is this test.

use crate::{Answer, World, attribute, with_key};
use serde_json::{Value, json};
use session_key_client::{
    SessionKeySigner,
    alloy::{
        primitives::{Address, B256, Bytes, keccak256},
        providers::Provider as _,
        rpc::types::TransactionRequest,
    },
    key_request::KeyRequest,
    permissions::policy::{Facts, LockedGrant, Policy, PolicyFormat},
};
use session_key_devnet::{Kind, WithKey, testkit::dev_accounts};
use session_key_review::{Application, Approval, Review};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

impl World {
    /// Asks for the transaction that a page shows.
    async fn asked(&self, page: &Answer, owner: Address) -> Answer {
        assert_eq!(page.status, 200, "{}", page.body);
        let wish: Value = serde_json::from_str(&attribute(&page.body, "data-wish")).unwrap();
        let shown = attribute(&page.body, "data-shown");
        let body = json!({ "wish": wish, "owner": owner, "shown": shown });
        self.post("/transactions", &body).await
    }

    /// Signs and sends it, as a wallet does.
    async fn sent(&self, made: &Value) -> B256 {
        let chain = self.with.devnet.testkit();
        let provider = chain.provider_with_signer(self.with.owner_account.signer());
        let text = |member: &str| made[member].as_str().unwrap().to_owned();
        let request = TransactionRequest::default()
            .from(text("from").parse().unwrap())
            .to(text("to").parse().unwrap())
            .input(text("data").parse::<Bytes>().unwrap().into());
        *provider.send_transaction(request).await.unwrap().tx_hash()
    }

    /// Carries out what a page shows; returns the page of the transaction.
    async fn carried_out(&self, path: &str) -> Answer {
        let page = self.page(path).await;
        let made = self.asked(&page, self.with.owner_account.address).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let made = made.json();
        let id = made["id"].as_str().unwrap();
        let own = format!("/transactions/{id}");
        let before = self.page(&own).await;
        assert_eq!(attribute(&before.body, "data-code"), "wallet");
        let hash = self.sent(&made).await;
        assert_eq!(self.post(&own, &json!({ "hash": hash })).await.status, 200);
        let state = self.page(&format!("{own}/state")).await.json();
        assert_eq!(state["state"], "done", "{state}");
        self.page(&own).await
    }
}

#[tokio::test]
async fn keys_are_revoked_on_accounts_of_both_generations() {
    for kind in [Kind::V07, Kind::V08] {
        let with = with_key(kind).await;
        let review = Review::new(with.account.clone());
        let world = World::with(with, review).await;
        let key = world.with.session_key.address;
        let start = world.page("/").await.body;
        for part in ["can be used now", "100 TUSD left of 100 TUSD", "Good to know"] {
            assert!(start.contains(part), "{kind:?} {part}: {start}");
        }
        assert!(start.contains(&world.with.owner_account.address.to_string()));
        let done = world.carried_out(&format!("/revoke?key={key}")).await.body;
        assert!(done.contains("can do nothing for this account"), "{done}");
        assert!(!world.with.account.is_session_key(key).await.unwrap());
        assert_eq!(world.page(&format!("/revoke?key={key}")).await.status, 409);
    }
}

#[tokio::test]
async fn a_key_is_narrowed_to_a_policy() {
    let with = with_key(Kind::V07).await;
    let token = with.devnet.stack().token;
    let policy = format!(
        "[tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[[allow]]\ncontract = \"TUSD\"\nfunctions = [\"transfer(address,uint256)\"]\n\
         [limits]\nnative = \"0 ETH\"\ngas = \"0.1 ETH per 1 day\"\ntokens = [\"40 TUSD per 1 day\"]\n"
    );
    let application = Application {
        key: with.session_key.address,
        name: "narrow.toml".to_owned(),
        policy: Policy::parse(&policy, PolicyFormat::Toml).unwrap(),
        facts: Facts::new(),
        limits: None,
    };
    let review = Review::new(with.account.clone()).offer(application);
    let world = World::with(with, review).await;
    let page = world.page("/offers/0").await;
    assert!(
        page.body.contains("100 TUSD every day → 40 TUSD every day"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Nothing here lets the key do more"));
    let done = world.carried_out("/offers/0").await.body;
    assert!(done.contains("40 TUSD left of 40 TUSD"), "{done}");
    assert!(world.page("/offers/0").await.body.contains("Nothing to change"));
    // No transaction is made for it, whoever asks.
    let wish = json!({ "act": "offer", "index": 0, "limits": "keep", "at": null });
    let shown = keccak256("[]");
    let owner = world.with.owner_account.address;
    let asked = json!({ "wish": wish, "owner": owner, "shown": shown });
    let refused = world.post("/transactions", &asked).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("There is nothing to change"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn a_request_is_approved() {
    let with = with_key(Kind::V07).await;
    let token = with.devnet.stack().token;
    let need = format!(
        "tag = \"shop\"\nvalid_for = \"30 days\"\n[[allow]]\ncontract = \"{token}\"\nfunctions = [\"transfer(address,uint256)\"]\n\
         [tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[limits]\ngas = \"0.1 ETH per 1 day\"\ntokens = [\"5 TUSD per 1 day\"]\n"
    );
    let signer = SessionKeySigner::random();
    let now = with.devnet.testkit().chain().timestamp();
    let account = with.account.address();
    let request = KeyRequest::new(
        &signer,
        with.account.chain_id(),
        account,
        need,
        PolicyFormat::Toml,
        KeyRequest::expiry(now),
    );
    let approval = Approval {
        request: request.await.unwrap(),
        narrower: None,
        facts: Facts::new(),
    };
    let review = Review::new(with.account.clone()).offer(approval);
    let world = World::with(with, review).await;
    let page = world.page("/offers/0").await;
    assert!(page.body.contains("May spend at most 5 TUSD"), "{}", page.body);
    world.carried_out("/offers/0").await;
    assert!(world.with.account.is_session_key(signer.address()).await.unwrap());
    assert_eq!(world.page("/offers/0").await.status, 409, "it is a key already");
}

// The change that was looked at last is not always the one that is included.
#[tokio::test]
async fn an_approval_keeps_the_facts_of_the_grant_that_is_included() {
    let with = with_key(Kind::V07).await;
    let token = with.devnet.stack().token;
    let policy = |days: u64, tokens: u64| {
        format!(
            "valid_for = \"{days} days\"\n[[allow]]\ncontract = \"{token}\"\nfunctions = [\"transfer(address,uint256)\"]\n\
             [tokens.TUSD]\naddress = \"{token}\"\n[limits]\ngas = \"0.1 ETH per 1 day\"\ntokens = [\"{tokens} TUSD per 1 day\"]\n"
        )
    };
    let signer = SessionKeySigner::random();
    let now = with.devnet.testkit().chain().timestamp();
    let request = KeyRequest::new(
        &signer,
        with.account.chain_id(),
        with.account.address(),
        policy(30, 5),
        PolicyFormat::Toml,
        KeyRequest::expiry(now),
    );
    let narrower = Policy::parse(&policy(10, 2), PolicyFormat::Toml).unwrap();
    let approval = Approval {
        request: request.await.unwrap(),
        narrower: Some(("narrower.toml".to_owned(), narrower)),
        facts: Facts::new().decimals(token, 6),
    };
    let kept = Arc::new(Mutex::new(Vec::<(usize, LockedGrant)>::new()));
    let is_full = Arc::new(AtomicBool::new(true));
    let keep = {
        let (kept, is_full) = (kept.clone(), is_full.clone());
        move |index: usize, grant: &LockedGrant| {
            if is_full.load(Ordering::SeqCst) {
                return Err("the disk is full".into());
            }
            kept.lock().unwrap().push((index, grant.clone()));
            Ok(())
        }
    };
    let review = Review::new(with.account.clone())
        .offer(approval)
        .keep_grants(keep);
    let world = World::with(with, review).await;
    let owner = world.with.owner_account.address;
    let page = world.page("/offers/0").await;
    let refused = world.asked(&page, owner).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    for part in ["the disk is full", "not given to the wallet"] {
        assert!(refused.body.contains(part), "{part}: {}", refused.body);
    }
    is_full.store(false, Ordering::SeqCst);
    let first = world.asked(&page, owner).await.json();
    {
        let mut chain = world.with.devnet.testkit().chain();
        chain.increase_time(600);
        chain.mine();
    }
    let later = world.page("/offers/0").await;
    assert_eq!(world.asked(&later, owner).await.status, 200);
    // The wallet sends the first one.
    let hash = world.sent(&first).await;
    let own = format!("/transactions/{}", first["id"].as_str().unwrap());
    assert_eq!(world.post(&own, &json!({ "hash": hash })).await.status, 200);
    let done = world.page(&own).await;
    assert_eq!(attribute(&done.body, "data-code"), "done");
    let kept = kept.lock().unwrap().clone();
    let times: Vec<u64> = kept.iter().map(|(_, grant)| grant.granted_at).collect();
    let [at, later, included] = times[..] else {
        panic!("{kept:?}");
    };
    assert!(later >= at + 600 && included == at, "{times:?}");
    let mut expected = LockedGrant::new(
        world.with.account.chain_id(),
        world.with.account.address(),
        signer.address(),
        at,
    );
    expected.valid_until = at + 10 * 86_400;
    expected.decimals.insert(token, 6);
    assert_eq!(kept.last(), Some(&(0, expected)));
    let range = world.with.account.time_range(signer.address()).await.unwrap();
    assert_eq!(range.valid_until, at + 10 * 86_400);
}

/// A policy for transfers of the test token, with these lines before it.
fn spends(with: &WithKey, lines: &str, tokens: u64) -> String {
    let token = with.devnet.stack().token;
    format!(
        "{lines}\n[[allow]]\ncontract = \"{token}\"\nfunctions = [\"transfer(address,uint256)\"]\n\
         [tokens.TUSD]\naddress = \"{token}\"\ndecimals = 6\n[limits]\ngas = \"0.1 ETH per 1 day\"\ntokens = [\"{tokens} TUSD per 1 day\"]\n"
    )
}

fn narrower(text: &str) -> Option<(String, Policy)> {
    let policy = Policy::parse(text, PolicyFormat::Toml).unwrap();
    Some(("narrower.toml".to_owned(), policy))
}

// The command checks a request when it starts; the page serves it for hours.
#[tokio::test]
async fn a_request_is_refused_if_it_is_not_for_this_account_or_changed_or_over() {
    let with = with_key(Kind::V07).await;
    let signer = SessionKeySigner::random();
    let now = with.devnet.testkit().chain().timestamp();
    let (chain_id, account) = (with.account.chain_id(), with.account.address());
    let need = spends(&with, "", 5);
    let past = spends(&with, "valid_until = \"1999-01-01T00:00:00Z\"", 5);
    let made = async |chain_id, account, need: &str, expires_at| {
        let format = PolicyFormat::Toml;
        let request = KeyRequest::new(&signer, chain_id, account, need, format, expires_at);
        request.await.unwrap()
    };
    let good = made(chain_id, account, &need, now + 100).await;
    let changed = good.to_json().replace("5 TUSD", "9 TUSD");
    let changed = KeyRequest::from_json(&changed).unwrap();
    let stranger = Address::repeat_byte(7);
    let offered = [
        (good.clone(), None, ""),
        (
            made(chain_id, stranger, &need, now + 100).await,
            None,
            "is for account",
        ),
        (
            made(chain_id + 1, account, &need, now + 100).await,
            None,
            "is for chain",
        ),
        (changed, None, "was changed after it was signed"),
        (
            made(chain_id, account, &past, now + 100).await,
            None,
            "has passed",
        ),
        (
            good.clone(),
            narrower(&spends(&with, "", 6)),
            "narrower.toml allows more than the request asks for",
        ),
        (good, narrower(&spends(&with, "", 4)), ""),
    ];
    let mut review = Review::new(with.account.clone());
    for (request, narrower, _) in &offered {
        review = review.offer(Approval {
            request: request.clone(),
            narrower: narrower.clone(),
            facts: Facts::new(),
        });
    }
    let world = World::with(with, review).await;
    let owner = world.with.owner_account.address;
    for (index, (_, _, refusal)) in offered.iter().enumerate() {
        let page = world.page(&format!("/offers/{index}")).await;
        let status = if refusal.is_empty() { 200 } else { 409 };
        assert_eq!(page.status, status, "{index}: {}", page.body);
        assert!(page.body.contains(refusal), "{refusal}: {}", page.body);
    }
    let good = world.page("/offers/0").await;
    {
        let mut chain = world.with.devnet.testkit().chain();
        chain.increase_time(101);
        chain.mine();
    }
    for expired in [world.page("/offers/0").await, world.asked(&good, owner).await] {
        assert_eq!(expired.status, 409, "{}", expired.body);
        assert!(
            expired.body.contains("the request was valid until 20"),
            "{}",
            expired.body
        );
    }
}

#[tokio::test]
async fn a_change_is_given_to_the_wallet_within_an_hour_after_it_was_shown() {
    let with = with_key(Kind::V07).await;
    let application = Application {
        key: with.session_key.address,
        name: "narrow.toml".to_owned(),
        policy: Policy::parse(&spends(&with, "", 40), PolicyFormat::Toml).unwrap(),
        facts: Facts::new(),
        limits: None,
    };
    let review = Review::new(with.account.clone()).offer(application);
    let world = World::with(with, review).await;
    let owner = world.with.owner_account.address;
    let page = world.page("/offers/0").await;
    let wish: Value = serde_json::from_str(&attribute(&page.body, "data-wish")).unwrap();
    let at = wish["at"].as_u64().unwrap();
    let asked = async |at: u64| {
        let mut wish = wish.clone();
        wish["at"] = at.into();
        let shown = attribute(&page.body, "data-shown");
        world
            .post(
                "/transactions",
                &json!({ "wish": wish, "owner": owner, "shown": shown }),
            )
            .await
    };
    let pass = |seconds| {
        let mut chain = world.with.devnet.testkit().chain();
        let next = chain.timestamp() + seconds;
        chain.mine_at(next).unwrap();
    };
    assert_eq!(asked(at + 1).await.status, 409, "it was not shown yet");
    pass(3_600);
    assert_eq!(asked(at).await.status, 200);
    pass(1);
    let refused = asked(at).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("too long ago"), "{}", refused.body);
}

// A plan for permissions that are not fully known would leave some of them in place unseen.
#[tokio::test]
async fn a_key_that_is_not_fully_known_is_not_changed() {
    let with = with_key(Kind::V07).await;
    let key = with.session_key.address;
    let application = Application {
        key,
        name: "narrow.toml".to_owned(),
        policy: Policy::parse(&spends(&with, "", 40), PolicyFormat::Toml).unwrap(),
        facts: Facts::new(),
        limits: None,
    };
    let head = {
        let mut chain = with.devnet.testkit().chain();
        chain.mine();
        chain.block_number()
    };
    let review = Review::new(with.account.clone())
        .from_block(head)
        .offer(application);
    let world = World::with(with, review).await;
    let start = world.page("/").await.body;
    assert!(
        start.contains("Not everything about this key is known"),
        "{start}"
    );
    let page = world.page("/offers/0").await;
    assert_eq!(page.status, 409, "{}", page.body);
    assert!(page.body.contains("are not fully known"), "{}", page.body);
    // Taking it away needs no more than its address.
    assert_eq!(world.page(&format!("/revoke?key={key}")).await.status, 200);
}

#[tokio::test]
async fn what_would_fail_is_not_given_to_the_wallet() {
    let world = World::new().await;
    let key = world.with.session_key.address;
    let page = world.page(&format!("/revoke?key={key}")).await;
    let owner = world.with.owner_account.address;
    let removes = world.asked(&page, owner).await.json();
    let data: Bytes = removes["data"].as_str().unwrap().parse().unwrap();
    {
        // Another function in its place.
        let plugin = world.with.account.deployment().session_key_plugin;
        let mut chain = world.with.devnet.testkit().chain();
        let mut code = chain.code(plugin).to_vec();
        let at = code.windows(4).position(|found| found == &data[..4]).unwrap();
        code[at] ^= 1;
        chain.set_code(plugin, code).unwrap();
    }
    let refused = world.asked(&page, owner).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(
        refused
            .body
            .contains("It would fail, so it was not given to the wallet"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn only_what_was_shown_is_given_to_the_wallet_and_only_an_owners() {
    let world = World::new().await;
    let key = world.with.session_key.address;
    let page = world.page(&format!("/revoke?key={key}")).await;
    let stranger = dev_accounts()[5].address;
    let refused = world.asked(&page, stranger).await;
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("does not own this account"),
        "{}",
        refused.body
    );
    let wish: Value = serde_json::from_str(&attribute(&page.body, "data-wish")).unwrap();
    let body = json!({ "wish": wish, "owner": world.with.owner_account.address, "shown": B256::ZERO });
    let refused = world.post("/transactions", &body).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("load the page again"), "{}", refused.body);
    // A page lists no more keys than one transaction takes, and none that the account does not have.
    for (count, refusal) in [
        (101, "at most 100 keys"),
        (100, "is not a session key of this account"),
    ] {
        let keys: Vec<Address> = (1..=count).map(Address::with_last_byte).collect();
        let wish = json!({ "act": "revoke", "keys": keys });
        let body = json!({ "wish": wish, "owner": world.with.owner_account.address, "shown": B256::ZERO });
        let refused = world.post("/transactions", &body).await;
        assert_eq!(refused.status, 409);
        assert!(refused.body.contains(refusal), "{}", refused.body);
    }
    // The transaction is to the account, from the owner, and does what a library user's would.
    let made = world.asked(&page, world.with.owner_account.address).await.json();
    let expected = world
        .with
        .account
        .owner_transaction(
            world.with.owner_account.address,
            [session_key_client::OwnerAction::RemoveSessionKey(key)],
        )
        .await
        .unwrap();
    assert_eq!(made["data"], json!(expected.input.input()));
    assert_eq!(made["to"], world.with.account.address().to_string());
}

#[tokio::test]
async fn a_transaction_that_was_dropped_or_replaced_is_told_from_one_that_happened() {
    let world = World::new().await;
    let key = world.with.session_key.address;
    let owner = world.with.owner_account.address;
    let page = world.page(&format!("/revoke?key={key}")).await;
    let made = world.asked(&page, owner).await.json();
    let own = format!("/transactions/{}", made["id"].as_str().unwrap());
    let code = async || world.page(&format!("{own}/state")).await.json()["state"].clone();
    assert_eq!(code().await, "wallet");
    let unknown = B256::repeat_byte(0xee);
    world.post(&own, &json!({ "hash": unknown })).await;
    assert_eq!(code().await, "notSeen");
    // What the wallet said first stays: what it has sent may still happen.
    let declined = world.post(&own, &json!({ "declined": null })).await;
    assert_eq!((declined.status, code().await), (200, json!("notSeen")));
    // The wallet has replaced it by one with the same effect.
    world.sent(&made).await;
    assert_eq!(code().await, "done");

    let page = world.page("/").await.body;
    assert!(page.contains("Not finished"), "its end was not shown yet");
    world.page(&own).await;
    assert!(!world.page("/").await.body.contains("Not finished"));
    assert_eq!(world.page(&own).await.status, 200, "a reload goes on");
    assert_eq!(world.page("/transactions/0").await.status, 404);
}
