//! The external metrics API: its replies, what is listed of it, and its part of the `OpenAPI` documents.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    answer::Placed,
    api::{
        discovery::ApiResource,
        external::{ExternalMetricValue, ExternalMetricValueList},
        list_meta::Time,
    },
    catalog::Catalog,
    metrics_api::MetricsApi,
    query::{Answer, ExternalItem, request},
    server::{
        answers::Answers,
        openapi::{
            operations::{NAMESPACE, Operation, PRETTY, Parameter},
            schemas::{text, timestamp, value, window},
        },
        respond::{Refusal, Reply},
    },
};

/// The values of a request.
struct Values {
    metric: String,
    answer: Placed<Answer<ExternalItem>>,
}

/// The values that a request asks for.
pub(super) async fn answer(
    answers: &dyn Answers,
    request: &request::External,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let answer = answers.external(request, deadline).await?;
    let metric = request.metric.clone();
    Ok(Reply::json(Values { metric, answer }))
}

// === impl Values ===

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let window_seconds = self.answer.window.map(|window| window.as_secs());
        let items = self.answer.items.iter().map(|item| ExternalMetricValue {
            metric_name: &self.metric,
            metric_labels: item.labels.as_ref().map(|labels| labels.iter().collect()),
            timestamp: Time(item.timestamp),
            window_seconds,
            value: item.value,
        });
        ExternalMetricValueList::v1beta1(items.collect()).serialize(serializer)
    }
}

/// A resource for each metric, in the order of the names, with the namespaces whose rules it is of.
pub(super) fn resources(catalog: &Catalog) -> Vec<(ApiResource, Vec<&str>)> {
    let resources = catalog.external_metrics().map(|metric| {
        let resource = ApiResource::new(metric.to_string(), true, MetricsApi::External.list_kind());
        (resource, catalog.external_owners(metric))
    });
    resources.collect()
}

/// Its paths.
pub(super) fn operations() -> Vec<Operation> {
    let metric = Parameter {
        name: "resource",
        place: "path",
        text: "the metric's name",
    };
    let series = Parameter {
        name: "labelSelector",
        place: "query",
        text: "A selector to restrict the series of the metric by their labels. Defaults to everything.",
    };
    vec![Operation {
        path: "/namespaces/{namespace}/{resource}",
        id: "NamespacedExternalMetricValue",
        text: "read an external metric",
        parameters: vec![NAMESPACE, metric, series, PRETTY],
    }]
}

/// The schema of one value.
pub(super) fn schema() -> Value {
    json!({
        "description": "a metric value for an external metric",
        "type": "object",
        "required": ["metricName", "metricLabels", "timestamp", "value"],
        "properties": {
            "metricName": text("the name of the metric"),
            "metricLabels": {
                "description": "the labels that tell the value from others of the metric",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "timestamp": timestamp(),
            "window": window(),
            "value": value(),
        },
    })
}
