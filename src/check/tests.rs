mod bounds;
mod lists;

use proptest::prelude::*;

use super::*;
use language::terminal;

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

/// What a terminal or a runner would act on, and what hides.
const HOSTILE: &str = "[a-c:#\\[\\]/ \\x00-\\x1f\\x7f-\\x{9f}\\x{200b}\\x{202e}\\x{2028}\\x{feff}]{0,12}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Names, fields, values and the file's own name are others'.
    #[test]
    fn no_output_has_a_control_character_or_a_line_that_another_begins(
        file in HOSTILE,
        texts in prop::collection::vec(HOSTILE, 6),
        escaped in any::<bool>(),
    ) {
        let [name, label, field, query, kind, annotation] = &texts[..] else { panic!("six texts") };
        let mut object = serde_json::json!({
            "apiVersion": "metricrule.dev/v1alpha1",
            "kind": "MetricRule",
            "metadata": {"name": name, "namespace": kind, "labels": {label: name}, "annotations": {annotation: "x"}},
            "spec": {"metricsQuery": query, "seriesQuery": query, field: name,
                "resources": {"overrides": {label: {"resource": kind, field: 1}}}},
        });
        if escaped {
            object["kind"] = kind.as_str().into();
        }
        let json = object.to_string();
        // As it is written, and as YAML that holds the characters themselves.
        let raw = format!("apiVersion: metricrule.dev/v1alpha1\nkind: MetricRule\nmetadata: {{name: '{name}'}}\nspec:\n  '{field}': {query}\n");
        let twice = format!("{json}\n---\n{json}\n");
        for text in [json, twice, raw] {
            let files = [SourceFile { name: file.clone(), text }];
            let report = check(&files, &Options::default());
            for output in [output::text, output::json, output::sarif, output::github] {
                let out = output(&report, &files);
                let active = out.chars().find(|c| *c != '\n' && terminal::is_active(*c));
                prop_assert_eq!(active, None, "{}", out);
            }
            let text = output::text(&report, &files);
            prop_assert!(text.lines().all(|line| !line.trim_start().starts_with("::")), "{text}");
            prop_assert!(!text.contains("##["), "{text}");
            let github = output::github(&report, &files);
            prop_assert!(github.lines().all(|line| line.starts_with("::error file=") || line.starts_with("::warning file=")
                || line.starts_with("::notice file=")), "{github}");
        }
    }
}

#[test]
fn a_title_with_a_line_break_begins_no_workflow_command() {
    let text = GOOD.replace("name: a,", "name: \"a\\e[8m\\n::error title=fake::x\",");
    let files = [SourceFile {
        name: "nl\n::error::y/a.yaml".to_owned(),
        text,
    }];
    let out = output::text(&check(&files, &Options::default()), &files);
    assert!(out.starts_with("nl\\u{a}::error::y/a.yaml:3:"), "{out}");
    assert!(
        out.contains("= in MetricRule shop/a\\u{1b}[8m\\u{a}::error title=fake::x"),
        "{out}"
    );
}

#[test]
fn brackets_of_others_make_no_link_in_sarif() {
    let text = GOOD.replace("name: a,", "name: 'a [Fix it here](https://evil.example/x)',");
    let files = [SourceFile {
        name: "x.yaml".to_owned(),
        text,
    }];
    let sarif = output::sarif(&check(&files, &Options::default()), &files);
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    let message = sarif["runs"][0]["results"][0]["message"]["text"]
        .as_str()
        .unwrap();
    assert!(
        message.contains(r"\[Fix it here\](https://evil.example/x)"),
        "{message}"
    );
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

const GOOD: &str = r#"apiVersion: metricrule.dev/v1alpha1
kind: MetricRule
metadata: {name: a, namespace: shop}
spec:
  seriesQuery: http_requests_total{pod!=""}
  resources: {overrides: {pod: {resource: pods}}}
  metricsQuery: sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
"#;

/// What is found in the good rule with one text in it replaced: the reason, and the place as the rest of its line.
fn found_with(from: &str, to: &str) -> Vec<(&'static str, String)> {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replace(from, to);
    let there = |found: &Diagnostic| {
        let line = text.split('\n').nth(found.start.line as usize - 1).unwrap();
        line.chars().skip(found.start.column as usize - 1).collect()
    };
    let report = checked(&text);
    let found = report.diagnostics.iter();
    found
        .map(|found| (found.problem.reason.code(), there(found)))
        .collect()
}

#[test]
fn one_fault_is_one_finding() {
    for (from, to, reason, place) in [
        // A misspelling is not also a field that is missing.
        ("metricsQuery", "metricQuery", "InvalidSpec", "metricQuery: sum"),
        ("seriesQuery", "seriesQuerry", "InvalidSpec", "seriesQuerry: http"),
        ("overrides", "override", "InvalidSpec", "override: {pod"),
        ("spec:", "sepc:", "InvalidSpec", "sepc:"),
        ("{name: a,", "{nmae: a,", "InvalidSpec", "nmae: a,"),
        (
            "{resource: pods}",
            "{resurce: pods}",
            "InvalidSpec",
            "resurce: pods",
        ),
        ("metricsQuery", "query", "InvalidSpec", "query: sum"),
        ("metricsQuery", "expression", "InvalidSpec", "expression: sum"),
        ("seriesQuery", "series", "InvalidSpec", "series: http"),
        // Nor is what the schema refuses a finding of the compiler.
        ("http_requests_total{pod!=\"\"}", "''", "InvalidSpec", "''"),
        ("{resource: pods}", "{resource: pod_s}", "InvalidSpec", "pod_s}"),
        (
            "  seriesQuery",
            "  namespaceSelector: {}\n  seriesQuery",
            "InvalidSpec",
            "namespaceSelector",
        ),
        (
            "  seriesQuery",
            "  seriesFilters: [{match: a}]\n  seriesQuery",
            "InvalidSpec",
            "match: a",
        ),
        // A value that is not written is shown where its key is.
        (
            "  seriesQuery",
            "  window:\n  seriesQuery",
            "InvalidSpec",
            "window:",
        ),
    ] {
        let found = found_with(from, to);
        assert!(
            matches!(&found[..], [(is, there)] if *is == reason && there.starts_with(place)),
            "{to}: {found:?}"
        );
    }
}

#[test]
fn metadata_is_judged_as_the_api_server_does() {
    for (metadata, reason, place) in [
        ("name: 12", "Undecodable", "12"),
        ("name: y", "Undecodable", "y"),
        ("name: A_b", "InvalidSpec", "A_b"),
        ("name: a, namespace: Shop", "InvalidSpec", "Shop"),
        ("name: a, namespace: a.b", "InvalidSpec", "a.b"),
        ("name: a, labels: {a: true}", "Undecodable", "true"),
        ("name: a, labels: {a: x y}", "InvalidSpec", "x y"),
        ("name: a, labels: {a b: x}", "InvalidSpec", "a b: x"),
        ("name: a, labels: {a: b, c: }", "Undecodable", "c: }"),
        ("name: a, labels: [a]", "Undecodable", "[a]"),
        ("name: a, annotations: {a: 1}", "Undecodable", "1}"),
        ("name: a, annotations: {a/b/c: x}", "InvalidSpec", "a/b/c"),
        ("namespace: a", "InvalidSpec", "{namespace: a"),
    ] {
        let found = found_with("name: a, namespace: shop", metadata);
        assert!(
            matches!(&found[..], [(is, there)] if *is == reason && there.starts_with(place)),
            "{metadata}: {found:?}"
        );
    }
    for metadata in [
        "generateName: a-",
        "name: a.b, creationTimestamp: null, labels: null",
        "name: a, labels: {app.kubernetes.io/name: A_b.c, b: ''}, annotations: {Example.com/A: 'x y'}",
    ] {
        let found = found_with("name: a, namespace: shop", metadata);
        assert!(found.is_empty(), "{metadata}: {found:?}");
    }
    let generated = GOOD.replace("name: a, namespace: shop", "generateName: a-");
    let report = checked(&format!("{generated}---\n{generated}"));
    assert_eq!(
        report.diagnostics,
        [],
        "objects without a name are not of the same name"
    );
}

#[test]
fn a_broken_backend_is_no_fault_of_its_rules() {
    let backend = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricBackend\nmetadata: {name: b}\nspec: {type: Prometheus, \
                   prometheus: {url: 12}}\n---\n";
    let named = GOOD.replace("spec:\n", "spec:\n  backendRef: {name: b}\n");
    for rule in [GOOD, &named] {
        let report = checked(&format!("{backend}{rule}"));
        let found: Vec<&str> = report
            .diagnostics
            .iter()
            .map(|found| found.problem.reason.code())
            .collect();
        assert_eq!(found, ["Undecodable"], "{rule}");
    }
}

#[test]
fn a_duration_of_a_backend_is_refused_once() {
    let text = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricBackend\nmetadata: {name: b}\nspec:\n  type: Prometheus\n  \
                prometheus: {url: 'http://x', timeout: 8x}\n";
    let found: Vec<String> = checked(text)
        .diagnostics
        .iter()
        .map(|found| format!("{} {}", found.start, found.problem.reason))
        .collect();
    assert_eq!(found, ["6:42 InvalidSpec"]);
}

#[test]
fn a_label_of_a_backend_is_refused_once() {
    let text = "apiVersion: metricrule.dev/v1alpha1\nkind: MetricBackend\nmetadata: {name: b}\nspec:\n  type: Prometheus\n  \
                prometheus: {url: 'http://x'}\n  labels: {namespaces: [a, a-b]}\n";
    let found: Vec<String> = checked(text)
        .diagnostics
        .iter()
        .map(|found| format!("{} {}", found.start, found.problem.reason))
        .collect();
    assert_eq!(found, ["7:28 InvalidSpec"]);
}

#[test]
fn what_helm_has_not_rendered_is_told() {
    let query = "sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))";
    let report = checked(&GOOD.replace(query, "{{ .Values.query }}"));
    let [found] = &report.diagnostics[..] else {
        panic!("{report:?}");
    };
    assert_eq!(found.start.to_string(), "7:17");
    assert!(
        found.problem.text().contains("helm template"),
        "{}",
        found.problem.text()
    );
}

#[test]
fn a_tab_in_an_indentation_is_where_it_stands() {
    let found = found_with("  metricsQuery", "\tmetricsQuery");
    assert!(
        matches!(&found[..], [("Undecodable", there)] if there.starts_with("\tmetricsQuery")),
        "{found:?}"
    );
}

#[test]
fn places_in_patterns_and_selectors_are_exact() {
    for (from, to, reason, place) in [
        (
            "http_requests_total{pod!=\"\"}",
            "'a{b=\"c\"}[5m]'",
            "InvalidQuery",
            "[5m]",
        ),
        (
            "http_requests_total{pod!=\"\"}",
            "'a{b=\"c\"} offset 5m'",
            "InvalidQuery",
            "offset",
        ),
        (
            "http_requests_total{pod!=\"\"}",
            "'a{b=\"c\"} + 1'",
            "InvalidQuery",
            "+ 1",
        ),
        ("http_requests_total{pod!=\"\"}", "'{}'", "MatchAll", "'{}'"),
        (
            "http_requests_total{pod!=\"\"}",
            "'{pod!=\"a\"}'",
            "MatchAll",
            "'{pod",
        ),
        (
            "  metricsQuery",
            "  name: {matches: 'it''s a(b', as: x}\n  metricsQuery",
            "InvalidPattern",
            "(b'",
        ),
        (
            "  metricsQuery",
            "  name: {matches: \"a\\x5Cq\", as: x}\n  metricsQuery",
            "InvalidPattern",
            "\\x5Cq",
        ),
        (
            "  metricsQuery",
            "  name: {matches: ^(.*)_total, as: x$1_y}\n  metricsQuery",
            "Ineffective",
            "$1_y",
        ),
        (
            "<<.LabelMatchers>>}",
            "<<.LabelMatchers>>,a=~\"(\"}",
            "InvalidQuery",
            "\"(\"}",
        ),
        ("[2m]))", "[2m])) <<.Series>>", "InvalidQuery", "<<.Series>>"),
    ] {
        let found = found_with(from, to);
        assert!(
            matches!(&found[..], [(is, there)] if *is == reason && there.starts_with(place)),
            "{to}: {found:?}"
        );
    }
}
