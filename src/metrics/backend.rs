//! Families of queries and relists.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::server::Raised;

/// Queries to backends and the relists made of them.
#[derive(Clone, Debug)]
pub struct BackendMetrics {
    queries: Family<OutcomeLabels, Counter>,
    duration: Family<QueryLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<BackendLabels, Gauge>,
    relist_duration: Family<BackendLabels, Histogram, fn() -> Histogram>,
    relist_success: Family<BackendLabels, Gauge>,
    relist_errors: Family<RelistErrorLabels, Counter>,
}

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryKind {
    /// `/api/v1/query`.
    Instant,
    /// `/api/v1/series`.
    Series,
    /// The probe of a backend's health.
    Probe,
}

/// Holds a backend's in-flight gauge up while it lives.
#[derive(Debug)]
pub struct InFlight {
    _raised: Raised,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    backend: String,
    kind: QueryKind,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    backend: String,
    kind: QueryKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabels {
    backend: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RelistErrorLabels {
    backend: String,
    reason: &'static str,
}

// === impl BackendMetrics ===

impl BackendMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = super::seconds;
        let metrics = Self {
            queries: Family::default(),
            duration: Family::new_with_constructor(seconds),
            in_flight: Family::default(),
            relist_duration: Family::new_with_constructor(seconds),
            relist_success: Family::default(),
            relist_errors: Family::default(),
        };
        registry.register(
            "backend_queries",
            "Queries to a backend by kind and reason, which is empty for a success",
            metrics.queries.clone(),
        );
        registry.register_with_unit(
            "backend_query_duration",
            "Time that a backend took, waiting for a slot not included",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "backend_queries_in_flight",
            "Queries at a backend now",
            metrics.in_flight.clone(),
        );
        registry.register_with_unit(
            "relist_duration",
            "Time that one relist of a backend's selectors took",
            Unit::Seconds,
            metrics.relist_duration.clone(),
        );
        registry.register(
            "relist_last_success_timestamp_seconds",
            "When every selector of a backend was last listed without an error, in Unix time",
            metrics.relist_success.clone(),
        );
        registry.register(
            "relist_errors",
            "Selectors that could not be listed and kept their last good series, by reason",
            metrics.relist_errors.clone(),
        );
        metrics
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

    /// Raises the backend's in-flight gauge until the guard is dropped.
    pub fn begin(&self, backend: &str) -> InFlight {
        let gauge = self.in_flight.get_or_create(&BackendLabels {
            backend: backend.to_owned(),
        });
        InFlight {
            _raised: Raised::new(&gauge),
        }
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

    /// Drops what names a backend that is gone, so that its age does not alert for ever.
    pub fn forget(&self, backend: &str) {
        let labels = BackendLabels {
            backend: backend.to_owned(),
        };
        self.in_flight.remove(&labels);
        self.relist_duration.remove(&labels);
        self.relist_success.remove(&labels);
    }
}

// === impl QueryKind ===

impl EncodeLabelValue for QueryKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Instant => "instant",
            Self::Series => "series",
            Self::Probe => "probe",
        };
        text.encode(encoder)
    }
}
