//! After `helm uninstall` the cluster is as if nothing had been: no `APIService`, nothing that cannot be deleted, discovery and
//! namespaces whole. Also while a replica lives on, as on a node that is cut off.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, Testbed, eventually, throughout};
use tokio::time::Instant;

use crate::support::{builder, cluster_rule, get, items, list, rule, serves};

/// How long a replica outlives the uninstall.
const OUTLIVES: Duration = Duration::from_secs(30);
/// A deletion that waits for nobody, on a busy machine: kubectl itself takes most of it.
const AT_ONCE: Duration = Duration::from_secs(5);
/// "A namespace deletes in seconds": the namespace controller's own pace.
const NAMESPACE_GONE: Duration = Duration::from_secs(20);
/// How long a replica that lost its rights may take to end: the shutdown delay of a second, and some.
const ENDS: Duration = Duration::from_secs(20);

const METRICS_APIS: [&str; 3] = [
    "v1beta1.custom.metrics.k8s.io",
    "v1beta2.custom.metrics.k8s.io",
    "v1beta1.external.metrics.k8s.io",
];

fn objects(number: u32) -> [Value; 3] {
    let spec = |api: &str| {
        let mut spec = json!({
            "api": api,
            "name": {"as": format!("{}_{number}", api.to_lowercase())},
            "metricsQuery": "sum(up{<<.LabelMatchers>>})",
        });
        if api == "Custom" {
            spec["resources"] = json!({"overrides": {"namespace": {"resource": "namespaces"}}});
        }
        spec
    };
    [
        rule(&format!("rule-{number}"), &spec("External")),
        cluster_rule(&format!("cluster-rule-{number}"), &spec("Custom")),
        json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
            "metadata": {"name": format!("backend-{number}")},
            "spec": {"type": "Prometheus", "prometheus": {"url": "http://127.0.0.1:1"}},
        }),
    ]
}

/// The `APIServices` that are not kube-apiserver's own.
async fn foreign_apis(client: &Client) -> Result<Vec<String>> {
    let all = get(client, "/apis/apiregistration.k8s.io/v1/apiservices").await?;
    let served = items(&all)?
        .iter()
        .filter(|object| !object["spec"]["service"].is_null());
    served
        .map(|object| Ok(object["metadata"]["name"].as_str().context("no name")?.to_owned()))
        .collect()
}

async fn no_api_of_ours(client: &Client) -> Result<()> {
    let left = foreign_apis(client).await?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

async fn discovery_is_whole(testbed: &Testbed) -> Result<()> {
    let said = testbed
        .kubectl_with(testbed.control_plane().kubeconfig(), &["api-resources"], "")
        .await?;
    ensure!(
        said.success && said.stderr.is_empty(),
        "kubectl api-resources: {}",
        said.stderr
    );
    ensure!(
        said.stdout.contains("metricrules"),
        "the CRDs are gone: {}",
        said.stdout
    );
    Ok(())
}

async fn deleted_at_once(testbed: &Testbed, namespace: &str, number: u32) -> Result<()> {
    for (kind, name) in [
        ("metricrule", format!("rule-{number}")),
        ("clustermetricrule", format!("cluster-rule-{number}")),
        ("metricbackend", format!("backend-{number}")),
    ] {
        deletes_within(testbed, AT_ONCE, &[kind, &name, "--namespace", namespace]).await?;
    }
    Ok(())
}

/// `kubectl delete` waits until the object is gone.
async fn deletes_within(testbed: &Testbed, bound: Duration, what: &[&str]) -> Result<()> {
    let start = Instant::now();
    testbed.kubectl(&[&["delete"], what].concat()).await?;
    let took = start.elapsed();
    ensure!(took < bound, "kubectl delete {} took {took:?}", what.join(" "));
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_behind_even_by_a_replica_that_outlives_the_uninstall() -> Result<()> {
    // without Prometheus: static rules are discovered without it
    let testbed = builder().prometheus(false).replicas(2).start().await?;
    let result = uninstalled_and_outlived(&testbed).await;
    if result.is_err() {
        testbed.keep_logs("the uninstall left something behind");
    }
    result
}

async fn uninstalled_and_outlived(testbed: &Testbed) -> Result<()> {
    let client = testbed.client().await?;
    for namespace in ["first", "second", "third"] {
        testbed.kubectl(&["create", "namespace", namespace]).await?;
    }
    testbed.apply("first", &list(&objects(1))).await?;
    testbed.apply("second", &list(&objects(2))).await?;
    for (number, namespace) in [(1, "first"), (2, "second")] {
        serves(&client, Some(namespace), &format!("rule-{number}")).await?;
        serves(&client, None, &format!("cluster-rule-{number}")).await?;
    }
    let mut registered = foreign_apis(&client).await?;
    registered.sort_unstable();
    let mut want = METRICS_APIS;
    want.sort_unstable();
    ensure!(registered == want, "registered: {registered:?}");
    discovery_is_whole(testbed).await?;

    let uninstalled = Instant::now();
    testbed.uninstall().await?;
    // the leader or not, one goes with the chart and one stays
    let [stays, goes] = testbed.replicas() else {
        anyhow::bail!("not two replicas")
    };
    goes.terminate().await?;
    eventually(PATIENCE, "no APIService of ours is left", || {
        no_api_of_ours(&client)
    })
    .await?;
    let gone = uninstalled.elapsed();
    ensure!(
        gone < Duration::from_secs(15),
        "the APIServices stayed for {gone:?}"
    );

    let outlives = async {
        let rest = OUTLIVES.saturating_sub(uninstalled.elapsed());
        throughout(
            rest,
            "the replica that is left brings nothing back, and lives",
            || async {
                no_api_of_ours(&client).await?;
                ensure!(
                    stays.process().is_running(),
                    "it has ended{}",
                    stays.process().tail()
                );
                let (status, text) = stays.get("/livez").await?;
                ensure!(status == 200, "/livez answers {status}: {text}");
                Ok(())
            },
        )
        .await
    };
    let used = async {
        discovery_is_whole(testbed).await?;
        deleted_at_once(testbed, "first", 1).await?;
        deletes_within(testbed, NAMESPACE_GONE, &["namespace", "first"]).await
    };
    futures::try_join!(outlives, used)?;

    let start = Instant::now();
    let status = stays.terminate().await?.context("it did not run")?;
    ensure!(
        status.success(),
        "it ended with {status}{}",
        stays.process().tail()
    );
    ensure!(start.elapsed() < ENDS, "it took {:?} to end", start.elapsed());
    let secrets = get(&client, &format!("/api/v1/namespaces/{NAMESPACE}/secrets")).await?;
    ensure!(items(&secrets)?.is_empty(), "Secrets are left: {secrets}");
    no_api_of_ours(&client).await?;
    discovery_is_whole(testbed).await?;
    deleted_at_once(testbed, "second", 2).await?;
    for namespace in ["second", "third", NAMESPACE] {
        deletes_within(testbed, NAMESPACE_GONE, &["namespace", namespace]).await?;
    }
    Ok(())
}
