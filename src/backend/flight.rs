//! Single flight: queries that are the same while one of them is on its way share its answer.
//!
//! A dozen HPAs on one metric ask within one sync of the HPA controller, and a slow backend is the last that should be asked a
//! dozen times: whoever asks joins a query that is younger than the rule lets an answer be. The work lives as long as anyone waits
//! for it, with the whole of the backend's time, whoever asked first: whoever gives up leaves it to the others, and when the last
//! one does the query is cancelled.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::{
    Backend, BackendError, BuildInfo, Evaluation, InstantQuery, ListedSeries, QueryKey, SeriesQuery,
    health::Health, lapses::Verdict,
};
use crate::{metrics::BackendMetrics, reason::Reason};

/// For how long anyone waits for a query that lapsed before, or whose like did; with a short timeout of the backend a quarter of
/// that.
const MOMENT: Duration = Duration::from_secs(1);

type Outcome = Result<Evaluation, BackendError>;
type Work = BoxFuture<'static, Outcome>;

/// A backend whose identical concurrent instant queries are one.
pub(super) struct SingleFlight<B> {
    inner: Arc<B>,
    name: Arc<str>,
    timeout: Duration,
    health: Arc<Health>,
    metrics: BackendMetrics,
    flights: Arc<Flights>,
}

#[derive(Default)]
struct Flights {
    next: AtomicU64,
    /// Weak, so that the waiting ones alone keep the work alive.
    open: Mutex<HashMap<QueryKey, Flight>>,
}

struct Flight {
    number: u64,
    /// The instant that it is about, and the same on the clock that ages are read from.
    at: Timestamp,
    asked: Instant,
    work: WeakShared<Work>,
}

/// Takes a flight off the list when its work is done or dropped.
struct Listed {
    flights: Arc<Flights>,
    key: QueryKey,
    number: u64,
}

// === impl SingleFlight ===

impl<B: Backend + 'static> SingleFlight<B> {
    /// `timeout` is the backend's own.
    pub(super) fn new(
        inner: B,
        name: Arc<str>,
        timeout: Duration,
        health: Arc<Health>,
        metrics: BackendMetrics,
    ) -> Self {
        Self {
            inner: Arc::new(inner),
            name,
            timeout,
            health,
            metrics,
            flights: Arc::default(),
        }
    }

    fn join(&self, mut query: InstantQuery) -> Shared<Work> {
        let key = query.key();
        let now = Instant::now();
        let mut open = self.flights.open();
        if let Some(flight) = open.get(&key)
            && flight.serves(&query, now)
            && let Some(work) = flight.work.upgrade()
        {
            self.metrics.joined(&self.name);
            return work;
        }
        let number = self.flights.next.fetch_add(1, Ordering::Relaxed);
        let listed = Listed {
            flights: self.flights.clone(),
            key: key.clone(),
            number,
        };
        let (inner, at) = (self.inner.clone(), query.at);
        // Time for the queue and time for the query; each who waits keeps to his own deadline.
        query.deadline = now + self.timeout * 2;
        let work = async move {
            let _listed = listed;
            inner.instant(query).await
        };
        let work = work.boxed().shared();
        if let Some(weak) = work.downgrade() {
            open.insert(
                key,
                Flight {
                    number,
                    at,
                    asked: now,
                    work: weak,
                },
            );
        }
        work
    }

    async fn ask(&self, query: InstantQuery) -> Outcome {
        let (verdict, deadline) = (self.health.verdict(&query), query.deadline);
        let late = |_| {
            Err(BackendError::new(
                Reason::BackendTimeout,
                "the backend did not answer before the request's deadline",
            ))
        };
        let lapse = match verdict {
            Verdict::Ask => return timeout_at(deadline, self.join(query)).await.unwrap_or_else(late),
            Verdict::Refuse(lapse) => return Err(BackendError::new(Reason::BackendTimeout, lapse.cause())),
            Verdict::Try(lapse) => lapse,
        };
        let work = self.join(query);
        // It goes on when nobody waits any more: somebody has to find out.
        tokio::spawn(work.clone());
        let moment = Instant::now() + MOMENT.min(self.timeout / 4);
        timeout_at(deadline.min(moment), work)
            .await
            .unwrap_or_else(|_| Err(BackendError::new(Reason::BackendTimeout, lapse.cause())))
    }
}

impl<B: Backend + 'static> Backend for SingleFlight<B> {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Outcome> {
        self.ask(query).boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
        self.inner.series(query)
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        self.inner.probe(deadline)
    }
}

// === impl Flight ===

impl Flight {
    /// Whether its answer will do for a query: it is about the same second, or younger than the query's rule asks for.
    fn serves(&self, query: &InstantQuery, now: Instant) -> bool {
        self.at.as_second() == query.at.as_second()
            || now.saturating_duration_since(self.asked) < query.refresh
    }
}

// === impl Flights ===

impl Flights {
    fn open(&self) -> MutexGuard<'_, HashMap<QueryKey, Flight>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Listed ===

impl Drop for Listed {
    fn drop(&mut self) {
        let mut open = self.flights.open();
        if open
            .get(&self.key)
            .is_some_and(|flight| flight.number == self.number)
        {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
