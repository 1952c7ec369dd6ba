//! What importers of autoscalers are tested with.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{Import, Object, external};
use crate::{
    api::{
        MetricBackend,
        metric_rule::{RuleKey, RuleResource},
    },
    document::Document,
    resource::Resources,
    rule::{BackendRecord, RuleObject, compile},
};

/// What a text comes to; every document of it must be recognised, and everything that is made must be good.
pub(super) fn import(text: &str) -> Import {
    let mut import = Import::default();
    for document in Document::parse_stream(text).unwrap_or_else(|error| panic!("{error}\n{text}")) {
        assert!(super::autoscaler(&document, "f", &mut import), "{text}");
    }
    import.objects.iter().for_each(assert_good);
    import
}

/// The notes, one a line.
pub(super) fn notes(import: &Import) -> Vec<String> {
    import.notes.iter().map(ToString::to_string).collect()
}

/// Whether one note begins and goes on like this.
pub(super) fn assert_note(import: &Import, begin: &str, part: &str) {
    let notes = notes(import);
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with(begin) && note.contains(part)),
        "{begin} … {part}\n{}",
        notes.join("\n")
    );
}

/// The objects of a kind, as JSON.
pub(super) fn of_kind(import: &Import, kind: &str) -> Vec<serde_json::Value> {
    let objects = import.objects.iter().map(Object::json);
    objects.filter(|object| object["kind"] == kind).collect()
}

fn assert_good(object: &Object) {
    match object {
        Object::MetricRule(rule) => assert_compiles(&**rule),
        Object::ClusterMetricRule(rule) => assert_compiles(&**rule),
        Object::MetricBackend(backend) => assert_eq!(backend.violations(), [], "{}", object.yaml()),
        Object::HorizontalPodAutoscaler(hpa) => {
            let again: HorizontalPodAutoscaler = serde_saphyr::from_str(&object.yaml()).unwrap();
            assert_eq!(again, **hpa);
            let read: HorizontalPodAutoscaler = serde_json::from_value(object.json()).unwrap();
            assert_eq!(read, **hpa);
        }
    }
}

fn assert_compiles<K: RuleResource>(rule: &K) {
    let key = rule.rule_key();
    let namespaced = K::kind(&()) == "MetricRule";
    let object = RuleObject {
        key: RuleKey {
            namespace: namespaced.then(|| key.namespace.unwrap_or_else(|| "default".to_owned())),
            name: key.name,
        },
        uid: String::new(),
        generation: 1,
        created: None,
        spec: Ok(Arc::new(rule.to_rule_spec())),
        violations: rule.violations(),
    };
    let backend = MetricBackend::new(
        "any",
        external::backend_spec(crate::api::metric_backend::PrometheusSpec::new(
            "http://prometheus",
        )),
    );
    let record = BackendRecord::new("any", String::new(), 1, true, Arc::new(backend.spec)).map(Arc::new);
    let compiled = compile(object, record, &Resources::builtin());
    assert_eq!(compiled.refusals, []);
}
