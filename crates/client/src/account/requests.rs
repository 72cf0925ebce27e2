//! A bound on how much is asked of a node at once.

use alloy::transports::TransportError;
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// The most requests that the views of one account, clones included, have in flight at the same time. Further ones wait
/// their turn.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 32;

/// What limits the requests of one account. Clones share the limit.
#[derive(Clone)]
pub(super) struct Requests(Arc<Semaphore>);

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_REQUESTS_IN_FLIGHT)))
    }
}

impl Requests {
    /// Sends a request as soon as there is room for it. One request at a time: a request that waited for another one of the
    /// same account could wait for ever.
    pub(super) async fn send<T>(
        &self,
        request: impl IntoFuture<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        // It is never closed.
        let _place = self.0.acquire().await;
        request.await
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests(at most {MAX_REQUESTS_IN_FLIGHT} in flight)")
    }
}
