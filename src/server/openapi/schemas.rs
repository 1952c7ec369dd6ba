//! The types of a version. What they take from other APIs stands in them: a definition with a name of Kubernetes' own and
//! other content would be renamed when the API server merges the documents.

use serde_json::{Map, Value, json};

use super::Dialect;
use crate::metrics_api::ApiVersion;

/// The full name of a type, as k8s.io/metrics has it.
pub(super) fn name(version: ApiVersion, kind: &str) -> String {
    let package = version.api().package();
    format!("io.k8s.metrics.pkg.apis.{package}.{}.{kind}", version.version())
}

/// All types of a version, by full name; `item` is the schema of a value.
pub(super) fn of(dialect: Dialect, version: ApiVersion, item: Value) -> Map<String, Value> {
    let api = version.api();
    let item_name = name(version, api.item_kind());
    let items = dialect.reference(&item_name);
    let mut types = Map::new();
    types.insert(name(version, api.list_kind()), list_of(version, &items));
    types.insert(item_name, item);
    types
}

fn list_of(version: ApiVersion, items: &Value) -> Value {
    let (group, kind) = (version.api().group(), version.api().list_kind());
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
        "x-kubernetes-group-version-kind": [{ "group": group, "version": version.version(), "kind": kind }],
    })
}

/// A string.
pub(in crate::server) fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

/// The reference to the object of a value.
pub(in crate::server) fn described_object() -> Value {
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

/// When a value was taken.
pub(in crate::server) fn timestamp() -> Value {
    json!({ "description": "when the value was taken", "type": "string", "format": "date-time" })
}

/// The time that a value covers.
pub(in crate::server) fn window() -> Value {
    let description = "the seconds that the value covers, where it is a rate or the like";
    json!({ "description": description, "type": "integer", "format": "int64" })
}

/// A value.
pub(in crate::server) fn value() -> Value {
    text("the value, as a quantity: 1500m is one and a half")
}

/// The request's selector of series.
pub(in crate::server) fn selector() -> Value {
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
