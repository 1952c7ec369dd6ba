//! A second testbed, whose rules, backend and replicas come and go: one point at a time.

use std::ops::Deref;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::shared::Hold;
use testbed::{PATIENCE, Shared, Testbed, eventually};
use tokio::sync::{Mutex, MutexGuard};

use super::values::fixed;
use crate::ask::Client;
use crate::lab;
use crate::target::{EXTERNAL, V1BETA1, V1BETA2};

static CLUSTER: Shared = Shared::new(|| lab::builder().replicas(2).shutdown_delay("4s"));
static TURN: Mutex<()> = Mutex::const_new(());

const NAMESPACE: &str = "disturbed";

/// The testbed with all group-versions registered, for one point alone. Whoever takes something away brings it back.
pub(super) struct Disturbed {
    testbed: Hold,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Disturbed {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        &self.testbed
    }
}

// === impl Disturbed ===

impl Disturbed {
    pub(super) async fn get() -> Result<Self> {
        let turn = TURN.lock().await;
        let testbed = CLUSTER.get().await?;
        let disturbed = Self { testbed, _turn: turn };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        disturbed.apply_anywhere(&lab::list(&[namespace])).await?;
        disturbed.make_rules().await?;
        eventually(PATIENCE, "all is registered", || disturbed.available()).await?;
        Ok(disturbed)
    }

    /// A static rule for each API, and one whose series has to be found.
    pub(super) async fn make_rules(&self) -> Result<()> {
        self.exporter()
            .gauge("disturbed_found", &[("namespace", NAMESPACE), ("pod", "a")], 1.5);
        lab::scraped(self, "disturbed_found", 1).await?;
        let custom = fixed(
            "Custom",
            "static_custom",
            "sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>})",
            &json!({}),
        );
        let external = fixed(
            "External",
            "static_external",
            "sum(up{<<.LabelMatchers>>})",
            &json!({}),
        );
        let found = lab::rule(
            "MetricRule",
            "disturbed_found",
            "disturbed_found",
            "sum",
            &json!({"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}),
        );
        self.apply(NAMESPACE, &lab::list(&[custom, external, found]))
            .await?;
        Ok(())
    }

    pub(super) async fn drop_rules(&self) -> Result<()> {
        self.kubectl(&["delete", "metricrules", "--all", "--namespace", NAMESPACE])
            .await?;
        Ok(())
    }

    /// That the aggregator finds all of ours answering.
    pub(super) async fn available(&self) -> Result<()> {
        let services: Value =
            serde_json::from_str(&self.kubectl(&["get", "apiservices", "--output=json"]).await?)?;
        for version in [V1BETA1, V1BETA2, EXTERNAL] {
            let (group, version) = version.split_once('/').context("no version")?;
            let name = format!("{version}.{group}");
            let items = services["items"].as_array().into_iter().flatten();
            let service = items
                .into_iter()
                .find(|item| item["metadata"]["name"] == name.as_str());
            let service = service.with_context(|| format!("no APIService {name}"))?;
            let conditions = service["status"]["conditions"].as_array().into_iter().flatten();
            let available = conditions
                .into_iter()
                .find(|condition| condition["type"] == "Available");
            ensure!(
                available.is_some_and(|available| available["status"] == "True"),
                "{name}: {available:?}"
            );
        }
        Ok(())
    }

    /// A client of `system:masters` of each replica.
    pub(super) async fn admins(&self) -> Result<[Client; 2]> {
        Ok([lab::admin(self, 0).await?, lab::admin(self, 1).await?])
    }
}
