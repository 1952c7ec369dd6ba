//! What the rest of the cluster notices of us (point 63).

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use testbed::testbed::Testbed;
use testbed::{PATIENCE, Shared, eventually};
use tokio::time::Instant;

use crate::lab;
use crate::point::{Point, lab};

pub(super) const POINTS: &[Point] = &[lab(
    63,
    "APIServices become Available within 30 s; `kubectl api-resources` and the deletion of namespaces work with the server up, \
     without a metric, and down",
    || Box::pin(unaffected()),
)
.differs(
    "with one replica down, and without a metric, everything works as usual. While every replica is down for longer, \
     Kubernetes blocks the deletion of namespaces, as for any aggregated API, and a server that is down cannot \
     prevent that; it continues when a replica is back, as the test shows. Two replicas on two nodes and a \
     PodDisruptionBudget are the chart's default",
)];

/// Its replicas are stopped here.
static APART: Shared = Shared::new(|| lab::builder().value("register=always").replicas(2));

async fn unaffected() -> Result<()> {
    let testbed = APART.get().await?;
    let since = Instant::now();
    let names = [
        "v1beta1.custom.metrics.k8s.io",
        "v1beta2.custom.metrics.k8s.io",
        "v1beta1.external.metrics.k8s.io",
    ];
    for name in names {
        available(&testbed, name, "True").await?;
    }
    ensure!(
        since.elapsed() < Duration::from_secs(30),
        "Available after {:?}",
        since.elapsed()
    );
    let list = testbed
        .kubectl(&["get", "--raw", "/apis/custom.metrics.k8s.io/v1beta2"])
        .await?;
    ensure!(
        list.contains("\"resources\":[]"),
        "a list without a metric: {list}"
    );
    usual(&testbed, "without-metrics").await?;

    let [first, second] = testbed.replicas() else {
        bail!("want two replicas");
    };
    first.terminate().await?;
    usual(&testbed, "one-down").await?;
    second.terminate().await?;
    available(&testbed, names[0], "False").await?;
    let held = doomed(&testbed, "all-down").await?;
    first.start().await?;
    for name in names {
        available(&testbed, name, "True").await?;
    }
    gone(&held, "all-down").await?;
    second.start().await?;
    usual(&testbed, "up-again").await
}

async fn available(testbed: &Testbed, name: &str, wanted: &str) -> Result<()> {
    eventually(PATIENCE, &format!("{name} has Available={wanted}"), || async {
        let path = "--output=jsonpath={.status.conditions[?(@.type==\"Available\")].status}";
        let status = testbed.kubectl(&["get", "apiservice", name, path]).await?;
        ensure!(status == wanted, "{status}");
        Ok(())
    })
    .await
}

/// `kubectl api-resources` has no complaint, and a namespace with something in it goes away.
async fn usual(testbed: &Testbed, when: &str) -> Result<()> {
    let kubeconfig = testbed.control_plane().kubeconfig();
    let args = ["api-resources", "--cached=false"];
    let said = testbed.kubectl_with(kubeconfig, &args, "").await?;
    let complaints = said.stderr.clone();
    let listed = said
        .ok("kubectl api-resources")
        .with_context(|| when.to_owned())?;
    ensure!(
        complaints.is_empty() && listed.contains("deployments"),
        "{when}: {complaints} {listed}"
    );
    let namespaces = doomed(testbed, when).await?;
    gone(&namespaces, when).await
}

/// A namespace that is told to go.
async fn doomed(testbed: &Testbed, name: &str) -> Result<Api<Namespace>> {
    let namespaces: Api<Namespace> = Api::all(testbed.client().await?);
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    testbed
        .kubectl(&["--namespace", name, "create", "configmap", "something"])
        .await?;
    namespaces.delete(name, &DeleteParams::default()).await?;
    Ok(namespaces)
}

async fn gone(namespaces: &Api<Namespace>, name: &str) -> Result<()> {
    eventually(PATIENCE * 2, &format!("the namespace {name} is gone"), || async {
        let left = namespaces.get_opt(name).await?;
        ensure!(
            left.is_none(),
            "{:?}",
            left.and_then(|namespace| namespace.status)
        );
        Ok(())
    })
    .await
}
