//! The path: what it names, and what it is authorized as. Both come from the same segments.

use language::selector::Operator;
use percent_encoding::percent_decode_str;

use super::{
    Endpoint, HealthRequest, RouteError,
    attributes::{Attributes, ResourceAttributes, SelectorOperator, SelectorRequirement},
    metric::metric,
    params::{Params, is_percent_encoded},
};
use crate::metrics_api::{ApiVersion, MetricsApi};

/// Longest path, in bytes as sent.
const MAX: usize = 8192;

/// A decoded path and its segments; a trailing slash counts for nothing.
#[derive(Debug)]
pub(super) struct Path {
    text: String,
    segments: Vec<String>,
}

// === impl Path ===

impl Path {
    /// Decodes before it splits, as Go does: an encoded slash divides segments.
    pub(super) fn parse(path: &str) -> Result<Self, RouteError> {
        if path.len() > MAX || !is_percent_encoded(path) {
            return Err(RouteError::invalid_path());
        }
        let text = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| RouteError::invalid_path())?
            .into_owned();
        let inner = text.strip_prefix('/').unwrap_or(&text);
        let segments = match inner.strip_suffix('/').unwrap_or(inner) {
            // `//` is no way to write `/`.
            "" if inner.is_empty() => Vec::new(),
            inner => inner.split('/').map(ToOwned::to_owned).collect(),
        };
        Ok(Self { text, segments })
    }

    fn parts(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// As `RequestInfoFactory` of k8s.io/apiserver, but `status` and `finalize` are metrics like any other: what is
    /// authorized must be what is served.
    pub(super) fn attributes(&self, method: &str, params: &Params) -> Attributes {
        let parts = self.parts();
        let ["apis", group, version, rest @ ..] = parts.as_slice() else {
            return self.non_resource(method);
        };
        let rest = match rest {
            [] => return self.non_resource(method),
            rest => rest,
        };
        let (namespace, resource, name, subresource) = match rest {
            ["namespaces", namespace] => (*namespace, "namespaces", *namespace, ""),
            ["namespaces", namespace, resource, rest @ ..] => (
                *namespace,
                *resource,
                rest.first().copied().unwrap_or_default(),
                rest.get(1).copied().unwrap_or_default(),
            ),
            [resource, rest @ ..] => (
                "",
                *resource,
                rest.first().copied().unwrap_or_default(),
                rest.get(1).copied().unwrap_or_default(),
            ),
            [] => return self.non_resource(method),
        };
        let verb = match method {
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if name.is_empty() => "deletecollection",
            "DELETE" => "delete",
            "GET" | "HEAD" if name.is_empty() => "list",
            "GET" | "HEAD" => "get",
            // OPTIONS, TRACE and what else there may be have no verb of their own in Kubernetes.
            _ => "",
        };
        let label_selector = if verb == "list" {
            requirements(params)
        } else {
            Vec::new()
        };
        Attributes::Resource(ResourceAttributes {
            verb: verb.to_owned(),
            group: (*group).to_owned(),
            version: (*version).to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            label_selector,
        })
    }

    /// What the path names, for a method that may be used on it.
    pub(super) fn endpoint(&self, method: &str, params: &Params) -> Result<Endpoint, RouteError> {
        let parts = self.parts();
        if parts.iter().any(|segment| segment.is_empty()) {
            return Err(RouteError::not_found());
        }
        let health = match parts.as_slice() {
            ["healthz", check @ ..] => Some(("healthz", check)),
            ["livez", check @ ..] => Some(("livez", check)),
            ["readyz", check @ ..] => Some(("readyz", check)),
            _ => None,
        };
        if let Some((endpoint, check)) = health {
            let check = match check {
                [] => None,
                [one] => Some((*one).to_owned()),
                _ => return Err(RouteError::not_found()),
            };
            let verbose = params.has("verbose");
            let exclude = params.all("exclude").map(ToOwned::to_owned).collect();
            return Ok(Endpoint::Health(HealthRequest {
                endpoint,
                check,
                verbose,
                exclude,
            }));
        }
        let openapi = matches!(parts.as_slice(), ["openapi", ..]);
        let endpoint = resource(&parts, params);
        // A path that names nothing is 404 whatever the method.
        if method != "GET" && !(openapi && method == "HEAD") {
            return match endpoint {
                Err(error) if error.code == 404 => Err(error),
                _ => Err(RouteError::method_not_allowed()),
            };
        }
        endpoint
    }

    fn non_resource(&self, method: &str) -> Attributes {
        let path = match self.text.as_str() {
            "" => "/".to_owned(),
            text => text.to_owned(),
        };
        Attributes::NonResource {
            path,
            verb: method.to_ascii_lowercase(),
        }
    }
}

fn resource(parts: &[&str], params: &Params) -> Result<Endpoint, RouteError> {
    match parts {
        [] => Ok(Endpoint::Index),
        ["version"] => Ok(Endpoint::ServerVersion),
        ["metrics"] => Ok(Endpoint::Metrics),
        ["apis"] => Ok(Endpoint::Groups),
        ["apis", group] => served(group).map(Endpoint::Group),
        ["apis", group, version] => served_version(group, version).map(Endpoint::Version),
        ["openapi", "v2"] => Ok(Endpoint::OpenApiV2),
        ["openapi", "v3"] => Ok(Endpoint::OpenApiV3),
        ["openapi", "v3", "apis", group, version] => {
            served_version(group, version).map(Endpoint::OpenApiV3Of)
        }
        ["apis", group, version, rest @ ..] => {
            let version = served_version(group, version)?;
            metric(version, rest, params).map(Endpoint::Metric)
        }
        _ => Err(RouteError::not_found()),
    }
}

fn served(group: &str) -> Result<MetricsApi, RouteError> {
    MetricsApi::of_group(group).ok_or_else(RouteError::not_found)
}

fn served_version(group: &str, version: &str) -> Result<ApiVersion, RouteError> {
    served(group)?.version(version).ok_or_else(RouteError::not_found)
}

/// The requirements that a review carries; what does not parse is refused once the request is allowed.
fn requirements(params: &Params) -> Vec<SelectorRequirement> {
    let Ok(selector) = params.selector("labelSelector") else {
        return Vec::new();
    };
    let requirements = selector.requirements.iter().filter_map(|requirement| {
        let operator = match requirement.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => SelectorOperator::In,
            Operator::NotEquals | Operator::NotIn => SelectorOperator::NotIn,
            Operator::Exists => SelectorOperator::Exists,
            Operator::DoesNotExist => SelectorOperator::DoesNotExist,
            Operator::GreaterThan | Operator::LessThan => return None,
        };
        Some(SelectorRequirement {
            key: requirement.key.clone(),
            operator,
            values: requirement.values.clone(),
        })
    });
    requirements.collect()
}
