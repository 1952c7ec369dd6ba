//! Values that overflow where an HPA adds them up.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::hang::{deployment, hpa};
use super::scene::{LAB, Scene, object, rules};
use super::{Figure, Goal};
use crate::{eventually, hpa as reading};

const WATCHED: Duration = Duration::from_secs(20);

/// Four pods at 9e15, target 10: to how few replicas the HPA goes.
///
/// # Errors
/// The scene cannot be set up.
pub async fn run(scene: &Scene) -> Result<Vec<Figure>> {
    let spec = json!({
        "backendRef": {"name": "standin"}, "name": {"as": "absurd"},
        "resources": {"overrides": {"pod": {"resource": "pods"}}},
        "metricsQuery": "sum by (<<.GroupBy>>) (absurd{<<.LabelMatchers>>})",
    });
    scene
        .apply(LAB, &object("MetricRule", "absurd", &spec).to_string())
        .await?;
    scene.good.set(10.0);
    scene.apply(LAB, &deployment("absurd", 4).to_string()).await?;
    let metric = json!({"type": "Pods", "pods": {
        "metric": {"name": "absurd"}, "target": {"type": "AverageValue", "averageValue": "10"},
    }});
    scene
        .apply(LAB, &hpa("absurd", &metric, 1, 8).to_string())
        .await?;
    eventually(Duration::from_mins(2), "the HPA has read its metric", || async {
        let reading = read(scene).await?;
        anyhow::ensure!(reading.value.is_some() && reading.replicas == 4, "{reading:?}");
        Ok(())
    })
    .await?;
    scene.good.set(9e15);
    let end = tokio::time::Instant::now() + WATCHED;
    let mut fewest = i32::MAX;
    while tokio::time::Instant::now() < end {
        fewest = fewest.min(read(scene).await?.desired);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    scene.good.set(1.0);
    scene
        .testbed
        .kubectl(&["-n", LAB, "delete", "hpa,deployment", "absurd"])
        .await?;
    scene.delete_all(&rules(LAB)).await?;
    Ok(vec![Figure::new(
        "four pods at 9e15, target 10: replicas wanted, at the least",
        f64::from(fewest),
        "replicas",
        Goal::AtLeast(4.0),
    )])
}

async fn read(scene: &Scene) -> Result<reading::Reading> {
    let api: kube::Api<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler> =
        kube::Api::namespaced(scene.client.clone(), LAB);
    reading::Reading::of(&api.get("absurd").await?)
}
