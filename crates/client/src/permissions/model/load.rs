use super::{ContractState, KeyState, RuleSet, Verdict, decode_execute_with_session_key};
use crate::{
    SmartAccount, UserOperation, abi::IPlugin, account::ReadError, calldata::Call, submit::SignedOperation,
    user_operation::DUMMY_SIGNATURE,
};
use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Selector},
    providers::Provider,
    transports::RpcError,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
};

/// What this project's plugin says of itself: `VERSION` and `AUTHOR` of `SessionKeyPlugin.sol`.
const PLUGIN_VERSION: &str = "1.1.0";
const PLUGIN_AUTHOR: &str = "The session-key authors";

impl KeyState {
    /// Reads a key's state from the chain, as far as calls to these functions need it, by the plugin's views: all at the block
    /// that `account` is read at. The lists of a key cannot be enumerated, so the state is not
    /// [`complete`](Self::complete).
    ///
    /// To read at one block although the chain moves on, name it: [`SmartAccount::at`].
    #[tracing::instrument(level = "debug", skip_all, fields(account = %account.address(), %session_key))]
    pub async fn load(
        account: &SmartAccount,
        session_key: Address,
        functions: impl IntoIterator<Item = (Address, Selector)>,
    ) -> Result<Self, ReadError> {
        let mut targets: BTreeMap<Address, BTreeSet<Selector>> = BTreeMap::new();
        for (target, selector) in functions {
            targets.entry(target).or_default().insert(selector);
        }
        let targets: Vec<_> = targets.into_iter().collect();
        let state = Self {
            complete: false,
            ..Self::unregistered(account.address(), session_key)
        };
        // For a key that is not registered the other views revert.
        if !account.is_session_key(session_key).await? {
            return Ok(state);
        }
        let (
            access_control_type,
            time_range,
            native_limit,
            gas_limit,
            required_paymaster,
            contracts,
            rule_set,
        ) = tokio::try_join!(
            account.access_control_type(session_key),
            account.time_range(session_key),
            account.native_token_spend_limit(session_key),
            account.gas_spend_limit(session_key),
            account.required_paymaster(session_key),
            load_contracts(account, session_key, &targets),
            load_rule_set(account),
        )?;
        Ok(Self {
            registered: true,
            access_control_type,
            contracts: contracts.into_iter().collect(),
            time_range,
            native_limit,
            gas_limit,
            required_paymaster,
            rule_set,
            ..state
        })
    }

    /// The same for the functions that these calls call.
    pub async fn load_for_calls(
        account: &SmartAccount,
        session_key: Address,
        calls: &[Call],
    ) -> Result<Self, ReadError> {
        let functions = calls.iter().map(|call| (call.target, call.selector()));
        Self::load(account, session_key, functions).await
    }
}

/// Reads what an operation of a session key touches, and says what the chain would say of it in its latest block. The
/// signature is left out of it as long as there is none, or the dummy.
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
    let state = KeyState::load_for_calls(&account, session_key, &calls).await?;
    if operation.signature.is_empty() || operation.signature == DUMMY_SIGNATURE {
        return Ok(state.check(operation, time));
    }
    let signed = SignedOperation {
        hash: operation.hash(account.deployment().entry_point, account.chain_id()),
        operation: operation.clone(),
    };
    Ok(state.check_signed(&signed, time))
}

/// Whose plugin it is, as the plugin itself says. What does not answer as this project's does is another.
async fn load_rule_set(account: &SmartAccount) -> Result<RuleSet, ReadError> {
    let plugin = account.deployment().session_key_plugin;
    match account.call(plugin, IPlugin::pluginMetadataCall {}).await {
        Ok(metadata) if (&*metadata.version, &*metadata.author) == (PLUGIN_VERSION, PLUGIN_AUTHOR) => {
            Ok(RuleSet::Strict)
        }
        Ok(_) | Err(ReadError::Reverted { .. } | ReadError::UnexpectedAnswer { .. }) => {
            Ok(RuleSet::Compatible)
        }
        Err(error) => Err(error),
    }
}

type Target = (Address, BTreeSet<Selector>);
type Loading<'a, T> = Pin<Box<dyn Future<Output = Result<Vec<T>, ReadError>> + Send + 'a>>;

/// Reads all at once, by halves.
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
                let contract = ContractState {
                    is_on_list: entry.is_on_list,
                    check_selectors: entry.check_selectors,
                    functions: functions.into_iter().collect(),
                    token_limit,
                };
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
