//! The model of a session key against the chain: the same operation, the same answer, the same state afterwards.

use crate::fixture::key;
use session_key_bindings::{IEntryPoint, function_id, manifest_hash};
use session_key_client::{
    Call, Deployment, NewSessionKey, Revert, SmartAccount, UserOperation,
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256, hex, uint},
        rpc::types::TransactionRequest,
        signers::{SignerSync, local::PrivateKeySigner},
        sol_types::{SolCall, SolEvent},
    },
    calldata::{self, FunctionReference},
    permissions::{
        AccessControlType, AddressEntry, ERC20_TRANSFER, MAX_SECONDS, PermissionUpdates, SpendLimit,
        TimeRange,
        model::{Failure, KeyState, Phase, RuleSet, Verdict, explain, explain_failure},
    },
    revert::{AaCode, PluginError},
    submit::SignedOperation,
    user_operation::{self, session_key_nonce_key},
};
use session_key_testkit::{Chain, Execution, Stack, Testkit, dev_accounts};

/// When the key gets its permissions.
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 86_400;

/// Contracts without code, so that every call to them succeeds.
pub(crate) const SHOP: Address = Address::repeat_byte(0x51);
pub(crate) const TOKEN: Address = Address::repeat_byte(0x70);
pub(crate) const OTHER: Address = Address::repeat_byte(0x0e);

pub(crate) const BUY: Selector = Selector::new(hex!("a0712d68"));
pub(crate) const SELL: Selector = Selector::new(hex!("e4849b32"));

/// Gas limits and fee of the operations here, and what they cost at the most.
const GAS: u64 = 1_000_000;
const FEE: u64 = 2_000_000_000;
pub(crate) const COST: U256 = uint!(6_000_000_000_000_000_U256);
pub(crate) const SPONSORED_COST: U256 = uint!(10_000_000_000_000_000_U256);

/// What the chain made of an operation.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Refused(AaCode),
    Reverted(Revert),
    Success,
}

#[derive(Clone)]
pub(crate) struct World {
    testkit: Testkit,
    pub(crate) account: SmartAccount,
    owner: Address,
    pub(crate) key: PrivateKeySigner,
    pub(crate) state: KeyState,
}

impl World {
    /// An account with the plugin and a key that has these permissions since [`START`].
    pub(crate) fn new(updates: &PermissionUpdates) -> Self {
        thread_local! {
            static INSTALLED: (Chain, Stack, Address) = World::install();
        }
        let (chain, stack, address) =
            INSTALLED.with(|(chain, stack, address)| (chain.clone(), *stack, *address));
        let testkit = Testkit::from(chain);
        let deployment = Deployment {
            entry_point: stack.entry_point,
            session_key_plugin: stack.session_key_plugin,
            multi_owner_plugin: stack.multi_owner_plugin,
            factory: stack.account_factory,
        };
        let account = SmartAccount::new(testkit.provider(), 31_337, address, deployment);
        let key = key(1);
        let mut world = Self {
            state: KeyState::fresh(address, key.address()),
            testkit,
            account,
            owner: dev_accounts()[0].address,
            key,
        };
        let new = NewSessionKey {
            key: world.key.address(),
            tag: B256::ZERO,
            permissions: updates.encode().unwrap(),
        };
        world.owner_calls(calldata::add_session_key(&new), START);
        world.state.apply(updates, START).unwrap();
        world
    }

    fn install() -> (Chain, Stack, Address) {
        let mut chain = Chain::default();
        let stack = Stack::deploy(&mut chain).unwrap();
        let owner = dev_accounts()[0].address;
        let account = stack.create_account(&mut chain, U256::ZERO, &[owner]).unwrap();
        chain.set_balance(account, U256::from(1) << 200);
        chain.set_balance(owner, U256::from(1) << 200);
        let install = calldata::install_plugin(
            stack.session_key_plugin,
            manifest_hash::SESSION_KEY_PLUGIN,
            calldata::session_key_plugin_install_data(&[]),
            &[
                FunctionReference::new(
                    stack.multi_owner_plugin,
                    function_id::RUNTIME_VALIDATION_OWNER_OR_SELF,
                ),
                FunctionReference::new(stack.multi_owner_plugin, function_id::USER_OP_VALIDATION_OWNER),
            ],
        );
        chain
            .send(transaction(owner, account, install))
            .unwrap()
            .ok()
            .unwrap();
        let deposit = IEntryPoint::depositToCall {
            account: stack.paymaster,
        };
        let deposit = transaction(owner, stack.entry_point, deposit.abi_encode().into());
        chain
            .send(deposit.value(U256::from(1) << 90))
            .unwrap()
            .ok()
            .unwrap();
        (chain, stack, account)
    }

    /// The owner calls the account in a block with this timestamp.
    fn owner_calls(&mut self, data: Bytes, time: u64) {
        let mut chain = self.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        chain
            .send(transaction(self.owner, self.account.address(), data))
            .unwrap()
            .ok()
            .unwrap();
    }

    /// The owner changes the permissions; so does the model.
    pub(crate) fn update(&mut self, updates: &PermissionUpdates, time: u64) {
        let data = calldata::update_key_permissions(self.key.address(), updates.encode().unwrap());
        self.owner_calls(data, time);
        self.state.apply(updates, time).unwrap();
    }

    pub(crate) fn paymaster(&self) -> Address {
        Stack::plan(dev_accounts()[0].address).0.paymaster
    }

    pub(crate) fn operation(&self, calls: &[Call]) -> UserOperation {
        UserOperation {
            sender: self.account.address(),
            call_data: calldata::execute_with_session_key(calls, self.key.address()),
            call_gas_limit: U256::from(GAS),
            verification_gas_limit: U256::from(GAS),
            pre_verification_gas: U256::from(GAS),
            max_fee_per_gas: U256::from(FEE),
            nonce: user_operation::nonce(session_key_nonce_key(self.key.address()), 0),
            ..Default::default()
        }
    }

    /// Gives the operation the next nonce of its lane, unless that is set, and signs it.
    pub(crate) fn sign(&self, mut operation: UserOperation, signer: &PrivateKeySigner) -> SignedOperation {
        let call = IEntryPoint::getNonceCall {
            sender: operation.sender,
            key: operation.nonce_key(),
        };
        let entry_point = self.account.deployment().entry_point;
        operation.nonce = self
            .testkit
            .chain()
            .read(Address::ZERO, entry_point, &call)
            .unwrap();
        self.sign_as_is(operation, signer)
    }

    fn sign_as_is(&self, mut operation: UserOperation, signer: &PrivateKeySigner) -> SignedOperation {
        let hash = operation.hash(self.account.deployment().entry_point, 31_337);
        let signature = signer.sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = signature.as_bytes().into();
        SignedOperation { operation, hash }
    }

    /// Sends the operations in a bundle, in a block with this timestamp.
    fn send(&mut self, signed: &[SignedOperation], time: u64) -> Execution {
        let entry_point = self.account.deployment().entry_point;
        let bundle = IEntryPoint::handleOpsCall {
            ops: signed
                .iter()
                .map(|signed| signed.operation.clone().into())
                .collect(),
            beneficiary: self.owner,
        };
        let mut chain = self.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        let request = transaction(self.owner, entry_point, bundle.abi_encode().into());
        chain.send(request).unwrap()
    }

    /// Includes the operations in a bundle, in a block with this timestamp.
    pub(crate) fn include(&mut self, signed: &[SignedOperation], time: u64) -> Vec<Outcome> {
        let execution = self.send(signed, time);
        if !execution.is_success() {
            return vec![Outcome::Refused(match Revert::decode(&execution.output) {
                Revert::FailedOp(failed) => failed.code.unwrap(),
                // Of the bundle as a whole.
                Revert::Error(reason) => AaCode::parse(&reason).unwrap(),
                revert => panic!("{revert}"),
            })];
        }
        let mut reason = None;
        let mut outcomes = Vec::new();
        for log in &execution.logs {
            if let Ok(event) = IEntryPoint::UserOperationRevertReason::decode_log(log) {
                reason = Some(Revert::decode(&event.revertReason));
            }
            if let Ok(event) = IEntryPoint::UserOperationEvent::decode_log(log) {
                outcomes.push(match event.success {
                    true => Outcome::Success,
                    false => Outcome::Reverted(reason.take().unwrap()),
                });
            }
        }
        outcomes
    }

    /// The operation on the chain and in the model, at this time: both must agree, afterwards too. Returns the verdict.
    async fn compare(&mut self, operation: UserOperation, time: u64) -> Verdict {
        let key = self.key.clone();
        let signed = self.sign(operation, &key);
        self.compare_signed(signed, time).await
    }

    async fn compare_signed(&mut self, signed: SignedOperation, time: u64) -> Verdict {
        let verdict = self.state.check_signed(&signed, time);
        let outcome = self.include(std::slice::from_ref(&signed), time);
        assert_agree(&verdict, &outcome[0]);
        if self.state.check(&signed.operation, time) == verdict {
            assert_eq!(self.state.execute(&signed.operation, time), verdict);
        }
        self.assert_state().await;
        verdict
    }

    /// Every view says what the model says.
    pub(crate) async fn assert_state(&self) {
        let contracts = [
            SHOP,
            TOKEN,
            OTHER,
            self.account.address(),
            self.account.deployment().entry_point,
        ];
        let functions: Vec<_> = contracts
            .into_iter()
            .flat_map(|contract| {
                [BUY, SELL, ERC20_TRANSFER, Selector::ZERO].map(|selector| (contract, selector))
            })
            .collect();
        let loaded = KeyState::load(&self.account, self.key.address(), functions.clone())
            .await
            .unwrap();
        let mut expected = self.state.clone();
        expected.complete = false;
        expected.contracts.clear();
        // Of a key that is not registered nothing is read.
        for (contract, selector) in functions.into_iter().filter(|_| self.state.registered) {
            let known = self.state.contracts.get(&contract).cloned().unwrap_or_default();
            let is_on_list = known.functions.get(&selector).copied().unwrap_or(false);
            expected
                .contracts
                .entry(contract)
                .or_insert_with(|| {
                    let mut contract = known;
                    contract.functions.clear();
                    contract
                })
                .functions
                .insert(selector, is_on_list);
        }
        assert_eq!(loaded, expected);
    }
}

fn transaction(from: Address, to: Address, data: Bytes) -> TransactionRequest {
    TransactionRequest::default().from(from).to(to).input(data.into())
}

/// The chain did what the verdict says.
pub(crate) fn assert_agree(verdict: &Verdict, outcome: &Outcome) {
    let agree = match (verdict.phase(), outcome) {
        (None, Outcome::Success) => true,
        (Some(Phase::Validation), Outcome::Refused(code)) => verdict.entry_point_code() == Some(*code),
        (Some(Phase::Execution), Outcome::Reverted(Revert::Plugin(error))) => match error {
            PluginError::ERC20SpendLimitExceeded { .. } => {
                verdict.violations()[0].code() == "erc20_limit_exceeded"
            }
            PluginError::NativeTokenSpendLimitExceeded { .. } => {
                verdict.violations()[0].code() == "native_limit_exceeded"
            }
            PluginError::PermissionsCheckFailed => true,
            PluginError::InvalidSessionKey { .. } => verdict.violations()[0].code() == "key_not_registered",
            _ => false,
        },
        _ => false,
    };
    assert!(agree, "{verdict}\nchain: {outcome:?}");
}

pub(crate) fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict
        .violations()
        .iter()
        .map(|violation| violation.code())
        .collect()
}

fn call(target: Address, selector: Selector) -> Call {
    Call::new(target, selector.to_vec())
}

fn transfer(amount: U256) -> Call {
    token_call(ERC20_TRANSFER, amount)
}

fn token_call(selector: Selector, amount: U256) -> Call {
    let mut data = selector.to_vec();
    data.extend(OTHER.into_word());
    data.extend(amount.to_be_bytes::<32>());
    Call::new(TOKEN, data)
}

fn wei(amount: u64) -> Call {
    Call::transfer(SHOP, U256::from(amount))
}

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

pub(crate) fn list(kind: AccessControlType) -> PermissionUpdates {
    PermissionUpdates::new().access_control_type(kind)
}

/// Calls, permissions, and the codes of the rules that the calls break.
type CallCase = (PermissionUpdates, Vec<Call>, Vec<&'static str>);

fn call_cases(account: Address, entry_point: Address) -> Vec<CallCase> {
    use AccessControlType::{AllowAllAccess, Allowlist, Denylist};
    let everything = || list(AllowAllAccess);
    let off_list_with_selectors = AddressEntry {
        contract: SHOP,
        is_on_list: false,
        check_selectors: true,
    };
    let short = |length: usize| Call::new(SHOP, BUY[..length].to_vec());
    let short_transfer = |length: usize| {
        let mut call = transfer(n(1));
        call.data.truncate(length);
        call
    };
    let limited = |updates: PermissionUpdates| updates.erc20_spend_limit(TOKEN, SpendLimit::total(n(100)));
    vec![
        // A fresh key.
        (PermissionUpdates::new(), vec![], vec!["no_calls"]),
        (
            PermissionUpdates::new(),
            vec![call(SHOP, BUY)],
            vec!["contract_not_on_allowlist"],
        ),
        (everything(), vec![wei(1)], vec!["native_limit_exceeded"]),
        (everything(), vec![wei(0)], vec![]),
        // Allowlist.
        (list(Allowlist).contract(SHOP), vec![call(SHOP, BUY)], vec![]),
        (list(Allowlist).contract(SHOP), vec![short(0)], vec![]),
        (list(Allowlist).contract(SHOP), vec![short(3)], vec![]),
        (
            list(Allowlist).contract(SHOP),
            vec![call(SHOP, BUY), call(OTHER, BUY)],
            vec!["contract_not_on_allowlist"],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, BUY)],
            vec![],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, SELL), short(0), short(1), short(3)],
            vec![
                "function_not_on_allowlist",
                "function_not_on_allowlist",
                "short_call_data",
                "short_call_data",
            ],
        ),
        (
            list(Allowlist).contract_functions(SHOP, [Selector::ZERO]),
            vec![short(0)],
            vec![],
        ),
        (
            list(Allowlist)
                .contract_functions(SHOP, [BUY])
                .without_function(SHOP, BUY),
            vec![call(SHOP, BUY)],
            vec!["function_not_on_allowlist"],
        ),
        (
            list(Allowlist)
                .contract_functions(SHOP, [BUY])
                .address_entry(off_list_with_selectors),
            vec![call(SHOP, BUY), short(2)],
            vec![
                "contract_not_on_allowlist",
                "short_call_data",
                "contract_not_on_allowlist",
            ],
        ),
        // Denylist.
        (list(Denylist), vec![call(SHOP, BUY), short(3)], vec![]),
        (
            list(Denylist).contract(SHOP),
            vec![call(SHOP, BUY)],
            vec!["contract_on_denylist"],
        ),
        (
            list(Denylist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, BUY)],
            vec!["function_on_denylist"],
        ),
        (
            list(Denylist).contract_functions(SHOP, [BUY]),
            vec![call(SHOP, SELL), short(0)],
            vec![],
        ),
        (
            list(Denylist).contract_functions(SHOP, [Selector::ZERO]),
            vec![short(0)],
            vec!["function_on_denylist"],
        ),
        (
            list(Denylist).address_entry(off_list_with_selectors),
            vec![short(1)],
            vec!["short_call_data"],
        ),
        (
            list(Denylist).address_entry(off_list_with_selectors),
            vec![call(SHOP, BUY)],
            vec![],
        ),
        // Everything.
        (everything(), vec![call(SHOP, BUY), short(1)], vec![]),
        (
            everything().address_entry(off_list_with_selectors),
            vec![short(1)],
            vec![],
        ),
        // The account and the EntryPoint.
        (
            everything(),
            vec![call(account, BUY), call(entry_point, BUY)],
            vec!["target_is_account", "target_is_entry_point"],
        ),
        (
            list(Allowlist).contract(account),
            vec![call(account, BUY)],
            vec!["target_is_account"],
        ),
        (
            list(Allowlist),
            vec![call(entry_point, BUY)],
            vec!["target_is_entry_point", "contract_not_on_allowlist"],
        ),
        (
            list(Allowlist).contract(entry_point),
            vec![Call::new(entry_point, Bytes::new())],
            vec![],
        ),
        (
            list(Denylist),
            vec![Call::new(entry_point, Bytes::new())],
            vec!["target_is_entry_point"],
        ),
        // Limited tokens.
        (limited(everything()), vec![transfer(n(100))], vec![]),
        (
            limited(everything()),
            vec![transfer(n(101))],
            vec!["erc20_limit_exceeded"],
        ),
        (
            limited(everything()),
            vec![
                transfer(n(60)),
                token_call(Selector::new(hex!("095ea7b3")), n(40)),
                transfer(n(0)),
            ],
            vec![],
        ),
        (
            limited(everything()),
            vec![
                transfer(n(60)),
                transfer(n(41)),
                transfer(U256::MAX),
                transfer(n(40)),
            ],
            vec!["erc20_limit_exceeded", "erc20_limit_exceeded"],
        ),
        (
            limited(everything()),
            vec![
                token_call(BUY, n(1)),
                short_transfer(0),
                short_transfer(3),
                short_transfer(4),
                short_transfer(67),
            ],
            vec![
                "token_function_not_allowed",
                "token_function_not_allowed",
                "token_function_not_allowed",
                "short_token_call_data",
                "short_token_call_data",
            ],
        ),
        (limited(everything()), vec![short_transfer(68)], vec![]),
        (
            limited(list(Allowlist)),
            vec![transfer(n(1))],
            vec!["contract_not_on_allowlist"],
        ),
        (
            limited(list(Denylist).contract(TOKEN)),
            vec![transfer(n(101))],
            vec!["contract_on_denylist", "erc20_limit_exceeded"],
        ),
        (
            limited(everything()).erc20_spend_limit(TOKEN, SpendLimit::UNLIMITED),
            vec![transfer(U256::MAX), token_call(BUY, n(1))],
            vec![],
        ),
        (
            everything().erc20_spend_limit(TOKEN, SpendLimit::total(U256::MAX - U256::from(1))),
            vec![transfer(U256::MAX - U256::from(1)), transfer(n(1))],
            vec!["erc20_limit_exceeded"],
        ),
        // The native token.
        (
            everything().native_token_spend_limit(SpendLimit::total(n(10))),
            vec![wei(4), wei(6)],
            vec![],
        ),
        (
            everything().native_token_spend_limit(SpendLimit::total(n(10))),
            vec![wei(4), wei(7)],
            vec!["native_limit_exceeded"],
        ),
        (
            everything().native_token_spend_limit(SpendLimit::total(U256::MAX - U256::from(1))),
            vec![Call::transfer(SHOP, U256::MAX), wei(2)],
            vec!["native_limit_exceeded"],
        ),
        (
            everything().native_token_spend_limit(SpendLimit::UNLIMITED),
            vec![wei(u64::MAX)],
            vec![],
        ),
        // Several rules at once, in both phases.
        (
            limited(list(Allowlist).contract(TOKEN)),
            vec![transfer(n(101)), wei(1), call(account, BUY)],
            vec![
                "contract_not_on_allowlist",
                "target_is_account",
                "contract_not_on_allowlist",
                "native_limit_exceeded",
                "erc20_limit_exceeded",
            ],
        ),
    ]
}

#[tokio::test]
async fn calls_are_judged_as_on_chain() {
    let world = World::new(&PermissionUpdates::new());
    let (account, entry_point) = (world.account.address(), world.account.deployment().entry_point);
    for (updates, calls, expected) in call_cases(account, entry_point) {
        let mut world = World::new(&updates);
        let operation = world.operation(&calls);
        assert_eq!(
            codes(&world.state.check_calls(&calls, START + 1)),
            expected,
            "{updates:?} {calls:?}"
        );
        let verdict = world.compare(operation, START + 1).await;
        assert_eq!(codes(&verdict), expected, "{updates:?} {calls:?}");
    }
}

#[tokio::test]
async fn operations_are_judged_as_on_chain() {
    type Change = fn(&World, &mut UserOperation);
    let cases: Vec<(&str, Change, Vec<&str>)> = vec![
        ("nothing", |_, _| {}, vec![]),
        (
            "another lane",
            |_, operation| operation.nonce = U256::ZERO,
            vec!["nonce_key"],
        ),
        (
            "a lane above the key",
            |_, operation| operation.nonce |= U256::from(1) << 255,
            vec!["nonce_key"],
        ),
        (
            "cost of the limit and one fee more",
            |_, operation| operation.call_gas_limit += U256::from(1),
            vec!["gas_limit_exceeded"],
        ),
        (
            "three times verification gas with a paymaster",
            |world, operation| operation.paymaster_and_data = world.paymaster().to_vec().into(),
            vec!["gas_limit_exceeded"],
        ),
        (
            "no sender of ours",
            |_, operation| operation.sender = OTHER,
            vec!["sender_mismatch"],
        ),
        (
            "another function",
            |_, operation| operation.call_data = BUY.to_vec().into(),
            vec!["not_execute_with_session_key"],
        ),
        (
            "no call data",
            |_, operation| operation.call_data = Bytes::new(),
            vec!["not_execute_with_session_key"],
        ),
        (
            "trailing call data",
            |_, operation| operation.call_data = [&operation.call_data[..], &[7; 33]].concat().into(),
            vec![],
        ),
        (
            "cut call data",
            |_, operation| {
                // Four bytes of data are padded to 32, but the padding is not read.
                let length = operation.call_data.len() - 29;
                operation.call_data.truncate(length);
            },
            vec!["malformed_call_data"],
        ),
        (
            "call data without its padding",
            |_, operation| {
                let length = operation.call_data.len() - 28;
                operation.call_data.truncate(length);
            },
            vec![],
        ),
        (
            "a dirty session key",
            |_, operation| {
                let mut data = operation.call_data.to_vec();
                data[4 + 32] = 1;
                operation.call_data = data.into();
            },
            vec!["malformed_call_data"],
        ),
        (
            "paymaster data too short",
            |_, operation| operation.paymaster_and_data = Bytes::from_static(&[1; 19]),
            vec!["invalid_paymaster_and_data", "gas_limit_exceeded"],
        ),
        (
            "gas beyond 120 bits",
            |_, operation| operation.max_priority_fee_per_gas = U256::from(1) << 120,
            vec!["gas_values_overflow"],
        ),
    ];
    let updates = list(AccessControlType::AllowAllAccess).gas_spend_limit(SpendLimit::total(COST));
    for (name, change, expected) in cases {
        let mut world = World::new(&updates);
        let mut operation = world.operation(&[call(SHOP, BUY)]);
        change(&world, &mut operation);
        let verdict = world.state.check(&operation, START + 1);
        assert_eq!(codes(&verdict), expected, "{name}: {verdict}");
        // Of another sender, the EntryPoint asks an account that is not there.
        if operation.sender == world.account.address() {
            world.compare(operation, START + 1).await;
        }
    }
}

#[tokio::test]
async fn signatures_are_judged_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess);
    let mut world = World::new(&updates);
    let operation = world.operation(&[call(SHOP, BUY)]);
    let stranger = world.sign(operation.clone(), &key(9));
    let verdict = world.compare_signed(stranger, START + 1).await;
    assert_eq!(codes(&verdict), ["wrong_signer"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountSignature));

    let good = world.sign(operation, &world.key);
    // The order of secp256k1, less `s`, with the other parity: the same signature, malleated.
    let order = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    let signature = good.operation.signature.to_vec();
    let high_s = order - U256::from_be_slice(&signature[32..64]);
    let [with_v, zero, bytes] = [signature.clone(), vec![0; 65], vec![27; 64]];
    let malleated = [
        &signature[..32],
        &high_s.to_be_bytes::<32>(),
        &[signature[64] ^ 27 ^ 28],
    ]
    .concat();
    let mut bad_v = with_v.clone();
    bad_v[64] -= 27;
    let too_long = [&with_v[..], &[0]].concat();
    for bad in [malleated, bad_v, zero, bytes, too_long, vec![]] {
        let mut signed = good.clone();
        signed.operation.signature = bad.into();
        let mut world = World::new(&updates);
        let verdict = world.compare_signed(signed, START + 1).await;
        assert_eq!(codes(&verdict), ["malformed_signature"]);
    }
    let verdict = world.compare_signed(good, START + 2).await;
    assert!(verdict.is_accepted());
}

#[tokio::test]
async fn times_are_judged_as_on_chain() {
    let range = |valid_after, valid_until| {
        list(AccessControlType::AllowAllAccess).time_range(TimeRange {
            valid_after,
            valid_until,
        })
    };
    let (from, until) = (START + DAY, START + 2 * DAY);
    for (updates, time, expected, passes_from) in [
        (range(from, until), from - 1, vec!["not_yet_valid"], Some(from)),
        (range(from, until), from, vec![], Some(0)),
        (range(from, until), until, vec![], Some(0)),
        (range(from, until), until + 1, vec!["expired"], None),
        (range(from, 0), until + 1, vec![], Some(0)),
        (range(until, from), from - 1, vec!["not_yet_valid"], None),
        (
            range(until, from),
            from + 1,
            vec!["not_yet_valid", "expired"],
            None,
        ),
        (
            range(MAX_SECONDS, MAX_SECONDS),
            from,
            vec!["not_yet_valid"],
            Some(MAX_SECONDS),
        ),
    ] {
        let mut world = World::new(&updates);
        let operation = world.operation(&[call(SHOP, BUY)]);
        let verdict = world.compare(operation, time).await;
        assert_eq!(codes(&verdict), expected, "{updates:?} {time}");
        assert_eq!(verdict.passes_from(), passes_from, "{updates:?} {time}");
    }
}

#[tokio::test]
async fn paymasters_are_judged_as_on_chain() {
    let paymaster = World::new(&PermissionUpdates::new()).paymaster();
    for (required, used, expected) in [
        (paymaster, Some(paymaster), vec![]),
        (paymaster, None, vec!["paymaster_required"]),
        (OTHER, Some(paymaster), vec!["paymaster_required"]),
        (Address::ZERO, None, vec![]),
    ] {
        let updates = list(AccessControlType::AllowAllAccess)
            .required_paymaster(OTHER)
            .required_paymaster(required)
            .gas_spend_limit(SpendLimit::total(SPONSORED_COST));
        let mut world = World::new(&updates);
        let mut operation = world.operation(&[call(SHOP, BUY)]);
        operation.paymaster_and_data = used.map_or(Bytes::new(), |used| used.to_vec().into());
        let verdict = world.compare(operation, START + 1).await;
        assert_eq!(codes(&verdict), expected);
    }
}

#[tokio::test]
async fn limits_refresh_as_on_chain() {
    let per_day = |amount| SpendLimit::per(amount, DAY);
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(per_day(n(10)))
        .erc20_spend_limit(TOKEN, per_day(n(100)));
    let mut world = World::new(&updates);
    let end = START + DAY;
    let spend = |world: &World, native, tokens| world.operation(&[wei(native), transfer(n(tokens))]);

    let verdict = world.compare(spend(&world, 7, 70), START + 10).await;
    assert!(verdict.is_accepted());
    // Neither fits what is left; both would fit the next interval. One second too early, and in time.
    let verdict = world.compare(spend(&world, 4, 31), end - 1).await;
    assert_eq!(codes(&verdict), ["native_limit_exceeded", "erc20_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    assert_eq!(verdict.passes_from(), Some(end));
    let verdict = world.compare(spend(&world, 4, 31), end).await;
    assert!(verdict.is_accepted());
    // The interval began when it was first used.
    let second = end + DAY;
    let verdict = world.compare(spend(&world, 0, 70), second - 1).await;
    assert_eq!(codes(&verdict), ["erc20_limit_exceeded"]);
    assert_eq!(verdict.passes_from(), Some(second));
    // Nothing spent opens an interval all the same.
    let verdict = world.compare(spend(&world, 0, 0), second + 5).await;
    assert!(verdict.is_accepted());
    assert_eq!(world.state.native_limit.last_used_time, second + 5);
    // What no interval could hold never passes.
    let verdict = world.compare(spend(&world, 11, 101), second + 3 * DAY).await;
    assert_eq!(codes(&verdict), ["native_limit_exceeded", "erc20_limit_exceeded"]);
    assert_eq!(verdict.passes_from(), None);
    // A batch may open an interval and then fill it, but not more.
    let batch = [transfer(n(60)), transfer(n(60))];
    let verdict = world.compare(world.operation(&batch), second + 3 * DAY + 1).await;
    assert_eq!(codes(&verdict), ["erc20_limit_exceeded"]);
    assert_eq!(
        (verdict.violations()[0].call, verdict.passes_from()),
        (Some(1), None)
    );
}

#[tokio::test]
async fn updates_change_what_they_name() {
    let per_day = |amount| SpendLimit::per(n(amount), DAY);
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(per_day(10))
        .erc20_spend_limit(TOKEN, per_day(100))
        .gas_spend_limit(SpendLimit::per(COST, DAY));
    let mut world = World::new(&updates);
    let spend = world.operation(&[wei(7), transfer(n(70))]);
    assert!(world.compare(spend, START + 10).await.is_accepted());
    let new = PermissionUpdates::new;
    let one = SpendLimit::total(n(1));
    for (index, updates) in [
        // Below what is used; a new interval.
        new()
            .native_token_spend_limit(per_day(5))
            .erc20_spend_limit(TOKEN, per_day(60))
            .gas_spend_limit(per_day(1)),
        // Totals.
        new()
            .native_token_spend_limit(one)
            .erc20_spend_limit(TOKEN, one)
            .gas_spend_limit(one),
        // Removed, and set again.
        new()
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .erc20_spend_limit(TOKEN, SpendLimit::UNLIMITED)
            .gas_spend_limit(SpendLimit::UNLIMITED),
        new().native_token_spend_limit(SpendLimit::per(U256::MAX, DAY)),
        new()
            .native_token_spend_limit(per_day(5))
            .erc20_spend_limit(TOKEN, per_day(60))
            .gas_spend_limit(SpendLimit::per(COST, MAX_SECONDS)),
        // Too large for one word of storage.
        new()
            .native_token_spend_limit(SpendLimit::per(U256::MAX - n(1), MAX_SECONDS))
            .erc20_spend_limit(TOKEN, SpendLimit::per(n(1) << 80, 1 << 40)),
        new()
            .contract(SHOP)
            .without_contract(SHOP)
            .contract_functions(OTHER, [BUY])
            .without_function(OTHER, BUY)
            .erc20_spend_limit(OTHER, one)
            .access_control_type(AccessControlType::Denylist)
            .time_range(TimeRange {
                valid_after: 5,
                valid_until: MAX_SECONDS,
            })
            .required_paymaster(OTHER),
    ]
    .into_iter()
    .enumerate()
    {
        world.update(&updates, START + 20 + index as u64);
        world.assert_state().await;
    }
}

#[tokio::test]
async fn gas_is_booked_and_reset_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess)
        .gas_spend_limit(SpendLimit::per(COST + n(1), DAY))
        .erc20_spend_limit(TOKEN, SpendLimit::total(n(100)));
    let mut world = World::new(&updates);
    let end = START + DAY;
    let free = |world: &World| UserOperation {
        max_fee_per_gas: U256::ZERO,
        ..world.operation(&[call(SHOP, BUY)])
    };
    let used = |world: &World| world.state.gas_limit.info.limit_used;

    assert!(
        world
            .compare(world.operation(&[call(SHOP, BUY)]), START + 1)
            .await
            .is_accepted()
    );
    assert_eq!(used(&world), COST);
    let verdict = world.compare(world.operation(&[call(SHOP, BUY)]), end - 1).await;
    assert_eq!(codes(&verdict), ["gas_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    assert_eq!(verdict.passes_from(), Some(end));

    // The next interval opens with an operation that fails in execution: its gas is booked, and the reset stays pending.
    let verdict = world.compare(world.operation(&[transfer(n(101))]), end).await;
    assert_eq!(verdict.phase(), Some(Phase::Execution));
    assert_eq!(used(&world), COST);
    assert!(world.state.gas_limit.should_reset);
    assert_eq!(world.state.gas_limit.info.last_used_time, START);

    // With the reset pending, the limit does not refresh, however long one waits.
    let verdict = world
        .compare(world.operation(&[call(SHOP, BUY)]), end + 9 * DAY)
        .await;
    assert_eq!(codes(&verdict), ["gas_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountReverted));
    assert_eq!(verdict.passes_from(), None);

    // What fits is executed, and settles the reset.
    let mut settled = World {
        testkit: Testkit::from(world.testkit.chain().clone()),
        ..world.clone()
    };
    settled.account = SmartAccount::new(
        settled.testkit.provider(),
        31_337,
        world.account.address(),
        *world.account.deployment(),
    );
    let time = end + 9 * DAY + 5;
    assert!(settled.compare(free(&settled), time).await.is_accepted());
    assert!(!settled.state.gas_limit.should_reset);
    assert_eq!(settled.state.gas_limit.info.last_used_time, time);

    // So does anyone's call.
    let reset = calldata::reset_session_key_gas_limit_timestamp(world.account.address(), world.key.address());
    let plugin = world.account.deployment().session_key_plugin;
    {
        let mut chain = world.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        chain
            .send(transaction(OTHER, plugin, reset))
            .unwrap()
            .ok()
            .unwrap();
    }
    world.state.settle_gas_reset(time);
    world.assert_state().await;
    assert_eq!(world.state, settled.state);
}

/// Validation of a whole bundle comes before its first execution.
#[tokio::test]
async fn bundles_are_judged_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess)
        .gas_spend_limit(SpendLimit::per(COST, DAY))
        .native_token_spend_limit(SpendLimit::total(n(10)));
    let mut world = World::new(&updates);
    let paying = world.operation(&[wei(6)]);
    let free = UserOperation {
        max_fee_per_gas: U256::ZERO,
        ..world.operation(&[wei(6)])
    };
    assert!(
        world
            .compare(world.operation(&[wei(0)]), START + 1)
            .await
            .is_accepted()
    );

    // The first opens the next interval of the gas limit in validation; the second is validated with the reset pending. Both
    // fit the native limit when validated, the second no longer when executed.
    let time = START + 2 * DAY;
    let first = world.sign(paying, &world.key);
    let mut second = world.sign(free, &world.key);
    second.operation.nonce += U256::from(1);
    let entry_point = world.account.deployment().entry_point;
    second.hash = second.operation.hash(entry_point, 31_337);
    second.operation.signature = world
        .key
        .sign_message_sync(second.hash.as_slice())
        .unwrap()
        .as_bytes()
        .into();

    for signed in [&first, &second] {
        let violations = world
            .state
            .execute_validation(&signed.operation, Some(signed.hash), time);
        assert!(violations.is_empty(), "{violations:?}");
        assert!(world.state.gas_limit.should_reset);
    }
    assert!(world.state.execute_calls(&[wei(6)], time).is_empty());
    assert!(!world.state.gas_limit.should_reset);
    let violations = world.state.execute_calls(&[wei(6)], time);
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].code(), violations[0].phase),
        ("native_limit_exceeded", Phase::Execution)
    );

    let outcomes = world.include(&[first, second], time);
    let exceeded = PluginError::NativeTokenSpendLimitExceeded {
        account: world.account.address(),
        session_key: world.key.address(),
    };
    assert_eq!(
        outcomes,
        [Outcome::Success, Outcome::Reverted(Revert::Plugin(exceeded))]
    );
    world.assert_state().await;
}

#[tokio::test]
async fn keys_that_are_gone_are_judged_as_on_chain() {
    let mut world = World::new(&list(AccessControlType::AllowAllAccess));
    let operation = world.operation(&[call(SHOP, BUY)]);
    world.owner_calls(
        calldata::remove_session_key(world.key.address(), B256::ZERO),
        START + 1,
    );
    world.state = KeyState::unregistered(world.account.address(), world.key.address());
    let verdict = world.compare(operation.clone(), START + 2).await;
    assert_eq!(codes(&verdict), ["key_not_registered"]);

    // Of another key, this state says nothing.
    let other = UserOperation {
        call_data: calldata::execute_with_session_key(&[call(SHOP, BUY)], key(9).address()),
        ..operation
    };
    assert_eq!(
        codes(&world.state.check(&other, START + 2)),
        ["session_key_mismatch"]
    );
}

#[tokio::test]
async fn explains_what_the_chain_flattens() {
    let updates = PermissionUpdates::new()
        .contract_functions(TOKEN, [ERC20_TRANSFER])
        .contract(SHOP)
        .native_token_spend_limit(SpendLimit::total(n(1000)))
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY));
    let mut world = World::new(&updates);
    let operation = world.operation(&[transfer(n(60))]);
    assert!(world.compare(operation, START + 1).await.is_accepted());
    let key = world.key.clone();
    for (calls, expected) in [
        (
            vec![Call::new(OTHER, Bytes::new())],
            format!("refused in validation: call 0: {OTHER} is not on the allowlist"),
        ),
        (
            vec![transfer(n(1)), token_call(BUY, n(1))],
            format!(
                "refused in validation: call 1: function 0xa0712d68 of {TOKEN} is neither transfer nor approve, and the token \
                 has a spend limit; call 1: function 0xa0712d68 of {TOKEN} is not on the allowlist"
            ),
        ),
        (
            vec![wei(600), wei(401)],
            "refused in validation: the calls would send 1001 of the native token (wei), but 1000 are left of 1000"
                .to_owned(),
        ),
        (
            vec![transfer(n(50))],
            format!(
                "refused in execution: call 0 would spend 50 of token {TOKEN}, but 40 are left of 100 until \
                 2027-01-16T08:00:00Z; it would pass from 2027-01-16T08:00:00Z on"
            ),
        ),
    ] {
        let mut operation = world.operation(&calls);
        // Before signing, and signed.
        for _ in 0..2 {
            let verdict = explain(&world.account, &operation, key.address()).await.unwrap();
            assert_eq!(verdict.to_string(), expected);
            operation = world.sign(operation, &key).operation;
        }
    }
    // Whoever else signs is found out.
    let signed = world.sign(world.operation(&[transfer(n(1))]), &crate::fixture::key(9));
    let verdict = explain(&world.account, &signed.operation, key.address())
        .await
        .unwrap();
    assert_eq!(codes(&verdict), ["wrong_signer"]);
}

/// After the fact: from the transaction alone, and the state before its block.
#[tokio::test]
async fn failures_are_explained_afterwards() {
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(n(10)))
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY));
    let mut world = World::new(&updates);
    let key = world.key.clone();
    let refuser = Address::repeat_byte(0xfe);
    // PUSH0 PUSH0 REVERT
    world
        .testkit
        .chain()
        .set_code(refuser, [0x5f, 0x5f, 0xfd])
        .unwrap();

    let mut time = START;
    for (calls, expected) in [
        (vec![transfer(n(60))], None),
        (
            vec![transfer(n(50))],
            Some((
                "rules",
                format!(
                    "call 0 would spend 50 of token {TOKEN}, but 40 are left of 100 until 2027-01-16T08:00:00Z"
                ),
            )),
        ),
        (
            vec![wei(4), wei(7)],
            Some((
                "rules",
                "the calls would send 11 of the native token (wei), but 10 are left of 10".to_owned(),
            )),
        ),
        (
            vec![Call::new(refuser, Bytes::new())],
            Some((
                "call_failed",
                "a call failed: reverted without a reason, or ran out of gas".to_owned(),
            )),
        ),
    ] {
        time += 1;
        let signed = world.sign(world.operation(&calls), &key);
        let hash = world.send(std::slice::from_ref(&signed), time).transaction_hash;
        let failure = explain_failure(&world.account, &signed, hash).await.unwrap();
        let found = failure.map(|failure| (failure.code(), failure.to_string()));
        assert_eq!(found, expected);
    }

    // Of a bundle: the first leaves too little to the second.
    time += 1;
    let first = world.sign(world.operation(&[wei(6)]), &key);
    let mut second = world.operation(&[wei(5)]);
    second.nonce = first.operation.nonce + n(1);
    let second = world.sign_as_is(second, &key);
    let bundle = [first, second];
    let hash = world.send(&bundle, time).transaction_hash;
    let failures = [
        explain_failure(&world.account, &bundle[0], hash).await.unwrap(),
        explain_failure(&world.account, &bundle[1], hash).await.unwrap(),
    ];
    assert_eq!(failures[0], None);
    let Some(Failure::Rules(violations)) = &failures[1] else {
        panic!("{failures:?}");
    };
    assert_eq!(
        (violations[0].code(), violations[0].phase),
        ("native_limit_exceeded", Phase::Execution)
    );

    // The nonce is used already.
    let free = world.sign(world.operation(&[wei(0)]), &key);
    let _ = world.send(std::slice::from_ref(&free), time + 1);
    let hash = world.send(std::slice::from_ref(&free), time + 2).transaction_hash;
    let failure = explain_failure(&world.account, &free, hash).await.unwrap();
    let Some(Failure::EntryPoint(failed)) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(failed.code, Some(AaCode::InvalidNonce));
}

/// A plugin of the same ABI, by the version that it names.
#[tokio::test]
async fn other_plugins_may_be_more_generous() {
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(n(10)))
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), MAX_SECONDS));
    let world = World::new(&updates);
    let plugin = world.account.deployment().session_key_plugin;
    let load = || KeyState::load_for_calls(&world.account, world.key.address(), &[]);
    assert_eq!(load().await.unwrap().rule_set, RuleSet::Strict);
    {
        let mut chain = world.testkit.chain();
        let mut code = chain.code(plugin).to_vec();
        let version = code.windows(5).position(|bytes| bytes == b"1.1.0").unwrap();
        code[version..version + 5].copy_from_slice(b"1.0.1");
        chain.set_code(plugin, code).unwrap();
    }
    let mut state = load().await.unwrap();
    assert_eq!(state.rule_set, RuleSet::Compatible);

    let target = world.account.address();
    state.contracts = world.state.contracts.clone();
    state.complete = true;
    for (calls, code, may_pass) in [
        (vec![call(target, BUY)], "target_is_account", true),
        (vec![token_call(BUY, n(1))], "token_function_not_allowed", true),
        // Of which it is not known whether that plugin can reckon with it.
        (vec![transfer(n(1))], "interval_end_overflow", true),
        (vec![wei(11)], "native_limit_exceeded", false),
        (vec![call(target, BUY), wei(11)], "target_is_account", false),
    ] {
        let verdict = state.check_calls(&calls, START + 1);
        assert_eq!(codes(&verdict)[0], code);
        assert_eq!(matches!(verdict, Verdict::MayPass { .. }), may_pass, "{verdict}");
        assert!(!verdict.is_accepted());
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["verdict"], if may_pass { "may_pass" } else { "refused" });
    }
    assert!(state.check_calls(&[wei(10)], START + 1).is_accepted());
}

/// What was not read is not taken for permitted, whatever the list.
#[tokio::test]
async fn unknown_contracts_are_not_waved_through() {
    for kind in [
        AccessControlType::Allowlist,
        AccessControlType::Denylist,
        AccessControlType::AllowAllAccess,
    ] {
        let world = World::new(&list(kind).contract_functions(SHOP, [BUY]));
        let state = KeyState::load(&world.account, world.key.address(), [(SHOP, BUY)])
            .await
            .unwrap();
        let verdict = state.check_calls(&[call(OTHER, BUY)], START);
        assert_eq!(codes(&verdict), ["state_not_loaded"]);
        let verdict = state.check_calls(&[call(SHOP, SELL)], START);
        match kind {
            AccessControlType::AllowAllAccess => assert!(verdict.is_accepted()),
            _ => assert_eq!(codes(&verdict), ["state_not_loaded"]),
        }
    }
}

#[test]
fn states_and_verdicts_have_a_json_form() {
    let mut state = KeyState::fresh(Address::ZERO, OTHER);
    let updates = list(AccessControlType::Denylist)
        .contract_functions(SHOP, [BUY])
        .erc20_spend_limit(TOKEN, SpendLimit::per(n(100), DAY));
    state.apply(&updates, START).unwrap();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<KeyState>(&json).unwrap(), state);

    let verdict = state.check_calls(&[transfer(n(101)), wei(1)], START);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["verdict"], "refused");
    assert_eq!(json["violations"][0]["code"], "native_limit_exceeded");
    let token = &json["violations"][1];
    assert_eq!(token["code"], "erc20_limit_exceeded");
    assert_eq!(
        (&token["phase"], &token["call"]),
        (&"execution".into(), &0.into())
    );
    assert_eq!(
        (&token["limit"], &token["asked"]),
        (&"0x64".into(), &"0x65".into())
    );
    assert!(
        token["message"]
            .as_str()
            .unwrap()
            .starts_with("call 0 would spend 101")
    );
    assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
}
