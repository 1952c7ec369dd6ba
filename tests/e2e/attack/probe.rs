//! Requests as an HPA makes them, and how long they take.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::ask::ask;

/// Twenty in a second, whether the former one was answered or not.
const PERIOD: Duration = Duration::from_millis(50);

/// A stream of requests.
pub(super) struct Probe {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Span>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Span {
    pub(super) sent: usize,
    /// What was said instead of a value.
    pub(super) failures: Vec<String>,
    /// How many values there were, one after the other.
    pub(super) values_seen: usize,
    /// Of the answered ones, sorted.
    took: Vec<Duration>,
}

// === impl Probe ===

impl Probe {
    pub(super) fn start(client: Client, path: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(run(client, path, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Sends no more, waits for those under way.
    pub(super) async fn stop(self) -> Result<Span> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the requests ended early")
    }
}

// === impl Span ===

impl Span {
    pub(super) fn answered(&self) -> usize {
        self.took.len()
    }

    /// In milliseconds.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let at = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

async fn run(client: Client, path: String, stop: Arc<AtomicBool>) -> Span {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flying: JoinSet<(Result<f64>, Duration)> = JoinSet::new();
    let mut span = Span::default();
    let mut values = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (client, path) = (client.clone(), path.clone());
        flying.spawn(async move {
            let start = Instant::now();
            let value = one(&client, &path).await;
            (value, start.elapsed())
        });
        span.sent += 1;
    }
    while let Some(ended) = flying.join_next().await {
        match ended {
            Ok((Ok(value), took)) => {
                values.insert(value.to_bits());
                span.took.push(took);
            }
            Ok((Err(error), took)) => span.failures.push(format!("after {took:?}: {error:#}")),
            Err(error) => span.failures.push(error.to_string()),
        }
    }
    span.took.sort_unstable();
    span.values_seen = values.len();
    span
}

async fn one(client: &Client, path: &str) -> Result<f64> {
    let answer = ask(client, path).await?;
    match answer.values.as_slice() {
        [value] => Ok(*value),
        _ => anyhow::bail!("{answer:?}"),
    }
}
