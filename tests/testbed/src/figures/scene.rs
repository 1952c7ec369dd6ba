//! What the scenes share: a testbed with one replica, two stand-in backends, requests, and the memory of a process.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::adapter::Replica;
use crate::kubeconfig::client_without_retries;
use crate::stand_in::StandIn;
use crate::{Testbed, eventually};

/// Objects that are created at a time.
const AT_ONCE: usize = 16;
/// How long a status may take.
const STATUS: Duration = Duration::from_mins(2);

/// The namespace of most rules.
pub const LAB: &str = "lab";
/// Another one.
pub const OTHER: &str = "other";

/// A testbed with one replica and two stand-ins: `standin`, and `hanging`, which can be told to hang.
pub struct Scene {
    /// The control plane and the replica.
    pub testbed: Testbed,
    /// As `system:masters`, without repeated requests.
    pub client: Client,
    /// Behind the backend `standin`.
    pub good: StandIn,
    /// Behind the backend `hanging`.
    pub bad: StandIn,
}

// === impl Scene ===

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("testbed", &self.testbed)
            .finish_non_exhaustive()
    }
}

impl Scene {
    /// Starts all of it.
    ///
    /// # Errors
    /// A part does not start.
    pub async fn start() -> Result<Self> {
        let testbed = Testbed::builder().replicas(1).start().await?;
        let client = client_without_retries(testbed.control_plane().kubeconfig()).await?;
        let scene = Self {
            testbed,
            client,
            good: StandIn::start().await?,
            bad: StandIn::start().await?,
        };
        for (name, url) in [("standin", scene.good.url()), ("hanging", scene.bad.url())] {
            let spec = json!({"type": "Prometheus", "prometheus": {"url": url}});
            scene
                .apply("", &object("MetricBackend", name, &spec).to_string())
                .await?;
        }
        for namespace in [LAB, OTHER] {
            scene.testbed.kubectl(&["create", "namespace", namespace]).await?;
        }
        // An External metric that is there from the beginning: the API is registered before anything is measured.
        let rule = external_rule("warm", "standin", "warm");
        scene.apply(LAB, &rule.to_string()).await?;
        scene.until_answered(&external(LAB, "warm", "")).await?;
        Ok(scene)
    }

    /// The replica that answers.
    ///
    /// # Errors
    /// There is none.
    pub fn replica(&self) -> Result<&Replica> {
        self.testbed.replicas().first().context("no replica")
    }

    /// Applies a manifest.
    ///
    /// # Errors
    /// It is refused.
    pub async fn apply(&self, namespace: &str, manifest: &str) -> Result<()> {
        let namespace = if namespace.is_empty() {
            "default"
        } else {
            namespace
        };
        self.testbed.apply(namespace, manifest).await.map(drop)
    }

    /// Creates objects of one collection, several at a time.
    ///
    /// # Errors
    /// One is refused.
    pub async fn create_all(&self, collection: &str, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        stream::iter(objects.into_iter().map(|object| {
            let request = Request::post(collection).body(object.to_string().into_bytes());
            async move { anyhow::Ok(self.client.request::<Value>(request?).await.map(drop)?) }
        }))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .with_context(|| format!("POST {collection}"))
    }

    /// Deletes all objects of a collection.
    ///
    /// # Errors
    /// It is refused.
    pub async fn delete_all(&self, collection: &str) -> Result<()> {
        let request = Request::delete(collection).body(Vec::new())?;
        self.client
            .request::<Value>(request)
            .await
            .map(drop)
            .with_context(|| format!("DELETE {collection}"))
    }

    /// Asks a path: how long it took and what came, a refusal included.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn ask(&self, path: &str) -> Result<(Duration, Result<Value, String>)> {
        let began = Instant::now();
        let request = Request::get(path).body(Vec::new())?;
        let answer = match self.client.request::<Value>(request).await {
            Ok(body) => Ok(body),
            Err(kube::Error::Api(status)) => Err(format!("{} {}", status.code, status.message)),
            Err(error) => return Err(error).with_context(|| format!("GET {path}")),
        };
        Ok((began.elapsed(), answer))
    }

    /// Waits until a path is answered with values.
    ///
    /// # Errors
    /// Not within two minutes.
    pub async fn until_answered(&self, path: &str) -> Result<()> {
        eventually(STATUS, path, || async {
            let (_, answer) = self.ask(path).await?;
            answer.map(drop).map_err(anyhow::Error::msg)
        })
        .await
    }

    /// Waits until a rule of the namespace `lab` has a condition that is not unknown; gives its reason.
    ///
    /// # Errors
    /// Not within two minutes.
    pub async fn until_condition(&self, name: &str, kind: &str) -> Result<String> {
        let path = format!("{}/{name}", rules(LAB));
        eventually(STATUS, &format!("{name} says {kind}"), || async {
            let rule: Value = self.client.request(Request::get(&path).body(Vec::new())?).await?;
            let conditions = rule
                .pointer("/status/conditions")
                .and_then(Value::as_array)
                .cloned();
            let found = conditions
                .unwrap_or_default()
                .into_iter()
                .find(|found| found["type"] == kind);
            let found = found.context("no such condition")?;
            ensure!(found["status"] != "Unknown", "it is unknown");
            Ok(found["reason"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }
}

/// The collection of a namespace's `MetricRule`s.
pub fn rules(namespace: &str) -> String {
    format!("/apis/metricrule.dev/v1alpha1/namespaces/{namespace}/metricrules")
}

/// The path of an External metric; `selector` percent-encoded.
pub fn external(namespace: &str, metric: &str, selector: &str) -> String {
    format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}?labelSelector={selector}")
}

/// A custom resource of ours.
pub fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "metricrule.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A rule without discovery: the External metric `name`, whose query has `word` in it.
pub fn external_rule(name: &str, backend: &str, word: &str) -> Value {
    let spec = json!({
        "api": "External", "backendRef": {"name": backend}, "name": {"as": name},
        "metricsQuery": format!("sum({word}{{<<.LabelMatchers>>}})"),
    });
    object("MetricRule", name, &spec)
}

/// The resident memory of a process now, in MiB.
///
/// # Errors
/// It has ended.
pub fn resident(pid: u32) -> Result<f64> {
    field(pid, "VmRSS:")
}

/// The most resident memory of a process since [`forget_peak`], in MiB.
///
/// # Errors
/// It has ended.
pub fn peak(pid: u32) -> Result<f64> {
    field(pid, "VmHWM:")
}

/// Lets [`peak`] begin anew (`/proc/PID/clear_refs`, proc(5)).
///
/// # Errors
/// The file cannot be written.
pub fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("clearing the peak of the memory")
}

fn field(pid: u32, name: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(Path::new(&path)).context(path)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("no such field")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
