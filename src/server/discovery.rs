//! Discovery documents, from the catalog: made once for each catalog, when the first request asks for them.
//!
//! The legacy list of a version names every metric: it is what people read (`kubectl get --raw`). The aggregated document,
//! which the API server merges into the one that every client of the cluster holds, names groups and versions only, like that
//! of custom-metrics-apiserver: nothing resolves a metric through it; a list of thousands would be fetched anew by every
//! client whenever a series comes or goes; a rule's author could put the name of any resource into the REST mapping of the
//! whole cluster; and a document that never changes has the same tag on all replicas, so that the aggregator, which asks any
//! of them, is answered with 304.

mod share;

use std::sync::{Arc, Mutex, PoisonError};

use self::share::share;
use super::{
    apis,
    respond::{Kept, Reply, Tagged},
};
use crate::{
    api::discovery::{ApiGroup, ApiGroupDiscoveryList, ApiGroupList, ApiResource, ApiResourceList},
    catalog::Catalog,
    metrics_api::{ApiVersion, MetricsApi, PerApi, PerVersion},
};

/// The content type of the aggregated document, letter for letter: the aggregator takes no other for it.
pub(super) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Entries of a legacy list. Beyond it metrics are served but not listed: the list is fetched several times a minute by the
/// aggregator's availability probes.
const MAX_RESOURCES: usize = 10_000;
/// Those that the `MetricRule`s of one namespace bring in.
const MAX_OF_NAMESPACE: usize = 1000;

/// What is there to list of each API, free of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing(PerApi<Vec<ApiResource>>);

/// Makes documents when the catalog changes.
#[derive(Debug)]
pub(super) struct Discovery {
    /// `/apis` for who asks for the aggregated form.
    aggregated: Tagged,
    /// The catalog that the lists were made of; held, so that its address is not used again.
    lists: Mutex<Option<(Arc<Catalog>, Arc<Lists>)>>,
}

/// The legacy list of each version.
#[derive(Debug)]
pub(super) struct Lists(PerVersion<Arc<Kept<ApiResourceList>>>);

// === impl Listing ===

impl Listing {
    /// What `catalog` has, in the order of the names.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut left_out = 0;
        let listed = PerApi::of(|api| {
            let resources = apis::resources(api, catalog);
            let all = resources.len();
            let listed = share(resources, MAX_RESOURCES, MAX_OF_NAMESPACE);
            left_out += all - listed.len();
            listed
        });
        if left_out > 0 {
            tracing::warn!(
                left_out,
                limit = MAX_RESOURCES,
                limit_of_namespace = MAX_OF_NAMESPACE,
                "metrics are served but not listed in discovery: there are too many"
            );
        }
        Self(listed)
    }
}

// === impl Discovery ===

impl Discovery {
    pub(super) fn new() -> serde_json::Result<Self> {
        Ok(Self {
            aggregated: Tagged::new(&ApiGroupDiscoveryList::new())?,
            lists: Mutex::new(None),
        })
    }

    /// `/apis`.
    pub(super) fn groups() -> Reply {
        Reply::json(ApiGroupList::new())
    }

    /// `/apis` as the aggregator asks for it.
    pub(super) fn aggregated(&self, request: &http::HeaderMap) -> Reply {
        Reply::tagged(&self.aggregated, AGGREGATED, request).with(http::header::CACHE_CONTROL, "public")
    }

    /// `/apis/{group}`.
    pub(super) fn group(api: MetricsApi) -> Reply {
        Reply::json(ApiGroup::new(api))
    }

    /// `/apis/{group}/{version}`.
    pub(super) fn version(&self, catalog: &Arc<Catalog>, version: ApiVersion) -> Reply {
        Reply::shared(self.lists(catalog).0[version].clone())
    }

    fn lists(&self, catalog: &Arc<Catalog>) -> Arc<Lists> {
        // Made under the lock: who comes at the same time waits for the one who makes them.
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        match &*lists {
            Some((of, lists)) if Arc::ptr_eq(of, catalog) => lists.clone(),
            _ => {
                let made = Arc::new(Lists::new(&Listing::of(catalog)));
                *lists = Some((catalog.clone(), made.clone()));
                made
            }
        }
    }
}

// === impl Lists ===

impl Lists {
    pub(super) fn new(listing: &Listing) -> Self {
        Self(PerVersion::of(|version| {
            let list = ApiResourceList::new(version, listing.0[version.api()].clone());
            Arc::new(Kept::new(list))
        }))
    }
}

#[cfg(test)]
mod tests;
