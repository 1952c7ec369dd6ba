//! Which Service is the peer's, and what is said where a right is lacking.

use serde_json::json;

use super::*;
use crate::{compare::difference::Tolerance, kubernetes::fake::FakeApi};

fn api_service(name: &str, service: Option<(&str, &str)>) -> APIService {
    let mut spec = json!({"groupPriorityMinimum": 100, "versionPriority": 100});
    if let Some((namespace, service)) = service {
        spec["service"] = json!({"namespace": namespace, "name": service});
    }
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

fn registered(group: &'static str, namespace: &str, service: &str) -> Registration {
    registration(
        group,
        &api_service(&format!("v1beta1.{group}"), Some((namespace, service))),
    )
    .unwrap()
}

#[test]
fn the_peer_is_whoever_is_registered_and_not_ourselves() {
    let own = ServicePort::parse("metricrule-system/metricrule").unwrap();
    let (theirs, ours, other) = (
        registered(CUSTOM, "monitoring", "adapter"),
        registered(CUSTOM, "metricrule-system", "metricrule"),
        registered(EXTERNAL, "keda", "keda-metrics"),
    );
    for (registered, group, expected) in [
        (
            vec![theirs.clone(), other.clone()],
            CUSTOM,
            "port 443 of the Service monitoring/adapter",
        ),
        (
            vec![theirs.clone(), other.clone()],
            EXTERNAL,
            "port 443 of the Service keda/keda-metrics",
        ),
        // one server may answer both groups, registered for one
        (
            vec![theirs.clone()],
            EXTERNAL,
            "port 443 of the Service monitoring/adapter",
        ),
        (
            vec![ours.clone(), theirs],
            CUSTOM,
            "port 443 of the Service monitoring/adapter",
        ),
    ] {
        assert_eq!(
            peer_service(&registered, group, Some(&own)).unwrap().to_string(),
            expected
        );
    }
    let error = peer_service(&[ours], CUSTOM, Some(&own)).unwrap_err();
    assert!(error.contains("lead to our own Service already"), "{error}");
    assert!(
        peer_service(&[], CUSTOM, Some(&own))
            .unwrap_err()
            .contains("--peer-service")
    );
}

#[test]
fn an_apiservice_says_what_to_trust() {
    let mut service = api_service("v1beta1.custom.metrics.k8s.io", Some(("a", "b")));
    assert_eq!(registration(CUSTOM, &service).unwrap().trust, Trust::System);
    let spec = service.spec.as_mut().unwrap();
    spec.ca_bundle = Some(k8s_openapi::ByteString(b"PEM".to_vec()));
    assert_eq!(
        registration(CUSTOM, &service).unwrap().trust,
        Trust::Authorities(b"PEM".to_vec())
    );
    service.spec.as_mut().unwrap().insecure_skip_tls_verify = Some(true);
    assert_eq!(registration(CUSTOM, &service).unwrap().trust, Trust::Anyone);
    assert_eq!(registration(CUSTOM, &api_service("local", None)), None);
}

const HPAS: &str = "/apis/autoscaling/v2/horizontalpodautoscalers";
const TOKEN: &str = "/api/v1/namespaces/kube-system/serviceaccounts/horizontal-pod-autoscaler/token";
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta2.custom.metrics.k8s.io";

fn options() -> Options {
    Options {
        namespace: None,
        credential: Credential::ServiceAccount {
            namespace: "kube-system".to_owned(),
            name: "horizontal-pod-autoscaler".to_owned(),
        },
        ours: Place::default(),
        peer: Place::default(),
        insecure: false,
        version: None,
        tolerance: Tolerance { relative: 0.01 },
        samples: 1,
        interval: std::time::Duration::ZERO,
    }
}

/// An API server with one HPA that asks for an external metric.
fn cluster() -> FakeApi {
    let fake = FakeApi::default();
    let kinds = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []});
    fake.set("/api", kinds.clone());
    fake.set("/apis", kinds);
    fake.set_list(
        HPAS,
        &[json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {
            "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [{"type": "External", "external": {
                "metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"},
            }}],
        }})],
    );
    fake.set(TOKEN, json!({"spec": {"audiences": []}, "status": {"token": "abc", "expirationTimestamp": "2026-01-02T02:04:05Z"}}));
    fake.set_list("/api/v1/services", &[]);
    fake
}

async fn outcome(fake: &FakeApi, options: &Options) -> String {
    let connection = crate::kubernetes::client::Connection {
        client: fake.client(),
        namespace: "metricrule-system".to_owned(),
        server: "https://kubernetes".to_owned(),
    };
    match crate::compare::compare(&connection, options, &|_| {}).await {
        Ok(report) => report.to_string(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_is_lacking_is_named() {
    crate::backend::install_crypto();
    for (path, expected) in [
        (
            HPAS,
            "may not list horizontalpodautoscalers.autoscaling in the cluster",
        ),
        (
            TOKEN,
            "may not create serviceaccounts/token in the namespace \"kube-system\"",
        ),
        (
            API_SERVICE,
            "may not get apiservices.apiregistration.k8s.io in the cluster",
        ),
        ("/api/v1/services", "may not list services in the cluster"),
    ] {
        let fake = cluster();
        fake.fail(path, false, 403);
        let said = outcome(&fake, &options()).await;
        assert!(
            said.contains(expected) && said.contains("verbs: ["),
            "{path}: {said}"
        );
    }
}

#[tokio::test]
async fn what_is_not_known_has_its_flag() {
    crate::backend::install_crypto();
    let fake = cluster();
    let said = outcome(&fake, &options()).await;
    assert!(said.contains("give ours by --service"), "{said}");
    let mut given = options();
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    let said = outcome(&fake, &given).await;
    assert!(said.contains("give --peer-service"), "{said}");
}

#[tokio::test]
async fn who_is_not_reached_is_no_difference() {
    crate::backend::install_crypto();
    let mut given = options();
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    given.peer.url = Some("https://127.0.0.1:1".parse().unwrap());
    let fake = cluster();
    let said = outcome(&fake, &given).await;
    assert!(
        said.contains(
            "INCOMPLETE: 1 HPAs, 1 questions, 0 answered alike, 0 differently; 1 metrics not compared"
        ),
        "{said}"
    );
    assert!(
        said.contains("the peer was not reached: ") && said.contains("external metric queue (HPA shop/web)"),
        "{said}"
    );
    assert!(
        fake.asked()
            .iter()
            .any(|asked| asked.path == TOKEN && asked.body["spec"]["audiences"] == json!([]))
    );
}
