//! The start of a replica while the backend of 2,000 selectors hangs.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::scene::{LAB, Scene, object, rules};
use super::{Figure, Goal};

const SELECTORS: usize = 2000;
/// After this it is not waited for any longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// The time from the start of a process to a green `/readyz`.
///
/// # Errors
/// The scene cannot be set up.
pub async fn run(scene: &Scene) -> Result<Vec<Figure>> {
    scene.bad.hang(true);
    let objects = (0..SELECTORS).map(|number| {
        let spec = json!({
            "backendRef": {"name": "hanging"},
            "seriesQuery": format!("series_{number}{{pod!=\"\"}}"),
            "resources": {"overrides": {"pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        });
        object("MetricRule", &format!("selector-{number}"), &spec)
    });
    scene.create_all(&rules(LAB), objects).await?;
    let replica = scene.testbed.replica("late")?;
    let began = Instant::now();
    replica.launch()?;
    let mut seen = PATIENCE;
    while began.elapsed() < PATIENCE {
        if matches!(replica.get("/readyz").await, Ok((200, _))) {
            seen = began.elapsed();
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    replica.kill();
    scene.bad.hang(false);
    scene.delete_all(&rules(LAB)).await?;
    Ok(vec![Figure::new(
        "2,000 selectors on a backend that hangs: a replica is ready after (120: not at all)",
        seen.as_secs_f64(),
        "s",
        Goal::AtMost(5.0),
    )])
}
