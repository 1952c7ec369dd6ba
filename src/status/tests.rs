//! Status that facts call for.

use std::sync::Arc;

use super::*;
use crate::{
    catalog::derive,
    outcome::{Failing, Throttle, Warned},
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
    desired(facts(&catalog, &compiled, registration, &Outcomes::new()))
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
    assert_eq!(
        stale.conditions[2].message,
        "MetricBackend \"default\": connection refused; see `kubectl describe metricbackend default`; the operator keeps the series of \
         the last successful listing"
    );
    assert!(
        stale.conditions[5]
            .message
            .contains("see `kubectl describe metricbackend default`"),
        "{}",
        stale.conditions[5].message
    );
    assert_eq!(stale.error, Some((Reason::BackendDown, None)));
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
        let conditions = desired_backend(&table, "default", probe, Heard::default()).conditions;
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
        clock_offset: None,
    };
    assert!(
        reasons(Some(&answered))
            .iter()
            .all(|(status, _)| *status == Some(true))
    );
    assert_eq!(
        reasons(Some(&failed(Reason::ClockSkew))),
        [
            (Some(true), Reason::Reachable),
            (Some(true), Reason::Authenticated),
            (Some(false), Reason::ClockSkew)
        ]
    );
}

#[test]
fn a_backend_whose_clock_is_off_says_so_and_stays_ready() {
    let table = index().table();
    for (clock_offset, words) in [
        (None, "the backend answers queries"),
        (Some(4), "the backend answers queries"),
        (Some(60), "its clock is 60 s ahead of the operator's"),
        (Some(-5), "its clock is 5 s behind the operator's"),
    ] {
        let probe = Probe::Answered {
            version: None,
            clock_offset,
        };
        let desired = desired_backend(&table, "default", Some(&probe), Heard::default());
        assert_eq!(desired.clock_offset, clock_offset);
        let (_, status, reason, message) = desired.conditions.last().unwrap();
        assert_eq!((*status, *reason), (Some(true), Reason::Ready));
        assert!(message.contains(words), "{message}");
    }
}

fn failing(reason: Reason) -> Failing {
    Failing {
        reason,
        metric: "http_requests_per_second".to_owned(),
        backend: "default".to_owned(),
        cause: "the MetricBackend \"default\": the backend could not execute the query".to_owned(),
        said: Some("found duplicate series".to_owned()),
        detail: "422 Unprocessable Entity: execution: found duplicate series".to_owned(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

/// The status of a rule that serves, but for what its queries came to.
fn met(uid: &str, generation: i64, outcome: Outcome) -> Desired {
    let mut index = index();
    let object = rule("shop/r", REQUESTS);
    let key = object.key.clone();
    index.apply_rule(object);
    let table = Arc::new(index.table());
    let compiled = table.get(&key).unwrap().clone();
    let entry = Entry {
        metrics: Arc::new(derive(&compiled, &shop(), &table.resources)),
        listing: Listing::Current,
    };
    let catalog = Catalog::build(table, [entry]);
    let outcome = Outcome {
        uid: uid.to_owned(),
        generation,
        ..outcome
    };
    let outcomes = Outcomes::from([(key, outcome)]);
    desired(facts(&catalog, &compiled, &Registration::Registered, &outcomes))
}

fn uid() -> (String, i64) {
    let object = rule("shop/r", REQUESTS);
    (object.uid, object.generation)
}

fn none() -> Outcome {
    Outcome {
        uid: String::new(),
        generation: 0,
        failing: None,
        warned: Vec::new(),
    }
}

#[test]
fn a_rule_whose_every_query_fails_is_not_ready() {
    let (uid, generation) = uid();
    let outcome = || Outcome {
        failing: Some(failing(Reason::QueryRejected)),
        ..none()
    };
    let status = met(&uid, generation, outcome());
    let ready = status.conditions.last().unwrap();
    assert_eq!((ready.status, ready.reason), (Some(false), Reason::QueryRejected));
    for part in [
        "http_requests_per_second",
        "2026-01-01T00:00:00Z",
        "found duplicate series",
    ] {
        assert!(ready.message.contains(part), "{}", ready.message);
    }
    assert!(!ready.message.contains("422"), "{}", ready.message);
    let (reason, since) = status.error.unwrap();
    assert_eq!(
        (reason, since),
        (Reason::QueryRejected, "2026-01-01T00:00:00Z".parse().ok())
    );
    // Of the spec before an edit, or of another rule of its name: nothing.
    for other in [
        met(&uid, generation - 1, outcome()),
        met("another", generation, outcome()),
    ] {
        let ready = other.conditions.last().unwrap();
        assert_eq!((ready.status, ready.reason), (Some(true), Reason::Serving));
        assert_eq!(other.error, None);
    }
}

#[test]
fn what_answers_were_warned_of_stands_in_the_warnings() {
    let (uid, generation) = uid();
    let warned = |reason, said: Option<&str>| Warned {
        reason,
        metric: "m".to_owned(),
        said: said.map(ToOwned::to_owned),
    };
    let outcome = Outcome {
        warned: vec![
            warned(Reason::DuplicateRows, None),
            warned(Reason::BackendWarning, Some("PromQL info: not a counter")),
        ],
        ..none()
    };
    let status = met(&uid, generation, outcome);
    let warnings: Vec<(Reason, &str)> = status
        .warnings
        .iter()
        .map(|warning| (warning.reason, warning.path.as_str()))
        .collect();
    assert_eq!(
        warnings,
        [
            (Reason::DuplicateRows, "spec.metricsQuery"),
            (Reason::BackendWarning, "spec.metricsQuery")
        ]
    );
    assert!(status.warnings[1].message.ends_with("PromQL info: not a counter"));
    assert_eq!(status.conditions.last().unwrap().reason, Reason::Serving);
}

#[test]
fn a_backend_tells_the_whole_text_of_a_rules_failure_and_several_do_not_take_turns() {
    let table = index().table();
    let key = |name: &str| crate::api::metric_rule::RuleKey {
        namespace: Some("shop".to_owned()),
        name: name.to_owned(),
    };
    let outcome = |reason, since: &str| Outcome {
        failing: Some(Failing {
            since: since.parse().unwrap(),
            ..failing(reason)
        }),
        ..none()
    };
    let outcomes = Outcomes::from([
        (key("a"), outcome(Reason::QueryRejected, "2026-01-02T00:00:00Z")),
        (key("b"), outcome(Reason::LimitExceeded, "2026-01-01T00:00:00Z")),
    ]);
    assert!(failing_of(&outcomes, "other", None).is_none());
    assert_eq!(
        failing_of(&outcomes, "default", None).unwrap().reason,
        Reason::LimitExceeded
    );
    let told = failing_of(&outcomes, "default", Some(Reason::QueryRejected)).unwrap();
    assert_eq!(told.reason, Reason::QueryRejected);
    let probe = Probe::Answered {
        version: None,
        clock_offset: None,
    };
    let heard = Heard {
        failing: Some(told),
        throttle: None,
    };
    let status = desired_backend(&table, "default", Some(&probe), heard);
    let (reason, message, since) = status.error.unwrap();
    assert_eq!(reason, Reason::QueryRejected);
    assert!(
        message.starts_with("422 Unprocessable Entity: execution"),
        "{message}"
    );
    assert_eq!(since, "2026-01-02T00:00:00Z".parse().ok());
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.1 == Some(true)),
        "it is well itself"
    );
}

#[test]
fn a_backend_that_throttles_says_so_with_the_value_to_set() {
    let table = index().table();
    let probe = Probe::Answered {
        version: None,
        clock_offset: Some(-7),
    };
    let throttle = Throttle::new("limits.queriesPerSecond", 50, 781);
    let heard = Heard {
        failing: None,
        throttle: Some(&throttle),
    };
    let status = desired_backend(&table, "default", Some(&probe), heard);
    let (_, is_ready, reason, message) = status.conditions.last().unwrap();
    assert_eq!((*is_ready, *reason), (Some(true), Reason::Throttled));
    assert_eq!(
        message,
        "the backend answers queries; limits.queriesPerSecond: 50 delays queries; set it to 790 or more; its clock is 7 s behind \
         the operator's; the operator compensates for that, but set both by NTP"
    );
    // A backend that does not answer has another care.
    let gone = Probe::Failed {
        reason: Reason::BackendDown,
        message: "connection refused".to_owned(),
    };
    let status = desired_backend(&table, "default", Some(&gone), heard);
    assert_eq!(status.conditions.last().unwrap().2, Reason::BackendDown);
}
