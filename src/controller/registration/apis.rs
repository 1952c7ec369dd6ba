//! APIs to register: the three `APIService`s, and the two APIs that they make.

/// An API that a rule may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisteredApi {
    /// `custom.metrics.k8s.io`.
    Custom,
    /// `external.metrics.k8s.io`.
    External,
}

/// An `APIService`: one version of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricsApiService {
    /// `v1beta1.custom.metrics.k8s.io`.
    CustomV1Beta1,
    /// `v1beta2.custom.metrics.k8s.io`, which clients prefer.
    CustomV1Beta2,
    /// `v1beta1.external.metrics.k8s.io`.
    ExternalV1Beta1,
}

/// The convention of every metrics adapter.
pub(super) const GROUP_PRIORITY_MINIMUM: i32 = 100;

// === impl RegisteredApi ===

impl RegisteredApi {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Custom, Self::External];

    /// The group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Custom => "custom.metrics.k8s.io",
            Self::External => "external.metrics.k8s.io",
        }
    }

    /// Its versions.
    pub const fn members(self) -> &'static [MetricsApiService] {
        match self {
            Self::Custom => &[MetricsApiService::CustomV1Beta1, MetricsApiService::CustomV1Beta2],
            Self::External => &[MetricsApiService::ExternalV1Beta1],
        }
    }
}

// === impl MetricsApiService ===

impl MetricsApiService {
    /// All three.
    pub const ALL: [Self; 3] = [Self::CustomV1Beta1, Self::CustomV1Beta2, Self::ExternalV1Beta1];

    /// `metadata.name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomV1Beta1 => "v1beta1.custom.metrics.k8s.io",
            Self::CustomV1Beta2 => "v1beta2.custom.metrics.k8s.io",
            Self::ExternalV1Beta1 => "v1beta1.external.metrics.k8s.io",
        }
    }

    /// The API that it is a version of.
    pub const fn api(self) -> RegisteredApi {
        match self {
            Self::CustomV1Beta1 | Self::CustomV1Beta2 => RegisteredApi::Custom,
            Self::ExternalV1Beta1 => RegisteredApi::External,
        }
    }

    /// The version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::CustomV1Beta1 | Self::ExternalV1Beta1 => "v1beta1",
            Self::CustomV1Beta2 => "v1beta2",
        }
    }

    /// `spec.versionPriority`: v1beta2 of custom metrics comes first.
    pub const fn version_priority(self) -> i32 {
        match self {
            Self::CustomV1Beta1 | Self::ExternalV1Beta1 => 100,
            Self::CustomV1Beta2 => 200,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
