//! Drives the index: one guarded watch per kind, each with its own back-off, into one synchronous index, out as whole
//! tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

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
    kubernetes::watch::{Change, ObjectKey, Step, config, drive, drive_each},
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

/// Objects of one answer to a list of rules: one of them may have a megabyte.
const PAGE: u32 = 32;
/// From the moment in which there is room again for rules to their listing.
const LIST_ANEW: Duration = Duration::from_secs(5);

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
    /// The kinds that are being listed, and what came of them so far.
    listing: BTreeMap<StatusKind, BTreeSet<RuleKey>>,
    /// Complete lists of `MetricRule`s.
    listings: u64,
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
        let rules = self.rules();
        let cluster_rules = self.drive_rules::<ClusterMetricRule>(
            "ClusterMetricRule",
            RuleScope::Cluster,
            StatusKind::ClusterMetricRule,
        );
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

    /// Lists anew where the index wants rules whose specs it did not keep.
    async fn rules(&self) -> Infallible {
        loop {
            let listings = self.state.borrow().listings;
            let rules =
                self.drive_rules::<MetricRule>("MetricRule", RuleScope::Namespaced, StatusKind::MetricRule);
            let again = async {
                let mut state = self.state.subscribe();
                let wants = |state: &State| {
                    state.listings > listings && state.listing.is_empty() && state.index.wants_rules()
                };
                if state.wait_for(wants).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(LIST_ANEW).await;
            };
            tokio::select! {
                never = rules => return never,
                () = again => tracing::info!("MetricRules are listed anew: there is room for some that were refused"),
            }
        }
    }

    /// As [`Self::drive`], object by object: of a whole list of rules as they are stored there may be more than memory.
    async fn drive_rules<K>(&self, kind: &'static str, scope: RuleScope, status: StatusKind) -> Infallible
    where
        K: RuleResource + DeserializeOwned,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        drive_each(api, config().page_size(PAGE), kind, &self.metrics, |step| {
            self.change(|state| state.apply_rules::<K>(scope, status, step));
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
                // A list that comes object by object is shown when it is complete.
                let half = !state.listing.is_empty() && self.tables.borrow().synced;
                if state.revision != published && !half {
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
    fn apply_rules<K>(&mut self, scope: RuleScope, kind: StatusKind, step: Step<DynamicObject>)
    where
        K: RuleResource + DeserializeOwned,
    {
        let changed = match step {
            Step::Begin => {
                self.listing.insert(kind, BTreeSet::new());
                false
            }
            Step::Listed(entry) => {
                if let Some(object) = decoded(entry) {
                    self.observe(kind, &object);
                    let object = RuleObject::read::<K>(object);
                    self.listing.entry(kind).or_default().insert(object.key.clone());
                    self.index.apply_rule(object);
                }
                false
            }
            Step::End => {
                let listed = self.listing.remove(&kind).unwrap_or_default();
                let listed_statuses: BTreeSet<StatusKey> =
                    listed.iter().map(|key| rule_status_key(kind, key)).collect();
                self.status_revision += 1;
                self.statuses
                    .retain(|key, _| key.kind != kind || listed_statuses.contains(key));
                self.index.end_listing(scope, &listed);
                self.listings += u64::from(scope == RuleScope::Namespaced);
                // The first listing is news even when it is empty: it says that there are no rules.
                true
            }
            Step::Change(Change::Apply(object)) => decoded(object).is_some_and(|object| {
                self.observe(kind, &object);
                self.index.apply_rule(RuleObject::read::<K>(object))
            }),
            Step::Change(Change::Delete(key)) => {
                self.forget(kind, &key);
                self.index.delete_rule(&RuleKey {
                    namespace: key.namespace,
                    name: key.name,
                })
            }
            // A list that broke off begins anew; until then readers see what came of it rather than nothing new at all.
            Step::Change(Change::Failed(_)) => self.listing.remove(&kind).is_some(),
            Step::Change(Change::Reset(_)) => false,
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

fn rule_status_key(kind: StatusKind, key: &RuleKey) -> StatusKey {
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

    fn rule(name: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": "1"},
            "spec": {"seriesQuery": "up", "metricsQuery": "<<.Series>>", "resources": {"template": "<<.Resource>>"}},
        }))
        .unwrap()
    }

    fn take(state: &mut State, step: Step<DynamicObject>) {
        state.apply_rules::<MetricRule>(RuleScope::Namespaced, StatusKind::MetricRule, step);
    }

    fn names(state: &State) -> Vec<String> {
        let table = state.index.table();
        let rules = table.rules.iter();
        rules.map(|rule| rule.key().name.clone()).collect()
    }

    #[test]
    fn a_list_that_comes_rule_by_rule_takes_none_away_before_it_is_complete() {
        let mut state = State::default();
        for step in [
            Step::Begin,
            Step::Listed(Ok(rule("a"))),
            Step::Listed(Ok(rule("b"))),
            Step::End,
        ] {
            take(&mut state, step);
        }
        assert_eq!(names(&state), ["a", "b"]);
        take(&mut state, Step::Begin);
        take(&mut state, Step::Listed(Ok(rule("c"))));
        let failure = crate::kubernetes::watch::Failure {
            code: Some(500),
            message: String::new(),
        };
        take(&mut state, Step::Change(Change::Failed(failure)));
        assert_eq!(names(&state), ["a", "b", "c"], "it broke off");
        take(&mut state, Step::Begin);
        take(&mut state, Step::Listed(Ok(rule("c"))));
        assert!(!state.listing.is_empty(), "a half is not shown");
        take(&mut state, Step::End);
        assert!(state.listing.is_empty());
        assert_eq!(names(&state), ["c"]);
        assert_eq!(state.statuses.len(), 1);
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
