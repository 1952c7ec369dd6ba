//! Backends of the queries of triggers.

use serde_json::json;

use super::{WORKER, prometheus, trigger};
use crate::import::testing::{assert_note, import, of_kind};

#[test]
fn settings_of_the_backend() {
    let import = prometheus(
        ", namespace: shop, queryParameters: 'dedup=true, a = b', customHeaders: 'X-Scope-OrgID=shop', timeout: '1500'",
    );
    let backends = of_kind(&import, "MetricBackend");
    let spec = &backends[0]["spec"]["prometheus"];
    assert_eq!(
        spec["queryParams"],
        json!({"namespace": "shop", "dedup": "true", "a": "b"})
    );
    assert_eq!(spec["headers"], json!({"X-Scope-OrgID": "shop"}));
    assert_eq!(spec["timeout"], "1s500ms");
    let name = backends[0]["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("p-") && name.len() == 8, "{name}");
    assert_eq!(
        of_kind(&import, "MetricRule")[0]["spec"]["backendRef"]["name"],
        name
    );

    for (more, at, part) in [
        (", timeout: '0.5h'", "f:8:107: error", "not a valid timeout"),
        (", timeout: 5m", "f:8:107: warning", "60s"),
        (", customHeaders: 'a'", "f:8:113: error", "key=value"),
        (", metricNam: a", "f:8:98: info", "has no effect"),
        (
            ", activationThreshold: '5'",
            "f:8:119: warning",
            "0 and 1 replicas",
        ),
        (
            ", customHeaders: 'Authorization=x'",
            "f:8:50: unsupported",
            "use auth",
        ),
        (
            ", queryParameters: 'time=5'",
            "f:8:50: unsupported",
            "queryParams",
        ),
    ] {
        assert_note(&prometheus(more), at, part);
    }
}

#[test]
fn credentials_are_named_and_never_made_up() {
    let https = |more: &str| {
        trigger(&format!(
            "{{type: prometheus, metadata: {{serverAddress: 'https://p', query: 'vector(1)', threshold: '1'{more}}}, \
             authenticationRef: {{name: prom-creds}}}}"
        ))
    };
    let import = https(", authModes: 'bearer, tls'");
    let spec = of_kind(&import, "MetricBackend")[0]["spec"]["prometheus"].clone();
    assert_eq!(
        spec["auth"],
        json!({"type": "Bearer", "bearer": {"secretRef": {"name": "prom-creds", "key": "token"}}})
    );
    assert_eq!(spec["tls"]["certificateRef"], json!({"name": "prom-creds-tls"}));
    assert_note(&import, "f:8:", "\"prom-creds\" in the operator's namespace");

    assert_note(&https(""), "f:8:", "does not convert the credentials");
    assert_note(
        &https(", authModes: oauth"),
        "f:8:",
        "no counterpart for the authentication \"oauth\"",
    );
    let import = https(", unsafeSsl: 'true'");
    let spec = &of_kind(&import, "MetricBackend")[0]["spec"]["prometheus"];
    assert_eq!(spec["tls"]["insecureSkipVerify"], true);
    assert_note(&import, "f:8:", "InsecureTls");

    let import = prometheus(", authModes: basic");
    let spec = &of_kind(&import, "MetricBackend")[0]["spec"]["prometheus"];
    assert_eq!(spec["allowPlaintextCredentials"], true);
    assert_eq!(spec["auth"]["basic"]["secretRef"]["name"], "prometheus");
    assert_note(&import, "f:8:", "PlaintextCredentials");
}

#[test]
fn equal_backends_are_one_and_others_have_other_names() {
    let first = WORKER.replace("worker", "first");
    let import = import(&format!(
        "{first}---\n{WORKER}---\n{}---\n{}",
        WORKER.replace("worker", "third").replace("http:", "https:"),
        WORKER
            .replace("worker", "fourth")
            .replace("threshold:", "namespace: a\n        threshold:")
    ));
    let backends = of_kind(&import, "MetricBackend");
    let names: Vec<&str> = backends
        .iter()
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(
        names[..2],
        [
            "prometheus-monitoring-svc-9090",
            "https-prometheus-monitoring-svc-9090"
        ]
    );
    assert!(
        names[2].starts_with("prometheus-monitoring-svc-9090-"),
        "{names:?}"
    );
    assert_eq!(of_kind(&import, "MetricRule").len(), 4);
}
