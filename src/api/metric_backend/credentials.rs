//! Credentials of a backend: how to verify its server, and how the operator authenticates. Every `Secret` and `ConfigMap` named
//! here is in the operator's own namespace and carries the label `metricrule.dev/backend: "true"`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invariants;
use crate::api::{duration::Duration, invariant};

/// How to verify the server, and the client certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::TLS))]
pub struct TlsSpec {
    /// The CA certificates that the server's certificate may come from. Default: those of the operator's image. The operator picks
    /// up a change without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<CaRef>,

    /// The client certificate and its key. Default: none. The operator picks up a change without a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_ref: Option<CertificateRef>,

    /// The name that the server's certificate must have. Default: the host of the address.
    /// Example: `prometheus.example.org`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,

    /// Accepts any certificate, so that anyone on the network path can read and change everything. Only for tests. Default:
    /// `false`.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// CA certificates, as PEM text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CaRef {
    /// `Secret` or `ConfigMap`. Required.
    pub kind: CaRefKind,

    /// The name of an object in the operator's namespace that carries the label `metricrule.dev/backend: "true"`.
    /// Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key that holds PEM certificates. Default: `ca.crt`.
    #[serde(default = "ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The kind of object that holds CA certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CaRefKind {
    /// A `Secret`.
    Secret,
    /// A `ConfigMap`.
    ConfigMap,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CertificateRef {
    /// The name of a Secret in the operator's namespace, with the keys `tls.crt` and `tls.key` (as of type
    /// kubernetes.io/tls), that carries the label `metricrule.dev/backend: "true"`. Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The credentials of every request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::AUTH))]
pub struct AuthSpec {
    /// `Basic`: user name and password. `Bearer`: a token from a Secret. `ServiceAccountToken`: a token that the
    /// API server issues for a `ServiceAccount`. The field with that name holds the settings. Required.
    pub r#type: AuthType,

    /// User name and password. Required with `type: Basic`, and only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,

    /// A token from a Secret. Required with `type: Bearer`, and only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,

    /// A token that the API server issues. Required with `type: ServiceAccountToken`, and only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountTokenAuth>,
}

/// The kind of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AuthType {
    /// User name and password.
    Basic,
    /// A token from a Secret.
    Bearer,
    /// A token that the API server issues.
    ServiceAccountToken,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The Secret that holds them. Required. The operator picks up a change without a restart.
    pub secret_ref: BasicSecretRef,
}

/// A Secret with user name and password.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicSecretRef {
    /// The name of a Secret in the operator's namespace that carries the label `metricrule.dev/backend: "true"`.
    /// Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key that holds the user name. Default: `username`.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253))]
    pub username_key: String,

    /// The key that holds the password. Default: `password`.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253))]
    pub password_key: String,
}

/// A token from a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuth {
    /// The Secret that holds it. Required. The operator picks up a change without a restart.
    pub secret_ref: BearerSecretRef,
}

/// A Secret with a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct BearerSecretRef {
    /// The name of a Secret in the operator's namespace that carries the label `metricrule.dev/backend: "true"`.
    /// Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key that holds the token. Default: `token`.
    #[serde(default = "token_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A token that the API server issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::SERVICE_ACCOUNT_TOKEN))]
pub struct ServiceAccountTokenAuth {
    /// The `ServiceAccount` that the token is for. Required.
    pub service_account_ref: ServiceAccountRef,

    /// The audience of the token; the backend must expect it. It must not be the API server's own audience, because the backend
    /// could then use the token there. Required. Example: `prometheus.example.org`.
    #[schemars(length(min = 1, max = 1024))]
    pub audience: String,

    /// How long a token is valid. The operator renews it before it expires. `10m` to `24h`. Default: `1h`.
    #[serde(default = "token_expiration")]
    pub expiration: Duration,
}

/// A `ServiceAccount` by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAccountRef {
    /// The name of a `ServiceAccount` in the operator's namespace. It must not be the operator's own. Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

fn ca_key() -> String {
    "ca.crt".to_owned()
}

fn username_key() -> String {
    "username".to_owned()
}

fn password_key() -> String {
    "password".to_owned()
}

fn token_key() -> String {
    "token".to_owned()
}

const fn token_expiration() -> Duration {
    Duration::from_secs(3600)
}
