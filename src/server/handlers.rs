//! Handlers: from what a request names to a reply.

use std::time::Duration;

use http::{StatusCode, request::Parts};
use k8s_openapi::apimachinery::pkg::version::Info;
use serde_json::json;
use tokio::time::Instant;

use super::{
    apis,
    discovery::Discovery,
    respond::{Accepted, Refusal, Reply},
    route::Endpoint,
    state::Server,
};
use crate::{
    metrics::{CONTENT_TYPE, Metrics},
    metrics_api::{ApiVersion, MetricsApi},
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
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let headers = &head.headers;
    let accepted = match endpoint {
        Endpoint::Health(_) | Endpoint::Metrics | Endpoint::Index => Accepted::Json,
        endpoint => Accepted::of(headers, *endpoint == Endpoint::Groups)?,
    };
    let api = &server.api;
    match endpoint {
        Endpoint::Metric(request) => apis::answer(&*api.answers, request, deadline + GRACE).await,
        Endpoint::Groups if accepted == Accepted::AggregatedDiscovery => {
            Ok(server.discovery.aggregated(headers))
        }
        Endpoint::Groups => Ok(Discovery::groups()),
        Endpoint::Group(group) => Ok(Discovery::group(*group)),
        Endpoint::Version(version) => Ok(server.discovery.version(&api.answers.catalog(), *version)),
        Endpoint::OpenApiV2 => Ok(server.openapi.v2(headers)),
        Endpoint::OpenApiV3 => Ok(server.openapi.v3(headers)),
        Endpoint::OpenApiV3Of(version) => Ok(server.openapi.v3_of(*version, head.uri.query(), headers)),
        Endpoint::Health(request) => {
            // The whole is for anyone, a single check for those who are allowed to see it.
            let show_causes = request.check.is_some();
            let reply = api.health.answer(request, show_causes);
            reply.ok_or_else(Refusal::not_found)
        }
        Endpoint::ServerVersion => Ok(Reply::json(version())),
        Endpoint::Metrics => Ok(metrics(&api.metrics)),
        Endpoint::Index => Ok(index(server)),
    }
}

/// Own metrics.
pub(super) fn metrics(metrics: &Metrics) -> Reply {
    Reply::text(StatusCode::OK, CONTENT_TYPE, metrics.encode())
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
    Reply::json(json!({ "paths": paths })).indented()
}
