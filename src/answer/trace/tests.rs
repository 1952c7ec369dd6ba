//! Traces of requests, and how far each gets.

use std::sync::Arc;

use jiff::Timestamp;
use language::selector::Selector;
use tokio::time::Instant;

use super::*;
use crate::{
    catalog::{Catalog, Entry, Listing, Standing, derive},
    query::{request::CustomVersion, resolve},
    reason::Reason,
    resource::GroupResource,
    rule::testing::{REQUESTS, compiled, labels, series},
    sample::{InstantVector, Sample},
};

/// Sources that are made up.
struct Fake {
    objects: Result<&'static [&'static str], Reason>,
    value: Result<f64, Reason>,
}

impl Sources for Fake {
    async fn objects(&self, _: &ResourceInfo, _: &request::Custom) -> Result<Vec<String>, Failure> {
        let objects = self.objects.map_err(|reason| Failure::new(reason, "as asked"))?;
        Ok(objects.iter().map(ToString::to_string).collect())
    }

    fn lowest_target(&self, _: &str, _: &str) -> Option<i64> {
        Some(10)
    }

    async fn rows(&self, _: &CompiledRule, ask: &Ask, _: Option<&str>) -> Result<Evaluation, Failure> {
        let value = self
            .value
            .map_err(|reason| unanswered(ask, &BackendError::new(reason, "as asked")))?;
        let rows = InstantVector {
            samples: vec![Sample {
                labels: labels(r#"{pod="a"}"#),
                value,
                timestamp: Timestamp::UNIX_EPOCH,
            }],
            ..InstantVector::default()
        };
        Ok(Evaluation {
            rows: Arc::new(rows.into()),
            at: Timestamp::UNIX_EPOCH,
            asked: Instant::now(),
        })
    }
}

fn catalog() -> Catalog {
    let (table, rule) = compiled("all", REQUESTS);
    let found = series(&[r#"http_requests_total{namespace="shop",pod="a"}"#]);
    let entry = Entry {
        metrics: Arc::new(derive(&rule, &found, &table.resources)),
        listing: Listing::Current,
    };
    Catalog::build(Arc::new(table), [entry])
}

fn route(metric: &str, object: ObjectName, selector: &str) -> MetricRequest {
    MetricRequest::Custom(request::Custom {
        version: CustomVersion::V1beta2,
        namespace: Some("shop".to_owned()),
        resource: GroupResource::pods(),
        object,
        metric: metric.to_owned(),
        label_selector: Selector::everything(),
        metric_selector: Selector::parse(selector).unwrap(),
    })
}

/// The steps that have a result, and how it ended: `resolved objects plan: InvalidSelector`.
fn told(trace: Trace) -> String {
    let steps = [
        ("resolved", trace.resolved.is_ok()),
        ("objects", trace.objects.is_some()),
        ("plan", trace.plan.is_some()),
        ("outcome", trace.outcome.is_some()),
        ("projection", trace.projection.is_some()),
    ];
    let done: Vec<&str> = steps
        .into_iter()
        .filter(|(_, done)| *done)
        .map(|(step, _)| step)
        .collect();
    let end = match trace.into_items() {
        Ok(None) => "nothing to ask".to_owned(),
        Ok(Some(items)) => format!("{} items", items.custom().unwrap().len()),
        Err(failure) => failure.reason.code().to_owned(),
    };
    format!("{}: {end}", done.join(" "))
}

#[tokio::test]
async fn a_trace_ends_at_the_step_that_fails() {
    let catalog = catalog();
    let metric = "http_requests_per_second";
    let list = || route(metric, ObjectName::All, "");
    let named = || route(metric, ObjectName::Named("a".to_owned()), "");
    let (all, value) = (Ok(&["a", "b"][..]), Ok(1.0));
    for (route, standing, objects, value, expected) in [
        (
            list(),
            Standing::Answers,
            all,
            value,
            "resolved objects plan outcome projection: 1 items",
        ),
        (
            named(),
            Standing::Answers,
            Err(Reason::ObjectsForbidden),
            value,
            "resolved objects plan outcome projection: 1 items",
        ),
        (
            route("other", ObjectName::All, ""),
            Standing::Answers,
            all,
            value,
            ": UnknownMetric",
        ),
        (
            list(),
            Standing::Unlisted(None),
            all,
            value,
            "resolved: NotSynced",
        ),
        (
            list(),
            Standing::Answers,
            Err(Reason::ObjectsForbidden),
            value,
            "resolved: ObjectsForbidden",
        ),
        (
            route(metric, ObjectName::All, "a>1"),
            Standing::Answers,
            all,
            value,
            "resolved objects: InvalidSelector",
        ),
        (
            list(),
            Standing::Answers,
            Ok(&[][..]),
            value,
            "resolved objects plan: nothing to ask",
        ),
        (
            list(),
            Standing::Answers,
            all,
            Err(Reason::BackendDown),
            "resolved objects plan: BackendDown",
        ),
        (
            named(),
            Standing::Answers,
            all,
            Ok(f64::NAN),
            "resolved objects plan outcome projection: NoData",
        ),
    ] {
        let resolved = resolve(&catalog, &route).map(|served| Served { standing, ..served });
        let trace = run(&route, &catalog.table, resolved, &Fake { objects, value }).await;
        assert_eq!(told(trace), expected, "{route:?}");
    }
}

#[tokio::test]
async fn a_trace_says_what_became_of_each_row() {
    let (catalog, route) = (catalog(), route("http_requests_per_second", ObjectName::All, ""));
    let fake = Fake {
        objects: Ok(&["b"]),
        value: Ok(1.0),
    };
    let trace = run(&route, &catalog.table, resolve(&catalog, &route), &fake).await;
    assert_eq!(trace.objects.as_deref(), Some(&["b".to_owned()][..]));
    assert_eq!(trace.plan.as_ref().unwrap().target, Some(10));
    let verdicts = &trace.projection.as_ref().unwrap().verdicts;
    assert_eq!(verdicts[0].dropped, Some(Reason::ForeignObject));
    assert_eq!(trace.tally().dropped(Reason::ForeignObject), 1);
}
