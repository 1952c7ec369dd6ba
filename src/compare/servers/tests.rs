//! Services of both servers, and the messages about missing permissions.

use serde_json::json;

use super::*;
use crate::{
    compare::{Credential, difference::Tolerance},
    kubernetes::fake::FakeApi,
};

fn api_service(name: &str, service: Option<(&str, &str)>) -> APIService {
    let mut spec = json!({"groupPriorityMinimum": 100, "versionPriority": 100});
    if let Some((namespace, service)) = service {
        spec["service"] = json!({"namespace": namespace, "name": service});
    }
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

const CUSTOM: MetricsApi = MetricsApi::Custom;
const EXTERNAL: MetricsApi = MetricsApi::External;

fn registered(api: MetricsApi, namespace: &str, service: &str) -> Registration {
    let name = api.versions()[0].api_service();
    registration(api, &api_service(name, Some((namespace, service)))).unwrap()
}

#[test]
fn the_peer_is_whoever_is_registered_and_not_ourselves() {
    let own = ServicePort::parse("metricrule-system/metricrule").unwrap();
    let (theirs, ours, other) = (
        registered(CUSTOM, "monitoring", "adapter"),
        registered(CUSTOM, "metricrule-system", "metricrule"),
        registered(EXTERNAL, "keda", "keda-metrics"),
    );
    for (registered, api, expected) in [
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
            peer_service(&registered, api, Some(&own)).unwrap().to_string(),
            expected
        );
    }
    let error = peer_service(&[ours], CUSTOM, Some(&own)).unwrap_err();
    assert!(error.contains("already point to metricrule's Service"), "{error}");
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
        api: None,
        credential: Credential::ServiceAccount {
            namespace: "kube-system".to_owned(),
            name: "horizontal-pod-autoscaler".to_owned(),
        },
        ours: Place::default(),
        peer: Place::default(),
        insecure: false,
        insecure_plain_http: false,
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
    assert!(said.contains("set metricrule's with --service"), "{said}");
    let mut given = options();
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    let said = outcome(&fake, &given).await;
    assert!(said.contains("set --peer-service"), "{said}");
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
        said.contains("the peer cannot be reached: ")
            && said.contains("external metric queue (HPA shop/web)"),
        "{said}"
    );
    assert!(
        fake.asked()
            .iter()
            .any(|asked| asked.path == TOKEN && asked.body["spec"]["audiences"] == json!([]))
    );
}

#[tokio::test]
async fn a_token_went_over_plain_http_without_a_word() {
    crate::backend::install_crypto();
    for (url, good) in [
        ("https://adapter.example.org", true),
        ("http://127.0.0.1:1", true),
        ("http://127.9.9.9:1", true),
        ("http://[::1]:1", true),
        ("http://localhost:1", true),
        ("http://localhost.:1", true),
        ("http://adapter.example.org", false),
        ("http://localhost.example.org", false),
        ("http://127.0.0.1.example.org", false),
        ("http://127.0.0.1@example.org", false),
        ("http://10.0.0.1", false),
        ("http://[fe80::1]", false),
        ("http://0.0.0.0", false),
    ] {
        let url: Url = url.parse().unwrap();
        assert_eq!(check_scheme(&url, false).is_ok(), good, "{url}");
        assert!(check_scheme(&url, true).is_ok(), "{url}");
    }
    let plain = "http://adapter.example.org".parse::<Url>().unwrap();
    for ours in [true, false] {
        let fake = cluster();
        let mut given = options();
        let place = if ours { &mut given.ours } else { &mut given.peer };
        place.url = Some(plain.clone());
        let said = outcome(&fake, &given).await;
        assert!(
            said.contains("compare sends no token over plain http") && said.contains("--insecure-plain-http"),
            "{said}"
        );
        assert!(
            fake.asked().iter().all(|asked| asked.path != TOKEN),
            "none is even asked for"
        );
    }
}

#[tokio::test]
async fn a_token_went_to_any_certificate_since_the_apiservice_says_so() {
    crate::backend::install_crypto();
    let fake = cluster();
    let mut service = api_service("v1beta1.external.metrics.k8s.io", Some(("monitoring", "adapter")));
    service.spec.as_mut().unwrap().insecure_skip_tls_verify = Some(true);
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io";
    fake.set(path, serde_json::to_value(&service).unwrap());
    let mut given = options();
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    let said = outcome(&fake, &given).await;
    for expected in [
        "v1beta1.external.metrics.k8s.io has insecureSkipTLSVerify",
        "--peer-ca",
        "--insecure-skip-tls-verify",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    // Who says so goes on, to the Service, which is not there.
    given.insecure = true;
    let said = outcome(&fake, &given).await;
    assert!(
        said.contains("the Service monitoring/adapter: not found"),
        "{said}"
    );
}

#[tokio::test]
async fn a_namespace_that_is_misspelt_was_the_same() {
    crate::backend::install_crypto();
    let fake = cluster();
    let mut given = options();
    given.namespace = Some("shpo".to_owned());
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    given.peer.url = given.ours.url.clone();
    fake.set_list(
        "/apis/autoscaling/v2/namespaces/shpo/horizontalpodautoscalers",
        &[],
    );
    let said = outcome(&fake, &given).await;
    assert_eq!(said, "the namespace \"shpo\": not found");
    // One without HPAs is no error, but nothing is known by it.
    fake.set("/api/v1/namespaces/shpo", json!({"metadata": {"name": "shpo"}}));
    let said = outcome(&fake, &given).await;
    assert!(said.contains("NOTHING COMPARED: 0 HPAs, 0 questions"), "{said}");
}

#[tokio::test]
async fn kedas_hpas_could_not_be_left_out() {
    crate::backend::install_crypto();
    let fake = cluster();
    let external = json!({"type": "External", "external": {
        "metric": {"name": "s0-prometheus"}, "target": {"type": "AverageValue", "averageValue": "1"},
    }});
    let hpa = |name: &str, meta: Value| {
        let mut hpa = json!({"metadata": meta, "spec": {
            "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": [external],
        }});
        hpa["metadata"]["name"] = json!(name);
        hpa["metadata"]["namespace"] = json!("shop");
        hpa
    };
    let owner = json!([{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "a", "uid": "1"}]);
    let all = [
        hpa("own", json!({})),
        hpa("labelled", json!({"labels": {"scaledobject.keda.sh/name": "a"}})),
        hpa("owned", json!({"ownerReferences": owner})),
    ];
    fake.set_list(HPAS, &all);
    let mut given = options();
    given.ours.url = Some("https://127.0.0.1:1".parse().unwrap());
    given.peer.url = given.ours.url.clone();
    let said = outcome(&fake, &given).await;
    assert!(said.contains("3 HPAs, 1 questions"), "{said}");
    assert!(said.contains("; 2 HPAs of KEDA left out"), "{said}");
    assert!(said.contains("(HPA shop/own)"), "{said}");

    given.api = Some(CUSTOM);
    let said = outcome(&fake, &given).await;
    assert!(
        said.contains("NOTHING COMPARED: 3 HPAs, 0 questions")
            && said.contains("; 1 metrics left out by --api"),
        "{said}"
    );
}

#[test]
fn the_pods_that_are_asked_are_named() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(pods(&names(&["a"]), 1), "pod a");
    assert_eq!(pods(&names(&["a", "b"]), 2), "pods a, b");
    assert_eq!(pods(&names(&["a", "b"]), 5), "pods a, b of 5 that are ready");
}
