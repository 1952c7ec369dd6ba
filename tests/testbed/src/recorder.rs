//! A Prometheus API that keeps every query which it is sent. It plays what a test made up, or hands on to a real Prometheus, then
//! all at one time of evaluation: two who ask one after the other are told the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segments, RawQuery};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use reqwest::Url;
use serde_json::{Value, json};

use crate::http;
use crate::served::Served;

const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked to see whether somebody is there, and what nobody's rule asks.
const PROBES: [&str; 4] = ["1", "vector(1)", "up", "time()"];

/// One request: the path behind `/api/v1/` and the parameters of query and form.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `series`, `query`, `labels`, …
    pub endpoint: String,
    /// In the order in which they came.
    pub params: Vec<(String, String)>,
}

/// What is behind it.
#[derive(Clone)]
pub enum Source {
    /// Gives the `data` of a reply.
    Played(Arc<dyn Fn(&Ask) -> Value + Send + Sync>),
    /// A Prometheus at this address, asked as of this time (in seconds since 1970).
    Upstream(String, f64),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Played(_) => "Played",
            Self::Upstream(url, _) => url,
        })
    }
}

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    state: Arc<Mutex<State>>,
    server: Served,
}

#[derive(Debug)]
struct State {
    source: Source,
    queries: Vec<String>,
}

// === impl Ask ===

impl Ask {
    /// The first parameter of that name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All parameters of that name.
    pub fn params<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.params
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn new(endpoint: String, query: &str, body: &[u8]) -> Result<Self> {
        let form = String::from_utf8_lossy(body);
        let url = Url::parse(&format!("http://localhost/?{query}&{form}"))?;
        let params = url.query_pairs().filter(|(name, _)| !name.is_empty());
        Ok(Self {
            endpoint,
            params: params
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        })
    }
}

// === impl Recorder ===

impl Recorder {
    /// Starts one.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start(source: Source) -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            source,
            queries: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let serve = async move |Segments(endpoint): Segments<String>,
                                RawQuery(query): RawQuery,
                                body: Bytes| {
            let answered = answer(&shared, endpoint, &query.unwrap_or_default(), &body).await;
            answered.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response())
        };
        let app = Router::new().route("/api/v1/{*endpoint}", any(serve));
        let server = Served::start(app).await?;
        Ok(Self { state, server })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Puts something else behind it, and forgets the queries.
    pub fn set(&self, source: Source) {
        *lock(&self.state) = State {
            source,
            queries: Vec::new(),
        };
    }

    /// The queries since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).queries)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(state: &Mutex<State>, endpoint: String, query: &str, body: &[u8]) -> Result<Response> {
    let ask = Ask::new(endpoint, query, body)?;
    let source = {
        let mut state = lock(state);
        if let ("query", Some(query)) = (ask.endpoint.as_str(), ask.param("query"))
            && !PROBES.contains(&query)
        {
            state.queries.push(query.to_owned());
        }
        state.source.clone()
    };
    let (status, text) = match source {
        Source::Played(play) => (200, json!({"status": "success", "data": play(&ask)}).to_string()),
        Source::Upstream(url, time) => {
            let mut params = ask.params;
            let pinned: HashMap<&str, String> = match ask.endpoint.as_str() {
                "query" => HashMap::from([("time", time.to_string())]),
                // from the beginning, whoever asks
                "series" => HashMap::from([
                    ("start", (time - 3600.0).to_string()),
                    ("end", (time + 60.0).to_string()),
                ]),
                _ => HashMap::new(),
            };
            params.retain(|(name, _)| !pinned.contains_key(name.as_str()));
            params.extend(pinned.into_iter().map(|(name, value)| (name.to_owned(), value)));
            let url = Url::parse_with_params(&format!("{url}/api/v1/{}", ask.endpoint), params)?;
            http::get(url.as_str(), PATIENCE).await?
        }
    };
    Ok((
        StatusCode::from_u16(status)?,
        [(CONTENT_TYPE, "application/json")],
        text,
    )
        .into_response())
}
