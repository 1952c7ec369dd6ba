use proptest::prelude::*;

use super::*;

const FILE: &str = r#"# ä
apiVersion: metricrule.dev/v1alpha1
kind: MetricRule
metadata: {name: a, namespace: shop}
spec:
  seriesQuery: 'http_requests_total{pod!=""}'
  seriesFilters: [{isNot: "^go_"}]
  resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: |
    sum by (<<.GroupBy>>) (
      rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
  limits: {maxSeries: 10}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: metricrule.dev/v1alpha1, kind: MetricBackend, metadata: {name: b}, spec: {type: Prometheus}}
"#;

fn checked(text: &str) -> Report {
    let file = SourceFile {
        name: "x".to_owned(),
        text: text.to_owned(),
    };
    check(&[file], &Options::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a file holds, each finding has a place in it, and every output can be made.
    #[test]
    fn no_text_panics(
        edits in prop::collection::vec((0..700_usize, 0..12_usize, "[-{}\\[\\]<>.:\"'|#& a-z0-9ä\n]{0,4}"), 1..4)
    ) {
        let mut text: Vec<char> = FILE.chars().collect();
        for (at, length, put) in edits {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let report = checked(&text);
        let lines: Vec<&str> = text.split('\n').collect();
        for found in &report.diagnostics {
            let line = lines.get(found.start.line as usize - 1);
            let width = line.map(|line| line.chars().count());
            prop_assert!(width.is_some_and(|width| found.start.column as usize <= width + 1), "{found:?}\n{text}");
            prop_assert!(found.end.is_none_or(|end| end.line == found.start.line && end > found.start), "{found:?}");
        }
        let files = [SourceFile { name: "x".to_owned(), text }];
        for output in [output::text, output::json, output::sarif, output::github] {
            output(&report, &files);
        }
    }
}

#[test]
fn findings_are_in_the_order_of_the_file() {
    let report = checked(
        &FILE
            .replace("seriesFilters", "seriesFilter")
            .replace(".Series>>", ".Serie>>"),
    );
    let found: Vec<(u32, &str)> = report
        .diagnostics
        .iter()
        .map(|found| (found.start.line, found.problem.reason.code()))
        .collect();
    // The backend lacks `prometheus` and is not the default one.
    assert_eq!(
        found,
        [
            (6, "BackendNotFound"),
            (7, "InvalidSpec"),
            (12, "InvalidTemplate"),
            (18, "InvalidSpec")
        ]
    );
    assert_eq!(report.summary(), "3 errors, 1 warning in 1 rule and 1 backend");
}

#[test]
fn fields_beside_the_spec_are_known_too() {
    let rule = FILE.split("---").next().unwrap();
    let text = rule
        .replace(
            "{name: a, namespace: shop}",
            "{name: a, namespace: shop, lables: {a: b}}",
        )
        .replace("kind: MetricRule\n", "kind: MetricRule\nspecs: {}\n");
    let found: Vec<String> = checked(&text)
        .diagnostics
        .iter()
        .map(|found| {
            let suggestion = found.problem.suggestion.as_deref().unwrap_or_default();
            format!("{} {}: {suggestion}", found.start, found.problem.message)
        })
        .collect();
    assert_eq!(
        found,
        [
            "4:1 unknown field \"specs\": write `spec`",
            "5:38 unknown field \"lables\": write `labels`"
        ]
    );
}

#[test]
fn a_namespace_of_a_cluster_metric_rule_made_it_confined() {
    let rule = FILE.split("---").next().unwrap();
    let text = rule
        .replace("kind: MetricRule", "kind: ClusterMetricRule")
        .replace("rate(<<.Series>>", "rate MAYBE (<<.Series>>");
    assert_eq!(checked(&text).count(Severity::Error), 0);
    // What is no PromQL cannot be confined.
    let confined = text.replace("ClusterMetricRule", "MetricRule");
    assert_eq!(checked(&confined).count(Severity::Error), 1);
}
