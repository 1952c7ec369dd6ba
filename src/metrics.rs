//! Metrics of the operator itself: one registry, one struct of families per part that counts.
//!
//! Every label value comes from a closed set (routes, codes, reasons, kinds), from the names of backends, which are few
//! and the platform team's, or from those of at most a hundred rules that fail; never from a request.

mod backend;
mod claims;
mod controller;
mod rules;
mod server;

use std::sync::Arc;

pub use self::{
    backend::{BackendMetrics, BudgetKind, CircuitState, InFlight, QueryKind},
    claims::ClaimMetrics,
    controller::ControllerMetrics,
    rules::RuleMetrics,
    server::ServerMetrics,
};
use prometheus_client::{
    encoding::text::encode,
    metrics::histogram::{Histogram, exponential_buckets},
    registry::Registry,
};

pub(crate) use self::server::Raised;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All families; a clone counts into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// What the aggregated API server counts.
    pub server: ServerMetrics,
    /// What queries and relists count.
    pub backend: BackendMetrics,
    /// What watches, status, registration and the lease count.
    pub controller: ControllerMetrics,
    /// Which rules' queries fail.
    pub rules: RuleMetrics,
    /// What the record of claims counts.
    pub claims: ClaimMetrics,
}

/// A histogram of seconds, from a millisecond to beyond the longest deadline, which is a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}

// === impl Metrics ===

impl Metrics {
    /// A registry of its own, every family at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("metricrule");
        let server = ServerMetrics::register(&mut registry);
        let backend = BackendMetrics::register(&mut registry);
        let controller = ControllerMetrics::register(&mut registry);
        let rules = RuleMetrics::register(&mut registry);
        let claims = ClaimMetrics::register(&mut registry);
        Self {
            registry: Arc::new(registry),
            server,
            backend,
            controller,
            rules,
            claims,
        }
    }

    /// All families in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String fails only when a custom collector does; there is none here.
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "own metrics could not be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_takes_as_long_as_its_deadline_is_within_a_bucket() {
        let metrics = Metrics::new();
        let deadline = Duration::from_mins(1);
        metrics.server.request("custom", 504, "Timeout", deadline);
        metrics.backend.relist("default", deadline, None);
        let text = metrics.encode();
        let buckets: Vec<_> = text.lines().filter(|line| line.contains("_bucket{")).collect();
        assert!(buckets.len() > 30, "{text}");
        for line in buckets {
            let bound = line
                .split("le=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap();
            // The first bound that is not below the deadline holds it.
            if bound
                .parse::<f64>()
                .is_ok_and(|bound| (60.0..70.0).contains(&bound))
            {
                assert!(line.contains("} 1"), "{line}");
            }
        }
        let reaching = text.lines().filter(|line| line.contains("le=\"65.536\"")).count();
        let infinite = text.lines().filter(|line| line.contains("le=\"+Inf\"")).count();
        assert_eq!(reaching, infinite, "every histogram reaches there");
    }
}
