//! Every kind of metric that an HPA can name, read by the real HPA controller and through the aggregator.

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::{PATIENCE, eventually};

use crate::support::{
    CLUSTER, deployment, ensure_near, ensure_no_refusal, get, hpa, hpa_follows, items, list, object_metric,
    one_item, read_hpa, refused, rule, scraped, serves, value,
};

const CUSTOM: [&str; 2] = [
    "/apis/custom.metrics.k8s.io/v1beta1",
    "/apis/custom.metrics.k8s.io/v1beta2",
];
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

/// The metric's name in an item of either version of custom metrics.
fn metric_name(item: &Value) -> &Value {
    item.get("metricName").unwrap_or_else(|| &item["metric"]["name"])
}

#[tokio::test]
async fn a_pods_metric_scales_a_deployment() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("pods", async |namespace| {
            testbed
                .apply(&namespace, &list(&[deployment("web", 2), deployment("api", 2)]))
                .await?;
            testbed.exporter().set_requests(&namespace, "web", 180.0);
            testbed.exporter().set_requests(&namespace, "api", 20.0);
            let rate =
                |app| format!("rate(http_requests_total{{namespace=\"{namespace}\",pod=~\"{app}-.*\"}}[5s])");
            scraped(&testbed, &[rate("web"), rate("api")]).await?;
            let requests = rule(
                "http-requests",
                &json!({
                    "seriesQuery": "http_requests_total{pod!=\"\"}",
                    "resources": {"overrides": {
                        "namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"},
                    }},
                    "name": {"matches": "^(.*)_total$", "as": "${1}_per_second"},
                    "metricsQuery": "sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[5s]))",
                }),
            );
            let web = hpa(
                "web",
                &json!({
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "http_requests_per_second"},
                        "target": {"type": "AverageValue", "averageValue": "50"},
                    },
                }),
            );
            testbed.apply(&namespace, &list(&[requests, web])).await?;
            // 180 of 50 each: 4, of which each takes 45
            hpa_follows(&client, &namespace, "web", 45.0, 4).await?;
            serves(&client, Some(&namespace), "http-requests").await?;
            pods_by_selector_and_by_name(&client, &namespace).await?;
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

/// Both versions: `*` with a label selector gives its pods only, a name gives one.
async fn pods_by_selector_and_by_name(client: &Client, namespace: &str) -> Result<()> {
    for version in CUSTOM {
        let metric = "http_requests_per_second";
        let all = format!("{version}/namespaces/{namespace}/pods/*/{metric}");
        let of_web = eventually(PATIENCE, "the pods of `web` have their rate", || async {
            let answer = get(client, &format!("{all}?labelSelector=app%3Dweb")).await?;
            let of_web = items(&answer)?;
            ensure!(of_web.len() == 4, "want four pods: {answer}");
            for item in of_web {
                ensure_near(value(item)?, 45.0)?;
            }
            Ok(of_web.clone())
        })
        .await?;
        for item in &of_web {
            let described = &item["describedObject"];
            ensure!(
                described["kind"] == "Pod" && described["namespace"] == namespace,
                "{item}"
            );
            ensure!(metric_name(item) == metric, "{item}");
            ensure!(item["timestamp"].is_string(), "{item}");
            let window = item.get("windowSeconds").or_else(|| item.get("window"));
            ensure!(
                window == Some(&json!(5)),
                "the window is that of the query: {item}"
            );
        }
        let everything = get(client, &all).await?;
        ensure!(
            items(&everything)?.len() == 6,
            "four pods of `web`, two of `api`: {everything}"
        );
        let nothing = get(client, &format!("{all}?labelSelector=app%3Dnone")).await?;
        ensure!(items(&nothing)?.is_empty(), "{nothing}");

        let name = of_web[0]["describedObject"]["name"]
            .as_str()
            .context("a pod without name")?;
        let by_name = get(
            client,
            &format!("{version}/namespaces/{namespace}/pods/{name}/{metric}"),
        )
        .await?;
        let item = one_item(&by_name)?;
        ensure!(item["describedObject"]["name"] == name, "{item}");
        ensure_near(value(item)?, 45.0)?;
        ensure!(
            by_name["apiVersion"] == version.trim_start_matches("/apis/"),
            "{by_name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_object_metric_on_a_service() -> Result<()> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]},
    });
    let overrides = json!({"namespace": {"resource": "namespaces"}, "service": {"resource": "services"}});
    object("service", &service, "services/web", &overrides).await
}

#[tokio::test]
async fn an_object_metric_on_an_ingress() -> Result<()> {
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    });
    let overrides = json!({
        "namespace": {"resource": "namespaces"},
        "ingress": {"group": "networking.k8s.io", "resource": "ingresses"},
    });
    object("ingress", &ingress, "ingresses.networking.k8s.io/web", &overrides).await
}

/// A gauge of 260 on the object `web`, which `label` names, and 900 on another of its kind.
async fn object(label: &str, described: &Value, path: &str, overrides: &Value) -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace(label, async |namespace| {
            let series = format!("{label}_load");
            for (name, load) in [("web", 260.0), ("other", 900.0)] {
                testbed
                    .exporter()
                    .gauge(&series, &[("namespace", &namespace), (label, name)], load);
            }
            scraped(&testbed, &[format!("{series}{{namespace=\"{namespace}\"}}")]).await?;
            let load = rule(
                "load",
                &json!({
                    "seriesQuery": series,
                    "resources": {"overrides": overrides},
                    "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
                }),
            );
            let reference = json!({
                "apiVersion": described["apiVersion"], "kind": described["kind"], "name": "web",
            });
            let web = hpa("web", &object_metric(&reference, &series, "100"));
            testbed
                .apply(
                    &namespace,
                    &list(&[described.clone(), deployment("web", 2), load, web]),
                )
                .await?;
            hpa_follows(&client, &namespace, "web", 260.0 / 3.0, 3).await?;
            serves(&client, Some(&namespace), "load").await?;
            for version in CUSTOM {
                let answer = get(
                    &client,
                    &format!("{version}/namespaces/{namespace}/{path}/{series}"),
                )
                .await?;
                let item = one_item(&answer)?;
                ensure!(
                    item["describedObject"]["kind"] == described["kind"] && item["value"] == "260",
                    "{item}"
                );
            }
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

#[tokio::test]
async fn an_object_metric_on_the_namespace_itself() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("namespace", async |namespace| {
            testbed
                .exporter()
                .gauge("namespace_load", &[("namespace", &namespace)], 260.0);
            scraped(
                &testbed,
                &[format!("namespace_load{{namespace=\"{namespace}\"}}")],
            )
            .await?;
            let load = rule(
                "load",
                &json!({
                    "seriesQuery": "namespace_load",
                    "resources": {"overrides": {"namespace": {"resource": "namespaces"}}},
                    "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
                }),
            );
            let itself = json!({"apiVersion": "v1", "kind": "Namespace", "name": namespace});
            let web = hpa("web", &object_metric(&itself, "namespace_load", "100"));
            testbed
                .apply(&namespace, &list(&[deployment("web", 2), load, web]))
                .await?;
            hpa_follows(&client, &namespace, "web", 260.0 / 3.0, 3).await?;
            serves(&client, Some(&namespace), "load").await?;
            for version in CUSTOM {
                let answer = get(
                    &client,
                    &format!("{version}/namespaces/{namespace}/metrics/namespace_load"),
                )
                .await?;
                let item = one_item(&answer)?;
                let described = &item["describedObject"];
                ensure!(
                    described["kind"] == "Namespace" && described["name"] == namespace,
                    "{item}"
                );
                ensure!(item["value"] == "260", "{item}");
            }
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

#[tokio::test]
async fn an_external_metric_with_a_selector() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("external", async |namespace| {
            let foreign = format!("{namespace}-foreign");
            for (place, queue, length) in [
                (&namespace, "orders", 80.0),
                (&namespace, "mails", 1000.0),
                (&foreign, "orders", 5000.0),
            ] {
                testbed
                    .exporter()
                    .gauge("queue_length", &[("namespace", place), ("queue", queue)], length);
            }
            scraped(&testbed, &[format!("queue_length{{namespace=\"{namespace}\"}}")]).await?;
            let queues = rule(
                "queues",
                &json!({
                    "api": "External",
                    "seriesQuery": "queue_length",
                    "metricsQuery": "sum by (queue) (<<.Series>>{<<.LabelMatchers>>})",
                }),
            );
            let worker = hpa(
                "worker",
                &json!({
                    "type": "External",
                    "external": {
                        "metric": {"name": "queue_length", "selector": {"matchLabels": {"queue": "orders"}}},
                        "target": {"type": "AverageValue", "averageValue": "30"},
                    },
                }),
            );
            testbed
                .apply(&namespace, &list(&[deployment("worker", 2), queues, worker]))
                .await?;
            hpa_follows(&client, &namespace, "worker", 80.0 / 3.0, 3).await?;
            serves(&client, Some(&namespace), "queues").await?;
            let path = format!("{EXTERNAL}/namespaces/{namespace}/queue_length");
            let orders = get(&client, &format!("{path}?labelSelector=queue%3Dorders")).await?;
            let item = one_item(&orders)?;
            ensure!(
                item["value"] == "80" && item["metricLabels"]["queue"] == "orders",
                "{item}"
            );
            ensure!(item["metricName"] == "queue_length", "{item}");
            let both = get(
                &client,
                &format!("{path}?labelSelector=queue%20in%20(mails,orders)"),
            )
            .await?;
            ensure!(items(&both)?.len() == 2, "{both}");
            testbed.exporter().remove_namespace(&foreign);
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

#[tokio::test]
async fn an_unknown_metric_is_told_to_who_reads_the_hpa() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("unknown", async |namespace| {
            // one rule for each API, so that both are registered whatever the other tests have done
            let custom = rule(
                "custom",
                &json!({
                    "resources": {"overrides": {
                        "namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"},
                    }},
                    "name": {"as": "somebody_makes_this"},
                    "metricsQuery": "sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>})",
                }),
            );
            let somewhere = rule(
                "external",
                &json!({
                    "api": "External",
                    "name": {"as": "somebody_makes_this"},
                    "metricsQuery": "sum(up{<<.LabelMatchers>>})",
                }),
            );
            let pods = hpa(
                "pods",
                &json!({
                    "type": "Pods",
                    "pods": {
                        "metric": {"name": "nobody_makes_this"},
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                }),
            );
            let external = hpa(
                "external",
                &json!({
                    "type": "External",
                    "external": {
                        "metric": {"name": "nobody_makes_this"},
                        "target": {"type": "AverageValue", "averageValue": "1"},
                    },
                }),
            );
            testbed
                .apply(
                    &namespace,
                    &list(&[
                        deployment("pods", 2),
                        deployment("external", 2),
                        custom,
                        somewhere,
                        pods,
                        external,
                    ]),
                )
                .await?;
            serves(&client, Some(&namespace), "custom").await?;
            serves(&client, Some(&namespace), "external").await?;

            let sentence = "the server could not find the metric nobody_makes_this for";
            for (name, path) in CUSTOM
                .map(|version| {
                    (
                        "pods",
                        format!("{version}/namespaces/{namespace}/pods/*/nobody_makes_this"),
                    )
                })
                .into_iter()
                .chain([(
                    "external",
                    format!("{EXTERNAL}/namespaces/{namespace}/nobody_makes_this"),
                )])
            {
                let status = refused(&client, &path).await?;
                ensure!(status.code == 404 && status.reason == "NotFound", "{status:?}");
                ensure!(
                    status.message.starts_with(sentence) && status.message.contains(": UnknownMetric: "),
                    "{status:?}"
                );
                eventually(PATIENCE, "the HPA's condition holds our message", || async {
                    let reading = read_hpa(&client, &namespace, name).await?;
                    let told = reading.conditions.iter().any(|condition| {
                        condition.starts_with("ScalingActive=False") && condition.contains(&status.message)
                    });
                    ensure!(told, "{reading:?} does not say {:?}", status.message);
                    Ok(())
                })
                .await?;
            }
            ensure_no_refusal(testbed.replicas())
        })
        .await
}
