//! The chain of the demonstration: simulated in this process, or a node's.

use crate::{
    endpoint::{Endpoint, RPC_URL, TimeLimit},
    purse::{Purse, required_funder},
    transactions::INCLUSION_TIMEOUT,
};
use eyre::{Result, WrapErr as _, ensure, eyre};
use serde_json::Value;
use session_key_client::{Node, alloy::providers::DynProvider};
use session_key_testkit::{DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Testkit, dev_accounts};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Chains whose coin has no value: development nodes and public testnets.
const TEST_CHAINS: [u64; 12] = [
    1337,
    31_337,
    17_000,
    560_048,
    11_155_111,
    84_532,
    11_155_420,
    421_614,
    80_001,
    80_002,
    2523,
    999_999_999,
];

/// How time passes on the chain.
#[derive(Debug)]
enum Clock {
    /// Advanced by this process.
    Simulated(Testkit),
    /// Advanced with `evm_increaseTime`, on a development node.
    Development,
    /// Real time.
    Real,
}

/// A chain, and the key that pays for everything on it.
#[derive(Debug)]
pub(super) struct Chain {
    /// Signs for the funder.
    pub(super) provider: DynProvider,
    pub(super) node: Node,
    pub(super) chain_id: u64,
    pub(super) purse: Purse,
    /// A short description of the chain.
    pub(super) description: String,
    clock: Clock,
}

impl Chain {
    /// Starts a chain in this process.
    pub(super) fn simulated() -> Result<Self> {
        let testkit = Testkit::default();
        testkit
            .chain()
            .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)?;
        let chain_id = testkit.chain().chain_id();
        let purse = Purse::new(dev_accounts()[0].signer(), chain_id);
        let provider = purse.over(testkit.provider());
        Ok(Self {
            node: Node::new(provider.clone()),
            provider,
            chain_id,
            purse,
            description: format!("simulated in this process (chain id {chain_id}); no network is used"),
            clock: Clock::Simulated(testkit),
        })
    }

    /// Connects to a node, and checks its chain id.
    pub(super) async fn of_node(url: &str, chain_id: u64, time_limit: TimeLimit) -> Result<Self> {
        let funder = required_funder()?;
        let endpoint = Endpoint::new(RPC_URL, url, time_limit)?;
        let found = endpoint.chain_id().await?;
        ensure!(found == chain_id, "this is chain {found}, not {chain_id}");
        let purse = Purse::new(funder, chain_id);
        let provider = purse.over(endpoint.node.provider().clone());
        let node = Node::new(provider.clone());
        // Whether the node can move its clock is found out by moving it by zero.
        let moved: Result<Value, _> = node.request("evm_increaseTime", (0,)).await;
        let clock = if moved.is_ok() {
            Clock::Development
        } else {
            Clock::Real
        };
        Ok(Self {
            provider,
            node,
            chain_id,
            purse,
            description: format!("{} (chain id {chain_id})", endpoint.origin),
            clock,
        })
    }

    /// Whether the chain is simulated, and nothing on it has value.
    pub(super) const fn is_simulated(&self) -> bool {
        matches!(self.clock, Clock::Simulated(_))
    }

    /// Whether the chain is known to be a test chain.
    pub(super) fn is_for_tests(&self) -> bool {
        TEST_CHAINS.contains(&self.chain_id)
    }

    /// The refresh interval of the demonstration's limit, in seconds: a day where time can be moved, else as
    /// short as is practical.
    pub(super) const fn refresh_interval(&self) -> u64 {
        match self.clock {
            Clock::Simulated(_) | Clock::Development => 86_400,
            Clock::Real => 60,
        }
    }

    /// Returns the latest block's time, in unix seconds.
    pub(super) async fn time(&self) -> Result<u64> {
        let head = self
            .node
            .head()
            .await
            .wrap_err("the node did not return its time")?;
        Ok(head.timestamp)
    }

    /// Waits until the chain's time reaches `time`.
    pub(super) async fn wait_until(&self, time: u64) -> Result<()> {
        let missing = time.saturating_sub(self.time().await?);
        match &self.clock {
            Clock::Simulated(testkit) => {
                let mut chain = testkit.chain();
                chain.increase_time(missing);
                chain.mine();
                Ok(())
            }
            Clock::Development => {
                let _: Value = self.node.request("evm_increaseTime", (missing,)).await?;
                let _: Value = self.node.request("evm_mine", ()).await?;
                Ok(())
            }
            Clock::Real => {
                let arrival = async {
                    // A node that does not answer now may answer later.
                    while !self.time().await.is_ok_and(|now| now >= time) {
                        sleep(Duration::from_secs(2)).await;
                    }
                };
                let patience = Duration::from_secs(missing).saturating_add(INCLUSION_TIMEOUT);
                let arrived = timeout(patience, arrival).await;
                arrived.map_err(|_| eyre!("no block reached that time within {} s", patience.as_secs()))
            }
        }
    }
}
