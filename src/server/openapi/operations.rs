//! The paths of a version.

use serde_json::{Map, Value, json};

use super::{Dialect, schemas};
use crate::query::route::CUSTOM_GROUP;

const PRETTY: Parameter = Parameter {
    name: "pretty",
    place: "query",
    text: "If 'true', then the output is indented.",
};
const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    place: "path",
    text: "the namespace of the request",
};

/// One `GET`.
struct Operation {
    /// Below the version.
    path: &'static str,
    id: &'static str,
    text: &'static str,
    parameters: Vec<Parameter>,
}

#[derive(Clone, Copy)]
struct Parameter {
    name: &'static str,
    place: &'static str,
    text: &'static str,
}

/// All paths of a version, by path.
pub(super) fn paths(dialect: Dialect, group: &str, version: &str) -> Map<String, Value> {
    let operations = if group == CUSTOM_GROUP {
        custom()
    } else {
        external()
    };
    let root = format!("/apis/{group}/{version}");
    let mut paths: Map<String, Value> = operations
        .into_iter()
        .map(|operation| {
            (
                format!("{root}{}", operation.path),
                operation.item(dialect, group, version),
            )
        })
        .collect();
    paths.insert(format!("{root}/"), resources(dialect, group, version));
    paths
}

fn custom() -> Vec<Operation> {
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

fn external() -> Vec<Operation> {
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

// === impl Operation ===

impl Operation {
    fn item(&self, dialect: Dialect, group: &str, version: &str) -> Value {
        let tag = tag(group, version);
        let kind = json!({ "group": group, "version": version, "kind": schemas::list_kind(group) });
        let schema = dialect.reference(&schemas::name(group, version, schemas::list_kind(group)));
        let mut operation = get(
            dialect,
            &tag,
            &format!("list{}{}", camel(&tag), self.id),
            self.text,
            schema,
        );
        if let Some(operation) = operation.as_object_mut() {
            operation.insert("x-kubernetes-action".to_owned(), json!("list"));
            operation.insert("x-kubernetes-group-version-kind".to_owned(), kind);
        }
        let parameters: Vec<_> = self
            .parameters
            .iter()
            .map(|parameter| parameter.value(dialect))
            .collect();
        json!({ "get": operation, "parameters": parameters })
    }
}

// === impl Parameter ===

impl Parameter {
    fn value(self, dialect: Dialect) -> Value {
        let Self { name, place, text } = self;
        let mut value = match dialect {
            Dialect::V2 => {
                json!({ "name": name, "in": place, "description": text, "type": "string", "uniqueItems": true })
            }
            Dialect::V3 => json!({
                "name": name, "in": place, "description": text, "schema": { "type": "string", "uniqueItems": true },
            }),
        };
        if place == "path"
            && let Some(value) = value.as_object_mut()
        {
            value.insert("required".to_owned(), json!(true));
        }
        value
    }
}

/// The list of the version's metrics.
fn resources(dialect: Dialect, group: &str, version: &str) -> Value {
    let tag = tag(group, version);
    let id = format!("get{}APIResources", camel(&tag));
    let schema = json!({ "type": "object", "description": "metav1.APIResourceList" });
    json!({ "get": get(dialect, &tag, &id, "get available resources", schema) })
}

fn get(dialect: Dialect, tag: &str, id: &str, text: &str, schema: Value) -> Value {
    let mut operation = json!({ "tags": [tag], "description": text, "operationId": id });
    let (ok, unauthorized) = (
        json!({ "description": "OK" }),
        json!({ "description": "Unauthorized" }),
    );
    let mut responses = json!({ "200": ok, "401": unauthorized });
    match dialect {
        Dialect::V2 => {
            operation["schemes"] = json!(["https"]);
            operation["consumes"] = json!(["*/*"]);
            operation["produces"] = json!(["application/json"]);
            responses["200"]["schema"] = schema;
        }
        Dialect::V3 => responses["200"]["content"] = json!({ "application/json": { "schema": schema } }),
    }
    operation["responses"] = responses;
    operation
}

/// `customMetrics_v1beta2`.
fn tag(group: &str, version: &str) -> String {
    let group = if group == CUSTOM_GROUP {
        "customMetrics"
    } else {
        "externalMetrics"
    };
    format!("{group}_{version}")
}

/// `CustomMetricsV1beta2`.
fn camel(tag: &str) -> String {
    let words = tag.split('_').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    });
    words.collect()
}
