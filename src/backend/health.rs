//! Health of each backend: whether its breaker is open, and whether its ceilings hold queries up. For the status of the
//! `MetricBackend`, and for whoever is about to ask.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

pub use super::fair::Ceiling;
use super::{
    BackendError, InstantQuery, QueryKey, Said,
    breaker::{Breaker, LONGEST_WAIT, Next, is_of_backend},
    lapses::{Lapse, Lapses, Verdict},
};
use crate::{
    api::RuleKey,
    metrics::{BackendMetrics, CircuitState, QueryKind},
    reason::Reason,
};

/// What is to be told of a backend beside what a probe says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendHealth {
    /// Set while queries are refused without being sent, because the backend does not answer.
    pub outage: Option<Outage>,
    /// The ceiling that held queries up lately; none where an outage did.
    pub throttled: Option<Throttled>,
    /// How many outages have begun.
    pub outages: u32,
}

/// A backend that does not answer anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Timestamp,
    /// `BackendDown`, `BackendTimeout`, `BackendError` or `TlsFailed`, and in which words.
    pub error: BackendError,
}

/// A ceiling of the backend that makes queries wait or fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Which.
    pub ceiling: Ceiling,
    /// Its value.
    pub limit: u32,
    /// The value with which no query would have had to wait, as far as it can be known.
    pub wanted: u32,
    /// How many queries failed for it in the period.
    pub refused: u64,
    /// How many waited for it.
    pub delayed: u64,
    /// The end of the period of [`Throttled::PERIOD`] in which that was counted.
    pub at: Timestamp,
}

/// The health of all backends, by name.
pub type Healths = BTreeMap<Arc<str>, BackendHealth>;

/// Where every backend's health is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(watch::Sender<Arc<Healths>>);

/// What one client of a backend has learnt.
#[derive(Debug)]
pub(super) struct Health {
    name: Arc<str>,
    metrics: BackendMetrics,
    board: Board,
    breaker: Mutex<Breaker>,
    lapses: Mutex<Lapses>,
    outage: watch::Sender<Option<Outage>>,
    /// Another client has taken its place, and speaks for the backend.
    is_retired: AtomicBool,
    /// A query that waits for so long without anyone's answer makes the backend suspect.
    patience: Duration,
}

/// Waits for an outage.
pub(super) struct Alarm(watch::Receiver<Option<Outage>>);

// === impl Throttled ===

impl Throttled {
    /// Over how long it is counted.
    pub const PERIOD: Duration = Duration::from_secs(30);
    /// For how long it is worth telling.
    const TOLD: Duration = Duration::from_mins(2);

    /// Whether it is still worth telling: without queries nothing takes it back.
    pub fn is_current(&self, now: Timestamp) -> bool {
        now.duration_since(self.at).unsigned_abs() < Self::TOLD
    }
}

/// `limits.queriesPerSecond: 50 holds queries up: in 30s 3 failed and 1200 waited; set it to 800 or more`
impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ceiling,
            limit,
            wanted,
            refused,
            delayed,
            ..
        } = self;
        write!(
            f,
            "{}: {limit} delays queries: in {}s {refused} failed and {delayed} waited; set it to {wanted} or more",
            ceiling.field(),
            Self::PERIOD.as_secs()
        )
    }
}

// === impl Ceiling ===

impl Ceiling {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Rate, Self::Backend, Self::Namespace, Self::Rule];

    /// The field of the `MetricBackend`'s spec.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Backend => "limits.maxConcurrent",
            Self::Namespace => "limits.perNamespace.maxConcurrent",
            Self::Rule => "limits.perRule.maxConcurrent",
            Self::Rate => "limits.queriesPerSecond",
        }
    }
}

// === impl Board ===

impl Board {
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Healths>> {
        self.0.subscribe()
    }

    /// Whether there is an outage, and how many have begun.
    pub(super) fn outages(&self, name: &str) -> (bool, u32) {
        let all = self.0.borrow();
        all.get(name)
            .map_or((false, 0), |health| (health.outage.is_some(), health.outages))
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.send_if_modified(|all| {
            let known = all.contains_key(name);
            if known {
                Arc::make_mut(all).remove(name);
            }
            known
        });
    }

    pub(super) fn update(&self, name: &Arc<str>, change: impl FnOnce(&mut BackendHealth)) {
        self.0.send_if_modified(|all| {
            let mut health = all.get(name).cloned().unwrap_or_default();
            change(&mut health);
            let changed = all.get(name) != Some(&health);
            if changed {
                Arc::make_mut(all).insert(name.clone(), health);
            }
            changed
        });
    }
}

// === impl Health ===

impl Health {
    pub(super) fn new(name: Arc<str>, metrics: BackendMetrics, board: Board, patience: Duration) -> Self {
        board.update(&name, |health| health.outage = None);
        metrics.circuit(&name, CircuitState::Closed);
        Self {
            name,
            metrics,
            board,
            breaker: Mutex::default(),
            lapses: Mutex::default(),
            outage: watch::Sender::default(),
            is_retired: AtomicBool::new(false),
            patience,
        }
    }

    /// Stops telling: another client is there. What is on its way here comes to its end.
    pub(super) fn retire(&self) {
        // What is being told at this moment is told before, and so before what the other one tells.
        let _telling = self.breaker();
        self.is_retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn alarm(&self) -> Alarm {
        Alarm(self.outage.subscribe())
    }

    /// Why a query is not sent at all.
    pub(super) fn refusal(&self, kind: QueryKind) -> Option<BackendError> {
        let refusal = self.outage.borrow().as_ref().map(|outage| outage.refusal(kind));
        if refusal.is_some() {
            self.metrics.refused(&self.name, "backend");
        }
        refusal
    }

    /// Somebody was answered.
    pub(super) fn answered(&self, now: Instant) {
        let mut breaker = self.breaker();
        let was_open = breaker.is_open();
        breaker.answered(now);
        if was_open {
            self.close();
        }
    }

    /// A query failed. Whether the caller is to probe.
    pub(super) fn failed(&self, error: &BackendError) -> bool {
        is_of_backend(error.reason()) && self.breaker().failed()
    }

    /// A query waits since `started`. Whether the caller is to probe.
    pub(super) fn is_silent(&self, started: Instant) -> bool {
        self.breaker().is_silent(started, Instant::now(), self.patience)
    }

    /// A probe begins.
    pub(super) fn attempt(&self) {
        if self.breaker().is_open() {
            self.show(CircuitState::HalfOpen);
        }
    }

    /// What a probe came to; how long to wait for the next one, where there is to be one.
    pub(super) fn probed(&self, began: Instant, error: Option<&BackendError>) -> Option<Duration> {
        let gone = error.filter(|error| is_of_backend(error.reason()));
        // What is told changes with what is known, under one lock: a breaker that is closed must refuse nobody.
        let mut breaker = self.breaker();
        let was_open = breaker.is_open();
        let next = breaker.probed(began, Instant::now(), gone.is_none(), spread());
        match (breaker.is_open(), gone) {
            (true, Some(error)) => self.open(error),
            (false, _) if was_open => self.close(),
            _ => {}
        }
        match next {
            Next::Probe(wait) => Some(wait),
            Next::Rest => None,
        }
    }

    /// How a query is to be asked.
    pub(super) fn verdict(&self, query: &InstantQuery) -> Verdict {
        let key = query.key();
        let verdict = self.lapses().ask(&key, query.rule.as_ref(), Instant::now());
        if let Verdict::Refuse(lapse) | Verdict::Try(lapse) = &verdict {
            let cause = if lapse.times == 0 { "namespace" } else { "query" };
            self.metrics.refused(&self.name, cause);
        }
        verdict
    }

    /// Why a query that waited for its turn is not asked any more.
    pub(super) fn overtaken(&self, key: &QueryKey, rule: Option<&Arc<RuleKey>>) -> Option<BackendError> {
        let overtaken = self.lapses().is_overtaken(key, rule, Instant::now());
        overtaken.then(|| {
            self.metrics.refused(&self.name, "namespace");
            BackendError::new(Reason::BackendTimeout, Lapse::OF_NAMESPACE.cause())
        })
    }

    /// What became of a query. `was_late`: it had all the time that the backend's timeout gives, and needed more.
    pub(super) fn record(
        &self,
        key: &QueryKey,
        rule: Option<&Arc<RuleKey>>,
        error: Option<&BackendError>,
        was_late: bool,
    ) {
        let held = {
            let mut lapses = self.lapses();
            match error.map(BackendError::reason) {
                _ if was_late => lapses.lapsed(key, rule, Instant::now(), spread()),
                Some(Reason::Throttled) => lapses.ended(key),
                Some(reason) if is_of_backend(reason) => lapses.ended(key),
                _ => lapses.answered(key, rule),
            }
            lapses.len()
        };
        self.count_held(held);
    }

    fn open(&self, error: &BackendError) {
        let before = self.outage.borrow().as_ref().map(|outage| outage.since);
        let outage = Outage {
            since: before.unwrap_or_else(Timestamp::now),
            error: error.clone(),
        };
        self.show(CircuitState::Open);
        self.tell(Some(outage.clone()));
        self.outage.send_replace(Some(outage));
        if before.is_none() {
            self.forget_lapses();
            let (reason, detail) = (error.reason(), error.detail());
            tracing::warn!(backend = %self.name, %reason, detail, "the backend does not answer: queries fail at once until it answers a probe");
        }
    }

    fn close(&self) {
        let ended = self.outage.send_replace(None);
        self.show(CircuitState::Closed);
        self.tell(None);
        self.forget_lapses();
        if let Some(Outage { since, .. }) = ended {
            tracing::info!(backend = %self.name, %since, "the backend answers again");
        }
    }

    fn forget_lapses(&self) {
        self.lapses().clear();
        self.count_held(0);
    }

    fn show(&self, state: CircuitState) {
        if !self.is_retired.load(Ordering::Relaxed) {
            self.metrics.circuit(&self.name, state);
        }
    }

    fn tell(&self, outage: Option<Outage>) {
        if !self.is_retired.load(Ordering::Relaxed) {
            self.board.update(&self.name, |health| {
                let begins = health.outage.is_none() && outage.is_some();
                health.outages = health.outages.wrapping_add(u32::from(begins));
                health.outage = outage;
                // Who waits for a backend that answers nobody waits for no ceiling.
                health.throttled = None;
            });
        }
    }

    fn count_held(&self, held: usize) {
        if !self.is_retired.load(Ordering::Relaxed) {
            self.metrics.failures_held(&self.name, held);
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lapses(&self) -> MutexGuard<'_, Lapses> {
        self.lapses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Outage ===

impl Outage {
    /// Why a query is not sent. The words stay the same for as long as the outage lasts: they go into conditions and Events.
    fn refusal(&self, kind: QueryKind) -> BackendError {
        let Self { since, error } = self;
        if kind == QueryKind::Series {
            return error.clone();
        }
        let cause = format!(
            "{}; the backend has not answered since {}, and the operator tries again at least every {} seconds",
            error.cause(),
            since.strftime("%Y-%m-%dT%H:%M:%SZ"),
            LONGEST_WAIT.as_secs()
        );
        BackendError::new(error.reason(), cause).with_detail(&Said::ours(error.detail()))
    }
}

// === impl Alarm ===

impl Alarm {
    /// Waits until the backend is known to be gone, and says so.
    pub(super) async fn sounds(&mut self, kind: QueryKind) -> BackendError {
        let refusal = {
            let outage = self.0.wait_for(Option::is_some).await;
            outage
                .ok()
                .and_then(|outage| Some(outage.as_ref()?.refusal(kind)))
        };
        match refusal {
            Some(refusal) => refusal,
            None => std::future::pending().await,
        }
    }
}

/// Of 0 to 1, another one each time and on each replica.
fn spread() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() & u128::from(u16::MAX);
    u16::try_from(bits).map_or(0.5, |bits| f64::from(bits) / f64::from(u16::MAX))
}
