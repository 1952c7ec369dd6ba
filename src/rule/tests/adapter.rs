//! Compiled rules with `semantics: PrometheusAdapter`.

use std::time::Duration;

use super::*;

fn adapter(lines: &str) -> String {
    spec(&format!("{lines}\nsemantics: PrometheusAdapter"))
}

#[test]
fn the_series_query_is_sent_as_it_is_written() {
    for query in [
        r#"{__name__=~"^container_.*", container!='POD' ,namespace!=""}"#,
        "http_requests_total {\n  pod != ``,\n}",
        r#"{"http.requests"}"#,
    ] {
        let text = adapter(&format!("seriesQuery: |-\n  {}", query.replace('\n', "\n  ")));
        let (_, rule) = compiled("all", &text);
        assert_eq!(rule.refusals, []);
        assert_eq!(rule.listed().map(AsRef::as_ref), Some(query));
        let (_, confined) = compiled("shop/own", &text);
        assert!(confined.listed().unwrap().contains(r#"namespace="shop""#));
    }
}

#[test]
fn text_that_is_no_promql_is_a_warning_for_the_platform_team_alone() {
    let text = adapter("metricsQuery: 'SELECT <<.Series>> WHERE <<.LabelMatchers>>'");
    let (_, rule) = compiled("all", &text);
    assert_eq!(rule.refusals, []);
    let reasons: Vec<Reason> = rule.warnings.iter().map(|warning| warning.reason).collect();
    assert_eq!(reasons, [Reason::InvalidQuery]);
    assert_eq!(
        refusals("shop/own", &text).first().map(|(reason, _)| *reason),
        Some(Reason::InvalidQuery)
    );
}

#[test]
fn a_key_that_is_missing_is_no_refusal() {
    let text = adapter("metricsQuery: 'x{a=\"<<index .LabelValuesByName \"queue\">>\",<<.LabelMatchers>>}'");
    let (_, rule) = compiled("all", &text);
    assert_eq!((rule.refusals.clone(), rule.warnings.clone()), (vec![], vec![]));
    let ingredients = Ingredients {
        matchers: vec![Matcher::equal("pod", "p")],
        ..Ingredients::default()
    };
    assert_eq!(
        rule.query.as_ref().unwrap().render(&ingredients).as_deref(),
        Ok(r#"x{a="",pod="p"}"#)
    );
}

#[test]
fn how_long_an_answer_is_served() {
    for (at, lines, seconds) in [
        ("shop/own", "priority: 1", 5),
        ("all", "priority: 1", 5),
        ("all", "refresh: 0s", 0),
        ("all", "refresh: 1m", 60),
        ("all", "semantics: PrometheusAdapter", 0),
        ("all", "refresh: 7s\nsemantics: PrometheusAdapter", 7),
        // Its written 0s would be refused, so it is not derived either.
        ("shop/own", "semantics: PrometheusAdapter", 5),
    ] {
        let (_, rule) = compiled(at, &spec(lines));
        assert_eq!(rule.refusals, []);
        assert_eq!(rule.refresh, Duration::from_secs(seconds), "{at} {lines}");
    }
    assert_eq!(
        refusals("shop/own", &spec("refresh: 0s")),
        [(Reason::InvalidSpec, "spec.refresh".to_owned())]
    );
}

#[test]
fn no_window_is_derived() {
    assert_eq!(compiled("all", &adapter("priority: 1")).1.window, None);
    assert_eq!(
        compiled("all", &adapter("window: 2m")).1.window,
        Some(Duration::from_mins(2))
    );
}
