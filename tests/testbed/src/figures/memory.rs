//! Memory of a replica: answers, listings and rules that are far too large.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::scene::{LAB, Scene, external, external_rule, forget_peak, object, peak, resident, rules};
use super::{Figure, Goal};
use crate::adapter::Replica;

/// After which memory is taken to be at rest.
const SETTLE: Duration = Duration::from_secs(3);
const LARGE: usize = 8;
const FAT: usize = 200;

/// Eight answers of 48 MB at once.
///
/// # Errors
/// The scene cannot be set up.
pub async fn answers(scene: &Scene) -> Result<Vec<Figure>> {
    let names: Vec<String> = (0..LARGE).map(|number| format!("large{number}")).collect();
    scene
        .create_all(
            &rules(LAB),
            names.iter().map(|name| external_rule(name, "standin", name)),
        )
        .await?;
    sleep(SETTLE).await;
    let pid = pid(scene.replica()?)?;
    let rest = resident(pid)?;
    forget_peak(pid)?;
    join_all(
        names
            .iter()
            .map(|name| async move { scene.ask(&external(LAB, name, "")).await }),
    )
    .await;
    let grown = peak(pid)? - rest;
    scene.delete_all(&rules(LAB)).await?;
    Ok(vec![Figure::new(
        "eight answers of 48 MB at once: memory above rest",
        grown,
        "MiB",
        Goal::AtMost(150.0),
    )])
}

/// A listing of 100,000 series of which 1,000 are wanted, and one of 500,001 that is refused.
///
/// # Errors
/// The scene cannot be set up.
pub async fn listings(scene: &Scene) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let wide = "100,000 series, maxSeries 1000: memory above rest";
    let refused = "a listing of 500,001 series: memory above rest";
    for (name, what) in [("wide", wide), ("refused", refused)] {
        let pid = pid(scene.replica()?)?;
        sleep(SETTLE).await;
        let rest = resident(pid)?;
        forget_peak(pid)?;
        let spec = json!({
            "backendRef": {"name": "standin"},
            "seriesQuery": format!("{name}{{pod!=\"\"}}"),
            "resources": {"overrides": {"pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            "limits": {"maxSeries": 1000},
        });
        scene
            .apply(LAB, &object("MetricRule", name, &spec).to_string())
            .await?;
        let reason = scene.until_condition(name, "Discovered").await?;
        let grown = peak(pid)? - rest;
        figures.push(Figure::new(
            format!("{what} ({reason})"),
            grown,
            "MiB",
            Goal::AtMost(40.0),
        ));
        scene.delete_all(&rules(LAB)).await?;
    }
    Ok(figures)
}

/// 200 rules of one namespace, each as large as the API server takes it.
///
/// # Errors
/// The scene cannot be set up.
pub async fn fat_rules(scene: &Scene) -> Result<Vec<Figure>> {
    let running = pid(scene.replica()?)?;
    let slim = scene.testbed.replica("slim")?;
    slim.start().await?;
    sleep(SETTLE).await;
    let (rest, at_start) = (resident(running)?, peak(pid(&slim)?)?);
    slim.terminate().await?;
    // Keys of any length were taken once: the longest that is taken now.
    let mut taken = 0;
    for length in [28_000, 4_000, 1_000, 250, 60] {
        let probe = fat(0, length);
        if scene.create_all(&rules(LAB), [probe]).await.is_ok() {
            taken = length;
            break;
        }
    }
    scene
        .create_all(&rules(LAB), (1..FAT).map(|number| fat(number, taken)))
        .await?;
    sleep(SETTLE * 3).await;
    let grown = resident(running)? - rest;
    let fresh = scene.testbed.replica("fresh")?;
    fresh.start().await?;
    sleep(SETTLE).await;
    let fresh_peak = peak(pid(&fresh)?)? - at_start;
    fresh.terminate().await?;
    scene.delete_all(&rules(LAB)).await?;
    Ok(vec![
        Figure::new(
            format!("200 rules, 30 keys of {taken} bytes each: memory above rest"),
            grown,
            "MiB",
            Goal::AtMost(60.0),
        ),
        Figure::new(
            "the same, a replica that starts: peak above one that starts without",
            fresh_peak,
            "MiB",
            Goal::AtMost(60.0),
        ),
    ])
}

/// Every field as long as it may be, and keys of that length.
fn fat(number: usize, key: usize) -> Value {
    let overrides: serde_json::Map<String, Value> = (0..30)
        .map(|index| {
            let label = format!("l{index}_{}", "b".repeat(key.saturating_sub(6)));
            (label, json!({"resource": format!("kind{index}")}))
        })
        .collect();
    let filters: Vec<Value> = (0..32).map(|_| json!({"isNot": "x".repeat(1000)})).collect();
    let spec = json!({
        "backendRef": {"name": "standin"},
        "seriesQuery": format!("fat{{pod!=\"{}\"}}", "p".repeat(4000)),
        "seriesFilters": filters,
        "resources": {"overrides": overrides},
        "name": {"matches": format!("^{}", "m".repeat(1000)), "as": "a".repeat(1000)},
        "metricsQuery": format!("sum by (<<.GroupBy>>) (<<.Series>>{{<<.LabelMatchers>>,x!=\"{}\"}})", "q".repeat(16_000)),
    });
    object("MetricRule", &format!("fat-{number}"), &spec)
}

fn pid(replica: &Replica) -> Result<u32> {
    replica.process().pid().context("the replica does not run")
}
