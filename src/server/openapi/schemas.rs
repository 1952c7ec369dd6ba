//! The types of a version. What they take from other APIs stands in them: a definition with a name of Kubernetes' own and
//! other content would be renamed when the API server merges the documents.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::query::route::CUSTOM_GROUP;

/// The kind of a group's lists.
pub(super) fn list_kind(group: &str) -> &'static str {
    if group == CUSTOM_GROUP {
        "MetricValueList"
    } else {
        "ExternalMetricValueList"
    }
}

/// The full name of a type, as k8s.io/metrics has it.
pub(super) fn name(group: &str, version: &str, kind: &str) -> String {
    let package = if group == CUSTOM_GROUP {
        "custom_metrics"
    } else {
        "external_metrics"
    };
    format!("io.k8s.metrics.pkg.apis.{package}.{version}.{kind}")
}

/// All types of a version, by full name.
pub(super) fn of(dialect: Dialect, group: &str, version: &str) -> Map<String, Value> {
    let item_kind = if group == CUSTOM_GROUP {
        "MetricValue"
    } else {
        "ExternalMetricValue"
    };
    let item = match (group == CUSTOM_GROUP, version) {
        (true, "v1beta1") => custom_v1beta1(),
        (true, _) => custom_v1beta2(),
        (false, _) => external(),
    };
    let item_name = name(group, version, item_kind);
    let items = dialect.reference(&item_name);
    let mut types = Map::new();
    types.insert(
        name(group, version, list_kind(group)),
        list_of(group, version, &items),
    );
    types.insert(item_name, item);
    types
}

fn list_of(group: &str, version: &str, items: &Value) -> Value {
    let kind = list_kind(group);
    json!({
        "description": "a list of values for a given metric",
        "type": "object",
        "required": ["metadata", "items"],
        "properties": {
            "apiVersion": text("the version of this representation of the list"),
            "kind": text(&format!("always {kind}")),
            "metadata": { "description": "always empty: lists are complete", "type": "object" },
            "items": { "description": "the values", "type": "array", "items": items },
        },
        "x-kubernetes-group-version-kind": [{ "group": group, "version": version, "kind": kind }],
    })
}

fn custom_v1beta1() -> Value {
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

fn custom_v1beta2() -> Value {
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

fn external() -> Value {
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

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn described_object() -> Value {
    json!({
        "description": "a reference to the object that the value describes",
        "type": "object",
        "properties": {
            "kind": text("the object's kind"),
            "namespace": text("the object's namespace"),
            "name": text("the object's name"),
            "apiVersion": text("the object's group and version"),
        },
    })
}

fn timestamp() -> Value {
    json!({ "description": "when the value was taken", "type": "string", "format": "date-time" })
}

fn window() -> Value {
    let description = "the seconds that the value covers, where it is a rate or the like";
    json!({ "description": description, "type": "integer", "format": "int64" })
}

fn value() -> Value {
    text("the value, as a quantity: 1500m is one and a half")
}

fn selector() -> Value {
    json!({
        "description": "the label selector by which the request restricted the series of the metric",
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "labels and the values that they must have",
                "type": "object",
                "additionalProperties": { "type": "string" },
            },
            "matchExpressions": {
                "description": "other requirements",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": text("the label"),
                        "operator": text("In, NotIn, Exists or DoesNotExist"),
                        "values": { "description": "for In and NotIn", "type": "array", "items": { "type": "string" } },
                    },
                },
            },
        },
    })
}
