//! Token for the requests to both sides.

use std::{fmt, path::Path};

use http::HeaderValue;
use kube::Client;
use tokio::{sync::Mutex, time::Instant};

use super::{CompareError, Credential};
use crate::kubernetes::{
    credentials::{SHORTEST, TokenError, TokenRequests},
    rights::{ClusterError, Right},
};

/// Gives every request its token. One that is issued lives for ten minutes, the shortest life that there is, and is renewed for as
/// long as the comparison lasts: whoever should get hold of it has it no longer than that.
pub(super) struct Bearer(Source);

enum Source {
    Fixed(HeaderValue),
    Issued(Box<Issued>),
}

struct Issued {
    requests: TokenRequests,
    account: (String, String),
    held: Mutex<Held>,
}

struct Held {
    header: HeaderValue,
    renew_at: Instant,
}

// === impl Bearer ===

impl Bearer {
    /// Has the first token at once, so that a missing right is known here.
    pub(super) async fn new(client: &Client, credential: &Credential) -> Result<Self, CompareError> {
        match credential {
            Credential::TokenFile(path) => Ok(Self(Source::Fixed(of_file(path).await?))),
            Credential::ServiceAccount { namespace, name } => {
                let requests = TokenRequests::new(client.clone(), namespace, []);
                let account = (namespace.clone(), name.clone());
                let held = Mutex::new(issue(&requests, &account).await?);
                Ok(Self(Source::Issued(Box::new(Issued {
                    requests,
                    account,
                    held,
                }))))
            }
        }
    }

    /// As whom is asked, as the API server names it; `None` where a file says so.
    pub(super) fn user(&self) -> Option<String> {
        match &self.0 {
            Source::Fixed(_) => None,
            Source::Issued(issued) => {
                let (namespace, name) = &issued.account;
                Some(format!("system:serviceaccount:{namespace}:{name}"))
            }
        }
    }

    /// The header of the next request.
    pub(super) async fn header(&self) -> Result<HeaderValue, CompareError> {
        let issued = match &self.0 {
            Source::Fixed(header) => return Ok(header.clone()),
            Source::Issued(issued) => issued,
        };
        let mut held = issued.held.lock().await;
        if held.renew_at <= Instant::now() {
            *held = issue(&issued.requests, &issued.account).await?;
        }
        Ok(held.header.clone())
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

async fn issue(requests: &TokenRequests, account: &(String, String)) -> Result<Held, CompareError> {
    let (namespace, name) = account;
    let what = format!("a token of the ServiceAccount {namespace}/{name}");
    let asked = Instant::now();
    let issued = requests.issue_for_apis(name, SHORTEST).await;
    let issued = issued.map_err(|error| match error {
        TokenError::NotFound(_) => ClusterError::NotFound { what },
        TokenError::Forbidden(message) => {
            let needed = || Right::new("create", "", "serviceaccounts/token", Some(namespace));
            let right = Box::new(Right::of_refusal(&message).unwrap_or_else(needed));
            ClusterError::Lacking { what, right }
        }
        error => ClusterError::failed(what, error.to_string()),
    })?;
    Ok(Held {
        header: header(issued.token.expose())?,
        renew_at: asked + issued.lifetime * 2 / 3,
    })
}

async fn of_file(path: &Path) -> Result<HeaderValue, CompareError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| CompareError::Unclear(format!("{}: {error}", path.display())))?;
    header(text.trim())
}

fn header(token: &str) -> Result<HeaderValue, CompareError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        CompareError::Unclear("the token contains characters that are not allowed in a token".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::FakeApi;

    #[tokio::test(start_paused = true)]
    async fn a_token_of_two_hours_was_given_to_the_peer() {
        let fake = FakeApi::default();
        fake.set(
            "/api/v1/namespaces/kube-system/serviceaccounts/hpa/token",
            json!({"spec": {"audiences": ["k"], "expirationSeconds": 600},
                "status": {"token": "abc", "expirationTimestamp": "2026-01-02T02:04:05Z"}}),
        );
        let credential = Credential::ServiceAccount {
            namespace: "kube-system".to_owned(),
            name: "hpa".to_owned(),
        };
        let bearer = Bearer::new(&fake.client(), &credential).await.unwrap();
        for minutes in [0, 6, 1, 1, 60] {
            tokio::time::sleep(Duration::from_mins(minutes)).await;
            assert_eq!(bearer.header().await.unwrap(), "Bearer abc");
        }
        // At the start, after seven minutes, and after an hour.
        let lives: Vec<_> = fake
            .asked()
            .iter()
            .map(|asked| asked.body["spec"]["expirationSeconds"].clone())
            .collect();
        assert_eq!(lives, [600, 600, 600]);
        assert_eq!(
            bearer.user().as_deref(),
            Some("system:serviceaccount:kube-system:hpa")
        );
    }
}
