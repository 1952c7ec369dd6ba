//! What a request is about, parsed once: the same value is authorized and answered.

mod error;
mod params;
mod path;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::error::{FieldCause, RouteError};
use self::{params::Params, path::Path};
use super::attributes::Attributes;
use crate::{
    language::selector::Selector,
    metrics_api::{ApiVersion, MetricsApi},
    resource::GroupResource,
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
    Metric(MetricRoute),
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
    Health {
        /// Without the slash.
        endpoint: &'static str,
        /// The check, if one is asked for.
        check: Option<String>,
        /// `?verbose`.
        verbose: bool,
        /// `?exclude=`, each of them.
        exclude: Vec<String>,
    },
    /// `/version`.
    ServerVersion,
    /// `/metrics`.
    Metrics,
    /// `/`: the list of paths.
    Index,
}

/// A request for values of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricRoute {
    /// Of custom.metrics.k8s.io.
    Custom(CustomRoute),
    /// Of external.metrics.k8s.io.
    External(ExternalRoute),
}

/// A version of custom.metrics.k8s.io.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CustomVersion {
    /// `v1beta1`
    V1beta1,
    /// `v1beta2`
    V1beta2,
}

/// Which objects a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectName {
    /// The one of that name.
    Named(String),
    /// `*`: those that the label selector matches.
    All,
    /// The namespace of the path itself (`…/namespaces/{ns}/metrics/{metric}`).
    Namespace,
}

/// A request for a metric of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRoute {
    /// The version that the reply has.
    pub version: CustomVersion,
    /// `None`: root-scoped.
    pub namespace: Option<String>,
    /// As the path names it, singular or plural.
    pub resource: GroupResource,
    /// Which objects.
    pub object: ObjectName,
    /// The metric's name.
    pub metric: String,
    /// Chooses objects, for [`ObjectName::All`].
    pub label_selector: Selector,
    /// Chooses series of the metric.
    pub metric_selector: Selector,
}

/// A request for an external metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalRoute {
    /// The namespace of the request.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Chooses series of the metric.
    pub selector: Selector,
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
}

// === impl Endpoint ===

impl Endpoint {
    /// The label `route` of the server's own metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Metric(MetricRoute::Custom(_)) => "custom",
            Self::Metric(MetricRoute::External(_)) => "external",
            Self::Groups | Self::Group(_) | Self::Version(..) => "discovery",
            Self::OpenApiV2 | Self::OpenApiV3 | Self::OpenApiV3Of(..) => "openapi",
            Self::Health { .. } => "health",
            Self::ServerVersion | Self::Metrics | Self::Index => "other",
        }
    }
}

// === impl CustomVersion ===

impl CustomVersion {
    /// As it stands in paths and bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1beta1 => ApiVersion::CustomV1beta1.version(),
            Self::V1beta2 => ApiVersion::CustomV1beta2.version(),
        }
    }
}

// === impl CustomRoute ===

impl CustomRoute {
    /// Kubernetes' sentence for a metric that is not there
    /// (`provider.NewMetricNotFound…Error` of sigs.k8s.io/custom-metrics-apiserver).
    pub fn sought(&self) -> String {
        let selector = match &self.metric_selector {
            selector if selector.is_empty() => String::new(),
            selector => format!(" with selector {selector}"),
        };
        format!("{}{selector}", self.sought_object())
    }

    /// The same without the selector of the metric.
    pub fn sought_object(&self) -> String {
        let object = match &self.object {
            ObjectName::Named(name) => name,
            ObjectName::All => "*",
            ObjectName::Namespace => self.namespace.as_deref().unwrap_or_default(),
        };
        format!("{} {object}", self.sought_kind())
    }

    /// The same for a metric that no rule makes, whatever the object.
    pub fn sought_kind(&self) -> String {
        format!(
            "the server could not find the metric {} for {}",
            self.metric, self.resource
        )
    }
}

// === impl ExternalRoute ===

impl ExternalRoute {
    /// Kubernetes' sentence for a metric that is not there. It is made for kinds of objects and ends in the empty name of one
    /// where prometheus-adapter answers for an external metric; here the namespace stands in that place.
    pub fn sought(&self) -> String {
        format!(
            "the server could not find the metric {} for namespace {}",
            self.metric, self.namespace
        )
    }
}
