//! The control plane with the objects that requests are about, and what is read of configurations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use testbed::testbed::Builder;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::{Instant, sleep};

use crate::answer::listed;
use crate::say;

const OBJECTS: &str = include_str!("objects.yaml");
/// The groups whose discovery is compared.
const CUSTOM: &str = "/apis/custom.metrics.k8s.io/v1beta1";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

/// What discovery lists of both APIs: names, and whether they are in namespaces.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Discovery {
    pub(crate) custom: Vec<(String, bool)>,
    pub(crate) external: Vec<(String, bool)>,
}

impl Discovery {
    /// As it is now.
    pub(crate) async fn read(client: &Client) -> Result<Self> {
        Ok(Self {
            custom: listed(client, CUSTOM).await?,
            external: listed(client, EXTERNAL).await?,
        })
    }

    /// Once it lists something and stands still for a second, or as it is after `patience`.
    pub(crate) async fn settled(client: &Client, patience: Duration) -> Result<Self> {
        Self::until(client, patience, |now| *now != Self::default()).await
    }

    /// Once it is what is wanted and stays so, or as it is after `patience`.
    pub(crate) async fn until(
        client: &Client,
        patience: Duration,
        good: impl Fn(&Self) -> bool,
    ) -> Result<Self> {
        let end = Instant::now() + patience;
        let (mut last, mut held) = (Self::default(), 0);
        loop {
            let now = Self::read(client).await?;
            held = if now == last && good(&now) { held + 1 } else { 0 };
            if held == 3 || Instant::now() > end {
                return Ok(now);
            }
            last = now;
            sleep(Duration::from_millis(400)).await;
        }
    }

    /// What `got` lacks and adds.
    pub(crate) fn difference(&self, got: &Self) -> String {
        let lacks = |all: &[(String, bool)], some: &[(String, bool)]| {
            all.iter()
                .filter(|entry| !some.contains(entry))
                .take(4)
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        format!(
            "discovery lacks [{} {}], adds [{} {}]",
            lacks(&self.custom, &got.custom),
            lacks(&self.external, &got.external),
            lacks(&got.custom, &self.custom),
            lacks(&got.external, &self.external)
        )
    }
}

/// Starts it, with the objects.
pub(crate) async fn start(builder: Builder) -> Result<Testbed> {
    say("starting the control plane");
    let testbed = Box::pin(builder.start()).await?;
    for document in OBJECTS.split("\n---\n") {
        testbed.apply_anywhere(document).await?;
    }
    eventually(PATIENCE, "the kind of our own is served", || async {
        let args = ["get", "breweries.pantry.example", "--all-namespaces"];
        testbed.kubectl(&args).await.map(drop)
    })
    .await?;
    let brewery = "{apiVersion: pantry.example/v1, kind: Brewery, metadata: {name: web, namespace: shop, labels: {app: web}}}";
    testbed.apply_anywhere(brewery).await?;
    Ok(testbed)
}

/// The configurations of a folder, by name.
pub(crate) fn configurations(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    found.retain(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml"));
    found.sort();
    ensure!(!found.is_empty(), "no *.yaml in {}", folder.display());
    Ok(found)
}

/// The name of a configuration's file without its end.
pub(crate) fn name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
