//! Export, and what comes back from an import of it.

use super::*;

fn exported(rules: &[&str]) -> Export {
    let text = format!("---\n{}\n", rules.join("\n---\n"));
    export([("f", text.as_str())])
}

fn rule(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {{name: {name}}}, spec: {{semantics: PrometheusAdapter, \
         metricsQuery: m, {spec}}}}}"
    )
}

#[test]
fn priority_is_position() {
    let texts = [
        rule(
            "a",
            "seriesQuery: third, resources: {template: <<.Resource>>}, priority: 7",
        ),
        rule("b", "seriesQuery: second, resources: {template: <<.Resource>>}"),
        rule("c", "seriesQuery: first, resources: {template: <<.Resource>>}"),
        rule(
            "d",
            "seriesQuery: zeroth, resources: {template: <<.Resource>>}, priority: -1",
        ),
        rule("e", "api: External, seriesQuery: other"),
    ];
    let export = exported(&texts.each_ref().map(String::as_str));
    assert_eq!(export.findings, []);
    // Of equal priorities and ages the lower name wins here, and the later rule there.
    let order: Vec<_> = export
        .yaml
        .lines()
        .filter_map(|line| line.split("seriesQuery: ").nth(1))
        .collect();
    assert_eq!(order, ["zeroth", "first", "second", "third", "other"]);
    assert!(export.yaml.starts_with(
        "rules:\n- seriesQuery: zeroth\n  resources:\n    template: '<<.Resource>>'\n  metricsQuery: m\n"
    ));
    assert!(export.yaml.contains("\nexternalRules:\n"), "{}", export.yaml);
}

#[test]
fn the_rule_that_loses_here_won_there() {
    let rule = |name: &str, created: &str, more: &str| {
        format!(
            "{{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {{name: {name}{created}}}, spec: {{semantics: \
             PrometheusAdapter, metricsQuery: m, seriesQuery: {name}{more}}}}}"
        )
    };
    let at = |year: u32| format!(", creationTimestamp: '{year}-01-01T00:00:00Z'");
    let texts = [
        rule("z-old", &at(2024), ""),
        rule("a-new", &at(2025), ""),
        rule("b-new", &at(2025), ""),
        // not created yet: the youngest of all
        rule("c-none", "", ""),
        rule("y-high", &at(2026), ", priority: 1"),
    ];
    let export = exported(&texts.each_ref().map(String::as_str));
    let order: Vec<_> = export
        .yaml
        .lines()
        .filter_map(|line| line.split("seriesQuery: ").nth(1))
        .collect();
    // The last one wins there: the higher priority, then the older, then the lower name.
    assert_eq!(order, ["c-none", "b-new", "a-new", "z-old", "y-high"]);
}

#[test]
fn an_empty_configuration_was_made_of_what_holds_no_rule() {
    for text in ["kind: List\nitems: []\n", "foo: bar\n", "", "a: [\n"] {
        let export = export([("f", text)]);
        assert_eq!((export.yaml.as_str(), export.rules), ("", 0), "{text:?}");
    }
    // All left out is not a configuration either.
    let text = "{apiVersion: metricrule.dev/v1alpha1, kind: MetricRule, metadata: {name: a}, spec: {seriesQuery: a, metricsQuery: a}}";
    let export = export([("f", text)]);
    assert_eq!((export.yaml.as_str(), export.rules), ("", 1));
    assert!(export.findings[0].left_out);
}

#[test]
fn defaults_of_a_rule_were_lost_without_a_word() {
    let told = |semantics: &str, more: &str| -> Vec<(bool, String)> {
        let text = format!(
            "{{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {{name: a}}, spec: {{semantics: {semantics}, \
             metricsQuery: m, seriesQuery: s, resources: {{template: <<.Resource>>}}{more}}}}}"
        );
        let export = exported(&[&text]);
        let told = export.findings.into_iter();
        told.map(|finding| {
            (
                finding.left_out,
                format!("{} {}", finding.problem.path, finding.problem.message),
            )
        })
        .collect()
    };
    let said = |told: &[(bool, String)], path: &str, text: &str| {
        told.iter()
            .any(|(left_out, message)| !left_out && message.starts_with(path) && message.contains(text))
    };
    let standard = told("Standard", ", api: External");
    assert!(
        said(&standard, "spec.negative ", "applies Zero by default"),
        "{standard:?}"
    );
    assert!(
        said(&standard, "spec ", "refresh is 5s by default in metricrule"),
        "{standard:?}"
    );
    let passed = told("Standard", ", api: External, negative: Pass");
    assert!(!said(&passed, "spec.negative ", ""), "{passed:?}");
    assert!(!said(&told("Standard", ""), "spec.negative ", ""));

    let kept = told("PrometheusAdapter", ", refresh: 30s");
    assert!(
        said(&kept, "spec.refresh ", "reuses an answer for 30s"),
        "{kept:?}"
    );
    assert_eq!(told("PrometheusAdapter", ", refresh: 0s"), []);
    assert_eq!(told("PrometheusAdapter", ", api: External"), []);
}

/// A field that comes later must be exported, or said to be lost.
#[test]
fn every_field_of_a_spec_is_exported_or_told() {
    let schema = schemars::schema_for!(RuleSpec);
    let fields: Vec<&str> = schema.as_value()["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let written = [
        "api",
        "metricsQuery",
        "name",
        "priority",
        "resources",
        "seriesFilters",
        "seriesQuery",
    ];
    let told = [
        "backendRef",
        "limits",
        "namespaceSelector",
        "negative",
        "refresh",
        "semantics",
        "window",
        "missingRows",
        "retainAfterIdle",
    ];
    let unknown: Vec<_> = fields
        .iter()
        .filter(|field| !written.contains(*field) && !told.contains(*field))
        .collect();
    assert!(
        unknown.is_empty(),
        "not exported, and not in `losses`: {unknown:?}"
    );
}

#[test]
fn what_has_no_place_in_a_spec_comes_back() {
    let fields =
        "{\"resources\": {\"namespaced\": false, \"overrides\": {\"a-b\": {\"resource\": \"pod\"}}}}";
    let text = format!(
        "{{apiVersion: metricrule.dev/v1alpha1, kind: ClusterMetricRule, metadata: {{name: a, annotations: {{{ADAPTER_FIELDS_ANNOTATION}: '{fields}'}}}}, \
         spec: {{semantics: PrometheusAdapter, seriesQuery: s, metricsQuery: '{ADAPTER_NO_QUERY}', resources: {{overrides: {{pod: {{resource: pod}}}}}}}}}}"
    );
    let export = exported(&[&text]);
    let want = "rules:\n- seriesQuery: s\n  resources:\n    overrides:\n      a-b:\n        resource: pod\n      pod:\n        resource: pod\n    \
                namespaced: false\n";
    assert_eq!(export.yaml, want);
}

#[test]
fn losses_are_said_where_they_are_written() {
    let good = "seriesQuery: s, resources: {template: <<.Resource>>}";
    let cases = [
        ("negative: Zero", Some(true), "negative"),
        ("negative: Pass", None, ""),
        ("window: 1m", Some(false), "window"),
        ("limits: {maxSeries: 5}", Some(false), "limits"),
        ("limits: {maxSeries: 0, maxMetrics: 0, maxSamples: 0}", None, ""),
        ("namespaceSelector: {}", None, ""),
        (
            "namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}",
            Some(true),
            "namespaceSelector",
        ),
        ("backendRef: {name: default}", None, ""),
        ("backendRef: {name: other}", Some(true), "backendRef"),
    ];
    for (field, want, path) in cases {
        let text = rule("a", &format!("{good}, {field}"));
        let export = exported(&[&text]);
        let found: Vec<_> = export
            .findings
            .iter()
            .map(|it| (it.left_out, it.problem.path.as_str()))
            .collect();
        let want: Vec<_> = want
            .map(|left_out| (left_out, format!("spec.{path}")))
            .into_iter()
            .collect();
        let want: Vec<_> = want
            .iter()
            .map(|(left_out, path)| (*left_out, path.as_str()))
            .collect();
        assert_eq!(found, want, "{field}");
        assert_eq!(
            export.yaml.contains("seriesQuery"),
            !want.iter().any(|(left_out, _)| *left_out),
            "{field}"
        );
        if let Some(finding) = export.findings.first() {
            let value = field.split_once(": ").map(|(_, value)| value).unwrap_or_default();
            let column = text.find(&field.to_string()).unwrap() + field.len() - value.len() + 1;
            assert_eq!(
                (finding.position.line, finding.position.column as usize),
                (2, column),
                "{field}"
            );
        }
    }
}

#[test]
fn items_of_a_list_of_one_kind_were_passed_over() {
    let text = "apiVersion: metricrule.dev/v1alpha1\nkind: ClusterMetricRuleList\nitems:\n- metadata: {name: a}\n  spec: {api: Custom, \
                seriesQuery: 'a{b=\"c\"}', metricsQuery: a, semantics: PrometheusAdapter}\n";
    let export = export([("f", text)]);
    assert!(export.yaml.contains("seriesQuery"), "{}", export.yaml);
    assert!(export.findings.is_empty(), "{:?}", export.findings);
    let empty = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricRuleList\nitems: []\n";
    assert!(super::export([("f", empty)]).findings.is_empty());
}
