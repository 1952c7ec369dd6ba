//! Dropped series, and why they make no metric. Pure: the catalog's own derivation decides, for one series at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::report::Dropped;
use crate::{
    catalog::{RuleMetrics, Subject, derive},
    reason::Reason,
    resource::{GroupResource, Resources},
    rule::CompiledRule,
    sample::SeriesSet,
};

/// Names that are shown of each reason.
const SAMPLE: usize = 5;
/// Different series (by name and labels, whatever their values) that are looked at one by one: what becomes of a series
/// depends on nothing else.
const LOOKED_AT: usize = 20_000;

/// The counts that `whole` has, with names to each.
pub(super) fn dropped(
    rule: &Arc<CompiledRule>,
    series: &SeriesSet,
    resources: &Resources,
    whole: &RuleMetrics,
) -> Vec<Dropped> {
    let mut names: BTreeMap<Reason, BTreeSet<String>> = BTreeMap::new();
    let kept: BTreeSet<Key> = whole.metrics.iter().map(Key::of).collect();
    for group in series.groups().take(LOOKED_AT) {
        let alone = derive(rule, &group.single(), resources);
        let name = &**group.name();
        for reason in alone.discovered.dropped.keys() {
            names.entry(*reason).or_default().insert(name.to_owned());
        }
        for metric in &alone.metrics {
            let key = Key::of(metric);
            if kept.contains(&key) {
                let winner = whole.metrics.iter().find(|other| Key::of(other) == key);
                if let Some(winner) = winner.filter(|winner| winner.series != metric.series) {
                    let text = format!("{name} ({} is made from {})", metric.name, winner.series);
                    names.entry(Reason::Duplicate).or_default().insert(text);
                }
            } else {
                names
                    .entry(Reason::Truncated)
                    .or_default()
                    .insert(name.to_owned());
            }
        }
    }
    whole
        .discovered
        .dropped
        .iter()
        .map(|(reason, count)| Dropped {
            reason: reason.code(),
            count: *count,
            sample: names
                .remove(reason)
                .unwrap_or_default()
                .into_iter()
                .take(SAMPLE)
                .collect(),
            meaning: reason.text(),
        })
        .collect()
}

/// A metric by its name and kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(Arc<str>, Option<GroupResource>);

impl Key {
    fn of(metric: &crate::catalog::Metric) -> Self {
        let resource = match &metric.subject {
            Subject::Object { resource, .. } => Some(resource.group_resource.clone()),
            Subject::External => None,
        };
        Self(metric.name.clone(), resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{REQUESTS, compiled, series};

    fn told(spec: &str, lines: &[&str]) -> Vec<String> {
        let (table, rule) = compiled("all", spec);
        assert_eq!(rule.refusals, []);
        let series = series(lines);
        let whole = derive(&rule, &series, &table.resources);
        let dropped = dropped(&rule, &series, &table.resources, &whole);
        dropped
            .iter()
            .map(|dropped| {
                format!(
                    "{} {}: {}",
                    dropped.count,
                    dropped.reason,
                    dropped.sample.join(", ")
                )
            })
            .collect()
    }

    #[test]
    fn each_reason_has_its_count_and_names() {
        let kept = r#"a_total{namespace="shop",pod="p"}"#;
        for (spec, lines, expected) in [
            (REQUESTS.to_owned(), vec![kept], vec![]),
            (
                format!("{REQUESTS}\nseriesFilters: [{{isNot: ^b}}]"),
                vec![
                    kept,
                    r#"b_total{namespace="shop",pod="p"}"#,
                    r#"b_total{namespace="shop",pod="q"}"#,
                ],
                vec!["2 Filtered: b_total"],
            ),
            (
                REQUESTS.to_owned(),
                vec![kept, r#"b{namespace="shop",pod="p"}"#],
                vec!["1 NameNotMatched: b"],
            ),
            (
                REQUESTS.to_owned(),
                vec![kept, r#"b_total{namespace="shop"}"#, r#"c_total{pod="p"}"#],
                vec!["1 NoNamespaceLabel: c_total"],
            ),
            (
                REQUESTS.replace("^(.*)_total$", "^(.)"),
                vec![kept, r#"a_count{namespace="shop",pod="p"}"#],
                vec!["1 Duplicate: a_total (a_per_second is made from a_count)"],
            ),
            (
                format!("{REQUESTS}\nlimits: {{maxMetrics: 1}}"),
                vec![kept, r#"b_total{namespace="shop",pod="p"}"#],
                // of pods and of their namespace
                vec!["1 Truncated: b_total"],
            ),
        ] {
            assert_eq!(told(&spec, &lines), expected, "{spec}");
        }
    }
}
