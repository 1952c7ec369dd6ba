//! Reviews by the cluster's API server.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use futures::future::BoxFuture;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::Client;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{AccessOutcome, ReviewError, Reviewer, Token, TokenOutcome, turns::Turns};

const TOKEN: &str = "TokenReview";
const ACCESS: &str = "SubjectAccessReview";
/// Of one attempt; told to the API server too.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Of a review with its retries and its wait for a turn.
const REVIEW: Duration = Duration::from_secs(20);
/// Tokens and access have turns of their own: a flood of bad tokens must not hold up requests of the front proxy.
const TURNS: usize = 64;
/// Those who wait for one; the requests that a replica answers at a time are 400.
const WAITING: usize = 512;
/// The user that anyone can be. What it asks, by a new path each time, must not hold up the others.
const ANONYMOUS: &str = "system:anonymous";
const ANONYMOUS_TURNS: usize = 8;
const ANONYMOUS_WAITING: usize = 64;

/// Asks the cluster's API server.
///
/// Attempts and delays are those of k8s.io/apiserver (`DefaultRetryBackoff`): five steps from 500 ms by 1.5, on 429, 5xx and
/// broken connections. `client` should not retry by itself (`kube::Config::default_retry`), or its own retries come on top,
/// within the same deadline.
pub struct ClusterReviewer {
    client: Client,
    token_turns: Turns,
    access_turns: Turns,
    anonymous_turns: Turns,
}

// === impl ClusterReviewer ===

impl ClusterReviewer {
    /// Asks through `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            token_turns: Turns::new(TOKEN, TURNS, WAITING),
            access_turns: Turns::new(ACCESS, TURNS, WAITING),
            anonymous_turns: Turns::new(ACCESS, ANONYMOUS_TURNS, ANONYMOUS_WAITING),
        }
    }

    async fn review_token(&self, token: &Token) -> Result<TokenOutcome, ReviewError> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.expose().to_owned()),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let path = "/apis/authentication.k8s.io/v1/tokenreviews?timeout=10s";
        // The API server, or a webhook behind it, may echo what it was asked about.
        let redact = |text: &str| text.replace(token.expose(), "[redacted]");
        let answer = self.ask(TOKEN, &self.token_turns, path, &review, redact).await;
        let review: TokenReview = answer?;
        let status = review.status.unwrap_or_default();
        match (status.authenticated, status.user) {
            (Some(true), Some(user)) => Ok(TokenOutcome::Authenticated(Box::new(user))),
            (Some(true), None) => Err(ReviewError::Contradiction(TOKEN)),
            _ => Ok(TokenOutcome::Rejected {
                error: redact(&status.error.unwrap_or_default()),
            }),
        }
    }

    async fn review_access(&self, spec: &SubjectAccessReviewSpec) -> Result<AccessOutcome, ReviewError> {
        let review = SubjectAccessReview {
            spec: spec.clone(),
            ..SubjectAccessReview::default()
        };
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s";
        let turns = if spec.user.as_deref() == Some(ANONYMOUS) {
            &self.anonymous_turns
        } else {
            &self.access_turns
        };
        let answer = self.ask(ACCESS, turns, path, &review, str::to_owned).await;
        let review: SubjectAccessReview = answer?;
        let status = review.status.unwrap_or_default();
        if status.allowed && status.denied == Some(true) {
            return Err(ReviewError::Contradiction(ACCESS));
        }
        Ok(AccessOutcome {
            allowed: status.allowed,
            reason: status.reason.unwrap_or_default(),
        })
    }

    async fn ask<T: Serialize + DeserializeOwned>(
        &self,
        kind: &'static str,
        turns: &Turns,
        path: &str,
        review: &T,
        redact: impl Fn(&str) -> String,
    ) -> Result<T, ReviewError> {
        let failed = |error: &dyn std::fmt::Display| ReviewError::Failed {
            kind,
            message: error.to_string(),
        };
        let body = serde_json::to_vec(review).map_err(|error| failed(&error))?;
        within(REVIEW, kind, async {
            let _turn = turns.take().await?;
            let attempt = || async {
                let request = Request::post(path)
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone())
                    .map_err(|error| (false, failed(&error)))?;
                let answer = within_attempt(self.client.request::<T>(request)).await;
                let answer = answer.ok_or((false, ReviewError::Timeout(kind)))?;
                answer.map_err(|error| (is_transient(&error), explain(kind, &error, &redact)))
            };
            let delays = ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(500))
                .with_factor(1.5)
                .with_max_times(4)
                .with_jitter();
            let answer = attempt.retry(delays).when(|(transient, _)| *transient);
            answer
                .notify(|(_, error), delay| tracing::warn!(%error, ?delay, "review failed, trying again"))
                .await
                .map_err(|(_, error)| error)
        })
        .await
    }
}

impl Reviewer for ClusterReviewer {
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
        Box::pin(self.review_token(token))
    }

    fn access<'a>(
        &'a self,
        spec: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
        Box::pin(self.review_access(spec))
    }
}

async fn within<T>(
    limit: Duration,
    kind: &'static str,
    answer: impl Future<Output = Result<T, ReviewError>>,
) -> Result<T, ReviewError> {
    timeout(limit, answer)
        .await
        .unwrap_or(Err(ReviewError::Timeout(kind)))
}

async fn within_attempt<T>(answer: impl Future<Output = T>) -> Option<T> {
    timeout(ATTEMPT, answer).await.ok()
}

/// Whether asking again can help.
fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => {
            status.code == StatusCode::TOO_MANY_REQUESTS.as_u16() || status.code >= 500
        }
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// What a failure says, without what `redact` takes out of it.
fn explain(kind: &'static str, error: &kube::Error, redact: impl Fn(&str) -> String) -> ReviewError {
    match error {
        kube::Error::Api(status) if status.code == StatusCode::FORBIDDEN.as_u16() => ReviewError::Refused {
            kind,
            message: redact(&status.message),
        },
        kube::Error::Api(status) => ReviewError::Failed {
            kind,
            message: redact(&status.message),
        },
        // The parts of an answer that serde quotes could be the token.
        kube::Error::SerdeError(_) => ReviewError::Failed {
            kind,
            message: "the answer cannot be decoded".to_owned(),
        },
        error => ReviewError::Failed {
            kind,
            message: redact(&error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests;
