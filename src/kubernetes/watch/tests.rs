use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::*;
use crate::{
    kubernetes::fake::{FakeApi, until},
    metrics::Metrics,
};

const PATH: &str = "/api/v1/configmaps";

/// The changes so far, one line each, and the task that adds to them.
struct Driven {
    lines: Arc<Mutex<Vec<String>>>,
    metrics: Metrics,
    task: tokio::task::JoinHandle<Infallible>,
}

impl Driven {
    fn start(fake: &FakeApi) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let metrics = Metrics::new();
        let task = tokio::spawn({
            let (lines, counted) = (lines.clone(), metrics.controller.clone());
            let api = Api::<DeserializeGuard<ConfigMap>>::all(fake.client());
            async move {
                drive(api, config(), "configmaps", &counted, |change| {
                    lines.lock().unwrap().push(line(change));
                })
                .await
            }
        });
        Self { lines, metrics, task }
    }

    async fn expect(&self, expected: &[&str]) {
        until(
            &format!("{expected:?}, got {:?}", self.lines.lock().unwrap()),
            || self.lines.lock().unwrap().len() >= expected.len(),
        )
        .await;
        assert_eq!(*self.lines.lock().unwrap(), expected);
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn line(change: Change<ConfigMap>) -> String {
    let entry = |entry: &Entry<ConfigMap>| match entry {
        Ok(object) => {
            assert_eq!(object.metadata.managed_fields, None, "managedFields are kept");
            ObjectKey::of(&object.metadata).to_string()
        }
        Err(invalid) => {
            assert_eq!(invalid.metadata.managed_fields, None, "managedFields are kept");
            format!("!{}", ObjectKey::of(&invalid.metadata))
        }
    };
    match change {
        Change::Reset(entries) => format!(
            "reset {}",
            entries.iter().map(entry).collect::<Vec<_>>().join(" ")
        ),
        Change::Apply(applied) => format!("apply {}", entry(&applied)),
        Change::Delete(key) => format!("delete {key}"),
        Change::Failed(failure) => format!("failed {}", failure.code.unwrap_or_default()),
    }
}

fn object(name: &str, version: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version,
            "managedFields": [{"manager": "kubectl", "operation": "Apply"}]}})
}

fn good(name: &str, version: &str) -> Value {
    object(name, version, &json!({"a": "b"}))
}

fn bad(name: &str, version: &str) -> Value {
    object(name, version, &json!("not a map"))
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_hurts_no_other_and_its_deletion_is_told() {
    let fake = FakeApi::default();
    fake.set_list(PATH, &[good("a", "1"), bad("b", "2")]);
    let driven = Driven::start(&fake);
    driven.expect(&["reset shop/a !shop/b"]).await;

    fake.send(PATH, "MODIFIED", bad("a", "3")).await;
    fake.send(PATH, "ADDED", good("c", "4")).await;
    fake.send(PATH, "DELETED", bad("b", "5")).await;
    driven
        .expect(&[
            "reset shop/a !shop/b",
            "apply !shop/a",
            "apply shop/c",
            "delete shop/b",
        ])
        .await;
    assert!(
        driven
            .metrics
            .encode()
            .contains(r#"watch_events_total{kind="configmaps"} 4"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_410_in_the_stream_leads_to_one_whole_reset() {
    let fake = FakeApi::default();
    fake.set_list(PATH, &[good("a", "1"), good("b", "1")]);
    let driven = Driven::start(&fake);
    driven.expect(&["reset shop/a shop/b"]).await;

    fake.set_list(PATH, &[good("b", "1"), good("c", "7")]);
    let gone = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410});
    fake.send(PATH, "ERROR", gone).await;
    driven
        .expect(&["reset shop/a shop/b", "failed 410", "reset shop/b shop/c"])
        .await;
    assert!(
        driven
            .metrics
            .encode()
            .contains(r#"watch_restarts_total{kind="configmaps"} 1"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_410_as_the_answer_to_the_watch_relists() {
    let fake = FakeApi::default();
    fake.set_list(PATH, &[good("a", "1")]);
    let driven = Driven::start(&fake);
    driven.expect(&["reset shop/a"]).await;
    until("the watch is open", || fake.open_watches(PATH) == 1).await;

    fake.fail(PATH, true, 410);
    fake.set_list(PATH, &[]);
    fake.close(PATH);
    until("the refusal is told", || driven.lines.lock().unwrap().len() > 1).await;
    fake.heal(PATH);
    driven.expect(&["reset shop/a", "failed 410", "reset "]).await;
}

#[tokio::test(start_paused = true)]
async fn a_crd_that_was_deleted_while_the_connection_was_down_keeps_none_of_its_objects() {
    let fake = FakeApi::default();
    fake.set_list(PATH, &[good("a", "1")]);
    let driven = Driven::start(&fake);
    driven.expect(&["reset shop/a"]).await;
    until("the watch is open", || fake.open_watches(PATH) == 1).await;

    fake.fail(PATH, true, 404);
    fake.close(PATH);
    until("the refusal is told", || driven.lines.lock().unwrap().len() > 1).await;
    // It is there again, and its objects are others.
    fake.set_list(PATH, &[good("b", "9")]);
    fake.heal(PATH);
    driven
        .expect(&["reset shop/a", "failed 404", "reset shop/b"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_in_time_goes_on_where_it_was() {
    let fake = FakeApi::default();
    fake.set_list(PATH, &[good("a", "1")]);
    let driven = Driven::start(&fake);
    fake.send(PATH, "MODIFIED", good("a", "42")).await;
    driven.expect(&["reset shop/a", "apply shop/a"]).await;

    fake.close(PATH);
    fake.send(PATH, "ADDED", good("b", "43")).await;
    driven
        .expect(&["reset shop/a", "apply shop/a", "apply shop/b"])
        .await;
    let last = fake.asked().pop().unwrap();
    assert_eq!(last.query["resourceVersion"], "42");
    assert_eq!(last.query["timeoutSeconds"], "200");
    assert_eq!(last.query["allowWatchBookmarks"], "true");
}

#[tokio::test(start_paused = true)]
async fn failures_are_backed_off() {
    let fake = FakeApi::default();
    fake.fail(PATH, false, 403);
    let driven = Driven::start(&fake);
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    let tries = driven.lines.lock().unwrap().len();
    // Jitter at most doubles a delay: 30 s to 60 s each after the first few.
    assert!((10..=30).contains(&tries), "{tries} tries in 10 min");
    assert!(
        driven
            .lines
            .lock()
            .unwrap()
            .iter()
            .all(|line| line == "failed 403")
    );

    fake.heal(PATH);
    fake.set_list(PATH, &[good("a", "1")]);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(driven.lines.lock().unwrap().last().unwrap(), "reset shop/a");
}
