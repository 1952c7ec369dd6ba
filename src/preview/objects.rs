//! Objects that series name. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    catalog::{Metric, RuleMetrics, Subject},
    resource::Scope,
    rule::CompiledRule,
    sample::{SeriesGroup, SeriesSet},
};

/// Objects of one namespace that are remembered.
const MOST: usize = 500;
/// Namespaces of one metric that are remembered.
const NAMESPACES: usize = 1000;

/// By namespace (`None`: outside of all) the names of objects.
pub(super) type ByNamespace = BTreeMap<Option<String>, BTreeSet<String>>;

/// By series name and label, the objects; for an external metric the namespaces alone.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<(Arc<str>, Arc<str>), ByNamespace>);

// === impl Known ===

impl Known {
    /// Those that the series of a rule's metrics name.
    pub(super) fn of(rule: &CompiledRule, series: &SeriesSet, metrics: &RuleMetrics) -> Self {
        let mut wanted: BTreeMap<&str, BTreeMap<Arc<str>, Scope>> = BTreeMap::new();
        for metric in &metrics.metrics {
            let (label, scope) = place(metric);
            wanted.entry(&metric.series).or_default().insert(label, scope);
        }
        let mut found: BTreeMap<(Arc<str>, Arc<str>), ByNamespace> = BTreeMap::new();
        let examples = series.groups().flat_map(SeriesGroup::examples);
        for labels in examples {
            let name = labels.name().unwrap_or_default();
            let Some(places) = wanted.get(name) else { continue };
            let namespace = rule
                .namespace_label
                .as_deref()
                .and_then(|label| labels.get(label));
            for (label, scope) in places {
                let namespace = namespace
                    .filter(|_| *scope == Scope::Namespaced)
                    .map(str::to_owned);
                let known = found.entry((name.into(), label.clone())).or_default();
                if known.len() >= NAMESPACES && !known.contains_key(&namespace) {
                    continue;
                }
                let objects = known.entry(namespace).or_default();
                if let Some(object) = labels.get(label).filter(|_| objects.len() < MOST) {
                    objects.insert(object.to_owned());
                }
            }
        }
        Self(found)
    }

    /// The objects of a metric.
    pub(super) fn get(&self, metric: &Metric) -> Option<&ByNamespace> {
        self.0.get(&(metric.series.clone(), place(metric).0))
    }
}

/// The label of the objects, and whether they live in namespaces; that of an external metric is empty.
fn place(metric: &Metric) -> (Arc<str>, Scope) {
    match &metric.subject {
        Subject::Object { resource, label } => (label.clone(), resource.scope),
        Subject::External => ("".into(), Scope::Namespaced),
    }
}
