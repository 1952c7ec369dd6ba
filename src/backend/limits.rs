//! Limits between a query and its backend: the breaker, the ceilings, and the counters of outcomes.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout_at},
};

use super::{
    Backend, BackendError, BuildInfo, Evaluation, InstantQuery, ListedSeries, SeriesQuery,
    breaker::is_of_backend,
    fair::{Tenant, Who},
    health::Health,
    limiter::Limiter,
};
use crate::{
    metrics::{BackendMetrics, QueryKind},
    reason::Reason,
};

/// After which a probe of the breaker is late; with a shorter timeout of the backend after that.
const PROBE: Duration = Duration::from_secs(2);
/// What any server answers without looking at a series.
const PROBE_QUERY: &str = "vector(1)";

/// A backend behind its breaker and its ceilings. Also counts, for here is where waiting ends and the backend's own time begins.
pub(super) struct Limited<B>(Arc<Inner<B>>);

struct Inner<B> {
    backend: B,
    name: Arc<str>,
    /// The backend's own, for each query.
    timeout: Duration,
    limiter: Arc<Limiter>,
    health: Arc<Health>,
    metrics: BackendMetrics,
    /// Probes of the status have a slot of their own: they wait behind nobody's query.
    probes: Semaphore,
}

/// What became of a query.
struct Ended<T> {
    result: Result<T, BackendError>,
    /// Whether it failed although it had all the time that the backend's timeout gives.
    lapsed: bool,
}

// === impl Limited ===

impl<B: Backend + 'static> Limited<B> {
    pub(super) fn new(
        backend: B,
        name: Arc<str>,
        timeout: Duration,
        limiter: Arc<Limiter>,
        health: Arc<Health>,
        metrics: BackendMetrics,
    ) -> Self {
        Self(Arc::new(Inner {
            backend,
            name,
            timeout,
            limiter,
            health,
            metrics,
            probes: Semaphore::new(1),
        }))
    }

    async fn run<T>(
        &self,
        kind: QueryKind,
        who: Who,
        until: Instant,
        deadline: Instant,
        overtaken: impl Fn() -> Option<BackendError> + Send,
        query: impl Future<Output = Result<T, BackendError>>,
    ) -> Ended<T> {
        let inner = &*self.0;
        let ended = self.guarded(kind, who, until, deadline, overtaken, query).await;
        if let Err(error) = &ended.result {
            let (reason, detail) = (error.reason(), error.detail());
            tracing::debug!(backend = %inner.name, ?kind, %reason, detail, "query failed");
        }
        ended
    }

    async fn guarded<T>(
        &self,
        kind: QueryKind,
        who: Who,
        until: Instant,
        deadline: Instant,
        overtaken: impl Fn() -> Option<BackendError> + Send,
        query: impl Future<Output = Result<T, BackendError>>,
    ) -> Ended<T> {
        let inner = &*self.0;
        let entered = Instant::now();
        let mut alarm = inner.health.alarm();
        let admitted = if let Some(refusal) = inner.health.refusal(kind) {
            Err(refusal)
        } else {
            tokio::select! {
                biased;
                refusal = alarm.sounds(kind) => Err(refusal),
                admitted = inner.limiter.admit(who, until, deadline) => admitted,
            }
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(error) => {
                inner.metrics.unasked(&inner.name, kind, error.reason().code());
                return Ended::unasked(error);
            }
        };
        let started = Instant::now();
        // What was learnt while it waited holds for it too.
        if let Some(refusal) = (started > entered).then(overtaken).flatten() {
            inner.metrics.unasked(&inner.name, kind, refusal.reason().code());
            return Ended::unasked(refusal);
        }
        let _in_flight = inner.metrics.begin(&inner.name);
        let patience = inner.health.patience();
        let mut looks = interval_at(started + patience, patience);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut query = pin!(query);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut query => break result,
                refusal = alarm.sounds(kind) => {
                    inner.count(kind, Some(&refusal), started.elapsed());
                    return Ended::unasked(refusal);
                }
                _ = looks.tick() => if inner.health.is_silent(started) {
                    self.watch();
                },
            }
        };
        let took = started.elapsed();
        permit.finish(took);
        inner.count(kind, result.as_ref().err(), took);
        // A client that is in a hurry says nothing about the backend.
        let had_its_time = deadline >= started + inner.timeout;
        let lapsed = match &result {
            Err(error) if is_of_backend(error.reason()) => {
                if had_its_time && inner.health.failed(error) {
                    self.watch();
                }
                had_its_time && error.reason() == Reason::BackendTimeout
            }
            _ => {
                inner.health.answered(Instant::now());
                false
            }
        };
        Ended { result, lapsed }
    }

    /// Finds out behind everyone's back whether the backend answers at all, until it does. The work ends with the client.
    fn watch(&self) {
        tokio::spawn(watch(Arc::downgrade(&self.0)));
    }
}

impl<B: Backend + 'static> Backend for Limited<B> {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
        async move {
            let inner = &*self.0;
            let who = Who {
                tenant: match &query.namespace {
                    Some(namespace) => Tenant::Namespace(namespace.clone()),
                    None => Tenant::Cluster,
                },
                rule: query.rule.clone(),
            };
            let (key, rule, deadline) = (query.key(), query.rule.clone(), query.deadline);
            let until = deadline.min(Instant::now() + inner.timeout);
            let query = inner.backend.instant(query);
            let overtaken = || inner.health.overtaken(&key, rule.as_ref());
            let Ended { result, lapsed } = self
                .run(QueryKind::Instant, who, until, deadline, overtaken, query)
                .await;
            inner
                .health
                .record(&key, rule.as_ref(), result.as_ref().err(), lapsed);
            result
        }
        .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
        async move {
            let who = Who {
                tenant: Tenant::Listings,
                rule: None,
            };
            let deadline = query.deadline;
            let query = self.0.backend.series(query);
            let ended = self
                .run(QueryKind::Series, who, deadline, deadline, || None, query)
                .await;
            ended.result
        }
        .boxed()
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        async move {
            let inner = &*self.0;
            let Ok(Ok(_slot)) = timeout_at(deadline, inner.probes.acquire()).await else {
                return Err(BackendError::new(
                    Reason::Throttled,
                    "the last probe of the backend has not finished",
                ));
            };
            let started = Instant::now();
            let result = inner.backend.probe(deadline).await;
            inner.count(QueryKind::Probe, result.as_ref().err(), started.elapsed());
            match &result {
                Err(error) if is_of_backend(error.reason()) => {
                    if inner.health.failed(error) {
                        self.watch();
                    }
                }
                _ => inner.health.answered(Instant::now()),
            }
            result
        }
        .boxed()
    }
}

async fn watch<B: Backend>(client: Weak<Inner<B>>) {
    while let Some(inner) = client.upgrade() {
        let began = Instant::now();
        let health = inner.health.clone();
        health.attempt();
        let mut probe = Box::pin(inner.clone().ask_probe());
        let in_time = timeout_at(began + inner.timeout.min(PROBE), &mut probe).await;
        let is_late = in_time.is_err();
        let late = || BackendError::new(Reason::BackendTimeout, "the backend did not answer in time");
        let error = in_time.unwrap_or_else(|_| Err(late())).err();
        inner.count(QueryKind::Probe, error.as_ref(), began.elapsed());
        drop(inner);
        let Some(wait) = health.probed(began, error.as_ref()) else {
            return;
        };
        let due = Instant::now() + wait;
        // A server that has just started answers late, and that is an answer.
        if is_late
            && matches!(timeout_at(due, &mut probe).await, Ok(Ok(())))
            && health.probed(began, None).is_none()
        {
            return;
        }
        drop(probe);
        sleep_until(due).await;
    }
}

// === impl Inner ===

impl<B: Backend> Inner<B> {
    async fn ask_probe(self: Arc<Self>) -> Result<(), BackendError> {
        let query = InstantQuery {
            promql: PROBE_QUERY.into(),
            at: Timestamp::now(),
            deadline: Instant::now() + self.timeout,
            max_samples: Some(1),
            namespace: None,
            rule: None,
            refresh: Duration::ZERO,
        };
        self.backend.instant(query).await.map(drop)
    }

    fn count(&self, kind: QueryKind, error: Option<&BackendError>, took: Duration) {
        let reason = error.map_or("", |error| error.reason().code());
        self.metrics.query(&self.name, kind, reason, took);
    }
}

// === impl Ended ===

impl<T> Ended<T> {
    fn unasked(error: BackendError) -> Self {
        Self {
            result: Err(error),
            lapsed: false,
        }
    }
}

#[cfg(test)]
mod tests;
