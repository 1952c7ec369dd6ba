//! Reviews, remembered for a short while.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::{AccessOutcome, ReviewError, Reviewer, Token, TokenOutcome};
use crate::metrics::ServerMetrics;

/// How long an answer holds, whichever it is (k8s.io/apiserver: `DelegatingAuthenticationOptions`,
/// `DelegatingAuthorizationOptions`).
const LIFE: Duration = Duration::from_secs(10);
/// Answers of each kind.
const CAPACITY: u64 = 8192;
/// What is asked in more characters than this is not remembered (`maxControlledAttrCacheSize` of k8s.io/apiserver).
const MAX_ATTRIBUTES: usize = 10_000;

/// Remembers answers, asks once for what several requests ask at the same time, and counts.
///
/// A rejected token is an answer; a review that failed is none and is asked again.
pub struct CachedReviewer<R> {
    inner: R,
    /// So that the keys of the cache say nothing about tokens to whoever sees the process's memory.
    secret: [u8; 32],
    tokens: Cache<Key, TokenOutcome>,
    access: Cache<Key, AccessOutcome>,
    metrics: ServerMetrics,
}

/// A digest: of one size however long what was asked is.
type Key = [u8; 32];

// === impl CachedReviewer ===

impl<R: Reviewer> CachedReviewer<R> {
    /// Caches what `inner` answers. Fails when the system has no randomness.
    pub fn new(inner: R, metrics: ServerMetrics) -> Result<Self, ReviewError> {
        Self::with_life(inner, metrics, LIFE)
    }

    fn with_life(inner: R, metrics: ServerMetrics, life: Duration) -> Result<Self, ReviewError> {
        let mut secret = [0; 32];
        let random = aws_lc_rs::default_provider().secure_random;
        random.fill(&mut secret).map_err(|_| ReviewError::Failed {
            kind: "TokenReview",
            message: "the system gives no random bytes".to_owned(),
        })?;
        Ok(Self {
            inner,
            secret,
            tokens: Cache::builder().max_capacity(CAPACITY).time_to_live(life).build(),
            access: Cache::builder().max_capacity(CAPACITY).time_to_live(life).build(),
            metrics,
        })
    }

    async fn cached_token(&self, token: &Token) -> Result<TokenOutcome, ReviewError> {
        let key = self.key(token.expose().as_bytes());
        let entry = self
            .tokens
            .entry(key)
            .or_try_insert_with(self.inner.token(token))
            .await;
        let allowed = |outcome: &TokenOutcome| matches!(outcome, TokenOutcome::Authenticated(_));
        self.count("token", entry, allowed)
    }

    async fn cached_access(&self, spec: &SubjectAccessReviewSpec) -> Result<AccessOutcome, ReviewError> {
        let unreadable = |error: serde_json::Error| ReviewError::Failed {
            kind: "SubjectAccessReview",
            message: error.to_string(),
        };
        let attributes = serde_json::to_vec(&(&spec.resource_attributes, &spec.non_resource_attributes));
        if attributes.map_err(unreadable)?.len() >= MAX_ATTRIBUTES {
            let outcome = self.inner.access(spec).await;
            self.metrics.review(
                "access",
                name(outcome.as_ref().ok().map(|outcome| outcome.allowed)),
            );
            return outcome;
        }
        let key = self.key(&serde_json::to_vec(spec).map_err(unreadable)?);
        let entry = self
            .access
            .entry(key)
            .or_try_insert_with(self.inner.access(spec))
            .await;
        self.count("access", entry, |outcome| outcome.allowed)
    }

    fn key(&self, text: &[u8]) -> Key {
        Sha256::new()
            .chain_update(self.secret)
            .chain_update(text)
            .finalize()
            .into()
    }

    fn count<V: Clone + Send + Sync + 'static>(
        &self,
        kind: &'static str,
        entry: Result<moka::Entry<Key, V>, Arc<ReviewError>>,
        allowed: impl FnOnce(&V) -> bool,
    ) -> Result<V, ReviewError> {
        match entry {
            Ok(entry) => {
                let fresh = entry.is_fresh();
                let value = entry.into_value();
                let outcome = if fresh { name(Some(allowed(&value))) } else { "hit" };
                self.metrics.review(kind, outcome);
                Ok(value)
            }
            Err(error) => {
                self.metrics.review(kind, "error");
                Err(ReviewError::clone(&error))
            }
        }
    }
}

impl<R: Reviewer> Reviewer for CachedReviewer<R> {
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
        Box::pin(self.cached_token(token))
    }

    fn access<'a>(
        &'a self,
        spec: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
        Box::pin(self.cached_access(spec))
    }
}

fn name(allowed: Option<bool>) -> &'static str {
    match allowed {
        Some(true) => "allowed",
        Some(false) => "denied",
        None => "error",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::authorization::v1::NonResourceAttributes;

    use super::*;
    use crate::metrics::Metrics;

    /// Counts what it is asked; the n-th answer allows where n is even.
    #[derive(Default)]
    struct Counting {
        asked: Arc<AtomicUsize>,
        fails: bool,
    }

    impl Counting {
        async fn answer(&self) -> Result<bool, ReviewError> {
            let at = self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.fails {
                return Err(ReviewError::Timeout("test"));
            }
            Ok(at.is_multiple_of(2))
        }
    }

    impl Reviewer for Counting {
        fn token<'a>(&'a self, _: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
            Box::pin(async {
                Ok(if self.answer().await? {
                    TokenOutcome::Authenticated(Box::default())
                } else {
                    TokenOutcome::Rejected { error: String::new() }
                })
            })
        }

        fn access<'a>(
            &'a self,
            _: &'a SubjectAccessReviewSpec,
        ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
            Box::pin(async {
                let allowed = self.answer().await?;
                Ok(AccessOutcome {
                    allowed,
                    reason: String::new(),
                })
            })
        }
    }

    fn cached(fails: bool, life: Duration) -> (CachedReviewer<Counting>, Arc<AtomicUsize>, Metrics) {
        let metrics = Metrics::new();
        let inner = Counting {
            fails,
            ..Counting::default()
        };
        let asked = Arc::clone(&inner.asked);
        let reviewer = CachedReviewer::with_life(inner, metrics.server.clone(), life).unwrap();
        (reviewer, asked, metrics)
    }

    fn spec(path: &str) -> SubjectAccessReviewSpec {
        SubjectAccessReviewSpec {
            user: Some("u".to_owned()),
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some("get".to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        }
    }

    #[tokio::test]
    async fn asks_once_for_the_same_thing() {
        let (reviewer, asked, metrics) = cached(false, LIFE);
        let token = Token::new("a");
        let outcomes = futures::future::join_all((0..50).map(|_| reviewer.token(&token))).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Ok(TokenOutcome::Authenticated(_))))
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        // Another token is another question, and its refusal is remembered too.
        for _ in 0..2 {
            let outcome = reviewer.token(&Token::new("b")).await.unwrap();
            assert!(matches!(outcome, TokenOutcome::Rejected { .. }));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let text = metrics.encode();
        for line in [
            r#"metricrule_reviews_total{kind="token",outcome="allowed"} 1"#,
            r#"metricrule_reviews_total{kind="token",outcome="denied"} 1"#,
            r#"metricrule_reviews_total{kind="token",outcome="hit"} 50"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn asks_again_after_a_failure_and_after_the_life_of_an_answer() {
        let (failing, asked, metrics) = cached(true, LIFE);
        for _ in 0..2 {
            assert_eq!(
                failing.access(&spec("/")).await,
                Err(ReviewError::Timeout("test"))
            );
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(metrics.encode().contains(r#"{kind="access",outcome="error"} 2"#));

        let (short, asked, _) = cached(false, Duration::from_millis(50));
        assert!(short.access(&spec("/")).await.unwrap().allowed);
        tokio::time::sleep(Duration::from_millis(80)).await;
        assert!(!short.access(&spec("/")).await.unwrap().allowed);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn tells_questions_apart_and_does_not_keep_long_ones() {
        let (reviewer, asked, _) = cached(false, LIFE);
        let mut other = spec("/");
        other.user = Some("v".to_owned());
        for spec in [spec("/"), spec("/a"), other] {
            for _ in 0..2 {
                reviewer.access(&spec).await.unwrap();
            }
        }
        assert_eq!(asked.load(Ordering::SeqCst), 3);

        let long = spec(&"x".repeat(MAX_ATTRIBUTES));
        for _ in 0..2 {
            reviewer.access(&long).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 5);
    }
}
