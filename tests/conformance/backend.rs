//! A backend that a point scripts: what it answers to which query, that it never answers, and what became of its callers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use serde_json::{Value, json};
use testbed::served::Served;

/// What to do with a query.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answer an instant vector.
    Rows(Vec<Row>),
    /// Answer this code with this text.
    Say(u16, String),
    /// Never answer.
    Hang,
}

/// A row of an instant vector.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Value,
    /// Unix time, in seconds.
    pub(crate) at: f64,
    /// As Prometheus writes numbers: `1.5`, `NaN`, `+Inf`.
    pub(crate) value: String,
}

type Script = Arc<dyn Fn(&str) -> Act + Send + Sync>;

/// It ends when it is dropped.
pub(crate) struct Backend {
    server: Served,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<Script>,
    series: Mutex<Result<Vec<Value>, u16>>,
    queries: Mutex<Vec<String>>,
    abandoned: AtomicUsize,
}

/// Counts a caller that went away before it was answered.
struct Waiting(Arc<Shared>);

// === impl Backend ===

impl Backend {
    /// Listens on a free port of loopback; knows no series and answers no rows.
    pub(crate) async fn start() -> Result<Self> {
        let nothing: Script = Arc::new(|_| Act::Rows(Vec::new()));
        let shared = Arc::new(Shared {
            script: Mutex::new(nothing),
            series: Mutex::new(Ok(Vec::new())),
            queries: Mutex::default(),
            abandoned: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/api/v1/series", any(series))
            .route("/api/v1/query", any(query))
            .with_state(Arc::clone(&shared));
        let server = Served::start(app).await?;
        Ok(Self { server, shared })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// From now on queries are dealt with like this.
    pub(crate) fn script(&self, script: impl Fn(&str) -> Act + Send + Sync + 'static) {
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// From now on these are the series, by their labels; or listing them fails with this code.
    pub(crate) fn series(&self, series: Result<Vec<Value>, u16>) {
        *lock(&self.shared.series) = series;
    }

    /// The queries so far that contain `part`.
    pub(crate) fn queries(&self, part: &str) -> Vec<String> {
        let queries = lock(&self.shared.queries);
        queries
            .iter()
            .filter(|query| query.contains(part))
            .cloned()
            .collect()
    }

    /// How many callers went away before they were answered.
    pub(crate) fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::SeqCst)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandoned.fetch_add(1, Ordering::SeqCst);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn series(State(shared): State<Arc<Shared>>) -> Response {
    match &*lock(&shared.series) {
        Ok(series) => success(&json!(series)),
        Err(code) => say(*code, "no series today"),
    }
}

async fn query(State(shared): State<Arc<Shared>>, RawForm(form): RawForm) -> Response {
    let query = form
        .split(|byte| *byte == b'&')
        .find_map(|pair| pair.strip_prefix(b"query="))
        .map(|value| {
            let spaced: Vec<u8> = value
                .iter()
                .map(|&byte| if byte == b'+' { b' ' } else { byte })
                .collect();
            percent_encoding::percent_decode(&spaced)
                .decode_utf8_lossy()
                .into_owned()
        })
        .unwrap_or_default();
    lock(&shared.queries).push(query.clone());
    let script = Arc::clone(&*lock(&shared.script));
    match script(&query) {
        Act::Rows(rows) => {
            let result: Vec<_> = rows
                .iter()
                .map(|row| json!({"metric": row.labels, "value": [row.at, row.value]}))
                .collect();
            success(&json!({"resultType": "vector", "result": result}))
        }
        Act::Say(code, text) => say(code, &text),
        Act::Hang => {
            let _waiting = Waiting(shared);
            std::future::pending().await
        }
    }
}

fn success(data: &Value) -> Response {
    let body = json!({"status": "success", "data": data}).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A redirect leads to where the text says.
fn say(code: u16, text: &str) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = (CONTENT_TYPE, "application/json");
    if code.is_redirection() {
        (code, [kind, (LOCATION, text)], String::new()).into_response()
    } else {
        (code, [kind], text.to_owned()).into_response()
    }
}
