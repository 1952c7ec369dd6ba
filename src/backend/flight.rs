//! Single flight: queries that are the same while one of them is on its way share its answer.
//!
//! A dozen HPAs on one metric ask within one sync of the HPA controller. The work lives as long as anyone waits for it:
//! whoever gives up leaves it to the others, and when the last one does the query is cancelled.

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
use tokio::time::{Instant, timeout_at};

use super::{Backend, BackendError, BuildInfo, InstantQuery, SeriesQuery};
use crate::{
    reason::Reason,
    sample::{InstantVector, SeriesSet},
};

/// How much earlier than its own deadline a query may have to end for the sake of one that set out before it.
const SLACK: Duration = Duration::from_secs(1);

type Outcome = Result<InstantVector, BackendError>;
/// Behind an `Arc`, so that only those who joined pay for a copy.
type SharedOutcome = Result<Arc<InstantVector>, BackendError>;
type Work = BoxFuture<'static, SharedOutcome>;

/// A backend whose identical concurrent instant queries are one.
pub(super) struct SingleFlight<B> {
    inner: Arc<B>,
    flights: Arc<Flights>,
}

/// What makes two queries the same: the text, the second that they are about, and the bound on the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    promql: Arc<str>,
    second: i64,
    max_samples: Option<u64>,
}

#[derive(Default)]
struct Flights {
    next: AtomicU64,
    /// Weak, so that the waiting ones alone keep the work alive.
    open: Mutex<HashMap<Key, Flight>>,
}

struct Flight {
    number: u64,
    deadline: Instant,
    work: WeakShared<Work>,
}

/// Takes a flight off the list when its work is done or dropped.
struct Listed {
    flights: Arc<Flights>,
    key: Key,
    number: u64,
}

// === impl SingleFlight ===

impl<B: Backend + 'static> SingleFlight<B> {
    pub(super) fn new(inner: B) -> Self {
        Self {
            inner: Arc::new(inner),
            flights: Arc::default(),
        }
    }

    fn join(&self, query: InstantQuery) -> Shared<Work> {
        let key = Key {
            promql: query.promql.clone(),
            second: query.at.as_second(),
            max_samples: query.max_samples,
        };
        let mut open = self.flights.open();
        if let Some(flight) = open.get(&key)
            && flight.deadline + SLACK >= query.deadline
            && let Some(work) = flight.work.upgrade()
        {
            return work;
        }
        let number = self.flights.next.fetch_add(1, Ordering::Relaxed);
        let listed = Listed {
            flights: self.flights.clone(),
            key: key.clone(),
            number,
        };
        let (inner, deadline) = (self.inner.clone(), query.deadline);
        let work = async move {
            let _listed = listed;
            inner.instant(query).await.map(Arc::new)
        };
        let work = work.boxed().shared();
        if let Some(weak) = work.downgrade() {
            open.insert(
                key,
                Flight {
                    number,
                    deadline,
                    work: weak,
                },
            );
        }
        work
    }
}

impl<B: Backend + 'static> Backend for SingleFlight<B> {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Outcome> {
        async move {
            let deadline = query.deadline;
            let work = self.join(query);
            match timeout_at(deadline, work).await {
                Ok(outcome) => outcome.map(Arc::unwrap_or_clone),
                Err(_) => Err(BackendError::new(
                    Reason::BackendTimeout,
                    "the backend did not answer before the request's deadline",
                )),
            }
        }
        .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<SeriesSet, BackendError>> {
        self.inner.series(query)
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        self.inner.probe(deadline)
    }
}

// === impl Flights ===

impl Flights {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Flight>> {
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
mod tests {
    use std::sync::atomic::AtomicUsize;

    use jiff::Timestamp;

    use super::*;

    /// Answers after a second, with what went on counted.
    #[derive(Default)]
    struct Slow {
        asked: AtomicUsize,
        running: Arc<AtomicUsize>,
        fails: bool,
    }

    struct Running(Arc<AtomicUsize>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Backend for Slow {
        fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Outcome> {
            async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                self.running.fetch_add(1, Ordering::SeqCst);
                let _running = Running(self.running.clone());
                timeout_at(query.deadline, tokio::time::sleep(Duration::from_secs(1)))
                    .await
                    .map_err(|_| BackendError::new(Reason::BackendTimeout, "late"))?;
                if self.fails {
                    return Err(BackendError::new(Reason::BackendDown, "down"));
                }
                Ok(InstantVector::default())
            }
            .boxed()
        }

        fn series(&self, _: SeriesQuery) -> BoxFuture<'_, Result<SeriesSet, BackendError>> {
            async { Ok(SeriesSet::default()) }.boxed()
        }

        fn probe(&self, _: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
            async { Ok(BuildInfo::default()) }.boxed()
        }
    }

    fn query(promql: &str, at_millis: i64, within: Duration) -> InstantQuery {
        InstantQuery {
            promql: promql.into(),
            at: Timestamp::from_millisecond(at_millis).unwrap(),
            deadline: Instant::now() + within,
            max_samples: Some(10),
            namespace: None,
        }
    }

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn the_same_query_in_the_same_second_is_asked_once() {
        let flight = SingleFlight::new(Slow::default());
        let (a, b, other, later) = tokio::join!(
            flight.instant(query("up", 5_000, LONG)),
            flight.instant(query("up", 5_999, LONG)),
            flight.instant(query("down", 5_000, LONG)),
            flight.instant(query("up", 6_000, LONG)),
        );
        assert!(a.is_ok() && b.is_ok());
        assert!(other.is_ok() && later.is_ok());
        assert_eq!(flight.inner.asked.load(Ordering::SeqCst), 3);
        assert!(
            flight.flights.open().is_empty(),
            "nothing is kept after the answer"
        );

        flight.instant(query("up", 5_000, LONG)).await.unwrap();
        assert_eq!(
            flight.inner.asked.load(Ordering::SeqCst),
            4,
            "an answer is not reused once it was given"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_and_not_kept() {
        let flight = SingleFlight::new(Slow {
            fails: true,
            ..Slow::default()
        });
        let (a, b) = tokio::join!(
            flight.instant(query("up", 0, LONG)),
            flight.instant(query("up", 0, LONG))
        );
        assert_eq!(a.unwrap_err(), b.unwrap_err());
        assert_eq!(flight.inner.asked.load(Ordering::SeqCst), 1);
        assert!(flight.flights.open().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_work_to_the_others() {
        let flight = Arc::new(SingleFlight::new(Slow::default()));
        let first = tokio::spawn({
            let flight = flight.clone();
            async move { flight.instant(query("up", 0, LONG)).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let second = tokio::spawn({
            let flight = flight.clone();
            async move { flight.instant(query("up", 0, LONG)).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.abort();
        assert!(second.await.unwrap().is_ok());
        assert_eq!(flight.inner.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_query_is_cancelled_with_the_last_one_that_waits() {
        let flight = SingleFlight::new(Slow::default());
        let running = flight.inner.running.clone();
        let waiting = flight.instant(query("up", 0, LONG));
        assert!(
            tokio::time::timeout(Duration::from_millis(10), waiting)
                .await
                .is_err()
        );
        assert_eq!(running.load(Ordering::SeqCst), 0);
        assert!(flight.flights.open().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_deadline_neither_ends_nor_is_stretched_by_a_longer_one() {
        let flight = SingleFlight::new(Slow::default());
        let started = Instant::now();
        let long = flight.instant(query("up", 0, LONG));
        let short = async {
            let result = flight.instant(query("up", 0, Duration::from_millis(200))).await;
            (result, started.elapsed())
        };
        let (long, (short, took)) = tokio::join!(long, short);
        assert!(long.is_ok());
        assert_eq!(short.unwrap_err().reason(), Reason::BackendTimeout);
        assert_eq!(took, Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_with_more_time_does_not_join_one_that_is_about_to_end() {
        let flight = SingleFlight::new(Slow::default());
        let (short, long) = tokio::join!(
            flight.instant(query("up", 0, Duration::from_millis(200))),
            flight.instant(query("up", 0, LONG)),
        );
        assert_eq!(short.unwrap_err().reason(), Reason::BackendTimeout);
        assert!(long.is_ok());
        assert!(flight.flights.open().is_empty());
    }
}
