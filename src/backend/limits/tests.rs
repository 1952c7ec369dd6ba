use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    api::{BackendLimits, RuleKey},
    backend::{flight::SingleFlight, health::Board},
    metrics::Metrics,
};

const TIMEOUT: Duration = Duration::from_secs(8);

/// What the backend does with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// It answers nothing at all.
    Hangs,
    /// It answers everything but queries that begin with `slow`.
    IsSlow,
    Refuses,
    /// It answers everything after three seconds.
    Labours,
}

struct Moody {
    mood: Mutex<Mood>,
    asked: AtomicUsize,
    probed: AtomicUsize,
}

impl Backend for Arc<Moody> {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
        async move {
            if &*query.promql == PROBE_QUERY {
                self.probed.fetch_add(1, Ordering::SeqCst);
            } else {
                self.asked.fetch_add(1, Ordering::SeqCst);
            }
            let mood = *self.mood.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = Instant::now();
            match mood {
                Mood::Refuses => return Err(BackendError::new(Reason::BackendDown, "it cannot be reached")),
                Mood::IsSlow if !query.promql.starts_with("slow") => {}
                Mood::Well => {}
                Mood::Labours => tokio::time::sleep(Duration::from_secs(3)).await,
                Mood::Hangs | Mood::IsSlow => {
                    sleep_until(query.deadline.min(asked + TIMEOUT)).await;
                    let late =
                        BackendError::new(Reason::BackendTimeout, "the backend did not answer in time");
                    return Err(late);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(Evaluation {
                rows: Arc::default(),
                at: query.at,
                asked,
            })
        }
        .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
        async move {
            sleep_until(query.deadline.min(Instant::now() + TIMEOUT)).await;
            Err(BackendError::new(
                Reason::BackendTimeout,
                "the backend did not answer in time",
            ))
        }
        .boxed()
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        async move {
            let query = query("probe", "vector(1)", deadline);
            self.instant(query).await.map(|_| BuildInfo::default())
        }
        .boxed()
    }
}

struct Bench {
    backend: Arc<Moody>,
    client: SingleFlight<Limited<Arc<Moody>>>,
    health: Arc<Health>,
    board: Board,
    metrics: Metrics,
}

impl Bench {
    fn new(mood: Mood) -> Self {
        let (metrics, board) = (Metrics::new(), Board::default());
        let counts = metrics.backend.clone();
        let backend = Arc::new(Moody {
            mood: Mutex::new(mood),
            asked: AtomicUsize::default(),
            probed: AtomicUsize::default(),
        });
        let name: Arc<str> = "main".into();
        let health = Health::new(name.clone(), counts.clone(), board.clone(), TIMEOUT / 4);
        let health = Arc::new(health);
        let limits = BackendLimits::default();
        let ceilings = Limiter::new(name.clone(), limits, counts.clone(), board.clone());
        let limited = Limited::new(
            backend.clone(),
            name.clone(),
            TIMEOUT,
            Arc::new(ceilings),
            health.clone(),
            counts.clone(),
        );
        Self {
            backend,
            client: SingleFlight::new(limited, name, TIMEOUT, health.clone(), counts),
            health,
            board,
            metrics,
        }
    }

    fn set(&self, mood: Mood) {
        *self.backend.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    async fn ask(&self, namespace: &str, promql: &str) -> (Option<BackendError>, Duration) {
        let started = Instant::now();
        let query = query(namespace, promql, started + Duration::from_mins(1));
        (self.client.instant(query).await.err(), started.elapsed())
    }

    fn is_open(&self) -> bool {
        let healths = self.board.subscribe();
        let healths = healths.borrow();
        healths.get("main").is_some_and(|health| health.outage.is_some())
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|known| known.starts_with(line))
    }
}

fn query(namespace: &str, promql: &str, deadline: Instant) -> InstantQuery {
    InstantQuery {
        promql: promql.into(),
        at: Timestamp::UNIX_EPOCH,
        deadline,
        max_samples: None,
        namespace: Some(namespace.into()),
        rule: Some(Arc::new(RuleKey::namespaced(namespace, promql))),
        refresh: Duration::from_secs(5),
    }
}

/// Finding 6: twenty and two hundred HPAs on a backend that hangs, with the five workers of the HPA controller. How late the
/// workers come to anything else is what the HPAs of other backends and of CPU feel.
#[tokio::test(start_paused = true)]
async fn hpas_on_a_backend_that_hangs_hold_no_worker_up_after_ten_seconds() {
    for hpas in [20, 200] {
        let bench = Arc::new(Bench::new(Mood::Hangs));
        let began = Instant::now();
        let next = Arc::new(AtomicUsize::default());
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (bench, next) = (bench.clone(), next.clone());
            workers.spawn(async move {
                let (mut worst, mut worst_after) = (Duration::ZERO, Duration::ZERO);
                while began.elapsed() < Duration::from_mins(1) {
                    let hpa = next.fetch_add(1, Ordering::SeqCst) % hpas;
                    let asked = Instant::now();
                    let (error, took) = bench.ask(&format!("ns-{}", hpa % 7), &format!("hpa-{hpa}")).await;
                    assert_eq!(error.unwrap().reason(), Reason::BackendTimeout);
                    worst = worst.max(took);
                    if asked - began >= Duration::from_secs(10) {
                        worst_after = worst_after.max(took);
                    }
                    // All of them are looked at within fifteen seconds.
                    tokio::time::sleep(Duration::from_millis(70)).await;
                }
                (worst, worst_after)
            });
        }
        for (worst, worst_after) in workers.join_all().await {
            assert!(
                worst <= TIMEOUT,
                "{hpas}: one timeout late at most, not {worst:?}"
            );
            assert!(worst_after.is_zero(), "{hpas}: {worst_after:?} after ten seconds");
        }
        let asked = bench.backend.asked.load(Ordering::SeqCst);
        assert!(asked < 30, "{asked} queries to a backend that hangs");
        assert!(bench.is_open());
        assert!(bench.counts("metricrule_backend_circuit{backend=\"main\",state=\"closed\"} 0"));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_back_within_seconds_of_the_backend() {
    for mood in [Mood::Hangs, Mood::Refuses] {
        let bench = Bench::new(mood);
        let mut rounds = 0;
        while !bench.is_open() {
            bench.ask("shop", &format!("up{rounds}")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            rounds += 1;
            assert!(rounds < 10, "{mood:?}");
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
        let (error, took) = bench.ask("shop", "up").await;
        let error = error.unwrap();
        assert!(
            took.is_zero() && error.cause().contains("the backend has not answered since"),
            "{error}"
        );
        let probed = bench.backend.probed.load(Ordering::SeqCst);
        assert!((60..400).contains(&probed), "{probed} probes in ten minutes");
        bench.set(Mood::Well);
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(bench.ask("shop", "up").await.0, None, "{mood:?}");
        assert!(!bench.is_open());
        assert!(bench.counts("metricrule_backend_circuit{backend=\"main\",state=\"closed\"} 1"));
    }
}

/// A Prometheus that has just started answers late, and within its timeout.
#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_back_slow_is_not_taken_for_gone() {
    let bench = Bench::new(Mood::Refuses);
    while !bench.is_open() {
        bench.ask("shop", "up").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    bench.set(Mood::Labours);
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (error, took) = bench.ask("shop", "up").await;
    assert_eq!((error, took.as_secs()), (None, 3));
    assert!(!bench.is_open());
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_ends_when_the_breaker_opens_and_listings_fail_fast_too() {
    let bench = Bench::new(Mood::Hangs);
    let series = |seconds| SeriesQuery {
        selector: "up".into(),
        start: Timestamp::UNIX_EPOCH,
        end: Timestamp::UNIX_EPOCH,
        max_series: None,
        examples: 1,
        namespace: None,
        deadline: Instant::now() + Duration::from_secs(seconds),
    };
    let started = Instant::now();
    let (instant, listing) = tokio::join!(bench.ask("shop", "up"), bench.client.series(series(30)));
    assert!(instant.1 <= Duration::from_secs(6), "{:?}", instant.1);
    assert_eq!(listing.unwrap_err().reason(), Reason::BackendTimeout);
    assert!(started.elapsed() <= Duration::from_secs(6));
    let again = Instant::now();
    let error = bench.client.series(series(30)).await.unwrap_err();
    assert!(again.elapsed().is_zero());
    assert_eq!(
        error.cause(),
        "the backend did not answer in time",
        "a condition says the same for as long as it lasts"
    );
    // What the status says is asked, whatever the breaker thinks.
    let before = bench.backend.probed.load(Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(5);
    assert!(bench.client.probe(deadline).await.is_err());
    assert!(bench.backend.probed.load(Ordering::SeqCst) > before);
}

#[tokio::test(start_paused = true)]
async fn a_tenants_slow_queries_leave_the_backend_open_to_the_others() {
    let bench = Arc::new(Bench::new(Mood::IsSlow));
    let began = Instant::now();
    let mut tenants = tokio::task::JoinSet::new();
    for tenant in 0..40 {
        let bench = bench.clone();
        tenants.spawn(async move {
            let mut round = 0;
            while began.elapsed() < Duration::from_mins(2) {
                bench.ask("lab", &format!("slow-{tenant}-{round}")).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                round += 1;
            }
        });
    }
    while began.elapsed() < Duration::from_mins(2) {
        // Rarely, so that nothing but the probe tells that the backend lives.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let (error, took) = bench.ask("shop", &format!("fast-{:?}", began.elapsed())).await;
        assert_eq!(error, None);
        assert!(took <= Duration::from_millis(30), "{took:?}: three times alone");
        assert!(!bench.is_open());
    }
    tenants.join_all().await;
    assert!(bench.counts("metricrule_backend_circuit{backend=\"main\",state=\"open\"} 0"));
}

/// Two hundred HPAs of slow queries on a backend that lives, and five workers: each round of them costs next to nothing once they
/// are known.
#[tokio::test(start_paused = true)]
async fn two_hundred_slow_queries_do_not_hold_the_workers() {
    let bench = Arc::new(Bench::new(Mood::IsSlow));
    let round = async |number: usize| {
        let started = Instant::now();
        let next = Arc::new(AtomicUsize::default());
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (bench, next) = (bench.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let hpa = next.fetch_add(1, Ordering::SeqCst);
                    if hpa >= 200 {
                        return;
                    }
                    bench.ask("lab", &format!("slow-{hpa}")).await;
                }
            });
        }
        workers.join_all().await;
        let took = started.elapsed();
        // In the first one a query may wait for a slot as long as those before it take; at eight seconds each it was 320 s.
        let most = if number == 0 { TIMEOUT * 2 } else { TIMEOUT };
        assert!(took <= most, "round {number}: {took:?}");
    };
    for number in 0..8 {
        round(number).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    assert!(!bench.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_answers_again_is_served_at_once() {
    let bench = Bench::new(Mood::IsSlow);
    let (error, took) = bench.ask("shop", "slow").await;
    assert_eq!((error.unwrap().reason(), took), (Reason::BackendTimeout, TIMEOUT));
    let (error, took) = bench.ask("shop", "slow").await;
    assert!(error.unwrap().cause().starts_with("this query took longer") && took.is_zero());
    bench.set(Mood::Well);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(bench.ask("shop", "slow").await.0, None);
    assert!(bench.counts("metricrule_backend_failures_held{backend=\"main\"} 0"));
}

/// A client in a hurry must not make its neighbours' queries fail.
#[tokio::test(start_paused = true)]
async fn a_short_deadline_says_nothing_about_query_or_backend() {
    let bench = Bench::new(Mood::IsSlow);
    for _ in 0..20 {
        let hurry = query("shop", "slow", Instant::now() + Duration::from_millis(50));
        assert!(bench.client.instant(hurry).await.is_err());
    }
    let refused = bench.health.verdict(&query("shop", "slow", Instant::now()));
    assert_eq!(refused, crate::backend::lapses::Verdict::Ask);
    assert!(!bench.is_open());
}
