//! Verdicts on series, and the counts and metrics that follow from them.

use std::{collections::BTreeSet, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    resource::GroupResource,
    rule::{
        RuleTable,
        testing::{REQUESTS, compiled, series},
    },
    sample::{Collector, Labels},
};

/// [`REQUESTS`] without the lines whose key `more` has, and `more`.
fn spec(more: &str) -> String {
    let keys: Vec<&str> = more
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    let kept = REQUESTS
        .trim()
        .lines()
        .filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key}:"))));
    kept.chain([more]).collect::<Vec<_>>().join("\n")
}

/// `2 a_total: a_per_second of pods from a_total`, `1 b: Filtered`; `-` for series without a name.
fn told(verdict: &SeriesVerdict<'_>) -> String {
    let name = verdict.series.map_or("-", |name| name);
    let outcome = match &verdict.outcome {
        Err(reason) => reason.code().to_owned(),
        Ok(made) => {
            let metrics = made.metrics.iter().map(|metric| {
                let kind = metric.resource().map(ToString::to_string).unwrap_or_default();
                format!("{} of {kind} from {}", metric.name, metric.series)
            });
            let cut = if made.is_cut { " (cut)" } else { "" };
            metrics.collect::<Vec<_>>().join(", ") + cut
        }
    };
    format!("{} {name}: {outcome}", verdict.count)
}

#[test]
fn every_series_has_a_verdict_and_the_counts_are_theirs() {
    let both = |name: &str, series: &str| {
        format!("{name} of namespaces from {series}, {name} of pods from {series}")
    };
    let kept = r#"a_total{namespace="shop",pod="p"}"#;
    let of_a = both("a_per_second", "a_total");
    for (more, lines, verdicts, dropped) in [
        ("", vec![kept], vec![format!("1 a_total: {of_a}")], vec![]),
        (
            "seriesFilters: [{isNot: ^b}]",
            vec![
                kept,
                r#"a_total{namespace="shop",pod="q"}"#,
                r#"b_total{namespace="shop",pod="p"}"#,
                r#"b_total{namespace="shop",pod="q"}"#,
                r#"c{namespace="shop",pod="p"}"#,
                r#"d_total{namespace="shop"}"#,
                r#"e_total{pod="p"}"#,
                r#"f_total{queue="q"}"#,
            ],
            vec![
                format!("2 a_total: {of_a}"),
                "2 b_total: Filtered".to_owned(),
                "1 c: NameNotMatched".to_owned(),
                "1 d_total: d_per_second of namespaces from d_total".to_owned(),
                "1 e_total: NoNamespaceLabel".to_owned(),
                "1 f_total: NoResource".to_owned(),
            ],
            vec![
                (Reason::Filtered, 2),
                (Reason::NameNotMatched, 1),
                (Reason::NoResource, 1),
                (Reason::NoNamespaceLabel, 1),
            ],
        ),
        (
            "name: {matches: \"^(.)\", as: \"${1}_per_second\"}",
            vec![kept, r#"a_count{namespace="shop",pod="p"}"#],
            vec![
                format!("1 a_count: {}", both("a_per_second", "a_count")),
                format!("1 a_total: {}", both("a_per_second", "a_count")),
            ],
            vec![(Reason::Duplicate, 1)],
        ),
        (
            "limits: {maxMetrics: 1}",
            vec![
                kept,
                r#"b_total{namespace="shop",pod="p"}"#,
                r#"c_total{namespace="shop",pod="p"}"#,
            ],
            vec![
                format!("1 a_total: {of_a}"),
                format!("1 b_total: {} (cut)", both("b_per_second", "b_total")),
                format!("1 c_total: {} (cut)", both("c_per_second", "c_total")),
            ],
            vec![(Reason::Truncated, 2)],
        ),
        (
            "limits: {maxSeries: 1}",
            vec![
                kept,
                r#"a_total{namespace="shop",pod="q"}"#,
                r#"b_total{namespace="shop",pod="p"}"#,
            ],
            vec![
                format!("1 a_total: {of_a}"),
                "1 a_total: Truncated".to_owned(),
                "1 b_total: Truncated".to_owned(),
            ],
            vec![(Reason::Truncated, 2)],
        ),
    ] {
        let (table, rule) = compiled("all", &spec(more));
        assert_eq!(rule.refusals, [], "{more}");
        let series = series(&lines);
        let derivation = Derivation::new(&rule, &series, &table.resources);
        let found: Vec<String> = derivation.verdicts().map(|verdict| told(&verdict)).collect();
        assert_eq!(found, verdicts, "{more}");
        let metrics = derivation.into_metrics();
        let counts: Vec<_> = metrics.discovered.dropped.into_iter().collect();
        assert_eq!(counts, dropped, "{more}");
    }
}

#[test]
fn series_without_a_name_have_a_verdict_too() {
    let (table, rule) = compiled("all", &spec("limits: {maxSeries: 2}"));
    // A listing for this rule alone keeps two of the three that can be used.
    let mut collector = Collector::new(Some(2), 0, usize::MAX);
    for (name, label) in [
        ("a_total", "pod"),
        ("b_total", "pod"),
        ("c_total", "pod"),
        ("d_total", &"x".repeat(2000)),
    ] {
        for (label, value) in [("__name__", name), ("namespace", "shop"), (label, "p")] {
            collector.label(label, value);
        }
        collector.end().unwrap();
    }
    let series = collector.finish();
    let derivation = Derivation::new(&rule, &series, &table.resources);
    let nameless: Vec<String> = derivation
        .verdicts()
        .filter(|verdict| verdict.series.is_none())
        .map(|verdict| told(&verdict))
        .collect();
    assert_eq!(nameless, ["1 -: InvalidName", "1 -: Truncated"]);
    let total: usize = derivation.verdicts().map(|verdict| verdict.count).sum();
    assert_eq!(total, series.len());

    let fixed = "name: {as: backlog}\nresources: {overrides: {app: {resource: deployments}}}\nmetricsQuery: \
                 sum by (<<.GroupBy>>) (waiting{<<.LabelMatchers>>})";
    let (table, rule) = compiled("all", fixed);
    let none = SeriesSet::default();
    let derivation = Derivation::new(&rule, &none, &table.resources);
    let found: Vec<String> = derivation.verdicts().map(|verdict| told(&verdict)).collect();
    assert_eq!(found, ["1 -: NoNamespaceLabel"], "{:?}", rule.refusals);
}

/// Rules that a random set of series goes through.
static RULES: LazyLock<Vec<(RuleTable, Arc<CompiledRule>)>> = LazyLock::new(|| {
    let template = "resources: {template: <<.Resource>>}";
    let loose = "name: {matches: \"^(.)\", as: \"${1}_per_second\"}";
    let specs = [
        spec(""),
        spec(loose),
        spec(&format!("{template}\n{loose}\nlimits: {{maxMetrics: 2}}")),
        spec("limits: {maxSeries: 3}\nseriesFilters: [{isNot: ^b}]"),
        spec(&format!("{loose}\nlimits: {{maxSeries: 5, maxMetrics: 1}}")),
        spec(&format!("{loose}\nsemantics: PrometheusAdapter")),
        spec(
            "api: External\nresources: {namespaced: false}\nname: {matches: \"^(.)\", as: \"${1}\"}\nnamespaceSelector: {}\n\
              metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>})",
        ),
    ];
    let rules = specs.map(|spec| {
        let (table, rule) = compiled("all", &spec);
        assert_eq!(rule.refusals, [], "{spec}");
        (table, rule)
    });
    rules.into()
});

/// Name, kind, and the series that it is made from.
type Made = (String, Option<GroupResource>, String);

fn made(metrics: &RuleMetrics) -> Vec<Made> {
    let made = metrics.metrics.iter().map(|metric| {
        let kind = metric.resource().cloned();
        (metric.name.to_string(), kind, metric.series.to_string())
    });
    made.collect()
}

/// What a rule makes of series, worked out from what it makes of each by itself: metrics and counts.
fn one_by_one(
    rule: &Arc<CompiledRule>,
    series: &BTreeSet<Labels>,
    resources: &Resources,
) -> (Vec<Made>, BTreeMap<Reason, usize>) {
    let mut ordered: Vec<&Labels> = series.iter().collect();
    ordered.sort_by_key(|labels| {
        let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
        (labels.name().unwrap_or_default(), names)
    });
    let mut dropped: BTreeMap<Reason, usize> = BTreeMap::new();
    let (most, limit) = (limit(rule.limits.max_metrics), limit(rule.limits.max_series));
    let mut count = |reason, count| {
        if count > 0 {
            *dropped.entry(reason).or_default() += count;
        }
    };
    count(Reason::Truncated, ordered.len().saturating_sub(limit));
    let mut contenders: BTreeMap<(String, Option<GroupResource>), BTreeSet<String>> = BTreeMap::new();
    for labels in ordered.into_iter().take(limit) {
        let alone = derive(rule, &[labels.clone()].into_iter().collect(), resources);
        for (reason, _) in alone.discovered.dropped {
            count(reason, 1);
        }
        for metric in &alone.metrics {
            let key = (metric.name.to_string(), metric.resource().cloned());
            contenders
                .entry(key)
                .or_default()
                .insert(metric.series.to_string());
        }
    }
    let mut losers = BTreeSet::new();
    let mut metrics = Vec::new();
    for ((name, kind), series) in contenders {
        let winner = if rule.like_adapter() {
            series.last()
        } else {
            series.first()
        };
        let winner = winner.unwrap().clone();
        losers.extend(series.into_iter().filter(|series| *series != winner));
        metrics.push((name, kind, winner));
    }
    count(Reason::Duplicate, losers.len());
    let names: BTreeSet<String> = metrics.iter().map(|(name, ..)| name.clone()).collect();
    count(Reason::Truncated, names.len().saturating_sub(most));
    let kept: BTreeSet<String> = names.into_iter().take(most).collect();
    metrics.retain(|(name, ..)| kept.contains(name));
    (metrics, dropped)
}

fn a_series() -> impl Strategy<Value = Labels> {
    let name = prop::sample::select(vec![
        "a_total",
        "a_count",
        "b_total",
        "b_sum_total",
        "c",
        "d_total",
    ]);
    let label = |name: &'static str| {
        prop::option::of(prop::sample::select(vec!["1", "2"])).prop_map(move |value| (name, value))
    };
    (
        name,
        label("namespace"),
        label("pod"),
        label("node"),
        label("queue"),
    )
        .prop_map(|(name, namespace, pod, node, queue)| {
            let labels = [namespace, pod, node, queue].into_iter();
            let labels = labels.filter_map(|(name, value)| Some((name, value?)));
            labels.chain([("__name__", name)]).collect()
        })
}

proptest! {
    #[test]
    fn verdicts_of_any_series_add_up_to_what_each_comes_to_by_itself(
        rule in 0..RULES.len(),
        series in prop::collection::btree_set(a_series(), 0..25),
    ) {
        let (table, rule) = &RULES[rule];
        let set: SeriesSet = series.iter().cloned().collect();
        let (metrics, dropped) = one_by_one(rule, &series, &table.resources);
        let derivation = Derivation::new(rule, &set, &table.resources);
        let total: usize = derivation.verdicts().map(|verdict| verdict.count).sum();
        prop_assert_eq!(total, series.len());
        let served: BTreeSet<String> = derivation
            .verdicts()
            .filter_map(|verdict| verdict.outcome.ok())
            .filter(|made| !made.is_cut)
            .flat_map(|made| made.metrics)
            .map(|metric| metric.series.to_string())
            .collect();
        let whole = derivation.into_metrics();
        prop_assert_eq!(&whole.discovered.dropped, &dropped);
        prop_assert_eq!(made(&whole), metrics);
        prop_assert_eq!(whole.discovered.series, series.len());
        let from: BTreeSet<String> = whole.metrics.iter().map(|metric| metric.series.to_string()).collect();
        prop_assert_eq!(served, from);
    }
}
