//! The walk through docs/migrating-from-prometheus-adapter.md: its own commands, beside a rival that owns the `APIService`, while
//! the load changes in every phase and an HPA follows.

mod document;
mod rival;
mod watch;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Instant;

use self::document::Document;
use self::rival::Rival;
use self::watch::Watch;
use crate::ask::{say, took};
use crate::support::{builder, condition, deployment, get, hpa, hpa_follows, list, object_metric, read_rule};

const METRIC: &str = "jobs_waiting";
/// The value for one replica.
const TARGET: f64 = 10.0;
const V1: &str = "v1beta1.custom.metrics.k8s.io";
const V2: &str = "v1beta2.custom.metrics.k8s.io";
/// Two syncs of the HPA's controller (a second each), the scrape before, the write of its status after, and a busy machine.
const TWO_SYNCS: Duration = Duration::from_secs(6);

struct Walk<'a> {
    testbed: &'a Testbed,
    client: Client,
    namespace: String,
    rival: Rival,
    document: Document,
}

#[tokio::test]
async fn the_migration_is_as_documented() -> Result<()> {
    let testbed = builder()
        // the imported rules bring the backend
        .value("prometheus.url=")
        .hpa(testbed::control_plane::HpaTiming {
            sync: Duration::from_secs(1),
            downscale_stabilization: Duration::ZERO,
        })
        .start()
        .await?;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("migration", async |namespace| {
            let walk = Walk {
                client: testbed.client().await?,
                document: Document::open(&testbed)?,
                rival: Rival::start(&testbed, &namespace, METRIC).await?,
                testbed: &testbed,
                namespace,
            };
            walk.before().await?;
            let watch = Watch::start(walk.client.clone(), &walk.namespace, "web");
            walk.go().await?;
            let samples = watch.end()?;
            say(&format!("migration: ScalingActive=True in {samples} samples"));
            Ok(())
        })
        .await;
    took("migration", began);
    outcome
}

impl Walk<'_> {
    /// A workload that is scaled by the rival, which is configured as prometheus-adapter is.
    async fn before(&self) -> Result<()> {
        self.load(20.0);
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        });
        let described = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
        let scaler = hpa("web", &object_metric(&described, METRIC, "10"));
        self.testbed
            .apply(&self.namespace, &list(&[deployment("web", 2), service, scaler]))
            .await?;
        self.rival.configure(self.testbed).await?;
        hpa_follows(&self.client, &self.namespace, "web", TARGET, 2).await
    }

    async fn go(&self) -> Result<()> {
        self.import().await?;
        self.follows(40.0, 4, "before the installation").await?;
        let replica = self.install().await?;
        self.follows(60.0, 6, "beside the rival").await?;
        self.compare(replica.secure_port()).await?;
        self.take_over().await?;
        self.rival.is_right(false);
        self.follows(30.0, 3, "after the take-over").await?;
        self.rival.is_right(true);
        self.back().await?;
        // what answers now can only be the rival
        replica.terminate().await?;
        self.follows(50.0, 5, "back").await?;
        self.beside_goes().await?;
        self.follows(20.0, 2, "after what was made beside it is gone")
            .await
    }

    fn load(&self, value: f64) {
        let labels = [("namespace", self.namespace.as_str()), ("service", "web")];
        self.testbed.exporter().gauge(METRIC, &labels, value);
    }

    /// Sets the load, and measures how long the HPA needs from the time on at which Prometheus has it.
    async fn follows(&self, load: f64, replicas: i32, when: &str) -> Result<()> {
        self.load(load);
        eventually(PATIENCE, "Prometheus has the load", || async {
            let expression = format!("{METRIC}{{namespace={:?}}} == {load}", self.namespace);
            ensure!(
                !self.testbed.prometheus().query(&expression).await?.is_empty(),
                "not yet"
            );
            Ok(())
        })
        .await?;
        let began = Instant::now();
        hpa_follows(
            &self.client,
            &self.namespace,
            "web",
            load / f64::from(replicas),
            replicas,
        )
        .await
        .with_context(|| when.to_owned())?;
        took(&format!("migration: {when}: the HPA follows"), began);
        ensure!(
            began.elapsed() <= TWO_SYNCS,
            "{when}: after {:?}",
            began.elapsed()
        );
        Ok(())
    }

    /// Sections 1 to 3: nothing is installed for them.
    async fn import(&self) -> Result<()> {
        let said = self.document.run("1. Import", 0, &[]).await?;
        ensure!(said.stderr.contains("MetricBackend"), "{said:?}");
        let rules = self.document.file("rules.yaml")?;
        ensure!(
            rules.contains("kind: ClusterMetricRule")
                && rules.contains("kind: MetricBackend")
                && rules.contains(self.testbed.prometheus().url())
                && rules.contains("semantics: PrometheusAdapter"),
            "{rules}"
        );
        self.document.run("2. Check", 0, &[]).await?;
        let prometheus = self.testbed.prometheus().url();
        let said = self
            .document
            .run(
                "3. Preview",
                0,
                &[
                    // the exporter's Prometheus is on loopback anyhow
                    (
                        "kubectl -n monitoring port-forward service/prometheus-operated 9090 &\n",
                        "",
                    ),
                    ("http://localhost:9090", prometheus),
                ],
            )
            .await?;
        ensure!(
            said.stdout.contains(METRIC) && said.stdout.contains("20"),
            "{said:?}"
        );
        Ok(())
    }

    /// Section 4. The testbed has installed the chart, and runs its pods as processes.
    async fn install(&self) -> Result<testbed::adapter::Replica> {
        let before = self.api_service(V1).await?;
        let replica = self.testbed.replica("replica-0")?;
        replica.start().await?;
        let helm =
            "helm install metricrule charts/metricrule --namespace metricrule-system --create-namespace\n";
        let said = self.document.run("4. Install", 0, &[(helm, "")]).await?;
        ensure!(
            said.stdout.contains(METRIC.replace('_', "-").as_str()),
            "{said:?}"
        );
        let rule = eventually(PATIENCE, "the rule says whose the API is", || async {
            let rules = get(&self.client, "/apis/metricrule.dev/v1alpha1/clustermetricrules").await?;
            let name = rules["items"][0]["metadata"]["name"]
                .as_str()
                .context("no rule")?;
            let rule = read_rule(&self.client, None, name).await?;
            let registered = condition(&rule, "Registered")?;
            ensure!(registered["reason"] == "OwnedByOther", "{registered}");
            ensure!(condition(&rule, "Ready")?["status"] == "True", "{rule}");
            Ok(rule)
        })
        .await?;
        ensure!(rule["spec"]["semantics"] == "PrometheusAdapter", "{rule}");
        let after = self.api_service(V1).await?;
        ensure!(after["spec"] == before["spec"], "it was {before}, it is {after}");
        Ok(replica)
    }

    /// Section 5. There are no pods to forward ports to.
    async fn compare(&self, port: u16) -> Result<()> {
        let direct = format!(
            "metricrule compare --url https://127.0.0.1:{port} --peer-url {} --insecure-skip-tls-verify",
            self.rival.url()
        );
        let said = self
            .document
            .run("5. Compare", 0, &[("metricrule compare", &direct)])
            .await?;
        ensure!(
            said.stdout.contains("the same") && said.stdout.contains("1 answered alike"),
            "{said:?}"
        );
        Ok(())
    }

    /// Section 6.
    async fn take_over(&self) -> Result<()> {
        self.document.run("6. Take over", 0, &[]).await?;
        ensure!(
            self.document
                .file("apiservice.yaml")?
                .contains("prometheus-adapter")
        );
        eventually(PATIENCE, "both versions are ours", || async {
            for name in [V1, V2] {
                let object = self.api_service(name).await?;
                ensure!(object["spec"]["service"]["namespace"] == NAMESPACE, "{object}");
                ensure!(condition(&object, "Available")?["status"] == "True", "{object}");
            }
            Ok(())
        })
        .await
    }

    /// Section 7, to where both versions are the rival's.
    async fn back(&self) -> Result<()> {
        self.document.run("7. And back", 0, &[]).await?;
        eventually(PATIENCE, "both versions are the rival's", || async {
            for name in [V1, V2] {
                let object = self.api_service(name).await?;
                ensure!(object["spec"]["service"]["namespace"] == "monitoring", "{object}");
                ensure!(object["metadata"]["ownerReferences"].is_null(), "{object}");
            }
            let first = self.api_service(V1).await?;
            ensure!(first["spec"] == self.rival.spec(), "{first}");
            Ok(())
        })
        .await
    }

    /// Section 7, once the HPA's controller asks by the version that it began with; and the rules as a configuration.
    async fn beside_goes(&self) -> Result<()> {
        self.rival.asked_by(&self.client, "v1beta1").await?;
        self.document.run("7. And back", 1, &[]).await?;
        self.document.run("7. And back", 2, &[]).await?;
        let config = self.document.file("config.yaml")?;
        ensure!(
            config.contains("seriesQuery") && config.contains(METRIC),
            "{config}"
        );
        Ok(())
    }

    async fn api_service(&self, name: &str) -> Result<Value> {
        get(
            &self.client,
            &format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}"),
        )
        .await
    }
}
