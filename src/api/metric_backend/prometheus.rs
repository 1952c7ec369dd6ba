//! A server with the HTTP API of Prometheus.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    credentials::{AuthSpec, TlsSpec},
    invariants,
};
use crate::api::{duration::Duration, invariant};

/// How a Prometheus is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::PROMETHEUS))]
pub struct PrometheusSpec {
    /// The address, to which `/api/v1/query` is appended: http or https, without user-info, query or fragment.
    /// Redirects are not followed. Required, at most 2048 characters.
    /// Example: `http://prometheus.monitoring.svc:9090`.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,

    /// The HTTP method of queries, `POST` or `GET`; `GET` is for old proxies and limits the length of a query.
    /// Default: `POST`.
    #[serde(default)]
    pub method: HttpMethod,

    /// How long one request to the backend may take; the backend is told as well. `100ms` to `60s`. Default: `8s`.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,

    /// What a partial answer is, which Thanos and others give when a part of them is down, and Prometheus where a `limit`
    /// cuts rows off. `Fail`: an error. `Accept`: an answer, with a warning; rules of `api: External`, whose rows an HPA
    /// adds up, fail all the same unless they say `missingRows: Accept`. Default: `Fail`.
    #[serde(default)]
    pub partial_response: PartialResponse,

    /// Headers of every request to the backend, but not Authorization (see `auth`) and Host. At most 16. The values
    /// are readable by all who can read this object: keep secrets out. Default: none.
    /// Example: `{X-Scope-OrgID: platform}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = json!({
        "type": "string", "maxLength": 1024, "pattern": "^[ -~]*$"
    })))]
    pub headers: BTreeMap<String, String>,

    /// Parameters of every request to the backend, but not those that the operator sets itself: `query`, `time`,
    /// `timeout`, `match[]`, `start`, `end`. At most 16. Default: none. Example: `{dedup: "true"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = json!({ "type": "string", "maxLength": 1024 })))]
    pub query_params: BTreeMap<String, String>,

    /// How the server is trusted, and the client certificate, with an https address. Default: the certificates of
    /// the operator's image, no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,

    /// The credentials of every request. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthSpec>,

    /// Lets `auth` be sent to an http address, where everyone on the way can read it. Default: `false`.
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

/// What a partial answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PartialResponse {
    /// An error.
    #[default]
    Fail,
    /// An answer, with a warning.
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
