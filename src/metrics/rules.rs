//! Families of rules whose queries fail.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

/// The most rules that are named.
const NAMED: usize = 100;

/// What each replica counts of its rules.
#[derive(Clone, Debug)]
pub struct RuleMetrics {
    failing: Family<RuleLabels, Gauge>,
    all: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    namespace: String,
    rule: String,
    reason: &'static str,
}

// === impl RuleMetrics ===

impl RuleMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            failing: Family::default(),
            all: Gauge::default(),
        };
        registry.register(
            "rule_failing",
            "1 for a rule whose own queries fail on this replica, by namespace (empty for a ClusterMetricRule), name and reason; at most 100 rules",
            metrics.failing.clone(),
        );
        registry.register(
            "rules_failing",
            "Rules whose own queries fail on this replica",
            metrics.all.clone(),
        );
        metrics
    }

    /// Replaces the rules that fail: namespace, name, reason.
    pub fn failing<'a>(&self, rules: impl IntoIterator<Item = (&'a str, &'a str, &'static str)>) {
        self.failing.clear();
        let mut all = 0;
        for (namespace, rule, reason) in rules {
            if all < NAMED {
                let labels = RuleLabels {
                    namespace: namespace.to_owned(),
                    rule: rule.to_owned(),
                    reason,
                };
                self.failing.get_or_create(&labels).set(1);
            }
            all += 1;
        }
        self.all.set(i64::try_from(all).unwrap_or(i64::MAX));
    }
}
