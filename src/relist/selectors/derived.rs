//! Derivations: what each rule makes of the series that are known.
//!
//! An edit that needs other series goes on answering by its former spec while those are listed for the first time, on a replica
//! that had listed the former ones, and for ten seconds at most.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    api::metric_rule::RuleKey,
    backend::ListedSeries,
    catalog::{Entry, Listing, RuleMetrics, derive},
    resource::Resources,
    rule::{CompiledRule, RuleTable},
    sample::SeriesSet,
};

/// The longest that a former spec goes on answering.
const LONGEST: Duration = Duration::from_secs(10);

/// What was derived last for each rule.
#[derive(Default)]
pub(super) struct Derivations(HashMap<RuleKey, Derived>);

enum Derived {
    /// Of the spec as it is; reused as long as the rule, its series and the kinds are the same.
    Present {
        metrics: Arc<RuleMetrics>,
        series: Option<Arc<ListedSeries>>,
        resources: Arc<Resources>,
    },
    /// Of a former spec, which answers until then.
    Former {
        metrics: Arc<RuleMetrics>,
        until: Instant,
    },
}

// === impl Derivations ===

impl Derivations {
    /// Forgets the rules that are gone.
    pub(super) fn retain(&mut self, table: &RuleTable) {
        self.0.retain(|key, _| table.get(key).is_some());
    }

    /// The place of `rule` in a catalog, from how its listing went and the series that it gave.
    pub(super) fn entry(
        &mut self,
        table: &RuleTable,
        rule: &Arc<CompiledRule>,
        listing: Listing,
        series: Option<Arc<ListedSeries>>,
        now: Instant,
    ) -> Entry {
        if let Listing::Pending = listing
            && let Some(former) = self.former(table, rule, now)
        {
            return Entry {
                metrics: Arc::new(derive(rule, &SeriesSet::default(), &table.resources)),
                listing: Listing::Edited { former },
            };
        }
        Entry {
            metrics: self.present(table, rule, series),
            listing,
        }
    }

    /// When the first former spec is over.
    pub(super) fn former_ends(&self) -> Option<Instant> {
        let ends = self.0.values().filter_map(|derived| match derived {
            Derived::Former { until, .. } => Some(*until),
            Derived::Present { .. } => None,
        });
        ends.min()
    }

    fn present(
        &mut self,
        table: &RuleTable,
        rule: &Arc<CompiledRule>,
        series: Option<Arc<ListedSeries>>,
    ) -> Arc<RuleMetrics> {
        if let Some(Derived::Present {
            metrics,
            series: of,
            resources,
        }) = self.0.get(rule.key())
            && Arc::ptr_eq(&metrics.rule, rule)
            && Arc::ptr_eq(resources, &table.resources)
            && of.as_ref().map(Arc::as_ptr) == series.as_ref().map(Arc::as_ptr)
        {
            return metrics.clone();
        }
        let none = SeriesSet::default();
        let listed = series.as_ref().map_or(&none, |series| &***series);
        let metrics = Arc::new(derive(rule, listed, &table.resources));
        let derived = Derived::Present {
            metrics: metrics.clone(),
            series,
            resources: table.resources.clone(),
        };
        self.0.insert(rule.key().clone(), derived);
        metrics
    }

    /// What the former spec of `rule` makes, where that goes on answering.
    fn former(&mut self, table: &RuleTable, rule: &CompiledRule, now: Instant) -> Option<Arc<RuleMetrics>> {
        let (metrics, until) = match self.0.get(rule.key())? {
            Derived::Present { metrics, .. } => (metrics.clone(), now + LONGEST),
            // A second edit gives it no more time.
            Derived::Former { metrics, until } => (metrics.clone(), *until),
        };
        if until <= now || !goes_on(table, rule, &metrics) {
            return None;
        }
        let derived = Derived::Former {
            metrics: metrics.clone(),
            until,
        };
        self.0.insert(rule.key().clone(), derived);
        Some(metrics)
    }
}

/// Whether what was made of an earlier spec may be answered now: not where that one or this one is refused, and not where either is
/// about another backend than is there now.
fn goes_on(table: &RuleTable, rule: &CompiledRule, former: &RuleMetrics) -> bool {
    let old = &former.rule;
    let Ok(backend) = &old.backend else { return false };
    let still = table.backends.get(&backend.name);
    old.object.uid == rule.object.uid
        && old.refusal().is_none()
        && rule.refusal().is_none()
        && rule.backend == old.backend
        && still.is_some_and(|still| still.as_ref() == Ok(backend))
        && !former.metrics.is_empty()
}
