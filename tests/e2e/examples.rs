//! Every folder of `examples/` does what it says: its rule serves, and the HPA controller reads its metric.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::example::Example;
use testbed::exporter::Exporter;
use testbed::programs::repository;

use crate::support::{CLUSTER, ensure_no_refusal, get, hpa_follows, one_item, scraped, serves};

/// One folder: what its series are to be, and what comes of them.
struct Scenario {
    folder: &'static str,
    /// Sets the series in a namespace.
    feed: fn(&Exporter, &str),
    /// True of Prometheus once the series are there and their rates have settled; `NS` stands for the namespace.
    settled: &'static str,
    /// What the HPA reads, and how many replicas it then wants.
    value: f64,
    replicas: i32,
    /// What the folder's README asks for: API, `|`, the path below the namespace. Empty where that names a pod.
    path: &'static str,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        folder: "http-requests-per-pod",
        feed: |exporter, namespace| exporter.set_requests(namespace, "web", 120.0),
        settled: "sum(rate(http_requests_total{namespace=\"NS\"}[5s])) > 110 < 130",
        value: 40.0,
        replicas: 3,
        path: "",
    },
    Scenario {
        folder: "ingress-requests",
        feed: |exporter, namespace| {
            let labels = [("namespace", namespace), ("ingress", "web"), ("status", "200")];
            exporter.counter("nginx_ingress_controller_requests", &labels, 260.0);
        },
        settled: "rate(nginx_ingress_controller_requests{namespace=\"NS\"}[5s]) > 240 < 280",
        value: 260.0 / 3.0,
        replicas: 3,
        path: "custom.metrics.k8s.io/v1beta2|ingresses.networking.k8s.io/web/ingress_requests_per_second",
    },
    Scenario {
        folder: "queue-length",
        feed: |exporter, namespace| {
            for (queue, length) in [("orders", 80.0), ("mails", 1000.0)] {
                exporter.gauge(
                    "rabbitmq_queue_messages_ready",
                    &[("namespace", namespace), ("queue", queue)],
                    length,
                );
            }
        },
        settled: "rabbitmq_queue_messages_ready{namespace=\"NS\"}",
        value: 80.0 / 3.0,
        replicas: 3,
        path: "external.metrics.k8s.io/v1beta1|queue_messages_ready?labelSelector=queue%3Dorders",
    },
    Scenario {
        folder: "cluster-rule",
        feed: |exporter, namespace| {
            let labels = [("namespace", namespace), ("service", "web")];
            exporter.counter("http_server_requests_total", &labels, 260.0);
            exporter.counter("http_server_requests_errors_total", &labels, 5.0);
        },
        settled: "rate(http_server_requests_total{namespace=\"NS\"}[5s]) > 240 < 280",
        value: 260.0 / 3.0,
        replicas: 3,
        path: "custom.metrics.k8s.io/v1beta2|services/web/http_server_requests_per_second",
    },
    Scenario {
        folder: "static-rule",
        feed: |exporter, namespace| {
            exporter.gauge("orders_waiting", &[("namespace", namespace)], 45.0);
            exporter.counter("orders_done_total", &[("namespace", namespace)], 7.5);
        },
        settled: "rate(orders_done_total{namespace=\"NS\"}[5s]) > 7 < 8",
        // below its target of 10: a `Value` that does not fall with more replicas would ask for more at every sync
        value: 6.0,
        replicas: 2,
        path: "external.metrics.k8s.io/v1beta1|order_backlog_seconds",
    },
];

#[test]
fn every_example_has_its_test() -> Result<()> {
    let folder = repository().join("examples");
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            there.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let tested: BTreeSet<String> = SCENARIOS
        .iter()
        .map(|scenario| scenario.folder.to_owned())
        .collect();
    ensure!(there == tested, "examples: {there:?}, tested: {tested:?}");
    Ok(())
}

#[tokio::test]
async fn every_manifest_is_taken_without_a_warning() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    testbed
        .apply_anywhere(r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}"#)
        .await?;
    let examples = repository().join("examples").display().to_string();
    let args = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--recursive",
        "--filename",
        &examples,
    ];
    let said = testbed
        .kubectl_with(testbed.control_plane().kubeconfig(), &args, "")
        .await?;
    testbed
        .kubectl(&["delete", "namespace", "shop", "--wait=false"])
        .await?;
    ensure!(said.success && said.stderr.is_empty(), "{}", said.stderr);
    let applied = said.stdout.lines().count();
    ensure!(
        applied >= 3 * SCENARIOS.len(),
        "only {applied} objects: {}",
        said.stdout
    );
    Ok(())
}

#[tokio::test]
async fn requests_per_second_of_each_pod() -> Result<()> {
    works(&SCENARIOS[0]).await
}

#[tokio::test]
async fn requests_of_an_ingress() -> Result<()> {
    works(&SCENARIOS[1]).await
}

#[tokio::test]
async fn the_length_of_a_queue() -> Result<()> {
    works(&SCENARIOS[2]).await
}

#[tokio::test]
async fn one_rule_for_every_namespace() -> Result<()> {
    works(&SCENARIOS[3]).await
}

#[tokio::test]
async fn a_static_rule() -> Result<()> {
    works(&SCENARIOS[4]).await
}

async fn works(scenario: &Scenario) -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace(scenario.folder, async |namespace| {
            let example = Example::read(&testbed, scenario.folder)
                .await?
                .in_namespace(&namespace)
                .with_range("5s");
            let is_rule = |object: &Value| object["apiVersion"] == "metricrule.dev/v1alpha1";
            // the workload and its series first, as where a rule is added to what runs
            example.filter(|object| !is_rule(object)).apply(&testbed).await?;
            (scenario.feed)(testbed.exporter(), &namespace);
            scraped(&testbed, &[scenario.settled.replace("NS", &namespace)]).await?;
            let rules = example.filter(is_rule);
            rules.apply(&testbed).await?;

            let hpa = example.one("HorizontalPodAutoscaler")?["metadata"]["name"]
                .as_str()
                .context("an HPA without name")?;
            hpa_follows(&client, &namespace, hpa, scenario.value, scenario.replicas).await?;
            for rule in &rules.0 {
                let name = rule["metadata"]["name"].as_str().context("a rule without name")?;
                serves(&client, rule["metadata"]["namespace"].as_str(), name).await?;
            }
            if let Some((api, path)) = scenario.path.split_once('|') {
                one_item(&get(&client, &format!("/apis/{api}/namespaces/{namespace}/{path}")).await?)?;
            }
            for rule in rules.of_kind("ClusterMetricRule") {
                let name = rule["metadata"]["name"].as_str().context("a rule without name")?;
                testbed.kubectl(&["delete", "clustermetricrule", name]).await?;
            }
            ensure_no_refusal(testbed.replicas())
        })
        .await
}
