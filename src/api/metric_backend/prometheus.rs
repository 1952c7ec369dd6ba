//! Prometheus settings of a `MetricBackend`: any server with the HTTP API of Prometheus.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    credentials::{AuthSpec, TlsSpec},
    invariants,
};
use crate::api::{duration::Duration, invariant};

/// How to reach a Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::PROMETHEUS))]
pub struct PrometheusSpec {
    /// The address, http or https, without user-info, query or fragment. The operator appends `/api/v1/query` to it, and follows
    /// no redirects. Required, at most 2048 characters.
    /// Example: `http://prometheus.monitoring.svc:9090`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,

    /// The HTTP method of queries, `POST` or `GET`. `GET` is for old proxies, and limits the length of a query.
    /// Default: `POST`.
    #[serde(default)]
    pub method: HttpMethod,

    /// How long one request to the backend may take. The operator also sends this timeout to the backend. `100ms` to `60s`.
    /// Default: `8s`.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,

    /// What to do with a partial answer. Thanos and others give one when a part of them is down; Prometheus does if a `limit` cuts
    /// rows off. `Fail`: fail the request. `Accept`: use the answer, with a warning. Rules with `api: External`, whose rows an
    /// HPA adds up, still fail unless they set `missingRows: Accept`. Default: `Fail`.
    #[serde(default)]
    pub partial_response: PartialResponse,

    /// Headers of every request to the backend, except Authorization (see `auth`) and Host. At most 16. Everyone who can read this
    /// object can read the values, so keep secrets out. Default: none.
    /// Example: `{X-Scope-OrgID: platform}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = json!({
        "type": "string", "maxLength": 1024, "pattern": "^[ -~]*$"
    })))]
    pub headers: BTreeMap<String, String>,

    /// Parameters of every request to the backend, except those that the operator sets itself: `query`, `time`,
    /// `timeout`, `match[]`, `start`, `end`. At most 16. Default: none. Example: `{dedup: "true"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = json!({ "type": "string", "maxLength": 1024 })))]
    pub query_params: BTreeMap<String, String>,

    /// How to verify the server, and the client certificate, for an https address. Default: the certificates of the operator's
    /// image, and no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,

    /// The credentials of every request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthSpec>,

    /// Allows `auth` over plain http. Anyone on the network path can read it. Default: `false`.
    #[serde(default)]
    pub allow_plaintext_credentials: bool,
}

/// The HTTP method of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// The query is in the body.
    #[default]
    Post,
    /// The query is in the address.
    Get,
}

/// What to do with a partial answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PartialResponse {
    /// Fail the request.
    #[default]
    Fail,
    /// Use the answer, with a warning.
    Accept,
}

/// The default of [`PrometheusSpec::timeout`].
const fn default_timeout() -> Duration {
    Duration::from_secs(8)
}

// === impl PrometheusSpec ===

impl PrometheusSpec {
    /// All defaults, at an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            method: HttpMethod::default(),
            timeout: default_timeout(),
            partial_response: PartialResponse::default(),
            headers: BTreeMap::new(),
            query_params: BTreeMap::new(),
            tls: None,
            auth: None,
            allow_plaintext_credentials: false,
        }
    }
}
