//! Asking the metrics APIs as an HPA's controller would, through the kube-apiserver, and reading what objects say of themselves.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use testbed::hpa::quantity;
use testbed::kubeconfig::client_without_retries;
use testbed::{PATIENCE, Shared, Testbed, eventually};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// One replica on a control plane that nobody disturbs.
pub(crate) static CALM: Shared = Shared::new(|| {
    Testbed::builder()
        .binary(Path::new(env!("CARGO_BIN_EXE_metricrule")))
        .replicas(1)
        // What is measured is the whole way, and not an answer that is held.
        .value("prometheus.limits.perRule.minRefresh=0s")
});

/// Those who measure on [`CALM`], or change something there that is everybody's, do so one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// What the API server forwarded.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The message of a `metav1.Status`; empty for an answer with values.
    pub(crate) message: String,
    /// The values, in the order of the answer.
    pub(crate) values: Vec<f64>,
}

/// One condition of a status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// The generation that it speaks of.
    pub(crate) generation: Option<i64>,
}

/// A client of `system:masters` that tells what it is answered: the usual one tries a 503 again, for a minute and more.
pub(crate) async fn client(testbed: &Testbed) -> Result<Client> {
    client_without_retries(testbed.control_plane().kubeconfig()).await
}

/// Waits until no other test measures.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// A line on standard error that the test harness does not capture: measurements are worth reading when all is well, too.
pub(crate) fn say(line: &str) {
    // a closed standard error is nobody's concern
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says how long a test took.
pub(crate) fn took(test: &str, since: Instant) {
    say(&format!("{test}: {:.1} s", since.elapsed().as_secs_f64()));
}

/// The path of a metric of one object, or of all with `*`.
pub(crate) fn custom(namespace: &str, resource: &str, name: &str, metric: &str) -> String {
    format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/{resource}/{name}/{metric}")
}

/// The path of a metric of the namespace itself.
pub(crate) fn of_namespace(namespace: &str, metric: &str) -> String {
    format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/metrics/{metric}")
}

/// The path of an external metric; `selector` is percent-encoded already.
pub(crate) fn external(namespace: &str, metric: &str, selector: &str) -> String {
    format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}?labelSelector={selector}")
}

/// Asks a path of a metrics API. A refusal is an answer; an error is that there was none.
pub(crate) async fn ask(client: &Client, path: &str) -> Result<Answer> {
    let request = http::Request::get(path).body(Vec::new())?;
    match client.request::<Value>(request).await {
        Ok(body) => Answer::read(&body).with_context(|| format!("GET {path}: {body}")),
        Err(kube::Error::Api(status)) => Ok(Answer {
            code: status.code,
            message: status.message.clone(),
            values: Vec::new(),
        }),
        Err(error) => Err(error).with_context(|| format!("GET {path}")),
    }
}

/// Gets a path as JSON.
pub(crate) async fn get(client: &Client, path: &str) -> Result<Value> {
    Ok(client.request(http::Request::get(path).body(Vec::new())?).await?)
}

/// The custom resources of a kind of ours; cluster-scoped without a namespace.
pub(crate) fn objects(client: &Client, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("metricrule.dev", "v1alpha1", kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// A manifest of a kind of ours; a `MetricRule` where there is a namespace, else a `ClusterMetricRule`.
pub(crate) fn rule(namespace: Option<&str>, name: &str, spec: &Value) -> Value {
    let kind = if namespace.is_some() {
        "MetricRule"
    } else {
        "ClusterMetricRule"
    };
    manifest(kind, namespace, name, spec)
}

/// A manifest of a `MetricBackend`.
pub(crate) fn backend(name: &str, spec: &Value) -> Value {
    manifest("MetricBackend", None, name, spec)
}

fn manifest(kind: &str, namespace: Option<&str>, name: &str, spec: &Value) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": "metricrule.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// Creates or changes an object of ours by server-side apply.
pub(crate) async fn apply(client: &Client, manifest: &Value) -> Result<DynamicObject> {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").context("a manifest without a name")?;
    let kind = text("/kind").context("a manifest without a kind")?;
    let api = objects(client, kind, text("/metadata/namespace"));
    let applied = api
        .patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(manifest))
        .await;
    applied.with_context(|| format!("applying {manifest}"))
}

/// Creates an object of ours.
pub(crate) async fn create(client: &Client, manifest: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(manifest.clone())?;
    let kind = object
        .types
        .as_ref()
        .map(|types| types.kind.clone())
        .context("a manifest without a kind")?;
    let api = objects(client, &kind, object.namespace().as_deref());
    api.create(&PostParams::default(), &object)
        .await
        .with_context(|| format!("creating {manifest}"))?;
    Ok(())
}

/// Changes a spec by a merge patch.
pub(crate) async fn edit(api: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    api.patch(name, &PatchParams::default(), &patch)
        .await
        .with_context(|| format!("editing {name}: {spec}"))?;
    Ok(())
}

/// Deletes the cluster-scoped objects whose names begin with `prefix`.
pub(crate) async fn sweep(client: &Client, prefix: &str) -> Result<()> {
    for kind in ["ClusterMetricRule", "MetricBackend"] {
        let api = objects(client, kind, None);
        for object in api
            .list(&ListParams::default())
            .await
            .context("listing what to sweep")?
        {
            if object.name_any().starts_with(prefix) {
                api.delete(&object.name_any(), &DeleteParams::default()).await?;
            }
        }
    }
    Ok(())
}

/// One condition of an object, empty where it has none of that type.
pub(crate) fn condition(object: &DynamicObject, kind: &str) -> Condition {
    let conditions = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let found = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind);
    let text = |name: &str| {
        found
            .and_then(|found| found[name].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        generation: found.and_then(|found| found["observedGeneration"].as_i64()),
    }
}

/// Waits until a condition has a status and a reason, for the object as it is now; gives its message.
pub(crate) async fn until_condition(
    api: &Api<DynamicObject>,
    name: &str,
    kind: &str,
    status: &str,
    reason: &str,
) -> Result<String> {
    eventually(
        PATIENCE,
        &format!("{name} says {kind}={status} {reason}"),
        || async {
            let object = api.get(name).await?;
            let found = condition(&object, kind);
            let generation = object.metadata.generation;
            ensure!(
                found.status == status && found.reason == reason,
                "it says {found:?}"
            );
            ensure!(
                found.generation == generation,
                "it says {found:?}, at generation {generation:?}"
            );
            Ok(found.message)
        },
    )
    .await
}

/// Waits until Prometheus has scraped so many series: a rule that comes before its series finds them at its next look only.
pub(crate) async fn until_series(testbed: &Testbed, query: &str, count: usize) -> Result<()> {
    eventually(
        PATIENCE,
        &format!("Prometheus has {count} rows for {query}"),
        || async {
            let rows = testbed.prometheus().query(query).await?.len();
            ensure!(rows == count, "it has {rows}");
            Ok(())
        },
    )
    .await
}

/// Waits until a path is answered with one value, and that one.
pub(crate) async fn until_value(client: &Client, path: &str, value: f64, within: Duration) -> Result<()> {
    eventually(within, &format!("{path} is {value}"), || async {
        let answer = ask(client, path).await?;
        ensure!(answer.is(value), "{answer:?}");
        Ok(())
    })
    .await
}

// === impl Answer ===

impl Answer {
    fn read(body: &Value) -> Result<Self> {
        let items = body["items"].as_array().context("no items")?;
        let values = items
            .iter()
            .map(|item| quantity(&Quantity(item["value"].as_str().context("no value")?.to_owned())));
        Ok(Self {
            code: 200,
            message: String::new(),
            values: values.collect::<Result<_>>()?,
        })
    }

    /// Whether it is one value, and that one to the thousandth.
    pub(crate) fn is(&self, value: f64) -> bool {
        matches!(self.values.as_slice(), [only] if close(*only, value))
    }

    /// Whether it is a refusal for a reason.
    pub(crate) fn refuses(&self, code: u16, reason: &str) -> bool {
        self.code == code && self.message.contains(&format!("{reason}: "))
    }
}

/// Whether two values are the same to the thousandth, as quantities are served.
pub(crate) fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.0015
}
