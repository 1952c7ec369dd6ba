//! Discovery, OpenAPI, health, own metrics.

use super::*;

/// Conformance points 51 to 57.
#[tokio::test]
async fn discovery() {
    let bench = bench();
    let ask = |tag: &str| {
        let headers = [
            ("authorization", "Bearer hpa"),
            ("accept", AGGREGATED),
            ("if-none-match", tag),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bench = &bench;
        async move {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            bench.send(Method::GET, "/apis", &headers).await
        }
    };
    let (code, headers, body) = ask("\"old\"").await;
    assert_eq!(code, 200);
    assert_eq!(headers["content-type"], AGGREGATED);
    assert_eq!(
        (&headers["vary"], &headers["cache-control"]),
        (&"Accept".parse().unwrap(), &"public".parse().unwrap())
    );
    assert!(
        body.starts_with(r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","#),
        "{body}"
    );
    let etag = headers["etag"].to_str().unwrap().to_owned();
    let (code, headers, body) = ask(&etag).await;
    assert_eq!(
        (code, body.as_str(), headers["etag"].to_str().unwrap()),
        (304, "", etag.as_str())
    );
    assert_eq!(headers["cache-control"], "public");

    for (path, kind) in [
        ("/apis", "APIGroupList"),
        ("/apis/custom.metrics.k8s.io", "APIGroup"),
        ("/apis/external.metrics.k8s.io/v1beta1/", "APIResourceList"),
        (P, "APIResourceList"),
    ] {
        let (code, headers, body) = bench.get("hpa", path).await;
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &document["kind"]), (200, &kind.into()), "{path}");
        assert_eq!(
            (&headers["content-type"], headers.get("etag")),
            (&"application/json".parse().unwrap(), None)
        );
        let (_, _, body) = bench.get("hpa", &format!("{path}?pretty=true")).await;
        assert!(body.starts_with("{\n  \"kind\": "), "{path}: {body}");
        let (_, _, again) = bench.get("hpa", path).await;
        assert!(again.starts_with("{\"kind\":"), "{path}: {again}");
    }
}

/// Conformance points 59 and 60.
#[tokio::test]
async fn documents() {
    let bench = bench();
    let (_, _, body) = bench.get("hpa", "/openapi/v3").await;
    let index: Value = serde_json::from_str(&body).unwrap();
    for entry in index["paths"].as_object().unwrap().values() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        let (code, headers, body) = bench.get("hpa", url).await;
        assert_eq!(
            (code, &headers["cache-control"]),
            (200, &"public, immutable, max-age=31536000".parse().unwrap())
        );
        assert!(body.starts_with(r#"{"components""#), "{url}");
        let (path, _) = url.split_once('?').unwrap();
        let (code, headers, _) = bench.get("hpa", &format!("{path}?hash=0")).await;
        assert_eq!(
            (code, &headers["cache-control"]),
            (200, &"no-cache, private".parse().unwrap())
        );
    }
    let (code, headers, body) = bench
        .send(Method::HEAD, "/openapi/v2", &[("authorization", "Bearer hpa")])
        .await;
    assert_eq!((code, body.as_str()), (200, ""));
    assert!(headers.contains_key("etag") && headers["content-length"] != "0");

    let (_, _, body) = bench.get("hpa", "/version").await;
    let version: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(version["gitVersion"], concat!("v", env!("CARGO_PKG_VERSION")));
    let (_, headers, body) = bench.get("hpa", "/metrics").await;
    assert_eq!(headers["content-type"], crate::metrics::CONTENT_TYPE);
    assert!(body.ends_with("# EOF\n"), "{body}");
    let (_, _, body) = bench.get("hpa", "/").await;
    let index: Value = serde_json::from_str(&body).unwrap();
    assert!(
        index["paths"]
            .as_array()
            .unwrap()
            .contains(&"/readyz/rules".into()),
        "{body}"
    );
}

/// Conformance point 61.
#[tokio::test]
async fn health() {
    let bench = bench();
    for (path, code, body) in [
        ("/livez", 200, "ok"),
        ("/healthz", 200, "ok"),
        (
            "/readyz",
            500,
            "[+]ping ok\n[-]rules failed: reason withheld\nreadyz check failed\n",
        ),
        (
            "/readyz?verbose",
            500,
            "[+]ping ok\n[-]rules failed: reason withheld\nreadyz check failed\n",
        ),
        ("/readyz?exclude=rules", 200, "ok"),
    ] {
        let (found, _, text) = bench.send(Method::GET, path, &[]).await;
        assert_eq!((found, text.as_str()), (code, body), "{path}");
    }
    assert_eq!(bench.get("hpa", "/readyz/ping").await.2, "ok");
    assert_eq!(
        bench.get("hpa", "/readyz/rules").await.2,
        "internal server error: not read\n"
    );
    let (code, _, body) = bench.get("hpa", "/readyz/nope").await;
    assert_eq!((code, &status(&body)["code"]), (404, &404.into()));
}

#[tokio::test]
async fn the_plain_port_has_health_and_metrics_alone() {
    let mut health = Health::new();
    health.gate("rules").close("not read");
    let router = plain_router(health, Metrics::new());
    for (path, code, text) in [
        ("/metrics", 200, "# EOF\n"),
        ("/livez", 200, "ok"),
        ("/readyz", 500, "[-]rules failed: reason withheld\n"),
        ("/readyz?verbose", 500, "[-]rules failed: not read\n"),
        ("/readyz/rules", 500, "reason withheld"),
        ("/readyz/rules?verbose", 500, "not read"),
        ("/apis", 404, "could not find"),
        (P, 404, "could not find"),
        (&format!("{P}/nodes/n1/m"), 404, "could not find"),
        ("/version", 404, "could not find"),
        ("/readyz/nope", 404, "could not find"),
    ] {
        let request = HttpRequest::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), code, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(text), "{path}");
    }
}

/// On a connection of HTTP/1.1, where a body that should not be there would be taken for the next reply.
#[tokio::test]
async fn head_leaves_the_connection_usable() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::server::listener::{Limits, Listener};

    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listener = Listener::new(tcp, None, Limits::default(), Metrics::new().server);
    let addr = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let router = plain_router(Health::new(), Metrics::new());
    let served = tokio::spawn(listener.serve(router, stop.clone(), Duration::from_secs(1)));

    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let requests =
        "HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    let (head, get) = replies.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK") && head.contains("content-length: 2"),
        "{head}"
    );
    assert!(
        get.starts_with("HTTP/1.1 200 OK") && get.ends_with("\r\n\r\nok"),
        "{get}"
    );
    stop.cancel();
    served.await.unwrap();
}
