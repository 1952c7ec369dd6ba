//! Rules at rest.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, ListParams};
use testbed::{PATIENCE, eventually};
use tokio::time::Instant;

use super::{RULES, Scene};
use crate::ask::{objects, say};

/// How long rules at rest are looked at, and how long they may take to come to rest: less important changes of a status are
/// held back for up to a minute.
const REST: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_mins(2);

impl Scene<'_> {
    /// At rest nothing is written, though the series are listed again every ten seconds: neither a change, which raises a
    /// resourceVersion, nor a write that changes nothing, which the API server counts all the same. (How many rules a backend
    /// has may be told a minute late.)
    pub(super) async fn rest(&self) -> Result<()> {
        let begun = Instant::now();
        // the API server refuses lists until its cache has taken up the schema, which has just changed
        let versions = eventually(PATIENCE, "the API server lists rules", || self.versions()).await?;
        let mut before = (versions, self.status_writes().await?);
        ensure!(
            before.0.len() > RULES && before.1 > 0,
            "{} objects, {} writes",
            before.0.len(),
            before.1
        );
        let mut calm_since = Instant::now();
        let mut last = Vec::new();
        while calm_since.elapsed() < REST {
            ensure!(
                begun.elapsed() < SETTLED,
                "no rest of {REST:?} within {SETTLED:?}; the last writes were of {:?}",
                &last[..last.len().min(5)]
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
            let after = (self.versions().await?, self.status_writes().await?);
            if after != before {
                last = after
                    .0
                    .iter()
                    .filter(|version| !before.0.contains(version))
                    .cloned()
                    .collect();
                say(&format!(
                    "edits: {:?} after the last edit {} writes, of {last:?}",
                    begun.elapsed(),
                    after.1 - before.1
                ));
                (before, calm_since) = (after, Instant::now());
            }
        }
        Ok(())
    }

    async fn versions(&self) -> Result<Vec<String>> {
        let kinds = ["MetricRule", "ClusterMetricRule"];
        let lists = kinds.map(|kind| objects(&self.client, kind, None));
        let mut versions = Vec::new();
        for api in lists {
            let list = api.list(&ListParams::default()).await.context("listing rules")?;
            versions.extend(list.items.iter().map(|object: &DynamicObject| {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let meta = &object.metadata;
                format!(
                    "{}/{} at {}",
                    text(&meta.namespace),
                    text(&meta.name),
                    text(&meta.resource_version)
                )
            }));
        }
        Ok(versions)
    }

    /// The API server's own count of requests that wrote the status of a rule.
    async fn status_writes(&self) -> Result<u64> {
        let page = self
            .client
            .request_text(http::Request::get("/metrics").body(Vec::new())?)
            .await?;
        let lines = page.lines().filter(|line| {
            line.starts_with("apiserver_request_total{")
                && line.contains("group=\"metricrule.dev\"")
                && line.contains("subresource=\"status\"")
                && !line.contains("resource=\"metricbackends\"")
                && !line.contains("verb=\"GET\"")
        });
        Ok(lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum())
    }
}
