//! Metrics from series, and the rule that answers if several claim the same.

mod accidents;
mod adapter;
mod claims;
mod sequences;

use std::sync::Arc;

use super::*;
use crate::{
    rule::{
        Index,
        testing::{REQUESTS, index, rule, series},
    },
    sample::SeriesSet,
};

fn spec(lines: &str) -> String {
    let keys: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    let kept = REQUESTS
        .trim()
        .lines()
        .filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key}:"))));
    kept.chain([lines]).collect::<Vec<_>>().join("\n")
}

/// The catalog of rules, each with the series that its selector finds.
fn catalog(rules: &[(&str, String, SeriesSet)]) -> Catalog {
    let mut index = index();
    for (at, spec, _) in rules {
        index.apply_rule(rule(at, spec));
    }
    from(&index, rules)
}

fn from(index: &Index, rules: &[(&str, String, SeriesSet)]) -> Catalog {
    let table = Arc::new(index.table());
    let entries = rules.iter().map(|(at, spec, series)| {
        let compiled = table.get(&rule(at, spec).key).unwrap();
        Entry {
            metrics: Arc::new(derive(compiled, series, &table.resources)),
            listing: Listing::Current,
        }
    });
    Catalog::build(table.clone(), entries.collect::<Vec<_>>())
}

fn shop() -> SeriesSet {
    series(&[r#"http_requests_total{namespace="shop",pod="a"}"#])
}

fn names(catalog: &Catalog) -> Vec<String> {
    let custom = catalog.custom_metrics().flat_map(|(info, metrics)| {
        metrics
            .map(|metric| format!("{}/{metric}", info.group_resource))
            .collect::<Vec<_>>()
    });
    custom
        .chain(catalog.external_metrics().map(ToString::to_string))
        .collect()
}

fn winner(catalog: &Catalog, namespace: Option<&str>) -> Option<String> {
    let served = catalog.custom(&GroupResource::pods(), "http_requests_per_second", namespace)?;
    Some(served.rule.key().to_string())
}

#[test]
fn each_label_that_names_a_kind_makes_the_metric_for_it() {
    let catalog = catalog(&[(
        "all",
        spec("resources: {template: <<.Resource>>}"),
        series(&[
            r#"http_requests_total{namespace="shop",pod="a",service="web",job="x"}"#,
            r#"http_requests_total{namespace="shop",pod="b"}"#,
        ]),
    )]);
    assert_eq!(
        names(&catalog),
        [
            "namespaces/http_requests_per_second",
            "pods/http_requests_per_second",
            "services/http_requests_per_second",
        ]
    );
}

#[test]
fn series_that_make_nothing_are_counted_by_reason() {
    let catalog = catalog(&[(
        "all",
        spec(
            "seriesQuery: '{__name__=~\"http_.*\"}'\nseriesFilters: [{isNot: \"_errors_\"}]\nresources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}",
        ),
        series(&[
            r#"http_requests_total{namespace="shop",pod="a"}"#,
            r#"http_errors_total{namespace="shop",pod="a"}"#,
            r#"http_gauge{namespace="shop",pod="a"}"#,
            r#"http_queue_total{namespace="",queue="q"}"#,
            r#"http_orphans_total{pod="a"}"#,
        ]),
    )]);
    let found = &catalog.entries().next().unwrap().metrics.discovered;
    assert_eq!((found.series, found.metrics), (5, 1));
    let dropped: Vec<_> = found
        .dropped
        .iter()
        .map(|(reason, count)| (*reason, *count))
        .collect();
    assert_eq!(
        dropped,
        [
            (Reason::Filtered, 1),
            (Reason::NameNotMatched, 1),
            (Reason::NoResource, 1),
            (Reason::NoNamespaceLabel, 1),
        ]
    );
}

#[test]
fn two_series_of_one_metric_give_it_to_the_lower_name() {
    let lines = "seriesQuery: '{__name__=~\"^(a|b)_total$\"}'\nname: {as: requests}";
    let catalog = catalog(&[(
        "all",
        spec(lines),
        series(&[
            r#"b_total{namespace="shop",pod="x"}"#,
            r#"a_total{namespace="shop",pod="x"}"#,
        ]),
    )]);
    let served = catalog
        .custom(&GroupResource::pods(), "requests", Some("shop"))
        .unwrap();
    assert_eq!(&*served.metric.series, "a_total");
    let dropped = &catalog.entries().next().unwrap().metrics.discovered.dropped;
    assert_eq!(dropped.get(&Reason::Duplicate), Some(&1));
}

#[test]
fn limits_cut_in_lexical_order() {
    let lines = "seriesQuery: '{__name__=~\"^m.$\"}'\nname: {}\nlimits: {maxMetrics: 2}";
    let all = series(
        &["m3", "m1", "m2", "m4"]
            .map(|name| format!(r#"{name}{{namespace="shop",pod="p"}}"#))
            .each_ref()
            .map(String::as_str),
    );
    let catalog = catalog(&[("all", spec(lines), all.clone())]);
    let found = catalog.entries().next().unwrap().metrics.clone();
    let kept: Vec<&str> = found.metrics.iter().map(|metric| &*metric.name).collect();
    assert_eq!(
        kept,
        ["m1", "m1", "m2", "m2"],
        "two kinds each: the pod and its namespace"
    );
    assert_eq!(found.discovered.dropped.get(&Reason::Truncated), Some(&2));
    let lines = "seriesQuery: '{__name__=~\"^m.$\"}'\nname: {}\nlimits: {maxSeries: 1}";
    let catalog = self::catalog(&[("all", spec(lines), all)]);
    let found = catalog.entries().next().unwrap().metrics.clone();
    assert_eq!(found.discovered.metrics, 1);
    assert_eq!(found.discovered.dropped.get(&Reason::Truncated), Some(&3));
}

#[test]
fn a_series_with_a_lower_name_takes_no_metric_away_without_a_word() {
    let lines = "seriesQuery: '{__name__=~\"^m.$\"}'
name: {}
limits: {maxMetrics: 2}";
    let of = |names: &[&str]| {
        let all = names
            .iter()
            .map(|name| format!(r#"{name}{{namespace="shop",pod="p"}}"#));
        let all: Vec<String> = all.collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        catalog(&[("all", spec(lines), series(&all))])
    };
    let gone = |before: &[&str], now: &[&str]| {
        let (before, now) = (of(before), of(now));
        let gone = now
            .cut_off_since(&before)
            .into_iter()
            .flat_map(|(_, names)| names);
        gone.map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(gone(&["m2", "m3"], &["m1", "m2", "m3"]), ["m3"]);
    assert_eq!(gone(&["m2", "m3"], &["m0", "m1", "m2", "m3"]), ["m2", "m3"]);
    assert_eq!(gone(&["m1", "m2", "m3"], &["m1", "m2", "m3", "m4"]), [""; 0]);
    assert_eq!(
        gone(&["m1", "m2"], &["m2", "m3", "m4"]),
        [""; 0],
        "m1 is gone by itself"
    );
    assert_eq!(gone(&["m1", "m2"], &["m1"]), [""; 0], "no limit did it");
}

#[test]
fn a_namespaced_rule_describes_nothing_outside_its_namespace() {
    let catalog = catalog(&[(
        "shop/own",
        spec("resources: {template: <<.Resource>>}"),
        series(&[r#"http_requests_total{namespace="shop",pod="a",node="n"}"#]),
    )]);
    assert_eq!(
        names(&catalog),
        [
            "namespaces/http_requests_per_second",
            "pods/http_requests_per_second"
        ]
    );
    assert_eq!(
        winner(&catalog, Some("shop")).as_deref(),
        Some("MetricRule shop/own")
    );
    assert_eq!(winner(&catalog, Some("bank")), None);
    assert_eq!(winner(&catalog, None), None);
}

#[test]
fn a_namespaced_rule_answers_first_in_its_namespace_and_that_is_no_conflict() {
    let catalog = catalog(&[
        ("everywhere", spec("priority: 100"), shop()),
        ("shop/own", spec("priority: -100"), shop()),
    ]);
    assert_eq!(
        winner(&catalog, Some("shop")).as_deref(),
        Some("MetricRule shop/own")
    );
    assert_eq!(
        winner(&catalog, Some("bank")).as_deref(),
        Some("ClusterMetricRule everywhere")
    );
    assert_eq!(catalog.conflict(&RuleKey::cluster("everywhere")), None);
    assert_eq!(catalog.conflict(&RuleKey::namespaced("shop", "own")), None);
}

#[test]
fn the_loser_of_a_conflict_is_told_who_won() {
    let catalog = catalog(&[
        ("b", spec("priority: 1"), shop()),
        ("a", spec("priority: 0"), shop()),
    ]);
    assert_eq!(
        winner(&catalog, Some("shop")).as_deref(),
        Some("ClusterMetricRule b")
    );
    let conflict = catalog.conflict(&RuleKey::cluster("a")).unwrap();
    assert_eq!(conflict.winner, RuleKey::cluster("b"));
    assert_eq!(
        conflict.metrics.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["http_requests_per_second"]
    );
    assert!(conflict.serves_nothing);
}

#[test]
fn selectors_that_do_not_overlap_are_no_conflict() {
    let select = |team: &str| spec(&format!("namespaceSelector: {{matchLabels: {{team: {team}}}}}"));
    let catalog = catalog(&[("a", select("shop"), shop()), ("b", select("bank"), shop())]);
    assert_eq!(
        winner(&catalog, Some("shop")).as_deref(),
        Some("ClusterMetricRule a")
    );
    assert_eq!(
        winner(&catalog, Some("bank")).as_deref(),
        Some("ClusterMetricRule b")
    );
    assert_eq!(
        winner(&catalog, Some("elsewhere")),
        None,
        "a namespace that is not known has no labels"
    );
    assert_eq!(
        winner(&catalog, None),
        None,
        "a root-scoped request is only for a rule that selects all"
    );
    assert!(
        catalog
            .conflict(&RuleKey::cluster("a"))
            .or_else(|| catalog.conflict(&RuleKey::cluster("b")))
            .is_none()
    );
}

#[test]
fn the_order_of_rules_changes_nothing() {
    let rules = [
        ("a", spec("priority: 0"), shop()),
        ("b", spec("priority: 0"), shop()),
        ("c", spec("priority: 3"), shop()),
    ];
    let mut reversed = rules.clone();
    reversed.reverse();
    let (one, other) = (catalog(&rules), catalog(&reversed));
    assert_eq!(winner(&one, Some("shop")), winner(&other, Some("shop")));
    for key in ["a", "b", "c"].map(RuleKey::cluster) {
        assert_eq!(one.conflict(&key), other.conflict(&key));
    }
}

#[test]
fn a_static_rule_exists_for_every_kind_that_it_overrides() {
    let text = "name: {as: backlog}\nresources: {overrides: {namespace: {resource: namespaces}, app: {resource: deployments}}}\nmetricsQuery: sum by (<<.GroupBy>>) (waiting{<<.LabelMatchers>>})";
    let catalog = catalog(&[("all", text.to_owned(), SeriesSet::default())]);
    assert_eq!(
        names(&catalog),
        ["namespaces/backlog", "deployments.apps/backlog"]
            .map(ToOwned::to_owned)
            .to_vec()
    );
    let served = catalog
        .custom(
            &GroupResource::new("apps", "deployments"),
            "backlog",
            Some("shop"),
        )
        .unwrap();
    assert!(matches!(&served.metric.subject, Subject::Object { label, .. } if &**label == "app"));
}
