//! Probes of each backend by the leader, so that `kubectl get metricbackends` distinguishes a dead one from an idle one.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use super::{Leadership, Term};
use crate::{
    backend::{Backend, BackendError, pool::Pool},
    reason::Reason,
    rule::RuleTable,
    status::Probe,
};

/// What the probes of one term came to. A former term's are nobody's: another replica has led since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// The term in which they were made; `None` before the first.
    pub term: Option<Term>,
    /// The last probe of each backend, by name, and the generation of the backend that was probed.
    pub of: BTreeMap<Arc<str>, (i64, Probe)>,
}

/// The time between two probes of a backend.
const INTERVAL: Duration = Duration::from_secs(15);
/// Longest wait for one.
const DEADLINE: Duration = Duration::from_secs(5);
/// Probes at a time.
const CONCURRENCY: usize = 8;

/// Probes every backend of `tables` while this replica leads.
pub async fn probe_backends(
    mut tables: watch::Receiver<Arc<RuleTable>>,
    pool: Pool,
    mut leadership: Leadership,
    probes: watch::Sender<Arc<Probes>>,
) -> Infallible {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut backends = None;
    loop {
        let due = tokio::select! {
            _ = ticks.tick() => true,
            changed = tables.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                false
            }
            () = leadership.changed() => true,
        };
        let table = tables.borrow_and_update().clone();
        // A table that differs in its rules alone is no reason to ask.
        if !due
            && backends
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(known, &table.backends))
        {
            continue;
        }
        backends = Some(table.backends.clone());
        let Some(term) = leadership.term() else {
            continue;
        };
        begin(&probes, term, &table);
        let generations = table.backends.iter().filter_map(|(name, backend)| {
            let generation = backend.as_ref().ok()?.generation;
            Some((name.clone(), generation))
        });
        let generations: Vec<(Arc<str>, i64)> = generations.collect();
        let mut answers = stream::iter(generations)
            .map(|(name, generation)| {
                let pool = &pool;
                async move {
                    let probe = probe(&name, pool.get(&name)).await;
                    (name, generation, probe)
                }
            })
            .buffer_unordered(CONCURRENCY);
        // Each is published when it ends: one that hangs holds the others' up for nobody.
        while let Some((name, generation, probe)) = answers.next().await {
            if leadership.term() != Some(term) {
                break;
            }
            if let Some(probe) = probe {
                publish(&probes, |known| {
                    known.of.insert(name, (generation, probe));
                });
            }
        }
    }
}

/// Forgets what was found out in a former term, and about backends that are gone.
fn begin(probes: &watch::Sender<Arc<Probes>>, term: Term, table: &RuleTable) {
    publish(probes, |known| {
        if known.term != Some(term) {
            known.of.clear();
        }
        known.term = Some(term);
        known.of.retain(|name, _| table.backends.contains_key(name));
    });
}

fn publish(probes: &watch::Sender<Arc<Probes>>, change: impl FnOnce(&mut Probes)) {
    probes.send_if_modified(|known| {
        let mut now = Probes::clone(known);
        change(&mut now);
        let changed = **known != now;
        if changed {
            *known = Arc::new(now);
        }
        changed
    });
}

/// `None` where the backend was not asked, since its own ceilings kept the probe waiting: that says nothing about it.
async fn probe(name: &str, backend: Result<Arc<dyn Backend>, BackendError>) -> Option<Probe> {
    let outcome = match backend {
        Ok(backend) => backend.probe(Instant::now() + DEADLINE).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(info) => Some(Probe::Answered {
            version: info.version,
            clock_offset: info.clock_offset,
        }),
        Err(error) if error.reason() == Reason::Throttled => {
            tracing::debug!(backend = name, %error, "the backend was not probed");
            None
        }
        Err(error) => Some(Probe::Failed {
            reason: error.reason(),
            message: error.detail().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
