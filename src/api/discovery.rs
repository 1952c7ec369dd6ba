//! Discovery: the documents of `/apis` and below, and the aggregated one (apidiscovery.k8s.io/v2).

use serde::Serialize;

use super::list_meta::ListMeta;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupVersion {
    group_version: String,
    version: &'static str,
}

/// `metav1.APIResourceList`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResourceList {
    kind: &'static str,
    api_version: &'static str,
    group_version: String,
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
    /// Groups with their versions, the preferred one first.
    pub fn new(groups: &[(&'static str, &'static [&'static str])]) -> Self {
        let groups = groups
            .iter()
            .map(|(name, versions)| ApiGroup::listed(name, versions))
            .collect();
        Self {
            kind: "APIGroupList",
            api_version: "v1",
            groups,
        }
    }
}

// === impl ApiGroup ===

impl ApiGroup {
    /// A document of its own; the preferred version comes first.
    pub fn new(name: &'static str, versions: &[&'static str]) -> Self {
        Self {
            kind: "APIGroup",
            api_version: "v1",
            ..Self::listed(name, versions)
        }
    }

    fn listed(name: &'static str, versions: &[&'static str]) -> Self {
        let versions: Vec<_> = versions
            .iter()
            .map(|version| GroupVersion::new(name, version))
            .collect();
        Self {
            kind: "",
            api_version: "",
            name,
            preferred_version: versions.first().cloned(),
            versions,
        }
    }
}

impl GroupVersion {
    fn new(group: &str, version: &'static str) -> Self {
        Self {
            group_version: format!("{group}/{version}"),
            version,
        }
    }
}

// === impl ApiResourceList ===

impl ApiResourceList {
    /// The resources of a version.
    pub fn new(group: &str, version: &str, resources: Vec<ApiResource>) -> Self {
        let group_version = format!("{group}/{version}");
        Self {
            kind: "APIResourceList",
            api_version: "v1",
            group_version,
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
    /// Groups with their versions, the preferred one first.
    pub fn new(groups: &[(&'static str, &'static [&'static str])]) -> Self {
        let items = groups.iter().map(|(name, versions)| {
            let versions = versions
                .iter()
                .map(|version| ApiVersionDiscovery {
                    version,
                    freshness: "Current",
                })
                .collect();
            ApiGroupDiscovery {
                metadata: Name { name },
                versions,
            }
        });
        Self {
            kind: "APIGroupDiscoveryList",
            api_version: "apidiscovery.k8s.io/v2",
            metadata: ListMeta {},
            items: items.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
