//! The status that facts call for.

use std::sync::Arc;

use super::*;
use crate::{
    catalog::derive,
    rule::testing::{REQUESTS, index, rule, series},
    sample::SeriesSet,
};

fn status(at: &str, spec: &str, found: &SeriesSet, listing: Listing, registration: &Registration) -> Desired {
    let mut index = index();
    let object = rule(at, spec);
    let key = object.key.clone();
    index.apply_rule(object);
    let table = Arc::new(index.table());
    let compiled = table.get(&key).unwrap().clone();
    let entry = Entry {
        metrics: Arc::new(derive(&compiled, found, &table.resources)),
        listing,
    };
    let catalog = Catalog::build(table.clone(), [entry]);
    desired(facts(&catalog, &compiled, registration))
}

fn conditions(desired: &Desired) -> Vec<(&'static str, Option<bool>, Reason)> {
    desired
        .conditions
        .iter()
        .map(|c| (c.condition.as_str(), c.status, c.reason))
        .collect()
}

fn shop() -> SeriesSet {
    series(&[r#"http_requests_total{namespace="shop",pod="a"}"#])
}

#[test]
fn a_rule_that_serves() {
    let status = status(
        "shop/r",
        REQUESTS,
        &shop(),
        Listing::Current,
        &Registration::Registered,
    );
    assert_eq!(
        conditions(&status),
        [
            ("Accepted", Some(true), Reason::Accepted),
            ("ResolvedRefs", Some(true), Reason::ResolvedRefs),
            ("Discovered", Some(true), Reason::Discovered),
            ("Conflicted", Some(false), Reason::NoConflict),
            ("Registered", Some(true), Reason::Registered),
            ("Ready", Some(true), Reason::Serving),
        ]
    );
    let discovered = status.discovered.unwrap();
    assert_eq!((discovered.series, discovered.metrics), (1, 1));
    assert_eq!(
        discovered
            .sample
            .first()
            .and_then(|sample| sample.series.as_deref()),
        Some("http_requests_total")
    );
}

#[test]
fn what_is_wrong_with_a_rule_stands_in_accepted_and_ready_with_its_position() {
    let spec = REQUESTS.replace("(<<.GroupBy>>)", "(<<.Nope>>)");
    let status = status("shop/r", &spec, &shop(), Listing::Current, &Registration::Pending);
    for index in [0, 5] {
        let condition = &status.conditions[index];
        assert_eq!(
            (condition.status, condition.reason),
            (Some(false), Reason::InvalidTemplate)
        );
        assert!(
            condition.message.starts_with("spec.metricsQuery:1:11: "),
            "{}",
            condition.message
        );
    }
}

#[test]
fn a_backend_that_is_down_leaves_a_stale_rule_or_one_that_serves_nothing() {
    let failed = || Listing::Failed {
        reason: Reason::BackendDown,
        message: "connection refused".to_owned(),
    };
    let stale = status("shop/r", REQUESTS, &shop(), failed(), &Registration::Registered);
    assert_eq!(
        conditions(&stale)[2],
        ("Discovered", Some(false), Reason::BackendDown)
    );
    assert_eq!(conditions(&stale)[5], ("Ready", Some(true), Reason::Stale));
    assert_eq!(stale.error, Some(Reason::BackendDown));
    let never = status(
        "shop/r",
        REQUESTS,
        &SeriesSet::default(),
        failed(),
        &Registration::Registered,
    );
    assert_eq!(conditions(&never)[5], ("Ready", Some(false), Reason::BackendDown));
    assert_eq!(never.discovered, None);
}

#[test]
fn a_rule_without_series_is_idle() {
    let idle = status(
        "shop/r",
        REQUESTS,
        &SeriesSet::default(),
        Listing::Current,
        &Registration::Registered,
    );
    assert_eq!(
        conditions(&idle)[2],
        ("Discovered", Some(false), Reason::NoSeries)
    );
    assert_eq!(conditions(&idle)[5], ("Ready", Some(true), Reason::Idle));
}

#[test]
fn an_api_of_another_does_not_make_a_rule_unready() {
    let other = Registration::OwnedByOther {
        message: "the Service keda/keda-operator".to_owned(),
    };
    let status = status("shop/r", REQUESTS, &shop(), Listing::Current, &other);
    assert_eq!(
        conditions(&status)[4],
        ("Registered", Some(false), Reason::OwnedByOther)
    );
    assert_eq!(conditions(&status)[5], ("Ready", Some(true), Reason::Serving));
}

#[test]
fn a_message_is_bounded() {
    let long = "ä".repeat(5000);
    let other = Registration::Unavailable { message: long };
    let status = status("shop/r", REQUESTS, &shop(), Listing::Current, &other);
    assert_eq!(status.conditions[4].message.chars().count(), MESSAGE_MAX + 1);
}

#[test]
fn a_backend_that_refuses_the_credentials_is_reachable() {
    let table = index().table();
    let reasons = |probe: Option<&Probe>| {
        let conditions = desired_backend(&table, "default", probe).conditions;
        conditions
            .into_iter()
            .map(|(_, status, reason, _)| (status, reason))
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(None), [(None, Reason::Pending); 3]);
    let failed = |reason| Probe::Failed {
        reason,
        message: "said so".to_owned(),
    };
    assert_eq!(
        reasons(Some(&failed(Reason::Unauthenticated))),
        [
            (Some(true), Reason::Reachable),
            (Some(false), Reason::Unauthenticated),
            (Some(false), Reason::Unauthenticated)
        ]
    );
    assert_eq!(
        reasons(Some(&failed(Reason::BackendDown)))[0],
        (Some(false), Reason::BackendDown)
    );
    let answered = Probe::Answered {
        version: Some("3.5.0".to_owned()),
    };
    assert!(
        reasons(Some(&answered))
            .iter()
            .all(|(status, _)| *status == Some(true))
    );
}
