//! The items as types made of those of k8s-openapi, which know every field that they may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ListMeta, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ask::Reply;
use crate::expect::same;
use crate::golden;
use crate::target::{CUSTOM, Target, V1BETA1, V1BETA2};
use crate::uri::with;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct List<Item> {
    kind: String,
    api_version: String,
    metadata: ListMeta,
    items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct V1beta1 {
    described_object: ObjectReference,
    metric_name: String,
    timestamp: Time,
    #[serde(rename = "window", skip_serializing_if = "Option::is_none")]
    window_seconds: Option<i64>,
    value: Quantity,
    selector: Option<LabelSelector>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct V1beta2 {
    described_object: ObjectReference,
    metric: Metric,
    timestamp: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_seconds: Option<i64>,
    value: Quantity,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    name: String,
    selector: Option<LabelSelector>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct External {
    metric_name: String,
    metric_labels: BTreeMap<String, String>,
    timestamp: Time,
    #[serde(rename = "window", skip_serializing_if = "Option::is_none")]
    window_seconds: Option<i64>,
    value: Quantity,
}

/// Decoded and encoded again it is the same.
fn kept<Item: DeserializeOwned + Serialize>(reply: &Reply) -> Result<()> {
    let list: List<Item> =
        serde_json::from_slice(&reply.body).with_context(|| format!("{}: {}", reply.asked, reply.text()))?;
    same(
        &serde_json::to_value(&list)?,
        &serde_json::from_slice::<Value>(&reply.body)?,
        &reply.asked,
    )
}

pub(super) async fn round_trip(target: Arc<Target>) -> Result<()> {
    let data = &target.data;
    for version in CUSTOM {
        let reply = target.admin.get(&target.pods(version, "*")).await?;
        golden::all_pods(&target, version)?.ensure_is(&reply)?;
        let namespace = data.first();
        let root = format!("/apis/{version}");
        let below = format!("{root}/namespaces/{}", namespace.name);
        for path in [
            with(
                &target.pods(version, "*"),
                &[("metricLabelSelector", "verb in (GET,POST),!nothing")],
            ),
            with(&target.pods(version, "*"), &[("labelSelector", "app=nobody")]),
            format!("{root}/nodes/*/{}", data.metrics.nodes),
            format!(
                "{below}/deployments.apps/{}/{}",
                namespace.deployment.name, data.metrics.deployments
            ),
            target.pods(version, "*"),
        ] {
            let reply = target.admin.get(&path).await?;
            match version {
                V1BETA1 => kept::<V1beta1>(&reply)?,
                V1BETA2 => kept::<V1beta2>(&reply)?,
                other => anyhow::bail!("no types for {other}"),
            }
        }
    }
    let reply = target.admin.get(&target.external()).await?;
    golden::external(&target)?.ensure_is(&reply)?;
    kept::<External>(&reply)
}
