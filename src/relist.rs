//! Series → catalog ("relist" is prometheus-adapter's word): lists each selector once for all rules that share it, keeps
//! the last good series of one that fails, and publishes the catalog whole. [`schedule`] says when a selector is listed again,
//! [`health`] which backend's selectors wait for it to answer.

mod health;
mod schedule;
mod selectors;

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use self::{
    schedule::Jitter,
    selectors::{News, Outcome, Selectors, Target},
};
use crate::{
    backend::{
        BackendError, SeriesQuery,
        pool::{Backends, Pool},
    },
    catalog::{Catalog, Recorded},
    metrics::Metrics,
    reason::Reason,
    rule::RuleTable,
};

/// Longest wait for one listing, a backend's own timeout aside.
const DEADLINE: Duration = Duration::from_secs(30);

/// The longest time that listings may keep a replica from being ready.
const PATIENCE: Duration = Duration::from_millis(2500);

/// The task that keeps the catalog.
pub struct Relist {
    tables: watch::Receiver<Arc<RuleTable>>,
    /// What the cluster has recorded of the rules' claims.
    recorded: watch::Receiver<Recorded>,
    pool: Pool,
    catalog: watch::Sender<Arc<Catalog>>,
    attempted: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    jitter: Jitter,
    metrics: Metrics,
}

/// What the task publishes.
pub struct Listings {
    /// What is served.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// Whether every selector of a synced table was tried once, or its backend was found to give no answer.
    pub attempted: watch::Receiver<bool>,
    /// The same, or that the backends had a few seconds for it: a backend that hangs keeps no replica from serving.
    pub ready: watch::Receiver<bool>,
}

type Listing = BoxFuture<'static, (Target, Outcome)>;

/// How many metrics a line about a limit names.
const NAMED: usize = 5;

// === impl Relist ===

impl Relist {
    /// A task over `tables` and the claims that are recorded, in the replica named `identity`, and what it publishes.
    pub fn new(
        tables: watch::Receiver<Arc<RuleTable>>,
        recorded: watch::Receiver<Recorded>,
        pool: Pool,
        identity: &str,
        metrics: Metrics,
    ) -> (Self, Listings) {
        let (catalog, catalogs) = watch::channel(Arc::default());
        let (attempted, was_attempted) = watch::channel(false);
        let (ready, is_ready) = watch::channel(false);
        let relist = Self {
            tables,
            recorded,
            pool,
            catalog,
            attempted,
            ready,
            jitter: Jitter::of(identity),
            metrics,
        };
        let listings = Listings {
            catalog: catalogs,
            attempted: was_attempted,
            ready: is_ready,
        };
        (relist, listings)
    }

    /// Runs for as long as it is polled.
    pub async fn run(mut self) -> Infallible {
        let mut selectors = Selectors::new(self.jitter);
        let mut running: FuturesUnordered<Listing> = FuturesUnordered::new();
        let mut clients = self.pool.subscribe();
        let mut known = clients.borrow_and_update().clone();
        let mut table = self.tables.borrow_and_update().clone();
        let mut impatient = None;
        self.apply(&table, &mut selectors);
        loop {
            while let Some(target) = selectors.take_due(Instant::now()) {
                running.push(self.list(target));
            }
            if table.synced {
                let end = *impatient.get_or_insert_with(|| Instant::now() + PATIENCE);
                let attempted = selectors.all_attempted();
                raise(&self.attempted, attempted);
                raise(&self.ready, attempted || end <= Instant::now());
            }
            let due = selectors.next_due();
            let end = impatient.filter(|_| !*self.ready.borrow());
            let former = selectors.former_ends();
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
                Ok(()) = clients.changed() => {
                    let now = clients.borrow_and_update().clone();
                    renew(&mut selectors, &known, &now);
                    known = now;
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
                recorded = self.recorded.changed() => {
                    if recorded.is_err() {
                        // Its own task says so; what was read last holds.
                        return std::future::pending().await;
                    }
                    true
                }
                () = sleep_until(due) => false,
                () = sleep_until(end) => false,
                () = sleep_until(former) => true,
            };
            if changed {
                self.publish(&table, &mut selectors);
            }
        }
    }

    fn apply(&mut self, table: &Arc<RuleTable>, selectors: &mut Selectors) {
        selectors.apply(table);
        self.publish(table, selectors);
    }

    fn publish(&mut self, table: &Arc<RuleTable>, selectors: &mut Selectors) {
        let previous = self.catalog.borrow().clone();
        let recorded = self.recorded.borrow_and_update().clone();
        let entries = selectors.entries(table, Instant::now());
        let catalog = Catalog::build_recorded(table.clone(), entries, &recorded);
        let catalog = Arc::new(catalog);
        for (rule, metrics) in catalog.cut_off_since(&previous) {
            let some: Vec<&str> = metrics.iter().take(NAMED).copied().collect();
            tracing::warn!(
                %rule,
                count = metrics.len(),
                metrics = some.join(", "),
                "a limit of the rule removes metrics, because others with lower names have appeared"
            );
        }
        self.catalog.send_replace(catalog);
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
                max_series: target.max_series,
                examples: 0,
                namespace: target.namespace.clone(),
                deadline: started + DEADLINE,
            };
            let listing = async {
                match pool.get(&target.backend) {
                    Ok(backend) => backend.series(query).await,
                    Err(error) => Err(error),
                }
            };
            let result = tokio::select! {
                // It gives its slot back: rules that come and go must not fill the backend.
                () = target.abandoned() => Err(BackendError::new(Reason::Internal, "no rule needs the listing any more")),
                result = listing => result,
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
        if target.is_abandoned() {
            return false;
        }
        let error = outcome.result.as_ref().err().cloned();
        if let Some(error) = &error {
            self.metrics
                .backend
                .relist_error(&target.backend, error.reason().code());
        }
        let round = selectors.finish(target, outcome, Instant::now());
        tell(target, round.news, error.as_ref());
        if let Some(round) = round.finished {
            self.metrics
                .backend
                .relist(&round.backend, round.took, round.succeeded_at);
        }
        round.changed
    }
}

/// One line for what is news.
fn tell(target: &Target, news: Option<News>, error: Option<&BackendError>) {
    let backend = &*target.backend;
    match (news, error) {
        (Some(News::Down { selectors }), Some(error)) => {
            let (reason, detail) = (error.reason(), error.detail());
            tracing::warn!(
                backend, %reason, %error, detail, selectors,
                "the backend lists no series; the operator tries again less and less often, and keeps the last series"
            );
        }
        (Some(News::Up), _) => tracing::info!(backend, "the backend lists series again"),
        (Some(News::Selector), Some(error)) => {
            let (reason, detail) = (error.reason(), error.detail());
            tracing::warn!(
                backend, selector = %target.selector, %reason, %error, detail,
                "series could not be listed"
            );
        }
        _ => {}
    }
}

/// Tells the selectors whose backend has another client than before.
fn renew(selectors: &mut Selectors, before: &Backends, now: &Backends) {
    for (name, _) in now.iter() {
        if !now.same(before, name) {
            selectors.renewed(&name.into(), Instant::now());
        }
    }
}

/// Makes it true once and for all.
fn raise(flag: &watch::Sender<bool>, condition: bool) {
    if condition {
        flag.send_if_modified(|flag| !std::mem::replace(flag, true));
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
