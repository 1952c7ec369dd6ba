use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Change, StatusKey, StatusKind, StatusTarget, StatusTargets, StatusWriter, merge, notice::notices,
};
use crate::{
    controller::{
        Clock, Leadership,
        events::{EventSink, Notice},
        fake::{FakeApi, until},
        leadership::Claim,
    },
    metrics::Metrics,
};

const RULES: &str = "/apis/metricrule.dev/v1alpha1/namespaces/shop/metricrules";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, at: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 1,
        "lastTransitionTime": at})
}

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-02T03:04:05.678Z";
const NOW_WRITTEN: &str = "2026-01-02T03:04:05Z";

fn accepted(status: &str, reason: &str) -> Value {
    json!({"conditions": [condition("Accepted", status, reason, THEN)]})
}

#[test]
fn times_move_with_the_status_alone() {
    let observed = accepted("True", "Accepted");
    let cases = [
        (None, accepted("True", "Accepted"), NOW_WRITTEN, Change::Major),
        (Some(&observed), accepted("True", "Accepted"), THEN, Change::None),
        (Some(&observed), accepted("True", "Other"), THEN, Change::Major),
        (
            Some(&observed),
            accepted("False", "InvalidTemplate"),
            NOW_WRITTEN,
            Change::Major,
        ),
    ];
    for (observed, mut desired, expected, change) in cases {
        desired["conditions"][0]["lastTransitionTime"] = json!("1999-01-01T00:00:00Z");
        let merged = merge(observed, &desired, time(NOW));
        assert_eq!(
            merged.status["conditions"][0]["lastTransitionTime"],
            json!(expected)
        );
        assert_eq!(merged.change, change, "{desired}");
        assert_eq!(merged.transitions.is_empty(), change == Change::None);
    }
}

#[test]
fn the_kind_of_change() {
    let base = json!({
        "conditions": [condition("Ready", "True", "Serving", THEN), condition("Accepted", "True", "Accepted", THEN)],
        "discovered": {"series": 5, "metrics": 1, "dropped": [{"reason": "A", "count": 1}, {"reason": "B", "count": 2}]},
        "lastError": {"reason": "BackendDown", "time": THEN},
    });
    let edited = |edit: fn(&mut Value)| {
        let mut value = base.clone();
        edit(&mut value);
        value
    };
    let cases = [
        (
            "order of lists that are maps",
            edited(|s| s["conditions"].as_array_mut().unwrap().reverse()),
            Change::None,
        ),
        (
            "their order deeper down",
            edited(|s| s["discovered"]["dropped"].as_array_mut().unwrap().reverse()),
            Change::None,
        ),
        (
            "a null",
            edited(|s| s["observedGeneration"] = Value::Null),
            Change::None,
        ),
        (
            "a count",
            edited(|s| s["discovered"]["series"] = json!(6)),
            Change::Minor,
        ),
        (
            "a message",
            edited(|s| s["conditions"][0]["message"] = json!("x")),
            Change::Minor,
        ),
        (
            "the time of an error",
            edited(|s| s["lastError"]["time"] = json!(NOW)),
            Change::None,
        ),
        (
            "another error",
            edited(|s| s["lastError"] = json!({"reason": "X", "time": NOW})),
            Change::Major,
        ),
        (
            "a warning more",
            edited(|s| {
                s["warnings"] =
                    json!([{"reason": "DuplicateRows", "path": "spec.metricsQuery", "message": "m"}]);
            }),
            Change::Major,
        ),
        (
            "a generation",
            edited(|s| s["conditions"][1]["observedGeneration"] = json!(2)),
            Change::Major,
        ),
        (
            "the status's generation",
            edited(|s| s["observedGeneration"] = json!(2)),
            Change::Major,
        ),
        (
            "a condition less",
            edited(|s| drop(s["conditions"].as_array_mut().unwrap().pop())),
            Change::Major,
        ),
        ("no conditions", json!({}), Change::Major),
    ];
    for (case, desired, change) in cases {
        assert_eq!(merge(Some(&base), &desired, time(NOW)).change, change, "{case}");
    }
    // What someone wrote there by hand is replaced.
    let broken = json!({"conditions": [{"type": "Ready", "status": 7}]});
    assert_eq!(merge(Some(&broken), &base, time(NOW)).change, Change::Major);
}

fn key(name: &str) -> StatusKey {
    StatusKey {
        kind: StatusKind::MetricRule,
        namespace: Some("shop".into()),
        name: name.into(),
    }
}

#[test]
fn a_limit_that_takes_a_metric_away_is_told_once() {
    let status = |reason| json!({"conditions": [condition("Discovered", "True", reason, THEN)]});
    let told = |from, to| {
        let transitions = merge(Some(&status(from)), &status(to), time(NOW)).transitions;
        let notices = notices(&key("a"), "u", &transitions);
        notices
            .into_iter()
            .map(|n| (n.warning, n.reason))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("Discovered", "Truncated"), [(true, "Truncated".to_owned())]);
    assert_eq!(told("Truncated", "Truncated"), []);
    assert_eq!(told("Truncated", "Discovered"), []);
}

#[test]
fn events_are_few_and_each_reason_is_told_once() {
    let status = |conditions: &[(&str, &str, &str)]| {
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(kind, status, reason)| condition(kind, status, reason, THEN))
            .collect();
        json!({"conditions": conditions})
    };
    let told = |from: Option<&Value>, to: &Value| -> Vec<(bool, String)> {
        let transitions = merge(from, to, time(NOW)).transitions;
        notices(&key("a"), "u", &transitions)
            .into_iter()
            .map(|n| (n.warning, n.reason))
            .collect()
    };
    let good = status(&[
        ("Accepted", "True", "Accepted"),
        ("ResolvedRefs", "True", "ResolvedRefs"),
        ("Discovered", "True", "Discovered"),
        ("Conflicted", "False", "NoConflict"),
        ("Registered", "True", "Registered"),
        ("Ready", "True", "Serving"),
    ]);
    let broken = status(&[
        ("Accepted", "False", "InvalidTemplate"),
        ("Ready", "False", "InvalidTemplate"),
    ]);
    let down = status(&[
        ("Accepted", "True", "Accepted"),
        ("Discovered", "False", "BackendDown"),
        ("Ready", "True", "Serving"),
    ]);
    let lost = status(&[
        ("Conflicted", "True", "NameTaken"),
        ("Registered", "False", "OwnedByOther"),
    ]);
    let pending = status(&[
        ("Registered", "False", "Unavailable"),
        ("Ready", "Unknown", "Pending"),
    ]);
    let event = |warning, reason: &str| (warning, reason.to_owned());
    assert_eq!(told(None, &good), [event(false, "Serving")]);
    assert_eq!(told(Some(&good), &good), []);
    assert_eq!(told(Some(&good), &broken), [event(true, "InvalidTemplate")]);
    assert_eq!(
        told(Some(&broken), &good),
        [event(false, "Accepted"), event(false, "Serving")]
    );
    assert_eq!(told(Some(&good), &down), [event(true, "BackendDown")]);
    assert_eq!(told(Some(&down), &good), [event(false, "Discovered")]);
    assert_eq!(
        told(Some(&good), &lost),
        [event(true, "NameTaken"), event(true, "OwnedByOther")]
    );
    assert_eq!(told(None, &pending), []);
}

/// The writer, and what stands around it: the index that publishes targets from what the API server holds.
struct World {
    api: FakeApi,
    claim: Claim,
    leadership: Leadership,
    targets: watch::Sender<Arc<StatusTargets>>,
    notices: mpsc::Receiver<Notice>,
    metrics: Metrics,
}

impl World {
    fn start() -> Self {
        let api = FakeApi::new();
        let (claim, leadership) = Leadership::always();
        let (targets, receiver) = watch::channel(Arc::default());
        let (events, notices) = EventSink::collected();
        let metrics = Metrics::new();
        let writer = StatusWriter::new(
            api.client(),
            receiver,
            leadership.clone(),
            events,
            Clock::starting_at(time(THEN)),
            metrics.controller.clone(),
        );
        tokio::spawn(writer.run(CancellationToken::new()));
        Self {
            api,
            claim,
            leadership,
            targets,
            notices,
            metrics,
        }
    }

    fn create(&self, name: &str) {
        self.api.put(
            &format!("{RULES}/{name}"),
            json!({"apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule", "metadata": {"namespace": "shop"}}),
        );
    }

    /// The target for an object as it now is.
    fn target(&self, name: &str, desired: Value) -> (StatusKey, Arc<StatusTarget>) {
        let object = self.api.get(&format!("{RULES}/{name}")).unwrap();
        let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
        let target = StatusTarget {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            observed: object.get("status").cloned(),
            desired,
            term: None,
        };
        (key(name), Arc::new(target))
    }

    fn publish(&self, targets: impl IntoIterator<Item = (StatusKey, Arc<StatusTarget>)>) {
        self.targets.send_replace(Arc::new(targets.into_iter().collect()));
    }

    fn written(&self) -> usize {
        self.api.count(RULES)
    }
}

async fn rest(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_and_only_on_change() {
    let mut world = World::start();
    world.create("a");
    let stale = world.target("a", accepted("False", "InvalidTemplate"));
    world.publish([stale.clone()]);
    until("the status is written", || world.written() == 1).await;
    let write = &world.api.writes(RULES)[0];
    assert_eq!(write.path, format!("{RULES}/a/status"));
    assert!(
        write.query.contains("force=true") && write.query.contains("fieldManager=metricrule"),
        "{}",
        write.query
    );
    assert_eq!(write.body["apiVersion"], json!("metricrule.dev/v1alpha1"));
    assert_eq!(write.body["kind"], json!("MetricRule"));
    assert_eq!(write.body["metadata"]["uid"], json!(stale.1.uid));
    assert_eq!(world.notices.recv().await.unwrap().reason, "InvalidTemplate");

    // The index publishes anew before the watch has brought the write back, and then again after it has.
    world.publish([(stale.0.clone(), Arc::new((*stale.1).clone()))]);
    rest(5).await;
    world.publish([world.target("a", accepted("False", "InvalidTemplate"))]);
    rest(3600).await;
    assert_eq!(world.written(), 1);
    assert!(world.notices.try_recv().is_err());

    // Someone else changes it: it is put right.
    world.api.edit(&format!("{RULES}/a"), |rule| {
        rule["status"]["conditions"] = json!([]);
    });
    world.publish([world.target("a", accepted("False", "InvalidTemplate"))]);
    until("it is written again", || world.written() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_rules_at_rest_cost_nothing_and_are_first_written_eight_at_a_time() {
    let world = World::start();
    world.api.slow(Duration::from_millis(20));
    let names: Vec<String> = (0..1000).map(|number| format!("rule-{number}")).collect();
    for name in &names {
        world.create(name);
    }
    let all = || {
        names
            .iter()
            .map(|name| world.target(name, accepted("True", "Accepted")))
            .collect::<Vec<_>>()
    };
    world.publish(all());
    until("all are written", || world.written() == 1000).await;
    assert_eq!(world.api.most_in_flight(), 8);
    rest(1).await;
    // Ten minutes in which the index publishes again and again, as relists and other events make it do.
    for _ in 0..10 {
        world.publish(all());
        rest(60).await;
    }
    assert_eq!(world.written(), 1000);
}

#[tokio::test(start_paused = true)]
async fn drifting_counts_are_written_once_a_minute_and_a_condition_at_once() {
    let world = World::start();
    world.create("a");
    let status = |series: u64, accepted_is: &str| {
        let mut status = accepted(accepted_is, "Any");
        status["discovered"] = json!({"series": series, "metrics": 1});
        status
    };
    world.publish([world.target("a", status(0, "True"))]);
    until("the first", || world.written() == 1).await;
    for second in 0..600 {
        world.publish([world.target("a", status(second, "True"))]);
        rest(1).await;
    }
    let written = world.written();
    assert!((10..=11).contains(&written), "{written}");
    let start = Instant::now();
    world.publish([world.target("a", status(600, "False"))]);
    until("the condition", || world.written() > written).await;
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_follower_writes_nothing_and_a_former_leader_stops_at_once() {
    let world = World::start();
    world.api.slow(Duration::from_secs(1));
    for number in 0..100 {
        world.create(&format!("rule-{number}"));
    }
    world.publish(
        (0..100).map(|number| world.target(&format!("rule-{number}"), accepted("True", "Accepted"))),
    );
    until("some are written", || world.written() >= 16).await;
    world.claim.lost();
    tokio::task::yield_now().await;
    let written = world.written();
    assert!(written <= 24, "{written}");
    rest(600).await;
    assert_eq!(world.written(), written);
    // Leading again, it goes on where the API server says it is.
    world.publish(
        (0..100).map(|number| world.target(&format!("rule-{number}"), accepted("True", "Accepted"))),
    );
    world.claim.held(Instant::now() + Duration::from_hours(1));
    rest(60).await;
    let done = (0..100)
        .filter(|number| world.api.get(&format!("{RULES}/rule-{number}")).unwrap()["status"].is_object());
    assert_eq!(done.count(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_failing_object_backs_off_alone_and_a_gone_one_is_forgotten() {
    let world = World::start();
    for name in ["bad", "good", "gone", "replaced"] {
        world.create(name);
    }
    world.api.fail("PATCH", &format!("{RULES}/bad/"), 500);
    let targets: Vec<_> = ["bad", "good", "gone", "replaced"]
        .map(|name| world.target(name, accepted("True", "Accepted")))
        .into();
    for name in ["gone", "replaced"] {
        world.api.remove(&format!("{RULES}/{name}"));
    }
    world.create("replaced");
    world.publish(targets);
    rest(120).await;
    let count = |name: &str| world.api.writes(&format!("{RULES}/{name}/")).len();
    assert_eq!((count("good"), count("gone"), count("replaced")), (1, 1, 1));
    assert!((4..=8).contains(&count("bad")), "{}", count("bad"));
    assert!(
        world
            .api
            .get(&format!("{RULES}/replaced"))
            .unwrap()
            .get("status")
            .is_none()
    );
    world.api.heal();
    rest(600).await;
    assert!(world.api.get(&format!("{RULES}/bad")).unwrap()["status"].is_object());
    let text = world.metrics.encode();
    assert!(
        text.contains(r#"metricrule_writes_total{kind="status",outcome="gone"} 2"#),
        "{text}"
    );
}

#[test]
fn an_error_has_the_time_at_which_it_was_seen_first_and_not_1970() {
    let error = |reason: &str, at: &str| json!({"lastError": {"reason": reason, "time": at}});
    let epoch = "1970-01-01T00:00:00Z";
    let cases = [
        ("the first", None, error("BackendDown", THEN), THEN),
        (
            "the first, by one who knows no time",
            None,
            error("BackendDown", epoch),
            NOW_WRITTEN,
        ),
        (
            "the same",
            Some(error("BackendDown", THEN)),
            error("BackendDown", NOW),
            THEN,
        ),
        (
            "another",
            Some(error("BackendDown", THEN)),
            error("QueryRejected", NOW),
            NOW_WRITTEN,
        ),
        // Written by an earlier version.
        (
            "the same, without its time",
            Some(error("BackendDown", epoch)),
            error("BackendDown", NOW),
            NOW_WRITTEN,
        ),
        (
            "one that is over",
            Some(error("BackendDown", THEN)),
            error("BackendDown", THEN),
            THEN,
        ),
    ];
    for (case, observed, desired, expected) in cases {
        let merged = merge(observed.as_ref(), &desired, time(NOW));
        assert_eq!(merged.status["lastError"]["time"], json!(expected), "{case}");
    }
}

mod pace;
