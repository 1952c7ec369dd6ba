//! The paths of a version.

use serde_json::{Map, Value, json};

use super::{Dialect, schemas};
use crate::metrics_api::ApiVersion;

/// Of every operation.
pub(in crate::server) const PRETTY: Parameter = Parameter {
    name: "pretty",
    place: "query",
    text: "If 'true', then the output is indented.",
};
/// Of what is asked in a namespace.
pub(in crate::server) const NAMESPACE: Parameter = Parameter {
    name: "namespace",
    place: "path",
    text: "the namespace of the request",
};

/// One `GET`.
pub(in crate::server) struct Operation {
    /// Below the version.
    pub(in crate::server) path: &'static str,
    /// Of its own in all documents, before the version is put before it.
    pub(in crate::server) id: &'static str,
    pub(in crate::server) text: &'static str,
    pub(in crate::server) parameters: Vec<Parameter>,
}

/// A parameter that is a string.
#[derive(Clone, Copy)]
pub(in crate::server) struct Parameter {
    pub(in crate::server) name: &'static str,
    /// `path` or `query`.
    pub(in crate::server) place: &'static str,
    pub(in crate::server) text: &'static str,
}

/// All paths of a version, by path.
pub(super) fn paths(dialect: Dialect, version: ApiVersion, operations: &[Operation]) -> Map<String, Value> {
    let root = format!("/apis/{}", version.group_version());
    let paths = operations.iter().map(|operation| {
        (
            format!("{root}{}", operation.path),
            operation.item(dialect, version),
        )
    });
    let mut paths: Map<String, Value> = paths.collect();
    paths.insert(format!("{root}/"), resources(dialect, version));
    paths
}

// === impl Operation ===

impl Operation {
    fn item(&self, dialect: Dialect, version: ApiVersion) -> Value {
        let tag = tag(version);
        let list = version.api().list_kind();
        let kind = json!({ "group": version.api().group(), "version": version.version(), "kind": list });
        let schema = dialect.reference(&schemas::name(version, list));
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
fn resources(dialect: Dialect, version: ApiVersion) -> Value {
    let tag = tag(version);
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
fn tag(version: ApiVersion) -> String {
    let package = version.api().package();
    let (first, rest) = package.split_once('_').unwrap_or((package, ""));
    format!("{first}{}_{}", capital(rest), version.version())
}

/// `CustomMetricsV1beta2`.
fn camel(tag: &str) -> String {
    tag.split('_').map(capital).collect()
}

fn capital(word: &str) -> String {
    match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    }
}
