//! Derivation: one rule's metrics from the series of its selector, and a verdict on each of the series.

mod discovery;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

pub(super) use self::discovery::may_describe;
pub use self::verdict::{Made, SeriesVerdict};
use self::{
    discovery::{Discovery, limit},
    verdict::Counts,
};
use super::metric::{Discovered, Metric, RuleMetrics, Subject};
use crate::{
    api::rule_spec::MetricsApi,
    reason::Reason,
    resource::{Resources, Scope},
    rule::{
        Association, CompiledRule,
        naming::{Naming, Source},
    },
    sample::{SeriesGroup, SeriesSet},
};

/// How many discovered metrics a status shows.
const SAMPLES: usize = 10;

/// What a rule makes of series. It holds no verdict: [`Self::verdicts`] gives them one by one, however many series there are.
pub struct Derivation<'a> {
    rule: &'a Arc<CompiledRule>,
    series: &'a SeriesSet,
    /// `None` for a static rule.
    discovery: Option<Discovery<'a>>,
    found: Found,
    /// Those beyond the limit on metrics.
    cut: Found,
    /// What came to nothing and has no series to show for it.
    nameless: Vec<(Reason, usize)>,
}

/// By name the metrics, one for each kind, in the order of the kinds.
type Found = BTreeMap<Arc<str>, Vec<Metric>>;

/// The metrics that `rule` makes of `series`; a static rule needs none.
pub fn derive(rule: &Arc<CompiledRule>, series: &SeriesSet, resources: &Resources) -> RuleMetrics {
    Derivation::new(rule, series, resources).into_metrics()
}

// === impl Derivation ===

impl<'a> Derivation<'a> {
    /// Makes the metrics of `rule`; a static rule needs no series.
    pub fn new(rule: &'a Arc<CompiledRule>, series: &'a SeriesSet, resources: &'a Resources) -> Self {
        let mut derivation = Self {
            rule,
            series,
            discovery: Discovery::new(rule, resources),
            found: Found::new(),
            cut: Found::new(),
            nameless: Vec::new(),
        };
        match &rule.naming {
            Some(Naming {
                source: Source::Static { metric },
                association,
            }) => derivation.add_static(metric, association),
            _ => derivation.add_series(),
        }
        let first_cut = derivation.found.keys().nth(limit(rule.limits.max_metrics));
        if let Some(first_cut) = first_cut.cloned() {
            derivation.cut = derivation.found.split_off(&first_cut);
        }
        derivation
    }

    /// What became of the series, in the order of their names; last those of which no name is kept.
    pub fn verdicts(&self) -> impl Iterator<Item = SeriesVerdict<'_>> {
        let named = self.discovery.iter().flat_map(move |discovery| {
            let parts = discovery.parts(self.series);
            parts.map(move |(group, count, is_within)| SeriesVerdict {
                series: Some(group.name()),
                count,
                outcome: if is_within {
                    discovery.metrics(group).map(|metrics| self.made(&metrics))
                } else {
                    Err(Reason::Truncated)
                },
            })
        });
        let nameless = self.nameless.iter().map(|(reason, count)| SeriesVerdict {
            series: None,
            count: *count,
            outcome: Err(*reason),
        });
        named.chain(nameless)
    }

    /// How many came to nothing, by reason: the verdicts added up.
    pub fn dropped(&self) -> BTreeMap<Reason, usize> {
        Counts::of(self.verdicts()).dropped
    }

    /// The metrics and the counts, without the verdicts.
    pub fn into_metrics(self) -> RuleMetrics {
        let Counts { dropped, nobodys } = Counts::of(self.verdicts());
        let names = self.found.len();
        let mut metrics = Vec::with_capacity(self.found.values().map(Vec::len).sum());
        metrics.extend(self.found.into_values().flatten());
        let sample = metrics.iter().take(SAMPLES).map(|metric: &Metric| {
            let resource = metric.resource().cloned();
            (metric.series.clone(), metric.name.clone(), resource)
        });
        RuleMetrics {
            rule: self.rule.clone(),
            discovered: Discovered {
                series: self.discovery.map_or(0, |_| self.series.len()),
                metrics: names,
                dropped,
                sample: sample.collect(),
            },
            metrics,
            nobodys,
        }
    }

    /// What became of the metrics that series of one name would make.
    fn made(&self, metrics: &[Metric]) -> Made<'_> {
        let name = metrics.first().map(|metric| &metric.name);
        let kept = name.and_then(|name| self.found.get(name));
        let all = kept.or_else(|| self.cut.get(name?)).into_iter().flatten();
        Made {
            metrics: all
                .filter(|known| metrics.iter().any(|metric| metric.resource() == known.resource()))
                .collect(),
            is_cut: kept.is_none(),
        }
    }

    fn add_series(&mut self) {
        let Some(discovery) = &self.discovery else { return };
        for (group, ..) in discovery.parts(self.series).filter(|(.., is_within)| *is_within) {
            for metric in discovery.metrics(group).unwrap_or_default() {
                insert(&mut self.found, metric, self.rule.like_adapter());
            }
        }
        let unusable = self.series.unusable();
        let grouped: usize = self.series.groups().map(SeriesGroup::count).sum();
        // A listing with a bound of its own does not keep what only the last series need.
        let beyond = (self.series.len() - unusable).saturating_sub(grouped.max(discovery.limit));
        self.drop_nameless(Reason::InvalidName, unusable);
        self.drop_nameless(Reason::Truncated, beyond);
    }

    fn add_static(&mut self, name: &str, association: &Association) {
        let mut add = |subject| {
            let metric = Metric {
                name: name.into(),
                series: "".into(),
                subject,
            };
            insert(&mut self.found, metric, false);
        };
        if self.rule.api == MetricsApi::External {
            return add(Subject::External);
        }
        let mut without_namespace = 0;
        for resource in association
            .overridden()
            .filter(|resource| may_describe(self.rule, resource))
        {
            let Some(label) = association.label_for(resource) else {
                continue;
            };
            // Without the namespace's label a query could not tell objects of one name in two namespaces apart.
            if resource.scope == Scope::Namespaced && self.rule.namespace_label.is_none() {
                without_namespace += 1;
                continue;
            }
            add(Subject::Object {
                resource: Arc::new(resource.clone()),
                label: label.into(),
            });
        }
        self.drop_nameless(Reason::NoNamespaceLabel, without_namespace);
    }

    fn drop_nameless(&mut self, reason: Reason, count: usize) {
        if count > 0 {
            self.nameless.push((reason, count));
        }
    }
}

/// Keeps the lower series name where two make one metric, or the higher (`keep_last`: prometheus-adapter keeps the one that
/// the backend listed last, and backends list in order).
fn insert(found: &mut Found, new: Metric, keep_last: bool) {
    let metrics = found.entry(new.name.clone()).or_default();
    match metrics.binary_search_by(|known| known.resource().cmp(&new.resource())) {
        Err(at) => metrics.insert(at, new),
        Ok(at) => {
            if let Some(known) = metrics.get_mut(at)
                && known.series != new.series
                && (known.series < new.series) == keep_last
            {
                *known = new;
            }
        }
    }
}

#[cfg(test)]
mod tests;
