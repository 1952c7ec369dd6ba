//! A backend that quotes every credential that it was sent, in many spellings, wherever it may say something.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use serde_json::json;
use testbed::install::NAMESPACE;
use testbed::served::Served;
use testbed::{PATIENCE, Testbed, eventually};

use crate::ask::{ask, backend, condition, create, external, objects, rule};

pub(super) const NAME: &str = "untrusted-quoting";
const USER: &str = "quoted-reader";
const PASSWORD: &str = "hunter2?s&cret";
const HEADER: &str = "header-k3y-0123";
const PARAMETER: &str = "param-k3y-4567";

/// It ends when it is dropped.
pub(super) struct Quoting {
    server: Served,
    /// Which of its ways it has.
    way: Arc<AtomicUsize>,
}

/// Status and body of each way to say something.
fn ways(said: &str) -> Vec<(u16, String)> {
    let error = json!({"status": "error", "errorType": "execution", "error": said}).to_string();
    let rows = json!({"resultType": "vector", "result": []});
    let mut ways: Vec<(u16, String)> = [200, 400, 401, 500, 503].map(|code| (code, error.clone())).into();
    ways.extend([
        (500, said.to_owned()),
        (200, said.to_owned()),
        (200, json!({"status": "success", "data": said}).to_string()),
        (
            200,
            json!({"status": "success", "warnings": [said], "data": rows}).to_string(),
        ),
        (
            200,
            json!({"status": "success", "infos": [said], "data": rows}).to_string(),
        ),
        (
            200,
            json!({"status": "success", "data": {"resultType": "vector",
                "result": [{"metric": {"seen": said}, "value": [1, "1"]}]}})
            .to_string(),
        ),
        (302, said.to_owned()),
    ]);
    ways
}

fn quoted() -> String {
    let pair = format!("{USER}:{PASSWORD}");
    let standard = BASE64_STANDARD.encode(&pair);
    [
        format!("unexpected header Authorization: Basic {standard}"),
        format!("url-safe {}", BASE64_URL_SAFE_NO_PAD.encode(&pair)),
        format!("user {USER} with {PASSWORD} or hunter2%3Fs%26cret"),
        format!("cut {}", &standard[..16]),
        format!("X-Api-Key: {HEADER}, key={PARAMETER}"),
    ]
    .join("; ")
}

fn leaks(text: &str) -> Option<&'static str> {
    let parts = [
        "hunter2",
        "quoted-reader",
        "k3y-0123",
        "k3y-4567",
        "cXVvdGVk",
        "aHVudGVy",
    ];
    parts.into_iter().find(|part| text.contains(part))
}

// === impl Quoting ===

impl Quoting {
    pub(super) async fn start() -> Result<Self> {
        let way = Arc::new(AtomicUsize::new(0));
        let shared = way.clone();
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
            let way = shared.load(Ordering::Relaxed);
            async move { answer(way, &uri, &headers) }
        });
        let server = Served::start(app).await?;
        Ok(Self { server, way })
    }

    pub(super) async fn run(&self, testbed: &Testbed, client: &Client, namespace: &str) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
        let login = [
            ("username".to_owned(), USER.to_owned()),
            ("password".to_owned(), PASSWORD.to_owned()),
        ];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                labels: Some([("metricrule.dev/backend".to_owned(), "true".to_owned())].into()),
                ..ObjectMeta::default()
            },
            string_data: Some(login.into()),
            ..Secret::default()
        };
        secrets.create(&PostParams::default(), &secret).await?;
        let outcome = self.steps(testbed, client, namespace).await;
        secrets.delete(NAME, &DeleteParams::default()).await?;
        outcome
    }

    async fn steps(&self, testbed: &Testbed, client: &Client, namespace: &str) -> Result<()> {
        let spec = json!({
            "type": "Prometheus",
            "prometheus": {
                "url": self.server.url(), "allowPlaintextCredentials": true, "partialResponse": "Accept",
                "headers": {"X-Api-Key": HEADER}, "queryParams": {"key": PARAMETER},
                "auth": {"type": "Basic", "basic": {"secretRef": {"name": NAME}}},
            },
            "discovery": {"interval": "1s"},
        });
        create(client, &backend(NAME, &spec)).await?;
        let spec = json!({
            "api": "External", "backendRef": {"name": NAME}, "name": {"as": "quoted_static"},
            "metricsQuery": "vector(1)",
        });
        create(client, &rule(Some(namespace), "static", &spec)).await?;
        let spec = json!({
            "backendRef": {"name": NAME}, "seriesQuery": "quoted_series",
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        });
        create(client, &rule(Some(namespace), "series", &spec)).await?;
        let backends = objects(client, "MetricBackend", None);
        let mut replies = String::new();
        for (number, (code, body)) in ways(&quoted()).iter().enumerate() {
            self.way.store(number, Ordering::Relaxed);
            // The rule is there, and the backend was asked in this way.
            eventually(PATIENCE, "the rule is known", || async {
                let answer = ask(client, &external(namespace, "quoted_static", "")).await?;
                ensure!(
                    answer.code != 404 && !answer.message.contains("NotSynced"),
                    "{answer:?}"
                );
                Ok(())
            })
            .await?;
            let path = external(namespace, "quoted_static", "");
            let request = http::Request::get(&path).body(Vec::new())?;
            let reply = match client.request_text(request).await {
                Ok(reply) => reply,
                Err(error) => format!("{error:?}"),
            };
            ensure!(leaks(&reply).is_none(), "{code} {body}: {reply}");
            replies.push_str(&reply);
        }
        ensure!(replies.contains("QueryRejected"), "{replies}");
        // The leader probes it in the first way, which it tells of.
        self.way.store(0, Ordering::Relaxed);
        eventually(PATIENCE, "the status tells of the error", || async {
            let object = backends.get(NAME).await?;
            let ready = condition(&object, "Ready");
            let message = &object.data["status"]["lastError"]["message"];
            ensure!(ready.status == "False", "{ready:?}");
            ensure!(
                message
                    .as_str()
                    .is_some_and(|message| message.contains("[redacted]")),
                "{message}"
            );
            Ok(())
        })
        .await?;
        self.nothing_shows(testbed, client, namespace).await
    }

    async fn nothing_shows(&self, testbed: &Testbed, client: &Client, namespace: &str) -> Result<()> {
        let mut texts = Vec::new();
        for kind in ["MetricBackend", "MetricRule"] {
            let namespace = (kind == "MetricRule").then_some(namespace);
            for object in objects(client, kind, namespace)
                .list(&ListParams::default())
                .await?
            {
                // The spec holds what its author wrote.
                texts.push(object.data["status"].to_string());
            }
        }
        let events: Api<Event> = Api::all(client.clone());
        let ours = |event: &Event| {
            let about = event.regarding_name();
            about == NAME || event.metadata.namespace.as_deref() == Some(namespace)
        };
        for event in events
            .list(&ListParams::default())
            .await?
            .iter()
            .filter(|event| ours(event))
        {
            texts.push(serde_json::to_string(event)?);
        }
        ensure!(texts.len() > 3, "{texts:?}");
        for replica in testbed.replicas() {
            texts.push(replica.process().log_text());
            texts.push(replica.get("/metrics").await?.1);
        }
        for text in texts {
            if let Some(part) = leaks(&text) {
                let line = text.lines().find(|line| line.contains(part)).unwrap_or_default();
                anyhow::bail!("{part} shows: {line}");
            }
        }
        Ok(())
    }
}

fn answer(way: usize, uri: &Uri, headers: &HeaderMap) -> Response {
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if sent != Some(&expected) || headers.get("x-api-key").is_none_or(|key| key != HEADER) {
        return StatusCode::IM_A_TEAPOT.into_response();
    }
    if uri.path().ends_with("buildinfo") {
        let version = format!("3.5 {}", quoted());
        return json!({"status": "success", "data": {"version": version}})
            .to_string()
            .into_response();
    }
    let ways = ways(&quoted());
    let Some((code, body)) = ways.get(way) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::IM_A_TEAPOT);
    let location = format!("http://127.0.0.1:1/{HEADER}/hunter2%3Fs%26cret");
    (status, [("location", location)], body.clone()).into_response()
}

/// Whom an Event is about.
trait Regarding {
    fn regarding_name(&self) -> &str;
}

impl Regarding for Event {
    fn regarding_name(&self) -> &str {
        self.involved_object.name.as_deref().unwrap_or_default()
    }
}
