//! Breaks down the gas of a session key's operation: traces the second use of three keys on a simulated chain
//! and prints one tab-separated line per part (operation, part, gas units). `script/gas-report.py`
//! draws a chart.

mod simulated_chain;

use session_key_client::{
    Call, NewSessionKey, SessionKeyClient,
    alloy::{
        primitives::{Address, B256, U256, address},
        signers::local::PrivateKeySigner,
    },
    operation::Gas,
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit},
};
use session_key_testkit::CallTrace;
use simulated_chain::{RECIPIENT, Start, start, transfer};
use std::{collections::BTreeMap, error::Error, sync::Arc};

const ECRECOVER: Address = address!("0x0000000000000000000000000000000000000001");

const DAY: u64 = 86_400;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let token = start.stack.token;
    let ether = U256::from(10).pow(U256::from(18));
    let until = start.testkit.chain().timestamp() + 365 * DAY;
    let range = Permissions::new().valid_after(1).valid_until(until);
    let keys = [
        (
            "allowlisted address, time range",
            range.clone().contract(RECIPIENT),
            Call::new(RECIPIENT, [0u8; 4]),
        ),
        (
            "ERC-20 limit, transfer",
            range
                .clone()
                .contract(token)
                .erc20_spend_limit(token, SpendLimit::total(ether)),
            Call::new(token, transfer(RECIPIENT, 1)),
        ),
        (
            "P, ERC-20 transfer",
            range
                .contract_functions(token, [ERC20_TRANSFER])
                .native_token_spend_limit(SpendLimit::per(ether, DAY))
                .erc20_spend_limit(token, SpendLimit::total(ether))
                .gas_spend_limit(SpendLimit::per(ether, DAY)),
            Call::new(token, transfer(RECIPIENT, 1)),
        ),
    ];
    // Fixed keys make the figures reproducible.
    let signers: Vec<_> = (1..=keys.len())
        .map(|number| {
            PrivateKeySigner::from_bytes(&B256::with_last_byte(u8::try_from(number)?)).map_err(Into::into)
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let granted = keys
        .iter()
        .zip(&signers)
        .map(|((_, permissions, _), signer)| NewSessionKey::new(signer.address(), permissions))
        .collect::<Result<Vec<_>, _>>()?;
    start.owner.install_session_key_plugin(granted).await?;

    let gas = Gas {
        call_gas_limit: U256::from(150_001),
        verification_gas_limit: U256::from(150_001),
        pre_verification_gas: U256::from(50_001),
    };
    let ample = Gas {
        pre_verification_gas: U256::from(500_001),
        ..gas
    };
    for ((name, _, call), signer) in keys.into_iter().zip(signers) {
        let agent =
            SessionKeyClient::shared(start.account.clone(), Arc::new(signer), start.submitter.clone());
        // Without given fees and gas limits, an operation carries random bits, which change the gas
        // of its data.
        let execute = |call, gas| {
            agent
                .execute([call])
                .gas_limits(gas)
                .fees(U256::from(30_000_000_007_u64), U256::from(1_000_000_007))
        };
        // The first operation leaves a deposit at the EntryPoint, so the second need not add to it.
        execute(call.clone(), ample).await?;
        let included = execute(call, gas).await?;
        let trace = start
            .testkit
            .chain()
            .trace_transaction(included.receipt.transaction_hash)?;
        for (part, gas) in parts(&start, &trace) {
            println!("{name}\t{part}\t{gas}");
        }
    }
    Ok(())
}

/// Returns the gas units of each part, in a fixed order.
fn parts(start: &Start, trace: &CallTrace) -> Vec<(&'static str, u64)> {
    let data_gas: u64 = trace
        .input
        .iter()
        .map(|byte| if *byte == 0 { 4 } else { 16 })
        .sum();
    let transaction = 21_000 + data_gas;
    let mut gas = BTreeMap::from([("transaction and its data", transaction)]);
    add(start, trace, Phase::EntryPoint, transaction, &mut gas);
    [
        "transaction and its data",
        "EntryPoint",
        "account, validation",
        "plugin, validation",
        "signature",
        "account, execution",
        "plugin, execution",
        "target",
    ]
    .map(|part| (part, gas.get(part).copied().unwrap_or_default()))
    .to_vec()
}

#[derive(Clone, Copy)]
enum Phase {
    EntryPoint,
    Validation,
    Execution,
}

/// Adds the gas used by this frame itself, and recurses into its calls. `outside` is the part of the frame's
/// figure that was used outside of it.
fn add(start: &Start, frame: &CallTrace, phase: Phase, outside: u64, gas: &mut BTreeMap<&'static str, u64>) {
    let to = frame.to.unwrap_or_default();
    let called: u64 = frame.calls.iter().map(|call| call.gas_used).sum();
    let is_account =
        to == start.account.address() || frame.from == start.account.address() && is_delegated(frame);
    let part = if to == start.stack.entry_point {
        "EntryPoint"
    } else if to == ECRECOVER {
        "signature"
    } else if to == start.stack.session_key_plugin {
        match phase {
            Phase::Validation => "plugin, validation",
            _ => "plugin, execution",
        }
    } else if is_account {
        match phase {
            Phase::Validation => "account, validation",
            _ => "account, execution",
        }
    } else {
        "target"
    };
    *gas.entry(part).or_default() += frame.gas_used - called - outside;
    for call in &frame.calls {
        let inner = match phase {
            Phase::EntryPoint if call.to == Some(start.account.address()) => Phase::Validation,
            // The EntryPoint calls itself to run an operation.
            Phase::EntryPoint if call.to == Some(start.stack.entry_point) => Phase::Execution,
            other => other,
        };
        add(start, call, inner, 0, gas);
    }
}

fn is_delegated(frame: &CallTrace) -> bool {
    frame.kind == session_key_testkit::CallKind::DelegateCall
}
