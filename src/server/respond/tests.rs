use std::io::Read as _;

use flate2::read::GzDecoder;
use http::Method;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde_json::json;

use super::{json::encode, style::AUDIT_ID_MAX, *};
use crate::{query::Failure, server::route::Request};

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::try_from(*value).unwrap(),
        );
    }
    headers
}

fn style(pairs: &[(&str, &str)]) -> Style {
    Style::of(&Method::GET, &headers(pairs), None)
}

async fn body(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[test]
fn json_is_written_as_go_writes_it() {
    let value = json!({ "a": "<b>&\u{2028}\u{2029}…", "b": [], "c": {} });
    let compact = "{\"a\":\"\\u003cb\\u003e\\u0026\\u2028\\u2029…\",\"b\":[],\"c\":{}}\n";
    assert_eq!(
        String::from_utf8(encode(&value, false).unwrap()).unwrap(),
        compact
    );
    let pretty = "{\n  \"a\": \"\\u003cb\\u003e\\u0026\\u2028\\u2029…\",\n  \"b\": [],\n  \"c\": {}\n}";
    assert_eq!(String::from_utf8(encode(&value, true).unwrap()).unwrap(), pretty);
}

#[test]
fn a_kept_document_is_written_in_one_line_only_once() {
    struct Counted(std::sync::atomic::AtomicUsize);

    impl serde::Serialize for Counted {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            [before].serialize(serializer)
        }
    }

    let kept = Kept::new(Counted(0.into()));
    for _ in 0..2 {
        assert_eq!(kept.encode(false).unwrap(), "[0]\n");
    }
    assert_eq!(kept.encode(true).unwrap(), "[\n  1\n]");
    assert_eq!(kept.encode(false).unwrap(), "[0]\n");
}

proptest! {
    #[test]
    fn escapes_change_no_value(text in "[<>&a\u{2028}\u{2029}\u{2030}\"\\\\\u{0}é]{0,40}") {
        let json = encode(&json!({ &text: &text }), false).unwrap();
        let back: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(back, json!({ &text: text }));
        prop_assert!(!json.iter().any(|byte| b"<>&".contains(byte)));
    }
}

/// Conformance point 25.
#[test]
fn people_get_line_breaks() {
    let cases = [
        ("curl/8.5.0", true),
        ("Wget/1.21", true),
        ("Mozilla/5.0 (X11)", true),
        ("Mozilla/4.0", false),
        ("kubectl/v1.33", false),
        ("", false),
    ];
    for (agent, pretty) in cases {
        let headers = headers(&[("user-agent", agent)]);
        assert_eq!(Style::of(&Method::GET, &headers, None).pretty, pretty, "{agent}");
        for explicit in [true, false] {
            assert_eq!(
                Style::of(&Method::GET, &headers, Some(explicit)).pretty,
                explicit,
                "{agent}"
            );
        }
    }
}

/// Conformance points 47 and 48.
#[tokio::test]
async fn common_headers() {
    let response = Reply::json(json!({}))
        .write(&style(&[]))
        .finish(&style(&[("audit-id", "a-b-c")]))
        .await;
    let expected = headers(&[
        ("content-type", "application/json"),
        ("audit-id", "a-b-c"),
        ("cache-control", "no-cache, private"),
        ("content-length", "3"),
    ]);
    assert_eq!(response.headers(), &expected);
    assert_eq!(body(response).await, b"{}\n");

    let long = "x".repeat(AUDIT_ID_MAX + 1);
    for id in [None, Some(""), Some(long.as_str())] {
        let sent: Vec<_> = id.into_iter().map(|id| ("audit-id", id)).collect();
        let made = style(&sent).audit_id;
        assert!(uuid::Uuid::try_parse(made.to_str().unwrap()).is_ok(), "{id:?}");
        assert_ne!(made, style(&sent).audit_id);
    }
}

#[tokio::test]
async fn head_has_the_length_alone() {
    let style = Style::of(&Method::HEAD, &HeaderMap::new(), None);
    let response = Reply::text(StatusCode::OK, "text/plain", "ok".to_owned())
        .write(&style)
        .finish(&style)
        .await;
    assert_eq!(response.headers()["content-length"], "2");
    assert_eq!(body(response).await, b"");
}

/// Conformance point 49.
#[tokio::test]
async fn large_bodies_are_compressed_for_who_asks() {
    let value = |size: usize| json!({ "text": "abcdefgh".repeat(size / 8) });
    let (large, small) = (value(200_000), value(100_000));
    let plain = encode(&large, false).unwrap();
    for accepted in ["gzip", "deflate, gzip;q=0.5", "GZIP", "gzip; q=1.0, *"] {
        let response = Reply::json(large.clone())
            .write(&style(&[]))
            .finish(&style(&[("accept-encoding", accepted)]))
            .await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{accepted}");
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
        let length: usize = response.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let bytes = body(response).await;
        assert_eq!(bytes.len(), length);
        assert!(length < plain.len() / 10);
        let mut unpacked = Vec::new();
        GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain);
    }
    for accepted in ["", "deflate", "gzip;q=0", "gzip;q=0.000", "x-gzip-not"] {
        let response = Reply::json(large.clone())
            .write(&style(&[]))
            .finish(&style(&[("accept-encoding", accepted)]))
            .await;
        assert!(!response.headers().contains_key("content-encoding"), "{accepted}");
        assert_eq!(response.headers()["vary"], "Accept-Encoding");
        assert_eq!(body(response).await, plain);
    }
    let response = Reply::json(small)
        .write(&style(&[]))
        .finish(&style(&[("accept-encoding", "gzip")]))
        .await;
    assert!(!response.headers().contains_key("content-encoding") && !response.headers().contains_key("vary"));
}

/// Conformance points 51 and 52.
#[tokio::test]
async fn tags() {
    let document = Tagged::new(&json!({ "a": 1 })).unwrap();
    // sha512sum of the body
    assert!(document.hash.starts_with("DAEC37"), "{}", document.hash);
    let etag = format!("\"{}\"", document.hash);
    let held = [
        "*".to_owned(),
        etag.clone(),
        format!("\"x\", {etag}"),
        format!("W/{etag}"),
    ];
    for held in &held {
        let response = Reply::tagged(&document, JSON, &headers(&[("if-none-match", held)]))
            .write(&style(&[]))
            .finish(&style(&[]))
            .await;
        assert_eq!(response.status(), 304, "{held}");
        assert_eq!(response.headers()["etag"], etag.as_str());
        assert_eq!(response.headers()["vary"], "Accept");
        assert!(
            !response.headers().contains_key("content-length")
                && !response.headers().contains_key("content-type")
        );
        assert_eq!(body(response).await, b"");
    }
    for held in ["", "\"x\"", document.hash.as_str()] {
        let response = Reply::tagged(&document, JSON, &headers(&[("if-none-match", held)]))
            .write(&style(&[]))
            .finish(&style(&[]))
            .await;
        assert_eq!(response.status(), 200, "{held}");
        assert_eq!(response.headers()["etag"], etag.as_str());
        assert_eq!(body(response).await, b"{\"a\":1}\n");
    }
}

/// Every reason has a code of its own accord, and only 429 asks the client to come again (conformance point 41).
#[tokio::test]
async fn failures_of_metrics() {
    for reason in Reason::all() {
        let failure = Failure::new(reason, "the cause").after("the sentence");
        let response = Refusal::from(failure)
            .reply()
            .write(&style(&[]))
            .finish(&style(&[]))
            .await;
        let code = response.status().as_u16();
        assert_eq!(
            code,
            if reason.http_status() < 400 {
                500
            } else {
                reason.http_status()
            },
            "{reason}"
        );
        assert!(!response.headers().contains_key("retry-after"), "{reason}");
        let status: serde_json::Value = serde_json::from_slice(&body(response).await).unwrap();
        assert_eq!(status["code"], code);
        assert_eq!(status["message"], format!("the sentence: {reason}: the cause"));
        assert_eq!(status.get("details"), None, "{reason}");
        assert!(
            status["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
            "{reason}"
        );
    }
    let response = Refusal::too_many_requests()
        .reply()
        .write(&style(&[]))
        .finish(&style(&[]))
        .await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &HeaderValue::from_static("1"))
    );
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(
        body(response).await,
        b"Too many requests, please try again later.\n"
    );
}

/// The bytes of the reference server.
#[tokio::test]
async fn statuses() {
    const E: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/queue_messages";
    let error = |query: &str| Refusal::from(Request::parse("GET", E, Some(query)).endpoint.unwrap_err());
    let cases = [
        (
            error("watch=true"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"watch is not supported on resources of kind \"*.external.metrics.k8s.io\"","reason":"MethodNotAllowed","details":{"group":"external.metrics.k8s.io","kind":"*"},"code":405}"#,
        ),
        (
            error("resourceVersionMatch=Exact"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided","reason":"Invalid","details":{"group":"meta.k8s.io","kind":"ListOptions","causes":[{"reason":"FieldValueForbidden","message":"Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided","field":"resourceVersionMatch"}]},"code":422}"#,
        ),
        (
            error("labelSelector=%21%21bad"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"unable to parse requirement: found '!', expected: identifier","reason":"BadRequest","code":400}"#,
        ),
        (
            Refusal::not_found(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#,
        ),
    ];
    for (refusal, expected) in cases {
        let response = refusal.reply().write(&style(&[])).finish(&style(&[])).await;
        assert_eq!(
            String::from_utf8(body(response).await).unwrap(),
            format!("{expected}\n")
        );
    }
}
