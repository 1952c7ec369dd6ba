use serde_json::{Value, json};

use super::*;
use crate::kubernetes::fake::{FakeApi, until};

const PODS: &str = "/api/v1/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";

fn object(namespace: &str, name: &str, app: &str, version: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": version,
        "labels": {"app": app}}})
}

fn deployments(version: &str) -> ResourceInfo {
    ResourceInfo {
        group_resource: GroupResource::new("apps", "deployments"),
        version: version.to_owned(),
        kind: "Deployment".to_owned(),
        singular: "deployment".to_owned(),
        scope: Scope::Namespaced,
    }
}

struct Setup {
    fake: FakeApi,
    objects: Objects,
    metrics: Metrics,
    resources: watch::Sender<Arc<Resources>>,
    task: JoinHandle<Infallible>,
}

impl Setup {
    fn new() -> Self {
        let fake = FakeApi::default();
        fake.set_list(
            PODS,
            &[
                object("shop", "pod-1", "web", "1"),
                object("other", "pod-2", "web", "1"),
            ],
        );
        let metrics = Metrics::new();
        let (resources, receiver) = watch::channel(Arc::new(Resources::new(vec![deployments("v1")])));
        let allowed =
            ["pods", "deployments.apps", "secrets", "gadgets.example.com"].map(GroupResource::parse);
        let objects = Objects::new(fake.client(), receiver, allowed, metrics.clone());
        let task = tokio::spawn(objects.clone().run());
        Self {
            fake,
            objects,
            metrics,
            resources,
            task,
        }
    }

    async fn names(
        &self,
        resource: &str,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<String>, ObjectsError> {
        let selector = Selector::parse(selector).unwrap();
        let rows = self
            .objects
            .list(&GroupResource::parse(resource), Some(namespace), &selector)
            .await?;
        Ok(rows.iter().map(|row| row.name.clone()).collect())
    }

    fn lists(&self, path: &str) -> usize {
        let asked = self.fake.asked();
        asked
            .iter()
            .filter(|asked| asked.path == path && !asked.query.contains_key("watch"))
            .count()
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_watched_from_the_start_and_never_listed_per_request() {
    let setup = Setup::new();
    until("pods are watched", || setup.fake.open_watches(PODS) == 1).await;
    for _ in 0..10 {
        assert_eq!(setup.names("pods", "shop", "app=web").await.unwrap(), ["pod-1"]);
    }
    assert_eq!(setup.lists(PODS), 1);
    assert!(
        setup.metrics.encode().contains(r#"objects{resource="pods"} 2"#),
        "{}",
        setup.metrics.encode()
    );

    setup
        .fake
        .send(PODS, "ADDED", object("shop", "pod-3", "web", "5"))
        .await;
    setup
        .fake
        .send(PODS, "DELETED", object("shop", "pod-1", "web", "6"))
        .await;
    until("both events are there", || {
        setup
            .metrics
            .encode()
            .contains(r#"watch_events_total{kind="Pod"} 3"#)
    })
    .await;
    assert_eq!(setup.names("pods", "shop", "app=web").await.unwrap(), ["pod-3"]);
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_watched_as_metadata_when_first_asked_for_and_until_unused() {
    let setup = Setup::new();
    setup
        .fake
        .set_list(DEPLOYMENTS, &[object("shop", "web", "web", "1")]);
    until("pods are watched", || setup.fake.open_watches(PODS) == 1).await;
    assert_eq!(setup.lists(DEPLOYMENTS), 0);

    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["web"]
    );
    until("deployments are watched", || {
        setup.fake.open_watches(DEPLOYMENTS) == 1
    })
    .await;
    let asked = setup.fake.asked();
    let accept = &asked
        .iter()
        .find(|asked| asked.path == DEPLOYMENTS)
        .unwrap()
        .accept;
    assert!(accept.contains("as=PartialObjectMetadataList"), "{accept}");
    let accept = &asked.iter().find(|asked| asked.path == PODS).unwrap().accept;
    assert!(
        !accept.contains("PartialObjectMetadata"),
        "pods have a status that is needed"
    );

    // In use every ten minutes it stays; after half an hour of silence it ends, and pods do not.
    for _ in 0..6 {
        sleep(Duration::from_mins(10)).await;
        setup.names("deployments.apps", "shop", "").await.unwrap();
    }
    assert_eq!(setup.lists(DEPLOYMENTS), 1);
    sleep(Duration::from_mins(32)).await;
    assert_eq!(setup.fake.open_watches(DEPLOYMENTS), 0);
    assert!(!setup.metrics.encode().contains("deployments.apps"));
    assert_eq!(setup.names("pods", "shop", "").await.unwrap(), ["pod-1"]);
    assert_eq!((setup.lists(PODS), setup.objects.kinds().len()), (1, 1));

    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["web"],
        "and starts again"
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_names_the_rbac_to_add() {
    let setup = Setup::new();
    for resource in ["widgets.example.com", "secrets"] {
        let error = setup.names(resource, "shop", "").await.unwrap_err();
        assert_eq!(error, ObjectsError::Forbidden(GroupResource::parse(resource)));
        assert_eq!(error.reason(), Reason::ObjectsForbidden);
    }
    setup.fake.fail(DEPLOYMENTS, false, 403);
    let error = setup.names("deployments.apps", "shop", "").await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.reason(), Reason::ObjectsForbidden);
    for part in ["rbac.objects", "list and watch", r#""deployments""#, r#""apps""#] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        setup
            .fake
            .asked()
            .iter()
            .all(|asked| !asked.path.contains("secrets"))
    );

    setup.fake.heal(DEPLOYMENTS);
    setup
        .fake
        .set_list(DEPLOYMENTS, &[object("shop", "web", "web", "1")]);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["web"],
        "RBAC was added"
    );

    // RBAC is taken away, and everything is refused from then on.
    setup.fake.fail(DEPLOYMENTS, true, 403);
    setup.fake.fail(DEPLOYMENTS, false, 403);
    setup.fake.close(DEPLOYMENTS);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(
        setup
            .names("deployments.apps", "shop", "")
            .await
            .unwrap_err()
            .reason(),
        Reason::ObjectsForbidden
    );
}

#[tokio::test(start_paused = true)]
async fn one_403_on_the_watch_does_not_turn_pods_away_that_are_known() {
    let setup = Setup::new();
    until("pods are watched", || setup.fake.open_watches(PODS) == 1).await;
    for status in [403, 401] {
        // An API server in its first moments refuses the watch, and the list that follows.
        setup.fake.fail(PODS, true, status);
        setup.fake.fail(PODS, false, status);
        setup.fake.close(PODS);
        for _ in 0..50 {
            assert_eq!(
                setup.names("pods", "shop", "app=web").await.unwrap(),
                ["pod-1"],
                "{status}"
            );
            sleep(Duration::from_millis(100)).await;
        }
        setup.fake.heal(PODS);
        until("pods are watched again", || setup.fake.open_watches(PODS) == 1).await;
        sleep(Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_knows_when_it_has_listed_pods() {
    let setup = Setup::new();
    setup.fake.fail(PODS, false, 403);
    assert!(
        timeout(Duration::from_mins(5), setup.objects.listed())
            .await
            .is_err()
    );
    setup.fake.heal(PODS);
    timeout(Duration::from_mins(2), setup.objects.listed())
        .await
        .unwrap();
    assert_eq!(
        setup.names("pods", "shop", "").await.unwrap(),
        ["pod-1"],
        "without a wait"
    );
    let (_sender, receiver) = watch::channel(Arc::new(Resources::default()));
    let none = Objects::new(FakeApi::default().client(), receiver, [], Metrics::new());
    timeout(Duration::from_millis(1), none.listed()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_waited_for_two_seconds_and_then_forgiven() {
    let setup = Setup::new();
    let started = Instant::now();
    setup.fake.fail(DEPLOYMENTS, false, 500);
    let error = setup.names("deployments.apps", "shop", "").await.unwrap_err();
    assert_eq!(
        error,
        ObjectsError::NotSynced(GroupResource::new("apps", "deployments"))
    );
    assert_eq!(
        (error.reason(), started.elapsed()),
        (Reason::NotSynced, SYNC_WAIT)
    );

    setup.fake.heal(DEPLOYMENTS);
    setup
        .fake
        .set_list(DEPLOYMENTS, &[object("shop", "web", "web", "1")]);
    sleep(Duration::from_mins(1)).await;
    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["web"]
    );

    // Once listed, a failing watch leaves what is known.
    setup.fake.fail(DEPLOYMENTS, true, 500);
    setup.fake.close(DEPLOYMENTS);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["web"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_follows_discovery() {
    let setup = Setup::new();
    let error = setup.names("gadgets.example.com", "shop", "").await.unwrap_err();
    assert_eq!(
        error,
        ObjectsError::Unknown(GroupResource::parse("gadgets.example.com"))
    );

    setup
        .fake
        .set_list(DEPLOYMENTS, &[object("shop", "old", "web", "1")]);
    setup
        .fake
        .set_list("/apis/apps/v2/deployments", &[object("shop", "new", "web", "1")]);
    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["old"]
    );
    setup
        .resources
        .send_replace(Arc::new(Resources::new(vec![deployments("v2")])));
    assert_eq!(
        setup.names("deployments.apps", "shop", "").await.unwrap(),
        ["new"]
    );
    sleep(Duration::from_secs(1)).await;
    assert_eq!(setup.fake.open_watches(DEPLOYMENTS), 0, "the old watch is over");
}

#[tokio::test(start_paused = true)]
async fn the_kind_unused_for_longest_makes_room() {
    let fake = FakeApi::default();
    let kinds: Vec<ResourceInfo> = (0..40)
        .map(|number| ResourceInfo {
            group_resource: GroupResource::new("apps", format!("kind{number}s")),
            ..deployments("v1")
        })
        .collect();
    for kind in &kinds {
        fake.set_list(
            &format!("/apis/apps/v1/{}", kind.group_resource.resource),
            &[object("shop", "a", "web", "1")],
        );
    }
    let allowed: Vec<_> = kinds.iter().map(|kind| kind.group_resource.clone()).collect();
    let (_sender, receiver) = watch::channel(Arc::new(Resources::new(kinds)));
    let objects = Objects::new(fake.client(), receiver, allowed.clone(), Metrics::new());
    for kind in &allowed {
        assert_eq!(
            objects
                .list(kind, Some("shop"), &Selector::everything())
                .await
                .unwrap()
                .len(),
            1
        );
        sleep(Duration::from_millis(10)).await;
    }
    let held = objects.kinds().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(held.len(), MAX_KINDS);
    assert!(allowed[8..].iter().all(|kind| held.contains(kind)));
    assert_eq!(fake.open_watches("/apis/apps/v1/kind0s"), 0);
}
