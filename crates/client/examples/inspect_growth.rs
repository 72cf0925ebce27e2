//! How the time of an inspection grows with the number of keys: inspects an account with 125, 250, 500 and 1,000 keys of 20 entries
//! each, on a simulated chain whose node has the limits of public ones, and prints the times and their ratios. Fails if twice the
//! keys take more than 2.2 times the time.
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
use simulated_chain::start;
use std::{
    error::Error,
    time::{Duration, Instant},
};

const COUNTS: [u64; 4] = [125, 250, 500, 1_000];
/// Keys that are added in one transaction.
const AT_ONCE: u64 = 5;
/// The most that twice the keys may take.
const MOST: f64 = 2.2;
/// Inspections of each account; the fastest counts.
const ROUNDS: usize = 5;
const WEEK: u64 = 7 * 86_400;

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

/// Ten contracts with a function each.
fn permissions(key: u64) -> Permissions {
    let set = Permissions::new().gas_spend_limit(SpendLimit::per(U256::from(10).pow(U256::from(18)), WEEK));
    (0..10).fold(set, |set, contract| {
        let selector = Selector::from([1, 2, 3, u8::try_from(contract).unwrap_or_default()]);
        set.contract_functions(address(1_000_000 + 10 * key + contract), [selector])
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let start = start().await?;
    let owner = start.owner_signer.address();
    start
        .stack
        .create_account(&mut start.testkit.chain(), U256::ZERO, &[owner])?;
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

    println!("{:>6}  {:>10}  {:>6}", "keys", "ms", "ratio");
    let (mut added, mut before, mut worst): (u64, Option<Duration>, f64) = (0, None, 0.0);
    for count in COUNTS {
        while added < count {
            let last = count.min(added + AT_ONCE);
            let keys = (added..last)
                .map(|number| {
                    let key = NewSessionKey::new(address(1 + number), &permissions(number))?;
                    Ok(OwnerAction::AddSessionKey(key.with_tag(B256::repeat_byte(7))))
                })
                .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            act(keys).await?;
            added = last;
        }
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let inspection = inspect(&account, &InspectOptions::new()).await?;
            fastest = fastest.min(begun.elapsed());
            if !inspection.is_complete() || inspection.keys().len() as u64 != count {
                return Err(format!("{count} keys are not all there").into());
            }
        }
        let ratio = before.map(|before| fastest.as_secs_f64() / before.as_secs_f64());
        worst = worst.max(ratio.unwrap_or(0.0));
        let shown = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        println!("{count:>6}  {:>10.1}  {shown:>6}", fastest.as_secs_f64() * 1e3);
        before = Some(fastest);
    }
    if worst > MOST {
        return Err(format!("twice the keys took {worst:.2} times the time: more than {MOST}").into());
    }
    Ok(())
}
