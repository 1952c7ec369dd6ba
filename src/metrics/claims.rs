//! Families of the record of claims.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// What the record of claims counts.
#[derive(Clone, Debug)]
pub struct ClaimMetrics {
    recorded: Gauge,
    left_out: Gauge,
    shared: Gauge,
}

// === impl ClaimMetrics ===

impl ClaimMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            recorded: Gauge::default(),
            left_out: Gauge::default(),
            shared: Gauge::default(),
        };
        registry.register(
            "claims_recorded",
            "Claims in the record that this replica uses",
            metrics.recorded.clone(),
        );
        registry.register(
            "claims_left_out",
            "Claims that found no room in the record, on the leader; each replica decides these by its own listings",
            metrics.left_out.clone(),
        );
        registry.register(
            "claims_shared",
            "1 while the replicas share the record in the cluster; 0 before it was read, and if it is absent or unreadable, so that each replica keeps its own",
            metrics.shared.clone(),
        );
        metrics
    }

    /// The record in force, and whether it is the cluster's.
    pub fn read(&self, claims: usize, shared: bool) {
        self.recorded.set(i64::try_from(claims).unwrap_or(i64::MAX));
        self.shared.set(i64::from(shared));
    }

    /// How many claims have no room.
    pub fn left_out(&self, claims: usize) {
        self.left_out.set(i64::try_from(claims).unwrap_or(i64::MAX));
    }
}
