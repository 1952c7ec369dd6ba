//! Queries of requests, and replies of rows.

mod adapter;
mod bounds;
mod resolution;
mod sums;
mod verdicts;

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use jiff::Timestamp;
use language::selector::Selector;

use super::{
    plan::{plan_custom, plan_external},
    request::{self, CustomVersion, MetricRequest, ObjectName},
    *,
};
use crate::{
    api::rule_spec::MetricsApi,
    catalog::{Catalog, Entry, Listing, Served, derive},
    reason::Reason,
    resource::GroupResource,
    rule::testing::{REQUESTS, compiled, labels, series},
    sample::{InstantVector, Sample, SeriesGroup},
};

const EXTERNAL: &str = "api: External\nseriesQuery: queue_length{queue!=\"\"}\nmetricsQuery: sum by (queue) (<<.Series>>{<<.LabelMatchers>>})";

fn at() -> Timestamp {
    "2026-01-02T02:04:05Z".parse().unwrap()
}

/// The rule's metric, from one series of each of its names.
fn served(at: &str, spec: &str) -> Served {
    let (table, rule) = compiled(at, spec);
    assert_eq!(rule.refusals, []);
    let table = Arc::new(table);
    let set = series(&[
        r#"http_requests_total{namespace="shop",pod="a",node="n",exported_namespace="shop"}"#,
        r#"queue_length{namespace="shop",queue="q"}"#,
    ]);
    let metrics = Arc::new(derive(
        &rule,
        &set.groups()
            .flat_map(SeriesGroup::examples)
            .filter(|labels| rule.api == MetricsApi::External || labels.name() == Some("http_requests_total"))
            .cloned()
            .collect(),
        &table.resources,
    ));
    let catalog = Catalog::build(
        table.clone(),
        [Entry {
            metrics: metrics.clone(),
            listing: Listing::Current,
        }],
    );
    let served = match rule.api {
        MetricsApi::Custom => {
            catalog.custom(&GroupResource::pods(), "http_requests_per_second", Some("shop"))
        }
        MetricsApi::External => catalog.external("queue_length", "shop"),
    };
    served.unwrap().clone()
}

fn route(object: ObjectName, metric_selector: &str) -> request::Custom {
    request::Custom {
        version: CustomVersion::V1beta2,
        namespace: Some("shop".to_owned()),
        resource: GroupResource::pods(),
        object,
        metric: "http_requests_per_second".to_owned(),
        label_selector: Selector::default(),
        metric_selector: Selector::parse(metric_selector).unwrap(),
    }
}

fn plan(at: &str, spec: &str, names: &[&str], selector: &str) -> Result<Plan, Failure> {
    let object = match names {
        [one] => ObjectName::Named((*one).to_owned()),
        _ => ObjectName::All,
    };
    plan_custom(
        &served(at, spec),
        &route(object, selector),
        &names.iter().map(ToString::to_string).collect::<Vec<_>>(),
    )
}

fn promql(plan: &Plan) -> &str {
    &plan.ask.as_ref().unwrap().promql
}

fn rows(rows: &[(&str, f64)]) -> InstantVector {
    let samples = rows.iter().map(|(line, value)| Sample {
        labels: labels(line),
        value: *value,
        timestamp: at(),
    });
    InstantVector {
        samples: samples.collect(),
        ..InstantVector::default()
    }
}

/// Items with the counts and warnings beside them.
#[derive(Debug)]
struct Projected<Item> {
    items: Vec<Item>,
    window: Option<Duration>,
    tally: Tally,
    warnings: Vec<String>,
}

/// A failure with the counts beside it.
#[derive(Debug)]
struct Failed {
    failure: Failure,
    tally: Tally,
}

impl Deref for Failed {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

fn projected<Item>(
    plan: &Plan,
    rows: &InstantVector,
    at: Timestamp,
    of: impl FnOnce(Items) -> Result<Vec<Item>, Failure>,
) -> Result<Projected<Item>, Failed> {
    let projection = project(plan, rows, at);
    let tally = projection.tally();
    match projection.items.and_then(of) {
        Ok(items) => Ok(Projected {
            items,
            window: plan.served.rule.window,
            tally,
            warnings: projection.warnings,
        }),
        Err(failure) => Err(Failed { failure, tally }),
    }
}

fn project_custom(plan: &Plan, rows: &InstantVector, at: Timestamp) -> Result<Projected<CustomItem>, Failed> {
    projected(plan, rows, at, Items::custom)
}

fn project_external(
    plan: &Plan,
    rows: &InstantVector,
    at: Timestamp,
) -> Result<Projected<ExternalItem>, Failed> {
    projected(plan, rows, at, Items::external)
}

fn values(answer: &Projected<CustomItem>) -> Vec<(String, String)> {
    answer
        .items
        .iter()
        .map(|item| (item.name.to_string(), item.value.to_string()))
        .collect()
}

#[test]
fn matchers_stand_in_their_order_selector_namespace_object() {
    let plan = plan("all", REQUESTS, &["a"], "code=500,method in (GET,PUT)").unwrap();
    assert_eq!(
        promql(&plan),
        r#"sum by (pod) (rate(http_requests_total{code="500",method=~"GET|PUT",namespace="shop",pod="a"}[2m]))"#
    );
}

#[test]
fn every_operator_becomes_its_matcher() {
    let plan = plan("all", REQUESTS, &["a"], "a!=1,b notin (x,y),c,!d,e in (z)").unwrap();
    assert!(
        promql(&plan).contains(r#"a!="1",b!~"x|y",c!="",d="",e="z","#),
        "{}",
        promql(&plan)
    );
}

#[test]
fn names_match_themselves_only() {
    let plan = plan("all", REQUESTS, &["web.1", "web-2"], "").unwrap();
    assert!(
        promql(&plan).contains(r#"pod=~"web\\.1|web-2""#),
        "{}",
        promql(&plan)
    );
}

#[test]
fn a_selector_that_cannot_be_a_matcher_is_refused() {
    for selector in ["example.com/x=y", "a>1", "a<1"] {
        let failure = plan("all", REQUESTS, &["a"], selector).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidSelector, "{selector}");
    }
}

#[test]
fn several_values_for_a_place_of_one_are_the_requests_fault() {
    let query = "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>,code=\"<<index .LabelValuesByName \"code\">>\"})";
    let lines = REQUESTS.lines().filter(|line| !line.starts_with("metricsQuery"));
    let spec = format!(
        "{}\nmetricsQuery: '{query}'\n",
        lines.collect::<Vec<_>>().join("\n")
    );
    assert!(plan("all", &spec, &["a"], "code=500").is_ok());
    let failure = plan("all", &spec, &["a"], "code in (500,501)").unwrap_err();
    assert_eq!(failure.reason, Reason::BadRequest, "{failure}");
    assert!(failure.to_string().contains("spec.metricsQuery:1:"), "{failure}");
    assert!(!failure.to_string().contains("http_requests_total"), "{failure}");
}

#[test]
fn a_query_that_values_make_unreadable_is_not_sent() {
    let value = r#"queue="<<index .LabelValuesByName "queue">>""#;
    let query = EXTERNAL.replace(
        "sum by (queue) (<<.Series>>{<<.LabelMatchers>>})",
        &format!("'sum({{{value}}})'"),
    );
    let everywhere = format!("{query}\nresources: {{namespaced: false}}\nnamespaceSelector: {{}}");
    for (at, spec, sent) in [
        ("all", &everywhere, r#"sum({queue="q"})"#),
        ("shop/own", &query, r#"sum({queue="q",namespace="shop"})"#),
    ] {
        let ask = |selector: &str| {
            let route = request::External {
                namespace: "shop".to_owned(),
                metric: "queue_length".to_owned(),
                selector: Selector::parse(selector).unwrap(),
            };
            plan_external(&served(at, spec), &route)
        };
        assert_eq!(promql(&ask("queue=q").unwrap()), sent);
        assert_eq!(ask("queue=").unwrap_err().reason, Reason::BadRequest, "{at}");
    }
}

#[test]
fn nobody_selected_means_nothing_asked() {
    let plan = plan("all", REQUESTS, &[], "").unwrap();
    assert!(plan.ask.is_none());
}

#[test]
fn a_namespaced_rule_is_confined_in_what_is_sent() {
    let spec = REQUESTS.replace("{<<.LabelMatchers>>}", "");
    let plan = plan("shop/own", &spec, &["a"], "").unwrap();
    assert!(
        promql(&plan).contains(r#"http_requests_total{namespace="shop"}"#),
        "{}",
        promql(&plan)
    );
}

#[test]
fn a_selector_cannot_name_another_namespace_or_object() {
    let plan = plan("shop/own", REQUESTS, &["a"], "namespace=bank,pod=b").unwrap();
    let text = promql(&plan);
    assert!(
        text.contains(r#"namespace="shop""#) && text.contains(r#"pod="a""#),
        "{text}"
    );
}

#[test]
fn an_external_rule_is_asked_for_its_namespace() {
    let route = request::External {
        namespace: "shop".to_owned(),
        metric: "queue_length".to_owned(),
        selector: Selector::parse("queue=orders").unwrap(),
    };
    let plan = plan_external(&served("all", EXTERNAL), &route).unwrap();
    assert_eq!(
        promql(&plan),
        r#"sum by (queue) (queue_length{queue="orders",namespace="shop"})"#
    );
    let everywhere = format!("{EXTERNAL}\nresources: {{namespaced: false}}\nnamespaceSelector: {{}}");
    let plan = plan_external(&served("all", &everywhere), &route).unwrap();
    assert_eq!(promql(&plan), r#"sum by (queue) (queue_length{queue="orders"})"#);
}

#[test]
fn one_item_for_each_object_that_was_asked_for() {
    let plan = plan("all", REQUESTS, &["a", "b", "c"], "").unwrap();
    let rows = rows(&[
        (r#"{pod="b"}"#, 2.0),
        (r#"{pod="a"}"#, 1.5),
        (r#"{pod="z"}"#, 9.0),
        (r#"{pod="c",namespace="bank"}"#, 9.0),
        (r#"{other="x"}"#, 9.0),
    ]);
    let answer = project_custom(&plan, &rows, at()).unwrap();
    assert_eq!(
        values(&answer),
        [
            ("a".to_owned(), "1500m".to_owned()),
            ("b".to_owned(), "2".to_owned())
        ]
    );
    let item = &answer.items[0];
    assert_eq!(
        (&*item.kind, &*item.api_version, item.namespace.as_deref()),
        ("Pod", "/v1", Some("shop"))
    );
    assert_eq!(answer.tally.dropped.get(&Reason::ForeignObject), Some(&2));
    assert_eq!(answer.tally.dropped.get(&Reason::ForeignNamespace), Some(&1));
    assert_eq!(answer.window, Some(Duration::from_mins(2)));
}

#[test]
fn of_several_rows_the_first_in_label_order_counts() {
    let plan = plan("all", REQUESTS, &["a"], "").unwrap();
    let rows = rows(&[(r#"{pod="a",code="500"}"#, 5.0), (r#"{pod="a",code="200"}"#, 2.0)]);
    let answer = project_custom(&plan, &rows, at()).unwrap();
    assert_eq!(values(&answer), [("a".to_owned(), "2".to_owned())]);
    assert_eq!(answer.warnings.len(), 1);
}

#[test]
fn several_rows_for_each_of_many_objects_are_one_warning() {
    let plan = plan("all", REQUESTS, &["a", "b", "c"], "").unwrap();
    let all = ["a", "b", "c"].map(|pod| [200, 500].map(|code| format!(r#"{{pod="{pod}",code="{code}"}}"#)));
    let all: Vec<_> = all
        .iter()
        .flatten()
        .map(|labels| (labels.as_str(), 1.0))
        .collect();
    let answer = project_custom(&plan, &rows(&all), at()).unwrap();
    assert_eq!(values(&answer).len(), 3);
    assert_eq!(answer.tally.dropped.get(&Reason::DuplicateRows), Some(&3));
    let [warning] = answer.warnings.as_slice() else {
        panic!("{:?}", answer.warnings);
    };
    assert!(
        warning.starts_with("2 rows for pods a and more than one for 2 others; "),
        "{warning}"
    );
}

#[test]
fn nan_is_no_data_and_infinity_is_refused() {
    let list = plan("all", REQUESTS, &["a", "b", "c"], "").unwrap();
    let mixed = rows(&[
        (r#"{pod="a"}"#, f64::NAN),
        (r#"{pod="b"}"#, f64::INFINITY),
        (r#"{pod="c"}"#, 1e300),
    ]);
    let answer = project_custom(&list, &mixed, at()).unwrap();
    assert_eq!(
        values(&answer),
        [("c".to_owned(), "9223372036854775807m".to_owned())]
    );
    assert_eq!(answer.tally.clamped, 1);
    let one = plan("all", REQUESTS, &["a"], "").unwrap();
    for (value, reason) in [(f64::NAN, Reason::NoData), (f64::NEG_INFINITY, Reason::NotFinite)] {
        let failure = project_custom(&one, &rows(&[(r#"{pod="a"}"#, value)]), at()).unwrap_err();
        assert_eq!(failure.reason, reason);
        assert_eq!(
            failure.tally.dropped.get(&reason),
            Some(&1),
            "counted all the same"
        );
    }
}

#[test]
fn no_data_says_what_the_query_did_give() {
    let plan = plan("all", REQUESTS, &["a"], "code=500").unwrap();
    let failure = |given: &[(&str, f64)]| project_custom(&plan, &rows(given), at()).unwrap_err().to_string();
    let sentence = "the server could not find the metric http_requests_per_second for pods a with selector code=500: NoData: ";
    for (given, expected) in [
        (&[][..], "no row"),
        (&[("{}", 1.0)][..], "<<.GroupBy>>"),
        (&[(r#"{pod="a",namespace="bank"}"#, 1.0)][..], "another namespace"),
    ] {
        let text = failure(given);
        assert!(text.starts_with(sentence) && text.contains(expected), "{text}");
        assert!(
            !text.contains("rate("),
            "the query's text is the author's: {text}"
        );
    }
}

#[test]
fn negative_values_are_as_the_rule_says() {
    for (policy, expected) in [("Pass", Some("-1")), ("Zero", Some("0")), ("Error", None)] {
        let plan = plan("all", &format!("{REQUESTS}\nnegative: {policy}"), &["a"], "").unwrap();
        let outcome = project_custom(&plan, &rows(&[(r#"{pod="a"}"#, -1.0)]), at());
        if let Some(value) = expected {
            let answer = outcome.unwrap();
            assert_eq!(values(&answer)[0].1, value);
            assert_eq!(answer.tally.negative, 1);
        } else {
            let failure = outcome.unwrap_err();
            assert_eq!(
                (failure.reason, failure.tally.negative),
                (Reason::NegativeValue, 1)
            );
        }
    }
}

#[test]
fn rows_from_long_ago_are_no_answer() {
    let plan = plan("all", REQUESTS, &["a"], "").unwrap();
    let mut old = rows(&[(r#"{pod="a"}"#, 1.0)]);
    old.samples[0].timestamp = "2026-01-02T01:59:04Z".parse().unwrap();
    let failure = project_custom(&plan, &old, at()).unwrap_err();
    assert_eq!(failure.reason, Reason::NoData);
    assert!(
        failure.cause.ends_with("too old"),
        "it was said to be NaN: {failure}"
    );
    let histograms = InstantVector {
        histograms: 1,
        ..InstantVector::default()
    };
    let failure = project_custom(&plan, &histograms, at()).unwrap_err();
    assert!(
        failure.cause.contains("native histograms"),
        "the backend was said to have no samples: {failure}"
    );
}
