//! The client of the Prometheus HTTP API, which Thanos, Mimir, Cortex, `VictoriaMetrics` and Google's frontend speak too.
//!
//! Partial answers: no parameter is sent that not all of them know, because Google's API refuses a query with an
//! unknown one (`partial_response`). A partial answer tells itself: `VictoriaMetrics` sets `isPartial`; Prometheus
//! (remote read), Thanos and Cortex warn, and warnings of `PromQL` itself begin with `PromQL warning:` or `PromQL info:`.
//! Where a Thanos has partial answers switched off, `queryParams: {partial_response: "true"}` switches them on.
//!
//! Proxies: `HTTP_PROXY` and the like are ignored, as in Prometheus' own configuration (`proxy_from_environment: false`):
//! one operator talks to backends inside and outside the cluster, and credentials go where the `MetricBackend` says.

mod decode;
mod reply;

use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::{
    Backend, BackendError, BuildInfo, Evaluation, InstantQuery, SeriesQuery,
    auth::{Authorizer, Credential, TokenSource},
    settings::Settings,
    tls::unusable,
};
use crate::{
    api::{HttpMethod, PartialResponse},
    reason::Reason,
    sample::{InstantVector, SeriesSet},
};
use decode::{Answer, Build, Undecodable};

/// The longest body that is read, unpacked, in bytes; and the longest of a failure.
const MAX_BODY: usize = 64 << 20;
const MAX_FAILURE: usize = 16 << 10;
/// The most series of one answer; what a rule may have is far less.
const MAX_SERIES: u64 = 500_000;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Prometheus closes an idle connection after 5 min; to be the first one avoids a race.
const IDLE: Duration = Duration::from_mins(1);

const USER_AGENT: &str = concat!("metricrule/", env!("CARGO_PKG_VERSION"));

/// Built from one `MetricBackend` and the bytes of its credentials; another one is built when either changes.
pub(super) struct Prometheus {
    client: reqwest::Client,
    base: Url,
    method: HttpMethod,
    timeout: Duration,
    partial_response: PartialResponse,
    authorizer: Authorizer,
}

type Parameter = (&'static str, String);

// === impl Prometheus ===

impl Prometheus {
    pub(super) fn new(settings: &Settings, tokens: Arc<dyn TokenSource>) -> Result<Self, BackendError> {
        // reqwest panics where there is none.
        if tokio_rustls::rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(BackendError::new(
                Reason::Internal,
                "no cryptography provider is installed",
            ));
        }
        let mut base = settings.base.clone();
        let mut headers = settings.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(Duration::from_secs(30))
            .gzip(true);
        let (builder, host) = settings.tls.apply(builder, &mut base)?;
        if let Some(host) = host {
            headers.insert(header::HOST, host);
        }
        let client = builder
            .default_headers(headers)
            .build()
            .map_err(|error| unusable(&error.without_url().to_string()))?;
        Ok(Self {
            client,
            base,
            method: settings.method,
            timeout: settings.timeout,
            partial_response: settings.partial_response,
            authorizer: Authorizer::new(settings.auth.clone(), tokens),
        })
    }

    async fn ask_instant(&self, query: InstantQuery) -> Result<InstantVector, BackendError> {
        let deadline = self.ends(query.deadline);
        let left = deadline.saturating_duration_since(Instant::now());
        let parameters = vec![
            ("query", query.promql.as_ref().to_owned()),
            ("time", seconds(query.at)),
            // In milliseconds, for Prometheus reads no fraction before a unit.
            ("timeout", format!("{}ms", left.as_millis().max(1))),
        ];
        let decode = |body: &[u8]| decode::instant(body, query.max_samples);
        let request = self.request(self.method, "query", &parameters);
        self.within(deadline, self.exchange(request, query.max_samples, decode))
            .await
    }

    async fn ask_series(&self, query: SeriesQuery) -> Result<SeriesSet, BackendError> {
        let deadline = self.ends(query.deadline);
        let parameters = vec![
            ("match[]", query.selector.as_ref().to_owned()),
            ("start", seconds(query.start)),
            ("end", seconds(query.end)),
        ];
        let decode = |body: &[u8]| decode::series(body, MAX_SERIES);
        let request = self.request(self.method, "series", &parameters);
        self.within(deadline, self.exchange(request, Some(MAX_SERIES), decode))
            .await
    }

    /// A query that any server answers tells what a rule's query would meet; who it is, it tells only if it likes to.
    async fn ask_probe(&self, deadline: Instant) -> Result<BuildInfo, BackendError> {
        self.ask_instant(InstantQuery {
            promql: "vector(1)".into(),
            at: Timestamp::now(),
            deadline,
            max_samples: Some(1),
            namespace: None,
            rule: None,
            refresh: Duration::ZERO,
        })
        .await?;
        let request = self.request(HttpMethod::Get, "status/buildinfo", &[]);
        let build = async {
            let credential = self.authorizer.credential().await?;
            let response = self.send(request, &credential).await?;
            if !response.status().is_success() {
                return Ok(None);
            }
            let body = read(response, MAX_FAILURE).await?;
            Ok::<_, BackendError>(decode::build(&body))
        };
        let build = self.within(self.ends(deadline), build).await.ok().flatten();
        Ok(build.map(|build| describe(&build)).unwrap_or_default())
    }

    fn ends(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.timeout)
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        timeout_at(deadline, work).await.unwrap_or_else(|_| {
            Err(
                BackendError::new(Reason::BackendTimeout, "the backend did not answer in time")
                    .with_detail("no complete answer before the deadline"),
            )
        })
    }

    fn request(&self, method: HttpMethod, path: &str, parameters: &[Parameter]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}api/v1/{path}", self.base.path()));
        match method {
            HttpMethod::Post => self.client.post(url).form(parameters),
            HttpMethod::Get => self.client.get(url).query(parameters),
        }
    }

    async fn exchange<T>(
        &self,
        request: RequestBuilder,
        max: Option<u64>,
        decode: impl Fn(&[u8]) -> Result<Answer<T>, Undecodable>,
    ) -> Result<T, BackendError> {
        let credential = self.authorizer.credential().await?;
        let response = self.send(request, &credential).await?;
        let status = response.status();
        if !status.is_success() {
            if status == http::StatusCode::UNAUTHORIZED {
                self.authorizer.refused(&credential);
            }
            let location = location(response.headers()).filter(|_| status.is_redirection());
            let body = read(response, MAX_FAILURE).await.unwrap_or_default();
            let complaint = decode::complaint(&body).map(|mut complaint| {
                complaint.text = credential.redact(&complaint.text);
                complaint
            });
            let text = credential.redact(&String::from_utf8_lossy(&body));
            return Err(reply::refusal(
                status,
                location.as_deref(),
                complaint.as_ref(),
                &text,
            ));
        }
        let body = read(response, MAX_BODY).await?;
        let answer = decode(&body).map_err(|error| reply::undecodable(error, max, &body))?;
        match (self.partial_response, answer.partial) {
            (PartialResponse::Fail, Some(said)) => {
                let error = BackendError::new(Reason::PartialResponse, "the backend gave a partial answer");
                Err(error.with_detail(&credential.redact(&said)))
            }
            (PartialResponse::Accept, _) | (PartialResponse::Fail, None) => Ok(answer.value),
        }
    }

    /// Sends, and sends once more where a connection that was kept open turns out to be closed: queries change nothing.
    async fn send(&self, request: RequestBuilder, credential: &Credential) -> Result<Response, BackendError> {
        let request = credential.apply(request);
        let again = request.try_clone();
        match (request.send().await, again) {
            (Err(error), Some(again)) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
                again.send().await.map_err(reply::broken)
            }
            (result, _) => result.map_err(reply::broken),
        }
    }
}

impl Backend for Prometheus {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
        let (at, asked) = (query.at, Instant::now());
        self.ask_instant(query)
            .map_ok(move |rows| Evaluation {
                rows: Arc::new(rows),
                at,
                asked,
            })
            .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<SeriesSet, BackendError>> {
        self.ask_series(query).boxed()
    }

    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        self.ask_probe(deadline).boxed()
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("host", &self.base.host_str())
            .finish_non_exhaustive()
    }
}

/// Reads a body of at most `max` bytes, unpacked.
async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, BackendError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reply::broken)? {
        if body.len() + chunk.len() > max {
            let cause = format!("the backend's answer is larger than {} KiB", max >> 10);
            return Err(BackendError::new(Reason::LimitExceeded, cause));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn location(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::LOCATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Unix time in seconds with milliseconds, as Prometheus reads it.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millisecond();
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

/// `VictoriaMetrics` names a Prometheus version and nothing else; Thanos has not reached 1.0.
fn describe(build: &Build) -> BuildInfo {
    let Build {
        version,
        go_version,
        application,
    } = build;
    let flavour = if application.contains("Mimir") {
        Some("Mimir")
    } else if version.is_empty() || !application.is_empty() {
        None
    } else if version.starts_with("0.") {
        Some("Thanos")
    } else if go_version.is_empty() {
        Some("VictoriaMetrics")
    } else {
        Some("Prometheus")
    };
    let version = super::error::tidy(version, 64);
    BuildInfo {
        version: (!version.is_empty()).then_some(version),
        flavour,
    }
}

#[cfg(test)]
mod tests;
