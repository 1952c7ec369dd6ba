//! Objects in lists.

use super::*;

#[test]
fn items_of_a_list_of_one_kind_were_passed_over_in_silence() {
    let item = |spec: &str| {
        format!(
            "- metadata: {{name: a}}\n  spec:\n    {}\n",
            spec.replace('\n', "\n    ")
        )
    };
    let list = |kind: &str, spec: &str| {
        format!(
            "apiVersion: metricrule.dev/v1alpha1\nkind: {kind}List\nmetadata: {{}}\nitems:\n{}",
            item(spec)
        )
    };
    let good = "seriesQuery: up{pod!=\"\"}\nresources: {overrides: {pod: {resource: pods}}}\nmetricsQuery: up{<<.LabelMatchers>>}";
    let broken = good.replace("<<.LabelMatchers>>", "<<.Nope>>");
    let backend = "type: Prometheus\nprometheus: {url: 'http://prometheus:9090'}";
    for (kind, spec, counts, reason) in [
        ("MetricRule", good, (1, 0), None),
        ("ClusterMetricRule", good, (1, 0), None),
        ("MetricBackend", backend, (0, 1), None),
        (
            "MetricRule",
            broken.as_str(),
            (1, 0),
            Some((Reason::InvalidTemplate, "MetricRule default/a", ".Nope")),
        ),
        (
            "ClusterMetricRule",
            &broken,
            (1, 0),
            Some((Reason::InvalidTemplate, "ClusterMetricRule a", ".Nope")),
        ),
        (
            "MetricBackend",
            &backend.replace("http:", "ftp:"),
            (0, 1),
            Some((Reason::InvalidSpec, "MetricBackend a", "'ftp:")),
        ),
    ] {
        let text = list(kind, spec);
        let report = checked(&text);
        assert_eq!((report.rules, report.backends), counts, "{text}");
        let found: Vec<_> = report
            .diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .collect();
        let Some((reason, object, at)) = reason else {
            assert!(found.is_empty(), "{text}{found:?}");
            continue;
        };
        let [found] = found[..] else {
            panic!("{text}{found:?}")
        };
        assert_eq!(
            (found.problem.reason, found.object.as_deref()),
            (reason, Some(object))
        );
        let line = text.split('\n').nth(found.start.line as usize - 1).unwrap();
        assert!(
            line[found.start.column as usize - 1..].starts_with(at),
            "{text}{found:?}"
        );
    }
}
