//! Kubernetes resources as rules and requests name them: group-resources, the REST mapping, described objects.

mod builtin;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use jiff::Timestamp;

/// A resource in its plural form and its group; the core group is the empty string.
///
/// Printed and parsed as `deployments.apps` or `pods` (`schema.ParseGroupResource` of apimachinery: split at the first dot).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// For example `apps`; empty for the core group.
    pub group: String,
    /// For example `deployments`.
    pub resource: String,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Objects live in namespaces.
    Namespaced,
    /// Objects live beside namespaces (nodes, namespaces themselves).
    Cluster,
}

/// One row of the REST mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
    /// Plural name and group.
    pub group_resource: GroupResource,
    /// The version that the cluster prefers, for example `v1`.
    pub version: String,
    /// For example `Deployment`.
    pub kind: String,
    /// For example `deployment`.
    pub singular: String,
    /// Namespaced or not.
    pub scope: Scope,
}

/// A snapshot of the cluster's REST mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// In the order of the cluster's discovery (the core group first): the first match wins where a group is left out.
    rows: Vec<ResourceInfo>,
    /// Positions in `rows` by plural and by singular name.
    by_name: BTreeMap<String, Vec<usize>>,
}

/// An object that a metric can describe, reduced to what choosing and reporting need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// Only for pods.
    pub pod: Option<PodState>,
}

/// The part of a pod's life that decides whether a value may be filled in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodState {
    /// `status.phase`, for example `Running`.
    pub phase: String,
    /// When the condition `Ready` last turned true; `None` while it is not true.
    pub ready_since: Option<Timestamp>,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
}

// === impl GroupResource ===

impl GroupResource {
    /// A group-resource from its two parts, taken as they are.
    pub fn new(group: impl Into<String>, resource: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            resource: resource.into(),
        }
    }

    /// Splits `resource.group` at the first dot; without a dot it is of the core group.
    pub fn parse(text: &str) -> Self {
        match text.split_once('.') {
            Some((resource, group)) => Self::new(group, resource),
            None => Self::new("", text),
        }
    }

    /// `namespaces` of the core group.
    pub fn namespaces() -> Self {
        Self::new("", "namespaces")
    }

    /// `pods` of the core group.
    pub fn pods() -> Self {
        Self::new("", "pods")
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

// === impl ResourceInfo ===

impl ResourceInfo {
    /// Whether it is one of the kinds that prometheus-adapter takes to live beside namespaces; it knows no others
    /// (`pkg/naming/resource_converter.go`).
    pub fn is_root(&self) -> bool {
        self.group_resource.group.is_empty()
            && ["namespaces", "nodes", "persistentvolumes"].contains(&self.group_resource.resource.as_str())
    }

    /// `apiVersion` of its objects: `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group_resource.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group_resource.group, self.version)
        }
    }
}

// === impl Resources ===

impl Resources {
    /// A snapshot of `rows`, which come in the order of the cluster's discovery.
    pub fn new(rows: Vec<ResourceInfo>) -> Self {
        let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_name
                .entry(row.group_resource.resource.clone())
                .or_default()
                .push(index);
            if row.singular != row.group_resource.resource {
                by_name.entry(row.singular.clone()).or_default().push(index);
            }
        }
        Self { rows, by_name }
    }

    /// The row for a plural or singular `name` in any case; without a `group` the first one in the cluster's own order. A group
    /// that has no such resource stands for those that begin with it: `networking` for `networking.k8s.io`
    /// (`DefaultRESTMapper.ResourcesFor` of apimachinery).
    pub fn find(&self, group: Option<&str>, name: &str) -> Option<&ResourceInfo> {
        let Some(group) = group else {
            return self.named(name).next();
        };
        self.named(name)
            .find(|row| row.group_resource.group == group)
            .or_else(|| {
                self.named(name)
                    .find(|row| !group.is_empty() && row.group_resource.group.starts_with(group))
            })
    }

    /// The row that a request's text names: `pods`, `pod`, `deployments.apps`. A bare name means the core group.
    pub fn resolve(&self, named: &GroupResource) -> Option<&ResourceInfo> {
        self.named(&named.resource)
            .find(|row| row.group_resource.group == named.group)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &ResourceInfo> {
        // Names of resources are in lower case; a kind such as `Pod` is the singular name but for its case.
        let name = if name.contains(|c: char| c.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        let indices = self.by_name.get(name.as_ref()).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.rows.get(*index))
    }

    /// All rows, in the cluster's order.
    pub fn iter(&self) -> impl Iterator<Item = &ResourceInfo> {
        self.rows.iter()
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
