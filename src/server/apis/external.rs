//! The external metrics API: what is listed of it, and its part of the `OpenAPI` documents.

use serde_json::{Value, json};

use crate::{
    api::discovery::ApiResource,
    catalog::Catalog,
    metrics_api::MetricsApi,
    server::openapi::{
        operations::{NAMESPACE, Operation, PRETTY, Parameter},
        schemas::{text, timestamp, value, window},
    },
};

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
