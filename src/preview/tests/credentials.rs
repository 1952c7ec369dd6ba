//! Credentials of the cluster, and who receives them: a fake API server, and a Prometheus that remembers what it received.

use serde_json::{Value, json};
use wiremock::MockServer;

use super::{RULE, prometheus, row};
use crate::{
    kubernetes::{client::Connection, fake::FakeApi},
    preview::{Options, input::Files, preview, report::Report},
};

const BACKENDS: &str = "/apis/metricrule.dev/v1alpha1/metricbackends";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/metricrule-system/deployments";
const TOKEN: &str = "/api/v1/namespaces/metricrule-system/serviceaccounts/reader/token";
const SECRET: &str = "/api/v1/namespaces/metricrule-system/secrets/prom-creds";

/// A cluster with an operator, a Secret for its backends, and these `MetricBackends`.
fn cluster(backends: &[Value]) -> FakeApi {
    let fake = FakeApi::default();
    let kinds = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": [{
        "metadata": {"name": ""}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            {"resource": "pods", "responseKind": {"group": "", "version": "v1", "kind": "Pod"}, "scope": "Namespaced",
             "singularResource": "pod", "verbs": ["get", "list"]},
            {"resource": "namespaces", "responseKind": {"group": "", "version": "v1", "kind": "Namespace"}, "scope": "Cluster",
             "singularResource": "namespace", "verbs": ["get", "list"]},
        ]}],
    }]});
    fake.set("/api", kinds);
    fake.set(
        "/apis",
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []}),
    );
    fake.set_list("/api/v1/namespaces", &[json!({"metadata": {"name": "shop"}})]);
    fake.set_list("/apis/autoscaling/v2/horizontalpodautoscalers", &[]);
    fake.set_list(BACKENDS, backends);
    for kind in ["metricrules", "clustermetricrules"] {
        fake.set_list(&format!("/apis/metricrule.dev/v1alpha1/{kind}"), &[]);
    }
    fake.set_list("/api/v1/services", &[]);
    fake.set_list(
        DEPLOYMENTS,
        &[
            json!({"metadata": {"name": "metricrule"}, "spec": {"selector": {}, "template": {"spec": {
                "serviceAccountName": "metricrule", "containers": [],
            }}}}),
        ],
    );
    fake.set(
        SECRET,
        json!({"metadata": {"name": "prom-creds", "labels": {"metricrule.dev/backend": "true"}},
            "data": {"username": "cmVhZGVy", "password": "aHVudGVyMg=="}}),
    );
    fake.set(
        TOKEN,
        json!({"spec": {"audiences": ["https://issuer.example.org"], "expirationSeconds": 600},
            "status": {"token": "t0ken", "expirationTimestamp": "2026-01-01T00:00:00Z"}}),
    );
    fake
}

fn backend(url: &str, auth: &Value) -> Value {
    json!({"apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend",
        "metadata": {"name": "default", "annotations": {"metricrule.dev/is-default": "true"}},
        "spec": {"type": "Prometheus", "prometheus": {"url": url, "allowPlaintextCredentials": true, "auth": auth}}})
}

fn basic() -> Value {
    json!({"type": "Basic", "basic": {"secretRef": {"name": "prom-creds"}}})
}

fn token(account: &str, audience: &str) -> Value {
    json!({"type": "ServiceAccountToken", "serviceAccountToken": {
        "serviceAccountRef": {"name": account}, "audience": audience,
    }})
}

async fn stub() -> MockServer {
    let series = json!([{"__name__": "http_requests_total", "namespace": "shop", "pod": "a"}]);
    prometheus(&series, &json!([row(&json!({"pod": "a"}), "1")])).await
}

async fn look(fake: &FakeApi, files: &[Value], with_credentials: bool) -> Report {
    crate::backend::install_crypto();
    let mut given = Files::default();
    given.add("rule.yaml", RULE).unwrap();
    for (index, file) in files.iter().enumerate() {
        given.add(&format!("{index}.json"), &file.to_string()).unwrap();
    }
    let connection = Connection {
        client: fake.client(),
        namespace: "shop".to_owned(),
        server: "https://kubernetes".to_owned(),
    };
    let options = Options {
        with_credentials,
        ..Options::default()
    };
    preview(Some(&connection), given, &options, &|_| {})
        .await
        .unwrap()
}

/// What the stub was sent as `Authorization`, once for each request.
async fn sent(stub: &MockServer) -> Vec<String> {
    let requests = stub.received_requests().await.unwrap();
    let headers = requests
        .iter()
        .map(|request| request.headers.get("authorization"));
    headers
        .map(|header| {
            header
                .map_or("nothing", |header| header.to_str().unwrap())
                .to_owned()
        })
        .collect()
}

fn asked(fake: &FakeApi, path: &str) -> usize {
    fake.asked().iter().filter(|asked| asked.path == path).count()
}

#[tokio::test]
async fn a_previewed_file_got_the_clusters_secrets() {
    let (good, evil) = (stub().await, stub().await);
    let known = backend(&good.uri(), &basic());
    let stolen = backend(&evil.uri(), &basic());

    let fake = cluster(std::slice::from_ref(&known));
    let report = look(&fake, std::slice::from_ref(&stolen), false).await;
    assert_eq!(sent(&evil).await, [""; 0]);
    assert_eq!(asked(&fake, SECRET), 0, "it is not even read");
    assert!(!report.is_good());
    let problem = report.rules[0].backend.as_ref().unwrap().problem.clone().unwrap();
    for expected in [
        "preview sends nothing: the user name and password in the Secret metricrule-system/prom-creds would go to",
        &evil.uri(),
        "--with-credentials",
    ] {
        assert!(problem.contains(expected), "{problem}");
    }
    // The rest is looked at.
    assert!(report.rules[0].accepted, "{report}");

    // The cluster's own backend is sent them as ever, whether the file has it, too, or not.
    for files in [vec![], vec![known.clone()]] {
        let report = look(&cluster(std::slice::from_ref(&known)), &files, false).await;
        assert!(report.is_good(), "{report}");
    }
    let told = sent(&good).await;
    assert!(
        !told.is_empty() && told.iter().all(|header| header == "Basic cmVhZGVyOmh1bnRlcjI="),
        "{told:?}"
    );

    // Whoever says so may.
    let report = look(&cluster(&[known]), &[stolen], true).await;
    assert!(report.is_good(), "{report}");
    assert!(
        sent(&evil)
            .await
            .iter()
            .all(|header| header.starts_with("Basic "))
    );
}

#[tokio::test]
async fn a_previewed_file_got_tokens_of_the_operators_accounts() {
    let evil = stub().await;
    for account in ["reader", "metricrule"] {
        let stolen = backend(&evil.uri(), &token(account, "prometheus"));
        let fake = cluster(&[]);
        fake.fail(DEPLOYMENTS, false, 403);
        let report = look(&fake, &[stolen], false).await;
        assert!(
            !report.is_good() && report.to_string().contains("--with-credentials"),
            "{report}"
        );
        assert!(fake.asked().iter().all(|asked| !asked.path.ends_with("/token")));
    }
    assert_eq!(sent(&evil).await, [""; 0]);
}

#[tokio::test]
async fn a_token_was_sent_although_the_operators_own_account_was_not_known() {
    let stub = stub().await;
    let known = backend(&stub.uri(), &token("reader", "prometheus"));
    let fake = cluster(std::slice::from_ref(&known));
    fake.fail(DEPLOYMENTS, false, 403);
    let report = look(&fake, &[], false).await;
    assert!(!report.is_good(), "{report}");
    assert!(
        report
            .to_string()
            .contains("whose ServiceAccount must not give a token to a backend"),
        "{report}"
    );
    let none = cluster(std::slice::from_ref(&known));
    none.set_list(DEPLOYMENTS, &[]);
    assert!(
        look(&none, &[], false)
            .await
            .to_string()
            .contains("--operator-namespace")
    );
    for fake in [fake, none] {
        assert_eq!(asked(&fake, TOKEN), 0);
    }
    assert_eq!(sent(&stub).await, [""; 0]);

    let report = look(&cluster(&[known]), &[], false).await;
    assert!(report.is_good(), "{report}");
    assert!(sent(&stub).await.iter().all(|header| header == "Bearer t0ken"));
}

#[tokio::test]
async fn a_previewed_backend_was_sent_a_token_that_the_api_server_takes() {
    let stub = stub().await;
    for audience in ["https://kubernetes.default.svc", "https://issuer.example.org", ""] {
        let wrong = backend(&stub.uri(), &token("reader", audience));
        // Not even by those who say so, or where the cluster's own backend has it.
        for (known, with_credentials) in [(vec![wrong.clone()], false), (vec![], true)] {
            let report = look(&cluster(&known), std::slice::from_ref(&wrong), with_credentials).await;
            assert!(!report.is_good(), "{report}");
        }
    }
    // The own account is the operator's, whatever the audience.
    let own = backend(&stub.uri(), &token("metricrule", "prometheus"));
    assert!(!look(&cluster(&[]), &[own], true).await.is_good());
    assert_eq!(sent(&stub).await, [""; 0]);
}
