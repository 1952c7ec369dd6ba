//! Tokens of `ServiceAccounts`, by `TokenRequest`: for backends, which the API server's own audience is kept from, and for servers
//! of its APIs.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use crate::kubernetes::reviews::Token;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest life that the API server gives a token.
pub const SHORTEST: Duration = Duration::from_mins(10);
/// What API servers are known to take for themselves: the issuers of kubeadm, of managed clusters and of older versions. A
/// cluster's own `--api-audiences` are asked for besides.
const KNOWN: [&str; 8] = [
    "https://kubernetes.default.svc.cluster.local",
    "https://kubernetes.default.svc",
    "https://kubernetes.default",
    "https://kubernetes",
    "kubernetes.default.svc.cluster.local",
    "kubernetes.default.svc",
    "kubernetes",
    "api",
];

/// Has tokens issued in one namespace.
#[derive(Clone)]
pub struct TokenRequests {
    api: Api<ServiceAccount>,
    own: BTreeSet<String>,
}

/// An issued token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccountToken {
    /// The token.
    pub token: Token,
    /// How long it is good for, from the moment in which it was asked for; the API server may have changed the wish.
    pub lifetime: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The operator's own `ServiceAccount` was named: its token opens the cluster, and is never sent to a backend.
    #[error("the ServiceAccount {0} is the operator's own; name another one")]
    Own(String),
    /// The audience is one of the API server's: the backend could use the token there.
    #[error(
        "the audience {0:?} is one of the API server's own, and no backend may get a token for it; name the backend's audience"
    )]
    ApiServer(String),
    /// No such `ServiceAccount`.
    #[error("the ServiceAccount {0} does not exist in the operator's namespace")]
    NotFound(String),
    /// RBAC.
    #[error(
        "the operator may not request tokens for this ServiceAccount; add it to the chart's value `rbac.tokens` ({0})"
    )]
    Forbidden(String),
    /// Anything else, no answer in time included.
    #[error("the API server issued no token for the ServiceAccount {name}: {message}")]
    Failed {
        /// The `ServiceAccount`.
        name: String,
        /// What went wrong.
        message: String,
    },
}

// === impl TokenRequests ===

impl TokenRequests {
    /// Tokens of the `ServiceAccounts` in `namespace`, but for the operator's `own`.
    pub fn new(client: Client, namespace: &str, own: impl IntoIterator<Item = String>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            own: own.into_iter().collect(),
        }
    }

    /// Asks for a token that a backend is sent, for one audience.
    ///
    /// The API server says which audiences are its own when it is asked for a token without one. That token is dropped.
    ///
    /// # Errors
    ///
    /// See [`TokenError`].
    pub async fn issue(
        &self,
        service_account: &str,
        audience: &str,
        lifetime: Duration,
    ) -> Result<ServiceAccountToken, TokenError> {
        if self.own.contains(service_account) {
            return Err(TokenError::Own(service_account.to_owned()));
        }
        // An empty audience means the API server's.
        let own = || TokenError::ApiServer(audience.to_owned());
        if audience.is_empty() || KNOWN.contains(&audience.trim_end_matches('/')) {
            return Err(own());
        }
        let (_, audiences) = self.request(service_account, Vec::new(), SHORTEST).await?;
        if audiences.is_empty() {
            return Err(TokenError::Failed {
                name: service_account.to_owned(),
                message: "the API server does not report its own audiences".to_owned(),
            });
        }
        if audiences.iter().any(|known| known == audience) {
            return Err(own());
        }
        let (token, _) = self
            .request(service_account, vec![audience.to_owned()], lifetime)
            .await?;
        Ok(token)
    }

    /// Asks for a token with the API server's own audiences, as a pod has it: for servers of its APIs, never for a backend.
    ///
    /// # Errors
    ///
    /// See [`TokenError`].
    pub async fn issue_for_apis(
        &self,
        service_account: &str,
        lifetime: Duration,
    ) -> Result<ServiceAccountToken, TokenError> {
        let (token, _) = self.request(service_account, Vec::new(), lifetime).await?;
        Ok(token)
    }

    /// A token and the audiences that it is for; no audience stands for those of the API server.
    async fn request(
        &self,
        service_account: &str,
        audiences: Vec<String>,
        lifetime: Duration,
    ) -> Result<(ServiceAccountToken, Vec<String>), TokenError> {
        let name = service_account.to_owned();
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences,
                expiration_seconds: i64::try_from(lifetime.as_secs()).ok(),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let answer = timeout(
            TIMEOUT,
            self.api.create_token_request(service_account, &params, &request),
        )
        .await;
        let failed = |message: String| TokenError::Failed {
            name: service_account.to_owned(),
            message,
        };
        match answer {
            Ok(Ok(TokenRequest {
                spec,
                status: Some(status),
                ..
            })) if !status.token.is_empty() => {
                // The difference, not the time of the end: the two clocks need not agree.
                let seconds = spec
                    .expiration_seconds
                    .and_then(|seconds| u64::try_from(seconds).ok());
                let token = ServiceAccountToken {
                    token: Token::new(status.token),
                    lifetime: seconds.map_or(lifetime, Duration::from_secs),
                };
                Ok((token, spec.audiences))
            }
            Ok(Ok(_)) => Err(failed("the answer contains no token".to_owned())),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(TokenError::NotFound(name)),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(TokenError::Forbidden(status.message))
            }
            Ok(Err(kube::Error::Api(status))) => Err(failed(status.message)),
            // A decoder's words could quote the token.
            Ok(Err(kube::Error::SerdeError(_))) => Err(failed("the answer cannot be decoded".to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {TIMEOUT:?}"))),
        }
    }
}
