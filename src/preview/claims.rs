//! Claims on a metric: the rule that answers now, and with the previewed rules.

use std::collections::BTreeMap;

use super::{
    Catalogs,
    report::{Claim, MetricReport},
};
use crate::{
    catalog::{Catalog, Metric, Served},
    rule::CompiledRule,
};

/// Tells who answers for the metric in each of the namespaces with the rule, and from whom the rule takes that over.
pub(super) fn claims(
    catalogs: &Catalogs,
    rule: &CompiledRule,
    metric: &Metric,
    namespaces: &[Option<String>],
    report: &mut MetricReport,
) {
    let mut answered: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    let mut taken: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for namespace in namespaces {
        let now = winner(&catalogs.before, metric, namespace.as_deref());
        let then = winner(&catalogs.after, metric, namespace.as_deref());
        let ours = then.is_some_and(|served| served.rule.key() == rule.key());
        let name = |served: Option<&Served>| served.map(|served| served.rule.key().to_string());
        let place = namespace.clone();
        answered.entry(name(then)).or_default().extend(place.clone());
        if ours && let Some(now) = now.filter(|now| now.rule.key() != rule.key()) {
            taken.entry(name(Some(now))).or_default().extend(place);
        }
    }
    let list = |claims: BTreeMap<Option<String>, Vec<String>>| {
        claims
            .into_iter()
            .map(|(rule, namespaces)| Claim { rule, namespaces })
            .collect()
    };
    report.answered_by = list(answered);
    report.takes_over = list(taken);
}

fn winner<'a>(catalog: &'a Catalog, metric: &Metric, namespace: Option<&str>) -> Option<&'a Served> {
    match metric.resource() {
        Some(resource) => catalog.custom(resource, &metric.name, namespace),
        None => catalog.external(&metric.name, namespace?),
    }
}
