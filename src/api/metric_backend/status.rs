//! Status of a `MetricBackend`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{api::rule_status::known_one, reason::Reason};

/// Whether the backend works, according to the operator's own probe. The operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricBackendStatus {
    /// `Reachable`: the server answers. `Authenticated`: it accepts the credentials. `Ready`: it answers queries. docs/reasons.md
    /// lists the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// The version that the server reports. Absent if it reports none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// How many seconds the server's clock is ahead of the operator's; negative if it is behind. The operator measures it from the
    /// `Date` of the replies, and adjusts its queries. Absent if the clocks agree within about a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset: Option<i64>,

    /// The number of rules, of both kinds, that use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<u64>,

    /// The last failure. It stays after the failure is over; the operator replaces it only when the reason changes.
    #[serde(
        default,
        deserialize_with = "known_one",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_error: Option<BackendError>,

    /// The `metadata.generation` that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A failure of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendError {
    /// The kind of failure.
    #[schemars(with = "String")]
    pub reason: Reason,

    /// The error of the server or of the connection to it: at most 256 bytes, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// When the failure was first seen.
    pub time: Time,
}

/// The types of a backend's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackendCondition {
    /// The server answers.
    Reachable,
    /// The server accepts the credentials.
    Authenticated,
    /// The server answers queries.
    Ready,
}

// === impl BackendCondition ===

impl BackendCondition {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 3] = [Self::Reachable, Self::Authenticated, Self::Ready];

    /// The value of `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "Reachable",
            Self::Authenticated => "Authenticated",
            Self::Ready => "Ready",
        }
    }
}

impl std::fmt::Display for BackendCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
