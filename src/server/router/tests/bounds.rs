//! What a request may take, and how it may end.

use super::*;

/// Conformance point 43.
#[tokio::test]
async fn a_panic_is_an_answer() {
    let bench = bench();
    let (code, _, body) = bench
        .get("hpa", &format!("{P}/namespaces/ns/pods/p1/panic"))
        .await;
    let status = status(&body);
    assert_eq!((code, &status["reason"]), (500, &"InternalError".into()));
    assert!(!body.contains("disco") && !body.contains("prometheus"), "{body}");
    let (code, ..) = bench.get("hpa", &format!("{P}/namespaces/ns/pods/p1/m")).await;
    assert_eq!(code, 200);
    assert!(bench.counts(r#"metricrule_requests_total{route="custom",code="500",reason="Internal"} 1"#));
    assert!(bench.counts("metricrule_requests_in_flight 0"));
}

/// Conformance points 24 and 40.
#[tokio::test(start_paused = true)]
async fn deadlines() {
    for (query, seconds) in [
        ("", 60),
        ("?timeout=1s", 1),
        ("?timeout=5m", 60),
        ("?timeout=-1s", 60),
    ] {
        let bench = bench();
        let started = Instant::now();
        let (code, headers, body) = bench
            .get("hpa", &format!("{P}/namespaces/ns/pods/p1/slow{query}"))
            .await;
        assert_eq!(started.elapsed().as_secs(), seconds, "{query}");
        let status = status(&body);
        assert_eq!(
            (code, &status["reason"], &status["details"]),
            (504, &"Timeout".into(), &serde_json::json!({}))
        );
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("Timeout: request did not complete within the allotted timeout"),
            "{message}"
        );
        assert_eq!(headers["content-type"], "application/json");
        assert!(!headers.contains_key("retry-after"));
        assert!(bench.values.dropped.load(Ordering::SeqCst), "the query goes on");
    }
    let (code, _, body) = bench()
        .get("hpa", &format!("{P}/namespaces/ns/pods/p1/slow?timeout=abc"))
        .await;
    assert_eq!(code, 400);
    let message = "invalid timeout specified in the request URL - time: invalid duration \"abc\"";
    assert_eq!(status(&body)["message"], message);
}

/// Conformance point 102, our side of it.
#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let bench = bench();
    let request = bench.spawn("hpa", &format!("{P}/namespaces/ns/pods/p1/slow"));
    bench.until_waiting(1).await;
    assert!(bench.counts("metricrule_requests_in_flight 1"));
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert!(bench.values.dropped.load(Ordering::SeqCst));
    assert!(bench.counts("metricrule_requests_in_flight 0"));
    assert!(bench.counts(r#"metricrule_requests_total{route="custom",code="499",reason=""} 1"#));
}

/// Conformance points 41 and 82.
#[tokio::test]
async fn requests_beyond_the_limit_are_sent_away() {
    let bench = Bench::new(RequestLimits {
        in_flight: 3,
        ..RequestLimits::default()
    });
    let slow = format!("{P}/namespaces/ns/pods/p1/slow");
    let requests: Vec<_> = (0..3).map(|_| bench.spawn("hpa", &slow)).collect();
    bench.until_waiting(3).await;

    for path in [
        format!("{P}/namespaces/ns/pods/p1/m"),
        format!("{E}/namespaces/ns/q"),
        "/nope".to_owned(),
    ] {
        let (code, headers, body) = bench.get("hpa", &path).await;
        assert_eq!(
            (code, &headers["retry-after"]),
            (429, &http::HeaderValue::from_static("1")),
            "{path}"
        );
        let status = status(&body);
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
    }
    assert_eq!(
        bench
            .get("admin", &format!("{P}/namespaces/ns/pods/p1/m"))
            .await
            .0,
        200
    );
    for path in ["/livez", "/apis", P, "/openapi/v2", "/version", "/metrics"] {
        assert_eq!(bench.get("hpa", path).await.0, 200, "{path}");
    }
    requests.iter().for_each(tokio::task::JoinHandle::abort);
    for request in requests {
        assert!(request.await.unwrap_err().is_cancelled());
    }
    assert_eq!(
        bench.get("hpa", &format!("{P}/namespaces/ns/pods/p1/m")).await.0,
        200
    );
}
