//! Answers to requests, from a backend on loopback.

use axum::Router;
use language::selector::Selector;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    backend::testing::pool,
    catalog::{Entry, Listing, derive},
    kubernetes::fake::FakeApi,
    query::request::{self, CustomVersion, ObjectName},
    resource::GroupResource,
    rule::{
        Index,
        testing::{REQUESTS, index, rule, series},
    },
    sample::SeriesSet,
};

/// An answerer for the rules of `index`, which all but those that are refused have found `found`. The backend answers every query
/// with `rows`.
async fn answerer(index: &Index, found: &SeriesSet, rows: &Value) -> Answerer {
    let body = json!({"status": "success", "data": {"resultType": "vector", "result": rows}}).to_string();
    let app = Router::new().fallback(move || std::future::ready(body.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let table = Arc::new(index.table());
    let nothing = SeriesSet::default();
    let entries = table.rules.iter().map(|rule| {
        let (series, listing) = match rule.refusal() {
            Some(_) => (&nothing, Listing::NotNeeded),
            None => (found, Listing::Current),
        };
        Entry {
            metrics: Arc::new(derive(rule, series, &table.resources)),
            listing,
        }
    });
    let catalog = Catalog::build(table.clone(), entries.collect::<Vec<_>>());
    let metrics = Metrics::new();
    let (_, catalogs) = watch::channel(Arc::new(catalog));
    let (_, resources) = watch::channel(table.resources.clone());
    let objects = Objects::new(FakeApi::default().client(), resources, [], metrics.clone());
    let (logbook, _) = Logbook::new(metrics.rules.clone());
    Answerer::new(
        catalogs,
        pool(&url),
        objects,
        Targets::default(),
        logbook,
        metrics,
    )
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn row(labels: &Value, value: &str) -> Value {
    json!({"metric": labels, "value": [Timestamp::now().as_second(), value]})
}

#[tokio::test]
async fn a_reply_of_more_than_16_mib_was_encoded_whatever_it_took() {
    // Of the 32 KiB of a row's labels JSON as Go writes it makes 192,000 bytes.
    let text = "<".repeat(8000);
    let fat = |number: u32| {
        let labels = json!({"row": number.to_string(), "a": text, "b": text, "c": text, "d": text});
        row(&labels, "1")
    };
    let mut index = index();
    let spec = "api: External\nname: {as: fat}\nmetricsQuery: up{<<.LabelMatchers>>}";
    index.apply_rule(rule("shop/fat", spec));
    let route = request::External {
        namespace: "shop".to_owned(),
        metric: "fat".to_owned(),
        selector: Selector::default(),
    };
    for (rows, refusal) in [(80, None), (100, Some(Reason::LimitExceeded))] {
        let rows: Vec<Value> = (0..rows).map(fat).collect();
        let answerer = answerer(&index, &SeriesSet::default(), &json!(rows)).await;
        match (answerer.external(&route, deadline()).await, refusal) {
            (Ok(answer), None) => assert_eq!(answer.items.len(), rows.len()),
            (Err(failure), Some(reason)) => {
                assert_eq!(failure.reason, reason);
                assert!(failure.cause.contains("16 MiB"), "{}", failure.cause);
            }
            (Ok(_), Some(_)) => panic!("a reply of {} rows is encoded", rows.len()),
            (Err(failure), None) => panic!("{failure}"),
        }
    }
}

#[tokio::test]
async fn a_rule_with_two_labels_of_one_kind_was_an_unknown_metric_or_gave_anothers_number() {
    let twice = REQUESTS.replace(
        "pod: {resource: pods}",
        "pod: {resource: pods}, pod_name: {resource: pods}",
    );
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    index.apply_rule(rule("shop/own", &twice));
    let found = series(&[
        r#"http_requests_total{namespace="shop",pod="a"}"#,
        r#"http_requests_total{namespace="bank",pod="a"}"#,
    ]);
    let answerer = answerer(&index, &found, &json!([row(&json!({"pod": "a"}), "7")])).await;
    let ask = async |namespace: &str| {
        let route = request::Custom {
            version: CustomVersion::V1beta2,
            namespace: Some(namespace.to_owned()),
            resource: GroupResource::pods(),
            object: ObjectName::Named("a".to_owned()),
            metric: "http_requests_per_second".to_owned(),
            label_selector: Selector::default(),
            metric_selector: Selector::default(),
        };
        let answer = answerer.custom(&route, deadline()).await;
        answer
            .map(|answer| answer.items.len())
            .map_err(|failure| (failure.reason, failure.cause.clone()))
    };
    let (reason, cause) = ask("shop").await.unwrap_err();
    assert_eq!(reason, Reason::DuplicateResource, "{cause}");
    assert!(cause.contains("MetricRule shop/own"), "{cause}");
    assert_eq!(
        ask("bank").await,
        Ok(1),
        "the other rule's metric is served elsewhere"
    );
}
