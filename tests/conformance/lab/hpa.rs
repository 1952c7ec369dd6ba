//! The real HPA controller as the judge (points 85 to 89).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::hpa::Reading;
use testbed::testbed::Testbed;
use testbed::{PATIENCE, Shared, eventually, throughout};

use super::scripted::Scripted;
use crate::backend::{Act, Row};
use crate::expect::same;
use crate::lab;
use crate::point::{Point, lab};
use crate::target::EXTERNAL;

pub(super) const POINTS: &[Point] = &[
    lab(
        85,
        "HPAs scale on Pods, Object, Namespace-object, External, Resource and ContainerResource metrics",
        || Box::pin(every_source()),
    )
    .in_part("Resource and ContainerResource metrics; an HPA controller older than the testbed's"),
    lab(
        86,
        "v1beta2 is preferred where both are registered; v1beta1 alone is enough",
        || Box::pin(versions()),
    ),
    lab(87, "the HPA's condition shows metricrule's message", || {
        Box::pin(message_shown())
    }),
    lab(
        88,
        "a partial list is not an error: the HPA counts pods without a value conservatively",
        || Box::pin(partial_list()),
    ),
    lab(
        89,
        "the external value 0 is an item `0`, not an empty list",
        || Box::pin(zero_is_an_item()),
    ),
];

/// A control plane on which the APIServices are the test's own.
static BY_HAND: Shared = Shared::new(|| lab::builder().value("register=never").replicas(1));

/// Between 2 and 4 replicas of a Deployment of the same name, by one metric.
fn hpa(name: &str, metric: &Value) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2, "maxReplicas": 4, "metrics": [metric],
        },
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
            },
        },
    })
}

/// One replica for each 50.
fn average() -> Value {
    json!({"type": "AverageValue", "averageValue": "50"})
}

fn pods_metric(name: &str) -> Value {
    json!({"type": "Pods", "pods": {"metric": {"name": name}, "target": average()}})
}

fn object_metric(described: &Value, name: &str) -> Value {
    json!({"type": "Object", "object": {"describedObject": described, "metric": {"name": name}, "target": average()}})
}

fn external_metric(name: &str) -> Value {
    json!({"type": "External", "external": {"metric": {"name": name}, "target": average()}})
}

/// A custom rule without discovery.
fn rule(metric: &str, overrides: &Value) -> Value {
    json!({
        "resources": {"overrides": overrides},
        "name": {"as": metric},
        "metricsQuery": format!("sum by (<<.GroupBy>>) ({metric}{{<<.LabelMatchers>>}})"),
    })
}

fn pods_rule(metric: &str) -> Value {
    rule(
        metric,
        &json!({"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}),
    )
}

/// The pods that a query names.
fn pods_of(query: &str) -> Vec<String> {
    let named = query.split("pod=").nth(1).and_then(|rest| rest.split('"').nth(1));
    named
        .into_iter()
        .flat_map(|names| names.split('|'))
        .map(|name| name.replace('\\', ""))
        .collect()
}

/// Each pod that is asked for has the value that `of_pod` gives its position; what is no pod has `of_object`.
fn script(
    scripted: &Scripted<'_>,
    of_pod: impl Fn(usize) -> Option<f64> + Send + Sync + 'static,
    of_object: f64,
) {
    let namespace: Arc<str> = scripted.namespace().into();
    scripted.backend.script(move |query| {
        let at = f64::from(u32::try_from(Timestamp::now().as_second()).unwrap_or_default());
        let row = |labels: Value, value: f64| Row {
            labels,
            at,
            value: value.to_string(),
        };
        let labelled = |label: &str, name: &str| json!({"namespace": &*namespace, label: name});
        let mut pods = pods_of(query);
        pods.sort_unstable();
        Act::Rows(if query.contains("pod=") {
            let valued = pods
                .iter()
                .enumerate()
                .filter_map(|(position, name)| Some((name, of_pod(position)?)));
            valued
                .map(|(name, value)| row(labelled("pod", name), value))
                .collect()
        } else if query.contains("service=") {
            vec![row(labelled("service", "web"), of_object)]
        } else {
            vec![row(json!({"namespace": &*namespace}), of_object)]
        })
    });
}

async fn read(testbed: &Testbed, namespace: &str, name: &str) -> Result<Reading> {
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(testbed.client().await?, namespace);
    Reading::of(&hpas.get(name).await?)
}

/// The HPA is active and wants so many replicas.
async fn wants(testbed: &Testbed, namespace: &str, name: &str, replicas: i32) -> Result<()> {
    let what = format!("the HPA {name} wants {replicas} replicas");
    eventually(PATIENCE, &what, || async {
        let reading = read(testbed, namespace, name).await?;
        ensure!(is_active(&reading) && reading.desired == replicas, "{reading:?}");
        Ok(())
    })
    .await
}

fn is_active(reading: &Reading) -> bool {
    let conditions = reading.conditions.iter();
    conditions
        .clone()
        .any(|condition| condition.starts_with("ScalingActive=True"))
}

async fn every_source() -> Result<()> {
    let testbed = lab::cluster().await?;
    testbed
        .with_namespace("sources", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            script(&scripted, |_| Some(90.0), 180.0);
            scripted.rule("pods", &pods_rule("pod_load")).await?;
            let overrides = json!({"namespace": {"resource": "namespaces"}, "service": {"resource": "services"}});
            scripted.rule("service", &rule("service_load", &overrides)).await?;
            let overrides = json!({"namespace": {"resource": "namespaces"}});
            scripted.rule("namespace", &rule("namespace_load", &overrides)).await?;
            let query = "sum (queue{<<.LabelMatchers>>})";
            let external = json!({"api": "External", "name": {"as": "queue_load"}, "metricsQuery": query});
            scripted.rule("external", &external).await?;
            let service = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
            let own = json!({"apiVersion": "v1", "kind": "Namespace", "name": namespace});
            let sources = [
                ("pods", pods_metric("pod_load")),
                ("service", object_metric(&service, "service_load")),
                ("namespace", object_metric(&own, "namespace_load")),
                ("external", external_metric("queue_load")),
            ];
            let mut objects = vec![json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]},
            })];
            for (name, metric) in &sources {
                objects.extend([deployment(name), hpa(name, metric)]);
            }
            testbed.apply(&namespace, &lab::list(&objects)).await?;
            for (name, _) in &sources {
                wants(&testbed, &namespace, name, 4).await?;
            }
            script(&scripted, |_| Some(10.0), 40.0);
            for (name, _) in &sources {
                wants(&testbed, &namespace, name, 2).await?;
            }
            Ok(())
        })
        .await
}

async fn versions() -> Result<()> {
    let testbed = lab::cluster().await?;
    lab::target().await?;
    eventually(PATIENCE, "both versions are there, v1beta2 first", || async {
        let group = testbed
            .kubectl(&["get", "--raw", "/apis/custom.metrics.k8s.io"])
            .await?;
        let group: Value = serde_json::from_str(&group)?;
        same(&group["versions"].as_array().map_or(0, Vec::len), &2, "versions")?;
        same(
            &group["preferredVersion"]["version"],
            &json!("v1beta2"),
            "the preferred version",
        )
    })
    .await?;

    let testbed = BY_HAND.get().await?;
    let ca = lab::ca_bundle(&testbed).await?;
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.custom.metrics.k8s.io"},
        "spec": {
            "group": "custom.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "caBundle": ca, "service": {"name": "metricrule", "namespace": testbed::install::NAMESPACE, "port": testbed.balancer().port()},
        },
    });
    testbed.apply_anywhere(&lab::list(&[service])).await?;
    testbed
        .with_namespace("older", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            script(&scripted, |_| Some(90.0), 0.0);
            scripted.rule("pods", &pods_rule("pod_load")).await?;
            let objects = [deployment("web"), hpa("web", &pods_metric("pod_load"))];
            testbed.apply(&namespace, &lab::list(&objects)).await?;
            wants(&testbed, &namespace, "web", 4).await
        })
        .await
}

async fn message_shown() -> Result<()> {
    let testbed = lab::cluster().await?;
    lab::target().await?;
    testbed
        .with_namespace("messages", async |namespace| {
            let objects = [
                deployment("web"),
                hpa("web", &pods_metric("nobody_has_it")),
                deployment("queue"),
                hpa("queue", &external_metric("nobody_has_it")),
            ];
            testbed.apply(&namespace, &lab::list(&objects)).await?;
            for name in ["web", "queue"] {
                eventually(PATIENCE, "the condition tells why", || async {
                    let reading = read(&testbed, &namespace, name).await?;
                    let text = "the server could not find the metric nobody_has_it for";
                    let told = reading.conditions.iter().any(|condition| {
                        condition.starts_with("ScalingActive=False")
                            && condition.contains(text)
                            && condition.contains("UnknownMetric")
                            && condition.contains("kubectl get metricrules")
                    });
                    ensure!(told, "{reading:?}");
                    Ok(())
                })
                .await?;
            }
            Ok(())
        })
        .await
}

async fn partial_list() -> Result<()> {
    let testbed = lab::cluster().await?;
    testbed
        .with_namespace("partial", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            // of two pods one has 90: without the other that were 4 replicas, with it as 0 it is 2
            script(&scripted, |position| (position == 0).then_some(90.0), 0.0);
            scripted.rule("pods", &pods_rule("pod_load")).await?;
            let objects = [deployment("web"), hpa("web", &pods_metric("pod_load"))];
            testbed.apply(&namespace, &lab::list(&objects)).await?;
            wants(&testbed, &namespace, "web", 2).await?;
            throughout(Duration::from_secs(4), "nothing changes", || async {
                let reading = read(&testbed, &namespace, "web").await?;
                ensure!(is_active(&reading) && reading.desired == 2, "{reading:?}");
                Ok(())
            })
            .await?;
            script(&scripted, |_| Some(90.0), 0.0);
            wants(&testbed, &namespace, "web", 4).await
        })
        .await
}

async fn zero_is_an_item() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("zero", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            script(&scripted, |_| None, 180.0);
            let query = "sum (queue{<<.LabelMatchers>>})";
            let external = json!({"api": "External", "name": {"as": "queue_load"}, "metricsQuery": query});
            scripted.rule("external", &external).await?;
            let objects = [deployment("queue"), hpa("queue", &external_metric("queue_load"))];
            testbed.apply(&namespace, &lab::list(&objects)).await?;
            wants(&testbed, &namespace, "queue", 4).await?;
            script(&scripted, |_| None, 0.0);
            let path = format!("/apis/{EXTERNAL}/namespaces/{namespace}/queue_load");
            let item = admin.get(&path).await?.item(EXTERNAL)?;
            same(&item["value"], &json!("0"), "the value")?;
            wants(&testbed, &namespace, "queue", 2).await?;
            let read = read(&testbed, &namespace, "queue").await?;
            read.value.context("the HPA has no value").map(drop)
        })
        .await
}
