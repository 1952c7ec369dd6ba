//! What fails beside the adapter: it stays ready and in discovery, says what is the matter, and needs no restart afterwards.

mod secured;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use testbed::adapter::Replica;
use testbed::{PATIENCE, Testbed, eventually, throughout};
use tokio::time::Instant;

use self::secured::Secured;
use crate::ask::{
    CALM, ask, backend, create, custom, external, get, objects, rule, say, sweep, took, turn,
    until_condition, until_series, until_value,
};
use crate::traffic::Traffic;

const BACKEND: &str = "faults";
/// How long a series that has ended is still found: every fault lasts longer.
const LOOKBACK: Duration = Duration::from_secs(5);
const FAULT: Duration = Duration::from_secs(7);
/// Two probes of a backend and their deadlines.
const PROBED: Duration = Duration::from_secs(45);
/// How soon answers are back once the backend is: a retry of the series, and a scrape.
const BACK: Duration = Duration::from_secs(20);
const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta2";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
const POD: &str = "web-0";

struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    namespace: String,
    rules: Api<DynamicObject>,
    backends: Api<DynamicObject>,
    replica: &'a Replica,
}

#[tokio::test]
async fn prometheus_may_be_absent_stop_and_freeze() -> Result<()> {
    let start = Instant::now();
    let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
    let testbed = Testbed::builder()
        .prometheus(false)
        .binary(binary)
        .replicas(1)
        .start()
        .await?;
    took("faults: the testbed starts", start);
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("faults", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            let scene = Scene {
                testbed: &testbed,
                rules: objects(&client, "MetricRule", Some(&namespace)),
                backends: objects(&client, "MetricBackend", None),
                client,
                namespace,
                replica: testbed.replicas().first().context("no replica")?,
            };
            scene.run().await
        })
        .await;
    took("faults: absent, stopped, frozen", began);
    outcome
}

impl Scene<'_> {
    async fn run(&self) -> Result<()> {
        let pid = self.replica.process().pid();
        self.set_up().await?;
        let prometheus = self.testbed.prometheus();

        // ── absent at start: nothing was ever found, so discovery is up and empty, and no metric is known ──
        until_condition(&self.rules, "faults", "Discovered", "False", "BackendDown").await?;
        until_condition(&self.rules, "faults", "Ready", "False", "BackendDown").await?;
        until_condition(&self.backends, BACKEND, "Reachable", "False", "BackendDown").await?;
        until_condition(&self.backends, BACKEND, "Ready", "False", "BackendDown").await?;
        eventually(PATIENCE, "the APIServices are available", || self.available()).await?;
        throughout(FAULT, "absent: ready, and discovery is up but empty", || async {
            self.stays_up().await?;
            for api in [CUSTOM, EXTERNAL] {
                let list = get(&self.client, api).await?;
                let names = names(&list)?;
                // what is static is known without a look
                ensure!(
                    names.iter().all(|name| name.contains("static")),
                    "{api} lists {names:?}"
                );
            }
            self.refuses(&self.of_pod("faults_gauge"), 503, "NotSynced")
                .await?;
            self.refuses(&self.of_pod("faults_static"), 503, "BackendDown")
                .await
        })
        .await?;
        self.namespace_goes().await?;

        let begun = Instant::now();
        prometheus.start().await?;
        self.comes_back("absent", begun).await?;
        until_condition(&self.backends, BACKEND, "Ready", "True", "Ready").await?;

        // ── stopped ──
        prometheus.stop().await?;
        let begun = Instant::now();
        self.lasts("stopped", "BackendDown").await?;
        self.backend_says("Reachable", "False", "BackendDown").await?;
        self.backend_says("Ready", "False", "BackendDown").await?;
        let version = self.backends.get(BACKEND).await?.data;
        ensure!(
            version.pointer("/status/lastError/reason") == Some(&json!("BackendDown")),
            "{}",
            version["status"]
        );
        took("faults: stopped until the backend's status says so", begun);
        let begun = Instant::now();
        prometheus.start().await?;
        self.comes_back("stopped", begun).await?;

        // ── frozen ──
        prometheus.freeze()?;
        self.lasts("frozen", "BackendTimeout").await?;
        self.backend_says("Reachable", "False", "BackendTimeout").await?;
        let begun = Instant::now();
        prometheus.thaw()?;
        self.comes_back("frozen", begun).await?;
        self.backend_says("Ready", "True", "Ready").await?;

        // ── absent when the adapter starts, with all its rules there ──
        prometheus.stop().await?;
        self.replica.terminate().await?;
        self.replica.start().await.context("a start without Prometheus")?;
        throughout(
            FAULT,
            "absent at the second start: ready, and discovery is up",
            || async {
                self.ready().await?;
                self.refuses(&self.of_pod("faults_static"), 503, "BackendDown")
                    .await
                    .or_else(not_yet_forwarded)
            },
        )
        .await?;
        let begun = Instant::now();
        prometheus.start().await?;
        self.comes_back("absent at the second start", begun).await?;
        ensure!(pid.is_some(), "the replica did not run");
        Ok(())
    }

    async fn set_up(&self) -> Result<()> {
        let spec = json!({
            "type": "Prometheus",
            "prometheus": {"url": self.testbed.prometheus().url(), "timeout": "1s"},
            "discovery": {"interval": "2s", "lookback": format!("{}s", LOOKBACK.as_secs())},
            "limits": {"perRule": {"minRefresh": "0s"}},
        });
        create(&self.client, &backend(BACKEND, &spec)).await?;
        let labels = [("namespace", self.namespace.as_str()), ("pod", POD)];
        self.testbed.exporter().gauge("faults_gauge", &labels, 42.0);
        let mapping =
            json!({"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}});
        let discovered = json!({
            "backendRef": {"name": BACKEND},
            "seriesQuery": "faults_gauge",
            "resources": mapping,
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            // Held answers would hide for a while what becomes of the backend.
            "refresh": "1ms",
        });
        let mut fixed = json!({
            "backendRef": {"name": BACKEND},
            "resources": mapping,
            "name": {"as": "faults_static"},
            "metricsQuery": "sum by (<<.GroupBy>>) (faults_gauge{<<.LabelMatchers>>}) * 2",
            "refresh": "1ms",
        });
        create(&self.client, &rule(Some(&self.namespace), "faults", &discovered)).await?;
        create(
            &self.client,
            &rule(Some(&self.namespace), "faults-static", &fixed),
        )
        .await?;
        fixed["api"] = json!("External");
        fixed["metricsQuery"] = json!("sum(faults_gauge{<<.LabelMatchers>>}) * 3");
        create(
            &self.client,
            &rule(Some(&self.namespace), "faults-external", &fixed),
        )
        .await
    }

    fn of_pod(&self, metric: &str) -> String {
        custom(&self.namespace, "pods", POD, metric)
    }

    /// The process is ready on both its health endpoints' terms, and it is the one that was started.
    async fn ready(&self) -> Result<()> {
        for path in ["/readyz", "/livez", "/healthz"] {
            let (status, text) = self.replica.get(path).await?;
            ensure!(status == 200, "{path} answers {status}: {text}");
        }
        Ok(())
    }

    async fn available(&self) -> Result<()> {
        for version in ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"] {
            let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.metrics.k8s.io");
            let service = get(&self.client, &path).await?;
            let conditions = service
                .pointer("/status/conditions")
                .and_then(Value::as_array)
                .context("no condition")?;
            let available = conditions
                .iter()
                .any(|c| c["type"] == "Available" && c["status"] == "True");
            ensure!(available, "{version}.metrics.k8s.io: {conditions:?}");
        }
        Ok(())
    }

    async fn stays_up(&self) -> Result<()> {
        self.ready().await?;
        self.available().await
    }

    /// It is refused for this reason, in words that give away neither the address nor the query.
    async fn refuses(&self, path: &str, code: u16, reason: &str) -> Result<()> {
        let answer = ask(&self.client, path).await?;
        ensure!(
            answer.refuses(code, reason),
            "{path}: {answer:?}, not {code} {reason}"
        );
        for secret in [
            "http://",
            "127.0.0.1",
            "localhost:",
            "sum by",
            "sum(",
            "api/v1",
            "{namespace",
        ] {
            ensure!(
                !answer.message.contains(secret),
                "{path}: {:?} gives {secret:?} away",
                answer.message
            );
        }
        Ok(())
    }

    /// A fault of a backend that was known before, for longer than its series are remembered.
    async fn lasts(&self, what: &str, reason: &'static str) -> Result<()> {
        let paths = [
            self.of_pod("faults_gauge"),
            self.of_pod("faults_static"),
            external(&self.namespace, "faults_static", ""),
        ];
        throughout(
            FAULT,
            &format!("{what}: ready, names are listed, answers name the cause"),
            || async {
                self.stays_up().await?;
                let list = get(&self.client, CUSTOM).await?;
                ensure!(
                    names(&list)?.iter().any(|name| name == "pods/faults_gauge"),
                    "the metric is no longer listed"
                );
                for path in &paths {
                    self.refuses(path, 503, reason).await?;
                }
                Ok(())
            },
        )
        .await?;
        until_condition(&self.rules, "faults", "Discovered", "False", reason).await?;
        let message = until_condition(&self.rules, "faults", "Ready", "True", "Stale").await?;
        ensure!(!message.contains("http://"), "{message}");
        self.namespace_goes().await
    }

    /// Answers return by themselves.
    async fn comes_back(&self, what: &str, since: Instant) -> Result<()> {
        until_value(&self.client, &self.of_pod("faults_gauge"), 42.0, BACK)
            .await
            .with_context(|| what.to_owned())?;
        until_value(&self.client, &self.of_pod("faults_static"), 84.0, BACK).await?;
        until_value(
            &self.client,
            &external(&self.namespace, "faults_static", ""),
            126.0,
            BACK,
        )
        .await?;
        took(&format!("faults: after `{what}` answers are back"), since);
        until_condition(&self.rules, "faults", "Discovered", "True", "Discovered").await?;
        until_condition(&self.rules, "faults", "Ready", "True", "Serving").await?;
        self.stays_up().await
    }

    async fn backend_says(&self, kind: &str, status: &str, reason: &str) -> Result<()> {
        tokio::time::timeout(
            PROBED,
            until_condition(&self.backends, BACKEND, kind, status, reason),
        )
        .await
        .with_context(|| format!("{kind}={status} {reason} is not told within {PROBED:?}"))??;
        Ok(())
    }

    /// The namespace controller needs the discovery of every API: with a broken one no namespace in the cluster ends.
    async fn namespace_goes(&self) -> Result<()> {
        let path = "/api/v1/namespaces";
        let namespace = json!({"metadata": {"name": "faults-goes"}});
        let request = http::Request::post(path).header("content-type", "application/json");
        self.client
            .request::<Value>(request.body(serde_json::to_vec(&namespace)?)?)
            .await?;
        let one = format!("{path}/faults-goes");
        self.client
            .request::<Value>(http::Request::delete(&one).body(Vec::new())?)
            .await?;
        eventually(PATIENCE, "a namespace is deleted", || async {
            match get(&self.client, &one).await {
                Err(error) if format!("{error:#}").contains("not found") => Ok(()),
                Err(error) => Err(error),
                Ok(namespace) => anyhow::bail!("it is still there: {}", namespace["status"]),
            }
        })
        .await
    }
}

/// Between the end of the one process and the first look of the balancer at the next the API server forwards to nobody.
fn not_yet_forwarded(error: anyhow::Error) -> Result<()> {
    let text = format!("{error:#}");
    let theirs = [
        "error trying to reach service",
        "service unavailable",
        "the server is currently unable to handle",
    ];
    if theirs.iter().any(|words| text.contains(words)) {
        Ok(())
    } else {
        Err(error)
    }
}

fn names(list: &Value) -> Result<Vec<String>> {
    let resources = list["resources"].as_array().context("no list of resources")?;
    Ok(resources
        .iter()
        .filter_map(|resource| Some(resource["name"].as_str()?.to_owned()))
        .collect())
}

/// A replica that is told to end while it is asked lets no request fail: it stays until it is out of the balancer, and sends its
/// connections away before it closes them.
#[tokio::test]
async fn a_replica_ends_under_load_without_a_failed_request() -> Result<()> {
    let testbed = CALM.get().await?;
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("traffic", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            testbed.exporter().gauge("traffic_gauge", &[("namespace", &namespace), ("pod", POD)], 5.0);
            let spec = json!({
                "seriesQuery": "traffic_gauge",
                "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
                "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            });
            until_series(&testbed, "traffic_gauge", 1).await?;
            create(&client, &rule(Some(&namespace), "traffic", &spec)).await?;
            let path = custom(&namespace, "pods", POD, "traffic_gauge");
            until_value(&client, &path, 5.0, PATIENCE).await?;

            let second = testbed.replica("second")?;
            let starting = Instant::now();
            second.start().await?;
            took("traffic: a second replica starts", starting);
            let first = testbed.replicas().first().context("no replica")?;
            let traffic = Traffic::start(client.clone(), vec![(path, 5.0)]);
            // the leader first, then the one that took over from it
            for (leaving, staying) in [(first, &second), (&second, first)] {
                staying.start().await?;
                eventually(PATIENCE, "both replicas are behind the Service", || async {
                    let ready = testbed.balancer().ready();
                    ensure!(ready.len() == 2, "{ready:?}");
                    Ok(())
                })
                .await?;
                let sent = traffic.sent();
                let leaves = Instant::now();
                let status = leaving.terminate().await?;
                took(&format!("traffic: {} ends", leaving.name()), leaves);
                ensure!(status.is_some_and(|status| status.success()), "{} ended with {status:?}", leaving.name());
                // the other one alone answers for a while
                eventually(PATIENCE, "requests go on", || async {
                    let more = traffic.sent() - sent;
                    ensure!(more >= 60, "{more} requests");
                    Ok(())
                })
                .await?;
            }
            let (sent, failures) = traffic.stop().await?;
            say(&format!("traffic: {sent} requests, {} failed: {:?}", failures.len(), &failures[..failures.len().min(3)]));
            ensure!(sent >= 120, "{sent} requests only");
            ensure!(failures.is_empty(), "{} of {sent} requests failed: {:?}", failures.len(), &failures[..failures.len().min(5)]);
            Ok(())
        })
        .await;
    took("traffic", began);
    outcome
}

/// A changed Secret is taken up by the replica that runs.
#[tokio::test]
async fn a_backends_changed_secret_is_taken_up() -> Result<()> {
    let testbed = CALM.get().await?;
    // it must be the same replica throughout, and another test here ends and starts it
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("secured", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            let server = Secured::start(&namespace, POD).await?;
            let secured = secured::Scene {
                testbed: &testbed,
                client,
                namespace,
                server,
            };
            secured.run().await
        })
        .await;
    let swept = sweep(&crate::ask::client(&testbed).await?, "secured").await;
    took("secured", began);
    outcome.and(swept)
}

/// Labels of a series, for the answers of a server that a test plays itself.
type Labels = BTreeMap<&'static str, String>;
