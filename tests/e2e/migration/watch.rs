//! Looks at an HPA once a second, from its first value to the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use kube::Client;
use testbed::hpa::Reading;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::support::read_hpa;

const PERIOD: Duration = Duration::from_secs(1);

/// A running look-out.
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Result<Reading>>>>,
    task: JoinHandle<()>,
    began: Instant,
}

impl Watch {
    pub(super) fn start(client: Client, namespace: &str, name: &str) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (into, namespace, name) = (Arc::clone(&samples), namespace.to_owned(), name.to_owned());
        let task = tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let sample = read_hpa(&client, &namespace, &name).await;
                into.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self {
            samples,
            task,
            began: Instant::now(),
        }
    }

    /// Every sample said that the HPA scales by its metric; how many there were.
    pub(super) fn end(self) -> Result<usize> {
        self.task.abort();
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, sample) in samples.iter().enumerate() {
            let reading = sample
                .as_ref()
                .map_err(|error| anyhow::anyhow!("sample {number}: {error:#}"))?;
            let active = reading
                .conditions
                .iter()
                .any(|line| line.starts_with("ScalingActive=True"));
            ensure!(active, "sample {number} of {}: {reading:?}", samples.len());
        }
        let seconds = usize::try_from(self.began.elapsed().as_secs())?;
        // a look takes a moment, too
        ensure!(
            samples.len() * 4 >= seconds * 3,
            "{} samples in {seconds} s",
            samples.len()
        );
        Ok(samples.len())
    }
}
