use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Election, LeaseConfig,
    decide::{Decision, Seen, decide},
};
use crate::{
    controller::{
        Clock, Leadership,
        fake::{FakeApi, until},
    },
    metrics::Metrics,
};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/metricrule";

fn time() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn lease(holder: &str, seconds: Option<i32>) -> Lease {
    Lease {
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: seconds,
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        }),
        ..Lease::default()
    }
}

#[tokio::test(start_paused = true)]
async fn the_decision() {
    let start = Instant::now();
    let ours = Duration::from_secs(15);
    let at = |seconds| start + Duration::from_secs(seconds);
    // (lease, seconds since its record changed, may we write, transitions written)
    let cases = [
        (None, 0, true, 0),
        (Some(lease("me", Some(15))), 0, true, 3),
        (Some(lease("me", Some(15))), 100, true, 3),
        (Some(lease("", Some(1))), 0, true, 4),
        (Some(lease("other", Some(15))), 0, false, 0),
        (Some(lease("other", Some(15))), 14, false, 0),
        (Some(lease("other", Some(15))), 15, true, 4),
        // The holder's own duration counts, not ours.
        (Some(lease("other", Some(60))), 59, false, 0),
        (Some(lease("other", Some(60))), 60, true, 4),
        (Some(lease("other", None)), 14, false, 0),
        (Some(lease("other", None)), 15, true, 4),
        (Some(lease("other", Some(-1))), 15, true, 4),
        (Some(Lease::default()), 0, true, 1),
    ];
    for (lease, seconds, may, transitions) in cases {
        let seen = lease.as_ref().map(|lease| Seen::observe(None, lease, start));
        let decision = decide(seen.as_ref(), "me", ours, at(seconds), time());
        match decision {
            Decision::Write(spec) => {
                assert!(may, "{lease:?} after {seconds} s");
                assert_eq!(spec.holder_identity.as_deref(), Some("me"));
                assert_eq!(spec.lease_transitions, Some(transitions), "{lease:?}");
                assert_eq!(spec.lease_duration_seconds, Some(15));
                assert_eq!(spec.renew_time.unwrap().0, time());
            }
            Decision::Wait { holder } => {
                assert!(!may, "{lease:?} after {seconds} s");
                assert_eq!(&*holder, "other");
            }
        }
    }
    // The same record seen again does not start its time anew; another one does.
    let seen = Seen::observe(None, &lease("other", Some(15)), start);
    let again = Seen::observe(Some(seen.clone()), &lease("other", Some(15)), at(10));
    assert_eq!(again, seen);
    assert_ne!(
        Seen::observe(Some(seen), &lease("other", Some(16)), at(10)),
        again
    );
}

#[test]
fn unsafe_configurations_are_refused() {
    let good = LeaseConfig::new("ns", "metricrule", "me");
    good.check().unwrap();
    let second = Duration::from_secs(1);
    for config in [
        LeaseConfig::new("ns", "metricrule", ""),
        LeaseConfig {
            duration: Duration::from_millis(900),
            ..good.clone()
        },
        LeaseConfig {
            renew_deadline: good.duration,
            ..good.clone()
        },
        LeaseConfig {
            retry: second * 5,
            ..good.clone()
        },
    ] {
        assert!(config.check().is_err(), "{config:?}");
    }
}

struct Replica {
    leadership: Leadership,
    release: CancellationToken,
    task: JoinHandle<()>,
}

fn replica(api: &FakeApi, identity: &str) -> Replica {
    let (election, leadership) = Election::new(
        api.client(),
        LeaseConfig::new("ns", "metricrule", identity),
        Clock::starting_at(time()),
        Metrics::new().controller,
    )
    .unwrap();
    let release = CancellationToken::new();
    let task = tokio::spawn(election.run(release.clone()));
    Replica {
        leadership,
        release,
        task,
    }
}

fn holder(api: &FakeApi) -> Value {
    api.get(PATH)
        .map_or(Value::Null, |lease| lease["spec"]["holderIdentity"].clone())
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_at_once_and_keeps_leading() {
    let api = FakeApi::new();
    let (one, two) = (replica(&api, "one"), replica(&api, "two"));
    let start = Instant::now();
    until("one leads", || {
        one.leadership.is_leader() || two.leadership.is_leader()
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(1));
    let leader = holder(&api);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(one.leadership.is_leader() != two.leadership.is_leader());
        assert_eq!(holder(&api), leader);
    }
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn a_release_hands_over_within_seconds_and_never_to_two() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    let two = replica(&api, "two");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    one.release.cancel();
    until("two leads", || {
        assert!(!(one.leadership.is_leader() && two.leadership.is_leader()));
        two.leadership.is_leader()
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    one.task.await.unwrap();
    assert_eq!(holder(&api), json!("two"));
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], json!(1));
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_succeeded_after_its_lease_and_not_before() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    let two = replica(&api, "two");
    tokio::time::sleep(Duration::from_secs(5)).await;
    one.task.abort();
    let start = Instant::now();
    until("two leads", || two.leadership.is_leader()).await;
    let took = start.elapsed().as_secs();
    assert!((12..=20).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_gives_up_before_another_may_lead() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    let start = Instant::now();
    api.fail("PUT", PATH, 503);
    until("one gives up", || !one.leadership.is_leader()).await;
    let took = start.elapsed();
    assert!(
        took <= Duration::from_secs(10) && took >= Duration::from_secs(7),
        "{took:?}"
    );
    api.heal();
    until("one leads again", || one.leadership.is_leader()).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_calls_hang_gives_up_as_well() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    let start = Instant::now();
    api.hang("PUT", PATH);
    until("one gives up", || !one.leadership.is_leader()).await;
    assert!(start.elapsed() <= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_labelled_or_deleted_does_not_cost_the_leadership() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    api.edit(PATH, |lease| {
        lease["metadata"]["labels"]["team"] = json!("platform");
    });
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(one.leadership.is_leader());
    }
    api.remove(PATH);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(one.leadership.is_leader());
    }
    assert_eq!(holder(&api), json!("one"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_taken_by_force_ends_the_leadership() {
    let api = FakeApi::new();
    let one = replica(&api, "one");
    until("one leads", || one.leadership.is_leader()).await;
    api.edit(PATH, |lease| lease["spec"]["holderIdentity"] = json!("intruder"));
    let start = Instant::now();
    until("one gives up", || !one.leadership.is_leader()).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(holder(&api), json!("intruder"));
}
