//! A scripted backend that the rules of a namespace ask.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testbed::testbed::Testbed;

use crate::backend::Backend;
use crate::lab;

/// A backend with a `MetricBackend` of its own.
pub(super) struct Scripted<'a> {
    testbed: &'a Testbed,
    namespace: String,
    pub(super) backend: Backend,
}

// === impl Scripted ===

impl<'a> Scripted<'a> {
    /// Starts it and makes it known, under the name of the namespace.
    pub(super) async fn new(testbed: &'a Testbed, namespace: &str) -> Result<Self> {
        Self::with(testbed, namespace, &json!({})).await
    }

    /// The same with more fields of `spec.prometheus`.
    pub(super) async fn with(testbed: &'a Testbed, namespace: &str, more: &Value) -> Result<Self> {
        let backend = Backend::start().await?;
        let mut prometheus = json!({"url": backend.url()});
        if let (Some(fields), Some(more)) = (prometheus.as_object_mut(), more.as_object()) {
            fields.extend(more.clone());
        }
        let manifest = json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend", "metadata": {"name": namespace},
            "spec": {"type": "Prometheus", "prometheus": prometheus, "limits": {"perRule": {"minRefresh": "0s"}}},
        });
        testbed.apply_anywhere(&lab::list(&[manifest])).await?;
        Ok(Self {
            testbed,
            namespace: namespace.to_owned(),
            backend,
        })
    }

    /// The namespace of its rules.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Applies a `MetricRule` of the namespace that asks this backend.
    pub(super) async fn rule(&self, name: &str, spec: &Value) -> Result<()> {
        let mut spec = spec.clone();
        spec["backendRef"] = json!({"name": self.namespace});
        // What is scripted is meant for the next request.
        spec["refresh"] = json!("1ms");
        let manifest = json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule", "metadata": {"name": name}, "spec": spec,
        });
        self.testbed
            .apply(&self.namespace, &lab::list(&[manifest]))
            .await?;
        Ok(())
    }
}

/// The sum of a family's samples on the first replica's `/metrics`; `family` may end in the beginning of its labels.
pub(super) async fn counter(testbed: &Testbed, family: &str) -> Result<f64> {
    let replica = testbed.replicas().first().context("no replica")?;
    let (_, text) = replica.get("/metrics").await?;
    let mut sum = 0.0;
    for line in text.lines().filter(|line| line.starts_with(family)) {
        let value = line.rsplit(' ').next().unwrap_or_default();
        sum += value
            .parse::<f64>()
            .with_context(|| format!("no number: {line}"))?;
    }
    Ok(sum)
}
