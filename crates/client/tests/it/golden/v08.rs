//! ERC-6900 v0.8 accounts: addresses, call data, hashes and signatures that a deployed Modular Account v2
//! accepted. Where they come from: contracts/test/v08/golden/README.md.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, Selector, U256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolValue,
};
use serde::Deserialize;
use session_key_client::{
    UserOperation, alloy, calldata,
    permissions::{Call, EntryPointVersion, ValidationNonceKey, nonce},
    v08::{
        DeferredAction, FALLBACK_VALIDATION, HookConfig, HookKind, ModuleEntity, ValidationConfig,
        ValidationFlags, account_address, calldata as account_calldata, known, semi_modular_account_address,
        signature,
    },
};

const GOLDEN: &str = include_str!("../../../../../contracts/test/v08/golden/operations.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    sender: Address,
    nonce: B256,
    #[serde(default)]
    init_code: Bytes,
    call_data: Bytes,
    account_gas_limits: B256,
    gas_fees: B256,
    paymaster_and_data: Bytes,
    signature: Bytes,
    user_op_hash: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Golden {
    chain_id: u64,
    entry_point: Address,
    factory: Address,
    owner: Address,
    owner_private_key: B256,
    session_key: Address,
    session_key_private_key: B256,
    #[serde(rename = "ma_owner_salt0_entity0")]
    modular_account: Address,
    #[serde(rename = "sma_owner_salt0")]
    semi_modular_account: Address,
    #[serde(rename = "op_owner_sma_installs")]
    installs: Operation,
    #[serde(rename = "op_key_execute")]
    executes: Operation,
    #[serde(rename = "op_key_deferred_install_and_use")]
    installs_and_uses: Operation,
    #[serde(rename = "installValidation_calldata")]
    install_validation: Bytes,
    #[serde(rename = "uninstallValidation_calldata")]
    uninstall_validation: Bytes,
    #[serde(rename = "deferred_call")]
    deferred_call: Bytes,
    #[serde(rename = "deferred_deadline")]
    deferred_deadline: u64,
    #[serde(rename = "deferred_prefix")]
    deferred_prefix: Bytes,
    #[serde(rename = "deferred_typedDataHash")]
    deferred_typed_data_hash: B256,
    #[serde(rename = "erc1271_hash")]
    message: B256,
    #[serde(rename = "erc1271_ma_replaySafeHash")]
    modular_message_hash: B256,
    #[serde(rename = "erc1271_ma_signature")]
    modular_message_signature: Bytes,
    #[serde(rename = "erc1271_sma_replaySafeHash")]
    semi_modular_message_hash: B256,
    #[serde(rename = "erc1271_sma_signature")]
    semi_modular_message_signature: Bytes,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

fn key(private_key: B256) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&private_key).unwrap()
}

/// As `SingleSignerValidationModule` and the fallback signer sign: EIP-191.
fn signed(private_key: B256, hash: B256) -> Bytes {
    key(private_key)
        .sign_message_sync(hash.as_slice())
        .unwrap()
        .as_bytes()
        .into()
}

/// Without EIP-191: typed data.
fn signed_typed_data(private_key: B256, hash: B256) -> Bytes {
    key(private_key).sign_hash_sync(&hash).unwrap().as_bytes().into()
}

impl Operation {
    fn unpack(&self) -> UserOperation {
        let halves = |word: B256| {
            let word = U256::from_be_bytes(word.0);
            (word >> 128, word & U256::from(u128::MAX))
        };
        let (verification_gas_limit, call_gas_limit) = halves(self.account_gas_limits);
        let (max_priority_fee_per_gas, max_fee_per_gas) = halves(self.gas_fees);
        UserOperation {
            version: EntryPointVersion::V07,
            sender: self.sender,
            nonce: self.nonce.into(),
            init_code: self.init_code.clone(),
            call_data: self.call_data.clone(),
            call_gas_limit,
            verification_gas_limit,
            pre_verification_gas: U256::ZERO,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            paymaster_and_data: self.paymaster_and_data.clone(),
            signature: self.signature.clone(),
            authorization: None,
        }
    }

    /// The owner's nonce key, or a validation's.
    fn nonce_key(&self) -> ValidationNonceKey {
        ValidationNonceKey::from_nonce_key(self.unpack().nonce_key())
    }
}

#[test]
fn accounts_have_the_addresses_of_the_deployed_factory() {
    let golden = golden();
    assert_eq!(golden.factory, known::FACTORY);
    let modular = account_address(
        known::FACTORY,
        known::MODULAR_ACCOUNT,
        golden.owner,
        U256::ZERO,
        0,
    );
    assert_eq!(modular, golden.modular_account);
    let semi_modular = semi_modular_account_address(
        known::FACTORY,
        known::SEMI_MODULAR_ACCOUNT,
        golden.owner,
        U256::ZERO,
    );
    assert_eq!(semi_modular, golden.semi_modular_account);
}

#[test]
fn operations_hash_and_are_signed_as_the_account_accepts() {
    let golden = golden();
    for operation in [&golden.installs, &golden.executes, &golden.installs_and_uses] {
        assert_eq!(
            operation.unpack().hash(golden.entry_point, golden.chain_id),
            operation.user_op_hash
        );
        let key = operation.nonce_key();
        assert_eq!(nonce(key.nonce_key(), 0), U256::from_be_bytes(operation.nonce.0));
    }
    let installs = &golden.installs;
    let by_owner = signature::owner(&signed(golden.owner_private_key, installs.user_op_hash));
    assert_eq!(by_owner, installs.signature);
    assert!(installs.nonce_key().is_global);

    // A key under the accounts' own validation module signs with a type byte, as an owner does.
    let executes = &golden.executes;
    let by_key = signature::owner(&signed(golden.session_key_private_key, executes.user_op_hash));
    assert_eq!(by_key, executes.signature);
    assert_eq!(executes.nonce_key().entity_id, 5);
    // The session key module's keys sign without.
    let own = signature::session_key(&signed(golden.session_key_private_key, executes.user_op_hash));
    assert_eq!(own[1..], by_key[2..]);
    assert_eq!(own.len(), 66);
}

#[test]
fn validations_are_installed_and_uninstalled_as_the_account_accepts() {
    let golden = golden();
    let bytes: &[u8] = &golden.install_validation;
    type Arguments = (FixedBytes<25>, Vec<Selector>, Bytes, Vec<Bytes>);
    let (config, selectors, install_data, hooks) = Arguments::abi_decode_params(&bytes[4..]).unwrap();
    let [module @ .., flags] = config.0;
    let validation = ModuleEntity::from(FixedBytes::<24>::new(module));
    assert_eq!(validation.module, known::SINGLE_SIGNER_VALIDATION_MODULE);
    let hooks: Vec<_> = hooks
        .iter()
        .map(|hook| account_calldata::NewHook {
            config: HookConfig::from(FixedBytes::<25>::from_slice(&hook[..25])),
            install_data: Bytes::copy_from_slice(&hook[25..]),
        })
        .collect();
    assert!(
        hooks
            .iter()
            .any(|hook| hook.config.kind() == HookKind::Validation)
    );
    let config = ValidationConfig {
        validation,
        flags: ValidationFlags(flags),
    };
    let ours = account_calldata::install_validation(config, &selectors, install_data, &hooks);
    assert_eq!(ours, golden.install_validation);

    type Uninstalled = (FixedBytes<24>, Bytes, Vec<Bytes>);
    let bytes: &[u8] = &golden.uninstall_validation;
    let (function, data, hook_data) = Uninstalled::abi_decode_params(&bytes[4..]).unwrap();
    let ours = account_calldata::uninstall_validation(ModuleEntity::from(function), data, hook_data);
    assert_eq!(ours, golden.uninstall_validation);
}

#[test]
fn execute_is_wrapped_where_the_validation_has_execution_hooks() {
    let golden = golden();
    let inner = &golden.executes.call_data[4..];
    assert_eq!(
        account_calldata::execute_user_op(inner),
        golden.executes.call_data
    );
    type Arguments = (Address, U256, Bytes);
    let (target, value, data) = Arguments::abi_decode_params(&inner[4..]).unwrap();
    let call = Call { target, value, data };
    assert_eq!(calldata::execute(&call).as_ref(), inner);
}

#[test]
fn a_deferred_action_is_signed_and_carried_as_the_account_accepts() {
    let golden = golden();
    let carrier = &golden.installs_and_uses;
    assert!(carrier.nonce_key().has_deferred_action);
    let action = DeferredAction {
        authorized_by: FALLBACK_VALIDATION,
        is_global: true,
        nonce: carrier.nonce.into(),
        deadline: golden.deferred_deadline,
        call: golden.deferred_call.clone(),
    };
    let hash = action.signing_hash(golden.semi_modular_account, golden.chain_id);
    assert_eq!(hash, golden.deferred_typed_data_hash);
    let prefix = action
        .signature_prefix(&signed_typed_data(golden.owner_private_key, hash))
        .unwrap();
    assert!(golden.deferred_prefix.starts_with(&prefix) || prefix.starts_with(&golden.deferred_prefix));
    let own = signature::owner(&signed(golden.session_key_private_key, carrier.user_op_hash));
    assert_eq!(
        [prefix.as_ref(), own.as_ref()].concat(),
        carrier.signature.as_ref()
    );
}

#[test]
fn messages_are_signed_as_the_accounts_accept() {
    let golden = golden();
    let owner = ModuleEntity::new(known::SINGLE_SIGNER_VALIDATION_MODULE, 0);
    for (validation, account, expected, expected_signature) in [
        (
            owner,
            golden.modular_account,
            golden.modular_message_hash,
            &golden.modular_message_signature,
        ),
        (
            FALLBACK_VALIDATION,
            golden.semi_modular_account,
            golden.semi_modular_message_hash,
            &golden.semi_modular_message_signature,
        ),
    ] {
        let hash = signature::message_hash(validation, account, golden.chain_id, golden.message);
        assert_eq!(hash, expected);
        let signed = signed_typed_data(golden.owner_private_key, hash);
        assert_eq!(signature::message(validation, &signed), *expected_signature);
    }
    assert_eq!(key(golden.session_key_private_key).address(), golden.session_key);
}
