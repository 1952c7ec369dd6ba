//! Requests for metrics, from the segments below a version and the query string.

use super::{RouteError, params::Params};
use crate::{
    metrics_api::{
        ApiVersion,
        path::{ALL_OBJECTS, CustomPath, ExternalPath, PathError},
    },
    query::request::{self, CustomVersion, MetricRequest, ObjectName},
    resource::GroupResource,
};

/// Longest name of an object (RFC 1123 subdomain), of a namespace (label), and of a metric.
const NAME_MAX: usize = 253;
const NAMESPACE_MAX: usize = 63;
const METRIC_MAX: usize = 512;

/// The request of a version that `rest` and `params` make.
pub(super) fn metric(
    version: ApiVersion,
    rest: &[&str],
    params: &Params,
) -> Result<MetricRequest, RouteError> {
    let custom = |version| custom(version, rest, params).map(MetricRequest::Custom);
    match version {
        ApiVersion::CustomV1beta1 => custom(CustomVersion::V1beta1),
        ApiVersion::CustomV1beta2 => custom(CustomVersion::V1beta2),
        ApiVersion::ExternalV1beta1 => external(rest, params).map(MetricRequest::External),
    }
}

fn custom(version: CustomVersion, rest: &[&str], params: &Params) -> Result<request::Custom, RouteError> {
    let (namespace, resource, object, metric) = match CustomPath::parse(rest)? {
        CustomPath::Namespace { namespace, metric } => (
            Some(namespace),
            GroupResource::namespaces(),
            ObjectName::Namespace,
            metric,
        ),
        CustomPath::Object {
            namespace,
            resource,
            name,
            metric,
        } => (namespace, group_resource(resource)?, object(name)?, metric),
    };
    let namespace = namespace.map(checked_namespace).transpose()?;
    let metric = checked_metric(metric)?;
    params.check_numbers()?;
    params.check_fields(match &object {
        ObjectName::Named(name) => name,
        ObjectName::All => ALL_OBJECTS,
        ObjectName::Namespace => namespace.as_deref().unwrap_or_default(),
    })?;
    let label_selector = params.selector("labelSelector")?;
    let metric_selector = params.selector("metricLabelSelector")?;
    Ok(request::Custom {
        version,
        namespace,
        resource,
        object,
        metric,
        label_selector,
        metric_selector,
    })
}

fn external(rest: &[&str], params: &Params) -> Result<request::External, RouteError> {
    let ExternalPath { namespace, metric } = ExternalPath::parse(rest)?;
    let namespace = checked_namespace(namespace)?;
    let metric = checked_metric(metric)?;
    if params.flag("watch") {
        return Err(RouteError::watch_not_supported());
    }
    params.check_numbers()?;
    if params.has("resourceVersionMatch") && params.get("resourceVersion").unwrap_or_default().is_empty() {
        return Err(RouteError::forbidden_version_match());
    }
    let selector = params.selector("labelSelector")?;
    Ok(request::External {
        namespace,
        metric,
        selector,
    })
}

impl From<PathError> for RouteError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Unknown => Self::not_found(),
            PathError::Reserved => Self::invalid_path(),
        }
    }
}

/// The text itself is what is authorized, so it must be the only way to write the resource: `pods.` is refused.
fn group_resource(text: &str) -> Result<GroupResource, RouteError> {
    let resource = GroupResource::parse(text);
    let written = text.len() <= NAME_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if written && !resource.resource.is_empty() && resource.to_string() == text {
        Ok(resource)
    } else {
        Err(RouteError::invalid_path())
    }
}

fn object(name: &str) -> Result<ObjectName, RouteError> {
    match name {
        ALL_OBJECTS => Ok(ObjectName::All),
        name if name.len() <= NAME_MAX && !name.contains(char::is_control) => {
            Ok(ObjectName::Named(name.to_owned()))
        }
        _ => Err(RouteError::invalid_path()),
    }
}

fn checked_namespace(namespace: &str) -> Result<String, RouteError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = namespace.len() <= NAMESPACE_MAX
        && namespace.bytes().all(|byte| inner(byte) || byte == b'-')
        && namespace.bytes().next().is_some_and(inner)
        && namespace.bytes().last().is_some_and(inner);
    if label {
        Ok(namespace.to_owned())
    } else {
        Err(RouteError::invalid_path())
    }
}

fn checked_metric(metric: &str) -> Result<String, RouteError> {
    let fits = metric.len() <= METRIC_MAX && !metric.contains(char::is_control);
    if fits {
        Ok(metric.to_owned())
    } else {
        Err(RouteError::invalid_path())
    }
}
