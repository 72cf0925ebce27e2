//! Reads a key's state, and checks an operation against it.

use crate::{
    abi::IPlugin,
    account::{Generation, ReadError, SmartAccount},
};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Selector},
    providers::Provider,
    sol_types::SolCall as _,
    transports::RpcError,
};
use session_key_bindings::{
    IModule,
    plugin_metadata::{SESSION_KEY_PLUGIN_AUTHOR, SESSION_KEY_PLUGIN_VERSION},
};
use session_key_permissions::{
    Call, DUMMY_SIGNATURE, SignedOperation, UserOperation,
    model::{ContractState, KeyState, RuleSet, Verdict, decode_execute_with_session_key},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
};

/// `moduleId()` of the session key module whose rules the model implements.
pub(crate) const SESSION_KEY_MODULE_ID: &str = "session-keys.session-key-module.1.0.0";

/// Reads a key's state by the plugin's views, as far as calls to these functions need it: all at the block
/// that `account` is read at. A key's lists cannot be enumerated, so the state is not
/// [`complete`](KeyState::complete).
///
/// To read at one block while the chain moves on, name it: [`SmartAccount::at`].
#[tracing::instrument(level = "debug", skip_all, fields(account = %account.address(), %session_key))]
pub async fn load(
    account: &SmartAccount,
    session_key: Address,
    functions: impl IntoIterator<Item = (Address, Selector)>,
) -> Result<KeyState, ReadError> {
    let mut targets: BTreeMap<Address, BTreeSet<Selector>> = BTreeMap::new();
    for (target, selector) in functions {
        targets.entry(target).or_default().insert(selector);
    }
    let targets: Vec<_> = targets.into_iter().collect();
    let mut state = KeyState::unregistered(account.address(), session_key);
    state.complete = false;
    // All concurrently: for an unregistered key the other views revert, and are ignored.
    let (is_registered, views) = tokio::join!(account.is_session_key(session_key), async {
        tokio::try_join!(
            account.access_control_type(session_key),
            account.time_range(session_key),
            account.native_token_spend_limit(session_key),
            account.gas_spend_limit(session_key),
            account.required_paymaster(session_key),
            load_contracts(account, session_key, &targets),
            load_rule_set(account),
            modules_among(account, targets.iter().map(|(target, _)| *target)),
        )
    });
    if !is_registered? {
        return Ok(state);
    }
    let contracts;
    (
        state.access_control_type,
        state.time_range,
        state.native_limit,
        state.gas_limit,
        state.required_paymaster,
        contracts,
        state.rule_set,
        state.modules,
    ) = views?;
    state.contracts = contracts.into_iter().collect();
    state.registered = true;
    Ok(state)
}

/// Like [`load`], for the functions that these calls call.
pub async fn load_for_calls(
    account: &SmartAccount,
    session_key: Address,
    calls: &[Call],
) -> Result<KeyState, ReadError> {
    let functions = calls.iter().map(|call| (call.target, call.selector()));
    load(account, session_key, functions).await
}

/// Reads the state that a session key's operation touches, and returns the chain's verdict on it as of the
/// latest block. A missing or dummy signature is not checked.
#[tracing::instrument(level = "debug", skip_all, fields(account = %account.address(), %session_key))]
pub async fn explain(
    account: &SmartAccount,
    operation: &UserOperation,
    session_key: Address,
) -> Result<Verdict, ReadError> {
    let latest = account
        .provider()
        .get_block_by_number(BlockNumberOrTag::Latest)
        .await?
        .ok_or(RpcError::NullResp)?;
    let time = latest.header.timestamp;
    let account = account.clone().at(latest.header.number);
    let calls = decode_execute_with_session_key(&operation.call_data).map_or(Vec::new(), |(calls, _)| calls);
    let state = load_for_calls(&account, session_key, &calls).await?;
    if operation.signature.is_empty() || operation.signature.ends_with(&DUMMY_SIGNATURE) {
        return Ok(state.check(operation, time));
    }
    let signed = SignedOperation {
        hash: operation.hash(account.deployment().entry_point, account.chain_id()),
        operation: operation.clone(),
    };
    Ok(state.check_signed(&signed, time))
}

/// Returns the rules of the account's plugin, as far as known.
pub async fn rule_set(account: &SmartAccount) -> Result<RuleSet, ReadError> {
    load_rule_set(account).await
}

/// Identifies the plugin by its own metadata. A plugin that does not answer like this project's is a
/// different one. A module of another version is an error: its rules are not known.
pub(crate) async fn load_rule_set(account: &SmartAccount) -> Result<RuleSet, ReadError> {
    let plugin = account.deployment().session_key_plugin;
    if let Generation::V08(_) = account.generation() {
        let id = account.call(plugin, IModule::moduleIdCall {}).await?;
        return if id == SESSION_KEY_MODULE_ID {
            Ok(RuleSet::Module(plugin))
        } else {
            Err(ReadError::UnexpectedAnswer {
                contract: plugin,
                function: IModule::moduleIdCall::SIGNATURE,
            })
        };
    }
    match account.call(plugin, IPlugin::pluginMetadataCall {}).await {
        Ok(metadata)
            if (&*metadata.version, &*metadata.author)
                == (SESSION_KEY_PLUGIN_VERSION, SESSION_KEY_PLUGIN_AUTHOR) =>
        {
            Ok(RuleSet::Strict)
        }
        Ok(_) | Err(ReadError::Reverted { .. } | ReadError::UnexpectedAnswer { .. }) => {
            Ok(RuleSet::Compatible)
        }
        Err(error) => Err(error),
    }
}

/// Returns the calls' targets that identify as ERC-6900 modules.
pub(crate) async fn load_modules(
    account: &SmartAccount,
    calls: &[Call],
) -> Result<BTreeSet<Address>, ReadError> {
    let targets: BTreeSet<Address> = calls.iter().map(|call| call.target).collect();
    modules_among(account, targets).await
}

/// Returns the targets that identify as ERC-6900 modules to the session key module's query: it refuses calls
/// to them. Empty on accounts without the module, whose plugin makes no such query.
async fn modules_among(
    account: &SmartAccount,
    targets: impl IntoIterator<Item = Address>,
) -> Result<BTreeSet<Address>, ReadError> {
    let Generation::V08(_) = account.generation() else {
        return Ok(BTreeSet::new());
    };
    let asked = targets.into_iter().map(async |target| {
        let is_module = account.answers_as_module(target).await?;
        Ok::<_, ReadError>(is_module.then_some(target))
    });
    let modules = futures_util::future::try_join_all(asked).await?;
    Ok(modules.into_iter().flatten().collect())
}

type Target = (Address, BTreeSet<Selector>);
type Loading<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<T>, ReadError>> + Send + 'a>>;

/// Reads all entries concurrently, splitting them in halves.
fn load_contracts<'a>(
    account: &'a SmartAccount,
    session_key: Address,
    targets: &'a [Target],
) -> Loading<'a, (Address, ContractState)> {
    Box::pin(async move {
        match targets {
            [] => Ok(Vec::new()),
            [(target, selectors)] => {
                let selectors: Vec<Selector> = selectors.iter().copied().collect();
                let (entry, token_limit, functions) = tokio::try_join!(
                    account.access_list_entry(session_key, *target),
                    account.erc20_spend_limit(session_key, *target),
                    load_functions(account, session_key, *target, &selectors),
                )?;
                let mut contract = ContractState::default();
                contract.is_on_list = entry.is_on_list;
                contract.check_selectors = entry.check_selectors;
                contract.functions = functions.into_iter().collect();
                contract.token_limit = token_limit;
                Ok(vec![(*target, contract)])
            }
            many => {
                let (first, second) = many.split_at(many.len() / 2);
                let (mut first, second) = tokio::try_join!(
                    load_contracts(account, session_key, first),
                    load_contracts(account, session_key, second),
                )?;
                first.extend(second);
                Ok(first)
            }
        }
    })
}

fn load_functions<'a>(
    account: &'a SmartAccount,
    session_key: Address,
    contract: Address,
    selectors: &'a [Selector],
) -> Loading<'a, (Selector, bool)> {
    Box::pin(async move {
        match selectors {
            [] => Ok(Vec::new()),
            [selector] => {
                let is_on_list = account
                    .is_function_on_list(session_key, contract, *selector)
                    .await?;
                Ok(vec![(*selector, is_on_list)])
            }
            many => {
                let (first, second) = many.split_at(many.len() / 2);
                let (mut first, second) = tokio::try_join!(
                    load_functions(account, session_key, contract, first),
                    load_functions(account, session_key, contract, second),
                )?;
                first.extend(second);
                Ok(first)
            }
        }
    })
}
