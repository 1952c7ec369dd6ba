//! The demo: an example is applied, the load raised and lowered, and the HPA watched.

mod script;
mod view;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use testbed::example::Example;
use testbed::exporter::Load;
use testbed::hpa::{self, Reading};
use testbed::{PATIENCE, Testbed, eventually, programs};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::say;
use script::{Script, Tick};
use view::View;

/// The namespace that the example is moved to.
const NAMESPACE: &str = "demo";
/// The range of the rules here: series are scraped every second, so a few seconds hold what minutes hold in a cluster.
const RANGE: &str = "5s";
/// So many readings in a row may fail before the demo gives up.
const MISSES: u32 = 15;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// End by itself after so many seconds, counted from the ready control plane; print one line each second, and exit 0 only if
    /// the HPA has scaled up and down again. Without it: a live view until Ctrl-C.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// The folder of manifests: one rule, one HPA with a Pods metric, one Deployment.
    #[arg(long, value_name = "DIR")]
    example: Option<PathBuf>,
}

/// What is looked at every second.
struct Subject {
    hpas: Api<HorizontalPodAutoscaler>,
    hpa: String,
    deployments: Api<Deployment>,
    deployment: String,
    rules: Api<DynamicObject>,
    rule: String,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let testbed = Testbed::builder().replicas(1).on_progress(say).start().await?;
    let outcome = play(&testbed, options).await;
    if outcome.is_err() {
        testbed.keep_logs("the demo failed");
    }
    outcome
}

async fn play(testbed: &Testbed, options: &Options) -> Result<()> {
    let folder = options.example.clone();
    let folder = folder.unwrap_or_else(|| programs::repository().join("examples/http-requests-per-pod"));
    let example = Example::read_folder(testbed, &folder)
        .await?
        .in_namespace(NAMESPACE)
        .with_range(RANGE);
    let hpa: HorizontalPodAutoscaler =
        serde_json::from_value(example.one("HorizontalPodAutoscaler")?.clone())?;
    let deployment: Deployment = serde_json::from_value(example.one("Deployment")?.clone())?;
    let rule = example.one("MetricRule")?;
    let subject = Subject::new(testbed, &hpa, &deployment, rule).await?;
    let bounds = hpa.spec.as_ref().context("the HPA has no spec")?;
    let mut script = Script::new(
        options.seconds,
        hpa::target(&hpa)?,
        bounds.min_replicas.unwrap_or(1),
        bounds.max_replicas,
    );
    let mut load = load_of(rule, &deployment)?;

    say(&format!(
        "applying {}: the workload first, under a little load",
        folder.display()
    ));
    testbed.kubectl(&["create", "namespace", NAMESPACE]).await?;
    let scaling = ["HorizontalPodAutoscaler", "MetricRule"];
    let is_scaling = |object: &Value| scaling.iter().any(|&kind| object["kind"] == kind);
    example
        .filter(|object| !is_scaling(object))
        .apply(testbed)
        .await?;
    load.rate = script.rate();
    testbed.exporter().set_load(&load);
    eventually(PATIENCE, "the pods' series are in Prometheus", || async {
        check_processes(testbed)?;
        let rows = testbed
            .prometheus()
            .query(&format!("{}{{namespace=\"{NAMESPACE}\"}}", load.metric))
            .await?;
        ensure!(!rows.is_empty(), "no series {} yet", load.metric);
        Ok(())
    })
    .await?;
    say("applying the rule and the HPA");
    example.filter(is_scaling).apply(testbed).await?;

    let live = options.seconds.is_none() && std::io::stdout().is_terminal();
    let mut view = View::new(live, &subject.rule, &subject.hpa, script.target());
    let mut every = interval(Duration::from_secs(1));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut misses = 0;
    loop {
        every.tick().await;
        check_processes(testbed)?;
        let at = testbed.ready_since().elapsed();
        match timeout(Duration::from_secs(5), subject.look(at, load.rate))
            .await
            .context("no answer in 5 s")
            .flatten()
        {
            Ok((tick, conditions)) => {
                misses = 0;
                let remark = script.step(&tick);
                view.show(&tick, &conditions, remark.as_deref())?;
            }
            Err(error) => {
                misses += 1;
                ensure!(
                    misses < MISSES,
                    "{:#}",
                    error.context("the API server does not answer")
                );
                view.remark(&format!("{error:#}"))?;
            }
        }
        if script.rate().to_bits() != load.rate.to_bits() {
            load.rate = script.rate();
            testbed.exporter().set_load(&load);
        }
        if script.is_over(at) {
            let summary = script.verdict()?;
            say(&summary);
            return Ok(());
        }
    }
}

/// The load that the rule is about, on the Deployment's pods.
fn load_of(rule: &Value, deployment: &Deployment) -> Result<Load> {
    let query = rule["spec"]["seriesQuery"]
        .as_str()
        .context("the rule has no seriesQuery")?;
    let metric = query.split('{').next().unwrap_or(query).trim();
    ensure!(
        !metric.is_empty(),
        "the rule's seriesQuery names no series: {query}"
    );
    let labels = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.match_labels.as_ref());
    let (label, value) = labels
        .and_then(|labels| labels.iter().next())
        .context("the Deployment selects by no label")?;
    let mut load = Load::requests(NAMESPACE, value, 0.0);
    metric.clone_into(&mut load.metric);
    label.clone_into(&mut load.selector.0);
    Ok(load)
}

/// Fails when a part has ended, and names it.
fn check_processes(testbed: &Testbed) -> Result<()> {
    for replica in testbed.replicas() {
        if let Some(end) = replica.process().ended() {
            bail!(
                "the adapter ({}) has ended: {end}{}",
                replica.name(),
                replica.process().tail()
            );
        }
    }
    for process in testbed
        .control_plane()
        .processes()
        .into_iter()
        .chain([testbed.prometheus().process()])
    {
        if let Some(end) = process.ended() {
            bail!("{} has ended: {end}{}", process.name(), process.tail());
        }
    }
    Ok(())
}

// === impl Subject ===

impl Subject {
    async fn new(
        testbed: &Testbed,
        hpa: &HorizontalPodAutoscaler,
        deployment: &Deployment,
        rule: &Value,
    ) -> Result<Self> {
        let client = testbed.client().await?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("metricrule.dev", "v1alpha1", "MetricRule"));
        let name = |name: &Option<String>| name.clone().context("an object without a name");
        Ok(Self {
            hpas: Api::namespaced(client.clone(), NAMESPACE),
            hpa: name(&hpa.metadata.name)?,
            deployments: Api::namespaced(client.clone(), NAMESPACE),
            deployment: name(&deployment.metadata.name)?,
            rules: Api::namespaced_with(client, NAMESPACE, &kind),
            rule: rule["metadata"]["name"]
                .as_str()
                .context("the rule has no name")?
                .to_owned(),
        })
    }

    /// The HPA, the pods and the rule's conditions, now.
    async fn look(&self, at: Duration, rate: f64) -> Result<(Tick, Vec<Value>)> {
        let hpa = self.hpas.get(&self.hpa);
        let deployment = self.deployments.get(&self.deployment);
        let rule = self.rules.get(&self.rule);
        let (hpa, deployment, rule) = futures::try_join!(hpa, deployment, rule)?;
        let ready = deployment
            .status
            .and_then(|status| status.ready_replicas)
            .unwrap_or_default();
        let conditions = rule
            .data
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        Ok((
            Tick {
                at,
                rate,
                reading: Reading::of(&hpa)?,
                ready,
            },
            conditions,
        ))
    }
}
