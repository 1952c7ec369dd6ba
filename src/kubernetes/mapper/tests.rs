use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::fake::{FakeApi, until},
    metrics::Metrics,
};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn resource(plural: &str, kind: &str, scope: &str) -> Value {
    json!({"resource": plural, "singularResource": kind.to_lowercase(), "scope": scope,
        "responseKind": {"group": "", "version": "", "kind": kind}, "verbs": ["list"],
        "subresources": [{"subresource": "status", "responseKind": {"kind": kind}, "verbs": ["get"]}]})
}

fn version(version: &str, freshness: &str, resources: &[Value]) -> Value {
    json!({"version": version, "freshness": freshness, "resources": resources})
}

fn group(name: &str, versions: &[Value]) -> Value {
    json!({"metadata": {"name": name}, "versions": versions})
}

fn document(groups: &[Value]) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups})
}

fn list(groups: &[Value]) -> APIGroupDiscoveryList {
    serde_json::from_value(document(groups)).unwrap()
}

fn core() -> Value {
    let resources = [
        resource("pods", "Pod", "Namespaced"),
        resource("nodes", "Node", "Cluster"),
        // Prints as it does in a real cluster: an empty singular name is left to the kind.
        json!({"resource": "namespaces", "singularResource": "", "scope": "Cluster", "responseKind": {"kind": "Namespace"}}),
        json!({"resource": "oddities", "scope": "Cluster"}),
    ];
    group("", &[version("v1", "Current", &resources)])
}

fn lines(resources: &Resources) -> Vec<String> {
    let scope = |row: &ResourceInfo| {
        if row.scope == Scope::Cluster {
            " cluster"
        } else {
            ""
        }
    };
    resources
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {}{}",
                row.group_resource,
                row.singular,
                row.api_version(),
                row.kind,
                scope(row)
            )
        })
        .collect()
}

#[test]
fn the_order_is_the_clusters_and_the_version_the_preferred_one() {
    let apps = group(
        "apps",
        &[version(
            "v1",
            "Current",
            &[resource("deployments", "Deployment", "Namespaced")],
        )],
    );
    let batch = group(
        "batch",
        &[
            version("v1", "Current", &[resource("jobs", "Job", "Namespaced")]),
            version(
                "v1beta1",
                "Current",
                &[
                    resource("jobs", "Job", "Namespaced"),
                    resource("cronjobs", "CronJob", "Namespaced"),
                ],
            ),
        ],
    );
    let metrics = group(
        "metrics.k8s.io",
        &[version(
            "v1beta1",
            "Current",
            &[resource("pods", "PodMetrics", "Namespaced")],
        )],
    );
    let own = group(
        "custom.metrics.k8s.io",
        &[version(
            "v1beta2",
            "Current",
            &[resource("pods/x", "X", "Namespaced")],
        )],
    );
    let mapping = mapping(
        &list(&[core()]),
        &list(&[apps, own, metrics, batch]),
        &Resources::default(),
    );
    assert_eq!(
        lines(&mapping),
        [
            "pods pod v1 Pod",
            "nodes node v1 Node cluster",
            "namespaces namespace v1 Namespace cluster",
            "deployments.apps deployment apps/v1 Deployment",
            "pods.metrics.k8s.io podmetrics metrics.k8s.io/v1beta1 PodMetrics",
            "jobs.batch job batch/v1 Job",
            "cronjobs.batch cronjob batch/v1beta1 CronJob",
        ]
    );
    assert_eq!(
        mapping.find(None, "pod").unwrap().api_version(),
        "v1",
        "the core group comes first"
    );
}

#[test]
fn what_was_known_of_a_stale_group_stays_until_it_is_fresh_or_gone() {
    let widgets =
        |freshness: &str, resources: &[Value]| group("example.com", &[version("v1", freshness, resources)]);
    let other = group(
        "other.io",
        &[version(
            "v1",
            "Current",
            &[resource("things", "Thing", "Cluster")],
        )],
    );
    let widget = [resource("widgets", "Widget", "Namespaced")];
    let fresh = mapping(
        &list(&[core()]),
        &list(&[widgets("Current", &widget), other.clone()]),
        &Resources::default(),
    );

    let stale = mapping(
        &list(&[core()]),
        &list(&[widgets("Stale", &[]), other.clone()]),
        &fresh,
    );
    assert_eq!(lines(&stale), lines(&fresh));
    let again = mapping(
        &list(&[core()]),
        &list(&[widgets("Stale", &[]), other.clone()]),
        &stale,
    );
    assert_eq!(lines(&again), lines(&fresh));

    let empty = mapping(
        &list(&[core()]),
        &list(&[widgets("Current", &[]), other.clone()]),
        &stale,
    );
    assert!(
        empty.find(None, "widgets").is_none(),
        "a fresh document is believed"
    );
    let gone = mapping(&list(&[core()]), &list(&[other]), &stale);
    assert!(gone.find(None, "widgets").is_none());
    assert!(gone.find(None, "things").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_keeps_what_is_known_and_kinds_come_and_go_with_their_crd() {
    let fake = FakeApi::default();
    fake.set("/api", document(&[core()]));
    fake.set_list(CRDS, &[]);
    fake.fail("/apis", false, 500);
    let metrics = Metrics::new();
    let (mapper, resources) = Mapper::new(fake.client(), metrics.controller.clone());
    let task = tokio::spawn(mapper.run());
    until("failures are counted", || {
        metrics
            .encode()
            .contains(r#"watch_restarts_total{kind="discovery"} 2"#)
    })
    .await;
    assert!(resources.borrow().is_empty(), "half an answer is none");

    fake.heal("/apis");
    fake.set("/apis", document(&[]));
    until("the core group is there", || {
        resources.borrow().find(None, "pod").is_some()
    })
    .await;
    let before = resources.borrow().clone();
    assert!(
        fake.asked()
            .iter()
            .any(|asked| asked.path == "/apis" && asked.accept.contains("as=APIGroupDiscoveryList"))
    );

    // Quiet from here on but for the interval, and a failure changes nothing.
    sleep(Duration::from_secs(30)).await;
    fake.fail("/apis", false, 503);
    sleep(INTERVAL).await;
    assert_eq!(*resources.borrow(), before);
    fake.heal("/apis");
    sleep(Duration::from_mins(1)).await;

    let widget = [resource("widgets", "Widget", "Namespaced")];
    fake.set(
        "/apis",
        document(&[group("example.com", &[version("v1", "Current", &widget)])]),
    );
    let definition = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "widgets.example.com", "resourceVersion": "200"}});
    let started = tokio::time::Instant::now();
    fake.send(CRDS, "ADDED", definition.clone()).await;
    until("the new kind is there", || {
        resources.borrow().find(None, "widget").is_some()
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );

    sleep(Duration::from_secs(30)).await;
    fake.set("/apis", document(&[]));
    let ended = tokio::time::Instant::now();
    fake.send(CRDS, "DELETED", definition).await;
    until("the kind is gone", || {
        resources.borrow().find(None, "widget").is_none()
    })
    .await;
    assert!(ended.elapsed() < Duration::from_secs(2), "{:?}", ended.elapsed());
    assert!(resources.borrow().find(None, "pod").is_some());
    task.abort();
}
