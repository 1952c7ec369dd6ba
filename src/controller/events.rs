//! Kubernetes Events: what a person sees in `kubectl describe`.
//!
//! They are told at transitions only, through a bounded queue, at a bounded rate: an API server in trouble must not be
//! handed thousands of them at once. What does not fit is dropped and counted, for the conditions say the same and stay.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    MANAGER,
    bucket::Bucket,
    call::{outcome, within},
};
use crate::metrics::ControllerMetrics;

/// What waits to be written.
const QUEUE: usize = 256;
/// How many may be written in a burst.
const BURST: u32 = 60;
/// How many a second may be written in the long run.
const PER_SECOND: f64 = 1.0;
/// Limits of the API (`validation.go` of events.k8s.io): bytes of a note, of a reason, of an object's name.
const NOTE: usize = 1024;
const REASON: usize = 128;
const NAME: usize = 253;
/// What the recorder appends to the object's name to make the Event's.
const SUFFIX: usize = 1 + 16;

/// Something worth telling about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The object. Its namespace is where the Event goes; `default` for cluster-scoped ones, as the API requires.
    pub regarding: ObjectReference,
    /// A Warning, not Normal.
    pub warning: bool,
    /// A code of the closed set of reasons.
    pub reason: String,
    /// What the operator was doing: `Reconcile`, `Register`, ….
    pub action: &'static str,
    /// A sentence for people; cut at 1024 bytes.
    pub note: String,
}

/// Where notices are handed in. A clone is the same queue.
#[derive(Clone, Debug)]
pub struct EventSink {
    queue: mpsc::Sender<Notice>,
    metrics: ControllerMetrics,
}

/// What writes them, to be run.
pub struct EventWriter {
    queue: mpsc::Receiver<Notice>,
    recorder: Recorder,
    metrics: ControllerMetrics,
}

/// A queue and its writer. `instance` is this replica's name, which Events carry.
pub fn events(
    client: Client,
    instance: impl Into<String>,
    metrics: ControllerMetrics,
) -> (EventSink, EventWriter) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reporter = Reporter {
        controller: MANAGER.into(),
        instance: Some(cut(&instance.into(), REASON).to_owned()),
    };
    let writer = EventWriter {
        queue: receiver,
        recorder: Recorder::new(client, reporter),
        metrics: metrics.clone(),
    };
    (
        EventSink {
            queue: sender,
            metrics,
        },
        writer,
    )
}

// === impl EventSink ===

impl EventSink {
    /// Hands a notice in; never waits. It is dropped where the queue is full.
    pub fn tell(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            self.metrics.write("event", "dropped");
        }
    }
}

#[cfg(test)]
impl EventSink {
    /// A queue that the test itself reads.
    pub(super) fn collected() -> (Self, mpsc::Receiver<Notice>) {
        let (queue, receiver) = mpsc::channel(10_000);
        let metrics = crate::metrics::Metrics::new().controller;
        (Self { queue, metrics }, receiver)
    }
}

// === impl EventWriter ===

impl EventWriter {
    /// Writes what is handed in, until `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut bucket = Bucket::new(BURST, PER_SECOND, Instant::now());
        loop {
            let notice = tokio::select! {
                () = shutdown.cancelled() => return,
                notice = self.queue.recv() => notice,
            };
            let Some(notice) = notice else {
                return;
            };
            if !bucket.take(Instant::now()) {
                self.metrics.write("event", "dropped");
                continue;
            }
            let (event, regarding) = fit(notice);
            // Dropped at shutdown: an Event is not worth a second of it.
            let written = tokio::select! {
                () = shutdown.cancelled() => return,
                written = within(self.recorder.publish(&event, &regarding)) => written,
            };
            self.metrics.write("event", outcome(&written));
            if let Err(error) = written {
                tracing::warn!(%error, object = regarding.name, reason = %event.reason, "Event not written");
            }
        }
    }
}

impl std::fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventWriter")
    }
}

/// The Event, within the API's limits.
fn fit(notice: Notice) -> (Event, ObjectReference) {
    let mut regarding = notice.regarding;
    // The recorder names the Event after the object; a longer name would be refused. The uid still identifies it.
    if let Some(name) = &regarding.name
        && name.len() > NAME - SUFFIX
    {
        regarding.name = Some(cut(name, NAME - SUFFIX).trim_end_matches(['.', '-']).to_owned());
    }
    let event = Event {
        type_: if notice.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: cut(&notice.reason, REASON).to_owned(),
        note: Some(cut(&notice.note, NOTE).to_owned()),
        action: notice.action.to_owned(),
        secondary: None,
    };
    (event, regarding)
}

/// The longest start of `text` of at most `bytes` that ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        controller::fake::{FakeApi, until},
        metrics::Metrics,
    };

    fn notice(namespace: Option<&str>, name: &str) -> Notice {
        Notice {
            regarding: ObjectReference {
                api_version: Some("metricrule.dev/v1alpha1".into()),
                kind: Some("MetricRule".into()),
                namespace: namespace.map(Into::into),
                name: Some(name.into()),
                uid: Some("uid".into()),
                ..ObjectReference::default()
            },
            warning: true,
            reason: "NameTaken".into(),
            action: "Reconcile",
            note: "ü".repeat(600),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_go_to_the_objects_namespace_or_default_within_the_apis_limits() {
        let api = FakeApi::new();
        let (sink, writer) = events(api.client(), "pod-0", Metrics::new().controller);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(writer.run(shutdown.clone()));
        sink.tell(notice(Some("shop"), &"x".repeat(253)));
        sink.tell(notice(None, "default"));
        let path = "/apis/events.k8s.io/v1/namespaces/";
        until("two events", || api.writes(path).len() == 2).await;
        let written = api.writes(path);
        assert_eq!(written[0].path, "/apis/events.k8s.io/v1/namespaces/shop/events");
        assert_eq!(
            written[1].path,
            "/apis/events.k8s.io/v1/namespaces/default/events"
        );
        let body = &written[0].body;
        assert_eq!(body["type"], json!("Warning"));
        assert_eq!(body["reportingController"], json!("metricrule"));
        assert_eq!(body["reportingInstance"], json!("pod-0"));
        assert!(body["metadata"]["name"].as_str().unwrap().len() <= 253);
        assert_eq!(body["note"].as_str().unwrap().len(), 1024);
        shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_and_an_api_server_that_refuses_ends_nothing() {
        let api = FakeApi::new();
        let metrics = Metrics::new();
        let (sink, writer) = events(api.client(), "pod-0", metrics.controller.clone());
        tokio::spawn(writer.run(CancellationToken::new()));
        api.fail("POST", "/apis/events.k8s.io", 403);
        for number in 0..1000 {
            sink.tell(notice(Some("shop"), &format!("rule-{number}")));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = api.writes("/apis/events").len();
        assert!((60..=61).contains(&written), "{written}");
        let text = metrics.encode();
        assert!(
            text.contains(r#"metricrule_writes_total{kind="event",outcome="error"} 6"#),
            "{text}"
        );
        assert!(
            text.contains(r#"metricrule_writes_total{kind="event",outcome="dropped"} 9"#),
            "{text}"
        );
        // The bucket fills again, and the writer is alive.
        api.heal();
        tokio::time::sleep(Duration::from_secs(30)).await;
        sink.tell(notice(Some("shop"), "late"));
        until("one more", || api.writes("/apis/events").len() == written + 1).await;
    }
}
