//! A namespace's slow queries beside another's fast one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use tokio::time::sleep;

use super::scene::{LAB, OTHER, Scene, external, external_rule, rules};
use super::{Figure, Goal};

const SLOW: usize = 80;
const FAST: usize = 10;

/// 80 slow queries in flight, and how long a fast one of another namespace takes beside them.
///
/// # Errors
/// The scene cannot be set up.
pub async fn run(scene: &Scene) -> Result<Vec<Figure>> {
    scene
        .apply(LAB, &external_rule("slow", "standin", "slow").to_string())
        .await?;
    scene
        .apply(OTHER, &external_rule("fast", "standin", "fast").to_string())
        .await?;
    scene.until_answered(&external(OTHER, "fast", "")).await?;
    scene.until_answered(&external(LAB, "slow", "")).await?;
    let alone = fast(scene, "alone").await?;

    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let hog = async {
        let one = async |number: usize| {
            while !stop.load(Ordering::Relaxed) {
                let turn = asked.fetch_add(1, Ordering::Relaxed);
                let selector = format!("k%3Dv{number}-{turn}");
                // what becomes of it is its own matter; a refusal is asked again, but not in a rush
                let _ = scene.ask(&external(LAB, "slow", &selector)).await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        join_all((0..SLOW).map(one)).await;
    };
    let guest = async {
        sleep(Duration::from_secs(2)).await;
        let beside = fast(scene, "beside").await;
        stop.store(true, Ordering::Relaxed);
        beside
    };
    let ((), beside) = tokio::join!(hog, guest);
    let beside = beside?;
    for namespace in [LAB, OTHER] {
        scene.delete_all(&rules(namespace)).await?;
    }
    Ok(vec![
        Figure::new("a fast query alone", alone, "s", Goal::None),
        Figure::new(
            "the same beside another namespace's 80 slow ones",
            beside,
            "s",
            Goal::None,
        ),
        Figure::new("the ratio of the two", beside / alone, "times", Goal::AtMost(3.0)),
    ])
}

/// The median, in seconds, of queries that are all different.
async fn fast(scene: &Scene, word: &str) -> Result<f64> {
    let mut times = Vec::new();
    for number in 0..FAST {
        let (took, answer) = scene
            .ask(&external(OTHER, "fast", &format!("k%3D{word}{number}")))
            .await?;
        answer.map_err(anyhow::Error::msg)?;
        times.push(took.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(FAST / 2).copied().unwrap_or_default())
}
