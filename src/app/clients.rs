//! Clients of a table's backends: built between the index and relist, so that they exist before anyone reads the table.

use std::{convert::Infallible, sync::Arc};

use tokio::sync::watch;

use crate::{
    backend::pool::{BackendInputs, Pool},
    controller::registration::Needs,
    kubernetes::credentials::Credentials,
    rule::RuleTable,
};

/// The stage that keeps the pool.
pub(super) struct Clients {
    tables: watch::Receiver<Arc<RuleTable>>,
    credentials: watch::Receiver<Arc<Credentials>>,
    pool: Pool,
    ready: watch::Sender<Arc<RuleTable>>,
    needs: watch::Sender<Needs>,
}

// === impl Clients ===

impl Clients {
    /// The stage, the tables behind it, and which APIs their rules need.
    pub(super) fn new(
        tables: watch::Receiver<Arc<RuleTable>>,
        credentials: watch::Receiver<Arc<Credentials>>,
        pool: Pool,
    ) -> (Self, watch::Receiver<Arc<RuleTable>>, watch::Receiver<Needs>) {
        let (ready, ready_tables) = watch::channel(Arc::default());
        let (needs, needed) = watch::channel(Needs::default());
        (
            Self {
                tables,
                credentials,
                pool,
                ready,
                needs,
            },
            ready_tables,
            needed,
        )
    }

    /// Runs for as long as it is polled.
    pub(super) async fn run(mut self) -> Infallible {
        loop {
            let table = self.tables.borrow_and_update().clone();
            let credentials = self.credentials.borrow_and_update().clone();
            if credentials.is_synced() {
                self.pool
                    .set_credentials(move |kind, name, key| credentials.get(kind, name, key));
            }
            self.pool.apply(inputs(&table));
            self.needs.send_if_modified(|known| {
                let needs = needs(&table);
                let changed = *known != needs;
                *known = needs;
                changed
            });
            self.ready.send_if_modified(|known| {
                let changed = !Arc::ptr_eq(known, &table);
                *known = table;
                changed
            });
            let changed = tokio::select! {
                changed = self.tables.changed() => changed,
                changed = self.credentials.changed() => changed,
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

fn inputs(table: &RuleTable) -> impl Iterator<Item = (Arc<str>, BackendInputs)> {
    let usable = table
        .backends
        .iter()
        .filter_map(|(name, backend)| Some((name, backend.as_ref().ok()?)));
    usable.map(|(name, backend)| {
        let inputs = BackendInputs {
            spec: backend.spec.clone(),
            uid: backend.uid.clone(),
            generation: backend.generation,
        };
        (name.clone(), inputs)
    })
}

fn needs(table: &RuleTable) -> Needs {
    Needs {
        synced: table.synced,
        apis: table.rules.iter().map(|rule| rule.api).collect(),
    }
}
