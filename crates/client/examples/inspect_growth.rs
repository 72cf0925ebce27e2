//! Measures how the time of an inspection grows with the number of keys. Inspects accounts with 125, 250, 500
//! and 1,000 keys of 20 entries each, on simulated chains whose nodes have the limits of public nodes, and
//! prints the times and their ratios. Fails if twice the keys take more than 2.2 times the time.
//!
//! The accounts take turns, so a busy machine slows down all of them. The fastest inspection of each counts.
//! While a ratio is too high, rounds are added, up to [`MOST_ROUNDS`].
//!
//! ```sh
//! cargo run --release -p session-key-client --example inspect_growth
//! ```

mod simulated_chain;

use session_key_client::{
    NewSessionKey, OwnerAction, SmartAccount,
    alloy::primitives::{Address, B256, Selector, U256},
    inspect::{InspectOptions, inspect},
    permissions::{Permissions, SpendLimit},
};
use session_key_testkit::{LogLimits, NodeOptions};
use simulated_chain::{Start, start};
use std::{
    error::Error,
    iter,
    time::{Duration, Instant},
};

const COUNTS: [u64; 4] = [125, 250, 500, 1_000];
/// The number of keys added in one transaction.
const AT_ONCE: usize = 5;
/// The maximum ratio of times for twice the keys.
const MOST: f64 = 2.2;
/// The minimum and maximum number of inspections of each account.
const ROUNDS: usize = 5;
const MOST_ROUNDS: usize = 40;
const WEEK: u64 = 7 * 86_400;

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// Returns permissions for ten contracts with one function each.
fn permissions(key: u64) -> Permissions {
    let set = Permissions::new().gas_spend_limit(SpendLimit::per(U256::from(10).pow(U256::from(18)), WEEK));
    (0..10).fold(set, |set, contract| {
        let selector = Selector::from([1, 2, 3, u8::try_from(contract).unwrap_or_default()]);
        set.contract_functions(address(1_000_000 + 10 * key + contract), [selector])
    })
}

/// Creates an account with `count` keys on its own chain.
async fn account_with(count: u64) -> Result<(Start, SmartAccount), Box<dyn Error>> {
    let start = start().await?;
    let owner = start.owner_signer.address();
    start
        .stack
        .create_account(&mut start.testkit.chain(), U256::ZERO, &[owner])?;
    let act = async |actions: Vec<OwnerAction>| -> Result<(), Box<dyn Error>> {
        let request = start.account.owner_transaction(owner, actions).await?;
        start.testkit.chain().send(request)?.ok()?;
        Ok(())
    };
    act(vec![OwnerAction::InstallSessionKeyPlugin {
        keys: Vec::new(),
        manifest_hash: None,
        dependencies: None,
    }])
    .await?;
    let numbers: Vec<u64> = (0..count).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let keys = numbers
            .iter()
            .map(|&number| {
                let key = NewSessionKey::new(address(1 + number), &permissions(number))?;
                Ok(OwnerAction::AddSessionKey(key.with_tag(B256::repeat_byte(7))))
            })
            .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        act(keys).await?;
    }
    let node = start.testkit.node(NodeOptions {
        logs: LogLimits {
            blocks: Some(10_000),
            results: Some(20_000),
            ..LogLimits::default()
        },
        ..NodeOptions::default()
    });
    let account = SmartAccount::new(
        node.provider(),
        start.account.chain_id(),
        start.account.address(),
        *start.account.deployment(),
    );
    Ok((start, account))
}

/// Returns each time as a multiple of the previous one.
fn ratios(fastest: [Duration; COUNTS.len()]) -> impl Iterator<Item = f64> {
    (1..COUNTS.len()).map(move |at| fastest[at].as_secs_f64() / fastest[at - 1].as_secs_f64())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut accounts = Vec::new();
    for count in COUNTS {
        accounts.push(account_with(count).await?);
    }

    let mut fastest = [Duration::MAX; COUNTS.len()];
    for round in 1..=MOST_ROUNDS {
        for (at, (_, account)) in accounts.iter().enumerate() {
            let begun = Instant::now();
            let inspection = inspect(account, &InspectOptions::new()).await?;
            fastest[at] = fastest[at].min(begun.elapsed());
            if !inspection.is_complete() || inspection.keys().len() as u64 != COUNTS[at] {
                return Err(format!("{} keys are not all there", COUNTS[at]).into());
            }
        }
        if round >= ROUNDS && ratios(fastest).all(|ratio| ratio <= MOST) {
            break;
        }
    }

    println!("{:>6}  {:>10}  {:>6}", "keys", "ms", "ratio");
    let shown = iter::once(String::new()).chain(ratios(fastest).map(|ratio| format!("{ratio:.2}")));
    for ((count, time), ratio) in COUNTS.iter().zip(fastest).zip(shown) {
        println!("{count:>6}  {:>10.1}  {ratio:>6}", time.as_secs_f64() * 1e3);
    }
    let worst = ratios(fastest).fold(0.0, f64::max);
    if worst > MOST {
        return Err(format!("twice the keys took {worst:.2} times the time: more than {MOST}").into());
    }
    Ok(())
}
