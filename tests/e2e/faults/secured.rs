//! A backend with Basic auth: a small server of the test's own that speaks as much of Prometheus' API as the adapter asks for,
//! and only to those who know the password of the moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::served::Served;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Instant;

use super::Labels;
use crate::ask::{ask, backend, create, custom, objects, rule, say, until_condition, until_value};

const NAME: &str = "secured";
const USER: &str = "metrics";
const VALUE: f64 = 17.0;
/// How soon a changed Secret is used.
const TAKEN_UP: Duration = Duration::from_secs(5);

/// The server; it ends when it is dropped.
pub(super) struct Secured {
    server: Served,
    state: Arc<Mutex<Door>>,
}

struct Door {
    /// The header that is let in.
    open_to: String,
    /// Every other one that came.
    refused: Vec<String>,
    labels: Labels,
}

pub(super) struct Scene<'a> {
    pub(super) testbed: &'a Testbed,
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) server: Secured,
}

// === impl Secured ===

impl Secured {
    /// Starts it, open to nobody; it has one series of one pod.
    pub(super) async fn start(namespace: &str, pod: &str) -> Result<Self> {
        let labels = Labels::from([
            ("__name__", "secured_gauge".to_owned()),
            ("namespace", namespace.to_owned()),
            ("pod", pod.to_owned()),
        ]);
        let state = Arc::new(Mutex::new(Door {
            open_to: String::new(),
            refused: Vec::new(),
            labels,
        }));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let server = Served::start(app).await?;
        Ok(Self { server, state })
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn open_to(&self, password: &str) {
        let mut door = lock(&self.state);
        door.open_to = basic(password);
        door.refused.clear();
    }

    fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }
}

fn lock(state: &Mutex<Door>) -> MutexGuard<'_, Door> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(state): State<Arc<Mutex<Door>>>, request: Request) -> Response {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let labels = {
        let mut door = lock(&state);
        if header != door.open_to {
            door.refused.push(header);
            return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
        }
        door.labels.clone()
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |now| now.as_secs_f64());
    let data = match request.uri().path() {
        "/api/v1/series" => json!([labels]),
        "/api/v1/query" => {
            let labels: Labels = labels
                .into_iter()
                .filter(|(name, _)| *name != "__name__")
                .collect();
            json!({"resultType": "vector", "result": [{"metric": labels, "value": [now, VALUE.to_string()]}]})
        }
        "/api/v1/status/buildinfo" => json!({"version": "3.5.0", "revision": "x"}),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let body = json!({"status": "success", "data": data}).to_string();
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// The header for a password.
fn basic(password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{password}")))
}

// === impl Scene ===

impl Scene<'_> {
    pub(super) async fn run(&self) -> Result<()> {
        let replica = self.testbed.replicas().first().context("no replica")?;
        let pid = replica.process().pid();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let secret = |labelled: bool, password: &str| Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                labels: labelled.then(|| [("metricrule.dev/backend".to_owned(), "true".to_owned())].into()),
                ..ObjectMeta::default()
            },
            string_data: Some(
                [
                    ("username".to_owned(), USER.to_owned()),
                    ("password".to_owned(), password.to_owned()),
                ]
                .into(),
            ),
            ..Secret::default()
        };
        let outcome = self.steps(&secrets, secret).await;
        let gone = secrets.delete(NAME, &DeleteParams::default()).await;
        outcome?;
        gone?;
        ensure!(
            pid.is_some() && replica.process().pid() == pid,
            "the replica was started again"
        );
        Ok(())
    }

    async fn steps(&self, secrets: &Api<Secret>, secret: impl Fn(bool, &str) -> Secret) -> Result<()> {
        let spec = json!({
            "type": "Prometheus",
            "limits": {"perRule": {"minRefresh": "0s"}},
            "prometheus": {
                "url": self.server.url(),
                "timeout": "2s",
                "allowPlaintextCredentials": true,
                "auth": {"type": "Basic", "basic": {"secretRef": {"name": NAME}}},
            },
            "discovery": {"interval": "2s"},
        });
        create(&self.client, &backend(NAME, &spec)).await?;
        let spec = json!({
            "backendRef": {"name": NAME},
            "seriesQuery": "secured_gauge",
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            "refresh": "1ms",
        });
        create(&self.client, &rule(Some(&self.namespace), NAME, &spec)).await?;
        let backends = objects(&self.client, "MetricBackend", None);
        let path = custom(&self.namespace, "pods", super::POD, "secured_gauge");

        // a Secret without the label is none of the operator's business
        self.server.open_to("first");
        secrets
            .create(&PostParams::default(), &secret(false, "first"))
            .await?;
        until_condition(&backends, NAME, "Authenticated", "False", "CredentialsNotFound").await?;
        ensure!(
            self.server.refused().is_empty(),
            "it was asked without credentials: {:?}",
            self.server.refused()
        );

        let apply = PatchParams::apply("e2e").force();
        let changed = |secret: Secret| Patch::Apply(with_type(&secret));
        secrets
            .patch(NAME, &apply, &changed(secret(true, "first")))
            .await?;
        until_value(&self.client, &path, VALUE, PATIENCE).await?;
        until_condition(&backends, NAME, "Ready", "True", "Ready").await?;

        // the server asks for another password before the Secret says it
        self.server.open_to("second");
        eventually(PATIENCE, "the former password is refused", || async {
            let answer = ask(&self.client, &path).await?;
            ensure!(answer.refuses(503, "Unauthenticated"), "{answer:?}");
            ensure!(
                !answer.message.contains("who are you"),
                "the server's words are passed on: {answer:?}"
            );
            Ok(())
        })
        .await?;
        ensure!(
            self.server
                .refused()
                .iter()
                .all(|header| *header == basic("first")),
            "{:?}",
            self.server.refused()
        );
        secrets
            .patch(NAME, &apply, &changed(secret(true, "second")))
            .await?;
        let begun = Instant::now();
        until_value(&self.client, &path, VALUE, TAKEN_UP)
            .await
            .context("after the Secret changed")?;
        say(&format!(
            "secured: a changed Secret is used after {} ms",
            begun.elapsed().as_millis()
        ));

        // without a Secret nothing is asked; with it again all is well
        secrets.delete(NAME, &DeleteParams::default()).await?;
        eventually(
            TAKEN_UP,
            "without its Secret the backend is not asked",
            || async {
                let answer = ask(&self.client, &path).await?;
                ensure!(answer.refuses(503, "CredentialsNotFound"), "{answer:?}");
                ensure!(!answer.message.contains(&self.server.url()), "{answer:?}");
                Ok(())
            },
        )
        .await?;
        secrets
            .create(&PostParams::default(), &secret(true, "second"))
            .await?;
        until_value(&self.client, &path, VALUE, TAKEN_UP)
            .await
            .context("after the Secret is there again")
    }
}

/// Server-side apply wants the type in the body.
fn with_type(secret: &Secret) -> Value {
    let mut value = serde_json::to_value(secret).unwrap_or_default();
    value["apiVersion"] = json!("v1");
    value["kind"] = json!("Secret");
    value
}
