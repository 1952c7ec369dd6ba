//! One handler for each endpoint: from a route to a reply.

use std::time::Duration;

use http::{StatusCode, request::Parts};
use k8s_openapi::apimachinery::pkg::version::Info;
use serde_json::json;
use tokio::time::Instant;

use super::{
    discovery::Discovery,
    health,
    respond::{Accepted, Refusal, Reply},
    route::Endpoint,
    router::Server,
};
use crate::{
    api::{
        custom::{MetricIdentifier, MetricValueList, MetricValueV1beta1, MetricValueV1beta2},
        external::{ExternalMetricValue, ExternalMetricValueList},
        list_meta::{LabelSelector, Time},
        object_ref::ObjectReference,
    },
    metrics::{CONTENT_TYPE, Metrics},
    metrics_api::{ApiVersion, MetricsApi},
    query::{
        CustomItem, Failure,
        request::{self, CustomVersion, MetricRequest},
    },
    reason::Reason,
};

/// What a backend is given beyond the request's deadline. The deadline itself is kept by the router, which drops the query
/// when it has passed; a backend that knew it would fail a moment before, and the client would be told that the backend was
/// slow where it had asked for an early end itself.
const GRACE: Duration = Duration::from_secs(1);

/// Answers what may be answered.
pub(super) async fn handle(
    server: &Server,
    endpoint: &Endpoint,
    head: &Parts,
    pretty: bool,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let headers = &head.headers;
    let accepted = match endpoint {
        Endpoint::Health { .. } | Endpoint::Metrics | Endpoint::Index => Accepted::Json,
        endpoint => Accepted::of(headers, *endpoint == Endpoint::Groups)?,
    };
    let deadline = deadline + GRACE;
    match endpoint {
        Endpoint::Metric(MetricRequest::Custom(route)) => custom(server, route, pretty, deadline).await,
        Endpoint::Metric(MetricRequest::External(route)) => external(server, route, pretty, deadline).await,
        Endpoint::Groups if accepted == Accepted::AggregatedDiscovery => {
            Ok(server.discovery.aggregated(headers))
        }
        Endpoint::Groups => Ok(server.discovery.groups(pretty)),
        Endpoint::Group(group) => Ok(Discovery::group(*group, pretty)),
        Endpoint::Version(version) => {
            Ok(server
                .discovery
                .version(&server.api.answers.catalog(), *version, pretty))
        }
        Endpoint::OpenApiV2 => Ok(server.openapi.v2(headers)),
        Endpoint::OpenApiV3 => Ok(server.openapi.v3(headers)),
        Endpoint::OpenApiV3Of(version) => server
            .openapi
            .v3_of(*version, head.uri.query(), headers)
            .ok_or_else(Refusal::not_found),
        Endpoint::Health {
            endpoint,
            check,
            verbose,
            exclude,
        } => {
            let check = check.as_deref();
            // The whole is for anyone, a single check for those who are allowed to see it.
            let show_causes = check.is_some();
            let ask = health::Ask {
                endpoint,
                check,
                verbose: *verbose,
                exclude,
                show_causes,
            };
            server.api.health.answer(&ask).ok_or_else(Refusal::not_found)
        }
        Endpoint::ServerVersion => Ok(Reply::json(&version(), pretty)),
        Endpoint::Metrics => Ok(metrics(&server.api.metrics)),
        Endpoint::Index => Ok(index(server)),
    }
}

/// Own metrics.
pub(super) fn metrics(metrics: &Metrics) -> Reply {
    Reply::text(StatusCode::OK, CONTENT_TYPE, metrics.encode())
}

async fn custom(
    server: &Server,
    route: &request::Custom,
    pretty: bool,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let selector = LabelSelector::of(&route.metric_selector);
    let selector = selector.map_err(|error| Failure::new(Reason::InvalidSelector, error.to_string()))?;
    let answer = server.api.answers.custom(route, deadline).await?;
    let window_seconds = answer.window.map(|window| window.as_secs());
    let selector = selector.as_ref();
    Ok(match route.version {
        CustomVersion::V1beta1 => {
            let items = answer.items.iter().map(|item| MetricValueV1beta1 {
                described_object: described(item),
                metric_name: &route.metric,
                timestamp: Time(item.timestamp),
                window_seconds,
                value: item.value,
                selector,
            });
            Reply::json(&MetricValueList::v1beta1(items.collect()), pretty)
        }
        CustomVersion::V1beta2 => {
            let items = answer.items.iter().map(|item| MetricValueV1beta2 {
                described_object: described(item),
                metric: MetricIdentifier {
                    name: &route.metric,
                    selector,
                },
                timestamp: Time(item.timestamp),
                window_seconds,
                value: item.value,
            });
            Reply::json(&MetricValueList::v1beta2(items.collect()), pretty)
        }
    })
}

fn described(item: &CustomItem) -> ObjectReference<'_> {
    ObjectReference {
        kind: &item.kind,
        namespace: item.namespace.as_deref().unwrap_or_default(),
        name: &item.name,
        api_version: &item.api_version,
    }
}

async fn external(
    server: &Server,
    route: &request::External,
    pretty: bool,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let answer = server.api.answers.external(route, deadline).await?;
    let window_seconds = answer.window.map(|window| window.as_secs());
    let items = answer.items.iter().map(|item| ExternalMetricValue {
        metric_name: &route.metric,
        metric_labels: item.labels.as_ref().map(|labels| labels.iter().collect()),
        timestamp: Time(item.timestamp),
        window_seconds,
        value: item.value,
    });
    Ok(Reply::json(
        &ExternalMetricValueList::v1beta1(items.collect()),
        pretty,
    ))
}

fn version() -> Info {
    let (major, minor) = (env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    Info {
        major: major.to_owned(),
        minor: minor.to_owned(),
        git_version: format!("v{}", env!("CARGO_PKG_VERSION")),
        compiler: "rustc".to_owned(),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        ..Info::default()
    }
}

/// Every path that is not a metric's; indented for everyone, as in Go.
fn index(server: &Server) -> Reply {
    let mut paths: Vec<String> = ["/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
        .map(Into::into)
        .to_vec();
    paths.extend(MetricsApi::ALL.map(|api| format!("/apis/{}", api.group())));
    for version in ApiVersion::ALL.map(ApiVersion::group_version) {
        paths.push(format!("/apis/{version}"));
        paths.push(format!("/openapi/v3/apis/{version}"));
    }
    paths.extend(server.api.health.paths());
    paths.sort_unstable();
    Reply::json(&json!({ "paths": paths }), true)
}
