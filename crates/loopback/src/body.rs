//! Bodies of requests, bounded in size and time.

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode,
    body::{Body, Bytes},
    header::CONTENT_LENGTH,
};
use std::time::Duration;
use tokio::time::timeout;

/// A body was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is larger than the bound.
    #[error("the request is too large: at most {most} bytes")]
    TooLarge {
        /// The bound, in bytes.
        most: usize,
    },
    /// The connection ended before.
    #[error("the request was not received whole")]
    NotWhole,
    /// It took longer than the bound.
    #[error("the request took too long")]
    TooSlow,
}

impl BodyError {
    /// Returns the status of the answer.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotWhole => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Receives a body of at most so many bytes, within so long. One that announces more is refused before
/// it is read.
///
/// # Errors
///
/// [`BodyError`].
pub async fn body<B>(request: Request<B>, most: usize, patience: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > most)) {
        return Err(BodyError::TooLarge { most });
    }
    match timeout(patience, Limited::new(request.into_body(), most).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(failed)) if failed.is::<LengthLimitError>() => Err(BodyError::TooLarge { most }),
        Ok(Err(_)) => Err(BodyError::NotWhole),
        Err(_) => Err(BodyError::TooSlow),
    }
}
