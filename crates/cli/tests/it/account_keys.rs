//! Commands on keys of the account's own client. On stand-ins for the permission modules of Modular Account
//! v2, at the addresses of the deployed ones and with code as long as theirs: the command recognizes them by
//! that.

use super::v08::Stage;
use serde_json::{Value, json};
use session_key_bindings::{IAccountFactoryV08, IEntryPointV07, PackedUserOperation};
use session_key_client::{
    UserOperation,
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256, address, hex},
        rpc::types::TransactionRequest,
        signers::{SignerSync as _, local::PrivateKeySigner},
        sol_types::{SolCall as _, SolValue as _},
    },
    permissions::{EntryPointVersion, ValidationNonceKey, account_modules::Hook, erc20},
    v08::{
        HookConfig, ModuleEntity, ValidationConfig, ValidationFlags,
        calldata::{self, NewHook},
        known,
    },
};
use session_key_testkit::{Chain, PermissionModules, dev_accounts};

const ENTITY: u32 = 5;
/// Of the second set of hooks, as the account's client numbers them.
const SECOND: u32 = ENTITY + 0x7fff_ffff;
const SHOP: Address = Address::repeat_byte(0x5a);
const ALLOWLIST: Address = address!("0x00000000003e826473A313E600b5b9B791f5a59a");
const NATIVE_TOKEN_LIMIT: Address = address!("0x00000000000001e541f0D090868FBe24b59Fbe06");
const TIME_RANGE: Address = address!("0x00000000000082B8e2012be914dFA4f62A0573eA");
const EXECUTE: Selector = Selector::new(hex!("b61d27f6"));
const EXECUTE_BATCH: Selector = Selector::new(hex!("34fcd5be"));
const TRANSFER: Selector = Selector::new(hex!("a9059cbb"));
const GWEI: u64 = 1_000_000_000;

/// An account with a key that may pay out 100 of the token's base units to anyone, and pay for two
/// operations.
struct Place {
    stage: Stage,
    account: Address,
    signer: PrivateKeySigner,
}

/// Puts code somewhere else, with zeros behind it, which never run.
fn put(chain: &mut Chain, from: Address, to: Address, length: usize) {
    let mut code = chain.code(from).to_vec();
    assert!(!code.is_empty() && code.len() <= length, "{} bytes", code.len());
    code.resize(length, 0);
    chain.set_code(to, code).expect("code");
}

impl Place {
    fn new() -> Self {
        let stage = Stage::new();
        let account = {
            let mut chain = stage.testkit.chain();
            let modules = PermissionModules::deploy(&mut chain).expect("the modules");
            for (from, to, length) in [
                (modules.allowlist, ALLOWLIST, 10_336),
                (modules.native_token_limit, NATIVE_TOKEN_LIMIT, 5_093),
                (modules.time_range, TIME_RANGE, 2_504),
                (
                    stage.stack.single_signer_module,
                    known::SINGLE_SIGNER_VALIDATION_MODULE,
                    3_976,
                ),
                (
                    stage.stack.semi_modular_implementation,
                    known::SEMI_MODULAR_ACCOUNT,
                    24_223,
                ),
            ] {
                put(&mut chain, from, to, length);
            }
            let owner = stage.owner.address();
            let create = IAccountFactoryV08::createSemiModularAccountCall {
                owner,
                salt: U256::ZERO,
            };
            let account = chain
                .transact(owner, known::FACTORY, &create)
                .expect("an account");
            chain.set_balance(account, U256::from(10).pow(U256::from(18)));
            stage
                .stack
                .mint(&mut chain, account, U256::from(1_000_000))
                .expect("tokens");
            account
        };
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x51)).expect("a key");
        let place = Self {
            stage,
            account,
            signer,
        };
        place.install(ENTITY);
        place
    }

    const fn token(&self) -> Address {
        self.stage.stack.token
    }

    /// A call of the account to itself.
    fn own(&self, data: Bytes) {
        let request = TransactionRequest::default()
            .from(self.account)
            .to(self.account)
            .input(data.into());
        let sent = self.stage.testkit.chain().send(request).expect("a transaction");
        sent.ok().expect("it succeeds");
    }

    fn install(&self, entity_id: u32) {
        let second = entity_id + (SECOND - ENTITY);
        let none: Vec<Selector> = Vec::new();
        let listed = (
            entity_id,
            vec![(self.token(), true, false, U256::ZERO, vec![TRANSFER])],
        );
        let limit = (second, vec![(self.token(), false, true, U256::from(100), none)]);
        let hooks = [
            (
                TIME_RANGE,
                entity_id,
                1,
                (entity_id, U256::from(4_000_000_000_u64), U256::ZERO).abi_encode_params(),
            ),
            (ALLOWLIST, second, Hook::PRE, limit.abi_encode_params()),
            (
                NATIVE_TOKEN_LIMIT,
                second,
                5,
                (second, U256::from(6_000_000 * GWEI)).abi_encode_params(),
            ),
            (ALLOWLIST, entity_id, 5, listed.abi_encode_params()),
        ];
        let hooks: Vec<NewHook> = hooks
            .into_iter()
            .map(|(module, entity_id, flags, data)| NewHook {
                config: HookConfig {
                    hook: ModuleEntity::new(module, entity_id),
                    flags,
                },
                install_data: data.into(),
            })
            .collect();
        let config = ValidationConfig {
            validation: ModuleEntity::new(known::SINGLE_SIGNER_VALIDATION_MODULE, entity_id),
            flags: ValidationFlags::USER_OPERATIONS,
        };
        let data = (entity_id, self.signer.address()).abi_encode_params();
        self.own(calldata::install_validation(
            config,
            &[EXECUTE, EXECUTE_BATCH],
            data.into(),
            &hooks,
        ));
    }

    fn json(&self, exit: i32, arguments: &[&str]) -> Value {
        let account = self.account.to_string();
        self.stage
            .json(exit, &[arguments, &["--account", &account]].concat())
    }

    /// What a person reads.
    fn words(&self, exit: i32, arguments: &[&str]) -> String {
        let account = self.account.to_string();
        let all = [
            arguments,
            &["--account", &account, "--rpc-url", self.stage.node.url()],
        ]
        .concat();
        let output = super::run(&all, None);
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{}",
            super::text(&output.stderr)
        );
        // Lines are broken anywhere.
        let words: Vec<&str> = super::text(&output.stdout).split_whitespace().collect();
        words.join(" ")
    }

    fn pay(&self, amount: u64) -> String {
        format!("{}:transfer(address,uint256):{SHOP},{amount}", self.token())
    }

    /// Sends a payment as a bundle, and returns the operation's hash.
    fn send(&self, amount: u64) -> String {
        let stack = &self.stage.stack;
        let mut chain = self.stage.testkit.chain();
        let key = ValidationNonceKey {
            entity_id: ENTITY,
            ..ValidationNonceKey::default()
        }
        .nonce_key();
        let question = IEntryPointV07::getNonceCall {
            sender: self.account,
            key,
        };
        let next = chain
            .read(self.account, stack.entry_point, &question)
            .expect("a nonce");
        let call = session_key_bindings::IAccountV08::executeCall {
            target: self.token(),
            value: U256::ZERO,
            data: erc20::transfer(SHOP, U256::from(amount)),
        };
        let mut operation = UserOperation {
            version: EntryPointVersion::V07,
            sender: self.account,
            nonce: next,
            call_data: calldata::execute_user_op(&call.abi_encode()),
            call_gas_limit: U256::from(1_000_000),
            verification_gas_limit: U256::from(1_000_000),
            max_fee_per_gas: U256::from(GWEI),
            max_priority_fee_per_gas: U256::from(GWEI),
            ..UserOperation::default()
        };
        let hash = operation.hash(stack.entry_point, chain.chain_id());
        let signature = self
            .signer
            .sign_message_sync(hash.as_slice())
            .expect("a signature");
        operation.signature = [&[0xff, 0][..], &signature.as_bytes()].concat().into();
        let bundle = IEntryPointV07::handleOpsCall {
            ops: vec![PackedUserOperation::try_from(operation).expect("an operation")],
            beneficiary: dev_accounts()[3].address,
        };
        let request = TransactionRequest::default()
            .from(dev_accounts()[3].address)
            .to(stack.entry_point)
            .gas_limit(6_000_000)
            .input(bundle.abi_encode().into());
        let sent = chain.send(request).expect("a transaction");
        sent.ok().expect("it is included");
        hash.to_string()
    }
}

/// Reads, judges and explains the key of a place.
fn look(place: &Place) {
    let signer = place.signer.address().to_string();
    let inspected = place.json(0, &["inspect"]);
    assert_eq!(inspected["keys"], json!([]));
    let key = &inspected["accountKeys"]["keys"][0];
    assert_eq!(
        (&key["signer"], &key["entityId"], &key["complete"]),
        (&json!(signer), &json!(ENTITY), &json!(true)),
        "{inspected}"
    );
    let limit = &key["hooks"][3]["settings"]["contracts"][0];
    assert_eq!(
        (&limit["contract"], &limit["leftBaseUnits"]),
        (&json!(place.token().to_string()), &json!("100")),
        "{key}"
    );
    let words = place.words(0, &["inspect", &signer]);
    for said in [
        "May call transfer of TUSD",
        "May spend at most 0.0001 TUSD",
        "entity 5, key of the account's own client",
        "[key_native_unbounded]",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    let other = place.json(1, &["inspect", &SHOP.to_string()]);
    assert_eq!(other["accountKeys"]["keys"], json!([]));

    // By the signer, or by the entity.
    let entity = ENTITY.to_string();
    let accepted = place.json(0, &["check", &signer, "--call", &place.pay(60)]);
    assert_eq!(
        (&accepted["verdict"], &accepted["entityId"]),
        (&json!("accepted"), &json!(ENTITY))
    );
    assert_eq!(accepted["remaining"]["tokens"][0]["baseUnits"], "40");
    let batch = [place.pay(60), place.pay(41)];
    let refused = place.json(
        1,
        &[
            "check", "--entity", &entity, "--call", &batch[0], "--call", &batch[1],
        ],
    );
    let refusal = &refused["violations"][0];
    assert_eq!(
        [
            &refusal["code"],
            &refusal["call"],
            &refusal["askedBaseUnits"],
            &refusal["leftBaseUnits"],
            &refusal["phase"],
            &refusal["hook"]["moduleName"]
        ],
        [
            &json!("token_limit_exceeded"),
            &json!(1),
            &json!("41"),
            &json!("40"),
            &json!("execution"),
            &json!("AllowlistModule 2.0.1")
        ],
        "{refused}"
    );
    let elsewhere = format!("{SHOP}@1 wei");
    let refused = place.json(1, &["check", &signer, "--call", &elsewhere]);
    assert_eq!(refused["violations"][0]["code"], "target_not_allowed");
    place.json(2, &["check", "--entity", "9", "--call", &elsewhere]);
    place.json(2, &["check", "--entity", "9", &signer, "--call", &elsewhere]);

    // One that fails, by the limit; and what is left of it after one that does not.
    let failed = place.send(101);
    let explained = place.json(1, &["explain", &failed]);
    let operation = &explained["operations"][0];
    assert_eq!(
        (
            &operation["reason"],
            &operation["accountKey"]["explainedBy"]["code"],
            &operation["accountKey"]["hook"]["entityId"],
            &operation["accountKey"]["hasChanged"],
        ),
        (
            &json!("rules"),
            &json!("token_limit_exceeded"),
            &json!(SECOND),
            &json!(false)
        ),
        "{explained}"
    );
    let words = place.words(1, &["explain", &failed]);
    for said in [
        "It breaks a rule of its key",
        "it spends 0.000101 TUSD, but 0.0001 TUSD are left",
        "execution hook of AllowlistModule 2.0.1",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    let done = place.send(60);
    assert_eq!(
        place.json(0, &["explain", &done])["operations"][0]["accountKey"],
        Value::Null
    );
    let refused = place.json(1, &["check", &signer, "--call", &place.pay(41)]);
    assert_eq!(refused["violations"][0]["leftBaseUnits"], "40");
}

#[test]
fn keys_of_the_accounts_own_client_are_read_judged_and_explained() {
    look(&Place::new());
}

#[test]
fn they_are_where_the_session_key_module_is_not() {
    let place = Place::new();
    let module = place.stage.stack.session_key_module;
    let mut chain = place.stage.testkit.chain();
    chain.set_code(module, Vec::new()).expect("no code");
    drop(chain);
    look(&place);
}

#[test]
fn nothing_is_predicted_of_a_module_with_other_code() {
    let place = Place::new();
    let signer = place.signer.address().to_string();
    {
        let mut chain = place.stage.testkit.chain();
        let code = [&chain.code(TIME_RANGE)[..], &[0]].concat();
        chain.set_code(TIME_RANGE, code).expect("code");
    }
    let inspected = place.json(0, &["inspect"]);
    let key = &inspected["accountKeys"]["keys"][0];
    assert_eq!(key["complete"], false, "{inspected}");
    assert_eq!(key["hooks"][0]["moduleName"], Value::Null);
    let judged = place.json(1, &["check", &signer, "--call", &place.pay(1)]);
    assert_eq!(judged["verdict"], "unknown");
    let reason = judged["reasons"][0].as_str().expect("a reason");
    assert!(reason.contains(&TIME_RANGE.to_string()), "{reason}");
    assert!(
        place
            .words(1, &["check", &signer, "--call", &place.pay(1)])
            .contains("Nothing is predicted")
    );
}

#[test]
fn of_several_keys_of_one_signer_one_is_named() {
    let place = Place::new();
    place.install(ENTITY + 1);
    let signer = place.signer.address().to_string();
    let unclear = place.json(2, &["check", &signer, "--call", &place.pay(1)]);
    let message = unclear["error"]["message"].as_str().expect("a message");
    assert!(message.contains("--entity, one of 5, 6"), "{message}");
    let named = place.json(0, &["check", "--entity", "6", "--call", &place.pay(1)]);
    assert_eq!(named["entityId"], 6);
    assert_eq!(
        place.json(0, &["inspect", &signer])["accountKeys"]["keys"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}
