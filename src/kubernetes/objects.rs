//! Objects that `*` and label selectors choose from, held by watches: pods from the start, other kinds from the first
//! request for them until nobody has asked for half an hour. Never a LIST per request.

mod light;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{Api, Client, core::ApiResource};
use language::selector::Selector;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::{
    light::{AnyObject, PodObject},
    store::{Readiness, Store},
};
use super::watch::{Change, Watched, config, drive};
use crate::{
    metrics::Metrics,
    reason::Reason,
    resource::{GroupResource, ObjectRow, ResourceInfo, Resources, Scope},
};

/// The most kinds that are watched at a time; the one unused for longest makes room.
const MAX_KINDS: usize = 32;
/// A watch that nobody asked for that long ends.
const UNUSED: Duration = Duration::from_mins(30);
/// How long the first request for a kind waits for its list.
const SYNC_WAIT: Duration = Duration::from_secs(2);

/// The objects of the kinds that may be listed. A clone is the same.
#[derive(Clone)]
pub struct Objects(Arc<Shared>);

struct Shared {
    client: Client,
    resources: watch::Receiver<Arc<Resources>>,
    allowed: BTreeSet<GroupResource>,
    kinds: Mutex<BTreeMap<GroupResource, Kind>>,
    metrics: Metrics,
}

/// A watched kind. Dropping it ends its watch.
struct Kind {
    info: ResourceInfo,
    store: Arc<Store>,
    task: JoinHandle<Infallible>,
    last_used: Instant,
}

/// Why objects cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// The kind is not among those that the operator lists, or RBAC refuses it.
    #[error(
        "the operator may not list {0}: add it to the chart's rbac.objects, which gives its ClusterRole the verbs \
         list and watch on the resource {resource:?} of the API group {group:?}; requests by name work without it",
        resource = .0.resource,
        group = .0.group
    )]
    Forbidden(GroupResource),
    /// The cluster has no such kind, as far as is known.
    #[error("the cluster has no resource {0}, or the operator has not read the cluster's discovery yet")]
    Unknown(GroupResource),
    /// The kind was not listed yet.
    #[error("the operator has not listed {0} yet; try again in a few seconds")]
    NotSynced(GroupResource),
}

// === impl Objects ===

impl Objects {
    /// Objects of the `allowed` kinds; Secrets never, even if they are among them.
    pub fn new(
        client: Client,
        resources: watch::Receiver<Arc<Resources>>,
        allowed: impl IntoIterator<Item = GroupResource>,
        metrics: Metrics,
    ) -> Self {
        let secrets = GroupResource::new("", "secrets");
        let allowed = allowed.into_iter().filter(|kind| *kind != secrets).collect();
        Self(Arc::new(Shared {
            client,
            resources,
            allowed,
            kinds: Mutex::default(),
            metrics,
        }))
    }

    /// Starts the watch of pods and ends those that are not used. Runs for as long as it is polled.
    pub async fn run(self) -> Infallible {
        let pods = GroupResource::pods();
        loop {
            // Again each time, should it have made room for others.
            if self.0.allowed.contains(&pods) {
                self.store(&pod_info());
            }
            sleep(UNUSED / 30).await;
            self.end_unused();
        }
    }

    /// Waits until pods, the kind that is watched from the start, were listed once; not at all where they may not be.
    pub async fn listed(&self) {
        if self.0.allowed.contains(&GroupResource::pods()) {
            self.store(&pod_info()).listed().await;
        }
    }

    /// The objects of a kind that a selector chooses, in the order of their namespaces and names. `namespace`: `None` for
    /// a cluster-scoped kind; of a namespaced one it gives those of all namespaces.
    ///
    /// Waits at most two seconds, and only for the first list of a kind.
    pub async fn list(
        &self,
        resource: &GroupResource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Arc<ObjectRow>>, ObjectsError> {
        if !self.0.allowed.contains(resource) {
            return Err(ObjectsError::Forbidden(resource.clone()));
        }
        let info = if *resource == GroupResource::pods() {
            pod_info()
        } else {
            let resources = self.0.resources.borrow();
            resources
                .resolve(resource)
                .cloned()
                .ok_or_else(|| ObjectsError::Unknown(resource.clone()))?
        };
        let store = self.store(&info);
        let readiness = timeout(SYNC_WAIT, store.ready()).await;
        match readiness.unwrap_or(Readiness::Pending) {
            Readiness::Synced => Ok(store.select(namespace, selector)),
            Readiness::Pending => Err(ObjectsError::NotSynced(resource.clone())),
            Readiness::Forbidden => Err(ObjectsError::Forbidden(resource.clone())),
        }
    }

    /// The store of a kind, with its watch started where there is none.
    fn store(&self, info: &ResourceInfo) -> Arc<Store> {
        let now = Instant::now();
        let mut kinds = self.kinds();
        if let Some(kind) = kinds.get_mut(&info.group_resource)
            && kind.info == *info
            && !kind.task.is_finished()
        {
            kind.last_used = now;
            return kind.store.clone();
        }
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&info.group_resource) {
            let oldest = kinds
                .iter()
                .min_by_key(|(_, kind)| kind.last_used)
                .map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                kinds.remove(&oldest);
                self.0.metrics.server.objects_gone(&oldest.to_string());
            }
        }
        let store = Arc::new(Store::default());
        let task = self.start(info, store.clone());
        let kind = Kind {
            info: info.clone(),
            store: store.clone(),
            task,
            last_used: now,
        };
        kinds.insert(info.group_resource.clone(), kind);
        store
    }

    fn start(&self, info: &ResourceInfo, store: Arc<Store>) -> JoinHandle<Infallible> {
        let (client, metrics) = (self.0.client.clone(), self.0.metrics.clone());
        let name = info.group_resource.to_string();
        tracing::debug!(resource = name, "watch of objects started");
        if info.group_resource == GroupResource::pods() {
            return tokio::spawn(fill(Api::<PodObject>::all(client), "Pod", name, store, metrics));
        }
        let resource = ApiResource {
            group: info.group_resource.group.clone(),
            version: info.version.clone(),
            api_version: info.api_version(),
            kind: info.kind.clone(),
            plural: info.group_resource.resource.clone(),
        };
        let api = Api::<AnyObject>::all_with(client, &resource);
        tokio::spawn(fill(api, "objects", name, store, metrics))
    }

    fn end_unused(&self) {
        let (now, pods) = (Instant::now(), GroupResource::pods());
        self.kinds().retain(|name, kind| {
            let used = *name == pods || now.saturating_duration_since(kind.last_used) < UNUSED;
            if !used {
                tracing::debug!(resource = %name, "ended an unused watch of objects");
                self.0.metrics.server.objects_gone(&name.to_string());
            }
            used
        });
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<GroupResource, Kind>> {
        self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists are read in pages, from etcd: one from the API server's cache comes in one piece, and that of a large cluster's
/// pods is hundreds of megabytes.
async fn fill<W>(
    api: Api<W>,
    kind: &'static str,
    resource: String,
    store: Arc<Store>,
    metrics: Metrics,
) -> Infallible
where
    W: Watched<Object = ObjectRow>,
{
    drive(api, config(), kind, &metrics.controller, |change| {
        if matches!(change, Change::Failed(_)) {
            store.apply(change);
        } else {
            metrics.server.objects(&resource, store.apply(change));
        }
    })
    .await
}

/// Pods are watched before discovery is read.
fn pod_info() -> ResourceInfo {
    ResourceInfo {
        group_resource: GroupResource::pods(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        singular: "pod".to_owned(),
        scope: Scope::Namespaced,
    }
}

// === impl Kind ===

impl Drop for Kind {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl ObjectsError ===

impl ObjectsError {
    /// The code for the reply.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Forbidden(_) => Reason::ObjectsForbidden,
            Self::Unknown(_) | Self::NotSynced(_) => Reason::NotSynced,
        }
    }
}

#[cfg(test)]
mod tests;
