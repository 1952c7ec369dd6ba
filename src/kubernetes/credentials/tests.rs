use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::fake::{FakeApi, until},
    metrics::Metrics,
};

const SECRETS: &str = "/api/v1/namespaces/own/secrets";
const MAPS: &str = "/api/v1/namespaces/own/configmaps";

fn secret(name: &str, version: &str, label: Option<&str>, data: &Value) -> Value {
    let labels = label.map_or_else(|| json!({}), |value| json!({"metricrule.dev/backend": value}));
    json!({"apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {"name": name, "namespace": "own", "uid": name, "resourceVersion": version, "labels": labels}})
}

#[tokio::test(start_paused = true)]
async fn labelled_secrets_and_config_maps_are_followed() {
    let fake = FakeApi::default();
    let token = json!({"token": "YWJj"});
    fake.set_list(
        SECRETS,
        &[
            secret("login", "1", Some("true"), &token),
            secret("metricrule-ca", "1", Some("true"), &token),
            // A server that ignores the selector, or a selector that we forgot.
            secret("other", "1", Some("false"), &token),
            secret("bare", "1", None, &token),
            secret("broken", "1", Some("true"), &json!({"token": "?? s3cr3t"})),
        ],
    );
    fake.fail(MAPS, false, 500);
    let (watch, mut credentials) = CredentialWatch::new(
        fake.client(),
        "own",
        ["metricrule-ca".to_owned()],
        Metrics::new().controller,
    );
    let task = tokio::spawn(watch.run());
    let get = |name: &str, key: &str| credentials.borrow().get(CaRefKind::Secret, name, key);

    until("secrets are listed", || get("login", "token").is_some()).await;
    assert_eq!(get("login", "token").unwrap(), "abc");
    assert!(
        !credentials.borrow().is_synced(),
        "the operator has not listed ConfigMaps yet"
    );
    for absent in ["metricrule-ca", "other", "bare", "broken"] {
        assert_eq!(get(absent, "token"), None, "{absent}");
    }
    let asked = fake
        .asked()
        .into_iter()
        .find(|asked| asked.path == SECRETS)
        .unwrap();
    assert_eq!(asked.query["labelSelector"], "metricrule.dev/backend=true");

    fake.heal(MAPS);
    let map = json!({"metadata": {"name": "ca", "namespace": "own", "resourceVersion": "5",
        "labels": {"metricrule.dev/backend": "true"}}, "data": {"ca.crt": "PEM"}, "binaryData": {"der": "AAE="}});
    fake.set_list(MAPS, &[map]);
    until("all are listed", || credentials.borrow().is_synced()).await;
    let map_data = |key: &str| credentials.borrow().get(CaRefKind::ConfigMap, "ca", key);
    assert_eq!(map_data("ca.crt").unwrap(), "PEM");
    assert_eq!(map_data("der").unwrap(), &[0_u8, 1][..]);
    assert_eq!(get("ca", "ca.crt"), None, "a ConfigMap is no Secret");

    fake.send(
        SECRETS,
        "MODIFIED",
        secret("login", "7", Some("true"), &json!({"token": "eHl6"})),
    )
    .await;
    until("the change is there", || {
        get("login", "token").is_some_and(|token| token == "xyz")
    })
    .await;
    let printed = format!("{:?}", credentials.borrow());
    assert!(
        printed.contains("token") && !printed.contains("xyz") && !printed.contains("eHl6"),
        "{printed}"
    );

    // An event that changes nothing wakes nobody.
    credentials.mark_unchanged();
    fake.send(SECRETS, "MODIFIED", secret("bare", "8", None, &token))
        .await;
    fake.send(SECRETS, "MODIFIED", secret("login", "9", Some("false"), &token))
        .await;
    until("the label is gone, and so is the Secret", || {
        credentials
            .borrow()
            .get(CaRefKind::Secret, "login", "token")
            .is_none()
    })
    .await;
    fake.send(
        MAPS,
        "DELETED",
        json!({"metadata": {"name": "ca", "namespace": "own", "resourceVersion": "9"}}),
    )
    .await;
    until("the ConfigMap is gone", || {
        credentials.borrow().object(CaRefKind::ConfigMap, "ca").is_none()
    })
    .await;
    task.abort();
}

fn requests(fake: &FakeApi) -> TokenRequests {
    TokenRequests::new(fake.client(), "own", ["metricrule".to_owned()])
}

const QUERIER: &str = "/api/v1/namespaces/own/serviceaccounts/querier/token";

/// An API server that answers every request of a token alike.
fn issues(fake: &FakeApi, audiences: &Value) {
    fake.set(
        QUERIER,
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
            "spec": {"audiences": audiences, "expirationSeconds": 600},
            "status": {"token": "s3cr3t", "expirationTimestamp": "2026-01-01T00:00:00Z"}}),
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_are_asked_for_one_audience() {
    let fake = FakeApi::default();
    issues(&fake, &json!(["https://issuer.example.org"]));
    let token = requests(&fake)
        .issue("querier", "prom", Duration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(
        (token.token.expose(), token.lifetime),
        ("s3cr3t", Duration::from_mins(10))
    );
    assert!(!format!("{token:?}").contains("s3cr3t"));
    let asked = fake.asked();
    let specs: Vec<&Value> = asked.iter().map(|asked| &asked.body["spec"]).collect();
    assert!(
        asked
            .iter()
            .all(|asked| (asked.method.as_str(), asked.path.as_str()) == ("POST", QUERIER))
    );
    // What the API server's own audiences are, then the token.
    assert_eq!(
        specs,
        [
            &json!({"audiences": [], "expirationSeconds": 600}),
            &json!({"audiences": ["prom"], "expirationSeconds": 3600})
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_was_sent_a_token_with_the_api_servers_own_audience() {
    let fake = FakeApi::default();
    issues(&fake, &json!(["https://issuer.example.org", "k3s"]));
    let issue = async |audience: &'static str| {
        requests(&fake)
            .issue("querier", audience, Duration::from_hours(1))
            .await
    };
    // What is known of any cluster is not even asked for.
    for audience in [
        "",
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc/",
        "https://kubernetes.default.svc.cluster.local",
        "kubernetes",
        "api",
    ] {
        assert_eq!(
            issue(audience).await.unwrap_err(),
            TokenError::ApiServer(audience.to_owned())
        );
    }
    assert!(fake.asked().is_empty());
    // What only this cluster's API server knows.
    for audience in ["https://issuer.example.org", "k3s"] {
        assert_eq!(
            issue(audience).await.unwrap_err(),
            TokenError::ApiServer(audience.to_owned())
        );
    }
    let asked = fake.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.body["spec"]["audiences"] == json!([]))
    );
    // One that does not say it is not believed to have none.
    issues(&fake, &json!([]));
    assert!(matches!(
        issue("prom").await.unwrap_err(),
        TokenError::Failed { .. }
    ));

    // A server of its APIs is another thing.
    let token = requests(&fake).issue_for_apis("querier", SHORTEST).await.unwrap();
    assert_eq!(token.token.expose(), "s3cr3t");
}

#[tokio::test(start_paused = true)]
async fn the_operators_own_token_and_missing_accounts_are_refused() {
    let fake = FakeApi::default();
    let issue = async |name: &'static str| {
        requests(&fake)
            .issue(name, "prom", Duration::from_hours(1))
            .await
            .unwrap_err()
    };
    assert_eq!(issue("metricrule").await, TokenError::Own("metricrule".into()));
    assert!(fake.asked().is_empty());
    assert_eq!(issue("gone").await, TokenError::NotFound("gone".into()));
    fake.fail("/api/v1/namespaces/own/serviceaccounts/closed/token", false, 403);
    assert_eq!(issue("closed").await, TokenError::Forbidden("Forbidden".into()));
}
