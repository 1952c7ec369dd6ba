//! Rules against a Prometheus that answers as it is told, without a cluster.

mod credentials;
mod rows;

use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, path},
};

use super::*;

const RULE: &str = r#"# a comment
apiVersion: metricrule.dev/v1alpha1
kind: MetricRule
metadata:
  name: requests
  namespace: shop
spec:
  seriesQuery: http_requests_total{pod!=""}
  resources:
    overrides:
      namespace: {resource: namespaces}
      pod: {resource: pods}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
"#;

/// A Prometheus with these series and rows.
async fn prometheus(series: &Value, rows: &Value) -> MockServer {
    let server = MockServer::start().await;
    for (at, data) in [
        ("/api/v1/series", series.clone()),
        ("/api/v1/query", json!({"resultType": "vector", "result": rows})),
    ] {
        let body = json!({"status": "success", "data": data});
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&server)
            .await;
    }
    server
}

fn row(labels: &Value, value: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({"metric": labels, "value": [now, value]})
}

async fn look(text: &str, url: &str, options: Options) -> Report {
    crate::backend::install_crypto();
    let mut files = Files::default();
    files.add("rule.yaml", text).unwrap();
    let options = Options {
        backend: Some(url.to_owned()),
        ..options
    };
    preview(None, files, &options, &|_| {}).await.unwrap()
}

#[tokio::test]
async fn a_rule_is_shown_from_its_series_to_its_values() {
    let series = json!([
        {"__name__": "http_requests_total", "namespace": "shop", "pod": "a"},
        {"__name__": "http_requests_total", "namespace": "shop", "pod": "b"},
        {"__name__": "http_requests", "namespace": "shop", "pod": "b"},
    ]);
    let rows = json!([
        row(&json!({"pod": "a"}), "1.5"),
        row(&json!({"pod": "b"}), "NaN"),
        row(&json!({"pod": "elsewhere"}), "7"),
    ]);
    let server = prometheus(&series, &rows).await;
    let report = look(RULE, &server.uri(), Options::default()).await;
    assert!(report.is_good(), "{report}");
    let text = report.to_string();
    for expected in [
        "MetricRule shop/requests (rule.yaml): accepted",
        r#"series http_requests_total{namespace="shop",pod!=""}: 3 found"#,
        "dropped: 1 NameNotMatched (such as http_requests): ",
        "http_requests_per_second of pods, from http_requests_total",
        "answered by MetricRule shop/requests in shop",
        "      shop: pods a\n        sum by (pod) (rate(http_requests_total{namespace=\"shop\",pod=\"a\",namespace=\"shop\"}[2m]))",
        "      shop: pods * (a, b)\n        sum by (pod) (rate(http_requests_total{namespace=\"shop\",pod=~\"a|b\",namespace=\"shop\"}[2m]))",
        "shop/a = 1500m\n",
        "rows dropped: 1 NoData (such as {pod=\"b\"} NaN): ",
        "rows dropped: 1 ForeignObject (such as {pod=\"elsewhere\"} 7): ",
        "note: without a cluster",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    let metrics = &json["rules"][0]["metrics"];
    let pods = metrics
        .as_array()
        .unwrap()
        .iter()
        .find(|metric| metric["resource"] == "pods")
        .unwrap();
    assert_eq!(pods["values"], json!([{"of": "shop/a", "value": "1500m"}]));
    assert_eq!(json["rules"][0]["hpas"], Value::Null);
}

#[tokio::test]
async fn metrics_and_selector_can_be_chosen() {
    let series = json!([{"__name__": "http_requests_total", "namespace": "shop", "pod": "a"}]);
    let server = prometheus(&series, &json!([])).await;
    let options = Options {
        metrics: vec!["http_requests_per_second".to_owned()],
        selector: Selector::parse("code=500").unwrap(),
        ..Options::default()
    };
    let report = look(RULE, &server.uri(), options).await;
    let query = report.rules[0]
        .metrics
        .iter()
        .flat_map(|metric| &metric.queries)
        .find(|query| query.request == "shop: pods a");
    assert_eq!(
        query.unwrap().query.as_deref(),
        Some(
            r#"sum by (pod) (rate(http_requests_total{code="500",namespace="shop",pod="a",namespace="shop"}[2m]))"#
        )
    );
    let options = Options {
        metrics: vec!["other".to_owned()],
        ..Options::default()
    };
    assert!(
        look(RULE, &server.uri(), options).await.rules[0]
            .metrics
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_wrong_has_its_place_in_the_file() {
    let server = prometheus(&json!([]), &json!([])).await;
    let broken = RULE.replace("<<.LabelMatchers>>", "<<.LabelMatcher>>");
    let report = look(&broken, &server.uri(), Options::default()).await;
    assert!(!report.is_good());
    let finding = &report.rules[0].findings[0];
    let column = broken.lines().nth(13).unwrap().find("LabelMatcher>>").unwrap();
    assert_eq!(
        (finding.severity, finding.reason, finding.line),
        ("error", "InvalidTemplate", 14)
    );
    assert!(
        finding.column.abs_diff(u32::try_from(column).unwrap()) <= 2,
        "{finding}"
    );
    assert!(report.to_string().contains("rule.yaml:14:"), "{report}");

    let undecodable = RULE.replace("seriesQuery: http", "seriesQuery: [1] #");
    let report = look(&undecodable, &server.uri(), Options::default()).await;
    assert_eq!(report.rules[0].findings[0].reason, "Undecodable");
}

#[tokio::test]
async fn a_backend_that_fails_is_told() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    let report = look(RULE, &server.uri(), Options::default()).await;
    assert!(!report.is_good());
    assert!(report.to_string().contains("NOT LISTED: Backend"), "{report}");

    let report = look(RULE, "http://127.0.0.1:1", Options::default()).await;
    assert!(!report.is_good());
    assert!(report.to_string().contains("NOT LISTED: BackendDown"), "{report}");
}

#[tokio::test]
async fn a_rule_in_a_list_of_one_kind_was_not_previewed() {
    let (_, object) = RULE.split_once("kind: MetricRule\n").unwrap();
    let item = object.trim_end().replace('\n', "\n  ");
    let list = format!("apiVersion: metricrule.dev/v1alpha1\nkind: MetricRuleList\nitems:\n- {item}\n");
    let series = json!([{"__name__": "http_requests_total", "namespace": "shop", "pod": "a"}]);
    let server = prometheus(&series, &json!([row(&json!({"pod": "a"}), "1.5")])).await;
    let text = look(&list, &server.uri(), Options::default()).await.to_string();
    for expected in ["MetricRule shop/requests (rule.yaml): accepted", "1500m"] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    // A finding has its place in the list.
    let broken = list.replace("<<.GroupBy>>", "<<.Nope>>");
    let report = look(&broken, &server.uri(), Options::default()).await.to_string();
    let line = broken
        .split('\n')
        .position(|line| line.contains("<<.Nope>>"))
        .unwrap()
        + 1;
    assert!(report.contains(&format!("rule.yaml:{line}:")), "{report}");
}

#[tokio::test]
async fn an_external_rule_and_a_static_one_need_no_objects() {
    let external = "apiVersion: metricrule.dev/v1alpha1\nkind: ClusterMetricRule\nmetadata: {name: queue}\nspec:\n  \
                    api: External\n  seriesQuery: queue_length{queue!=\"\"}\n  metricsQuery: sum by (queue) \
                    (<<.Series>>{<<.LabelMatchers>>})\n";
    let series = json!([{"__name__": "queue_length", "namespace": "shop", "queue": "orders"}]);
    let server = prometheus(&series, &json!([row(&json!({"queue": "orders"}), "+Inf")])).await;
    let text = look(external, &server.uri(), Options::default())
        .await
        .to_string();
    for expected in [
        "external metric queue_length, from queue_length",
        "shop: external metric\n        sum by (queue) (queue_length{namespace=\"shop\"})",
        "FAILS: NotFinite: ",
        "rows dropped: 1 NotFinite (such as {queue=\"orders\"} inf)",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }

    let made_up = RULE
        .replace("  seriesQuery: http_requests_total{pod!=\"\"}\n", "")
        .replace(
            "  name: {matches: \"^(.*)_total$\", as: \"${1}_per_second\"}\n",
            "  name: {as: rps}\n",
        );
    let fixed = made_up.replace("<<.Series>>", "http_requests_total");
    let text = look(&fixed, &server.uri(), Options::default()).await.to_string();
    for expected in ["    rps of pods\n", "pod=\"example\"", "preview knows no object"] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
}

/// A Prometheus that lists series, and whose queries end like this.
async fn queries_end(reply: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let series = json!([{"__name__": "http_requests_total", "namespace": "shop", "pod": "a"}]);
    let body = json!({"status": "success", "data": series});
    Mock::given(path("/api/v1/series"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/query"))
        .respond_with(reply)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_preview_whose_queries_all_failed_ended_well() {
    let error = json!({"status": "error", "errorType": "bad_data", "error": "no"});
    for code in [400, 500] {
        let server = queries_end(ResponseTemplate::new(code).set_body_json(&error)).await;
        let report = look(RULE, &server.uri(), Options::default()).await;
        assert!(report.to_string().contains("FAILS: "), "{report}");
        assert!(!report.is_good(), "{report}");
    }
    // The series of this metric are listed, and nothing of what was asked is.
    let other = Options {
        metrics: vec!["other".to_owned()],
        ..Options::default()
    };
    let server = queries_end(ResponseTemplate::new(500)).await;
    assert!(look(RULE, &server.uri(), other).await.is_good());
}

#[tokio::test]
async fn a_preview_that_dropped_every_row_ended_well() {
    let series = json!([{"__name__": "http_requests_total", "namespace": "shop", "pod": "a"}]);
    for rows in [
        json!([row(&json!({"pod": "a"}), "NaN")]),
        json!([row(&json!({"pod": "elsewhere"}), "7")]),
    ] {
        let server = prometheus(&series, &rows).await;
        let report = look(RULE, &server.uri(), Options::default()).await;
        assert!(!report.is_good(), "{report}");
        let text = report.to_string();
        let expected = "FAILS: http_requests_per_second has no value at all";
        assert!(text.contains(expected), "{text}");
    }
    // What has no value for the namespace itself, but one for a pod, has one.
    let server = prometheus(&series, &json!([row(&json!({"pod": "a"}), "1")])).await;
    let report = look(RULE, &server.uri(), Options::default()).await;
    assert!(
        report.is_good() && report.to_string().contains("FAILS: "),
        "{report}"
    );
}

#[tokio::test]
async fn names_of_pods_and_series_moved_the_administrators_cursor() {
    let pod = "web\u{1b}[2J\n::error title=fake::x\u{202e}";
    let series = json!([
        {"__name__": "http_requests_total", "namespace": "shop", "pod": pod},
        {"__name__": "bad\u{1b}[31m", "namespace": "shop", "pod": pod},
    ]);
    let rows = json!([
        row(&json!({"pod": pod}), "1.5"),
        row(&json!({"pod": "b\u{9b}2J"}), "NaN")
    ]);
    let server = prometheus(&series, &rows).await;
    let report = look(RULE, &server.uri(), Options::default()).await;
    let text = report.to_string();
    let active = |c: char| c != '\n' && language::terminal::is_active(c);
    assert!(
        text.contains("web\\u{1b}[2J") && !text.contains(active),
        "{text:?}"
    );
    assert!(
        text.lines().all(|line| !line.trim_start().starts_with("::")),
        "{text}"
    );
}
