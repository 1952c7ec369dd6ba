//! Findings stand where their cause is written.

use super::*;

#[test]
fn what_is_not_loaded_is_refused_in_its_place() {
    let cases = [
        // YAML itself.
        ("rules:\n\t- a", "2:1 error Undecodable"),
        ("rules: [", "1:8 error Undecodable"),
        ("rules: []\nrules: []", "2:1 error Undecodable"),
        // Something else than a configuration.
        ("kubectl apply -f - <<EOF", "1:1 error Undecodable"),
        ("- seriesQuery: a", "1:1 error Undecodable"),
        // Keys.
        ("Rules:\n- seriesQuery: a", "1:1 error Undecodable"),
        ("rules: []\nexternalRule: []", "2:1 error Undecodable"),
        (
            "rules:\n- seriesQuery: a\n  metricQuery: b",
            "3:3 error Undecodable",
        ),
        (
            "rules:\n- name:\n    as: a\n    match: b",
            "4:5 error Undecodable",
        ),
        ("rules:\n- resources: {templates: x}", "2:15 error Undecodable"),
        (
            "rules:\n- resources: {overrides: {pod: {resource: pod, kind: Pod}}}",
            "2:48 error Undecodable",
        ),
        ("rules:\n- seriesFilters: [{not: a}]", "2:20 error Undecodable"),
        // Types.
        ("rules: {}", "1:8 error Undecodable"),
        ("rules: text", "1:8 error Undecodable"),
        ("rules:\n- text", "2:3 error Undecodable"),
        ("rules:\n- seriesQuery: [a]", "2:16 error Undecodable"),
        ("rules:\n- seriesQuery: {a: b}", "2:16 error Undecodable"),
        ("rules:\n- resources: pod", "2:14 error Undecodable"),
        (
            "rules:\n- resources: {namespaced: 'false'}",
            "2:27 error Undecodable",
        ),
        (
            "rules:\n- resources: {overrides: [pod]}",
            "2:26 error Undecodable",
        ),
        ("rules:\n- seriesFilters: {is: a}", "2:18 error Undecodable"),
        // Filters.
        (
            "rules:\n- seriesFilters: [{is: a, isNot: b}]",
            "2:19 error Undecodable",
        ),
        ("rules:\n- seriesFilters: [{is: ''}]", "2:19 error Undecodable"),
        // The rules of the chart's values.
        ("rules: {custom: text}", "1:17 error Undecodable"),
    ];
    for (text, want) in cases {
        let import = imported(text);
        assert!(
            notes(&import).contains(&want.to_owned()),
            "{text:?}: {:?}",
            import.notes
        );
        assert!(
            !import
                .objects
                .iter()
                .any(|object| object.kind().ends_with("Rule"))
                || text.contains("custom"),
            "{text:?}"
        );
    }
}

#[test]
fn what_a_reader_takes_is_taken() {
    for text in [
        "rules:\nexternalRules: null\nresourceRules: {}",
        "rules: []",
        "{\"rules\": []}",
        "rules:\n- seriesQuery: 12\n  name: {as: yes, matches: ~}\n  resources: {template: <<.Resource>>, namespaced: yes}\n  \
         seriesFilters:\n  metricsQuery: 1{<<.LabelMatchers>>}",
    ] {
        let import = imported(text);
        let refused: Vec<_> = import
            .notes
            .iter()
            .filter(|note| note.severity == Severity::Error)
            .collect();
        assert!(refused.is_empty(), "{text:?}: {refused:?}");
    }
}

/// Changes the good rule; the finding is in the file's own lines.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_an_author_should_know() {
    let with = |from: &str, to: &str| rule(&GOOD.replace(from, to));
    let more = |field: &str| rule(&format!("{GOOD}\n{field}"));
    let cases = [
        (rule(GOOD), vec![]),
        (
            with("a_total{pod!=\"\"}", "'{pod!=\"\"}'"),
            vec!["2:16 warning ReadsAllSeries"],
        ),
        (
            with("seriesQuery: a_total{pod!=\"\"}\n", ""),
            vec!["2:3 unsupported NeverWorked"],
        ),
        (
            with("\nresources: {template: <<.Resource>>}", ""),
            vec!["2:3 unsupported NeverWorked"],
        ),
        (
            with("\nmetricsQuery: a{<<.LabelMatchers>>}", ""),
            vec!["2:3 warning NeverWorked"],
        ),
        (
            with("a_total{pod!=\"\"}", "a_total{pod!=\"}"),
            vec!["2:29 unsupported InvalidQuery"],
        ),
        (
            with("{<<.LabelMatchers>>}", ""),
            vec!["4:17 warning MatchersIgnored"],
        ),
        (
            with("{<<.LabelMatchers>>}", "{<<.LabelMatchers>}"),
            vec!["4:35 unsupported InvalidTemplate"],
        ),
        (
            with("{template: <<.Resource>>}", "{template: <<.Group>>}"),
            vec!["3:25 unsupported InvalidTemplate"],
        ),
        (
            with(
                "{template: <<.Resource>>}",
                "{template: <<.Resource>>, namespaced: false}",
            ),
            vec!["3:52 warning Ineffective"],
        ),
        (
            with(
                "{template: <<.Resource>>}",
                "{overrides: {pod: {resource: pod}, p: {resource: pods}}}",
            ),
            vec!["3:27 warning DuplicateResource"],
        ),
        (
            with(
                "{template: <<.Resource>>}",
                "{overrides: {a: {resource: pod}, b: {resource: brand}}}",
            ),
            vec!["3:61 warning UnknownResource"],
        ),
        (
            with(
                "{template: <<.Resource>>}",
                "{overrides: {a: {resource: pod}, b: {resource: deployments.apps}}}",
            ),
            vec!["3:61 warning UnknownResource"],
        ),
        (
            with(
                "{template: <<.Resource>>}",
                "{overrides: {a: {resource: pod}, b-c: {resource: node}}}",
            ),
            vec!["3:47 warning UnknownResource"],
        ),
        (more("name: {matches: '(a'}"), vec!["5:20 error InvalidPattern"]),
        (
            more("name: {matches: '(a)(_)'}"),
            vec!["5:19 error InvalidPattern"],
        ),
        (more("name: {matches: ^b}"), vec!["5:19 warning NeverWorked"]),
        (
            more("name: {matches: ^(a)_, as: $1_x}"),
            vec!["5:30 warning Ineffective"],
        ),
        (
            more("seriesFilters: [{isNot: 'a**('}]"),
            vec!["5:29 error InvalidPattern"],
        ),
        (
            format!("{}resourceRules: {{cpu: {{}}}}\n", rule(GOOD)),
            vec!["5:1 unsupported Unsupported"],
        ),
        (rule(GOOD).replace("rules:", "externalRules:"), vec![]),
        (
            rule(GOOD)
                .replace("rules:", "externalRules:")
                .replace("{<<.LabelMatchers>>}", ""),
            vec!["4:17 warning MatchersIgnored"],
        ),
        (
            rule(&GOOD.replace("resources: {template: <<.Resource>>}\n", ""))
                .replace("rules:", "externalRules:"),
            vec!["2:3 warning NeverWorked"],
        ),
    ];
    let mut wrong = Vec::new();
    for (text, want) in cases {
        let options = Options {
            semantics: Semantics::PrometheusAdapter,
            ..Options::default()
        };
        let import = super::with(&text, &options);
        if notes(&import) != want {
            wrong.push(format!("{text}: {:?}, not {want:?}", notes(&import)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
