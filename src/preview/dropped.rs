//! Dropped series: how many came to nothing and why, with the names of some. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::report::Dropped;
use crate::{
    catalog::Derivation, reason::Reason, resource::Resources, rule::CompiledRule, sample::SeriesSet,
};

/// Names that are shown of each reason.
const SAMPLE: usize = 5;

/// What the verdicts on a rule's series count, with the first names to each reason.
pub(super) fn dropped(rule: &Arc<CompiledRule>, series: &SeriesSet, resources: &Resources) -> Vec<Dropped> {
    let derivation = Derivation::new(rule, series, resources);
    let mut samples: BTreeMap<Reason, BTreeSet<String>> = BTreeMap::new();
    let mut show = |reason, text: &dyn Fn() -> String| {
        let sample = samples.entry(reason).or_default();
        if sample.len() < SAMPLE {
            sample.insert(text());
        }
    };
    for verdict in derivation.verdicts() {
        let Some(name) = verdict.series else { continue };
        match &verdict.outcome {
            Err(reason) => show(*reason, &|| name.to_string()),
            Ok(made) => {
                if made.is_cut {
                    show(Reason::Truncated, &|| name.to_string());
                }
                // What is cut off counts as a duplicate too.
                for metric in verdict.lost() {
                    show(Reason::Duplicate, &|| {
                        format!("{name} ({} is made from {})", metric.name, metric.series)
                    });
                }
            }
        }
    }
    let counts = derivation.dropped().into_iter();
    counts
        .map(|(reason, count)| Dropped {
            reason: reason.code(),
            count,
            sample: samples.remove(&reason).into_iter().flatten().collect(),
            meaning: reason.text(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::derive;
    use crate::rule::testing::{REQUESTS, compiled, series};

    fn told(spec: &str, lines: &[&str]) -> Vec<String> {
        let (table, rule) = compiled("all", spec);
        assert_eq!(rule.refusals, []);
        let series = series(lines);
        let dropped = dropped(&rule, &series, &table.resources);
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
    fn the_operator_counts_the_same_verdicts() {
        let spec = REQUESTS.replace("^(.*)_total$", "^(.)");
        let spec = format!("{spec}\nseriesFilters: [{{isNot: ^f}}]\nlimits: {{maxMetrics: 2}}");
        let (table, rule) = compiled("all", &spec);
        let series = series(&[
            r#"a_total{namespace="shop",pod="p"}"#,
            r#"a_count{namespace="shop",pod="p"}"#,
            r#"b_total{namespace="shop",pod="p"}"#,
            r#"c_total{namespace="shop",pod="p"}"#,
            r#"d_total{pod="p"}"#,
            r#"f_total{namespace="shop",pod="p"}"#,
        ]);
        let shown = dropped(&rule, &series, &table.resources);
        let counted = derive(&rule, &series, &table.resources).discovered.dropped;
        let counted: Vec<_> = counted
            .iter()
            .map(|(reason, count)| (reason.code(), *count))
            .collect();
        let counts: Vec<_> = shown
            .iter()
            .map(|dropped| (dropped.reason, dropped.count))
            .collect();
        assert_eq!(counts, counted);
        assert_eq!(counts.len(), 4, "{counts:?}");
        assert!(
            shown.iter().all(|dropped| dropped.sample.len() == dropped.count),
            "{shown:?}"
        );
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
            (
                format!(
                    "{}\nlimits: {{maxMetrics: 1}}",
                    REQUESTS.replace("^(.*)_total$", "^(.)")
                ),
                vec![
                    kept,
                    r#"b_total{namespace="shop",pod="p"}"#,
                    r#"b_count{namespace="shop",pod="p"}"#,
                ],
                vec![
                    "1 Truncated: b_count, b_total",
                    "1 Duplicate: b_total (b_per_second is made from b_count)",
                ],
            ),
        ] {
            assert_eq!(told(&spec, &lines), expected, "{spec}");
        }
    }
}
