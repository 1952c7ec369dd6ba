//! API server for tests: a service in place of kube's transport, with lists and watch streams that a test scripts.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};
use tower::service_fn;

/// A clone is the same server.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeApi(Arc<Mutex<State>>);

/// What a client asked, as far as tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) accept: String,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct State {
    documents: HashMap<String, Value>,
    failures: HashMap<(String, bool), u16>,
    watches: HashMap<String, Vec<UnboundedSender<Result<Bytes, Infallible>>>>,
    asked: Vec<Asked>,
}

// === impl FakeApi ===

impl FakeApi {
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "metricrule")
    }

    /// What a GET (without `watch`) or a POST of `path` answers.
    pub(crate) fn set(&self, path: &str, document: Value) {
        self.state().documents.insert(path.to_owned(), document);
    }

    /// What a list of `path` answers.
    pub(crate) fn set_list(&self, path: &str, items: &[Value]) {
        self.set(
            path,
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "100"}, "items": items}),
        );
    }

    /// Lists (or, with `watch`, watches) of `path` fail with `code` until [`Self::heal`].
    pub(crate) fn fail(&self, path: &str, watch: bool, code: u16) {
        self.state().failures.insert((path.to_owned(), watch), code);
    }

    pub(crate) fn heal(&self, path: &str) {
        self.state().failures.retain(|(failing, _), _| failing != path);
    }

    /// Sends one event on every open watch of `path`, once there is one.
    pub(crate) async fn send(&self, path: &str, kind: &str, object: Value) {
        until("a watch is open", || self.open_watches(path) > 0).await;
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        let mut state = self.state();
        let watches = state.watches.entry(path.to_owned()).or_default();
        watches.retain(|watch| watch.unbounded_send(Ok(Bytes::from(line.clone()))).is_ok());
    }

    /// Ends every open watch of `path`, as an API server does when their time is over.
    pub(crate) fn close(&self, path: &str) {
        self.state().watches.remove(path);
    }

    pub(crate) fn open_watches(&self, path: &str) -> usize {
        let mut state = self.state();
        let watches = state.watches.entry(path.to_owned()).or_default();
        watches.retain(|watch| !watch.is_closed());
        watches.len()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&head.uri)
            .unwrap()
            .0;
        let watch = query
            .get("watch")
            .is_some_and(|watch| watch == "true" || watch == "1");
        let accept = head
            .headers
            .get(http::header::ACCEPT)
            .and_then(|value| value.to_str().ok());
        let mut state = self.state();
        state.asked.push(Asked {
            method: head.method.to_string(),
            path: path.clone(),
            query,
            accept: accept.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        if let Some(code) = state.failures.get(&(path.clone(), watch)) {
            return status(*code);
        }
        if watch {
            let (sender, receiver) = unbounded();
            state.watches.entry(path).or_default().push(sender);
            return Response::new(Body::from_stream(receiver));
        }
        match state.documents.get(&path) {
            Some(document) => Response::new(Body::from(document.to_string())),
            None => status(404),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

/// Polls until `condition` holds, for at most 20 s (of tokio's time, which a test may have paused).
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn status(code: u16) -> Response {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        _ => "InternalError",
    };
    let body = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": reason,
        "reason": reason, "code": code});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
