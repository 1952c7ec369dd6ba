//! Ten thousand requests that nobody sends by accident, to the TLS port of a real replica with a real Prometheus: no failure that
//! the backend did not cause, no row of another namespace, no query that Prometheus cannot read, no memory kept.
//!
//! `METRICRULE_HOSTILE_SEED` and `METRICRULE_HOSTILE_COUNT` make other and longer runs.

mod client;
mod generate;
mod judge;
mod parts;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use kube::Client;
use proptest::{
    strategy::{BoxedStrategy, Strategy as _, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Instant;

use self::{
    client::Dialer,
    generate::{Hostile, World},
    judge::{Judge, Verdict},
};
use crate::ask::{create, rule, say, sweep, took, turn, until_condition, until_series};

const SEED: u64 = 0x6d65_7472_6963_7275;
const COUNT: usize = 10_000;
/// Before memory is measured: caches and pools fill, and the allocator takes what it needs.
const WARM_UP: usize = 1_000;
/// While Prometheus is stopped.
const DOWN: usize = 600;
const CONCURRENCY: usize = 12;
/// What a run may leave behind.
const MAX_GROWTH_KIB: u64 = 20 * 1024;

struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    world: Arc<World>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_fail_by_themselves_alone() -> Result<()> {
    let start = Instant::now();
    let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
    let testbed = Testbed::builder().binary(binary).replicas(1).start().await?;
    took("hostile: the testbed starts", start);
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("hostile-a", async |a| {
            testbed
                .with_namespace("hostile-b", async |b| {
                    testbed
                        .with_namespace("hostile-c", async |c| {
                            let scene = Scene {
                                testbed: &testbed,
                                client: crate::ask::client(&testbed).await?,
                                world: Arc::new(World::new([a, b, c])),
                            };
                            scene.set_up().await?;
                            // thousands of requests at a time are no company for who measures seconds
                            let _turn = turn().await;
                            scene.run().await
                        })
                        .await
                })
                .await
        })
        .await;
    let swept = sweep(&crate::ask::client(&testbed).await?, "hostile").await;
    took("hostile", began);
    outcome.and(swept)
}

impl Scene<'_> {
    async fn set_up(&self) -> Result<()> {
        let exporter = self.testbed.exporter();
        for (namespace, unit) in self.world.units() {
            for (number, pod) in generate::PODS.iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "there are four")]
                let value = unit * (number + 1) as f64;
                for shard in ["x", "y"] {
                    let labels = [("namespace", namespace), ("pod", *pod), ("shard", shard)];
                    exporter.gauge("hostileseries_queue", &labels, value);
                }
            }
            let pods: Vec<Value> = generate::PODS.iter().map(|pod| pod_of(pod)).collect();
            self.testbed
                .apply(namespace, &crate::support::list(&pods))
                .await?;
        }
        exporter.gauge("hostileseries_load", &[("node", NODE)], generate::NODE_UNIT);
        until_series(self.testbed, "hostileseries_queue", 3 * 2 * generate::PODS.len()).await?;
        until_series(self.testbed, "hostileseries_load", 1).await?;

        let mut rules = Vec::new();
        for (owner, spec) in parts::rules(&self.world) {
            let name = format!(
                "hostile-{}",
                spec["name"]["as"].as_str().context("a name")?.replace('_', "-")
            );
            create(&self.client, &rule(owner.as_deref(), &name, &spec)).await?;
            rules.push((owner, name));
        }
        for (owner, name) in &rules {
            let kind = if owner.is_some() {
                "MetricRule"
            } else {
                "ClusterMetricRule"
            };
            let api = crate::ask::objects(&self.client, kind, owner.as_deref());
            until_condition(&api, name, "Ready", "True", "Serving").await?;
        }
        let access = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "hostile"}, "rules": [
                {"apiGroups": ["custom.metrics.k8s.io", "external.metrics.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            ]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "hostile"},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "hostile"},
             "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "hostile"}]},
        ]});
        self.testbed.apply_anywhere(&access.to_string()).await?;
        Ok(())
    }

    async fn run(&self) -> Result<()> {
        let replica = self.testbed.replicas().first().context("no replica")?;
        let (seed, count) = (
            number("METRICRULE_HOSTILE_SEED", SEED)?,
            number("METRICRULE_HOSTILE_COUNT", COUNT)?,
        );
        let dialer = Arc::new(Dialer::new(self.testbed, &self.client).await?);
        let judge = Arc::new(Judge::new(&self.world, self.testbed.prometheus().url()));
        let mut requests = Requests::new(seed, &self.world);

        let warm_up = drive(&dialer, &judge, requests.take(WARM_UP), judge::Backend::Answers).await?;
        let (pid, before) = (replica.process().pid(), resident(replica.process().pid())?);
        let refused = self.refused_queries().await?;
        let began = Instant::now();
        let outcomes = drive(&dialer, &judge, requests.take(count), judge::Backend::Answers).await?;
        let after = resident(pid)?;
        say(&format!(
            "hostile: seed {seed}, {count} requests in {:.1} s: {outcomes:?}; memory {before} KiB, then {after} KiB",
            began.elapsed().as_secs_f64()
        ));
        ensure!(replica.process().pid() == pid, "the replica was started anew");
        ensure!(
            after <= before + MAX_GROWTH_KIB,
            "the memory grew from {before} to {after} KiB"
        );
        ensure!(
            self.refused_queries().await? == refused,
            "Prometheus or the adapter counts queries that could not be read"
        );
        self.is_ready().await?;
        // a run that only meets refusals, or never meets one, shows nothing
        if count >= COUNT {
            for (outcome, at_least) in [
                ("200 with items", count / 20),
                ("400", count / 50),
                ("404", count / 50),
                ("405", count / 200),
            ] {
                let times = outcomes.get(outcome).copied().unwrap_or_default();
                ensure!(
                    times >= at_least,
                    "{outcome}: {times} of {count}, after {warm_up:?}"
                );
            }
        }

        self.testbed.prometheus().stop().await?;
        let outcomes = drive(&dialer, &judge, requests.take(DOWN), judge::Backend::IsDown).await?;
        say(&format!("hostile: without Prometheus: {outcomes:?}"));
        ensure!(
            outcomes.contains_key("503"),
            "nothing needed the backend: {outcomes:?}"
        );
        self.is_ready().await?;
        self.testbed.prometheus().start().await?;

        let log = replica.process().log_text();
        for word in [generate::SECRET, "panicked"] {
            let line = log.lines().find(|line| line.contains(word));
            ensure!(line.is_none(), "the log has {word}: {line:?}");
        }
        Ok(())
    }

    /// How many queries could not be read: as we count them, and as Prometheus does.
    async fn refused_queries(&self) -> Result<(f64, f64)> {
        let replica = self.testbed.replicas().first().context("no replica")?;
        let (_, ours) = replica.get("/metrics").await?;
        let theirs = testbed_get(&format!("{}/metrics", self.testbed.prometheus().url())).await?;
        let rejected = sum(&ours, |series| {
            series.contains("backend_queries_total") && series.contains("reason=\"QueryRejected\"")
        });
        let bad = sum(&theirs, |series| {
            series.starts_with("prometheus_http_requests_total")
                && series.contains("code=\"4")
                && series.contains("/api/v1/")
        });
        ensure!(ours.contains("backend_queries_total"), "no such metric");
        ensure!(
            theirs.contains("prometheus_http_requests_total"),
            "no such metric"
        );
        Ok((rejected, bad))
    }

    async fn is_ready(&self) -> Result<()> {
        let replica = self.testbed.replicas().first().context("no replica")?;
        eventually(PATIENCE, "the replica is ready", || async {
            let (code, text) = replica.get("/readyz").await?;
            ensure!(code == 200, "{code}: {text}");
            Ok(())
        })
        .await
    }
}

/// The requests of a seed, one after the other.
struct Requests {
    runner: TestRunner,
    strategy: BoxedStrategy<Hostile>,
}

impl Requests {
    fn new(seed: u64, world: &World) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            strategy: generate::requests(world),
        }
    }

    fn take(&mut self, count: usize) -> Vec<Hostile> {
        let tree = |_| self.strategy.new_tree(&mut self.runner).ok();
        (0..count).filter_map(tree).map(|tree| tree.current()).collect()
    }
}

/// Sends them all, each client one after the other, and tells what came back how often. What is wrong is told together.
async fn drive(
    dialer: &Arc<Dialer>,
    judge: &Arc<Judge>,
    requests: Vec<Hostile>,
    backend: judge::Backend,
) -> Result<BTreeMap<String, usize>> {
    let sent = requests.len();
    let mut lanes: Vec<Vec<Hostile>> = (0..CONCURRENCY).map(|_| Vec::new()).collect();
    for (number, request) in requests.into_iter().enumerate() {
        lanes[number % CONCURRENCY].push(request);
    }
    let lanes = lanes.into_iter().map(|lane| {
        let (dialer, judge) = (Arc::clone(dialer), Arc::clone(judge));
        tokio::spawn(async move {
            let mut connections = dialer.lane();
            let mut verdicts = Vec::new();
            for request in lane {
                let reply = connections.send(&request).await;
                verdicts.push(judge.verdict(&request, reply, backend));
            }
            verdicts
        })
    });
    let verdicts: Vec<_> = stream::iter(lanes).buffer_unordered(CONCURRENCY).collect().await;
    let (mut outcomes, mut wrong) = (BTreeMap::new(), Vec::new());
    for verdict in verdicts
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        match verdict {
            Verdict::Right(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Verdict::Wrong(why) => wrong.push(why),
        }
    }
    let first: Vec<&str> = wrong.iter().take(12).map(String::as_str).collect();
    ensure!(
        wrong.is_empty(),
        "{} of {sent} requests:\n{}",
        wrong.len(),
        first.join("\n")
    );
    Ok(outcomes)
}

fn pod_of(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "queue", "number": name}},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
    })
}

/// The resident memory of a process, in KiB.
fn resident(pid: Option<u32>) -> Result<u64> {
    let pid = pid.context("the replica does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("no VmRSS")?.parse()?)
}

async fn testbed_get(url: &str) -> Result<String> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(url)
        .send()
        .await?
        .text()
        .await?)
}

/// The sum of those series of a page of metrics.
fn sum(page: &str, of: impl Fn(&str) -> bool) -> f64 {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| of(series))
        .filter_map(|(_, value)| value.parse::<f64>().ok())
        .sum()
}

fn number<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
    default: T,
) -> Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}
