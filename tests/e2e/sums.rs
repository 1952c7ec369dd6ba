//! What the HPA controller makes of numbers that it adds up.

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::{PATIENCE, Testbed, eventually, throughout};

use crate::support::{
    CLUSTER, deployment, ensure_near, get, hpa, items, list, read_hpa, refused, rule, serves,
};

const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
/// How long a decision of the HPA controller, which looks once a second, may be wrong without being seen.
const LOOKS: std::time::Duration = std::time::Duration::from_secs(15);

fn external(metric: &str, target: &Value) -> Value {
    json!({"type": "External", "external": {"metric": {"name": metric}, "target": target}})
}

fn average(value: &str) -> Value {
    json!({"type": "AverageValue", "averageValue": value})
}

/// A rule of one series by its name, with `more` fields.
fn external_rule(name: &str, series: &str, more: &Value) -> Value {
    let mut spec = json!({
        "api": "External",
        "name": {"as": name.replace('-', "_")},
        "metricsQuery": format!("sum by (row) ({series}{{<<.LabelMatchers>>}})"),
    });
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    rule(name, &spec)
}

/// The HPA says that it cannot read its metric, for `reason`, and its Deployment stays at four.
async fn holds(client: &Client, namespace: &str, name: &str, reason: &str) -> Result<()> {
    eventually(
        PATIENCE,
        &format!("the HPA {name} fails with {reason}"),
        || async {
            let reading = read_hpa(client, namespace, name).await?;
            let told = reading
                .conditions
                .iter()
                .any(|condition| condition.starts_with("ScalingActive=False") && condition.contains(reason));
            ensure!(told, "{reading:?}");
            Ok(())
        },
    )
    .await?;
    throughout(LOOKS, &format!("{name} stays as it is"), || async {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        let deployment = get(client, &path).await?;
        ensure!(
            deployment["spec"]["replicas"] == 4,
            "{}",
            deployment["spec"]["replicas"]
        );
        Ok(())
    })
    .await
}

async fn pods_of(client: &Client, namespace: &str, app: &str) -> Result<Vec<String>> {
    eventually(PATIENCE, &format!("four pods of {app} run"), || async {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{app}");
        let pods = get(client, &path).await?;
        let ready: Vec<String> = items(&pods)?
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned()))
            .collect();
        ensure!(ready.len() == 4, "{} of them", ready.len());
        Ok(ready)
    })
    .await
}

/// Prometheus has as many rows of a series as were set.
async fn rows(testbed: &Testbed, namespace: &str, series: &str, count: usize) -> Result<()> {
    eventually(PATIENCE, &format!("{series} is scraped"), || async {
        let query = format!("{series}{{namespace=\"{namespace}\"}}");
        let found = testbed.prometheus().query(&query).await?.len();
        ensure!(found == count, "{found} of {count} rows");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn four_pods_at_9e15_do_not_scale_to_the_minimum() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("sums", async |namespace| {
            // The sum of the last fits an int64, and a tenth of it no int32.
            let cases = [("large", 9e15), ("clamped", 1e30), ("far", 1e15)];
            let mut objects = Vec::new();
            for (name, value) in cases {
                let series = format!("sums_{name}");
                for row in ["a", "b", "c", "d"] {
                    testbed.exporter().gauge(
                        &format!("{series}_rows"),
                        &[("namespace", &namespace), ("row", row)],
                        value,
                    );
                }
                objects.push(rule(
                    &format!("pods-{name}"),
                    &json!({
                        "resources": {"overrides": {
                            "namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"},
                        }},
                        "name": {"as": series},
                        "metricsQuery": format!("max by (<<.GroupBy>>) ({series}{{<<.LabelMatchers>>}})"),
                    }),
                ));
                objects.push(external_rule(
                    &format!("rows-{name}"),
                    &format!("{series}_rows"),
                    &json!({}),
                ));
                for kind in ["pods", "average", "value"] {
                    objects.push(deployment(&format!("{kind}-{name}"), 4));
                }
            }
            testbed.apply(&namespace, &list(&objects)).await?;
            for (name, value) in cases {
                let app = format!("pods-{name}");
                let series = format!("sums_{name}");
                for pod in pods_of(&client, &namespace, &app).await? {
                    testbed
                        .exporter()
                        .gauge(&series, &[("namespace", &namespace), ("pod", &pod)], value);
                }
                rows(&testbed, &namespace, &series, 4).await?;
                rows(&testbed, &namespace, &format!("{series}_rows"), 4).await?;
                let pods =
                    json!({"type": "Pods", "pods": {"metric": {"name": series}, "target": average("10")}});
                let rows = format!("rows_{name}");
                let value = json!({"type": "Value", "value": "10"});
                let scalers = [
                    hpa(&app, &pods),
                    hpa(&format!("average-{name}"), &external(&rows, &average("10"))),
                    hpa(&format!("value-{name}"), &external(&rows, &value)),
                ];
                testbed.apply(&namespace, &list(&scalers)).await?;
            }
            for (name, _) in cases {
                if name != "far" {
                    holds(&client, &namespace, &format!("average-{name}"), "NotFinite").await?;
                    holds(&client, &namespace, &format!("value-{name}"), "NotFinite").await?;
                }
                // All of them are left out, and an empty list is an error to the controller.
                holds(
                    &client,
                    &namespace,
                    &format!("pods-{name}"),
                    "no metrics returned",
                )
                .await?;
            }
            testbed.exporter().remove_namespace(&namespace);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn rows_that_lack_or_are_below_zero_give_an_hpa_no_wrong_sum() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("rows", async |namespace| {
            let set = |series: &str, values: &[f64]| {
                for (row, value) in ('a'..).zip(values) {
                    let labels = [("namespace", namespace.as_str()), ("row", &row.to_string())];
                    testbed.exporter().gauge(series, &labels, *value);
                }
            };
            set("rows_above", &[-8.0, 30.0]);
            set("rows_below", &[-30.0, 8.0]);
            set("rows_holes", &[20.0, f64::NAN, 20.0]);
            for (series, count) in [("rows_above", 2), ("rows_below", 2), ("rows_holes", 3)] {
                rows(&testbed, &namespace, series, count).await?;
            }
            let mut objects = vec![
                external_rule("above", "rows_above", &json!({})),
                external_rule("below", "rows_below", &json!({})),
                external_rule("holes", "rows_holes", &json!({})),
                external_rule("accepted", "rows_holes", &json!({"missingRows": "Accept"})),
            ];
            for name in ["above", "below", "holes", "accepted"] {
                objects.push(deployment(name, 4));
                objects.push(hpa(name, &external(name, &average("4"))));
            }
            testbed.apply(&namespace, &list(&objects)).await?;
            // The sums are 22, 0, unknown, and 40: of 4 each.
            for (name, sum, replicas) in [("above", 22.0, 6), ("below", 0.0, 2), ("accepted", 40.0, 10)] {
                serves(&client, Some(&namespace), name).await?;
                wants(&client, &namespace, name, sum, replicas).await?;
            }
            holds(&client, &namespace, "holes", "MissingRows").await?;
            let status = refused(&client, &format!("{EXTERNAL}/namespaces/{namespace}/holes")).await?;
            ensure!(
                status.code == 500 && status.message.contains("missingRows"),
                "{status:?}"
            );
            testbed.exporter().remove_namespace(&namespace);
            Ok(())
        })
        .await
}

/// The HPA reads the sum, shared out among the replicas, and wants so many.
async fn wants(client: &Client, namespace: &str, name: &str, sum: f64, replicas: i32) -> Result<()> {
    eventually(PATIENCE, &format!("the HPA {name} wants {replicas}"), || async {
        let reading = read_hpa(client, namespace, name).await?;
        ensure!(
            reading.desired == replicas && reading.replicas == replicas,
            "{reading:?}"
        );
        let read = reading.value.with_context(|| format!("no value: {reading:?}"))?;
        ensure_near(read * f64::from(replicas), sum)
    })
    .await
}
