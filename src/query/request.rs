//! Requests for values of a metric, as they are planned and answered: free of paths, query strings and HTTP.

use language::selector::Selector;

use crate::{
    metrics_api::{ApiVersion, path::ALL_OBJECTS},
    resource::GroupResource,
};

/// A request for values of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricRequest {
    /// To the custom metrics API.
    Custom(Custom),
    /// To the external metrics API.
    External(External),
}

/// A version of the custom metrics API.
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
    /// Those that the label selector matches.
    All,
    /// The namespace of the request itself.
    Namespace,
}

/// A request for a metric of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// The version that the reply has.
    pub version: CustomVersion,
    /// `None`: root-scoped.
    pub namespace: Option<String>,
    /// As the request names it, singular or plural.
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
pub struct External {
    /// The namespace of the request.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Chooses series of the metric.
    pub selector: Selector,
}

// === impl MetricRequest ===

impl MetricRequest {
    /// The API in one word, for the server's own metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Custom(_) => "custom",
            Self::External(_) => "external",
        }
    }

    /// The namespace that is asked about, where there is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Custom(request) => request.namespace.as_deref(),
            Self::External(request) => Some(&request.namespace),
        }
    }

    /// The metric's name.
    pub fn metric(&self) -> &str {
        match self {
            Self::Custom(request) => &request.metric,
            Self::External(request) => &request.metric,
        }
    }

    /// Kubernetes' sentence for a metric that no rule makes.
    pub fn sought(&self) -> String {
        match self {
            Self::Custom(request) => request.sought_kind(),
            Self::External(request) => request.sought(),
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

// === impl Custom ===

impl Custom {
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
            ObjectName::All => ALL_OBJECTS,
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

// === impl External ===

impl External {
    /// Kubernetes' sentence for a metric that is not there. It is made for kinds of objects and ends in the empty name of one
    /// where prometheus-adapter answers for an external metric; here the namespace stands in that place.
    pub fn sought(&self) -> String {
        format!(
            "the server could not find the metric {} for namespace {}",
            self.metric, self.namespace
        )
    }
}
