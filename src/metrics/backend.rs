//! Families of queries and relists.

mod labels;

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use self::labels::{
    BackendLabels, BudgetLabels, CauseLabels, CeilingLabels, CircuitLabels, OutcomeLabels, QueryLabels,
    RelistErrorLabels,
};
use super::server::Raised;

pub use self::labels::{BudgetKind, CircuitState, QueryKind};

/// Queries to backends and the relists made of them.
#[derive(Clone, Debug)]
pub struct BackendMetrics {
    queries: Family<OutcomeLabels, Counter>,
    duration: Family<QueryLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<BackendLabels, Gauge>,
    queued: Family<BackendLabels, Gauge>,
    waited: Family<BackendLabels, Histogram, fn() -> Histogram>,
    throttled: Family<CeilingLabels, Counter>,
    wanted: Family<CeilingLabels, Gauge>,
    joined: Family<BackendLabels, Counter>,
    circuit: Family<CircuitLabels, Gauge>,
    refused: Family<CauseLabels, Counter>,
    failures_held: Family<BackendLabels, Gauge>,
    relist_duration: Family<BackendLabels, Histogram, fn() -> Histogram>,
    relist_success: Family<BackendLabels, Gauge>,
    relist_errors: Family<RelistErrorLabels, Counter>,
    clock_offset: Family<BackendLabels, Gauge<f64, AtomicU64>>,
    budget_used: Family<BudgetLabels, Gauge>,
    budget_refusals: Family<BudgetLabels, Counter>,
}

/// Holds a backend's in-flight gauge up while it lives.
#[derive(Debug)]
pub struct InFlight {
    _raised: Raised,
}

// === impl BackendMetrics ===

impl BackendMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = super::seconds;
        let metrics = Self {
            queries: Family::default(),
            duration: Family::new_with_constructor(seconds),
            in_flight: Family::default(),
            queued: Family::default(),
            waited: Family::new_with_constructor(seconds),
            throttled: Family::default(),
            wanted: Family::default(),
            joined: Family::default(),
            circuit: Family::default(),
            refused: Family::default(),
            failures_held: Family::default(),
            relist_duration: Family::new_with_constructor(seconds),
            relist_success: Family::default(),
            relist_errors: Family::default(),
            clock_offset: Family::default(),
            budget_used: Family::default(),
            budget_refusals: Family::default(),
        };
        metrics.register_queries(registry);
        metrics.register_protection(registry);
        metrics.register_listings(registry);
        metrics
    }

    fn register_queries(&self, registry: &mut Registry) {
        registry.register(
            "backend_queries",
            "Queries to a backend by kind and reason (empty for a success)",
            self.queries.clone(),
        );
        registry.register_with_unit(
            "backend_query_duration",
            "Time that a backend took, without the wait for a slot",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "backend_queries_in_flight",
            "Queries in flight at a backend",
            self.in_flight.clone(),
        );
        registry.register(
            "backend_queries_waiting",
            "Queries that are waiting for a slot of a backend",
            self.queued.clone(),
        );
        registry.register_with_unit(
            "backend_wait",
            "Time that a query waited for a slot of a backend and for its rate limit",
            Unit::Seconds,
            self.waited.clone(),
        );
        registry.register(
            "backend_queries_joined",
            "Queries that shared the answer of an identical query in flight",
            self.joined.clone(),
        );
    }

    fn register_protection(&self, registry: &mut Registry) {
        registry.register(
            "backend_throttled",
            "Queries that failed with Throttled because a ceiling of the MetricBackend left them no time, by ceiling",
            self.throttled.clone(),
        );
        registry.register(
            "backend_ceiling_wanted",
            "The value at which a ceiling of the MetricBackend would not have delayed queries",
            self.wanted.clone(),
        );
        registry.register(
            "backend_circuit",
            "1 for the state of a backend's circuit breaker (closed, half_open, open); queries fail at once unless it is closed",
            self.circuit.clone(),
        );
        registry.register(
            "backend_held_back",
            "Queries that were held back because the backend, the query itself or others of its namespace timed out, by cause (backend, query, namespace)",
            self.refused.clone(),
        );
        registry.register(
            "backend_failures_held",
            "Queries of a backend that are sent less often because they timed out",
            self.failures_held.clone(),
        );
        registry.register_with_unit(
            "backend_clock_offset",
            "How far a backend's clock is ahead of this replica's, negative if it is behind; 0 within about a second",
            Unit::Seconds,
            self.clock_offset.clone(),
        );
        registry.register_with_unit(
            "budget_used",
            "Memory that answers in flight and listings use of their budget",
            Unit::Bytes,
            self.budget_used.clone(),
        );
        registry.register(
            "budget_refusals",
            "Answers and listings that were aborted because their namespace had used its share of the budget",
            self.budget_refusals.clone(),
        );
    }

    fn register_listings(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "relist_duration",
            "Time that one listing of all selectors of a backend took",
            Unit::Seconds,
            self.relist_duration.clone(),
        );
        registry.register(
            "relist_last_success_timestamp_seconds",
            "When all selectors of a backend were last listed without an error, in Unix time",
            self.relist_success.clone(),
        );
        registry.register(
            "relist_errors",
            "Selectors that could not be listed and kept the series of their last successful listing, by reason",
            self.relist_errors.clone(),
        );
    }

    /// One finished query; `reason` is a code of the closed set, empty for a success.
    pub fn query(&self, backend: &str, kind: QueryKind, reason: &'static str, took: Duration) {
        let backend = backend.to_owned();
        self.queries
            .get_or_create(&OutcomeLabels {
                backend: backend.clone(),
                kind,
                reason,
            })
            .inc();
        self.duration
            .get_or_create(&QueryLabels { backend, kind })
            .observe(took.as_secs_f64());
    }

    /// A query that failed before it was sent.
    pub fn unasked(&self, backend: &str, kind: QueryKind, reason: &'static str) {
        let backend = backend.to_owned();
        self.queries
            .get_or_create(&OutcomeLabels {
                backend,
                kind,
                reason,
            })
            .inc();
    }

    /// Raises the backend's in-flight gauge until the guard is dropped.
    pub fn begin(&self, backend: &str) -> InFlight {
        let gauge = self.in_flight.get_or_create(&BackendLabels {
            backend: backend.to_owned(),
        });
        InFlight {
            _raised: Raised::new(&gauge),
        }
    }

    /// How many queries wait for a slot.
    pub fn queued(&self, backend: &str, queries: usize) {
        let gauge = self.queued.get_or_create(&BackendLabels::of(backend));
        gauge.set(i64::try_from(queries).unwrap_or(i64::MAX));
    }

    /// How long a query waited before it was sent.
    pub fn waited(&self, backend: &str, time: Duration) {
        self.waited
            .get_or_create(&BackendLabels::of(backend))
            .observe(time.as_secs_f64());
    }

    /// A query failed because of a ceiling.
    pub fn throttled(&self, backend: &str, ceiling: &'static str) {
        let backend = backend.to_owned();
        self.throttled
            .get_or_create(&CeilingLabels { backend, ceiling })
            .inc();
    }

    /// The value of a ceiling with which nothing would have waited.
    pub fn wanted(&self, backend: &str, ceiling: &'static str, value: u32) {
        let backend = backend.to_owned();
        self.wanted
            .get_or_create(&CeilingLabels { backend, ceiling })
            .set(value.into());
    }

    /// The ceiling holds nothing up any more.
    pub fn suffices(&self, backend: &str, ceiling: &'static str) {
        let backend = backend.to_owned();
        self.wanted.remove(&CeilingLabels { backend, ceiling });
    }

    /// A query shared another one's answer.
    pub fn joined(&self, backend: &str) {
        self.joined.get_or_create(&BackendLabels::of(backend)).inc();
    }

    /// The state of a backend's breaker.
    pub fn circuit(&self, backend: &str, now: CircuitState) {
        for state in CircuitState::ALL {
            let backend = backend.to_owned();
            self.circuit
                .get_or_create(&CircuitLabels { backend, state })
                .set(i64::from(state == now));
        }
    }

    /// A query was not sent as usual; `cause` is `backend`, `query` or `namespace`.
    pub fn refused(&self, backend: &str, cause: &'static str) {
        let backend = backend.to_owned();
        self.refused.get_or_create(&CauseLabels { backend, cause }).inc();
    }

    /// How many queries' timeouts are remembered.
    pub fn failures_held(&self, backend: &str, queries: usize) {
        let gauge = self.failures_held.get_or_create(&BackendLabels::of(backend));
        gauge.set(i64::try_from(queries).unwrap_or(i64::MAX));
    }

    /// One finished relist of a backend. `succeeded_at`: Unix seconds, where every selector answered.
    pub fn relist(&self, backend: &str, took: Duration, succeeded_at: Option<i64>) {
        let labels = BackendLabels {
            backend: backend.to_owned(),
        };
        self.relist_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        if let Some(at) = succeeded_at {
            self.relist_success.get_or_create(&labels).set(at);
        }
    }

    /// A selector that could not be listed.
    pub fn relist_error(&self, backend: &str, reason: &'static str) {
        self.relist_errors
            .get_or_create(&RelistErrorLabels {
                backend: backend.to_owned(),
                reason,
            })
            .inc();
    }

    /// How far the backend's clock is ahead, in seconds.
    pub fn clock_offset(&self, backend: &str, seconds: f64) {
        let labels = BackendLabels {
            backend: backend.to_owned(),
        };
        self.clock_offset.get_or_create(&labels).set(seconds);
    }

    /// What is taken of a budget now, in bytes.
    pub fn budget_used(&self, budget: BudgetKind, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.budget_used
            .get_or_create(&BudgetLabels { budget })
            .set(bytes);
    }

    /// A holder that found no room in a budget.
    pub fn budget_refused(&self, budget: BudgetKind) {
        self.budget_refusals.get_or_create(&BudgetLabels { budget }).inc();
    }

    /// Drops what names a backend that is gone, so that its age does not alert for ever.
    pub fn forget(&self, backend: &str) {
        let labels = BackendLabels {
            backend: backend.to_owned(),
        };
        self.in_flight.remove(&labels);
        self.queued.remove(&labels);
        self.failures_held.remove(&labels);
        for state in CircuitState::ALL {
            let backend = backend.to_owned();
            self.circuit.remove(&CircuitLabels { backend, state });
        }
        self.relist_duration.remove(&labels);
        self.relist_success.remove(&labels);
        self.clock_offset.remove(&labels);
    }
}
