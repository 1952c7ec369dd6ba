//! HPAs on a backend that hangs, and how late one on another backend is by them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::scene::{LAB, OTHER, Scene, external_rule, rules};
use super::{Figure, Goal};
use crate::control_plane::NODE;
use crate::eventually;

const CROWDS: [usize; 2] = [20, 200];
/// Changes that are followed, in each state.
const CHANGES: u32 = 6;
/// From the hang to the measurement.
const SETTLED: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(5);

/// How late an HPA follows, all well and while others' backend hangs, with 20 and with 200 of these.
///
/// # Errors
/// The scene cannot be set up.
pub async fn run(scene: &Scene) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    scene
        .apply(
            OTHER,
            &external_rule("followed", "standin", "followed").to_string(),
        )
        .await?;
    scene.apply(OTHER, &deployment("followed", 1).to_string()).await?;
    scene
        .apply(
            OTHER,
            &hpa("followed", &metric("followed", 1000), 1, 1).to_string(),
        )
        .await?;
    let rule = external_rule("stuck", "hanging", "stuck");
    scene.apply(LAB, &rule.to_string()).await?;
    let mut made = 0;
    for crowd in CROWDS {
        let names: Vec<String> = (made..crowd).map(|number| format!("stuck-{number}")).collect();
        let deployments = names.iter().map(|name| deployment(name, 1));
        scene
            .create_all(
                &format!("/apis/apps/v1/namespaces/{LAB}/deployments"),
                deployments,
            )
            .await?;
        let hpas = names
            .iter()
            .map(|name| hpa(name, &metric_of("stuck", name), 1, 1));
        let collection = format!("/apis/autoscaling/v2/namespaces/{LAB}/horizontalpodautoscalers");
        scene.create_all(&collection, hpas).await?;
        made = crowd;
        sleep(SETTLED).await;
        let well = follow(scene).await?;
        scene.bad.hang(true);
        let began = Instant::now();
        let first = one_change(scene, 1.0).await?;
        sleep(SETTLED.saturating_sub(began.elapsed())).await;
        let hung = follow(scene).await?;
        scene.bad.hang(false);
        let what = |text: &str| format!("{crowd} HPAs on a backend that hangs: another HPA follows {text}");
        figures.push(Figure::new(what("all well"), well, "s", Goal::None));
        figures.push(Figure::new(
            what("as the hang begins"),
            first,
            "s",
            Goal::AtMost(well + 8.0),
        ));
        figures.push(Figure::new(what("from 10 s on"), hung, "s", Goal::None));
        figures.push(Figure::new(
            what("later by"),
            hung / well,
            "times",
            Goal::AtMost(2.0),
        ));
    }
    for namespace in [LAB, OTHER] {
        scene
            .testbed
            .kubectl(&[
                "-n",
                namespace,
                "delete",
                "hpa,deployment",
                "--all",
                "--wait=false",
            ])
            .await?;
        scene.delete_all(&rules(namespace)).await?;
    }
    scene.good.set(1.0);
    Ok(figures)
}

/// The mean time, in seconds, from a change of the value to the HPA's status that shows it.
async fn follow(scene: &Scene) -> Result<f64> {
    let mut sum = 0.0;
    for change in 0..CHANGES {
        sum += one_change(scene, f64::from(10 + change)).await?;
    }
    Ok(sum / f64::from(CHANGES))
}

async fn one_change(scene: &Scene, value: f64) -> Result<f64> {
    let began = Instant::now();
    scene.good.set(value);
    let path = format!("/apis/autoscaling/v2/namespaces/{OTHER}/horizontalpodautoscalers/followed");
    eventually(PATIENCE, "the HPA shows the value", || async {
        let hpa: Value = scene
            .client
            .request(Request::get(&path).body(Vec::new())?)
            .await?;
        let shown = hpa
            .pointer("/status/currentMetrics/0/external/current/value")
            .and_then(Value::as_str)
            .context("no value yet")?;
        anyhow::ensure!(shown == value.to_string(), "it shows {shown}");
        Ok(())
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// A Deployment whose pods are labelled `app=<name>`.
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
            },
        },
    })
}

/// An HPA of the Deployment that has its name.
pub fn hpa(name: &str, metric: &Value, min: u32, max: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": min, "maxReplicas": max, "metrics": [metric],
        },
    })
}

fn metric(name: &str, target: u32) -> Value {
    json!({"type": "External", "external": {
        "metric": {"name": name}, "target": {"type": "Value", "value": target.to_string()},
    }})
}

/// A metric with a selector of its own, so that no two HPAs ask the same.
fn metric_of(name: &str, who: &str) -> Value {
    let mut metric = metric(name, 1000);
    metric["external"]["metric"]["selector"] = json!({"matchLabels": {"who": who}});
    metric
}
