//! The documents of discovery, from the catalog; made once for each catalog, never for a request.
//!
//! The legacy list of a version names every metric: it is what people read (`kubectl get --raw`). The aggregated document,
//! which the API server merges into the one that every client of the cluster holds, names groups and versions only, like that
//! of custom-metrics-apiserver: nothing resolves a metric through it; a list of thousands would be fetched anew by every
//! client whenever a series comes or goes; a rule's author could put the name of any resource into the REST mapping of the
//! whole cluster; and a document that never changes has the same tag on all replicas, so that the aggregator, which asks any
//! of them, is answered with 304.

mod share;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use self::share::share;
use super::respond::{JSON, Reply, Tagged};
use crate::{
    api::discovery::{ApiGroup, ApiGroupDiscoveryList, ApiGroupList, ApiResource, ApiResourceList},
    catalog::Catalog,
    query::route::{CUSTOM_GROUP, SERVED},
};

/// The content type of the aggregated document, letter for letter: the aggregator takes no other for it.
pub(super) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Entries of a legacy list. Beyond it metrics are served but not listed: the list is fetched several times a minute by the
/// aggregator's availability probes.
const MAX_RESOURCES: usize = 10_000;
/// Those that the `MetricRule`s of one namespace bring in.
const MAX_OF_NAMESPACE: usize = 1000;

/// What is there to list, free of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// `pods/http_requests` and whether the objects live in namespaces. Sorted; one scope for each kind.
    pub(super) custom: Vec<(String, bool)>,
    /// The names of external metrics, sorted.
    pub(super) external: Vec<String>,
}

/// Makes documents when the catalog changes.
#[derive(Debug)]
pub(super) struct Discovery {
    /// `/apis`, and the same for who asks for the aggregated form.
    groups: ApiGroupList,
    aggregated: Tagged,
    /// The catalog that the lists were made of; held, so that its address is not used again.
    lists: Mutex<Option<(Arc<Catalog>, Arc<Lists>)>>,
}

/// The legacy list of each version, in the order of [`SERVED`].
#[derive(Debug)]
pub(super) struct Lists(Vec<(&'static str, &'static str, ApiResourceList, Bytes)>);

// === impl Listing ===

impl Listing {
    /// What `catalog` has, in the order of the names.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let custom = catalog.custom_metrics().flat_map(|(info, metrics)| {
            metrics.map(move |metric| {
                let namespaced = catalog.is_namespaced(&info.group_resource, metric);
                let owners = catalog.custom_owners(&info.group_resource, metric);
                ((format!("{}/{metric}", info.group_resource), namespaced), owners)
            })
        });
        let mut custom: Vec<_> = custom.collect();
        custom.sort_unstable();
        let external = catalog
            .external_metrics()
            .map(|metric| (metric.to_string(), catalog.external_owners(metric)))
            .collect();
        let all = custom.len() + catalog.external_metrics().count();
        let listing = Self {
            custom: share(custom, MAX_RESOURCES, MAX_OF_NAMESPACE),
            external: share(external, MAX_RESOURCES, MAX_OF_NAMESPACE),
        };
        let left_out = all - listing.custom.len() - listing.external.len();
        if left_out > 0 {
            tracing::warn!(
                left_out,
                limit = MAX_RESOURCES,
                limit_of_namespace = MAX_OF_NAMESPACE,
                "metrics are served but not listed in discovery: there are too many"
            );
        }
        listing
    }
}

// === impl Discovery ===

impl Discovery {
    pub(super) fn new() -> serde_json::Result<Self> {
        Ok(Self {
            groups: ApiGroupList::new(&SERVED),
            aggregated: Tagged::new(&ApiGroupDiscoveryList::new(&SERVED))?,
            lists: Mutex::new(None),
        })
    }

    /// `/apis`.
    pub(super) fn groups(&self, pretty: bool) -> Reply {
        Reply::json(&self.groups, pretty)
    }

    /// `/apis` as the aggregator asks for it. It is never indented: the tag is that of its bytes.
    pub(super) fn aggregated(&self, request: &http::HeaderMap) -> Reply {
        Reply::tagged(&self.aggregated, AGGREGATED, request).with(http::header::CACHE_CONTROL, "public")
    }

    /// `/apis/{group}`.
    pub(super) fn group(group: &'static str, pretty: bool) -> Reply {
        let versions = SERVED
            .iter()
            .find(|(name, _)| *name == group)
            .map_or(&[][..], |(_, versions)| versions);
        Reply::json(&ApiGroup::new(group, versions), pretty)
    }

    /// `/apis/{group}/{version}`.
    pub(super) fn version(&self, catalog: &Arc<Catalog>, group: &str, version: &str, pretty: bool) -> Reply {
        let lists = self.lists(catalog);
        match lists.0.iter().find(|(g, v, ..)| *g == group && *v == version) {
            Some((_, _, _, body)) if !pretty => Reply::bytes(JSON, body.clone()),
            Some((_, _, list, _)) => Reply::json(list, pretty),
            None => Reply::json(&ApiResourceList::new(group, version, Vec::new()), pretty),
        }
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
        let resources = |group: &str| -> Vec<ApiResource> {
            if group == CUSTOM_GROUP {
                let custom = listing.custom.iter();
                custom
                    .map(|(name, namespaced)| ApiResource::new(name, *namespaced, "MetricValueList"))
                    .collect()
            } else {
                let external = listing.external.iter();
                external
                    .map(|name| ApiResource::new(name, true, "ExternalMetricValueList"))
                    .collect()
            }
        };
        let versions = SERVED
            .iter()
            .flat_map(|(group, versions)| versions.iter().map(move |version| (*group, *version)));
        let lists = versions.map(|(group, version)| {
            let list = ApiResourceList::new(group, version, resources(group));
            let body = Reply::json(&list, false).into_body();
            (group, version, list, body)
        });
        Self(lists.collect())
    }
}

#[cfg(test)]
mod tests;
