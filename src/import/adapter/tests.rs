//! Findings about configurations, and their places.

mod backends;
mod places;
mod sources;

use super::*;
use crate::import::Object;

fn imported(text: &str) -> Import {
    with(text, &Options::default())
}

fn with(text: &str, options: &Options) -> Import {
    let file = SourceFile {
        name: "f".to_owned(),
        text: text.to_owned(),
    };
    import(&[file], options)
}

/// `12:3 warning MatchAll`, without what became of things.
fn notes(import: &Import) -> Vec<String> {
    let said = import.notes.iter().filter(|note| note.severity != Severity::Info);
    said.map(|note| {
        let place = note.place.position.map(|it| it.to_string()).unwrap_or_default();
        format!("{place} {} {}", note.severity, note.reason)
    })
    .collect()
}

fn names(import: &Import) -> Vec<String> {
    import
        .objects
        .iter()
        .map(|object| format!("{} {}", object.kind(), object.name()))
        .collect()
}

fn rule(fields: &str) -> String {
    format!("rules:\n- {}\n", fields.replace('\n', "\n  "))
}

/// A rule without fault.
const GOOD: &str = "seriesQuery: a_total{pod!=\"\"}\nresources: {template: <<.Resource>>}\nmetricsQuery: a{<<.LabelMatchers>>}";

#[test]
fn names_follow_the_metric() {
    let cases = [
        ("seriesQuery: http_requests_total", "http-requests-total"),
        ("seriesQuery: '{__name__=\"a.b\",pod!=\"\"}'", "a-b"),
        (
            "seriesQuery: a_total\nname: {matches: ^(.*)_total$, as: '${1}_per_second'}",
            "a-per-second",
        ),
        ("seriesQuery: a_total\nname: {matches: ^(.*)_total$}", "a"),
        ("seriesQuery: a_total\nname: {matches: ^b, as: $0}", "a-total"),
        (
            "seriesQuery: '{pod=\"x\"}'\nname: {as: The.Queue|Depth}",
            "the-queue-depth",
        ),
        (
            "seriesQuery: '{__name__=~\"^container_.*\"}'\nname: {matches: ^container_(.*)_total$}",
            "container-total",
        ),
        (
            "seriesQuery: '{__name__=~\"^seldon_.*\"}'\nname: {as: '${1}_rps'}",
            "seldon-rps",
        ),
        (
            "seriesQuery: '{namespace!=\"\"}'\nname: {matches: (.*)_total}",
            "all-total",
        ),
        ("seriesQuery: '{namespace!=\"\"}'", "metrics-"),
        ("seriesQuery: '{job=\"a\"}'\nname: {as: 日本}", "metrics-"),
    ];
    for (fields, want) in cases {
        let import = imported(&rule(&format!(
            "{fields}\nresources: {{template: <<.Resource>>}}\nmetricsQuery: a{{<<.LabelMatchers>>}}"
        )));
        let name = import
            .objects
            .first()
            .map(|object| object.name().to_owned())
            .unwrap_or_default();
        let same = if want.ends_with('-') {
            name.starts_with(want) && name.len() == want.len() + 6
        } else {
            name == want
        };
        assert!(same, "{fields}: {name:?}, not {want:?}: {:?}", import.notes);
    }
}

#[test]
fn rules_of_one_metric_differ_by_what_they_select() {
    let other = GOOD.replace("a_total{pod", "a_total{node");
    let text = format!(
        "{}{}{}",
        rule(GOOD),
        rule(&other).replace("rules:\n", ""),
        rule(GOOD).replace("rules:\n", "")
    );
    let import = imported(&text);
    let names = names(&import);
    assert_eq!(names[0], "ClusterMetricRule a-total");
    assert!(
        names[1].starts_with("ClusterMetricRule a-total-")
            && names[2].starts_with("ClusterMetricRule a-total-"),
        "{names:?}"
    );
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    // In front of them stands another one: the second keeps its name.
    let alone = imported(&format!("{}{}", rule(GOOD), rule(&other).replace("rules:\n", "")));
    assert_eq!(alone.objects[1].name(), import.objects[1].name());
}

#[test]
fn the_spec_is_the_rule() {
    let text = "rules:\n- seriesQuery: '{namespace!=\"\"}'\n  seriesFilters: [{isNot: ^go_}]\n  resources: {template: <<.Resource>>}\n  \
                metricsQuery: |\n    sum(a) # all\nexternalRules:\n- seriesQuery: q\n  resources: {namespaced: false}\n  metricsQuery: q\n";
    let options = Options {
        semantics: Semantics::PrometheusAdapter,
        refresh: Some("0s".to_owned()),
        split: false,
    };
    let import = with(text, &options);
    let specs: Vec<_> = import
        .objects
        .iter()
        .map(|object| object.json()["spec"].clone())
        .collect();
    assert_eq!(
        specs[0],
        serde_json::json!({
            "api": "Custom",
            "seriesQuery": "{namespace!=\"\"}",
            "seriesFilters": [{"isNot": "^go_"}],
            "resources": {"template": "<<.Resource>>"},
            "metricsQuery": "sum(a) # all\n",
            "limits": {"maxSeries": 0, "maxMetrics": 0, "maxSamples": 0, "allowMatchAll": true},
            "priority": 10,
            "refresh": "0s",
            "semantics": "PrometheusAdapter",
        })
    );
    assert_eq!(specs[1]["namespaceSelector"], serde_json::json!({}));
    assert_eq!(specs[1]["resources"], serde_json::json!({"namespaced": false}));
    assert_eq!(specs[1]["limits"]["allowMatchAll"], false);
}

#[test]
fn rules_of_one_namespace_are_split_off() {
    let options = Options {
        split: true,
        refresh: Some("0s".to_owned()),
        ..Options::default()
    };
    let mapped = "resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}\n";
    let query = "metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)";
    let cases = [
        (
            format!("seriesQuery: q{{namespace=\"shop\"}}\n{mapped}{query}"),
            "MetricRule q",
        ),
        (
            format!("seriesQuery: q\n{mapped}metricsQuery: sum(q{{namespace=\"shop\"}})"),
            "MetricRule q",
        ),
        (
            format!(
                "seriesQuery: q\n{mapped}metricsQuery: sum(q{{namespace=\"shop\"}}) / sum(r{{namespace=\"till\"}})"
            ),
            "ClusterMetricRule q",
        ),
        (
            format!("seriesQuery: q\n{mapped}metricsQuery: sum(q{{kube_namespace=\"shop\"}})"),
            "ClusterMetricRule q",
        ),
        (
            format!("seriesQuery: q{{namespace=\"shop\"}}\n{mapped}metricsQuery: no PromQL"),
            "ClusterMetricRule q",
        ),
        (
            format!(
                "seriesQuery: q{{namespace=\"shop\"}}\nresources: {{overrides: {{namespace: {{resource: namespace}}, n: {{resource: node}}}}}}\n{query}"
            ),
            "ClusterMetricRule q",
        ),
        (
            format!("seriesQuery: q{{namespace=~\"shop\"}}\n{mapped}{query}"),
            "ClusterMetricRule q",
        ),
    ];
    for (fields, want) in cases {
        let import = with(&rule(&fields), &options);
        assert_eq!(names(&import), [want], "{fields}: {:?}", import.notes);
        if let [Object::MetricRule(rule)] = import.objects.as_slice() {
            assert_eq!(rule.metadata.namespace.as_deref(), Some("shop"));
            assert_eq!((&rule.spec.0.limits, &rule.spec.0.refresh), (&None, &None));
        }
    }
}

#[test]
fn a_rule_that_is_split_off_says_what_it_ignores() {
    let text = rule(
        "seriesQuery: q{namespace=\"shop\"}\nresources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}\nmetricsQuery: sum(q)",
    );
    let options = Options {
        split: true,
        ..Options::default()
    };
    let split = with(&text, &options);
    assert_eq!(names(&split), ["MetricRule q"]);
    assert_eq!(notes(&split), notes(&imported(&text)));
    assert_eq!(
        notes(&split),
        ["4:17 warning GroupByLost", "4:21 warning MatchersIgnored"]
    );
}

#[test]
fn a_query_that_never_renders_is_kept_as_none() {
    for (query, column) in [
        ("sum(<<.Seris>>)", 24),
        ("<<.Series.Name>>", 27),
        ("<<index .GroupBySlice \"a\">>", 40),
    ] {
        let import = imported(&rule(
            &GOOD.replace("a{<<.LabelMatchers>>}", &format!("'{query}'")),
        ));
        let [object] = import.objects.as_slice() else {
            panic!("{query}: {:?}", import.notes)
        };
        let json = object.json();
        assert_eq!(json["spec"]["metricsQuery"], crate::api::ADAPTER_NO_QUERY);
        let left = &json["metadata"]["annotations"][crate::api::ADAPTER_FIELDS_ANNOTATION];
        assert!(left.as_str().unwrap().contains("metricsQuery"), "{query}: {left}");
        assert_eq!(
            notes(&import),
            [format!("4:{column} warning NeverWorked")],
            "{query}"
        );
    }
    let import = imported(&rule(&GOOD.replace("a{<<.LabelMatchers>>}", "<<.Series")));
    assert!(import.objects.is_empty(), "Go does not parse it");
}

#[test]
fn what_is_merged_keeps_the_fields_that_are_not_named_again() {
    let base = "rules:\n- &base\n  seriesQuery: a_total{pod!=\"\"}\n  resources: {template: <<.Resource>>}\n  \
                name: {matches: ^(.*)_total$, as: $1}\n  metricsQuery: a{<<.LabelMatchers>>}\n";
    let import = imported(&format!(
        "{base}- <<: *base\n  name: {{as: b}}\n  resources: {{overrides: {{p: {{resource: pod}}}}}}\n"
    ));
    let spec = &import.objects[1].json()["spec"];
    assert_eq!(
        spec["name"],
        serde_json::json!({"matches": "^(.*)_total$", "as": "b"})
    );
    assert_eq!(spec["resources"]["template"], "<<.Resource>>");
    let twice = base.replace("{template: <<.Resource>>}", "{overrides: {p: {resource: pod}}}");
    let import = imported(&format!(
        "{twice}- <<: *base\n  resources: {{overrides: {{p: {{resource: node}}}}}}\n"
    ));
    assert_eq!(notes(&import), ["8:27 error Undecodable"]);
}

#[test]
fn only_the_first_document_of_a_configuration_counts() {
    let one = rule(GOOD);
    for rest in [one.as_str(), "["] {
        let import = imported(&format!("{one}---\n{rest}"));
        assert_eq!(import.objects.len(), 1, "{rest}");
        assert_eq!(notes(&import)[0], "6:1 warning Ineffective", "{rest}");
    }
}
