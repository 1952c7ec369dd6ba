//! One round of the HPA controller: 2,000 HPAs over 10,000 pods, asked by five workers one after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::http::Request;
use futures::future::try_join_all;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::scene::{LAB, Scene, object, rules};
use super::{Figure, Goal};
use crate::eventually;
use crate::peer::{Peer, Started, direct};

const HPAS: usize = 2000;
const PODS_EACH: usize = 5;
/// Those of the HPA controller (`--concurrent-horizontal-pod-autoscaler-syncs`).
const WORKERS: usize = 5;
const METRIC: &str = "round";

/// How long the round takes, and beside which peer.
///
/// # Errors
/// The scene cannot be set up.
pub async fn run(scene: &Scene, peer: Option<&Path>) -> Result<Vec<Figure>> {
    let pods = (0..HPAS).flat_map(|hpa| {
        (0..PODS_EACH).map(move |pod| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("app-{hpa}-{pod}"), "labels": {"app": format!("app-{hpa}")}},
                "spec": {"containers": [{"name": "main", "image": "main"}]},
            })
        })
    });
    let collection = format!("/api/v1/namespaces/{LAB}/pods");
    scene.create_all(&collection, pods).await?;
    let spec = json!({
        "backendRef": {"name": "standin"}, "name": {"as": METRIC},
        "resources": {"overrides": {"pod": {"resource": "pods"}}},
        "metricsQuery": "sum by (<<.GroupBy>>) (round{<<.LabelMatchers>>})",
    });
    scene
        .apply(LAB, &object("MetricRule", METRIC, &spec).to_string())
        .await?;
    let ours = direct(&scene.testbed, scene.replica()?.secure_port()).await?;
    until_whole(&ours).await?;
    // The first round is not like the others: whatever is cached is cached by it.
    let took = round(&ours).await?;
    let mut figures = vec![Figure::new(
        "2,000 HPAs over 10,000 pods, five workers: one round",
        took,
        "s",
        Goal::AtMost(5.0),
    )];
    if let Some(peer) = peer {
        let config = scene.testbed.folder().join("round.yaml");
        let text = "rules:\n- seriesQuery: round{pod!=\"\"}\n  resources: {overrides: {namespace: {resource: namespace}, \
                    pod: {resource: pod}}}\n  metricsQuery: sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})\n";
        std::fs::write(&config, text)?;
        match Peer::start(&scene.testbed, peer, &config, &scene.good.url()).await? {
            Started::Serves(peer) => {
                let theirs = peer.client().await?;
                until_whole(&theirs).await?;
                figures.push(Figure::new(
                    "the same of prometheus-adapter",
                    round(&theirs).await?,
                    "s",
                    Goal::None,
                ));
                peer.stop().await?;
            }
            Started::Refused(words) => anyhow::bail!("the peer refused its configuration: {words}"),
        }
    }
    scene.delete_all(&rules(LAB)).await?;
    scene
        .testbed
        .kubectl(&[
            "-n",
            LAB,
            "delete",
            "pods",
            "--all",
            "--force",
            "--grace-period=0",
            "--wait=false",
        ])
        .await?;
    Ok(figures)
}

async fn round(client: &Client) -> Result<f64> {
    let began = Instant::now();
    let worker = async |first: usize| {
        for hpa in (first..HPAS).step_by(WORKERS) {
            let pods = ask(client, hpa).await?;
            ensure!(pods == PODS_EACH, "app-{hpa} has {pods} values");
        }
        anyhow::Ok(())
    };
    try_join_all((0..WORKERS).map(worker)).await?;
    Ok(began.elapsed().as_secs_f64())
}

/// The number of values that an HPA's request gives.
async fn ask(client: &Client, hpa: usize) -> Result<usize> {
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/{LAB}/pods/*/{METRIC}?labelSelector=app%3Dapp-{hpa}"
    );
    let list: Value = client.request(Request::get(&path).body(Vec::new())?).await?;
    Ok(list["items"].as_array().context("no items")?.len())
}

/// The pods of the last HPA are known.
async fn until_whole(client: &Client) -> Result<()> {
    eventually(Duration::from_mins(2), "the pods are known", || async {
        let pods = ask(client, HPAS - 1).await?;
        ensure!(pods == PODS_EACH, "{pods}");
        Ok(())
    })
    .await
}
