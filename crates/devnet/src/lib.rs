#![doc = include_str!("../README.md")]

mod key;

pub use key::{Kind, WithKey};
pub use session_key_client as client;
pub use session_key_testkit as testkit;

use key::Accounts;
use session_key_client::{
    account::{ConnectError, ReadError},
    deployment::DeploymentParameters,
    operation::OperationError,
    permissions::{PermissionError, Permissions},
};
use session_key_testkit::{
    Bundler, BundlerOptions, Chain, ChainConfig, ChainError, HttpState, Server, Stack, StackV08, StateSource,
    Testkit, Transport,
};
use std::{io, sync::Arc};

/// How a [`Devnet`] begins.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// The chain.
    pub chain: ChainConfig,
    /// The state below the chain, where there is one: a node's, or a dump's.
    pub fork: Option<Arc<dyn StateSource>>,
    /// The node that is asked about blocks, transactions, logs and states from before the fork; `None`: they
    /// are not known.
    pub history: Option<HttpState>,
    /// The bundler.
    pub bundler: BundlerOptions,
}

impl Default for DevnetOptions {
    /// An empty chain, and a bundler that sends a bundle after each operation that it accepts.
    fn default() -> Self {
        Self {
            chain: ChainConfig::default(),
            fork: None,
            history: None,
            bundler: BundlerOptions {
                auto: true,
                ..Default::default()
            },
        }
    }
}

/// Why a development network, or something on it, could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// The chain refused a transaction, or its source failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The account was not found as it was made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The chain did not answer as it should.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The permissions cannot be granted.
    #[error(transparent)]
    Permissions(#[from] PermissionError),
    /// The owner's operation that grants the key failed.
    #[error(transparent)]
    Operation(#[from] Box<OperationError>),
}

impl From<OperationError> for DevnetError {
    fn from(error: OperationError) -> Self {
        Self::Operation(Box::new(error))
    }
}

/// A chain with the contracts of both generations of accounts, and a bundler.
#[derive(Clone, Debug)]
pub struct Devnet {
    testkit: Testkit,
    bundler: Bundler,
    stack: Stack,
    stack_v08: StackV08,
    history: Option<HttpState>,
}

impl Devnet {
    /// Starts the chain, and deploys the contracts that are not there yet.
    ///
    /// # Errors
    ///
    /// The chain's: only a [fork](DevnetOptions::fork) can fail.
    pub fn new(options: DevnetOptions) -> Result<Self, DevnetError> {
        let chain = match options.fork {
            Some(source) => Chain::fork(options.chain, source),
            None => Chain::new(options.chain),
        };
        let mut devnet = Self::on(chain, options.bundler)?;
        devnet.history = options.history;
        Ok(devnet)
    }

    /// Goes on with a chain, and deploys the contracts that are not there yet.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn on(mut chain: Chain, bundler: BundlerOptions) -> Result<Self, DevnetError> {
        // At the addresses that clients know: of the deterministic deployment.
        let stack = Stack::deploy_owned(&mut chain, DeploymentParameters::default().factory_owner)?;
        let stack_v08 = StackV08::deploy(&mut chain)?;
        let testkit = Testkit::from(chain);
        let bundler = testkit.bundler(bundler);
        Ok(Self {
            testkit,
            bundler,
            stack,
            stack_v08,
            history: None,
        })
    }

    /// A development network with an account, its owner, and a session key with these permissions; the
    /// account has funds and [tokens](Stack::token).
    ///
    /// # Errors
    ///
    /// [`DevnetError::Permissions`] if they cannot be granted.
    pub async fn with_key(permissions: &Permissions) -> Result<WithKey, DevnetError> {
        Self::new(DevnetOptions::default())?
            .key(Kind::default(), permissions)
            .await
    }

    /// A further account with its own session key. The owner and the key are
    /// [`dev_accounts`](session_key_testkit::dev_accounts): the second and the third.
    ///
    /// # Errors
    ///
    /// As for [`with_key`](Self::with_key).
    pub async fn key(&self, kind: Kind, permissions: &Permissions) -> Result<WithKey, DevnetError> {
        Accounts(self).with_key(kind, permissions).await
    }

    /// The account of [`key`](Self::key) as it is, on a chain that [goes on](Self::on) or a fork: nothing is
    /// granted or given to it, whatever became of its key. `None` if there is no such account yet.
    ///
    /// # Errors
    ///
    /// If the chain does not answer as it should.
    pub async fn existing_key(&self, kind: Kind) -> Result<Option<WithKey>, DevnetError> {
        Accounts(self).existing(kind).await
    }

    /// The chain.
    #[must_use]
    pub const fn testkit(&self) -> &Testkit {
        &self.testkit
    }

    /// The bundler.
    #[must_use]
    pub const fn bundler(&self) -> &Bundler {
        &self.bundler
    }

    /// The contracts of ERC-6900 v0.7 accounts, and the test token.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The contracts of ERC-6900 v0.8 accounts.
    #[must_use]
    pub const fn stack_v08(&self) -> &StackV08 {
        &self.stack_v08
    }

    /// The chain's and the bundler's JSON-RPC methods.
    #[must_use]
    pub fn transport(&self) -> Transport {
        let node = self.testkit.transport();
        let node = match &self.history {
            Some(history) => self.testkit.with_history(node, history.clone()),
            None => node,
        };
        self.bundler.transport_with_node(node)
    }

    /// Answers over HTTP at 127.0.0.1, at this port or, for 0, at one that is free: the chain's methods and
    /// the bundler's, at any path. Blocks are as late as the machine's clock says, or as it was moved forward
    /// by `evm_increaseTime` and its like.
    ///
    /// # Errors
    ///
    /// The operating system's: the port is taken, for example.
    pub fn serve(&self, port: u16) -> io::Result<Server> {
        self.testkit.by_the_clock(self.transport()).serve_on(port)
    }
}
