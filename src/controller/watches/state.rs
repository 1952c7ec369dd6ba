//! State of the watches: the index, and the statuses as they were last seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    ResourceExt as _,
    core::{DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

use super::{ObservedStatus, ObservedStatuses};
use crate::{
    api::metric_rule::{RuleKey, RuleResource},
    controller::status_writer::{StatusKey, StatusKind},
    kubernetes::watch::{Change, ObjectKey, Step},
    rule::{BackendObject, Index, Namespaces, RuleObject, index::RuleScope},
};

/// What all watches together have seen.
#[derive(Default)]
pub(super) struct State {
    pub(super) index: Index,
    /// The kinds that are being listed, and what came of them so far.
    listing: BTreeMap<StatusKind, BTreeSet<RuleKey>>,
    /// Complete lists of `MetricRule`s.
    pub(super) listings: u64,
    pub(super) statuses: ObservedStatuses,
    /// Raised when the table differs, so that a status that comes back does not make a new one.
    pub(super) revision: u64,
    /// Raised when a status, or the version of its object, differs.
    pub(super) status_revision: u64,
}

// === impl State ===

impl State {
    /// Whether a list of rules has come in part.
    pub(super) fn is_half(&self) -> bool {
        !self.listing.is_empty()
    }

    pub(super) fn apply_rules<K>(&mut self, scope: RuleScope, kind: StatusKind, step: Step<DynamicObject>)
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

    pub(super) fn apply_backends(&mut self, change: Change<DynamicObject>) {
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

    pub(super) fn apply_namespaces(&mut self, change: Change<PartialObjectMeta<Namespace>>) {
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
    use crate::api::MetricRule;

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
