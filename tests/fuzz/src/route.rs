use std::time::Duration;

use language::selector::{Operator, Selector};
use metricrule::{
    metrics_api::MetricsApi,
    query::request::{self, MetricRequest, ObjectName},
    server::route::{
        Endpoint, Request,
        attributes::{Attributes, SelectorOperator},
    },
};

use crate::input;

/// A request's head, as `GET /apis/…?labelSelector=…`.
///
/// What is served is what is authorized; names are in bounds; the route written out in full reads as the same route.
pub fn route(data: &[u8]) {
    let Some(line) = input::text(data) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let request = Request::parse(method, path, query);
    assert!(request.timeout != Some(Duration::ZERO), "a timeout of nothing");
    let endpoint = match &request.endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => {
            assert!(
                [400, 404, 405, 422].contains(&error.code) && !error.message.is_empty(),
                "{error:?}"
            );
            return;
        }
    };
    match endpoint {
        Endpoint::Metric(MetricRequest::Custom(route)) => check_custom(method, route, &request.attributes),
        Endpoint::Metric(MetricRequest::External(route)) => {
            check_external(method, route, &request.attributes);
        }
        other => check_other(method, other, &request.attributes),
    }
    if !path.ends_with('/') && !path.to_ascii_lowercase().ends_with("%2f") {
        let again = Request::parse(method, &format!("{path}/"), query);
        assert_eq!(
            again.endpoint, request.endpoint,
            "a slash at the end says something"
        );
    }
    if let Endpoint::Metric(route) = endpoint {
        let doubled = query.map(|query| format!("{query}&{query}&zz=1"));
        let again = Request::parse(method, path, doubled.as_deref());
        assert_eq!(
            again, request,
            "not the first of a parameter, or an unknown one counts"
        );
        let (path, query) = written(route);
        let again = Request::parse(method, &path, Some(&query));
        // what is printed may be longer than what was sent, by the spaces of `a in (b)`
        if path.len() <= 8192 && selectors(route).all(|selector| selector.to_string().len() <= 16 * 1024) {
            assert_eq!(again.endpoint, request.endpoint, "{path}?{query}");
            assert_eq!(again.attributes, request.attributes, "{path}?{query}");
        }
    }
}

fn check_custom(method: &str, route: &request::Custom, attributes: &Attributes) {
    let Attributes::Resource(attributes) = attributes else {
        panic!("a metric is authorized as a path: {attributes:?}");
    };
    assert_eq!((method, attributes.verb.as_str()), ("GET", "get"));
    assert_eq!(attributes.group, MetricsApi::Custom.group());
    assert_eq!(attributes.version, route.version.as_str());
    assert_eq!(attributes.namespace, route.namespace.clone().unwrap_or_default());
    assert!(attributes.label_selector.is_empty());
    let authorized = (
        attributes.resource.as_str(),
        attributes.name.as_str(),
        attributes.subresource.as_str(),
    );
    let resource = route.resource.to_string();
    let served = match &route.object {
        ObjectName::Namespace => ("metrics", route.metric.as_str(), ""),
        ObjectName::All => (resource.as_str(), "*", route.metric.as_str()),
        ObjectName::Named(name) => {
            assert!(is_text(name, 253) && name != "*", "{name:?}");
            (resource.as_str(), name.as_str(), route.metric.as_str())
        }
    };
    assert_eq!(authorized, served, "authorized, served");
    assert!(
        is_text(&resource, 253)
            && resource
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.'),
        "{resource:?}"
    );
    assert!(route.namespace.as_deref().is_none_or(is_dns_label), "{route:?}");
    assert!(is_text(&route.metric, 512), "{route:?}");
}

fn check_external(method: &str, route: &request::External, attributes: &Attributes) {
    let Attributes::Resource(attributes) = attributes else {
        panic!("a metric is authorized as a path: {attributes:?}");
    };
    assert_eq!((method, attributes.verb.as_str()), ("GET", "list"));
    assert_eq!(attributes.group, MetricsApi::External.group());
    assert_eq!(attributes.version, "v1beta1");
    let authorized = (attributes.namespace.as_str(), attributes.resource.as_str());
    assert_eq!(authorized, (route.namespace.as_str(), route.metric.as_str()));
    assert_eq!(
        (attributes.name.as_str(), attributes.subresource.as_str()),
        ("", "")
    );
    let served: Vec<_> = route
        .selector
        .requirements
        .iter()
        .filter_map(|requirement| {
            let operator = match requirement.operator {
                Operator::Equals | Operator::DoubleEquals | Operator::In => SelectorOperator::In,
                Operator::NotEquals | Operator::NotIn => SelectorOperator::NotIn,
                Operator::Exists => SelectorOperator::Exists,
                Operator::DoesNotExist => SelectorOperator::DoesNotExist,
                Operator::GreaterThan | Operator::LessThan => return None,
            };
            Some((&requirement.key, operator, &requirement.values))
        })
        .collect();
    let authorized: Vec<_> = attributes
        .label_selector
        .iter()
        .map(|requirement| (&requirement.key, requirement.operator, &requirement.values))
        .collect();
    assert_eq!(authorized, served, "authorized, served");
    assert!(is_dns_label(&route.namespace), "{route:?}");
    assert!(is_text(&route.metric, 512), "{route:?}");
}

fn check_other(method: &str, endpoint: &Endpoint, attributes: &Attributes) {
    let Attributes::NonResource { path, verb } = attributes else {
        panic!("{endpoint:?} is authorized as a resource: {attributes:?}");
    };
    assert_eq!(*verb, method.to_ascii_lowercase());
    let canonical = match endpoint {
        Endpoint::Metric(_) => panic!("a metric among paths"),
        Endpoint::Groups => "apis".to_owned(),
        Endpoint::Group(api) => format!("apis/{}", api.group()),
        Endpoint::Version(version) => format!("apis/{}", version.group_version()),
        Endpoint::OpenApiV2 => "openapi/v2".to_owned(),
        Endpoint::OpenApiV3 => "openapi/v3".to_owned(),
        Endpoint::OpenApiV3Of(version) => format!("openapi/v3/apis/{}", version.group_version()),
        Endpoint::Health(request) => match &request.check {
            None => request.endpoint.to_owned(),
            Some(check) => format!("{}/{check}", request.endpoint),
        },
        Endpoint::ServerVersion => "version".to_owned(),
        Endpoint::Metrics => "metrics".to_owned(),
        Endpoint::Index => String::new(),
    };
    let inner = path.strip_prefix('/').unwrap_or(path);
    assert_eq!(
        inner.strip_suffix('/').unwrap_or(inner),
        canonical,
        "authorized, served"
    );
}

/// The longest way to write a route: everything but letters and digits is percent-encoded.
fn written(route: &MetricRequest) -> (String, String) {
    let (segments, query) = match route {
        MetricRequest::Custom(route) => {
            let resource = route.resource.to_string();
            let mut segments = vec!["apis", MetricsApi::Custom.group(), route.version.as_str()];
            if let Some(namespace) = &route.namespace {
                segments.extend(["namespaces", namespace]);
            }
            match &route.object {
                ObjectName::Namespace => segments.extend(["metrics", &route.metric]),
                ObjectName::All => segments.extend([resource.as_str(), "*", &route.metric]),
                ObjectName::Named(name) => segments.extend([resource.as_str(), name, &route.metric]),
            }
            let selectors = [
                ("labelSelector", route.label_selector.to_string()),
                ("metricLabelSelector", route.metric_selector.to_string()),
            ];
            (path(&segments), selectors.to_vec())
        }
        MetricRequest::External(route) => {
            let segments = [
                "apis",
                MetricsApi::External.group(),
                "v1beta1",
                "namespaces",
                &route.namespace,
                &route.metric,
            ];
            (
                path(&segments),
                vec![("labelSelector", route.selector.to_string())],
            )
        }
    };
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    (segments, query.join("&"))
}

fn path(segments: &[&str]) -> String {
    let encoded: Vec<String> = segments.iter().map(|segment| encoded(segment)).collect();
    format!("/{}", encoded.join("/"))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn selectors(route: &MetricRequest) -> impl Iterator<Item = &Selector> {
    match route {
        MetricRequest::Custom(route) => vec![&route.label_selector, &route.metric_selector],
        MetricRequest::External(route) => vec![&route.selector],
    }
    .into_iter()
}

fn is_text(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && !text.contains('/') && !text.contains(char::is_control)
}

/// RFC 1123.
fn is_dns_label(text: &str) -> bool {
    is_text(text, 63)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
