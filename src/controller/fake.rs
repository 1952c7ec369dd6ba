//! API server for tests that keeps what is written to it: `resourceVersion`s, preconditions, merge patches and
//! server-side apply as far as the controller uses them, and watches that replay what happened since their list.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{
    StreamExt as _,
    channel::mpsc::{UnboundedSender, unbounded},
};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use serde_json::{Value, json};
use tower::service_fn;

/// A clone is the same server.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeApi(Arc<Mutex<State>>);

/// A request that was not a GET.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Value,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, Value>,
    events: Vec<(u64, String, Value)>,
    watches: Vec<(String, UnboundedSender<Result<Bytes, Infallible>>)>,
    faults: Vec<(String, String, Fault)>,
    writes: Vec<Write>,
    in_flight: usize,
    most_in_flight: usize,
    latency: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Code(u16),
    Hang,
}

// === impl FakeApi ===

impl FakeApi {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn client(&self) -> Client {
        let fake = self.clone();
        let service = service_fn(move |request: Request<kube::client::Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "ns")
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Creates or replaces an object as someone else would.
    pub(super) fn put(&self, path: &str, object: Value) {
        self.state().store(path, object);
    }

    pub(super) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut object = state.objects[path].clone();
        edit(&mut object);
        state.store(path, object);
    }

    pub(super) fn remove(&self, path: &str) {
        self.state().remove(path);
    }

    /// Requests with that method and a path that starts so fail with `code` until [`Self::heal`].
    pub(super) fn fail(&self, method: &str, path: &str, code: u16) {
        self.state()
            .faults
            .push((method.into(), path.into(), Fault::Code(code)));
    }

    /// Such requests are never answered until [`Self::heal`].
    pub(super) fn hang(&self, method: &str, path: &str) {
        self.state()
            .faults
            .push((method.into(), path.into(), Fault::Hang));
    }

    pub(super) fn heal(&self) {
        self.state().faults.clear();
    }

    /// Every write takes this long.
    pub(super) fn slow(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// The writes whose path starts so, refused ones included.
    pub(super) fn writes(&self, path: &str) -> Vec<Write> {
        let state = self.state();
        state
            .writes
            .iter()
            .filter(|write| write.path.starts_with(path))
            .cloned()
            .collect()
    }

    /// How many they are.
    pub(super) fn count(&self, path: &str) -> usize {
        let state = self.state();
        state
            .writes
            .iter()
            .filter(|write| write.path.starts_with(path))
            .count()
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    async fn answer(&self, request: Request<kube::client::Body>) -> Response {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let fault = {
            let mut state = self.state();
            if head.method != http::Method::GET {
                state.writes.push(Write {
                    path: path.clone(),
                    query: query.clone(),
                    body: body.clone(),
                });
            }
            state
                .faults
                .iter()
                .find(|(method, prefix, _)| method == head.method.as_str() && path.starts_with(prefix))
                .map(|(_, _, fault)| *fault)
        };
        match fault {
            Some(Fault::Code(code)) => return failure(code, "as the test wants it"),
            Some(Fault::Hang) => std::future::pending().await,
            None => {}
        }
        if head.method != http::Method::GET {
            let latency = {
                let mut state = self.state();
                state.in_flight += 1;
                state.most_in_flight = state.most_in_flight.max(state.in_flight);
                state.latency
            };
            tokio::time::sleep(latency).await;
            self.state().in_flight -= 1;
        }
        let apply = head
            .headers
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/apply-patch"));
        let mut state = self.state();
        let result = match head.method.as_str() {
            "GET" if query.contains("watch=true") => return state.watch(&path, &query),
            "GET" if query.contains("fieldSelector") => Ok(state.list(&path, &query)),
            "GET" => state.objects.get(&path).cloned().ok_or((404, "not found")),
            "POST" => state.create(&path, body),
            "PUT" => state.replace(&path, body),
            "PATCH" => state.patch(&path, &body, apply),
            "DELETE" => state.delete(&path, &body),
            _ => Err((405, "not known to the fake")),
        };
        match result {
            Ok(object) => Response::new(Body::from(object.to_string())),
            Err((code, message)) => failure(code, message),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

type Answer = Result<Value, (u16, &'static str)>;

// === impl State ===

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        let known = self.objects.get(path);
        object["metadata"]["name"] = json!(path.rsplit('/').next());
        if let Some(known) = known {
            object["metadata"]["uid"] = known["metadata"]["uid"].clone();
            object["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
            // A write that changes nothing makes no new version, as in a real one.
            if *known == object {
                return object;
            }
        }
        let kind = if known.is_some() { "MODIFIED" } else { "ADDED" };
        self.version += 1;
        if known.is_none() && object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(path, kind, &object);
        object
    }

    fn remove(&mut self, path: &str) {
        if let Some(mut object) = self.objects.remove(path) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.tell(path, "DELETED", &object);
        }
    }

    fn tell(&mut self, path: &str, kind: &str, object: &Value) {
        let event = json!({"type": kind, "object": object});
        let line = Bytes::from(format!("{event}\n"));
        self.events.push((self.version, path.to_owned(), event));
        self.watches
            .retain(|(watched, sender)| watched != path || sender.unbounded_send(Ok(line.clone())).is_ok());
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let items: Vec<&Value> = self.objects.get(&item(path, query)).into_iter().collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()},
            "items": items})
    }

    fn watch(&mut self, path: &str, query: &str) -> Response {
        let path = item(path, query);
        let since: u64 = parameter(query, "resourceVersion").parse().unwrap_or_default();
        let seconds: u64 = parameter(query, "timeoutSeconds").parse().unwrap_or(290);
        let (sender, receiver) = unbounded();
        for (version, changed, event) in &self.events {
            if *version > since && *changed == path {
                sender
                    .unbounded_send(Ok(Bytes::from(format!("{event}\n"))))
                    .unwrap();
            }
        }
        self.watches.retain(|(_, sender)| !sender.is_closed());
        self.watches.push((path, sender));
        let end = Box::pin(tokio::time::sleep(Duration::from_secs(seconds)));
        Response::new(Body::from_stream(receiver.take_until(end)))
    }

    fn create(&mut self, collection: &str, object: Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{collection}/{name}");
        if self.objects.contains_key(&path) {
            return Err((409, "already exists"));
        }
        Ok(self.store(&path, object))
    }

    fn replace(&mut self, path: &str, object: Value) -> Answer {
        self.check(path, &object["metadata"])?;
        Ok(self.store(path, object))
    }

    fn patch(&mut self, path: &str, change: &Value, apply: bool) -> Answer {
        let (path, subresource) = path
            .strip_suffix("/status")
            .map_or((path, false), |path| (path, true));
        self.check(path, &change["metadata"])?;
        let mut object = self.objects[path].clone();
        if apply && subresource {
            object["status"] = change["status"].clone();
        } else {
            merge(&mut object, change);
        }
        Ok(self.store(path, object))
    }

    fn delete(&mut self, path: &str, options: &Value) -> Answer {
        self.check(path, &options["preconditions"])?;
        self.remove(path);
        Ok(json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
    }

    fn check(&self, path: &str, wanted: &Value) -> Result<(), (u16, &'static str)> {
        let known = &self.objects.get(path).ok_or((404, "not found"))?["metadata"];
        let differs = |field: &str| wanted[field].is_string() && wanted[field] != known[field];
        if differs("uid") || differs("resourceVersion") {
            return Err((409, "the object has been modified"));
        }
        Ok(())
    }
}

/// Polls until `condition` holds, for at most 120 s of tokio's time.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn item(collection: &str, query: &str) -> String {
    let selector = parameter(query, "fieldSelector");
    let name = selector.strip_prefix("metadata.name=").unwrap();
    format!("{collection}/{name}")
}

fn parameter(query: &str, name: &str) -> String {
    axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&format!("/?{query}").parse().unwrap())
        .unwrap()
        .0
        .remove(name)
        .unwrap_or_default()
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn failure(code: u16, message: &str) -> Response {
    let reason = match (code, message) {
        (409, "already exists") => "AlreadyExists",
        (409, _) => "Conflict",
        (403, _) => "Forbidden",
        (404, _) => "NotFound",
        _ => "InternalError",
    };
    let body = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
