//! The custom metrics API: its replies, what is listed of it, and its part of the `OpenAPI` documents.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    answer::Placed,
    api::{
        custom::{MetricIdentifier, MetricValueList, MetricValueV1beta1, MetricValueV1beta2},
        discovery::ApiResource,
        list_meta::{LabelSelector, Time},
        object_ref::ObjectReference,
    },
    catalog::Catalog,
    metrics_api::MetricsApi,
    query::{
        Answer, CustomItem, Failure,
        request::{self, CustomVersion},
    },
    reason::Reason,
    server::{
        answers::Answers,
        openapi::{
            operations::{NAMESPACE, Operation, PRETTY, Parameter},
            schemas::{described_object, selector, text, timestamp, value, window},
        },
        respond::{Refusal, Reply},
    },
};

/// The values of a request, in the form of the version that it asked.
struct Values {
    version: CustomVersion,
    metric: String,
    selector: Option<LabelSelector>,
    answer: Placed<Answer<CustomItem>>,
}

/// The values that a request asks for.
pub(super) async fn answer(
    answers: &dyn Answers,
    request: &request::Custom,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    let selector = LabelSelector::of(&request.metric_selector)
        .map_err(|error| Failure::new(Reason::InvalidSelector, error.to_string()))?;
    let answer = answers.custom(request, deadline).await?;
    Ok(Reply::json(Values {
        version: request.version,
        metric: request.metric.clone(),
        selector,
        answer,
    }))
}

// === impl Values ===

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (metric, selector) = (self.metric.as_str(), self.selector.as_ref());
        let window_seconds = self.answer.window.map(|window| window.as_secs());
        let items = self.answer.items.iter();
        match self.version {
            CustomVersion::V1beta1 => {
                let items = items.map(|item| MetricValueV1beta1 {
                    described_object: described(item),
                    metric_name: metric,
                    timestamp: Time(item.timestamp),
                    window_seconds,
                    value: item.value,
                    selector,
                });
                MetricValueList::v1beta1(items.collect()).serialize(serializer)
            }
            CustomVersion::V1beta2 => {
                let items = items.map(|item| MetricValueV1beta2 {
                    described_object: described(item),
                    metric: MetricIdentifier {
                        name: metric,
                        selector,
                    },
                    timestamp: Time(item.timestamp),
                    window_seconds,
                    value: item.value,
                });
                MetricValueList::v1beta2(items.collect()).serialize(serializer)
            }
        }
    }
}

fn described(item: &CustomItem) -> ObjectReference<'_> {
    ObjectReference {
        kind: &item.kind,
        namespace: item.namespace.as_deref().unwrap_or_default(),
        name: &item.name,
        api_version: &item.api_version,
    }
}

/// A resource for each metric of each kind, in the order of the names, with the namespaces whose rules it is of.
pub(super) fn resources(catalog: &Catalog) -> Vec<(ApiResource, Vec<&str>)> {
    let metrics = catalog.custom_metrics().flat_map(|(info, metrics)| {
        metrics.map(move |metric| {
            let namespaced = catalog.is_namespaced(&info.group_resource, metric);
            let name = format!("{}/{metric}", info.group_resource);
            let resource = ApiResource::new(name, namespaced, MetricsApi::Custom.list_kind());
            (resource, catalog.custom_owners(&info.group_resource, metric))
        })
    });
    let mut resources: Vec<_> = metrics.collect();
    resources.sort_unstable_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    resources
}

/// Its paths.
pub(super) fn operations() -> Vec<Operation> {
    let of = |name, place, text| Parameter { name, place, text };
    let resource = of(
        "resource",
        "path",
        "the kind of the objects, for example pods or deployments.apps",
    );
    let name = of(
        "name",
        "path",
        "the object's name, or * for all that labelSelector matches",
    );
    let metric = of("subresource", "path", "the metric's name");
    let labels = of(
        "labelSelector",
        "query",
        "A selector to restrict the objects by their labels. Defaults to everything.",
    );
    let series = of(
        "metricLabelSelector",
        "query",
        "A selector to restrict the series of the metric by their labels. Defaults to everything.",
    );
    vec![
        Operation {
            path: "/namespaces/{namespace}/metrics/{name}",
            id: "MetricValueOfNamespace",
            text: "read a metric of the namespace itself",
            parameters: vec![NAMESPACE, of("name", "path", "the metric's name"), series, PRETTY],
        },
        Operation {
            path: "/namespaces/{namespace}/{resource}/{name}/{subresource}",
            id: "NamespacedMetricValue",
            text: "read a metric of one object, or of those that a selector matches, in a namespace",
            parameters: vec![NAMESPACE, resource, name, metric, labels, series, PRETTY],
        },
        Operation {
            path: "/{resource}/{name}/{subresource}",
            id: "MetricValue",
            text: "read a metric of one cluster-scoped object, or of those that a selector matches",
            parameters: vec![resource, name, metric, labels, series, PRETTY],
        },
    ]
}

/// The schema of one value.
pub(super) fn schema(version: CustomVersion) -> Value {
    match version {
        CustomVersion::V1beta1 => v1beta1(),
        CustomVersion::V1beta2 => v1beta2(),
    }
}

fn v1beta1() -> Value {
    json!({
        "description": "a metric value for some object",
        "type": "object",
        "required": ["describedObject", "metricName", "timestamp", "value", "selector"],
        "properties": {
            "describedObject": described_object(),
            "metricName": text("the name of the metric"),
            "timestamp": timestamp(),
            "window": window(),
            "value": value(),
            "selector": selector(),
        },
    })
}

fn v1beta2() -> Value {
    json!({
        "description": "a metric value for some object",
        "type": "object",
        "required": ["describedObject", "metric", "timestamp", "value"],
        "properties": {
            "describedObject": described_object(),
            "metric": {
                "description": "which metric the value is of",
                "type": "object",
                "required": ["name"],
                "properties": { "name": text("the name of the metric"), "selector": selector() },
            },
            "timestamp": timestamp(),
            "windowSeconds": window(),
            "value": value(),
        },
    })
}
