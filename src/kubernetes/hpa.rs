//! HPA requests to the metrics APIs: the paths that the controller of a `HorizontalPodAutoscaler` sends.
//!
//! `pkg/controller/podautoscaler/metrics/client.go` of Kubernetes and the clients of k8s.io/metrics are the source.

use std::fmt;

use k8s_openapi::{
    api::autoscaling::v2::{
        CrossVersionObjectReference, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::ResourceExt as _;
use language::selector::{Expression, LabelSelectorParts, Selector};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    metrics_api::{
        ApiVersion, MetricsApi,
        path::{ALL_OBJECTS, CustomPath, ExternalPath, segment},
    },
    resource::{GroupResource, ResourceInfo, Resources},
};

/// What Go's `url.QueryEscape` leaves alone.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// One metric of an HPA, as its controller asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The HPA's namespace, in which everything is asked.
    pub namespace: String,
    /// The HPA's name.
    pub hpa: String,
    /// Its place in `spec.metrics`, from 0.
    pub index: usize,
    /// What is asked.
    pub question: Question,
}

/// What is asked for a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The pods of the HPA's scale target.
    Pods {
        /// The metric.
        metric: String,
        /// Chooses series.
        selector: Selector,
        /// Whose pods.
        target: ScaleTarget,
    },
    /// One object; the HPA's namespace itself where the kind is Namespace.
    Object {
        /// The metric.
        metric: String,
        /// Chooses series.
        selector: Selector,
        /// The object's kind.
        resource: ResourceInfo,
        /// The object's name.
        name: String,
    },
    /// An external metric.
    External {
        /// The metric.
        metric: String,
        /// Chooses series.
        selector: Selector,
    },
}

/// What an HPA scales.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScaleTarget {
    /// The plural name and the group.
    pub resource: GroupResource,
    /// The version that is asked.
    pub version: String,
    /// The object's name.
    pub name: String,
}

/// A metric of an HPA that the custom and external metrics APIs are not asked for, or that its controller could not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// The HPA's namespace.
    pub namespace: String,
    /// The HPA's name.
    pub hpa: String,
    /// Its place in `spec.metrics`, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
    /// Whether it is as it should be: a Resource metric is another API's.
    pub expected: bool,
}

/// What an HPA asks, in the order of its metrics.
pub fn demands(hpa: &HorizontalPodAutoscaler, resources: &Resources) -> Vec<Result<Demand, Unasked>> {
    let namespace = hpa.namespace().unwrap_or_default();
    let name = hpa.name_any();
    let Some(spec) = &hpa.spec else {
        return Vec::new();
    };
    let metrics = spec.metrics.iter().flatten().enumerate();
    let read = metrics.map(
        |(index, metric)| match question(metric, &spec.scale_target_ref, resources) {
            Ok(question) => Ok(Demand {
                namespace: namespace.clone(),
                hpa: name.clone(),
                index,
                question,
            }),
            Err((reason, expected)) => Err(Unasked {
                namespace: namespace.clone(),
                hpa: name.clone(),
                index,
                reason,
                expected,
            }),
        },
    );
    read.collect()
}

type Why = (String, bool);

fn question(
    metric: &MetricSpec,
    target: &CrossVersionObjectReference,
    resources: &Resources,
) -> Result<Question, Why> {
    let wrong = |reason: String| (reason, false);
    if let Some(pods) = &metric.pods {
        let (metric, selector) = identifier(&pods.metric)?;
        let info = kind(target, resources)
            .ok_or_else(|| wrong(format!("the cluster has no kind {} to scale", kind_name(target))))?;
        return Ok(Question::Pods {
            metric,
            selector,
            target: ScaleTarget {
                resource: info.group_resource.clone(),
                version: info.version.clone(),
                name: target.name.clone(),
            },
        });
    }
    if let Some(object) = &metric.object {
        let (metric, selector) = identifier(&object.metric)?;
        let described = &object.described_object;
        let info = kind(described, resources)
            .ok_or_else(|| wrong(format!("the cluster has no kind {}", kind_name(described))))?;
        return Ok(Question::Object {
            metric,
            selector,
            resource: info.clone(),
            name: described.name.clone(),
        });
    }
    if let Some(external) = &metric.external {
        let (metric, selector) = identifier(&external.metric)?;
        return Ok(Question::External { metric, selector });
    }
    match metric.type_.as_str() {
        kind @ ("Resource" | "ContainerResource") => Err((
            format!(
                "a metric of type {kind} belongs to metrics.k8s.io, which no adapter for custom metrics serves"
            ),
            true,
        )),
        kind => Err(wrong(format!("a metric of type {kind:?} lacks its field"))),
    }
}

fn identifier(metric: &MetricIdentifier) -> Result<(String, Selector), Why> {
    if metric.name.contains('/') {
        return Err((
            format!("the metric's name {:?} contains a `/`", metric.name),
            false,
        ));
    }
    let selector = selector(metric.selector.as_ref())
        .map_err(|message| (format!("the selector of {}: {message}", metric.name), false))?;
    Ok((metric.name.clone(), selector))
}

/// An absent selector is sent as none, as an empty one is (`LabelSelectorAsSelector`, then `String`).
fn selector(selector: Option<&LabelSelector>) -> Result<Selector, String> {
    let Some(selector) = selector else {
        return Ok(Selector::everything());
    };
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        Ok(Expression {
            key: expression.key.clone(),
            operator: expression
                .operator
                .parse()
                .map_err(|error: language::selector::UnknownOperator| error.to_string())?,
            values: expression.values.clone().unwrap_or_default(),
        })
    });
    let parts = LabelSelectorParts {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions.collect::<Result<_, String>>()?,
    };
    Selector::from_label_selector_parts(&parts).map_err(|error| error.to_string())
}

/// The kind by group and name; the version does not matter, for the controller's mapper falls back to the preferred one.
fn kind<'a>(of: &CrossVersionObjectReference, resources: &'a Resources) -> Option<&'a ResourceInfo> {
    let group = group(of);
    resources
        .iter()
        .find(|info| info.kind == of.kind && info.group_resource.group == group)
}

fn group(of: &CrossVersionObjectReference) -> &str {
    let version = of.api_version.as_deref().unwrap_or_default();
    version.split_once('/').map_or("", |(group, _)| group)
}

fn kind_name(of: &CrossVersionObjectReference) -> String {
    format!(
        "{} of {:?}",
        of.kind,
        of.api_version.as_deref().unwrap_or_default()
    )
}

// === impl Question ===

impl Question {
    /// The metric's name.
    pub fn metric(&self) -> &str {
        match self {
            Self::Pods { metric, .. } | Self::Object { metric, .. } | Self::External { metric, .. } => metric,
        }
    }

    /// What chooses its series.
    pub fn selector(&self) -> &Selector {
        match self {
            Self::Pods { selector, .. } | Self::Object { selector, .. } | Self::External { selector, .. } => {
                selector
            }
        }
    }

    /// The kind that the metric describes; `None` for an external metric.
    pub fn resource(&self) -> Option<GroupResource> {
        match self {
            Self::Pods { .. } => Some(GroupResource::pods()),
            Self::Object { resource, .. } => Some(resource.group_resource.clone()),
            Self::External { .. } => None,
        }
    }

    /// The API that is asked.
    pub fn api(&self) -> MetricsApi {
        match self {
            Self::Pods { .. } | Self::Object { .. } => MetricsApi::Custom,
            Self::External { .. } => MetricsApi::External,
        }
    }

    /// Path and query as the HPA controller sends them from `namespace`. `version` is that of the custom metrics API;
    /// `pods` the selector in the scale target's status, which only a question about pods needs.
    pub fn path(&self, namespace: &str, version: &str, pods: &str) -> String {
        let metric = self.metric();
        let series = self.selector().to_string();
        let of_object = |resource: &GroupResource, name: &str, parameters: &[(&str, &str)]| {
            let resource = resource.to_string();
            let path = CustomPath::Object {
                namespace: Some(namespace),
                resource: &resource,
                name,
                metric,
            };
            path.print(version) + &query(parameters)
        };
        let by_series = [("metricLabelSelector", series.as_str())];
        match self {
            Self::Pods { .. } => {
                let parameters = [("labelSelector", pods), by_series[0]];
                of_object(&GroupResource::pods(), ALL_OBJECTS, &parameters)
            }
            // The object's own name is not used: the controller asks for the namespace that the HPA is in.
            Self::Object { resource, .. } if resource.group_resource == GroupResource::namespaces() => {
                CustomPath::Namespace { namespace, metric }.print(version) + &query(&by_series)
            }
            Self::Object { resource, name, .. } => of_object(&resource.group_resource, name, &by_series),
            Self::External { .. } => {
                let path = ExternalPath { namespace, metric };
                path.print(ApiVersion::ExternalV1beta1.version()) + &query(&[("labelSelector", &series)])
            }
        }
    }
}

/// `http_requests of pods of deployments.apps/web`, `rps of ingresses.networking.k8s.io/main`, `external metric queue`
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.metric();
        match self {
            Self::Pods { target, .. } => {
                write!(f, "{metric} of the pods of {}/{}", target.resource, target.name)?;
            }
            Self::Object { resource, name, .. } => {
                write!(f, "{metric} of {}/{name}", resource.group_resource)?;
            }
            Self::External { .. } => write!(f, "external metric {metric}")?,
        }
        if !self.selector().is_empty() {
            write!(f, " with {}", self.selector())?;
        }
        Ok(())
    }
}

// === impl ScaleTarget ===

impl ScaleTarget {
    /// The path of its subresource `scale`, whose `status.selector` chooses the pods.
    pub fn scale_path(&self, namespace: &str) -> String {
        let GroupResource { group, resource } = &self.resource;
        let api = if group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{group}/{}", self.version)
        };
        let (namespace, name) = (segment(namespace), segment(&self.name));
        format!("{api}/namespaces/{namespace}/{resource}/{name}/scale")
    }
}

/// Parameters in the order of their names, those without a value left out.
fn query(parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given
        .map(|(name, value)| {
            let value = utf8_percent_encode(value, QUERY).to_string().replace("%20", "+");
            format!("{name}={value}")
        })
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests;
