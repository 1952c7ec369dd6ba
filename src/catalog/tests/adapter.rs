//! Listings with `semantics: PrometheusAdapter`: `SetSeries` of `pkg/custom-provider/series_registry.go` and
//! `ResourcesForSeries` of `pkg/naming/resource_converter.go`.

use super::*;

/// `kind/metric`, whether it is listed as namespaced, the label that queries use.
fn listed(resources: &str, lines: &[&str]) -> Vec<String> {
    let spec = spec(&format!(
        "resources: {resources}\nsemantics: PrometheusAdapter\nlimits: {{allowMatchAll: true}}"
    ));
    let catalog = catalog(&[("all", spec, series(lines))]);
    let mut found = Vec::new();
    for (info, metrics) in catalog.custom_metrics() {
        for metric in metrics {
            let served = catalog.custom(&info.group_resource, metric, None).unwrap();
            let Subject::Object { label, .. } = &served.metric.subject else {
                panic!("{:?}", served.metric);
            };
            let namespaced = catalog.is_namespaced(&info.group_resource, metric);
            found.push(format!("{}/{metric} {namespaced} {label}", info.group_resource));
        }
    }
    found
}

const LINE: &str = r#"a_total{pod="p",node="n",Namespace="s",services="x",job="j",instance="i"}"#;

#[test]
fn the_template_is_read_backwards() {
    for (template, line, want) in [
        // In any case, singular or plural, whether the series has a namespace or not.
        (
            "<<.Resource>>",
            LINE,
            &[
                "namespaces/a_per_second false namespace",
                "nodes/a_per_second false node",
                "pods/a_per_second true pod",
                "services/a_per_second true service",
            ][..],
        ),
        ("k_<<.Resource>>", LINE, &[]),
        (
            "k_<<.Resource>>",
            r#"a_total{k_pod="p"}"#,
            &["pods/a_per_second true k_pod"],
        ),
        (
            "<<.Group>>_<<.Resource>>",
            r#"a_total{apps_deployment="d",_pod="p"}"#,
            &["deployments.apps/a_per_second true apps_deployment"],
        ),
        // A group in full has underscores, and is read at the first of them; its beginning is enough.
        (
            "kube_<<.Group>>_<<.Resource>>",
            r#"a_total{kube_networking_k8s_io_ingress="i"}"#,
            &[],
        ),
        (
            "kube_<<.Group>>_<<.Resource>>",
            r#"a_total{kube_networking_ingress="i"}"#,
            &["ingresses.networking.k8s.io/a_per_second true kube_networking_k8s_io_ingress"],
        ),
    ] {
        assert_eq!(
            listed(&format!("{{template: '{template}'}}"), &[line]),
            want,
            "{template} {line}"
        );
    }
}

#[test]
fn an_override_decides_the_label_of_queries() {
    let resources = "{template: <<.Resource>>, overrides: {k_pod: {resource: Pod}, exported: {group: app, resource: deployment}}}";
    assert_eq!(
        listed(
            resources,
            &[r#"a_total{pod="p"}"#, r#"b_total{k_pod="p",exported="d"}"#]
        ),
        [
            "pods/a_per_second true k_pod",
            "pods/b_per_second true k_pod",
            "deployments.apps/b_per_second true exported",
        ]
    );
}

#[test]
fn two_labels_of_one_kind_are_a_warning_and_the_first_is_asked() {
    let resources = "{overrides: {b: {resource: pods}, a: {resource: pod}}}";
    assert_eq!(
        listed(resources, &[r#"x_total{b="p"}"#]),
        ["pods/x_per_second true a"]
    );
    let spec = spec(&format!("resources: {resources}\nsemantics: PrometheusAdapter"));
    let catalog = catalog(&[("all", spec, SeriesSet::default())]);
    let rule = &catalog.table.rules[0];
    assert_eq!(rule.refusals, []);
    let reasons: Vec<Reason> = rule.warnings.iter().map(|warning| warning.reason).collect();
    assert_eq!(reasons, [Reason::DuplicateResource]);
}

#[test]
fn of_two_series_the_last_makes_the_metric() {
    let spec = spec("name: {matches: .*, as: m}\nsemantics: PrometheusAdapter");
    let lines = [r#"http_a{pod="p"}"#, r#"http_b{pod="p"}"#];
    let catalog = catalog(&[("all", spec, series(&lines))]);
    let served = catalog.custom(&GroupResource::pods(), "m", Some("shop")).unwrap();
    assert_eq!(&*served.metric.series, "http_b");
}

#[test]
fn external_metrics_need_no_kinds() {
    let spec = "api: External\nseriesQuery: '{__name__=~\"^q_.*\"}'\nseriesFilters: [{isNot: _max$}]\nname: {matches: ^q_(.*)$}\n\
                semantics: PrometheusAdapter\nmetricsQuery: <<.Series>>{<<.LabelMatchers>>}";
    let lines = ["q_length{}", "q_max{}", r#"q_age{namespace="shop"}"#];
    let catalog = catalog(&[("all", spec.to_owned(), series(&lines))]);
    assert_eq!(names(&catalog), ["age", "length"]);
}
