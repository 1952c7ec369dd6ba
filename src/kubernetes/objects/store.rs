//! Objects of one kind, by namespace and name.

mod refusals;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use language::selector::Selector;
use tokio::{sync::watch, time::Instant};

use self::refusals::Refusals;

use crate::{
    kubernetes::watch::{Change, Entry, Failure, ObjectKey},
    resource::ObjectRow,
};

/// Whether the objects may be chosen from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Not listed yet.
    #[default]
    Pending,
    /// Listed; a watch that fails since then leaves them as they were.
    Synced,
    /// RBAC refuses them: the first list, or everything since a while.
    Forbidden,
}

/// Filled by a watch, read by requests.
#[derive(Debug, Default)]
pub(super) struct Store {
    rows: RwLock<Rows>,
    readiness: watch::Sender<Readiness>,
    refusals: Mutex<Refusals>,
}

#[derive(Debug, Default)]
struct Rows {
    /// Objects of a cluster-scoped kind are under the empty namespace.
    by_namespace: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<ObjectRow>>>,
    count: usize,
}

// === impl Store ===

impl Store {
    /// Takes a change and tells how many objects there are now.
    pub(super) fn apply(&self, change: Change<ObjectRow>) -> usize {
        let readiness = self.readiness_after(&change);
        let count = {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            match change {
                Change::Reset(entries) => {
                    // Built aside: readers see the old whole or the new one.
                    *rows = entries.into_iter().fold(Rows::default(), |mut rows, entry| {
                        rows.apply(entry);
                        rows
                    });
                }
                Change::Apply(entry) => rows.apply(entry),
                Change::Delete(key) => rows.delete(&key),
                Change::Failed(_) => {}
            }
            rows.count
        };
        if let Some(readiness) = readiness {
            self.readiness.send_replace(readiness);
        }
        count
    }

    fn readiness_after(&self, change: &Change<ObjectRow>) -> Option<Readiness> {
        let now = Instant::now();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Reset(_) => {
                refusals.list_succeeded(now);
                Some(Readiness::Synced)
            }
            Change::Apply(_) | Change::Delete(_) => {
                refusals.watch_succeeded();
                None
            }
            Change::Failed(Failure {
                code: Some(401 | 403),
                ..
            }) => {
                let lasting = refusals.refused(now);
                // What was listed is as good as any while an API server that has just started knows no RBAC yet.
                let synced = *self.readiness.borrow() == Readiness::Synced;
                (lasting || !synced).then_some(Readiness::Forbidden)
            }
            Change::Failed(_) => None,
        }
    }

    /// Waits until the objects were listed once.
    pub(super) async fn listed(&self) {
        let mut readiness = self.readiness.subscribe();
        // The sender is this store's own.
        let _ = readiness
            .wait_for(|readiness| *readiness == Readiness::Synced)
            .await;
    }

    /// Waits until it is known whether the objects may be chosen from.
    pub(super) async fn ready(&self) -> Readiness {
        let mut readiness = self.readiness.subscribe();
        let known = readiness
            .wait_for(|readiness| *readiness != Readiness::Pending)
            .await;
        known.map_or(Readiness::Pending, |readiness| *readiness)
    }

    /// The objects that `selector` chooses; of one namespace without a look at the others.
    pub(super) fn select(&self, namespace: Option<&str>, selector: &Selector) -> Vec<Arc<ObjectRow>> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let chosen = |row: &&Arc<ObjectRow>| selector.matches(|key| row.labels.get(key).map(String::as_str));
        match namespace {
            Some(namespace) => rows
                .by_namespace
                .get(namespace)
                .into_iter()
                .flat_map(BTreeMap::values)
                .filter(chosen)
                .cloned()
                .collect(),
            None => rows
                .by_namespace
                .values()
                .flat_map(BTreeMap::values)
                .filter(chosen)
                .cloned()
                .collect(),
        }
    }
}

// === impl Rows ===

impl Rows {
    fn apply(&mut self, entry: Entry<ObjectRow>) {
        // The light types decode whatever the API server sends.
        let Ok(row) = entry else { return };
        let namespace = row.namespace.as_deref().unwrap_or_default();
        let objects = match self.by_namespace.get_mut(namespace) {
            Some(objects) => objects,
            None => self.by_namespace.entry(namespace.into()).or_default(),
        };
        if objects.insert(row.name.as_str().into(), Arc::new(row)).is_none() {
            self.count += 1;
        }
    }

    fn delete(&mut self, key: &ObjectKey) {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        if let Some(objects) = self.by_namespace.get_mut(namespace) {
            if objects.remove(key.name.as_str()).is_some() {
                self.count -= 1;
            }
            if objects.is_empty() {
                self.by_namespace.remove(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(namespace: Option<&str>, name: &str, app: &str) -> ObjectRow {
        ObjectRow {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            uid: String::new(),
            labels: [("app".to_owned(), app.to_owned())].into(),
            pod: None,
        }
    }

    fn names(store: &Store, namespace: Option<&str>, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        store
            .select(namespace, &selector)
            .iter()
            .map(|row| row.name.clone())
            .collect()
    }

    #[test]
    fn a_selector_chooses_within_the_namespace() {
        let store = Store::default();
        let rows =
            [("b", "web"), ("a", "web"), ("c", "db")].map(|(name, app)| Ok(row(Some("shop"), name, app)));
        store.apply(Change::Reset(
            rows.into_iter()
                .chain([Ok(row(Some("other"), "z", "web"))])
                .collect(),
        ));
        assert_eq!(names(&store, Some("shop"), "app=web"), ["a", "b"]);
        assert_eq!(names(&store, Some("shop"), "app notin (web)"), ["c"]);
        assert_eq!(names(&store, Some("none"), ""), [""; 0]);
        assert_eq!(
            names(&store, None, "app=web"),
            ["z", "a", "b"],
            "by namespace, then by name"
        );
    }

    #[test]
    fn cluster_scoped_objects_have_no_namespace() {
        let store = Store::default();
        store.apply(Change::Apply(Ok(row(None, "node-1", "x"))));
        assert_eq!(names(&store, None, ""), ["node-1"]);
        store.apply(Change::Delete(ObjectKey {
            namespace: None,
            name: "node-1".to_owned(),
        }));
        assert_eq!(names(&store, None, ""), [""; 0]);
    }

    proptest! {
        #[test]
        fn the_count_is_that_of_the_objects(steps in proptest::collection::vec((0..3_u8, 0..3_u8, 0..4_u8), 0..60)) {
            let store = Store::default();
            let mut expected = std::collections::BTreeSet::new();
            for (step, namespace, name) in steps {
                let (namespace, name) = (format!("ns{namespace}"), format!("n{name}"));
                let key = ObjectKey { namespace: Some(namespace.clone()), name: name.clone() };
                let change = match step {
                    0 => {
                        expected.clear();
                        Change::Reset(Vec::new())
                    }
                    1 => {
                        expected.insert(key);
                        Change::Apply(Ok(row(Some(&namespace), &name, "x")))
                    }
                    _ => {
                        expected.remove(&key);
                        Change::Delete(key)
                    }
                };
                prop_assert_eq!(store.apply(change), expected.len());
                prop_assert_eq!(names(&store, None, "").len(), expected.len());
            }
        }
    }
}
