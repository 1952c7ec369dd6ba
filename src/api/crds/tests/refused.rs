//! Each rule of the schema, broken: CEL and our own check must say the same.

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

fn backend_cases() -> Vec<Case> {
    let with = |blame, patch| case("MetricBackend", blame, patch);
    vec![
        with(&[], json!({})),
        with(&["spec.prometheus"], json!({ "prometheus": null })),
        with(
            &[],
            json!({ "allowedNamespaces": { "from": "Selector", "selector": {} } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "from": "Selector" } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "from": "Selector", "selector": { "matchLabels": { "l".repeat(318): "a" } } } }),
        ),
        with(
            &["spec.prometheus.headers"],
            json!({ "prometheus": { "headers": { "H".repeat(257): "a" } } }),
        ),
        with(
            &["spec.prometheus.queryParams"],
            json!({ "prometheus": { "queryParams": { "p".repeat(257): "a" } } }),
        ),
        with(
            &[],
            json!({ "prometheus": { "headers": { "H".repeat(256): "a" }, "queryParams": { "p".repeat(256): "a" } } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "selector": {} } }),
        ),
        with(&[], json!({ "labels": { "namespaces": ["a", "b"] } })),
        with(
            &["spec.labels.namespaces"],
            json!({ "labels": { "namespaces": ["a", "b", "a"] } }),
        ),
        with(
            &[],
            json!({ "discovery": { "interval": "1s", "lookback": "24h" } }),
        ),
        with(
            &["spec.discovery.interval"],
            json!({ "discovery": { "interval": "999ms" } }),
        ),
        with(
            &["spec.discovery.interval"],
            json!({ "discovery": { "interval": "1h1ms" } }),
        ),
        with(
            &["spec.discovery.lookback"],
            json!({ "discovery": { "lookback": "0s" } }),
        ),
        with(
            &["spec.discovery.lookback"],
            json!({ "discovery": { "lookback": "25h" } }),
        ),
        with(
            &[],
            json!({ "limits": { "perRule": { "maxRange": "1s", "minRefresh": "0s" } } }),
        ),
        with(
            &["spec.limits.perRule.maxRange"],
            json!({ "limits": { "perRule": { "maxRange": "999ms" } } }),
        ),
        with(
            &["spec.limits.perRule.minRefresh"],
            json!({ "limits": { "perRule": { "minRefresh": "61s" } } }),
        ),
    ]
}

/// With a patch on `spec.prometheus`, whose address is http.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the table reads better without borrows"
)]
fn prometheus(blame: &'static [&'static str], patch: Value) -> Case {
    case("MetricBackend", blame, json!({ "prometheus": patch }))
}

/// The same with an https address.
fn https(blame: &'static [&'static str], mut patch: Value) -> Case {
    patch["url"] = json!("https://p");
    prometheus(blame, patch)
}

const EXPIRATION: &[&str] = &["spec.prometheus.auth.serviceAccountToken.expiration"];

fn credential_cases() -> Vec<Case> {
    let login = json!({ "secretRef": { "name": "login" } });
    let basic = json!({ "type": "Basic", "basic": login });
    let mut cases = vec![
        prometheus(&["spec.prometheus.tls"], json!({ "tls": { "serverName": "p" } })),
        https(&[], json!({ "tls": { "insecureSkipVerify": true } })),
        https(
            &["spec.prometheus.tls.insecureSkipVerify"],
            json!({ "tls": { "insecureSkipVerify": true, "caRef": { "kind": "Secret", "name": "ca" } } }),
        ),
        prometheus(&["spec.prometheus.auth"], json!({ "auth": basic })),
        prometheus(
            &["spec.prometheus.auth"],
            json!({ "auth": basic, "allowPlaintextCredentials": false }),
        ),
        prometheus(&[], json!({ "auth": basic, "allowPlaintextCredentials": true })),
        https(&[], json!({ "auth": basic })),
        https(
            &["spec.prometheus.auth.basic"],
            json!({ "auth": { "type": "Basic" } }),
        ),
        https(
            &["spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Bearer" } }),
        ),
        https(
            &["spec.prometheus.auth.serviceAccountToken"],
            json!({ "auth": { "type": "ServiceAccountToken" } }),
        ),
        https(
            &["spec.prometheus.auth.basic", "spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Bearer", "basic": login } }),
        ),
        https(
            &["spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Basic", "basic": login, "bearer": login } }),
        ),
    ];
    for (expiration, blame) in [
        ("10m", &[][..]),
        ("24h", &[]),
        ("599s", EXPIRATION),
        ("24h1s", EXPIRATION),
    ] {
        let token =
            json!({ "serviceAccountRef": { "name": "r" }, "audience": "p", "expiration": expiration });
        cases.push(https(
            blame,
            json!({ "auth": { "type": "ServiceAccountToken", "serviceAccountToken": token } }),
        ));
    }
    cases
}

fn request_cases() -> Vec<Case> {
    const URL: &[&str] = &["spec.prometheus.url"];
    const HEADERS: &[&str] = &["spec.prometheus.headers"];
    const PARAMS: &[&str] = &["spec.prometheus.queryParams"];
    const TIMEOUT: &[&str] = &["spec.prometheus.timeout"];
    let good = [
        "http://p",
        "https://p:9090",
        "http://[::1]:9090/",
        "https://p/a@b/c",
        "http://10.0.0.1/prefix/api",
    ];
    let bad = [
        "p:9090",
        "ftp://p",
        "HTTP://p",
        "http://",
        "http:///x",
        "http://user:secret@p",
        "https://user@p/x",
        "http://p?x=1",
        "http://p/x?y",
        "http://p#x",
        "http://p q",
        "http://p/x\ny",
    ];
    let urls = good
        .map(|url| (url, &[][..]))
        .into_iter()
        .chain(bad.map(|url| (url, URL)));
    let timeouts = ["100ms", "60s", "1m"].map(|text| (text, &[][..]));
    let timeouts = timeouts
        .into_iter()
        .chain(["99ms", "61s", "0s"].map(|text| (text, TIMEOUT)));
    let headers = [
        "Authorization",
        "aUTHORIZATION",
        "Host",
        "host",
        "",
        "X Y",
        "X:",
        "X\r\nY",
    ];
    let headers = headers
        .map(|name| (name, HEADERS))
        .into_iter()
        .chain([("X-Scope-OrgID", &[][..])]);
    let params = ["query", "time", "timeout", "match[]", "start", "end"].map(|name| (name, PARAMS));
    let params = params
        .into_iter()
        .chain(["dedup", "Query"].map(|name| (name, &[][..])));
    urls.map(|(url, blame)| prometheus(blame, json!({ "url": url })))
        .chain(timeouts.map(|(timeout, blame)| prometheus(blame, json!({ "timeout": timeout }))))
        .chain(
            headers.map(|(name, blame)| prometheus(blame, json!({ "headers": { "X-A": "1", name: "v" } }))),
        )
        .chain(
            params.map(|(name, blame)| prometheus(blame, json!({ "queryParams": { "a": "1", name: "v" } }))),
        )
        .collect()
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
