//! Call to the API server: its deadline, its error, the back-off after it.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, timeout};

/// How long a call may take before it counts as failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("no answer within {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("{} ({})", .0.message, .0.code)]
    Refused(Box<kube::core::Status>),
    #[error(transparent)]
    Failed(kube::Error),
}

/// A growing delay with jitter that starts over once a while has passed without a failure.
#[derive(Debug)]
pub(super) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    max: Duration,
    calm: Duration,
    last: Option<Instant>,
}

/// Waits for the answer, at most [`DEADLINE`].
pub(super) async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    within_time(DEADLINE, call).await
}

/// Waits for the answer, at most `deadline`.
pub(super) async fn within_time<T>(
    deadline: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match timeout(deadline, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(CallError::Refused(status)),
        Ok(Err(error)) => Err(CallError::Failed(error)),
        Err(_) => Err(CallError::Deadline(deadline)),
    }
}

/// `ok` or `error`, as the family of writes counts them.
pub(super) fn outcome<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "ok" } else { "error" }
}

// === impl CallError ===

impl CallError {
    /// The HTTP status, if the API server gave one.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            Self::Deadline(_) | Self::Failed(_) => None,
        }
    }

    /// The object is not there.
    pub(super) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// RBAC.
    pub(super) fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The object changed, exists already, or is another one of the same name.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

// === impl Backoff ===

impl Backoff {
    /// Delays from `min`, doubling up to `max`, each with a jitter of up to itself.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        let builder = ExponentialBuilder::default()
            .with_min_delay(min)
            .with_max_delay(max)
            .with_jitter()
            .without_max_times();
        Self {
            builder,
            delays: builder.build(),
            max,
            calm: max * 2,
            last: None,
        }
    }

    /// The moment before which there should be no next try.
    pub(super) fn next_try(&mut self, now: Instant) -> Instant {
        if self.last.is_some_and(|last| now.duration_since(last) > self.calm) {
            self.reset();
        }
        self.last = Some(now);
        now + self.delays.next().unwrap_or(self.max)
    }

    /// Starts over.
    pub(super) fn reset(&mut self) {
        self.delays = self.builder.build();
        self.last = None;
    }
}
