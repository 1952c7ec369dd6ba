//! Metrics APIs: the API groups that rules serve, their versions, and what a cluster knows them by.
//!
//! This is the one table of them. Registration, discovery, `OpenAPI`, routes and the paths that HPAs ask read it, so that an API
//! is a row here, and a group's name is written once.

pub mod path;

use std::ops::{Index, IndexMut};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The metrics API that a rule serves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum MetricsApi {
    /// `custom.metrics.k8s.io`
    #[default]
    Custom,
    /// `external.metrics.k8s.io`
    External,
}

/// One version of a metrics API, which the cluster knows by one `APIService`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// `custom.metrics.k8s.io/v1beta1`
    CustomV1beta1,
    /// `custom.metrics.k8s.io/v1beta2`
    CustomV1beta2,
    /// `external.metrics.k8s.io/v1beta1`
    ExternalV1beta1,
}

/// `spec.groupPriorityMinimum` of every `APIService`: the convention of all metrics adapters.
pub const GROUP_PRIORITY_MINIMUM: i32 = 100;

#[derive(Debug)]
struct ApiRow {
    group: &'static str,
    package: &'static str,
    item_kind: &'static str,
    list_kind: &'static str,
    versions: &'static [ApiVersion],
}

#[derive(Debug)]
struct VersionRow {
    api: MetricsApi,
    version: &'static str,
    group_version: &'static str,
    api_service: &'static str,
    priority: i32,
}

/// Rows in the order of the enums' variants, so that a variant is its own index.
macro_rules! table {
    ($($api:ident = $group:literal, package $package:literal, items $item:literal {
        $($version:ident = $name:literal, priority $priority:literal;)+
    })+) => {
        impl MetricsApi {
            /// All of them.
            pub const ALL: [Self; [$($group),+].len()] = [$(Self::$api),+];

            const fn row(self) -> &'static ApiRow {
                match self {
                    $(Self::$api => &ApiRow {
                        group: $group,
                        package: $package,
                        item_kind: $item,
                        list_kind: concat!($item, "List"),
                        versions: &[$(ApiVersion::$version),+],
                    },)+
                }
            }
        }

        impl ApiVersion {
            /// All of them, those of an API together, the one that clients prefer last.
            pub const ALL: [Self; [$($($name),+),+].len()] = [$($(Self::$version),+),+];

            const fn row(self) -> &'static VersionRow {
                match self {
                    $($(Self::$version => &VersionRow {
                        api: MetricsApi::$api,
                        version: $name,
                        group_version: concat!($group, "/", $name),
                        api_service: concat!($name, ".", $group),
                        priority: $priority,
                    },)+)+
                }
            }
        }
    };
}

table! {
    Custom = "custom.metrics.k8s.io", package "custom_metrics", items "MetricValue" {
        CustomV1beta1 = "v1beta1", priority 100;
        CustomV1beta2 = "v1beta2", priority 200;
    }
    External = "external.metrics.k8s.io", package "external_metrics", items "ExternalMetricValue" {
        ExternalV1beta1 = "v1beta1", priority 100;
    }
}

/// A type with a value for each key, whatever happens.
macro_rules! total_map {
    ($(#[$doc:meta])+ $map:ident of $key:ident) => {
        $(#[$doc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $map<T>([T; $key::ALL.len()]);

        impl<T> $map<T> {
            /// The map of what `value` gives for each key.
            pub fn of(value: impl FnMut($key) -> T) -> Self {
                Self($key::ALL.map(value))
            }

            /// All keys and values, in the order of the keys.
            pub fn iter(&self) -> impl Iterator<Item = ($key, &T)> {
                $key::ALL.into_iter().zip(&self.0)
            }
        }

        impl<T> Index<$key> for $map<T> {
            type Output = T;

            fn index(&self, key: $key) -> &T {
                &self.0[key as usize]
            }
        }

        impl<T> IndexMut<$key> for $map<T> {
            fn index_mut(&mut self, key: $key) -> &mut T {
                &mut self.0[key as usize]
            }
        }
    };
}

total_map! {
    /// A value for each metrics API.
    PerApi of MetricsApi
}

total_map! {
    /// A value for each version of the metrics APIs.
    PerVersion of ApiVersion
}

// === impl MetricsApi ===

impl MetricsApi {
    /// The API of a group's name; `None` for any other group.
    pub fn of_group(group: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.group() == group)
    }

    /// The group's name.
    pub const fn group(self) -> &'static str {
        self.row().group
    }

    /// The package of its types in k8s.io/metrics.
    pub const fn package(self) -> &'static str {
        self.row().package
    }

    /// The kind of one value.
    pub const fn item_kind(self) -> &'static str {
        self.row().item_kind
    }

    /// The kind of what a request is answered with.
    pub const fn list_kind(self) -> &'static str {
        self.row().list_kind
    }

    /// Its versions, the one that clients prefer last.
    pub const fn versions(self) -> &'static [ApiVersion] {
        self.row().versions
    }

    /// Its versions in the order of clients' preference.
    pub fn preference(self) -> impl Iterator<Item = ApiVersion> {
        self.versions().iter().rev().copied()
    }

    /// The version of that name; `None` where it has none.
    pub fn version(self, name: &str) -> Option<ApiVersion> {
        self.preference().find(|version| version.version() == name)
    }
}

// === impl ApiVersion ===

impl ApiVersion {
    /// The API that it is a version of.
    pub const fn api(self) -> MetricsApi {
        self.row().api
    }

    /// Its name, for example `v1beta1`.
    pub const fn version(self) -> &'static str {
        self.row().version
    }

    /// `apiVersion` of what it answers: the group and the version.
    pub const fn group_version(self) -> &'static str {
        self.row().group_version
    }

    /// `metadata.name` of its `APIService`.
    pub const fn api_service(self) -> &'static str {
        self.row().api_service
    }

    /// `spec.versionPriority` of its `APIService`; clients prefer the highest.
    pub const fn priority(self) -> i32 {
        self.row().priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_its_own_index_and_knows_its_api() {
        for (index, api) in MetricsApi::ALL.into_iter().enumerate() {
            assert_eq!(api as usize, index);
            assert_eq!(MetricsApi::of_group(api.group()), Some(api));
            assert!(api.versions().iter().all(|version| version.api() == api));
        }
        for (index, version) in ApiVersion::ALL.into_iter().enumerate() {
            assert_eq!(version as usize, index);
            assert_eq!(version.api().version(version.version()), Some(version));
        }
        let listed = MetricsApi::ALL.iter().flat_map(|api| api.versions());
        assert!(listed.eq(&ApiVersion::ALL));
    }

    #[test]
    fn names_are_made_of_group_and_version() {
        let version = ApiVersion::CustomV1beta2;
        assert_eq!(version.group_version(), "custom.metrics.k8s.io/v1beta2");
        assert_eq!(version.api_service(), "v1beta2.custom.metrics.k8s.io");
        assert_eq!(version.api().list_kind(), "MetricValueList");
        assert_eq!(MetricsApi::of_group("metrics.k8s.io"), None);
        assert_eq!(MetricsApi::External.version("v1beta2"), None);
    }

    #[test]
    fn clients_prefer_what_has_the_highest_priority() {
        for api in MetricsApi::ALL {
            let priorities: Vec<i32> = api.preference().map(ApiVersion::priority).collect();
            assert!(priorities.is_sorted_by(|first, second| first > second), "{api:?}");
        }
    }

    #[test]
    fn a_map_holds_a_value_for_each_key() {
        let mut map = PerVersion::of(ApiVersion::version);
        map[ApiVersion::ExternalV1beta1] = "changed";
        let values: Vec<_> = map.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, ["v1beta1", "v1beta2", "changed"]);
        assert_eq!(PerApi::of(|api| api)[MetricsApi::External], MetricsApi::External);
    }
}
