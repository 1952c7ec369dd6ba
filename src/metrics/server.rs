//! Families of the aggregated API server.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Requests, reviews, connections, values.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    connection_errors: Family<StageLabels, Counter>,
    reviews: Family<ReviewLabels, Counter>,
    rows_dropped: Family<ReasonLabels, Counter>,
    values_clamped: Counter,
    values_negative: Counter,
    answers: Family<OutcomeLabels, Counter>,
    answers_held: Gauge,
    objects: Family<KindLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    code: u16,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    resource: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Counts down again when it is dropped, so that an aborted task cannot leave a gauge too high.
#[derive(Debug)]
pub(crate) struct Raised(Gauge);

// === impl ServerMetrics ===

impl ServerMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(super::seconds),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connection_errors: Family::default(),
            reviews: Family::default(),
            rows_dropped: Family::default(),
            values_clamped: Counter::default(),
            values_negative: Counter::default(),
            answers: Family::default(),
            answers_held: Gauge::default(),
            objects: Family::default(),
        };
        registry.register(
            "requests",
            "Requests by route, status code and reason",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time from the head of a request to its reply, by route",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests in flight",
            metrics.in_flight.clone(),
        );
        registry.register("connections", "Open TLS connections", metrics.connections.clone());
        registry.register(
            "connection_errors",
            "Connections that failed or were closed, by stage (accept, handshake, serve) or cause (crowded, abuse)",
            metrics.connection_errors.clone(),
        );
        registry.register(
            "reviews",
            "TokenReviews and SubjectAccessReviews by outcome (hit, allowed, denied, error)",
            metrics.reviews.clone(),
        );
        registry.register(
            "rows_dropped",
            "Rows of a backend that did not match the request, by reason",
            metrics.rows_dropped.clone(),
        );
        registry.register(
            "values_clamped",
            "Values that were cut to the limit of a quantity in milli-units",
            metrics.values_clamped.clone(),
        );
        registry.register(
            "values_negative",
            "Negative values that queries returned, whatever the rule does with them",
            metrics.values_negative.clone(),
        );
        registry.register(
            "answers",
            "Lookups of answers that a rule's refresh allows to be served again, by outcome (hit, miss)",
            metrics.answers.clone(),
        );
        registry.register_with_unit(
            "answers_held",
            "Memory of the answers that are kept to be served again",
            Unit::Bytes,
            metrics.answers_held.clone(),
        );
        registry.register(
            "objects",
            "Objects held by watches, by resource",
            metrics.objects.clone(),
        );
        metrics
    }

    /// One answered request. `reason` is a code of the closed set, empty for a success.
    pub fn request(&self, route: &'static str, code: u16, reason: &'static str, took: Duration) {
        self.requests
            .get_or_create(&RequestLabels { route, code, reason })
            .inc();
        self.duration
            .get_or_create(&RouteLabels { route })
            .observe(took.as_secs_f64());
    }

    /// Whether an answer was there that a rule's refresh lets be served again.
    pub fn answer(&self, hit: bool) {
        let outcome = if hit { "hit" } else { "miss" };
        self.answers.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// What the answers take that are held, in bytes.
    pub fn answers_held(&self, bytes: u64) {
        self.answers_held.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn begin_request(&self) -> Raised {
        Raised::new(&self.in_flight)
    }

    pub(crate) fn begin_connection(&self) -> Raised {
        Raised::new(&self.connections)
    }

    /// A connection that ended before or while it was served.
    pub fn connection_error(&self, stage: &'static str) {
        self.connection_errors.get_or_create(&StageLabels { stage }).inc();
    }

    /// One look-up of a review; `kind` is `token` or `access`, `outcome` is `hit`, `allowed`, `denied` or `error`.
    pub fn review(&self, kind: &'static str, outcome: &'static str) {
        self.reviews.get_or_create(&ReviewLabels { kind, outcome }).inc();
    }

    /// Rows that the row check left out.
    pub fn rows_dropped(&self, reason: &'static str, count: u64) {
        self.rows_dropped
            .get_or_create(&ReasonLabels { reason })
            .inc_by(count);
    }

    /// Values cut to ±(2^63−1) milli.
    pub fn values_clamped(&self, count: u64) {
        self.values_clamped.inc_by(count);
    }

    /// Values below 0.
    pub fn values_negative(&self, count: u64) {
        self.values_negative.inc_by(count);
    }

    /// How many objects of a kind a watch holds; the kinds are at most 32.
    pub fn objects(&self, resource: &str, count: usize) {
        let labels = KindLabels {
            resource: resource.into(),
        };
        self.objects
            .get_or_create(&labels)
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The watch of a kind ended.
    pub fn objects_gone(&self, resource: &str) {
        self.objects.remove(&KindLabels {
            resource: resource.into(),
        });
    }
}

// === impl Raised ===

impl Raised {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}
