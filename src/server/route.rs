//! Routes: what a request's head names, parsed once, so that the same value is authorized and answered.

pub mod attributes;
mod error;
mod metric;
mod params;
mod path;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::error::{FieldCause, RouteError};
use self::{attributes::Attributes, params::Params, path::Path};
use crate::{
    metrics_api::{ApiVersion, MetricsApi},
    query::request::MetricRequest,
};

/// A request as far as its head says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is authorized as; an error is authorized before it is told.
    pub attributes: Attributes,
    /// What it asks for.
    pub endpoint: Result<Endpoint, RouteError>,
    /// `?timeout=`, where it is sound and above zero.
    pub timeout: Option<Duration>,
    /// `?pretty=`, where it is set: indented or not, whoever asks.
    pub pretty: Option<bool>,
}

/// What this server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Values of a metric.
    Metric(MetricRequest),
    /// `/apis`.
    Groups,
    /// `/apis/{group}`.
    Group(MetricsApi),
    /// `/apis/{group}/{version}`.
    Version(ApiVersion),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`.
    OpenApiV3,
    /// `/openapi/v3/apis/{group}/{version}`.
    OpenApiV3Of(ApiVersion),
    /// `/healthz`, `/livez`, `/readyz`, and one check of theirs.
    Health(HealthRequest),
    /// `/version`.
    ServerVersion,
    /// `/metrics`.
    Metrics,
    /// `/`: the list of paths.
    Index,
}

/// A request for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRequest {
    /// `healthz`, `livez` or `readyz`.
    pub endpoint: &'static str,
    /// The one check that is asked for; `None`: all.
    pub check: Option<String>,
    /// `?verbose`.
    pub verbose: bool,
    /// `?exclude=`, each of them.
    pub exclude: Vec<String>,
}

// === impl Request ===

impl Request {
    /// Parses a request's head: the method, and path and query as they were sent.
    pub fn parse(method: &str, path: &str, query: Option<&str>) -> Self {
        let params = Params::parse(query.unwrap_or_default());
        let pretty = params.pretty();
        let path = match Path::parse(path) {
            Ok(path) => path,
            Err(error) => {
                let attributes = Attributes::NonResource {
                    path: path.to_owned(),
                    verb: method.to_ascii_lowercase(),
                };
                return Self {
                    attributes,
                    endpoint: Err(error),
                    timeout: None,
                    pretty,
                };
            }
        };
        let attributes = path.attributes(method, &params);
        let (timeout, endpoint) = match params.timeout() {
            Ok(timeout) => (timeout, path.endpoint(method, &params)),
            Err(error) => (None, Err(error)),
        };
        Self {
            attributes,
            endpoint,
            timeout,
            pretty,
        }
    }

    /// The namespace that is asked about, where there is one.
    pub fn namespace(&self) -> Option<&str> {
        match &self.endpoint {
            Ok(Endpoint::Metric(request)) => request.namespace(),
            _ => None,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The label `route` of the server's own metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Metric(request) => request.label(),
            Self::Groups | Self::Group(_) | Self::Version(..) => "discovery",
            Self::OpenApiV2 | Self::OpenApiV3 | Self::OpenApiV3Of(..) => "openapi",
            Self::Health(_) => "health",
            Self::ServerVersion | Self::Metrics | Self::Index => "other",
        }
    }
}
