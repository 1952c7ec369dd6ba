mod faults;
mod large;
mod secrets;
mod skew;
mod tls;

use std::{collections::BTreeMap, sync::Mutex};

use axum::{
    Router,
    body::Bytes as Body,
    extract::State,
    http::{HeaderMap as Headers, Method, Uri},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    api::CaRefKind,
    backend::{
        auth::IssuedToken,
        budget::{ANSWERS, LISTINGS},
        install_crypto,
    },
    metrics::{BudgetKind, Metrics},
};

/// What a request held that reached the server.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    method: Method,
    path: String,
    /// Of the address and of the form in the body.
    query: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
    headers: Headers,
}

/// A Prometheus that answers every path with what the test says and remembers what it was asked.
pub(super) struct Fake {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<BTreeMap<&'static str, (u16, String)>>>,
}

type FakeState = (
    Arc<Mutex<Vec<Seen>>>,
    Arc<Mutex<BTreeMap<&'static str, (u16, String)>>>,
);

struct Tokens;

impl TokenSource for Tokens {
    fn issue(
        &self,
        account: Arc<str>,
        audience: Arc<str>,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        let token = format!("{account}.{audience}").into();
        async move { Ok(IssuedToken { token, lifetime }) }.boxed()
    }
}

impl Fake {
    pub(super) async fn start() -> Self {
        let state: FakeState = Default::default();
        let (seen, answers) = state.clone();
        let app = Router::new().fallback(answer).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen, answers }
    }

    pub(super) fn set(&self, end_of_path: &'static str, status: u16, body: impl Into<String>) {
        self.answers
            .lock()
            .unwrap()
            .insert(end_of_path, (status, body.into()));
    }

    fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

async fn answer(
    State((seen, answers)): State<FakeState>,
    method: Method,
    uri: Uri,
    headers: Headers,
    body: Body,
) -> (http::StatusCode, String) {
    let pairs = |text: &str| {
        Url::parse(&format!("http://x/?{text}"))
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect()
    };
    seen.lock().unwrap().push(Seen {
        method,
        path: uri.path().to_owned(),
        query: pairs(uri.query().unwrap_or_default()),
        form: pairs(std::str::from_utf8(&body).unwrap()),
        headers,
    });
    let answers = answers.lock().unwrap();
    let answer = answers.iter().find(|(path, _)| uri.path().ends_with(*path));
    let (status, body) = answer.map_or_else(
        || (404, "404 page not found".to_owned()),
        |(_, answer)| answer.clone(),
    );
    (http::StatusCode::from_u16(status).unwrap(), body)
}

pub(super) fn settings(spec: &Value, secrets: &[(&str, &[u8])]) -> Settings {
    let spec = serde_json::from_value(json!({"type": "Prometheus", "prometheus": spec})).unwrap();
    Settings::compile(&spec, &|_: CaRefKind, _, key| {
        secrets
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, bytes)| bytes::Bytes::copy_from_slice(bytes))
    })
    .unwrap()
}

pub(super) fn client(spec: &Value, secrets: &[(&str, &[u8])]) -> Prometheus {
    install_crypto();
    Prometheus::new(&settings(spec, secrets), context()).unwrap()
}

pub(super) fn context() -> Context {
    let metrics = Metrics::new().backend;
    Context {
        name: "test".into(),
        tokens: Arc::new(Tokens),
        answers: Budget::new(BudgetKind::Answers, ANSWERS, metrics.clone()),
        listings: Budget::new(BudgetKind::Listings, LISTINGS, metrics.clone()),
        metrics,
    }
}

pub(super) fn query(promql: &str) -> InstantQuery {
    InstantQuery {
        promql: promql.into(),
        at: Timestamp::from_millisecond(1_763_784_000_070).unwrap(),
        deadline: Instant::now() + Duration::from_secs(20),
        max_samples: Some(3),
        namespace: None,
        rule: None,
        refresh: Duration::ZERO,
    }
}

fn series_query() -> SeriesQuery {
    SeriesQuery {
        selector: r#"up{pod!=""}"#.into(),
        start: Timestamp::from_second(1_763_784_000).unwrap(),
        end: Timestamp::from_second(1_763_784_300).unwrap(),
        max_series: None,
        examples: 0,
        namespace: None,
        deadline: Instant::now() + Duration::from_secs(20),
    }
}

pub(super) fn vector(rows: &Value) -> String {
    json!({"status": "success", "data": {"resultType": "vector", "result": rows}}).to_string()
}

#[tokio::test]
async fn a_query_is_posted_as_a_form_with_time_and_timeout() {
    let fake = Fake::start().await;
    fake.set(
        "/query",
        200,
        vector(&json!([{"metric": {"pod": "a"}, "value": [1_763_784_000.07, "1.5"]}])),
    );
    let client = client(
        &json!({"url": format!("{}/prefix/", fake.url), "queryParams": {"dedup": "true"}, "headers": {"X-Scope-OrgID": "t"},
            "timeout": "7s500ms"}),
        &[],
    );
    let promql = r#"sum by (pod) (rate(x{a="b&c+d"}[2m])) # %"#;
    let vector = client.instant(query(promql)).await.unwrap().rows;
    assert_eq!(vector.samples[0].value.to_string(), "1.5");
    assert_eq!(vector.samples[0].timestamp.as_millisecond(), 1_763_784_000_070);

    let seen = fake.last();
    assert_eq!(
        (seen.method, seen.path.as_str()),
        (Method::POST, "/prefix/api/v1/query")
    );
    assert_eq!(seen.query, [("dedup".to_owned(), "true".to_owned())].into());
    assert_eq!(seen.form["query"], promql);
    assert_eq!(seen.form["time"], "1763784000.070");
    let timeout: u64 = seen.form["timeout"].strip_suffix("ms").unwrap().parse().unwrap();
    assert!((6_000..=7_500).contains(&timeout), "{timeout}");
    assert_eq!(
        seen.form.len(),
        3,
        "nothing that a strict API would refuse: {:?}",
        seen.form
    );
    assert_eq!(seen.headers["x-scope-orgid"], "t");
    assert_eq!(seen.headers["accept"], "application/json");
    assert!(seen.headers["accept-encoding"].to_str().unwrap().contains("gzip"));
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("metricrule/")
    );
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn get_puts_everything_into_the_address() {
    let fake = Fake::start().await;
    fake.set("/query", 200, vector(&json!([])));
    let client = client(
        &json!({"url": fake.url, "method": "GET", "queryParams": {"dedup": "true"}}),
        &[],
    );
    assert!(client.instant(query("up")).await.unwrap().rows.samples.is_empty());
    let seen = fake.last();
    assert_eq!((seen.method, seen.path.as_str()), (Method::GET, "/api/v1/query"));
    assert_eq!((&*seen.query["query"], &*seen.query["dedup"]), ("up", "true"));
    assert!(seen.form.is_empty());
}

#[tokio::test]
async fn the_earlier_of_the_two_deadlines_is_sent() {
    let fake = Fake::start().await;
    fake.set("/query", 200, vector(&json!([])));
    let client = client(&json!({"url": fake.url, "timeout": "30s"}), &[]);
    let mut short = query("up");
    short.deadline = Instant::now() + Duration::from_secs(2);
    client.instant(short).await.unwrap();
    let timeout: u64 = fake.last().form["timeout"]
        .strip_suffix("ms")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1_000..=2_000).contains(&timeout), "{timeout}");
}

#[tokio::test]
async fn credentials_are_sent_as_the_backend_says() {
    let fake = Fake::start().await;
    fake.set("/query", 200, vector(&json!([])));
    let secret = json!({"secretRef": {"name": "s"}});
    for (auth, expected) in [
        (json!({"type": "Basic", "basic": secret}), "Basic YWRtaW46cHc="),
        (json!({"type": "Bearer", "bearer": secret}), "Bearer tok"),
        (
            json!({"type": "ServiceAccountToken",
                "serviceAccountToken": {"serviceAccountRef": {"name": "querier"}, "audience": "prom"}}),
            "Bearer querier.prom",
        ),
    ] {
        let spec = json!({"url": fake.url, "auth": auth, "allowPlaintextCredentials": true});
        let client = client(
            &spec,
            &[("username", b"admin"), ("password", b"pw\n"), ("token", b"tok")],
        );
        client.instant(query("up")).await.unwrap();
        assert_eq!(fake.last().headers["authorization"], expected);
    }
}

#[tokio::test]
async fn partial_answers_are_errors_unless_accepted() {
    let fake = Fake::start().await;
    let body = json!({"status": "success", "warnings": ["fetch series for {cluster=\"b\"}: store gone"],
        "data": {"resultType": "vector", "result": []}});
    fake.set("/query", 200, body.to_string());
    let strict = client(&json!({"url": fake.url}), &[]);
    let error = strict.instant(query("up")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::PartialResponse);
    assert!(error.detail().contains("store gone"), "{error:?}");

    let lenient = client(&json!({"url": fake.url, "partialResponse": "Accept"}), &[]);
    assert_eq!(lenient.instant(query("up")).await.unwrap().rows.warnings.len(), 1);
}

#[tokio::test]
async fn series_are_asked_with_a_window() {
    let fake = Fake::start().await;
    fake.set(
        "/series",
        200,
        r#"{"status":"success","data":[{"__name__":"up","pod":"a"}]}"#,
    );
    let client = client(&json!({"url": fake.url}), &[]);
    assert_eq!(client.series(series_query()).await.unwrap().len(), 1);
    let seen = fake.last();
    assert_eq!(seen.path, "/api/v1/series");
    let expected = [
        ("end", "1763784300.000"),
        ("match[]", r#"up{pod!=""}"#),
        ("start", "1763784000.000"),
    ];
    assert_eq!(
        seen.form,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
}

#[tokio::test]
async fn a_probe_is_a_query_and_says_what_the_server_is() {
    let fake = Fake::start().await;
    let client = client(&json!({"url": fake.url}), &[]);
    let deadline = || Instant::now() + Duration::from_secs(20);
    let error = client.probe(deadline()).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.detail()),
        (Reason::BackendError, "404 Not Found")
    );

    fake.set("/query", 200, vector(&json!([{"metric": {}, "value": [1, "1"]}])));
    assert_eq!(client.probe(deadline()).await.unwrap(), BuildInfo::default());

    for (build, version, flavour) in [
        (
            json!({"version": "3.5.0", "revision": "", "goVersion": "go1.25"}),
            "3.5.0",
            Some("Prometheus"),
        ),
        (
            json!({"version": "0.39.2", "revision": "abc", "goVersion": "go1.25"}),
            "0.39.2",
            Some("Thanos"),
        ),
        (
            json!({"application": "Grafana Mimir", "version": "2.17.0", "revision": "abc"}),
            "2.17.0",
            Some("Mimir"),
        ),
        (json!({"version": "2.24.0"}), "2.24.0", Some("VictoriaMetrics")),
    ] {
        fake.set(
            "/buildinfo",
            200,
            json!({"status": "success", "data": build}).to_string(),
        );
        let expected = BuildInfo {
            version: Some(version.to_owned()),
            flavour,
            clock_offset: None,
        };
        assert_eq!(client.probe(deadline()).await.unwrap(), expected);
    }
}

#[test]
fn times_have_three_digits_after_the_point() {
    for (millis, text) in [
        (0, "0.000"),
        (1, "0.001"),
        (-1_500, "-1.500"),
        (1_763_784_000_070, "1763784000.070"),
    ] {
        assert_eq!(seconds(Timestamp::from_millisecond(millis).unwrap()), text);
    }
}
