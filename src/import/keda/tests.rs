//! Import of a `ScaledObject`.

mod backend;
mod refused;

use serde_json::json;

use crate::{
    document::{Document, SourceFile},
    import::{
        Import, Object, Severity, adapter, autoscaler,
        testing::{assert_note, import, notes, of_kind},
    },
};

const WORKER: &str = r#"apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: worker
  namespace: shop
  labels: {app: worker}
spec:
  scaleTargetRef:
    name: worker
  minReplicaCount: 2
  maxReplicaCount: 20
  triggers:
    - type: prometheus
      metadata:
        serverAddress: http://prometheus.monitoring.svc:9090
        query: sum(jobs_waiting{namespace="shop"}) or vector(0)
        threshold: "30"
"#;

/// One trigger of a `ScaledObject` in the namespace shop; `text` is YAML in one line.
fn trigger(text: &str) -> Import {
    import(&format!(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: worker, namespace: shop}}\nspec:\n  \
         scaleTargetRef: {{name: worker}}\n  minReplicaCount: 1\n  triggers:\n  - {text}\n"
    ))
}

/// A Prometheus trigger with more metadata.
fn prometheus(more: &str) -> Import {
    trigger(&format!(
        "{{type: prometheus, metadata: {{serverAddress: 'http://p', query: 'vector(1)', threshold: '1'{more}}}}}"
    ))
}

#[test]
fn a_rule_a_backend_and_an_hpa() {
    let import = import(WORKER);
    let objects: Vec<serde_json::Value> = import.objects.iter().map(Object::json).collect();
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[0]["kind"], "MetricBackend");
    assert_eq!(
        objects[0]["metadata"],
        json!({"name": "prometheus-monitoring-svc-9090"})
    );
    assert_eq!(
        objects[0]["spec"]["prometheus"]["url"],
        "http://prometheus.monitoring.svc:9090"
    );
    assert_eq!(
        objects[1],
        json!({
            "apiVersion": "metricrule.dev/v1alpha1",
            "kind": "MetricRule",
            "metadata": {"namespace": "shop", "name": "worker-s0-prometheus"},
            "spec": {
                "api": "External",
                "backendRef": {"name": "prometheus-monitoring-svc-9090"},
                "name": {"as": "worker-s0-prometheus"},
                "metricsQuery": "sum(jobs_waiting{namespace=\"shop\"}) or vector(0)",
            },
        })
    );
    assert_eq!(
        objects[2],
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": "shop", "name": "worker", "labels": {"app": "worker"}},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
                "minReplicas": 2,
                "maxReplicas": 20,
                "metrics": [{"type": "External", "external": {
                    "metric": {"name": "worker-s0-prometheus"},
                    "target": {"type": "AverageValue", "averageValue": "30"},
                }}],
            },
        })
    );
    assert_eq!(
        notes(&import),
        [
            "f:2:7: info: Imported: two HPAs of one workload block each other, and KEDA owns external.metrics.k8s.io until \
             you take it over: delete the ScaledObject, then apply the HPA \"worker\""
        ]
    );
}

#[test]
fn the_defaults_of_keda() {
    let import = import(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: w}\nspec:\n  scaleTargetRef: {name: w}\n  triggers:\n  - \
         {type: prometheus, metadata: {serverAddress: 'http://p/', query: 'vector(1)', threshold: '1'}}\n",
    );
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(hpa["spec"]["minReplicas"], 1);
    assert_eq!(hpa["spec"]["maxReplicas"], 100);
    assert_eq!(
        hpa["spec"]["scaleTargetRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"})
    );
    assert_eq!(hpa["metadata"], json!({"name": "w"}));
    assert_eq!(
        of_kind(&import, "MetricRule")[0]["metadata"],
        json!({"name": "w-s0-prometheus"})
    );
    assert_note(
        &import,
        "f:5:3: warning: Unsupported: KEDA scales to 0",
        "minReplicas is 1",
    );
}

#[test]
fn targets_as_keda_makes_them() {
    for (trigger_text, target) in [
        (
            "threshold: '0.5'",
            json!({"type": "AverageValue", "averageValue": "500m"}),
        ),
        (
            "threshold: ' 1e3 '",
            json!({"type": "AverageValue", "averageValue": "1k"}),
        ),
        (
            "threshold: '1234.5678'",
            json!({"type": "AverageValue", "averageValue": "1234568m"}),
        ),
        (
            "threshold: 7",
            json!({"type": "AverageValue", "averageValue": "7"}),
        ),
        (
            "threshold: '7'}, metricType: Value, x: {",
            json!({"type": "Value", "value": "7"}),
        ),
    ] {
        let import = trigger(&format!(
            "{{type: prometheus, metadata: {{serverAddress: 'http://p', query: 'vector(1)', {trigger_text}}}}}"
        ));
        let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
        assert_eq!(
            hpa["spec"]["metrics"][0]["external"]["target"], target,
            "{trigger_text}"
        );
    }
}

#[test]
fn what_keda_would_not_start_with() {
    for (text, at, part) in [
        (
            "{type: prometheus, metadata: {query: a, threshold: '1'}}",
            "f:8:34",
            "no serverAddress",
        ),
        (
            "{type: prometheus, metadata: {serverAddress: 'http://p', query: ' ', threshold: '1'}}",
            "f:8:34",
            "no query",
        ),
        (
            "{type: prometheus, metadata: {serverAddress: 'http://p', query: a, threshold: many}}",
            "f:8:83",
            "\"many\" is not a valid number",
        ),
        (
            "{type: prometheus, metadata: {serverAddress: 'http://p', query: a, threshold: '0'}}",
            "f:8:83",
            "above 0",
        ),
        (
            "{type: prometheus, metricType: Utilization, metadata: {serverAddress: 'http://p', query: a, threshold: '1'}}",
            "f:8:36",
            "\"Utilization\" is neither",
        ),
        ("{type: cpu, metadata: {}}", "f:8:27", "no value"),
        (
            "{type: cpu, metricType: Value, metadata: {value: '5'}}",
            "f:8:29",
            "\"Value\" is neither",
        ),
        (
            "{type: memory, metricType: Utilization, metadata: {value: 1Gi}}",
            "f:8:63",
            "\"1Gi\" is not a valid value",
        ),
    ] {
        let import = trigger(text);
        assert_note(&import, &format!("{at}: error: InvalidSpec"), part);
        assert!(import.objects.is_empty(), "{text}\n{}", import.yaml());
    }
    let mut outcome = Import::default();
    for (text, at) in [
        (
            "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {}, spec: {}}",
            "f:1:62",
        ),
        (
            "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: a}, spec: {}}",
            "f:1:79",
        ),
    ] {
        autoscaler(&Document::parse_stream(text).unwrap()[0], "f", &mut outcome);
        assert_note(&outcome, &format!("{at}: error"), "");
    }
    assert!(outcome.objects.is_empty());
}

#[test]
fn triggers_of_other_types_are_left_out() {
    let import = import(&format!(
        "{WORKER}    - type: kafka\n      metadata: {{topic: a}}\n    - type: cpu\n      metricType: Utilization\n      metadata: \
         {{value: '60'}}\n    - type: memory\n      metadata: {{type: AverageValue, value: 512Mi, containerName: main}}\n"
    ));
    assert_note(
        &import,
        "f:18:13: unsupported: Unsupported",
        "\"kafka\" does not query a Prometheus",
    );
    assert!(import.has(Severity::Unsupported));
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(hpa["spec"]["metrics"].as_array().unwrap().len(), 3);
    assert_eq!(
        hpa["spec"]["metrics"][1],
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}})
    );
    assert_eq!(
        hpa["spec"]["metrics"][2],
        json!({"type": "ContainerResource", "containerResource": {
            "name": "memory", "container": "main", "target": {"type": "AverageValue", "averageValue": "512Mi"}}})
    );
}

#[test]
fn nothing_but_unsupported_makes_no_hpa() {
    let import = trigger("{type: kafka, metadata: {topic: a}}");
    assert!(import.objects.is_empty());
    assert_note(&import, "f:2:7: info", "no metric is left");
}

#[test]
fn a_formula_is_left_out_with_its_triggers() {
    let text = format!(
        "{WORKER}    - {{type: cpu, metricType: Utilization, metadata: {{value: '60'}}}}\n  advanced: {{scalingModifiers: {{formula: 'a + \
         b', target: '1'}}}}\n"
    );
    let import = import(&text);
    assert_note(&import, "f:19:42: unsupported", "one query");
    assert_eq!(of_kind(&import, "MetricRule"), Vec::<serde_json::Value>::new());
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(hpa["spec"]["metrics"].as_array().unwrap().len(), 1);
    assert_eq!(hpa["spec"]["metrics"][0]["type"], "Resource");
}

#[test]
fn a_trigger_by_name_and_the_hpa_by_name() {
    let text = WORKER.replace("type: prometheus", "type: prometheus\n      name: Waiting jobs")
        + "  advanced:\n    horizontalPodAutoscalerConfig:\n      name: old\n      behavior: {scaleDown: \
           {stabilizationWindowSeconds: 60, policies: [{type: Pods, value: 1, periodSeconds: 30}]}}\n";
    let import = import(&text);
    assert_eq!(
        of_kind(&import, "MetricRule")[0]["metadata"]["name"],
        "worker-waiting-jobs"
    );
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(hpa["metadata"]["name"], "old");
    assert_eq!(
        hpa["spec"]["behavior"],
        json!({"scaleDown": {"stabilizationWindowSeconds": 60, "policies": [
            {"type": "Pods", "value": 1, "periodSeconds": 30}]}})
    );
}

#[test]
fn annotations_and_labels_of_keda_stay_behind() {
    let text = WORKER.replace(
        "labels: {app: worker}",
        "labels: {app: worker, argo: x, scaledobject.keda.sh/name: worker}\n  annotations: {team: shop, \
         autoscaling.keda.sh/paused: 'true', autoscaling.keda.sh/paused-scale-in: 'true', \
         kubectl.kubernetes.io/last-applied-configuration: '{}', scaledobject.keda.sh/hpa-excluded-labels: 'x,argo'}",
    );
    let import = import(&text);
    let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
    assert_eq!(
        hpa["metadata"],
        json!({"name": "worker", "namespace": "shop", "labels": {"app": "worker"}, "annotations": {"team": "shop"}})
    );
    assert_eq!(
        hpa["spec"]["behavior"],
        json!({"scaleDown": {"selectPolicy": "Disabled"}})
    );
    assert_note(&import, "f:7:", "is paused");
}

#[test]
fn fields_without_a_counterpart_are_named() {
    let text = WORKER.replace("minReplicaCount: 2", "idleReplicaCount: 0\n  minReplicaCount: 2")
        + "  pollingInterval: 10\n  cooldownPeriod: 60\n  fallback: {failureThreshold: 3, replicas: 6}\n  advanced: \
           {restoreToOriginalReplicaCount: true}\n";
    let import = import(&text);
    for (begin, part) in [
        ("f:10:21: warning", "idle times"),
        ("f:19:20: info", "interval"),
        ("f:20:19: info", "0 replicas"),
        ("f:21:13: warning", "keeps its replicas"),
        ("f:22:45: warning", "as they are"),
    ] {
        assert_note(&import, begin, part);
    }
}

#[test]
fn a_query_of_one_row_is_expected() {
    let import = trigger(
        "{type: prometheus, metadata: {serverAddress: 'http://p', query: 'jobs{namespace=\"shop\"}', threshold: '1'}}",
    );
    assert_note(&import, "f:8:69: warning: DuplicateRows", "KEDA refuses those");
    assert_note(&import, "f:8:69: info: NoData", "or vector(0)");
    let import = prometheus(", ignoreNullValues: 'false'");
    assert!(!notes(&import).iter().any(|note| note.contains("NoData")));
}

#[test]
fn the_kind_of_rule_follows_the_reach_of_the_query() {
    for (query, kind, message) in [
        ("sum(a{namespace='shop'})", "MetricRule", ""),
        ("sum(a{namespace='shop',namespace!=''})", "MetricRule", ""),
        ("sum(a)", "MetricRule", "every selector"),
        (
            "sum(a{namespace='shop'}) + sum(b)",
            "MetricRule",
            "every selector",
        ),
        (
            "sum(a{namespace='bank'})",
            "ClusterMetricRule",
            "of other namespaces",
        ),
        (
            "sum(a{namespace=~'shop|bank'})",
            "ClusterMetricRule",
            "of other namespaces",
        ),
        (
            "sum(a{namespace='ingress',exported_namespace='shop'})",
            "ClusterMetricRule",
            "of other namespaces",
        ),
        ("sum(info(a))", "ClusterMetricRule", "cannot be confined"),
        (
            "sum(a{b='c' or d='e'})",
            "ClusterMetricRule",
            "cannot be confined",
        ),
        ("sum(a", "ClusterMetricRule", "cannot be confined"),
    ] {
        let import = trigger(&format!(
            "{{type: prometheus, metadata: {{serverAddress: 'http://p', query: \"{query}\", threshold: '1'}}}}"
        ));
        let rules = of_kind(&import, kind);
        assert_eq!(rules.len(), 1, "{query}\n{}", import.yaml());
        assert_eq!(rules[0]["spec"]["metricsQuery"], query);
        let told: Vec<String> = notes(&import)
            .into_iter()
            .filter(|note| note.contains("NotConfinable"))
            .collect();
        assert_eq!(told.is_empty(), message.is_empty(), "{query}: {told:?}");
        assert!(
            told.iter().all(|note| note.contains(message)),
            "{query}: {told:?}"
        );
        if kind == "ClusterMetricRule" {
            assert_eq!(rules[0]["metadata"], json!({"name": "shop-worker-s0-prometheus"}));
            assert_eq!(rules[0]["spec"]["resources"], json!({"namespaced": false}));
            assert_eq!(
                rules[0]["spec"]["namespaceSelector"],
                json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}})
            );
            let hpa = &of_kind(&import, "HorizontalPodAutoscaler")[0];
            assert_eq!(
                hpa["spec"]["metrics"][0]["external"]["metric"]["name"],
                "worker-s0-prometheus"
            );
        }
    }
}

#[test]
fn a_query_that_does_not_parse_is_located() {
    let text = WORKER.replace(
        "query: sum(jobs_waiting{namespace=\"shop\"}) or vector(0)",
        "query: |\n          sum(\n            rate(jobs[))",
    );
    let import = import(&text);
    assert_note(&import, "f:18:23: warning: InvalidQuery", "");
}

#[test]
fn what_looks_like_an_action_is_text() {
    let import = trigger(
        "{type: prometheus, metadata: {serverAddress: 'http://p', query: 'sum(a{namespace=\"shop\",b=\"<<c>>\"})', threshold: '1'}}",
    );
    assert_eq!(
        of_kind(&import, "MetricRule")[0]["spec"]["metricsQuery"],
        "sum(a{namespace=\"shop\",b=\"<<\"<<\">>c>>\"})"
    );
}

#[test]
fn other_kinds_of_keda() {
    let text = "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\n---\napiVersion: keda.sh/v1alpha1\nkind: TriggerAuthentication\n";
    let import = import(text);
    assert_note(&import, "f:2:7: unsupported", "ScaledJob");
    assert_note(&import, "f:5:7: info", "TriggerAuthentication");
    assert!(import.objects.is_empty());
}

#[test]
fn the_items_of_a_list() {
    let item = WORKER.replace('\n', "\n    ");
    let file = SourceFile {
        name: "f".to_owned(),
        text: format!("apiVersion: v1\nkind: List\nitems:\n  - {}\n", item.trim_end()),
    };
    let import = adapter::import(&[file], &adapter::Options::default());
    assert_eq!(import.objects.len(), 3);
    assert_eq!(import.notes.len(), 1);
    assert_note(&import, "f:5:11: info", "two HPAs");
}
