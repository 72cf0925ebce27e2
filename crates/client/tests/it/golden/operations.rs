//! User operations of every action: call data, hash and signature.

use super::{Quantity, folder, read};
use serde::Deserialize;
use serde_json::value::RawValue;
use session_key_client::{
    Call, UserOperation,
    alloy::{
        primitives::{Address, B256, Bytes, FixedBytes, Selector, U256, aliases::U192, hex, keccak256},
        signers::local::PrivateKeySigner,
        sol_types::SolValue,
    },
    calldata::{self, FunctionReference, NewSessionKey, UninstallConfig},
    key_list::SENTINEL,
    permissions::{
        DUMMY_SIGNATURE, EntryPointVersion, execute_with_session_key, nonce, session_key_nonce_key,
    },
    signer::{sign_hash, sign_user_operation},
};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OperationVectors {
    chain_id: Quantity,
    entry_point: Address,
    #[serde(default)]
    account: Option<Address>,
    #[serde(default)]
    addresses: Addresses,
    #[serde(default)]
    session_key_plugin_manifest: Option<Bytes>,
    #[serde(default)]
    session_key_plugin_manifest_hash: Option<B256>,
    #[serde(default)]
    dummy_signature: Option<Bytes>,
    operations: Vec<OperationCase>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Addresses {
    factory: Option<Address>,
    multi_owner_plugin: Option<Address>,
    session_key_plugin: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OperationCase {
    name: String,
    #[serde(default)]
    input: Input,
    #[serde(default)]
    signer_private_key: Option<B256>,
    #[serde(default)]
    signer: Option<Address>,
    #[serde(default)]
    call_data: Option<Bytes>,
    user_op: UserOpJson,
    #[serde(default)]
    user_op_hash: Option<B256>,
    #[serde(default)]
    signature: Option<Bytes>,
}

/// The union of the inputs of all actions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Input {
    keys: Option<Vec<Address>>,
    tags: Option<Vec<B256>>,
    permissions: Option<Box<RawValue>>,
    dependencies: Option<Vec<FixedBytes<21>>>,
    plugin_address: Option<Address>,
    manifest_hash: Option<B256>,
    plugin_init_data: Option<Bytes>,
    plugin_uninstall_data: Option<Bytes>,
    config: Option<Bytes>,
    serialized_manifest: Option<Bytes>,
    #[serde(alias = "force")]
    force_uninstall: Option<bool>,
    callback_gas_limit: Option<Quantity>,
    key: Option<Address>,
    tag: Option<B256>,
    #[serde(alias = "permissionUpdates")]
    updates: Option<Vec<Bytes>>,
    old_key: Option<Address>,
    new_key: Option<Address>,
    predecessor: Option<B256>,
    calls: Option<Vec<CallJson>>,
    session_key: Option<Address>,
    nonce_key: Option<Quantity>,
    paymaster_and_data: Option<Bytes>,
    target: Option<Address>,
    value: Option<Quantity>,
    data: Option<Bytes>,
    owners_to_add: Option<Vec<Address>>,
    owners_to_remove: Option<Vec<Address>>,
    salt: Option<Quantity>,
    owners: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct CallJson {
    target: Address,
    #[serde(default)]
    value: Option<Quantity>,
    #[serde(default)]
    data: Bytes,
}

impl From<&CallJson> for Call {
    fn from(call: &CallJson) -> Self {
        let value = call
            .value
            .as_ref()
            .map_or(U256::ZERO, |value| value.uint256().unwrap());
        Self {
            target: call.target,
            value,
            data: call.data.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserOpJson {
    sender: Address,
    nonce: Quantity,
    #[serde(default)]
    init_code: Bytes,
    call_data: Bytes,
    call_gas_limit: Quantity,
    verification_gas_limit: Quantity,
    pre_verification_gas: Quantity,
    max_fee_per_gas: Quantity,
    max_priority_fee_per_gas: Quantity,
    #[serde(default)]
    paymaster_and_data: Bytes,
    #[serde(default)]
    signature: Bytes,
}

impl UserOpJson {
    fn user_operation(&self) -> UserOperation {
        UserOperation {
            version: EntryPointVersion::V06,
            sender: self.sender,
            nonce: self.nonce.uint256().unwrap(),
            init_code: self.init_code.clone(),
            call_data: self.call_data.clone(),
            call_gas_limit: self.call_gas_limit.uint256().unwrap(),
            verification_gas_limit: self.verification_gas_limit.uint256().unwrap(),
            pre_verification_gas: self.pre_verification_gas.uint256().unwrap(),
            max_fee_per_gas: self.max_fee_per_gas.uint256().unwrap(),
            max_priority_fee_per_gas: self.max_priority_fee_per_gas.uint256().unwrap(),
            paymaster_and_data: self.paymaster_and_data.clone(),
            signature: self.signature.clone(),
            authorization: None,
        }
    }
}

/// A number that may be left out, and is then 0.
fn number(quantity: &Option<Quantity>) -> U256 {
    quantity
        .as_ref()
        .map_or(U256::ZERO, |quantity| quantity.uint256().unwrap())
}

/// The call data of a case, built by the client from the case's input.
fn call_data(case: &OperationCase, addresses: &Addresses) -> Bytes {
    let input = &case.input;
    let selector = hex::encode(&case.user_op.call_data[..4]);
    let missing = |field: &str| -> ! { panic!("{}: the input has no {field}", case.name) };
    macro_rules! need {
        ($field:ident) => {
            input
                .$field
                .as_ref()
                .unwrap_or_else(|| missing(stringify!($field)))
        };
    }
    let permissions = || match (&input.permissions, &input.updates) {
        (Some(raw), _) => serde_json::from_str(raw.get()).expect(&case.name),
        (None, Some(updates)) => updates.clone(),
        (None, None) => Vec::new(),
    };
    let key = || input.key.or(input.session_key).unwrap_or_else(|| missing("key"));
    let session_key = || {
        input
            .session_key
            .or(case.signer)
            .unwrap_or_else(|| missing("sessionKey"))
    };
    let calls = || need!(calls).iter().map(Call::from).collect::<Vec<_>>();
    let plugin = input.plugin_address.or(addresses.session_key_plugin);
    match selector.as_str() {
        // installPlugin
        "c5f0e8d1" => {
            let plugin = plugin.unwrap_or_else(|| missing("pluginAddress"));
            let is_session_key_plugin = input.keys.is_some();
            let install_data = match (&input.plugin_init_data, &input.keys, &input.owners) {
                (Some(data), _, _) => data.clone(),
                (None, Some(keys), _) => {
                    let permissions: Vec<Vec<Bytes>> = match &input.permissions {
                        Some(raw) => serde_json::from_str(raw.get()).expect(&case.name),
                        None => vec![Vec::new(); keys.len()],
                    };
                    let tags = input.tags.clone().unwrap_or_else(|| vec![B256::ZERO; keys.len()]);
                    assert_eq!(
                        (keys.len(), keys.len()),
                        (tags.len(), permissions.len()),
                        "{}",
                        case.name
                    );
                    let keys: Vec<NewSessionKey> = std::iter::zip(keys, std::iter::zip(tags, permissions))
                        .map(|(key, (tag, permissions))| NewSessionKey {
                            key: *key,
                            tag,
                            permissions,
                        })
                        .collect();
                    calldata::session_key_plugin_install_data(&keys)
                }
                (None, None, Some(owners)) => calldata::multi_owner_plugin_install_data(owners),
                (None, None, None) => Bytes::new(),
            };
            let dependencies = match &input.dependencies {
                Some(packed) => packed.iter().copied().map(FunctionReference::from).collect(),
                None if is_session_key_plugin => {
                    let owner_plugin = addresses
                        .multi_owner_plugin
                        .unwrap_or_else(|| missing("multiOwnerPlugin"));
                    calldata::owner_dependencies(owner_plugin).to_vec()
                }
                None => Vec::new(),
            };
            let manifest_hash = match input.manifest_hash {
                Some(hash) => hash,
                None if is_session_key_plugin => session_key_bindings::manifest_hash::SESSION_KEY_PLUGIN,
                None => session_key_bindings::manifest_hash::MULTI_OWNER_PLUGIN,
            };
            calldata::install_plugin(plugin, manifest_hash, install_data, &dependencies)
        }
        // uninstallPlugin
        "c1a221f3" => {
            let config = match &input.config {
                Some(config) => config.clone(),
                None => UninstallConfig {
                    serialized_manifest: input.serialized_manifest.clone().unwrap_or_default(),
                    force: input.force_uninstall.unwrap_or_default(),
                    callback_gas_limit: number(&input.callback_gas_limit),
                }
                .encode(),
            };
            calldata::uninstall_plugin(
                plugin.unwrap_or_else(|| missing("pluginAddress")),
                config,
                input.plugin_uninstall_data.clone().unwrap_or_default(),
            )
        }
        // addSessionKey
        "9aa74d23" => calldata::add_session_key(&NewSessionKey {
            key: key(),
            tag: input.tag.unwrap_or_default(),
            permissions: permissions(),
        }),
        // removeSessionKey
        "64b2bd25" => calldata::remove_session_key(key(), input.predecessor.unwrap_or(SENTINEL)),
        // rotateSessionKey
        "85cb6e95" => calldata::rotate_session_key(
            *need!(old_key),
            input.predecessor.unwrap_or(SENTINEL),
            *need!(new_key),
        ),
        // updateKeyPermissions
        "bb319893" => calldata::update_key_permissions(key(), permissions()),
        // executeWithSessionKey
        "31d99c2c" => execute_with_session_key(&calls(), session_key()),
        // execute
        "b61d27f6" => calldata::execute(&Call {
            target: *need!(target),
            value: input
                .value
                .as_ref()
                .map_or(U256::ZERO, |value| value.uint256().unwrap()),
            data: input.data.clone().unwrap_or_default(),
        }),
        // executeBatch
        "34fcd5be" => calldata::execute_batch(&calls()),
        // updateOwners
        "39562247" => calldata::update_owners(
            input.owners_to_add.as_deref().unwrap_or_default(),
            input.owners_to_remove.as_deref().unwrap_or_default(),
        ),
        other => panic!("{}: no action has the selector {}", case.name, other),
    }
}

#[tokio::test]
async fn operations_equal_those_of_the_typescript_client() {
    let vectors: OperationVectors = read("operations.json");
    assert!(!vectors.operations.is_empty());
    let chain_id: u64 = vectors.chain_id.uint256().unwrap().try_into().unwrap();
    let mut kinds = BTreeMap::<Selector, usize>::new();
    for case in &vectors.operations {
        let name = &case.name;
        let mut op = case.user_op.user_operation();
        *kinds.entry(Selector::from_slice(&op.call_data[..4])).or_default() += 1;
        if let Some(account) = vectors.account {
            assert_eq!(op.sender, account, "{name}");
        }

        let built = call_data(case, &vectors.addresses);
        assert_eq!(built, op.call_data, "{name}");
        if let Some(call_data) = &case.call_data {
            assert_eq!(&built, call_data, "{name}");
        }
        let sequence = op.nonce.as_limbs()[0];
        let lane = match (&case.input.nonce_key, case.input.session_key) {
            (Some(lane), _) => Some(U192::from(lane.uint256().unwrap())),
            (None, Some(key)) if !op.nonce_key().is_zero() => Some(session_key_nonce_key(key)),
            _ => None,
        };
        if let Some(lane) = lane {
            assert_eq!(op.nonce, nonce(lane, sequence), "{name}");
            if let (Some(key), false) = (case.input.session_key, lane.is_zero()) {
                assert_eq!(lane, session_key_nonce_key(key), "{name}");
            }
        }
        if let Some(paymaster_and_data) = &case.input.paymaster_and_data {
            assert_eq!(&op.paymaster_and_data, paymaster_and_data, "{name}");
        }
        if let (Some(factory), Some(owners), false) = (
            vectors.addresses.factory,
            &case.input.owners,
            op.init_code.is_empty(),
        ) {
            let salt = case
                .input
                .salt
                .as_ref()
                .map_or(U256::ZERO, |salt| salt.uint256().unwrap());
            let init_code = calldata::init_code(factory, salt, owners).unwrap();
            assert_eq!(op.init_code, init_code, "{name}");
        }

        let hash = op.hash(vectors.entry_point, chain_id);
        if let Some(user_op_hash) = case.user_op_hash {
            assert_eq!(hash, user_op_hash, "{name}");
        }
        if let Some(key) = &case.signer_private_key {
            let signer = PrivateKeySigner::from_bytes(key).unwrap();
            if let Some(address) = case.signer {
                assert_eq!(signer.address(), address, "{name}");
            }
            let signature = sign_hash(&signer, hash).await.unwrap();
            for expected in [case.signature.as_ref(), Some(&case.user_op.signature)]
                .into_iter()
                .flatten()
            {
                assert_eq!(&signature, expected, "{name}");
            }
            op.signature = Bytes::new();
            assert_eq!(
                sign_user_operation(&mut op, &signer, vectors.entry_point, chain_id)
                    .await
                    .unwrap(),
                hash
            );
            assert_eq!(op.signature, signature, "{name}");
        }

        // The JSON that goes to a bundler reads back as the same operation.
        let json = serde_json::to_value(&op).unwrap();
        let read: UserOpJson = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(read.user_operation(), op, "{name}");
        assert_eq!(
            json["preVerificationGas"],
            format!("{:#x}", op.pre_verification_gas),
            "{name}"
        );
    }
    if let Some(signature) = &vectors.dummy_signature {
        assert_eq!(signature, &DUMMY_SIGNATURE);
    }
    if let Some(hash) = vectors.session_key_plugin_manifest_hash {
        assert_eq!(hash, session_key_bindings::manifest_hash::SESSION_KEY_PLUGIN);
        if let Some(encoded) = &vectors.session_key_plugin_manifest {
            assert_eq!(keccak256(encoded), hash);
            let manifest = session_key_bindings::PluginManifest::abi_decode_validate(encoded).unwrap();
            assert_eq!(calldata::manifest_hash(&manifest), hash);
        }
    }
    if folder().1 {
        assert_eq!(vectors.operations.len(), 14);
        assert_eq!(kinds.len(), 7);
    }
    println!("{} operations of {} kinds", vectors.operations.len(), kinds.len());
}
