//! Series → catalog ("relist" is prometheus-adapter's word): lists each selector once for all rules that share it, keeps
//! the last good series of one that fails, and publishes the catalog whole.

mod selectors;

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use self::selectors::{Outcome, Selectors, Target};
use crate::{
    backend::{SeriesQuery, pool::Pool},
    catalog::Catalog,
    metrics::Metrics,
    rule::RuleTable,
};

/// Longest wait for one listing, a backend's own timeout aside.
const DEADLINE: Duration = Duration::from_secs(30);

/// The task that keeps the catalog.
pub struct Relist {
    tables: watch::Receiver<Arc<RuleTable>>,
    pool: Pool,
    catalog: watch::Sender<Arc<Catalog>>,
    attempted: watch::Sender<bool>,
    metrics: Metrics,
}

type Listing = BoxFuture<'static, (Target, Outcome)>;

// === impl Relist ===

impl Relist {
    /// A task over `tables`; the receivers give the catalog, and whether every selector of a synced table was tried once.
    pub fn new(
        tables: watch::Receiver<Arc<RuleTable>>,
        pool: Pool,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<Arc<Catalog>>, watch::Receiver<bool>) {
        let (catalog, catalogs) = watch::channel(Arc::default());
        let (attempted, was_attempted) = watch::channel(false);
        (
            Self {
                tables,
                pool,
                catalog,
                attempted,
                metrics,
            },
            catalogs,
            was_attempted,
        )
    }

    /// Runs for as long as it is polled.
    pub async fn run(mut self) -> Infallible {
        let mut selectors = Selectors::default();
        let mut running: FuturesUnordered<Listing> = FuturesUnordered::new();
        let mut table = self.tables.borrow_and_update().clone();
        self.apply(&table, &mut selectors);
        loop {
            while let Some(target) = selectors.take_due(Instant::now()) {
                running.push(self.list(target));
            }
            if table.synced && selectors.all_attempted() {
                self.attempted
                    .send_if_modified(|attempted| !std::mem::replace(attempted, true));
            }
            let due = selectors.next_due();
            let changed = tokio::select! {
                changed = self.tables.changed() => {
                    if changed.is_err() {
                        // The index is gone, and with it the process; its own task says so.
                        return std::future::pending().await;
                    }
                    table = self.tables.borrow_and_update().clone();
                    self.apply(&table, &mut selectors);
                    false
                }
                Some((target, outcome)) = running.next() => {
                    let mut changed = self.finish(&mut selectors, &target, outcome);
                    // Whatever else has come in goes into the same catalog.
                    while let Some(Some((target, outcome))) = running.next().now_or_never() {
                        changed |= self.finish(&mut selectors, &target, outcome);
                    }
                    changed
                }
                () = sleep_until(due) => false,
            };
            if changed {
                self.publish(&table, &mut selectors);
            }
        }
    }

    fn apply(&self, table: &Arc<RuleTable>, selectors: &mut Selectors) {
        selectors.apply(table);
        self.publish(table, selectors);
    }

    fn publish(&self, table: &Arc<RuleTable>, selectors: &mut Selectors) {
        let previous = self.catalog.borrow().clone();
        let entries = selectors.entries(table, &previous);
        self.catalog
            .send_replace(Arc::new(Catalog::build(table.clone(), entries)));
    }

    fn list(&self, target: Target) -> Listing {
        let pool = self.pool.clone();
        async move {
            let end = Timestamp::now();
            let started = Instant::now();
            let query = SeriesQuery {
                selector: target.selector.clone(),
                start: end.checked_sub(target.lookback).unwrap_or(Timestamp::UNIX_EPOCH),
                end,
                deadline: started + DEADLINE,
            };
            let result = match pool.get(&target.backend) {
                Ok(backend) => backend.series(query).await,
                Err(error) => Err(error),
            };
            let outcome = Outcome {
                result,
                at: end,
                took: started.elapsed(),
            };
            (target, outcome)
        }
        .boxed()
    }

    fn finish(&self, selectors: &mut Selectors, target: &Target, outcome: Outcome) -> bool {
        if let Err(error) = &outcome.result {
            let backend = &*target.backend;
            tracing::warn!(backend, selector = %target.selector, error = %error, "series could not be listed");
            self.metrics.backend.relist_error(backend, error.reason().code());
        }
        let round = selectors.finish(target, outcome, Instant::now());
        if let Some(round) = round.finished {
            self.metrics
                .backend
                .relist(&round.backend, round.took, round.succeeded_at);
        }
        round.changed
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
