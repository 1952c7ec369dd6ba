use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Authority, AuthorityConfig, AuthorityHandles};
use crate::{
    controller::{
        Clock, Leadership,
        events::EventSink,
        fake::{FakeApi, until},
        leadership::{Claim, leadership},
        registration::{CaBundle, Needs, RegisterMode, Registration, RegistrationConfig},
    },
    metrics::Metrics,
    metrics_api::MetricsApi,
    pki::{CaState, carries},
};

const SECRET: &str = "/api/v1/namespaces/ns/secrets/metricrule-ca";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/metricrule";
const API: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

struct Replica {
    handles: AuthorityHandles,
    leadership: Leadership,
    claim: Claim,
    clock: Clock,
    shutdown: CancellationToken,
    carried: watch::Sender<Option<super::Carried>>,
    metrics: Metrics,
}

impl Replica {
    fn start(api: &FakeApi, clock: &Clock) -> Self {
        let (claim, leadership) = leadership();
        let (carried, carried_receiver) = watch::channel(None);
        let config = AuthorityConfig {
            namespace: "ns".into(),
            secret: "metricrule-ca".into(),
            service: "metricrule".into(),
            cluster_role: Some("metricrule".into()),
        };
        let metrics = Metrics::new();
        let (authority, handles) = Authority::new(
            api.client(),
            config,
            carried_receiver,
            leadership.clone(),
            clock.clone(),
            metrics.controller.clone(),
        );
        let shutdown = CancellationToken::new();
        tokio::spawn(authority.run(shutdown.clone()));
        Self {
            handles,
            leadership,
            claim,
            clock: clock.clone(),
            shutdown,
            carried,
            metrics,
        }
    }

    fn lead(&self) {
        self.claim.held(Instant::now() + Duration::from_hours(24 * 3650));
    }

    fn bundle(&self) -> Option<Arc<[u8]>> {
        self.handles.bundle.borrow().clone()
    }

    fn leaf(&self) -> Vec<u8> {
        self.handles.serving.borrow().as_ref().unwrap().chain[0].to_vec()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn cluster() -> FakeApi {
    let api = FakeApi::new();
    api.put(
        ROLE,
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}),
    );
    api
}

fn clock() -> Clock {
    Clock::starting_at(start())
}

#[tokio::test(start_paused = true)]
async fn two_replicas_that_start_at_once_agree() {
    for leads in [true, false] {
        let api = cluster();
        api.slow(Duration::from_millis(50));
        let (one, two) = (Replica::start(&api, &clock()), Replica::start(&api, &clock()));
        let begin = Instant::now();
        if leads {
            one.lead();
        }
        until("both serve", || {
            [&one, &two]
                .iter()
                .all(|replica| replica.handles.serving.borrow().is_some())
        })
        .await;
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        rest(5).await;
        assert_eq!(one.bundle(), two.bundle());
        assert_ne!(one.leaf(), two.leaf(), "each has its own");
        let created = api.writes("/api/v1/namespaces/ns/secrets").len();
        assert_eq!(created, if leads { 1 } else { 2 });
        let secret = api.get(SECRET).unwrap();
        assert_eq!(
            secret["metadata"]["ownerReferences"][0]["kind"],
            json!("ClusterRole")
        );
        assert_eq!(
            secret["data"]["ca.crt"],
            json!(ByteString(one.bundle().unwrap().to_vec()))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_empty_secret_of_the_chart_is_filled_and_none_is_created() {
    for leads in [true, false] {
        let api = cluster();
        api.put(
            SECRET,
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}),
        );
        let (one, two) = (Replica::start(&api, &clock()), Replica::start(&api, &clock()));
        if leads {
            one.lead();
        }
        until("both agree", || {
            one.bundle().is_some() && one.bundle() == two.bundle()
        })
        .await;
        let secret = api.get(SECRET).unwrap();
        assert_eq!(
            secret["data"]["ca.crt"],
            json!(ByteString(one.bundle().unwrap().to_vec()))
        );
        assert_eq!(
            secret["metadata"]["labels"]["app.kubernetes.io/managed-by"],
            json!("Helm")
        );
        let writes = api.writes("/api/v1/namespaces/ns/secrets");
        assert!(writes.iter().all(|write| write.path == SECRET), "none is created");
    }
}

#[tokio::test(start_paused = true)]
async fn an_emptied_secret_is_a_new_ca() {
    let api = cluster();
    let one = Replica::start(&api, &clock());
    one.lead();
    until("it serves", || one.handles.serving.borrow().is_some()).await;
    let former = one.bundle();
    api.edit(SECRET, |secret| secret["data"] = json!({}));
    until("another CA", || one.bundle() != former).await;
    assert!(api.get(SECRET).unwrap()["data"]["ca.crt"].is_string());
}

async fn rest(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_ca_and_a_deleted_secret_makes_a_new_one() {
    let api = cluster();
    let one = Replica::start(&api, &clock());
    one.lead();
    until("it serves", || one.handles.serving.borrow().is_some()).await;
    let bundle = one.bundle();
    drop(one);
    let one = Replica::start(&api, &clock());
    let two = Replica::start(&api, &clock());
    one.lead();
    until("it serves", || {
        one.handles.serving.borrow().is_some() && two.handles.serving.borrow().is_some()
    })
    .await;
    assert_eq!(one.bundle(), bundle);
    assert_eq!(api.writes(SECRET).len(), 0);
    let begin = Instant::now();
    let leaf = two.leaf();
    api.remove(SECRET);
    until("a new CA", || {
        one.bundle() != bundle && one.bundle() == two.bundle()
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_ne!(two.leaf(), leaf);
}

#[tokio::test(start_paused = true)]
async fn a_garbled_secret_is_left_alone_and_what_was_issued_stays() {
    let api = cluster();
    let one = Replica::start(&api, &clock());
    one.lead();
    until("it serves", || one.handles.serving.borrow().is_some()).await;
    let (leaf, good) = (one.leaf(), api.get(SECRET).unwrap());
    api.edit(SECRET, |secret| {
        secret["data"]["current.key"] = json!(ByteString(b"oops".to_vec()));
    });
    rest(600).await;
    assert_eq!(one.leaf(), leaf);
    assert!(api.writes(SECRET).is_empty());
    // A replica that starts now has nothing to serve, and must not make its own.
    let two = Replica::start(&api, &clock());
    rest(60).await;
    assert!(two.handles.serving.borrow().is_none());
    api.edit(SECRET, |secret| secret["data"] = good["data"].clone());
    let begin = Instant::now();
    until("both agree", || {
        two.bundle() == one.bundle() && two.handles.serving.borrow().is_some()
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn after_an_uninstall_no_secret_is_made() {
    let api = cluster();
    let one = Replica::start(&api, &clock());
    one.lead();
    until("it serves", || one.handles.serving.borrow().is_some()).await;
    api.remove(ROLE);
    api.remove(SECRET);
    rest(60).await;
    assert!(api.get(SECRET).is_none());
    assert!(one.handles.serving.borrow().is_some(), "what it has it serves on");
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_issued_anew_at_two_thirds_of_its_life() {
    let api = cluster();
    let (clock, hand) = Clock::with_hand(start());
    let one = Replica::start(&api, &clock);
    until("it serves", || one.handles.serving.borrow().is_some()).await;
    let leaf = one.leaf();
    let text = one.metrics.encode();
    assert!(
        text.contains(r#"metricrule_certificate_expiry_timestamp_seconds{name="serving"}"#),
        "{text}"
    );
    hand.ahead(19 * 24);
    rest(4000).await;
    assert_eq!(one.leaf(), leaf);
    hand.ahead(24);
    rest(4000).await;
    assert_ne!(one.leaf(), leaf);
}

fn asks(api: &FakeApi, word: &str) {
    api.edit(SECRET, |secret| {
        secret["metadata"]["annotations"] = json!({"metricrule.dev/rotate": word, "theirs": "stays"});
    });
}

fn asked(api: &FakeApi) -> Value {
    api.get(SECRET).unwrap()["metadata"]["annotations"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_rotation_on_request_begins_at_once_and_a_revoked_ca_goes_within_minutes() {
    let api = cluster();
    let (one, two) = (Replica::start(&api, &clock()), Replica::start(&api, &clock()));
    one.lead();
    until("both serve", || {
        one.handles.serving.borrow().is_some() && two.handles.serving.borrow().is_some()
    })
    .await;
    let count = |replica: &Replica| {
        let bundle = replica.bundle().unwrap();
        String::from_utf8(bundle.to_vec())
            .unwrap()
            .matches("BEGIN")
            .count()
    };
    let carry = || {
        one.carried.send_replace(Some(super::Carried {
            bundle: one.bundle().unwrap(),
            since: one.clock.now(),
        }));
    };
    let first = two.bundle().unwrap();

    asks(&api, "soon");
    until("what is not known is taken off", || {
        asked(&api) == json!({"theirs": "stays"})
    })
    .await;
    assert_eq!(count(&one), 1);

    asks(&api, "now");
    until("both know the next CA", || count(&one) == 2 && count(&two) == 2).await;
    assert_eq!(asked(&api), json!({"theirs": "stays"}));
    asks(&api, "now");
    until("another request is answered", || {
        asked(&api) == json!({"theirs": "stays"})
    })
    .await;
    assert_eq!(count(&one), 2, "and begins nothing");

    let leaves = (one.leaf(), two.leaf());
    carry();
    until("new leaves", || one.leaf() != leaves.0 && two.leaf() != leaves.1).await;
    rest(600).await;
    assert!(
        carries(&two.bundle().unwrap(), &first),
        "the former CA stays trusted"
    );

    asks(&api, "revoke");
    until("a next CA", || count(&two) == 3).await;
    let leaves = (one.leaf(), two.leaf());
    carry();
    until("new leaves", || one.leaf() != leaves.0 && two.leaf() != leaves.1).await;
    let promoted = Instant::now();
    until("only the newest is trusted", || {
        count(&one) == 1 && count(&two) == 1
    })
    .await;
    let took = promoted.elapsed();
    assert!(
        took >= Duration::from_secs(50) && took <= Duration::from_secs(90),
        "{took:?}"
    );
    assert_eq!(asked(&api), json!({"theirs": "stays"}));
}

/// Authority and registration together, as the composition root joins them, from a CA that has come of age.
#[tokio::test(start_paused = true)]
async fn a_rotation_goes_from_the_bundle_through_the_api_services_to_the_leaves() {
    let api = cluster();
    api.put(
        "/api/v1/namespaces/ns/services/metricrule",
        json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "ns"}, "spec": {"ports": [{"name": "https", "port": 443}]}}),
    );
    let old = CaState::new(start() - jiff::SignedDuration::from_hours(24 * 250)).unwrap();
    let data: serde_json::Map<String, Value> = old
        .encode()
        .into_iter()
        .map(|(key, value)| (key, json!(ByteString(value))))
        .collect();
    api.put(
        SECRET,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns"}, "data": data}),
    );
    // The API server refuses the new caBundle at first.
    api.put(
        API,
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "metricrule"}},
        "spec": {"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
            "versionPriority": 100, "caBundle": ByteString(old.bundle_pem().into_bytes()),
            "service": {"namespace": "ns", "name": "metricrule", "port": 443}}}),
    );
    api.fail("PATCH", API, 500);

    let (clock, hand) = Clock::with_hand(start());
    let (one, two) = (Replica::start(&api, &clock), Replica::start(&api, &clock));
    let (_needs, needs) = watch::channel(Needs {
        synced: true,
        apis: [MetricsApi::External].into(),
    });
    let (registration, _state) = Registration::new(
        api.client(),
        RegistrationConfig {
            mode: RegisterMode::Auto,
            namespace: "ns".into(),
            service: "metricrule".into(),
            cluster_role: Some("metricrule".into()),
        },
        needs,
        CaBundle::Published(one.handles.bundle.clone()),
        one.carried.clone(),
        one.leadership.clone(),
        EventSink::collected().0,
        one.clock.clone(),
        Metrics::new().controller,
    );
    tokio::spawn(registration.run(CancellationToken::new()));
    one.lead();
    let certificates = |replica: &Replica| {
        let bundle = replica.bundle().unwrap();
        String::from_utf8(bundle.to_vec())
            .unwrap()
            .matches("BEGIN")
            .count()
    };
    until("the next CA is in the bundle", || {
        one.bundle().is_some() && certificates(&one) == 2
    })
    .await;
    let (first, second) = (one.leaf(), two.leaf());
    rest(600).await;
    assert_eq!(one.leaf(), first, "not while the APIService lacks the next CA");
    api.heal();
    let carried = || {
        let bundle = api.get(API).unwrap()["spec"]["caBundle"].clone();
        let bundle: ByteString = serde_json::from_value(bundle).unwrap();
        carries(&bundle.0, &one.bundle().unwrap())
    };
    until("the APIService carries it", &carried).await;
    let begin = Instant::now();
    until("new leaves", || one.leaf() != first && two.leaf() != second).await;
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_secs(55) && took <= Duration::from_secs(100),
        "{took:?}"
    );
    assert_eq!(certificates(&one), 2, "the former CA is still trusted");
    assert!(carried());
    hand.ahead(29 * 24);
    rest(4000).await;
    assert_eq!(certificates(&one), 2);
    hand.ahead(2 * 24);
    rest(4000).await;
    assert_eq!((certificates(&one), certificates(&two)), (1, 1));
    until("the APIService follows", || {
        let bundle: ByteString =
            serde_json::from_value(api.get(API).unwrap()["spec"]["caBundle"].clone()).unwrap();
        *bundle.0 == *one.bundle().unwrap()
    })
    .await;
}
