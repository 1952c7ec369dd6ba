use std::collections::{BTreeMap, BTreeSet};

use language::quantity::Milli;
use serde::{Deserialize, Serialize};

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
        let version = path.strip_prefix("apis/").unwrap();
        let version = ApiVersion::ALL
            .into_iter()
            .find(|known| known.group_version() == version);
        let version = version.unwrap();
        let tagged = &openapi.versions[version];
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
        let list = &schemas[&schemas::name(version, version.api().list_kind())];
        let kinds = &list["x-kubernetes-group-version-kind"][0];
        assert_eq!(
            (&kinds["group"], &kinds["version"]),
            (&json!(version.api().group()), &json!(version.version()))
        );
    }
}

/// What `tests/oracles/openapi` has judged. The version of this build is left out, so that a release needs no new judgement.
#[derive(Debug, Deserialize, Serialize)]
struct Judged {
    path: String,
    document: String,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
    /// A document that was not judged has none.
    error: Option<String>,
}

/// Conformance point 59: the parsers of kube-openapi and of kubectl take every document, and find in it what is there. A
/// change is written with `METRICRULE_WRITE=1`, then judged as `tests/oracles/README.md` says.
#[test]
fn what_go_has_judged_is_up_to_date() {
    let openapi = OpenApi::new().unwrap();
    let text = |tagged: &Tagged| {
        let version = format!("\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"));
        let document = String::from_utf8(tagged.body.to_vec()).unwrap();
        document.trim_end().replace(&version, "\"version\":\"0.0.0\"}")
    };
    let mut documents = vec![("/openapi/v2".to_owned(), text(&openapi.v2))];
    for (version, tagged) in openapi.versions.iter() {
        documents.push((
            format!("/openapi/v3/apis/{}", version.group_version()),
            text(tagged),
        ));
    }
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openapi.json");
    if std::env::var_os("METRICRULE_WRITE").is_some_and(|value| value == "1") {
        let known: Vec<Judged> = std::fs::read(fixture)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let known = |(path, document): &(String, String)| {
            known
                .iter()
                .any(|row| row.path == *path && row.document == *document)
        };
        if !documents.iter().all(known) {
            let rows: Vec<_> = documents
                .into_iter()
                .map(|(path, document)| Judged {
                    path,
                    document,
                    paths: Vec::new(),
                    kinds: Vec::new(),
                    error: None,
                })
                .collect();
            std::fs::write(fixture, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
        }
        return;
    }
    let judged: Vec<Judged> = serde_json::from_slice(&std::fs::read(fixture).unwrap()).unwrap();
    assert_eq!(judged.len(), documents.len());
    for (row, (path, document)) in judged.iter().zip(&documents) {
        assert_eq!((&row.path, &row.document), (path, document), "to be judged anew");
        assert_eq!(row.error.as_deref(), Some(""), "{path}");
        let whole: Value = serde_json::from_str(document).unwrap();
        let paths: Vec<_> = whole["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(row.paths, paths, "{path}");
        let mut kinds: Vec<_> = ApiVersion::ALL
            .into_iter()
            .filter(|version| path == "/openapi/v2" || path.ends_with(version.group_version()))
            .map(|version| format!("{} {}", version.group_version(), version.api().list_kind()))
            .collect();
        kinds.sort_unstable();
        assert_eq!(row.kinds, kinds, "{path}");
    }
}

#[test]
fn the_schemas_have_the_fields_of_the_bodies() {
    use crate::api::{
        custom::{MetricIdentifier, MetricValueV1beta1, MetricValueV1beta2},
        external::ExternalMetricValue,
        list_meta::Time,
        object_ref::ObjectReference,
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
        metric_labels: Some(BTreeMap::new()),
        timestamp,
        window_seconds,
        value,
    };
    let bodies = [
        (ApiVersion::CustomV1beta1, serde_json::to_value(old).unwrap()),
        (ApiVersion::CustomV1beta2, serde_json::to_value(new).unwrap()),
        (
            ApiVersion::ExternalV1beta1,
            serde_json::to_value(external).unwrap(),
        ),
    ];
    for (version, body) in bodies {
        let schemas = schemas::of(Dialect::V3, version, apis::schema(version));
        let schema = &schemas[&schemas::name(version, version.api().item_kind())];
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(keys(&schema["properties"]), keys(&body), "{version:?}");
    }
}
