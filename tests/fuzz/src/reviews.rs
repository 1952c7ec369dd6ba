use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use kube::Client;
use metricrule::kubernetes::reviews::{ClusterReviewer, ReviewError, Reviewer as _, Token, TokenOutcome};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower::service_fn;

/// What is asked about; a reply may hold it, and nothing that is told or logged may.
const TOKEN: &str = "t0ken-of-nobody";

/// The API server's answer to both kinds of review: a line with the HTTP status, then the body.
///
/// Nobody is authenticated and nothing is allowed unless the body says so; the token is in no text that comes back.
pub fn reviews(data: &[u8]) {
    thread_local! {
        static CLUSTER: Cluster = Cluster::new();
    }
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (status, body) = data.split_at(end);
    let body = body.strip_prefix(b"\n").unwrap_or_default();
    // after others, and after a Status that says so, it is asked again, which takes a while
    let status = match std::str::from_utf8(status) {
        Ok("200") => 200,
        Ok("400") => 400,
        Ok("401") => 401,
        Ok("403") => 403,
        Ok("404") => 404,
        Ok("409") => 409,
        Ok("422") => 422,
        _ => 201,
    };
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if said["code"]
        .as_u64()
        .is_some_and(|code| code == 429 || code >= 500)
    {
        return;
    }
    CLUSTER.with(|cluster| {
        cluster.answer(status, body);
        let said = &said["status"];
        cluster.check_token(status, said);
        cluster.check_access(status, said);
    });
}

type Reply = Arc<Mutex<(StatusCode, Vec<u8>)>>;

/// An API server with one answer, and who asks it.
struct Cluster {
    runtime: Runtime,
    reviewer: ClusterReviewer,
    reply: Reply,
}

impl Cluster {
    fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let reply = Reply::default();
        let answer = Arc::clone(&reply);
        let service = service_fn(move |_: Request<kube::client::Body>| {
            let (status, body) = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = status;
            async move { Ok::<_, Infallible>(response) }
        });
        let _context = runtime.enter();
        let reviewer = ClusterReviewer::new(Client::new(service, "default"));
        Self {
            runtime,
            reviewer,
            reply,
        }
    }

    fn answer(&self, status: u16, body: &[u8]) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_vec());
    }

    fn check_token(&self, status: u16, said: &Value) {
        let outcome = self.runtime.block_on(self.reviewer.token(&Token::new(TOKEN)));
        match outcome {
            Ok(TokenOutcome::Authenticated(user)) => {
                assert!(status < 300 && said["authenticated"] == true, "{said}");
                assert!(said["user"].is_object(), "{said}");
                assert_eq!(user.username.as_deref(), said["user"]["username"].as_str());
            }
            Ok(TokenOutcome::Rejected { error }) => {
                assert!(status < 300 && said["authenticated"] != true, "{said}");
                assert!(!error.contains(TOKEN), "{error}");
            }
            Err(error) => check_error(&error),
        }
    }

    fn check_access(&self, status: u16, said: &Value) {
        match self
            .runtime
            .block_on(self.reviewer.access(&SubjectAccessReviewSpec::default()))
        {
            Ok(outcome) if outcome.allowed => {
                assert!(
                    status < 300 && said["allowed"] == true && said["denied"] != true,
                    "{said}"
                );
            }
            Ok(_) => assert!(status < 300 && said["allowed"] != true, "{said}"),
            // it was asked without the token
            Err(_) => {}
        }
    }
}

fn check_error(error: &ReviewError) {
    assert!(!error.to_string().contains(TOKEN), "{error}");
}
