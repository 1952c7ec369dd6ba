use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::fake::{FakeApi, until},
    metrics::Metrics,
};

const ONE: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const ALL: &str = "/api/v1/namespaces/kube-system/configmaps";

fn ca() -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem()
}

fn map(version: u32, client_ca: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": NAME, "resourceVersion": version.to_string()},
        "data": {"client-ca-file": client_ca}})
}

fn fake(current: &Value) -> FakeApi {
    let fake = FakeApi::default();
    fake.set(ONE, current.clone());
    fake.set_list(ALL, std::slice::from_ref(current));
    fake
}

fn current(receiver: &Receiver<Option<Arc<AuthenticationConfig>>>) -> Option<CaBundle> {
    let config = receiver.borrow();
    config.as_ref().and_then(|config| config.client_ca.clone())
}

#[tokio::test(start_paused = true)]
async fn follows_the_config_map_and_keeps_the_last_good() {
    let (first, second, third) = (ca(), ca(), ca());
    let bundle = |pem: &str| Some(CaBundle::parse(pem).unwrap());
    let fake = fake(&map(1, &first));
    let (watch, receiver) = AuthenticationWatch::new(fake.client(), Metrics::new().controller);
    assert_eq!(*receiver.borrow(), None);
    let task = tokio::spawn(watch.run());
    until("read", || current(&receiver) == bundle(&first)).await;

    fake.send(ALL, "MODIFIED", map(2, &second)).await;
    until("changed", || current(&receiver) == bundle(&second)).await;
    let asked = fake.asked();
    let watched = asked.iter().filter(|asked| asked.path == ALL);
    assert!(watched.clone().count() > 0);
    for asked in watched {
        assert_eq!(asked.query["fieldSelector"], format!("metadata.name={NAME}"));
    }

    // Neither garbage, nor an object that does not decode, nor a deletion takes the second one away.
    let mut seen = receiver.clone();
    seen.mark_unchanged();
    fake.send(ALL, "MODIFIED", map(3, "garbage")).await;
    let mut undecodable = map(4, "");
    undecodable["data"] = json!("text");
    fake.send(ALL, "MODIFIED", undecodable).await;
    fake.send(ALL, "DELETED", map(5, "")).await;
    fake.send(ALL, "ADDED", map(6, &third)).await;
    timeout(Duration::from_secs(20), seen.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(current(&receiver), bundle(&third));
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn tries_again_until_the_cluster_answers() {
    let pem = ca();
    let fake = fake(&map(1, &pem));
    fake.fail(ONE, false, 500);
    let metrics = Metrics::new();
    let (watch, receiver) = AuthenticationWatch::new(fake.client(), metrics.controller.clone());
    let task = tokio::spawn(watch.run());
    let reads = || fake.asked().iter().filter(|asked| asked.path == ONE).count();
    until("asked again", || reads() >= 3).await;
    assert_eq!(current(&receiver), None);
    fake.heal(ONE);
    until("read", || current(&receiver).is_some()).await;
    let line = format!(
        "metricrule_watch_restarts_total{{kind=\"authentication\"}} {}",
        reads() - 1
    );
    assert!(metrics.encode().contains(&line), "{line}: {}", metrics.encode());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_config_map_that_is_not_there_yet() {
    let pem = ca();
    let fake = FakeApi::default();
    fake.set_list(ALL, &[]);
    let (watch, receiver) = AuthenticationWatch::new(fake.client(), Metrics::new().controller);
    let task = tokio::spawn(watch.run());
    until("watched", || fake.open_watches(ALL) > 0).await;
    assert_eq!(*receiver.borrow(), None);
    fake.send(ALL, "ADDED", map(2, &pem)).await;
    until("read", || current(&receiver).is_some()).await;
    task.abort();
}

#[tokio::test]
async fn a_refusal_at_the_start_is_final_and_says_what_to_bind() {
    let fake = fake(&map(1, &ca()));
    fake.fail(ONE, false, 403);
    let (watch, receiver) = AuthenticationWatch::new(fake.client(), Metrics::new().controller);
    let text = watch.run().await.to_string();
    assert!(
        text.contains("extension-apiserver-authentication-reader"),
        "{text}"
    );
    assert!(
        text.contains("RoleBinding") && text.contains("Forbidden"),
        "{text}"
    );
    assert_eq!(*receiver.borrow(), None);
}
