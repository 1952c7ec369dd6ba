//! Client of the Prometheus HTTP API, which Thanos, Mimir, Cortex, `VictoriaMetrics` and Google's frontend speak too.
//!
//! Partial answers: no parameter is sent that not all of them know, because Google's API refuses a query with an
//! unknown one (`partial_response`). A partial answer tells itself: `VictoriaMetrics` sets `isPartial`; Prometheus
//! (remote read), Thanos and Cortex warn, and warnings of `PromQL` itself begin with `PromQL warning:` or `PromQL info:`.
//! Where a Thanos has partial answers switched off, `queryParams: {partial_response: "true"}` switches them on.
//!
//! Proxies: `HTTP_PROXY` and the like are ignored, as in Prometheus' own configuration (`proxy_from_environment: false`):
//! one operator talks to backends inside and outside the cluster, and credentials go where the `MetricBackend` says.

mod body;
mod decode;
mod reply;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use reqwest::{RequestBuilder, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::{
    Backend, BackendError, Budget, BuildInfo, Evaluation, InstantQuery, ListedSeries, Placed, Rows, Said,
    SeriesQuery,
    auth::{Authorizer, Credential, TokenSource},
    clock::{self, BackendClock, http_date},
    redact::Redactor,
    settings::Settings,
    tls::unusable,
};
use crate::{
    api::{HttpMethod, PartialResponse},
    metrics::BackendMetrics,
    reason::Reason,
    sample::Collector,
};
use body::{LongText, Source};
use decode::{Answer, Build, MAX_LISTING, MAX_TEXT, Meter, Undecodable};

/// The longest body of a failure that is read, unpacked, in bytes.
const MAX_FAILURE: usize = 16 << 10;
/// The longest text of a listing that is read; no name that is kept is as long.
const LONG_NAME: usize = 2 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Prometheus closes an idle connection after 5 min; to be the first one avoids a race.
const IDLE: Duration = Duration::from_mins(1);
/// A reply that tells of a clock so much different from what was reckoned with is no answer to what was meant.
const MISSED: SignedDuration = SignedDuration::from_secs(2);

/// A connection of HTTP/2 on which a query waits without a sign of life is given up after so long altogether: all queries share
/// it, and those after it would hang too.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(3);

const USER_AGENT: &str = concat!("metricrule/", env!("CARGO_PKG_VERSION"));

/// Built from one `MetricBackend` and the bytes of its credentials; another one is built when either changes.
pub(super) struct Prometheus {
    client: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    method: HttpMethod,
    timeout: Duration,
    partial_response: PartialResponse,
    authorizer: Authorizer,
    redactor: Mutex<Option<(Credential, Redactor)>>,
    clock: Mutex<BackendClock>,
    context: Context,
}

/// What a client has in common with those of other backends, and its name.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) name: Arc<str>,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) metrics: BackendMetrics,
    pub(super) answers: Budget,
    pub(super) listings: Budget,
}

type Parameter = (&'static str, String);

// === impl Prometheus ===

impl Prometheus {
    pub(super) fn new(settings: &Settings, context: Context) -> Result<Self, BackendError> {
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
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PONG)
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
            headers: settings.headers.clone(),
            method: settings.method,
            timeout: settings.timeout,
            partial_response: settings.partial_response,
            authorizer: Authorizer::new(settings.auth.clone(), context.tokens.clone()),
            redactor: Mutex::default(),
            clock: Mutex::default(),
            context,
        })
    }

    async fn ask_instant(&self, query: InstantQuery) -> Result<Arc<Rows>, BackendError> {
        let deadline = self.ends(query.deadline);
        let request = |ahead| {
            let left = deadline.saturating_duration_since(Instant::now());
            let parameters = [
                ("query", query.promql.as_ref().to_owned()),
                ("time", seconds(later(query.at, ahead))),
                // In milliseconds, for Prometheus reads no fraction before a unit.
                ("timeout", format!("{}ms", left.as_millis().max(1))),
            ];
            self.request(self.method, "query", &parameters)
        };
        let (max, place) = (
            query.max_samples,
            self.context.answers.place(query.namespace.clone()),
        );
        let decode = move |source: Source, ahead: SignedDuration, redactor: Redactor| {
            let meter = Meter::new(max, redactor, place);
            let mut answer = decode::instant(source, &meter)?;
            for sample in &mut answer.value.samples {
                sample.timestamp = later(sample.timestamp, -ahead);
            }
            Ok((answer, meter.into_place()))
        };
        let texts = (MAX_TEXT, LongText::Refuse);
        let rows = self
            .within(deadline, self.exchange(request, texts, decode))
            .await?;
        Ok(Arc::new(rows))
    }

    async fn ask_series(&self, query: SeriesQuery) -> Result<ListedSeries, BackendError> {
        let deadline = self.ends(query.deadline);
        let request = |ahead| {
            let parameters = [
                ("match[]", query.selector.as_ref().to_owned()),
                ("start", seconds(later(query.start, ahead))),
                ("end", seconds(later(query.end, ahead))),
            ];
            self.request(self.method, "series", &parameters)
        };
        let max = query
            .max_series
            .map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        let collector = Collector::new(max, query.examples, MAX_LISTING);
        let place = self.context.listings.place(query.namespace.clone());
        let decode = move |source: Source, _: SignedDuration, redactor: Redactor| {
            let meter = Meter::new(None, redactor, place);
            let answer = decode::series(source, collector, &meter)?;
            Ok((answer, meter.into_place()))
        };
        let texts = (LONG_NAME, LongText::Cut);
        self.within(deadline, self.exchange(request, texts, decode)).await
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
            let redactor = self.redactor(&credential);
            let response = self.send(request, &credential, &redactor).await?;
            if !response.status().is_success() {
                return Ok(None);
            }
            let body = body::short(response, MAX_FAILURE, &redactor).await?;
            Ok::<_, BackendError>(decode::build(body).map(|build| describe(&build, &redactor)))
        };
        let build = self.within(self.ends(deadline), build).await.ok().flatten();
        Ok(BuildInfo {
            clock_offset: self.clock().told(),
            ..build.unwrap_or_default()
        })
    }

    /// The earlier of the query's deadline and the backend's timeout.
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
                    .with_detail(&Said::ours("no complete answer before the deadline")),
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

    /// Asks; `request` is given how far the backend's clock is ahead, and so is `decode`.
    async fn exchange<T: Send + 'static>(
        &self,
        request: impl Fn(SignedDuration) -> RequestBuilder,
        texts: (usize, LongText),
        decode: impl FnOnce(Source, SignedDuration, Redactor) -> Result<(Answer<T>, super::Place), Undecodable>
        + Send
        + 'static,
    ) -> Result<Placed<T>, BackendError> {
        let credential = self.authorizer.credential().await?;
        let redactor = self.redactor(&credential);
        let mut ahead = self.ahead();
        let mut response = self.send(request(ahead), &credential, &redactor).await?;
        // The first reply of a backend tells what its clock is; so does the first one after a clock was set.
        let known = self.ahead();
        if (known - ahead).abs() > MISSED && known.abs() <= clock::BEYOND {
            ahead = known;
            response = self.send(request(ahead), &credential, &redactor).await?;
        }
        let status = response.status();
        if !status.is_success() {
            if status == http::StatusCode::UNAUTHORIZED {
                self.authorizer.refused(&credential);
            }
            let location = location(response.headers()).filter(|_| status.is_redirection());
            let location = location.map(|location| redactor.said(reply::without_query(&location)));
            let body = body::short(response, MAX_FAILURE, &redactor)
                .await
                .unwrap_or_default();
            let complaint = decode::complaint(&body, &redactor);
            return Err(reply::refusal(status, location.as_ref(), complaint.as_ref()));
        }
        if known.abs() > clock::BEYOND {
            return Err(skew(known));
        }
        let decoded = {
            let redactor = redactor.clone();
            move |source| decode(source, ahead, redactor)
        };
        let (answer, place) = body::read(response, texts, &redactor, decoded)
            .await?
            .map_err(reply::undecodable)?;
        match (self.partial_response, answer.partial) {
            (PartialResponse::Fail, Some(said)) => {
                let error =
                    BackendError::new(Reason::PartialResponse, "the backend returned a partial answer");
                Err(error.with_detail(&said))
            }
            (PartialResponse::Accept, _) | (PartialResponse::Fail, None) => {
                Ok(Placed::new(answer.value, place))
            }
        }
    }

    /// Sends, and sends once more where a connection that was kept open turns out to be closed: queries change nothing.
    async fn send(
        &self,
        request: RequestBuilder,
        credential: &Credential,
        redactor: &Redactor,
    ) -> Result<Response, BackendError> {
        let request = credential.apply(request);
        let again = request.try_clone();
        let mut sent = Timestamp::now();
        let response = match (request.send().await, again) {
            (Err(error), Some(again)) if error.is_request() && !error.is_connect() && !error.is_timeout() => {
                sent = Timestamp::now();
                again.send().await
            }
            (result, _) => result,
        };
        let response = response.map_err(|error| reply::broken(error, redactor))?;
        self.look_at_clock(&response, sent);
        Ok(response)
    }

    /// A reply out of a cache, which has an `Age`, tells nothing; an error may be a proxy's.
    fn look_at_clock(&self, response: &Response, sent: Timestamp) {
        let received = Timestamp::now();
        let date = response
            .headers()
            .get(header::DATE)
            .and_then(|date| date.to_str().ok());
        let fresh = response.status().is_success() && !response.headers().contains_key(header::AGE);
        if let Some(date) = date.filter(|_| fresh).and_then(http_date) {
            let now = Instant::now();
            self.clock().replied(now, date, sent, received);
            let ahead = self.clock().ahead(now);
            self.context
                .metrics
                .clock_offset(&self.context.name, ahead.as_secs_f64());
        }
    }

    fn ahead(&self) -> SignedDuration {
        self.clock().ahead(Instant::now())
    }

    fn clock(&self) -> MutexGuard<'_, BackendClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn redactor(&self, credential: &Credential) -> Redactor {
        let mut known = self.redactor.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, redactor)) if of == credential => redactor.clone(),
            _ => {
                let redactor = Redactor::new(&self.base, &self.headers, credential);
                *known = Some((credential.clone(), redactor.clone()));
                redactor
            }
        }
    }
}

impl Backend for Prometheus {
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
        let (at, asked) = (query.at, Instant::now());
        self.ask_instant(query)
            .map_ok(move |rows| Evaluation { rows, at, asked })
            .boxed()
    }

    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
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

fn skew(ahead: SignedDuration) -> BackendError {
    let minutes = (ahead.abs().as_secs() + 30) / 60;
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    let cause = format!(
        "the backend's clock is {minutes} minutes {side} the operator's, and the operator cannot know which is right; set both by NTP"
    );
    BackendError::new(Reason::ClockSkew, cause)
}

/// Out of range it stays as it is.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
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
fn describe(build: &Build, redactor: &Redactor) -> BuildInfo {
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
    let version = super::error::tidy(redactor.said(version).as_str(), 64);
    BuildInfo {
        version: (!version.is_empty()).then_some(version),
        flavour,
        clock_offset: None,
    }
}

#[cfg(test)]
mod tests;
