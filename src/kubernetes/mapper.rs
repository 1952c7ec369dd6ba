//! Cluster's REST mapping, kept up to date: which group-resource a plural or singular name means, and its scope.
//!
//! Read from aggregated discovery in two requests; the singular names are nowhere else. kube's own `Discovery` ends at the
//! first group that does not answer, which may be the operator's own while it is not ready.

use std::{convert::Infallible, sync::Arc, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    core::{
        PartialObjectMeta,
        discovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery},
    },
    runtime::watcher::DefaultBackoff,
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::watch::{config, drive};
use crate::{
    metrics::ControllerMetrics,
    metrics_api::MetricsApi,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
};

/// Of each of the two requests.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two reads that nothing asked for.
const INTERVAL: Duration = Duration::from_mins(5);
/// After an event, so that a chart's dozen CRDs cause one read.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// After a read that an event caused: discovery follows a CRD with a delay.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps the REST mapping.
pub struct Mapper {
    client: Client,
    published: watch::Sender<Arc<Resources>>,
    refresh: Arc<Notify>,
    metrics: ControllerMetrics,
}

// === impl Mapper ===

impl Mapper {
    /// A mapper and what it publishes: first an empty mapping, which marks that none was read yet.
    pub fn new(client: Client, metrics: ControllerMetrics) -> (Self, watch::Receiver<Arc<Resources>>) {
        let (published, receiver) = watch::channel(Arc::default());
        let mapper = Self {
            client,
            published,
            refresh: Arc::default(),
            metrics,
        };
        (mapper, receiver)
    }

    /// Asks for a read soon, for example when an `APIService` changed. Events of CRDs are watched here.
    pub fn refresh(&self) -> Arc<Notify> {
        self.refresh.clone()
    }

    /// Runs for as long as it is polled.
    pub async fn run(self) -> Infallible {
        let definitions = Api::<PartialObjectMeta<CustomResourceDefinition>>::all(self.client.clone());
        let changes = drive(
            definitions,
            config(),
            "CustomResourceDefinition",
            &self.metrics,
            |_| {
                self.refresh.notify_one();
            },
        );
        tokio::select! {
            never = changes => never,
            never = self.read_for_ever() => never,
        }
    }

    async fn read_for_ever(&self) -> Infallible {
        let mut backoff = DefaultBackoff::default();
        let mut pause = INTERVAL;
        self.metrics.watch_start("discovery");
        loop {
            if let Err(error) = self.read().await {
                self.metrics.watch_restart("discovery");
                tracing::warn!(%error, "discovery of the cluster's resources failed; the last result stays in use");
                sleep(backoff.next().unwrap_or(INTERVAL)).await;
                continue;
            }
            backoff = DefaultBackoff::default();
            tokio::select! {
                () = sleep(pause) => pause = INTERVAL,
                () = self.refresh.notified() => {
                    sleep(DEBOUNCE).await;
                    // What the next read finds too early, the one after it finds.
                    pause = AGAIN;
                }
            }
        }
    }

    async fn read(&self) -> Result<(), ReadError> {
        let (core, groups) = discover(&self.client).await?;
        self.published.send_if_modified(|known| {
            let mapping = mapping(&core, &groups, known);
            let changed = **known != mapping;
            if changed {
                tracing::info!(resources = mapping.iter().count(), "read the REST mapping");
                *known = Arc::new(mapping);
            }
            changed
        });
        Ok(())
    }
}

/// Why the mapping could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No answer in time.
    #[error("no answer within {READ_TIMEOUT:?}")]
    Timeout,
    /// A refusal, or no connection.
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

/// The mapping as it is now, read once; for what does not run for long.
///
/// # Errors
///
/// See [`ReadError`].
pub async fn read(client: &Client) -> Result<Resources, ReadError> {
    let (core, groups) = discover(client).await?;
    Ok(mapping(&core, &groups, &Resources::default()))
}

async fn discover(client: &Client) -> Result<(APIGroupDiscoveryList, APIGroupDiscoveryList), ReadError> {
    let core = timeout(READ_TIMEOUT, client.list_core_api_versions_aggregated());
    let groups = timeout(READ_TIMEOUT, client.list_api_groups_aggregated());
    let (core, groups) = tokio::try_join!(core, groups).map_err(|_| ReadError::Timeout)?;
    Ok((core?, groups?))
}

/// The mapping that two discovery documents give: the core group first, then the cluster's order; of each resource the
/// first version that has it, which is the preferred one. Of a version whose document is stale, what `known` has stays.
pub fn mapping(core: &APIGroupDiscoveryList, groups: &APIGroupDiscoveryList, known: &Resources) -> Resources {
    let mut rows: Vec<ResourceInfo> = Vec::new();
    for group in core.items.iter().chain(&groups.items) {
        let name = group
            .metadata
            .as_ref()
            .and_then(|meta| meta.name.as_deref())
            .unwrap_or_default();
        // What the operator serves itself describes metrics, not objects, and is stale while it is not ready.
        if MetricsApi::of_group(name).is_some() {
            continue;
        }
        let first = rows.len();
        let mut add = |row: ResourceInfo| {
            // Within a group alone, which is short.
            if !rows
                .iter()
                .skip(first)
                .any(|other| other.group_resource == row.group_resource)
            {
                rows.push(row);
            }
        };
        for version in &group.versions {
            let label = version.version.as_deref().unwrap_or_default();
            version
                .resources
                .iter()
                .filter_map(|resource| row(name, label, resource))
                .for_each(&mut add);
            if version.freshness.as_deref() == Some("Stale") {
                let stale = |row: &&ResourceInfo| row.group_resource.group == name && row.version == label;
                known.iter().filter(stale).cloned().for_each(&mut add);
            }
        }
    }
    Resources::new(rows)
}

/// `None` for what has no objects of its own, such as a resource that only has subresources.
fn row(group: &str, version: &str, resource: &APIResourceDiscovery) -> Option<ResourceInfo> {
    let plural = resource.resource.as_deref().filter(|plural| !plural.is_empty())?;
    let kind = resource
        .response_kind
        .as_ref()?
        .kind
        .as_deref()
        .filter(|kind| !kind.is_empty())?;
    let singular = resource
        .singular_resource
        .as_deref()
        .filter(|singular| !singular.is_empty());
    Some(ResourceInfo {
        group_resource: GroupResource::new(group, plural),
        version: version.to_owned(),
        kind: kind.to_owned(),
        singular: singular.map_or_else(|| kind.to_lowercase(), str::to_owned),
        scope: match resource.scope.as_deref() {
            Some("Cluster") => Scope::Cluster,
            _ => Scope::Namespaced,
        },
    })
}

#[cfg(test)]
mod tests;
