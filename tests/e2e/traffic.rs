//! A steady stream of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio::time::{MissedTickBehavior, interval};

use crate::ask::{Answer, ask};

/// Twenty in a second, whether the former one was answered or not.
const PERIOD: Duration = Duration::from_millis(50);

/// Requests for metrics, in turn, each of which is to be answered with one value.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Traffic {
    pub(crate) fn start(client: Client, metrics: Vec<(String, f64)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(run(client, metrics, Arc::clone(&stop), Arc::clone(&sent)));
        Self { stop, sent, task }
    }

    /// How many have been sent so far.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were sent, and what became of those that failed.
    pub(crate) async fn stop(self) -> Result<(usize, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.task.await.context("the requests ended early")?;
        Ok((self.sent.load(Ordering::Relaxed), failures))
    }
}

async fn run(
    client: Client,
    metrics: Vec<(String, f64)>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Vec<String> {
    let start = Instant::now();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flying = JoinSet::new();
    let mut failures = Vec::new();
    for (path, value) in metrics.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let (client, path, value) = (client.clone(), path.clone(), *value);
        flying.spawn(async move { failure(ask(&client, &path).await, &path, value, start) });
        sent.fetch_add(1, Ordering::Relaxed);
        while let Some(outcome) = flying.try_join_next() {
            failures.extend(outcome.unwrap_or_else(|error| Some(error.to_string())));
        }
    }
    while let Some(outcome) = flying.join_next().await {
        failures.extend(outcome.unwrap_or_else(|error| Some(error.to_string())));
    }
    failures
}

fn failure(answer: Result<Answer>, path: &str, value: f64, start: Instant) -> Option<String> {
    let text = match answer {
        Ok(answer) if answer.is(value) => return None,
        Ok(answer) => format!("{path}: {answer:?}"),
        Err(error) => format!("{error:#}"),
    };
    Some(format!("after {:.2} s: {text}", start.elapsed().as_secs_f64()))
}
