//! The tasks that the process consists of. One that ends by itself ends the process: a replica that limps is worse than one
//! that is started anew.

use std::{fmt::Debug, time::Duration};

use anyhow::anyhow;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::server::health::Gate;

/// Running tasks, by name.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<(&'static str, Result<(), String>)>,
}

// === impl Tasks ===

impl Tasks {
    /// A task that is to run for as long as the process does; what it ends with is the cause.
    pub(super) fn spawn<T: Debug>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = T> + Send + 'static,
    ) {
        self.running.spawn(async move {
            let outcome = task.await;
            (name, Err(format!("{outcome:?}")))
        });
    }

    /// A task that may end once `stop` is cancelled.
    pub(super) fn spawn_until(
        &mut self,
        stop: &CancellationToken,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = stop.clone();
        self.running.spawn(async move {
            task.await;
            let outcome = if stop.is_cancelled() {
                Ok(())
            } else {
                Err("it returned".to_owned())
            };
            (name, outcome)
        });
    }

    /// Opens `gate` once `condition` holds for what `values` publishes.
    pub(super) fn open_when<T: Send + Sync + 'static>(
        &mut self,
        name: &'static str,
        gate: Gate,
        mut values: watch::Receiver<T>,
        condition: impl Fn(&T) -> bool + Send + 'static,
    ) {
        self.running.spawn(async move {
            // A source that is gone says so by its own task.
            if values.wait_for(condition).await.is_ok() {
                gate.open();
                tracing::info!(gate = name, "ready");
            }
            (name, Ok(()))
        });
    }

    /// The first task that ended without being told to.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        while let Some(ended) = self.running.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(cause))) => return anyhow!("the task {name} ended: {cause}"),
                Err(error) => return anyhow!("a task ended: {error}"),
            }
        }
        std::future::pending().await
    }

    /// Gives what was told to stop (the lease is given up, an Event is written) a moment, then aborts the rest.
    pub(super) async fn finish(mut self, patience: Duration) {
        let told = async {
            while let Some(ended) = self.running.join_next().await {
                if let Ok((name, Ok(()))) = ended
                    && name == "lease"
                {
                    break;
                }
            }
        };
        if tokio::time::timeout(patience, told).await.is_err() {
            tracing::debug!("the lease was not given up in time; it runs out");
        }
        self.running.abort_all();
    }
}
