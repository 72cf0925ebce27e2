//! A bundler for EntryPoints v0.6 and v0.7.

mod bundle;
mod debug;
mod entities;
mod estimate;
mod mempool;
mod operation;
mod rehearsal;
mod reputation;
mod rpc;
mod simulation;
mod style;
mod validation;
mod words;

pub use operation::{EntryPointVersion, VersionedOperation};
pub use reputation::{Reputation, ReputationRules, ReputationStatus};
pub use style::{
    AbsentForm, BundlerStyle, NumberForm, ReasonForm, RevertDataForm, SuccessForm, VerificationGasName,
};
pub use words::BundlerWords;

use crate::{
    Chain, ChainError, DevAccount, Fate, Submission, Testkit, dev_accounts,
    rpc::ErrorAnswer,
    transport::{Endpoint, Request, Transport},
};
use alloy::{
    primitives::{Address, B256},
    providers::DynProvider,
    rpc::client::RpcClient,
};
use mempool::{Arrival, Mempool, Observed};
use reputation::Reputations;
use serde_json::{Value, value::RawValue};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use validation::Validated;

/// A bundler (ERC-4337, EntryPoints v0.6 and v0.7) on the chain of a [`Testkit`]. Clones are handles on the
/// same bundler.
///
/// It checks operations as live bundlers do: it simulates validation, and checks nonce, fees and gas. It has
/// its own mempool, and its own account sends the bundles when told to ([`bundle_now`](Self::bundle_now), or
/// [`BundlerOptions::auto`]). It is deterministic, and uses no clock.
///
/// Snapshots of the chain do not include its mempool. Do not call it while holding [`Testkit::chain`].
///
/// ```
/// use alloy::{primitives::{Address, U64}, providers::Provider};
/// use session_key_testkit::{BundlerOptions, Stack, Testkit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let testkit = Testkit::default();
/// let stack = Stack::deploy(&mut testkit.chain())?;
/// let bundler = testkit.bundler(BundlerOptions { auto: true, ..Default::default() });
/// let entry_points: Vec<Address> = bundler.client().request_noparams("eth_supportedEntryPoints").await?;
/// assert_eq!(entry_points, [stack.entry_point]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Bundler {
    testkit: Testkit,
    state: Arc<Mutex<State>>,
}

/// The behaviour of a [`Bundler`]. The default is correct and strict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundlerOptions {
    /// The account that sends and pays for its transactions, and receives the operations' payments; by
    /// default the last of the [`dev_accounts`].
    pub executor: DevAccount,
    /// The EntryPoints that it serves, if they are on the chain; by default all. The request's parameter
    /// `entryPoint` selects one. A bundle is for one EntryPoint.
    pub entry_points: BTreeSet<EntryPointVersion>,
    /// The format of its answers.
    pub style: BundlerStyle,
    /// Whether it bundles right after each accepted operation, until nothing is left that can be bundled;
    /// and, behind [`Bundler::transport_with_node`], after requests to the node that mined. Otherwise it
    /// waits for [`Bundler::bundle_now`].
    pub auto: bool,
    /// What happens to submitted operations. Invalid ones are refused in any case.
    pub submission: Submission,
    /// The answer to an operation that is already in its mempool.
    pub duplicates: Duplicates,
    /// What happens to operations whose block is undone.
    pub after_reorganization: Fate,
    /// How many blocks its view of the chain lags behind.
    pub lag: u64,
    /// How far a nonce may be ahead of the chain's. Zero: only the next one is accepted.
    pub nonces_ahead: u64,
    /// The maximum number of one sender's operations in its mempool (4 for unstaked senders in ERC-7562).
    pub max_per_sender: Option<u64>,
    /// Whether an operation in a pending bundle can be replaced.
    pub replaces_bundled: bool,
    /// The minimum priority fee, in wei per gas unit.
    pub min_priority_fee: u128,
    /// The part of the next block's base fee that the maximum fee must cover in addition to the priority fee,
    /// in percent.
    pub base_fee_percent: u64,
    /// The maximum `verificationGasLimit`, in gas units.
    pub max_verification_gas: u64,
    /// The data fee per byte of the operation, in wei, as on rollups: `preVerificationGas` must cover it at
    /// the operation's fees.
    pub data_fee: u128,
    /// How many more seconds an operation must stay valid.
    pub min_seconds_valid: u64,
    /// The rules of ERC-7562 that it enforces when it validates; by default all that [`erc7562`] knows, for
    /// staked entities from one ether and a day on. `None`: it lets validations do anything, which no bundler
    /// of a public mempool does.
    pub rules: Option<erc7562::Policy>,
    /// How it judges entities from what became of their operations. `None`: it remembers nothing.
    pub reputation: Option<ReputationRules>,
    /// Whether it has the methods `debug_bundler_…` of ERC-7769, with which tests rule over it.
    pub debug_methods: bool,
    /// The margin added to estimates, in percent.
    pub gas_margin_percent: u64,
    /// Whether estimates count that gas costs something: the account's payment, and what it or its paymaster
    /// books. Nobody needs funds for it. Otherwise they are made at a fee of zero, as some bundlers do, with
    /// a flat addition for the payment; such estimates can be too low.
    pub estimates_with_fees: bool,
    /// The maximum number of operations in a bundle.
    pub max_bundle: usize,
    /// The maximum number of one sender's operations in a bundle.
    pub max_per_sender_in_bundle: usize,
    /// The priority fee of its transactions, in wei per gas unit. Their maximum fee adds twice the base fee.
    pub bundle_priority_fee: u128,
    /// How many blocks back it searches for operations. `None`: to block 0.
    pub searched_blocks: Option<u64>,
    /// Methods that answer with -32601.
    pub missing_methods: BTreeSet<String>,
}

impl Default for BundlerOptions {
    fn default() -> Self {
        Self {
            executor: dev_accounts()[9],
            entry_points: EntryPointVersion::ALL.into(),
            style: BundlerStyle::default(),
            auto: false,
            submission: Submission::Accepted,
            duplicates: Duplicates::AlreadyKnown,
            after_reorganization: Fate::Pooled,
            lag: 0,
            nonces_ahead: 10,
            max_per_sender: Some(4),
            replaces_bundled: true,
            min_priority_fee: 0,
            base_fee_percent: 100,
            max_verification_gas: 5_000_000,
            data_fee: 0,
            min_seconds_valid: 0,
            rules: Some(erc7562::Policy::default()),
            reputation: Some(ReputationRules::default()),
            debug_methods: false,
            gas_margin_percent: 5,
            estimates_with_fees: true,
            max_bundle: 10,
            max_per_sender_in_bundle: 1,
            bundle_priority_fee: 1_000_000_000,
            searched_blocks: None,
            missing_methods: BTreeSet::new(),
        }
    }
}

/// The answer of a [`Bundler`] to an operation that is already in its mempool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Duplicates {
    /// -32602 "already known".
    #[default]
    AlreadyKnown,
    /// The hash, as the first time.
    Accepted,
    /// The error of an underpriced replacement.
    Underpriced,
}

/// An operation in the mempool of a [`Bundler`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PooledOperation {
    /// Its hash.
    pub hash: B256,
    /// The operation.
    pub operation: VersionedOperation,
    /// The pending transaction that it was sent in.
    pub transaction: Option<B256>,
    /// Whether bundles skip it; see [`Bundler::hold`].
    pub held: bool,
}

/// A bundle that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Hash of the transaction.
    pub transaction: B256,
    /// Hashes of the operations, in order.
    pub operations: Vec<B256>,
}

#[derive(Debug)]
struct State {
    options: BundlerOptions,
    mempool: Mempool,
    reputations: Reputations,
}

impl State {
    /// Takes note of what happened on the chain.
    fn observe(&mut self, chain: &Chain) {
        let head = chain
            .vantage_behind(self.options.lag, true)
            .head_block()
            .header
            .clone();
        self.reputations.decay(head.timestamp);
        for observed in self.mempool.observe(chain, &self.options) {
            match observed {
                Observed::Included(entities) => self.reputations.included(&entities),
                Observed::Undone(entities) => self.reputations.undone(&entities),
            }
        }
        self.drop_disreputable(head.number);
    }

    /// Takes an operation into the mempool. `sent` is what its sender wrote.
    fn take(
        &mut self,
        chain: &Chain,
        operation: VersionedOperation,
        sent: Value,
        validated: Option<Box<Validated>>,
    ) -> B256 {
        let seen = chain.vantage_behind(self.options.lag, true);
        let hash = operation.hash(chain.chain_id());
        let counted: Vec<_> = if self.options.reputation.is_some() {
            let concerned = entities::of_reputation(&seen, &self.options, &operation);
            concerned.into_iter().map(|(_, entity)| entity).collect()
        } else {
            Vec::new()
        };
        self.reputations.seen(&counted);
        let replaced = self.mempool.insert(Arrival {
            hash,
            operation,
            sent,
            block: seen.head(),
            counted,
            validated,
        });
        if let Some(replaced) = replaced {
            self.reputations.unseen(&replaced.counted);
        }
        hash
    }
}

impl Bundler {
    pub(crate) fn new(testkit: Testkit, options: BundlerOptions) -> Self {
        let state = State {
            options,
            mempool: Mempool::default(),
            reputations: Reputations::default(),
        };
        Self {
            testkit,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The mempool is consistent even after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current options.
    #[must_use]
    pub fn options(&self) -> BundlerOptions {
        self.state().options.clone()
    }

    /// Changes the options, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut BundlerOptions)) {
        change(&mut self.state().options);
    }

    /// Locks state and chain, and updates the mempool from the chain.
    fn with_chain<T>(&self, act: impl FnOnce(&mut State, &mut Chain) -> T) -> T {
        let mut state = self.state();
        let mut chain = self.testkit.chain();
        state.observe(&chain);
        act(&mut state, &mut chain)
    }

    /// Sends a bundle of pending operations, highest priority fees first: to the pool, or into a block with
    /// [`automine`](Chain::automine). Returns `None` if nothing can be bundled now. If operations for two
    /// EntryPoints are pending, the bundle is for the EntryPoint of the best one; call it again for the
    /// other.
    ///
    /// Each operation is simulated again, alone and then together with the others. Failing ones are dropped
    /// silently.
    ///
    /// # Errors
    ///
    /// If the chain refuses the transaction, for example because the executor lacks funds. The operations
    /// stay pending.
    pub fn bundle_now(&self) -> Result<Option<Bundle>, ChainError> {
        self.with_chain(|state, chain| {
            let bundle = bundle::send_best(state, chain);
            // With automine it is in a block already.
            state.observe(chain);
            bundle
        })
    }

    /// Bundles what waits, if that is its way and there are blocks after this one.
    fn after_blocks(&self, number: u64) {
        if self.testkit.chain().block_number() > number {
            self.with_chain(|state, chain| {
                if state.options.auto {
                    bundle::send_all(state, chain);
                }
            });
        }
    }

    /// What it remembers of an entity: a factory, a paymaster, or a sender with a stake.
    #[must_use]
    pub fn reputation(&self, version: EntryPointVersion, entity: Address) -> Reputation {
        self.with_chain(|state, _| state.reputations.get((version, entity)))
    }

    /// Makes it remember something else of an entity.
    pub fn set_reputation(&self, version: EntryPointVersion, entity: Address, reputation: Reputation) {
        self.with_chain(|state, _| state.reputations.set((version, entity), reputation));
    }

    /// Returns the operations in its mempool, by EntryPoint, sender and nonce.
    #[must_use]
    pub fn pool(&self) -> Vec<PooledOperation> {
        self.with_chain(|state, _| state.mempool.pooled())
    }

    /// Drops an operation silently. Returns whether it was there. If it was sent in a bundle, it can still be
    /// included.
    pub fn drop_operation(&self, hash: B256) -> bool {
        self.with_chain(|state, _| state.mempool.remove(hash).is_some())
    }

    /// Keeps an operation in the mempool but out of bundles, until it is [released](Self::release). Returns
    /// whether it is there.
    pub fn hold(&self, hash: B256) -> bool {
        self.with_chain(|state, _| state.mempool.set_held(hash, true))
    }

    /// Ends [`hold`](Self::hold). Returns whether the operation is there.
    pub fn release(&self, hash: B256) -> bool {
        self.with_chain(|state, _| state.mempool.set_held(hash, false))
    }

    /// Returns the JSON-RPC transport for `alloy`'s [`RpcClient`], with the bundler's methods only.
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    /// Returns a transport for bundler and node together: methods that the bundler lacks go to the node.
    #[must_use]
    pub fn transport_with_node(&self, node: Transport) -> Transport {
        Transport::new(WithNode {
            bundler: self.clone(),
            node,
        })
    }

    /// Returns a JSON-RPC client that polls every millisecond.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        self.transport().client()
    }

    /// Returns a provider.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        self.transport().provider()
    }

    /// Serves HTTP on a port of the loopback interface; see [`Transport::serve`].
    ///
    /// # Errors
    ///
    /// As for [`Transport::serve`].
    #[cfg(feature = "serve")]
    pub fn serve(&self) -> std::io::Result<crate::Server> {
        self.transport().serve()
    }
}

impl Endpoint for Bundler {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        requests
            .iter()
            .map(|request| {
                self.with_chain(|state, chain| rpc::answer(state, chain, request.method, request.params))
            })
            .collect()
    }
}

/// A bundler in front of a node.
#[derive(Debug)]
struct WithNode {
    bundler: Bundler,
    node: Transport,
}

impl Endpoint for WithNode {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        requests
            .iter()
            .flat_map(|request| {
                let request = std::slice::from_ref(request);
                if rpc::is_bundlers(request[0].method) {
                    self.bundler.answer(request)
                } else {
                    let before = self.bundler.testkit.chain().block_number();
                    let answer = self.node.answer(request);
                    self.bundler.after_blocks(before);
                    answer
                }
            })
            .collect()
    }
}
