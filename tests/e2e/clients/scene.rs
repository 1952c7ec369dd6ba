//! Objects, series and rules of every kind that a client can ask for, in a namespace of its own.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::kubeconfig::{self, User};
use testbed::{PATIENCE, Testbed, eventually, ports};

use crate::ask::sweep;
use crate::support::{
    CLUSTER, cluster_rule, deployment, ensure_no_refusal, hpa, list, rule, scraped, serves,
};

type Labels = &'static [(&'static str, &'static str)];

/// The pods: their labels, those of their series, and their load.
const PODS: [(&str, Labels, Labels, f64); 3] = [
    (
        "front",
        &[("app", "web"), ("tier", "front"), ("weight", "10")],
        &[("verb", "GET")],
        1.5,
    ),
    (
        "back",
        &[("app", "web"), ("tier", "back"), ("weight", "20")],
        &[("verb", "POST")],
        2_000_000.0,
    ),
    ("store", &[("app", "db")], &[], -0.25),
];
const QUEUES: [(&str, Labels, f64); 3] = [
    ("orders", &[("priority", "high")], 80.0),
    ("mails", &[("priority", "low")], 0.0),
    ("jobs", &[], 12.345),
];

/// The metrics APIs, group and version.
pub(super) const VERSIONS: [(&str, &str); 3] = [
    ("custom.metrics.k8s.io", "v1beta1"),
    ("custom.metrics.k8s.io", "v1beta2"),
    ("external.metrics.k8s.io", "v1beta1"),
];

/// The cluster, and the namespace with everything in it.
pub(super) struct Scene<'a> {
    pub(super) testbed: &'a Testbed,
    pub(super) namespace: String,
    client: Client,
}

/// Sets the scene in the shared cluster and plays a test in it.
pub(super) async fn in_scene(name: &str, play: impl AsyncFnOnce(Scene<'_>) -> Result<()>) -> Result<()> {
    let testbed = CLUSTER.get().await?;
    in_scene_of(&testbed, &VERSIONS, name, play).await
}

/// The same in another cluster, in which those `versions` are registered and no other.
pub(super) async fn in_scene_of(
    testbed: &Testbed,
    versions: &[(&str, &str)],
    name: &str,
    play: impl AsyncFnOnce(Scene<'_>) -> Result<()>,
) -> Result<()> {
    testbed
        .with_namespace(name, async |namespace| {
            let client = testbed.client().await?;
            let scene = Scene {
                testbed,
                namespace,
                client,
            };
            let backend = scene.down();
            let played = match scene.set(versions).await {
                Ok(()) => play(scene).await,
                Err(error) => Err(error),
            };
            // the namespace takes the rest with it
            let swept = sweep(&testbed.client().await?, &backend).await;
            played.and(swept)?;
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

impl Scene<'_> {
    /// The kubeconfig of `system:masters`.
    pub(super) fn admin(&self) -> &Path {
        self.testbed.control_plane().kubeconfig()
    }

    async fn set(&self, versions: &[(&str, &str)]) -> Result<()> {
        self.series().await?;
        let mut manifests = objects();
        manifests.extend(self.rules()?);
        self.testbed.apply(&self.namespace, &list(&manifests)).await?;
        for name in ["load", "backlog", "budget", "queue"] {
            serves(&self.client, Some(&self.namespace), name).await?;
        }
        serves(&self.client, None, "clients-power").await?;
        discovered(&self.client, versions).await
    }

    /// The name of a backend that is not there.
    fn down(&self) -> String {
        format!("{}-down", self.namespace)
    }

    async fn series(&self) -> Result<()> {
        let exporter = self.testbed.exporter();
        let namespace = ("namespace", self.namespace.as_str());
        for (pod, _, labels, load) in PODS {
            exporter.gauge(
                "clients_load",
                &[&[namespace, ("pod", pod)], labels].concat(),
                load,
            );
        }
        for (queue, labels, length) in QUEUES {
            exporter.gauge(
                "clients_queue",
                &[&[namespace, ("queue", queue)], labels].concat(),
                length,
            );
        }
        exporter.gauge("clients_backlog", &[namespace, ("deployment", "web")], 7.0);
        exporter.gauge("clients_budget", &[namespace], 1234.5);
        exporter.gauge("clients_power", &[("node", NODE)], 230.5);
        let of = |name: &str| format!("{name}{{namespace=\"{}\"}}", self.namespace);
        let mut expected: Vec<String> = ["clients_backlog", "clients_budget"].map(of).into();
        expected.push(format!("count({}) == 3", of("clients_load")));
        expected.push(format!("count({}) == 3", of("clients_queue")));
        expected.push("clients_power".to_owned());
        scraped(self.testbed, &expected).await
    }

    fn rules(&self) -> Result<Vec<Value>> {
        let sum = "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})";
        let about = |label: &str, resource: &Value| json!({"overrides": {"namespace": {"resource": "namespaces"}, label: resource}});
        let pods = about("pod", &json!({"resource": "pods"}));
        let closed = ports::free()?;
        Ok(vec![
            rule(
                "load",
                &json!({
                    "seriesQuery": "clients_load", "resources": pods,
                    "metricsQuery": "sum by (<<.GroupBy>>) (last_over_time(<<.Series>>{<<.LabelMatchers>>}[10s]))",
                }),
            ),
            rule(
                "backlog",
                &json!({
                    "seriesQuery": "clients_backlog", "metricsQuery": sum,
                    "resources": about("deployment", &json!({"group": "apps", "resource": "deployments"})),
                }),
            ),
            rule(
                "budget",
                &json!({
                    "seriesQuery": "clients_budget", "metricsQuery": sum,
                    "resources": {"overrides": {"namespace": {"resource": "namespaces"}}},
                }),
            ),
            rule(
                "queue",
                &json!({
                    "api": "External", "seriesQuery": "clients_queue",
                    "metricsQuery": "sum by (queue) (<<.Series>>{<<.LabelMatchers>>})",
                }),
            ),
            // nothing listens there
            json!({
                "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
                "metadata": {"name": self.down()},
                "spec": {"type": "Prometheus", "prometheus": {"url": format!("http://127.0.0.1:{closed}")}},
            }),
            rule(
                "down",
                &json!({
                    "backendRef": {"name": self.down()}, "resources": pods,
                    "name": {"as": "clients_down"}, "metricsQuery": "sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>})",
                }),
            ),
            cluster_rule(
                "clients-power",
                &json!({
                    "seriesQuery": "clients_power", "resources": {"overrides": {"node": {"resource": "nodes"}}},
                    "metricsQuery": "sum by (<<.GroupBy>>) (clients_power)",
                }),
            ),
        ])
    }

    /// The kubeconfig of a user who may read two metrics in the namespace and nothing else.
    pub(super) async fn user(&self, name: &str) -> Result<PathBuf> {
        let plane = self.testbed.control_plane();
        let user = format!("{}-{name}", self.namespace);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [
                {"apiGroups": ["custom.metrics.k8s.io"], "resources": ["pods/clients_load"], "verbs": ["get"]},
                {"apiGroups": ["external.metrics.k8s.io"], "resources": ["clients_queue"], "verbs": ["list"]},
            ],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        });
        self.testbed
            .apply(&self.namespace, &list(&[role, binding]))
            .await?;
        kubeconfig::write(
            &self.testbed.folder().join(format!("{user}.kubeconfig")),
            plane.server(),
            Some(&plane.pki().cluster.certificate),
            &User::Certificate(&plane.pki().cluster.client(&user, None)?),
            "default",
        )
    }
}

fn objects() -> Vec<Value> {
    let mut objects = vec![deployment("web", 0)];
    for (name, labels, ..) in PODS {
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        objects.push(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
        }));
    }
    objects.push(hpa(
        "web",
        &json!({"type": "Pods", "pods": {
            "metric": {"name": "clients_load"}, "target": {"type": "AverageValue", "averageValue": "1"},
        }}),
    ));
    objects
}

/// kube-apiserver has looked at the metrics APIs and found them in order. Until then they are stale in its own document, which a
/// client takes for an error.
pub(super) async fn discovered(client: &Client, versions: &[(&str, &str)]) -> Result<()> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    eventually(PATIENCE, "the metrics APIs are discovered", || async {
        let request = http::Request::get("/apis")
            .header("accept", accept)
            .body(Vec::new())?;
        let groups: Value = client.request(request).await?;
        let fresh = |group: &str, version: &str| {
            let is = |value: &Value, name: &str| value == name;
            let mut groups = groups["items"].as_array().into_iter().flatten();
            groups.any(|found| {
                let mut versions = found["versions"].as_array().into_iter().flatten();
                is(&found["metadata"]["name"], group)
                    && versions
                        .any(|found| is(&found["version"], version) && is(&found["freshness"], "Current"))
            })
        };
        for (group, version) in versions {
            ensure!(fresh(group, version), "{group}/{version} is not: {groups}");
        }
        Ok(())
    })
    .await
}
