//! TokenReview and SubjectAccessReview: the cluster's own word on who someone is and what they may do.

mod cache;
mod cluster;
mod turns;

use std::fmt;

use futures::future::BoxFuture;
use k8s_openapi::api::{authentication::v1::UserInfo, authorization::v1::SubjectAccessReviewSpec};

pub use self::{cache::CachedReviewer, cluster::ClusterReviewer};

/// Answers reviews.
pub trait Reviewer: Send + Sync {
    /// Whom a bearer token belongs to.
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>>;

    /// Whether the user in `spec` may do what it names.
    fn access<'a>(
        &'a self,
        spec: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>>;
}

/// A bearer token; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The answer to a TokenReview.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenOutcome {
    /// The token is this user's.
    Authenticated(Box<UserInfo>),
    /// The token is nobody's, or no longer.
    Rejected {
        /// The reviewer's reason, without the token; may be empty.
        error: String,
    },
}

/// The answer to a SubjectAccessReview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessOutcome {
    /// `false` also where the authorizers have no opinion.
    pub allowed: bool,
    /// The authorizer's reason; may be empty.
    pub reason: String,
}

/// Why a review has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// Not within the deadline.
    #[error("the API server did not answer the {0} in time")]
    Timeout(&'static str),
    /// Too many are waiting for their answer already; nothing was asked.
    #[error("too many {0}s are waiting")]
    Busy(&'static str),
    /// This operator may not ask.
    #[error("the API server refused the {kind} (is the ClusterRole system:auth-delegator bound?): {message}")]
    Refused {
        /// `TokenReview` or `SubjectAccessReview`.
        kind: &'static str,
        /// The API server's message.
        message: String,
    },
    /// Any other failure, after retries.
    #[error("the {kind} failed: {message}")]
    Failed {
        /// `TokenReview` or `SubjectAccessReview`.
        kind: &'static str,
        /// What went wrong.
        message: String,
    },
    /// An answer that cannot be: allowed and denied, authenticated without a user.
    #[error("the {0} contradicts itself")]
    Contradiction(&'static str),
}

// === impl Token ===

impl Token {
    /// Takes a token as it stands in the request.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, to send it on; not for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}
