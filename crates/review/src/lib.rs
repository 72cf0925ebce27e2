#![doc = include_str!("../README.md")]

mod act;
mod guard;
mod offer;
mod page;
mod read;
mod server;
mod track;

pub use guard::{MOST_SESSIONS, SESSION_LIFETIME};
pub use offer::{Application, Approval, Offer};
pub use server::{MAX_BODY, MOST_CONNECTIONS, Server};

use session_key_client::{SmartAccount, permissions::policy::LockedGrant};
use std::{error::Error, fmt, io, sync::Arc, time::Duration};

/// Keeps the facts of a grant: the index of its offer, and the facts.
type Keep = dyn Fn(usize, &LockedGrant) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync;

/// What keeps the facts of grants.
#[derive(Clone)]
struct Keeper(Arc<Keep>);

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keeper")
    }
}

/// A page about one account.
#[derive(Debug)]
#[must_use]
pub struct Review {
    account: SmartAccount,
    has_keys: bool,
    from_block: u64,
    offers: Vec<Offer>,
    keeper: Option<Keeper>,
    lifetime: Duration,
    patience: Duration,
}

impl Review {
    /// A page about an account, which must exist.
    pub const fn new(account: SmartAccount) -> Self {
        Self {
            account,
            has_keys: true,
            from_block: 0,
            offers: Vec::new(),
            keeper: None,
            lifetime: SESSION_LIFETIME,
            patience: server::PATIENCE,
        }
    }

    /// Sets the first block that may have logs of the account's keys, as in
    /// [`InspectOptions`](session_key_client::inspect::InspectOptions::from_block).
    pub const fn from_block(mut self, block: u64) -> Self {
        self.from_block = block;
        self
    }

    /// Leaves out the keys of the plugin or module: its contract does not exist on this chain, and only keys
    /// of the account's own client (ERC-6900 v0.8) can be shown.
    pub const fn without_session_keys(mut self) -> Self {
        self.has_keys = false;
        self
    }

    /// Adds something to decide on.
    pub fn offer(mut self, offer: impl Into<Offer>) -> Self {
        self.offers.push(offer.into());
        self
    }

    /// Keeps the facts of each approval, such as in a lock file beside its policy, by the index of the offer.
    /// It is called before the transaction is given to the wallet, which does not happen if it fails, and
    /// again once the change is on the chain: what was approved last is not always what is included.
    pub fn keep_grants<F>(mut self, keep: F) -> Self
    where
        F: Fn(usize, &LockedGrant) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    {
        self.keeper = Some(Keeper(Arc::new(keep)));
        self
    }

    /// Sets how long a session lasts; [`SESSION_LIFETIME`] by default.
    pub const fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets how long a client may take for the head of a request, and for its body; 10 seconds by default.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Serves the page on 127.0.0.1, at this port or, for 0, at a free one. Within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The operating system's: the port is taken, for example.
    pub async fn serve(self, port: u16) -> io::Result<Server> {
        Server::start(self, port).await
    }
}
