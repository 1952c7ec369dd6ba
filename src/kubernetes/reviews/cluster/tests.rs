use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, body::Bytes, http::Uri, response::IntoResponse, response::Response};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

/// An API server that answers the n-th request with the n-th of `answers`, the last one again and again.
fn reviewer(answers: Vec<(u16, Value)>) -> (ClusterReviewer, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = move |uri: Uri, body: Bytes| {
        let at = count.fetch_add(1, Ordering::SeqCst);
        let (code, answer) = answers[at.min(answers.len() - 1)].clone();
        async move { reply(uri.to_string(), &body, code, &answer) }
    };
    let router = Router::new().fallback(answer);
    let service =
        router.map_request(|request: Request<kube::client::Body>| request.map(axum::body::Body::new));
    (ClusterReviewer::new(Client::new(service, "default")), asked)
}

/// Merges `answer` into what was asked, as the API server does; `$path` and `$spec` are for the tests to look at.
fn reply(path: String, body: &[u8], code: u16, answer: &Value) -> Response {
    let mut review: Value = serde_json::from_slice(body).unwrap();
    if let Some(answer) = answer.as_object() {
        for (key, value) in answer {
            review[key] = value.clone();
        }
    }
    if let Some(reason) = review.pointer_mut("/status/reason")
        && reason == "$path"
    {
        *reason = Value::String(path);
    }
    (StatusCode::from_u16(code).unwrap(), Json(review)).into_response()
}

fn failure(code: u16) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "nope", "reason": "x", "code": code, "spec": null});
    (code, status)
}

fn allowed(reason: &str) -> (u16, Value) {
    (201, json!({"status": {"allowed": true, "reason": reason}}))
}

#[tokio::test]
async fn asks_for_access_with_a_timeout() {
    let (reviewer, _) = reviewer(vec![allowed("$path")]);
    let outcome = reviewer
        .access(&SubjectAccessReviewSpec::default())
        .await
        .unwrap();
    assert!(outcome.allowed);
    assert_eq!(
        outcome.reason,
        "/apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s"
    );
}

#[tokio::test]
async fn does_not_allow_what_is_not_said_to_be() {
    let cases = [
        (201, json!({"status": {"allowed": false, "reason": "RBAC: nope"}})),
        (
            201,
            json!({"status": {"allowed": false, "denied": true, "reason": "RBAC: nope"}}),
        ),
    ];
    for case in cases {
        let (reviewer, _) = reviewer(vec![case]);
        let outcome = reviewer
            .access(&SubjectAccessReviewSpec::default())
            .await
            .unwrap();
        assert_eq!(
            outcome,
            AccessOutcome {
                allowed: false,
                reason: "RBAC: nope".to_owned()
            }
        );
    }
    let (without_status, _) = reviewer(vec![(201, json!({}))]);
    assert!(
        !without_status
            .access(&SubjectAccessReviewSpec::default())
            .await
            .unwrap()
            .allowed
    );
    let (both, _) = reviewer(vec![(201, json!({"status": {"allowed": true, "denied": true}}))]);
    let error = both
        .access(&SubjectAccessReviewSpec::default())
        .await
        .unwrap_err();
    assert_eq!(error, ReviewError::Contradiction("SubjectAccessReview"));
}

#[tokio::test(start_paused = true)]
async fn tries_again_where_that_can_help() {
    // 500 and 502: kube's client does not repeat these by itself.
    let (twice, asked) = reviewer(vec![failure(500), failure(502), allowed("")]);
    assert!(
        twice
            .access(&SubjectAccessReviewSpec::default())
            .await
            .unwrap()
            .allowed
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let (always, asked) = reviewer(vec![failure(500)]);
    let error = always
        .access(&SubjectAccessReviewSpec::default())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the SubjectAccessReview failed: nope");
    assert_eq!(asked.load(Ordering::SeqCst), 5);

    let (refused, asked) = reviewer(vec![failure(403)]);
    let error = refused
        .access(&SubjectAccessReviewSpec::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("system:auth-delegator"), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn gives_up_at_the_deadline() {
    let router = Router::new().fallback(std::future::pending::<StatusCode>);
    let service =
        router.map_request(|request: Request<kube::client::Body>| request.map(axum::body::Body::new));
    let reviewer = ClusterReviewer::new(Client::new(service, "default"));
    let error = reviewer
        .access(&SubjectAccessReviewSpec::default())
        .await
        .unwrap_err();
    assert_eq!(error, ReviewError::Timeout("SubjectAccessReview"));
}

#[tokio::test]
async fn reads_token_reviews_and_keeps_the_token_out_of_errors() {
    let token = Token::new("s3cret");
    let status = json!({"status": {"authenticated": true,
        "user": {"username": "u", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}}});
    let (good, _) = reviewer(vec![(201, status)]);
    let TokenOutcome::Authenticated(user) = good.token(&token).await.unwrap() else {
        panic!("not authenticated");
    };
    assert_eq!(user.username.as_deref(), Some("u"));
    assert_eq!(user.extra.unwrap()["k"], ["v"]);

    let (bad, _) = reviewer(vec![(201, json!({"status": {"error": "no such token: s3cret"}}))]);
    let outcome = bad.token(&token).await.unwrap();
    assert_eq!(
        outcome,
        TokenOutcome::Rejected {
            error: "no such token: [redacted]".to_owned()
        }
    );

    let (nobody, _) = reviewer(vec![(201, json!({"status": {"authenticated": true}}))]);
    assert_eq!(
        nobody.token(&token).await.unwrap_err(),
        ReviewError::Contradiction("TokenReview")
    );

    let (garbage, _) = reviewer(vec![(201, json!({"status": {"authenticated": "s3cret"}}))]);
    let error = garbage.token(&token).await.unwrap_err();
    assert!(
        !format!("{error} {error:?} {token:?}").contains("s3cret"),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn strangers_wait_among_themselves_and_not_for_ever_many() {
    // Answers nobody's review, but those of users.
    let answer = |body: Bytes| async move {
        let review: Value = serde_json::from_slice(&body).unwrap();
        if review["spec"]["user"] == "system:anonymous" {
            std::future::pending::<()>().await;
        }
        reply(String::new(), &body, 201, &allowed("").1)
    };
    let service = Router::new()
        .fallback(answer)
        .map_request(|request: Request<kube::client::Body>| request.map(axum::body::Body::new));
    let reviewer = ClusterReviewer::new(Client::new(service, "default"));
    let spec = |user: &str| SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        ..SubjectAccessReviewSpec::default()
    };
    let (stranger, bob) = (spec("system:anonymous"), spec("bob"));
    let crowd = ANONYMOUS_TURNS + ANONYMOUS_WAITING;
    let mut asking: Vec<_> = (0..crowd).map(|_| reviewer.access(&stranger)).collect();
    for asked in &mut asking {
        assert!(futures::poll!(asked).is_pending());
    }
    let one_more = reviewer.access(&stranger).await;
    assert_eq!(one_more, Err(ReviewError::Busy("SubjectAccessReview")));
    assert!(reviewer.access(&bob).await.unwrap().allowed);
}

#[tokio::test]
async fn a_refusal_that_echoes_the_token_is_told_without_it() {
    for code in [400, 403, 422] {
        let mut echo = failure(code);
        echo.1["message"] = json!("TokenReview \"\" is invalid: spec.token: Invalid value: \"s3cret\"");
        let (reviewer, _) = reviewer(vec![echo]);
        let error = reviewer
            .token(&Token::new("s3cret"))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("spec.token") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
