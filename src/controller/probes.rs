//! The leader's own look at each backend, so that `kubectl get metricbackends` tells a dead one from an idle one.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

use super::Leadership;
use crate::{backend::pool::Pool, rule::RuleTable, status::Probe};

/// The last probe of each backend, by name.
pub type Probes = BTreeMap<Arc<str>, Probe>;

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
        if !leadership.is_leader() {
            continue;
        }
        let names: Vec<Arc<str>> = table
            .backends
            .iter()
            .filter(|(_, backend)| backend.is_ok())
            .map(|(name, _)| name.clone())
            .collect();
        let answers: Probes = stream::iter(names)
            .map(|name| probe(&pool, name))
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        probes.send_if_modified(|known| {
            let changed = **known != answers;
            if changed {
                *known = Arc::new(answers);
            }
            changed
        });
    }
}

async fn probe(pool: &Pool, name: Arc<str>) -> (Arc<str>, Probe) {
    let outcome = match pool.get(&name) {
        Ok(backend) => backend.probe(Instant::now() + DEADLINE).await,
        Err(error) => Err(error),
    };
    let probe = match outcome {
        Ok(info) => Probe::Answered {
            version: info.version,
        },
        Err(error) => Probe::Failed {
            reason: error.reason(),
            message: error.detail().to_owned(),
        },
    };
    (name, probe)
}
