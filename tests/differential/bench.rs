//! Our side: one replica, whose backend is the recorder, and rules from imports.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use serde_json::json;
use testbed::Testbed;
use testbed::peer::direct;
use testbed::recorder::{Recorder, Source};
use tokio::process::Command;

use crate::answer::{Answer, ask};
use crate::cluster::{Discovery, start};

/// How long discovery may take to be the same, on a machine that does other things as well.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);

/// Kinds whose objects may be listed: those of `objects.yaml`, as values of the chart.
const KINDS: [(&str, &str); 9] = [
    ("", "pods"),
    ("", "nodes"),
    ("", "services"),
    ("", "namespaces"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"),
    ("pantry.example", "breweries"),
];

/// What both are asked about, and what comes of it.
pub(crate) struct Bench {
    pub(crate) testbed: Testbed,
    pub(crate) recorder: Recorder,
    pub(crate) ours: Client,
}

/// What `metricrule import` made of a configuration.
pub(crate) struct Imported {
    /// As YAML.
    pub(crate) rules: String,
    /// The first of its warnings.
    pub(crate) warning: Option<String>,
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        let builder = Testbed::builder()
            .binary(Path::new(env!("CARGO_BIN_EXE_metricrule")))
            .prometheus(false);
        let builder = KINDS
            .iter()
            .enumerate()
            .fold(builder, |builder, (index, (group, resource))| {
                let field = format!("rbac.objects[{index}]");
                builder.value(&format!("{field}.group={group},{field}.resource={resource}"))
            });
        let testbed = start(builder.replicas(1)).await?;
        let recorder = Recorder::start(Source::Upstream("http://127.0.0.1:1".to_owned(), 0.0)).await?;
        let backend = json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
            "metadata": {"name": "default", "annotations": {"metricrule.dev/is-default": "true"}},
            "spec": {"type": "Prometheus", "prometheus": {"url": recorder.url()}, "discovery": {"interval": "1s"}},
        });
        testbed.apply_anywhere(&backend.to_string()).await?;
        let replica = testbed.replicas().first().context("no replica")?;
        Ok(Self {
            ours: direct(&testbed, replica.secure_port()).await?,
            recorder,
            testbed,
        })
    }

    pub(crate) async fn put(&self, client: &Client, paths: &[String]) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for path in paths {
            self.recorder.take();
            let mut answer = ask(client, path).await?;
            answer.queries = self.recorder.take();
            answers.push(answer);
        }
        Ok(answers)
    }

    /// What `metricrule import` prints of a configuration, without the backend; or what it says of one that it refuses.
    pub(crate) async fn import(
        &self,
        config: &Path,
        semantics: &str,
    ) -> Result<std::result::Result<Imported, String>> {
        let output = Command::new(env!("CARGO_BIN_EXE_metricrule"))
            .arg("import")
            .arg(config)
            .args(["--semantics", semantics, "--refresh", "0s"])
            .output()
            .await?;
        if !matches!(output.status.code(), Some(0 | 3)) {
            return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let text = String::from_utf8(output.stdout)?;
        let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
        let rules: Vec<&str> = documents
            .filter(|document| !document.lines().any(|line| line == "kind: MetricBackend"))
            .collect();
        let said = String::from_utf8_lossy(&output.stderr);
        let warning = said.lines().find(|line| line.contains(": warning: "));
        Ok(Ok(Imported {
            rules: rules.join("---\n"),
            warning: warning.map(ToOwned::to_owned),
        }))
    }

    pub(crate) async fn apply(&self, manifest: &str) -> Result<()> {
        if manifest.is_empty() {
            return Ok(());
        }
        self.testbed.apply_anywhere(manifest).await.map(drop)
    }

    pub(crate) async fn clear(&self) -> Result<()> {
        let args = [
            "delete",
            "clustermetricrules.metricrule.dev",
            "--all",
            "--wait=true",
        ];
        self.testbed.kubectl(&args).await?;
        let empty = Discovery::until(&self.ours, SETTLE, |now| *now == Discovery::default()).await?;
        anyhow::ensure!(
            empty == Discovery::default(),
            "what no rule gives is still listed: {empty:?}"
        );
        Ok(())
    }
}
