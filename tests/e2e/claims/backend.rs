//! A backend of the test's own: it has one series, and does as it is told when it is asked for series.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use testbed::served::Served;

/// The series that it has.
pub(super) const SERIES: &str = "claims_served_total";
/// The pod that it is about.
pub(super) const POD: &str = "web-0";
/// What every query is answered with, but for those that say [`OTHERS`].
pub(super) const OWN: f64 = 1.0;
/// The mark in the query of another rule, and its value.
pub(super) const OTHERS: f64 = 999.0;

/// What becomes of a question for series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    /// The one series.
    There,
    /// None.
    Gone,
    /// 503.
    Fails,
}

/// The server; it ends when it is dropped.
pub(super) struct Scripted {
    server: Served,
    state: Arc<Mutex<Script>>,
}

struct Script {
    series: Series,
    namespace: String,
    listed: usize,
}

// === impl Scripted ===

impl Scripted {
    pub(super) async fn start(namespace: &str) -> Result<Self> {
        let state = Arc::new(Mutex::new(Script {
            series: Series::There,
            namespace: namespace.to_owned(),
            listed: 0,
        }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = Served::start(app).await?;
        Ok(Self { server, state })
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    pub(super) fn series(&self, series: Series) {
        let mut script = lock(&self.state);
        script.series = series;
        script.listed = 0;
    }

    /// How often it was asked for series since it was told what to say.
    pub(super) fn listed(&self) -> usize {
        lock(&self.state).listed
    }
}

fn lock(state: &Mutex<Script>) -> MutexGuard<'_, Script> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(state): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut script = lock(&state);
    let data = match request.uri().path() {
        "/api/v1/series" => {
            script.listed += 1;
            match script.series {
                Series::Fails => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
                Series::Gone => json!([]),
                Series::There => {
                    json!([{"__name__": SERIES, "namespace": script.namespace, "pod": POD}])
                }
            }
        }
        "/api/v1/query" => rows(&script, &query),
        "/api/v1/status/buildinfo" => json!({"version": "3.5.0", "revision": "x"}),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let body = json!({"status": "success", "data": data}).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn rows(script: &Script, query: &str) -> Value {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |now| now.as_secs_f64());
    let marked = is_marked(query);
    let value = if marked { OTHERS } else { OWN };
    let row =
        json!({"metric": {"namespace": script.namespace, "pod": POD}, "value": [now, value.to_string()]});
    // The platform's query counts something that is always there.
    let there = script.series != Series::Gone || marked;
    let rows: Vec<Value> = there.then_some(row).into_iter().collect();
    json!({"resultType": "vector", "result": rows})
}

/// Whether the expression ends in `* 999`; the number alone may also stand in the time or the timeout.
fn is_marked(query: &str) -> bool {
    query.contains("+999") || query.contains("%20999")
}
