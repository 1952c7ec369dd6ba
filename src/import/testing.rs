//! Helpers for tests of the importers of autoscalers.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{Import, Object, offline};
use crate::{api::metric_rule::RuleResource, document::Document, resource::Resources, rule::RuleObject};

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
    let mut object = RuleObject::of(rule);
    if K::kind(&()) == "MetricRule" {
        object.key.namespace.get_or_insert_with(|| "default".to_owned());
    }
    assert_eq!(offline(object, &Resources::builtin()).refusals, []);
}
