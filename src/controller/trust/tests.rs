use jiff::SignedDuration;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    controller::{
        authority::{Authority, AuthorityConfig, AuthorityHandles},
        clock::Hand,
        fake::{FakeApi, until},
        leadership::{Claim, leadership},
        registration::{CaBundle, Needs, RegisterMode, Registration, RegistrationConfig},
    },
    metrics::Metrics,
    pki::{CaState, Leaf, ServiceNames},
};

const SECRET: &str = "/api/v1/namespaces/ns/secrets/metricrule-ca";
const API: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// A replica with its own CA of the age given, and an `APIService` that somebody else made for it with `bundle`.
struct World {
    api: FakeApi,
    _claim: Claim,
    hand: Hand,
    handles: AuthorityHandles,
    distrust: watch::Receiver<Arc<Distrust>>,
    notices: mpsc::Receiver<Notice>,
    metrics: Metrics,
    shutdown: CancellationToken,
    _needs: watch::Sender<Needs>,
}

impl World {
    fn new(mode: RegisterMode, ca: &CaState, bundle: Option<&str>) -> Self {
        let api = FakeApi::new();
        api.put(
            "/api/v1/namespaces/ns/services/metricrule",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns"},
                "spec": {"ports": [{"name": "https", "port": 443}]}}),
        );
        let data: serde_json::Map<String, Value> = ca
            .encode()
            .into_iter()
            .map(|(key, value)| (key, json!(ByteString(value))))
            .collect();
        api.put(
            SECRET,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns"}, "data": data}),
        );
        let mut spec = json!({"group": "external.metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "ns", "name": "metricrule", "port": 443}});
        if let Some(bundle) = bundle {
            spec["caBundle"] = json!(ByteString(bundle.into()));
        }
        api.put(
            API,
            json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"labels": {"app.kubernetes.io/managed-by": "argocd"}}, "spec": spec}),
        );

        let (claim, leadership) = leadership();
        claim.held(Instant::now() + Duration::from_hours(24 * 3650));
        let (clock, hand) = Clock::with_hand(start());
        let (events, notices) = EventSink::collected();
        let metrics = Metrics::new();
        let shutdown = CancellationToken::new();
        let (carried, carried_bundle) = watch::channel(None);
        let config = AuthorityConfig {
            namespace: "ns".into(),
            secret: "metricrule-ca".into(),
            service: "metricrule".into(),
            cluster_role: None,
        };
        let (authority, handles) = Authority::new(
            api.client(),
            config,
            carried_bundle,
            leadership.clone(),
            clock.clone(),
            metrics.controller.clone(),
        );
        tokio::spawn(authority.run(shutdown.clone()));
        let (needs, needed) = watch::channel(Needs {
            synced: true,
            apis: [MetricsApi::External].into(),
        });
        let config = RegistrationConfig {
            mode,
            namespace: "ns".into(),
            service: "metricrule".into(),
            cluster_role: None,
        };
        let (registration, states) = Registration::new(
            api.client(),
            config,
            needed,
            CaBundle::Published(handles.bundle.clone()),
            carried,
            leadership.clone(),
            events.clone(),
            clock.clone(),
            metrics.controller.clone(),
        );
        tokio::spawn(registration.run(shutdown.clone()));
        let service = OwnService::new(api.client(), "ns".into(), "metricrule".into());
        let (trust, distrust) = Trust::new(
            service,
            "metricrule-ca".into(),
            leadership,
            clock,
            events,
            metrics.controller.clone(),
        );
        tokio::spawn(trust.run(handles.anchors.clone(), states));
        Self {
            api,
            _claim: claim,
            hand,
            handles,
            distrust,
            notices,
            metrics,
            shutdown,
            _needs: needs,
        }
    }

    fn leaf(&self) -> Vec<u8> {
        self.handles.serving.borrow().as_ref().unwrap().chain[0].to_vec()
    }

    fn distrust(&self) -> Option<Ending> {
        self.distrust.borrow().get(&ApiVersion::ExternalV1beta1).cloned()
    }

    /// Whether kube-apiserver, which has the bundle of the `APIService`, takes the certificate that is served.
    fn is_trusted(&self) -> bool {
        let object = self.api.get(API).unwrap();
        let bundle: ByteString = serde_json::from_value(object["spec"]["caBundle"].clone()).unwrap();
        let anchors = self.handles.anchors.borrow().clone().unwrap();
        pki::carries(&bundle.0, anchors.current.as_bytes())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn rest(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn with_register_never_the_end_of_trust_is_said_months_before_and_is_not_brought_forward() {
    // Made 240 days ago: the next CA is due in three days.
    let ca = CaState::new(start() - days(240)).unwrap();
    let ends = ca.current().certificate().not_after();
    let mut world = World::new(RegisterMode::Never, &ca, Some(&ca.bundle_pem()));
    rest(600).await;
    assert_eq!(world.distrust(), None, "the APIService carries all that there is");
    let first = world.leaf();

    world.hand.ahead(24 * 4);
    rest(4 * 3600).await;
    let ending = world.distrust().unwrap();
    let at = ending.at.unwrap();
    assert!(
        ends.duration_since(at) < SignedDuration::from_hours(1),
        "{at} {ends}"
    );
    assert!(
        ending.message.contains("121 days") || ending.message.contains("120 days"),
        "{}",
        ending.message
    );
    let notice = world.notices.recv().await.unwrap();
    assert_eq!(
        (notice.warning, notice.reason.as_str()),
        (true, "CaBundleOutdated")
    );
    assert_eq!(notice.regarding.kind.as_deref(), Some("Service"));
    let sample = format!(
        r#"metricrule_apiservice_trust_end_timestamp_seconds{{apiservice="v1beta1.external.metrics.k8s.io"}} {}"#,
        at.as_second()
    );
    assert!(
        world.metrics.encode().contains(&sample),
        "{}",
        world.metrics.encode()
    );

    // Day 335 and after: the CA that is trusted goes on issuing.
    world.hand.ahead(24 * 100);
    rest(2 * 3600).await;
    assert_ne!(world.leaf(), first, "leaves are renewed meanwhile");
    assert!(world.is_trusted(), "the next CA was promoted before its time");

    // Somebody puts the bundle right.
    let bundle = world.handles.bundle.borrow().clone().unwrap();
    world.api.edit(API, |object| {
        object["spec"]["caBundle"] = json!(ByteString(bundle.to_vec()));
    });
    let before = world.leaf();
    until("the next CA issues", || world.leaf() != before).await;
    rest(120).await;
    assert!(world.is_trusted());
    assert_eq!(world.distrust(), None);
    assert!(!world.metrics.encode().contains("trust_end_timestamp_seconds{"));
}

#[tokio::test(start_paused = true)]
async fn an_adopted_api_service_without_our_bundle_is_said_to_be_unverified() {
    let ca = CaState::new(start()).unwrap();
    let other = CaState::new(start()).unwrap();
    for bundle in [None, Some(other.bundle_pem())] {
        let mut world = World::new(RegisterMode::Never, &ca, bundle.as_deref());
        rest(120).await;
        let ending = world.distrust().unwrap();
        assert_eq!(ending.at, None);
        assert!(ending.message.contains("cannot verify"), "{}", ending.message);
        assert_eq!(world.notices.recv().await.unwrap().reason, "CaBundleOutdated");
    }
    // In the other modes the registration puts it right before anyone is told.
    let mut world = World::new(RegisterMode::Auto, &ca, None);
    rest(600).await;
    assert_eq!(world.distrust(), None);
    assert!(world.notices.try_recv().is_err());
}

#[test]
fn a_leaf_that_ends_with_its_ca_is_not_renewed_for_nothing() {
    let names = ServiceNames {
        service: "metricrule".to_owned(),
        namespace: "ns".to_owned(),
    };
    let ca = CaState::new(start()).unwrap();
    let end = ca.current().certificate().not_after();
    let leaf = Leaf::issue(ca.current(), &names, end - days(10)).unwrap();
    assert!(!leaf.is_due(ca.current(), end - days(1)));
}
