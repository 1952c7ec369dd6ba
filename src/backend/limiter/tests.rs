use futures::FutureExt as _;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    api::RuleKey,
    backend::{fair::Tenant, health::Throttled},
    metrics::Metrics,
};

fn limits(max_concurrent: u32, queries_per_second: u32) -> BackendLimits {
    let mut limits = BackendLimits {
        max_concurrent,
        queries_per_second,
        ..BackendLimits::default()
    };
    limits.per_namespace.max_concurrent = max_concurrent;
    limits.per_rule.max_concurrent = max_concurrent;
    limits
}

fn limiter(max_concurrent: u32, queries_per_second: u32) -> Arc<Limiter> {
    let limits = limits(max_concurrent, queries_per_second);
    Arc::new(Limiter::new(
        "b".into(),
        limits,
        Metrics::new().backend,
        Board::default(),
    ))
}

fn of(namespace: &str) -> Who {
    Who {
        tenant: Tenant::Namespace(namespace.into()),
        rule: Some(Arc::new(RuleKey::cluster("any"))),
    }
}

async fn admit(limiter: &Arc<Limiter>, millis: u64) -> Result<Permit, BackendError> {
    let until = Instant::now() + Duration::from_millis(millis);
    limiter.admit(of("shop"), until, until).await
}

#[tokio::test(start_paused = true)]
async fn slots_are_waited_for_until_the_deadline() {
    let limiter = limiter(3, 1000);
    let first = admit(&limiter, 0).await.unwrap();
    let _second = admit(&limiter, 0).await.unwrap();

    let started = Instant::now();
    let error = admit(&limiter, 500).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_millis(500));
    assert_eq!(error.reason(), Reason::Throttled);
    assert!(
        error.cause().contains("limits.perNamespace.maxConcurrent: 3"),
        "{error}"
    );

    drop(first);
    drop(admit(&limiter, 0).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_gives_its_slot_and_its_token_back() {
    let limiter = limiter(1, 10);
    let held = admit(&limiter, 0).await.unwrap();
    let waiting = admit(&limiter, 1000);
    assert!(
        tokio::time::timeout(Duration::from_millis(1), waiting)
            .await
            .is_err()
    );
    drop(held);
    drop(admit(&limiter, 0).await.unwrap());

    // The burst is used up; hundreds who give up while they wait for the rate move nobody's turn.
    for _ in 0..8 {
        drop(admit(&limiter, 0).await.unwrap());
    }
    for _ in 0..300 {
        assert!(admit(&limiter, 60_000).now_or_never().is_none());
    }
    let started = Instant::now();
    drop(admit(&limiter, 60_000).await.unwrap());
    assert!(
        started.elapsed() <= Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_rate_lets_one_seconds_worth_through_at_once_and_the_rest_evenly() {
    let limiter = limiter(100, 10);
    let started = Instant::now();
    for _ in 0..10 {
        drop(admit(&limiter, 0).await.unwrap());
    }
    assert_eq!(started.elapsed(), Duration::ZERO);

    for _ in 0..20 {
        drop(admit(&limiter, 1000).await.unwrap());
    }
    assert_eq!(started.elapsed(), Duration::from_secs(2));

    let error = admit(&limiter, 50).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Throttled);
    assert!(error.cause().contains("limits.queriesPerSecond: 10"), "{error}");
    assert_eq!(started.elapsed(), Duration::from_secs(2), "it is refused at once");

    tokio::time::sleep(Duration::from_mins(1)).await;
    let started = Instant::now();
    for _ in 0..11 {
        drop(admit(&limiter, 1000).await.unwrap());
    }
    assert_eq!(
        started.elapsed(),
        Duration::from_millis(100),
        "the bucket holds one second's worth"
    );
}

/// Who cannot be served in time is told at once, and who can be is not sent away.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_served_in_time_fails_at_once() {
    let limiter = limiter(3, 1000);
    for _ in 0..8 {
        let permit = admit(&limiter, 0).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        permit.finish(Duration::from_secs(2));
    }
    let started = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let limiter = limiter.clone();
        asking.spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(8);
            match limiter.admit(of("shop"), deadline, deadline).await {
                Ok(permit) => {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    permit.finish(Duration::from_secs(2));
                    (true, started.elapsed())
                }
                Err(_) => (false, started.elapsed()),
            }
        });
    }
    let outcomes: Vec<(bool, Duration)> = asking.join_all().await;
    let served = outcomes.iter().filter(|(served, _)| *served).count();
    // Two slots of three for one namespace, four rounds in eight seconds.
    assert_eq!(served, 8);
    for (served, took) in outcomes {
        assert!(served || took.is_zero(), "refused after {took:?}");
        assert!(took <= Duration::from_secs(8));
    }
}

/// A query has a time to wait and a time to run: who will wait for longer than the first is told at once, too.
#[tokio::test(start_paused = true)]
async fn who_gets_no_slot_before_the_wait_is_over_fails_at_once() {
    let limiter = limiter(3, 1000);
    let takes = Duration::from_secs(3);
    for _ in 0..8 {
        let permit = admit(&limiter, 0).await.unwrap();
        tokio::time::sleep(takes).await;
        permit.finish(takes);
    }
    let started = Instant::now();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let limiter = limiter.clone();
        asking.spawn(async move {
            let until = Instant::now() + Duration::from_secs(8);
            let admitted = limiter
                .admit(of("shop"), until, until + Duration::from_secs(8))
                .await;
            let Ok(permit) = admitted else {
                return Some(started.elapsed());
            };
            tokio::time::sleep(takes).await;
            permit.finish(takes);
            None
        });
    }
    let refused: Vec<Duration> = asking.join_all().await.into_iter().flatten().collect();
    // Two slots of three, and rounds that begin after 0, 3 and 6 seconds.
    assert_eq!(refused.len(), 20 - 6);
    assert!(refused.iter().all(Duration::is_zero), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_raised_rate_is_felt_by_who_comes_next() {
    let limiter = limiter(16, 1);
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { admit(&limiter, 10_000).await.map(drop) })
        })
        .collect();
    tokio::task::yield_now().await;
    limiter.set_limits(limits(16, 1000));
    let started = Instant::now();
    drop(admit(&limiter, 10_000).await.unwrap());
    assert!(
        started.elapsed() <= Duration::from_millis(10),
        "{:?} at a thousand a second",
        started.elapsed()
    );
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    // A lower one owes nothing that was not owed before.
    limiter.set_limits(limits(16, 1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(admit(&limiter, 0).await.is_ok() && admit(&limiter, 0).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_counts_what_is_in_flight_and_a_higher_one_wakes_who_waits() {
    let limiter = limiter(3, 1000);
    let held = [
        admit(&limiter, 0).await.unwrap(),
        admit(&limiter, 0).await.unwrap(),
    ];
    let waiting = tokio::spawn({
        let limiter = limiter.clone();
        async move { admit(&limiter, 60_000).await }
    });
    tokio::task::yield_now().await;
    limiter.set_limits(limits(8, 1000));
    let third = waiting.await.unwrap().unwrap();
    limiter.set_limits(limits(2, 1000));
    assert!(admit(&limiter, 0).await.is_err());
    drop(held);
    assert!(
        admit(&limiter, 0).await.is_err(),
        "one is in flight, and one is all there is"
    );
    drop(third);
    assert!(admit(&limiter, 0).await.is_ok());
}

/// The measurement behind the default: five workers, one read after the other, 2 ms each.
#[tokio::test(start_paused = true)]
async fn a_rate_that_bites_is_told_with_the_value_to_set() {
    for (rate, bites) in [(50, true), (1000, false)] {
        let limiter = limiter(16, rate);
        let mut workers = tokio::task::JoinSet::new();
        let started = Instant::now();
        for worker in 0..5 {
            let limiter = limiter.clone();
            workers.spawn(async move {
                for _ in 0..400 {
                    let deadline = Instant::now() + Duration::from_mins(1);
                    let permit = limiter.admit(of("shop"), deadline, deadline).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    permit.finish(Duration::from_millis(10));
                }
                worker
            });
        }
        workers.join_all().await;
        let took = started.elapsed();
        let told = limiter.board.subscribe().borrow().get("b").cloned();
        let throttled = told.and_then(|health| health.throttled);
        if bites {
            assert!(took > Duration::from_secs(35), "{took:?}");
            let Throttled {
                ceiling,
                limit,
                wanted,
                refused,
                ..
            } = throttled.unwrap();
            assert_eq!((ceiling, limit, refused), (Ceiling::Rate, 50, 0));
            assert!(
                (300..=700).contains(&wanted),
                "{wanted}: five workers, 10 ms each"
            );
            assert!(
                throttled
                    .unwrap()
                    .to_string()
                    .starts_with("limits.queriesPerSecond: 50 delays queries")
            );
        } else {
            assert!(took < Duration::from_secs(5), "{took:?}");
            assert_eq!(throttled, None);
        }
    }
}

/// Queries that waited for a backend which answers nobody, or for a moment, waited for no ceiling.
#[tokio::test(start_paused = true)]
async fn an_outage_or_a_burst_made_a_backend_say_that_its_ceilings_hold_queries_up() {
    use crate::backend::health::Outage;

    let limiter = limiter(1, 1000);
    let throttled = || {
        let told = limiter.board.subscribe().borrow().get("b").cloned();
        told.and_then(|health| health.throttled)
    };
    let burst = async |queries: u32, millis: u64| {
        let asked = (0..queries).map(|_| async {
            if let Ok(permit) = admit(&limiter, 8000).await {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                permit.finish(Duration::from_millis(millis));
            }
        });
        futures::future::join_all(asked).await;
    };
    for _ in 0..5 {
        burst(16, 10).await;
        tokio::time::sleep(Throttled::PERIOD).await;
    }
    assert_eq!(throttled(), None, "a burst");

    let outage = |outage: Option<Outage>| {
        limiter.board.update(&limiter.name, |health| {
            health.outages += u32::from(outage.is_some());
            health.outage = outage.clone();
        });
    };
    outage(Some(Outage {
        since: Timestamp::UNIX_EPOCH,
        error: BackendError::new(Reason::BackendTimeout, "it hangs"),
    }));
    burst(16, 8000).await;
    outage(None);
    burst(1, 10).await;
    tokio::time::sleep(Throttled::PERIOD).await;
    burst(1, 10).await;
    assert_eq!(throttled(), None, "an outage");

    burst(16, 2000).await;
    assert!(throttled().is_some(), "that was the ceiling");
}

proptest! {
    /// However waits are given up, with the rate and without: every slot and every token is back in the end.
    #[test]
    fn cancelled_anywhere_nothing_is_lost(patiences in prop::collection::vec(0..400_u64, 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limiter = limiter(3, 20);
            let mut asking = tokio::task::JoinSet::new();
            for (index, patience) in patiences.iter().copied().enumerate() {
                let limiter = limiter.clone();
                asking.spawn(async move {
                    let who = of(["a", "b", "c"][index % 3]);
                    let deadline = Instant::now() + Duration::from_secs(2);
                    let work = async {
                        let permit = limiter.admit(who, deadline, deadline).await;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        permit
                    };
                    let _ = tokio::time::timeout(Duration::from_millis(patience), work).await;
                });
            }
            asking.join_all().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(limiter.state().queue.queued(), 0);
            let started = Instant::now();
            let mut held = Vec::new();
            for namespace in ["a", "b", "c"] {
                let deadline = Instant::now();
                held.push(limiter.admit(of(namespace), deadline, deadline).await.unwrap());
            }
            drop(held);
            for _ in 0..17 {
                drop(limiter.admit(of("a"), Instant::now(), Instant::now()).await.unwrap());
            }
            assert_eq!(started.elapsed(), Duration::ZERO, "the whole burst is there");
        });
    }
}
