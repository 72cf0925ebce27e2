//! A limit on concurrent requests to a node.

use alloy::transports::TransportError;
use std::{fmt, sync::Arc};
use tokio::sync::Semaphore;

/// The maximum number of requests in flight through one account, clones included. Further ones wait.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 32;

/// The request limit of one account, shared by its clones.
#[derive(Clone)]
pub(super) struct Requests(Arc<Semaphore>);

impl Default for Requests {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_REQUESTS_IN_FLIGHT)))
    }
}

impl Requests {
    /// Sends a request as soon as a slot is free. Only one request at a time: a request that waited for
    /// another one of the same account could deadlock.
    pub(super) async fn send<T>(
        &self,
        request: impl IntoFuture<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        // The semaphore is never closed.
        let _place = self.0.acquire().await;
        request.await
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests(at most {MAX_REQUESTS_IN_FLIGHT} in flight)")
    }
}
