//! Status of `MetricRule` and `ClusterMetricRule`, which both share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::reason::Reason;

/// Whether the rule works, and what it found. The operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    /// `Accepted`: the spec compiles. `ResolvedRefs`: its backend and kinds exist. `Discovered`: the operator found its series.
    /// `Conflicted`: another rule answers for some of its metrics. `Registered`: the API server forwards its metrics API to
    /// metricrule. `Ready`: the rule serves its metrics. docs/reasons.md lists the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// What the last listing of the series query found. Absent until the first listing has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovered: Option<Discovered>,

    /// Problems that do not stop the rule from serving but need attention. At most 16.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason", "path"]))]
    pub warnings: Vec<Warning>,

    /// The last failure while the rule was serving. It stays after the failure is over; the operator replaces it only when the
    /// reason changes.
    #[serde(
        default,
        deserialize_with = "known_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_error: Option<LastError>,

    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What the series query found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Discovered {
    /// The number of series that the backend returned.
    #[serde(default)]
    pub series: u64,

    /// The number of metrics that they make, counted by name and resource.
    #[serde(default)]
    pub metrics: u64,

    /// The number of series that make no metric, by reason: `Filtered`, `NameNotMatched`, `InvalidName`, `NoResource`,
    /// `NoNamespaceLabel`, `Duplicate`, `Truncated`.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["reason"]))]
    pub dropped: Vec<Dropped>,

    /// The first metrics in lexical order, as examples of what the rule makes. At most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub sample: Vec<DiscoveredSample>,
}

/// Series that make no metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// Why they make no metric.
    #[schemars(with = "String")]
    pub reason: Reason,

    /// The number of such series.
    pub count: u64,
}

/// A metric that the rule makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DiscoveredSample {
    /// The name of the series. Absent in a static rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,

    /// The name of the metric.
    pub metric: String,

    /// The resource that it describes, such as `pods` or `deployments.apps`. Absent for an external metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// A problem that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// The kind of problem.
    #[schemars(with = "String")]
    pub reason: Reason,

    /// The field, with line and column inside its string where that helps, such as `spec.metricsQuery:2:17`.
    pub path: String,

    /// The problem and what to do about it.
    pub message: String,
}

/// A failure, and when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastError {
    /// The kind of failure.
    #[schemars(with = "String")]
    pub reason: Reason,

    /// When the failure was first seen.
    pub time: Time,
}

/// The types of a rule's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleCondition {
    /// The spec compiles.
    Accepted,
    /// Backend and kinds exist.
    ResolvedRefs,
    /// Series were found.
    Discovered,
    /// Another rule answers for some of the metrics; True is the bad case.
    Conflicted,
    /// The API server forwards the rule's metrics API to metricrule.
    Registered,
    /// The rule serves its metrics.
    Ready,
}

/// Reads a list and leaves out what has a reason we do not know: a newer operator may have written it, and a status
/// that cannot be decoded would make the whole rule undecodable. The next write replaces it.
pub(super) fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = Option::<Vec<Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(items
        .into_iter()
        .filter_map(|item| serde_json::from_value(item).ok())
        .collect())
}

/// [`known`] for a single value.
pub(super) fn known_one<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

// === impl RuleCondition ===

impl RuleCondition {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Discovered,
        Self::Conflicted,
        Self::Registered,
        Self::Ready,
    ];

    /// The value of `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Discovered => "Discovered",
            Self::Conflicted => "Conflicted",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
        }
    }
}

impl std::fmt::Display for RuleCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
