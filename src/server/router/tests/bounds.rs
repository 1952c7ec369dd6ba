//! Bounds of a request, and the ways in which it may end.

use super::*;
use crate::server::admission::{LARGE_HEAD, LARGE_HEADS, LARGE_REPLY};

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
        assert_eq!(body, "Too many requests, please try again later.\n");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(headers["x-content-type-options"], "nosniff");
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

/// Who connects directly, with whatever credentials, leaves the front proxy's requests alone.
#[tokio::test]
async fn the_front_proxy_has_places_of_its_own() {
    let bench = Bench::new(RequestLimits {
        in_flight: 2,
        ..RequestLimits::default()
    });
    let slow = format!("{P}/namespaces/ns/pods/p1/slow");
    let requests: Vec<_> = (0..2).map(|_| bench.spawn("pod", &slow)).collect();
    bench.until_waiting(2).await;
    let path = format!("{P}/namespaces/ns/pods/p1/m");
    assert_eq!(bench.get("pod", &path).await.0, 429);

    let proxy = Peer::new(([127, 0, 0, 1], 1).into(), Vec::new());
    proxy.set_front_proxy();
    let mut request = HttpRequest::builder()
        .uri(&path)
        .header("authorization", "Bearer hpa");
    request.extensions_mut().unwrap().insert(proxy);
    let response = bench
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    requests.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Large heads are few; ordinary requests are answered meanwhile.
#[tokio::test]
async fn large_heads_are_bounded() {
    let bench = bench();
    let slow = format!("{P}/namespaces/ns/pods/p1/slow");
    let long = "x".repeat(LARGE_HEAD);
    let send = |path: String| {
        let request = HttpRequest::builder()
            .uri(path)
            .header("authorization", "Bearer hpa")
            .header("x-long", &long);
        bench.router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let requests: Vec<_> = (0..LARGE_HEADS)
        .map(|_| tokio::spawn(send(slow.clone())))
        .collect();
    bench.until_waiting(LARGE_HEADS).await;
    let path = format!("{P}/namespaces/ns/pods/p1/m");
    assert_eq!(send(path.clone()).await.unwrap().status().as_u16(), 429);
    assert_eq!(bench.get("hpa", &path).await.0, 200);
    requests.iter().for_each(tokio::task::JoinHandle::abort);
    for request in requests {
        assert!(request.await.unwrap_err().is_cancelled());
    }
    assert_eq!(send(path).await.unwrap().status().as_u16(), 200);
}

/// Who asks for much and reads nothing takes a bounded part of the memory, and nothing of the front proxy's.
#[tokio::test]
async fn large_replies_take_room_until_they_are_sent() {
    let bench = Bench::new(RequestLimits {
        reply_room: 1024 * 1024,
        ..RequestLimits::default()
    });
    let of = |namespace: &str| format!("{P}/namespaces/{namespace}/pods/*/big");
    let path = of("ns");
    let proxy = Peer::new(([127, 0, 0, 1], 1).into(), Vec::new());
    proxy.set_front_proxy();
    let ask = async |user: &str, peer: Option<&Peer>| {
        let mut request = HttpRequest::builder()
            .uri(&path)
            .header("authorization", format!("Bearer {user}"));
        if let Some(peer) = peer {
            request.extensions_mut().unwrap().insert(peer.clone());
        }
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap());
        response.await.unwrap()
    };
    let mut unread = Vec::new();
    let refused = loop {
        let response = ask("pod", None).await;
        if response.status() != 200 {
            break response;
        }
        unread.push(response);
        assert!(unread.len() < 10, "no end");
    };
    assert_eq!(refused.status(), 429);
    assert!(unread.len() > 1);
    // Small replies, the front proxy and system:masters are none the worse for it.
    assert_eq!(
        bench.get("pod", &format!("{P}/namespaces/ns/pods/p1/m")).await.0,
        200
    );
    assert_eq!(ask("hpa", Some(&proxy)).await.status(), 200);
    assert_eq!(ask("admin", None).await.status(), 200);
    // And so are the replies about another namespace.
    assert_eq!(bench.get("pod", &of("ns2")).await.0, 200);
    // What is read, or given up, makes room.
    let read = unread
        .pop()
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert!(read.len() > LARGE_REPLY);
    assert_eq!(ask("pod", None).await.status(), 200);
    drop(unread);
    assert_eq!(ask("pod", None).await.status(), 200);
}
