//! Tokens of `ServiceAccounts`, by `TokenRequest`.

use std::time::Duration;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::timeout;

use crate::kubernetes::reviews::Token;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Has tokens issued in the operator's own namespace.
#[derive(Clone)]
pub struct TokenRequests {
    api: Api<ServiceAccount>,
    own: Option<String>,
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
    /// No such `ServiceAccount`.
    #[error("there is no ServiceAccount {0} in the operator's namespace")]
    NotFound(String),
    /// RBAC.
    #[error("the operator may not create serviceaccounts/token: {0}")]
    Forbidden(String),
    /// Anything else, no answer in time included.
    #[error("the token of the ServiceAccount {name} was not issued: {message}")]
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
    pub fn new(client: Client, namespace: &str, own: Option<String>) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            own,
        }
    }

    /// Asks for a token for one audience; the empty one stands for the API server's own, as a pod's token has it.
    pub async fn issue(
        &self,
        service_account: &str,
        audience: &str,
        lifetime: Duration,
    ) -> Result<ServiceAccountToken, TokenError> {
        let name = service_account.to_owned();
        if self.own.as_deref() == Some(service_account) {
            return Err(TokenError::Own(name));
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Some(audience)
                    .filter(|audience| !audience.is_empty())
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
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
                Ok(ServiceAccountToken {
                    token: Token::new(status.token),
                    lifetime: seconds.map_or(lifetime, Duration::from_secs),
                })
            }
            Ok(Ok(_)) => Err(failed("the answer holds no token".to_owned())),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(TokenError::NotFound(name)),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(TokenError::Forbidden(status.message))
            }
            Ok(Err(kube::Error::Api(status))) => Err(failed(status.message)),
            // A decoder's words could quote the token.
            Ok(Err(kube::Error::SerdeError(_))) => Err(failed("the answer does not decode".to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {TIMEOUT:?}"))),
        }
    }
}
