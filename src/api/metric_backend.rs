//! Kind `MetricBackend`: one source of values.

mod credentials;
mod invariants;
mod prometheus;
mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    credentials::{
        AuthSpec, AuthType, BasicAuth, BasicSecretRef, BearerAuth, BearerSecretRef, CaRef, CaRefKind,
        CertificateRef, ServiceAccountRef, ServiceAccountTokenAuth, TlsSpec,
    },
    prometheus::{HttpMethod, PartialResponse, PrometheusSpec},
    status::{BackendCondition, BackendError, MetricBackendStatus},
};
use super::{IS_DEFAULT_ANNOTATION, duration::Duration, invariant};

/// A source of values: its address, its credentials, the namespaces that may use it, and limits for queries.
#[expect(clippy::duplicated_attributes, reason = "print columns of one type")]
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metricrule.dev",
    version = "v1alpha1",
    kind = "MetricBackend",
    status = "MetricBackendStatus",
    derive = "PartialEq",
    shortname = "mb",
    category = "metricrule-dev",
    doc = "A `MetricBackend` is a source of values, with its address, credentials and limits. The platform team owns it. Rules name a backend, never an address. Rules that name none use the one with the annotation `metricrule.dev/is-default: \"true\"`.",
    printcolumn(
        name = "Default",
        type_ = "string",
        json_path = ".metadata.annotations.metricrule\\.dev/is-default",
        description = "Whether rules that name no backend use it"
    ),
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".spec.type",
        description = "The type of the server"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether it answers queries"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The reason for READY"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "The version that the server reports"
    ),
    printcolumn(
        name = "Rules",
        type_ = "integer",
        json_path = ".status.rules",
        description = "The number of rules that use it"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".spec.prometheus.url",
        description = "Its address",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::BACKEND))]
pub struct MetricBackendSpec {
    /// The type of the server. The field with the same name in lower case holds its settings. `Prometheus`: a server with the
    /// HTTP API of Prometheus, including Thanos, Mimir, Cortex and Victoria Metrics. Required.
    pub r#type: BackendType,

    /// The settings of `type: Prometheus`. Required with that type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusSpec>,

    /// The labels of the series that the operator interprets.
    #[serde(default)]
    pub labels: BackendLabels,

    /// The namespaces whose requests may use the backend, through rules of either kind. Default: all.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// How to list series.
    #[serde(default)]
    pub discovery: DiscoverySettings,

    /// Limits for the queries that each replica of the operator sends.
    #[serde(default)]
    pub limits: BackendLimits,
}

/// The type of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BackendType {
    /// The HTTP API of Prometheus.
    Prometheus,
}

/// The labels of the series that the operator interprets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = invariant::into_schema(invariants::LABELS))]
pub struct BackendLabels {
    /// The labels that the operator trusts to hold the namespace of a series. One of them confines the queries of a `MetricRule`:
    /// the one that the rule maps to `namespaces`, or else the first. List only labels that no workload can write. A workload
    /// can write them with `honor_labels: true`, and without it if its target has no such label. So every scrape job has to set
    /// or drop them by relabelling. 1 to 8. Default: `[namespace]`.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = 128), regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$")),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub namespaces: Vec<String>,
}

/// The namespaces whose requests may use the backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = invariant::into_schema(invariants::ALLOWED_NAMESPACES))]
pub struct AllowedNamespaces {
    /// `All`: every namespace. `Selector`: those that `selector` selects. Default: `All`.
    #[serde(default)]
    pub from: NamespacesFrom,

    /// A selector on the labels of a namespace; `{}` selects all. Required with `from: Selector`, and only with it.
    /// Example: `{matchLabels: {metrics: shared}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub selector: Option<LabelSelector>,
}

/// How to name the allowed namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Every namespace.
    #[default]
    All,
    /// Those that a selector selects.
    Selector,
}

/// How to list series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = invariant::into_schema(invariants::DISCOVERY))]
pub struct DiscoverySettings {
    /// How often the series of a rule are listed. New and edited rules are listed immediately. `1s` to `1h`. Default: `1m`.
    pub interval: Duration,

    /// How old the last sample of a series may be for a listing to find it. `1s` to `24h`. Default: `5m`.
    pub lookback: Duration,
}

/// Limits for the queries that each replica sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendLimits {
    /// The most queries in flight, for each replica of the operator. Waiting namespaces take turns; probes have their own slot.
    /// 1 to 1000. Default: 16.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: u32,

    /// The most queries per second, for each replica of the operator. `maxConcurrent` is what protects a backend; this limit must
    /// not be lower than what HPAs need. 1 to 10000. Default: 1000.
    #[schemars(range(min = 1, max = 10_000))]
    pub queries_per_second: u32,

    /// The share of each namespace.
    pub per_namespace: PerNamespaceLimits,

    /// The share of each `MetricRule`, and the bounds for its `spec.limits`.
    pub per_rule: PerRuleLimits,
}

/// The share of each namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PerNamespaceLimits {
    /// The most queries in flight for one namespace. One namespace never gets all of `maxConcurrent`, unless that is 1. While its
    /// recent queries took at most a quarter of a second, a namespace may also use idle slots, except a quarter of
    /// `maxConcurrent`. Requests without a namespace have one such limit together; listings of series have another. 1 to 1000.
    /// Default: 4.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: u32,
}

/// The limits of each `MetricRule`. They do not apply to a `ClusterMetricRule`, which belongs to the platform team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = invariant::into_schema(invariants::PER_RULE))]
pub struct PerRuleLimits {
    /// The most queries in flight for one rule, plus idle slots as with `perNamespace`. 1 to 1000. Default: 2.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: u32,

    /// The highest `limits.maxSeries`. A higher value is lowered to it, with the warning `AboveCeiling`. 1 to 10000000.
    /// Default: 10000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_series: u32,

    /// The highest `limits.maxMetrics`. A higher value is lowered to it, with the warning `AboveCeiling`. 1 to 100000. Default: 100.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_metrics: u32,

    /// The highest `limits.maxSamples`. A higher value is lowered to it, with the warning `AboveCeiling`. 1 to 10000000.
    /// Default: 50000.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_samples: u32,

    /// How far back one evaluation of a query may read, including subqueries but not offsets. A rule whose query reads further
    /// back is refused with `RangeTooLong`. `1s` to `99999h`. Default: `24h`.
    pub max_range: Duration,

    /// The shortest `refresh`. A shorter one is raised to it, with the warning `AboveCeiling`. `0s` to `60s`. Default: `1s`.
    pub min_refresh: Duration,
}

// === impl MetricBackend ===

impl MetricBackend {
    /// Whether the rules that name no backend use this one.
    pub fn is_default(&self) -> bool {
        self.annotations()
            .get(IS_DEFAULT_ANNOTATION)
            .is_some_and(|value| value == "true")
    }
}

// === impl MetricBackendSpec ===

impl MetricBackendSpec {
    /// All defaults, for a server at an address.
    pub fn new(prometheus: PrometheusSpec) -> Self {
        Self {
            r#type: BackendType::Prometheus,
            prometheus: Some(prometheus),
            labels: BackendLabels::default(),
            allowed_namespaces: AllowedNamespaces::default(),
            discovery: DiscoverySettings::default(),
            limits: BackendLimits::default(),
        }
    }
}

// === impl BackendLabels ===

impl Default for BackendLabels {
    fn default() -> Self {
        Self {
            namespaces: vec!["namespace".to_owned()],
        }
    }
}

// === impl DiscoverySettings ===

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            lookback: Duration::from_secs(300),
        }
    }
}

// === impl BackendLimits ===

impl Default for BackendLimits {
    fn default() -> Self {
        Self {
            max_concurrent: 16,
            queries_per_second: 1000,
            per_namespace: PerNamespaceLimits::default(),
            per_rule: PerRuleLimits::default(),
        }
    }
}

// === impl PerNamespaceLimits ===

impl Default for PerNamespaceLimits {
    fn default() -> Self {
        Self { max_concurrent: 4 }
    }
}

// === impl PerRuleLimits ===

impl Default for PerRuleLimits {
    fn default() -> Self {
        Self {
            max_concurrent: 2,
            max_series: 10_000,
            max_metrics: 100,
            max_samples: 50_000,
            max_range: Duration::from_secs(24 * 60 * 60),
            min_refresh: Duration::from_secs(1),
        }
    }
}
