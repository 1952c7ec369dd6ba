//! Each rule of the schema, broken: CEL and our own check must say the same.

mod backends;

use self::backends::{backend_cases, credential_cases, request_cases};
use super::*;

/// A patch (RFC 7396) on a good spec, and the fields that are then to blame.
struct Case {
    kind: &'static str,
    blame: &'static [&'static str],
    patch: Value,
}

fn case(kind: &'static str, blame: &'static [&'static str], patch: Value) -> Case {
    Case { kind, blame, patch }
}

fn good_spec(kind: &str) -> Value {
    match kind {
        "MetricBackend" => json!({ "type": "Prometheus", "prometheus": { "url": "http://prometheus:9090" } }),
        _ => json!({
            "seriesQuery": "http_requests_total",
            "resources": { "overrides": { "pod": { "resource": "pods" } } },
            "metricsQuery": "<<.Series>>",
        }),
    }
}

fn rule_cases(kind: &'static str) -> Vec<Case> {
    let with = |blame, patch| case(kind, blame, patch);
    let fixed = |blame, mut patch: Value| {
        patch["seriesQuery"] = Value::Null;
        case(kind, blame, patch)
    };
    vec![
        with(&[], json!({})),
        with(
            &[],
            json!({ "resources": { "overrides": null, "template": "kube_<<.Resource>>" } }),
        ),
        with(&["spec.resources"], json!({ "resources": null })),
        with(&["spec.resources"], json!({ "resources": { "overrides": null } })),
        with(&[], json!({ "resources": null, "api": "External" })),
        with(&[], json!({ "resources": { "namespaced": true } })),
        with(&["spec.missingRows"], json!({ "missingRows": "Accept" })),
        with(&[], json!({ "api": "External", "missingRows": "Accept" })),
        with(
            &["spec.resources.overrides"],
            json!({ "resources": { "overrides": { "l".repeat(257): { "resource": "pods" } } } }),
        ),
        with(
            &[],
            json!({ "resources": { "overrides": { "l".repeat(256): { "resource": "pods" } } } }),
        ),
        with(&[], json!({ "seriesFilters": [{ "is": "a" }, { "isNot": "b" }] })),
        with(
            &["spec.seriesFilters[0]"],
            json!({ "seriesFilters": [{ "is": "a", "isNot": "b" }] }),
        ),
        with(
            &["spec.seriesFilters[1]"],
            json!({ "seriesFilters": [{ "is": "a" }, {}] }),
        ),
        fixed(&[], json!({ "name": { "as": "queue" } })),
        fixed(&[], json!({ "name": { "as": "queue", "matches": "" } })),
        fixed(&["spec.name.as"], json!({})),
        fixed(&["spec.name.as"], json!({ "name": { "as": "" } })),
        fixed(&["spec.name.as"], json!({ "name": { "as": "$0" } })),
        fixed(
            &["spec.name.matches"],
            json!({ "name": { "as": "q", "matches": "q" } }),
        ),
        fixed(
            &["spec.seriesFilters"],
            json!({ "name": { "as": "q" }, "seriesFilters": [{ "is": "q" }] }),
        ),
        fixed(
            &["spec.resources.template"],
            json!({ "name": { "as": "q" }, "resources": { "template": "<<.Resource>>" } }),
        ),
        with(&[], json!({ "refresh": "1ms" })),
        with(&[], json!({ "refresh": "60s" })),
        with(&["spec.refresh"], json!({ "refresh": "1m1ms" })),
        with(&[], json!({ "retainAfterIdle": "0s" })),
        with(&[], json!({ "retainAfterIdle": "720h" })),
        with(&["spec.retainAfterIdle"], json!({ "retainAfterIdle": "720h1ms" })),
        with(&[], json!({ "semantics": "Standard" })),
        with(&[], json!({ "semantics": "PrometheusAdapter" })),
    ]
}

fn metric_rule_cases() -> Vec<Case> {
    let with = |blame, patch| case("MetricRule", blame, patch);
    vec![
        with(
            &["spec.resources.namespaced"],
            json!({ "api": "External", "resources": { "namespaced": false } }),
        ),
        with(
            &["spec.resources.namespaced", "spec.resources.namespaced"],
            json!({ "resources": { "namespaced": false } }),
        ),
        with(&[], json!({ "limits": {} })),
        with(
            &[],
            json!({ "limits": { "maxSeries": 1, "maxMetrics": 1, "maxSamples": 1, "allowMatchAll": false } }),
        ),
        with(&["spec.limits"], json!({ "limits": { "maxSeries": 0 } })),
        with(&["spec.limits"], json!({ "limits": { "maxMetrics": 0 } })),
        with(&["spec.limits"], json!({ "limits": { "maxSamples": 0 } })),
        with(
            &["spec.limits.allowMatchAll"],
            json!({ "limits": { "allowMatchAll": true } }),
        ),
        with(&["spec.refresh"], json!({ "refresh": "0s" })),
        with(&["spec.refresh"], json!({ "refresh": "0h0ms" })),
    ]
}

fn cluster_metric_rule_cases() -> Vec<Case> {
    let with = |blame, patch| case("ClusterMetricRule", blame, patch);
    let all_namespaces = |mut patch: Value| {
        patch["namespaceSelector"] = json!({});
        patch
    };
    vec![
        with(
            &[],
            json!({ "limits": { "maxSeries": 0, "maxMetrics": 0, "maxSamples": 0, "allowMatchAll": true } }),
        ),
        with(&[], all_namespaces(json!({}))),
        with(&[], json!({ "refresh": "0s" })),
        with(
            &[],
            all_namespaces(json!({ "api": "External", "resources": { "namespaced": false } })),
        ),
        with(
            &["spec.namespaceSelector"],
            json!({ "api": "External", "resources": { "namespaced": false } }),
        ),
        with(
            &["spec.resources.namespaced"],
            all_namespaces(json!({ "resources": { "namespaced": false } })),
        ),
        with(
            &["spec.namespaceSelector"],
            json!({ "namespaceSelector": { "matchLabels": { "l".repeat(318): "a" } } }),
        ),
        with(
            &[],
            json!({ "namespaceSelector": { "matchLabels": { "l".repeat(317): "a" } } }),
        ),
    ]
}

#[test]
fn cel_and_our_own_check_agree() {
    let schemas: BTreeMap<String, Value> = documents()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .map(|kind| (kind.clone(), schema(&kind)))
        .collect();
    let mut seen = BTreeMap::<&str, BTreeSet<String>>::new();
    let cases = [
        rule_cases("MetricRule"),
        metric_rule_cases(),
        rule_cases("ClusterMetricRule"),
        cluster_metric_rule_cases(),
        backend_cases(),
        credential_cases(),
        request_cases(),
    ];
    for Case { kind, blame, patch } in cases.into_iter().flatten() {
        let mut spec = good_spec(kind);
        merge(&mut spec, &patch);
        let object = object(kind, &spec);
        let found = violations(kind, &object);
        assert_eq!(
            found.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(),
            blame,
            "{kind} {patch}"
        );
        let ours: BTreeSet<String> = found.into_iter().map(|one| one.message).collect();
        assert_eq!(cel_messages(&schemas[kind], &object), ours, "{kind} {patch}");
        seen.entry(kind).or_default().extend(ours);
    }
    // No rule without a case that breaks it.
    for (kind, schema) in &schemas {
        assert_eq!(seen[kind.as_str()], messages_of(schema), "{kind}");
    }
}

/// The messages of all CEL rules in a schema.
fn messages_of(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut collect = |schema: &Value| {
        for rule in schema["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            found.insert(rule["message"].as_str().unwrap().to_owned());
        }
    };
    each_property(schema, "", &mut |_, property| {
        collect(property);
        collect(&property["items"]);
    });
    found
}

/// What `OpenAPI` refuses without CEL, checked by us as well.
#[test]
fn bounds_are_checked_again() {
    let long = |length: usize| "é".repeat(length);
    let filters = |count: usize| vec![json!({ "is": "a" }); count];
    let overrides = |count: usize| -> serde_json::Map<String, Value> {
        (0..count)
            .map(|index| (format!("label{index}"), json!({ "resource": "pods" })))
            .collect()
    };
    let rule = |blame, patch| case("MetricRule", blame, patch);
    let backend = |blame, patch| case("MetricBackend", blame, patch);
    for Case { kind, blame, patch } in [
        rule(
            &[],
            json!({ "metricsQuery": long(16_384), "seriesQuery": long(4_096), "seriesFilters": filters(32) }),
        ),
        rule(&["spec.metricsQuery"], json!({ "metricsQuery": long(16_385) })),
        rule(&["spec.metricsQuery"], json!({ "metricsQuery": "" })),
        rule(&["spec.seriesQuery"], json!({ "seriesQuery": long(4_097) })),
        rule(&["spec.seriesFilters"], json!({ "seriesFilters": filters(33) })),
        rule(
            &["spec.seriesFilters[0].is"],
            json!({ "seriesFilters": [{ "is": long(1_025) }] }),
        ),
        rule(
            &["spec.name.as", "spec.name.matches"],
            json!({ "name": { "matches": long(1_025), "as": long(1_025) } }),
        ),
        rule(&[], json!({ "resources": { "overrides": overrides(31) } })),
        rule(
            &["spec.resources.overrides"],
            json!({ "resources": { "overrides": overrides(33) } }),
        ),
        rule(
            &["spec.resources.template"],
            json!({ "resources": { "template": long(1_025) } }),
        ),
        rule(&["spec.window"], json!({ "window": "2 minutes" })),
        rule(&["spec.refresh"], json!({ "refresh": "5" })),
        rule(&["spec.retainAfterIdle"], json!({ "retainAfterIdle": "1d" })),
        rule(&["spec.namespaceSelector"], json!({ "namespaceSelector": {} })),
        backend(
            &["spec.labels.namespaces"],
            json!({ "labels": { "namespaces": [] } }),
        ),
        backend(
            &["spec.labels.namespaces"],
            json!({ "labels": { "namespaces": ["not-a-label"] } }),
        ),
        backend(
            &["spec.limits.maxConcurrent"],
            json!({ "limits": { "maxConcurrent": 0 } }),
        ),
        backend(
            &["spec.limits.queriesPerSecond"],
            json!({ "limits": { "queriesPerSecond": 10_001 } }),
        ),
        backend(
            &["spec.limits.perNamespace.maxConcurrent"],
            json!({ "limits": { "perNamespace": { "maxConcurrent": 0 } } }),
        ),
        backend(
            &["spec.limits.perRule.maxMetrics", "spec.limits.perRule.maxSeries"],
            json!({ "limits": { "perRule": { "maxSeries": 0, "maxMetrics": 100_001 } } }),
        ),
        backend(
            &["spec.prometheus.headers"],
            json!({ "prometheus": { "headers": { "X-A": "a\r\nb" } } }),
        ),
        backend(
            &["spec.prometheus.headers"],
            json!({ "prometheus": { "headers": { "X-A": "a".repeat(1_025) } } }),
        ),
        backend(
            &["spec.prometheus.queryParams"],
            json!({ "prometheus": { "queryParams": { "a": long(1_025) } } }),
        ),
        backend(
            &["spec.allowedNamespaces.selector.matchLabels"],
            json!({ "allowedNamespaces": { "from": "Selector", "selector": { "matchLabels": { "a": long(64) } } } }),
        ),
        case(
            "ClusterMetricRule",
            &["spec.namespaceSelector.matchExpressions[0].values"],
            json!({ "namespaceSelector": { "matchExpressions": [
                { "key": "team", "operator": "In", "values": vec!["shop"; 257] }
            ] } }),
        ),
        rule(
            &["spec.resources.overrides[app].group"],
            json!({ "resources": { "overrides": { "app": { "group": long(254), "resource": "pods" } } } }),
        ),
    ] {
        let mut spec = good_spec(kind);
        merge(&mut spec, &patch);
        let found = violations(kind, &object(kind, &spec));
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, blame, "{kind}");
    }
}
