//! An API server that a point plays: it has the ConfigMap by which the front proxy is known, answers reviews as it is told, and
//! keeps what it was asked. Everything else is not found there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testbed::served::Served;
use tokio::sync::watch;

const NAME: &str = "extension-apiserver-authentication";
const LIST: &str = "/api/v1/namespaces/kube-system/configmaps";
const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESSES: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// Long enough for what asks for the same thing at the same time to meet.
const THOUGHT: Duration = Duration::from_millis(150);

/// The played API server; it ends when it is dropped.
pub(super) struct Played {
    server: Served,
    script: Arc<Mutex<Script>>,
    /// Whether reviews of access wait.
    held: watch::Sender<bool>,
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<Script>>,
    held: watch::Receiver<bool>,
}

/// How reviews of one kind are answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reviews {
    /// By this status of the review: of a token, or of who asks for what.
    Answer(fn(&Value) -> Value),
    /// With this HTTP status.
    Fail(u16),
}

struct Script {
    version: u64,
    /// The ConfigMap's data; `None` where there is none.
    data: Option<BTreeMap<String, String>>,
    forbidden: bool,
    watches: Vec<UnboundedSender<Result<Bytes, Infallible>>>,
    tokens: Reviews,
    accesses: Reviews,
    asked_tokens: Vec<String>,
    asked_accesses: Vec<Value>,
}

// === impl Played ===

impl Played {
    /// With this ConfigMap; every token is refused, every access allowed.
    pub(super) async fn start(data: BTreeMap<String, String>) -> Result<Self> {
        let script = Arc::new(Mutex::new(Script {
            version: 1,
            data: Some(data),
            forbidden: false,
            watches: Vec::new(),
            tokens: Reviews::Answer(|_| json!({"authenticated": false})),
            accesses: Reviews::Answer(|_| json!({"allowed": true})),
            asked_tokens: Vec::new(),
            asked_accesses: Vec::new(),
        }));
        let (gate, held) = watch::channel(false);
        let state = Shared {
            script: Arc::clone(&script),
            held,
        };
        let router = Router::new().fallback(answer).with_state(state);
        let server = Served::start(router).await?;
        Ok(Self {
            server,
            script,
            held: gate,
        })
    }

    /// Its URL.
    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// How reviews of tokens are answered from now on.
    pub(super) fn tokens(&self, reviews: Reviews) {
        self.script().tokens = reviews;
    }

    /// How reviews of access are answered from now on.
    pub(super) fn accesses(&self, reviews: Reviews) {
        self.script().accesses = reviews;
    }

    /// From now on reviews of access wait, until they are released.
    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// The ConfigMap may not be read.
    pub(super) fn forbid(&self) {
        self.script().forbidden = true;
    }

    /// Changes the ConfigMap, and tells who watches.
    pub(super) fn set(&self, data: BTreeMap<String, String>) {
        let mut script = self.script();
        script.version += 1;
        script.data = Some(data);
        script.tell("MODIFIED");
    }

    /// Deletes the ConfigMap, and tells who watches.
    pub(super) fn delete(&self) {
        let mut script = self.script();
        script.version += 1;
        script.tell("DELETED");
        script.data = None;
    }

    /// The tokens that were to be reviewed so far, in order.
    pub(super) fn asked_tokens(&self) -> Vec<String> {
        self.script().asked_tokens.clone()
    }

    /// The bodies of the reviews of access so far, in order.
    pub(super) fn asked_accesses(&self) -> Vec<Value> {
        self.script().asked_accesses.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Script ===

impl Script {
    fn map(&self) -> Option<Value> {
        let data = self.data.as_ref()?;
        let metadata =
            json!({"namespace": "kube-system", "name": NAME, "resourceVersion": self.version.to_string()});
        Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}))
    }

    fn tell(&mut self, kind: &str) {
        let line = format!("{}\n", json!({"type": kind, "object": self.map()}));
        self.watches
            .retain(|watch| watch.unbounded_send(Ok(Bytes::from(line.clone()))).is_ok());
    }

    fn config_maps(&mut self, path: &str, watch: bool) -> Response {
        if self.forbidden {
            return status(403, "Forbidden", "configmaps is forbidden: nobody bound a role");
        }
        if watch {
            let (sender, receiver) = unbounded();
            self.watches.push(sender);
            return Body::from_stream(receiver).into_response();
        }
        let map = self.map();
        if path == LIST {
            let metadata = json!({"resourceVersion": self.version.to_string()});
            let items: Vec<_> = map.into_iter().collect();
            return Json(
                json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": metadata, "items": items}),
            )
            .into_response();
        }
        map.map_or_else(
            || status(404, "NotFound", "not found"),
            |map| Json(map).into_response(),
        )
    }

    fn review(&mut self, path: &str, mut review: Value) -> Response {
        let reviews = if path == TOKENS {
            let token = review["spec"]["token"].as_str().unwrap_or_default();
            self.asked_tokens.push(token.to_owned());
            self.tokens
        } else {
            self.asked_accesses.push(review.clone());
            self.accesses
        };
        match reviews {
            Reviews::Answer(answer) => {
                review["status"] = answer(&review["spec"]);
                (StatusCode::CREATED, Json(review)).into_response()
            }
            Reviews::Fail(code) => status(code, "InternalError", "the reviews fail now"),
        }
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let Shared { script, mut held } = shared;
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default();
    if head.method == Method::GET && path.starts_with(LIST) {
        return lock(&script).config_maps(&path, query.contains("watch="));
    }
    if head.method == Method::POST && [TOKENS, ACCESSES].contains(&&*path) {
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let review = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
        let Some(review) = review else {
            return status(400, "BadRequest", "not a review");
        };
        tokio::time::sleep(THOUGHT).await;
        if path == ACCESSES {
            // an error would be that the test is over
            let _ = held.wait_for(|held| !held).await;
        }
        return lock(&script).review(&path, review);
    }
    status(
        404,
        "NotFound",
        "the server could not find the requested resource",
    )
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap_or_default(), Json(body)).into_response()
}
