//! Discovery: the documents of `/apis` and below, and the aggregated one (apidiscovery.k8s.io/v2).

use serde::Serialize;

use super::list_meta::ListMeta;
use crate::metrics_api::{ApiVersion, MetricsApi};

/// `metav1.APIGroupList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

/// `metav1.APIGroup`; inside a list it has no kind and version of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroup {
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    name: &'static str,
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

/// `metav1.GroupVersionForDiscovery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupVersion {
    group_version: &'static str,
    version: &'static str,
}

/// `metav1.APIResourceList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    kind: &'static str,
    api_version: &'static str,
    group_version: &'static str,
    resources: Vec<ApiResource>,
}

/// `metav1.APIResource` with the single verb `get`: namespace deletion and garbage collection act on what discovery says can
/// be listed and deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResource {
    /// `pods/http_requests`; of an external metric its name.
    pub name: String,
    singular_name: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Of what is answered.
    pub kind: &'static str,
    verbs: [&'static str; 1],
}

/// `apidiscovery.k8s.io/v2` `APIGroupDiscoveryList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiGroupDiscoveryList {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    items: Vec<ApiGroupDiscovery>,
}

/// One group, its versions in order of preference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiGroupDiscovery {
    metadata: Name,
    versions: Vec<ApiVersionDiscovery>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Name {
    name: &'static str,
}

/// One version. It has no resources: see `server::discovery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ApiVersionDiscovery {
    version: &'static str,
    freshness: &'static str,
}

// === impl ApiGroupList ===

impl ApiGroupList {
    /// All metrics APIs with their versions, the preferred one first.
    pub fn new() -> Self {
        Self {
            kind: "APIGroupList",
            api_version: "v1",
            groups: MetricsApi::ALL.map(ApiGroup::listed).to_vec(),
        }
    }
}

impl Default for ApiGroupList {
    fn default() -> Self {
        Self::new()
    }
}

// === impl ApiGroup ===

impl ApiGroup {
    /// A document of its own; the preferred version comes first.
    pub fn new(api: MetricsApi) -> Self {
        Self {
            kind: "APIGroup",
            api_version: "v1",
            ..Self::listed(api)
        }
    }

    fn listed(api: MetricsApi) -> Self {
        let versions: Vec<_> = api.preference().map(GroupVersion::new).collect();
        Self {
            kind: "",
            api_version: "",
            name: api.group(),
            preferred_version: versions.first().copied(),
            versions,
        }
    }
}

impl GroupVersion {
    const fn new(version: ApiVersion) -> Self {
        Self {
            group_version: version.group_version(),
            version: version.version(),
        }
    }
}

// === impl ApiResourceList ===

impl ApiResourceList {
    /// The resources of a version.
    pub const fn new(version: ApiVersion, resources: Vec<ApiResource>) -> Self {
        Self {
            kind: "APIResourceList",
            api_version: "v1",
            group_version: version.group_version(),
            resources,
        }
    }
}

impl ApiResource {
    /// A resource to `get`, answered with `kind`.
    pub fn new(name: impl Into<String>, namespaced: bool, kind: &'static str) -> Self {
        Self {
            name: name.into(),
            singular_name: "",
            namespaced,
            kind,
            verbs: ["get"],
        }
    }
}

// === impl ApiGroupDiscoveryList ===

impl ApiGroupDiscoveryList {
    /// All metrics APIs with their versions, the preferred one first.
    pub fn new() -> Self {
        let version = |version: ApiVersion| ApiVersionDiscovery {
            version: version.version(),
            freshness: "Current",
        };
        let items = MetricsApi::ALL.map(|api| ApiGroupDiscovery {
            metadata: Name { name: api.group() },
            versions: api.preference().map(version).collect(),
        });
        Self {
            kind: "APIGroupDiscoveryList",
            api_version: "apidiscovery.k8s.io/v2",
            metadata: ListMeta {},
            items: items.to_vec(),
        }
    }
}

impl Default for ApiGroupDiscoveryList {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
