//! What the end-to-end tests share: one cluster with two replicas, requests as a client makes them, manifests, and readings of
//! conditions and HPAs.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use http::Request;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::Api;
use kube::core::Status;
use kube::{Client, Error};
use serde_json::{Value, json};
use testbed::adapter::Replica;
use testbed::control_plane::NODE;
use testbed::hpa::{Reading, quantity};
use testbed::testbed::Builder;
use testbed::{PATIENCE, Shared, Testbed, eventually};

/// The cluster of all tests that do not have to own one: two replicas of the adapter, default values of the chart.
pub(crate) static CLUSTER: Shared = Shared::new(|| builder().replicas(2));

/// A testbed that runs this build of the adapter.
pub(crate) fn builder() -> Builder {
    Testbed::builder().binary(Path::new(env!("CARGO_BIN_EXE_metricrule")))
}

/// Who the adapter is to the API server.
const ITSELF: &str = "system:serviceaccount:metricrule-system:metricrule";

/// No replica was refused anything by the API server: the chart's roles suffice for all that was done so far.
pub(crate) fn ensure_no_refusal(replicas: &[Replica]) -> Result<()> {
    for replica in replicas {
        let log = replica.process().log_text();
        if let Some(line) = log
            .lines()
            .find(|line| line.contains("forbidden") && line.contains(ITSELF))
        {
            bail!("{} was refused: {line}", replica.name());
        }
    }
    Ok(())
}

// === requests ===

/// GET of a path of the API server, parsed. A Status that is no success is an error that says it.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Value> {
    let request = Request::get(path).body(Vec::new())?;
    client
        .request(request)
        .await
        .with_context(|| format!("GET {path}"))
}

/// GET of a path that has to be answered with a Status that is no success.
pub(crate) async fn refused(client: &Client, path: &str) -> Result<Status> {
    let request = Request::get(path).body(Vec::new())?;
    match client.request::<Value>(request).await {
        Err(Error::Api(status)) => Ok(*status),
        Err(error) => Err(error).with_context(|| format!("GET {path}")),
        Ok(answer) => bail!("GET {path} was answered: {answer}"),
    }
}

/// The items of a list.
pub(crate) fn items(list: &Value) -> Result<&Vec<Value>> {
    list["items"]
        .as_array()
        .with_context(|| format!("no items: {list}"))
}

/// The one item of a list.
pub(crate) fn one_item(list: &Value) -> Result<&Value> {
    let items = items(list)?;
    ensure!(items.len() == 1, "want one item: {list}");
    items.first().context("no item")
}

/// The `value` of an item of either metrics API.
pub(crate) fn value(item: &Value) -> Result<f64> {
    let text = item["value"]
        .as_str()
        .with_context(|| format!("no value: {item}"))?;
    quantity(&Quantity(text.to_owned()))
}

/// Whether a rate that is measured over a few seconds on a busy machine is what was set.
pub(crate) fn ensure_near(is: f64, want: f64) -> Result<()> {
    ensure!((is - want).abs() <= want.abs() * 0.15, "{is} is not near {want}");
    Ok(())
}

// === manifests ===

/// Several objects in one.
pub(crate) fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A Deployment whose pods are labelled `app=<name>`.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
            },
        },
    })
}

/// A `MetricRule`.
pub(crate) fn rule(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule", "metadata": {"name": name}, "spec": spec,
    })
}

/// A `ClusterMetricRule`.
pub(crate) fn cluster_rule(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "ClusterMetricRule", "metadata": {"name": name}, "spec": spec,
    })
}

/// An HPA between 2 and 10 replicas of a Deployment that has its name.
pub(crate) fn hpa(name: &str, metric: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2,
            "maxReplicas": 10,
            "metrics": [metric],
        },
    })
}

/// A metric about one object, to be `average` per replica.
pub(crate) fn object_metric(described: &Value, name: &str, average: &str) -> Value {
    json!({
        "type": "Object",
        "object": {
            "describedObject": described,
            "metric": {"name": name},
            "target": {"type": "AverageValue", "averageValue": average},
        },
    })
}

// === readings ===

/// A rule as it is; `namespace` is `None` for a `ClusterMetricRule`.
pub(crate) async fn read_rule(client: &Client, namespace: Option<&str>, name: &str) -> Result<Value> {
    let group = "/apis/metricrule.dev/v1alpha1";
    let path = match namespace {
        Some(namespace) => format!("{group}/namespaces/{namespace}/metricrules/{name}"),
        None => format!("{group}/clustermetricrules/{name}"),
    };
    get(client, &path).await
}

/// A condition of an object.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Result<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .and_then(|conditions| conditions.iter().find(|condition| condition["type"] == kind))
        .with_context(|| format!("no condition {kind}: {}", object["status"]))
}

/// Conditions of an object, each with the status wanted.
pub(crate) fn ensure_conditions(object: &Value, wanted: &[(&str, &str)]) -> Result<()> {
    for (kind, status) in wanted {
        let condition = condition(object, kind)?;
        ensure!(
            condition["status"] == *status,
            "want {kind}={status}: {condition}"
        );
    }
    Ok(())
}

/// The conditions of a rule that serves are written, for its present generation.
pub(crate) async fn serves(client: &Client, namespace: Option<&str>, name: &str) -> Result<()> {
    eventually(PATIENCE, &format!("the rule {name} serves"), || async {
        let rule = read_rule(client, namespace, name).await?;
        let good =
            ["Accepted", "ResolvedRefs", "Discovered", "Registered", "Ready"].map(|kind| (kind, "True"));
        ensure_conditions(&rule, &good)?;
        ensure_conditions(&rule, &[("Conflicted", "False")])?;
        ensure!(
            condition(&rule, "Ready")?["observedGeneration"] == rule["metadata"]["generation"],
            "the conditions are of an older generation: {rule}"
        );
        Ok(())
    })
    .await
}

/// An HPA's status.
pub(crate) async fn read_hpa(client: &Client, namespace: &str, name: &str) -> Result<Reading> {
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    Reading::of(&hpas.get(name).await?)
}

/// The HPA controller reads `value` (per replica where the target is an average) and asks for `replicas`.
pub(crate) async fn hpa_follows(
    client: &Client,
    namespace: &str,
    name: &str,
    value: f64,
    replicas: i32,
) -> Result<()> {
    eventually(
        PATIENCE,
        &format!("the HPA {name} reads {value} and wants {replicas} replicas"),
        || async {
            let reading = read_hpa(client, namespace, name).await?;
            let active = reading
                .conditions
                .iter()
                .any(|condition| condition.starts_with("ScalingActive=True"));
            ensure!(active && reading.desired == replicas, "{reading:?}");
            let read = reading.value.with_context(|| format!("no value: {reading:?}"))?;
            ensure_near(read, value).map_err(|error| anyhow!("{error}: {reading:?}"))
        },
    )
    .await
}

/// Prometheus has a sample of every expression: what a rule finds at once when it is made, and not at the next relist.
pub(crate) async fn scraped(testbed: &Testbed, expressions: &[String]) -> Result<()> {
    for expression in expressions {
        eventually(PATIENCE, &format!("{expression} is in Prometheus"), || async {
            ensure!(
                !testbed.prometheus().query(expression).await?.is_empty(),
                "no row"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}
