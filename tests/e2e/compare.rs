//! `metricrule compare`: a replica and Go's own test adapter, which is told what to answer.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use testbed::command::{self, Said};
use testbed::reference::Reference;
use testbed::{PATIENCE, Testbed, eventually};

use crate::ask::{CALM, sweep, turn, until_series};
use crate::kubelet::Kubelet;
use crate::support::{cluster_rule, deployment, hpa, list, rule, serves};

const METRIC: &str = "queue_depth";

/// An HPA that asks both servers, and the namespace it is in.
struct Scene<'a> {
    testbed: &'a Testbed,
    namespace: String,
    pods: Vec<String>,
    reference: Reference,
}

#[tokio::test]
async fn two_servers_are_compared_by_what_hpas_ask() -> Result<()> {
    let testbed = CALM.get().await?;
    let _turn = turn().await;
    testbed
        .with_namespace("compare", async |namespace| {
            let client = testbed.client().await?;
            let scene = Scene::set(&testbed, &namespace).await?;
            let played = scene.play().await;
            sweep(&client, "compare-").await?;
            played
        })
        .await
}

impl<'a> Scene<'a> {
    async fn set(testbed: &'a Testbed, namespace: &str) -> Result<Self> {
        let client = testbed.client().await?;
        let metric = json!({"type": "Pods", "pods": {
            "metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": "100"},
        }});
        let mut web = hpa("web", &metric);
        web["spec"]["maxReplicas"] = json!(2);
        let metrics = web["spec"]["metrics"].as_array_mut().context("no metrics")?;
        metrics.push(json!({"type": "External", "external": {
            "metric": {"name": "other-external-metric"}, "target": {"type": "AverageValue", "averageValue": "100"},
        }}));
        metrics.push(json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
        }}));
        let depth = rule(
            "depth",
            &json!({
                "seriesQuery": format!("{METRIC}{{pod!=\"\"}}"),
                "resources": {"overrides": {
                    "namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"},
                }},
                "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            }),
        );
        let other = cluster_rule(
            "compare-other",
            &json!({
                "api": "External", "name": {"as": "other-external-metric"}, "metricsQuery": "vector(44)",
                "resources": {"namespaced": false}, "namespaceSelector": {},
            }),
        );
        testbed.apply(namespace, &list(&[deployment("web", 2)])).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pods = eventually(PATIENCE, "two pods are there", || async {
            let pods = pods.list(&ListParams::default().labels("app=web")).await?;
            ensure!(pods.items.len() == 2, "{} pods", pods.items.len());
            Ok(pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
        })
        .await?;
        for pod in &pods {
            let pod = pod.as_str();
            testbed
                .exporter()
                .gauge(METRIC, &[("namespace", namespace), ("pod", pod)], 80.0);
        }
        until_series(testbed, &format!("{METRIC}{{namespace=\"{namespace}\"}}"), 2).await?;
        testbed.apply(namespace, &list(&[depth, other, web])).await?;
        serves(&client, Some(namespace), "depth").await?;
        serves(&client, None, "compare-other").await?;
        let reference = Reference::start(testbed).await?;
        let scene = Self {
            testbed,
            namespace: namespace.to_owned(),
            pods,
            reference,
        };
        for pod in &scene.pods {
            scene.says(pod, 80_000).await?;
        }
        Ok(scene)
    }

    async fn says(&self, pod: &str, milli: i64) -> Result<()> {
        self.reference
            .write(&self.namespace, "pods", pod, METRIC, milli)
            .await
    }

    /// Asks both at their addresses.
    async fn compare(&self, more: &[&str]) -> Result<Said> {
        let port = self.testbed.replicas()[0].secure_port();
        let ours = format!("--url=https://127.0.0.1:{port}");
        let peer = format!("--peer-url={}", self.reference.url());
        let mut args = vec![ours.as_str(), peer.as_str(), "--insecure-skip-tls-verify"];
        args.extend(more);
        self.run(self.testbed.control_plane().kubeconfig(), &args).await
    }

    async fn run(&self, kubeconfig: &Path, more: &[&str]) -> Result<Said> {
        let mut args = vec!["compare", "--namespace", &self.namespace];
        args.extend(more);
        let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
        command::run(binary, &args, &[("KUBECONFIG", kubeconfig)], "").await
    }

    async fn play(&self) -> Result<()> {
        let same = self.compare(&[]).await?;
        ensure!(same.success, "{same:?}");
        ensure!(
            same.stdout.contains("the same: 1 HPAs, 2 questions, 2 answered alike, 0 differently; 0 metrics not compared, 1 more"),
            "{same:?}"
        );

        let first = &self.pods[0];
        self.says(first, 88_000).await?;
        let different = self.compare(&["--output", "json"]).await?;
        let report: Value =
            serde_json::from_str(&different.stdout).with_context(|| format!("{different:?}"))?;
        ensure!(
            !different.success && report["verdict"] == "different",
            "{report:#}"
        );
        let question = report["questions"]
            .as_object()
            .and_then(|questions| questions.iter().find(|(path, _)| path.contains(METRIC)))
            .context("no question")?;
        let path = format!(
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods/%2A/{METRIC}?labelSelector=app%3Dweb",
            self.namespace
        );
        ensure!(*question.0 == path, "{}", question.0);
        let found = question.1["differences"].as_array().context("no differences")?;
        let value = found
            .iter()
            .find(|found| found["aspect"] == "value")
            .context("no value")?;
        ensure!(
            value["of"] == format!("Pod {}/{first}", self.namespace)
                && value["peer"] == "88"
                && value["ours"] == "80",
            "{value}"
        );
        let tolerated = self
            .compare(&["--tolerance=10%", "--samples=2", "--interval=100ms"])
            .await?;
        ensure!(tolerated.success, "{tolerated:?}");

        self.says(first, 80_000).await?;
        self.nothing().await?;
        self.unknown().await?;
        self.refused().await?;
        Box::pin(self.forwarded()).await
    }

    /// What was no comparison, and ended well.
    async fn nothing(&self) -> Result<()> {
        let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
        let kubeconfig = self.testbed.control_plane().kubeconfig();
        let port = self.testbed.replicas()[0].secure_port();
        let (ours, peer) = (
            format!("--url=https://127.0.0.1:{port}"),
            format!("--peer-url={}", self.reference.url()),
        );
        let args = |namespace: &'static str| ["compare", "--namespace", namespace, &ours, &peer];
        let envs = [("KUBECONFIG", kubeconfig)];
        let said = command::run(binary, &args("no-such-namespace"), &envs, "").await?;
        ensure!(
            !said.success
                && said
                    .stderr
                    .contains("the namespace \"no-such-namespace\": not found"),
            "{said:?}"
        );
        // Without HPAs.
        let said = command::run(binary, &args("kube-public"), &envs, "").await?;
        ensure!(
            !said.success && said.stdout.contains("NOTHING COMPARED"),
            "{said:?}"
        );
        // Which cluster that was is said.
        ensure!(said.stderr.contains("the cluster: https://"), "{said:?}");
        // Certificates that nobody vouches for get no answer, and no token.
        let said = self.run(kubeconfig, &[&ours, &peer]).await?;
        ensure!(!said.success && said.stdout.contains("INCOMPLETE"), "{said:?}");
        let said = self.compare(&["--api=external"]).await?;
        ensure!(
            said.success
                && said.stdout.contains("1 questions")
                && said.stdout.contains("1 metrics left out by --api"),
            "{said:?}"
        );
        Ok(())
    }

    /// A metric that one of them does not know.
    async fn unknown(&self) -> Result<()> {
        let metric = json!({"type": "External", "external": {
            "metric": {"name": "my-external-metric"}, "target": {"type": "AverageValue", "averageValue": "100"},
        }});
        self.testbed
            .apply(
                &self.namespace,
                &list(&[deployment("extra", 1), hpa("extra", &metric)]),
            )
            .await?;
        let said = self.compare(&[]).await?;
        ensure!(!said.success, "{said:?}");
        ensure!(
            said.stdout
                .contains("DIFFERENT external metric my-external-metric")
                && said.stdout.contains("status the answer: 2 values there, 404 "),
            "{said:?}"
        );
        self.testbed
            .kubectl(&["delete", "hpa", "extra", "--namespace", &self.namespace])
            .await?;
        Ok(())
    }

    /// Rights that are lacking: of who compares, and of whom is asked as.
    async fn refused(&self) -> Result<()> {
        let said = self.run(&self.testbed.adapter_kubeconfig(), &[]).await?;
        ensure!(!said.success, "{said:?}");
        ensure!(
            said.stderr
                .contains("may not create serviceaccounts/token in the namespace \"kube-system\"")
                && said
                    .stderr
                    .contains("apiGroups: [\"\"], resources: [serviceaccounts/token], verbs: [create]"),
            "{said:?}"
        );
        let said = self
            .compare(&["--as-service-account", &format!("{}/default", self.namespace)])
            .await?;
        ensure!(!said.success, "{said:?}");
        ensure!(
            [
                "INCOMPLETE",
                "the peer refuses access: ",
                "metricrule refuses access: "
            ]
            .iter()
            .all(|text| said.stdout.contains(text)),
            "{said:?}"
        );
        ensure!(
            said.stdout.contains(&format!(
                "may not get pods/{METRIC}.custom.metrics.k8s.io in the namespace"
            )),
            "{said:?}"
        );
        Ok(())
    }

    /// Through the API server to a pod of each Service.
    async fn forwarded(&self) -> Result<()> {
        let ours = self.testbed.replicas()[0].secure_port();
        let peer: u16 = self
            .reference
            .url()
            .rsplit(':')
            .next()
            .context("no port")?
            .parse()?;
        let _kubelet = Kubelet::start(self.testbed, &self.namespace, &[(6443, ours), (6444, peer)]).await?;
        let service = |name: &str, port: u16| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
                "selector": {"app": "web"}, "ports": [{"name": "https", "port": 443, "targetPort": port}],
            }})
        };
        let services = list(&[service("ours", 6443), service("peer", 6444)]);
        self.testbed.apply(&self.namespace, &services).await?;
        let (ours, peer) = (
            format!("{}/ours", self.namespace),
            format!("{}/peer", self.namespace),
        );
        let arguments = [
            "--service",
            &ours,
            "--peer-service",
            &peer,
            "--insecure-skip-tls-verify",
        ];
        eventually(PATIENCE, "the endpoints are ready and both answer", || async {
            let kubeconfig = self.testbed.control_plane().kubeconfig();
            let said = self.run(kubeconfig, &arguments).await?;
            ensure!(said.success, "{said:?}");
            // All ready pods are asked.
            let mut pods = self.pods.clone();
            pods.sort();
            ensure!(
                said.stdout
                    .contains(&format!("ours: the Service {ours} (pods {})", pods.join(", "))),
                "{said:?}"
            );
            Ok(())
        })
        .await
    }
}
