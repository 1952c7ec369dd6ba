//! Access: who gets which answer, and in which form.

use super::*;

/// Conformance points 38, 13, 42: who may not ask is not told what is wrong with the request.
#[tokio::test]
async fn authorization_goes_first() {
    let bench = bench();
    let (code, headers, body) = bench
        .get(
            "mallory",
            &format!("{P}/namespaces/ns/pods/p1/http_requests?labelSelector=%21%21"),
        )
        .await;
    assert_eq!(code, 403);
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods.custom.metrics.k8s.io \"p1\" is forbidden: User \"mallory\" cannot get resource \"pods/http_requests\" in API group \"custom.metrics.k8s.io\" in the namespace \"ns\": RBAC: nope","reason":"Forbidden","details":{"name":"p1","group":"custom.metrics.k8s.io","kind":"pods"},"code":403}"#;
    assert_eq!(body, format!("{expected}\n"));

    let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"system:anonymous\" cannot get path \"/apis\": RBAC: nope","reason":"Forbidden","details":{},"code":403}"#;
    let (code, _, body) = bench.send(Method::GET, "/apis", &[]).await;
    assert_eq!((code, body), (403, format!("{expected}\n")));

    for path in [
        "/livez/ping",
        "/version",
        "/metrics",
        "/openapi/v2",
        P,
        "/",
        "/nope",
    ] {
        assert_eq!(bench.send(Method::GET, path, &[]).await.0, 403, "{path}");
    }
    let metric = format!("{P}/namespaces/ns/pods/p1/m");
    assert_eq!(
        bench
            .send(Method::POST, &metric, &[("authorization", "Bearer mallory")])
            .await
            .0,
        403
    );
    let (code, _, body) = bench
        .send(Method::POST, &metric, &[("authorization", "Bearer hpa")])
        .await;
    assert_eq!((code, &status(&body)["details"]), (405, &serde_json::json!({})));
    let last = bench
        .reviews
        .0
        .lock()
        .unwrap()
        .last()
        .cloned()
        .unwrap()
        .resource_attributes
        .unwrap();
    assert_eq!(
        (last.verb.as_deref(), last.name.as_deref()),
        (Some("create"), Some("p1"))
    );

    // It is not known: 500, and nothing of the reason for the client.
    let (code, headers, body) = bench.get("unsure", &metric).await;
    assert_eq!((code, &status(&body)["reason"]), (500, &"InternalError".into()));
    assert!(
        !body.contains("SubjectAccessReview") && !headers.contains_key("retry-after"),
        "{body}"
    );
}

#[tokio::test]
async fn authentication_goes_first() {
    let bench = bench();
    let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
    for path in ["/livez", "/apis", "/nope", &format!("{P}/nodes/n1/m")] {
        let (code, _, body) = bench.get("bad", path).await;
        assert_eq!((code, body), (401, format!("{expected}\n")), "{path}");
    }
    assert!(bench.reviews.0.lock().unwrap().is_empty());

    let headers = [("authorization", "Bearer hpa"), ("impersonate-user", "admin")];
    let (code, _, body) = bench.send(Method::GET, "/apis", &headers).await;
    assert_eq!((code, &status(&body)["reason"]), (403, &"Forbidden".into()));
    assert!(body.contains("impersonation is not supported"), "{body}");
}

/// Conformance points 42 to 46.
#[tokio::test]
async fn negotiation() {
    let bench = bench();
    let metric = format!("{P}/namespaces/ns/pods/p1/m");
    let accept = |accept: &'static str| [("authorization", "Bearer hpa"), ("accept", accept)];
    for path in [&metric, "/apis", P, "/version", "/openapi/v2"] {
        for accepted in [
            "application/vnd.kubernetes.protobuf, */*",
            "*/*",
            "application/json",
        ] {
            assert_eq!(
                bench.send(Method::GET, path, &accept(accepted)).await.0,
                200,
                "{path} {accepted}"
            );
        }
        let (code, headers, body) = bench.send(Method::GET, path, &accept("text/html")).await;
        assert_eq!(
            (code, &headers["content-type"]),
            (406, &http::HeaderValue::from_static("application/json")),
            "{path}"
        );
        let expected = "{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {},\n  \"status\": \"Failure\",\n  \"message\": \"406: Not Acceptable\\n\\nAvailable representations: application/json\",\n  \"reason\": \"NotAcceptable\",\n  \"details\": {},\n  \"code\": 406\n}";
        assert_eq!(body, expected);
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let (code, _, body) = bench.send(Method::GET, path, &accept(table)).await;
        assert_eq!((code, status(&body).get("details")), (406, None), "{path}");
    }
    for path in ["/livez", "/metrics", "/"] {
        assert_eq!(
            bench.send(Method::GET, path, &accept("text/html")).await.0,
            200,
            "{path}"
        );
    }
    // An error is told whatever is accepted.
    let (code, _, body) = bench.send(Method::GET, "/nope", &accept("text/html")).await;
    assert_eq!((code, &status(&body)["reason"]), (404, &"NotFound".into()));
}
