//! Drives the index: one guarded watch per kind, each with its own back-off, into one synchronous index, out as whole
//! tables.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::status_writer::{StatusKey, StatusKind};
use crate::{
    api::{
        ClusterMetricRule, MetricBackend, MetricRule,
        metric_rule::{RuleKey, RuleResource},
    },
    kubernetes::watch::{Change, ObjectKey, config, drive},
    metrics::ControllerMetrics,
    resource::Resources,
    rule::{BackendObject, Index, Namespaces, RuleObject, RuleTable, index::RuleScope},
};

/// The status of each object as its watch last brought it.
///
/// Each is behind a pointer: what is published is a copy of the pointers, never of the statuses.
pub type ObservedStatuses = BTreeMap<StatusKey, Arc<ObservedStatus>>;

/// Between two publications of statuses: a burst of them is worth one.
const PAUSE: Duration = Duration::from_millis(50);

/// A status and which object it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedStatus {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// `.status`, as it stands there.
    pub status: Option<Value>,
}

/// The watches of rules, backends and namespaces.
pub struct Watches {
    client: Client,
    resources: watch::Receiver<Arc<Resources>>,
    state: watch::Sender<State>,
    tables: watch::Sender<Arc<RuleTable>>,
    statuses: watch::Sender<Arc<ObservedStatuses>>,
    metrics: ControllerMetrics,
}

#[derive(Default)]
struct State {
    index: Index,
    statuses: ObservedStatuses,
    /// Raised when the table differs, so that a status that comes back does not make a new one.
    revision: u64,
    /// Raised when a status, or the version of its object, differs.
    status_revision: u64,
}

// === impl Watches ===

impl Watches {
    /// The watches, and what they publish: tables, and the statuses that objects carry.
    pub fn new(
        client: Client,
        resources: watch::Receiver<Arc<Resources>>,
        metrics: ControllerMetrics,
    ) -> (
        Self,
        watch::Receiver<Arc<RuleTable>>,
        watch::Receiver<Arc<ObservedStatuses>>,
    ) {
        let (tables, table_receiver) = watch::channel(Arc::default());
        let (statuses, status_receiver) = watch::channel(Arc::default());
        let state = watch::Sender::new(State::default());
        let watches = Self {
            client,
            resources,
            state,
            tables,
            statuses,
            metrics,
        };
        (watches, table_receiver, status_receiver)
    }

    /// Runs for as long as it is polled.
    pub async fn run(self) -> Infallible {
        let rules = self.drive::<MetricRule>("MetricRule", |state, change| {
            state.apply_rules::<MetricRule>(RuleScope::Namespaced, StatusKind::MetricRule, change);
        });
        let cluster_rules = self.drive::<ClusterMetricRule>("ClusterMetricRule", |state, change| {
            state.apply_rules::<ClusterMetricRule>(RuleScope::Cluster, StatusKind::ClusterMetricRule, change);
        });
        let backends = self.drive::<MetricBackend>("MetricBackend", State::apply_backends);
        let namespaces = drive(
            Api::<PartialObjectMeta<Namespace>>::all(self.client.clone()),
            config(),
            "Namespace",
            &self.metrics,
            |change| self.change(|state| state.apply_namespaces(change)),
        );
        tokio::select! {
            never = rules => never,
            never = cluster_rules => never,
            never = backends => never,
            never = namespaces => never,
            never = self.take_resources() => never,
            never = self.publish_tables() => never,
            never = self.publish_statuses() => never,
        }
    }

    /// Objects are watched as they are and decoded afterwards, so that one that does not decode keeps its status: the
    /// writer must see it, or it would write it again for ever.
    async fn drive<K>(
        &self,
        kind: &'static str,
        apply: impl Fn(&mut State, Change<DynamicObject>) + Copy,
    ) -> Infallible
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        drive(api, config(), kind, &self.metrics, |change| {
            self.change(|state| apply(state, change));
        })
        .await
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    async fn take_resources(&self) -> Infallible {
        let mut resources = self.resources.clone();
        loop {
            let now = resources.borrow_and_update().clone();
            self.change(|state| {
                if state.index.set_resources(now) {
                    state.revision += 1;
                }
            });
            if resources.changed().await.is_err() {
                // The mapper's own task says what happened; what it last published stays true for now.
                return std::future::pending().await;
            }
        }
    }

    /// Publishes what a burst of events came to, once.
    async fn publish_tables(&self) -> Infallible {
        let mut state = self.state.subscribe();
        let mut published = 0;
        loop {
            {
                let state = state.borrow_and_update();
                if state.revision != published {
                    published = state.revision;
                    self.tables.send_replace(Arc::new(state.index.table()));
                }
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn publish_statuses(&self) -> Infallible {
        let mut state = self.state.subscribe();
        let mut published = 0;
        loop {
            let statuses = {
                let state = state.borrow_and_update();
                (state.status_revision != published).then(|| {
                    published = state.status_revision;
                    state.statuses.clone()
                })
            };
            if let Some(statuses) = statuses {
                self.statuses.send_replace(Arc::new(statuses));
                tokio::time::sleep(PAUSE).await;
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

// === impl State ===

impl State {
    fn apply_rules<K>(&mut self, scope: RuleScope, kind: StatusKind, change: Change<DynamicObject>)
    where
        K: RuleResource + DeserializeOwned,
    {
        let changed = match change {
            Change::Reset(objects) => {
                let objects: Vec<DynamicObject> = objects.into_iter().filter_map(decoded).collect();
                self.reset_statuses(kind, &objects);
                // The first listing is news even when it is empty: it says that there are no rules.
                self.index
                    .reset_rules(scope, objects.into_iter().map(RuleObject::read::<K>).collect());
                true
            }
            Change::Apply(object) => decoded(object).is_some_and(|object| {
                self.observe(kind, &object);
                self.index.apply_rule(RuleObject::read::<K>(object))
            }),
            Change::Delete(key) => {
                self.forget(kind, &key);
                self.index.delete_rule(&RuleKey {
                    namespace: key.namespace,
                    name: key.name,
                })
            }
            Change::Failed(_) => false,
        };
        self.revision += u64::from(changed);
    }

    fn apply_backends(&mut self, change: Change<DynamicObject>) {
        let kind = StatusKind::MetricBackend;
        let changed = match change {
            Change::Reset(objects) => {
                let objects: Vec<DynamicObject> = objects.into_iter().filter_map(decoded).collect();
                self.reset_statuses(kind, &objects);
                self.index
                    .reset_backends(objects.into_iter().map(BackendObject::read).collect());
                true
            }
            Change::Apply(object) => decoded(object).is_some_and(|object| {
                self.observe(kind, &object);
                self.index.apply_backend(BackendObject::read(object))
            }),
            Change::Delete(key) => {
                self.forget(kind, &key);
                self.index.delete_backend(&key.name)
            }
            Change::Failed(_) => false,
        };
        self.revision += u64::from(changed);
    }

    fn apply_namespaces(&mut self, change: Change<PartialObjectMeta<Namespace>>) {
        let changed = match change {
            Change::Reset(objects) => {
                let namespaces: Namespaces = objects
                    .into_iter()
                    .filter_map(decoded)
                    .map(|object| (object.name_any(), object.labels().clone()))
                    .collect();
                self.index.reset_namespaces(namespaces);
                true
            }
            Change::Apply(object) => decoded(object).is_some_and(|object| {
                self.index
                    .apply_namespace(&object.name_any(), object.labels().clone())
            }),
            Change::Delete(key) => self.index.delete_namespace(&key.name),
            Change::Failed(_) => false,
        };
        self.revision += u64::from(changed);
    }

    fn reset_statuses(&mut self, kind: StatusKind, objects: &[DynamicObject]) {
        self.status_revision += 1;
        self.statuses.retain(|key, _| key.kind != kind);
        for object in objects {
            self.observe(kind, object);
        }
    }

    fn observe(&mut self, kind: StatusKind, object: &DynamicObject) {
        let key = status_key(kind, &ObjectKey::of(&object.metadata));
        self.status_revision += 1;
        self.statuses.insert(key, Arc::new(observed(object)));
    }

    fn forget(&mut self, kind: StatusKind, key: &ObjectKey) {
        self.status_revision += 1;
        self.statuses.remove(&status_key(kind, key));
    }
}

fn status_key(kind: StatusKind, key: &ObjectKey) -> StatusKey {
    StatusKey {
        kind,
        namespace: key.namespace.as_deref().map(Into::into),
        name: key.name.as_str().into(),
    }
}

fn observed(object: &DynamicObject) -> ObservedStatus {
    ObservedStatus {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        status: object.data.get("status").cloned(),
    }
}

/// These types take whatever an API server stores; if one ever did not, the watch's own log would be all there is.
fn decoded<K>(entry: crate::kubernetes::watch::Entry<K>) -> Option<K> {
    entry
        .inspect_err(|invalid| tracing::warn!(error = %invalid.error, "object without usable metadata"))
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn backend(name: &str, version: u32) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
            "metadata": {"name": name, "uid": name, "resourceVersion": version.to_string()},
            "spec": {"type": "Prometheus", "prometheus": {"url": "http://prometheus"}},
            "status": {"rules": version},
        }))
        .unwrap()
    }

    #[test]
    fn a_status_that_comes_back_copies_no_other() {
        let mut state = State::default();
        let objects = (0..100).map(|number| Ok(backend(&format!("b{number}"), 1)));
        state.apply_backends(Change::Reset(objects.collect()));
        let published = state.statuses.clone();
        let (tables, statuses) = (state.revision, state.status_revision);
        state.apply_backends(Change::Apply(Ok(backend("b7", 2))));
        assert_eq!(state.revision, tables, "a status makes no new table");
        assert_eq!(state.status_revision, statuses + 1);
        let same = |key: &&StatusKey| Arc::ptr_eq(&published[*key], &state.statuses[*key]);
        assert_eq!(published.keys().filter(same).count(), 99);
    }
}
