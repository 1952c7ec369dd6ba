use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{backend::health::Board, metrics::Metrics};

/// Answers after a while, with what went on counted.
struct Slow {
    takes: Duration,
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

impl Default for Slow {
    fn default() -> Self {
        Self {
            takes: Duration::from_secs(1),
            asked: AtomicUsize::default(),
            running: Arc::default(),
            fails: false,
        }
    }
}

impl Backend for Slow {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Outcome> {
        async move {
            let asked = Instant::now();
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.running.fetch_add(1, Ordering::SeqCst);
            let _running = Running(self.running.clone());
            timeout_at(query.deadline, tokio::time::sleep(self.takes))
                .await
                .map_err(|_| BackendError::new(Reason::BackendTimeout, "late"))?;
            if self.fails {
                return Err(BackendError::new(Reason::BackendDown, "down"));
            }
            Ok(Evaluation {
                rows: Arc::default(),
                at: query.at,
                asked,
            })
        }
        .boxed()
    }

    fn series(&self, _: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
        async { Ok(ListedSeries::default()) }.boxed()
    }

    fn probe(&self, _: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        async { Ok(BuildInfo::default()) }.boxed()
    }
}

fn flight(inner: Slow) -> SingleFlight<Slow> {
    let metrics = Metrics::new().backend;
    let health = Health::new(
        "b".into(),
        metrics.clone(),
        Board::default(),
        Duration::from_secs(2),
    );
    SingleFlight::new(
        inner,
        "b".into(),
        Duration::from_secs(8),
        Arc::new(health),
        metrics,
    )
}

fn query(promql: &str, at_millis: i64, within: Duration) -> InstantQuery {
    InstantQuery {
        promql: promql.into(),
        at: Timestamp::from_millisecond(at_millis).unwrap(),
        deadline: Instant::now() + within,
        max_samples: Some(10),
        namespace: None,
        rule: None,
        refresh: Duration::ZERO,
    }
}

const LONG: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn the_same_query_in_the_same_second_is_asked_once() {
    let flight = flight(Slow::default());
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

/// Finding 20: a backend that is slow was asked the more often for it.
#[tokio::test(start_paused = true)]
async fn a_dozen_hpas_that_ask_a_slow_query_every_second_cost_one() {
    let flight = Arc::new(flight(Slow {
        takes: Duration::from_secs(5),
        ..Slow::default()
    }));
    let mut asking = tokio::task::JoinSet::new();
    for second in 0..5 {
        for hpa in 0..3 {
            let flight = flight.clone();
            asking.spawn(async move {
                tokio::time::sleep(Duration::from_secs(second) + Duration::from_millis(100 * hpa)).await;
                let at = i64::try_from(second * 1000 + 100 * hpa).unwrap();
                let query = InstantQuery {
                    refresh: Duration::from_secs(5),
                    ..query("slow", at, Duration::from_mins(1))
                };
                flight.instant(query).await
            });
        }
    }
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(
            answer.at.as_millisecond(),
            0,
            "it is of the instant that it is about"
        );
        assert_eq!(answer.asked.elapsed(), Duration::from_secs(5));
    }
    assert_eq!(flight.inner.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_flight_as_old_as_refresh_is_not_joined_and_no_other_namespaces_is() {
    let flight = flight(Slow {
        takes: Duration::from_secs(7),
        ..Slow::default()
    });
    let after = async |seconds: u64, namespace: Option<&str>| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let query = InstantQuery {
            refresh: Duration::from_secs(5),
            namespace: namespace.map(Into::into),
            ..query(
                "slow",
                i64::try_from(seconds * 1000).unwrap(),
                Duration::from_mins(1),
            )
        };
        flight.instant(query).await.unwrap().at.as_second()
    };
    let (first, joined, late, shop, bank) = tokio::join!(
        after(0, None),
        after(4, None),
        after(5, None),
        after(1, Some("shop")),
        after(2, Some("bank"))
    );
    assert_eq!((first, joined, late, shop, bank), (0, 0, 5, 1, 2));
    assert_eq!(flight.inner.asked.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_not_kept() {
    let flight = flight(Slow {
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
    let flight = Arc::new(flight(Slow::default()));
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
    let flight = flight(Slow::default());
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
    for short_first in [false, true] {
        let flight = flight(Slow::default());
        let started = Instant::now();
        let long = flight.instant(query("up", 0, LONG));
        let short = async {
            let result = flight.instant(query("up", 0, Duration::from_millis(200))).await;
            (result, started.elapsed())
        };
        let (long, (short, took)) = if short_first {
            let (short, long) = tokio::join!(short, long);
            (long, short)
        } else {
            tokio::join!(long, short)
        };
        assert!(long.is_ok());
        assert_eq!(short.unwrap_err().reason(), Reason::BackendTimeout);
        assert_eq!(took, Duration::from_millis(200));
        assert_eq!(
            flight.inner.asked.load(Ordering::SeqCst),
            1,
            "whoever asked first, the other one joins"
        );
        assert!(flight.flights.open().is_empty());
    }
}
