//! The chart's `rules.default`: the rules compile, and of what exporters give each takes its own part.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use metricrule::{
    api::{
        ClusterMetricRule, MetricBackend,
        metric_rule::{RuleKey, RuleResource},
    },
    catalog::{Catalog, Entry, Listing, derive},
    reason::Reason,
    resource::{GroupResource, Resources},
    rule::{BackendObject, Index, RuleObject, index::RuleScope},
    sample::{Labels, SeriesSet},
};
use promql::{MatchOp, SeriesSelector, re2};
use serde_json::{Value, json};

use crate::chart;

const PREFIX: &str = "metricrule-default-";

/// Series, the metric that pods have of it, and the rule that answers; no metric where it is dropped.
const SERIES: &[(&str, Option<(&str, &str)>)] = &[
    (
        "container_cpu_usage_seconds_total",
        Some(("cpu_usage", "containers-seconds")),
    ),
    (
        "container_network_receive_bytes_total",
        Some(("network_receive_bytes", "containers-total")),
    ),
    (
        "container_memory_working_set_bytes",
        Some(("memory_working_set_bytes", "containers")),
    ),
    ("process_cpu_seconds_total", Some(("process_cpu", "seconds"))),
    ("http_requests_total", Some(("http_requests", "total"))),
    ("queue_depth", Some(("queue_depth", "all"))),
    (
        "request_duration_seconds_count",
        Some(("request_duration_seconds_count", "all")),
    ),
    ("request_duration_seconds_bucket", None),
    // Both make the same metric: a container's before an application's, a counter before a gauge.
    ("container_fs_reads_total", Some(("fs_reads", "containers-total"))),
    ("fs_reads", Some(("fs_reads", "containers-total"))),
    ("jobs_total", Some(("jobs", "total"))),
    ("jobs", Some(("jobs", "total"))),
];

fn rules() -> Result<Vec<ClusterMetricRule>> {
    let documents = chart::template(&["rules.default=true"])?;
    let rules = documents
        .into_iter()
        .filter(|document| document["kind"] == "ClusterMetricRule");
    rules
        .map(|rule| serde_json::from_value(rule).context("a ClusterMetricRule"))
        .collect()
}

fn key(rule: &str) -> RuleKey {
    RuleKey {
        namespace: None,
        name: format!("{PREFIX}{rule}"),
    }
}

fn labels(series: &str) -> Labels {
    let container = series.starts_with("container_").then_some(("container", "main"));
    [("__name__", series), ("namespace", "shop"), ("pod", "web")]
        .into_iter()
        .chain(container)
        .collect()
}

/// Whether a backend would find the series.
fn selects(selector: &SeriesSelector, labels: &Labels) -> bool {
    let named = selector.name().is_none_or(|name| labels.name() == Some(name));
    named
        && selector.matchers().all(|matcher| {
            let value = labels.get(&matcher.label).unwrap_or_default();
            let pattern = || re2::matches_fully(&matcher.value, value).unwrap_or_default();
            match matcher.op {
                MatchOp::Equal => value == matcher.value,
                MatchOp::NotEqual => value != matcher.value,
                MatchOp::Regex => pattern(),
                MatchOp::NotRegex => !pattern(),
            }
        })
}

fn index(rules: &[ClusterMetricRule]) -> Result<Index> {
    let backend: MetricBackend = serde_json::from_value(json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
        "metadata": {"name": "default", "annotations": {"metricrule.dev/is-default": "true"}},
        "spec": {"type": "Prometheus", "prometheus": {"url": "http://prometheus"}},
    }))?;
    let mut index = Index::default();
    index.set_resources(Arc::new(Resources::builtin()));
    index.reset_namespaces([("shop".to_owned(), BTreeMap::new())].into_iter().collect());
    index.reset_backends(vec![BackendObject::of(&backend)]);
    index.reset_rules(RuleScope::Namespaced, Vec::new());
    index.reset_rules(RuleScope::Cluster, rules.iter().map(RuleObject::of).collect());
    Ok(index)
}

#[test]
fn they_are_an_option() -> Result<()> {
    let documents = chart::template(&[])?;
    ensure!(
        documents
            .iter()
            .all(|document| document["kind"] != "ClusterMetricRule")
    );
    ensure!(rules()?.len() == 6);
    Ok(())
}

#[test]
fn they_compile_and_only_one_matches_all() -> Result<()> {
    let rules = rules()?;
    let table = index(&rules)?.table();
    for rule in &rules {
        let compiled = table.get(&rule.rule_key()).context("it is in the table")?;
        let matches_all = rule.rule_spec().effective_limits().allow_match_all;
        let warned: Vec<Reason> = compiled.warnings.iter().map(|problem| problem.reason).collect();
        let expected: &[Reason] = if matches_all {
            &[Reason::ReadsAllSeries]
        } else {
            &[]
        };
        ensure!(
            compiled.refusals.is_empty() && warned == expected,
            "{}: {:?} {:?}",
            rule.rule_key(),
            compiled.refusals,
            compiled.warnings
        );
        ensure!(compiled.priority < 0, "a rule of one's own comes first");
        let matches_all = rule.rule_spec().effective_limits().allow_match_all;
        ensure!(
            matches_all == (rule.rule_key() == key("all")),
            "{}",
            rule.rule_key()
        );
    }
    Ok(())
}

#[test]
fn each_series_is_served_by_the_most_specific_rule() -> Result<()> {
    let rules = rules()?;
    let table = Arc::new(index(&rules)?.table());
    let mut entries = Vec::new();
    for rule in &rules {
        let selector = SeriesSelector::parse(rule.rule_spec().series_query.as_deref().unwrap_or_default())?;
        let all = SERIES.iter().map(|(series, _)| labels(series));
        let found: SeriesSet = all.filter(|labels| selects(&selector, labels)).collect();
        let compiled = table.get(&rule.rule_key()).context("it is in the table")?;
        entries.push(Entry {
            metrics: Arc::new(derive(compiled, &found, &table.resources)),
            listing: Listing::Current,
        });
    }
    let catalog = Catalog::build(table, entries);
    for (series, expected) in SERIES {
        let Some((metric, rule)) = expected else {
            ensure!(
                catalog
                    .custom(&GroupResource::pods(), series, Some("shop"))
                    .is_none(),
                "{series}"
            );
            continue;
        };
        let served = catalog.custom(&GroupResource::pods(), metric, Some("shop"));
        let served = served.with_context(|| format!("{series} makes no {metric}"))?;
        ensure!(*served.rule.key() == key(rule), "{series}: {}", served.rule.key());
    }
    Ok(())
}

#[test]
fn the_guard_is_a_value() -> Result<()> {
    let documents =
        chart::template(&["rules={\"default\":true,\"limits\":{\"maxSeries\":7,\"maxMetrics\":3}}"])?;
    let rules: Vec<&Value> = documents
        .iter()
        .filter(|document| document["kind"] == "ClusterMetricRule")
        .collect();
    for rule in &rules {
        ensure!(rule["spec"]["limits"]["maxSeries"] == 7 && rule["spec"]["limits"]["maxMetrics"] == 3);
    }
    ensure!(rules.len() == 6);
    Ok(())
}
