//! The model of a session key against the chain: the same operation, the same answer, the
//! same state afterwards.

mod calls;
mod explain;
mod limits;
mod operations;
mod world;

use crate::fixture::{deployment, key};
use session_key_bindings::{IEntryPoint, manifest_hash};
use session_key_client::{
    Call, NewSessionKey, Revert, SignedOperation, SmartAccount, UserOperation,
    alloy::{
        primitives::{Address, B256, Bytes, Selector, U256, hex, uint},
        rpc::types::TransactionRequest,
        signers::{SignerSync, local::PrivateKeySigner},
        sol_types::{SolCall, SolEvent},
    },
    calldata,
    explain::{
        Became, ExplainOptions, Failure, explain, explain_failure, explain_hash, load, load_for_calls,
    },
    permissions::{
        AaCode, AccessControlType, AddressEntry, ERC20_TRANSFER, LimitChange, MAX_SECONDS, PermissionUpdates,
        SpendLimit, TimeRange, execute_with_session_key,
        model::{KeyState, Phase, RuleSet, Verdict},
        nonce, session_key_nonce_key,
    },
    revert::PluginError,
};
use session_key_testkit::{Chain, Execution, LogLimits, NodeOptions, Stack, Testkit, dev_accounts};
use world::{Outcome, World, transaction};

/// When the key gets its permissions.
const START: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// Contracts without code, so that every call to them succeeds.
const SHOP: Address = Address::repeat_byte(0x51);
const TOKEN: Address = Address::repeat_byte(0x70);
const OTHER: Address = Address::repeat_byte(0x0e);

const BUY: Selector = Selector::new(hex!("a0712d68"));
const SELL: Selector = Selector::new(hex!("e4849b32"));

/// Gas limits and fee of the operations here, and what they cost at the most.
const GAS: u64 = 1_000_000;
const FEE: u64 = 2_000_000_000;
const COST: U256 = uint!(6_000_000_000_000_000_U256);
const SPONSORED_COST: U256 = uint!(10_000_000_000_000_000_U256);

fn codes(verdict: &Verdict) -> Vec<&'static str> {
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

fn list(kind: AccessControlType) -> PermissionUpdates {
    PermissionUpdates::new().access_control_type(kind)
}
