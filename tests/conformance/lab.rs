//! The testbed with the suite's data: one replica that every point may ask, and the certificates of the cluster.

pub(crate) mod absent;
mod authn;
mod authz;
pub(crate) mod backends;
mod bounds;
mod certificates;
mod cluster;
pub(crate) mod discovery;
mod disturbed;
mod ending;
pub(crate) mod health;
mod hpa;
mod numbers;
pub(crate) mod openapi;
mod operating;
mod played;
mod queries;
mod quirks;
mod scripted;
mod stage;
mod trust;
mod upstream;
pub(crate) mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::install::NAMESPACE;
use testbed::pki::Pair;
use testbed::{PATIENCE, Shared, Testbed, eventually};
use tokio::sync::OnceCell;

use crate::ask::{Client, Identity};
use crate::point::Point;
use crate::target::{CUSTOM, Data, EXTERNAL, Namespace, Target, V1BETA2};

/// The points that need the testbed, of each module.
pub(crate) const POINTS: &[&[Point]] = &[
    authn::POINTS,
    trust::POINTS,
    authz::POINTS,
    quirks::POINTS,
    numbers::POINTS,
    upstream::POINTS,
    queries::POINTS,
    cluster::POINTS,
    hpa::POINTS,
    operating::POINTS,
    bounds::POINTS,
    certificates::POINTS,
    ending::POINTS,
];

/// Whom the serving certificate is for.
pub(crate) const SERVER_NAME: &str = "metricrule.metricrule-system.svc";

/// The cluster that points may read, but not disturb.
static CLUSTER: Shared = Shared::new(|| builder().replicas(1));
static TARGET: OnceCell<Arc<Target>> = OnceCell::const_new();

/// A testbed that runs this build of the server, for points that disturb it.
pub(crate) fn builder() -> testbed::testbed::Builder {
    Testbed::builder().binary(Path::new(env!("CARGO_BIN_EXE_metricrule")))
}

/// The shared testbed, without or with data.
pub(crate) async fn cluster() -> Result<testbed::shared::Hold> {
    CLUSTER.get().await
}

/// The shared testbed's replica, asked directly, with the suite's data behind it.
pub(crate) async fn target() -> Result<Arc<Target>> {
    let target = TARGET.get_or_try_init(|| async {
        let testbed = cluster().await?;
        let data = Data::default_lab()?;
        fill(&testbed, &data)
            .await
            .context("filling the lab with the suite's data")?;
        let admin = admin(&testbed, 0).await?;
        let target = Target { admin, data };
        served(&target).await?;
        anyhow::Ok(Arc::new(target))
    });
    Ok(Arc::clone(target.await?))
}

/// A client of `system:masters` that talks to a replica without the API server in between.
pub(crate) async fn admin(testbed: &Testbed, replica: usize) -> Result<Client> {
    let pair = &testbed.control_plane().pki().admin;
    Ok(direct(testbed, replica).await?.with_identity(identity(pair)?))
}

/// A client of one replica without credentials, which believes the operator's own CA.
pub(crate) async fn direct(testbed: &Testbed, replica: usize) -> Result<Client> {
    let replica = testbed.replicas().get(replica).context("no such replica")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, replica.secure_port()));
    let ca = decode_base64(&ca_bundle(testbed).await?)?;
    Client::new(address, SERVER_NAME, &ca)
}

/// The operator's own CA, as a `caBundle` has it.
pub(crate) async fn ca_bundle(testbed: &Testbed) -> Result<String> {
    eventually(
        PATIENCE,
        "the CA of the serving certificates is written",
        || async {
            let path = "--output=jsonpath={.data.ca\\.crt}";
            let args = ["get", "secret", "metricrule-ca", "--namespace", NAMESPACE, path];
            let encoded = testbed.kubectl(&args).await?;
            ensure!(!encoded.is_empty(), "no ca.crt");
            Ok(encoded)
        },
    )
    .await
}

/// A certificate of the testbed's PKI.
pub(crate) fn identity(pair: &Pair) -> Result<Identity> {
    Identity::from_pem(&pair.certificate_pem, &pair.key_pem)
}

/// The text that a `Secret` or a `caBundle` holds.
pub(crate) fn decode_base64(encoded: &str) -> Result<String> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(Value::String(encoded.trim().to_owned()))?;
    Ok(String::from_utf8(bytes.0)?)
}

async fn fill(testbed: &Testbed, data: &Data) -> Result<()> {
    let metrics = &data.metrics;
    let mut objects = Vec::new();
    for namespace in &data.namespaces {
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name}}));
    }
    testbed.apply_anywhere(&list(&objects)).await?;
    let exporter = testbed.exporter();
    exporter.gauge(
        &metrics.nodes,
        &[("node", &data.node.name)],
        number(&data.node.value)?,
    );
    for namespace in &data.namespaces {
        let name = namespace.name.as_str();
        let of = |label, object| [("namespace", name), (label, object)];
        for (pod, value) in namespace.pods() {
            let labels = [("namespace", name), ("pod", pod), ("verb", "GET")];
            exporter.gauge(&metrics.pods, &labels, number(value)?);
        }
        let (deployment, ingress) = (&namespace.deployment, &namespace.ingress);
        exporter.gauge(
            &metrics.deployments,
            &of("deployment", &deployment.name),
            number(&deployment.value)?,
        );
        exporter.gauge(
            &metrics.ingresses,
            &of("ingress", &ingress.name),
            number(&ingress.value)?,
        );
        exporter.gauge(
            &metrics.namespaces,
            &[("namespace", name)],
            number(&namespace.value)?,
        );
        for series in &namespace.external {
            let mut labels = vec![("namespace", name)];
            labels.extend(
                series
                    .labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            );
            exporter.gauge("conformance_external", &labels, number(&series.value)?);
        }
    }
    for namespace in &data.namespaces {
        let name = &namespace.name;
        let count = namespace.pods().len() + namespace.external.len() + 3;
        scraped(testbed, &format!("{{namespace=\"{name}\"}}"), count).await?;
        testbed.apply(name, &list(&objects_of(namespace, data))).await?;
    }
    testbed.apply_anywhere(&list(&cluster_rules(data))).await?;
    Ok(())
}

/// Waits until Prometheus has so many series: a rule that comes before its series finds them a minute later.
pub(crate) async fn scraped(testbed: &Testbed, query: &str, count: usize) -> Result<()> {
    eventually(PATIENCE, "the series are scraped", || async {
        let rows = testbed.prometheus().query(query).await?.len();
        ensure!(rows == count, "{rows} rows for {query}, want {count}");
        Ok(())
    })
    .await
}

/// The objects that a namespace's metrics describe, and the team's own rules.
fn objects_of(namespace: &Namespace, data: &Data) -> Vec<Value> {
    let pods = |pods: &std::collections::BTreeMap<String, String>, app: &str| -> Vec<Value> {
        let pod = |name: &String| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": app, "pod": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
            })
        };
        pods.keys().map(pod).collect()
    };
    let mut objects = pods(&namespace.web, "web");
    objects.extend(pods(&namespace.db, "db"));
    let name = &namespace.deployment.name;
    objects.push(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "main"}]},
            },
        },
    }));
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": namespace.ingress.name},
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    }));
    let overrides = json!({"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}});
    objects.push(rule(
        "MetricRule",
        &data.metrics.pods,
        &data.metrics.pods,
        "sum",
        &overrides,
    ));
    objects.push(json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule", "metadata": {"name": "external"},
        "spec": {
            "api": "External",
            "seriesQuery": "conformance_external",
            "name": {"as": data.metrics.external},
            "metricsQuery": "sum by (foo) (<<.Series>>{<<.LabelMatchers>>})",
        },
    }));
    objects
}

/// The platform team's rules.
fn cluster_rules(data: &Data) -> Vec<Value> {
    let metrics = &data.metrics;
    let with = |label: &str, group: &str, resource: &str| json!({"namespace": {"resource": "namespaces"}, label: {"group": group, "resource": resource}});
    let rules = [
        (&metrics.deployments, with("deployment", "apps", "deployments")),
        (
            &metrics.ingresses,
            with("ingress", "networking.k8s.io", "ingresses"),
        ),
        (
            &metrics.namespaces,
            json!({"namespace": {"resource": "namespaces"}}),
        ),
        (&metrics.nodes, json!({"node": {"resource": "nodes"}})),
    ];
    let rules = rules.iter();
    rules
        .map(|(metric, overrides)| rule("ClusterMetricRule", metric, metric, "sum", overrides))
        .collect()
}

/// A rule that aggregates a gauge of the metric's own name.
pub(crate) fn rule(kind: &str, name: &str, series: &str, aggregation: &str, overrides: &Value) -> Value {
    json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": kind, "metadata": {"name": name.replace('_', "-")},
        "spec": {
            "seriesQuery": series,
            "resources": {"overrides": overrides},
            "metricsQuery": format!("{aggregation} by (<<.GroupBy>>) (<<.Series>>{{<<.LabelMatchers>>}})"),
        },
    })
}

/// Several objects in one manifest.
pub(crate) fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A quantity of the suite's data as a number.
fn number(quantity: &str) -> Result<f64> {
    let value: f64 = quantity.trim_end_matches('m').parse()?;
    Ok(if quantity.ends_with('m') {
        value / 1000.0
    } else {
        value
    })
}

/// Waits until all of the data is there.
async fn served(target: &Target) -> Result<()> {
    let Data {
        metrics,
        namespaces,
        node,
    } = &target.data;
    let mut paths = vec![format!("/apis/{V1BETA2}/nodes/{}/{}", node.name, metrics.nodes)];
    for (
        position,
        Namespace {
            name,
            deployment,
            ingress,
            ..
        },
    ) in namespaces.iter().enumerate()
    {
        let root = format!("/apis/{V1BETA2}/namespaces/{name}");
        paths.extend([
            format!(
                "{root}/deployments.apps/{}/{}",
                deployment.name, metrics.deployments
            ),
            format!(
                "{root}/ingresses.networking.k8s.io/{}/{}",
                ingress.name, metrics.ingresses
            ),
            format!("{root}/metrics/{}", metrics.namespaces),
            format!("/apis/{EXTERNAL}/namespaces/{name}/{}", metrics.external),
        ]);
        for version in CUSTOM {
            let pods = namespaces[position].pods();
            paths.extend(pods.keys().map(|pod| target.pods_in(position, version, pod)));
        }
    }
    for path in paths {
        eventually(PATIENCE, "the suite's data is served", || async {
            let reply = target.admin.get(&path).await?;
            let body = reply.json(200)?;
            ensure!(
                body["items"].as_array().is_some_and(|items| !items.is_empty()),
                "{path}: {body}"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}
