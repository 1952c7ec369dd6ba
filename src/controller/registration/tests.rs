mod lifetime;
mod others;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    ApiState, CaBundle, Carried, Needs, RegisterMode, Registration, RegistrationConfig, RegistrationState,
};
use crate::{
    controller::{
        Clock, Leadership,
        clock::Hand,
        events::{EventSink, Notice},
        fake::{FakeApi, Write, until},
        leadership::Claim,
    },
    metrics::Metrics,
    metrics_api::MetricsApi,
    pki::CaState,
};

const APIS: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const SERVICE: &str = "/api/v1/namespaces/ns/services/metricrule";
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/metricrule";
const V1: &str = "v1beta1.custom.metrics.k8s.io";
const V2: &str = "v1beta2.custom.metrics.k8s.io";
const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A replica's registration, and an API server with our Service and `ClusterRole`.
struct World {
    api: FakeApi,
    claim: Claim,
    needs: watch::Sender<Needs>,
    bundle: watch::Sender<Option<Arc<[u8]>>>,
    carried: watch::Receiver<Option<Carried>>,
    state: watch::Receiver<RegistrationState>,
    notices: mpsc::Receiver<Notice>,
    shutdown: CancellationToken,
    hand: Hand,
}

fn install(api: &FakeApi) {
    api.put(
        SERVICE,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns"},
            "spec": {"ports": [{"name": "metrics", "port": 8080}, {"name": "https", "port": 443}]}}),
    );
    api.put(
        ROLE,
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": []}),
    );
}

fn bundle() -> Arc<[u8]> {
    CaState::new(start()).unwrap().bundle_pem().into_bytes().into()
}

const NOTHING: [MetricsApi; 0] = [];
const CUSTOM: [MetricsApi; 1] = [MetricsApi::Custom];
const BOTH: [MetricsApi; 2] = MetricsApi::ALL;

impl<const N: usize> From<[MetricsApi; N]> for Needs {
    fn from(apis: [MetricsApi; N]) -> Self {
        Self {
            synced: true,
            apis: apis.into(),
        }
    }
}

impl World {
    fn new(api: &FakeApi, mode: RegisterMode, needs: impl Into<Needs>) -> Self {
        let (claim, leadership) = Leadership::always();
        let (clock, hand) = Clock::with_hand(start());
        let (needs, needs_receiver) = watch::channel(needs.into());
        let (bundle, bundle_receiver) = watch::channel(Some(bundle()));
        let (carried, carried_receiver) = watch::channel(None);
        let (events, notices) = EventSink::collected();
        let config = RegistrationConfig {
            mode,
            namespace: "ns".into(),
            service: "metricrule".into(),
            cluster_role: Some("metricrule".into()),
        };
        let (registration, state) = Registration::new(
            api.client(),
            config,
            needs_receiver,
            CaBundle::Published(bundle_receiver),
            carried,
            leadership,
            events,
            clock,
            Metrics::new().controller,
        );
        let shutdown = CancellationToken::new();
        tokio::spawn(registration.run(shutdown.clone()));
        Self {
            api: api.clone(),
            claim,
            needs,
            bundle,
            carried: carried_receiver,
            state,
            notices,
            shutdown,
            hand,
        }
    }

    fn start(needs: impl Into<Needs>) -> Self {
        let api = FakeApi::new();
        install(&api);
        Self::new(&api, RegisterMode::Auto, needs)
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.api.get(&path(name))
    }

    fn custom(&self) -> ApiState {
        self.state.borrow().apis[MetricsApi::Custom].clone()
    }

    fn external(&self) -> ApiState {
        self.state.borrow().apis[MetricsApi::External].clone()
    }

    fn writes(&self) -> Vec<Write> {
        self.api.writes(APIS)
    }

    /// What kube-apiserver's availability controller does.
    fn check(&self, name: &str, status: &str, reason: &str) {
        self.api.edit(&path(name), |object| {
            object["status"] = json!({"conditions": [{"type": "Available", "status": status, "reason": reason,
                "message": "as checked"}]});
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn path(name: &str) -> String {
    format!("{APIS}/{name}")
}

async fn rest(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_needs_is_registered_and_nothing_else() {
    let world = World::start(CUSTOM);
    let begin = Instant::now();
    until("both versions", || {
        world.get(V1).is_some() && world.get(V2).is_some()
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert!(world.get(EXTERNAL).is_none());
    let object = world.get(V2).unwrap();
    let role = world.api.get(ROLE).unwrap();
    assert_eq!(
        object["spec"],
        json!({"group": "custom.metrics.k8s.io", "version": "v1beta2", "groupPriorityMinimum": 100,
            "versionPriority": 200, "caBundle": ByteString(world.bundle.borrow().as_ref().unwrap().to_vec()),
            "service": {"namespace": "ns", "name": "metricrule", "port": 443}})
    );
    assert_eq!(world.get(V1).unwrap()["spec"]["versionPriority"], json!(100));
    assert_eq!(
        object["metadata"]["labels"],
        json!({"app.kubernetes.io/managed-by": "metricrule"})
    );
    assert_eq!(
        object["metadata"]["ownerReferences"],
        json!([{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "metricrule",
            "uid": role["metadata"]["uid"]}])
    );
    assert_eq!(
        (world.custom(), world.external()),
        (ApiState::Pending, ApiState::NotNeeded)
    );
    world.check(V1, "True", "Passed");
    world.check(V2, "False", "FailedDiscoveryCheck");
    until("unavailable", || matches!(world.custom(), ApiState::Unavailable { message }
        if message == "kube-apiserver cannot reach v1beta2.custom.metrics.k8s.io: FailedDiscoveryCheck: as checked")).await;
    world.check(V2, "True", "Passed");
    until("registered", || world.custom() == ApiState::Registered).await;
    world.needs.send_replace(BOTH.into());
    until("external", || world.get(EXTERNAL).is_some()).await;
    // At rest nothing is written.
    let writes = world.writes().len();
    assert_eq!(writes, 3);
    rest(3600).await;
    assert_eq!(world.writes().len(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_fight_over_one_object_slows_down() {
    let world = World::start(CUSTOM);
    until("made", || world.get(V1).is_some()).await;
    let writes = world.api.writes(&path(V1)).len();
    for _ in 0..600 {
        world
            .api
            .edit(&path(V1), |object| object["spec"]["versionPriority"] = json!(7));
        rest(1).await;
    }
    let fought = world.api.writes(&path(V1)).len() - writes;
    assert!((3..=15).contains(&fought), "{fought}");
}

#[tokio::test(start_paused = true)]
async fn a_follower_and_never_write_nothing() {
    let api = FakeApi::new();
    install(&api);
    let world = World::new(&api, RegisterMode::Never, BOTH);
    rest(60).await;
    assert_eq!(
        (world.custom(), world.external()),
        (ApiState::NotManaged, ApiState::NotManaged)
    );
    assert!(world.writes().is_empty());
    drop(world);
    let world = World::new(&api, RegisterMode::Auto, BOTH);
    world.claim.lost();
    rest(60).await;
    assert!(world.writes().is_empty());
    assert_eq!(world.custom(), ApiState::Pending);
}

#[tokio::test(start_paused = true)]
async fn without_a_ca_nothing_is_made_and_with_somebody_elses_none_is_written() {
    let api = FakeApi::new();
    install(&api);
    let world = World::new(&api, RegisterMode::Auto, BOTH);
    world.bundle.send_replace(None);
    rest(60).await;
    assert!(world.writes().is_empty());
    drop(world);

    let (_claim, leadership) = Leadership::always();
    let (_needs, needs) = watch::channel(CUSTOM.into());
    let (events, _notices) = EventSink::collected();
    let config = RegistrationConfig {
        mode: RegisterMode::Auto,
        namespace: "ns".into(),
        service: "metricrule".into(),
        cluster_role: None,
    };
    let (registration, _state) = Registration::new(
        api.client(),
        config,
        needs,
        CaBundle::LeaveAlone,
        watch::channel(None).0,
        leadership,
        events,
        Clock::starting_at(start()),
        Metrics::new().controller,
    );
    tokio::spawn(registration.run(CancellationToken::new()));
    until("made", || api.get(&path(V1)).is_some()).await;
    assert!(api.get(&path(V1)).unwrap()["spec"].get("caBundle").is_none());
    assert!(
        api.get(&path(V1)).unwrap()["metadata"]
            .get("ownerReferences")
            .is_none()
    );
    // cainjector.
    api.edit(&path(V1), |object| {
        object["spec"]["caBundle"] = json!(ByteString(b"theirs".to_vec()));
    });
    let writes = api.writes(&path(V1)).len();
    rest(600).await;
    assert_eq!(api.writes(&path(V1)).len(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_new_bundle_reaches_all_and_that_is_told() {
    let world = World::start(BOTH);
    until("carried", || world.carried.borrow().is_some()).await;
    rest(10).await;
    let next = bundle();
    world.api.fail("PATCH", &path(EXTERNAL), 500);
    world.bundle.send_replace(Some(Arc::clone(&next)));
    rest(20).await;
    assert!(world.carried.borrow().is_none(), "one still lacks it");
    world.api.heal();
    until("carried again", || {
        world
            .carried
            .borrow()
            .as_ref()
            .is_some_and(|carried| carried.bundle == next)
    })
    .await;
    let since = world.carried.borrow().as_ref().unwrap().since;
    rest(600).await;
    assert_eq!(world.carried.borrow().as_ref().unwrap().since, since);
}
