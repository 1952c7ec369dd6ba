//! A stand-in for prometheus-adapter: Go's own metrics server, told five times a second what Prometheus says, with the objects that
//! prometheus-adapter's chart has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::reference::Reference;
use testbed::{PATIENCE, Testbed, eventually, throughout};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::{get, list};

const PERIOD: Duration = Duration::from_millis(200);
/// What it says while it is wrong: an HPA that asked it would do something else.
const WRONG: i64 = 1_000;

pub(super) struct Rival {
    reference: Arc<Reference>,
    port: u16,
    prometheus: String,
    metric: String,
    right: Arc<AtomicBool>,
    feed: JoinHandle<()>,
}

impl Rival {
    /// Starts it, and keeps it told.
    pub(super) async fn start(testbed: &Testbed, namespace: &str, metric: &str) -> Result<Self> {
        let reference = Arc::new(Reference::start(testbed).await?);
        let port = reference.url().rsplit(':').next().context("no port")?.parse()?;
        let right = Arc::new(AtomicBool::new(true));
        let prometheus = testbed.prometheus().url().to_owned();
        let feed = tokio::spawn(feed(
            Arc::clone(&reference),
            Arc::clone(&right),
            prometheus.clone(),
            namespace.to_owned(),
            metric.to_owned(),
        ));
        Ok(Self {
            reference,
            port,
            prometheus,
            metric: metric.to_owned(),
            right,
            feed,
        })
    }

    pub(super) fn url(&self) -> &str {
        self.reference.url()
    }

    /// Whether it says what Prometheus says.
    pub(super) fn is_right(&self, right: bool) {
        self.right.store(right, Ordering::Relaxed);
    }

    /// The spec of its `APIService`.
    pub(super) fn spec(&self) -> Value {
        json!({
            "group": "custom.metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
            "service": {"namespace": "monitoring", "name": "prometheus-adapter", "port": self.port},
        })
    }

    /// The objects of its chart.
    pub(super) async fn configure(&self, testbed: &Testbed) -> Result<()> {
        let labels =
            json!({"app.kubernetes.io/name": "prometheus-adapter", "app.kubernetes.io/managed-by": "Helm"});
        let metadata = json!({"name": "prometheus-adapter", "namespace": "monitoring", "labels": labels});
        let config = format!(
            "rules:\n- seriesQuery: '{}{{namespace!=\"\",service!=\"\"}}'\n  resources:\n    overrides:\n      namespace: {{resource: \
             namespace}}\n      service: {{resource: service}}\n  metricsQuery: sum(<<.Series>>{{<<.LabelMatchers>>}}) by \
             (<<.GroupBy>>)\n",
            self.metric
        );
        let pod = json!({
            "metadata": {"labels": labels},
            "spec": {"containers": [{
                "name": "prometheus-adapter", "image": "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0",
                "args": [
                    "/adapter", "--secure-port=6443", "--config=/etc/adapter/config.yaml",
                    format!("--prometheus-url={}", self.prometheus), "--metrics-relist-interval=1m",
                ],
            }]},
        });
        let objects = [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config.yaml": config}}),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
            }),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": self.port}]},
            }),
            json!({
                "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": "v1beta1.custom.metrics.k8s.io", "labels": labels},
                "spec": self.spec(),
            }),
        ];
        testbed.apply_anywhere(&list(&objects)).await?;
        Ok(())
    }

    /// Waits until clients that look prefer a version.
    pub(super) async fn asked_by(&self, client: &Client, version: &str) -> Result<()> {
        eventually(PATIENCE, &format!("{version} is preferred"), || async {
            let group = get(client, "/apis/custom.metrics.k8s.io").await?;
            ensure!(group["preferredVersion"]["version"] == version, "{group}");
            Ok(())
        })
        .await?;
        // the HPA's controller looks once in a sync, which is a second
        throughout(Duration::from_secs(3), "it stays so", async || {
            let group = get(client, "/apis/custom.metrics.k8s.io").await?;
            ensure!(group["preferredVersion"]["version"] == version, "{group}");
            Ok(())
        })
        .await
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

async fn feed(
    reference: Arc<Reference>,
    right: Arc<AtomicBool>,
    prometheus: String,
    namespace: String,
    metric: String,
) {
    loop {
        let told = tell(&reference, &right, &prometheus, &namespace, &metric).await;
        if let Err(error) = told {
            crate::ask::say(&format!("migration: the rival is not told: {error:#}"));
        }
        sleep(PERIOD).await;
    }
}

async fn tell(
    reference: &Reference,
    right: &AtomicBool,
    prometheus: &str,
    namespace: &str,
    metric: &str,
) -> Result<()> {
    let mut url = reqwest::Url::parse(&format!("{prometheus}/api/v1/query"))?;
    url.query_pairs_mut()
        .append_pair("query", &format!("1000 * {metric}{{namespace={namespace:?}}}"));
    let (_, text) = testbed::http::get(url.as_str(), Duration::from_secs(5)).await?;
    let answer: Value = serde_json::from_str(&text)?;
    let Some(value) = answer["data"]["result"][0]["value"][1].as_str() else {
        return Ok(());
    };
    let milli = if right.load(Ordering::Relaxed) {
        value.parse()?
    } else {
        WRONG
    };
    reference.write(namespace, "services", "web", metric, milli).await
}
