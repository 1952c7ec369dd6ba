//! Drives the index: one guarded watch per kind, each with its own back-off, into one synchronous index, out as whole
//! tables.

mod state;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use self::state::State;
use super::status_writer::{StatusKey, StatusKind};
use crate::{
    api::{ClusterMetricRule, MetricBackend, MetricRule, metric_rule::RuleResource},
    kubernetes::watch::{Change, config, drive, drive_each},
    metrics::ControllerMetrics,
    resource::Resources,
    rule::{RuleTable, index::RuleScope},
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
                    state.listings > listings && !state.is_half() && state.index.wants_rules()
                };
                if state.wait_for(wants).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(LIST_ANEW).await;
            };
            tokio::select! {
                never = rules => return never,
                () = again => tracing::info!("listing MetricRules again: there is space for some that were refused"),
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
                let half = state.is_half() && self.tables.borrow().synced;
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
