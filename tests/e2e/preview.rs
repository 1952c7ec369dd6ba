//! `metricrule preview`: a rule before it is applied, in a cluster that has others.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::command::{self, Said};
use testbed::{PATIENCE, Testbed, eventually};

use crate::ask::{CALM, turn, until_series};
use crate::kubelet::Kubelet;
use crate::support::{cluster_rule, deployment, hpa, list, rule, serves};

const METRIC: &str = "preview_depth";

#[tokio::test]
async fn a_rule_is_shown_before_it_is_applied() -> Result<()> {
    let testbed = CALM.get().await?;
    let _turn = turn().await;
    testbed
        .with_namespace("preview", async |namespace| {
            let played = play(&testbed, &namespace).await;
            testbed
                .kubectl(&[
                    "delete",
                    "clustermetricrule",
                    "preview-other",
                    "--ignore-not-found",
                ])
                .await?;
            played
        })
        .await
}

fn spec(query: &str) -> Value {
    json!({
        "seriesQuery": format!("{METRIC}{{pod!=\"\"}}"),
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "metricsQuery": query,
    })
}

async fn play(testbed: &Testbed, namespace: &str) -> Result<()> {
    for (pod, value) in [("a", 1.5), ("b", f64::NAN)] {
        testbed
            .exporter()
            .gauge(METRIC, &[("namespace", namespace), ("pod", pod)], value);
    }
    let selector = format!("{METRIC}{{namespace=\"{namespace}\"}}");
    until_series(testbed, &selector, 2).await?;
    let metric = json!({"type": "Pods", "pods": {
        "metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "100"},
    }});
    let other = cluster_rule(
        "preview-other",
        &spec("max by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})"),
    );
    let objects = list(&[deployment("web", 1), hpa("web", &metric), other]);
    testbed.apply(namespace, &objects).await?;
    serves(&testbed.client().await?, None, "preview-other").await?;

    let own = rule(
        "depth",
        &spec("sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})"),
    );
    let said = preview(testbed, namespace, &own.to_string(), &[]).await?;
    ensure!(said.success, "{said:?}");
    let query =
        format!("sum by (pod) ({METRIC}{{namespace=\"{namespace}\",pod=\"a\",namespace=\"{namespace}\"}})");
    for expected in [
        format!("MetricRule {namespace}/depth (standard input): accepted"),
        format!("{METRIC} of pods, from {METRIC}"),
        format!("answered by MetricRule {namespace}/depth in {namespace}"),
        format!("until now by ClusterMetricRule preview-other in {namespace}"),
        query,
        format!("{namespace}/a = 1500m"),
        "rows dropped: 1 NoData".to_owned(),
        format!(
            "{namespace}/web, spec.metrics[0]: {METRIC} of the pods of deployments.apps/web: answered by this rule"
        ),
    ] {
        ensure!(
            said.stdout.contains(&expected),
            "no {expected:?} in {}",
            said.stdout
        );
    }

    let said = preview(
        testbed,
        namespace,
        &own.to_string(),
        &["--output=json", "--metric", METRIC],
    )
    .await?;
    let report: Value = serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))?;
    let metrics = report["rules"][0]["metrics"].as_array().context("no metrics")?;
    let pods = metrics
        .iter()
        .find(|metric| metric["resource"] == "pods")
        .context("no pods")?;
    ensure!(
        pods["values"] == json!([{"of": format!("{namespace}/a"), "value": "1500m"}]),
        "{pods:#}"
    );

    let broken = rule("depth", &spec("sum by (<<.GroupBy>>) (<<.Serie>>)"));
    let said = preview(testbed, namespace, &broken.to_string(), &[]).await?;
    ensure!(
        !said.success && said.stdout.contains("error: InvalidTemplate: spec.metricsQuery"),
        "{said:?}"
    );
    stolen(testbed, namespace, &own).await?;
    forwarded(testbed, namespace, &own).await
}

/// A backend of a file that names an account of the operator's namespace: the real API server says which audiences are its own.
async fn stolen(testbed: &Testbed, namespace: &str, own: &Value) -> Result<()> {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "preview-reader"}});
    testbed
        .apply(testbed::install::NAMESPACE, &account.to_string())
        .await?;
    let mut own = own.clone();
    own["spec"]["backendRef"] = json!({"name": "stolen"});
    let files = |audience: &str| {
        let backend = json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend", "metadata": {"name": "stolen"},
            "spec": {"type": "Prometheus", "prometheus": {
                "url": testbed.prometheus().url(), "allowPlaintextCredentials": true,
                "auth": {"type": "ServiceAccountToken", "serviceAccountToken": {
                    "serviceAccountRef": {"name": "preview-reader"}, "audience": audience,
                }},
            }},
        });
        format!("{backend}\n---\n{own}")
    };
    let said = preview(testbed, namespace, &files("prometheus"), &[]).await?;
    ensure!(
        !said.success
            && said.stdout.contains(
                "preview sends nothing: a token of the ServiceAccount metricrule-system/preview-reader"
            )
            && said.stdout.contains("--with-credentials"),
        "{said:?}"
    );
    let said = preview(testbed, namespace, &files("prometheus"), &["--with-credentials"]).await?;
    ensure!(
        said.success && said.stdout.contains(&format!("{namespace}/a = 1500m")),
        "{said:?}"
    );
    let said = preview(
        testbed,
        namespace,
        &files("https://kubernetes.default.svc"),
        &["--with-credentials"],
    )
    .await?;
    ensure!(
        !said.success && said.stdout.contains("is one of the API server's own"),
        "{said:?}"
    );
    Ok(())
}

/// A backend whose address is a Service of the cluster, given beside the rule.
async fn forwarded(testbed: &Testbed, namespace: &str, own: &Value) -> Result<()> {
    let port: u16 = testbed
        .prometheus()
        .url()
        .rsplit(':')
        .next()
        .context("no port")?
        .parse()?;
    let _kubelet = Kubelet::start(testbed, namespace, &[(9090, port)]).await?;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "prometheus"}, "spec": {
        "selector": {"app": "web"}, "ports": [{"name": "web", "port": 80, "targetPort": 9090}],
    }});
    testbed.apply(namespace, &service.to_string()).await?;
    let backend = json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend", "metadata": {"name": "near"},
        "spec": {"type": "Prometheus", "prometheus": {"url": format!("http://prometheus.{namespace}.svc")}},
    });
    let mut own = own.clone();
    own["spec"]["backendRef"] = json!({"name": "near"});
    let files = format!("{backend}\n---\n{own}");
    eventually(
        PATIENCE,
        "the Service has a ready pod and values come through it",
        || async {
            let said = preview(testbed, namespace, &files, &[]).await?;
            ensure!(said.success, "{said:?}");
            for expected in [
                " through a port-forward to the pod web-",
                &format!("{namespace}/a = 1500m"),
            ] {
                ensure!(
                    said.stdout.contains(expected),
                    "no {expected:?} in {}",
                    said.stdout
                );
            }
            Ok(())
        },
    )
    .await
}

async fn preview(testbed: &Testbed, namespace: &str, files: &str, more: &[&str]) -> Result<Said> {
    let kubeconfig = testbed.control_plane().kubeconfig();
    let mut args = vec!["preview", "-f", "-", "--namespace", namespace];
    args.extend(more);
    let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
    command::run(binary, &args, &[("KUBECONFIG", kubeconfig)], files).await
}
