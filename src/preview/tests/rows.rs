//! Rows that give no value, and what a preview shows of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::{
    catalog::{Served, Standing, derive},
    query::{self, request::ObjectName},
    resource::GroupResource,
    rule::testing::{REQUESTS, compiled, labels as labels_of},
    sample::{InstantVector, Sample},
};

#[tokio::test]
async fn rows_are_dropped_by_the_verdicts_that_the_operator_counts() {
    let pods = [
        (r#"{pod="a",code="200"}"#, "1.5"),
        (r#"{pod="a",code="500"}"#, "2"),
        (r#"{pod="b"}"#, "NaN"),
        (r#"{pod="c"}"#, "+Inf"),
        (r#"{pod="elsewhere"}"#, "7"),
        (r#"{pod="a",namespace="bank"}"#, "7"),
    ];
    let as_json = |labels: &str| json!(BTreeMap::from(labels_of(labels)));
    let rows: Vec<Value> = pods
        .iter()
        .map(|(labels, value)| row(&as_json(labels), value))
        .collect();
    let series = ["a", "b", "c"]
        .map(|pod| json!({"__name__": "http_requests_total", "namespace": "shop", "pod": pod}));
    let backend = prometheus(&json!(series), &json!(rows)).await;
    let report = look(RULE, &backend.uri(), Options::default()).await;
    let shown = report.rules[0]
        .metrics
        .iter()
        .find(|metric| metric.resource.as_deref() == Some("pods"));
    let shown: BTreeMap<&str, (u64, &[String])> = shown
        .unwrap()
        .rows_dropped
        .iter()
        .map(|dropped| (dropped.reason, (dropped.count as u64, &*dropped.sample)))
        .collect();

    let (table, rule) = compiled("shop/requests", REQUESTS);
    let found = ["a", "b", "c"].map(|pod| format!(r#"http_requests_total{{namespace="shop",pod="{pod}"}}"#));
    let found = derive(
        &rule,
        &crate::rule::testing::series(&found.each_ref().map(|line| &**line)),
        &table.resources,
    );
    let metric = found
        .metrics
        .iter()
        .find(|metric| metric.resource() == Some(&GroupResource::pods()));
    let served = Served {
        rule,
        metric: metric.unwrap().clone(),
        standing: Standing::Answers,
    };
    let request = request::request(
        &served.metric,
        Some("shop".to_owned()),
        ObjectName::All,
        &Selector::everything(),
    );
    let names = ["a", "b", "c"].map(str::to_owned);
    let plan = query::plan(&request, &served, &names).unwrap();
    let samples = pods.iter().map(|(labels, value)| Sample {
        labels: labels_of(labels),
        value: value.parse().unwrap(),
        timestamp: Timestamp::UNIX_EPOCH,
    });
    let answer = InstantVector {
        samples: samples.collect(),
        ..InstantVector::default()
    };
    let projection = query::project(&plan, &answer, Timestamp::UNIX_EPOCH);
    let tally = projection.tally();
    assert_eq!(tally.dropped.len(), 5, "{tally:?}");
    let counts: BTreeMap<&str, u64> = shown
        .iter()
        .map(|(reason, (count, _))| (*reason, *count))
        .collect();
    let counted = tally
        .dropped
        .iter()
        .map(|(reason, count)| (reason.code(), *count));
    assert_eq!(counts, counted.collect::<BTreeMap<_, _>>());
    for (row, verdict) in answer.samples.iter().zip(&projection.verdicts) {
        if let Some(reason) = verdict.dropped {
            let (_, sample) = shown[reason.code()];
            assert!(
                sample.contains(&format!("{} {}", row.labels, row.value)),
                "{reason}: {sample:?}"
            );
        }
    }
}
