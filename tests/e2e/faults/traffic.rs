//! A steady stream of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio::time::{MissedTickBehavior, interval};

use crate::ask::ask;

/// Twenty in a second, whether the former one was answered or not.
const PERIOD: Duration = Duration::from_millis(50);

/// Requests for one metric that is to be answered with one value.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Traffic {
    pub(super) fn start(client: Client, path: String, value: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(run(client, path, value, Arc::clone(&stop), Arc::clone(&sent)));
        Self { stop, sent, task }
    }

    /// How many have been sent so far.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were sent, and what became of those that failed.
    pub(super) async fn stop(self) -> Result<(usize, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.task.await.context("the requests ended early")?;
        Ok((self.sent.load(Ordering::Relaxed), failures))
    }
}

async fn run(
    client: Client,
    path: String,
    value: f64,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Vec<String> {
    let start = Instant::now();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flying = JoinSet::new();
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (client, path) = (client.clone(), path.clone());
        flying.spawn(async move { ask(&client, &path).await });
        sent.fetch_add(1, Ordering::Relaxed);
        while let Some(outcome) = flying.try_join_next() {
            failures.extend(failure(outcome, value, start));
        }
    }
    while let Some(outcome) = flying.join_next().await {
        failures.extend(failure(outcome, value, start));
    }
    failures
}

fn failure(
    outcome: Result<Result<crate::ask::Answer>, tokio::task::JoinError>,
    value: f64,
    start: Instant,
) -> Option<String> {
    let text = match outcome {
        Ok(Ok(answer)) if answer.is(value) => return None,
        Ok(Ok(answer)) => format!("{answer:?}"),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    };
    Some(format!("after {:.2} s: {text}", start.elapsed().as_secs_f64()))
}
