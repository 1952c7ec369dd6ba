//! A backend with Basic auth that refuses queries on demand, and quotes in its refusal whatever it should not: the header that
//! it was sent, an address, and the labels of another namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use testbed::served::Served;

pub(super) const USER: &str = "oncall-reader";
pub(super) const PASSWORD: &str = "hunter2-oncall-secret";
pub(super) const VALUE: f64 = 23.0;
/// A label value of another namespace.
pub(super) const FOREIGN: &str = "bank-of-another-team";

/// The server; it ends when it is dropped.
pub(super) struct Door {
    server: Served,
    house: Arc<House>,
}

struct House {
    namespace: String,
    pod: String,
    refuses: AtomicBool,
}

// === impl Door ===

impl Door {
    /// Starts it, with one series of one pod.
    pub(super) async fn start(namespace: &str, pod: &str) -> Result<Self> {
        let house = Arc::new(House {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            refuses: AtomicBool::new(false),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&house));
        let server = Served::start(app).await?;
        Ok(Self { server, house })
    }

    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// Whether rules' queries are refused from now on; the probe's is answered either way.
    pub(super) fn refuse(&self, refuses: bool) {
        self.house.refuses.store(refuses, Ordering::Relaxed);
    }
}

async fn answer(State(house): State<Arc<House>>, request: Request) -> Response {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let path = request.uri().path().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap_or_default();
    let is_probe = String::from_utf8_lossy(&body).contains("vector%281%29");
    let refuses = house.refuses.load(Ordering::Relaxed);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |now| now.as_secs_f64());
    let labels = json!({"namespace": house.namespace, "pod": house.pod});
    let data = match path.as_str() {
        "/api/v1/series" => {
            json!([{"__name__": super::METRIC, "namespace": house.namespace, "pod": house.pod}])
        }
        "/api/v1/query" if refuses && !is_probe => {
            let error = format!(
                "found duplicate series for the match group {{pod=\"{FOREIGN}\"}}: many-to-many at http://127.0.0.1:9090, unexpected \
                 header Authorization: {header}"
            );
            let body = json!({"status": "error", "errorType": "execution", "error": error}).to_string();
            let code = StatusCode::UNPROCESSABLE_ENTITY;
            return (code, [(CONTENT_TYPE, "application/json")], body).into_response();
        }
        "/api/v1/query" => {
            json!({"resultType": "vector", "result": [{"metric": labels, "value": [now, VALUE.to_string()]}]})
        }
        "/api/v1/status/buildinfo" => json!({"version": "3.5.0", "revision": "x"}),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let body = json!({"status": "success", "data": data}).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
