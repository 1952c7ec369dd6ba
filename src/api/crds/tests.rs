use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use kube::core::cel::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::api::{RuleResource, Violation};

mod accepted;
mod refused;

/// The schema of a kind as the API server gets it.
fn schema(kind: &str) -> Value {
    let crd = documents()
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind)
        .unwrap();
    let version = crd.spec.versions.into_iter().next().unwrap();
    serde_json::to_value(version.schema.unwrap().open_api_v3_schema.unwrap()).unwrap()
}

/// An object of a kind from its spec.
fn object(kind: &str, spec: &Value) -> Value {
    let namespace = (kind == "MetricRule").then_some("shop");
    json!({
        "apiVersion": "metricrule.dev/v1alpha1",
        "kind": kind,
        "metadata": { "name": "x", "namespace": namespace },
        "spec": spec,
    })
}

/// What our own check says.
fn violations(kind: &str, object: &Value) -> Vec<Violation> {
    fn decode<T: DeserializeOwned>(object: &Value) -> T {
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"))
    }
    match kind {
        "MetricRule" => decode::<MetricRule>(object).violations(),
        "ClusterMetricRule" => decode::<ClusterMetricRule>(object).violations(),
        "MetricBackend" => decode::<MetricBackend>(object).violations(),
        other => panic!("no kind {other}"),
    }
}

/// The messages of the CEL rules that fail.
fn cel_messages(schema: &Value, object: &Value) -> BTreeSet<String> {
    match Validator::new().validate(schema, object, None) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

/// Calls `visit` for each property of a schema, with its path.
fn each_property(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, property);
        each_property(property, &path, visit);
    }
    for nested in ["items", "additionalProperties"]
        .into_iter()
        .filter_map(|keyword| schema.get(keyword))
    {
        each_property(nested, &format!("{path}[]"), visit);
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn the_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = std::env::var_os("METRICRULE_WRITE").is_some_and(|value| value == "1");
    for (folder, required) in [("crds", true), ("charts/metricrule/crds", false)] {
        let folder = root.join(folder);
        if !required && !folder.parent().unwrap().exists() {
            continue;
        }
        if write {
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files() {
                fs::write(folder.join(name), text).unwrap();
            }
        }
        let present: BTreeMap<String, String> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    fs::read_to_string(entry.path()).unwrap(),
                )
            })
            .collect();
        let wanted: BTreeMap<String, String> = files().into_iter().collect();
        assert!(
            present == wanted,
            "{} differs from src/api: run `make crds`",
            folder.display()
        );
    }
}

#[test]
fn the_stream_holds_every_document() {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml()).unwrap();
    let kinds: Vec<&str> = documents
        .iter()
        .map(|crd| crd["spec"]["names"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["MetricRule", "ClusterMetricRule", "MetricBackend"]);
}

#[test]
fn every_field_says_what_it_is() {
    for crd in documents() {
        let kind = crd.spec.names.kind;
        each_property(&schema(&kind), &kind, &mut |path, property| {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.len() > 15, "{path} has no description: {property:#}");
            assert!(
                !text.contains("  ") && !text.lines().any(|line| line.ends_with(' ')),
                "{path}: {text}"
            );
            let optional_constant = property.get("default").is_some() && property["type"] != "object";
            assert!(
                !optional_constant || text.contains("Default: ") || path.contains(".status."),
                "{path}: {text}"
            );
        });
    }
}

#[test]
fn the_schemas_hold_nothing_odd() {
    for crd in documents() {
        let kind = crd.spec.names.kind;
        each_property(&schema(&kind), &kind, &mut |path, property| {
            for odd in [
                "nullable",
                "title",
                "anyOf",
                "oneOf",
                "allOf",
                "$ref",
                "x-kubernetes-preserve-unknown-fields",
            ] {
                assert!(property.get(odd).is_none(), "{path} has {odd}: {property:#}");
            }
            assert!(property["type"].is_string(), "{path} has no type: {property:#}");
            assert!(
                property.get("default") != Some(&Value::Null),
                "{path}: {property:#}"
            );
            let format = property.get("format").and_then(Value::as_str);
            assert!(
                matches!(format, None | Some("int32" | "int64" | "date-time")),
                "{path}: {format:?}"
            );
        });
    }
}

/// A label name of a megabyte is memory in every replica; CEL's cost is estimated from the same bounds.
#[test]
fn no_string_key_list_or_map_of_a_kind_is_without_a_bound() {
    fn cel(schema: &Value, found: &mut Vec<String>) {
        let rules = schema["x-kubernetes-validations"].as_array();
        let rules = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule["rule"].as_str());
        found.extend(rules.map(str::to_owned));
        for nested in schema["properties"].as_object().into_iter().flatten() {
            cel(nested.1, found);
        }
    }
    for crd in documents() {
        let kind = crd.spec.names.kind;
        let (schema, mut rules) = (schema(&kind), Vec::new());
        cel(&schema, &mut rules);
        let keys_are_bounded = |path: &str| {
            let name = path.rsplit('.').next().unwrap();
            let all = format!("{name}.all(");
            rules
                .iter()
                .any(|rule| rule.contains(&all) && rule.contains("size("))
        };
        each_property(&schema, &kind, &mut |path, property| {
            let bounded = match property["type"].as_str().unwrap() {
                "string" => property["maxLength"].is_u64() || property["enum"].is_array(),
                "array" => property["maxItems"].is_u64(),
                "object" if property["properties"].is_object() => true,
                "object" => property["maxProperties"].is_u64() && keys_are_bounded(path),
                _ => true,
            };
            assert!(bounded, "{path} has no bound: {property:#}");
            for nested in ["items", "additionalProperties"] {
                let value = &property[nested];
                assert!(
                    value["type"] != "string" || value["maxLength"].is_u64() || value["enum"].is_array(),
                    "{path}[] has no bound: {property:#}"
                );
            }
        });
    }
}

#[test]
fn only_a_cluster_metric_rule_offers_a_namespace_selector() {
    let offers = |kind: &str| {
        schema(kind)["properties"]["spec"]["properties"]
            .get("namespaceSelector")
            .is_some()
    };
    assert!(!offers("MetricRule"));
    assert!(offers("ClusterMetricRule"));
}

#[test]
fn every_kind_has_its_names_columns_and_subresource() {
    for (crd, (scope, short_name, columns)) in documents().iter().zip([
        (
            "Namespaced",
            "mr",
            ["Ready", "Reason", "Metrics", "Backend", "Age"].as_slice(),
        ),
        (
            "Cluster",
            "cmr",
            &["Ready", "Reason", "Metrics", "Backend", "Age"],
        ),
        (
            "Cluster",
            "mb",
            &["Default", "Type", "Ready", "Reason", "Version", "Rules", "Age"],
        ),
    ]) {
        let names = &crd.spec.names;
        assert_eq!(crd.spec.scope, scope);
        assert_eq!(
            names.short_names.as_deref(),
            Some([short_name.to_owned()].as_slice())
        );
        // Not a name of one of the kinds: kubectl takes `metricrule` for the category then, and `kubectl delete metricrule x`
        // fails with "you must specify only one resource".
        assert_eq!(
            names.categories.as_deref(),
            Some(["metricrule-dev".to_owned()].as_slice())
        );
        let version = &crd.spec.versions[0];
        let shown = version
            .additional_printer_columns
            .iter()
            .flatten()
            .filter(|column| column.priority.is_none());
        assert_eq!(
            shown.map(|column| column.name.as_str()).collect::<Vec<_>>(),
            columns
        );
        assert!(version.subresources.as_ref().unwrap().status.is_some());
    }
}
