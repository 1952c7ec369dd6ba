//! A relay before Prometheus whose clock is wrong: it dates its replies by it, and is asked by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter};
use kube::Client;
use reqwest::Url;
use serde_json::{Value, json};
use testbed::served::Served;
use testbed::{PATIENCE, Testbed, eventually};

use crate::ask::{ask, backend, create, custom, external, objects, rule, until_condition, until_series};
use crate::support::{deployment, ensure_near};

pub(super) const NAME: &str = "untrusted-clock";
const RATE: f64 = 100.0;

/// It ends when it is dropped.
pub(super) struct Relay {
    server: Served,
    /// Seconds that its clock is ahead.
    ahead: Arc<AtomicI64>,
}

// === impl Relay ===

impl Relay {
    pub(super) async fn start(upstream: &str, ahead: i64) -> Result<Self> {
        let ahead = Arc::new(AtomicI64::new(ahead));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()?;
        let (upstream, shared) = (upstream.to_owned(), ahead.clone());
        let app = Router::new().fallback(move |uri: Uri, body: Bytes| {
            let (client, upstream) = (client.clone(), upstream.clone());
            let ahead = shared.load(Ordering::Relaxed);
            async move { pass(&client, &upstream, ahead, &uri, &body).await }
        });
        let server = Served::start(app).await?;
        Ok(Self { server, ahead })
    }

    pub(super) async fn run(&self, testbed: &Testbed, client: &Client, namespace: &str) -> Result<()> {
        testbed
            .apply(namespace, &deployment("web", 1).to_string())
            .await?;
        testbed.exporter().set_requests(namespace, "web", RATE);
        let rate = format!("rate(http_requests_total{{namespace=\"{namespace}\"}}[20s])");
        until_series(testbed, &rate, 1).await?;
        // There are samples for the whole of the range, or the rate of a part of it would be right by chance.
        let whole = format!("http_requests_total{{namespace=\"{namespace}\"}} offset 25s");
        until_series(testbed, &whole, 1).await?;
        let spec = json!({
            "type": "Prometheus", "prometheus": {"url": self.server.url()}, "discovery": {"interval": "2s"},
        });
        create(client, &backend(NAME, &spec)).await?;
        let spec = json!({
            "backendRef": {"name": NAME},
            "seriesQuery": "http_requests_total",
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "name": {"as": "skewed_requests"},
            "metricsQuery": "sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[20s]))",
            "refresh": "1ms",
        });
        create(client, &rule(Some(namespace), "skewed", &spec)).await?;
        let path = custom(namespace, "pods", "*", "skewed_requests");
        eventually(PATIENCE, "the rate is right", || async {
            let answer = ask(client, &path).await?;
            let [value] = answer.values[..] else {
                anyhow::bail!("{answer:?}")
            };
            ensure_near(value, RATE)
        })
        .await?;
        self.is_told(testbed, client).await?;
        self.is_refused_beyond_a_bound(client, &path, namespace).await
    }

    async fn is_told(&self, testbed: &Testbed, client: &Client) -> Result<()> {
        let backends = objects(client, "MetricBackend", None);
        eventually(PATIENCE, "the backend's status tells of its clock", || async {
            let status = backends.get(NAME).await?.data["status"].clone();
            let offset = status["clockOffset"].as_i64().context("no clockOffset")?;
            ensure!((-61..=-59).contains(&offset), "{status}");
            Ok(())
        })
        .await?;
        let message = until_condition(&backends, NAME, "Ready", "True", "Ready").await?;
        ensure!(message.contains("s behind the operator's"), "{message}");
        let replica = testbed.replicas().first().context("no replica")?;
        let (_, metrics) = replica.get("/metrics").await?;
        let name = format!("metricrule_backend_clock_offset_seconds{{backend=\"{NAME}\"}} ");
        let offset: f64 = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .with_context(|| format!("no {name}"))?
            .parse()?;
        ensure!((offset + 60.0).abs() < 1.5, "{offset}");
        Ok(())
    }

    async fn is_refused_beyond_a_bound(&self, client: &Client, path: &str, namespace: &str) -> Result<()> {
        self.ahead.store(900, Ordering::Relaxed);
        let backends = objects(client, "MetricBackend", None);
        eventually(PATIENCE, "a query is refused", || async {
            let answer = ask(client, path).await?;
            ensure!(answer.refuses(503, "ClockSkew"), "{answer:?}");
            Ok(())
        })
        .await?;
        let message = until_condition(&backends, NAME, "Ready", "False", "ClockSkew").await?;
        ensure!(message.contains("15 minutes ahead"), "{message}");
        let answer = ask(client, &external(namespace, "skewed_requests", "")).await?;
        ensure!(answer.code == 404, "{answer:?}");
        Ok(())
    }
}

async fn pass(client: &reqwest::Client, upstream: &str, ahead: i64, uri: &Uri, body: &[u8]) -> Response {
    let answered = Box::pin(forward(client, upstream, ahead, uri, body)).await;
    let (status, mut answer) = answered.unwrap_or_else(|error| {
        (
            502,
            json!({"status": "error", "errorType": "unavailable", "error": error.to_string()}),
        )
    });
    if let Some(rows) = answer.pointer_mut("/data/result").and_then(Value::as_array_mut) {
        for time in rows.iter_mut().filter_map(|row| row.pointer_mut("/value/0")) {
            *time = json!(time.as_f64().unwrap_or_default() + seconds(ahead));
        }
    }
    let date = Timestamp::now() + SignedDuration::from_secs(ahead);
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&date)
        .unwrap_or_default();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    (status, [("date", date)], answer.to_string()).into_response()
}

/// What Prometheus answers to the same by its own clock.
async fn forward(
    client: &reqwest::Client,
    upstream: &str,
    ahead: i64,
    uri: &Uri,
    body: &[u8],
) -> Result<(u16, Value)> {
    let sent = format!(
        "http://relay/?{}&{}",
        uri.query().unwrap_or_default(),
        String::from_utf8_lossy(body)
    );
    let mut parameters: Vec<(String, String)> = Vec::new();
    for (name, value) in Url::parse(&sent)?.query_pairs() {
        let value = match &*name {
            "time" | "start" | "end" => format!("{:.3}", value.parse::<f64>()? - seconds(ahead)),
            _ => value.into_owned(),
        };
        parameters.push((name.into_owned(), value));
    }
    parameters.retain(|(name, _)| !name.is_empty());
    let request = client
        .get(format!("{upstream}{}", uri.path()))
        .query(&parameters)
        .timeout(Duration::from_secs(10));
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

#[expect(clippy::cast_precision_loss, reason = "some minutes")]
fn seconds(ahead: i64) -> f64 {
    ahead as f64
}
