use std::collections::BTreeSet;

use super::*;

fn json(document: &Tagged) -> Value {
    serde_json::from_slice(&document.body).unwrap()
}

/// Every `$ref` of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Parameters of a path that its template names, and operation ids, which must be unique.
fn check_paths(paths: &Value, ids: &mut BTreeSet<String>) {
    for (path, item) in paths.as_object().unwrap() {
        let templates: BTreeSet<_> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = item["parameters"].as_array().into_iter().flatten();
        let named: BTreeSet<_> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| {
                assert_eq!(parameter["required"], true, "{path}");
                parameter["name"].as_str().unwrap()
            })
            .collect();
        assert_eq!(templates, named, "{path}");
        assert!(
            ids.insert(item["get"]["operationId"].as_str().unwrap().to_owned()),
            "{path}"
        );
        assert!(
            item["get"]["responses"]["200"]["description"].is_string(),
            "{path}"
        );
    }
}

#[test]
fn version_2_is_whole() {
    let openapi = OpenApi::new().unwrap();
    let document = json(&openapi.v2);
    assert_eq!(document["swagger"], "2.0");
    check_paths(&document["paths"], &mut BTreeSet::new());
    assert_eq!(document["paths"].as_object().unwrap().len(), 4 + 4 + 2);
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let definitions: BTreeSet<_> = document["definitions"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("#/definitions/{name}"))
        .collect();
    assert_eq!(found, definitions);
    assert_eq!(definitions.len(), 6);
}

/// Conformance point 59.
#[test]
fn version_3_has_a_document_for_each_version_served() {
    let openapi = OpenApi::new().unwrap();
    let index = json(&openapi.v3);
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(
        paths.keys().collect::<Vec<_>>(),
        [
            "apis/custom.metrics.k8s.io/v1beta1",
            "apis/custom.metrics.k8s.io/v1beta2",
            "apis/external.metrics.k8s.io/v1beta1"
        ]
    );
    let mut ids = BTreeSet::new();
    for (path, entry) in paths {
        let tagged = &openapi.versions[path];
        assert_eq!(
            entry["serverRelativeURL"],
            format!("/openapi/v3/{path}?hash={}", tagged.hash)
        );
        let document = json(tagged);
        assert_eq!(document["openapi"], "3.0.0");
        check_paths(&document["paths"], &mut ids);
        assert!(
            document["paths"]
                .as_object()
                .unwrap()
                .keys()
                .all(|known| known.starts_with(&format!("/{path}/")))
        );
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert_eq!(
            found,
            schemas
                .keys()
                .map(|name| format!("#/components/schemas/{name}"))
                .collect()
        );
        let (group, version) = path.strip_prefix("apis/").unwrap().split_once('/').unwrap();
        let list = &schemas[&schemas::name(group, version, schemas::list_kind(group))];
        let kinds = &list["x-kubernetes-group-version-kind"][0];
        assert_eq!(
            (&kinds["group"], &kinds["version"]),
            (&json!(group), &json!(version))
        );
    }
}

#[test]
fn the_schemas_have_the_fields_of_the_bodies() {
    use crate::{
        api::{
            custom::{MetricIdentifier, MetricValueV1beta1, MetricValueV1beta2},
            external::ExternalMetricValue,
            list_meta::Time,
            object_ref::ObjectReference,
        },
        language::quantity::Milli,
    };
    let timestamp = Time("2026-01-02T02:04:05Z".parse().unwrap());
    let (value, window_seconds) = (Milli::ZERO, Some(1));
    let described_object = ObjectReference {
        kind: "k",
        namespace: "n",
        name: "o",
        api_version: "v",
    };
    let old = MetricValueV1beta1 {
        described_object,
        metric_name: "m",
        timestamp,
        window_seconds,
        value,
        selector: None,
    };
    let metric = MetricIdentifier {
        name: "m",
        selector: None,
    };
    let new = MetricValueV1beta2 {
        described_object,
        metric,
        timestamp,
        window_seconds,
        value,
    };
    let external = ExternalMetricValue {
        metric_name: "m",
        metric_labels: BTreeMap::new(),
        timestamp,
        window_seconds,
        value,
    };
    let bodies = [
        (
            "custom.metrics.k8s.io",
            "v1beta1",
            "MetricValue",
            serde_json::to_value(old).unwrap(),
        ),
        (
            "custom.metrics.k8s.io",
            "v1beta2",
            "MetricValue",
            serde_json::to_value(new).unwrap(),
        ),
        (
            "external.metrics.k8s.io",
            "v1beta1",
            "ExternalMetricValue",
            serde_json::to_value(external).unwrap(),
        ),
    ];
    for (group, version, kind, body) in bodies {
        let schema = &schemas::of(Dialect::V3, group, version)[&schemas::name(group, version, kind)];
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(keys(&schema["properties"]), keys(&body), "{group}/{version}");
    }
}
