//! `CustomResourceDefinition` objects, and the files that hold them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{ClusterMetricRule, MetricBackend, MetricRule};

mod bounds;
#[cfg(test)]
mod tests;

/// The head of each file.
const HEADER: &str = "# Written by `make crds` from src/api. Do not edit.\n";

/// The definitions of all kinds, each with its one version.
pub fn documents() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![MetricRule::crd(), ClusterMetricRule::crd(), MetricBackend::crd()];
    let schemas = crds
        .iter_mut()
        .flat_map(|crd| &mut crd.spec.versions)
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(|schema| {
        tidy(schema);
        bounds::add(schema);
    });
    crds
}

/// All definitions as one stream of YAML documents, ready for `kubectl apply --server-side -f -`.
pub fn yaml() -> String {
    documents()
        .iter()
        .flat_map(|crd| ["---\n".to_owned(), to_yaml(crd)])
        .collect()
}

/// The files of `crds/`: name and text, one for each kind.
pub fn files() -> Vec<(String, String)> {
    documents()
        .iter()
        .map(|crd| {
            (
                format!("{}.yaml", crd.spec.names.plural),
                format!("{HEADER}{}", to_yaml(crd)),
            )
        })
        .collect()
}

#[expect(
    clippy::expect_used,
    reason = "the same three constant documents each time, and a test writes them"
)]
fn to_yaml(crd: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(crd).expect("a definition is plain data")
}

/// Makes of a derived schema what a person would have written.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.title = None;
    // An Option is a field that may be left out. `null` is not a value of ours: serde would take it for absent, but a
    // server-side apply that says it would own the field.
    schema.nullable = None;
    // Formats that OpenAPI does not know make the API server warn at each apply.
    schema.format = match schema.format.as_deref() {
        Some("uint32" | "uint64" | "uint") => Some("int64".to_owned()),
        _ => schema.format.take(),
    };
    schema.description = schema.description.as_deref().map(unwrap_lines);
    schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
        .for_each(tidy);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => tidy(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}

/// The line ends of a doc comment are those of the source; kubectl wraps by itself. Paragraphs stay.
fn unwrap_lines(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
