//! Import of an HPA of kube-metrics-adapter.

use serde_json::json;

use crate::{
    document::Document,
    import::{
        Import, Severity, autoscaler,
        testing::{assert_note, import, notes, of_kind},
    },
};

const EVENTS: &str = r#"apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: consumer
  namespace: shop
  labels: {app: consumer}
  resourceVersion: "12"
  annotations:
    team: shop
    metric-config.external.events-per-second.prometheus/query: |
      scalar(sum(rate(events_total{namespace="shop"}[1m])))
    metric-config.external.events-per-second.prometheus/prometheus-server: http://prometheus.shop.svc
    metric-config.external.events-per-second.prometheus/interval: "60s"
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: consumer}
  minReplicas: 1
  maxReplicas: 10
  metrics:
    - type: External
      external:
        metric:
          name: events-per-second
          selector: {matchLabels: {type: prometheus}}
        target: {type: AverageValue, averageValue: "10"}
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
status: {currentReplicas: 1, desiredReplicas: 1}
"#;

/// An HPA in the namespace shop, of annotations and metrics, each YAML in one line.
fn hpa(annotations: &str, metrics: &str) -> Import {
    import(&format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\n  namespace: shop\n  annotations: \
         {{{annotations}}}\nspec:\n  scaleTargetRef: {{kind: Deployment, name: web}}\n  maxReplicas: 3\n  metrics: [{metrics}]\n"
    ))
}

fn external(name: &str, labels: &str) -> String {
    format!(
        "{{type: External, external: {{metric: {{name: {name}, selector: {{matchLabels: {{{labels}}}}}}}, target: {{type: Value, \
         value: 5}}}}}}"
    )
}

#[test]
fn a_rule_a_backend_and_the_hpa_without_annotations() {
    let import = import(EVENTS);
    let rule = &of_kind(&import, "MetricRule")[0];
    assert_eq!(
        rule["spec"],
        json!({
            "api": "External",
            "backendRef": {"name": "prometheus-shop-svc"},
            "name": {"as": "events-per-second"},
            "metricsQuery": "scalar(sum(rate(events_total{namespace=\"shop\"}[1m])))\n",
        })
    );
    assert_eq!(
        rule["metadata"],
        json!({"name": "consumer-events-per-second", "namespace": "shop"})
    );
    let backend = &of_kind(&import, "MetricBackend")[0];
    assert_eq!(backend["spec"]["prometheus"]["url"], "http://prometheus.shop.svc");
    assert_eq!(
        of_kind(&import, "HorizontalPodAutoscaler")[0],
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "name": "consumer", "namespace": "shop", "labels": {"app": "consumer"}, "annotations": {"team": "shop"},
            },
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "consumer"},
                "minReplicas": 1,
                "maxReplicas": 10,
                "metrics": [
                    {"type": "External", "external": {
                        "metric": {"name": "events-per-second"},
                        "target": {"type": "AverageValue", "averageValue": "10"}}},
                    {"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
                ],
            },
        })
    );
    assert_eq!(
        notes(&import),
        [
            "f:13:67: info: Imported: the operator queries a value when the HPA asks for it, not at an interval"
        ]
    );
}

#[test]
fn the_name_of_a_query_becomes_that_of_the_metric() {
    let import = hpa(
        "metric-config.external.prometheus-query.prometheus/waiting: 'sum(w{namespace=\"shop\"})', \
         metric-config.external.prometheus-query.prometheus/query-name: waiting",
        &external("prometheus-query", "query-name: waiting"),
    );
    let rule = &of_kind(&import, "MetricRule")[0];
    assert_eq!(rule["spec"]["name"]["as"], "waiting");
    assert_eq!(rule["spec"]["metricsQuery"], "sum(w{namespace=\"shop\"})");
    assert!(rule["spec"].get("backendRef").is_none());
    assert_note(&import, "f:6:17: info", "the default MetricBackend");
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(
        hpa["spec"]["metrics"][0]["external"]["metric"],
        json!({"name": "waiting"})
    );
}

#[test]
fn a_server_by_its_alias() {
    let import = hpa(
        "metric-config.external.a.prometheus/query: 'vector(1)', metric-config.external.a.prometheus/prometheus-server-alias: Far Away",
        &external("a", "type: prometheus"),
    );
    assert_eq!(
        of_kind(&import, "MetricRule")[0]["spec"]["backendRef"]["name"],
        "far-away"
    );
    assert_note(&import, "f:6:", "--additional-prometheus-server");
}

#[test]
fn an_object_that_stands_for_nothing_becomes_external() {
    let object = |target: &str| {
        format!(
            "{{type: Object, object: {{describedObject: {{kind: Pod, name: dummy}}, metric: {{name: rps}}, target: {{{target}}}}}}}"
        )
    };
    let query = "metric-config.object.rps.prometheus/query: 'vector(1)'";
    let import = hpa(query, &object("type: Value, value: 10"));
    let target = |import: &Import| {
        of_kind(import, "HorizontalPodAutoscaler")[0]["spec"]["metrics"][0]["external"]["target"].clone()
    };
    assert_eq!(target(&import), json!({"type": "Value", "value": "10"}));
    assert_note(&import, "f:10:13: info", "only a placeholder");
    let import = hpa(
        &format!("{query}, metric-config.object.rps.prometheus/per-replica: 'true'"),
        &object("type: Value, value: 10"),
    );
    assert_eq!(
        target(&import),
        json!({"type": "AverageValue", "averageValue": "10"})
    );
}

#[test]
fn collectors_without_a_counterpart_are_left_out() {
    let pods = "{type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 1k}}}";
    let ingress = "{type: Object, object: {describedObject: {kind: Ingress, name: web}, metric: {name: requests-per-second}, target: \
                   {type: AverageValue, averageValue: 10}}}";
    let annotations = "metric-config.pods.rps.json-path/path: /metrics, metric-config.pods.rps.json-path/port: '9090', \
                       metric-config.external.q.prometheus/query: 'vector(1)'";
    let metrics = [
        pods,
        ingress,
        &external("queue", "type: sqs-queue-length, queue-name: a, region: b"),
        &external("check", "type: zmon, check-id: '1'"),
        &external("q", "type: prometheus"),
    ];
    let import = hpa(annotations, &metrics.join(", "));
    assert_note(
        &import,
        "f:6:17: unsupported",
        "\"json-path\" reads the pods itself",
    );
    assert_note(&import, "f:10:", "is about a Ingress");
    assert_note(
        &import,
        "f:10:",
        "\"sqs-queue-length\" does not query a Prometheus",
    );
    assert_note(&import, "f:10:", "\"zmon\" does not query a Prometheus");
    assert!(import.has(Severity::Unsupported));
    let hpa_object = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(hpa_object["spec"]["metrics"].as_array().unwrap().len(), 1);
    assert!(hpa_object["metadata"].get("annotations").is_none());

    let nothing = hpa(annotations, pods);
    assert!(nothing.objects.is_empty());
    assert_note(&nothing, "f:10:12: info", "no metric is left");
}

#[test]
fn annotations_that_do_nothing_are_named() {
    let import = hpa(
        "metric-config.external.a.prometheus/query: 'vector(1)', metric-config.external.a.json-path/path: /x, \
         metric-config.external.b.c.prometheus/query: x, metric-config.external.lost.prometheus/query: 'vector(2)'",
        &external("a", "type: prometheus"),
    );
    assert_note(&import, "f:6:", "already has the collector \"prometheus\"");
    assert_note(&import, "f:6:", "does not have the form");
    assert_note(&import, "f:6:", "no metric of the HPA has this type and name");
    assert_eq!(of_kind(&import, "MetricRule").len(), 1);
}

#[test]
fn metrics_without_a_query() {
    for (annotations, metric) in [
        (
            "metric-config.external.other.prometheus/query: a",
            external("a", "type: prometheus"),
        ),
        (
            "metric-config.external.a.prometheus/interval: 5s",
            external("a", "type: prometheus"),
        ),
        (
            "metric-config.external.a.prometheus/query-name: lost",
            external("a", "type: prometheus"),
        ),
    ] {
        let import = hpa(annotations, &metric);
        assert!(import.has(Severity::Error), "{annotations}: {:?}", notes(&import));
        assert!(import.objects.is_empty());
    }
}

#[test]
fn an_address_that_no_backend_can_have() {
    let import = hpa(
        "metric-config.external.a.prometheus/query: 'vector(1)', \
         metric-config.external.a.prometheus/prometheus-server: 'http://me:secret@p'",
        &external("a", "type: prometheus"),
    );
    assert_note(&import, "f:6:", "without user-info");
    assert!(import.has(Severity::Unsupported));
    assert!(import.objects.is_empty());
}

#[test]
fn two_queries_of_one_name() {
    let second = EVENTS
        .replace("consumer", "producer")
        .replace("sum(rate(", "max(rate(");
    let third = EVENTS.replace("consumer", "twin");
    let import = import(&format!("{EVENTS}---\n{second}---\n{third}"));
    let rules = of_kind(&import, "MetricRule");
    let names: Vec<&str> = rules
        .iter()
        .map(|rule| rule["spec"]["name"]["as"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "events-per-second",
            "producer-events-per-second",
            "events-per-second"
        ]
    );
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[1];
    assert_eq!(
        hpa["spec"]["metrics"][0]["external"]["metric"]["name"],
        "producer-events-per-second"
    );
    assert_note(&import, "f:39:", "NameTaken");
    assert_eq!(of_kind(&import, "MetricBackend").len(), 1);
}

#[test]
fn other_versions_and_other_hpas() {
    let old = import(&EVENTS.replace("autoscaling/v2", "autoscaling/v2beta1"));
    assert_note(&old, "f:1:13: unsupported", "autoscaling/v2");
    assert_eq!(
        import(&EVENTS.replace("autoscaling/v2", "autoscaling/v2beta2"))
            .objects
            .len(),
        3
    );
    let plain = Document::parse_stream(
        "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}}",
    );
    assert!(!autoscaler(&plain.unwrap()[0], "f", &mut Import::default()));
}

#[test]
fn several_metrics_of_one_name_have_the_annotations_of_that_name() {
    let metric = |query: &str| external("prometheus-query", &format!("query-name: {query}"));
    let import = hpa(
        "metric-config.external.prometheus-query.prometheus/first: vector(1), \
         metric-config.external.prometheus-query.prometheus/second: vector(2)",
        &format!("{}, {}", metric("first"), metric("second")),
    );
    let rules = of_kind(&import, "MetricRule");
    let names: Vec<_> = rules.iter().map(|rule| &rule["spec"]["name"]["as"]).collect();
    assert_eq!(names, ["first", "second"], "{:?}", notes(&import));
}

#[test]
fn names_that_come_to_the_same_are_told_apart() {
    let import = hpa(
        "metric-config.external.a_b.prometheus/query: vector(1), metric-config.external.a-b.prometheus/query: vector(2)",
        &format!(
            "{}, {}",
            external("a_b", "type: prometheus"),
            external("a-b", "type: prometheus")
        ),
    );
    let rules = of_kind(&import, "MetricRule");
    assert_eq!(rules[0]["metadata"]["name"], "web-a-b");
    assert_ne!(rules[1]["metadata"]["name"], "web-a-b");
    assert_eq!(rules[1]["spec"]["name"]["as"], "a-b");
}
