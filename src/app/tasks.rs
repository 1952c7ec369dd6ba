//! Tasks of the process. One that ends by itself ends the process: a replica that limps is worse than one
//! that is started anew.

use std::{convert::Infallible, fmt::Display, time::Duration};

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
    /// A task that is to run for as long as the process does.
    pub(super) fn spawn<T>(&mut self, name: &'static str, task: impl Future<Output = T> + Send + 'static) {
        self.running.spawn(async move {
            task.await;
            (name, Err(returned(name)))
        });
    }

    /// The same for one that can fail for good; the cause is for the person who reads the process's last words.
    pub(super) fn spawn_fallible<E: Display>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = E> + Send + 'static,
    ) {
        self.running.spawn(async move {
            let cause = task.await;
            (name, Err(format!("the task {name} ended: {cause}")))
        });
    }

    /// A task that ends only with a sentence on why the process cannot go on.
    pub(super) fn spawn_critical(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<Infallible, String>> + Send + 'static,
    ) {
        self.running.spawn(async move {
            let Err(sentence) = task.await;
            (name, Err(sentence))
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
                Err(returned(name))
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

    /// Opens `gate` once `work` is done, or has had as long as `patience`.
    pub(super) fn open_after(
        &mut self,
        name: &'static str,
        gate: Gate,
        patience: Duration,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.spawn(async move {
            if let Ok(()) = tokio::time::timeout(patience, work).await {
                tracing::info!(gate = name, "ready");
            } else {
                tracing::warn!(gate = name, ?patience, "stopped waiting for this gate");
            }
            gate.open();
            (name, Ok(()))
        });
    }

    /// The first task that ended without being told to.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        while let Some(ended) = self.running.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((_, Err(cause))) => return anyhow!(cause),
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
            tracing::debug!("the lease was not released in time; it will expire");
        }
        self.running.abort_all();
    }
}

fn returned(name: &str) -> String {
    format!("the task {name} ended: it returned")
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::server::health::Health;

    #[tokio::test]
    async fn the_cause_is_told_in_its_own_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("nobody bound the role")]
        struct Refused;

        let mut tasks = Tasks::default();
        tasks.spawn_fallible("authentication", async { Refused });
        assert_eq!(
            tasks.ended().await.to_string(),
            "the task authentication ended: nobody bound the role"
        );
        let mut tasks = Tasks::default();
        tasks.spawn("watches", async {});
        assert_eq!(
            tasks.ended().await.to_string(),
            "the task watches ended: it returned"
        );
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn ended(tasks: &mut Tasks) -> String {
        timeout(PATIENCE, tasks.ended()).await.unwrap().to_string()
    }

    #[tokio::test]
    async fn a_task_that_ends_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("forever", std::future::pending::<()>());
        tasks.spawn("watches", async {});
        assert_eq!(ended(&mut tasks).await, "the task watches ended: it returned");

        let stop = CancellationToken::new();
        tasks.spawn_until(&stop, "lease", async {});
        assert_eq!(ended(&mut tasks).await, "the task lease ended: it returned");

        tasks.spawn_critical("contact", async { Err("the API server is not there".to_owned()) });
        let sentence = ended(&mut tasks).await;
        assert!(sentence.ends_with("the API server is not there"), "{sentence}");

        tasks.spawn("objects", async { assert_eq!(1, 2, "a mistake") });
        let sentence = ended(&mut tasks).await;
        assert!(sentence.contains("panicked"), "{sentence}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_told_to_stop_may_end() {
        let mut tasks = Tasks::default();
        let stop = CancellationToken::new();
        stop.cancel();
        tasks.spawn_until(&stop, "events", async {});
        let ended = timeout(PATIENCE, tasks.ended()).await;
        assert!(ended.is_err(), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_is_not_ready_before_pods_are_listed_or_were_waited_for_long_enough() {
        let mut health = Health::new();
        let mut tasks = Tasks::default();
        let (list, listed) = tokio::sync::oneshot::channel::<()>();
        tasks.open_after("pods", health.gate("pods"), PATIENCE, async move {
            let _ = listed.await;
        });
        tokio::time::sleep(PATIENCE / 2).await;
        assert!(!health.is_ready());
        list.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(health.is_ready());

        let never = std::future::pending();
        tasks.open_after("nodes", health.gate("nodes"), PATIENCE, never);
        tokio::time::sleep(PATIENCE.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert!(!health.is_ready());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(
            health.is_ready(),
            "what cannot be listed does not keep the rest back"
        );
    }
}
