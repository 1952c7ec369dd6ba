//! Handlers of the metrics APIs: what the server does for each beyond its row in the table; a file for each API, and one place
//! that chooses.

mod custom;
mod external;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    answers::Answers,
    openapi::operations::Operation,
    respond::{Refusal, Reply},
};
use crate::{
    api::discovery::ApiResource,
    catalog::Catalog,
    metrics_api::{ApiVersion, MetricsApi},
    query::request::{CustomVersion, MetricRequest},
};

/// The values that a request asks for.
pub(super) async fn answer(
    answers: &dyn Answers,
    request: &MetricRequest,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    match request {
        MetricRequest::Custom(request) => custom::answer(answers, request, deadline).await,
        MetricRequest::External(request) => external::answer(answers, request, deadline).await,
    }
}

/// What discovery lists of an API, in the order of the names: a resource for each metric, and the namespaces whose rules it is of.
pub(super) fn resources(api: MetricsApi, catalog: &Catalog) -> Vec<(ApiResource, Vec<&str>)> {
    match api {
        MetricsApi::Custom => custom::resources(catalog),
        MetricsApi::External => external::resources(catalog),
    }
}

/// The paths of an API, as `OpenAPI` describes them.
pub(super) fn operations(api: MetricsApi) -> Vec<Operation> {
    match api {
        MetricsApi::Custom => custom::operations(),
        MetricsApi::External => external::operations(),
    }
}

/// The schema of one value of a version.
pub(super) fn schema(version: ApiVersion) -> Value {
    match version {
        ApiVersion::CustomV1beta1 => custom::schema(CustomVersion::V1beta1),
        ApiVersion::CustomV1beta2 => custom::schema(CustomVersion::V1beta2),
        ApiVersion::ExternalV1beta1 => external::schema(),
    }
}
