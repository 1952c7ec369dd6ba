//! Objects that must pass, and come back from our types as they went in.

use super::*;
use crate::{
    api::{Duration, HttpMethod, MetricsApi, NegativePolicy, RuleKey, RuleLimits, RuleStatus, Semantics},
    reason::Reason,
};

const HTTP_REQUESTS: &str = r#"
apiVersion: metricrule.dev/v1alpha1
kind: MetricRule
metadata: {name: http-requests, namespace: shop}
spec:
  api: Custom
  backendRef: {name: default}
  seriesQuery: http_requests_total{pod!=""}
  seriesFilters: [{isNot: "^go_"}]
  resources:
    overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
"#;

const QUEUE_LENGTH: &str = r#"
apiVersion: metricrule.dev/v1alpha1
kind: ClusterMetricRule
metadata: {name: queue-length}
spec:
  api: External
  seriesQuery: '{__name__=~"^queue_.*"}'
  seriesFilters: [{is: _length$}, {isNot: ^queue_test_}]
  resources:
    template: kube_<<.Resource>>
    namespaced: false
  namespaceSelector:
    matchLabels: {team: shop}
    matchExpressions: [{key: env, operator: In, values: [prod, stage]}]
  metricsQuery: |
    sum(<<.Series>>{<<.LabelMatchers>>})
  negative: Pass
  window: 1m30s
  limits: {maxSeries: 0, maxMetrics: 7, maxSamples: 50000, allowMatchAll: true}
  refresh: 0s
  retainAfterIdle: 36h
  priority: -3
  semantics: PrometheusAdapter
"#;

const BACKEND: &str = r#"
apiVersion: metricrule.dev/v1alpha1
kind: MetricBackend
metadata: {name: default, annotations: {metricrule.dev/is-default: "true"}}
spec:
  type: Prometheus
  prometheus:
    url: https://prometheus.monitoring.svc:9090/prefix/
    method: GET
    timeout: 9s
    partialResponse: Accept
    headers: {X-Scope-OrgID: platform}
    queryParams: {dedup: "true"}
    tls:
      caRef: {kind: Secret, name: ca, key: ca.pem}
      certificateRef: {name: client}
      serverName: prometheus.example.org
      insecureSkipVerify: false
    auth:
      type: Basic
      basic: {secretRef: {name: login, usernameKey: user, passwordKey: pass}}
    allowPlaintextCredentials: false
  labels: {namespaces: [namespace, exported_namespace]}
  allowedNamespaces: {from: Selector, selector: {matchLabels: {metrics: shared}}}
  discovery: {interval: 1m, lookback: 5m}
  limits:
    maxConcurrent: 16
    queriesPerSecond: 50
    perNamespace: {maxConcurrent: 8}
    perRule: {maxConcurrent: 3, maxSeries: 20000, maxMetrics: 200, maxSamples: 1000, maxRange: 48h, minRefresh: 5s}
"#;

/// Serializing gives what was read, and neither CEL nor our own check objects.
fn round_trip<T: DeserializeOwned + serde::Serialize>(text: &str) -> T {
    let read: Value = serde_saphyr::from_str(text).unwrap();
    let typed: T = serde_saphyr::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&typed).unwrap(), read);
    let kind = read["kind"].as_str().unwrap();
    assert_eq!(violations(kind, &read), []);
    assert_eq!(cel_messages(&schema(kind), &read), BTreeSet::new());
    typed
}

#[test]
fn a_metric_rule() {
    let rule: MetricRule = round_trip(HTTP_REQUESTS);
    assert_eq!(rule.rule_key(), RuleKey::namespaced("shop", "http-requests"));
    assert_eq!(rule.rule_key().to_string(), "MetricRule shop/http-requests");
    let spec = rule.to_rule_spec();
    assert_eq!(spec.api, MetricsApi::Custom);
    assert_eq!(spec.series_filters[0].is_not.as_deref(), Some("^go_"));
    assert_eq!(
        spec.name.as_ref().unwrap().r#as.as_deref(),
        Some("${1}_per_second")
    );
    assert_eq!(spec.effective_limits(), RuleLimits::default());
    assert_eq!(spec.effective_negative(), NegativePolicy::Pass);
    assert!(!spec.is_static());
}

#[test]
fn a_cluster_metric_rule() {
    let rule: ClusterMetricRule = round_trip(QUEUE_LENGTH);
    assert_eq!(rule.rule_key(), RuleKey::cluster("queue-length"));
    assert_eq!(rule.rule_key().to_string(), "ClusterMetricRule queue-length");
    let spec = rule.rule_spec();
    assert!(spec.effective_limits().allow_match_all);
    assert_eq!(spec.priority, Some(-3));
    assert_eq!(spec.effective_semantics(), Semantics::PrometheusAdapter);
}

#[test]
fn a_backend() {
    let backend: MetricBackend = round_trip(BACKEND);
    assert!(backend.is_default());
    let prometheus = backend.spec.prometheus.unwrap();
    assert_eq!(prometheus.method, HttpMethod::Get);
    assert_eq!(prometheus.timeout, Duration::from_secs(9));
}

#[test]
fn the_other_credentials() {
    let mut read: Value = serde_saphyr::from_str(BACKEND).unwrap();
    for auth in [
        json!({ "type": "Bearer", "bearer": { "secretRef": { "name": "login", "key": "token" } } }),
        json!({ "type": "ServiceAccountToken", "serviceAccountToken": {
            "serviceAccountRef": { "name": "reader" }, "audience": "prometheus", "expiration": "10m"
        } }),
    ] {
        read["spec"]["prometheus"]["auth"] = auth;
        let _: MetricBackend = round_trip(&read.to_string());
    }
}

/// The schema's constants and those of our types are the same: a Rust default never differs from what the API
/// server fills in.
#[test]
fn the_smallest_backend_gets_its_defaults() {
    let small = object(
        "MetricBackend",
        &json!({ "type": "Prometheus", "prometheus": { "url": "http://p:9090" } }),
    );
    let typed: MetricBackend = serde_json::from_value(small).unwrap();
    assert_eq!(
        serde_json::to_value(&typed.spec).unwrap(),
        json!({
            "type": "Prometheus",
            "prometheus": {
                "url": "http://p:9090", "method": "POST", "timeout": "8s", "partialResponse": "Fail",
                "allowPlaintextCredentials": false,
            },
            "labels": { "namespaces": ["namespace"] },
            "allowedNamespaces": { "from": "All" },
            "discovery": { "interval": "1m", "lookback": "5m" },
            "limits": {
                "maxConcurrent": 16, "queriesPerSecond": 1000, "perNamespace": { "maxConcurrent": 4 },
                "perRule": {
                    "maxConcurrent": 2, "maxSeries": 10_000, "maxMetrics": 100, "maxSamples": 50_000,
                    "maxRange": "24h", "minRefresh": "1s",
                },
            },
        })
    );
    let want = json!({
        "spec.allowedNamespaces": { "from": "All" },
        "spec.allowedNamespaces.from": "All",
        "spec.discovery": { "interval": "1m", "lookback": "5m" },
        "spec.discovery.interval": "1m",
        "spec.discovery.lookback": "5m",
        "spec.labels": { "namespaces": ["namespace"] },
        "spec.labels.namespaces": ["namespace"],
        "spec.limits": {
                "maxConcurrent": 16, "queriesPerSecond": 1000, "perNamespace": { "maxConcurrent": 4 },
                "perRule": {
                    "maxConcurrent": 2, "maxSeries": 10_000, "maxMetrics": 100, "maxSamples": 50_000,
                    "maxRange": "24h", "minRefresh": "1s",
                },
            },
        "spec.limits.perNamespace": { "maxConcurrent": 4 },
        "spec.limits.perNamespace.maxConcurrent": 4,
        "spec.limits.perRule": {
            "maxConcurrent": 2, "maxSeries": 10_000, "maxMetrics": 100, "maxSamples": 50_000,
            "maxRange": "24h", "minRefresh": "1s",
        },
        "spec.limits.perRule.maxConcurrent": 2,
        "spec.limits.perRule.maxMetrics": 100,
        "spec.limits.perRule.maxRange": "24h",
        "spec.limits.perRule.maxSamples": 50_000,
        "spec.limits.perRule.maxSeries": 10_000,
        "spec.limits.perRule.minRefresh": "1s",
        "spec.limits.maxConcurrent": 16,
        "spec.limits.queriesPerSecond": 1000,
        "spec.prometheus.allowPlaintextCredentials": false,
        "spec.prometheus.auth.basic.secretRef.passwordKey": "password",
        "spec.prometheus.auth.basic.secretRef.usernameKey": "username",
        "spec.prometheus.auth.bearer.secretRef.key": "token",
        "spec.prometheus.auth.serviceAccountToken.expiration": "1h",
        "spec.prometheus.method": "POST",
        "spec.prometheus.partialResponse": "Fail",
        "spec.prometheus.timeout": "8s",
        "spec.prometheus.tls.caRef.key": "ca.crt",
        "spec.prometheus.tls.insecureSkipVerify": false,
    });
    assert_eq!(defaults_of("MetricBackend"), want);
}

#[test]
fn a_rule_gets_its_constant_defaults() {
    let want = json!({
        "spec.api": "Custom",
        "spec.limits.allowMatchAll": false,
        "spec.limits.maxMetrics": 100,
        "spec.limits.maxSamples": 50000,
        "spec.limits.maxSeries": 10000,
        "spec.priority": 0,
        "spec.semantics": "Standard",
    });
    assert_eq!(defaults_of("MetricRule"), want);
    assert_eq!(defaults_of("ClusterMetricRule"), want);
}

/// Path to default, of the spec.
fn defaults_of(kind: &str) -> Value {
    let mut found = json!({});
    each_property(
        &schema(kind)["properties"]["spec"],
        "spec",
        &mut |path, property| {
            if let Some(default) = property.get("default") {
                found[path] = default.clone();
            }
        },
    );
    found
}

#[test]
fn a_status_of_a_newer_operator_is_read_as_far_as_known() {
    let status: RuleStatus = serde_json::from_value(json!({
        "conditions": [],
        "discovered": { "series": 3, "metrics": 1, "dropped": [
            { "reason": "Filtered", "count": 2 }, { "reason": "New", "count": 1 }
        ] },
        "warnings": [
            { "reason": "New", "path": "spec", "message": "m" },
            { "reason": "InvalidQuery", "path": "spec.metricsQuery:1:4", "message": "m" },
        ],
        "lastError": { "reason": "New", "time": "2026-01-01T00:00:00Z" },
        "observedGeneration": 4,
        "consumers": 7,
    }))
    .unwrap();
    assert_eq!(status.discovered.unwrap().dropped.len(), 1);
    assert_eq!(
        status
            .warnings
            .iter()
            .map(|warning| warning.reason)
            .collect::<Vec<_>>(),
        [Reason::InvalidQuery]
    );
    assert_eq!(status.last_error, None);
    assert_eq!(status.observed_generation, Some(4));
}
