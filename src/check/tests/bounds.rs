//! Files that were small and cost much.

use super::*;

/// Rules with two faults each, as `kubectl get -o json | jq -c` prints a list.
fn one_line(rules: usize) -> String {
    let rule = |index: usize| {
        format!(
            r#"{{"apiVersion":"metricrule.dev/v1alpha1","kind":"MetricRule","metadata":{{"name":"r{index}","namespace":"a"}},"spec":{{"seriesQuery":"a{{pod!=\"\"}}","seriesFilter":[],"resources":{{"overrides":{{"pod":{{"resource":"pods"}}}}}},"metricsQuery":"sum(<<.Seriez>>)"}}}}"#
        )
    };
    let rules: Vec<String> = (0..rules).map(rule).collect();
    format!(
        r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#,
        rules.join(",")
    )
}

#[test]
fn a_long_line_is_not_printed_for_each_of_its_findings() {
    let files = [SourceFile {
        name: "x.json".to_owned(),
        text: one_line(200),
    }];
    let report = check(&files, &Options::default());
    assert_eq!(report.count(Severity::Error), 400);
    let text = output::text(&report, &files);
    assert!(text.len() < 400 * 700, "{} bytes", text.len());
    assert!(text.lines().all(|line| line.chars().count() < 300), "{text}");
    // The mark stands below its place.
    let lines: Vec<&str> = text.lines().collect();
    let mark = lines.iter().position(|line| line.ends_with(" ^^^^^^^")).unwrap();
    let column = lines[mark].find('^').unwrap();
    let shown: String = lines[mark - 1].chars().skip(column).take(7).collect();
    assert_eq!(shown, ".Seriez", "{}\n{}", lines[mark - 1], lines[mark]);
    let last = report.diagnostics.last().unwrap();
    let there: String = files[0]
        .text
        .chars()
        .skip(last.start.column as usize - 1)
        .take(7)
        .collect();
    assert_eq!(there, ".Seriez");
}

#[test]
fn findings_of_one_file_have_a_bound_and_all_are_counted() {
    let files = [SourceFile {
        name: "x.json".to_owned(),
        text: one_line(MAX_OF_FILE / 2 + 10),
    }];
    let report = check(&files, &Options::default());
    assert_eq!(report.count(Severity::Error), MAX_OF_FILE + 20);
    assert_eq!(report.diagnostics.len(), MAX_OF_FILE + 1);
    let last = report.diagnostics.last().unwrap();
    assert!(
        last.problem.message.starts_with("20 more findings in this file"),
        "{last:?}"
    );
    let json: serde_json::Value = serde_json::from_str(&output::json(&report, &files)).unwrap();
    assert_eq!(json["summary"]["errors"], MAX_OF_FILE + 20);
}

#[test]
fn a_long_name_is_not_repeated_by_each_finding_about_its_object() {
    let long = "n".repeat(100_000);
    let fields: String = (0..300)
        .map(|index| format!("  x{index}: 1\n"))
        .collect::<Vec<_>>()
        .concat();
    let text = format!(
        "apiVersion: metricrule.dev/v1alpha1\nkind: MetricRule\nmetadata: {{name: {long}, labels: {{? {long} : a b}}}}\nspec:\n{fields}  \
         metricsQuery: up\n"
    );
    let files = [SourceFile {
        name: "x.yaml".to_owned(),
        text,
    }];
    let report = check(&files, &Options::default());
    assert!(report.count(Severity::Error) > 300);
    for output in [output::text, output::json, output::sarif, output::github] {
        let out = output(&report, &files);
        assert!(out.len() < 310 * 4000, "{} bytes", out.len());
    }
}

#[test]
fn of_foreign_objects_nothing_is_kept() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 1}\n";
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Secret}}\n- {{{}}}\n",
        "apiVersion: v1, kind: Namespace, metadata: {name: n}"
    );
    let (mut found, mut said) = (Vec::new(), Vec::new());
    for text in [deployment, &list] {
        Document::parse_each(text, |document| {
            object::collect(0, &document, &mut found, &mut said);
        })
        .unwrap();
    }
    assert_eq!(said, []);
    let [namespace] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(
        namespace.node().get("kind").and_then(crate::document::Node::text),
        Some("Namespace")
    );
}

#[test]
fn objects_of_all_files_have_a_bound() {
    let labels: String = (0..500)
        .map(|index| format!("a{index}: b, "))
        .collect::<Vec<_>>()
        .concat();
    let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n, labels: {{{labels}}}}}\n");
    let file = |index: usize| SourceFile {
        name: format!("{index}.yaml"),
        text: text.clone(),
    };
    let report = check_within(1 << 20, (0..20).map(file), &Options::default());
    let errors = report
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error);
    let [refused] = &errors.collect::<Vec<_>>()[..] else {
        panic!("{report:?}")
    };
    assert!(
        refused.problem.message.contains("need more than 1 MiB"),
        "{refused:?}"
    );
    assert!((5..15).contains(&refused.file), "{}", refused.file);
    assert_eq!(
        check((0..20).map(file), &Options::default()).count(Severity::Error),
        0
    );
}

#[test]
fn a_file_that_cannot_be_read_is_in_every_output() {
    let files = [SourceFile {
        name: "gone.yaml".to_owned(),
        text: String::new(),
    }];
    let mut report = check([] as [SourceFile; 0], &Options::default());
    report.add_unread(0, "No such file or directory");
    assert_eq!(report.count(Severity::Error), 1);
    assert!(
        output::text(&report, &files)
            .starts_with("gone.yaml:1:1: error[Undecodable]: this file cannot be read: No such")
    );
    assert!(output::github(&report, &files).starts_with("::error file=gone.yaml,"));
    let json: serde_json::Value = serde_json::from_str(&output::json(&report, &files)).unwrap();
    assert_eq!(
        (
            &json["summary"]["errors"],
            &json["summary"]["files"],
            &json["summary"]["unread"]
        ),
        (&1.into(), &0.into(), &1.into())
    );
    assert_eq!(json["diagnostics"][0]["file"], "gone.yaml");
    let sarif: serde_json::Value = serde_json::from_str(&output::sarif(&report, &files)).unwrap();
    let run = &sarif["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    let place = &run["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "gone.yaml");
}
