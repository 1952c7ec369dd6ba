use jiff::Timestamp;

use super::*;
use crate::{
    api::metric_rule::RuleKey,
    backend::health::{BackendHealth, Ceiling, Throttled},
    controller::{
        fake::{FakeApi, until},
        leadership::{Claim, leadership},
    },
    metrics::Metrics,
    outcome::{Failing, Outcome},
    reason::Reason,
};

const MAP: &str = "/api/v1/namespaces/ns/configmaps/metricrule-outcomes";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// One replica of several on one API server.
struct Replica {
    own: watch::Sender<Arc<Outcomes>>,
    healths: watch::Sender<Arc<Healths>>,
    all: watch::Receiver<Arc<Met>>,
    claim: Claim,
    shutdown: CancellationToken,
}

impl Replica {
    fn start(api: &FakeApi, identity: &str, clock: &Clock) -> Self {
        let (claim, leadership) = leadership();
        let (own, receiver) = watch::channel(Arc::default());
        let (healths, told) = watch::channel(Arc::default());
        let (exchange, all) = OutcomeExchange::new(
            api.client(),
            "ns".into(),
            "metricrule-outcomes".into(),
            identity,
            receiver,
            told,
            leadership,
            clock.clone(),
            Metrics::new().controller,
        );
        let shutdown = CancellationToken::new();
        tokio::spawn(exchange.run(shutdown.clone()));
        Self {
            own,
            healths,
            all,
            claim,
            shutdown,
        }
    }

    fn meets(&self, names: &[&str]) {
        self.own.send_replace(Arc::new(outcomes(names)));
    }

    fn knows(&self) -> Vec<String> {
        self.all
            .borrow()
            .rules
            .keys()
            .map(|key| key.name.clone())
            .collect()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn outcomes(names: &[&str]) -> Outcomes {
    let outcome = |name: &&str| {
        let key = RuleKey {
            namespace: Some("shop".to_owned()),
            name: (*name).to_owned(),
        };
        let failing = Failing {
            reason: Reason::QueryRejected,
            metric: "m".to_owned(),
            backend: "default".to_owned(),
            cause: "c".to_owned(),
            said: None,
            detail: "d".to_owned(),
            since: start(),
        };
        let outcome = Outcome {
            uid: "uid".to_owned(),
            generation: 1,
            failing: Some(failing),
            warned: Vec::new(),
        };
        (key, outcome)
    };
    names.iter().map(outcome).collect()
}

fn cluster() -> (FakeApi, Clock) {
    let api = FakeApi::new();
    api.put(
        MAP,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "ns"}}),
    );
    (api, Clock::starting_at(start()))
}

fn keys(api: &FakeApi) -> Vec<String> {
    let data = api.get(MAP).unwrap()["data"].clone();
    data.as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

async fn rest(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_leader_hears_of_a_rule_whose_queries_fail_on_another_replica_alone() {
    let (api, clock) = cluster();
    let (leader, other) = (
        Replica::start(&api, "pod-0", &clock),
        Replica::start(&api, "pod-1", &clock),
    );
    leader.claim.held(Instant::now() + Duration::from_hours(24));
    other.meets(&["requests"]);
    until("the leader knows", || leader.knows() == ["requests"]).await;
    assert_eq!(keys(&api), ["pod-1"]);
    leader.meets(&["own"]);
    until("both", || leader.knows() == ["own", "requests"]).await;
    other.meets(&[]);
    until("it is over", || leader.knows() == ["own"]).await;
    assert_eq!(keys(&api), ["pod-0"]);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_a_failing_rule_costs_a_write_in_five_minutes_and_a_flapping_one_few() {
    let (api, clock) = cluster();
    let replica = Replica::start(&api, "pod-0", &clock);
    replica.meets(&["requests"]);
    rest(3600).await;
    let written = api.count(MAP);
    assert!((10..=14).contains(&written), "{written}");
    for second in 0..600 {
        replica.meets(if second % 2 == 0 {
            &["requests"]
        } else {
            &["other"]
        });
        rest(1).await;
    }
    let flapping = api.count(MAP) - written;
    assert!((5..=80).contains(&flapping), "{flapping} in ten minutes");
    replica.meets(&[]);
    rest(120).await;
    let written = api.count(MAP);
    rest(3600).await;
    assert_eq!(api.count(MAP), written, "at rest nothing is written");
}

#[tokio::test(start_paused = true)]
async fn what_a_replica_said_goes_with_it_at_once_or_after_a_while() {
    let (api, clock) = cluster();
    let leader = Replica::start(&api, "pod-0", &clock);
    leader.claim.held(Instant::now() + Duration::from_hours(24));
    let told = Replica::start(&api, "pod-1", &clock);
    told.meets(&["requests"]);
    until("the leader knows", || leader.knows() == ["requests"]).await;
    told.shutdown.cancel();
    until("it took its key back", || {
        leader.knows().is_empty() && keys(&api).is_empty()
    })
    .await;

    // One that was killed.
    let report = Report {
        at: clock.now(),
        met: Met {
            rules: outcomes(&["requests"]),
            ..Met::default()
        },
    };
    api.edit(MAP, |map| map["data"]["pod-2"] = json!(encode(&report).unwrap()));
    until("the leader knows", || leader.knows() == ["requests"]).await;
    rest(11 * 60).await;
    assert_eq!(leader.knows(), ["requests"]);
    rest(2 * 60).await;
    assert!(leader.knows().is_empty());
    until("the leader takes its key away", || keys(&api).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_no_report_and_a_map_that_is_not_there_stop_nobody() {
    let (api, clock) = cluster();
    let leader = Replica::start(&api, "pod-0", &clock);
    leader.claim.held(Instant::now() + Duration::from_hours(24));
    api.edit(MAP, |map| {
        map["data"] = json!({"pod-9": "{", "pod-8": "{\"version\":7}"});
    });
    leader.meets(&["own"]);
    until("it knows its own", || leader.knows() == ["own"]).await;
    until("what is none is gone", || keys(&api) == ["pod-0"]).await;
    api.remove(MAP);
    leader.meets(&["own", "two"]);
    until("it knows its own", || leader.knows() == ["own", "two"]).await;
    rest(600).await;
    let written = api.count(MAP);
    api.fail("PATCH", MAP, 403);
    api.put(
        MAP,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "ns"}}),
    );
    rest(3600).await;
    let refused = api.count(MAP) - written;
    assert!((5..=30).contains(&refused), "{refused} tries in an hour");
    api.heal();
    rest(600).await;
    assert_eq!(keys(&api), ["pod-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_that_holds_queries_up_on_another_replica_is_told_until_it_does_no_more() {
    let (api, clock) = cluster();
    let (leader, other) = (
        Replica::start(&api, "pod-0", &clock),
        Replica::start(&api, "pod-1", &clock),
    );
    leader.claim.held(Instant::now() + Duration::from_hours(24));
    let throttled = |wanted| {
        let throttled = Throttled {
            ceiling: Ceiling::Rate,
            limit: 50,
            wanted,
            refused: 3,
            delayed: 1200,
            at: clock.now(),
        };
        let health = BackendHealth {
            throttled: Some(throttled),
            ..BackendHealth::default()
        };
        Arc::new(Healths::from([("default".into(), health)]))
    };
    let wanted = || {
        let all = leader.all.borrow();
        all.throttled.get("default").map(|throttle| throttle.wanted)
    };
    other.healths.send_replace(throttled(781));
    until("the leader knows", || wanted() == Some(790)).await;
    // A lull is no news.
    let written = api.count(MAP);
    other.healths.send_replace(throttled(60));
    rest(60).await;
    assert_eq!((wanted(), api.count(MAP)), (Some(790), written));
    // Nobody asks any more, so that nothing takes it back.
    until("it is over", || wanted().is_none()).await;
    assert_eq!(keys(&api), [""; 0]);
}
