//! Paths of an HPA's requests; the expected ones were captured from the controller's own clients.

use serde_json::{Value, json};

use super::*;

fn hpa(metrics: &Value) -> HorizontalPodAutoscaler {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3,
            "metrics": metrics,
        },
    }))
    .unwrap()
}

fn one(metric: &Value) -> Result<Question, String> {
    let mut demands = demands(&hpa(&json!([metric])), &Resources::builtin());
    assert_eq!(demands.len(), 1);
    demands
        .remove(0)
        .map(|demand| demand.question)
        .map_err(|unasked| unasked.reason)
}

fn pods(identifier: &Value) -> Value {
    json!({"type": "Pods", "pods": {"metric": identifier, "target": {"type": "AverageValue", "averageValue": "1"}}})
}

fn object(api_version: &str, kind: &str, name: &str) -> Value {
    json!({"type": "Object", "object": {
        "metric": {"name": "rps"},
        "describedObject": {"apiVersion": api_version, "kind": kind, "name": name},
        "target": {"type": "Value", "value": "1"},
    }})
}

#[test]
fn the_paths_are_those_of_the_controller() {
    let verb = json!({"name": "http_requests", "selector": {"matchLabels": {"verb": "GET"}}});
    let external = json!({"type": "External", "external": {
        "metric": {"name": "s0-rabbitmq-q", "selector": {"matchLabels": {"verb": "GET"}}},
        "target": {"type": "Value", "value": "1"},
    }});
    let chosen = "app=web,tier in (a,b)";
    for (metric, scale, expected) in [
        (
            pods(&verb),
            chosen,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/http_requests?labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29&metricLabelSelector=verb%3DGET",
        ),
        (
            pods(&json!({"name": "http_requests"})),
            chosen,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/http_requests?labelSelector=app%3Dweb%2Ctier+in+%28a%2Cb%29",
        ),
        (
            pods(&json!({"name": "a:b", "selector": {}})),
            "",
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/a:b",
        ),
        (
            object("networking.k8s.io/v1", "Ingress", "main"),
            chosen,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/ingresses.networking.k8s.io/main/rps",
        ),
        (
            object("v1", "Node", "n1"),
            chosen,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/nodes/n1/rps",
        ),
        (
            object("v1", "Namespace", "other"),
            chosen,
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/metrics/rps",
        ),
        (
            external,
            chosen,
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/s0-rabbitmq-q?labelSelector=verb%3DGET",
        ),
    ] {
        assert_eq!(
            one(&metric).unwrap().path("ns", "v1beta2", scale),
            expected,
            "{metric}"
        );
    }
}

#[test]
fn expressions_are_written_as_the_controller_writes_them() {
    let identifier = json!({"name": "m", "selector": {
        "matchLabels": {"z": "1"},
        "matchExpressions": [
            {"key": "b", "operator": "In", "values": ["y", "x"]},
            {"key": "a", "operator": "DoesNotExist"},
            {"key": "c", "operator": "NotIn", "values": ["q"]},
        ],
    }});
    let question = one(&pods(&identifier)).unwrap();
    assert_eq!(question.selector().to_string(), "!a,b in (x,y),c notin (q),z=1");
    assert_eq!(
        question.to_string(),
        "m of the pods of deployments.apps/web with !a,b in (x,y),c notin (q),z=1"
    );
}

#[test]
fn the_selector_of_pods_comes_from_the_scale() {
    let Ok(Question::Pods { target, .. }) = one(&pods(&json!({"name": "m"}))) else {
        panic!("no question about pods");
    };
    assert_eq!(
        target.scale_path("ns"),
        "/apis/apps/v1/namespaces/ns/deployments/web/scale"
    );
}

#[test]
fn what_cannot_be_asked_says_why() {
    let resource =
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}});
    let broken = json!({"name": "m", "selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}});
    for (metric, expected) in [
        (resource, "metrics.k8s.io"),
        (json!({"type": "Pods"}), "lacks its field"),
        (pods(&json!({"name": "a/b"})), "contains a `/`"),
        (pods(&broken), "not a valid label selector operator"),
        (
            object("example.com/v1", "Widget", "w"),
            "no kind Widget of \"example.com/v1\"",
        ),
        (object("v1", "Deployment", "w"), "no kind Deployment of \"v1\""),
    ] {
        let reason = one(&metric).unwrap_err();
        assert!(reason.contains(expected), "{metric}: {reason}");
    }
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]);
    let unasked = demands(&hpa(&cpu), &Resources::builtin()).remove(0).unwrap_err();
    assert!(unasked.expected);
}
