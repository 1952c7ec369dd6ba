//! Rules with `semantics: PrometheusAdapter`: texts and values are those of that adapter, `pkg/naming/metrics_query.go`,
//! `pkg/custom-provider` and `pkg/external-provider`.

use super::*;

const SEMANTICS: &str = "\nsemantics: PrometheusAdapter";

/// [`REQUESTS`] with that query, in a `ClusterMetricRule`.
fn with_query(query: &str) -> String {
    let lines = REQUESTS
        .trim()
        .lines()
        .filter(|line| !line.starts_with("metricsQuery"));
    let query = query.replace('\n', "\n  ");
    format!(
        "{}\nmetricsQuery: |-\n  {query}{SEMANTICS}",
        lines.collect::<Vec<_>>().join("\n")
    )
}

fn sent(query: &str, names: &[&str], selector: &str) -> String {
    promql(&plan("all", &with_query(query), names, selector).unwrap()).to_owned()
}

fn requests() -> String {
    format!("{REQUESTS}{SEMANTICS}")
}

#[test]
fn every_operator_has_its_text() {
    for (selector, text) in [
        ("code=500", r#"code="500","#),
        ("code==500", r#"code="500","#),
        ("code!=500", r#"code!="500","#),
        ("code in (5.x)", r#"code=~"5.x","#),
        ("code in (503,500)", r#"code=~"500|503","#),
        ("code notin (5.x)", r#"code!~"5.x","#),
        ("code notin (a,b.c)", r#"code!~"a|b.c","#),
        ("code", r#"code!="","#),
        ("!code", r#"code="","#),
        ("b=2,a=1,c in (x)", r#"a="1",b="2",c=~"x","#),
        ("pod=x,namespace=y", r#"namespace="y",pod="x","#),
        ("", ""),
    ] {
        let query = sent("<<.Series>>{<<.LabelMatchers>>}", &["web.1"], selector);
        let want = format!(r#"http_requests_total{{{text}namespace="shop",pod="web.1"}}"#);
        assert_eq!(query, want, "{selector}");
    }
}

#[test]
fn names_are_joined_as_they_are() {
    let query = sent("<<.Series>>{<<.LabelMatchers>>}", &["web.1", "web-2"], "");
    assert_eq!(
        query,
        r#"http_requests_total{namespace="shop",pod=~"web.1|web-2"}"#
    );
}

#[test]
fn the_authors_text_is_kept() {
    let matchers = r#"namespace="shop",pod="a""#;
    for (query, text) in [
        (
            "sum(\n  # of all\n  <<.Series>>{<<.LabelMatchers>>}\n)",
            "sum(\n  # of all\n  http_requests_total{@}\n)",
        ),
        ("x{,a=\"b\",<<.LabelMatchers>>,}", "x{,a=\"b\",@,}"),
        (
            "x{c='d', <<.LabelMatchers>> ,e=\"f\"} [5m:] ]",
            "x{c='d', @ ,e=\"f\"} [5m:] ]",
        ),
        (
            "SELECT <<.GroupBy>> FROM \"<<.Series>>\" WHERE <<.LabelMatchers>>",
            "SELECT pod FROM \"http_requests_total\" WHERE @",
        ),
        (
            r#"<<printf "%v %q %s{%s}" .GroupBySlice .GroupBy .Series .LabelMatchers>>"#,
            "[pod] \"pod\" http_requests_total{@}",
        ),
        (
            "sum(<<.Series>>) by (<<range $i, $l := .GroupBySlice>><<$l>><<end>>)",
            "sum(http_requests_total) by (pod)",
        ),
    ] {
        assert_eq!(sent(query, &["a"], ""), text.replace('@', matchers));
    }
}

#[test]
fn values_by_name_are_put_in_as_they_are() {
    for (query, selector, text) in [
        (
            r#"x{a=~"<<index .LabelValuesByName "queue">>"}"#,
            "queue in (b,a.c)",
            r#"x{a=~"a.c|b"}"#,
        ),
        (
            r#"x{a="<<index .LabelValuesByName "queue">>"}"#,
            "queue in (b,c)",
            r#"x{a="b|c"}"#,
        ),
        (r"x{a='<<index .LabelValuesByName `queue`>>'}", "", "x{a=''}"),
        (
            r#"x{a="<<index .LabelValuesByName "queue">>"}"#,
            "queue notin (b)",
            r#"x{a="b"}"#,
        ),
        (
            r#"x{a="<<index .LabelValuesByName "queue">>"}"#,
            "queue",
            r#"x{a=""}"#,
        ),
        (
            r#"x{a="<<index .LabelValuesByName "pod">>"}"#,
            "pod=other",
            r#"x{a="p"}"#,
        ),
        (
            r#"x{a="<<.LabelValuesByName.namespace>>"}"#,
            "namespace=other",
            r#"x{a="shop"}"#,
        ),
        (
            r#"topk(<<index .LabelValuesByName "k">>, x)"#,
            "k=3",
            "topk(3, x)",
        ),
        (
            r"<<range $k, $v := .LabelValuesByName>><<$k>>=<<$v>> <<end>>",
            "code=5",
            "code=5 namespace=shop pod=p ",
        ),
        (
            r#"<<if index .LabelValuesByName "queue">>a<<else>>b<<end>>"#,
            "!queue",
            "b",
        ),
    ] {
        assert_eq!(sent(query, &["p"], selector), text, "{query} {selector}");
    }
}

#[test]
fn no_value_leaves_its_place() {
    for (query, name, selector) in [
        (
            r#"x{a="<<index .LabelValuesByName "pod">>"}"#,
            "p\"} or y{b=\"",
            "",
        ),
        (r#"x{a="<<index .LabelValuesByName "pod">>"}"#, "p\\", ""),
        (
            r#"<<index .LabelValuesByName "metric">>{a="b"}"#,
            "p",
            "metric=x-secret",
        ),
    ] {
        let failure = plan("all", &with_query(query), &[name], selector).unwrap_err();
        assert_eq!(failure.reason, Reason::BadRequest, "{query}: {failure}");
    }
    let query = sent("<<.Series>>{<<.LabelMatchers>>}", &["p\"} or y{\u{1}"], "");
    assert_eq!(
        query,
        r#"http_requests_total{namespace="shop",pod="p\"} or y{\x01"}"#
    );
}

#[test]
fn what_cannot_be_a_query_is_refused() {
    for selector in ["example.com/x=y", "a>1", "a<1"] {
        let failure = plan("all", &requests(), &["a"], selector).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidSelector, "{selector}");
    }
    let nothing = with_query(r#"<<if index .LabelValuesByName "queue">>x<<end>>"#);
    assert!(plan("all", &nothing, &["a"], "queue=a").is_ok());
    assert_eq!(
        plan("all", &nothing, &["a"], "").unwrap_err().reason,
        Reason::BadRequest
    );
}

#[test]
fn a_namespaced_rule_stays_confined() {
    let spec = requests().replace(
        "{<<.LabelMatchers>>}",
        r#"{a=~"<<index .LabelValuesByName "queue">>"}"#,
    );
    let plan = plan(
        "shop/own",
        &spec,
        &["a"],
        "queue in (x.*)".replace(".*", ".y").as_str(),
    )
    .unwrap();
    assert_eq!(
        promql(&plan),
        r#"sum by (pod) (rate(http_requests_total{a=~"x.y",namespace="shop"}[2m]))"#
    );
    let rows = rows(&[(r#"{pod="a",namespace="bank"}"#, 1.0)]);
    assert_eq!(
        project_custom(&plan, &rows, at()).unwrap_err().reason,
        Reason::NoData
    );
}

#[test]
fn nobody_selected_is_an_unknown_metric_and_nobody_found_is_an_empty_list() {
    let failure = plan("all", &requests(), &[], "").unwrap_err();
    assert_eq!(failure.reason, Reason::UnknownMetric);
    let sentence = "the server could not find the metric http_requests_per_second for pods";
    assert_eq!(failure.to_string(), sentence, "without reason and cause");
    let list = plan("all", &requests(), &["a", "b"], "").unwrap();
    assert!(project_custom(&list, &rows(&[]), at()).unwrap().items.is_empty());
    let one = plan("all", &requests(), &["a"], "code=500").unwrap();
    let failure = project_custom(&one, &rows(&[]), at()).unwrap_err();
    assert_eq!(failure.reason, Reason::NoData);
    assert_eq!(failure.to_string(), format!("{sentence} a"));
}

#[test]
fn kinds_are_asked_for_at_their_end_of_the_path() {
    let spec = requests().replace(
        "pod: {resource: pods}",
        "pod: {resource: pods}, node: {resource: nodes}",
    );
    let (table, rule) = compiled("all", &spec);
    let set = series(&[r#"http_requests_total{pod="a",node="n"}"#]);
    let metrics = derive(&rule, &set, &table.resources);
    for (kind, namespace, asked) in [
        ("pods", Some("shop"), true),
        ("nodes", None, true),
        ("nodes", Some("shop"), false),
    ] {
        let metric = metrics.metrics.iter().find(|metric| match &metric.subject {
            crate::catalog::Subject::Object { resource, .. } => resource.group_resource.resource == kind,
            crate::catalog::Subject::External => false,
        });
        let served = Served {
            rule: rule.clone(),
            metric: metric.unwrap().clone(),
            standing: crate::catalog::Standing::Answers,
        };
        let route = request::Custom {
            namespace: namespace.map(ToOwned::to_owned),
            resource: GroupResource::new("", kind),
            ..route(ObjectName::Named("a".to_owned()), "")
        };
        let plan = plan_custom(&served, &route, &["a".to_owned()]);
        assert_eq!(plan.is_ok(), asked, "{kind} {namespace:?}");
    }
}

#[test]
fn a_namespace_that_no_label_holds_is_an_unknown_metric() {
    let spec = requests().replace("namespace: {resource: namespaces}, ", "");
    assert_eq!(
        plan("all", &spec, &["a"], "").unwrap_err().reason,
        Reason::UnknownMetric
    );
}

#[test]
fn values_are_cut_and_the_last_row_counts() {
    let plan = plan("all", &requests(), &["a", "b", "c", "d", "e"], "").unwrap();
    let mut rows = rows(&[
        (r#"{pod="a",code="500"}"#, 5.0),
        (r#"{pod="a",code="200"}"#, 2.0),
        (r#"{pod="b"}"#, f64::NAN),
        (r#"{pod="c",namespace="bank"}"#, -0.0019),
        (r#"{pod="d"}"#, 1e300),
        (r#"{pod="e"}"#, f64::INFINITY),
        (r#"{pod="z",namespace="bank"}"#, 1.0),
    ]);
    for row in &mut rows.samples {
        row.timestamp = Timestamp::UNIX_EPOCH;
    }
    let answer = project_custom(&plan, &rows, at()).unwrap();
    let found: Vec<String> = answer
        .items
        .iter()
        .map(|item| format!("{} {}", item.name, item.value))
        .collect();
    assert_eq!(
        found,
        ["a 2", "b 0", "c -1m"],
        "with that of d their sum overflows"
    );
    assert!(answer.items.iter().all(|item| item.timestamp == at()));
    assert_eq!(answer.window, None);
    assert_eq!(answer.warnings.len(), 3, "{:?}", answer.warnings);
    assert!(
        answer.warnings[0].starts_with("1 rows belong to another namespace"),
        "{:?}",
        answer.warnings
    );
    rows.samples
        .retain(|row| row.value > 1e299 && row.value.is_finite());
    let answer = project_custom(&plan, &rows, at()).unwrap();
    assert_eq!(
        answer.items[0].value.to_string(),
        "9223372036854775807m",
        "alone it overflows nothing"
    );
}

#[test]
fn a_window_that_is_written_is_told() {
    let plan = plan("all", &format!("{}\nwindow: 90s", requests()), &["a"], "").unwrap();
    let answer = project_custom(&plan, &rows(&[(r#"{pod="a"}"#, 1.0)]), at()).unwrap();
    assert_eq!(answer.window, Some(Duration::from_secs(90)));
}

#[test]
fn external_rows_are_served_in_their_order_with_their_time() {
    let route = request::External {
        namespace: "shop".to_owned(),
        metric: "queue_length".to_owned(),
        selector: Selector::parse("queue in (orders),tier,!debug").unwrap(),
    };
    let served = served("all", &format!("{EXTERNAL}{SEMANTICS}"));
    let plan = plan_external(&served, &route).unwrap();
    assert_eq!(
        promql(&plan),
        r#"sum by (queue) (queue_length{debug="",queue=~"orders",tier!="",namespace="shop"})"#
    );
    let mut rows = rows(&[
        (r#"{queue="b"}"#, -3.0),
        (r#"{queue="a",namespace="bank"}"#, 1.0009),
        (r#"{queue="c"}"#, f64::NAN),
    ]);
    for row in &mut rows.samples {
        row.timestamp = Timestamp::UNIX_EPOCH;
    }
    let answer = project_external(&plan, &rows, at()).unwrap();
    let found: Vec<String> = answer
        .items
        .iter()
        .map(|item| {
            format!(
                "{} {} {}",
                item.labels.as_ref().unwrap().get("queue").unwrap(),
                item.value,
                item.timestamp
            )
        })
        .collect();
    assert_eq!(found, ["b -3 1970-01-01T00:00:00Z", "a 1 1970-01-01T00:00:00Z"]);
    rows.samples[0].value = f64::NEG_INFINITY;
    assert_eq!(
        project_external(&plan, &rows, at()).unwrap_err().reason,
        Reason::NotFinite
    );
    assert!(
        project_external(&plan, &InstantVector::default(), at())
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn a_scalar_has_no_labels_instead_of_an_empty_set() {
    let route = request::External {
        namespace: "shop".to_owned(),
        metric: "queue_length".to_owned(),
        selector: Selector::default(),
    };
    for (spec, scalar, none) in [
        (format!("{EXTERNAL}{SEMANTICS}"), true, true),
        (format!("{EXTERNAL}{SEMANTICS}"), false, false),
        (EXTERNAL.to_owned(), true, false),
    ] {
        let plan = plan_external(&served("all", &spec), &route).unwrap();
        let mut rows = rows(&[("{}", 1.0)]);
        rows.scalar = scalar;
        let answer = project_external(&plan, &rows, at()).unwrap();
        assert_eq!(answer.items[0].labels.is_none(), none, "{spec} {scalar}");
    }
}
