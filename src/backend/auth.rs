//! Authentication to a backend: the credentials of each request.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::BackendError;

/// Wait between two tries to get a token after one failed.
const RETRY: Duration = Duration::from_secs(5);
/// A token that the backend refuses is replaced once it is so old: a younger one is refused for another reason than its age, and
/// one for each query would be a crowd at the API server.
const REPLACEABLE: Duration = Duration::from_secs(30);

/// Where tokens of `ServiceAccounts` come from: `TokenRequest`, in the operator's own namespace.
///
/// Here a trait, since a backend knows no Kubernetes client.
pub trait TokenSource: Send + Sync {
    /// Has a token issued for `audience`; `lifetime` is a wish. The errors are
    /// [`CredentialsNotFound`](crate::reason::Reason::CredentialsNotFound) and
    /// [`BackendError`](crate::reason::Reason::BackendError).
    fn issue(
        &self,
        service_account: Arc<str>,
        audience: Arc<str>,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>>;
}

/// A token and how long it is good for, from the moment in which it was asked for.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// Its life.
    pub lifetime: Duration,
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    None,
    Basic { username: Secret, password: Secret },
    Bearer(Secret),
}

/// What a `MetricBackend` says about credentials, with the bytes that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Fixed(Credential),
    ServiceAccountToken {
        service_account: Arc<str>,
        audience: Arc<str>,
        lifetime: Duration,
    },
}

/// Gives every request its credential; keeps tokens of `ServiceAccounts` and renews them at two thirds of their life.
pub(super) struct Authorizer {
    auth: Auth,
    tokens: Arc<dyn TokenSource>,
    held: Mutex<Held>,
    /// Held by the one request that renews.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    failed: Option<(BackendError, Instant)>,
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    issued_at: Instant,
    renew_at: Instant,
    expires_at: Instant,
}

// === impl Secret ===

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

// === impl Credential ===

impl Credential {
    pub(super) fn apply(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            Self::None => request,
            Self::Basic { username, password } => {
                request.basic_auth(username.expose(), Some(password.expose()))
            }
            Self::Bearer(token) => request.bearer_auth(token.expose()),
        }
    }
}

// === impl Authorizer ===

impl Authorizer {
    pub(super) fn new(auth: Auth, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            auth,
            tokens,
            held: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        }
    }

    /// The credential of the next request. Waits only where a token is needed and none is good.
    pub(super) async fn credential(&self) -> Result<Credential, BackendError> {
        let (service_account, audience, lifetime) = match &self.auth {
            Auth::Fixed(credential) => return Ok(credential.clone()),
            Auth::ServiceAccountToken {
                service_account,
                audience,
                lifetime,
            } => (service_account, audience, *lifetime),
        };
        let usable = match self.usable() {
            Ok((secret, false)) => return Ok(Credential::Bearer(secret)),
            Ok((secret, true)) => Some(secret),
            Err(Some(error)) => return Err(error),
            Err(None) => None,
        };
        let _renewing = match usable {
            None => self.renewing.lock().await,
            Some(secret) => match self.renewing.try_lock() {
                Ok(guard) => guard,
                // Another request renews; the old token is good until it is done.
                Err(_) => return Ok(Credential::Bearer(secret)),
            },
        };
        // It may have been renewed while this request waited.
        match self.usable() {
            Ok((secret, false)) => return Ok(Credential::Bearer(secret)),
            Err(Some(error)) => return Err(error),
            Ok((_, true)) | Err(None) => {}
        }
        let asked = Instant::now();
        let issued = self
            .tokens
            .issue(service_account.clone(), audience.clone(), lifetime)
            .await;
        let mut held = self.held();
        match issued {
            Ok(issued) => {
                let token = Token {
                    secret: issued.token,
                    issued_at: asked,
                    renew_at: asked + issued.lifetime * 2 / 3,
                    expires_at: asked + issued.lifetime,
                };
                let secret = token.secret.clone();
                *held = Held {
                    token: Some(token),
                    failed: None,
                };
                Ok(Credential::Bearer(secret))
            }
            Err(error) => {
                let now = Instant::now();
                match &mut held.token {
                    Some(token) if token.expires_at > now => {
                        tracing::warn!(%service_account, %error, detail = error.detail(), "token not renewed");
                        token.renew_at = now + RETRY;
                        Ok(Credential::Bearer(token.secret.clone()))
                    }
                    _ => {
                        held.failed = Some((error.clone(), now + RETRY));
                        Err(error)
                    }
                }
            }
        }
    }

    /// The backend answered 401 to this credential: a token is not used again, unless it is quite new.
    pub(super) fn refused(&self, credential: &Credential) {
        let mut held = self.held();
        if let (Credential::Bearer(refused), Some(token)) = (credential, &held.token)
            && token.secret == *refused
            && token.issued_at + REPLACEABLE <= Instant::now()
        {
            held.token = None;
        }
    }

    /// The token that is held and whether it is time to renew it; else the error of a try that is not long ago.
    fn usable(&self) -> Result<(Secret, bool), Option<BackendError>> {
        let (now, held) = (Instant::now(), self.held());
        match (&held.token, &held.failed) {
            (Some(token), _) if token.expires_at > now => Ok((token.secret.clone(), token.renew_at <= now)),
            (_, Some((error, until))) if *until > now => Err(Some(error.clone())),
            _ => Err(None),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use futures::FutureExt as _;

    use super::*;
    use crate::reason::Reason;

    #[derive(Default)]
    struct Counting {
        issued: AtomicUsize,
        fails: AtomicBool,
    }

    impl TokenSource for Counting {
        fn issue(
            &self,
            service_account: Arc<str>,
            audience: Arc<str>,
            lifetime: Duration,
        ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
            async move {
                assert_eq!((&*service_account, &*audience), ("querier", "prom"));
                tokio::time::sleep(Duration::from_millis(10)).await;
                let number = self.issued.fetch_add(1, Ordering::SeqCst);
                if self.fails.load(Ordering::SeqCst) {
                    return Err(BackendError::new(
                        Reason::CredentialsNotFound,
                        "no such ServiceAccount",
                    ));
                }
                Ok(IssuedToken {
                    token: format!("token-{number}").into(),
                    lifetime,
                })
            }
            .boxed()
        }
    }

    fn authorizer(tokens: &Arc<Counting>) -> Authorizer {
        let auth = Auth::ServiceAccountToken {
            service_account: "querier".into(),
            audience: "prom".into(),
            lifetime: Duration::from_mins(15),
        };
        Authorizer::new(auth, tokens.clone())
    }

    fn bearer(token: &str) -> Credential {
        Credential::Bearer(token.into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_issued_once_and_renewed_at_two_thirds_of_its_life() {
        let tokens = Arc::new(Counting::default());
        let authorizer = authorizer(&tokens);
        let (a, b) = tokio::join!(authorizer.credential(), authorizer.credential());
        assert_eq!((a.unwrap(), b.unwrap()), (bearer("token-0"), bearer("token-0")));

        tokio::time::sleep(Duration::from_secs(598)).await;
        assert_eq!(authorizer.credential().await.unwrap(), bearer("token-0"));
        tokio::time::sleep(Duration::from_secs(2)).await;
        // One renews, the other goes on with the old one meanwhile.
        let (a, b) = tokio::join!(authorizer.credential(), authorizer.credential());
        assert_eq!((a.unwrap(), b.unwrap()), (bearer("token-1"), bearer("token-0")));
        assert_eq!(authorizer.credential().await.unwrap(), bearer("token-1"));
        assert_eq!(tokens.issued.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_cannot_be_renewed_is_used_until_it_ends() {
        let tokens = Arc::new(Counting::default());
        let authorizer = authorizer(&tokens);
        authorizer.credential().await.unwrap();
        tokens.fails.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(700)).await;
        for _ in 0..50 {
            assert_eq!(authorizer.credential().await.unwrap(), bearer("token-0"));
        }
        assert_eq!(tokens.issued.load(Ordering::SeqCst), 2, "failures are backed off");

        tokio::time::sleep(Duration::from_mins(5)).await;
        for _ in 0..50 {
            let error = authorizer.credential().await.unwrap_err();
            assert_eq!(error.reason(), Reason::CredentialsNotFound);
        }
        assert_eq!(tokens.issued.load(Ordering::SeqCst), 3);

        tokens.fails.store(false, Ordering::SeqCst);
        tokio::time::sleep(RETRY).await;
        assert_eq!(authorizer.credential().await.unwrap(), bearer("token-3"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_the_backend_refused_is_replaced() {
        let tokens = Arc::new(Counting::default());
        let authorizer = authorizer(&tokens);
        let credential = authorizer.credential().await.unwrap();
        tokio::time::sleep(REPLACEABLE).await;
        authorizer.refused(&credential);
        assert_eq!(authorizer.credential().await.unwrap(), bearer("token-1"));
        authorizer.refused(&credential);
        assert_eq!(
            authorizer.credential().await.unwrap(),
            bearer("token-1"),
            "it was another one that was refused"
        );
    }

    /// A backend that refuses every token must not have one issued for each query.
    #[tokio::test(start_paused = true)]
    async fn a_backend_that_refuses_every_token_makes_no_crowd_at_the_api_server() {
        let tokens = Arc::new(Counting::default());
        let authorizer = authorizer(&tokens);
        for _ in 0..600 {
            let credential = authorizer.credential().await.unwrap();
            authorizer.refused(&credential);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let issued = tokens.issued.load(Ordering::SeqCst);
        assert!((2..=3).contains(&issued), "{issued} tokens in a minute");
    }

    #[test]
    fn secrets_are_not_printed() {
        let credential = Credential::Basic {
            username: "u5er".into(),
            password: "pa55".into(),
        };
        assert!(!format!("{credential:?}").contains("pa55"));
    }
}
