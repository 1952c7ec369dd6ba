//! A stand-in for a Prometheus that behaves as badly as it is told: slow, hanging, or with answers that are far too large.
//!
//! What it does depends on the words of the query or selector that it is sent, so that one of it serves every scene.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Segments, RawQuery};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use reqwest::Url;
use serde_json::{Value, json};

use crate::served::Served;

/// How long a slow query takes.
pub const SLOW: Duration = Duration::from_secs(6);
/// Longer than anybody waits for an answer.
const NEVER: Duration = Duration::from_mins(10);
/// The length of one label of a large answer, which has four of them.
const LABEL: usize = 12_000_000;

/// It runs until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    state: Arc<State>,
    server: Served,
}

#[derive(Debug, Default)]
struct State {
    hangs: AtomicBool,
    /// The bits of the value that ordinary queries give.
    value: AtomicU64,
    large: OnceLock<Bytes>,
    wide: OnceLock<Bytes>,
    refused: OnceLock<Bytes>,
}

// === impl StandIn ===

impl StandIn {
    /// Starts one. Ordinary queries give 1 for every pod that they name, or one row without labels.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start() -> Result<Self> {
        let state = Arc::new(State::default());
        state.value.store(1.0_f64.to_bits(), Ordering::Relaxed);
        let shared = Arc::clone(&state);
        let serve =
            async move |Segments(endpoint): Segments<String>, RawQuery(query): RawQuery, body: Bytes| {
                shared.answer(&endpoint, &query.unwrap_or_default(), &body).await
            };
        let app = Router::new().route("/api/v1/{*endpoint}", any(serve));
        let server = Served::start(app).await?;
        Ok(Self { state, server })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Whether it leaves every request without an answer.
    pub fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::Relaxed);
    }

    /// What ordinary queries give.
    pub fn set(&self, value: f64) {
        self.state.value.store(value.to_bits(), Ordering::Relaxed);
    }
}

// === impl State ===

impl State {
    async fn answer(&self, endpoint: &str, query: &str, body: &[u8]) -> Response {
        if self.hangs.load(Ordering::Relaxed) {
            tokio::time::sleep(NEVER).await;
        }
        let text = parameter(
            query,
            body,
            if endpoint == "series" { "match[]" } else { "query" },
        );
        let whole = match endpoint {
            "series" if text.contains("wide") => self.wide.get_or_init(|| listing(100_000, 5)).clone(),
            "series" if text.contains("refused") => self.refused.get_or_init(|| listing(500_001, 2)).clone(),
            "series" => {
                let name = text
                    .split(['{', '"'])
                    .find(|word| !word.is_empty())
                    .unwrap_or("series");
                success(&json!([{"__name__": name, "namespace": "lab", "pod": "web-0"}]))
            }
            "query" if text.contains("large") => self.large.get_or_init(large).clone(),
            "query" => {
                if text.contains("slow") {
                    tokio::time::sleep(SLOW).await;
                }
                let value = f64::from_bits(self.value.load(Ordering::Relaxed));
                success(&json!({"resultType": "vector", "result": rows(&text, value)}))
            }
            _ => success(&json!({"version": "3.5.2", "goVersion": "go"})),
        };
        ([(CONTENT_TYPE, "application/json")], Body::from(whole)).into_response()
    }
}

fn parameter(query: &str, body: &[u8], name: &str) -> String {
    let form = String::from_utf8_lossy(body);
    let Ok(url) = Url::parse(&format!("http://localhost/?{query}&{form}")) else {
        return String::new();
    };
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn success(data: &Value) -> Bytes {
    json!({"status": "success", "data": data}).to_string().into()
}

/// One row for each pod that the query's matcher names; one without labels where it names none.
fn rows(query: &str, value: f64) -> Vec<Value> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let pods = query
        .split_once("pod=~\"")
        .or_else(|| query.split_once("pod=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(pods, _)| pods);
    let row = |labels: Value| json!({"metric": labels, "value": [now, value.to_string()]});
    if pods.is_empty() {
        return vec![row(json!({}))];
    }
    pods.split('|').map(|pod| row(json!({ "pod": pod }))).collect()
}

/// One row whose four labels have 48 MB.
fn large() -> Bytes {
    let label = "a".repeat(LABEL);
    let labels: Vec<String> = ["w", "x", "y", "z"]
        .iter()
        .map(|name| format!("\"{name}\":\"{label}\""))
        .collect();
    let labels = labels.join(",");
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{{labels}}},"value":[1,"1"]}}]}}}}"#
    )
    .into()
}

/// `count` series of so many labels, their name among them.
fn listing(count: usize, labels: usize) -> Bytes {
    use std::fmt::Write as _;

    let mut text = String::from(r#"{"status":"success","data":["#);
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        // writing into a String cannot fail
        let _ = write!(
            text,
            r#"{comma}{{"__name__":"wide_{}_total","pod":"web-{number:06}""#,
            number % 50
        );
        if labels > 2 {
            text.push_str(r#","namespace":"lab""#);
        }
        for label in 3..labels {
            let _ = write!(
                text,
                r#","label_{label}":"value-{label}-{number:06}-of-some-length""#
            );
        }
        text.push('}');
    }
    text.push_str("]}");
    text.into()
}
