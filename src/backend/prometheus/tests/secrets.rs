//! Backends that quote what they were sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

const USER: &str = "scrape-reader";
const PASSWORD: &str = "hunter2?s&cret";
const HEADER: &str = "header-k3y-0123";
const PARAMETER: &str = "par&m-k3y-4567";
const TOKEN: &str = "t0ken.of-the_account";

/// Everything that may not show, in some of its spellings.
fn secrets() -> Vec<String> {
    let sent = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    [
        USER,
        PASSWORD,
        HEADER,
        PARAMETER,
        TOKEN,
        &sent,
        "hunter2%3Fs%26cret",
        "par%26m-k3y-4567",
    ]
    .map(ToOwned::to_owned)
    .to_vec()
}

/// A text that holds all of them.
fn quoted() -> String {
    format!("got {} !", secrets().join(" and "))
}

fn clean(text: &str) {
    for secret in secrets() {
        assert!(!text.contains(&secret), "{secret} shows in {text}");
    }
    for part in ["hunter2", "reader", "k3y", "t0ken", "c2NyYXBl"] {
        assert!(!text.contains(part), "{part} shows in {text}");
    }
}

fn clients(url: &str) -> [Prometheus; 2] {
    let secret = json!({"secretRef": {"name": "s"}});
    [
        json!({"type": "Basic", "basic": secret}),
        json!({"type": "Bearer", "bearer": secret}),
    ]
    .map(|auth| {
        client(
            &json!({"url": url, "auth": auth, "allowPlaintextCredentials": true, "partialResponse": "Accept",
                "headers": {"X-Api-Key": HEADER}, "queryParams": {"key": PARAMETER}}),
            &[
                ("username", USER.as_bytes()),
                ("password", PASSWORD.as_bytes()),
                ("token", TOKEN.as_bytes()),
            ],
        )
    })
}

/// For each of the two.
const OWN: [fn(&str) -> String; 2] = [of_basic, of_bearer];

/// What a client knows of its own request; of the other's it knows nothing.
fn of_basic(text: &str) -> String {
    text.replace(TOKEN, "")
}

fn of_bearer(text: &str) -> String {
    let sent = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    [PASSWORD, USER, &sent, "hunter2%3Fs%26cret"]
        .iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, ""))
}

#[tokio::test]
async fn a_backend_that_quotes_credentials_gets_them_into_no_error() {
    let fake = Fake::start().await;
    let said = quoted();
    let bodies = [
        json!({"status": "error", "errorType": "bad_data", "error": said}).to_string(),
        json!({"status": "error", "errorType": said, "error": said}).to_string(),
        json!({"error": {"message": said}}).to_string(),
        json!({"status": said, "error": said}).to_string(),
        json!({"status": "success", "data": {"resultType": said, "result": []}}).to_string(),
        json!({"status": "success", "data": said}).to_string(),
        json!({"status": "success", "warnings": said}).to_string(),
        vector(&json!([{"metric": {}, "value": [1, said]}])),
        vector(&json!([said])),
        vector(&json!([{"metric": {"a": said}, "value": [1, "1"]}])),
        vector(&json!([{"metric": {said.clone(): "a"}, "value": [1, "1"]}])),
        said.clone(),
        format!("<html>{said}</html>"),
    ];
    for status in [200, 302, 400, 401, 403, 404, 422, 500, 502, 503] {
        for body in &bodies {
            for (client, own) in clients(&fake.url).iter().zip(OWN) {
                fake.set("/query", status, own(body));
                fake.set("/series", status, own(body));
                fake.set("/buildinfo", status, own(body));
                let deadline = Instant::now() + Duration::from_secs(20);
                let failures = [
                    client.instant(query("up")).await.err(),
                    client.series(series_query()).await.err(),
                    client.probe(deadline).await.err(),
                ];
                assert!(failures[0].is_some(), "{status} {body}");
                for error in failures.into_iter().flatten() {
                    clean(&format!("{error} {} {error:?}", error.detail()));
                }
            }
        }
    }
}

#[tokio::test]
async fn warnings_and_versions_quote_no_credentials_either() {
    let fake = Fake::start().await;
    let said = quoted();
    for (client, own) in clients(&fake.url).iter().zip(OWN) {
        let body = json!({"status": "success", "warnings": [said, "PromQL warning: x"], "infos": [said],
            "data": {"resultType": "vector", "result": []}});
        fake.set("/query", 200, own(&body.to_string()));
        let rows = client.instant(query("up")).await.unwrap().rows;
        assert_eq!(rows.warnings.len(), 3);
        clean(&rows.warnings.join(" "));

        fake.set(
            "/buildinfo",
            200,
            own(&json!({"status": "success", "data": {"version": format!("3.5 {said}")}}).to_string()),
        );
        let build = client
            .probe(Instant::now() + Duration::from_secs(20))
            .await
            .unwrap();
        clean(&format!("{build:?}"));
        let version = build.version.unwrap();
        assert!(
            version.starts_with("3.5 got ") && version.contains("[redacted]"),
            "{version}"
        );
    }
    let strict = client(&json!({"url": fake.url, "headers": {"X-Api-Key": HEADER}}), &[]);
    let body = json!({"status": "success", "warnings": [format!("store {HEADER} is gone")], "data": []});
    fake.set("/series", 200, body.to_string());
    let error = strict.series(series_query()).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.detail()),
        (Reason::PartialResponse, "store [redacted] is gone")
    );
}

#[tokio::test]
async fn a_redirect_quotes_no_credentials() {
    let server = wiremock::MockServer::start().await;
    let reply = wiremock::ResponseTemplate::new(302).insert_header(
        "Location",
        format!("https://sso.corp/{}/{HEADER}?x={PASSWORD}", "hunter2%3Fs%26cret"),
    );
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(reply)
        .mount(&server)
        .await;
    let [basic, _] = clients(&server.uri());
    let error = basic.instant(query("up")).await.unwrap_err();
    assert_eq!(
        error.detail(),
        "302 Found: leads to https://sso.corp/[redacted]/[redacted]"
    );
}

#[tokio::test]
async fn series_named_after_a_credential_are_not_listed() {
    let fake = Fake::start().await;
    let [basic, _] = clients(&fake.url);
    for series in [
        json!({"__name__": PASSWORD}),
        json!({"__name__": "up", PASSWORD: "x"}),
    ] {
        fake.set(
            "/series",
            200,
            json!({"status": "success", "data": [series]}).to_string(),
        );
        let error = basic.series(series_query()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::BackendError);
        clean(&format!("{error:?}"));
    }
    // Values of labels are not kept.
    fake.set(
        "/series",
        200,
        json!({"status": "success", "data": [{"__name__": "up", "user": USER}]}).to_string(),
    );
    assert_eq!(basic.series(series_query()).await.unwrap().len(), 1);
}
