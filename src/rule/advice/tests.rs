use super::*;
use crate::rule::testing::compiled;

const PODS: &str = "seriesQuery: http_requests_total{pod!=\"\"}\n\
                    resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}\n";

/// `Reason line:column suggestion` of each piece of advice on a `ClusterMetricRule`.
fn advice_on(spec: &str) -> Vec<String> {
    let (_, rule) = compiled("rule", spec);
    assert_eq!(rule.refusals, [], "{spec}");
    let warnings = rule.warnings.iter().map(|problem| {
        let place = problem
            .position
            .map_or_else(|| "-".to_owned(), |position| position.to_string());
        format!(
            "{} {place} {}",
            problem.reason,
            problem.suggestion.as_deref().unwrap_or_default()
        )
    });
    warnings.collect()
}

fn on_query(query: &str) -> Vec<String> {
    advice_on(&format!("{PODS}metricsQuery: {query:?}"))
}

#[test]
fn queries_that_are_fine() {
    for query in [
        "sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))",
        "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)",
        "sum(rate(<<.Series>>{<<.LabelMatchers>>,container!=\"POD\"}[1m])) by (<<.GroupBy>>)",
        "rate(<<.Series>>{<<.LabelMatchers>>}[2m])",
        "max_over_time(queue_length{<<.LabelMatchers>>}[30s])",
        "sum by (pod) (queue_length{pod=~\"<<index .LabelValuesByName \"pod\">>\"})",
        "histogram_quantile(0.9, sum by (le, <<.GroupBy>>) (rate(x_seconds_bucket{<<.LabelMatchers>>}[5m])))",
        "sum by (<<.GroupBy>>) (a_started_total{<<.LabelMatchers>>} - a_finished_total{<<.LabelMatchers>>})",
        "count by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        "sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m])) or sum by (<<.GroupBy>>) \
         (0 * <<.Series>>{<<.LabelMatchers>>})",
        "sum by (<<.GroupBy>>) (a{<<.LabelMatchers>>}) / on (<<.GroupBy>>) group_left kube_pod_info",
        "sum by (<<.GroupBy>>) (memory_used{<<.LabelMatchers>>} / memory_total{<<.LabelMatchers>>})",
        "sum by (<<.GroupBy>>) (kafka_consumergroup_lag_sum{<<.LabelMatchers>>}) or vector(0)",
        "sum by (<<range .GroupBySlice>><<.>><<end>>) (queue{<<.LabelMatchers>>})",
        "<<if .LabelMatchers>>queue{<<.LabelMatchers>>}<<else>>queue<<end>>",
    ] {
        assert_eq!(on_query(query), Vec::<String>::new(), "{query}");
    }
}

#[test]
fn queries_that_are_not() {
    for (query, expected) in [
        (
            "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            vec!["CounterWithoutRate 1:24 write `rate(<<.Series>>{<<.LabelMatchers>>}[2m])`"],
        ),
        (
            "sum by (<<.GroupBy>>) (max_over_time(b_total{<<.LabelMatchers>>}[5m]))",
            vec![
                "CounterWithoutRate 1:24 use the rate first: `max_over_time(rate(b_total{<<.LabelMatchers>>}[2m])[1h:])`",
            ],
        ),
        (
            "delta(b_total{<<.LabelMatchers>>}[5m])",
            vec!["CounterWithoutRate 1:1 write `increase` instead of `delta`"],
        ),
        (
            "rate(up{<<.LabelMatchers>>}[5m])",
            vec!["RateOfGauge 1:1 write `up{<<.LabelMatchers>>}`, or `deriv` instead of `rate`"],
        ),
        (
            "sum by (<<.GroupBy>>) (\n  rate(<<.Series>>{<<.LabelMatchers>>}[45s]))",
            vec!["ShortRange 2:39 write `[2m]`"],
        ),
        (
            "avg_over_time(queue{<<.LabelMatchers>>}[10s])",
            vec!["ShortRange 1:40 write `[1m]`"],
        ),
        (
            "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m]))",
            vec!["GroupByLost 1:1 write `sum by (<<.GroupBy>>)`"],
        ),
        (
            "sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (job)",
            vec!["GroupByLost 1:48 write `by (job, <<.GroupBy>>)`"],
        ),
        (
            "sum without (pod, job) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))",
            vec!["GroupByLost 1:5 write `without (job)`"],
        ),
        (
            "vector(1)",
            vec!["GroupByLost 1:1 use a function that keeps the label, such as `sum by (<<.GroupBy>>) (…)`"],
        ),
        (
            "sum by (<<.GroupBy>>) (queue{job=\"a\"})",
            vec!["MatchersIgnored 1:24 write `queue{job=\"a\",<<.LabelMatchers>>}`"],
        ),
        (
            "sum by (<<.GroupBy>>) (queue)",
            vec!["MatchersIgnored 1:24 write `queue{<<.LabelMatchers>>}`"],
        ),
    ] {
        assert_eq!(on_query(query), expected, "{query}");
    }
}

#[test]
fn a_pattern_can_tell_a_counter() {
    let spec = "seriesQuery: '{namespace!=\"\",pod!=\"\",__name__=~\"^container_.*\"}'\n\
                seriesFilters: [{is: \"_total$\"}]\n\
                resources: {template: <<.Resource>>}\n\
                metricsQuery: sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})";
    assert_eq!(
        advice_on(spec),
        ["CounterWithoutRate 1:24 write `rate(<<.Series>>{<<.LabelMatchers>>}[2m])`"]
    );
    assert_eq!(advice_on(&spec.replace("is:", "isNot:")), Vec::<String>::new());
}

#[test]
fn a_label_that_the_template_maps_is_kept() {
    let spec = |by: &str| {
        format!(
            "seriesQuery: queue{{pod!=\"\"}}\nresources: {{template: kube_<<.Resource>>}}\n\
             metricsQuery: max by ({by}) (<<.Series>>{{<<.LabelMatchers>>}})"
        )
    };
    assert_eq!(advice_on(&spec("kube_pod")), Vec::<String>::new());
    assert_eq!(
        advice_on(&spec("pod")),
        ["GroupByLost 1:5 write `by (pod, <<.GroupBy>>)`"]
    );
}

#[test]
fn reading_everything_has_its_price() {
    let spec = "seriesQuery: '{pod!=\"\"}'\nlimits: {allowMatchAll: true}\n\
                resources: {overrides: {pod: {resource: pods}}}\n\
                metricsQuery: sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})";
    let found = advice_on(spec);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("ReadsAllSeries - add a name"), "{found:?}");
}

#[test]
fn an_external_rule_has_no_objects_to_lose() {
    let spec = "api: External\nname: {as: x}\nmetricsQuery: sum(queue)";
    assert_eq!(advice_on(spec), Vec::<String>::new());
}

#[test]
fn durations_print_as_promql() {
    for (millis, text) in [
        (30_000, "30s"),
        (120_000, "2m"),
        (90_500, "1m30s500ms"),
        (0, "0s"),
    ] {
        assert_eq!(duration(Duration::from_millis(millis)), text);
    }
}
