//! Ceilings that a `MetricBackend` has for `MetricRules`: what a rule asks for beyond them is cut to them, with a warning.

use std::time::Duration;

use super::{CompiledRule, Problem};
use crate::{
    api::{Duration as Written, PerRuleLimits, rule_spec::RuleSpec},
    reason::Reason,
};

// === impl CompiledRule ===

impl CompiledRule {
    /// Cuts the limits and `refresh`; what is read of the query's ranges is judged where it is compiled.
    pub(super) fn apply_ceilings(&mut self, spec: &RuleSpec) {
        let Some(most) = self.ceilings() else { return };
        let written = spec.limits.is_some();
        for (field, ceiling, limit) in [
            ("maxSeries", most.max_series, &mut self.limits.max_series),
            ("maxMetrics", most.max_metrics, &mut self.limits.max_metrics),
            ("maxSamples", most.max_samples, &mut self.limits.max_samples),
        ] {
            // Zero, no limit, is refused in a `MetricRule`; whatever comes of that, it is bounded.
            if *limit == 0 || *limit > ceiling {
                // The default is nobody's wish.
                if written && *limit != default_of(field) {
                    let path = format!("spec.limits.{field}");
                    self.warnings
                        .push(above(&path, *limit, &format!("perRule.{field}"), ceiling));
                }
                *limit = ceiling;
            }
        }
        let shortest = most.min_refresh.get();
        if self.refresh < shortest {
            if spec.refresh.is_some() {
                let path = "spec.refresh";
                let shortest = most.min_refresh;
                let refresh = spec.refresh.as_deref().unwrap_or_default();
                self.warnings
                    .push(above(path, refresh, "perRule.minRefresh", shortest));
            }
            self.refresh = shortest;
        }
    }

    /// How far back the queries of a `MetricRule` may read.
    pub(super) fn max_range(&self) -> Option<Duration> {
        self.ceilings().map(|most| most.max_range).map(Written::get)
    }

    fn ceilings(&self) -> Option<PerRuleLimits> {
        let backend = self.backend.as_ref().ok().filter(|_| self.is_namespaced())?;
        Some(backend.spec.limits.per_rule.clone())
    }
}

fn default_of(field: &str) -> u32 {
    let defaults = crate::api::RuleLimits::default();
    match field {
        "maxSeries" => defaults.max_series,
        "maxMetrics" => defaults.max_metrics,
        _ => defaults.max_samples,
    }
}

fn above(path: &str, asked: impl std::fmt::Display, field: &str, holds: impl std::fmt::Display) -> Problem {
    let message = format!(
        "limits.{field} of the MetricBackend does not allow {asked}, so {holds} applies instead; ask the platform team, \
         or write {holds}"
    );
    Problem::new(Reason::AboveCeiling, path, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{backend, index, rule};

    const SPEC: &str = "{resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}, name: {as: m}, \
                        metricsQuery: 'sum by (<<.GroupBy>>) (rate(a{<<.LabelMatchers>>}[RANGE]))', MORE}";

    fn compiled(at: &str, ceilings: &str, range: &str, more: &str) -> std::sync::Arc<CompiledRule> {
        let spec = SPEC.replace("RANGE", range).replace("MORE", more);
        let mut index = index();
        index.reset_backends(vec![backend("default", ceilings, true)]);
        index.apply_rule(rule(at, &spec));
        let table = index.table();
        table.rules.first().unwrap().clone()
    }

    #[test]
    fn a_metric_rule_takes_no_more_than_its_backend_allows() {
        let greedy = "limits: {maxSeries: 9000000, maxMetrics: 100000, maxSamples: 10000000}, refresh: 1ms";
        let rule = compiled("shop/greedy", "{}", "1h", greedy);
        let limits = &rule.limits;
        assert_eq!(
            (limits.max_series, limits.max_metrics, limits.max_samples),
            (10_000, 100, 50_000)
        );
        assert_eq!(rule.refresh, Duration::from_secs(1));
        let paths: Vec<_> = rule
            .warnings
            .iter()
            .filter(|warning| warning.reason == Reason::AboveCeiling)
            .map(|warning| &*warning.path)
            .collect();
        assert_eq!(
            paths,
            [
                "spec.limits.maxSeries",
                "spec.limits.maxMetrics",
                "spec.limits.maxSamples",
                "spec.refresh"
            ]
        );
        assert!(rule.refusal().is_none());
        // The platform team's own rule takes what it says.
        let rule = compiled("greedy", "{}", "9w", greedy);
        assert_eq!(rule.limits.max_metrics, 100_000);
        assert_eq!(rule.refresh, Duration::from_millis(1));
        assert!(rule.refusal().is_none(), "{:?}", rule.refusals);
    }

    #[test]
    fn lower_ceilings_cut_defaults_without_a_word() {
        let ceilings = "limits: {perRule: {maxSeries: 7, minRefresh: 10s}}";
        let rule = compiled("shop/modest", ceilings, "1h", "limits: {maxMetrics: 3}");
        assert_eq!((rule.limits.max_series, rule.limits.max_metrics), (7, 3));
        assert_eq!(rule.refresh, Duration::from_secs(10));
        assert!(
            rule.warnings
                .iter()
                .all(|warning| warning.reason != Reason::AboveCeiling),
            "{:?}",
            rule.warnings
        );
    }

    #[test]
    fn a_query_that_reads_too_far_back_is_refused() {
        for (range, accepted) in [("1d", true), ("25h", false), ("90d", false)] {
            let rule = compiled("shop/far", "{}", range, "priority: 0");
            let refusal = rule.refusal().map(|problem| problem.reason);
            assert_eq!(
                refusal,
                (!accepted).then_some(Reason::RangeTooLong),
                "{range}: {:?}",
                rule.refusals
            );
        }
    }
}
