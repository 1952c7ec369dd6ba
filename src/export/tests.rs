//! What comes back.

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
    // Of equal priorities the lower name wins here, and the later rule there.
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
    assert_eq!(exported(&[]).yaml, "rules: []\n");
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
