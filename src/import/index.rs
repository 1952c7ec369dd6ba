//! Index of the objects and notes of an import.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::{Import, Note, Object};

/// Positions in the lists of an [`Import`] to which things were only ever added.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Objects by kind, namespace and name.
    objects: HashMap<(&'static str, Option<String>, String), Vec<usize>>,
    /// Rules by the namespace that they serve and the name of their metric.
    metrics: HashMap<(String, String), Vec<usize>>,
    /// Notes by their hash.
    notes: HashMap<u64, Vec<usize>>,
}

// === impl Import ===

impl Import {
    /// The objects of autoscalers with this name.
    pub(super) fn named<'a>(
        &'a self,
        kind: &'static str,
        namespace: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = &'a Object> + use<'a> {
        let key = (kind, namespace.map(str::to_owned), name.to_owned());
        let places = self.index.objects.get(&key).into_iter().flatten();
        places.filter_map(|place| self.objects.get(*place))
    }

    /// The rules of autoscalers that make this metric in this namespace.
    pub(super) fn making<'a>(
        &'a self,
        namespace: &str,
        metric: &str,
    ) -> impl Iterator<Item = &'a Object> + use<'a> {
        let key = (namespace.to_owned(), metric.to_owned());
        let places = self.index.metrics.get(&key).into_iter().flatten();
        places.filter_map(|place| self.objects.get(*place))
    }

    /// Adds an object of an autoscaler unless it is there; a rule with the namespace that it serves and the metric that it makes.
    pub(super) fn add(&mut self, object: Object, rule: Option<(&str, &str)>) {
        let namespace = object.metadata().namespace.clone();
        let (kind, name) = (object.kind(), object.name().to_owned());
        if self
            .named(kind, namespace.as_deref(), &name)
            .any(|other| *other == object)
        {
            return;
        }
        let place = self.objects.len();
        let places = self.index.objects.entry((kind, namespace, name));
        places.or_default().push(place);
        if let Some((namespace, metric)) = rule {
            let places = self
                .index
                .metrics
                .entry((namespace.to_owned(), metric.to_owned()));
            places.or_default().push(place);
        }
        self.objects.push(object);
    }

    /// Adds a note about an autoscaler unless it is there.
    pub(super) fn note(&mut self, note: Note) {
        let mut hasher = DefaultHasher::new();
        note.hash(&mut hasher);
        let places = self.index.notes.entry(hasher.finish()).or_default();
        if places.iter().any(|place| self.notes.get(*place) == Some(&note)) {
            return;
        }
        places.push(self.notes.len());
        self.notes.push(note);
    }
}

#[cfg(test)]
mod tests {
    use language::terminal;
    use proptest::prelude::*;

    use crate::{
        document::SourceFile,
        import::{Import, adapter},
    };

    fn imported(name: &str, text: String) -> Import {
        let file = SourceFile {
            name: name.to_owned(),
            text,
        };
        adapter::import([file], &adapter::Options::default())
    }

    /// As `kubectl get scaledobjects -A -o yaml` prints them.
    fn scaled_objects(count: usize) -> String {
        let labels: String = (0..100)
            .map(|index| format!("l{index}: x, "))
            .collect::<Vec<_>>()
            .concat();
        let item = |index: usize| {
            format!(
                "- apiVersion: keda.sh/v1alpha1\n  kind: ScaledObject\n  metadata:\n    name: s{index}\n    namespace: n{}\n    \
                 labels: {{{labels}}}\n  spec:\n    scaleTargetRef: {{name: s{index}}}\n    minReplicaCount: 1\n    \
                 triggers:\n    - type: prometheus\n      metadata:\n        serverAddress: http://p:9090\n        \
                 query: sum(rate(requests_total{{namespace=\"n{}\"}}[2m]))\n        threshold: '10'\n",
                index % 7,
                index % 7
            )
        };
        let items: String = (0..count).map(item).collect();
        format!("apiVersion: v1\nitems:\n{items}kind: List\n")
    }

    #[test]
    fn a_list_of_all_scaled_objects_of_a_cluster_is_imported() {
        let import = imported("-", scaled_objects(1200));
        let of_kind = |kind: &str| {
            import
                .objects
                .iter()
                .filter(|object| object.kind() == kind)
                .count()
        };
        assert_eq!(
            (
                of_kind("HorizontalPodAutoscaler"),
                of_kind("MetricRule"),
                of_kind("MetricBackend")
            ),
            (1200, 1200, 1)
        );
    }

    #[test]
    fn a_list_of_too_many_rules_is_cut_and_that_is_said() {
        let import = imported("f", format!("rules:\n{}", "- 1\n".repeat(50_002)));
        let first = import.notes.first().map(ToString::to_string).unwrap_or_default();
        assert!(
            first.starts_with("f:2:3: error: Unsupported: 50002 rules"),
            "{first}"
        );
        assert_eq!(
            import
                .notes
                .iter()
                .filter(|note| note.message.contains("a rule must be a mapping"))
                .count(),
            50_000
        );
    }

    const HOSTILE: &str = "[a-c:#\\[\\]/ \\x00-\\x1f\\x7f-\\x{9f}\\x{200b}\\x{202e}\\x{2028}\\x{feff}]{0,12}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        #[test]
        fn nothing_that_an_import_prints_has_a_control_character_or_begins_a_command(
            file in HOSTILE,
            texts in prop::collection::vec(HOSTILE, 5),
        ) {
            let [name, key, query, server, kind] = &texts[..] else { panic!("five texts") };
            let scaled = serde_json::json!({
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
                "metadata": {"name": name, "namespace": kind, "labels": {key: name}, "annotations": {key: query}},
                "spec": {"scaleTargetRef": {"name": name}, "triggers": [{"type": "prometheus", "name": key, "metadata": {
                    "serverAddress": format!("http://{server}"), "query": query, "threshold": "1", key: name}}, {"type": kind}]},
            });
            let config = serde_json::json!({
                "rules": [{"seriesQuery": query, "metricsQuery": query, "name": {"matches": key, "as": name},
                    "resources": {"overrides": {key: {"resource": kind}}}}, {key: name}],
                "externalRules": [{"seriesQuery": "up{a=\"b\"}", "metricsQuery": query, "resources": {"namespaced": false}}],
            });
            for text in [scaled.to_string(), config.to_string()] {
                let import = imported(&file, text);
                let notes: String = import.notes.iter().map(|note| format!("{note}\n")).collect::<Vec<_>>().concat();
                let yaml = import.yaml();
                for out in [&notes, &import.report_json(), &import.summary(), &yaml] {
                    // A block of YAML keeps its tabs.
                    let active = out.chars().find(|c| !matches!(c, '\n' | '\t') && terminal::is_active(*c));
                    prop_assert_eq!(active, None, "{}", out);
                }
                prop_assert!(!notes.contains('\t'), "{notes}");
                prop_assert!(!terminal::has_command(&notes), "{notes}");
                prop_assert!(!terminal::has_command(&yaml), "{yaml}");
            }
        }
    }
}
