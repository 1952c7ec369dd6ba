mod access;
mod bounds;
mod documents;
mod logs;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::Request as HttpRequest;
use futures::future::BoxFuture;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use k8s_openapi::api::{authentication::v1::UserInfo, authorization::v1::SubjectAccessReviewSpec};
use language::quantity::Milli;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::*;
use crate::{
    answer::Placed,
    catalog::Catalog,
    kubernetes::reviews::{AccessOutcome, ReviewError, Reviewer, Token, TokenOutcome},
    query::{
        Answer, CustomItem, ExternalItem, Failure,
        request::{self, ObjectName},
    },
    reason::Reason,
    server::{
        answers::Answers,
        authn::Authenticator,
        authz::Authorizer,
        state::{Api, RequestLimits},
    },
};

const P: &str = "/apis/custom.metrics.k8s.io/v1beta2";
const E: &str = "/apis/external.metrics.k8s.io/v1beta1";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A token names its user; `admin` is of `system:masters`. `mallory` may do nothing, for `unsure` nobody knows.
#[derive(Default)]
struct Reviews(Mutex<Vec<SubjectAccessReviewSpec>>);

impl Reviewer for Reviews {
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
        let outcome = match token.expose() {
            "bad" => TokenOutcome::Rejected {
                error: "expired".to_owned(),
            },
            user => TokenOutcome::Authenticated(Box::new(UserInfo {
                username: Some(user.to_owned()),
                groups: (user == "admin").then(|| vec!["system:masters".to_owned()]),
                ..UserInfo::default()
            })),
        };
        Box::pin(async { Ok(outcome) })
    }

    fn access<'a>(
        &'a self,
        spec: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
        self.0.lock().unwrap().push(spec.clone());
        let outcome = match spec.user.as_deref() {
            Some("unsure") => Err(ReviewError::Timeout("SubjectAccessReview")),
            Some("mallory" | "system:anonymous") => Ok(AccessOutcome {
                allowed: false,
                reason: "RBAC: nope".to_owned(),
            }),
            _ => Ok(AccessOutcome {
                allowed: true,
                reason: String::new(),
            }),
        };
        Box::pin(async { outcome })
    }
}

/// The metric's name says what happens.
#[derive(Default)]
struct Values {
    waiting: AtomicUsize,
    dropped: Arc<AtomicBool>,
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Values {
    async fn wait(&self) {
        let _dropped = SetOnDrop(self.dropped.clone());
        self.waiting.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }
}

fn answer<Item>(items: Vec<Item>) -> Placed<Answer<Item>> {
    Placed::from(Answer {
        items,
        window: Some(Duration::from_mins(1)),
    })
}

impl Answers for Values {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }

    fn custom<'a>(
        &'a self,
        route: &'a request::Custom,
        _: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<CustomItem>>, Failure>> {
        Box::pin(async move {
            let item = |name: &str| CustomItem {
                kind: "Pod".into(),
                api_version: "/v1".into(),
                namespace: route.namespace.as_deref().map(Into::into),
                name: name.into(),
                value: Milli::new(1500),
                timestamp: "2026-01-02T02:04:05.5Z".parse().unwrap(),
            };
            match (route.metric.as_str(), &route.object) {
                ("panic", _) => panic!("at the disco: http://prometheus:9090"),
                ("slow", _) => {
                    self.wait().await;
                    Ok(answer(Vec::new()))
                }
                ("down", _) => Err(Failure::new(
                    Reason::BackendDown,
                    "the MetricBackend \"main\": it refuses connections",
                )),
                ("missing", _) => {
                    Err(Failure::new(Reason::UnknownMetric, "no rule makes it").after(route.sought_kind()))
                }
                ("empty", _) => Ok(answer(Vec::new())),
                ("big", _) => Ok(answer(
                    (0..1000).map(|index| item(&format!("pod-{index:05}"))).collect(),
                )),
                (_, ObjectName::All) => Ok(answer(vec![item("pod-a"), item("pod-b")])),
                (_, ObjectName::Named(name)) => Ok(answer(vec![item(name)])),
                (_, ObjectName::Namespace) => Ok(answer(vec![item("ns")])),
            }
        })
    }

    fn external<'a>(
        &'a self,
        _: &'a request::External,
        _: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<ExternalItem>>, Failure>> {
        Box::pin(async move {
            let item = ExternalItem {
                labels: Some([("zeta", "1"), ("alpha", "2<>&")].into_iter().collect()),
                value: Milli::new(1500),
                timestamp: "2025-10-09T08:53:20Z".parse().unwrap(),
            };
            Ok(answer(vec![item]))
        })
    }
}

/// A server and what is behind it.
struct Bench {
    router: Router,
    reviews: Arc<Reviews>,
    values: Arc<Values>,
    metrics: Metrics,
}

impl Bench {
    fn new(limits: RequestLimits) -> Self {
        let (reviews, values, metrics) = (
            Arc::<Reviews>::default(),
            Arc::<Values>::default(),
            Metrics::new(),
        );
        let (_, config) = watch::channel(None);
        let mut health = Health::new();
        health.gate("rules").close("not read");
        let api = Api {
            authenticator: Authenticator::new(config, reviews.clone()),
            authorizer: Authorizer::new(reviews.clone()),
            answers: values.clone(),
            health,
            metrics: metrics.clone(),
            limits,
        };
        Self {
            router: router(api).unwrap(),
            reviews,
            values,
            metrics,
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = HttpRequest::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            head.status.as_u16(),
            head.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    async fn get(&self, user: &str, path: &str) -> (u16, HeaderMap, String) {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {user}"))])
            .await
    }

    /// A request that goes on by itself.
    fn spawn(&self, user: &str, path: &str) -> tokio::task::JoinHandle<u16> {
        let request = HttpRequest::builder()
            .uri(path)
            .header("authorization", format!("Bearer {user}"));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap());
        tokio::spawn(async move { response.await.unwrap().status().as_u16() })
    }

    async fn until_waiting(&self, requests: usize) {
        while self.values.waiting.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }

    /// Whether the own metrics have a line that begins so.
    fn counts(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|known| known.starts_with(line))
    }
}

fn bench() -> Bench {
    Bench::new(RequestLimits::default())
}

fn status(body: &str) -> Value {
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&status["kind"], &status["apiVersion"]),
        (&"Status".into(), &"v1".into()),
        "{body}"
    );
    status
}

#[tokio::test]
async fn values_in_both_versions() {
    let bench = bench();
    let cases = [
        (
            format!("{P}/namespaces/ns/pods/%2A/http_requests?metricLabelSelector=verb%3DGET"),
            r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-a","apiVersion":"/v1"},"metric":{"name":"http_requests","selector":{"matchLabels":{"verb":"GET"}}},"timestamp":"2026-01-02T02:04:05Z","windowSeconds":60,"value":"1500m"},{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-b","apiVersion":"/v1"},"metric":{"name":"http_requests","selector":{"matchLabels":{"verb":"GET"}}},"timestamp":"2026-01-02T02:04:05Z","windowSeconds":60,"value":"1500m"}]}"#,
        ),
        (
            "/apis/custom.metrics.k8s.io/v1beta1/nodes/n1/cpu".to_owned(),
            r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta1","metadata":{},"items":[{"describedObject":{"kind":"Pod","name":"n1","apiVersion":"/v1"},"metricName":"cpu","timestamp":"2026-01-02T02:04:05Z","window":60,"value":"1500m","selector":null}]}"#,
        ),
        (
            format!("{P}/namespaces/ns/pods/*/empty"),
            r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[]}"#,
        ),
        (
            format!("{E}/namespaces/ns/queue_messages?labelSelector=a%3Db"),
            r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[{"metricName":"queue_messages","metricLabels":{"alpha":"2\u003c\u003e\u0026","zeta":"1"},"timestamp":"2025-10-09T08:53:20Z","window":60,"value":"1500m"}]}"#,
        ),
    ];
    for (path, expected) in cases {
        let (code, headers, body) = bench.get("hpa", &path).await;
        assert_eq!((code, body), (200, format!("{expected}\n")), "{path}");
        assert_eq!(headers["content-type"], "application/json");
    }
    assert!(bench.counts(r#"metricrule_requests_total{route="custom",code="200",reason=""} 3"#));
    assert!(bench.counts(r#"metricrule_requests_total{route="external",code="200",reason=""} 1"#));
    assert!(bench.counts("metricrule_requests_in_flight 0"));

    let (_, _, body) = bench
        .send(
            Method::GET,
            &format!("{P}/nodes/n1/m"),
            &[("authorization", "Bearer hpa"), ("user-agent", "curl/8")],
        )
        .await;
    assert!(
        body.starts_with("{\n  \"kind\": \"MetricValueList\",\n"),
        "{body}"
    );
}

#[tokio::test]
async fn failures_say_why_and_hold_nothing_back_from_the_counters() {
    let bench = bench();
    let (code, headers, body) = bench
        .get("hpa", &format!("{P}/namespaces/ns/pods/p1/missing"))
        .await;
    assert_eq!(code, 404);
    let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the metric missing for pods: UnknownMetric: no rule makes it","reason":"NotFound","code":404}"#;
    assert_eq!(body, format!("{expected}\n"));
    assert!(!headers.contains_key("retry-after"));

    let (code, headers, body) = bench.get("hpa", &format!("{P}/namespaces/ns/pods/p1/down")).await;
    let status = status(&body);
    assert_eq!((code, &status["reason"]), (503, &"ServiceUnavailable".into()));
    assert_eq!(
        status["message"],
        "BackendDown: the MetricBackend \"main\": it refuses connections"
    );
    assert!(!headers.contains_key("retry-after"));
    assert!(bench.counts(r#"metricrule_requests_total{route="custom",code="503",reason="BackendDown"} 1"#));
    assert!(bench.counts(r#"metricrule_requests_total{route="custom",code="404",reason="UnknownMetric"} 1"#));

    // What no label selector can say is refused before anything is asked.
    let (code, _, body) = bench
        .get(
            "hpa",
            &format!("{P}/namespaces/ns/pods/p1/m?metricLabelSelector=a%3E1"),
        )
        .await;
    assert_eq!(code, 400, "{body}");
    assert!(body.contains("InvalidSelector"), "{body}");
}

/// Conformance point 49, through the whole way.
#[tokio::test]
async fn a_large_reply_is_compressed() {
    let bench = bench();
    let path = format!("{P}/namespaces/ns/pods/*/big");
    let headers = [("authorization", "Bearer hpa"), ("accept-encoding", "gzip")];
    let mut request = HttpRequest::builder().uri(&path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = bench
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text).unwrap();
    assert_eq!(text, bench.get("hpa", &path).await.2);
}
