//! What keeps a backend from being pressed too hard: a number of slots and a rate, waited for within the deadline.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Backend, BackendError, BuildInfo, InstantQuery, SeriesQuery};
use crate::{
    api::BackendLimits,
    metrics::{BackendMetrics, QueryKind},
    reason::Reason,
    sample::{InstantVector, SeriesSet},
};

/// A backend behind its ceilings. Also counts, for here is where waiting ends and the backend's own time begins.
pub(super) struct Limited<B> {
    inner: B,
    name: Arc<str>,
    limiter: Arc<Limiter>,
    metrics: BackendMetrics,
}

/// The slots and the rate of one backend.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: BackendLimits,
    slots: Semaphore,
    bucket: Mutex<Bucket>,
}

/// A token bucket that holds one second's worth, kept as the time at which the next token is due.
#[derive(Debug)]
struct Bucket {
    interval: Duration,
    burst: u32,
    due: Option<Instant>,
}

// === impl Limited ===

impl<B: Backend> Limited<B> {
    pub(super) const fn new(
        inner: B,
        name: Arc<str>,
        limiter: Arc<Limiter>,
        metrics: BackendMetrics,
    ) -> Self {
        Self {
            inner,
            name,
            limiter,
            metrics,
        }
    }

    async fn run<T>(
        &self,
        kind: QueryKind,
        deadline: Instant,
        query: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let admitted = self.limiter.admit(deadline).await;
        let started = Instant::now();
        let result = match &admitted {
            Ok(_slot) => {
                let _in_flight = self.metrics.begin(&self.name);
                query.await
            }
            Err(error) => Err(error.clone()),
        };
        let reason = result.as_ref().err().map_or("", |error| error.reason().code());
        self.metrics.query(&self.name, kind, reason, started.elapsed());
        if let Err(error) = &result {
            let detail = error.detail();
            tracing::debug!(backend = %self.name, ?kind, reason, detail, "query failed");
        }
        result
    }
}

impl<B: Backend> Backend for Limited<B> {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<InstantVector, BackendError>> {
        self.run(QueryKind::Instant, query.deadline, self.inner.instant(query))
            .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<SeriesSet, BackendError>> {
        self.run(QueryKind::Series, query.deadline, self.inner.series(query))
            .boxed()
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        self.run(QueryKind::Probe, deadline, self.inner.probe(deadline))
            .boxed()
    }
}

// === impl Limiter ===

impl Limiter {
    pub(super) fn new(limits: BackendLimits) -> Self {
        let slots = usize::try_from(limits.max_concurrent.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            slots: Semaphore::new(slots.min(Semaphore::MAX_PERMITS)),
            bucket: Mutex::new(Bucket::new(limits.queries_per_second)),
            limits,
        }
    }

    /// Waits for a slot, then for the rate; both in the order of asking.
    async fn admit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, BackendError> {
        // The semaphore is never closed, so what is left is the deadline.
        let Ok(Ok(slot)) = timeout_at(deadline, self.slots.acquire()).await else {
            return Err(ceiling("maxConcurrent", self.limits.max_concurrent));
        };
        let due = self
            .bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(Instant::now(), deadline)
            .ok_or_else(|| ceiling("queriesPerSecond", self.limits.queries_per_second))?;
        sleep_until(due).await;
        Ok(slot)
    }
}

fn ceiling(field: &str, value: u32) -> BackendError {
    BackendError::new(
        Reason::TooManyRequests,
        format!(
            "the MetricBackend's ceiling limits.{field} ({value}) kept the query waiting until its deadline"
        ),
    )
}

// === impl Bucket ===

impl Bucket {
    fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            interval: Duration::from_secs(1) / per_second,
            burst: per_second,
            due: None,
        }
    }

    /// Takes the next token and says when it is due; takes none if that is after `deadline`.
    fn take(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        // A full bucket is one whose next token was due a whole burst ago.
        let full = now.checked_sub(self.interval * (self.burst - 1)).unwrap_or(now);
        let due = self.due.map_or(full, |due| due.max(full));
        if due > deadline {
            return None;
        }
        self.due = Some(due + self.interval);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(max_concurrent: u32, queries_per_second: u32) -> Limiter {
        Limiter::new(BackendLimits {
            max_concurrent,
            queries_per_second,
        })
    }

    fn within(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_waited_for_until_the_deadline() {
        let limiter = limiter(2, 1000);
        let first = limiter.admit(within(0)).await.unwrap();
        let _second = limiter.admit(within(0)).await.unwrap();

        let started = Instant::now();
        let error = limiter.admit(within(500)).await.unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_millis(500));
        assert_eq!(error.reason(), Reason::TooManyRequests);
        assert!(error.cause().contains("limits.maxConcurrent (2)"), "{error}");

        drop(first);
        drop(limiter.admit(within(0)).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_gives_its_place_back() {
        let limiter = limiter(1, 1000);
        let held = limiter.admit(within(0)).await.unwrap();
        let waiting = limiter.admit(within(1000));
        assert!(
            tokio::time::timeout(Duration::from_millis(1), waiting)
                .await
                .is_err()
        );
        drop(held);
        drop(limiter.admit(within(0)).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_lets_one_seconds_worth_through_at_once_and_the_rest_evenly() {
        let limiter = limiter(100, 10);
        let started = Instant::now();
        for _ in 0..10 {
            drop(limiter.admit(within(0)).await.unwrap());
        }
        assert_eq!(started.elapsed(), Duration::ZERO);

        for _ in 0..20 {
            drop(limiter.admit(within(1000)).await.unwrap());
        }
        assert_eq!(started.elapsed(), Duration::from_secs(2));

        let error = limiter.admit(within(50)).await.unwrap_err();
        assert!(error.cause().contains("limits.queriesPerSecond (10)"), "{error}");
        assert_eq!(started.elapsed(), Duration::from_secs(2), "it is refused at once");

        tokio::time::sleep(Duration::from_mins(1)).await;
        let started = Instant::now();
        for _ in 0..11 {
            drop(limiter.admit(within(1000)).await.unwrap());
        }
        assert_eq!(
            started.elapsed(),
            Duration::from_millis(100),
            "the bucket holds one second's worth"
        );
    }
}
